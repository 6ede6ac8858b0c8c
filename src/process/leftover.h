/*
 * leftover.h -- what a worker leaves behind: debug builds count.
 */

#ifndef VEIL_PROCESS_LEFTOVER_H
#define VEIL_PROCESS_LEFTOVER_H

#include "event/loop.h"

/* Remembers what there is now: it does not count at the end. */
void veil_leftover_begin(void);

/* Notes the operations in flight: before the loop is destroyed. */
void veil_leftover_loop(const veil_loop_t *loop, const veil_log_t *log);

/*
 * Logs "exit: ops=N pools=N fds=N" at notice, and one line at alert for each
 * thing that is left.  Nothing in release builds.
 */
void veil_leftover_report(const veil_log_t *log);

#endif
