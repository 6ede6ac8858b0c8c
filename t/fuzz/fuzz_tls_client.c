/*
 * fuzz_tls_client.c -- what a server may do to the client's side of TLS.
 *
 * The mirror of fuzz_tls_record.c: the client is a connection with its
 * transport (event/tls_conn.c, tls_client.c) on the scripted back end, which
 * verifies and resumes, and the server a session of the library.  The first
 * byte of the input chooses how bytes arrive, the protocol, and whether the
 * rest is what the server sends, or a script of what it and the network
 * between do.
 *
 * What must always hold: the owner is told once how the handshake ended, gets
 * nothing that the server has not sent, in order, and everything if nobody
 * meddled; whoever cannot sign for the name is not taken for it.
 */

#include "core/platform.h"

#include <openssl/ec_key.h>
#include <openssl/nid.h>
#include <openssl/pem.h>
#include <openssl/x509.h>
#include <sys/socket.h>

#include "core/cycle.h"
#include "event/backend.h"
#include "event/sim.h"
#include "event/tls_impl.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define WIRE_MAX 65536
#define SENT_MAX 65536

/* Bits of the first byte. */
#define MODE_PIECES 0x01u
#define MODE_RAW 0x02u
#define MODE_TLS12 0x04u
#define MODE_STRANGER 0x08u /* the server's certificate is not trusted */
#define MODE_LATE 0x10u
#define MODE_SESSION 0x20u

typedef struct {
    veil_conn_t conn;
    veil_pool_t *pool;
    bool *closed;
    unsigned dones;
    unsigned eofs;
    int rc;
    size_t got;
    size_t wanted; /* written in all */
} owner_t;

/* The server, and the network. */
typedef struct {
    SSL *ssl;
    int fd;
    unsigned char wire[WIRE_MAX]; /* from it, not yet sent */
    size_t wire_len;
    size_t sent; /* bytes of data written */
    size_t got;
    bool meddled; /* somebody changed something */
    bool failed;
} peer_t;

static veil_loop_t *loop;
static veil_tls_ctx_t *ctx;
static SSL_CTX *friend_ctx, *stranger_ctx;
static peer_t peer;
static char pattern[SENT_MAX];

/* --- the client's owner ----------------------------------------------------
 */

static owner_t *
owner_of(veil_conn_t *c)
{
    return veil_container_of(c, owner_t, conn);
}

static void
owner_on_data(veil_conn_t *c, veil_buf_t *b)
{
    owner_t *o = owner_of(c);
    size_t n = veil_buf_len(b);

    VEIL_ASSERT(o->dones == 1 && o->rc == 0 && o->eofs == 0 && n > 0);
    VEIL_ASSERT(o->got + n <= peer.sent);
    VEIL_ASSERT(memcmp(b->pos, pattern + o->got, n) == 0);
    o->got += n;
    b->pos = b->end;
}

static void
owner_on_eof(veil_conn_t *c, int err VEIL_UNUSED)
{
    owner_t *o = owner_of(c);

    o->eofs++;
    VEIL_ASSERT(o->eofs == 1 && o->dones == 1 && o->rc == 0);
    if (veil_tls_was_closed(veil_tls_of(c))) {
        /* A goodbye cannot be made up, nor come before what it follows. */
        VEIL_ASSERT(o->got == peer.sent);
    }
}

static void
owner_on_sent(veil_conn_t *c, ssize_t res VEIL_UNUSED)
{
    VEIL_ASSERT(owner_of(c)->dones == 1);
}

static void
owner_on_timeout(veil_conn_t *c)
{
    veil_conn_abort(c);
}

static void
owner_on_closed(veil_conn_t *c)
{
    owner_t *o = owner_of(c);
    veil_pool_t *pool = o->pool;

    *o->closed = true;
    veil_pool_retire(&pool);
}

static const veil_conn_ops_t owner_ops = {
    .name = "fuzz",
    .on_data = owner_on_data,
    .on_eof = owner_on_eof,
    .on_sent = owner_on_sent,
    .on_read_timeout = owner_on_timeout,
    .on_write_timeout = owner_on_timeout,
    .on_closed = owner_on_closed,
};

static void
owner_done(veil_conn_t *c, int rc)
{
    owner_t *o = owner_of(c);

    VEIL_ASSERT(o->dones == 0 && rc <= 0);
    o->dones++;
    o->rc = rc;
    if (rc == 0) {
        VEIL_ASSERT(SSL_get_SSL_CTX(peer.ssl) == friend_ctx);
        veil_conn_read(c);
    }
}

static owner_t *
owner_open(int fd, unsigned mode, bool *closed)
{
    static veil_log_t log = { .level = VEIL_LOG_OFF };
    veil_pool_t *pool = veil_pool_create("fuzz", 2048);
    owner_t *o = veil_pool_zalloc(pool, sizeof(*o));
    veil_tls_target_t target = { .sni = VEIL_STR_INIT("localhost"),
                                 .verify = VEIL_STR_INIT("localhost") };

    if ((mode & MODE_SESSION) != 0) {
        target.session = VEIL_STR("session");
    }
    o->pool = pool;
    o->closed = closed;
    *closed = false;
    veil_conn_init(&o->conn, loop, pool, fd, NULL, &owner_ops, &log);
    veil_tls_connect(&o->conn, ctx, &target, owner_done);
    return o;
}

static void
owner_write(owner_t *o, size_t n)
{
    veil_slice_t v;

    if (o->dones == 1 && o->rc == 0 && !o->conn.closing
        && !veil_conn_is_writing(&o->conn) && o->wanted + n <= SENT_MAX
        && n > 0)
    {
        v = veil_slice_mem(pattern + o->wanted, n);
        o->wanted += n;
        veil_conn_write(&o->conn, &v, 1);
    }
}

/* --- the server and the network --------------------------------------------
 */

static void
peer_collect(void)
{
    BIO *out = SSL_get_wbio(peer.ssl);
    int n;

    do {
        n = BIO_read(out, peer.wire + peer.wire_len,
                     (int) (WIRE_MAX - peer.wire_len));
        peer.wire_len += n > 0 ? (size_t) n : 0;
    } while (n > 0);
    peer.meddled |= peer.wire_len == WIRE_MAX; /* the rest is lost */
}

static void
peer_send(size_t n)
{
    ssize_t sent;

    n = veil_min_size(n, peer.wire_len);
    sent = n == 0 ? 0 : send(peer.fd, peer.wire, n, MSG_NOSIGNAL);
    if (sent > 0) {
        peer.wire_len -= (size_t) sent;
        memmove(peer.wire, peer.wire + sent, peer.wire_len);
    }
}

/* What the client said, to the library. */
static void
peer_receive(void)
{
    char buf[16384];
    ssize_t n;
    int got;

    while ((n = recv(peer.fd, buf, sizeof(buf), 0)) > 0) {
        BIO_write(SSL_get_rbio(peer.ssl), buf, (int) n);
    }
    if (peer.failed) {
        return;
    }
    if (SSL_in_init(peer.ssl)) {
        got = SSL_do_handshake(peer.ssl);
    } else {
        while ((got = SSL_read(peer.ssl, buf, sizeof(buf))) > 0) {
            VEIL_ASSERT(peer.got + (size_t) got <= SENT_MAX);
            VEIL_ASSERT(memcmp(buf, pattern + peer.got, (size_t) got) == 0);
            peer.got += (size_t) got;
        }
    }
    if (got <= 0 && SSL_get_error(peer.ssl, got) != SSL_ERROR_WANT_READ) {
        peer.failed = true;
    }
    ERR_clear_error();
    peer_collect();
}

static void
peer_write(size_t n)
{
    if (peer.failed || SSL_in_init(peer.ssl) || n == 0
        || peer.sent + n > SENT_MAX) {
        return;
    }
    if (SSL_write(peer.ssl, pattern + peer.sent, (int) n) == (int) n) {
        peer.sent += n;
    }
    ERR_clear_error();
    peer_collect();
}

static void
peer_put(const uint8_t *p, size_t n)
{
    if (n > 0 && peer.wire_len + n <= WIRE_MAX) {
        memcpy(peer.wire + peer.wire_len, p, n);
        peer.wire_len += n;
        peer.meddled = true;
    }
}

static void
peer_lose(size_t n)
{
    n = veil_min_size(n, peer.wire_len);
    if (n > 0) {
        peer.wire_len -= n;
        memmove(peer.wire, peer.wire + n, peer.wire_len);
        peer.meddled = true;
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
pump(unsigned rounds)
{
    while (rounds-- > 0) {
        peer_receive();
        peer_send(WIRE_MAX);
        turns(2);
    }
}

/* Of the server and the network; false: it is one of the owner's. */
static bool
act(unsigned what, unsigned arg, const uint8_t **p, const uint8_t *end)
{
    size_t n = veil_min_size(arg, (size_t) (end - *p));

    switch (what) {
    case 0:
        pump(1 + arg % 8);
        return true;
    case 1:
        peer_send(arg);
        turns(1);
        return true;
    case 2:
        if (peer.wire_len > 0) {
            peer.wire[arg * 7 % peer.wire_len] ^= (uint8_t) (arg | 1);
            peer.meddled = true;
        }
        return true;
    case 3:
        peer_lose(arg);
        return true;
    case 4: /* from the input */
        peer_put(*p, n);
        *p += n;
        return true;
    case 5:
        peer_put(peer.wire, veil_min_size(arg, peer.wire_len));
        return true;
    case 6:
        peer_write(arg * (size_t) 97);
        return true;
    case 7: /* a client bears only so many without data */
        if (!peer.failed && peer.sent < SENT_MAX) {
            (void) SSL_key_update(peer.ssl, (int) (arg & 1));
            peer_write(1);
        }
        return true;
    case 8:
        if (!peer.failed && !SSL_in_init(peer.ssl)) {
            (void) SSL_shutdown(peer.ssl);
            peer.failed = true; /* it says nothing any more */
            peer_collect();
        }
        return true;
    case 9:
        (void) shutdown(peer.fd, SHUT_WR);
        peer.meddled = true;
        return true;
    default:
        return false;
    }
}

static void
act_owner(owner_t *o, unsigned what, unsigned arg)
{
    if (what == 15) {
        peer.meddled = true;
        veil_conn_close(&o->conn);
        return;
    }
    if (o->dones == 0 || o->rc != 0) {
        return;
    }
    if (what == 10) {
        owner_write(o, arg * (size_t) 131);
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
run_script(owner_t *o, unsigned mode, const uint8_t *p, const uint8_t *end)
{
    const bool *closed = o->closed;
    unsigned what, arg;

    turns(2);
    peer_receive();
    while (end - p >= 2) {
        what = *p++ & 15;
        arg = *p++;
        if (!act(what, arg, &p, end) && !*closed && !o->conn.closing) {
            act_owner(o, what, arg);
        }
    }
    if (!*closed && !o->conn.closing && o->dones == 1 && o->rc == 0) {
        veil_conn_read(&o->conn);
    }
    pump(40);
    if (peer.meddled || *closed || o->conn.closing) {
        return;
    }
    /* Nobody did any harm: all goes well, if it takes its time. */
    while (o->dones == 0 || (o->rc == 0 && o->got < peer.sent)
           || (o->rc == 0 && peer.wire_len > 0))
    {
        pump(1);
    }
    VEIL_ASSERT((o->rc == 0) == ((mode & MODE_STRANGER) == 0));
}

static void
run_raw(owner_t *o, const uint8_t *p, const uint8_t *end, bool bytewise)
{
    size_t n;

    while (p < end) {
        n = bytewise ? 1 : (size_t) (end - p);
        peer_put(p, n);
        p += n;
        peer_send(WIRE_MAX);
        turns(2);
    }
    pump(4);
    (void) shutdown(peer.fd, SHUT_WR);
    while (!*o->closed && o->dones == 0) {
        pump(1);
    }
    VEIL_ASSERT(o->rc < 0);
}

static void
peer_open(unsigned mode, int fd)
{
    peer.wire_len = peer.sent = peer.got = 0;
    peer.meddled = false;
    peer.failed = (mode & MODE_RAW) != 0;
    peer.fd = fd;
    peer.ssl =
        SSL_new((mode & MODE_STRANGER) != 0 ? stranger_ctx : friend_ctx);
    SSL_set_bio(peer.ssl, BIO_new(BIO_s_mem()), BIO_new(BIO_s_mem()));
    SSL_set_accept_state(peer.ssl);
    if ((mode & MODE_TLS12) != 0) {
        SSL_set_max_proto_version(peer.ssl, TLS1_2_VERSION);
    }
}

static void
run(unsigned mode, const uint8_t *p, const uint8_t *end, bool bytewise)
{
    veil_sim_script_t script = { .seed = (uint64_t) (end - p) + 1 };
    owner_t *o;
    bool closed;
    int fds[2];

    VEIL_ASSERT(
        socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, fds)
        == 0);
    script.piece = (mode & MODE_PIECES) != 0 ? 100 : 0;
    script.late = (mode & MODE_LATE) != 0 ? 30 : 0;
    script.late_cancel = script.late;
    veil_sim_script(loop, &script);
    peer_open(mode, fds[1]);
    o = owner_open(fds[0], mode, &closed);
    if ((mode & MODE_RAW) != 0) {
        run_raw(o, p, end, bytewise);
    } else {
        run_script(o, mode, p, end);
    }
    if (!closed) {
        veil_conn_close(&o->conn);
    }
    (void) close(peer.fd);
    while (!closed) {
        turns(1);
    }
    turns(3);
    SSL_free(peer.ssl);
    VEIL_ASSERT(loop->nops == 0 && loop->nhandles == 0);
    VEIL_ASSERT(veil_block_count() == 0);
    ERR_clear_error();
}

/* --- once ------------------------------------------------------------------
 */

/* A server that signs for localhost by itself; its certificate, if asked. */
static SSL_CTX *
make_server(const char *path)
{
    SSL_CTX *ssl = SSL_CTX_new(TLS_method());
    EC_KEY *ec = EC_KEY_new_by_curve_name(NID_X9_62_prime256v1);
    EVP_PKEY *key = EVP_PKEY_new();
    X509 *x = X509_new();
    FILE *f;

    VEIL_ASSERT(ssl != NULL && EC_KEY_generate_key(ec));
    VEIL_ASSERT(EVP_PKEY_assign_EC_KEY(key, ec));
    X509_set_version(x, X509_VERSION_3);
    X509_gmtime_adj(X509_getm_notBefore(x), -3600);
    X509_gmtime_adj(X509_getm_notAfter(x), 365 * 86400);
    X509_set_pubkey(x, key);
    X509_NAME_add_entry_by_txt(X509_get_subject_name(x), "CN", MBSTRING_ASC,
                               (const uint8_t *) "localhost", -1, -1, 0);
    X509_set_issuer_name(x, X509_get_subject_name(x));
    VEIL_ASSERT(X509_sign(x, key, EVP_sha256()) > 0);
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
    static veil_conf_t cf;
    veil_loop_options_t options = {
        .backend = "sim", .connections = 8, .buffer_size = 4096, .buffers = 8
    };
    char path[] = "/tmp/veil-fuzz-tls-XXXXXX";
    veil_tls_options_t o;
    size_t i;
    int fd = mkstemp(path);

    VEIL_ASSERT(fd >= 0);
    (void) close(fd);
    friend_ctx = make_server(path);
    stranger_ctx = make_server(NULL);
    cf.cycle = veil_cycle_create(VEIL_STR("/tmp"), VEIL_STR("c"),
                                 VEIL_STR("stderr"), VEIL_STR_NULL);
    cf.pool = cf.cycle->pool;
    cf.temp_pool = veil_pool_create("temp", 4096);
    cf.log = &cf.cycle->log;
    veil_tls_options_default(&o, false);
    o.node = &node;
    o.trusted = veil_str_z(path);
    ctx = veil_tls_ctx_create(&cf, &o);
    VEIL_ASSERT(ctx != NULL);
    (void) unlink(path);

    loop = veil_loop_create(&options);
    VEIL_ASSERT(loop != NULL);
    for (i = 0; i < SENT_MAX; i++) {
        pattern[i] = (char) (i * 7 + (i >> 8));
    }
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    unsigned mode;

    if (size < 1 || size > 4096) {
        return 0;
    }
    if (loop == NULL) {
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
