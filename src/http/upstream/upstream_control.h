/*
 * upstream_control.h -- the verbs about upstreams and their servers; the
 * table is in modules/upstream.c.
 */

#ifndef VEIL_HTTP_UPSTREAM_CONTROL_H
#define VEIL_HTTP_UPSTREAM_CONTROL_H

#include "core/control.h"
#include "core/cycle.h"

/* upstream_control.c; in the keeper. */
veil_control_run_fn veil_upstream_control_set;
veil_control_run_fn veil_upstream_control_add;
veil_control_run_fn veil_upstream_control_del;
/* In the master: what server.add has changed, of its answer. */
json_t *veil_upstream_control_added(const json_t *args, const json_t *data);

/* upstream_wait.c; in the keeper, or, for generations, in the master. */
veil_control_run_fn veil_upstream_control_wait;
veil_control_place_t veil_upstream_control_wait_place(const json_t *args);

/* upstream_show.c; in workers, and what the master makes of it. */
veil_control_run_fn veil_upstream_control_list;
veil_control_run_fn veil_upstream_control_show;
veil_control_run_fn veil_upstream_control_resolve;
json_t *veil_upstream_control_gather_list(const json_t *args,
                                          const json_t *answers);
json_t *veil_upstream_control_gather_show(const json_t *args,
                                          const json_t *answers);
json_t *veil_upstream_control_gather_resolve(const json_t *args,
                                             const json_t *answers);

/* upstream_state.c; in the keeper: servers are saved and loaded. */
void veil_upstream_state_init(void);

/* Hooks of the keeper. */
veil_rc_t veil_upstream_init_keeper(veil_cycle_t *cycle);
void veil_upstream_start_keeper(veil_cycle_t *cycle);
void veil_upstream_worker_ended(veil_cycle_t *cycle, unsigned place,
                                pid_t pid);

#endif
