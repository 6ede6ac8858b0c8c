/*
 * tls_side.h -- two ends of a TLS connection under test, with a certificate
 * that is made for the run.
 */

#ifndef VEIL_T_UNIT_TLS_SIDE_H
#define VEIL_T_UNIT_TLS_SIDE_H

#include "side.h"

#include "conf_fixture.h"

#include <openssl/ec_key.h>
#include <openssl/nid.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>

#include "event/tls_impl.h"

/* Contexts of both ends; "localhost", P-256, trusted by the client. */
typedef struct {
    veil_conf_t cf;
    char path[64]; /* certificate and key in one file */
    veil_tls_options_t server_options;
    veil_tls_options_t client_options;
    veil_tls_ctx_t *server;
    veil_tls_ctx_t *client;
} tls_bed_t;

/* Of this key, which it frees. */
static inline void
tls_bed_write_pem_of(const char *path, EVP_PKEY *key)
{
    X509 *x = X509_new();
    X509_EXTENSION *ext;
    FILE *f;

    X509_set_version(x, X509_VERSION_3);
    ASN1_INTEGER_set(X509_get_serialNumber(x), 7);
    X509_gmtime_adj(X509_getm_notBefore(x), -3600);
    X509_gmtime_adj(X509_getm_notAfter(x), 86400);
    X509_set_pubkey(x, key);
    X509_NAME_add_entry_by_txt(X509_get_subject_name(x), "CN", MBSTRING_ASC,
                               (const uint8_t *) "localhost", -1, -1, 0);
    X509_set_issuer_name(x, X509_get_subject_name(x));
    ext = X509V3_EXT_nconf_nid(NULL, NULL, NID_subject_alt_name,
                               "DNS:localhost,DNS:other.example");
    cr_assert(X509_add_ext(x, ext, -1));
    X509_EXTENSION_free(ext);
    ext = X509V3_EXT_nconf_nid(NULL, NULL, NID_basic_constraints, "CA:TRUE");
    cr_assert(X509_add_ext(x, ext, -1));
    X509_EXTENSION_free(ext);
    cr_assert(X509_sign(x, key, EVP_sha256()) > 0);

    f = fopen(path, "w");
    cr_assert_not_null(f);
    PEM_write_X509(f, x);
    PEM_write_PrivateKey(f, key, NULL, NULL, 0, NULL, NULL);
    fclose(f);
    X509_free(x);
    EVP_PKEY_free(key);
}

static inline void
tls_bed_write_pem(const char *path)
{
    EC_KEY *ec = EC_KEY_new_by_curve_name(NID_X9_62_prime256v1);
    EVP_PKEY *key = EVP_PKEY_new();

    cr_assert(EC_KEY_generate_key(ec));
    cr_assert(EVP_PKEY_assign_EC_KEY(key, ec));
    tls_bed_write_pem_of(path, key);
}

/* Options may be changed between this and tls_bed_make(). */
static inline void
tls_bed_begin(tls_bed_t *tb)
{
    static veil_conf_word_t words[2] = {
        { .str = { "test", 4 }, .line = 1, .column = 1 },
        { .str = { "file", 4 }, .line = 1, .column = 6 }
    };
    static veil_conf_file_t file = { { "c", 1 }, { "test file;", 10 } };
    static veil_conf_node_t node = { .args = words,
                                     .nargs = 2,
                                     .file = &file };
    veil_tls_cert_files_t *f;
    int fd;

    memset(tb, 0, sizeof(*tb));
    veil_snprintf(tb->path, sizeof(tb->path), "/tmp/veil-unit-tls-XXXXXX");
    fd = mkstemp(tb->path);
    cr_assert_geq(fd, 0);
    close(fd);
    tls_bed_write_pem(tb->path);
    tb->cf = fixture_conf("/tmp");
    tb->cf.node = &node;

    veil_tls_options_default(&tb->server_options, true);
    tb->server_options.node = &node;
    tb->server_options.certs =
        veil_array_create(tb->cf.pool, sizeof(veil_tls_cert_files_t), 1);
    f = veil_array_push(tb->server_options.certs);
    f->cert = veil_str_z(tb->path);
    f->key = f->cert;
    f->cert_node = &node;
    f->key_node = &node;

    veil_tls_options_default(&tb->client_options, false);
    tb->client_options.node = &node;
    tb->client_options.trusted = veil_str_z(tb->path);
}

static inline void
tls_bed_make(tls_bed_t *tb)
{
    tb->server = veil_tls_ctx_create(&tb->cf, &tb->server_options);
    cr_assert_not_null(tb->server, "%s", fixture_lines);
    tb->client = veil_tls_ctx_create(&tb->cf, &tb->client_options);
    cr_assert_not_null(tb->client, "%s", fixture_lines);
}

static inline void
tls_bed_done(tls_bed_t *tb)
{
    unlink(tb->path);
    veil_pool_destroy(&tb->cf.temp_pool);
    veil_cycle_destroy(&fixture_cycle);
    veil_tls_trim();
    veil_conn_trim();
}

/* One end. */
typedef struct {
    side_t s;
    unsigned dones;
    int rc;
    unsigned selects;
    char name[64];        /* the client asked for */
    veil_tls_ctx_t *give; /* what select() answers */
    bool read;            /* as soon as it is done */
    bool close_when_done;
    bool close_in_select;
    bool closed;
} tls_side_t;

static inline tls_side_t *
tls_side_of(veil_conn_t *c)
{
    return veil_container_of(side_of(c), tls_side_t, s);
}

static inline void
tls_side_done(veil_conn_t *c, int rc)
{
    tls_side_t *e = tls_side_of(c);

    e->dones++;
    e->rc = rc;
    if (e->close_when_done) {
        veil_conn_close(c);
    } else if (e->read) {
        veil_conn_read(c);
    }
}

static inline veil_tls_ctx_t *
tls_side_select(veil_conn_t *c, veil_str_t name)
{
    tls_side_t *e = tls_side_of(c);

    e->selects++;
    veil_snprintf(e->name, sizeof(e->name), "%.*s", VEIL_STR_ARG(name));
    if (e->close_in_select) {
        veil_conn_close(c);
    }
    return e->give;
}

static const veil_tls_accept_ops_t tls_side_accept_ops = {
    .done = tls_side_done,
    .select = tls_side_select,
};

/* *gone is set when it is closed, and outlives it. */
static inline tls_side_t *
tls_side_open(bed_t *b, int fd, bool *gone)
{
    veil_pool_t *pool = veil_pool_create("side", 2048);
    tls_side_t *e = veil_pool_zalloc(pool, sizeof(*e));

    e->s.pool = pool;
    e->s.closed = gone;
    *gone = false;
    e->read = true;
    veil_conn_init(&e->s.conn, b->loop, pool, fd, NULL, &side_ops,
                   &veil_log_stderr);
    return e;
}

static inline tls_side_t *
tls_side_accept(bed_t *b, tls_bed_t *tb, int fd, bool *gone)
{
    tls_side_t *e = tls_side_open(b, fd, gone);

    e->give = tb->server;
    veil_tls_accept(&e->s.conn, tb->server, &tls_side_accept_ops);
    return e;
}

static inline tls_side_t *
tls_side_connect(bed_t *b, tls_bed_t *tb, int fd, const char *name, bool *gone)
{
    tls_side_t *e = tls_side_open(b, fd, gone);
    veil_tls_target_t target = { .sni = veil_str_z(name),
                                 .verify = veil_str_z(name) };

    veil_tls_connect(&e->s.conn, tb->client, &target, tls_side_done);
    return e;
}

/* Both ends. */
typedef struct {
    tls_bed_t tb;
    tls_side_t *server;
    tls_side_t *client;
    bool server_gone;
    bool client_gone;
    bool session; /* the client wants to resume */
} tls_ends_t;

/* After tls_bed_make(); the client's hello is sent by the loop. */
static inline void
tls_ends_open(bed_t *b, tls_ends_t *p, const int fds[2])
{
    veil_tls_target_t target = { .sni = VEIL_STR("localhost"),
                                 .verify = VEIL_STR("localhost") };

    if (p->session) {
        target.session = VEIL_STR("localhost");
    }
    p->server = tls_side_accept(b, &p->tb, fds[0], &p->server_gone);
    p->client = tls_side_open(b, fds[1], &p->client_gone);
    veil_tls_connect(&p->client->s.conn, p->tb.client, &target, tls_side_done);
}

static inline void
tls_ends_shake(bed_t *b, tls_ends_t *p)
{
    UNTIL(b, p->server->dones == 1 && p->client->dones == 1);
    cr_assert_eq(p->server->rc, 0);
    cr_assert_eq(p->client->rc, 0);
}

static inline void
tls_ends_close(bed_t *b, tls_ends_t *p)
{
    if (!p->client_gone) {
        veil_conn_close(&p->client->s.conn);
    }
    if (!p->server_gone) {
        veil_conn_close(&p->server->s.conn);
    }
    UNTIL(b, p->client_gone && p->server_gone);
    side_turn(b, 3);
}

static inline SSL *
tls_side_ssl(const tls_side_t *e)
{
    return veil_tls_ssl(veil_tls_of(&e->s.conn));
}

#endif
