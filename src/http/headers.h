/*
 * headers.h -- lists of header fields.
 *
 * A list keeps the order of arrival.  Names known to header_table.h carry
 * their id, and a bitmap says which ids occur, so that asking for an absent
 * one costs a bit test.  Text is not copied: it lives in the list's pool or
 * outlives it.
 */

#ifndef VEIL_HTTP_HEADERS_H
#define VEIL_HTTP_HEADERS_H

#include "core/pool.h"
#include "core/str.h"

typedef struct veil_http_header_s veil_http_header_t;
typedef struct veil_http_headers_s veil_http_headers_t;

struct veil_http_header_s {
    veil_str_t name; /* as received, or canonical */
    veil_str_t value;
    uint16_t id;  /* enum veil_http_header_id; 0: not a known one */
    bool removed; /* skipped by everything below */
};

struct veil_http_headers_s {
    veil_http_header_t *list;
    unsigned n;
    unsigned cap;
    veil_pool_t *pool;
    uint64_t present[2]; /* by id; may be set for a removed one */
};

void veil_http_headers_init(veil_http_headers_t *hs, veil_pool_t *pool,
                            unsigned reserve);

/* Adds at the end, whatever is there already; the id is looked up. */
veil_http_header_t *veil_http_headers_add(veil_http_headers_t *hs,
                                          veil_str_t name, veil_str_t value);
/* The same for a name whose id is known already (0: none). */
veil_http_header_t *veil_http_headers_add_id(veil_http_headers_t *hs,
                                             unsigned id, veil_str_t name,
                                             veil_str_t value);
/* Replaces all of that name by one; an empty value removes them. */
void veil_http_headers_set(veil_http_headers_t *hs, veil_str_t name,
                           veil_str_t value);
void veil_http_headers_remove(veil_http_headers_t *hs, veil_str_t name);
void veil_http_headers_remove_id(veil_http_headers_t *hs, unsigned id);

static inline bool
veil_http_headers_may_have(const veil_http_headers_t *hs, unsigned id)
{
    return (hs->present[id / 64] >> (id % 64)) & 1;
}

/* The first (or the next after prev) of that id; NULL: no more. */
veil_http_header_t *veil_http_headers_get(const veil_http_headers_t *hs,
                                          unsigned id,
                                          const veil_http_header_t *prev);
/* The same by name, without regard to case. */
veil_http_header_t *veil_http_headers_find(const veil_http_headers_t *hs,
                                           veil_str_t name,
                                           const veil_http_header_t *prev);
/* The value of the first, or an empty string. */
veil_str_t veil_http_headers_value(const veil_http_headers_t *hs, unsigned id);
/* All values of that id, joined by ", " (or "; " for Cookie). */
veil_str_t veil_http_headers_join(const veil_http_headers_t *hs, unsigned id,
                                  veil_pool_t *pool);

/* for (h = NULL; (h = veil_http_headers_next(hs, h)) != NULL;) */
veil_http_header_t *veil_http_headers_next(const veil_http_headers_t *hs,
                                           const veil_http_header_t *prev);

#endif
