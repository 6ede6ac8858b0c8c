/*
 * test_header_table.c -- the table of known header fields.
 */

#include "core/platform.h"

#include <criterion/criterion.h>

#include "http/parse/header_table.h"

/* Each field is found by its names, and the hash's letters are right. */
Test(header_table, complete)
{
    veil_str_t name, lower;
    char upper[64];
    unsigned id;
    size_t i;

    for (id = 1; id < VEIL_HEADER_COUNT; id++) {
        name = veil_http_header_info[id].name;
        lower = veil_http_header_info[id].lower;
        cr_assert(veil_str_caseeq(name, lower));
        for (i = 0; i < lower.len; i++) {
            cr_assert_eq(veil_lower((unsigned char) lower.data[i]),
                         (unsigned char) lower.data[i]);
            upper[i] = (char) (lower.data[i] >= 'a' && lower.data[i] <= 'z'
                                   ? lower.data[i] - 0x20
                                   : lower.data[i]);
        }
        cr_expect_eq(veil_http_header_lookup(name.data, name.len), id, "%s",
                     name.data);
        cr_expect_eq(veil_http_header_lookup(lower.data, lower.len), id);
        cr_expect_eq(veil_http_header_lookup(upper, lower.len), id);
    }
}

/* No prefix, extension or neighbour of a name is taken for it. */
Test(header_table, others)
{
    char near[64];
    veil_str_t lower;
    unsigned id;
    size_t i;
    int flip;

    for (id = 1; id < VEIL_HEADER_COUNT; id++) {
        lower = veil_http_header_info[id].lower;
        memcpy(near, lower.data, lower.len);
        near[lower.len] = 'x';
        cr_expect_neq(veil_http_header_lookup(near, lower.len + 1), id);
        cr_expect_neq(veil_http_header_lookup(near, lower.len - 1), id);
        for (i = 0; i < lower.len; i++) {
            for (flip = 1; flip < 256; flip++) {
                near[i] = (char) (lower.data[i] ^ flip);
                cr_expect(veil_http_header_lookup(near, lower.len) != id
                              || (flip == 0x20 && lower.data[i] != '-'),
                          "%s, byte %zu ^ %d", lower.data, i, flip);
            }
            near[i] = lower.data[i];
        }
    }
    cr_expect_eq(veil_http_header_lookup("", 0), VEIL_HEADER_NONE);
    cr_expect_eq(veil_http_header_lookup("t", 1), VEIL_HEADER_NONE);
    cr_expect_eq(veil_http_header_lookup("X-Unknown", 9), VEIL_HEADER_NONE);
}

Test(header_table, flags)
{
    cr_expect(veil_http_header_is_hop(VEIL_HEADER_CONNECTION));
    cr_expect(veil_http_header_is_hop(VEIL_HEADER_TRANSFER_ENCODING));
    cr_expect(!veil_http_header_is_hop(VEIL_HEADER_CONTENT_LENGTH));
    cr_expect(veil_http_header_is_unique(VEIL_HEADER_HOST));
    cr_expect(!veil_http_header_is_unique(VEIL_HEADER_COOKIE));
    cr_expect(!veil_http_header_in_trailer(VEIL_HEADER_CONTENT_LENGTH));
    cr_expect(!veil_http_header_in_trailer(VEIL_HEADER_AUTHORIZATION));
    cr_expect(veil_http_header_in_trailer(VEIL_HEADER_NONE));
    cr_expect(veil_http_header_in_trailer(VEIL_HEADER_ETAG));
}
