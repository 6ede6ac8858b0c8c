/*
 * tls_cache.c -- sessions by id, for TLS 1.2 and older.
 *
 * A client without tickets is given an id and comes back with it.  The
 * sessions are in a zone with a slab, so that all workers of all generations
 * find them, and neither a reload nor a worker's death forgets any.
 * ("builtin" is the same in memory of the worker's own.)  TLS 1.3 has no such
 * sessions in this library: there, resumption is by ticket or not at all.
 *
 * A node is a session as the library serialises it, without its id, which
 * the node has.  Nodes hang in a hash table by their ids, and in one list by
 * their use: a look-up moves one to the front, and what is to go goes from
 * the end.  Each insertion removes up to two from the end that have expired,
 * as nginx does, which keeps a cache free of old ones at no cost worth
 * mentioning; where there is no room it takes the oldest ones, expired or
 * not.  Ids are ours, 32 random bytes, so the table needs no keyed hash: a
 * client may ask for any id but cannot choose one to be stored.
 *
 * Links are offsets in units of 16 bytes, the slab's alignment: a session
 * without a client's certificate takes a slot of 256 bytes, and a megabyte
 * holds about 4,000 of them.  One of more than TLS_CACHE_MAX bytes (a client
 * with a long chain of certificates) is not kept, and does a full handshake
 * each time.
 *
 * All of it is under the slab's lock, for a copy of some hundred bytes.  A
 * process that dies with it leaves links that cannot be trusted: whoever
 * comes next empties the cache, which costs each client one handshake.
 *
 * A removed session is overwritten, for it has a master secret in it, and the
 * zone is left out of core dumps.
 *
 * The library's own cache is not used: it belongs to the context a session
 * began in, and to one process.  Nor is its callback for removals, which is
 * for that cache alone.
 */

#include "event/tls_impl.h"

#include <sys/mman.h>

#include <openssl/mem.h>

#include "core/cycle.h"
#include "core/fault.h"
#include "core/memory.h"
#include "core/shm.h"
#include "core/slab.h"
#include "core/time.h"

/* Where a test kills the process; t/unit/test_tls_cache.c has its own. */
#ifndef CACHE_POINT
#define CACHE_POINT(what) VEIL_FAULT("tls_cache." what)
#endif

#define TLS_CACHE_ID SSL_MAX_SSL_SESSION_ID_LENGTH
#define TLS_CACHE_MAGIC 0x54534553u
#define TLS_CACHE_VERSION 1u
/* With its node a session has one page at most; nginx's limit as well. */
#define TLS_CACHE_MAX (VEIL_SLAB_PAGE - sizeof(tls_cache_node_t))
/* nginx's least size of a zone. */
#define TLS_CACHE_MIN_ZONE (8 * 4096)
/* Links are numbers of 16 bytes. */
#define TLS_CACHE_MAX_ZONE ((size_t) UINT32_MAX * 16 + 16)
/* What a session takes, roughly: for the table, and for "builtin". */
#define TLS_CACHE_TYPICAL 256
/* Sessions that make room for one, at most: they are of several sizes. */
#define TLS_CACHE_VICTIMS 32

/* Offset / 16 in the slab; 0: none. */
typedef uint32_t tls_cache_link_t;

typedef struct {
    tls_cache_link_t chain; /* in its bucket */
    tls_cache_link_t newer;
    tls_cache_link_t older;
    uint32_t len;    /* of data */
    int64_t expires; /* wall clock, seconds */
    uint8_t id[TLS_CACHE_ID];
    uint8_t data[];
} tls_cache_node_t;

typedef struct {
    uint32_t magic;
    uint32_t version;
    uint32_t n;
    uint32_t mask; /* number of buckets - 1 */
    tls_cache_link_t newest;
    tls_cache_link_t oldest;
    tls_cache_link_t buckets[];
} tls_cache_root_t;

struct veil_tls_cache_s {
    bool off;
    veil_shm_zone_t *zone; /* NULL: of this worker alone */
    unsigned max;          /* sessions; 0: as many as there is room for */
    veil_slab_t *slab;     /* NULL until the first use */
    size_t size;           /* of a worker's own memory */
    const veil_log_t *log;
    int64_t told_sec; /* when it was last told that there is no room */
};

static const char tls_cache_tag[] = "tls sessions";

/* --- links ----------------------------------------------------------------
 */

static void *
tls_cache_at(veil_slab_t *s, tls_cache_link_t link)
{
    return veil_slab_pointer(s, (uint64_t) link * 16);
}

static tls_cache_link_t
tls_cache_link(const veil_slab_t *s, const void *p)
{
    return (tls_cache_link_t) (veil_slab_offset(s, p) / 16);
}

static tls_cache_root_t *
tls_cache_root(veil_slab_t *s)
{
    return veil_slab_pointer(s, veil_slab_root(s));
}

static tls_cache_link_t *
tls_cache_bucket(tls_cache_root_t *r, const uint8_t *id)
{
    uint32_t hash;

    memcpy(&hash, id, sizeof(hash));
    return &r->buckets[hash & r->mask];
}

/* Where the link to this id is, or would be. */
static tls_cache_link_t *
tls_cache_find(veil_slab_t *s, tls_cache_root_t *r, const uint8_t *id)
{
    tls_cache_link_t *link = tls_cache_bucket(r, id);
    tls_cache_node_t *node;

    for (; *link != 0; link = &node->chain) {
        node = tls_cache_at(s, *link);
        if (memcmp(node->id, id, TLS_CACHE_ID) == 0) {
            break;
        }
    }
    return link;
}

static void
tls_cache_push(veil_slab_t *s, tls_cache_root_t *r, tls_cache_node_t *node)
{
    tls_cache_link_t self = tls_cache_link(s, node);
    tls_cache_node_t *newest = tls_cache_at(s, r->newest);

    node->newer = 0;
    node->older = r->newest;
    if (newest != NULL) {
        newest->newer = self;
    } else {
        r->oldest = self;
    }
    CACHE_POINT("push");
    r->newest = self;
}

static void
tls_cache_unlink(veil_slab_t *s, tls_cache_root_t *r, tls_cache_node_t *node)
{
    tls_cache_node_t *newer = tls_cache_at(s, node->newer);
    tls_cache_node_t *older = tls_cache_at(s, node->older);

    if (newer != NULL) {
        newer->older = node->older;
    } else {
        r->newest = node->older;
    }
    CACHE_POINT("unlink");
    if (older != NULL) {
        older->newer = node->newer;
    } else {
        r->oldest = node->newer;
    }
}

static void
tls_cache_remove(veil_slab_t *s, tls_cache_root_t *r, tls_cache_link_t *link)
{
    tls_cache_node_t *node = tls_cache_at(s, *link);

    *link = node->chain;
    CACHE_POINT("unchained");
    tls_cache_unlink(s, r, node);
    r->n--;
    OPENSSL_cleanse(node, sizeof(*node) + node->len);
    CACHE_POINT("cleansed");
    veil_slab_free_locked(s, node);
}

static void
tls_cache_remove_oldest(veil_slab_t *s, tls_cache_root_t *r)
{
    const tls_cache_node_t *node = tls_cache_at(s, r->oldest);
    tls_cache_link_t *link = tls_cache_find(s, r, node->id);

    VEIL_ASSERT(*link == r->oldest);
    tls_cache_remove(s, r, link);
}

/* --- the memory -----------------------------------------------------------
 */

/* In an empty slab.  False when there is no room for a table. */
static bool
tls_cache_make(veil_slab_t *s, size_t size)
{
    uint32_t n = 16;
    tls_cache_root_t *r;

    while ((size_t) n * 2 * TLS_CACHE_TYPICAL <= size && n < 1u << 30) {
        n *= 2;
    }
    r = veil_slab_alloc_locked(s, sizeof(*r) + n * sizeof(r->buckets[0]));
    if (r == NULL) {
        return false;
    }
    r->mask = n - 1;
    r->version = TLS_CACHE_VERSION;
    r->magic = TLS_CACHE_MAGIC;
    CACHE_POINT("table");
    veil_slab_set_root(s, veil_slab_offset(s, r));
    return true;
}

/* With the lock: an empty cache. */
static bool
tls_cache_clear(veil_slab_t *s, size_t size)
{
    veil_slab_reset(s);
    return tls_cache_make(s, size);
}

/* Before anybody else sees the memory, or with all of it as it should be. */
static bool
tls_cache_prepare(void *addr, size_t size, bool fresh)
{
    veil_slab_t *s = fresh ? NULL : veil_slab_attach(addr, size);
    const tls_cache_root_t *r;
    bool ok;

    /* Where it cannot be had, dumps are rare. */
    (void) madvise(addr, size, MADV_DONTDUMP);
    if (s == NULL) {
        if (!fresh) {
            veil_shm_zero(addr, size);
        }
        s = veil_slab_init(addr, size);
        if (s == NULL) {
            return false;
        }
        fresh = true;
    }
    ok = veil_slab_lock(s);
    r = tls_cache_root(s);
    if (fresh) {
        ok = tls_cache_make(s, size);
    } else if (!ok || r == NULL || r->magic != TLS_CACHE_MAGIC
               || r->version != TLS_CACHE_VERSION)
    {
        ok = tls_cache_clear(s, size);
        veil_slab_mend(s);
    }
    veil_slab_unlock(s);
    return ok;
}

static veil_rc_t
tls_cache_init(veil_shm_zone_t *zone, bool fresh)
{
    return tls_cache_prepare(zone->addr, zone->size, fresh) ? VEIL_OK
                                                            : VEIL_ERROR;
}

/* The worker's own memory: touched as it is used, so that it may be large. */
static void
tls_cache_map(veil_tls_cache_t *c)
{
    void *addr = mmap(NULL, c->size, PROT_READ | PROT_WRITE,
                      MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

    if (addr == MAP_FAILED) {
        veil_panic("no memory for a cache of %u TLS sessions", c->max);
    }
    VEIL_ASSERT(tls_cache_prepare(addr, c->size, true));
    c->slab = addr;
}

static void
tls_cache_unmap(void *data)
{
    veil_tls_cache_t *c = data;

    if (c->slab != NULL) {
        munmap(c->slab, c->size);
    }
}

/* The lock, and a cache in order; *lost when it had to be emptied. */
static tls_cache_root_t *
tls_cache_enter(veil_tls_cache_t *c, bool *lost)
{
    if (c->zone == NULL && c->slab == NULL) {
        tls_cache_map(c);
    } else if (c->slab == NULL) {
        VEIL_ASSERT(c->zone->addr != NULL);
        c->slab = veil_slab_attach(c->zone->addr, c->zone->size);
        VEIL_ASSERT(c->slab != NULL);
    }
    *lost = !veil_slab_lock(c->slab);
    if (*lost) {
        VEIL_ASSERT(tls_cache_clear(c->slab, c->zone != NULL ? c->zone->size
                                                             : c->size));
        veil_slab_mend(c->slab);
    }
    return tls_cache_root(c->slab);
}

static void
tls_cache_leave(veil_tls_cache_t *c, bool lost)
{
    veil_slab_unlock(c->slab);
    if (lost) {
        veil_log(c->log, VEIL_LOG_ALERT, 0,
                 "a process died while it changed the SSL session cache "
                 "\"%.*s\": all sessions in it are lost",
                 VEIL_STR_ARG(c->zone->name));
    }
}

/* --- storing and finding --------------------------------------------------
 */

static tls_cache_node_t *
tls_cache_alloc(veil_tls_cache_t *c, tls_cache_root_t *r, size_t n)
{
    tls_cache_node_t *node = NULL;
    unsigned i;

    if (c->max != 0 && r->n >= c->max) {
        tls_cache_remove_oldest(c->slab, r);
    }
    for (i = 0; i < TLS_CACHE_VICTIMS; i++) {
        node = veil_slab_alloc_locked(c->slab, sizeof(*node) + n);
        if (node != NULL || r->oldest == 0) {
            break;
        }
        tls_cache_remove_oldest(c->slab, r);
    }
    return node;
}

static void
tls_cache_expire(veil_slab_t *s, tls_cache_root_t *r)
{
    const tls_cache_node_t *node;
    unsigned i;

    for (i = 0; i < 2 && r->oldest != 0; i++) {
        node = tls_cache_at(s, r->oldest);
        if (node->expires > veil_clock.sec) {
            break;
        }
        tls_cache_remove_oldest(s, r);
    }
}

static bool
tls_cache_store(veil_tls_cache_t *c, const uint8_t *id, const uint8_t *data,
                size_t n, int64_t expires)
{
    bool lost;
    tls_cache_root_t *r = tls_cache_enter(c, &lost);
    tls_cache_link_t *link;
    tls_cache_node_t *node;

    tls_cache_expire(c->slab, r);
    link = tls_cache_find(c->slab, r, id);
    if (*link != 0) {
        tls_cache_remove(c->slab, r, link);
    }
    node = tls_cache_alloc(c, r, n);
    if (node != NULL) {
        memcpy(node->id, id, TLS_CACHE_ID);
        memcpy(node->data, data, n);
        node->len = (uint32_t) n;
        node->expires = expires;
        CACHE_POINT("stored");
        /* Not the link from before: making room may have moved it. */
        link = tls_cache_bucket(r, id);
        node->chain = *link;
        *link = tls_cache_link(c->slab, node);
        CACHE_POINT("chained");
        tls_cache_push(c->slab, r, node);
        r->n++;
    }
    tls_cache_leave(c, lost);
    return node != NULL;
}

/* The length of what was copied to buf; 0: there is none. */
static size_t
tls_cache_load(veil_tls_cache_t *c, const uint8_t *id, uint8_t *buf)
{
    bool lost;
    tls_cache_root_t *r = tls_cache_enter(c, &lost);
    tls_cache_link_t *link = tls_cache_find(c->slab, r, id);
    tls_cache_node_t *node = tls_cache_at(c->slab, *link);
    size_t n = 0;

    if (node != NULL && node->expires <= veil_clock.sec) {
        tls_cache_remove(c->slab, r, link);
    } else if (node != NULL) {
        n = node->len;
        memcpy(buf, node->data, n);
        tls_cache_unlink(c->slab, r, node);
        CACHE_POINT("moved");
        tls_cache_push(c->slab, r, node);
    }
    tls_cache_leave(c, lost);
    return n;
}

/* --- the library's callbacks ----------------------------------------------
 */

static int
tls_cache_index(void)
{
    static int index = -1;

    if (index < 0) {
        index = SSL_CTX_get_ex_new_index(0, NULL, NULL, NULL, NULL);
        VEIL_ASSERT(index >= 0);
    }
    return index;
}

static veil_tls_cache_t *
tls_cache_of(const SSL *ssl)
{
    return SSL_CTX_get_ex_data(SSL_get_SSL_CTX(ssl), tls_cache_index());
}

/* Once a second at most, as a storm of clients would fill the log. */
static void
tls_cache_tell(veil_tls_cache_t *c, size_t n)
{
    if (c->told_sec != veil_clock.sec) {
        c->told_sec = veil_clock.sec;
        veil_log(
            c->log, VEIL_LOG_WARN, 0,
            "no room for an SSL session of %zu bytes in the session "
            "cache%s%.*s",
            n, c->zone != NULL ? " " : "",
            VEIL_STR_ARG(c->zone != NULL ? c->zone->name : VEIL_STR_NULL));
    }
}

/* Takes no reference: 0. */
static int
tls_cache_on_new(SSL *ssl, SSL_SESSION *session)
{
    veil_tls_cache_t *c = tls_cache_of(ssl);
    const uint8_t *id;
    unsigned id_len;
    uint8_t *data;
    size_t n;

    id = SSL_SESSION_get_id(session, &id_len);
    if (c == NULL || c->off || id_len != TLS_CACHE_ID
        || SSL_SESSION_to_bytes_for_ticket(session, &data, &n) != 1)
    {
        return 0;
    }
    if (n > TLS_CACHE_MAX
        || !tls_cache_store(c, id, data, n,
                            (int64_t) SSL_SESSION_get_time(session)
                                + SSL_SESSION_get_timeout(session)))
    {
        tls_cache_tell(c, n);
    }
    OPENSSL_free(data); /* which overwrites it */
    return 0;
}

static SSL_SESSION *
tls_cache_on_get(SSL *ssl, const uint8_t *id, int id_len, int *copy)
{
    veil_tls_cache_t *c = tls_cache_of(ssl);
    SSL_SESSION *session = NULL;
    uint8_t data[VEIL_SLAB_PAGE];
    size_t n;

    *copy = 0;
    if (c == NULL || c->off || id_len != TLS_CACHE_ID) {
        return NULL;
    }
    n = tls_cache_load(c, id, data);
    if (n != 0) {
        session = SSL_SESSION_from_bytes(data, n, SSL_get_SSL_CTX(ssl));
        OPENSSL_cleanse(data, n);
    }
    if (session != NULL && SSL_SESSION_set1_id(session, id, TLS_CACHE_ID) != 1)
    {
        SSL_SESSION_free(session);
        session = NULL;
    }
    if (session == NULL) {
        /* What the library noted would be taken for the handshake's end. */
        ERR_clear_error();
    }
    return session;
}

/* --- declaring ------------------------------------------------------------
 */

veil_tls_cache_t *
veil_tls_cache_zone(veil_conf_t *cf, veil_str_t name, size_t size)
{
    veil_shm_zone_t *zone;
    veil_tls_cache_t *c;

    if (size != 0 && size < TLS_CACHE_MIN_ZONE) {
        veil_conf_error(cf, "session cache \"%.*s\" is too small",
                        VEIL_STR_ARG(name));
        return NULL;
    }
    if (size > TLS_CACHE_MAX_ZONE) {
        veil_conf_error(cf,
                        "session cache \"%.*s\" is too large: 64g is the "
                        "most",
                        VEIL_STR_ARG(name));
        return NULL;
    }
    zone = veil_shm_zone_add(cf, name, size, tls_cache_tag);
    if (zone == NULL) {
        return NULL;
    }
    if (zone->data == NULL) {
        zone->init = tls_cache_init;
        c = VEIL_POOL_NEW(cf->pool, veil_tls_cache_t);
        c->zone = zone;
        c->log = &cf->cycle->log;
        zone->data = c;
    }
    return zone->data;
}

veil_tls_cache_t *
veil_tls_cache_local(veil_conf_t *cf, unsigned n)
{
    veil_tls_cache_t *c = VEIL_POOL_NEW(cf->pool, veil_tls_cache_t);
    bool grouped;
    uint64_t limit = veil_memory_limit(&grouped);

    /* Twice the typical size, and what the slab and the table need. */
    c->max = n == 0 ? 1 : n;
    c->size = veil_align((size_t) c->max * 3 * TLS_CACHE_TYPICAL + 65536,
                         VEIL_SLAB_PAGE);
    if (c->size > limit) {
        veil_conf_error(cf,
                        "a cache of %u sessions would have %zu MB, but there "
                        "are %llu MB of memory and swap",
                        n, c->size >> 20, (unsigned long long) limit >> 20);
        return NULL;
    }
    c->log = &cf->cycle->log;
    veil_pool_on_destroy(cf->pool, tls_cache_unmap, c);
    return c;
}

veil_tls_cache_t *
veil_tls_cache_off(void)
{
    static veil_tls_cache_t off = { .off = true };

    return &off;
}

veil_rc_t
veil_tls_cache_apply(SSL_CTX *ctx, const veil_tls_options_t *o)
{
    bool off = o->cache != NULL && o->cache->off;

    (void) SSL_CTX_set_session_cache_mode(
        ctx, off ? SSL_SESS_CACHE_OFF
                 : SSL_SESS_CACHE_SERVER | SSL_SESS_CACHE_NO_INTERNAL);
    SSL_CTX_sess_set_new_cb(ctx, tls_cache_on_new);
    SSL_CTX_sess_set_get_cb(ctx, tls_cache_on_get);
    return SSL_CTX_set_ex_data(ctx, tls_cache_index(), o->cache) == 1
               ? VEIL_OK
               : VEIL_ERROR;
}
