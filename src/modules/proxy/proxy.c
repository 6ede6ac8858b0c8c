/*
 * proxy.c -- the proxy module: a request goes to an upstream and its response
 * comes back.
 *
 *     location /app/ {
 *         proxy_pass http://backend/;
 *     }
 *
 * The handler is called again whenever what it waited for is there: first the
 * request's body, if it is buffered, then the head of the response.  All the
 * rest, peers and connections and retries, is http/upstream/'s.
 */

#include "core/platform.h"

#include "http/conn.h"
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
        && veil_http_eval_any(ctx->r, veil_http_core_loc(ctx->r)->early_hints)
        && ctx->r->in.version >= 11)
    {
        ctx->r->proto->inform(ctx->r, 103, &x->headers);
    }
}

static void
proxy_cancel(veil_http_request_t *r)
{
    proxy_ctx_t *ctx = veil_http_ctx(r, &veil_http_proxy_module);

    if (ctx->started) {
        if (ctx->done) {
            return; /* the head will come, and resume */
        }
        veil_exchange_abort(&ctx->x);
    } else {
        ctx->waiting_body = false;
        veil_http_spool_abort(r->body_spool);
    }
    veil_http_resume(r);
}

static veil_http_rc_t
proxy_send(proxy_ctx_t *ctx)
{
    veil_http_request_t *r = ctx->r;
    int error;

    if (!proxy_settle_body(ctx)) {
        ctx->waiting_body = true;
        return veil_http_wait(r, proxy_cancel);
    }
    if (r->body_spool != NULL) {
        error = veil_http_spool_error(r->body_spool);
        if (error != 0) {
            return veil_http_fail(r, error);
        }
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
    return veil_http_wait(r, ctx->conf->up.ignore_client_abort ? NULL
                                                               : proxy_cancel);
}

static veil_http_rc_t
proxy_begin(veil_http_request_t *r, const proxy_conf_t *conf)
{
    proxy_ctx_t *ctx = VEIL_POOL_NEW(r->pool, proxy_ctx_t);

    ctx->conf = conf;
    ctx->r = r;
    veil_http_set_ctx(r, &veil_http_proxy_module, ctx);
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
    return proxy_send(ctx);
}

static veil_http_rc_t
proxy_handler(veil_http_request_t *r)
{
    const proxy_conf_t *conf = veil_http_loc_conf(r, &veil_http_proxy_module);
    proxy_ctx_t *ctx;

    if (conf->target == NULL) {
        return VEIL_HTTP_NEXT;
    }
    ctx = veil_http_ctx(r, &veil_http_proxy_module);
    if (ctx == NULL) {
        return proxy_begin(r, conf);
    }
    if (!ctx->started) {
        return proxy_send(ctx);
    }
    if (ctx->err != 0) {
        return veil_http_fail(r, ctx->err);
    }
    r->abort_on_eof = !conf->up.ignore_client_abort;
    return veil_proxy_reply(ctx);
}

/* --- variables ------------------------------------------------------------
 */

static const proxy_ctx_t *
proxy_var_ctx(const veil_http_request_t *r)
{
    return veil_http_ctx(r, &veil_http_proxy_module);
}

static bool
proxy_var_host(veil_http_request_t *r, const veil_http_variable_t *v,
               veil_str_t *out)
{
    const proxy_ctx_t *ctx = proxy_var_ctx(r);

    (void) v;
    if (ctx == NULL) {
        return false;
    }
    *out = ctx->target.host_header;
    return true;
}

static bool
proxy_var_port(veil_http_request_t *r, const veil_http_variable_t *v,
               veil_str_t *out)
{
    const proxy_ctx_t *ctx = proxy_var_ctx(r);

    (void) v;
    if (ctx == NULL) {
        return false;
    }
    *out = ctx->target.port;
    return true;
}

static bool
proxy_var_forwarded_for(veil_http_request_t *r, const veil_http_variable_t *v,
                        veil_str_t *out)
{
    veil_str_t remote = VEIL_STR_NULL, before;

    (void) v;
    if (r->conn != NULL) {
        (void) veil_http_var_ip(r, &r->conn->c.peer, &remote);
    }
    before = veil_http_headers_join(&r->in.headers,
                                    VEIL_HEADER_X_FORWARDED_FOR, r->pool);
    if (before.len == 0) {
        *out = remote;
    } else {
        *out = veil_pool_printf(r->pool, "%.*s, %.*s", VEIL_STR_ARG(before),
                                VEIL_STR_ARG(remote));
    }
    return true;
}

static bool
proxy_var_body_length(veil_http_request_t *r, const veil_http_variable_t *v,
                      veil_str_t *out)
{
    const proxy_ctx_t *ctx = proxy_var_ctx(r);

    (void) v;
    if (ctx == NULL || ctx->x.body == NULL || ctx->x.body->length < 0) {
        return false;
    }
    *out = veil_pool_printf(r->pool, "%lld", (long long) ctx->x.body->length);
    return true;
}

static const veil_http_var_def_t proxy_variables[] = {
    { .name = "proxy_host", .get = proxy_var_host },
    { .name = "proxy_port", .get = proxy_var_port },
    { .name = "proxy_add_x_forwarded_for", .get = proxy_var_forwarded_for },
    { .name = "proxy_internal_body_length",
      .get = proxy_var_body_length,
      .flags = VEIL_HTTP_VAR_VOLATILE },
    { .name = NULL },
};

static const veil_http_module_t proxy_http = {
    .loc_conf_size = sizeof(proxy_conf_t),
    .loc_conf_default = veil_proxy_conf_default,
    .loc_conf_finish = veil_proxy_conf_finish,
    .handler = { VEIL_PHASE_CONTENT, proxy_handler },
    .variables = proxy_variables,
};

veil_module_t veil_http_proxy_module = {
    .abi = VEIL_MODULE_ABI,
    .name = "proxy",
    .commands = veil_proxy_commands,
    .http = &proxy_http,
};
