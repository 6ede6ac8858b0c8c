/*
 * explain.c -- keeps what is noted on the way of a request that is explained.
 *
 * The pipeline tells of each step; notes belong to the step under way.  At
 * the end the request itself says where it came to: server, location, limits.
 */

#include "core/platform.h"

#include "http/explain.h"

#include "core/control.h"
#include "http/conn.h"
#include "http/regex.h"
#include "http/server.h"

veil_http_explainer_t *veil_http_explainer;

void
veil_http_explain_place(json_t *o, const veil_conf_node_t *node)
{
    if (node != NULL && node->nargs != 0) {
        (void) json_object_set_new(o, "file",
                                   veil_control_string(node->file->name));
        (void) json_object_set_new(o, "line",
                                   json_integer(node->args[0].line));
    }
}

static json_t *
explain_format(const char *fmt, va_list ap)
{
    char text[2048];
    size_t n = veil_vsnprintf(text, sizeof(text), fmt, ap);

    return veil_control_string(veil_str_n(text, n));
}

void
veil_http_explain_note(const char *about, const veil_conf_node_t *node,
                       const char *fmt, ...)
{
    json_t *note = json_object(), *notes;
    va_list ap;

    va_start(ap, fmt);
    (void) json_object_set_new(note, "about", json_string(about));
    (void) json_object_set_new(note, "text", explain_format(fmt, ap));
    va_end(ap);
    veil_http_explain_place(note, node);
    notes = json_object_get(veil_http_explainer->step, "notes");
    if (notes == NULL || json_array_append_new(notes, note) != 0) {
        json_decref(note);
    }
}

void
veil_http_explain_unknown(const char *fmt, ...)
{
    va_list ap;

    va_start(ap, fmt);
    (void) json_array_append_new(veil_http_explainer->unknown,
                                 explain_format(fmt, ap));
    va_end(ap);
}

void
veil_http_explain_target(const char *kind)
{
    (void) json_object_clear(veil_http_explainer->target);
    (void) json_object_set_new(veil_http_explainer->target, "kind",
                               json_string(kind));
}

void
veil_http_explain_target_add(const char *name, veil_str_t value)
{
    (void) json_object_set_new(veil_http_explainer->target, name,
                               veil_control_string(value));
}

/* --- steps -----------------------------------------------------------------
 */

static const char *
explain_result(veil_http_rc_t rc)
{
    static const char *const names[] = {
        [VEIL_HTTP_NEXT] = "next",     [VEIL_HTTP_SKIP] = "settled",
        [VEIL_HTTP_WAIT] = "waits",    [VEIL_HTTP_REROUTE] = "routed again",
        [VEIL_HTTP_REPLY] = "answers", [VEIL_HTTP_FAIL] = "answers",
    };

    return names[rc];
}

void
veil_http_explain_enter(const veil_http_step_t *step)
{
    json_t *o;

    if (veil_http_explainer->waits) {
        return; /* the same step goes on */
    }
    o = json_object();
    (void) json_object_set_new(o, "phase",
                               json_string(veil_http_phase_name(step->phase)));
    (void) json_object_set_new(o, "module", json_string(step->name));
    (void) json_object_set_new(o, "notes", json_array());
    (void) json_array_append_new(veil_http_explainer->steps, o);
    veil_http_explainer->step = o;
}

/* Whether what was noted as the target is what answers. */
static bool
explain_has_target(const json_t *step)
{
    const char *kind = json_string_value(
        json_object_get(veil_http_explainer->target, "kind"));
    const char *module = json_string_value(json_object_get(step, "module"));

    if (kind == NULL) {
        return false;
    }
    return strcmp(kind, "proxy") == 0
           || (strcmp(kind, "file") == 0 && strcmp(module, "static") == 0);
}

void
veil_http_explain_leave(veil_http_request_t *r, veil_http_rc_t rc)
{
    json_t *step = veil_http_explainer->step;
    char text[64];

    veil_snprintf(text, sizeof(text), "%s", explain_result(rc));
    if (rc == VEIL_HTTP_FAIL) {
        veil_snprintf(text, sizeof(text), "%s %d",
                      r->status >= 400 ? "fails with" : "answers", r->status);
        veil_http_explain_target(r->status >= 400 ? "error" : "redirect");
        if (r->out.location.len != 0) {
            veil_http_explain_target_add("location", r->out.location);
        }
    } else if (rc == VEIL_HTTP_REPLY) {
        veil_snprintf(text, sizeof(text), "answers %d", r->out.status);
        if (!explain_has_target(step)) {
            veil_http_explain_target("text");
        }
    } else if (rc == VEIL_HTTP_REROUTE) {
        veil_http_explain_note(
            "rewritten", NULL, "\"%.*s%s%.*s\"", VEIL_STR_ARG(r->uri),
            r->args.len == 0 ? "" : "?", VEIL_STR_ARG(r->args));
        (void) json_object_clear(veil_http_explainer->target);
    }
    (void) json_object_set_new(step, "result", json_string(text));
    veil_http_explainer->waits = rc == VEIL_HTTP_WAIT;
}

/* --- the end ---------------------------------------------------------------
 */

/* How the name of the request leads to its server. */
static const char *
explain_why_server(const veil_http_request_t *r, veil_pool_t *pool)
{
    const veil_http_server_t *s = r->server;
    const veil_http_server_name_t *name;
    veil_str_t host = r->in.host, n;
    unsigned i;

    for (i = 0; i < s->names.n; i++) {
        name = veil_array_at(&s->names, veil_http_server_name_t, i);
        n = name->name;
        if (name->regex == NULL && veil_str_eq(n, host)) {
            return "its name is this one";
        }
        if (name->regex != NULL) {
            if (veil_http_regex_match(NULL, name->regex, host)) {
                return veil_pool_printf(pool, "its name matches \"%.*s\"",
                                        VEIL_STR_ARG(n))
                    .data;
            }
            continue;
        }
        if (n.len > 1
            && ((n.data[0] == '*' && veil_str_ends(host, veil_str_from(n, 1)))
                || (n.data[0] == '.'
                    && (veil_str_ends(host, n)
                        || veil_str_eq(host, veil_str_from(n, 1))))
                || (n.data[n.len - 1] == '*'
                    && veil_str_starts(host, veil_str_n(n.data, n.len - 1)))))
        {
            return veil_pool_printf(pool, "its name fits \"%.*s\"",
                                    VEIL_STR_ARG(n))
                .data;
        }
    }
    if (r->conn->port->servers.n == 1) {
        return "it is the only one of this listener";
    }
    return r->conn->port->explicit_default
               ? "no server has the name, and this is the default_server"
               : "no server has the name, and this is the first of the "
                 "listener";
}

static const char *
explain_kind(const veil_http_location_t *l)
{
    if (l->is_route) {
        return "route";
    }
    if (l->exact) {
        return "exact";
    }
    if (l->named) {
        return "named";
    }
    return l->regex ? "regular expression"
                    : (l->no_regex ? "prefix, ^~" : "prefix");
}

static json_t *
explain_location(const veil_http_location_t *l)
{
    json_t *o;

    if (l == NULL || l->parent == NULL) {
        return json_null();
    }
    o = json_object();
    (void) json_object_set_new(o, "name", veil_control_string(l->name));
    (void) json_object_set_new(o, "kind", json_string(explain_kind(l)));
    veil_http_explain_place(o, l->node);
    return o;
}

static json_t *
explain_limits(veil_http_request_t *r)
{
    const veil_http_core_loc_t *l = veil_http_core_loc(r);
    json_t *o = json_object();
    const struct {
        const char *name;
        int64_t value;
    } limits[] = {
        { "client_max_body_size", l->client_max_body_size },
        { "client_max_chunked_body_size", veil_http_core_chunked_limit(r) },
        { "client_body_timeout_ms", (int64_t) l->client_body_timeout },
        { "send_timeout_ms", (int64_t) l->send_timeout },
        { "keepalive_timeout_ms", (int64_t) l->keepalive_timeout },
        { "keepalive_requests", l->keepalive_requests },
        { "limit_rate", (int64_t) r->limit_rate },
    };
    unsigned i;

    for (i = 0; i < veil_countof(limits); i++) {
        (void) json_object_set_new(o, limits[i].name,
                                   json_integer(limits[i].value));
    }
    return o;
}

static void
explain_settled(veil_http_request_t *r)
{
    veil_http_explainer_t *x = veil_http_explainer;
    json_t *server = json_object();
    veil_str_t name = r->server->name;

    if (x->server != NULL) {
        json_decref(server);
        return;
    }
    (void) json_object_set_new(
        server, "name",
        veil_control_string(name.len == 0 ? VEIL_STR("\"\"") : name));
    (void) json_object_set_new(server, "why",
                               json_string(explain_why_server(r, r->pool)));
    veil_http_explain_place(server, r->server->node);
    x->server = server;
    x->location = explain_location(r->location);
    x->limits = explain_limits(r);
}

void
veil_http_explain_response(veil_http_request_t *r)
{
    const veil_http_pipeline_t *p = r->server->main->pipeline;
    unsigned i;

    explain_settled(r);
    veil_http_explainer->answered = true;

    for (i = 0; i < p->nfilters; i++) {
        (void) json_array_append_new(veil_http_explainer->filters,
                                     json_string(p->filters[i].name));
    }
    /* The head is what is asked for: a body would have to be read. */
    r->header_only = true;
}

void
veil_http_explain_end(veil_http_request_t *r)
{
    explain_settled(r);
    veil_http_explainer->ended = true;
}
