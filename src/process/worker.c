/*
 * worker.c -- a worker's life: prepare, accept, drain, leave.
 *
 *     PREPARING -> WAITING -> SERVING -> DRAINING -> CLOSING -> LEAVING
 *
 * A worker is forked by its keeper with the configuration in its memory and
 * the sockets open.  It becomes the configured user, makes its loop, runs the
 * modules' hooks, says READY and accepts when it is told START: so a
 * generation in which one worker cannot start never touches a connection.
 *
 * Draining begins by DRAIN from the keeper, by a signal, or because the
 * keeper is gone (the channel's end).  The worker stops accepting and closes
 * its copies of the listening sockets: an address nobody names any more must
 * refuse connections, not queue them.  Modules are told; the worker leaves
 * when it has no connection and no job.  When the time is up modules are
 * told again, to close everything, which is given a moment.
 *
 * With SO_REUSEPORT a slot belongs to the worker of its number; slots beyond
 * the number of workers are shared out, and those of a worker that is away
 * are adopted at the keeper's word, as the kernel goes on filling them.
 *
 * The terminal's SIGINT reaches every process of its group.  The master
 * decides what it means, so a worker that has one ignores it.
 */

#include "core/platform.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>

#include "core/assert.h"
#include "core/board.h"
#include "core/due.h"
#include "core/fault.h"
#include "core/main_conf.h"
#include "core/module.h"
#include "core/syslog.h"
#include "core/time.h"
#include "event/conn.h"
#include "event/ktls.h"
#include "event/listen.h"
#include "event/loop.h"
#include "event/offload.h"
#include "event/resolver.h"
#include "event/tls.h"
#include "process/channel.h"
#include "process/control/audit_module.h"
#include "process/control/control.h"
#include "process/leftover.h"
#include "process/message.h"
#include "process/prepare.h"
#include "process/reload/diagnostic.h"
#include "process/signal.h"
#include "process/spawn.h"
#include "process/worker.h"
#include "process/workers.h"

/* How long closing all connections may take once the time is up. */
#define WORKER_CLOSE_MS 2000
/* Turns within worker_watchdog, at least. */
#define WORKER_BEATS 4
/*
 * How long the handles of the worker itself may take, and in how many turns at
 * least: it may be stopped for that time.
 */
#define WORKER_LEAVE_MS 1000
#define WORKER_LEAVE_TURNS 20

typedef enum {
    WORKER_PREPARING,
    WORKER_WAITING, /* ready, not accepting yet */
    WORKER_SERVING,
    WORKER_DRAINING,
    WORKER_CLOSING, /* the time is up */
    WORKER_LEAVING
} worker_state_t;

typedef struct {
    veil_acceptor_t *acceptor;
    unsigned owner; /* the worker whose slot this is */
} worker_adopted_t;

/* A process is one worker. */
static struct {
    worker_state_t state;
    unsigned slot;
    bool alone;     /* no master: master_process off */
    bool detach;    /* standard error, at START */
    bool abandoned; /* left with connections open */
    bool told;      /* to end, by a signal */
    bool quiet;     /* accepts no more, and said so */
    const veil_worker_options_t *o;
    veil_loop_t *loop;
    const veil_main_conf_t *conf;
    const veil_log_t *log;
    veil_handle_t channel;
    veil_op_t receive;
    veil_message_t message;
    veil_handle_t signals;
    veil_op_t signal_ready;
    veil_timer_t deadline;
    veil_timer_t beat;
    veil_timer_t due;      /* without a keeper: what it would do later */
    veil_array_t *adopted; /* of worker_adopted_t */
} worker;

static void
worker_title(const char *what)
{
    if (worker.alone) {
        veil_title_set("single process%s %s", what, veil_title_command());
        return;
    }
    veil_title_set("worker process %u gen %llu%s", worker.slot,
                   (unsigned long long) veil_cycle->generation, what);
}

/* --- accepting ---------------------------------------------------------- */

/* Opens acceptors on what belongs to the worker "owner". */
static void
worker_accept_for(unsigned owner, bool adopting)
{
    worker_adopted_t *adopted;
    veil_acceptor_t *a;
    veil_listen_t *l;
    veil_list_t *n;
    unsigned i;

    veil_list_foreach (n, &veil_cycle->listens) {
        l = veil_list_entry(n, veil_listen_t, link);
        if (l->accept == NULL || (adopting && !l->reuseport)) {
            continue;
        }
        for (i = 0; i < l->nslots; i++) {
            if (l->reuseport && i % worker.conf->workers != owner) {
                continue;
            }
            a = veil_acceptor_open(worker.loop, l, i, worker.log);
            if (a != NULL && adopting) {
                adopted = veil_array_push(worker.adopted);
                adopted->acceptor = a;
                adopted->owner = owner;
            }
        }
    }
}

static void
worker_release(unsigned owner)
{
    worker_adopted_t *adopted;
    unsigned i = 0;

    while (i < worker.adopted->n) {
        adopted = veil_array_at(worker.adopted, worker_adopted_t, i);
        if (adopted->owner != owner) {
            i++;
            continue;
        }
        veil_acceptor_stop(adopted->acceptor);
        worker.adopted->n--;
        *adopted = *veil_array_at(worker.adopted, worker_adopted_t,
                                  worker.adopted->n);
    }
}

static void
worker_start(void)
{
    if (worker.state != WORKER_WAITING) {
        return;
    }
    worker.state = WORKER_SERVING;
    veil_board_state(VEIL_BOARD_SERVING);
    veil_prepare_tell_stderr(&veil_cycle->log, false);
    veil_diagnostic_tell(&veil_cycle->log, false);
    veil_diagnostic_use(-1);
    if (worker.detach) {
        veil_prepare_detach_stderr(&veil_cycle->log);
    }
    if (worker.slot == 0) {
        veil_ktls_log_state(worker.log);
    }
    worker_accept_for(worker.slot, false);
}

/* --- draining ----------------------------------------------------------- */

static void
worker_tell_modules(uint64_t left_ms)
{
    unsigned i;

    for (i = 0; veil_modules[i] != NULL; i++) {
        if (veil_modules[i]->core != NULL
            && veil_modules[i]->core->drain_worker != NULL)
        {
            veil_modules[i]->core->drain_worker(veil_cycle, left_ms);
        }
    }
}

static void
worker_close_all(void)
{
    if (worker.state == WORKER_CLOSING) {
        return;
    }
    worker.state = WORKER_CLOSING;
    veil_board_state(VEIL_BOARD_CLOSING);
    if (veil_acceptors_connections() != 0) {
        veil_log(worker.log, VEIL_LOG_NOTICE, 0,
                 "%u connections have not ended in time, closing them",
                 veil_acceptors_connections());
    }
    worker_tell_modules(0);
    veil_timer_set(worker.loop, &worker.deadline, WORKER_CLOSE_MS);
}

/* Begins to drain, or shortens the time that is left. */
static void
worker_drain(uint64_t timeout_ms)
{
    if (worker.state >= WORKER_CLOSING) {
        return;
    }
    if (worker.state != WORKER_DRAINING) {
        worker.state = WORKER_DRAINING;
        veil_board_state(VEIL_BOARD_DRAINING);
        veil_log(worker.log, VEIL_LOG_NOTICE, 0, "gracefully shutting down");
        VEIL_FAULT("worker.draining");
        veil_acceptors_stop_all();
        worker.adopted->n = 0;
        veil_prepare_close_listens();
        if (worker.alone) {
            worker.o->draining(worker.o->data);
        }
    }
    if (timeout_ms == 0) {
        worker_close_all();
    } else if (!veil_timer_is_set(&worker.deadline)
               || worker.deadline.deadline_ms > veil_now_ms() + timeout_ms)
    {
        veil_timer_set(worker.loop, &worker.deadline, timeout_ms);
        worker_tell_modules(timeout_ms);
    }
}

/*
 * Once it draws no more clients: who asked for a reload may want to know, or
 * looks at the list of processes.
 */
static void
worker_say_quiet(void)
{
    if (worker.quiet || worker.state < WORKER_DRAINING
        || veil_acceptors_open() != 0)
    {
        return;
    }
    worker.quiet = true;
    worker_title(" is shutting down");
    if (!worker.alone) {
        (void) veil_channel_send(worker.channel.fd, VEIL_MSG_QUIET, NULL, 0,
                                 NULL, 0);
    }
}

static void
worker_deadline(veil_timer_t *t)
{
    (void) t; /* there is one */

    if (worker.state == WORKER_DRAINING) {
        worker_close_all();
        return;
    }
    veil_log(worker.log, VEIL_LOG_ALERT, 0,
             "%u connections could not be closed, leaving them",
             veil_acceptors_connections());
    worker.abandoned = true;
}

static bool
worker_is_idle(void)
{
    /* An accept that was cancelled may still have brought a client. */
    return veil_acceptors_open() == 0 && veil_acceptors_connections() == 0
           && veil_offload_busy() == 0;
}

/* --- messages ----------------------------------------------------------- */

/* New descriptors of log files take the place of the old. */
static void
worker_reopen(veil_message_t *m)
{
    const veil_reopen_message_t *reopen = (const void *) m->data;
    unsigned done = 0;
    veil_log_file_t *file;
    veil_list_t *n;
    unsigned i = 0;

    veil_list_foreach (n, &veil_cycle->log_files) {
        file = veil_list_entry(n, veil_log_file_t, link);
        if (i >= reopen->first && i - reopen->first < m->nfds
            && file->path.len != 0 && file->fd >= 0)
        {
            if (file->flush != NULL) {
                file->flush(file);
            }
            if (dup3(m->fds[i - reopen->first], file->fd, O_CLOEXEC) < 0) {
                veil_log(worker.log, VEIL_LOG_ALERT, errno,
                         "taking over the reopened \"%.*s\" failed",
                         VEIL_STR_ARG(file->path));
            } else {
                done++;
            }
        }
        i++;
    }
    veil_log_reopened(done);
}

static void
worker_on_message(veil_message_t *m)
{
    switch (m->type) {
    case VEIL_MSG_START:
        worker_start();
        break;
    case VEIL_MSG_DRAIN:
        worker_drain(((const veil_drain_message_t *) (const void *) m->data)
                         ->timeout_ms);
        break;
    case VEIL_MSG_REOPEN:
        worker_reopen(m);
        break;
    case VEIL_MSG_RULES:
        if (m->len == sizeof(veil_log_rules_t)) {
            veil_log_set_rules((const void *) m->data);
        }
        break;
    case VEIL_MSG_ADOPT:
        if (worker.state == WORKER_SERVING) {
            worker_accept_for(
                ((const veil_slot_message_t *) (const void *) m->data)->slot,
                true);
        }
        break;
    case VEIL_MSG_RELEASE:
        worker_release(
            ((const veil_slot_message_t *) (const void *) m->data)->slot);
        break;
    case VEIL_MSG_LOOK:
        veil_acceptors_look();
        break;
    case VEIL_MSG_CONTROL:
        veil_control_calls_message(m);
        break;
    case VEIL_MSG_CANCEL:
        veil_control_calls_cancel(
            ((const veil_cancel_message_t *) (const void *) m->data)->id);
        break;
    default:
        veil_log(worker.log, VEIL_LOG_ALERT, 0, "unexpected message %s",
                 veil_message_name(m->type));
        break;
    }
    veil_message_close_fds(m);
}

static void
worker_receive(void)
{
    veil_op_recvmsg(&worker.receive, veil_message_prepare(&worker.message),
                    MSG_CMSG_CLOEXEC);
}

static void
worker_received(veil_op_t *op)
{
    int rc = veil_message_take(&worker.message, op->res);

    if (veil_handle_is_closing(&worker.channel)) {
        veil_message_close_fds(&worker.message);
        return;
    }
    if (rc == 1) {
        worker_on_message(&worker.message);
        worker_receive();
        return;
    }
    if (rc == -EAGAIN || rc == -EINTR) {
        worker_receive();
        return;
    }
    if (worker.state < WORKER_DRAINING) {
        veil_log(worker.log, VEIL_LOG_NOTICE, rc < 0 ? -rc : 0,
                 "the keeper is gone, ending");
    }
    worker_drain(worker.conf->worker_shutdown_timeout_ms);
}

/*
 * What only root may open the keeper opens, and gives to all workers.  One
 * without a keeper does what it can: failures are logged file by file, the
 * old ones stay in use.
 */
static void
worker_ask_reopen(void)
{
    if (worker.alone
        || veil_channel_try_send(worker.o->channel, VEIL_MSG_REOPEN, NULL, 0,
                                 NULL, 0)
               < 0)
    {
        (void) veil_cycle_open_logs(veil_cycle);
    }
}

/* --- signals ------------------------------------------------------------ */

static void
worker_on_signal(const struct signalfd_siginfo *info)
{
    int signo = (int) info->ssi_signo;

    if (signo == SIGINT && !worker.alone) {
        return; /* the terminal's: the master decides */
    }
    switch (signo) {
    case SIGINT:
    case SIGTERM:
    case SIGQUIT:
        veil_log(worker.log, VEIL_LOG_NOTICE, 0,
                 "signal %d (SIG%s) received from %u, shutting down", signo,
                 veil_signal_name(signo), info->ssi_pid);
        worker_drain(worker.told ? 0 : worker.conf->shutdown_timeout_ms);
        worker.told = true;
        return;
    case SIGUSR1:
        veil_log(worker.log, VEIL_LOG_NOTICE, 0,
                 "signal %d (SIGUSR1) received from %u, reopening logs", signo,
                 info->ssi_pid);
        worker_ask_reopen();
        return;
    case SIGHUP:
        veil_log(worker.log, VEIL_LOG_NOTICE, 0, "signal SIGHUP ignored: %s",
                 worker.alone ? "with \"master_process off\" the "
                                "configuration is read at the start only"
                              : "send it to the master");
        return;
    case SIGUSR2:
        veil_log(worker.log, VEIL_LOG_NOTICE, 0,
                 "signal SIGUSR2 ignored: it has no meaning here");
        return;
    default:
        return;
    }
}

static void
worker_signals_ready(veil_op_t *op)
{
    struct signalfd_siginfo info;

    if (veil_handle_is_closing(&worker.signals)) {
        return;
    }
    while (veil_signals_read(worker.signals.fd, &info)) {
        worker_on_signal(&info);
    }
    veil_op_poll(op, POLLIN);
}

/* --- the keeper's part, where there is none --------------------------------
 */

static void
worker_due_changed(void)
{
    int ms = veil_due_timeout(veil_now_ms());

    if (ms >= 0) {
        veil_timer_set(worker.loop, &worker.due, (uint64_t) ms);
    }
}

static void
worker_due(veil_timer_t *t)
{
    (void) t; /* there is one */

    veil_due_run(veil_now_ms());
    worker_due_changed();
}

/* --- beginning ---------------------------------------------------------- */

static veil_rc_t
worker_init_modules(void)
{
    const veil_core_module_t *core;
    unsigned i;

    for (i = 0; veil_modules[i] != NULL; i++) {
        core = veil_modules[i]->core;
        if (core != NULL && core->init_worker != NULL
            && core->init_worker(veil_cycle) != VEIL_OK)
        {
            veil_log(worker.log, VEIL_LOG_EMERG, 0,
                     "worker %u: the module \"%s\" could not start",
                     worker.slot, veil_modules[i]->name);
            return VEIL_ERROR;
        }
    }
    return VEIL_OK;
}

static veil_rc_t
worker_init_loop(void)
{
    static const char *const backends[] = {
        [VEIL_USE_AUTO] = "auto",
        [VEIL_USE_IO_URING] = "io_uring",
        [VEIL_USE_EPOLL] = "epoll",
    };
    veil_loop_options_t options;

    memset(&options, 0, sizeof(options));
    options.backend = backends[worker.conf->events.use];
    options.connections = (unsigned) worker.conf->events.worker_connections;
    options.buffer_size = (size_t) worker.conf->events.io_buffer_size;
    options.buffers = (unsigned) worker.conf->events.io_buffers;
    options.log = worker.log;

    worker.loop = veil_loop_create(&options);
    if (worker.loop == NULL) {
        return VEIL_ERROR;
    }
    veil_offload_ops(worker.loop);
    veil_cycle->loop = worker.loop;
    veil_cycle->worker = worker.slot;
    veil_cycle->place = worker.o->place;
    veil_acceptors_limit(options.connections);
    return VEIL_OK;
}

static veil_rc_t
worker_init(const veil_worker_options_t *o, int *signals)
{
    worker.o = o;
    worker.slot = o->slot;
    worker.alone = o->channel < 0;
    worker.detach = o->detach;
    worker.conf = veil_main_conf(veil_cycle);
    worker.log = &veil_cycle->log;
    veil_diagnostic_use(o->channel); /* the keeper's was inherited */
    worker.adopted =
        veil_array_create(veil_cycle->pool, sizeof(worker_adopted_t), 4);

    veil_time_update();
    worker_title("");

    *signals = veil_signals_open();
    if (*signals < 0) {
        veil_log(worker.log, VEIL_LOG_EMERG, -*signals, "signalfd() failed");
        return VEIL_ERROR;
    }
    if (!worker.alone
        && veil_spawn_settle(worker.conf, worker.slot, worker.log) != VEIL_OK)
    {
        return VEIL_ERROR;
    }
    veil_spawn_environment(worker.conf);
    return worker_init_loop();
}

static void
worker_answer(const veil_answer_message_t *head, const json_t *json)
{
    int rc = veil_control_send(worker.o->channel, VEIL_MSG_ANSWER, head,
                               sizeof(*head), json);

    if (rc < 0) {
        veil_log(worker.log, VEIL_LOG_ERR, -rc,
                 "the keeper does not take the answer to a control call");
    }
}

/* Calls that the keeper had under way are not this process's. */
static void
worker_take_calls(void)
{
    veil_control_calls_t o;

    memset(&o, 0, sizeof(o));
    o.answer = worker_answer;
    o.generation = veil_cycle->generation;
    o.worker = worker.slot;
    veil_control_calls_init(&o);
    veil_control_events_to(worker.o->channel, o.generation, o.worker);
}

/* A loop with nothing to do turns too, while it is watched. */
static void
worker_beat(veil_timer_t *t)
{
    uint64_t ms = veil_workers_conf(veil_cycle)->watchdog_ms;

    if (ms != 0 && !worker.alone) {
        veil_timer_set(worker.loop, t, ms / WORKER_BEATS + 1);
    }
}

static void
worker_open_handles(const veil_worker_options_t *o, int signals)
{
    veil_timer_init(&worker.deadline, worker_deadline);
    veil_timer_init(&worker.beat, worker_beat);
    veil_timer_init(&worker.due, worker_due);

    veil_handle_init(&worker.signals, worker.loop, NULL, signals);
    veil_op_init(&worker.signal_ready, &worker.signals, worker_signals_ready);
    veil_op_poll(&worker.signal_ready, POLLIN);

    if (!worker.alone) {
        worker_take_calls();
        veil_handle_init(&worker.channel, worker.loop, NULL, o->channel);
        veil_op_init(&worker.receive, &worker.channel, worker_received);
        worker_receive();
    } else {
        veil_due_changed = worker_due_changed;
    }
}

static veil_rc_t
worker_say_ready(const veil_worker_options_t *o)
{
    int rc;

    worker.state = WORKER_WAITING;
    worker_beat(&worker.beat);
    VEIL_FAULT("worker.prepared");
    veil_board_state(VEIL_BOARD_WAITING);
    if (worker.alone) {
        if (o->ready(o->data) != VEIL_OK) {
            return VEIL_ERROR;
        }
        worker_start();
        veil_prepare_started();
        return VEIL_OK;
    }
    rc = veil_channel_send(o->channel, VEIL_MSG_READY, NULL, 0, NULL, 0);
    if (rc < 0) {
        veil_log(worker.log, VEIL_LOG_ALERT, -rc,
                 "worker %u cannot reach its keeper", worker.slot);
        return VEIL_ERROR;
    }
    return VEIL_OK;
}

/* --- the end ------------------------------------------------------------ */

static void
worker_handle_closed(veil_handle_t *h)
{
    (void) h; /* static memory */
}

static void
worker_leave(void)
{
    unsigned turns;
    uint64_t until;
    unsigned i;

    worker.state = WORKER_LEAVING;
    veil_board_state(VEIL_BOARD_LEAVING);
    veil_timer_cancel(&worker.deadline);
    veil_timer_cancel(&worker.beat);
    veil_timer_cancel(&worker.due);
    veil_due_changed = NULL;
    veil_control_calls_stop();

    for (i = veil_modules_count(); i-- > 0;) {
        if (veil_modules[i]->core != NULL
            && veil_modules[i]->core->exit_worker != NULL)
        {
            veil_modules[i]->core->exit_worker(veil_cycle);
        }
    }
    veil_resolvers_stop(worker.loop);
    veil_offload_stop(worker.loop);

    veil_handle_close(&worker.signals, worker_handle_closed);
    if (!worker.alone) {
        veil_control_events_to(-1, 0, 0);
        veil_handle_close(&worker.channel, worker_handle_closed);
    }
    until = veil_now_ms() + WORKER_LEAVE_MS;
    for (turns = 0; (worker.loop->nops != 0 || worker.loop->nhandles != 0)
                    && (turns < WORKER_LEAVE_TURNS || veil_now_ms() < until);
         turns++)
    {
        veil_loop_turn(worker.loop, 50);
    }
    veil_leftover_loop(worker.loop, worker.log);
    veil_ktls_log_stats(worker.log);
    veil_cycle_flush_logs(veil_cycle);

    if (worker.loop->nops == 0) {
        veil_cycle->loop = NULL;
        veil_loop_destroy(&worker.loop);
    }
    veil_conn_trim();
    veil_tls_trim();
    veil_syslog_close_all();
    veil_leftover_report(worker.log);
    veil_log(worker.log, VEIL_LOG_NOTICE, 0, "exit");
}

int
veil_worker_run(const veil_worker_options_t *o)
{
    int signals = -1;

    veil_leftover_begin();

    if (worker_init(o, &signals) != VEIL_OK) {
        return VEIL_WORKER_FAILED;
    }
    worker_open_handles(o, signals);

    if (worker_init_modules() != VEIL_OK || worker_say_ready(o) != VEIL_OK) {
        return VEIL_WORKER_FAILED;
    }
    while (!worker.abandoned
           && !(worker.state >= WORKER_DRAINING && worker_is_idle()))
    {
        veil_loop_turn(worker.loop, -1);
        worker_say_quiet();
    }
    if (worker.abandoned) {
        /* Handles are in use; the kernel closes what is left. */
        veil_cycle_flush_logs(veil_cycle);
        return 0;
    }
    worker_leave();
    return 0;
}
