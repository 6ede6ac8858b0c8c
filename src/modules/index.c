/*
 * index.c -- what a URI that ends with a slash means: the first file of the
 * list that is there, by an internal redirect, as nginx does.
 *
 * The directive is the core's, because routes use it too.  A name with a
 * variable is evaluated for each request; an absolute one (the last) is a URI
 * to go to whatever is there.
 */

#include "core/platform.h"

#include "http/files.h"
#include "http/http.h"

typedef struct {
    veil_http_lookup_t lookup;
    unsigned i; /* the name that was looked up */
    veil_str_t name;
    veil_str_t path;
    bool dir_tested; /* none was there: is the directory? */
} index_ctx_t;

extern veil_module_t veil_http_index_module;

static veil_http_rc_t
index_go(veil_http_request_t *r, index_ctx_t *ctx)
{
    return veil_http_reroute(r,
                             veil_pool_printf(r->pool, "%.*s%.*s",
                                              VEIL_STR_ARG(r->uri),
                                              VEIL_STR_ARG(ctx->name)),
                             r->args);
}

/* Asks for the directory or the next name; false: the answer comes later. */
static bool
index_look(veil_http_request_t *r, index_ctx_t *ctx, veil_str_t name)
{
    size_t root_len;
    veil_str_t dir = veil_http_map_uri(r, r->uri, &root_len);

    ctx->name = name;
    ctx->path = veil_pool_printf(r->pool, "%.*s%.*s", VEIL_STR_ARG(dir),
                                 VEIL_STR_ARG(name));
    return veil_http_lookup(r, &ctx->lookup, ctx->path, root_len, false);
}

/* No name is there: 404 without the directory, else others may try. */
static veil_http_rc_t
index_none(veil_http_request_t *r, index_ctx_t *ctx)
{
    if (!ctx->dir_tested) {
        ctx->dir_tested = true;
        if (!index_look(r, ctx, VEIL_STR(""))) {
            return veil_http_wait(r, NULL);
        }
    }
    if (ctx->lookup.lookup.file->err != 0) {
        return veil_http_fail(
            r, veil_http_lookup_status(r, ctx->lookup.lookup.file, ctx->path));
    }
    return VEIL_HTTP_NEXT;
}

static veil_http_rc_t
index_handler(veil_http_request_t *r)
{
    const veil_array_t *names = veil_http_core_loc(r)->index;
    index_ctx_t *ctx = veil_http_ctx(r, &veil_http_index_module);
    const veil_file_t *file;
    veil_str_t name;
    bool looked = ctx != NULL;

    if (r->uri.data[r->uri.len - 1] != '/'
        || !veil_http_method_in(r, VEIL_GET | VEIL_HEAD | VEIL_POST)
        || (r->location != NULL && r->location->is_route))
    {
        return VEIL_HTTP_NEXT;
    }
    if (ctx == NULL) {
        ctx = VEIL_POOL_NEW(r->pool, index_ctx_t);
        veil_http_set_ctx(r, &veil_http_index_module, ctx);
    }
    if (ctx->dir_tested) {
        return index_none(r, ctx);
    }

    for (; ctx->i < names->n; ctx->i++, looked = false) {
        if (!looked) {
            name = veil_http_eval(
                r, *veil_array_at(names, const veil_http_value_t *, ctx->i));
            if (name.len != 0 && name.data[0] == '/') {
                return veil_http_reroute(r, name, r->args);
            }
            if (!index_look(r, ctx, name)) {
                return veil_http_wait(r, NULL);
            }
        }
        file = ctx->lookup.lookup.file;
        if (file->err == 0) {
            /* A directory of that name is gone to as well, as in nginx. */
            return index_go(r, ctx);
        }
        if (file->err != 0 && file->err != ENOENT && file->err != ENOTDIR) {
            return veil_http_fail(r,
                                  veil_http_lookup_status(r, file, ctx->path));
        }
    }
    return index_none(r, ctx);
}

static const veil_http_module_t index_http = {
    .handler = { VEIL_PHASE_CONTENT, index_handler },
};

veil_module_t veil_http_index_module = {
    .abi = VEIL_MODULE_ABI,
    .name = "index",
    .http = &index_http,
};
