/*
 * h2_body.c -- the body of an HTTP/2 request, as an origin to be pulled, and
 * flow control.
 *
 * A stream's window is given back when its reader has consumed, so a request
 * whose body nobody reads holds one window of bytes and no more.  The
 * connection's window is given back at once, as otherwise such a request
 * would stop all others; but not beyond H2_BODY_ALL bytes for a connection,
 * which bounds what a client can make us keep.
 */

#include "modules/http2/h2.h"

/* Received and not consumed, of all streams, before the connection waits. */
#define H2_BODY_ALL (4u << 20)
/* A reader is behind when so many pieces wait; small ones then share blocks,
   as else a byte could hold a block of what was received with it. */
#define H2_BODY_BEHIND 8
#define H2_BODY_SMALL 1024

static veil_body_rc_t h2_body_pull(veil_http_body_t *body, veil_slice_t *v,
                                   unsigned *n, size_t max);
static void h2_body_consume(veil_http_body_t *body, size_t bytes);
static void h2_body_abort(veil_http_body_t *body);

static const veil_http_body_ops_t h2_body_ops = {
    .name = "http/2 request",
    .pull = h2_body_pull,
    .consume = h2_body_consume,
    .abort = h2_body_abort,
};

static veil_h2_stream_t *
h2_body_stream(h2_body_t *b)
{
    return veil_container_of(b, veil_h2_stream_t, in);
}

void
veil_h2_body_begin(veil_h2_stream_t *s)
{
    s->in.body.ops = &h2_body_ops;
    s->in.body.length = s->r->in.content_length;
    s->in.body.in_memory = true;
}

veil_http_body_t *
veil_h2_request_body(veil_http_request_t *r)
{
    veil_h2_stream_t *s = r->stream;

    return &s->in.body;
}

static void
h2_body_wake(h2_body_t *b)
{
    if (b->waiting) {
        b->waiting = false;
        veil_timer_cancel(&h2_body_stream(b)->timer);
        veil_http_body_is_ready(&b->body);
    }
}

/* --- windows ---------------------------------------------------------------
 */

/* These bytes are with us no longer. */
static void
h2_body_pay(veil_h2_stream_t *s, size_t n)
{
    veil_h2_t *h2 = s->h2;
    size_t due = veil_min_size(h2->unpaid, n);

    h2->buffered -= n;
    h2->unpaid -= due;
    if (!s->closed) {
        (void) nghttp2_session_consume_stream(h2->session, s->id, n);
    }
    if (due != 0) {
        (void) nghttp2_session_consume_connection(h2->session, due);
    }
    veil_h2_wake(h2);
}

static void
h2_body_owe(veil_h2_t *h2, size_t n)
{
    h2->buffered += n;
    if (h2->buffered <= H2_BODY_ALL) {
        (void) nghttp2_session_consume_connection(h2->session, n);
    } else {
        h2->unpaid += n;
    }
}

/* --- arriving --------------------------------------------------------------
 */

/* The ready() of a reader is the loop's to call, not the library's. */
static void
h2_body_wake_later(veil_h2_stream_t *s)
{
    if (s->in.waiting && !veil_list_is_linked(&s->woken)) {
        veil_list_append(&s->h2->woken, &s->woken);
    }
}

void
veil_h2_body_woken(veil_h2_stream_t *s)
{
    h2_body_wake(&s->in);
}

void
veil_h2_body_fail(veil_h2_stream_t *s, int status)
{
    h2_body_t *b = &s->in;

    if (b->complete || b->error != 0) {
        return;
    }
    b->error = status;
    b->body.error = status;
    h2_body_wake_later(s);
    veil_h2_wake(s->h2);
}

void
veil_h2_body_complete(veil_h2_stream_t *s)
{
    s->in.complete = true;
    h2_body_wake_later(s);
}

static void
h2_body_append(veil_h2_stream_t *s, const uint8_t *data, size_t len)
{
    const veil_buf_t *in = s->h2->input;
    veil_buf_t view = { .pos = data, .end = data + len, .block = NULL };

    if (len <= H2_BODY_SMALL && s->in.chain.n >= H2_BODY_BEHIND) {
        veil_chain_append_small(&s->in.chain, data, len);
        return;
    }
    /* Without a block it is decrypted data, which lasts for this call only. */
    if (in == NULL || in->block == NULL
        || veil_loop_is_short_of_buffers(s->r->loop) || data < in->pos
        || data + len > in->end)
    {
        veil_chain_append_copy(&s->in.chain, data, len);
    } else {
        view.block = in->block;
        veil_chain_append(&s->in.chain, &view);
    }
}

int
veil_h2_on_data(nghttp2_session *session, uint8_t flags, int32_t id,
                const uint8_t *data, size_t len, void *user)
{
    veil_h2_stream_t *s = nghttp2_session_get_stream_user_data(session, id);

    (void) flags;
    if (s == NULL || s->in.dropped || s->in.error != 0
        || s->state >= H2_STREAM_SENT)
    {
        (void) nghttp2_session_consume(session, id, len);
        if (s == NULL) {
            veil_h2_linger_data(user, id);
        }
        return 0;
    }
    s->in.received += (int64_t) len;
    s->r->bytes_received += len;
    h2_body_append(s, data, len);
    h2_body_owe(s->h2, len);
    h2_body_wake_later(s);
    return 0;
}

void
veil_h2_body_done(veil_h2_stream_t *s)
{
    h2_body_t *b = &s->in;
    size_t left = b->chain.bytes;

    b->body.ready = NULL;
    b->waiting = false;
    b->error = b->error == 0 ? 499 : b->error;
    b->outstanding = 0;
    b->dropped = true;
    veil_chain_done(&b->chain);
    if (left != 0) {
        h2_body_pay(s, left);
    }
}

void
veil_h2_body_timed_out(veil_timer_t *t)
{
    veil_h2_stream_t *s = veil_container_of(t, veil_h2_stream_t, timer);

    veil_http_reject_request(s->r, 408, "a body that does not come",
                             s->r->in.request_line, NULL);
    veil_log(&s->r->log, VEIL_LOG_INFO, ETIMEDOUT,
             "client timed out while sending its request's body");
    s->in.error = 408;
    s->in.body.error = 408;
    h2_body_wake(&s->in);
}

/* --- pulling ---------------------------------------------------------------
 */

/*
 * Here and not when it arrives: whose limit holds is known when the request
 * has its location.
 */
static void
h2_body_check(h2_body_t *b)
{
    veil_h2_stream_t *s = h2_body_stream(b);
    int64_t limit;

    if (!s->r->in.chunked || b->tunnel || b->error != 0) {
        return;
    }
    limit = veil_http_core_chunked_limit(s->r);
    if (limit != 0 && b->received > limit) {
        veil_log(&s->r->log, VEIL_LOG_INFO, 0,
                 "client sent a body that is too large");
        veil_http_reject_request(s->r, 413, "a body that is too large",
                                 s->r->in.request_line, NULL);
        b->error = 413;
        b->body.error = 413;
    }
}

static veil_body_rc_t
h2_body_pull(veil_http_body_t *body, veil_slice_t *v, unsigned *n, size_t max)
{
    h2_body_t *b = veil_container_of(body, h2_body_t, body);
    veil_h2_stream_t *s = h2_body_stream(b);
    unsigned i, room = *n;

    h2_body_check(b);
    *n = veil_chain_slices(&b->chain, b->outstanding, v, room, max);
    for (i = 0; i < *n; i++) {
        b->outstanding += v[i].len;
    }
    if (b->error != 0) {
        return VEIL_BODY_FAILED;
    }
    if (b->complete && b->outstanding == b->chain.bytes) {
        return VEIL_BODY_END;
    }
    if (*n != 0) {
        return VEIL_BODY_DATA;
    }
    if (s->r->in.expect_continue) {
        s->r->in.expect_continue = false;
        veil_h2_inform(s->r, 100, NULL);
    }
    b->waiting = true;
    if (!b->tunnel && veil_http_core_loc(s->r)->client_body_timeout != 0) {
        veil_timer_set(s->r->loop, &s->timer,
                       veil_http_core_loc(s->r)->client_body_timeout);
    }
    return VEIL_BODY_LATER;
}

static void
h2_body_consume(veil_http_body_t *body, size_t bytes)
{
    h2_body_t *b = veil_container_of(body, h2_body_t, body);

    if (b->dropped) {
        return; /* freed already */
    }
    VEIL_ASSERT(bytes <= b->outstanding);
    b->outstanding -= bytes;
    veil_chain_consume(&b->chain, bytes);
    h2_body_pay(h2_body_stream(b), bytes);
}

/*
 * What still comes is thrown away, its window given back.  Of a tunnel it is
 * how this half ends, and the request with the later one.
 */
static void
h2_body_abort(veil_http_body_t *body)
{
    h2_body_t *b = veil_container_of(body, h2_body_t, body);
    veil_h2_stream_t *s = h2_body_stream(b);
    size_t left = b->chain.bytes;

    if (b->dropped) {
        return;
    }
    b->dropped = true;
    b->waiting = false;
    b->body.ready = NULL;
    b->outstanding = 0;
    veil_timer_cancel(&s->timer);
    veil_chain_done(&b->chain);
    if (left != 0) {
        h2_body_pay(s, left);
    }
    if (s->r->tunnelled && s->answered) {
        if (b->complete) {
            veil_h2_over(s);
        } else {
            veil_h2_reset(s, NGHTTP2_INTERNAL_ERROR); /* it broke */
        }
    }
}
