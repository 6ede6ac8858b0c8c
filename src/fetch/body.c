/*
 * body.c -- the body of a request, from a file or standard input.
 *
 * A file is read at an offset of ours, so that several requests can send it.
 * Standard input may be anything.  What can make its reader wait (a pipe, a
 * terminal) has to be non-blocking for the loop, but that is a property of
 * what others have open, too, such as the shell: so it is opened once more.
 * A socket cannot be; it is made non-blocking and put back at the end.
 */

#include "core/platform.h"

#include <fcntl.h>
#include <sys/stat.h>

#include "fetch/body.h"
#include "fetch/output.h"

static void body_done(veil_op_t *op);

/* Standard input as one more descriptor; *lent: see above. */
static int
body_open_stdin(bool *lent)
{
    struct stat st;
    int fd, flags;

    if (fstat(STDIN_FILENO, &st) < 0) {
        return -1;
    }
    if (S_ISFIFO(st.st_mode) || isatty(STDIN_FILENO)) {
        fd = open("/proc/self/fd/0", O_RDONLY | O_NONBLOCK | O_CLOEXEC);
        if (fd >= 0) {
            return fd;
        }
    }
    fd = fcntl(STDIN_FILENO, F_DUPFD_CLOEXEC, 3);
    flags = fd < 0 ? O_NONBLOCK : fcntl(fd, F_GETFL);
    if ((flags & O_NONBLOCK) == 0 && !S_ISREG(st.st_mode)
        && fcntl(fd, F_SETFL, flags | O_NONBLOCK) == 0)
    {
        *lent = true;
    }
    return fd;
}

static int
body_open_fd(const veil_fetch_options_t *o, bool *lent)
{
    *lent = false;
    if (o->data_kind == VEIL_FETCH_STDIN) {
        return body_open_stdin(lent);
    }
    /* A pipe with a name must not stop us here, until somebody writes. */
    return open(o->data.data, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
}

static const char *
body_name(const veil_fetch_options_t *o)
{
    return o->data_kind == VEIL_FETCH_STDIN ? "standard input" : o->data.data;
}

/* What kind of thing it is; -errno when it cannot be read. */
static int
body_look(veil_fetch_body_t *b, int64_t *length)
{
    struct stat st;
    off_t at;

    *length = -1;
    if (fstat(b->fd, &st) < 0) {
        return -errno;
    }
    if (S_ISDIR(st.st_mode)) {
        return -EISDIR;
    }
    if (S_ISREG(st.st_mode)) {
        at = lseek(b->fd, 0, SEEK_CUR);
        b->offset = at > 0 ? (uint64_t) at : 0;
        *length = st.st_size > at ? st.st_size - at : 0;
        b->regular = true;
    }
    return 0;
}

veil_fetch_body_t *
veil_fetch_body_open(veil_loop_t *loop, veil_pool_t *pool,
                     const veil_fetch_options_t *o, int64_t *length)
{
    veil_fetch_body_t *b = VEIL_POOL_NEW(pool, veil_fetch_body_t);
    int err;

    b->fd = body_open_fd(o, &b->lent);
    err = b->fd < 0 ? -errno : body_look(b, length);
    if (err < 0) {
        veil_fetch_say("cannot read \"%s\": %s", body_name(o), strerror(-err));
        if (b->fd >= 0) {
            (void) close(b->fd);
        }
        return NULL;
    }
    b->piece = veil_pool_alloc(pool, VEIL_FETCH_PIECE);
    veil_handle_init(&b->handle, loop, pool, b->fd);
    veil_op_init(&b->op, &b->handle, body_done);
    return b;
}

static void
body_done(veil_op_t *op)
{
    veil_fetch_body_t *b = veil_container_of(op, veil_fetch_body_t, op);
    int n = op->res;

    if (veil_handle_is_closing(&b->handle)) {
        return;
    }
    if (n > 0 && b->regular) {
        b->offset += (uint64_t) n;
    }
    b->got(b, n);
}

void
veil_fetch_body_read(veil_fetch_body_t *b, veil_fetch_piece_fn *got)
{
    b->got = got;
    veil_op_read(&b->op, b->piece, VEIL_FETCH_PIECE,
                 b->regular ? b->offset : UINT64_MAX);
}

static void
body_closed(veil_handle_t *h)
{
    (void) h; /* of the pool, which was pinned until now */
}

void
veil_fetch_body_close(veil_fetch_body_t *b)
{
    if (!veil_handle_is_closing(&b->handle)) {
        if (b->lent) {
            (void) fcntl(b->fd, F_SETFL, fcntl(b->fd, F_GETFL) & ~O_NONBLOCK);
        }
        veil_handle_close(&b->handle, body_closed);
    }
}
