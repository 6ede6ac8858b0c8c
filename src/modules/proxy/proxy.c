/*
 * proxy.c -- the proxy module: requests go to HTTP servers.
 *
 *     location /app/ {
 *         proxy_pass http://backend/;
 *     }
 *
 * How that goes is the same for all modules of this directory, in
 * proxy_run.c; here is what this one is called, and its variables.
 */

#include "core/platform.h"

#include "core/cycle.h"
#include "http/config.h"
#include "http/conn.h"
#include "modules/proxy/proxy.h"

static veil_http_cancel_fn proxy_cancel;

static const proxy_kind_t proxy_kind = {
    .module = &veil_http_proxy_module,
    .pass = "proxy_pass",
    .plain = VEIL_STR_INIT("http://"),
    .secure = VEIL_STR_INIT("https://"),
    .no_tls = "https:// needs TLS, which this build does not have,",
    .ctx_size = sizeof(proxy_ctx_t),
    .cancel = proxy_cancel,
};

static void
proxy_cancel(veil_http_request_t *r)
{
    veil_proxy_cancel(veil_http_ctx(r, &veil_http_proxy_module));
}

static veil_http_rc_t
proxy_handler(veil_http_request_t *r)
{
    return veil_proxy_handle(r, &proxy_kind);
}

static void
proxy_conf_defaults(void *data)
{
    proxy_conf_t *conf = data;

    veil_proxy_conf_default(conf, &proxy_kind);
    conf->up.connect_timeout = 10000;
    conf->up.send_timeout = 30000;
    conf->up.read_timeout = 30000;
    conf->up.buffering = true;
    conf->up.request_buffering = true;
    conf->http_version = 11;
    conf->websocket = true;
}

static veil_rc_t
proxy_conf_finish(veil_conf_t *cf, void *data, const void *parent VEIL_UNUSED)
{
    proxy_conf_t *conf = data;

    if (conf->up.temp_path.len == 0) {
        conf->up.temp_path =
            veil_conf_full_path(cf, VEIL_STR(VEIL_PROXY_TEMP_PATH), false);
    }
    veil_http_use_temp_path(cf, conf->up.temp_path);
    if (veil_proxy_conf_wire(cf, conf) != VEIL_OK
        || veil_proxy_conf_finish(cf, conf) != VEIL_OK)
    {
        return VEIL_ERROR;
    }
    return veil_proxy_redirect_finish(cf, conf);
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

static void
proxy_lint(veil_lint_t *lint, const veil_conf_scope_t *block)
{
    veil_proxy_lint(lint, block, &proxy_kind, "proxy_set_header");
}

static const veil_http_module_t proxy_http = {
    .loc_conf_size = sizeof(proxy_conf_t),
    .loc_conf_default = proxy_conf_defaults,
    .loc_conf_finish = proxy_conf_finish,
    .handler = { VEIL_PHASE_CONTENT, proxy_handler },
    .variables = proxy_variables,
    .lint = proxy_lint,
};

veil_module_t veil_http_proxy_module = {
    .abi = VEIL_MODULE_ABI,
    .name = "proxy",
    .commands = veil_proxy_commands,
    .http = &proxy_http,
};
