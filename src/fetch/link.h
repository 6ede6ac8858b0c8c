/*
 * link.h -- a connection of veil-fetch: from a name to a stream that can be
 * used, plain or TLS.
 */

#ifndef VEIL_FETCH_LINK_H
#define VEIL_FETCH_LINK_H

#include "event/conn.h"
#include "event/resolver.h"
#include "event/tls.h"
#include "fetch/options.h"

typedef struct veil_fetch_link_s veil_fetch_link_t;

/* Called from the loop, and not once the link was closed. */
typedef struct {
    /* Connected, and the handshake is done: link->conn may be used. */
    void (*ready)(veil_fetch_link_t *link);
    /*
     * It will not be; the reason has been said.  The link is to be closed.
     */
    void (*failed)(veil_fetch_link_t *link, veil_fetch_code_t code);
} veil_fetch_link_ops_t;

struct veil_fetch_link_s {
    veil_conn_t *conn; /* NULL before ready() */
    void *owner;
    veil_fetch_url_t url; /* whose server it is to */
    unsigned uses;        /* requests so far; the owner's */
    bool ended;           /* the peer has ended it; the owner's */
    /* private to link.c */
    veil_loop_t *loop;
    veil_pool_t *pool;
    const veil_fetch_options_t *o;
    veil_tls_ctx_t *ctx;
    const veil_fetch_link_ops_t *ops;
    const veil_conn_ops_t *conn_ops;
    veil_resolve_t query;
    veil_timer_t timer; /* of the handshake */
    veil_addr_t *addrs;
    unsigned naddrs;
    unsigned at; /* the address that is tried */
    struct veil_fetch_attempt_s *attempt;
};

/* The context for all connections of a run; NULL after saying why not. */
veil_tls_ctx_t *veil_fetch_link_ctx(veil_pool_t *pool,
                                    const veil_fetch_options_t *o);

/*
 * Begins to connect to the URL's server.  conn_ops: of the connection once
 * it is ready; its on_closed is link.c's affair and is not called.  The link
 * is found with veil_fetch_link_of().
 */
veil_fetch_link_t *
veil_fetch_link_open(veil_loop_t *loop, const veil_fetch_options_t *o,
                     veil_tls_ctx_t *ctx, const veil_fetch_url_t *url,
                     const veil_fetch_link_ops_t *ops,
                     const veil_conn_ops_t *conn_ops, void *owner);
/*
 * The pool will be there as long as the connection may use what is in it: to
 * the next call, or until the connection is closed.
 */
void veil_fetch_link_hold(veil_fetch_link_t *link, veil_pool_t *pool);
/* May be called at any time, once; the memory goes by itself. */
void veil_fetch_link_close(veil_fetch_link_t *link);
veil_fetch_link_t *veil_fetch_link_of(veil_conn_t *c);

/* What it is made of: "TLSv1.3, TLS_AES_128_GCM_SHA256"; "plain". */
size_t veil_fetch_link_describe(const veil_fetch_link_t *link, char *buf,
                                size_t n);

/* Which path its bytes take: "kTLS (kernel TLS) + io_uring". */
size_t veil_fetch_link_path(const veil_fetch_link_t *link, char *buf,
                            size_t n);

/* What the last failure of TLS was, as logged; empty: nothing was. */
const char *veil_fetch_link_complaint(void);

#endif
