/* test_array.c -- growing arrays. */

#include <criterion/criterion.h>
#include <signal.h>

#include "core/platform.h"

#include "core/array.h"
#include "core/assert.h"
#include "core/pool.h"

Test(array, grows_and_zeroes)
{
    veil_pool_t *p = veil_pool_create("test", 256);
    veil_array_t a;
    int i, *e;

    veil_array_init(&a, p, sizeof(int), 0);
    cr_assert_eq(a.n, 0);
    for (i = 0; i < 1000; i++) {
        e = veil_array_push(&a);
        cr_assert_eq(*e, 0);
        *e = i;
    }
    cr_assert_eq(a.n, 1000);
    for (i = 0; i < 1000; i++) {
        cr_assert_eq(*veil_array_at(&a, int, i), i);
    }
    veil_pool_destroy(&p);
}

Test(array, reserved_room_does_not_move)
{
    veil_pool_t *p = veil_pool_create("test", 256);
    veil_array_t *a = veil_array_create(p, 24, 10);
    void *first = a->elts;
    int i;

    for (i = 0; i < 10; i++) {
        (void) veil_array_push(a);
    }
    cr_assert_eq(a->elts, first);
    (void) veil_array_push(a);
    cr_assert_neq(a->elts, first);
    veil_pool_destroy(&p);
}

Test(array, copy_leaves_the_first_be)
{
    veil_pool_t *p = veil_pool_create("test", 256);
    veil_array_t *a = veil_array_create(p, sizeof(int), 1), *b;

    *(int *) veil_array_push(a) = 1;
    b = veil_array_copy(p, a);
    *(int *) veil_array_push(b) = 2;
    *veil_array_at(b, int, 0) = 3;
    cr_assert_eq(a->n, 1);
    cr_assert_eq(*veil_array_at(a, int, 0), 1);
    cr_assert_eq(b->n, 2);

    a = veil_array_create(p, sizeof(int), 0);
    b = veil_array_copy(p, a);
    *(int *) veil_array_push(b) = 4;
    cr_assert_eq(b->n, 1);
    cr_assert_eq(a->n, 0);
    veil_pool_destroy(&p);
}

Test(array, size_overflow_aborts, .signal = SIGABRT)
{
    veil_pool_t *p = veil_pool_create("test", 256);

    (void) veil_array_create(p, SIZE_MAX / 2, 4);
}
