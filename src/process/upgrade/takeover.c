/*
 * takeover.c -- a master that takes over from another.
 *
 * It was executed by the old master with a state and one end of a link:
 *
 *     ADOPTING -> STARTING -> ASKING --GO--> SERVING --rollback--> LEAVING
 *
 * It takes the old one's sockets and zones into its hold and starts a
 * generation as any master does.  When the workers are ready it asks, and
 * serves when it is told GO.  That moment is the old master's to decide, as
 * it may have given up waiting; but an old master that is dead cannot decide,
 * and then somebody has to serve.
 *
 * What serves is told by the link: as long as the old master's end is open
 * there is somebody who would serve again.  Files of unix sockets stay while
 * both have them.  How the old one goes on is its own affair (upgrade.c).
 *
 * Whatever fails ends this process with a status that is not 0.
 */

#include "core/platform.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include "core/fault.h"
#include "core/pool.h"
#include "core/time.h"
#include "core/version.h"
#include "process/control/control_server.h"
#include "process/master_state.h"
#include "process/notify.h"
#include "process/upgrade/heir.h"
#include "process/upgrade/link.h"
#include "process/upgrade/takeover.h"
#include "process/upgrade/upgrade.h"
#include "process/upgrade/upgrade_exec.h"

/* What an old master may need beyond shutdown_timeout: see master.c. */
#define TAKEOVER_STOP_MS (VEIL_MASTER_GRACE_MS + 5000)

typedef enum {
    TAKEOVER_NONE,
    TAKEOVER_STARTING,
    TAKEOVER_ASKING, /* READY was said */
    TAKEOVER_GO,
    TAKEOVER_SERVING,
    TAKEOVER_LEAVING /* the old one serves again */
} takeover_state_t;

static struct {
    takeover_state_t state;
    bool named;       /* by the environment */
    int64_t state_fd; /* as named; not to be trusted */
    int64_t link_fd;
    int link; /* -1: the old master is gone */
    veil_handover_t h;
    bool stopped;              /* STOP was said */
    veil_control_call_t *call; /* of a rollback */
    uint64_t began_ms;         /* when that was asked for */
    uint64_t deadline_ms;      /* of that, or of the old one's end; 0: none */
} takeover = { .link = -1 };

/* --- reading the state -------------------------------------------------- */

static bool
takeover_read(int fd, const char **why)
{
    struct stat st;
    void *data;
    bool ok;
    int seals = fcntl(fd, F_GET_SEALS);

    *why = "it is no sealed state";
    if (seals < 0 || (seals & F_SEAL_WRITE) == 0 || fstat(fd, &st) != 0
        || st.st_size <= 0 || st.st_size > VEIL_HANDOVER_MAX)
    {
        return false;
    }
    data = mmap(NULL, (size_t) st.st_size, PROT_READ, MAP_PRIVATE, fd, 0);
    if (data == MAP_FAILED) {
        *why = "its state cannot be mapped";
        return false;
    }
    ok = veil_handover_decode(&takeover.h, data, (size_t) st.st_size, why);
    (void) munmap(data, (size_t) st.st_size);
    return ok;
}

void
veil_takeover_environment(void)
{
    const char *value = getenv(VEIL_UPGRADE_ENV);
    veil_str_t rest;

    if (value == NULL) {
        return;
    }
    rest = veil_str_z(value);
    takeover.named = true;
    takeover.state_fd = veil_str_to_int(veil_str_cut(&rest, ','));
    takeover.link_fd = veil_str_to_int(rest); /* -1, none, is no number */
    (void) unsetenv(VEIL_UPGRADE_ENV);
}

int
veil_takeover_open(const char **why)
{
    if (!takeover.named) {
        return 0;
    }
    veil_handover_init(&takeover.h);
    if (takeover.state_fd < 3 || takeover.state_fd > INT32_MAX
        || takeover.link_fd > INT32_MAX)
    {
        *why = "the environment variable " VEIL_UPGRADE_ENV " makes no sense";
        return -1;
    }
    if (!takeover_read((int) takeover.state_fd, why)) {
        return -1;
    }
    close((int) takeover.state_fd);
    takeover.link = takeover.link_fd < 0 ? -1 : (int) takeover.link_fd;
    takeover.state = TAKEOVER_STARTING;
    return 1;
}

bool
veil_takeover_is(void)
{
    return takeover.state != TAKEOVER_NONE;
}

bool
veil_takeover_detach(void)
{
    return takeover.h.detach;
}

/* --- adopting ----------------------------------------------------------- */

static bool
takeover_close_on_exec(int fd)
{
    return fcntl(fd, F_SETFD, FD_CLOEXEC) == 0;
}

/* Whether these are sockets; an address without one is no address. */
static veil_rc_t
takeover_adopt_listen(const veil_handover_listen_t *l)
{
    struct stat st;
    unsigned i;

    for (i = 0; i < l->n; i++) {
        if (!takeover_close_on_exec(l->fds[i]) || fstat(l->fds[i], &st) != 0
            || !S_ISSOCK(st.st_mode))
        {
            veil_log(&veil_master.log, VEIL_LOG_EMERG, 0,
                     "the old master's descriptor %d is no socket", l->fds[i]);
            return VEIL_ERROR;
        }
    }
    veil_hold_adopt_listen(&veil_master.hold, &l->key, l->fds, l->n,
                           l->steered);
    return VEIL_OK;
}

static veil_rc_t
takeover_adopt_zone(const veil_handover_zone_t *z)
{
    struct stat st;

    if (!takeover_close_on_exec(z->fd) || fstat(z->fd, &st) != 0
        || (uint64_t) st.st_size != z->key.size)
    {
        veil_log(&veil_master.log, VEIL_LOG_EMERG, 0,
                 "the old master's descriptor %d is not the zone \"%s\"",
                 z->fd, z->key.name);
        return VEIL_ERROR;
    }
    veil_hold_adopt_zone(&veil_master.hold, &z->key, z->fd);
    return VEIL_OK;
}

veil_rc_t
veil_takeover_adopt(void)
{
    const veil_handover_t *h = &takeover.h;
    const veil_list_t *n;
    int fd;

    if (takeover.state == TAKEOVER_NONE) {
        return VEIL_OK;
    }
    VEIL_FAULT("upgrade.adopt");
    if (takeover.link < 0 || !takeover_close_on_exec(takeover.link)) {
        veil_log(&veil_master.log, VEIL_LOG_EMERG, 0,
                 "there is no line to the old master");
        return VEIL_ERROR;
    }
    for (n = h->listens.next; n != &h->listens; n = n->next) {
        if (takeover_adopt_listen((const void *) n) != VEIL_OK) {
            return VEIL_ERROR;
        }
    }
    for (n = h->zones.next; n != &h->zones; n = n->next) {
        if (takeover_adopt_zone((const void *) n) != VEIL_OK) {
            return VEIL_ERROR;
        }
    }
    for (n = h->extras.next; n != &h->extras; n = n->next) {
        fd = ((const veil_handover_extra_t *) (const void *) n)->fd;
        if (fd >= 0 && !takeover_close_on_exec(fd)) {
            veil_log(&veil_master.log, VEIL_LOG_EMERG, errno,
                     "the old master's descriptor %d is not open", fd);
            return VEIL_ERROR;
        }
    }
    veil_master.last_number = h->generation;
    veil_master.text_fd = veil_takeover_fd("text");
    veil_log(&veil_master.log, VEIL_LOG_NOTICE, 0,
             "taking over from process %d, %s", (int) h->pid,
             h->version == NULL ? "?" : h->version);
    VEIL_FAULT("upgrade.adopted");
    return VEIL_OK;
}

int
veil_takeover_fd(const char *name)
{
    veil_handover_extra_t *x;
    int fd = -1;

    if (takeover.state != TAKEOVER_NONE) {
        x = veil_handover_extra(&takeover.h, name);
        if (x != NULL) {
            fd = x->fd;
            x->fd = -1;
        }
    }
    return fd;
}

veil_str_t
veil_takeover_data(const char *name)
{
    const veil_handover_extra_t *x =
        takeover.state == TAKEOVER_NONE
            ? NULL
            : veil_handover_extra(&takeover.h, name);

    return x == NULL ? VEIL_STR("") : veil_str_n(x->data, x->len);
}

/* What nobody wanted. */
static void
takeover_close_extras(void)
{
    veil_handover_extra_t *x;
    veil_list_t *n;

    veil_list_foreach (n, &takeover.h.extras) {
        x = veil_list_entry(n, veil_handover_extra_t, link);
        if (x->fd >= 0) {
            close(x->fd);
            x->fd = -1;
        }
    }
}

/* --- starting ----------------------------------------------------------- */

bool
veil_takeover_may_serve(void)
{
    if (takeover.state == TAKEOVER_STARTING && takeover.link >= 0) {
        VEIL_FAULT("upgrade.ready");
        takeover.state = TAKEOVER_ASKING;
        /* If this does not arrive, the old one's deadline ends us. */
        (void) veil_link_send(takeover.link, -1, "READY");
    }
    return takeover.state != TAKEOVER_ASKING;
}

void
veil_takeover_served(const veil_generation_t *g)
{
    veil_handover_t h;
    int fd;

    if (takeover.state == TAKEOVER_NONE || takeover.state >= TAKEOVER_SERVING)
    {
        return;
    }
    takeover.state = TAKEOVER_SERVING;
    takeover_close_extras();
    if (takeover.link < 0) {
        (void) veil_notify("MAINPID=%d\nREADY=1", (int) getpid());
        veil_upgrade_serve(true);
        return;
    }
    VEIL_FAULT("upgrade.serving");
    veil_handover_init(&h);
    veil_upgrade_describe(&h);
    fd = veil_upgrade_seal(&h);
    veil_handover_done(&h);
    /* Without its state the old one takes all addresses for shared. */
    (void) veil_link_send(takeover.link, fd < 0 ? -1 : fd,
                          "SERVING gen=%llu pid=%d v=" VEIL_SERVER_NAME,
                          (unsigned long long) g->number, (int) getpid());
    if (fd >= 0) {
        close(fd);
    }
    veil_upgrade_serve(true);
    VEIL_FAULT("upgrade.served");
}

static void
takeover_share_listen(const veil_hold_listen_view_t *v, void *data)
{
    veil_handover_listen_t *l;
    veil_list_t *n;

    (void) data;
    veil_list_foreach (n, &takeover.h.listens) {
        l = veil_list_entry(n, veil_handover_listen_t, link);
        if (!veil_hold_listen_is_same(&l->key, v->key)) {
            continue;
        }
        /* n counts what it has; what does not get through is tried again. */
        while (
            l->n < v->n
            && veil_link_send(takeover.link, v->fds[l->n], "SLOT at=%u", l->n)
                   == 0)
        {
            l->n++;
        }
    }
}

static void
takeover_share_zone(const veil_hold_zone_view_t *v, void *data)
{
    (void) v; /* zones that are new are not of the old one's configuration */
    (void) data;
}

void
veil_takeover_share(void)
{
    if (veil_takeover_has_old() && takeover.state == TAKEOVER_SERVING) {
        veil_hold_each(&veil_master.hold, takeover_share_listen,
                       takeover_share_zone, NULL);
    }
}

void
veil_takeover_failed(const char *why)
{
    if (takeover.link >= 0 && takeover.state != TAKEOVER_NONE
        && takeover.state < TAKEOVER_SERVING)
    {
        (void) veil_link_send(takeover.link, -1, "FAIL why=%s", why);
    }
}

/* --- beside the old one ------------------------------------------------- */

bool
veil_takeover_has_old(void)
{
    return takeover.link >= 0 && takeover.state >= TAKEOVER_SERVING;
}

pid_t
veil_takeover_old(void)
{
    return veil_takeover_has_old() ? takeover.h.pid : 0;
}

const char *
veil_takeover_old_state(void)
{
    static const char *const states[] = {
        [VEIL_UPGRADE_LEAVES] = "draining",
        [VEIL_UPGRADE_KEEPS] = "kept",
        [VEIL_UPGRADE_SERVES] = "serving",
    };

    return states[takeover.h.mode];
}

bool
veil_takeover_keeps_old(void)
{
    return veil_takeover_has_old() && takeover.h.mode != VEIL_UPGRADE_LEAVES;
}

bool
veil_takeover_shares(void)
{
    return takeover.link >= 0 || takeover.state == TAKEOVER_LEAVING;
}

bool
veil_takeover_waits(void)
{
    return veil_takeover_has_old() && takeover.state == TAKEOVER_SERVING
           && (takeover.deadline_ms != 0 || veil_upgrade_is_over());
}

bool
veil_takeover_is_leaving(void)
{
    return takeover.state == TAKEOVER_LEAVING;
}

unsigned
veil_takeover_poll(struct pollfd *fds)
{
    if (takeover.link < 0) {
        return 0;
    }
    fds[0] = (struct pollfd){ .fd = takeover.link, .events = POLLIN };
    return 1;
}

static void
takeover_answer(veil_control_rc_t rc)
{
    veil_control_call_t *call = takeover.call;

    takeover.call = NULL;
    takeover.deadline_ms = 0;
    if (call != NULL) {
        veil_control_done(call, rc);
    }
}

static void
takeover_answer_failed(const char *code, const char *why)
{
    veil_log(&veil_master.log, VEIL_LOG_ERR, 0,
             "the old master does not serve again: %s", why);
    if (takeover.call != NULL) {
        (void) veil_control_fail(takeover.call, code,
                                 "the old master does not serve again: %s",
                                 why);
    }
    takeover_answer(VEIL_CONTROL_FAILED);
}

/* The control socket is the old master's again. */
static void
takeover_pass_back(void)
{
    veil_upgrade_serve(false);
    veil_heir_stand_by(false);
    veil_control_server_move(takeover.h.pid);
}

/* It serves again: this master ends with its connections. */
static void
takeover_on_back(const veil_link_message_t *m)
{
    veil_str_t version = veil_link_value(m, "v");
    int pid = (int) veil_link_number(m, "pid");

    veil_log(&veil_master.log, VEIL_LOG_NOTICE, 0,
             "the old master %d serves again, this one ends with its last "
             "connection",
             pid);
    if (takeover.call != NULL) {
        takeover.call->data = json_pack(
            "{s:{s:i, s:s%}, s:{s:i, s:s}, s:I, s:I, s:s}", "serves", "pid",
            pid, "version", version.data, version.len, "left", "pid",
            (int) getpid(), "version", VEIL_SERVER_NAME, "generation",
            (json_int_t) veil_link_number(m, "gen"), "elapsed_ms",
            (json_int_t) (veil_now_ms() - takeover.began_ms), "mode",
            "rollback");
    }
    (void) veil_notify("MAINPID=%d", pid);
    takeover.state = TAKEOVER_LEAVING;
    takeover_pass_back();
    takeover_answer(VEIL_CONTROL_DONE);
    veil_upgrade_leave();
}

static void
takeover_on_message(const veil_link_message_t *m)
{
    char why[512];

    if (veil_link_is(m, "GO") && takeover.state == TAKEOVER_ASKING) {
        VEIL_FAULT("upgrade.go");
        takeover.state = TAKEOVER_GO;
    } else if (veil_link_is(m, "MAIN")) {
        (void) veil_notify("READY=1\nSTATUS=Serving, " VEIL_SERVER_NAME);
    } else if (veil_link_is(m, "BACK") && takeover.state == TAKEOVER_SERVING) {
        takeover_on_back(m);
    } else if (veil_link_is(m, "STAY")) {
        (void) veil_str_copy_z(why, sizeof(why), veil_link_value(m, "why"));
        takeover_answer_failed(VEIL_E_FAILED, why);
    }
}

/* The old master is gone: what it had is ours alone. */
static void
takeover_old_gone(void)
{
    close(takeover.link);
    takeover.link = -1;
    if (takeover.state == TAKEOVER_LEAVING) {
        return;
    }
    veil_log(&veil_master.log, VEIL_LOG_NOTICE, 0,
             "the old master %d has ended", (int) takeover.h.pid);
    if (!veil_upgrade_is_passed()) {
        /* Else there is a third, which has it too. */
        veil_hold_unshare(&veil_master.hold);
    }
    if (takeover.state == TAKEOVER_ASKING) {
        takeover.state = TAKEOVER_GO;
    }
    if (takeover.call != NULL) {
        takeover_answer_failed(VEIL_E_FAILED, "it has ended");
    }
}

void
veil_takeover_receive(void)
{
    veil_link_message_t m;
    int rc = 1;

    while (takeover.link >= 0 && rc != -EAGAIN) {
        rc = veil_link_recv(takeover.link, &m);
        if (rc == 1) {
            if (m.fd >= 0) {
                close(m.fd); /* it has none to give */
            }
            takeover_on_message(&m);
        } else if (rc != -EAGAIN) {
            takeover_old_gone();
        }
    }
}

uint64_t
veil_takeover_due_ms(void)
{
    return takeover.deadline_ms;
}

void
veil_takeover_run_due(uint64_t now_ms)
{
    if (takeover.deadline_ms == 0 || takeover.deadline_ms > now_ms) {
        return;
    }
    if (takeover.stopped) {
        takeover.deadline_ms = 0;
        veil_log(&veil_master.log, VEIL_LOG_ALERT, 0,
                 "the old master %d does not end, not waiting for it",
                 (int) takeover.h.pid);
        return;
    }
    takeover_answer_failed(VEIL_E_TIMEOUT, "it did not answer in time");
}

/* --- what goes to it ---------------------------------------------------- */

static void
takeover_tell(const char *text)
{
    if (veil_takeover_has_old()) {
        (void) veil_link_send(takeover.link, -1, "%s", text);
    }
}

void
veil_takeover_reopen(void)
{
    takeover_tell("REOPEN");
}

void
veil_takeover_stop(uint64_t timeout_ms)
{
    if (takeover.state == TAKEOVER_LEAVING) {
        return;
    }
    if (takeover.call != NULL) {
        takeover_answer_failed(VEIL_E_CONFLICT, "this one was told to end");
    }
    /* With nginx's procedure the old one serves on, whatever we do. */
    if (veil_takeover_has_old() && takeover.h.mode == VEIL_UPGRADE_SERVES) {
        takeover_tell("LEAVING");
        takeover.state = TAKEOVER_LEAVING;
        takeover_pass_back();
    } else if (veil_takeover_has_old()) {
        (void) veil_link_send(takeover.link, -1, "STOP ms=%llu",
                              (unsigned long long) timeout_ms);
        takeover.stopped = true;
        takeover.deadline_ms = veil_now_ms() + timeout_ms + TAKEOVER_STOP_MS;
    }
}

void
veil_takeover_release(unsigned back)
{
    if (veil_takeover_has_old()) {
        (void) veil_link_send(takeover.link, -1, "RELEASE back=%u", back);
    }
}

/* --- the way back ------------------------------------------------------- */

static void
takeover_cancel(veil_control_call_t *call)
{
    (void) call;
    takeover.call = NULL; /* what was begun goes on */
}

veil_control_rc_t
veil_takeover_rollback(veil_control_call_t *call, uint64_t timeout_ms)
{
    if (!veil_takeover_has_old()) {
        veil_control_hint(call, "upgrade with keep_old to have a way back");
        return veil_control_fail(call, VEIL_E_CONFLICT,
                                 "there is no old master any more");
    }
    if (takeover.call != NULL || takeover.state != TAKEOVER_SERVING
        || veil_master.loading != NULL)
    {
        return veil_control_fail(call, VEIL_E_CONFLICT,
                                 "something else is under way");
    }
    if (call->dry_run) {
        return VEIL_CONTROL_DONE;
    }
    takeover.call = call;
    takeover.began_ms = veil_now_ms();
    takeover.deadline_ms = takeover.began_ms + timeout_ms;
    call->cancel = takeover_cancel;
    (void) veil_link_send(takeover.link, -1, "ROLLBACK gen=%llu",
                          (unsigned long long) veil_master.last_number);
    return VEIL_CONTROL_LATER;
}
