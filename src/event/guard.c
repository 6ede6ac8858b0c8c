/*
 * guard.c -- catching those who touch memory that is in flight.
 *
 * Sends: the sum of all bytes still to go, each weighted by its place in the
 * stream.  As bytes go their part is taken off, so that in the end nothing
 * must be left; a byte that changed meanwhile leaves a difference that no
 * longer fits.  This works for a vector too, whose entries the back end
 * moves.  An op that ends early is compared with what is left.
 *
 * Receives: the memory is poisoned while an op of known length is in flight.
 * The back ends that make the call themselves lift that around it.
 *
 * It does not look into messages (SENDMSG, RECVMSG) nor at files.
 */

#include "core/platform.h"

#include "core/assert.h"
#include "event/guard.h"

/* An empty file is no C; releases have only this. */
typedef int guard_nothing_t;

#if VEIL_DEBUG || VEIL_ASAN

static bool
guard_receives(const veil_op_t *op)
{
    return op->kind == VEIL_OP_RECV_EXACT || op->kind == VEIL_OP_READ;
}

#if VEIL_DEBUG

static bool
guard_sends(const veil_op_t *op)
{
    return op->kind == VEIL_OP_SEND || op->kind == VEIL_OP_SENDV
           || op->kind == VEIL_OP_WRITE;
}

/* Of n bytes that lie at the given place in the stream. */
static uint64_t
guard_sum_bytes(const unsigned char *p, size_t n, uint64_t place)
{
    uint64_t sum = 0;
    size_t i;

    for (i = 0; i < n; i++) {
        sum += (p[i] + 1u) * ((place + i) * 0x9e3779b97f4a7c15u | 1u);
    }
    return sum;
}

/* Of the next n bytes that are to go, or of all if there are fewer. */
static uint64_t
guard_sum(const veil_op_t *op, size_t n)
{
    uint64_t sum = 0, place;
    size_t len;
    unsigned i;

    if (op->kind != VEIL_OP_SENDV) {
        len = veil_min_size(n, op->u.mem.len - op->u.mem.nbytes);
        return guard_sum_bytes(op->u.mem.data + op->u.mem.nbytes, len,
                               op->u.mem.nbytes);
    }
    place = op->u.vec.nbytes;
    for (i = 0; i < op->u.vec.niov && n > 0; i++) {
        len = veil_min_size(n, op->u.vec.iov[i].iov_len);
        sum += guard_sum_bytes(op->u.vec.iov[i].iov_base, len, place);
        place += len;
        n -= len;
    }
    return sum;
}

#endif

void
veil_guard_start(veil_op_t *op)
{
#if VEIL_DEBUG
    if (guard_sends(op)) {
        op->sum = guard_sum(op, SIZE_MAX);
    }
#endif
    veil_guard_lower(op);
}

void
veil_guard_advance(veil_op_t *op, size_t n)
{
#if VEIL_DEBUG
    if (guard_sends(op)) {
        op->sum -= guard_sum(op, n);
    }
#else
    (void) op;
    (void) n;
#endif
}

void
veil_guard_end(veil_op_t *op)
{
    veil_guard_lift(op);
#if VEIL_DEBUG
    if (guard_sends(op)) {
        /* Memory that is being sent was modified when this fails. */
        VEIL_ASSERT(op->sum == guard_sum(op, SIZE_MAX));
    }
#endif
}

void
veil_guard_lift(veil_op_t *op)
{
    if (guard_receives(op)) {
        veil_guard_unpoison(op->u.mem.data, op->u.mem.len);
    }
}

void
veil_guard_lower(veil_op_t *op)
{
    if (guard_receives(op)) {
        veil_guard_poison(op->u.mem.data, op->u.mem.len);
    }
}

#endif
