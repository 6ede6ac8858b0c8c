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
 */

#include "core/platform.h"

#include <poll.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>

#include "core/pool.h"
#include "core/time.h"
#include "core/version.h"
#include "process/generation.h"
#include "process/master.h"
#include "process/pidfile.h"
#include "process/signal.h"
#include "process/spawn.h"

/* Reading the configuration and starting its workers, at most. */
#define MASTER_LOAD_MS 300000
/* Beyond the time for draining, after which keepers kill: see crew.c. */
#define MASTER_GRACE_MS 10000
/* Generations that drain at the same time; the oldest is hurried. */
#define MASTER_DRAINING_MAX 4
#define MASTER_HURRY_MS 10000

static struct {
    const veil_master_options_t *o;
    veil_log_t log;
    veil_generation_log_t *log_files; /* behind log; NULL: standard error */
    int signals;
    int ready_fd;
    veil_hold_t hold;
    veil_list_t generations; /* of veil_generation_t, oldest first */
    veil_generation_t *loading;
    veil_generation_t *serving;
    uint64_t last_number;
    int text_fd; /* of the last that served; -1 */
    bool first;  /* nothing has served yet */
    bool reload_wanted;
    bool stopping;
    bool detached;       /* standard error is the log */
    uint64_t stop_ms;    /* shutdown_timeout of the last that served */
    unsigned deaths;     /* of keepers, in a row */
    uint64_t restart_ms; /* when to start from the kept text; 0: not */
    char *pid_path;      /* NULL: not written */
    int status;          /* to exit with */
} master;

static void master_load(int text_fd);

/* --- the log ------------------------------------------------------------ */

static void
master_take_log(veil_generation_t *g)
{
    if (g->log == NULL || g->log->n == 0) {
        return; /* it logs to something the master cannot share */
    }
    veil_prepare_tell_stderr(&g->log->log, false);
    veil_generation_log_free(&master.log_files);
    master.log_files = g->log;
    g->log = NULL;
    master.log = master.log_files->log;
}

static void
master_detach_stderr(void)
{
    if (master.o->detach) {
        veil_prepare_detach_stderr(&master.log);
        master.detached = true;
    }
}

static void
master_reopen_logs(void)
{
    veil_generation_t *g;
    veil_list_t *n;
    unsigned i;
    int rc;

    for (i = 0; master.log_files != NULL && i < master.log_files->n; i++) {
        rc = veil_log_file_reopen(&master.log_files->files[i]);
        if (rc < 0) {
            veil_log(&master.log, VEIL_LOG_EMERG, -rc,
                     "open() \"%s\" failed, writing on to the old file",
                     master.log_files->paths[i]);
        }
    }
    if (master.detached) {
        master_detach_stderr();
    }
    veil_list_foreach (n, &master.generations) {
        g = veil_list_entry(n, veil_generation_t, link);
        veil_generation_send(g, VEIL_MSG_REOPEN, NULL, 0, &master.log);
    }
}

/* --- the pid file ------------------------------------------------------- */

static void
master_remove_pid_file(void)
{
    if (master.pid_path != NULL) {
        veil_pidfile_remove(master.pid_path);
        veil_free(master.pid_path);
        master.pid_path = NULL;
    }
}

static veil_rc_t
master_write_pid_file(const char *path)
{
    size_t len = strlen(path) + 1;
    int rc;

    if (master.pid_path != NULL && strcmp(master.pid_path, path) == 0) {
        return VEIL_OK;
    }
    rc = veil_pidfile_write(path);
    if (rc < 0) {
        veil_log(&master.log, VEIL_LOG_EMERG, -rc,
                 "writing the pid file \"%s\" failed", path);
        return VEIL_ERROR;
    }
    master_remove_pid_file();
    master.pid_path = memcpy(veil_alloc(len), path, len);
    return VEIL_OK;
}

/* --- one generation after the other ------------------------------------- */

static void
master_drain(veil_generation_t *g, uint64_t timeout_ms)
{
    veil_drain_message_t m = { .timeout_ms = timeout_ms };
    uint64_t deadline = veil_now_ms() + timeout_ms + MASTER_GRACE_MS;

    if (g->state == VEIL_GENERATION_SERVING) {
        g->state = VEIL_GENERATION_DRAINING;
    }
    if (g->deadline_ms == 0 || deadline < g->deadline_ms) {
        g->deadline_ms = deadline;
    }
    veil_generation_send(g, VEIL_MSG_DRAIN, &m, sizeof(m), &master.log);
}

/* With too many that drain the oldest get little more time. */
static void
master_hurry(void)
{
    veil_generation_t *g;
    unsigned draining = 0;
    veil_list_t *n;

    for (n = master.generations.prev; n != &master.generations; n = n->prev) {
        g = veil_list_entry(n, veil_generation_t, link);
        if (g->state != VEIL_GENERATION_DRAINING
            || ++draining <= MASTER_DRAINING_MAX) {
            continue;
        }
        veil_log(&master.log, VEIL_LOG_WARN, 0,
                 "more than %d replaced configurations are still in use, "
                 "generation %llu has %d s left",
                 MASTER_DRAINING_MAX, (unsigned long long) g->number,
                 MASTER_HURRY_MS / 1000);
        master_drain(g, MASTER_HURRY_MS);
    }
}

/* The first one serves: whoever waits for that may go on. */
static void
master_started(void)
{
    master.first = false;
    master_detach_stderr();
    if (master.ready_fd >= 0) {
        /* The starter may have been killed; then nobody waits. */
        (void) !write(master.ready_fd, "", 1);
        close(master.ready_fd);
        master.ready_fd = -1;
    }
}

static void
master_kill(veil_generation_t *g)
{
    g->killed = true;
    veil_generation_signal(g, SIGKILL);
}

/* All of its workers are ready. */
static void
master_switch(veil_generation_t *g)
{
    veil_generation_t *old = master.serving;

    if (master_write_pid_file(g->settings.pid_path) != VEIL_OK) {
        veil_log(&master.log, VEIL_LOG_ERR, 0, "generation %llu is given up",
                 (unsigned long long) g->number);
        g->ready = false;
        master_kill(g);
        return;
    }
    master_take_log(g);
    g->state = VEIL_GENERATION_SERVING;
    g->deadline_ms = 0;
    master.serving = g;
    master.loading = NULL;
    master.restart_ms = 0;
    master.stop_ms = g->settings.shutdown_timeout_ms;
    if (master.text_fd >= 0) {
        close(master.text_fd);
    }
    master.text_fd = g->text_fd;
    g->text_fd = -1;

    veil_hold_commit(&master.hold, g->number);
    veil_generation_send(g, VEIL_MSG_START, NULL, 0, &master.log);
    if (old != NULL) {
        master_drain(old, old->settings.worker_shutdown_timeout_ms);
        master_hurry();
    }
    veil_log(&master.log, VEIL_LOG_NOTICE, 0,
             "generation %llu serves with %u worker processes",
             (unsigned long long) g->number, g->settings.workers);
    if (master.first) {
        veil_log(&master.log, VEIL_LOG_NOTICE, 0,
                 VEIL_SERVER_NAME " has started, built by " VEIL_COMPILER);
        master_started();
    }
}

/* Starts a generation from the files, or from the kept text. */
static void
master_load(int text_fd)
{
    veil_generation_options_t o;
    veil_generation_t *g;

    memset(&o, 0, sizeof(o));
    o.launch = master.o->launch;
    o.number = ++master.last_number;
    o.text_fd = text_fd;
    o.first = master.first;
    o.detach = master.o->detach;
    o.log = &master.log;

    master.restart_ms = 0;
    g = veil_generation_start(&o);
    if (g == NULL) {
        if (master.first) {
            master.status = 1;
            master.stopping = true;
        } else if (master.serving == NULL) {
            master.restart_ms = veil_now_ms() + VEIL_BACKOFF_MAX_MS;
        }
        return;
    }
    g->deadline_ms = veil_now_ms() + MASTER_LOAD_MS;
    veil_list_append(&master.generations, &g->link);
    master.loading = g;
}

/* Nothing serves: the text that did is started again, after a while. */
static void
master_plan_restart(void)
{
    uint64_t pause = veil_backoff_ms(++master.deaths);

    master.restart_ms = veil_now_ms() + pause;
    if (pause != 0) {
        veil_log(&master.log, VEIL_LOG_ALERT, 0,
                 "nothing serves, starting again in %llu ms",
                 (unsigned long long) pause);
    }
}

/* --- children that end -------------------------------------------------- */

static void
master_log_keeper(const veil_generation_t *g, int status)
{
    if (g->killed && WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL) {
        veil_log(&master.log, VEIL_LOG_NOTICE, 0,
                 "keeper process %d of generation %llu was killed by the "
                 "master",
                 (int) g->keeper, (unsigned long long) g->number);
        return;
    }
    if (WIFSIGNALED(status)) {
        veil_log(&master.log, VEIL_LOG_ALERT, 0,
                 "keeper process %d of generation %llu exited on signal %d%s",
                 (int) g->keeper, (unsigned long long) g->number,
                 WTERMSIG(status), WCOREDUMP(status) ? " (core dumped)" : "");
        return;
    }
    veil_log(&master.log, VEIL_LOG_NOTICE, 0,
             "keeper process %d of generation %llu exited with code %d",
             (int) g->keeper, (unsigned long long) g->number,
             WEXITSTATUS(status));
}

/* A generation ended before it served. */
static void
master_load_failed(veil_generation_t *g)
{
    master.loading = NULL;
    veil_hold_abort(&master.hold, g->number);

    if (master.stopping) {
        return;
    }
    if (master.first) {
        master.status = 1;
        master.stopping = true;
        return;
    }
    if (master.serving != NULL) {
        veil_log(&master.log, VEIL_LOG_ERR, 0,
                 "the new configuration was not taken, generation %llu goes "
                 "on serving",
                 (unsigned long long) master.serving->number);
    } else {
        master_plan_restart();
    }
}

/* The keeper in charge has ended without being told to. */
static void
master_lost_serving(veil_generation_t *g)
{
    master.serving = NULL;
    if (veil_now_ms() - g->started_ms >= VEIL_BACKOFF_SOUND_MS) {
        master.deaths = 0;
    }
    g->deadline_ms = veil_now_ms() + g->settings.worker_shutdown_timeout_ms
                     + MASTER_GRACE_MS;
    if (!master.stopping && master.loading == NULL) {
        veil_log(&master.log, VEIL_LOG_ALERT, 0,
                 "starting the configuration of generation %llu again",
                 (unsigned long long) g->number);
        master_plan_restart();
    }
}

static void
master_keeper_ended(veil_generation_t *g, int status)
{
    /* What it said last counts: who its workers are. */
    (void) veil_generation_receive(g, &master.hold, &master.log);
    master_log_keeper(g, status);
    g->keeper = 0;

    if (g == master.loading) {
        master_load_failed(g);
    } else if (g == master.serving) {
        master_lost_serving(g);
    }
    g->state = VEIL_GENERATION_ORPHANED;
    if (veil_generation_workers(g) == 0) {
        veil_generation_free(&g);
    }
}

static void
master_child_ended(pid_t pid, int status)
{
    veil_generation_t *g;
    veil_list_t *n;
    veil_list_t *tmp;

    veil_list_foreach_safe (n, tmp, &master.generations) {
        g = veil_list_entry(n, veil_generation_t, link);
        if (g->keeper == pid) {
            master_keeper_ended(g, status);
            return;
        }
        if (g->keeper == 0 && veil_generation_forget_worker(g, pid)) {
            veil_log(&master.log, VEIL_LOG_NOTICE, 0,
                     "worker process %d, left by its keeper, has ended",
                     (int) pid);
            if (veil_generation_workers(g) == 0) {
                veil_generation_free(&g);
            }
            return;
        }
    }
}

static void
master_reap(void)
{
    int status;
    pid_t pid;

    while ((pid = veil_spawn_reap(&status)) != 0) {
        master_child_ended(pid, status);
    }
}

/* --- stopping ----------------------------------------------------------- */

static void
master_stop(void)
{
    uint64_t timeout = master.stopping ? 0 : master.stop_ms;
    veil_generation_t *g;
    veil_list_t *n;

    if (!master.stopping) {
        master.stopping = true;
        master.restart_ms = 0;
        master.reload_wanted = false;
        if (master.first) {
            master.status = 1; /* it was to serve, and never did */
        }
        /* Connections are refused from here on. */
        veil_hold_done(&master.hold, true);
    }
    veil_list_foreach (n, &master.generations) {
        g = veil_list_entry(n, veil_generation_t, link);
        /* One that loads has no connections to wait for. */
        master_drain(g, g == master.loading ? 0 : timeout);
        if (g->state == VEIL_GENERATION_ORPHANED) {
            veil_generation_signal(g, SIGTERM);
        }
    }
}

/* --- signals ------------------------------------------------------------ */

static void
master_reload(void)
{
    if (master.stopping) {
        return;
    }
    if (master.loading != NULL) {
        master.reload_wanted = true;
        return;
    }
    master_load(-1);
}

static void
master_on_signal(const struct signalfd_siginfo *info)
{
    int signo = (int) info->ssi_signo;
    const char *action = NULL;

    switch (signo) {
    case SIGCHLD:
        master_reap();
        return;
    case SIGTERM:
    case SIGINT:
    case SIGQUIT:
        action = master.stopping ? "ending at once" : "shutting down";
        break;
    case SIGHUP:
        action = "reconfiguring";
        break;
    case SIGUSR1:
        action = "reopening logs";
        break;
    default:
        break;
    }
    veil_log(&master.log, VEIL_LOG_NOTICE, 0,
             "signal %d (SIG%s) received from %u, %s", signo,
             veil_signal_name(signo), info->ssi_pid,
             action == NULL ? "ignored: it has no meaning here" : action);
    switch (signo) {
    case SIGTERM:
    case SIGINT:
    case SIGQUIT:
        master_stop();
        break;
    case SIGHUP:
        master_reload();
        break;
    case SIGUSR1:
        master_reopen_logs();
        break;
    default:
        break;
    }
}

/* --- the loop ----------------------------------------------------------- */

static int
master_timeout(uint64_t now)
{
    uint64_t due = master.restart_ms;
    veil_generation_t *g;
    veil_list_t *n;

    veil_list_foreach (n, &master.generations) {
        g = veil_list_entry(n, veil_generation_t, link);
        if (g->deadline_ms != 0 && (due == 0 || g->deadline_ms < due)) {
            due = g->deadline_ms;
        }
    }
    if (due == 0) {
        return -1;
    }
    if (due <= now) {
        return 0;
    }
    return due - now > 60000 ? 60000 : (int) (due - now);
}

static void
master_run_due(uint64_t now)
{
    veil_generation_t *g;
    veil_list_t *n;

    veil_list_foreach (n, &master.generations) {
        g = veil_list_entry(n, veil_generation_t, link);
        if (g->deadline_ms != 0 && g->deadline_ms <= now) {
            g->deadline_ms = 0;
            veil_log(&master.log, VEIL_LOG_ALERT, 0,
                     "generation %llu did not %s in time, killing it",
                     (unsigned long long) g->number,
                     g == master.loading ? "start" : "end");
            master_kill(g);
        }
    }
    if (master.loading != NULL || master.stopping) {
        return;
    }
    if (master.reload_wanted) {
        master.reload_wanted = false;
        master_load(-1);
    } else if (master.restart_ms != 0 && master.restart_ms <= now) {
        master_load(master.text_fd);
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
    unsigned count = 1;
    unsigned used = 1;

    veil_list_foreach (n, &master.generations) {
        count++;
    }
    fds = veil_zalloc(count * sizeof(*fds));
    fds[0] = (struct pollfd){ .fd = master.signals, .events = POLLIN };
    veil_list_foreach (n, &master.generations) {
        g = veil_list_entry(n, veil_generation_t, link);
        fds[used++] = (struct pollfd){ .fd = g->channel, .events = POLLIN };
    }
    veil_time_update();
    (void) poll(fds, used, master_timeout(veil_now_ms()));
    veil_time_update();
    veil_free(fds);

    veil_list_foreach (n, &master.generations) {
        g = veil_list_entry(n, veil_generation_t, link);
        (void) veil_generation_receive(g, &master.hold, &master.log);
    }
    g = master.loading;
    if (g != NULL && g->ready && !master.stopping) {
        master_switch(g);
    }
    while (veil_signals_read(master.signals, &info)) {
        master_on_signal(&info);
    }
    master_run_due(veil_now_ms());
}

int
veil_master_run(const veil_master_options_t *o)
{
    master.o = o;
    master.log = veil_log_stderr;
    master.ready_fd = o->ready_fd;
    master.text_fd = -1;
    master.first = true;
    veil_hold_init(&master.hold);
    veil_list_init(&master.generations);
    veil_time_update();
    veil_title_set("master process %s", veil_title_command());

    master.signals = veil_signals_open();
    if (master.signals < 0) {
        veil_log(&master.log, VEIL_LOG_EMERG, -master.signals,
                 "signalfd() failed");
        return 1;
    }
    if (prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) != 0) {
        veil_log(&master.log, VEIL_LOG_WARN, errno,
                 "prctl(PR_SET_CHILD_SUBREAPER) failed");
    }
    master_load(-1);

    while (!master.stopping || !veil_list_is_empty(&master.generations)) {
        master_turn();
    }
    veil_hold_done(&master.hold, true);
    master_remove_pid_file();
    veil_log(&master.log, VEIL_LOG_NOTICE, 0, "exit");
    veil_generation_log_free(&master.log_files);
    if (master.text_fd >= 0) {
        close(master.text_fd);
    }
    return master.status;
}
