/*
 * op.h -- asynchronous operations: the contract every I/O call obeys.
 *
 * An operation (veil_op_t) is a struct embedded in the object that wants the
 * I/O; nothing is allocated to start one, so starting one cannot fail.
 *
 *          start            back end            last completion
 *   IDLE --------> QUEUED ----------> INFLIGHT ----------------> IDLE
 *                    \________ cancel _______/
 *
 * Five rules; the asserts in op.c enforce them.
 *
 *   1. From start until the last done() the op, and all memory it points to,
 *      belongs to the kernel.  The handle pins its pool meanwhile, and the
 *      op lives in that pool.
 *   2. done() is never called from inside a call you make; only the loop
 *      calls it.  No function of yours is re-entered.
 *   3. Cancelling is a wish.  Exactly one final done() (more == false) comes,
 *      with -ECANCELED or with the real result; be ready for both.
 *   4. Only veil_handle_close() closes a descriptor.  It cancels what is in
 *      flight; closed() comes when the last op is idle, and only there may
 *      the memory be given back.
 *   5. done() may start, cancel or close anything.  It may free nothing.
 *
 * Results are >= 0 or -errno, as in a completion queue entry.
 */

#ifndef VEIL_EVENT_OP_H
#define VEIL_EVENT_OP_H

#include <sys/socket.h>
#include <sys/uio.h>

#include "core/buf.h"
#include "core/list.h"
#include "core/platform.h"
#include "core/pool.h"

/* Types of TLS records; the same in all versions. */
#define VEIL_RECORD_CCS 20
#define VEIL_RECORD_ALERT 21
#define VEIL_RECORD_HANDSHAKE 22
#define VEIL_RECORD_DATA 23

#define VEIL_OP_MAGIC 0x4f504552u
#define VEIL_HANDLE_MAGIC 0x484e444cu

typedef struct veil_op_s veil_op_t;
typedef struct veil_handle_s veil_handle_t;
typedef struct veil_loop_s veil_loop_t;

typedef void veil_op_fn(veil_op_t *op);
typedef void veil_closed_fn(veil_handle_t *h);

typedef enum {
    VEIL_OP_NONE,
    VEIL_OP_ACCEPT,       /* multishot */
    VEIL_OP_RECV,         /* multishot, blocks of the loop's buffer ring */
    VEIL_OP_RECV_EXACT,   /* into the caller's memory, all of len */
    VEIL_OP_RECV_RECORDS, /* as RECV, with the type of TLS records */
    VEIL_OP_SEND,
    VEIL_OP_SENDV,
    VEIL_OP_SENDFILE,
    VEIL_OP_SENDMSG,
    VEIL_OP_RECVMSG,
    VEIL_OP_CONNECT,
    VEIL_OP_POLL,
    VEIL_OP_READ,
    VEIL_OP_WRITE,
    VEIL_OP_OPENAT,
    VEIL_OP_STATX,
    VEIL_OP_SPLICE,
    VEIL_OP_KINDS
} veil_op_kind_t;

typedef enum {
    VEIL_OP_IDLE,
    VEIL_OP_QUEUED,
    VEIL_OP_INFLIGHT
} veil_op_state_t;

struct veil_op_s {
    uint32_t magic;
    uint8_t kind;
    uint8_t state;
    bool cancel : 1;    /* asked for; the outcome is in res */
    bool timed_out : 1; /* cancelled by veil_op_time_out: -ETIMEDOUT */
    bool more : 1;      /* multishot: further completions will follow */
    bool paced : 1;     /* RECV, RECV_RECORDS: one block at a time, the
                           owner decides */
    uint8_t backend;    /* private to the back end */
    int res;            /* bytes, descriptor, or -errno */
    uint32_t moved_ms;  /* low bits of the clock when bytes last moved */
#if VEIL_DEBUG
    uint64_t sum; /* of the bytes still to be sent, see guard.c */
#endif
    veil_op_fn *done;
    veil_handle_t *handle;
    veil_list_t link; /* in handle->ops while not idle */
    veil_list_t wait; /* private to the back end */
    union {
        /*
         * RECV: what arrived.  done() owns the reference in buf.block and
         * either puts it or keeps it; NULL when res <= 0.
         */
        veil_buf_t buf;
        /* RECV_RECORDS: u.buf and u.record.buf are the same. */
        struct {
            veil_buf_t buf;
            uint8_t type; /* of the record, see veil_op_recv_records() */
            bool single;  /* private to the back end */
        } record;
        struct {
            unsigned char *data; /* SEND, RECV_EXACT, READ, WRITE */
            size_t len;
            size_t nbytes;   /* moved so far */
            uint64_t offset; /* READ, WRITE; ~0: the current position */
        } mem;
        struct {
            struct iovec *iov; /* SENDV: the back end advances it in place */
            unsigned niov;
            size_t nbytes;
        } vec;
        struct {
            int fd; /* SENDFILE: from; SPLICE: to */
            unsigned flags;
            size_t len;
            size_t nbytes;
            uint64_t offset;
        } file;
        struct {
            struct msghdr *msg; /* stays valid until done() */
            int flags;
        } msg;
        struct {
            const struct sockaddr *addr; /* CONNECT */
            socklen_t len;
        } addr;
        struct {
            unsigned events; /* POLL: POLLIN, POLLOUT */
        } poll;
        struct {
            const char *path; /* OPENAT, STATX */
            int dirfd;
            int flags;
            unsigned mode; /* OPENAT; STATX: the mask */
            void *statx;   /* struct statx * */
        } path;
    } u;
};

struct veil_handle_s {
    uint32_t magic;
    int fd; /* -1: none (OPENAT and STATX need none) */
    veil_loop_t *loop;
    veil_pool_t
        *pool; /* pinned while an op is in flight; NULL: the worker's */
    veil_list_t ops;
    veil_list_t link;       /* in loop->handles, at the end loop->closing */
    veil_closed_fn *closed; /* not NULL: closing */
    void *backend[2];       /* private to the back end */
    veil_pin_t pin;
};

/*
 * A handle of a descriptor, which must be non-blocking when it is a socket,
 * a pipe or the like.  The handle owns the descriptor from here on; no other
 * handle may be made of it.  pool: the pool in which the handle and its ops
 * live, or NULL when they live as long as the loop.
 */
void veil_handle_init(veil_handle_t *h, veil_loop_t *loop, veil_pool_t *pool,
                      int fd);

/*
 * Cancels all ops; when they are idle, closes the descriptor (if any) and
 * calls closed(), from the loop, never from inside this call.  The pool is
 * pinned until just before closed(), which may destroy it.  Closing twice
 * aborts.
 */
void veil_handle_close(veil_handle_t *h, veil_closed_fn *closed);

static inline bool
veil_handle_is_closing(const veil_handle_t *h)
{
    return h->closed != NULL;
}

/*
 * Hands the descriptor over to the caller instead of closing it: all ops
 * must be idle.  The handle is as after closed().
 */
int veil_handle_release(veil_handle_t *h);

/* Prepares an op for use with the handle; must be idle. */
void veil_op_init(veil_op_t *op, veil_handle_t *h, veil_op_fn *done);

static inline bool
veil_op_is_idle(const veil_op_t *op)
{
    return op->state == VEIL_OP_IDLE;
}

/*
 * Multishot.  Each done() has res: a descriptor (non-blocking, close-on-exec)
 * with more == true, or -errno with more == false.  Descriptors that arrive
 * after a cancel are clients too and belong to done().  A client that went
 * away before it was accepted is not reported; -EMFILE and the like are.
 */
void veil_op_accept(veil_op_t *op);

/*
 * Multishot.  Each done() has res > 0 bytes in u.buf, and then more == true
 * always; res == 0 is the end of the stream, res < 0 an error, both final.
 * A shortage of buffers is never reported: the op waits for one.  Blocks
 * that arrive after a cancel are data like any other.
 */
void veil_op_recv(veil_op_t *op);

/*
 * The same for a socket whose receiving side of TLS is in the kernel: what
 * is in u.buf came in records of u.record.type (RFC 8446, 5.1: 20 change
 * cipher spec, 21 alert, 22 handshake, 23 application data), one or several,
 * or a part of one.  On any other socket the type is VEIL_RECORD_DATA.  The
 * end of the stream is a truncation unless a close_notify came before: that
 * is the caller's to know.  A record that cannot be decrypted: -EBADMSG.
 */
void veil_op_recv_records(veil_op_t *op);

/*
 * len > 0 bytes into data, all of them: res == len; fewer only at the end of
 * the stream.  After -errno, too, nbytes says how many have come.
 */
void veil_op_recv_exact(veil_op_t *op, void *data, size_t len);

/*
 * All of it: done() has res == len or -errno.  nbytes says how much went in
 * either case.  len > 0, and at most INT_MAX.  The same for sendv, whose iov
 * array must stay valid and is modified (niov at most IOV_MAX, and not all of
 * them empty), and sendfile, whose file must keep its size: when it ends
 * early res is what was sent (short).
 */
void veil_op_send(veil_op_t *op, const void *data, size_t len);
void veil_op_sendv(veil_op_t *op, struct iovec *iov, unsigned niov);
void veil_op_sendfile(veil_op_t *op, int fd, uint64_t offset, size_t len);

/* One message with control data; res as of sendmsg(2), recvmsg(2). */
void veil_op_sendmsg(veil_op_t *op, struct msghdr *msg, int flags);
void veil_op_recvmsg(veil_op_t *op, struct msghdr *msg, int flags);

/* res == 0 when connected.  addr is copied by nobody: keep it. */
void veil_op_connect(veil_op_t *op, const struct sockaddr *addr,
                     socklen_t len);

/* One shot; res has the ready events, POLLERR and POLLHUP among them. */
void veil_op_poll(veil_op_t *op, unsigned events);

/* Files and pipes.  Short results are possible and passed on. */
void veil_op_read(veil_op_t *op, void *data, size_t len, uint64_t offset);
void veil_op_write(veil_op_t *op, const void *data, size_t len,
                   uint64_t offset);
/*
 * These two only tests call so far.  Files are served through file.h, which
 * asks in a way that cannot block and has no need of an op; a cache of
 * responses, which opens and looks at many files that are cold, will.
 */
/* res is the descriptor.  After a cancel it may still be one: close it. */
void veil_op_openat(veil_op_t *op, int dirfd, const char *path, int flags,
                    unsigned mode);
/* stx is a struct statx that stays valid. */
void veil_op_statx(veil_op_t *op, int dirfd, const char *path, int flags,
                   unsigned mask, void *stx);

/*
 * Moves up to len bytes from the handle's descriptor to fd, one of them a
 * pipe; waits for the handle's descriptor only.  -EAGAIN: fd was not ready.
 * Only tests call it so far: it is for passing TCP streams on without
 * copying them.
 */
void veil_op_splice(veil_op_t *op, int fd, size_t len, unsigned flags);

/* Whether it is a kind that takes blocks of the loop's pool. */
static inline bool
veil_op_takes_blocks(const veil_op_t *op)
{
    return op->kind == VEIL_OP_RECV || op->kind == VEIL_OP_RECV_RECORDS;
}

/* A wish; idle or already cancelled: nothing happens. */
void veil_op_cancel(veil_op_t *op);
/* The same; if the op ends by it, res is -ETIMEDOUT. */
void veil_op_time_out(veil_op_t *op);

const char *veil_op_kind_name(unsigned kind);

#endif
