/*
 * lint.h -- "veil --lint": a configuration is loaded as "veil -t" does it,
 * and looked at.
 */

#ifndef VEIL_PROCESS_LINT_H
#define VEIL_PROCESS_LINT_H

#include <stdio.h>

#include "core/lint.h"
#include "process/prepare.h"

typedef struct {
    veil_launch_t launch;
    uint64_t expires_in_ms; /* certificates that end within; 0: 14 days */
    bool strict;            /* warnings fail, too */
    bool notes;             /* notes are told */
} veil_lint_options_t;

/*
 * Loads lint->cycle as "veil -t" would.  What is wrong with the configuration
 * are findings, nothing is logged but what has no place in it.
 */
veil_rc_t veil_lint_load(veil_lint_t *lint);

/*
 * Loads the configuration, binding and creating nothing, and writes what is
 * to be said about it, as text or as one object of JSON.  0: nothing to fail
 * for; 1: errors, or the configuration is invalid; with strict warnings, too.
 * There must be no veil_cycle.
 */
int veil_lint_run(const veil_lint_options_t *o, FILE *out, bool json);

#endif
