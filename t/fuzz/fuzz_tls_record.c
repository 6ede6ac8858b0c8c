/*
 * fuzz_tls_record.c -- what a client may do to the server's side of TLS.
 *
 * The owner is a server, and the peer a client (tls_duel.h).  The first byte
 * of the input chooses how bytes arrive (as they are, or 1 to 8 at a time),
 * the protocol, whether the context comes later, whether the client resumes a
 * session with early data, and what the client is:
 *
 *   raw      the rest of the input is what it sends
 *   honest   a session of the library, and the rest of the input is a script
 *            of what it and the network between do: bytes held back, flipped,
 *            lost, repeated, put in; data, key updates, alerts, ends
 *
 * What must always hold, besides: everything arrives if nobody meddled, the
 * end of both sides in order, and bytes one by one come to the same as all
 * at once.
 */

#include "tls_duel.h"

#include <openssl/rand.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define MODE_LATER 0x08u
#define MODE_EARLY 0x20u

static SSL_CTX *client_ctx;
static SSL_SESSION *session; /* the newest */

/* The server has nothing more to say, and said this much. */
static bool is_goodbye;
static size_t to_get;

static veil_tls_ctx_t *
server_select(veil_conn_t *c, veil_str_t name)
{
    VEIL_ASSERT(name.len == 0 || strlen(name.data) == name.len);
    return duel_owner_of(c)->later ? VEIL_TLS_LATER : duel_ctx;
}

static const veil_tls_accept_ops_t server_accept = {
    .done = duel_done,
    .select = server_select,
};

static duel_owner_t *
server_open(int fd, unsigned mode)
{
    duel_owner_t *o = duel_owner_create(fd);

    o->later = (mode & MODE_LATER) != 0;
    veil_tls_accept(&o->conn, duel_ctx, &server_accept);
    return o;
}

static void
server_goodbye(const duel_owner_t *o)
{
    if (!is_goodbye) {
        is_goodbye = true;
        to_get = o->wanted;
    }
}

static void
server_act(duel_owner_t *o, unsigned what, unsigned arg)
{
    bool open = duel_is_open(o);

    switch (what) {
    case 10:
        duel_owner_write(o, arg * (size_t) 131);
        break;
    case 11:
        if (open) {
            veil_conn_hold(&o->conn);
        }
        break;
    case 12:
        if (open) {
            veil_conn_read(&o->conn);
        }
        break;
    case 13:
        if (open && !veil_conn_is_writing(&o->conn)) {
            server_goodbye(o);
            veil_conn_shutdown(&o->conn);
            o->wanted = SENT_MAX; /* no more writes */
        }
        break;
    case 14:
        duel_select_now(o);
        break;
    case 15:
        if (open && o->rc == 0 && !veil_conn_is_writing(&o->conn)) {
            server_goodbye(o);
        }
        veil_conn_close(&o->conn);
        break;
    }
}

static void
run_script(duel_owner_t *o, const uint8_t *p, const uint8_t *end)
{
    unsigned what, arg;
    bool was_closed;

    duel_peer_receive();
    while (end - p >= 2) {
        what = *p++ & 15;
        arg = *p++;
        if (!duel_act(o, what, arg, &p, end) && !duel_closed
            && !o->conn.closing) {
            server_act(o, what, arg);
        }
    }
    was_closed = duel_closed || o->conn.closing;
    if (duel_is_open(o)) {
        veil_conn_read(&o->conn);
    }
    duel_pump(o, 40);
    if (duel_peer.meddled) {
        return;
    }
    /* The end is said, after everything else. */
    while (is_goodbye && !duel_peer.failed && !(was_closed && duel_closed)) {
        duel_pump(o, 1);
    }
    duel_peer_receive();
    VEIL_ASSERT(!is_goodbye
                || (duel_peer.got_close && duel_peer.got == to_get));
    if (was_closed) {
        return;
    }
    /* Nobody did any harm: all goes well, if it takes its time. */
    while (o->dones == 0 || o->got < duel_peer.sent || duel_peer.wire_len > 0)
    {
        duel_pump(o, 1);
    }
    VEIL_ASSERT(o->rc == 0);
    VEIL_ASSERT(o->got == duel_peer.sent);
}

/* Returns what the handshake came to. */
static int
run(unsigned mode, const uint8_t *p, const uint8_t *end, bool bytewise)
{
    int fd = duel_begin(client_ctx, mode, (size_t) (end - p)), rc;
    duel_owner_t *o;

    is_goodbye = false;
    SSL_set_connect_state(duel_peer.ssl);
    SSL_set_tlsext_host_name(duel_peer.ssl, "localhost");
    if ((mode & MODE_EARLY) != 0 && session != NULL) {
        SSL_set_session(duel_peer.ssl, session);
        SSL_set_early_data_enabled(duel_peer.ssl, 1);
    }
    o = server_open(fd, mode);
    if ((mode & MODE_RAW) != 0) {
        duel_raw(o, p, end, bytewise);
    } else {
        run_script(o, p, end);
    }
    rc = duel_closed ? 0 : o->rc;
    duel_end(o);
    return rc;
}

/* --- once ------------------------------------------------------------------
 */

static void
write_certificate(const char *path)
{
    EVP_PKEY *key;
    X509 *x = duel_certificate(&key);
    FILE *f = fopen(path, "w");

    VEIL_ASSERT(f != NULL);
    PEM_write_X509(f, x);
    PEM_write_PrivateKey(f, key, NULL, NULL, 0, NULL, NULL);
    fclose(f);
    X509_free(x);
    EVP_PKEY_free(key);
}

static int
new_session(SSL *ssl VEIL_UNUSED, SSL_SESSION *s)
{
    if (!SSL_SESSION_early_data_capable(s)) {
        return 0;
    }
    SSL_SESSION_free(session);
    session = s;
    return 1;
}

/* A file of random bytes. */
static void
write_ticket_key(const char *path)
{
    char key[80];
    FILE *f = fopen(path, "w");

    RAND_bytes((uint8_t *) key, sizeof(key));
    VEIL_ASSERT(f != NULL && fwrite(key, sizeof(key), 1, f) == 1);
    fclose(f);
}

static void
prepare(void)
{
    static const uint8_t talk[] = { 0, 3, 6, 1, 0, 3, 10, 1, 0, 3 };
    static veil_conf_node_t node;
    veil_conf_t *cf = duel_conf();
    char path[] = "/tmp/veil-fuzz-tls-XXXXXX";
    char tickets[] = "/tmp/veil-fuzz-key-XXXXXX";
    veil_tls_cert_files_t *files;
    veil_tls_options_t o;

    duel_temp_file(path);
    duel_temp_file(tickets);
    write_certificate(path);
    write_ticket_key(tickets);
    veil_tls_options_default(&o, true);
    o.node = &node;
    o.sign = VEIL_TLS_SIGN_INLINE;
    o.certs = veil_array_create(cf->pool, sizeof(*files), 1);
    files = veil_array_push(o.certs);
    files->cert = files->key = veil_str_z(path);
    files->cert_node = files->key_node = &node;
    o.early_data = true;
    o.ticket_keys = veil_array_create(cf->pool, sizeof(veil_str_t), 1);
    *(veil_str_t *) veil_array_push(o.ticket_keys) = veil_str_z(tickets);
    duel_prepare(cf, &o);
    (void) unlink(path);
    (void) unlink(tickets);

    client_ctx = SSL_CTX_new(TLS_method());
    VEIL_ASSERT(client_ctx != NULL);
    SSL_CTX_set_session_cache_mode(
        client_ctx, SSL_SESS_CACHE_CLIENT | SSL_SESS_CACHE_NO_INTERNAL);
    SSL_CTX_sess_set_new_cb(client_ctx, new_session);
    (void) run(0, talk, talk + sizeof(talk), false);
    VEIL_ASSERT(session != NULL);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    unsigned mode;
    int whole, pieces;

    if (size < 1 || size > 4096) {
        return 0;
    }
    if (duel_loop == NULL) {
        prepare();
    }
    mode = *data++;
    size--;
    whole = run(mode, data, data + size, false);
    if ((mode & MODE_RAW) != 0) {
        pieces = run(mode, data, data + size, true);
        VEIL_ASSERT(whole == pieces);
    }
    return 0;
}
