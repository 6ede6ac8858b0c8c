/*
 * step.c -- one attempt at an op by a plain system call.
 *
 * The rules: EINTR is tried again at once; EAGAIN is turned into what to wait
 * for; what moved is noted in the op; an error ends it.  A send that moved
 * less than it should waits without trying again, as the kernel then promises
 * an event.  sendfile is different: it is also short at the end of a file
 * that shrank, of which no event would tell, so it is tried until it refuses.
 */

#include "core/platform.h"

#include <fcntl.h>
#include <linux/tls.h>
#include <poll.h>
#include <sys/sendfile.h>
#include <sys/stat.h>

#include "core/assert.h"
#include "event/guard.h"
#include "event/step.h"
#include "event/uring_buf.h"

/* Most bytes of one op in one turn, so that others have theirs. */
#define STEP_SENDFILE_MAX ((size_t) 2 << 20)

/* The rest of a vector is cut here for sim's short writes. */
#define STEP_IOV_MAX 64

static bool
step_is_again(int err)
{
    return err == EAGAIN || err == EWOULDBLOCK;
}

static veil_step_t
step_accept(veil_op_t *op, int *res)
{
    int fd = accept4(op->handle->fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);

    if (fd >= 0) {
        *res = fd;
        return VEIL_STEP_MORE;
    }
    *res = -errno;
    switch (-*res) {
    case EAGAIN:
        return VEIL_STEP_IN;
    case EINTR:
    case ECONNABORTED:
    case EPROTO:
        return VEIL_STEP_AGAIN; /* that client is gone; there may be others */
    default:
        return VEIL_STEP_DONE;
    }
}

uint8_t
veil_step_record_type(struct msghdr *msg)
{
    const struct cmsghdr *c = CMSG_FIRSTHDR(msg);

    if (c != NULL && c->cmsg_level == SOL_TLS
        && c->cmsg_type == TLS_GET_RECORD_TYPE
        && c->cmsg_len >= CMSG_LEN(sizeof(uint8_t)))
    {
        return *CMSG_DATA(c);
    }
    return VEIL_RECORD_DATA;
}

/* recv(2) into the block that says what kind of record it was. */
static int
step_recv_record(veil_op_t *op, void *data, size_t len)
{
    union {
        struct cmsghdr align;
        char bytes[CMSG_SPACE(sizeof(uint8_t))];
    } control;
    struct iovec iov = { .iov_base = data, .iov_len = len };
    struct msghdr msg = { .msg_iov = &iov,
                          .msg_iovlen = 1,
                          .msg_control = control.bytes,
                          .msg_controllen = sizeof(control.bytes) };
    ssize_t n = recvmsg(op->handle->fd, &msg, 0);

    if (n <= 0) {
        return n == -1 ? -errno : 0;
    }
    op->u.record.type = veil_step_record_type(&msg);
    return (int) n;
}

static veil_step_t
step_recv(veil_op_t *op, size_t max, int *res)
{
    veil_rxpool_t *rx = op->handle->loop->rx;
    veil_block_t *block = veil_rxpool_take(rx);
    size_t len;
    ssize_t n;

    if (block == NULL) {
        return VEIL_STEP_STARVED;
    }
    len = veil_min_size(block->size, max);
    do {
        if (op->kind == VEIL_OP_RECV_RECORDS) {
            *res = step_recv_record(op, block->data, len);
        } else {
            n = recv(op->handle->fd, block->data, len, 0);
            *res = n == -1 ? -errno : (int) n;
        }
    } while (*res == -EINTR);
    if (*res > 0) {
        op->u.buf.pos = block->data;
        op->u.buf.end = block->data + *res;
        op->u.buf.block = block;
        return VEIL_STEP_MORE;
    }
    veil_block_put(block);
    return step_is_again(-*res) ? VEIL_STEP_IN : VEIL_STEP_DONE;
}

static veil_step_t
step_recv_exact(veil_op_t *op, size_t max, int *res)
{
    size_t left;
    ssize_t n;

    for (;;) {
        left = op->u.mem.len - op->u.mem.nbytes;
        veil_guard_lift(op);
        n = recv(op->handle->fd, op->u.mem.data + op->u.mem.nbytes,
                 veil_min_size(left, max), 0);
        *res = n == -1 ? -errno : (int) n;
        veil_guard_lower(op);
        if (*res > 0) {
            if (veil_op_advance(op, (size_t) *res)) {
                *res = (int) op->u.mem.nbytes;
                return VEIL_STEP_DONE;
            }
            if ((size_t) *res == max) {
                return VEIL_STEP_AGAIN;
            }
        } else if (*res == 0) {
            *res = (int) op->u.mem.nbytes;
            return VEIL_STEP_DONE;
        } else if (*res != -EINTR) {
            return step_is_again(-*res) ? VEIL_STEP_IN : VEIL_STEP_DONE;
        }
    }
}

/* What follows a send that moved n of want bytes, or failed. */
static veil_step_t
step_sent(veil_op_t *op, ssize_t n, int err, size_t max, int *res)
{
    if (n < 0) {
        *res = -err;
        return err == EINTR         ? VEIL_STEP_AGAIN
               : step_is_again(err) ? VEIL_STEP_OUT
                                    : VEIL_STEP_DONE;
    }
    if (veil_op_advance(op, (size_t) n)) {
        *res = (int) (op->kind == VEIL_OP_SENDV ? op->u.vec.nbytes
                                                : op->u.mem.nbytes);
        return VEIL_STEP_DONE;
    }
    return (size_t) n == max ? VEIL_STEP_AGAIN : VEIL_STEP_OUT;
}

static veil_step_t
step_send(veil_op_t *op, size_t max, int *res)
{
    size_t left = op->u.mem.len - op->u.mem.nbytes;
    ssize_t n = send(op->handle->fd, op->u.mem.data + op->u.mem.nbytes,
                     veil_min_size(left, max), MSG_NOSIGNAL);

    return step_sent(op, n, errno, max, res);
}

static veil_step_t
step_sendv(veil_op_t *op, size_t max, int *res)
{
    struct msghdr msg = { 0 };
    struct iovec cut[STEP_IOV_MAX];
    size_t left = max;
    ssize_t n;
    unsigned i;

    msg.msg_iov = op->u.vec.iov;
    msg.msg_iovlen = op->u.vec.niov;
    if (max != SIZE_MAX) {
        msg.msg_iov = cut;
        for (i = 0; i < op->u.vec.niov && i < STEP_IOV_MAX && left > 0; i++) {
            cut[i] = op->u.vec.iov[i];
            cut[i].iov_len = veil_min_size(cut[i].iov_len, left);
            left -= cut[i].iov_len;
        }
        msg.msg_iovlen = i;
    }
    n = sendmsg(op->handle->fd, &msg, MSG_NOSIGNAL);
    return step_sent(op, n, errno, max, res);
}

static veil_step_t
step_sendfile(veil_op_t *op, size_t max, int *res)
{
    size_t left, want, moved = 0;
    off_t offset;
    ssize_t n;

    max = veil_min_size(max, STEP_SENDFILE_MAX);
    while (moved < max) {
        left = op->u.file.len - op->u.file.nbytes;
        want = veil_min_size(left, max - moved);
        offset = (off_t) op->u.file.offset;
        n = sendfile(op->handle->fd, op->u.file.fd, &offset, want);
        if (n < 0) {
            *res = -errno;
            if (*res == -EINTR) {
                continue;
            }
            return step_is_again(-*res) ? VEIL_STEP_OUT : VEIL_STEP_DONE;
        }
        moved += (size_t) n;
        if (n == 0 || veil_op_advance(op, (size_t) n)) {
            *res = (int) op->u.file.nbytes;
            return VEIL_STEP_DONE;
        }
    }
    return VEIL_STEP_AGAIN;
}

/* Whether the handle's descriptor has what the op waits for, or an end. */
static int
step_ready(const veil_op_t *op, unsigned events)
{
    struct pollfd p = { .fd = op->handle->fd, .events = (short) events };
    int n;

    do {
        n = poll(&p, 1, 0);
    } while (n == -1 && errno == EINTR);
    return n > 0 ? p.revents : 0;
}

static veil_step_t
step_splice(veil_op_t *op, size_t max, int *res)
{
    ssize_t n;

    do {
        n = splice(op->handle->fd, NULL, op->u.file.fd, NULL,
                   veil_min_size(op->u.file.len, max),
                   op->u.file.flags | SPLICE_F_NONBLOCK);
        *res = n == -1 ? -errno : (int) n;
    } while (*res == -EINTR);
    /* Either end may have refused; the other one's is the caller's affair. */
    if (step_is_again(-*res) && step_ready(op, POLLIN) == 0) {
        return VEIL_STEP_IN;
    }
    return VEIL_STEP_DONE;
}

static veil_step_t
step_connect(veil_op_t *op, int *res)
{
    /* The second call on a socket says how the first one ended. */
    *res = connect(op->handle->fd, op->u.addr.addr, op->u.addr.len) == -1
               ? -errno
               : 0;
    switch (-*res) {
    case EINPROGRESS:
    case EALREADY:
    case EINTR:
        return VEIL_STEP_OUT;
    case EISCONN:
        *res = 0;
        return VEIL_STEP_DONE;
    default:
        return VEIL_STEP_DONE;
    }
}

static veil_step_t
step_poll(veil_op_t *op, int *res)
{
    *res = step_ready(op, op->u.poll.events);
    return *res == 0 ? VEIL_STEP_POLL : VEIL_STEP_DONE;
}

static veil_step_t
step_msg(veil_op_t *op, int *res)
{
    bool is_send = op->kind == VEIL_OP_SENDMSG;
    ssize_t n;

    do {
        n = is_send ? sendmsg(op->handle->fd, op->u.msg.msg, op->u.msg.flags)
                    : recvmsg(op->handle->fd, op->u.msg.msg, op->u.msg.flags);
        *res = n == -1 ? -errno : (int) n;
    } while (*res == -EINTR);
    if (step_is_again(-*res) && (op->u.msg.flags & MSG_DONTWAIT) == 0) {
        return is_send ? VEIL_STEP_OUT : VEIL_STEP_IN;
    }
    return VEIL_STEP_DONE;
}

static ssize_t
step_read_or_write(veil_op_t *op, size_t len)
{
    int fd = op->handle->fd;
    void *data = op->u.mem.data;
    off_t offset = (off_t) op->u.mem.offset;

    if (op->kind == VEIL_OP_READ) {
        return op->u.mem.offset == UINT64_MAX ? read(fd, data, len)
                                              : pread(fd, data, len, offset);
    }
    return op->u.mem.offset == UINT64_MAX ? write(fd, data, len)
                                          : pwrite(fd, data, len, offset);
}

static veil_step_t
step_file(veil_op_t *op, size_t max, int *res)
{
    ssize_t n;

    veil_guard_lift(op);
    do {
        n = step_read_or_write(op, veil_min_size(op->u.mem.len, max));
        *res = n == -1 ? -errno : (int) n;
    } while (*res == -EINTR);
    if (step_is_again(-*res)) {
        veil_guard_lower(op);
        return op->kind == VEIL_OP_READ ? VEIL_STEP_IN : VEIL_STEP_OUT;
    }
    return VEIL_STEP_DONE;
}

static veil_step_t
step_path(veil_op_t *op, int *res)
{
    int n;

    do {
        if (op->kind == VEIL_OP_OPENAT) {
            n = openat(op->u.path.dirfd, op->u.path.path, op->u.path.flags,
                       (mode_t) op->u.path.mode);
        } else {
            n = statx(op->u.path.dirfd, op->u.path.path, op->u.path.flags,
                      op->u.path.mode, op->u.path.statx);
        }
        *res = n == -1 ? -errno : n;
    } while (*res == -EINTR);
    return VEIL_STEP_DONE;
}

veil_step_t
veil_step(veil_op_t *op, size_t max, int *res)
{
    switch (op->kind) {
    case VEIL_OP_ACCEPT:
        return step_accept(op, res);
    case VEIL_OP_RECV:
    case VEIL_OP_RECV_RECORDS:
        return step_recv(op, max, res);
    case VEIL_OP_RECV_EXACT:
        return step_recv_exact(op, max, res);
    case VEIL_OP_SEND:
        return step_send(op, max, res);
    case VEIL_OP_SENDV:
        return step_sendv(op, max, res);
    case VEIL_OP_SENDFILE:
        return step_sendfile(op, max, res);
    case VEIL_OP_SENDMSG:
    case VEIL_OP_RECVMSG:
        return step_msg(op, res);
    case VEIL_OP_CONNECT:
        return step_connect(op, res);
    case VEIL_OP_POLL:
        return step_poll(op, res);
    case VEIL_OP_READ:
    case VEIL_OP_WRITE:
        return step_file(op, max, res);
    case VEIL_OP_OPENAT:
    case VEIL_OP_STATX:
        return step_path(op, res);
    case VEIL_OP_SPLICE:
        return step_splice(op, max, res);
    default:
        veil_panic("an op of kind %d cannot be started", op->kind);
    }
}
