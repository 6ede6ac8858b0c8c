/*
 * timer.h -- timeouts.
 *
 * A hierarchical wheel with 1 ms in the lowest level's grain of the loop's
 * cached clock: set, reset and cancel cost O(1) and no system call.  Setting
 * an armed timer to a later time only notes the time: the wheel looks again
 * when the old time comes.  That is the common case (every read and write
 * pushes a timeout further away).
 */

#ifndef VEIL_EVENT_TIMER_H
#define VEIL_EVENT_TIMER_H

#include "core/list.h"
#include "event/op.h"

typedef struct veil_timer_s veil_timer_t;
typedef void veil_timer_fn(veil_timer_t *t);

struct veil_timer_s {
    veil_list_t link;     /* private to timer.c */
    uint64_t deadline_ms; /* wanted; 0 when not set */
    uint64_t slot_ms;     /* where the wheel has it */
    veil_timer_fn *fired; /* called by the loop; the timer is not set then */
};

/* In place; the owner is found with veil_container_of. */
void veil_timer_init(veil_timer_t *t, veil_timer_fn *fired);
/*
 * Fires once, no earlier than after_ms from the loop's now (0: in the next
 * turn), in the order of the deadlines.  Times beyond a century are cut.
 */
void veil_timer_set(veil_loop_t *loop, veil_timer_t *t, uint64_t after_ms);
/* Harmless when not set. */
void veil_timer_cancel(veil_timer_t *t);

static inline bool
veil_timer_is_set(const veil_timer_t *t)
{
    return t->deadline_ms != 0;
}

typedef struct veil_wheel_s veil_wheel_t;
veil_wheel_t *veil_wheel_create(uint64_t now_ms);
void veil_wheel_destroy(veil_wheel_t **w);
/* Fires what is due at now_ms. */
void veil_wheel_run(veil_wheel_t *w, uint64_t now_ms);
/* Milliseconds until the next timer may be due; -1: none. */
int veil_wheel_next(const veil_wheel_t *w, uint64_t now_ms);

#endif
