/*
 * master_children.c -- the master's children, when they have ended.
 *
 * They are keepers, and workers whose keeper died: the master is a subreaper,
 * so those become its children, and it knows when the last of a generation
 * is gone.  A keeper that dies while its generation serves is replaced by
 * another with the text the first one left.
 */

#include "core/platform.h"

#include <signal.h>
#include <sys/wait.h>

#include "core/board.h"
#include "core/control.h"
#include "core/time.h"
#include "process/control/control.h"
#include "process/master_state.h"
#include "process/reload/look.h"
#include "process/reload/reload_verbs.h"
#include "process/spawn.h"
#include "process/upgrade/upgrade.h"

static void
master_log_keeper(const veil_generation_t *g, int status)
{
    if (g->killed && WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL) {
        veil_log(&veil_master.log, VEIL_LOG_NOTICE, 0,
                 "keeper process %d of generation %llu was killed by the "
                 "master",
                 (int) g->keeper, (unsigned long long) g->number);
        return;
    }
    if (WIFSIGNALED(status)) {
        veil_log(&veil_master.log, VEIL_LOG_ALERT, 0,
                 "keeper process %d of generation %llu exited on signal %d%s",
                 (int) g->keeper, (unsigned long long) g->number,
                 WTERMSIG(status), WCOREDUMP(status) ? " (core dumped)" : "");
        return;
    }
    veil_log(&veil_master.log, VEIL_LOG_NOTICE, 0,
             "keeper process %d of generation %llu exited with code %d",
             (int) g->keeper, (unsigned long long) g->number,
             WEXITSTATUS(status));
}

/* The keeper in charge has ended without being told to. */
static void
master_lost_serving(veil_generation_t *g)
{
    veil_master.serving = NULL;
    if (veil_now_ms() - g->started_ms >= VEIL_BACKOFF_SOUND_MS) {
        veil_master.deaths = 0;
    }
    if (g->end_ms == 0) {
        g->end_ms = veil_now_ms() + g->settings.worker_shutdown_timeout_ms;
        g->deadline_ms = g->end_ms + VEIL_MASTER_GRACE_MS;
    }
    if (!veil_master.stopping && veil_master.loading == NULL) {
        veil_log(&veil_master.log, VEIL_LOG_ALERT, 0,
                 "starting the configuration of generation %llu again",
                 (unsigned long long) g->number);
        veil_master_plan_restart();
    }
}

void
veil_master_forget(veil_generation_t *g)
{
    if (g->served) {
        veil_log(&veil_master.log, VEIL_LOG_NOTICE, 0,
                 "generation %llu has ended", (unsigned long long) g->number);
        veil_control_event(
            "generation.drained",
            json_pack("{s:I}", "generation", (json_int_t) g->number));
    }
    veil_generation_free(&g);
    veil_reload_look_again();
}

static void
master_keeper_ended(veil_generation_t *g, int status)
{
    /* What it said last counts: who its workers are. */
    (void) veil_generation_receive(g, &veil_master.hold, &veil_master.log);
    master_log_keeper(g, status);
    g->keeper = 0;
    veil_generation_inherit(g);
    veil_control_generation_ended(g->number);

    if (g == veil_master.loading) {
        veil_master_load_failed(g, status);
    } else if (g == veil_master.serving) {
        master_lost_serving(g);
    }
    g->state = VEIL_GENERATION_ORPHANED;
    if (veil_generation_workers(g) == 0) {
        veil_master_forget(g);
    }
}

static void
master_child_ended(pid_t pid, int status)
{
    veil_generation_t *g;
    veil_list_t *n;
    veil_list_t *tmp;

    if (veil_look_reap(pid, status) || veil_upgrade_child_ended(pid, status)) {
        return;
    }
    veil_list_foreach_safe (n, tmp, &veil_master.generations) {
        g = veil_list_entry(n, veil_generation_t, link);
        if (g->keeper == pid) {
            master_keeper_ended(g, status);
            return;
        }
        if (g->keeper == 0 && veil_generation_forget_worker(g, pid)) {
            veil_log(&veil_master.log, VEIL_LOG_NOTICE, 0,
                     "worker process %d, left by its keeper, has ended",
                     (int) pid);
            if (veil_generation_workers(g) == 0) {
                veil_master_forget(g);
            }
            return;
        }
    }
}

void
veil_master_reap(void)
{
    bool any = false;
    int status;
    pid_t pid;

    while ((pid = veil_spawn_reap(&status)) != 0) {
        master_child_ended(pid, status);
        any = true;
    }
    if (any) {
        veil_board_sweep();
    }
}
