/*
 * upstream_zone.c -- the state of peers that all workers share.
 *
 * A zone is a lock and an array of slots.  A slot is found by the text
 * "group/server/address", so that generations with different configurations
 * agree on what they have in common, and a reload loses nothing.  A slot is
 * never given back while anyone could use it: only one that no worker has
 * looked up for an hour, and that counts no exchange, is used anew.
 *
 * Counters are plain atomics and need no lock.  The weights of round robin
 * change together and have one.  A worker that dies with it leaves nothing
 * worse than a slightly unfair turn, so a broken lock is mended at once.
 *
 * When a zone is full, or is not mapped (a unit test, a group made at run
 * time), the slot is the worker's own.
 */

#include "http/upstream/upstream_impl.h"

#include "core/fault.h"
#include "core/murmur.h"

#define ZONE_MAGIC 0x555a4e45u
#define ZONE_MIN_SIZE (16 * 1024)
#define ZONE_SLOT_IDLE_SEC 3600

typedef struct {
    uint32_t magic;
    uint32_t nslots;
    veil_lock_t lock;
    veil_upstream_slot_t slots[];
} upstream_zone_t;

static const char upstream_zone_tag[] = "upstream";

static veil_rc_t
upstream_zone_init(veil_shm_zone_t *shm, bool fresh)
{
    upstream_zone_t *z = shm->addr;
    uint32_t n = (uint32_t) ((shm->size - sizeof(*z)) / sizeof(z->slots[0]));

    if (!fresh && z->magic == ZONE_MAGIC && z->nslots == n) {
        return VEIL_OK;
    }
    memset(z, 0, shm->size);
    z->nslots = n;
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

/* The slot of this key, or the best one to take for it. */
static veil_upstream_slot_t *
upstream_zone_find(upstream_zone_t *z, uint64_t hash, const char *key)
{
    veil_upstream_slot_t *s, *spare = NULL;
    uint32_t i;

    for (i = 0; i < z->nslots; i++) {
        s = &z->slots[i];
        if (s->hash == hash && strcmp(s->key, key) == 0) {
            return s;
        }
        if (s->hash == 0) {
            /* Slots are filled from the front and none is ever emptied. */
            return spare != NULL ? spare : s;
        }
        if (spare == NULL && s->conns == 0
            && veil_clock.sec - s->used_sec > ZONE_SLOT_IDLE_SEC)
        {
            spare = s;
        }
    }
    return spare;
}

veil_upstream_slot_t *
veil_upstream_slot(veil_upstream_group_t *g, veil_str_t key)
{
    upstream_zone_t *z = upstream_zone_of(g);
    veil_upstream_slot_t *s = NULL;
    char text[VEIL_UPSTREAM_KEY_MAX];
    uint64_t hash;
    size_t n;

    /* The end tells addresses apart, so what is cut is the beginning. */
    n = veil_min_size(key.len, sizeof(text) - 1);
    (void) veil_str_copy_z(text, sizeof(text),
                           veil_str_from(key, key.len - n));
    hash = (uint64_t) veil_murmur2(text, n) << 16 | n | 1;

    if (z != NULL) {
        veil_upstream_zone_lock(g);
        s = upstream_zone_find(z, hash, text);
        if (s != NULL && (s->hash != hash || strcmp(s->key, text) != 0)) {
            memset(s, 0, sizeof(*s));
            VEIL_FAULT("upstream_zone.cleared");
            memcpy(s->key, text, n + 1);
            s->hash = hash;
            VEIL_FAULT("upstream_zone.named");
        }
        if (s != NULL) {
            s->used_sec = veil_clock.sec;
        }
        veil_upstream_zone_unlock(g);
    }
    if (s == NULL) {
        s = VEIL_POOL_NEW(g->pool, veil_upstream_slot_t);
        s->hash = hash;
    }
    return s;
}
