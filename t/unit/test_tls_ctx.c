/*
 * test_tls_ctx.c -- contexts of servers, as a client of the same library sees
 * them: Encrypted Client Hello, compressed certificates, certificates that
 * are made at run time, what is kept of a hello.
 */

#include "tls_side.h"

#include <openssl/bytestring.h>
#include <openssl/curve25519.h>
#include <openssl/hpke.h>
#if VEIL_HAVE_ZLIB
#include <zlib.h>
#endif

#include "event/offload.h"

typedef tls_ends_t pair_t;

/* After tls_bed_make(). */
static void
pair_open(bed_t *b, pair_t *p)
{
    int fds[2];

    side_pair(fds);
    tls_ends_open(b, p, fds);
}

/* --- Encrypted Client Hello ------------------------------------------------
 */

static struct {
    char path[64];
    uint8_t list[512];
    size_t len;
} ech;

/* A key and its configuration, in the form of a server and of a client. */
static void
ech_make(void)
{
    EVP_HPKE_KEY *key = EVP_HPKE_KEY_new();
    uint8_t raw[32], *config;
    size_t raw_len, len;
    EVP_PKEY *pkey;
    FILE *f;
    int fd;

    cr_assert(EVP_HPKE_KEY_generate(key, EVP_hpke_x25519_hkdf_sha256()));
    cr_assert(
        SSL_marshal_ech_config(&config, &len, 7, key, "outer.example", 64));
    cr_assert(len + 2 < sizeof(ech.list));
    ech.list[0] = (uint8_t) (len >> 8);
    ech.list[1] = (uint8_t) len;
    memcpy(ech.list + 2, config, len);
    ech.len = len + 2;
    OPENSSL_free(config);

    cr_assert(EVP_HPKE_KEY_private_key(key, raw, &raw_len, sizeof(raw)));
    pkey = EVP_PKEY_new_raw_private_key(EVP_PKEY_X25519, NULL, raw, raw_len);
    cr_assert_not_null(pkey);
    veil_snprintf(ech.path, sizeof(ech.path), "/tmp/veil-unit-ech-XXXXXX");
    fd = mkstemp(ech.path);
    cr_assert_geq(fd, 0);
    f = fdopen(fd, "w");
    PEM_write_PKCS8PrivateKey(f, pkey, NULL, NULL, 0, NULL, NULL);
    PEM_write(f, "ECHCONFIG", "", ech.list, (long) ech.len);
    fclose(f);
    EVP_PKEY_free(pkey);
    EVP_HPKE_KEY_free(key);
}

static void
ech_begin(pair_t *p)
{
    memset(p, 0, sizeof(*p));
    ech_make();
    tls_bed_begin(&p->tb);
    p->tb.server_options.ech_files =
        veil_array_create(p->tb.cf.pool, sizeof(veil_str_t), 1);
    *(veil_str_t *) veil_array_push(p->tb.server_options.ech_files) =
        veil_str_z(ech.path);
    veil_tls_keep_hello(true);
}

static void
ech_end(bed_t *b, pair_t *p)
{
    tls_ends_close(b, p);
    /* The key has signed there, see tls.h. */
    veil_offload_stop(b->loop);
    tls_bed_done(&p->tb);
    veil_tls_keep_hello(false);
    unlink(ech.path);
}

CONTRACT(ech_accepted)
{
    const veil_tls_hello_t *hello;
    pair_t p;

    ech_begin(&p);
    tls_bed_make(&p.tb);
    pair_open(b, &p);
    cr_assert(
        SSL_set1_ech_config_list(tls_side_ssl(p.client), ech.list, ech.len));
    tls_ends_shake(b, &p);
    cr_assert(SSL_ech_accepted(tls_side_ssl(p.server)));
    cr_assert_str_eq(p.server->name, "localhost");
    hello = veil_tls_hello(veil_tls_of(&p.server->s.conn));
    cr_assert_not_null(hello);
    cr_assert(hello->ech);
    cr_assert(veil_str_eq_z(hello->outer_name, "outer.example"));
    cr_assert_gt(hello->ciphers.len, 0);
    cr_assert_eq(hello->sigalg, SSL_SIGN_ECDSA_SECP256R1_SHA256);
    ech_end(b, &p);
}

CONTRACT(ech_grease)
{
    const veil_tls_hello_t *hello;
    pair_t p;

    ech_begin(&p);
    tls_bed_make(&p.tb);
    pair_open(b, &p);
    SSL_set_enable_ech_grease(tls_side_ssl(p.client), 1);
    tls_ends_shake(b, &p);
    cr_assert_not(SSL_ech_accepted(tls_side_ssl(p.server)));
    hello = veil_tls_hello(veil_tls_of(&p.server->s.conn));
    cr_assert(hello->ech);
    cr_assert(veil_str_eq_z(hello->outer_name, "localhost"));
    ech_end(b, &p);
}

CONTRACT(ech_not_tried)
{
    const veil_tls_hello_t *hello;
    pair_t p;

    ech_begin(&p);
    tls_bed_make(&p.tb);
    pair_open(b, &p);
    tls_ends_shake(b, &p);
    hello = veil_tls_hello(veil_tls_of(&p.server->s.conn));
    cr_assert_not(hello->ech);
    ech_end(b, &p);
}

/* --- compressed certificates -----------------------------------------------
 */

#if VEIL_HAVE_ZLIB
static unsigned zipped;

static int
unzip(SSL *ssl, CRYPTO_BUFFER **out, size_t len, const uint8_t *in,
      size_t in_len)
{
    uLongf got = len;
    uint8_t *to;

    (void) ssl;
    *out = CRYPTO_BUFFER_alloc(&to, len);
    cr_assert_eq(uncompress(to, &got, in, in_len), Z_OK);
    cr_assert_eq(got, len);
    zipped++;
    return 1;
}

CONTRACT(compressed_certificate)
{
    pair_t p;
    unsigned i;

    memset(&p, 0, sizeof(p));
    zipped = 0;
    tls_bed_begin(&p.tb);
    p.tb.server_options.compress = true;
    tls_bed_make(&p.tb);
    cr_assert(SSL_CTX_add_cert_compression_alg(
        p.tb.client->ssl, TLSEXT_cert_compression_zlib, NULL, unzip));
    for (i = 1; i <= 2; i++) {
        pair_open(b, &p);
        tls_ends_shake(b, &p);
        cr_assert_eq(zipped, i);
        tls_ends_close(b, &p);
    }
    tls_bed_done(&p.tb);
}
#endif

/* --- certificates made at run time -----------------------------------------
 */

static void
never_told(void *data, bool warning, bool of_key, const char *text)
{
    (void) data;
    (void) warning;
    (void) of_key;
    cr_assert_fail("%s", text);
}

CONTRACT(derived)
{
    veil_tls_cert_files_t files = { .cert_node = NULL };
    char path[] = "/tmp/veil-unit-derived-XXXXXX";
    veil_tls_cert_t cert;
    veil_tls_ctx_t *ctx;
    X509 *shown;
    pair_t p;

    memset(&p, 0, sizeof(p));
    close(mkstemp(path));
    tls_bed_write_pem(path);
    tls_bed_begin(&p.tb);
    p.tb.client_options.verify = VEIL_TLS_VERIFY_OFF;
    tls_bed_make(&p.tb);

    files.cert = files.key = veil_str_z(path);
    cr_assert(veil_tls_cert_load(&cert, &files, NULL, never_told, NULL));
    ctx = veil_tls_ctx_with(p.tb.server, &cert, 1);
    cr_assert_eq(veil_tls_ctx_certs(ctx), 1);
    pair_open(b, &p);
    p.server->give = ctx;
    tls_ends_shake(b, &p);
    /* The session keeps it. */
    veil_tls_ctx_put(ctx);
    cr_assert_eq(veil_tls_of(&p.server->s.conn)->ctx, ctx);
    shown = SSL_get_peer_certificate(tls_side_ssl(p.client));
    cr_assert_eq(X509_cmp(shown, veil_tls_ctx_cert(ctx, 0)), 0);
    cr_assert_neq(X509_cmp(shown, veil_tls_ctx_cert(p.tb.server, 0)), 0);
    X509_free(shown);
    tls_ends_close(b, &p);
    unlink(path);
    tls_bed_done(&p.tb);
}

/* --- files -----------------------------------------------------------------
 */

Test(tls_ctx, read_file)
{
    char path[] = "/tmp/veil-unit-read-XXXXXX";
    int fd = mkstemp(path), i;
    char block[1000], *text;
    unsigned mode;
    size_t len;

    cr_assert_null(
        veil_tls_read_file(VEIL_STR("/nowhere/at/all"), &len, NULL));
    cr_assert_eq(errno, ENOENT);
    text = veil_tls_read_file(veil_str_z(path), &len, &mode);
    cr_assert_not_null(text);
    cr_assert_eq(len, 0);
    cr_assert_eq(mode & 0777, 0600);
    OPENSSL_free(text);

    memset(block, 'x', sizeof(block));
    for (i = 0; i < 100; i++) {
        cr_assert_eq(write(fd, block, sizeof(block)), sizeof(block));
    }
    text = veil_tls_read_file(veil_str_z(path), &len, NULL);
    cr_assert_eq(len, 100000);
    cr_assert_eq(strlen(text), 100000);
    OPENSSL_free(text);

    /* A device has no size; it is read to its end, or to the limit. */
    text = veil_tls_read_file(VEIL_STR("/dev/null"), &len, NULL);
    cr_assert_not_null(text);
    cr_assert_eq(len, 0);
    OPENSSL_free(text);
    cr_assert_null(veil_tls_read_file(VEIL_STR("/dev/zero"), &len, NULL));
    cr_assert_eq(errno, EFBIG);
    cr_assert_null(veil_tls_read_file(VEIL_STR("/tmp"), &len, NULL));
    cr_assert_eq(errno, EISDIR);
    close(fd);
    unlink(path);
}
