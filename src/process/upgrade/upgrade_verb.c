/*
 * upgrade_verb.c -- upgrades and the control socket: the verb "upgrade", and
 * the socket itself, which both masters have.
 *
 * A socket file is one listening socket, whoever accepts from it.  So the new
 * master gets the descriptor, and the one that serves accepts; the other
 * tells the clients it has that it serves no more.  The lock is of the open
 * file, and held as long as either of them is there.
 */

#include "core/platform.h"

#include "core/module.h"
#include "process/control/audit_module.h"
#include "process/control/control_server.h"
#include "process/upgrade/takeover.h"
#include "process/upgrade/upgrade.h"

#define UPGRADE_CONTROL "control"
#define UPGRADE_CONTROL_LOCK "control.lock"

/* --- the socket ---------------------------------------------------------- */

static void
upgrade_verb_give(veil_handover_t *h)
{
    const char *path;
    int fd, lock;

    veil_control_server_fds(&fd, &lock, &path);
    if (fd >= 0) {
        veil_handover_add_extra(h, UPGRADE_CONTROL, fd, path, strlen(path));
        veil_handover_add_extra(h, UPGRADE_CONTROL_LOCK, lock, NULL, 0);
    }
}

static void
upgrade_verb_serve(bool serves)
{
    veil_control_server_listen(serves);
    if (serves) {
        veil_log_rules_again();
    }
}

void
veil_upgrade_init(void)
{
    veil_upgrade_on_give(upgrade_verb_give);
    veil_upgrade_on_serve(upgrade_verb_serve);
}

void
veil_upgrade_adopt_control(void)
{
    char path[VEIL_CONTROL_PATH_MAX];
    int fd = veil_takeover_fd(UPGRADE_CONTROL);
    int lock = veil_takeover_fd(UPGRADE_CONTROL_LOCK);

    (void) veil_str_copy_z(path, sizeof(path),
                           veil_takeover_data(UPGRADE_CONTROL));
    if (fd >= 0 && lock >= 0) {
        veil_control_server_adopt(path, fd, lock);
        veil_control_server_listen(false); /* until this master serves */
    }
}

/* --- the verb ------------------------------------------------------------ */

static veil_control_rc_t
upgrade_verb_run(veil_control_call_t *call)
{
    int64_t timeout =
        veil_control_number(call, "timeout", VEIL_UPGRADE_TIMEOUT_MS);
    veil_upgrade_request_t r = {
        .program = veil_control_text(call, "binary"),
        .timeout_ms = (uint64_t) timeout,
        .mode = veil_control_flag(call, "keep_old") ? VEIL_UPGRADE_KEEPS
                                                    : VEIL_UPGRADE_LEAVES,
        .check_only = call->dry_run,
        .call = call,
    };
    const char *code;
    const char *why;

    if (timeout == 0) {
        return veil_control_fail(call, VEIL_E_ARGUMENT,
                                 "\"timeout\" must be more than 0");
    }
    if (veil_control_flag(call, "rollback")) {
        if (r.program != NULL || r.mode == VEIL_UPGRADE_KEEPS) {
            return veil_control_fail(call, VEIL_E_ARGUMENT,
                                     "\"rollback\" stands alone");
        }
        return veil_takeover_rollback(call, r.timeout_ms);
    }
    if (r.program != NULL && r.program[0] != '/') {
        return veil_control_fail(call, VEIL_E_ARGUMENT,
                                 "\"binary\" must be an absolute path");
    }
    if (!veil_upgrade_begin(&r, &code, &why)) {
        return veil_control_fail(call, code, "%s", why);
    }
    return VEIL_CONTROL_LATER;
}

/* For the audit record: the two masters. */
static json_t *
upgrade_verb_changed(const json_t *args VEIL_UNUSED, const json_t *data)
{
    const json_t *back = json_object_get(data, "serves");

    return json_pack("{s:O?, s:O?}", "before",
                     json_object_get(data, back != NULL ? "left" : "old"),
                     "after",
                     back != NULL ? back : json_object_get(data, "new"));
}

static const veil_control_arg_t upgrade_verb_args[] = {
    { .name = "binary",
      .type = VEIL_CONTROL_STRING,
      .flags = VEIL_CONTROL_POSITION | VEIL_CONTROL_FILE,
      .help = "the program; the file this one was started from" },
    { .name = "timeout",
      .type = VEIL_CONTROL_TIME,
      .help = "how long it may take until it serves (60s)" },
    { .name = "keep_old",
      .type = VEIL_CONTROL_FLAG,
      .help = "the old master stays, without workers, for a way back" },
    { .name = "rollback",
      .type = VEIL_CONTROL_FLAG,
      .help = "the old master serves again, and this one ends" },
    { .name = NULL },
};

static const veil_control_verb_t upgrade_verb_table[] = {
    { .name = "upgrade",
      .role = VEIL_CONTROL_ADMIN,
      .place = VEIL_CONTROL_IN_MASTER,
      .flags = VEIL_CONTROL_CHANGES | VEIL_CONTROL_SLOW,
      .args = upgrade_verb_args,
      .run = upgrade_verb_run,
      .changed = upgrade_verb_changed,
      .help = "Replaces the running program by another, without losing a "
              "connection." },
    { .name = NULL },
};

veil_module_t veil_core_upgrade_module = {
    .abi = VEIL_MODULE_ABI,
    .name = "upgrade",
    .control = upgrade_verb_table,
};
