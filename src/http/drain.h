/*
 * drain.h -- the end of connections whose worker is to end.
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
/* Whether its response is to be the last one. */
bool veil_http_conn_is_draining(const veil_http_conn_t *hc);

#endif
