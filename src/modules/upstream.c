/*
 * upstream.c -- upstream {}: groups of servers, and how they are chosen.
 *
 *     upstream backend {
 *         server 10.0.0.1:8080 weight=3;
 *         server 10.0.0.2:8080 max_fails=2 fail_timeout=5s;
 *         server 10.0.0.3:8080 backup;
 *         keepalive 16;
 *     }
 *
 * The directives only describe a group; http/upstream/ does the rest.
 */

#include "http/core_module.h"
#include "http/http.h"
#include "http/upstream/upstream_control.h"
#include "http/upstream/upstream_peer.h"

extern veil_module_t veil_http_upstream_module;

static veil_rc_t
upstream_set_block(veil_conf_t *cf, const veil_command_t *cmd VEIL_UNUSED,
                   void *conf VEIL_UNUSED)
{
    veil_upstream_group_t *g =
        veil_upstream_group_define(cf, veil_conf_arg(cf, 1));
    veil_conf_scope_t *scope;
    unsigned i;

    if (g == NULL) {
        return VEIL_ERROR;
    }
    scope = veil_conf_scope_create(cf, cf->scope->layer, cf->scope,
                                   VEIL_CONF_UPSTREAM,
                                   1u << VEIL_CONF_OF_UPSTREAM);
    scope->object = g;
    if (veil_conf_apply(cf, scope) != VEIL_OK) {
        return VEIL_ERROR;
    }
    for (i = 0; i < g->servers.n; i++) {
        if (!(*veil_array_at(&g->servers, veil_upstream_server_t *, i))
                 ->conf.backup) {
            return VEIL_OK;
        }
    }
    return veil_conf_error(cf, g->servers.n == 0
                                   ? "no servers are inside upstream"
                                   : "no servers but backups are inside "
                                     "upstream");
}

/* --- server ---------------------------------------------------------------
 */

/* Numbers of "server": true when argument i was one of them. */
static bool
upstream_server_number(veil_conf_t *cf, unsigned i, veil_upstream_server_t *s,
                       bool *bad)
{
    veil_str_t value;
    int64_t n;

    if (veil_conf_arg_is(cf, i, "weight", &value)) {
        n = veil_str_to_int(value);
        *bad = n < 1 || n > VEIL_UPSTREAM_WEIGHT_MAX;
        s->conf.weight = (int32_t) n;
    } else if (veil_conf_arg_is(cf, i, "max_conns", &value)) {
        n = s->conf.max_conns = veil_str_to_int(value);
        *bad = n < 0;
    } else if (veil_conf_arg_is(cf, i, "max_fails", &value)) {
        n = s->conf.max_fails = veil_str_to_int(value);
        *bad = n < 0;
    } else if (veil_conf_arg_is(cf, i, "fail_timeout", &value)) {
        n = veil_str_to_msec(value);
        s->conf.fail_timeout = (uint64_t) n;
        *bad = n < 0;
    } else {
        return false;
    }
    return true;
}

static veil_rc_t
upstream_server_sni(veil_conf_t *cf, unsigned i,
                    const veil_upstream_server_t *s)
{
    if (!veil_tls_is_built()) {
        return veil_conf_error_at(
            cf, i, "\"sni=\" needs TLS, which this build does not have");
    }
    if (s->scheme == VEIL_SCHEME_HTTP) {
        return veil_conf_error_at(
            cf, i, "\"sni=\" has no meaning for a server with http://");
    }
    if (s->sni.len == 0) {
        return veil_conf_error_at(cf, i, "invalid parameter \"%.*s\"",
                                  VEIL_STR_ARG(veil_conf_arg(cf, i)));
    }
    return VEIL_OK;
}

static veil_rc_t
upstream_server_word(veil_conf_t *cf, unsigned i, veil_upstream_server_t *s)
{
    static const char *const words[] = {
        "weight=",       "max_conns=", "max_fails=",
        "fail_timeout=", "backup",     "down",
        "resolve",       "sni=",       NULL
    };
    veil_str_t arg = veil_conf_arg(cf, i);
    bool bad = false;

    if (upstream_server_number(cf, i, s, &bad)) {
        return bad ? veil_conf_error_at(cf, i, "invalid parameter \"%.*s\"",
                                        VEIL_STR_ARG(arg))
                   : VEIL_OK;
    }
    if (veil_conf_arg_is(cf, i, "sni", &s->sni)) {
        return upstream_server_sni(cf, i, s);
    }
    if (veil_str_eq_z(arg, "backup")) {
        s->conf.backup = 1;
    } else if (veil_str_eq_z(arg, "down")) {
        s->conf.admin = VEIL_UPSTREAM_DOWN;
    } else if (!veil_str_eq_z(arg, "resolve")) {
        return veil_conf_error_word(cf, i, words);
    }
    /* Names are always looked up again: "resolve" says nothing new. */
    return VEIL_OK;
}

static veil_rc_t
upstream_set_server(veil_conf_t *cf, const veil_command_t *cmd VEIL_UNUSED,
                    void *conf VEIL_UNUSED)
{
    veil_str_t name = veil_conf_arg(cf, 1);
    veil_upstream_scheme_t scheme = VEIL_SCHEME_OF_URL;
    veil_upstream_server_t *s;
    unsigned i;

    if (veil_str_casestarts(name, VEIL_STR("https://"))) {
        if (!veil_tls_is_built()) {
            return veil_conf_error_at(
                cf, 1, "https:// needs TLS, which this build does not have");
        }
        name = veil_str_from(name, 8);
        scheme = VEIL_SCHEME_HTTPS;
    } else if (veil_str_casestarts(name, VEIL_STR("http://"))) {
        name = veil_str_from(name, 7);
        scheme = VEIL_SCHEME_HTTP;
    }
    s = veil_upstream_server_add(cf, veil_upstream_group_of(cf), name,
                                 scheme == VEIL_SCHEME_HTTPS ? 443 : 80);
    if (s == NULL) {
        return VEIL_ERROR;
    }
    s->scheme = scheme;
    for (i = 2; i < veil_conf_nargs(cf); i++) {
        if (upstream_server_word(cf, i, s) != VEIL_OK) {
            return VEIL_ERROR;
        }
    }
    return VEIL_OK;
}

/* --- the other directives -------------------------------------------------
 */

static veil_rc_t
upstream_set_zone(veil_conf_t *cf, const veil_command_t *cmd VEIL_UNUSED,
                  void *conf VEIL_UNUSED)
{
    int64_t size = 0;

    if (veil_conf_nargs(cf) == 3) {
        size = veil_conf_arg_size(cf, 2);
        if (size <= 0) {
            return VEIL_ERROR;
        }
    }
    return veil_upstream_zone_add(cf, veil_upstream_group_of(cf),
                                  veil_conf_arg(cf, 1), (size_t) size);
}

static veil_rc_t
upstream_set_keepalive(veil_conf_t *cf, const veil_command_t *cmd VEIL_UNUSED,
                       void *conf VEIL_UNUSED)
{
    int64_t n = veil_conf_arg_num(cf, 1);

    veil_upstream_group_of(cf)->keepalive = n;
    return n < 0 ? VEIL_ERROR : VEIL_OK;
}

static veil_rc_t
upstream_set_keepalive_requests(veil_conf_t *cf,
                                const veil_command_t *cmd VEIL_UNUSED,
                                void *conf VEIL_UNUSED)
{
    int64_t n = veil_conf_arg_num(cf, 1);

    veil_upstream_group_of(cf)->keepalive_requests = n;
    return n < 0 ? VEIL_ERROR : VEIL_OK;
}

static veil_rc_t
upstream_set_time(veil_conf_t *cf, const veil_command_t *cmd,
                  void *conf VEIL_UNUSED)
{
    veil_upstream_group_t *g = veil_upstream_group_of(cf);
    int64_t ms = veil_conf_arg_msec(cf, 1);

    if (ms < 0) {
        return VEIL_ERROR;
    }
    /* The table's offset is one into the group. */
    *(uint64_t *) (void *) ((char *) g + (uintptr_t) cmd->data) =
        (uint64_t) ms;
    return VEIL_OK;
}

static veil_rc_t
upstream_set_resolver(veil_conf_t *cf, const veil_command_t *cmd VEIL_UNUSED,
                      void *conf VEIL_UNUSED)
{
    veil_upstream_group_t *g = veil_upstream_group_of(cf);

    g->resolver = veil_http_resolver_options(cf);
    return g->resolver == NULL ? VEIL_ERROR : VEIL_OK;
}

/* Groups without a resolver of their own use that of http {}. */
static veil_rc_t
upstream_check(veil_conf_t *cf)
{
    const veil_http_main_t *m = cf->cycle->http;
    const veil_http_core_loc_t *core =
        veil_conf_read_of(m->scope, &veil_http_core_module, VEIL_CONF_OF_LOC);
    veil_upstream_group_t *g;
    unsigned i;

    for (i = 0; i < m->upstreams.n; i++) {
        g = *veil_array_at(&m->upstreams, veil_upstream_group_t *, i);
        if (g->resolver == NULL) {
            g->resolver = core->resolver;
        }
        if (g->resolver_timeout == 0) {
            g->resolver_timeout = core->resolver_timeout;
        }
    }
    return veil_upstream_check(cf);
}

#define UPSTREAM_FIELD(field)                                                 \
    ((const void *) offsetof(veil_upstream_group_t, field))

static const veil_command_t upstream_commands[] = {
    { .name = "upstream",
      .where = VEIL_CONF_HTTP,
      .args = VEIL_ARGS_1,
      .flags = VEIL_CONF_BLOCK | VEIL_CONF_DEFINITION,
      .kind = VEIL_CONF_OF_MAIN,
      .set = upstream_set_block,
      .syntax = "name { ... }",
      .help = "A group of servers." },

    { .name = "server",
      .where = VEIL_CONF_UPSTREAM,
      .args = VEIL_ARGS_1MORE,
      .flags = VEIL_CONF_MULTI,
      .kind = VEIL_CONF_OF_UPSTREAM,
      .set = upstream_set_server,
      .syntax = "[http://|https://]address [parameter ...]",
      .help = "A server of the group." },

    { .name = "zone",
      .where = VEIL_CONF_UPSTREAM,
      .args = VEIL_ARGS(1, 2),
      .kind = VEIL_CONF_OF_UPSTREAM,
      .set = upstream_set_zone,
      .syntax = "name [size]",
      .help = "The shared memory of the group's state." },

    { .name = "keepalive",
      .where = VEIL_CONF_UPSTREAM,
      .args = VEIL_ARGS_1,
      .kind = VEIL_CONF_OF_UPSTREAM,
      .set = upstream_set_keepalive,
      .def = "8",
      .help = "Idle connections that a worker keeps." },

    { .name = "keepalive_requests",
      .where = VEIL_CONF_UPSTREAM,
      .args = VEIL_ARGS_1,
      .kind = VEIL_CONF_OF_UPSTREAM,
      .set = upstream_set_keepalive_requests,
      .def = "1000",
      .help = "Requests on one connection." },

    { .name = "keepalive_timeout",
      .where = VEIL_CONF_UPSTREAM,
      .args = VEIL_ARGS_1,
      .kind = VEIL_CONF_OF_UPSTREAM,
      .set = upstream_set_time,
      .data = UPSTREAM_FIELD(keepalive_timeout),
      .def = "30s",
      .help = "How long an idle connection is kept." },

    { .name = "keepalive_time",
      .where = VEIL_CONF_UPSTREAM,
      .args = VEIL_ARGS_1,
      .kind = VEIL_CONF_OF_UPSTREAM,
      .set = upstream_set_time,
      .data = UPSTREAM_FIELD(keepalive_time),
      .def = "1h",
      .help = "How long a connection is used at all." },

    { .name = "resolver",
      .where = VEIL_CONF_UPSTREAM,
      .args = VEIL_ARGS_1MORE,
      .kind = VEIL_CONF_OF_UPSTREAM,
      .set = upstream_set_resolver,
      .syntax = "address ... [valid=time] [ipv4=on|off] [ipv6=on|off]",
      .help = "Name servers for names of the group." },

    { .name = "resolver_timeout",
      .where = VEIL_CONF_UPSTREAM,
      .args = VEIL_ARGS_1,
      .kind = VEIL_CONF_OF_UPSTREAM,
      .set = upstream_set_time,
      .data = UPSTREAM_FIELD(resolver_timeout),
      .def = "30s",
      .help = "How long a look-up may take." },

    { .name = NULL },
};

/* --- verbs ----------------------------------------------------------------
 */

#define UPSTREAM_POSITION (VEIL_CONTROL_REQUIRED | VEIL_CONTROL_POSITION)

#define UPSTREAM_ARGS                                                         \
    { "state", VEIL_CONTROL_WORD, 0, "ready|drain|down",                      \
      "drain: no new sessions; down: no requests" },                          \
        { "weight", VEIL_CONTROL_NUMBER, 0, NULL, "its share" },              \
        { "max_conns", VEIL_CONTROL_NUMBER, 0, NULL,                          \
          "requests under way at once; 0: any number" },                      \
        { "max_fails", VEIL_CONTROL_NUMBER, 0, NULL,                          \
          "failures until it is left alone; 0: never" },                      \
        { "fail_timeout", VEIL_CONTROL_TIME, 0, NULL,                         \
          "the time they count in, and it is left alone" },                   \
    {                                                                         \
        "backup", VEIL_CONTROL_WORD, 0, "on|off",                             \
            "asked when no other can be"                                      \
    }

static const veil_control_arg_t upstream_set_args[] = {
    { "server", VEIL_CONTROL_STRING, UPSTREAM_POSITION, NULL,
      "UPSTREAM/SERVER, or one address of it" },
    UPSTREAM_ARGS,
    { "addr", VEIL_CONTROL_STRING, 0, NULL,
      "ADDRESS:PORT to connect to instead; off: where the server says" },
    { "reset", VEIL_CONTROL_FLAG, 0, NULL, "all else is as configured" },
    { .name = NULL },
};

static const veil_control_arg_t upstream_add_args[] = {
    { "upstream", VEIL_CONTROL_STRING, UPSTREAM_POSITION, NULL,
      "the upstream" },
    { "address", VEIL_CONTROL_STRING, UPSTREAM_POSITION, NULL,
      "what \"server\" has in the configuration" },
    UPSTREAM_ARGS,
    { "sni", VEIL_CONTROL_STRING, 0, NULL,
      "the name its certificate must be for" },
    { .name = NULL },
};

static const veil_control_arg_t upstream_del_args[] = {
    { "server", VEIL_CONTROL_STRING, UPSTREAM_POSITION, NULL,
      "UPSTREAM/SERVER" },
    { "wait", VEIL_CONTROL_TIME, 0, NULL,
      "how long what is under way may take" },
    { "force", VEIL_CONTROL_FLAG, 0, NULL,
      "afterwards it is deleted in any case" },
    { .name = NULL },
};

static const veil_control_arg_t upstream_one_args[] = {
    { "upstream", VEIL_CONTROL_STRING, VEIL_CONTROL_POSITION, NULL,
      "this one only" },
    { .name = NULL },
};

static const veil_control_arg_t upstream_resolve_args[] = {
    { "name", VEIL_CONTROL_STRING, VEIL_CONTROL_POSITION, NULL,
      "a name, an upstream, or a server; all of them" },
    { .name = NULL },
};

static const veil_control_arg_t upstream_wait_args[] = {
    { "cond", VEIL_CONTROL_WORD, UPSTREAM_POSITION,
      "server-idle|healthy|gen-drained", "what is waited for" },
    { "what", VEIL_CONTROL_STRING, UPSTREAM_POSITION, NULL,
      "UPSTREAM/SERVER; UPSTREAM>=NUMBER; a generation" },
    { .name = NULL },
};

static const veil_control_verb_t upstream_verbs[] = {
    { .name = "server.set",
      .role = VEIL_CONTROL_OPERATE,
      .place = VEIL_CONTROL_IN_KEEPER,
      .flags = VEIL_CONTROL_CHANGES | VEIL_CONTROL_PERSISTS,
      .args = upstream_set_args,
      .run = veil_upstream_control_set,
      .help = "Changes a server of an upstream, for all workers at once." },

    { .name = "server.add",
      .role = VEIL_CONTROL_OPERATE,
      .place = VEIL_CONTROL_IN_KEEPER,
      .flags = VEIL_CONTROL_CHANGES | VEIL_CONTROL_PERSISTS,
      .args = upstream_add_args,
      .run = veil_upstream_control_add,
      .changed = veil_upstream_control_added,
      .help = "Adds a server to an upstream." },

    { .name = "server.del",
      .role = VEIL_CONTROL_OPERATE,
      .place = VEIL_CONTROL_IN_KEEPER,
      .flags =
          VEIL_CONTROL_CHANGES | VEIL_CONTROL_PERSISTS | VEIL_CONTROL_SLOW,
      .args = upstream_del_args,
      .run = veil_upstream_control_del,
      .help = "Drains a server of an upstream, waits, and takes it away." },

    { .name = "upstream.list",
      .role = VEIL_CONTROL_READ,
      .place = VEIL_CONTROL_IN_WORKERS,
      .args = upstream_one_args,
      .run = veil_upstream_control_list,
      .gather = veil_upstream_control_gather_list,
      .help = "Upstreams, and how many of their servers can be asked." },

    { .name = "upstream.show",
      .role = VEIL_CONTROL_READ,
      .place = VEIL_CONTROL_IN_WORKERS,
      .args = upstream_one_args,
      .run = veil_upstream_control_show,
      .gather = veil_upstream_control_gather_show,
      .help = "The servers of upstreams, address by address." },

    { .name = "resolve",
      .role = VEIL_CONTROL_OPERATE,
      .place = VEIL_CONTROL_IN_WORKERS,
      .args = upstream_resolve_args,
      .run = veil_upstream_control_resolve,
      .gather = veil_upstream_control_gather_resolve,
      .help = "Looks up names of servers now, or any other." },

    { .name = "wait",
      .role = VEIL_CONTROL_READ,
      .place = VEIL_CONTROL_IN_KEEPER,
      .place_for = veil_upstream_control_wait_place,
      .flags = VEIL_CONTROL_SLOW,
      .args = upstream_wait_args,
      .run = veil_upstream_control_wait,
      .help = "Waits until a condition holds." },

    { .name = NULL },
};

static const veil_http_module_t upstream_http = {
    .upstream_conf_size = sizeof(int),
    .main_conf_size = sizeof(int),
    .variables = veil_upstream_variables,
    .check = upstream_check,
    .init_worker = veil_upstream_init_worker,
    .exit_worker = veil_upstream_exit_worker,
};

static const char *const upstream_overlay[] = { "server", "add", "del", NULL };

static const veil_core_module_t upstream_core = {
    .init_keeper = veil_upstream_init_keeper,
    .overlay = upstream_overlay,
    .start_keeper = veil_upstream_start_keeper,
    .worker_ended = veil_upstream_worker_ended,
};

veil_module_t veil_http_upstream_module = {
    .abi = VEIL_MODULE_ABI,
    .name = "upstream",
    .commands = upstream_commands,
    .core = &upstream_core,
    .http = &upstream_http,
    .control = upstream_verbs,
};
