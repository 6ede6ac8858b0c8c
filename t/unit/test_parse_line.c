/*
 * test_parse_line.c -- classes of bytes, hosts, methods, heads in pieces.
 */

#include "core/platform.h"

#include <ctype.h>

#include <criterion/criterion.h>

#include "http/parse/char_class.h"
#include "http/parse/parse.h"

/* Whether c is one of the characters of set, which has no NUL. */
static bool
line_in(int c, const char *set)
{
    return c != '\0' && strchr(set, c) != NULL;
}

/* The table against the words of the standards. */
Test(parse_line, classes)
{
    bool letter, control;
    int c;

    for (c = 0; c < 256; c++) {
        letter = c < 128 && isalnum(c);
        control = c < 0x20 || c == 0x7f;
        cr_expect_eq((veil_char_class[c] & VEIL_CC_TOKEN) != 0,
                     letter || line_in(c, "!#$%&'*+-.^_`|~"), "%d", c);
        cr_expect_eq((veil_char_class[c] & VEIL_CC_NAME) != 0,
                     letter || c == '-', "%d", c);
        cr_expect_eq((veil_char_class[c] & VEIL_CC_TARGET) != 0,
                     !control && c != ' ', "%d", c);
        cr_expect_eq((veil_char_class[c] & VEIL_CC_VALUE) != 0,
                     !control || c == '\t', "%d", c);
        cr_expect_eq((veil_char_class[c] & VEIL_CC_HOST) != 0,
                     letter || line_in(c, "-._~!$&'()*+,;="), "%d", c);
        cr_expect_eq((veil_char_class[c] & VEIL_CC_PLAIN) != 0,
                     !control && c != ' ' && !line_in(c, "/%?#."), "%d", c);
        cr_expect_eq((veil_char_class[c] & VEIL_CC_ETAG) != 0,
                     !control && c != ' ' && c != '"', "%d", c);
        cr_expect_eq((veil_char_class[c] & VEIL_CC_PATH) != 0,
                     !control && c != ' ' && c < 0x80
                         && !line_in(c, "\"#%<>?\\^`{|}"),
                     "%d", c);
    }
}

Test(parse_line, methods)
{
    veil_str_t name;
    unsigned bit;

    for (bit = VEIL_GET; bit < VEIL_METHOD_OTHER; bit <<= 1) {
        name = veil_http_method_name((veil_http_method_t) bit);
        cr_assert(name.len != 0);
        cr_expect_eq(veil_http_method_find(name.data, name.len), bit);
        cr_expect_eq(veil_http_method_find(name.data, name.len - 1),
                     VEIL_METHOD_OTHER);
    }
    cr_expect_eq(veil_http_method_find("get", 3), VEIL_METHOD_OTHER);
    cr_expect_eq(veil_http_method_find("", 0), VEIL_METHOD_OTHER);
    cr_expect_eq(veil_http_method_name(VEIL_METHOD_OTHER).len, 0);
}

Test(parse_line, reasons)
{
    unsigned e;

    for (e = 0; e < VEIL_PARSE_COUNT; e++) {
        cr_expect(strlen(veil_http_parse_reason((veil_http_parse_t) e)) > 4);
        cr_expect((veil_http_parse_status((veil_http_parse_t) e) >= 400)
                  == (e > VEIL_PARSE_END));
    }
    cr_expect_eq(veil_http_parse_status(VEIL_PARSE_LINE_LONG), 414);
    cr_expect_eq(veil_http_parse_status(VEIL_PARSE_HEAD_LONG), 431);
    cr_expect_eq(veil_http_parse_status(VEIL_PARSE_VERSION_MAJOR), 505);
    cr_expect_eq(veil_http_parse_status(VEIL_PARSE_CODING_UNKNOWN), 501);
}

Test(parse_line, hosts)
{
    static const struct {
        const char *value, *name; /* NULL: refused */
        unsigned port;
        bool lower;
    } cases[] = {
        { "example.com", "example.com", 0, true },
        { "Example.COM:8080", "Example.COM", 8080, false },
        { "example.com.", "example.com", 0, true },
        { "example.com.:80", "example.com", 80, true },
        { "example.com:", "example.com", 0, true },
        { "a:65535", "a", 65535, true },
        { "a:00080", "a", 80, true },
        { "127.0.0.1", "127.0.0.1", 0, true },
        { "a_b-c~d", "a_b-c~d", 0, true },
        { "%41%c3", "%41%c3", 0, true },
        { "[::1]", "[::1]", 0, true },
        { "[::1]:443", "[::1]", 443, true },
        { "[2001:DB8::1]", "[2001:DB8::1]", 0, false },
        { "[::ffff:10.0.0.1]:1", "[::ffff:10.0.0.1]", 1, true },
        { "", NULL, 0, false },
        { ".", NULL, 0, false },
        { ":80", NULL, 0, false },
        { "a..b", NULL, 0, false },
        { "..", NULL, 0, false },
        { "a/b", NULL, 0, false },
        { "a\\b", NULL, 0, false },
        { "a b", NULL, 0, false },
        { "a@b", NULL, 0, false },
        { "a\"b", NULL, 0, false },
        { "a\x01", NULL, 0, false },
        { "\xc3\xa9.com", NULL, 0, false },
        { "a%4", NULL, 0, false },
        { "a%zz", NULL, 0, false },
        { "a:0", NULL, 0, false },
        { "a:65536", NULL, 0, false },
        { "a:99999999999999999999", NULL, 0, false },
        { "a:8o", NULL, 0, false },
        { "a:80:80", NULL, 0, false },
        { "a:-1", NULL, 0, false },
        { "[", NULL, 0, false },
        { "[]", NULL, 0, false },
        { "[::1", NULL, 0, false },
        { "[::1]x", NULL, 0, false },
        { "[::1]:", "[::1]", 0, true },
        { "[::g]", NULL, 0, false },
        { "[fe80::1%25eth0]", NULL, 0, false },
        { "[v1.x]", NULL, 0, false },
        { "[10.0.0.1]", NULL, 0, false },
        { "::1", NULL, 0, false },
    };
    veil_http_parse_t e;
    veil_http_host_t h;
    size_t i, len;
    char *copy;

    for (i = 0; i < veil_countof(cases); i++) {
        len = strlen(cases[i].value);
        copy = malloc(len);
        if (len != 0) {
            memcpy(copy, cases[i].value, len);
        }
        e = veil_http_host_parse(veil_str_n(copy, len), &h);
        cr_expect_eq(e == VEIL_PARSE_OK, cases[i].name != NULL, "%s",
                     cases[i].value);
        if (cases[i].name != NULL && e == VEIL_PARSE_OK) {
            cr_expect(veil_str_eq_z(h.name, cases[i].name), "%s",
                      cases[i].value);
            cr_expect_eq(h.port, cases[i].port, "%s", cases[i].value);
            cr_expect_eq(h.lower, cases[i].lower, "%s", cases[i].value);
        }
        free(copy);
    }
    cr_expect_eq(veil_http_host_parse(veil_str_n("[::1\0]", 6), &h),
                 VEIL_PARSE_HOST);
    cr_expect_eq(veil_http_host_parse(veil_str_n("a\0b", 3), &h),
                 VEIL_PARSE_HOST);
}

static veil_http_request_line_t
line_parse(const char *z)
{
    veil_http_request_line_t line;

    cr_assert_eq(veil_http_request_line_parse(z, strlen(z), &line),
                 VEIL_PARSE_OK);
    return line;
}

Test(parse_line, forms)
{
    veil_http_request_line_t l;

    l = line_parse("\r\nGET /a?b HTTP/1.0\r\nX: y\r\n\r\n");
    cr_expect_eq(l.form, VEIL_TARGET_ORIGIN);
    cr_expect_eq(l.len, 21);
    cr_expect_eq(l.version, 10);
    cr_expect_eq(l.method, VEIL_GET);
    cr_expect(veil_str_eq_z(l.line, "GET /a?b HTTP/1.0"));
    cr_expect(veil_str_eq_z(l.uri, "/a?b"));
    cr_expect(veil_str_eq_z(l.target, "/a?b"));

    l = line_parse("POST HTTP://User.example:81?q HTTP/1.7\r\n\r\n");
    cr_expect_eq(l.form, VEIL_TARGET_ABSOLUTE);
    cr_expect_eq(l.version, 11);
    cr_expect(veil_str_eq_z(l.scheme, "HTTP"));
    cr_expect(veil_str_eq_z(l.host.name, "User.example"));
    cr_expect_eq(l.host.port, 81);
    cr_expect(veil_str_eq_z(l.uri, "?q"));

    l = line_parse("CONNECT [::1]:443 HTTP/1.1\r\n\r\n");
    cr_expect_eq(l.form, VEIL_TARGET_AUTHORITY);
    cr_expect(veil_str_eq_z(l.host.name, "[::1]"));
    cr_expect_eq(l.host.port, 443);
    cr_expect_eq(l.uri.len, 0);

    l = line_parse("OPTIONS * HTTP/1.1\r\n\r\n");
    cr_expect_eq(l.form, VEIL_TARGET_ASTERISK);
    cr_expect(veil_str_eq_z(l.uri, "*"));
}

/* For the log: the line is there also when it is wrong. */
Test(parse_line, after_error)
{
    static const char text[] = "POST /x y HTTP/1.1\r\nHost: a\r\n\r\n";
    veil_http_request_line_t l;

    cr_expect_eq(veil_http_request_line_parse(text, sizeof(text) - 1, &l),
                 VEIL_PARSE_VERSION);
    cr_expect(veil_str_eq_z(l.line, "POST /x y HTTP/1.1"));
    cr_expect(veil_str_eq_z(l.method_name, "POST"));
    cr_expect_eq(l.len, 20);
    cr_expect_eq(veil_http_request_line_parse("GET", 3, &l), VEIL_PARSE_CUT);
    cr_expect(veil_str_eq_z(l.line, "GET"));
}

Test(parse_line, check_begin)
{
    static const struct {
        const char *text;
        size_t len;
        veil_http_parse_t expected;
    } cases[] = {
        { "", 0, VEIL_PARSE_OK },
        { "G", 1, VEIL_PARSE_OK },
        { "GET ", 4, VEIL_PARSE_OK },
        { "\r", 1, VEIL_PARSE_OK },
        { "\r\n\r\nGET", 7, VEIL_PARSE_OK },
        { "GET \x01", 5, VEIL_PARSE_OK }, /* that is for later */
        { "\x16", 1, VEIL_PARSE_TLS_RECORD },
        { "\x16\x03\x01", 3, VEIL_PARSE_TLS_RECORD },
        { "\x16\x04", 2, VEIL_PARSE_METHOD },
        { "\0", 1, VEIL_PARSE_METHOD },
        { " ", 1, VEIL_PARSE_METHOD },
        { "\n", 1, VEIL_PARSE_BARE_LF },
        { "GET\n", 4, VEIL_PARSE_BARE_LF },
        { "\x80\x67\x01\x03", 4, VEIL_PARSE_METHOD },
        { "ABCDEFGHIJKLMNOPQRSTUVWXYZ012345", 32, VEIL_PARSE_OK },
        { "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456", 33, VEIL_PARSE_METHOD_LONG },
        { "\r\n\r\n\r\n\r\n\r\n", 10, VEIL_PARSE_EMPTY_LINES },
    };
    veil_http_parse_t e;
    size_t i;

    for (i = 0; i < veil_countof(cases); i++) {
        e = veil_http_head_check_begin(cases[i].text, cases[i].len);
        cr_expect_eq(e, cases[i].expected, "case %zu: %s", i,
                     veil_http_parse_reason(e));
    }
}

Test(parse_line, too_long)
{
    cr_expect_eq(veil_http_head_too_long("GET /aaaa", 9),
                 VEIL_PARSE_LINE_LONG);
    cr_expect_eq(veil_http_head_too_long("\r\nGET /aa", 9),
                 VEIL_PARSE_LINE_LONG);
    cr_expect_eq(veil_http_head_too_long("GET /\r\nA:", 9),
                 VEIL_PARSE_HEAD_LONG);
}

/* A head that comes byte by byte is looked at once, not over and over. */
Test(parse_line, find_end_scans_once)
{
    size_t n = 64 * 1024, have, scanned = 0, back = 0;
    char *p = malloc(n);

    memset(p, 'a', n);
    memcpy(p + n - 6, "a\n\r\r\n\n", 6);
    for (have = 1; have < n; have++) {
        cr_assert_eq(veil_http_head_find_end(p, have, &scanned), 0);
        cr_assert_leq(scanned, have);
        back = veil_max_size(back, have - scanned);
    }
    cr_expect_leq(back, 2);
    cr_expect_eq(veil_http_head_find_end(p, n, &scanned), n);
    free(p);
}
