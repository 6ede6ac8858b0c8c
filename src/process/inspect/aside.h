/*
 * aside.h -- verbs that look at a whole configuration, in a child of the
 * keeper.
 *
 * A keeper must not be kept busy, and some looks use a process up.  So the
 * verb's work is done by a fork, which has the configuration as it runs, and
 * writes one value of JSON; the keeper reads it when it comes.
 */

#ifndef VEIL_PROCESS_ASIDE_H
#define VEIL_PROCESS_ASIDE_H

#include "core/control.h"

/* In the child: the answer, a new reference; NULL: it could not be made. */
typedef json_t *veil_aside_fn(const json_t *args);

/*
 * What a verb in the keeper returns: LATER, or FAILED after noting why.  A
 * process that serves by itself (master_process off) has a ring and threads,
 * which no child can have: there it fails.
 */
veil_control_rc_t veil_aside_run(veil_control_call_t *call, veil_aside_fn *fn);

#endif
