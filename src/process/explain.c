/*
 * explain.c -- "veil --explain".
 */

#include "core/platform.h"

#include "core/control.h"
#include "process/explain.h"

int
veil_explain_run(const veil_launch_t *launch, const veil_explain_options_t *o,
                 FILE *out, bool json)
{
    veil_cycle_t *cycle;
    json_t *report;
    int status;

    cycle = veil_cycle_create(launch->prefix, launch->conf_path,
                              launch->error_log_path, launch->globals);
    cycle->testing = true;
    cycle->log.level = VEIL_LOG_ERR; /* what a load warns of, --lint tells */
    veil_cycle = cycle;
    if (veil_cycle_load(cycle, NULL) != VEIL_OK) {
        veil_cycle_destroy(&cycle);
        return 1;
    }
    report = veil_explain(cycle, o);
    json_object_set_new(report, "configuration",
                        veil_control_string(cycle->conf_path));
    status = json_object_get(report, "error") == NULL ? 0 : 1;
    if (json) {
        (void) json_dumpf(report, out, JSON_INDENT(2));
        fputc('\n', out);
    } else {
        veil_explain_print(report, status == 0 ? out : stderr);
    }
    json_decref(report);
    veil_cycle_destroy(&cycle);
    return status;
}
