/*
 * upstream_retry.c -- may this go to the next peer, and does it.
 *
 * proxy_next_upstream says for which failures; tries and a time bound it.  A
 * request whose method is not idempotent is not sent twice once a byte of it
 * may have arrived, unless that was asked for (RFC 9110, 9.2.2); nor is one
 * whose body cannot be had again.
 *
 * A connection that had been idle and ends before a byte of the response is
 * no failure of the peer: it closed it while the request was under way, as
 * it may (RFC 9112, 9.3.1).  The same peer is asked again, on a new one,
 * without counting as a try and whatever the configuration says.  The same
 * goes for requests, of any method, that the peer says it has not looked at
 * (RFC 9113, 8.7), but not for ever.
 */

#include "http/upstream/upstream_impl.h"

#include "core/metric.h"

enum {
    RETRY_ERRORS,
    RETRY_TIMEOUTS,
    RETRY_INVALID,
    RETRY_STATUS,
    RETRY_NEXT,
    RETRY_SAME
};

static veil_metric_t upstream_retry_metrics[] = {
    [RETRY_ERRORS] =
        VEIL_COUNTER("veil_upstream_failures_total", "reason=\"error\"",
                     "Requests to upstream servers that failed."),
    [RETRY_TIMEOUTS] = VEIL_COUNTER("veil_upstream_failures_total",
                                    "reason=\"timeout\"", NULL),
    [RETRY_INVALID] = VEIL_COUNTER("veil_upstream_failures_total",
                                   "reason=\"invalid_header\"", NULL),
    [RETRY_STATUS] = VEIL_COUNTER("veil_upstream_failures_total",
                                  "reason=\"status\"", NULL),
    [RETRY_NEXT] =
        VEIL_COUNTER("veil_upstream_retries_total", "peer=\"next\"",
                     "Requests to upstream servers that were sent again."),
    [RETRY_SAME] =
        VEIL_COUNTER("veil_upstream_retries_total", "peer=\"same\"", NULL),
};
VEIL_METRICS(upstream_retry_metrics);

/* Times a peer may say that it has not looked at a request. */
#define RETRY_MAX_REFUSED 3

static bool
upstream_retry_may_repeat(const veil_exchange_t *x)
{
    const veil_exchange_private_t *p = x->priv;

    if (p->head_sent && !x->idempotent
        && !(x->conf->next & VEIL_NEXT_NON_IDEMPOTENT))
    {
        return false;
    }
    return !p->has_body || !p->body_used || x->rebody != NULL;
}

static bool
upstream_retry_is_allowed(const veil_exchange_t *x, unsigned kind)
{
    const veil_exchange_private_t *p = x->priv;
    unsigned peers = veil_upstream_peers(x->group);
    uint64_t spent = veil_now_ms() - p->first_ms;

    if (!(x->conf->next & kind) || !upstream_retry_may_repeat(x)) {
        return false;
    }
    if (x->conf->next_tries != 0
        && p->attempts >= (uint64_t) x->conf->next_tries) {
        return false;
    }
    if (x->conf->next_timeout != 0 && spent >= x->conf->next_timeout) {
        return false;
    }
    return p->attempts < peers;
}

/* As if nothing had been sent or received. */
static void
upstream_retry_reset(veil_exchange_t *x)
{
    veil_exchange_private_t *p = x->priv;

    p->head_sent = false;
    p->body_ended = false;
    p->send_waiting = false;
    p->send_ready = false;
    p->send_failed = false;
    p->in_write = 0;
    p->head_len = 0;
    p->scanned = 0;
    p->received = 0;
    p->complete = false;
    p->failed = false;
    p->held = false;
    p->body_used = false;
    p->trailers = NULL;
    x->reset = 0;
    if (x->rebody != NULL) {
        x->body = x->rebody(x);
    }
    veil_http_headers_init(&x->headers, x->pool, 0);
    x->status = 0;
    x->content_length = -1;
}

/* As a drop, but for a body of which nothing was used: it is sent later. */
static void
upstream_retry_drop(veil_exchange_t *x, bool failed)
{
    veil_http_body_t *body = x->body;

    if (x->rebody == NULL) {
        x->body = NULL;
    }
    veil_exchange_drop(x, failed);
    if (x->rebody == NULL) {
        x->body = body;
    }
}

static void
upstream_retry_same_peer(veil_exchange_t *x)
{
    veil_exchange_private_t *p = x->priv;

    if (x->rebody != NULL) {
        veil_exchange_stop_body(x); /* else nothing of it was used */
    }
    veil_metric_inc(&upstream_retry_metrics[RETRY_SAME]);
    veil_upstream_conn_release(x, false);
    upstream_retry_reset(x);
    p->state = VEIL_X_CONNECT;
    p->reused = false;
    VEIL_ASSERT(p->peer != NULL);
    veil_exchange_connect(x);
}

void
veil_exchange_failed(veil_exchange_t *x, unsigned kind, int status)
{
    veil_exchange_private_t *p = x->priv;
    bool retry;

    if (p->reused && kind == VEIL_NEXT_ERROR && p->head_len == 0
        && (x->idempotent || (x->conf->next & VEIL_NEXT_NON_IDEMPOTENT))
        && (!p->has_body || !p->body_used || x->rebody != NULL))
    {
        upstream_retry_same_peer(x);
        return;
    }

    veil_metric_inc(
        &upstream_retry_metrics[kind == VEIL_NEXT_ERROR     ? RETRY_ERRORS
                                : kind == VEIL_NEXT_TIMEOUT ? RETRY_TIMEOUTS
                                : kind == VEIL_NEXT_INVALID_HEADER
                                    ? RETRY_INVALID
                                    : RETRY_STATUS]);
    retry = upstream_retry_is_allowed(x, kind);
    if (veil_exchange_state(x)->status == 0) {
        veil_exchange_state(x)->status = status;
    }
    if (retry) {
        veil_metric_inc(&upstream_retry_metrics[RETRY_NEXT]);
        upstream_retry_drop(x, true);
        upstream_retry_reset(x);
        veil_exchange_attempt(x);
        return;
    }
    veil_exchange_drop(x, true);
    veil_exchange_tell_later(x, status);
}

void
veil_exchange_unprocessed(veil_exchange_t *x)
{
    veil_exchange_private_t *p = x->priv;

    if (p->state == VEIL_X_HEAD && p->nrefused < RETRY_MAX_REFUSED
        && (!p->has_body || x->rebody != NULL || !p->body_used))
    {
        p->nrefused++;
        upstream_retry_same_peer(x);
        return;
    }
    veil_exchange_log(x, VEIL_LOG_ERR, 0, "upstream refused the request",
                      p->state == VEIL_X_HEAD
                          ? "while sending request to upstream"
                          : "while reading upstream");
    if (p->state == VEIL_X_HEAD) {
        veil_exchange_failed(x, VEIL_NEXT_ERROR, 502);
    } else {
        veil_exchange_body_fail(x);
        veil_exchange_body_wake(x);
    }
}

bool
veil_exchange_move(veil_exchange_t *x)
{
    if (x->priv->nrefused >= RETRY_MAX_REFUSED) {
        return false;
    }
    veil_exchange_unprocessed(x);
    return true;
}

bool
veil_exchange_without_wire(veil_exchange_t *x)
{
    veil_exchange_private_t *p = x->priv;

    if (x->conf->wire_needed || p->plain || p->state != VEIL_X_HEAD) {
        return false;
    }
    p->plain = true;
    veil_exchange_unprocessed(x);
    return true;
}

static unsigned
upstream_retry_kind_of_status(int status)
{
    switch (status) {
    case 500:
        return VEIL_NEXT_500;
    case 502:
        return VEIL_NEXT_502;
    case 503:
        return VEIL_NEXT_503;
    case 504:
        return VEIL_NEXT_504;
    case 403:
        return VEIL_NEXT_403;
    case 404:
        return VEIL_NEXT_404;
    case 429:
        return VEIL_NEXT_429;
    default:
        return 0;
    }
}

bool
veil_exchange_retry_status(veil_exchange_t *x)
{
    unsigned kind = upstream_retry_kind_of_status(x->status);

    if (kind == 0 || !upstream_retry_is_allowed(x, kind)) {
        return false;
    }
    veil_metric_inc(&upstream_retry_metrics[RETRY_STATUS]);
    veil_metric_inc(&upstream_retry_metrics[RETRY_NEXT]);
    /* As in nginx: "not here" is no failure of the server. */
    upstream_retry_drop(x, kind != VEIL_NEXT_403 && kind != VEIL_NEXT_404);
    veil_exchange_body_free(x);
    upstream_retry_reset(x);
    veil_exchange_attempt(x);
    return true;
}
