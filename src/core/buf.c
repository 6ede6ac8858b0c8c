/*
 * buf.c -- chains of views.
 *
 * The entries stand in a ring whose size is a power of two and doubles when
 * full, so that appending and consuming cost the same however long the chain
 * is, and a chain that carries a stream settles at the size it needs.
 *
 * Rings of the first size are kept for reuse: a proxied answer has a chain for
 * a moment, and that should not cost a malloc.  Not with ASAN, which is to
 * see who uses one that is gone.
 *
 * Copies are not merged with the entry before them, as the block may be
 * referenced by others; but for small ones, which have blocks of their own
 * with room for more.  There nobody else has a view beyond what is written.
 */

#include "core/platform.h"

#include "core/buf.h"
#include "core/pool.h"

#define BUF_CHAIN_FIRST_CAP 4
/* A block for small pieces. */
#define BUF_SMALL_BLOCK 4000

/* How many rings of the first size are kept; 96 bytes each. */
#define BUF_RINGS_KEPT 128

static struct {
    veil_buf_t *rings[BUF_RINGS_KEPT];
    unsigned n;
} buf_kept;

static veil_buf_t *
buf_ring_get(unsigned cap)
{
    if (cap == BUF_CHAIN_FIRST_CAP && buf_kept.n != 0) {
        return buf_kept.rings[--buf_kept.n];
    }
    return veil_alloc(cap * sizeof(veil_buf_t));
}

static void
buf_ring_put(veil_buf_t *ring, unsigned cap)
{
    if (!VEIL_ASAN && cap == BUF_CHAIN_FIRST_CAP
        && buf_kept.n < BUF_RINGS_KEPT) {
        buf_kept.rings[buf_kept.n++] = ring;
        return;
    }
    veil_free(ring);
}

static veil_buf_t *
buf_chain_entry(const veil_chain_t *c, unsigned i)
{
    return &c->bufs[(c->head + i) & (c->cap - 1)];
}

static void
buf_chain_grow(veil_chain_t *c)
{
    unsigned i, cap = c->cap == 0 ? BUF_CHAIN_FIRST_CAP : c->cap * 2;
    veil_buf_t *bufs;

    VEIL_ASSERT(cap > c->cap);
    bufs = buf_ring_get(cap);
    for (i = 0; i < c->n; i++) {
        bufs[i] = *buf_chain_entry(c, i);
    }
    buf_ring_put(c->bufs, c->cap);
    c->bufs = bufs;
    c->head = 0;
    c->cap = cap;
}

/* The reference passes to the chain. */
static void
buf_chain_add(veil_chain_t *c, const veil_buf_t *b)
{
    if (c->n == c->cap) {
        buf_chain_grow(c);
    }
    *buf_chain_entry(c, c->n) = *b;
    c->n++;
    c->bytes += veil_buf_len(b);
}

void
veil_chain_append(veil_chain_t *c, const veil_buf_t *b)
{
    VEIL_ASSERT(b->end >= b->pos);
    if (b->end == b->pos) {
        return; /* an entry of no bytes could never be consumed */
    }
    if (b->block != NULL) {
        (void) veil_block_get(b->block);
    }
    buf_chain_add(c, b);
}

void
veil_chain_append_copy(veil_chain_t *c, const void *data, size_t len)
{
    veil_block_t *block;
    veil_buf_t b;

    if (len == 0) {
        return;
    }
    block = veil_block_create(len);
    memcpy(block->data, data, len);
    b.pos = block->data;
    b.end = block->data + len;
    b.block = block;
    buf_chain_add(c, &b);
}

void
veil_chain_append_small(veil_chain_t *c, const void *data, size_t len)
{
    static char small; /* its address is the owner of such blocks */
    veil_buf_t *last = c->n != 0 ? buf_chain_entry(c, c->n - 1) : NULL;
    unsigned char *p;
    veil_buf_t b;

    if (len == 0) {
        return;
    }
    if (last != NULL && last->block != NULL && last->block->owner == &small
        && (size_t) (last->block->data + last->block->size - last->end) >= len)
    {
        p = last->block->data + (last->end - last->block->data);
        memcpy(p, data, len);
        last->end += len;
        c->bytes += len;
        return;
    }
    b.block = veil_block_create(veil_max_size(len, BUF_SMALL_BLOCK));
    b.block->owner = &small;
    memcpy(b.block->data, data, len);
    b.pos = b.block->data;
    b.end = b.pos + len;
    buf_chain_add(c, &b);
}

void
veil_chain_consume(veil_chain_t *c, size_t n)
{
    veil_block_t *block;
    veil_buf_t *b;
    size_t len;

    VEIL_ASSERT(n <= c->bytes);
    c->bytes -= n;
    while (n != 0) {
        b = buf_chain_entry(c, 0);
        len = veil_buf_len(b);
        if (n < len) {
            b->pos += n;
            return;
        }
        n -= len;
        block = b->block;
        c->head = (c->head + 1) & (c->cap - 1);
        c->n--;
        /* Last: giving a ring block back may start a receive. */
        if (block != NULL) {
            veil_block_put(block);
        }
    }
}

const veil_buf_t *
veil_chain_first(const veil_chain_t *c)
{
    return c->n == 0 ? NULL : buf_chain_entry(c, 0);
}

const veil_buf_t *
veil_chain_at(const veil_chain_t *c, unsigned i)
{
    VEIL_ASSERT(i < c->n);
    return buf_chain_entry(c, i);
}

unsigned
veil_chain_slices(const veil_chain_t *c, size_t skip, veil_slice_t *v,
                  unsigned n, size_t max)
{
    const veil_buf_t *b;
    unsigned i, filled = 0;
    size_t len;

    for (i = 0; i < c->n && filled < n && max != 0; i++) {
        b = buf_chain_entry(c, i);
        len = veil_buf_len(b);
        if (skip >= len) {
            skip -= len;
            continue;
        }
        len = veil_min_size(len - skip, max);
        v[filled++] = veil_slice_mem(b->pos + skip, len);
        skip = 0;
        max -= len;
    }
    return filled;
}

void
veil_chain_done(veil_chain_t *c)
{
    veil_chain_consume(c, c->bytes);
    buf_ring_put(c->bufs, c->cap);
    c->bufs = NULL;
    c->head = c->n = c->cap = 0;
}
