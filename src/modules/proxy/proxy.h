/*
 * proxy.h -- what modules share that pass requests on to upstreams.
 *
 *   proxy.c            the module of proxy_pass
 *   proxy_commands.c   its directives, as a table
 *   proxy_http.c       setters of those that only it has
 *   grpc.h             what is added to this for grpc_pass
 *
 * and, of all of them:
 *
 *   proxy_run.c        the handler: begin, send, reply
 *   proxy_commands.h   the directives that each has, by its own prefix
 *   proxy_conf.c       their setters, and what is made of them
 *   proxy_ssl.c        setters of proxy_ssl_...
 *   proxy_pass.c       proxy_pass: the target, and the URI that goes there
 *   proxy_request.c    the request's head
 *   proxy_response.c   what of the response's head goes on
 *   proxy_rewrite.c    proxy_redirect and proxy_cookie_...
 *   proxy_explain.c    what would be sent, for "veil --explain"
 *   proxy_lint.c       what is allowed and hardly meant
 */

#ifndef VEIL_MODULES_PROXY_PROXY_H
#define VEIL_MODULES_PROXY_PROXY_H

#include "http/http.h"
#include "http/regex.h"
#include "http/spool.h"
#include "http/upstream/upstream.h"

/* Where proxy_pass points: known beforehand, or from variables. */
typedef struct {
    veil_str_t url;         /* "http://host:port/uri", as written */
    veil_str_t name;        /* of the group: "host:port", "unix:/path" */
    veil_str_t host_header; /* $proxy_host */
    veil_str_t port;        /* $proxy_port; empty with unix sockets */
    veil_str_t uri;         /* from the slash on; empty: none was given */
    veil_str_t host;        /* without port and brackets */
    uint16_t default_port;
    bool https;
    veil_upstream_group_t *group;   /* NULL: found at run time */
    const veil_http_value_t *value; /* not NULL: has variables */
    const veil_conf_node_t *node;   /* of the directive */
} proxy_target_t;

/* proxy_set_header */
typedef struct {
    veil_str_t name;
    unsigned id;
    const veil_http_value_t *value;
} proxy_header_t;

/* proxy_redirect, proxy_cookie_domain, proxy_cookie_path: from -> to */
typedef struct {
    const veil_http_value_t *from; /* NULL: a regex */
    veil_http_regex_t *regex;
    const veil_http_value_t *to;
} proxy_pair_t;

/* proxy_cookie_flags: what is set (1) or taken away (-1) */
typedef struct {
    const veil_http_value_t *name; /* NULL: a regex */
    veil_http_regex_t *regex;
    int secure;
    int httponly;
    veil_str_t samesite; /* "strict", "lax", "none" */
    bool nosamesite;
} proxy_cookie_flags_t;

/* proxy_ignore_headers */
#define PROXY_IGNORE_REDIRECT 0x0001u
#define PROXY_IGNORE_EXPIRES 0x0002u
#define PROXY_IGNORE_LIMIT_RATE 0x0004u
#define PROXY_IGNORE_BUFFERING 0x0008u
#define PROXY_IGNORE_CHARSET 0x0010u
#define PROXY_IGNORE_OTHER 0x0020u /* of a cache: nothing to ignore yet */

typedef struct proxy_kind_s proxy_kind_t;
typedef struct proxy_ctx_s proxy_ctx_t;

/* What tells the modules apart that share this. */
struct proxy_kind_s {
    veil_module_t *module;
    const char *pass;   /* "proxy_pass" */
    veil_str_t plain;   /* "http://" */
    veil_str_t secure;  /* "https://" */
    const char *no_tls; /* that secure cannot be had */
    bool bare;          /* plain may be left out */
    bool no_uri;        /* there is only the request's own */
    size_t ctx_size;    /* of what begins with a proxy_ctx_t */
    /* Of its handler: veil_proxy_cancel() of its context. */
    veil_http_cancel_fn *cancel;
    /* The first thing of all, for r and conf; NULL: nothing to do. */
    void (*begin)(proxy_ctx_t *ctx);
    /* The exchange has its body, if any, and begins; NULL: nothing to do. */
    void (*sending)(proxy_ctx_t *ctx);
    /* The response is described, in r->out; NULL: nothing to do. */
    void (*replied)(proxy_ctx_t *ctx);
};

typedef struct {
    veil_upstream_conf_t up;
    const proxy_kind_t *kind;
    const proxy_target_t *target; /* NULL: no proxy_pass here */
    veil_array_t *set_headers;    /* of proxy_header_t */
    veil_array_t *hide_headers;   /* of veil_str_t */
    veil_array_t *pass_headers;   /* of veil_str_t */
    veil_array_t *redirects;      /* of proxy_pair_t */
    veil_array_t *cookie_domains; /* of proxy_pair_t */
    veil_array_t *cookie_paths;   /* of proxy_pair_t */
    veil_array_t *cookie_flags;   /* of proxy_cookie_flags_t */
    const veil_http_value_t *method;
    const veil_http_value_t *body; /* proxy_set_body */
    unsigned ignore_headers;
    unsigned http_version; /* 10, 11, 20 */
    bool h2c;
    bool redirect_off;
    bool pass_request_headers;
    bool pass_request_body;
    bool intercept_errors;
    bool pass_trailers;
    bool force_ranges;
    bool websocket;

    /* Made of the above when the block is complete. */
    proxy_pair_t redirect_own; /* of "default"; to NULL: none */
    uint64_t set_ids[2];       /* known fields that set_headers replaces */
    veil_str_t *set_names;     /* the others */
    unsigned nset_names;
    uint64_t hide_ids[2]; /* known fields that are not passed on */
    veil_str_t *hide_names;
    unsigned nhide_names;
    bool sets_host;
    bool sets_connection;
    bool sets_upgrade;
    bool pass_date;
    bool pass_server;
} proxy_conf_t;

/* A field of the request; id 0: its name is not of the table. */
typedef struct {
    unsigned id;
    veil_str_t name;
    veil_str_t value;
} proxy_field_t;

/* State of a request. */
struct proxy_ctx_s {
    veil_exchange_t x;
    const proxy_kind_t *kind;
    const proxy_conf_t *conf;
    veil_http_request_t *r;
    proxy_target_t target; /* of this request */
    bool started;          /* the exchange */
    bool done;             /* its head is there, or err */
    bool waiting_body;
    int err;
    proxy_field_t own[2]; /* that are said whatever the client says */
    unsigned nown;
    struct proxy_request_head_s *head; /* NULL: x has it as text */
};

extern veil_module_t veil_http_proxy_module;
extern const veil_command_t veil_proxy_commands[];

static inline bool
proxy_has_id(const uint64_t *set, unsigned id)
{
    return (set[id / 64] >> (id % 64)) & 1;
}

/* proxy_run.c */
/* The content handler of this module. */
veil_http_rc_t veil_proxy_handle(veil_http_request_t *r,
                                 const proxy_kind_t *kind);
/* The client is gone; may be anything but over. */
void veil_proxy_cancel(proxy_ctx_t *ctx);
/* While the handler waits: it fails with this status. */
void veil_proxy_stop(proxy_ctx_t *ctx, int status);

/* proxy_conf.c */
/* What all modules have; the module's own is added to it. */
void veil_proxy_conf_default(proxy_conf_t *conf, const proxy_kind_t *kind);
/* up.wire and ALPN are settled. */
veil_rc_t veil_proxy_conf_finish(veil_conf_t *cf, proxy_conf_t *conf);
veil_conf_set_fn veil_proxy_set_header;
veil_conf_set_fn veil_proxy_set_bind;
veil_conf_set_fn veil_proxy_set_next;

/* proxy_http.c */
/* What is asked of upstreams, by proxy_http_version and proxy_h2c. */
veil_rc_t veil_proxy_conf_wire(veil_conf_t *cf, proxy_conf_t *conf);
veil_conf_set_fn veil_proxy_set_buffers;
veil_conf_set_fn veil_proxy_set_temp_path;
veil_conf_set_fn veil_proxy_set_version;
veil_conf_set_fn veil_proxy_set_h2c;
veil_conf_set_fn veil_proxy_set_redirect;
veil_conf_set_fn veil_proxy_set_cookie_pair;
veil_conf_set_fn veil_proxy_set_cookie_flags;

/* proxy_ssl.c */
veil_conf_set_fn veil_proxy_set_ssl_certificate;
veil_conf_set_fn veil_proxy_set_ssl_key;
veil_conf_set_fn veil_proxy_set_ssl_cache;
veil_conf_set_fn veil_proxy_set_ssl_passwords;
veil_conf_set_fn veil_proxy_set_ssl_trusted;
veil_conf_set_fn veil_proxy_set_ssl_crl;
veil_conf_set_fn veil_proxy_set_ssl_ciphers;
veil_conf_set_fn veil_proxy_set_ssl_protocols;
veil_conf_set_fn veil_proxy_set_ssl_conf_command;

/* proxy_pass.c */
veil_conf_set_fn veil_proxy_set_pass;
/* Whether the target, if there is one, can need TLS. */
veil_upstream_tls_need_t veil_proxy_tls_need(const veil_http_main_t *m,
                                             const proxy_conf_t *conf);
/* The target of this request; false: it has been logged, status 500. */
bool veil_proxy_resolve_target(veil_http_request_t *r,
                               const proxy_conf_t *conf, proxy_target_t *t);
/* What stands in the request line. */
veil_str_t veil_proxy_uri(veil_http_request_t *r, const proxy_kind_t *kind,
                          const proxy_target_t *t);

/* proxy_request.c */
/* In begin(): a field that is said unless ..._set_header says another. */
void veil_proxy_say(proxy_ctx_t *ctx, veil_str_t name, veil_str_t value);
/*
 * Fills in x's uri and what follows from it, and its head, or how that is
 * made; body is settled.
 */
void veil_proxy_make_head(proxy_ctx_t *ctx);

/* proxy_response.c */
/* The exchange has a head: what becomes of it. */
veil_http_rc_t veil_proxy_reply(proxy_ctx_t *ctx);

/* proxy_rewrite.c */
/* The conf's own "default" pair. */
veil_rc_t veil_proxy_redirect_finish(veil_conf_t *cf, proxy_conf_t *conf);
/* The value changed, or false. */
bool veil_proxy_rewrite_location(veil_http_request_t *r,
                                 const proxy_conf_t *conf, veil_str_t *value,
                                 size_t skip);
void veil_proxy_rewrite_cookie(veil_http_request_t *r,
                               const proxy_conf_t *conf, veil_str_t *value);

/* proxy_explain.c */
/* Of a request that is explained, with its target: notes it, and answers. */
veil_http_rc_t veil_proxy_explain(proxy_ctx_t *ctx);

/* proxy_lint.c */
/* Of a module: set_header is "proxy_set_header". */
void veil_proxy_lint(veil_lint_t *lint, const veil_conf_scope_t *block,
                     const proxy_kind_t *kind, const char *set_header);

#endif
