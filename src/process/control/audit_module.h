/*
 * audit_module.h -- where a configuration wants audit records to go, and the
 * verbs about records, events and logs.
 */

#ifndef VEIL_PROCESS_AUDIT_MODULE_H
#define VEIL_PROCESS_AUDIT_MODULE_H

#include "core/control.h"
#include "core/cycle.h"
#include "process/message.h"
#include "process/prepare.h"

/*
 * The i-th control_audit_log of the configuration, from 0 on; NULL: there are
 * no more.
 */
const veil_audit_message_t *veil_audit_configured(const veil_cycle_t *cycle,
                                                  unsigned i);

/* Where that stands: " in FILE:LINE" goes behind messages of place->log. */
typedef struct {
    veil_prepare_place_t place;
    char where[VEIL_MESSAGE_PATH];
} veil_audit_place_t;
void veil_audit_place(veil_audit_place_t *place, const veil_cycle_t *cycle,
                      unsigned i, const veil_log_t *log);

/* --- verbs: audit_verbs.c, log_verbs.c ----------------------------------- */

veil_control_run_fn veil_audit_verb_audit;
veil_control_run_fn veil_audit_verb_events;
veil_control_run_fn veil_log_verb_level;
veil_control_run_fn veil_log_verb_reopen; /* in workers */
/* In the master, before and after that. */
void veil_log_reopen_before(const json_t *args, bool dry_run);
json_t *veil_log_reopen_gather(const json_t *args, const json_t *answers);

/* In the master: the rules that another one has left, or changed, hold. */
void veil_log_rules_again(void);

/* In a worker: so many of its log files were opened anew. */
void veil_log_reopened(unsigned n);

#endif
