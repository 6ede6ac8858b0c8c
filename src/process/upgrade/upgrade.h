/*
 * upgrade.h -- a master that starts the program which takes over from it.
 */

#ifndef VEIL_PROCESS_UPGRADE_H
#define VEIL_PROCESS_UPGRADE_H

#include <poll.h>

#include "core/control.h"
#include "process/generation.h"
#include "process/upgrade/handover.h"

/* How long the new program may take to serve, from its preflight on. */
#define VEIL_UPGRADE_TIMEOUT_MS 60000

typedef struct {
    const char *program; /* NULL: the one this master was called by */
    uint64_t timeout_ms;
    veil_upgrade_mode_t mode;
    bool check_only;           /* the preflight, and nothing else */
    veil_control_call_t *call; /* who is answered; NULL: the log only */
} veil_upgrade_request_t;

/*
 * Begins.  False when it cannot: *code (a VEIL_E_) and *why say so; it is
 * logged.  Else the call is answered later.
 */
bool veil_upgrade_begin(const veil_upgrade_request_t *request,
                        const char **code, const char **why);

/* With the verb "upgrade". */
extern veil_module_t veil_core_upgrade_module;

/* --- hooks --------------------------------------------------------------- */

/*
 * Called when the state is written: adds what the next program needs beside
 * sockets and zones (veil_handover_add_extra; descriptors stay the caller's).
 * At most 8 of these, for good.
 */
typedef void veil_upgrade_give_fn(veil_handover_t *h);
void veil_upgrade_on_give(veil_upgrade_give_fn *fn);
/*
 * Called when this master begins to be the one in charge (true), and when
 * another one is (false): a control socket is answered by one of them.
 */
typedef void veil_upgrade_serve_fn(bool serves);
void veil_upgrade_on_serve(veil_upgrade_serve_fn *fn);
void veil_upgrade_serve(bool serves);

/* --- for the master ------------------------------------------------------ */

/* Once; what this directory itself hands over is among the hooks then. */
void veil_upgrade_init(void);
/* The control socket of the old master, if there is one. */
void veil_upgrade_adopt_control(void);

/* The state of this master: what another needs to know. */
void veil_upgrade_describe(veil_handover_t *h);

/* A program is being tried: nothing else may change. */
bool veil_upgrade_is_busy(void);
/* Another master serves. */
bool veil_upgrade_is_passed(void);
/* Another master serves, and this one has nothing left to do. */
bool veil_upgrade_is_over(void);
/* This master is kept beside a new one: it stays without a generation. */
bool veil_upgrade_is_kept(void);
/* Where the pid file of this master belongs; in buf unless it is path. */
const char *veil_upgrade_pid_path(const char *path, char *buf, size_t n);

/* HUP and WINCH: true when they meant something here. */
bool veil_upgrade_on_hup(void);
bool veil_upgrade_on_winch(void);
void veil_upgrade_on_usr2(void);

/* A generation of this master serves, or did not come to. */
void veil_upgrade_served(const veil_generation_t *g);
void veil_upgrade_load_failed(void);
/* The server ends: whoever is being tried is ended. */
void veil_upgrade_stop(void);
/* The other master serves again: this one drains and ends. */
void veil_upgrade_leave(void);

/* True when it was a process of an upgrade. */
bool veil_upgrade_child_ended(pid_t pid, int status);

/* At most VEIL_UPGRADE_POLLS entries; returns how many. */
#define VEIL_UPGRADE_POLLS 1
unsigned veil_upgrade_poll(struct pollfd *fds);
/* Reads what there is to read; any time. */
void veil_upgrade_receive(void);
/* When something is due; 0: nothing is. */
uint64_t veil_upgrade_due_ms(void);
void veil_upgrade_run_due(uint64_t now_ms);

#endif
