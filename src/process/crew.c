/*
 * crew.c -- the workers of one generation, as their keeper sees them.
 *
 * A worker has a slot, which is its number and its share of the sockets.
 * Whoever dies is replaced: at once the first time, then after a pause that
 * doubles up to ten seconds, until a worker of the slot has lived for half a
 * minute.  A crash that needs a request to happen thus costs one worker's
 * connections; one that happens at every start costs a line of log now and
 * then, and no processor.
 *
 * With SO_REUSEPORT the kernel gives an absent worker's socket its share of
 * new connections all the same.  When a pause is due, another worker adopts
 * the slot, and lets go of it when the new one serves.
 */

#include "core/platform.h"

#include <signal.h>
#include <sys/wait.h>

#include "core/board.h"
#include "core/fault.h"
#include "core/log.h"
#include "core/pool.h"
#include "core/time.h"
#include "process/channel.h"
#include "process/crew.h"
#include "process/message.h"
#include "process/prepare.h"
#include "process/show.h"
#include "process/spawn.h"
#include "process/worker.h"

/* Beyond the time for draining: then it is stuck and is killed. */
#define CREW_GRACE_MS 5000

typedef enum { CREW_ABSENT, CREW_STARTING, CREW_READY, CREW_SERVING } crew_t;

typedef struct {
    crew_t state;
    pid_t pid;   /* 0 while absent */
    int channel; /* -1 while absent, or when it closed it */
    unsigned deaths;
    uint64_t started_ms;
    uint64_t respawn_ms; /* when to fork again; 0: not */
    int adopter;         /* the worker that has this slot; -1 */
    bool killed;         /* by the keeper */
    bool quiet;          /* accepts no more */
    int block;           /* of the board; -1: none */
} crew_worker_t;

static struct {
    veil_crew_options_t o;
    crew_worker_t *workers;
    bool started;
    bool draining;
    uint64_t kill_ms; /* 0: not */
} crew;

void
veil_crew_init(const veil_crew_options_t *options)
{
    unsigned i;

    crew.o = *options;
    crew.workers = veil_zalloc(options->workers * sizeof(*crew.workers));
    for (i = 0; i < options->workers; i++) {
        crew.workers[i].channel = -1;
        crew.workers[i].adopter = -1;
    }
}

static void
crew_send(unsigned slot, veil_message_type_t type, const void *data,
          size_t len, const int *fds, unsigned nfds)
{
    crew_worker_t *w = &crew.workers[slot];
    int rc;

    if (w->channel < 0) {
        return;
    }
    rc = veil_channel_send(w->channel, type, data, len, fds, nfds);
    if (rc < 0 && rc != -EPIPE) {
        veil_log(crew.o.log, VEIL_LOG_ALERT, -rc,
                 "worker process %d does not take the message %s",
                 (int) w->pid, veil_message_name(type));
    }
}

/* The master notes who there is, to be able to end orphans. */
static void
crew_tell_master(unsigned slot, pid_t pid)
{
    veil_worker_message_t m = { .slot = slot, .pid = pid };

    /* A master that is gone is noticed where its messages are read. */
    (void) veil_channel_send(crew.o.up, VEIL_MSG_WORKER, &m, sizeof(m), NULL,
                             0);
}

/* --- forking ------------------------------------------------------------ */

static void
crew_child(unsigned slot, int channel, int block)
{
    veil_worker_options_t o;
    unsigned i;

    veil_fault_role(VEIL_FAULT_WORKER);
    veil_board_take(block);
    close(crew.o.up);
    close(crew.o.signals);
    for (i = 0; i < crew.o.workers; i++) {
        /* Whoever held a sibling's end would hide its keeper's death. */
        if (crew.workers[i].channel >= 0) {
            close(crew.workers[i].channel);
        }
    }
    memset(&o, 0, sizeof(o));
    o.slot = slot;
    o.channel = channel;
    o.detach = crew.o.detach;
    exit(veil_worker_run(&o));
}

static veil_rc_t
crew_fork(unsigned slot)
{
    crew_worker_t *w = &crew.workers[slot];
    int ends[2];
    int block;
    pid_t pid;
    int rc;

    rc = veil_channel_pair(ends);
    if (rc < 0) {
        veil_log(crew.o.log, VEIL_LOG_ALERT, -rc, "socketpair() failed");
        return VEIL_ERROR;
    }
    block = veil_board_give(VEIL_BOARD_WORKER, slot, veil_cycle->generation);
    pid = veil_spawn();
    if (pid == 0) {
        close(ends[0]);
        crew_child(slot, ends[1], block);
    }
    close(ends[1]);
    if (pid < 0) {
        close(ends[0]);
        veil_board_retire(block);
        veil_log(crew.o.log, VEIL_LOG_ALERT, (int) -pid, "fork() failed");
        return VEIL_ERROR;
    }
    w->state = CREW_STARTING;
    w->pid = pid;
    w->block = block;
    veil_show_count(VEIL_SHOW_WORKERS_STARTED);
    w->channel = ends[0];
    w->quiet = false;
    w->started_ms = veil_now_ms();
    w->respawn_ms = 0;
    veil_log(crew.o.log, VEIL_LOG_NOTICE, 0, "start worker process %d",
             (int) pid);
    crew_tell_master(slot, pid);
    return VEIL_OK;
}

veil_rc_t
veil_crew_fork_all(void)
{
    unsigned i;

    for (i = 0; i < crew.o.workers; i++) {
        if (crew_fork(i) != VEIL_OK) {
            return VEIL_ERROR;
        }
    }
    return VEIL_OK;
}

bool
veil_crew_is_ready(void)
{
    unsigned i;

    for (i = 0; i < crew.o.workers; i++) {
        if (crew.workers[i].state < CREW_READY) {
            return false;
        }
    }
    return true;
}

bool
veil_crew_is_quiet(void)
{
    unsigned i;

    for (i = 0; i < crew.o.workers; i++) {
        if (crew.workers[i].pid != 0 && !crew.workers[i].quiet) {
            return false;
        }
    }
    return true;
}

unsigned
veil_crew_alive(void)
{
    unsigned n = 0;
    unsigned i;

    for (i = 0; i < crew.o.workers; i++) {
        n += crew.workers[i].pid != 0;
    }
    return n;
}

/* --- slots of those that are away --------------------------------------- */

static void
crew_adopt(unsigned slot)
{
    veil_slot_message_t m = { .slot = slot };
    unsigned i;

    for (i = 0; i < crew.o.workers; i++) {
        if (crew.workers[i].state == CREW_SERVING) {
            crew.workers[slot].adopter = (int) i;
            crew_send(i, VEIL_MSG_ADOPT, &m, sizeof(m), NULL, 0);
            return;
        }
    }
}

/* The worker serves: who kept its slot lets go of it. */
static void
crew_release(unsigned slot)
{
    veil_slot_message_t m = { .slot = slot };
    int adopter = crew.workers[slot].adopter;

    if (adopter >= 0) {
        crew.workers[slot].adopter = -1;
        crew_send((unsigned) adopter, VEIL_MSG_RELEASE, &m, sizeof(m), NULL,
                  0);
    }
}

/* The worker is away, and so is all it had adopted. */
static void
crew_readopt(unsigned gone)
{
    unsigned i;

    for (i = 0; i < crew.o.workers; i++) {
        if (crew.workers[i].adopter == (int) gone) {
            crew.workers[i].adopter = -1;
            crew_adopt(i);
        }
    }
}

static void
crew_serve(unsigned slot)
{
    crew.workers[slot].state = CREW_SERVING;
    crew_send(slot, VEIL_MSG_START, NULL, 0, NULL, 0);
    crew_release(slot);
}

void
veil_crew_start(void)
{
    unsigned i;

    crew.started = true;
    for (i = 0; i < crew.o.workers; i++) {
        if (crew.workers[i].state == CREW_READY) {
            crew_serve(i);
        }
    }
}

/* --- ending ------------------------------------------------------------- */

void
veil_crew_drain(uint64_t timeout_ms)
{
    veil_drain_message_t m = { .timeout_ms = timeout_ms };
    uint64_t kill_ms;
    unsigned i;

    crew.draining = true;
    for (i = 0; i < crew.o.workers; i++) {
        crew.workers[i].respawn_ms = 0;
        crew_send(i, VEIL_MSG_DRAIN, &m, sizeof(m), NULL, 0);
    }
    kill_ms = veil_now_ms() + timeout_ms + CREW_GRACE_MS;
    if (crew.kill_ms == 0 || kill_ms < crew.kill_ms) {
        crew.kill_ms = kill_ms;
    }
}

static void
crew_kill_all(void)
{
    unsigned i;

    crew.kill_ms = 0;
    for (i = 0; i < crew.o.workers; i++) {
        if (crew.workers[i].pid != 0) {
            veil_log(crew.o.log, VEIL_LOG_ALERT, 0,
                     "worker process %d did not end in time, killing it",
                     (int) crew.workers[i].pid);
            crew.workers[i].killed = true;
            (void) kill(crew.workers[i].pid, SIGKILL);
        }
    }
}

static void
crew_log_end(const crew_worker_t *w, int status)
{
    if (w->killed && WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL) {
        veil_show_count(VEIL_SHOW_WORKERS_KILLED);
        veil_log(crew.o.log, VEIL_LOG_NOTICE, 0,
                 "worker process %d was killed by its keeper", (int) w->pid);
        return;
    }
    veil_show_count(WIFSIGNALED(status) || WEXITSTATUS(status) != 0
                        ? VEIL_SHOW_WORKERS_CRASHED
                        : VEIL_SHOW_WORKERS_EXITED);
    if (WIFSIGNALED(status)) {
        veil_log(crew.o.log, VEIL_LOG_ALERT, 0,
                 "worker process %d exited on signal %d%s", (int) w->pid,
                 WTERMSIG(status), WCOREDUMP(status) ? " (core dumped)" : "");
        return;
    }
    veil_log(crew.o.log,
             WEXITSTATUS(status) == 0 ? VEIL_LOG_NOTICE : VEIL_LOG_ALERT, 0,
             "worker process %d exited with code %d", (int) w->pid,
             WEXITSTATUS(status));
}

static void
crew_plan_respawn(unsigned slot)
{
    crew_worker_t *w = &crew.workers[slot];
    uint64_t now = veil_now_ms();
    uint64_t pause;

    if (now - w->started_ms >= VEIL_BACKOFF_SOUND_MS) {
        w->deaths = 0;
    }
    w->deaths++;
    pause = veil_backoff_ms(w->deaths);
    w->respawn_ms = now + pause;
    if (pause == 0) {
        return;
    }
    veil_log(crew.o.log, VEIL_LOG_NOTICE, 0,
             "worker %u has died %u times, starting another in %llu ms", slot,
             w->deaths, (unsigned long long) pause);
    if (w->adopter < 0) {
        crew_adopt(slot);
    }
}

bool
veil_crew_reap(pid_t pid, int status)
{
    crew_worker_t *w;
    unsigned i;

    for (i = 0; i < crew.o.workers; i++) {
        if (crew.workers[i].pid == pid) {
            break;
        }
    }
    if (i == crew.o.workers) {
        return true; /* not a worker of ours */
    }
    w = &crew.workers[i];
    crew_log_end(w, status);
    veil_board_retire(w->block);
    w->block = -1;

    veil_prepare_worker_ended(i, pid);
    w->pid = 0;
    w->state = CREW_ABSENT;
    if (w->channel >= 0) {
        close(w->channel);
        w->channel = -1;
    }
    crew_tell_master(i, 0);
    if (crew.draining) {
        return true;
    }
    if (!crew.started) {
        return false;
    }
    crew_readopt(i);
    crew_plan_respawn(i);
    return true;
}

int
veil_crew_timeout(uint64_t now_ms)
{
    uint64_t due = crew.kill_ms;
    unsigned i;

    for (i = 0; i < crew.o.workers; i++) {
        uint64_t at = crew.workers[i].respawn_ms;

        if (at != 0 && (due == 0 || at < due)) {
            due = at;
        }
    }
    if (due == 0) {
        return -1;
    }
    return due <= now_ms ? 0 : (int) (due - now_ms);
}

void
veil_crew_run_due(uint64_t now_ms)
{
    crew_worker_t *w;
    unsigned i;

    if (crew.kill_ms != 0 && crew.kill_ms <= now_ms) {
        crew_kill_all();
    }
    for (i = 0; i < crew.o.workers; i++) {
        w = &crew.workers[i];
        if (w->respawn_ms == 0 || w->respawn_ms > now_ms) {
            continue;
        }
        if (crew_fork(i) != VEIL_OK) {
            w->respawn_ms = now_ms + VEIL_BACKOFF_MAX_MS;
        }
    }
}

/* --- control calls ------------------------------------------------------ */

json_t *
veil_crew_pids(void)
{
    json_t *pids = json_array();
    unsigned i;

    for (i = 0; i < crew.o.workers; i++) {
        const crew_worker_t *w = &crew.workers[i];

        if (w->state >= CREW_READY && w->channel >= 0) {
            json_array_append_new(pids,
                                  json_pack("[ii]", (int) i, (int) w->pid));
        }
    }
    return pids;
}

int
veil_crew_control(pid_t pid, const veil_control_message_t *m,
                  const json_t *args)
{
    unsigned i;

    for (i = 0; i < crew.o.workers; i++) {
        if (crew.workers[i].pid == pid && crew.workers[i].channel >= 0) {
            return veil_control_send(crew.workers[i].channel, VEIL_MSG_CONTROL,
                                     m, sizeof(*m), args);
        }
    }
    return -ESRCH;
}

void
veil_crew_cancel(const veil_message_t *m)
{
    unsigned i;

    for (i = 0; i < crew.o.workers; i++) {
        if (crew.workers[i].channel >= 0) {
            /* One that is stuck does nothing anyway. */
            (void) veil_channel_try_send(crew.workers[i].channel,
                                         VEIL_MSG_CANCEL, m->data, m->len,
                                         NULL, 0);
        }
    }
}

/* --- messages ----------------------------------------------------------- */

/* What a worker says to the master. */
static void
crew_pass_up(const veil_message_t *m)
{
    int rc = veil_channel_try_send(crew.o.up, m->type, m->data, m->len, m->fds,
                                   m->nfds);

    if (rc < 0 && rc != -EPIPE) {
        veil_log(crew.o.log, VEIL_LOG_ERR, -rc,
                 "the master does not take a worker's message %s",
                 veil_message_name(m->type));
    }
}

unsigned
veil_crew_poll(struct pollfd *fds)
{
    unsigned n = 0;
    unsigned i;

    for (i = 0; i < crew.o.workers; i++) {
        if (crew.workers[i].channel >= 0) {
            fds[n].fd = crew.workers[i].channel;
            fds[n].events = POLLIN;
            fds[n].revents = 0;
            n++;
        }
    }
    return n;
}

static void
crew_receive(unsigned slot)
{
    static veil_message_t m;
    crew_worker_t *w = &crew.workers[slot];
    int rc;

    while ((rc = veil_channel_recv(w->channel, &m)) == 1) {
        if (m.type == VEIL_MSG_DIAGNOSTIC) {
            (void) veil_channel_send(crew.o.up, VEIL_MSG_DIAGNOSTIC, m.data,
                                     m.len, NULL, 0);
        } else if (m.type == VEIL_MSG_QUIET) {
            w->quiet = true;
        } else if (m.type == VEIL_MSG_READY && w->state == CREW_STARTING) {
            w->state = CREW_READY;
            if (crew.started && !crew.draining) {
                crew_serve(slot);
            }
        } else if (m.type == VEIL_MSG_ANSWER || m.type == VEIL_MSG_EVENT) {
            crew_pass_up(&m);
        }
        veil_message_close_fds(&m);
    }
    if (rc != -EAGAIN) {
        /* It ends, or is beyond help; waitpid() will say. */
        close(w->channel);
        w->channel = -1;
    }
}

void
veil_crew_polled(const struct pollfd *fds, unsigned n)
{
    unsigned i, j;

    for (i = 0; i < n; i++) {
        if (fds[i].revents == 0) {
            continue;
        }
        for (j = 0; j < crew.o.workers; j++) {
            if (crew.workers[j].channel == fds[i].fd) {
                crew_receive(j);
                break;
            }
        }
    }
}

/* --- logs --------------------------------------------------------------- */

/* Sends descriptors of consecutive files, the first of which has the index. */
static void
crew_send_logs(unsigned first, const int *fds, unsigned n)
{
    veil_reopen_message_t m = { .first = first };
    unsigned i;

    if (n == 0) {
        return;
    }
    for (i = 0; i < crew.o.workers; i++) {
        crew_send(i, VEIL_MSG_REOPEN, &m, sizeof(m), fds, n);
    }
}

void
veil_crew_reopen_logs(veil_cycle_t *cycle)
{
    int fds[VEIL_MESSAGE_FDS];
    veil_log_file_t *file;
    veil_list_t *node;
    unsigned index = 0;
    unsigned n = 0;
    int rc;

    veil_list_foreach (node, &cycle->log_files) {
        file = veil_list_entry(node, veil_log_file_t, link);
        rc = veil_log_file_reopen(file);
        if (rc < 0) {
            veil_log(crew.o.log, VEIL_LOG_EMERG, -rc,
                     "open() \"%.*s\" failed, writing on to the old file",
                     VEIL_STR_ARG(file->path));
        }
        if (rc < 0 || n == VEIL_MESSAGE_FDS) {
            crew_send_logs(index - n, fds, n);
            n = 0;
        }
        if (rc >= 0) {
            fds[n++] = file->fd;
        }
        index++;
    }
    crew_send_logs(index - n, fds, n);
}
