/* test_murmur.c -- hashes whose values are a promise. */

#include <criterion/criterion.h>

#include "core/platform.h"

#include "core/murmur.h"
#include "core/str.h"

static uint32_t
murmur(const char *z)
{
    return veil_murmur2(z, strlen(z));
}

static uint32_t
crc(const char *z)
{
    return veil_crc32(0, z, strlen(z));
}

/*
 * split_clients takes the hash of the key as a share of 2^32.  The shares, in
 * thousandths, are what nginx 1.22 chose for these keys.
 */
Test(murmur, distributes_as_nginx)
{
    static const struct {
        const char *key;
        unsigned share;
        uint32_t hash;
    } cases[] = {
        { "", 0, 0 },
        { "a", 571, 0x92685f5e },
        { "ab", 104, 0x1aa14063 },
        { "abc", 75, 0x13577c9b },
        { "abcd", 150, 0x26873021 },
        { "abcde", 371, 0x5f09a8de },
        { "192.0.2.17", 573, 0x92b0e5d2 },
        { "2001:db8::1", 943, 0xf17b4610 },
        { "the-quick-brown-fox", 476, 0x7a15e5e3 },
    };
    uint64_t hash;
    size_t i;

    for (i = 0; i < veil_countof(cases); i++) {
        hash = murmur(cases[i].key);
        cr_assert_eq(hash, cases[i].hash, "%s", cases[i].key);
        cr_assert_eq(hash * 1000 >> 32, cases[i].share, "%s", cases[i].key);
    }
}

Test(murmur, every_byte_counts)
{
    char text[16] = "aaaaaaaaaaaaaaa";
    uint32_t before;
    size_t n, i;

    for (n = 1; n < sizeof(text); n++) {
        before = veil_murmur2(text, n);
        for (i = 0; i < n; i++) {
            text[i] = 'b';
            cr_assert_neq(veil_murmur2(text, n), before);
            text[i] = 'a';
        }
    }
}

Test(murmur, crc32)
{
    cr_assert_eq(crc(""), 0);
    cr_assert_eq(crc("123456789"), 0xcbf43926);
    cr_assert_eq(crc("The quick brown fox jumps over the lazy dog"),
                 0x414fa339);
    cr_assert_eq(veil_crc32(crc("12345"), "6789", 4), 0xcbf43926,
                 "it continues");
}
