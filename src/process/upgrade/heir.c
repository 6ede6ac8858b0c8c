/*
 * heir.c -- another master, when the one there was has died.
 *
 * A keeper whose master is killed has all that a master needs: the sockets,
 * the zones, the text of the configuration. So it plays the part of an old
 * master in an upgrade (link.h) and starts the program again, which reads the
 * kept text, starts a generation of its own, and serves; then the keeper
 * drains. Its workers accept all the while: nobody but the clients of the
 * control socket notices.
 *
 *     STARTING --READY, GO, SERVING--> SERVES, and the keeper drains
 *        |
 *     dies or fails: again, after a pause
 *
 * Where a supervisor watches the master this would be in its way: what it
 * starts could not bind, or it ends the whole group anyway. So the default is
 * to do it for daemons, whom nobody watches.
 *
 * In a reload two generations may believe that they serve. A lock on the
 * board's memory, which all of them have, decides: the other one drains.
 *
 * During an upgrade there are two masters, and when one of them dies the other
 * one serves, or serves again. So every master that would holds another lock
 * there, as a reader, which goes with it; as long as somebody does, no heir is
 * made, or one that was begun is ended before it serves.
 */

#include "core/platform.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/wait.h>

#include "core/due.h"
#include "core/module.h"
#include "core/pool.h"
#include "core/time.h"
#include "core/version.h"
#include "event/listen.h"
#include "process/channel.h"
#include "process/control/journal.h"
#include "process/prepare.h"
#include "process/show.h"
#include "process/spawn.h"
#include "process/text.h"
#include "process/upgrade/heir.h"
#include "process/upgrade/link.h"
#include "process/upgrade/takeover.h"
#include "process/upgrade/upgrade_exec.h"

typedef enum { HEIR_AUTO, HEIR_ON, HEIR_OFF } heir_wanted_t;

typedef struct {
    int wanted; /* heir_wanted_t */
} heir_conf_t;

typedef enum { HEIR_NONE, HEIR_STARTING, HEIR_SERVES } heir_state_t;

static struct {
    heir_state_t state;
    const veil_heir_options_t *o;
    pid_t pid;
    int link; /* -1: none */
    unsigned deaths;
    veil_due_t again;
} heir = { .link = -1 };

static void heir_start(void);
static void heir_give_up(void);

bool
veil_heir_is_wanted(const veil_cycle_t *cycle, bool detach)
{
    const heir_conf_t *conf = veil_core_conf(cycle, &veil_core_heir_module);

    return conf->wanted == HEIR_ON || (conf->wanted == HEIR_AUTO && detach);
}

/* --- who does it ----------------------------------------------------------
 */

/* Bytes of the board's memory that stand for something. */
#define HEIR_BYTE 0   /* its holder makes an heir */
#define HEIR_MASTER 1 /* its holders are masters that stand by */

static bool
heir_lock(off_t byte, short type)
{
    struct flock lock = {
        .l_type = type, .l_whence = SEEK_SET, .l_start = byte, .l_len = 1
    };
    veil_hold_zone_t key;
    int fd = veil_show_zone(&key);

    return fd < 0 || fcntl(fd, F_SETLK, &lock) == 0;
}

/* Another process is a master that stands by. */
static bool
heir_is_needless(void)
{
    struct flock lock = { .l_type = F_WRLCK,
                          .l_whence = SEEK_SET,
                          .l_start = HEIR_MASTER,
                          .l_len = 1 };
    veil_hold_zone_t key;
    int fd = veil_show_zone(&key);

    return fd >= 0 && fcntl(fd, F_GETLK, &lock) == 0 && lock.l_type != F_UNLCK;
}

void
veil_heir_stand_by(bool on)
{
    (void) heir_lock(HEIR_MASTER, on ? F_RDLCK : F_UNLCK);
}

/* --- the state ------------------------------------------------------------
 */

static void
heir_add_listens(veil_handover_t *h)
{
    veil_hold_listen_t key;
    veil_listen_t *l;
    veil_list_t *n;

    veil_list_foreach (n, &veil_cycle->listens) {
        l = veil_list_entry(n, veil_listen_t, link);
        veil_hold_listen_pack(&key, l);
        key.nslots = l->nslots;
        veil_handover_add_listen(h, &key, l->fds, l->nslots,
                                 l->cbpf ? l->nslots : 0);
    }
}

static void
heir_add_zones(veil_handover_t *h)
{
    veil_hold_zone_t key;
    veil_shm_zone_t *zone;
    veil_list_t *n;
    unsigned i;
    int fd;

    veil_list_foreach (n, &veil_cycle->zones) {
        zone = veil_list_entry(n, veil_shm_zone_t, link);
        veil_prepare_zone(zone, &key);
        veil_handover_add_zone(h, &key, zone->fd);
    }
    fd = veil_show_zone(&key);
    if (fd >= 0) {
        veil_handover_add_zone(h, &key, fd);
    }
    for (i = 0; i < VEIL_JOURNAL_ZONES; i++) {
        fd = veil_journal_zone(i, &key);
        if (fd >= 0) {
            veil_handover_add_zone(h, &key, fd);
        }
    }
}

/* All that the next master needs; the text's descriptor is the caller's. */
static void
heir_describe(veil_handover_t *h, int text_fd)
{
    veil_handover_init(h);
    /* Another generation may have begun to load. */
    h->generation = veil_cycle->generation + 1;
    h->pid = getpid();
    h->mode = VEIL_UPGRADE_LEAVES;
    h->detach = heir.o->detach;
    veil_handover_set_text(&h->version, VEIL_SERVER_NAME);
    heir_add_listens(h);
    heir_add_zones(h);
    veil_handover_add_extra(h, "text", text_fd, NULL, 0);
    veil_handover_add_extra(h, VEIL_TAKEOVER_FROM_TEXT, -1, "1", 1);
}

/* --- starting it ----------------------------------------------------------
 */

static void
heir_try_again(void)
{
    uint64_t pause = veil_backoff_ms(++heir.deaths);

    if (heir.link >= 0) {
        close(heir.link);
        heir.link = -1;
    }
    heir.pid = 0;
    veil_due_set(&heir.again, pause == 0 ? 1 : pause);
}

static void
heir_due(veil_due_t *due VEIL_UNUSED)
{
    if (heir_is_needless()) {
        heir_give_up();
    } else {
        heir_start();
    }
}

static pid_t
heir_spawn(int text_fd, int link)
{
    veil_upgrade_exec_t x = { .program = veil_upgrade_program(),
                              .conf_path = heir.o->conf_path,
                              .output = -1 };
    veil_handover_t h;
    pid_t pid;

    heir_describe(&h, text_fd);
    x.state_fd = veil_upgrade_seal(&h);
    x.link = link;
    x.h = &h;
    pid = x.state_fd < 0 ? x.state_fd : veil_upgrade_spawn(&x);
    if (x.state_fd >= 0) {
        close(x.state_fd);
    }
    veil_handover_done(&h);
    return pid;
}

static void
heir_start(void)
{
    int text_fd = veil_text_keep(veil_cycle->tree);
    int ends[2] = { -1, -1 };
    pid_t pid = -1;

    heir.state = HEIR_STARTING;
    if (text_fd >= 0 && veil_channel_pair(ends) == 0) {
        pid = heir_spawn(text_fd, ends[1]);
        close(ends[1]);
    }
    if (text_fd >= 0) {
        close(text_fd);
    }
    heir.link = ends[0];
    if (pid < 0) {
        veil_log(heir.o->log, VEIL_LOG_ALERT, 0,
                 "another master could not be started");
        heir_try_again();
        return;
    }
    heir.pid = pid;
    veil_log(heir.o->log, VEIL_LOG_NOTICE, 0,
             "another master is started, process %d", (int) pid);
}

bool
veil_heir_begin(const veil_heir_options_t *options)
{
    heir.o = options;
    if (heir_is_needless() || !heir_lock(HEIR_BYTE, F_WRLCK)) {
        return false;
    }
    veil_due_init(&heir.again, heir_due);
    heir_start();
    return true;
}

/* --- what it says ---------------------------------------------------------
 */

static void
heir_on_serving(const veil_link_message_t *m)
{
    heir.state = HEIR_SERVES;
    heir.deaths = 0;
    veil_log(heir.o->log, VEIL_LOG_NOTICE, 0,
             "another master, process %d, serves with generation %llu",
             (int) heir.pid, (unsigned long long) veil_link_number(m, "gen"));
    /* Its own keeper is in charge from here on. */
    (void) heir_lock(HEIR_BYTE, F_UNLCK);
    heir.o->drain(heir.o->drain_ms);
}

/* A master of an upgrade has come to serve meanwhile. */
static void
heir_give_up(void)
{
    heir.state = HEIR_SERVES; /* somebody does */
    veil_log(heir.o->log, VEIL_LOG_NOTICE, 0,
             "there is another master already, this keeper ends with its "
             "last connection");
    if (heir.pid != 0) {
        (void) kill(heir.pid, SIGKILL);
    }
    (void) heir_lock(HEIR_BYTE, F_UNLCK);
    heir.o->drain(heir.o->drain_ms);
}

static void
heir_on_message(const veil_link_message_t *m)
{
    if (veil_link_is(m, "READY")) {
        if (heir_is_needless()) {
            heir_give_up();
        } else {
            (void) veil_link_send(heir.link, -1, "GO");
        }
    } else if (veil_link_is(m, "SERVING")) {
        heir_on_serving(m);
    } else if (veil_link_is(m, "FAIL")) {
        veil_log(heir.o->log, VEIL_LOG_ALERT, 0,
                 "another master cannot serve: %.*s",
                 VEIL_STR_ARG(veil_link_value(m, "why")));
    } else if (veil_link_is(m, "REOPEN")) {
        heir.o->reopen();
    } else if (veil_link_is(m, "STOP")) {
        heir.o->drain(veil_link_number(m, "ms"));
    } else if (veil_link_is(m, "ROLLBACK")) {
        (void) veil_link_send(heir.link, -1,
                              "STAY why=the master before has died");
    }
}

unsigned
veil_heir_poll(struct pollfd *fds)
{
    if (heir.link < 0) {
        return 0;
    }
    fds[0] = (struct pollfd){ .fd = heir.link, .events = POLLIN };
    return 1;
}

void
veil_heir_receive(void)
{
    veil_link_message_t m;
    int rc = 1;

    while (heir.link >= 0 && rc != -EAGAIN) {
        rc = veil_link_recv(heir.link, &m);
        if (rc == 1) {
            if (m.fd >= 0) {
                close(m.fd); /* its state, which is for a way back */
            }
            heir_on_message(&m);
        } else if (rc != -EAGAIN) {
            close(heir.link);
            heir.link = -1;
        }
    }
}

bool
veil_heir_ended(pid_t pid, int status)
{
    if (heir.pid == 0 || pid != heir.pid) {
        return false;
    }
    veil_heir_receive(); /* its last words */
    if (heir.state == HEIR_SERVES) {
        /* What it began goes on without us, which drain. */
        heir.pid = 0;
        return true;
    }
    veil_log(heir.o->log, VEIL_LOG_ALERT, 0,
             "another master, process %d, ended %s %d before it served",
             (int) pid, WIFSIGNALED(status) ? "by signal" : "with status",
             WIFSIGNALED(status) ? WTERMSIG(status) : WEXITSTATUS(status));
    heir_try_again();
    return true;
}

/* --- the module -----------------------------------------------------------
 */

static const veil_conf_enum_t heir_words[] = {
    { "auto", HEIR_AUTO },
    { "on", HEIR_ON },
    { "off", HEIR_OFF },
    { NULL, 0 },
};

static const veil_command_t heir_commands[] = {
    { .name = "master_respawn",
      .where = VEIL_CONF_MAIN,
      .args = VEIL_ARGS_1,
      .set = veil_conf_set_enum,
      .offset = offsetof(heir_conf_t, wanted),
      .data = heir_words,
      .syntax = "auto | on | off",
      .def = "auto",
      .help = "Whether another master is started when the master was killed; "
              "auto: for a daemon, which no supervisor watches." },

    { .name = NULL },
};

static const veil_core_module_t heir_core = {
    .conf = { .size = sizeof(heir_conf_t) },
};

veil_module_t veil_core_heir_module = {
    .abi = VEIL_MODULE_ABI,
    .name = "heir",
    .commands = heir_commands,
    .core = &heir_core,
};
