/*
 * uring_fill.c -- what an op looks like as an entry of io_uring.
 *
 * The entry is zeroed and has its descriptor and user data already.  What the
 * kernel reads only while it takes the entry (the message of a SENDV) lies in
 * a slot that belongs to the entry's place in the queue.
 *
 * Records of TLS need the kernel's word on their type, which is control data
 * of a message.  A multishot recvmsg puts a header, that control data and the
 * payload into the block one after the other, and reads the message only for
 * the lengths, so one for all will do.  It is the way that stays armed across
 * alerts; a multishot recv ends at them with an error.
 */

#include "core/platform.h"

#include <liburing.h>
#include <poll.h>

#include "core/assert.h"
#include "core/pool.h"
#include "event/step.h"
#include "event/uring_buf.h"
#include "event/uring_fill.h"

/* For a receive of records, one block at a time; h->backend[0]. */
typedef struct {
    struct msghdr msg;
    struct iovec iov;
    _Alignas(struct cmsghdr) char control[CMSG_SPACE(sizeof(uint8_t))];
} uring_fill_record_t;

/* What a multishot of records leaves room for. */
static struct msghdr uring_fill_room = {
    .msg_controllen = CMSG_SPACE(sizeof(uint8_t)),
};

static void
uring_fill_mem(struct io_uring_sqe *sqe, unsigned opcode, veil_op_t *op)
{
    sqe->opcode = (uint8_t) opcode;
    sqe->addr = (uintptr_t) (op->u.mem.data + op->u.mem.nbytes);
    sqe->len = (uint32_t) (op->u.mem.len - op->u.mem.nbytes);
}

static void
uring_fill_sendv(struct io_uring_sqe *sqe, veil_op_t *op, struct msghdr *msg)
{
    sqe->msg_flags = MSG_NOSIGNAL | MSG_DONTWAIT;
    if (op->u.vec.niov == 1) {
        sqe->opcode = IORING_OP_SEND;
        sqe->addr = (uintptr_t) op->u.vec.iov->iov_base;
        sqe->len = (uint32_t) op->u.vec.iov->iov_len;
        return;
    }
    /* Read while submitting, so the slot lives as long as its entry. */
    msg->msg_iov = op->u.vec.iov;
    msg->msg_iovlen = op->u.vec.niov;
    sqe->opcode = IORING_OP_SENDMSG;
    sqe->addr = (uintptr_t) msg;
    sqe->len = 1;
}

static void
uring_fill_path(struct io_uring_sqe *sqe, veil_op_t *op)
{
    sqe->fd = op->u.path.dirfd;
    sqe->addr = (uintptr_t) op->u.path.path;
    sqe->len = op->u.path.mode;
    if (op->kind == VEIL_OP_OPENAT) {
        sqe->opcode = IORING_OP_OPENAT;
        sqe->open_flags = (uint32_t) op->u.path.flags;
    } else {
        sqe->opcode = IORING_OP_STATX;
        sqe->off = (uintptr_t) op->u.path.statx;
        sqe->statx_flags = (uint32_t) op->u.path.flags;
    }
}

static void
uring_fill_msg(struct io_uring_sqe *sqe, veil_op_t *op)
{
    sqe->opcode =
        op->kind == VEIL_OP_SENDMSG ? IORING_OP_SENDMSG : IORING_OP_RECVMSG;
    sqe->addr = (uintptr_t) op->u.msg.msg;
    sqe->len = 1;
    sqe->msg_flags = (uint32_t) op->u.msg.flags;
}

/*
 * A multishot puts a header, the control data and the payload into the block,
 * and reads the message only for the lengths; a single shot needs a message
 * of its own, which then stays with the handle.
 */
static void
uring_fill_records(struct io_uring_sqe *sqe, veil_op_t *op)
{
    uring_fill_record_t *r = op->handle->backend[0];

    sqe->opcode = IORING_OP_RECVMSG;
    sqe->len = 1;
    sqe->flags = IOSQE_BUFFER_SELECT;
    sqe->buf_group = 0;
    /* The owner may change his mind while it is in flight. */
    op->u.record.single = op->paced;
    if (!op->paced) {
        sqe->ioprio = IORING_RECV_MULTISHOT;
        sqe->addr = (uintptr_t) &uring_fill_room;
        return;
    }
    if (r == NULL) {
        r = veil_zalloc(sizeof(*r));
        op->handle->backend[0] = r;
    }
    r->iov.iov_len = veil_rxpool_block_size(op->handle->loop->rx);
    r->msg.msg_iov = &r->iov;
    r->msg.msg_iovlen = 1;
    r->msg.msg_control = r->control;
    r->msg.msg_controllen = sizeof(r->control);
    sqe->addr = (uintptr_t) &r->msg;
}

void
veil_uring_fill(struct io_uring_sqe *sqe, veil_op_t *op, struct msghdr *slot)
{
    switch (op->kind) {
    case VEIL_OP_ACCEPT:
        sqe->opcode = IORING_OP_ACCEPT;
        sqe->ioprio = IORING_ACCEPT_MULTISHOT;
        sqe->accept_flags = SOCK_NONBLOCK | SOCK_CLOEXEC;
        break;
    case VEIL_OP_RECV:
        sqe->opcode = IORING_OP_RECV;
        sqe->ioprio = op->paced ? 0 : IORING_RECV_MULTISHOT;
        sqe->flags = IOSQE_BUFFER_SELECT;
        sqe->buf_group = 0;
        break;
    case VEIL_OP_RECV_RECORDS:
        uring_fill_records(sqe, op);
        break;
    case VEIL_OP_RECV_EXACT:
        uring_fill_mem(sqe, IORING_OP_RECV, op);
        break;
    case VEIL_OP_SEND:
        uring_fill_mem(sqe, IORING_OP_SEND, op);
        sqe->msg_flags = MSG_NOSIGNAL | MSG_DONTWAIT;
        break;
    case VEIL_OP_SENDV:
        uring_fill_sendv(sqe, op, slot);
        break;
    case VEIL_OP_SENDMSG:
    case VEIL_OP_RECVMSG:
        uring_fill_msg(sqe, op);
        break;
    case VEIL_OP_CONNECT:
        sqe->opcode = IORING_OP_CONNECT;
        sqe->addr = (uintptr_t) op->u.addr.addr;
        sqe->off = op->u.addr.len;
        break;
    case VEIL_OP_READ:
    case VEIL_OP_WRITE:
        uring_fill_mem(
            sqe, op->kind == VEIL_OP_READ ? IORING_OP_READ : IORING_OP_WRITE,
            op);
        sqe->off = op->u.mem.offset;
        break;
    case VEIL_OP_OPENAT:
    case VEIL_OP_STATX:
        uring_fill_path(sqe, op);
        break;
    default:
        veil_panic("an op of kind %d cannot be started", op->kind);
    }
}

unsigned
veil_uring_poll_events(const veil_op_t *op)
{
    switch (op->kind) {
    case VEIL_OP_POLL:
        return op->u.poll.events;
    case VEIL_OP_SENDFILE:
    case VEIL_OP_SENDMSG:
    case VEIL_OP_WRITE:
    case VEIL_OP_SEND:
    case VEIL_OP_SENDV:
        return POLLOUT;
    default:
        return POLLIN;
    }
}

int
veil_uring_record(veil_op_t *op, veil_block_t *block, int res)
{
    const struct io_uring_recvmsg_out *out;
    uring_fill_record_t *r = op->handle->backend[0];
    struct msghdr msg = { 0 };
    size_t head = sizeof(*out) + uring_fill_room.msg_controllen;

    if (op->u.record.single) {
        op->u.record.type = veil_step_record_type(&r->msg);
        op->u.buf.pos = block->data;
        op->u.buf.end = block->data + res;
        return res;
    }
    VEIL_ASSERT(block != NULL && (size_t) res >= head);
    out = (const struct io_uring_recvmsg_out *) block->data;
    msg.msg_control = block->data + sizeof(*out);
    msg.msg_controllen =
        veil_min_size(out->controllen, uring_fill_room.msg_controllen);
    op->u.record.type = veil_step_record_type(&msg);
    op->u.buf.pos = block->data + head;
    op->u.buf.end = block->data + res;
    return res - (int) head;
}

void
veil_uring_forget(veil_handle_t *h)
{
    veil_free(h->backend[0]);
    h->backend[0] = NULL;
}
