/*
 * upstream.h -- groups of peers, and exchanges with them.
 *
 * The life of an exchange (upstream_exchange.c):
 *
 *   pick        upstream_peer.c      a balancer names a peer, or none is left
 *   connection  upstream_pool.c      an idle one, or event/connect.c
 *               upstream_tls.c       and a handshake, where TLS is spoken
 *   wire        upstream_h1_conn.c   a table: how this connection is spoken on
 *   send        upstream_send.c      head, then the request body as it comes
 *   head        upstream_h1.c        the response's head; 1xx are passed on
 *   body        upstream_body.c      pulled by whoever sends it on
 *   done        upstream_pool.c      kept for reuse, or closed
 *
 * until the head has been handed over, upstream_retry.c may send it back to
 * the first step.  An exchange needs no request: health checks and the like
 * have theirs.
 *
 * The state of peers (failures, who is down, connections in use) lives in a
 * shared zone, so that all workers and generations agree.
 */

#ifndef VEIL_HTTP_UPSTREAM_H
#define VEIL_HTTP_UPSTREAM_H

#include "core/inet.h"
#include "event/conn.h"
#include "event/tls.h"
#include "http/body.h"
#include "http/request.h"

typedef struct veil_upstream_group_s veil_upstream_group_t;
typedef struct veil_upstream_server_s veil_upstream_server_t;
typedef struct veil_upstream_peer_s veil_upstream_peer_t;
typedef struct veil_upstream_conf_s veil_upstream_conf_t;
typedef struct veil_upstream_balancer_s veil_upstream_balancer_t;
typedef struct veil_exchange_s veil_exchange_t;
typedef struct veil_upstream_wire_s veil_upstream_wire_t;

/* proxy_next_upstream and the like. */
#define VEIL_NEXT_OFF 0x8000u
#define VEIL_NEXT_ERROR 0x0001u
#define VEIL_NEXT_TIMEOUT 0x0002u
#define VEIL_NEXT_INVALID_HEADER 0x0004u
#define VEIL_NEXT_500 0x0008u
#define VEIL_NEXT_502 0x0010u
#define VEIL_NEXT_503 0x0020u
#define VEIL_NEXT_504 0x0040u
#define VEIL_NEXT_403 0x0080u
#define VEIL_NEXT_404 0x0100u
#define VEIL_NEXT_429 0x0200u
#define VEIL_NEXT_NON_IDEMPOTENT 0x0400u

/*
 * How TLS is spoken to a server (proxy_ssl_...).  Certificates that are given
 * with variables are loaded when a connection needs them, and kept by certs.
 */
typedef struct {
    veil_tls_options_t options;
    bool verify;
    bool server_name;              /* SNI is sent */
    const veil_http_value_t *name; /* NULL: of the server, or of the URL */
    const veil_http_value_t *cert; /* of the client; NULL: none */
    const veil_http_value_t *key;
    const veil_conf_node_t *cert_node;
    const veil_conf_node_t *key_node;
    const veil_conf_cache_t *certs; /* NULL: each is loaded again */
    veil_tls_ctx_t *ctx;            /* NULL: nothing here can need TLS */
} veil_upstream_tls_t;

/*
 * A protocol beside HTTP/1 for exchanges (upstream_impl.h), by the name ALPN
 * has for it: "h2".  NULL: this build does not have it.
 */
const veil_upstream_wire_t *veil_upstream_wire_find(veil_str_t name);

/* How to talk: shared by proxy, and later grpc, fastcgi and friends. */
struct veil_upstream_conf_s {
    uint64_t connect_timeout;
    uint64_t send_timeout;
    uint64_t read_timeout;
    uint64_t next_timeout;      /* 0: none */
    int64_t next_tries;         /* 0: any number */
    unsigned next;              /* VEIL_NEXT_... */
    int64_t header_buffer_size; /* the response's head must fit */
    int64_t buffers_n;
    int64_t buffer_size;
    int64_t max_temp_file_size;
    int64_t limit_rate; /* bytes a second read from the peer; 0: none */
    veil_str_t temp_path;
    unsigned temp_levels[3];
    const veil_http_value_t *bind; /* local address; NULL: the kernel's */
    bool bind_off;
    bool buffering;
    bool request_buffering;
    bool ignore_client_abort;
    bool socket_keepalive;
    int64_t rcvbuf;
    int64_t sndbuf;
    int64_t keepalive; /* idle connections kept outside upstream {} */
    uint64_t keepalive_timeout;
    veil_upstream_tls_t tls;
    /* Asked of peers that can; with TLS by ALPN.  NULL: HTTP/1. */
    const veil_upstream_wire_t *wire;
    bool wire_needed;   /* a peer that cannot is of no use */
    const char *scheme; /* for log lines, without TLS; NULL: "http" */
};

/* The result of one attempt, for $upstream_... variables. */
typedef struct {
    veil_str_t peer;    /* "127.0.0.1:80"; the group's name if none */
    int status;         /* 0: none */
    bool first;         /* of its exchange: " : " separates these in texts */
    int64_t connect_ms; /* -1: not reached */
    int64_t header_ms;
    int64_t response_ms;
    int64_t response_length;
    uint64_t bytes_received;
    uint64_t bytes_sent;
} veil_upstream_state_t;

/*
 * By name ("backend", "host:port", "unix:/path"), for proxy_pass; created
 * when only mentioned, and then, unless an upstream {} of that name comes, a
 * group of the addresses of that host.  NULL after reporting.
 */
veil_upstream_group_t *veil_upstream_group_find(veil_conf_t *cf,
                                                veil_str_t name,
                                                uint16_t default_port);
/*
 * For a name seen at run time (proxy_pass with variables): an upstream {}, or
 * a group made in this worker and kept while it is in use.  NULL: malformed.
 */
veil_upstream_group_t *veil_upstream_group_dynamic(veil_http_request_t *r,
                                                   veil_str_t name,
                                                   uint16_t default_port);

/* nginx's defaults, but that servers are verified and told their name. */
void veil_upstream_tls_default(veil_upstream_tls_t *tls);
/* Whether anything with these options can need TLS. */
typedef enum {
    VEIL_UPSTREAM_TLS_NEVER,
    VEIL_UPSTREAM_TLS_MAYBE, /* variables will tell */
    VEIL_UPSTREAM_TLS_ALWAYS
} veil_upstream_tls_need_t;
/* What a group that is known asks for, when the URL says http:// or https://.
 */
veil_upstream_tls_need_t veil_upstream_tls_need(const veil_http_main_t *m,
                                                const veil_upstream_group_t *g,
                                                bool https);
/*
 * Makes tls->ctx when the block is complete, or finds that of another block
 * with the same options.  options.node is where it is needed.
 */
veil_rc_t veil_upstream_tls_finish(veil_conf_t *cf, veil_upstream_tls_t *tls,
                                   veil_upstream_tls_need_t need);
/* "off | max=N [inactive=time] [valid=time]" from argument 1 on. */
veil_rc_t veil_upstream_tls_set_cache(veil_conf_t *cf,
                                      veil_upstream_tls_t *tls);

/* A field of a request's head; id 0: its name is not of the table. */
typedef void veil_exchange_field_fn(void *to, unsigned id, veil_str_t name,
                                    veil_str_t value);

/*
 * One request to an upstream and its response.  Embedded in, or allocated
 * from, the pool of whoever wants it.
 */
struct veil_exchange_s {
    uint32_t magic;
    /* Filled in by the caller before veil_exchange_start(). */
    veil_pool_t *pool;
    veil_loop_t *loop;
    veil_log_t *log; /* its action is set while the exchange logs */
    const veil_upstream_conf_t *conf;
    veil_upstream_group_t *group;
    veil_http_request_t *request; /* for balancers and logs; may be NULL */
    /*
     * The request's head, complete, in HTTP/1's form.  With conf->wire, it
     * may be left to make_head(), which fills it in when it is needed, and
     * list_head() says the same as fields, whose bytes live as long as the
     * exchange; it returns the method.
     */
    veil_str_t head;
    void (*make_head)(veil_exchange_t *x);
    veil_str_t (*list_head)(veil_exchange_t *x, veil_exchange_field_fn *field,
                            void *to);
    veil_str_t uri;         /* of it, for log lines */
    veil_http_body_t *body; /* its body; NULL: none.  Framed by the caller's
                               head: chunked if body_chunked */
    bool body_chunked;
    bool head_method; /* HEAD: the response has no body */
    bool idempotent;
    bool want_upgrade;  /* a 101 makes a tunnel */
    bool want_trailers; /* the response's are passed on */
    bool https;         /* TLS, but with servers that say http:// */
    /* No request: a tunnel when it is connected; on_head, status 200, then. */
    bool raw;
    veil_str_t host; /* of the URL, without port: what the certificate
                        must be for when nothing else says so */
    /* A fresh reader of the same body, for a retry; NULL: it has none. */
    veil_http_body_t *(*rebody)(veil_exchange_t *x);
    /* A 1xx other than 101 arrived: its head is in x->status, x->headers. */
    void (*on_informational)(veil_exchange_t *x);
    /*
     * Once.  err 0: the head is in status, reason, headers; the body, if
     * any, in response.  Else an HTTP status: 502, 503, 504, ...
     * Never called from inside veil_exchange_start().
     */
    void (*on_head)(veil_exchange_t *x, int err);
    void *owner;

    /* The response. */
    int status;
    veil_str_t reason;
    unsigned version;
    veil_http_headers_t headers;
    int64_t content_length;       /* -1: unknown */
    veil_http_body_t *response;   /* NULL: none */
    bool response_complete;       /* all of it has arrived */
    veil_http_body_t *tunnel;     /* after 101: what the upstream sends */
    veil_upstream_state_t *state; /* of the last attempt; may move */
    veil_array_t *states;         /* of all; given by the caller, or made */
    unsigned reset; /* HTTP/2's code, and 1, when the upstream reset it */

    struct veil_exchange_private_s *priv;
};

#define VEIL_EXCHANGE_MAGIC 0x58434847u

/* Picks, connects, sends.  Everything else comes through callbacks. */
void veil_exchange_start(veil_exchange_t *x);
/*
 * After a 101: pulls what the client sends until it ends.  When both
 * directions are over, or one failed, the connection is closed.
 */
void veil_exchange_tunnel(veil_exchange_t *x, veil_http_body_t *from_client);
/*
 * The owner does not want the rest: before on_head (which is not called any
 * more) or after; frees connection and peer.  Harmless when it is over, and
 * done by the pool's end otherwise.
 */
void veil_exchange_abort(veil_exchange_t *x);
/*
 * The owner has the head and wants no more of the body to come: what has
 * arrived can be pulled, then it fails.  Only from the loop, as its reader
 * may be told; harmless when the response is complete.
 */
void veil_exchange_cut(veil_exchange_t *x);
/* The peer it is at, "127.0.0.1:80"; empty: none, or none any more. */
veil_str_t veil_exchange_peer(const veil_exchange_t *x);
/* It has been started and there is no response yet. */
bool veil_exchange_is_waiting(const veil_exchange_t *x);
/* ", upstream: "http://127.0.0.1:80/uri"" for log lines; the length. */
size_t veil_exchange_print(const veil_exchange_t *x, char *buf, size_t n);

/* Idle connections that are kept for the group; 0: each is closed. */
int64_t veil_upstream_keeps(const veil_upstream_group_t *g,
                            const veil_upstream_conf_t *conf);
/* Idle connections of this worker. */
unsigned veil_upstream_idle(void);

#endif
