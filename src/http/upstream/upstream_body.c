/*
 * upstream_body.c -- the response's body, as an origin to be pulled.
 *
 * Blocks are queued as they arrive, framing taken off, without copying, and
 * handed to whoever sends them on.  Reading is held while more waits than
 * proxy_buffers allow and goes on when half of that is consumed: the pace of
 * the slowest is everyone's, unless a spool stands in between.
 *
 * A body that is complete gives connection and peer back at once, even if
 * none of it has been sent on.  One that ends too early fails, so that the
 * client can see it.
 */

#include "http/upstream/upstream_impl.h"

#define BODY_MAX_TRAILER 8192
/* How often proxy_limit_rate lets more in. */
#define BODY_RATE_STEP_MS 20

static veil_exchange_private_t *
upstream_body_of(veil_http_body_t *b)
{
    return veil_container_of(b, veil_exchange_private_t, body);
}

static size_t
upstream_body_window(const veil_exchange_t *x)
{
    return veil_max_size((size_t) (x->conf->buffers_n * x->conf->buffer_size),
                         16 * 1024);
}

/* --- reading on, or not ---------------------------------------------------
 */

/* Bytes that proxy_limit_rate allows to have been read by now. */
static uint64_t
upstream_body_quota(const veil_exchange_t *x)
{
    uint64_t ms = veil_now_ms() - x->priv->start_ms;

    return (uint64_t) x->conf->limit_rate * (ms + 1000) / 1000;
}

/* More is there than may be taken now, or will be soon: wait a while. */
static bool
upstream_body_is_too_fast(veil_exchange_t *x, const veil_buf_t *left)
{
    veil_exchange_private_t *p = x->priv;

    if (x->conf->limit_rate == 0
        || (left->pos == left->end && p->received < upstream_body_quota(x)))
    {
        return false;
    }
    veil_timer_set(x->loop, &p->rate_timer, BODY_RATE_STEP_MS);
    return true;
}

/* The part of b that may be taken now: it can hold all of a response. */
static veil_buf_t
upstream_body_allowed(const veil_exchange_t *x, const veil_buf_t *b)
{
    veil_buf_t part = *b;
    uint64_t quota, received = x->priv->received;

    if (x->conf->limit_rate != 0) {
        quota = upstream_body_quota(x);
        part.end = part.pos
                   + veil_min_size(veil_buf_len(b),
                                   quota > received ? quota - received : 0);
    }
    return part;
}

static void
upstream_body_read_on(veil_exchange_t *x)
{
    veil_exchange_private_t *p = x->priv;

    if ((p->state != VEIL_X_BODY && p->state != VEIL_X_TUNNEL) || p->uc == NULL
        || !p->held || veil_timer_is_set(&p->rate_timer))
    {
        return;
    }
    p->held = false;
    p->uc->wire->read(x);
    p->uc->wire->timeout(x, x->conf->read_timeout);
}

void
veil_exchange_rate_resumed(veil_timer_t *t)
{
    veil_exchange_private_t *p =
        veil_container_of(t, veil_exchange_private_t, rate_timer);

    if (p->received > upstream_body_quota(p->x)) {
        veil_timer_set(p->x->loop, &p->rate_timer, BODY_RATE_STEP_MS);
    } else if (p->chain.bytes < upstream_body_window(p->x)) {
        upstream_body_read_on(p->x);
    }
}

/* --- arriving -------------------------------------------------------------
 */

void
veil_exchange_body_wake(veil_exchange_t *x)
{
    veil_exchange_private_t *p = x->priv;

    if (p->pull_waiting
        && (p->chain.bytes > p->outstanding || p->complete || p->failed))
    {
        p->pull_waiting = false;
        veil_http_body_is_ready(&p->body);
    }
}

void
veil_exchange_body_fail(veil_exchange_t *x)
{
    x->priv->failed = true;
    x->priv->body.error = 502;
    veil_exchange_drop(x, false);
}

void
veil_exchange_cut(veil_exchange_t *x)
{
    if (x->priv->state == VEIL_X_BODY) {
        veil_exchange_body_fail(x);
        veil_exchange_body_wake(x);
    }
}

static void
upstream_body_append(veil_exchange_t *x, const veil_buf_t *from,
                     const unsigned char *pos, size_t len)
{
    veil_buf_t view = { .pos = pos, .end = pos + len, .block = from->block };

    x->priv->received += len;
    if (from->block == NULL || veil_loop_is_short_of_buffers(x->loop)) {
        veil_chain_append_copy(&x->priv->chain, pos, len);
    } else {
        veil_chain_append(&x->priv->chain, &view);
    }
}

void
veil_exchange_body_append(veil_exchange_t *x, veil_buf_t *b)
{
    if (b->pos < b->end) {
        upstream_body_append(x, b, b->pos, veil_buf_len(b));
        b->pos = b->end;
    }
}

void
veil_exchange_body_hold(veil_exchange_t *x)
{
    x->priv->held = true;
    x->priv->uc->wire->hold(x);
}

bool
veil_exchange_body_is_full(const veil_exchange_t *x)
{
    return x->priv->chain.bytes >= upstream_body_window(x);
}

/* Bytes behind the end: nothing good is to be expected of that connection. */
static void
upstream_body_superfluous(veil_exchange_t *x, veil_buf_t *b)
{
    b->pos = b->end;
    x->priv->keepalive = false;
    veil_exchange_log(x, VEIL_LOG_WARN, 0,
                      "upstream sent more data than its response has",
                      "while reading upstream");
}

void
veil_exchange_add_trailer(veil_exchange_t *x, unsigned id, veil_str_t name,
                          veil_str_t value)
{
    veil_exchange_private_t *p = x->priv;

    if (!veil_http_header_in_trailer(id)) {
        return;
    }
    if (p->trailers == NULL) {
        p->trailers = VEIL_POOL_NEW(x->pool, veil_http_headers_t);
        veil_http_headers_init(p->trailers, x->pool, 0);
    }
    veil_http_headers_add_id(p->trailers, id, name, value);
    if (x->want_trailers) {
        p->body.trailers = p->trailers;
    }
}

static void
upstream_body_trailers(veil_exchange_t *x)
{
    veil_exchange_private_t *p = x->priv;
    veil_str_t text = veil_http_chunked_trailer(p->decoder);
    veil_http_fields_t it;
    veil_http_field_t f;

    veil_http_fields_init(&it, text.data, text.len, 0);
    while (veil_http_fields_next(&it, &f) == VEIL_PARSE_OK) {
        if (!(f.flags & VEIL_FIELD_NOT_TOKEN)) {
            veil_exchange_add_trailer(x, f.id, f.name, f.value);
        }
    }
}

static void
upstream_body_finish(veil_exchange_t *x, veil_buf_t *b)
{
    if (b->pos < b->end) {
        upstream_body_superfluous(x, b);
    }
    veil_exchange_finish(x);
}

static void
upstream_body_chunks(veil_exchange_t *x, veil_buf_t *b)
{
    veil_exchange_private_t *p = x->priv;
    const unsigned char *data;
    size_t len;

    while (b->pos < b->end) {
        switch (
            veil_http_chunked_next(p->decoder, &b->pos, b->end, &data, &len)) {
        case VEIL_CHUNKED_DATA:
            upstream_body_append(x, b, data, len);
            break;
        case VEIL_CHUNKED_MORE:
            return;
        case VEIL_CHUNKED_END:
            upstream_body_trailers(x);
            upstream_body_finish(x, b);
            return;
        case VEIL_CHUNKED_BAD:
            b->pos = b->end;
            veil_exchange_log(x, VEIL_LOG_ERR, 0,
                              "upstream sent invalid chunked response",
                              "while reading upstream");
            veil_exchange_body_fail(x);
            return;
        }
    }
}

static void
upstream_body_feed(veil_exchange_t *x, veil_buf_t *b)
{
    veil_exchange_private_t *p = x->priv;
    size_t n;

    if (p->chunked) {
        upstream_body_chunks(x, b);
    } else if (p->until_close) {
        veil_exchange_body_append(x, b);
    } else {
        n = (size_t) veil_min_size((size_t) p->left, veil_buf_len(b));
        if (n != 0) {
            upstream_body_append(x, b, b->pos, n);
            b->pos += n;
            p->left -= (int64_t) n;
        }
        if (p->left == 0) {
            upstream_body_finish(x, b);
        }
    }
}

void
veil_exchange_body_data(veil_exchange_t *x, veil_buf_t *b)
{
    veil_exchange_private_t *p = x->priv;
    veil_buf_t part = upstream_body_allowed(x, b);

    if (part.pos < part.end || b->pos == b->end) {
        upstream_body_feed(x, &part); /* nothing may be all there is */
        b->pos = part.pos;
    }
    if (p->state != VEIL_X_BODY) {
        return;
    }
    p->uc->wire->timeout(x, x->conf->read_timeout);
    if (upstream_body_is_too_fast(x, b) || veil_exchange_body_is_full(x)) {
        veil_exchange_body_hold(x);
    }
}

void
veil_exchange_body_arrived(veil_exchange_t *x, veil_buf_t *b)
{
    veil_exchange_private_t *p = x->priv;

    veil_exchange_body_append(x, b);
    p->uc->wire->timeout(x, x->conf->read_timeout);
    if (upstream_body_is_too_fast(x, b) || veil_exchange_body_is_full(x)) {
        veil_exchange_body_hold(x);
    }
    veil_exchange_body_wake(x);
}

void
veil_exchange_body_ended(veil_exchange_t *x)
{
    veil_exchange_finish(x);
    veil_exchange_body_wake(x);
}

void
veil_exchange_body_eof(veil_exchange_t *x, int err)
{
    if (err == 0) {
        veil_exchange_log(x, VEIL_LOG_ERR, 0,
                          "upstream prematurely closed connection",
                          "while reading upstream");
    } else if (err != -EPROTO) { /* TLS has said what was wrong */
        veil_exchange_log(x, VEIL_LOG_ERR, -err, "recv() failed",
                          "while reading upstream");
    }
    veil_exchange_body_fail(x);
}

/* --- pulling --------------------------------------------------------------
 */

static veil_body_rc_t
upstream_body_pull(veil_http_body_t *b, veil_slice_t *v, unsigned *n,
                   size_t max)
{
    veil_exchange_private_t *p = upstream_body_of(b);
    unsigned i, room = *n;

    *n = veil_chain_slices(&p->chain, p->outstanding, v, room, max);
    for (i = 0; i < *n; i++) {
        p->outstanding += v[i].len;
    }
    if (p->complete && p->outstanding == p->chain.bytes) {
        return VEIL_BODY_END;
    }
    if (*n != 0) {
        return VEIL_BODY_DATA;
    }
    if (p->failed) {
        return VEIL_BODY_FAILED;
    }
    p->pull_waiting = true;
    return VEIL_BODY_LATER;
}

static void
upstream_body_consume(veil_http_body_t *b, size_t bytes)
{
    veil_exchange_private_t *p = upstream_body_of(b);

    VEIL_ASSERT(bytes <= p->outstanding);
    p->outstanding -= bytes;
    veil_chain_consume(&p->chain, bytes);
    if (p->chain.bytes < upstream_body_window(p->x) / 2) {
        upstream_body_read_on(p->x);
    }
}

static void
upstream_body_abort(veil_http_body_t *b)
{
    veil_exchange_private_t *p = upstream_body_of(b);

    if (p->state == VEIL_X_TUNNEL && p->complete) {
        return; /* the other direction goes on */
    }
    veil_exchange_abort(p->x);
}

const veil_http_body_ops_t veil_exchange_body_ops = {
    .name = "upstream response",
    .pull = upstream_body_pull,
    .consume = upstream_body_consume,
    .abort = upstream_body_abort,
};

void
veil_exchange_body_free(veil_exchange_t *x)
{
    veil_exchange_private_t *p = x->priv;

    p->pull_waiting = false;
    p->outstanding = 0;
    veil_chain_done(&p->chain);
}

void
veil_exchange_body_begin(veil_exchange_t *x,
                         const veil_http_framing_t *framing)
{
    veil_exchange_private_t *p = x->priv;

    p->chunked = framing->kind == VEIL_FRAMING_CHUNKED;
    p->until_close = framing->kind == VEIL_FRAMING_CLOSE;
    p->left = 0;
    x->response = NULL;
    if (framing->kind == VEIL_FRAMING_NONE
        || framing->kind == VEIL_FRAMING_TUNNEL) {
        return;
    }
    if (framing->kind == VEIL_FRAMING_LENGTH) {
        p->left = framing->length;
    }
    if (p->chunked) {
        p->decoder = veil_pool_alloc(x->pool, sizeof(*p->decoder));
        veil_http_chunked_init(p->decoder, x->pool, BODY_MAX_TRAILER);
    }
    p->body.ops = &veil_exchange_body_ops;
    p->body.length = p->chunked ? -1 : framing->length;
    p->body.in_memory = true;
    x->response = &p->body;
}
