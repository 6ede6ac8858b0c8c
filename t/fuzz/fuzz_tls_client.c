/*
 * fuzz_tls_client.c -- what a server may do to the client's side of TLS.
 *
 * The mirror of fuzz_tls_record.c: the owner is a client, which verifies and
 * resumes (event/tls_client.c), and the peer a server (tls_duel.h).  The
 * first byte of the input chooses how bytes arrive, the protocol, and whether
 * the rest is what the server sends, or a script of what it and the network
 * between do.
 *
 * What must always hold, besides: everything arrives if nobody meddled, and
 * whoever cannot sign for the name is not taken for it.
 */

#include "tls_duel.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define MODE_STRANGER 0x08u /* the server's certificate is not trusted */
#define MODE_SESSION 0x20u

static SSL_CTX *friend_ctx, *stranger_ctx;

static void
client_done(veil_conn_t *c, int rc)
{
    VEIL_ASSERT(rc < 0
                || (rc == 0 && SSL_get_SSL_CTX(duel_peer.ssl) == friend_ctx));
    duel_done(c, rc);
}

static duel_owner_t *
client_open(int fd, unsigned mode)
{
    duel_owner_t *o = duel_owner_create(fd);
    veil_tls_target_t target = { .sni = VEIL_STR_INIT("localhost"),
                                 .verify = VEIL_STR_INIT("localhost") };

    if ((mode & MODE_SESSION) != 0) {
        target.session = VEIL_STR("session");
    }
    veil_tls_connect(&o->conn, duel_ctx, &target, client_done);
    return o;
}

static void
client_act(duel_owner_t *o, unsigned what, unsigned arg)
{
    if (what == 15) {
        duel_peer.meddled = true;
        veil_conn_close(&o->conn);
        return;
    }
    if (!duel_is_open(o)) {
        return;
    }
    if (what == 10) {
        duel_owner_write(o, arg * (size_t) 131);
    } else if (what == 11) {
        veil_conn_hold(&o->conn);
    } else if (what == 12) {
        veil_conn_read(&o->conn);
    } else if (what == 13 && !veil_conn_is_writing(&o->conn)) {
        veil_conn_shutdown(&o->conn);
        o->wanted = SENT_MAX; /* no more writes */
    }
}

static void
run_script(duel_owner_t *o, unsigned mode, const uint8_t *p,
           const uint8_t *end)
{
    unsigned what, arg;

    duel_turns(2);
    duel_peer_receive();
    while (end - p >= 2) {
        what = *p++ & 15;
        arg = *p++;
        if (!duel_act(o, what, arg, &p, end) && !duel_closed
            && !o->conn.closing) {
            client_act(o, what, arg);
        }
    }
    if (duel_is_open(o)) {
        veil_conn_read(&o->conn);
    }
    duel_pump(o, 40);
    if (duel_peer.meddled || duel_closed || o->conn.closing) {
        return;
    }
    /* Nobody did any harm: all goes well, if it takes its time. */
    while (o->dones == 0 || (o->rc == 0 && o->got < duel_peer.sent)
           || (o->rc == 0 && duel_peer.wire_len > 0))
    {
        duel_pump(o, 1);
    }
    VEIL_ASSERT((o->rc == 0) == ((mode & MODE_STRANGER) == 0));
}

static void
run(unsigned mode, const uint8_t *p, const uint8_t *end, bool bytewise)
{
    SSL_CTX *server = (mode & MODE_STRANGER) != 0 ? stranger_ctx : friend_ctx;
    int fd = duel_begin(server, mode, (size_t) (end - p));
    duel_owner_t *o;

    SSL_set_accept_state(duel_peer.ssl);
    o = client_open(fd, mode);
    if ((mode & MODE_RAW) != 0) {
        duel_raw(o, p, end, bytewise);
        VEIL_ASSERT(o->rc < 0);
    } else {
        run_script(o, mode, p, end);
    }
    duel_end(o);
}

/* A server that signs for localhost by itself; its certificate, if asked. */
static SSL_CTX *
make_server(const char *path)
{
    SSL_CTX *ssl = SSL_CTX_new(TLS_method());
    EVP_PKEY *key;
    X509 *x = duel_certificate(&key);
    FILE *f;

    VEIL_ASSERT(ssl != NULL);
    VEIL_ASSERT(SSL_CTX_use_certificate(ssl, x) == 1);
    VEIL_ASSERT(SSL_CTX_use_PrivateKey(ssl, key) == 1);
    if (path != NULL) {
        f = fopen(path, "w");
        VEIL_ASSERT(f != NULL);
        PEM_write_X509(f, x);
        fclose(f);
    }
    X509_free(x);
    EVP_PKEY_free(key);
    return ssl;
}

static void
prepare(void)
{
    static veil_conf_node_t node;
    char path[] = "/tmp/veil-fuzz-tls-XXXXXX";
    veil_tls_options_t o;

    duel_temp_file(path);
    friend_ctx = make_server(path);
    stranger_ctx = make_server(NULL);
    veil_tls_options_default(&o, false);
    o.node = &node;
    o.trusted = veil_str_z(path);
    duel_prepare(duel_conf(), &o);
    (void) unlink(path);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    unsigned mode;

    if (size < 1 || size > 4096) {
        return 0;
    }
    if (duel_loop == NULL) {
        prepare();
    }
    mode = *data++;
    size--;
    run(mode, data, data + size, false);
    if ((mode & MODE_RAW) != 0) {
        run(mode, data, data + size, true);
    }
    return 0;
}
