/*
 * array.c -- growing arrays in a pool.
 *
 * Growing doubles the room and leaves the old elements to the pool.  For the
 * lists of a configuration this wastes at most as much as the array takes.
 */

#include "core/platform.h"

#include "core/array.h"
#include "core/pool.h"

#define ARRAY_FIRST_CAP 4

static void *
array_room(veil_pool_t *pool, size_t size, unsigned n)
{
    size_t bytes;

    VEIL_ASSERT(!__builtin_mul_overflow(size, (size_t) n, &bytes));
    return veil_pool_alloc(pool, bytes);
}

void
veil_array_init(veil_array_t *a, veil_pool_t *pool, size_t size, unsigned n)
{
    VEIL_ASSERT(size != 0);
    a->elts = n == 0 ? NULL : array_room(pool, size, n);
    a->n = 0;
    a->cap = n;
    a->size = size;
    a->pool = pool;
}

veil_array_t *
veil_array_create(veil_pool_t *pool, size_t size, unsigned n)
{
    veil_array_t *a = veil_pool_alloc(pool, sizeof(*a));

    veil_array_init(a, pool, size, n);
    return a;
}

static void
array_grow(veil_array_t *a)
{
    unsigned cap = a->cap == 0 ? ARRAY_FIRST_CAP : a->cap * 2;
    void *elts;

    VEIL_ASSERT(cap > a->cap);
    elts = array_room(a->pool, a->size, cap);
    if (a->n != 0) {
        memcpy(elts, a->elts, a->size * a->n);
    }
    a->elts = elts;
    a->cap = cap;
}

void *
veil_array_push(veil_array_t *a)
{
    char *p;

    if (a->n == a->cap) {
        array_grow(a);
    }
    p = (char *) a->elts + a->size * a->n;
    a->n++;
    return memset(p, 0, a->size);
}

veil_array_t *
veil_array_copy(veil_pool_t *pool, const veil_array_t *a)
{
    veil_array_t *copy = veil_array_create(pool, a->size, a->n);

    if (a->n != 0) {
        memcpy(copy->elts, a->elts, a->size * a->n);
    }
    copy->n = a->n;
    return copy;
}
