/*
 * control_task.h -- from a request of the control socket to its answer.
 */

#ifndef VEIL_PROCESS_CONTROL_TASK_H
#define VEIL_PROCESS_CONTROL_TASK_H

#include "process/control/control_server.h"

/* What a line says. */
typedef struct {
    json_t *id; /* NULL: none */
    const char *verb;
    json_t *args;
    int64_t if_gen;      /* -1: not */
    uint64_t timeout_ms; /* 0: the default */
    bool dry_run;
    bool persist;
} veil_control_request_t;

/* {"code", "msg", "hint"}: an error, a new reference; hint may be NULL. */
json_t *veil_control_err(const char *code, const char *msg, const char *hint);
/* The beginning of every reply; id may be NULL. */
json_t *veil_control_reply(json_t *id, bool ok);

/* Whether generations that drain are asked, too. */
bool veil_control_asks_draining(const veil_control_verb_t *verb);

/*
 * Carries out what was found to be right; takes over id and args of the
 * request.  The answer may be in the client's queue when this returns.
 */
void veil_control_task_start(veil_control_client_t *c,
                             veil_control_request_t *r,
                             const veil_control_verb_t *verb);

#endif
