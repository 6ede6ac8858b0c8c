/*
 * test_ocsp.c -- OCSP requests, and responses of the openssl program.
 *
 * What ocsp_data.h has was made at OCSP_NOW, and holds for a week.
 */

#include "core/platform.h"

#include <openssl/err.h>
#include <openssl/x509.h>

#include <criterion/criterion.h>

#include "core/ocsp.h"
#include "ocsp_data.h"

#define DAY 86400
#define MAX 4096

static veil_pool_t *pool;
static char bytes[MAX];

static void
setup(void)
{
    pool = veil_pool_create("test", 4096);
}

static void
teardown(void)
{
    cr_assert_eq(ERR_peek_error(), 0, "left in the library's queue");
    veil_pool_destroy(&pool);
}

TestSuite(ocsp, .init = setup, .fini = teardown);

/* The bytes that hex stands for, in pool. */
static veil_str_t
from_hex(const char *hex)
{
    size_t i, n = strlen(hex) / 2;
    char *dst = veil_pool_alloc(pool, n);

    for (i = 0; i < n; i++) {
        dst[i] = (char) veil_str_to_hex(veil_str_n(hex + 2 * i, 2));
    }
    return veil_str_n(dst, n);
}

static void
free_cert(void *data)
{
    X509_free(data);
}

static X509 *
cert(const char *hex)
{
    veil_str_t der = from_hex(hex);
    const uint8_t *p = (const uint8_t *) der.data;
    X509 *x = d2i_X509(NULL, &p, (long) der.len);

    cr_assert_neq(x, NULL);
    veil_pool_on_destroy(pool, free_cert, x);
    return x;
}

/* "good", "revoked", "unknown", or why not. */
static const char *
told(veil_str_t response, const veil_ocsp_query_t *query,
     veil_ocsp_result_t *result)
{
    if (veil_ocsp_check(response, query, result) != VEIL_OK) {
        cr_assert_neq(result->error[0], '\0');
        return result->error;
    }
    return veil_ocsp_status_name(result->status);
}

/* The same for the leaf of the first authority, some seconds later. */
static const char *
told_of_leaf(const char *hex, int later, bool verify)
{
    static veil_ocsp_result_t result;
    veil_ocsp_query_t q = { .cert = cert(data_cert_leaf),
                            .issuer = cert(data_cert_ca),
                            .now = OCSP_NOW + later,
                            .verify = verify };

    return told(from_hex(hex), &q, &result);
}

static const char *
told_of(const char *hex, const char *leaf, const char *issuer, bool verify)
{
    static veil_ocsp_result_t result;
    veil_ocsp_query_t q = { .cert = cert(leaf),
                            .issuer = cert(issuer),
                            .now = OCSP_NOW,
                            .verify = verify };

    return told(from_hex(hex), &q, &result);
}

#define WRONG_ALGORITHM                                                       \
    "the OCSP response is signed with an algorithm that is not accepted or "  \
    "not its key's"
#define NOT_FOUND "certificate status not found in the OCSP response"
#define NOT_ISSUED                                                            \
    "the certificate of the OCSP responder was not issued by the "            \
    "certificate's issuer"
#define NOT_FOR_SIGNING                                                       \
    "the certificate of the OCSP responder is not for signing OCSP responses"
#define NO_RESPONDER                                                          \
    "the OCSP response is not the issuer's and has no certificate of its "    \
    "responder"

Test(ocsp, what_the_issuer_signed)
{
    cr_expect_str_eq(told_of_leaf(data_good, 0, true), "good");
    cr_expect_str_eq(told_of_leaf(data_good_key, 0, true), "good");
    cr_expect_str_eq(told_of_leaf(data_good_certs, 0, true), "good");
    cr_expect_str_eq(told_of_leaf(data_good_no_next, 0, true), "good");
    cr_expect_str_eq(told_of_leaf(data_good_sha256, 0, true), "good");
    cr_expect_str_eq(told_of_leaf(data_good_sha384, 0, true), "good");
    /* a CertID with a hash that is not taken */
    cr_expect_str_eq(told_of_leaf(data_good_md5, 0, true), NOT_FOUND);
    /* another certificate's */
    cr_expect_str_eq(told_of_leaf(data_revoked, 0, true), NOT_FOUND);
    /* the key of another authority, whose certificate is not there */
    cr_expect_str_eq(told_of_leaf(data_wrong_key, 0, true), NO_RESPONDER);
}

Test(ocsp, the_three_statuses)
{
    cr_expect_str_eq(
        told_of(data_revoked, data_cert_revoked, data_cert_ca, true),
        "revoked");
    cr_expect_str_eq(
        told_of(data_absent, data_cert_absent, data_cert_ca, true), "unknown");
    cr_expect_str_eq(
        told_of(data_several, data_cert_absent, data_cert_ca, true),
        "unknown");
    cr_expect_str_eq(
        told_of(data_several, data_cert_revoked, data_cert_ca, true),
        "revoked");
    cr_expect_str_eq(told_of_leaf(data_several, 0, true), "good");
}

Test(ocsp, times)
{
    veil_ocsp_result_t result;
    veil_ocsp_query_t q = { .cert = cert(data_cert_revoked),
                            .issuer = cert(data_cert_ca),
                            .now = OCSP_NOW,
                            .verify = true };

    cr_assert_str_eq(told(from_hex(data_revoked), &q, &result), "revoked");
    /* The programs that made it took a few seconds. */
    cr_expect_geq(result.this_update, OCSP_NOW);
    cr_expect_leq(result.this_update, OCSP_NOW + 30);
    cr_expect_leq(labs(result.produced_at - result.this_update), 1);
    cr_expect_eq(result.next_update, result.this_update + 7 * DAY);
    /* 2025-01-02 03:04:05 */
    cr_expect_eq(result.revoked_at, 1735787045);
    q.cert = cert(data_cert_leaf);
    cr_assert_str_eq(told(from_hex(data_good_no_next), &q, &result), "good");
    cr_expect_eq(result.next_update, VEIL_OCSP_FOREVER);
    cr_expect_eq(result.revoked_at, 0);
}

Test(ocsp, a_response_has_its_time)
{
    const char *early = "the OCSP response is not valid yet";
    const char *late = "the OCSP response has expired";

    cr_expect_str_eq(told_of_leaf(data_good, -DAY, true), early);
    cr_expect_str_eq(told_of_leaf(data_good, -DAY, false), early);
    cr_expect_str_eq(told_of_leaf(data_good, -301, true), early);
    cr_expect_str_eq(told_of_leaf(data_good, -260, true), "good");
    cr_expect_str_eq(told_of_leaf(data_good, 7 * DAY + 299, true), "good");
    cr_expect_str_eq(told_of_leaf(data_good, 7 * DAY + 340, true), late);
    cr_expect_str_eq(told_of_leaf(data_good, 8 * DAY, false), late);
    cr_expect_str_eq(told_of_leaf(data_good_no_next, 99 * DAY, true), "good");
}

Test(ocsp, who_may_sign_for_the_issuer)
{
    cr_expect_str_eq(told_of_leaf(data_by_signer, 0, true), "good");
    cr_expect_str_eq(told_of_leaf(data_by_signer_key, 0, true), "good");
    cr_expect_str_eq(told_of_leaf(data_by_signer_bare, 0, true), NO_RESPONDER);
    cr_expect_str_eq(told_of_leaf(data_by_signer_no_eku, 0, true),
                     NOT_FOR_SIGNING);
    cr_expect_str_eq(told_of_leaf(data_by_signer_server, 0, true),
                     NOT_FOR_SIGNING);
    cr_expect_str_eq(told_of_leaf(data_by_signer_usage, 0, true),
                     NOT_FOR_SIGNING);
    cr_expect_str_eq(told_of_leaf(data_by_signer_critical, 0, true),
                     NOT_FOR_SIGNING);
    cr_expect_str_eq(told_of_leaf(data_by_signer_other, 0, true), NOT_ISSUED);
    cr_expect_str_eq(told_of_leaf(data_by_signer_sha1, 0, true), NOT_ISSUED);
}

Test(ocsp, a_responders_certificate_has_its_time)
{
    cr_expect_str_eq(told_of_leaf(data_by_signer_short, 0, true), "good");
    cr_expect_str_eq(told_of_leaf(data_by_signer_short, 2 * DAY, true),
                     "the certificate of the OCSP responder is not valid at "
                     "this time");
    cr_expect_str_eq(told_of_leaf(data_by_signer, -DAY, true),
                     "the certificate of the OCSP responder is not valid at "
                     "this time");
}

/* As in nginx without ssl_stapling_verify. */
Test(ocsp, without_verification_any_signer_will_do)
{
    cr_expect_str_eq(told_of_leaf(data_by_signer_no_eku, 0, false), "good");
    cr_expect_str_eq(told_of_leaf(data_by_signer_other, 0, false), "good");
    cr_expect_str_eq(told_of_leaf(data_good_sha1, 0, false), "good");
    cr_expect_str_eq(told_of_leaf(data_wrong_key, 0, false), NO_RESPONDER);
}

Test(ocsp, algorithms)
{
    const char *leaf = data_cert_leaf_rsa, *ca = data_cert_rsa;

    cr_expect_str_eq(told_of(data_rsa_sha256, leaf, ca, true), "good");
    cr_expect_str_eq(told_of(data_rsa_sha512, leaf, ca, true), "good");
    cr_expect_str_eq(told_of(data_pss_sha256, leaf, ca, true), "good");
    cr_expect_str_eq(told_of(data_pss_sha384, leaf, ca, true), "good");
    cr_expect_str_eq(
        told_of(data_ed25519, data_cert_leaf_ed, data_cert_ed, true), "good");
    cr_expect_str_eq(told_of(data_rsa_sha1, leaf, ca, true), WRONG_ALGORITHM);
    cr_expect_str_eq(told_of(data_rsa_sha1, leaf, ca, false), "good");
    cr_expect_str_eq(told_of(data_pss_sha1, leaf, ca, true), WRONG_ALGORITHM);
    cr_expect_str_eq(told_of(data_pss_sha1, leaf, ca, false), WRONG_ALGORITHM);
    cr_expect_str_eq(told_of(data_pss_mixed, leaf, ca, true), WRONG_ALGORITHM);
    cr_expect_str_eq(told_of_leaf(data_good_sha1, 0, true), WRONG_ALGORITHM);
}

/* Another authority's: of the same name in one case. */
Test(ocsp, the_issuer_must_be_the_one)
{
    cr_expect_str_eq(told_of(data_good, data_cert_leaf, data_cert_other, true),
                     NO_RESPONDER);
    /* The key signed it, but is not the one that the CertID names. */
    cr_expect_str_eq(
        told_of(data_wrong_key, data_cert_leaf, data_cert_other, true),
        NOT_FOUND);
}

Test(ocsp, other_answers)
{
    veil_ocsp_result_t result;
    veil_ocsp_query_t q = { .cert = cert(data_cert_leaf),
                            .issuer = cert(data_cert_ca),
                            .now = OCSP_NOW };

    cr_expect_str_eq(told(from_hex("30030a0103"), &q, &result),
                     "OCSP response not successful (3: tryLater)");
    cr_expect_str_eq(told(from_hex("30030a0106"), &q, &result),
                     "OCSP response not successful (6: unauthorized)");
    cr_expect_str_eq(told(from_hex("30030a0163"), &q, &result),
                     "OCSP response not successful (99: (unknown))");
    cr_expect_str_eq(told(from_hex("30030a0100"), &q, &result),
                     "the OCSP response is malformed: it has no basic "
                     "response");
    cr_expect_str_eq(told(VEIL_STR("<html>"), &q, &result),
                     "the OCSP response is malformed: it is no OCSPResponse");
}

/*
 * One bit is changed, then another, of all but the bytes from free on: none
 * of these may come out as an answer.
 */
static void
change_each_bit(const char *hex, const char *leaf, const char *issuer,
                size_t free)
{
    veil_ocsp_result_t result;
    veil_ocsp_query_t q = { .cert = cert(leaf),
                            .issuer = cert(issuer),
                            .now = OCSP_NOW,
                            .verify = true };
    veil_str_t der = from_hex(hex);
    size_t i;

    cr_assert_leq(der.len, sizeof(bytes));
    memcpy(bytes, der.data, der.len);
    cr_assert_eq(veil_ocsp_check(veil_str_n(bytes, der.len), &q, &result), 0);
    for (i = 0; i < 8 * der.len; i++) {
        bytes[i / 8] ^= (char) (1 << i % 8);
        if (veil_ocsp_check(veil_str_n(bytes, der.len), &q, &result)
            == VEIL_OK) {
            cr_assert_geq(i / 8, free, "bit %zu of byte %zu", i % 8, i / 8);
        }
        bytes[i / 8] ^= (char) (1 << i % 8);
    }
}

Test(ocsp, no_changed_bit_is_overlooked, .timeout = 240)
{
    change_each_bit(data_good, data_cert_leaf, data_cert_ca, SIZE_MAX);
    change_each_bit(data_good_key, data_cert_leaf, data_cert_ca, SIZE_MAX);
    change_each_bit(data_revoked, data_cert_revoked, data_cert_ca, SIZE_MAX);
    change_each_bit(data_rsa_sha256, data_cert_leaf_rsa, data_cert_rsa,
                    SIZE_MAX);
    change_each_bit(data_pss_sha256, data_cert_leaf_rsa, data_cert_rsa,
                    SIZE_MAX);
    change_each_bit(data_ed25519, data_cert_leaf_ed, data_cert_ed, SIZE_MAX);
}

/* A responder's certificate is signed, too, in each bit. */
Test(ocsp, nor_in_a_responders_certificate, .timeout = 240)
{
    change_each_bit(data_by_signer, data_cert_leaf, data_cert_ca, SIZE_MAX);
}

/*
 * The issuer's key is known: a certificate that comes with its response is
 * not looked at.  It stands last, and its length counts.
 */
Test(ocsp, but_in_a_certificate_that_is_not_needed, .timeout = 240)
{
    size_t own = strlen(data_cert_ca) / 2;

    change_each_bit(data_good_certs, data_cert_leaf, data_cert_ca,
                    strlen(data_good_certs) / 2 - own);
}

static void
cut_everywhere(const char *hex, X509 *leaf, X509 *issuer)
{
    veil_ocsp_result_t result;
    veil_ocsp_query_t q = { .cert = leaf, .issuer = issuer, .now = OCSP_NOW };
    veil_str_t der = from_hex(hex);
    char *copy;
    size_t n;

    for (n = 0; n < der.len; n++) {
        /* Of exactly this size, for the sanitizer. */
        copy = veil_alloc(n);
        memcpy(copy, der.data, n);
        cr_assert_eq(veil_ocsp_read(veil_str_n(copy, n), leaf, &result),
                     VEIL_ERROR, "%zu bytes", n);
        cr_assert_eq(veil_ocsp_check(veil_str_n(copy, n), &q, &result),
                     VEIL_ERROR, "%zu bytes", n);
        veil_free(copy);
    }
    memcpy(bytes, der.data, der.len);
    bytes[der.len] = 0;
    cr_assert_eq(veil_ocsp_read(veil_str_n(bytes, der.len + 1), leaf, &result),
                 VEIL_ERROR);
}

Test(ocsp, no_length_but_the_right_one)
{
    X509 *leaf = cert(data_cert_leaf), *ca = cert(data_cert_ca);

    cut_everywhere(data_good, leaf, ca);
    cut_everywhere(data_by_signer, leaf, ca);
    cut_everywhere(data_several, leaf, ca);
}

Test(ocsp, too_long)
{
    size_t n = VEIL_OCSP_RESPONSE_MAX + 1;
    char *big = veil_zalloc(n);
    veil_ocsp_result_t result;

    /* a SEQUENCE that is just as long */
    memcpy(big, "\x30\x82\xff\xfd", 4);
    cr_assert_eq(
        veil_ocsp_read(veil_str_n(big, n), cert(data_cert_leaf), &result),
        VEIL_ERROR);
    cr_assert_str_eq(result.error,
                     "the OCSP response is malformed: it is too long");
    veil_free(big);
}

/* Neither time nor signature matters, but the certificate does. */
Test(ocsp, reading_only)
{
    X509 *leaf = cert(data_cert_leaf);
    veil_ocsp_result_t result;

    cr_assert_eq(veil_ocsp_read(from_hex(data_by_signer_other), leaf, &result),
                 VEIL_OK);
    cr_assert_eq(result.status, VEIL_OCSP_GOOD);
    cr_assert_eq(result.next_update, result.this_update + 7 * DAY);
    cr_assert_eq(veil_ocsp_read(from_hex(data_revoked),
                                cert(data_cert_revoked), &result),
                 VEIL_OK);
    cr_assert_eq(result.status, VEIL_OCSP_REVOKED);
    cr_assert_eq(veil_ocsp_read(from_hex(data_revoked), leaf, &result),
                 VEIL_ERROR);
    cr_assert_str_eq(result.error, NOT_FOUND);
    cr_assert(result.not_found);
    cr_assert_eq(veil_ocsp_read(from_hex("30030a0103"), leaf, &result),
                 VEIL_ERROR);
    cr_assert_not(result.not_found);
}

Test(ocsp, the_request_is_that_of_the_openssl_program)
{
    veil_str_t der =
        veil_ocsp_request(pool, cert(data_cert_leaf), cert(data_cert_ca));

    cr_assert(veil_str_eq(der, from_hex(data_request)));
}

Test(ocsp, a_get_when_it_is_short)
{
    veil_str_t der = from_hex(data_request);
    veil_str_t url, path;
    char *decoded;

    url = veil_ocsp_get_url(pool, VEIL_STR("http://a.test/b"), der);
    cr_assert(veil_str_starts(url, VEIL_STR("http://a.test/b/")));
    cr_assert_leq(url.len, 255);
    path = veil_str_from(url, 16);
    cr_assert_lt(veil_str_chr(path, '/'), 0);
    cr_assert_lt(veil_str_chr(path, '+'), 0);
    cr_assert_lt(veil_str_chr(path, '='), 0);
    decoded = veil_pool_alloc(pool, path.len);
    path = veil_str_n(decoded, veil_str_unescape(decoded, path));
    cr_assert_eq(veil_base64_decode(decoded, path), (ptrdiff_t) der.len);
    cr_assert(veil_str_eq(veil_str_n(decoded, der.len), der));

    /* the slash that is there is not doubled */
    path = veil_ocsp_get_url(pool, VEIL_STR("http://a.test/b/"), der);
    cr_assert(veil_str_eq(url, path));
}

Test(ocsp, a_post_when_it_is_not)
{
    veil_str_t der = from_hex(data_request);
    char url[300] = "http://a.test/";
    size_t n, room;

    memset(url + 14, 'x', sizeof(url) - 14);
    /* 255 are allowed in all */
    n = veil_ocsp_get_url(pool, veil_str_n(url, 20), der).len;
    cr_assert_gt(n, 0);
    room = 20 + 255 - n;
    cr_assert_eq(veil_ocsp_get_url(pool, veil_str_n(url, room), der).len, 255);
    cr_assert_eq(veil_ocsp_get_url(pool, veil_str_n(url, room + 1), der).len,
                 0);
    cr_assert_eq(veil_ocsp_get_url(pool, veil_str_n(url, 300), der).len, 0);
    cr_assert_eq(
        veil_ocsp_get_url(pool, VEIL_STR("http://a.test/?b"), der).len, 0);
    cr_assert_eq(veil_ocsp_get_url(pool, VEIL_STR("http://a.test/"),
                                   from_hex(data_good))
                     .len,
                 0);
}

Test(ocsp, the_responder_that_a_certificate_names)
{
    cr_assert(
        veil_str_eq_z(veil_ocsp_responder_url(pool, cert(data_cert_leaf)),
                      "http://ocsp.example.test/a"));
    cr_assert_eq(veil_ocsp_responder_url(pool, cert(data_cert_revoked)).len,
                 0);
}
