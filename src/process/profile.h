/*
 * profile.h -- a worker looks where it spends its time.
 */

#ifndef VEIL_PROCESS_PROFILE_H
#define VEIL_PROCESS_PROFILE_H

#include <jansson.h>

#include "event/loop.h"

/* profile is the receiver's. */
typedef void veil_profile_fn(void *data, json_t *profile);

/*
 * Samples this thread's stack 101 times for each second it is on a
 * processor, for so long, then calls fn from the loop with
 *
 *     {"pid", "ms", "hz", "samples", "lost", "folded": "main;f;g 12\n..."}
 *
 * where each line of "folded" is a stack, the outermost function first, and
 * how often it was seen, the most frequent one first.  0, or -errno and fn is
 * not called; -EBUSY: one is being made.
 */
int veil_profile_start(veil_loop_t *loop, uint64_t ms, veil_profile_fn *fn,
                       void *data);
/* Ends it without a result, if there is one. */
void veil_profile_cancel(void);

#endif
