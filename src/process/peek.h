/*
 * peek.h -- a look at the configuration without applying it.
 */

#ifndef VEIL_PROCESS_PEEK_H
#define VEIL_PROCESS_PEEK_H

#include "core/cycle.h"

/* For those who must know before there is a keeper: main(), "veil -s". */
typedef struct {
    bool daemon;
    bool master_process;
    veil_str_t pid_path; /* absolute, zero-terminated, the cycle's */
} veil_peek_t;

/*
 * Reads the files of the cycle, which must not have been loaded, and fills
 * in what they say or, where they say nothing, the defaults.  VEIL_ERROR
 * when they cannot be read, after reporting to the cycle's log.
 */
veil_rc_t veil_peek(veil_cycle_t *cycle, veil_peek_t *peek);

#endif
