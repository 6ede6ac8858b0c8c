/*
 * filter.h -- header filters, in the order of their numbers.
 *
 * Each filter sees the response's description (r->out) before it is sent,
 * may change it, may wrap r->out.body, and goes on with
 * veil_http_next_header().  The order is a number in the module, not the
 * order of registration.
 */

#ifndef VEIL_HTTP_FILTER_H
#define VEIL_HTTP_FILTER_H

#include "http/request.h"

/* Steps of 100, so that others fit in between. */
#define VEIL_FILTER_CONDITIONAL 100 /* 304, 412 */
#define VEIL_FILTER_RANGE 200       /* 206 */
#define VEIL_FILTER_HEADERS 300     /* add_header and the like */
#define VEIL_FILTER_ENCODE 400      /* gzip and the like */
#define VEIL_FILTER_FRAME 500       /* the last */

typedef veil_rc_t veil_http_header_filter_fn(veil_http_request_t *r,
                                             const veil_http_filter_t *next);

struct veil_http_filter_s {
    const char *name;
    int order;
    veil_http_header_filter_fn *header;
};

/* The filter after this one; VEIL_ERROR: an error response was made. */
veil_rc_t veil_http_next_header(veil_http_request_t *r,
                                const veil_http_filter_t *next);

#endif
