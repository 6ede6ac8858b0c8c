/*
 * test_regex.c -- captures, names, errors and limits of regular expressions.
 */

#include "core/platform.h"

#include <criterion/criterion.h>

#include "core/regex.h"

static veil_pool_t *pool;

static void
setup(void)
{
    pool = veil_pool_create("test", 4096);
}

static void
teardown(void)
{
    veil_pool_destroy(&pool);
    veil_regex_trim();
    veil_pool_trim();
}

TestSuite(regex, .init = setup, .fini = teardown);

static veil_regex_t *
compile(const char *pattern, bool caseless)
{
    veil_regex_error_t error;
    veil_regex_t *re =
        veil_regex_compile(pool, veil_str_z(pattern), caseless, &error);

    cr_assert_neq(re, NULL, "%s", pattern);
    return re;
}

#if VEIL_HAVE_PCRE2

Test(regex, matches_and_captures)
{
    veil_regex_t *re = compile("^/(\\w+)/(x)?(\\d+)$", false);
    int v[8];

    cr_assert(veil_regex_available());
    cr_assert_eq(veil_regex_groups(re), 3);
    cr_assert_eq(veil_regex_match(re, VEIL_STR("/ab/12"), v, 4), 4);
    cr_assert_eq(v[0], 0);
    cr_assert_eq(v[1], 6);
    cr_assert_eq(v[2], 1);
    cr_assert_eq(v[3], 3);
    cr_assert_eq(v[4], -1);
    cr_assert_eq(v[5], -1);
    cr_assert_eq(v[6], 4);
    cr_assert_eq(v[7], 6);
    cr_assert_eq(veil_regex_match(re, VEIL_STR("/ab/x"), v, 4),
                 VEIL_REGEX_NONE);
    cr_assert(
        veil_str_eq(veil_regex_pattern(re), VEIL_STR("^/(\\w+)/(x)?(\\d+)$")));
}

Test(regex, groups_behind_the_last_that_matched)
{
    veil_regex_t *re = compile("a(b)?(c)?", false);
    int v[6] = { 9, 9, 9, 9, 9, 9 };

    cr_assert_eq(veil_regex_match(re, VEIL_STR("a"), v, 3), 3);
    cr_assert_eq(v[2], -1);
    cr_assert_eq(v[4], -1);
    cr_assert_eq(v[5], -1);
}

Test(regex, fewer_pairs_than_groups)
{
    veil_regex_t *re = compile("(a)(b)(c)", false);
    int v[4] = { 9, 9, 9, 9 };

    cr_assert_eq(veil_regex_match(re, VEIL_STR("xabc"), v, 1), 4);
    cr_assert_eq(v[0], 1);
    cr_assert_eq(v[1], 4);
    cr_assert_eq(v[2], 9, "not written");
    cr_assert_eq(veil_regex_match(re, VEIL_STR("xabc"), NULL, 0), 4);
}

Test(regex, case)
{
    cr_assert_eq(veil_regex_match(compile("\\.PHP$", false), VEIL_STR("a.php"),
                                  NULL, 0),
                 VEIL_REGEX_NONE);
    cr_assert_eq(
        veil_regex_match(compile("\\.PHP$", true), VEIL_STR("a.php"), NULL, 0),
        1);
}

Test(regex, names_are_sorted)
{
    unsigned n;
    const veil_regex_name_t *names = veil_regex_names(
        compile("(?<user>[^@]+)@(x)(?<domain>.+)", false), &n);

    cr_assert_eq(n, 2);
    cr_assert(veil_str_eq(names[0].name, VEIL_STR("domain")));
    cr_assert_eq(names[0].group, 3);
    cr_assert(veil_str_eq(names[1].name, VEIL_STR("user")));
    cr_assert_eq(names[1].group, 1);
    veil_regex_names(compile("a", false), &n);
    cr_assert_eq(n, 0);
}

Test(regex, empty_subjects_and_strange_bytes)
{
    veil_regex_t *re = compile("^$", false);

    cr_assert_eq(veil_regex_match(re, VEIL_STR_NULL, NULL, 0), 1);
    cr_assert_eq(veil_regex_match(re, VEIL_STR("\0"), NULL, 0),
                 VEIL_REGEX_NONE);
    cr_assert_eq(veil_regex_match(compile("^.\\xff.$", false),
                                  VEIL_STR("\xc3\xff\0"), NULL, 0),
                 1);
    cr_assert_eq(veil_regex_match(compile("", false), VEIL_STR("x"), NULL, 0),
                 1);
}

Test(regex, errors_have_a_text_and_an_offset)
{
    veil_regex_error_t error;

    cr_assert_eq(veil_regex_compile(pool, VEIL_STR("ab(c"), false, &error),
                 NULL);
    cr_assert_str_eq(error.text, "missing closing parenthesis");
    cr_assert_eq(error.offset, 4);
    cr_assert_eq(veil_regex_compile(pool, VEIL_STR("a**b"), false, &error),
                 veil_regex_compile(pool, VEIL_STR("["), false, &error));
    cr_assert_eq(error.offset, 1);
}

Test(regex, a_bad_expression_fails_instead_of_running_for_ever)
{
    veil_regex_t *re = compile("^(a+)+$", false);
    char subject[64], text[128];
    int rc;

    memset(subject, 'a', sizeof(subject));
    subject[sizeof(subject) - 1] = 'b';
    rc = veil_regex_match(re, veil_str_n(subject, sizeof(subject)), NULL, 0);
    cr_assert_leq(rc, VEIL_REGEX_FAILED);
    cr_assert_neq(rc, VEIL_REGEX_NONE);
    veil_regex_strerror(rc, text, sizeof(text));
    cr_assert_str_eq(text, "match limit exceeded");
}

#else

Test(regex, says_no)
{
    veil_regex_error_t error;

    (void) compile;
    cr_assert_not(veil_regex_available());
    cr_assert_eq(veil_regex_compile(pool, VEIL_STR("a"), false, &error), NULL);
    cr_assert_str_eq(
        error.text, "this veil was built without regular expressions (PCRE2)");
}

#endif
