/*
 * upstream_impl.h -- what the upstream_*.c files share with one another and
 * with wires; nobody else includes it.
 *
 * A wire is a protocol that exchanges are spoken in, as a table of functions.
 * The exchange does not ask which it is: it says what it wants through the
 * table, and is told what came by veil_exchange_take_head(), the functions of
 * upstream_body.c and veil_exchange_on_eof().
 */

#ifndef VEIL_HTTP_UPSTREAM_IMPL_H
#define VEIL_HTTP_UPSTREAM_IMPL_H

#include "core/platform.h"

#include "core/time.h"
#include "http/http.h"
#include "http/parse/parse.h"
#include "http/upstream/upstream.h"
#include "http/upstream/upstream_peer.h"

#define VEIL_UPSTREAM_CONN_MAGIC 0x55434f4eu

typedef struct veil_upstream_conn_s veil_upstream_conn_t;

struct veil_upstream_wire_s {
    const char *name;            /* as in ALPN */
    const veil_conn_ops_t *conn; /* of connections that speak it */
    /* A new connection will speak it; of wires that share connections. */
    void (*begin)(veil_upstream_conn_t *uc);
    /* Exchanges it could take now; NULL: it has one at a time. */
    unsigned (*room)(const veil_upstream_conn_t *uc);
    /* The exchange has its connection: its head and body are to be sent. */
    void (*send)(veil_exchange_t *x);
    /* The response's body is wanted again, or not for now. */
    void (*read)(veil_exchange_t *x);
    void (*hold)(veil_exchange_t *x);
    /* veil_exchange_on_read_timeout() after so long, counted anew; 0: never */
    void (*timeout)(veil_exchange_t *x, uint64_t ms);
    /* Bytes of this exchange so far. */
    void (*count)(const veil_exchange_t *x, veil_upstream_state_t *s);
    /*
     * The exchange is through with its connection, which others may use if
     * that is possible and wanted.
     */
    void (*leave)(veil_exchange_t *x, bool keep);
    /*
     * A connection that nobody uses is to end, and closes itself when it has
     * said so, without its group; NULL: there is nothing to say.
     */
    void (*retire)(veil_upstream_conn_t *uc);
    /*
     * The last exchange that waited for the connection has left; NULL: that
     * is nothing to it.
     */
    void (*unwanted)(veil_upstream_conn_t *uc);
};

/*
 * A connection to a peer: in use, or idle.  x has it, or, if it is shared,
 * made it; then others may wait for it to be there.
 */
struct veil_upstream_conn_s {
    uint32_t magic;
    uint32_t nrequests;
    veil_pool_t *pool;
    veil_conn_t c;
    const veil_upstream_wire_t *wire;
    const veil_upstream_wire_t *asked; /* the conf's: NULL, or a shared one */
    void *session;                     /* of the wire */
    veil_exchange_t *x;                /* NULL: idle, shared or closing */
    veil_list_t shared; /* of the peer: linked while others may come */
    veil_list_t joined; /* exchanges that wait, by their "join" */
    unsigned njoined;
    bool connecting;
    veil_upstream_group_t *group;
    veil_upstream_peer_t *peer;
    veil_list_t group_link; /* linked while idle */
    veil_list_t peer_link;
    veil_list_t link; /* of all of this worker */
    uint64_t start_ms;
    veil_addr_t local;     /* proxy_bind's; family 0: the kernel's choice */
    veil_block_t *sending; /* what a write under way points into */
    veil_pin_t pin;        /* or the exchange's pool */
    veil_tls_ctx_t *tls;   /* counted; NULL: plain */
    const veil_tls_ctx_t
        *tls_base;      /* it may be another's with a certificate */
    veil_str_t tls_key; /* as in veil_upstream_target_t */
    uint64_t number;    /* of its own, for the log */
};

/* With whom an attempt speaks TLS; upstream_tls.c. */
typedef struct {
    const veil_upstream_tls_t *tls;
    veil_str_t name; /* of the server, or an address */
    bool is_addr;
    veil_tls_cert_files_t files; /* of the client; empty: those of the ctx */
    veil_str_t key;        /* what connections and sessions must agree in */
    veil_tls_ctx_t *ctx;   /* counted; of the connection to come */
    veil_tls_load_t *load; /* it is being made */
} veil_upstream_target_t;

typedef enum {
    VEIL_X_START,   /* posted */
    VEIL_X_RESOLVE, /* waits for a name */
    VEIL_X_CONNECT, /* and shakes hands */
    VEIL_X_HEAD,    /* request on its way; no head yet */
    VEIL_X_BODY,    /* head handed over */
    VEIL_X_TUNNEL,
    VEIL_X_DONE /* no connection any more */
} veil_exchange_state_t;

#define VEIL_UPSTREAM_TRIED_WORDS 2 /* 128 peers without an allocation */

struct veil_exchange_private_s {
    veil_exchange_t *x;
    veil_exchange_state_t state;
    veil_upstream_conn_t *uc;
    void *stream;               /* of a wire that shares connections */
    veil_list_t join;           /* in uc->joined */
    veil_upstream_peer_t *peer; /* counted; NULL: none */
    veil_upstream_set_t *set;   /* it is of */
    uint64_t first_ms;          /* of the first attempt */
    uint64_t start_ms;          /* of this one */
    unsigned attempts;
    unsigned nstate;                              /* of x->states */
    uint64_t tried[2][VEIL_UPSTREAM_TRIED_WORDS]; /* by set */
    veil_upstream_target_t *target;               /* of TLS; NULL: plain */
    veil_post_t post;
    veil_list_t waiting; /* in group->waiting */
    int err;             /* to be told by post */
    bool reused;         /* the connection had been idle */
    bool told;           /* on_head was called */
    bool plain;          /* HTTP/1, whatever the configuration asks for */
    bool alone;          /* it does not wait for what another connects */
    unsigned nrefused;   /* attempts the peer has not looked at */

    /* upstream_send.c */
    bool has_body;     /* the request has one */
    bool head_sent;    /* handed to a write */
    bool body_ended;   /* all of it was handed to a write */
    bool send_waiting; /* the body said LATER */
    bool send_ready;   /* and was ready during a write */
    bool send_failed;  /* the peer takes no more */
    bool body_used;    /* some of it was pulled */
    size_t in_write;

    /* upstream_h1.c */
    char *head;
    size_t head_len;
    size_t head_cap;
    size_t scanned;
    unsigned ninterim; /* 1xx heads so far */
    bool keepalive;    /* the peer lets the connection go on */

    /* upstream_body.c */
    veil_http_body_t body;
    veil_chain_t chain;
    size_t outstanding;
    int64_t left; /* of Content-Length; -1: not by length */
    bool chunked;
    bool until_close;
    bool complete;
    bool failed;
    bool pull_waiting;
    bool held; /* the wire was told so */
    veil_http_chunked_t *decoder;
    veil_http_headers_t *trailers;
    uint64_t received;
    veil_timer_t rate_timer;

    /* upstream_tunnel.c */
    veil_http_body_t *from_client;
    bool peer_ended;
    bool client_ended;
};

typedef struct veil_exchange_private_s veil_exchange_private_t;

/* --- upstream_group.c: groups of the configuration and of the run time. */

/* default_port tells apart what URLs without a port mean. */
veil_upstream_group_t *veil_upstream_group_by_name(const veil_http_main_t *m,
                                                   veil_str_t name,
                                                   uint16_t default_port);

/* --- upstream_resolve.c: names of servers, in the worker. */

/* Begins looking up the server's name, if that is one. */
void veil_upstream_resolve_start(veil_upstream_server_t *s, veil_loop_t *loop);
void veil_upstream_resolve_stop(veil_upstream_server_t *s);
/* An answer, whoever has asked: the server's addresses are these. */
void veil_upstream_resolve_take(veil_upstream_server_t *s,
                                const veil_resolve_t *q);

/* --- upstream_peer.c */

/* The worker's peers from what is known: at the first use. */
void veil_upstream_group_start(veil_upstream_group_t *g, veil_loop_t *loop);
void veil_upstream_group_stop(veil_upstream_group_t *g);
/* A server's addresses are now these. */
void veil_upstream_set_addrs(veil_upstream_server_t *s,
                             const veil_addr_t *addrs, unsigned n);
/* Picks, counts and marks a peer; NULL: no live upstreams. */
veil_upstream_peer_t *veil_upstream_pick(veil_exchange_t *x);
/* The attempt is over: uncounts, notes failure or success. */
void veil_upstream_peer_done(veil_exchange_t *x, bool failed);
void veil_upstream_peer_put(veil_upstream_peer_t *p);
/* Peers in both sets. */
unsigned veil_upstream_peers(const veil_upstream_group_t *g);

/* --- upstream_params.c */

/* One parameter, by its bit. */
bool veil_upstream_params_same(const veil_upstream_params_t *a,
                               const veil_upstream_params_t *b, uint32_t bit);
void veil_upstream_params_copy(veil_upstream_params_t *to,
                               const veil_upstream_params_t *from,
                               uint32_t bit);
bool veil_upstream_params_eq(const veil_upstream_params_t *a,
                             const veil_upstream_params_t *b);
/* Bits of what was changed, and in the configuration since then as well. */
uint32_t veil_upstream_change_stale(const veil_upstream_change_t *c,
                                    const veil_upstream_params_t *conf);
/* now: conf with what was changed of it. */
void veil_upstream_params_apply(veil_upstream_params_t *now,
                                const veil_upstream_params_t *conf,
                                const veil_upstream_change_t *c);
/* Nobody but those who hold it needs the server any more. */
void veil_upstream_server_put(veil_upstream_server_t *s);
/* server->conf or ->change are others: its peers follow. */
void veil_upstream_server_changed(veil_upstream_server_t *s);
/* What was changed of single addresses is looked at again, too. */
void veil_upstream_peers_refresh(veil_upstream_group_t *g);
/* A head came from the peer of the attempt, after so long. */
void veil_upstream_peer_answered(const veil_exchange_t *x, int64_t ms,
                                 int status);
/* What was logged about the attempt under way. */
void veil_upstream_peer_error(const veil_exchange_t *x, const char *text,
                              int err, const char *action);

/* --- upstream_sync.c: what the zone says becomes the worker's peers. */

/* Looks at all groups once a second, from here on. */
void veil_upstream_sync_begin(veil_loop_t *loop);
void veil_upstream_sync_end(void);
void veil_upstream_sync_start(veil_upstream_group_t *g);
void veil_upstream_sync_stop(veil_upstream_group_t *g);
void veil_upstream_sync_now(veil_upstream_group_t *g);
static inline void
veil_upstream_sync(veil_upstream_group_t *g)
{
    if (veil_unlikely(g->version != NULL
                      && __atomic_load_n(g->version, __ATOMIC_ACQUIRE)
                             != g->seen))
    {
        veil_upstream_sync_now(g);
    }
}

/* The texts of a server's entry; views into it. */
void veil_upstream_entry_texts(const veil_upstream_slot_t *e, veil_str_t *name,
                               veil_str_t *sni, veil_str_t *addr);

/* --- upstream_zone.c: entries of the shared state. */

/* The implicit zone of a group; VEIL_ERROR after reporting. */
veil_rc_t veil_upstream_zone_default(veil_conf_t *cf,
                                     veil_upstream_group_t *g);
/* The slot of this address of a server, new if need be; never NULL. */
veil_upstream_slot_t *veil_upstream_slot(veil_upstream_group_t *g,
                                         veil_str_t server, veil_str_t addr);
/* Around what touches weights, and what was changed. */
void veil_upstream_zone_lock(veil_upstream_group_t *g);
void veil_upstream_zone_unlock(veil_upstream_group_t *g);
/* The version, which goes up with every change; NULL: not mapped. */
uint32_t *veil_upstream_zone_version(const veil_upstream_group_t *g);

/*
 * The entry of a server that was changed, or of an address; NULL: there is
 * none, or, with make, no room.  By the holder of the lock.
 */
veil_upstream_slot_t *veil_upstream_entry(veil_upstream_group_t *g,
                                          veil_str_t server, veil_str_t addr,
                                          bool make);
/*
 * The entries of the group, one after the other: NULL begins, and ends.  By
 * the holder of the lock.
 */
veil_upstream_slot_t *veil_upstream_entry_next(veil_upstream_group_t *g,
                                               veil_upstream_slot_t *e);
/* Is as if it had never been. */
void veil_upstream_entry_free(veil_upstream_slot_t *e);
/* The hash of "group/server"; with an empty name, the group's own. */
uint64_t veil_upstream_entry_hash(const veil_upstream_group_t *g,
                                  veil_str_t server);

/* What a keeper knows of a zone; zone->data. */
typedef struct {
    bool fresh;  /* it was made for this generation */
    size_t base; /* of its entries in the ledger */
} veil_upstream_zone_data_t;

/* Which entry of the group's zone it is; -1: none, it is a worker's own. */
ptrdiff_t veil_upstream_zone_index(const veil_upstream_group_t *g,
                                   const veil_upstream_slot_t *slot);
/* All entries, *n of them; NULL: the zone is not mapped. */
veil_upstream_slot_t *veil_upstream_zone_slots(const veil_upstream_group_t *g,
                                               uint32_t *n);
/* The process is dead: it holds no lock any more. */
void veil_upstream_zone_dead(veil_upstream_group_t *g, pid_t pid);

/* --- upstream_ledger.c: what each worker has counted. */

/* A zone of so many entries is mapped: they get a place. */
void veil_upstream_ledger_add(veil_upstream_zone_data_t *data,
                              uint32_t nslots);
/* In the keeper, when all zones are mapped. */
veil_rc_t veil_upstream_ledger_open(const veil_cycle_t *cycle);
/* This worker's own count of exchanges with the slot. */
uint32_t *veil_upstream_ledger(const veil_upstream_group_t *g,
                               const veil_upstream_slot_t *slot);

/* --- upstream_pool.c: connections. */

/* An idle connection to the peer, taken out; NULL: none. */
veil_upstream_conn_t *veil_upstream_conn_take(veil_exchange_t *x);
/* Starts a new one; 0 or -errno. */
int veil_upstream_conn_open(veil_exchange_t *x);
/* The exchange is through with it, if it has one. */
void veil_upstream_conn_release(veil_exchange_t *x, bool keep);
/* Nobody uses it any more: it waits for others if it may, or is closed. */
void veil_upstream_conn_keep(veil_upstream_conn_t *uc,
                             const veil_upstream_conf_t *conf, bool keep);
/* It is connected and, with TLS, secured: speaks what was agreed on. */
void veil_upstream_conn_ready(veil_upstream_conn_t *uc);
/*
 * Those that wait for it: as many as there is room for begin, the others look
 * further.  A shared wire calls this when it knows its room, or has none.
 */
void veil_upstream_conn_serve(veil_upstream_conn_t *uc);
/* It is not; tell is what its exchanges, of which there may be many, hear. */
void veil_upstream_conn_failed(veil_upstream_conn_t *uc,
                               void (*tell)(veil_exchange_t *x, int err),
                               int err);
/* Those that wait for it fail: -errno. */
void veil_upstream_conn_fail_joined(veil_upstream_conn_t *uc, int err);
/* Nobody may join it any more. */
void veil_upstream_conn_unshare(veil_upstream_conn_t *uc);
/* Nobody uses it: it ends as its protocol wants it. */
void veil_upstream_conn_retire(veil_upstream_conn_t *uc);
void veil_upstream_conn_close(veil_upstream_conn_t *uc);
/* The on_closed() of every wire's connections. */
void veil_upstream_conn_on_closed(veil_conn_t *c);
static inline veil_upstream_conn_t *
veil_upstream_conn_of(veil_conn_t *c)
{
    veil_upstream_conn_t *uc = veil_container_of(c, veil_upstream_conn_t, c);

    VEIL_CHECK(uc, VEIL_UPSTREAM_CONN);
    return uc;
}
/* A write of the connection is over, or never will be. */
void veil_upstream_conn_unpin(veil_upstream_conn_t *uc);
/* Closes idle ones (a worker that ends, a group that goes). */
void veil_upstream_group_close_idle(veil_upstream_group_t *g);
void veil_upstream_peer_close_idle(veil_upstream_peer_t *p);
void veil_upstream_conns_close_all(void);

/* --- upstream_tls.c */

/*
 * Makes x->priv->target for the peer that was picked.  False after logging
 * why nobody can be spoken to as the configuration asks for.
 */
bool veil_upstream_tls_set_target(veil_exchange_t *x);
static inline bool
veil_upstream_tls_target(veil_exchange_t *x)
{
    if (veil_likely(!x->https
                    && x->priv->peer->server->scheme != VEIL_SCHEME_HTTPS))
    {
        x->priv->target = NULL;
        return true;
    }
    return veil_upstream_tls_set_target(x);
}

/* Whether a connection is one the exchange may use, as far as TLS goes. */
bool veil_upstream_tls_is_same(const veil_upstream_conn_t *uc,
                               const veil_upstream_target_t *t);
static inline bool
veil_upstream_tls_fits(const veil_upstream_conn_t *uc,
                       const veil_exchange_t *x)
{
    const veil_upstream_target_t *t = x->priv->target;

    if (uc->tls == NULL || t == NULL) {
        return uc->tls == NULL && t == NULL;
    }
    return veil_upstream_tls_is_same(uc, t);
}

/*
 * Whether there is what a new connection needs; false: veil_exchange_connect()
 * is called when there is, or the exchange ends.
 */
bool veil_upstream_tls_is_ready(veil_exchange_t *x);
/* Nobody needs it any more. */
void veil_upstream_tls_give_up(veil_exchange_t *x);
/* Of a new connection, before it connects, when all is ready. */
void veil_upstream_tls_prepare(veil_upstream_conn_t *uc, veil_exchange_t *x);
/* It logs as its exchange does, or by itself. */
void veil_upstream_tls_attach(veil_upstream_conn_t *uc);
void veil_upstream_tls_detach(veil_upstream_conn_t *uc);
/* It goes. */
void veil_upstream_tls_forget(veil_upstream_conn_t *uc);
/* It is connected: shakes hands, ends in veil_exchange_connected(). */
void veil_upstream_tls_start(veil_upstream_conn_t *uc);
/* The connection ended without saying so: the end may be an attacker's. */
bool veil_upstream_tls_was_cut(const veil_upstream_conn_t *uc);
void veil_upstream_tls_exit_worker(void);

/* --- upstream_exchange.c */

/* From the connection: it is there, or err. */
void veil_exchange_connected(veil_exchange_t *x, int err);
/* The handshake failed, or takes too long, which has been logged. */
void veil_exchange_not_secured(veil_exchange_t *x, int err);
/*
 * A head is in x->status and the like, its fields in x->headers.  True: it
 * was the last one, and the body follows; the caller calls
 * veil_exchange_head_done() when it has handed over what it has of that.
 * Else it was an interim one, or the attempt is over.
 */
bool veil_exchange_take_head(veil_exchange_t *x,
                             const veil_http_framing_t *framing);
/* The end of the connection, or of what it has for this exchange. */
void veil_exchange_on_eof(veil_exchange_t *x, int err);
void veil_exchange_on_read_timeout(veil_exchange_t *x);
void veil_exchange_on_write_timeout(veil_exchange_t *x);
/* A new connection to the peer of the attempt under way. */
void veil_exchange_connect(veil_exchange_t *x);
/* What the configuration asks for cannot be done, with any peer. */
void veil_exchange_impossible(veil_exchange_t *x);
/* Picks and connects: the first time, and again. */
void veil_exchange_attempt(veil_exchange_t *x);
/* on_head(x, err), from a post. */
void veil_exchange_tell_later(veil_exchange_t *x, int err);
/* The head is complete: hands it over. */
void veil_exchange_head_done(veil_exchange_t *x);
/* The response has ended: connection and peer go. */
void veil_exchange_finish(veil_exchange_t *x);
/* Connection and peer go, whatever the state. */
void veil_exchange_drop(veil_exchange_t *x, bool failed);
/* Logs with the action in nginx's words and the peer. */
void veil_exchange_log(veil_exchange_t *x, veil_log_level_t level, int err,
                       const char *text, const char *action);
void veil_exchange_times(veil_exchange_t *x);
/* Counts of the attempt under way, as of now. */
void veil_exchange_times_now(veil_exchange_t *x);
veil_upstream_state_t *veil_exchange_state(veil_exchange_t *x);

/* --- upstream_retry.c */

/* The attempt failed with this kind: again, or on_head(x, status). */
void veil_exchange_failed(veil_exchange_t *x, unsigned kind, int status);
/* The peer has not looked at the request: again, whatever it is. */
void veil_exchange_unprocessed(veil_exchange_t *x);
/*
 * The connection has no room for the request, of which nothing was sent: to
 * another of the peer.  False: it has been so too often, and may wait.
 */
bool veil_exchange_move(veil_exchange_t *x);
/*
 * The peer wants this request over HTTP/1, and has not looked at it: again.
 * False: it cannot be.
 */
bool veil_exchange_without_wire(veil_exchange_t *x);
/* The head's status may ask for another peer; true: it is being tried. */
bool veil_exchange_retry_status(veil_exchange_t *x);

/* --- upstream_h1_conn.c */

extern const veil_upstream_wire_t veil_upstream_h1;

/* --- upstream_send.c: of HTTP/1, but for the last three */

void veil_exchange_send(veil_exchange_t *x);
void veil_exchange_on_sent(veil_exchange_t *x, ssize_t res);
/* Pulling the request's body has failed. */
void veil_exchange_send_failed(veil_exchange_t *x);
/* No more of the request's body is wanted. */
void veil_exchange_stop_body(veil_exchange_t *x);
bool veil_exchange_request_is_sent(const veil_exchange_t *x);

/* --- upstream_h1.c */

/* Whether a field of a response is between the two servers only. */
bool veil_exchange_field_stays(const veil_exchange_t *x, unsigned id);
/* Bytes of the head, and what follows it. */
void veil_exchange_head_data(veil_exchange_t *x, veil_buf_t *b);

/* --- upstream_body.c */

/* After the head: how the body ends. */
void veil_exchange_body_begin(veil_exchange_t *x,
                              const veil_http_framing_t *framing);
void veil_exchange_body_data(veil_exchange_t *x, veil_buf_t *b);
void veil_exchange_body_eof(veil_exchange_t *x, int err);
void veil_exchange_body_fail(veil_exchange_t *x);
/*
 * For wires with frames of their own: all of b is body; its reader is told.
 * Then, perhaps, trailers, and the end.
 */
void veil_exchange_body_arrived(veil_exchange_t *x, veil_buf_t *b);
void veil_exchange_add_trailer(veil_exchange_t *x, unsigned id,
                               veil_str_t name, veil_str_t value);
void veil_exchange_body_ended(veil_exchange_t *x);
/* proxy_limit_rate's pause is over. */
veil_timer_fn veil_exchange_rate_resumed;
/* All of b is body. */
void veil_exchange_body_append(veil_exchange_t *x, veil_buf_t *b);
bool veil_exchange_body_is_full(const veil_exchange_t *x);
/* No more of it is wanted until some is consumed. */
void veil_exchange_body_hold(veil_exchange_t *x);
extern const veil_http_body_ops_t veil_exchange_body_ops;
/* Tells the reader, when it waits. */
void veil_exchange_body_wake(veil_exchange_t *x);
void veil_exchange_body_free(veil_exchange_t *x);

/* --- upstream_tunnel.c */

void veil_exchange_tunnel_begin(veil_exchange_t *x);
void veil_exchange_tunnel_data(veil_exchange_t *x, veil_buf_t *b);
void veil_exchange_tunnel_eof(veil_exchange_t *x, int err);
void veil_exchange_tunnel_sent(veil_exchange_t *x, ssize_t res);
void veil_exchange_tunnel_timeout(veil_exchange_t *x);

#endif
