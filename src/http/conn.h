/*
 * conn.h -- a client's connection, before and beside its protocol.
 *
 * Lives in a pool of its own, sized so that an idle connection wastes
 * nothing: docs/ARCHITECTURE.md has the budget.  The protocol's state is
 * part of the struct, because a second allocation would cost more than the
 * largest of them.
 */

#ifndef VEIL_HTTP_CONN_H
#define VEIL_HTTP_CONN_H

#include "event/conn.h"
#include "event/listen.h"
#include "http/h1/h1.h"
#include "http/request.h"
#include "http/server.h"

#define VEIL_HTTP_CONN_MAGIC 0x48434f4eu

/* As nginx's stub_status tells connections apart. */
typedef enum {
    VEIL_HTTP_NOT_OPEN,
    VEIL_HTTP_IDLE,    /* waits for a request */
    VEIL_HTTP_READING, /* of a head, or of a handshake */
    VEIL_HTTP_WRITING  /* has a request */
} veil_http_activity_t;

struct veil_http_conn_s {
    uint32_t magic;
    uint32_t nrequests : 29;
    uint32_t activity : 2; /* veil_http_activity_t */
    uint32_t secure : 1;   /* TLS */
    veil_pool_t *pool;
    const veil_http_port_t *port;
    const veil_http_proto_t *proto; /* NULL: not known yet */
    veil_http_server_t *server;     /* the port's default one, or by SNI */
    veil_list_t link;               /* of all connections of the worker */
    uint64_t start_ms;
    uint64_t sticky; /* the peer that a sticky method chose last; 0: none */
    veil_conn_t c;
    union {
        veil_h1_t h1;
        struct veil_h2_s *h2;
    };
};

/* The accept function of http's listeners (veil_listen_t.accept). */
veil_accept_fn veil_http_conn_accept;
/*
 * Its first half: the connection is there and counted, on a socket it owns
 * from now on, and speaks nothing yet.
 */
veil_http_conn_t *veil_http_conn_open(const veil_http_port_t *port, int fd,
                                      const veil_addr_t *peer,
                                      const veil_log_t *log);

/* hc->server is another: from now on the log is its error_log. */
void veil_http_conn_log_of_server(veil_http_conn_t *hc);

/* What it does now; counted. */
void veil_http_conn_does(veil_http_conn_t *hc, veil_http_activity_t activity);

/* The connection is closed and has no request: its pool goes. */
void veil_http_conn_closed(veil_http_conn_t *hc);
/* The core's conf of the port's default server, before a request has one. */
const veil_http_core_server_t *
veil_http_conn_server(const veil_http_conn_t *hc);

/*
 * Calls fn for each connection of the worker, the oldest first.  fn may close
 * the one that it is given, and abort its requests.
 */
typedef void veil_http_conn_fn(veil_http_conn_t *hc, void *data);
void veil_http_conns_each(veil_http_conn_fn *fn, void *data);
/* Open client connections of this worker. */
unsigned veil_http_conns(void);

#endif
