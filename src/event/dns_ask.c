/*
 * dns_ask.c -- one question to one DNS server.
 *
 * Each question has a socket of its own: the kernel chooses its port at
 * random, and as the socket is connected it passes on what comes from the
 * server only.  Together with a random id that is what makes forging an
 * answer hard (RFC 5452).  What arrives and is no answer to the question is
 * passed over, up to a number that no honest server reaches.
 *
 * A truncated answer is asked for again over TCP, on a new socket.  The
 * object is freed when its last socket is closed, which is after done().
 */

#include "core/platform.h"

#include "core/assert.h"
#include "core/metric.h"
#include "core/pool.h"
#include "core/rand.h"
#include "event/dns.h"

enum { DNS_QUERIES, DNS_FAILURES };

static veil_metric_t dns_metrics[] = {
    [DNS_QUERIES] = VEIL_COUNTER("veil_resolver_queries_total", NULL,
                                 "Questions that name servers were asked."),
    [DNS_FAILURES] =
        VEIL_COUNTER("veil_resolver_unanswered_total", NULL,
                     "Questions that no name server answered in time."),
};
VEIL_METRICS(dns_metrics);

/* Larger ones are truncated by the server: the question has no EDNS. */
#define ASK_UDP_MAX 4096
#define ASK_STRAYS 32

struct veil_dns_ask_s {
    veil_loop_t *loop;
    veil_handle_t handle;
    veil_op_t op;
    veil_timer_t timer;
    veil_dns_ask_fn *done; /* NULL: told, or cancelled */
    void *data;
    veil_addr_t server;
    veil_dns_name_t name;
    unsigned type;
    uint16_t id;
    bool want_tcp; /* UDP is being closed */
    int err;       /* what the timer tells */
    unsigned strays;
    struct sockaddr_storage addr;
    socklen_t addr_len;
    size_t query_len;
    unsigned char query[2 + VEIL_DNS_QUERY_MAX]; /* TCP's length in front */
    unsigned char *reply;
    size_t reply_len; /* of TCP's reply */
    struct msghdr msg;
    struct iovec iov;
    unsigned char buf[ASK_UDP_MAX];
};

static void dns_ask_open_tcp(veil_dns_ask_t *ask);

static void
dns_ask_closed(veil_handle_t *h)
{
    veil_dns_ask_t *ask = veil_container_of(h, veil_dns_ask_t, handle);

    if (ask->want_tcp && ask->done != NULL) {
        ask->want_tcp = false;
        dns_ask_open_tcp(ask);
        return;
    }
    veil_free(ask->reply);
    veil_free(ask);
}

static void
dns_ask_close(veil_dns_ask_t *ask)
{
    veil_timer_cancel(&ask->timer);
    if (!veil_handle_is_closing(&ask->handle)) {
        veil_handle_close(&ask->handle, dns_ask_closed);
    }
}

static void
dns_ask_tell(veil_dns_ask_t *ask, int err, const veil_dns_answer_t *answer)
{
    veil_dns_ask_fn *done = ask->done;

    if (done != NULL) {
        ask->done = NULL;
        done(ask->data, err, answer);
    }
    dns_ask_close(ask);
}

/* What came, over either; true when the ask is over or goes on by TCP. */
static bool
dns_ask_read(veil_dns_ask_t *ask, const unsigned char *msg, size_t n,
             bool is_tcp)
{
    veil_dns_answer_t answer;

    switch (veil_dns_parse(msg, n, ask->id, &ask->name, ask->type, &answer)) {
    case VEIL_DNS_READ:
        break;
    case VEIL_DNS_MALFORMED:
        dns_ask_tell(ask, -EBADMSG, NULL);
        return true;
    case VEIL_DNS_NOT_OURS:
    default:
        return false;
    }
    if (!answer.is_truncated) {
        dns_ask_tell(ask, 0, &answer);
    } else if (is_tcp) {
        dns_ask_tell(ask, -EBADMSG, NULL);
    } else {
        ask->want_tcp = true;
        veil_handle_close(&ask->handle, dns_ask_closed);
    }
    return true;
}

static void
dns_ask_timed_out(veil_timer_t *t)
{
    veil_dns_ask_t *ask = veil_container_of(t, veil_dns_ask_t, timer);

    veil_metric_inc(&dns_metrics[DNS_FAILURES]);
    dns_ask_tell(ask, ask->err, NULL);
}

/* --- TCP ---------------------------------------------------------------- */

/* The steps are told apart by the operation's kind and by reply. */
static void
dns_ask_tcp_done(veil_op_t *op)
{
    veil_dns_ask_t *ask = veil_container_of(op, veil_dns_ask_t, op);
    int res = op->res;

    if (ask->done == NULL || veil_handle_is_closing(&ask->handle)) {
        return;
    }
    if (res < 0) {
        dns_ask_tell(ask, res, NULL);
        return;
    }
    switch (op->kind) {
    case VEIL_OP_CONNECT:
        veil_op_send(op, ask->query, 2 + ask->query_len);
        return;
    case VEIL_OP_SEND:
        veil_op_recv_exact(op, ask->buf, 2);
        return;
    default:
        break;
    }

    if (ask->reply == NULL) {
        ask->reply_len = (size_t) ask->buf[0] << 8 | ask->buf[1];
        if (res == 2 && ask->reply_len > 0) {
            ask->reply = veil_alloc(ask->reply_len);
            veil_op_recv_exact(op, ask->reply, ask->reply_len);
            return;
        }
    } else if ((size_t) res == ask->reply_len
               && dns_ask_read(ask, ask->reply, ask->reply_len, true))
    {
        return;
    }
    /* It ended early, or answered something else. */
    dns_ask_tell(ask, -EBADMSG, NULL);
}

static void
dns_ask_open_tcp(veil_dns_ask_t *ask)
{
    int fd = socket(ask->server.family,
                    SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    int err = errno;

    veil_handle_init(&ask->handle, ask->loop, NULL, fd);
    if (fd < 0) {
        dns_ask_tell(ask, -err, NULL);
        return;
    }
    veil_op_init(&ask->op, &ask->handle, dns_ask_tcp_done);
    veil_op_connect(&ask->op, (struct sockaddr *) &ask->addr, ask->addr_len);
}

/* --- UDP ---------------------------------------------------------------- */

static void
dns_ask_receive(veil_dns_ask_t *ask)
{
    memset(&ask->msg, 0, sizeof(ask->msg));
    ask->iov.iov_base = ask->buf;
    ask->iov.iov_len = sizeof(ask->buf);
    ask->msg.msg_iov = &ask->iov;
    ask->msg.msg_iovlen = 1;
    veil_op_recvmsg(&ask->op, &ask->msg, 0);
}

static void
dns_ask_udp_done(veil_op_t *op)
{
    veil_dns_ask_t *ask = veil_container_of(op, veil_dns_ask_t, op);

    if (ask->done == NULL || veil_handle_is_closing(&ask->handle)) {
        return;
    }
    if (op->res < 0) {
        /* ECONNREFUSED: the ICMP error of what was sent. */
        dns_ask_tell(ask, op->res, NULL);
        return;
    }
    if (dns_ask_read(ask, ask->buf, (size_t) op->res, false)) {
        return;
    }
    if (++ask->strays > ASK_STRAYS) {
        dns_ask_tell(ask, -EBADMSG, NULL);
        return;
    }
    dns_ask_receive(ask);
}

/* Sends at once: a datagram does not wait.  0 or -errno. */
static int
dns_ask_send(veil_dns_ask_t *ask, int fd)
{
    if (connect(fd, (struct sockaddr *) &ask->addr, ask->addr_len) < 0) {
        return -errno;
    }
    if (send(fd, ask->query + 2, ask->query_len, MSG_NOSIGNAL) < 0) {
        /* A full queue loses datagrams too: the timeout sees to it. */
        return errno == EAGAIN || errno == ENOBUFS ? 0 : -errno;
    }
    return 0;
}

veil_dns_ask_t *
veil_dns_ask(veil_loop_t *loop, const veil_addr_t *server,
             const veil_dns_name_t *name, unsigned type, uint64_t timeout_ms,
             veil_dns_ask_fn *done, void *data)
{
    veil_dns_ask_t *ask = veil_zalloc(sizeof(*ask));
    int fd, err;

    veil_metric_inc(&dns_metrics[DNS_QUERIES]);
    ask->loop = loop;
    ask->done = done;
    ask->data = data;
    ask->server = *server;
    ask->name = *name;
    ask->type = type;
    ask->err = -ETIMEDOUT;
    veil_rand_bytes(&ask->id, sizeof(ask->id));
    ask->addr_len = veil_addr_to_sockaddr(server, &ask->addr);
    ask->query_len = veil_dns_query(ask->query + 2, ask->id, name, type);
    ask->query[0] = (unsigned char) (ask->query_len >> 8);
    ask->query[1] = (unsigned char) ask->query_len;
    veil_timer_init(&ask->timer, dns_ask_timed_out);

    fd = socket(server->family, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    err = fd < 0 ? -errno : dns_ask_send(ask, fd);
    veil_handle_init(&ask->handle, loop, NULL, fd);
    veil_op_init(&ask->op, &ask->handle, dns_ask_udp_done);
    if (err < 0) {
        /* done() is the loop's to call: as a timeout that is due at once. */
        timeout_ms = 1;
        ask->err = err;
    } else {
        dns_ask_receive(ask);
    }
    veil_timer_set(loop, &ask->timer, timeout_ms);
    return ask;
}

void
veil_dns_ask_cancel(veil_dns_ask_t *ask)
{
    ask->done = NULL;
    dns_ask_close(ask);
}
