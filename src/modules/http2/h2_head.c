/*
 * h2_head.c -- the fields of a head, as the library decodes them, to a
 * request.
 *
 * The library checks what RFC 9113, 8.2 and 8.3 ask of a head: names in lower
 * case, pseudo-fields first and once each, nothing of HTTP/1's connections.
 * What it refuses is reset.  What is too long or breaks a rule of ours is
 * noted, and answered with the status that fits when the head is complete.
 */

#include "modules/http2/h2.h"

#include "http/drain.h"

/* What a field counts beyond its bytes (RFC 9113, 6.5.2). */
#define H2_FIELD_OVERHEAD 32
#define H2_HEADERS_RESERVE 16

size_t
veil_h2_head_limit(const veil_h2_t *h2)
{
    const veil_http_core_server_t *conf = veil_http_conn_server(h2->hc);

    return conf->client_max_header_size != 0
               ? (size_t) conf->client_max_header_size
               : (size_t) (conf->large_buffers_n * conf->large_buffers_size);
}

int
veil_h2_on_begin_headers(nghttp2_session *session, const nghttp2_frame *frame,
                         void *data)
{
    veil_h2_t *h2 = data;
    veil_http_request_t *r;
    veil_h2_stream_t *s;

    const veil_http_core_loc_t *conf;

    if (frame->headers.cat != NGHTTP2_HCAT_REQUEST) {
        return 0; /* trailers */
    }
    r = veil_http_request_create(h2->hc, &veil_h2_proto, NULL);
    s = VEIL_POOL_NEW(r->pool, veil_h2_stream_t);
    s->magic = VEIL_H2_STREAM_MAGIC;
    s->id = frame->hd.stream_id;
    s->h2 = h2;
    s->r = r;
    r->stream = s;
    r->in.version = 20;
    veil_http_headers_init(&r->in.headers, r->pool, H2_HEADERS_RESERVE);
    veil_list_init(&s->todo);
    veil_list_init(&s->woken);
    veil_h2_stream_timers(s);
    veil_list_append(&h2->streams, &s->link);
    h2->nstreams++;
    veil_http_conn_does(h2->hc, VEIL_HTTP_WRITING);
    h2->hc->nrequests++;
    h2->has_skipped = h2->has_skipped || s->id - h2->last_id > 2;
    h2->last_id = s->id;
    h2->idle = false;
    veil_h2_guard_on_request(h2);
    conf = h2->hc->server->loc_conf[veil_http_core_module.index];
    if (h2->hc->nrequests >= (uint64_t) conf->keepalive_requests
        || veil_now_ms() - h2->hc->start_ms > conf->keepalive_time
        || conf->keepalive_timeout == 0 || veil_http_conn_is_draining(h2->hc))
    {
        veil_h2_drain(h2);
    }
    (void) nghttp2_session_set_stream_user_data(session, s->id, s);
    return 0;
}

static void
h2_head_break(veil_h2_stream_t *s, int status, const char *why)
{
    if (s->broken == 0) {
        s->broken = status;
        s->r->reason = why;
    }
}

static veil_str_t
h2_head_copy(veil_h2_stream_t *s, const uint8_t *p, size_t len)
{
    return veil_pool_str(s->r->pool, veil_str_n((const char *) p, len));
}

static void
h2_head_pseudo(veil_h2_stream_t *s, veil_str_t name, veil_str_t value)
{
    veil_str_t *to;

    if (veil_str_eq(name, VEIL_STR(":method"))) {
        to = &s->method;
    } else if (veil_str_eq(name, VEIL_STR(":path"))) {
        to = &s->path;
    } else if (veil_str_eq(name, VEIL_STR(":authority"))) {
        to = &s->authority;
    } else if (veil_str_eq(name, VEIL_STR(":protocol"))) {
        to = &s->protocol;
    } else {
        return; /* :scheme is the connection's */
    }
    *to = veil_pool_str(s->r->pool, value);
}

static void
h2_head_field(veil_h2_stream_t *s, veil_str_t name, veil_str_t value)
{
    const veil_http_core_server_t *conf = veil_http_conn_server(s->h2->hc);
    veil_http_headers_t *hs = &s->r->in.headers;
    unsigned id;

    if (veil_str_chr(name, '_') >= 0 && !conf->underscores_in_headers) {
        veil_log(&s->r->log, VEIL_LOG_INFO, 0,
                 "client sent invalid header line: \"%.*s\": ignored",
                 VEIL_STR_ARG(name));
        return;
    }
    id = veil_http_header_lookup(name.data, name.len);
    if (id != 0 && veil_http_header_is_unique(id)
        && veil_http_headers_may_have(hs, id))
    {
        h2_head_break(s, 400, "a duplicate header");
        return;
    }
    veil_http_headers_add_id(
        hs, id, h2_head_copy(s, (const uint8_t *) name.data, name.len),
        veil_pool_str(s->r->pool, value));
}

static void
h2_head_trailer(veil_h2_stream_t *s, veil_str_t name, veil_str_t value)
{
    veil_http_headers_t *hs = &s->in.trailers;
    unsigned id = veil_http_header_lookup(name.data, name.len);

    if (!veil_http_header_in_trailer(id)) {
        return;
    }
    if (hs->pool == NULL) {
        veil_http_headers_init(hs, s->r->pool, 2);
        s->in.body.trailers = hs;
    }
    veil_http_headers_add_id(hs, id, veil_pool_str(s->r->pool, name),
                             veil_pool_str(s->r->pool, value));
}

int
veil_h2_on_header(nghttp2_session *session, const nghttp2_frame *frame,
                  const uint8_t *name, size_t namelen, const uint8_t *value,
                  size_t valuelen, uint8_t flags, void *data)
{
    veil_h2_stream_t *s =
        nghttp2_session_get_stream_user_data(session, frame->hd.stream_id);
    veil_str_t n = veil_str_n((const char *) name, namelen);
    veil_str_t v = veil_str_n((const char *) value, valuelen);
    const veil_http_core_server_t *conf;
    size_t limit;

    (void) flags;
    (void) data;
    if (s == NULL || s->r == NULL) {
        return 0;
    }
    conf = veil_http_conn_server(s->h2->hc);
    s->head_size += namelen + valuelen + H2_FIELD_OVERHEAD;
    s->nfields++;
    limit = veil_h2_head_limit(s->h2);
    if (s->head_size > limit
        || (conf->max_headers != 0
            && s->nfields > (uint64_t) conf->max_headers + 4))
    {
        h2_head_break(s, 431, "too large a head");
        /* Decoded, as the table must stay right, and forgotten. */
        return veil_h2_guard_head(s->h2, s->head_size, limit);
    }
    if (s->state != H2_STREAM_HEAD || veil_list_is_linked(&s->todo)) {
        h2_head_trailer(s, n, v);
    } else if (namelen != 0 && name[0] == ':') {
        h2_head_pseudo(s, n, v);
    } else {
        h2_head_field(s, n, v);
    }
    return 0;
}

/* --- the request -----------------------------------------------------------
 */

/* :authority, or Host where there is none; both must say the same. */
static void
h2_head_host(veil_h2_stream_t *s)
{
    veil_http_request_t *r = s->r;
    veil_str_t field =
        veil_http_headers_value(&r->in.headers, VEIL_HEADER_HOST);
    veil_str_t name = s->authority;
    veil_http_host_t host;

    if (name.len == 0) {
        name = field;
    } else if (field.len == 0) {
        veil_http_headers_add_id(&r->in.headers, VEIL_HEADER_HOST,
                                 VEIL_STR("Host"), name);
    } else if (!veil_str_caseeq(name, field)) {
        h2_head_break(s, 400, "a Host that is not the :authority");
        return;
    }
    if (name.len == 0) {
        h2_head_break(s, 400, "neither :authority nor Host");
        return;
    }
    if (veil_http_host_parse(name, &host) != VEIL_PARSE_OK) {
        h2_head_break(s, 400, "an invalid host");
        return;
    }
    r->in.host = host.name;
    r->in.host_port = host.port;
    r->in.host_is_lower = host.lower;
}

/* Cookies come in crumbs (RFC 9113, 8.2.3). */
static void
h2_head_cookies(veil_http_request_t *r)
{
    veil_http_headers_t *hs = &r->in.headers;
    veil_http_header_t *first, *h;
    veil_str_t all;

    first = veil_http_headers_get(hs, VEIL_HEADER_COOKIE, NULL);
    if (first == NULL
        || veil_http_headers_get(hs, VEIL_HEADER_COOKIE, first) == NULL)
    {
        return;
    }
    all = veil_http_headers_join(hs, VEIL_HEADER_COOKIE, r->pool);
    for (h = first;
         (h = veil_http_headers_get(hs, VEIL_HEADER_COOKIE, h)) != NULL;)
    {
        h->removed = true;
    }
    first->value = all;
}

static void
h2_head_body(veil_h2_stream_t *s)
{
    veil_http_request_t *r = s->r;
    veil_str_t length =
        veil_http_headers_value(&r->in.headers, VEIL_HEADER_CONTENT_LENGTH);

    if (!r->in.has_body) {
        return;
    }
    r->in.content_length = length.len != 0 ? veil_str_to_int(length) : -1;
    if (length.len != 0 && r->in.content_length < 0) {
        h2_head_break(s, 400, "an invalid Content-Length");
    }
    r->in.chunked = r->in.content_length < 0;
    r->in.expect_continue = veil_str_caseeq(
        veil_http_headers_value(&r->in.headers, VEIL_HEADER_EXPECT),
        VEIL_STR("100-continue"));
    veil_h2_body_begin(s);
}

/*
 * An extended CONNECT (RFC 8441) becomes the request that HTTP/1.1 has for
 * the same: a GET that asks for an upgrade.  So a location that proxies one
 * proxies the other, and what answers 101 gets a tunnel.
 */
static void
h2_head_connect(veil_h2_stream_t *s)
{
    veil_http_request_t *r = s->r;
    veil_http_headers_t *hs = &r->in.headers;
    unsigned char nonce[16];
    char *key;

    if (!veil_str_caseeq(s->protocol, VEIL_STR("websocket"))) {
        h2_head_break(s, 501, "a CONNECT for another protocol");
        return;
    }
    s->method = VEIL_STR("GET");
    s->in.tunnel = true;
    r->in.has_body = false; /* it is the tunnel's, if there will be one */
    r->in.upgrade = true;
    veil_http_headers_add_id(hs, VEIL_HEADER_UPGRADE, VEIL_STR("Upgrade"),
                             s->protocol);
    veil_http_headers_add_id(hs, VEIL_HEADER_CONNECTION,
                             VEIL_STR("Connection"), VEIL_STR("upgrade"));
    if (veil_http_headers_get(hs, VEIL_HEADER_SEC_WEBSOCKET_KEY, NULL) == NULL)
    {
        veil_rand_bytes(nonce, sizeof(nonce));
        key = veil_pool_chars(r->pool, 24);
        (void) veil_base64_encode(
            key, veil_str_n((const char *) nonce, sizeof(nonce)));
        veil_http_headers_add_id(hs, VEIL_HEADER_SEC_WEBSOCKET_KEY,
                                 VEIL_STR("Sec-WebSocket-Key"),
                                 veil_str_n(key, 24));
    }
}

void
veil_h2_head_done(veil_h2_stream_t *s)
{
    veil_http_request_t *r = s->r;

    s->state = H2_STREAM_REQUEST;
    s->started = true;
    if (s->protocol.len != 0) {
        h2_head_connect(s);
    }
    r->in.method = veil_http_method_find(s->method.data, s->method.len);
    r->in.method_name = s->method;
    if (r->in.method == VEIL_CONNECT) {
        s->path = s->authority; /* there is none (RFC 9113, 8.5) */
        s->in.tunnel = true;
        r->in.has_body = false;
    }
    r->in.unparsed_uri = s->path;
    r->in.target = s->path;
    r->in.form = r->in.method == VEIL_CONNECT ? VEIL_TARGET_AUTHORITY
                                              : VEIL_TARGET_ORIGIN;
    if (veil_str_eq(s->path, VEIL_STR("*"))) {
        r->in.form = VEIL_TARGET_ASTERISK;
    }
    r->in.request_line =
        veil_pool_printf(r->pool, "%.*s %.*s HTTP/2.0",
                         VEIL_STR_ARG(s->method), VEIL_STR_ARG(s->path));
    r->in.keepalive = true;
    r->keepalive = true;
    h2_head_host(s);
    h2_head_cookies(r);
    h2_head_body(s);
    if (s->broken != 0) {
        (void) veil_h2_guard_count(s->h2, H2_GUARD_REFUSED);
        veil_http_request_refuse(r, s->broken, r->reason);
    } else {
        veil_http_request_start(r);
    }
}
