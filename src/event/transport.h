/*
 * transport.h -- what a connection reads and writes through.
 *
 * A transport stands between a connection (conn.c: kept data, callbacks,
 * timeouts) and its two operations: plain.c passes bytes as they are, TLS
 * puts records in between.  Calls go down through veil_transport_t and come
 * back up through veil_conn_received(), veil_conn_ended(), veil_conn_sent()
 * and veil_conn_end().  Those that come up are called by the loop's
 * completions only, never from inside a call that went down; veil_conn_end()
 * is the exception.
 *
 * What a write needs (an operation, a timer, the iovec) exists only while a
 * write is under way: a veil_send_t from a free list of the process.  An idle
 * connection does not pay for it.
 */

#ifndef VEIL_EVENT_TRANSPORT_H
#define VEIL_EVENT_TRANSPORT_H

#include "event/conn.h"

struct veil_transport_s {
    const char *name;
    /* Data is wanted, and was not before: receive until told to stop. */
    void (*start_reading)(veil_conn_t *c);
    /* Enough.  What arrives all the same is passed up like any other data. */
    void (*stop_reading)(veil_conn_t *c);
    /*
     * c->send is there.  At least one byte, memory first, at most one file
     * range, last; at most VEIL_CONN_SLICES of memory.  Ends in
     * veil_conn_sent().
     */
    void (*write)(veil_conn_t *c, const veil_slice_t *slices, unsigned n);
    /* Says goodbye (TLS: close_notify), then shuts the sending side. */
    void (*shutdown)(veil_conn_t *c);
    /*
     * Ends in veil_conn_end(), at once or after a goodbye.  c->reset: at
     * once, please.
     */
    void (*close)(veil_conn_t *c);
    /* No operation is in flight any more: frees transport_data.  Or NULL. */
    void (*done)(veil_conn_t *c);
    bool can_sendfile; /* else file ranges are read into memory above */
    bool can_splice;
};

/* A write under way. */
struct veil_send_s {
    veil_op_t op;
    veil_timer_t timer; /* conn.c's; looks at op.moved_ms */
    veil_conn_t *conn;
    size_t total;      /* moved by the operations that ended */
    size_t asked;      /* of the file range, in the operation under way */
    veil_slice_t file; /* what is to follow the memory; len 0: nothing */
    unsigned niov;
    struct iovec iov[VEIL_CONN_SLICES];
    veil_send_t *next; /* in the free list */
};

/*
 * One with an initialised, idle op of the connection's handle, for transports
 * that send on their own account (a handshake).  Put it back when idle; this
 * is allowed in the op's last done().
 */
veil_send_t *veil_send_get(veil_conn_t *c, veil_op_fn *done);
void veil_send_put(veil_send_t *s);

/* Data; takes over the reference of b->block (NULL: b is copied if kept). */
void veil_conn_received(veil_conn_t *c, veil_buf_t *b);
/* The last of them: 0 the peer ended its side, else -errno. */
void veil_conn_ended(veil_conn_t *c, int err);
/* The write is over: bytes or -errno. */
void veil_conn_sent(veil_conn_t *c, ssize_t res);
/* So many bytes have gone. */
void veil_conn_count_sent(veil_conn_t *c, size_t n);
/* The transport has nothing more to send: closes the descriptor. */
void veil_conn_end(veil_conn_t *c);

/*
 * plain.c's completion of c->recv, for a transport that turns out to be none:
 * make it op->done, then call it with the op at hand.
 */
void veil_plain_received(veil_op_t *op);

/* plain.c's write(), for a transport whose socket does the rest. */
void veil_plain_write(veil_conn_t *c, const veil_slice_t *slices, unsigned n);

/* connect.c's part of veil_conn_trim(). */
void veil_connect_trim(void);

#endif
