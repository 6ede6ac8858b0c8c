/*
 * crew_watch.c -- workers whose loops do not turn.
 *
 * Each turn of a worker's loop leaves the time on the board, and a timer sees
 * to it that a loop with nothing to do turns as well, a few times within
 * worker_watchdog.  Whoever has left no time for that long is stuck: in an
 * endless loop, behind a disk that does not answer, stopped.  It is killed,
 * and replaced like one that crashed.
 *
 * One at a time: one that is stopped, or the one that has been silent the
 * longest.  It may hold a lock in a zone that the others wait for, and they
 * go on when it is dead: which takes its time on a machine that is busy, as
 * does their next turn, so a part of worker_watchdog is theirs from then on.
 * One that a debugger has is left alone.  And if it is this process that was
 * not running, on a machine that was suspended or busy beyond measure, the
 * workers had no chance either, and get the time once more.
 */

#include "core/platform.h"

#include <fcntl.h>

#include "core/board.h"
#include "core/control.h"
#include "core/log.h"
#include "core/time.h"
#include "process/crew_state.h"

/*
 * From the end of one to when another may be killed, as those who waited for
 * the first go on: a part of worker_watchdog, and no less than this.
 */
#define WATCH_PAUSE_PART 4
#define WATCH_PAUSE_MS 500

static struct {
    uint64_t floor_ms; /* nobody was silent before this */
    uint64_t pause_ms; /* not before this */
    uint64_t due_ms;   /* when it was to be looked; 0: not */
} crew_watch;

static bool
crew_watch_is_meant(const crew_process_t *p)
{
    return p->state != CREW_STARTING && !p->killed && p->block >= 0;
}

/* When it last was seen alive, or has to be thought so. */
static uint64_t
crew_watch_last(const crew_process_t *p)
{
    uint64_t beat = veil_board_heartbeat(p->block);

    beat = beat > p->excused_ms ? beat : p->excused_ms;
    return beat > crew_watch.floor_ms ? beat : crew_watch.floor_ms;
}

uint64_t
veil_crew_watch_due(void)
{
    uint64_t due = 0, at;
    veil_list_t *n;

    if (veil_crew.o.watchdog_ms != 0) {
        veil_list_foreach (n, &veil_crew.processes) {
            if (crew_watch_is_meant(veil_crew_process(n))) {
                at = crew_watch_last(veil_crew_process(n))
                     + veil_crew.o.watchdog_ms + 1;
                due = due == 0 || at < due ? at : due;
            }
        }
    }
    if (due != 0 && due < crew_watch.pause_ms) {
        due = crew_watch.pause_ms;
    }
    crew_watch.due_ms = due;
    return due;
}

typedef struct {
    bool traced;
    bool stopped;
} crew_watch_state_t;

/* What the kernel says of it; nothing when that cannot be found out. */
static crew_watch_state_t
crew_watch_look(pid_t pid)
{
    crew_watch_state_t state = { .traced = false };
    char path[64], text[4096];
    const char *p;
    ssize_t n;
    int fd;

    veil_snprintf(path, sizeof(path), "/proc/%d/status", (int) pid);
    fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0) {
        return state;
    }
    n = read(fd, text, sizeof(text) - 1);
    close(fd);
    text[n > 0 ? n : 0] = '\0';
    p = strstr(text, "\nTracerPid:");
    state.traced =
        p != NULL && strtol(p + sizeof("\nTracerPid:") - 1, NULL, 10) != 0;
    p = strstr(text, "\nState:\t");
    state.stopped = p != NULL && p[sizeof("\nState:\t") - 1] == 'T';
    return state;
}

/* The silent one whose silence began first, stopped or not. */
static crew_process_t *
crew_watch_first(bool stopped, uint64_t before_ms)
{
    crew_process_t *p, *first = NULL;
    veil_list_t *n;

    veil_list_foreach (n, &veil_crew.processes) {
        p = veil_crew_process(n);
        if (crew_watch_is_meant(p) && crew_watch_last(p) < before_ms
            && (first == NULL || crew_watch_last(p) < crew_watch_last(first))
            && (!stopped || crew_watch_look(p->pid).stopped))
        {
            first = p;
        }
    }
    return first;
}

/*
 * Who is to go.  Whatever the others wait for, one that is stopped may have
 * it: they get the time until it is its turn.
 */
static crew_process_t *
crew_watch_worst(uint64_t now_ms)
{
    uint64_t ms = veil_crew.o.watchdog_ms;
    crew_process_t *worst = crew_watch_first(false, now_ms - ms);
    crew_process_t *stopped;

    if (worst == NULL) {
        return NULL;
    }
    stopped = crew_watch_first(true, now_ms);
    if (stopped == NULL) {
        return worst;
    }
    if (crew_watch_last(stopped) < now_ms - ms) {
        return stopped;
    }
    crew_watch.pause_ms = crew_watch_last(stopped) + ms + 1;
    return NULL;
}

static void
crew_watch_end(crew_process_t *p, uint64_t now_ms)
{
    uint64_t silent = now_ms - crew_watch_last(p);

    veil_log(veil_crew.o.log, VEIL_LOG_ALERT, 0,
             "worker %u, process %d, has not turned its loop for %llu ms, "
             "killing it",
             p->slot, (int) p->pid, (unsigned long long) silent);
    veil_control_event("worker.stuck",
                       json_pack("{s:i, s:i, s:I}", "worker", (int) p->slot,
                                 "pid", (int) p->pid, "silent_ms",
                                 (json_int_t) silent));
    p->stuck = true;
    veil_crew_kill(p);
    /* Until it has ended; a disk may keep even the dead. */
    crew_watch.pause_ms = now_ms + veil_crew.o.watchdog_ms;
}

void
veil_crew_watch_ended(const crew_process_t *p)
{
    uint64_t pause = veil_crew.o.watchdog_ms / WATCH_PAUSE_PART;

    if (p->stuck) {
        pause = pause > WATCH_PAUSE_MS ? pause : WATCH_PAUSE_MS;
        crew_watch.pause_ms = veil_now_ms() + pause;
    }
}

void
veil_crew_watch(uint64_t now_ms)
{
    uint64_t due = crew_watch.due_ms;
    crew_process_t *p;

    if (veil_crew.o.watchdog_ms == 0 || due == 0 || now_ms < due) {
        return;
    }
    if (now_ms - due > veil_crew.o.watchdog_ms / 2) {
        crew_watch.floor_ms = now_ms;
        return;
    }
    p = crew_watch_worst(now_ms);
    if (p == NULL) {
        return;
    }
    if (crew_watch_look(p->pid).traced) {
        if (p->excused_ms == 0) {
            veil_log(veil_crew.o.log, VEIL_LOG_NOTICE, 0,
                     "worker %u, process %d, does not turn its loop, but is "
                     "being traced: left alone",
                     p->slot, (int) p->pid);
        }
        p->excused_ms = now_ms;
        return;
    }
    crew_watch_end(p, now_ms);
}
