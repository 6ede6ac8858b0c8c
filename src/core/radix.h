/*
 * radix.h -- values by address prefix (CIDR), the longest one wins.
 *
 * A tree holds addresses of one family: 4 bytes for IPv4, 16 for IPv6, in
 * network order.  It lives in its pool and takes one node for each prefix and
 * at most one more for each fork, whatever the prefix lengths.
 */

#ifndef VEIL_CORE_RADIX_H
#define VEIL_CORE_RADIX_H

#include "core/types.h"

#define VEIL_RADIX_MAX_BITS 128

typedef struct veil_radix_node_s veil_radix_node_t;

typedef struct {
    veil_radix_node_t *root; /* NULL: empty */
    veil_pool_t *pool;
    unsigned max_bits; /* 32 or 128 */
    unsigned n;        /* prefixes with a value */
} veil_radix_t;

void veil_radix_init(veil_radix_t *t, veil_pool_t *pool, unsigned max_bits);

/*
 * Sets the value, which must not be NULL, of the first bits of addr; the
 * others are ignored.  Returns the value it replaces, or NULL.
 */
void *veil_radix_set(veil_radix_t *t, const void *addr, unsigned bits,
                     void *value);
/* Returns the value removed, or NULL.  The node stays in the pool. */
void *veil_radix_remove(veil_radix_t *t, const void *addr, unsigned bits);

/* The value of exactly this prefix, or NULL. */
void *veil_radix_get(const veil_radix_t *t, const void *addr, unsigned bits);
/* The value of the longest prefix that holds the address, or NULL. */
void *veil_radix_find(const veil_radix_t *t, const void *addr);

#endif
