/*
 * pipeline.c -- the phases of a request, and the loop that runs them.
 *
 * All handlers of all modules are put into one array of steps when the
 * configuration is complete, phase by phase.  A request's place is an index
 * into it.  What a handler wants next is its result, one of six, with the
 * same meaning in every phase.
 *
 * The access phase is special in one respect: "satisfy" combines its
 * handlers.  With "all" the first FAIL ends it; with "any" the first SKIP
 * does, and a FAIL with 401 or 403 is only remembered until all were asked.
 *
 * Resuming posts: nothing runs from inside the call of the one who resumes,
 * so a handler is never re-entered and a completion's stack stays short.
 */

#include "core/platform.h"

#include "http/pipeline.h"

#include "core/module.h"
#include "core/trace.h"
#include "http/explain.h"
#include "http/http.h"
#include "http/location.h"
#include "http/parse/uri.h"

static const char *const pipeline_phase_names[VEIL_PHASES] = {
    [VEIL_PHASE_NONE] = "none",
    [VEIL_PHASE_POST_READ] = "post_read",
    [VEIL_PHASE_SERVER_REWRITE] = "server_rewrite",
    [VEIL_PHASE_FIND_CONFIG] = "find_config",
    [VEIL_PHASE_REWRITE] = "rewrite",
    [VEIL_PHASE_PREACCESS] = "preaccess",
    [VEIL_PHASE_ACCESS] = "access",
    [VEIL_PHASE_PRECONTENT] = "precontent",
    [VEIL_PHASE_CONTENT] = "content",
    [VEIL_PHASE_LOG] = "log",
};

const char *
veil_http_phase_name(veil_http_phase_t phase)
{
    return pipeline_phase_names[phase];
}

/* --- the steps that are the core's own ------------------------------------
 */

static veil_http_rc_t
pipeline_find_config(veil_http_request_t *r)
{
    const veil_http_location_t *location;
    const veil_http_core_loc_t *conf;
    char *p;

    switch (veil_http_location_find(r, &location)) {
    case VEIL_LOCATION_REDIRECT:
        p = veil_pool_chars(r->pool, location->name.len + r->args.len + 1);
        r->out.location.data = p;
        p = veil_fmt_str(p, location->name);
        if (r->args.len != 0) {
            *p++ = '?';
            p = veil_fmt_str(p, r->args);
        }
        return veil_http_redirect(
            r, 301,
            veil_str_n(r->out.location.data,
                       (size_t) (p - r->out.location.data)));

    case VEIL_LOCATION_FOUND:
        veil_http_location_enter(r, location);
        if (veil_http_core_loc(r)->internal && !r->internal) {
            return veil_http_fail(r, 404);
        }
        break;

    case VEIL_LOCATION_NONE:
        veil_http_location_enter(r, r->server->root);
        break;
    }

    conf = veil_http_core_loc(r);
    if (conf->client_max_body_size != 0
        && r->in.content_length > conf->client_max_body_size && !r->body_taken)
    {
        veil_log(&r->log, VEIL_LOG_ERR, 0,
                 "client intended to send too large body: %lld bytes",
                 (long long) r->in.content_length);
        r->reason = "a body that is too large";
        return veil_http_fail(r, 413);
    }
    return VEIL_HTTP_NEXT;
}

/* With "satisfy any", nobody allowed it and somebody denied it. */
static veil_http_rc_t
pipeline_access_end(veil_http_request_t *r)
{
    int denied = r->access_denied;

    r->access_denied = 0;
    if (denied == 403) {
        veil_log(&r->log, VEIL_LOG_ERR, 0, "access forbidden by rule");
    }
    return denied == 0 ? VEIL_HTTP_NEXT : veil_http_fail(r, denied);
}

static veil_http_rc_t
pipeline_content_end(veil_http_request_t *r)
{
    if (r->uri.len != 0 && r->uri.data[r->uri.len - 1] == '/') {
        return veil_http_fail(r, 403);
    }
    return veil_http_fail(r, 404);
}

/* --- building --------------------------------------------------------------
 */

static void
pipeline_add(veil_array_t *steps, const char *name, veil_http_phase_t phase,
             veil_http_handler_fn *fn)
{
    veil_http_step_t *step = veil_array_push(steps);

    step->name = name;
    step->phase = phase;
    step->fn = fn;
}

static void
pipeline_add_handlers(veil_array_t *steps, veil_http_phase_t phase)
{
    const veil_http_phase_handler_t *h;
    const veil_http_module_t *http;
    unsigned i;

    for (i = 0; veil_modules[i] != NULL; i++) {
        http = veil_modules[i]->http;
        if (http == NULL) {
            continue;
        }
        if (http->handler.fn != NULL && http->handler.phase == phase) {
            pipeline_add(steps, veil_modules[i]->name, phase,
                         http->handler.fn);
        }
        for (h = http->handlers; h != NULL && h->phase != VEIL_PHASE_NONE; h++)
        {
            if (h->phase == phase) {
                pipeline_add(steps, veil_modules[i]->name, phase, h->fn);
            }
        }
    }
}

static int
pipeline_cmp_filters(const void *a, const void *b)
{
    const veil_http_filter_t *x = a;
    const veil_http_filter_t *y = b;

    return x->order - y->order;
}

static void
pipeline_build_filters(veil_http_pipeline_t *p, veil_pool_t *pool)
{
    unsigned i;

    p->filters = veil_pool_zalloc(pool, (veil_modules_count() + 1)
                                            * sizeof(*p->filters));

    for (i = 0; veil_modules[i] != NULL; i++) {
        if (veil_modules[i]->http == NULL
            || veil_modules[i]->http->filter.header == NULL)
        {
            continue;
        }
        p->filters[p->nfilters] = veil_modules[i]->http->filter;
        if (p->filters[p->nfilters].name == NULL) {
            p->filters[p->nfilters].name = veil_modules[i]->name;
        }
        p->nfilters++;
    }
    qsort(p->filters, p->nfilters, sizeof(*p->filters), pipeline_cmp_filters);
}

static void
pipeline_build_log(veil_http_pipeline_t *p, veil_pool_t *pool)
{
    veil_array_t handlers;
    unsigned i;

    veil_array_init(&handlers, pool, sizeof(veil_http_step_t), 2);
    pipeline_add_handlers(&handlers, VEIL_PHASE_LOG);

    p->log = veil_pool_zalloc(pool, (handlers.n + 1) * sizeof(*p->log));
    p->nlog = handlers.n;
    for (i = 0; i < handlers.n; i++) {
        p->log[i] = veil_array_at(&handlers, veil_http_step_t, i)->fn;
    }
}

veil_http_pipeline_t *
veil_http_pipeline_build(veil_conf_t *cf)
{
    veil_http_pipeline_t *p = VEIL_POOL_NEW(cf->pool, veil_http_pipeline_t);
    unsigned phase, i, next;
    veil_array_t steps;

    veil_array_init(&steps, cf->pool, sizeof(veil_http_step_t), 32);

    for (phase = VEIL_PHASE_POST_READ; phase < VEIL_PHASE_LOG; phase++) {
        if (phase == VEIL_PHASE_SERVER_REWRITE) {
            p->server_rewrite = steps.n;
        } else if (phase == VEIL_PHASE_REWRITE) {
            p->rewrite = steps.n;
        } else if (phase == VEIL_PHASE_FIND_CONFIG) {
            p->route = steps.n;
            pipeline_add(&steps, "core", phase, pipeline_find_config);
        }
        pipeline_add_handlers(&steps, phase);
        if (phase == VEIL_PHASE_ACCESS) {
            pipeline_add(&steps, "satisfy", phase, pipeline_access_end);
        } else if (phase == VEIL_PHASE_CONTENT) {
            pipeline_add(&steps, "core", phase, pipeline_content_end);
        }
    }

    p->steps = steps.elts;
    p->nsteps = steps.n;
    next = p->nsteps;
    for (i = p->nsteps; i-- > 0;) {
        p->steps[i].next_phase = next;
        if (i > 0 && p->steps[i - 1].phase != p->steps[i].phase) {
            next = i;
        }
    }

    pipeline_build_filters(p, cf->pool);
    pipeline_build_log(p, cf->pool);
    return p;
}

void
veil_http_pipeline_print(FILE *out)
{
    veil_pool_t *pool = veil_pool_create("pipeline", 4096);
    veil_conf_t cf = { .pool = pool, .temp_pool = pool };
    veil_http_pipeline_t *p = veil_http_pipeline_build(&cf);
    unsigned i;

    (void) fprintf(out, "phases:\n");
    for (i = 0; i < p->nsteps; i++) {
        (void) fprintf(out, "  %-15s %s\n",
                       veil_http_phase_name(p->steps[i].phase),
                       p->steps[i].name);
    }
    (void) fprintf(out, "filters:\n");
    for (i = 0; i < p->nfilters; i++) {
        (void) fprintf(out, "  %-15d %s\n", p->filters[i].order,
                       p->filters[i].name);
    }
    veil_pool_destroy(&pool);
}

/* --- running ---------------------------------------------------------------
 */

/* The access phase's results, by "satisfy". */
static void
pipeline_access(veil_http_request_t *r, veil_http_rc_t *rc)
{
    if (veil_http_core_loc(r)->satisfy == VEIL_SATISFY_ALL) {
        /* One who allows does not speak for the others. */
        if (*rc == VEIL_HTTP_SKIP) {
            *rc = VEIL_HTTP_NEXT;
        }
        return;
    }

    if (*rc == VEIL_HTTP_SKIP) {
        r->access_denied = 0;
    } else if (*rc == VEIL_HTTP_FAIL && (r->status == 401 || r->status == 403))
    {
        /* A 401 lets the client try again: it wins over a 403. */
        if (r->access_denied != 401) {
            r->access_denied = r->status;
        }
        *rc = VEIL_HTTP_NEXT;
    }
}

static void
pipeline_reroute(veil_http_request_t *r, const veil_http_pipeline_t *p)
{
    r->step = r->route_to == 0 ? p->route : r->route_to;
    r->route_to = 0;

    if (++r->reroutes <= VEIL_HTTP_MAX_REROUTES) {
        return;
    }
    veil_log(&r->log, VEIL_LOG_ERR, 0,
             "rewrite or internal redirection cycle while processing "
             "\"%.*s\"",
             VEIL_STR_ARG(r->uri));
    /* No error_page: it is part of the cycle, most likely. */
    r->error_status = 500;
    r->status = 500;
}

void
veil_http_run(veil_http_request_t *r)
{
    const veil_http_pipeline_t *p = r->server->main->pipeline;
    const veil_http_step_t *s;
    veil_http_rc_t rc;

    VEIL_CHECK(r, VEIL_HTTP_REQUEST);
    VEIL_ASSERT(!r->waiting);

    for (;;) {
        VEIL_ASSERT(r->step < p->nsteps);
        s = &p->steps[r->step];
        if (veil_http_is_explained()) {
            veil_http_explain_enter(s);
        }
        rc = s->fn(r);
        veil_trace_note(s->name, r, (int64_t) rc);

        if (s->phase == VEIL_PHASE_ACCESS && s->fn != pipeline_access_end) {
            pipeline_access(r, &rc);
        }
        if (veil_http_is_explained()) {
            veil_http_explain_leave(r, rc);
        }

        switch (rc) {
        case VEIL_HTTP_NEXT:
            r->step++;
            break;
        case VEIL_HTTP_SKIP:
            r->step = s->next_phase;
            break;
        case VEIL_HTTP_WAIT:
            VEIL_ASSERT(r->waiting || r->tunnelled);
            return;
        case VEIL_HTTP_REROUTE:
            pipeline_reroute(r, p);
            if (r->reroutes > VEIL_HTTP_MAX_REROUTES) {
                veil_http_send_error(r);
                return;
            }
            break;
        case VEIL_HTTP_REPLY:
            veil_http_send_response(r);
            return;
        case VEIL_HTTP_FAIL:
            veil_http_send_error(r);
            return;
        }
    }
}

void
veil_http_run_rerouted(veil_http_request_t *r)
{
    pipeline_reroute(r, r->server->main->pipeline);
    if (r->reroutes > VEIL_HTTP_MAX_REROUTES) {
        veil_http_send_error(r);
        return;
    }
    veil_http_run(r);
}

void
veil_http_run_log(veil_http_request_t *r)
{
    const veil_http_pipeline_t *p;
    unsigned i;

    if (r->server == NULL) {
        return;
    }
    p = r->server->main->pipeline;
    for (i = 0; i < p->nlog; i++) {
        (void) p->log[i](r); /* a log handler has nothing to decide */
    }
}

static void
pipeline_resumed(veil_post_t *post)
{
    veil_http_request_t *r =
        veil_container_of(post, veil_http_request_t, post);

    VEIL_CHECK(r, VEIL_HTTP_REQUEST);
    r->waiting = false;
    r->resumed = false;
    r->cancel = NULL;

    if (r->aborted) {
        /*
         * Not the end yet: an interim response may be on its way out of the
         * request's memory, and the protocol knows when it no longer is.
         */
        r->proto->drop(r);
        return;
    }
    veil_http_run(r);
}

veil_http_rc_t
veil_http_wait(veil_http_request_t *r, veil_http_cancel_fn *cancel)
{
    VEIL_ASSERT(!r->waiting);

    r->waiting = true;
    r->cancel = cancel;
    return VEIL_HTTP_WAIT;
}

void
veil_http_resume(veil_http_request_t *r)
{
    VEIL_CHECK(r, VEIL_HTTP_REQUEST);
    VEIL_ASSERT(r->waiting); /* resumed twice, or never suspended */
    VEIL_ASSERT(!r->resumed);

    r->resumed = true;
    veil_post_init(&r->post, pipeline_resumed);
    veil_post(r->loop, &r->post);
}

/* --- rerouting -------------------------------------------------------------
 */

/* Modules begin anew, but for those that say what they know still holds. */
static void
pipeline_forget(veil_http_request_t *r)
{
    const veil_http_module_t *http;
    unsigned i;

    for (i = 0; i < r->server->main->nmodules; i++) {
        http = veil_modules[i]->http;
        if (http == NULL || !http->keeps_ctx) {
            r->ctx[i] = NULL;
        }
    }
}

veil_http_rc_t
veil_http_reroute(veil_http_request_t *r, veil_str_t uri, veil_str_t args)
{
    r->uri = uri;
    r->args = args;
    r->uri_changed = true;
    r->add_uri_to_alias = false;
    r->internal = true;
    r->exten = veil_http_path_ext(uri);
    veil_http_var_flush(r);
    pipeline_forget(r);

    /* As a new request of this server, so its own rewrites apply again. */
    r->server_conf = r->server->server_conf;
    r->loc_conf = r->server->loc_conf;
    r->route_to = r->server->main->pipeline->server_rewrite;
    return VEIL_HTTP_REROUTE;
}

veil_http_rc_t
veil_http_reroute_named(veil_http_request_t *r, veil_str_t name)
{
    const veil_http_location_t *location = veil_http_location_named(r, name);

    if (location == NULL) {
        veil_log(&r->log, VEIL_LOG_ERR, 0,
                 "could not find named location \"%.*s\"", VEIL_STR_ARG(name));
        return veil_http_fail(r, 500);
    }

    r->internal = true;
    r->add_uri_to_alias = false;
    pipeline_forget(r);
    veil_http_location_enter(r, location);
    r->route_to = r->server->main->pipeline->rewrite;
    return VEIL_HTTP_REROUTE;
}
