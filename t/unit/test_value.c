/*
 * test_value.c -- texts with variables: how they are cut, and what is
 * refused.
 */

#include "core/platform.h"

#include <criterion/criterion.h>

#include "conf_fixture.h"
#include "http/value.c"

static veil_conf_t cf;
static veil_conf_node_t node;
static veil_conf_word_t word = { .str = VEIL_STR_INIT("text") };
static veil_conf_file_t file = { .name = VEIL_STR_INIT("f"),
                                 .text = VEIL_STR_INIT("text;") };

static void
setup(void)
{
    veil_http_main_t *main;

    cf = fixture_conf("/nowhere");
    main = VEIL_POOL_NEW(cf.pool, veil_http_main_t);
    cf.cycle->http = main;
    veil_http_vars_init(&cf, main);
    node.args = &word;
    node.nargs = 1;
    node.file = &file;
    word.line = 1;
    word.column = 1;
    cf.node = &node;
}

static void
teardown(void)
{
    fixture_done(&cf);
}

TestSuite(value, .init = setup, .fini = teardown);

static const veil_http_value_t *
compile(const char *text)
{
    return veil_http_value_compile(&cf, veil_str_z(text));
}

/* "lit" for literals, "$3" for the variable of index 3, "#1" for captures. */
static const char *
parts(const char *text)
{
    static char buf[256];
    const veil_http_value_t *v = compile(text);
    size_t len = 0;
    unsigned i;

    if (v == NULL) {
        return "refused";
    }
    if (v->nparts == 0) {
        (void) veil_snprintf(buf, sizeof(buf), "[%.*s]",
                             VEIL_STR_ARG(v->text));
        return buf;
    }
    for (i = 0; i < v->nparts; i++) {
        const value_part_t *p = &v->parts[i];

        if (p->kind == PART_LITERAL) {
            len += veil_snprintf(buf + len, sizeof(buf) - len, "(%.*s)",
                                 VEIL_STR_ARG(p->literal));
        } else {
            len +=
                veil_snprintf(buf + len, sizeof(buf) - len, "%c%u",
                              p->kind == PART_VARIABLE ? '$' : '#', p->index);
        }
    }
    return buf;
}

Test(value, constants)
{
    const veil_http_value_t *v = compile("a text");

    cr_expect(veil_http_value_is_constant(v));
    cr_expect(veil_str_eq_z(veil_http_value_text(v), "a text"));
    cr_expect(veil_str_eq_z(veil_http_eval(NULL, v), "a text"));
    cr_expect(veil_str_eq_z(veil_http_eval_z(NULL, v), "a text"));
    cr_expect(veil_str_eq_z(veil_http_eval_args(NULL, v), "a text"));
    cr_expect_eq(veil_http_eval(NULL, NULL).len, 0);
    cr_expect_str_eq(veil_http_eval_z(NULL, NULL).data, "");
    cr_expect_str_eq(parts(""), "[]");
    cr_expect_str_eq(parts("{}"), "[{}]");
}

Test(value, variables)
{
    cr_expect_str_eq(parts("$a"), "$0");
    cr_expect_str_eq(parts("${a}"), "$0");
    cr_expect_str_eq(parts("$A"), "$0", "names have no case");
    cr_expect_str_eq(parts("$b"), "$1");
    cr_expect_str_eq(parts("x$a"), "(x)$0");
    cr_expect_str_eq(parts("${a}x"), "$0(x)");
    cr_expect_str_eq(parts("$a-$b"), "$0(-)$1");
    cr_expect_str_eq(parts("$a$b"), "$0$1");
    cr_expect_str_eq(parts("${a}${b}"), "$0$1");
    cr_expect_str_eq(parts("$a_b"), "$2");
    cr_expect_str_eq(parts("$a.b"), "$0(.b)");
    cr_expect_str_eq(parts("/$a/${b}/"), "(/)$0(/)$1(/)");
    cr_expect_str_eq(parts("}$a{"), "(})$0({)");
}

Test(value, captures)
{
    cr_expect_str_eq(parts("$1"), "#1");
    cr_expect_str_eq(parts("$12"), "#1(2)");
    cr_expect_str_eq(parts("${1}2"), "#1(2)");
    cr_expect_str_eq(parts("$1x"), "#1(x)");
    cr_expect_str_eq(parts("$0"), "#0");
    cr_expect_str_eq(parts("$9$1"), "#9#1");
    cr_expect_eq(veil_http_value_max_capture(compile("$2$7$3")), 7);
    cr_expect_eq(veil_http_value_max_capture(compile("$a")), 0);
    cr_expect_eq(veil_http_value_max_capture(compile("text")), 0);
}

Test(value, refused)
{
    static const char *const bad[] = {
        "$", "a$", "$-", "${", "${a", "${}", "$$a", "${a-b}", "a$ b", "${a b}"
    };
    unsigned i;

    for (i = 0; i < veil_countof(bad); i++) {
        cr_expect_str_eq(parts(bad[i]), "refused", "\"%s\"", bad[i]);
    }
    cr_expect_eq(cf.errors, veil_countof(bad));
    cr_expect_not_null(strstr(fixture_lines, "invalid variable name"));
}

/* Names nobody defines are told at the end, each once, where it was used. */
Test(value, unknown)
{
    (void) compile("$uri $nobody $nobody ${noone}");
    cr_expect_eq(veil_http_vars_check(&cf), VEIL_ERROR);
    cr_expect_eq(cf.errors, 2);
    cr_expect_not_null(strstr(fixture_lines, "unknown \"nobody\" variable"));
    cr_expect_not_null(strstr(fixture_lines, "unknown \"noone\" variable"));
}
