/*
 * uring_buf.c -- receive blocks and the ring the kernel takes them from.
 *
 * One mapping holds the bytes of all blocks, an array their heads; a block's
 * number is its index.  Free blocks are either entries of the ring that is
 * shared with the kernel (struct io_uring_buf_ring, of exactly as many
 * entries as there are blocks, so it cannot overflow), or numbers on a stack:
 * last in, first out, as that one is warm in the cache.
 *
 * The kernel does not say when it takes a block from the ring, only which one
 * it was when the completion arrives.  So "free" means "not in our hands"; a
 * starved op may be started again in vain for the blocks the kernel has used
 * meanwhile, but their completions are already on their way, so this ends.
 *
 * Sanitizer builds poison the bytes of every block that is not in our hands.
 *
 * What it does not do: grow.  A pool that is empty slows the receivers down,
 * which is what flow control is for.
 */

#include "core/platform.h"

#include <liburing.h>
#include <sys/mman.h>

#include "core/assert.h"
#include "core/pool.h"
#include "event/guard.h"
#include "event/uring_buf.h"

#define RXPOOL_MAGIC 0x5258504fu
#define RXPOOL_MAX 32768u

struct veil_rxpool_s {
    uint32_t magic;
    unsigned n;
    unsigned nfree;
    size_t size;
    unsigned char *bytes;
    veil_block_t *blocks;
    veil_list_t starved; /* ops by wait */
    uint16_t *stack;     /* of free numbers; unused with a ring */
    struct io_uring_buf_ring *ring;
    uint16_t tail; /* of the ring */
};

static void
uring_buf_push(veil_rxpool_t *rx, unsigned id)
{
    struct io_uring_buf *slot;

    if (rx->ring == NULL) {
        rx->stack[rx->nfree++] = (uint16_t) id;
        return;
    }
    /* The tail lies in the last field of the first slot: leave that alone. */
    slot = &rx->ring->bufs[rx->tail & (rx->n - 1)];
    slot->addr = (uintptr_t) rx->blocks[id].data;
    slot->len = (uint32_t) rx->size;
    slot->bid = (uint16_t) id;
    rx->tail++;
    rx->nfree++;
    __atomic_store_n(&rx->ring->tail, rx->tail, __ATOMIC_RELEASE);
}

/* The last view of a block is gone. */
static void
uring_buf_free(veil_block_t *block)
{
    veil_rxpool_t *rx = VEIL_CAST(veil_rxpool_t, RXPOOL, block->owner);

    VEIL_ASSERT(rx->nfree < rx->n);
    veil_guard_poison(block->data, rx->size);
    uring_buf_push(rx, (unsigned) (block - rx->blocks));
}

static unsigned
uring_buf_round_up(unsigned n)
{
    unsigned power = 1;

    while (power < n && power < RXPOOL_MAX) {
        power *= 2;
    }
    return power;
}

static void *
uring_buf_map(size_t size)
{
    void *p = mmap(NULL, size, PROT_READ | PROT_WRITE,
                   MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

    if (p == MAP_FAILED) {
        veil_panic("no memory for %zu bytes of receive blocks", size);
    }
    return p;
}

veil_rxpool_t *
veil_rxpool_create(size_t size, unsigned n)
{
    veil_rxpool_t *rx = veil_zalloc(sizeof(*rx));
    unsigned i;

    VEIL_ASSERT(size > 0 && size <= INT32_MAX);
    rx->magic = RXPOOL_MAGIC;
    rx->n = uring_buf_round_up(n);
    rx->size = size;
    rx->bytes = uring_buf_map(rx->size * rx->n);
    rx->blocks = veil_zalloc(rx->n * sizeof(*rx->blocks));
    rx->stack = veil_alloc(rx->n * sizeof(*rx->stack));
    veil_list_init(&rx->starved);
    for (i = 0; i < rx->n; i++) {
        rx->blocks[i].magic = VEIL_BLOCK_MAGIC;
        rx->blocks[i].data = rx->bytes + i * size;
        rx->blocks[i].size = size;
        rx->blocks[i].free = uring_buf_free;
        rx->blocks[i].owner = rx;
        uring_buf_push(rx, rx->n - 1 - i);
    }
    veil_guard_poison(rx->bytes, rx->size * rx->n);
    return rx;
}

void
veil_rxpool_destroy(veil_rxpool_t **rxp)
{
    veil_rxpool_t *rx = *rxp;

    *rxp = NULL;
    VEIL_CHECK(rx, RXPOOL);
    VEIL_ASSERT(rx->nfree == rx->n);
    VEIL_ASSERT(veil_list_is_empty(&rx->starved));
    veil_guard_unpoison(rx->bytes, rx->size * rx->n);
    (void) munmap(rx->bytes, rx->size * rx->n); /* cannot fail: it is ours */
    if (rx->ring != NULL) {
        (void) munmap(rx->ring, rx->n * sizeof(struct io_uring_buf));
    }
    rx->magic = VEIL_MAGIC_DEAD;
    veil_free(rx->blocks);
    veil_free(rx->stack);
    veil_free(rx);
}

int
veil_rxpool_attach(veil_rxpool_t *rx, struct io_uring *ring)
{
    struct io_uring_buf_reg reg = { .ring_entries = rx->n, .bgid = 0 };
    unsigned i;
    void *p;
    int r;

    VEIL_ASSERT(rx->ring == NULL && rx->nfree == rx->n);
    /* The kernel wants whole pages, which is what mmap gives. */
    p = uring_buf_map(rx->n * sizeof(struct io_uring_buf));
    reg.ring_addr = (uintptr_t) p;
    r = io_uring_register_buf_ring(ring, &reg, 0);
    if (r < 0) {
        (void) munmap(p, rx->n * sizeof(struct io_uring_buf));
        return r;
    }
    rx->ring = p;
    rx->nfree = 0;
    for (i = 0; i < rx->n; i++) {
        uring_buf_push(rx, i);
    }
    return 0;
}

veil_block_t *
veil_rxpool_received(veil_rxpool_t *rx, unsigned id)
{
    veil_block_t *block;

    VEIL_ASSERT(id < rx->n && rx->nfree > 0);
    block = &rx->blocks[id];
    VEIL_ASSERT(block->refs == 0);
    rx->nfree--;
    block->refs = 1;
    veil_guard_unpoison(block->data, rx->size);
    return block;
}

veil_block_t *
veil_rxpool_take(veil_rxpool_t *rx)
{
    VEIL_ASSERT(rx->ring == NULL);
    if (rx->nfree == 0) {
        return NULL;
    }
    return veil_rxpool_received(rx, rx->stack[rx->nfree - 1]);
}

size_t
veil_rxpool_block_size(const veil_rxpool_t *rx)
{
    return rx->size;
}

unsigned
veil_rxpool_total(const veil_rxpool_t *rx)
{
    return rx->n;
}

unsigned
veil_rxpool_free(const veil_rxpool_t *rx)
{
    return rx->nfree;
}

void
veil_rxpool_starve(veil_rxpool_t *rx, veil_op_t *op)
{
    VEIL_ASSERT(!veil_list_is_linked(&op->wait));
    veil_list_append(&rx->starved, &op->wait);
}

veil_op_t *
veil_rxpool_next_starved(veil_rxpool_t *rx)
{
    veil_list_t *n = veil_list_pop(&rx->starved);

    return n == NULL ? NULL : veil_list_entry(n, veil_op_t, wait);
}

bool
veil_rxpool_has_starved(const veil_rxpool_t *rx)
{
    return !veil_list_is_empty(&rx->starved);
}
