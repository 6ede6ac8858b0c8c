/*
 * core_conf.h -- what the http layer itself reads from the configuration.
 *
 * Filled in by core_module.c and config.c; read by everyone in http.  Times
 * are in milliseconds, sizes in bytes.
 */

#ifndef VEIL_HTTP_CORE_CONF_H
#define VEIL_HTTP_CORE_CONF_H

#include "core/array.h"
#include "core/conf.h"
#include "core/inet.h"
#include "core/log.h"
#include "event/filecache.h"
#include "event/listen.h"
#include "event/resolver.h"
#include "http/mime.h"
#include "http/variable.h"

typedef struct veil_http_main_s veil_http_main_t;
typedef struct veil_http_server_s veil_http_server_t;
typedef struct veil_http_location_s veil_http_location_t;
typedef struct veil_http_names_s veil_http_names_t;
typedef struct veil_http_port_s veil_http_port_t;
struct veil_http_conn_s;
typedef struct veil_http_pipeline_s veil_http_pipeline_t;

/* Everything of http {}; cycle->http. */
struct veil_http_main_s {
    veil_conf_scope_t *scope;
    veil_array_t servers;   /* of veil_http_server_t * */
    veil_array_t ports;     /* of veil_http_port_t * */
    veil_array_t upstreams; /* of veil_upstream_group_t * (upstream.h) */
    veil_http_pipeline_t *pipeline;
    veil_array_t tls_clients;      /* private to upstream_tls.c */
    veil_array_t temp_paths;       /* of veil_str_t: directories to make */
    veil_array_t file_caches;      /* of veil_filecache_options_t, by id */
    struct veil_http_vars_s *vars; /* private to variable.c */
    unsigned nmodules;
    bool connects; /* a module answers CONNECT in some location */
};

/* Another protocol that connections may speak in the place of HTTP/1. */
typedef struct {
    veil_str_t name;    /* by which ALPN chooses it */
    veil_str_t preface; /* what a plain connection begins with, then */
    void (*start)(struct veil_http_conn_s *hc);
} veil_http_alternative_t;

struct veil_http_server_s {
    veil_http_main_t *main;
    const veil_http_alternative_t *alternative; /* NULL: there is none */
    veil_conf_scope_t *scope;
    const veil_conf_node_t *node;
    veil_array_t names;         /* of veil_http_server_name_t (server.h) */
    veil_str_t name;            /* the first, for $server_name */
    veil_array_t listens;       /* of veil_http_listen_t (server.h) */
    veil_http_location_t *root; /* the server's own confs and the tree */
    struct veil_tls_ctx_s *tls; /* of the ssl module; NULL: no certificate */
    /* Certificates with variables in their names; NULL: tls it is. */
    struct veil_tls_ctx_s *(*tls_select)(struct veil_http_conn_s *hc);
    uint64_t tls_handshake_timeout; /* ms */
    void **main_conf;
    void **server_conf;
    void **loc_conf;
};

struct veil_http_location_s {
    veil_str_t name; /* prefix, regex text, "@name" */
    veil_http_server_t *server;
    veil_http_location_t *parent;
    const veil_conf_node_t *node;
    void **loc_conf;
    void **limit_except; /* loc_conf for the methods not named; or NULL */
    bool exact;
    bool named;
    bool regex;
    bool no_regex;      /* ^~ */
    bool is_route;      /* route /prefix {} */
    bool auto_redirect; /* "/x" -> "/x/" because a proxy_pass is here */
    struct veil_http_regex_s *re; /* of a regex location */
    veil_array_t *children; /* of veil_http_location_t *, as in the file */
    struct veil_http_loctree_s *tree; /* of them; private to location.c */
};

typedef enum {
    VEIL_LINGER_OFF,
    VEIL_LINGER_ON,
    VEIL_LINGER_ALWAYS
} veil_linger_t;
typedef enum {
    VEIL_TOKENS_OFF,
    VEIL_TOKENS_ON,
    VEIL_TOKENS_BUILD
} veil_tokens_t;
typedef enum { VEIL_SATISFY_ALL, VEIL_SATISFY_ANY } veil_satisfy_t;
typedef enum { VEIL_IMS_OFF, VEIL_IMS_EXACT, VEIL_IMS_BEFORE } veil_ims_t;
typedef enum {
    VEIL_FILE_AUTO,
    VEIL_FILE_SENDFILE,
    VEIL_FILE_MEMORY
} veil_file_mode_t;

/* Per server: read before a location is known. */
typedef struct {
    uint64_t client_header_timeout;
    uint64_t keepalive_drain_grace;
    uint64_t close_spread; /* the same for all servers */
    int64_t client_header_buffer_size;
    int64_t large_buffers_size;
    int64_t large_buffers_n;
    int64_t client_max_header_size; /* 0: number times size */
    int64_t max_headers;            /* fields; 0: no limit */
    int64_t request_pool_size;
    bool ignore_invalid_headers;
    bool underscores_in_headers;
    bool merge_slashes;
} veil_http_core_server_t;

/* Per location (and what is inherited into it). */
typedef struct {
    uint64_t client_body_timeout;
    uint64_t send_timeout;
    uint64_t keepalive_timeout;
    uint64_t keepalive_header; /* seconds to announce; 0: nothing */
    uint64_t keepalive_time;
    uint64_t keepalive_min_timeout;
    uint64_t lingering_time;
    uint64_t lingering_timeout;
    uint64_t resolver_timeout;
    int64_t keepalive_requests;
    int64_t client_max_body_size;         /* 0: no limit */
    int64_t client_max_chunked_body_size; /* the same; -1: as the former */
    int64_t client_body_buffer_size;
    int64_t sendfile_max_chunk;
    int64_t max_ranges;                  /* -1: no limit */
    const veil_http_value_t *limit_rate; /* NULL: none */
    const veil_http_value_t *limit_rate_after;
    const veil_http_value_t *root;  /* absolute, or with variables */
    const veil_http_value_t *alias; /* NULL: root counts */
    size_t alias_prefix;            /* bytes of the URI that alias replaces */
    veil_str_t default_type;
    veil_mime_table_t *types;
    veil_array_t *error_pages; /* of veil_http_error_page_t */
    const veil_log_sink_t *error_log;
    veil_log_level_t error_log_level;
    veil_resolver_options_t *resolver; /* NULL: the system's */
    veil_array_t *index;               /* of const veil_http_value_t * */
    veil_filecache_options_t open_file_cache;
    unsigned open_file_cache_id; /* equal options have equal ids */
    veil_array_t *early_hints;   /* of compiled values */
    veil_str_t client_body_temp_path;
    unsigned client_body_temp_levels[3];
    int client_body_in_file_only; /* veil_spool_name_t */
    int symlinks;                 /* veil_symlinks_t */
    const veil_http_value_t *symlinks_from;
    int lingering_close;           /* veil_linger_t */
    int satisfy;                   /* veil_satisfy_t */
    int if_modified_since;         /* veil_ims_t */
    int server_tokens;             /* veil_tokens_t */
    veil_str_t server_tokens_text; /* "server_tokens string"; empty: none */
    int file_mode;                 /* veil_file_mode_t */
    unsigned keepalive_disable;    /* mask: msie6, safari */
    unsigned limit_except_methods; /* 0: no limit_except */
    bool sendfile;
    bool tcp_nodelay;
    bool internal;
    bool etag;
    bool absolute_redirect;
    bool port_in_redirect;
    bool server_name_in_redirect;
    bool chunked_transfer_encoding;
    bool recursive_error_pages;
    bool log_not_found;
    bool log_subrequest;
    bool reset_timedout_connection;
    bool quiet_uninitialized; /* uninitialized_variable_warn off */
} veil_http_core_loc_t;

/* error_page 404 502 =200 /uri; one for each status named. */
typedef struct {
    int status;
    int overwrite; /* -1: keep; 0: the target's own; else this */
    const veil_http_value_t *target; /* URI, @name or absolute URL */
} veil_http_error_page_t;

extern veil_module_t veil_http_core_module;

#endif
