/*
 * h2_conn.c -- an HTTP/2 connection: bytes to frames, frames to bytes, and
 * the end of both.
 *
 * What arrives goes through the library at once; the requests whose heads it
 * completed are started when it has returned.  What is to be sent is asked of
 * the library when there is room: one buffer at a time, which is filled, then
 * written, then filled again.  So the library decides which stream is next,
 * and no stream's body is pulled before its bytes can go.
 *
 * A request ends when the write that has its last frame is over, as with
 * HTTP/1.  One that is reset ends at once.  Both wait in h2->over, as nothing
 * may end inside a call of the library's.
 *
 * A drain says GOAWAY twice (RFC 9113, 6.8): first that no more streams are
 * wanted, with the highest number there is, so that those on their way are
 * served; when a round trip is certainly over, with the last one that was.
 */

#include "modules/http2/h2.h"

#include "core/version.h"
#include "http/drain.h"

#define H2_PRIORITY_LEN 5 /* RFC 9113, 6.2 */
#define H2_GOAWAY_MS 1000 /* between the two, at least */

static void h2_conn_flush(veil_h2_t *h2);
static void h2_conn_run(veil_h2_t *h2);

static veil_h2_t *
h2_conn_of(veil_conn_t *c)
{
    veil_http_conn_t *hc = veil_container_of(c, veil_http_conn_t, c);

    VEIL_CHECK(hc, VEIL_HTTP_CONN);
    VEIL_CHECK(hc->h2, VEIL_H2);
    return hc->h2;
}

/* --- timeouts of the connection --------------------------------------------
 */

static const veil_http_core_loc_t *
h2_conn_loc(const veil_h2_t *h2)
{
    return h2->hc->server->loc_conf[veil_http_core_module.index];
}

/* Idle: until the next request; else streams have timers of their own. */
static void
h2_conn_arm(veil_h2_t *h2)
{
    uint64_t ms = 0;

    if (veil_h2_guard_is_broken(&h2->guard)) {
        return; /* it has one for its end */
    }
    if (h2->nstreams == 0) {
        if (h2->idle) {
            return; /* not begun anew by a PING */
        }
        h2->idle = true;
        h2->idle_since_ms = veil_now_ms();
        veil_http_conn_does(h2->hc, VEIL_HTTP_IDLE);
        ms = h2->hc->nrequests == 0
                 ? veil_http_conn_server(h2->hc)->client_header_timeout
                 : h2_conn_loc(h2)->keepalive_timeout;
    }
    veil_conn_read_timeout(&h2->hc->c, ms);
}

/* --- the end ---------------------------------------------------------------
 */

static void
h2_conn_free(veil_h2_t *h2)
{
    veil_http_conn_t *hc = h2->hc;

    VEIL_ASSERT(veil_list_is_empty(&h2->streams));
    veil_post_cancel(&h2->post);
    veil_timer_cancel(&h2->timer);
    veil_h2_guard_stop(h2);
    veil_h2_linger_free(h2);
    nghttp2_session_del(h2->session);
    veil_h2_out_free(h2);
    veil_free(h2->priority);
    h2->magic = VEIL_MAGIC_DEAD;
    veil_free(h2);
    hc->h2 = NULL;
    veil_http_conn_closed(hc);
}

/*
 * A tunnel that has ended on this side both ways: what the client sent last
 * is still on its way to the other, and the client needs not wait for it.
 */
static bool
h2_stream_is_said(const veil_h2_stream_t *s)
{
    return s->r->tunnelled && s->answered && s->in.complete
           && s->in.error == 0;
}

/* All requests lose their client; each ends as soon as it can. */
static void
h2_conn_lose_all(veil_h2_t *h2, int err)
{
    veil_list_t *l, *tmp;
    veil_h2_stream_t *s;

    veil_list_foreach_safe (l, tmp, &h2->streams) {
        s = veil_list_entry(l, veil_h2_stream_t, link);
        veil_h2_body_fail(s, 499);
        if (!s->started) {
            veil_h2_over(s);
        } else if (s->state < H2_STREAM_SENT && !h2_stream_is_said(s)) {
            veil_http_client_gone(s->r, err);
        }
    }
}

static void
h2_on_closed(veil_conn_t *c)
{
    veil_h2_t *h2 = h2_conn_of(c);

    h2->closed = true;
    h2_conn_lose_all(h2, 0);
    h2_conn_run(h2);
}

static void
h2_conn_close(veil_http_conn_t *hc)
{
    veil_list_t *l, *tmp;
    veil_h2_stream_t *s;

    veil_list_foreach_safe (l, tmp, &hc->h2->streams) {
        s = veil_list_entry(l, veil_h2_stream_t, link);
        if (s->state < H2_STREAM_SENT && h2_stream_is_said(s)) {
            veil_http_abort(s->r, NULL); /* nothing may take longer now */
        }
    }
    if (!hc->h2->closed) {
        veil_conn_close(&hc->c); /* on_closed() sees to the others */
    }
}

/* --- requests --------------------------------------------------------------
 */

void
veil_h2_wake(veil_h2_t *h2)
{
    veil_post(h2->hc->c.handle.loop, &h2->post);
}

void
veil_h2_over(veil_h2_stream_t *s)
{
    s->state = H2_STREAM_SENT;
    if (!veil_list_is_linked(&s->todo)) {
        veil_list_append(&s->h2->over, &s->todo);
    }
    veil_h2_wake(s->h2);
}

void
veil_h2_reset(veil_h2_stream_t *s, uint32_t error)
{
    if (s->state < H2_STREAM_SENT && !s->closed && !s->reset) {
        s->reset = true;
        (void) nghttp2_submit_rst_stream(s->h2->session, NGHTTP2_FLAG_NONE,
                                         s->id, error);
    }
    veil_h2_over(s);
}

static void
h2_stream_drop(veil_http_request_t *r)
{
    veil_h2_reset(r->stream,
                  r->status == 444 ? NGHTTP2_CANCEL : NGHTTP2_INTERNAL_ERROR);
}

/* Last act of a request: its stream goes with its pool. */
static void
h2_stream_ended(veil_http_request_t *r)
{
    veil_h2_stream_t *s = r->stream;
    veil_h2_t *h2 = s->h2;

    VEIL_CHECK(s, VEIL_H2_STREAM);
    veil_timer_cancel(&s->timer);
    veil_timer_cancel(&s->delay);
    if (s->out != NULL) {
        veil_http_body_abort(s->out);
    }
    veil_h2_body_done(s);
    if (!s->closed) {
        /* Answered before all was received: enough (RFC 9113, 8.1). */
        (void) nghttp2_session_set_stream_user_data(h2->session, s->id, NULL);
        if (!s->in.complete && !s->reset && !veil_h2_linger(s)) {
            (void) nghttp2_submit_rst_stream(h2->session, NGHTTP2_FLAG_NONE,
                                             s->id, NGHTTP2_NO_ERROR);
        }
    }
    if (veil_list_is_linked(&s->todo)) {
        veil_list_remove(&s->todo);
    }
    if (veil_list_is_linked(&s->woken)) {
        veil_list_remove(&s->woken);
    }
    veil_list_remove(&s->link);
    s->state = H2_STREAM_ENDED;
    s->magic = VEIL_MAGIC_DEAD;
    h2->nstreams--;
    veil_h2_wake(h2);
}

/* A head that was never complete is no request to log. */
static void
h2_stream_discard(veil_h2_stream_t *s)
{
    veil_http_request_t *r = s->r;

    h2_stream_ended(r);
    veil_http_request_discard(r);
}

static void
h2_conn_end_requests(veil_h2_t *h2)
{
    veil_h2_stream_t *s;

    while (!veil_list_is_empty(&h2->over)) {
        s = veil_list_first(&h2->over, veil_h2_stream_t, todo);
        veil_list_remove(&s->todo);
        if (!s->started) {
            h2_stream_discard(s);
        } else if (!s->r->waiting) {
            veil_http_request_end(s->r);
        }
    }
}

/* What the library's callbacks have left to do. */
static void
h2_conn_run(veil_h2_t *h2)
{
    veil_h2_stream_t *s;

    while (!veil_list_is_empty(&h2->woken)) {
        s = veil_list_first(&h2->woken, veil_h2_stream_t, woken);
        veil_list_remove(&s->woken);
        veil_h2_body_woken(s);
    }
    while (!veil_list_is_empty(&h2->ready)
           && !veil_h2_guard_is_broken(&h2->guard)) {
        s = veil_list_first(&h2->ready, veil_h2_stream_t, todo);
        veil_list_remove(&s->todo);
        veil_h2_head_done(s);
    }
    if (!veil_conn_is_writing(&h2->hc->c) || h2->closed) {
        h2_conn_end_requests(h2);
    }
    if (h2->closed) {
        if (h2->nstreams == 0) {
            h2_conn_free(h2);
        }
        return;
    }
    h2_conn_flush(h2);
}

static void
h2_conn_posted(veil_post_t *post)
{
    h2_conn_run(veil_container_of(post, veil_h2_t, post));
}

/* --- callbacks of the library ----------------------------------------------
 */

static int
h2_on_begin_frame(nghttp2_session *session, const nghttp2_frame_hd *hd,
                  void *data)
{
    veil_h2_t *h2 = data;

    (void) session;
    veil_h2_check_frame(h2, hd);
    if (hd->type == NGHTTP2_HEADERS) {
        h2->head_bytes = hd->length;
        if (hd->flags & NGHTTP2_FLAG_PRIORITY) {
            h2->head_bytes -= veil_min_size(h2->head_bytes, H2_PRIORITY_LEN);
        }
    } else if (hd->type == NGHTTP2_CONTINUATION) {
        h2->head_bytes += hd->length;
    }
    return veil_h2_guard_on_frame(h2, hd);
}

static int
h2_on_frame_recv(nghttp2_session *session, const nghttp2_frame *frame,
                 void *data)
{
    veil_h2_t *h2 = data;
    veil_h2_stream_t *s;

    if (frame->hd.type != NGHTTP2_HEADERS && frame->hd.type != NGHTTP2_DATA) {
        veil_h2_check_control(h2, frame);
        return 0;
    }
    s = nghttp2_session_get_stream_user_data(session, frame->hd.stream_id);
    if (s == NULL) {
        return 0;
    }
    if (frame->hd.type == NGHTTP2_HEADERS) {
        s->r->bytes_received += h2->head_bytes - frame->headers.padlen;
    }
    if (frame->hd.type == NGHTTP2_HEADERS && s->state == H2_STREAM_HEAD
        && !veil_list_is_linked(&s->todo))
    {
        s->r->in.has_body = (frame->hd.flags & NGHTTP2_FLAG_END_STREAM) == 0;
        veil_list_append(&h2->ready, &s->todo);
        veil_h2_priority_opened(s);
    }
    if (frame->hd.flags & NGHTTP2_FLAG_END_STREAM) {
        veil_h2_body_complete(s);
    }
    return 0;
}

/* The last frame of a response is on its way. */
static int
h2_on_frame_send(nghttp2_session *session, const nghttp2_frame *frame,
                 void *data)
{
    veil_h2_t *h2 = data;
    veil_h2_stream_t *s;

    veil_h2_check_sent(h2, frame);
    veil_h2_guard_on_sent(h2, frame);
    if (frame->hd.type != NGHTTP2_HEADERS && frame->hd.type != NGHTTP2_DATA) {
        return 0;
    }
    s = nghttp2_session_get_stream_user_data(session, frame->hd.stream_id);
    if (s == NULL) {
        return 0;
    }
    s->r->bytes_sent += H2_FRAME_HEAD;
    if (frame->hd.type == NGHTTP2_HEADERS) {
        s->r->bytes_sent += frame->hd.length;
    }
    if (frame->hd.flags & NGHTTP2_FLAG_END_STREAM) {
        s->answered = true;
        if (!s->r->tunnelled || s->in.dropped) {
            veil_h2_over(s);
        }
    }
    return 0;
}

static int
h2_on_stream_close(nghttp2_session *session, int32_t id, uint32_t error,
                   void *data)
{
    veil_h2_stream_t *s = nghttp2_session_get_stream_user_data(session, id);

    if (s == NULL) {
        veil_h2_linger_over(data, id);
        return 0;
    }
    s->closed = true;
    if (s->state < H2_STREAM_SENT && !h2_stream_is_said(s)) {
        veil_h2_body_fail(s, 499);
        if (!s->started) {
            veil_h2_over(s);
            return 0;
        }
        veil_debug(&s->r->log, "stream %d was reset, error %u", (int) id,
                   (unsigned) error);
        (void) error;
        veil_http_client_gone(s->r, 0);
    }
    return 0;
}

static nghttp2_session *
h2_conn_session(veil_h2_t *h2)
{
    static nghttp2_session_callbacks *callbacks;
    static nghttp2_option *option;

    if (callbacks == NULL) {
        nghttp2_session_callbacks_new(&callbacks);
        nghttp2_session_callbacks_set_on_begin_frame_callback(
            callbacks, h2_on_begin_frame);
        nghttp2_session_callbacks_set_on_begin_headers_callback(
            callbacks, veil_h2_on_begin_headers);
        nghttp2_session_callbacks_set_on_header_callback(callbacks,
                                                         veil_h2_on_header);
        nghttp2_session_callbacks_set_on_data_chunk_recv_callback(
            callbacks, veil_h2_on_data);
        nghttp2_session_callbacks_set_on_frame_recv_callback(callbacks,
                                                             h2_on_frame_recv);
        nghttp2_session_callbacks_set_on_invalid_frame_recv_callback(
            callbacks, veil_h2_on_invalid_frame);
        nghttp2_session_callbacks_set_on_frame_send_callback(callbacks,
                                                             h2_on_frame_send);
        nghttp2_session_callbacks_set_on_stream_close_callback(
            callbacks, h2_on_stream_close);
        nghttp2_session_callbacks_set_on_extension_chunk_recv_callback(
            callbacks, veil_h2_priority_chunk);
        nghttp2_session_callbacks_set_unpack_extension_callback(
            callbacks, veil_h2_priority_unpack);
        nghttp2_session_callbacks_set_send_data_callback(callbacks,
                                                         veil_h2_out_data);
        nghttp2_option_new(&option);
        nghttp2_option_set_no_auto_window_update(option, 1);
        nghttp2_option_set_no_closed_streams(option, 1);
        nghttp2_option_set_user_recv_extension_type(option,
                                                    NGHTTP2_PRIORITY_UPDATE);
    }
    veil_h2_guard_options(h2, option);
    return veil_h2_out_session(h2, callbacks, option);
}

/* --- sending ---------------------------------------------------------------
 */

/*
 * A limit was passed.  All requests end, GOAWAY is written when there is
 * room, and then only the client's end is waited for, a moment, as a close
 * with data unread would take the GOAWAY back.
 */
static void
h2_conn_calm(veil_h2_t *h2)
{
    veil_conn_t *c = &h2->hc->c;
    veil_h2_stream_t *s;
    veil_slice_t out;

    if (!h2->guard.lost) {
        h2->guard.lost = true;
        while (!veil_list_is_empty(&h2->ready)) {
            s = veil_list_first(&h2->ready, veil_h2_stream_t, todo);
            veil_list_remove(&s->todo);
            veil_h2_over(s);
        }
        h2_conn_lose_all(h2, 0);
    }
    if (veil_conn_is_writing(c)) {
        return;
    }
    if (veil_h2_guard_goaway(h2, &out)) {
        veil_conn_write(c, &out, 1);
    } else if (!h2->guard.finished) {
        h2->guard.finished = true;
        veil_conn_shutdown(c);
    }
}

/*
 * All is said.  A request that is on its way crosses our GOAWAY, and a close
 * with data unread would take that back: our side ends, and the client's is
 * waited for.
 */
static void
h2_conn_finish(veil_h2_t *h2)
{
    const veil_http_core_loc_t *conf = h2_conn_loc(h2);

    if (h2->lingering) {
        return;
    }
    if (conf->lingering_close == VEIL_LINGER_OFF) {
        veil_conn_close(&h2->hc->c);
        return;
    }
    h2->lingering = true;
    h2->linger_until_ms = veil_now_ms() + conf->lingering_time;
    veil_conn_shutdown(&h2->hc->c);
    veil_conn_read_timeout(&h2->hc->c, veil_min_size(conf->lingering_timeout,
                                                     conf->lingering_time));
}

static void
h2_conn_flush(veil_h2_t *h2)
{
    veil_conn_t *c = &h2->hc->c;
    veil_slice_t out;

    if (c->closing || h2->in_recv) {
        return;
    }
    if (veil_h2_guard_is_broken(&h2->guard)) {
        h2_conn_calm(h2);
        return;
    }
    if (veil_conn_is_writing(c)) {
        return;
    }
    if (!veil_h2_out_fill(h2)) {
        veil_conn_close(c);
        return;
    }
    if (veil_h2_guard_is_broken(&h2->guard)) {
        h2_conn_calm(h2);
        return;
    }
    if (h2->out_len != 0) {
        out = veil_slice_mem(h2->out, h2->out_len);
        veil_conn_write(c, &out, 1);
        return;
    }
    veil_h2_out_free(h2);
    if (!nghttp2_session_want_read(h2->session)
        && !nghttp2_session_want_write(h2->session))
    {
        h2_conn_finish(h2);
        return;
    }
    h2_conn_arm(h2);
}

static void
h2_on_sent(veil_conn_t *c, ssize_t res)
{
    veil_h2_t *h2 = h2_conn_of(c);

    veil_h2_out_written(h2);
    if (res < 0) {
        veil_log(&c->log, VEIL_LOG_INFO, (int) -res,
                 "sending to the client failed");
        veil_conn_close(c);
        return;
    }
    h2_conn_run(h2);
}

/* --- receiving -------------------------------------------------------------
 */

static void
h2_on_data(veil_conn_t *c, veil_buf_t *b)
{
    veil_h2_t *h2 = h2_conn_of(c);
    ssize_t n;

    if (veil_h2_guard_is_broken(&h2->guard)) {
        b->pos = b->end;
        return;
    }
    if (h2->lingering) {
        b->pos = b->end;
        if (veil_now_ms() >= h2->linger_until_ms) {
            veil_conn_close(c);
        }
        return;
    }
    if (veil_h2_scan(h2, b->pos, veil_buf_len(b)) != 0) {
        b->pos = b->end;
        h2_conn_run(h2);
        return;
    }
    h2->in_recv = true;
    h2->input = b;
    n = nghttp2_session_mem_recv(h2->session, b->pos, veil_buf_len(b));
    h2->input = NULL;
    h2->in_recv = false;
    b->pos = b->end;
    veil_h2_guard_received(h2, n);
    if (n < 0 && !veil_h2_guard_is_broken(&h2->guard)) {
        veil_log(&c->log, VEIL_LOG_INFO, 0,
                 "client broke the rules of HTTP/2: %s",
                 nghttp2_strerror((int) n));
        (void) nghttp2_session_terminate_session(h2->session,
                                                 NGHTTP2_PROTOCOL_ERROR);
    }
    h2_conn_run(h2);
}

static void
h2_on_eof(veil_conn_t *c, int err)
{
    veil_h2_t *h2 = h2_conn_of(c);

    h2_conn_lose_all(h2, err);
    veil_conn_close(c);
}

static void
h2_on_read_timeout(veil_conn_t *c)
{
    veil_h2_t *h2 = h2_conn_of(c);

    if (veil_h2_guard_is_broken(&h2->guard) || h2->lingering) {
        veil_conn_close(c);
        return;
    }
    if (h2->nstreams != 0) {
        return; /* a request began, and what is sent has not ended since */
    }
    if (h2->hc->nrequests == 0) {
        veil_log(&c->log, VEIL_LOG_INFO, ETIMEDOUT, "client timed out");
    }
    (void) nghttp2_session_terminate_session(h2->session, NGHTTP2_NO_ERROR);
    h2_conn_run(h2);
}

static void
h2_on_write_timeout(veil_conn_t *c)
{
    veil_log(&c->log, VEIL_LOG_INFO, ETIMEDOUT,
             "client timed out while responses were sent");
    if (h2_conn_loc(h2_conn_of(c))->reset_timedout_connection) {
        veil_conn_abort(c);
    } else {
        veil_conn_close(c);
    }
}

static const veil_conn_ops_t h2_conn_ops = {
    .name = "http/2",
    .on_data = h2_on_data,
    .on_eof = h2_on_eof,
    .on_sent = h2_on_sent,
    .on_read_timeout = h2_on_read_timeout,
    .on_write_timeout = h2_on_write_timeout,
    .on_closed = h2_on_closed,
};

/* --- the drain -------------------------------------------------------------
 */

static void
h2_conn_last_goaway(veil_timer_t *t)
{
    veil_h2_t *h2 = veil_container_of(t, veil_h2_t, timer);

    (void) nghttp2_submit_goaway(
        h2->session, NGHTTP2_FLAG_NONE,
        nghttp2_session_get_last_proc_stream_id(h2->session), NGHTTP2_NO_ERROR,
        NULL, 0);
    h2_conn_run(h2);
}

void
veil_h2_drain(veil_h2_t *h2)
{
    uint64_t ms = H2_GOAWAY_MS;

    if (h2->draining || h2->hc->c.closing || h2->closed) {
        return;
    }
    h2->draining = true;
    (void) nghttp2_submit_shutdown_notice(h2->session);
    if (veil_http_is_draining()) {
        ms = veil_http_drain_grace_ms(h2->hc);
        ms = ms > H2_GOAWAY_MS ? ms : H2_GOAWAY_MS;
    }
    veil_timer_set(h2->hc->c.handle.loop, &h2->timer, ms);
    veil_h2_wake(h2);
}

static void
h2_conn_requests(veil_http_conn_t *hc,
                 void (*fn)(veil_http_request_t *r, void *data), void *data)
{
    veil_list_t *l, *tmp;
    veil_h2_stream_t *s;

    veil_list_foreach_safe (l, tmp, &hc->h2->streams) {
        s = veil_list_entry(l, veil_h2_stream_t, link);
        fn(s->r, data);
    }
}

static veil_http_stage_t
h2_conn_stage(const veil_http_conn_t *hc, const veil_http_request_t *r,
              uint64_t *since_ms)
{
    const veil_h2_t *h2 = hc->h2;
    const veil_h2_stream_t *s;

    if (r != NULL) {
        s = h2_stream_of(r);
        if (s->state == H2_STREAM_HEAD) {
            return VEIL_HTTP_STAGE_HEAD;
        }
        return s->in.waiting ? VEIL_HTTP_STAGE_BODY : VEIL_HTTP_STAGE_WORKING;
    }
    if (h2->lingering || veil_h2_guard_is_broken(&h2->guard)) {
        return VEIL_HTTP_STAGE_CLOSING;
    }
    *since_ms = h2->idle ? h2->idle_since_ms : veil_now_ms();
    return VEIL_HTTP_STAGE_IDLE;
}

static void
h2_conn_drain(veil_http_conn_t *hc)
{
    veil_h2_drain(hc->h2);
}

const veil_http_proto_t veil_h2_proto = {
    .name = "http/2",
    .frames = true,
    .respond = veil_h2_respond,
    .inform = veil_h2_inform,
    .body = veil_h2_request_body,
    .tunnel = veil_h2_tunnel,
    .drop = h2_stream_drop,
    .ended = h2_stream_ended,
    .requests = h2_conn_requests,
    .stage = h2_conn_stage,
    .drain = h2_conn_drain,
    .close = h2_conn_close,
};

/* --- the beginning ---------------------------------------------------------
 */

static void
h2_conn_settings(veil_h2_t *h2)
{
    const h2_conf_t *conf = h2->conf;
    nghttp2_settings_entry iv[] = {
        { NGHTTP2_SETTINGS_HEADER_TABLE_SIZE,
          (uint32_t) conf->header_table_size },
        { NGHTTP2_SETTINGS_MAX_CONCURRENT_STREAMS,
          (uint32_t) conf->max_streams },
        { NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE, (uint32_t) conf->window },
        { NGHTTP2_SETTINGS_MAX_FRAME_SIZE, (uint32_t) conf->max_frame_size },
        { NGHTTP2_SETTINGS_MAX_HEADER_LIST_SIZE,
          (uint32_t) conf->max_list_size },
        { NGHTTP2_SETTINGS_ENABLE_CONNECT_PROTOCOL, 1 },
        { NGHTTP2_SETTINGS_NO_RFC7540_PRIORITIES, 1 },
    };

    (void) nghttp2_submit_settings(h2->session, NGHTTP2_FLAG_NONE, iv,
                                   sizeof(iv) / sizeof(iv[0]));
    (void) nghttp2_session_set_local_window_size(
        h2->session, NGHTTP2_FLAG_NONE, 0, (int32_t) conf->conn_window);
}

void
veil_h2_start(veil_http_conn_t *hc)
{
    veil_h2_t *h2 = veil_zalloc(sizeof(*h2));

    h2->magic = VEIL_H2_MAGIC;
    h2->hc = hc;
    h2->conf = hc->server->server_conf[veil_http_v2_module.index];
    veil_list_init(&h2->streams);
    veil_list_init(&h2->ready);
    veil_list_init(&h2->over);
    veil_list_init(&h2->woken);
    veil_list_init(&h2->lingers);
    veil_post_init(&h2->post, h2_conn_posted);
    veil_timer_init(&h2->timer, h2_conn_last_goaway);
    h2->session = h2_conn_session(h2);
    hc->h2 = h2;
    veil_h2_guard_start(h2);
    hc->proto = &veil_h2_proto;
    hc->c.ops = &h2_conn_ops;
    h2_conn_settings(h2);
    veil_conn_write_timeout(&hc->c, h2_conn_loc(h2)->send_timeout);
    h2_conn_arm(h2);
    veil_conn_read(&hc->c);
    veil_h2_wake(h2);
}
