/*
 * server.h -- virtual hosts: listen and server_name, and the look-up.
 */

#ifndef VEIL_HTTP_SERVER_H
#define VEIL_HTTP_SERVER_H

#include "http/core_conf.h"
#include "http/regex.h"
#include "http/variable.h"

typedef struct {
    veil_str_t name; /* lower case; "*.x", "x.*", ".x", "~regex", "" */
    veil_http_regex_t *regex; /* of "~regex"; else NULL */
    veil_http_server_t *server;
    const veil_conf_node_t *node;
} veil_http_server_name_t;

/* One "listen" of one server. */
typedef struct {
    veil_listen_t options; /* address and socket options; not linked */
    const veil_conf_node_t *node;
    bool default_server;
    bool bind; /* a socket of its own, or options that only that can have */
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
    veil_array_t servers;     /* of veil_http_server_t *, while building */
    veil_http_names_t *names; /* NULL: one server, no names to tell apart */
    /* Specific addresses on a wildcard socket: veil_http_port_t *. */
    veil_array_t *addrs;
    veil_addr_t addr;
    const veil_http_listen_t *from; /* the "listen" whose options count */
    bool explicit_default;
    bool draining; /* private to drain_zone.c */
};

/* "listen" and "server_name", as setters of the core module. */
veil_conf_set_fn veil_http_set_listen;
veil_conf_set_fn veil_http_set_server_name;
/* The look-up of a port's names (server.c, for listen_conf.c). */
veil_rc_t veil_http_names_build(veil_conf_t *cf, veil_http_port_t *port);
/* All servers were read: makes ports and cycle->listens. */
veil_rc_t veil_http_ports_build(veil_conf_t *cf, veil_http_main_t *main);

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
