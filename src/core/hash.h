/*
 * hash.h -- maps from strings to pointers.
 *
 * Open addressing with linear probing.  Keys are views that must outlive
 * their entry.  Case-sensitive, or blind to ASCII case.  The hash function is
 * seeded at random once a process tree, so that a client who chooses keys
 * cannot choose collisions.
 *
 * The table lives in a pool (growing leaves the old table to it: right for a
 * configuration) or, without a pool, on the heap, until veil_hash_done().
 */

#ifndef VEIL_CORE_HASH_H
#define VEIL_CORE_HASH_H

#include "core/str.h"

typedef enum { VEIL_HASH_CASE, VEIL_HASH_NOCASE } veil_hash_kind_t;

typedef struct {
    veil_str_t key;
    void *value; /* never NULL in a used entry */
    uint64_t hash;
} veil_hash_entry_t;

typedef struct {
    veil_hash_entry_t *entries; /* cap of them; NULL before the first add */
    unsigned n;
    unsigned cap; /* a power of two */
    veil_hash_kind_t kind;
    veil_pool_t *pool; /* NULL: heap */
} veil_hash_t;

/* Makes room for n entries at once; 0 for nothing yet. */
void veil_hash_init(veil_hash_t *h, veil_pool_t *pool, veil_hash_kind_t kind,
                    unsigned n);
/* Frees the table of a map without a pool; the map is empty afterwards. */
void veil_hash_done(veil_hash_t *h);

/* NULL when there is none. */
void *veil_hash_find(const veil_hash_t *h, veil_str_t key);
/* With the hash computed before, by veil_hash_str(h->kind, key). */
void *veil_hash_find_hashed(const veil_hash_t *h, veil_str_t key,
                            uint64_t hash);

/* Value must not be NULL.  false, and no change, when the key is there. */
bool veil_hash_add(veil_hash_t *h, veil_str_t key, void *value);
/*
 * Adds or replaces; returns the value replaced, or NULL.  The entry keeps
 * the new key's view.
 */
void *veil_hash_set(veil_hash_t *h, veil_str_t key, void *value);
/* Returns the value removed, or NULL. */
void *veil_hash_remove(veil_hash_t *h, veil_str_t key);

/*
 * Entries in no particular order: start with *i = 0; NULL after the last.
 * The map must not change in between.
 */
const veil_hash_entry_t *veil_hash_next(const veil_hash_t *h, unsigned *i);

/* The seeded 64-bit hash of the map; not for files, wires or zones. */
uint64_t veil_hash_str(veil_hash_kind_t kind, veil_str_t key);

#endif
