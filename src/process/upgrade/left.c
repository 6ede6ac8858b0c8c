/*
 * left.c -- children of a master that are none of its generations.
 *
 * There are two kinds.  Masters that took over and gave the server back are
 * known by their pid.  What a new master had when it died becomes the child
 * of this one, which is a subreaper: a keeper first, and workers when that
 * has ended.  Nobody told this master their pids, so the kernel is asked
 * which children there are; without its answer (CONFIG_PROC_CHILDREN is off)
 * they are left to end by themselves, as their keeper's and master's end
 * tells them to.
 */

#include "core/platform.h"

#include <signal.h>

#include "core/str.h"
#include "core/time.h"
#include "process/master_state.h"
#include "process/reload/look.h"
#include "process/upgrade/left.h"
#include "process/upgrade/upgrade_state.h"

#define LEFT_MASTERS 8
/* How long strangers that appear are killed. */
#define LEFT_PURGE_MS 5000

static pid_t left_masters[LEFT_MASTERS]; /* 0: free */
static uint64_t left_purge_until;

typedef void left_fn(pid_t pid);

static bool
left_is_master(pid_t pid)
{
    unsigned i;

    for (i = 0; i < LEFT_MASTERS; i++) {
        if (left_masters[i] == pid) {
            return true;
        }
    }
    return false;
}

/* Of a generation of this master, or the new master itself. */
static bool
left_is_known(pid_t pid)
{
    const veil_generation_t *g;
    veil_list_t *n;
    unsigned i;

    if (pid == veil_upgrade.pid || veil_look_is(pid)) {
        return true;
    }
    veil_list_foreach (n, &veil_master.generations) {
        g = veil_list_entry(n, veil_generation_t, link);
        if (g->keeper == pid) {
            return true;
        }
        for (i = 0; i < g->nworkers; i++) {
            if (g->workers[i] == pid) {
                return true;
            }
        }
    }
    return false;
}

/* Calls fn for each child that is none of ours; returns how many. */
static unsigned
left_each(left_fn *fn)
{
    char path[64];
    unsigned n = 0;
    FILE *f;
    int pid;

    veil_snprintf(path, sizeof(path), "/proc/self/task/%d/children",
                  (int) getpid());
    f = fopen(path, "re");
    if (f == NULL) {
        return 0;
    }
    while (fscanf(f, "%d", &pid) == 1) {
        if (!left_is_known(pid)) {
            n++;
            fn(pid);
        }
    }
    (void) fclose(f);
    return n;
}

static void
left_look(pid_t pid)
{
    (void) pid;
}

static void
left_kill_stranger(pid_t pid)
{
    if (!left_is_master(pid)) {
        (void) kill(pid, SIGKILL);
    }
}

static void
left_end(pid_t pid)
{
    (void) kill(pid, SIGTERM);
}

void
veil_left_add(pid_t pid)
{
    unsigned i;

    for (i = 0; i < LEFT_MASTERS; i++) {
        if (left_masters[i] == 0) {
            left_masters[i] = pid;
            return;
        }
    }
    left_end(pid); /* too many: it has its shutdown_timeout left */
}

bool
veil_left_ended(pid_t pid, const char *how)
{
    unsigned i;

    if (veil_now_ms() < left_purge_until) {
        (void) left_each(left_kill_stranger);
    }
    for (i = 0; i < LEFT_MASTERS; i++) {
        if (left_masters[i] == pid) {
            left_masters[i] = 0;
            veil_log(&veil_master.log, VEIL_LOG_NOTICE, 0,
                     "master process %d, which gave the server back, %s",
                     (int) pid, how);
            return true;
        }
    }
    return false;
}

void
veil_left_purge(void)
{
    left_purge_until = veil_now_ms() + LEFT_PURGE_MS;
    (void) left_each(left_kill_stranger);
}

void
veil_left_stop(void)
{
    (void) left_each(left_end);
}

unsigned
veil_left_count(void)
{
    return left_each(left_look);
}
