/*
 * proxy_response.c -- what of the upstream's response goes on to the client.
 *
 * The list of fields the exchange has read becomes the response's, as it is:
 * what must not go on is marked as removed there, and only fields that mean
 * something to us are looked at, which a bitmap makes cheap.
 *
 * A response may also turn into something else: X-Accel-Redirect sends the
 * request elsewhere, and with proxy_intercept_errors an error status is
 * answered by error_page.
 */

#include "modules/proxy/proxy.h"

#include "http/pipeline.h"

/* --- fields that speak to us ----------------------------------------------
 */

static bool
proxy_response_takes(const proxy_ctx_t *ctx, unsigned id, unsigned ignore,
                     veil_str_t *value)
{
    const veil_http_header_t *f;

    if ((ctx->conf->ignore_headers & ignore) != 0) {
        return false;
    }
    f = veil_http_headers_get(&ctx->x.headers, id, NULL);
    if (f == NULL) {
        return false;
    }
    *value = f->value;
    return true;
}

static void
proxy_response_accel(proxy_ctx_t *ctx, bool *buffering)
{
    veil_http_request_t *r = ctx->r;
    veil_str_t value;
    int64_t rate;

    if (proxy_response_takes(ctx, VEIL_HEADER_X_ACCEL_LIMIT_RATE,
                             PROXY_IGNORE_LIMIT_RATE, &value))
    {
        rate = veil_str_to_int(value);
        if (rate >= 0) {
            r->limit_rate = (uint64_t) rate;
        }
    }
    if (proxy_response_takes(ctx, VEIL_HEADER_X_ACCEL_BUFFERING,
                             PROXY_IGNORE_BUFFERING, &value))
    {
        if (veil_str_caseeq(value, VEIL_STR("no"))) {
            *buffering = false;
        } else if (veil_str_caseeq(value, VEIL_STR("yes"))) {
            *buffering = true;
        }
    }
    if (proxy_response_takes(ctx, VEIL_HEADER_X_ACCEL_CHARSET,
                             PROXY_IGNORE_CHARSET, &value))
    {
        r->out.charset = value;
    }
}

/* Names that "proxy_hide_header" and the defaults keep back. */
static void
proxy_response_hide(proxy_ctx_t *ctx)
{
    veil_http_headers_t *hs = &ctx->x.headers;
    uint64_t hit0 = hs->present[0] & ctx->conf->hide_ids[0];
    uint64_t hit1 = hs->present[1] & ctx->conf->hide_ids[1];
    unsigned i;

    if ((hit0 | hit1) != 0) {
        for (i = 0; i < hs->n; i++) {
            if (hs->list[i].id != 0
                && proxy_has_id(ctx->conf->hide_ids, hs->list[i].id)) {
                hs->list[i].removed = true;
            }
        }
    }
    for (i = 0; i < ctx->conf->nhide_names; i++) {
        veil_http_headers_remove(hs, ctx->conf->hide_names[i]);
    }
}

static void
proxy_response_rewrite(proxy_ctx_t *ctx)
{
    veil_http_headers_t *hs = &ctx->x.headers;
    veil_http_header_t *f;
    veil_str_t value;
    ptrdiff_t url;

    f = veil_http_headers_get(hs, VEIL_HEADER_LOCATION, NULL);
    if (f != NULL) {
        value = f->value;
        if (veil_proxy_rewrite_location(ctx->r, ctx->conf, &value, 0)) {
            ctx->r->out.location = value; /* made absolute if need be */
            f->removed = true;
        }
    }
    f = veil_http_headers_get(hs, VEIL_HEADER_REFRESH, NULL);
    if (f != NULL) {
        url = veil_str_casefind(f->value, VEIL_STR("url="));
        if (url >= 0) {
            (void) veil_proxy_rewrite_location(ctx->r, ctx->conf, &f->value,
                                               (size_t) url + 4);
        }
    }
    if (ctx->conf->cookie_domains == NULL && ctx->conf->cookie_paths == NULL
        && ctx->conf->cookie_flags == NULL)
    {
        return;
    }
    f = NULL;
    while ((f = veil_http_headers_get(hs, VEIL_HEADER_SET_COOKIE, f)) != NULL)
    {
        veil_proxy_rewrite_cookie(ctx->r, ctx->conf, &f->value);
    }
}

/* The fields as the response's, but for those that have a place of their own.
 */
static void
proxy_response_fields(proxy_ctx_t *ctx)
{
    veil_http_request_t *r = ctx->r;
    veil_http_headers_t *hs = &ctx->x.headers;
    veil_http_header_t *f;

    f = veil_http_headers_get(hs, VEIL_HEADER_CONTENT_TYPE, NULL);
    if (f != NULL) {
        r->out.content_type = f->value;
        f->removed = true;
    }
    if (ctx->conf->force_ranges) {
        r->out.allow_ranges = ctx->x.status == 200;
        veil_http_headers_remove_id(hs, VEIL_HEADER_ACCEPT_RANGES);
        f = veil_http_headers_get(hs, VEIL_HEADER_ETAG, NULL);
        if (f != NULL) {
            r->out.etag = f->value;
            f->removed = true;
        }
        f = veil_http_headers_get(hs, VEIL_HEADER_LAST_MODIFIED, NULL);
        if (f != NULL) {
            r->out.last_modified = veil_http_date_parse(f->value);
            f->removed = r->out.last_modified >= 0;
        }
    }
    r->out.date_given =
        ctx->conf->pass_date
        && veil_http_headers_get(hs, VEIL_HEADER_DATE, NULL) != NULL;
    r->out.server_given =
        ctx->conf->pass_server
        && veil_http_headers_get(hs, VEIL_HEADER_SERVER, NULL) != NULL;

    if (r->out.headers.n == 0) {
        r->out.headers = *hs;
        return;
    }
    for (f = NULL; (f = veil_http_headers_next(hs, f)) != NULL;) {
        veil_http_headers_add_id(&r->out.headers, f->id, f->name, f->value);
    }
}

/* --- other ways out --------------------------------------------------------
 */

/* Fields that survive X-Accel-Redirect, as in nginx. */
static const uint16_t proxy_response_kept[] = {
    VEIL_HEADER_SET_COOKIE,    VEIL_HEADER_CONTENT_DISPOSITION,
    VEIL_HEADER_CACHE_CONTROL, VEIL_HEADER_EXPIRES,
    VEIL_HEADER_ACCEPT_RANGES,
};

static veil_http_rc_t
proxy_response_redirect(proxy_ctx_t *ctx, veil_str_t uri)
{
    veil_http_request_t *r = ctx->r;
    const veil_http_header_t *f;
    veil_str_t args = VEIL_STR_NULL, type;
    ptrdiff_t query;
    char *path;
    unsigned i;

    for (i = 0; i < veil_countof(proxy_response_kept); i++) {
        f = NULL;
        while ((f = veil_http_headers_get(&ctx->x.headers,
                                          proxy_response_kept[i], f))
               != NULL)
        {
            veil_http_headers_add_id(&r->out.headers, f->id, f->name,
                                     f->value);
        }
    }
    type = veil_http_headers_value(&ctx->x.headers, VEIL_HEADER_CONTENT_TYPE);
    if (type.len != 0) {
        r->out.content_type = type;
    }
    veil_exchange_abort(&ctx->x);

    if (uri.len != 0 && uri.data[0] == '@') {
        return veil_http_reroute_named(r, uri);
    }
    query = veil_str_chr(uri, '?');
    if (query >= 0) {
        args = veil_str_from(uri, (size_t) query + 1);
        uri.len = (size_t) query;
    }
    if (uri.len == 0 || uri.data[0] != '/') {
        veil_log(&r->log, VEIL_LOG_ERR, 0,
                 "upstream sent an invalid X-Accel-Redirect \"%.*s\"",
                 VEIL_STR_ARG(uri));
        return veil_http_fail(r, 502);
    }
    path = veil_pool_chars(r->pool, uri.len);
    uri = veil_str_n(path, veil_str_unescape(path, uri));
    if (r->in.method != VEIL_HEAD) {
        r->in.method = VEIL_GET;
        r->in.method_name = VEIL_STR("GET");
    }
    return veil_http_reroute(r, uri, args);
}

static bool
proxy_response_is_intercepted(const proxy_ctx_t *ctx)
{
    const veil_array_t *pages = veil_http_core_loc(ctx->r)->error_pages;
    unsigned i;

    if (!ctx->conf->intercept_errors || ctx->x.status < 300 || pages == NULL) {
        return false;
    }
    for (i = 0; i < pages->n; i++) {
        if (veil_array_at(pages, veil_http_error_page_t, i)->status
            == ctx->x.status) {
            return true;
        }
    }
    return false;
}

static veil_http_rc_t
proxy_response_intercept(proxy_ctx_t *ctx)
{
    veil_http_request_t *r = ctx->r;
    const veil_http_header_t *f = NULL;

    if (ctx->x.status == 401) {
        while ((f = veil_http_headers_get(&ctx->x.headers,
                                          VEIL_HEADER_WWW_AUTHENTICATE, f))
               != NULL)
        {
            veil_http_headers_add_id(&r->out.headers, f->id, f->name,
                                     f->value);
        }
    }
    f = veil_http_headers_get(&ctx->x.headers, VEIL_HEADER_LOCATION, NULL);
    if (f != NULL) {
        r->out.location = f->value;
    }
    veil_exchange_abort(&ctx->x);
    return veil_http_fail(r, ctx->x.status);
}

static veil_http_rc_t
proxy_response_switch(proxy_ctx_t *ctx)
{
    veil_http_request_t *r = ctx->r;
    veil_http_body_t *from_client;

    proxy_response_hide(ctx);
    proxy_response_fields(ctx);
    r->out.status = 101;
    r->out.reason = ctx->x.reason;
    r->tunnelled = true;
    from_client = r->proto->tunnel(r, ctx->x.tunnel);
    veil_exchange_tunnel(&ctx->x, from_client);
    return VEIL_HTTP_WAIT;
}

/* --- the reply -------------------------------------------------------------
 */

static veil_http_body_t *
proxy_response_spool(proxy_ctx_t *ctx)
{
    const veil_upstream_conf_t *up = &ctx->conf->up;
    veil_http_spool_options_t o = {
        .memory = (size_t) (up->buffers_n * up->buffer_size),
        .block = (size_t) up->buffer_size,
        .max_file = up->max_temp_file_size,
        .temp_path = up->temp_path,
        .log = &ctx->r->log,
    };

    memcpy(o.levels, up->temp_levels, sizeof(o.levels));
    return veil_http_spool_reader(veil_http_spool_create(
        ctx->r->pool, ctx->r->loop, ctx->x.response, &o));
}

veil_http_rc_t
veil_proxy_reply(proxy_ctx_t *ctx)
{
    veil_http_request_t *r = ctx->r;
    bool buffering = ctx->conf->up.buffering;
    veil_str_t value;

    if (ctx->x.status == 101) {
        return proxy_response_switch(ctx);
    }
    if (veil_http_headers_may_have(&ctx->x.headers,
                                   VEIL_HEADER_X_ACCEL_REDIRECT)
        && proxy_response_takes(ctx, VEIL_HEADER_X_ACCEL_REDIRECT,
                                PROXY_IGNORE_REDIRECT, &value))
    {
        return proxy_response_redirect(ctx, value);
    }
    if (proxy_response_is_intercepted(ctx)) {
        return proxy_response_intercept(ctx);
    }

    proxy_response_accel(ctx, &buffering);
    proxy_response_rewrite(ctx);
    proxy_response_hide(ctx);
    proxy_response_fields(ctx);
    r->out.status = ctx->x.status;
    r->out.reason = ctx->x.reason;
    r->out.content_length = ctx->x.content_length;
    r->out.body = ctx->x.response;
    if (r->out.body != NULL && buffering && !ctx->x.response_complete) {
        r->out.body = proxy_response_spool(ctx);
        r->out.body->length = r->out.content_length;
    }
    if (ctx->kind->replied != NULL) {
        ctx->kind->replied(ctx);
    }
    return VEIL_HTTP_REPLY;
}
