/* test_clean.c -- text from outside, made safe to look at. */

#include <criterion/criterion.h>
#include <criterion/parameterized.h>

#include "core/platform.h"

#include "core/clean.h"

typedef struct {
    char in[40];
    char out[40];
} clean_case_t;

ParameterizedTestParameters(clean, characters)
{
    static clean_case_t cases[] = {
        { "plain text, 1=2 \"x\"", "plain text, 1=2 \"x\"" },
        { "", "" },
        { "Stra\xc3\x9f"
          "e \xe2\x82\xac \xf0\x9f\x98\x80",
          "Stra\xc3\x9f"
          "e \xe2\x82\xac \xf0\x9f\x98\x80" },
        /* ASCII's controls */
        { "a\nb", "a?b" },
        { "a\r\nb", "a??b" },
        { "a\tb", "a?b" },
        { "\x01\x1f\x7f", "???" },
        { "\x1b[31mred", "?[31mred" },
        /* C1: NEL, CSI, the first and the last */
        { "a\xc2\x85"
          "b",
          "a?b" },
        { "a\xc2\x9b"
          "31m",
          "a?31m" },
        { "\xc2\x80\xc2\x9f", "??" },
        { "\xc2\xa0", "\xc2\xa0" },
        /* the byte order mark */
        { "\xef\xbb\xbf{}", "?{}" },
        /* line and paragraph separator */
        { "a\xe2\x80\xa8"
          "b\xe2\x80\xa9"
          "c",
          "a?b?c" },
        /* U+202A to U+202E */
        { "\xe2\x80\xaa\xe2\x80\xab\xe2\x80\xac\xe2\x80\xad\xe2\x80\xae",
          "?????" },
        { "\xe2\x80\xaf", "\xe2\x80\xaf" },
        /* U+2066 to U+2069 */
        { "\xe2\x81\xa6\xe2\x81\xa7\xe2\x81\xa8\xe2\x81\xa9", "????" },
        { "\xe2\x81\xaa", "\xe2\x81\xaa" },
        /* marks of direction, U+200E, U+200F, U+061C */
        { "\xe2\x80\x8e\xe2\x80\x8f\xd8\x9c", "???" },
        /* no width: U+200B, U+2060; joiners are letters' business */
        { "a\xe2\x80\x8b"
          "b\xe2\x81\xa0",
          "a?b?" },
        { "\xe2\x80\x8d", "\xe2\x80\x8d" },
        /* interlinear annotations, tags */
        { "\xef\xbf\xb9\xef\xbf\xbb", "??" },
        { "\xf3\xa0\x80\x81\xf3\xa0\x81\xbf", "??" },
        /* the replacement character is one */
        { "\xef\xbf\xbd", "\xef\xbf\xbd" },
        /* not UTF-8: alone, cut, too long, surrogates, too large */
        { "\x80", "?" },
        { "a\xff", "a?" },
        { "\xc3", "?" },
        { "\xe2\x82", "??" },
        { "\xe2\x82x", "??x" },
        { "\xf0\x9f\x98", "???" },
        { "\xc0\x8a", "??" },
        { "\xc1\xbf", "??" },
        { "\xe0\x80\x8a", "???" },
        { "\xf0\x80\x80\x8a", "????" },
        { "\xed\xa0\x80", "???" },
        { "\xed\xbf\xbf", "???" },
        { "\xf4\x90\x80\x80", "????" },
        { "\xf5\x80\x80\x80", "????" },
        { "\xf4\x8f\xbf\xbf", "\xf4\x8f\xbf\xbf" },
        { "\xc3\xc3\x9f", "?\xc3\x9f" },
    };

    return cr_make_param_array(clean_case_t, cases,
                               sizeof(cases) / sizeof(cases[0]));
}

ParameterizedTest(clean_case_t *c, clean, characters)
{
    veil_str_t in = veil_str_z(c->in);
    char out[sizeof(c->in)];
    size_t n = veil_clean(out, in);

    cr_assert(veil_str_eq_z(veil_str_n(out, n), c->out), "\"%.*s\"", (int) n,
              out);
    cr_assert_eq(veil_is_clean(in), strcmp(c->in, c->out) == 0);
    cr_assert(veil_is_clean(veil_str_n(out, n)), "twice is once");
    /* In place. */
    memcpy(out, c->in, sizeof(out));
    n = veil_clean(out, veil_str_n(out, in.len));
    cr_assert(veil_str_eq_z(veil_str_n(out, n), c->out));
}

Test(clean, a_zero_byte)
{
    char out[3];

    cr_assert_eq(veil_clean(out, VEIL_STR("a\0b")), 3);
    cr_assert_eq(memcmp(out, "a?b", 3), 0);
}

Test(clean, never_longer_and_always_clean)
{
    unsigned char in[64], out[64];
    unsigned seed = 1, round, i;
    size_t n;

    for (round = 0; round < 20000; round++) {
        for (i = 0; i < sizeof(in); i++) {
            seed = seed * 1103515245u + 12345u;
            in[i] = (unsigned char) (seed >> 16);
            if (round % 2 == 0) {
                /* Mostly beginnings and rests of characters. */
                in[i] = (unsigned char) (in[i] % 4 == 0 ? 0xe0 | in[i] >> 4
                                                        : 0x80 | in[i] >> 2);
            }
        }
        n = veil_clean((char *) out,
                       veil_str_n((const char *) in, round % sizeof(in)));
        cr_assert_leq(n, round % sizeof(in));
        cr_assert(veil_is_clean(veil_str_n((const char *) out, n)));
    }
}

Test(clean, cutting_between_characters)
{
    veil_str_t s = VEIL_STR("a\xc3\x9f\xe2\x82\xac\xf0\x9f\x98\x80z");
    static const size_t want[] = { 0, 1, 1, 3, 3, 3, 6, 6, 6, 6, 10, 11, 11 };
    size_t i;

    for (i = 0; i < sizeof(want) / sizeof(want[0]); i++) {
        cr_assert_eq(veil_str_cut_utf8(s, i).len, want[i], "%zu", i);
    }
    /* What is no UTF-8 is cut anywhere. */
    s = VEIL_STR("\x80\x80\x80\x80\x80\x80");
    cr_assert_eq(veil_str_cut_utf8(s, 5).len, 5);
    cr_assert_eq(veil_str_cut_utf8(s, 2).len, 2);
}
