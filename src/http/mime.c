/*
 * mime.c -- extension to media type.
 *
 * Open addressing with linear probing, at most half full: built while the
 * configuration is read, read-only afterwards.  A growing table leaves its
 * old slots in the pool, which is less than it ends with.
 */

#include "core/platform.h"

#include "http/mime.h"

typedef struct {
    veil_str_t ext; /* lower case; empty: the slot is free */
    veil_str_t type;
} mime_slot_t;

struct veil_mime_table_s {
    veil_pool_t *pool;
    mime_slot_t *slots;
    size_t mask; /* number of slots, a power of two, less one */
    size_t used;
};

#define MIME_FIRST_SLOTS 16

/* FNV-1a over the lower-case text. */
static uint32_t
mime_hash(veil_str_t ext)
{
    uint32_t h = 2166136261u;
    size_t i;

    for (i = 0; i < ext.len; i++) {
        h = (h ^ veil_lower((unsigned char) ext.data[i])) * 16777619u;
    }
    return h;
}

veil_mime_table_t *
veil_mime_table_create(veil_pool_t *pool)
{
    veil_mime_table_t *t = VEIL_POOL_NEW(pool, veil_mime_table_t);

    t->pool = pool;
    t->mask = MIME_FIRST_SLOTS - 1;
    t->slots = veil_pool_zalloc(pool, MIME_FIRST_SLOTS * sizeof(*t->slots));
    return t;
}

/* The slot of the extension, or the free one where it belongs. */
static mime_slot_t *
mime_slot(const veil_mime_table_t *t, veil_str_t ext)
{
    size_t i = mime_hash(ext) & t->mask;

    while (t->slots[i].ext.len != 0 && !veil_str_caseeq(t->slots[i].ext, ext))
    {
        i = (i + 1) & t->mask;
    }
    return &t->slots[i];
}

static void
mime_grow(veil_mime_table_t *t)
{
    mime_slot_t *old = t->slots;
    size_t i, n = t->mask + 1;

    t->mask = 2 * n - 1;
    t->slots = veil_pool_zalloc(t->pool, 2 * n * sizeof(*t->slots));
    for (i = 0; i < n; i++) {
        if (old[i].ext.len != 0) {
            *mime_slot(t, old[i].ext) = old[i];
        }
    }
}

bool
veil_mime_table_add(veil_mime_table_t *t, veil_str_t ext, veil_str_t type)
{
    mime_slot_t *slot = mime_slot(t, ext);
    char *lower;

    if (slot->ext.len != 0) {
        slot->type = type;
        return false;
    }
    if (ext.len == 0) {
        /* "a." has no extension: nothing could ever find it. */
        return true;
    }
    if (++t->used > (t->mask + 1) / 2) {
        mime_grow(t);
        slot = mime_slot(t, ext);
    }
    lower = veil_pool_chars(t->pool, ext.len);
    veil_str_lower(lower, ext.data, ext.len);
    *slot = (mime_slot_t){ .ext = veil_str_n(lower, ext.len), .type = type };
    return true;
}

void
veil_mime_table_add_defaults(veil_mime_table_t *t)
{
    veil_mime_table_add(t, VEIL_STR("html"), VEIL_STR("text/html"));
    veil_mime_table_add(t, VEIL_STR("gif"), VEIL_STR("image/gif"));
    veil_mime_table_add(t, VEIL_STR("jpg"), VEIL_STR("image/jpeg"));
}

veil_str_t
veil_mime_table_find(const veil_mime_table_t *t, veil_str_t ext)
{
    return ext.len == 0 ? VEIL_STR_NULL : mime_slot(t, ext)->type;
}
