/*
 * leftover.c -- what a worker leaves behind: debug builds count.
 *
 * A worker that ends has no connection left.  So every operation, pool and
 * descriptor that was not there when it began is one that somebody forgot.
 * The tests read the line this writes; an alert names each culprit.
 *
 * Pools are counted, and all are named when there are more than at first;
 * descriptors are compared by number, as /proc/self/fd has them.
 */

#include "core/platform.h"

#include <dirent.h>

#include "core/pool.h"
#include "event/filecache.h"
#include "process/leftover.h"

#define LEFTOVER_FDS 4096

static bool leftover_fd_known[LEFTOVER_FDS];
static unsigned leftover_pools;
static unsigned leftover_ops;

typedef void leftover_fd_fn(int fd, void *data);

/* Calls fn for each open descriptor below LEFTOVER_FDS. */
static void
leftover_each_fd(leftover_fd_fn *fn, void *data)
{
    DIR *dir = opendir("/proc/self/fd");
    const struct dirent *entry;
    int64_t fd;

    if (dir == NULL) {
        return; /* no /proc: nothing is known, nothing is reported */
    }
    while ((entry = readdir(dir)) != NULL) {
        fd = veil_str_to_int(veil_str_z(entry->d_name));
        if (fd >= 0 && fd < LEFTOVER_FDS && fd != dirfd(dir)) {
            fn((int) fd, data);
        }
    }
    closedir(dir);
}

static void
leftover_fd_note(int fd, void *data)
{
    (void) data;
    leftover_fd_known[fd] = true;
}

void
veil_leftover_begin(void)
{
    if (!VEIL_DEBUG) {
        return;
    }
    memset(leftover_fd_known, 0, sizeof(leftover_fd_known));
    leftover_each_fd(leftover_fd_note, NULL);
    leftover_pools = veil_pool_count(NULL, NULL);
}

static void
leftover_print(void *data, const char *line)
{
    const veil_log_t *log = data;

    veil_log(log, VEIL_LOG_ALERT, 0, "left at exit: %s", line);
}

/* veil_pool_report_fn has no const for its data. */
static void *
leftover_data(const veil_log_t *log)
{
    void *data;

    memcpy(&data, &log, sizeof(data));
    return data;
}

void
veil_leftover_loop(const veil_loop_t *loop, const veil_log_t *log)
{
    if (!VEIL_DEBUG) {
        return;
    }
    leftover_ops = loop->nops;
    if (leftover_ops != 0) {
        (void) veil_loop_report(loop, leftover_print, leftover_data(log));
    }
}

typedef struct {
    const veil_log_t *log;
    unsigned n;
} leftover_fds_t;

static void
leftover_fd_report(int fd, void *data)
{
    leftover_fds_t *fds = data;
    char path[64];
    char target[256];
    ssize_t n;

    if (leftover_fd_known[fd]) {
        return;
    }
    fds->n++;
    veil_snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
    n = readlink(path, target, sizeof(target));
    veil_log(fds->log, VEIL_LOG_ALERT, 0, "left at exit: descriptor %d, %.*s",
             fd, n < 0 ? 0 : (int) n, target);
}

void
veil_leftover_report(const veil_log_t *log)
{
    leftover_fds_t fds = { .log = log };
    unsigned pools;

    if (!VEIL_DEBUG) {
        return;
    }
    leftover_each_fd(leftover_fd_report, &fds);

    pools = veil_pool_count(NULL, NULL);
    if (pools > leftover_pools) {
        (void) veil_pool_count(leftover_print, leftover_data(log));
        pools -= leftover_pools;
    } else {
        pools = 0;
    }
    if (veil_file_count() != 0) {
        veil_log(log, VEIL_LOG_ALERT, 0, "left at exit: %u cached files",
                 veil_file_count());
        fds.n += veil_file_count();
    }
    veil_log(log, VEIL_LOG_NOTICE, 0, "exit: ops=%u pools=%u fds=%u",
             leftover_ops, pools, fds.n);
}
