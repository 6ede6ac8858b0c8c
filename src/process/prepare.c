/*
 * prepare.c -- from the files to a generation that could start: what a keeper
 * and a single process have in common.
 *
 * A zone's owner is known to the hold by name, as addresses mean nothing to
 * the next generation's program.  The tag of a zone is its module, or the
 * owner's name itself.
 */

#include "core/platform.h"

#include <fcntl.h>

#include "core/assert.h"
#include "core/main_conf.h"
#include "core/module.h"
#include "core/overlay.h"
#include "core/pool.h"
#include "process/prepare.h"

static veil_log_sink_t prepare_stderr;
static const veil_log_sink_t *prepare_sinks; /* of the log, before */
static veil_log_level_t prepare_level;

veil_rc_t
veil_prepare_load(const veil_launch_t *launch, uint64_t generation,
                  const veil_str_t *text, const veil_log_t *log)
{
    veil_cycle_t *cycle;

    /* A kept text has the directives of -g in it. */
    cycle = veil_cycle_create(launch->prefix, launch->conf_path,
                              launch->error_log_path,
                              text == NULL ? launch->globals : VEIL_STR_NULL);
    cycle->generation = generation;
    if (log != NULL) {
        cycle->log = *log;
    }
    veil_cycle = cycle;
    if (veil_cycle_load(cycle, text) != VEIL_OK) {
        return VEIL_ERROR;
    }
    if (cycle->log.sinks != NULL && cycle->log.sinks->file != NULL) {
        veil_panic_set_fd(cycle->log.sinks->file->fd);
    }
    return VEIL_OK;
}

veil_rc_t
veil_prepare_modules(void)
{
    const veil_core_module_t *core;
    unsigned i;

    for (i = 0; veil_modules[i] != NULL; i++) {
        core = veil_modules[i]->core;
        if (core != NULL && core->init_keeper != NULL
            && core->init_keeper(veil_cycle) != VEIL_OK)
        {
            veil_log(&veil_cycle->log, VEIL_LOG_EMERG, 0,
                     "the module \"%s\" could not be prepared",
                     veil_modules[i]->name);
            return VEIL_ERROR;
        }
    }
    /* Each has been told. */
    return veil_overlay_errors() == 0 ? VEIL_OK : VEIL_ERROR;
}

void
veil_prepare_started(void)
{
    const veil_core_module_t *core;
    unsigned i;

    veil_overlay_settle();
    for (i = 0; veil_modules[i] != NULL; i++) {
        core = veil_modules[i]->core;
        if (core != NULL && core->start_keeper != NULL) {
            core->start_keeper(veil_cycle);
        }
    }
    veil_overlay_settled();
}

void
veil_prepare_worker_ended(unsigned place, pid_t pid)
{
    const veil_core_module_t *core;
    unsigned i;

    for (i = 0; veil_modules[i] != NULL; i++) {
        core = veil_modules[i]->core;
        if (core != NULL && core->worker_ended != NULL) {
            core->worker_ended(veil_cycle, place, pid);
        }
    }
}

void
veil_prepare_where(const veil_conf_node_t *node, char *buf, size_t n)
{
    if (node == NULL) {
        veil_str_copy_z(buf, n, VEIL_STR("the defaults"));
        return;
    }
    veil_snprintf(buf, n, "%.*s:%u", VEIL_STR_ARG(node->file->name),
                  node->args[0].line);
}

static size_t
prepare_print_place(const veil_log_t *log, char *buf, size_t n)
{
    const veil_prepare_place_t *place = (const void *) log;

    return veil_snprintf(buf, n, " in %s", place->where);
}

void
veil_prepare_place(veil_prepare_place_t *place, const veil_log_t *log,
                   const char *where)
{
    place->log = *log;
    place->log.print = prepare_print_place;
    place->where = where;
}

static bool
prepare_is_steered(const veil_listen_t *l)
{
    return l->type == SOCK_STREAM && l->addr.family != AF_UNIX
           && veil_main_conf(veil_cycle)->reuseport_balancing
                  == VEIL_REUSEPORT_CBPF;
}

unsigned
veil_prepare_listen_slots(const veil_listen_t *l)
{
    bool many =
        (l->reuseport || prepare_is_steered(l)) && l->addr.family != AF_UNIX;

    return many ? veil_main_conf(veil_cycle)->workers : 1;
}

void
veil_prepare_listen(veil_listen_t *l, veil_listen_message_t *m)
{
    if (prepare_is_steered(l)) {
        l->reuseport = true;
        l->cbpf = true;
    }
    memset(m, 0, sizeof(*m));
    l->nslots = veil_prepare_listen_slots(l);
    veil_hold_listen_pack(&m->listen, l);
    veil_prepare_where(l->node, m->where, sizeof(m->where));
}

void
veil_prepare_slots(veil_listen_t *l, unsigned n)
{
    unsigned i;

    l->nslots = n;
    l->fds = veil_pool_alloc(veil_cycle->pool, n * sizeof(int));
    for (i = 0; i < n; i++) {
        l->fds[i] = -1;
    }
}

void
veil_prepare_close_listens(void)
{
    veil_listen_t *l;
    veil_list_t *n;
    unsigned i;

    veil_list_foreach (n, &veil_cycle->listens) {
        l = veil_list_entry(n, veil_listen_t, link);
        for (i = 0; i < l->nslots; i++) {
            if (l->fds[i] >= 0) {
                close(l->fds[i]);
                l->fds[i] = -1;
            }
        }
    }
}

void
veil_prepare_zone(const veil_shm_zone_t *zone, veil_hold_zone_t *m)
{
    const char *owner = zone->tag;
    unsigned i;

    memset(m, 0, sizeof(*m));
    m->size = zone->size;
    m->layout = (uint64_t) VEIL_SHM_LAYOUT << 32 | zone->layout;
    veil_str_copy_z(m->name, sizeof(m->name), zone->name);
    for (i = 0; veil_modules[i] != NULL; i++) {
        if (zone->tag == veil_modules[i]) {
            owner = veil_modules[i]->name;
        }
    }
    veil_str_copy_z(m->tag, sizeof(m->tag), veil_str_z(owner));
    veil_str_copy_z(m->key, sizeof(m->key), zone->key);
}

void
veil_prepare_zone_refused(const veil_shm_zone_t *zone,
                          const veil_hold_zone_t *want,
                          const veil_memory_message_t *held)
{
    char where[VEIL_MESSAGE_PATH];
    veil_prepare_place_t place;

    veil_prepare_where(zone->node, where, sizeof(where));
    veil_prepare_place(&place, &veil_cycle->log, where);
    if (strcmp(want->tag, held->tag) != 0) {
        veil_log(&place.log, VEIL_LOG_EMERG, 0,
                 "zone \"%s\" was of \"%s\", it is now of \"%s\": a reload "
                 "cannot change that, another name can be used",
                 want->name, held->tag, want->tag);
        return;
    }
    veil_log(&place.log, VEIL_LOG_EMERG, 0,
             "zone \"%s\" of \"%s\" had the key \"%s\", it has now \"%s\": a "
             "reload cannot change that, another name can be used",
             want->name, want->tag, held->key, want->key);
}

veil_rc_t
veil_prepare_map_zone(veil_shm_zone_t *zone, int fd, bool fresh)
{
    int rc = veil_shm_zone_map(zone, fd);

    if (rc < 0) {
        veil_log(&veil_cycle->log, VEIL_LOG_EMERG, -rc,
                 "mapping %zu bytes for the zone \"%.*s\" failed", zone->size,
                 VEIL_STR_ARG(zone->name));
        return VEIL_ERROR;
    }
    if (zone->init != NULL && zone->init(zone, fresh) != VEIL_OK) {
        veil_log(&veil_cycle->log, VEIL_LOG_EMERG, 0,
                 "the zone \"%.*s\" could not be prepared",
                 VEIL_STR_ARG(zone->name));
        return VEIL_ERROR;
    }
    return VEIL_OK;
}

static bool
prepare_has_stderr(const veil_log_t *log)
{
    const veil_log_sink_t *sink;

    for (sink = log->sinks; sink != NULL; sink = sink->next) {
        if (sink->file != NULL && sink->file->path.len == 0) {
            return true;
        }
    }
    return false;
}

void
veil_prepare_tell_stderr(veil_log_t *log, bool on)
{
    if (!on) {
        if (log->sinks == &prepare_stderr) {
            log->sinks = prepare_sinks;
            log->level = prepare_level;
        }
        return;
    }
    if (prepare_has_stderr(log)) {
        return;
    }
    prepare_sinks = log->sinks;
    prepare_level = log->level;
    prepare_stderr.level = VEIL_LOG_WARN;
    prepare_stderr.file = veil_log_stderr.sinks->file;
    /* The list is walked, never written to; its links have no const. */
    memcpy(&prepare_stderr.next, &log->sinks, sizeof(log->sinks));
    log->sinks = &prepare_stderr;
    if (log->level < VEIL_LOG_WARN) {
        log->level = VEIL_LOG_WARN;
    }
}

void
veil_prepare_detach_stderr(const veil_log_t *log)
{
    const veil_log_sink_t *sink;
    int fd = -1;
    int null;

    if (prepare_has_stderr(log)) {
        return; /* it was asked for by name */
    }
    for (sink = log->sinks; sink != NULL && fd < 0; sink = sink->next) {
        fd = sink->file == NULL ? -1 : sink->file->fd;
    }
    if (fd >= 0) {
        (void) dup2(fd, STDERR_FILENO);
        return;
    }
    null = open("/dev/null", O_WRONLY | O_CLOEXEC);
    if (null >= 0) {
        (void) dup2(null, STDERR_FILENO);
        close(null);
    }
}
