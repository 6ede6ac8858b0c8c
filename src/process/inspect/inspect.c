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
#include "process/inspect/aside.h"

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

static json_t *
inspect_explain_aside(const json_t *args)
{
    veil_str_t fields[VEIL_EXPLAIN_FIELDS];
    veil_explain_options_t o = veil_explain_options(args, fields);

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
    VEIL_LINT_ARGS,
    { .name = NULL },
};

static const veil_control_arg_t inspect_explain_args[] = {
    VEIL_EXPLAIN_ARGS,
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
