/*
 * ocsp_request.c -- OCSP requests (RFC 6960, 4.1), and where to send them.
 *
 * A request is about a hundred bytes: hashes of the issuer's name and key and
 * a serial number.  It always is for one certificate, as only then can what a
 * cache on the way has be the answer (RFC 5019, 2.1.1), and it has no nonce
 * for the same reason.
 */

#include "core/platform.h"

#include <openssl/bytestring.h>
#include <openssl/digest.h>
#include <openssl/err.h>
#include <openssl/x509.h>
#include <openssl/x509v3.h>

#include "core/ocsp.h"

/* RFC 5019, 5: what the URL of a GET may have in total. */
#define OCSP_GET_MAX 255

/* id-sha1, 1.3.14.3.2.26 */
static const uint8_t ocsp_sha1[] = { 0x2b, 0x0e, 0x03, 0x02, 0x1a };

/* CertID (RFC 6960, 4.1.1). */
static bool
ocsp_add_id(CBB *cbb, X509 *cert, X509 *issuer)
{
    uint8_t name[EVP_MAX_MD_SIZE], key[EVP_MAX_MD_SIZE];
    const ASN1_INTEGER *serial = X509_get0_serialNumber(cert);
    int serial_len = i2d_ASN1_INTEGER(serial, NULL);
    CBB id, algorithm, oid, null;
    unsigned name_len, key_len;
    uint8_t *p;

    return X509_NAME_digest(X509_get_issuer_name(cert), EVP_sha1(), name,
                            &name_len)
           && X509_pubkey_digest(issuer, EVP_sha1(), key, &key_len)
           && serial_len > 0 && CBB_add_asn1(cbb, &id, CBS_ASN1_SEQUENCE)
           && CBB_add_asn1(&id, &algorithm, CBS_ASN1_SEQUENCE)
           && CBB_add_asn1(&algorithm, &oid, CBS_ASN1_OBJECT)
           && CBB_add_bytes(&oid, ocsp_sha1, sizeof(ocsp_sha1))
           && CBB_add_asn1(&algorithm, &null, CBS_ASN1_NULL)
           && CBB_add_asn1_octet_string(&id, name, name_len)
           && CBB_add_asn1_octet_string(&id, key, key_len)
           && CBB_add_space(&id, &p, (size_t) serial_len)
           && i2d_ASN1_INTEGER(serial, &p) == serial_len && CBB_flush(cbb);
}

veil_str_t
veil_ocsp_request(veil_pool_t *pool, X509 *cert, X509 *issuer)
{
    veil_str_t result = VEIL_STR_NULL;
    CBB cbb, request, tbs, list, one;

    CBB_zero(&cbb);
    if (CBB_init(&cbb, 128) && CBB_add_asn1(&cbb, &request, CBS_ASN1_SEQUENCE)
        && CBB_add_asn1(&request, &tbs, CBS_ASN1_SEQUENCE)
        && CBB_add_asn1(&tbs, &list, CBS_ASN1_SEQUENCE)
        && CBB_add_asn1(&list, &one, CBS_ASN1_SEQUENCE)
        && ocsp_add_id(&one, cert, issuer) && CBB_flush(&cbb))
    {
        result = veil_pool_str(
            pool, veil_str_n((const char *) CBB_data(&cbb), CBB_len(&cbb)));
    }
    CBB_cleanup(&cbb);
    ERR_clear_error();
    return result;
}

veil_str_t
veil_ocsp_get_url(veil_pool_t *pool, veil_str_t url, veil_str_t request)
{
    char base64[4 * ((OCSP_GET_MAX + 2) / 3)], escaped[3 * sizeof(base64)];
    veil_str_t path;
    bool slash;

    if (url.len >= OCSP_GET_MAX || request.len >= OCSP_GET_MAX
        || veil_str_chr(url, '?') >= 0)
    {
        return VEIL_STR_NULL;
    }
    path = veil_str_n(base64, veil_base64_encode(base64, request));
    path = veil_str_n(escaped,
                      veil_str_escape(escaped, path, VEIL_ESCAPE_COMPONENT));
    slash = veil_str_ends(url, VEIL_STR("/"));
    if (url.len + !slash + path.len > OCSP_GET_MAX) {
        return VEIL_STR_NULL;
    }
    return veil_pool_printf(pool, "%.*s%s%.*s", VEIL_STR_ARG(url),
                            slash ? "" : "/", VEIL_STR_ARG(path));
}

veil_str_t
veil_ocsp_responder_url(veil_pool_t *pool, X509 *cert)
{
    STACK_OF(OPENSSL_STRING) *urls = X509_get1_ocsp(cert);
    veil_str_t url = VEIL_STR_NULL;

    if (urls != NULL && sk_OPENSSL_STRING_num(urls) != 0) {
        url =
            veil_pool_str(pool, veil_str_z(sk_OPENSSL_STRING_value(urls, 0)));
    }
    X509_email_free(urls);
    ERR_clear_error();
    return url;
}
