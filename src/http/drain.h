/*
 * drain.h -- the end of connections whose worker is to end, or whose listener
 * is to be left alone.
 *
 * What is under way is finished, what is idle is closed: after a grace, as a
 * request may be on its way already, and not all of it at once, as whoever is
 * closed comes back at once.  Tunnels end by themselves or with the worker's
 * time.
 */

#ifndef VEIL_HTTP_DRAIN_H
#define VEIL_HTTP_DRAIN_H

#include "http/conn.h"

/*
 * The worker is to end within left_ms; called again when that becomes less.
 * 0: all connections are closed now.
 */
void veil_http_drain(uint64_t left_ms);
/* Also true for connections that are accepted afterwards. */
bool veil_http_is_draining(void);
/* In a worker that ends. */
void veil_http_drain_exit(void);

/*
 * How long the connection, idle from now on, stays open yet: ms, by chance
 * within what "keepalive_drain_grace" and "close_spread" say.
 */
uint64_t veil_http_drain_grace_ms(const veil_http_conn_t *hc);
/* Whether its response is to be the last one, for either reason. */
bool veil_http_conn_is_draining(const veil_http_conn_t *hc);

/*
 * --- listeners that an operator drains (drain_zone.c)
 *
 * Connections are accepted there, and told not to stay.
 */

/* While the configuration is read: it has a zone. */
veil_rc_t veil_http_drain_declare(veil_conf_t *cf);
/*
 * In one process at a time: all listeners (name empty), or one by its name as
 * veil_http_port_is() has it, until the opposite is said.  Off for all is off
 * for each.  0; -ENOSPC: that many names are too many; -ENOENT: there is no
 * http {}.
 */
int veil_http_drain_listener(veil_str_t name, bool on);
/* All of them were named at once. */
bool veil_http_drains_all(void);
bool veil_http_port_is_draining(const veil_http_port_t *port);
/* In a worker, after a change: tells connections that can be told. */
void veil_http_drain_tell(void);

#endif
