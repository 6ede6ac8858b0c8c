/*
 * explain.c -- "veil --explain".
 */

#include "core/platform.h"

#include "core/control.h"
#include "core/lint.h"
#include "process/inspect/explain.h"
#include "process/inspect/lint.h"

static void
explain_write_json(const json_t *report, FILE *out)
{
    (void) json_dumpf(report, out, JSON_COMPACT);
    fputc('\n', out);
}

/* There is nothing to explain: what is wrong, as --lint tells it. */
static void
explain_invalid(const veil_lint_t *lint, FILE *out, bool json)
{
    json_t *report;

    if (!json) {
        veil_lint_print(lint, false, stderr);
        return;
    }
    report = veil_lint_json(lint, false);
    json_object_set_new(report, "error",
                        json_string("the configuration is invalid"));
    explain_write_json(report, out);
    json_decref(report);
}

static int
explain_loaded(veil_cycle_t *cycle, const veil_explain_options_t *o, FILE *out,
               bool json)
{
    json_t *report;
    int status;

    cycle->log.level = VEIL_LOG_ERR; /* what a load warns of, --lint tells */
    report = veil_explain(cycle, o);
    json_object_set_new(report, "configuration",
                        veil_control_string(cycle->conf_path));
    status = json_object_get(report, "error") == NULL ? 0 : 1;
    if (json) {
        explain_write_json(report, out);
    } else {
        veil_explain_print(report, status == 0 ? out : stderr);
    }
    json_decref(report);
    return status;
}

int
veil_explain_run(const veil_launch_t *launch, const veil_explain_options_t *o,
                 FILE *out, bool json)
{
    veil_pool_t *pool = veil_pool_create("explain", 4096);
    veil_cycle_t *cycle;
    veil_lint_t lint;
    int status = 1;

    cycle = veil_cycle_create(launch->prefix, launch->conf_path,
                              launch->error_log_path, launch->globals);
    veil_cycle = cycle;
    veil_lint_init(&lint, cycle, pool);
    if (veil_lint_load(&lint) == VEIL_OK) {
        status = explain_loaded(cycle, o, out, json);
    } else {
        explain_invalid(&lint, out, json);
    }
    veil_cycle_destroy(&cycle);
    veil_pool_destroy(&pool);
    return status;
}
