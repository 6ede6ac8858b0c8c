/*
 * echo.c -- an example of a core module: a protocol of its own, without HTTP.
 *
 *     echo_listen   127.0.0.1:7007 reuseport;
 *     echo_counter  visits 64k;
 *
 * A client is greeted with one line, which says who serves it:
 *
 *     generation=1 worker=0 pid=123 visits=7
 *
 * and gets back what it sends from then on.
 *
 * It shows what a layer above events has to do: declare listeners and zones
 * while the configuration is read, take accepted sockets, count them, read
 * and write with back-pressure, and end when the worker drains.  A client
 * under way may go on until the time is up.
 *
 * What arrives is kept as references to the blocks it arrived in, so nothing
 * is copied.  When too much waits to be sent the connection is held: the
 * client's window closes and it waits as well.
 */

#include "core/platform.h"

#include "core/core.h"
#include "core/shm.h"
#include "event/conn.h"
#include "event/listen.h"

/* What may wait to be sent back before nothing more is read. */
#define ECHO_KEPT (256 * 1024)
#define ECHO_IDLE_MS 60000

typedef struct {
    veil_shm_zone_t *counter; /* NULL: no counter */
} echo_conf_t;

/* The zone's content. */
typedef struct {
    uint64_t visits;
} echo_shared_t;

typedef struct {
    veil_conn_t conn;
    veil_pool_t *pool;
    veil_chain_t kept;
    size_t sending; /* bytes of the write under way that are kept's */
    bool eof;
    veil_list_t link; /* in echo_connections */
    char greeting[128];
} echo_t;

static veil_conf_set_fn echo_set_listen;
static veil_conf_set_fn echo_set_counter;
static void echo_drain(veil_cycle_t *cycle, uint64_t left_ms);

extern veil_module_t veil_core_echo_module;

/* The worker's connections, to close them when the time is up. */
static veil_list_t echo_connections = { &echo_connections, &echo_connections };

static const veil_command_t echo_commands[] = {
    { .name = "echo_listen",
      .where = VEIL_CONF_MAIN,
      .args = VEIL_ARGS(1, 2),
      .flags = VEIL_CONF_MULTI,
      .set = echo_set_listen,
      .syntax = "address [reuseport]",
      .help = "Returns to clients of this address what they send." },

    { .name = "echo_counter",
      .where = VEIL_CONF_MAIN,
      .args = VEIL_ARGS_2,
      .set = echo_set_counter,
      .syntax = "name size",
      .help = "Counts clients in shared memory; reloads do not reset it." },

    { .name = NULL },
};

static const veil_core_module_t echo_core = {
    .conf = { .size = sizeof(echo_conf_t) },
    .drain_worker = echo_drain,
};

veil_module_t veil_core_echo_module = {
    .abi = VEIL_MODULE_ABI,
    .name = "echo",
    .commands = echo_commands,
    .core = &echo_core,
};

/* --- connections -------------------------------------------------------- */

/* Sends what is kept, if nothing is on its way. */
static void
echo_send(echo_t *e)
{
    veil_slice_t slices[VEIL_CONN_SLICES];
    unsigned i, n;

    if (veil_conn_is_writing(&e->conn)) {
        return;
    }
    if (e->kept.bytes == 0) {
        if (e->eof) {
            veil_conn_close(&e->conn);
        }
        return;
    }
    n = veil_chain_slices(&e->kept, 0, slices, VEIL_CONN_SLICES, ECHO_KEPT);
    e->sending = 0;
    for (i = 0; i < n; i++) {
        e->sending += slices[i].len;
    }
    veil_conn_write(&e->conn, slices, n);
}

static void
echo_on_data(veil_conn_t *c, veil_buf_t *b)
{
    echo_t *e = veil_container_of(c, echo_t, conn);

    veil_chain_append(&e->kept, b);
    b->pos = b->end;
    if (e->kept.bytes > ECHO_KEPT) {
        veil_conn_hold(c);
    }
    veil_conn_read_timeout(c, ECHO_IDLE_MS);
    echo_send(e);
}

static void
echo_on_eof(veil_conn_t *c, int err)
{
    echo_t *e = veil_container_of(c, echo_t, conn);

    if (err != 0) {
        veil_conn_close(c);
        return;
    }
    e->eof = true;
    echo_send(e);
}

static void
echo_on_sent(veil_conn_t *c, ssize_t res)
{
    echo_t *e = veil_container_of(c, echo_t, conn);

    if (res < 0) {
        veil_conn_close(c);
        return;
    }
    veil_chain_consume(&e->kept, e->sending);
    e->sending = 0;
    if (!e->eof) {
        veil_conn_read(c);
    }
    echo_send(e);
}

static void
echo_on_timeout(veil_conn_t *c)
{
    veil_conn_close(c);
}

static void
echo_on_closed(veil_conn_t *c)
{
    echo_t *e = veil_container_of(c, echo_t, conn);

    veil_list_remove(&e->link);
    veil_chain_done(&e->kept);
    veil_acceptors_count(-1);
    veil_pool_retire(&e->pool);
}

static const veil_conn_ops_t echo_ops = {
    .name = "echo",
    .on_data = echo_on_data,
    .on_eof = echo_on_eof,
    .on_sent = echo_on_sent,
    .on_read_timeout = echo_on_timeout,
    .on_write_timeout = echo_on_timeout,
    .on_closed = echo_on_closed,
};

static uint64_t
echo_count(void)
{
    const echo_conf_t *conf =
        veil_core_conf(veil_cycle, &veil_core_echo_module);
    echo_shared_t *shared;

    if (conf->counter == NULL) {
        return 0;
    }
    shared = conf->counter->addr;
    return __atomic_add_fetch(&shared->visits, 1, __ATOMIC_RELAXED);
}

static void
echo_accept(veil_acceptor_t *a, int fd, const veil_addr_t *peer)
{
    veil_pool_t *pool = veil_pool_create("echo", 1024);
    echo_t *e = VEIL_POOL_NEW(pool, echo_t);
    veil_slice_t slice;
    size_t len;

    e->pool = pool;
    veil_conn_init(&e->conn, a->handle.loop, pool, fd, peer, &echo_ops,
                   a->log);
    veil_conn_read_timeout(&e->conn, ECHO_IDLE_MS);
    veil_conn_write_timeout(&e->conn, ECHO_IDLE_MS);
    veil_list_append(&echo_connections, &e->link);
    veil_acceptors_count(1);

    len = veil_snprintf(e->greeting, sizeof(e->greeting),
                        "generation=%llu worker=%u pid=%d visits=%llu\n",
                        (unsigned long long) veil_cycle->generation,
                        veil_cycle->worker, (int) getpid(),
                        (unsigned long long) echo_count());
    slice = veil_slice_mem(e->greeting, len);
    veil_conn_write(&e->conn, &slice, 1);
}

/* Clients may finish; when the time is up they may not. */
static void
echo_drain(veil_cycle_t *cycle, uint64_t left_ms)
{
    veil_list_t *n;

    (void) cycle; /* connections are the process's */
    if (left_ms != 0) {
        return;
    }
    veil_list_foreach (n, &echo_connections) {
        veil_conn_close(&veil_list_entry(n, echo_t, link)->conn);
    }
}

/* --- configuration ------------------------------------------------------ */

static veil_rc_t
echo_set_listen(veil_conf_t *cf, const veil_command_t *cmd, void *conf)
{
    veil_str_t text = veil_conf_arg(cf, 1);
    veil_hostport_t hp;
    veil_listen_t *l;

    (void) cmd;
    (void) conf; /* the cycle has the list */
    l = VEIL_POOL_NEW(cf->pool, veil_listen_t);
    l->type = SOCK_STREAM;
    l->ipv6only = -1;
    l->keepalive = -1;
    l->accept = echo_accept;
    l->node = cf->node;

    if (!veil_hostport_parse(&hp, text)) {
        return veil_conf_error_at(cf, 1, "invalid address \"%.*s\"",
                                  VEIL_STR_ARG(text));
    }
    if (hp.is_unix) {
        l->addr.family = AF_UNIX;
        l->addr.u.path = veil_pool_strz(cf->pool, hp.path);
    } else if (!veil_addr_parse_ip(&l->addr, hp.host) || !hp.has_port) {
        return veil_conf_error_at(cf, 1,
                                  "\"%.*s\" is not an IP address with a port",
                                  VEIL_STR_ARG(text));
    }
    l->addr.port = hp.port;

    if (veil_conf_nargs(cf) == 3) {
        if (!veil_str_eq_z(veil_conf_arg(cf, 2), "reuseport")) {
            return veil_conf_error_at(cf, 2, "invalid parameter \"%.*s\"",
                                      VEIL_STR_ARG(veil_conf_arg(cf, 2)));
        }
        l->reuseport = true;
    }
    veil_list_append(&cf->cycle->listens, &l->link);
    return VEIL_OK;
}

static veil_rc_t
echo_set_counter(veil_conf_t *cf, const veil_command_t *cmd, void *data)
{
    echo_conf_t *conf = data;
    int64_t size = veil_conf_arg_size(cf, 2);

    (void) cmd;
    if (size < 0) {
        return VEIL_ERROR;
    }
    if ((size_t) size < sizeof(echo_shared_t)) {
        return veil_conf_error_at(cf, 2, "a counter needs %zu bytes",
                                  sizeof(echo_shared_t));
    }
    /* New memory is all zero, which is how a counter begins. */
    conf->counter = veil_shm_zone_add(cf, veil_conf_arg(cf, 1), (size_t) size,
                                      &veil_core_echo_module);
    return conf->counter == NULL ? VEIL_ERROR : VEIL_OK;
}
