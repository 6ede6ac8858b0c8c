/*
 * expires.h -- "expires": when a response grows stale.
 */

#ifndef VEIL_MODULES_HEADERS_EXPIRES_H
#define VEIL_MODULES_HEADERS_EXPIRES_H

#include "http/http.h"

typedef struct veil_http_expires_s veil_http_expires_t;

/* The arguments of the directive; NULL after reporting. */
veil_http_expires_t *veil_http_expires_compile(veil_conf_t *cf);
/*
 * Sets Expires and Cache-Control in place of those that are there.  A
 * variable that evaluates to "off", to nothing, or to no time adds nothing.
 */
void veil_http_expires_add(veil_http_request_t *r,
                           const veil_http_expires_t *e);

#endif
