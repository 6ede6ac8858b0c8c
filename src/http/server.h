/*
 * server.h -- virtual hosts: listen and server_name, and the look-up.
 */

#ifndef VEIL_HTTP_SERVER_H
#define VEIL_HTTP_SERVER_H

#include "core/regex.h"
#include "http/core_conf.h"
#include "http/variable.h"

typedef struct {
    veil_str_t name; /* lower case; "*.x", "x.*", ".x", "~regex", "" */
    veil_regex_t *regex;
    veil_http_server_t *server;
    unsigned *captures; /* variable index by named capture; or NULL */
    unsigned ncaptures;
} veil_http_server_name_t;

/* One "listen" of one server. */
typedef struct {
    veil_addr_t addr;
    bool default_server;
    bool ssl;
    bool http2;
    bool quic;
    bool proxy_protocol;
} veil_http_listen_t;

/*
 * An address that is listened on, with the servers that are there.  A
 * wildcard address also serves the specific ones of its port that are bound
 * by "bind" or not at all, as in nginx.
 */
struct veil_http_port_s {
    veil_listen_t *listen;
    bool ssl;
    bool http2;
    bool quic;
    bool proxy_protocol;
    veil_http_server_t *default_server;
    veil_http_names_t *names; /* NULL: one server, no names to tell apart */
    /* Specific addresses on a wildcard socket; NULL: none. */
    struct veil_http_port_addr_s *addrs;
    unsigned naddrs;
};

/*
 * The server for a host name (lower case, no port; may be empty) on the
 * port.  r is given for captures of a regex name and may be NULL before
 * there is a request.  Never NULL: the default server at worst.
 */
veil_http_server_t *veil_http_server_find(const veil_http_port_t *port,
                                          veil_str_t host,
                                          veil_http_request_t *r);
/*
 * Of a wildcard port, the one for the connection's local address; else the
 * port itself.
 */
const veil_http_port_t *veil_http_port_for(const veil_http_port_t *port,
                                           const veil_addr_t *local);

#endif
