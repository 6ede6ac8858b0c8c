/*
 * h2_upstream_stream.c -- an exchange on its stream.
 *
 * The request's body is pulled into DATA frames when the peer's windows let
 * them go.  The response's is queued by the exchange; the stream's window is
 * given back as it arrives, but not while the exchange holds, so that a slow
 * client holds its stream and no other: the connection's window is given back
 * always.
 *
 * A stream the peer says it has not looked at (REFUSED_STREAM, or behind the
 * last one of a GOAWAY), or that was never sent, is begun again on another
 * connection, whatever its method.
 *
 * The stream's timer is that of sending until the request is sent, and then
 * that of reading.
 */

#include "modules/http2/h2_upstream.h"

#define H2_PULL_SLICES 8

/* --- the request -----------------------------------------------------------
 */

static void
h2_upstream_body_ready(void *reader)
{
    veil_exchange_t *x = reader;
    veil_h2_upstream_stream_t *s = h2_upstream_stream(x);

    if (s == NULL || !x->priv->send_waiting) {
        return;
    }
    x->priv->send_waiting = false;
    (void) nghttp2_session_resume_data(s->h2->session, s->id);
    veil_h2_upstream_wake(s->h2);
}

static void
h2_upstream_body_sent(veil_h2_upstream_stream_t *s, uint32_t *flags)
{
    veil_exchange_t *x = s->x;
    veil_h2_upstream_fields_t f =
        veil_h2_upstream_trailers(x, x->body->trailers);

    x->priv->body_ended = true;
    *flags |= NGHTTP2_DATA_FLAG_EOF;
    if (f.n != 0
        && nghttp2_submit_trailer(s->h2->session, s->id, f.nv, f.n) == 0) {
        *flags |= NGHTTP2_DATA_FLAG_NO_END_STREAM;
    }
    veil_h2_upstream_timeout(x, x->conf->read_timeout);
}

/* The library wants at most so many bytes of a frame. */
static ssize_t
h2_upstream_pull(nghttp2_session *session, int32_t id, uint8_t *buf,
                 size_t max, uint32_t *flags, nghttp2_data_source *source,
                 void *data)
{
    veil_h2_upstream_stream_t *s =
        nghttp2_session_get_stream_user_data(session, id);
    veil_slice_t v[H2_PULL_SLICES];
    unsigned i, n = H2_PULL_SLICES;
    veil_body_rc_t rc;
    veil_exchange_t *x;
    size_t len = 0;

    (void) source;
    (void) data;
    if (s == NULL || s->x->body == NULL) {
        return NGHTTP2_ERR_DEFERRED; /* it is being reset */
    }
    x = s->x;
    rc = veil_http_body_pull(x->body, v, &n, max);
    if (rc == VEIL_BODY_LATER) {
        x->priv->send_waiting = true;
        return NGHTTP2_ERR_DEFERRED;
    }
    if (rc == VEIL_BODY_FAILED) {
        veil_exchange_send_failed(x);
        return NGHTTP2_ERR_DEFERRED;
    }
    for (i = 0; i < n; i++) {
        VEIL_ASSERT(v[i].data != NULL); /* to_memory bodies only */
        memcpy(buf + len, v[i].data, v[i].len);
        len += v[i].len;
    }
    if (len != 0) {
        veil_http_body_consume(x->body, len);
        x->priv->body_used = true;
    }
    s->bytes_out += len;
    if (rc == VEIL_BODY_END) {
        h2_upstream_body_sent(s, flags);
    } else if (x->priv->state == VEIL_X_HEAD) {
        veil_h2_upstream_timeout(x, x->conf->send_timeout);
    }
    return (ssize_t) len;
}

static void
h2_upstream_timed_out(veil_timer_t *t)
{
    veil_h2_upstream_stream_t *s =
        veil_container_of(t, veil_h2_upstream_stream_t, timer);
    veil_exchange_t *x = s->x;

    if (veil_now_ms() - s->h2->heard_ms >= s->timeout) {
        veil_h2_upstream_doom(s->h2); /* it may be dead */
    }
    if (x->priv->state != VEIL_X_HEAD || veil_exchange_request_is_sent(x)) {
        veil_exchange_on_read_timeout(x);
    } else if (x->priv->send_waiting) {
        veil_h2_upstream_timeout(x, x->conf->send_timeout); /* our client */
    } else {
        veil_exchange_on_write_timeout(x);
    }
}

void
veil_h2_upstream_send(veil_exchange_t *x)
{
    veil_exchange_private_t *p = x->priv;
    veil_h2_upstream_t *h2 = p->uc->session;
    nghttp2_data_provider provider = { .read_callback = h2_upstream_pull };
    veil_h2_upstream_stream_t *s = veil_zalloc(sizeof(*s));
    veil_h2_upstream_fields_t f;

    s->x = x;
    s->h2 = h2;
    s->length = -1;
    p->stream = s;
    p->body_ended = x->body == NULL;
    veil_timer_init(&s->timer, h2_upstream_timed_out);
    veil_list_append(&h2->streams, &s->link);
    h2->nstreams++;
    veil_h2_upstream_request(x, &f);
    s->id = nghttp2_submit_request(h2->session, NULL, f.nv, f.n,
                                   x->body != NULL ? &provider : NULL, s);
    if (s->id < 0) {
        s->closed = true;
        veil_exchange_log(x, VEIL_LOG_ERR, 0,
                          "the request cannot be sent over HTTP/2",
                          "while sending request to upstream");
        veil_exchange_impossible(x);
        return;
    }
    if (x->body != NULL) {
        veil_http_body_set_reader(x->body, h2_upstream_body_ready, x);
    }
    h2->conf = x->conf;
    veil_conn_read_timeout(&p->uc->c,
                           h2->settings ? 0 : x->conf->connect_timeout);
    veil_conn_write_timeout(&p->uc->c, x->conf->send_timeout);
    veil_h2_upstream_timeout(x, x->body != NULL ? x->conf->send_timeout
                                                : x->conf->read_timeout);
    veil_h2_upstream_wake(h2);
}

/* --- the response ----------------------------------------------------------
 */

static veil_buf_t
h2_upstream_view(const veil_h2_upstream_t *h2, const uint8_t *data, size_t len)
{
    const veil_buf_t *in = h2->input;
    veil_buf_t view = { .pos = data, .end = data + len, .block = NULL };

    /* Without a block it is decrypted data, which lasts for this call only. */
    if (in != NULL && data >= in->pos && data + len <= in->end) {
        view.block = in->block;
    }
    return view;
}

int
veil_h2_upstream_on_data(nghttp2_session *session, uint8_t flags, int32_t id,
                         const uint8_t *data, size_t len, void *user)
{
    veil_h2_upstream_stream_t *s =
        nghttp2_session_get_stream_user_data(session, id);
    veil_h2_upstream_t *h2 = user;
    veil_buf_t view;

    (void) flags;
    (void) nghttp2_session_consume_connection(session, len);
    if (s == NULL) {
        (void) nghttp2_session_consume_stream(session, id, len);
        return 0;
    }
    s->bytes_in += len;
    h2->nidle_frames = 0;
    if (s->x->priv->held) {
        s->unpaid += len;
    } else {
        (void) nghttp2_session_consume_stream(session, id, len);
    }
    view = h2_upstream_view(h2, data, len);
    veil_exchange_body_arrived(s->x, &view);
    return 0;
}

void
veil_h2_upstream_read(veil_exchange_t *x)
{
    veil_h2_upstream_stream_t *s = h2_upstream_stream(x);

    if (s->unpaid != 0 && !s->closed) {
        (void) nghttp2_session_consume_stream(s->h2->session, s->id,
                                              s->unpaid);
        s->unpaid = 0;
        veil_h2_upstream_wake(s->h2);
    }
}

/* The window says it: veil_h2_upstream_on_data(). */
void
veil_h2_upstream_hold(veil_exchange_t *x VEIL_UNUSED)
{
}

void
veil_h2_upstream_timeout(veil_exchange_t *x, uint64_t ms)
{
    veil_h2_upstream_stream_t *s = h2_upstream_stream(x);

    s->timeout = ms;
    if (ms == 0) {
        veil_timer_cancel(&s->timer);
    } else {
        veil_timer_set(x->loop, &s->timer, ms);
    }
}

void
veil_h2_upstream_count(const veil_exchange_t *x, veil_upstream_state_t *state)
{
    const veil_h2_upstream_stream_t *s = h2_upstream_stream(x);

    state->bytes_received = s->bytes_in;
    state->bytes_sent = s->bytes_out;
}

/* --- ends ------------------------------------------------------------------
 */

void
veil_h2_upstream_leave(veil_exchange_t *x, bool keep)
{
    veil_exchange_private_t *p = x->priv;
    veil_h2_upstream_stream_t *s = p->stream;
    veil_h2_upstream_t *h2 = s->h2;

    (void) keep; /* it says nothing of the connection */
    if (!s->closed) {
        (void) nghttp2_session_set_stream_user_data(h2->session, s->id, NULL);
        if (!s->ended || !veil_exchange_request_is_sent(x)) {
            (void) nghttp2_submit_rst_stream(h2->session, NGHTTP2_FLAG_NONE,
                                             s->id, NGHTTP2_CANCEL);
        }
        veil_h2_upstream_wake(h2);
    }
    veil_timer_cancel(&s->timer);
    veil_list_remove(&s->link);
    veil_free(s);
    p->stream = NULL;
    p->uc = NULL;
    p->send_waiting = false;
    h2->nstreams--;
    if (h2->nstreams == 0) {
        veil_h2_upstream_rest(h2);
    }
}

static const char *
h2_upstream_action(const veil_exchange_t *x)
{
    return x->priv->state == VEIL_X_HEAD
               ? "while reading response header from upstream"
               : "while reading upstream";
}

static void
h2_upstream_log_reset(const veil_h2_upstream_stream_t *s, uint32_t error)
{
    veil_exchange_t *x = s->x;

    x->log->action = h2_upstream_action(x);
    if (s->was_reset) {
        veil_log(x->log, VEIL_LOG_ERR, 0, "upstream reset the stream: %s",
                 nghttp2_http2_strerror(error));
    } else {
        veil_log(x->log, VEIL_LOG_ERR, 0,
                 "upstream sent an invalid response over HTTP/2: %s",
                 s->invalid != 0 ? nghttp2_strerror(s->invalid)
                                 : nghttp2_http2_strerror(error));
    }
    x->log->action = NULL;
}

void
veil_h2_upstream_reset(veil_h2_upstream_stream_t *s, uint32_t error)
{
    veil_exchange_t *x = s->x;

    x->reset = error + 1;
    if (error == NGHTTP2_HTTP_1_1_REQUIRED && s->was_reset
        && veil_exchange_without_wire(x))
    {
        return;
    }
    if (error == NGHTTP2_REFUSED_STREAM || !s->sent) {
        veil_exchange_unprocessed(x);
        return;
    }
    x->priv->reused = false; /* it was heard: no race with its end */
    h2_upstream_log_reset(s, error);
    if (x->priv->state == VEIL_X_HEAD) {
        veil_exchange_failed(
            x, s->was_reset ? VEIL_NEXT_ERROR : VEIL_NEXT_INVALID_HEADER, 502);
        return;
    }
    veil_exchange_body_fail(x);
    veil_exchange_body_wake(x);
}

void
veil_h2_upstream_lose(veil_h2_upstream_t *h2, int err)
{
    veil_h2_upstream_stream_t *s;
    veil_exchange_t *x;

    while (!veil_list_is_empty(&h2->streams)) {
        s = veil_list_first(&h2->streams, veil_h2_upstream_stream_t, link);
        x = s->x;
        if (err == -ETIMEDOUT) {
            veil_exchange_on_write_timeout(x);
            if (x->priv->stream == s) {
                veil_exchange_on_eof(x, err);
            }
        } else if (err == -EPROTO) {
            x->priv->reused = false; /* asking it again is of no use */
            veil_exchange_log(x, VEIL_LOG_ERR, 0,
                              "upstream broke the rules of HTTP/2",
                              h2_upstream_action(x));
            veil_exchange_on_eof(x, err);
        } else if (!s->sent) {
            veil_exchange_unprocessed(x);
        } else {
            veil_exchange_on_eof(x, err);
        }
    }
}
