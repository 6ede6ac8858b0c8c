/*
 * array.h -- growing arrays in a pool.
 *
 * Elements are contiguous and move when the array grows: keep indexes, or
 * stop growing before keeping pointers.
 */

#ifndef VEIL_CORE_ARRAY_H
#define VEIL_CORE_ARRAY_H

#include "core/types.h"

struct veil_array_s {
    void *elts;
    unsigned n;
    unsigned cap;
    size_t size; /* of one element */
    veil_pool_t *pool;
};

/* In place; n elements are reserved. */
void veil_array_init(veil_array_t *a, veil_pool_t *pool, size_t size,
                     unsigned n);
veil_array_t *veil_array_create(veil_pool_t *pool, size_t size, unsigned n);
/* A new, zeroed element at the end. */
void *veil_array_push(veil_array_t *a);
/* A copy of the elements in another pool (growing it leaves the first be). */
veil_array_t *veil_array_copy(veil_pool_t *pool, const veil_array_t *a);

#define veil_array_at(a, type, i) (&((type *) (a)->elts)[i])

#endif
