/*
 * upstream_zone.c -- the state of peers and servers that all workers share.
 *
 * A zone is a lock, a version and an array of entries.  An entry is found by
 * the text "group/server/address", so that generations with different
 * configurations agree on what they have in common, and a reload loses
 * nothing.  One of a peer is never given back while anyone could use it: only
 * one that no worker has said it has for an hour, and that counts no
 * exchange, is used anew.  One of a server is there when something was
 * changed of it at run time, and goes when nothing is any more.
 *
 * Counters are plain atomics and need no lock.  The weights of round robin
 * change together and have one, and so has what an operator changes; who
 * changes it says so by the version, which every pick looks at.  A worker
 * that dies with the lock leaves nothing worse than a slightly unfair turn,
 * so a broken lock is mended at once.
 *
 * When a zone is full, or is not mapped (a unit test, a group made at run
 * time), the slot is the worker's own.
 */

#include "http/upstream/upstream_impl.h"

#include "core/fault.h"
#include "core/murmur.h"

/* With the layout of what is in it. */
#define ZONE_MAGIC 0x555a4e46u
#define ZONE_MIN_SIZE (32 * 1024)
/* Slots are counted in 32 bits. */
#define ZONE_MAX_SIZE ((size_t) 64 << 30)
#define ZONE_SLOT_IDLE_SEC 3600

typedef struct {
    uint32_t magic;
    uint32_t nslots;
    veil_lock_t lock;
    uint32_t version;
    bool told_full;
    _Alignas(64) veil_upstream_slot_t slots[];
} upstream_zone_t;

_Static_assert(sizeof(veil_upstream_slot_t) == 512, "whole cache lines");

static const char upstream_zone_tag[] = "upstream";

static veil_rc_t
upstream_zone_init(veil_shm_zone_t *shm, bool fresh)
{
    upstream_zone_t *z = shm->addr;
    uint32_t n = (uint32_t) ((shm->size - sizeof(*z)) / sizeof(z->slots[0]));
    veil_upstream_zone_data_t *data =
        VEIL_POOL_NEW(veil_cycle->pool, veil_upstream_zone_data_t);

    shm->data = data;
    veil_upstream_ledger_add(data, n);
    if (!fresh && z->magic == ZONE_MAGIC && z->nslots == n) {
        return VEIL_OK;
    }
    if (!fresh) {
        veil_shm_zero(z, shm->size); /* else its pages are not touched yet */
    }
    z->nslots = n;
    z->version = 1;
    data->fresh = true;
    z->magic = ZONE_MAGIC;
    return VEIL_OK;
}

veil_rc_t
veil_upstream_zone_add(veil_conf_t *cf, veil_upstream_group_t *g,
                       veil_str_t name, size_t size)
{
    if (size != 0 && size < 8 * 4096) {
        return veil_conf_error(cf, "zone \"%.*s\" is too small",
                               VEIL_STR_ARG(name));
    }
    if (size > ZONE_MAX_SIZE) {
        return veil_conf_error(cf,
                               "zone \"%.*s\" is too large: 64g is the most",
                               VEIL_STR_ARG(name));
    }
    g->zone = veil_shm_zone_add(cf, name, size, upstream_zone_tag);
    if (g->zone == NULL) {
        return VEIL_ERROR;
    }
    g->zone->init = upstream_zone_init;
    return VEIL_OK;
}

veil_rc_t
veil_upstream_zone_default(veil_conf_t *cf, veil_upstream_group_t *g)
{
    size_t size = ZONE_MIN_SIZE;
    size_t slots = 32 + 8 * (size_t) g->servers.n;
    veil_str_t name;

    /* In powers of two, so that a few more servers keep the zone. */
    while (size < slots * sizeof(veil_upstream_slot_t)) {
        size *= 2;
    }
    name = veil_pool_printf(cf->pool, "upstream %s%.*s",
                            g->default_port == 443 ? "https://" : "",
                            VEIL_STR_ARG(g->name));
    g->zone = veil_shm_zone_add(cf, name, size, upstream_zone_tag);
    if (g->zone == NULL) {
        return VEIL_ERROR;
    }
    g->zone->init = upstream_zone_init;
    return VEIL_OK;
}

static upstream_zone_t *
upstream_zone_of(const veil_upstream_group_t *g)
{
    return g->zone == NULL ? NULL : g->zone->addr;
}

void
veil_upstream_zone_lock(veil_upstream_group_t *g)
{
    upstream_zone_t *z = upstream_zone_of(g);

    if (z != NULL && !veil_lock(&z->lock)) {
        veil_lock_mend(&z->lock);
    }
}

void
veil_upstream_zone_unlock(veil_upstream_group_t *g)
{
    upstream_zone_t *z = upstream_zone_of(g);

    if (z != NULL) {
        veil_unlock(&z->lock);
    }
}

uint32_t *
veil_upstream_zone_version(const veil_upstream_group_t *g)
{
    upstream_zone_t *z = upstream_zone_of(g);

    return z == NULL ? NULL : &z->version;
}

veil_upstream_slot_t *
veil_upstream_zone_slots(const veil_upstream_group_t *g, uint32_t *n)
{
    upstream_zone_t *z = upstream_zone_of(g);

    *n = z == NULL ? 0 : z->nslots;
    return z == NULL ? NULL : z->slots;
}

ptrdiff_t
veil_upstream_zone_index(const veil_upstream_group_t *g,
                         const veil_upstream_slot_t *slot)
{
    const upstream_zone_t *z = upstream_zone_of(g);

    if (z == NULL || slot < z->slots || slot >= z->slots + z->nslots) {
        return -1;
    }
    return slot - z->slots;
}

void
veil_upstream_zone_dead(veil_upstream_group_t *g, pid_t pid)
{
    upstream_zone_t *z = upstream_zone_of(g);

    if (z != NULL) {
        /* Whoever takes it next mends it. */
        (void) veil_lock_break(&z->lock, pid);
    }
}

/* --- keys ----------------------------------------------------------------
 */

#define ZONE_KEY_MAX 1024

static char *
upstream_zone_key_add(char *p, const char *end, veil_str_t s)
{
    s.len = veil_min_size(s.len, (size_t) (end - p));
    return veil_fmt_str(p, s);
}

/* What is longer than any name can be is cut. */
static size_t
upstream_zone_key(char *buf, const veil_upstream_group_t *g, veil_str_t server,
                  veil_str_t addr)
{
    const char *end = buf + ZONE_KEY_MAX - 1;
    char *p = upstream_zone_key_add(buf, end, g->name);

    if (server.len != 0) {
        p = upstream_zone_key_add(p, end, VEIL_STR("/"));
        p = upstream_zone_key_add(p, end, server);
    }
    if (addr.len != 0) {
        p = upstream_zone_key_add(p, end, VEIL_STR("/"));
        p = upstream_zone_key_add(p, end, addr);
    }
    *p = '\0';
    return (size_t) (p - buf);
}

static uint64_t
upstream_zone_hash(const char *key, size_t n)
{
    /* Two of 32 bits; never 0, which is a free entry. */
    return (uint64_t) veil_murmur2(key, n) << 32 | veil_crc32(0, key, n) | 1;
}

uint64_t
veil_upstream_entry_hash(const veil_upstream_group_t *g, veil_str_t server)
{
    char key[ZONE_KEY_MAX];
    size_t n = upstream_zone_key(key, g, server, VEIL_STR_NULL);

    return upstream_zone_hash(key, n);
}

static uint64_t
upstream_zone_address_hash(const veil_upstream_group_t *g, veil_str_t server,
                           veil_str_t addr)
{
    char key[ZONE_KEY_MAX];

    return upstream_zone_hash(key, upstream_zone_key(key, g, server, addr));
}

/* --- entries -------------------------------------------------------------
 */

static bool
upstream_zone_may_take(const veil_upstream_slot_t *e)
{
    return e->kind == VEIL_UPSTREAM_FREE
           || (e->kind == VEIL_UPSTREAM_PEER && e->conns == 0
               && e->change.set == 0
               && veil_clock.sec - e->used_sec > ZONE_SLOT_IDLE_SEC);
}

/* The entry of this key; *spare: the best one to take for it. */
static veil_upstream_slot_t *
upstream_zone_find(upstream_zone_t *z, uint64_t hash, const char *end,
                   veil_upstream_slot_t **spare)
{
    veil_upstream_slot_t *e;
    uint32_t i;

    *spare = NULL;
    for (i = 0; i < z->nslots; i++) {
        e = &z->slots[i];
        if (e->hash == hash && e->kind != VEIL_UPSTREAM_FREE
            && strcmp(e->key, end) == 0)
        {
            return e;
        }
        if (*spare == NULL && upstream_zone_may_take(e)) {
            *spare = e;
        }
        if (e->hash == 0) {
            return NULL; /* filled from the front, and freed ones keep it */
        }
    }
    return NULL;
}

void
veil_upstream_entry_free(veil_upstream_slot_t *e)
{
    e->kind = VEIL_UPSTREAM_FREE;
    e->flags = 0;
    e->change.set = 0;
    e->key[0] = '\0';
}

veil_upstream_slot_t *
veil_upstream_entry(veil_upstream_group_t *g, veil_str_t server,
                    veil_str_t addr, bool make)
{
    upstream_zone_t *z = upstream_zone_of(g);
    veil_upstream_slot_t *e, *spare;
    char key[ZONE_KEY_MAX], *end = key;
    size_t n = upstream_zone_key(key, g, server, addr);
    uint64_t hash = upstream_zone_hash(key, n);

    if (z == NULL) {
        return NULL;
    }
    /* The end tells addresses apart, so what is cut is the beginning. */
    if (n >= VEIL_UPSTREAM_KEY_MAX) {
        end = key + n - (VEIL_UPSTREAM_KEY_MAX - 1);
    }
    e = upstream_zone_find(z, hash, end, &spare);
    if (e != NULL || !make || spare == NULL) {
        return e;
    }
    /* Free until it is whole, and never with hash 0, which ends searches. */
    spare->kind = VEIL_UPSTREAM_FREE;
    spare->hash = hash;
    memset((char *) spare + sizeof(hash), 0, sizeof(*spare) - sizeof(hash));
    VEIL_FAULT("upstream_zone.cleared");
    (void) veil_str_copy_z(spare->key, sizeof(spare->key), veil_str_z(end));
    spare->group = veil_upstream_entry_hash(g, VEIL_STR_NULL);
    spare->server = veil_upstream_entry_hash(g, server);
    spare->used_sec = veil_clock.sec;
    VEIL_FAULT("upstream_zone.written");
    spare->kind = addr.len != 0 ? VEIL_UPSTREAM_PEER : VEIL_UPSTREAM_SERVER;
    VEIL_FAULT("upstream_zone.named");
    return spare;
}

veil_upstream_slot_t *
veil_upstream_entry_next(veil_upstream_group_t *g, veil_upstream_slot_t *e)
{
    upstream_zone_t *z = upstream_zone_of(g);
    uint64_t group = veil_upstream_entry_hash(g, VEIL_STR_NULL);

    if (z == NULL) {
        return NULL;
    }
    for (e = e == NULL ? z->slots : e + 1;
         e < z->slots + z->nslots && e->hash != 0; e++)
    {
        if (e->kind != VEIL_UPSTREAM_FREE && e->group == group) {
            return e;
        }
    }
    return NULL;
}

veil_upstream_slot_t *
veil_upstream_slot(veil_upstream_group_t *g, veil_str_t server,
                   veil_str_t addr)
{
    upstream_zone_t *z = upstream_zone_of(g);
    veil_upstream_slot_t *e;
    bool tell = false;

    veil_upstream_zone_lock(g);
    e = veil_upstream_entry(g, server, addr, true);
    if (e != NULL) {
        e->used_sec = veil_clock.sec;
    } else if (z != NULL && !z->told_full) {
        tell = z->told_full = true;
    }
    veil_upstream_zone_unlock(g);

    if (tell) {
        veil_log(&veil_cycle->log, VEIL_LOG_WARN, 0,
                 "the zone \"%.*s\" is full: each worker counts by itself "
                 "what it knows of \"%.*s\" in upstream \"%.*s\"",
                 VEIL_STR_ARG(g->zone->name), VEIL_STR_ARG(addr),
                 VEIL_STR_ARG(g->name));
    }
    if (e == NULL) {
        e = VEIL_POOL_NEW(g->pool, veil_upstream_slot_t);
        e->kind = VEIL_UPSTREAM_PEER;
        e->hash = upstream_zone_address_hash(g, server, addr);
    }
    return e;
}
