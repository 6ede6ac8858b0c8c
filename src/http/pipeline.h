/*
 * pipeline.h -- the phases of a request, and the loop that runs them.
 *
 * The steps are a table made once from the modules' handlers.  r->step is the
 * position in it; nothing else says where a request is.
 */

#ifndef VEIL_HTTP_PIPELINE_H
#define VEIL_HTTP_PIPELINE_H

#include <stdio.h>

#include "http/request.h"

typedef enum {
    VEIL_PHASE_NONE,
    VEIL_PHASE_POST_READ,
    VEIL_PHASE_SERVER_REWRITE,
    VEIL_PHASE_FIND_CONFIG, /* the core's own */
    VEIL_PHASE_REWRITE,
    VEIL_PHASE_PREACCESS,
    VEIL_PHASE_ACCESS,
    VEIL_PHASE_PRECONTENT,
    VEIL_PHASE_CONTENT,
    VEIL_PHASE_LOG,
    VEIL_PHASES
} veil_http_phase_t;

typedef struct {
    veil_http_phase_t phase;
    veil_http_handler_fn *fn;
} veil_http_phase_handler_t;

typedef struct {
    const char *name; /* module's */
    veil_http_phase_t phase;
    veil_http_handler_fn *fn;
    unsigned next_phase; /* the first step of the phase after */
} veil_http_step_t;

struct veil_http_pipeline_s {
    veil_http_step_t *steps;
    unsigned nsteps;
    unsigned route;          /* the step of FIND_CONFIG */
    unsigned server_rewrite; /* the first of that phase */
    unsigned rewrite;        /* the first of that phase */
    veil_http_handler_fn **log;
    unsigned nlog;
    veil_http_filter_t *filters; /* in order; ends with header == NULL */
    unsigned nfilters;
};

#define VEIL_HTTP_MAX_REROUTES 10

/* From the modules; in the configuration's pool. */
veil_http_pipeline_t *veil_http_pipeline_build(veil_conf_t *cf);
/* Runs from r->step until the request waits or has its response. */
void veil_http_run(veil_http_request_t *r);
/* After a veil_http_reroute() outside the pipeline (error_page): goes on. */
void veil_http_run_rerouted(veil_http_request_t *r);
void veil_http_run_log(veil_http_request_t *r);
/* "veil -m": modules, phases and filters in effective order. */
void veil_http_pipeline_print(FILE *out);
const char *veil_http_phase_name(veil_http_phase_t phase);

/*
 * Starts again at routing with another URI (args included or kept), as
 * index, try_files and error_page do: return veil_http_reroute(r, ...).
 */
veil_http_rc_t veil_http_reroute(veil_http_request_t *r, veil_str_t uri,
                                 veil_str_t args);
/* To a named location. */
veil_http_rc_t veil_http_reroute_named(veil_http_request_t *r,
                                       veil_str_t name);

#endif
