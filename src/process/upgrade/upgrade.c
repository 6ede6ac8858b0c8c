/*
 * upgrade.c -- a master that starts the program which takes over from it.
 *
 *     IDLE --> WAITING --> CHECKING --> STARTING --SERVING--> PASSED
 *      ^      (a load      (preflight)  (the new master,         |
 *      |       goes on)                  until it serves)        |
 *      +-----------<---- anything fails ----<-------------------+
 *                                   the new master dies, or is told to give
 *                                   the server back
 *
 * First the new program looks at the configuration and at the state of this
 * master and says what it thinks of them (upgrade_preflight.c).  Then it is
 * executed with the sockets, the zones and one end of a link (link.h), and
 * starts a generation of its own.  Until it says SERVING this master has
 * changed nothing but, perhaps, the name of a pid file; so there is little to
 * undo: the child is killed, and what it left is, too.
 *
 * What follows depends on who asked.  "veilctl upgrade" wants a new server:
 * this master drains and ends with its last connection.  With keep_old it
 * stays, without workers, for a way back.  USR2 is nginx's procedure: both
 * serve, and signals decide.  In all three this master is there as long as
 * its own connections are, holds the sockets, and serves again when the new
 * one dies.
 *
 * Masters that drain may be several, each the child of the one before.  The
 * newest tells its parent how far back it is; too far means little time.
 *
 * The master is a subreaper.  So what a new master leaves becomes ours, and
 * strangers among our children are what it left.
 */

#include "core/platform.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/wait.h>

#include "core/assert.h"
#include "core/pool.h"
#include "core/time.h"
#include "core/version.h"
#include "process/channel.h"
#include "process/master_state.h"
#include "process/pidfile.h"
#include "process/upgrade/left.h"
#include "process/upgrade/takeover.h"
#include "process/upgrade/upgrade_exec.h"
#include "process/upgrade/upgrade_preflight.h"
#include "process/upgrade/upgrade_state.h"

#define UPGRADE_HOOKS 8
#define UPGRADE_OLD_SUFFIX ".oldbin"

veil_upgrade_t veil_upgrade = { .fd = -1 };

static veil_upgrade_give_fn *upgrade_gives[UPGRADE_HOOKS];
static veil_upgrade_serve_fn *upgrade_serves[UPGRADE_HOOKS];

static void upgrade_start(void);

/* --- hooks -------------------------------------------------------------- */

void
veil_upgrade_on_give(veil_upgrade_give_fn *fn)
{
    unsigned i = 0;

    while (upgrade_gives[i] != NULL) {
        i++;
        VEIL_ASSERT(i < UPGRADE_HOOKS);
    }
    upgrade_gives[i] = fn;
}

void
veil_upgrade_on_serve(veil_upgrade_serve_fn *fn)
{
    unsigned i = 0;

    while (upgrade_serves[i] != NULL) {
        i++;
        VEIL_ASSERT(i < UPGRADE_HOOKS);
    }
    upgrade_serves[i] = fn;
}

void
veil_upgrade_serve(bool serves)
{
    unsigned i;

    for (i = 0; i < UPGRADE_HOOKS && upgrade_serves[i] != NULL; i++) {
        upgrade_serves[i](serves);
    }
}

/* --- the state ---------------------------------------------------------- */

static void
upgrade_add_listen(const veil_hold_listen_view_t *v, void *data)
{
    veil_handover_add_listen(data, v->key, v->fds, v->n, v->steered);
}

static void
upgrade_add_zone(const veil_hold_zone_view_t *v, void *data)
{
    veil_handover_add_zone(data, v->key, v->fd);
}

void
veil_upgrade_describe(veil_handover_t *h)
{
    unsigned i;

    h->generation = veil_master.last_number;
    h->pid = getpid();
    h->mode = veil_upgrade.mode;
    h->detach = veil_master.o->detach;
    veil_handover_set_text(&h->version, VEIL_SERVER_NAME);
    if (veil_master.pid_path != NULL) {
        veil_handover_set_text(&h->pid_path, veil_master.pid_path);
    }
    veil_hold_each(&veil_master.hold, upgrade_add_listen, upgrade_add_zone, h);
    if (veil_master.text_fd >= 0) {
        veil_handover_add_extra(h, "text", veil_master.text_fd, NULL, 0);
    }
    for (i = 0; i < UPGRADE_HOOKS && upgrade_gives[i] != NULL; i++) {
        upgrade_gives[i](h);
    }
}

/* --- what others ask ---------------------------------------------------- */

bool
veil_upgrade_is_busy(void)
{
    return veil_upgrade.state == UPGRADE_CHECKING
           || veil_upgrade.state == UPGRADE_STARTING;
}

bool
veil_upgrade_is_passed(void)
{
    return veil_upgrade.state == UPGRADE_PASSED;
}

bool
veil_upgrade_is_over(void)
{
    return veil_upgrade.state == UPGRADE_PASSED && !veil_upgrade.returning
           && (veil_upgrade.mode == VEIL_UPGRADE_LEAVES
               || veil_upgrade.released);
}

bool
veil_upgrade_is_kept(void)
{
    return veil_upgrade.state == UPGRADE_PASSED
           && veil_upgrade.mode != VEIL_UPGRADE_LEAVES;
}

const char *
veil_upgrade_pid_path(const char *path, char *buf, size_t n)
{
    if (!veil_upgrade_is_kept() || veil_upgrade.returning) {
        return path;
    }
    veil_snprintf(buf, n, "%s" UPGRADE_OLD_SUFFIX, path);
    return buf;
}

/* --- the end of it ------------------------------------------------------ */

void
veil_upgrade_close(void)
{
    if (veil_upgrade.fd >= 0) {
        close(veil_upgrade.fd);
        veil_upgrade.fd = -1;
    }
}

void
veil_upgrade_answer(veil_control_rc_t rc)
{
    veil_control_call_t *call = veil_upgrade.call;

    veil_upgrade.call = NULL;
    if (call != NULL) {
        veil_control_done(call, rc);
    }
}

/* The path with the suffix of an old master's. */
void
veil_upgrade_old_path(char *buf, size_t n, const char *path)
{
    veil_snprintf(buf, n, "%s" UPGRADE_OLD_SUFFIX, path);
}

/* The pid file is this master's again. */
void
veil_upgrade_restore_pid_file(void)
{
    char path[PATH_MAX];
    const veil_generation_t *g = veil_master.serving;

    veil_upgrade.told_go = false;
    if (g == NULL) {
        return; /* the generation that comes writes it */
    }
    if (veil_master.pid_path != NULL
        && veil_pidfile_read(veil_master.pid_path) != getpid())
    {
        veil_master_forget_pid_file();
    }
    veil_upgrade_old_path(path, sizeof(path), g->settings.pid_path);
    /* A failure is logged; serving is worth more than a file. */
    (void) veil_master_write_pid_file(g->settings.pid_path, &veil_master.log);
    veil_pidfile_remove(path);
}

/* Nothing has changed: this master goes on as before. */
static void
upgrade_failed(const char *code)
{
    veil_log(&veil_master.log, VEIL_LOG_ERR, 0,
             "the upgrade to \"%s\" failed, this master goes on: %s",
             veil_upgrade.program, veil_upgrade.why);
    veil_upgrade_close();
    veil_upgrade.state = UPGRADE_IDLE;
    veil_upgrade.deadline_ms = 0;
    veil_upgrade.pid = 0;
    veil_hold_resteer(&veil_master.hold, &veil_master.log);
    if (veil_upgrade.told_go) {
        veil_upgrade_restore_pid_file();
    }
    veil_left_purge();
    if (veil_upgrade.call != NULL) {
        (void) veil_control_fail(veil_upgrade.call, code, "%s",
                                 veil_upgrade.why);
    }
    veil_upgrade_answer(VEIL_CONTROL_FAILED);
}

/* The reason, if there is none yet. */
static void upgrade_blame(const char *code, const char *fmt, ...)
    VEIL_PRINTF(2, 3);

static void
upgrade_blame(const char *code, const char *fmt, ...)
{
    va_list ap;

    if (veil_upgrade.why[0] != '\0') {
        return;
    }
    veil_upgrade.code = code;
    va_start(ap, fmt);
    (void) veil_vsnprintf(veil_upgrade.why, sizeof(veil_upgrade.why), fmt, ap);
    va_end(ap);
}

/* Gives up: the child's end, which is waited for, is that of the upgrade. */
static void
upgrade_give_up(const char *code, const char *why)
{
    upgrade_blame(code, "%s", why);
    if (veil_upgrade.pid != 0) {
        (void) kill(veil_upgrade.pid, SIGKILL);
    } else {
        upgrade_failed(code);
    }
}

/* --- the preflight ------------------------------------------------------ */

/* The sealed state, with *h to be freed; -errno. */
static int
upgrade_write_state(veil_handover_t *h)
{
    veil_handover_init(h);
    veil_upgrade_describe(h);
    return veil_upgrade_seal(h);
}

static void
upgrade_check(void)
{
    veil_handover_t h;
    veil_upgrade_exec_t x = { .program = veil_upgrade.program,
                              .conf_path = veil_master.conf_path,
                              .preflight = true,
                              .link = -1 };
    int ends[2];
    pid_t pid;

    veil_upgrade.state = UPGRADE_CHECKING;
    veil_upgrade.output_len = 0;
    x.state_fd = upgrade_write_state(&h);
    veil_handover_done(&h);
    if (x.state_fd < 0 || pipe2(ends, O_CLOEXEC | O_NONBLOCK) != 0) {
        if (x.state_fd >= 0) {
            close(x.state_fd);
        }
        upgrade_give_up(VEIL_E_FAILED, "no memory for the state, or no pipe");
        return;
    }
    (void) fcntl(ends[1], F_SETFL, 0); /* the child's; it may wait */
    x.output = ends[1];
    pid = veil_upgrade_spawn(&x);
    close(ends[1]);
    close(x.state_fd);
    veil_upgrade.fd = ends[0];
    if (pid < 0) {
        upgrade_give_up(VEIL_E_FAILED, "fork() failed");
        return;
    }
    veil_upgrade.pid = pid;
}

/* What it says, to the end of what is there. */
static void
upgrade_read_output(void)
{
    char rest[1024];
    ssize_t n = 1;

    while (n > 0 && veil_upgrade.fd >= 0) {
        if (veil_upgrade.output_len < sizeof(veil_upgrade.output)) {
            n = read(veil_upgrade.fd,
                     veil_upgrade.output + veil_upgrade.output_len,
                     sizeof(veil_upgrade.output) - veil_upgrade.output_len);
            veil_upgrade.output_len += n > 0 ? (size_t) n : 0;
        } else {
            n = read(veil_upgrade.fd, rest, sizeof(rest));
        }
    }
    if (n == 0) {
        veil_upgrade_close();
    }
}

static void
upgrade_log_output(void)
{
    veil_str_t rest = veil_str_n(veil_upgrade.output, veil_upgrade.output_len);
    veil_str_t line;

    while (rest.len != 0) {
        line = veil_str_cut(&rest, '\n');
        if (line.len != 0) {
            veil_log(&veil_master.log, VEIL_LOG_NOTICE, 0,
                     "preflight says: %.*s", VEIL_STR_ARG(line));
        }
    }
}

static void
upgrade_checked(int status)
{
    veil_upgrade_preflight_t r;

    upgrade_read_output();
    veil_upgrade_close();
    veil_upgrade.pid = 0;
    veil_upgrade_preflight_read(
        &r, veil_str_n(veil_upgrade.output, veil_upgrade.output_len), status);
    if (veil_upgrade.why[0] != '\0' || !r.ok) {
        upgrade_log_output();
        upgrade_blame(VEIL_E_INVALID, "\"%s\" refuses: %s",
                      veil_upgrade.program, r.why);
        upgrade_failed(veil_upgrade.code);
        return;
    }
    memcpy(veil_upgrade.version, r.version, sizeof(veil_upgrade.version));
    if (!veil_upgrade.check_only) {
        upgrade_start();
        return;
    }
    veil_log(&veil_master.log, VEIL_LOG_NOTICE, 0,
             "\"%s\", %s, could take over", veil_upgrade.program, r.version);
    veil_upgrade.state = UPGRADE_IDLE;
    veil_upgrade.deadline_ms = 0;
    if (veil_upgrade.call != NULL) {
        veil_upgrade.call->data =
            json_pack("{s:s, s:s, s:b}", "program", veil_upgrade.program,
                      "version", r.version, "dry_run", 1);
    }
    veil_upgrade_answer(VEIL_CONTROL_DONE);
}

/* --- the new master ----------------------------------------------------- */

static void
upgrade_start(void)
{
    veil_upgrade_exec_t x = { .program = veil_upgrade.program,
                              .conf_path = veil_master.conf_path,
                              .output = -1 };
    veil_handover_t h;
    int ends[2];
    pid_t pid;

    veil_upgrade.state = UPGRADE_STARTING;
    if (veil_channel_pair(ends) < 0) {
        upgrade_give_up(VEIL_E_FAILED, "socketpair() failed");
        return;
    }
    x.state_fd = upgrade_write_state(&h);
    x.link = ends[1];
    x.h = &h;
    pid = x.state_fd < 0 ? x.state_fd : veil_upgrade_spawn(&x);
    veil_handover_done(&h);
    close(ends[1]);
    if (x.state_fd >= 0) {
        close(x.state_fd);
    }
    veil_upgrade.fd = ends[0];
    if (pid < 0) {
        upgrade_give_up(VEIL_E_FAILED, "fork() failed");
        return;
    }
    veil_upgrade.pid = pid;
    veil_log(&veil_master.log, VEIL_LOG_NOTICE, 0,
             "start new binary process %d, \"%s\", %s", (int) pid,
             veil_upgrade.program, veil_upgrade.version);
}

/* It is ready: this is the last moment to say no. */
static void
upgrade_on_ready(void)
{
    char path[PATH_MAX];
    int rc;

    if (veil_upgrade.why[0] != '\0') {
        return; /* it is being killed */
    }
    if (veil_upgrade.mode != VEIL_UPGRADE_LEAVES
        && veil_master.pid_path != NULL) {
        veil_upgrade_old_path(path, sizeof(path), veil_master.pid_path);
        rc = veil_pidfile_write(path);
        if (rc < 0) {
            upgrade_give_up(VEIL_E_IO, "the old pid file cannot be written");
            return;
        }
    }
    veil_upgrade.told_go = true;
    (void) veil_link_send(veil_upgrade.fd, -1, "GO");
}

/* --- what it says, and its end ------------------------------------------- */

/* Until it serves. */
static void
upgrade_on_message(const veil_link_message_t *m)
{
    if (veil_link_is(m, "READY")) {
        upgrade_on_ready();
    } else if (veil_link_is(m, "SERVING")) {
        veil_upgrade_pass(m);
    } else if (veil_link_is(m, "FAIL")) {
        upgrade_blame(VEIL_E_FAILED, "the new master failed: %.*s",
                      VEIL_STR_ARG(veil_link_value(m, "why")));
    }
}

static void
upgrade_receive_link(void)
{
    veil_link_message_t m;
    int rc = 1;

    while (veil_upgrade.fd >= 0 && rc != -EAGAIN) {
        rc = veil_link_recv(veil_upgrade.fd, &m);
        if (rc == 1) {
            if (veil_upgrade.state == UPGRADE_STARTING) {
                upgrade_on_message(&m);
            } else {
                veil_upgrade_hear(&m);
            }
            if (m.fd >= 0) {
                close(m.fd);
            }
        } else if (rc != -EAGAIN) {
            /* It ended, or is beyond help; waitpid() will say. */
            veil_upgrade_close();
        }
    }
}

void
veil_upgrade_receive(void)
{
    if (veil_upgrade.state == UPGRADE_CHECKING) {
        upgrade_read_output();
    } else if (veil_upgrade.state >= UPGRADE_STARTING) {
        upgrade_receive_link();
    }
}

unsigned
veil_upgrade_poll(struct pollfd *fds)
{
    if (veil_upgrade.fd < 0) {
        return 0;
    }
    fds[0] = (struct pollfd){ .fd = veil_upgrade.fd, .events = POLLIN };
    return 1;
}

static void
upgrade_describe_end(char *buf, size_t n, int status)
{
    if (WIFSIGNALED(status)) {
        veil_snprintf(buf, n, "was ended by signal %d", WTERMSIG(status));
    } else {
        veil_snprintf(buf, n, "exited with code %d", WEXITSTATUS(status));
    }
}

bool
veil_upgrade_child_ended(pid_t pid, int status)
{
    char how[64];

    upgrade_describe_end(how, sizeof(how), status);
    if (veil_upgrade.pid == 0 || pid != veil_upgrade.pid) {
        return veil_left_ended(pid, how);
    }
    if (veil_upgrade.state == UPGRADE_CHECKING) {
        upgrade_checked(status);
        return true;
    }
    upgrade_receive_link(); /* what it said last */
    if (veil_upgrade.pid != pid) {
        return veil_left_ended(pid, how);
    }
    if (veil_upgrade.state == UPGRADE_STARTING) {
        upgrade_blame(VEIL_E_FAILED, "the new master %s while it started",
                      how);
        upgrade_failed(veil_upgrade.code);
    } else {
        veil_upgrade_lost(how);
    }
    return true;
}

uint64_t
veil_upgrade_due_ms(void)
{
    if (veil_upgrade.state == UPGRADE_WAITING && veil_master.loading == NULL) {
        return 1; /* at once */
    }
    return veil_upgrade.deadline_ms;
}

void
veil_upgrade_run_due(uint64_t now_ms)
{
    if (veil_upgrade.state == UPGRADE_WAITING && veil_master.loading == NULL) {
        upgrade_check();
    }
    if (veil_upgrade.deadline_ms != 0 && veil_upgrade.deadline_ms <= now_ms) {
        veil_upgrade.deadline_ms = 0;
        upgrade_blame(VEIL_E_TIMEOUT, "%s within %llu ms",
                      veil_upgrade.state == UPGRADE_STARTING
                          ? "the new master did not serve"
                      : veil_upgrade.state == UPGRADE_CHECKING
                          ? "the preflight did not end"
                          : "another change did not end",
                      (unsigned long long) veil_upgrade.timeout_ms);
        upgrade_give_up(VEIL_E_TIMEOUT, "");
    }
}

/* --- beginning and stopping --------------------------------------------- */

/* Why nothing can begin now, perhaps in buf; NULL: it can. */
static const char *
upgrade_is_unfit(char *buf, size_t n)
{
    if (veil_upgrade.state == UPGRADE_PASSED) {
        return "another master serves already";
    }
    if (veil_upgrade.state != UPGRADE_IDLE) {
        return "an upgrade is under way";
    }
    if (veil_master.stopping || veil_takeover_is_leaving()) {
        return "this master is ending";
    }
    if (veil_takeover_keeps_old()) {
        (void) veil_snprintf(buf, n,
                             "the old master %d of the last upgrade is still "
                             "kept: \"veilctl upgrade --rollback\" goes back "
                             "to it, SIGQUIT to it ends it",
                             (int) veil_takeover_old());
        return buf;
    }
    if (getpid() == 1) {
        return "this is process 1 of its container, which would end with it";
    }
    return NULL;
}

static void
upgrade_cancel(veil_control_call_t *call)
{
    (void) call;
    veil_upgrade.call = NULL; /* what was begun is finished without it */
}

bool
veil_upgrade_begin(const veil_upgrade_request_t *r, const char **code,
                   const char **why)
{
    static char text[PATH_MAX + 128];
    const char *program =
        r->program == NULL ? veil_upgrade_program() : r->program;

    *code = VEIL_E_CONFLICT;
    *why = upgrade_is_unfit(text, sizeof(text));
    if (*why == NULL) {
        *code = VEIL_E_INVALID;
        *why = veil_upgrade_refuses(program, text, sizeof(text));
    }
    if (*why != NULL) {
        veil_log(&veil_master.log, VEIL_LOG_ERR, 0, "no upgrade is begun: %s",
                 *why);
        return false;
    }
    veil_upgrade.state = UPGRADE_WAITING;
    veil_upgrade.mode = r->mode;
    veil_upgrade.check_only = r->check_only;
    veil_upgrade.call = r->call;
    veil_upgrade.timeout_ms = r->timeout_ms;
    veil_upgrade.began_ms = veil_now_ms();
    veil_upgrade.deadline_ms = veil_upgrade.began_ms + r->timeout_ms;
    veil_upgrade.why[0] = '\0';
    veil_upgrade.version[0] = '\0';
    veil_upgrade.code = VEIL_E_FAILED;
    veil_upgrade.told_go = false;
    (void) veil_str_copy_z(veil_upgrade.program, sizeof(veil_upgrade.program),
                           veil_str_z(program));
    if (r->call != NULL) {
        r->call->cancel = upgrade_cancel;
    }
    veil_log(&veil_master.log, VEIL_LOG_NOTICE, 0, "changing binary to \"%s\"",
             veil_upgrade.program);
    return true;
}

void
veil_upgrade_stop(void)
{
    if (veil_upgrade.state == UPGRADE_WAITING || veil_upgrade_is_busy()) {
        upgrade_give_up(VEIL_E_CONFLICT, "this master was told to end");
    }
    veil_left_stop();
}

void
veil_upgrade_on_usr2(void)
{
    veil_upgrade_request_t r = { .timeout_ms = VEIL_UPGRADE_TIMEOUT_MS,
                                 .mode = VEIL_UPGRADE_SERVES };
    const char *code;
    const char *why;

    (void) veil_upgrade_begin(&r, &code, &why); /* it is in the log */
}
