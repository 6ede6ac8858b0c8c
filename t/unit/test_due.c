/*
 * test_due.c -- what is to be done later runs in the order of its times.
 */

#include <criterion/criterion.h>

#include "../../src/core/due.c"

static char ran[16];
static veil_due_t a, b, c;
static unsigned changes;

static void
note(veil_due_t *d)
{
    size_t n = strlen(ran);

    ran[n] = d == &a ? 'a' : d == &b ? 'b' : 'c';
    ran[n + 1] = '\0';
    if (d == &a) {
        veil_due_cancel(&c);
        veil_due_set(&a, 0);
    }
}

static void
count_changes(void)
{
    changes++;
}

static void
setup(void)
{
    veil_time_set(1000, 1700000000, 0);
    veil_due_init(&a, note);
    veil_due_init(&b, note);
    veil_due_init(&c, note);
    ran[0] = '\0';
    changes = 0;
    veil_due_changed = count_changes;
}

TestSuite(due, .init = setup);

Test(due, in_the_order_of_times)
{
    cr_assert_eq(veil_due_timeout(1000), -1);
    veil_due_set(&a, 30);
    veil_due_set(&b, 10);
    veil_due_set(&c, 30);
    cr_assert_eq(changes, 2);
    cr_assert_eq(veil_due_timeout(1000), 10);
    veil_due_run(1009);
    cr_assert_str_eq(ran, "");
    veil_due_run(1010);
    cr_assert_str_eq(ran, "b");
    cr_assert_eq(veil_due_timeout(1015), 15);
}

Test(due, what_runs_may_cancel_and_set)
{
    veil_due_set(&a, 30);
    veil_due_set(&c, 30);
    veil_due_run(2000);
    cr_assert_str_eq(ran, "a"); /* c was cancelled, a waits for its turn */
    veil_due_run(2000);
    cr_assert_str_eq(ran, "aa");
    veil_due_set(&b, 5);
    veil_due_set(&b, 50);
    veil_due_cancel(&a);
    cr_assert_eq(veil_due_timeout(1000), 50);
}
