/*
 * control_audit.h -- requests of the control socket, as audit records.
 */

#ifndef VEIL_PROCESS_CONTROL_AUDIT_H
#define VEIL_PROCESS_CONTROL_AUDIT_H

#include "core/ulid.h"
#include "process/control/audit_log.h"
#include "process/control/peer_id.h"

/* What is known of a connection, from accept on; a task keeps a copy. */
typedef struct {
    char ulid[VEIL_ULID_LEN + 1];
    uint64_t client; /* counted */
    int64_t connect_sec;
    unsigned connect_msec;
    veil_peer_id_t peer;
} veil_control_session_t;

/* What was asked, and how it went; absent: NULL. */
typedef struct {
    const json_t *id; /* the client's */
    const char *verb;
    const veil_control_verb_t *table;
    json_t *args;
    bool dry_run;
    int64_t elapsed_ms;         /* -1: it has not begun */
    uint64_t generation_before; /* that served then; 0: none */
    unsigned workers_ok;
    unsigned workers_err;
    unsigned workers_expected;
    json_t *data; /* of the answer; what was changed is made of it */
} veil_control_asked_t;

/*
 * How many requests there were.  Of the master, init before it has a board;
 * verb NULL: there is none of that name.
 */
void veil_control_count_init(void);
void veil_control_count(const veil_control_verb_t *verb,
                        veil_audit_result_t result);

/* Once, with the connection. */
void veil_control_session_begin(veil_control_session_t *s, int fd,
                                const veil_log_t *log);

/* Nothing was tried; also a connection of which nothing was read. */
void veil_control_audit_refused(const veil_control_session_t *s,
                                const veil_control_asked_t *asked,
                                const char *code, const char *reason);
/* It goes to other processes, or goes on until the client ends it. */
void veil_control_audit_accepted(const veil_control_session_t *s,
                                 const veil_control_asked_t *asked);
/* The reply says how it went. */
void veil_control_audit_done(const veil_control_session_t *s,
                             const veil_control_asked_t *asked,
                             const json_t *reply);
/* The client left before there was a reply: nobody read it. */
void veil_control_audit_left(const veil_control_session_t *s,
                             const veil_control_asked_t *asked);

#endif
