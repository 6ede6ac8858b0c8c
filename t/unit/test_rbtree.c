/* test_rbtree.c -- red-black trees against their own rules. */

#include <criterion/criterion.h>

#include "core/platform.h"

#include "core/rand.h"
#include "core/rbtree.c"

typedef struct {
    int key;
    int serial;
    bool in;
    veil_rbnode_t node;
} item_t;

static item_t items[1000];

static const item_t *
item(const veil_rbnode_t *n)
{
    return (const item_t *) (const void *) ((const char *) n
                                            - offsetof(item_t, node));
}

static int
compare(const veil_rbnode_t *a, const veil_rbnode_t *b)
{
    return item(a)->key - item(b)->key;
}

static int
compare_key(const void *key, const veil_rbnode_t *n)
{
    return *(const int *) key - item(n)->key;
}

/* Black height of a subtree; checks colours and parents on the way. */
static int
height(const veil_rbnode_t *n)
{
    int left, right;

    if (n == NULL) {
        return 0;
    }
    cr_assert(n->left == NULL || rbtree_parent(n->left) == n);
    cr_assert(n->right == NULL || rbtree_parent(n->right) == n);
    if (rbtree_is_red(n)) {
        cr_assert(!rbtree_is_red(n->left) && !rbtree_is_red(n->right));
    }
    left = height(n->left);
    right = height(n->right);
    cr_assert_eq(left, right);
    return left + !rbtree_is_red(n);
}

static void
check(const veil_rbtree_t *t)
{
    const veil_rbnode_t *n, *prev = NULL;
    size_t count = 0;

    cr_assert(t->root == NULL || t->root->parent == 0);
    (void) height(t->root);
    for (n = veil_rbtree_first(t); n != NULL; n = veil_rbnode_next(n)) {
        cr_assert_eq(veil_rbnode_prev(n), prev);
        if (prev != NULL) {
            cr_assert(item(prev)->key < item(n)->key
                      || (item(prev)->key == item(n)->key
                          && item(prev)->serial < item(n)->serial));
        }
        prev = n;
        count++;
    }
    cr_assert_eq(veil_rbtree_last(t), prev);
    cr_assert_eq(count, t->n);
}

Test(rbtree, empty)
{
    veil_rbtree_t t;
    int key = 1;

    veil_rbtree_init(&t, compare);
    check(&t);
    cr_assert_eq(veil_rbtree_first(&t), NULL);
    cr_assert_eq(veil_rbtree_last(&t), NULL);
    cr_assert_eq(veil_rbtree_find(&t, &key, compare_key), NULL);
    cr_assert_eq(veil_rbtree_ceil(&t, &key, compare_key), NULL);
}

Test(rbtree, ascending_descending)
{
    veil_rbtree_t t;
    int i;

    veil_rbtree_init(&t, compare);
    for (i = 0; i < 1000; i++) {
        items[i].key = i < 500 ? i : 1500 - i;
        veil_rbtree_insert(&t, &items[i].node);
        check(&t);
    }
    for (i = 0; i < 1000; i++) {
        veil_rbtree_remove(&t, veil_rbtree_first(&t));
        check(&t);
    }
    cr_assert_eq(t.root, NULL);
}

Test(rbtree, random_inserts_and_removals)
{
    int serial = 0, round, key, present;
    veil_rbtree_t t;
    item_t *it;

    veil_rand_seed(7);
    veil_rbtree_init(&t, compare);
    for (round = 0; round < 20000; round++) {
        it = &items[veil_rand_below(200)];
        if (it->in) {
            veil_rbtree_remove(&t, &it->node);
        } else {
            it->key = (int) veil_rand_below(60); /* many are equal */
            it->serial = serial++;
            veil_rbtree_insert(&t, &it->node);
        }
        it->in = !it->in;
        if (round % 16 == 0) {
            check(&t);
        }

        key = (int) veil_rand_below(62) - 1;
        present = -1;
        for (it = items; it < items + 200; it++) {
            if (it->in && it->key >= key
                && (present < 0 || it->key < items[present].key
                    || (it->key == items[present].key
                        && it->serial < items[present].serial)))
            {
                present = (int) (it - items);
            }
        }
        cr_assert_eq(veil_rbtree_ceil(&t, &key, compare_key),
                     present < 0 ? NULL : &items[present].node);
        cr_assert_eq(veil_rbtree_find(&t, &key, compare_key),
                     present < 0 || items[present].key != key
                         ? NULL
                         : &items[present].node);
    }
}
