/*
 * rbtree.h -- intrusive red-black trees.
 *
 * The node is embedded in what it orders; the tree owns nothing.  Equal
 * elements are allowed and stay in the order of their insertion.
 */

#ifndef VEIL_CORE_RBTREE_H
#define VEIL_CORE_RBTREE_H

#include "core/types.h"

typedef struct veil_rbnode_s veil_rbnode_t;
struct veil_rbnode_s {
    veil_rbnode_t *left;
    veil_rbnode_t *right;
    uintptr_t parent; /* and the colour in its lowest bit */
};

/* < 0, 0 or > 0: how a stands to b. */
typedef int veil_rbtree_cmp_fn(const veil_rbnode_t *a, const veil_rbnode_t *b);
/* The same for a key and a node. */
typedef int veil_rbtree_key_fn(const void *key, const veil_rbnode_t *n);

typedef struct {
    veil_rbnode_t *root;
    veil_rbnode_t *first; /* the smallest; NULL when empty */
    veil_rbtree_cmp_fn *cmp;
    size_t n;
} veil_rbtree_t;

void veil_rbtree_init(veil_rbtree_t *t, veil_rbtree_cmp_fn *cmp);

/* The node must be in no tree. */
void veil_rbtree_insert(veil_rbtree_t *t, veil_rbnode_t *n);
/* The node must be in this tree. */
void veil_rbtree_remove(veil_rbtree_t *t, veil_rbnode_t *n);

/* The first node equal to the key; NULL when there is none. */
veil_rbnode_t *veil_rbtree_find(const veil_rbtree_t *t, const void *key,
                                veil_rbtree_key_fn *cmp);
/* The first node not less than the key; NULL when all are. */
veil_rbnode_t *veil_rbtree_ceil(const veil_rbtree_t *t, const void *key,
                                veil_rbtree_key_fn *cmp);

/* The smallest node, in constant time; NULL when empty. */
static inline veil_rbnode_t *
veil_rbtree_first(const veil_rbtree_t *t)
{
    return t->first;
}

veil_rbnode_t *veil_rbtree_last(const veil_rbtree_t *t);

/* Neighbours in order; NULL at the ends. */
veil_rbnode_t *veil_rbnode_next(const veil_rbnode_t *n);
veil_rbnode_t *veil_rbnode_prev(const veil_rbnode_t *n);

#endif
