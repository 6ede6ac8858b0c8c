/*
 * test_ocsp_cache.c -- what is known about clients' certificates, for how
 * long, and what makes room.
 */

#include <criterion/criterion.h>

#include "modules/ssl_ocsp/ssl_ocsp_cache.c"

#define NOW 1800000000

static veil_shm_zone_t zone;

static void
setup(void)
{
    zone = (veil_shm_zone_t){ .size = SSL_CACHE_MIN, .fd = -1 };
    cr_assert_eq(veil_shm_zone_map(&zone, -1), 0);
    cr_assert_eq(ssl_cache_init(&zone, true), VEIL_OK);
    veil_time_set(1, NOW, 0);
}

static void
teardown(void)
{
    veil_shm_zone_unmap(&zone);
}

TestSuite(ocsp_cache, .init = setup, .fini = teardown);

/* The n-th key of the set 0 or, with odd, of the set 1. */
static veil_ssl_ocsp_key_t
key(unsigned n, bool odd)
{
    veil_ssl_ocsp_key_t k = { { 0 } };

    k.bytes[0] = odd;
    k.bytes[15] = (unsigned char) (n + 1);
    return k;
}

static void
put(unsigned n, veil_ocsp_status_t status, int64_t valid)
{
    veil_ssl_ocsp_key_t k = key(n, false);

    veil_ssl_ocsp_cache_put(&zone, &k, status, valid);
}

/* The status, or -1. */
static int
get(unsigned n)
{
    veil_ssl_ocsp_key_t k = key(n, false);
    veil_ocsp_status_t status;

    return veil_ssl_ocsp_cache_get(&zone, &k, &status) ? (int) status : -1;
}

Test(ocsp_cache, what_was_put_is_there)
{
    veil_ssl_ocsp_key_t other = key(0, true);
    veil_ocsp_status_t status;

    cr_assert_eq(get(0), -1);
    put(0, VEIL_OCSP_GOOD, NOW + 10);
    put(1, VEIL_OCSP_REVOKED, NOW + 10);
    cr_assert_eq(get(0), VEIL_OCSP_GOOD);
    cr_assert_eq(get(1), VEIL_OCSP_REVOKED);
    cr_assert_eq(get(2), -1);
    cr_assert_not(veil_ssl_ocsp_cache_get(&zone, &other, &status));
}

Test(ocsp_cache, until_it_expires)
{
    put(0, VEIL_OCSP_GOOD, NOW + 10);
    veil_time_set(1, NOW + 9, 999);
    cr_assert_eq(get(0), VEIL_OCSP_GOOD);
    veil_time_set(1, NOW + 10, 0);
    cr_assert_eq(get(0), -1);
}

/* Newer information may be there at any time (RFC 6960, 4.2.2.1). */
Test(ocsp_cache, an_hour_when_no_end_is_named)
{
    put(0, VEIL_OCSP_GOOD, VEIL_OCSP_FOREVER);
    veil_time_set(1, NOW + 3599, 0);
    cr_assert_eq(get(0), VEIL_OCSP_GOOD);
    veil_time_set(1, NOW + 3600, 0);
    cr_assert_eq(get(0), -1);
}

Test(ocsp_cache, the_last_word_counts)
{
    unsigned i;

    for (i = 0; i < SSL_CACHE_WAYS; i++) {
        put(i, VEIL_OCSP_GOOD, NOW + 10 + i);
    }
    /* Each in its place: a second entry would push out one of the others. */
    for (i = 0; i < SSL_CACHE_WAYS; i++) {
        put(i, VEIL_OCSP_REVOKED, NOW + 5);
    }
    for (i = 0; i < SSL_CACHE_WAYS; i++) {
        cr_assert_eq(get(i), VEIL_OCSP_REVOKED);
    }
}

Test(ocsp_cache, what_expires_first_makes_room)
{
    unsigned i;

    for (i = 0; i < SSL_CACHE_WAYS; i++) {
        put(i, VEIL_OCSP_GOOD, NOW + (i == 2 ? 1 : 100));
    }
    put(9, VEIL_OCSP_GOOD, NOW + 50);
    cr_assert_eq(get(2), -1);
    cr_assert_eq(get(9), VEIL_OCSP_GOOD);
    cr_assert_eq(get(0), VEIL_OCSP_GOOD);
    cr_assert_eq(get(1), VEIL_OCSP_GOOD);
    cr_assert_eq(get(3), VEIL_OCSP_GOOD);
}

Test(ocsp_cache, a_generation_takes_over_what_fits)
{
    put(0, VEIL_OCSP_GOOD, NOW + 10);
    cr_assert_eq(ssl_cache_init(&zone, false), VEIL_OK);
    cr_assert_eq(get(0), VEIL_OCSP_GOOD);
    ((ssl_cache_t *) zone.addr)->magic++;
    cr_assert_eq(ssl_cache_init(&zone, false), VEIL_OK);
    cr_assert_eq(get(0), -1);
}

Test(ocsp_cache, what_a_dead_holder_left_is_forgotten)
{
    ssl_cache_t *cache = zone.addr;

    put(0, VEIL_OCSP_GOOD, NOW + 10);
    /* Nobody has the number 0x7fffffff: as after a death with the lock. */
    cache->lock.holder = UINT64_C(1) << 32 | 0x7fffffff;
    cr_assert_eq(get(0), -1);
    put(0, VEIL_OCSP_GOOD, NOW + 10);
    cr_assert_eq(get(0), VEIL_OCSP_GOOD);
}
