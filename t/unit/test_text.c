/* test_text.c -- a configuration printed anew reads as the same tree. */

#include <criterion/criterion.h>

#include "../../src/process/text.c"

#include "core/cycle.h"

static veil_cycle_t *cycle;
static veil_conf_t cf;

static void
setup(void)
{
    cycle = veil_cycle_create(VEIL_STR("/tmp"), VEIL_STR("/tmp/veil.conf"),
                              VEIL_STR("stderr"), VEIL_STR_NULL);
    cf = (veil_conf_t){ .cycle = cycle,
                        .pool = cycle->pool,
                        .temp_pool = cycle->pool,
                        .log = &cycle->log };
}

static void
teardown(void)
{
    veil_cycle_destroy(&cycle);
}

TestSuite(text, .init = setup, .fini = teardown);

static void
same(const veil_conf_node_t *a, const veil_conf_node_t *b)
{
    const veil_list_t *x = a->children.next;
    const veil_list_t *y = b->children.next;
    unsigned i;

    cr_assert_eq(a->nargs, b->nargs);
    cr_assert_eq(a->is_block, b->is_block);
    for (i = 0; i < a->nargs; i++) {
        cr_assert(veil_str_eq(a->args[i].str, b->args[i].str), "%s and %s",
                  a->args[i].str.data, b->args[i].str.data);
    }
    while (x != &a->children && y != &b->children) {
        same((const veil_conf_node_t *) (const void *) x,
             (const veil_conf_node_t *) (const void *) y);
        x = x->next;
        y = y->next;
    }
    cr_assert(x == &a->children && y == &b->children);
}

static void
round_trip(const char *text)
{
    veil_conf_node_t *a, *b;
    char *again;
    int fd;

    a = veil_conf_parse(&cf, VEIL_STR("first"), veil_str_z(text));
    cr_assert_not_null(a, "%s", text);
    fd = veil_text_keep(a);
    cr_assert_geq(fd, 0);
    cr_assert_eq(veil_text_read(fd, &again), 0);
    close(fd);
    b = veil_conf_parse(&cf, VEIL_STR("second"), veil_str_z(again));
    cr_assert_not_null(b, "%s", again);
    same(a, b);
    veil_free(again);
}

Test(text, words)
{
    round_trip("");
    round_trip("a;");
    round_trip("a b c;\nd e;");
    round_trip("a \"\" '';");
    round_trip("a \"b c\" 'd;e' \"{\" '}' \"#\";");
    round_trip("a \"it's\" '\"' \"\\\"\" '\\'' x\\\"y;");
    round_trip("a \"back\\\\slash\" b\\\\c \\d+ '\\d+' \"\\\\d\";");
    round_trip("a \"tab\\tline\\nend\" \"\t\n\";");
    round_trip("a ${b}c \"${b}\" b} a#b;");
    round_trip("a b'c d\"e;");
}

Test(text, blocks)
{
    round_trip("a { }");
    round_trip("a { b c; d e { f; } g; } h;");
    round_trip("location ~ \\.(gif|jpg)$ { x; }");
    round_trip("location ~ \"^/[a-z]{2}/\" { x; }");
    round_trip("if ($a = \"x y\") { set $b \"1;2\"; }");
    round_trip("map $a $b { default 0; \"~^a b\" 1; }");
}

Test(text, a_descriptor_that_is_none)
{
    char *text;

    cr_assert_eq(veil_text_read(-1, &text), -EBADF);
}

Test(text, mapped_for_reading)
{
    int fd = memfd_create("test", 0);
    veil_str_t s;

    cr_assert_eq(veil_text_map(fd, &s), 0);
    cr_assert_eq(s.len, 0, "there is nothing to map yet");
    cr_assert_eq(write(fd, "a b;", 4), 4);
    cr_assert_eq(veil_text_map(fd, &s), 0);
    close(fd);
    cr_assert(veil_str_eq_z(s, "a b;"));
    veil_text_unmap(&s);
    cr_assert_eq(s.len, 0);
    veil_text_unmap(&s);
    cr_assert_lt(veil_text_map(-1, &s), 0);
    cr_assert_eq(s.len, 0);
}
