/*
 * proxy_request.c -- the head of the request to the upstream.
 *
 * It is formatted straight into one piece of the request's pool: measured
 * first, then written.  Fields of the client that belong to its connection
 * (RFC 9110, 7.6.1), those its Connection names among them, stay behind;
 * framing is always ours, made from the body we have and not from what the
 * client said.
 */

#include "modules/proxy/proxy.h"

#define REQUEST_CONNECTION_MAX 8

typedef struct {
    proxy_ctx_t *ctx;
    veil_http_request_t *r;
    const proxy_conf_t *conf;
    veil_str_t method;
    veil_str_t *values;                       /* of set_headers */
    veil_str_t named[REQUEST_CONNECTION_MAX]; /* by the client's Connection */
    unsigned nnamed;
    bool connection_close;
    bool early;         /* the upstream must know, and we say so */
    veil_str_t upgrade; /* passed on by ourselves; empty: none */
    int64_t length;     /* of the body; -1: chunked, or none */
} proxy_request_head_t;

/* --- what goes on ---------------------------------------------------------
 */

static void
proxy_request_note_connection(proxy_request_head_t *h)
{
    const veil_http_headers_t *in = &h->r->in.headers;
    const veil_http_header_t *f = NULL;
    veil_str_t rest, token;

    while ((f = veil_http_headers_get(in, VEIL_HEADER_CONNECTION, f)) != NULL)
    {
        rest = f->value;
        while (rest.len != 0) {
            token = veil_str_trim(veil_str_cut(&rest, ','));
            if (token.len == 0
                || veil_str_caseeq(token, VEIL_STR("keep-alive"))
                || veil_str_caseeq(token, VEIL_STR("close"))
                || veil_str_caseeq(token, VEIL_STR("upgrade")))
            {
                continue;
            }
            if (h->nnamed < veil_countof(h->named)) {
                h->named[h->nnamed++] = token;
            }
        }
    }
}

static bool
proxy_request_passes(const proxy_request_head_t *h,
                     const veil_http_header_t *f)
{
    unsigned i;

    if (f->id == VEIL_HEADER_EARLY_DATA && h->early) {
        return false; /* whatever the client says of it */
    }
    if (f->id != 0) {
        if (proxy_has_id(h->conf->set_ids, f->id)) {
            return false;
        }
    } else {
        for (i = 0; i < h->conf->nset_names; i++) {
            if (veil_str_caseeq(f->name, h->conf->set_names[i])) {
                return false;
            }
        }
    }
    if (f->id == VEIL_HEADER_EARLY_DATA) {
        return true; /* MUST NOT be removed (RFC 8470, 5.1) */
    }
    for (i = 0; i < h->nnamed; i++) {
        if (veil_str_caseeq(f->name, h->named[i])) {
            return false;
        }
    }
    for (i = 0; i < h->ctx->nown; i++) {
        if (veil_str_caseeq(f->name, h->ctx->own[i].name)) {
            return false;
        }
    }
    return true;
}

/* Fields of the module's own, but for those the configuration sets. */
static bool
proxy_request_is_set(const proxy_conf_t *conf, veil_str_t name)
{
    const veil_array_t *list = conf->set_headers;
    unsigned i;

    for (i = 0; list != NULL && i < list->n; i++) {
        if (veil_str_caseeq(veil_array_at(list, proxy_header_t, i)->name,
                            name)) {
            return true;
        }
    }
    return false;
}

void
veil_proxy_say(proxy_ctx_t *ctx, veil_str_t name, veil_str_t value)
{
    if (!proxy_request_is_set(ctx->conf, name)) {
        VEIL_ASSERT(ctx->nown < veil_countof(ctx->own));
        ctx->own[ctx->nown].name = name;
        ctx->own[ctx->nown].value = value;
        ctx->nown++;
    }
}

/* A value of a variable must not begin another line. */
static veil_str_t
proxy_request_one_line(veil_http_request_t *r, veil_str_t s)
{
    char *text;
    size_t i;

    for (i = 0; i < s.len; i++) {
        if (s.data[i] == '\r' || s.data[i] == '\n' || s.data[i] == '\0') {
            break;
        }
    }
    if (i == s.len) {
        return s;
    }
    text = veil_pool_chars(r->pool, s.len);
    for (i = 0; i < s.len; i++) {
        text[i] = s.data[i] == '\r' || s.data[i] == '\n' || s.data[i] == '\0'
                      ? ' '
                      : s.data[i];
    }
    return veil_str_n(text, s.len);
}

static bool
proxy_request_has_token(veil_str_t value, veil_str_t wanted)
{
    while (value.len != 0) {
        if (veil_str_caseeq(veil_str_trim(veil_str_cut(&value, ',')), wanted))
        {
            return true;
        }
    }
    return false;
}

static void
proxy_request_eval_headers(proxy_request_head_t *h)
{
    const veil_array_t *list = h->conf->set_headers;
    const proxy_header_t *s;
    bool upgrade = false, connection = false;
    unsigned i;

    if (list == NULL) {
        return;
    }
    h->values = veil_pool_alloc(h->r->pool, list->n * sizeof(*h->values));
    for (i = 0; i < list->n; i++) {
        s = veil_array_at(list, proxy_header_t, i);
        h->values[i] = veil_http_eval(h->r, s->value);
        if (!veil_http_value_is_constant(s->value)) {
            h->values[i] = proxy_request_one_line(h->r, h->values[i]);
        }
        if (s->id == VEIL_HEADER_CONTENT_LENGTH
            || s->id == VEIL_HEADER_TRANSFER_ENCODING)
        {
            h->values[i] = VEIL_STR_NULL; /* framing is ours */
        } else if (s->id == VEIL_HEADER_UPGRADE) {
            upgrade = h->values[i].len != 0;
        } else if (s->id == VEIL_HEADER_CONNECTION) {
            connection =
                proxy_request_has_token(h->values[i], VEIL_STR("upgrade"));
        }
    }
    h->ctx->x.want_upgrade = upgrade && connection && h->r->in.upgrade;
}

/*
 * An upgrade the client wants is passed on by itself; not the one to HTTP/2,
 * which nobody could speak then.
 */
static void
proxy_request_upgrade(proxy_request_head_t *h)
{
    veil_str_t value;

    if (!h->conf->websocket || h->conf->http_version == 10 || !h->r->in.upgrade
        || h->conf->sets_connection || h->conf->sets_upgrade)
    {
        return;
    }
    value = veil_http_headers_value(&h->r->in.headers, VEIL_HEADER_UPGRADE);
    if (value.len == 0 || proxy_request_has_token(value, VEIL_STR("h2c"))) {
        return;
    }
    h->upgrade = value;
    h->ctx->x.want_upgrade = true;
}

/* --- writing --------------------------------------------------------------
 */

/* Each either measures (p NULL) or writes; returns the end or the length. */
typedef struct {
    char *p;
    size_t n;
} proxy_request_out_t;

static inline void
proxy_request_put(proxy_request_out_t *o, veil_str_t s)
{
    if (o->p != NULL) {
        o->p = veil_fmt_str(o->p, s);
    } else {
        o->n += s.len;
    }
}

static inline void
proxy_request_put_field(proxy_request_out_t *o, veil_str_t name,
                        veil_str_t value)
{
    if (o->p == NULL) {
        o->n += name.len + value.len + 4;
        return;
    }
    o->p = veil_fmt_str(o->p, name);
    *o->p++ = ':';
    *o->p++ = ' ';
    o->p = veil_fmt_str(o->p, value);
    *o->p++ = '\r';
    *o->p++ = '\n';
}

static void
proxy_request_put_own(const proxy_request_head_t *h, proxy_request_out_t *o)
{
    const veil_array_t *list = h->conf->set_headers;
    char digits[20];
    unsigned i;

    if (!h->conf->sets_host) {
        proxy_request_put_field(o, VEIL_STR("Host"),
                                h->ctx->target.host_header);
    }
    for (i = 0; list != NULL && i < list->n; i++) {
        if (h->values[i].len != 0) {
            proxy_request_put_field(
                o, veil_array_at(list, proxy_header_t, i)->name, h->values[i]);
        }
    }
    for (i = 0; i < h->ctx->nown; i++) {
        proxy_request_put_field(o, h->ctx->own[i].name, h->ctx->own[i].value);
    }
    if (h->early) {
        proxy_request_put(o, VEIL_STR("Early-Data: 1\r\n"));
    }
    if (h->upgrade.len != 0) {
        proxy_request_put(o, VEIL_STR("Connection: upgrade\r\n"));
        proxy_request_put_field(o, VEIL_STR("Upgrade"), h->upgrade);
    } else if (h->connection_close && !h->conf->sets_connection) {
        proxy_request_put(o, VEIL_STR("Connection: close\r\n"));
    }
    if (h->ctx->x.body_chunked) {
        proxy_request_put(o, VEIL_STR("Transfer-Encoding: chunked\r\n"));
    } else if (h->length >= 0) {
        proxy_request_put_field(
            o, VEIL_STR("Content-Length"),
            veil_str_n(digits,
                       (size_t) (veil_fmt_uint(digits, (uint64_t) h->length)
                                 - digits)));
    }
}

static void
proxy_request_put_head(const proxy_request_head_t *h, proxy_request_out_t *o)
{
    const veil_http_header_t *f = NULL;

    proxy_request_put(o, h->method);
    proxy_request_put(o, VEIL_STR(" "));
    proxy_request_put(o, h->ctx->x.uri);
    proxy_request_put(o, h->conf->http_version == 10
                             ? VEIL_STR(" HTTP/1.0\r\n")
                             : VEIL_STR(" HTTP/1.1\r\n"));
    proxy_request_put_own(h, o);
    if (h->conf->pass_request_headers) {
        while ((f = veil_http_headers_next(&h->r->in.headers, f)) != NULL) {
            if (proxy_request_passes(h, f)) {
                proxy_request_put_field(o, f->name, f->value);
            }
        }
    }
    proxy_request_put(o, VEIL_STR("\r\n"));
}

/* Whether the connection could be kept at all. */
static bool
proxy_request_closes(const proxy_ctx_t *ctx)
{
    return ctx->conf->http_version == 10
           || veil_upstream_keeps(ctx->target.group, &ctx->conf->up) == 0;
}

/* They came, with a body whose length is known now: HTTP/1 needs chunks. */
static bool
proxy_request_has_trailers(const proxy_ctx_t *ctx)
{
    const veil_http_body_t *body = ctx->r->body_in;

    return ctx->conf->http_version != 10 && ctx->conf->body == NULL
           && ctx->r->in.chunked && body != NULL && body->trailers != NULL
           && body->trailers->n != 0;
}

void
veil_proxy_make_head(proxy_ctx_t *ctx)
{
    veil_http_request_t *r = ctx->r;
    proxy_request_head_t h = { .ctx = ctx, .r = r, .conf = ctx->conf };
    proxy_request_out_t out = { .p = NULL };
    char *text;

    h.method = ctx->conf->method != NULL ? veil_http_eval(r, ctx->conf->method)
                                         : r->in.method_name;
    if (h.method.len == 0) {
        h.method = r->in.method_name;
    }
    ctx->x.head_method = veil_str_eq(h.method, VEIL_STR("HEAD"));
    ctx->x.idempotent =
        (veil_http_method_find(h.method.data, h.method.len)
         & (VEIL_POST | VEIL_LOCK | VEIL_PATCH | VEIL_METHOD_OTHER))
        == 0;
    ctx->x.uri = veil_proxy_uri(r, ctx->kind, &ctx->target);

    h.length = -1;
    if (ctx->x.body != NULL) {
        h.length = proxy_request_has_trailers(ctx) ? -1 : ctx->x.body->length;
        ctx->x.body_chunked = h.length < 0;
    } else if (ctx->conf->pass_request_body && r->in.content_length == 0) {
        h.length = 0; /* said by the client; some servers insist on it */
    }
    h.connection_close = proxy_request_closes(ctx);
    if (veil_http_headers_may_have(&r->in.headers, VEIL_HEADER_CONNECTION)) {
        proxy_request_note_connection(&h);
    }
    /*
     * A request that may be replayed must not look like any other to the
     * upstream (RFC 8470, 5.2), which can refuse it with 425.
     */
    h.early = r->in.early
              && !proxy_has_id(ctx->conf->set_ids, VEIL_HEADER_EARLY_DATA);
    proxy_request_eval_headers(&h);
    proxy_request_upgrade(&h);

    proxy_request_put_head(&h, &out);
    text = veil_pool_chars(r->pool, out.n);
    out.p = text;
    proxy_request_put_head(&h, &out);
    ctx->x.head = veil_str_n(text, (size_t) (out.p - text));
    VEIL_ASSERT(ctx->x.head.len == out.n);
}
