/*
 * tls_ticket.c -- session ticket keys: shared, rotated, or from files.
 *
 * A ticket is a session, encrypted, that the client keeps.  Whoever has the
 * key can read it, so a key that lives long undoes forward secrecy of TLS 1.2
 * for all that time, and lets its holder pose as the server; a key that only
 * one worker knows makes resumption a matter of luck.  So there is one set
 * of keys in a zone that the master holds: all workers of all generations
 * use it, and a reload or a worker's death changes nothing.
 *
 * The keys are made in the keeper when the zone is fresh, not in the master
 * itself, which parses nothing and does not know that anybody wants keys.
 * From then on they renew themselves: a worker that is about to use a key
 * looks at its age, and if it is old, makes the next, under the zone's lock.
 * There are two: the current one encrypts, the previous one is understood
 * for as long again, and its tickets are renewed.  What is current is said by
 * the zone, so it does not matter that the clocks of two workers differ by a
 * turn of their loops.  Ages are counted on the monotonic clock, which all
 * processes share.  A server that nobody talks to keeps a key beyond its
 * time, but does not understand it any more.
 *
 * A process that dies while it changes the keys leaves the lock broken; who
 * gets it next makes all keys anew, as a key that is half written is none.
 *
 * Keys from files are for fleets: nginx's 48 bytes (AES-128) or 80 bytes
 * (AES-256), the first encrypts, all are understood.  They are read once, in
 * the keeper, and never rotated by us.
 *
 * All tickets have the format that nginx and RFC 5077 have: name, IV,
 * AES-CBC, HMAC-SHA256.  An AEAD would be a little faster (some microseconds
 * of a handshake that costs two hundred), but one function decides by the
 * server whether keys come from the zone or from a file, and the library has
 * one format for all servers of a listener.
 *
 * Key material is overwritten when it is replaced or copied to a stack, and
 * left out of core dumps.  It may be swapped: a zone is too long-lived, and
 * RLIMIT_MEMLOCK too often 0, to promise more.
 */

#include "core/platform.h"

#include <sys/mman.h>
#include <sys/stat.h>

#include <openssl/aes.h>
#include <openssl/hmac.h>
#include <openssl/mem.h>
#include <openssl/rand.h>

#include "core/cycle.h"
#include "core/fault.h"
#include "core/lock.h"
#include "core/rand.h"
#include "core/time.h"
#include "event/tls_cert.h"
#include "event/tls_impl.h"

#define TICKET_NAME_LEN SSL_TICKET_KEY_NAME_LEN
#define TICKET_IV_LEN 16
#define TICKET_ZONE_MAGIC 0x544b4559u
#define TICKET_ZONE_VERSION 1u
#define TICKET_ZONE_SIZE 4096

/* nginx's: a name and two secrets of 16 or of 32 bytes each. */
#define TICKET_FILE_SMALL 48
#define TICKET_FILE_LARGE 80

/* Where a test kills the process; t/unit/test_tls_ticket.c has its own. */
#ifndef TICKET_POINT
#define TICKET_POINT(what) VEIL_FAULT("tls_ticket." what)
#endif

typedef struct {
    uint8_t name[TICKET_NAME_LEN];
    uint8_t hmac[32];
    uint8_t aes[32];
    uint32_t len; /* of each secret: 16 or 32 */
    uint32_t reserved;
    uint64_t made_ms; /* monotonic; of keys in the zone */
} ticket_key_t;

typedef struct {
    uint32_t magic;
    uint32_t version;
    veil_lock_t lock;
    uint64_t made; /* keys so far */
    ticket_key_t current;
    ticket_key_t previous; /* len 0: none */
} ticket_zone_t;

struct veil_tls_keys_s {
    veil_shm_zone_t *zone;
    uint64_t lifetime_ms;
    const veil_log_t *log;
};

/* What a context uses: keys of files when there are any. */
typedef struct {
    veil_tls_keys_t *shared;
    unsigned n;
    ticket_key_t keys[];
} ticket_conf_t;

/* What became of the keys when somebody wanted one. */
typedef enum { TICKET_SAME, TICKET_RENEWED, TICKET_LOST } ticket_news_t;

static const char tls_ticket_zone_tag[] = "tls ticket keys";

/* --- keys in the zone -----------------------------------------------------
 */

/* len comes last: it is what makes a key one. */
static void
tls_ticket_make_key(ticket_zone_t *z, ticket_key_t *key, uint64_t now_ms)
{
    OPENSSL_cleanse(key, sizeof(*key));
    TICKET_POINT("cleansed");
    veil_rand_bytes(key->name, sizeof(key->name));
    veil_rand_bytes(key->hmac, sizeof(key->hmac));
    TICKET_POINT("made");
    veil_rand_bytes(key->aes, sizeof(key->aes));
    key->made_ms = now_ms;
    key->len = sizeof(key->aes);
    z->made++;
}

static void
tls_ticket_make_all(ticket_zone_t *z, uint64_t now_ms)
{
    OPENSSL_cleanse(&z->previous, sizeof(z->previous));
    tls_ticket_make_key(z, &z->current, now_ms);
}

/* A clock that is behind the key's maker's: the key is new. */
static uint64_t
tls_ticket_age(const ticket_key_t *key, uint64_t now_ms)
{
    return now_ms > key->made_ms ? now_ms - key->made_ms : 0;
}

/* Under the lock: brings the keys up to date.  True when there is a new one.
 */
static bool
tls_ticket_rotate(ticket_zone_t *z, uint64_t lifetime_ms, uint64_t now_ms)
{
    uint64_t age = tls_ticket_age(&z->current, now_ms);

    if (age < lifetime_ms) {
        return false;
    }
    OPENSSL_cleanse(&z->previous, sizeof(z->previous));
    TICKET_POINT("forgot");
    if (age / 2 < lifetime_ms) {
        z->previous = z->current;
    }
    TICKET_POINT("kept");
    tls_ticket_make_key(z, &z->current, now_ms);
    TICKET_POINT("renewed");
    return true;
}

static veil_rc_t
tls_ticket_zone_init(veil_shm_zone_t *zone, bool fresh)
{
    ticket_zone_t *z = zone->addr;

    /* Inherited by the workers.  Where it cannot be had, dumps are rare. */
    (void) madvise(zone->addr, zone->size, MADV_DONTDUMP);
    if (!fresh && z->magic == TICKET_ZONE_MAGIC
        && z->version == TICKET_ZONE_VERSION)
    {
        return VEIL_OK;
    }
    OPENSSL_cleanse(z, sizeof(*z));
    tls_ticket_make_all(z, veil_now_ms());
    z->version = TICKET_ZONE_VERSION;
    z->magic = TICKET_ZONE_MAGIC;
    return VEIL_OK;
}

veil_tls_keys_t *
veil_tls_keys_zone(veil_conf_t *cf, uint64_t lifetime_ms)
{
    veil_shm_zone_t *zone;
    veil_tls_keys_t *k;

    zone = veil_shm_zone_add(cf, VEIL_STR("tls ticket keys"), TICKET_ZONE_SIZE,
                             tls_ticket_zone_tag);
    if (zone == NULL) {
        return NULL;
    }
    if (zone->data == NULL) {
        zone->init = tls_ticket_zone_init;
        k = VEIL_POOL_NEW(cf->pool, veil_tls_keys_t);
        k->zone = zone;
        k->log = &cf->cycle->log;
        zone->data = k;
    }
    k = zone->data;
    if (k->lifetime_ms < lifetime_ms) {
        k->lifetime_ms = lifetime_ms;
    }
    return k;
}

/* With the lock, and keys that are up to date. */
static ticket_zone_t *
tls_ticket_enter(veil_tls_keys_t *k, ticket_news_t *news)
{
    ticket_zone_t *z = k->zone->addr;
    uint64_t now_ms = veil_now_ms();

    VEIL_ASSERT(z != NULL && z->magic == TICKET_ZONE_MAGIC);
    if (!veil_lock(&z->lock)) {
        tls_ticket_make_all(z, now_ms);
        veil_lock_mend(&z->lock);
        *news = TICKET_LOST;
    } else {
        *news = tls_ticket_rotate(z, k->lifetime_ms, now_ms) ? TICKET_RENEWED
                                                             : TICKET_SAME;
    }
    return z;
}

static void
tls_ticket_leave(veil_tls_keys_t *k, ticket_zone_t *z, ticket_news_t news)
{
    unsigned long long made = z->made;

    veil_unlock(&z->lock);
    if (news == TICKET_RENEWED) {
        veil_log(k->log, VEIL_LOG_INFO, 0,
                 "TLS session ticket key %llu is in use", made);
    } else if (news == TICKET_LOST) {
        veil_log(k->log, VEIL_LOG_WARN, 0,
                 "a process died while it renewed the TLS session ticket "
                 "keys: key %llu is in use, the older ones are lost",
                 made);
    }
}

static void
tls_ticket_current(veil_tls_keys_t *k, ticket_key_t *key)
{
    ticket_news_t news;
    ticket_zone_t *z = tls_ticket_enter(k, &news);

    *key = z->current;
    tls_ticket_leave(k, z, news);
}

static bool
tls_ticket_has_name(const ticket_key_t *key, const uint8_t *name)
{
    return key->len != 0 && memcmp(key->name, name, TICKET_NAME_LEN) == 0;
}

/* 0: unknown, 1: current, 2: the ticket is to be renewed. */
static int
tls_ticket_find(veil_tls_keys_t *k, const uint8_t *name, ticket_key_t *key)
{
    ticket_news_t news;
    ticket_zone_t *z = tls_ticket_enter(k, &news);
    int found = 0;

    if (tls_ticket_has_name(&z->current, name)) {
        *key = z->current;
        found = 1;
    } else if (tls_ticket_has_name(&z->previous, name)
               && tls_ticket_age(&z->previous, veil_now_ms()) / 2
                      < k->lifetime_ms)
    {
        *key = z->previous;
        found = 2;
    }
    tls_ticket_leave(k, z, news);
    return found;
}

/* --- the library's callback -----------------------------------------------
 */

static int
tls_ticket_index(void)
{
    static int index = -1;

    if (index < 0) {
        index = SSL_CTX_get_ex_new_index(0, NULL, NULL, NULL, NULL);
        VEIL_ASSERT(index >= 0);
    }
    return index;
}

static bool
tls_ticket_start(const ticket_key_t *key, const uint8_t *iv,
                 EVP_CIPHER_CTX *cipher, HMAC_CTX *hmac, bool encrypt)
{
    const EVP_CIPHER *aes =
        key->len == 16 ? EVP_aes_128_cbc() : EVP_aes_256_cbc();

    return EVP_CipherInit_ex(cipher, aes, NULL, key->aes, iv, encrypt) == 1
           && HMAC_Init_ex(hmac, key->hmac, key->len, EVP_sha256(), NULL) == 1;
}

/* As tls_ticket_find. */
static int
tls_ticket_conf_find(const ticket_conf_t *conf, const uint8_t *name,
                     ticket_key_t *key)
{
    unsigned i;

    if (conf->n == 0) {
        return tls_ticket_find(conf->shared, name, key);
    }
    for (i = 0; i < conf->n; i++) {
        if (tls_ticket_has_name(&conf->keys[i], name)) {
            *key = conf->keys[i];
            return i == 0 ? 1 : 2;
        }
    }
    return 0;
}

static int
tls_ticket_callback(SSL *ssl, uint8_t *name, uint8_t *iv,
                    EVP_CIPHER_CTX *cipher, HMAC_CTX *hmac, int encrypt)
{
    const ticket_conf_t *conf =
        SSL_CTX_get_ex_data(SSL_get_SSL_CTX(ssl), tls_ticket_index());
    ticket_key_t key;
    int rc = 1;

    /* A server without tickets makes none, and takes nobody else's. */
    if (conf == NULL) {
        return encrypt ? -1 : 0;
    }
    if (!encrypt) {
        rc = tls_ticket_conf_find(conf, name, &key);
        if (rc == 0) {
            return 0;
        }
    } else {
        if (conf->n != 0) {
            key = conf->keys[0];
        } else {
            tls_ticket_current(conf->shared, &key);
        }
        memcpy(name, key.name, TICKET_NAME_LEN);
        RAND_bytes(iv, TICKET_IV_LEN);
    }
    if (!tls_ticket_start(&key, iv, cipher, hmac, encrypt)) {
        rc = -1;
    }
    OPENSSL_cleanse(&key, sizeof(key));
    return rc;
}

/* --- keys from files ------------------------------------------------------
 */

static void
tls_ticket_parse(ticket_key_t *key, const uint8_t *data, size_t n)
{
    key->len = n == TICKET_FILE_SMALL ? 16 : 32;
    memcpy(key->name, data, TICKET_NAME_LEN);
    data += TICKET_NAME_LEN;
    /* nginx's two sizes have their parts in two orders. */
    if (n == TICKET_FILE_SMALL) {
        memcpy(key->aes, data, key->len);
        memcpy(key->hmac, data + key->len, key->len);
    } else {
        memcpy(key->hmac, data, key->len);
        memcpy(key->aes, data + key->len, key->len);
    }
}

static veil_rc_t
tls_ticket_load(veil_conf_t *cf, const veil_conf_node_t *node, veil_str_t path,
                ticket_key_t *key)
{
    veil_rc_t rc = VEIL_OK;
    unsigned mode = 0;
    size_t n;
    char *data = veil_tls_read_file(path, &n, &mode);

    if (data == NULL) {
        return veil_conf_error_node(
            cf, node, 1, "cannot read the session ticket key \"%.*s\": %s",
            VEIL_STR_ARG(path), strerror(errno));
    }
    if (n != TICKET_FILE_SMALL && n != TICKET_FILE_LARGE) {
        rc = veil_conf_error_node(cf, node, 1,
                                  "the session ticket key \"%.*s\" must have "
                                  "48 or 80 bytes",
                                  VEIL_STR_ARG(path));
    } else {
        if (mode & (S_IROTH | S_IWOTH)) {
            veil_conf_warn_node(cf, node,
                                "the session ticket key \"%.*s\" is open to "
                                "every user of this machine (mode %04o)",
                                VEIL_STR_ARG(path), mode & 07777u);
        }
        tls_ticket_parse(key, (const uint8_t *) data, n);
    }
    OPENSSL_free(data); /* which overwrites it */
    return rc;
}

static void
tls_ticket_forget(void *data)
{
    ticket_conf_t *conf = data;

    OPENSSL_cleanse(conf->keys, conf->n * sizeof(conf->keys[0]));
}

static ticket_conf_t *
tls_ticket_conf_create(veil_conf_t *cf, const veil_tls_options_t *o)
{
    const veil_conf_node_t *node = veil_tls_at(o, o->at.ticket_keys);
    unsigned i, n = o->ticket_keys == NULL ? 0 : o->ticket_keys->n;
    ticket_conf_t *conf;

    conf =
        veil_pool_zalloc(cf->pool, sizeof(*conf) + n * sizeof(conf->keys[0]));
    conf->shared = o->keys;
    conf->n = n;
    veil_pool_on_destroy(cf->pool, tls_ticket_forget, conf);
    for (i = 0; i < n; i++) {
        veil_str_t path = *veil_array_at(o->ticket_keys, veil_str_t, i);

        if (tls_ticket_load(cf, node, path, &conf->keys[i]) != VEIL_OK) {
            return NULL;
        }
    }
    return conf;
}

/* --- contexts -------------------------------------------------------------
 */

static void
tls_ticket_set(SSL_CTX *ctx, ticket_conf_t *conf, const veil_tls_options_t *o)
{
    uint64_t sec = o->session_timeout / 1000;

    if (sec > UINT32_MAX) {
        sec = UINT32_MAX;
    }
    /* TLS 1.2 and older, then TLS 1.3. */
    SSL_CTX_set_timeout(ctx, (uint32_t) sec);
    SSL_CTX_set_session_psk_dhe_timeout(ctx, (uint32_t) sec);
    veil_tls_sid_apply(ctx, o);

    SSL_CTX_set_tlsext_ticket_key_cb(ctx, tls_ticket_callback);
    if (conf == NULL) {
        SSL_CTX_set_options(ctx, SSL_OP_NO_TICKET);
    }
    VEIL_ASSERT(SSL_CTX_set_ex_data(ctx, tls_ticket_index(), conf) == 1);
}

veil_rc_t
veil_tls_ticket_apply(veil_conf_t *cf, SSL_CTX *ctx,
                      const veil_tls_options_t *o)
{
    ticket_conf_t *conf = NULL;

    if (o->tickets && (o->ticket_keys != NULL || o->keys != NULL)) {
        conf = tls_ticket_conf_create(cf, o);
        if (conf == NULL) {
            return VEIL_ERROR;
        }
    }
    tls_ticket_set(ctx, conf, o);
    return VEIL_OK;
}
