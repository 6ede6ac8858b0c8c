/*
 * conn_info.h -- what can be said of a connection from outside: for lists of
 * connections, not for handling them.
 */

#ifndef VEIL_HTTP_CONN_INFO_H
#define VEIL_HTTP_CONN_INFO_H

#include "http/conn.h"

/* "handshake"; static. */
const char *veil_http_stage_name(veil_http_stage_t stage);
/* The names with bars in between, in the order of the type. */
#define VEIL_HTTP_STAGE_NAMES                                                 \
    "handshake|idle|head|body|upstream|working|sending|tunnel|closing"

typedef struct {
    uint64_t id;             /* unique in the worker, "*7" of its log lines */
    veil_http_stage_t stage; /* of its oldest request, or of none */
    const char *protocol;    /* "http/1", "http/2"; NULL: not known yet */
    const char *tls;         /* "TLSv1.3"; NULL: it has none, or not yet */
    uint64_t age_ms;
    uint64_t idle_ms;    /* 0: it is not */
    uint64_t request_ms; /* since its oldest request began; 0: none */
    unsigned requests;   /* that it had, those under way included */
    unsigned streams;    /* requests under way */
    uint64_t bytes_in;
    uint64_t bytes_out;
    veil_http_request_t *r; /* the oldest one; NULL: none */
} veil_http_conn_info_t;

void veil_http_conn_info(veil_http_conn_t *hc, veil_http_conn_info_t *info);
/* What one of its requests is at. */
veil_http_stage_t veil_http_request_stage(const veil_http_request_t *r);
/*
 * The upstream's name, once it was sent to one, and the address of the peer
 * that it is at; empty where there is none.
 */
veil_str_t veil_http_request_group(const veil_http_request_t *r);
veil_str_t veil_http_request_peer(const veil_http_request_t *r);

/* "127.0.0.1:80": an address that is listened on; the length. */
size_t veil_http_port_print(const veil_http_port_t *port, char *buf, size_t n);
/*
 * Whether a name means this listener: the address as above, "*:80" as in the
 * configuration, or "80", which is that port of all addresses.
 */
bool veil_http_port_is(const veil_http_port_t *port, veil_str_t name);
/* Whether it means any listener of the configuration. */
bool veil_http_port_exists(veil_str_t name);

#endif
