/*
 * look.h -- a child of the master that reads a configuration and says what it
 * would change, and whether it could be had, without changing anything.
 */

#ifndef VEIL_PROCESS_LOOK_H
#define VEIL_PROCESS_LOOK_H

#include <jansson.h>

#include "core/list.h"
#include "process/hold.h"
#include "process/prepare.h"

typedef struct veil_look_s veil_look_t;
struct veil_look_s {
    veil_list_t link; /* private to look.c, as are those below */
    pid_t pid;
    int fd;
    /*
     * Called once, with what was found: "ok", "reason", "errors", "warnings",
     * "diagnostics" as of reload.h, and "diff" when it could be read.  NULL:
     * nothing came of it; status is that of waitpid(2).
     */
    void (*ended)(veil_look_t *look, const json_t *found, int status);
    void *data;
};

/* What runs: all stays the caller's. */
typedef struct {
    int text_fd; /* as the master keeps them */
    int facts_fd;
    const veil_hold_t *hold;
} veil_look_running_t;

/* Begins; 0 or -errno.  The child is killed when it takes a minute. */
int veil_look_start(veil_look_t *look, const veil_launch_t *launch,
                    const veil_look_running_t *running);
/* Ends it without a call of ended. */
void veil_look_cancel(veil_look_t *look);
/* Whether it is one of these. */
bool veil_look_is(pid_t pid);
/* A child of the master has ended: whether it was one of these. */
bool veil_look_reap(pid_t pid, int status);

#endif
