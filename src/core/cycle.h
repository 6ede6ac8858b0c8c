/*
 * cycle.h -- one loaded configuration and what hangs on it.
 *
 * A worker has one cycle for life.  The keeper of a generation makes it; the
 * master never does.  Core modules find their conf here, layers hang their
 * own root object on it.
 */

#ifndef VEIL_CORE_CYCLE_H
#define VEIL_CORE_CYCLE_H

#include "core/array.h"
#include "core/conf.h"
#include "core/list.h"
#include "core/log.h"
#include "core/module.h"
#include "core/pool.h"

/*
 * A slot may have several processes: one that serves, others that drain.
 * Each has a place of its own, below so many times worker_processes.
 */
#define VEIL_CYCLE_PLACES 4

struct veil_cycle_s {
    veil_pool_t *pool;
    veil_log_t log;            /* of the main context */
    veil_conf_scope_t *scope;  /* the main block's confs */
    veil_conf_node_t *tree;    /* as read */
    veil_conf_scope_t *scopes; /* of all layers, as they began: by next */
    veil_conf_scope_t *last_scope;
    /* What the load reports goes there; NULL: to the log. */
    veil_conf_report_fn *conf_report;
    void *conf_report_data;
    veil_array_t conf_files;   /* of veil_conf_file_t *: for -T */
    veil_list_t log_files;     /* of veil_log_file_t: reopened on USR1 */
    veil_list_t listens;       /* of veil_listen_t (event/listen.h) */
    veil_list_t zones;         /* of veil_shm_zone_t */
    veil_str_t prefix;         /* -p, ends with a slash */
    veil_str_t conf_path;      /* -c, absolute */
    veil_str_t conf_dir;       /* its directory, ends with a slash */
    veil_str_t error_log_path; /* -e, or as configured */
    veil_str_t globals;        /* -g */
    uint64_t generation;       /* 1 is the first */
    void *http;                /* the http layer's root: veil_http_main_t */
    void *stream;
    struct veil_loop_s *loop; /* the worker's; NULL before */
    unsigned worker;          /* slot, 0 ...; workers only */
    unsigned place;           /* and its own, see VEIL_CYCLE_PLACES */
    bool testing;             /* -t, -T: nothing may be created or bound */
    bool reloading;           /* another goes on if this one fails */
};

/* The running configuration of this process; set once. */
extern veil_cycle_t *veil_cycle;

/* An empty cycle with the paths given (all optional: configure's). */
veil_cycle_t *veil_cycle_create(veil_str_t prefix, veil_str_t conf_path,
                                veil_str_t error_log_path, veil_str_t globals);
/*
 * Reads and applies the configuration, runs all checks, opens the logs
 * (not with testing).  VEIL_ERROR after reporting everything found.
 * text: the configuration's text when it is not to be read from the file
 * (a keeper restarted from the kept text), else NULL.
 */
veil_rc_t veil_cycle_load(veil_cycle_t *cycle, const veil_str_t *text);
void veil_cycle_destroy(veil_cycle_t **cycle);

/* The layer of the main context: confs of core modules, kind LOC. */
extern const veil_conf_layer_t veil_core_layer;

/* A core module's conf. */
const void *veil_core_conf(const veil_cycle_t *cycle, const veil_module_t *m);

/*
 * The file with this path, created and registered when it is new (shared by
 * all directives that name it; "stderr" is standard error).
 */
veil_log_file_t *veil_cycle_log_file(veil_cycle_t *cycle, veil_str_t path);
/* Opens all log files anew (USR1), or for the first time. */
veil_rc_t veil_cycle_open_logs(veil_cycle_t *cycle);
void veil_cycle_flush_logs(veil_cycle_t *cycle);
/* Lines of the log go to these sinks; its level is the most verbose one's. */
void veil_log_use_sinks(veil_log_t *log, const veil_log_sink_t *sinks);

/*
 * error_log's arguments (from argument 1 on) as a sink added to *sinks; the
 * same for every layer that has the directive.
 */
veil_rc_t veil_conf_set_error_log_sinks(veil_conf_t *cf,
                                        veil_log_sink_t **sinks);

#endif
