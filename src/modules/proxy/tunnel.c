/*
 * tunnel.c -- the tunnel module: CONNECT, for HTTP/1.1 and HTTP/2.
 *
 *     server {
 *         listen 127.0.0.1:3128;
 *         resolver 127.0.0.53;
 *         allow 10.0.0.0/8;
 *         deny all;
 *         tunnel_pass;
 *     }
 *
 * A connection is made to what the request names, or to the address that
 * tunnel_pass names instead; then 200 is answered and bytes go both ways, as
 * after an upgrade (upstream_tunnel.c).  There is no request to the other end:
 * the exchange is "raw".
 *
 * A CONNECT has no path: it is looked for as "/".  Where no tunnel_pass is it
 * is 405, before any content could answer it; and a 2xx that others make of it
 * becomes 405 too, as a client takes every 2xx for a tunnel.
 */

#include "core/platform.h"

#include "http/config.h"
#include "modules/proxy/proxy.h"
#include "modules/proxy/proxy_commands.h"

/* Of a tunnel_pass with an address that has none. */
#define TUNNEL_DEFAULT_PORT 443

typedef struct {
    veil_upstream_group_t *group;   /* NULL: found at run time */
    const veil_http_value_t *value; /* NULL: what the request names */
} tunnel_target_t;

typedef struct {
    proxy_conf_t proxy; /* the first: what directives of all modules set */
    const tunnel_target_t *target; /* NULL: no tunnel_pass */
} tunnel_conf_t;

typedef struct {
    veil_exchange_t x;
    bool done;
    int err;
} tunnel_ctx_t;

extern veil_module_t veil_http_tunnel_module;

static const proxy_kind_t tunnel_kind = {
    .module = &veil_http_tunnel_module,
    .pass = "tunnel_pass",
};

static const tunnel_conf_t *
tunnel_conf_of(const veil_http_request_t *r)
{
    return veil_http_loc_conf(r, &veil_http_tunnel_module);
}

static bool
tunnel_is_connect(const veil_http_request_t *r)
{
    return r->in.method == VEIL_CONNECT;
}

/* --- the handler -----------------------------------------------------------
 */

static void
tunnel_on_head(veil_exchange_t *x, int err)
{
    tunnel_ctx_t *ctx = x->owner;

    ctx->done = true;
    ctx->err = err;
    veil_http_resume(x->request);
}

static void
tunnel_cancel(veil_http_request_t *r)
{
    tunnel_ctx_t *ctx = veil_http_ctx(r, &veil_http_tunnel_module);

    if (!ctx->done) {
        veil_exchange_abort(&ctx->x);
        veil_http_resume(r);
    }
}

/* What the request names was checked when it was parsed. */
static veil_upstream_group_t *
tunnel_group(veil_http_request_t *r, const tunnel_target_t *t)
{
    veil_str_t name;

    if (t->group != NULL) {
        return t->group;
    }
    if (t->value != NULL) {
        name = veil_http_eval(r, t->value);
    } else {
        name = veil_pool_printf(r->pool, "%.*s:%u", VEIL_STR_ARG(r->in.host),
                                (unsigned) r->in.host_port);
    }
    return veil_upstream_group_dynamic(r, name, TUNNEL_DEFAULT_PORT);
}

static veil_http_rc_t
tunnel_begin(veil_http_request_t *r, const tunnel_conf_t *conf)
{
    tunnel_ctx_t *ctx = VEIL_POOL_NEW(r->pool, tunnel_ctx_t);

    ctx->x.group = tunnel_group(r, conf->target);
    if (ctx->x.group == NULL) {
        return veil_http_fail_why(r, 502, "invalid host in \"tunnel_pass\"");
    }
    veil_http_set_ctx(r, &veil_http_tunnel_module, ctx);
    if (r->upstream_states == NULL) {
        r->upstream_states =
            veil_array_create(r->pool, sizeof(veil_upstream_state_t), 1);
    }
    ctx->x.pool = r->pool;
    ctx->x.loop = r->loop;
    ctx->x.log = &r->log;
    ctx->x.conf = &conf->proxy.up;
    ctx->x.request = r;
    ctx->x.owner = ctx;
    ctx->x.raw = true;
    ctx->x.idempotent = true;
    ctx->x.states = r->upstream_states;
    ctx->x.on_head = tunnel_on_head;
    r->exchange = &ctx->x;
    veil_exchange_start(&ctx->x);
    return veil_http_wait(r, tunnel_cancel);
}

static veil_http_rc_t
tunnel_open(veil_http_request_t *r, tunnel_ctx_t *ctx)
{
    veil_http_body_t *from_client;

    r->out.status = 200;
    r->out.reason = VEIL_STR("Connection established");
    r->out.content_length = -1;
    r->tunnelled = true;
    from_client = r->proto->tunnel(r, ctx->x.tunnel);
    veil_exchange_tunnel(&ctx->x, from_client);
    return VEIL_HTTP_WAIT;
}

static veil_http_rc_t
tunnel_handler(veil_http_request_t *r)
{
    const tunnel_conf_t *conf = tunnel_conf_of(r);
    tunnel_ctx_t *ctx;

    if (conf->target == NULL) {
        return VEIL_HTTP_NEXT;
    }
    if (!tunnel_is_connect(r)) {
        return veil_http_fail_why(r, 405, "only CONNECT is for tunnels");
    }
    ctx = veil_http_ctx(r, &veil_http_tunnel_module);
    if (ctx == NULL) {
        return tunnel_begin(r, conf);
    }
    if (ctx->err != 0) {
        return veil_http_fail(r, ctx->err);
    }
    return tunnel_open(r, ctx);
}

/*
 * Nobody else is to answer a CONNECT.  Not before rewrites, as an "if" may
 * have the tunnel_pass; what "return" says is the filter's to look at.
 */
static veil_http_rc_t
tunnel_refuse(veil_http_request_t *r)
{
    if (tunnel_is_connect(r) && tunnel_conf_of(r)->target == NULL) {
        return veil_http_fail_why(r, 405, "a CONNECT request");
    }
    return VEIL_HTTP_NEXT;
}

static veil_rc_t
tunnel_filter(veil_http_request_t *r, const veil_http_filter_t *next)
{
    if (tunnel_is_connect(r) && r->out.status / 100 == 2) {
        veil_log(&r->log, VEIL_LOG_WARN, 0,
                 "a response of %d to CONNECT, which would be taken for a "
                 "tunnel, is made 405",
                 r->out.status);
        r->out.status = 405;
    }
    return veil_http_next_header(r, next);
}

/* --- configuration ---------------------------------------------------------
 */

/* Whether something around the directive says who may come. */
static bool
tunnel_is_guarded(const veil_conf_node_t *node)
{
    static const char *const guards[] = {
        "allow",      "deny",         "allowed_ips",      "denied_ips",
        "auth_basic", "auth_request", "ssl_verify_client"
    };
    const veil_conf_node_t *n;
    veil_list_t *l;
    unsigned i;

    for (node = node->parent; node != NULL; node = node->parent) {
        veil_list_foreach (l, &node->children) {
            n = veil_list_entry(l, veil_conf_node_t, link);
            for (i = 0; i < veil_countof(guards); i++) {
                if (veil_str_eq_z(n->args[0].str, guards[i])) {
                    return true;
                }
            }
        }
    }
    return false;
}

static veil_rc_t
tunnel_set_pass(veil_conf_t *cf, const veil_command_t *cmd VEIL_UNUSED,
                void *data)
{
    tunnel_conf_t *conf = data;
    tunnel_target_t *t = VEIL_POOL_NEW(cf->pool, tunnel_target_t);
    veil_http_main_t *main = cf->cycle->http;
    veil_str_t address;

    conf->target = t;
    main->connects = true;
    if (veil_conf_nargs(cf) == 1) {
        if (!tunnel_is_guarded(cf->node)) {
            veil_conf_warn(cf, "\"tunnel_pass\" without an address connects "
                               "to whatever clients ask for, and nothing "
                               "like \"allow\" says who they may be: an open "
                               "proxy");
        }
        return VEIL_OK;
    }
    address = veil_conf_arg(cf, 1);
    if (veil_str_chr(address, '$') >= 0) {
        t->value = veil_http_value_compile(cf, address);
        return t->value == NULL ? VEIL_ERROR : VEIL_OK;
    }
    t->group = veil_upstream_group_find(cf, address, TUNNEL_DEFAULT_PORT);
    return t->group == NULL ? VEIL_ERROR : VEIL_OK;
}

static void
tunnel_conf_default(void *data)
{
    proxy_conf_t *conf = data;

    veil_proxy_conf_default(conf, &tunnel_kind);
    conf->up.connect_timeout = 60000;
    conf->up.send_timeout = 60000;
    conf->up.read_timeout = 60000;
    conf->up.buffers_n = 1;
    conf->up.buffer_size = 16384;
    conf->up.keepalive = 0;
    conf->up.scheme = "tunnel";
}

static const veil_command_t tunnel_commands[] = {
    { .name = "tunnel_pass",
      .where = VEIL_CONF_SERVER | VEIL_CONF_LOCATION | VEIL_CONF_IF_LOCATION,
      .args = VEIL_ARGS(0, 1),
      .flags = VEIL_CONF_OWN,
      .set = tunnel_set_pass,
      .offset = offsetof(tunnel_conf_t, target),
      .syntax = "[address]",
      .help = "Connects clients that send CONNECT to what they name, or to "
              "this address." },

    PROXY_COMMANDS_TIMEOUTS("tunnel", "60s", "60s", NULL),
    PROXY_COMMANDS_NEXT("tunnel"),
    PROXY_COMMANDS_SOCKET("tunnel"),

    { .name = "tunnel_buffer_size",
      .where = VEIL_CONF_HTTP_ANY,
      .args = VEIL_ARGS_1,
      .set = veil_conf_set_size,
      .offset = offsetof(proxy_conf_t, up.buffer_size),
      .def = "16k",
      .help = "What may wait for a client that does not read." },
    { .name = "tunnel_send_lowat",
      .where = VEIL_CONF_HTTP_ANY,
      .args = VEIL_ARGS_1,
      .flags = VEIL_CONF_NOOP,
      .set = veil_conf_set_noop,
      .data = "Linux has no SO_SNDLOWAT",
      .help = "Accepted without effect: Linux has no SO_SNDLOWAT." },

    { .name = NULL },
};

/* --- the module ------------------------------------------------------------
 */

static const veil_http_phase_handler_t tunnel_handlers[] = {
    { VEIL_PHASE_PREACCESS, tunnel_refuse },
    { VEIL_PHASE_CONTENT, tunnel_handler },
    { VEIL_PHASE_NONE, NULL },
};

static const veil_http_module_t tunnel_http = {
    .loc_conf_size = sizeof(tunnel_conf_t),
    .loc_conf_default = tunnel_conf_default,
    .handlers = tunnel_handlers,
    .filter = { .order = VEIL_FILTER_CONDITIONAL - 50,
                .header = tunnel_filter },
};

veil_module_t veil_http_tunnel_module = {
    .abi = VEIL_MODULE_ABI,
    .name = "tunnel",
    .commands = tunnel_commands,
    .http = &tunnel_http,
};
