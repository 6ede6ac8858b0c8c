/*
 * upstream_exchange.c -- one request to an upstream and its response: the
 * states, and who does what in them.
 *
 *   start -> (resolve) -> connect -> head -> body -> done
 *     ^__________________________|      \--> tunnel -> done
 *
 * What is said and heard on the connection is its wire's, of which HTTP/1 is
 * the first (upstream_h1_conn.c): what came arrives here as heads, bytes of a
 * body and ends.  Sending and receiving are independent, as a response may
 * come before its request is complete.
 *
 * Connection and peer are given up in two ways: finish (the response is
 * complete; the connection is kept if it can be) and drop (it is closed).
 * Both are harmless when there is nothing left.
 */

#include "http/upstream/upstream_impl.h"

#include "core/metric.h"

enum { EXCHANGE_REQUESTS, EXCHANGE_CONNECT_TIME, EXCHANGE_TIME };

static const uint64_t upstream_exchange_times_ms[] = {
    1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000, 10000, 30000, 60000
};

static veil_metric_t upstream_exchange_metrics[] = {
    [EXCHANGE_REQUESTS] =
        VEIL_COUNTER("veil_upstream_requests_total", NULL,
                     "Requests to upstream servers, each attempt."),
    [EXCHANGE_CONNECT_TIME] = VEIL_HISTOGRAM(
        "veil_upstream_connect_duration_seconds", NULL,
        "How long new connections to upstream servers took, with TLS.",
        upstream_exchange_times_ms, 0.001),
    [EXCHANGE_TIME] = VEIL_HISTOGRAM(
        "veil_upstream_request_duration_seconds", NULL,
        "From an attempt's beginning to the end of the response.",
        upstream_exchange_times_ms, 0.001),
};
VEIL_METRICS(upstream_exchange_metrics);

/* --- log lines ----------------------------------------------------------- */

size_t
veil_exchange_print(const veil_exchange_t *x, char *buf, size_t n)
{
    const veil_exchange_private_t *p = x->priv;
    veil_str_t peer = x->group->name;
    bool https = x->https;
    const char *scheme = x->conf->scheme != NULL ? x->conf->scheme : "http";

    if (p != NULL && p->peer != NULL) {
        peer = p->peer->name;
        https |= p->peer->server->scheme == VEIL_SCHEME_HTTPS;
    }
    return veil_snprintf(buf, n, ", upstream: \"%s%s://%.*s%s%.*s\"", scheme,
                         https ? "s" : "", VEIL_STR_ARG(peer),
                         veil_str_starts(peer, VEIL_STR("unix:")) ? ":" : "",
                         VEIL_STR_ARG(x->uri));
}

veil_str_t
veil_exchange_peer(const veil_exchange_t *x)
{
    const veil_exchange_private_t *p = x->priv;

    return p != NULL && p->peer != NULL ? p->peer->name : VEIL_STR_NULL;
}

bool
veil_exchange_is_waiting(const veil_exchange_t *x)
{
    return x->priv != NULL && x->priv->state <= VEIL_X_HEAD;
}

void
veil_exchange_log(veil_exchange_t *x, veil_log_level_t level, int err,
                  const char *text, const char *action)
{
    const char *before = x->log->action;

    x->log->action = action;
    veil_log(x->log, level, err, "%s", text);
    x->log->action = before;
    if (x->priv->peer != NULL) {
        veil_upstream_peer_error(x, text, err, action);
    }
}

/* --- attempts' records ----------------------------------------------------
 */

veil_upstream_state_t *
veil_exchange_state(veil_exchange_t *x)
{
    return veil_array_at(x->states, veil_upstream_state_t, x->priv->nstate);
}

static void
upstream_exchange_new_state(veil_exchange_t *x)
{
    veil_upstream_state_t *s;

    if (x->states == NULL) {
        x->states = veil_array_create(x->pool, sizeof(*s), 1);
    }
    s = veil_array_push(x->states);
    s->first = x->priv->attempts == 0;
    s->connect_ms = -1;
    s->header_ms = -1;
    s->response_ms = -1;
    s->response_length = 0;
    x->priv->nstate = x->states->n - 1;
    x->state = s;
}

static void
upstream_exchange_count(const veil_exchange_private_t *p,
                        veil_upstream_state_t *s)
{
    s->response_length = (int64_t) p->received;
    if (p->uc != NULL && !veil_list_is_linked(&p->join)) {
        p->uc->wire->count(p->x, s);
    }
}

void
veil_exchange_times(veil_exchange_t *x)
{
    veil_exchange_private_t *p = x->priv;
    veil_upstream_state_t *s;

    if (x->states == NULL || p->attempts == 0) {
        return;
    }
    s = veil_exchange_state(x);
    if (s->response_ms < 0) {
        s->response_ms = (int64_t) (veil_now_ms() - p->start_ms);
        veil_metric_observe(&upstream_exchange_metrics[EXCHANGE_TIME],
                            (uint64_t) s->response_ms);
        upstream_exchange_count(p, s);
    }
}

void
veil_exchange_times_now(veil_exchange_t *x)
{
    veil_exchange_private_t *p = x->priv;

    if (x->states != NULL && p->attempts != 0 && p->uc != NULL) {
        upstream_exchange_count(p, veil_exchange_state(x));
    }
}

/* --- the ends -------------------------------------------------------------
 */

static void
upstream_exchange_give_up(veil_exchange_t *x, bool failed, bool keep)
{
    veil_exchange_times(x);
    if (x->priv->target != NULL) {
        veil_upstream_tls_give_up(x);
    }
    veil_upstream_conn_release(x, keep);
    veil_upstream_peer_done(x, failed);
}

void
veil_exchange_finish(veil_exchange_t *x)
{
    veil_exchange_private_t *p = x->priv;

    p->complete = true;
    x->response_complete = true;
    veil_exchange_stop_body(x);
    upstream_exchange_give_up(x, false, true);
    p->state = VEIL_X_DONE;
}

void
veil_exchange_drop(veil_exchange_t *x, bool failed)
{
    veil_exchange_private_t *p = x->priv;

    veil_exchange_stop_body(x);
    upstream_exchange_give_up(x, failed, false);
    p->state = VEIL_X_DONE;
}

static void
upstream_exchange_destroyed(void *data)
{
    veil_exchange_t *x = data;

    /* Whose bodies these were has ended them, and may be gone. */
    x->body = NULL;
    x->priv->from_client = NULL;
    veil_exchange_abort(x);
    if (x->group->dynamic) {
        x->group->users--;
    }
}

void
veil_exchange_abort(veil_exchange_t *x)
{
    veil_exchange_private_t *p = x->priv;

    VEIL_CHECK(x, VEIL_EXCHANGE);
    if (p == NULL) {
        return;
    }
    p->told = true;
    veil_post_cancel(&p->post);
    veil_list_remove(&p->waiting);
    veil_timer_cancel(&p->rate_timer);
    veil_exchange_drop(x, false);
    veil_exchange_body_free(x);
    if (p->from_client != NULL) {
        veil_http_body_abort(p->from_client);
        p->from_client = NULL;
    }
}

/* --- attempts -------------------------------------------------------------
 */

static void
upstream_exchange_tell(veil_exchange_t *x, int err)
{
    VEIL_ASSERT(!x->priv->told);
    x->priv->told = true;
    x->on_head(x, err);
}

static void
upstream_exchange_posted(veil_post_t *post)
{
    veil_exchange_private_t *p =
        veil_container_of(post, veil_exchange_private_t, post);

    upstream_exchange_tell(p->x, p->err);
}

void
veil_exchange_head_done(veil_exchange_t *x)
{
    upstream_exchange_tell(x, 0);
}

void
veil_exchange_tell_later(veil_exchange_t *x, int err)
{
    x->priv->err = err;
    veil_post(x->loop, &x->priv->post);
}

static void
upstream_exchange_no_peers(veil_exchange_t *x)
{
    veil_upstream_group_t *g = x->group;
    veil_upstream_server_t *s;

    s = *veil_array_at(&g->servers, veil_upstream_server_t *, 0);
    if (g->dynamic && s->resolve_err != 0) {
        veil_log(x->log, VEIL_LOG_ERR, 0, "%.*s could not be resolved (%s)",
                 VEIL_STR_ARG(s->host), veil_resolve_strerror(s->resolve_err));
    } else {
        veil_exchange_log(x, VEIL_LOG_ERR, 0, "no live upstreams",
                          "while connecting to upstream");
    }
    upstream_exchange_new_state(x);
    x->state->peer = g->name;
    x->state->status = 502;
    x->state->response_ms = 0;
    x->priv->attempts++;
    x->priv->state = VEIL_X_DONE;
    veil_exchange_tell_later(x, 502);
}

/* A group made at run time whose name has not been answered yet. */
static bool
upstream_exchange_must_wait(const veil_exchange_t *x)
{
    const veil_upstream_group_t *g = x->group;
    const veil_upstream_server_t *s;

    if (!g->dynamic || veil_upstream_peers(g) != 0) {
        return false;
    }
    s = *veil_array_at(&g->servers, veil_upstream_server_t *, 0);
    return s->is_name && s->query.entry != NULL && s->resolve_err == 0;
}

void
veil_exchange_impossible(veil_exchange_t *x)
{
    veil_exchange_state(x)->status = 500;
    veil_exchange_drop(x, false);
    veil_exchange_tell_later(x, 500);
}

void
veil_exchange_connect(veil_exchange_t *x)
{
    int rc;

    if (!veil_upstream_tls_is_ready(x)) {
        return;
    }
    rc = veil_upstream_conn_open(x);
    if (rc < 0) {
        veil_exchange_log(x, VEIL_LOG_CRIT, -rc, "connect() failed",
                          "while connecting to upstream");
        veil_exchange_failed(x, VEIL_NEXT_ERROR, 502);
    }
}

void
veil_exchange_attempt(veil_exchange_t *x)
{
    veil_exchange_private_t *p = x->priv;

    if (veil_upstream_pick(x) == NULL) {
        upstream_exchange_no_peers(x);
        return;
    }
    upstream_exchange_new_state(x);
    veil_metric_inc(&upstream_exchange_metrics[EXCHANGE_REQUESTS]);
    p->attempts++;
    p->plain = x->want_upgrade; /* which only HTTP/1 has */
    p->start_ms = veil_now_ms();
    x->state->peer = veil_pool_str(x->pool, p->peer->name);
    p->state = VEIL_X_CONNECT;

    if (!veil_upstream_tls_target(x)) {
        veil_exchange_impossible(x);
        return;
    }
    p->reused = !x->raw && veil_upstream_conn_take(x) != NULL;
    if (p->reused) {
        veil_exchange_connected(x, 0);
    } else {
        veil_exchange_connect(x);
    }
}

void
veil_exchange_start(veil_exchange_t *x)
{
    veil_exchange_private_t *p =
        VEIL_POOL_NEW(x->pool, veil_exchange_private_t);

    x->magic = VEIL_EXCHANGE_MAGIC;
    x->priv = p;
    p->x = x;
    p->left = -1;
    p->has_body = x->body != NULL;
    p->first_ms = veil_now_ms();
    x->content_length = -1;
    veil_post_init(&p->post, upstream_exchange_posted);
    veil_list_init(&p->waiting);
    veil_list_init(&p->join);
    veil_timer_init(&p->rate_timer, veil_exchange_rate_resumed);
    veil_pool_on_destroy(x->pool, upstream_exchange_destroyed, x);

    if (!x->group->started) {
        veil_upstream_group_start(x->group, x->loop);
    }
    if (x->group->dynamic) {
        x->group->users++;
        x->group->used_ms = p->first_ms;
    }
    if (upstream_exchange_must_wait(x)) {
        p->state = VEIL_X_RESOLVE;
        veil_list_append(&x->group->waiting, &p->waiting);
        return;
    }
    veil_exchange_attempt(x);
}

/* --- the connection is there ----------------------------------------------
 */

/* There is nothing to be said: what is connected is the tunnel. */
static void
upstream_exchange_is_raw(veil_exchange_t *x)
{
    veil_exchange_private_t *p = x->priv;
    veil_upstream_conn_t *uc = p->uc;

    p->state = VEIL_X_TUNNEL;
    p->head_sent = true;
    p->body_ended = true;
    x->status = 200;
    veil_exchange_tunnel_begin(x);
    veil_conn_write_timeout(&uc->c, x->conf->send_timeout);
    veil_conn_read(&uc->c);
    veil_exchange_head_done(x);
}

void
veil_exchange_connected(veil_exchange_t *x, int err)
{
    veil_exchange_private_t *p = x->priv;
    veil_upstream_state_t *s = veil_exchange_state(x);

    VEIL_ASSERT(p->state == VEIL_X_CONNECT);
    if (err == -ETIMEDOUT) {
        veil_exchange_log(x, VEIL_LOG_ERR, ETIMEDOUT, "upstream timed out",
                          "while connecting to upstream");
        veil_exchange_failed(x, VEIL_NEXT_TIMEOUT, 504);
        return;
    }
    if (err < 0) {
        veil_exchange_log(x, VEIL_LOG_ERR, -err, "connect() failed",
                          "while connecting to upstream");
        veil_exchange_failed(x, VEIL_NEXT_ERROR, 502);
        return;
    }
    s->connect_ms = (int64_t) (veil_now_ms() - p->start_ms);
    if (!p->reused) {
        veil_metric_observe(&upstream_exchange_metrics[EXCHANGE_CONNECT_TIME],
                            (uint64_t) s->connect_ms);
    }
    if (x->raw) {
        upstream_exchange_is_raw(x);
        return;
    }
    p->state = VEIL_X_HEAD;
    p->uc->wire->send(x);
}

void
veil_exchange_not_secured(veil_exchange_t *x, int err VEIL_UNUSED)
{
    VEIL_ASSERT(x->priv->state == VEIL_X_CONNECT);
    veil_exchange_failed(x, VEIL_NEXT_ERROR, 502);
}

/* --- the head -------------------------------------------------------------
 */

/*
 * Interim responses of one exchange: each takes memory of the request, and
 * nobody has use for this many.
 */
#define EXCHANGE_MAX_INTERIM 32

static void
upstream_exchange_bad_head(veil_exchange_t *x, const char *text)
{
    veil_exchange_log(x, VEIL_LOG_ERR, 0, text,
                      "while reading response header from upstream");
    veil_exchange_failed(x, VEIL_NEXT_INVALID_HEADER, 502);
}

static void
upstream_exchange_interim(veil_exchange_t *x)
{
    if (++x->priv->ninterim > EXCHANGE_MAX_INTERIM) {
        upstream_exchange_bad_head(x,
                                   "upstream sent too many interim responses");
    } else if (x->on_informational != NULL) {
        x->on_informational(x);
    }
}

bool
veil_exchange_take_head(veil_exchange_t *x, const veil_http_framing_t *framing)
{
    veil_exchange_private_t *p = x->priv;
    veil_upstream_state_t *s = veil_exchange_state(x);

    p->reused = false; /* it did answer */
    if (x->status >= 100 && x->status < 200 && x->status != 101) {
        upstream_exchange_interim(x);
        return false;
    }
    if (x->status == 101 && !x->want_upgrade) {
        upstream_exchange_bad_head(x,
                                   "upstream sent an unexpected 101 response");
        return false;
    }
    x->content_length = framing->length;
    s->status = x->status;
    s->header_ms = (int64_t) (veil_now_ms() - p->start_ms);
    veil_upstream_peer_answered(x, s->header_ms, x->status);
    veil_exchange_body_begin(x, framing);
    if (veil_exchange_retry_status(x)) {
        return false;
    }
    p->state = x->status == 101 ? VEIL_X_TUNNEL : VEIL_X_BODY;
    return true;
}

/* --- ends and timeouts -----------------------------------------------------
 */

static void
upstream_exchange_eof_in_head(veil_exchange_t *x, int err)
{
    if (err == 0) {
        veil_exchange_log(x, VEIL_LOG_ERR, 0,
                          "upstream prematurely closed connection",
                          "while reading response header from upstream");
    } else if (err != -EPROTO) { /* TLS has said what was wrong */
        veil_exchange_log(x, VEIL_LOG_ERR, -err, "recv() failed",
                          "while reading response header from upstream");
    }
    veil_exchange_failed(x, VEIL_NEXT_ERROR, 502);
}

void
veil_exchange_on_eof(veil_exchange_t *x, int err)
{
    switch (x->priv->state) {
    case VEIL_X_HEAD:
        upstream_exchange_eof_in_head(x, err);
        return;
    case VEIL_X_BODY:
        veil_exchange_body_eof(x, err);
        veil_exchange_body_wake(x);
        return;
    case VEIL_X_TUNNEL:
        veil_exchange_tunnel_eof(x, err);
        return;
    default:
        VEIL_ASSERT(false);
    }
}

void
veil_exchange_on_read_timeout(veil_exchange_t *x)
{
    veil_exchange_private_t *p = x->priv;

    switch (p->state) {
    case VEIL_X_CONNECT:
        veil_exchange_log(x, VEIL_LOG_ERR, ETIMEDOUT, "upstream timed out",
                          "while SSL handshaking to upstream");
        veil_exchange_failed(x, VEIL_NEXT_TIMEOUT, 504);
        return;
    case VEIL_X_HEAD:
        if (!veil_exchange_request_is_sent(x) && !p->send_failed) {
            return; /* the write's timer counts; set again when it is sent */
        }
        veil_exchange_log(x, VEIL_LOG_ERR, ETIMEDOUT, "upstream timed out",
                          "while reading response header from upstream");
        veil_exchange_failed(x, VEIL_NEXT_TIMEOUT, 504);
        return;
    case VEIL_X_BODY:
        if (p->held) {
            return; /* it is we who do not read */
        }
        veil_exchange_log(x, VEIL_LOG_ERR, ETIMEDOUT, "upstream timed out",
                          "while reading upstream");
        veil_exchange_body_fail(x);
        veil_exchange_body_wake(x);
        return;
    case VEIL_X_TUNNEL:
        veil_exchange_tunnel_timeout(x);
        return;
    default:
        return;
    }
}

void
veil_exchange_on_write_timeout(veil_exchange_t *x)
{
    veil_exchange_private_t *p = x->priv;

    switch (p->state) {
    case VEIL_X_HEAD:
        veil_exchange_log(x, VEIL_LOG_ERR, ETIMEDOUT, "upstream timed out",
                          "while sending request to upstream");
        veil_exchange_failed(x, VEIL_NEXT_TIMEOUT, 504);
        return;
    case VEIL_X_TUNNEL:
        veil_exchange_tunnel_eof(x, -ETIMEDOUT);
        return;
    default:
        /* The response goes on; only what is left of the request does not. */
        veil_exchange_stop_body(x);
        return;
    }
}
