/*
 * guard.h -- catching those who touch memory that is in flight.
 *
 * Private to the event layer.  Debug builds sum up the bytes of a send and
 * check that they are the same when they have gone; sanitizer builds poison
 * memory that is being received into.  Nothing of this exists in a release.
 */

#ifndef VEIL_EVENT_GUARD_H
#define VEIL_EVENT_GUARD_H

#include "core/platform.h"
#include "event/op.h"

#if VEIL_ASAN
#include <sanitizer/asan_interface.h>
#endif

static inline void
veil_guard_poison(const void *data, size_t len)
{
#if VEIL_ASAN
    __asan_poison_memory_region(data, len);
#else
    (void) data;
    (void) len;
#endif
}

static inline void
veil_guard_unpoison(const void *data, size_t len)
{
#if VEIL_ASAN
    __asan_unpoison_memory_region(data, len);
#else
    (void) data;
    (void) len;
#endif
}

#if VEIL_DEBUG || VEIL_ASAN

/* The op is about to start, its arguments are in place. */
void veil_guard_start(veil_op_t *op);
/* n bytes of it have moved; called before the op notes them. */
void veil_guard_advance(veil_op_t *op, size_t n);
/* It ends: aborts when what is still unsent was changed meanwhile. */
void veil_guard_end(veil_op_t *op);
/* Around a call the back end itself makes with the op's memory. */
void veil_guard_lift(veil_op_t *op);
void veil_guard_lower(veil_op_t *op);

#else

#define veil_guard_start(op) ((void) (op))
#define veil_guard_advance(op, n) ((void) (op), (void) (n))
#define veil_guard_end(op) ((void) (op))
#define veil_guard_lift(op) ((void) (op))
#define veil_guard_lower(op) ((void) (op))

#endif

#endif
