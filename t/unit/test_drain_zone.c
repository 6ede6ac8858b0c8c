/*
 * test_drain_zone.c -- which listeners are drained, in memory that others
 * write.
 */

#include "core/platform.h"

#include <criterion/criterion.h>

#include "http/drain_zone.c"

static veil_cycle_t cycle;
static veil_http_main_t http;
static veil_shm_zone_t zone;
static veil_http_port_t ports[3];

static void
setup(void)
{
    unsigned i;

    veil_cycle = &cycle;
    cycle.pool = veil_pool_create("test", 4096);
    cycle.http = &http;
    veil_array_init(&http.ports, cycle.pool, sizeof(veil_http_port_t *), 4);
    for (i = 0; i < 3; i++) {
        *(veil_http_port_t **) veil_array_push(&http.ports) = &ports[i];
        ports[i].addr.family = AF_INET;
    }
    ports[0].addr.port = 80;
    ports[1].addr.port = 443;
    ports[2].addr.port = 443;
    memcpy(ports[2].addr.u.ip, "\177\0\0\1", 4);
    zone = (veil_shm_zone_t){ .size = DRAIN_ZONE_SIZE, .fd = -1 };
    cr_assert_eq(veil_shm_zone_map(&zone, -1), 0);
    cr_assert_eq(drain_zone_init(&zone, true), VEIL_OK);
    drain_zone = &zone;
    drain_zone_seen = UINT32_MAX;
}

static void
teardown(void)
{
    veil_shm_zone_unmap(&zone);
    veil_pool_destroy(&cycle.pool);
}

TestSuite(drain_zone, .init = setup, .fini = teardown);

/* "110": of the first two. */
static void
expect(const char *which)
{
    unsigned i;

    for (i = 0; i < 3; i++) {
        cr_expect_eq(veil_http_port_is_draining(&ports[i]), which[i] == '1',
                     "%u of %s", i, which);
    }
}

Test(drain_zone, names)
{
    expect("000");
    cr_expect_eq(veil_http_drain_listener(VEIL_STR("80"), true), 0);
    expect("100");
    cr_expect_eq(veil_http_drain_listener(VEIL_STR("443"), true), 0);
    expect("111");
    cr_expect_eq(veil_http_drain_listener(VEIL_STR("443"), true), 0);
    cr_expect_eq(veil_http_drain_listener(VEIL_STR("443"), false), 0);
    expect("100");
    cr_expect_eq(veil_http_drain_listener(VEIL_STR("*:443"), true), 0);
    expect("110");
    cr_expect_eq(veil_http_drain_listener(VEIL_STR("127.0.0.1:443"), true), 0);
    expect("111");
    cr_expect_eq(veil_http_drain_listener(VEIL_STR("80"), false), 0);
    expect("011");
    cr_expect(!veil_http_drains_all());
    cr_expect_eq(veil_http_drain_listener(VEIL_STR(""), true), 0);
    expect("111");
    cr_expect(veil_http_drains_all());
    cr_expect_eq(veil_http_drain_listener(VEIL_STR(""), false), 0);
    expect("000");
}

Test(drain_zone, survives)
{
    cr_expect_eq(veil_http_drain_listener(VEIL_STR("80"), true), 0);
    /* The next generation, and another worker. */
    cr_assert_eq(drain_zone_init(&zone, false), VEIL_OK);
    drain_zone_seen = UINT32_MAX;
    expect("100");
}

Test(drain_zone, bounds)
{
    char name[VEIL_ADDR_TEXT_MAX + 1];
    unsigned i;

    for (i = 0; i < DRAIN_NAMES; i++) {
        (void) veil_snprintf(name, sizeof(name), "10.0.0.%u:80", i);
        cr_expect_eq(veil_http_drain_listener(veil_str_z(name), true), 0);
    }
    cr_expect_eq(veil_http_drain_listener(VEIL_STR("80"), true), -ENOSPC);
    expect("000");
    memset(name, 'x', sizeof(name) - 1);
    name[sizeof(name) - 1] = '\0';
    cr_expect_eq(veil_http_drain_listener(veil_str_z(name), false), 0);
    cr_expect_eq(veil_http_drain_listener(VEIL_STR("10.0.0.0:80"), false), 0);
    cr_expect_eq(veil_http_drain_listener(veil_str_z(name), true), -ENOSPC);
    cr_expect_eq(veil_http_drain_listener(VEIL_STR("80"), true), 0);
    expect("100");
}

/* One that died while it wrote: readers end, the next writer mends it. */
Test(drain_zone, a_writer_that_died)
{
    drain_zone_t *z = zone.addr;

    cr_expect_eq(veil_http_drain_listener(VEIL_STR("80"), true), 0);
    z->count++;
    expect("100");
    cr_expect_eq(veil_http_drain_listener(VEIL_STR("*:443"), true), 0);
    cr_expect_eq(z->count & 1, 0);
    expect("110");
}
