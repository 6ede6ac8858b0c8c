/*
 * tls_end.c -- how a session says that it is over.
 *
 * An end in order is close_notify, taken by the socket before that is closed:
 * without it the peer cannot tell the end from an attacker's cut.
 *
 * In a session with early data the owner may be done before the handshake is:
 * the answer to a request in early data goes out before the client's last
 * flight has come.  Saying goodbye is not possible then, and closing would
 * answer that flight with a reset, which can take the response away from the
 * client.  So a close waits for the rest of the handshake, throwing away what
 * data comes with it, and a half-close says its goodbye when the handshake is
 * complete.  Both wait for VEIL_TLS_GOODBYE_MS, or as long as the owner reads.
 */

#include "event/tls_impl.h"

static void tls_end_received(veil_op_t *op);

bool
veil_tls_is_unfinished(const veil_tls_t *t)
{
    return t->state == VEIL_TLS_OPEN && t->server && t->err == 0
           && SSL_in_early_data(t->ssl);
}

/*
 * Before a handshake nothing is to be ended.  The peer's end does not matter
 * (RFC 8446, 6.1: each says that it writes no more); after a fatal alert the
 * library says nothing.
 */
void
veil_tls_say_close(veil_tls_t *t)
{
    if (t->said_close || t->err != 0 || SSL_in_init(t->ssl)) {
        return;
    }
    t->said_close = true;
    if (SSL_shutdown(t->ssl) < 0) {
        ERR_clear_error();
    }
}

bool
veil_tls_send_now(veil_tls_t *t)
{
    veil_tls_out_t *out = t->out;
    ssize_t n;

    if (t->sending != NULL || out == NULL || out->next != NULL) {
        return t->sending == NULL && out == NULL;
    }
    n = send(t->conn->handle.fd, out->data, out->len,
             MSG_DONTWAIT | MSG_NOSIGNAL);
    if (n == (ssize_t) out->len) {
        veil_tls_out_drop(t);
        return true;
    }
    if (n > 0) {
        memmove(out->data, out->data + n, out->len - (size_t) n);
        out->len -= (size_t) n;
        t->out_len -= (size_t) n;
    }
    return n < 0 && errno != EAGAIN;
}

void
veil_tls_goodbye(veil_tls_t *t)
{
    veil_conn_t *c = t->conn;

    t->finishing = false;
    veil_op_cancel(&c->recv);
    veil_tls_say_close(t);
    if (veil_tls_send_now(t)) {
        veil_tls_end(t);
        return;
    }
    veil_tls_flush(t);
    veil_timer_set(c->handle.loop, &t->timer, VEIL_TLS_GOODBYE_MS);
}

static void
tls_end_receive(veil_tls_t *t)
{
    veil_conn_t *c = t->conn;

    c->recv.done = tls_end_received;
    if (veil_op_is_idle(&c->recv)) {
        veil_op_recv(&c->recv);
    }
}

/* Nobody is interested in data any more, only in what comes after it. */
static void
tls_end_finish(veil_tls_t *t)
{
    unsigned char data[1024];
    int n;

    do {
        n = SSL_read(t->ssl, data, sizeof(data));
    } while (n > 0 && SSL_in_early_data(t->ssl));

    if (!SSL_in_early_data(t->ssl)) {
        veil_tls_goodbye(t);
    } else if (SSL_get_error(t->ssl, n) != SSL_ERROR_WANT_READ) {
        veil_tls_end(t);
    }
    ERR_clear_error();
}

static void
tls_end_received(veil_op_t *op)
{
    veil_conn_t *c = veil_container_of(op, veil_conn_t, recv);
    veil_tls_t *t = c->transport_data;

    VEIL_CHECK(c, VEIL_CONN);
    VEIL_CHECK(t, VEIL_TLS);

    if (op->res > 0) {
        if (t->finishing && !c->ended) {
            t->in = op->u.buf;
            tls_end_finish(t);
            t->in.pos = t->in.end = NULL;
        }
        if (op->u.buf.block != NULL) {
            veil_block_put(op->u.buf.block);
        }
    } else if (op->res != -ECANCELED && t->finishing && !c->ended) {
        veil_tls_end(t);
    }
    if (!op->more && t->finishing && !c->ended) {
        tls_end_receive(t);
    }
}

void
veil_tls_finish(veil_tls_t *t)
{
    t->finishing = true;
    veil_tls_flush(t);
    tls_end_receive(t);
    veil_timer_set(t->conn->handle.loop, &t->timer, VEIL_TLS_GOODBYE_MS);
}
