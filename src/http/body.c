/*
 * body.c -- bodies that are there from the start: texts, slices, files.
 *
 * One struct serves all: a list of slices and how far it was pulled.  What
 * they point at outlives the body by contract, so consuming is counting.
 */

#include "core/platform.h"

#include "http/body.h"

#include "core/assert.h"

typedef struct {
    veil_http_body_t body;
    unsigned i; /* the next slice */
    unsigned n;
    size_t offset; /* in slice i */
    veil_slice_t v[];
} body_slices_t;

static veil_body_rc_t
body_slices_pull(veil_http_body_t *b, veil_slice_t *v, unsigned *n, size_t max)
{
    body_slices_t *s = veil_container_of(b, body_slices_t, body);
    unsigned room = *n, used = 0;
    size_t len;

    while (used < room && s->i < s->n && max != 0) {
        len = veil_min_size(s->v[s->i].len - s->offset, max);
        v[used] = s->v[s->i];
        v[used].len = len;
        if (v[used].data != NULL) {
            v[used].data += s->offset;
        } else {
            v[used].offset += s->offset;
        }
        used++;
        max -= len;
        s->offset += len;
        if (s->offset == s->v[s->i].len) {
            s->offset = 0;
            s->i++;
        }
    }
    *n = used;
    return s->i == s->n ? VEIL_BODY_END : VEIL_BODY_DATA;
}

static void
body_slices_consume(veil_http_body_t *b, size_t bytes)
{
    (void) b; /* what it points at stays */
    (void) bytes;
}

static void
body_slices_abort(veil_http_body_t *b)
{
    body_slices_t *s = veil_container_of(b, body_slices_t, body);

    s->i = s->n;
    if (b->below != NULL) {
        veil_http_body_abort(b->below);
    }
}

static const veil_http_body_ops_t body_slices_ops = {
    .name = "slices",
    .pull = body_slices_pull,
    .consume = body_slices_consume,
    .abort = body_slices_abort,
};

veil_http_body_t *
veil_http_body_slices(veil_pool_t *pool, const veil_slice_t *v, unsigned n)
{
    body_slices_t *s =
        veil_pool_zalloc(pool, sizeof(*s) + n * sizeof(veil_slice_t));
    unsigned i;

    s->body.ops = &body_slices_ops;
    s->body.in_memory = true;
    for (i = 0; i < n; i++) {
        if (v[i].len == 0) {
            continue; /* a slice that is pulled has bytes */
        }
        s->v[s->n++] = v[i];
        s->body.length += (int64_t) v[i].len;
        s->body.in_memory &= v[i].data != NULL;
    }
    return &s->body;
}

const veil_slice_t *
veil_http_body_as_slices(const veil_http_body_t *b, unsigned *n)
{
    const veil_http_body_t *wrapped = veil_http_body_wrapped(b);
    const body_slices_t *s;

    if (wrapped != NULL) {
        b = wrapped;
    }
    if (b == NULL || b->ops != &body_slices_ops) {
        return NULL;
    }
    s = (const body_slices_t *) ((uintptr_t) b
                                 - offsetof(body_slices_t, body));
    if (s->i != 0 || s->offset != 0) {
        return NULL;
    }
    *n = s->n;
    return s->v;
}

veil_http_body_t *
veil_http_body_reslice(veil_pool_t *pool, veil_http_body_t *b,
                       const veil_slice_t *v, unsigned n)
{
    veil_http_body_t *cut = veil_http_body_slices(pool, v, n);

    cut->below = b;
    return veil_http_body_wrap_like(cut, b);
}

veil_http_body_t *
veil_http_body_text(veil_pool_t *pool, veil_str_t data)
{
    veil_slice_t v = veil_slice_mem(data.data, data.len);

    return veil_http_body_slices(pool, &v, 1);
}

veil_http_body_t *
veil_http_body_file(veil_pool_t *pool, int fd, uint64_t offset, uint64_t len)
{
    veil_slice_t v = veil_slice_file(fd, offset, len);

    return veil_http_body_slices(pool, &v, 1);
}
