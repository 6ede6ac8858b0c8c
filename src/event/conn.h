/*
 * conn.h -- a stream connection: handle, transport, two directions.
 *
 * The owner (an HTTP connection, an upstream connection, a tunnel's end)
 * embeds veil_conn_t and gives it a table of callbacks.  All callbacks come
 * from the loop, never from inside a call of the owner's.
 *
 * Reading.  veil_conn_read(c) says "I want data": on_data() hands over views.
 * What it does not take (b->pos < b->end afterwards) is kept and handed over
 * again, first, after the next veil_conn_read().  veil_conn_hold(c) says
 * "no more for now"; receiving is cancelled if it goes on too long, and the
 * few blocks that still arrive are kept.  While held, the end of the stream
 * and errors are still noticed where the kernel tells: on_eof comes once, in
 * either state, after the data before it has been taken.
 *
 * Writing.  One write at a time: memory slices, then optionally one file
 * range; on_sent() when all of it is gone or failed.
 *
 * Timeouts.  One timer a direction.  A write timer restarts whenever bytes
 * move; a read timer is restarted by the owner.
 *
 * Ending.  veil_conn_close() ends everything; on_closed() is the last call,
 * and only there may the owner retire the pool the connection lives in.
 */

#ifndef VEIL_EVENT_CONN_H
#define VEIL_EVENT_CONN_H

#include "core/buf.h"
#include "core/inet.h"
#include "core/log.h"
#include "event/loop.h"

#define VEIL_CONN_MAGIC 0x434f4e4eu

typedef struct veil_conn_s veil_conn_t;
typedef struct veil_transport_s veil_transport_t;

typedef struct {
    const char *name;
    /* Take what is wanted by moving b->pos; get the block to keep it. */
    void (*on_data)(veil_conn_t *c, veil_buf_t *b);
    /* err 0: the peer ended its side; else -errno.  Once. */
    void (*on_eof)(veil_conn_t *c, int err);
    /* The write is over: bytes written, or -errno. */
    void (*on_sent)(veil_conn_t *c, ssize_t res);
    void (*on_read_timeout)(veil_conn_t *c);
    /* Nothing moved for so long; the write is still under way. */
    void (*on_write_timeout)(veil_conn_t *c);
    void (*on_closed)(veil_conn_t *c);
} veil_conn_ops_t;

struct veil_conn_s {
    uint32_t magic;
    bool reading : 1;  /* the owner wants data */
    bool writing : 1;  /* a write is under way */
    bool eof : 1;      /* on_eof was delivered or is due */
    bool eof_told : 1; /* on_eof was delivered */
    bool closing : 1;
    bool is_unix : 1;
    bool reset : 1; /* close with RST (veil_conn_abort) */
    int eof_err;
    const veil_conn_ops_t *ops;
    const veil_transport_t *transport;
    void *transport_data; /* TLS state; NULL for plain */
    veil_handle_t handle;
    veil_op_t recv;
    veil_op_t send;
    veil_timer_t read_timer;
    veil_timer_t write_timer;
    uint32_t write_timeout_ms;
    uint32_t kept_first; /* bytes of the first kept buf already taken */
    veil_chain_t *kept;  /* received, not taken; NULL: nothing ever was */
    veil_post_t post;    /* delivers kept data and eof from the loop */
    veil_addr_t peer;
    uint64_t number; /* "*7" in logs; unique in the process */
    uint64_t bytes_in;
    uint64_t bytes_out;
    veil_log_t log;
};

/* What a write consists of. */
typedef struct {
    const veil_slice_t *slices; /* memory first, at most one file, last */
    unsigned n;
} veil_write_t;

/* How bytes go through a connection; plain.c, later tls_conn.c, ktls.c. */
struct veil_transport_s {
    const char *name;
    void (*start_reading)(veil_conn_t *c);
    void (*stop_reading)(veil_conn_t *c);
    void (*write)(veil_conn_t *c, const veil_slice_t *slices, unsigned n);
    /* Says goodbye (TLS: close_notify), then shuts the sending side. */
    void (*shutdown)(veil_conn_t *c);
    void (*close)(veil_conn_t *c);
    bool can_sendfile;
    bool can_splice;
};

extern const veil_transport_t veil_transport_plain;

/*
 * In place, on a non-blocking socket; the pool is the one the connection
 * lives in.  peer may be NULL.  Nothing is read yet.
 */
void veil_conn_init(veil_conn_t *c, veil_loop_t *loop, veil_pool_t *pool,
                    int fd, const veil_addr_t *peer,
                    const veil_conn_ops_t *ops, const veil_log_t *log);

void veil_conn_read(veil_conn_t *c);
void veil_conn_hold(veil_conn_t *c);

/*
 * Writes all slices.  Their memory stays valid until on_sent().  The slice
 * array itself is copied.  At most VEIL_CONN_SLICES of memory and one file.
 */
#define VEIL_CONN_SLICES 16
void veil_conn_write(veil_conn_t *c, const veil_slice_t *slices, unsigned n);
/* The sending side ends after what was written; no write may be under way. */
void veil_conn_shutdown(veil_conn_t *c);
/* on_closed() follows, from the loop.  Calling it again is harmless. */
void veil_conn_close(veil_conn_t *c);
/* The same with a reset instead of an orderly end. */
void veil_conn_abort(veil_conn_t *c);

/* 0 cancels. */
void veil_conn_read_timeout(veil_conn_t *c, uint64_t ms);
/* Applies to each write from the next on. */
void veil_conn_write_timeout(veil_conn_t *c, uint64_t ms);

/* The local address (getsockname; not kept). */
void veil_conn_local_addr(const veil_conn_t *c, veil_addr_t *addr);
void veil_conn_nodelay(veil_conn_t *c, bool on);
/* Whether the peer has closed or reset, asked of the kernel now. */
bool veil_conn_is_alive(const veil_conn_t *c);

/*
 * Connects, then calls done(c, 0) or done(c, -errno) once; the connection
 * must be closed by the caller in either case.  The address is copied.
 * bind may be NULL.  timeout_ms bounds the whole.
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

#endif
