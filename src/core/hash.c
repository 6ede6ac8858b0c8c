/*
 * hash.c -- open-addressing hash maps keyed by strings.
 *
 * A table is at most three quarters full, its size a power of two, and an
 * entry holds its whole hash, so that probing compares strings only when 64
 * bits agree.  Removal moves the entries behind the gap up instead of leaving
 * marks: lookups stay as short as if the entry had never been there.
 *
 * The hash multiplies 16 bytes a step to 128 bits and folds the halves
 * together, beginning with a random seed.  It is a good deal faster than
 * SipHash on the short keys of a server, and is not offered as a defence for
 * anything but these tables.  Blind to case means that bit 0x20 of every byte
 * counts as set in the hash; the comparison is exact.
 */

#include "core/platform.h"

#include "core/assert.h"
#include "core/hash.h"
#include "core/pool.h"
#include "core/rand.h"

#define HASH_MIN_CAP 8
#define HASH_MAX_CAP (1u << 30)

/* Odd numbers with as many ones as zeros, without meaning: digits of pi. */
#define HASH_K1 0x243f6a8885a308d3u
#define HASH_K2 0x13198a2e03707345u

#define HASH_CASE_BITS 0x2020202020202020u

static uint64_t hash_seed;

static uint64_t
hash_fold(uint64_t a, uint64_t b)
{
    unsigned __int128 m = (unsigned __int128) a * b;

    return (uint64_t) m ^ (uint64_t) (m >> 64);
}

static uint64_t
hash_word(const char *p)
{
    uint64_t v;

    memcpy(&v, p, sizeof(v));
    return v;
}

/* The last n <= 16 bytes of a key as two words. */
static void
hash_tail(const char *p, size_t n, uint64_t *a, uint64_t *b)
{
    uint64_t v[2] = { 0, 0 };

    if (n >= 8) {
        /* The words overlap when n is less than 16. */
        *a = hash_word(p);
        *b = hash_word(p + n - 8);
        return;
    }
    memcpy(v, p, n);
    *a = v[0];
    *b = 0;
}

uint64_t
veil_hash_str(veil_hash_kind_t kind, veil_str_t key)
{
    uint64_t bits = kind == VEIL_HASH_NOCASE ? HASH_CASE_BITS : 0;
    const char *p = key.data;
    uint64_t h, a = 0, b = 0;
    size_t n = key.len;

    if (veil_unlikely(hash_seed == 0)) {
        hash_seed = veil_rand_u64() | 1;
    }
    h = hash_seed ^ key.len;
    for (; n > 16; p += 16, n -= 16) {
        h = hash_fold((hash_word(p) | bits) ^ HASH_K1 ^ h,
                      (hash_word(p + 8) | bits) ^ HASH_K2);
    }
    if (n != 0) {
        hash_tail(p, n, &a, &b);
    }
    return hash_fold(hash_fold((a | bits) ^ HASH_K1 ^ h, (b | bits) ^ HASH_K2),
                     HASH_K2 ^ h);
}

static unsigned
hash_cap_for(unsigned n)
{
    unsigned cap = HASH_MIN_CAP;

    while (cap / 4 * 3 < n) {
        VEIL_ASSERT(cap < HASH_MAX_CAP);
        cap *= 2;
    }
    return cap;
}

static veil_hash_entry_t *
hash_table(veil_pool_t *pool, unsigned cap)
{
    size_t size = cap * sizeof(veil_hash_entry_t);

    return pool != NULL ? veil_pool_zalloc(pool, size) : veil_zalloc(size);
}

void
veil_hash_init(veil_hash_t *h, veil_pool_t *pool, veil_hash_kind_t kind,
               unsigned n)
{
    h->n = 0;
    h->kind = kind;
    h->pool = pool;
    h->cap = n == 0 ? 0 : hash_cap_for(n);
    h->entries = n == 0 ? NULL : hash_table(pool, h->cap);
}

void
veil_hash_done(veil_hash_t *h)
{
    if (h->pool == NULL) {
        veil_free(h->entries);
    }
    h->entries = NULL;
    h->n = h->cap = 0;
}

static bool
hash_is(const veil_hash_t *h, const veil_hash_entry_t *e, veil_str_t key,
        uint64_t hash)
{
    if (e->hash != hash) {
        return false;
    }
    return h->kind == VEIL_HASH_CASE ? veil_str_eq(e->key, key)
                                     : veil_str_caseeq(e->key, key);
}

/* The entry of the key, or the free one where it belongs. */
static veil_hash_entry_t *
hash_slot(const veil_hash_t *h, veil_str_t key, uint64_t hash)
{
    unsigned i = (unsigned) hash & (h->cap - 1);

    while (h->entries[i].value != NULL
           && !hash_is(h, &h->entries[i], key, hash)) {
        i = (i + 1) & (h->cap - 1);
    }
    return &h->entries[i];
}

void *
veil_hash_find_hashed(const veil_hash_t *h, veil_str_t key, uint64_t hash)
{
    return h->n == 0 ? NULL : hash_slot(h, key, hash)->value;
}

void *
veil_hash_find(const veil_hash_t *h, veil_str_t key)
{
    if (h->n == 0) {
        return NULL;
    }
    return hash_slot(h, key, veil_hash_str(h->kind, key))->value;
}

static void
hash_grow(veil_hash_t *h)
{
    veil_hash_entry_t *old = h->entries, *e;
    unsigned i, cap = h->cap;

    h->cap = hash_cap_for(h->n + 1);
    h->entries = hash_table(h->pool, h->cap);
    for (i = 0; i < cap; i++) {
        e = &old[i];
        if (e->value != NULL) {
            *hash_slot(h, e->key, e->hash) = *e;
        }
    }
    if (h->pool == NULL) {
        veil_free(old);
    }
}

/* The entry of the key, with room for one more ensured before. */
static veil_hash_entry_t *
hash_slot_to_add(veil_hash_t *h, veil_str_t key, uint64_t hash)
{
    if (h->n + 1 > h->cap / 4 * 3) {
        hash_grow(h);
    }
    return hash_slot(h, key, hash);
}

static void
hash_fill(veil_hash_t *h, veil_hash_entry_t *e, veil_str_t key, uint64_t hash,
          void *value)
{
    h->n += e->value == NULL;
    e->key = key;
    e->hash = hash;
    e->value = value;
}

bool
veil_hash_add(veil_hash_t *h, veil_str_t key, void *value)
{
    uint64_t hash = veil_hash_str(h->kind, key);
    veil_hash_entry_t *e = hash_slot_to_add(h, key, hash);

    VEIL_ASSERT(value != NULL);
    if (e->value != NULL) {
        return false;
    }
    hash_fill(h, e, key, hash, value);
    return true;
}

void *
veil_hash_set(veil_hash_t *h, veil_str_t key, void *value)
{
    uint64_t hash = veil_hash_str(h->kind, key);
    veil_hash_entry_t *e = hash_slot_to_add(h, key, hash);
    void *old = e->value;

    VEIL_ASSERT(value != NULL);
    hash_fill(h, e, key, hash, value);
    return old;
}

/* Moves up what probing would no longer reach past the gap at i. */
static void
hash_close_gap(veil_hash_t *h, unsigned i)
{
    unsigned j = i, home, mask = h->cap - 1;

    for (;;) {
        j = (j + 1) & mask;
        if (h->entries[j].value == NULL) {
            break;
        }
        home = (unsigned) h->entries[j].hash & mask;
        if (((j - home) & mask) >= ((j - i) & mask)) {
            h->entries[i] = h->entries[j];
            i = j;
        }
    }
    memset(&h->entries[i], 0, sizeof(h->entries[i]));
}

void *
veil_hash_remove(veil_hash_t *h, veil_str_t key)
{
    veil_hash_entry_t *e;
    void *value;

    if (h->n == 0) {
        return NULL;
    }
    e = hash_slot(h, key, veil_hash_str(h->kind, key));
    value = e->value;
    if (value != NULL) {
        hash_close_gap(h, (unsigned) (e - h->entries));
        h->n--;
    }
    return value;
}

const veil_hash_entry_t *
veil_hash_next(const veil_hash_t *h, unsigned *i)
{
    while (*i < h->cap) {
        if (h->entries[(*i)++].value != NULL) {
            return &h->entries[*i - 1];
        }
    }
    return NULL;
}
