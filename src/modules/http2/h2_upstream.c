/*
 * h2_upstream.c -- HTTP/2 to upstreams: a connection that exchanges share.
 *
 * What arrives goes through the library at once, whose callbacks tell the
 * exchanges; what is to be sent is asked of the library when there is room,
 * one buffer at a time, so it decides which stream is next, and no request's
 * body is pulled before its bytes can go.  The library is never entered from
 * its own callbacks, and lives until the connection is closed.
 *
 * A connection on which no stream may begin any more (GOAWAY, its limits of
 * requests or time) serves those it has and ends with the last.  So does one
 * that was silent while a stream waited for too long: its peer may be dead.
 * A stream that is given up is no reason to end its connection.
 *
 * Only the first stream begins before the peer's SETTINGS have come, which say
 * how many there may be; they must come within proxy_connect_timeout.  If the
 * peer takes some of that back, those it does not know of yet go elsewhere.
 *
 * A peer that sends much that is of no use (pings, settings, empty frames) is
 * left: H2_IDLE_FRAMES of them without a head, a byte of a body, or a frame of
 * ours with such; of which H2_IDLE_RATE a second are forgotten, as a stream
 * may live for days.  Frames of unknown types the library skips, uncounted.
 */

#include "modules/http2/h2_upstream.h"
#include "core/fault.h"

#define H2_OUT_MAX 65536
#define H2_FRAME_MAX (16384 + 9 + 256)
#define H2_IDLE_FRAMES 1000
#define H2_IDLE_RATE 100
/* CONTINUATIONs of a head. */
#define H2_CONTINUATIONS 64
/* Streams on a connection; and its peer may want fewer. */
#define H2_STREAMS_MAX 256
/* What a peer may send before it is read: of a body, of all of them. */
#define H2_WINDOW (128 * 1024)
#define H2_CONN_WINDOW (4 * 1024 * 1024)
/* For what a peer has said that takes nothing any more. */
#define H2_LAST_WORDS_MS 1000

static void h2_upstream_flush(veil_h2_upstream_t *h2);

static veil_h2_upstream_t *
h2_upstream_of(veil_conn_t *c)
{
    veil_h2_upstream_t *h2 = veil_upstream_conn_of(c)->session;

    VEIL_CHECK(h2, VEIL_H2_UPSTREAM);
    return h2;
}

/* --- the end ---------------------------------------------------------------
 */

static void
h2_upstream_end(veil_h2_upstream_t *h2, int err)
{
    h2->ended = true;
    veil_h2_upstream_doom(h2);
    veil_h2_upstream_lose(h2, err);
    veil_upstream_conn_fail_joined(h2->uc, err != 0 ? err : -ECONNRESET);
    veil_upstream_conn_close(h2->uc);
}

void
veil_h2_upstream_doom(veil_h2_upstream_t *h2)
{
    h2->dead = true;
    veil_upstream_conn_unshare(h2->uc);
}

/* The last of those that waited for its limits has left. */
static void
h2_upstream_unwanted(veil_upstream_conn_t *uc)
{
    veil_h2_upstream_t *h2 = uc->session;

    if (h2->nstreams == 0) {
        veil_h2_upstream_rest(h2);
    }
}

/* What is to be sent still is, and GOAWAY; h2_upstream_flush() ends it. */

static void
h2_upstream_retire(veil_upstream_conn_t *uc)
{
    veil_h2_upstream_t *h2 = uc->session;

    VEIL_ASSERT(h2->nstreams == 0);
    h2->dead = true;
    h2->leaving = true;
    veil_conn_read_timeout(&uc->c, 0);
    veil_h2_upstream_wake(h2);
}

void
veil_h2_upstream_rest(veil_h2_upstream_t *h2)
{
    veil_upstream_conn_t *uc = h2->uc;

    if (uc->group == NULL) {
        return; /* it ends already */
    }
    if (h2->ended || uc->c.closing
        || (!h2->settings && !h2->dead && uc->njoined != 0))
    {
        return; /* or others wait for its limits, and its timer runs */
    }
    veil_upstream_conn_unshare(uc);
    veil_upstream_conn_keep(
        uc, h2->conf,
        !h2->dead && h2->settings
            && nghttp2_session_check_request_allowed(h2->session));
}

static void
h2_upstream_on_closed(veil_conn_t *c)
{
    veil_h2_upstream_t *h2 = h2_upstream_of(c);

    VEIL_ASSERT(veil_list_is_empty(&h2->streams));
    veil_post_cancel(&h2->post);
    nghttp2_session_del(h2->session);
    veil_free(h2->out);
    h2->uc->session = NULL;
    h2->magic = VEIL_MAGIC_DEAD;
    veil_free(h2);
    veil_upstream_conn_on_closed(c);
}

/* --- callbacks of the library ----------------------------------------------
 */

void
veil_h2_upstream_calm(veil_h2_upstream_t *h2, const char *why)
{
    if (h2->broken) {
        return;
    }
    h2->broken = true;
    veil_log(&h2->uc->c.log, VEIL_LOG_ERR, 0,
             "upstream \"%.*s\" %s, its connection is ended",
             VEIL_STR_ARG(h2->uc->peer->name), why);
    (void) nghttp2_session_terminate_session(h2->session,
                                             NGHTTP2_ENHANCE_YOUR_CALM);
}

/* Each frame is of no use, until it turns out to be. */
static void
h2_upstream_count_frame(veil_h2_upstream_t *h2)
{
    uint64_t now = veil_now_ms();
    uint64_t forgotten = (now - h2->idle_ms) * H2_IDLE_RATE / 1000;

    if (forgotten != 0) {
        h2->nidle_frames -=
            (unsigned) veil_min_size(h2->nidle_frames, forgotten);
        h2->idle_ms = now;
    }
    if (++h2->nidle_frames > H2_IDLE_FRAMES) {
        veil_h2_upstream_calm(h2, "sends HTTP/2 frames of no use");
    }
}

static int
h2_upstream_on_begin_frame(nghttp2_session *session,
                           const nghttp2_frame_hd *hd, void *data)
{
    veil_h2_upstream_t *h2 = data;

    (void) session;
    h2_upstream_count_frame(h2);
    if (hd->type != NGHTTP2_CONTINUATION) {
        h2->ncontinued = 0;
    } else if (++h2->ncontinued > H2_CONTINUATIONS) {
        veil_h2_upstream_calm(h2, "sends a head in too many CONTINUATIONs");
    }
    return 0;
}

static int
h2_upstream_on_invalid_frame(nghttp2_session *session,
                             const nghttp2_frame *frame, int error, void *data)
{
    veil_h2_upstream_stream_t *s =
        nghttp2_session_get_stream_user_data(session, frame->hd.stream_id);

    (void) data;
    if (s != NULL) {
        s->invalid = error;
    }
    return 0;
}

/* The first frame of all: who waited for the peer's limits knows them. */
static void
h2_upstream_first_settings(veil_h2_upstream_t *h2)
{
    h2->settings = true;
    veil_conn_read_timeout(&h2->uc->c, 0);
    veil_upstream_conn_serve(h2->uc);
    if (h2->nstreams == 0) {
        veil_h2_upstream_rest(h2); /* nobody did, in the end */
    }
}

static uint32_t
h2_upstream_max_streams(const veil_h2_upstream_t *h2)
{
    uint32_t max = nghttp2_session_get_remote_settings(
        h2->session, NGHTTP2_SETTINGS_MAX_CONCURRENT_STREAMS);

    return max < H2_STREAMS_MAX ? max : H2_STREAMS_MAX;
}

static void
h2_upstream_fewer(veil_h2_upstream_t *h2)
{
    uint32_t max = h2_upstream_max_streams(h2);
    veil_h2_upstream_stream_t *s;
    veil_list_t *l, *tmp;

    veil_list_foreach_safe (l, tmp, &h2->streams) {
        s = veil_list_entry(l, veil_h2_upstream_stream_t, link);
        if (h2->nstreams <= max) {
            return;
        }
        if (!s->sent) {
            (void) veil_exchange_move(s->x);
        }
    }
}

static void
h2_upstream_on_goaway(veil_h2_upstream_t *h2, const nghttp2_goaway *goaway)
{
    if (goaway->error_code != NGHTTP2_NO_ERROR && !h2->dead) {
        veil_log(&h2->uc->c.log, VEIL_LOG_ERR, 0,
                 "upstream \"%.*s\" ends its HTTP/2 connection: %s",
                 VEIL_STR_ARG(h2->uc->peer->name),
                 nghttp2_http2_strerror(goaway->error_code));
    }
    veil_h2_upstream_doom(h2);
}

static int
h2_upstream_on_frame(nghttp2_session *session, const nghttp2_frame *frame,
                     void *data)
{
    veil_h2_upstream_t *h2 = data;
    bool ended = (frame->hd.flags & NGHTTP2_FLAG_END_STREAM) != 0;
    veil_h2_upstream_stream_t *s;

    switch (frame->hd.type) {
    case NGHTTP2_HEADERS:
    case NGHTTP2_DATA:
        s = nghttp2_session_get_stream_user_data(session, frame->hd.stream_id);
        if (s == NULL) {
            return 0;
        }
        s->ended = ended;
        if (frame->hd.type == NGHTTP2_HEADERS) {
            veil_h2_upstream_head_done(s, ended);
        } else if (ended) {
            veil_exchange_body_ended(s->x);
        }
        return 0;
    case NGHTTP2_RST_STREAM:
        s = nghttp2_session_get_stream_user_data(session, frame->hd.stream_id);
        if (s != NULL) {
            s->was_reset = true;
        }
        return 0;
    case NGHTTP2_GOAWAY:
        h2_upstream_on_goaway(h2, &frame->goaway);
        return 0;
    case NGHTTP2_SETTINGS:
        if (!h2->settings) {
            h2_upstream_first_settings(h2);
        } else if ((frame->hd.flags & NGHTTP2_FLAG_ACK) == 0) {
            h2_upstream_fewer(h2);
        }
        return 0;
    default:
        return 0;
    }
}

static int
h2_upstream_on_frame_sent(nghttp2_session *session, const nghttp2_frame *frame,
                          void *data)
{
    veil_h2_upstream_t *h2 = data;
    veil_h2_upstream_stream_t *s;

    if (frame->hd.type == NGHTTP2_DATA) {
        h2->nidle_frames = 0;
    } else if (frame->hd.type == NGHTTP2_HEADERS) {
        h2->nidle_frames = 0;
        s = nghttp2_session_get_stream_user_data(session, frame->hd.stream_id);
        if (s != NULL) {
            s->sent = true;
            s->x->priv->head_sent = true;
            s->bytes_out += frame->hd.length + 9;
        }
    } else if (frame->hd.type == NGHTTP2_GOAWAY
               && frame->goaway.error_code != NGHTTP2_NO_ERROR && !h2->broken)
    {
        h2->broken = true; /* the library has found it out */
        veil_log(&h2->uc->c.log, VEIL_LOG_ERR, 0,
                 "upstream \"%.*s\" broke the rules of HTTP/2: %s (%.*s)",
                 VEIL_STR_ARG(h2->uc->peer->name),
                 nghttp2_http2_strerror(frame->goaway.error_code),
                 (int) frame->goaway.opaque_data_len,
                 (const char *) frame->goaway.opaque_data);
    }
    return 0;
}

static int
h2_upstream_on_stream_close(nghttp2_session *session, int32_t id,
                            uint32_t error, void *data)
{
    veil_h2_upstream_stream_t *s =
        nghttp2_session_get_stream_user_data(session, id);

    (void) data;
    if (s != NULL) {
        s->closed = true;
        veil_h2_upstream_reset(s, error);
    }
    return 0;
}

static nghttp2_session *
h2_upstream_session(veil_h2_upstream_t *h2)
{
    static nghttp2_session_callbacks *callbacks;
    static nghttp2_option *option;
    nghttp2_session *session;

    if (callbacks == NULL) {
        nghttp2_session_callbacks_new(&callbacks);
        nghttp2_session_callbacks_set_on_begin_frame_callback(
            callbacks, h2_upstream_on_begin_frame);
        nghttp2_session_callbacks_set_on_invalid_frame_recv_callback(
            callbacks, h2_upstream_on_invalid_frame);
        nghttp2_session_callbacks_set_on_begin_headers_callback(
            callbacks, veil_h2_upstream_on_begin);
        nghttp2_session_callbacks_set_on_header_callback(
            callbacks, veil_h2_upstream_on_field);
        nghttp2_session_callbacks_set_on_data_chunk_recv_callback(
            callbacks, veil_h2_upstream_on_data);
        nghttp2_session_callbacks_set_on_frame_recv_callback(
            callbacks, h2_upstream_on_frame);
        nghttp2_session_callbacks_set_on_frame_send_callback(
            callbacks, h2_upstream_on_frame_sent);
        nghttp2_session_callbacks_set_on_stream_close_callback(
            callbacks, h2_upstream_on_stream_close);
        nghttp2_option_new(&option);
        nghttp2_option_set_no_auto_window_update(option, 1);
        nghttp2_option_set_no_closed_streams(option, 1);
    }
    if (nghttp2_session_client_new2(&session, callbacks, h2, option) != 0) {
        veil_panic("out of memory");
    }
    return session;
}

/* --- sending ---------------------------------------------------------------
 */

static void
h2_upstream_reserve(veil_h2_upstream_t *h2, size_t n)
{
    if (h2->out_len + n > h2->out_cap) {
        h2->out_cap = veil_max_size(h2->out_len + n, H2_OUT_MAX);
        h2->out = veil_realloc(h2->out, h2->out_cap);
    }
}

/*
 * The peer has broken the rules, or floods: streams go at once, and the
 * connection when it has had our GOAWAY.
 */
static void
h2_upstream_break(veil_h2_upstream_t *h2)
{
    veil_h2_upstream_doom(h2);
    veil_h2_upstream_lose(h2, -EPROTO);
    veil_upstream_conn_fail_joined(h2->uc, -EPROTO);
}

/* Fills the buffer; false: the session is beyond help. */
static bool
h2_upstream_fill(veil_h2_upstream_t *h2)
{
    const uint8_t *data;
    ssize_t n;

    while (h2->out_len + H2_FRAME_MAX <= H2_OUT_MAX) {
        n = nghttp2_session_mem_send(h2->session, &data);
        if (n < 0) {
            veil_log(&h2->uc->c.log, VEIL_LOG_ERR, 0,
                     "nghttp2_session_mem_send() failed: %s",
                     nghttp2_strerror((int) n));
            return false;
        }
        if (n == 0 && h2->leaving) {
            h2->leaving = false; /* GOAWAY comes last: nothing may follow */
            (void) nghttp2_session_terminate_session(h2->session,
                                                     NGHTTP2_NO_ERROR);
            continue;
        }
        if (n == 0) {
            break;
        }
        h2_upstream_reserve(h2, (size_t) n);
        memcpy(h2->out + h2->out_len, data, (size_t) n);
        h2->out_len += (size_t) n;
    }
    return true;
}

static void
h2_upstream_flush(veil_h2_upstream_t *h2)
{
    veil_conn_t *c = &h2->uc->c;
    veil_slice_t out;

    if (veil_conn_is_writing(c) || c->closing || h2->in_recv) {
        return;
    }
    if (h2->send_error != 0) {
        if (h2->nstreams == 0) {
            h2_upstream_end(h2, h2->send_error);
        }
        return;
    }
    if (!h2_upstream_fill(h2)) {
        h2_upstream_end(h2, -EPROTO);
        return;
    }
    if (h2->broken) {
        h2_upstream_break(h2);
    }
    if (c->closing) {
        return; /* the last stream has left meanwhile */
    }
    if (h2->out_len != 0) {
        out = veil_slice_mem(h2->out, h2->out_len);
        VEIL_FAULT("h2_upstream.send");
        veil_conn_write(c, &out, 1);
        return;
    }
    veil_free(h2->out);
    h2->out = NULL;
    h2->out_cap = 0;
    if (!nghttp2_session_want_read(h2->session)
        && !nghttp2_session_want_write(h2->session))
    {
        h2_upstream_end(h2, 0);
    }
}

static void
h2_upstream_posted(veil_post_t *post)
{
    h2_upstream_flush(veil_container_of(post, veil_h2_upstream_t, post));
}

void
veil_h2_upstream_wake(veil_h2_upstream_t *h2)
{
    veil_post(h2->uc->c.handle.loop, &h2->post);
}

static void
h2_upstream_on_sent(veil_conn_t *c, ssize_t res)
{
    veil_h2_upstream_t *h2 = h2_upstream_of(c);

    h2->out_len = 0;
    if (res < 0) {
        /*
         * What the peer has said may wait to be read all the same: answers,
         * and which requests it has not looked at.  Its end comes behind.
         */
        h2->send_error = (int) res;
        veil_h2_upstream_doom(h2);
        veil_upstream_conn_fail_joined(h2->uc, (int) res);
        veil_conn_read_timeout(c, H2_LAST_WORDS_MS);
    }
    h2_upstream_flush(h2);
}

/* --- receiving -------------------------------------------------------------
 */

static void
h2_upstream_on_bytes(veil_conn_t *c, veil_buf_t *b)
{
    veil_h2_upstream_t *h2 = h2_upstream_of(c);
    ssize_t n;

    if (h2->broken) {
        b->pos = b->end; /* only its end is waited for */
        return;
    }
    h2->in_recv = true;
    h2->input = b;
    h2->heard_ms = veil_now_ms();
    n = nghttp2_session_mem_recv(h2->session, b->pos, veil_buf_len(b));
    h2->input = NULL;
    h2->in_recv = false;
    b->pos = b->end;
    if (n < 0) {
        veil_log(&c->log, VEIL_LOG_ERR, 0,
                 "upstream \"%.*s\" does not speak HTTP/2: %s",
                 VEIL_STR_ARG(h2->uc->peer->name), nghttp2_strerror((int) n));
        h2_upstream_end(h2, -EPROTO);
        return;
    }
    if (h2->nstreams == 0 && !h2->dead
        && !nghttp2_session_check_request_allowed(h2->session))
    {
        veil_upstream_conn_retire(h2->uc); /* GOAWAY, while it was idle */
    }
    h2_upstream_flush(h2);
}

static void
h2_upstream_on_eof(veil_conn_t *c, int err)
{
    veil_h2_upstream_t *h2 = h2_upstream_of(c);

    h2_upstream_end(h2, h2->broken ? -EPROTO
                        : err != 0 ? err
                                   : h2->send_error);
}

/* No SETTINGS, or idle for too long: streams have timers of their own. */
static void
h2_upstream_on_read_timeout(veil_conn_t *c)
{
    veil_h2_upstream_t *h2 = h2_upstream_of(c);

    if (h2->send_error != 0) {
        h2_upstream_end(h2, h2->send_error);
        return;
    }
    if (h2->settings) {
        veil_upstream_conn_retire(h2->uc);
        return;
    }
    veil_log(&c->log, VEIL_LOG_ERR, ETIMEDOUT,
             "upstream \"%.*s\" sent no SETTINGS of HTTP/2",
             VEIL_STR_ARG(h2->uc->peer->name));
    h2_upstream_end(h2, -ETIMEDOUT);
}

static void
h2_upstream_on_write_timeout(veil_conn_t *c)
{
    h2_upstream_end(h2_upstream_of(c), -ETIMEDOUT);
}

const veil_conn_ops_t veil_h2_upstream_conn_ops = {
    .name = "upstream http/2",
    .on_data = h2_upstream_on_bytes,
    .on_eof = h2_upstream_on_eof,
    .on_sent = h2_upstream_on_sent,
    .on_read_timeout = h2_upstream_on_read_timeout,
    .on_write_timeout = h2_upstream_on_write_timeout,
    .on_closed = h2_upstream_on_closed,
};

/* --- the beginning ---------------------------------------------------------
 */

void
veil_h2_upstream_begin(veil_upstream_conn_t *uc)
{
    static const nghttp2_settings_entry iv[] = {
        { NGHTTP2_SETTINGS_ENABLE_PUSH, 0 },
        { NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE, H2_WINDOW },
        { NGHTTP2_SETTINGS_NO_RFC7540_PRIORITIES, 1 },
    };
    veil_h2_upstream_t *h2 = veil_zalloc(sizeof(*h2));

    h2->magic = VEIL_H2_UPSTREAM_MAGIC;
    h2->uc = uc;
    uc->session = h2;
    veil_list_init(&h2->streams);
    veil_post_init(&h2->post, h2_upstream_posted);
    h2->session = h2_upstream_session(h2);
    (void) nghttp2_submit_settings(h2->session, NGHTTP2_FLAG_NONE, iv,
                                   veil_countof(iv));
    (void) nghttp2_session_set_local_window_size(
        h2->session, NGHTTP2_FLAG_NONE, 0, H2_CONN_WINDOW);
    veil_conn_read(&uc->c);
}

unsigned
veil_h2_upstream_room(const veil_upstream_conn_t *uc)
{
    const veil_h2_upstream_t *h2 = uc->session;
    uint32_t max;

    if (h2->dead || !h2->settings || uc->c.closing || uc->c.eof
        || !nghttp2_session_check_request_allowed(h2->session)
        || uc->nrequests >= uc->group->keepalive_requests
        || veil_now_ms() - uc->start_ms >= uc->group->keepalive_time)
    {
        return 0;
    }
    max = h2_upstream_max_streams(h2);
    return h2->nstreams < max ? max - h2->nstreams : 0;
}

/* --- the module ------------------------------------------------------------
 */

const veil_upstream_wire_t veil_h2_upstream_wire = {
    .name = "h2",
    .conn = &veil_h2_upstream_conn_ops,
    .begin = veil_h2_upstream_begin,
    .room = veil_h2_upstream_room,
    .send = veil_h2_upstream_send,
    .read = veil_h2_upstream_read,
    .hold = veil_h2_upstream_hold,
    .timeout = veil_h2_upstream_timeout,
    .count = veil_h2_upstream_count,
    .leave = veil_h2_upstream_leave,
    .retire = h2_upstream_retire,
    .unwanted = h2_upstream_unwanted,
};

static const veil_http_module_t h2_upstream_hooks = {
    .wire = &veil_h2_upstream_wire,
};

veil_module_t veil_http_v2_upstream_module = {
    .abi = VEIL_MODULE_ABI,
    .name = "v2_upstream",
    .http = &h2_upstream_hooks,
};
