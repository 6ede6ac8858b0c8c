/*
 * body.h -- bodies are pulled.
 *
 * A body is a source of bytes: the request's body for whoever wants it, a
 * file, a text, an upstream's response, or a filter around one of these.
 * The reader pulls at its own pace, which is all the back-pressure there is.
 * Slices stay valid until consumed: exactly what an operation in flight
 * needs, and what nghttp2 and nghttp3 ask for.
 */

#ifndef VEIL_HTTP_BODY_H
#define VEIL_HTTP_BODY_H

#include "core/buf.h"
#include "core/pool.h"
#include "event/loop.h"
#include "http/headers.h"

typedef struct veil_http_body_s veil_http_body_t;

typedef enum {
    VEIL_BODY_DATA,
    VEIL_BODY_END,
    VEIL_BODY_LATER,
    VEIL_BODY_FAILED
} veil_body_rc_t;

typedef struct {
    const char *name;
    /*
     * Advances: never returns the same bytes twice.  In: *n is the room in v,
     * max the most bytes wanted.  Out: *n is the number of slices.  They
     * stay valid until consumed, oldest first; up to b->window bytes may be
     * outstanding.  DATA: at least one slice.  END may carry the last
     * slices.  LATER (no slices): ready() will be called, by the loop, never
     * from inside pull, consume or abort.  FAILED: b->error says why.
     */
    veil_body_rc_t (*pull)(veil_http_body_t *b, veil_slice_t *v, unsigned *n,
                           size_t max);
    /* The oldest bytes are sent (or acknowledged): their memory is free. */
    void (*consume)(veil_http_body_t *b, size_t bytes);
    /* The reader is gone, before END or after; nothing is pulled any more. */
    void (*abort)(veil_http_body_t *b);
} veil_http_body_ops_t;

struct veil_http_body_s {
    const veil_http_body_ops_t *ops;
    veil_http_body_t *below; /* a filter's source; NULL for an origin */
    int64_t length;          /* -1: unknown; settled before the head is sent */
    size_t window;           /* bytes that may be outstanding; 0: any number */
    bool flush;              /* LATER from below: send what is held back */
    bool in_memory;          /* never hands out file slices */
    int error;               /* after FAILED: an HTTP status, or 0 */
    veil_http_headers_t *trailers; /* valid after END; NULL: none */
    void (*ready)(void *reader);
    void *reader;
};

static inline veil_body_rc_t
veil_http_body_pull(veil_http_body_t *b, veil_slice_t *v, unsigned *n,
                    size_t max)
{
    return b->ops->pull(b, v, n, max);
}

static inline void
veil_http_body_consume(veil_http_body_t *b, size_t bytes)
{
    b->ops->consume(b, bytes);
}

static inline void
veil_http_body_abort(veil_http_body_t *b)
{
    b->ops->abort(b);
}

/* Who is told when LATER is over. */
static inline void
veil_http_body_set_reader(veil_http_body_t *b, void (*ready)(void *reader),
                          void *reader)
{
    b->ready = ready;
    b->reader = reader;
}

/* Calls ready(), for origins: only from the loop (a post, a completion). */
static inline void
veil_http_body_is_ready(veil_http_body_t *b)
{
    if (b->ready != NULL) {
        b->ready(b->reader);
    }
}

/* Bytes that outlive the body; length data.len. */
veil_http_body_t *veil_http_body_text(veil_pool_t *pool, veil_str_t data);
/* A list of slices (memory and files) that outlive the body. */
veil_http_body_t *veil_http_body_slices(veil_pool_t *pool,
                                        const veil_slice_t *v, unsigned n);
/*
 * The slices of such a body, or of what veil_http_body_to_memory() made of
 * it, of which nothing was pulled yet; NULL: it is another kind of body.  They
 * live as long as it does.
 */
const veil_slice_t *veil_http_body_as_slices(const veil_http_body_t *b,
                                             unsigned *n);
/*
 * A body of other slices that point into what b points at, or outlive both;
 * b is pulled no more and is aborted with it.
 */
veil_http_body_t *veil_http_body_reslice(veil_pool_t *pool,
                                         veil_http_body_t *b,
                                         const veil_slice_t *v, unsigned n);
/* A range of the open file. */
veil_http_body_t *veil_http_body_file(veil_pool_t *pool, int fd,
                                      uint64_t offset, uint64_t len);
/*
 * Wraps a body so that file slices arrive as memory, read through the loop
 * (slice_read.c): for TLS, compression, HTTP/2.  Returns b when it never
 * hands out files.
 */
veil_http_body_t *veil_http_body_to_memory(veil_pool_t *pool,
                                           veil_loop_t *loop,
                                           veil_http_body_t *b, size_t buffer);
/*
 * Pulls at most *len bytes of a body that is in memory, or was wrapped so,
 * into memory of the reader's, and consumes them; *len is how many.  What
 * such a body reads from a file at once is read there and copied nowhere.
 * Results as those of pull().
 */
veil_body_rc_t veil_http_body_take(veil_http_body_t *b, unsigned char *to,
                                   size_t *len);
/* What such a body wraps, if nothing of it was pulled yet; else NULL. */
veil_http_body_t *veil_http_body_wrapped(const veil_http_body_t *b);
/* Wraps b as like was wrapped, if it was. */
veil_http_body_t *veil_http_body_wrap_like(veil_http_body_t *b,
                                           const veil_http_body_t *like);

#endif
