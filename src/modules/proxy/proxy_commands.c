/*
 * proxy_commands.c -- the directives of the proxy module, as a table.
 *
 * What other modules have, too, is in proxy_commands.h; here is what only
 * proxying over HTTP has.
 */

#include "modules/proxy/proxy_commands.h"

const veil_command_t veil_proxy_commands[] = {
    { .name = "proxy_pass",
      .where =
          VEIL_CONF_LOCATION | VEIL_CONF_IF_LOCATION | VEIL_CONF_LIMIT_EXCEPT,
      .args = VEIL_ARGS_1,
      .flags = VEIL_CONF_OWN,
      .set = veil_proxy_set_pass,
      .offset = offsetof(proxy_conf_t, target),
      .syntax = "http[s]://host[:port][/uri]",
      .help = "Passes requests on to this server or group." },

    { .name = "proxy_http_version",
      .where = VEIL_CONF_HTTP_ANY,
      .args = VEIL_ARGS_1,
      .set = veil_proxy_set_version,
      .syntax = "1.0 | 1.1 | 2",
      .def = "1.1",
      .help =
          "The version of HTTP that is spoken to upstreams.  2: over TLS "
          "if the upstream agrees (ALPN), else 1.1; without TLS it must." },

    { .name = "proxy_h2c",
      .where = VEIL_CONF_HTTP_ANY,
      .args = VEIL_ARGS_1,
      .set = veil_proxy_set_h2c,
      .offset = offsetof(proxy_conf_t, h2c),
      .syntax = "on | off",
      .def = "off",
      .help = "Whether HTTP/2 is spoken to upstreams without TLS, which must "
              "know it." },

    { .name = "proxy_method",
      .where = VEIL_CONF_HTTP_ANY,
      .args = VEIL_ARGS_1,
      .set = veil_http_set_value,
      .offset = offsetof(proxy_conf_t, method),
      .help = "The method of the request that is passed on." },

    PROXY_COMMANDS_SET_HEADER("proxy"),

    { .name = "proxy_set_body",
      .where = VEIL_CONF_HTTP_ANY,
      .args = VEIL_ARGS_1,
      .set = veil_http_set_value,
      .offset = offsetof(proxy_conf_t, body),
      .help = "The body of the request that is passed on." },

    { .name = "proxy_pass_request_headers",
      .where = VEIL_CONF_HTTP_ANY,
      .args = VEIL_ARGS_1,
      .set = veil_conf_set_flag,
      .offset = offsetof(proxy_conf_t, pass_request_headers),
      .syntax = "on | off",
      .def = "on",
      .help = "Whether the header fields of the client are passed on." },

    { .name = "proxy_pass_request_body",
      .where = VEIL_CONF_HTTP_ANY,
      .args = VEIL_ARGS_1,
      .set = veil_conf_set_flag,
      .offset = offsetof(proxy_conf_t, pass_request_body),
      .syntax = "on | off",
      .def = "on",
      .help = "Whether the body of the request is passed on." },

    { .name = "proxy_websocket",
      .where = VEIL_CONF_HTTP_ANY,
      .args = VEIL_ARGS_1,
      .set = veil_conf_set_flag,
      .offset = offsetof(proxy_conf_t, websocket),
      .syntax = "on | off",
      .def = "on",
      .help = "Whether an upgrade that the client asks for is passed on "
              "without being configured." },

    PROXY_COMMANDS_TIMEOUTS("proxy", "10s", "30s", "60s"),

    PROXY_COMMANDS_NEXT("proxy"),

    { .name = "proxy_buffering",
      .where = VEIL_CONF_HTTP_ANY,
      .args = VEIL_ARGS_1,
      .set = veil_conf_set_flag,
      .offset = offsetof(proxy_conf_t, up.buffering),
      .syntax = "on | off",
      .def = "on",
      .help = "Whether responses are read ahead of the client." },

    { .name = "proxy_request_buffering",
      .where = VEIL_CONF_HTTP_ANY,
      .args = VEIL_ARGS_1,
      .set = veil_conf_set_flag,
      .offset = offsetof(proxy_conf_t, up.request_buffering),
      .syntax = "on | off",
      .def = "on",
      .help =
          "Whether the body of a request is read before it is passed on." },

    PROXY_COMMANDS_BUFFER_SIZE("proxy"),

    { .name = "proxy_buffers",
      .where = VEIL_CONF_HTTP_ANY,
      .args = VEIL_ARGS_2,
      .set = veil_proxy_set_buffers,
      .syntax = "number size",
      .def = "8 8k",
      .help = "Memory for a response that is read ahead." },

    { .name = "proxy_busy_buffers_size",
      .where = VEIL_CONF_HTTP_ANY,
      .args = VEIL_ARGS_1,
      .flags = VEIL_CONF_NOOP,
      .set = veil_conf_set_noop,
      .data = "what waits for the client does not hold buffers back here",
      .help = "Accepted: how much is sent at once follows from the client." },

    { .name = "proxy_max_temp_file_size",
      .where = VEIL_CONF_HTTP_ANY,
      .args = VEIL_ARGS_1,
      .set = veil_conf_set_size,
      .offset = offsetof(proxy_conf_t, up.max_temp_file_size),
      .def = "1024m",
      .help =
          "The most of a response that goes to a temporary file; 0: none." },

    { .name = "proxy_temp_path",
      .where = VEIL_CONF_HTTP_ANY,
      .args = VEIL_ARGS(1, 4),
      .set = veil_proxy_set_temp_path,
      .syntax = "path [level1 [level2 [level3]]]",
      .help = "The directory of temporary files, and the levels below it." },

    { .name = "proxy_temp_file_write_size",
      .where = VEIL_CONF_HTTP_ANY,
      .args = VEIL_ARGS_1,
      .flags = VEIL_CONF_NOOP,
      .set = veil_conf_set_noop,
      .data = "temporary files are written block by block",
      .help = "Accepted: temporary files are written block by block." },

    { .name = "proxy_limit_rate",
      .where = VEIL_CONF_HTTP_ANY,
      .args = VEIL_ARGS_1,
      .set = veil_conf_set_size,
      .offset = offsetof(proxy_conf_t, up.limit_rate),
      .def = "0",
      .help = "Bytes a second that are read from an upstream; 0: no limit." },

    PROXY_COMMANDS_SOCKET("proxy"),

    { .name = "proxy_send_lowat",
      .where = VEIL_CONF_HTTP_ANY,
      .args = VEIL_ARGS_1,
      .flags = VEIL_CONF_NOOP,
      .set = veil_conf_set_noop,
      .data = "Linux has no such limit",
      .help = "Accepted, of no effect on Linux." },

    PROXY_COMMANDS_KEEPALIVE("proxy"),

    { .name = "proxy_ignore_client_abort",
      .where = VEIL_CONF_HTTP_ANY,
      .args = VEIL_ARGS_1,
      .set = veil_conf_set_flag,
      .offset = offsetof(proxy_conf_t, up.ignore_client_abort),
      .syntax = "on | off",
      .def = "off",
      .help = "Whether a request goes on when its client has left." },

    PROXY_COMMANDS_FIELDS("proxy"),

    { .name = "proxy_pass_trailers",
      .where = VEIL_CONF_HTTP_ANY,
      .args = VEIL_ARGS_1,
      .set = veil_conf_set_flag,
      .offset = offsetof(proxy_conf_t, pass_trailers),
      .syntax = "on | off",
      .def = "off",
      .help = "Whether the trailers of a response are passed on." },

    { .name = "proxy_force_ranges",
      .where = VEIL_CONF_HTTP_ANY,
      .args = VEIL_ARGS_1,
      .set = veil_conf_set_flag,
      .offset = offsetof(proxy_conf_t, force_ranges),
      .syntax = "on | off",
      .def = "off",
      .help = "Whether ranges are cut from responses that do not offer it." },

    { .name = "proxy_redirect",
      .where = VEIL_CONF_HTTP_ANY,
      .args = VEIL_ARGS(1, 2),
      .flags = VEIL_CONF_MULTI,
      .set = veil_proxy_set_redirect,
      .syntax = "default | off | redirect replacement",
      .def = "default",
      .help = "Changes Location and Refresh of responses." },

    { .name = "proxy_cookie_domain",
      .where = VEIL_CONF_HTTP_ANY,
      .args = VEIL_ARGS(1, 2),
      .flags = VEIL_CONF_MULTI,
      .set = veil_proxy_set_cookie_pair,
      .offset = offsetof(proxy_conf_t, cookie_domains),
      .syntax = "off | domain replacement",
      .def = "off",
      .help = "Changes the domain of cookies." },

    { .name = "proxy_cookie_path",
      .where = VEIL_CONF_HTTP_ANY,
      .args = VEIL_ARGS(1, 2),
      .flags = VEIL_CONF_MULTI,
      .set = veil_proxy_set_cookie_pair,
      .offset = offsetof(proxy_conf_t, cookie_paths),
      .syntax = "off | path replacement",
      .def = "off",
      .help = "Changes the path of cookies." },

    { .name = "proxy_cookie_flags",
      .where = VEIL_CONF_HTTP_ANY,
      .args = VEIL_ARGS(1, 4),
      .flags = VEIL_CONF_MULTI,
      .set = veil_proxy_set_cookie_flags,
      .syntax = "off | cookie [flag ...]",
      .def = "off",
      .help = "Sets or removes flags of cookies." },

    PROXY_COMMANDS_SSL("proxy", "$proxy_host"),

    { .name = "proxy_headers_hash_max_size",
      .where = VEIL_CONF_HTTP_ANY,
      .args = VEIL_ARGS_1,
      .flags = VEIL_CONF_NOOP,
      .set = veil_conf_set_noop,
      .data = "tables have the size they need",
      .help = "Accepted: tables have the size they need." },

    { .name = "proxy_headers_hash_bucket_size",
      .where = VEIL_CONF_HTTP_ANY,
      .args = VEIL_ARGS_1,
      .flags = VEIL_CONF_NOOP,
      .set = veil_conf_set_noop,
      .data = "tables have the size they need",
      .help = "Accepted: tables have the size they need." },

    { .name = NULL },
};
