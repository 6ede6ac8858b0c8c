/*
 * core_module.c -- what http {} itself understands: setters and defaults.
 *
 * The table of directives is core_commands.c; the structs are core_conf.h.
 * Defaults are veil's where the design gives one (timeouts of 30 s, 10m of
 * body, keep-alive of 60 s), else nginx's; docs/nginx-differences.md lists
 * what differs.
 */

#include "core/platform.h"

#include <sys/stat.h>

#include "http/core_module.h"

#include "core/cycle.h"
#include "http/config.h"
#include "http/mime.h"

/* --- defaults
 * ----------------------------------------------------------------------- */

void
veil_http_core_server_default(void *conf)
{
    veil_http_core_server_t *s = conf;

    s->client_header_timeout = 30000;
    s->keepalive_drain_grace = 1000;
    s->close_spread = 2000;
    s->client_header_buffer_size = 1024;
    s->large_buffers_n = 4;
    s->large_buffers_size = 8192;
    s->max_headers = 1000;
    s->request_pool_size = 4096;
    s->ignore_invalid_headers = true;
    s->merge_slashes = true;
}

void
veil_http_core_loc_default(void *conf)
{
    veil_http_core_loc_t *l = conf;

    l->client_body_timeout = 30000;
    l->send_timeout = 30000;
    l->keepalive_timeout = 60000;
    l->keepalive_time = 3600000;
    l->lingering_time = 30000;
    l->lingering_timeout = 5000;
    l->resolver_timeout = 30000;
    l->keepalive_requests = 1000;
    l->client_max_body_size = 10 * 1024 * 1024;
    l->client_max_chunked_body_size = -1;
    l->client_body_buffer_size = 16384;
    l->sendfile_max_chunk = 2 * 1024 * 1024;
    l->max_ranges = -1;
    l->default_type = VEIL_STR("text/plain");
    l->lingering_close = VEIL_LINGER_ON;
    l->if_modified_since = VEIL_IMS_EXACT;
    l->server_tokens = VEIL_TOKENS_ON;
    l->keepalive_disable = VEIL_KEEPALIVE_DISABLE_MSIE6;
    l->open_file_cache.valid_ms = 60000;
    l->open_file_cache.min_uses = 1;
    l->open_file_cache.content_max = 16384;
    l->sendfile = true;
    l->tcp_nodelay = true;
    l->etag = true;
    l->absolute_redirect = true;
    l->port_in_redirect = true;
    l->chunked_transfer_encoding = true;
    l->log_not_found = true;
}

/* Equal settings get one number, so that their locations share a cache. */
static unsigned
core_file_cache_id(veil_conf_t *cf, const veil_filecache_options_t *o)
{
    veil_http_main_t *main = cf->cycle->http;
    const veil_filecache_options_t *there;
    unsigned i;

    for (i = 0; i < main->file_caches.n; i++) {
        there = veil_array_at(&main->file_caches, veil_filecache_options_t, i);
        if (there->max == o->max && there->inactive_ms == o->inactive_ms
            && there->valid_ms == o->valid_ms && there->min_uses == o->min_uses
            && there->errors == o->errors
            && there->content_max == o->content_max)
        {
            return i;
        }
    }
    *(veil_filecache_options_t *) veil_array_push(&main->file_caches) = *o;
    return i;
}

veil_rc_t
veil_http_core_loc_finish(veil_conf_t *cf, void *conf,
                          const void *parent VEIL_UNUSED)
{
    veil_http_core_loc_t *l = conf;
    const veil_log_sink_t *s;

    if (l->types == NULL) {
        l->types = veil_mime_table_create(cf->pool);
        veil_mime_table_add_defaults(l->types);
    }
    if (l->root == NULL) {
        l->root = veil_http_value_compile(
            cf, veil_conf_full_path(cf, VEIL_STR("html"), false));
    }
    if (l->client_body_temp_path.len == 0) {
        l->client_body_temp_path = veil_conf_full_path(
            cf, VEIL_STR(VEIL_CLIENT_BODY_TEMP_PATH), false);
    }
    veil_http_use_temp_path(cf, l->client_body_temp_path);
    if (l->index == NULL) {
        l->index = veil_array_create(cf->pool, sizeof(veil_http_value_t *), 1);
        *(const veil_http_value_t **) veil_array_push(l->index) =
            veil_http_value_compile(cf, VEIL_STR("index.html"));
    }
    l->open_file_cache_id = core_file_cache_id(cf, &l->open_file_cache);
    if (l->keepalive_disable & VEIL_KEEPALIVE_DISABLE_NONE) {
        l->keepalive_disable = 0;
    }
    l->error_log_level = VEIL_LOG_OFF;
    for (s = l->error_log; s != NULL; s = s->next) {
        if (s->level > l->error_log_level) {
            l->error_log_level = s->level;
        }
    }
    return VEIL_OK;
}

/* --- files
 * ---------------------------------------------------------------------------
 */

/*
 * "veil -t" says what files cannot come from.  A server starts all the same:
 * a directory may be made or mounted later, and nginx does not look either.
 */
static void
core_check_path(veil_conf_t *cf, const veil_http_value_t *value, bool is_root)
{
    struct stat st;
    const char *path;

    if (!cf->cycle->testing || value == NULL
        || !veil_http_value_is_constant(value))
    {
        return;
    }
    path = veil_pool_strz(cf->temp_pool, veil_http_value_text(value));
    if (*path == '\0') {
        return; /* "/" without its slash */
    }
    if (stat(path, &st) != 0) {
        if (errno == ENOENT || errno == ENOTDIR) {
            veil_conf_warn(cf,
                           "\"%s\", where files are to be found, does "
                           "not exist",
                           path);
        }
    } else if (is_root && !S_ISDIR(st.st_mode)) {
        veil_conf_warn(cf,
                       "\"%s\", where files are to be found, is not a "
                       "directory",
                       path);
    }
}

/* root and alias: a path, made absolute unless it begins with a variable. */
static const veil_http_value_t *
core_path(veil_conf_t *cf, bool strip_slash, bool is_root)
{
    const veil_http_value_t *value;
    veil_str_t path = veil_conf_arg(cf, 1);

    if (path.len == 0 || path.data[0] != '$') {
        path = veil_conf_full_path(cf, path, false);
    }
    while (strip_slash && path.len != 0 && path.data[path.len - 1] == '/') {
        path.len--;
    }
    value = veil_http_value_compile(cf, path);
    core_check_path(cf, value, is_root);
    return value;
}

veil_rc_t
veil_http_core_set_root(veil_conf_t *cf, const veil_command_t *cmd VEIL_UNUSED,
                        void *conf)
{
    veil_http_core_loc_t *l = conf;

    l->root = core_path(cf, true, true);
    l->alias = NULL;
    return l->root == NULL ? VEIL_ERROR : VEIL_OK;
}

veil_rc_t
veil_http_core_set_alias(veil_conf_t *cf,
                         const veil_command_t *cmd VEIL_UNUSED, void *conf)
{
    veil_http_core_loc_t *l = conf;
    const veil_http_location_t *location = cf->scope->object;

    if (location->named) {
        return veil_conf_error(
            cf, "\"alias\" cannot be used inside the named location");
    }
    l->alias = core_path(cf, location->is_route, false);
    /* A regex location's alias is the whole file name. */
    l->alias_prefix = location->regex ? SIZE_MAX : location->name.len;
    if (location->is_route && l->alias_prefix != 0
        && location->name.data[l->alias_prefix - 1] == '/')
    {
        l->alias_prefix--;
    }
    return l->alias == NULL ? VEIL_ERROR : VEIL_OK;
}

static veil_rc_t
core_add_type(veil_conf_t *cf, const veil_command_t *cmd VEIL_UNUSED,
              void *conf)
{
    veil_http_core_loc_t *l = conf;
    veil_str_t type = veil_conf_arg(cf, 0);
    unsigned i;

    for (i = 1; i < veil_conf_nargs(cf); i++) {
        if (!veil_mime_table_add(l->types, veil_conf_arg(cf, i), type)) {
            veil_conf_warn(cf, "duplicate extension \"%.*s\"",
                           VEIL_STR_ARG(veil_conf_arg(cf, i)));
        }
    }
    return VEIL_OK;
}

veil_rc_t
veil_http_core_set_types(veil_conf_t *cf,
                         const veil_command_t *cmd VEIL_UNUSED, void *conf)
{
    veil_http_core_loc_t *l = conf;

    if (l->types == NULL || !veil_conf_is_begun(cf, l->types)) {
        l->types = veil_mime_table_create(cf->pool);
        veil_conf_begin(cf, l->types);
    }
    return veil_conf_each(cf, core_add_type, conf);
}

/* disable_symlinks off | on | if_not_owner [from=part] */
veil_rc_t
veil_http_core_set_symlinks(veil_conf_t *cf,
                            const veil_command_t *cmd VEIL_UNUSED, void *conf)
{
    static const char *const words[] = { "off", "on", "if_not_owner", NULL };
    veil_http_core_loc_t *l = conf;
    veil_str_t value;
    unsigned i;

    for (i = 1; i < veil_conf_nargs(cf); i++) {
        if (veil_conf_arg_is(cf, i, "from", &value)) {
            l->symlinks_from = veil_http_value_compile(cf, value);
            if (l->symlinks_from == NULL) {
                return VEIL_ERROR;
            }
        } else if (veil_str_eq(veil_conf_arg(cf, i), VEIL_STR("off"))) {
            l->symlinks = VEIL_SYMLINKS_ALLOW;
        } else if (veil_str_eq(veil_conf_arg(cf, i), VEIL_STR("on"))) {
            l->symlinks = VEIL_SYMLINKS_DENY;
        } else if (veil_str_eq(veil_conf_arg(cf, i), VEIL_STR("if_not_owner")))
        {
            l->symlinks = VEIL_SYMLINKS_IF_NOT_OWNER;
        } else {
            return veil_conf_error_word(cf, i, words);
        }
    }
    return VEIL_OK;
}

/* index NAME ...: an absolute one is gone to without looking. */
veil_rc_t
veil_http_core_set_index(veil_conf_t *cf, const veil_command_t *cmd,
                         void *conf)
{
    veil_str_t name;
    unsigned i;

    for (i = 1; i < veil_conf_nargs(cf); i++) {
        name = veil_conf_arg(cf, i);
        if (name.len == 0) {
            return veil_conf_error_at(cf, i, "an index has a name");
        }
        if (name.data[0] == '/' && i + 1 < veil_conf_nargs(cf)) {
            veil_conf_warn(cf, "only the last parameter in \"index\" "
                               "directive should be absolute");
        }
    }
    return veil_http_set_values(cf, cmd, conf);
}

/* open_file_cache off | max=N [inactive=T] */
veil_rc_t
veil_http_core_set_file_cache(veil_conf_t *cf,
                              const veil_command_t *cmd VEIL_UNUSED,
                              void *conf)
{
    veil_filecache_options_t *o =
        &((veil_http_core_loc_t *) conf)->open_file_cache;
    veil_conf_cache_t keep = { .inactive_ms = 60000 };

    if (veil_conf_arg_cache(cf, &keep) != VEIL_OK) {
        return VEIL_ERROR;
    }
    o->max = keep.max;
    o->inactive_ms = keep.inactive_ms;
    return VEIL_OK;
}

veil_rc_t
veil_http_core_set_min_uses(veil_conf_t *cf,
                            const veil_command_t *cmd VEIL_UNUSED, void *conf)
{
    veil_http_core_loc_t *l = conf;
    int64_t n = veil_conf_arg_num(cf, 1);

    if (n < 0) {
        return VEIL_ERROR;
    }
    l->open_file_cache.min_uses = (unsigned) n;
    return VEIL_OK;
}

/* client_body_temp_path PATH [LEVEL ...] */
veil_rc_t
veil_http_core_set_temp_path(veil_conf_t *cf,
                             const veil_command_t *cmd VEIL_UNUSED, void *conf)
{
    veil_http_core_loc_t *l = conf;
    int64_t n;
    unsigned i;

    l->client_body_temp_path =
        veil_conf_full_path(cf, veil_conf_arg(cf, 1), false);
    memset(l->client_body_temp_levels, 0, sizeof(l->client_body_temp_levels));
    for (i = 2; i < veil_conf_nargs(cf); i++) {
        n = veil_conf_arg_num(cf, i);
        if (n < 0) {
            return VEIL_ERROR;
        }
        if (n < 1 || n > 3) {
            return veil_conf_error_at(cf, i, "a level is 1, 2 or 3");
        }
        l->client_body_temp_levels[i - 2] = (unsigned) n;
    }
    return VEIL_OK;
}

/* --- connections
 * ---------------------------------------------------------------------- */

veil_rc_t
veil_http_core_set_keepalive_timeout(veil_conf_t *cf,
                                     const veil_command_t *cmd VEIL_UNUSED,
                                     void *conf)
{
    veil_http_core_loc_t *l = conf;
    int64_t ms = veil_conf_arg_msec(cf, 1);

    if (ms < 0) {
        return VEIL_ERROR;
    }
    l->keepalive_timeout = (uint64_t) ms;
    l->keepalive_header = 0;
    if (veil_conf_nargs(cf) == 3) {
        ms = veil_conf_arg_msec(cf, 2);
        if (ms < 0) {
            return VEIL_ERROR;
        }
        l->keepalive_header = (uint64_t) ms / 1000;
    }
    return VEIL_OK;
}

veil_rc_t
veil_http_core_set_large_buffers(veil_conf_t *cf,
                                 const veil_command_t *cmd VEIL_UNUSED,
                                 void *conf)
{
    veil_http_core_server_t *s = conf;

    s->large_buffers_n = veil_conf_arg_num(cf, 1);
    s->large_buffers_size = veil_conf_arg_size(cf, 2);
    if (s->large_buffers_n < 0 || s->large_buffers_size < 0) {
        return VEIL_ERROR;
    }
    if (s->large_buffers_n == 0 || s->large_buffers_size == 0) {
        return veil_conf_error(
            cf, "\"large_client_header_buffers\" must not be 0");
    }
    return VEIL_OK;
}

veil_rc_t
veil_http_core_set_server_tokens(veil_conf_t *cf,
                                 const veil_command_t *cmd VEIL_UNUSED,
                                 void *conf)
{
    veil_http_core_loc_t *l = conf;
    veil_str_t s = veil_conf_arg(cf, 1);

    l->server_tokens_text = VEIL_STR_NULL;
    if (veil_str_eq(s, VEIL_STR("on"))) {
        l->server_tokens = VEIL_TOKENS_ON;
    } else if (veil_str_eq(s, VEIL_STR("off"))) {
        l->server_tokens = VEIL_TOKENS_OFF;
    } else if (veil_str_eq(s, VEIL_STR("build"))) {
        l->server_tokens = VEIL_TOKENS_BUILD;
    } else {
        l->server_tokens_text = s;
    }
    return VEIL_OK;
}

veil_rc_t
veil_http_core_set_error_log(veil_conf_t *cf,
                             const veil_command_t *cmd VEIL_UNUSED, void *conf)
{
    veil_http_core_loc_t *l = conf;
    veil_log_sink_t *sinks =
        (veil_log_sink_t *) (uintptr_t) l->error_log; /* ours to extend */
    veil_rc_t rc = veil_conf_set_error_log_sinks(cf, &sinks);

    l->error_log = sinks;
    return rc;
}

/* resolver ADDR ... [valid=T] [ipv4=on|off] [ipv6=on|off] */
veil_rc_t
veil_http_core_set_resolver(veil_conf_t *cf,
                            const veil_command_t *cmd VEIL_UNUSED, void *conf)
{
    veil_http_core_loc_t *l = conf;

    l->resolver = veil_http_resolver_options(cf);
    return l->resolver == NULL ? VEIL_ERROR : VEIL_OK;
}

static veil_rc_t
core_resolver_word(veil_conf_t *cf, unsigned i, veil_resolver_options_t *o)
{
    veil_str_t value;
    veil_hostport_t hp;
    veil_addr_t *addr;
    int64_t ms;

    if (veil_conf_arg_is(cf, i, "valid", &value)) {
        ms = veil_str_to_msec(value);
        if (ms <= 0) {
            return veil_conf_error_at(cf, i, "invalid time \"%.*s\"",
                                      VEIL_STR_ARG(value));
        }
        o->valid_ms = (uint64_t) ms;
        return VEIL_OK;
    }
    if (veil_conf_arg_is(cf, i, "ipv4", &value)) {
        o->ipv4 = !veil_str_eq(value, VEIL_STR("off"));
        return VEIL_OK;
    }
    if (veil_conf_arg_is(cf, i, "ipv6", &value)) {
        o->ipv6 = !veil_str_eq(value, VEIL_STR("off"));
        return VEIL_OK;
    }
    if (veil_conf_arg_is(cf, i, "status_zone", &value)) {
        return veil_conf_error_at(
            cf, i, "the \"status_zone\" parameter is not supported");
    }
    addr = veil_array_push(o->servers);
    if (!veil_hostport_parse(&hp, veil_conf_arg(cf, i)) || hp.is_unix
        || !veil_addr_parse_ip(addr, hp.host))
    {
        return veil_conf_error_at(cf, i,
                                  "a resolver is an IP address, with or "
                                  "without port, not \"%.*s\"",
                                  VEIL_STR_ARG(veil_conf_arg(cf, i)));
    }
    addr->port = hp.has_port ? hp.port : 53;
    return VEIL_OK;
}

veil_resolver_options_t *
veil_http_resolver_options(veil_conf_t *cf)
{
    veil_resolver_options_t *o =
        VEIL_POOL_NEW(cf->pool, veil_resolver_options_t);
    unsigned i;

    o->servers = veil_array_create(cf->pool, sizeof(veil_addr_t), 2);
    o->ipv4 = true;
    o->ipv6 = true;
    for (i = 1; i < veil_conf_nargs(cf); i++) {
        if (core_resolver_word(cf, i, o) != VEIL_OK) {
            return NULL;
        }
    }
    if (!o->ipv4 && !o->ipv6) {
        (void) veil_conf_error(cf,
                               "\"ipv4\" and \"ipv6\" cannot both be \"off\"");
        return NULL;
    }
    if (o->servers->n == 0) {
        (void) veil_conf_error(cf, "no resolver is given");
        return NULL;
    }
    return o;
}

/* --- error_page
 * ------------------------------------------------------------------------ */

/* error_page CODE ... [=[STATUS]] TARGET */
veil_rc_t
veil_http_core_set_error_page(veil_conf_t *cf,
                              const veil_command_t *cmd VEIL_UNUSED,
                              void *conf)
{
    veil_http_core_loc_t *l = conf;
    unsigned last = veil_conf_nargs(cf) - 1, i;
    const veil_http_value_t *target;
    veil_http_error_page_t *page;
    int overwrite = -1;
    int64_t n;
    veil_str_t s = veil_conf_arg(cf, last - 1);

    if (last >= 3 && s.len != 0 && s.data[0] == '=') {
        n = s.len == 1 ? 0 : veil_str_to_int(veil_str_from(s, 1));
        if (n < 0 || n > 999) {
            return veil_conf_error_at(cf, last - 1, "invalid value \"%.*s\"",
                                      VEIL_STR_ARG(s));
        }
        overwrite = (int) n;
        last--;
    }
    target = veil_http_value_compile(
        cf, veil_conf_arg(cf, veil_conf_nargs(cf) - 1));
    if (target == NULL) {
        return VEIL_ERROR;
    }
    for (i = 1; i < last; i++) {
        n = veil_conf_arg_num(cf, i);
        if (n < 0) {
            return VEIL_ERROR;
        }
        if (n < 300 || n > 599 || n == 499) {
            return veil_conf_error_at(
                cf, i,
                "value \"%lld\" must be between 300 and 599, and not "
                "499",
                (long long) n);
        }
        page = veil_conf_array_push(cf, &l->error_pages, sizeof(*page));
        page->status = (int) n;
        page->overwrite = overwrite;
        page->target = target;
    }
    return VEIL_OK;
}
