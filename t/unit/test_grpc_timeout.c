/*
 * test_grpc_timeout.c -- how long a call of gRPC may take.
 */

#include "core/platform.h"

#include <criterion/criterion.h>

#include "http/grpc_status.h"
#include "http/parse/grpc_timeout.h"

#define S(z) veil_str_z(z)

Test(grpc_timeout, timeouts)
{
    static const struct {
        const char *text;
        uint64_t ms;
    } good[] = {
        { "1H", 3600000 },
        { "2M", 120000 },
        { "3S", 3000 },
        { "4m", 4 },
        { "5000u", 5 },
        { "5001u", 6 },
        { "6000000n", 6 },
        { "1n", 1 },
        { "0m", 0 },
        { "00000007S", 7000 },
        { "99999999S", UINT64_C(99999999000) },
        { "99999999H", UINT64_C(359999996400000) },
    };
    static const char *const bad[] = {
        "",    "1",   "S",    "1s",         "1h",    "-1S", "+1S",  " 1S",
        "1 S", "1S ", "1.5S", "123456789S", "12x4S", "1SS", "1,2S",
    };
    uint64_t ms;
    unsigned i;

    for (i = 0; i < veil_countof(good); i++) {
        ms = UINT64_MAX;
        cr_expect(veil_grpc_timeout_parse(S(good[i].text), &ms), "%s",
                  good[i].text);
        cr_expect_eq(ms, good[i].ms, "%s: %llu", good[i].text,
                     (unsigned long long) ms);
    }
    for (i = 0; i < veil_countof(bad); i++) {
        cr_expect_not(veil_grpc_timeout_parse(S(bad[i]), &ms), "\"%s\"",
                      bad[i]);
    }
}

Test(grpc_timeout, timeouts_printed)
{
    static const struct {
        uint64_t ms;
        const char *text;
    } all[] = {
        { 0, "0m" },
        { 1500, "1500m" },
        { 99999999, "99999999m" },
        { 100000000, "100000S" },
        { 100000001, "100001S" },
        { UINT64_C(99999999000), "99999999S" },
        { UINT64_C(99999999001), "1666667M" },
        { UINT64_MAX, "99999999H" },
    };
    veil_pool_t *pool = veil_pool_create("test", 256);
    veil_str_t text;
    uint64_t ms;
    unsigned i;

    for (i = 0; i < veil_countof(all); i++) {
        text = veil_grpc_timeout_print(pool, all[i].ms);
        cr_expect(veil_str_eq(text, S(all[i].text)), "%.*s",
                  VEIL_STR_ARG(text));
        cr_expect(veil_grpc_timeout_parse(text, &ms));
    }
    veil_pool_destroy(&pool);
}

Test(grpc_timeout, resets)
{
    cr_expect_eq(veil_grpc_status_of_reset(0), 13);
    cr_expect_eq(veil_grpc_status_of_reset(2), 13);
    cr_expect_eq(veil_grpc_status_of_reset(7), 14);
    cr_expect_eq(veil_grpc_status_of_reset(8), 1);
    cr_expect_eq(veil_grpc_status_of_reset(11), 8);
    cr_expect_eq(veil_grpc_status_of_reset(12), 7);
}
