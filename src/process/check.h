/*
 * check.h -- "veil -t".
 */

#ifndef VEIL_PROCESS_CHECK_H
#define VEIL_PROCESS_CHECK_H

#include "process/prepare.h"

/*
 * Loads the configuration, starts nothing, and says on standard error what
 * it found; with dump prints the files.  The exit status.
 */
int veil_check(const veil_launch_t *launch, bool dump, bool quiet);

#endif
