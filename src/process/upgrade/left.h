/*
 * left.h -- children of a master that are none of its generations.
 */

#ifndef VEIL_PROCESS_LEFT_H
#define VEIL_PROCESS_LEFT_H

#include "core/types.h"

/* A master that gave the server back, and ends with its connections. */
void veil_left_add(pid_t pid);
/* Whether it was one of those; how it ended is logged. */
bool veil_left_ended(pid_t pid, const char *how);

/*
 * What a new master left that never served has no purpose: it is killed,
 * now and as it becomes ours during the next seconds.
 */
void veil_left_purge(void);
/* All that is left is told to end; a second time: at once. */
void veil_left_stop(void);
/* Children that are not of a generation, and not the new master. */
unsigned veil_left_count(void);

#endif
