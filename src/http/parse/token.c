/*
 * token.c -- small scanners over field values.
 *
 * Each walks its text once.  Quoted strings are respected wherever the
 * grammar has them; an unclosed one reaches to the end.  Entity tags have a
 * scanner of their own, as a backslash means nothing within one.
 */

#include "core/platform.h"

#include "http/parse/char_class.h"
#include "http/parse/token.h"

static bool
token_is_blank(char c)
{
    return c == ' ' || c == '\t';
}

static veil_str_t
token_trim(veil_str_t s)
{
    while (s.len != 0 && token_is_blank(s.data[0])) {
        s = veil_str_from(s, 1);
    }
    while (s.len != 0 && token_is_blank(s.data[s.len - 1])) {
        s.len--;
    }
    return s;
}

/* The offset of the first separator outside of quoted strings, or the length.
 */
static size_t
token_find(veil_str_t s, char separator)
{
    bool quoted = false;
    size_t i;

    for (i = 0; i < s.len; i++) {
        if (s.data[i] == '"') {
            quoted = !quoted;
        } else if (quoted && s.data[i] == '\\') {
            i++;
        } else if (!quoted && s.data[i] == separator) {
            return i;
        }
    }
    return s.len;
}

/* Cuts *rest at the separator; what stands before it, trimmed. */
static veil_str_t
token_cut(veil_str_t *rest, char separator)
{
    size_t i = token_find(*rest, separator);
    veil_str_t part = token_trim(veil_str_n(rest->data, i));

    *rest = veil_str_from(*rest, i < rest->len ? i + 1 : i);
    return part;
}

bool
veil_http_list_next(veil_str_t *rest, veil_str_t *element)
{
    while (rest->len != 0) {
        *element = token_cut(rest, ',');
        if (element->len != 0) {
            return true;
        }
    }
    return false;
}

bool
veil_http_list_has(veil_str_t list, veil_str_t token)
{
    veil_str_t element;

    while (veil_http_list_next(&list, &element)) {
        if (veil_str_caseeq(element, token)) {
            return true;
        }
    }
    return false;
}

bool
veil_http_param_next(veil_str_t *rest, veil_str_t *name, veil_str_t *value)
{
    veil_str_t part;
    size_t i;

    while (rest->len != 0) {
        part = token_cut(rest, ';');
        if (part.len == 0) {
            continue;
        }
        i = token_find(part, '=');
        *name = token_trim(veil_str_n(part.data, i));
        *value = i < part.len ? token_trim(veil_str_from(part, i + 1))
                              : VEIL_STR_NULL;
        return true;
    }
    return false;
}

size_t
veil_http_unquote(char *dst, veil_str_t value)
{
    size_t i, n = 0;

    if (value.len == 0 || value.data[0] != '"') {
        veil_fmt_str(dst, value);
        return value.len;
    }
    for (i = 1; i < value.len && value.data[i] != '"'; i++) {
        if (value.data[i] == '\\' && i + 1 < value.len) {
            i++;
        }
        dst[n++] = value.data[i];
    }
    return n;
}

/*
 * qvalue (RFC 9110, 12.4.2) in thousandths: "0", "0.5", "1.000".  -1: it is
 * none.
 */
static int
token_qvalue(veil_str_t s)
{
    int scale = 100, q;
    size_t i;

    if (s.len == 0 || s.len > 5 || (s.data[0] != '0' && s.data[0] != '1')
        || (s.len > 1 && s.data[1] != '.'))
    {
        return -1;
    }
    q = (s.data[0] - '0') * 1000;
    for (i = 2; i < s.len; i++) {
        if (s.data[i] < '0' || s.data[i] > '9') {
            return -1;
        }
        q += (s.data[i] - '0') * scale;
        scale /= 10;
    }
    return q <= 1000 ? q : -1;
}

int
veil_http_quality(veil_str_t list, veil_str_t token)
{
    veil_str_t element, name, key, value;
    int q, others = -1;

    while (veil_http_list_next(&list, &element)) {
        if (!veil_http_param_next(&element, &name, &value)) {
            continue;
        }
        q = 1000;
        while (veil_http_param_next(&element, &key, &value)) {
            if (veil_str_caseeq(key, VEIL_STR("q"))) {
                q = token_qvalue(value);
            }
        }
        if (q < 0) {
            continue;
        }
        if (veil_str_caseeq(name, token)) {
            return q;
        }
        if (veil_str_eq(name, VEIL_STR("*"))) {
            others = q;
        }
    }
    return others;
}

bool
veil_http_directive_find(veil_str_t list, veil_str_t name, veil_str_t *value)
{
    veil_str_t element, v;
    size_t i;

    while (veil_http_list_next(&list, &element)) {
        i = token_find(element, '=');
        if (!veil_str_caseeq(token_trim(veil_str_n(element.data, i)), name)) {
            continue;
        }
        v = VEIL_STR_NULL;
        if (i < element.len) {
            v = token_trim(veil_str_from(element, i + 1));
        }
        if (v.len >= 2 && v.data[0] == '"' && v.data[v.len - 1] == '"') {
            v = veil_str_n(v.data + 1, v.len - 2);
        }
        if (value != NULL) {
            *value = v;
        }
        return true;
    }
    return false;
}

bool
veil_http_cookie_find(veil_str_t cookies, veil_str_t name, veil_str_t *value)
{
    const char *semicolon, *equals;
    veil_str_t pair;

    while (cookies.len != 0) {
        semicolon = memchr(cookies.data, ';', cookies.len);
        pair = cookies;
        if (semicolon != NULL) {
            pair.len = (size_t) (semicolon - cookies.data);
        }
        cookies = veil_str_from(cookies, pair.len + (semicolon != NULL));
        equals = pair.len != 0 ? memchr(pair.data, '=', pair.len) : NULL;
        if (equals != NULL
            && veil_str_caseeq(token_trim(veil_str_n(
                                   pair.data, (size_t) (equals - pair.data))),
                               name))
        {
            *value = token_trim(
                veil_str_from(pair, (size_t) (equals - pair.data) + 1));
            return true;
        }
    }
    return false;
}

/* --- entity tags ----------------------------------------------------------*/

bool
veil_http_etag_is_weak(veil_str_t etag)
{
    return veil_str_starts(etag, VEIL_STR("W/"));
}

static veil_str_t
token_opaque_tag(veil_str_t etag)
{
    return veil_http_etag_is_weak(etag) ? veil_str_from(etag, 2) : etag;
}

bool
veil_http_etag_is_valid(veil_str_t etag)
{
    veil_str_t s = token_opaque_tag(etag);
    size_t i;

    if (s.len < 2 || s.data[0] != '"' || s.data[s.len - 1] != '"') {
        return false;
    }
    for (i = 1; i < s.len - 1; i++) {
        if (!veil_char_is(s.data[i], VEIL_CC_ETAG)) {
            return false;
        }
    }
    return true;
}

bool
veil_http_etag_eq(veil_str_t a, veil_str_t b, bool weak)
{
    if (!weak && (veil_http_etag_is_weak(a) || veil_http_etag_is_weak(b))) {
        return false;
    }
    return veil_str_eq(token_opaque_tag(a), token_opaque_tag(b));
}

/*
 * Cuts the next entity tag off a list; what is none, up to the next comma, is
 * skipped.  false: no more.
 */
static bool
token_etag_next(veil_str_t *rest, veil_str_t *etag)
{
    veil_str_t s = *rest;
    const char *close, *comma;
    size_t open;

    while (s.len != 0) {
        if (token_is_blank(s.data[0]) || s.data[0] == ',') {
            s = veil_str_from(s, 1);
            continue;
        }
        open = veil_http_etag_is_weak(s) ? 2 : 0;
        close = NULL;
        if (open < s.len && s.data[open] == '"') {
            close = memchr(s.data + open + 1, '"', s.len - open - 1);
        }
        if (close != NULL) {
            *etag = veil_str_n(s.data, (size_t) (close + 1 - s.data));
            *rest = veil_str_from(s, etag->len);
            return true;
        }
        comma = memchr(s.data, ',', s.len);
        s = veil_str_from(s,
                          comma == NULL ? s.len : (size_t) (comma - s.data));
    }
    return false;
}

bool
veil_http_etag_list_has(veil_str_t list, veil_str_t etag, bool weak)
{
    veil_str_t tag;

    if (veil_str_eq(token_trim(list), VEIL_STR("*"))) {
        return true;
    }
    while (token_etag_next(&list, &tag)) {
        if (veil_http_etag_eq(tag, etag, weak)) {
            return true;
        }
    }
    return false;
}

/* --- priorities ------------------------------------------------------------
 */

/* A member of a dictionary (RFC 8941, 3.2) without what is said about it. */
static veil_str_t
token_member(veil_str_t element)
{
    const char *end = memchr(element.data, ';', element.len);

    return end == NULL ? element
                       : token_trim(veil_str_n(element.data,
                                               (size_t) (end - element.data)));
}

void
veil_http_priority_parse(veil_str_t value, unsigned *urgency,
                         bool *incremental)
{
    veil_str_t m;

    while (veil_http_list_next(&value, &m)) {
        m = token_member(m);
        if (m.len == 3 && memcmp(m.data, "u=", 2) == 0 && m.data[2] >= '0'
            && m.data[2] <= '7')
        {
            *urgency = (unsigned) (m.data[2] - '0');
        } else if (veil_str_eq(m, VEIL_STR("i"))
                   || veil_str_eq(m, VEIL_STR("i=?1"))) {
            *incremental = true;
        } else if (veil_str_eq(m, VEIL_STR("i=?0"))) {
            *incremental = false;
        }
    }
}
