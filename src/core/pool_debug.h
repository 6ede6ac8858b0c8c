/*
 * pool_debug.h -- allocations of guarded pools; for pool.c only.
 */

#ifndef VEIL_CORE_POOL_DEBUG_H
#define VEIL_CORE_POOL_DEBUG_H

#include "core/types.h"

/* The allocations of one guarded pool; zero-initialised is empty. */
typedef struct {
    void **items; /* heap */
    size_t n;
    size_t cap;
    size_t bytes;
} veil_pool_guard_t;

/* One allocation of its own, aligned to 16 bytes, between red zones. */
void *veil_pool_guard_alloc(veil_pool_guard_t *g, size_t size);

/*
 * Frees all of them.  A damaged red zone is a panic that names the pool and
 * the allocation's number and size.
 */
void veil_pool_guard_free(veil_pool_guard_t *g, const char *pool_name);

#endif
