/*
 * config.c -- "veilctl config check" and "veilctl config explain".
 *
 * What a configuration says is asked of the file, by the same functions that
 * "veil --lint" and "veil --explain" call: the library has them, and a check
 * is wanted most before there is a server that runs what is checked.
 */

#include "core/platform.h"

#include "core/explain.h"
#include "ctl/config.h"
#include "process/explain.h"
#include "process/lint.h"

#define CONFIG_FIELDS 64

const veil_control_arg_t veil_ctl_config_check_args[] = {
    { "file", VEIL_CONTROL_STRING, VEIL_CONTROL_POSITION | VEIL_CONTROL_FILE,
      NULL, "the configuration (that of -c, or of the installation)" },
    { "strict", VEIL_CONTROL_FLAG, 0, NULL, "warnings fail, too" },
    { "notes", VEIL_CONTROL_FLAG, 0, NULL, "what is only worth knowing, too" },
    { "expires_in", VEIL_CONTROL_TIME, 0, NULL,
      "tell of certificates that end within (14d)" },
    { "running", VEIL_CONTROL_FLAG, 0, NULL,
      "look at what the server runs, not at a file" },
    { .name = NULL },
};

const veil_control_arg_t veil_ctl_config_explain_args[] = {
    { "request", VEIL_CONTROL_STRING,
      VEIL_CONTROL_REQUIRED | VEIL_CONTROL_POSITION, NULL,
      "as in \"GET https://host/path\"" },
    { "file", VEIL_CONTROL_STRING, VEIL_CONTROL_FILE, NULL,
      "the configuration (that of -c, or of the installation)" },
    { "client", VEIL_CONTROL_STRING, 0, NULL,
      "the address it comes from (127.0.0.1)" },
    { "header", VEIL_CONTROL_STRING, 0, NULL,
      "fields of the request, one a line" },
    { "listen", VEIL_CONTROL_STRING, 0, NULL,
      "address:port of the listener (any of the URL's port)" },
    { "running", VEIL_CONTROL_FLAG, 0, NULL,
      "look at what the server runs, not at a file" },
    { .name = NULL },
};

bool
veil_ctl_is_config(const veil_ctl_command_t *c)
{
    return c->verb->args == veil_ctl_config_check_args
           || c->verb->args == veil_ctl_config_explain_args;
}

static veil_str_t
config_text(const veil_ctl_command_t *c, const char *name)
{
    return veil_str_z(json_string_value(json_object_get(c->args, name)));
}

static bool
config_flag(const veil_ctl_command_t *c, const char *name)
{
    return json_is_true(json_object_get(c->args, name));
}

static void
config_launch(const veil_ctl_command_t *c, veil_launch_t *launch)
{
    memset(launch, 0, sizeof(*launch));
    launch->prefix = veil_str_z(c->prefix);
    launch->conf_path = config_text(c, "file");
    if (launch->conf_path.len == 0) {
        launch->conf_path = veil_str_z(c->conf);
    }
}

/* A number of seconds, or a text that command.c has looked at; ms. */
static uint64_t
config_time(const veil_ctl_command_t *c, const char *name)
{
    const json_t *value = json_object_get(c->args, name);
    int64_t ms = 0;

    if (json_is_integer(value)) {
        ms = json_integer_value(value) * 1000;
    } else if (json_is_string(value)) {
        ms = veil_str_to_msec(veil_str_z(json_string_value(value)));
    }
    return ms > 0 ? (uint64_t) ms : 0;
}

static int
config_check(const veil_ctl_command_t *c)
{
    veil_lint_options_t o = {
        .expires_in_ms = config_time(c, "expires_in"),
        .strict = config_flag(c, "strict"),
        .notes = config_flag(c, "notes"),
    };

    config_launch(c, &o.launch);
    return veil_lint_run(&o, stdout, c->json) == 0 ? VEIL_CTL_OK
                                                   : VEIL_CTL_FAILED;
}

static int
config_explain(const veil_ctl_command_t *c)
{
    veil_str_t fields[CONFIG_FIELDS], rest = config_text(c, "header");
    veil_explain_options_t o = {
        .request = config_text(c, "request"),
        .client = config_text(c, "client"),
        .listen = config_text(c, "listen"),
        .fields = fields,
    };
    veil_launch_t launch;

    while (rest.len != 0 && o.nfields < CONFIG_FIELDS) {
        fields[o.nfields++] = veil_str_trim(veil_str_cut(&rest, '\n'));
    }
    config_launch(c, &launch);
    return veil_explain_run(&launch, &o, stdout, c->json) == 0
               ? VEIL_CTL_OK
               : VEIL_CTL_FAILED;
}

/* Of the arguments, those that only the client knows. */
static void
config_ask_server(veil_ctl_command_t *c)
{
    static const char *const own[] = { "running", "file", "strict", NULL };
    unsigned i;

    for (i = 0; own[i] != NULL; i++) {
        (void) json_object_del(c->args, own[i]);
    }
    c->verb = veil_control_verb(veil_str_z(c->verb->name));
}

int
veil_ctl_config(veil_ctl_command_t *c)
{
    int code;

    if (config_flag(c, "running")) {
        config_ask_server(c);
        return -1;
    }
    code = c->verb->args == veil_ctl_config_check_args ? config_check(c)
                                                       : config_explain(c);
    return fflush(stdout) == 0 ? code : VEIL_CTL_FAILED;
}
