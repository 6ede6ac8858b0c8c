/*
 * config.c -- http {}: the layer's confs, its blocks, and what it does when a
 * worker begins and ends.
 *
 * The module "http" belongs to the main context: its directive opens the
 * block, its hooks start and stop the modules of the layer.  A server and a
 * location are scopes of conf.h with an object; modules never see that.
 */

#include "core/platform.h"

#include <sys/stat.h>
#include <unistd.h>

#include "http/config.h"

#include "core/main_conf.h"
#include "http/drain.h"
#include "http/explain.h"
#include "http/http.h"
#include "http/lint.h"
#include "http/location.h"
#include "http/mime.h"
#include "http/regex.h"
#include "http/server.h"
#include "http/vars.h"

/* --- the layer
 * ------------------------------------------------------------------- */

static veil_conf_type_t
config_type(const veil_module_t *m, veil_conf_kind_t kind)
{
    const veil_http_module_t *http = m->http;
    veil_conf_type_t t = { .size = 0 };

    if (http == NULL) {
        return t;
    }
    switch (kind) {
    case VEIL_CONF_OF_LOC:
        t.size = http->loc_conf_size;
        t.init = http->loc_conf_default;
        t.finish = http->loc_conf_finish;
        break;
    case VEIL_CONF_OF_SERVER:
        t.size = http->server_conf_size;
        t.init = http->server_conf_default;
        t.finish = http->server_conf_finish;
        break;
    case VEIL_CONF_OF_MAIN:
        t.size = http->main_conf_size;
        t.init = http->main_conf_default;
        t.finish = http->main_conf_finish;
        break;
    case VEIL_CONF_OF_UPSTREAM:
        t.size = http->upstream_conf_size;
        t.init = http->upstream_conf_default;
        t.finish = http->upstream_conf_finish;
        break;
    case VEIL_CONF_KINDS:
        break;
    }
    return t;
}

const veil_conf_layer_t veil_http_layer = {
    .name = "http",
    .type = config_type,
};

#define CONFIG_OWNS_HTTP                                                      \
    (1u << VEIL_CONF_OF_LOC | 1u << VEIL_CONF_OF_SERVER                       \
     | 1u << VEIL_CONF_OF_MAIN | 1u << VEIL_CONF_OF_UPSTREAM)
#define CONFIG_OWNS_SERVER (1u << VEIL_CONF_OF_LOC | 1u << VEIL_CONF_OF_SERVER)
#define CONFIG_OWNS_LOC (1u << VEIL_CONF_OF_LOC)

/* --- http {}
 * ---------------------------------------------------------------------- */

static veil_rc_t
config_run_init(veil_conf_t *cf)
{
    unsigned i;

    for (i = 0; veil_modules[i] != NULL; i++) {
        if (veil_modules[i]->http != NULL
            && veil_modules[i]->http->init != NULL
            && veil_modules[i]->http->init(cf) != VEIL_OK)
        {
            return VEIL_ERROR;
        }
    }
    return VEIL_OK;
}

static veil_rc_t
config_run_checks(veil_conf_t *cf)
{
    veil_rc_t rc = veil_http_vars_check(cf);
    unsigned i;

    for (i = 0; veil_modules[i] != NULL; i++) {
        if (veil_modules[i]->http != NULL
            && veil_modules[i]->http->check != NULL
            && veil_modules[i]->http->check(cf) != VEIL_OK)
        {
            rc = VEIL_ERROR;
        }
    }
    return rc;
}

static veil_rc_t
config_finish(veil_conf_t *cf, veil_http_main_t *main)
{
    veil_http_server_t *s;
    unsigned i;

    for (i = 0; i < main->servers.n; i++) {
        s = *veil_array_at(&main->servers, veil_http_server_t *, i);
        if (veil_http_locations_build(cf, s) != VEIL_OK) {
            return VEIL_ERROR;
        }
    }
    /* Checks may ask which servers meet on a port. */
    if (veil_http_ports_build(cf, main) != VEIL_OK
        || veil_http_drain_declare(cf) != VEIL_OK
        || config_run_checks(cf) != VEIL_OK)
    {
        return VEIL_ERROR;
    }
    main->pipeline = veil_http_pipeline_build(cf);
    return VEIL_OK;
}

static veil_rc_t
config_set_http(veil_conf_t *cf, const veil_command_t *cmd VEIL_UNUSED,
                void *conf VEIL_UNUSED)
{
    veil_http_main_t *main;
    veil_rc_t rc;

    main = VEIL_POOL_NEW(cf->pool, veil_http_main_t);
    cf->cycle->http = main;
    main->nmodules = veil_modules_count();
    veil_array_init(&main->servers, cf->pool, sizeof(veil_http_server_t *), 4);
    veil_array_init(&main->ports, cf->pool, sizeof(veil_http_port_t *), 4);
    veil_array_init(&main->upstreams, cf->pool, sizeof(void *), 4);
    veil_array_init(&main->temp_paths, cf->pool, sizeof(veil_str_t), 2);
    veil_array_init(&main->file_caches, cf->pool,
                    sizeof(veil_filecache_options_t), 1);
    veil_http_vars_init(cf, main);

    main->scope = veil_conf_scope_create(cf, &veil_http_layer, NULL,
                                         VEIL_CONF_HTTP, CONFIG_OWNS_HTTP);
    main->scope->object = main;
    if (config_run_init(cf) != VEIL_OK) {
        return VEIL_ERROR;
    }
    rc = veil_conf_apply(cf, main->scope);
    if (rc != VEIL_OK || cf->errors != 0) {
        return rc; /* what was reported before the block ends the load, too */
    }
    return config_finish(cf, main);
}

/* --- server {}
 * -------------------------------------------------------------------- */

veil_rc_t
veil_http_set_server(veil_conf_t *cf, const veil_command_t *cmd VEIL_UNUSED,
                     void *conf VEIL_UNUSED)
{
    veil_http_main_t *main = cf->cycle->http;
    veil_http_server_t *s = VEIL_POOL_NEW(cf->pool, veil_http_server_t);
    veil_http_listen_t *l;
    veil_rc_t rc;

    s->main = main;
    s->node = cf->node;
    veil_array_init(&s->names, cf->pool, sizeof(veil_http_server_name_t), 1);
    veil_array_init(&s->listens, cf->pool, sizeof(veil_http_listen_t), 1);
    *(veil_http_server_t **) veil_array_push(&main->servers) = s;

    s->root = VEIL_POOL_NEW(cf->pool, veil_http_location_t);
    s->root->server = s;
    s->root->node = cf->node;

    s->scope = veil_conf_scope_create(cf, &veil_http_layer, cf->scope,
                                      VEIL_CONF_SERVER, CONFIG_OWNS_SERVER);
    s->scope->object = s;
    rc = veil_conf_apply(cf, s->scope);

    if (s->names.n == 0) {
        veil_http_server_name_t *name = veil_array_push(&s->names);

        name->name = VEIL_STR("");
        name->server = s;
        name->node = cf->node;
    }
    s->name = veil_array_at(&s->names, veil_http_server_name_t, 0)->name;
    if (s->listens.n == 0) {
        l = veil_array_push(&s->listens);
        l->node = cf->node;
        l->options.node = cf->node;
        l->options.type = SOCK_STREAM;
        l->options.backlog = 511;
        l->options.ipv6only = -1;
        l->options.keepalive = -1;
        l->options.addr.family = AF_INET;
        l->options.addr.port = geteuid() == 0 ? 80 : 8000;
    }
    s->main_conf = s->scope->conf[VEIL_CONF_OF_MAIN];
    s->server_conf = s->scope->conf[VEIL_CONF_OF_SERVER];
    s->loc_conf = s->scope->conf[VEIL_CONF_OF_LOC];
    s->root->loc_conf = s->loc_conf;
    return rc;
}

/* --- location {}
 * ------------------------------------------------------------------ */

/* "=", "~", "~*", "^~" as a word of its own or in front of the name. */
static veil_rc_t
config_location_kind(veil_conf_t *cf, veil_http_location_t *l, bool *caseless,
                     unsigned *arg, size_t *skip)
{
    static const char *const marks[] = { "^~", "~*", "=", "~", NULL };
    static const char *const words[] = { "=", "~", "~*", "^~", NULL };
    veil_str_t first = veil_conf_arg(cf, 1);
    unsigned i;

    *arg = veil_conf_nargs(cf) == 3 ? 2 : 1;
    *skip = 0;
    for (i = 0; marks[i] != NULL; i++) {
        if (*arg == 2 ? veil_str_eq_z(first, marks[i])
                      : veil_str_starts(first, veil_str_z(marks[i])))
        {
            break;
        }
    }
    if (marks[i] == NULL) {
        return *arg == 2 ? veil_conf_error_word(cf, 1, words) : VEIL_OK;
    }
    *skip = *arg == 1 ? strlen(marks[i]) : 0;
    l->exact = marks[i][0] == '=';
    l->no_regex = marks[i][0] == '^';
    l->regex = marks[i][0] == '~';
    *caseless = l->regex && marks[i][1] == '*';
    return VEIL_OK;
}

static veil_rc_t
config_location_name(veil_conf_t *cf, veil_http_location_t *l)
{
    bool caseless = false;
    unsigned arg;
    size_t skip;

    if (config_location_kind(cf, l, &caseless, &arg, &skip) != VEIL_OK) {
        return VEIL_ERROR;
    }
    l->name = veil_str_from(veil_conf_arg(cf, arg), skip);
    if (l->regex) {
        l->re = veil_http_regex_compile(cf, arg, skip, caseless);
        return l->re == NULL ? VEIL_ERROR : VEIL_OK;
    }
    l->named = !l->exact && !l->no_regex && l->name.len != 0
               && l->name.data[0] == '@';
    return VEIL_OK;
}

/* What nginx refuses about a location inside of another one. */
static veil_rc_t
config_location_nesting(veil_conf_t *cf, const veil_http_location_t *l,
                        const veil_http_location_t *parent)
{
    if (parent == l->server->root) {
        return VEIL_OK;
    }
    if (parent->exact || parent->named) {
        return veil_conf_error_at(
            cf, 1,
            "location \"%.*s\" cannot be inside the %s location "
            "\"%.*s\"",
            VEIL_STR_ARG(l->name), parent->exact ? "exact" : "named",
            VEIL_STR_ARG(parent->name));
    }
    if (l->named) {
        return veil_conf_error_at(
            cf, 1, "named location \"%.*s\" can be on the server level only",
            VEIL_STR_ARG(l->name));
    }
    if (!l->regex && !parent->regex && !veil_str_starts(l->name, parent->name))
    {
        return veil_conf_error_at(
            cf, 1, "location \"%.*s\" is outside location \"%.*s\"",
            VEIL_STR_ARG(l->name), VEIL_STR_ARG(parent->name));
    }
    return VEIL_OK;
}

static veil_http_location_t *
config_scope_location(const veil_conf_scope_t *scope)
{
    veil_http_server_t *s;

    if (scope->where == VEIL_CONF_SERVER) {
        s = scope->object;
        return s->root;
    }
    return scope->object;
}

static veil_rc_t
config_add_location(veil_conf_t *cf, veil_http_location_t *l)
{
    veil_http_location_t *parent = l->parent;
    veil_conf_scope_t *scope;
    veil_rc_t rc;

    if (parent->children == NULL) {
        parent->children = veil_array_create(cf->pool, sizeof(l), 4);
    }
    *(veil_http_location_t **) veil_array_push(parent->children) = l;

    scope = veil_conf_scope_create(cf, &veil_http_layer, cf->scope,
                                   VEIL_CONF_LOCATION, CONFIG_OWNS_LOC);
    scope->object = l;
    veil_conf_scope_reset_own(cf, scope);
    rc = veil_conf_apply(cf, scope);
    l->loc_conf = scope->conf[VEIL_CONF_OF_LOC];
    return rc;
}

veil_rc_t
veil_http_set_location(veil_conf_t *cf, const veil_command_t *cmd VEIL_UNUSED,
                       void *conf VEIL_UNUSED)
{
    veil_http_location_t *l = VEIL_POOL_NEW(cf->pool, veil_http_location_t);

    l->parent = config_scope_location(cf->scope);
    l->server = l->parent->server;
    l->node = cf->node;
    if (config_location_name(cf, l) != VEIL_OK
        || config_location_nesting(cf, l, l->parent) != VEIL_OK)
    {
        return VEIL_ERROR;
    }
    return config_add_location(cf, l);
}

veil_rc_t
veil_http_set_route(veil_conf_t *cf, const veil_command_t *cmd VEIL_UNUSED,
                    void *conf VEIL_UNUSED)
{
    veil_http_location_t *l = VEIL_POOL_NEW(cf->pool, veil_http_location_t);

    l->parent = config_scope_location(cf->scope);
    l->server = l->parent->server;
    l->node = cf->node;
    l->is_route = true;
    l->name = veil_conf_arg(cf, 1);
    if (l->name.len == 0 || l->name.data[0] != '/') {
        return veil_conf_error_at(cf, 1,
                                  "the prefix of a route begins with \"/\"");
    }
    if (config_location_nesting(cf, l, l->parent) != VEIL_OK) {
        return VEIL_ERROR;
    }
    return config_add_location(cf, l);
}

veil_rc_t
veil_http_set_limit_except(veil_conf_t *cf,
                           const veil_command_t *cmd VEIL_UNUSED,
                           void *conf VEIL_UNUSED)
{
    veil_http_location_t *l = config_scope_location(cf->scope);
    veil_http_core_loc_t *core;
    veil_conf_scope_t *scope;
    veil_http_method_t m;
    unsigned i, mask = 0;
    veil_rc_t rc;

    for (i = 1; i < veil_conf_nargs(cf); i++) {
        m = veil_http_method_find(veil_conf_arg(cf, i).data,
                                  veil_conf_arg(cf, i).len);
        if (m == VEIL_METHOD_OTHER) {
            return veil_conf_error_at(cf, i, "invalid method \"%.*s\"",
                                      VEIL_STR_ARG(veil_conf_arg(cf, i)));
        }
        mask |=
            m == VEIL_GET ? (unsigned) (VEIL_GET | VEIL_HEAD) : (unsigned) m;
    }
    core = veil_conf_write_of(cf, cf->scope, &veil_http_core_module,
                              VEIL_CONF_OF_LOC);
    core->limit_except_methods = mask;

    scope = veil_conf_scope_create(cf, &veil_http_layer, cf->scope,
                                   VEIL_CONF_LIMIT_EXCEPT, CONFIG_OWNS_LOC);
    scope->object = l;
    rc = veil_conf_apply(cf, scope);
    l->limit_except = scope->conf[VEIL_CONF_OF_LOC];
    return rc;
}

/* --- the module
 * -------------------------------------------------------------------- */

static const veil_command_t config_commands[] = {
    { .name = "http",
      .where = VEIL_CONF_MAIN,
      .args = VEIL_ARGS_0,
      .flags = VEIL_CONF_BLOCK,
      .set = config_set_http,
      .help = "Everything about HTTP." },

    { .name = NULL },
};

/* --- directories of temporary files ----------------------------------------
 */

void
veil_http_use_temp_path(veil_conf_t *cf, veil_str_t path)
{
    veil_http_main_t *main = cf->cycle->http;
    unsigned i;

    for (i = 0; i < main->temp_paths.n; i++) {
        if (veil_str_eq(*veil_array_at(&main->temp_paths, veil_str_t, i),
                        path)) {
            return;
        }
    }
    *(veil_str_t *) veil_array_push(&main->temp_paths) =
        veil_pool_str(cf->pool, path);
}

/*
 * Only root can give a directory away, and only a directory that was made
 * here is given.  One that cannot be made is not the end: requests that need
 * it will say so, and most do not.
 */
static void
config_make_temp_path(veil_cycle_t *cycle, veil_str_t path)
{
    const veil_main_conf_t *core = veil_main_conf(cycle);

    if (mkdir(path.data, 0700) != 0) {
        if (errno != EEXIST) {
            veil_log(&cycle->log, VEIL_LOG_WARN, errno,
                     "mkdir() \"%.*s\" failed: nothing can be buffered there",
                     VEIL_STR_ARG(path));
        }
        return;
    }
    if (geteuid() == 0 && core->user.len != 0
        && chown(path.data, core->uid, (gid_t) -1) != 0)
    {
        veil_log(&cycle->log, VEIL_LOG_WARN, errno, "chown() \"%.*s\" failed",
                 VEIL_STR_ARG(path));
    }
}

static veil_rc_t
config_init_keeper(veil_cycle_t *cycle)
{
    const veil_http_main_t *main = cycle->http;
    unsigned i;

    for (i = 0; main != NULL && i < main->temp_paths.n; i++) {
        config_make_temp_path(
            cycle, *veil_array_at(&main->temp_paths, veil_str_t, i));
    }
    return VEIL_OK;
}

static veil_rc_t
config_init_worker(veil_cycle_t *cycle)
{
    unsigned i;

    veil_http_requests_init();
    for (i = 0; cycle->http != NULL && veil_modules[i] != NULL; i++) {
        if (veil_modules[i]->http != NULL
            && veil_modules[i]->http->init_worker != NULL
            && veil_modules[i]->http->init_worker(cycle) != VEIL_OK)
        {
            return VEIL_ERROR;
        }
    }
    return VEIL_OK;
}

static void
config_exit_worker(veil_cycle_t *cycle)
{
    unsigned i;

    veil_http_drain_exit();
    for (i = 0; cycle->http != NULL && veil_modules[i] != NULL; i++) {
        if (veil_modules[i]->http != NULL
            && veil_modules[i]->http->exit_worker != NULL)
        {
            veil_modules[i]->http->exit_worker(cycle);
        }
    }
}

static void
config_drain_worker(veil_cycle_t *cycle VEIL_UNUSED, uint64_t left_ms)
{
    veil_http_drain(left_ms);
}

static const veil_core_module_t config_core = {
    .init_keeper = config_init_keeper,
    .init_worker = config_init_worker,
    .exit_worker = config_exit_worker,
    .drain_worker = config_drain_worker,
    .describe = veil_http_pipeline_print,
    .lint = veil_http_lint,
    .explain = veil_http_explain_run,
};

veil_module_t veil_http_main_module = {
    .abi = VEIL_MODULE_ABI,
    .name = "http",
    .commands = config_commands,
    .core = &config_core,
};
