/*
 * lint.c -- "veil --lint".
 *
 * The load's own messages are findings like others, so that there is one list
 * in the order of the files.  With an error among them nothing further is
 * looked at: what modules would see is incomplete, and the first thing to do
 * is known.
 */

#include "core/platform.h"

#include "core/lint.h"
#include "process/inspect/lint.h"

static void
lint_write_json(const veil_lint_t *lint, bool notes, FILE *out)
{
    json_t *o = veil_lint_json(lint, notes);

    (void) json_dumpf(o, out, JSON_COMPACT | JSON_ENSURE_ASCII);
    fputc('\n', out);
    json_decref(o);
}

/* A load logs what has no directive, such as a file that is missing. */
static void
lint_write_log(const veil_log_sink_t *sink, veil_log_level_t level VEIL_UNUSED,
               const char *line, size_t len)
{
    FILE *to = sink->data;

    (void) fwrite(line, 1, len, to); /* standard error: nobody to tell */
}

veil_rc_t
veil_lint_load(veil_lint_t *lint)
{
    veil_log_sink_t sink = { .level = VEIL_LOG_ERR,
                             .write = lint_write_log,
                             .data = stderr };
    veil_log_t log = { .level = VEIL_LOG_ERR, .sinks = &sink };
    veil_cycle_t *cycle = lint->cycle;
    veil_rc_t rc;

    cycle->testing = true;
    cycle->log = log;
    veil_lint_watch_load(lint);
    rc = veil_cycle_load(cycle, NULL);
    cycle->log = veil_log_stderr; /* the sink is this function's */
    return rc;
}

int
veil_lint_run(const veil_lint_options_t *o, FILE *out, bool json)
{
    veil_pool_t *pool = veil_pool_create("lint", 16384);
    veil_cycle_t *cycle;
    veil_lint_t lint;
    unsigned bad;
    veil_rc_t rc;

    cycle = veil_cycle_create(o->launch.prefix, o->launch.conf_path,
                              o->launch.error_log_path, o->launch.globals);
    veil_cycle = cycle;
    veil_lint_init(&lint, cycle, pool);
    if (o->expires_in_ms != 0) {
        lint.expires_in_ms = o->expires_in_ms;
    }
    rc = veil_lint_load(&lint);
    if (rc == VEIL_OK) {
        veil_lint_look(&lint);
    }
    if (json) {
        lint_write_json(&lint, o->notes, out);
    } else {
        veil_lint_print(&lint, o->notes, out);
    }
    bad = veil_lint_count(&lint, VEIL_LINT_ERROR);
    if (o->strict) {
        bad += veil_lint_count(&lint, VEIL_LINT_WARNING);
    }
    veil_cycle_destroy(&cycle);
    veil_pool_destroy(&pool);
    return rc != VEIL_OK || bad != 0 ? 1 : 0;
}
