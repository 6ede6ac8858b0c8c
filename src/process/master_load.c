/*
 * master_load.c -- one generation after the other, as the master does it.
 *
 * A load is a keeper that was forked and has a deadline.  When it is ready it
 * takes over: the pid file is written, the log is its log, sockets and zones
 * that nobody names any more are let go, it is told to start and the one
 * before to drain.  Nothing before that point can be seen from outside.
 */

#include "core/platform.h"

#include <signal.h>
#include <sys/wait.h>

#include "core/control.h"
#include "core/fault.h"
#include "core/pool.h"
#include "core/time.h"
#include "core/version.h"
#include "process/control/control_server.h"
#include "process/keeper.h"
#include "process/master_state.h"
#include "process/notify.h"
#include "process/show.h"
#include "process/spawn.h"
#include "process/upgrade/heir.h"
#include "process/upgrade/takeover.h"
#include "process/upgrade/upgrade.h"

/* Reading the configuration and starting its workers, at most. */
#define MASTER_LOAD_MS 300000
/* Generations that drain at the same time; the oldest is hurried. */
#define MASTER_DRAINING_MAX 4
#define MASTER_HURRY_MS 10000

void
veil_master_drain(veil_generation_t *g, uint64_t timeout_ms)
{
    veil_drain_message_t m = { .timeout_ms = timeout_ms };
    uint64_t end = veil_now_ms() + timeout_ms;

    if (g->state == VEIL_GENERATION_SERVING) {
        g->state = VEIL_GENERATION_DRAINING;
    }
    if (g->end_ms == 0 || end < g->end_ms) {
        g->end_ms = end;
        g->told_ms = veil_now_ms();
        g->look_ms = end + VEIL_MASTER_STUCK_MS;
        g->deadline_ms = end + VEIL_MASTER_GRACE_MS;
    }
    veil_generation_send(g, VEIL_MSG_DRAIN, &m, sizeof(m), &veil_master.log);
}

/* With too many that drain the oldest get little more time. */
static void
master_hurry(void)
{
    veil_generation_t *g;
    unsigned draining = 0;
    veil_list_t *n;

    for (n = veil_master.generations.prev; n != &veil_master.generations;
         n = n->prev)
    {
        g = veil_list_entry(n, veil_generation_t, link);
        if (g->state != VEIL_GENERATION_DRAINING
            || ++draining <= MASTER_DRAINING_MAX) {
            continue;
        }
        veil_log(&veil_master.log, VEIL_LOG_WARN, 0,
                 "more than %d replaced configurations are still in use, "
                 "generation %llu has %d s left",
                 MASTER_DRAINING_MAX, (unsigned long long) g->number,
                 MASTER_HURRY_MS / 1000);
        veil_control_event("generation.hurried",
                           json_pack("{s:I, s:i}", "generation",
                                     (json_int_t) g->number, "left_ms",
                                     MASTER_HURRY_MS));
        veil_master_drain(g, MASTER_HURRY_MS);
    }
}

/* A load is over, one way or the other. */
static void
master_tell_manager(const char *status)
{
    if (!veil_upgrade_is_passed()) {
        (void) veil_notify("READY=1\nSTATUS=%s, " VEIL_SERVER_NAME, status);
    }
}

/* The first one serves: whoever waits for that may go on. */
static void
master_started(void)
{
    veil_master.first = false;
    veil_master_detach_stderr();
    if (!veil_takeover_is()) {
        /* With "daemon on" this is not the process that was started. */
        (void) veil_notify(
            "MAINPID=%d\nREADY=1\nSTATUS=Serving, " VEIL_SERVER_NAME,
            (int) getpid());
    }
    if (veil_master.ready_fd >= 0) {
        /* The starter may have been killed; then nobody waits. */
        (void) !write(veil_master.ready_fd, "", 1);
        close(veil_master.ready_fd);
        veil_master.ready_fd = -1;
    }
}

void
veil_master_kill(veil_generation_t *g)
{
    g->killed = true;
    veil_generation_signal(g, SIGKILL);
}

static void
master_keep(int *kept, int *fd)
{
    if (*fd < 0) {
        return;
    }
    if (*kept >= 0) {
        close(*kept);
    }
    *kept = *fd;
    *fd = -1;
}

/* What it is to be known for from now on: text, paths, limits, log. */
static void
master_take(veil_generation_t *g)
{
    veil_master_take_log(g);
    veil_audit_use(g->audit);
    g->audit = NULL;
    g->state = VEIL_GENERATION_SERVING;
    g->served = true;
    g->end_ms = 0;
    g->look_ms = 0;
    g->deadline_ms = 0;
    veil_master.serving = g;
    veil_show_set(VEIL_SHOW_GENERATION, g->number);
    veil_master.loading = NULL;
    veil_master.restart_ms = 0;
    veil_master.stop_ms = g->settings.shutdown_timeout_ms;
    veil_control_master_settings(&g->settings.control);
    master_keep(&veil_master.text_fd, &g->text_fd);
    master_keep(&veil_master.facts_fd, &g->facts_fd);
    if (g->conf_path != NULL) {
        veil_free(veil_master.conf_path);
        veil_master.conf_path = g->conf_path;
        veil_master.launch.conf_path = veil_str_z(g->conf_path);
        g->conf_path = NULL;
    }
}

/*
 * Where others find it: the control socket, and last the pid file, as who sees
 * that may ask at once.  False after logging: all is as it was.
 */
static bool
master_show_itself(const veil_generation_t *g, const veil_log_t *log)
{
    const veil_generation_t *old = veil_master.serving;
    char buf[VEIL_MESSAGE_PATH + 16];

    if (veil_control_server_open(&g->settings.control, log) < 0) {
        return false;
    }
    if (veil_master_write_pid_file(
            veil_upgrade_pid_path(g->settings.pid_path, buf, sizeof(buf)), log)
        == VEIL_OK)
    {
        return true;
    }
    if (old != NULL) {
        (void) veil_control_server_open(&old->settings.control,
                                        &veil_master.log);
    }
    return false;
}

void
veil_master_switch(veil_generation_t *g)
{
    veil_generation_t *old = veil_master.serving;
    veil_reload_log_t noted;

    veil_reload_log(&noted, g->result, &veil_master.log);
    if (!master_show_itself(g, &noted.log)) {
        veil_log(&veil_master.log, VEIL_LOG_ERR, 0,
                 "generation %llu is given up",
                 (unsigned long long) g->number);
        g->ready = false;
        veil_master_kill(g);
        return;
    }
    VEIL_FAULT("master.switch");
    master_take(g);
    veil_heir_stand_by(true);
    veil_hold_commit(&veil_master.hold, g->number);
    veil_generation_send(g, VEIL_MSG_START, NULL, 0, &veil_master.log);
    VEIL_FAULT("master.started");
    if (old != NULL) {
        veil_master_drain(old, old->settings.worker_shutdown_timeout_ms);
        master_hurry();
        veil_generation_memory_watch();
    }
    veil_log(&veil_master.log, VEIL_LOG_NOTICE, 0,
             "generation %llu serves with %u worker processes",
             (unsigned long long) g->number, g->settings.workers);
    veil_control_event("generation.serving",
                       json_pack("{s:I, s:i}", "generation",
                                 (json_int_t) g->number, "workers",
                                 (int) g->settings.workers));
    veil_reload_end(g->result, NULL, NULL, &veil_master.log);
    g->result = NULL;
    if (veil_master.first) {
        veil_log(&veil_master.log, VEIL_LOG_NOTICE, 0,
                 VEIL_SERVER_NAME " has started, built by " VEIL_COMPILER);
        master_started();
    } else {
        master_tell_manager("Serving");
    }
    veil_takeover_served(g);
    veil_takeover_share();
    veil_upgrade_served(g);
}

/* Not even a process: there is nothing to wait for. */
static void
master_not_forked(veil_reload_result_t *result)
{
    if (veil_master.first) {
        veil_master.status = 1;
        veil_master.stopping = true;
    } else if (veil_master.serving == NULL) {
        veil_master.restart_ms = veil_now_ms() + VEIL_BACKOFF_MAX_MS;
    } else {
        master_tell_manager("Serving the configuration before");
    }
    veil_reload_end(result, VEIL_E_FAILED, "no process could be made for it",
                    &veil_master.log);
}

uint64_t
veil_master_load(const veil_master_load_t *what)
{
    veil_launch_t launch = veil_master.launch;
    veil_generation_options_t o;
    veil_generation_t *g;

    if (what->conf_path != NULL) {
        launch.conf_path = veil_str_z(what->conf_path);
    }
    memset(&o, 0, sizeof(o));
    o.launch = &launch;
    o.number = ++veil_master.last_number;
    o.text_fd = what->from_text ? veil_master.text_fd : -1;
    /* The same text has no difference. */
    o.running_text_fd = what->from_text ? -1 : veil_master.text_fd;
    o.running_facts_fd = what->from_text ? -1 : veil_master.facts_fd;
    o.result = veil_reload_begin(
        o.number,
        veil_master.serving == NULL ? 0 : veil_master.serving->number,
        what->cause);
    o.first = veil_master.first;
    o.detach = veil_master.o->detach;
    o.log = &veil_master.log;

    if (!veil_master.first && !veil_upgrade_is_passed()) {
        veil_notify_reloading();
    }
    veil_master.restart_ms = 0;
    g = veil_generation_start(&o);
    if (g == NULL) {
        master_not_forked(o.result);
        return 0;
    }
    if (what->conf_path != NULL) {
        size_t len = strlen(what->conf_path) + 1;

        g->conf_path = memcpy(veil_alloc(len), what->conf_path, len);
    }
    g->deadline_ms = veil_now_ms() + MASTER_LOAD_MS;
    veil_list_append(&veil_master.generations, &g->link);
    veil_master.loading = g;
    VEIL_FAULT("master.loading");
    return o.number;
}

/* Nothing serves: the text that did is started again, after a while. */
void
veil_master_plan_restart(void)
{
    uint64_t pause = veil_backoff_ms(++veil_master.deaths);

    veil_master.restart_ms = veil_now_ms() + pause;
    if (pause != 0) {
        veil_log(&veil_master.log, VEIL_LOG_ALERT, 0,
                 "nothing serves, starting again in %llu ms",
                 (unsigned long long) pause);
    }
}

/* Why, for a keeper that did not say it itself. */
static void
master_end_result(veil_generation_t *g, int status)
{
    /* Its settings come when the configuration was read and found right. */
    const char *code =
        g->settings.workers == 0 ? VEIL_E_INVALID : VEIL_E_FAILED;
    char reason[128];

    if (veil_master.stopping) {
        code = VEIL_E_CONFLICT;
        veil_snprintf(reason, sizeof(reason), "the server is being stopped");
    } else if (g->late) {
        code = VEIL_E_TIMEOUT;
        veil_snprintf(reason, sizeof(reason), "it was not ready in time");
    } else if (WIFSIGNALED(status) && !g->killed) {
        code = VEIL_E_FAILED;
        veil_snprintf(reason, sizeof(reason),
                      "its keeper process ended by signal %d",
                      WTERMSIG(status));
    } else {
        if (WIFEXITED(status) && WEXITSTATUS(status) == VEIL_KEEPER_INVALID) {
            code = VEIL_E_INVALID;
        }
        veil_snprintf(reason, sizeof(reason),
                      "its keeper process ended before it was ready");
    }
    veil_reload_end(g->result, code, reason, &veil_master.log);
    g->result = NULL;
}

void
veil_master_load_failed(veil_generation_t *g, int status)
{
    veil_master.loading = NULL;
    veil_hold_abort(&veil_master.hold, g->number);
    master_end_result(g, status);

    if (veil_master.stopping) {
        return;
    }
    if (veil_master.first) {
        veil_master.status = 1;
        veil_master.stopping = true;
        return;
    }
    veil_upgrade_load_failed();
    if (veil_master.serving != NULL) {
        master_tell_manager("Serving the configuration before");
    } else if (!veil_upgrade_is_passed()) {
        veil_master_plan_restart();
    }
}
