/*
 * conn.h -- a stream connection: handle, transport, two directions.
 *
 * The owner (an HTTP connection, an upstream connection, a tunnel's end)
 * embeds veil_conn_t and gives it a table of callbacks.  All callbacks come
 * from the loop, never from inside a call of the owner's.  A callback may
 * call anything on its connection.
 *
 * Reading.  veil_conn_read(c) says "I want data": on_data() hands over views,
 * until veil_conn_hold(c) says "no more for now" or a view is not taken
 * entirely (b->pos < b->end afterwards), which holds as well.  What was not
 * taken is kept and handed over again, first, after the next
 * veil_conn_read(), be it called by that very on_data(); what comes later is
 * a view of its own behind it.  While held, the few blocks that arrive are
 * kept, and receiving is cancelled when there are VEIL_CONN_KEPT of them.
 * The end of the stream and errors are noticed while held, as long as
 * receiving was not cancelled: on_eof comes once, in either state, after the
 * data before it has been taken.
 *
 * Writing.  One write at a time: memory slices, then optionally one file
 * range; on_sent() when all of it is gone or failed.
 *
 * Timeouts.  One timer a direction.  A write timer restarts whenever bytes
 * move; a read timer is restarted by the owner.
 *
 * Ending.  veil_conn_close() ends everything; on_closed() is the last call
 * and the only one from then on, and only there may the owner retire the
 * pool the connection lives in.  Between the two, calls are ignored.
 *
 * Size.  An idle connection is this struct and nothing else: what a write
 * needs is borrowed while it lasts (transport.h), kept data brings its own.
 */

#ifndef VEIL_EVENT_CONN_H
#define VEIL_EVENT_CONN_H

#include "core/buf.h"
#include "core/inet.h"
#include "core/log.h"
#include "event/loop.h"

#define VEIL_CONN_MAGIC 0x434f4e4eu

/* Blocks kept while held before receiving is cancelled. */
#define VEIL_CONN_KEPT 4
/* Memory slices of one write. */
#define VEIL_CONN_SLICES 16

typedef struct veil_conn_s veil_conn_t;
typedef struct veil_transport_s veil_transport_t;
typedef struct veil_send_s veil_send_t;
typedef struct veil_conn_kept_s veil_conn_kept_t;

typedef struct {
    const char *name;
    /* Take what is wanted by moving b->pos; get the block to keep it. */
    void (*on_data)(veil_conn_t *c, veil_buf_t *b);
    /* err 0: the peer ended its side; else -errno.  Once. */
    void (*on_eof)(veil_conn_t *c, int err);
    /*
     * The write is over: bytes written, or -errno.  Fewer bytes than asked
     * for: the file ended early.
     */
    void (*on_sent)(veil_conn_t *c, ssize_t res);
    void (*on_read_timeout)(veil_conn_t *c);
    /* Nothing moved for so long; the write is still under way.  Once each. */
    void (*on_write_timeout)(veil_conn_t *c);
    void (*on_closed)(veil_conn_t *c);
} veil_conn_ops_t;

/* The owner may change ops, transport and log; the rest is for reading. */
struct veil_conn_s {
    uint32_t magic;
    bool reading : 1;  /* the owner wants data */
    bool again : 1;    /* and said so since on_data() was called */
    bool stopped : 1;  /* the transport is not asked to receive */
    bool eof : 1;      /* nothing more will arrive */
    bool eof_told : 1; /* on_eof was delivered */
    bool closing : 1;
    bool ended : 1;    /* the handle is closing */
    bool reset : 1;    /* close with RST (veil_conn_abort) */
    bool paced : 1;    /* holding stops at once */
    bool outgoing : 1; /* made by veil_conn_connect() */
    int eof_err;
    uint32_t write_timeout_ms;
    const veil_conn_ops_t *ops;
    const veil_transport_t *transport;
    void *transport_data; /* TLS state; NULL for plain */
    veil_handle_t handle;
    veil_op_t recv;
    veil_timer_t read_timer;
    veil_send_t *send;      /* the write under way, or NULL */
    veil_conn_kept_t *kept; /* received, not taken; NULL: nothing */
    veil_addr_t peer;
    uint64_t bytes_in;
    uint64_t bytes_out;
    veil_log_t log; /* its connection is the number, "*7" */
};

extern const veil_transport_t veil_transport_plain;

static inline bool
veil_conn_is_writing(const veil_conn_t *c)
{
    return c->send != NULL;
}

/*
 * In place, on a non-blocking socket; the pool is the one the connection
 * lives in.  peer may be NULL.  Nothing is read yet.  The log is copied, and
 * gets a number, unique in the process, when it has none.
 */
void veil_conn_init(veil_conn_t *c, veil_loop_t *loop, veil_pool_t *pool,
                    int fd, const veil_addr_t *peer,
                    const veil_conn_ops_t *ops, const veil_log_t *log);

void veil_conn_read(veil_conn_t *c);
void veil_conn_hold(veil_conn_t *c);

/*
 * For a stream that outruns its owner.  A multishot hands over all that is
 * there, 32 blocks at once, before a hold is seen; from here on it is one
 * block at a time, and holding stops the receiving; what was stopped goes on
 * when the pace is off, so that the end of the stream is noticed.  Costs a
 * trip through the kernel for each block.
 */
void veil_conn_pace(veil_conn_t *c, bool on);

/*
 * Writes all slices, at least one byte in all; empty ones are skipped.
 * Their memory stays valid until on_sent(), or on_closed() when the
 * connection is closed before.  The slice array itself is copied.  At most
 * VEIL_CONN_SLICES of memory and, last, one file.  No write may be under way.
 */
void veil_conn_write(veil_conn_t *c, const veil_slice_t *slices, unsigned n);
/* The sending side ends after what was written; no write may be under way. */
void veil_conn_shutdown(veil_conn_t *c);
/* on_closed() follows, from the loop.  Calling it again is harmless. */
void veil_conn_close(veil_conn_t *c);
/* The same with a reset instead of an orderly end. */
void veil_conn_abort(veil_conn_t *c);

/* 0 cancels. */
void veil_conn_read_timeout(veil_conn_t *c, uint64_t ms);
/* Applies to each write from the next on; 0: none. */
void veil_conn_write_timeout(veil_conn_t *c, uint64_t ms);

/*
 * From now on all connections of this process have this address, which is
 * borrowed; NULL: their own.  For a process that explains.
 */
void veil_conn_pretend_local(const veil_addr_t *addr);
/* The local address (getsockname; not kept); family 0 once it is closed. */
void veil_conn_local_addr(const veil_conn_t *c, veil_addr_t *addr);
/*
 * Accepted connections inherit TCP_NODELAY from their listener, and outgoing
 * ones are made with it: nobody need call this for speed.
 */
void veil_conn_nodelay(veil_conn_t *c, bool on);
/* Whether the peer has closed or reset, asked of the kernel now. */
bool veil_conn_is_alive(const veil_conn_t *c);

/*
 * Connects, then calls done(c, 0) or done(c, -errno) once; the connection
 * must be closed by the caller in either case.  The address is copied.
 * bind may be NULL.  timeout_ms bounds the whole; 0: the kernel's patience.
 * Closing before done() is allowed and ends it: only on_closed() follows.
 */
typedef void veil_connected_fn(veil_conn_t *c, int err);
typedef struct {
    veil_addr_t addr;
    const veil_addr_t *bind;
    uint64_t timeout_ms;
    int rcvbuf; /* 0: the system's */
    int sndbuf;
    bool keepalive; /* SO_KEEPALIVE */
} veil_connect_options_t;
/*
 * Makes the socket and starts; 0, or -errno when not even that worked (then
 * c is not initialised and done is not called).
 */
int veil_conn_connect(veil_conn_t *c, veil_loop_t *loop, veil_pool_t *pool,
                      const veil_connect_options_t *options,
                      veil_connected_fn *done, const veil_conn_ops_t *ops,
                      const veil_log_t *log);

/* Frees what is kept for reuse (at exit, for leak checkers). */
void veil_conn_trim(void);

#endif
