/*
 * single.h -- "master_process off": one process that is all three.
 */

#ifndef VEIL_PROCESS_SINGLE_H
#define VEIL_PROCESS_SINGLE_H

#include "process/master.h"

/* The options are a master's.  The exit status. */
int veil_single_run(const veil_master_options_t *options);

#endif
