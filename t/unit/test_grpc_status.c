/*
 * test_grpc_status.c -- errors of HTTP in gRPC's terms, messages, media types.
 */

#include "core/platform.h"

#include <criterion/criterion.h>

#include "http/grpc_status.h"

Test(grpc_status, mapping)
{
    static const struct {
        int http;
        int grpc;
    } table[] = {
        { 200, 2 },  { 301, 2 },  { 400, 13 }, { 401, 16 }, { 403, 7 },
        { 404, 12 }, { 405, 2 },  { 413, 2 },  { 429, 14 }, { 500, 2 },
        { 501, 2 },  { 502, 14 }, { 503, 14 }, { 504, 14 }, { 0, 2 },
    };
    size_t i;

    for (i = 0; i < veil_countof(table); i++) {
        cr_assert_eq((int) veil_grpc_status_of(table[i].http), table[i].grpc,
                     "%d", table[i].http);
    }
}

Test(grpc_status, messages)
{
    veil_pool_t *pool = veil_pool_create("test", 1024);
    veil_str_t s;

    s = veil_grpc_message(pool, VEIL_STR("Bad Gateway"));
    cr_assert(veil_str_eq(s, VEIL_STR("Bad Gateway")));
    s = veil_grpc_message(pool, VEIL_STR("100 %\r\n\x7f\xc3\xa4~"));
    cr_assert(veil_str_eq(s, VEIL_STR("100 %25%0D%0A%7F%C3%A4~")));
    s = veil_grpc_message(pool, VEIL_STR(""));
    cr_assert_eq(s.len, 0);
    veil_pool_destroy(&pool);
    veil_pool_trim();
}

Test(grpc_status, types)
{
    veil_str_t suffix;

    cr_assert(veil_grpc_is_type(VEIL_STR("application/grpc"), &suffix));
    cr_assert_eq(suffix.len, 0);
    cr_assert(veil_grpc_is_type(
        VEIL_STR("Application/gRPC+proto; charset=utf-8"), &suffix));
    cr_assert(veil_str_eq(suffix, VEIL_STR("+proto")));
    cr_assert(veil_grpc_is_type(VEIL_STR("application/grpc ;x=y"), NULL));
    cr_assert(!veil_grpc_is_type(VEIL_STR("application/grpc+"), NULL));
    cr_assert(!veil_grpc_is_type(VEIL_STR("application/grpc-web"), NULL));
    cr_assert(!veil_grpc_is_type(VEIL_STR("application/grp"), NULL));
    cr_assert(!veil_grpc_is_type(VEIL_STR("text/html"), NULL));
    cr_assert(!veil_grpc_is_type(VEIL_STR(""), NULL));
}
