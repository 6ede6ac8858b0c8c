/*
 * plain.c -- the transport that passes bytes as they are: TCP and unix
 * sockets.
 *
 * Receiving is one multishot operation that stays armed from the first
 * veil_conn_read() to the end of the stream, unless conn.c stops it.  When it
 * is wanted again while its cancel is still under way, the last completion
 * starts it anew.
 *
 * Sending is one operation where possible (a single slice: SEND, nothing is
 * copied), else SENDV, then SENDFILE for the file range.  Nothing sets
 * MSG_MORE between the two: measured slower on loopback by a factor of five.
 */

#include "core/platform.h"

#include <limits.h>

#include "core/assert.h"
#include "event/transport.h"

/* Of one operation; page-aligned and below INT_MAX. */
#define PLAIN_FILE_MAX ((size_t) 0x40000000)

static void plain_sent(veil_op_t *op);

static void
plain_start_reading(veil_conn_t *c)
{
    if (veil_op_is_idle(&c->recv)) {
        c->recv.done = veil_plain_received;
        veil_op_recv(&c->recv);
    }
}

static void
plain_stop_reading(veil_conn_t *c)
{
    veil_op_cancel(&c->recv);
}

void
veil_plain_received(veil_op_t *op)
{
    veil_conn_t *c = veil_container_of(op, veil_conn_t, recv);
    veil_buf_t b;

    VEIL_CHECK(c, VEIL_CONN);

    if (op->res > 0) {
        b = op->u.buf;
        veil_conn_received(c, &b);
    } else if (!c->closing && op->res != -ECANCELED) {
        veil_conn_ended(c, op->res);
        return;
    }
    /*
     * The owner may have closed, held, or even started it again by itself in
     * on_data().
     */
    if (!op->more && !c->closing && !c->stopped && veil_op_is_idle(op)) {
        veil_op_recv(op);
    }
}

/* Starts on what is left: memory first. */
static void
plain_send_next(veil_send_t *s)
{
    size_t len;
    unsigned n = s->niov;

    if (n > 0) {
        s->niov = 0;
        if (n == 1) {
            veil_op_send(&s->op, s->iov[0].iov_base, s->iov[0].iov_len);
        } else {
            veil_op_sendv(&s->op, s->iov, n);
        }
        return;
    }
    len = veil_min_size(s->file.len, PLAIN_FILE_MAX);
    veil_op_sendfile(&s->op, s->file.fd, s->file.offset, len);
    s->asked = len;
    s->file.offset += len;
    s->file.len -= len;
}

void
veil_plain_write(veil_conn_t *c, const veil_slice_t *slices, unsigned n)
{
    veil_send_t *s = c->send;
    size_t total = 0;
    unsigned i;

    s->op.done = plain_sent;

    if (n == 1 && slices->data != NULL) {
        veil_op_send(&s->op, slices->data, slices->len);
        return;
    }

    for (i = 0; i < n; i++) {
        if (slices[i].len == 0) {
            continue;
        }
        VEIL_ASSERT(s->file.len == 0); /* the file range comes last */
        if (slices[i].data == NULL) {
            s->file = slices[i];
            continue;
        }
        VEIL_ASSERT(s->niov < VEIL_CONN_SLICES);
        /* iovec has no const; sending does not write. */
        s->iov[s->niov].iov_base = (void *) (uintptr_t) slices[i].data;
        s->iov[s->niov].iov_len = slices[i].len;
        s->niov++;
        total += slices[i].len;
    }
    VEIL_ASSERT(total <= INT_MAX);
    VEIL_ASSERT(total + s->file.len > 0);
    plain_send_next(s);
}

static void
plain_sent(veil_op_t *op)
{
    veil_send_t *s = veil_container_of(op, veil_send_t, op);
    veil_conn_t *c = s->conn;
    bool is_short = false;
    size_t moved;

    VEIL_CHECK(c, VEIL_CONN);

    switch (op->kind) {
    case VEIL_OP_SEND:
        moved = op->u.mem.nbytes;
        break;
    case VEIL_OP_SENDV:
        moved = op->u.vec.nbytes;
        break;
    default:
        moved = op->u.file.nbytes;
        is_short = op->res >= 0 && (size_t) op->res < s->asked;
        break;
    }
    veil_conn_count_sent(c, moved);
    s->total += moved;

    if (op->res < 0) {
        veil_conn_sent(c, op->res);
    } else if (s->file.len > 0 && !is_short && !c->closing) {
        plain_send_next(s);
    } else {
        veil_conn_sent(c, (ssize_t) s->total);
    }
}

static void
plain_shutdown(veil_conn_t *c)
{
    /* ENOTCONN: the peer was faster; reading says so. */
    (void) shutdown(c->handle.fd, SHUT_WR);
}

const veil_transport_t veil_transport_plain = {
    .name = "plain",
    .start_reading = plain_start_reading,
    .stop_reading = plain_stop_reading,
    .write = veil_plain_write,
    .shutdown = plain_shutdown,
    .close = veil_conn_end,
    .done = NULL,
    .can_sendfile = true,
    .can_splice = true,
};
