/*
 * ktls.h -- handing the keys of a TLS session to the kernel.
 *
 * After its handshake a session is two keys, two nonces and two counters.
 * With these the kernel makes and reads the records itself: what is written
 * to the socket is encrypted there, sendfile(2) among it.  The two directions
 * are handed over one by one.
 *
 * Sources: Documentation/networking/tls.rst of Linux; RFC 8446, 7.1 and 7.3;
 * RFC 5246, 6.3; RFC 5288; RFC 7905.
 */

#ifndef VEIL_EVENT_KTLS_H
#define VEIL_EVENT_KTLS_H

#include <linux/tls.h>

#include "core/log.h"

struct ssl_st;
struct ssl_ctx_st;

/* Why it was not done; 0: it was. */
typedef enum {
    VEIL_KTLS_OK,
    VEIL_KTLS_UNAVAILABLE, /* the kernel has no TLS */
    VEIL_KTLS_VERSION,     /* older than TLS 1.2 */
    VEIL_KTLS_CIPHER,      /* no suite that the kernel knows */
    VEIL_KTLS_SECRETS,     /* the library does not give them */
    VEIL_KTLS_EARLY,       /* early data came, keys may have changed */
    VEIL_KTLS_BUFFERED,    /* bytes of the next record are here already */
    VEIL_KTLS_ULP,         /* the socket cannot: not TCP, or closed */
    VEIL_KTLS_TX,          /* the kernel refused the keys */
    VEIL_KTLS_RX,
    VEIL_KTLS_REASONS
} veil_ktls_reason_t;

/* "the kernel ...": a phrase for logs. */
const char *veil_ktls_reason_text(veil_ktls_reason_t reason);

/* Of this process: connections whose sending, receiving went to the kernel,
 * and those that stayed, by reason. */
typedef struct {
    uint64_t tx;
    uint64_t rx;
    uint64_t fallback[VEIL_KTLS_REASONS];
} veil_ktls_stats_t;

extern veil_ktls_stats_t veil_ktls_stats;

/* One line at level info with what is not 0; none when nothing is. */
void veil_ktls_log_stats(const veil_log_t *log);

/*
 * 0, or why the kernel has no TLS: -ENOENT (no module "tls"; only a
 * privileged process can have it loaded, by this very call), -ENOPROTOOPT (no
 * such option).  Asks once in a process; needs no network.
 */
int veil_ktls_probe(void);

/*
 * The configuration wants it: at all, or as a condition.  True when that is
 * more than was known.
 */
bool veil_ktls_note(bool required);
/*
 * One line about whether the kernel can do what the configuration wants: at
 * notice, warn, or err when it is a condition.  Nothing is wanted: no line.
 */
void veil_ktls_log_state(const veil_log_t *log);

/* What setsockopt(SOL_TLS, TLS_TX or TLS_RX) takes. */
typedef struct {
    union {
        struct tls_crypto_info info;
        struct tls12_crypto_info_aes_gcm_128 gcm_128;
        struct tls12_crypto_info_aes_gcm_256 gcm_256;
        struct tls12_crypto_info_chacha20_poly1305 chacha20;
    } u;
    size_t len;
} veil_ktls_keys_t;

/*
 * Sessions of this context keep what veil_ktls_keys() needs until it was
 * called for both directions or they are freed.  Takes the context's key log
 * callback.
 */
void veil_ktls_prepare(struct ssl_ctx_st *ctx);

/*
 * The keys of the next record the session would write (tx) or read, once its
 * handshake is complete and its tickets are sent.  Valid until the session
 * writes or reads a record.  VERSION, CIPHER or SECRETS otherwise.
 */
veil_ktls_reason_t veil_ktls_keys(const struct ssl_st *ssl, bool tx,
                                  veil_ktls_keys_t *keys);
/* They are secret: wipe them. */
void veil_ktls_wipe(veil_ktls_keys_t *keys);
/* Forgets the session's secrets; its keys can no longer be asked for. */
void veil_ktls_forget(struct ssl_st *ssl);

/*
 * Makes the socket one whose TLS can be in the kernel; it still passes bytes
 * as they are.  OK, UNAVAILABLE or ULP; *err is -errno.
 */
veil_ktls_reason_t veil_ktls_attach(int fd, int *err);
/*
 * From the next byte on the kernel encrypts (TX) or decrypts (RX).  The
 * session must not write or read any more.  As above; TX or RX with *err.
 */
veil_ktls_reason_t veil_ktls_start(int fd, bool tx,
                                   const veil_ktls_keys_t *keys, int *err);

#endif
