/*
 * preflight.h -- what a configuration needs of the machine.
 */

#ifndef VEIL_PROCESS_PREFLIGHT_H
#define VEIL_PROCESS_PREFLIGHT_H

#include "core/cycle.h"

/*
 * Warns, in the cycle's log, of limits that the configuration is going to
 * meet: open files, memory for zones that are new.
 */
void veil_preflight(const veil_cycle_t *cycle, uint64_t new_zones);

#endif
