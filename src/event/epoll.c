/*
 * epoll.c -- completion on top of readiness.
 *
 * An op that was started waits in the ready list for the next wait(), which
 * tries it with a plain system call (step.c); what the kernel refuses waits
 * for an event of its descriptor and is tried again then.  Everything that
 * completes does so in epoll_try(), which has unlinked the op before.
 *
 * Descriptors are registered once, for both directions and edge-triggered,
 * when the first op has to wait; with a receive that is at once, as there is
 * rarely something to be had already.  h->backend[0] keeps what the edges
 * said.  A receive that got less than it had room for has emptied the socket,
 * so it does not ask again, unless the peer's end has been announced, of
 * which no second event would tell.  One of TLS records says nothing by being
 * short: it ends where the type of the records changes.
 *
 * Listeners are registered level-triggered and exclusive, only while an
 * accept waits: a worker that does not want clients must not be woken in the
 * place of one that does.
 *
 * Calls on files may block here.  When there are offload threads they are
 * asked; otherwise the call is made in wait().
 */

#include "core/platform.h"

#include <sys/epoll.h>

#include "core/assert.h"
#include "core/pool.h"
#include "core/time.h"
#include "event/backend.h"
#include "event/step.h"
#include "event/uring_buf.h"

#define EPOLL_EVENTS 512
/* Blocks or clients for one op in one turn. */
#define EPOLL_SHOTS 8

/* Bits in h->backend[0]. */
#define EPOLL_REGISTERED 1u
#define EPOLL_LISTENER 2u
#define EPOLL_READABLE 4u
#define EPOLL_ENDED 8u
#define EPOLL_NO_EVENTS 16u /* a regular file: always ready */

/* op->backend: where an op is. */
enum {
    EPOLL_QUEUED, /* in a list by wait: ready or starved */
    EPOLL_RUNNING,
    EPOLL_OFFLOADED,
    EPOLL_WAITS_IN,
    EPOLL_WAITS_OUT,
    EPOLL_WAITS_POLL,
};

typedef struct {
    int fd;
    veil_list_t ready; /* ops by wait */
    int nevents;       /* being worked through */
    struct epoll_event events[EPOLL_EVENTS];
} epoll_t;

static unsigned
epoll_bits(const veil_handle_t *h)
{
    return (unsigned) (uintptr_t) h->backend[0];
}

static void
epoll_set_bits(veil_handle_t *h, unsigned bits)
{
    h->backend[0] = (void *) (uintptr_t) bits;
}

static int
epoll_init(veil_loop_t *loop, const veil_loop_options_t *options)
{
    epoll_t *e = veil_zalloc(sizeof(*e));
    int err;

    (void) options; /* nothing depends on the number of connections */
    e->fd = epoll_create1(EPOLL_CLOEXEC);
    if (e->fd == -1) {
        err = -errno;
        veil_free(e);
        return err;
    }
    veil_list_init(&e->ready);
    loop->backend_data = e;
    return 0;
}

static const char *
epoll_explain(int error)
{
    return error == -EMFILE ? "too many open files" : "epoll_create1() failed";
}

static void
epoll_done(veil_loop_t *loop)
{
    epoll_t *e = loop->backend_data;

    VEIL_ASSERT(veil_list_is_empty(&e->ready));
    (void) close(e->fd); /* nothing is written through it */
    veil_free(e);
    loop->backend_data = NULL;
}

static void
epoll_unregister(veil_loop_t *loop, veil_handle_t *h)
{
    epoll_t *e = loop->backend_data;

    if (epoll_bits(h) & EPOLL_REGISTERED) {
        /* It may be open in other processes too, so close() is not enough. */
        (void) epoll_ctl(e->fd, EPOLL_CTL_DEL, h->fd, NULL);
        epoll_set_bits(h, 0);
    }
}

static void
epoll_forget(veil_loop_t *loop, veil_handle_t *h)
{
    epoll_t *e = loop->backend_data;
    int i;

    epoll_unregister(loop, h);
    /* Released from within a done(): events of it may have been fetched. */
    for (i = 0; i < e->nevents; i++) {
        if (e->events[i].data.ptr == h) {
            e->events[i].data.ptr = NULL;
        }
    }
}

static void
epoll_queue(epoll_t *e, veil_op_t *op)
{
    VEIL_ASSERT(!veil_list_is_linked(&op->wait));
    op->backend = EPOLL_QUEUED;
    veil_list_append(&e->ready, &op->wait);
}

static void
epoll_start(veil_loop_t *loop, veil_op_t *op)
{
    epoll_queue(loop->backend_data, op);
}

static void
epoll_cancel(veil_loop_t *loop, veil_op_t *op)
{
    if (op->backend == EPOLL_RUNNING || op->backend == EPOLL_OFFLOADED) {
        return; /* epoll_try() looks when done() is back; threads end it */
    }
    if (op->kind == VEIL_OP_ACCEPT
        && (epoll_bits(op->handle) & EPOLL_LISTENER)) {
        epoll_unregister(loop, op->handle);
    }
    veil_list_remove(&op->wait);
    op->backend = EPOLL_RUNNING; /* events are no longer for it */
    veil_op_finish(op, -ECANCELED);
}

/* 0, or -errno when there will be no events. */
static int
epoll_register(epoll_t *e, veil_op_t *op)
{
    veil_handle_t *h = op->handle;
    struct epoll_event ev = { .data.ptr = h };
    unsigned bits = EPOLL_REGISTERED;

    ev.events = EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET;
    if (op->kind == VEIL_OP_ACCEPT) {
        ev.events = EPOLLIN | EPOLLEXCLUSIVE;
        bits |= EPOLL_LISTENER;
    }
    if (epoll_ctl(e->fd, EPOLL_CTL_ADD, h->fd, &ev) == -1) {
        return -errno;
    }
    epoll_set_bits(h, bits);
    return 0;
}

/* The end of an op: the only place, with veil_op_finish() in cancel. */
static void
epoll_complete(veil_loop_t *loop, veil_op_t *op, int res)
{
    if (op->kind == VEIL_OP_ACCEPT
        && (epoll_bits(op->handle) & EPOLL_LISTENER)) {
        epoll_unregister(loop, op->handle);
    }
    veil_op_complete(op, res, false);
}

/* Lets the op wait for an event of its descriptor. */
static void
epoll_await(veil_loop_t *loop, veil_op_t *op, unsigned where)
{
    veil_handle_t *h = op->handle;
    unsigned bits = epoll_bits(h);
    int r;

    if (where == EPOLL_WAITS_IN) {
        epoll_set_bits(h, bits & ~EPOLL_READABLE);
    }
    op->backend = (uint8_t) where;
    if (bits & EPOLL_REGISTERED) {
        return;
    }
    r = epoll_register(loop->backend_data, op);
    if (r == -EPERM) {
        /* No poll support: the call is the only way to learn anything. */
        epoll_set_bits(h, EPOLL_NO_EVENTS);
        epoll_queue(loop->backend_data, op);
    } else if (r < 0) {
        epoll_complete(loop, op, r);
    }
}

/* Whether a call can be spared because it would only say EAGAIN. */
static bool
epoll_is_hopeless(const veil_op_t *op)
{
    unsigned bits = epoll_bits(op->handle);

    switch (op->kind) {
    case VEIL_OP_RECV:
    case VEIL_OP_RECV_RECORDS:
        return (bits & (EPOLL_READABLE | EPOLL_NO_EVENTS)) == 0;
    case VEIL_OP_ACCEPT:
        return (bits & (EPOLL_REGISTERED | EPOLL_NO_EVENTS)) == 0;
    default:
        return false;
    }
}

static bool
epoll_offload(veil_loop_t *loop, veil_op_t *op)
{
    if (loop->offload == NULL) {
        return false;
    }
    switch (op->kind) {
    case VEIL_OP_OPENAT:
    case VEIL_OP_STATX:
        break;
    case VEIL_OP_READ:
    case VEIL_OP_WRITE:
        if (op->u.mem.offset == UINT64_MAX) {
            return false; /* a pipe or the like */
        }
        break;
    default:
        return false;
    }
    op->backend = EPOLL_OFFLOADED;
    if (loop->offload(loop, op)) {
        return true;
    }
    op->backend = EPOLL_RUNNING;
    return false;
}

/* After a multishot's done(): whether the op still is to be tried. */
static bool
epoll_goes_on(veil_loop_t *loop, veil_op_t *op, int res)
{
    unsigned bits = epoll_bits(op->handle);

    if (op->cancel) {
        epoll_complete(loop, op, -ECANCELED);
        return false;
    }
    if (op->kind == VEIL_OP_RECV
        && (size_t) res < veil_rxpool_block_size(loop->rx)
        && (bits & EPOLL_ENDED) == 0)
    {
        epoll_await(loop, op, EPOLL_WAITS_IN);
        return false;
    }
    return true;
}

/* Tries the op, which is in no list, and does what follows. */
static void
epoll_try(veil_loop_t *loop, veil_op_t *op)
{
    epoll_t *e = loop->backend_data;
    int shots, res;

    op->state = VEIL_OP_INFLIGHT;
    op->backend = EPOLL_RUNNING;
    if (epoll_is_hopeless(op)) {
        epoll_await(loop, op, EPOLL_WAITS_IN);
        return;
    }
    if (epoll_offload(loop, op)) {
        return;
    }
    for (shots = 0; shots < EPOLL_SHOTS; shots++) {
        switch (veil_step(op, SIZE_MAX, &res)) {
        case VEIL_STEP_DONE:
            epoll_complete(loop, op, res);
            return;
        case VEIL_STEP_MORE:
            op->moved_ms = (uint32_t) veil_now_ms();
            veil_op_complete(op, res, true);
            if (!epoll_goes_on(loop, op, res)) {
                return;
            }
            break;
        case VEIL_STEP_IN:
            epoll_await(loop, op, EPOLL_WAITS_IN);
            return;
        case VEIL_STEP_OUT:
            epoll_await(loop, op, EPOLL_WAITS_OUT);
            return;
        case VEIL_STEP_POLL:
            epoll_await(loop, op, EPOLL_WAITS_POLL);
            return;
        case VEIL_STEP_STARVED:
            op->backend = EPOLL_QUEUED;
            veil_rxpool_starve(loop->rx, op);
            return;
        case VEIL_STEP_AGAIN:
            break;
        }
    }
    epoll_queue(e, op);
}

/* Tries the ops of a list until it is empty; done() may take some out. */
static void
epoll_run(veil_loop_t *loop, veil_list_t *list)
{
    veil_list_t *n;

    while ((n = veil_list_pop(list)) != NULL) {
        epoll_try(loop, veil_list_entry(n, veil_op_t, wait));
    }
}

static bool
epoll_is_for(const veil_op_t *op, unsigned events)
{
    switch (op->backend) {
    case EPOLL_WAITS_IN:
        return events & (EPOLLIN | EPOLLRDHUP | EPOLLHUP | EPOLLERR);
    case EPOLL_WAITS_OUT:
        return events & (EPOLLOUT | EPOLLHUP | EPOLLERR);
    case EPOLL_WAITS_POLL:
        return true;
    default:
        return false;
    }
}

static void
epoll_event(veil_handle_t *h, unsigned events, veil_list_t *list)
{
    unsigned bits;
    veil_op_t *op;
    veil_list_t *n;

    VEIL_CHECK(h, VEIL_HANDLE);
    bits = epoll_bits(h);
    if (events & (EPOLLIN | EPOLLRDHUP | EPOLLHUP | EPOLLERR)) {
        bits |= EPOLL_READABLE;
    }
    if (events & (EPOLLRDHUP | EPOLLHUP | EPOLLERR)) {
        bits |= EPOLL_ENDED;
    }
    epoll_set_bits(h, bits);
    veil_list_foreach (n, &h->ops) {
        op = veil_list_entry(n, veil_op_t, link);
        if (epoll_is_for(op, events)) {
            VEIL_ASSERT(!veil_list_is_linked(&op->wait));
            op->backend = EPOLL_QUEUED;
            veil_list_append(list, &op->wait);
        }
    }
}

/* As many starved ops as there are blocks are tried again. */
static void
epoll_feed(veil_loop_t *loop, epoll_t *e)
{
    unsigned n = veil_rxpool_free(loop->rx);
    veil_op_t *op;

    while (n-- > 0 && (op = veil_rxpool_next_starved(loop->rx)) != NULL) {
        epoll_queue(e, op);
    }
}

static void
epoll_wait_turn(veil_loop_t *loop, int msec)
{
    epoll_t *e = loop->backend_data;
    veil_list_t list;
    int i, n;

    veil_list_init(&list);
    epoll_feed(loop, e);
    veil_list_splice(&list, &e->ready);
    epoll_run(loop, &list);
    msec = veil_list_is_empty(&e->ready) ? veil_loop_timeout(loop, msec) : 0;
    n = epoll_wait(e->fd, e->events, EPOLL_EVENTS, msec);
    if (n == -1) {
        VEIL_ASSERT(errno == EINTR);
        n = 0;
    }
    veil_time_update();
    e->nevents = n;
    for (i = 0; i < n; i++) {
        if (e->events[i].data.ptr != NULL) {
            epoll_event(e->events[i].data.ptr, e->events[i].events, &list);
            epoll_run(loop, &list);
        }
    }
    e->nevents = 0;
}

const veil_backend_t veil_backend_epoll = {
    .name = "epoll",
    .init = epoll_init,
    .explain = epoll_explain,
    .done = epoll_done,
    .start = epoll_start,
    .cancel = epoll_cancel,
    .forget = epoll_forget,
    .wait = epoll_wait_turn,
};
