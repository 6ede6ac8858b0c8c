/*
 * worker.h -- a worker's life: prepare, accept, drain, leave.
 */

#ifndef VEIL_PROCESS_WORKER_H
#define VEIL_PROCESS_WORKER_H

#include "core/cycle.h"

typedef struct {
    unsigned slot;
    unsigned place; /* as of veil_cycle_t */
    /* To the keeper; the worker owns it.  -1: this process is all there is. */
    int channel;
    bool detach; /* standard error becomes the log at START */
    /*
     * Without a channel: called when all is prepared, before accepting.
     * VEIL_ERROR ends the worker.
     */
    veil_rc_t (*ready)(void *data);
    /* Without a channel: it accepts no more; nobody else should. */
    void (*draining)(void *data);
    void *data;
} veil_worker_options_t;

/*
 * Serves with the configuration in veil_cycle until told to leave; returns
 * the exit status.  With a channel the caller has just forked.
 */
int veil_worker_run(const veil_worker_options_t *options);

/* Exit status of a worker that could not start. */
#define VEIL_WORKER_FAILED 2

#endif
