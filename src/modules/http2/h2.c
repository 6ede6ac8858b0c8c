/*
 * h2.c -- HTTP/2: its directives, and when a connection speaks it.
 */

#include "modules/http2/h2.h"

#include "http/config.h"
#include "http/server.h"

static void
h2_conf_default(void *data)
{
    h2_conf_t *conf = data;

    conf->header_table_size = 65536;
    conf->max_streams = 256;
    conf->window = 1 << 20;
    conf->conn_window = 1 << 20;
    conf->max_frame_size = 65536;
    conf->max_list_size = 65536;
    veil_h2_guard_default(conf->guard);
    conf->alternative.name = VEIL_STR("h2");
    conf->alternative.preface = VEIL_STR("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n");
    conf->alternative.start = veil_h2_start;
}

static bool
h2_has_address(const veil_array_t *addrs, const veil_addr_t *addr)
{
    unsigned i;

    for (i = 0; i < addrs->n; i++) {
        if (veil_addr_eq(*veil_array_at(addrs, const veil_addr_t *, i), addr))
        {
            return true;
        }
    }
    return false;
}

/* "listen ... http2", as nginx had it, is said of the address. */
static void
h2_find_addresses(const veil_http_main_t *main, veil_array_t *addrs)
{
    const veil_http_listen_t *l;
    const veil_http_server_t *s;
    unsigned i, n;

    for (i = 0; i < main->servers.n; i++) {
        s = *veil_array_at(&main->servers, veil_http_server_t *, i);
        for (n = 0; n < s->listens.n; n++) {
            l = veil_array_at(&s->listens, veil_http_listen_t, n);
            if (l->http2 && !h2_has_address(addrs, &l->options.addr)) {
                *(const veil_addr_t **) veil_array_push(addrs) =
                    &l->options.addr;
            }
        }
    }
}

static bool
h2_is_on(const veil_http_server_t *s, const veil_array_t *addrs)
{
    const h2_conf_t *conf = s->server_conf[veil_http_v2_module.index];
    const veil_http_listen_t *l;
    bool on = conf->enabled;
    unsigned i;

    for (i = 0; i < s->listens.n && !on; i++) {
        l = veil_array_at(&s->listens, veil_http_listen_t, i);
        on = h2_has_address(addrs, &l->options.addr);
    }
    return on;
}

static veil_rc_t
h2_check(veil_conf_t *cf)
{
    veil_http_main_t *main = cf->cycle->http;
    veil_http_server_t *s;
    const h2_conf_t *conf;
    veil_array_t addrs;
    unsigned i;

    veil_array_init(&addrs, cf->temp_pool, sizeof(const veil_addr_t *), 4);
    h2_find_addresses(main, &addrs);
    for (i = 0; i < main->servers.n; i++) {
        s = *veil_array_at(&main->servers, veil_http_server_t *, i);
        conf = s->server_conf[veil_http_v2_module.index];
        s->alternative = h2_is_on(s, &addrs) ? &conf->alternative : NULL;
    }
    return VEIL_OK;
}

static const veil_conf_limits_t h2_streams_limits = { 1, INT32_MAX };
static const veil_conf_limits_t h2_frame_limits = { 16384, 16777215 };
static const veil_conf_limits_t h2_window_limits = { 65535, INT32_MAX };
static const veil_conf_limits_t h2_size_limits = { 0, INT32_MAX };
static const veil_conf_limits_t h2_guard_limits = { 0, 1000000 };

/* Of nginx: what became of it. */
#define H2_NOOP(NAME, WHERE, WHY)                                             \
    {                                                                         \
        .name = NAME, .where = VEIL_CONF_HTTP | VEIL_CONF_SERVER | (WHERE),   \
        .args = VEIL_ARGS_1, .flags = VEIL_CONF_NOOP,                         \
        .set = veil_conf_set_noop, .data = WHY,                               \
        .help = "Accepted without effect: " WHY "."                           \
    }

#define H2_SIZE(NAME, FIELD, LIMITS, DEF, HELP)                               \
    {                                                                         \
        .name = NAME, .where = VEIL_CONF_HTTP | VEIL_CONF_SERVER,             \
        .kind = VEIL_CONF_OF_SERVER, .args = VEIL_ARGS_1,                     \
        .set = veil_conf_set_size, .offset = offsetof(h2_conf_t, FIELD),      \
        .data = &LIMITS, .syntax = "size", .def = DEF, .help = HELP           \
    }

/* A limit of h2_guard.c; 0: none. */
#define H2_GUARD(NAME, KIND, DEF, HELP)                                       \
    {                                                                         \
        .name = NAME, .where = VEIL_CONF_HTTP | VEIL_CONF_SERVER,             \
        .kind = VEIL_CONF_OF_SERVER, .args = VEIL_ARGS_1,                     \
        .set = veil_conf_set_num, .offset = offsetof(h2_conf_t, guard[KIND]), \
        .data = &h2_guard_limits, .syntax = "number", .def = DEF,             \
        .help = HELP                                                          \
    }

static const veil_command_t h2_commands[] = {
    { .name = "http2",
      .where = VEIL_CONF_HTTP | VEIL_CONF_SERVER,
      .kind = VEIL_CONF_OF_SERVER,
      .args = VEIL_ARGS_1,
      .set = veil_conf_set_flag,
      .offset = offsetof(h2_conf_t, enabled),
      .syntax = "on | off",
      .def = "off",
      .help = "Whether clients may speak HTTP/2: over TLS by ALPN, else by "
              "prior knowledge." },
    { .name = "http2_max_concurrent_streams",
      .where = VEIL_CONF_HTTP | VEIL_CONF_SERVER,
      .kind = VEIL_CONF_OF_SERVER,
      .args = VEIL_ARGS_1,
      .set = veil_conf_set_num,
      .offset = offsetof(h2_conf_t, max_streams),
      .data = &h2_streams_limits,
      .def = "256",
      .nginx = "128",
      .help = "The requests a connection may have at once." },
    H2_SIZE("http2_header_table_size", header_table_size, h2_size_limits,
            "64k", "The table that requests' fields are compressed with."),
    H2_SIZE("http2_initial_window_size", window, h2_window_limits, "1m",
            "What a client may send of a body before it is read."),
    H2_SIZE("http2_connection_window_size", conn_window, h2_window_limits,
            "1m", "The same for all bodies of a connection."),
    H2_SIZE("http2_max_frame_size", max_frame_size, h2_frame_limits, "64k",
            "The largest frame that is received."),
    H2_SIZE("http2_max_header_list_size", max_list_size, h2_size_limits, "64k",
            "The size of a head that clients are told to keep to."),
    H2_GUARD("http2_reset_rate", H2_GUARD_RESETS, "500",
             "Resets of streams that a client may send in a second."),
    H2_GUARD("http2_early_reset_rate", H2_GUARD_EARLY_RESETS, "300",
             "The same for requests whose response has not begun."),
    H2_GUARD("http2_max_resets", H2_GUARD_RESETS_EVER, "2000",
             "Resets that a client may send on a connection."),
    H2_GUARD("http2_max_stream_errors", H2_GUARD_ERRORS_EVER, "200",
             "Errors of a client, on a connection, that reset a stream."),
    H2_GUARD("http2_refused_rate", H2_GUARD_REFUSED, "500",
             "Heads of requests that are refused in a second."),
    H2_GUARD("http2_ping_rate", H2_GUARD_PINGS, "100",
             "PINGs that a client may send in a second."),
    H2_GUARD("http2_settings_rate", H2_GUARD_SETTINGS, "20",
             "SETTINGS that a client may send in a second."),
    H2_GUARD("http2_priority_rate", H2_GUARD_PRIORITY, "1000",
             "PRIORITY and PRIORITY_UPDATE frames in a second."),
    H2_GUARD("http2_window_update_rate", H2_GUARD_WINDOW, "2000",
             "WINDOW_UPDATE frames in a second."),
    H2_GUARD("http2_empty_data_rate", H2_GUARD_EMPTY, "200",
             "DATA frames in a second that hold nothing."),
    H2_GUARD("http2_tiny_data_rate", H2_GUARD_TINY, "1000",
             "DATA frames in a second that hold fewer than 5 bytes."),
    H2_GUARD("http2_unknown_frame_rate", H2_GUARD_UNKNOWN, "1000",
             "Frames of unknown types in a second, and KBs in them."),
    H2_NOOP("http2_chunk_size", VEIL_CONF_LOCATION,
            "a frame is as long as what there is to send, up to 16k"),
    H2_NOOP("http2_body_preread_size", 0,
            "\"http2_initial_window_size\" is used"),
    H2_NOOP("http2_recv_buffer_size", 0,
            "connections share the worker's buffers"),
    H2_NOOP("http2_idle_timeout", 0, "\"keepalive_timeout\" is used"),
    H2_NOOP("http2_recv_timeout", 0, "\"client_header_timeout\" is used"),
    H2_NOOP("http2_max_requests", 0, "\"keepalive_requests\" is used"),
    H2_NOOP("http2_max_field_size", 0,
            "\"large_client_header_buffers\" is used"),
    H2_NOOP("http2_max_header_size", 0,
            "\"large_client_header_buffers\" is used"),
    H2_NOOP("http2_pool_size", 0,
            "requests have pools, "
            "of \"request_pool_size\""),
    H2_NOOP("http2_streams_index_size", 0,
            "the index of streams grows by itself"),
    H2_NOOP("http2_push", VEIL_CONF_LOCATION,
            "browsers take no pushes any more"),
    H2_NOOP("http2_push_preload", VEIL_CONF_LOCATION,
            "browsers take no pushes any more"),
    H2_NOOP("http2_max_concurrent_pushes", 0,
            "browsers take no pushes any more"),
    { .name = NULL },
};

/* As nginx's: how HTTP/2 was agreed on; empty: not at all. */
static bool
h2_var_http2(veil_http_request_t *r, const veil_http_variable_t *v,
             veil_str_t *out)
{
    (void) v;
    if (r->in.version != 20) {
        *out = VEIL_STR("");
    } else {
        *out = r->conn->secure ? VEIL_STR("h2") : VEIL_STR("h2c");
    }
    return true;
}

static const veil_http_var_def_t h2_variables[] = {
    { .name = "http2", .get = h2_var_http2 },
    { .name = NULL },
};

static void
h2_exit_worker(veil_cycle_t *cycle)
{
    veil_h2_guard_report(&cycle->log);
}

static const veil_http_module_t h2_hooks = {
    .server_conf_size = sizeof(h2_conf_t),
    .server_conf_default = h2_conf_default,
    .check = h2_check,
    .exit_worker = h2_exit_worker,
    .variables = h2_variables,
};

veil_module_t veil_http_v2_module = {
    .abi = VEIL_MODULE_ABI,
    .name = "v2",
    .commands = h2_commands,
    .http = &h2_hooks,
};
