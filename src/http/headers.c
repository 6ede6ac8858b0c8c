/*
 * headers.c -- lists of header fields.
 *
 * A list is one array that doubles: a request has some ten fields, so a
 * linear walk beats any index, and the bitmap of known ids answers the most
 * common question ("is there a Range header?") without a walk.  Removing
 * marks; nothing moves, so pointers to fields stay good until the list grows.
 */

#include "core/platform.h"

#include "http/headers.h"

#include "core/assert.h"
#include "http/parse/header_table.h"

void
veil_http_headers_init(veil_http_headers_t *hs, veil_pool_t *pool,
                       unsigned reserve)
{
    hs->list = NULL;
    hs->n = 0;
    hs->cap = 0;
    hs->pool = pool;
    hs->present[0] = 0;
    hs->present[1] = 0;

    if (reserve != 0) {
        hs->list = veil_pool_alloc(pool, reserve * sizeof(*hs->list));
        hs->cap = reserve;
    }
}

static void
headers_grow(veil_http_headers_t *hs)
{
    unsigned cap = hs->cap == 0 ? 8 : hs->cap * 2;
    veil_http_header_t *list;

    list = veil_pool_alloc(hs->pool, cap * sizeof(*list));
    if (hs->n != 0) {
        memcpy(list, hs->list, hs->n * sizeof(*list));
    }
    hs->list = list;
    hs->cap = cap;
}

veil_http_header_t *
veil_http_headers_add_id(veil_http_headers_t *hs, unsigned id, veil_str_t name,
                         veil_str_t value)
{
    veil_http_header_t *h;

    VEIL_ASSERT(id < 128);

    if (hs->n == hs->cap) {
        headers_grow(hs);
    }
    h = &hs->list[hs->n++];
    h->name = name;
    h->value = value;
    h->id = (uint16_t) id;
    h->removed = false;
    hs->present[id / 64] |= UINT64_C(1) << (id % 64);
    return h;
}

veil_http_header_t *
veil_http_headers_add(veil_http_headers_t *hs, veil_str_t name,
                      veil_str_t value)
{
    return veil_http_headers_add_id(
        hs, veil_http_header_lookup(name.data, name.len), name, value);
}

void
veil_http_headers_set(veil_http_headers_t *hs, veil_str_t name,
                      veil_str_t value)
{
    veil_http_headers_remove(hs, name);
    if (value.len != 0) {
        veil_http_headers_add(hs, name, value);
    }
}

void
veil_http_headers_remove(veil_http_headers_t *hs, veil_str_t name)
{
    veil_http_header_t *h = NULL;

    while ((h = veil_http_headers_find(hs, name, h)) != NULL) {
        h->removed = true;
    }
}

void
veil_http_headers_remove_id(veil_http_headers_t *hs, unsigned id)
{
    veil_http_header_t *h = NULL;

    while ((h = veil_http_headers_get(hs, id, h)) != NULL) {
        h->removed = true;
    }
}

veil_http_header_t *
veil_http_headers_next(const veil_http_headers_t *hs,
                       const veil_http_header_t *prev)
{
    unsigned i = prev == NULL ? 0 : (unsigned) (prev - hs->list) + 1;

    for (; i < hs->n; i++) {
        if (!hs->list[i].removed) {
            return &hs->list[i];
        }
    }
    return NULL;
}

veil_http_header_t *
veil_http_headers_get(const veil_http_headers_t *hs, unsigned id,
                      const veil_http_header_t *prev)
{
    unsigned i = prev == NULL ? 0 : (unsigned) (prev - hs->list) + 1;

    if (!veil_http_headers_may_have(hs, id)) {
        return NULL;
    }
    for (; i < hs->n; i++) {
        if (hs->list[i].id == id && !hs->list[i].removed) {
            return &hs->list[i];
        }
    }
    return NULL;
}

veil_http_header_t *
veil_http_headers_find(const veil_http_headers_t *hs, veil_str_t name,
                       const veil_http_header_t *prev)
{
    unsigned i = prev == NULL ? 0 : (unsigned) (prev - hs->list) + 1;

    for (; i < hs->n; i++) {
        if (!hs->list[i].removed && veil_str_caseeq(hs->list[i].name, name)) {
            return &hs->list[i];
        }
    }
    return NULL;
}

veil_str_t
veil_http_headers_value(const veil_http_headers_t *hs, unsigned id)
{
    const veil_http_header_t *h = veil_http_headers_get(hs, id, NULL);

    return h == NULL ? VEIL_STR_NULL : h->value;
}

veil_str_t
veil_http_headers_join(const veil_http_headers_t *hs, unsigned id,
                       veil_pool_t *pool)
{
    const char *glue = id == VEIL_HEADER_COOKIE ? "; " : ", ";
    const veil_http_header_t *first = veil_http_headers_get(hs, id, NULL);
    const veil_http_header_t *h;
    size_t len = 0;
    char *text, *p;

    if (first == NULL) {
        return VEIL_STR_NULL;
    }
    if (veil_http_headers_get(hs, id, first) == NULL) {
        return first->value;
    }

    for (h = first; h != NULL; h = veil_http_headers_get(hs, id, h)) {
        len += h->value.len + 2;
    }
    text = veil_pool_chars(pool, len);
    p = text;
    for (h = first; h != NULL; h = veil_http_headers_get(hs, id, h)) {
        if (h != first) {
            *p++ = glue[0];
            *p++ = glue[1];
        }
        p = veil_fmt_str(p, h->value);
    }
    return veil_str_n(text, (size_t) (p - text));
}
