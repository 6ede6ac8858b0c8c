/*
 * upgrade_pass.c -- two masters, of which the new one serves.
 *
 * The old one is there as long as its connections are, or until it is told to
 * end.  What it holds it holds for a way back: the addresses that both have,
 * the zones, the text.  It serves again when the new one dies, when it gives
 * the server back, or (nginx's procedure) when it is told to end.
 *
 * Masters that drain may be several, each the child of the one before.  The
 * newest tells its parent that there is no way back to it; too many behind
 * means little time.
 */

#include "core/platform.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include "core/pool.h"
#include "core/time.h"
#include "core/version.h"
#include "process/control/control_server.h"
#include "process/master_state.h"
#include "process/notify.h"
#include "process/pidfile.h"
#include "process/spawn.h"
#include "process/upgrade/heir.h"
#include "process/upgrade/left.h"
#include "process/upgrade/takeover.h"
#include "process/upgrade/upgrade_state.h"

/* Masters that drain at the same time; the oldest is hurried. */
#define UPGRADE_BACK_MAX 4
#define UPGRADE_HURRY_MS 10000

static const veil_master_load_t upgrade_pass_text = { .cause =
                                                          VEIL_RELOAD_RESTART,
                                                      .from_text = true };

/* --- passing --------------------------------------------------------------
 */

static json_t *
upgrade_pass_result(const veil_link_message_t *m)
{
    static const char *const modes[] = {
        [VEIL_UPGRADE_LEAVES] = "leaves",
        [VEIL_UPGRADE_KEEPS] = "is kept",
        [VEIL_UPGRADE_SERVES] = "serves too",
    };

    return json_pack("{s:{s:i, s:s}, s:{s:i, s:s, s:s}, s:I, s:I, s:s}", "old",
                     "pid", (int) getpid(), "version", VEIL_SERVER_NAME, "new",
                     "pid", (int) veil_upgrade.pid, "version",
                     veil_upgrade.version, "program", veil_upgrade.program,
                     "generation", (json_int_t) veil_link_number(m, "gen"),
                     "elapsed_ms",
                     (json_int_t) (veil_now_ms() - veil_upgrade.began_ms),
                     "old_master", modes[veil_upgrade.mode]);
}

/* Which addresses both have: by the state that came with the message. */
static void
upgrade_pass_share(int fd)
{
    const veil_list_t *n;
    veil_handover_t h;
    const char *why;
    struct stat st;
    void *data = MAP_FAILED;

    veil_handover_init(&h);
    if (fstat(fd, &st) == 0 && st.st_size > 0) {
        data = mmap(NULL, (size_t) st.st_size, PROT_READ, MAP_PRIVATE, fd, 0);
    }
    if (data != MAP_FAILED) {
        if (veil_handover_decode(&h, data, (size_t) st.st_size, &why)) {
            for (n = h.listens.next; n != &h.listens; n = n->next) {
                veil_hold_share(
                    &veil_master.hold,
                    &((const veil_handover_listen_t *) (const void *) n)->key);
            }
        }
        (void) munmap(data, (size_t) st.st_size);
    }
    veil_handover_done(&h);
}

/* The pid file is the new master's; ours has another name or none. */
static void
upgrade_pass_pid_file(void)
{
    char path[PATH_MAX];
    char *mine = veil_master.pid_path;

    if (mine == NULL) {
        return;
    }
    veil_upgrade_old_path(path, sizeof(path), mine);
    veil_pidfile_remove(mine); /* if the new one has its own elsewhere */
    veil_master_forget_pid_file();
    if (veil_upgrade.mode != VEIL_UPGRADE_LEAVES) {
        veil_master.pid_path = veil_alloc(strlen(path) + 1);
        memcpy(veil_master.pid_path, path, strlen(path) + 1);
    }
}

static void
upgrade_pass_drain_serving(void)
{
    veil_generation_t *g = veil_master.serving;

    veil_master.serving = NULL;
    veil_master.restart_ms = 0;
    if (g != NULL) {
        veil_master_drain(g, g->settings.worker_shutdown_timeout_ms);
    }
}

void
veil_upgrade_pass(const veil_link_message_t *m)
{
    veil_upgrade.state = UPGRADE_PASSED;
    veil_upgrade.deadline_ms = 0;
    veil_upgrade.told_go = false;
    veil_upgrade.released = false;
    veil_upgrade.returning = false;
    veil_upgrade.told_stop = false;
    veil_upgrade.winch = false;
    if (veil_link_number(m, "gen") > veil_master.last_number) {
        veil_master.last_number = veil_link_number(m, "gen");
    }
    if (m->fd >= 0) {
        upgrade_pass_share(m->fd);
    }
    upgrade_pass_pid_file();
    veil_title_set("master process replaced by %d %s", (int) veil_upgrade.pid,
                   veil_title_command());
    (void) veil_notify("MAINPID=%d", (int) veil_upgrade.pid);
    (void) veil_link_send(veil_upgrade.fd, -1, "MAIN");
    veil_log(&veil_master.log, VEIL_LOG_NOTICE, 0,
             "process %d, %s, serves; this master %s", (int) veil_upgrade.pid,
             veil_upgrade.version,
             veil_upgrade.mode == VEIL_UPGRADE_LEAVES
                 ? "ends with its last connection"
             : veil_upgrade.mode == VEIL_UPGRADE_KEEPS ? "stays for a way back"
                                                       : "serves beside it");
    if (veil_upgrade.mode != VEIL_UPGRADE_SERVES) {
        veil_hold_close_unshared(&veil_master.hold);
        upgrade_pass_drain_serving();
    }
    /* Of three masters the first has no way back. */
    veil_takeover_release(1);
    veil_upgrade_serve(false);
    veil_control_server_move(veil_upgrade.pid);
    if (veil_upgrade.call != NULL) {
        veil_upgrade.call->data = upgrade_pass_result(m);
    }
    veil_upgrade_answer(VEIL_CONTROL_DONE);
    if (veil_master.reload_wanted) {
        veil_master.reload_wanted = false;
        (void) kill(veil_upgrade.pid, SIGHUP);
    }
}

/* --- the way back ------------------------------------------------------- */

/*
 * A generation serves, and from all sockets.  The new master may have bound
 * more of them, for more workers; what is queued there waits for workers of
 * ours, which share out the surplus as after any reload.
 */
static bool
upgrade_pass_accepts(void)
{
    return veil_master.serving != NULL
           && !veil_hold_has_added(&veil_master.hold);
}

/* This master serves again, whatever became of the new one. */
static void
upgrade_pass_come_back(void)
{
    veil_upgrade_close();
    veil_upgrade.state = UPGRADE_IDLE;
    veil_upgrade.returning = false;
    veil_title_set("master process %s", veil_title_command());
    veil_hold_unshare(&veil_master.hold);
    veil_hold_resteer(&veil_master.hold, &veil_master.log);
    veil_upgrade_serve(true);
    if (veil_master.serving != NULL) {
        veil_upgrade_restore_pid_file();
    }
    if (!upgrade_pass_accepts() && veil_master.loading == NULL) {
        (void) veil_master_load(&upgrade_pass_text);
    }
}

/* It serves, as it was asked to by the new master. */
static void
upgrade_pass_returned(const veil_generation_t *g)
{
    (void) veil_link_send(veil_upgrade.fd, -1,
                          "BACK gen=%llu pid=%d v=" VEIL_SERVER_NAME,
                          (unsigned long long) g->number, (int) getpid());
    veil_left_add(veil_upgrade.pid);
    veil_upgrade.pid = 0;
    upgrade_pass_come_back();
}

static void
upgrade_pass_rollback(const veil_link_message_t *m)
{
    if (veil_upgrade.released || veil_master.stopping) {
        (void) veil_link_send(veil_upgrade.fd, -1, "STAY why=it ends");
        return;
    }
    if (veil_link_number(m, "gen") > veil_master.last_number) {
        veil_master.last_number = veil_link_number(m, "gen");
    }
    veil_log(&veil_master.log, VEIL_LOG_NOTICE, 0,
             "process %d gives the server back", (int) veil_upgrade.pid);
    veil_upgrade.returning = true;
    if (upgrade_pass_accepts()) {
        upgrade_pass_returned(veil_master.serving);
    } else if (veil_master.loading == NULL) {
        (void) veil_master_load(&upgrade_pass_text);
        if (veil_master.loading == NULL) {
            veil_upgrade_load_failed();
        }
    }
}

void
veil_upgrade_served(const veil_generation_t *g)
{
    if (veil_upgrade.returning) {
        upgrade_pass_returned(g);
    } else if (veil_upgrade.winch && veil_upgrade_is_kept()) {
        upgrade_pass_drain_serving();
    }
    veil_upgrade.winch = false;
}

void
veil_upgrade_load_failed(void)
{
    veil_upgrade.winch = false;
    if (veil_upgrade.returning) {
        veil_upgrade.returning = false;
        (void) veil_link_send(veil_upgrade.fd, -1,
                              "STAY why=its configuration does not start any "
                              "more, see the error log");
    }
}

/* --- what the new master says ------------------------------------------- */

static void
upgrade_pass_release(const veil_link_message_t *m)
{
    unsigned back = (unsigned) veil_link_number(m, "back");
    veil_generation_t *g;
    veil_list_t *n;

    veil_upgrade.released = true;
    veil_heir_stand_by(false);
    veil_takeover_release(back + 1);
    /* One that is kept is not: there is a newer one to go back to. */
    upgrade_pass_drain_serving();
    if (back <= UPGRADE_BACK_MAX) {
        return;
    }
    veil_list_foreach (n, &veil_master.generations) {
        g = veil_list_entry(n, veil_generation_t, link);
        veil_master_drain(g, UPGRADE_HURRY_MS);
    }
}

/* The message's descriptor is its reader's. */
static void
upgrade_pass_slot(const veil_link_message_t *m)
{
    int fd = fcntl(m->fd, F_DUPFD_CLOEXEC, 3);

    if (fd >= 0) {
        (void) veil_hold_add_slot(&veil_master.hold, fd,
                                  (unsigned) veil_link_number(m, "at"));
    }
}

void
veil_upgrade_hear(const veil_link_message_t *m)
{
    veil_master_reopened_t reopened = { 0, 0 }; /* failures are logged */

    if (veil_link_is(m, "REOPEN")) {
        veil_master_reopen_logs(&reopened);
    } else if (veil_link_is(m, "STOP")) {
        veil_upgrade.told_stop = true;
        /* Both end: the files of sockets are this one's to remove. */
        veil_hold_unshare(&veil_master.hold);
        veil_master_stop(veil_link_number(m, "ms"));
    } else if (veil_link_is(m, "SLOT") && m->fd >= 0) {
        upgrade_pass_slot(m);
    } else if (veil_link_is(m, "RELEASE")) {
        upgrade_pass_release(m);
    } else if (veil_link_is(m, "ROLLBACK")) {
        upgrade_pass_rollback(m);
    } else if (veil_link_is(m, "LEAVING") && !veil_upgrade.released) {
        veil_log(&veil_master.log, VEIL_LOG_NOTICE, 0,
                 "process %d ends, this master serves again",
                 (int) veil_upgrade.pid);
        veil_left_add(veil_upgrade.pid);
        veil_upgrade.pid = 0;
        upgrade_pass_come_back();
    }
}

/* The one that serves has ended while this one is still there. */
void
veil_upgrade_lost(const char *how)
{
    pid_t pid = veil_upgrade.pid;

    veil_upgrade.pid = 0;
    if (veil_upgrade.released || veil_upgrade.told_stop
        || veil_master.stopping) {
        veil_upgrade_close();
        return;
    }
    veil_log(&veil_master.log, VEIL_LOG_ALERT, 0,
             "the new master %d %s, this one serves again", (int) pid, how);
    upgrade_pass_come_back();
    (void) veil_notify("MAINPID=%d", (int) getpid());
}

/* --- signals ------------------------------------------------------------ */

bool
veil_upgrade_on_hup(void)
{
    if (veil_upgrade.state != UPGRADE_PASSED) {
        return false;
    }
    if (veil_upgrade.mode == VEIL_UPGRADE_LEAVES || veil_upgrade.released) {
        veil_log(&veil_master.log, VEIL_LOG_NOTICE, 0,
                 "process %d is the master now, the signal is for it",
                 (int) veil_upgrade.pid);
    } else if (veil_master.serving == NULL && veil_master.loading == NULL
               && !veil_master.stopping)
    {
        (void) veil_master_load(&upgrade_pass_text);
    }
    veil_upgrade.winch = false; /* the last word counts */
    return true;
}

bool
veil_upgrade_on_winch(void)
{
    if (!veil_upgrade_is_kept()) {
        return false;
    }
    upgrade_pass_drain_serving();
    veil_upgrade.winch = veil_master.loading != NULL;
    return true;
}

void
veil_upgrade_leave(void)
{
    veil_title_set("master process is shutting down %s", veil_title_command());
    veil_hold_done(&veil_master.hold, true);
    upgrade_pass_drain_serving();
}
