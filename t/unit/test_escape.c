/* test_escape.c -- percent, HTML, JSON, base64. */

#include <criterion/criterion.h>

#include "core/platform.h"

#include "core/str.h"

#define S(lit) VEIL_STR(lit)

static veil_str_t
unescape(veil_str_t s)
{
    static char buf[256];

    return veil_str_n(buf, veil_str_unescape(buf, s));
}

Test(escape, percent_decoding)
{
    cr_assert(veil_str_eq(unescape(S("a%20b")), S("a b")));
    cr_assert(veil_str_eq(unescape(S("%41%6a%6A")), S("Ajj")));
    cr_assert(veil_str_eq(unescape(S("%00")), S("\0")));
    cr_assert(veil_str_eq(unescape(S("%")), S("%")));
    cr_assert(veil_str_eq(unescape(S("%4")), S("%4")));
    cr_assert(veil_str_eq(unescape(S("a%4")), S("a%4")));
    cr_assert(veil_str_eq(unescape(S("%4g%g4")), S("%4g%g4")));
    cr_assert(veil_str_eq(unescape(S("%%41")), S("%A")));
    cr_assert(veil_str_eq(unescape(S("%2541")), S("%41")), "once only");
    cr_assert(veil_str_eq(unescape(S("a+b")), S("a+b")));
    cr_assert_eq(unescape(VEIL_STR_NULL).len, 0);
}

Test(escape, decoding_in_place)
{
    char buf[] = "%61b%63";
    size_t n = veil_str_unescape(buf, veil_str_n(buf, sizeof(buf) - 1));

    cr_assert(veil_str_eq(veil_str_n(buf, n), S("abc")));
}

/* Each set, byte by byte, against the list of what it escapes. */
static void
check_set(veil_escape_t set, const char *escaped, const char *unreserved)
{
    char c, out[4], want[4];
    bool must;
    size_t n;
    int i;

    for (i = 0; i < 256; i++) {
        c = (char) i;
        if (unreserved != NULL) {
            must = i == 0 || strchr(unreserved, c) == NULL;
        } else {
            must = i < 0x20 || i >= 0x7f || strchr(escaped, c) != NULL;
        }
        n = veil_str_escape(out, veil_str_n(&c, 1), set);
        if (must) {
            (void) snprintf(want, sizeof(want), "%%%02X", (unsigned) i);
            cr_assert_eq(n, 3, "byte %d is not escaped", i);
            cr_assert_eq(memcmp(out, want, 3), 0);
        } else {
            cr_assert_eq(n, 1, "byte %d is escaped", i);
            cr_assert_eq(out[0], c);
        }
    }
}

Test(escape, percent_encoding)
{
    check_set(VEIL_ESCAPE_URI, " \"#%<>?\\^`{|}", NULL);
    check_set(VEIL_ESCAPE_ARGS, " \"#%&+;<>?\\^`{|}", NULL);
    check_set(VEIL_ESCAPE_HTML_SAFE, " \"'#%<>?\\^`{|}", NULL);
    check_set(VEIL_ESCAPE_COMPONENT, NULL,
              "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
              "0123456789-._~");
}

Test(escape, what_is_encoded_decodes)
{
    char all[256], enc[768], dec[768];
    int i, set;
    size_t n;

    for (i = 0; i < 256; i++) {
        all[i] = (char) i;
    }
    for (set = VEIL_ESCAPE_URI; set <= VEIL_ESCAPE_HTML_SAFE; set++) {
        n = veil_str_escape(enc, veil_str_n(all, 256), (veil_escape_t) set);
        n = veil_str_unescape(dec, veil_str_n(enc, n));
        cr_assert_eq(n, 256);
        cr_assert_eq(memcmp(dec, all, 256), 0);
    }
}

Test(escape, html)
{
    char buf[64];
    size_t n = veil_str_escape_html(NULL, S("<a href=\"x\">&'"));

    cr_assert_eq(veil_str_escape_html(buf, S("<a href=\"x\">&'")), n);
    cr_assert(veil_str_eq(veil_str_n(buf, n),
                          S("&lt;a href=&quot;x&quot;&gt;&amp;'")));
    cr_assert_eq(veil_str_escape_html(NULL, VEIL_STR_NULL), 0);
}

Test(escape, json)
{
    char buf[128];
    veil_str_t in = S("\"\\\n\r\t\b\f\x01\x1f\x7f\xc3\xa9/ a\0");
    size_t n = veil_str_escape_json(NULL, in);

    cr_assert_eq(veil_str_escape_json(buf, in), n);
    cr_assert(veil_str_eq(veil_str_n(buf, n),
                          S("\\\"\\\\\\n\\r\\t\\b\\f\\u0001\\u001f\x7f"
                            "\xc3\xa9/ a\\u0000")));
}

Test(escape, base64)
{
    static const struct {
        const char *plain, *coded, *url;
    } cases[] = {
        { "", "", "" },
        { "f", "Zg==", "Zg" },
        { "fo", "Zm8=", "Zm8" },
        { "foo", "Zm9v", "Zm9v" },
        { "foob", "Zm9vYg==", "Zm9vYg" },
        { "fooba", "Zm9vYmE=", "Zm9vYmE" },
        { "foobar", "Zm9vYmFy", "Zm9vYmFy" },
        { "\xfb\xff\xfe", "+//+", "-__-" },
    };
    veil_str_t plain;
    char buf[16];
    size_t i, n;

    for (i = 0; i < veil_countof(cases); i++) {
        plain = veil_str_z(cases[i].plain);
        n = veil_base64_encode(buf, plain);
        cr_assert(veil_str_eq_z(veil_str_n(buf, n), cases[i].coded));
        n = (size_t) veil_base64_decode(buf, veil_str_z(cases[i].coded));
        cr_assert(veil_str_eq(veil_str_n(buf, n), plain));
        n = veil_base64url_encode(buf, plain);
        cr_assert(veil_str_eq_z(veil_str_n(buf, n), cases[i].url));
        n = (size_t) veil_base64url_decode(buf, veil_str_z(cases[i].url));
        cr_assert(veil_str_eq(veil_str_n(buf, n), plain));
    }
}

Test(escape, base64_refuses)
{
    static const char *const bad[] = { "A",    "A===",  "=",    "==",
                                       "====", "Zg=",   "Zg=A", "Zg== ",
                                       "Z g=", "Zm9v=", "Zm-_", "Zg==Zg==" };
    char buf[16];
    size_t i;

    for (i = 0; i < veil_countof(bad); i++) {
        cr_assert_eq(veil_base64_decode(buf, veil_str_z(bad[i])), -1, "%s",
                     bad[i]);
    }
    cr_assert_eq(veil_base64url_decode(buf, S("+//+")), -1);
    cr_assert_eq(veil_base64_decode(buf, S("Zg")), 1, "padding may miss");
}
