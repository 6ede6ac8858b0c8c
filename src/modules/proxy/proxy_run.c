/*
 * proxy_run.c -- a request goes to an upstream and its response comes back:
 * the handler of every module of this directory.
 *
 * It is called again whenever what it waited for is there: first the
 * request's body, if it is buffered, then the head of the response.  All the
 * rest, peers and connections and retries, is http/upstream/'s.
 */

#include "http/explain.h"
#include "modules/proxy/proxy.h"

/* --- the request's body ---------------------------------------------------
 */

static void
proxy_body_complete(void *owner)
{
    proxy_ctx_t *ctx = owner;

    if (ctx->waiting_body) {
        ctx->waiting_body = false;
        veil_http_resume(ctx->r);
    }
}

static veil_http_spool_t *
proxy_spool_request(proxy_ctx_t *ctx)
{
    const veil_http_core_loc_t *core = veil_http_core_loc(ctx->r);
    bool in_file = core->client_body_in_file_only != VEIL_SPOOL_NAMELESS;
    veil_http_spool_options_t o = {
        .memory = in_file ? 0 : (size_t) core->client_body_buffer_size,
        .name = (veil_spool_name_t) core->client_body_in_file_only,
        .block = 4096,
        .max_file = INT64_MAX,
        .temp_path = core->client_body_temp_path,
        .replay = true,
        .log = &ctx->r->log,
        .complete = proxy_body_complete,
        .owner = ctx,
    };

    memcpy(o.levels, core->client_body_temp_levels, sizeof(o.levels));
    return veil_http_spool_create(ctx->r->pool, ctx->r->loop,
                                  veil_http_request_body(ctx->r), &o);
}

static veil_http_body_t *
proxy_body_again(veil_exchange_t *x)
{
    proxy_ctx_t *ctx = x->owner;

    return veil_http_body_to_memory(ctx->r->pool, ctx->r->loop,
                                    veil_http_spool_reader(ctx->r->body_spool),
                                    16 * 1024);
}

static veil_http_body_t *
proxy_text_again(veil_exchange_t *x)
{
    proxy_ctx_t *ctx = x->owner;

    return veil_http_body_text(ctx->r->pool,
                               veil_http_eval(ctx->r, ctx->conf->body));
}

static bool
proxy_must_buffer(const proxy_ctx_t *ctx)
{
    return ctx->conf->up.request_buffering
           || (ctx->conf->http_version == 10 && ctx->r->in.chunked);
}

/* Somebody wants the client's body, if only as $request_body_file. */
static bool
proxy_wants_body(const proxy_ctx_t *ctx)
{
    if (veil_http_core_loc(ctx->r)->client_body_in_file_only
        != VEIL_SPOOL_NAMELESS)
    {
        return true;
    }
    return ctx->conf->body != NULL
               ? !veil_http_value_is_constant(ctx->conf->body)
               : ctx->conf->pass_request_body;
}

/* True when it is there, or there is none, or it streams; else wait. */
static bool
proxy_read_body(proxy_ctx_t *ctx)
{
    veil_http_request_t *r = ctx->r;

    if (!r->in.has_body || !proxy_wants_body(ctx)) {
        return true;
    }
    if (r->body_spool == NULL) {
        if (!veil_http_request_has_body(r)) {
            return true; /* it went by already, unbuffered */
        }
        if (!proxy_must_buffer(ctx)) {
            return true;
        }
        r->body_spool = proxy_spool_request(ctx);
    }
    return veil_http_spool_is_complete(r->body_spool)
           || veil_http_spool_error(r->body_spool) != 0;
}

/* True when what is passed on (or that there is nothing) is known. */
static bool
proxy_settle_body(proxy_ctx_t *ctx)
{
    veil_http_request_t *r = ctx->r;

    if (!proxy_read_body(ctx)) {
        return false;
    }
    if (ctx->conf->body != NULL) {
        ctx->x.rebody = proxy_text_again;
        ctx->x.body = proxy_text_again(&ctx->x);
        return true;
    }
    if (!ctx->conf->pass_request_body || !r->in.has_body) {
        return true;
    }
    if (r->body_spool == NULL) {
        if (veil_http_request_has_body(r)) {
            ctx->x.body = veil_http_request_body(r);
        }
    } else if (veil_http_spool_error(r->body_spool) == 0) {
        ctx->x.rebody = proxy_body_again;
        ctx->x.body = proxy_body_again(&ctx->x);
        ctx->x.body->length = (int64_t) veil_http_spool_size(r->body_spool);
    }
    return true;
}

/* --- the exchange ---------------------------------------------------------
 */

static void
proxy_on_head(veil_exchange_t *x, int err)
{
    proxy_ctx_t *ctx = x->owner;

    ctx->done = true;
    ctx->err = err;
    veil_http_resume(ctx->r);
}

/* 100 is between us and the upstream; early hints are for the client. */
static void
proxy_on_informational(veil_exchange_t *x)
{
    proxy_ctx_t *ctx = x->owner;

    if (x->status == 103
        && veil_http_eval_any(ctx->r, veil_http_core_loc(ctx->r)->early_hints))
    {
        ctx->r->proto->inform(ctx->r, 103, &x->headers);
    }
}

/* What the handler waits for will not come; true: it is to be resumed. */
static bool
proxy_end_wait(proxy_ctx_t *ctx)
{
    if (ctx->done) {
        return false; /* it has been */
    }
    if (ctx->started) {
        veil_exchange_abort(&ctx->x);
    } else {
        ctx->waiting_body = false;
        veil_http_spool_abort(ctx->r->body_spool);
    }
    return true;
}

void
veil_proxy_cancel(proxy_ctx_t *ctx)
{
    if (proxy_end_wait(ctx)) {
        veil_http_resume(ctx->r);
    }
}

void
veil_proxy_stop(proxy_ctx_t *ctx, int status)
{
    if (proxy_end_wait(ctx)) {
        ctx->done = true;
        ctx->err = status;
        if (ctx->x.state != NULL && ctx->x.state->status == 0) {
            ctx->x.state->status = status;
        }
        veil_http_resume(ctx->r);
    }
}

static veil_http_rc_t
proxy_send(proxy_ctx_t *ctx)
{
    veil_http_request_t *r = ctx->r;
    int error;

    if (!proxy_settle_body(ctx)) {
        ctx->waiting_body = true;
        return veil_http_wait(r, ctx->kind->cancel);
    }
    if (r->body_spool != NULL) {
        error = veil_http_spool_error(r->body_spool);
        if (error != 0) {
            return veil_http_fail(r, error);
        }
    }
    if (ctx->kind->sending != NULL) {
        ctx->kind->sending(ctx);
    }
    veil_proxy_make_head(ctx);
    if (r->upstream_states == NULL) {
        r->upstream_states =
            veil_array_create(r->pool, sizeof(veil_upstream_state_t), 1);
    }
    ctx->x.states = r->upstream_states;
    r->exchange = &ctx->x;
    ctx->started = true;
    veil_exchange_start(&ctx->x);
    /* Without a cancel a client that ended its side may still get this. */
    return veil_http_wait(
        r, ctx->conf->up.ignore_client_abort ? NULL : ctx->kind->cancel);
}

static veil_http_rc_t
proxy_begin(veil_http_request_t *r, const proxy_conf_t *conf)
{
    const proxy_kind_t *kind = conf->kind;
    proxy_ctx_t *ctx = veil_pool_zalloc(r->pool, kind->ctx_size);

    ctx->kind = kind;
    ctx->conf = conf;
    ctx->r = r;
    veil_http_set_ctx(r, kind->module, ctx);
    if (kind->begin != NULL) {
        kind->begin(ctx);
    }
    if (!veil_proxy_resolve_target(r, conf, &ctx->target)) {
        return veil_http_fail(r, 500);
    }
    ctx->x.pool = r->pool;
    ctx->x.loop = r->loop;
    ctx->x.log = &r->log;
    ctx->x.conf = &conf->up;
    ctx->x.group = ctx->target.group;
    ctx->x.https = ctx->target.https;
    ctx->x.host = ctx->target.host;
    ctx->x.request = r;
    ctx->x.owner = ctx;
    ctx->x.want_trailers = conf->pass_trailers;
    ctx->x.on_head = proxy_on_head;
    ctx->x.on_informational = proxy_on_informational;
    if (veil_http_is_explained()) {
        return veil_proxy_explain(ctx);
    }
    return proxy_send(ctx);
}

veil_http_rc_t
veil_proxy_handle(veil_http_request_t *r, const proxy_kind_t *kind)
{
    const proxy_conf_t *conf = veil_http_loc_conf(r, kind->module);
    proxy_ctx_t *ctx;

    if (conf->target == NULL) {
        return VEIL_HTTP_NEXT;
    }
    ctx = veil_http_ctx(r, kind->module);
    if (ctx == NULL) {
        return proxy_begin(r, conf);
    }
    if (ctx->err != 0) {
        return veil_http_fail(r, ctx->err);
    }
    if (!ctx->started) {
        return proxy_send(ctx);
    }
    r->abort_on_eof = !conf->up.ignore_client_abort;
    return veil_proxy_reply(ctx);
}
