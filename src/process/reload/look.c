/*
 * look.c -- a child of the master that reads a configuration and says what it
 * would change, and whether it could be had, without changing anything.
 *
 * The master reads no configurations: what is in them could break it, and it
 * would grow.  So a child does, as for "veil -t": nothing is made.  As it is a
 * fork it knows what the master holds, and tries what would be new: whether
 * an address could be bound, by doing so for a moment without listening;
 * whether a zone of that name is another's.  What only processes meet that
 * start (modules that are prepared, workers) is not tried.
 * What it finds is JSON in a memfd, which is read when the child has ended.
 * Nothing is logged: who asked is told.
 */

#include "core/platform.h"

#include <signal.h>
#include <sys/mman.h>

#include "core/control.h"
#include "core/main_conf.h"
#include "core/overlay.h"
#include "core/pool.h"
#include "process/inspect/check.h"
#include "process/reload/facts.h"
#include "process/reload/look.h"
#include "process/reload/preflight.h"
#include "process/reload/reload.h"
#include "process/spawn.h"
#include "process/text.h"

/* Then the child ends by a signal. */
#define LOOK_SECONDS 60

static veil_list_t look_list = { &look_list, &look_list };

/* --- the child ----------------------------------------------------------- */

static json_t *
look_diff(const veil_cycle_t *cycle, int text_fd, int facts_fd)
{
    json_t *facts = veil_facts_make(cycle);
    veil_str_t text = VEIL_STR_NULL;
    veil_str_t running_facts = VEIL_STR_NULL;
    json_t *diff;

    if (text_fd >= 0) {
        (void) veil_text_map(text_fd, &text);
    }
    if (facts_fd >= 0) {
        (void) veil_text_map(facts_fd, &running_facts);
    }
    diff = veil_facts_diff(cycle, text, running_facts, facts);
    json_decref(facts);
    return diff;
}

/* Whether all that it needs could be had; what not is logged. */
static bool
look_try(const veil_hold_t *hold)
{
    static veil_listen_message_t want;
    veil_memory_message_t other;
    const veil_hold_zone_t *held;
    veil_prepare_place_t place;
    veil_shm_zone_t *zone;
    veil_hold_zone_t z;
    veil_list_t *n;
    uint64_t bytes = 0;
    bool ok = veil_check_files(veil_cycle) == VEIL_OK;
    bool fresh;

    veil_list_foreach (n, &veil_cycle->listens) {
        veil_prepare_listen(veil_list_entry(n, veil_listen_t, link), &want);
        veil_prepare_place(&place, &veil_cycle->log, want.where);
        ok = veil_hold_try_listen(hold, &want.listen, &place.log) == 0 && ok;
    }
    veil_list_foreach (n, &veil_cycle->zones) {
        zone = veil_list_entry(n, veil_shm_zone_t, link);
        veil_prepare_zone(zone, &z);
        if (veil_hold_try_zone(hold, &z, &fresh) < 0) {
            held = veil_hold_zone_find(hold, z.name);
            memset(&other, 0, sizeof(other));
            memcpy(other.tag, held->tag, sizeof(other.tag));
            memcpy(other.key, held->key, sizeof(other.key));
            veil_prepare_zone_refused(zone, &z, &other);
            ok = false;
        } else {
            bytes += fresh ? zone->size : 0;
        }
    }
    veil_preflight(veil_cycle, bytes);
    return ok;
}

static json_t *
look_find(const veil_launch_t *launch, const veil_look_running_t *running)
{
    static const veil_log_t nowhere = { .level = VEIL_LOG_OFF };
    veil_reload_result_t *r = veil_reload_begin(0, 0, VEIL_RELOAD_VERB);
    veil_reload_log_t noted;
    json_t *found;

    veil_reload_log(&noted, r, &nowhere);
    veil_cycle = veil_cycle_create(launch->prefix, launch->conf_path,
                                   launch->error_log_path, launch->globals);
    veil_cycle->testing = true;
    veil_cycle->log = noted.log;
    r->ok = veil_cycle_load(veil_cycle, NULL) == VEIL_OK;
    if (r->ok) {
        veil_overlay_load(veil_main_conf(veil_cycle)->overlay, &noted.log,
                          true);
        veil_overlay_check_sections();
        r->ok = veil_overlay_errors() == 0;
    }
    if (r->ok) {
        veil_reload_set_diff(
            r, look_diff(veil_cycle, running->text_fd, running->facts_fd));
        r->reason[0] = '\0';
        r->ok = look_try(running->hold);
        r->code = VEIL_E_FAILED;
    } else {
        r->code = VEIL_E_INVALID;
    }
    found = veil_reload_json(r, true);
    /* Nothing was loaded: there is no generation, and no time to tell. */
    json_object_del(found, "generation");
    json_object_del(found, "previous");
    json_object_del(found, "cause");
    json_object_del(found, "at");
    return found;
}

static void
look_child(const veil_launch_t *launch, int fd,
           const veil_look_running_t *running)
{
    int keep[3] = { fd, running->text_fd, running->facts_fd };
    json_t *found;
    sigset_t none;

    veil_spawn_close_others(keep, veil_countof(keep));
    veil_title_set("reading a configuration");

    /* Of the master's signals, none; and the deadline's, to end by it. */
    signal(SIGALRM, SIG_DFL);
    signal(SIGTERM, SIG_DFL);
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
    alarm(LOOK_SECONDS);

    found = look_find(launch, running);
    _exit(json_dumpfd(found, fd, JSON_COMPACT) == 0 ? 0 : 1);
}

/* --- the master ---------------------------------------------------------- */

int
veil_look_start(veil_look_t *look, const veil_launch_t *launch,
                const veil_look_running_t *running)
{
    int fd = memfd_create("veil look", MFD_CLOEXEC);
    pid_t pid;

    if (fd < 0) {
        return -errno;
    }
    pid = veil_spawn();
    if (pid == 0) {
        look_child(launch, fd, running);
    }
    if (pid < 0) {
        close(fd);
        return (int) pid;
    }
    look->fd = fd;
    look->pid = pid;
    veil_list_append(&look_list, &look->link);
    return 0;
}

static void
look_forget(veil_look_t *look)
{
    veil_list_remove(&look->link);
    close(look->fd);
    look->fd = -1;
}

void
veil_look_cancel(veil_look_t *look)
{
    (void) kill(look->pid, SIGKILL);
    look_forget(look);
}

bool
veil_look_is(pid_t pid)
{
    veil_list_t *n;

    veil_list_foreach (n, &look_list) {
        if (veil_list_entry(n, veil_look_t, link)->pid == pid) {
            return true;
        }
    }
    return false;
}

bool
veil_look_reap(pid_t pid, int status)
{
    veil_look_t *look;
    json_t *found = NULL;
    veil_list_t *n;

    veil_list_foreach (n, &look_list) {
        look = veil_list_entry(n, veil_look_t, link);
        if (look->pid != pid) {
            continue;
        }
        if (status == 0) {
            found = veil_facts_read(look->fd);
        }
        look_forget(look);
        look->ended(look, found, status);
        json_decref(found);
        return true;
    }
    return false;
}
