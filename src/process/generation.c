/*
 * generation.c -- a generation, as the master sees it.
 *
 * The conversation with a keeper: forking it with nothing open but what it
 * is given, answering its requests for sockets and memory out of the hold,
 * and noting who its workers are.  What follows from all that is decided in
 * master_load.c and master_children.c.
 *
 * A keeper must not inherit the master's sockets.  It would keep an address
 * open that its configuration does not name, and clients of that address
 * would wait for ever.
 */

#include "core/platform.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/wait.h>

#include "core/board.h"
#include "core/cycle.h"
#include "core/fault.h"
#include "core/pool.h"
#include "core/syslog.h"
#include "core/time.h"
#include "process/control/control.h"
#include "process/control/journal.h"
#include "process/generation.h"
#include "process/keeper.h"
#include "process/reload/diagnostic.h"
#include "process/reload/facts.h"
#include "process/show.h"
#include "process/spawn.h"

/* --- forking ------------------------------------------------------------ */

static void
generation_child(const veil_generation_options_t *o, int channel, int block)
{
    const int lent[] = { o->text_fd, o->running_text_fd, o->running_facts_fd };
    int keep[VEIL_GENERATION_LOGS + 2 + VEIL_JOURNAL_ZONES
             + veil_countof(lent)];
    veil_hold_zone_t zone;
    veil_keeper_options_t k;
    const veil_log_sink_t *sink;
    unsigned n = 0;
    unsigned i;

    veil_fault_role(VEIL_FAULT_KEEPER);
    veil_board_take(block);
    keep[n++] = channel;
    if (veil_show_zone(&zone) >= 0) {
        keep[n++] = veil_show_zone(&zone);
    }
    for (i = 0; i < VEIL_JOURNAL_ZONES; i++) {
        if (veil_journal_zone(i, &zone) >= 0) {
            keep[n++] = veil_journal_zone(i, &zone);
        }
    }
    for (i = 0; i < veil_countof(lent); i++) {
        if (lent[i] >= 0) {
            keep[n++] = lent[i];
        }
    }
    for (sink = o->log->sinks; sink != NULL && n < veil_countof(keep);
         sink = sink->next)
    {
        if (sink->file != NULL && sink->file->fd > 2) {
            keep[n++] = sink->file->fd;
        }
    }
    /* Whoever has a number must not think that it is still his. */
    veil_syslog_close_all();
    veil_spawn_close_others(keep, n);

    memset(&k, 0, sizeof(k));
    k.launch = o->launch;
    k.generation = o->number;
    k.channel = channel;
    k.text_fd = o->text_fd;
    k.running_text_fd = o->running_text_fd;
    k.running_facts_fd = o->running_facts_fd;
    k.first = o->first;
    k.reloading = o->result->cause == VEIL_RELOAD_SIGNAL
                  || o->result->cause == VEIL_RELOAD_VERB;
    k.detach = o->detach;
    k.log = o->log;
    exit(veil_keeper_run(&k));
}

veil_generation_t *
veil_generation_start(const veil_generation_options_t *o)
{
    veil_generation_t *g;
    int ends[2];
    int block;
    pid_t pid;
    int rc;

    rc = veil_channel_pair(ends);
    if (rc < 0) {
        veil_log(o->log, VEIL_LOG_ALERT, -rc, "socketpair() failed");
        return NULL;
    }
    block = veil_board_give(VEIL_BOARD_KEEPER, 0, o->number);
    pid = veil_spawn();
    if (pid == 0) {
        generation_child(o, ends[1], block);
    }
    close(ends[1]);
    if (pid < 0) {
        veil_log(o->log, VEIL_LOG_ALERT, (int) -pid, "fork() failed");
        veil_board_retire(block);
        close(ends[0]);
        return NULL;
    }
    g = veil_zalloc(sizeof(*g));
    veil_list_init(&g->link);
    g->state = VEIL_GENERATION_LOADING;
    g->number = o->number;
    g->result = o->result;
    g->first = o->first;
    g->keeper = pid;
    g->block = block;
    g->channel = ends[0];
    g->text_fd = -1;
    g->facts_fd = -1;
    g->started_ms = veil_now_ms();
    return g;
}

/* --- logs --------------------------------------------------------------- */

void
veil_generation_log_free(veil_generation_log_t **log)
{
    unsigned i;

    if (*log == NULL) {
        return;
    }
    for (i = 0; i < (*log)->n; i++) {
        /* Empty: standard error, of which there is a duplicate here. */
        close((*log)->files[i].fd);
        veil_free((*log)->paths[i]);
    }
    veil_free(*log);
    *log = NULL;
}

static void
generation_add_log(veil_generation_t *g, veil_message_t *m)
{
    const veil_log_message_t *l = (const void *) m->data;
    veil_log_file_t *file;
    veil_log_sink_t *sink;
    size_t len = strlen(l->path);
    unsigned i;

    if (g->log == NULL) {
        g->log = veil_zalloc(sizeof(*g->log));
    }
    if (m->nfds != 1 || g->log->n == VEIL_GENERATION_LOGS) {
        return; /* the keeper writes there, the master does not */
    }
    i = g->log->n++;
    file = &g->log->files[i];
    veil_list_init(&file->link);
    file->fd = m->fds[0];
    m->fds[0] = -1;
    if (len != 0) {
        g->log->paths[i] = veil_alloc(len + 1);
        memcpy(g->log->paths[i], l->path, len + 1);
        file->path = veil_str_n(g->log->paths[i], len);
    }
    sink = &g->log->sinks[i];
    sink->level = (veil_log_level_t) l->level;
    sink->file = file;
    if (i > 0) {
        g->log->sinks[i - 1].next = sink;
    }
    veil_log_use_sinks(&g->log->log, &g->log->sinks[0]);
}

/*
 * Where to log about it: before the first serves, also to its own log; and
 * as long as it loads, to the result of that.
 */
static const veil_log_t *
generation_log(veil_generation_t *g, const veil_log_t *log,
               veil_reload_log_t *noted)
{
    if (g->first && g->log != NULL && g->log->n != 0) {
        veil_prepare_tell_stderr(&g->log->log, true);
        log = &g->log->log;
    }
    veil_reload_log(noted, g->result, log);
    return &noted->log;
}

/* --- answering ---------------------------------------------------------- */

static void
generation_listen(veil_generation_t *g, const veil_message_t *m,
                  veil_hold_t *hold, const veil_log_t *log)
{
    const veil_listen_message_t *l = (const void *) m->data;
    veil_prepare_place_t place;
    veil_sockets_message_t answer;
    const int *fds = NULL;
    unsigned total = 0;
    unsigned n;
    int rc;

    veil_prepare_place(&place, log, l->where);
    rc = veil_hold_listen(hold, &l->listen, g->number, &fds, &total,
                          &place.log);
    memset(&answer, 0, sizeof(answer));
    answer.err = rc < 0 ? -rc : 0;
    answer.total = total;

    do {
        n = total - answer.first;
        if (n > VEIL_MESSAGE_FDS) {
            n = VEIL_MESSAGE_FDS;
        }
        rc = veil_channel_send(g->channel, VEIL_MSG_SOCKETS, &answer,
                               sizeof(answer), fds + answer.first, n);
        answer.first += n;
    } while (rc == 0 && answer.first < total);
    /* A keeper that does not take them is dead: waitpid() will say. */
}

static void
generation_zone(veil_generation_t *g, const veil_message_t *m,
                veil_hold_t *hold)
{
    const veil_hold_zone_t *want = (const void *) m->data;
    const veil_hold_zone_t *held;
    veil_memory_message_t answer;
    int fd;

    memset(&answer, 0, sizeof(answer));
    fd = veil_hold_zone(hold, want, g->number, &answer.fresh);
    answer.err = fd < 0 ? -fd : 0;
    if (fd == -EEXIST) {
        held = veil_hold_zone_find(hold, want->name);
        memcpy(answer.tag, held->tag, sizeof(answer.tag));
        memcpy(answer.key, held->key, sizeof(answer.key));
    }
    (void) veil_channel_send(g->channel, VEIL_MSG_MEMORY, &answer,
                             sizeof(answer), &fd, fd < 0 ? 0 : 1);
}

static void
generation_note_worker(veil_generation_t *g, const veil_message_t *m)
{
    const veil_worker_message_t *w = (const void *) m->data;

    if (w->ended) {
        veil_control_process_ended(w->pid);
        (void) veil_generation_forget_worker(g, w->pid);
        return;
    }
    if (g->nworkers == g->max_workers) {
        g->max_workers = g->max_workers * 2 + 4;
        g->workers =
            veil_realloc(g->workers, g->max_workers * sizeof(*g->workers));
    }
    g->workers[g->nworkers++] = w->pid;
}

static void
generation_note(veil_generation_t *g, const veil_message_t *m)
{
    veil_log_level_t level = VEIL_LOG_OFF;
    veil_str_t line = veil_diagnostic_line(m, &level);

    veil_reload_note(g->result, level, line);
}

/* The facts are kept; the diff belongs to the load's result. */
static void
generation_take_facts(veil_generation_t *g, veil_message_t *m)
{
    if (m->nfds == 0 || g->facts_fd >= 0) {
        return;
    }
    g->facts_fd = m->fds[0];
    m->fds[0] = -1;
    if (m->nfds > 1) {
        veil_reload_set_diff(g->result, veil_facts_read(m->fds[1]));
    }
}

static void
generation_add_audit(veil_generation_t *g, veil_message_t *m)
{
    const veil_audit_message_t *a = (const void *) m->data;

    if (g->audit == NULL) {
        g->audit = veil_zalloc(sizeof(*g->audit));
    }
    if (m->len != sizeof(*a) || m->nfds != (a->syslog ? 0 : 1)) {
        return;
    }
    if (a->syslog) {
        (void) veil_audit_sinks_add(g->audit, a, -1);
    } else if (veil_audit_sinks_add(g->audit, a, m->fds[0])) {
        m->fds[0] = -1;
    }
}

static void
generation_on_message(veil_generation_t *g, veil_message_t *m,
                      veil_hold_t *hold, const veil_log_t *log)
{
    veil_reload_log_t noted;

    switch (m->type) {
    case VEIL_MSG_SETTINGS:
        memcpy(&g->settings, m->data, sizeof(g->settings));
        break;
    case VEIL_MSG_LOG:
        generation_add_log(g, m);
        break;
    case VEIL_MSG_AUDIT:
        generation_add_audit(g, m);
        break;
    case VEIL_MSG_LISTEN:
        generation_listen(g, m, hold, generation_log(g, log, &noted));
        break;
    case VEIL_MSG_ZONE:
        generation_zone(g, m, hold);
        break;
    case VEIL_MSG_TEXT:
        if (m->nfds == 1 && g->text_fd < 0) {
            g->text_fd = m->fds[0];
            m->fds[0] = -1;
        }
        break;
    case VEIL_MSG_FACTS:
        generation_take_facts(g, m);
        break;
    case VEIL_MSG_WORKER:
        generation_note_worker(g, m);
        break;
    case VEIL_MSG_READY:
        g->ready = true;
        break;
    case VEIL_MSG_QUIET:
        g->quiet = true;
        break;
    case VEIL_MSG_DIAGNOSTIC:
        generation_note(g, m);
        break;
    case VEIL_MSG_ANSWER:
        veil_control_answer(g, m);
        break;
    case VEIL_MSG_EVENT:
        veil_control_event_message(m);
        break;
    default:
        veil_log(log, VEIL_LOG_ALERT, 0, "unexpected message %s from %d",
                 veil_message_name(m->type), (int) g->keeper);
        break;
    }
}

bool
veil_generation_receive(veil_generation_t *g, veil_hold_t *hold,
                        const veil_log_t *log)
{
    static veil_message_t m;
    int rc;

    if (g->channel < 0) {
        return false;
    }
    while ((rc = veil_channel_recv(g->channel, &m)) == 1) {
        generation_on_message(g, &m, hold, log);
        veil_message_close_fds(&m);
    }
    if (rc == -EAGAIN) {
        return true;
    }
    close(g->channel);
    g->channel = -1;
    return false;
}

void
veil_generation_send(veil_generation_t *g, veil_message_type_t type,
                     const void *data, size_t len, const veil_log_t *log)
{
    int rc;

    if (g->channel < 0) {
        return;
    }
    rc = veil_channel_send(g->channel, type, data, len, NULL, 0);
    if (rc < 0 && rc != -EPIPE) {
        veil_log(log, VEIL_LOG_ALERT, -rc,
                 "keeper process %d does not take the message %s",
                 (int) g->keeper, veil_message_name(type));
    }
}

/* --- its processes ------------------------------------------------------ */

unsigned
veil_generation_workers(const veil_generation_t *g)
{
    return g->nworkers;
}

bool
veil_generation_forget_worker(veil_generation_t *g, pid_t pid)
{
    unsigned i;

    for (i = 0; i < g->nworkers; i++) {
        if (g->workers[i] == pid) {
            g->workers[i] = g->workers[--g->nworkers];
            return true;
        }
    }
    return false;
}

void
veil_generation_inherit(veil_generation_t *g)
{
    siginfo_t info;
    unsigned i = 0;

    while (i < g->nworkers) {
        /* Those that live, or wait to be reaped, are the master's now. */
        if (waitid(P_PID, (id_t) g->workers[i], &info,
                   WEXITED | WNOHANG | WNOWAIT)
                != 0
            && errno == ECHILD)
        {
            g->workers[i] = g->workers[--g->nworkers];
        } else {
            i++;
        }
    }
}

void
veil_generation_signal(const veil_generation_t *g, int signo)
{
    unsigned i;

    if (g->keeper != 0) {
        (void) kill(g->keeper, signo);
    }
    for (i = 0; i < g->nworkers; i++) {
        (void) kill(g->workers[i], signo);
    }
}

static void
generation_close(int fd)
{
    if (fd >= 0) {
        close(fd);
    }
}

void
veil_generation_free(veil_generation_t **gp)
{
    veil_generation_t *g = *gp;

    *gp = NULL;
    veil_list_remove(&g->link);
    if (g->channel >= 0) {
        close(g->channel);
    }
    generation_close(g->text_fd);
    generation_close(g->facts_fd);
    veil_generation_log_free(&g->log);
    veil_audit_sinks_free(&g->audit);
    veil_free(g->conf_path);
    veil_free(g->workers);
    veil_free(g);
}
