/*
 * check.c -- "veil -t".
 *
 * nginx's test opens the logs and binds the sockets, and so leaves files
 * behind and fails beside a server that runs.  Here nothing is made or
 * bound.  What would be written is asked for by access(2) instead: logs, and
 * the directory of the pid file.
 */

#include "core/platform.h"

#include <fcntl.h>
#include <limits.h>

#include "core/main_conf.h"
#include "process/control/audit_module.h"
#include "process/control/control_server.h"
#include "process/inspect/check.h"

/* Says why a file could not be written; dir is where it would be made. */
static veil_rc_t
check_failed(const veil_log_t *log, int err, const char *what,
             const char *path, const char *dir)
{
    if (err == ENOENT && dir != NULL) {
        veil_log(log, VEIL_LOG_EMERG, 0,
                 "%s \"%s\" cannot be written: there is no directory \"%s\"",
                 what, path, dir);
    } else {
        veil_log(log, VEIL_LOG_EMERG, err, "%s \"%s\" cannot be written", what,
                 path);
    }
    return VEIL_ERROR;
}

/* Whether the file can be opened for writing, or made; if not, says so. */
static veil_rc_t
check_writable(const veil_log_t *log, const char *what, const char *path,
               bool must_make)
{
    char dir[PATH_MAX];
    char *slash;

    if (!must_make && faccessat(AT_FDCWD, path, W_OK, AT_EACCESS) == 0) {
        return VEIL_OK;
    }
    if (!must_make && errno != ENOENT) {
        return check_failed(log, errno, what, path, NULL);
    }
    if (strlen(path) >= sizeof(dir)) {
        return check_failed(log, ENAMETOOLONG, what, path, NULL);
    }
    veil_str_copy_z(dir, sizeof(dir), veil_str_z(path));
    slash = strrchr(dir, '/');
    if (slash == NULL) {
        return VEIL_OK;
    }
    slash[slash == dir ? 1 : 0] = '\0';
    return faccessat(AT_FDCWD, dir, W_OK | X_OK, AT_EACCESS) == 0
               ? VEIL_OK
               : check_failed(log, errno, what, path, dir);
}

/* Whether something is in the way of the control socket; says so. */
static bool
check_control(const veil_log_t *log, const char *path)
{
    const char *why = veil_control_server_obstacle(path);

    if (why != NULL) {
        veil_log(log, VEIL_LOG_EMERG, 0,
                 "the control socket \"%s\" cannot be opened: %s", path, why);
        return true;
    }
    return check_writable(log, "the control socket", path, true) != VEIL_OK;
}

veil_rc_t
veil_check_files(const veil_cycle_t *cycle)
{
    const veil_control_settings_t *control = veil_control_settings(cycle);
    const char *pid = veil_main_conf(cycle)->pid.data;
    const veil_log_t *log = &cycle->log;
    const veil_log_file_t *file;
    const veil_list_t *n;
    const veil_audit_message_t *audit;
    veil_audit_place_t place;
    veil_rc_t rc = VEIL_OK;
    unsigned i;

    veil_list_foreach (n, &cycle->log_files) {
        file = (const veil_log_file_t *) (const void *) n;
        if (file->path.len != 0
            && check_writable(log, "the log", file->path.data, false)
                   != VEIL_OK)
        {
            rc = VEIL_ERROR;
        }
    }
    for (i = 0; (audit = veil_audit_configured(cycle, i)) != NULL; i++) {
        veil_audit_place(&place, cycle, i, log);
        if (!audit->syslog
            && check_writable(&place.place.log, "the audit log", audit->path,
                              false)
                   != VEIL_OK)
        {
            rc = VEIL_ERROR;
        }
    }
    if (control->on && control->asked && check_control(log, control->path)) {
        rc = VEIL_ERROR;
    }
    /* It is made anew beside the old one, unless it is something special. */
    if (check_writable(log, "the pid file", pid, access(pid, F_OK) != 0)
        != VEIL_OK)
    {
        rc = VEIL_ERROR;
    }
    return rc;
}

_Static_assert(offsetof(veil_log_file_t, link) == 0,
               "a file's link is its beginning");

int
veil_check(const veil_launch_t *launch, bool dump, bool quiet)
{
    veil_cycle_t *cycle;
    veil_rc_t rc;

    cycle = veil_cycle_create(launch->prefix, launch->conf_path,
                              launch->error_log_path, launch->globals);
    cycle->testing = true;
    veil_cycle = cycle;
    rc = veil_cycle_load(cycle, NULL);

    if (rc == VEIL_OK) {
        if (!quiet) {
            fprintf(stderr, "veil: the configuration file %s syntax is ok\n",
                    cycle->conf_path.data);
            veil_conf_print_deviations(cycle, stderr);
        }
        rc = veil_check_files(cycle);
    }
    if (rc != VEIL_OK) {
        fprintf(stderr, "veil: configuration file %s test failed\n",
                cycle->conf_path.data);
        veil_cycle_destroy(&veil_cycle);
        return 1;
    }
    if (!quiet) {
        fprintf(stderr, "veil: configuration file %s test is successful\n",
                cycle->conf_path.data);
    }
    if (dump) {
        veil_conf_dump(cycle, stdout);
    }
    veil_cycle_destroy(&veil_cycle);
    return 0;
}
