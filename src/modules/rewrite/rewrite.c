/*
 * rewrite.c -- return, rewrite, set, break, if: directives and table.
 *
 * These are nginx's, and as there they are the one part of a configuration
 * that is a program: they run in the order of the file.  Each is compiled to
 * an operation of the block's list; rewrite_run.c runs it.
 */

#include "core/platform.h"

#include "modules/rewrite/rewrite.h"

static rewrite_op_t *
rewrite_push(veil_conf_t *cf, rewrite_conf_t *conf, rewrite_op_fn *run)
{
    rewrite_op_t *op = veil_conf_array_push(cf, &conf->ops, sizeof(*op));

    op->run = run;
    op->node = cf->node;
    return op;
}

static bool
rewrite_is_url(veil_str_t s)
{
    return veil_str_casestarts(s, VEIL_STR("http://"))
           || veil_str_casestarts(s, VEIL_STR("https://"))
           || veil_str_starts(s, VEIL_STR("$scheme"));
}

/* return STATUS [text]; return STATUS URL; return URL; */
static veil_rc_t
rewrite_set_return(veil_conf_t *cf, const veil_command_t *cmd VEIL_UNUSED,
                   void *conf)
{
    rewrite_op_t *op = rewrite_push(cf, conf, veil_rewrite_run_return);
    int64_t status = veil_str_to_int(veil_conf_arg(cf, 1));
    unsigned arg = 2;

    if (status < 0 && veil_conf_nargs(cf) == 2
        && rewrite_is_url(veil_conf_arg(cf, 1)))
    {
        status = 302;
        arg = 1;
    } else if (status < 0 || status > 999) {
        return veil_conf_error_at(cf, 1, "invalid return code \"%.*s\"",
                                  VEIL_STR_ARG(veil_conf_arg(cf, 1)));
    }
    op->status = (int) status;
    if (veil_conf_nargs(cf) > arg) {
        op->has_text = true;
        op->value = veil_http_value_compile(cf, veil_conf_arg(cf, arg));
        return op->value == NULL ? VEIL_ERROR : VEIL_OK;
    }
    return VEIL_OK;
}

static veil_rc_t
rewrite_set_flag(veil_conf_t *cf, rewrite_op_t *op)
{
    static const char *const flags[] = { "last", "break", "redirect",
                                         "permanent", NULL };
    veil_str_t flag = veil_conf_arg(cf, 3);

    if (veil_str_eq(flag, VEIL_STR("last"))) {
        op->last = true;
        op->stop = true;
    } else if (veil_str_eq(flag, VEIL_STR("break"))) {
        op->stop = true;
    } else if (veil_str_eq(flag, VEIL_STR("redirect"))) {
        op->status = 302;
    } else if (veil_str_eq(flag, VEIL_STR("permanent"))) {
        op->status = 301;
    } else {
        return veil_conf_error_word(cf, 3, flags);
    }
    return VEIL_OK;
}

/* rewrite REGEX REPLACEMENT [flag] */
static veil_rc_t
rewrite_set_rewrite(veil_conf_t *cf, const veil_command_t *cmd VEIL_UNUSED,
                    void *conf)
{
    rewrite_op_t *op = rewrite_push(cf, conf, veil_rewrite_run_rewrite);
    veil_str_t to = veil_conf_arg(cf, 2);
    veil_str_t args = VEIL_STR_NULL;
    ptrdiff_t query;

    op->regex = veil_http_regex_compile(cf, 1, 0, false);
    if (op->regex == NULL) {
        return VEIL_ERROR;
    }
    if (rewrite_is_url(to)) {
        op->status = 302;
    }
    if (veil_conf_nargs(cf) == 4 && rewrite_set_flag(cf, op) != VEIL_OK) {
        return VEIL_ERROR;
    }

    /* A "?" at the very end says: without the request's own arguments. */
    op->keep_args = true;
    if (to.len != 0 && to.data[to.len - 1] == '?') {
        op->keep_args = false;
        to.len--;
    }
    query = veil_str_chr(to, '?');
    if (query >= 0) {
        args = veil_str_from(to, (size_t) query + 1);
        to.len = (size_t) query;
    }
    op->value = veil_http_value_compile(cf, to);
    if (args.len != 0) {
        op->args = veil_http_value_compile(cf, args);
        if (op->args == NULL) {
            return VEIL_ERROR;
        }
    }
    return op->value == NULL ? VEIL_ERROR : VEIL_OK;
}

static veil_rc_t
rewrite_set_set(veil_conf_t *cf, const veil_command_t *cmd VEIL_UNUSED,
                void *conf)
{
    rewrite_op_t *op = rewrite_push(cf, conf, veil_rewrite_run_set);
    veil_str_t name = veil_conf_arg(cf, 1);
    veil_http_variable_t *v;

    if (name.len < 2 || name.data[0] != '$') {
        return veil_conf_error_at(cf, 1, "invalid variable name \"%.*s\"",
                                  VEIL_STR_ARG(name));
    }
    v = veil_http_var_define(cf, veil_str_from(name, 1),
                             VEIL_HTTP_VAR_CHANGEABLE);
    if (v == NULL) {
        return VEIL_ERROR;
    }
    op->variable = v->index;
    op->value = veil_http_value_compile(cf, veil_conf_arg(cf, 2));
    return op->value == NULL ? VEIL_ERROR : VEIL_OK;
}

static veil_rc_t
rewrite_set_break(veil_conf_t *cf, const veil_command_t *cmd VEIL_UNUSED,
                  void *conf)
{
    (void) rewrite_push(cf, conf, veil_rewrite_run_break);
    return VEIL_OK;
}

/* uninitialized_variable_warn: of the core's conf, where variables look. */
static veil_rc_t
rewrite_set_warn(veil_conf_t *cf, const veil_command_t *cmd,
                 void *conf VEIL_UNUSED)
{
    veil_http_core_loc_t *core = veil_conf_write_of(
        cf, cf->scope, &veil_http_core_module, VEIL_CONF_OF_LOC);
    veil_command_t flag = *cmd;
    bool warn;

    flag.offset = 0;
    if (veil_conf_set_flag(cf, &flag, &warn) != VEIL_OK) {
        return VEIL_ERROR;
    }
    core->quiet_uninitialized = !warn;
    return VEIL_OK;
}

#define REWRITE_FLAGS (VEIL_CONF_ORDERED | VEIL_CONF_OWN | VEIL_CONF_MULTI)

static const veil_command_t rewrite_commands[] = {
    { .name = "return",
      .where = REWRITE_WHERE,
      .args = VEIL_ARGS(1, 2),
      .flags = REWRITE_FLAGS,
      .set = rewrite_set_return,
      .offset = offsetof(rewrite_conf_t, ops),
      .syntax = "code [text] | code url | url",
      .help = "Ends the request with this answer; 444 closes the connection "
              "without one." },

    { .name = "rewrite",
      .where = REWRITE_WHERE,
      .args = VEIL_ARGS(2, 3),
      .flags = REWRITE_FLAGS,
      .set = rewrite_set_rewrite,
      .offset = offsetof(rewrite_conf_t, ops),
      .syntax = "regex replacement [last | break | redirect | permanent]",
      .help = "Changes the URI if it matches." },

    { .name = "set",
      .where = REWRITE_WHERE,
      .args = VEIL_ARGS_2,
      .flags = REWRITE_FLAGS,
      .set = rewrite_set_set,
      .offset = offsetof(rewrite_conf_t, ops),
      .syntax = "$variable value",
      .help = "Sets a variable." },

    { .name = "break",
      .where = REWRITE_WHERE,
      .args = VEIL_ARGS_0,
      .flags = REWRITE_FLAGS,
      .set = rewrite_set_break,
      .offset = offsetof(rewrite_conf_t, ops),
      .help = "Ends the operations of this module." },

    { .name = "if",
      .where = VEIL_CONF_SERVER | VEIL_CONF_LOCATION,
      .args = VEIL_ARGS_1MORE,
      .flags = REWRITE_FLAGS | VEIL_CONF_BLOCK,
      .set = veil_rewrite_set_if,
      .offset = offsetof(rewrite_conf_t, ops),
      .syntax = "(condition) { ... }",
      .help = "What holds when the condition is true." },

    { .name = "rewrite_log",
      .where = VEIL_CONF_HTTP | REWRITE_WHERE,
      .args = VEIL_ARGS_1,
      .set = veil_conf_set_flag,
      .offset = offsetof(rewrite_conf_t, log),
      .syntax = "on | off",
      .def = "off",
      .help = "Logs at notice what the operations did." },

    { .name = "uninitialized_variable_warn",
      .where = VEIL_CONF_HTTP | REWRITE_WHERE,
      .args = VEIL_ARGS_1,
      .set = rewrite_set_warn,
      .syntax = "on | off",
      .def = "on",
      .help = "Logs the use of variables that were not set." },

    { .name = NULL },
};

static const veil_http_phase_handler_t rewrite_handlers[] = {
    { VEIL_PHASE_SERVER_REWRITE, veil_rewrite_server_handler },
    { VEIL_PHASE_REWRITE, veil_rewrite_location_handler },
    { VEIL_PHASE_NONE, NULL },
};

static const veil_http_module_t rewrite_http = {
    .loc_conf_size = sizeof(rewrite_conf_t),
    .handlers = rewrite_handlers,
    .lint = veil_rewrite_lint,
};

veil_module_t veil_http_rewrite_module = {
    .abi = VEIL_MODULE_ABI,
    .name = "rewrite",
    .commands = rewrite_commands,
    .http = &rewrite_http,
};
