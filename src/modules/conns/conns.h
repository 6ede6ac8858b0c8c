/*
 * conns.h -- what the files of the module share.
 *
 *   conns.c         the table of verbs, the variable
 *   conns_list.c    conn.list, conn.show, conn.kill
 *   conns_drain.c   drain, undrain
 *   conns_errors.c  errors
 */

#ifndef VEIL_MODULES_CONNS_CONNS_H
#define VEIL_MODULES_CONNS_CONNS_H

#include "core/control.h"
#include "core/inet.h"
#include "core/str.h"

/* conns_list.c */
veil_control_run_fn veil_conns_list;
veil_control_run_fn veil_conns_show;
veil_control_run_fn veil_conns_kill;
json_t *veil_conns_gather_list(const json_t *args, const json_t *answers);
json_t *veil_conns_gather_kill(const json_t *args, const json_t *answers);

/* conns_drain.c */
veil_control_run_fn veil_conns_drain;
veil_control_run_fn veil_conns_undrain;
veil_control_run_fn veil_conns_drain_worker;
json_t *veil_conns_gather_drain(const json_t *args, const json_t *answers);
json_t *veil_conns_drain_changed(const json_t *args, const json_t *data);
/* In the keeper that serves: how many are drained, for "status". */
void veil_conns_drain_show(veil_cycle_t *cycle);

/* conns_errors.c */
veil_control_run_fn veil_conns_errors;
json_t *veil_conns_gather_errors(const json_t *args, const json_t *answers);

/* conns.c: values of answers, new references. */

/*
 * Bytes of a client as a string: what is not visible ASCII as "\xHH", the
 * backslash as "\\"; at most max bytes of them, then "...".
 */
json_t *veil_conns_text(veil_str_t s, size_t max);
/* With the port; null for a unix socket, whose other end has no name. */
json_t *veil_conns_addr(const veil_addr_t *addr);
/* "PID-NUMBER": what a connection is called in the whole server. */
json_t *veil_conns_id(uint64_t number);
/*
 * Whether the call's argument "listener" is not there or names one of the
 * configuration; false after veil_control_fail().
 */
bool veil_conns_check_listener(veil_control_call_t *call);
/* The objects of "key" in all answers as one array, by "by", largest first. */
json_t *veil_conns_merge(const json_t *answers, const char *key,
                         const char *by, size_t max);
/* The sum of a number in all answers. */
int64_t veil_conns_sum(const json_t *answers, const char *key);

#endif
