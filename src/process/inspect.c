/*
 * inspect.c -- the verbs config.check and config.explain: a look at the
 * configuration that runs, which the files may no longer be.
 *
 * veilctl looks at files by itself, with the same functions; these are what
 * it asks when it is told "--running".
 */

#include "core/platform.h"

#include "core/control.h"
#include "core/explain.h"
#include "core/lint.h"
#include "process/aside.h"

/* --- config.check ----------------------------------------------------------
 */

static json_t *
inspect_check_aside(const json_t *args)
{
    veil_pool_t *pool = veil_pool_create("lint", 16384);
    json_t *expires = json_object_get(args, "expires_in");
    veil_lint_t lint;
    json_t *found;

    veil_lint_init(&lint, veil_cycle, pool);
    if (json_is_integer(expires)) {
        lint.expires_in_ms = (uint64_t) json_integer_value(expires);
    }
    veil_lint_look(&lint);
    found =
        veil_lint_json(&lint, json_is_true(json_object_get(args, "notes")));
    veil_pool_destroy(&pool);
    return found;
}

static veil_control_rc_t
inspect_check(veil_control_call_t *call)
{
    return veil_aside_run(call, inspect_check_aside);
}

/* --- config.explain --------------------------------------------------------
 */

#define INSPECT_FIELDS 64

static veil_str_t
inspect_text(const json_t *args, const char *name)
{
    return veil_str_z(json_string_value(json_object_get(args, name)));
}

static json_t *
inspect_explain_aside(const json_t *args)
{
    veil_str_t fields[INSPECT_FIELDS], rest = inspect_text(args, "header");
    veil_explain_options_t o = {
        .request = inspect_text(args, "request"),
        .client = inspect_text(args, "client"),
        .listen = inspect_text(args, "listen"),
        .fields = fields,
    };

    while (rest.len != 0 && o.nfields < INSPECT_FIELDS) {
        fields[o.nfields++] = veil_str_trim(veil_str_cut(&rest, '\n'));
    }
    return veil_explain(veil_cycle, &o);
}

static veil_control_rc_t
inspect_explain(veil_control_call_t *call)
{
    return veil_aside_run(call, inspect_explain_aside);
}

/* --- tables ----------------------------------------------------------------
 */

static const veil_control_arg_t inspect_check_args[] = {
    { "notes", VEIL_CONTROL_FLAG, 0, NULL, "what is only worth knowing, too" },
    { "expires_in", VEIL_CONTROL_TIME, 0, NULL,
      "tell of certificates that end within (14d)" },
    { .name = NULL },
};

static const veil_control_arg_t inspect_explain_args[] = {
    { "request", VEIL_CONTROL_STRING,
      VEIL_CONTROL_REQUIRED | VEIL_CONTROL_POSITION, NULL,
      "as in \"GET https://host/path\"" },
    { "client", VEIL_CONTROL_STRING, 0, NULL,
      "the address it comes from (127.0.0.1)" },
    { "header", VEIL_CONTROL_STRING, 0, NULL,
      "fields of the request, one a line" },
    { "listen", VEIL_CONTROL_STRING, 0, NULL,
      "address:port of the listener (any of the URL's port)" },
    { .name = NULL },
};

static const veil_control_verb_t inspect_verbs[] = {
    { .name = "config.check",
      .role = VEIL_CONTROL_ADMIN,
      .place = VEIL_CONTROL_IN_KEEPER,
      .args = inspect_check_args,
      .run = inspect_check,
      .help = "Looks for what the configuration says and hardly means." },

    { .name = "config.explain",
      .role = VEIL_CONTROL_ADMIN,
      .place = VEIL_CONTROL_IN_KEEPER,
      .args = inspect_explain_args,
      .run = inspect_explain,
      .help = "Says what would become of a request, without sending it." },

    { .name = NULL },
};

veil_module_t veil_core_inspect_module = {
    .abi = VEIL_MODULE_ABI,
    .name = "inspect",
    .control = inspect_verbs,
};
