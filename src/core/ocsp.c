/*
 * ocsp.c -- judging OCSP responses (RFC 6960, RFC 5019).
 *
 * A response is read once from the front with BoringSSL's CBS, which accepts
 * DER only and never reads past its end: no allocation before a signature is
 * checked, no recursion, and no length that an outsider chose but that of the
 * whole, which is bounded.  ocsp_response_t is what was found, as views.
 *
 * The signature covers tbsResponseData, in which all lies that a decision is
 * made of.  What it does not cover is which key it was made with, and there
 * the rules of RFC 6960, 4.2.2.2, are simple enough to be checked here: the
 * issuer's own key, or that of a certificate which the issuer itself signed
 * and which says OCSPSigning.  No chain is built, since none longer than that
 * is allowed.  A responder that an operator trusts for other reasons (4.2.2.2,
 * the third kind) is not known, nor is the responder's certificate itself
 * looked up: what it lives is short, and who asks would have to be asked
 * about in turn (4.2.2.2.1 leaves it to the client).
 *
 * Not here: nonces.  A response is shared by all clients and stored by caches
 * on the way, so one with a nonce could not be had (RFC 5019, 4).
 */

#include "core/platform.h"

#include <openssl/bytestring.h>
#include <openssl/digest.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/nid.h>
#include <openssl/obj.h>
#include <openssl/rsa.h>
#include <openssl/time.h>
#include <openssl/x509.h>
#include <openssl/x509v3.h>

#include "core/ocsp.h"

/* Explicit tags and implicit ones of constructed types. */
#define OCSP_TAG(n)                                                           \
    (CBS_ASN1_CONTEXT_SPECIFIC | CBS_ASN1_CONSTRUCTED | (CBS_ASN1_TAG) (n))
/* Implicit tags of primitive types. */
#define OCSP_TAG_PRIMITIVE(n) (CBS_ASN1_CONTEXT_SPECIFIC | (CBS_ASN1_TAG) (n))

/* More certificates are not looked at: one is what is needed. */
#define OCSP_CERTS_MAX 8

/* No salt of RSA-PSS is longer than the largest key, 16384 bits. */
#define OCSP_SALT_MAX 2048

/* Twice the 20 bytes that RFC 5280, 4.1.2.2, allows, and tag and length. */
#define OCSP_SERIAL_MAX 42

/* id-pkix-ocsp-basic, 1.3.6.1.5.5.7.48.1.1: the library has no number. */
static const uint8_t ocsp_basic[] = { 0x2b, 0x06, 0x01, 0x05, 0x05,
                                      0x07, 0x30, 0x01, 0x01 };
/* id-mgf1, 1.2.840.113549.1.1.8 */
static const uint8_t ocsp_mgf1[] = { 0x2a, 0x86, 0x48, 0x86, 0xf7,
                                     0x0d, 0x01, 0x01, 0x08 };

typedef struct {
    CBS tbs; /* with its tag and length: what is signed */
    CBS algorithm;
    CBS signature;
    CBS certs; /* may be empty */
    CBS responder;
    bool by_key; /* responder is a hash, not a name */
    CBS singles;
} ocsp_response_t;

/* Why a response is not taken; always VEIL_ERROR. */
static veil_rc_t ocsp_fail(veil_ocsp_result_t *result, const char *fmt, ...)
    VEIL_PRINTF(2, 3);

static veil_rc_t
ocsp_fail(veil_ocsp_result_t *result, const char *fmt, ...)
{
    va_list ap;

    va_start(ap, fmt);
    (void) veil_vsnprintf(result->error, sizeof(result->error), fmt, ap);
    va_end(ap);
    return VEIL_ERROR;
}

static veil_rc_t
ocsp_malformed(veil_ocsp_result_t *result, const char *part)
{
    return ocsp_fail(result, "the OCSP response is malformed: %s", part);
}

const char *
veil_ocsp_status_name(veil_ocsp_status_t status)
{
    switch (status) {
    case VEIL_OCSP_GOOD:
        return "good";
    case VEIL_OCSP_REVOKED:
        return "revoked";
    default:
        return "unknown";
    }
}

/* The names that RFC 6960, 4.2.1, gives to responseStatus. */
static const char *
ocsp_response_status_name(unsigned status)
{
    static const char *const names[] = { "successful",    "malformedRequest",
                                         "internalError", "tryLater",
                                         "(unknown)",     "sigRequired",
                                         "unauthorized" };

    return status < veil_countof(names) ? names[status] : "(unknown)";
}

/* NULL for a hash that is not taken; a weak one is SHA-1. */
static const EVP_MD *
ocsp_md(int nid, bool weak)
{
    switch (nid) {
    case NID_sha1:
        return weak ? EVP_sha1() : NULL;
    case NID_sha256:
    case NID_sha384:
    case NID_sha512:
        return EVP_get_digestbynid(nid);
    default:
        return NULL;
    }
}

/* Nothing, or NULL, to the end. */
static bool
ocsp_get_null(CBS *cbs)
{
    CBS null;

    return CBS_len(cbs) == 0
           || (CBS_get_asn1(cbs, &null, CBS_ASN1_NULL) && CBS_len(&null) == 0
               && CBS_len(cbs) == 0);
}

/* The AlgorithmIdentifier of a hash. */
static bool
ocsp_get_hash(CBS *cbs, int *nid)
{
    CBS algorithm, oid;

    if (!CBS_get_asn1(cbs, &algorithm, CBS_ASN1_SEQUENCE)
        || !CBS_get_asn1(&algorithm, &oid, CBS_ASN1_OBJECT))
    {
        return false;
    }
    *nid = OBJ_cbs2nid(&oid);
    return ocsp_get_null(&algorithm);
}

static bool
ocsp_get_time(CBS *cbs, int64_t *sec)
{
    struct tm tm;
    CBS value;

    return CBS_get_asn1(cbs, &value, CBS_ASN1_GENERALIZEDTIME)
           && CBS_parse_generalized_time(&value, &tm, 0)
           && OPENSSL_tm_to_posix(&tm, sec);
}

/*
 * Extensions [tag] EXPLICIT, if they are there.  None changes what is decided
 * here, and one that must be understood is not.
 */
static bool
ocsp_skip_extensions(CBS *cbs, unsigned tag)
{
    CBS outer, list, extension, oid, value;
    int present, critical;

    if (!CBS_get_optional_asn1(cbs, &outer, &present, OCSP_TAG(tag))) {
        return false;
    }
    if (!present) {
        return true;
    }
    if (!CBS_get_asn1(&outer, &list, CBS_ASN1_SEQUENCE)
        || CBS_len(&outer) != 0) {
        return false;
    }
    while (CBS_len(&list) != 0) {
        critical = 0;
        if (!CBS_get_asn1(&list, &extension, CBS_ASN1_SEQUENCE)
            || !CBS_get_asn1(&extension, &oid, CBS_ASN1_OBJECT)
            || (CBS_peek_asn1_tag(&extension, CBS_ASN1_BOOLEAN)
                && !CBS_get_asn1_bool(&extension, &critical))
            || !CBS_get_asn1(&extension, &value, CBS_ASN1_OCTETSTRING)
            || CBS_len(&extension) != 0 || critical)
        {
            return false;
        }
    }
    return true;
}

/* CertStatus: the choice of three. */
static bool
ocsp_get_status(CBS *cbs, veil_ocsp_result_t *result)
{
    CBS value, reason, code;
    int present;

    result->revoked_at = 0;
    if (CBS_peek_asn1_tag(cbs, OCSP_TAG_PRIMITIVE(0))) {
        result->status = VEIL_OCSP_GOOD;
        return CBS_get_asn1(cbs, &value, OCSP_TAG_PRIMITIVE(0))
               && CBS_len(&value) == 0;
    }
    if (CBS_peek_asn1_tag(cbs, OCSP_TAG_PRIMITIVE(2))) {
        result->status = VEIL_OCSP_UNKNOWN;
        return CBS_get_asn1(cbs, &value, OCSP_TAG_PRIMITIVE(2))
               && CBS_len(&value) == 0;
    }
    result->status = VEIL_OCSP_REVOKED;
    return CBS_get_asn1(cbs, &value, OCSP_TAG(1))
           && ocsp_get_time(&value, &result->revoked_at)
           && CBS_get_optional_asn1(&value, &reason, &present, OCSP_TAG(0))
           && (!present
               || (CBS_get_asn1(&reason, &code, CBS_ASN1_ENUMERATED)
                   && CBS_len(&code) == 1 && CBS_len(&reason) == 0))
           && CBS_len(&value) == 0;
}

/* What follows the CertID in a SingleResponse. */
static bool
ocsp_get_single_rest(CBS *cbs, veil_ocsp_result_t *result)
{
    CBS next;
    int present;

    result->next_update = VEIL_OCSP_FOREVER;
    return ocsp_get_status(cbs, result)
           && ocsp_get_time(cbs, &result->this_update)
           && CBS_get_optional_asn1(cbs, &next, &present, OCSP_TAG(0))
           && (!present
               || (ocsp_get_time(&next, &result->next_update)
                   && CBS_len(&next) == 0))
           && ocsp_skip_extensions(cbs, 1) && CBS_len(cbs) == 0;
}

static bool
ocsp_name_hash_is(X509 *cert, const EVP_MD *md, const CBS *hash)
{
    uint8_t own[EVP_MAX_MD_SIZE];
    unsigned len;

    return X509_NAME_digest(X509_get_issuer_name(cert), md, own, &len)
           && CBS_mem_equal(hash, own, len);
}

static bool
ocsp_key_hash_is(X509 *cert, const EVP_MD *md, const CBS *hash)
{
    uint8_t own[EVP_MAX_MD_SIZE];
    unsigned len;

    return X509_pubkey_digest(cert, md, own, &len)
           && CBS_mem_equal(hash, own, len);
}

/* The serial number as an INTEGER in DER; false when it does not fit. */
static bool
ocsp_serial(X509 *cert, uint8_t *der, size_t size, size_t *len)
{
    const ASN1_INTEGER *serial = X509_get0_serialNumber(cert);
    int n = i2d_ASN1_INTEGER(serial, NULL);

    if (n <= 0 || (size_t) n > size) {
        return false;
    }
    *len = (size_t) n;
    return i2d_ASN1_INTEGER(serial, &der) == n;
}

/*
 * Reads a CertID; *found tells whether it is that of cert.  With an issuer
 * its key must match, too.
 */
static bool
ocsp_get_id(CBS *cbs, X509 *cert, X509 *issuer, bool *found)
{
    uint8_t serial[OCSP_SERIAL_MAX];
    CBS id, name_hash, key_hash, number;
    const EVP_MD *md;
    size_t len;
    int hash;

    if (!CBS_get_asn1(cbs, &id, CBS_ASN1_SEQUENCE)
        || !ocsp_get_hash(&id, &hash)
        || !CBS_get_asn1(&id, &name_hash, CBS_ASN1_OCTETSTRING)
        || !CBS_get_asn1(&id, &key_hash, CBS_ASN1_OCTETSTRING)
        || !CBS_get_asn1_element(&id, &number, CBS_ASN1_INTEGER)
        || CBS_len(&id) != 0)
    {
        return false;
    }
    md = ocsp_md(hash, true);
    *found = md != NULL && ocsp_serial(cert, serial, sizeof(serial), &len)
             && CBS_mem_equal(&number, serial, len)
             && ocsp_name_hash_is(cert, md, &name_hash)
             && (issuer == NULL || ocsp_key_hash_is(issuer, md, &key_hash));
    return true;
}

/* Of several single responses about one certificate the first counts. */
static veil_rc_t
ocsp_find_single(CBS *singles, X509 *cert, X509 *issuer,
                 veil_ocsp_result_t *result)
{
    veil_ocsp_result_t one = { 0 };
    bool found = false, is_it;
    CBS single;

    while (CBS_len(singles) != 0) {
        if (!CBS_get_asn1(singles, &single, CBS_ASN1_SEQUENCE)
            || !ocsp_get_id(&single, cert, issuer, &is_it)
            || !ocsp_get_single_rest(&single, &one))
        {
            return ocsp_malformed(result, "a status is not as it should be");
        }
        if (is_it && !found) {
            found = true;
            result->status = one.status;
            result->this_update = one.this_update;
            result->next_update = one.next_update;
            result->revoked_at = one.revoked_at;
        }
    }
    if (!found) {
        result->not_found = true;
        return ocsp_fail(result,
                         "certificate status not found in the OCSP response");
    }
    return VEIL_OK;
}

/* ResponderID: a name, or the SHA-1 hash of a key. */
static bool
ocsp_get_responder(CBS *cbs, ocsp_response_t *r)
{
    CBS outer;

    r->by_key = !CBS_peek_asn1_tag(cbs, OCSP_TAG(1));
    return CBS_get_asn1(cbs, &outer, OCSP_TAG(r->by_key ? 2 : 1))
           && (r->by_key
                   ? CBS_get_asn1(&outer, &r->responder, CBS_ASN1_OCTETSTRING)
                   : CBS_get_asn1_element(&outer, &r->responder,
                                          CBS_ASN1_SEQUENCE))
           && CBS_len(&outer) == 0;
}

/* ResponseData: what is signed. */
static veil_rc_t
ocsp_parse_data(ocsp_response_t *r, veil_ocsp_result_t *result)
{
    CBS tbs = r->tbs, data;
    uint64_t version;

    if (!CBS_get_asn1(&tbs, &data, CBS_ASN1_SEQUENCE)
        || !CBS_get_optional_asn1_uint64(&data, &version, OCSP_TAG(0), 0)
        || version != 0)
    {
        return ocsp_malformed(result, "its version is not 1");
    }
    if (!ocsp_get_responder(&data, r)) {
        return ocsp_malformed(result, "it does not name its responder");
    }
    if (!ocsp_get_time(&data, &result->produced_at)) {
        return ocsp_malformed(result, "it has no time of production");
    }
    if (!CBS_get_asn1(&data, &r->singles, CBS_ASN1_SEQUENCE)
        || !ocsp_skip_extensions(&data, 1) || CBS_len(&data) != 0)
    {
        return ocsp_malformed(result, "its list of statuses or its "
                                      "extensions are not understood");
    }
    return VEIL_OK;
}

/* BasicOCSPResponse: what is signed, the signature, certificates. */
static veil_rc_t
ocsp_parse_basic(CBS *cbs, ocsp_response_t *r, veil_ocsp_result_t *result)
{
    CBS basic, outer;
    uint8_t unused;
    int present;

    if (!CBS_get_asn1(cbs, &basic, CBS_ASN1_SEQUENCE) || CBS_len(cbs) != 0
        || !CBS_get_asn1_element(&basic, &r->tbs, CBS_ASN1_SEQUENCE)
        || !CBS_get_asn1(&basic, &r->algorithm, CBS_ASN1_SEQUENCE)
        || !CBS_get_asn1(&basic, &r->signature, CBS_ASN1_BITSTRING)
        || !CBS_get_u8(&r->signature, &unused) || unused != 0
        || !CBS_get_optional_asn1(&basic, &outer, &present, OCSP_TAG(0))
        || CBS_len(&basic) != 0)
    {
        return ocsp_malformed(result, "it is no BasicOCSPResponse");
    }
    CBS_init(&r->certs, NULL, 0);
    if (present
        && (!CBS_get_asn1(&outer, &r->certs, CBS_ASN1_SEQUENCE)
            || CBS_len(&outer) != 0))
    {
        return ocsp_malformed(result, "its certificates are no list");
    }
    return ocsp_parse_data(r, result);
}

/* OCSPResponse, and all in it but the single responses. */
static veil_rc_t
ocsp_parse(veil_str_t der, ocsp_response_t *r, veil_ocsp_result_t *result)
{
    CBS cbs, response, code, outer, bytes, type, basic;
    uint8_t status;

    memset(result, 0, sizeof(*result));
    if (der.len > VEIL_OCSP_RESPONSE_MAX) {
        return ocsp_malformed(result, "it is too long");
    }
    CBS_init(&cbs, (const uint8_t *) der.data, der.len);
    if (!CBS_get_asn1(&cbs, &response, CBS_ASN1_SEQUENCE) || CBS_len(&cbs) != 0
        || !CBS_get_asn1(&response, &code, CBS_ASN1_ENUMERATED)
        || CBS_len(&code) != 1 || !CBS_get_u8(&code, &status))
    {
        return ocsp_malformed(result, "it is no OCSPResponse");
    }
    if (status != 0) {
        return ocsp_fail(result, "OCSP response not successful (%u: %s)",
                         (unsigned) status, ocsp_response_status_name(status));
    }
    if (!CBS_get_asn1(&response, &outer, OCSP_TAG(0))
        || CBS_len(&response) != 0
        || !CBS_get_asn1(&outer, &bytes, CBS_ASN1_SEQUENCE)
        || CBS_len(&outer) != 0
        || !CBS_get_asn1(&bytes, &type, CBS_ASN1_OBJECT)
        || !CBS_mem_equal(&type, ocsp_basic, sizeof(ocsp_basic))
        || !CBS_get_asn1(&bytes, &basic, CBS_ASN1_OCTETSTRING)
        || CBS_len(&bytes) != 0)
    {
        return ocsp_malformed(result, "it has no basic response");
    }
    return ocsp_parse_basic(&basic, r, result);
}

/*
 * The parameters of RSA-PSS (RFC 4055, 3.1): both hashes are one, and they
 * are spelt out, as the default is SHA-1.  The trailer never is.
 */
static bool
ocsp_get_pss(CBS *params, int *hash, uint64_t *salt)
{
    CBS list, outer, mgf, oid;
    int mgf_hash;

    return CBS_get_asn1(params, &list, CBS_ASN1_SEQUENCE)
           && CBS_len(params) == 0 && CBS_get_asn1(&list, &outer, OCSP_TAG(0))
           && ocsp_get_hash(&outer, hash) && CBS_len(&outer) == 0
           && CBS_get_asn1(&list, &outer, OCSP_TAG(1))
           && CBS_get_asn1(&outer, &mgf, CBS_ASN1_SEQUENCE)
           && CBS_len(&outer) == 0 && CBS_get_asn1(&mgf, &oid, CBS_ASN1_OBJECT)
           && CBS_mem_equal(&oid, ocsp_mgf1, sizeof(ocsp_mgf1))
           && ocsp_get_hash(&mgf, &mgf_hash) && CBS_len(&mgf) == 0
           && mgf_hash == *hash
           && CBS_get_optional_asn1_uint64(&list, salt, OCSP_TAG(2), 20)
           && *salt <= OCSP_SALT_MAX && CBS_len(&list) == 0;
}

static bool
ocsp_init_pss(CBS *params, EVP_MD_CTX *ctx, EVP_PKEY *key)
{
    const EVP_MD *md;
    EVP_PKEY_CTX *pctx;
    uint64_t salt;
    int hash;

    if (!ocsp_get_pss(params, &hash, &salt)) {
        return false;
    }
    md = ocsp_md(hash, false);
    return md != NULL && EVP_DigestVerifyInit(ctx, &pctx, md, NULL, key)
           && EVP_PKEY_CTX_set_rsa_padding(pctx, RSA_PKCS1_PSS_PADDING)
           && EVP_PKEY_CTX_set_rsa_pss_saltlen(pctx, (int) salt);
}

/* Prepares ctx for the algorithm that is named, which key must suit. */
static bool
ocsp_verify_init(CBS algorithm, EVP_MD_CTX *ctx, EVP_PKEY *key, bool weak)
{
    const EVP_MD *md = NULL;
    int nid, hash, type;
    CBS oid;

    if (!CBS_get_asn1(&algorithm, &oid, CBS_ASN1_OBJECT)) {
        return false;
    }
    nid = OBJ_cbs2nid(&oid);
    if (!OBJ_find_sigid_algs(nid, &hash, &type) || type != EVP_PKEY_id(key)) {
        return false;
    }
    if (nid == NID_rsassaPss) {
        return ocsp_init_pss(&algorithm, ctx, key);
    }
    if (nid != NID_ED25519) {
        md = ocsp_md(hash, weak);
        if (md == NULL) {
            return false;
        }
    }
    /* Only RSA has parameters, NULL (RFC 4055, 5; RFC 5758; RFC 8410). */
    if (type == EVP_PKEY_RSA ? !ocsp_get_null(&algorithm)
                             : CBS_len(&algorithm) != 0)
    {
        return false;
    }
    return EVP_DigestVerifyInit(ctx, NULL, md, NULL, key) == 1;
}

/* Whether the response was signed with the key of cert. */
static veil_rc_t
ocsp_verify(const ocsp_response_t *r, X509 *cert, bool weak,
            veil_ocsp_result_t *result)
{
    EVP_PKEY *key = X509_get_pubkey(cert);
    EVP_MD_CTX *ctx = EVP_MD_CTX_new();
    veil_rc_t rc = VEIL_OK;

    if (key == NULL || ctx == NULL
        || !ocsp_verify_init(r->algorithm, ctx, key, weak))
    {
        rc = ocsp_fail(result, "the OCSP response is signed with an algorithm "
                               "that is not accepted or not its key's");
    } else if (!EVP_DigestVerify(ctx, CBS_data(&r->signature),
                                 CBS_len(&r->signature), CBS_data(&r->tbs),
                                 CBS_len(&r->tbs)))
    {
        rc = ocsp_fail(result, "the signature of the OCSP response is wrong");
    }
    EVP_MD_CTX_free(ctx);
    EVP_PKEY_free(key);
    return rc;
}

/* Whether the response says that it comes from the subject of cert. */
static bool
ocsp_is_responder(const ocsp_response_t *r, X509 *cert)
{
    const uint8_t *p = CBS_data(&r->responder);
    X509_NAME *name;
    bool same;

    if (r->by_key) {
        return ocsp_key_hash_is(cert, EVP_sha1(), &r->responder);
    }
    name = d2i_X509_NAME(NULL, &p, (long) CBS_len(&r->responder));
    same =
        name != NULL && X509_NAME_cmp(name, X509_get_subject_name(cert)) == 0;
    X509_NAME_free(name);
    return same;
}

/*
 * The certificate in the response that belongs to its responder; NULL when
 * there is none, else the caller's to free.
 */
static X509 *
ocsp_find_responder(const ocsp_response_t *r)
{
    CBS certs = r->certs, der;
    const uint8_t *p;
    X509 *cert;
    int i;

    for (i = 0; i < OCSP_CERTS_MAX && CBS_len(&certs) != 0; i++) {
        if (!CBS_get_asn1_element(&certs, &der, CBS_ASN1_SEQUENCE)) {
            return NULL;
        }
        p = CBS_data(&der);
        cert = d2i_X509(NULL, &p, (long) CBS_len(&der));
        if (cert != NULL && p == CBS_data(&der) + CBS_len(&der)
            && ocsp_is_responder(r, cert))
        {
            return cert;
        }
        X509_free(cert);
    }
    return NULL;
}

/* Whether the issuer's key signed cert, with a hash that still holds. */
static bool
ocsp_is_signed_by(X509 *cert, X509 *issuer)
{
    EVP_PKEY *key = X509_get_pubkey(issuer);
    int nid = X509_get_signature_nid(cert);
    bool good;

    good = key != NULL && nid != NID_sha1WithRSAEncryption
           && nid != NID_ecdsa_with_SHA1 && nid != NID_md5WithRSAEncryption
           && X509_verify(cert, key);
    EVP_PKEY_free(key);
    return good;
}

/*
 * RFC 6960, 4.2.2.2: a responder that is not the issuer shows a certificate
 * which the issuer gave it for just this.
 */
static veil_rc_t
ocsp_authorize(X509 *cert, X509 *issuer, int64_t now,
               veil_ocsp_result_t *result)
{
    uint32_t flags = X509_get_extension_flags(cert);

    if (X509_NAME_cmp(X509_get_issuer_name(cert),
                      X509_get_subject_name(issuer))
            != 0
        || !ocsp_is_signed_by(cert, issuer))
    {
        return ocsp_fail(result, "the certificate of the OCSP responder was "
                                 "not issued by the certificate's issuer");
    }
    /* X509_cmp_time_posix: 0 is an error, equal times are "before". */
    if (X509_cmp_time_posix(X509_get0_notBefore(cert),
                            now + VEIL_OCSP_SKEW_SEC)
            >= 0
        || X509_cmp_time_posix(X509_get0_notAfter(cert),
                               now - VEIL_OCSP_SKEW_SEC)
               <= 0)
    {
        return ocsp_fail(result, "the certificate of the OCSP responder is "
                                 "not valid at this time");
    }
    if ((flags & (EXFLAG_INVALID | EXFLAG_CRITICAL)) != 0
        || (flags & EXFLAG_XKUSAGE) == 0
        || (X509_get_extended_key_usage(cert) & XKU_OCSP_SIGN) == 0
        || (X509_get_key_usage(cert) & X509v3_KU_DIGITAL_SIGNATURE) == 0)
    {
        return ocsp_fail(result, "the certificate of the OCSP responder is "
                                 "not for signing OCSP responses");
    }
    return VEIL_OK;
}

/* Who signed the response, whether he may, and whether he did. */
static veil_rc_t
ocsp_check_signature(const ocsp_response_t *r, const veil_ocsp_query_t *query,
                     veil_ocsp_result_t *result)
{
    X509 *responder;
    veil_rc_t rc;

    if (ocsp_is_responder(r, query->issuer)) {
        return ocsp_verify(r, query->issuer, !query->verify, result);
    }
    responder = ocsp_find_responder(r);
    if (responder == NULL) {
        return ocsp_fail(result, "the OCSP response is not the issuer's and "
                                 "has no certificate of its responder");
    }
    rc = query->verify
             ? ocsp_authorize(responder, query->issuer, query->now, result)
             : VEIL_OK;
    if (rc == VEIL_OK) {
        rc = ocsp_verify(r, responder, !query->verify, result);
    }
    X509_free(responder);
    return rc;
}

static veil_rc_t
ocsp_check_time(int64_t now, veil_ocsp_result_t *result)
{
    if (result->next_update < result->this_update) {
        return ocsp_malformed(result, "it expires before it begins");
    }
    if (result->this_update > now + VEIL_OCSP_SKEW_SEC) {
        return ocsp_fail(result, "the OCSP response is not valid yet");
    }
    if (result->next_update < now - VEIL_OCSP_SKEW_SEC) {
        return ocsp_fail(result, "the OCSP response has expired");
    }
    return VEIL_OK;
}

veil_rc_t
veil_ocsp_read(veil_str_t response, X509 *cert, veil_ocsp_result_t *result)
{
    ocsp_response_t r;
    veil_rc_t rc;

    rc = ocsp_parse(response, &r, result);
    if (rc == VEIL_OK) {
        rc = ocsp_find_single(&r.singles, cert, NULL, result);
    }
    /* What the library noted would be taken for the next one's error. */
    ERR_clear_error();
    return rc;
}

veil_rc_t
veil_ocsp_check(veil_str_t response, const veil_ocsp_query_t *query,
                veil_ocsp_result_t *result)
{
    ocsp_response_t r;
    veil_rc_t rc;

    rc = ocsp_parse(response, &r, result);
    if (rc == VEIL_OK) {
        rc = ocsp_check_signature(&r, query, result);
    }
    if (rc == VEIL_OK) {
        rc = ocsp_find_single(&r.singles, query->cert, query->issuer, result);
    }
    if (rc == VEIL_OK) {
        rc = ocsp_check_time(query->now, result);
    }
    ERR_clear_error();
    return rc;
}
