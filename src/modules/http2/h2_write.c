/*
 * h2_write.c -- a response over HTTP/2: its head as fields, its body as the
 * windows allow.
 *
 * The library asks for the bytes of a DATA frame when it is to be sent, and
 * only then is the body pulled: into the buffer of the connection's next
 * write, behind the place of the frame's head, and consumed at once.  So bytes
 * are copied once on their way, and what is read from a file not even that.  A
 * body that has nothing yet defers its stream, and others go on.
 */

#include "modules/http2/h2.h"

#include "core/version.h"

/* Less than this is no progress: a window may be opened byte by byte. */
#define H2_PROGRESS 1024

/* --- fields ----------------------------------------------------------------
 */

typedef struct {
    nghttp2_nv *nv;
    size_t n;
    size_t cap;
    veil_pool_t *pool;
} h2_fields_t;

static void
h2_fields_add(h2_fields_t *f, veil_str_t name, veil_str_t value)
{
    nghttp2_nv *nv = &f->nv[f->n++];

    VEIL_ASSERT(f->n <= f->cap);
    nv->name = (uint8_t *) (uintptr_t) name.data;
    nv->namelen = name.len;
    nv->value = (uint8_t *) (uintptr_t) value.data;
    nv->valuelen = value.len;
    nv->flags = NGHTTP2_NV_FLAG_NONE;
}

/* A field of the configuration's or an upstream's making. */
static void
h2_fields_add_any(h2_fields_t *f, const veil_http_header_t *h)
{
    char *name, *value;
    size_t i, start = 0, end = h->value.len;
    unsigned char c;

    if (h->id != 0 && veil_http_header_is_hop(h->id)
        && h->id != VEIL_HEADER_TRAILER)
    {
        return; /* HTTP/1's (RFC 9113, 8.2.2) */
    }
    while (start < end
           && (h->value.data[start] == ' ' || h->value.data[start] == '\t'))
    {
        start++;
    }
    while (
        end > start
        && (h->value.data[end - 1] == ' ' || h->value.data[end - 1] == '\t'))
    {
        end--;
    }
    name = veil_pool_chars(f->pool, h->name.len);
    veil_str_lower(name, h->name.data, h->name.len);
    value = veil_pool_chars(f->pool, end - start + 1);
    for (i = start; i < end; i++) {
        c = (unsigned char) h->value.data[i];
        value[i - start] =
            (c == '\r' || c == '\n' || c == '\0') ? ' ' : (char) c;
    }
    h2_fields_add(f, veil_str_n(name, h->name.len),
                  veil_str_n(value, end - start));
}

static void
h2_fields_add_all(h2_fields_t *f, const veil_http_headers_t *hs)
{
    const veil_http_header_t *h = NULL;

    while (hs != NULL && (h = veil_http_headers_next(hs, h)) != NULL) {
        h2_fields_add_any(f, h);
    }
}

static h2_fields_t
h2_fields_create(veil_http_request_t *r, size_t cap)
{
    h2_fields_t f = { .n = 0, .cap = cap, .pool = r->pool };

    f.nv = veil_pool_alloc(r->pool, cap * sizeof(*f.nv));
    return f;
}

static veil_str_t
h2_status(veil_http_request_t *r, int status)
{
    return status == 200
               ? VEIL_STR("200")
               : veil_pool_printf(r->pool, "%03u", (unsigned) status);
}

static veil_str_t
h2_server(const veil_http_request_t *r)
{
    const veil_http_core_loc_t *conf = veil_http_core_loc(r);

    if (conf->server_tokens_text.len != 0) {
        return conf->server_tokens_text;
    }
    return conf->server_tokens == VEIL_TOKENS_OFF
               ? VEIL_STR("veil")
               : VEIL_STR("veil/" VEIL_VERSION);
}

static veil_str_t
h2_type(veil_http_request_t *r)
{
    if (r->out.charset.len == 0) {
        return r->out.content_type;
    }
    return veil_pool_printf(r->pool, "%.*s; charset=%.*s",
                            VEIL_STR_ARG(r->out.content_type),
                            VEIL_STR_ARG(r->out.charset));
}

static veil_str_t
h2_date(veil_http_request_t *r, int64_t sec)
{
    char *p = veil_pool_chars(r->pool, VEIL_HTTP_DATE_LEN);

    veil_http_date_format(p, sec);
    return veil_str_n(p, VEIL_HTTP_DATE_LEN);
}

/* The head, in nginx's order. */
static h2_fields_t
h2_head(veil_http_request_t *r)
{
    h2_fields_t f = h2_fields_create(r, r->out.headers.n + 10);
    int status = r->out.status;

    h2_fields_add(&f, VEIL_STR(":status"), h2_status(r, status));
    if (!r->out.server_given) {
        h2_fields_add(&f, VEIL_STR("server"), h2_server(r));
    }
    if (!r->out.date_given) {
        h2_fields_add(&f, VEIL_STR("date"),
                      veil_pool_str(r->pool, veil_clock.http));
    }
    if (r->out.content_type.len != 0) {
        h2_fields_add(&f, VEIL_STR("content-type"), h2_type(r));
    }
    if (r->out.content_length >= 0 && status != 204 && status != 304) {
        h2_fields_add(&f, VEIL_STR("content-length"),
                      veil_pool_printf(r->pool, "%lld",
                                       (long long) r->out.content_length));
    }
    if (r->out.last_modified >= 0) {
        h2_fields_add(&f, VEIL_STR("last-modified"),
                      h2_date(r, r->out.last_modified));
    }
    if (r->out.location.len != 0) {
        h2_fields_add(&f, VEIL_STR("location"), r->out.location);
    }
    if (r->out.etag.len != 0) {
        h2_fields_add(&f, VEIL_STR("etag"), r->out.etag);
    }
    if (r->out.allow_ranges && status < 400 && status != 206) {
        h2_fields_add(&f, VEIL_STR("accept-ranges"), VEIL_STR("bytes"));
    }
    h2_fields_add_all(&f, &r->out.headers);
    return f;
}

/* --- the body --------------------------------------------------------------
 */

static void
h2_write_moved(veil_h2_stream_t *s)
{
    s->moved_ms = veil_now_ms();
    s->moved = s->sent;
}

static void
h2_write_resumed(veil_timer_t *t)
{
    veil_h2_stream_t *s = veil_container_of(t, veil_h2_stream_t, delay);

    h2_write_moved(s);
    (void) nghttp2_session_resume_data(s->h2->session, s->id);
    veil_h2_wake(s->h2);
}

void
veil_h2_stream_timers(veil_h2_stream_t *s)
{
    veil_timer_init(&s->timer, veil_h2_body_timed_out);
    veil_timer_init(&s->delay, h2_write_resumed);
}

static void
h2_write_ready(void *reader)
{
    veil_h2_stream_t *s = reader;

    if (s->read_waiting) {
        s->read_waiting = false;
        h2_write_moved(s);
        if (!s->closed) {
            (void) nghttp2_session_resume_data(s->h2->session, s->id);
        }
        veil_h2_wake(s->h2);
    }
}

static void
h2_write_taken(veil_h2_stream_t *s, size_t len)
{
    s->sent += len;
    if (s->sent - s->moved >= H2_PROGRESS) {
        h2_write_moved(s);
    }
    s->r->body_bytes_sent += len;
    s->r->bytes_sent += len;
}

/* The body has ended: as it should, with trailers, or too early. */
static ssize_t
h2_write_end(veil_h2_stream_t *s, ssize_t len, uint32_t *flags)
{
    const veil_http_headers_t *trailers = s->out->trailers;
    int64_t length = s->r->out.content_length;
    h2_fields_t f;

    if (length >= 0 && s->sent != (uint64_t) length) {
        veil_log(&s->r->log, VEIL_LOG_ERR, 0,
                 "the response's body is not of its declared length; the "
                 "stream is reset");
        return NGHTTP2_ERR_TEMPORAL_CALLBACK_FAILURE;
    }
    *flags |= NGHTTP2_DATA_FLAG_EOF;
    if (trailers != NULL && trailers->n != 0) {
        f = h2_fields_create(s->r, trailers->n);
        h2_fields_add_all(&f, trailers);
        if (f.n != 0
            && nghttp2_submit_trailer(s->h2->session, s->id, f.nv, f.n) == 0) {
            *flags |= NGHTTP2_DATA_FLAG_NO_END_STREAM;
        }
    }
    return len;
}

/* What the frame needs room for: no more than is left of a known length. */
static size_t
h2_write_wanted(const veil_h2_stream_t *s, size_t max)
{
    int64_t length = s->r->out.content_length;

    if (length <= (int64_t) s->sent) {
        return max; /* unknown, or the end is to be seen yet */
    }
    return veil_min_size(max, (size_t) length - (size_t) s->sent);
}

/*
 * The library wants at most so many bytes of a frame; veil_h2_out_data()
 * follows at once.
 */
static ssize_t
h2_write_read(nghttp2_session *session, int32_t id, uint8_t *buf, size_t max,
              uint32_t *flags, nghttp2_data_source *source, void *data)
{
    veil_h2_stream_t *s = source->ptr;
    unsigned char *to;
    size_t len;

    (void) session;
    (void) id;
    (void) buf;
    (void) data;
    len =
        veil_http_rate_left(s->r, s->sent, h2_write_wanted(s, max), &s->delay);
    if (len == 0) {
        return NGHTTP2_ERR_DEFERRED;
    }
    to = veil_h2_out_room(s->h2, H2_FRAME_HEAD + len);
    if (to == NULL) {
        return NGHTTP2_ERR_PAUSE;
    }
    *flags |= NGHTTP2_DATA_FLAG_NO_COPY;
    switch (veil_http_body_take(s->out, to + H2_FRAME_HEAD, &len)) {
    case VEIL_BODY_LATER:
        s->read_waiting = true;
        return NGHTTP2_ERR_DEFERRED;
    case VEIL_BODY_FAILED:
        veil_log(&s->r->log, VEIL_LOG_ERR, 0,
                 "the response's body failed; the stream is reset");
        return NGHTTP2_ERR_TEMPORAL_CALLBACK_FAILURE;
    case VEIL_BODY_DATA:
        h2_write_taken(s, len);
        break;
    case VEIL_BODY_END:
        h2_write_taken(s, len);
        return h2_write_end(s, (ssize_t) len, flags);
    }
    return (ssize_t) len;
}

/* --- responses -------------------------------------------------------------
 */

void
veil_h2_inform(veil_http_request_t *r, int status,
               const veil_http_headers_t *headers)
{
    veil_h2_stream_t *s = r->stream;
    h2_fields_t f;

    if (s->state != H2_STREAM_REQUEST || s->closed) {
        return;
    }
    f = h2_fields_create(r, (headers != NULL ? headers->n : 0) + 1);
    h2_fields_add(&f, VEIL_STR(":status"), h2_status(r, status));
    h2_fields_add_all(&f, headers);
    (void) nghttp2_submit_headers(s->h2->session, NGHTTP2_FLAG_NONE, s->id,
                                  NULL, f.nv, f.n, NULL);
    veil_h2_wake(s->h2);
}

/* The head, and the body if there is one. */
static void
h2_write_submit(veil_http_request_t *r, veil_http_body_t *body)
{
    veil_h2_stream_t *s = r->stream;
    nghttp2_data_provider provider = { .source = { .ptr = s },
                                       .read_callback = h2_write_read };
    h2_fields_t f;

    s->state = H2_STREAM_SENDING;
    h2_write_moved(s);
    r->headers_sent = true;
    f = h2_head(r);
    if (body != NULL) {
        s->out = veil_http_body_to_memory(r->pool, r->loop, body, 0);
        veil_http_body_set_reader(s->out, h2_write_ready, s);
        if (r->out.body != NULL) {
            r->out.body = s->out;
        }
        veil_h2_priority_respond(s);
    }
    if (nghttp2_submit_response(s->h2->session, s->id, f.nv, f.n,
                                body != NULL ? &provider : NULL)
        != 0)
    {
        veil_h2_over(s);
        return;
    }
    veil_h2_wake(s->h2);
}

/*
 * Only a CONNECT can get here, plain or extended: 101 is 200 then, and DATA in
 * both directions what the tunnel carries (RFC 9113, 8.5; RFC 8441, 5).
 */
veil_http_body_t *
veil_h2_tunnel(veil_http_request_t *r, veil_http_body_t *to_client)
{
    veil_h2_stream_t *s = r->stream;
    veil_http_header_t *accept = veil_http_headers_get(
        &r->out.headers, VEIL_HEADER_SEC_WEBSOCKET_ACCEPT, NULL);

    VEIL_ASSERT(s->in.tunnel);
    veil_h2_body_begin(s);
    s->in.body.length = -1;
    r->responding = true;
    r->tunnelled = true;
    r->status = 200;
    r->out.status = 200;
    r->out.content_length = -1;
    if (accept != NULL) {
        accept->removed = true; /* the key was ours */
    }
    if (s->closed || s->state != H2_STREAM_REQUEST) {
        veil_http_body_abort(to_client);
        veil_h2_over(s);
    } else {
        h2_write_submit(r, to_client);
    }
    return &s->in.body;
}

void
veil_h2_respond(veil_http_request_t *r)
{
    veil_h2_stream_t *s = r->stream;

    if (r->out.body != NULL && r->header_only) {
        veil_http_body_abort(r->out.body);
        r->out.body = NULL;
    }
    if (s->state != H2_STREAM_REQUEST || s->closed) {
        veil_h2_over(s);
        return;
    }
    h2_write_submit(r, r->out.body);
}
