/*
 * uring.c -- io_uring.
 *
 * One ring a worker, made after fork, with SINGLE_ISSUER and DEFER_TASKRUN:
 * completions are produced only when this process asks for them, so no other
 * CPU disturbs it, and a worker that dies takes no accepted clients with it.
 * A turn makes one system call, which submits what was started since the last
 * one, waits, and brings what completed.
 *
 * An op has at most one entry in the kernel, whose user_data is the op's
 * address.  Cancel requests carry tag 1 and their completions are ignored:
 * what counts is how the op itself ends (io_uring_prep_cancel.3).  When the
 * submission queue is full it is submitted at once; should the kernel refuse
 * even that, ops wait in the backlog.
 *
 * Receiving and accepting are multishot.  The kernel may end a multishot at
 * any time by a completion without F_MORE; it is armed again, unless it was
 * cancelled.  ENOBUFS makes a receive starve (uring_buf.c).  Records of TLS
 * are received by a multishot recvmsg, which puts their type before them into
 * the block; Linux 6.1 has that, so there is no other way to fall back on.
 *
 * SENDFILE and SPLICE are made by plain calls in wait(), and wait by polling
 * in the ring: there is no opcode for the first, and the second would run on
 * kernel threads, at twice the cost.
 *
 * Sends wait by polling, too (MSG_DONTWAIT).  Every poll of io_uring, also
 * its own for a send that would block, ends when the peer has half-closed, as
 * POLLRDHUP cannot be masked: one that reads nothing besides would keep the
 * loop or a kernel thread busy.  What meets that is tried after a pause.
 *
 * Only liburing's set-up is used; entries are filled and fetched here, which
 * needs a dozen lines and spares those that no turn of ours wants.
 */

#include "core/platform.h"

#include <liburing.h>
#include <poll.h>
#include <sys/utsname.h>

#include "core/assert.h"
#include "core/pool.h"
#include "core/time.h"
#include "event/backend.h"
#include "event/step.h"
#include "event/uring_buf.h"
#include "event/uring_fill.h"

#define URING_SQ_SIZE 512u
#define URING_CQ_MIN 1024u
#define URING_CQ_MAX 32768u
/* Between two tries for a half-closed peer, whether it reads or not. */
#define URING_PAUSE_MS 20
#define URING_TAG_CANCEL 1u
#define URING_TAG_MASK 7u

/* Newer than the headers of liburing 2.3 may be. */
#ifndef IORING_ENTER_REGISTERED_RING
#define IORING_ENTER_REGISTERED_RING (1U << 4)
#endif

/* op->backend: where an op is. */
enum {
    URING_QUEUED,  /* in a list by wait: starved, ready, backlog, paused */
    URING_KERNEL,  /* its own entry is with the kernel */
    URING_POLLING, /* a poll entry in its place */
    URING_RUNNING, /* in our hands: a step or a done() */
};

typedef struct {
    struct io_uring ring;
    int fd; /* to enter: registered or not */
    unsigned enter_flags;
    unsigned sq_mask;
    unsigned cq_mask;
    struct msghdr *msgs; /* one for each submission entry, for SENDV */
    veil_list_t ready;   /* to be tried by a step; ops by wait */
    veil_list_t backlog; /* could not be submitted */
    veil_list_t cancels; /* in the kernel, to be cancelled */
    veil_list_t paused;  /* to be tried when the timer fires */
    veil_timer_t pause;
} uring_t;

static void uring_paused_end(veil_timer_t *t);

/* -- set-up */

static int
uring_kernel_version(void)
{
    struct utsname u;
    int major = 0, minor = 0;

    if (uname(&u) == -1 || sscanf(u.release, "%d.%d", &major, &minor) != 2) {
        return 0;
    }
    return major * 1000 + minor;
}

/* The value of kernel.io_uring_disabled; '0' when there is no such thing. */
static char
uring_disabled(void)
{
    FILE *f = fopen("/proc/sys/kernel/io_uring_disabled", "re");
    int c = '0';

    if (f != NULL) {
        c = getc(f);
        (void) fclose(f); /* it was only read */
    }
    return (char) c;
}

static const char *
uring_explain(int error)
{
    if (uring_kernel_version() < 6001) {
        return "it needs Linux 6.1 or newer";
    }
    switch (-error) {
    case ENOSYS:
        return "the kernel has no io_uring, or a seccomp filter hides it";
    case EPERM:
    case EACCES:
        return uring_disabled() != '0'
                   ? "the sysctl kernel.io_uring_disabled forbids it"
                   : "a seccomp filter or security module forbids it";
    case EINVAL:
        return "the kernel does not support all that is needed";
    case ENOMEM:
        return "not enough memory, or RLIMIT_MEMLOCK is too low";
    default:
        return "io_uring_setup() failed";
    }
}

static unsigned
uring_cq_size(unsigned connections)
{
    unsigned n = URING_CQ_MIN;

    while (n < URING_CQ_MAX && n < 2 * connections) {
        n *= 2;
    }
    return n;
}

/* Entry i of the queue is always slot i of the array. */
static void
uring_identity(struct io_uring *ring, unsigned n)
{
    unsigned i;

    for (i = 0; i < n; i++) {
        ring->sq.array[i] = i;
    }
}

static int
uring_open(uring_t *u, const veil_loop_options_t *options)
{
    struct io_uring_params p = { 0 };
    int r;

    p.flags = IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN
              | IORING_SETUP_SUBMIT_ALL | IORING_SETUP_CQSIZE
              | IORING_SETUP_CLAMP;
    p.cq_entries = uring_cq_size(options->connections);
    r = io_uring_queue_init_params(URING_SQ_SIZE, &u->ring, &p);
    if (r < 0) {
        return r;
    }
    if ((p.features & IORING_FEAT_EXT_ARG) == 0
        || (p.features & IORING_FEAT_NODROP) == 0)
    {
        io_uring_queue_exit(&u->ring);
        return -EINVAL;
    }
    uring_identity(&u->ring, p.sq_entries);
    u->sq_mask = p.sq_entries - 1;
    u->cq_mask = p.cq_entries - 1;
    u->fd = u->ring.ring_fd;
    if (io_uring_register_ring_fd(&u->ring) == 1) {
        /* Spares looking the descriptor up at each call. */
        u->fd = u->ring.enter_ring_fd;
        u->enter_flags = IORING_ENTER_REGISTERED_RING;
    }
    return 0;
}

static int
uring_init(veil_loop_t *loop, const veil_loop_options_t *options)
{
    uring_t *u;
    int r;

    if (uring_kernel_version() < 6001) {
        return -ENOSYS;
    }
    u = veil_zalloc(sizeof(*u));
    r = uring_open(u, options);
    if (r < 0) {
        veil_free(u);
        return r;
    }
    r = veil_rxpool_attach(loop->rx, &u->ring);
    if (r < 0) {
        io_uring_queue_exit(&u->ring);
        veil_free(u);
        return r;
    }
    u->msgs = veil_zalloc((u->sq_mask + 1) * sizeof(*u->msgs));
    veil_list_init(&u->ready);
    veil_list_init(&u->backlog);
    veil_list_init(&u->cancels);
    veil_list_init(&u->paused);
    veil_timer_init(&u->pause, uring_paused_end);
    loop->backend_data = u;
    return 0;
}

static void
uring_done(veil_loop_t *loop)
{
    uring_t *u = loop->backend_data;

    veil_timer_cancel(&u->pause);
    io_uring_queue_exit(&u->ring);
    veil_free(u->msgs);
    veil_free(u);
    loop->backend_data = NULL;
}

/* -- the two queues */

/* Submits what there is; waits for one completion, for at most ms, if wait. */
static void
uring_enter(uring_t *u, bool wait, int ms)
{
    struct io_uring_sq *sq = &u->ring.sq;
    struct __kernel_timespec ts = { 0 };
    struct io_uring_getevents_arg arg = { 0 };
    unsigned flags = u->enter_flags, n;
    int r;

    __atomic_store_n(sq->ktail, sq->sqe_tail, __ATOMIC_RELEASE);
    n = sq->sqe_tail - __atomic_load_n(sq->khead, __ATOMIC_ACQUIRE);
    if (wait) {
        flags |= IORING_ENTER_GETEVENTS | IORING_ENTER_EXT_ARG;
        if (ms > 0) {
            ts.tv_sec = ms / 1000;
            ts.tv_nsec = ms % 1000 * 1000000L;
            arg.ts = (uintptr_t) &ts;
        }
    }
    r = io_uring_enter2((unsigned) u->fd, n, wait && ms != 0 ? 1 : 0, flags,
                        wait ? (void *) &arg : NULL, wait ? sizeof(arg) : 0);
    switch (r < 0 ? -r : 0) {
    case 0:
    case EINTR:
    case ETIME:
    case EAGAIN: /* no memory just now, or the completion queue is full: */
    case EBUSY:  /* what could not be submitted stays for the next call */
        return;
    default:
        veil_panic("io_uring_enter() failed: %s", strerror(-r));
    }
}

/* A zeroed entry; NULL when the queue is full and the kernel takes none. */
static struct io_uring_sqe *
uring_sqe(uring_t *u)
{
    struct io_uring_sq *sq = &u->ring.sq;
    struct io_uring_sqe *sqe;

    if (sq->sqe_tail - __atomic_load_n(sq->khead, __ATOMIC_ACQUIRE)
        > u->sq_mask) {
        uring_enter(u, false, 0);
        if (sq->sqe_tail - __atomic_load_n(sq->khead, __ATOMIC_ACQUIRE)
            > u->sq_mask) {
            return NULL;
        }
    }
    sqe = &sq->sqes[sq->sqe_tail & u->sq_mask];
    sq->sqe_tail++;
    memset(sqe, 0, sizeof(*sqe));
    return sqe;
}

/* Submits the op's entry, or a poll for what it waits for. */
static void
uring_submit(uring_t *u, veil_op_t *op, bool poll)
{
    struct io_uring_sqe *sqe = uring_sqe(u);

    if (sqe == NULL) {
        op->backend = URING_QUEUED;
        veil_list_append(&u->backlog, &op->wait);
        return;
    }
    op->state = VEIL_OP_INFLIGHT;
    sqe->fd = op->handle->fd;
    sqe->user_data = (uintptr_t) op;
    if (poll) {
        op->backend = URING_POLLING;
        sqe->opcode = IORING_OP_POLL_ADD;
        sqe->poll32_events = veil_uring_poll_events(op);
#if __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__
        sqe->poll32_events =
            sqe->poll32_events << 16 | sqe->poll32_events >> 16;
#endif
    } else {
        op->backend = URING_KERNEL;
        veil_uring_fill(sqe, op, &u->msgs[sqe - u->ring.sq.sqes]);
    }
}

static bool
uring_is_inline(const veil_op_t *op)
{
    return op->kind == VEIL_OP_SENDFILE || op->kind == VEIL_OP_SPLICE;
}

static void
uring_start(veil_loop_t *loop, veil_op_t *op)
{
    uring_t *u = loop->backend_data;

    if (uring_is_inline(op)) {
        veil_list_append(&u->ready, &op->wait);
    } else if (veil_op_takes_blocks(op) && veil_rxpool_free(loop->rx) == 0) {
        veil_rxpool_starve(loop->rx, op);
    } else {
        uring_submit(u, op, op->kind == VEIL_OP_POLL);
    }
}

/* False when there is no room for the request now. */
static bool
uring_submit_cancel(uring_t *u, veil_op_t *op)
{
    struct io_uring_sqe *sqe = uring_sqe(u);

    if (sqe == NULL) {
        return false;
    }
    sqe->opcode = IORING_OP_ASYNC_CANCEL;
    sqe->fd = -1;
    sqe->addr = (uintptr_t) op;
    sqe->user_data = URING_TAG_CANCEL;
    return true;
}

static void
uring_cancel(veil_loop_t *loop, veil_op_t *op)
{
    uring_t *u = loop->backend_data;

    switch (op->backend) {
    case URING_QUEUED:
        veil_list_remove(&op->wait);
        veil_op_finish(op, -ECANCELED);
        break;
    case URING_KERNEL:
    case URING_POLLING:
        if (!uring_submit_cancel(u, op)) {
            veil_list_append(&u->cancels, &op->wait);
        }
        break;
    default:
        break; /* whoever has it will see op->cancel */
    }
}

static void
uring_forget(veil_loop_t *loop, veil_handle_t *h)
{
    (void) loop; /* it knows descriptors only by the ops, and none is left */
    veil_uring_forget(h);
}

/* -- completions */

/* A step of SENDFILE or SPLICE; the op is in no list. */
static void
uring_step(veil_loop_t *loop, veil_op_t *op)
{
    uring_t *u = loop->backend_data;
    int res;

    op->state = VEIL_OP_INFLIGHT;
    op->backend = URING_RUNNING;
    switch (veil_step(op, SIZE_MAX, &res)) {
    case VEIL_STEP_DONE:
        veil_op_complete(op, res, false);
        break;
    case VEIL_STEP_AGAIN:
        op->backend = URING_QUEUED;
        veil_list_append(&u->ready, &op->wait);
        break;
    default:
        uring_submit(u, op, true);
        break;
    }
}

/* The op, which the kernel no longer has, is to go on or to end. */
static void
uring_again(veil_loop_t *loop, veil_op_t *op, bool poll)
{
    if (op->cancel) {
        veil_op_complete(op, -ECANCELED, false);
    } else if (veil_op_takes_blocks(op) && veil_rxpool_free(loop->rx) == 0) {
        op->backend = URING_QUEUED;
        veil_rxpool_starve(loop->rx, op);
    } else {
        uring_submit(loop->backend_data, op, poll);
    }
}

/* A poll for room ended for another reason. */
static bool
uring_is_false_alarm(const veil_op_t *op, int events)
{
    return veil_uring_poll_events(op) == POLLOUT
           && (events & (POLLOUT | POLLERR | POLLHUP)) == 0;
}

static void
uring_pause(veil_loop_t *loop, veil_op_t *op)
{
    uring_t *u = loop->backend_data;

    op->backend = URING_QUEUED;
    veil_list_append(&u->paused, &op->wait);
    if (!veil_timer_is_set(&u->pause)) {
        veil_timer_set(loop, &u->pause, URING_PAUSE_MS);
    }
}

static void
uring_paused_end(veil_timer_t *t)
{
    uring_t *u = veil_container_of(t, uring_t, pause);
    veil_list_t *node;

    while ((node = veil_list_pop(&u->paused)) != NULL) {
        veil_list_append(
            uring_is_inline(veil_list_entry(node, veil_op_t, wait))
                ? &u->ready
                : &u->backlog,
            node);
    }
}

/* One shot of a multishot; the last one of the kernel need not be ours. */
static void
uring_shot(veil_loop_t *loop, veil_op_t *op, int res, bool more)
{
    if (!more) {
        op->backend = URING_RUNNING;
    }
    op->moved_ms = (uint32_t) veil_now_ms();
    veil_op_complete(op, res, true);
    if (!more) {
        uring_again(loop, op, false);
    }
}

static void
uring_complete_recv(veil_loop_t *loop, veil_op_t *op, int res, unsigned flags)
{
    veil_block_t *block = NULL;

    if (flags & IORING_CQE_F_BUFFER) {
        block =
            veil_rxpool_received(loop->rx, flags >> IORING_CQE_BUFFER_SHIFT);
    }
    if (res > 0 && op->kind == VEIL_OP_RECV_RECORDS) {
        res = veil_uring_record(op, block, res);
    } else if (res > 0) {
        VEIL_ASSERT(block != NULL);
        op->u.buf.pos = block->data;
        op->u.buf.end = block->data + res;
    }
    if (res > 0) {
        op->u.buf.block = block;
        uring_shot(loop, op, res, flags & IORING_CQE_F_MORE);
        return;
    }
    if (block != NULL) {
        veil_block_put(block);
    }
    if (res == -ENOBUFS || res == -EAGAIN || res == -EINTR) {
        if ((flags & IORING_CQE_F_MORE) == 0) {
            uring_again(loop, op, false);
        }
        return;
    }
    veil_op_complete(op, res, false);
}

static void
uring_complete_accept(veil_loop_t *loop, veil_op_t *op, int res,
                      unsigned flags)
{
    if (res >= 0) {
        uring_shot(loop, op, res, flags & IORING_CQE_F_MORE);
        return;
    }
    switch (-res) {
    case EAGAIN:
    case EINTR:
    case ECONNABORTED:
    case EPROTO:
        if ((flags & IORING_CQE_F_MORE) == 0) {
            uring_again(loop, op, false);
        }
        break;
    default:
        veil_op_complete(op, res, false);
        break;
    }
}

/* SEND, SENDV, RECV_EXACT: as often as it takes. */
static void
uring_complete_stream(veil_loop_t *loop, veil_op_t *op, int res)
{
    size_t nbytes;

    if (res == -EAGAIN || res == -EINTR) {
        uring_again(loop, op, res == -EAGAIN);
        return;
    }
    if (res < 0) {
        veil_op_complete(op, res, false);
        return;
    }
    if (res > 0 && !veil_op_advance(op, (size_t) res)) {
        /* A send that was short has filled the socket. */
        uring_again(loop, op, op->kind != VEIL_OP_RECV_EXACT);
        return;
    }
    nbytes = op->kind == VEIL_OP_SENDV ? op->u.vec.nbytes : op->u.mem.nbytes;
    if (res == 0 && op->kind != VEIL_OP_RECV_EXACT) {
        veil_panic("a send of bytes moved none");
    }
    veil_op_complete(op, (int) nbytes, false);
}

static void
uring_complete(veil_loop_t *loop, veil_op_t *op, int res, unsigned flags)
{
    VEIL_CHECK(op, VEIL_OP);
    if ((flags & IORING_CQE_F_MORE) == 0) {
        veil_list_remove(&op->wait); /* from the cancels */
        if (op->backend == URING_POLLING && op->kind != VEIL_OP_POLL
            && res >= 0) {
            if (!op->cancel && uring_is_false_alarm(op, res)) {
                uring_pause(loop, op);
            } else if (uring_is_inline(op) && !op->cancel) {
                uring_step(loop, op);
            } else {
                uring_again(loop, op, false);
            }
            return;
        }
    }
    switch (op->kind) {
    case VEIL_OP_RECV:
    case VEIL_OP_RECV_RECORDS:
        uring_complete_recv(loop, op, res, flags);
        break;
    case VEIL_OP_ACCEPT:
        uring_complete_accept(loop, op, res, flags);
        break;
    case VEIL_OP_SEND:
    case VEIL_OP_SENDV:
    case VEIL_OP_RECV_EXACT:
        uring_complete_stream(loop, op, res);
        break;
    case VEIL_OP_READ:
    case VEIL_OP_WRITE:
    case VEIL_OP_SENDMSG:
    case VEIL_OP_RECVMSG:
        /* A non-blocking pipe refuses instead of waiting. */
        if (res == -EAGAIN || res == -EINTR) {
            uring_again(loop, op, res == -EAGAIN);
            break;
        }
        veil_op_complete(op, res, false);
        break;
    default:
        veil_op_complete(op, res, false);
        break;
    }
}

/* All completions that were there when it began. */
static void
uring_drain(veil_loop_t *loop, uring_t *u)
{
    struct io_uring_cq *cq = &u->ring.cq;
    unsigned head = *cq->khead, flags;
    unsigned tail = __atomic_load_n(cq->ktail, __ATOMIC_ACQUIRE);
    const struct io_uring_cqe *cqe;
    uint64_t data;
    int res;

    while (head != tail) {
        cqe = &cq->cqes[head & u->cq_mask];
        data = cqe->user_data;
        res = cqe->res;
        flags = cqe->flags;
        head++;
        /* Now, as what follows may submit and so bring more. */
        __atomic_store_n(cq->khead, head, __ATOMIC_RELEASE);
        if ((data & URING_TAG_MASK) == 0) {
            uring_complete(loop, (veil_op_t *) (uintptr_t) data, res, flags);
        }
    }
}

/* What could not be submitted, or waits for a block or a step. */
static void
uring_feed(veil_loop_t *loop, uring_t *u)
{
    unsigned n = veil_rxpool_free(loop->rx);
    veil_list_t list;
    veil_list_t *node;
    veil_op_t *op;

    veil_list_init(&list);
    veil_list_splice(&list, &u->cancels);
    while ((node = veil_list_pop(&list)) != NULL) {
        op = veil_list_entry(node, veil_op_t, wait);
        if (!uring_submit_cancel(u, op)) {
            veil_list_append(&u->cancels, node);
        }
    }
    veil_list_splice(&list, &u->backlog);
    while ((node = veil_list_pop(&list)) != NULL) {
        op = veil_list_entry(node, veil_op_t, wait);
        uring_submit(u, op, op->kind == VEIL_OP_POLL || uring_is_inline(op));
    }
    while (n-- > 0 && (op = veil_rxpool_next_starved(loop->rx)) != NULL) {
        uring_submit(u, op, false);
    }
    veil_list_splice(&list, &u->ready);
    while ((node = veil_list_pop(&list)) != NULL) {
        uring_step(loop, veil_list_entry(node, veil_op_t, wait));
    }
}

static void
uring_wait(veil_loop_t *loop, int max_ms)
{
    uring_t *u = loop->backend_data;
    int ms;

    uring_feed(loop, u);
    ms = veil_loop_timeout(loop, max_ms);
    if (!veil_list_is_empty(&u->ready) || !veil_list_is_empty(&u->backlog)
        || !veil_list_is_empty(&u->cancels))
    {
        ms = 0;
    }
    uring_enter(u, true, ms);
    veil_time_update();
    uring_drain(loop, u);
}

const veil_backend_t veil_backend_uring = {
    .name = "io_uring",
    .init = uring_init,
    .explain = uring_explain,
    .done = uring_done,
    .start = uring_start,
    .cancel = uring_cancel,
    .forget = uring_forget,
    .wait = uring_wait,
};
