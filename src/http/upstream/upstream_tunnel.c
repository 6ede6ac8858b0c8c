/*
 * upstream_tunnel.c -- after an upgrade: both directions until both end.
 *
 * What the upstream sends is the exchange's body, without framing and to the
 * end of the connection.  What the client sends is pulled here and written.
 * Each direction ends by itself: the end of one is passed on as the end of
 * the sending side, and the other may go on.  A failure ends both, and so
 * does proxy_read_timeout without a byte in either direction.  The client's
 * body is let go when what it had is written, which is how the protocol knows
 * that this direction is over: not when the client has said its last word.
 *
 * Only HTTP/1 has a 101, so the connection here is one of its wire; an
 * exchange that is raw has one, too, and never says anything of HTTP.
 */

#include "http/upstream/upstream_impl.h"

#define TUNNEL_BLOCK (16 * 1024)
#define TUNNEL_SLICES 16

static void
upstream_tunnel_touch(veil_exchange_t *x)
{
    veil_conn_read_timeout(&x->priv->uc->c, x->conf->read_timeout);
}

/* All the client sent is written, or will not be: its body is let go. */
static void
upstream_tunnel_let_go(veil_exchange_t *x)
{
    veil_exchange_private_t *p = x->priv;
    veil_http_body_t *from_client = p->from_client;

    p->client_ended = true;
    p->from_client = NULL;
    if (from_client != NULL) {
        veil_http_body_abort(from_client);
    }
}

static void
upstream_tunnel_check_end(veil_exchange_t *x)
{
    veil_exchange_private_t *p = x->priv;

    if (p->peer_ended && p->client_ended && p->in_write == 0) {
        veil_exchange_drop(x, false);
    }
}

static void
upstream_tunnel_fail(veil_exchange_t *x)
{
    veil_exchange_body_fail(x);
    upstream_tunnel_let_go(x); /* before its end: that is how it failed */
    veil_exchange_body_wake(x);
}

/* --- to the upstream ------------------------------------------------------
 */

/* The client has ended, and all before is written. */
static void
upstream_tunnel_client_done(veil_exchange_t *x)
{
    veil_conn_shutdown(&x->priv->uc->c);
    upstream_tunnel_check_end(x);
    upstream_tunnel_let_go(x);
}

static void
upstream_tunnel_pump(veil_exchange_t *x)
{
    veil_exchange_private_t *p = x->priv;
    veil_slice_t v[TUNNEL_SLICES];
    unsigned i, n = TUNNEL_SLICES;
    veil_block_t *block;
    veil_body_rc_t rc;
    size_t len = 0;

    if (p->from_client == NULL || p->client_ended || p->in_write != 0) {
        return;
    }
    rc = veil_http_body_pull(p->from_client, v, &n, TUNNEL_BLOCK);
    if (rc == VEIL_BODY_LATER) {
        p->send_waiting = true;
        return;
    }
    if (rc == VEIL_BODY_FAILED) {
        upstream_tunnel_fail(x);
        return;
    }
    if (n != 0) {
        block = veil_block_create(TUNNEL_BLOCK);
        for (i = 0; i < n; i++) {
            VEIL_ASSERT(v[i].data != NULL);
            memcpy(block->data + len, v[i].data, v[i].len);
            len += v[i].len;
        }
        veil_http_body_consume(p->from_client, len);
        p->in_write = len;
        p->uc->sending = block;
        v[0] = veil_slice_mem(block->data, len);
        veil_conn_write(&p->uc->c, v, 1);
        upstream_tunnel_touch(x);
    }
    p->client_ended = rc == VEIL_BODY_END;
    if (p->client_ended && p->in_write == 0) {
        upstream_tunnel_client_done(x);
    }
}

static void
upstream_tunnel_client_ready(void *reader)
{
    veil_exchange_t *x = reader;
    veil_exchange_private_t *p = x->priv;

    if (!p->send_waiting || p->uc == NULL) {
        return;
    }
    p->send_waiting = false;
    upstream_tunnel_pump(x);
}

void
veil_exchange_tunnel_sent(veil_exchange_t *x, ssize_t res)
{
    veil_exchange_private_t *p = x->priv;

    p->in_write = 0;
    if (res < 0) {
        upstream_tunnel_fail(x);
        return;
    }
    if (p->client_ended) {
        upstream_tunnel_client_done(x);
        return;
    }
    upstream_tunnel_pump(x);
}

/* --- from the upstream ----------------------------------------------------
 */

void
veil_exchange_tunnel_begin(veil_exchange_t *x)
{
    veil_exchange_private_t *p = x->priv;

    p->until_close = true;
    p->keepalive = false;
    p->send_waiting = false;
    p->body.ops = &veil_exchange_body_ops;
    p->body.length = -1;
    p->body.in_memory = true;
    x->tunnel = &p->body;
    upstream_tunnel_touch(x);
}

void
veil_exchange_tunnel_data(veil_exchange_t *x, veil_buf_t *b)
{
    veil_exchange_body_append(x, b);
    upstream_tunnel_touch(x);
    if (veil_exchange_body_is_full(x)) {
        veil_exchange_body_hold(x);
    }
    veil_exchange_body_wake(x);
}

void
veil_exchange_tunnel_eof(veil_exchange_t *x, int err)
{
    veil_exchange_private_t *p = x->priv;

    if (err < 0) {
        upstream_tunnel_fail(x);
        return;
    }
    p->peer_ended = true;
    p->complete = true;
    upstream_tunnel_touch(x);
    upstream_tunnel_check_end(x);
    veil_exchange_body_wake(x);
}

void
veil_exchange_tunnel_timeout(veil_exchange_t *x)
{
    veil_exchange_private_t *p = x->priv;

    if (p->held && !p->peer_ended) {
        upstream_tunnel_touch(
            x); /* the client is slow, and has its own timeout */
        return;
    }
    veil_exchange_log(x, VEIL_LOG_INFO, ETIMEDOUT, "upstream timed out",
                      "while proxying upgraded connection");
    upstream_tunnel_fail(x);
}

void
veil_exchange_tunnel(veil_exchange_t *x, veil_http_body_t *from_client)
{
    veil_exchange_private_t *p = x->priv;

    VEIL_ASSERT(x->tunnel != NULL);
    p->from_client = from_client;
    if (p->uc == NULL) {
        /* It ended, and both directions with it, before it began. */
        upstream_tunnel_let_go(x);
        return;
    }
    veil_http_body_set_reader(from_client, upstream_tunnel_client_ready, x);
    upstream_tunnel_pump(x);
}
