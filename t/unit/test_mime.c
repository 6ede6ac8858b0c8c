/*
 * test_mime.c -- extensions and media types.
 */

#include "core/platform.h"

#include <criterion/criterion.h>

#include "http/mime.h"

Test(mime, find)
{
    veil_pool_t *pool = veil_pool_create("test", 1024);
    veil_mime_table_t *t = veil_mime_table_create(pool);
    char ext[] = "TXT";

    cr_expect_null(veil_mime_table_find(t, VEIL_STR("txt")).data);
    cr_expect(veil_mime_table_add(t, VEIL_STR("TXT"), VEIL_STR("old")));
    cr_expect(veil_str_eq_z(veil_mime_table_find(t, veil_str_z(ext)), "old"));
    cr_expect(!veil_mime_table_add(t, VEIL_STR("txt"), VEIL_STR("new")));
    cr_expect(veil_str_eq_z(veil_mime_table_find(t, VEIL_STR("tXt")), "new"));
    cr_expect_null(veil_mime_table_find(t, VEIL_STR("tx")).data);
    cr_expect_null(veil_mime_table_find(t, VEIL_STR("txtx")).data);
    cr_expect(veil_mime_table_add(t, VEIL_STR(""), VEIL_STR("x")));
    cr_expect_null(veil_mime_table_find(t, VEIL_STR("")).data);
    cr_expect_null(veil_mime_table_find(t, VEIL_STR_NULL).data);
    veil_pool_destroy(&pool);
}

Test(mime, defaults)
{
    veil_pool_t *pool = veil_pool_create("test", 1024);
    veil_mime_table_t *t = veil_mime_table_create(pool);
    veil_str_t type;

    veil_mime_table_add_defaults(t);
    type = veil_mime_table_find(t, VEIL_STR("html"));
    cr_expect(veil_str_eq_z(type, "text/html"));
    type = veil_mime_table_find(t, VEIL_STR("JPG"));
    cr_expect(veil_str_eq_z(type, "image/jpeg"));
    cr_expect_null(veil_mime_table_find(t, VEIL_STR("png")).data);
    veil_pool_destroy(&pool);
}

/* It grows, and loses nothing by it. */
Test(mime, many)
{
    veil_pool_t *pool = veil_pool_create("test", 1024);
    veil_mime_table_t *t = veil_mime_table_create(pool);
    char ext[16];
    veil_str_t e, type;
    unsigned i;

    for (i = 0; i < 1000; i++) {
        e = veil_str_n(ext, veil_snprintf(ext, sizeof(ext), "x%u", i));
        cr_assert(veil_mime_table_add(t, e, veil_pool_str(pool, e)));
    }
    for (i = 0; i < 1000; i++) {
        e = veil_str_n(ext, veil_snprintf(ext, sizeof(ext), "X%u", i));
        type = veil_mime_table_find(t, e);
        cr_assert(veil_str_caseeq(type, e), "%u", i);
    }
    cr_assert_null(veil_mime_table_find(t, VEIL_STR("x1000")).data);
    veil_pool_destroy(&pool);
}
