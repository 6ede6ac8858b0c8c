/*
 * tls.c -- TLS on a client's connection: from accept to its protocol.
 *
 * The handshake has the connection to itself; this file only says which
 * server's context holds, how long it may take, and what comes after it.
 * Nothing here knows the library, and nothing above knows TLS: a request has
 * its scheme, and what asks for more (variables, client certificates) asks
 * the session.
 */

#include "core/platform.h"

#include "http/tls.h"

#include "event/tls.h"
#include "http/drain.h"
#include "http/http.h"
#include "http/rejects.h"

static veil_http_conn_t *
tls_of(veil_conn_t *c)
{
    veil_http_conn_t *hc = veil_container_of(c, veil_http_conn_t, c);

    VEIL_CHECK(hc, VEIL_HTTP_CONN);
    return hc;
}

static void
tls_reject(veil_conn_t *c, const char *why, const char *kind)
{
    veil_http_reject_handshake(tls_of(c), why, kind,
                               veil_tls_server_name(veil_tls_of(c)));
}

static void
tls_on_timeout(veil_conn_t *c)
{
    veil_log(&c->log, VEIL_LOG_INFO, ETIMEDOUT,
             "client timed out while SSL handshaking");
    tls_reject(c, "a handshake of TLS that is not complete in time", NULL);
    veil_conn_close(c);
}

static void
tls_on_closed(veil_conn_t *c)
{
    veil_http_conn_closed(tls_of(c));
}

/* Until the handshake is done nothing else is called (event/tls.h). */
static const veil_conn_ops_t tls_conn_ops = {
    .name = "tls handshake",
    .on_read_timeout = tls_on_timeout,
    .on_closed = tls_on_closed,
};

static veil_tls_ctx_t *
tls_select(veil_conn_t *c, veil_str_t name)
{
    veil_http_conn_t *hc = tls_of(c);
    const veil_http_server_t *s;

    if (name.len != 0) {
        hc->server = veil_http_server_find(hc->port, name, NULL);
        veil_http_conn_log_of_server(hc);
    }
    s = hc->server->tls != NULL ? hc->server : hc->port->default_server;
    if (veil_tls_ctx_options(s->tls)->reject) {
        return NULL;
    }
    return s->tls_select != NULL ? s->tls_select(hc) : s->tls;
}

static void
tls_done(veil_conn_t *c, int rc)
{
    veil_http_conn_t *hc = tls_of(c);
    const veil_http_alternative_t *other;

    if (rc < 0) {
        if (rc == -EPROTO) {
            tls_reject(c, veil_tls_last_error(), veil_tls_last_kind());
        } else if (veil_tls_server_name(veil_tls_of(c)).len != 0) {
            /* Others may be health checks, which connect and say nothing. */
            tls_reject(c, "a handshake of TLS that ends early", NULL);
        }
        veil_conn_close(c);
        return;
    }
    hc->secure = rc == 0;
    other = hc->server->alternative;
    if (rc == 0 && other != NULL
        && veil_str_eq(veil_tls_alpn(veil_tls_of(c)), other->name))
    {
        other->start(hc);
    } else {
        veil_h1_start(hc);
    }
    if (veil_http_is_draining()) {
        hc->proto->drain(hc);
    }
}

static veil_str_t
tls_alpn(veil_conn_t *c)
{
    const veil_http_alternative_t *other = tls_of(c)->server->alternative;

    if (other == NULL || !veil_tls_suits_http2(veil_tls_of(c))) {
        return VEIL_STR_NULL;
    }
    return other->name;
}

static const veil_tls_accept_ops_t tls_accept_ops = {
    .alpn = tls_alpn,
    .done = tls_done,
    .select = tls_select,
};

void
veil_http_tls_start(veil_http_conn_t *hc)
{
    hc->c.ops = &tls_conn_ops;
    veil_conn_read_timeout(&hc->c, hc->server->tls_handshake_timeout);
    veil_tls_accept(&hc->c, hc->server->tls, &tls_accept_ops);
}
