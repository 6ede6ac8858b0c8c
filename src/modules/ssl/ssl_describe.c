/*
 * ssl_describe.c -- certificates in words, for whoever asks over the control
 * socket.
 *
 * What a certificate says of itself is not trusted to be text: the library
 * escapes names, and a name of a host that is none is left out.
 */

#include "core/platform.h"

#include <openssl/bio.h>
#include <openssl/ec_key.h>
#include <openssl/rsa.h>
#include <openssl/sha.h>
#include <openssl/x509.h>
#include <openssl/x509v3.h>

#include "core/inet.h"
#include "core/time.h"
#include "modules/ssl/ssl.h"

static json_t *
ssl_describe_name(X509_NAME *name)
{
    BIO *bio = BIO_new(BIO_s_mem());
    const uint8_t *data;
    json_t *text = NULL;
    size_t len;

    if (X509_NAME_print_ex(bio, name, 0, XN_FLAG_RFC2253) >= 0
        && BIO_mem_contents(bio, &data, &len))
    {
        text = json_stringn((const char *) data, len);
    }
    BIO_free(bio);
    return text == NULL ? json_null() : text;
}

static void
ssl_describe_host(json_t *names, const ASN1_STRING *s)
{
    json_t *text = json_stringn((const char *) ASN1_STRING_get0_data(s),
                                (size_t) ASN1_STRING_length(s));

    if (text != NULL) {
        json_array_append_new(names, text);
    }
}

static void
ssl_describe_ip(json_t *names, const ASN1_OCTET_STRING *ip)
{
    veil_addr_t addr = { .family = 0 };
    char text[VEIL_ADDR_TEXT_MAX];
    int len = ASN1_STRING_length(ip);
    size_t n;

    if (len != 4 && len != 16) {
        return;
    }
    addr.family = len == 4 ? AF_INET : AF_INET6;
    memcpy(addr.u.ip, ASN1_STRING_get0_data(ip), (size_t) len);
    n = veil_addr_print_ip(&addr, text, sizeof(text));
    json_array_append_new(names, json_stringn(text, n));
}

/* What it is for; the subject's common name counts for nobody any more. */
static json_t *
ssl_describe_names(const X509 *cert)
{
    json_t *names = json_array();
    GENERAL_NAMES *list =
        X509_get_ext_d2i(cert, NID_subject_alt_name, NULL, NULL);
    const GENERAL_NAME *g;
    size_t i;

    for (i = 0; list != NULL && i < sk_GENERAL_NAME_num(list); i++) {
        g = sk_GENERAL_NAME_value(list, i);
        if (g->type == GEN_DNS) {
            ssl_describe_host(names, g->d.dNSName);
        } else if (g->type == GEN_IPADD) {
            ssl_describe_ip(names, g->d.iPAddress);
        }
    }
    GENERAL_NAMES_free(list);
    return names;
}

static json_t *
ssl_describe_time(const ASN1_TIME *t)
{
    char text[32];
    struct tm tm;
    int64_t posix;
    time_t sec;

    if (!ASN1_TIME_to_posix(t, &posix)) {
        return json_null();
    }
    sec = (time_t) posix;
    if (gmtime_r(&sec, &tm) == NULL
        || strftime(text, sizeof(text), "%Y-%m-%dT%H:%M:%SZ", &tm) == 0)
    {
        return json_null();
    }
    return json_string(text);
}

static json_t *
ssl_describe_key(const X509 *cert)
{
    EVP_PKEY *key = X509_get_pubkey((X509 *) (uintptr_t) cert);
    char text[32] = "?";

    if (key != NULL && EVP_PKEY_id(key) == EVP_PKEY_RSA) {
        (void) veil_snprintf(text, sizeof(text), "RSA-%d", EVP_PKEY_bits(key));
    } else if (key != NULL && EVP_PKEY_id(key) == EVP_PKEY_EC) {
        (void) veil_snprintf(text, sizeof(text), "P-%d", EVP_PKEY_bits(key));
    } else if (key != NULL && EVP_PKEY_id(key) == EVP_PKEY_ED25519) {
        (void) veil_snprintf(text, sizeof(text), "Ed25519");
    }
    EVP_PKEY_free(key);
    return json_string(text);
}

void
veil_ssl_fingerprint(const X509 *cert, char *text)
{
    static const char digits[] = "0123456789abcdef";
    uint8_t sha[SHA256_DIGEST_LENGTH];
    unsigned n = 0;
    unsigned i;

    memset(sha, 0, sizeof(sha));
    (void) X509_digest(cert, EVP_sha256(), sha, &n);
    for (i = 0; i < sizeof(sha); i++) {
        text[2 * i] = digits[sha[i] >> 4];
        text[2 * i + 1] = digits[sha[i] & 15];
    }
    text[2 * sizeof(sha)] = '\0';
}

int64_t
veil_ssl_seconds_left(const X509 *cert)
{
    int64_t end;

    return ASN1_TIME_to_posix(X509_get0_notAfter(cert), &end)
               ? end - veil_clock.sec
               : 0;
}

json_t *
veil_ssl_describe(const X509 *cert)
{
    char fingerprint[2 * SHA256_DIGEST_LENGTH + 1];
    int64_t left = veil_ssl_seconds_left(cert);

    veil_ssl_fingerprint(cert, fingerprint);
    return json_pack(
        "{s:o, s:o, s:o, s:o, s:o, s:I, s:o, s:s}", "names",
        ssl_describe_names(cert), "subject",
        ssl_describe_name(X509_get_subject_name(cert)), "issuer",
        ssl_describe_name(X509_get_issuer_name(cert)), "not_before",
        ssl_describe_time(X509_get0_notBefore(cert)), "not_after",
        ssl_describe_time(X509_get0_notAfter(cert)), "days_left",
        (json_int_t) (left >= 0 ? left / 86400 : -((86399 - left) / 86400)),
        "key", ssl_describe_key(cert), "sha256", fingerprint);
}
