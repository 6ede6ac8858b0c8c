/*
 * tls_cert.h -- certificates and their keys: read and checked.
 *
 * Of the event layer, modules/ssl and modules/ssl_ocsp; everyone else has
 * tls.h.
 */

#ifndef VEIL_EVENT_TLS_CERT_H
#define VEIL_EVENT_TLS_CERT_H

#include "event/tls.h"

#include <openssl/ssl.h>
#include <openssl/x509.h>

/* What a key can sign with; the order has no meaning. */
typedef enum {
    VEIL_TLS_KEY_RSA,
    VEIL_TLS_KEY_P256,
    VEIL_TLS_KEY_P384,
    VEIL_TLS_KEY_P521,
    VEIL_TLS_KEY_ED25519
} veil_tls_key_kind_t;

/* A certificate that can be served: everything in it is owned. */
typedef struct {
    X509 *leaf;
    X509 *issuer; /* found in the file; or NULL */
    EVP_PKEY *key;
    CRYPTO_BUFFER **chain; /* the leaf first */
    size_t nchain;
    CRYPTO_BUFFER *staple; /* an OCSP response; or NULL */
    veil_tls_key_kind_t kind;
} veil_tls_cert_t;

/*
 * Hears what is wrong with a certificate (warning: it is used nevertheless)
 * or with its key.  May run on a thread: the text has to be copied.
 */
typedef void veil_tls_tell_fn(void *data, bool warning, bool of_key,
                              const char *text);

/*
 * Reads both, which blocks, and checks that they fit together.  passwords
 * (NULL: none) are tried on an encrypted key.  False after telling; then
 * nothing has to be freed.
 */
bool veil_tls_cert_load(veil_tls_cert_t *cert,
                        const veil_tls_cert_files_t *files,
                        const veil_array_t *passwords, veil_tls_tell_fn *tell,
                        void *data);
/* Another reference to everything in it. */
void veil_tls_cert_copy(veil_tls_cert_t *to, const veil_tls_cert_t *from);
/* The key is wiped with its last user. */
void veil_tls_cert_free(veil_tls_cert_t *cert);

/*
 * A file's content, terminated by a zero byte that len does not count, in
 * memory of its own that the library wipes when it is given back with
 * OPENSSL_free().  NULL with errno, EFBIG beyond a megabyte.  mode (may be
 * NULL) gets the file's permissions.
 */
char *veil_tls_read_file(veil_str_t path, size_t *len, unsigned *mode);

/* The oldest of the library's errors in words; the others are dropped. */
const char *veil_tls_error_text(char *buf, size_t n);
/* Whether the last error is that no (further) PEM block was found. */
bool veil_tls_is_end_of_pem(void);
/*
 * All certificates of a PEM file, in a new STACK_OF(X509); NULL after telling.
 */
struct stack_st_X509 *veil_tls_certs_read(veil_str_t path,
                                          veil_tls_tell_fn *tell, void *data);

/*
 * The same options and authorities with other certificates, for what is
 * loaded at run time.  Takes them over.  Counted: put it when done.
 */
veil_tls_ctx_t *veil_tls_ctx_with(veil_tls_ctx_t *base,
                                  const veil_tls_cert_t *certs, unsigned n);
/*
 * The same with this one in the place of base's of the same kind of key, or,
 * where there is none, beside them.  Takes it over.  *i: which it is.
 */
veil_tls_ctx_t *veil_tls_ctx_replace(veil_tls_ctx_t *base,
                                     const veil_tls_cert_t *cert, unsigned *i);

#endif
