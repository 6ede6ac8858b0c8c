/*
 * cycle.c -- loading a configuration and keeping what belongs to it.
 *
 * The main context is a scope of the core layer: core modules have one conf
 * each.  Other layers enter through a core module with a block directive
 * ("http") that makes a scope of its own.
 *
 * -g is read first, as a file called "command line", and its directives are
 * put before those of the main file: so each may stand only once in both.
 *
 * While a configuration is loaded, lines go where cycle->log says, standard
 * error unless the caller has set something else.  Files are opened only
 * when everything was found right, and not at all for -t.
 */

#include "core/platform.h"

#include "core/assert.h"
#include "core/cycle.h"
#include "core/main_conf.h"
#include "core/memory.h"
#include "core/shm.h"

/* Every machine has that; no need to look. */
#define CYCLE_LARGE_ZONE (16u * 1024 * 1024)

veil_cycle_t *veil_cycle;

static veil_conf_type_t
cycle_conf_type(const veil_module_t *m, veil_conf_kind_t kind)
{
    if (m->core == NULL || kind != VEIL_CONF_OF_LOC) {
        return (veil_conf_type_t){ .size = 0 };
    }
    return m->core->conf;
}

const veil_conf_layer_t veil_core_layer = {
    .name = "core",
    .type = cycle_conf_type,
};

static veil_str_t
cycle_or(veil_str_t s, const char *def)
{
    return s.data == NULL ? veil_str_z(def) : s;
}

/* Absolute, seen from dir. */
static veil_str_t
cycle_path(veil_pool_t *pool, veil_str_t dir, veil_str_t path)
{
    if (path.len != 0 && path.data[0] == '/') {
        return veil_pool_str(pool, path);
    }
    return veil_pool_printf(pool, "%.*s%.*s", VEIL_STR_ARG(dir),
                            VEIL_STR_ARG(path));
}

/* The prefix ends with a slash; a relative one counts from here. */
static veil_str_t
cycle_prefix(veil_pool_t *pool, veil_str_t prefix)
{
    const char *slash =
        veil_str_ends(prefix, VEIL_STR("/")) || prefix.len == 0 ? "" : "/";
    veil_str_t full;
    char *cwd;

    if (prefix.len != 0 && prefix.data[0] == '/') {
        return veil_pool_printf(pool, "%.*s%s", VEIL_STR_ARG(prefix), slash);
    }
    cwd = getcwd(NULL, 0);
    full = veil_pool_printf(pool, "%s/%.*s%s", cwd == NULL ? "" : cwd,
                            VEIL_STR_ARG(prefix), slash);
    free(cwd); /* malloc'd by libc */
    return full;
}

veil_cycle_t *
veil_cycle_create(veil_str_t prefix, veil_str_t conf_path,
                  veil_str_t error_log_path, veil_str_t globals)
{
    veil_pool_t *pool = veil_pool_create("cycle", 16384);
    veil_cycle_t *cycle = VEIL_POOL_NEW(pool, veil_cycle_t);
    ptrdiff_t slash;

    cycle->pool = pool;
    cycle->log = veil_log_stderr;
    cycle->generation = 1;
    cycle->prefix = cycle_prefix(pool, cycle_or(prefix, VEIL_PREFIX));
    cycle->conf_path =
        cycle_path(pool, cycle->prefix, cycle_or(conf_path, VEIL_CONF_PATH));
    slash = veil_str_rchr(cycle->conf_path, '/');
    cycle->conf_dir = veil_pool_str(
        pool, veil_str_n(cycle->conf_path.data, (size_t) slash + 1));
    cycle->error_log_path =
        veil_pool_str(pool, cycle_or(error_log_path, VEIL_ERROR_LOG_PATH));
    cycle->globals = veil_pool_str(pool, globals);
    veil_array_init(&cycle->conf_files, pool, sizeof(veil_conf_file_t *), 4);
    veil_list_init(&cycle->log_files);
    veil_list_init(&cycle->listens);
    veil_list_init(&cycle->zones);
    return cycle;
}

void
veil_cycle_destroy(veil_cycle_t **cycle)
{
    veil_pool_t *pool = (*cycle)->pool;
    veil_list_t *l;
    veil_log_file_t *file;

    veil_cycle_flush_logs(*cycle);
    veil_list_foreach (l, &(*cycle)->log_files) {
        file = veil_list_entry(l, veil_log_file_t, link);
        if (file->fd >= 0 && file->path.len != 0) {
            close(file->fd);
        }
    }
    veil_list_foreach (l, &(*cycle)->zones) {
        veil_shm_zone_unmap(veil_list_entry(l, veil_shm_zone_t, link));
    }
    if (veil_cycle == *cycle) {
        veil_cycle = NULL;
    }
    *cycle = NULL;
    veil_pool_destroy(&pool);
}

const void *
veil_core_conf(const veil_cycle_t *cycle, const veil_module_t *m)
{
    return veil_conf_read_of(cycle->scope, m, VEIL_CONF_OF_LOC);
}

/* --- loading --------------------------------------------------------------
 */

/* -g's directives, then the file's, in one tree; NULL after reporting. */
static veil_conf_node_t *
cycle_read(veil_conf_t *cf, const veil_str_t *text)
{
    veil_cycle_t *cycle = cf->cycle;
    veil_conf_node_t *globals = NULL, *root;

    if (cycle->globals.len != 0) {
        globals =
            veil_conf_parse(cf, VEIL_STR("command line"), cycle->globals);
        if (globals == NULL) {
            return NULL;
        }
    }
    if (text != NULL) {
        root = veil_conf_parse_main(cf, cycle->conf_path, *text);
    } else {
        root = veil_conf_read(cf, cycle->conf_path);
    }
    if (root != NULL && globals != NULL) {
        veil_list_splice(&globals->children, &root->children);
        return globals;
    }
    return root;
}

/*
 * A zone may be larger than what is free now, as its pages are had when they
 * are used; one that could never be used whole is a slip of the finger.
 */
static void
cycle_check_zone_size(veil_conf_t *cf, const veil_shm_zone_t *zone)
{
    bool grouped;
    uint64_t limit = veil_memory_limit(&grouped);

    if (zone->size <= limit) {
        return;
    }
    veil_conf_error_node(
        cf, zone->node, 0,
        "zone \"%.*s\" would have %llu MB, but %s has %llu "
        "MB of memory and swap: is the unit of its size "
        "right?",
        VEIL_STR_ARG(zone->name), (unsigned long long) zone->size >> 20,
        grouped ? "this server's control group" : "this machine",
        (unsigned long long) limit >> 20);
}

/* A zone that is referred to must be defined somewhere. */
static void
cycle_check_zones(veil_conf_t *cf)
{
    veil_list_t *l;
    veil_shm_zone_t *zone;

    veil_list_foreach (l, &cf->cycle->zones) {
        zone = veil_list_entry(l, veil_shm_zone_t, link);
        if (zone->size == 0) {
            veil_conf_error_node(cf, zone->node, 0,
                                 "zero size shared memory zone \"%.*s\"",
                                 VEIL_STR_ARG(zone->name));
        }
        if (zone->size >= CYCLE_LARGE_ZONE) {
            cycle_check_zone_size(cf, zone);
        }
    }
}

static void
cycle_check_modules(veil_conf_t *cf)
{
    unsigned i, errors;
    veil_module_t *m;

    for (i = 0; (m = veil_modules[i]) != NULL; i++) {
        if (m->core == NULL || m->core->check == NULL) {
            continue;
        }
        cf->module = m;
        errors = cf->errors;
        if (m->core->check(cf) != VEIL_OK && cf->errors == errors) {
            veil_conf_error(cf, "module \"%s\" refuses the configuration",
                            m->name);
        }
    }
    cf->module = NULL;
}

static veil_rc_t
cycle_apply(veil_conf_t *cf)
{
    veil_cycle_t *cycle = cf->cycle;

    cf->node = cycle->tree;
    cycle->scope =
        veil_conf_scope_create(cf, &veil_core_layer, NULL, VEIL_CONF_MAIN, 0);
    (void) veil_conf_apply(cf, cycle->scope);
    if (cf->errors == 0) {
        cycle_check_modules(cf);
        cycle_check_zones(cf);
    }
    return cf->errors == 0 ? VEIL_OK : VEIL_ERROR;
}

veil_rc_t
veil_cycle_load(veil_cycle_t *cycle, const veil_str_t *text)
{
    veil_conf_t cf = {
        .cycle = cycle,
        .pool = cycle->pool,
        .log = &cycle->log,
    };
    veil_rc_t rc = VEIL_ERROR;

    VEIL_ASSERT(cycle->tree == NULL);
    cf.temp_pool = veil_pool_create("conf temp", 16384);
    cycle->tree = cycle_read(&cf, text);
    if (cycle->tree != NULL) {
        rc = cycle_apply(&cf);
    }
    veil_pool_destroy(&cf.temp_pool);
    if (rc != VEIL_OK || cycle->testing) {
        return rc;
    }
    if (veil_cycle_open_logs(cycle) != VEIL_OK) {
        return VEIL_ERROR;
    }
    veil_log_use_sinks(&cycle->log, veil_main_conf(cycle)->error_log);
    return VEIL_OK;
}

/* --- logs -----------------------------------------------------------------
 */

void
veil_log_use_sinks(veil_log_t *log, const veil_log_sink_t *sinks)
{
    const veil_log_sink_t *s;

    log->sinks = sinks;
    log->level = VEIL_LOG_OFF;
    for (s = sinks; s != NULL; s = s->next) {
        if (s->level > log->level) {
            log->level = s->level;
        }
    }
}

veil_log_file_t *
veil_cycle_log_file(veil_cycle_t *cycle, veil_str_t path)
{
    veil_list_t *l;
    veil_log_file_t *file;

    if (veil_str_eq(path, VEIL_STR("stderr"))) {
        path = VEIL_STR("");
    } else {
        path = cycle_path(cycle->pool, cycle->prefix, path);
    }
    veil_list_foreach (l, &cycle->log_files) {
        file = veil_list_entry(l, veil_log_file_t, link);
        if (veil_str_eq(file->path, path)) {
            return file;
        }
    }
    file = VEIL_POOL_NEW(cycle->pool, veil_log_file_t);
    file->path = path;
    file->fd = path.len == 0 ? STDERR_FILENO : -1;
    veil_list_append(&cycle->log_files, &file->link);
    return file;
}

veil_rc_t
veil_cycle_open_logs(veil_cycle_t *cycle)
{
    veil_rc_t rc = VEIL_OK;
    veil_list_t *l;
    veil_log_file_t *file;
    int err;

    veil_cycle_flush_logs(cycle);
    veil_list_foreach (l, &cycle->log_files) {
        file = veil_list_entry(l, veil_log_file_t, link);
        if (file->path.len == 0) {
            continue;
        }
        err = file->fd < 0 ? veil_log_file_open(file)
                           : veil_log_file_reopen(file);
        if (err < 0) {
            veil_log(&cycle->log, VEIL_LOG_EMERG, -err,
                     "open() \"%.*s\" failed", VEIL_STR_ARG(file->path));
            rc = VEIL_ERROR;
        }
    }
    return rc;
}

void
veil_cycle_flush_logs(veil_cycle_t *cycle)
{
    veil_list_t *l;
    veil_log_file_t *file;

    veil_list_foreach (l, &cycle->log_files) {
        file = veil_list_entry(l, veil_log_file_t, link);
        if (file->flush != NULL && file->fd >= 0) {
            file->flush(file);
        }
    }
}
