/*
 * audit_module.c -- control_audit_log, and the verbs about records, events
 * and logs.
 *
 *     control_audit_log FILE | syslog:... [format=text|json] [reads=on|off];
 *
 * The files are no logs of the cycle: those are open in every worker, and a
 * worker that was taken over should not be able to write its own alibi.  The
 * keeper opens them, hands them to the master and closes its own.
 */

#include "core/platform.h"

#include "core/array.h"
#include "core/control.h"
#include "process/control/audit_log.h"
#include "process/control/audit_module.h"

typedef struct {
    veil_array_t *logs;  /* of veil_audit_message_t; NULL: none */
    veil_array_t *nodes; /* their directives: const veil_conf_node_t * */
} audit_conf_t;

extern veil_module_t veil_core_audit_module;

const veil_audit_message_t *
veil_audit_configured(const veil_cycle_t *cycle, unsigned i)
{
    const audit_conf_t *conf = veil_core_conf(cycle, &veil_core_audit_module);

    if (conf->logs == NULL || i >= conf->logs->n) {
        return NULL;
    }
    return veil_array_at(conf->logs, veil_audit_message_t, i);
}

void
veil_audit_place(veil_audit_place_t *place, const veil_cycle_t *cycle,
                 unsigned i, const veil_log_t *log)
{
    const audit_conf_t *conf = veil_core_conf(cycle, &veil_core_audit_module);

    veil_prepare_where(
        *veil_array_at(conf->nodes, const veil_conf_node_t *, i), place->where,
        sizeof(place->where));
    veil_prepare_place(&place->place, log, place->where);
}

/* --- the directive ------------------------------------------------------- */

static veil_rc_t
audit_bad_parameter(veil_conf_t *cf, unsigned arg)
{
    return veil_conf_error_at(cf, arg, "invalid parameter \"%.*s\"",
                              VEIL_STR_ARG(veil_conf_arg(cf, arg)));
}

static veil_rc_t
audit_parameter(veil_conf_t *cf, unsigned arg, veil_audit_message_t *m)
{
    veil_str_t value = veil_conf_arg(cf, arg);
    veil_str_t name = veil_str_cut(&value, '=');
    bool *field = NULL;
    const char *yes = "";
    const char *no = "";

    if (veil_str_eq(name, VEIL_STR("format"))) {
        field = &m->json;
        yes = "json";
        no = "text";
    } else if (veil_str_eq(name, VEIL_STR("reads"))) {
        field = &m->reads;
        yes = "on";
        no = "off";
    }
    if (field == NULL || value.data == NULL
        || (!veil_str_eq_z(value, yes) && !veil_str_eq_z(value, no)))
    {
        return audit_bad_parameter(cf, arg);
    }
    *field = veil_str_eq_z(value, yes);
    return VEIL_OK;
}

static veil_rc_t
audit_set_log(veil_conf_t *cf, const veil_command_t *cmd, void *data)
{
    audit_conf_t *conf = data;
    veil_syslog_t *server = NULL;
    const veil_conf_node_t **node;
    veil_audit_message_t *m;
    veil_str_t path;
    unsigned i;

    (void) cmd; /* there is one */

    if (veil_str_starts(veil_conf_arg(cf, 1), VEIL_STR("syslog:"))) {
        server = veil_syslog_create(cf, 1);
        if (server == NULL) {
            return VEIL_ERROR;
        }
    }
    path = server == NULL
               ? veil_conf_full_path(cf, veil_conf_arg(cf, 1), false)
               : veil_conf_arg(cf, 1);
    if (veil_conf_arg(cf, 1).len == 0 || path.len >= sizeof(m->path)) {
        return veil_conf_error_at(cf, 1, "invalid name of a file");
    }
    if (conf->logs != NULL && conf->logs->n == VEIL_AUDIT_SINKS) {
        return veil_conf_error(cf, "there are %d audit logs at most",
                               VEIL_AUDIT_SINKS);
    }
    node = veil_conf_array_push(cf, &conf->nodes, sizeof(*node));
    *node = cf->node;
    m = veil_conf_array_push(cf, &conf->logs, sizeof(*m));
    memset(m, 0, sizeof(*m));
    m->reads = true;
    (void) veil_str_copy_z(m->path, sizeof(m->path), path);
    for (i = 2; i < veil_conf_nargs(cf); i++) {
        if (audit_parameter(cf, i, m) != VEIL_OK) {
            return VEIL_ERROR;
        }
    }
    if (server != NULL) {
        m->syslog = true;
        veil_syslog_pack(server, &m->server);
    }
    return m->syslog && m->json
               ? veil_conf_error(cf, "a syslog server takes text: JSON might "
                                     "be cut")
               : VEIL_OK;
}

static const veil_command_t audit_commands[] = {
    { .name = "control_audit_log",
      .where = VEIL_CONF_MAIN,
      .args = VEIL_ARGS(1, 3),
      .flags = VEIL_CONF_MULTI,
      .set = audit_set_log,
      .syntax = "file | syslog:server=address[,parameter=value] [format=text "
                "| json] [reads=on | off]",
      .def = "the error log",
      .help = "Where a record of every attempt to use the control socket "
              "goes; with \"reads=off\" without those that only looked." },

    { .name = NULL },
};

static const veil_core_module_t audit_module = {
    .conf = { .size = sizeof(audit_conf_t) },
};

/* --- verbs --------------------------------------------------------------- */

static const veil_control_arg_t audit_audit_args[] = {
    { .name = "n",
      .type = VEIL_CONTROL_NUMBER,
      .help = "how many of the last records; 20 without it" },
    { .name = "since",
      .type = VEIL_CONTROL_NUMBER,
      .help = "begin after the record of this number" },
    { .name = "follow",
      .type = VEIL_CONTROL_FLAG,
      .help = "go on with those that come" },
    { .name = NULL },
};

static const veil_control_arg_t audit_events_args[] = {
    { .name = "kinds",
      .type = VEIL_CONTROL_STRING,
      .help = "a list with commas, with \"*\" for anything: \"server.*\"" },
    { .name = "since",
      .type = VEIL_CONTROL_NUMBER,
      .help = "begin after the event of this number" },
    { .name = "n",
      .type = VEIL_CONTROL_NUMBER,
      .help = "begin with so many of the last ones" },
    { .name = "count",
      .type = VEIL_CONTROL_NUMBER,
      .help = "end after so many" },
    { .name = NULL },
};

static const veil_control_arg_t audit_level_args[] = {
    { .name = "level",
      .type = VEIL_CONTROL_STRING,
      .flags = VEIL_CONTROL_POSITION,
      .help = "[part=]level, or [part=]default: as configured; nothing: "
              "what holds" },
    { .name = "for",
      .type = VEIL_CONTROL_TIME,
      .help = "then it is as before" },
    { .name = NULL },
};

static const veil_control_verb_t audit_verbs[] = {
    { .name = "audit",
      .role = VEIL_CONTROL_ADMIN,
      .place = VEIL_CONTROL_IN_MASTER,
      .flags = VEIL_CONTROL_STREAMS,
      .args = audit_audit_args,
      .run = veil_audit_verb_audit,
      .help = "Shows the last audit records." },

    { .name = "events",
      .role = VEIL_CONTROL_READ,
      .place = VEIL_CONTROL_IN_MASTER,
      .flags = VEIL_CONTROL_STREAMS,
      .args = audit_events_args,
      .run = veil_audit_verb_events,
      .help = "Shows what happens, as it happens." },

    { .name = "log.level",
      .role = VEIL_CONTROL_OPERATE,
      .place = VEIL_CONTROL_IN_MASTER,
      .flags = VEIL_CONTROL_CHANGES,
      .args = audit_level_args,
      .run = veil_log_verb_level,
      .help = "Sets the level of the error logs, for a while, or for a part "
              "of the source." },

    { .name = "log.reopen",
      .role = VEIL_CONTROL_OPERATE,
      .place = VEIL_CONTROL_IN_ALL_WORKERS,
      .flags = VEIL_CONTROL_CHANGES,
      .before = veil_log_reopen_before,
      .run = veil_log_verb_reopen,
      .gather = veil_log_reopen_gather,
      .help = "Opens all log files anew." },

    { .name = NULL },
};

veil_module_t veil_core_audit_module = {
    .abi = VEIL_MODULE_ABI,
    .name = "audit",
    .commands = audit_commands,
    .core = &audit_module,
    .control = audit_verbs,
};
