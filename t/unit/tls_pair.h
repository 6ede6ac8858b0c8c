/*
 * tls_pair.h -- two sessions of TLS that talk through memory, with keys and
 * certificates made on the spot.
 */

#ifndef VEIL_T_UNIT_TLS_PAIR_H
#define VEIL_T_UNIT_TLS_PAIR_H

#include "core/platform.h"

#include <criterion/criterion.h>
#include <openssl/bio.h>
#include <openssl/bn.h>
#include <openssl/ec.h>
#include <openssl/err.h>
#include <openssl/rsa.h>
#include <openssl/ssl.h>
#include <openssl/x509.h>
#include <time.h>

typedef struct {
    SSL *client;
    SSL *server;
} pair_t;

static SSL_SESSION *pair_session; /* the newest one a client got */

static VEIL_UNUSED EVP_PKEY *
pair_ec_key(int curve)
{
    EC_KEY *ec = EC_KEY_new_by_curve_name(curve);
    EVP_PKEY *key = EVP_PKEY_new();

    cr_assert(EC_KEY_generate_key(ec) == 1);
    cr_assert(EVP_PKEY_assign_EC_KEY(key, ec) == 1);
    return key;
}

static VEIL_UNUSED EVP_PKEY *
pair_rsa_key(int bits)
{
    EVP_PKEY *key = EVP_PKEY_new();
    BIGNUM *e = BN_new();
    RSA *rsa = RSA_new();

    cr_assert(BN_set_word(e, RSA_F4) == 1);
    cr_assert(RSA_generate_key_ex(rsa, bits, e, NULL) == 1);
    cr_assert(EVP_PKEY_assign_RSA(key, rsa) == 1);
    BN_free(e);
    return key;
}

static VEIL_UNUSED X509 *
pair_cert(EVP_PKEY *key, const char *name)
{
    X509 *cert = X509_new();
    X509_NAME *subject = X509_get_subject_name(cert);

    cr_assert(X509_set_version(cert, 2) == 1);
    ASN1_INTEGER_set(X509_get_serialNumber(cert), 1);
    X509_NAME_add_entry_by_txt(subject, "CN", MBSTRING_ASC,
                               (const unsigned char *) name, -1, -1, 0);
    X509_set_issuer_name(cert, subject);
    X509_gmtime_adj(X509_get_notBefore(cert), -3600);
    X509_gmtime_adj(X509_get_notAfter(cert), 30 * 86400);
    cr_assert(X509_set_pubkey(cert, key) == 1);
    cr_assert(X509_sign(cert, key, EVP_sha256()) > 0);
    return cert;
}

static VEIL_UNUSED int
pair_new_session(SSL *ssl VEIL_UNUSED, SSL_SESSION *session)
{
    SSL_SESSION_free(pair_session);
    pair_session = session;
    return 1;
}

static VEIL_UNUSED SSL_CTX *
pair_server_ctx(EVP_PKEY *key, X509 *cert)
{
    SSL_CTX *ctx = SSL_CTX_new(TLS_server_method());

    cr_assert_neq(ctx, NULL);
    cr_assert(SSL_CTX_use_certificate(ctx, cert) == 1);
    cr_assert(SSL_CTX_use_PrivateKey(ctx, key) == 1);
    return ctx;
}

/* version 0: the newest. */
static VEIL_UNUSED SSL_CTX *
pair_client_ctx(uint16_t version)
{
    SSL_CTX *ctx = SSL_CTX_new(TLS_client_method());

    cr_assert_neq(ctx, NULL);
    SSL_CTX_set_session_cache_mode(ctx, SSL_SESS_CACHE_CLIENT
                                            | SSL_SESS_CACHE_NO_INTERNAL);
    SSL_CTX_sess_set_new_cb(ctx, pair_new_session);
    if (version != 0) {
        cr_assert(SSL_CTX_set_min_proto_version(ctx, version) == 1);
        cr_assert(SSL_CTX_set_max_proto_version(ctx, version) == 1);
    } else {
        cr_assert(SSL_CTX_set_max_proto_version(ctx, TLS1_3_VERSION) == 1);
    }
    return ctx;
}

static VEIL_UNUSED pair_t
pair_open(SSL_CTX *server, SSL_CTX *client, SSL_SESSION *session)
{
    pair_t p = { .client = SSL_new(client), .server = SSL_new(server) };
    BIO *a, *b;

    cr_assert(BIO_new_bio_pair(&a, 0, &b, 0) == 1);
    SSL_set_bio(p.client, a, a);
    SSL_set_bio(p.server, b, b);
    SSL_set_connect_state(p.client);
    SSL_set_accept_state(p.server);
    if (session != NULL) {
        cr_assert(SSL_set_session(p.client, session) == 1);
    }
    return p;
}

/* One call on each side; true while neither has failed. */
static VEIL_UNUSED bool
pair_step(pair_t *p, int *client, int *server)
{
    int rc;

    rc = SSL_do_handshake(p->client);
    *client = rc == 1 ? SSL_ERROR_NONE : SSL_get_error(p->client, rc);
    rc = SSL_do_handshake(p->server);
    *server = rc == 1 ? SSL_ERROR_NONE : SSL_get_error(p->server, rc);
    return *client != SSL_ERROR_SSL && *server != SSL_ERROR_SSL;
}

/* The whole handshake, and what follows it (tickets). */
static VEIL_UNUSED bool
pair_handshake(pair_t *p)
{
    int client, server, i;
    char byte;

    for (i = 0; i < 20; i++) {
        if (!pair_step(p, &client, &server)) {
            ERR_clear_error();
            return false;
        }
        if (client == SSL_ERROR_NONE && server == SSL_ERROR_NONE) {
            cr_assert_eq(SSL_write(p->server, "x", 1), 1);
            cr_assert_eq(SSL_read(p->client, &byte, 1), 1);
            return true;
        }
    }
    return false;
}

static VEIL_UNUSED void
pair_close(pair_t *p)
{
    SSL_free(p->client);
    SSL_free(p->server);
}

/*
 * A connection with what the last one left behind, if again; whether it was
 * resumed.
 */
static VEIL_UNUSED bool
pair_is_resumed(SSL_CTX *server, SSL_CTX *client, bool again)
{
    pair_t p = pair_open(server, client, again ? pair_session : NULL);
    bool resumed;

    cr_assert(pair_handshake(&p));
    resumed = SSL_session_reused(p.server);
    cr_assert_eq(SSL_session_reused(p.client), resumed);
    pair_close(&p);
    return resumed;
}

static VEIL_UNUSED void
pair_forget(void)
{
    SSL_SESSION_free(pair_session);
    pair_session = NULL;
}

#endif
