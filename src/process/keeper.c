/*
 * keeper.c -- one generation: a configuration and its workers.
 *
 * A keeper is forked by the master for each configuration.  It
 *
 *   1. reads the configuration,
 *   2. asks the master for the sockets and zones it names,
 *   3. hands over the text, to be kept,
 *   4. forks the workers and waits until all are READY,
 *   5. says READY itself, and passes START on when it comes,
 *   6. replaces workers that die, until it is told to DRAIN,
 *   7. ends with its last worker.
 *
 * Whatever fails before START ends the process with a status that is not 0,
 * after logging; nothing that serves was touched by then.  The master's end
 * of the channel closing means that the master is dead: what goes on is
 * finished, and the keeper ends.
 *
 * It has no ring and no loop: rings are made after fork(), by each worker,
 * and what a keeper has to do is little.  ppoll() will do.
 */

#include "core/platform.h"

#include <poll.h>
#include <signal.h>

#include "core/board.h"
#include "core/due.h"
#include "core/fault.h"
#include "core/main_conf.h"
#include "core/module.h"
#include "core/overlay.h"
#include "core/pool.h"
#include "core/time.h"
#include "event/listen.h"
#include "process/channel.h"
#include "process/control/audit_log.h"
#include "process/control/audit_module.h"
#include "process/control/control.h"
#include "process/crew.h"
#include "process/keeper.h"
#include "process/reload/diagnostic.h"
#include "process/reload/facts.h"
#include "process/reload/preflight.h"
#include "process/signal.h"
#include "process/spawn.h"
#include "process/text.h"
#include "process/upgrade/heir.h"
#include "process/workers.h"

static struct {
    const veil_keeper_options_t *o;
    const veil_main_conf_t *conf;
    const veil_log_t *log;
    veil_log_t lent;         /* the master's, until there is one of its own */
    veil_str_t running_text; /* what serves; empty: nothing does */
    veil_str_t running_facts;
    int channel;
    int signals;
    bool started;
    bool draining;
    bool alone;         /* the master is dead */
    bool told;          /* to end, by a signal */
    bool reopen_wanted; /* REOPEN came while it loaded */
    bool failed;        /* a worker ended before START */
    veil_message_t message;
} keeper;

/* --- asking the master -------------------------------------------------- */

static veil_rc_t
keeper_send(veil_message_type_t type, const void *data, size_t len,
            const int *fds, unsigned nfds)
{
    int rc = veil_channel_send(keeper.channel, type, data, len, fds, nfds);

    if (rc < 0) {
        veil_log(keeper.log, VEIL_LOG_ALERT, -rc,
                 "the keeper cannot reach the master (%s)",
                 veil_message_name(type));
        return VEIL_ERROR;
    }
    return VEIL_OK;
}

static void
keeper_set_rules(void)
{
    const void *rules = keeper.message.data;

    if (keeper.message.len == sizeof(veil_log_rules_t)) {
        veil_log_set_rules(rules);
        veil_crew_tell(VEIL_MSG_RULES, rules, sizeof(veil_log_rules_t));
    }
}

/*
 * What the master tells all keepers may come while this one waits for an
 * answer: it is done now, or when the workers are there.
 */
static bool
keeper_is_told_besides(void)
{
    switch (keeper.message.type) {
    case VEIL_MSG_RULES:
        keeper_set_rules();
        return true;
    case VEIL_MSG_REOPEN:
        keeper.reopen_wanted = true;
        return true;
    case VEIL_MSG_CANCEL:
        return true; /* of a call that this generation was not asked */
    default:
        return false;
    }
}

/* Waits for an answer of this type. */
static veil_rc_t
keeper_expect(veil_message_type_t type)
{
    int rc;

    do {
        rc = veil_channel_recv_wait(keeper.channel, &keeper.message);
    } while (rc == 1 && keeper.message.type != type
             && keeper_is_told_besides());

    if (rc == 1 && keeper.message.type == type) {
        return VEIL_OK;
    }
    if (rc == 1) {
        veil_message_close_fds(&keeper.message);
    }
    /* The master ends, or has given this generation up: not worth a line. */
    return VEIL_ERROR;
}

static void
keeper_copy_path(char *to, veil_str_t path)
{
    veil_str_copy_z(to, VEIL_MESSAGE_PATH, path);
}

/* Files of audit records, which only the master keeps open. */
static veil_rc_t
keeper_send_audit(void)
{
    const veil_audit_message_t *m;
    veil_audit_place_t place;
    veil_rc_t rc = VEIL_OK;
    unsigned i;
    int fd;

    for (i = 0; rc == VEIL_OK; i++) {
        m = veil_audit_configured(veil_cycle, i);
        if (m == NULL) {
            break;
        }
        if (m->syslog) {
            rc = keeper_send(VEIL_MSG_AUDIT, m, sizeof(*m), NULL, 0);
            continue;
        }
        fd = veil_audit_open(m->path, keeper.log);
        if (fd < 0) {
            veil_audit_place(&place, veil_cycle, i, keeper.log);
            veil_log(&place.place.log, VEIL_LOG_EMERG, -fd,
                     "the audit log \"%s\" cannot be written", m->path);
            return VEIL_ERROR;
        }
        rc = keeper_send(VEIL_MSG_AUDIT, m, sizeof(*m), &fd, 1);
        close(fd);
    }
    return rc;
}

/* What the master must know: the pid file, the timeouts, where to log. */
static veil_rc_t
keeper_send_settings(void)
{
    const veil_log_sink_t *sink;
    veil_settings_message_t m;
    veil_log_message_t l;

    memset(&m, 0, sizeof(m));
    m.worker_shutdown_timeout_ms = keeper.conf->worker_shutdown_timeout_ms;
    m.shutdown_timeout_ms = keeper.conf->shutdown_timeout_ms;
    m.draining_memory = (uint64_t) keeper.conf->draining_memory;
    m.workers = keeper.conf->workers;
    m.control = *veil_control_settings(veil_cycle);
    keeper_copy_path(m.pid_path, keeper.conf->pid);
    if (keeper_send(VEIL_MSG_SETTINGS, &m, sizeof(m), NULL, 0) != VEIL_OK) {
        return VEIL_ERROR;
    }
    for (sink = veil_cycle->log.sinks; sink != NULL; sink = sink->next) {
        if (sink->file == NULL || sink->file->fd < 0) {
            continue;
        }
        memset(&l, 0, sizeof(l));
        l.level = (int) sink->level;
        keeper_copy_path(l.path, sink->file->path);
        if (keeper_send(VEIL_MSG_LOG, &l, sizeof(l), &sink->file->fd, 1)
            != VEIL_OK) {
            return VEIL_ERROR;
        }
    }
    return keeper_send_audit();
}

static veil_rc_t
keeper_take_sockets(veil_listen_t *l)
{
    const veil_sockets_message_t *m;
    unsigned got = 0;
    unsigned i;

    do {
        if (keeper_expect(VEIL_MSG_SOCKETS) != VEIL_OK) {
            return VEIL_ERROR;
        }
        m = (const void *) keeper.message.data;
        if (m->err != 0) {
            return VEIL_ERROR;
        }
        if (got == 0) {
            veil_prepare_slots(l, m->total);
        }
        for (i = 0; i < keeper.message.nfds && got < l->nslots; i++) {
            l->fds[got++] = keeper.message.fds[i];
            keeper.message.fds[i] = -1;
        }
        if (keeper.message.nfds == 0) {
            return VEIL_ERROR;
        }
        veil_message_close_fds(&keeper.message);
    } while (got < l->nslots);

    return VEIL_OK;
}

static veil_rc_t
keeper_open_listens(void)
{
    static veil_listen_message_t m;
    veil_rc_t rc = VEIL_OK;
    veil_listen_t *l;
    veil_list_t *n;

    /* All of them, so that one start tells all that is wrong. */
    veil_list_foreach (n, &veil_cycle->listens) {
        l = veil_list_entry(n, veil_listen_t, link);
        veil_prepare_listen(l, &m);
        veil_prepare_slots(l, 0);
        if (keeper_send(VEIL_MSG_LISTEN, &m, sizeof(m), NULL, 0) != VEIL_OK
            || keeper_take_sockets(l) != VEIL_OK)
        {
            rc = VEIL_ERROR;
        }
    }
    return rc;
}

static veil_rc_t
keeper_open_zones(void)
{
    const veil_memory_message_t *answer;
    veil_hold_zone_t m;
    veil_shm_zone_t *zone;
    veil_list_t *n;
    uint64_t fresh = 0;
    int fd;

    veil_list_foreach (n, &veil_cycle->zones) {
        zone = veil_list_entry(n, veil_shm_zone_t, link);
        veil_prepare_zone(zone, &m);
        if (keeper_send(VEIL_MSG_ZONE, &m, sizeof(m), NULL, 0) != VEIL_OK
            || keeper_expect(VEIL_MSG_MEMORY) != VEIL_OK)
        {
            return VEIL_ERROR;
        }
        answer = (const void *) keeper.message.data;
        if (answer->err == EEXIST) {
            veil_prepare_zone_refused(zone, &m, answer);
            return VEIL_ERROR;
        }
        if (answer->err != 0 || keeper.message.nfds != 1) {
            veil_log(keeper.log, VEIL_LOG_EMERG, answer->err,
                     "no memory for the zone \"%s\"", m.name);
            return VEIL_ERROR;
        }
        fd = keeper.message.fds[0];
        keeper.message.fds[0] = -1;
        fresh += answer->fresh ? zone->size : 0;
        if (veil_prepare_map_zone(zone, fd, answer->fresh) != VEIL_OK) {
            return VEIL_ERROR;
        }
    }
    veil_preflight(veil_cycle, fresh);
    return VEIL_OK;
}

static veil_rc_t
keeper_send_text(void)
{
    veil_rc_t rc;
    int fd;

    fd = veil_text_keep(veil_cycle->tree);
    if (fd < 0) {
        veil_log(keeper.log, VEIL_LOG_EMERG, -fd,
                 "keeping the configuration's text failed");
        return VEIL_ERROR;
    }
    rc = keeper_send(VEIL_MSG_TEXT, NULL, 0, &fd, 1);
    close(fd);
    return rc;
}

/* --- running ------------------------------------------------------------ */

static void
keeper_drain(uint64_t timeout_ms)
{
    if (!keeper.draining) {
        keeper.draining = true;
        veil_title_set("keeper process gen %llu is shutting down",
                       (unsigned long long) keeper.o->generation);
        /* Addresses nobody names any more shall refuse connections. */
        veil_prepare_close_listens();
    }
    veil_crew_drain(timeout_ms);
}

static void
keeper_start(void)
{
    veil_listen_t *l;
    veil_list_t *n;
    unsigned i;

    if (keeper.started || keeper.draining) {
        return;
    }
    keeper.started = true;
    veil_prepare_tell_stderr(&veil_cycle->log, false);
    veil_diagnostic_tell(&veil_cycle->log, false);
    veil_diagnostic_use(-1);
    if (keeper.o->detach) {
        veil_prepare_detach_stderr(&veil_cycle->log);
    }
    veil_list_foreach (n, &veil_cycle->listens) {
        l = veil_list_entry(n, veil_listen_t, link);
        for (i = 0; i < l->nslots; i++) {
            veil_listen_configure(l, l->fds[i], keeper.log);
        }
    }
    veil_crew_start();
    veil_prepare_started();
}

static void
keeper_reopen(void)
{
    veil_crew_reopen_logs(veil_cycle);
    if (keeper.o->detach) {
        veil_prepare_detach_stderr(&veil_cycle->log);
    }
}

/* What a new master makes this keeper do. */
static void
keeper_go_on_alone(void)
{
    static veil_heir_options_t o;

    o.drain = keeper_drain;
    o.reopen = keeper_reopen;
    o.drain_ms = keeper.conf->worker_shutdown_timeout_ms;
    o.conf_path = keeper.o->launch->conf_path.len == 0
                      ? NULL
                      : veil_cycle->conf_path.data;
    o.detach = keeper.o->detach;
    o.log = keeper.log;
    veil_log(keeper.log, VEIL_LOG_ALERT, 0,
             "the master is gone, serving on until there is another");
    if (!veil_heir_begin(&o)) {
        veil_log(keeper.log, VEIL_LOG_NOTICE, 0,
                 "another keeper or master goes on, this keeper ends with its "
                 "last connection");
        keeper_drain(o.drain_ms);
    }
}

static void
keeper_lost_master(void)
{
    if (keeper.started && veil_heir_is_wanted(veil_cycle, keeper.o->detach)) {
        keeper_go_on_alone();
        return;
    }
    veil_log(keeper.log, VEIL_LOG_ALERT, 0,
             "the master is gone, ending with the last connection");
    keeper_drain(keeper.conf->shutdown_timeout_ms);
}

static void
keeper_on_master(void)
{
    int rc;

    while ((rc = veil_channel_recv(keeper.channel, &keeper.message)) == 1) {
        switch (keeper.message.type) {
        case VEIL_MSG_START:
            keeper_start();
            break;
        case VEIL_MSG_DRAIN:
            keeper_drain(((const veil_drain_message_t *) (const void *)
                              keeper.message.data)
                             ->timeout_ms);
            break;
        case VEIL_MSG_REOPEN:
            keeper_reopen();
            break;
        case VEIL_MSG_CONTROL:
        case VEIL_MSG_CANCEL:
            veil_control_keeper_message(&keeper.message);
            break;
        case VEIL_MSG_RULES:
            keeper_set_rules();
            break;
        default:
            veil_log(keeper.log, VEIL_LOG_ALERT, 0,
                     "unexpected message %s from the master",
                     veil_message_name(keeper.message.type));
            break;
        }
        veil_message_close_fds(&keeper.message);
    }
    if (rc == -EAGAIN) {
        return;
    }
    /* It stays open, so that its number is never another one's. */
    keeper.alone = true;
    if (!keeper.draining) {
        keeper_lost_master();
    }
}

static void
keeper_reap(void)
{
    int status;
    pid_t pid;

    while ((pid = veil_spawn_reap(&status)) != 0) {
        if (!veil_heir_ended(pid, status) && !veil_crew_reap(pid, status)) {
            keeper.failed = true;
        }
    }
}

static void
keeper_on_signals(void)
{
    struct signalfd_siginfo info;

    while (veil_signals_read(keeper.signals, &info)) {
        switch (info.ssi_signo) {
        case SIGCHLD:
            keeper_reap();
            break;
        case SIGTERM:
        case SIGQUIT:
            veil_log(keeper.log, VEIL_LOG_NOTICE, 0,
                     "signal %u (SIG%s) received from %u, the keeper ends",
                     info.ssi_signo, veil_signal_name((int) info.ssi_signo),
                     info.ssi_pid);
            keeper_drain(keeper.told ? 0 : keeper.conf->shutdown_timeout_ms);
            keeper.told = true;
            break;
        case SIGUSR1:
            keeper_reopen();
            break;
        default:
            /* SIGINT: the terminal's; the master decides. */
            break;
        }
    }
}

/* Of two times to wait, -1 being for ever, the shorter. */
static int
keeper_sooner(int a, int b)
{
    return a < 0 || (b >= 0 && b < a) ? b : a;
}

static int
keeper_timeout(uint64_t now)
{
    return keeper_sooner(veil_crew_timeout(now), veil_due_timeout(now));
}

/* One round of waiting for and doing what there is to do. */
static void
keeper_turn(void)
{
    unsigned max = veil_crew_alive() + veil_crew_lookout_max() + 3;
    struct pollfd *fds = veil_alloc(max * sizeof(*fds));
    struct pollfd *sockets;
    unsigned heirs, nsockets;
    unsigned n;

    fds[0] = (struct pollfd){ .fd = keeper.signals, .events = POLLIN };
    fds[1] = (struct pollfd){ .fd = keeper.alone ? -1 : keeper.channel,
                              .events = POLLIN };
    n = veil_crew_poll(fds + 2);
    heirs = veil_heir_poll(fds + 2 + n);
    sockets = fds + 2 + n + heirs;
    nsockets = veil_crew_lookout_poll(sockets);

    veil_time_update();
    if (poll(fds, n + 2 + heirs + nsockets, keeper_timeout(veil_now_ms()))
        >= 0) {
        veil_time_update();
        VEIL_FAULT("keeper.polled");
        veil_board_beat(veil_now_ms());
        veil_crew_lookout_polled(sockets, nsockets);
        veil_crew_polled(fds + 2, n);
        if (fds[1].revents != 0) {
            keeper_on_master();
        }
        if (heirs != 0 && fds[n + 2].revents != 0) {
            veil_heir_receive();
        }
        if (fds[0].revents != 0) {
            keeper_on_signals();
        }
    }
    veil_crew_run_due(veil_now_ms());
    veil_due_run(veil_now_ms());
    veil_free(fds);
}

static int
keeper_loop(void)
{
    bool told = false;
    bool quiet = false;

    while (!keeper.failed) {
        if (!told && veil_crew_is_ready()) {
            told = true;
            VEIL_FAULT("keeper.ready");
            if (keeper.reopen_wanted) {
                keeper_reopen();
            }
            if (keeper_send(VEIL_MSG_READY, NULL, 0, NULL, 0) != VEIL_OK) {
                return 1;
            }
        }
        if (keeper.draining && !quiet && veil_crew_is_quiet()) {
            quiet = true;
            /* A master that is gone is noticed elsewhere. */
            (void) veil_channel_send(keeper.channel, VEIL_MSG_QUIET, NULL, 0,
                                     NULL, 0);
        }
        if (keeper.draining && veil_crew_alive() == 0) {
            return 0;
        }
        keeper_turn();
    }
    veil_log(keeper.log, VEIL_LOG_EMERG, 0,
             "a worker could not start, giving generation %llu up",
             (unsigned long long) keeper.o->generation);
    /* The others see the channel's end; they have no connections yet. */
    return 1;
}

/* --- preparing ---------------------------------------------------------- */

static veil_rc_t
keeper_load(void)
{
    const veil_keeper_options_t *o = keeper.o;
    veil_str_t text;
    veil_rc_t rc;
    char *data;
    int err;

    if (o->text_fd < 0) {
        return veil_prepare_load(o->launch, o->generation, NULL, keeper.log);
    }
    err = veil_text_read(o->text_fd, &data);
    if (err < 0) {
        veil_log(keeper.log, VEIL_LOG_EMERG, -err,
                 "reading the kept configuration failed");
        return VEIL_ERROR;
    }
    text = veil_str_z(data);
    rc = veil_prepare_load(o->launch, o->generation, &text, keeper.log);
    veil_free(data);
    return rc;
}

/*
 * What the master lent for the time of loading.  A file of its log that was
 * kept open here would take disk space long after its rotation.
 */
static void
keeper_close_lent(void)
{
    const veil_log_sink_t *sink;

    for (sink = keeper.o->log->sinks; sink != NULL; sink = sink->next) {
        if (sink->file != NULL && sink->file->fd > STDERR_FILENO) {
            close(sink->file->fd);
        }
    }
    if (keeper.o->text_fd >= 0) {
        close(keeper.o->text_fd);
    }
}

/*
 * What the configuration comes to, and what that changes.  While the workers
 * get ready: nobody waits for it longer than for them.
 */
static veil_rc_t
keeper_send_facts(void)
{
    json_t *facts = veil_facts_make(veil_cycle);
    json_t *diff;
    veil_rc_t rc = VEIL_ERROR;
    int fds[2];
    unsigned n = 1;
    unsigned i;

    diff = veil_facts_diff(veil_cycle, keeper.running_text,
                           keeper.running_facts, facts);
    veil_text_unmap(&keeper.running_text);
    veil_text_unmap(&keeper.running_facts);
    fds[0] = veil_facts_keep(facts);
    fds[1] = diff == NULL ? -1 : veil_facts_keep(diff);
    n += fds[1] >= 0;
    if (fds[0] >= 0) {
        rc = keeper_send(VEIL_MSG_FACTS, NULL, 0, fds, n);
    } else {
        veil_log(keeper.log, VEIL_LOG_EMERG, 0,
                 "keeping what the configuration comes to failed");
    }
    for (i = 0; i < veil_countof(fds); i++) {
        if (fds[i] >= 0) {
            close(fds[i]);
        }
    }
    json_decref(facts);
    json_decref(diff);
    return rc;
}

/* Mapped, so that workers, which are forked before it is read, have none. */
static void
keeper_map_running(void)
{
    const veil_keeper_options_t *o = keeper.o;

    if (o->running_text_fd >= 0) {
        (void) veil_text_map(o->running_text_fd, &keeper.running_text);
        close(o->running_text_fd);
    }
    if (o->running_facts_fd >= 0) {
        (void) veil_text_map(o->running_facts_fd, &keeper.running_facts);
        close(o->running_facts_fd);
    }
}

static veil_rc_t
keeper_prepare(void)
{
    veil_crew_options_t crew;

    if (keeper_load() != VEIL_OK) {
        return VEIL_ERROR;
    }
    keeper.conf = veil_main_conf(veil_cycle);
    keeper.log = &veil_cycle->log;
    veil_diagnostic_tell(&veil_cycle->log, true);
    keeper_close_lent();
    VEIL_FAULT("keeper.read");
    veil_cycle->reloading = keeper.o->reloading;

    if (keeper_send_settings() != VEIL_OK) {
        return VEIL_ERROR;
    }
    if (keeper.o->first) {
        veil_prepare_tell_stderr(&veil_cycle->log, true);
    }
    if (keeper_open_listens() != VEIL_OK || keeper_open_zones() != VEIL_OK
        || keeper_send_text() != VEIL_OK || veil_prepare_modules() != VEIL_OK)
    {
        return VEIL_ERROR;
    }
    memset(&crew, 0, sizeof(crew));
    crew.workers = keeper.conf->workers;
    crew.up = keeper.channel;
    crew.signals = keeper.signals;
    crew.detach = keeper.o->detach;
    crew.drain_ms = keeper.conf->worker_shutdown_timeout_ms;
    crew.watchdog_ms = veil_workers_conf(veil_cycle)->watchdog_ms;
    crew.log = keeper.log;
    veil_crew_init(&crew);
    veil_control_keeper_init(keeper.channel, keeper.o->generation, keeper.log);
    keeper_map_running();
    if (veil_crew_fork_all() != VEIL_OK) {
        return VEIL_ERROR;
    }
    return keeper_send_facts();
}

int
veil_keeper_run(const veil_keeper_options_t *o)
{
    keeper.o = o;
    keeper.channel = o->channel;
    keeper.lent = *o->log;
    keeper.log = &keeper.lent;
    veil_diagnostic_use(o->channel);
    veil_diagnostic_tell(&keeper.lent, true);

    veil_time_update();
    veil_title_set("keeper process gen %llu",
                   (unsigned long long) o->generation);

    keeper.signals = veil_signals_open();
    if (keeper.signals < 0) {
        veil_log(keeper.log, VEIL_LOG_EMERG, -keeper.signals,
                 "signalfd() failed");
        return 1;
    }
    if (keeper_prepare() != VEIL_OK) {
        return veil_overlay_errors() != 0 ? VEIL_KEEPER_INVALID : 1;
    }
    return keeper_loop();
}
