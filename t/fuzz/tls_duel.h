/*
 * tls_duel.h -- what the two ends of TLS are fuzzed with: an end of ours, and
 * what it has to do with.
 *
 * The owner has a connection with its transport (event/tls_conn.c) on the
 * scripted back end and one end of a socket pair.  The peer is a session of
 * the library at the other end, and the network: what it says lies on a wire,
 * where bytes are held back, flipped, lost, repeated and put in.
 *
 * What both ends hold is asserted here: the owner is told once how the
 * handshake ended, and gets nothing that the peer has not sent, in order.
 *
 * Keys and random numbers are new in each run, so an input need not do the
 * same twice; it mostly does.
 */

#ifndef VEIL_T_FUZZ_TLS_DUEL_H
#define VEIL_T_FUZZ_TLS_DUEL_H

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

#define WIRE_MAX 65536
#define SENT_MAX 65536
#define EARLY_MAX 12000

/* Bits of the first byte; 0x08 and 0x20 are the target's own. */
#define MODE_PIECES 0x01u
#define MODE_RAW 0x02u
#define MODE_TLS12 0x04u
#define MODE_LATE 0x10u

typedef struct {
    veil_conn_t conn;
    veil_pool_t *pool;
    unsigned dones;
    unsigned eofs;
    int rc;
    bool later;    /* a server: select() is to be put off */
    size_t got;    /* bytes of data */
    size_t wanted; /* written in all */
} duel_owner_t;

/* The session at the other end, and the network. */
typedef struct {
    SSL *ssl;
    int fd;
    unsigned char wire[WIRE_MAX]; /* from it, not yet sent */
    size_t wire_len;
    size_t sent; /* bytes of data written */
    size_t got;
    bool meddled;   /* somebody changed something */
    bool failed;    /* or it was told the end */
    bool got_close; /* in order */
} duel_peer_t;

static veil_loop_t *duel_loop;
static veil_tls_ctx_t *duel_ctx; /* the owner's */
static duel_peer_t duel_peer;
static bool duel_closed; /* the owner is gone */
static char duel_pattern[SENT_MAX];

/* --- the owner -------------------------------------------------------------
 */

static inline duel_owner_t *
duel_owner_of(veil_conn_t *c)
{
    return veil_container_of(c, duel_owner_t, conn);
}

static inline void
duel_on_data(veil_conn_t *c, veil_buf_t *b)
{
    duel_owner_t *o = duel_owner_of(c);
    size_t n = veil_buf_len(b);

    VEIL_ASSERT(o->dones == 1 && o->rc >= 0 && o->eofs == 0 && n > 0);
    if (o->rc != VEIL_TLS_PLAIN) {
        VEIL_ASSERT(o->got + n <= duel_peer.sent);
        VEIL_ASSERT(memcmp(b->pos, duel_pattern + o->got, n) == 0);
    }
    o->got += n;
    b->pos = b->end;
}

static inline void
duel_on_eof(veil_conn_t *c, int err VEIL_UNUSED)
{
    duel_owner_t *o = duel_owner_of(c);

    o->eofs++;
    VEIL_ASSERT(o->eofs == 1 && o->dones == 1 && o->rc >= 0);
    if (o->rc == 0 && veil_tls_was_closed(veil_tls_of(c))) {
        /* A goodbye cannot be made up, nor come before what it follows. */
        VEIL_ASSERT(o->got == duel_peer.sent);
    }
}

static inline void
duel_on_sent(veil_conn_t *c, ssize_t res)
{
    VEIL_ASSERT(res < 0 || (size_t) res <= SENT_MAX);
    VEIL_ASSERT(duel_owner_of(c)->dones == 1);
}

static inline void
duel_on_timeout(veil_conn_t *c)
{
    veil_conn_abort(c);
}

static inline void
duel_on_closed(veil_conn_t *c)
{
    veil_pool_t *pool = duel_owner_of(c)->pool;

    duel_closed = true;
    veil_pool_retire(&pool);
}

static const veil_conn_ops_t duel_ops = {
    .name = "fuzz",
    .on_data = duel_on_data,
    .on_eof = duel_on_eof,
    .on_sent = duel_on_sent,
    .on_read_timeout = duel_on_timeout,
    .on_write_timeout = duel_on_timeout,
    .on_closed = duel_on_closed,
};

static inline void
duel_done(veil_conn_t *c, int rc)
{
    duel_owner_t *o = duel_owner_of(c);

    VEIL_ASSERT(o->dones == 0);
    o->dones++;
    o->rc = rc;
    if (rc >= 0) {
        veil_conn_read(c);
    }
}

/* With a connection that has no transport yet. */
static inline duel_owner_t *
duel_owner_create(int fd)
{
    static veil_log_t log = { .level = VEIL_LOG_OFF };
    veil_pool_t *pool = veil_pool_create("fuzz", 2048);
    duel_owner_t *o = veil_pool_zalloc(pool, sizeof(*o));

    o->pool = pool;
    duel_closed = false;
    veil_conn_init(&o->conn, duel_loop, pool, fd, NULL, &duel_ops, &log);
    return o;
}

/* It is there, and shook hands (or found that there is no TLS). */
static inline bool
duel_is_open(const duel_owner_t *o)
{
    return !duel_closed && !o->conn.closing && o->dones == 1 && o->rc >= 0;
}

static inline void
duel_owner_write(duel_owner_t *o, size_t n)
{
    veil_slice_t v;

    if (duel_is_open(o) && o->rc != VEIL_TLS_PLAIN
        && !veil_conn_is_writing(&o->conn) && o->wanted + n <= SENT_MAX
        && n > 0)
    {
        v = veil_slice_mem(duel_pattern + o->wanted, n);
        o->wanted += n;
        veil_conn_write(&o->conn, &v, 1);
    }
}

/* select() was asked and has put it off. */
static inline void
duel_select_now(duel_owner_t *o)
{
    veil_tls_t *t;

    if (!duel_closed && o->later && !o->conn.closing) {
        t = veil_tls_of(&o->conn);
        if (t != NULL && t->later) {
            o->later = false;
            veil_tls_select(&o->conn, duel_ctx);
        }
    }
}

/* --- the peer and the network ----------------------------------------------
 */

/* What it wants to say. */
static inline void
duel_peer_collect(void)
{
    BIO *out = SSL_get_wbio(duel_peer.ssl);
    int n;

    do {
        n = BIO_read(out, duel_peer.wire + duel_peer.wire_len,
                     (int) (WIRE_MAX - duel_peer.wire_len));
        duel_peer.wire_len += n > 0 ? (size_t) n : 0;
    } while (n > 0);
    duel_peer.meddled |= duel_peer.wire_len == WIRE_MAX; /* the rest is lost */
}

static inline void
duel_peer_send(size_t n)
{
    ssize_t sent;

    n = veil_min_size(n, duel_peer.wire_len);
    sent = n == 0 ? 0 : send(duel_peer.fd, duel_peer.wire, n, MSG_NOSIGNAL);
    if (sent > 0) {
        duel_peer.wire_len -= (size_t) sent;
        memmove(duel_peer.wire, duel_peer.wire + sent, duel_peer.wire_len);
    }
}

static inline int
duel_peer_shake(void)
{
    int got = SSL_do_handshake(duel_peer.ssl);

    if (got <= 0
        && SSL_get_error(duel_peer.ssl, got) == SSL_ERROR_EARLY_DATA_REJECTED)
    {
        /* As if it had not been said. */
        SSL_reset_early_data_reject(duel_peer.ssl);
        duel_peer.sent = 0;
        got = SSL_do_handshake(duel_peer.ssl);
    }
    return got;
}

/* What the owner said, to the library. */
static inline void
duel_peer_receive(void)
{
    char buf[16384];
    ssize_t n;
    int got;

    while ((n = recv(duel_peer.fd, buf, sizeof(buf), 0)) > 0) {
        BIO_write(SSL_get_rbio(duel_peer.ssl), buf, (int) n);
    }
    if (duel_peer.failed) {
        return;
    }
    if (SSL_in_init(duel_peer.ssl)) {
        got = duel_peer_shake();
    } else {
        while ((got = SSL_read(duel_peer.ssl, buf, sizeof(buf))) > 0) {
            VEIL_ASSERT(duel_peer.got + (size_t) got <= SENT_MAX);
            VEIL_ASSERT(memcmp(buf, duel_pattern + duel_peer.got, (size_t) got)
                        == 0);
            duel_peer.got += (size_t) got;
        }
    }
    if (got <= 0 && SSL_get_error(duel_peer.ssl, got) != SSL_ERROR_WANT_READ) {
        duel_peer.failed = true;
        duel_peer.got_close =
            SSL_get_error(duel_peer.ssl, got) == SSL_ERROR_ZERO_RETURN;
    }
    ERR_clear_error();
    duel_peer_collect();
}

static inline void
duel_peer_write(size_t n)
{
    if (duel_peer.failed || n == 0 || duel_peer.sent + n > SENT_MAX
        || (SSL_in_init(duel_peer.ssl) && !SSL_in_early_data(duel_peer.ssl)))
    {
        return;
    }
    if (SSL_in_init(duel_peer.ssl)) {
        /* There is a limit to early data, and a write is all or nothing. */
        n = veil_min_size(n, 1000);
        if (duel_peer.sent + n > EARLY_MAX) {
            return;
        }
    }
    if (SSL_write(duel_peer.ssl, duel_pattern + duel_peer.sent, (int) n)
        == (int) n)
    {
        duel_peer.sent += n;
    }
    ERR_clear_error();
    duel_peer_collect();
}

static inline void
duel_peer_put(const uint8_t *p, size_t n)
{
    if (n > 0 && duel_peer.wire_len + n <= WIRE_MAX) {
        memcpy(duel_peer.wire + duel_peer.wire_len, p, n);
        duel_peer.wire_len += n;
        duel_peer.meddled = true;
    }
}

static inline void
duel_peer_lose(size_t n)
{
    n = veil_min_size(n, duel_peer.wire_len);
    if (n > 0) {
        duel_peer.wire_len -= n;
        memmove(duel_peer.wire, duel_peer.wire + n, duel_peer.wire_len);
        duel_peer.meddled = true;
    }
}

/* --- one run ---------------------------------------------------------------
 */

static inline void
duel_turns(unsigned n)
{
    while (n-- > 0) {
        veil_loop_turn(duel_loop, 0);
    }
}

/* Everybody says what he has, and hears it. */
static inline void
duel_pump(duel_owner_t *o, unsigned rounds)
{
    while (rounds-- > 0) {
        duel_peer_receive();
        duel_peer_send(WIRE_MAX);
        duel_turns(2);
        duel_select_now(o);
    }
}

/* Of the peer and the network; false: it is one of the owner's. */
static inline bool
duel_act(duel_owner_t *o, unsigned what, unsigned arg, const uint8_t **p,
         const uint8_t *end)
{
    size_t n = veil_min_size(arg, (size_t) (end - *p));

    switch (what) {
    case 0:
        duel_pump(o, 1 + arg % 8);
        return true;
    case 1:
        duel_peer_send(arg);
        duel_turns(1);
        return true;
    case 2:
        if (duel_peer.wire_len > 0) {
            duel_peer.wire[arg * 7 % duel_peer.wire_len] ^=
                (uint8_t) (arg | 1);
            duel_peer.meddled = true;
        }
        return true;
    case 3:
        duel_peer_lose(arg);
        return true;
    case 4: /* from the input */
        duel_peer_put(*p, n);
        *p += n;
        return true;
    case 5:
        duel_peer_put(duel_peer.wire, veil_min_size(arg, duel_peer.wire_len));
        return true;
    case 6:
        duel_peer_write(arg * (size_t) 97);
        return true;
    case 7: /* a peer bears only so many without data */
        if (!duel_peer.failed && duel_peer.sent < SENT_MAX) {
            (void) SSL_key_update(duel_peer.ssl, (int) (arg & 1));
            duel_peer_write(1);
        }
        return true;
    case 8:
        if (!duel_peer.failed && !SSL_in_init(duel_peer.ssl)) {
            (void) SSL_shutdown(duel_peer.ssl);
            duel_peer_collect();
        }
        return true;
    case 9:
        (void) shutdown(duel_peer.fd, SHUT_WR);
        duel_peer.meddled = true;
        return true;
    default:
        return false;
    }
}

/* What the peer says is the input; until the owner was told what it was. */
static inline void
duel_raw(duel_owner_t *o, const uint8_t *p, const uint8_t *end, bool bytewise)
{
    size_t n;

    while (p < end) {
        n = bytewise ? 1 : (size_t) (end - p);
        duel_peer_put(p, n);
        p += n;
        duel_peer_send(WIRE_MAX);
        duel_turns(2);
        duel_select_now(o);
    }
    duel_pump(o, 4);
    (void) shutdown(duel_peer.fd, SHUT_WR);
    while (!duel_closed && o->dones == 0) {
        duel_pump(o, 1);
    }
}

/* The peer is one of ssl_ctx; returns the owner's descriptor. */
static inline int
duel_begin(SSL_CTX *ssl_ctx, unsigned mode, size_t size)
{
    veil_sim_script_t script = { .seed = (uint64_t) size + 1 };
    int fds[2];

    VEIL_ASSERT(
        socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, fds)
        == 0);
    script.piece = (mode & MODE_PIECES) != 0 ? 100 : 0;
    script.late = (mode & MODE_LATE) != 0 ? 30 : 0;
    script.late_cancel = script.late;
    veil_sim_script(duel_loop, &script);

    duel_peer.wire_len = duel_peer.sent = duel_peer.got = 0;
    duel_peer.meddled = duel_peer.got_close = false;
    duel_peer.failed = (mode & MODE_RAW) != 0;
    duel_peer.fd = fds[1];
    duel_peer.ssl = SSL_new(ssl_ctx);
    SSL_set_bio(duel_peer.ssl, BIO_new(BIO_s_mem()), BIO_new(BIO_s_mem()));
    if ((mode & MODE_TLS12) != 0) {
        SSL_set_max_proto_version(duel_peer.ssl, TLS1_2_VERSION);
    }
    return fds[0];
}

/* Nothing is left of it. */
static inline void
duel_end(duel_owner_t *o)
{
    if (!duel_closed) {
        veil_conn_close(&o->conn);
    }
    (void) close(duel_peer.fd);
    while (!duel_closed) {
        duel_turns(1);
    }
    duel_turns(3);
    SSL_free(duel_peer.ssl);
    VEIL_ASSERT(duel_loop->nops == 0 && duel_loop->nhandles == 0);
    VEIL_ASSERT(veil_block_count() == 0);
    ERR_clear_error();
}

/* --- once ------------------------------------------------------------------
 */

/* Signed by itself, for localhost. */
static inline X509 *
duel_certificate(EVP_PKEY **pkey)
{
    EC_KEY *ec = EC_KEY_new_by_curve_name(NID_X9_62_prime256v1);
    EVP_PKEY *key = EVP_PKEY_new();
    X509 *x = X509_new();

    VEIL_ASSERT(EC_KEY_generate_key(ec));
    VEIL_ASSERT(EVP_PKEY_assign_EC_KEY(key, ec));
    X509_set_version(x, X509_VERSION_3);
    X509_gmtime_adj(X509_getm_notBefore(x), -3600);
    X509_gmtime_adj(X509_getm_notAfter(x), 365 * 86400);
    X509_set_pubkey(x, key);
    X509_NAME_add_entry_by_txt(X509_get_subject_name(x), "CN", MBSTRING_ASC,
                               (const uint8_t *) "localhost", -1, -1, 0);
    X509_set_issuer_name(x, X509_get_subject_name(x));
    VEIL_ASSERT(X509_sign(x, key, EVP_sha256()) > 0);
    *pkey = key;
    return x;
}

/* An empty file of a new name, to be unlinked; template as mkstemp's. */
static inline void
duel_temp_file(char *template)
{
    int fd = mkstemp(template);

    VEIL_ASSERT(fd >= 0);
    (void) close(fd);
}

/* The owner's context, of o; the loop; what is said. */
static inline void
duel_prepare(veil_conf_t *cf, const veil_tls_options_t *o)
{
    veil_loop_options_t options = {
        .backend = "sim", .connections = 8, .buffer_size = 4096, .buffers = 8
    };
    size_t i;

    duel_ctx = veil_tls_ctx_create(cf, o);
    VEIL_ASSERT(duel_ctx != NULL);
    duel_loop = veil_loop_create(&options);
    VEIL_ASSERT(duel_loop != NULL);
    for (i = 0; i < SENT_MAX; i++) {
        duel_pattern[i] = (char) (i * 7 + (i >> 8));
    }
}

/* A configuration that nobody wrote, for options. */
static inline veil_conf_t *
duel_conf(void)
{
    static veil_conf_t cf;

    cf.cycle = veil_cycle_create(VEIL_STR("/tmp"), VEIL_STR("c"),
                                 VEIL_STR("stderr"), VEIL_STR_NULL);
    cf.pool = cf.cycle->pool;
    cf.temp_pool = veil_pool_create("temp", 4096);
    cf.log = &cf.cycle->log;
    return &cf;
}

#endif
