/*
 * heir.h -- another master, when the one there was has died.
 */

#ifndef VEIL_PROCESS_HEIR_H
#define VEIL_PROCESS_HEIR_H

#include <poll.h>

#include "core/cycle.h"

/* With the directive "master_respawn". */
extern veil_module_t veil_core_heir_module;

/* What the keeper does at the word of the new master. */
typedef struct {
    void (*drain)(uint64_t timeout_ms);
    void (*reopen)(void);
    const char *conf_path; /* of the configuration; NULL: as on the command
                              line */
    uint64_t drain_ms;     /* when another generation serves */
    bool detach;
    const veil_log_t *log;
} veil_heir_options_t;

/* Whether this configuration asks for one; detach: the server is a daemon. */
bool veil_heir_is_wanted(const veil_cycle_t *cycle, bool detach);

/*
 * In the keeper of a generation that serves, once its master is dead: starts
 * another master, again and again until one serves.  False: another keeper
 * does that, or another master is there, and this one has to drain.  The
 * options must stay.
 */
bool veil_heir_begin(const veil_heir_options_t *options);

/*
 * In a master: while it stands by it serves, or serves again when the one
 * after it dies, and keepers of others make no heir.
 */
void veil_heir_stand_by(bool on);

/* At most one entry; returns how many. */
unsigned veil_heir_poll(struct pollfd *fds);
/* Reads what there is to read; any time. */
void veil_heir_receive(void);
/* A child of this process has ended: whether it was the new master. */
bool veil_heir_ended(pid_t pid, int status);

#endif
