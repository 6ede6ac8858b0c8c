/*
 * tls.h -- TLS on a client's connection: from accept to its protocol.
 */

#ifndef VEIL_HTTP_TLS_H
#define VEIL_HTTP_TLS_H

#include "http/conn.h"

/*
 * A connection of a port with "ssl", in the place of veil_h1_start(): waits
 * for the handshake, chooses the server by the name the client asks for, then
 * starts the protocol.  A client that speaks plain HTTP gets its 497 from
 * veil_http_request_start().
 */
void veil_http_tls_start(veil_http_conn_t *hc);

#endif
