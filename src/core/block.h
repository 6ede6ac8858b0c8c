/*
 * block.h -- counted storage behind buffers.
 *
 * A block is bytes and the number of views onto them.  Where the bytes come
 * from (heap, the loop's buffer ring, a constant) is its owner's affair: the
 * last veil_block_put() calls free(), which gives them back.  Only this and
 * the filecache count references; everything else has one owner.
 *
 * Not thread-safe: a block belongs to one process and its loop.
 */

#ifndef VEIL_CORE_BLOCK_H
#define VEIL_CORE_BLOCK_H

#include "core/assert.h"
#include "core/types.h"

#define VEIL_BLOCK_MAGIC 0x424c4f43u

typedef void veil_block_free_fn(veil_block_t *block);

struct veil_block_s {
    uint32_t magic;
    uint32_t refs;
    unsigned char *data;
    size_t size;              /* of data */
    veil_block_free_fn *free; /* NULL: nothing to do (static storage) */
    void *owner;              /* for free() */
};

/* Heap storage of the given size in one piece with its head; one reference. */
veil_block_t *veil_block_create(size_t size);

/* Live heap blocks: zero at exit. */
unsigned veil_block_count(void);

static inline veil_block_t *
veil_block_get(veil_block_t *b)
{
    VEIL_CHECK(b, VEIL_BLOCK);
    b->refs++;
    return b;
}

static inline void
veil_block_put(veil_block_t *b)
{
    VEIL_CHECK(b, VEIL_BLOCK);
    VEIL_ASSERT(b->refs > 0);
    if (--b->refs == 0 && b->free != NULL) {
        b->free(b);
    }
}

#endif
