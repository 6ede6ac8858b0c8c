/*
 * test_ktls.c -- the keys that the kernel is given.
 *
 * Two sessions of the library talk over memory.  With the keys of one
 * direction a record that the library sealed is opened here by hand, as the
 * kernel would, and one sealed by hand is read by the library.
 */

#include "core/platform.h"

#include <criterion/criterion.h>

#include <openssl/aead.h>
#include <openssl/bio.h>
#include <openssl/ec_key.h>
#include <openssl/evp.h>
#include <openssl/nid.h>
#include <openssl/ssl.h>
#include <openssl/x509.h>

#include "../../src/event/ktls.c"

/* The library's own way to choose among TLS 1.3's suites, for tests. */
extern void aes_hw(SSL *ssl, bool value) __asm__(
    "_ZN4bssl35SSL_set_aes_hw_override_for_testingEP6ssl_stb")
    __attribute__((weak));

typedef struct {
    SSL_CTX *ctx;
    SSL *server;
    SSL *client;
    BIO *to_client; /* the ends the sessions do not hold */
    BIO *to_server;
    X509 *cert;
    EVP_PKEY *key;
} pair_t;

static EVP_PKEY *
make_key(void)
{
    EC_KEY *ec = EC_KEY_new_by_curve_name(NID_secp384r1);
    EVP_PKEY *key = EVP_PKEY_new();

    cr_assert(EC_KEY_generate_key(ec));
    cr_assert(EVP_PKEY_assign_EC_KEY(key, ec));
    return key;
}

static X509 *
make_cert(EVP_PKEY *key)
{
    X509 *x = X509_new();

    cr_assert(ASN1_INTEGER_set(X509_get_serialNumber(x), 1));
    cr_assert(X509_gmtime_adj(X509_get_notBefore(x), 0));
    cr_assert(X509_gmtime_adj(X509_get_notAfter(x), 3600));
    cr_assert(X509_set_pubkey(x, key));
    cr_assert(X509_sign(x, key, EVP_sha384()));
    return x;
}

/* Moves what one session wrote to the other. */
static void
move(SSL *from, SSL *to)
{
    char data[4096];
    int n;

    while ((n = BIO_read(SSL_get_wbio(from), data, sizeof(data))) > 0) {
        cr_assert_eq(BIO_write(SSL_get_rbio(to), data, n), n);
    }
}

static void
set_memory(SSL *ssl)
{
    BIO *in = BIO_new(BIO_s_mem()), *out = BIO_new(BIO_s_mem());

    BIO_set_mem_eof_return(in, -1);
    BIO_set_mem_eof_return(out, -1);
    SSL_set_bio(ssl, in, out);
}

static void
shake(pair_t *p)
{
    int i;

    for (i = 0; i < 10; i++) {
        (void) SSL_do_handshake(p->client);
        move(p->client, p->server);
        (void) SSL_do_handshake(p->server);
        move(p->server, p->client);
    }
    cr_assert_not(SSL_in_init(p->client));
    cr_assert_not(SSL_in_init(p->server));
}

/* Tickets go out with the first write, be it empty. */
static void
flush_tickets(pair_t *p)
{
    char c;

    (void) SSL_write(p->server, "", 0);
    move(p->server, p->client);
    cr_assert_eq(SSL_read(p->client, &c, 1), -1);
}

static void
open_pair(pair_t *p, uint16_t version, const char *cipher, int nid)
{
    memset(p, 0, sizeof(*p));
    p->ctx = SSL_CTX_new(TLS_method());
    veil_ktls_prepare(p->ctx);
    p->key = make_key();
    p->cert = make_cert(p->key);
    cr_assert(SSL_CTX_use_PrivateKey(p->ctx, p->key));
    cr_assert(SSL_CTX_use_certificate(p->ctx, p->cert));
    cr_assert(SSL_CTX_set_min_proto_version(p->ctx, version));
    cr_assert(SSL_CTX_set_max_proto_version(p->ctx, version));
    SSL_CTX_set_verify(p->ctx, SSL_VERIFY_NONE, NULL);
    if (cipher != NULL) {
        cr_assert(SSL_CTX_set_cipher_list(p->ctx, cipher));
    }
    p->server = SSL_new(p->ctx);
    p->client = SSL_new(p->ctx);
    if (version == TLS1_3_VERSION && nid == NID_aes_256_gcm) {
#if BORINGSSL_API_VERSION >= 19
        cr_assert(SSL_set_compliance_policy(
            p->server, ssl_compliance_policy_wpa3_192_202304));
#endif
    } else if (version == TLS1_3_VERSION && aes_hw != NULL) {
        aes_hw(p->server, nid != NID_chacha20_poly1305);
        aes_hw(p->client, nid != NID_chacha20_poly1305);
    }
    SSL_set_accept_state(p->server);
    SSL_set_connect_state(p->client);
    set_memory(p->server);
    set_memory(p->client);
    shake(p);
    flush_tickets(p);
}

static void
close_pair(pair_t *p)
{
    SSL_free(p->server);
    SSL_free(p->client);
    SSL_CTX_free(p->ctx);
    X509_free(p->cert);
    EVP_PKEY_free(p->key);
}

/* What the kernel knows: see tls.rst and net/tls/tls_sw.c of Linux. */
typedef struct {
    const EVP_AEAD *aead;
    const uint8_t *key;
    uint8_t nonce[12];
    const uint8_t *seq;
    bool is_13;
    bool explicit_nonce;
} crypto_t;

static crypto_t
crypto_of(const veil_ktls_keys_t *k)
{
    crypto_t c = { 0 };

    c.is_13 = k->u.info.version == TLS_1_3_VERSION;
    switch (k->u.info.cipher_type) {
    case TLS_CIPHER_AES_GCM_128:
        cr_assert_eq(k->len, sizeof(k->u.gcm_128));
        c.aead = EVP_aead_aes_128_gcm();
        c.key = k->u.gcm_128.key;
        c.seq = k->u.gcm_128.rec_seq;
        memcpy(c.nonce, k->u.gcm_128.salt, 4);
        memcpy(c.nonce + 4, k->u.gcm_128.iv, 8);
        break;
    case TLS_CIPHER_AES_GCM_256:
        cr_assert_eq(k->len, sizeof(k->u.gcm_256));
        c.aead = EVP_aead_aes_256_gcm();
        c.key = k->u.gcm_256.key;
        c.seq = k->u.gcm_256.rec_seq;
        memcpy(c.nonce, k->u.gcm_256.salt, 4);
        memcpy(c.nonce + 4, k->u.gcm_256.iv, 8);
        break;
    default:
        cr_assert_eq(k->u.info.cipher_type, TLS_CIPHER_CHACHA20_POLY1305);
        cr_assert_eq(k->len, sizeof(k->u.chacha20));
        c.aead = EVP_aead_chacha20_poly1305();
        c.key = k->u.chacha20.key;
        c.seq = k->u.chacha20.rec_seq;
        memcpy(c.nonce, k->u.chacha20.iv, 12);
        break;
    }
    c.explicit_nonce =
        !c.is_13 && k->u.info.cipher_type != TLS_CIPHER_CHACHA20_POLY1305;
    return c;
}

/* The record's number, xored in where the nonce is not explicit. */
static void
number_nonce(crypto_t *c)
{
    int i;

    if (!c->explicit_nonce) {
        for (i = 0; i < 8; i++) {
            c->nonce[4 + i] ^= c->seq[i];
        }
    }
}

static size_t
additional(const crypto_t *c, const uint8_t *header, size_t len, uint8_t *ad)
{
    if (c->is_13) {
        memcpy(ad, header, 5);
        return 5;
    }
    memcpy(ad, c->seq, 8);
    memcpy(ad + 8, header, 3);
    ad[11] = (uint8_t) (len >> 8);
    ad[12] = (uint8_t) len;
    return 13;
}

static size_t
open_record(const veil_ktls_keys_t *k, const uint8_t *record, size_t n,
            uint8_t *out)
{
    crypto_t c = crypto_of(k);
    const uint8_t *in = record + 5;
    uint8_t ad[13];
    EVP_AEAD_CTX *ctx;
    size_t len = 0, ad_len;

    n -= 5;
    if (c.explicit_nonce) {
        memcpy(c.nonce + 4, in, 8);
        in += 8;
        n -= 8;
    }
    number_nonce(&c);
    ad_len = additional(&c, record, n - 16, ad);
    ctx = EVP_AEAD_CTX_new(c.aead, c.key, EVP_AEAD_key_length(c.aead), 16);
    cr_assert(
        EVP_AEAD_CTX_open(ctx, out, &len, n, c.nonce, 12, in, n, ad, ad_len),
        "the record cannot be opened with these keys");
    EVP_AEAD_CTX_free(ctx);
    if (c.is_13) {
        cr_assert_eq(out[--len], 23, "the true type of the record");
    }
    return len;
}

static size_t
seal_record(const veil_ktls_keys_t *k, const char *text, uint8_t *record)
{
    crypto_t c = crypto_of(k);
    uint8_t in[256], ad[13], *out = record + 5;
    size_t n = strlen(text), len = 0, ad_len, total;
    EVP_AEAD_CTX *ctx;

    memcpy(in, text, n);
    if (c.is_13) {
        in[n++] = 23;
    }
    total = n + 16 + (c.explicit_nonce ? 8 : 0);
    record[0] = 23;
    record[1] = 3;
    record[2] = 3;
    record[3] = (uint8_t) (total >> 8);
    record[4] = (uint8_t) total;
    if (c.explicit_nonce) {
        memcpy(out, c.nonce + 4, 8);
        out += 8;
    }
    number_nonce(&c);
    ad_len = additional(&c, record, n, ad);
    ctx = EVP_AEAD_CTX_new(c.aead, c.key, EVP_AEAD_key_length(c.aead), 16);
    cr_assert(EVP_AEAD_CTX_seal(ctx, out, &len, n + 16, c.nonce, 12, in, n, ad,
                                ad_len));
    EVP_AEAD_CTX_free(ctx);
    return total + 5;
}

/* One direction: what "from" writes next, what "to" reads next. */
static void
check_direction(SSL *from, SSL *to, uint16_t type)
{
    veil_ktls_keys_t tx, rx;
    uint8_t record[512], out[512];
    char text[64];
    int n;

    cr_assert_eq(veil_ktls_keys(from, true, &tx), VEIL_KTLS_OK);
    cr_assert_eq(veil_ktls_keys(to, false, &rx), VEIL_KTLS_OK);
    cr_assert_eq(tx.u.info.cipher_type, type);
    cr_assert_eq(tx.len, rx.len);
    cr_assert_eq(memcmp(&tx.u, &rx.u, tx.len), 0);

    cr_assert_eq(SSL_write(from, "from the library", 16), 16);
    n = BIO_read(SSL_get_wbio(from), record, sizeof(record));
    cr_assert_gt(n, 0);
    cr_assert_eq(open_record(&tx, record, (size_t) n, out), 16);
    cr_assert_eq(memcmp(out, "from the library", 16), 0);

    n = (int) seal_record(&rx, "from the kernel", record);
    cr_assert_eq(BIO_write(SSL_get_rbio(to), record, n), n);
    cr_assert_eq(SSL_read(to, text, sizeof(text)), 15);
    cr_assert_eq(memcmp(text, "from the kernel", 15), 0);

    /* Both have gone on: the next record has the next number. */
    cr_assert_eq(veil_ktls_keys(from, true, &tx), VEIL_KTLS_OK);
    cr_assert_neq(memcmp(&tx.u, &rx.u, tx.len), 0);
    cr_assert_eq(veil_ktls_keys(to, false, &rx), VEIL_KTLS_OK);
    cr_assert_eq(memcmp(&tx.u, &rx.u, tx.len), 0);
    veil_ktls_wipe(&tx);
    cr_assert_eq(tx.len, 0);
}

static void
check_suite(uint16_t version, const char *cipher, int nid, uint16_t type)
{
    pair_t p;
    veil_ktls_keys_t k;

    open_pair(&p, version, cipher, nid);
    cr_assert_eq(SSL_version(p.server), version);
    cr_assert_eq(SSL_CIPHER_get_cipher_nid(SSL_get_current_cipher(p.server)),
                 nid);
    check_direction(p.server, p.client, type);
    check_direction(p.client, p.server, type);
    check_direction(p.client, p.server, type);
    veil_ktls_forget(p.server);
    cr_assert_eq(veil_ktls_keys(p.server, true, &k),
                 version == TLS1_3_VERSION ? VEIL_KTLS_SECRETS : VEIL_KTLS_OK);
    close_pair(&p);
}

Test(ktls, tls_1_3_aes_128)
{
    if (aes_hw == NULL) {
        cr_skip_test("this library offers no choice of suites");
    }
    check_suite(TLS1_3_VERSION, NULL, NID_aes_128_gcm, TLS_CIPHER_AES_GCM_128);
}

Test(ktls, tls_1_3_aes_256)
{
#if BORINGSSL_API_VERSION < 19
    cr_skip_test("this library offers no choice of suites");
#endif
    check_suite(TLS1_3_VERSION, NULL, NID_aes_256_gcm, TLS_CIPHER_AES_GCM_256);
}

Test(ktls, tls_1_3_chacha20)
{
    if (aes_hw == NULL) {
        cr_skip_test("this library offers no choice of suites");
    }
    check_suite(TLS1_3_VERSION, NULL, NID_chacha20_poly1305,
                TLS_CIPHER_CHACHA20_POLY1305);
}

Test(ktls, tls_1_2_aes_128)
{
    check_suite(TLS1_2_VERSION, "ECDHE-ECDSA-AES128-GCM-SHA256",
                NID_aes_128_gcm, TLS_CIPHER_AES_GCM_128);
}

Test(ktls, tls_1_2_aes_256)
{
    check_suite(TLS1_2_VERSION, "ECDHE-ECDSA-AES256-GCM-SHA384",
                NID_aes_256_gcm, TLS_CIPHER_AES_GCM_256);
}

Test(ktls, tls_1_2_chacha20)
{
    check_suite(TLS1_2_VERSION, "ECDHE-ECDSA-CHACHA20-POLY1305",
                NID_chacha20_poly1305, TLS_CIPHER_CHACHA20_POLY1305);
}

Test(ktls, what_the_kernel_does_not_know)
{
    pair_t p;
    veil_ktls_keys_t k;

    open_pair(&p, TLS1_2_VERSION, "ECDHE-ECDSA-AES128-SHA", 0);
    cr_assert_eq(veil_ktls_keys(p.server, true, &k), VEIL_KTLS_CIPHER);
    close_pair(&p);
}

Test(ktls, a_session_that_kept_no_secrets)
{
    SSL_CTX *ctx = SSL_CTX_new(TLS_method());
    SSL *ssl = SSL_new(ctx);
    veil_ktls_keys_t k;

    /* No handshake, so no suite either. */
    cr_assert_eq(veil_ktls_keys(ssl, true, &k), VEIL_KTLS_CIPHER);
    veil_ktls_forget(ssl);
    SSL_free(ssl);
    SSL_CTX_free(ctx);
}

Test(ktls, lines_of_the_key_log)
{
    uint8_t secret[KTLS_SECRET_MAX];
    char line[200] = "LABEL 00 ";

    cr_assert_eq(ktls_parse("LABEL 00 ff01A0", secret), 3);
    cr_assert_eq(memcmp(secret, "\xff\x01\xa0", 3), 0);
    cr_assert_eq(ktls_parse("", secret), 0);
    cr_assert_eq(ktls_parse("LABEL", secret), 0);
    cr_assert_eq(ktls_parse("LABEL 00 ff0", secret), 0);
    cr_assert_eq(ktls_parse("LABEL 00 fg", secret), 0);
    memset(line + 9, 'a', 96);
    cr_assert_eq(ktls_parse(line, secret), 48);
    memset(line + 9 + 96, 'a', 2);
    cr_assert_eq(ktls_parse(line, secret), 0, "longer than any");
}

Test(ktls, sockets_that_cannot)
{
    int fds[2], err = 0;
    veil_ktls_keys_t k = { .u.info = { TLS_1_3_VERSION, 1 }, .len = 4 };
    veil_ktls_reason_t reason;

    cr_assert_eq(socketpair(AF_UNIX, SOCK_STREAM, 0, fds), 0);
    reason = veil_ktls_attach(fds[0], &err);
    cr_assert_neq(reason, VEIL_KTLS_OK);
    cr_assert_lt(err, 0);
    cr_assert_eq(veil_ktls_start(fds[0], true, &k, &err), VEIL_KTLS_TX);
    cr_assert_lt(err, 0);
    cr_assert_eq(veil_ktls_start(fds[0], false, &k, &err), VEIL_KTLS_RX);
    (void) close(fds[0]);
    (void) close(fds[1]);
}

Test(ktls, the_probe_agrees_with_the_system)
{
    FILE *f = fopen("/proc/sys/net/ipv4/tcp_available_ulp", "re");
    char line[256] = "";
    int probe = veil_ktls_probe();

    cr_assert_leq(probe, 0);
    cr_assert_eq(probe, veil_ktls_probe());
    /* Read after: asking may have loaded the module. */
    if (f != NULL) {
        cr_assert_not_null(fgets(line, sizeof(line), f));
        (void) fclose(f);
        cr_assert_eq(probe == 0, strstr(line, "tls") != NULL, "%d: %s", probe,
                     line);
    }
}

Test(ktls, every_reason_has_its_words)
{
    unsigned i;

    for (i = 0; i < VEIL_KTLS_REASONS; i++) {
        cr_assert_not_null(ktls_reasons[i].name);
        cr_assert_not_null(veil_ktls_reason_text(i));
    }
}
