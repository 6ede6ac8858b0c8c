/*
 * radix.c -- a path-compressed binary trie over address prefixes.
 *
 * Each node stands for a prefix and holds all its bits; children extend it.
 * Runs of bits in which nothing branches take no nodes, so a lookup visits
 * as many nodes as there are nested prefixes or forks on its way: few, even
 * with 128 bits.  A node without a value is a fork.
 *
 * Removing only takes the value away.  Trees are built once, from
 * configuration, and taking nodes out would save nothing.
 */

#include "core/platform.h"

#include "core/assert.h"
#include "core/pool.h"
#include "core/radix.h"

struct veil_radix_node_s {
    veil_radix_node_t *child[2];
    void *value; /* NULL: a fork */
    unsigned char bits;
    unsigned char addr[VEIL_RADIX_MAX_BITS / 8]; /* zero behind the prefix */
};

_Static_assert(VEIL_RADIX_MAX_BITS <= UINT8_MAX, "bits is one byte");

static bool
radix_bit(const unsigned char *addr, unsigned i)
{
    return (addr[i / 8] >> (7 - i % 8) & 1) != 0;
}

/* How many of the first max bits agree. */
static unsigned
radix_common(const unsigned char *a, const unsigned char *b, unsigned max)
{
    unsigned i, n, diff;

    for (i = 0; i * 8 < max; i++) {
        diff = (unsigned) a[i] ^ b[i];
        if (diff != 0) {
            n = i * 8 + (unsigned) __builtin_clz(diff) - 24;
            return n < max ? n : max;
        }
    }
    return max;
}

void
veil_radix_init(veil_radix_t *t, veil_pool_t *pool, unsigned max_bits)
{
    VEIL_ASSERT(max_bits != 0 && max_bits <= VEIL_RADIX_MAX_BITS
                && max_bits % 8 == 0);
    t->root = NULL;
    t->pool = pool;
    t->max_bits = max_bits;
    t->n = 0;
}

static veil_radix_node_t *
radix_node(veil_radix_t *t, const unsigned char *addr, unsigned bits)
{
    veil_radix_node_t *n = VEIL_POOL_NEW(t->pool, veil_radix_node_t);

    memcpy(n->addr, addr, (bits + 7) / 8);
    if (bits % 8 != 0) {
        n->addr[bits / 8] &= (unsigned char) (0xff00u >> bits % 8);
    }
    n->bits = (unsigned char) bits;
    return n;
}

/* The node of the prefix, made if it is not there. */
static veil_radix_node_t *
radix_place(veil_radix_t *t, const unsigned char *addr, unsigned bits)
{
    veil_radix_node_t **link = &t->root, *n, *fork, *leaf;
    unsigned common;

    while ((n = *link) != NULL) {
        common = radix_common(n->addr, addr, bits < n->bits ? bits : n->bits);
        if (common < n->bits) {
            fork = radix_node(t, addr, common);
            fork->child[radix_bit(n->addr, common)] = n;
            *link = fork;
            if (common == bits) {
                return fork;
            }
            leaf = radix_node(t, addr, bits);
            fork->child[radix_bit(addr, common)] = leaf;
            return leaf;
        }
        if (n->bits == bits) {
            return n;
        }
        link = &n->child[radix_bit(addr, n->bits)];
    }
    *link = radix_node(t, addr, bits);
    return *link;
}

void *
veil_radix_set(veil_radix_t *t, const void *addr, unsigned bits, void *value)
{
    veil_radix_node_t *n;
    void *old;

    VEIL_ASSERT(bits <= t->max_bits && value != NULL);
    n = radix_place(t, addr, bits);
    old = n->value;
    n->value = value;
    t->n += old == NULL;
    return old;
}

static veil_radix_node_t *
radix_lookup(const veil_radix_t *t, const unsigned char *addr, unsigned bits)
{
    veil_radix_node_t *n = t->root;

    VEIL_ASSERT(bits <= t->max_bits);
    while (n != NULL && n->bits < bits) {
        n = n->child[radix_bit(addr, n->bits)];
    }
    if (n == NULL || n->bits != bits
        || radix_common(n->addr, addr, bits) != bits) {
        return NULL;
    }
    return n;
}

void *
veil_radix_get(const veil_radix_t *t, const void *addr, unsigned bits)
{
    const veil_radix_node_t *n = radix_lookup(t, addr, bits);

    return n == NULL ? NULL : n->value;
}

void *
veil_radix_remove(veil_radix_t *t, const void *addr, unsigned bits)
{
    veil_radix_node_t *n = radix_lookup(t, addr, bits);
    void *old;

    if (n == NULL) {
        return NULL;
    }
    old = n->value;
    n->value = NULL;
    t->n -= old != NULL;
    return old;
}

void *
veil_radix_find(const veil_radix_t *t, const void *addr)
{
    const veil_radix_node_t *n = t->root;
    void *found = NULL;

    while (n != NULL && radix_common(n->addr, addr, n->bits) == n->bits) {
        if (n->value != NULL) {
            found = n->value;
        }
        if (n->bits == t->max_bits) {
            break;
        }
        n = n->child[radix_bit(addr, n->bits)];
    }
    return found;
}
