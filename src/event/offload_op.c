/*
 * offload_op.c -- file ops on threads, for the back ends without a ring.
 *
 * veil_offload_ops() hangs this into loop->offload.  Most calls need no
 * thread: what is in the kernel's caches is asked for first in a way that
 * cannot block (RESOLVE_CACHED, RWF_NOWAIT), and only a refusal costs the way
 * through a thread, some ten microseconds.  A statx has no such form and
 * always takes it, as it does within io_uring.
 *
 * The job is allocated beside the op, which has no room for one.  The op
 * stays in flight, so its memory and its handle's are pinned meanwhile; the
 * thread reads its arguments and writes nothing of it.
 *
 * It does not cancel: a call that is on its way ends, and so does its op.
 */

#include "core/platform.h"

#include <fcntl.h>
#include <linux/openat2.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>

#include "core/assert.h"
#include "core/pool.h"
#include "event/guard.h"
#include "event/offload.h"

typedef struct {
    veil_job_t job;
    veil_op_t *op;
} offload_op_t;

/* Blocks, if need be: the result as of the op. */
static int
offload_op_call(const veil_op_t *op)
{
    int fd = op->handle->fd;
    ssize_t n;

    do {
        switch (op->kind) {
        case VEIL_OP_OPENAT:
            n = openat(op->u.path.dirfd, op->u.path.path, op->u.path.flags,
                       (mode_t) op->u.path.mode);
            break;
        case VEIL_OP_STATX:
            n = statx(op->u.path.dirfd, op->u.path.path, op->u.path.flags,
                      op->u.path.mode, op->u.path.statx);
            break;
        case VEIL_OP_READ:
            n = pread(fd, op->u.mem.data, op->u.mem.len,
                      (off_t) op->u.mem.offset);
            break;
        default:
            n = pwrite(fd, op->u.mem.data, op->u.mem.len,
                       (off_t) op->u.mem.offset);
            break;
        }
    } while (n == -1 && errno == EINTR);
    return n == -1 ? -errno : (int) n;
}

/* Opens what needs no disk; -EAGAIN when that cannot be told. */
static int
offload_op_open(const veil_op_t *op)
{
    struct open_how how = { .flags = (unsigned) op->u.path.flags,
                            .resolve = RESOLVE_CACHED };
    long fd;

    if (op->u.path.flags & (O_CREAT | O_TRUNC)) {
        return -EAGAIN;
    }
    fd = syscall(SYS_openat2, op->u.path.dirfd, op->u.path.path, &how,
                 sizeof(how));
    if (fd >= 0) {
        return (int) fd;
    }
    /* Others may be openat2's own, or a filter's: openat() shall say. */
    return errno == ENOENT || errno == ENOTDIR ? -errno : -EAGAIN;
}

/* What can be had at once; -EAGAIN otherwise. */
static int
offload_op_quick(veil_op_t *op)
{
    struct iovec iov;
    ssize_t n;

    if (op->kind == VEIL_OP_OPENAT) {
        return offload_op_open(op);
    }
    if (op->kind != VEIL_OP_READ) {
        return -EAGAIN;
    }
    iov.iov_base = op->u.mem.data;
    iov.iov_len = op->u.mem.len;
    n = preadv2(op->handle->fd, &iov, 1, (off_t) op->u.mem.offset, RWF_NOWAIT);
    return n >= 0 ? (int) n : -EAGAIN;
}

static void
offload_op_run(veil_job_t *job)
{
    offload_op_t *o = veil_container_of(job, offload_op_t, job);

    job->res = offload_op_call(o->op);
}

static void
offload_op_done(veil_job_t *job)
{
    offload_op_t *o = veil_container_of(job, offload_op_t, job);

    veil_op_finish(o->op, job->res);
    veil_free(o);
}

static bool
offload_op_take(veil_loop_t *loop, veil_op_t *op)
{
    offload_op_t *o;
    int res;

    veil_guard_lift(op); /* we read into it, here or on a thread */
    res = offload_op_quick(op);
    if (res != -EAGAIN) {
        veil_op_finish(op, res);
        return true;
    }
    o = veil_zalloc(sizeof(*o));
    o->op = op;
    o->job.run = offload_op_run;
    o->job.done = offload_op_done;
    veil_offload(loop, NULL, &o->job);
    return true;
}

void
veil_offload_ops(veil_loop_t *loop)
{
    VEIL_CHECK(loop, VEIL_LOOP);
    loop->offload = offload_op_take;
}
