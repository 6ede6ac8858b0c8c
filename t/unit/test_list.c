/* test_list.c -- intrusive lists. */

#include <criterion/criterion.h>

#include "core/platform.h"

#include "core/list.h"

typedef struct {
    int id;
    veil_list_t link;
} item_t;

static item_t items[4];
static veil_list_t head;

static void
setup(void)
{
    int i;

    veil_list_init(&head);
    for (i = 0; i < 4; i++) {
        items[i].id = i;
        veil_list_init(&items[i].link);
    }
}

/* The ids as a decimal number, forwards; checks the way back as well. */
static int
ids(veil_list_t *h)
{
    veil_list_t *n;
    int forwards = 0, backwards = 0, scale = 1;

    veil_list_foreach (n, h) {
        forwards = forwards * 10 + veil_list_entry(n, item_t, link)->id;
    }
    for (n = h->prev; n != h; n = n->prev) {
        backwards += scale * veil_list_entry(n, item_t, link)->id;
        scale *= 10;
    }
    cr_assert_eq(forwards, backwards);
    return forwards;
}

Test(list, push_append_remove, .init = setup)
{
    cr_assert(veil_list_is_empty(&head));
    cr_assert_not(veil_list_is_linked(&items[1].link));
    veil_list_append(&head, &items[1].link);
    veil_list_append(&head, &items[2].link);
    veil_list_push(&head, &items[3].link);
    cr_assert_eq(ids(&head), 312);
    cr_assert(veil_list_is_linked(&items[1].link));
    cr_assert_eq(veil_list_first(&head, item_t, link)->id, 3);

    veil_list_remove(&items[1].link);
    veil_list_remove(&items[1].link);
    cr_assert_not(veil_list_is_linked(&items[1].link));
    cr_assert_eq(ids(&head), 32);
    veil_list_insert_after(&items[3].link, &items[1].link);
    cr_assert_eq(ids(&head), 312);
}

Test(list, pop, .init = setup)
{
    cr_assert_eq(veil_list_pop(&head), NULL);
    veil_list_append(&head, &items[1].link);
    veil_list_append(&head, &items[2].link);
    cr_assert_eq(veil_list_pop(&head), &items[1].link);
    cr_assert_not(veil_list_is_linked(&items[1].link));
    cr_assert_eq(veil_list_pop(&head), &items[2].link);
    cr_assert(veil_list_is_empty(&head));
}

Test(list, splice, .init = setup)
{
    veil_list_t other;

    veil_list_init(&other);
    veil_list_append(&head, &items[1].link);
    veil_list_splice(&head, &other);
    cr_assert_eq(ids(&head), 1);
    veil_list_append(&other, &items[2].link);
    veil_list_append(&other, &items[3].link);
    veil_list_splice(&head, &other);
    cr_assert_eq(ids(&head), 123);
    cr_assert(veil_list_is_empty(&other));
    veil_list_splice(&other, &head);
    cr_assert_eq(ids(&other), 123);
    cr_assert(veil_list_is_empty(&head));
}

Test(list, removing_while_walking, .init = setup)
{
    veil_list_t *n, *tmp;
    int i;

    for (i = 1; i < 4; i++) {
        veil_list_append(&head, &items[i].link);
    }
    veil_list_foreach_safe (n, tmp, &head) {
        if (veil_list_entry(n, item_t, link)->id != 2) {
            veil_list_remove(n);
        }
    }
    cr_assert_eq(ids(&head), 2);
}
