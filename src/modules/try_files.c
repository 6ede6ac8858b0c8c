/*
 * try_files.c -- the first of several files that is there, or something else.
 *
 *     try_files $uri $uri/ /index.html;
 *     try_files $uri @app;
 *     try_files $uri =404;
 *
 * Names are looked up below the location's root or alias, one with a slash at
 * its end as a directory.  What is found becomes the request's URI and the
 * content handlers go on with it, in this location; the last argument is
 * where to go when nothing is there: a status, a named location, or a URI
 * with which routing starts again.
 *
 * Two things differ from nginx on purpose.  With an alias the last argument is
 * a URI as anywhere else, while nginx cuts the location's prefix off it if it
 * has variables.  And where an "if" of the location holds, nginx forgets about
 * try_files; here it is done all the same.
 */

#include "core/platform.h"

#include "http/files.h"
#include "http/http.h"
#include "http/lint.h"
#include "http/parse/uri.h"

typedef struct {
    const veil_http_value_t *value; /* without the slash of a directory */
    bool is_dir;
    bool has_vars;
} try_files_name_t;

typedef struct {
    veil_array_t *names; /* of try_files_name_t, the last not among them */
    const veil_http_value_t *last; /* a URI or "@name" */
    int64_t status;                /* of "=CODE"; -1: none */
} try_files_t;

typedef struct {
    const try_files_t *tries; /* NULL: none */
} try_files_conf_t;

typedef struct {
    veil_http_lookup_t lookup;
    unsigned i;      /* the name that was looked up */
    size_t root_len; /* bytes of path that are root or alias */
    veil_str_t path;
    bool done; /* found: the handler has nothing more to do */
} try_files_ctx_t;

extern veil_module_t veil_http_try_files_module;

/* --- the directive ---------------------------------------------------------
 */

static veil_rc_t
try_files_set_name(veil_conf_t *cf, try_files_t *tries, unsigned arg)
{
    veil_str_t name = veil_conf_arg(cf, arg);
    try_files_name_t *n = veil_array_push(tries->names);

    n->is_dir = name.len != 0 && name.data[name.len - 1] == '/';
    name.len -= n->is_dir ? 1 : 0;
    n->value = veil_http_value_compile(cf, name);
    if (n->value == NULL) {
        return VEIL_ERROR;
    }
    n->has_vars = !veil_http_value_is_constant(n->value);
    return VEIL_OK;
}

static veil_rc_t
try_files_set_last(veil_conf_t *cf, try_files_t *tries, unsigned arg)
{
    veil_str_t last = veil_conf_arg(cf, arg);

    tries->status = -1;
    if (last.len != 0 && last.data[0] == '=') {
        tries->status = veil_str_to_int(veil_str_from(last, 1));
        if (tries->status < 0 || tries->status > 999) {
            return veil_conf_error_at(cf, arg, "invalid code \"%.*s\"",
                                      VEIL_STR_ARG(last));
        }
        return VEIL_OK;
    }
    tries->last = veil_http_value_compile(cf, last);
    return tries->last == NULL ? VEIL_ERROR : VEIL_OK;
}

static veil_rc_t
try_files_set(veil_conf_t *cf, const veil_command_t *cmd VEIL_UNUSED,
              void *conf)
{
    try_files_conf_t *tcf = conf;
    try_files_t *tries = VEIL_POOL_NEW(cf->pool, try_files_t);
    unsigned last = veil_conf_nargs(cf) - 1, i;

    tries->names = veil_array_create(cf->pool, sizeof(try_files_name_t), 2);
    for (i = 1; i < last; i++) {
        if (try_files_set_name(cf, tries, i) != VEIL_OK) {
            return VEIL_ERROR;
        }
    }
    tcf->tries = tries;
    return try_files_set_last(cf, tries, last);
}

/* --- the handler -----------------------------------------------------------
 */

static bool
try_files_regex_alias(const veil_http_core_loc_t *core)
{
    return core->alias != NULL && core->alias_prefix == SIZE_MAX;
}

/* Root or alias, and the name: what is looked up. */
static void
try_files_path(veil_http_request_t *r, try_files_ctx_t *ctx,
               const try_files_name_t *n)
{
    const veil_http_core_loc_t *core = veil_http_core_loc(r);
    veil_str_t name = veil_http_eval(r, n->value);
    veil_str_t root = veil_http_map_uri(r, r->uri, &ctx->root_len);

    /* A name made of $uri has the prefix that alias stands for. */
    if (core->alias != NULL && core->alias_prefix <= r->uri.len && n->has_vars
        && veil_str_starts(name, veil_str_n(r->uri.data, core->alias_prefix)))
    {
        name = veil_str_from(name, core->alias_prefix);
    }
    root.len = ctx->root_len;
    ctx->path = veil_pool_printf(r->pool, "%.*s%.*s", VEIL_STR_ARG(root),
                                 VEIL_STR_ARG(name));
}

/* Nothing is there. */
static veil_http_rc_t
try_files_last(veil_http_request_t *r, const try_files_t *tries)
{
    veil_http_uri_t uri;
    veil_str_t last;

    if (tries->status >= 300) {
        return veil_http_fail(r, (int) tries->status);
    }
    if (tries->status >= 0) {
        return veil_http_reply(r,
                               tries->status == 0 ? 200 : (int) tries->status,
                               VEIL_STR_NULL, VEIL_STR_NULL);
    }
    last = veil_http_eval(r, tries->last);
    if (last.len != 0 && last.data[0] == '@') {
        return veil_http_reroute_named(r, last);
    }
    if (last.len == 0) {
        return veil_http_fail_why(r, 500, "the last of try_files is empty");
    }
    veil_http_uri_split(last, &uri);
    return veil_http_reroute(r, uri.path, uri.args);
}

/* What was found becomes the URI. */
static veil_http_rc_t
try_files_found(veil_http_request_t *r, try_files_ctx_t *ctx,
                const try_files_name_t *n)
{
    const veil_http_core_loc_t *core = veil_http_core_loc(r);
    veil_str_t name = veil_str_from(ctx->path, ctx->root_len);

    ctx->done = true;
    if (core->alias == NULL) {
        r->uri = name;
    } else if (try_files_regex_alias(core)) {
        if (n->is_dir) {
            return VEIL_HTTP_NEXT;
        }
        r->uri = name;
        r->add_uri_to_alias = true;
    } else {
        r->uri = veil_pool_printf(
            r->pool, "%.*s%.*s",
            (int) veil_min_size(core->alias_prefix, r->uri.len), r->uri.data,
            VEIL_STR_ARG(name));
    }
    r->uri_changed = true;
    r->exten = veil_http_path_ext(r->uri);
    veil_http_var_flush(r);
    return VEIL_HTTP_NEXT;
}

static veil_http_rc_t
try_files_handler(veil_http_request_t *r)
{
    const try_files_conf_t *tcf =
        veil_http_loc_conf(r, &veil_http_try_files_module);
    try_files_ctx_t *ctx = veil_http_ctx(r, &veil_http_try_files_module);
    bool looked = ctx != NULL; /* resumed */
    const try_files_name_t *n;
    const veil_file_t *file;

    if (tcf->tries == NULL || (ctx != NULL && ctx->done)) {
        return VEIL_HTTP_NEXT;
    }
    if (ctx == NULL) {
        ctx = VEIL_POOL_NEW(r->pool, try_files_ctx_t);
        veil_http_set_ctx(r, &veil_http_try_files_module, ctx);
    }

    for (; ctx->i < tcf->tries->names->n; ctx->i++, looked = false) {
        n = veil_array_at(tcf->tries->names, try_files_name_t, ctx->i);
        if (!looked) {
            try_files_path(r, ctx, n);
            if (!veil_http_lookup(r, &ctx->lookup, ctx->path, ctx->root_len,
                                  false)) {
                return veil_http_wait(r, NULL);
            }
        }
        file = ctx->lookup.lookup.file;
        if (file->err == 0 && file->is_dir == n->is_dir) {
            return try_files_found(r, ctx, n);
        }
        if (file->err != 0 && file->err != ENOENT && file->err != ENOTDIR
            && file->err != ENAMETOOLONG)
        {
            veil_log(&r->log, VEIL_LOG_CRIT, file->err,
                     "stat() \"%.*s\" failed", VEIL_STR_ARG(ctx->path));
        }
    }
    return try_files_last(r, tcf->tries);
}

/* --- lint ------------------------------------------------------------------
 */

static const veil_lint_rule_t try_files_loop = { "L205", "try-files-loops",
                                                 VEIL_LINT_WARNING };
static const veil_lint_rule_t try_files_last_only = { "L207",
                                                      "try-files-not-last",
                                                      VEIL_LINT_WARNING };
static const veil_lint_rule_t try_files_relative = { "L208",
                                                     "try-files-relative",
                                                     VEIL_LINT_WARNING };

static void
try_files_lint_name(veil_lint_t *lint, const veil_conf_node_t *node,
                    unsigned arg)
{
    veil_str_t name = veil_lint_arg(node, arg);

    if (name.len == 0) {
        return;
    }
    if (name.data[0] == '@' || name.data[0] == '=') {
        veil_lint_add(lint, &try_files_last_only, node, arg,
                      "a file called \"%.*s\" is looked for: only the last "
                      "argument may be a %s",
                      VEIL_STR_ARG(name),
                      name.data[0] == '@' ? "named location" : "status");
        veil_lint_advise(lint, "put it at the end, and nothing behind it");
    } else if (name.data[0] != '/' && name.data[0] != '$') {
        veil_lint_add(lint, &try_files_relative, node, arg,
                      "\"%.*s\" is put behind the root without a slash, as "
                      "in \"/srv/www%.*s\"",
                      VEIL_STR_ARG(name), VEIL_STR_ARG(name));
        veil_lint_advise(lint, "write \"/%.*s\"", VEIL_STR_ARG(name));
    }
}

static void
try_files_lint(veil_lint_t *lint, const veil_conf_scope_t *block)
{
    const veil_conf_node_t *node =
        veil_lint_child(block->node, "try_files", NULL);
    veil_str_t last;
    unsigned i;

    if (node == NULL) {
        return;
    }
    for (i = 1; i + 1 < node->nargs; i++) {
        try_files_lint_name(lint, node, i);
    }
    last = veil_lint_arg(node, i);
    veil_http_lint_named(lint, block, node, i);
    if (veil_str_starts(last, VEIL_STR("$uri"))) {
        veil_lint_add(lint, &try_files_loop, node, i,
                      "the last argument is not looked for but gone to: "
                      "\"%.*s\" comes back here until an error 500 ends it",
                      VEIL_STR_ARG(last));
        veil_lint_advise(lint, "add \"=404\" behind it");
    } else if (last.len != 0 && strchr("/@=$", last.data[0]) == NULL) {
        veil_lint_add(lint, &try_files_relative, node, i,
                      "\"%.*s\" is gone to as it is, and no location has a "
                      "path without a slash at its beginning",
                      VEIL_STR_ARG(last));
        veil_lint_advise(lint, "write \"/%.*s\"", VEIL_STR_ARG(last));
    }
}

static const veil_command_t try_files_commands[] = {
    { .name = "try_files",
      .where = VEIL_CONF_SERVER | VEIL_CONF_LOCATION,
      .args = VEIL_ARGS_2MORE,
      .flags = VEIL_CONF_OWN,
      .set = try_files_set,
      .offset = offsetof(try_files_conf_t, tries),
      .syntax = "file ... uri | file ... =code",
      .help = "Serves the first file that is there, or goes to the last "
              "argument." },

    { .name = NULL },
};

static const veil_http_module_t try_files_http = {
    .loc_conf_size = sizeof(try_files_conf_t),
    .handler = { VEIL_PHASE_PRECONTENT, try_files_handler },
    .lint = try_files_lint,
};

veil_module_t veil_http_try_files_module = {
    .abi = VEIL_MODULE_ABI,
    .name = "try_files",
    .commands = try_files_commands,
    .http = &try_files_http,
};
