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

/*
 * Whether logs, the pid file and the control socket could be; VEIL_ERROR after
 * logging all that cannot.  Makes nothing.
 */
veil_rc_t veil_check_files(const veil_cycle_t *cycle);

#endif
