/* test_block.c -- counted storage. */

#include <criterion/criterion.h>
#include <signal.h>

#include "core/platform.h"

#include "core/block.h"

Test(block, lives_until_the_last_put)
{
    veil_block_t *b = veil_block_create(100), *other;

    cr_assert_eq(veil_block_count(), 1);
    cr_assert_eq(b->size, 100);
    cr_assert_eq((uintptr_t) b->data % 16, 0);
    memset(b->data, 1, 100);
    other = veil_block_get(b);
    cr_assert_eq(other, b);
    veil_block_put(b);
    cr_assert_eq(veil_block_count(), 1);
    veil_block_put(b);
    cr_assert_eq(veil_block_count(), 0);
}

Test(block, static_storage)
{
    static unsigned char data[4];
    veil_block_t b = {
        .magic = VEIL_BLOCK_MAGIC, .refs = 1, .data = data, .size = 4
    };

    (void) veil_block_get(&b);
    veil_block_put(&b);
    veil_block_put(&b);
    cr_assert_eq(b.refs, 0);
    cr_assert_eq(veil_block_count(), 0);
}

static veil_block_t *given_back;

static void
give_back(veil_block_t *b)
{
    given_back = b;
}

Test(block, owner_gets_it_back_once)
{
    veil_block_t b = { .magic = VEIL_BLOCK_MAGIC, .refs = 2 };

    b.free = give_back;
    veil_block_put(&b);
    cr_assert_eq(given_back, NULL);
    veil_block_put(&b);
    cr_assert_eq(given_back, &b);
}

Test(block, put_too_often_aborts, .signal = SIGABRT)
{
    veil_block_t b = { .magic = VEIL_BLOCK_MAGIC, .refs = 1 };

    veil_block_put(&b);
    veil_block_put(&b);
}

Test(block, wrong_magic_aborts, .signal = SIGABRT)
{
    veil_block_t b = { .magic = VEIL_MAGIC_DEAD, .refs = 1 };

    (void) veil_block_get(&b);
}
