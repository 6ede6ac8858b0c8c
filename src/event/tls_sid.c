/*
 * tls_sid.c -- whose sessions a server resumes: the context of session ids.
 *
 * Ticket keys and caches are shared by servers that have nothing else in
 * common.  A session that one of them made must not open another: resuming
 * repeats neither the server's proof of who it is nor the client's.  The
 * library compares 32 bytes, which each session carries, with those of the
 * context; here they are the digest of what a full handshake would check:
 *
 *   - the certificate;
 *   - whether and how deep clients are verified;
 *   - every certificate of the store they are verified against, and the
 *     names that are sent to them;
 *   - the revocation lists: a client that was revoked by a reload shall not
 *     come back with its old session.
 *
 * The digest is of contents, not of paths or addresses, so that workers,
 * generations and the hosts of a fleet agree.  A server without client
 * verification that changes its certificate makes its clients do one full
 * handshake each; which is what a new certificate is for.
 */

#include "core/platform.h"

#include <openssl/sha.h>
#include <openssl/x509.h>

#include "event/tls_cert.h"
#include "event/tls_impl.h"

/* Names what follows, so that nothing can stand in another's place. */
static void
tls_sid_tag(SHA256_CTX *sha, const char *tag, uint64_t value)
{
    SHA256_Update(sha, tag, strlen(tag) + 1);
    SHA256_Update(sha, &value, sizeof(value));
}

static void
tls_sid_cert(SHA256_CTX *sha, const X509 *cert)
{
    unsigned char digest[EVP_MAX_MD_SIZE];
    unsigned len = 0;

    if (cert != NULL && X509_digest(cert, EVP_sha256(), digest, &len) == 1) {
        tls_sid_tag(sha, "cert", len);
        SHA256_Update(sha, digest, len);
    }
}

/* Where a session gets its certificate later, the context has none. */
static void
tls_sid_certs(SHA256_CTX *sha, const SSL_CTX *ctx, const veil_tls_options_t *o)
{
    const X509 *leaf = SSL_CTX_get0_certificate(ctx);
    unsigned i;

    tls_sid_cert(sha, leaf);
    for (i = 0; leaf == NULL && o->certs != NULL && i < o->certs->n; i++) {
        veil_str_t name =
            veil_array_at(o->certs, veil_tls_cert_files_t, i)->cert;

        tls_sid_tag(sha, "file", name.len);
        SHA256_Update(sha, name.data, name.len);
    }
}

static void
tls_sid_store(SHA256_CTX *sha, const SSL_CTX *ctx)
{
    const STACK_OF(X509_OBJECT) * objects;
    X509_STORE *store = SSL_CTX_get_cert_store(ctx);
    size_t i, n;

    objects = X509_STORE_get0_objects(store);
    n = sk_X509_OBJECT_num(objects);
    for (i = 0; i < n; i++) {
        const X509_OBJECT *object = sk_X509_OBJECT_value(objects, i);

        if (X509_OBJECT_get_type(object) == X509_LU_X509) {
            tls_sid_cert(sha, X509_OBJECT_get0_X509(object));
        }
    }
}

static void
tls_sid_names(SHA256_CTX *sha, const SSL_CTX *ctx)
{
    const STACK_OF(X509_NAME) *names = SSL_CTX_get_client_CA_list(ctx);
    unsigned char digest[EVP_MAX_MD_SIZE];
    unsigned len;
    size_t i, n = names == NULL ? 0 : sk_X509_NAME_num(names);

    tls_sid_tag(sha, "names", n);
    for (i = 0; i < n; i++) {
        if (X509_NAME_digest(sk_X509_NAME_value(names, i), EVP_sha256(),
                             digest, &len)
            == 1)
        {
            SHA256_Update(sha, digest, len);
        }
    }
}

/* The library hands out no lists of a store, so the file they came from. */
static void
tls_sid_crl(SHA256_CTX *sha, veil_str_t path)
{
    char *data;
    size_t n;

    if (path.len == 0) {
        return;
    }
    data = veil_tls_read_file(path, &n, NULL);
    if (data != NULL) {
        tls_sid_tag(sha, "crl", n);
        SHA256_Update(sha, data, n);
        OPENSSL_free(data);
    }
    /* Else it went a moment ago: sessions last until the next reload. */
}

void
veil_tls_sid_apply(SSL_CTX *ctx, const veil_tls_options_t *o)
{
    unsigned char digest[SHA256_DIGEST_LENGTH];
    SHA256_CTX sha;

    SHA256_Init(&sha);
    tls_sid_tag(&sha, "veil", 1);
    tls_sid_certs(&sha, ctx, o);
    tls_sid_tag(&sha, "verify", (uint64_t) o->verify);
    if (o->verify != VEIL_TLS_VERIFY_OFF) {
        tls_sid_tag(&sha, "depth", (uint64_t) o->verify_depth);
        tls_sid_store(&sha, ctx);
        tls_sid_names(&sha, ctx);
        tls_sid_crl(&sha, o->crl);
    }
    SHA256_Final(digest, &sha);
    VEIL_ASSERT(SSL_CTX_set_session_id_context(ctx, digest, sizeof(digest))
                == 1);
}
