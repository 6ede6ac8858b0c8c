/*
 * proxy_commands.h -- the directives that all modules of this directory have,
 * once: macros that make a table's entries for a prefix.
 *
 *     const veil_command_t veil_grpc_commands[] = {
 *         PROXY_COMMANDS_SET_HEADER("grpc"),
 *         ...
 *
 * Each conf is a proxy_conf_t, so the setters are the same as well.
 */

#ifndef VEIL_MODULES_PROXY_PROXY_COMMANDS_H
#define VEIL_MODULES_PROXY_PROXY_COMMANDS_H

#include "modules/proxy/proxy.h"

/* proxy_conf.c, proxy_ssl.c: words of bit masks. */
extern const veil_conf_enum_t veil_proxy_next_words[];
extern const veil_conf_enum_t veil_proxy_ignore_words[];
extern const veil_conf_enum_t veil_proxy_protocol_words[];

/* What is said to upstreams. */
#define PROXY_COMMANDS_SET_HEADER(p)                                          \
    {                                                                         \
        .name = p "_set_header", .where = VEIL_CONF_HTTP_ANY,                 \
        .args = VEIL_ARGS_2, .flags = VEIL_CONF_MULTI,                        \
        .set = veil_proxy_set_header, .syntax = "name value",                 \
        .help =                                                               \
            "Sets, or with an empty value removes, a field of the request "   \
            "that is passed on."                                              \
    }

/* Their defaults differ from module to module. */
#define PROXY_COMMANDS_TIMEOUTS(p, connect, idle, in_nginx)                   \
    { .name = p "_connect_timeout",                                           \
      .where = VEIL_CONF_HTTP_ANY,                                            \
      .args = VEIL_ARGS_1,                                                    \
      .set = veil_conf_set_msec,                                              \
      .offset = offsetof(proxy_conf_t, up.connect_timeout),                   \
      .def = connect,                                                         \
      .nginx = in_nginx,                                                      \
      .help = "The time to connect to an upstream." },                        \
        { .name = p "_send_timeout",                                          \
          .where = VEIL_CONF_HTTP_ANY,                                        \
          .args = VEIL_ARGS_1,                                                \
          .set = veil_conf_set_msec,                                          \
          .offset = offsetof(proxy_conf_t, up.send_timeout),                  \
          .def = idle,                                                        \
          .nginx = in_nginx,                                                  \
          .help = "The time between two writes to an upstream." },            \
    {                                                                         \
        .name = p "_read_timeout", .where = VEIL_CONF_HTTP_ANY,               \
        .args = VEIL_ARGS_1, .set = veil_conf_set_msec,                       \
        .offset = offsetof(proxy_conf_t, up.read_timeout), .def = idle,       \
        .nginx = in_nginx,                                                    \
        .help = "The time between two reads from an upstream."                \
    }

#define PROXY_COMMANDS_NEXT(p)                                                \
    { .name = p "_next_upstream",                                             \
      .where = VEIL_CONF_HTTP_ANY,                                            \
      .args = VEIL_ARGS_1MORE,                                                \
      .set = veil_proxy_set_next,                                             \
      .offset = offsetof(proxy_conf_t, up.next),                              \
      .data = veil_proxy_next_words,                                          \
      .syntax = "error | timeout | invalid_header | http_500 | ... | "        \
                "non_idempotent | off",                                       \
      .def = "error timeout",                                                 \
      .help = "When a request goes to the next server." },                    \
        { .name = p "_next_upstream_tries",                                   \
          .where = VEIL_CONF_HTTP_ANY,                                        \
          .args = VEIL_ARGS_1,                                                \
          .set = veil_conf_set_num,                                           \
          .offset = offsetof(proxy_conf_t, up.next_tries),                    \
          .def = "0",                                                         \
          .help = "The number of servers a request may be sent to; 0: no "    \
                  "limit." },                                                 \
    {                                                                         \
        .name = p "_next_upstream_timeout", .where = VEIL_CONF_HTTP_ANY,      \
        .args = VEIL_ARGS_1, .set = veil_conf_set_msec,                       \
        .offset = offsetof(proxy_conf_t, up.next_timeout), .def = "0",        \
        .help =                                                               \
            "The time in which a request may go to the next server; 0: no "   \
            "limit."                                                          \
    }

#define PROXY_COMMANDS_BUFFER_SIZE(p)                                         \
    {                                                                         \
        .name = p "_buffer_size", .where = VEIL_CONF_HTTP_ANY,                \
        .args = VEIL_ARGS_1, .set = veil_conf_set_size,                       \
        .offset = offsetof(proxy_conf_t, up.header_buffer_size), .def = "8k", \
        .help = "The most the head of a response may have."                   \
    }

#define PROXY_COMMANDS_SOCKET(p)                                              \
    { .name = p "_bind",                                                      \
      .where = VEIL_CONF_HTTP_ANY,                                            \
      .args = VEIL_ARGS(1, 2),                                                \
      .set = veil_proxy_set_bind,                                             \
      .syntax = "address | off",                                              \
      .help = "The local address of connections to upstreams." },             \
        { .name = p "_socket_keepalive",                                      \
          .where = VEIL_CONF_HTTP_ANY,                                        \
          .args = VEIL_ARGS_1,                                                \
          .set = veil_conf_set_flag,                                          \
          .offset = offsetof(proxy_conf_t, up.socket_keepalive),              \
          .syntax = "on | off",                                               \
          .def = "off",                                                       \
          .help = "SO_KEEPALIVE for connections to upstreams." },             \
        { .name = p "_socket_rcvbuf",                                         \
          .where = VEIL_CONF_HTTP_ANY,                                        \
          .args = VEIL_ARGS_1,                                                \
          .set = veil_conf_set_size,                                          \
          .offset = offsetof(proxy_conf_t, up.rcvbuf),                        \
          .help = "SO_RCVBUF for connections to upstreams." },                \
    {                                                                         \
        .name = p "_socket_sndbuf", .where = VEIL_CONF_HTTP_ANY,              \
        .args = VEIL_ARGS_1, .set = veil_conf_set_size,                       \
        .offset = offsetof(proxy_conf_t, up.sndbuf),                          \
        .help = "SO_SNDBUF for connections to upstreams."                     \
    }

#define PROXY_COMMANDS_KEEPALIVE(p)                                           \
    { .name = p "_keepalive",                                                 \
      .where = VEIL_CONF_HTTP_ANY,                                            \
      .args = VEIL_ARGS_1,                                                    \
      .set = veil_conf_set_num,                                               \
      .offset = offsetof(proxy_conf_t, up.keepalive),                         \
      .def = "8",                                                             \
      .help = "Idle connections kept for each server outside of an upstream " \
              "block." },                                                     \
    {                                                                         \
        .name = p "_keepalive_timeout", .where = VEIL_CONF_HTTP_ANY,          \
        .args = VEIL_ARGS_1, .set = veil_conf_set_msec,                       \
        .offset = offsetof(proxy_conf_t, up.keepalive_timeout), .def = "30s", \
        .help = "How long an idle connection is kept outside of an upstream " \
                "block."                                                      \
    }

/* What comes back. */
#define PROXY_COMMANDS_FIELDS(p)                                              \
    { .name = p "_intercept_errors",                                          \
      .where = VEIL_CONF_HTTP_ANY,                                            \
      .args = VEIL_ARGS_1,                                                    \
      .set = veil_conf_set_flag,                                              \
      .offset = offsetof(proxy_conf_t, intercept_errors),                     \
      .syntax = "on | off",                                                   \
      .def = "off",                                                           \
      .help = "Whether error_page answers for errors of upstreams." },        \
        { .name = p "_hide_header",                                           \
          .where = VEIL_CONF_HTTP_ANY,                                        \
          .args = VEIL_ARGS_1,                                                \
          .flags = VEIL_CONF_MULTI,                                           \
          .set = veil_conf_set_strs,                                          \
          .offset = offsetof(proxy_conf_t, hide_headers),                     \
          .help = "Keeps a field of the response back." },                    \
        { .name = p "_pass_header",                                           \
          .where = VEIL_CONF_HTTP_ANY,                                        \
          .args = VEIL_ARGS_1,                                                \
          .flags = VEIL_CONF_MULTI,                                           \
          .set = veil_conf_set_strs,                                          \
          .offset = offsetof(proxy_conf_t, pass_headers),                     \
          .help = "Passes a field on that is kept back by default." },        \
    {                                                                         \
        .name = p "_ignore_headers", .where = VEIL_CONF_HTTP_ANY,             \
        .args = VEIL_ARGS_1MORE, .set = veil_conf_set_bitmask,                \
        .offset = offsetof(proxy_conf_t, ignore_headers),                     \
        .data = veil_proxy_ignore_words,                                      \
        .help = "Fields of the response that are not obeyed."                 \
    }

/* TLS; host is how the default of the name is told. */
#define PROXY_COMMANDS_SSL(p, host)                                           \
    { .name = p "_ssl_certificate",                                           \
      .where = VEIL_CONF_HTTP_ANY,                                            \
      .args = VEIL_ARGS_1,                                                    \
      .set = veil_proxy_set_ssl_certificate,                                  \
      .syntax = "file | data:certificate",                                    \
      .help =                                                                 \
          "The certificate of the client, for upstreams that ask for one." }, \
        { .name = p "_ssl_certificate_key",                                   \
          .where = VEIL_CONF_HTTP_ANY,                                        \
          .args = VEIL_ARGS_1,                                                \
          .set = veil_proxy_set_ssl_key,                                      \
          .syntax = "file | data:key",                                        \
          .help = "The key of the certificate." },                            \
        { .name = p "_ssl_certificate_cache",                                 \
          .where = VEIL_CONF_HTTP_ANY,                                        \
          .args = VEIL_ARGS(1, 3),                                            \
          .set = veil_proxy_set_ssl_cache,                                    \
          .syntax = "off | max=N [inactive=time] [valid=time]",               \
          .def = "off",                                                       \
          .help = "How many certificates named by variables are kept, and "   \
                  "how long." },                                              \
        { .name = p "_ssl_password_file",                                     \
          .where = VEIL_CONF_HTTP_ANY,                                        \
          .args = VEIL_ARGS_1,                                                \
          .set = veil_proxy_set_ssl_passwords,                                \
          .syntax = "file",                                                   \
          .help = "Passwords of keys, one a line." },                         \
        { .name = p "_ssl_protocols",                                         \
          .where = VEIL_CONF_HTTP_ANY,                                        \
          .args = VEIL_ARGS_1MORE,                                            \
          .set = veil_proxy_set_ssl_protocols,                                \
          .offset = offsetof(proxy_conf_t, up.tls.options.protocols),         \
          .data = veil_proxy_protocol_words,                                  \
          .syntax = "[TLSv1] [TLSv1.1] [TLSv1.2] [TLSv1.3]",                  \
          .def = "TLSv1.2 TLSv1.3",                                           \
          .help = "The versions of TLS that are offered to upstreams." },     \
        { .name = p "_ssl_ciphers",                                           \
          .where = VEIL_CONF_HTTP_ANY,                                        \
          .args = VEIL_ARGS_1,                                                \
          .set = veil_proxy_set_ssl_ciphers,                                  \
          .syntax = "ciphers",                                                \
          .def = "DEFAULT",                                                   \
          .help =                                                             \
              "The ciphers that are offered to upstreams, up to TLS 1.2." },  \
        { .name = p "_ssl_conf_command",                                      \
          .where = VEIL_CONF_HTTP_ANY,                                        \
          .args = VEIL_ARGS_2,                                                \
          .flags = VEIL_CONF_MULTI,                                           \
          .set = veil_proxy_set_ssl_conf_command,                             \
          .syntax = "name value",                                             \
          .help = "Refused: BoringSSL has no configuration commands." },      \
        { .name = p "_ssl_verify",                                            \
          .where = VEIL_CONF_HTTP_ANY,                                        \
          .args = VEIL_ARGS_1,                                                \
          .set = veil_conf_set_flag,                                          \
          .offset = offsetof(proxy_conf_t, up.tls.verify),                    \
          .syntax = "on | off",                                               \
          .def = "on",                                                        \
          .nginx = "off",                                                     \
          .help = "Whether the certificate of an upstream is verified." },    \
        { .name = p "_ssl_verify_depth",                                      \
          .where = VEIL_CONF_HTTP_ANY,                                        \
          .args = VEIL_ARGS_1,                                                \
          .set = veil_conf_set_num,                                           \
          .offset = offsetof(proxy_conf_t, up.tls.options.verify_depth),      \
          .syntax = "number",                                                 \
          .def = "1",                                                         \
          .help = "How many intermediate certificates a chain may have." },   \
        { .name = p "_ssl_trusted_certificate",                               \
          .where = VEIL_CONF_HTTP_ANY,                                        \
          .args = VEIL_ARGS_1,                                                \
          .set = veil_proxy_set_ssl_trusted,                                  \
          .syntax = "file",                                                   \
          .help = "The certificates that upstreams are verified with, in "    \
                  "place of "                                                 \
                  "those of the system." },                                   \
        { .name = p "_ssl_crl",                                               \
          .where = VEIL_CONF_HTTP_ANY,                                        \
          .args = VEIL_ARGS_1,                                                \
          .set = veil_proxy_set_ssl_crl,                                      \
          .syntax = "file",                                                   \
          .help = "Certificates that are revoked." },                         \
        { .name = p "_ssl_name",                                              \
          .where = VEIL_CONF_HTTP_ANY,                                        \
          .args = VEIL_ARGS_1,                                                \
          .set = veil_http_set_value,                                         \
          .offset = offsetof(proxy_conf_t, up.tls.name),                      \
          .syntax = "name",                                                   \
          .def = host,                                                        \
          .help = "The name that a certificate must be for, and that is "     \
                  "asked for." },                                             \
        { .name = p "_ssl_server_name",                                       \
          .where = VEIL_CONF_HTTP_ANY,                                        \
          .args = VEIL_ARGS_1,                                                \
          .set = veil_conf_set_flag,                                          \
          .offset = offsetof(proxy_conf_t, up.tls.server_name),               \
          .syntax = "on | off",                                               \
          .def = "on",                                                        \
          .nginx = "off",                                                     \
          .help = "Whether an upstream is told the name that is asked for "   \
                  "(SNI)." },                                                 \
        { .name = p "_ssl_session_reuse",                                     \
          .where = VEIL_CONF_HTTP_ANY,                                        \
          .args = VEIL_ARGS_1,                                                \
          .set = veil_conf_set_flag,                                          \
          .offset = offsetof(proxy_conf_t, up.tls.options.session_reuse),     \
          .syntax = "on | off",                                               \
          .def = "on",                                                        \
          .help = "Whether sessions are used again." },                       \
    {                                                                         \
        .name = p "_ssl_ktls", .where = VEIL_CONF_HTTP_ANY,                   \
        .args = VEIL_ARGS_1, .set = veil_conf_set_flag,                       \
        .offset = offsetof(proxy_conf_t, up.tls.options.ktls),                \
        .syntax = "on | off", .def = "off",                                   \
        .help =                                                               \
            "Whether the kernel encrypts for upstreams, where it can; it "    \
            "decrypts as well where sessions are not used again."             \
    }

#endif
