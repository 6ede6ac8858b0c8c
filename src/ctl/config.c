/*
 * config.c -- "veilctl config check" and "veilctl config explain".
 *
 * What a configuration says is asked of the file, by the same functions that
 * "veil --lint" and "veil --explain" call: the library has them, and a check
 * is wanted most before there is a server that runs what is checked.
 *
 * Which file is meant when none is named, a server knows best, as it was
 * started with it: it is asked, and needs not be there.
 */

#include "core/platform.h"

#include "core/explain.h"
#include "core/lint.h"
#include "ctl/config.h"
#include "ctl/link.h"
#include "ctl/output.h"
#include "ctl/where.h"
#include "process/inspect/explain.h"
#include "process/inspect/lint.h"

/* For a server that may be stuck, or may not be there. */
#define CONFIG_ASK_MS 2000

const veil_control_arg_t veil_ctl_config_check_args[] = {
    { "file", VEIL_CONTROL_STRING, VEIL_CONTROL_POSITION | VEIL_CONTROL_FILE,
      NULL,
      "the configuration (that of -c, of the server, or of the "
      "installation)" },
    { "strict", VEIL_CONTROL_FLAG, 0, NULL, "warnings fail, too" },
    VEIL_LINT_ARGS,
    { "running", VEIL_CONTROL_FLAG, 0, NULL,
      "look at what the server runs, not at a file" },
    { .name = NULL },
};

const veil_control_arg_t veil_ctl_config_explain_args[] = {
    VEIL_EXPLAIN_ARGS,
    { "file", VEIL_CONTROL_STRING, VEIL_CONTROL_FILE, NULL,
      "the configuration (that of -c, of the server, or of the "
      "installation)" },
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

/* --- which file ----------------------------------------------------------
 */

/* What the server says of itself, a new reference; NULL: it says nothing. */
static json_t *
config_status(const veil_ctl_command_t *c, const char *path, bool *connected)
{
    int64_t ms = c->timeout_ms >= 0 ? c->timeout_ms : CONFIG_ASK_MS;
    veil_ctl_request_t r = { .verb = "status",
                             .if_gen = -1,
                             .timeout_ms = -1 };
    veil_ctl_link_t link = { .fd = -1 };
    json_t *answer = NULL, *data;

    *connected = veil_ctl_link_open(&link, path, ms);
    if (*connected) {
        (void) veil_ctl_link_call(&link, &r, veil_ctl_link_now() + ms,
                                  &answer);
    }
    veil_ctl_link_close(&link);
    data = json_incref(json_object_get(answer, "data"));
    json_decref(answer);
    return data;
}

static bool
config_take_path(veil_pool_t *pool, const json_t *data, const char *name,
                 veil_str_t *to)
{
    const char *path = json_string_value(json_object_get(data, name));

    if (path == NULL || *path != '/') {
        return false;
    }
    *to = veil_pool_str(pool, veil_str_z(path));
    return true;
}

/* The file of the server that runs, and its prefix; else as they are. */
static void
config_of_server(veil_pool_t *pool, const veil_ctl_command_t *c,
                 veil_launch_t *launch)
{
    const char *why, *path = veil_ctl_where(pool, c, &why);
    bool connected;
    json_t *data;

    if (path == NULL) {
        return; /* it has no socket */
    }
    data = config_status(c, path, &connected);
    if (config_take_path(pool, data, "config", &launch->conf_path)) {
        (void) config_take_path(pool, data, "prefix", &launch->prefix);
        if (!c->json) {
            veil_ctl_say("this is about the server's file %s",
                         launch->conf_path.data);
        }
    } else if (!c->json && (connected || c->socket != NULL)) {
        veil_ctl_say(connected ? "the server at %s does not tell its file: "
                                 "this is about that of the installation"
                               : "there is no server at %s: this is about the "
                                 "file of the installation",
                     path);
    }
    json_decref(data);
}

static void
config_launch(veil_pool_t *pool, const veil_ctl_command_t *c,
              veil_launch_t *launch)
{
    memset(launch, 0, sizeof(*launch));
    launch->prefix = veil_str_z(c->prefix);
    launch->conf_path = config_text(c, "file");
    if (launch->conf_path.len == 0) {
        launch->conf_path = veil_str_z(c->conf);
    }
    if (launch->conf_path.len == 0) {
        config_of_server(pool, c, launch);
    }
}

/* --- looking --------------------------------------------------------------
 */

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
config_check(veil_pool_t *pool, const veil_ctl_command_t *c)
{
    veil_lint_options_t o = {
        .expires_in_ms = config_time(c, "expires_in"),
        .strict = config_flag(c, "strict"),
        .notes = config_flag(c, "notes"),
    };

    config_launch(pool, c, &o.launch);
    return veil_lint_run(&o, stdout, c->json) == 0 ? VEIL_CTL_OK
                                                   : VEIL_CTL_FAILED;
}

static int
config_explain(veil_pool_t *pool, const veil_ctl_command_t *c)
{
    veil_str_t fields[VEIL_EXPLAIN_FIELDS];
    veil_explain_options_t o = veil_explain_options(c->args, fields);
    veil_launch_t launch;

    config_launch(pool, c, &launch);
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

    c->strict = config_flag(c, "strict");
    for (i = 0; own[i] != NULL; i++) {
        (void) json_object_del(c->args, own[i]);
    }
    c->verb = veil_control_verb(veil_str_z(c->verb->name));
}

int
veil_ctl_config(veil_ctl_command_t *c)
{
    veil_pool_t *pool;
    int code;

    if (config_flag(c, "running")) {
        config_ask_server(c);
        return -1;
    }
    pool = veil_pool_create("config", 4096);
    code = c->verb->args == veil_ctl_config_check_args
               ? config_check(pool, c)
               : config_explain(pool, c);
    veil_pool_destroy(&pool);
    return fflush(stdout) == 0 ? code : VEIL_CTL_FAILED;
}

veil_ctl_code_t
veil_ctl_config_judge(const veil_ctl_command_t *c, const json_t *data)
{
    json_int_t bad = 0;

    if (strcmp(c->verb->name, "config.check") == 0) {
        bad = json_integer_value(json_object_get(data, "errors"));
        if (c->strict) {
            bad += json_integer_value(json_object_get(data, "warnings"));
        }
    } else if (strcmp(c->verb->name, "config.explain") == 0) {
        bad = json_object_get(data, "error") != NULL;
    }
    return bad == 0 ? VEIL_CTL_OK : VEIL_CTL_FAILED;
}
