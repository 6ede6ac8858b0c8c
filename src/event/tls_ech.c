/*
 * tls_ech.c -- Encrypted Client Hello: the keys a server offers.
 *
 * The file is that of draft-farrell-tls-pemesni, which nginx reads too: a
 * "PRIVATE KEY" (X25519) and an "ECHCONFIG", which is an ECHConfigList.  Each
 * configuration in the list that is made for the key is offered.
 */

#include "event/tls_impl.h"

#include <sys/stat.h>

#include <openssl/bytestring.h>
#include <openssl/curve25519.h>
#include <openssl/hpke.h>
#include <openssl/mem.h>
#include <openssl/pem.h>

/* The key of the file's PEM as HPKE wants it. */
static bool
tls_ech_read_key(veil_str_t text, EVP_HPKE_KEY *key)
{
    BIO *bio = BIO_new_mem_buf(text.data, (ossl_ssize_t) text.len);
    uint8_t raw[X25519_PRIVATE_KEY_LEN];
    size_t len = sizeof(raw);
    EVP_PKEY *pkey;
    bool is_good = false;

    VEIL_ASSERT(bio != NULL);
    pkey = PEM_read_bio_PrivateKey(bio, NULL, NULL, NULL);
    BIO_free(bio);
    if (pkey != NULL && EVP_PKEY_id(pkey) == EVP_PKEY_X25519
        && EVP_PKEY_get_raw_private_key(pkey, raw, &len))
    {
        is_good =
            EVP_HPKE_KEY_init(key, EVP_hpke_x25519_hkdf_sha256(), raw, len);
    }
    OPENSSL_cleanse(raw, sizeof(raw));
    EVP_PKEY_free(pkey);
    return is_good;
}

/* The content of the "ECHCONFIG" block; to be freed. */
static uint8_t *
tls_ech_read_list(veil_str_t text, size_t *n)
{
    BIO *bio = BIO_new_mem_buf(text.data, (ossl_ssize_t) text.len);
    char *name = NULL, *header = NULL;
    uint8_t *data = NULL;
    long len = 0;
    bool is_it = false;

    VEIL_ASSERT(bio != NULL);
    while (!is_it && PEM_read_bio(bio, &name, &header, &data, &len)) {
        is_it = strcmp(name, "ECHCONFIG") == 0;
        OPENSSL_free(name);
        OPENSSL_free(header);
        if (!is_it) {
            OPENSSL_free(data);
        }
    }
    BIO_free(bio);
    *n = (size_t) len;
    return is_it ? data : NULL;
}

/* ECHConfigList: each entry has its version, its length and its content. */
static bool
tls_ech_add_all(SSL_ECH_KEYS *keys, const uint8_t *data, size_t len,
                const EVP_HPKE_KEY *key)
{
    const uint8_t *start;
    CBS list, cbs, body;
    uint16_t version;
    unsigned n = 0;

    CBS_init(&cbs, data, len);
    if (!CBS_get_u16_length_prefixed(&cbs, &list) || CBS_len(&cbs) != 0) {
        return false;
    }
    while (CBS_len(&list) > 0) {
        start = CBS_data(&list);
        if (!CBS_get_u16(&list, &version)
            || !CBS_get_u16_length_prefixed(&list, &body)
            || !SSL_ECH_KEYS_add(keys, 1, start,
                                 (size_t) (CBS_data(&list) - start), key))
        {
            return false;
        }
        n++;
    }
    return n > 0;
}

/* Adds what the file has; NULL, or what is wrong with it. */
static const char *
tls_ech_add_file(SSL_ECH_KEYS *keys, veil_str_t path, unsigned *mode,
                 char *why, size_t size)
{
    EVP_HPKE_KEY *key = EVP_HPKE_KEY_new();
    const char *what = NULL;
    uint8_t *list = NULL;
    size_t len, n;
    char *text = veil_tls_read_file(path, &len, mode);

    VEIL_ASSERT(key != NULL);
    if (text == NULL) {
        what = strerror(errno);
    } else if (!tls_ech_read_key(veil_str_n(text, len), key)) {
        what = "it has no \"PRIVATE KEY\" for X25519";
    } else {
        list = tls_ech_read_list(veil_str_n(text, len), &n);
        if (list == NULL) {
            what = "it has no \"ECHCONFIG\"";
        } else if (!tls_ech_add_all(keys, list, n, key)) {
            what = veil_tls_error_text(why, size);
        }
    }
    OPENSSL_free(list);
    OPENSSL_free(text);
    EVP_HPKE_KEY_free(key);
    ERR_clear_error();
    return what;
}

veil_rc_t
veil_tls_ech_fill(veil_conf_t *cf, veil_tls_ctx_t *ctx)
{
    const veil_array_t *files = ctx->o.ech_files;
    const veil_conf_node_t *at = veil_tls_at(&ctx->o, ctx->o.at.ech);
    SSL_ECH_KEYS *keys = SSL_ECH_KEYS_new();
    veil_rc_t rc = VEIL_OK;
    const char *what;
    char why[256];
    veil_str_t path;
    unsigned i, mode;

    VEIL_ASSERT(keys != NULL);
    for (i = 0; i < files->n && rc == VEIL_OK; i++) {
        path = *veil_array_at(files, veil_str_t, i);
        mode = 0;
        what = tls_ech_add_file(keys, path, &mode, why, sizeof(why));
        if (what != NULL) {
            rc = veil_conf_error_node(
                cf, at, 1, "the ECH keys \"%.*s\" cannot be used: %s",
                VEIL_STR_ARG(path), what);
        } else if ((mode & (S_IROTH | S_IWOTH)) != 0) {
            veil_conf_warn_node(cf, at,
                                "the ECH keys \"%.*s\" are open to every user "
                                "of this machine (mode %04o)",
                                VEIL_STR_ARG(path), mode & 07777u);
        }
    }
    if (rc == VEIL_OK && !SSL_CTX_set1_ech_keys(ctx->ssl, keys)) {
        rc = veil_conf_error_node(cf, at, 1, "the ECH keys cannot be used: %s",
                                  veil_tls_error_text(why, sizeof(why)));
    }
    SSL_ECH_KEYS_free(keys);
    return rc;
}
