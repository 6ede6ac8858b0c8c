/*
 * connect.c -- outgoing connections.
 *
 * The state of an attempt (address in the kernel's form, timer, operation)
 * is a heap object that exists until the attempt is over.  It may not be
 * freed in its own done(), so it waits in a list for the next attempt; the
 * list is as long as the most attempts there were at once.
 *
 * One address is tried.  Trying the next one of a name, or another peer, is
 * a decision of the layer above.
 */

#include "core/platform.h"

#include <netinet/in.h>
#include <netinet/tcp.h>

#include "core/assert.h"
#include "core/pool.h"
#include "event/conn.h"
#include "event/transport.h"

typedef struct connect_attempt_s connect_attempt_t;

struct connect_attempt_s {
    veil_op_t op;
    veil_timer_t timer;
    veil_conn_t *conn;
    veil_connected_fn *done;
    socklen_t len;
    struct sockaddr_storage addr;
    connect_attempt_t *next; /* in the free list */
};

static connect_attempt_t *connect_free;

static void
connect_timed_out(veil_timer_t *t)
{
    connect_attempt_t *a = veil_container_of(t, connect_attempt_t, timer);

    veil_op_time_out(&a->op);
}

static void
connect_done(veil_op_t *op)
{
    connect_attempt_t *a = veil_container_of(op, connect_attempt_t, op);
    veil_conn_t *c = a->conn;
    veil_connected_fn *done = a->done;

    VEIL_CHECK(c, VEIL_CONN);

    veil_timer_cancel(&a->timer);
    a->conn = NULL;
    a->next = connect_free;
    connect_free = a;
    if (!c->closing) {
        done(c, op->res);
    }
}

static connect_attempt_t *
connect_get(veil_conn_t *c, veil_connected_fn *done)
{
    connect_attempt_t *a = connect_free;

    if (a != NULL) {
        connect_free = a->next;
    } else {
        a = veil_alloc(sizeof(*a));
    }
    veil_op_init(&a->op, &c->handle, connect_done);
    veil_timer_init(&a->timer, connect_timed_out);
    a->conn = c;
    a->done = done;
    a->next = NULL;
    return a;
}

/* Options that a connection works without are not worth failing for. */
static void
connect_set_options(int fd, const veil_connect_options_t *o)
{
    int on = 1;

    if (o->addr.family != AF_UNIX) {
        (void) setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
    }
    if (o->keepalive) {
        (void) setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof(on));
    }
    if (o->rcvbuf > 0) {
        (void) setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &o->rcvbuf,
                          sizeof(o->rcvbuf));
    }
    if (o->sndbuf > 0) {
        (void) setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &o->sndbuf,
                          sizeof(o->sndbuf));
    }
}

static int
connect_bind(int fd, const veil_addr_t *addr)
{
    struct sockaddr_storage ss;
    socklen_t len = veil_addr_to_sockaddr(addr, &ss);
    int on = 1;

    /*
     * Without it bind() takes a port for itself, and the number of outgoing
     * connections is that of ports instead of that of ports and peers
     * (ip(7), since Linux 4.2).
     */
    if (addr->port == 0 && addr->family != AF_UNIX) {
        (void) setsockopt(fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &on,
                          sizeof(on));
    }
    return bind(fd, (struct sockaddr *) &ss, len) < 0 ? -errno : 0;
}

int
veil_conn_connect(veil_conn_t *c, veil_loop_t *loop, veil_pool_t *pool,
                  const veil_connect_options_t *options,
                  veil_connected_fn *done, const veil_conn_ops_t *ops,
                  const veil_log_t *log)
{
    veil_addr_t peer = options->addr;
    connect_attempt_t *a;
    int fd, err;

    fd = socket(peer.family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0) {
        return -errno;
    }
    connect_set_options(fd, options);
    if (options->bind != NULL) {
        err = connect_bind(fd, options->bind);
        if (err < 0) {
            (void) close(fd);
            return err;
        }
    }

    if (peer.family == AF_UNIX && peer.u.path != NULL) {
        peer.u.path = veil_pool_strz(pool, veil_str_z(peer.u.path));
    }
    veil_conn_init(c, loop, pool, fd, &peer, ops, log);
    c->outgoing = true;

    a = connect_get(c, done);
    a->len = veil_addr_to_sockaddr(&peer, &a->addr);
    veil_op_connect(&a->op, (struct sockaddr *) &a->addr, a->len);
    if (options->timeout_ms != 0) {
        veil_timer_set(loop, &a->timer, options->timeout_ms);
    }
    return 0;
}

void
veil_connect_trim(void)
{
    connect_attempt_t *a;

    while ((a = connect_free) != NULL) {
        connect_free = a->next;
        veil_free(a);
    }
}
