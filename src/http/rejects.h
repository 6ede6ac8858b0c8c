/*
 * rejects.h -- the last requests and connections that were refused.
 *
 * For the operator's question "why does this client not get through": what
 * was wrong, where in its bytes, and those bytes.  A ring of a worker, of
 * fixed size, which costs nothing until something is refused.
 */

#ifndef VEIL_HTTP_REJECTS_H
#define VEIL_HTTP_REJECTS_H

#include "http/conn.h"

#define VEIL_HTTP_REJECTS 64
#define VEIL_HTTP_REJECT_BYTES 256

typedef struct {
    int64_t when_ms; /* since 1970 */
    uint64_t conn;   /* the connection's number */
    veil_addr_t client;
    const veil_http_port_t *port;
    veil_str_t server;    /* its name */
    const char *protocol; /* "http/1"; NULL: a handshake of TLS */
    int status;           /* 0: it was not a request */
    char reason[160];
    const char *kind; /* of a handshake's failure, a phrase; NULL: unknown */
    char name[256];   /* that a handshake asked for; empty: none, or not yet */
    int64_t offset;   /* of the fault in what came; -1: not known */
    size_t first;     /* of what came: the first byte in bytes */
    unsigned nbytes;  /* of the excerpt */
    char bytes[VEIL_HTTP_REJECT_BYTES];
} veil_http_reject_t;

/*
 * Notes one.  what, which may be empty, is what came, or the part of it that
 * is known; fault points to where it went wrong, into what or to its end, or
 * is NULL.
 */
void veil_http_reject(const veil_http_conn_t *hc, int status,
                      const char *reason, veil_str_t what, const char *fault);
/* A handshake of TLS: kind is static, or NULL; name what SNI asked for. */
void veil_http_reject_handshake(const veil_http_conn_t *hc, const char *reason,
                                const char *kind, veil_str_t name);
/* The same of a request, at most once each. */
void veil_http_reject_request(veil_http_request_t *r, int status,
                              const char *reason, veil_str_t what,
                              const char *fault);
/*
 * An error response is made: notes those that say that the request was wrong
 * in itself, if the reason is known.
 */
void veil_http_reject_error(veil_http_request_t *r);

/* The latest is i = 0; NULL: there are no more. */
const veil_http_reject_t *veil_http_rejected(unsigned i);

#endif
