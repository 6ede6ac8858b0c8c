/*
 * test_rejects.c -- the ring of what was refused, and its excerpts.
 */

#include "core/platform.h"

#include <criterion/criterion.h>

#include "http/rejects.c"

static veil_http_server_t server;
static veil_http_port_t port;
static veil_http_conn_t hc;

static void
setup(void)
{
    server.name = VEIL_STR("s");
    hc.server = &server;
    hc.port = &port;
    veil_time_set(1, 1800000000, 7);
}

TestSuite(rejects, .init = setup);

Test(rejects, latest_first)
{
    unsigned i;

    cr_assert_null(veil_http_rejected(0));
    for (i = 1; i <= VEIL_HTTP_REJECTS + 3; i++) {
        hc.c.log.connection = i;
        veil_http_reject(&hc, 400, "why", VEIL_STR_NULL, NULL);
        cr_expect_eq(veil_http_rejected(0)->conn, i);
    }
    cr_expect_eq(veil_http_rejected(1)->conn, i - 2);
    cr_expect_eq(veil_http_rejected(VEIL_HTTP_REJECTS - 1)->conn, 4);
    cr_expect_null(veil_http_rejected(VEIL_HTTP_REJECTS));
    cr_expect_eq(veil_http_rejected(0)->when_ms, 1800000000007);
    cr_expect_eq(veil_http_rejected(0)->offset, -1);
    cr_expect_eq(veil_http_rejected(0)->nbytes, 0);
}

/* Wherever the fault is, it is in the excerpt. */
Test(rejects, excerpts)
{
    char text[1000];
    const veil_http_reject_t *e;
    size_t n, at, i;

    for (i = 0; i < sizeof(text); i++) {
        text[i] = (char) ('a' + i % 26);
    }
    for (n = 1; n <= sizeof(text); n += 37) {
        for (at = 0; at <= n; at++) {
            veil_http_reject(&hc, 400, "why", veil_str_n(text, n), text + at);
            e = veil_http_rejected(0);
            cr_assert_eq(e->offset, (int64_t) at);
            cr_assert_leq(e->first + e->nbytes, n);
            cr_assert_leq(e->first, at);
            cr_assert_geq(e->first + e->nbytes, at);
            cr_assert_eq(e->nbytes, veil_min_size(n, VEIL_HTTP_REJECT_BYTES));
            cr_assert_eq(memcmp(e->bytes, text + e->first, e->nbytes), 0);
        }
    }
}
