/*
 * grpc_keep.c -- the beginning of what a client says is kept, for as long as
 * its server may say that it has not looked at the call.
 *
 * A server that restarts, or limits the age of its connections, refuses calls
 * that cross its GOAWAY; they may be sent again whatever they do, if their
 * messages can be.  Most calls are one small message, so this copies up to
 * KEEP_MAX bytes as they go by, until the head of the response has come.  A
 * call that has said more is sent once.
 *
 * The body the exchange reads is always the same one; to begin again is to
 * set its position back.  HTTP/2 consumes what it pulls at once, so nothing
 * is outstanding then.
 */

#include "modules/proxy/grpc.h"

#define KEEP_MAX 16384
#define KEEP_FIRST 1024

static grpc_ctx_t *
grpc_keep_ctx(veil_http_body_t *b)
{
    return veil_container_of(b, grpc_ctx_t, keep.body);
}

static void
grpc_keep_room(grpc_ctx_t *ctx, size_t more)
{
    grpc_keep_t *k = &ctx->keep;
    size_t cap = k->cap == 0 ? KEEP_FIRST : k->cap;
    char *data;

    if (k->n + more <= k->cap) {
        return;
    }
    while (cap < k->n + more) {
        cap *= 2;
    }
    data = veil_pool_chars(ctx->proxy.r->pool, cap);
    if (k->n != 0) {
        memcpy(data, k->data, k->n);
    }
    k->data = data;
    k->cap = cap;
}

static void
grpc_keep_copy(grpc_ctx_t *ctx, const veil_slice_t *v, unsigned n)
{
    grpc_keep_t *k = &ctx->keep;
    size_t bytes = 0;
    unsigned i;

    for (i = 0; i < n; i++) {
        bytes += v[i].len;
    }
    if (k->over || ctx->proxy.done || k->n + bytes > KEEP_MAX) {
        k->over = k->over || bytes != 0;
        if (k->over) {
            ctx->proxy.x.rebody = NULL;
        }
        return;
    }
    grpc_keep_room(ctx, bytes);
    for (i = 0; i < n; i++) {
        VEIL_ASSERT(v[i].data != NULL); /* requests are in memory */
        memcpy(k->data + k->n, v[i].data, v[i].len);
        k->n += v[i].len;
    }
    k->pos = k->n;
}

static veil_body_rc_t
grpc_keep_pull(veil_http_body_t *body, veil_slice_t *v, unsigned *n,
               size_t max)
{
    grpc_ctx_t *ctx = grpc_keep_ctx(body);
    grpc_keep_t *k = &ctx->keep;
    veil_body_rc_t rc;
    size_t len;

    if (k->pos < k->n) {
        len = veil_min_size(max, k->n - k->pos);
        v[0] = veil_slice_mem(k->data + k->pos, len);
        *n = 1;
        k->pos += len;
        k->again += len;
        return k->ended && k->pos == k->n ? VEIL_BODY_END : VEIL_BODY_DATA;
    }
    if (k->ended) {
        *n = 0;
        return VEIL_BODY_END;
    }
    rc = veil_http_body_pull(k->below, v, n, max);
    if (rc == VEIL_BODY_FAILED) {
        k->body.error = k->below->error;
    } else if (rc != VEIL_BODY_LATER) {
        grpc_keep_copy(ctx, v, *n);
    }
    if (rc == VEIL_BODY_END) {
        k->ended = true;
        k->body.trailers = k->below->trailers;
    }
    return rc;
}

static void
grpc_keep_consume(veil_http_body_t *body, size_t bytes)
{
    grpc_keep_t *k = &grpc_keep_ctx(body)->keep;
    size_t again = veil_min_size(bytes, k->again);

    k->again -= again;
    if (bytes != again) {
        veil_http_body_consume(k->below, bytes - again);
    }
}

/* The attempt needs it no more; another one may. */
static void
grpc_keep_abort(veil_http_body_t *body)
{
    grpc_ctx_t *ctx = grpc_keep_ctx(body);

    if (ctx->keep.over || ctx->proxy.done) {
        veil_grpc_keep_end(ctx);
    }
}

void
veil_grpc_keep_end(grpc_ctx_t *ctx)
{
    veil_http_body_t *below = ctx->keep.below;

    if (below != NULL && !ctx->keep.gone) {
        ctx->keep.gone = true;
        veil_http_body_abort(below);
    }
}

static const veil_http_body_ops_t grpc_keep_ops = {
    .name = "grpc request",
    .pull = grpc_keep_pull,
    .consume = grpc_keep_consume,
    .abort = grpc_keep_abort,
};

static veil_http_body_t *
grpc_keep_again(veil_exchange_t *x)
{
    grpc_ctx_t *ctx = x->owner;
    grpc_keep_t *k = &ctx->keep;

    VEIL_ASSERT(!k->over && k->again == 0);
    k->pos = 0;
    return &k->body;
}

static void
grpc_keep_ready(void *reader)
{
    grpc_keep_t *k = reader;

    veil_http_body_is_ready(&k->body);
}

void
veil_grpc_keep(grpc_ctx_t *ctx)
{
    veil_exchange_t *x = &ctx->proxy.x;
    grpc_keep_t *k = &ctx->keep;

    if (x->body == NULL || x->rebody != NULL) {
        return; /* there is none, or it was read before */
    }
    k->below = x->body;
    k->body.ops = &grpc_keep_ops;
    k->body.below = k->below;
    k->body.length = k->below->length;
    k->body.window = k->below->window;
    k->body.in_memory = k->below->in_memory;
    veil_http_body_set_reader(k->below, grpc_keep_ready, k);
    x->body = &k->body;
    x->rebody = grpc_keep_again;
}
