/*
 * due.h -- what is to be done later in a process without a loop.
 *
 * Keepers wait with poll(2); what modules want to do there after a while is
 * on this list.  A process that has a loop and is a keeper as well
 * (master_process off) is told by veil_due_changed when to look.
 */

#ifndef VEIL_CORE_DUE_H
#define VEIL_CORE_DUE_H

#include "core/list.h"

typedef struct veil_due_s veil_due_t;
struct veil_due_s {
    veil_list_t link;
    uint64_t at_ms;
    void (*run)(veil_due_t *d); /* once; it may be set again there */
};

void veil_due_init(veil_due_t *d, void (*run)(veil_due_t *d));
/* Runs after so many milliseconds; what was set before holds no more. */
void veil_due_set(veil_due_t *d, uint64_t after_ms);
/* Harmless when it is not set. */
void veil_due_cancel(veil_due_t *d);

/* After a fork: what is due is the parent's. */
void veil_due_forget(void);

/* Milliseconds until the first is due; -1: there is none. */
int veil_due_timeout(uint64_t now_ms);
/* Runs what is due; what is set meanwhile runs the next time. */
void veil_due_run(uint64_t now_ms);

/* Of a process with a loop: something is due earlier than it was. */
extern void (*veil_due_changed)(void);

#endif
