/*
 * conn.c -- stream connections: kept data, callbacks, timeouts, the end.
 *
 * The transport below receives and sends; this file decides what the owner
 * gets to see and when.  The usual case is short: a block arrives, the owner
 * wants data and nothing is kept, so the view goes straight to on_data() and
 * the block back to the loop.  Only what the owner leaves, or what arrives
 * while it does not want data, is put into a chain, which exists as long as
 * there is something in it and brings its own posted work with it.
 *
 * Receiving is not stopped when the owner holds, as most holds are over
 * before anything arrives and a cancel costs a trip through the kernel.  It
 * is stopped when VEIL_CONN_KEPT blocks have piled up, and started again when
 * they have been taken.
 *
 * A write borrows a veil_send_t, whose memory is not the connection's: the
 * free list is the process's and is only ever given back by
 * veil_conn_trim(), as no done() may free an operation.
 *
 * The write timer is not touched while bytes move.  When it fires it looks
 * at the time of the last movement and sleeps on if that is recent.
 *
 * This file does not know what is written where: sockets are plain.c's and
 * connect.c's affair.
 */

#include "core/platform.h"

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>

#include "core/assert.h"
#include "core/metric.h"
#include "core/time.h"
#include "event/conn.h"
#include "event/transport.h"

enum { CONN_IN, CONN_IN_MADE, CONN_OUT, CONN_OUT_MADE };

static veil_metric_t conn_metrics[] = {
    [CONN_IN] = VEIL_COUNTER(
        "veil_received_bytes_total", "side=\"client\"",
        "Bytes received on connections, without the overhead of TLS."),
    [CONN_IN_MADE] =
        VEIL_COUNTER("veil_received_bytes_total", "side=\"upstream\"", NULL),
    [CONN_OUT] = VEIL_COUNTER(
        "veil_sent_bytes_total", "side=\"client\"",
        "Bytes sent on connections, without the overhead of TLS."),
    [CONN_OUT_MADE] =
        VEIL_COUNTER("veil_sent_bytes_total", "side=\"upstream\"", NULL),
};
VEIL_METRICS(conn_metrics);

void
veil_conn_count_sent(veil_conn_t *c, size_t n)
{
    c->bytes_out += n;
    veil_metric_add(&conn_metrics[c->outgoing ? CONN_OUT_MADE : CONN_OUT], n);
}

struct veil_conn_kept_s {
    veil_chain_t chain; /* never empty between two turns */
    veil_post_t post;   /* hands it over */
    veil_conn_t *conn;
};

static void conn_deliver(veil_post_t *post);
static void conn_read_timed_out(veil_timer_t *t);
static void conn_write_timed_out(veil_timer_t *t);
static void conn_closed(veil_handle_t *h);

static uint64_t conn_number;
static veil_send_t *conn_free_sends;

void
veil_conn_init(veil_conn_t *c, veil_loop_t *loop, veil_pool_t *pool, int fd,
               const veil_addr_t *peer, const veil_conn_ops_t *ops,
               const veil_log_t *log)
{
    memset(c, 0, sizeof(*c));
    c->magic = VEIL_CONN_MAGIC;
    c->stopped = true;
    c->ops = ops;
    c->transport = &veil_transport_plain;
    c->log = *log;
    if (c->log.connection == 0) {
        c->log.connection = ++conn_number;
    }
    if (peer != NULL) {
        c->peer = *peer;
    }
    veil_handle_init(&c->handle, loop, pool, fd);
    /* The transport says who is told: plain.c on its first start. */
    veil_op_init(&c->recv, &c->handle, NULL);
    veil_timer_init(&c->read_timer, conn_read_timed_out);
}

/* --- reading ------------------------------------------------------------ */

static void
conn_kept_free(veil_conn_t *c)
{
    veil_conn_kept_t *k = c->kept;

    c->kept = NULL;
    veil_post_cancel(&k->post);
    veil_chain_done(&k->chain);
    veil_free(k);
}

/* Appends a view, which keeps a reference of its own. */
static void
conn_keep(veil_conn_t *c, const veil_buf_t *b)
{
    veil_conn_kept_t *k = c->kept;

    if (k == NULL) {
        k = veil_zalloc(sizeof(*k));
        k->conn = c;
        veil_post_init(&k->post, conn_deliver);
        c->kept = k;
    }

    /*
     * A block of the ring that waits for a slow owner is missing for all
     * others: when they run short, the bytes wait on the heap instead.
     */
    if (b->block == NULL || veil_loop_is_short_of_buffers(c->handle.loop)) {
        veil_chain_append_copy(&k->chain, b->pos, veil_buf_len(b));
    } else {
        veil_chain_append(&k->chain, b);
    }

    if (k->chain.n >= VEIL_CONN_KEPT && !c->stopped) {
        c->stopped = true;
        c->transport->stop_reading(c);
    }
}

/* A stream that outruns its owner is not received while he holds. */
static void
conn_stop_if_paced(veil_conn_t *c)
{
    if (c->paced && !c->reading && !c->stopped) {
        c->stopped = true;
        c->transport->stop_reading(c);
    }
}

void
veil_conn_pace(veil_conn_t *c, bool on)
{
    VEIL_CHECK(c, VEIL_CONN);
    c->paced = on;
    c->recv.paced = on;
    if (!on && c->stopped && !c->closing && !c->eof
        && (c->kept == NULL || c->kept->chain.n < VEIL_CONN_KEPT))
    {
        c->stopped = false;
        c->transport->start_reading(c);
    }
}

/* Lets the owner see b; false when the connection is closing afterwards. */
static bool
conn_show(veil_conn_t *c, veil_buf_t *b)
{
    const unsigned char *pos = b->pos;

    c->again = false;
    c->ops->on_data(c, b);
    VEIL_ASSERT(b->pos >= pos);
    VEIL_ASSERT(b->pos <= b->end);
    if (c->closing) {
        return false;
    }
    if (b->pos < b->end && !c->again) {
        c->reading = false;
    }
    return true;
}

void
veil_conn_received(veil_conn_t *c, veil_buf_t *b)
{
    veil_block_t *block = b->block;

    VEIL_CHECK(c, VEIL_CONN);
    VEIL_ASSERT(!c->eof);
    VEIL_ASSERT(b->pos < b->end);

    if (!c->closing) {
        c->bytes_in += veil_buf_len(b);
        veil_metric_add(&conn_metrics[c->outgoing ? CONN_IN_MADE : CONN_IN],
                        veil_buf_len(b));
        if (!c->reading || c->kept != NULL) {
            conn_keep(c, b);
        } else if (conn_show(c, b) && b->pos < b->end) {
            conn_keep(c, b);
            if (c->reading) {
                veil_post(c->handle.loop, &c->kept->post);
            }
        }
    }
    if (!c->closing) {
        conn_stop_if_paced(c);
    }
    if (block != NULL) {
        veil_block_put(block);
    }
}

static void
conn_tell_eof(veil_conn_t *c)
{
    c->eof_told = true;
    c->reading = false;
    c->ops->on_eof(c, c->eof_err);
}

void
veil_conn_ended(veil_conn_t *c, int err)
{
    VEIL_CHECK(c, VEIL_CONN);
    VEIL_ASSERT(err <= 0);
    VEIL_ASSERT(!c->eof);

    c->eof = true;
    c->eof_err = err;
    if (c->kept == NULL && !c->closing) {
        conn_tell_eof(c);
    }
}

/* Posted: hands over what is kept as long as the owner takes it. */
static void
conn_deliver(veil_post_t *post)
{
    veil_conn_kept_t *k = veil_container_of(post, veil_conn_kept_t, post);
    veil_conn_t *c = k->conn;
    const veil_buf_t *first;
    veil_buf_t b;

    VEIL_CHECK(c, VEIL_CONN);

    while (c->reading && (first = veil_chain_first(&k->chain)) != NULL) {
        b = *first;
        if (!conn_show(c, &b)) {
            return;
        }
        veil_chain_consume(&k->chain, (size_t) (b.pos - first->pos));
        if (b.pos < b.end) {
            /* Asked for again although some of it was left: not now. */
            if (c->reading) {
                veil_post(c->handle.loop, &k->post);
            }
            return;
        }
    }
    if (k->chain.n != 0) {
        return;
    }

    conn_kept_free(c);
    if (c->eof) {
        conn_tell_eof(c);
    } else if (c->reading && c->stopped) {
        c->stopped = false;
        c->transport->start_reading(c);
    }
}

void
veil_conn_read(veil_conn_t *c)
{
    VEIL_CHECK(c, VEIL_CONN);

    if (c->closing || c->eof_told) {
        return;
    }
    c->reading = true;
    c->again = true;
    if (c->kept != NULL) {
        veil_post(c->handle.loop, &c->kept->post);
        return;
    }
    if (c->stopped) {
        c->stopped = false;
        c->transport->start_reading(c);
    }
}

void
veil_conn_hold(veil_conn_t *c)
{
    VEIL_CHECK(c, VEIL_CONN);
    c->reading = false;
    c->again = false;
}

/* --- writing ------------------------------------------------------------ */

veil_send_t *
veil_send_get(veil_conn_t *c, veil_op_fn *done)
{
    veil_send_t *s = conn_free_sends;

    if (s != NULL) {
        conn_free_sends = s->next;
    } else {
        s = veil_alloc(sizeof(*s));
    }
    veil_op_init(&s->op, &c->handle, done);
    veil_timer_init(&s->timer, conn_write_timed_out);
    s->conn = c;
    s->total = 0;
    s->file.len = 0;
    s->niov = 0;
    s->next = NULL;
    return s;
}

void
veil_send_put(veil_send_t *s)
{
    VEIL_ASSERT(veil_op_is_idle(&s->op));
    VEIL_ASSERT(s->conn != NULL); /* put twice */
    veil_timer_cancel(&s->timer);
    s->conn = NULL;
    s->next = conn_free_sends;
    conn_free_sends = s;
}

void
veil_conn_trim(void)
{
    veil_send_t *s;

    while ((s = conn_free_sends) != NULL) {
        conn_free_sends = s->next;
        veil_free(s);
    }
    veil_connect_trim();
}

void
veil_conn_write(veil_conn_t *c, const veil_slice_t *slices, unsigned n)
{
    veil_send_t *s;

    VEIL_CHECK(c, VEIL_CONN);
    VEIL_ASSERT(c->send == NULL); /* one write at a time */

    if (c->closing) {
        return;
    }
    s = veil_send_get(c, NULL);
    c->send = s;
    c->transport->write(c, slices, n);
    if (c->write_timeout_ms != 0) {
        veil_timer_set(c->handle.loop, &s->timer, c->write_timeout_ms);
    }
}

void
veil_conn_sent(veil_conn_t *c, ssize_t res)
{
    veil_send_t *s = c->send;

    VEIL_CHECK(c, VEIL_CONN);
    VEIL_ASSERT(s != NULL);

    c->send = NULL;
    veil_send_put(s);
    if (!c->closing) {
        c->ops->on_sent(c, res);
    }
}

void
veil_conn_shutdown(veil_conn_t *c)
{
    VEIL_CHECK(c, VEIL_CONN);
    VEIL_ASSERT(c->send == NULL);

    if (!c->closing) {
        c->transport->shutdown(c);
    }
}

/* --- timeouts ----------------------------------------------------------- */

static void
conn_read_timed_out(veil_timer_t *t)
{
    veil_conn_t *c = veil_container_of(t, veil_conn_t, read_timer);

    VEIL_CHECK(c, VEIL_CONN);
    c->ops->on_read_timeout(c);
}

static void
conn_write_timed_out(veil_timer_t *t)
{
    veil_send_t *s = veil_container_of(t, veil_send_t, timer);
    veil_conn_t *c = s->conn;
    uint32_t still;

    VEIL_CHECK(c, VEIL_CONN);
    VEIL_ASSERT(c->send == s);

    /* Both are the low bits of one clock, so the difference is exact. */
    still = (uint32_t) veil_now_ms() - s->op.moved_ms;
    if (still < c->write_timeout_ms) {
        veil_timer_set(c->handle.loop, t, c->write_timeout_ms - still);
        return;
    }
    c->ops->on_write_timeout(c);
}

void
veil_conn_read_timeout(veil_conn_t *c, uint64_t ms)
{
    VEIL_CHECK(c, VEIL_CONN);

    if (c->closing) {
        return;
    }
    if (ms == 0) {
        veil_timer_cancel(&c->read_timer);
    } else {
        veil_timer_set(c->handle.loop, &c->read_timer, ms);
    }
}

void
veil_conn_write_timeout(veil_conn_t *c, uint64_t ms)
{
    VEIL_CHECK(c, VEIL_CONN);
    c->write_timeout_ms = ms > INT32_MAX ? INT32_MAX : (uint32_t) ms;
}

/* --- the end ------------------------------------------------------------ */

void
veil_conn_close(veil_conn_t *c)
{
    VEIL_CHECK(c, VEIL_CONN);

    if (c->closing) {
        return;
    }
    c->closing = true;
    c->reading = false;
    veil_timer_cancel(&c->read_timer);
    if (c->send != NULL) {
        veil_timer_cancel(&c->send->timer);
    }
    if (c->kept != NULL) {
        /* The views may be in use by the on_data() that called us. */
        veil_post_cancel(&c->kept->post);
    }
    c->transport->close(c);
}

void
veil_conn_abort(veil_conn_t *c)
{
    VEIL_CHECK(c, VEIL_CONN);
    c->reset = true;
    veil_conn_close(c);
}

void
veil_conn_end(veil_conn_t *c)
{
    struct linger reset = { .l_onoff = 1, .l_linger = 0 };

    VEIL_CHECK(c, VEIL_CONN);
    VEIL_ASSERT(c->closing);
    VEIL_ASSERT(!c->ended);

    c->ended = true;
    if (c->reset) {
        /* Fails on a socket that is gone already, which is as well. */
        (void) setsockopt(c->handle.fd, SOL_SOCKET, SO_LINGER, &reset,
                          sizeof(reset));
    }
    veil_handle_close(&c->handle, conn_closed);
}

static void
conn_closed(veil_handle_t *h)
{
    veil_conn_t *c = veil_container_of(h, veil_conn_t, handle);

    VEIL_CHECK(c, VEIL_CONN);
    VEIL_ASSERT(c->send == NULL);

    if (c->kept != NULL) {
        conn_kept_free(c);
    }
    if (c->transport->done != NULL) {
        c->transport->done(c);
    }
    c->magic = VEIL_MAGIC_DEAD;
    c->ops->on_closed(c);
}

/* --- questions ---------------------------------------------------------- */

static const veil_addr_t *conn_pretended; /* NULL: each has its own */

void
veil_conn_pretend_local(const veil_addr_t *addr)
{
    conn_pretended = addr;
}

void
veil_conn_local_addr(const veil_conn_t *c, veil_addr_t *addr)
{
    struct sockaddr_storage ss;
    socklen_t len = sizeof(ss);

    if (conn_pretended != NULL) {
        *addr = *conn_pretended;
        return;
    }
    memset(addr, 0, sizeof(*addr));
    if (c->magic == VEIL_MAGIC_DEAD) {
        return;
    }
    VEIL_CHECK(c, VEIL_CONN);
    if (getsockname(c->handle.fd, (struct sockaddr *) &ss, &len) == 0) {
        veil_addr_from_sockaddr(addr, (struct sockaddr *) &ss, len);
    }
}

void
veil_conn_nodelay(veil_conn_t *c, bool on)
{
    int value = on;

    VEIL_CHECK(c, VEIL_CONN);
    if (c->peer.family != AF_UNIX) {
        /* An optimisation: a socket that refuses works all the same. */
        (void) setsockopt(c->handle.fd, IPPROTO_TCP, TCP_NODELAY, &value,
                          sizeof(value));
    }
}

bool
veil_conn_is_alive(const veil_conn_t *c)
{
    struct pollfd p = { .fd = c->handle.fd, .events = POLLRDHUP };

    VEIL_CHECK(c, VEIL_CONN);
    if (c->closing || c->eof) {
        return false;
    }
    /* POLLRDHUP tells of the end even when unread data lies before it. */
    return poll(&p, 1, 0) == 0;
}
