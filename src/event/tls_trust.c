/*
 * tls_trust.c -- whom a context trusts: authorities and revocation lists.
 *
 * Files are read whole and parsed here rather than by the library, so that a
 * missing or broken one is told like any other of the configuration's.
 */

#include "event/tls_impl.h"

#include <openssl/pem.h>

typedef struct {
    veil_conf_t *cf;
    const veil_conf_node_t *node;
} tls_trust_place_t;

static void
tls_trust_tell(void *data, bool warning, bool of_key VEIL_UNUSED,
               const char *text)
{
    const tls_trust_place_t *at = data;

    if (warning) {
        veil_conf_warn_node(at->cf, at->node, "%s", text);
    } else {
        (void) veil_conf_error_node(at->cf, at->node, 1, "%s", text);
    }
}

veil_rc_t
veil_tls_trust_file(veil_conf_t *cf, const veil_conf_node_t *node,
                    SSL_CTX *ssl, veil_str_t path, STACK_OF(X509_NAME) * names)
{
    tls_trust_place_t at = { .cf = cf, .node = node };
    X509_STORE *store = SSL_CTX_get_cert_store(ssl);
    STACK_OF(X509) *certs = veil_tls_certs_read(path, tls_trust_tell, &at);
    X509_NAME *name;
    X509 *x;
    size_t i;

    if (certs == NULL) {
        return VEIL_ERROR;
    }
    for (i = 0; i < sk_X509_num(certs); i++) {
        x = sk_X509_value(certs, i);
        /* One that is there twice is no error. */
        (void) X509_STORE_add_cert(store, x);
        if (names != NULL) {
            name = X509_NAME_dup(X509_get_subject_name(x));
            VEIL_ASSERT(name != NULL);
            VEIL_ASSERT(sk_X509_NAME_push(names, name) != 0);
        }
    }
    sk_X509_pop_free(certs, X509_free);
    ERR_clear_error();
    return VEIL_OK;
}

veil_rc_t
veil_tls_trust_crl(veil_conf_t *cf, const veil_conf_node_t *node, SSL_CTX *ssl,
                   veil_str_t path)
{
    X509_STORE *store = SSL_CTX_get_cert_store(ssl);
    char why[256];
    X509_CRL *crl;
    size_t len;
    unsigned n = 0;
    char *text = veil_tls_read_file(path, &len, NULL);
    BIO *bio;

    if (text == NULL) {
        return veil_conf_error_node(
            cf, node, 1, "cannot read the revocation list \"%.*s\": %s",
            VEIL_STR_ARG(path), strerror(errno));
    }
    bio = BIO_new_mem_buf(text, (ossl_ssize_t) len);
    VEIL_ASSERT(bio != NULL);
    ERR_clear_error();
    while ((crl = PEM_read_bio_X509_CRL(bio, NULL, NULL, NULL)) != NULL) {
        (void) X509_STORE_add_crl(store, crl);
        X509_CRL_free(crl);
        n++;
    }
    BIO_free(bio);
    OPENSSL_free(text);
    if (n == 0 || !veil_tls_is_end_of_pem()) {
        return veil_conf_error_node(
            cf, node, 1, "no revocation list can be read from \"%.*s\": %s",
            VEIL_STR_ARG(path), veil_tls_error_text(why, sizeof(why)));
    }
    ERR_clear_error();
    X509_STORE_set_flags(store,
                         X509_V_FLAG_CRL_CHECK | X509_V_FLAG_CRL_CHECK_ALL);
    return VEIL_OK;
}
