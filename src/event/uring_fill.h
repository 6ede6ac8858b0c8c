/*
 * uring_fill.h -- what an op looks like as an entry of io_uring.
 *
 * Private to uring.c.
 */

#ifndef VEIL_EVENT_URING_FILL_H
#define VEIL_EVENT_URING_FILL_H

#include "event/loop.h"

struct io_uring_sqe;

/*
 * Fills the zeroed entry; slot is memory that lives as long as the entry is
 * in the queue.
 */
void veil_uring_fill(struct io_uring_sqe *sqe, veil_op_t *op,
                     struct msghdr *slot);

/* What the op is to be polled for. */
unsigned veil_uring_poll_events(const veil_op_t *op);

/*
 * RECV_RECORDS: res > 0 bytes came into the block.  Makes u.buf the view of
 * the payload, sets its type, and returns its length, 0 at the end of the
 * stream.
 */
int veil_uring_record(veil_op_t *op, veil_block_t *block, int res);

/* Frees what the handle has borrowed. */
void veil_uring_forget(veil_handle_t *h);

#endif
