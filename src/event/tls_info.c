/*
 * tls_info.c -- what may be asked of a session.
 */

#include "event/tls_impl.h"

#include "core/metric.h"

/* In this order for each side. */
enum { TLS_FULL, TLS_RESUMED, TLS_FAILED, TLS_RESULTS };

static veil_metric_t tls_metrics[] = {
    VEIL_COUNTER("veil_tls_handshakes_total",
                 "side=\"client\",result=\"full\"",
                 "Handshakes with clients and with upstreams."),
    VEIL_COUNTER("veil_tls_handshakes_total",
                 "side=\"client\",result=\"resumed\"", NULL),
    VEIL_COUNTER("veil_tls_handshakes_total",
                 "side=\"client\",result=\"failed\"", NULL),
    VEIL_COUNTER("veil_tls_handshakes_total",
                 "side=\"upstream\",result=\"full\"", NULL),
    VEIL_COUNTER("veil_tls_handshakes_total",
                 "side=\"upstream\",result=\"resumed\"", NULL),
    VEIL_COUNTER("veil_tls_handshakes_total",
                 "side=\"upstream\",result=\"failed\"", NULL),
};
VEIL_METRICS(tls_metrics);

void
veil_tls_count_handshake(const veil_tls_t *t, bool ok)
{
    unsigned side = SSL_is_server(t->ssl) ? 0 : TLS_RESULTS;
    unsigned result = !ok                          ? TLS_FAILED
                      : SSL_session_reused(t->ssl) ? TLS_RESUMED
                                                   : TLS_FULL;

    veil_metric_inc(&tls_metrics[side + result]);
}

veil_str_t
veil_tls_alpn(const veil_tls_t *t)
{
    const uint8_t *p;
    unsigned n;

    SSL_get0_alpn_selected(t->ssl, &p, &n);
    return veil_str_n((const char *) p, n);
}

bool
veil_tls_suits_http2(const veil_tls_t *t)
{
    const SSL_CIPHER *cipher = SSL_get_pending_cipher(t->ssl);

    if (cipher == NULL) {
        cipher = SSL_get_current_cipher(t->ssl);
    }
    switch (SSL_version(t->ssl)) {
    case TLS1_3_VERSION:
        return true;
    case TLS1_2_VERSION:
        return cipher != NULL && SSL_CIPHER_is_aead(cipher)
               && SSL_CIPHER_get_kx_nid(cipher) == NID_kx_ecdhe;
    default:
        return false;
    }
}

bool
veil_tls_is_resumed(const veil_tls_t *t)
{
    return SSL_session_reused(t->ssl);
}

bool
veil_tls_is_early(const veil_tls_t *t)
{
    return SSL_in_early_data(t->ssl);
}

veil_str_t
veil_tls_server_name(const veil_tls_t *t)
{
    return t->name != NULL ? veil_str_z(t->name) : VEIL_STR_NULL;
}

bool
veil_tls_was_closed(const veil_tls_t *t)
{
    return t->got_close;
}

const char *
veil_tls_version(const veil_tls_t *t)
{
    return SSL_get_version(t->ssl);
}

const char *
veil_tls_cipher(const veil_tls_t *t)
{
    const SSL_CIPHER *cipher = SSL_get_current_cipher(t->ssl);

    return cipher != NULL ? SSL_CIPHER_standard_name(cipher) : "none";
}

SSL *
veil_tls_ssl(const veil_tls_t *t)
{
    return t->ssl;
}

const veil_tls_hello_t *
veil_tls_hello(const veil_tls_t *t)
{
    return t->hello;
}

long
veil_tls_verify_result(const veil_tls_t *t)
{
    long rc = SSL_get_verify_result(t->ssl);

    if (rc == X509_V_OK && t->cert_status != NULL && t->cert_status[0] != '\0')
    {
        rc = X509_V_ERR_APPLICATION_VERIFICATION;
    }
    return rc;
}

const char *
veil_tls_verify_error(const veil_tls_t *t)
{
    long rc = veil_tls_verify_result(t);

    if (rc == X509_V_OK) {
        return NULL;
    }
    return rc == X509_V_ERR_APPLICATION_VERIFICATION && t->cert_status != NULL
               ? t->cert_status
               : X509_verify_cert_error_string(rc);
}

void
veil_tls_set_cert_status(veil_tls_t *t, const char *why)
{
    t->cert_status = why;
}

const char *
veil_tls_cert_status(const veil_tls_t *t)
{
    return t->cert_status;
}

bool
veil_tls_is_ktls_tx(const veil_tls_t *t)
{
    return t->ktls_tx;
}

bool
veil_tls_is_ktls_rx(const veil_tls_t *t)
{
    return t->ktls_rx;
}
