/*
 * tls_impl.h -- what the tls_*.c files share; nobody else includes it.
 */

#ifndef VEIL_EVENT_TLS_IMPL_H
#define VEIL_EVENT_TLS_IMPL_H

#include "core/platform.h"

#include <openssl/err.h>
#include <openssl/sha.h>
#include <openssl/ssl.h>

#include "core/assert.h"
#include "event/tls.h"
#include "event/tls_cert.h"
#include "event/transport.h"

#define VEIL_TLS_MAGIC 0x544c5353u
#define VEIL_TLS_CTX_MAGIC 0x544c5343u

/* What a record may carry, and what it adds at most (RFC 8446, 5.2). */
#define VEIL_TLS_RECORD 16384
#define VEIL_TLS_OVERHEAD 256

/* Ciphertext of one operation; memory that a slow reader costs. */
#define VEIL_TLS_OUT_MAX (2 * (VEIL_TLS_RECORD + VEIL_TLS_OVERHEAD))

/* What the end of a session may take: the last flight, close_notify. */
#define VEIL_TLS_GOODBYE_MS 3000

typedef struct veil_tls_out_s veil_tls_out_t;
typedef struct veil_tls_compressed_s veil_tls_compressed_t;
typedef struct veil_tls_signing_s veil_tls_signing_t; /* tls_sign.c's */
typedef struct veil_ktls_s veil_ktls_t;

/* Ciphertext to be sent. */
struct veil_tls_out_s {
    veil_tls_out_t *next;
    size_t cap;
    size_t len;
    unsigned char data[];
};

struct veil_tls_ctx_s {
    uint32_t magic;
    unsigned refs; /* of those made at run time; the configuration's: 1 */
    veil_tls_options_t o;
    SSL_CTX *ssl;
    veil_tls_cert_t *certs; /* heap */
    unsigned ncerts;
    const char *curves;                /* as the library calls them */
    veil_tls_compressed_t *compressed; /* a certificate, kept; heap */
    bool derived; /* made at run time: ssl and curves are another's */
    uint8_t sid[SHA256_DIGEST_LENGTH]; /* of a derived one; tls_sid.c */
    uint64_t
        number; /* of a client's, unique in the process: of its sessions */
};

typedef enum {
    VEIL_TLS_FIRST,     /* server: no byte yet, may turn out to be plain */
    VEIL_TLS_HANDSHAKE, /* the peer is to speak */
    VEIL_TLS_WAIT,      /* for a context or a signature; input is kept */
    VEIL_TLS_SWITCH,    /* complete; the kernel takes over when all is sent */
    VEIL_TLS_OPEN,
    VEIL_TLS_DEAD /* failed or ended: nothing more is read */
} veil_tls_state_t;

struct veil_tls_s {
    uint32_t magic;
    uint8_t state; /* veil_tls_state_t */
    bool server : 1;
    bool refused : 1;   /* by select() */
    bool later : 1;     /* select() has said so */
    bool selected : 1;  /* select() was asked */
    bool ended : 1;     /* the stream's end was passed up */
    bool got_close : 1; /* close_notify came */
    bool said_close : 1;
    bool shut : 1;       /* SHUT_WR when all is sent */
    bool finishing : 1;  /* closing, but for the rest of the handshake */
    bool eof : 1;        /* of the ciphertext */
    bool exact : 1;      /* no byte beyond a record is received */
    bool ktls_tx : 1;    /* the kernel encrypts */
    bool ktls_rx : 1;    /* the kernel decrypts */
    bool key_update : 1; /* ktls_tx: the peer wants new keys of us */
    veil_conn_t *conn;
    SSL *ssl;
    veil_tls_ctx_t *ctx;
    const veil_tls_accept_ops_t *accept; /* server */
    veil_tls_done_fn *done;              /* NULL once it was called */
    int err;                             /* of sending; -errno */
    unsigned iov_at;                     /* of conn->send: encrypted so far */
    size_t left;                         /* of it: not encrypted yet */
    veil_buf_t in;                       /* what the library reads now */
    veil_chain_t kept;                   /* in VEIL_TLS_WAIT */
    veil_tls_out_t *out;                 /* ciphertext to be sent, a list */
    veil_tls_out_t *out_last;
    size_t out_len;           /* bytes in it */
    veil_tls_out_t *sending;  /* in an operation */
    veil_send_t *own;         /* its operation, when no write is under way */
    veil_post_t post;         /* goes on outside of a call */
    veil_timer_t timer;       /* of the goodbye */
    char *name;               /* SNI; heap; NULL: none */
    char *expected;           /* client: whose certificate it must be; heap */
    char *session_key;        /* client; heap; NULL: sessions are not kept */
    veil_tls_hello_t *hello;  /* heap */
    veil_tls_signing_t *sign; /* a signature that is under way */
    veil_ktls_t *ktls;        /* NULL: nothing of it is under way */
    const char *cert_status;  /* veil_tls_set_cert_status(); else NULL */
};

/* --- tls_conn.c */

/* Runs the handshake again after VEIL_TLS_WAIT; from the loop. */
void veil_tls_go_on(veil_tls_t *t);
/* For ktls_conn.c.  Starts to receive, if something is wanted. */
void veil_tls_receive(veil_tls_t *t);
/* What came is the session's; the memory stays the caller's. */
void veil_tls_take(veil_tls_t *t, const veil_buf_t *b);
/* The end of the stream of ciphertext: 0 or -errno. */
void veil_tls_lost(veil_tls_t *t, int err);
/* Passes the end up, once: to done() or on_eof(). */
void veil_tls_ended(veil_tls_t *t, int err);
/* There is nothing more to say: closes the descriptor. */
void veil_tls_end(veil_tls_t *t);
/* Whether b begins like text and not like a hello. */
bool veil_tls_is_plain(const veil_buf_t *b);
/*
 * The transport is plain from here on, t is gone; b, at most 16 bytes and of
 * no block, is the first data.
 */
void veil_tls_become_plain(veil_tls_t *t, veil_buf_t *b);
void veil_tls_flush(veil_tls_t *t);
/* The handshake is over in every respect: done(). */
void veil_tls_open(veil_tls_t *t);
/* One has ended well, or not. */
void veil_tls_count_handshake(const veil_tls_t *t, bool ok);
void veil_tls_start_reading(veil_conn_t *c);
void veil_tls_stop_reading(veil_conn_t *c);
void veil_tls_done(veil_conn_t *c);
static inline veil_tls_t *
veil_tls_of_ssl(const SSL *ssl)
{
    return SSL_get_app_data(ssl);
}

/* --- tls_end.c */

/* The owner is done, and the client's last flight has not come. */
bool veil_tls_is_unfinished(const veil_tls_t *t);
/* Encrypts close_notify, once; nothing where there is nothing to be ended. */
void veil_tls_say_close(veil_tls_t *t);
/*
 * A goodbye mostly fits the socket: sends without waiting.  True when nothing
 * is left, or nothing can be done; see t->out and t->sending for the rest.
 */
bool veil_tls_send_now(veil_tls_t *t);
/* The connection is closing: ends it when close_notify is sent, or cannot. */
void veil_tls_goodbye(veil_tls_t *t);
/* The same when the handshake is finished. */
void veil_tls_finish(veil_tls_t *t);

/* --- ktls_conn.c */

/* The transport of a session whose sending, at least, is the kernel's. */
extern const veil_transport_t veil_transport_ktls;

/*
 * Notes that a context wants it, before anything is set in it; reports what
 * the kernel has, once.
 */
void veil_ktls_want(veil_conf_t *cf, veil_tls_ctx_t *ctx);
/* A session begins: before anything is received. */
void veil_ktls_begin(veil_tls_t *t);
/* Receives, in place of the multishot, if t->exact or t->ktls_rx. */
void veil_ktls_receive(veil_tls_t *t);
/*
 * In VEIL_TLS_SWITCH, whenever something was sent: when all is, the kernel
 * gets the keys, or the session stays as it is, or is refused.
 */
void veil_ktls_switch(veil_tls_t *t);
/* The peer's KeyUpdate asks for one of us, which we cannot send. */
void veil_ktls_check(veil_tls_t *t);
/* Frees what it has of the session. */
void veil_ktls_done(veil_tls_t *t);

/* --- tls_bio.c */

/* What a session reads and writes through; the caller's. */
BIO *veil_tls_bio_create(veil_tls_t *t);
void veil_tls_out_put(veil_tls_out_t *out);
/* Forgets what was not sent. */
void veil_tls_out_drop(veil_tls_t *t);
void veil_tls_bio_trim(void);

/* --- tls_ctx.c */

/* The directive to be named for what one of o->at says; that may be NULL. */
static inline const veil_conf_node_t *
veil_tls_at(const veil_tls_options_t *o, const veil_conf_node_t *at)
{
    return at != NULL ? at : o->node;
}

/*
 * One line from the library's queue of errors, which it empties:
 * "text (SSL: error:...:reason)".
 */
void veil_tls_log(const veil_log_t *log, veil_log_level_t level,
                  const char *text);

/* --- tls_hello.c */

/* What a server does with a ClientHello: names, certificates, protocols. */
void veil_tls_hello_fill(veil_tls_ctx_t *ctx);
/* An SSL of this context is for t from here on. */
bool veil_tls_ctx_enter(veil_tls_ctx_t *ctx, veil_tls_t *t);

/* --- tls_trust.c: VEIL_ERROR after reporting */

/*
 * The certificates of a file as those that are trusted; names (may be NULL)
 * gets their subjects, for clients to choose by.
 */
veil_rc_t veil_tls_trust_file(veil_conf_t *cf, const veil_conf_node_t *node,
                              SSL_CTX *ssl, veil_str_t path,
                              STACK_OF(X509_NAME) * names);
/* Revoked certificates; from then on each needs a list that knows it. */
veil_rc_t veil_tls_trust_crl(veil_conf_t *cf, const veil_conf_node_t *node,
                             SSL_CTX *ssl, veil_str_t path);

/* --- tls_compress.c */

veil_rc_t veil_tls_compress_fill(veil_conf_t *cf, veil_tls_ctx_t *ctx);

/* --- tls_ech.c */

veil_rc_t veil_tls_ech_fill(veil_conf_t *cf, veil_tls_ctx_t *ctx);

/* --- tls_client.c */

/* The client's part of a context; VEIL_ERROR after reporting. */
veil_rc_t veil_tls_client_fill(veil_conf_t *cf, veil_tls_ctx_t *ctx);
/* Whom this session is for. */
void veil_tls_client_prepare(veil_tls_t *t, const veil_tls_target_t *target);
/*
 * Why the server's certificate was not accepted, as a text; the library's
 * errors are forgotten then.  False: the handshake failed for another reason.
 */
bool veil_tls_client_explain(veil_tls_t *t, char *buf, size_t n);
void veil_tls_client_trim(void);

/*
 * --- resumption: tls_ticket.c, tls_cache.c, tls_sid.c -----------------------
 *
 * For contexts of servers, when their certificate, the names of the client
 * authorities and the store are set.  The library keeps tickets and sessions
 * with the context a session was created with, and calls its functions; ours
 * look at the context the session has by then (SSL_set_SSL_CTX), so every
 * context gets them, and each server has its own keys and cache all the same.
 * The options of a context (SSL_OP_NO_TICKET) do not follow it into the
 * session by themselves.
 */

/*
 * Ticket keys (o->tickets, ticket_keys, keys), lifetimes (session_timeout)
 * and the context of session ids.  Reads the files of keys.  VEIL_ERROR after
 * reporting at the directives.
 */
veil_rc_t veil_tls_ticket_apply(veil_conf_t *cf, SSL_CTX *ctx,
                                const veil_tls_options_t *o);
/* Sessions by id, for TLS 1.2 and older: o->cache. */
veil_rc_t veil_tls_cache_apply(SSL_CTX *ctx, const veil_tls_options_t *o);

/*
 * Sessions of this context are resumed only where all that makes up the
 * peer's identity is the same: certificate, verification, authorities, CRL.
 */
void veil_tls_sid_apply(SSL_CTX *ctx, const veil_tls_options_t *o);

/* --- tls_sign.c */

/*
 * The session has its certificate and key: it signs on a thread, if its
 * context says so.  The handshake stops with
 * SSL_ERROR_WANT_PRIVATE_KEY_OPERATION and goes on by veil_tls_go_on().
 */
void veil_tls_sign_use(veil_tls_t *t);
/* Nobody waits for the signature any more, if there is one; no callback. */
void veil_tls_sign_drop(veil_tls_t *t);

#endif
