/*
 * test_token.c -- lists, parameters, qualities, cookies, entity tags,
 * priorities.
 */

#include "core/platform.h"

#include <criterion/criterion.h>

#include "http/parse/token.h"

#define S(z) veil_str_z(z)

/* The elements, each in brackets. */
static const char *
token_elements(const char *list)
{
    static char out[256];
    veil_str_t rest = S(list), element;
    size_t n = 0;

    out[0] = '\0';
    while (veil_http_list_next(&rest, &element)) {
        n += (size_t) snprintf(out + n, sizeof(out) - n, "[%.*s]",
                               VEIL_STR_ARG(element));
    }
    cr_assert_eq(rest.len, 0);
    return out;
}

static const char *
token_params(const char *text)
{
    static char out[256];
    veil_str_t rest = S(text), name, value;
    size_t n = 0;

    out[0] = '\0';
    while (veil_http_param_next(&rest, &name, &value)) {
        n += (size_t) snprintf(out + n, sizeof(out) - n, "[%.*s|%.*s]",
                               VEIL_STR_ARG(name), VEIL_STR_ARG(value));
    }
    return out;
}

Test(token, lists)
{
    cr_expect_str_eq(token_elements(""), "");
    cr_expect_str_eq(token_elements(" , ,\t"), "");
    cr_expect_str_eq(token_elements("a"), "[a]");
    cr_expect_str_eq(token_elements("a,b"), "[a][b]");
    cr_expect_str_eq(token_elements(" a\t, , b c ,"), "[a][b c]");
    cr_expect_str_eq(token_elements("\"a,b\", c"), "[\"a,b\"][c]");
    cr_expect_str_eq(token_elements("\"a\\\",b\",c"), "[\"a\\\",b\"][c]");
    cr_expect_str_eq(token_elements("x=\"a, b"), "[x=\"a, b]");
    cr_expect_str_eq(token_elements("\"a\\"), "[\"a\\]");
    cr_expect(veil_http_list_has(S("Keep-Alive, Close"), S("close")));
    cr_expect(!veil_http_list_has(S("closed, x close"), S("close")));
    cr_expect(!veil_http_list_has(S("\"close, close\""), S("close")));
    cr_expect(!veil_http_list_has(S(""), S("close")));
}

Test(token, params)
{
    char out[32];

    cr_expect_str_eq(token_params(""), "");
    cr_expect_str_eq(token_params("text/html"), "[text/html|]");
    cr_expect_str_eq(token_params("a; b=c ;d = \"e;f\"; ;g="),
                     "[a|][b|c][d|\"e;f\"][g|]");
    cr_expect_eq(veil_http_unquote(out, S("plain")), 5);
    cr_expect_eq(veil_http_unquote(out, S("\"a\\\"b;c\\\\\" x")), 6);
    cr_expect_arr_eq(out, "a\"b;c\\", 6);
    cr_expect_eq(veil_http_unquote(out, S("\"open")), 4);
    cr_expect_eq(veil_http_unquote(out, S("\"\\")), 1);
    cr_expect_eq(veil_http_unquote(out, S("")), 0);
}

Test(token, quality)
{
    cr_expect_eq(veil_http_quality(S("gzip"), S("gzip")), 1000);
    cr_expect_eq(veil_http_quality(S("GZIP;Q=0.5"), S("gzip")), 500);
    cr_expect_eq(veil_http_quality(S("br, gzip ; q=0.05"), S("gzip")), 50);
    cr_expect_eq(veil_http_quality(S("gzip;q=0.001"), S("gzip")), 1);
    cr_expect_eq(veil_http_quality(S("gzip;q=0"), S("gzip")), 0);
    cr_expect_eq(veil_http_quality(S("gzip;q=0."), S("gzip")), 0);
    cr_expect_eq(veil_http_quality(S("gzip;q=1.000"), S("gzip")), 1000);
    cr_expect_eq(veil_http_quality(S("*;q=0.3, gzip;q=0"), S("gzip")), 0);
    cr_expect_eq(veil_http_quality(S("*;q=0.3, br"), S("gzip")), 300);
    cr_expect_eq(veil_http_quality(S("*"), S("gzip")), 1000);
    cr_expect_eq(veil_http_quality(S("br"), S("gzip")), -1);
    cr_expect_eq(veil_http_quality(S("xgzip, gzipx"), S("gzip")), -1);
    cr_expect_eq(veil_http_quality(S(""), S("gzip")), -1);
    /* What is no weight makes the element no element. */
    cr_expect_eq(veil_http_quality(S("gzip;q=2"), S("gzip")), -1);
    cr_expect_eq(veil_http_quality(S("gzip;q=1.001"), S("gzip")), -1);
    cr_expect_eq(veil_http_quality(S("gzip;q=0.0001"), S("gzip")), -1);
    cr_expect_eq(veil_http_quality(S("gzip;q=,*;q=.5"), S("gzip")), -1);
}

Test(token, directives)
{
    veil_str_t v;

    cr_expect(
        veil_http_directive_find(S("no-cache, Max-Age=60"), S("max-age"), &v));
    cr_expect(veil_str_eq_z(v, "60"));
    cr_expect(
        veil_http_directive_find(S("private=\"a, b\", x"), S("private"), &v));
    cr_expect(veil_str_eq_z(v, "a, b"));
    cr_expect(veil_http_directive_find(S("a, no-store"), S("no-store"), &v));
    cr_expect_eq(v.len, 0);
    cr_expect(veil_http_directive_find(S("a=\""), S("a"), NULL));
    cr_expect(!veil_http_directive_find(S("s-maxage=1"), S("maxage"), &v));
    cr_expect(
        !veil_http_directive_find(S("x=\"no-store, a\""), S("no-store"), &v));
}

static const char *
token_cookie(const char *cookies, const char *name)
{
    static char out[64];
    veil_str_t v;

    if (!veil_http_cookie_find(S(cookies), S(name), &v)) {
        return NULL;
    }
    veil_str_copy_z(out, sizeof(out), v);
    return out;
}

Test(token, cookies)
{
    cr_expect_str_eq(token_cookie("a=1; b=2", "a"), "1");
    cr_expect_str_eq(token_cookie("a=1; b=2", "b"), "2");
    cr_expect_str_eq(token_cookie("a=1;B=2", "b"), "2");
    cr_expect_str_eq(token_cookie("a=b=c; d", "a"), "b=c");
    cr_expect_str_eq(token_cookie("a=; b", "a"), "");
    cr_expect_str_eq(token_cookie(" a = x y ; b", "a"), "x y");
    cr_expect_str_eq(token_cookie("a=1; a=2", "a"), "1");
    cr_expect_null(token_cookie("ab=1; xa=2; c=a=3", "a"));
    cr_expect_null(token_cookie("a; b=1", "a"));
    cr_expect_null(token_cookie("", "a"));
    cr_expect_null(token_cookie(";;=;", "a"));
}

Test(token, etags)
{
    cr_expect(veil_http_etag_is_valid(S("\"\"")));
    cr_expect(veil_http_etag_is_valid(S("W/\"a,\\b\xc3\"")));
    cr_expect(!veil_http_etag_is_valid(S("\"")));
    cr_expect(!veil_http_etag_is_valid(S("w/\"a\"")));
    cr_expect(!veil_http_etag_is_valid(S("\"a\"b\"")));
    cr_expect(!veil_http_etag_is_valid(S("\"a b\"")));
    cr_expect(!veil_http_etag_is_valid(S("a")));
    cr_expect(!veil_http_etag_is_valid(S("")));

    /* The table of RFC 9110, 8.8.3.2. */
    cr_expect(!veil_http_etag_eq(S("W/\"1\""), S("W/\"1\""), false));
    cr_expect(veil_http_etag_eq(S("W/\"1\""), S("W/\"1\""), true));
    cr_expect(!veil_http_etag_eq(S("W/\"1\""), S("W/\"2\""), true));
    cr_expect(!veil_http_etag_eq(S("W/\"1\""), S("\"1\""), false));
    cr_expect(veil_http_etag_eq(S("W/\"1\""), S("\"1\""), true));
    cr_expect(veil_http_etag_eq(S("\"1\""), S("\"1\""), false));
}

Test(token, etag_lists)
{
    veil_str_t tag = S("\"b,c\"");

    cr_expect(veil_http_etag_list_has(S("*"), tag, false));
    cr_expect(veil_http_etag_list_has(S(" * "), tag, true));
    cr_expect(veil_http_etag_list_has(S("\"b,c\""), tag, false));
    cr_expect(veil_http_etag_list_has(S("\"a\" , \"b,c\""), tag, false));
    cr_expect(veil_http_etag_list_has(S("\"a\",,W/\"b,c\""), tag, true));
    cr_expect(!veil_http_etag_list_has(S("\"a\",W/\"b,c\""), tag, false));
    cr_expect(!veil_http_etag_list_has(S("b,c"), tag, false));
    cr_expect(!veil_http_etag_list_has(S("\"x\\\",\"b"), tag, false));
    cr_expect(veil_http_etag_list_has(S("junk, \"b,c\""), tag, false));
    cr_expect(!veil_http_etag_list_has(S("W/, \"a"), tag, true));
    cr_expect(!veil_http_etag_list_has(S("\"*\""), tag, true));
    cr_expect(!veil_http_etag_list_has(S(""), tag, true));
}

/* Every prefix and every changed byte of these, in exact allocations. */
/* From urgency 3, not incremental; as "urgency incremental". */
static const char *
token_priority(const char *value)
{
    static char out[16];
    unsigned urgency = 3;
    bool incremental = false;

    veil_http_priority_parse(S(value), &urgency, &incremental);
    snprintf(out, sizeof(out), "%u %d", urgency, incremental);
    return out;
}

Test(token, priorities)
{
    cr_expect_str_eq(token_priority(""), "3 0");
    cr_expect_str_eq(token_priority("u=0"), "0 0");
    cr_expect_str_eq(token_priority("u=7,i"), "7 1");
    cr_expect_str_eq(token_priority("i , u=1"), "1 1");
    cr_expect_str_eq(token_priority("i=?1"), "3 1");
    cr_expect_str_eq(token_priority("i, i=?0"), "3 0");
    cr_expect_str_eq(token_priority("u=1;x=2;y, i;z"), "1 1");
    cr_expect_str_eq(token_priority("u=1, u=5"), "5 0");
    cr_expect_str_eq(token_priority("a=\"u=1, i\", u=2"), "2 0");
    cr_expect_str_eq(token_priority("ui=(1 2), u=4"), "4 0");
    cr_expect_str_eq(token_priority("u=8, u=-1, u=1.0, u=\"1\", u"), "3 0");
    cr_expect_str_eq(token_priority("U=1, I, i=1, i=true"), "3 0");
}

Test(token, anything)
{
    static const char *const texts[] = {
        "gzip;q=0.5, \"a\\\"b\" , *;q=0, x=\"y;z\"; q=1",
        "W/\"a\", \"b\\\", W/x, *, \"",
        "a=1; b=\"2\"; =;c==",
    };
    static const unsigned char flips[] = { 0x00, 0x01, 0x10, 0x80 };
    veil_str_t s, rest, a, b;
    char *copy, out[64];
    size_t i, n, k;
    unsigned urgency = 0;
    bool incremental = false;

    for (i = 0; i < veil_countof(texts); i++) {
        for (n = 0; n <= strlen(texts[i]); n++) {
            for (k = 0; k < veil_countof(flips); k++) {
                copy = malloc(n);
                if (n != 0) {
                    memcpy(copy, texts[i], n);
                    copy[n / 2] = (char) (copy[n / 2] ^ flips[k]);
                }
                s = veil_str_n(copy, n);
                cr_assert_leq(veil_http_quality(s, S("gzip")), 1000);
                veil_http_directive_find(s, S("none"), &a);
                veil_http_cookie_find(s, S("none"), &a);
                cr_assert_leq(veil_http_unquote(out, s), n);
                for (rest = s; veil_http_list_next(&rest, &a);) {
                    cr_assert(a.len != 0);
                }
                for (rest = s; veil_http_param_next(&rest, &a, &b);) {
                    cr_assert(a.len + b.len <= n);
                }
                veil_http_etag_list_has(s, S("\"none\""), true);
                veil_http_etag_is_valid(s);
                veil_http_priority_parse(s, &urgency, &incremental);
                cr_assert_leq(urgency, 7);
                free(copy);
            }
        }
    }
}
