/*
 * grpc.c -- the grpc module: calls of gRPC go to servers that speak it.
 *
 *     location / {
 *         grpc_pass grpc://127.0.0.1:50051;
 *     }
 *
 * A call is a request over HTTP/2 whose two bodies are messages and whose
 * result is in trailers; the handler is that of proxy_run.c.  What is peculiar
 * is here: it is always HTTP/2, nothing is ever kept to be sent on later,
 * trailers always pass, and a call has a deadline that its client names
 * (grpc-timeout).  The deadline begins with the head of the request and ends
 * the exchange wherever that is, as a server could be too busy to look at it.
 *
 * Messages are not looked at: a call that goes wrong half-way is told of in
 * trailers behind whatever has been sent (grpc_reply.c).
 */

#include "core/platform.h"

#include "modules/proxy/grpc.h"
#include "modules/proxy/proxy_commands.h"

#include "core/time.h"
#include "http/grpc_status.h"
#include "http/parse/grpc_timeout.h"
#include "http/parse/token.h"

static veil_http_cancel_fn grpc_cancel;
static void grpc_begin(proxy_ctx_t *ctx);
static void grpc_sending(proxy_ctx_t *ctx);
static void grpc_replied(proxy_ctx_t *ctx);

static const proxy_kind_t grpc_kind = {
    .module = &veil_http_grpc_module,
    .pass = "grpc_pass",
    .plain = VEIL_STR_INIT("grpc://"),
    .secure = VEIL_STR_INIT("grpcs://"),
    .no_tls = "grpcs:// needs TLS, which this build does not have,",
    .bare = true,
    .no_uri = true,
    .ctx_size = sizeof(grpc_ctx_t),
    .cancel = grpc_cancel,
    .begin = grpc_begin,
    .sending = grpc_sending,
    .replied = grpc_replied,
};

static grpc_ctx_t *
grpc_ctx_of(proxy_ctx_t *ctx)
{
    return veil_container_of(ctx, grpc_ctx_t, proxy);
}

bool
veil_grpc_wants_trailers(const veil_http_request_t *r)
{
    const veil_http_header_t *h = NULL;
    veil_str_t rest, element;

    while ((h = veil_http_headers_get(&r->in.headers, VEIL_HEADER_TE, h))
           != NULL) {
        rest = h->value;
        while (veil_http_list_next(&rest, &element)) {
            if (veil_str_caseeq(veil_str_trim(veil_str_cut(&element, ';')),
                                VEIL_STR("trailers")))
            {
                return true;
            }
        }
    }
    return false;
}

/* --- deadlines -------------------------------------------------------------
 */

static void
grpc_expired(veil_timer_t *t)
{
    grpc_ctx_t *ctx = veil_container_of(t, grpc_ctx_t, deadline);
    veil_http_request_t *r = ctx->proxy.r;

    if (ctx->proxy.x.response_complete) {
        return; /* what is left is the client's to take */
    }
    ctx->expired = true;
    veil_log(&r->log, VEIL_LOG_INFO, 0,
             "the call's deadline has passed; it is cancelled");
    if (!ctx->proxy.done) {
        veil_proxy_stop(&ctx->proxy, 504);
    } else if (ctx->body.body.ops != NULL) {
        veil_exchange_cut(&ctx->proxy.x);
    }
}

static void
grpc_ctx_destroyed(void *data)
{
    grpc_ctx_t *ctx = data;

    veil_timer_cancel(&ctx->deadline);
}

/* Milliseconds from the call's beginning; false: as long as it wants. */
static bool
grpc_timeout(const veil_http_request_t *r, const grpc_conf_t *conf,
             uint64_t *ms, bool *said)
{
    const veil_http_header_t *h =
        veil_http_headers_find(&r->in.headers, VEIL_STR("grpc-timeout"), NULL);

    *said = h != NULL && veil_grpc_timeout_parse(h->value, ms);
    if (conf->max_timeout == 0) {
        return *said;
    }
    if (!*said || *ms > conf->max_timeout) {
        *ms = conf->max_timeout;
        *said = false; /* but this */
    }
    return true;
}

/* The call is to begin: what is said in addition, and how long it may take. */
static void
grpc_begin(proxy_ctx_t *proxy)
{
    grpc_ctx_t *ctx = grpc_ctx_of(proxy);
    veil_http_request_t *r = proxy->r;
    const grpc_conf_t *conf = veil_http_loc_conf(r, &veil_http_grpc_module);
    uint64_t ms, spent = veil_now_ms() - r->start_ms;
    bool said;

    veil_timer_init(&ctx->deadline, grpc_expired);
    veil_pool_on_destroy(r->pool, grpc_ctx_destroyed, ctx);
    if (veil_grpc_wants_trailers(r)) {
        veil_proxy_say(proxy, VEIL_STR("TE"), VEIL_STR("trailers"));
    }
    if (!grpc_timeout(r, conf, &ms, &said)) {
        return;
    }
    if (!said) {
        veil_proxy_say(proxy, VEIL_STR("grpc-timeout"),
                       veil_grpc_timeout_print(r->pool, ms));
    }
    veil_timer_set(r->loop, &ctx->deadline, ms > spent ? ms - spent : 1);
}

/* --- the handler -----------------------------------------------------------
 */

static void
grpc_cancel(veil_http_request_t *r)
{
    grpc_ctx_t *ctx = veil_http_ctx(r, &veil_http_grpc_module);

    veil_timer_cancel(&ctx->deadline);
    veil_proxy_cancel(&ctx->proxy);
}

static void
grpc_sending(proxy_ctx_t *proxy)
{
    veil_grpc_keep(grpc_ctx_of(proxy));
}

/* The response is described. */
static void
grpc_replied(proxy_ctx_t *proxy)
{
    grpc_ctx_t *ctx = grpc_ctx_of(proxy);

    if (proxy->r->out.body == NULL) {
        return;
    }
    veil_grpc_watch(ctx);
    if (ctx->expired) { /* between the head and now */
        veil_exchange_cut(&proxy->x);
    }
}

static veil_http_rc_t
grpc_handler(veil_http_request_t *r)
{
    veil_http_rc_t rc = veil_proxy_handle(r, &grpc_kind);
    grpc_ctx_t *ctx = veil_http_ctx(r, &veil_http_grpc_module);

    if (ctx == NULL || rc == VEIL_HTTP_WAIT) {
        return rc;
    }
    if (rc != VEIL_HTTP_REPLY) {
        veil_grpc_keep_end(ctx);
    }
    if (ctx->body.body.ops == NULL) {
        veil_timer_cancel(&ctx->deadline); /* there is nothing left of it */
    }
    return rc;
}

/* --- configuration ---------------------------------------------------------
 */

static veil_rc_t
grpc_set_pass(veil_conf_t *cf, const veil_command_t *cmd, void *data)
{
    veil_str_t url = veil_conf_arg(cf, 1);
    bool https = veil_str_casestarts(url, VEIL_STR("https://"));

    if (veil_upstream_wire_find(VEIL_STR("h2")) == NULL) {
        return veil_conf_error(cf, "\"grpc_pass\" needs HTTP/2 to upstreams, "
                                   "which this build does not have");
    }
    if (https || veil_str_casestarts(url, VEIL_STR("http://"))) {
        return veil_conf_error_at(
            cf, 1, "\"grpc_pass\" takes no \"%s\"; did you mean \"%s%.*s\"?",
            https ? "https://" : "http://", https ? "grpcs://" : "grpc://",
            VEIL_STR_ARG(veil_str_from(url, https ? 8 : 7)));
    }
    return veil_proxy_set_pass(cf, cmd, data);
}

static void
grpc_conf_default(void *data)
{
    proxy_conf_t *conf = data;

    veil_proxy_conf_default(conf, &grpc_kind);
    conf->up.connect_timeout = 60000;
    conf->up.send_timeout = 60000;
    conf->up.read_timeout = 60000;
    conf->up.scheme = "grpc";
    conf->up.wire = veil_upstream_wire_find(VEIL_STR("h2"));
    conf->up.wire_needed = true;
    conf->http_version = 20;
    conf->pass_trailers = true;
    conf->redirect_off = true;
}

static veil_rc_t
grpc_conf_finish(veil_conf_t *cf, void *data, const void *parent VEIL_UNUSED)
{
    proxy_conf_t *conf = data;
    veil_array_t *alpn = veil_array_create(cf->pool, sizeof(veil_str_t), 1);

    *(veil_str_t *) veil_array_push(alpn) = VEIL_STR("h2");
    conf->up.tls.options.alpn = alpn;
    return veil_proxy_conf_finish(cf, conf);
}

static const veil_command_t grpc_commands[] = {
    { .name = "grpc_pass",
      .where =
          VEIL_CONF_LOCATION | VEIL_CONF_IF_LOCATION | VEIL_CONF_LIMIT_EXCEPT,
      .args = VEIL_ARGS_1,
      .flags = VEIL_CONF_OWN,
      .set = grpc_set_pass,
      .offset = offsetof(proxy_conf_t, target),
      .syntax = "[grpc[s]://]host[:port] | unix:path",
      .help = "Passes calls of gRPC on to this server or group." },

    { .name = "grpc_max_timeout",
      .where = VEIL_CONF_HTTP_ANY,
      .args = VEIL_ARGS_1,
      .set = veil_conf_set_msec,
      .offset = offsetof(grpc_conf_t, max_timeout),
      .def = "0",
      .help = "The time a call may take at most, whatever its grpc-timeout "
              "says; 0: no limit." },

    PROXY_COMMANDS_SET_HEADER("grpc"),
    PROXY_COMMANDS_TIMEOUTS("grpc", "60s", "60s", NULL),
    PROXY_COMMANDS_NEXT("grpc"),
    PROXY_COMMANDS_BUFFER_SIZE("grpc"),
    PROXY_COMMANDS_SOCKET("grpc"),
    PROXY_COMMANDS_KEEPALIVE("grpc"),
    PROXY_COMMANDS_FIELDS("grpc"),
    PROXY_COMMANDS_SSL("grpc", "host of grpc_pass"),

    { .name = NULL },
};

/* --- variables -------------------------------------------------------------
 */

static bool
grpc_var_trailers(veil_http_request_t *r,
                  const veil_http_variable_t *v VEIL_UNUSED, veil_str_t *out)
{
    *out = VEIL_STR("trailers");
    return veil_grpc_wants_trailers(r);
}

static bool
grpc_var_status(veil_http_request_t *r,
                const veil_http_variable_t *v VEIL_UNUSED, veil_str_t *out)
{
    *out = veil_grpc_sent_status(r);
    return out->len != 0;
}

static const veil_http_var_def_t grpc_variables[] = {
    { .name = "grpc_internal_trailers", .get = grpc_var_trailers },
    { .name = "grpc_status",
      .get = grpc_var_status,
      .flags = VEIL_HTTP_VAR_VOLATILE },
    { .name = NULL },
};

/* --- the module ------------------------------------------------------------
 */

static void
grpc_lint(veil_lint_t *lint, const veil_conf_scope_t *block)
{
    veil_proxy_lint(lint, block, &grpc_kind, "grpc_set_header");
}

static const veil_http_module_t grpc_http = {
    .loc_conf_size = sizeof(grpc_conf_t),
    .loc_conf_default = grpc_conf_default,
    .loc_conf_finish = grpc_conf_finish,
    .handler = { VEIL_PHASE_CONTENT, grpc_handler },
    .filter = { .order = VEIL_FILTER_HEADERS - 50,
                .header = veil_grpc_error_filter },
    .variables = grpc_variables,
    .lint = grpc_lint,
};

veil_module_t veil_http_grpc_module = {
    .abi = VEIL_MODULE_ABI,
    .name = "grpc",
    .commands = grpc_commands,
    .http = &grpc_http,
};
