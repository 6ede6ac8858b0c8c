/*
 * proxy_conf.c -- directives of all modules of this directory, and what is
 * made of them when a block is complete.
 *
 * Which fields of a request are replaced and which of a response are kept
 * back is worked out once: known fields as bits, the others as a short list,
 * so that a request asks "is it in the set" and not "is it equal to one of".
 */

#include "modules/proxy/proxy_commands.h"

#include "core/cycle.h"

const veil_conf_enum_t veil_proxy_next_words[] = {
    { "error", VEIL_NEXT_ERROR },
    { "timeout", VEIL_NEXT_TIMEOUT },
    { "invalid_header", VEIL_NEXT_INVALID_HEADER },
    { "http_500", VEIL_NEXT_500 },
    { "http_502", VEIL_NEXT_502 },
    { "http_503", VEIL_NEXT_503 },
    { "http_504", VEIL_NEXT_504 },
    { "http_403", VEIL_NEXT_403 },
    { "http_404", VEIL_NEXT_404 },
    { "http_429", VEIL_NEXT_429 },
    { "non_idempotent", VEIL_NEXT_NON_IDEMPOTENT },
    { "off", VEIL_NEXT_OFF },
    { NULL, 0 },
};

const veil_conf_enum_t veil_proxy_ignore_words[] = {
    { "X-Accel-Redirect", PROXY_IGNORE_REDIRECT },
    { "X-Accel-Expires", PROXY_IGNORE_EXPIRES },
    { "X-Accel-Limit-Rate", PROXY_IGNORE_LIMIT_RATE },
    { "X-Accel-Buffering", PROXY_IGNORE_BUFFERING },
    { "X-Accel-Charset", PROXY_IGNORE_CHARSET },
    { "Expires", PROXY_IGNORE_OTHER },
    { "Cache-Control", PROXY_IGNORE_OTHER },
    { "Set-Cookie", PROXY_IGNORE_OTHER },
    { "Vary", PROXY_IGNORE_OTHER },
    { NULL, 0 },
};

void
veil_proxy_conf_default(proxy_conf_t *conf, const proxy_kind_t *kind)
{
    veil_upstream_conf_t *up = &conf->up;

    conf->kind = kind;
    up->next = VEIL_NEXT_ERROR | VEIL_NEXT_TIMEOUT;
    up->header_buffer_size = 8192;
    up->buffers_n = 8;
    up->buffer_size = 8192;
    up->max_temp_file_size = INT64_C(1024) * 1024 * 1024;
    up->temp_path = VEIL_STR("");
    up->keepalive = 8;
    up->keepalive_timeout = 30000;
    veil_upstream_tls_default(&up->tls);
    conf->pass_request_headers = true;
    conf->pass_request_body = true;
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

veil_rc_t
veil_proxy_conf_finish(veil_conf_t *cf, proxy_conf_t *conf)
{
    if (conf->target != NULL) {
        conf->up.tls.options.node = conf->target->node;
    }
    if (veil_upstream_tls_finish(cf, &conf->up.tls,
                                 veil_proxy_tls_need(cf->cycle->http, conf))
        != VEIL_OK)
    {
        return VEIL_ERROR;
    }
    proxy_conf_plan_request(cf, conf);
    proxy_conf_plan_response(cf, conf);
    return VEIL_OK;
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
