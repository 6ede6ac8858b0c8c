/*
 * fuzz_tls_hello.c -- what a server reads of a ClientHello by itself: the
 * name, the outer name, the lists, and which certificate fits.
 *
 * The input is the body of a ClientHello.  It is parsed as the outer one, and
 * put into a record that the library reads, which then shows what it made of
 * it.  Lists that are kept must lie within what was sent; a choice must be
 * one of the certificates.
 */

#include "core/platform.h"

#include <openssl/bio.h>

#include "event/tls_hello.c"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define HELLO_MAX 16000

static void
hello_outer(const uint8_t *data, size_t size)
{
    CBS msg, name;
    bool ech;

    CBS_init(&msg, data, size);
    if (tls_hello_parse_outer(msg, &name, &ech) && CBS_len(&name) != 0) {
        VEIL_ASSERT(CBS_data(&name) >= data);
        VEIL_ASSERT(CBS_data(&name) + CBS_len(&name) <= data + size);
    }
}

static enum ssl_select_cert_result_t
hello_shown(const SSL_CLIENT_HELLO *hello)
{
    static const veil_tls_cert_t certs[] = { { .kind = VEIL_TLS_KEY_RSA },
                                             { .kind = VEIL_TLS_KEY_P256 },
                                             { .kind = VEIL_TLS_KEY_P384 },
                                             { .kind = VEIL_TLS_KEY_P521 },
                                             { .kind =
                                                   VEIL_TLS_KEY_ED25519 } };
    veil_tls_t *t = veil_tls_of_ssl(hello->ssl);
    unsigned n;
    CBS name;

    if (tls_hello_parse_name(hello, &name)) {
        tls_hello_keep_name(t, &name);
        VEIL_ASSERT(t->name == NULL
                    || (t->name[0] != '\0' && strchr(t->name, '/') == NULL));
    }
    tls_hello_keep_fields(t, hello);
    VEIL_ASSERT(t->hello->ciphers.len + t->hello->curves.len
                    + t->hello->sigalgs.len
                <= hello->client_hello_len);
    for (n = 1; n <= 5; n++) {
        VEIL_ASSERT(tls_hello_find_cert(certs, n, hello,
                                        SSL_get_ciphers(hello->ssl), true)
                    < n);
        VEIL_ASSERT(tls_hello_find_cert(certs, n, hello,
                                        SSL_get_ciphers(hello->ssl), false)
                    < n);
    }
    return ssl_select_cert_error;
}

/* A record with a handshake message of this body; its length. */
static size_t
hello_wrap(uint8_t *to, const uint8_t *data, size_t size)
{
    size_t n = size + 4;

    to[0] = SSL3_RT_HANDSHAKE;
    to[1] = 3;
    to[2] = 1;
    to[3] = (uint8_t) (n >> 8);
    to[4] = (uint8_t) n;
    to[5] = SSL3_MT_CLIENT_HELLO;
    to[6] = 0;
    to[7] = (uint8_t) (size >> 8);
    to[8] = (uint8_t) size;
    memcpy(to + 9, data, size);
    return n + 5;
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static uint8_t record[HELLO_MAX + 16];
    static SSL_CTX *ctx;
    veil_tls_t t;
    SSL *ssl;
    BIO *in, *out;

    if (size > HELLO_MAX) {
        return 0;
    }
    if (ctx == NULL) {
        ctx = SSL_CTX_new(TLS_method());
        SSL_CTX_set_select_certificate_cb(ctx, hello_shown);
    }
    hello_outer(data, size);

    memset(&t, 0, sizeof(t));
    ssl = SSL_new(ctx);
    SSL_set_app_data(ssl, &t);
    SSL_set_accept_state(ssl);
    in =
        BIO_new_mem_buf(record, (ossl_ssize_t) hello_wrap(record, data, size));
    out = BIO_new(BIO_s_mem());
    SSL_set_bio(ssl, in, out);
    (void) SSL_do_handshake(ssl);
    ERR_clear_error();
    SSL_free(ssl);
    veil_free(t.name);
    veil_free(t.hello);
    return 0;
}
