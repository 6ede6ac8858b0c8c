/*
 * conf_set.c -- setters for the usual types, and readers of arguments.
 *
 * A setter writes one field of the module's conf, at cmd->offset.  Texts of
 * errors are nginx's; what nginx lacks (a suggestion, the range) is added
 * behind them.
 */

#include "core/platform.h"

#include "core/assert.h"
#include "core/conf.h"
#include "core/cycle.h"

#define CONF_FIELD(type, conf, cmd)                                           \
    ((type *) (void *) ((char *) (conf) + (cmd)->offset))

/* --- arguments ------------------------------------------------------------
 */

static int64_t
conf_invalid(veil_conf_t *cf, unsigned i, const char *what)
{
    veil_conf_error_at(cf, i, "invalid %s \"%.*s\" in \"%.*s\" directive",
                       what, VEIL_STR_ARG(veil_conf_arg(cf, i)),
                       VEIL_STR_ARG(veil_conf_arg(cf, 0)));
    return -1;
}

int64_t
veil_conf_arg_num(veil_conf_t *cf, unsigned i)
{
    int64_t n = veil_str_to_int(veil_conf_arg(cf, i));

    return n < 0 ? conf_invalid(cf, i, "number") : n;
}

int64_t
veil_conf_arg_size(veil_conf_t *cf, unsigned i)
{
    int64_t n = veil_str_to_size(veil_conf_arg(cf, i));

    return n < 0 ? conf_invalid(cf, i, "size") : n;
}

int64_t
veil_conf_arg_msec(veil_conf_t *cf, unsigned i)
{
    int64_t n = veil_str_to_msec(veil_conf_arg(cf, i));

    return n < 0 ? conf_invalid(cf, i, "time") : n;
}

bool
veil_conf_arg_is(veil_conf_t *cf, unsigned i, const char *name,
                 veil_str_t *value)
{
    veil_str_t arg = veil_conf_arg(cf, i);
    size_t n = strlen(name);

    if (arg.len <= n || memcmp(arg.data, name, n) != 0 || arg.data[n] != '=') {
        return false;
    }
    *value = veil_str_from(arg, n + 1);
    return true;
}

veil_rc_t
veil_conf_arg_cache(veil_conf_t *cf, veil_conf_cache_t *to)
{
    static const char *const words[] = { "off", "max=", "inactive=", NULL };
    static const char *const all_words[] = { "off", "max=", "inactive=",
                                             "valid=", NULL };
    bool has_valid = to->valid_ms != 0;
    veil_str_t value;
    int64_t n;
    unsigned i;

    to->max = 0;
    if (veil_conf_nargs(cf) == 2 && veil_str_eq_z(veil_conf_arg(cf, 1), "off"))
    {
        return VEIL_OK;
    }
    for (i = 1; i < veil_conf_nargs(cf); i++) {
        if (veil_conf_arg_is(cf, i, "max", &value)) {
            n = veil_str_to_int(value);
            n = n > 0 && n <= INT32_MAX ? n : -1;
            to->max = n > 0 ? (unsigned) n : 0;
        } else if (veil_conf_arg_is(cf, i, "inactive", &value)) {
            n = veil_str_to_msec(value);
            to->inactive_ms = (uint64_t) n;
        } else if (has_valid && veil_conf_arg_is(cf, i, "valid", &value)) {
            n = veil_str_to_msec(value);
            to->valid_ms = (uint64_t) n;
        } else {
            return veil_conf_error_word(cf, i, has_valid ? all_words : words);
        }
        if (n < 0) {
            return veil_conf_error_at(cf, i, "invalid parameter \"%.*s\"",
                                      VEIL_STR_ARG(veil_conf_arg(cf, i)));
        }
    }
    if (to->max == 0) {
        return veil_conf_error(cf, "\"%s\" must have the \"max\" parameter",
                               cf->cmd->name);
    }
    return VEIL_OK;
}

veil_str_t
veil_conf_full_path(veil_conf_t *cf, veil_str_t path, bool in_conf_dir)
{
    veil_str_t dir = VEIL_STR_NULL;

    if (cf->cycle != NULL) {
        dir = in_conf_dir ? cf->cycle->conf_dir : cf->cycle->prefix;
    }
    if (path.len != 0 && path.data[0] == '/') {
        return veil_pool_str(cf->pool, path);
    }
    return veil_pool_printf(cf->pool, "%.*s%.*s", VEIL_STR_ARG(dir),
                            VEIL_STR_ARG(path));
}

/* nginx's texts of ngx_conf_check_num_bounds. */
static veil_rc_t
conf_check_limits(veil_conf_t *cf, int64_t n, const veil_conf_limits_t *limits)
{
    if (limits == NULL || (n >= limits->min && n <= limits->max)) {
        return VEIL_OK;
    }
    if (limits->max == INT64_MAX) {
        return veil_conf_error_at(
            cf, 1, "value must be equal to or greater than %lld",
            (long long) limits->min);
    }
    return veil_conf_error_at(cf, 1, "value must be between %lld and %lld",
                              (long long) limits->min,
                              (long long) limits->max);
}

/* --- setters --------------------------------------------------------------
 */

veil_rc_t
veil_conf_set_flag(veil_conf_t *cf, const veil_command_t *cmd, void *conf)
{
    static const char *const words[] = { "on", "off", NULL };
    veil_str_t arg = veil_conf_arg(cf, 1);

    if (veil_str_caseeq(arg, VEIL_STR("on"))) {
        *CONF_FIELD(bool, conf, cmd) = true;
    } else if (veil_str_caseeq(arg, VEIL_STR("off"))) {
        *CONF_FIELD(bool, conf, cmd) = false;
    } else {
        return veil_conf_error_word(cf, 1, words);
    }
    return VEIL_OK;
}

static veil_rc_t
conf_set_int64(veil_conf_t *cf, const veil_command_t *cmd, void *conf,
               int64_t n)
{
    if (n < 0 || conf_check_limits(cf, n, cmd->data) != VEIL_OK) {
        return VEIL_ERROR;
    }
    *CONF_FIELD(int64_t, conf, cmd) = n;
    return VEIL_OK;
}

veil_rc_t
veil_conf_set_num(veil_conf_t *cf, const veil_command_t *cmd, void *conf)
{
    return conf_set_int64(cf, cmd, conf, veil_conf_arg_num(cf, 1));
}

veil_rc_t
veil_conf_set_size(veil_conf_t *cf, const veil_command_t *cmd, void *conf)
{
    return conf_set_int64(cf, cmd, conf, veil_conf_arg_size(cf, 1));
}

veil_rc_t
veil_conf_set_msec(veil_conf_t *cf, const veil_command_t *cmd, void *conf)
{
    int64_t n = veil_conf_arg_msec(cf, 1);

    if (n < 0 || conf_check_limits(cf, n, cmd->data) != VEIL_OK) {
        return VEIL_ERROR;
    }
    *CONF_FIELD(uint64_t, conf, cmd) = (uint64_t) n;
    return VEIL_OK;
}

veil_rc_t
veil_conf_set_sec(veil_conf_t *cf, const veil_command_t *cmd, void *conf)
{
    int64_t n = veil_conf_arg_msec(cf, 1);

    if (n > 0 && n % 1000 != 0) {
        n = conf_invalid(cf, 1, "time");
    }
    return conf_set_int64(cf, cmd, conf, n < 0 ? n : n / 1000);
}

veil_rc_t
veil_conf_set_str(veil_conf_t *cf, const veil_command_t *cmd, void *conf)
{
    *CONF_FIELD(veil_str_t, conf, cmd) = veil_conf_arg(cf, 1);
    return VEIL_OK;
}

veil_rc_t
veil_conf_set_path(veil_conf_t *cf, const veil_command_t *cmd, void *conf)
{
    if (veil_conf_arg(cf, 1).len == 0) {
        return conf_invalid(cf, 1, "path") < 0 ? VEIL_ERROR : VEIL_OK;
    }
    *CONF_FIELD(veil_str_t, conf, cmd) =
        veil_conf_full_path(cf, veil_conf_arg(cf, 1), false);
    return VEIL_OK;
}

veil_rc_t
veil_conf_set_strs(veil_conf_t *cf, const veil_command_t *cmd, void *conf)
{
    veil_array_t **a = CONF_FIELD(veil_array_t *, conf, cmd);
    veil_str_t *s;
    unsigned i;

    for (i = 1; i < veil_conf_nargs(cf); i++) {
        s = veil_conf_array_push(cf, a, sizeof(*s));
        *s = veil_conf_arg(cf, i);
    }
    return VEIL_OK;
}

veil_rc_t
veil_conf_set_keyval(veil_conf_t *cf, const veil_command_t *cmd, void *conf)
{
    veil_conf_keyval_t *kv;

    VEIL_ASSERT(veil_conf_nargs(cf) >= 3);
    kv = veil_conf_array_push(cf, CONF_FIELD(veil_array_t *, conf, cmd),
                              sizeof(*kv));
    kv->key = veil_conf_arg(cf, 1);
    kv->value = veil_conf_arg(cf, 2);
    return VEIL_OK;
}

/* The entry of argument i's word; NULL after reporting. */
static const veil_conf_enum_t *
conf_enum(veil_conf_t *cf, unsigned i, const veil_conf_enum_t *table)
{
    const char *words[64];
    unsigned n;

    VEIL_ASSERT(table != NULL);
    for (n = 0; table[n].name != NULL; n++) {
        if (veil_str_caseeq(veil_conf_arg(cf, i), veil_str_z(table[n].name))) {
            return &table[n];
        }
    }
    VEIL_ASSERT(n < veil_countof(words));
    for (n = 0; table[n].name != NULL; n++) {
        words[n] = table[n].name;
    }
    words[n] = NULL;
    veil_conf_error_word(cf, i, words);
    return NULL;
}

veil_rc_t
veil_conf_set_enum(veil_conf_t *cf, const veil_command_t *cmd, void *conf)
{
    const veil_conf_enum_t *e = conf_enum(cf, 1, cmd->data);

    if (e == NULL) {
        return VEIL_ERROR;
    }
    *CONF_FIELD(int, conf, cmd) = e->value;
    return VEIL_OK;
}

veil_rc_t
veil_conf_set_bitmask(veil_conf_t *cf, const veil_command_t *cmd, void *conf)
{
    const veil_conf_enum_t *e;
    unsigned i, mask = 0;

    for (i = 1; i < veil_conf_nargs(cf); i++) {
        e = conf_enum(cf, i, cmd->data);
        if (e == NULL) {
            return VEIL_ERROR;
        }
        if (e->value != 0 && (mask & (unsigned) e->value) != 0) {
            veil_conf_warn(cf, "duplicate value \"%.*s\"",
                           VEIL_STR_ARG(veil_conf_arg(cf, i)));
        }
        mask |= (unsigned) e->value;
    }
    *CONF_FIELD(unsigned, conf, cmd) = mask;
    return VEIL_OK;
}

veil_rc_t
veil_conf_set_noop(veil_conf_t *cf, const veil_command_t *cmd,
                   void *conf VEIL_UNUSED)
{
    const veil_conf_word_t *w = &cf->node->args[0];
    const char *why = cmd->data;

    if (veil_conf_mark_said(cf, cmd)) {
        return VEIL_OK;
    }
    veil_log(cf->log, VEIL_LOG_NOTICE, 0,
             "\"%s\" directive has no effect%s%s in %.*s:%u:%u", cmd->name,
             why == NULL ? "" : ": ", why == NULL ? "" : why,
             VEIL_STR_ARG(cf->node->file->name), w->line, w->column);
    return VEIL_OK;
}
