/*
 * explain.h -- "veil --explain": what would become of a request.
 */

#ifndef VEIL_PROCESS_EXPLAIN_H
#define VEIL_PROCESS_EXPLAIN_H

#include "core/explain.h"
#include "process/prepare.h"

/*
 * Loads the configuration, binding and creating nothing, and writes the
 * report of core/explain.h, as text or as JSON.  0; 1: the configuration is
 * invalid, or there is nothing to explain.  There must be no veil_cycle, and
 * the process is good for nothing else afterwards.
 */
int veil_explain_run(const veil_launch_t *launch,
                     const veil_explain_options_t *o, FILE *out, bool json);

#endif
