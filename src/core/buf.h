/*
 * buf.h -- views: a window onto a block, and a slice of memory or of a file.
 *
 * veil_buf_t is what arrives: [pos, end) of a block.  Parsers move pos; they
 * never write into the block.  Whoever wants to keep bytes beyond the call
 * either copies them or takes a reference to the block.
 *
 * veil_slice_t is what leaves: memory, or a range of an open file.  A slice
 * owns nothing; the body that handed it out keeps it valid until consumed.
 *
 * veil_chain_t is a queue of bufs with their references: what was received
 * and is not used yet.
 */

#ifndef VEIL_CORE_BUF_H
#define VEIL_CORE_BUF_H

#include "core/block.h"
#include "core/list.h"

struct veil_buf_s {
    const unsigned char *pos;
    const unsigned char *end;
    veil_block_t *block; /* NULL: memory that outlives the view by itself */
};

static inline size_t
veil_buf_len(const veil_buf_t *b)
{
    return (size_t) (b->end - b->pos);
}

struct veil_slice_s {
    const unsigned char *data; /* NULL: a file range */
    size_t len;
    int fd;          /* of the file range; the body keeps it open */
    uint64_t offset; /* in the file */
};

static inline veil_slice_t
veil_slice_mem(const void *data, size_t len)
{
    return (veil_slice_t){ .data = data, .len = len, .fd = -1 };
}

static inline veil_slice_t
veil_slice_file(int fd, uint64_t offset, size_t len)
{
    return (
        veil_slice_t){ .data = NULL, .len = len, .fd = fd, .offset = offset };
}

/*
 * A queue of views in a growing ring of entries, for use by one owner.
 * Zero-initialised is empty.  Holds one block reference for each entry.
 */
typedef struct {
    veil_buf_t *bufs; /* ring of cap entries; heap */
    unsigned head;
    unsigned n;
    unsigned cap;
    size_t bytes; /* in all entries */
} veil_chain_t;

/* Appends [pos, end) and takes a reference to its block. */
void veil_chain_append(veil_chain_t *c, const veil_buf_t *b);
/* Appends a heap copy of the bytes. */
void veil_chain_append_copy(veil_chain_t *c, const void *data, size_t len);
/*
 * The same for a few bytes: they may go into one block with those that were
 * appended so before, as an entry and a block of their own would be larger
 * than they are.
 */
void veil_chain_append_small(veil_chain_t *c, const void *data, size_t len);
/* Drops n bytes from the front, and the references of what is used up. */
void veil_chain_consume(veil_chain_t *c, size_t n);
/* The first entry; NULL when empty.  Its pos may be moved by consume only. */
const veil_buf_t *veil_chain_first(const veil_chain_t *c);
/* Entry i counted from the front; i < c->n. */
const veil_buf_t *veil_chain_at(const veil_chain_t *c, unsigned i);
/*
 * Fills v with at most n slices of at most max bytes in all, beginning skip
 * bytes after the front; returns how many slices.
 */
unsigned veil_chain_slices(const veil_chain_t *c, size_t skip, veil_slice_t *v,
                           unsigned n, size_t max);
/* Drops everything and frees the ring. */
void veil_chain_done(veil_chain_t *c);

#endif
