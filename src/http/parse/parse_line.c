/*
 * parse_line.c -- the end of a head, request lines, status lines, hosts.
 *
 * A head is found first and parsed then, in one piece: looking for line feeds
 * with memchr is so fast that a parser which keeps its state over cut input,
 * and the errors such parsers have, are not worth it.  All parsing below the
 * end of the line is thus bounded by that end, and the loops over bytes of a
 * class stop at it by themselves, as no class of theirs holds CR or LF.
 *
 * What RFC 9112 lets a server tolerate is not tolerated (more than one blank
 * between the parts, blanks at the end, a missing version): no client in use
 * needs it, and each is a way for two parsers to disagree.  The bytes of a
 * target are nginx's choice, wider than RFC 3986: all but blanks and
 * controls, because clients do send raw UTF-8 and braces.
 */

#include "core/platform.h"

#include <arpa/inet.h>

#include "http/parse/char_class.h"
#include "http/parse/parse.h"

#define PARSE_MAX_METHOD 32

/* --- methods --------------------------------------------------------------*/

static const struct {
    veil_str_t name;
    veil_http_method_t method;
} parse_methods[] = {
    { VEIL_STR_INIT("GET"), VEIL_GET },
    { VEIL_STR_INIT("HEAD"), VEIL_HEAD },
    { VEIL_STR_INIT("POST"), VEIL_POST },
    { VEIL_STR_INIT("PUT"), VEIL_PUT },
    { VEIL_STR_INIT("DELETE"), VEIL_DELETE },
    { VEIL_STR_INIT("CONNECT"), VEIL_CONNECT },
    { VEIL_STR_INIT("OPTIONS"), VEIL_OPTIONS },
    { VEIL_STR_INIT("TRACE"), VEIL_TRACE },
    { VEIL_STR_INIT("PATCH"), VEIL_PATCH },
    { VEIL_STR_INIT("MKCOL"), VEIL_MKCOL },
    { VEIL_STR_INIT("COPY"), VEIL_COPY },
    { VEIL_STR_INIT("MOVE"), VEIL_MOVE },
    { VEIL_STR_INIT("PROPFIND"), VEIL_PROPFIND },
    { VEIL_STR_INIT("PROPPATCH"), VEIL_PROPPATCH },
    { VEIL_STR_INIT("LOCK"), VEIL_LOCK },
    { VEIL_STR_INIT("UNLOCK"), VEIL_UNLOCK },
};

/* Requests are GET and POST, by far: the order of the table is enough. */
veil_http_method_t
veil_http_method_find(const char *name, size_t len)
{
    unsigned i;

    for (i = 0; i < veil_countof(parse_methods); i++) {
        if (parse_methods[i].name.len == len
            && memcmp(parse_methods[i].name.data, name, len) == 0)
        {
            return parse_methods[i].method;
        }
    }
    return VEIL_METHOD_OTHER;
}

veil_str_t
veil_http_method_name(veil_http_method_t method)
{
    unsigned i;

    for (i = 0; i < veil_countof(parse_methods); i++) {
        if (parse_methods[i].method == method) {
            return parse_methods[i].name;
        }
    }
    return VEIL_STR("");
}

/* --- the head as a whole --------------------------------------------------*/

/*
 * The offset behind complete empty lines at the start, at most one more than
 * is allowed, so that the excess can be seen.
 */
static size_t
parse_empty_lines(const char *p, size_t n, unsigned *lines)
{
    size_t i = 0;

    *lines = 0;
    while (*lines <= VEIL_HTTP_MAX_EMPTY_LINES && n - i >= 2 && p[i] == '\r'
           && p[i + 1] == '\n')
    {
        i += 2;
        ++*lines;
    }
    return i;
}

size_t
veil_http_head_find_end(const char *p, size_t n, size_t *scanned)
{
    const char *end = p + n;
    const char *lf, *next;
    unsigned lines;
    size_t at;

    at = parse_empty_lines(p, n, &lines);
    if (lines > VEIL_HTTP_MAX_EMPTY_LINES) {
        return at;
    }
    next = p + veil_max_size(at, *scanned);
    while ((lf = memchr(next, '\n', (size_t) (end - next))) != NULL) {
        next = lf + 1;
        if (next < end && *next == '\n') {
            return (size_t) (next + 1 - p);
        }
        if (end - next >= 2 && next[0] == '\r' && next[1] == '\n') {
            return (size_t) (next + 2 - p);
        }
        if (end - next < 2 && (next == end || *next == '\r')) {
            /* What follows this line feed will tell. */
            *scanned = (size_t) (lf - p);
            return 0;
        }
    }
    *scanned = n;
    return 0;
}

veil_http_parse_t
veil_http_head_check_begin(const char *p, size_t n)
{
    unsigned lines;
    size_t i, begin;

    begin = parse_empty_lines(p, n, &lines);
    if (lines > VEIL_HTTP_MAX_EMPTY_LINES) {
        return VEIL_PARSE_EMPTY_LINES;
    }
    i = begin;
    while (i < n && veil_char_is(p[i], VEIL_CC_TOKEN)) {
        i++;
    }
    if (i - begin > PARSE_MAX_METHOD) {
        return VEIL_PARSE_METHOD_LONG;
    }
    if (i == n || p[i] == '\r' || (p[i] == ' ' && i > begin)) {
        return VEIL_PARSE_OK;
    }
    if (p[i] == '\n') {
        return VEIL_PARSE_BARE_LF;
    }
    /* ContentType handshake, and the major version (RFC 8446, 5.1). */
    if (i == 0 && p[0] == 0x16 && (n == 1 || p[1] == 0x03)) {
        return VEIL_PARSE_TLS_RECORD;
    }
    return VEIL_PARSE_METHOD;
}

veil_http_parse_t
veil_http_head_too_long(const char *p, size_t n)
{
    unsigned lines;
    size_t i;

    i = parse_empty_lines(p, n, &lines);
    return memchr(p + i, '\n', n - i) == NULL ? VEIL_PARSE_LINE_LONG
                                              : VEIL_PARSE_HEAD_LONG;
}

/* --- hosts ----------------------------------------------------------------*/

/* ":" and digits, or nothing; an empty port is the default one. */
static bool
parse_port(veil_str_t s, uint16_t *port)
{
    unsigned value = 0;
    size_t i;

    *port = 0;
    if (s.len == 0) {
        return true;
    }
    if (s.data[0] != ':' || s.len > sizeof(":65535") - 1) {
        return false;
    }
    for (i = 1; i < s.len; i++) {
        if (s.data[i] < '0' || s.data[i] > '9') {
            return false;
        }
        value = value * 10 + (unsigned) (s.data[i] - '0');
    }
    if (value > UINT16_MAX || (value == 0 && s.len > 1)) {
        return false;
    }
    *port = (uint16_t) value;
    return true;
}

/* "[" IPv6 "]", without zones and addresses of the future. */
static bool
parse_host_ipv6(veil_str_t value, veil_http_host_t *h)
{
    char text[INET6_ADDRSTRLEN];
    struct in6_addr addr;
    const char *close;
    size_t i, len;

    close = memchr(value.data, ']', value.len);
    if (close == NULL) {
        return false;
    }
    len = (size_t) (close - value.data) - 1;
    if (len >= sizeof(text) || memchr(value.data + 1, '\0', len) != NULL) {
        return false;
    }
    memcpy(text, value.data + 1, len);
    text[len] = '\0';
    if (inet_pton(AF_INET6, text, &addr) != 1) {
        return false;
    }
    h->lower = true;
    for (i = 0; i < len; i++) {
        if (text[i] >= 'A' && text[i] <= 'F') {
            h->lower = false;
        }
    }
    h->name = veil_str_n(value.data, len + 2);
    return parse_port(veil_str_from(value, len + 2), &h->port);
}

/*
 * reg-name, which IPv4 addresses are too.  Two dots in a row are refused, as
 * by nginx: an empty label is no name, and "root /sites/$host" must not be
 * led to its parent.
 */
static bool
parse_host_name(veil_str_t value, veil_http_host_t *h)
{
    bool upper = false;
    char c, last = '\0';
    size_t i;

    for (i = 0; i < value.len; i++) {
        c = value.data[i];
        if (c >= 'A' && c <= 'Z') {
            upper = true;
        } else if (c == '.' && last == '.') {
            return false;
        } else if (c == '%') {
            if (value.len - i < 3 || veil_char_hex(value.data[i + 1]) < 0
                || veil_char_hex(value.data[i + 2]) < 0)
            {
                return false;
            }
        } else if (!veil_char_is(c, VEIL_CC_HOST)) {
            break;
        }
        last = c;
    }
    h->lower = !upper;
    h->name = veil_str_n(value.data, last == '.' ? i - 1 : i);
    return h->name.len != 0 && parse_port(veil_str_from(value, i), &h->port);
}

veil_http_parse_t
veil_http_host_parse(veil_str_t value, veil_http_host_t *h)
{
    bool good;

    *h = (veil_http_host_t){ .name = VEIL_STR_NULL };
    if (value.len == 0) {
        return VEIL_PARSE_HOST;
    }
    good = value.data[0] == '[' ? parse_host_ipv6(value, h)
                                : parse_host_name(value, h);
    return good ? VEIL_PARSE_OK : VEIL_PARSE_HOST;
}

/* --- request line ---------------------------------------------------------*/

/* "http://host:80/path?query" into its parts. */
static veil_http_parse_t
parse_absolute(veil_http_request_line_t *line)
{
    veil_str_t t = line->target;
    size_t i = 0, begin;

    while (i < t.len
           && (veil_char_is(t.data[i], VEIL_CC_NAME) || t.data[i] == '+'
               || t.data[i] == '.'))
    {
        i++;
    }
    if (!veil_str_starts(veil_str_from(t, i), VEIL_STR("://"))) {
        return VEIL_PARSE_TARGET_FORM;
    }
    line->form = VEIL_TARGET_ABSOLUTE;
    line->scheme = veil_str_n(t.data, i);
    begin = i + 3;
    for (i = begin; i < t.len; i++) {
        if (t.data[i] == '/' || t.data[i] == '?' || t.data[i] == '#') {
            break;
        }
    }
    if (veil_http_host_parse(veil_str_n(t.data + begin, i - begin),
                             &line->host)
        != VEIL_PARSE_OK)
    {
        return VEIL_PARSE_AUTHORITY;
    }
    line->uri = veil_str_from(t, i);
    return VEIL_PARSE_OK;
}

/* The forms of RFC 9112, 3.2; the bytes are good already. */
static veil_http_parse_t
parse_target(veil_http_request_line_t *line)
{
    char first = line->target.data[0] | 0x20;

    if (line->method == VEIL_CONNECT) {
        line->form = VEIL_TARGET_AUTHORITY;
        if (veil_http_host_parse(line->target, &line->host) != VEIL_PARSE_OK
            || line->host.port == 0)
        {
            return VEIL_PARSE_AUTHORITY;
        }
        return VEIL_PARSE_OK;
    }
    if (line->target.data[0] == '/') {
        line->form = VEIL_TARGET_ORIGIN;
        line->uri = line->target;
        return VEIL_PARSE_OK;
    }
    if (line->target.len == 1 && line->target.data[0] == '*'
        && line->method == VEIL_OPTIONS)
    {
        line->form = VEIL_TARGET_ASTERISK;
        line->uri = line->target;
        return VEIL_PARSE_OK;
    }
    if (first >= 'a' && first <= 'z') {
        return parse_absolute(line);
    }
    return VEIL_PARSE_TARGET_FORM;
}

/* What stands behind the target, up to the end of the line. */
static veil_http_parse_t
parse_version(const char *p, const char *eol, unsigned *version)
{
    if (p == eol) {
        return VEIL_PARSE_NO_VERSION;
    }
    if (*p == ' ' || eol[-1] == ' ') {
        return VEIL_PARSE_LINE_BLANKS;
    }
    if (eol - p != 8 || memcmp(p, "HTTP/", 5) != 0 || p[6] != '.' || p[5] < '1'
        || p[5] > '9' || p[7] < '0' || p[7] > '9')
    {
        return memchr(p, '\r', (size_t) (eol - p)) != NULL
                   ? VEIL_PARSE_BARE_CR
                   : VEIL_PARSE_VERSION;
    }
    if (p[5] != '1') {
        return VEIL_PARSE_VERSION_MAJOR;
    }
    *version = p[7] == '0' ? 10 : 11;
    return VEIL_PARSE_OK;
}

/* The reason for a byte that ends a method or a target but is no blank. */
static veil_http_parse_t
parse_odd_byte(char c, veil_http_parse_t other)
{
    return c == '\r' ? VEIL_PARSE_BARE_CR : c == '\0' ? VEIL_PARSE_NUL : other;
}

/* method SP target SP version in [p, eol) */
static veil_http_parse_t
parse_request_parts(const char *p, const char *eol,
                    veil_http_request_line_t *line)
{
    veil_http_parse_t e;
    const char *begin;

    begin = p;
    while (p < eol && veil_char_is(*p, VEIL_CC_TOKEN)) {
        p++;
    }
    line->method_name = veil_str_n(begin, (size_t) (p - begin));
    if (p == eol) {
        return VEIL_PARSE_NO_VERSION;
    }
    if (*p != ' ' || p == begin) {
        line->method_name.len = 0;
        return parse_odd_byte(*p, VEIL_PARSE_METHOD);
    }
    if (line->method_name.len > PARSE_MAX_METHOD) {
        return VEIL_PARSE_METHOD_LONG;
    }
    line->method = veil_http_method_find(begin, line->method_name.len);

    begin = ++p;
    while (p < eol && veil_char_is(*p, VEIL_CC_TARGET)) {
        p++;
    }
    line->target = veil_str_n(begin, (size_t) (p - begin));
    if (p == eol) {
        return VEIL_PARSE_NO_VERSION;
    }
    if (*p != ' ') {
        return parse_odd_byte(*p, VEIL_PARSE_TARGET);
    }
    if (p == begin) {
        return VEIL_PARSE_LINE_BLANKS;
    }
    e = parse_version(p + 1, eol, &line->version);
    return e != VEIL_PARSE_OK ? e : parse_target(line);
}

veil_http_parse_t
veil_http_request_line_parse(const char *p, size_t n,
                             veil_http_request_line_t *line)
{
    const char *begin, *lf;
    unsigned lines;

    *line = (veil_http_request_line_t){ .method = VEIL_METHOD_OTHER };
    begin = p + parse_empty_lines(p, n, &lines);
    if (lines > VEIL_HTTP_MAX_EMPTY_LINES) {
        line->len = (size_t) (begin - p);
        return VEIL_PARSE_EMPTY_LINES;
    }
    lf = memchr(begin, '\n', n - (size_t) (begin - p));
    if (lf == NULL) {
        line->len = n;
        line->line = veil_str_n(begin, n - (size_t) (begin - p));
        return VEIL_PARSE_CUT;
    }
    line->len = (size_t) (lf + 1 - p);
    if (lf == begin || lf[-1] != '\r') {
        line->line = veil_str_n(begin, (size_t) (lf - begin));
        return VEIL_PARSE_BARE_LF;
    }
    line->line = veil_str_n(begin, (size_t) (lf - 1 - begin));
    return parse_request_parts(begin, lf - 1, line);
}

/* --- status line ----------------------------------------------------------*/

/* "HTTP/1.1 200 Fine"; the blank before an empty reason may be missing. */
static veil_http_parse_t
parse_status_parts(const char *p, const char *eol,
                   veil_http_status_line_t *line)
{
    const char *reason = p + 12;
    int i, status = 0;

    if (eol - p < 12 || memcmp(p, "HTTP/1.", 7) != 0 || p[7] < '0'
        || p[7] > '9' || p[8] != ' ')
    {
        return VEIL_PARSE_STATUS_LINE;
    }
    for (i = 9; i < 12; i++) {
        if (p[i] < '0' || p[i] > '9') {
            return VEIL_PARSE_STATUS_LINE;
        }
        status = status * 10 + (p[i] - '0');
    }
    if (status < 100) {
        return VEIL_PARSE_STATUS_LINE;
    }
    if (reason < eol && *reason++ != ' ') {
        return VEIL_PARSE_STATUS_LINE;
    }
    line->version = p[7] == '0' ? 10 : 11;
    line->status = status;
    line->reason = veil_str_n(reason, (size_t) (eol - reason));
    while (reason < eol) {
        if (!veil_char_is(*reason, VEIL_CC_VALUE)) {
            return parse_odd_byte(*reason, VEIL_PARSE_STATUS_LINE);
        }
        reason++;
    }
    return VEIL_PARSE_OK;
}

veil_http_parse_t
veil_http_status_line_parse(const char *p, size_t n, unsigned flags,
                            veil_http_status_line_t *line)
{
    const char *eol, *lf;

    *line = (veil_http_status_line_t){ .status = 0 };
    lf = memchr(p, '\n', n);
    if (lf == NULL) {
        line->len = n;
        line->line = veil_str_n(p, n);
        return VEIL_PARSE_CUT;
    }
    line->len = (size_t) (lf + 1 - p);
    eol = lf;
    if (lf > p && lf[-1] == '\r') {
        eol--;
    } else if ((flags & VEIL_HTTP_ALLOW_LF) == 0) {
        line->line = veil_str_n(p, (size_t) (lf - p));
        return VEIL_PARSE_BARE_LF;
    }
    line->line = veil_str_n(p, (size_t) (eol - p));
    return parse_status_parts(p, eol, line);
}
