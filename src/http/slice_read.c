/*
 * slice_read.c -- a body whose file ranges arrive as memory.
 *
 * TLS, HTTP/2 and the compressors need bytes, not descriptors.  This stands
 * between them and a body that hands out ranges of files: memory passes
 * through as it is, a range is read into one buffer, as much as fits.  What
 * the page cache holds is read at once, which is the usual case and costs one
 * system call; otherwise the loop reads and the reader waits.
 *
 * A range becomes as many bytes as it had, so consuming is passed on as it
 * comes.  The buffer is filled from the front and used again when all of it
 * is consumed; a reader that wants more before that waits for its own
 * consume(), so the buffer bounds what one response holds in memory.
 *
 * A reader with memory of its own takes the bytes there (HTTP/2: a frame).
 * Then the buffer is not even made, unless the loop has to read.
 *
 * While a read is under way the file must stay open: abort() then waits for
 * the read's end before it goes down.  The pool is pinned as long.
 */

#include "core/platform.h"

#include <sys/uio.h>

#include "core/assert.h"
#include "event/loop.h"
#include "http/body.h"

#define SLICE_READ_AHEAD 4 /* slices pulled from below at once */
#define SLICE_READ_BUFFER 32768
#define SLICE_READ_TAKE 8 /* slices taken at once */

typedef struct {
    veil_http_body_t body;
    veil_pool_t *pool;
    veil_loop_t *loop;
    veil_slice_t v[SLICE_READ_AHEAD]; /* from below, v[i] .. v[n - 1] */
    unsigned i, n;
    unsigned char *buf; /* NULL until a file range comes */
    size_t size;
    size_t used;         /* of buf: handed out, or read and not handed out */
    size_t got;          /* of used: read by the loop, not handed out */
    size_t outstanding;  /* handed out of any memory and not consumed */
    unsigned char *into; /* where a reader takes to, else NULL */
    veil_handle_t handle;
    veil_op_t op;
    veil_post_t post;
    bool below_ended;
    bool failed;
    bool reading;    /* the op is under way */
    bool wants_room; /* consuming all is what the next pull waits for */
    bool told_later; /* the reader waits for ready() */
    bool aborted;
} slice_read_t;

static veil_body_rc_t slice_read_pull(veil_http_body_t *b, veil_slice_t *v,
                                      unsigned *n, size_t max);
static void slice_read_consume(veil_http_body_t *b, size_t bytes);
static void slice_read_abort(veil_http_body_t *b);

static const veil_http_body_ops_t slice_read_ops = {
    .name = "file to memory",
    .pull = slice_read_pull,
    .consume = slice_read_consume,
    .abort = slice_read_abort,
};

static void
slice_read_wake(slice_read_t *s)
{
    if (s->told_later) {
        s->told_later = false;
        veil_http_body_is_ready(&s->body);
    }
}

/* --- reading through the loop ---------------------------------------------
 */

static void
slice_read_done(veil_op_t *op)
{
    slice_read_t *s = veil_container_of(op, slice_read_t, op);

    /* The descriptor is not ours to close. */
    (void) veil_handle_release(&s->handle);
    s->reading = false;

    if (s->aborted) {
        veil_http_body_abort(s->body.below);
        return;
    }
    if (op->res > 0) {
        s->got = (size_t) op->res;
        s->used += s->got;
    } else {
        s->failed = true; /* unreadable, or shorter than it was */
    }
    slice_read_wake(s);
}

static void
slice_read_start(slice_read_t *s, const veil_slice_t *file, size_t len)
{
    s->reading = true;
    veil_handle_init(&s->handle, s->loop, s->pool, file->fd);
    veil_op_init(&s->op, &s->handle, slice_read_done);
    veil_op_read(&s->op, s->buf + s->used, len, file->offset);
}

/* Reads what is in memory already; -EAGAIN: the disk would be needed. */
static ssize_t
slice_read_now(const veil_slice_t *file, unsigned char *buf, size_t len)
{
    struct iovec iov = { .iov_base = buf, .iov_len = len };
    ssize_t n;

    n = preadv2(file->fd, &iov, 1, (off_t) file->offset, RWF_NOWAIT);
    if (n < 0) {
        /* A file system that cannot tell is asked through the loop. */
        return errno == EOPNOTSUPP || errno == EINTR ? -EAGAIN : -errno;
    }
    return n;
}

/* --- pulling ---------------------------------------------------------------
 */

typedef enum {
    SLICE_GIVEN, /* a slice was put there */
    SLICE_WAIT,  /* the loop reads, or room is needed */
    SLICE_FAILED
} slice_given_t;

/* So much of the file is handed out. */
static void
slice_read_given(slice_read_t *s, size_t len)
{
    veil_slice_t *file = &s->v[s->i];

    file->offset += len;
    file->len -= len;
    if (file->len == 0) {
        s->i++;
    }
    s->outstanding += len;
    if (s->into != NULL) {
        s->into += len;
    }
}

/* Hands out len bytes of the buffer, from at on. */
static slice_given_t
slice_read_give(slice_read_t *s, veil_slice_t *v, size_t at, size_t len)
{
    *v = veil_slice_mem(s->buf + at, len);
    slice_read_given(s, len);
    return SLICE_GIVEN;
}

/* Whatever can be read at once is, to the reader's memory. */
static ssize_t
slice_read_into(slice_read_t *s, veil_slice_t *v, size_t max)
{
    veil_slice_t *file = &s->v[s->i];
    ssize_t n;

    n = slice_read_now(file, s->into, veil_min_size(file->len, max));
    if (n > 0) {
        *v = veil_slice_mem(s->into, (size_t) n);
        slice_read_given(s, (size_t) n);
    }
    return n;
}

static slice_given_t
slice_read_file(slice_read_t *s, veil_slice_t *v, size_t max)
{
    veil_slice_t *file = &s->v[s->i];
    size_t len;
    ssize_t n;

    if (s->got != 0) {
        len = veil_min_size(s->got, max);
        s->got -= len;
        return slice_read_give(s, v, s->used - s->got - len, len);
    }
    n = s->into != NULL ? slice_read_into(s, v, max) : -EAGAIN;
    if (n > 0) {
        return SLICE_GIVEN;
    }
    if (s->buf == NULL) {
        s->buf = veil_pool_alloc(s->pool, s->size);
    }
    if (s->used == s->size) {
        s->wants_room = true;
        return SLICE_WAIT;
    }

    len = veil_min_size(veil_min_size(s->size - s->used, file->len), max);
    if (s->into == NULL) {
        n = slice_read_now(file, s->buf + s->used, len);
    }
    if (n == -EAGAIN) {
        slice_read_start(s, file, len);
        return SLICE_WAIT;
    }
    if (n <= 0) {
        s->failed = true;
        return SLICE_FAILED;
    }
    s->used += (size_t) n;
    return slice_read_give(s, v, s->used - (size_t) n, (size_t) n);
}

/* The next slice of what came from below. */
static slice_given_t
slice_read_next(slice_read_t *s, veil_slice_t *v, size_t max)
{
    veil_slice_t *next = &s->v[s->i];

    if (next->data == NULL) {
        return slice_read_file(s, v, max);
    }
    *v = veil_slice_mem(next->data, veil_min_size(next->len, max));
    next->data += v->len;
    next->len -= v->len;
    if (next->len == 0) {
        s->i++;
    }
    s->outstanding += v->len;
    if (s->into != NULL) {
        s->into += v->len;
    }
    return SLICE_GIVEN;
}

static veil_body_rc_t
slice_read_below(slice_read_t *s, size_t max)
{
    veil_http_body_t *below = s->body.below;
    veil_body_rc_t rc;

    s->i = 0;
    s->n = SLICE_READ_AHEAD;
    rc = veil_http_body_pull(below, s->v, &s->n, max);
    switch (rc) {
    case VEIL_BODY_DATA:
        break;
    case VEIL_BODY_END:
        s->below_ended = true;
        s->body.trailers = below->trailers;
        break;
    case VEIL_BODY_LATER:
        s->n = 0;
        s->body.flush = below->flush;
        break;
    case VEIL_BODY_FAILED:
        s->n = 0;
        s->failed = true;
        s->body.error = below->error;
        break;
    }
    return rc;
}

static veil_body_rc_t
slice_read_later(slice_read_t *s)
{
    s->told_later = true;
    return VEIL_BODY_LATER;
}

static veil_body_rc_t
slice_read_pull(veil_http_body_t *b, veil_slice_t *v, unsigned *n, size_t max)
{
    slice_read_t *s = veil_container_of(b, slice_read_t, body);
    unsigned room = *n, used = 0;

    *n = 0;
    if (s->reading) {
        return slice_read_later(s);
    }
    if (s->i == s->n && !s->below_ended && !s->failed
        && slice_read_below(s, max) == VEIL_BODY_LATER)
    {
        return slice_read_later(s);
    }

    while (!s->failed && s->i < s->n && used < room && max != 0
           && slice_read_next(s, &v[used], max) == SLICE_GIVEN)
    {
        max -= v[used++].len;
    }
    *n = used;

    if (used != 0) {
        /* What waits, waits for the next pull; a read goes on meanwhile. */
        s->wants_room = false;
        return s->below_ended && s->i == s->n ? VEIL_BODY_END : VEIL_BODY_DATA;
    }
    if (s->failed) {
        return VEIL_BODY_FAILED;
    }
    return s->below_ended && s->i == s->n ? VEIL_BODY_END
                                          : slice_read_later(s);
}

/* --- the rest --------------------------------------------------------------
 */

static void
slice_read_below_ready(void *reader)
{
    slice_read_t *s = reader;

    slice_read_wake(s);
}

static void
slice_read_has_room(veil_post_t *post)
{
    slice_read_t *s = veil_container_of(post, slice_read_t, post);

    slice_read_wake(s);
}

static void
slice_read_consume(veil_http_body_t *b, size_t bytes)
{
    slice_read_t *s = veil_container_of(b, slice_read_t, body);

    VEIL_ASSERT(bytes <= s->outstanding);
    s->outstanding -= bytes;
    veil_http_body_consume(b->below, bytes);

    if (s->outstanding == 0 && s->got == 0 && !s->reading) {
        s->used = 0;
        if (s->wants_room) {
            s->wants_room = false;
            veil_post(s->loop, &s->post);
        }
    }
}

static void
slice_read_abort(veil_http_body_t *b)
{
    slice_read_t *s = veil_container_of(b, slice_read_t, body);

    if (s->aborted) {
        return;
    }
    s->aborted = true;
    s->body.ready = NULL;
    veil_post_cancel(&s->post);
    if (s->reading) {
        veil_op_cancel(&s->op); /* its end goes on */
    } else {
        veil_http_body_abort(b->below);
    }
}

static const slice_read_t *
slice_read_of(const veil_http_body_t *b)
{
    if (b == NULL || b->ops != &slice_read_ops) {
        return NULL;
    }
    return (const slice_read_t *) ((uintptr_t) b
                                   - offsetof(slice_read_t, body));
}

veil_body_rc_t
veil_http_body_take(veil_http_body_t *b, unsigned char *to, size_t *len)
{
    slice_read_t *s = b->ops == &slice_read_ops
                          ? veil_container_of(b, slice_read_t, body)
                          : NULL;
    veil_slice_t v[SLICE_READ_TAKE];
    unsigned i, n = SLICE_READ_TAKE;
    size_t taken = 0;
    veil_body_rc_t rc;

    if (s != NULL) {
        s->into = to;
    }
    rc = veil_http_body_pull(b, v, &n, *len);
    if (s != NULL) {
        s->into = NULL;
    }
    *len = 0;
    if (rc != VEIL_BODY_DATA && rc != VEIL_BODY_END) {
        return rc;
    }
    for (i = 0; i < n; i++) {
        VEIL_ASSERT(v[i].data != NULL);
        if (v[i].data != to + taken) {
            memcpy(to + taken, v[i].data, v[i].len);
        }
        taken += v[i].len;
    }
    if (taken != 0) {
        veil_http_body_consume(b, taken);
    }
    *len = taken;
    return rc;
}

veil_http_body_t *
veil_http_body_wrapped(const veil_http_body_t *b)
{
    const slice_read_t *s = slice_read_of(b);

    return s == NULL || s->n != 0 || s->below_ended ? NULL : b->below;
}

veil_http_body_t *
veil_http_body_wrap_like(veil_http_body_t *b, const veil_http_body_t *like)
{
    const slice_read_t *s = slice_read_of(like);

    return s == NULL ? b
                     : veil_http_body_to_memory(s->pool, s->loop, b, s->size);
}

veil_http_body_t *
veil_http_body_to_memory(veil_pool_t *pool, veil_loop_t *loop,
                         veil_http_body_t *b, size_t buffer)
{
    slice_read_t *s;

    if (b->in_memory) {
        return b;
    }
    s = VEIL_POOL_NEW(pool, slice_read_t);
    s->body.ops = &slice_read_ops;
    s->body.below = b;
    s->body.length = b->length;
    s->body.in_memory = true;
    s->pool = pool;
    s->loop = loop;
    s->size = buffer != 0 ? buffer : SLICE_READ_BUFFER;
    if (b->length > 0 && (uint64_t) b->length < s->size) {
        s->size = (size_t) b->length;
    }
    veil_post_init(&s->post, slice_read_has_room);
    veil_http_body_set_reader(b, slice_read_below_ready, s);
    return &s->body;
}
