/*
 * fuzz_tls_record.c -- what a client may do to the server's side of TLS.
 *
 * The server is a connection with its transport (event/tls_conn.c) on the
 * scripted back end and one end of a socket pair.  The first byte of the
 * input chooses how bytes arrive (as they are, or 1 to 8 at a time), the
 * protocol, whether the context comes later, whether the client resumes a
 * session with early data, and what the client is:
 *
 *   raw      the rest of the input is what it sends
 *   honest   a session of the library, and the rest of the input is a script
 *            of what it and the network between do: bytes held back, flipped,
 *            lost, repeated, put in; data, key updates, alerts, ends
 *
 * Keys and random numbers are new in each run, so an input need not do the
 * same twice; it mostly does.  What must always hold: the server's owner is
 * told once how the handshake ended, gets nothing that the client has not
 * sent, in order; and everything, if nobody meddled.
 */

#include "core/platform.h"

#include <openssl/ec_key.h>
#include <openssl/nid.h>
#include <openssl/pem.h>
#include <openssl/rand.h>
#include <openssl/x509.h>
#include <sys/socket.h>

#include "core/cycle.h"
#include "event/backend.h"
#include "event/sim.h"
#include "event/tls_impl.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define WIRE_MAX 65536
#define SENT_MAX 65536
#define EARLY_MAX 12000

/* Bits of the first byte. */
#define MODE_PIECES 0x01u
#define MODE_RAW 0x02u
#define MODE_TLS12 0x04u
#define MODE_LATER 0x08u
#define MODE_LATE 0x10u
#define MODE_EARLY 0x20u

typedef struct {
    veil_conn_t conn;
    veil_pool_t *pool;
    bool *closed;
    unsigned dones;
    unsigned eofs;
    int rc;
    bool plain;
    bool later;
    size_t got;    /* bytes of data */
    size_t wanted; /* written in all */
} server_t;

typedef struct {
    SSL *ssl;
    int fd;
    unsigned char wire[WIRE_MAX]; /* from the client, not yet sent */
    size_t wire_len;
    size_t sent; /* bytes of data written */
    size_t got;
    bool meddled;   /* somebody changed something */
    bool failed;    /* or it was told the end */
    bool got_close; /* in order */
    /* The server has nothing more to say, and said this much. */
    bool is_goodbye;
    size_t to_get;
} client_t;

static veil_loop_t *loop;
static veil_tls_ctx_t *ctx;
static SSL_CTX *client_ctx;
static SSL_SESSION *session; /* the newest */
static client_t client;
static char pattern[SENT_MAX];

/* --- the server's owner ----------------------------------------------------
 */

static server_t *
server_of(veil_conn_t *c)
{
    return veil_container_of(c, server_t, conn);
}

static void
server_on_data(veil_conn_t *c, veil_buf_t *b)
{
    server_t *s = server_of(c);
    size_t n = veil_buf_len(b);

    VEIL_ASSERT(s->dones == 1 && s->eofs == 0 && n > 0);
    if (!s->plain) {
        VEIL_ASSERT(s->rc == 0 && s->got + n <= client.sent);
        VEIL_ASSERT(memcmp(b->pos, pattern + s->got, n) == 0);
    }
    s->got += n;
    b->pos = b->end;
}

static void
server_on_eof(veil_conn_t *c, int err VEIL_UNUSED)
{
    server_of(c)->eofs++;
    VEIL_ASSERT(server_of(c)->eofs == 1 && server_of(c)->dones == 1);
}

static void
server_on_sent(veil_conn_t *c, ssize_t res)
{
    VEIL_ASSERT(res < 0 || (size_t) res <= SENT_MAX);
    VEIL_ASSERT(server_of(c)->dones == 1);
}

static void
server_on_timeout(veil_conn_t *c)
{
    veil_conn_abort(c);
}

static void
server_on_closed(veil_conn_t *c)
{
    server_t *s = server_of(c);
    veil_pool_t *pool = s->pool;

    *s->closed = true;
    veil_pool_retire(&pool);
}

static const veil_conn_ops_t server_ops = {
    .name = "fuzz",
    .on_data = server_on_data,
    .on_eof = server_on_eof,
    .on_sent = server_on_sent,
    .on_read_timeout = server_on_timeout,
    .on_write_timeout = server_on_timeout,
    .on_closed = server_on_closed,
};

static void
server_done(veil_conn_t *c, int rc)
{
    server_t *s = server_of(c);

    VEIL_ASSERT(s->dones == 0);
    s->dones++;
    s->rc = rc;
    s->plain = rc == VEIL_TLS_PLAIN;
    if (rc >= 0) {
        veil_conn_read(c);
    }
}

static veil_tls_ctx_t *
server_select(veil_conn_t *c, veil_str_t name)
{
    server_t *s = server_of(c);

    VEIL_ASSERT(name.len == 0 || strlen(name.data) == name.len);
    if (s->later) {
        return VEIL_TLS_LATER;
    }
    return ctx;
}

static const veil_tls_accept_ops_t server_accept = {
    .done = server_done,
    .select = server_select,
};

static server_t *
server_open(int fd, unsigned mode, bool *closed)
{
    static veil_log_t log = { .level = VEIL_LOG_OFF };
    veil_pool_t *pool = veil_pool_create("fuzz", 2048);
    server_t *s = veil_pool_zalloc(pool, sizeof(*s));

    s->pool = pool;
    s->closed = closed;
    s->later = (mode & MODE_LATER) != 0;
    *closed = false;
    veil_conn_init(&s->conn, loop, pool, fd, NULL, &server_ops, &log);
    veil_tls_accept(&s->conn, ctx, &server_accept);
    return s;
}

/* select() was asked and has put it off. */
static void
server_select_now(server_t *s)
{
    veil_tls_t *t = veil_tls_of(&s->conn);

    if (s->later && t != NULL && t->later && !s->conn.closing) {
        s->later = false;
        veil_tls_select(&s->conn, ctx);
    }
}

static void
server_write(server_t *s, size_t n)
{
    veil_slice_t v;

    if (s->dones == 1 && s->rc >= 0 && !s->conn.closing && !s->plain
        && !veil_conn_is_writing(&s->conn) && s->wanted + n <= SENT_MAX
        && n > 0)
    {
        v = veil_slice_mem(pattern + s->wanted, n);
        s->wanted += n;
        veil_conn_write(&s->conn, &v, 1);
    }
}

/* --- the client and the network --------------------------------------------
 */

static void
client_meddle(void)
{
    client.meddled = true;
}

/* What it wants to say. */
static void
client_collect(void)
{
    BIO *out = SSL_get_wbio(client.ssl);
    int n;

    do {
        n = BIO_read(out, client.wire + client.wire_len,
                     (int) (WIRE_MAX - client.wire_len));
        if (n > 0) {
            client.wire_len += (size_t) n;
        }
    } while (n > 0);
    if (client.wire_len == WIRE_MAX) {
        client_meddle(); /* the rest is lost */
    }
}

static void
client_send(size_t n)
{
    ssize_t sent;

    n = veil_min_size(n, client.wire_len);
    sent = n == 0 ? 0 : send(client.fd, client.wire, n, MSG_NOSIGNAL);
    if (sent > 0) {
        client.wire_len -= (size_t) sent;
        memmove(client.wire, client.wire + sent, client.wire_len);
    }
}

/* What the server said, to the library. */
static void
client_receive(void)
{
    char buf[16384];
    ssize_t n;
    int got;

    while ((n = recv(client.fd, buf, sizeof(buf), 0)) > 0) {
        BIO_write(SSL_get_rbio(client.ssl), buf, (int) n);
    }
    if (client.failed) {
        return;
    }
    if (SSL_in_init(client.ssl)) {
        got = SSL_do_handshake(client.ssl);
        if (got <= 0
            && SSL_get_error(client.ssl, got) == SSL_ERROR_EARLY_DATA_REJECTED)
        {
            /* As if it had not been said. */
            SSL_reset_early_data_reject(client.ssl);
            client.sent = 0;
            got = SSL_do_handshake(client.ssl);
        }
    } else {
        while ((got = SSL_read(client.ssl, buf, sizeof(buf))) > 0) {
            VEIL_ASSERT(client.got + (size_t) got <= SENT_MAX);
            VEIL_ASSERT(memcmp(buf, pattern + client.got, (size_t) got) == 0);
            client.got += (size_t) got;
        }
    }
    if (got <= 0 && SSL_get_error(client.ssl, got) != SSL_ERROR_WANT_READ) {
        client.failed = true;
        client.got_close =
            SSL_get_error(client.ssl, got) == SSL_ERROR_ZERO_RETURN;
    }
    ERR_clear_error();
    client_collect();
}

static void
client_write(size_t n)
{
    if (client.failed || n == 0 || client.sent + n > SENT_MAX
        || (SSL_in_init(client.ssl) && !SSL_in_early_data(client.ssl)))
    {
        return;
    }
    if (SSL_in_init(client.ssl)) {
        /* There is a limit to early data, and a write is all or nothing. */
        n = veil_min_size(n, 1000);
        if (client.sent + n > EARLY_MAX) {
            return;
        }
    }
    if (SSL_write(client.ssl, pattern + client.sent, (int) n) == (int) n) {
        client.sent += n;
    }
    ERR_clear_error();
    client_collect();
}

static void
client_put(const uint8_t *p, size_t n)
{
    if (n > 0 && client.wire_len + n <= WIRE_MAX) {
        memcpy(client.wire + client.wire_len, p, n);
        client.wire_len += n;
        client_meddle();
    }
}

/* --- one run ---------------------------------------------------------------
 */

static void
turns(unsigned n)
{
    while (n-- > 0) {
        veil_loop_turn(loop, 0);
    }
}

/* Everybody says what he has, and hears it. */
static void
pump(server_t *s, bool *closed, unsigned rounds)
{
    while (rounds-- > 0) {
        client_receive();
        client_send(WIRE_MAX);
        turns(2);
        if (!*closed) {
            server_select_now(s);
        }
    }
}

static void
act(server_t *s, bool *closed, unsigned what, unsigned arg, const uint8_t **p,
    const uint8_t *end)
{
    size_t n = veil_min_size(arg, (size_t) (end - *p));

    switch (what) {
    case 0:
        pump(s, closed, 1 + arg % 8);
        break;
    case 1:
        client_send(arg);
        turns(1);
        break;
    case 2:
        if (client.wire_len > 0) {
            client.wire[arg * 7 % client.wire_len] ^= (uint8_t) (arg | 1);
            client_meddle();
        }
        break;
    case 3:
        n = veil_min_size(arg, client.wire_len);
        if (n > 0) {
            client.wire_len -= n;
            memmove(client.wire, client.wire + n, client.wire_len);
            client_meddle();
        }
        break;
    case 4: /* from the input */
        client_put(*p, n);
        *p += n;
        break;
    case 5:
        n = veil_min_size(arg, client.wire_len);
        client_put(client.wire, n);
        break;
    case 6:
        client_write(arg * (size_t) 97);
        break;
    case 7: /* a peer bears only so many without data */
        if (!client.failed && client.sent < SENT_MAX) {
            (void) SSL_key_update(client.ssl, (int) (arg & 1));
            client_write(1);
        }
        break;
    case 8:
        if (!client.failed && !SSL_in_init(client.ssl)) {
            (void) SSL_shutdown(client.ssl);
            client_collect();
        }
        break;
    case 9:
        (void) shutdown(client.fd, SHUT_WR);
        client_meddle();
        break;
    default:
        if (*closed || s->conn.closing) {
            return;
        }
        switch (what) {
        case 10:
            server_write(s, arg * (size_t) 131);
            break;
        case 11:
            if (s->dones == 1 && s->rc >= 0) {
                veil_conn_hold(&s->conn);
            }
            break;
        case 12:
            if (s->dones == 1 && s->rc >= 0) {
                veil_conn_read(&s->conn);
            }
            break;
        case 13:
            if (s->dones == 1 && s->rc >= 0 && !veil_conn_is_writing(&s->conn))
            {
                if (!client.is_goodbye) {
                    client.is_goodbye = true;
                    client.to_get = s->wanted;
                }
                veil_conn_shutdown(&s->conn);
                s->wanted = SENT_MAX; /* no more writes */
            }
            break;
        case 14:
            server_select_now(s);
            break;
        case 15:
            if (!client.is_goodbye && s->dones == 1 && s->rc == 0
                && !veil_conn_is_writing(&s->conn))
            {
                client.is_goodbye = true;
                client.to_get = s->wanted;
            }
            veil_conn_close(&s->conn);
            break;
        }
    }
}

static void
run_script(server_t *s, bool *closed, const uint8_t *p, const uint8_t *end)
{
    unsigned what, arg;
    bool was_closed;

    client_receive();
    while (end - p >= 2) {
        what = *p++ & 15;
        arg = *p++;
        act(s, closed, what, arg, &p, end);
    }
    was_closed = *closed || s->conn.closing;
    if (!was_closed && s->dones == 1 && s->rc >= 0) {
        veil_conn_read(&s->conn);
    }
    pump(s, closed, 40);
    if (client.meddled) {
        return;
    }
    /* The end is said, after everything else. */
    while (client.is_goodbye && !client.failed && !(was_closed && *closed)) {
        pump(s, closed, 1);
    }
    client_receive();
    VEIL_ASSERT(!client.is_goodbye
                || (client.got_close && client.got == client.to_get));
    if (was_closed) {
        return;
    }
    /* Nobody did any harm: all goes well, if it takes its time. */
    while (s->dones == 0 || s->got < client.sent || client.wire_len > 0) {
        pump(s, closed, 1);
    }
    VEIL_ASSERT(s->rc == 0);
    VEIL_ASSERT(s->got == client.sent);
}

/* Whole, or a byte at a time; what the owner was told at the end. */
static void
run_raw(server_t *s, bool *closed, const uint8_t *p, const uint8_t *end,
        bool bytewise)
{
    while (p < end) {
        client_put(p, bytewise ? 1 : (size_t) (end - p));
        p += bytewise ? 1 : end - p;
        client_send(WIRE_MAX);
        turns(2);
        if (!*closed) {
            server_select_now(s);
        }
    }
    pump(s, closed, 4);
    (void) shutdown(client.fd, SHUT_WR);
    while (s->dones == 0) {
        pump(s, closed, 1);
    }
}

static void
client_open(unsigned mode, int fd)
{
    client.wire_len = client.sent = client.got = 0;
    client.meddled = client.got_close = client.is_goodbye = false;
    client.failed = (mode & MODE_RAW) != 0;
    client.fd = fd;
    client.ssl = SSL_new(client_ctx);
    SSL_set_bio(client.ssl, BIO_new(BIO_s_mem()), BIO_new(BIO_s_mem()));
    SSL_set_connect_state(client.ssl);
    SSL_set_tlsext_host_name(client.ssl, "localhost");
    if ((mode & MODE_TLS12) != 0) {
        SSL_set_max_proto_version(client.ssl, TLS1_2_VERSION);
    }
    if ((mode & MODE_EARLY) != 0 && session != NULL) {
        SSL_set_session(client.ssl, session);
        SSL_set_early_data_enabled(client.ssl, 1);
    }
}

/* Returns what the handshake came to. */
static int
run(unsigned mode, const uint8_t *p, const uint8_t *end, bool bytewise)
{
    veil_sim_script_t script = { .seed = (uint64_t) (end - p) + 1 };
    server_t *s;
    bool closed;
    int fds[2], rc;

    VEIL_ASSERT(
        socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, fds)
        == 0);
    script.piece = (mode & MODE_PIECES) != 0 ? 100 : 0;
    script.late = (mode & MODE_LATE) != 0 ? 30 : 0;
    script.late_cancel = script.late;
    veil_sim_script(loop, &script);
    client_open(mode, fds[1]);
    s = server_open(fds[0], mode, &closed);
    if ((mode & MODE_RAW) != 0) {
        run_raw(s, &closed, p, end, bytewise);
    } else {
        run_script(s, &closed, p, end);
    }
    rc = closed ? 0 : s->rc;
    if (!closed) {
        veil_conn_close(&s->conn);
    }
    (void) close(client.fd);
    while (!closed) {
        turns(1);
    }
    turns(3);
    SSL_free(client.ssl);
    VEIL_ASSERT(loop->nops == 0 && loop->nhandles == 0);
    VEIL_ASSERT(veil_block_count() == 0);
    ERR_clear_error();
    return rc;
}

/* --- once ------------------------------------------------------------------
 */

static void
write_certificate(const char *path)
{
    EC_KEY *ec = EC_KEY_new_by_curve_name(NID_X9_62_prime256v1);
    EVP_PKEY *key = EVP_PKEY_new();
    X509 *x = X509_new();
    FILE *f = fopen(path, "w");

    VEIL_ASSERT(f != NULL && EC_KEY_generate_key(ec));
    VEIL_ASSERT(EVP_PKEY_assign_EC_KEY(key, ec));
    X509_set_version(x, X509_VERSION_3);
    X509_gmtime_adj(X509_getm_notBefore(x), -3600);
    X509_gmtime_adj(X509_getm_notAfter(x), 365 * 86400);
    X509_set_pubkey(x, key);
    X509_NAME_add_entry_by_txt(X509_get_subject_name(x), "CN", MBSTRING_ASC,
                               (const uint8_t *) "localhost", -1, -1, 0);
    X509_set_issuer_name(x, X509_get_subject_name(x));
    VEIL_ASSERT(X509_sign(x, key, EVP_sha256()) > 0);
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
    static veil_conf_t cf;
    veil_loop_options_t options = {
        .backend = "sim", .connections = 8, .buffer_size = 4096, .buffers = 8
    };
    char path[] = "/tmp/veil-fuzz-tls-XXXXXX";
    char tickets[] = "/tmp/veil-fuzz-key-XXXXXX";
    veil_tls_cert_files_t *files;
    veil_tls_options_t o;
    size_t i;
    int fd = mkstemp(path), key = mkstemp(tickets);

    VEIL_ASSERT(fd >= 0 && key >= 0);
    (void) close(fd);
    (void) close(key);
    write_certificate(path);
    write_ticket_key(tickets);
    cf.cycle = veil_cycle_create(VEIL_STR("/tmp"), VEIL_STR("c"),
                                 VEIL_STR("stderr"), VEIL_STR_NULL);
    cf.pool = cf.cycle->pool;
    cf.temp_pool = veil_pool_create("temp", 4096);
    cf.log = &cf.cycle->log;
    veil_tls_options_default(&o, true);
    o.node = &node;
    o.sign = VEIL_TLS_SIGN_INLINE;
    o.certs = veil_array_create(cf.pool, sizeof(*files), 1);
    files = veil_array_push(o.certs);
    files->cert = files->key = veil_str_z(path);
    files->cert_node = files->key_node = &node;
    o.early_data = true;
    o.ticket_keys = veil_array_create(cf.pool, sizeof(veil_str_t), 1);
    *(veil_str_t *) veil_array_push(o.ticket_keys) = veil_str_z(tickets);
    ctx = veil_tls_ctx_create(&cf, &o);
    VEIL_ASSERT(ctx != NULL);
    (void) unlink(path);
    (void) unlink(tickets);

    client_ctx = SSL_CTX_new(TLS_method());
    SSL_CTX_set_session_cache_mode(
        client_ctx, SSL_SESS_CACHE_CLIENT | SSL_SESS_CACHE_NO_INTERNAL);
    SSL_CTX_sess_set_new_cb(client_ctx, new_session);
    loop = veil_loop_create(&options);
    VEIL_ASSERT(loop != NULL && client_ctx != NULL);
    for (i = 0; i < SENT_MAX; i++) {
        pattern[i] = (char) (i * 7 + (i >> 8));
    }
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
    if (loop == NULL) {
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
