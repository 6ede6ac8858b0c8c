/*
 * ssl_client.c -- variables of the certificate a client showed.
 *
 * All are printed into memory of the library and copied to the request.
 * Where there is no certificate, $ssl_client_verify is "NONE" and the others
 * are not there.
 */

#include "core/platform.h"

#include <openssl/asn1.h>
#include <openssl/bio.h>
#include <openssl/digest.h>
#include <openssl/err.h>
#include <openssl/mem.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <openssl/x509.h>

#include "core/time.h"
#include "modules/ssl/ssl.h"

static veil_str_t
ssl_client_text(veil_http_request_t *r, BIO *bio)
{
    const uint8_t *data;
    size_t len;

    return BIO_mem_contents(bio, &data, &len)
               ? veil_pool_str(r->pool, veil_str_n((const char *) data, len))
               : VEIL_STR_NULL;
}

/* --- the certificate itself ------------------------------------------------
 */

/* Without the last line's end, and a tab where the others begin. */
static veil_str_t
ssl_client_with_tabs(veil_http_request_t *r, veil_str_t pem)
{
    size_t n = 0, i;
    char *p, *start;

    if (pem.len != 0 && pem.data[pem.len - 1] == '\n') {
        pem.len--;
    }
    for (i = 0; i < pem.len; i++) {
        n += pem.data[i] == '\n';
    }
    start = p = veil_pool_chars(r->pool, pem.len + n + 1);
    for (i = 0; i < pem.len; i++) {
        *p++ = pem.data[i];
        if (pem.data[i] == '\n') {
            *p++ = '\t';
        }
    }
    return veil_str_n(start, (size_t) (p - start));
}

static veil_str_t
ssl_client_escaped(veil_http_request_t *r, veil_str_t pem)
{
    char *p = veil_pool_chars(r->pool, 3 * pem.len + 1);

    return veil_str_n(p, veil_str_escape(p, pem, VEIL_ESCAPE_COMPONENT));
}

static bool
ssl_client_pem(veil_http_request_t *r, BIO *bio, X509 *x,
               veil_ssl_client_t which, veil_str_t *out)
{
    if (!PEM_write_bio_X509(bio, x)) {
        return false;
    }
    *out = ssl_client_text(r, bio);
    if (which == VEIL_SSL_CLIENT_CERT) {
        *out = ssl_client_with_tabs(r, *out);
    } else if (which == VEIL_SSL_CLIENT_ESCAPED_CERT) {
        *out = ssl_client_escaped(r, *out);
    }
    return true;
}

/* --- what it says ----------------------------------------------------------
 */

static bool
ssl_client_name(veil_http_request_t *r, BIO *bio, X509_NAME *name,
                veil_str_t *out)
{
    if (X509_NAME_print_ex(bio, name, 0, XN_FLAG_RFC2253) < 0) {
        return false;
    }
    *out = ssl_client_text(r, bio);
    return true;
}

/* "/C=US/O=x": how it was done before RFC 2253. */
static bool
ssl_client_legacy_name(veil_http_request_t *r, X509_NAME *name,
                       veil_str_t *out)
{
    char *text = X509_NAME_oneline(name, NULL, 0);

    if (text == NULL) {
        return false;
    }
    *out = veil_pool_str(r->pool, veil_str_z(text));
    OPENSSL_free(text);
    return true;
}

static bool
ssl_client_fingerprint(veil_http_request_t *r, const X509 *x, veil_str_t *out)
{
    unsigned char digest[EVP_MAX_MD_SIZE];
    unsigned len;
    char *p;

    if (!X509_digest(x, EVP_sha1(), digest, &len)) {
        return false;
    }
    p = veil_pool_chars(r->pool, 2 * (size_t) len);
    (void) veil_fmt_hex_bytes(p, digest, len);
    *out = veil_str_n(p, 2 * (size_t) len);
    return true;
}

static bool
ssl_client_time(veil_http_request_t *r, BIO *bio, const ASN1_TIME *t,
                veil_str_t *out)
{
    if (!ASN1_TIME_print(bio, t)) {
        return false;
    }
    *out = ssl_client_text(r, bio);
    return true;
}

/* Whole days until it expires; 0 afterwards. */
static bool
ssl_client_remain(veil_http_request_t *r, const X509 *x, veil_str_t *out)
{
    ASN1_TIME *now = ASN1_TIME_set(NULL, (time_t) veil_clock.sec);
    int days = 0, seconds = 0;
    bool is_known;

    VEIL_ASSERT(now != NULL);
    is_known = ASN1_TIME_diff(&days, &seconds, now, X509_get0_notAfter(x));
    ASN1_TIME_free(now);
    if (!is_known) {
        return false;
    }
    *out = veil_pool_printf(r->pool, "%d", days > 0 ? days : 0);
    return true;
}

/* --- what became of it -----------------------------------------------------
 */

static bool
ssl_client_verify(veil_http_request_t *r, const veil_tls_t *t, const X509 *x,
                  veil_str_t *out)
{
    const char *why = veil_tls_verify_error(t);

    if (x == NULL) {
        *out = VEIL_STR("NONE");
    } else if (why == NULL) {
        *out = VEIL_STR("SUCCESS");
    } else {
        *out = veil_pool_printf(r->pool, "FAILED:%s", why);
    }
    return true;
}

static bool
ssl_client_sigalg(veil_http_request_t *r, const veil_tls_t *t, veil_str_t *out)
{
    uint16_t id = SSL_get_peer_signature_algorithm(veil_tls_ssl(t));
    const char *name = veil_ssl_sigalg_name(id);

    if (id == 0) {
        return false;
    }
    *out = name != NULL ? veil_str_z(name)
                        : veil_pool_printf(r->pool, "0x%04x", id);
    return true;
}

static bool
ssl_client_field(veil_http_request_t *r, BIO *bio, X509 *x,
                 veil_ssl_client_t which, veil_str_t *out)
{
    switch (which) {
    case VEIL_SSL_CLIENT_CERT:
    case VEIL_SSL_CLIENT_RAW_CERT:
    case VEIL_SSL_CLIENT_ESCAPED_CERT:
        return ssl_client_pem(r, bio, x, which, out);
    case VEIL_SSL_CLIENT_S_DN:
        return ssl_client_name(r, bio, X509_get_subject_name(x), out);
    case VEIL_SSL_CLIENT_I_DN:
        return ssl_client_name(r, bio, X509_get_issuer_name(x), out);
    case VEIL_SSL_CLIENT_S_DN_LEGACY:
        return ssl_client_legacy_name(r, X509_get_subject_name(x), out);
    case VEIL_SSL_CLIENT_I_DN_LEGACY:
        return ssl_client_legacy_name(r, X509_get_issuer_name(x), out);
    case VEIL_SSL_CLIENT_SERIAL:
        if (i2a_ASN1_INTEGER(bio, X509_get_serialNumber(x)) < 0) {
            return false;
        }
        *out = ssl_client_text(r, bio);
        return true;
    case VEIL_SSL_CLIENT_FINGERPRINT:
        return ssl_client_fingerprint(r, x, out);
    case VEIL_SSL_CLIENT_V_START:
        return ssl_client_time(r, bio, X509_get0_notBefore(x), out);
    case VEIL_SSL_CLIENT_V_END:
        return ssl_client_time(r, bio, X509_get0_notAfter(x), out);
    case VEIL_SSL_CLIENT_V_REMAIN:
        return ssl_client_remain(r, x, out);
    case VEIL_SSL_CLIENT_VERIFY:
    case VEIL_SSL_CLIENT_SIGALG:
        break;
    }
    return false;
}

bool
veil_ssl_get_client(veil_http_request_t *r, const veil_http_variable_t *v,
                    veil_str_t *out)
{
    veil_ssl_client_t which = (veil_ssl_client_t) (intptr_t) v->data;
    const veil_tls_t *t = veil_ssl_session(r);
    bool is_found = false;
    X509 *x;
    BIO *bio;

    if (t == NULL) {
        return false;
    }
    x = SSL_get_peer_certificate(veil_tls_ssl(t));
    if (which == VEIL_SSL_CLIENT_VERIFY) {
        is_found = ssl_client_verify(r, t, x, out);
    } else if (x != NULL && which == VEIL_SSL_CLIENT_SIGALG) {
        is_found = ssl_client_sigalg(r, t, out);
    } else if (x != NULL) {
        bio = BIO_new(BIO_s_mem());
        VEIL_ASSERT(bio != NULL);
        is_found = ssl_client_field(r, bio, x, which, out);
        BIO_free(bio);
    }
    X509_free(x);
    ERR_clear_error();
    return is_found;
}
