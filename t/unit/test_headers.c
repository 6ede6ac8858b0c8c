/*
 * test_headers.c -- lists of fields: order, look-ups by id and by name,
 * removal, replacement, growth, joining.
 */

#include "core/platform.h"

#include <criterion/criterion.h>

#include "http/headers.h"
#include "http/parse/header_table.h"

static veil_pool_t *pool;
static veil_http_headers_t hs;

static void
setup(void)
{
    pool = veil_pool_create("headers", 1024);
    veil_http_headers_init(&hs, pool, 0);
}

static void
teardown(void)
{
    veil_pool_destroy(&pool);
    veil_pool_trim();
}

TestSuite(headers, .init = setup, .fini = teardown);

/* All fields as "name=value;". */
static const char *
all(void)
{
    static char text[4096];
    const veil_http_header_t *h = NULL;
    size_t len = 0;

    text[0] = '\0';
    while ((h = veil_http_headers_next(&hs, h)) != NULL) {
        len += veil_snprintf(text + len, sizeof(text) - len, "%.*s=%.*s;",
                             VEIL_STR_ARG(h->name), VEIL_STR_ARG(h->value));
    }
    return text;
}

Test(headers, order_and_look_ups)
{
    const veil_http_header_t *h;

    cr_assert_null(veil_http_headers_next(&hs, NULL));
    cr_assert_null(veil_http_headers_get(&hs, VEIL_HEADER_HOST, NULL));
    veil_http_headers_add(&hs, VEIL_STR("hOST"), VEIL_STR("a"));
    veil_http_headers_add(&hs, VEIL_STR("X-One"), VEIL_STR("1"));
    veil_http_headers_add(&hs, VEIL_STR("Accept"), VEIL_STR("x"));
    veil_http_headers_add(&hs, VEIL_STR("x-one"), VEIL_STR("2"));
    cr_assert_str_eq(all(), "hOST=a;X-One=1;Accept=x;x-one=2;");

    cr_assert(veil_http_headers_may_have(&hs, VEIL_HEADER_HOST));
    cr_assert_not(veil_http_headers_may_have(&hs, VEIL_HEADER_RANGE));
    cr_assert(
        veil_str_eq_z(veil_http_headers_value(&hs, VEIL_HEADER_HOST), "a"));
    cr_assert_eq(veil_http_headers_value(&hs, VEIL_HEADER_RANGE).len, 0);
    h = veil_http_headers_find(&hs, VEIL_STR("X-ONE"), NULL);
    cr_assert(veil_str_eq_z(h->value, "1"));
    h = veil_http_headers_find(&hs, VEIL_STR("X-ONE"), h);
    cr_assert(veil_str_eq_z(h->value, "2"));
    cr_assert_null(veil_http_headers_find(&hs, VEIL_STR("X-ONE"), h));
}

Test(headers, removing_and_replacing)
{
    veil_http_headers_add(&hs, VEIL_STR("Vary"), VEIL_STR("a"));
    veil_http_headers_add(&hs, VEIL_STR("X"), VEIL_STR("1"));
    veil_http_headers_add(&hs, VEIL_STR("vary"), VEIL_STR("b"));
    veil_http_headers_set(&hs, VEIL_STR("VARY"), VEIL_STR("c"));
    cr_assert_str_eq(all(), "X=1;VARY=c;");
    veil_http_headers_set(&hs, VEIL_STR("x"), VEIL_STR(""));
    cr_assert_str_eq(all(), "VARY=c;");
    veil_http_headers_remove_id(&hs, VEIL_HEADER_VARY);
    cr_assert_str_eq(all(), "");
    cr_assert_null(veil_http_headers_get(&hs, VEIL_HEADER_VARY, NULL));
    veil_http_headers_remove(&hs, VEIL_STR("never"));
}

Test(headers, joining)
{
    veil_str_t v;

    cr_assert_eq(veil_http_headers_join(&hs, VEIL_HEADER_COOKIE, pool).len, 0);
    veil_http_headers_add(&hs, VEIL_STR("Cookie"), VEIL_STR("a=1"));
    v = veil_http_headers_join(&hs, VEIL_HEADER_COOKIE, pool);
    cr_assert(veil_str_eq_z(v, "a=1"));
    veil_http_headers_add(&hs, VEIL_STR("Cookie"), VEIL_STR("b=2"));
    v = veil_http_headers_join(&hs, VEIL_HEADER_COOKIE, pool);
    cr_assert(veil_str_eq_z(v, "a=1; b=2"));
    veil_http_headers_add(&hs, VEIL_STR("X-Forwarded-For"), VEIL_STR("x"));
    veil_http_headers_add(&hs, VEIL_STR("X-Forwarded-For"), VEIL_STR(""));
    veil_http_headers_add(&hs, VEIL_STR("X-Forwarded-For"), VEIL_STR("y"));
    v = veil_http_headers_join(&hs, VEIL_HEADER_X_FORWARDED_FOR, pool);
    cr_assert(veil_str_eq_z(v, "x, , y"));
}

Test(headers, growth)
{
    unsigned i, n = 0;
    const veil_http_header_t *h = NULL;

    for (i = 0; i < 1000; i++) {
        veil_http_headers_add(&hs, VEIL_STR("X-Many"),
                              veil_pool_printf(pool, "%u", i));
    }
    while ((h = veil_http_headers_next(&hs, h)) != NULL) {
        cr_assert_eq(veil_str_to_int(h->value), n);
        n++;
    }
    cr_assert_eq(n, 1000);
}
