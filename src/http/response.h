/*
 * response.h -- describing and sending responses.
 */

#ifndef VEIL_HTTP_RESPONSE_H
#define VEIL_HTTP_RESPONSE_H

#include "http/request.h"

/* A complete response with a text; returns VEIL_HTTP_REPLY. */
veil_http_rc_t veil_http_reply(veil_http_request_t *r, int status,
                               veil_str_t content_type, veil_str_t text);
/* A redirect; the location is made absolute as configured. */
veil_http_rc_t veil_http_redirect(veil_http_request_t *r, int status,
                                  veil_str_t location);

/* Runs the header filters and gives the response to the protocol. */
void veil_http_send_response(veil_http_request_t *r);
/*
 * The error response for r->status: error_page first (which may reroute),
 * else the built-in page.
 */
void veil_http_send_error(veil_http_request_t *r);

/*
 * Bytes of the body that limit_rate lets go now, at most max, when sent of it
 * have gone: there is at least a tenth of a second's worth.  0: later, and the
 * timer is set for then.
 */
size_t veil_http_rate_left(const veil_http_request_t *r, uint64_t sent,
                           size_t max, veil_timer_t *later);

/* Whether the client can be sent trailers behind a body of unknown length. */
bool veil_http_takes_trailers(const veil_http_request_t *r);

/* "Not Found"; empty for an unknown status. */
veil_str_t veil_http_status_reason(int status);

/* "WWW-Authenticate" and the like: adds or replaces a response header. */
void veil_http_header_set(veil_http_request_t *r, veil_str_t name,
                          veil_str_t value);
void veil_http_header_add(veil_http_request_t *r, veil_str_t name,
                          veil_str_t value);

/* r->out.content_type and charset from the URI's extension. */
void veil_http_set_content_type(veil_http_request_t *r);
/* r->out.etag from time and size: "mtime-size" in hexadecimal. */
void veil_http_set_etag(veil_http_request_t *r, int64_t mtime, int64_t size);

/*
 * The file of the URI: root or alias joined with it, zero-terminated after
 * len; *root_len: bytes of it that are the root's.
 */
veil_str_t veil_http_map_uri(veil_http_request_t *r, veil_str_t uri,
                             size_t *root_len);

#endif
