/*
 * step.h -- one attempt at an op by a plain system call.
 *
 * Private to the back ends: epoll and sim do everything so, io_uring the
 * kinds it has no good opcode for (SENDFILE, SPLICE).  Nothing here waits or
 * completes; the descriptors are non-blocking.
 */

#ifndef VEIL_EVENT_STEP_H
#define VEIL_EVENT_STEP_H

#include "event/loop.h"

typedef enum {
    VEIL_STEP_DONE,    /* it is over: complete(*res, false) */
    VEIL_STEP_MORE,    /* multishot: complete(*res, true), then try again */
    VEIL_STEP_IN,      /* try again when the descriptor is readable */
    VEIL_STEP_OUT,     /* ... writable */
    VEIL_STEP_POLL,    /* ... has one of u.poll.events */
    VEIL_STEP_AGAIN,   /* try again soon: others shall have a turn */
    VEIL_STEP_STARVED, /* RECV, RECV_RECORDS: there is no block */
} veil_step_t;

/*
 * Moves at most max bytes.  The caller unlinked op->wait.  RECV and
 * RECV_RECORDS leave the block in u.buf.
 */
veil_step_t veil_step(veil_op_t *op, size_t max, int *res);

/* The type of TLS record a recvmsg(2) into msg brought; data without one. */
uint8_t veil_step_record_type(struct msghdr *msg);

#endif
