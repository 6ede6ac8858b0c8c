/*
 * crew.c -- the workers of one generation, as their keeper sees them.
 *
 * A worker has a slot, which is its number and its share of the sockets.  A
 * slot has one process that serves.  Whoever dies is replaced: at once the
 * first time, then after a pause that doubles up to ten seconds, until a
 * worker of the slot has lived for half a minute.  A crash that needs a
 * request to happen thus costs one worker's connections; one that happens at
 * every start costs a line of log now and then, and no processor.
 *
 * A worker that lives is replaced by making another for its slot.  When that
 * one is ready it starts, beside the first, on the same sockets; then the
 * first drains.  If it never gets ready, nothing has happened.
 *
 * With SO_REUSEPORT the kernel gives an absent worker's socket its share of
 * new connections all the same.  When a pause is due, or the worker was
 * stuck, another one adopts the slot, and lets go of it when the new one
 * serves.
 *
 * Here is who lives in which slot.  What is said to workers and heard from
 * them is in crew_call.c, whether their loops turn in crew_watch.c.
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
#include "process/control/journal.h"
#include "process/crew_state.h"
#include "process/message.h"
#include "process/prepare.h"
#include "process/show.h"
#include "process/spawn.h"
#include "process/worker.h"

/* What replaces a worker has to be ready by then. */
#define CREW_RESTART_MS 60000

veil_crew_t veil_crew;

void
veil_crew_init(const veil_crew_options_t *options)
{
    unsigned i;

    veil_crew.o = *options;
    veil_crew.slots = veil_zalloc(options->workers * sizeof(crew_slot_t));
    veil_list_init(&veil_crew.processes);
    for (i = 0; i < options->workers; i++) {
        veil_crew.slots[i].adopter = -1;
    }
}

void
veil_crew_send(const crew_process_t *p, veil_message_type_t type,
               const void *data, size_t len, const int *fds, unsigned nfds)
{
    int rc;

    if (p == NULL || p->channel < 0) {
        return;
    }
    rc = veil_channel_send(p->channel, type, data, len, fds, nfds);
    if (rc < 0 && rc != -EPIPE) {
        veil_log(veil_crew.o.log, VEIL_LOG_ALERT, -rc,
                 "worker process %d does not take the message %s",
                 (int) p->pid, veil_message_name(type));
    }
}

/* The master notes who there is, to be able to end orphans. */
static void
crew_tell_master(const crew_process_t *p, bool ended)
{
    veil_worker_message_t m = { .slot = p->slot,
                                .pid = p->pid,
                                .ended = ended };

    /* A master that is gone is noticed where its messages are read. */
    (void) veil_channel_send(veil_crew.o.up, VEIL_MSG_WORKER, &m, sizeof(m),
                             NULL, 0);
}

/* --- forking ------------------------------------------------------------ */

static void
crew_child(unsigned slot, unsigned place, int channel, int block)
{
    veil_worker_options_t o;
    veil_list_t *n;

    veil_fault_role(VEIL_FAULT_WORKER);
    veil_board_take(block);
    veil_journal_close();
    close(veil_crew.o.up);
    close(veil_crew.o.signals);
    veil_list_foreach (n, &veil_crew.processes) {
        /* Whoever held a sibling's end would hide its keeper's death. */
        if (veil_crew_process(n)->channel >= 0) {
            close(veil_crew_process(n)->channel);
        }
    }
    memset(&o, 0, sizeof(o));
    o.slot = slot;
    o.place = place;
    o.channel = channel;
    o.detach = veil_crew.o.detach;
    exit(veil_worker_run(&o));
}

/* The lowest one; -1: all are taken. */
static int
crew_free_place(void)
{
    unsigned max = veil_crew.o.workers * VEIL_CYCLE_PLACES;
    unsigned place;
    veil_list_t *n;

    for (place = 0; place < max; place++) {
        bool is_free = true;

        veil_list_foreach (n, &veil_crew.processes) {
            is_free = is_free && veil_crew_process(n)->place != place;
        }
        if (is_free) {
            return (int) place;
        }
    }
    return -1;
}

/* NULL after logging. */
static crew_process_t *
crew_fork(unsigned slot)
{
    crew_process_t *p;
    int ends[2];
    int place = crew_free_place();
    int block, rc;
    pid_t pid;

    if (place < 0) {
        veil_log(veil_crew.o.log, VEIL_LOG_ERR, 0,
                 "too many worker processes that were replaced still have "
                 "connections, no other is started");
        return NULL;
    }
    rc = veil_channel_pair(ends);
    if (rc < 0) {
        veil_log(veil_crew.o.log, VEIL_LOG_ALERT, -rc, "socketpair() failed");
        return NULL;
    }
    block = veil_board_give(VEIL_BOARD_WORKER, slot, veil_cycle->generation);
    pid = veil_spawn();
    if (pid == 0) {
        close(ends[0]);
        crew_child(slot, (unsigned) place, ends[1], block);
    }
    close(ends[1]);
    if (pid < 0) {
        close(ends[0]);
        veil_board_retire(block);
        veil_log(veil_crew.o.log, VEIL_LOG_ALERT, (int) -pid, "fork() failed");
        return NULL;
    }
    p = veil_zalloc(sizeof(*p));
    p->slot = slot;
    p->place = (unsigned) place;
    p->state = CREW_STARTING;
    p->pid = pid;
    p->block = block;
    p->channel = ends[0];
    p->started_ms = veil_now_ms();
    veil_list_append(&veil_crew.processes, &p->link);
    veil_show_count(VEIL_SHOW_WORKERS_STARTED);
    veil_log(veil_crew.o.log, VEIL_LOG_NOTICE, 0, "start worker process %d",
             (int) pid);
    crew_tell_master(p, false);
    veil_control_event(
        "worker.started",
        json_pack("{s:i, s:i}", "worker", (int) slot, "pid", (int) pid));
    return p;
}

static veil_rc_t
crew_fill(unsigned slot)
{
    crew_slot_t *s = &veil_crew.slots[slot];

    s->respawn_ms = 0;
    s->now = crew_fork(slot);
    return s->now != NULL ? VEIL_OK : VEIL_ERROR;
}

veil_rc_t
veil_crew_fork_all(void)
{
    unsigned i;

    for (i = 0; i < veil_crew.o.workers; i++) {
        if (crew_fill(i) != VEIL_OK) {
            return VEIL_ERROR;
        }
    }
    return VEIL_OK;
}

bool
veil_crew_is_ready(void)
{
    const crew_process_t *p;
    unsigned i;

    for (i = 0; i < veil_crew.o.workers; i++) {
        p = veil_crew.slots[i].now;
        if (p == NULL || p->state == CREW_STARTING) {
            return false;
        }
    }
    return true;
}

bool
veil_crew_is_quiet(void)
{
    veil_list_t *n;

    veil_list_foreach (n, &veil_crew.processes) {
        if (!veil_crew_process(n)->quiet) {
            return false;
        }
    }
    return true;
}

unsigned
veil_crew_alive(void)
{
    veil_list_t *n;
    unsigned alive = 0;

    veil_list_foreach (n, &veil_crew.processes) {
        alive++;
    }
    return alive;
}

/* --- slots of those that are away --------------------------------------- */

void
veil_crew_adopt(unsigned slot)
{
    veil_slot_message_t m = { .slot = slot };
    crew_process_t *p;
    unsigned i;

    if (veil_crew.slots[slot].adopter >= 0) {
        return;
    }
    for (i = 0; i < veil_crew.o.workers; i++) {
        p = veil_crew.slots[i].now;
        if (i != slot && p != NULL && p->state == CREW_SERVING && !p->stuck) {
            veil_crew.slots[slot].adopter = (int) i;
            veil_crew_send(p, VEIL_MSG_ADOPT, &m, sizeof(m), NULL, 0);
            return;
        }
    }
}

/* The worker serves: who kept its slot lets go of it. */
static void
crew_release(unsigned slot)
{
    veil_slot_message_t m = { .slot = slot };
    int adopter = veil_crew.slots[slot].adopter;

    if (adopter >= 0) {
        veil_crew.slots[slot].adopter = -1;
        veil_crew_send(veil_crew.slots[adopter].now, VEIL_MSG_RELEASE, &m,
                       sizeof(m), NULL, 0);
    }
}

/* The worker is away or drains, and so is all it had adopted. */
static void
crew_readopt(unsigned gone)
{
    unsigned i;

    for (i = 0; i < veil_crew.o.workers; i++) {
        if (veil_crew.slots[i].adopter == (int) gone) {
            veil_crew.slots[i].adopter = -1;
            veil_crew_adopt(i);
        }
    }
}

/* --- serving ------------------------------------------------------------ */

static void
crew_drain(crew_process_t *p, uint64_t timeout_ms)
{
    veil_drain_message_t m = { .timeout_ms = timeout_ms };
    uint64_t end_ms = veil_now_ms() + timeout_ms;

    if (p->state != CREW_DRAINING || end_ms < p->end_ms) {
        p->end_ms = end_ms;
        p->look_ms = end_ms + VEIL_CREW_STUCK_MS;
        p->kill_ms = end_ms + VEIL_CREW_GRACE_MS;
    }
    p->state = CREW_DRAINING;
    veil_crew_send(p, VEIL_MSG_DRAIN, &m, sizeof(m), NULL, 0);
}

static void
crew_tell_restarted(crew_slot_t *s, int rc, const crew_process_t *p)
{
    veil_crew_restarted_fn *fn = s->restarted;

    s->restarted = NULL;
    if (fn != NULL) {
        fn(s->restarted_data, rc, s->replaced, p == NULL ? 0 : p->pid);
    }
}

static void
crew_serve(crew_process_t *p)
{
    crew_slot_t *s = &veil_crew.slots[p->slot];
    crew_process_t *old = NULL;

    if (s->next == p) {
        old = s->now;
        s->now = p;
        s->next = NULL;
        p->kill_ms = 0;
    }
    p->state = CREW_SERVING;
    veil_crew_send(p, VEIL_MSG_START, NULL, 0, NULL, 0);
    crew_release(p->slot);
    if (old != NULL) {
        crew_readopt(p->slot);
        crew_drain(old, veil_crew.o.drain_ms);
    }
    crew_tell_restarted(s, 0, p);
}

void
veil_crew_on_ready(crew_process_t *p)
{
    if (p->state != CREW_STARTING) {
        return;
    }
    p->state = CREW_READY;
    if (veil_crew.started && !veil_crew.draining) {
        crew_serve(p);
    }
}

void
veil_crew_start(void)
{
    unsigned i;

    veil_crew.started = true;
    for (i = 0; i < veil_crew.o.workers; i++) {
        if (veil_crew.slots[i].now != NULL
            && veil_crew.slots[i].now->state == CREW_READY)
        {
            crew_serve(veil_crew.slots[i].now);
        }
    }
}

int
veil_crew_restart(unsigned slot, veil_crew_restarted_fn *fn, void *data)
{
    crew_slot_t *s;

    if (slot >= veil_crew.o.workers) {
        return -ENOENT;
    }
    s = &veil_crew.slots[slot];
    if (!veil_crew.started || veil_crew.draining || s->restarted != NULL
        || s->next != NULL)
    {
        return -EBUSY;
    }
    if (s->now != NULL && s->now->state == CREW_STARTING) {
        return -EBUSY;
    }
    s->replaced = s->now == NULL ? 0 : s->now->pid;
    if (s->now == NULL) {
        /* Its pause is over. */
        if (crew_fill(slot) != VEIL_OK) {
            s->respawn_ms = veil_now_ms() + VEIL_BACKOFF_MAX_MS;
            return -EAGAIN;
        }
    } else {
        s->next = crew_fork(slot);
        if (s->next == NULL) {
            return -EAGAIN;
        }
        s->next->kill_ms = veil_now_ms() + CREW_RESTART_MS;
    }
    s->restarted = fn;
    s->restarted_data = data;
    return 0;
}

void
veil_crew_restart_cancel(unsigned slot)
{
    crew_slot_t *s = &veil_crew.slots[slot];

    s->restarted = NULL;
    if (s->next != NULL) {
        veil_crew_kill(s->next);
    }
}

/* --- ending ------------------------------------------------------------- */

void
veil_crew_drain(uint64_t timeout_ms)
{
    veil_list_t *n;
    unsigned i;

    veil_crew.draining = true;
    for (i = 0; i < veil_crew.o.workers; i++) {
        veil_crew.slots[i].respawn_ms = 0;
        crew_tell_restarted(&veil_crew.slots[i], -ECANCELED, NULL);
    }
    veil_list_foreach (n, &veil_crew.processes) {
        crew_drain(veil_crew_process(n), timeout_ms);
    }
}

void
veil_crew_kill(crew_process_t *p)
{
    p->kill_ms = 0;
    p->look_ms = 0;
    p->killed = true;
    (void) kill(p->pid, SIGKILL);
}

/*
 * Whether it has not so much as noticed that its time is up.  One that has
 * may be slow to leave on a machine that is busy, and gets the grace.
 */
static bool
crew_is_stuck(crew_process_t *p, uint64_t now_ms)
{
    if (p->look_ms == 0 || p->look_ms > now_ms) {
        return false;
    }
    p->look_ms = 0;
    return p->block >= 0 && veil_board_heartbeat(p->block) < p->end_ms;
}

static void
crew_kill_late(uint64_t now_ms)
{
    crew_process_t *p;
    veil_list_t *n;

    veil_list_foreach (n, &veil_crew.processes) {
        p = veil_crew_process(n);
        if (p->killed
            || (!crew_is_stuck(p, now_ms)
                && (p->kill_ms == 0 || p->kill_ms > now_ms)))
        {
            continue;
        }
        veil_log(veil_crew.o.log, VEIL_LOG_ALERT, 0,
                 "worker process %d did not %s in time, killing it",
                 (int) p->pid, p->state == CREW_STARTING ? "start" : "end");
        veil_crew_kill(p);
    }
}

static void
crew_log_end(const crew_process_t *p, int status)
{
    if (p->killed && WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL) {
        veil_show_count(p->stuck ? VEIL_SHOW_WORKERS_STUCK
                                 : VEIL_SHOW_WORKERS_KILLED);
        veil_log(veil_crew.o.log, VEIL_LOG_NOTICE, 0,
                 "worker process %d was killed by its keeper", (int) p->pid);
        return;
    }
    veil_show_count(WIFSIGNALED(status) || WEXITSTATUS(status) != 0
                        ? VEIL_SHOW_WORKERS_CRASHED
                        : VEIL_SHOW_WORKERS_EXITED);
    if (WIFSIGNALED(status)) {
        veil_log(veil_crew.o.log, VEIL_LOG_ALERT, 0,
                 "worker process %d exited on signal %d%s", (int) p->pid,
                 WTERMSIG(status), WCOREDUMP(status) ? " (core dumped)" : "");
        return;
    }
    veil_log(veil_crew.o.log,
             WEXITSTATUS(status) == 0 ? VEIL_LOG_NOTICE : VEIL_LOG_ALERT, 0,
             "worker process %d exited with code %d", (int) p->pid,
             WEXITSTATUS(status));
}

static void
crew_tell_end(const crew_process_t *p, int status)
{
    bool killed = WIFSIGNALED(status);

    veil_control_event(
        "worker.ended",
        json_pack("{s:i, s:i, s:o, s:o}", "worker", (int) p->slot, "pid",
                  (int) p->pid, "code",
                  killed ? json_null() : json_integer(WEXITSTATUS(status)),
                  "signal",
                  killed ? json_integer(WTERMSIG(status)) : json_null()));
}

static void
crew_plan_respawn(unsigned slot, const crew_process_t *died)
{
    crew_slot_t *s = &veil_crew.slots[slot];
    uint64_t now = veil_now_ms();
    uint64_t pause;

    if (now - died->started_ms >= VEIL_BACKOFF_SOUND_MS) {
        s->deaths = 0;
    }
    s->deaths++;
    pause = veil_backoff_ms(s->deaths);
    s->respawn_ms = now + pause;
    if (pause != 0) {
        veil_log(veil_crew.o.log, VEIL_LOG_NOTICE, 0,
                 "worker %u has died %u times, starting another in %llu ms",
                 slot, s->deaths, (unsigned long long) pause);
    }
    if (pause != 0 || died->stuck) {
        veil_crew_adopt(slot);
    }
}

/* The process is no more; its slot is to have one. */
static void
crew_left(const crew_process_t *p)
{
    crew_slot_t *s = &veil_crew.slots[p->slot];

    if (s->next == p) {
        s->next = NULL;
        veil_log(veil_crew.o.log, VEIL_LOG_ERR, 0,
                 "worker %u goes on, what was to replace it did not start",
                 p->slot);
        crew_tell_restarted(s, -ECHILD, NULL);
        return;
    }
    if (s->now != p) {
        return; /* it had been replaced */
    }
    s->now = NULL;
    if (veil_crew.draining) {
        return;
    }
    crew_readopt(p->slot);
    if (s->next != NULL) {
        /* It is about to be replaced anyway. */
        s->now = s->next;
        s->next = NULL;
        s->now->kill_ms = 0;
        veil_crew_adopt(p->slot);
        return;
    }
    crew_tell_restarted(s, -ECHILD, NULL);
    crew_plan_respawn(p->slot, p);
}

bool
veil_crew_reap(pid_t pid, int status)
{
    crew_process_t *p = NULL;
    veil_list_t *n;
    bool go_on = veil_crew.started || veil_crew.draining;

    veil_list_foreach (n, &veil_crew.processes) {
        if (veil_crew_process(n)->pid == pid) {
            p = veil_crew_process(n);
            break;
        }
    }
    if (p == NULL) {
        return true; /* not a worker of ours */
    }
    /* First: should this process die meanwhile, the master knows. */
    crew_tell_master(p, true);
    crew_log_end(p, status);
    crew_tell_end(p, status);
    veil_board_retire(p->block);
    veil_prepare_worker_ended(p->place, pid);
    veil_list_remove(&p->link);
    veil_crew_watch_ended(p);
    if (p->channel >= 0) {
        close(p->channel);
    }
    if (go_on) {
        crew_left(p);
    }
    veil_free(p);
    return go_on;
}

/* --- time --------------------------------------------------------------- */

static uint64_t
crew_sooner(uint64_t a, uint64_t b)
{
    return a == 0 || (b != 0 && b < a) ? b : a;
}

int
veil_crew_timeout(uint64_t now_ms)
{
    uint64_t due = crew_sooner(veil_crew_watch_due(), veil_crew_lookout_due());
    veil_list_t *n;
    unsigned i;

    for (i = 0; i < veil_crew.o.workers; i++) {
        due = crew_sooner(due, veil_crew.slots[i].respawn_ms);
    }
    veil_list_foreach (n, &veil_crew.processes) {
        due = crew_sooner(due, veil_crew_process(n)->kill_ms);
        due = crew_sooner(due, veil_crew_process(n)->look_ms);
    }
    if (due == 0) {
        return -1;
    }
    return due <= now_ms ? 0 : (int) veil_min_size(due - now_ms, 60000);
}

void
veil_crew_run_due(uint64_t now_ms)
{
    crew_slot_t *s;
    unsigned i;

    crew_kill_late(now_ms);
    veil_crew_watch(now_ms);
    veil_crew_lookout(now_ms);
    for (i = 0; i < veil_crew.o.workers; i++) {
        s = &veil_crew.slots[i];
        if (s->respawn_ms == 0 || s->respawn_ms > now_ms) {
            continue;
        }
        if (crew_fill(i) != VEIL_OK) {
            s->respawn_ms = now_ms + VEIL_BACKOFF_MAX_MS;
        }
    }
}
