/*
 * upgrade_preflight.h -- "veil --preflight": would this program take over?
 */

#ifndef VEIL_PROCESS_UPGRADE_PREFLIGHT_H
#define VEIL_PROCESS_UPGRADE_PREFLIGHT_H

#include "process/prepare.h"
#include "process/upgrade/handover.h"

#define VEIL_PREFLIGHT_OPTION "--preflight"
/* Lines that begin so are for the master that asks; others are for people. */
#define VEIL_PREFLIGHT_MARK "preflight: "

/*
 * Says on standard output which version this is and what it reads, tests the
 * configuration, and, when another master asks, whether it can read its
 * state.  The exit status.
 */
int veil_upgrade_preflight(const veil_launch_t *launch);

/* What a master read of it. */
typedef struct {
    bool ok;
    char version[64];
    char why[400]; /* the reason when it is not ok */
} veil_upgrade_preflight_t;

/*
 * The output, and the status as of waitpid(2).  For program, in messages.
 */
void veil_upgrade_preflight_read(veil_upgrade_preflight_t *r,
                                 veil_str_t output, int status);

#endif
