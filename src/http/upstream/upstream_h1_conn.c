/*
 * upstream_h1_conn.c -- HTTP/1 to upstreams as a wire: one exchange has the
 * connection, and its events are that exchange's.
 *
 * An idle connection keeps receiving: its end, and bytes nobody asked for, end
 * it at once.
 */

#include "http/upstream/upstream_impl.h"

/* --- events ---------------------------------------------------------------
 */

static void
upstream_h1_on_data(veil_conn_t *c, veil_buf_t *b)
{
    veil_upstream_conn_t *uc = veil_upstream_conn_of(c);
    veil_exchange_t *x = uc->x;

    if (x == NULL) {
        /* Nobody asked; whatever it is, the next response would be wrong. */
        b->pos = b->end;
        veil_upstream_conn_close(uc);
        return;
    }
    switch (x->priv->state) {
    case VEIL_X_HEAD:
        veil_exchange_head_data(x, b);
        return;
    case VEIL_X_BODY:
        veil_exchange_body_data(x, b);
        veil_exchange_body_wake(x);
        return;
    case VEIL_X_TUNNEL:
        veil_exchange_tunnel_data(x, b);
        return;
    default:
        VEIL_ASSERT(false); /* not reading in the other states */
    }
}

static void
upstream_h1_on_eof(veil_conn_t *c, int err)
{
    veil_upstream_conn_t *uc = veil_upstream_conn_of(c);

    veil_exchange_t *x = uc->x;

    if (x == NULL) {
        veil_upstream_conn_close(uc);
    } else if (x->priv->state == VEIL_X_BODY && x->priv->until_close
               && err == 0 && !veil_upstream_tls_was_cut(uc))
    {
        x->priv->keepalive = false;
        veil_exchange_body_ended(x);
    } else {
        x->priv->keepalive = false;
        veil_exchange_on_eof(x, err);
    }
}

static void
upstream_h1_on_sent(veil_conn_t *c, ssize_t res)
{
    veil_upstream_conn_t *uc = veil_upstream_conn_of(c);
    veil_exchange_t *x = uc->x;

    veil_upstream_conn_unpin(uc);
    if (x != NULL) {
        veil_exchange_on_sent(x, res);
    }
}

static void
upstream_h1_handshake_timeout(veil_exchange_t *x, int err VEIL_UNUSED)
{
    veil_exchange_on_read_timeout(x);
}

static void
upstream_h1_on_read_timeout(veil_conn_t *c)
{
    veil_upstream_conn_t *uc = veil_upstream_conn_of(c);

    if (uc->connecting) {
        veil_upstream_conn_failed(uc, upstream_h1_handshake_timeout, 0);
    } else if (uc->x != NULL) {
        veil_exchange_on_read_timeout(uc->x);
    } else {
        veil_upstream_conn_close(uc);
    }
}

static void
upstream_h1_on_write_timeout(veil_conn_t *c)
{
    veil_upstream_conn_t *uc = veil_upstream_conn_of(c);

    if (uc->x != NULL) {
        veil_exchange_on_write_timeout(uc->x);
    }
}

static const veil_conn_ops_t upstream_h1_conn_ops = {
    .name = "upstream",
    .on_data = upstream_h1_on_data,
    .on_eof = upstream_h1_on_eof,
    .on_sent = upstream_h1_on_sent,
    .on_read_timeout = upstream_h1_on_read_timeout,
    .on_write_timeout = upstream_h1_on_write_timeout,
    .on_closed = veil_upstream_conn_on_closed,
};

/* --- what exchanges ask for ------------------------------------------------
 */

static void
upstream_h1_read(veil_exchange_t *x)
{
    veil_conn_read(&x->priv->uc->c);
}

static void
upstream_h1_hold(veil_exchange_t *x)
{
    veil_conn_hold(&x->priv->uc->c);
    veil_conn_pace(&x->priv->uc->c, true);
}

static void
upstream_h1_timeout(veil_exchange_t *x, uint64_t ms)
{
    veil_conn_read_timeout(&x->priv->uc->c, ms);
}

static void
upstream_h1_count(const veil_exchange_t *x, veil_upstream_state_t *s)
{
    const veil_conn_t *c = &x->priv->uc->c;

    s->bytes_received = c->bytes_in;
    s->bytes_sent = c->bytes_out;
}

static void
upstream_h1_leave(veil_exchange_t *x, bool keep)
{
    veil_exchange_private_t *p = x->priv;
    veil_upstream_conn_t *uc = p->uc;

    p->uc = NULL;
    uc->x = NULL;
    if (uc->tls != NULL) {
        veil_upstream_tls_detach(uc);
    }
    veil_upstream_conn_keep(
        uc, x->conf,
        keep && p->keepalive && veil_exchange_request_is_sent(x)
            && uc->c.kept == NULL && !veil_conn_is_writing(&uc->c));
}

const veil_upstream_wire_t veil_upstream_h1 = {
    .name = "http/1.1",
    .conn = &upstream_h1_conn_ops,
    .send = veil_exchange_send,
    .read = upstream_h1_read,
    .hold = upstream_h1_hold,
    .timeout = upstream_h1_timeout,
    .count = upstream_h1_count,
    .leave = upstream_h1_leave,
};
