/*
 * grpc_timeout.c -- how long a call of gRPC may take.
 *
 * The text has at most eight digits and a unit, so a long time has to be told
 * in a coarser one; it is rounded up, never down: a call is not cut short by
 * those in between.
 */

#include "core/platform.h"

#include "http/parse/grpc_timeout.h"

#define GRPC_TIMEOUT_DIGITS 8
#define GRPC_TIMEOUT_MAX 99999999u

bool
veil_grpc_timeout_parse(veil_str_t value, uint64_t *ms)
{
    uint64_t n = 0;
    size_t i;

    if (value.len < 2 || value.len > GRPC_TIMEOUT_DIGITS + 1) {
        return false;
    }
    for (i = 0; i + 1 < value.len; i++) {
        if (value.data[i] < '0' || value.data[i] > '9') {
            return false;
        }
        n = n * 10 + (uint64_t) (value.data[i] - '0');
    }
    switch (value.data[i]) {
    case 'H':
        *ms = n * 3600 * 1000;
        return true;
    case 'M':
        *ms = n * 60 * 1000;
        return true;
    case 'S':
        *ms = n * 1000;
        return true;
    case 'm':
        *ms = n;
        return true;
    case 'u':
        *ms = (n + 999) / 1000;
        return true;
    case 'n':
        *ms = (n + 999999) / 1000000;
        return true;
    default:
        return false;
    }
}

veil_str_t
veil_grpc_timeout_print(veil_pool_t *pool, uint64_t ms)
{
    static const struct {
        uint64_t ms;
        char unit;
    } units[] = {
        { 1, 'm' }, { 1000, 'S' }, { 60000, 'M' }, { 3600000, 'H' }
    };
    uint64_t n = ms;
    unsigned i = 0;

    while (n > GRPC_TIMEOUT_MAX && i + 1 < veil_countof(units)) {
        i++;
        n = (ms - 1) / units[i].ms + 1;
    }
    return veil_pool_printf(
        pool, "%llu%c",
        (unsigned long long) veil_min_size(n, GRPC_TIMEOUT_MAX),
        units[i].unit);
}
