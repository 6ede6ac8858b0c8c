/*
 * master.c -- the process that starts, watches and stops the others.
 *
 * The master parses nothing and serves nothing.  It holds the sockets and
 * the shared memory, and forks a keeper for each generation.  A generation
 * becomes the serving one when all its workers are ready; only then are the
 * pid file written, the one before told to drain, and sockets closed that
 * nobody names any more.  A generation that fails before leaves everything
 * as it was.
 *
 *     HUP ----> LOADING --READY--> SERVING --replaced--> DRAINING --> gone
 *                  |                  |
 *                fails            keeper dies: ORPHANED, and another
 *                                 LOADING from the kept text
 *
 * One generation loads at a time; a HUP meanwhile is remembered.  The master
 * is a subreaper, so workers whose keeper died become its children, and it
 * knows when they have ended.
 *
 * TERM, INT and QUIT drain everything within shutdown_timeout; a second one
 * ends it at once.  Whatever does not end even then is killed: the master is
 * always the last.
 *
 * Here are the signals, the end and the loop.  Where a generation follows
 * another is master_load.c; children that end are master_children.c's.
 */

#include "core/platform.h"

#include <poll.h>
#include <signal.h>
#include <sys/prctl.h>

#include "core/board.h"
#include "core/due.h"
#include "core/fault.h"
#include "core/pool.h"
#include "core/time.h"
#include "core/version.h"
#include "process/control/control_server.h"
#include "process/control/events.h"
#include "process/control/journal.h"
#include "process/master_state.h"
#include "process/notify.h"
#include "process/pidfile.h"
#include "process/reload/reload_verbs.h"
#include "process/show.h"
#include "process/signal.h"
#include "process/spawn.h"
#include "process/upgrade/heir.h"
#include "process/upgrade/left.h"
#include "process/upgrade/takeover.h"
#include "process/upgrade/upgrade.h"

veil_master_t veil_master;

/* --- the log ------------------------------------------------------------ */

void
veil_master_take_log(veil_generation_t *g)
{
    if (g->log == NULL || g->log->n == 0) {
        return; /* it logs to something the master cannot share */
    }
    veil_prepare_tell_stderr(&g->log->log, false);
    veil_generation_log_free(&veil_master.log_files);
    veil_master.log_files = g->log;
    g->log = NULL;
    veil_master.log = veil_master.log_files->log;
}

void
veil_master_detach_stderr(void)
{
    if (veil_master.o->detach) {
        veil_prepare_detach_stderr(&veil_master.log);
        veil_master.detached = true;
    }
}

void
veil_master_reopen_logs(veil_master_reopened_t *r)
{
    veil_generation_t *g;
    veil_list_t *n;
    unsigned i;
    int rc;

    for (i = 0; veil_master.log_files != NULL && i < veil_master.log_files->n;
         i++) {
        rc = veil_log_file_reopen(&veil_master.log_files->files[i]);
        r->files++;
        if (rc < 0) {
            r->failed++;
            veil_log(&veil_master.log, VEIL_LOG_EMERG, -rc,
                     "open() \"%s\" failed, writing on to the old file",
                     veil_master.log_files->paths[i]);
        }
    }
    r->files += veil_audit_files();
    r->failed += veil_audit_reopen(&veil_master.log);
    if (veil_master.detached) {
        veil_master_detach_stderr();
    }
    veil_list_foreach (n, &veil_master.generations) {
        g = veil_list_entry(n, veil_generation_t, link);
        veil_generation_send(g, VEIL_MSG_REOPEN, NULL, 0, &veil_master.log);
    }
    veil_takeover_reopen();
}

/* --- the pid file ------------------------------------------------------- */

void
veil_master_forget_pid_file(void)
{
    veil_free(veil_master.pid_path);
    veil_master.pid_path = NULL;
}

static void
master_remove_pid_file(void)
{
    if (veil_master.pid_path != NULL) {
        veil_pidfile_remove(veil_master.pid_path);
        veil_master_forget_pid_file();
    }
}

veil_rc_t
veil_master_write_pid_file(const char *path, const veil_log_t *log)
{
    size_t len = strlen(path) + 1;
    int rc;

    if (veil_master.pid_path != NULL
        && strcmp(veil_master.pid_path, path) == 0) {
        return VEIL_OK;
    }
    rc = veil_pidfile_write(path);
    if (rc < 0) {
        veil_log(log, VEIL_LOG_EMERG, -rc,
                 "writing the pid file \"%s\" failed", path);
        return VEIL_ERROR;
    }
    master_remove_pid_file();
    veil_master.pid_path = memcpy(veil_alloc(len), path, len);
    return VEIL_OK;
}

/* --- stopping ----------------------------------------------------------- */

void
veil_master_stop(uint64_t timeout)
{
    veil_generation_t *g;
    veil_list_t *n;

    if (!veil_master.stopping) {
        veil_master.stopping = true;
        veil_master.stopped_ms = veil_now_ms();
        veil_heir_stand_by(false);
        veil_master.restart_ms = 0;
        veil_master.reload_wanted = false;
        if (veil_master.first) {
            veil_master.status = 1; /* it was to serve, and never did */
        }
        if (!veil_upgrade_is_passed()) {
            (void) veil_notify("STOPPING=1\nSTATUS=Ending with the last "
                               "connection");
        }
        /* Connections are refused from here on. */
        veil_hold_done(&veil_master.hold, true);
    }
    veil_list_foreach (n, &veil_master.generations) {
        g = veil_list_entry(n, veil_generation_t, link);
        if (g == veil_master.loading) {
            veil_master_kill(g); /* it has no connections to wait for */
            continue;
        }
        veil_master_drain(g, timeout);
        if (g->state == VEIL_GENERATION_ORPHANED) {
            veil_generation_signal(g, SIGTERM);
        }
    }
    veil_upgrade_stop();
    veil_takeover_stop(timeout);
}

/* --- signals ------------------------------------------------------------ */

void
veil_master_reload(void)
{
    static const veil_master_load_t by_signal = { .cause =
                                                      VEIL_RELOAD_SIGNAL };

    if (veil_master.stopping || veil_takeover_is_leaving()) {
        return;
    }
    if (veil_master.loading != NULL || veil_upgrade_is_busy()) {
        veil_master.reload_wanted = true;
        return;
    }
    (void) veil_master_load(&by_signal);
}

static void
master_on_signal(const struct signalfd_siginfo *info)
{
    veil_master_reopened_t reopened = { .files = 0 };
    int signo = (int) info->ssi_signo;
    const char *action = NULL;

    switch (signo) {
    case SIGCHLD:
        veil_master_reap();
        return;
    case SIGTERM:
    case SIGINT:
    case SIGQUIT:
        action = veil_master.stopping ? "ending at once" : "shutting down";
        break;
    case SIGHUP:
        action = "reconfiguring";
        break;
    case SIGUSR1:
        action = "reopening logs";
        break;
    case SIGUSR2:
        action = "changing binary";
        break;
    case SIGWINCH:
        action = veil_upgrade_is_kept() ? "shutting down workers" : NULL;
        break;
    default:
        break;
    }
    veil_log(&veil_master.log, VEIL_LOG_NOTICE, 0,
             "signal %d (SIG%s) received from %u, %s", signo,
             veil_signal_name(signo), info->ssi_pid,
             action == NULL ? "ignored: it has no meaning here" : action);
    switch (signo) {
    case SIGTERM:
    case SIGINT:
    case SIGQUIT:
        veil_master_stop(veil_master.stopping ? 0 : veil_master.stop_ms);
        break;
    case SIGHUP:
        if (!veil_upgrade_on_hup()) {
            veil_master_reload();
        }
        break;
    case SIGUSR1:
        veil_master_reopen_logs(&reopened);
        break;
    case SIGUSR2:
        veil_upgrade_on_usr2();
        break;
    case SIGWINCH:
        (void) veil_upgrade_on_winch();
        break;
    default:
        break;
    }
}

/* --- the loop ----------------------------------------------------------- */

/* The sooner of the two; 0 is never. */
static uint64_t
master_sooner(uint64_t a, uint64_t b)
{
    return a == 0 || (b != 0 && b < a) ? b : a;
}

static int
master_timeout(uint64_t now)
{
    int control = veil_control_server_timeout(now);
    uint64_t due = master_sooner(
        veil_master.restart_ms,
        master_sooner(veil_upgrade_due_ms(), veil_takeover_due_ms()));
    veil_generation_t *g;
    veil_list_t *n;

    veil_list_foreach (n, &veil_master.generations) {
        g = veil_list_entry(n, veil_generation_t, link);
        due = master_sooner(due, master_sooner(g->look_ms, g->deadline_ms));
    }
    if (due == 0) {
        return control;
    }
    if (due <= now) {
        return 0;
    }
    if (due - now > 60000) {
        due = now + 60000;
    }
    return control >= 0 && control < (int) (due - now) ? control
                                                       : (int) (due - now);
}

/*
 * Whether its keeper has not so much as noticed that it was to end.  Workers
 * without a keeper have nobody who would kill them.
 */
static bool
master_is_stuck(veil_generation_t *g, uint64_t now)
{
    if (g->look_ms == 0 || g->look_ms > now) {
        return false;
    }
    g->look_ms = 0;
    return g->keeper == 0
           || (g->block >= 0 && veil_board_heartbeat(g->block) < g->told_ms);
}

static void
master_run_due(uint64_t now)
{
    static const veil_master_load_t again = { .cause = VEIL_RELOAD_RESTART,
                                              .from_text = true };
    veil_generation_t *g;
    veil_list_t *n;

    veil_list_foreach (n, &veil_master.generations) {
        g = veil_list_entry(n, veil_generation_t, link);
        if (master_is_stuck(g, now)
            || (g->deadline_ms != 0 && g->deadline_ms <= now)) {
            g->look_ms = 0;
            g->deadline_ms = 0;
            g->late = true;
            veil_log(&veil_master.log, VEIL_LOG_ALERT, 0,
                     "generation %llu did not %s in time, killing it",
                     (unsigned long long) g->number,
                     g == veil_master.loading ? "start" : "end");
            veil_master_kill(g);
        }
    }
    veil_upgrade_run_due(now);
    veil_takeover_run_due(now);
    if (veil_master.loading != NULL || veil_master.stopping) {
        return;
    }
    if (veil_master.reload_wanted && !veil_upgrade_is_busy()) {
        veil_master.reload_wanted = false;
        veil_master_reload();
    } else if (veil_master.restart_ms != 0 && veil_master.restart_ms <= now) {
        (void) veil_master_load(&again);
    }
}

/* Reads the signals, then what the keepers say. */
static void
master_turn(void)
{
    struct signalfd_siginfo info;
    struct pollfd *fds;
    veil_generation_t *g;
    veil_list_t *n;
    unsigned count =
        VEIL_CONTROL_CLIENTS + 2 + VEIL_UPGRADE_POLLS + VEIL_TAKEOVER_POLLS;
    unsigned used = 1;
    unsigned control;

    veil_list_foreach (n, &veil_master.generations) {
        count++;
    }
    fds = veil_zalloc(count * sizeof(*fds));
    fds[0] = (struct pollfd){ .fd = veil_master.signals, .events = POLLIN };
    veil_list_foreach (n, &veil_master.generations) {
        g = veil_list_entry(n, veil_generation_t, link);
        fds[used++] = (struct pollfd){ .fd = g->channel, .events = POLLIN };
    }
    veil_show_set(VEIL_SHOW_GENERATIONS, used - 1);
    used += veil_upgrade_poll(fds + used);
    used += veil_takeover_poll(fds + used);
    control = used;
    used += veil_control_server_poll(fds + control);
    veil_time_update();
    if (poll(fds, used, master_timeout(veil_now_ms())) < 0) {
        used = control; /* nothing is known of them */
    }
    veil_time_update();

    veil_list_foreach (n, &veil_master.generations) {
        g = veil_list_entry(n, veil_generation_t, link);
        (void) veil_generation_receive(g, &veil_master.hold, &veil_master.log);
    }
    veil_reload_look_again();
    veil_upgrade_receive();
    veil_takeover_receive();
    g = veil_master.loading;
    if (g != NULL && g->ready && !veil_master.stopping
        && veil_takeover_may_serve())
    {
        veil_master_switch(g);
    }
    while (veil_signals_read(veil_master.signals, &info)) {
        master_on_signal(&info);
    }
    veil_control_server_polled(fds + control, used - control,
                               &veil_master.log);
    veil_free(fds);
    veil_control_server_run_due(veil_now_ms());
    master_run_due(veil_now_ms());
}

static void
master_close_kept(void)
{
    const int kept[] = { veil_master.text_fd, veil_master.facts_fd };
    size_t i;

    for (i = 0; i < veil_countof(kept); i++) {
        if (kept[i] >= 0) {
            close(kept[i]);
        }
    }
}

/* Why a master that took over never served. */
static void
master_tell_old(void)
{
    const veil_reload_result_t *r = veil_reload_last(0);

    veil_takeover_failed(r == NULL || r->reason[0] == '\0'
                             ? "it ended before it served, see the error log"
                             : r->reason);
}

/* Whether there is nothing more to do or to wait for. */
static bool
master_is_done(void)
{
    bool ends = veil_master.stopping || veil_upgrade_is_over()
                || veil_takeover_is_leaving();

    return ends && veil_list_is_empty(&veil_master.generations)
           && veil_left_count() == 0 && !veil_takeover_waits();
}

int
veil_master_run(const veil_master_options_t *o)
{
    veil_master_load_t start = { .cause = VEIL_RELOAD_START };

    veil_master.o = o;
    veil_master.launch = *o->launch;
    veil_master.log = veil_log_stderr;
    veil_master.ready_fd = o->ready_fd;
    veil_master.text_fd = -1;
    veil_master.facts_fd = -1;
    veil_master.first = true;
    veil_events_begin();
    veil_hold_init(&veil_master.hold);
    veil_list_init(&veil_master.generations);
    veil_control_master_init();
    veil_time_update();
    veil_master.began_ms = veil_now_ms();
    veil_title_set("master process %s", veil_title_command());

    veil_master.signals = veil_signals_open();
    if (veil_master.signals < 0) {
        veil_log(&veil_master.log, VEIL_LOG_EMERG, -veil_master.signals,
                 "signalfd() failed");
        return 1;
    }
    if (prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) != 0) {
        veil_log(&veil_master.log, VEIL_LOG_WARN, errno,
                 "prctl(PR_SET_CHILD_SUBREAPER) failed");
    }
    veil_upgrade_init();
    if (veil_takeover_adopt() == VEIL_OK) {
        veil_upgrade_adopt_control();
        veil_show_open(&veil_master.hold, VEIL_BOARD_MASTER, &veil_master.log);
        veil_journal_open(&veil_master.hold, &veil_master.log);
        start.from_text =
            veil_master.text_fd >= 0
            && veil_takeover_data(VEIL_TAKEOVER_FROM_TEXT).len != 0;
        veil_master.began_number = veil_master_load(&start);
        VEIL_FAULT("upgrade.keeper");
    } else {
        veil_master.status = 1;
        veil_master.stopping = true;
    }
    while (!master_is_done()) {
        master_turn();
    }
    veil_due_run(veil_now_ms() + VEIL_MASTER_GRACE_MS); /* who waits for it */
    master_tell_old();
    veil_control_server_close(!veil_upgrade_is_passed()
                              && !veil_takeover_shares());
    veil_hold_done(&veil_master.hold, true);
    master_remove_pid_file();
    veil_log(&veil_master.log, VEIL_LOG_NOTICE, 0, "exit");
    veil_generation_log_free(&veil_master.log_files);
    master_close_kept();
    veil_free(veil_master.conf_path);
    return veil_master.status;
}
