/*
 * h2_upstream_head.c -- heads over HTTP/2 to upstreams: the request's as
 * fields, the response's from them.
 *
 * A request's head is said to us as fields: what belongs to an HTTP/1
 * connection stays behind, Host becomes :authority.
 *
 * The library checks what RFC 9113, 8.2 and 8.3 ask of a response.  All heads
 * and trailers of a response must fit proxy_buffer_size.
 */

#include "modules/http2/h2_upstream.h"

/* What a field counts beyond its bytes (RFC 9113, 6.5.2). */
#define H2_FIELD_OVERHEAD 32
#define H2_PSEUDO 4
/* Of a request, at first. */
#define H2_FIELDS 32
/* All fields of one frame's head, wanted or not. */
#define H2_HEAD_MAX (1024 * 1024)

/* --- of requests -----------------------------------------------------------
 */

static void
h2_upstream_add(veil_h2_upstream_fields_t *f, veil_str_t name,
                veil_str_t value)
{
    nghttp2_nv *nv;

    if (f->n == f->cap) {
        f->cap *= 2;
        nv = veil_pool_alloc(f->pool, f->cap * sizeof(*nv));
        memcpy(nv, f->nv, f->n * sizeof(*nv));
        f->nv = nv;
    }
    nv = &f->nv[f->n++];
    nv->name = (uint8_t *) (uintptr_t) name.data;
    nv->namelen = name.len;
    nv->value = (uint8_t *) (uintptr_t) value.data;
    nv->valuelen = value.len;
    nv->flags = NGHTTP2_NV_FLAG_NONE;
}

static veil_str_t
h2_upstream_lower(veil_pool_t *pool, veil_str_t name)
{
    char *lower;
    size_t i;

    for (i = 0; i < name.len; i++) {
        if (name.data[i] >= 'A' && name.data[i] <= 'Z') {
            lower = veil_pool_chars(pool, name.len);
            veil_str_lower(lower, name.data, name.len);
            return veil_str_n(lower, name.len);
        }
    }
    return name;
}

static void
h2_upstream_add_any(veil_h2_upstream_fields_t *f, unsigned id, veil_str_t name,
                    veil_str_t value)
{
    h2_upstream_add(f,
                    id != 0 ? veil_http_header_info[id].lower
                            : h2_upstream_lower(f->pool, name),
                    veil_str_trim(value));
}

/* Of one connection, but for what HTTP/2 lets TE say (RFC 9113, 8.2.2). */
static bool
h2_upstream_stays(unsigned id, veil_str_t value)
{
    if (id == VEIL_HEADER_TE) {
        return !veil_str_caseeq(value, VEIL_STR("trailers"));
    }
    return id != 0 && veil_http_header_is_hop(id);
}

static void
h2_upstream_said(void *to, unsigned id, veil_str_t name, veil_str_t value)
{
    veil_h2_upstream_fields_t *f = to;
    nghttp2_nv *authority = &f->nv[H2_PSEUDO - 1];

    if (id == VEIL_HEADER_HOST) {
        authority->value = (uint8_t *) (uintptr_t) value.data;
        authority->valuelen = value.len;
    } else if (!h2_upstream_stays(id, value)) {
        h2_upstream_add_any(f, id, name, value);
    }
}

void
veil_h2_upstream_request(veil_exchange_t *x, veil_h2_upstream_fields_t *f)
{
    veil_str_t none = VEIL_STR(""), method;

    f->pool = x->pool;
    f->cap = H2_FIELDS;
    f->nv = veil_pool_alloc(x->pool, f->cap * sizeof(*f->nv));
    f->n = 0;
    h2_upstream_add(f, VEIL_STR(":method"), none);
    h2_upstream_add(f, VEIL_STR(":path"), x->uri);
    h2_upstream_add(f, VEIL_STR(":scheme"),
                    x->priv->uc->tls != NULL ? VEIL_STR("https")
                                             : VEIL_STR("http"));
    h2_upstream_add(f, VEIL_STR(":authority"), none);
    method = x->list_head(x, h2_upstream_said, f);
    f->nv[0].value = (uint8_t *) (uintptr_t) method.data;
    f->nv[0].valuelen = method.len;
}

veil_h2_upstream_fields_t
veil_h2_upstream_trailers(veil_exchange_t *x, const veil_http_headers_t *hs)
{
    veil_h2_upstream_fields_t f = { .n = 0 };
    const veil_http_header_t *h = NULL;

    if (hs == NULL || hs->n == 0) {
        return f;
    }
    f.pool = x->pool;
    f.cap = hs->n;
    f.nv = veil_pool_alloc(x->pool, hs->n * sizeof(*f.nv));
    while ((h = veil_http_headers_next(hs, h)) != NULL) {
        if (veil_http_header_in_trailer(h->id)) {
            h2_upstream_add_any(&f, h->id, h->name, h->value);
        }
    }
    return f;
}

/* --- of responses ----------------------------------------------------------
 */

int
veil_h2_upstream_on_begin(nghttp2_session *session, const nghttp2_frame *frame,
                          void *data)
{
    veil_h2_upstream_stream_t *s =
        nghttp2_session_get_stream_user_data(session, frame->hd.stream_id);

    ((veil_h2_upstream_t *) data)->head_size = 0;
    if (frame->hd.type != NGHTTP2_HEADERS) {
        return NGHTTP2_ERR_TEMPORAL_CALLBACK_FAILURE; /* pushed: refused */
    }
    if (s != NULL && !s->has_head) {
        veil_http_headers_init(&s->x->headers, s->x->pool, 12);
        s->x->status = 0;
        s->length = -1;
    }
    return 0;
}

static void
h2_upstream_too_big(veil_h2_upstream_stream_t *s)
{
    veil_exchange_t *x = s->x;

    if (x->priv->state == VEIL_X_HEAD) {
        veil_exchange_log(x, VEIL_LOG_ERR, 0, "upstream sent too big header",
                          "while reading response header from upstream");
        veil_exchange_failed(x, VEIL_NEXT_INVALID_HEADER, 502);
    } else {
        veil_exchange_log(x, VEIL_LOG_ERR, 0, "upstream sent too big trailers",
                          "while reading upstream");
        veil_exchange_body_fail(x);
        veil_exchange_body_wake(x);
    }
}

static void
h2_upstream_field(veil_h2_upstream_stream_t *s, veil_str_t name,
                  veil_str_t value)
{
    veil_exchange_t *x = s->x;
    unsigned id = veil_http_header_lookup(name.data, name.len);

    if (s->has_head) {
        veil_exchange_add_trailer(x, id, veil_pool_str(x->pool, name),
                                  veil_pool_str(x->pool, value));
        return;
    }
    if (id == VEIL_HEADER_CONTENT_LENGTH) {
        s->length = veil_str_to_int(value);
    }
    if (id != 0 && veil_exchange_field_stays(x, id)) {
        return;
    }
    name = id != 0 ? veil_http_header_info[id].name
                   : veil_pool_str(x->pool, name);
    veil_http_headers_add_id(&x->headers, id, name,
                             veil_pool_str(x->pool, value));
}

int
veil_h2_upstream_on_field(nghttp2_session *session, const nghttp2_frame *frame,
                          const uint8_t *name, size_t namelen,
                          const uint8_t *value, size_t valuelen, uint8_t flags,
                          void *data)
{
    veil_h2_upstream_stream_t *s =
        nghttp2_session_get_stream_user_data(session, frame->hd.stream_id);
    veil_h2_upstream_t *h2 = data;
    veil_str_t n = veil_str_n((const char *) name, namelen);
    veil_str_t v = veil_str_n((const char *) value, valuelen);

    (void) flags;
    h2->head_size += namelen + valuelen + H2_FIELD_OVERHEAD;
    if (h2->head_size > H2_HEAD_MAX) {
        veil_h2_upstream_calm(h2, "sends a head without end");
        return 0;
    }
    if (s == NULL) {
        return 0; /* decoded, as the table must stay right, and forgotten */
    }
    s->nheader += namelen + valuelen + H2_FIELD_OVERHEAD;
    s->bytes_in += namelen + valuelen;
    if (s->nheader > (size_t) s->x->conf->header_buffer_size) {
        h2_upstream_too_big(s);
    } else if (namelen != 0 && name[0] != ':') {
        h2_upstream_field(s, n, v);
    } else if (!s->has_head && veil_str_eq(n, VEIL_STR(":status"))) {
        s->x->status = (int) veil_str_to_int(v);
    }
    return 0;
}

void
veil_h2_upstream_head_done(veil_h2_upstream_stream_t *s, bool ended)
{
    veil_exchange_t *x = s->x;
    veil_http_framing_t framing = { .kind = VEIL_FRAMING_CLOSE };

    if (s->has_head) {
        if (ended) {
            veil_exchange_body_ended(x);
        }
        return;
    }
    framing.length = s->length;
    if (ended || x->head_method || x->status == 204 || x->status == 304) {
        framing.kind = VEIL_FRAMING_NONE;
    }
    x->version = 20;
    x->reason = VEIL_STR("");
    if (!veil_exchange_take_head(x, &framing)) {
        return; /* the stream may be no more */
    }
    s->has_head = true;
    s->h2->nidle_frames = 0;
    if (framing.kind == VEIL_FRAMING_NONE) {
        veil_exchange_finish(x);
    } else {
        veil_h2_upstream_timeout(x, x->conf->read_timeout);
    }
    veil_exchange_head_done(x);
}
