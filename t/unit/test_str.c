/* test_str.c -- comparing, searching, cutting, numbers. */

#include <criterion/criterion.h>

#include "core/platform.h"

#include "core/str.h"

#define S(lit) VEIL_STR(lit)

Test(str, equality)
{
    cr_assert(veil_str_eq(S("abc"), S("abc")));
    cr_assert_not(veil_str_eq(S("abc"), S("abd")));
    cr_assert_not(veil_str_eq(S("abc"), S("ab")));
    cr_assert(veil_str_eq(S(""), VEIL_STR_NULL));
    cr_assert(veil_str_eq_z(S("abc"), "abc"));
    cr_assert(veil_str_eq(veil_str_z(NULL), VEIL_STR_NULL));
    cr_assert(veil_str_caseeq(S("aBc-Z["), S("AbC-z[")));
    cr_assert_not(veil_str_caseeq(S("@"), S("`")), "not letters");
    cr_assert_not(veil_str_caseeq(S("["), S("{")), "not letters");
    cr_assert(veil_str_caseeq(S(""), VEIL_STR_NULL));
    cr_assert_not(veil_str_caseeq(S("\xc4"), S("\xe4")), "ASCII only");
}

Test(str, prefixes_and_suffixes)
{
    cr_assert(veil_str_starts(S("abc"), S("")));
    cr_assert(veil_str_starts(S("abc"), S("abc")));
    cr_assert_not(veil_str_starts(S("abc"), S("abcd")));
    cr_assert(veil_str_ends(S("abc"), S("bc")));
    cr_assert_not(veil_str_ends(S("abc"), S("ab")));
    cr_assert(veil_str_ends(S("abc"), VEIL_STR_NULL));
    cr_assert(veil_str_casestarts(S("ABC"), S("ab")));
    cr_assert_not(veil_str_casestarts(S("A"), S("ab")));
    cr_assert(veil_str_eq(veil_str_from(S("abc"), 3), S("")));
}

Test(str, order)
{
    cr_assert_eq(veil_str_cmp(S("a"), S("a")), 0);
    cr_assert_lt(veil_str_cmp(S("a"), S("ab")), 0);
    cr_assert_gt(veil_str_cmp(S("b"), S("ab")), 0);
    cr_assert_lt(veil_str_cmp(S("a"), S("\xff")), 0, "bytes are unsigned");
    cr_assert_lt(veil_str_cmp(VEIL_STR_NULL, S("a")), 0);
    cr_assert_eq(veil_str_casecmp(S("aB"), S("Ab")), 0);
    cr_assert_lt(veil_str_casecmp(S("A"), S("b")), 0);
    cr_assert_gt(veil_str_casecmp(S("ABC"), S("ab")), 0);
    cr_assert_lt(veil_str_casecmp(S("a"), S("\xff")), 0);
}

Test(str, search)
{
    cr_assert_eq(veil_str_chr(S("abca"), 'a'), 0);
    cr_assert_eq(veil_str_rchr(S("abca"), 'a'), 3);
    cr_assert_eq(veil_str_chr(S("abc"), 'x'), -1);
    cr_assert_eq(veil_str_rchr(S("abc"), 'x'), -1);
    cr_assert_eq(veil_str_chr(VEIL_STR_NULL, 'x'), -1);
    cr_assert_eq(veil_str_rchr(VEIL_STR_NULL, 'x'), -1);
    cr_assert_eq(veil_str_chr(veil_str_n("ab", 1), 'b'), -1);
    cr_assert_eq(veil_str_find(S("ababc"), S("abc")), 2);
    cr_assert_eq(veil_str_find(S("ab"), S("abc")), -1);
    cr_assert_eq(veil_str_find(S("ab"), S("")), 0);
    cr_assert_eq(veil_str_find(VEIL_STR_NULL, S("a")), -1);
    cr_assert_eq(veil_str_casefind(S("xABc"), S("aBC")), 1);
    cr_assert_eq(veil_str_casefind(S("ab"), S("abc")), -1);
    cr_assert_eq(veil_str_casefind(S("ab"), S("")), 0);
}

Test(str, trim_and_cut)
{
    veil_str_t rest = S("a,,b");

    cr_assert(veil_str_eq(veil_str_trim(S(" \t a b\t ")), S("a b")));
    cr_assert_eq(veil_str_trim(S(" \t ")).len, 0);
    cr_assert_eq(veil_str_trim(S("\n")).len, 1, "blanks and tabs only");

    cr_assert(veil_str_eq(veil_str_cut(&rest, ','), S("a")));
    cr_assert(veil_str_eq(veil_str_cut(&rest, ','), S("")));
    cr_assert(veil_str_eq(veil_str_cut(&rest, ','), S("b")));
    cr_assert_eq(rest.data, NULL);
    rest = S("a,");
    (void) veil_str_cut(&rest, ',');
    cr_assert_neq(rest.data, NULL, "an empty last part is a part");
    cr_assert_eq(rest.len, 0);
}

Test(str, lower)
{
    char buf[4];

    veil_str_lower(buf, "A[z\xc4", 4);
    cr_assert_eq(memcmp(buf, "a[z\xc4", 4), 0);
}

Test(str, integers)
{
    cr_assert_eq(veil_str_to_int(S("0")), 0);
    cr_assert_eq(veil_str_to_int(S("007")), 7);
    cr_assert_eq(veil_str_to_int(S("9223372036854775807")), INT64_MAX);
    cr_assert_eq(veil_str_to_int(S("9223372036854775808")), -1);
    cr_assert_eq(veil_str_to_int(S("92233720368547758070")), -1);
    cr_assert_eq(veil_str_to_int(S("99999999999999999999999")), -1);
    cr_assert_eq(veil_str_to_int(S("")), -1);
    cr_assert_eq(veil_str_to_int(S("-1")), -1);
    cr_assert_eq(veil_str_to_int(S("+1")), -1);
    cr_assert_eq(veil_str_to_int(S(" 1")), -1);
    cr_assert_eq(veil_str_to_int(S("1 ")), -1);
    cr_assert_eq(veil_str_to_int(S("1a")), -1);
    cr_assert_eq(veil_str_to_int(S("1\0")), -1);
}

Test(str, hexadecimal)
{
    cr_assert_eq(veil_str_to_hex(S("0")), 0);
    cr_assert_eq(veil_str_to_hex(S("fF")), 255);
    cr_assert_eq(veil_str_to_hex(S("7fffffffffffffff")), INT64_MAX);
    cr_assert_eq(veil_str_to_hex(S("0000000007fffffffffffffff")), INT64_MAX);
    cr_assert_eq(veil_str_to_hex(S("8000000000000000")), -1);
    cr_assert_eq(veil_str_to_hex(S("10000000000000000")), -1);
    cr_assert_eq(veil_str_to_hex(S("")), -1);
    cr_assert_eq(veil_str_to_hex(S("0x1")), -1);
    cr_assert_eq(veil_str_to_hex(S("g")), -1);
}

Test(str, sizes)
{
    cr_assert_eq(veil_str_to_size(S("8")), 8);
    cr_assert_eq(veil_str_to_size(S("8k")), 8192);
    cr_assert_eq(veil_str_to_size(S("8K")), 8192);
    cr_assert_eq(veil_str_to_size(S("10m")), 10 << 20);
    cr_assert_eq(veil_str_to_size(S("3G")), 3LL << 30);
    cr_assert_eq(veil_str_to_size(S("8589934591g")), 8589934591LL << 30);
    cr_assert_eq(veil_str_to_size(S("8589934592g")), -1);
    cr_assert_eq(veil_str_to_size(S("9223372036854775807")), INT64_MAX);
    cr_assert_eq(veil_str_to_size(S("9223372036854775807k")), -1);
    cr_assert_eq(veil_str_to_size(S("")), -1);
    cr_assert_eq(veil_str_to_size(S("k")), -1);
    cr_assert_eq(veil_str_to_size(S("1kb")), -1);
    cr_assert_eq(veil_str_to_size(S("1 k")), -1);
    cr_assert_eq(veil_str_to_size(S("-1")), -1);
    cr_assert_eq(veil_str_to_size(S("1t")), -1);
}

Test(str, times)
{
    static const struct {
        const char *text;
        int64_t ms;
    } cases[] = {
        { "0", 0 },
        { "30", 30000 },
        { "30s", 30000 },
        { "100ms", 100 },
        { "1s500ms", 1500 },
        { "1s 500ms", 1500 },
        { "1h 30m", 5400000 },
        { "1h30m", 5400000 },
        { "1m", 60000 },
        { "1d", 86400000 },
        { "1w", 604800000 },
        { "1M", 2592000000 },
        { "1y", 31536000000 },
        { "1y 1M 1w 1d 1h 1m 1s 1ms", 34822861001 },
        { "1h 30", 3630000 },
        { "30 ", 30000 },
        { "5m  3s  ", 303000 },
        { "9223372036854775", 9223372036854775000 },
        { "9223372036854775807ms", INT64_MAX },
        { "", -1 },
        { " ", -1 },
        { " 1s", -1 },
        { "s", -1 },
        { "ms", -1 },
        { "1h m", -1 },
        { "1x", -1 },
        { "1sec", -1 },
        { "-1s", -1 },
        { "1s 1s", -1 },
        { "1s 1h", -1 },
        { "1m 1h", -1 },
        { "1ms 1s", -1 },
        { "1ms1", -1 },
        { "1 2", -1 },
        { "1s,", -1 },
        { "1.5s", -1 },
        { "1S", -1 },
        { "9223372036854776", -1 },
        { "9223372036854775808ms", -1 },
        { "292471209y", -1 },
        { "9223372036854775s 900ms", -1 },
    };
    size_t i;

    for (i = 0; i < veil_countof(cases); i++) {
        cr_assert_eq(veil_str_to_msec(veil_str_z(cases[i].text)), cases[i].ms,
                     "\"%s\" gave %lld", cases[i].text,
                     (long long) veil_str_to_msec(veil_str_z(cases[i].text)));
    }
}

Test(str, printing_numbers)
{
    static const uint64_t values[] = { 0, 9, 10, 12345, UINT64_MAX };
    char buf[32], want[32];
    size_t i;

    for (i = 0; i < veil_countof(values); i++) {
        *veil_fmt_uint(buf, values[i]) = '\0';
        (void) snprintf(want, sizeof(want), "%llu",
                        (unsigned long long) values[i]);
        cr_assert_str_eq(buf, want);
        *veil_fmt_hex(buf, values[i]) = '\0';
        (void) snprintf(want, sizeof(want), "%llx",
                        (unsigned long long) values[i]);
        cr_assert_str_eq(buf, want);
    }
}

Test(str, printing_bytes)
{
    char buf[8] = "???????";

    cr_assert_eq(veil_fmt_hex_bytes(buf, "\x00\x9a\xff", 3), buf + 6);
    cr_assert_str_eq(buf, "009aff?");
    cr_assert_eq(veil_fmt_hex_bytes(buf, NULL, 0), buf);
    cr_assert_str_eq(buf, "009aff?");
}

Test(str, bounded_printing)
{
    char buf[4] = "???";

    cr_assert_eq(veil_snprintf(buf, sizeof(buf), "%s", "abcdef"), 3);
    cr_assert_str_eq(buf, "abc");
    cr_assert_eq(veil_snprintf(buf, sizeof(buf), "%s", "a"), 1);
    cr_assert_eq(veil_snprintf(buf, 1, "%s", "a"), 0);
    cr_assert_str_eq(buf, "");
    buf[0] = 'x';
    cr_assert_eq(veil_snprintf(buf, 0, "%s", "a"), 0);
    cr_assert_eq(buf[0], 'x', "no room at all");

    cr_assert_eq(veil_str_copy_z(buf, sizeof(buf), S("abcd")), 3);
    cr_assert_str_eq(buf, "abc");
    cr_assert_eq(veil_str_copy_z(buf, sizeof(buf), VEIL_STR_NULL), 0);
    cr_assert_str_eq(buf, "");
    cr_assert_eq(veil_str_copy_z(buf, 0, S("abcd")), 0);
    cr_assert_eq(veil_fmt_str(buf, S("ab")), buf + 2);
    cr_assert_eq(veil_fmt_str(buf, VEIL_STR_NULL), buf);
}

Test(str, distance)
{
    char wide[65];

    cr_assert_eq(veil_str_distance(S("listen"), S("listen"), 3), 0);
    cr_assert_eq(veil_str_distance(S("lisen"), S("listen"), 3), 1);
    cr_assert_eq(veil_str_distance(S("listenn"), S("listen"), 3), 1);
    cr_assert_eq(veil_str_distance(S("lixten"), S("listen"), 3), 1);
    cr_assert_eq(veil_str_distance(S("kitten"), S("sitting"), 3), 3);
    cr_assert_eq(veil_str_distance(S("kitten"), S("sitting"), 2), 3);
    cr_assert_eq(veil_str_distance(S(""), S("abc"), 5), 3);
    cr_assert_eq(veil_str_distance(S("abc"), S(""), 5), 3);
    cr_assert_eq(veil_str_distance(S("abcdef"), S("ghijkl"), 2), 3);
    memset(wide, 'a', sizeof(wide));
    cr_assert_eq(veil_str_distance(veil_str_n(wide, 65), S("a"), 7), 8);
    cr_assert_eq(
        veil_str_distance(veil_str_n(wide, 64), veil_str_n(wide, 64), 7), 0);
}
