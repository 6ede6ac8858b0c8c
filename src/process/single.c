/*
 * single.c -- "master_process off": one process that is all three.
 *
 * For development: a debugger follows it without help.  It takes the same
 * steps as a keeper and its worker, with the hold beside it instead of at
 * the other end of a channel.  As in nginx it stays the user it was started
 * as.  There is nobody to take over from it, so its configuration is for
 * life: HUP is ignored, with a line that says so.
 */

#include "core/platform.h"

#include <fcntl.h>

#include "core/main_conf.h"
#include "core/time.h"
#include "event/listen.h"
#include "process/pidfile.h"
#include "process/show.h"
#include "process/single.h"
#include "process/worker.h"

static veil_hold_t single_hold;

static veil_rc_t
single_open_listens(void)
{
    static veil_listen_message_t m;
    veil_prepare_place_t place;
    veil_rc_t rc = VEIL_OK;
    veil_listen_t *l;
    veil_list_t *n;
    const int *fds;
    unsigned count, i;

    /* All of them, so that one start tells all that is wrong. */
    veil_list_foreach (n, &veil_cycle->listens) {
        l = veil_list_entry(n, veil_listen_t, link);
        veil_prepare_listen(l, &m);
        veil_prepare_place(&place, &veil_cycle->log, m.where);
        if (veil_hold_listen(&single_hold, &m.listen, 1, &fds, &count,
                             &place.log)
            < 0) {
            rc = VEIL_ERROR;
            continue;
        }
        veil_prepare_slots(l, count);
        for (i = 0; i < count; i++) {
            /* The worker closes its own when it drains. */
            l->fds[i] = fcntl(fds[i], F_DUPFD_CLOEXEC, 0);
        }
    }
    return rc;
}

static veil_rc_t
single_open_zones(void)
{
    veil_hold_zone_t m;
    veil_list_t *n;
    bool fresh;
    int fd;

    veil_list_foreach (n, &veil_cycle->zones) {
        veil_shm_zone_t *zone = veil_list_entry(n, veil_shm_zone_t, link);

        veil_prepare_zone(zone, &m);
        fd = veil_hold_zone(&single_hold, &m, 1, &fresh);
        if (fd >= 0) {
            fd = fcntl(fd, F_DUPFD_CLOEXEC, 0);
        }
        if (fd < 0) {
            veil_log(&veil_cycle->log, VEIL_LOG_EMERG, fd == -1 ? errno : -fd,
                     "no memory for the zone \"%s\"", m.name);
            return VEIL_ERROR;
        }
        if (veil_prepare_map_zone(zone, fd, fresh) != VEIL_OK) {
            return VEIL_ERROR;
        }
    }
    return VEIL_OK;
}

static veil_rc_t
single_ready(void *data)
{
    const veil_master_options_t *o = data;
    const char *path = veil_main_conf(veil_cycle)->pid.data;
    int rc = veil_pidfile_write(path);

    if (rc < 0) {
        veil_log(&veil_cycle->log, VEIL_LOG_EMERG, -rc,
                 "writing the pid file \"%s\" failed", path);
        return VEIL_ERROR;
    }
    if (o->ready_fd >= 0) {
        /* The starter may have been killed; then nobody waits. */
        (void) !write(o->ready_fd, "", 1);
        close(o->ready_fd);
    }
    return VEIL_OK;
}

static void
single_draining(void *data)
{
    (void) data;
    veil_hold_done(&single_hold, true);
}

int
veil_single_run(const veil_master_options_t *o)
{
    veil_master_options_t options = *o;
    veil_worker_options_t worker;
    int status;

    veil_time_update();
    veil_hold_init(&single_hold);

    if (veil_prepare_load(o->launch, 1, NULL, NULL) != VEIL_OK) {
        return 1;
    }
    veil_prepare_tell_stderr(&veil_cycle->log, true);
    veil_show_open(&single_hold, VEIL_BOARD_WORKER, &veil_cycle->log);
    if (single_open_listens() != VEIL_OK || single_open_zones() != VEIL_OK
        || veil_prepare_modules() != VEIL_OK)
    {
        veil_hold_done(&single_hold, true);
        return 1;
    }
    memset(&worker, 0, sizeof(worker));
    worker.channel = -1;
    worker.detach = o->detach;
    worker.ready = single_ready;
    worker.draining = single_draining;
    worker.data = &options;
    status = veil_worker_run(&worker);

    veil_hold_done(&single_hold, true);
    veil_pidfile_remove(veil_main_conf(veil_cycle)->pid.data);
    return status == 0 ? 0 : 1;
}
