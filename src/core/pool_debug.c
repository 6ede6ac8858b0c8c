/*
 * pool_debug.c -- one allocation of its own for each request to a pool.
 *
 * An arena hides mistakes: writing past an object lands in its neighbour, and
 * a freed object stays readable until the block is used again.  ASAN builds,
 * and others with VEIL_POOL=guard, therefore take each object from malloc.
 * Under ASAN the sanitizer's own red zones do the rest.  Without it the object
 * stands between two zones of a known pattern, checked when the pool ends:
 *
 *     size (8) | pattern (8) | object | pattern (16)
 *
 * The addresses are kept in an array beside the objects, not in a header in
 * front of them, so that leak checkers see them and a write before the object
 * cannot damage the list.
 *
 * Pools, pins and cleanups stay pool.c's business.
 */

#include "core/platform.h"

#include "core/assert.h"
#include "core/pool.h"
#include "core/pool_debug.h"

#define POOL_DEBUG_PATTERN 0x5a
#define POOL_DEBUG_FRESH 0xa5
#define POOL_DEBUG_FREED 0xdb

/* Under ASAN there is nothing around an object but its own red zones. */
static const size_t pool_debug_head = VEIL_ASAN ? 0 : 16;
static const size_t pool_debug_tail = VEIL_ASAN ? 0 : 16;

static void
pool_debug_mark(unsigned char *raw, size_t size)
{
    if (pool_debug_head != 0) {
        memcpy(raw, &size, sizeof(size));
        memset(raw + sizeof(size), POOL_DEBUG_PATTERN,
               pool_debug_head - sizeof(size));
        memset(raw + pool_debug_head + size, POOL_DEBUG_PATTERN,
               pool_debug_tail);
    }
    memset(raw + pool_debug_head, POOL_DEBUG_FRESH, size);
}

static bool
pool_debug_is_pattern(const unsigned char *p, size_t n)
{
    size_t i;

    for (i = 0; i < n; i++) {
        if (p[i] != POOL_DEBUG_PATTERN) {
            return false;
        }
    }
    return true;
}

static void
pool_debug_check(const unsigned char *raw, size_t number, const char *name)
{
    size_t size;

    if (pool_debug_head == 0) {
        return;
    }
    memcpy(&size, raw, sizeof(size));
    if (!pool_debug_is_pattern(raw + sizeof(size),
                               pool_debug_head - sizeof(size))) {
        veil_panic("pool \"%s\": something wrote before allocation %zu", name,
                   number);
    }
    if (!pool_debug_is_pattern(raw + pool_debug_head + size, pool_debug_tail))
    {
        veil_panic("pool \"%s\": something wrote past allocation %zu, "
                   "which has %zu bytes",
                   name, number, size);
    }
}

void *
veil_pool_guard_alloc(veil_pool_guard_t *g, size_t size)
{
    size_t total = pool_debug_head + size + pool_debug_tail;
    unsigned char *raw;

    VEIL_ASSERT(total >= size);

    if (g->n == g->cap) {
        g->cap = g->cap == 0 ? 16 : g->cap * 2;
        g->items = veil_realloc(g->items, g->cap * sizeof(void *));
    }
    raw = veil_alloc_aligned(VEIL_POOL_ALIGN, veil_max_size(total, 1));
    pool_debug_mark(raw, size);
    g->items[g->n++] = raw;
    g->bytes += total;
    return raw + pool_debug_head;
}

void
veil_pool_guard_free(veil_pool_guard_t *g, const char *pool_name)
{
    size_t i, size;
    unsigned char *raw;

    /* All are checked before the first goes: a report can look at them. */
    for (i = 0; i < g->n; i++) {
        pool_debug_check(g->items[i], i, pool_name);
    }
    for (i = 0; i < g->n; i++) {
        raw = g->items[i];
        if (pool_debug_head != 0) {
            memcpy(&size, raw, sizeof(size));
            memset(raw + pool_debug_head, POOL_DEBUG_FREED, size);
        }
        veil_free(raw);
    }
    veil_free(g->items);
    g->items = NULL;
    g->n = g->cap = g->bytes = 0;
}
