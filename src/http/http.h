/*
 * http.h -- for modules: all of http they may use, and the life of a request.
 *
 *   accept            event/listen.c     listen_accepted
 *   new connection    http/conn.c        veil_http_conn_accept
 *   head              http/h1/h1_read.c     h1_parse
 *   request           http/request.c     veil_http_request_start
 *   pipeline          http/pipeline.c    veil_http_run:  post_read,
 *                                        server_rewrite, find_config,
 *                                        rewrite, preaccess, access,
 *                                        precontent, content
 *   response          http/response.c    veil_http_send_response: header
 *                                        filters
 *   head and body     http/h1/h1_write.c    veil_h1_respond, then
 *                                        body->pull
 *   end               http/request.c     veil_http_request_end: log
 *   next or close     http/h1/h1_conn.c     veil_h1_ended
 *
 * A handler gets the request and returns one of the six results of
 * request.h.  It finds its configuration with veil_http_loc_conf(), keeps
 * state of the request with veil_http_ctx(), allocates from r->pool, and
 * never blocks.
 */

#ifndef VEIL_HTTP_HTTP_H
#define VEIL_HTTP_HTTP_H

#include "core/core.h"
#include "http/body.h"
#include "http/core_conf.h"
#include "http/filter.h"
#include "http/headers.h"
#include "http/pipeline.h"
#include "http/request.h"
#include "http/response.h"
#include "http/variable.h"

typedef struct veil_http_module_s veil_http_module_t;

/* Each block of http {}, in the order of the file, when all is loaded. */
typedef void veil_http_lint_fn(veil_lint_t *lint,
                               const veil_conf_scope_t *block);

/* Hooks of an http module; all optional. */
struct veil_http_module_s {
    size_t main_conf_size;
    size_t server_conf_size;
    size_t loc_conf_size;
    size_t upstream_conf_size;
    void (*main_conf_default)(void *conf);
    void (*server_conf_default)(void *conf);
    void (*loc_conf_default)(void *conf);
    void (*upstream_conf_default)(void *conf);
    /* Once for each distinct conf when its block is complete. */
    veil_rc_t (*main_conf_finish)(veil_conf_t *cf, void *conf,
                                  const void *parent);
    veil_rc_t (*server_conf_finish)(veil_conf_t *cf, void *conf,
                                    const void *parent);
    veil_rc_t (*loc_conf_finish)(veil_conf_t *cf, void *conf,
                                 const void *parent);
    veil_rc_t (*upstream_conf_finish)(veil_conf_t *cf, void *conf,
                                      const void *parent);
    /* Before anything in http {} is applied: defines variables and such. */
    veil_rc_t (*init)(veil_conf_t *cf);
    /* The whole configuration is there; may refuse. */
    veil_rc_t (*check)(veil_conf_t *cf);
    veil_rc_t (*init_worker)(veil_cycle_t *cycle);
    void (*exit_worker)(veil_cycle_t *cycle);
    veil_http_phase_handler_t handler;
    const veil_http_phase_handler_t *handlers; /* several; phase NONE ends */
    veil_http_filter_t filter;
    const veil_http_var_def_t *variables;
    /*
     * Its state is about the request and not about where it was routed:
     * veil_http_ctx() still has it after a reroute (error_page, index, ...).
     */
    bool keeps_ctx;
    /* A protocol to upstreams; see http/upstream/upstream_impl.h. */
    const struct veil_upstream_wire_s *wire;
    /* Looks at a block for what is allowed and not meant; http/lint.h. */
    veil_http_lint_fn *lint;
};

static inline const void *
veil_http_loc_conf(const veil_http_request_t *r, const veil_module_t *m)
{
    return r->loc_conf[m->index];
}

static inline const void *
veil_http_server_conf(const veil_http_request_t *r, const veil_module_t *m)
{
    return r->server_conf[m->index];
}

static inline const void *
veil_http_main_conf(const veil_http_request_t *r, const veil_module_t *m)
{
    return r->main_conf[m->index];
}

/* The module's state of this request; NULL until set. */
static inline void *
veil_http_ctx(const veil_http_request_t *r, const veil_module_t *m)
{
    return r->ctx[m->index];
}

static inline void
veil_http_set_ctx(veil_http_request_t *r, const veil_module_t *m, void *ctx)
{
    r->ctx[m->index] = ctx;
}

static inline bool
veil_http_method_in(const veil_http_request_t *r, unsigned mask)
{
    return (r->in.method & mask) != 0;
}

static inline const veil_http_core_loc_t *
veil_http_core_loc(const veil_http_request_t *r)
{
    return veil_http_loc_conf(r, &veil_http_core_module);
}

/* How long a body may become that does not say how long it is; 0: any. */
static inline int64_t
veil_http_core_chunked_limit(const veil_http_request_t *r)
{
    const veil_http_core_loc_t *conf = veil_http_core_loc(r);

    return conf->client_max_chunked_body_size >= 0
               ? conf->client_max_chunked_body_size
               : conf->client_max_body_size;
}

static inline const veil_http_core_server_t *
veil_http_core_server(const veil_http_request_t *r)
{
    return veil_http_server_conf(r, &veil_http_core_module);
}

#endif
