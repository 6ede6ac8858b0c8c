/*
 * tls_client.c -- TLS towards upstreams: whom to trust, whom to expect.
 */

#include "event/tls_impl.h"

veil_rc_t
veil_tls_client_fill(veil_conf_t *cf, veil_tls_ctx_t *ctx)
{
    const veil_tls_options_t *o = &ctx->o;

    if (o->verify == VEIL_TLS_VERIFY_OFF) {
        SSL_CTX_set_verify(ctx->ssl, SSL_VERIFY_NONE, NULL);
        return VEIL_OK;
    }
    SSL_CTX_set_verify(ctx->ssl, SSL_VERIFY_PEER, NULL);
    if (o->trusted.len != 0) {
        if (SSL_CTX_load_verify_locations(ctx->ssl, o->trusted.data, NULL)
            != 1) {
            return veil_tls_error(cf, o->node,
                                  "cannot load trusted certificates");
        }
        return VEIL_OK;
    }
    if (SSL_CTX_set_default_verify_paths(ctx->ssl) != 1) {
        return veil_tls_error(cf, o->node, "no trusted certificates");
    }
    return VEIL_OK;
}

void
veil_tls_client_prepare(veil_tls_t *t, const veil_tls_target_t *target)
{
    char name[256];

    if (target->sni.len != 0 && target->sni.len < sizeof(name)) {
        memcpy(name, target->sni.data, target->sni.len);
        name[target->sni.len] = '\0';
        (void) SSL_set_tlsext_host_name(t->ssl, name);
    }
    if (target->verify.len != 0) {
        (void) X509_VERIFY_PARAM_set1_host(
            SSL_get0_param(t->ssl), target->verify.data, target->verify.len);
    }
}
