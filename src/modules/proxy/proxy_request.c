/*
 * proxy_request.c -- the head of the request to the upstream.
 *
 * It is a list of fields first, then formatted into one piece of the
 * request's pool.  Fields of the client that belong to its connection
 * (RFC 9110, 7.6.1), those its Connection names among them, stay behind;
 * framing is always ours, made from the body we have and not from what the
 * client said.
 *
 * When another wire than HTTP/1 is asked for, what the head is made of is
 * kept instead, and said as fields to whoever wants these.
 */

#include "modules/proxy/proxy.h"

#define REQUEST_CONNECTION_MAX 8

struct proxy_request_head_s {
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
    char digits[20];    /* of that */
};

typedef struct proxy_request_head_s proxy_request_head_t;

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
        ctx->own[ctx->nown].id = veil_http_header_lookup(name.data, name.len);
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
        if (!veil_http_value_is_constant(s->value) || h->conf->up.wire != NULL)
        {
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

/* --- fields ---------------------------------------------------------------
 */

typedef struct {
    proxy_field_t *list;
    unsigned n;
} proxy_request_fields_t;

static inline void
proxy_request_add(proxy_request_fields_t *fs, unsigned id, veil_str_t name,
                  veil_str_t value)
{
    proxy_field_t *f = &fs->list[fs->n++];

    f->id = id;
    f->name = name;
    f->value = value;
}

/* Fields that proxy_request_add_own() adds beside those of lists. */
#define REQUEST_OWN 5

static void
proxy_request_add_own(proxy_request_head_t *h, proxy_request_fields_t *fs)
{
    const veil_array_t *list = h->conf->set_headers;
    const proxy_header_t *s;
    unsigned i;

    if (!h->conf->sets_host) {
        proxy_request_add(fs, VEIL_HEADER_HOST, VEIL_STR("Host"),
                          h->ctx->target.host_header);
    }
    for (i = 0; list != NULL && i < list->n; i++) {
        if (h->values[i].len != 0) {
            s = veil_array_at(list, proxy_header_t, i);
            proxy_request_add(fs, s->id, s->name, h->values[i]);
        }
    }
    for (i = 0; i < h->ctx->nown; i++) {
        fs->list[fs->n++] = h->ctx->own[i];
    }
    if (h->early) {
        proxy_request_add(fs, VEIL_HEADER_EARLY_DATA, VEIL_STR("Early-Data"),
                          VEIL_STR("1"));
    }
    if (h->upgrade.len != 0) {
        proxy_request_add(fs, VEIL_HEADER_CONNECTION, VEIL_STR("Connection"),
                          VEIL_STR("upgrade"));
        proxy_request_add(fs, VEIL_HEADER_UPGRADE, VEIL_STR("Upgrade"),
                          h->upgrade);
    } else if (h->connection_close && !h->conf->sets_connection) {
        proxy_request_add(fs, VEIL_HEADER_CONNECTION, VEIL_STR("Connection"),
                          VEIL_STR("close"));
    }
    if (h->ctx->x.body_chunked) {
        proxy_request_add(fs, VEIL_HEADER_TRANSFER_ENCODING,
                          VEIL_STR("Transfer-Encoding"), VEIL_STR("chunked"));
    } else if (h->length >= 0) {
        proxy_request_add(
            fs, VEIL_HEADER_CONTENT_LENGTH, VEIL_STR("Content-Length"),
            veil_str_n(h->digits,
                       (size_t) (veil_fmt_uint(h->digits, (uint64_t) h->length)
                                 - h->digits)));
    }
}

/* Most fields there may be. */
static unsigned
proxy_request_most(const proxy_request_head_t *h)
{
    const veil_array_t *list = h->conf->set_headers;

    return h->r->in.headers.n + (list != NULL ? list->n : 0) + h->ctx->nown
           + REQUEST_OWN;
}

static void
proxy_request_fill(proxy_request_head_t *h, proxy_request_fields_t *fs)
{
    const veil_http_header_t *f = NULL;

    fs->n = 0;
    proxy_request_add_own(h, fs);
    if (h->conf->pass_request_headers) {
        while ((f = veil_http_headers_next(&h->r->in.headers, f)) != NULL) {
            if (proxy_request_passes(h, f)) {
                proxy_request_add(fs, f->id, f->name, f->value);
            }
        }
    }
}

/* room has place for REQUEST_ROOM fields, which are enough nearly always. */
#define REQUEST_ROOM 40

static proxy_request_fields_t
proxy_request_fields(proxy_request_head_t *h, proxy_field_t *room)
{
    proxy_request_fields_t fs = { .list = room };
    unsigned most = proxy_request_most(h);

    if (most > REQUEST_ROOM) {
        fs.list = veil_pool_alloc(h->r->pool, most * sizeof(*fs.list));
    }
    proxy_request_fill(h, &fs);
    VEIL_ASSERT(fs.n <= most);
    return fs;
}

/* --- forms ----------------------------------------------------------------
 */

static void
proxy_request_write(proxy_request_head_t *h)
{
    proxy_field_t room[REQUEST_ROOM];
    proxy_request_fields_t fs = proxy_request_fields(h, room);
    veil_str_t version = h->conf->http_version == 10
                             ? VEIL_STR(" HTTP/1.0\r\n")
                             : VEIL_STR(" HTTP/1.1\r\n");
    size_t n = h->method.len + 1 + h->ctx->x.uri.len + version.len + 2;
    const proxy_field_t *f;
    char *text, *p;

    for (f = fs.list; f < fs.list + fs.n; f++) {
        n += f->name.len + f->value.len + 4;
    }
    text = veil_pool_chars(h->r->pool, n);
    p = veil_fmt_str(text, h->method);
    *p++ = ' ';
    p = veil_fmt_str(p, h->ctx->x.uri);
    p = veil_fmt_str(p, version);
    for (f = fs.list; f < fs.list + fs.n; f++) {
        p = veil_fmt_str(p, f->name);
        *p++ = ':';
        *p++ = ' ';
        p = veil_fmt_str(p, f->value);
        *p++ = '\r';
        *p++ = '\n';
    }
    *p++ = '\r';
    *p++ = '\n';
    h->ctx->x.head = veil_str_n(text, (size_t) (p - text));
    VEIL_ASSERT(h->ctx->x.head.len == n);
}

static void
proxy_request_make_late(veil_exchange_t *x)
{
    proxy_ctx_t *ctx = x->owner;

    proxy_request_write(ctx->head);
}

static veil_str_t
proxy_request_list(veil_exchange_t *x, veil_exchange_field_fn *field, void *to)
{
    proxy_ctx_t *ctx = x->owner;
    proxy_field_t room[REQUEST_ROOM];
    proxy_request_fields_t fs = proxy_request_fields(ctx->head, room);
    const proxy_field_t *f;

    for (f = fs.list; f < fs.list + fs.n; f++) {
        field(to, f->id, f->name, f->value);
    }
    return ctx->head->method;
}

/* --- all of it ------------------------------------------------------------
 */

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
    proxy_request_head_t here = { .ctx = ctx, .r = r, .conf = ctx->conf };
    proxy_request_head_t *h = &here;

    if (ctx->conf->up.wire != NULL) {
        h = veil_pool_alloc(r->pool, sizeof(*h));
        *h = here;
        ctx->head = h;
        ctx->x.make_head = proxy_request_make_late;
        ctx->x.list_head = proxy_request_list;
    }

    h->method = ctx->conf->method != NULL
                    ? veil_http_eval(r, ctx->conf->method)
                    : r->in.method_name;
    if (h->method.len == 0) {
        h->method = r->in.method_name;
    }
    ctx->x.head_method = veil_str_eq(h->method, VEIL_STR("HEAD"));
    ctx->x.idempotent =
        (veil_http_method_find(h->method.data, h->method.len)
         & (VEIL_POST | VEIL_LOCK | VEIL_PATCH | VEIL_METHOD_OTHER))
        == 0;
    ctx->x.uri = veil_proxy_uri(r, ctx->kind, &ctx->target);

    h->length = -1;
    if (ctx->x.body != NULL) {
        h->length = proxy_request_has_trailers(ctx) ? -1 : ctx->x.body->length;
        ctx->x.body_chunked = h->length < 0;
    } else if (ctx->conf->pass_request_body && r->in.content_length == 0) {
        h->length = 0; /* said by the client; some servers insist on it */
    }
    h->connection_close = proxy_request_closes(ctx);
    if (veil_http_headers_may_have(&r->in.headers, VEIL_HEADER_CONNECTION)) {
        proxy_request_note_connection(h);
    }
    /*
     * A request that may be replayed must not look like any other to the
     * upstream (RFC 8470, 5.2), which can refuse it with 425.
     */
    h->early = r->in.early
               && !proxy_has_id(ctx->conf->set_ids, VEIL_HEADER_EARLY_DATA);
    proxy_request_eval_headers(h);
    proxy_request_upgrade(h);

    if (ctx->head == NULL) {
        proxy_request_write(h);
    }
}
