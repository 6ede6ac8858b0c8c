/*
 * conn.c -- a client's connection: from accept to its protocol, and the end.
 *
 * Everything an idle connection needs is in one struct in one pool.  The
 * worker keeps its connections in a list, for whoever asks about all of them
 * (drain.c, conn_info.c).
 */

#include "core/platform.h"

#include "http/conn.h"

#include "core/main_conf.h"
#include "core/metric.h"
#include "core/time.h"
#include "http/drain.h"
#include "http/http.h"
#include "http/tls.h"

/*
 * The pool holds veil_http_conn_t, its own head and nothing else.  A little
 * room is left so that the struct may grow by a field without a new block.
 */
#define CONN_POOL_SIZE (sizeof(veil_http_conn_t) + 96)

/* By veil_http_activity_t, from 1 on. */
static veil_metric_t conn_metrics[] = {
    VEIL_GAUGE("veil_http_connections", "state=\"idle\"",
               "Connections of clients, by what they do."),
    VEIL_GAUGE("veil_http_connections", "state=\"reading\"", NULL),
    VEIL_GAUGE("veil_http_connections", "state=\"writing\"", NULL),
};
VEIL_METRICS(conn_metrics);

static veil_list_t conn_all = { &conn_all, &conn_all };
static unsigned conn_count;

unsigned
veil_http_conns(void)
{
    return conn_count;
}

static size_t
conn_print(const veil_log_t *log, char *buf, size_t n)
{
    const veil_http_conn_t *hc =
        veil_container_of((void *) (uintptr_t) log, veil_http_conn_t, c.log);
    char addr[VEIL_ADDR_TEXT_MAX];
    size_t len = veil_addr_print_ip(&hc->c.peer, addr, sizeof(addr));

    return veil_snprintf(buf, n, ", client: %.*s", (int) len, addr);
}

void
veil_http_conn_does(veil_http_conn_t *hc, veil_http_activity_t activity)
{
    if (hc->activity == activity) {
        return;
    }
    if (hc->activity != VEIL_HTTP_NOT_OPEN) {
        veil_metric_dec(&conn_metrics[hc->activity - 1]);
    }
    if (activity != VEIL_HTTP_NOT_OPEN) {
        veil_metric_inc(&conn_metrics[activity - 1]);
    }
    hc->activity = activity & 3u;
}

const veil_http_core_server_t *
veil_http_conn_server(const veil_http_conn_t *hc)
{
    return hc->server->server_conf[veil_http_core_module.index];
}

/* debug_connection: every line of this client's, whatever the level is. */
static void
conn_debug(veil_http_conn_t *hc)
{
    const veil_array_t *debug = veil_main_conf(veil_cycle)->events.debug;
    unsigned i;

    for (i = 0; debug != NULL && i < debug->n; i++) {
        if (veil_cidr_match(veil_array_at(debug, veil_cidr_t, i), &hc->c.peer))
        {
            hc->c.log.all = true;
            hc->c.log.level = VEIL_LOG_DEBUG;
        }
    }
}

void
veil_http_conn_log_of_server(veil_http_conn_t *hc)
{
    const veil_http_core_loc_t *conf =
        hc->server->loc_conf[veil_http_core_module.index];

    if (conf->error_log != NULL) {
        hc->c.log.sinks = conf->error_log;
        hc->c.log.level = conf->error_log_level;
    } else {
        hc->c.log.sinks = veil_cycle->log.sinks;
        hc->c.log.level = veil_cycle->log.level;
    }
    conn_debug(hc);
}

veil_http_conn_t *
veil_http_conn_open(const veil_http_port_t *port, int fd,
                    const veil_addr_t *peer, const veil_log_t *log)
{
    veil_pool_t *pool = veil_pool_create("connection", CONN_POOL_SIZE);
    veil_http_conn_t *hc = VEIL_POOL_NEW(pool, veil_http_conn_t);
    const veil_http_core_loc_t *conf;
    veil_addr_t local;

    hc->magic = VEIL_HTTP_CONN_MAGIC;
    hc->pool = pool;
    hc->start_ms = veil_now_ms();

    veil_conn_init(&hc->c, veil_cycle->loop, pool, fd, peer, NULL, log);
    if (port->addrs != NULL) {
        veil_conn_local_addr(&hc->c, &local);
        port = veil_http_port_for(port, &local);
    }
    hc->port = port;
    hc->server = port->default_server;

    conf = hc->server->loc_conf[veil_http_core_module.index];
    hc->c.log.print = conn_print;
    veil_http_conn_log_of_server(hc);
    if (!conf->tcp_nodelay) {
        veil_conn_nodelay(&hc->c, false);
    }

    veil_list_append(&conn_all, &hc->link);
    conn_count++;
    veil_acceptors_count(1);
    return hc;
}

void
veil_http_conn_accept(veil_acceptor_t *a, int fd, const veil_addr_t *peer)
{
    veil_http_conn_t *hc =
        veil_http_conn_open(a->listen->data, fd, peer, a->log);

    if (hc->port->ssl) {
        veil_http_conn_does(hc, VEIL_HTTP_READING);
        veil_http_tls_start(hc);
    } else {
        veil_h1_start(hc);
        if (veil_http_is_draining()) {
            hc->proto->drain(hc);
        }
    }
}

void
veil_http_conn_closed(veil_http_conn_t *hc)
{
    veil_pool_t *pool = hc->pool;

    VEIL_CHECK(hc, VEIL_HTTP_CONN);
    veil_list_remove(&hc->link);
    veil_http_conn_does(hc, VEIL_HTTP_NOT_OPEN);
    conn_count--;
    veil_acceptors_count(-1);
    hc->magic = VEIL_MAGIC_DEAD;
    veil_pool_retire(&pool);
}

void
veil_http_conns_each(veil_http_conn_fn *fn, void *data)
{
    veil_list_t *n, *tmp;

    veil_list_foreach_safe (n, tmp, &conn_all) {
        fn(veil_container_of(n, veil_http_conn_t, link), data);
    }
}
