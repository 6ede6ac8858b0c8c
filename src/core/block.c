/*
 * block.c -- blocks on the heap.
 *
 * Head and bytes are one allocation.  Blocks from elsewhere (the buffer ring)
 * bring their own free function; only heap blocks are counted here, so that
 * one that is never put back shows at exit.
 */

#include "core/platform.h"

#include "core/block.h"
#include "core/pool.h"

static unsigned block_live;

static void
block_free(veil_block_t *b)
{
    VEIL_ASSERT(block_live > 0);
    block_live--;
    b->magic = VEIL_MAGIC_DEAD;
    veil_free(b);
}

veil_block_t *
veil_block_create(size_t size)
{
    size_t head = veil_align(sizeof(veil_block_t), VEIL_POOL_ALIGN);
    veil_block_t *b;

    VEIL_ASSERT(size <= SIZE_MAX - head);
    b = veil_alloc(head + size);
    b->magic = VEIL_BLOCK_MAGIC;
    b->refs = 1;
    b->data = (unsigned char *) b + head;
    b->size = size;
    b->free = block_free;
    b->owner = NULL;
    block_live++;
    return b;
}

unsigned
veil_block_count(void)
{
    return block_live;
}
