/*
 * url.h -- the URLs veil-fetch takes: http and https, by RFC 3986 as far as
 * a request needs it.
 */

#ifndef VEIL_FETCH_URL_H
#define VEIL_FETCH_URL_H

#include "core/pool.h"

typedef struct {
    veil_str_t text; /* as given */
    bool tls;
    veil_str_t host; /* a name or an address, without brackets */
    uint16_t port;
    bool is_address;      /* host is one */
    veil_str_t authority; /* for the Host field */
    veil_str_t target;    /* for the request line; begins with "/" */
} veil_fetch_url_t;

/*
 * NULL, or why it is refused: a text that goes on from "the URL ".  Without a
 * scheme it is http.  A fragment is dropped.  Parts are views of text, or live
 * in the pool, and are followed by a zero byte where they are host.
 */
const char *veil_fetch_url_parse(veil_pool_t *pool, veil_str_t text,
                                 veil_fetch_url_t *url);

/* Whether both are on one server: the same scheme, host and port. */
bool veil_fetch_url_same_server(const veil_fetch_url_t *a,
                                const veil_fetch_url_t *b);

#endif
