/*
 * control_conf.c -- control_socket and control_allow.
 *
 *     control_socket /run/veil/veil.sock mode=0660 group=ops;
 *     control_allow operate group:ops deploy;
 *
 * Without a directive the socket stands beside the pid file, for its owner
 * alone: an operator who did not think of it finds veilctl working.  Root and
 * the user the master runs as are admin and need no rule; everybody else is
 * nobody until a rule says so.  The file's mode decides who may connect, the
 * rules what they may then do.
 */

#include "core/platform.h"

#include <grp.h>
#include <pwd.h>

#include "core/main_conf.h"
#include "process/control/control_conf.h"

static void
control_conf_init(void *conf)
{
    veil_control_settings_t *s = conf;

    s->on = true;
    s->mode = 0600;
}

/* "/run/veil.pid" makes "/run/veil.sock". */
static void
control_conf_default_path(veil_conf_t *cf, veil_control_settings_t *s)
{
    veil_str_t pid = veil_main_conf(cf->cycle)->pid;
    char path[sizeof(s->path) + 16];
    size_t n;

    if (pid.len == 0) {
        pid = veil_conf_full_path(cf, veil_str_z(VEIL_PID_PATH), false);
    }
    if (veil_str_ends(pid, VEIL_STR(".pid"))) {
        pid.len -= 4;
    }
    n = veil_snprintf(path, sizeof(path), "%.*s.sock", VEIL_STR_ARG(pid));
    if (n >= sizeof(s->path)) {
        veil_conf_warn(cf,
                       "there is no control socket: \"%.*s.sock\" is too "
                       "long for one, see control_socket",
                       VEIL_STR_ARG(pid));
        s->on = false;
        return;
    }
    memcpy(s->path, path, n + 1);
}

static veil_rc_t
control_conf_finish(veil_conf_t *cf, void *conf,
                    const void *parent VEIL_UNUSED)
{
    veil_control_settings_t *s = conf;

    if (s->on && s->path[0] == '\0') {
        control_conf_default_path(cf, s);
    }
    if (s->asked && !veil_main_conf(cf->cycle)->master_process) {
        veil_conf_warn(cf, "there is no control socket with "
                           "\"master_process off\"");
    }
    return VEIL_OK;
}

/* An octal mode; false: none. */
static bool
control_conf_mode(veil_str_t value, unsigned *mode)
{
    unsigned n = 0;
    size_t i;

    for (i = 0; i < value.len; i++) {
        if (value.data[i] < '0' || value.data[i] > '7') {
            return false;
        }
        n = n * 8 + (unsigned) (value.data[i] - '0');
    }
    *mode = n;
    return value.len >= 3 && value.len <= 4 && (n & ~0666u) == 0;
}

static bool
control_conf_number(veil_str_t name, uint32_t *id)
{
    int64_t n = veil_str_to_int(name);

    *id = (uint32_t) n;
    return n >= 0 && n < UINT32_MAX;
}

static bool
control_conf_group(veil_str_t name, uint32_t *id)
{
    char z[256];
    const struct group *gr;

    if (control_conf_number(name, id)) {
        return true;
    }
    (void) veil_str_copy_z(z, sizeof(z), name);
    gr = getgrnam(z);
    *id = gr == NULL ? 0 : gr->gr_gid;
    return gr != NULL;
}

static bool
control_conf_user(veil_str_t name, uint32_t *id)
{
    char z[256];
    const struct passwd *pw;

    if (control_conf_number(name, id)) {
        return true;
    }
    (void) veil_str_copy_z(z, sizeof(z), name);
    pw = getpwnam(z);
    *id = pw == NULL ? 0 : pw->pw_uid;
    return pw != NULL;
}

static veil_rc_t
control_conf_socket_word(veil_conf_t *cf, unsigned i,
                         veil_control_settings_t *s)
{
    static const char *const words[] = { "mode=", "group=", "off", NULL };
    veil_str_t value;
    uint32_t id;

    if (veil_conf_arg_is(cf, i, "mode", &value)) {
        return control_conf_mode(value, &s->mode)
                   ? VEIL_OK
                   : veil_conf_error_at(cf, i,
                                        "invalid mode \"%.*s\": digits as in "
                                        "0660, nothing to execute",
                                        VEIL_STR_ARG(value));
    }
    if (veil_conf_arg_is(cf, i, "group", &value)) {
        if (!control_conf_group(value, &id)) {
            return veil_conf_error_at(cf, i, "there is no group \"%.*s\"",
                                      VEIL_STR_ARG(value));
        }
        s->has_group = true;
        s->group = id;
        return VEIL_OK;
    }
    if (veil_str_eq_z(veil_conf_arg(cf, i), "off")) {
        s->on = false;
        return VEIL_OK;
    }
    return veil_conf_error_word(cf, i, words);
}

static veil_rc_t
control_conf_set_socket(veil_conf_t *cf, const veil_command_t *cmd VEIL_UNUSED,
                        void *conf)
{
    veil_control_settings_t *s = conf;
    veil_str_t path;
    unsigned i;

    s->asked = true;
    if (veil_str_eq_z(veil_conf_arg(cf, 1), "off")) {
        s->on = false;
        return veil_conf_nargs(cf) == 2
                   ? VEIL_OK
                   : veil_conf_error_at(cf, 2, "nothing may follow \"off\"");
    }
    path = veil_conf_arg(cf, 1);
    if (veil_str_starts(path, VEIL_STR("unix:"))) {
        path = veil_str_from(path, 5);
    }
    path = veil_conf_full_path(cf, path, false);
    if (path.len >= sizeof(s->path)) {
        return veil_conf_error_at(
            cf, 1, "\"%.*s\" is too long for a socket: %zu bytes of %zu",
            VEIL_STR_ARG(path), path.len, sizeof(s->path) - 1);
    }
    (void) veil_str_copy_z(s->path, sizeof(s->path), path);
    for (i = 2; i < veil_conf_nargs(cf); i++) {
        if (control_conf_socket_word(cf, i, s) != VEIL_OK) {
            return VEIL_ERROR;
        }
    }
    return VEIL_OK;
}

static veil_rc_t
control_conf_rule(veil_conf_t *cf, unsigned i, uint8_t role,
                  veil_control_settings_t *s)
{
    veil_str_t who = veil_conf_arg(cf, i);
    veil_control_rule_t *rule = &s->rules[s->nrules];
    bool group = veil_str_starts(who, VEIL_STR("group:"));

    if (s->nrules == VEIL_CONTROL_RULES) {
        return veil_conf_error_at(cf, i, "more than %d users and groups",
                                  VEIL_CONTROL_RULES);
    }
    if (group) {
        who = veil_str_from(who, 6);
    }
    if (group ? !control_conf_group(who, &rule->id)
              : !control_conf_user(who, &rule->id))
    {
        return veil_conf_error_at(cf, i, "there is no %s \"%.*s\"",
                                  group ? "group" : "user", VEIL_STR_ARG(who));
    }
    rule->role = role;
    rule->group = group;
    s->nrules++;
    return VEIL_OK;
}

static veil_rc_t
control_conf_set_allow(veil_conf_t *cf, const veil_command_t *cmd VEIL_UNUSED,
                       void *conf)
{
    static const char *const roles[] = { "read", "operate", "admin", NULL };
    uint8_t role;
    unsigned i;

    for (role = 0; roles[role] != NULL; role++) {
        if (veil_str_eq_z(veil_conf_arg(cf, 1), roles[role])) {
            break;
        }
    }
    if (roles[role] == NULL) {
        return veil_conf_error_word(cf, 1, roles);
    }
    for (i = 2; i < veil_conf_nargs(cf); i++) {
        if (control_conf_rule(cf, i, role, conf) != VEIL_OK) {
            return VEIL_ERROR;
        }
    }
    return VEIL_OK;
}

const veil_control_settings_t *
veil_control_settings(const veil_cycle_t *cycle)
{
    return veil_core_conf(cycle, &veil_core_control_module);
}

/* --- tables -------------------------------------------------------------- */

static const veil_command_t control_conf_commands[] = {
    { .name = "control_socket",
      .where = VEIL_CONF_MAIN,
      .args = VEIL_ARGS(1, 4),
      .set = control_conf_set_socket,
      .syntax = "path [mode=number] [group=name] [off] | off",
      .def = "beside the pid file",
      .help = "Where veilctl reaches the server." },

    { .name = "control_allow",
      .where = VEIL_CONF_MAIN,
      .args = VEIL_ARGS_2MORE,
      .flags = VEIL_CONF_MULTI,
      .set = control_conf_set_allow,
      .syntax = "read | operate | admin user | group:name ...",
      .help = "Who else may use the control socket, and for what; root and "
              "the master's user always may." },

    { .name = NULL },
};

static const veil_core_module_t control_conf_core = {
    .conf = {
        .size = sizeof(veil_control_settings_t),
        .init = control_conf_init,
        .finish = control_conf_finish,
    },
};

veil_module_t veil_core_control_module = {
    .abi = VEIL_MODULE_ABI,
    .name = "control",
    .commands = control_conf_commands,
    .core = &control_conf_core,
    .control = veil_control_own_verbs,
};
