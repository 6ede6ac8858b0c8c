/*
 * op.c -- the life of operations and handles.
 *
 * The back ends know how to wait; what an op may do and when is decided here,
 * once for all of them.  An op becomes busy in op_start() and idle in
 * veil_op_complete(), and every rule of op.h that can be checked is checked
 * in one of the two.
 *
 * A handle pins its pool from the first op that becomes busy to the last that
 * becomes idle, and while it is closing.  A closing handle moves to
 * loop->closing with its last completion and is closed at the end of that
 * turn, so closed() runs when no one else is on the stack.
 *
 * loop->finished holds ops whose result is known before any kernel saw them
 * (cancelled while they waited) or that ended elsewhere (offload).  They
 * complete at the beginning of the next turn, as rule 2 wants.
 */

#include "core/platform.h"

#include <fcntl.h>
#include <sys/stat.h>

#include "core/assert.h"
#include "core/pool.h"
#include "core/time.h"
#include "event/backend.h"
#include "event/guard.h"
#include "event/loop.h"

/* The op whose done() runs: for the panic report. */
static const veil_op_t *op_current_op;

static const char *const op_kind_names[VEIL_OP_KINDS] = {
    [VEIL_OP_NONE] = "none",
    [VEIL_OP_ACCEPT] = "accept",
    [VEIL_OP_RECV] = "recv",
    [VEIL_OP_RECV_EXACT] = "recv_exact",
    [VEIL_OP_RECV_RECORDS] = "recv_records",
    [VEIL_OP_SEND] = "send",
    [VEIL_OP_SENDV] = "sendv",
    [VEIL_OP_SENDFILE] = "sendfile",
    [VEIL_OP_SENDMSG] = "sendmsg",
    [VEIL_OP_RECVMSG] = "recvmsg",
    [VEIL_OP_CONNECT] = "connect",
    [VEIL_OP_POLL] = "poll",
    [VEIL_OP_READ] = "read",
    [VEIL_OP_WRITE] = "write",
    [VEIL_OP_OPENAT] = "openat",
    [VEIL_OP_STATX] = "statx",
    [VEIL_OP_SPLICE] = "splice",
};

const char *
veil_op_kind_name(unsigned kind)
{
    return kind < VEIL_OP_KINDS ? op_kind_names[kind] : "unknown";
}

static size_t
op_describe(const veil_op_t *op, char *buf, size_t n)
{
    static const char *const states[] = { "idle", "queued", "in flight" };
    int len;

    len = snprintf(
        buf, n, "%s on descriptor %d: %s%s%s, pool \"%s\"",
        veil_op_kind_name(op->kind), op->handle->fd,
        op->state < veil_countof(states) ? states[op->state] : "?",
        op->cancel ? ", cancelled" : "",
        op->handle->closed != NULL ? ", closing" : "",
        op->handle->pool == NULL ? "none" : veil_pool_name(op->handle->pool));
    if (len < 0) {
        return 0;
    }
    return (size_t) len < n ? (size_t) len : n - 1;
}

size_t
veil_op_panic_print(char *buf, size_t n)
{
    const veil_op_t *op = op_current_op;

    if (op == NULL || op->magic != VEIL_OP_MAGIC || op->handle == NULL
        || op->handle->magic != VEIL_HANDLE_MAGIC)
    {
        return 0;
    }
    return op_describe(op, buf, n);
}

unsigned
veil_loop_report(const veil_loop_t *loop, veil_pool_report_fn *print,
                 void *data)
{
    const veil_handle_t *h;
    const veil_op_t *op;
    veil_list_t *i, *j;
    unsigned n = 0;
    char line[160];

    veil_list_foreach (i, &loop->handles) {
        h = veil_list_entry(i, veil_handle_t, link);
        veil_list_foreach (j, &h->ops) {
            op = veil_list_entry(j, veil_op_t, link);
            (void) op_describe(op, line, sizeof(line));
            print(data, line);
            n++;
        }
    }
    return n;
}

/* -- handles */

/* What a back end may call without being held up; for debug builds. */
static VEIL_UNUSED bool
op_may_wait(int fd)
{
    struct stat st;

    if (fd < 0 || fstat(fd, &st) == -1
        || !(S_ISSOCK(st.st_mode) || S_ISFIFO(st.st_mode)))
    {
        return true;
    }
    return fcntl(fd, F_GETFL) & O_NONBLOCK;
}

void
veil_handle_init(veil_handle_t *h, veil_loop_t *loop, veil_pool_t *pool,
                 int fd)
{
    VEIL_CHECK(loop, VEIL_LOOP);
    VEIL_DCHECK(op_may_wait(fd));
    memset(h, 0, sizeof(*h));
    h->magic = VEIL_HANDLE_MAGIC;
    h->fd = fd;
    h->loop = loop;
    h->pool = pool;
    veil_list_init(&h->ops);
    veil_list_init(&h->link);
    veil_list_append(&loop->handles, &h->link);
    loop->nhandles++;
}

void
veil_handle_close(veil_handle_t *h, veil_closed_fn *closed)
{
    veil_list_t *n, *tmp;

    VEIL_CHECK(h, VEIL_HANDLE);
    VEIL_ASSERT(closed != NULL);
    VEIL_ASSERT(h->closed == NULL); /* closed twice */
    h->closed = closed;
    if (veil_list_is_empty(&h->ops)) {
        if (h->pool != NULL) {
            veil_pool_pin(h->pool, &h->pin, "handle being closed");
        }
        veil_list_remove(&h->link);
        veil_list_append(&h->loop->closing, &h->link);
        return;
    }
    veil_list_foreach_safe (n, tmp, &h->ops) {
        veil_op_cancel(veil_list_entry(n, veil_op_t, link));
    }
}

int
veil_handle_detach(veil_handle_t *h)
{
    int fd = h->fd;

    VEIL_ASSERT(veil_list_is_empty(&h->ops));
    h->loop->backend->forget(h->loop, h);
    veil_list_remove(&h->link);
    h->loop->nhandles--;
    h->fd = -1;
    h->magic = VEIL_MAGIC_DEAD;
    return fd;
}

int
veil_handle_release(veil_handle_t *h)
{
    VEIL_CHECK(h, VEIL_HANDLE);
    VEIL_ASSERT(h->closed == NULL);
    return veil_handle_detach(h);
}

/* -- the life of an op */

void
veil_op_init(veil_op_t *op, veil_handle_t *h, veil_op_fn *done)
{
    memset(op, 0, sizeof(*op));
    op->magic = VEIL_OP_MAGIC;
    op->done = done;
    op->handle = h;
    veil_list_init(&op->link);
    veil_list_init(&op->wait);
}

/* Whether it occupies the handle's stream in one direction. */
static unsigned
op_direction(unsigned kind)
{
    switch (kind) {
    case VEIL_OP_RECV:
    case VEIL_OP_RECV_EXACT:
    case VEIL_OP_RECV_RECORDS:
        return 1;
    case VEIL_OP_SEND:
    case VEIL_OP_SENDV:
    case VEIL_OP_SENDFILE:
        return 2;
    default:
        return 0;
    }
}

/* Two sends at a time would mix their bytes. */
static bool
op_is_alone(const veil_handle_t *h, unsigned kind)
{
    unsigned direction = op_direction(kind);
    veil_list_t *n;

    if (direction == 0) {
        return true;
    }
    veil_list_foreach (n, &h->ops) {
        if (op_direction(veil_list_entry(n, veil_op_t, link)->kind)
            == direction) {
            return false;
        }
    }
    return true;
}

/* Before the arguments are written: a busy op's are not ours. */
static void
op_prepare(veil_op_t *op, veil_op_kind_t kind)
{
    VEIL_CHECK(op, VEIL_OP);
    VEIL_CHECK(op->handle, VEIL_HANDLE);
    VEIL_ASSERT(op->state == VEIL_OP_IDLE);  /* started twice */
    VEIL_ASSERT(op->handle->closed == NULL); /* started while closing */
    VEIL_ASSERT(op_is_alone(op->handle, kind));
    op->kind = (uint8_t) kind;
}

static void
op_start(veil_op_t *op)
{
    veil_handle_t *h = op->handle;
    veil_loop_t *loop = h->loop;

    op->state = VEIL_OP_QUEUED;
    op->cancel = false;
    op->timed_out = false;
    op->more = false;
    op->backend = 0;
    op->res = 0;
    op->moved_ms = (uint32_t) veil_now_ms();
    if (h->pool != NULL && veil_list_is_empty(&h->ops)) {
        veil_pool_pin(h->pool, &h->pin, "operation in flight");
    }
    veil_list_append(&h->ops, &op->link);
    loop->nops++;
    veil_guard_start(op);
    loop->backend->start(loop, op);
}

void
veil_op_complete(veil_op_t *op, int res, bool more)
{
    veil_handle_t *h = op->handle;
    veil_loop_t *loop = h->loop;

    VEIL_CHECK(op, VEIL_OP);
    VEIL_CHECK(h, VEIL_HANDLE);
    VEIL_ASSERT(op->state == VEIL_OP_INFLIGHT);
    VEIL_ASSERT(loop->dispatching);
    VEIL_ASSERT(!loop->in_done); /* rule 2 of op.h */

    if (res == -ECANCELED && op->timed_out) {
        res = -ETIMEDOUT;
    }
    if (res <= 0 && veil_op_takes_blocks(op)) {
        op->u.buf = (veil_buf_t){ 0 };
    }
    op->res = res;
    op->more = more;
    if (!more) {
        VEIL_ASSERT(!veil_list_is_linked(&op->wait));
        veil_guard_end(op);
        op->state = VEIL_OP_IDLE;
        veil_list_remove(&op->link);
        loop->nops--;
        if (veil_list_is_empty(&h->ops)) {
            if (h->closed != NULL) {
                /* The pin stays until the handle is closed. */
                veil_list_remove(&h->link);
                veil_list_append(&loop->closing, &h->link);
            } else if (h->pool != NULL) {
                veil_pool_unpin(&h->pin);
            }
        }
    }
    op_current_op = op;
    loop->in_done = true;
    op->done(op);
    loop->in_done = false;
    op_current_op = NULL;
}

void
veil_op_finish(veil_op_t *op, int res)
{
    VEIL_CHECK(op, VEIL_OP);
    VEIL_ASSERT(op->state != VEIL_OP_IDLE);
    VEIL_ASSERT(!veil_list_is_linked(&op->wait));
    op->res = res;
    veil_list_append(&op->handle->loop->finished, &op->wait);
}

static bool
op_advance_vec(veil_op_t *op, size_t n)
{
    struct iovec *iov = op->u.vec.iov;
    unsigned niov = op->u.vec.niov;

    op->u.vec.nbytes += n;
    while (niov > 0 && n >= iov->iov_len) {
        n -= iov->iov_len;
        iov++;
        niov--;
    }
    VEIL_ASSERT(n == 0 || niov > 0);
    if (n > 0) {
        iov->iov_base = (char *) iov->iov_base + n;
        iov->iov_len -= n;
    }
    op->u.vec.iov = iov;
    op->u.vec.niov = niov;
    return niov == 0;
}

bool
veil_op_advance(veil_op_t *op, size_t n)
{
    veil_guard_advance(op, n);
    op->moved_ms = (uint32_t) veil_now_ms();
    switch (op->kind) {
    case VEIL_OP_SENDV:
        return op_advance_vec(op, n);
    case VEIL_OP_SENDFILE:
        op->u.file.nbytes += n;
        op->u.file.offset += n;
        VEIL_ASSERT(op->u.file.nbytes <= op->u.file.len);
        return op->u.file.nbytes == op->u.file.len;
    default:
        op->u.mem.nbytes += n;
        VEIL_ASSERT(op->u.mem.nbytes <= op->u.mem.len);
        return op->u.mem.nbytes == op->u.mem.len;
    }
}

void
veil_op_cancel(veil_op_t *op)
{
    VEIL_CHECK(op, VEIL_OP);
    if (op->state == VEIL_OP_IDLE || op->cancel) {
        return;
    }
    op->cancel = true;
    op->handle->loop->backend->cancel(op->handle->loop, op);
}

void
veil_op_time_out(veil_op_t *op)
{
    VEIL_CHECK(op, VEIL_OP);
    if (op->state == VEIL_OP_IDLE || op->cancel) {
        return;
    }
    op->timed_out = true;
    veil_op_cancel(op);
}

/* -- one function a kind */

void
veil_op_accept(veil_op_t *op)
{
    op_prepare(op, VEIL_OP_ACCEPT);
    op_start(op);
}

void
veil_op_recv(veil_op_t *op)
{
    op_prepare(op, VEIL_OP_RECV);
    op->u.buf = (veil_buf_t){ 0 };
    op_start(op);
}

void
veil_op_recv_records(veil_op_t *op)
{
    op_prepare(op, VEIL_OP_RECV_RECORDS);
    op->u.record.buf = (veil_buf_t){ 0 };
    op->u.record.type = 0;
    op_start(op);
}

static void
op_start_mem(veil_op_t *op, veil_op_kind_t kind, const void *data, size_t len,
             uint64_t offset)
{
    VEIL_ASSERT(len > 0 && len <= INT32_MAX);
    op_prepare(op, kind);
    /* One union member for both directions; a send's is only read. */
    op->u.mem.data = (unsigned char *) (uintptr_t) data;
    op->u.mem.len = len;
    op->u.mem.nbytes = 0;
    op->u.mem.offset = offset;
    op_start(op);
}

void
veil_op_recv_exact(veil_op_t *op, void *data, size_t len)
{
    op_start_mem(op, VEIL_OP_RECV_EXACT, data, len, 0);
}

void
veil_op_send(veil_op_t *op, const void *data, size_t len)
{
    op_start_mem(op, VEIL_OP_SEND, data, len, 0);
}

void
veil_op_read(veil_op_t *op, void *data, size_t len, uint64_t offset)
{
    op_start_mem(op, VEIL_OP_READ, data, len, offset);
}

void
veil_op_write(veil_op_t *op, const void *data, size_t len, uint64_t offset)
{
    op_start_mem(op, VEIL_OP_WRITE, data, len, offset);
}

void
veil_op_sendv(veil_op_t *op, struct iovec *iov, unsigned niov)
{
    op_prepare(op, VEIL_OP_SENDV);
    /* Nothing at its front is empty, so the rest never is either. */
    while (niov > 0 && iov->iov_len == 0) {
        iov++;
        niov--;
    }
    VEIL_ASSERT(niov > 0 && niov <= 1024);
    op->u.vec.iov = iov;
    op->u.vec.niov = niov;
    op->u.vec.nbytes = 0;
    op_start(op);
}

static void
op_start_file(veil_op_t *op, veil_op_kind_t kind, int fd, uint64_t offset,
              size_t len, unsigned flags)
{
    VEIL_ASSERT(len > 0 && len <= INT32_MAX);
    op_prepare(op, kind);
    op->u.file.fd = fd;
    op->u.file.flags = flags;
    op->u.file.len = len;
    op->u.file.nbytes = 0;
    op->u.file.offset = offset;
    op_start(op);
}

void
veil_op_sendfile(veil_op_t *op, int fd, uint64_t offset, size_t len)
{
    op_start_file(op, VEIL_OP_SENDFILE, fd, offset, len, 0);
}

void
veil_op_splice(veil_op_t *op, int fd, size_t len, unsigned flags)
{
    op_start_file(op, VEIL_OP_SPLICE, fd, 0, len, flags);
}

static void
op_start_msg(veil_op_t *op, veil_op_kind_t kind, struct msghdr *msg, int flags)
{
    op_prepare(op, kind);
    op->u.msg.msg = msg;
    op->u.msg.flags = flags;
    op_start(op);
}

void
veil_op_sendmsg(veil_op_t *op, struct msghdr *msg, int flags)
{
    op_start_msg(op, VEIL_OP_SENDMSG, msg, flags | MSG_NOSIGNAL);
}

void
veil_op_recvmsg(veil_op_t *op, struct msghdr *msg, int flags)
{
    op_start_msg(op, VEIL_OP_RECVMSG, msg, flags);
}

void
veil_op_connect(veil_op_t *op, const struct sockaddr *addr, socklen_t len)
{
    op_prepare(op, VEIL_OP_CONNECT);
    op->u.addr.addr = addr;
    op->u.addr.len = len;
    op_start(op);
}

void
veil_op_poll(veil_op_t *op, unsigned events)
{
    op_prepare(op, VEIL_OP_POLL);
    op->u.poll.events = events;
    op_start(op);
}

static void
op_start_path(veil_op_t *op, veil_op_kind_t kind, int dirfd, const char *path,
              int flags, unsigned mode, void *stx)
{
    op_prepare(op, kind);
    op->u.path.dirfd = dirfd;
    op->u.path.path = path;
    op->u.path.flags = flags;
    op->u.path.mode = mode;
    op->u.path.statx = stx;
    op_start(op);
}

void
veil_op_openat(veil_op_t *op, int dirfd, const char *path, int flags,
               unsigned mode)
{
    op_start_path(op, VEIL_OP_OPENAT, dirfd, path, flags, mode, NULL);
}

void
veil_op_statx(veil_op_t *op, int dirfd, const char *path, int flags,
              unsigned mask, void *stx)
{
    op_start_path(op, VEIL_OP_STATX, dirfd, path, flags, mask, stx);
}
