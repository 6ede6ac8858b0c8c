/*
 * keeper.h -- one generation: a configuration and its workers.
 */

#ifndef VEIL_PROCESS_KEEPER_H
#define VEIL_PROCESS_KEEPER_H

#include "process/prepare.h"

typedef struct {
    const veil_launch_t *launch;
    uint64_t generation;
    int channel;           /* to the master */
    int text_fd;           /* the text to use; -1: read the files */
    int running_text_fd;   /* what serves, to compare with; -1: nothing */
    int running_facts_fd;  /* as of facts.h; -1: not known */
    bool first;            /* errors go to standard error as well */
    bool reloading;        /* what serves goes on if this one fails */
    bool detach;           /* standard error becomes the log at START */
    const veil_log_t *log; /* until the configuration has its own */
} veil_keeper_options_t;

/* An exit status: what it read is invalid, which the settings did not show. */
#define VEIL_KEEPER_INVALID 2

/* The keeper's whole life, in a process just forked: the exit status. */
int veil_keeper_run(const veil_keeper_options_t *options);

#endif
