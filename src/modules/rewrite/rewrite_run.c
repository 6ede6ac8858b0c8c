/*
 * rewrite_run.c -- runs the operations of the rewrite module.
 *
 * A list is run to its end, or until one operation ends it: return, break,
 * "last" and "break" of rewrite.  A changed URI in a location leads to a new
 * search for a location; in a server it just goes on to the first search.
 */

#include "core/platform.h"

#include "http/explain.h"
#include "http/location.h"
#include "http/parse/uri.h"
#include "modules/rewrite/rewrite.h"

/* Of one request; in its ctx while operations run. */
typedef struct {
    bool stop;        /* no further operations */
    bool uri_changed; /* a location is to be searched again */
} rewrite_ctx_t;

static rewrite_ctx_t *
rewrite_ctx(veil_http_request_t *r)
{
    return veil_http_ctx(r, &veil_http_rewrite_module);
}

static veil_http_rc_t
rewrite_run_list(veil_http_request_t *r, const veil_array_t *ops)
{
    const rewrite_op_t *op;
    veil_http_rc_t rc;
    unsigned i;

    for (i = 0; ops != NULL && i < ops->n && !rewrite_ctx(r)->stop; i++) {
        op = veil_array_at(ops, const rewrite_op_t, i);
        rc = op->run(r, op);
        if (rc != VEIL_HTTP_NEXT) {
            return rc;
        }
    }
    return VEIL_HTTP_NEXT;
}

/* --- operations ------------------------------------------------------------
 */

static bool
rewrite_is_redirect(int status)
{
    return status == 301 || status == 302 || status == 303 || status == 307
           || status == 308;
}

veil_http_rc_t
veil_rewrite_run_return(veil_http_request_t *r, const rewrite_op_t *op)
{
    veil_str_t text;

    veil_http_explain("return", op->node, "%d", op->status);
    if (op->has_text && rewrite_is_redirect(op->status)) {
        return veil_http_redirect(r, op->status, veil_http_eval(r, op->value));
    }
    if (!op->has_text && op->status >= 300) {
        return veil_http_fail(r, op->status);
    }
    text = veil_http_eval(r, op->value);
    if (op->status != 204) {
        veil_http_set_content_type(r);
    }
    return veil_http_reply(r, op->status == 0 ? 200 : op->status,
                           r->out.content_type, text);
}

veil_http_rc_t
veil_rewrite_run_set(veil_http_request_t *r, const rewrite_op_t *op)
{
    veil_str_t value = veil_http_eval(r, op->value);

    veil_http_explain("set", op->node, "%.*s is \"%.*s\"",
                      VEIL_STR_ARG(op->node->args[1].str),
                      VEIL_STR_ARG(value));
    if (!veil_http_var_assign(r, op->variable, value)) {
        veil_http_var_store(r, op->variable, value);
    }
    return VEIL_HTTP_NEXT;
}

veil_http_rc_t
veil_rewrite_run_break(veil_http_request_t *r,
                       const rewrite_op_t *op VEIL_UNUSED)
{
    rewrite_ctx(r)->stop = true;
    return VEIL_HTTP_NEXT;
}

/* As it stands in the file: "($a = b)". */
static veil_str_t
rewrite_condition(veil_http_request_t *r, const rewrite_op_t *op)
{
    veil_str_t text = VEIL_STR_NULL;
    unsigned i;

    for (i = 1; i < op->node->nargs; i++) {
        text = veil_pool_printf(r->pool, "%.*s%s%.*s", VEIL_STR_ARG(text),
                                i == 1 ? "" : " ",
                                VEIL_STR_ARG(op->node->args[i].str));
    }
    return text;
}

veil_http_rc_t
veil_rewrite_run_if(veil_http_request_t *r, const rewrite_op_t *op)
{
    bool holds = op->test(r, op) != op->negate;

    if (veil_http_is_explained()) {
        veil_str_t text = rewrite_condition(r, op);

        veil_http_explain_note("if", op->node, "%.*s %s", VEIL_STR_ARG(text),
                               holds ? "holds" : "does not hold");
    }
    if (!holds) {
        return VEIL_HTTP_NEXT;
    }
    veil_http_location_confs(r, op->loc_conf);
    return rewrite_run_list(r, op->ops);
}

/*
 * Whether captures of the URI may hold what was escaped when it was received;
 * where nothing was, they go into a query as they are.
 */
static bool
rewrite_is_quoted(const veil_http_request_t *r)
{
    veil_str_t path = r->in.target;
    ptrdiff_t query = veil_str_chr(path, '?');

    if (query >= 0) {
        path.len = (size_t) query;
    }
    return veil_str_chr(path, '%') >= 0 || veil_str_chr(path, '+') >= 0;
}

static veil_str_t
rewrite_join_args(veil_http_request_t *r, const rewrite_op_t *op)
{
    veil_str_t args = rewrite_is_quoted(r) ? veil_http_eval_args(r, op->args)
                                           : veil_http_eval(r, op->args);

    if (!op->keep_args || r->args.len == 0) {
        return args;
    }
    if (args.len == 0) {
        return r->args;
    }
    return veil_pool_printf(r->pool, "%.*s&%.*s", VEIL_STR_ARG(args),
                            VEIL_STR_ARG(r->args));
}

static veil_http_rc_t
rewrite_redirect(veil_http_request_t *r, const rewrite_op_t *op, veil_str_t to,
                 veil_str_t args)
{
    veil_str_t path = to;

    if (to.len != 0 && to.data[0] == '/') {
        path = veil_http_uri_escape(r->pool, to);
    }
    if (args.len != 0) {
        path = veil_pool_printf(r->pool, "%.*s?%.*s", VEIL_STR_ARG(path),
                                VEIL_STR_ARG(args));
    }
    return veil_http_redirect(r, op->status, path);
}

veil_http_rc_t
veil_rewrite_run_rewrite(veil_http_request_t *r, const rewrite_op_t *op)
{
    const rewrite_conf_t *conf =
        veil_http_loc_conf(r, &veil_http_rewrite_module);
    veil_str_t to, args;

    if (!veil_http_regex_match(r, op->regex, r->uri)) {
        veil_http_explain(
            "rewrite", op->node, "\"%.*s\" does not match \"%.*s\"",
            VEIL_STR_ARG(op->node->args[1].str), VEIL_STR_ARG(r->uri));
        return VEIL_HTTP_NEXT;
    }
    to = veil_http_eval(r, op->value);
    args = rewrite_join_args(r, op);
    veil_http_explain("rewrite", op->node, "\"%.*s\" becomes \"%.*s%s%.*s\"",
                      VEIL_STR_ARG(r->uri), VEIL_STR_ARG(to),
                      args.len == 0 ? "" : "?", VEIL_STR_ARG(args));
    if (conf->log) {
        veil_log(&r->log, VEIL_LOG_NOTICE, 0,
                 "rewritten data: \"%.*s\", args: \"%.*s\"", VEIL_STR_ARG(to),
                 VEIL_STR_ARG(args));
    }
    if (op->status != 0) {
        return rewrite_redirect(r, op, to, args);
    }
    if (to.len == 0) {
        veil_log(&r->log, VEIL_LOG_ERR, 0,
                 "the rewritten URI has a zero length");
        return veil_http_fail(r, 500);
    }

    r->uri = to;
    r->args = args;
    r->exten = veil_http_path_ext(to);
    r->uri_changed = true;
    r->internal = true;
    veil_http_var_flush(r);
    rewrite_ctx(r)->stop = op->stop;
    if (op->last || !op->stop) {
        rewrite_ctx(r)->uri_changed = true;
    } else {
        rewrite_ctx(r)->uri_changed = false; /* "break" stays here */
    }
    return VEIL_HTTP_NEXT;
}

/* --- handlers ---------------------------------------------------------------
 */

static veil_http_rc_t
rewrite_run(veil_http_request_t *r, const rewrite_conf_t *conf, bool reroute)
{
    rewrite_ctx_t ctx = { .stop = false };
    veil_http_rc_t rc;

    veil_http_set_ctx(r, &veil_http_rewrite_module, &ctx);
    rc = rewrite_run_list(r, conf->ops);
    veil_http_set_ctx(r, &veil_http_rewrite_module, NULL);

    if (rc == VEIL_HTTP_NEXT && reroute && ctx.uri_changed) {
        return VEIL_HTTP_REROUTE;
    }
    return rc;
}

veil_http_rc_t
veil_rewrite_server_handler(veil_http_request_t *r)
{
    const rewrite_conf_t *conf =
        r->server->loc_conf[veil_http_rewrite_module.index];

    if (conf->ops == NULL) {
        return VEIL_HTTP_NEXT;
    }
    return rewrite_run(r, conf, false);
}

veil_http_rc_t
veil_rewrite_location_handler(veil_http_request_t *r)
{
    const rewrite_conf_t *conf =
        veil_http_loc_conf(r, &veil_http_rewrite_module);

    if (conf->ops == NULL || r->loc_conf == r->server->loc_conf) {
        return VEIL_HTTP_NEXT;
    }
    return rewrite_run(r, conf, true);
}
