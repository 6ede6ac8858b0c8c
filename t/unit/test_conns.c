/*
 * test_conns.c -- answers about connections: texts of clients, and the
 * answers of all workers as one.
 */

#include "core/platform.h"

#include <criterion/criterion.h>

#include "modules/conns/conns.c"

static void
expect_text(veil_str_t s, size_t max, const char *want)
{
    json_t *v = veil_conns_text(s, max);

    cr_expect_str_eq(json_string_value(v), want);
    json_decref(v);
}

Test(conns, texts)
{
    expect_text(VEIL_STR(""), 9, "");
    expect_text(VEIL_STR("GET / HTTP/1.1"), 99, "GET / HTTP/1.1");
    expect_text(VEIL_STR("a\r\n\0\177\\\"\377"), 99,
                "a\\x0d\\x0a\\x00\\x7f\\\\\"\\xff");
    expect_text(VEIL_STR("abcdef"), 3, "abc...");
    expect_text(VEIL_STR("abc"), 3, "abc");
}

Test(conns, merge)
{
    json_t *answers = json_pack(
        "[{s:{s:i,s:[{s:i},{s:i}]}},{s:{s:i,s:[{s:i},{s:i}]}},{s:{}}]", "data",
        "n", 3, "rows", "age", 9, "age", 2, "data", "n", 4, "rows", "age", 5,
        "age", 1, "data");
    json_t *rows;

    cr_assert_not_null(answers);
    rows = veil_conns_merge(answers, "rows", "age", 3);
    cr_expect_eq(json_array_size(rows), 3);
    cr_expect_eq(
        json_integer_value(json_object_get(json_array_get(rows, 0), "age")),
        9);
    cr_expect_eq(
        json_integer_value(json_object_get(json_array_get(rows, 2), "age")),
        2);
    cr_expect_eq(veil_conns_sum(answers, "n"), 7);
    json_decref(rows);
    json_decref(answers);
}
