/*
 * pool.h -- memory by lifetime.
 *
 * A pool is an arena: allocations are carved from blocks and given back all
 * at once.  Every object of the server lives in the pool of the thing whose
 * life it shares: a configuration, a connection, a request.  There is no
 * free for a single allocation.
 *
 * Pins.  Memory the kernel, or anyone else with business of his own, still
 * points into must not go away.  Whoever holds it so adds a pin: a list node
 * with a name, embedded in the holder.  Destroying a pinned pool aborts and
 * prints the names.  veil_pool_retire() waits for the last pin.
 *
 * Out of memory aborts (see veil_alloc); sizes that an outsider chooses are
 * limited by configuration or go through veil_try_alloc.
 *
 * VEIL_POOL in the environment: "fill" (0xdb on free), "guard" (each
 * allocation by itself, red zones), "fail:N" (the N-th allocation fails).
 * ASAN builds always use one malloc per allocation (pool_debug.c).
 */

#ifndef VEIL_CORE_POOL_H
#define VEIL_CORE_POOL_H

#include "core/assert.h"
#include "core/list.h"
#include "core/str.h"

#define VEIL_POOL_MAGIC 0x504f4f4cu
#define VEIL_POOL_ALIGN 16

/* The smallest block size: the head and something to allocate from. */
#define VEIL_POOL_MIN_SIZE 128

struct veil_pin_s {
    veil_list_t link;
    veil_pool_t *pool; /* NULL while not pinned */
    const char *name;
};

/*
 * The head stands at the start of the pool's first block.  Everything in it
 * is private to pool.c and the inline functions below.  With guards (ASAN or
 * VEIL_POOL=guard) pos and end are equal and every allocation takes the slow
 * path.
 */
struct veil_pool_s {
    uint32_t magic;
    uint32_t block_size : 30;
    uint32_t state : 2; /* of pool.c: live, retired, dying */
    char *pos;
    char *end;
    struct veil_pool_block_s *blocks;     /* further blocks, newest first */
    struct veil_pool_cleanup_s *cleanups; /* newest first */
    const char *name;
    veil_list_t pins;
    veil_list_t link; /* in the list of live or of retired pools */
};

/* malloc, calloc and realloc that abort instead of returning NULL. */
void *veil_alloc(size_t size);
void *veil_zalloc(size_t size);
void *veil_realloc(void *p, size_t size);
void veil_free(void *p);
/* Aligned to a power of two; veil_free() takes it back. */
void *veil_alloc_aligned(size_t align, size_t size);
/* NULL when there is no memory: for sizes an outsider chose. */
void *veil_try_alloc(size_t size) VEIL_WUR;

/*
 * A new pool whose blocks have the given size (its own head included).  The
 * name must outlive the pool; it appears in reports.  Blocks of common sizes
 * are kept for reuse, so that creating and destroying costs no malloc.
 */
veil_pool_t *veil_pool_create(const char *name, size_t block_size);

/*
 * Runs the cleanups, newest first, frees everything and sets *pool to NULL.
 * Aborts when the pool is pinned.  Never from a cleanup of the same pool.
 */
void veil_pool_destroy(veil_pool_t **pool);

/*
 * Frees the pool at the next veil_pool_reap() (the end of the loop's turn),
 * or when the last pin is gone, whichever is later; sets *pool to NULL.
 * Memory stays valid until then.
 */
void veil_pool_retire(veil_pool_t **pool);

/* Destroys what was retired and is not pinned.  Called by the loop only. */
void veil_pool_reap(void);

/* For the functions below, when the current block has no room. */
void *veil_pool_alloc_slow(veil_pool_t *pool, size_t size, size_t align);

/* Aligned to 16 bytes; not zeroed.  Large ones get a block of their own. */
static inline void *
veil_pool_alloc(veil_pool_t *pool, size_t size)
{
    size_t pad = -(uintptr_t) pool->pos & (VEIL_POOL_ALIGN - 1);
    size_t room = (size_t) (pool->end - pool->pos);
    char *p;

    if (veil_unlikely(room < pad || room - pad < size || size == 0)) {
        return veil_pool_alloc_slow(pool, size, VEIL_POOL_ALIGN);
    }
    p = pool->pos + pad;
    pool->pos = p + size;
    return p;
}

static inline void *
veil_pool_zalloc(veil_pool_t *pool, size_t size)
{
    return memset(veil_pool_alloc(pool, size), 0, size);
}

/* Not aligned: for text. */
static inline char *
veil_pool_chars(veil_pool_t *pool, size_t size)
{
    char *p = pool->pos;

    if (veil_unlikely((size_t) (pool->end - p) < size || size == 0)) {
        return (char *) veil_pool_alloc_slow(pool, size, 1);
    }
    pool->pos = p + size;
    return p;
}

/* Copies; the result is followed by a zero byte that len does not count. */
veil_str_t veil_pool_str(veil_pool_t *pool, veil_str_t s);
char *veil_pool_strz(veil_pool_t *pool, veil_str_t s);
veil_str_t veil_pool_printf(veil_pool_t *pool, const char *fmt, ...)
    VEIL_PRINTF(2, 3);

#define VEIL_POOL_NEW(pool, type)                                             \
    ((type *) veil_pool_zalloc(pool, sizeof(type)))

/* fn(data) runs when the pool is destroyed.  May not be called from one. */
typedef void veil_pool_cleanup_fn(void *data);
void veil_pool_on_destroy(veil_pool_t *pool, veil_pool_cleanup_fn *fn,
                          void *data);
/* Forgets the newest registration of this pair; false when there is none. */
bool veil_pool_off_destroy(veil_pool_t *pool, veil_pool_cleanup_fn *fn,
                           void *data);

/* A pin is zeroed before its first use; pinning a pinned pin aborts. */
void veil_pool_pin(veil_pool_t *pool, veil_pin_t *pin, const char *name);
/* Must be pinned. */
void veil_pool_unpin(veil_pin_t *pin);
bool veil_pool_is_pinned(const veil_pool_t *pool);

const char *veil_pool_name(const veil_pool_t *pool);
/* Bytes obtained from the system for this pool, blocks and heads. */
size_t veil_pool_size(const veil_pool_t *pool);

/*
 * Live pools of the process, retired ones included.  With print, writes one
 * line for each (name, size, pins) through it: for the report at exit.
 */
typedef void veil_pool_report_fn(void *data, const char *line);
unsigned veil_pool_count(veil_pool_report_fn *print, void *data);

typedef struct {
    uint64_t created;  /* pools since the start of the process */
    uint64_t recycled; /* blocks that came from a free list */
    uint64_t mallocs;  /* blocks that came from the system */
    size_t live_bytes; /* in blocks of live pools */
    size_t kept_bytes; /* in free lists */
    unsigned live;     /* pools, retired ones included */
    unsigned retired;  /* of them */
} veil_pool_stats_t;

void veil_pool_stats(veil_pool_stats_t *stats);

/* Gives kept blocks back to the system (at exit, for leak checkers). */
void veil_pool_trim(void);

#endif
