/*
 * grpc_web.h -- what the files of this module share.
 */

#ifndef VEIL_MODULES_GRPC_WEB_H
#define VEIL_MODULES_GRPC_WEB_H

#include "http/grpc_status.h"
#include "http/http.h"

typedef struct {
    bool on;
    bool any_origin;       /* grpc_web_origin "*" */
    bool credentials;      /* grpc_web_allow_credentials */
    bool any_header;       /* grpc_web_allow_headers "*" */
    veil_array_t *origins; /* of grpc_web_origin_t (grpc_web_cors.c) */
    veil_array_t *headers; /* of veil_str_t, beside the usual ones */
    uint64_t max_age;      /* ms; of what a preflight has told */
    const veil_conf_node_t *origin_node; /* NULL: none in any block around */
    veil_str_t headers_text; /* all that are allowed; made at the end */
} grpc_web_conf_t;

/* Of a call: a request of gRPC-Web, wherever it was routed to. */
typedef struct {
    const grpc_web_conf_t *conf; /* of the location that took it */
    veil_str_t suffix;           /* "+proto", or empty: what it asked for */
    bool text;                   /* the request's body is base64 */
    bool text_back;              /* the response's is to be */
    bool translated;             /* the request is gRPC's by now */
    bool told;                   /* the head has "grpc-status" */
} grpc_web_call_t;

extern veil_module_t veil_http_grpc_web_module;

/* What a response without a status says with status 2. */
#define VEIL_GRPC_WEB_LOST VEIL_STR("the response ended without a status")

/* --- grpc_web_body.c ------------------------------------------------------
 */

/* The request's body without its base64; a veil_http_body_wrap_fn. */
veil_http_body_wrap_fn veil_grpc_web_decode_body;
/*
 * The response's body with its trailers as the last frame, in base64 if the
 * call wants that.  Takes below over.
 */
veil_http_body_t *veil_grpc_web_encode_body(veil_http_request_t *r,
                                            const grpc_web_call_t *call,
                                            veil_http_body_t *below);

/* --- grpc_web_cors.c ------------------------------------------------------
 */

veil_conf_set_fn veil_grpc_web_set_origin;
veil_conf_set_fn veil_grpc_web_set_headers;
/* Checks what belongs together and prepares texts. */
veil_rc_t veil_grpc_web_cors_finish(veil_conf_t *cf, grpc_web_conf_t *conf);
/* Whether a browser asks if it may make a call from another origin. */
bool veil_grpc_web_is_preflight(const veil_http_request_t *r,
                                const grpc_web_conf_t *conf);
/* The answer to that: 204, or 403. */
veil_http_rc_t veil_grpc_web_preflight(veil_http_request_t *r,
                                       const grpc_web_conf_t *conf);
/* The fields that let a page of another origin read the response. */
void veil_grpc_web_cors(veil_http_request_t *r, const grpc_web_conf_t *conf);

#endif
