/*
 * proxy_conf.c -- directives of the proxy module, and what is made of them
 * when a block is complete.
 *
 * Which fields of a request are replaced and which of a response are kept
 * back is worked out once: known fields as bits, the others as a short list,
 * so that a request asks "is it in the set" and not "is it equal to one of".
 */

#include "modules/proxy/proxy.h"

#include "core/cycle.h"
#include "http/config.h"

void
veil_proxy_conf_default(void *data)
{
    proxy_conf_t *conf = data;
    veil_upstream_conf_t *up = &conf->up;

    up->connect_timeout = 10000;
    up->send_timeout = 30000;
    up->read_timeout = 30000;
    up->next = VEIL_NEXT_ERROR | VEIL_NEXT_TIMEOUT;
    up->header_buffer_size = 8192;
    up->buffers_n = 8;
    up->buffer_size = 8192;
    up->max_temp_file_size = INT64_C(1024) * 1024 * 1024;
    up->temp_path = VEIL_STR("");
    up->buffering = true;
    up->request_buffering = true;
    up->keepalive = 8;
    up->keepalive_timeout = 30000;
    veil_upstream_tls_default(&up->tls);
    conf->http_version = 11;
    conf->pass_request_headers = true;
    conf->pass_request_body = true;
    conf->websocket = true;
}

/* --- finish ---------------------------------------------------------------
 */

static void
proxy_conf_add_id(uint64_t *set, unsigned id)
{
    set[id / 64] |= UINT64_C(1) << (id % 64);
}

/* Request fields that never pass: ours to say, or the connection's. */
static void
proxy_conf_plan_request(veil_conf_t *cf, proxy_conf_t *conf)
{
    const veil_array_t *list = conf->set_headers;
    const proxy_header_t *h;
    unsigned i, id;

    conf->set_ids[0] = 0;
    conf->set_ids[1] = 0;
    conf->set_names = NULL;
    conf->nset_names = 0;
    conf->sets_host = false;
    conf->sets_connection = false;
    conf->sets_upgrade = false;

    for (id = 1; id < VEIL_HEADER_COUNT; id++) {
        if (veil_http_header_is_hop(id)) {
            proxy_conf_add_id(conf->set_ids, id);
        }
    }
    proxy_conf_add_id(conf->set_ids, VEIL_HEADER_HOST);
    proxy_conf_add_id(conf->set_ids, VEIL_HEADER_CONTENT_LENGTH);
    proxy_conf_add_id(conf->set_ids, VEIL_HEADER_EXPECT);

    if (list == NULL) {
        return;
    }
    conf->set_names = veil_pool_zalloc(cf->pool, list->n * sizeof(veil_str_t));
    for (i = 0; i < list->n; i++) {
        h = veil_array_at(list, proxy_header_t, i);
        if (h->id == 0) {
            conf->set_names[conf->nset_names++] = h->name;
            continue;
        }
        proxy_conf_add_id(conf->set_ids, h->id);
        conf->sets_host |= h->id == VEIL_HEADER_HOST;
        conf->sets_connection |= h->id == VEIL_HEADER_CONNECTION;
        conf->sets_upgrade |= h->id == VEIL_HEADER_UPGRADE;
    }
}

static bool
proxy_conf_passes(const proxy_conf_t *conf, veil_str_t name)
{
    unsigned i;

    for (i = 0; conf->pass_headers != NULL && i < conf->pass_headers->n; i++) {
        if (veil_str_caseeq(*veil_array_at(conf->pass_headers, veil_str_t, i),
                            name)) {
            return true;
        }
    }
    return false;
}

/* As nginx's ngx_http_proxy_hide_headers, by what its documentation lists. */
static void
proxy_conf_plan_response(veil_conf_t *cf, proxy_conf_t *conf)
{
    static const uint16_t hidden[] = {
        VEIL_HEADER_DATE,
        VEIL_HEADER_SERVER,
        VEIL_HEADER_X_ACCEL_EXPIRES,
        VEIL_HEADER_X_ACCEL_REDIRECT,
        VEIL_HEADER_X_ACCEL_LIMIT_RATE,
        VEIL_HEADER_X_ACCEL_BUFFERING,
        VEIL_HEADER_X_ACCEL_CHARSET,
    };
    unsigned i, id, n = conf->hide_headers == NULL ? 0 : conf->hide_headers->n;
    veil_str_t name;

    conf->hide_ids[0] = 0;
    conf->hide_ids[1] = 0;
    conf->nhide_names = 0;
    conf->hide_names =
        veil_pool_zalloc(cf->pool, (n + 1) * sizeof(veil_str_t));
    for (i = 0; i < veil_countof(hidden); i++) {
        if (!proxy_conf_passes(conf, veil_http_header_info[hidden[i]].name)) {
            proxy_conf_add_id(conf->hide_ids, hidden[i]);
        }
    }
    if (!proxy_conf_passes(conf, VEIL_STR("X-Pad"))) {
        conf->hide_names[conf->nhide_names++] = VEIL_STR("X-Pad");
    }
    for (i = 0; i < n; i++) {
        name = *veil_array_at(conf->hide_headers, veil_str_t, i);
        id = veil_http_header_lookup(name.data, name.len);
        if (id != 0) {
            proxy_conf_add_id(conf->hide_ids, id);
        } else {
            conf->hide_names[conf->nhide_names++] = name;
        }
    }
    conf->pass_date = !proxy_has_id(conf->hide_ids, VEIL_HEADER_DATE);
    conf->pass_server = !proxy_has_id(conf->hide_ids, VEIL_HEADER_SERVER);
}

/* What is asked of upstreams: by ALPN, or known to be spoken. */
static veil_rc_t
proxy_conf_wire(veil_conf_t *cf, proxy_conf_t *conf)
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
veil_proxy_conf_finish(veil_conf_t *cf, void *data,
                       const void *parent VEIL_UNUSED)
{
    proxy_conf_t *conf = data;

    if (conf->up.temp_path.len == 0) {
        conf->up.temp_path =
            veil_conf_full_path(cf, VEIL_STR(VEIL_PROXY_TEMP_PATH), false);
    }
    veil_http_use_temp_path(cf, conf->up.temp_path);
    if (conf->target != NULL) {
        conf->up.tls.options.node = conf->target->node;
    }
    if (proxy_conf_wire(cf, conf) != VEIL_OK) {
        return VEIL_ERROR;
    }
    if (veil_upstream_tls_finish(
            cf, &conf->up.tls,
            veil_proxy_tls_need(cf->cycle->http, conf->target))
        != VEIL_OK)
    {
        return VEIL_ERROR;
    }
    proxy_conf_plan_request(cf, conf);
    proxy_conf_plan_response(cf, conf);
    return veil_proxy_redirect_finish(cf, conf);
}

/* --- setters --------------------------------------------------------------
 */

veil_rc_t
veil_proxy_set_header(veil_conf_t *cf, const veil_command_t *cmd VEIL_UNUSED,
                      void *data)
{
    proxy_conf_t *conf = data;
    proxy_header_t *h;
    veil_str_t name = veil_conf_arg(cf, 1);
    const veil_http_value_t *value =
        veil_http_value_compile(cf, veil_conf_arg(cf, 2));

    if (value == NULL) {
        return VEIL_ERROR;
    }
    h = veil_conf_array_push(cf, &conf->set_headers, sizeof(*h));
    h->name = name;
    h->id = veil_http_header_lookup(name.data, name.len);
    h->value = value;
    if ((h->id == VEIL_HEADER_CONTENT_LENGTH
         || h->id == VEIL_HEADER_TRANSFER_ENCODING)
        && !(veil_http_value_is_constant(value)
             && veil_http_value_text(value).len == 0))
    {
        veil_conf_warn(cf,
                       "\"%.*s\" always tells the body that is sent and "
                       "cannot be set",
                       VEIL_STR_ARG(name));
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
proxy_conf_need_http2(veil_conf_t *cf)
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
    return conf->h2c ? proxy_conf_need_http2(cf) : VEIL_OK;
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
        return proxy_conf_need_http2(cf);
    } else {
        return veil_conf_error_word(cf, 1, words);
    }
    return VEIL_OK;
}

veil_rc_t
veil_proxy_set_bind(veil_conf_t *cf, const veil_command_t *cmd VEIL_UNUSED,
                    void *data)
{
    proxy_conf_t *conf = data;
    veil_str_t text = veil_conf_arg(cf, 1);
    veil_hostport_t hp;
    veil_addr_t addr;

    conf->up.bind_off = veil_str_eq_z(text, "off");
    if (veil_conf_nargs(cf) == 3) {
        return veil_conf_error_at(cf, 2, "\"transparent\" is not supported");
    }
    if (conf->up.bind_off) {
        return VEIL_OK;
    }
    conf->up.bind = veil_http_value_compile(cf, text);
    if (conf->up.bind == NULL) {
        return VEIL_ERROR;
    }
    if (veil_http_value_is_constant(conf->up.bind)
        && (!veil_hostport_parse(&hp, text) || hp.is_unix
            || !veil_addr_parse_ip(&addr, hp.host)))
    {
        return veil_conf_error_at(cf, 1, "invalid address \"%.*s\"",
                                  VEIL_STR_ARG(text));
    }
    return VEIL_OK;
}

veil_rc_t
veil_proxy_set_next(veil_conf_t *cf, const veil_command_t *cmd, void *data)
{
    proxy_conf_t *conf = data;

    if (veil_conf_set_bitmask(cf, cmd, data) != VEIL_OK) {
        return VEIL_ERROR;
    }
    if (conf->up.next & VEIL_NEXT_OFF) {
        conf->up.next = VEIL_NEXT_OFF;
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
