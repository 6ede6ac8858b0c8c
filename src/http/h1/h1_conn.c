/*
 * h1_conn.c -- an HTTP/1 connection: states of the reading direction.
 *
 * The table below is the whole of it: what a state does with bytes, with the
 * end of the stream, with a timeout.  veil_h1_enter() is the only way from
 * one to another; it arms the timer and says whether data is wanted.
 *
 * While a request is worked on and its body is not being read, the state is
 * "hold": bytes of a next, pipelined request stay where the connection keeps
 * them, and the end of the stream means that the client has gone.
 *
 * A body nobody wants is thrown away, while the response is sent and after
 * it; the request ends when all of it has come.  It ends in veil_h1_ended():
 * then the connection is idle again or says goodbye.  Closing while the
 * client may still be sending would reset the connection and could destroy
 * our answer on its way (RFC 9112, 9.6), hence "linger".
 */

#include "core/platform.h"

#include "core/time.h"
#include "core/trace.h"
#include "http/core_module.h"
#include "http/drain.h"
#include "http/h1/h1_impl.h"

/*
 * How long the end of a client is waited for whose idle connection a drain
 * has closed: a round trip, or many.
 */
#define H1_DRAIN_LINGER_MS 1000
/* How long a drain waits at least for the first byte of a new connection. */
#define H1_DRAIN_FIRST_MS 1000

static void h1_drain(veil_http_conn_t *hc);
static void h1_requests(veil_http_conn_t *hc,
                        void (*fn)(veil_http_request_t *r, void *data),
                        void *data);
static veil_http_stage_t h1_stage(const veil_http_conn_t *hc,
                                  const veil_http_request_t *r,
                                  uint64_t *since_ms);
static void h1_on_linger_data(veil_http_conn_t *hc, veil_buf_t *b);
static void h1_keep(veil_http_conn_t *hc, veil_buf_t *b);
static void h1_eof_close(veil_http_conn_t *hc, int err);
static void h1_eof_head(veil_http_conn_t *hc, int err);
static void h1_eof_gone(veil_http_conn_t *hc, int err);
static void h1_eof_discard(veil_http_conn_t *hc, int err);
static void h1_timeout_close(veil_http_conn_t *hc);
static void h1_timeout_head(veil_http_conn_t *hc);
static void h1_timeout_none(veil_http_conn_t *hc);
static void h1_timeout_discard(veil_http_conn_t *hc);

/* clang-format off */
/*                                         name       data                  eof                  timeout                  wants */
const veil_h1_state_t veil_h1_idle =      { "idle",    veil_h1_on_head_data, h1_eof_close,        h1_timeout_close,        true };
const veil_h1_state_t veil_h1_head =      { "head",    veil_h1_on_head_data, h1_eof_head,         h1_timeout_head,         true };
const veil_h1_state_t veil_h1_read_body = { "body",    veil_h1_on_body_data, veil_h1_on_body_eof, veil_h1_on_body_timeout, true };
const veil_h1_state_t veil_h1_hold =      { "hold",    h1_keep,              h1_eof_gone,         h1_timeout_none,         false };
const veil_h1_state_t veil_h1_discard =   { "discard", veil_h1_on_discard_data, h1_eof_discard,   h1_timeout_discard,      true };
const veil_h1_state_t veil_h1_linger =    { "linger",  h1_on_linger_data,    h1_eof_close,        h1_timeout_close,        true };
/* clang-format on */

const veil_http_proto_t veil_h1_proto = {
    .name = "http/1",
    .respond = veil_h1_respond,
    .inform = veil_h1_inform,
    .body = veil_h1_request_body,
    .tunnel = veil_h1_tunnel,
    .drop = veil_h1_drop,
    .ended = veil_h1_ended,
    .requests = h1_requests,
    .stage = h1_stage,
    .drain = h1_drain,
    .close = veil_h1_close,
};

void
veil_h1_enter(veil_http_conn_t *hc, const veil_h1_state_t *state,
              uint64_t timeout_ms)
{
    veil_trace_note(state->name, hc, (int64_t) timeout_ms);
    hc->h1.state = state;
    veil_http_conn_does(hc, state == &veil_h1_idle   ? VEIL_HTTP_IDLE
                            : state == &veil_h1_head ? VEIL_HTTP_READING
                                                     : VEIL_HTTP_WRITING);
    if (hc->h1.closed) {
        return; /* what is aborted by the end of a request comes here, too */
    }
    veil_conn_read_timeout(&hc->c, timeout_ms);
    if (state->wants_data) {
        veil_conn_read(&hc->c);
    } else {
        veil_conn_hold(&hc->c);
    }
}

/* --- from the connection to the state --------------------------------------
 */

static veil_http_conn_t *
h1_of(veil_conn_t *c)
{
    veil_http_conn_t *hc = veil_container_of(c, veil_http_conn_t, c);

    VEIL_CHECK(hc, VEIL_HTTP_CONN);
    return hc;
}

static void
h1_on_data(veil_conn_t *c, veil_buf_t *b)
{
    veil_http_conn_t *hc = h1_of(c);
    const veil_h1_state_t *state;

    /* What one state leaves may be the beginning for the next. */
    do {
        state = hc->h1.state;
        state->on_data(hc, b);
    } while (hc->proto == &veil_h1_proto && hc->h1.state != state
             && hc->h1.state->wants_data && b->pos < b->end && !hc->c.closing);
}

static void
h1_on_eof(veil_conn_t *c, int err)
{
    veil_http_conn_t *hc = h1_of(c);

    hc->h1.state->on_eof(hc, err);
}

static void
h1_on_read_timeout(veil_conn_t *c)
{
    veil_http_conn_t *hc = h1_of(c);

    hc->h1.state->on_timeout(hc);
}

static void
h1_on_closed(veil_conn_t *c)
{
    veil_http_conn_t *hc = h1_of(c);
    veil_http_request_t *r = hc->h1.r;

    hc->h1.closed = true;
    veil_h1_free_head(hc);
    if (r == NULL) {
        veil_http_conn_closed(hc);
    } else if (!r->waiting) {
        veil_http_request_end(r);
    }
}

static const veil_conn_ops_t h1_conn_ops = {
    .name = "http/1",
    .on_data = h1_on_data,
    .on_eof = h1_on_eof,
    .on_sent = veil_h1_on_sent,
    .on_read_timeout = h1_on_read_timeout,
    .on_write_timeout = veil_h1_on_write_timeout,
    .on_closed = h1_on_closed,
};

void
veil_h1_start(veil_http_conn_t *hc)
{
    hc->proto = &veil_h1_proto;
    hc->c.ops = &h1_conn_ops;
    hc->h1.idle_since_ms = veil_now_ms();
    veil_h1_enter(hc, &veil_h1_idle,
                  veil_http_conn_server(hc)->client_header_timeout);
}

static void
h1_requests(veil_http_conn_t *hc,
            void (*fn)(veil_http_request_t *r, void *data), void *data)
{
    if (hc->h1.r != NULL) {
        fn(hc->h1.r, data);
    }
}

static veil_http_stage_t
h1_stage(const veil_http_conn_t *hc, const veil_http_request_t *r,
         uint64_t *since_ms)
{
    if (r != NULL) {
        return hc->h1.state == &veil_h1_read_body ? VEIL_HTTP_STAGE_BODY
                                                  : VEIL_HTTP_STAGE_WORKING;
    }
    if (hc->h1.state == &veil_h1_idle) {
        *since_ms = hc->h1.idle_since_ms;
        return VEIL_HTTP_STAGE_IDLE;
    }
    return hc->h1.state == &veil_h1_head ? VEIL_HTTP_STAGE_HEAD
                                         : VEIL_HTTP_STAGE_CLOSING;
}

/* --- the drain ------------------------------------------------------------
 */

/* It is idle, and closed soon: but not sooner than it would be anyway. */
static void
h1_drain_idle(veil_http_conn_t *hc)
{
    uint64_t now = veil_now_ms();
    uint64_t deadline = hc->c.read_timer.deadline_ms;
    uint64_t ms = veil_http_drain_grace_ms(hc);

    if (hc->nrequests == 0) {
        /*
         * Whoever has connected to us, and not to those who come after, is
         * about to send a request, and nothing tells it not to.
         */
        ms = ms > H1_DRAIN_FIRST_MS ? ms : H1_DRAIN_FIRST_MS;
    } else if (now - hc->h1.idle_since_ms + ms < hc->h1.keepalive_min_ms) {
        ms = hc->h1.keepalive_min_ms - (now - hc->h1.idle_since_ms);
    }
    if (deadline == 0 || deadline > now + ms) {
        veil_conn_read_timeout(&hc->c, ms == 0 ? 1 : ms);
    }
}

/*
 * A response that did not say so is not the last one: its client may have
 * sent the next request by now.
 */
static void
h1_drain(veil_http_conn_t *hc)
{
    veil_http_request_t *r = hc->h1.r;

    if (r != NULL && !r->headers_sent) {
        r->keepalive = false;
    } else if (r == NULL && hc->h1.state == &veil_h1_idle) {
        h1_drain_idle(hc);
    }
}

void
veil_h1_close(veil_http_conn_t *hc)
{
    veil_http_request_t *r = hc->h1.r;

    if (r != NULL) {
        veil_http_abort(r, NULL);
        return; /* the request's end closes */
    }
    veil_h1_free_head(hc);
    veil_conn_close(&hc->c);
}

/* --- events ----------------------------------------------------------------
 */

static void
h1_keep(veil_http_conn_t *hc, veil_buf_t *b)
{
    (void) hc; /* what is not taken is kept by the connection */
    (void) b;
}

static void
h1_eof_close(veil_http_conn_t *hc, int err)
{
    if (err != 0 && hc->nrequests == 0) {
        veil_log(&hc->c.log, VEIL_LOG_INFO, -err,
                 "client closed connection while waiting for request");
    }
    veil_h1_close(hc);
}

static void
h1_eof_head(veil_http_conn_t *hc, int err)
{
    veil_log(&hc->c.log, VEIL_LOG_INFO, -err,
             err == 0 ? "client prematurely closed connection while reading "
                        "client request headers"
                      : "reading client request headers failed");
    veil_h1_close(hc);
}

/*
 * The client has sent its last byte while its request is worked on.  Some
 * clients half-close after their request and still want the answer, but a
 * closed connection looks the same.  Like nginx we take it for gone when
 * work can be spared (a handler that waits and can be cancelled, an upstream
 * that is being read), and find out when sending otherwise.  One that waits
 * without a way to be hurried (for a file) has its answer soon.
 */
static void
h1_eof_gone(veil_http_conn_t *hc, int err)
{
    veil_http_request_t *r = hc->h1.r;

    VEIL_ASSERT(r != NULL);
    if (r->tunnelled && err == 0 && hc->h1.body->tunnel) {
        veil_h1_on_body_eof(hc, 0); /* its reader was slow, and is still */
        return;
    }
    r->keepalive = false;
    hc->h1.gone = true;
    if (err != 0 || r->abort_on_eof || (r->waiting && r->cancel != NULL)) {
        veil_http_client_gone(r, err);
    }
}

/* What is left of the body will not come. */
static void
h1_eof_discard(veil_http_conn_t *hc, int err)
{
    if (!hc->h1.ending) {
        h1_eof_gone(hc, err);
        return;
    }
    hc->h1.r->keepalive = false;
    hc->h1.gone = true;
    veil_http_request_end(hc->h1.r);
}

static void
h1_timeout_discard(veil_http_conn_t *hc)
{
    veil_http_request_t *r = hc->h1.r;

    VEIL_ASSERT(hc->h1.ending); /* no timer runs before */
    veil_log(&r->log, VEIL_LOG_INFO, ETIMEDOUT,
             "client timed out while sending a body that nobody reads");
    r->keepalive = false;
    hc->h1.gone = true;
    veil_http_request_end(r);
}

/*
 * A request that crosses our end of an idle connection would have it reset,
 * so the sending side goes first, and what still comes is dropped.
 */
static void
h1_end_idle(veil_http_conn_t *hc)
{
    const veil_http_core_loc_t *conf =
        hc->server->loc_conf[veil_http_core_module.index];

    if (conf->lingering_close == VEIL_LINGER_OFF) {
        veil_h1_close(hc);
        return;
    }
    hc->h1.linger_until_ms = veil_now_ms() + H1_DRAIN_LINGER_MS;
    hc->h1.linger_ms = H1_DRAIN_LINGER_MS;
    veil_conn_shutdown(&hc->c);
    veil_h1_enter(hc, &veil_h1_linger, H1_DRAIN_LINGER_MS);
}

static void
h1_timeout_close(veil_http_conn_t *hc)
{
    if (hc->h1.state != &veil_h1_idle) {
        veil_h1_close(hc);
    } else if (veil_http_is_draining()) {
        h1_end_idle(hc);
    } else {
        if (hc->nrequests == 0) {
            veil_log(&hc->c.log, VEIL_LOG_INFO, ETIMEDOUT, "client timed out");
        }
        veil_h1_close(hc);
    }
}

static void
h1_timeout_head(veil_http_conn_t *hc)
{
    veil_h1_refuse_head(hc, 408,
                        "client timed out while sending its "
                        "request's head");
}

static void
h1_timeout_none(veil_http_conn_t *hc)
{
    (void) hc;
}

/* --- the end of a request --------------------------------------------------
 */

static const veil_http_core_loc_t *
h1_loc(const veil_http_request_t *r)
{
    return r->loc_conf == NULL ? NULL : veil_http_core_loc(r);
}

static bool
h1_resets(const veil_http_request_t *r)
{
    return r->loc_conf != NULL
           && veil_http_core_loc(r)->reset_timedout_connection;
}

/*
 * What is being sent stays in use until the connection is closed, and it may
 * be memory of the request: so the connection goes first, the request after.
 */
void
veil_h1_drop(veil_http_request_t *r)
{
    veil_http_conn_t *hc = r->stream;

    r->keepalive = false;
    if (hc->h1.closed) {
        veil_http_request_end(r);
    } else if ((hc->h1.timed_out || r->status == 444) && h1_resets(r)) {
        veil_conn_abort(&hc->c);
    } else {
        veil_conn_close(&hc->c);
    }
}

/*
 * 101, then bytes both ways.  From here on the connection belongs to what
 * was upgraded to: no timeouts of HTTP, no next request.
 */
veil_http_body_t *
veil_h1_tunnel(veil_http_request_t *r, veil_http_body_t *to_client)
{
    veil_http_body_t *from_client = veil_h1_body_tunnel(r);

    r->keepalive = false;
    r->tunnelled = true;
    r->responding = true;
    r->status = r->out.status;
    veil_h1_write_tunnel(r, to_client);
    return from_client;
}

/* Throws away what the client sends, and waits for its end. */
static void
h1_start_linger(veil_http_conn_t *hc, const veil_http_core_loc_t *conf)
{
    hc->h1.linger_until_ms = veil_now_ms() + conf->lingering_time;
    hc->h1.linger_ms =
        (uint32_t) veil_min_size(conf->lingering_timeout, UINT32_MAX);
    veil_conn_shutdown(&hc->c);
    veil_h1_enter(hc, &veil_h1_linger,
                  veil_min_size(hc->h1.linger_ms, conf->lingering_time));
}

/* keepalive_disable: browsers that mishandle a connection that goes on. */
static bool
h1_keepalive_is_disabled(const veil_http_request_t *r, unsigned disabled)
{
    veil_str_t agent;
    ptrdiff_t at;

    if (disabled == 0
        || !veil_http_headers_may_have(&r->in.headers, VEIL_HEADER_USER_AGENT))
    {
        return false;
    }
    agent = veil_http_headers_value(&r->in.headers, VEIL_HEADER_USER_AGENT);

    if ((disabled & VEIL_KEEPALIVE_DISABLE_MSIE6) && r->in.method == VEIL_POST)
    {
        at = veil_str_find(agent, VEIL_STR("MSIE "));
        if (at >= 0 && agent.len > (size_t) at + 7 && agent.data[at + 5] >= '4'
            && agent.data[at + 5] <= '6' && agent.data[at + 6] == '.'
            && veil_str_find(agent, VEIL_STR("Opera")) < 0
            && (agent.data[at + 5] != '6'
                || veil_str_find(agent, VEIL_STR("SV1")) < 0))
        {
            return true;
        }
    }
    return (disabled & VEIL_KEEPALIVE_DISABLE_SAFARI)
           && veil_str_find(agent, VEIL_STR("Safari/")) >= 0
           && veil_str_find(agent, VEIL_STR("Mac OS X")) >= 0
           && veil_str_find(agent, VEIL_STR("Chrome/")) < 0;
}

bool
veil_h1_may_keepalive(veil_http_conn_t *hc, veil_http_request_t *r)
{
    const veil_http_core_loc_t *conf = h1_loc(r);

    return conf != NULL && conf->keepalive_timeout != 0
           && hc->nrequests < (uint64_t) conf->keepalive_requests
           && veil_now_ms() - hc->start_ms <= conf->keepalive_time
           && !veil_http_conn_is_draining(hc) && !hc->h1.gone
           && !h1_keepalive_is_disabled(r, conf->keepalive_disable);
}

void
veil_h1_answered(veil_http_request_t *r)
{
    veil_http_conn_t *hc = r->stream;
    const veil_http_core_loc_t *conf = veil_http_core_loc(r);

    if (r->keepalive && veil_h1_body_drop(hc)) {
        hc->h1.linger_until_ms = veil_now_ms() + conf->lingering_time;
        hc->h1.linger_ms =
            (uint32_t) veil_min_size(conf->lingering_timeout, UINT32_MAX);
        if (veil_h1_linger_on(hc)) {
            hc->h1.ending = true;
            return;
        }
        r->keepalive = false;
    }
    veil_http_request_end(r);
}

/* The client may still be sending what nobody will read. */
static bool
h1_wants_linger(const veil_http_conn_t *hc, int lingering_close, bool unread)
{
    if (hc->h1.gone || lingering_close == VEIL_LINGER_OFF) {
        return false;
    }
    return lingering_close == VEIL_LINGER_ALWAYS || unread
           || hc->c.kept != NULL;
}

void
veil_h1_ended(veil_http_request_t *r)
{
    veil_http_conn_t *hc = r->stream;
    const veil_http_core_loc_t *conf = h1_loc(r);
    bool unread = hc->h1.body != NULL && !hc->h1.body->complete;

    VEIL_CHECK(hc, VEIL_HTTP_CONN);

    hc->h1.interim = VEIL_STR_NULL; /* the request's memory */
    if (hc->h1.deferred) {
        /* It was to be sent after an interim response, and never was. */
        hc->h1.deferred = false;
        if (r->out.body != NULL) {
            veil_http_body_abort(r->out.body);
        }
    }
    if (hc->h1.writer != NULL) {
        veil_h1_writer_done(hc->h1.writer);
        hc->h1.writer = NULL;
    }
    if (hc->h1.body != NULL) {
        veil_h1_body_done(hc->h1.body);
        hc->h1.body = NULL;
    }
    hc->h1.r = NULL;
    hc->h1.ending = false;

    if (hc->h1.closed) {
        veil_http_conn_closed(hc);
    } else if (r->aborted || conf == NULL) {
        veil_h1_close(hc);
    } else if (r->keepalive && !unread && !hc->h1.gone) {
        hc->h1.keepalive_ms =
            (uint32_t) veil_min_size(conf->keepalive_timeout, UINT32_MAX);
        hc->h1.keepalive_min_ms =
            (uint32_t) veil_min_size(conf->keepalive_min_timeout, UINT32_MAX);
        hc->h1.pipelined = hc->c.kept != NULL;
        hc->h1.idle_since_ms = veil_now_ms();
        veil_h1_enter(hc, &veil_h1_idle, hc->h1.keepalive_ms);
        if (veil_http_is_draining()) {
            h1_drain_idle(hc);
        }
    } else if (h1_wants_linger(hc, conf->lingering_close, unread)) {
        h1_start_linger(hc, conf);
    } else {
        veil_h1_close(hc);
    }
}

/*
 * More came of what is thrown away: the client may go on, until the time for
 * the whole is over.
 */
bool
veil_h1_linger_on(veil_http_conn_t *hc)
{
    uint64_t now = veil_now_ms();

    if (now >= hc->h1.linger_until_ms) {
        return false;
    }
    veil_conn_read_timeout(
        &hc->c, veil_min_size(hc->h1.linger_ms, hc->h1.linger_until_ms - now));
    return true;
}

static void
h1_on_linger_data(veil_http_conn_t *hc, veil_buf_t *b)
{
    b->pos = b->end;
    if (!veil_h1_linger_on(hc)) {
        veil_h1_close(hc);
    }
}
