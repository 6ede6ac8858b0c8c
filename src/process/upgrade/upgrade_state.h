/*
 * upgrade_state.h -- what the files of an upgrade share; nobody else looks.
 */

#ifndef VEIL_PROCESS_UPGRADE_STATE_H
#define VEIL_PROCESS_UPGRADE_STATE_H

#include <limits.h>

#include "process/upgrade/link.h"
#include "process/upgrade/upgrade.h"

/* What a preflight may say; the rest is not read. */
#define VEIL_UPGRADE_OUTPUT 16384

typedef enum {
    UPGRADE_IDLE,
    UPGRADE_WAITING, /* for the end of a load */
    UPGRADE_CHECKING,
    UPGRADE_STARTING,
    UPGRADE_PASSED
} veil_upgrade_state_t;

typedef struct {
    veil_upgrade_state_t state;
    veil_upgrade_mode_t mode;
    bool check_only;
    veil_control_call_t *call; /* NULL: nobody waits for the answer */
    char program[PATH_MAX];
    uint64_t deadline_ms; /* 0: none */
    uint64_t timeout_ms;
    uint64_t began_ms;
    pid_t pid; /* of the preflight, or the new master; 0: none */
    int fd;    /* the preflight's output, or the link; -1 */
    char output[VEIL_UPGRADE_OUTPUT];
    size_t output_len;
    char version[64]; /* of the new program */
    char why[640];    /* the reason of a failure; empty: not known yet */
    const char *code; /* goes with it */
    bool told_go;
    bool released;  /* there is a third master: no way back */
    bool returning; /* by a rollback */
    bool told_stop; /* by the new master */
    bool winch;     /* the generation that loads is to drain when it serves */
} veil_upgrade_t;

extern veil_upgrade_t veil_upgrade;

/* --- upgrade.c ----------------------------------------------------------- */

/* Forgets the descriptor. */
void veil_upgrade_close(void);
/* Ends the call, if somebody waits. */
void veil_upgrade_answer(veil_control_rc_t rc);
/* The pid file is this master's again. */
void veil_upgrade_restore_pid_file(void);
/* The path of an old master's pid file. */
void veil_upgrade_old_path(char *buf, size_t n, const char *path);

/* --- upgrade_pass.c ------------------------------------------------------ */

/* The new master serves. */
void veil_upgrade_pass(const veil_link_message_t *m);
/* What it says from then on. */
void veil_upgrade_hear(const veil_link_message_t *m);
/* It has ended; how says so in words. */
void veil_upgrade_lost(const char *how);

#endif
