/*
 * tls_compress.c -- certificates compressed for clients that can (RFC 8879).
 *
 * A chain of RSA certificates is some kilobytes in each full handshake of TLS
 * 1.3; compressed, it more often fits the first flight.  zlib is what
 * OpenSSL's and Apple's clients know.  The library asks for each handshake
 * anew, with the same message nearly always, so a context keeps the last one
 * with its result.
 */

#include "event/tls_impl.h"

#include <openssl/bytestring.h>

#if VEIL_HAVE_ZLIB
#include <zlib.h>

struct veil_tls_compressed_s {
    size_t in_len;
    size_t out_len;
    uint8_t data[]; /* in, then out */
};

/* zlib's limit of what deflate may add, which compressBound() knows. */
static veil_tls_compressed_t *
tls_compress_make(const uint8_t *in, size_t in_len)
{
    uLongf out_len = compressBound(in_len);
    veil_tls_compressed_t *c = veil_alloc(sizeof(*c) + in_len + out_len);

    memcpy(c->data, in, in_len);
    if (compress2(c->data + in_len, &out_len, in, in_len, 9) != Z_OK) {
        veil_free(c);
        return NULL;
    }
    c->in_len = in_len;
    c->out_len = out_len;
    return c;
}

static int
tls_compress_message(SSL *ssl, CBB *out, const uint8_t *in, size_t in_len)
{
    veil_tls_ctx_t *ctx = veil_tls_of_ssl(ssl)->ctx;
    veil_tls_compressed_t *c = ctx->compressed;

    if (c == NULL || c->in_len != in_len || memcmp(c->data, in, in_len) != 0) {
        c = tls_compress_make(in, in_len);
        if (c == NULL) {
            return 0;
        }
        veil_free(ctx->compressed);
        ctx->compressed = c;
    }
    return CBB_add_bytes(out, c->data + in_len, c->out_len);
}

veil_rc_t
veil_tls_compress_fill(veil_conf_t *cf VEIL_UNUSED, veil_tls_ctx_t *ctx)
{
    VEIL_ASSERT(SSL_CTX_add_cert_compression_alg(
        ctx->ssl, TLSEXT_cert_compression_zlib, tls_compress_message, NULL));
    return VEIL_OK;
}

#else

veil_rc_t
veil_tls_compress_fill(veil_conf_t *cf, veil_tls_ctx_t *ctx)
{
    return veil_conf_error_node(cf, veil_tls_at(&ctx->o, ctx->o.at.compress),
                                0,
                                "this build of veil has no zlib, with which "
                                "certificates are compressed");
}

#endif
