/*
 * upgrade_preflight.c -- "veil --preflight": would this program take over?
 *
 * A master that is to be replaced runs the new program with its own arguments
 * and this option first.  Nothing is bound, made or written; whatever speaks
 * against the new program is found while the old one has not moved:
 *
 *     preflight: version veil/0.4.0
 *     preflight: state 1 1            versions of a state that it reads
 *     preflight: ok                   or: refused, and the reason
 *
 * What the test of the configuration says goes to the same place; of that the
 * first line with [emerg] is the reason.  A program that says none of this is
 * not one of ours, or is too old to know.
 */

#include "core/platform.h"

#include <sys/wait.h>

#include "core/fault.h"
#include "core/version.h"
#include "process/inspect/check.h"
#include "process/peek.h"
#include "process/upgrade/takeover.h"
#include "process/upgrade/upgrade_preflight.h"

/* --- in the new program ------------------------------------------------- */

static int
upgrade_preflight_refuse(const char *why)
{
    printf(VEIL_PREFLIGHT_MARK "refused %s\n", why);
    return 1;
}

int
veil_upgrade_preflight(const veil_launch_t *launch)
{
    veil_cycle_t *cycle;
    const char *why;
    veil_peek_t peek;
    veil_rc_t rc;

    VEIL_FAULT("upgrade.preflight");
    printf(VEIL_PREFLIGHT_MARK "version " VEIL_SERVER_NAME "\n");
    printf(VEIL_PREFLIGHT_MARK "state %d %d\n", VEIL_HANDOVER_FIRST,
           VEIL_HANDOVER_VERSION);
    (void) fflush(stdout);

    if (veil_takeover_open(&why) < 0) {
        return upgrade_preflight_refuse(why);
    }
    if (veil_check(launch, false, true) != 0) {
        return upgrade_preflight_refuse("the configuration");
    }
    cycle = veil_cycle_create(launch->prefix, launch->conf_path,
                              launch->error_log_path, launch->globals);
    rc = veil_peek(cycle, &peek);
    veil_cycle_destroy(&cycle);
    if (rc != VEIL_OK || !peek.master_process) {
        return upgrade_preflight_refuse(
            "with \"master_process off\" there is no "
            "master that could take over");
    }
    printf(VEIL_PREFLIGHT_MARK "ok\n");
    return fflush(stdout) == 0 ? 0 : 1;
}

/* --- in the master that asks -------------------------------------------- */

/* A line of the log without the time and the pid. */
static veil_str_t
upgrade_preflight_strip(veil_str_t line)
{
    ptrdiff_t at = veil_str_find(line, VEIL_STR("[emerg] "));
    ptrdiff_t colon;

    if (at < 0) {
        return line;
    }
    line = veil_str_from(line, (size_t) at + sizeof("[emerg] ") - 1);
    colon = veil_str_find(line, VEIL_STR(": "));
    return colon < 0 ? line : veil_str_from(line, (size_t) colon + 2);
}

/* The better reason of the two. */
static void
upgrade_preflight_note(veil_upgrade_preflight_t *r, veil_str_t why)
{
    if (r->why[0] == '\0' && why.len != 0) {
        (void) veil_str_copy_z(r->why, sizeof(r->why), why);
    }
}

static void
upgrade_preflight_end(veil_upgrade_preflight_t *r, int status, bool ours)
{
    if (WIFSIGNALED(status)) {
        veil_snprintf(r->why, sizeof(r->why), "its preflight %s (signal %d)",
                      WTERMSIG(status) == SIGKILL ? "was killed" : "crashed",
                      WTERMSIG(status));
    } else if (!ours && r->why[0] == '\0') {
        veil_snprintf(r->why, sizeof(r->why),
                      "it does not answer as a veil that can take over");
    } else if (r->why[0] == '\0') {
        veil_snprintf(r->why, sizeof(r->why),
                      "its preflight ended with status %d",
                      WEXITSTATUS(status));
    }
    r->ok = false;
}

void
veil_upgrade_preflight_read(veil_upgrade_preflight_t *r, veil_str_t output,
                            int status)
{
    const veil_str_t mark = VEIL_STR(VEIL_PREFLIGHT_MARK);
    veil_str_t refused = VEIL_STR("");
    veil_str_t first = VEIL_STR("");
    bool ours = false;
    veil_str_t line;
    veil_str_t word;

    memset(r, 0, sizeof(*r));
    while (output.len != 0) {
        line = veil_str_cut(&output, '\n');
        if (!veil_str_starts(line, mark)) {
            if (veil_str_find(line, VEIL_STR("[emerg]")) >= 0) {
                upgrade_preflight_note(r, upgrade_preflight_strip(line));
            }
            first = first.len == 0 ? line : first;
            continue;
        }
        ours = true;
        line = veil_str_from(line, mark.len);
        word = veil_str_cut(&line, ' ');
        if (veil_str_eq_z(word, "ok")) {
            r->ok = true;
        } else if (veil_str_eq_z(word, "refused")) {
            refused = line;
        } else if (veil_str_eq_z(word, "version")) {
            (void) veil_str_copy_z(r->version, sizeof(r->version), line);
        }
    }
    if (!r->ok || !WIFEXITED(status) || WEXITSTATUS(status) != 0) {
        upgrade_preflight_note(r, refused);
        if (ours || veil_str_starts(first, VEIL_STR("execve()"))) {
            upgrade_preflight_note(r, first);
        }
        upgrade_preflight_end(r, status, ours);
    }
}
