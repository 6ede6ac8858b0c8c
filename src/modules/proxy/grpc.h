/*
 * grpc.h -- what the files of the grpc module share, beyond proxy.h.
 *
 *   grpc.c         the module: directives, deadlines, variables
 *   grpc_keep.c    what is kept of a request's messages, to send it again
 *   grpc_reply.c   what clients of gRPC get when something goes wrong
 */

#ifndef VEIL_MODULES_PROXY_GRPC_H
#define VEIL_MODULES_PROXY_GRPC_H

#include "modules/proxy/proxy.h"

typedef struct {
    proxy_conf_t proxy;   /* first: setters and handler are shared */
    uint64_t max_timeout; /* of a call; 0: none */
} grpc_conf_t;

/* The response's body, watched; see grpc_reply.c. */
typedef struct {
    veil_http_body_t body;
    veil_http_body_t *below;
    bool failed; /* it ends with trailers that say so */
    veil_http_headers_t trailers;
} grpc_body_t;

/* The request's body, whose beginning is kept; see grpc_keep.c. */
typedef struct {
    veil_http_body_t body;
    veil_http_body_t *below; /* NULL: nothing is kept */
    char *data;
    size_t n; /* bytes that are kept */
    size_t cap;
    size_t pos;   /* of the reader in them */
    size_t again; /* bytes of them that are not consumed */
    bool over;    /* more has gone by */
    bool ended;   /* the one below has */
    bool gone;    /* and was aborted */
} grpc_keep_t;

/* State of a request. */
typedef struct {
    proxy_ctx_t proxy; /* first */
    veil_timer_t deadline;
    bool expired;
    grpc_body_t body; /* ops NULL: there is none */
    grpc_keep_t keep;
} grpc_ctx_t;

extern veil_module_t veil_http_grpc_module;

/* grpc.c */
/* The client's TE says so. */
bool veil_grpc_wants_trailers(const veil_http_request_t *r);

/* grpc_keep.c */
/* Between the request's body, if there is one, and the exchange. */
void veil_grpc_keep(grpc_ctx_t *ctx);
/* No attempt will need the body any more. */
void veil_grpc_keep_end(grpc_ctx_t *ctx);

/* grpc_reply.c */

/* The client is one of gRPC and understands trailers: it can be told. */
bool veil_grpc_can_tell(const veil_http_request_t *r);
/* Puts the watch around the response's body, which there is. */
void veil_grpc_watch(grpc_ctx_t *ctx);
/* Makes our own pages for errors responses of gRPC. */
veil_rc_t veil_grpc_error_filter(veil_http_request_t *r,
                                 const veil_http_filter_t *next);
/* grpc-status of the response: its head's, or its trailers'; empty: none. */
veil_str_t veil_grpc_sent_status(const veil_http_request_t *r);

#endif
