/*
 * uri.c -- normalising and taking apart request URIs.
 *
 * Most URIs need nothing: one pass over the path finds no escape, no double
 * slash and no segment that begins with a dot, and the result is a view.  The
 * others are written anew, segment by segment: a slash ends a segment, and
 * only then is it known whether the segment was "." or "..".
 *
 * A decoded byte is treated as if it had been sent plain ("%2e%2e%2f" climbs,
 * "%2f" separates), for that is how the file system will see it; decoded "?",
 * "#" and "%" are ordinary characters.  Whoever needs the original has it.
 */

#include "core/platform.h"

#include "http/parse/char_class.h"
#include "http/parse/uri.h"

/* Leading dots of a segment that begin no extension: ".profile", "..x". */
#define URI_LEADING_DOTS 3

veil_str_t
veil_http_path_ext(veil_str_t path)
{
    const char *end = path.data + path.len;
    const char *p = end, *dot = NULL;
    size_t leading = 0;

    while (p > path.data && p[-1] != '/') {
        p--;
        if (*p == '.' && dot == NULL) {
            dot = p;
        }
    }
    if (dot == NULL) {
        return VEIL_STR_NULL;
    }
    while (leading < URI_LEADING_DOTS && p + leading < end
           && p[leading] == '.') {
        leading++;
    }
    if (dot < p + leading) {
        return VEIL_STR_NULL;
    }
    return veil_str_n(dot + 1, (size_t) (end - dot - 1));
}

/* What follows the path: "", "?args", "#fragment", "?args#fragment". */
static veil_http_parse_t
uri_tail(veil_str_t tail, unsigned flags, veil_http_uri_t *uri)
{
    size_t i;

    if (tail.len == 0 || tail.data[0] != '?') {
        return VEIL_PARSE_OK;
    }
    for (i = 1; i < tail.len && tail.data[i] != '#'; i++) {
        if (!veil_char_is(tail.data[i], VEIL_CC_TARGET)
            && ((flags & VEIL_URI_INTERNAL) == 0 || tail.data[i] == '\0'))
        {
            return VEIL_PARSE_TARGET;
        }
    }
    uri->has_args = true;
    uri->args = veil_str_n(tail.data + 1, i - 1);
    return VEIL_PARSE_OK;
}

/*
 * The length of the path if it can be used as it stands; otherwise
 * SIZE_MAX.  Whether its bytes are allowed at all is then for the long way to
 * find out.
 */
static size_t
uri_plain_length(veil_str_t t, bool merge)
{
    const char *p = t.data, *end = t.data + t.len;

    while (p < end) {
        if (veil_char_is(*p, VEIL_CC_PLAIN) || *p == '.') {
            p++;
            continue;
        }
        if (*p == '?') {
            break;
        }
        if (*p != '/') {
            return SIZE_MAX;
        }
        p++;
        if (p < end && (*p == '.' || (merge && *p == '/'))) {
            return SIZE_MAX;
        }
    }
    return (size_t) (p - t.data);
}

/* One byte of the path, decoded; *i moves on.  -1: *e says why. */
static int
uri_next_byte(veil_str_t t, size_t *i, unsigned flags, veil_http_parse_t *e)
{
    char c = t.data[(*i)++];
    int high, low;

    if (c != '%') {
        if (c == '\0') {
            *e = VEIL_PARSE_URI_NUL;
            return -1;
        }
        if (!veil_char_is(c, VEIL_CC_TARGET)
            && (flags & VEIL_URI_INTERNAL) == 0) {
            *e = VEIL_PARSE_TARGET;
            return -1;
        }
        return (unsigned char) c;
    }
    high = t.len - *i >= 2 ? veil_char_hex(t.data[*i]) : -1;
    low = high >= 0 ? veil_char_hex(t.data[*i + 1]) : -1;
    if (low < 0) {
        *e = VEIL_PARSE_URI_ESCAPE;
        return -1;
    }
    if (high == 0 && low == 0) {
        *e = VEIL_PARSE_URI_NUL;
        return -1;
    }
    *i += 2;
    return high << 4 | low;
}

/*
 * A segment [segment, u) is complete; dst[0] is "/".  Returns where the next
 * one, or the end of the path, is to be written; NULL: above the root.
 */
static char *
uri_end_segment(char *dst, char *segment, char *u)
{
    if (u - segment == 1 && segment[0] == '.') {
        return segment;
    }
    if (u - segment != 2 || segment[0] != '.' || segment[1] != '.') {
        return u;
    }
    if (segment == dst + 1) {
        return NULL;
    }
    for (u = segment - 1; u[-1] != '/'; u--) {
        continue;
    }
    return u;
}

/* The long way. */
static veil_http_parse_t
uri_rewrite(veil_pool_t *pool, veil_str_t t, unsigned flags,
            veil_http_uri_t *uri)
{
    char *dst = veil_pool_chars(pool, t.len);
    char *u = dst, *segment, *end;
    veil_http_parse_t e = VEIL_PARSE_OK;
    size_t i = 1;
    int c;

    *u++ = '/';
    segment = u;
    while (i < t.len && t.data[i] != '?' && t.data[i] != '#') {
        c = uri_next_byte(t, &i, flags, &e);
        if (c < 0) {
            return e;
        }
        if (c != '/') {
            *u++ = (char) c;
            continue;
        }
        end = uri_end_segment(dst, segment, u);
        if (end == NULL) {
            return VEIL_PARSE_URI_ROOT;
        }
        /* After "." and ".." the slash before them is this one. */
        if (end == u && (u != segment || !(flags & VEIL_URI_MERGE_SLASHES))) {
            *end++ = '/';
        }
        u = end;
        segment = u;
    }
    u = uri_end_segment(dst, segment, u);
    if (u == NULL) {
        return VEIL_PARSE_URI_ROOT;
    }
    uri->path = veil_str_n(dst, (size_t) (u - dst));
    uri->changed = uri->path.len != i || memcmp(dst, t.data, i) != 0;
    return uri_tail(veil_str_from(t, i), flags, uri);
}

veil_http_parse_t
veil_http_uri_parse(veil_pool_t *pool, veil_str_t target, unsigned flags,
                    veil_http_uri_t *uri)
{
    veil_http_parse_t e;
    size_t len;

    *uri = (veil_http_uri_t){ .has_args = false };
    if (target.len == 0 || target.data[0] == '?' || target.data[0] == '#') {
        uri->path = VEIL_STR("/");
        uri->changed = true;
        return uri_tail(target, flags, uri);
    }
    if (target.data[0] != '/') {
        uri->path = target;
        return veil_str_eq(target, VEIL_STR("*")) ? VEIL_PARSE_OK
                                                  : VEIL_PARSE_TARGET_FORM;
    }
    len = uri_plain_length(target, (flags & VEIL_URI_MERGE_SLASHES) != 0);
    if (len == SIZE_MAX) {
        e = uri_rewrite(pool, target, flags, uri);
    } else {
        uri->path = veil_str_n(target.data, len);
        e = uri_tail(veil_str_from(target, len), flags, uri);
    }
    if (e == VEIL_PARSE_OK) {
        uri->ext = veil_http_path_ext(uri->path);
    }
    return e;
}

void
veil_http_uri_split(veil_str_t text, veil_http_uri_t *uri)
{
    const char *mark = NULL;

    if (text.len != 0) {
        mark = memchr(text.data, '?', text.len);
    }
    *uri = (veil_http_uri_t){ .path = text };
    if (mark != NULL) {
        uri->has_args = true;
        uri->path.len = (size_t) (mark - text.data);
        uri->args = veil_str_from(text, uri->path.len + 1);
    }
    uri->ext = veil_http_path_ext(uri->path);
}

veil_str_t
veil_http_uri_escape(veil_pool_t *pool, veil_str_t path)
{
    static const char digits[] = "0123456789ABCDEF";
    unsigned char c;
    size_t i, n = 0;
    char *dst, *u;

    for (i = 0; i < path.len; i++) {
        n += !veil_char_is(path.data[i], VEIL_CC_PATH);
    }
    if (n == 0) {
        return path;
    }
    dst = u = veil_pool_chars(pool, path.len + 2 * n);
    for (i = 0; i < path.len; i++) {
        c = (unsigned char) path.data[i];
        if (veil_char_class[c] & VEIL_CC_PATH) {
            *u++ = (char) c;
        } else {
            *u++ = '%';
            *u++ = digits[c >> 4];
            *u++ = digits[c & 15];
        }
    }
    return veil_str_n(dst, path.len + 2 * n);
}

bool
veil_http_path_is_unsafe(veil_str_t path)
{
    size_t i, begin = 0;

    for (i = 0; i <= path.len; i++) {
        if (i < path.len && path.data[i] == '\0') {
            return true;
        }
        if (i < path.len && path.data[i] != '/') {
            continue;
        }
        if (i - begin == 2 && path.data[begin] == '.'
            && path.data[begin + 1] == '.') {
            return true;
        }
        begin = i + 1;
    }
    return false;
}

static veil_str_t
uri_cut_slashes(veil_str_t s)
{
    while (s.len != 0 && s.data[s.len - 1] == '/') {
        s.len--;
    }
    return s;
}

bool
veil_http_path_is_below(veil_str_t path, veil_str_t prefix)
{
    prefix = uri_cut_slashes(prefix);
    return veil_str_starts(path, prefix)
           && (path.len == prefix.len || path.data[prefix.len] == '/');
}

veil_str_t
veil_http_path_rest(veil_str_t path, veil_str_t prefix)
{
    veil_str_t rest = veil_str_from(path, uri_cut_slashes(prefix).len);

    while (rest.len != 0 && rest.data[0] == '/') {
        rest = veil_str_from(rest, 1);
    }
    return rest;
}

veil_str_t
veil_http_path_join(veil_pool_t *pool, veil_str_t base, veil_str_t rest)
{
    char *dst, *u;

    base = uri_cut_slashes(base);
    while (rest.len != 0 && rest.data[0] == '/') {
        rest = veil_str_from(rest, 1);
    }
    dst = veil_pool_chars(pool, base.len + 1 + rest.len);
    u = veil_fmt_str(dst, base);
    *u++ = '/';
    u = veil_fmt_str(u, rest);
    return veil_str_n(dst, (size_t) (u - dst));
}
