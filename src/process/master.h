/*
 * master.h -- the process that starts, watches and stops the others.
 */

#ifndef VEIL_PROCESS_MASTER_H
#define VEIL_PROCESS_MASTER_H

#include "process/prepare.h"

typedef struct {
    const veil_launch_t *launch;
    /* Gets one byte when the server serves; -1: nobody waits. */
    int ready_fd;
    bool detach; /* daemon on */
} veil_master_options_t;

/* The master's whole life: the exit status. */
int veil_master_run(const veil_master_options_t *options);

#endif
