/*
 * h1_body.c -- the body of an HTTP/1 request, as an origin to be pulled.
 *
 * Nothing is read before somebody pulls; then blocks are queued as they
 * arrive, framing taken off, and reading is held while more than the window
 * waits to be consumed; a client that was too fast once is read one block at
 * a time from then on.  With Expect: 100-continue the first pull that finds
 * nothing sends the interim response: a handler that never pulls, because it
 * refuses, never asks for the body.
 *
 * A body nobody wants, or wants no longer, is read and dropped while the
 * response is sent: a client that writes all of it before it reads would
 * otherwise never see the answer, and the connection can go on afterwards.
 */

#include "core/platform.h"

#include "http/h1/h1_impl.h"
#include "http/rejects.h"

/* Received and not consumed, before reading is held. */
#define H1_BODY_WINDOW (128 * 1024)

static veil_body_rc_t h1_body_pull(veil_http_body_t *body, veil_slice_t *v,
                                   unsigned *n, size_t max);
static void h1_body_consume(veil_http_body_t *body, size_t bytes);
static void h1_body_abort(veil_http_body_t *body);

static const veil_http_body_ops_t h1_body_ops = {
    .name = "http/1 request",
    .pull = h1_body_pull,
    .consume = h1_body_consume,
    .abort = h1_body_abort,
};

void
veil_h1_body_create(veil_http_conn_t *hc, veil_http_request_t *r)
{
    veil_h1_body_t *b = VEIL_POOL_NEW(r->pool, veil_h1_body_t);

    b->body.ops = &h1_body_ops;
    b->body.length = r->in.chunked ? -1 : r->in.content_length;
    b->body.in_memory = true;
    b->hc = hc;
    b->r = r;
    b->left = r->in.chunked ? -1 : r->in.content_length;
    if (r->in.chunked) {
        veil_http_chunked_init(
            &b->chunked, r->pool,
            (size_t) veil_http_conn_server(hc)->large_buffers_size);
    }
    hc->h1.body = b;
}

void
veil_h1_body_done(veil_h1_body_t *b)
{
    /*
     * A reader of its own, as the other half of a tunnel, may live as long as
     * the request's pool, which the connection's need not.
     */
    b->hc = NULL;
    b->body.ready = NULL;
    b->waiting = false;
    b->complete = false;
    if (b->tunnel) {
        veil_post_cancel(&b->over);
    }
    b->error = b->error == 0 ? 499 : b->error;
    b->outstanding = 0;
    veil_chain_done(&b->chain);
}

/* The other end of a tunnel has its own idea of how long is too long. */
static uint64_t
h1_body_timeout(const veil_h1_body_t *b)
{
    return b->tunnel ? 0 : veil_http_core_loc(b->r)->client_body_timeout;
}

static void
h1_body_wake(veil_h1_body_t *b)
{
    if (b->waiting) {
        b->waiting = false;
        veil_http_body_is_ready(&b->body);
    }
}

static void
h1_body_fail(veil_h1_body_t *b, int status, const char *why)
{
    b->error = status;
    b->body.error = status;
    b->r->keepalive = false;
    veil_http_reject_request(b->r, status, why, b->r->in.request_line, NULL);
    veil_log(&b->r->log, VEIL_LOG_INFO, 0, "client sent %s", why);
    veil_h1_enter(b->hc, &veil_h1_hold, 0);
    h1_body_wake(b);
}

/* --- arriving
 * ---------------------------------------------------------------- */

static void
h1_body_append(veil_h1_body_t *b, const veil_buf_t *from,
               const unsigned char *pos, size_t len)
{
    veil_buf_t view = { .pos = pos, .end = pos + len, .block = from->block };

    /* Without a block it is decrypted data, which lasts for this call only. */
    if (from->block == NULL || veil_loop_is_short_of_buffers(b->r->loop)) {
        veil_chain_append_copy(&b->chain, pos, len);
    } else {
        veil_chain_append(&b->chain, &view);
    }
}

static void
h1_body_complete(veil_h1_body_t *b)
{
    b->complete = true;
    veil_h1_enter(b->hc, &veil_h1_hold, 0);
    veil_conn_pace(&b->hc->c, false); /* so that a client's end is seen */
}

/* Trailer fields that may be passed on (RFC 9110, 6.5.1). */
static void
h1_body_trailers(veil_h1_body_t *b)
{
    veil_str_t text = veil_http_chunked_trailer(&b->chunked);
    veil_http_fields_t it;
    veil_http_field_t f;

    if (text.len == 0) {
        return;
    }
    veil_http_headers_init(&b->trailers, b->r->pool, 0);
    veil_http_fields_init(&it, text.data, text.len, 0);
    while (veil_http_fields_next(&it, &f) == VEIL_PARSE_OK) {
        if (f.flags == 0 && veil_http_header_in_trailer(f.id)) {
            veil_http_headers_add_id(&b->trailers, f.id, f.name, f.value);
        }
    }
    b->body.trailers = &b->trailers;
}

/* Wanted, or thrown away. */
static void
h1_body_take(veil_h1_body_t *b, const veil_buf_t *from,
             const unsigned char *pos, size_t len)
{
    b->received += (int64_t) len;
    if (!b->drop) {
        h1_body_append(b, from, pos, len);
    }
}

static void
h1_body_feed_chunked(veil_h1_body_t *b, veil_buf_t *in)
{
    int64_t limit = veil_http_core_chunked_limit(b->r);
    const unsigned char *data;
    size_t len;

    while (in->pos < in->end) {
        switch (veil_http_chunked_next(&b->chunked, &in->pos, in->end, &data,
                                       &len)) {
        case VEIL_CHUNKED_DATA:
            h1_body_take(b, in, data, len);
            if (limit != 0 && b->received > limit) {
                h1_body_fail(b, 413, "a chunked body that is too large");
                return;
            }
            break;
        case VEIL_CHUNKED_MORE:
            return;
        case VEIL_CHUNKED_END:
            if (!b->drop) {
                h1_body_trailers(b);
            }
            h1_body_complete(b);
            return;
        case VEIL_CHUNKED_BAD:
            h1_body_fail(b, veil_http_parse_status(b->chunked.error),
                         veil_http_parse_reason(b->chunked.error));
            return;
        }
    }
}

static void
h1_body_feed(veil_h1_body_t *b, veil_buf_t *in)
{
    const unsigned char *start = in->pos;
    size_t n;

    if (b->tunnel) {
        h1_body_take(b, in, in->pos, veil_buf_len(in));
        in->pos = in->end;
    } else if (b->left >= 0) {
        n = veil_min_size((size_t) b->left, veil_buf_len(in));
        h1_body_take(b, in, in->pos, n);
        in->pos += n;
        b->left -= (int64_t) n;
        if (b->left == 0) {
            h1_body_complete(b);
        }
    } else {
        h1_body_feed_chunked(b, in);
    }
    b->r->bytes_received += (uint64_t) (in->pos - start);
}

void
veil_h1_on_body_data(veil_http_conn_t *hc, veil_buf_t *in)
{
    veil_h1_body_t *b = hc->h1.body;

    h1_body_feed(b, in);
    if (!b->complete && b->error == 0) {
        if (b->chain.bytes >= H1_BODY_WINDOW) {
            veil_h1_enter(hc, &veil_h1_hold, 0);
            veil_conn_pace(&hc->c, true);
        } else {
            veil_conn_read_timeout(&hc->c, h1_body_timeout(b));
        }
    }
    if (b->chain.bytes > b->outstanding || b->complete) {
        h1_body_wake(b);
    }
}

/*
 * The request may have been answered already; then its end, one way or the
 * other, is the end of the request.
 */
void
veil_h1_on_discard_data(veil_http_conn_t *hc, veil_buf_t *in)
{
    veil_h1_body_t *b = hc->h1.body;
    veil_http_request_t *r = hc->h1.r;

    h1_body_feed(b, in);
    if (!hc->h1.ending) {
        return;
    }
    if (!b->complete && b->error == 0 && veil_h1_linger_on(hc)) {
        return;
    }
    r->keepalive = r->keepalive && b->complete;
    veil_http_request_end(r);
}

bool
veil_h1_body_drop(veil_http_conn_t *hc)
{
    veil_h1_body_t *b = hc->h1.body;

    if (b == NULL || b->complete || b->error != 0 || b->tunnel || hc->h1.gone
        || b->r->in.expect_continue)
    {
        return false;
    }
    b->drop = true;
    b->waiting = false;
    b->body.ready = NULL;
    veil_h1_enter(hc, &veil_h1_discard, 0);
    return true;
}

void
veil_h1_on_body_eof(veil_http_conn_t *hc, int err)
{
    veil_h1_body_t *b = hc->h1.body;
    veil_http_request_t *r = hc->h1.r;

    if (b->tunnel && err == 0) {
        h1_body_complete(b);
        h1_body_wake(b);
        return;
    }
    b->error = 400;
    b->body.error = 400;
    hc->h1.gone = true;
    veil_h1_enter(hc, &veil_h1_hold, 0);
    veil_http_client_gone(r, err);
    if (r->waiting && !r->resumed) {
        h1_body_wake(b); /* nobody gave up, so let the reader know */
    }
}

void
veil_h1_on_body_timeout(veil_http_conn_t *hc)
{
    veil_h1_body_t *b = hc->h1.body;

    hc->h1.timed_out = true;
    b->error = 408;
    b->body.error = 408;
    b->r->keepalive = false;
    veil_http_reject_request(b->r, 408, "a body that does not come",
                             b->r->in.request_line, NULL);
    veil_log(&b->r->log, VEIL_LOG_INFO, ETIMEDOUT,
             "client timed out while sending its request's body");
    veil_h1_enter(hc, &veil_h1_hold, 0);
    h1_body_wake(b);
}

/* --- pulling
 * ----------------------------------------------------------------- */

veil_http_body_t *
veil_h1_request_body(veil_http_request_t *r)
{
    veil_http_conn_t *hc = r->stream;

    return &hc->h1.body->body;
}

/* Posted, as its reader is at work when it lets go. */
static void
h1_body_tunnel_over(veil_post_t *post)
{
    veil_h1_body_t *b = veil_container_of(post, veil_h1_body_t, over);

    if (!b->complete) {
        veil_http_abort(b->r, NULL); /* it broke */
    } else if (!b->r->aborted) { /* else the connection's end is its, too */
        veil_http_request_end(b->r);
    }
}

veil_http_body_t *
veil_h1_body_tunnel(veil_http_request_t *r)
{
    veil_http_conn_t *hc = r->stream;
    veil_h1_body_t *b = VEIL_POOL_NEW(r->pool, veil_h1_body_t);

    if (hc->h1.body != NULL) {
        veil_h1_body_done(hc->h1.body);
    }
    b->body.ops = &h1_body_ops;
    b->body.length = -1;
    b->body.in_memory = true;
    b->hc = hc;
    b->r = r;
    b->left = -1;
    b->tunnel = true;
    veil_post_init(&b->over, h1_body_tunnel_over);
    hc->h1.body = b;
    return &b->body;
}

static veil_body_rc_t
h1_body_pull(veil_http_body_t *body, veil_slice_t *v, unsigned *n, size_t max)
{
    veil_h1_body_t *b = veil_container_of(body, veil_h1_body_t, body);
    unsigned i, room = *n;

    *n = veil_chain_slices(&b->chain, b->outstanding, v, room, max);
    for (i = 0; i < *n; i++) {
        b->outstanding += v[i].len;
    }
    if (b->complete && b->outstanding == b->chain.bytes) {
        return VEIL_BODY_END;
    }
    if (*n != 0) {
        return VEIL_BODY_DATA;
    }
    if (b->error == 0 && b->hc->h1.gone) {
        b->error = 400; /* its end came before anybody asked */
        b->body.error = 400;
    }
    if (b->error != 0) {
        return VEIL_BODY_FAILED;
    }

    if (b->r->in.expect_continue) {
        b->r->in.expect_continue = false;
        b->r->proto->inform(b->r, 100, NULL);
    }
    b->waiting = true;
    if (b->hc->h1.state != &veil_h1_read_body) {
        veil_h1_enter(b->hc, &veil_h1_read_body, h1_body_timeout(b));
    }
    return VEIL_BODY_LATER;
}

static void
h1_body_consume(veil_http_body_t *body, size_t bytes)
{
    veil_h1_body_t *b = veil_container_of(body, veil_h1_body_t, body);

    if (b->hc == NULL) {
        return; /* the request has ended, and freed them */
    }
    VEIL_ASSERT(bytes <= b->outstanding);
    b->outstanding -= bytes;
    veil_chain_consume(&b->chain, bytes);
    if (!b->complete && b->error == 0 && b->chain.bytes < H1_BODY_WINDOW / 2
        && b->hc->h1.state != &veil_h1_read_body)
    {
        veil_h1_enter(b->hc, &veil_h1_read_body, h1_body_timeout(b));
    }
}

static void
h1_body_abort(veil_http_body_t *body)
{
    veil_h1_body_t *b = veil_container_of(body, veil_h1_body_t, body);

    b->waiting = false;
    b->body.ready = NULL;
    b->let_go = true;
    if (b->hc == NULL) {
        return;
    }
    if (b->hc->h1.state == &veil_h1_read_body && !veil_h1_body_drop(b->hc)) {
        veil_h1_enter(b->hc, &veil_h1_hold, 0);
    }
    if (b->tunnel && veil_h1_write_is_over(b->hc->h1.writer)) {
        veil_post(b->r->loop, &b->over);
    }
}
