/*
 * workers.h -- what the configuration says of workers as processes, and the
 * verbs about them.
 */

#ifndef VEIL_PROCESS_WORKERS_H
#define VEIL_PROCESS_WORKERS_H

#include "core/board.h"
#include "core/control.h"
#include "core/cycle.h"

extern veil_module_t veil_core_workers_module;

typedef struct {
    uint64_t watchdog_ms; /* 0: off */
} veil_workers_conf_t;

/* Adds state, whether it is stopped, and how old it is. */
void veil_workers_set_state(json_t *to, const veil_board_block_t *b);

static inline const veil_workers_conf_t *
veil_workers_conf(const veil_cycle_t *cycle)
{
    return veil_core_conf(cycle, &veil_core_workers_module);
}

#endif
