/*
 * upgrade_exec.h -- starting another program with our arguments.
 */

#ifndef VEIL_PROCESS_UPGRADE_EXEC_H
#define VEIL_PROCESS_UPGRADE_EXEC_H

#include "process/upgrade/handover.h"

/* In the environment of a new master: the state's descriptor, the link's. */
#define VEIL_UPGRADE_ENV "VEIL_UPGRADE"

/* Remembers how this program was called; argv stays as it is. */
void veil_upgrade_remember(char **argv);
/* The file it was called by, so that a newer one in its place is found. */
const char *veil_upgrade_program(void);

/*
 * The reason why this file cannot be executed, or NULL.  buf is for the text.
 */
const char *veil_upgrade_refuses(const char *program, char *buf, size_t n);

/* The state in memory that cannot be changed any more; -errno. */
int veil_upgrade_seal(const veil_handover_t *h);

typedef struct {
    const char *program;
    const char *conf_path; /* "-c" of it behind the arguments; NULL: not */
    bool preflight;        /* "--preflight" before them */
    int state_fd;
    int link;                 /* -1: none */
    int output;               /* becomes standard output and error; -1 */
    const veil_handover_t *h; /* its descriptors stay open; NULL: none */
} veil_upgrade_exec_t;

/*
 * Forks and executes.  What the exec itself fails of is told on the output
 * or the link.  The pid, or -errno.
 */
pid_t veil_upgrade_spawn(const veil_upgrade_exec_t *x);

#endif
