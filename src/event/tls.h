/*
 * tls.h -- TLS on a stream connection, on BoringSSL.
 *
 * The library is driven over memory: it never sees a descriptor and never
 * blocks.  tls_conn.c is the transport (transport.h): it owns the ciphertext,
 * and between the two calls below a connection is used as any other.
 *
 *   veil_tls_accept / veil_tls_connect      tls_conn.c
 *   ... handshake ...                       the owner reads and writes nothing
 *   done(c, 0)                              conn.h holds from here on
 *
 * What the configuration says becomes a context once, while it is read
 * (tls_ctx.c, tls_cert.c); sessions and ticket keys are shared by all workers
 * through zones (tls_cache.c, tls_ticket.c).
 *
 * Without BoringSSL tls_none.c stands for all of it: creating a context
 * reports that this build has no TLS, so nothing else can be reached.
 */

#ifndef VEIL_EVENT_TLS_H
#define VEIL_EVENT_TLS_H

#include "core/array.h"
#include "core/conf.h"
#include "core/shm.h"
#include "event/conn.h"

typedef struct veil_tls_s veil_tls_t;         /* one session; of the library */
typedef struct veil_tls_ctx_s veil_tls_ctx_t; /* of a server, of a proxy */
typedef struct veil_tls_keys_s veil_tls_keys_t;   /* ticket keys */
typedef struct veil_tls_cache_s veil_tls_cache_t; /* sessions, shared */

/* ssl_protocols, as a mask. */
#define VEIL_TLS_1_0 0x1u
#define VEIL_TLS_1_1 0x2u
#define VEIL_TLS_1_2 0x4u
#define VEIL_TLS_1_3 0x8u

typedef enum {
    VEIL_TLS_VERIFY_OFF,
    VEIL_TLS_VERIFY_ON,
    VEIL_TLS_VERIFY_OPTIONAL,
    VEIL_TLS_VERIFY_OPTIONAL_NO_CA
} veil_tls_verify_t;

/* Where the signing of a handshake is done. */
typedef enum {
    VEIL_TLS_SIGN_AUTO,   /* on threads when the key is a large one */
    VEIL_TLS_SIGN_INLINE, /* in the loop */
    VEIL_TLS_SIGN_THREADS
} veil_tls_sign_t;

/*
 * A certificate and its key: paths (absolute), or "data:" and PEM text.
 * node: the directives, for messages; NULL at run time.
 */
typedef struct {
    veil_str_t cert;
    veil_str_t key;
    const veil_conf_node_t *cert_node;
    const veil_conf_node_t *key_node;
} veil_tls_cert_files_t;

/* What directives say; strings empty and arrays NULL where they are silent. */
typedef struct {
    bool server;
    unsigned protocols; /* VEIL_TLS_1_... */
    veil_str_t ciphers; /* OpenSSL's syntax, zero-terminated; those of TLS
                           1.3 cannot be chosen */
    veil_str_t curves;  /* "X25519:prime256v1"; "auto": the library's */
    bool prefer_server_ciphers;
    veil_array_t *certs;     /* of veil_tls_cert_files_t */
    veil_array_t *passwords; /* of veil_str_t: tried on encrypted keys */
    veil_str_t client_ca;    /* path: verified against, names are sent */
    veil_str_t trusted;      /* path: verified against; client: "" is the
                                system's bundle */
    veil_str_t crl;          /* path */
    veil_tls_verify_t verify;
    int64_t verify_depth;
    uint64_t session_timeout; /* ms */
    bool tickets;
    veil_array_t *ticket_keys; /* of veil_str_t, paths; the first is used */
    veil_tls_keys_t *keys;     /* shared ones; used without ticket_keys */
    veil_tls_cache_t *cache;   /* NULL: "none" */
    bool session_reuse;        /* client */
    bool early_data;
    bool reject;              /* ssl_reject_handshake: no certificate needed */
    bool certs_later;         /* certs are not to be read: handshakes bring
                                 theirs (veil_tls_ctx_with) */
    bool compress;            /* certificates, RFC 8879 */
    veil_array_t *ech_files;  /* of veil_str_t, paths; the preferred first */
    const veil_array_t *alpn; /* of veil_str_t, the preferred one first */
    int64_t buffer_size;      /* of a record, at most 16k */
    int sign;                 /* veil_tls_sign_t */
    bool ktls;
    bool ktls_fallback;
    const veil_conf_node_t *node; /* for messages about the whole */
    struct {                      /* and about these; NULL: node */
        const veil_conf_node_t *protocols;
        const veil_conf_node_t *ciphers;
        const veil_conf_node_t *curves;
        const veil_conf_node_t *client_ca;
        const veil_conf_node_t *trusted;
        const veil_conf_node_t *crl;
        const veil_conf_node_t *ech;
        const veil_conf_node_t *compress;
        const veil_conf_node_t *ticket_keys;
    } at;
} veil_tls_options_t;

/* nginx's defaults, for a server or a client. */
void veil_tls_options_default(veil_tls_options_t *o, bool server);

/*
 * "ssl_password_file": the lines of the file, in memory that is wiped with
 * the configuration; VEIL_ERROR after reporting at the directive at hand.
 */
veil_rc_t veil_tls_passwords_read(veil_conf_t *cf, veil_str_t path,
                                  veil_array_t **passwords);

/* Whether this build has TLS; "BoringSSL (API version 19)", or NULL. */
bool veil_tls_is_built(void);
const char *veil_tls_library(void);

/*
 * --- contexts ------------------------------------------------------------
 *
 * All files are read and checked now.  NULL after reporting at the directive
 * concerned.  The context lives as long as the configuration; options are
 * copied, what they point to is not.
 */
veil_tls_ctx_t *veil_tls_ctx_create(veil_conf_t *cf,
                                    const veil_tls_options_t *o);
/* Counted: each get needs a put.  The configuration holds one itself. */
veil_tls_ctx_t *veil_tls_ctx_get(veil_tls_ctx_t *ctx);
void veil_tls_ctx_put(veil_tls_ctx_t *ctx);
const veil_tls_options_t *veil_tls_ctx_options(const veil_tls_ctx_t *ctx);
/* Certificates of the context, for stapling and reports. */
unsigned veil_tls_ctx_certs(const veil_tls_ctx_t *ctx);
/* X509 of certificate i, and of its issuer (NULL: unknown); borrowed. */
struct x509_st *veil_tls_ctx_cert(const veil_tls_ctx_t *ctx, unsigned i);
struct x509_st *veil_tls_ctx_issuer(const veil_tls_ctx_t *ctx, unsigned i);
/* The OCSP response to send with certificate i from now on; copied; len 0:
 * none. */
void veil_tls_ctx_set_staple(veil_tls_ctx_t *ctx, unsigned i, const void *der,
                             size_t len);

/*
 * --- shared state --------------------------------------------------------
 *
 * Declared while the configuration is read, in zones that outlive it.
 */

/*
 * The ticket keys of this server, made on first use, shared by all workers
 * and generations, renewed by themselves: a key is used for lifetime_ms and
 * understood for as long again.
 */
veil_tls_keys_t *veil_tls_keys_zone(veil_conf_t *cf, uint64_t lifetime_ms);
/* "ssl_session_cache shared:NAME:SIZE"; NULL after reporting. */
veil_tls_cache_t *veil_tls_cache_zone(veil_conf_t *cf, veil_str_t name,
                                      size_t size);
/* "builtin": of this worker alone, at most n sessions. */
veil_tls_cache_t *veil_tls_cache_local(veil_conf_t *cf, unsigned n);
/*
 * "off": no id is given out.  (NULL is "none": clients get an id that is
 * never found again.)  Sessions of a server are stored only if the default
 * server of its listener is not off.
 */
veil_tls_cache_t *veil_tls_cache_off(void);

/*
 * --- sessions ------------------------------------------------------------
 */

/* The first byte was no TLS: the transport is plain, the bytes are kept. */
#define VEIL_TLS_PLAIN 1

/*
 * Once, from the loop: 0; VEIL_TLS_PLAIN; or -errno when it failed, which has
 * been logged (-EPROTO: a TLS error; -ECONNRESET and so on).  The owner reads
 * or closes.  Not called once the owner has closed.
 */
typedef void veil_tls_done_fn(veil_conn_t *c, int rc);

typedef struct {
    veil_tls_done_fn *done;
    /*
     * The context for the name the client asks for: lower case, without a
     * final dot, empty when it does not.  NULL refuses with the alert
     * "unrecognized_name"; VEIL_TLS_LATER: veil_tls_select() will follow,
     * from the loop.
     */
    veil_tls_ctx_t *(*select)(veil_conn_t *c, veil_str_t name);
    /*
     * A protocol that is preferred to those of the context's options, if the
     * client offers it; empty: none.  May be NULL.
     */
    veil_str_t (*alpn)(veil_conn_t *c);
} veil_tls_accept_ops_t;

#define VEIL_TLS_LATER ((veil_tls_ctx_t *) 1)

/*
 * The connection is new, nothing was read.  A handshake begins when the
 * client's bytes come; on_eof and on_data of the owner are not called before
 * done().  Timeouts are the owner's, by the read timer.  May be closed at any
 * time.  ctx is that of the default server; accept lasts as long as c.
 */
void veil_tls_accept(veil_conn_t *c, veil_tls_ctx_t *ctx,
                     const veil_tls_accept_ops_t *accept);
/* After select() said later; NULL refuses. */
void veil_tls_select(veil_conn_t *c, veil_tls_ctx_t *ctx);

/*
 * The path of the system's bundle of trusted certificates: SSL_CERT_FILE of
 * the environment, or where distributions have it; NULL: there is none that
 * can be read.
 */
const char *veil_tls_system_bundle(void);

/*
 * A client's context with another certificate, which is read on a thread; the
 * names of the files are copied.  done() comes once, from the loop, with a
 * counted context to put when done, or NULL; the text says what was wrong, or
 * what is to be warned of, and is empty else.  Not called after a cancel.
 */
typedef struct veil_tls_load_s veil_tls_load_t;
typedef void veil_tls_loaded_fn(void *owner, veil_tls_ctx_t *ctx,
                                const char *text);
veil_tls_load_t *veil_tls_client_load(veil_loop_t *loop, veil_tls_ctx_t *base,
                                      const veil_tls_cert_files_t *files,
                                      veil_tls_loaded_fn *done, void *owner);
void veil_tls_load_cancel(veil_tls_load_t *load);

/* Whom a client wants to talk to; all of it is copied. */
typedef struct {
    veil_str_t sni;     /* name to send; empty: none */
    veil_str_t verify;  /* name or address the certificate must be for;
                           empty: any */
    veil_str_t session; /* sessions are kept under this key; empty: not */
    bool no_alpn;       /* what the context offers is not offered */
} veil_tls_target_t;

/* c is connected; done as above, and on_data and on_eof after it. */
void veil_tls_connect(veil_conn_t *c, veil_tls_ctx_t *ctx,
                      const veil_tls_target_t *target, veil_tls_done_fn *done);

/* NULL on a plain connection. */
static inline veil_tls_t *
veil_tls_of(const veil_conn_t *c)
{
    return c->transport_data;
}

/* --- questions, once done --------------------------------------------------
 */

/* The protocol ALPN chose; empty: none. */
veil_str_t veil_tls_alpn(const veil_tls_t *t);
/*
 * What RFC 9113, 9.2 asks of a session of HTTP/2: TLS 1.3, or 1.2 with an
 * ephemeral key and an AEAD, which the suites of its appendix A lack.  May be
 * asked while ALPN is chosen, too.
 */
bool veil_tls_suits_http2(const veil_tls_t *t);
bool veil_tls_is_resumed(const veil_tls_t *t);
/* What is read now came before the handshake was complete (0-RTT). */
bool veil_tls_is_early(const veil_tls_t *t);
/* The name the client asked for, as select() got it; the session's memory. */
veil_str_t veil_tls_server_name(const veil_tls_t *t);
/*
 * The peer said close_notify: an end of the stream without it may have been
 * made by an attacker.
 */
bool veil_tls_was_closed(const veil_tls_t *t);
/* "TLSv1.3"; static. */
const char *veil_tls_version(const veil_tls_t *t);
/* "TLS_AES_128_GCM_SHA256", by the names of the RFCs; static. */
const char *veil_tls_cipher(const veil_tls_t *t);
/* The library's object, for variables; valid while c is. */
struct ssl_st *veil_tls_ssl(const veil_tls_t *t);
/* What a server learns in a handshake and the library does not keep. */
typedef struct {
    veil_str_t ciphers; /* two bytes each, as sent; GREASE included */
    veil_str_t curves;
    veil_str_t sigalgs;
    veil_str_t outer_name; /* of the hello that may have another inside */
    bool ech;              /* whether it may: the extension is there */
    uint16_t sigalg;       /* what the server signed with; 0: nothing */
} veil_tls_hello_t;
/*
 * Whether to keep it, for $ssl_ciphers and the like; decided before contexts
 * are made.  Keys then sign on threads, whatever the options say: only there
 * it is known with which algorithm.
 */
void veil_tls_keep_hello(bool keep);
const veil_tls_hello_t *veil_tls_hello(const veil_tls_t *t);
/* X509_V_..., 0 when verified; and the text of it, NULL when verified. */
long veil_tls_verify_result(const veil_tls_t *t);
const char *veil_tls_verify_error(const veil_tls_t *t);
/*
 * Somebody has looked at the peer's certificate after the library: "" for
 * good, else why it is refused, which counts as not verified from here on.
 * The text is static.  NULL: nobody has.
 */
void veil_tls_set_cert_status(veil_tls_t *t, const char *why);
const char *veil_tls_cert_status(const veil_tls_t *t);
/* Records and keys are the kernel's. */
bool veil_tls_is_ktls_tx(const veil_tls_t *t);
bool veil_tls_is_ktls_rx(const veil_tls_t *t);
/*
 * Why those for sending (tx) or receiving are not: a phrase such as "the
 * kernel has no TLS"; NULL when they are, or when nobody wanted it.
 */
const char *veil_tls_ktls_why_not(const veil_tls_t *t, bool tx);

/*
 * What was logged last of a failure of the library's, in this process: for
 * done() with -EPROTO, which comes right after it.
 */
const char *veil_tls_last_error(void);
/* What kind of failure that was, a phrase; NULL: it is no usual one. */
const char *veil_tls_last_kind(void);

/* Frees what is kept for reuse (at exit). */
void veil_tls_trim(void);

#endif
