/*
 * rbtree.c -- red-black trees.
 *
 * The usual rules: a red node has black children, and every way down passes
 * the same number of black nodes; missing children count as black.  Insertion
 * adds a red leaf and repairs upwards; removal takes out a node with at most
 * one child (the successor changes places with a node that has two) and
 * repairs the missing black.
 *
 * The colour is kept in the parent pointer's lowest bit: nodes are aligned to
 * eight bytes.  Left and right are mirror images, so the repairs are written
 * once, with the side as a value.  The smallest node is remembered, because
 * timers and queues ask for it all the time.
 */

#include "core/platform.h"

#include "core/assert.h"
#include "core/rbtree.h"

#define RBTREE_RED ((uintptr_t) 1)

static veil_rbnode_t *
rbtree_parent(const veil_rbnode_t *n)
{
    return (veil_rbnode_t *) (n->parent & ~RBTREE_RED);
}

static bool
rbtree_is_red(const veil_rbnode_t *n)
{
    return n != NULL && (n->parent & RBTREE_RED) != 0;
}

static void
rbtree_set_parent(veil_rbnode_t *n, veil_rbnode_t *parent)
{
    n->parent = (uintptr_t) parent | (n->parent & RBTREE_RED);
}

static void
rbtree_set_red(veil_rbnode_t *n, bool red)
{
    n->parent = (n->parent & ~RBTREE_RED) | (red ? RBTREE_RED : 0);
}

static veil_rbnode_t **
rbtree_child(veil_rbnode_t *n, bool right)
{
    return right ? &n->right : &n->left;
}

/* Puts n, which may be NULL, where old hangs. */
static void
rbtree_replace(veil_rbtree_t *t, const veil_rbnode_t *old, veil_rbnode_t *n)
{
    veil_rbnode_t *parent = rbtree_parent(old);

    if (parent == NULL) {
        t->root = n;
    } else {
        *rbtree_child(parent, parent->right == old) = n;
    }
    if (n != NULL) {
        rbtree_set_parent(n, parent);
    }
}

/* n goes down on the given side; its other child takes its place. */
static void
rbtree_rotate(veil_rbtree_t *t, veil_rbnode_t *n, bool right)
{
    veil_rbnode_t *up = *rbtree_child(n, !right);
    veil_rbnode_t *inner = *rbtree_child(up, right);

    rbtree_replace(t, n, up);
    *rbtree_child(n, !right) = inner;
    if (inner != NULL) {
        rbtree_set_parent(inner, n);
    }
    *rbtree_child(up, right) = n;
    rbtree_set_parent(n, up);
}

void
veil_rbtree_init(veil_rbtree_t *t, veil_rbtree_cmp_fn *cmp)
{
    t->root = NULL;
    t->first = NULL;
    t->cmp = cmp;
    t->n = 0;
}

static void
rbtree_insert_repair(veil_rbtree_t *t, veil_rbnode_t *n)
{
    veil_rbnode_t *parent, *grand, *uncle;
    bool right;

    while (rbtree_is_red(parent = rbtree_parent(n))) {
        grand = rbtree_parent(parent); /* red is never the root */
        right = grand->right == parent;
        uncle = *rbtree_child(grand, !right);
        if (rbtree_is_red(uncle)) {
            rbtree_set_red(parent, false);
            rbtree_set_red(uncle, false);
            rbtree_set_red(grand, true);
            n = grand;
            continue;
        }
        if (*rbtree_child(parent, !right) == n) {
            rbtree_rotate(t, parent, right);
            n = parent;
            parent = rbtree_parent(n);
        }
        rbtree_set_red(parent, false);
        rbtree_set_red(grand, true);
        rbtree_rotate(t, grand, !right);
    }
    rbtree_set_red(t->root, false);
}

void
veil_rbtree_insert(veil_rbtree_t *t, veil_rbnode_t *n)
{
    veil_rbnode_t *parent = NULL, **link = &t->root;
    bool first = true, right;

    while (*link != NULL) {
        parent = *link;
        right = t->cmp(n, parent) >= 0;
        first = first && !right;
        link = rbtree_child(parent, right);
    }
    n->left = n->right = NULL;
    n->parent = (uintptr_t) parent | RBTREE_RED;
    *link = n;
    if (first) {
        t->first = n;
    }
    t->n++;
    rbtree_insert_repair(t, n);
}

/* The way down through n, a child of parent, lacks one black. */
static void
rbtree_remove_repair(veil_rbtree_t *t, veil_rbnode_t *parent, veil_rbnode_t *n)
{
    veil_rbnode_t *sister, *outer, *inner;
    bool right;

    while (parent != NULL && !rbtree_is_red(n)) {
        right = parent->right == n;
        sister = *rbtree_child(parent, !right);
        if (rbtree_is_red(sister)) {
            rbtree_set_red(sister, false);
            rbtree_set_red(parent, true);
            rbtree_rotate(t, parent, right);
            sister = *rbtree_child(parent, !right);
        }
        outer = *rbtree_child(sister, !right);
        inner = *rbtree_child(sister, right);
        if (!rbtree_is_red(outer) && !rbtree_is_red(inner)) {
            rbtree_set_red(sister, true);
            n = parent;
            parent = rbtree_parent(n);
            continue;
        }
        if (!rbtree_is_red(outer)) {
            rbtree_set_red(inner, false);
            rbtree_set_red(sister, true);
            rbtree_rotate(t, sister, !right);
            sister = inner;
            outer = *rbtree_child(sister, !right);
        }
        rbtree_set_red(sister, rbtree_is_red(parent));
        rbtree_set_red(parent, false);
        rbtree_set_red(outer, false);
        rbtree_rotate(t, parent, right);
        return;
    }
    if (n != NULL) {
        rbtree_set_red(n, false);
    }
}

/* n has two children: its successor takes its place and colour. */
static void
rbtree_remove_inner(veil_rbtree_t *t, veil_rbnode_t *n)
{
    veil_rbnode_t *next = veil_rbnode_next(n);
    veil_rbnode_t *parent = rbtree_parent(next);
    veil_rbnode_t *child = next->right;
    bool black = !rbtree_is_red(next);

    if (parent == n) {
        parent = next;
    } else {
        rbtree_replace(t, next, child);
        next->right = n->right;
        rbtree_set_parent(next->right, next);
    }
    rbtree_replace(t, n, next);
    next->left = n->left;
    rbtree_set_parent(next->left, next);
    rbtree_set_red(next, rbtree_is_red(n));
    if (black) {
        rbtree_remove_repair(t, parent, child);
    }
}

void
veil_rbtree_remove(veil_rbtree_t *t, veil_rbnode_t *n)
{
    veil_rbnode_t *parent = rbtree_parent(n);
    veil_rbnode_t *child = n->left != NULL ? n->left : n->right;

    VEIL_ASSERT(t->n > 0);
    if (t->first == n) {
        t->first = veil_rbnode_next(n);
    }
    if (n->left != NULL && n->right != NULL) {
        rbtree_remove_inner(t, n);
    } else {
        rbtree_replace(t, n, child);
        if (!rbtree_is_red(n)) {
            rbtree_remove_repair(t, parent, child);
        }
    }
    n->left = n->right = NULL;
    n->parent = 0;
    t->n--;
}

veil_rbnode_t *
veil_rbtree_ceil(const veil_rbtree_t *t, const void *key,
                 veil_rbtree_key_fn *cmp)
{
    veil_rbnode_t *n = t->root, *found = NULL;

    while (n != NULL) {
        if (cmp(key, n) <= 0) {
            found = n;
            n = n->left;
        } else {
            n = n->right;
        }
    }
    return found;
}

veil_rbnode_t *
veil_rbtree_find(const veil_rbtree_t *t, const void *key,
                 veil_rbtree_key_fn *cmp)
{
    veil_rbnode_t *n = veil_rbtree_ceil(t, key, cmp);

    return n != NULL && cmp(key, n) == 0 ? n : NULL;
}

static veil_rbnode_t *
rbtree_end(veil_rbnode_t *n, bool right)
{
    while (n != NULL && *rbtree_child(n, right) != NULL) {
        n = *rbtree_child(n, right);
    }
    return n;
}

veil_rbnode_t *
veil_rbtree_last(const veil_rbtree_t *t)
{
    return rbtree_end(t->root, true);
}

static veil_rbnode_t *
rbtree_step(const veil_rbnode_t *n, bool right)
{
    veil_rbnode_t *below = right ? n->right : n->left;
    veil_rbnode_t *parent;

    if (below != NULL) {
        return rbtree_end(below, !right);
    }
    while ((parent = rbtree_parent(n)) != NULL
           && *rbtree_child(parent, right) == n)
    {
        n = parent;
    }
    return parent;
}

veil_rbnode_t *
veil_rbnode_next(const veil_rbnode_t *n)
{
    return rbtree_step(n, true);
}

veil_rbnode_t *
veil_rbnode_prev(const veil_rbnode_t *n)
{
    return rbtree_step(n, false);
}
