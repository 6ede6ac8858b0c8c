/*
 * proxy_http.c -- directives that only the proxy module has, as only HTTP has
 * versions, bodies that are read ahead, redirects and cookies.
 */

#include "modules/proxy/proxy.h"

#include "core/cycle.h"

/* What is asked of upstreams: by ALPN, or known to be spoken. */
veil_rc_t
veil_proxy_conf_wire(veil_conf_t *cf, proxy_conf_t *conf)
{
    static const char *const names[] = { "h2", "http/1.1" };
    veil_array_t *alpn;
    unsigned i;

    conf->up.wire = NULL;
    conf->up.tls.options.alpn = NULL;
    if (conf->h2c && conf->target != NULL && conf->target->https) {
        return veil_conf_error_node(cf, conf->target->node, 1,
                                    "\"proxy_h2c\" is HTTP/2 without TLS, and "
                                    "the URL says https://: that is "
                                    "\"proxy_http_version 2\"");
    }
    if (conf->h2c || conf->http_version == 20) {
        conf->up.wire = veil_upstream_wire_find(VEIL_STR("h2"));
    }
    if (conf->http_version == 20) {
        alpn = veil_array_create(cf->pool, sizeof(veil_str_t), 2);
        for (i = 0; i < veil_countof(names); i++) {
            *(veil_str_t *) veil_array_push(alpn) = veil_str_z(names[i]);
        }
        conf->up.tls.options.alpn = alpn;
    }
    return VEIL_OK;
}

veil_rc_t
veil_proxy_set_buffers(veil_conf_t *cf, const veil_command_t *cmd VEIL_UNUSED,
                       void *data)
{
    proxy_conf_t *conf = data;

    conf->up.buffers_n = veil_conf_arg_num(cf, 1);
    if (conf->up.buffers_n < 0) {
        return VEIL_ERROR;
    }
    conf->up.buffer_size = veil_conf_arg_size(cf, 2);
    if (conf->up.buffer_size < 0) {
        return VEIL_ERROR;
    }
    if (conf->up.buffers_n < 2 || conf->up.buffer_size == 0) {
        return veil_conf_error(cf, "there must be at least 2 "
                                   "\"proxy_buffers\"");
    }
    return VEIL_OK;
}

veil_rc_t
veil_proxy_set_temp_path(veil_conf_t *cf,
                         const veil_command_t *cmd VEIL_UNUSED, void *data)
{
    proxy_conf_t *conf = data;
    int64_t level;
    unsigned i;

    conf->up.temp_path = veil_conf_full_path(cf, veil_conf_arg(cf, 1), false);
    memset(conf->up.temp_levels, 0, sizeof(conf->up.temp_levels));
    for (i = 2; i < veil_conf_nargs(cf); i++) {
        level = veil_conf_arg_num(cf, i);
        if (level < 1 || level > 3) {
            return veil_conf_error_at(cf, i, "invalid level");
        }
        conf->up.temp_levels[i - 2] = (unsigned) level;
    }
    return VEIL_OK;
}

static veil_rc_t
proxy_need_http2(veil_conf_t *cf)
{
    return veil_upstream_wire_find(VEIL_STR("h2")) != NULL
               ? VEIL_OK
               : veil_conf_error_at(cf, 1,
                                    "this build has no HTTP/2 to upstreams");
}

veil_rc_t
veil_proxy_set_h2c(veil_conf_t *cf, const veil_command_t *cmd, void *data)
{
    const proxy_conf_t *conf = data;

    if (veil_conf_set_flag(cf, cmd, data) != VEIL_OK) {
        return VEIL_ERROR;
    }
    return conf->h2c ? proxy_need_http2(cf) : VEIL_OK;
}

veil_rc_t
veil_proxy_set_version(veil_conf_t *cf, const veil_command_t *cmd VEIL_UNUSED,
                       void *data)
{
    static const char *const words[] = { "1.0", "1.1", "2", NULL };
    proxy_conf_t *conf = data;
    veil_str_t arg = veil_conf_arg(cf, 1);

    if (veil_str_eq_z(arg, "1.0")) {
        conf->http_version = 10;
    } else if (veil_str_eq_z(arg, "1.1")) {
        conf->http_version = 11;
    } else if (veil_str_eq_z(arg, "2")) {
        conf->http_version = 20;
        return proxy_need_http2(cf);
    } else {
        return veil_conf_error_word(cf, 1, words);
    }
    return VEIL_OK;
}

/* "from to", "~regex to", "off" and, of proxy_redirect, "default". */
static veil_rc_t
proxy_add_pair(veil_conf_t *cf, veil_array_t **list)
{
    veil_str_t from = veil_conf_arg(cf, 1);
    proxy_pair_t *pair = veil_conf_array_push(cf, list, sizeof(*pair));
    bool caseless;
    size_t skip;

    pair->to = veil_http_value_compile(cf, veil_conf_arg(cf, 2));
    if (pair->to == NULL) {
        return VEIL_ERROR;
    }
    if (from.len != 0 && from.data[0] == '~') {
        caseless = from.len > 1 && from.data[1] == '*';
        skip = caseless ? 2 : 1;
        pair->regex = veil_http_regex_compile(cf, 1, skip, caseless);
        return pair->regex == NULL ? VEIL_ERROR : VEIL_OK;
    }
    pair->from = veil_http_value_compile(cf, from);
    return pair->from == NULL ? VEIL_ERROR : VEIL_OK;
}

veil_rc_t
veil_proxy_set_redirect(veil_conf_t *cf, const veil_command_t *cmd VEIL_UNUSED,
                        void *data)
{
    proxy_conf_t *conf = data;
    veil_str_t arg = veil_conf_arg(cf, 1);

    if (veil_conf_nargs(cf) == 3) {
        conf->redirect_off = false;
        return proxy_add_pair(cf, &conf->redirects);
    }
    if (veil_str_eq_z(arg, "off") || veil_str_eq_z(arg, "false")) {
        conf->redirect_off = true;
        return VEIL_OK;
    }
    if (!veil_str_eq_z(arg, "default")) {
        return veil_conf_error_at(cf, 1, "invalid parameter \"%.*s\"",
                                  VEIL_STR_ARG(arg));
    }
    conf->redirect_off = false;
    /* Neither from nor to: the conf's own pair, made when it is complete. */
    memset(veil_conf_array_push(cf, &conf->redirects, sizeof(proxy_pair_t)), 0,
           sizeof(proxy_pair_t));
    return VEIL_OK;
}

veil_rc_t
veil_proxy_set_cookie_pair(veil_conf_t *cf, const veil_command_t *cmd,
                           void *data)
{
    veil_array_t **list =
        (veil_array_t **) (void *) ((char *) data + cmd->offset);

    if (veil_conf_nargs(cf) == 2) {
        if (!veil_str_eq_z(veil_conf_arg(cf, 1), "off")) {
            return veil_conf_error_at(cf, 1, "invalid parameter \"%.*s\"",
                                      VEIL_STR_ARG(veil_conf_arg(cf, 1)));
        }
        *list = NULL;
        return VEIL_OK;
    }
    return proxy_add_pair(cf, list);
}

static veil_rc_t
proxy_cookie_flag(veil_conf_t *cf, proxy_cookie_flags_t *f, unsigned i)
{
    static const char *const words[] = {
        "secure",        "nosecure",     "httponly",
        "nohttponly",    "samesite=lax", "samesite=strict",
        "samesite=none", "nosamesite",   NULL
    };
    veil_str_t arg = veil_conf_arg(cf, i);

    if (veil_str_eq_z(arg, "secure")) {
        f->secure = 1;
    } else if (veil_str_eq_z(arg, "nosecure")) {
        f->secure = -1;
    } else if (veil_str_eq_z(arg, "httponly")) {
        f->httponly = 1;
    } else if (veil_str_eq_z(arg, "nohttponly")) {
        f->httponly = -1;
    } else if (veil_str_eq_z(arg, "samesite=strict")) {
        f->samesite = VEIL_STR("Strict");
    } else if (veil_str_eq_z(arg, "samesite=lax")) {
        f->samesite = VEIL_STR("Lax");
    } else if (veil_str_eq_z(arg, "samesite=none")) {
        f->samesite = VEIL_STR("None");
    } else if (veil_str_eq_z(arg, "nosamesite")) {
        f->nosamesite = true;
    } else {
        return veil_conf_error_word(cf, i, words);
    }
    return VEIL_OK;
}

veil_rc_t
veil_proxy_set_cookie_flags(veil_conf_t *cf,
                            const veil_command_t *cmd VEIL_UNUSED, void *data)
{
    proxy_conf_t *conf = data;
    veil_str_t name = veil_conf_arg(cf, 1);
    proxy_cookie_flags_t *f;
    unsigned i;

    if (veil_conf_nargs(cf) == 2) {
        if (!veil_str_eq_z(name, "off")) {
            return veil_conf_error_at(cf, 1, "invalid parameter \"%.*s\"",
                                      VEIL_STR_ARG(name));
        }
        conf->cookie_flags = NULL;
        return VEIL_OK;
    }
    f = veil_conf_array_push(cf, &conf->cookie_flags, sizeof(*f));
    if (name.len != 0 && name.data[0] == '~') {
        f->regex = veil_http_regex_compile(cf, 1, 1, true);
        if (f->regex == NULL) {
            return VEIL_ERROR;
        }
    } else {
        f->name = veil_http_value_compile(cf, name);
        if (f->name == NULL) {
            return VEIL_ERROR;
        }
    }
    for (i = 2; i < veil_conf_nargs(cf); i++) {
        if (proxy_cookie_flag(cf, f, i) != VEIL_OK) {
            return VEIL_ERROR;
        }
    }
    return VEIL_OK;
}
