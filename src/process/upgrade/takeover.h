/*
 * takeover.h -- a master that takes over from another.
 */

#ifndef VEIL_PROCESS_TAKEOVER_H
#define VEIL_PROCESS_TAKEOVER_H

#include <poll.h>

#include "core/control.h"
#include "process/generation.h"
#include "process/upgrade/handover.h"

/* The name of what says that the kept text counts, not the files. */
#define VEIL_TAKEOVER_FROM_TEXT "from text"

/* --- at the start -------------------------------------------------------- */

/*
 * Notes what the environment says of another master, and takes it out of the
 * environment; first thing in main.
 */
void veil_takeover_environment(void);
/*
 * Reads the state: 1 there is one, 0 there is no other master, -1 it makes no
 * sense; *why then says so in words.
 */
int veil_takeover_open(const char **why);
/* Whether there is, or was, a master before this one. */
bool veil_takeover_is(void);
/* As the master before: whether standard error becomes the log. */
bool veil_takeover_detach(void);

/*
 * The hold gets what the master before has; numbers go on from its own.
 * VEIL_ERROR after logging.
 */
veil_rc_t veil_takeover_adopt(void);

/*
 * Something else that it handed over by name (veil_upgrade_on_give).  The
 * descriptor becomes the caller's; -1: there is none.  What nobody asks for
 * until the first generation serves is closed.
 */
int veil_takeover_fd(const char *name);
veil_str_t veil_takeover_data(const char *name);

/* --- while it starts ----------------------------------------------------- */

/*
 * The workers are ready: whether they may serve.  Asks the old master, which
 * answers by GO; without one they may.
 */
bool veil_takeover_may_serve(void);
/* The generation serves. */
void veil_takeover_served(const veil_generation_t *g);
/*
 * Sockets that were bound beside those of the old master go to it: it accepts
 * from them when it serves again.
 */
void veil_takeover_share(void);
/* It will not. */
void veil_takeover_failed(const char *why);

/* --- beside the old master ----------------------------------------------- */

/* The old master's end of the link is open. */
bool veil_takeover_has_old(void);
/* Its process; 0: there is none. */
pid_t veil_takeover_old(void);
/* If there is one, what it does: "draining", "kept", "serving". */
const char *veil_takeover_old_state(void);
/* It is kept for a way back, or serves too: another upgrade has to wait. */
bool veil_takeover_keeps_old(void);
/* What is on disk, as sockets, belongs to the old one too. */
bool veil_takeover_shares(void);
/* This master has ended but for the old one, which was told to end first. */
bool veil_takeover_waits(void);
/* This master has given the server back and ends with its connections. */
bool veil_takeover_is_leaving(void);

/* At most VEIL_TAKEOVER_POLLS entries; returns how many. */
#define VEIL_TAKEOVER_POLLS 1
unsigned veil_takeover_poll(struct pollfd *fds);
/* Reads what the old master says; any time. */
void veil_takeover_receive(void);
/* When something is due; 0: nothing is. */
uint64_t veil_takeover_due_ms(void);
void veil_takeover_run_due(uint64_t now_ms);

/* Logs were rotated, the server ends, another master takes over from us. */
void veil_takeover_reopen(void);
void veil_takeover_stop(uint64_t timeout_ms);
void veil_takeover_release(unsigned back);

/* The verb "upgrade" with "rollback". */
veil_control_rc_t veil_takeover_rollback(veil_control_call_t *call,
                                         uint64_t timeout_ms);

#endif
