/*
 * location.h -- the location tree: built once, matched for each request.
 *
 * nginx's rules: "=" exact; the longest prefix; "^~" ends the search; else
 * regexes in the order of the file; nested ones inside.  A route matches on
 * path segments.  Matching is logarithmic in the number of prefixes.
 */

#ifndef VEIL_HTTP_LOCATION_H
#define VEIL_HTTP_LOCATION_H

#include "http/core_conf.h"
#include "http/request.h"

/* After a server's block was applied: builds its trees.  May refuse. */
veil_rc_t veil_http_locations_build(veil_conf_t *cf, veil_http_server_t *s);

typedef enum {
    VEIL_LOCATION_FOUND,
    VEIL_LOCATION_NONE,    /* the server's own confs apply */
    VEIL_LOCATION_REDIRECT /* add a slash: 301 */
} veil_location_rc_t;

/* Finds r->uri's; sets captures of a regex.  *out is NULL for NONE. */
veil_location_rc_t veil_http_location_find(veil_http_request_t *r,
                                           const veil_http_location_t **out);
/* "@name"; NULL when there is none in the request's server. */
const veil_http_location_t *veil_http_location_named(veil_http_request_t *r,
                                                     veil_str_t name);
/* Enters a location: confs, log level, limits. */
void veil_http_location_enter(veil_http_request_t *r,
                              const veil_http_location_t *l);
/* The confs of a block inside of the location ("if", limit_except). */
void veil_http_location_confs(veil_http_request_t *r, void *const *loc_conf);
/*
 * What the prefix of the request's location or route leaves of its URI,
 * without slashes in front; of a regex or named location: the whole URI.
 */
veil_str_t veil_http_location_rest(const veil_http_request_t *r);
/* For tests and "--explain": as a lookup without a request's side effects. */
const veil_http_location_t *
veil_http_location_lookup(const veil_http_server_t *s, veil_str_t uri);

#endif
