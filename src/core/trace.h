/*
 * trace.h -- the last things that happened, for the panic report.
 *
 * A ring of 64 events a process, always on: noting one is four stores.  An
 * event is a constant text, the object it is about and a number; texts are
 * made only when a report is written.  The ring says what a process did just
 * before an invariant broke; it is no log.
 */

#ifndef VEIL_CORE_TRACE_H
#define VEIL_CORE_TRACE_H

#include "core/types.h"

#define VEIL_TRACE_EVENTS 64 /* a power of two */

typedef struct {
    const char *what; /* a literal; NULL: never used */
    const void *object;
    int64_t value;
} veil_trace_event_t;

extern veil_trace_event_t veil_trace_ring[VEIL_TRACE_EVENTS];
extern uint32_t veil_trace_next; /* counts all events; the ring's place is
                                    its remainder */

/* what must be a literal: it is read much later. */
static inline void
veil_trace_note(const char *what, const void *object, int64_t value)
{
    veil_trace_event_t *e;

    e = &veil_trace_ring[veil_trace_next++ & (VEIL_TRACE_EVENTS - 1)];
    e->what = what;
    e->object = object;
    e->value = value;
}

#endif
