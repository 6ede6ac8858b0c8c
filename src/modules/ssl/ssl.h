/*
 * ssl.h -- what the files of the ssl module share.
 */

#ifndef VEIL_MODULES_SSL_SSL_H
#define VEIL_MODULES_SSL_SSL_H

#include "core/control.h"
#include "event/tls.h"
#include "http/http.h"
#include "http/server.h"

/* A name of a file as it was given, or "data:..." */
typedef struct {
    veil_str_t text;                /* a path is absolute */
    const veil_http_value_t *value; /* NULL: no variables */
    const veil_conf_node_t *node;
} veil_ssl_file_t;

typedef struct veil_ssl_loader_s veil_ssl_loader_t; /* ssl_load.c */

/* What one server block says, or inherits. */
typedef struct {
    veil_tls_options_t o;
    veil_array_t *certs;        /* of veil_ssl_file_t */
    veil_array_t *keys;         /* of veil_ssl_file_t */
    veil_str_t password_file;   /* path; empty: none */
    uint64_t handshake_timeout; /* ms; 0: client_header_timeout */
    veil_conf_cache_t cache;    /* ssl_certificate_cache */
    veil_ssl_loader_t *loader;  /* certificates with variables; else NULL */
    veil_tls_ctx_t *ctx;        /* NULL: no certificate */
    bool built;
    veil_tls_ctx_t *put_in; /* replaces ctx's certificates; or NULL */
    veil_list_t added;      /* of names at run time: ssl_control.c */
} veil_ssl_conf_t;

extern veil_module_t veil_http_ssl_module;

/* ssl_commands.c */
extern const veil_command_t veil_ssl_commands[];

/* ssl_variables.c */
extern const veil_http_var_def_t veil_ssl_variables[];

static inline veil_ssl_conf_t *
veil_ssl_conf_of(const veil_http_server_t *s)
{
    return s->server_conf[veil_http_ssl_module.index];
}

/* The session of the request's connection; NULL: there is none. */
veil_tls_t *veil_ssl_session(const veil_http_request_t *r);

/* --- ssl_lint.c */
veil_http_lint_fn veil_ssl_lint;

/* --- ssl_conf.c: setters */

veil_conf_set_fn veil_ssl_set_certificate;
veil_conf_set_fn veil_ssl_set_certificate_key;
veil_conf_set_fn veil_ssl_set_certificate_cache;
veil_conf_set_fn veil_ssl_set_password_file;
veil_conf_set_fn veil_ssl_set_protocols;
veil_conf_set_fn veil_ssl_set_text;  /* str; the directive is kept */
veil_conf_set_fn veil_ssl_set_file;  /* the same, of a path */
veil_conf_set_fn veil_ssl_set_files; /* veil_array_t * of paths */
veil_conf_set_fn veil_ssl_set_session_cache;
veil_conf_set_fn veil_ssl_set_session_timeout;
veil_conf_set_fn veil_ssl_set_buffer_size;
veil_conf_set_fn veil_ssl_set_alpn;
veil_conf_set_fn veil_ssl_set_compression;
veil_conf_set_fn veil_ssl_refuse;      /* data: the reason */
veil_conf_set_fn veil_ssl_refuse_conf; /* ssl_conf_command */

/* --- ssl_load.c: certificates with variables in their names */

/* For conf, which has such names; its context is there. */
veil_ssl_loader_t *veil_ssl_loader_create(veil_conf_t *cf,
                                          veil_ssl_conf_t *conf);
/*
 * The context with the certificates that the connection's names lead to:
 * at once from the cache, else VEIL_TLS_LATER, and veil_tls_select() follows.
 * NULL: there are none.
 */
veil_tls_ctx_t *veil_ssl_load(veil_http_conn_t *hc);
/* Lets go of what is cached: at a worker's exit. */
void veil_ssl_loader_clear(veil_ssl_loader_t *loader);

/* --- ssl_names.c: numbers of TLS by the names OpenSSL has for them */

/* The name, or NULL. */
const char *veil_ssl_cipher_name(uint16_t id);
const char *veil_ssl_group_name(uint16_t id);
const char *veil_ssl_sigalg_name(uint16_t id);

/* --- ssl_control.c: certificates while the server runs */

extern const veil_control_verb_t veil_ssl_control[];

/* In a keeper: those that were made to stay. */
veil_rc_t veil_ssl_control_restore(veil_cycle_t *cycle);

/* --- ssl_describe.c */

/* A certificate as {"subject", "names", "not_after", ...}; a new reference. */
json_t *veil_ssl_describe(const struct x509_st *cert);
/* Its SHA-256, in hexadecimal; 64 bytes and a zero byte. */
void veil_ssl_fingerprint(const struct x509_st *cert, char *text);
/* Seconds until it ends; negative: it has. */
int64_t veil_ssl_seconds_left(const struct x509_st *cert);

/* --- ssl_client.c: variables of the client's certificate */

veil_http_var_get_fn veil_ssl_get_client; /* data: which, below */

typedef enum {
    VEIL_SSL_CLIENT_CERT,
    VEIL_SSL_CLIENT_RAW_CERT,
    VEIL_SSL_CLIENT_ESCAPED_CERT,
    VEIL_SSL_CLIENT_S_DN,
    VEIL_SSL_CLIENT_I_DN,
    VEIL_SSL_CLIENT_S_DN_LEGACY,
    VEIL_SSL_CLIENT_I_DN_LEGACY,
    VEIL_SSL_CLIENT_SERIAL,
    VEIL_SSL_CLIENT_FINGERPRINT,
    VEIL_SSL_CLIENT_VERIFY,
    VEIL_SSL_CLIENT_V_START,
    VEIL_SSL_CLIENT_V_END,
    VEIL_SSL_CLIENT_V_REMAIN,
    VEIL_SSL_CLIENT_SIGALG
} veil_ssl_client_t;

#endif
