/*
 * uring_buf.h -- receive blocks: the memory data arrives in.
 *
 * A worker has one pool of equal blocks for all its connections, so that an
 * idle connection holds none.  With io_uring the free ones lie in a ring the
 * kernel picks from; the other back ends pick for themselves.  Either way
 * what arrives is a veil_block_t, and the last veil_block_put() gives it
 * back.
 *
 * An op that found no block is starved: it waits in a FIFO, and the back end
 * starts as many of them again in each turn as there are free blocks.
 */

#ifndef VEIL_EVENT_URING_BUF_H
#define VEIL_EVENT_URING_BUF_H

#include "core/block.h"
#include "event/loop.h"

struct io_uring;

/*
 * n blocks of the given size; n becomes a power of two, at most 32768.
 * Memory is taken from the system as blocks are used.
 */
veil_rxpool_t *veil_rxpool_create(size_t size, unsigned n);
/* Every block must have come back. */
void veil_rxpool_destroy(veil_rxpool_t **rx);

/*
 * Hands the blocks to the kernel as buffer group 0 of the ring: 0 or -errno.
 * From then on take() is not to be used.  The ring ends before the pool.
 */
int veil_rxpool_attach(veil_rxpool_t *rx, struct io_uring *ring);

/* The block the kernel chose; one reference.  n bytes are in it. */
veil_block_t *veil_rxpool_received(veil_rxpool_t *rx, unsigned id);
/* A free block, one reference; NULL when there is none. */
veil_block_t *veil_rxpool_take(veil_rxpool_t *rx);

size_t veil_rxpool_block_size(const veil_rxpool_t *rx);
unsigned veil_rxpool_total(const veil_rxpool_t *rx);
/* With io_uring, those the kernel has used and not yet told count as free. */
unsigned veil_rxpool_free(const veil_rxpool_t *rx);

/* The op, in no other list by wait, waits for a block. */
void veil_rxpool_starve(veil_rxpool_t *rx, veil_op_t *op);
/* The op that waits longest, taken out; NULL when none does. */
veil_op_t *veil_rxpool_next_starved(veil_rxpool_t *rx);
bool veil_rxpool_has_starved(const veil_rxpool_t *rx);

#endif
