/*
 * static.c -- answers GET and HEAD with files.
 *
 * The last content handler: whatever no other handler wanted is a file below
 * the root, or nothing.  A directory asked for without its slash is told so
 * with a redirect, as nginx does.  In a route there are no redirects: the
 * directory's index is served in place, with or without the slash, and what
 * lies below a file is not found.
 */

#include "core/platform.h"

#include "http/files.h"
#include "http/http.h"
#include "http/location.h"
#include "http/parse/uri.h"

typedef struct {
    veil_http_lookup_t lookup;
    veil_str_t path;
    size_t root_len;  /* bytes of it that are root or alias */
    bool index_tried; /* of a directory, in a route */
    bool slash;       /* below a route's prefix, a slash at the end */
} static_ctx_t;

extern veil_module_t veil_http_static_module;

static veil_http_rc_t
static_redirect(veil_http_request_t *r)
{
    veil_str_t uri = veil_http_uri_escape(r->pool, r->uri);

    if (r->args.len != 0) {
        return veil_http_redirect(r, 301,
                                  veil_pool_printf(r->pool, "%.*s/?%.*s",
                                                   VEIL_STR_ARG(uri),
                                                   VEIL_STR_ARG(r->args)));
    }
    return veil_http_redirect(
        r, 301, veil_pool_printf(r->pool, "%.*s/", VEIL_STR_ARG(uri)));
}

static bool
static_in_route(const veil_http_request_t *r)
{
    return r->location != NULL && r->location->is_route;
}

/* Looks up ctx->path; false: the answer comes later. */
static bool
static_look(veil_http_request_t *r, static_ctx_t *ctx)
{
    return veil_http_lookup(r, &ctx->lookup, ctx->path, ctx->root_len, true);
}

/* A route's index is one name: the first of the list. */
static veil_str_t
static_index(veil_http_request_t *r)
{
    const veil_array_t *names = veil_http_core_loc(r)->index;

    return veil_http_eval(r,
                          *veil_array_at(names, const veil_http_value_t *, 0));
}

static veil_http_rc_t
static_directory(veil_http_request_t *r, static_ctx_t *ctx)
{
    veil_str_t index;

    if (!static_in_route(r)) {
        return static_redirect(r);
    }
    index = static_index(r);
    if (ctx->index_tried || index.len == 0) {
        return veil_http_fail(r, 403);
    }
    ctx->index_tried = true;
    ctx->path = veil_pool_printf(r->pool, "%.*s/%.*s", VEIL_STR_ARG(ctx->path),
                                 VEIL_STR_ARG(index));
    r->exten = veil_http_path_ext(index);
    if (!static_look(r, ctx)) {
        return veil_http_wait(r, NULL);
    }
    return VEIL_HTTP_NEXT; /* look at it again */
}

static veil_http_rc_t
static_answer(veil_http_request_t *r, static_ctx_t *ctx)
{
    veil_file_t *file;
    veil_http_rc_t rc;
    int status;

    for (;;) {
        file = ctx->lookup.lookup.file;
        if (file->err != 0) {
            status = veil_http_lookup_status(r, file, ctx->path);
            /* In a route, a directory without its index is forbidden. */
            return veil_http_fail(
                r, ctx->index_tried && status == 404 ? 403 : status);
        }
        if (!file->is_dir) {
            break;
        }
        rc = static_directory(r, ctx);
        if (rc != VEIL_HTTP_NEXT) {
            return rc;
        }
    }
    if (ctx->slash && !ctx->index_tried) {
        return veil_http_fail(r, 404); /* "file/" lies below a file */
    }
    if (!file->is_file) {
        veil_log(&r->log, VEIL_LOG_CRIT, 0, "\"%.*s\" is not a regular file",
                 VEIL_STR_ARG(ctx->path));
        return veil_http_fail(r, 404);
    }
    if (r->in.method == VEIL_POST) {
        return veil_http_fail(r, 405);
    }
    veil_http_describe_file(r, file);
    return VEIL_HTTP_REPLY;
}

static veil_http_rc_t
static_handler(veil_http_request_t *r)
{
    static_ctx_t *ctx = veil_http_ctx(r, &veil_http_static_module);

    if (ctx != NULL) {
        return static_answer(r, ctx); /* resumed */
    }
    if (!veil_http_method_in(r, VEIL_GET | VEIL_HEAD | VEIL_POST)) {
        return veil_http_fail(r, 405);
    }
    if (r->uri.data[r->uri.len - 1] == '/' && !static_in_route(r)) {
        return VEIL_HTTP_NEXT;
    }

    ctx = VEIL_POOL_NEW(r->pool, static_ctx_t);
    veil_http_set_ctx(r, &veil_http_static_module, ctx);
    ctx->path = veil_http_map_uri(r, r->uri, &ctx->root_len);
    if (static_in_route(r)) {
        ctx->slash = r->uri.data[r->uri.len - 1] == '/'
                     && veil_http_location_rest(r).len != 0;
        while (ctx->path.len > 1 && ctx->path.data[ctx->path.len - 1] == '/') {
            ctx->path.len--;
        }
        ctx->path = veil_pool_str(r->pool, ctx->path);
    }
    if (!static_look(r, ctx)) {
        return veil_http_wait(r, NULL);
    }
    return static_answer(r, ctx);
}

static veil_rc_t
static_filter(veil_http_request_t *r, const veil_http_filter_t *next)
{
    veil_http_files_choose(r);
    return veil_http_next_header(r, next);
}

static void
static_exit_worker(veil_cycle_t *cycle VEIL_UNUSED)
{
    veil_http_files_done();
}

static const veil_http_module_t static_http = {
    .handler = { VEIL_PHASE_CONTENT, static_handler },
    .filter = { .name = "static",
                .order = VEIL_FILTER_RANGE + 50,
                .header = static_filter },
    .exit_worker = static_exit_worker,
};

veil_module_t veil_http_static_module = {
    .abi = VEIL_MODULE_ABI,
    .name = "static",
    .http = &static_http,
};
