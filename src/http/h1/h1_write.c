/*
 * h1_write.c -- sends a response: head, then the body as it can be pulled.
 *
 * The head is formatted into one buffer.  A small body in memory is copied
 * behind it, so that the common answer is one send of one piece of memory;
 * anything else goes out as slices, at most one file range a write.  After
 * each write the body is pulled again: the pace of the client is the pace of
 * the source.
 *
 * A body that ends before its declared length, or fails half-way, leaves
 * nothing that could still be said in HTTP/1: the connection is dropped, so
 * that the client sees a truncated message instead of a wrong one.
 */

#include "core/platform.h"

#include "core/time.h"
#include "event/transport.h"
#include "http/h1/h1_impl.h"

/* Bodies up to this size are copied behind the head: cheaper than an iovec
 * and a second look by the kernel. */
#define H1_COPY_MAX 8192

#define H1_PULL_SLICES (VEIL_CONN_SLICES - 3)

struct veil_h1_writer_s {
    veil_http_conn_t *hc;
    veil_http_request_t *r;
    veil_http_body_t *body; /* NULL: none, or over and done with */
    veil_timer_t delay;     /* limit_rate */
    veil_slice_t v[H1_PULL_SLICES];
    unsigned i, n;   /* v[i] .. v[n-1] are pulled and not written */
    veil_str_t head; /* not written yet */
    size_t in_write; /* body bytes of the write under way */
    size_t asked;    /* all bytes of the write under way */
    uint64_t pulled; /* body bytes in all */
    char frame[24];  /* a chunk's first line */
    bool chunked;
    bool crlf_due;   /* of the chunk before */
    bool ended;      /* the body said END */
    bool last;       /* the write under way is the last one */
    bool waiting;    /* for ready() */
    bool ready_late; /* ready() came during a write */
    bool over;       /* of a tunnel: all is sent, the other half goes on */
};

static void h1_write_more(veil_h1_writer_t *w);

/* --- ends ------------------------------------------------------------------
 */

void
veil_h1_writer_done(veil_h1_writer_t *w)
{
    veil_timer_cancel(&w->delay);
    if (w->body != NULL) {
        veil_http_body_abort(w->body);
        w->body = NULL;
    }
}

/* The message cannot be completed. */
static void
h1_write_truncated(veil_h1_writer_t *w, const char *why)
{
    veil_log(&w->r->log, VEIL_LOG_ERR, 0, "%s; the connection is closed", why);
    veil_h1_drop(w->r);
}

/* The body failed.  Before the head has gone that is an error response. */
static void
h1_write_failed(veil_h1_writer_t *w)
{
    veil_http_request_t *r = w->r;
    int error = w->body->error;

    if (r->headers_sent) {
        h1_write_truncated(w, "the response's body failed");
        return;
    }
    veil_http_body_abort(w->body);
    w->body = NULL;
    w->hc->h1.writer = NULL;
    r->out.body = NULL;
    r->responding = false;
    r->status = error != 0 ? error : 502;
    veil_http_send_error(r);
}

static void
h1_write_end(veil_h1_writer_t *w)
{
    veil_http_request_t *r = w->r;

    if (w->body != NULL) {
        veil_http_body_abort(w->body);
        w->body = NULL;
    }
    if (r->tunnelled && !w->hc->h1.body->let_go) {
        w->over = true; /* what the client says has not all been passed on */
        veil_conn_shutdown(&w->hc->c);
        return;
    }
    veil_h1_answered(r);
}

bool
veil_h1_write_is_over(const veil_h1_writer_t *w)
{
    return w != NULL && w->over;
}

/* --- one write -------------------------------------------------------------
 */

/* Moves pulled slices to out until a file, the room's or the list's end. */
static unsigned
h1_write_gather(veil_h1_writer_t *w, veil_slice_t *out, unsigned room,
                size_t *bytes, bool *file)
{
    unsigned n = 0;

    *bytes = 0;
    *file = false;
    while (w->i < w->n && n < room && !*file) {
        out[n] = w->v[w->i++];
        *bytes += out[n].len;
        *file = out[n].data == NULL;
        n++;
    }
    return n;
}

static veil_str_t
h1_write_last_chunk(veil_h1_writer_t *w)
{
    const veil_http_headers_t *trailers = w->body->trailers;
    const veil_http_header_t *h = NULL;
    size_t len = 9;
    char *text, *p;

    if (trailers == NULL || trailers->n == 0) {
        return w->crlf_due ? VEIL_STR("\r\n0\r\n\r\n") : VEIL_STR("0\r\n\r\n");
    }

    while ((h = veil_http_headers_next(trailers, h)) != NULL) {
        len += h->name.len + h->value.len + 4;
    }
    text = veil_pool_chars(w->r->pool, len);
    p = text;
    if (w->crlf_due) {
        p = veil_fmt_str(p, VEIL_STR("\r\n"));
    }
    p = veil_fmt_str(p, VEIL_STR("0\r\n"));
    while ((h = veil_http_headers_next(trailers, h)) != NULL) {
        p = veil_h1_format_field(p, h->name, h->value);
    }
    p = veil_fmt_str(p, VEIL_STR("\r\n"));
    return veil_str_n(text, (size_t) (p - text));
}

/* The first line of a chunk, with the end of the one before. */
static veil_slice_t
h1_write_chunk_line(veil_h1_writer_t *w, size_t bytes)
{
    char *p = w->frame;

    if (w->crlf_due) {
        *p++ = '\r';
        *p++ = '\n';
        w->crlf_due = false;
    }
    p = veil_fmt_hex(p, bytes);
    *p++ = '\r';
    *p++ = '\n';
    return veil_slice_mem(w->frame, (size_t) (p - w->frame));
}

/* What is asked for is remembered: a file that shrank sends less. */
static void
h1_write_start(veil_h1_writer_t *w, const veil_slice_t *out, unsigned n)
{
    unsigned i;

    w->asked = 0;
    for (i = 0; i < n; i++) {
        w->asked += out[i].len;
    }
    veil_conn_write(&w->hc->c, out, n);
}

/* Writes head and slices, as far as one write takes them. */
static void
h1_write_slices(veil_h1_writer_t *w)
{
    veil_slice_t out[VEIL_CONN_SLICES];
    unsigned n = 0, line = 0;
    size_t bytes;
    bool file;
    veil_str_t tail;

    if (w->head.len != 0) {
        out[n++] = veil_slice_mem(w->head.data, w->head.len);
        w->head = VEIL_STR_NULL;
    }
    if (w->chunked) {
        line = n++;
    }
    /* Room is left for the end of a chunk. */
    n += h1_write_gather(w, out + n, VEIL_CONN_SLICES - n - 1, &bytes, &file);
    w->in_write = bytes;
    w->last = w->ended && w->i == w->n;

    if (w->chunked) {
        if (bytes != 0) {
            out[line] = h1_write_chunk_line(w, bytes);
            w->crlf_due = true;
        } else {
            memmove(&out[line], &out[line + 1], (n - line - 1) * sizeof(*out));
            n--;
        }
        if (!file && w->crlf_due && !w->last) {
            out[n++] = veil_slice_mem("\r\n", 2);
            w->crlf_due = false;
        } else if (w->last && !file) {
            tail = h1_write_last_chunk(w);
            out[n++] = veil_slice_mem(tail.data, tail.len);
        } else if (w->last) {
            w->last = false; /* the last chunk follows in its own write */
        }
    }

    if (n == 0) {
        h1_write_end(w); /* nothing at all: an empty end of a plain body */
        return;
    }
    h1_write_start(w, out, n);
}

/* --- pulling ---------------------------------------------------------------
 */

static void
h1_write_resumed(veil_timer_t *t)
{
    h1_write_more(veil_container_of(t, veil_h1_writer_t, delay));
}

/* Bytes that may be pulled now; 0: later, the timer is set. */
static size_t
h1_write_allowance(veil_h1_writer_t *w)
{
    size_t max = (size_t) veil_http_core_loc(w->r)->sendfile_max_chunk;

    return veil_http_rate_left(w->r, w->pulled, max != 0 ? max : SIZE_MAX,
                               &w->delay);
}

/* Takes note of what came; false: the message is wrong and was dropped. */
static bool
h1_write_count(veil_h1_writer_t *w)
{
    int64_t length = w->r->out.content_length;
    unsigned i;

    for (i = w->i; i < w->n; i++) {
        w->pulled += w->v[i].len;
    }
    if (length < 0) {
        return true;
    }
    if (w->pulled > (uint64_t) length) {
        h1_write_truncated(w, "the response's body is longer than its "
                              "declared length");
        return false;
    }
    if (w->ended && w->pulled < (uint64_t) length) {
        h1_write_truncated(w, "the response's body is shorter than its "
                              "declared length");
        return false;
    }
    return true;
}

/* Pulls; true: there is something to write (slices, or the end). */
static bool
h1_write_pull(veil_h1_writer_t *w)
{
    veil_body_rc_t rc;
    size_t max;

    w->i = 0;
    w->n = 0;
    if (w->ended) {
        return true;
    }
    max = h1_write_allowance(w);
    if (max == 0) {
        return false;
    }

    w->n = H1_PULL_SLICES;
    rc = veil_http_body_pull(w->body, w->v, &w->n, max);
    switch (rc) {
    case VEIL_BODY_LATER:
        w->n = 0;
        w->waiting = true;
        return false;
    case VEIL_BODY_FAILED:
        w->n = 0;
        h1_write_failed(w);
        return false;
    case VEIL_BODY_END:
        w->ended = true;
        break;
    case VEIL_BODY_DATA:
        break;
    }
    return h1_write_count(w);
}

static void
h1_write_more(veil_h1_writer_t *w)
{
    if (w->i < w->n || h1_write_pull(w)) {
        h1_write_slices(w);
    }
}

static void
h1_write_ready(void *reader)
{
    veil_h1_writer_t *w = reader;

    if (!w->waiting) {
        return;
    }
    if (veil_conn_is_writing(&w->hc->c)) {
        w->ready_late = true;
        return;
    }
    w->waiting = false;
    h1_write_more(w);
}

/* --- interim responses
 * --------------------------------------------------------- */

/*
 * They may come at any time before the response, also while another one is
 * being sent: then they queue up, and so does the response itself.
 */
void
veil_h1_inform(veil_http_request_t *r, int status,
               const veil_http_headers_t *headers)
{
    veil_http_conn_t *hc = r->stream;
    const veil_http_header_t *h = NULL;
    veil_str_t reason = veil_http_status_reason(status);
    size_t len = hc->h1.interim.len + 32 + reason.len;
    veil_slice_t out;
    char *text, *p;

    if (hc->h1.writer != NULL || r->in.version < 11 || hc->c.closing) {
        return;
    }
    while (headers != NULL && (h = veil_http_headers_next(headers, h)) != NULL)
    {
        len += h->name.len + h->value.len + 4;
    }
    text = veil_pool_chars(r->pool, len);
    p = veil_fmt_str(text, hc->h1.interim);
    p = veil_fmt_str(p, VEIL_STR("HTTP/1.1 "));
    p = veil_fmt_uint(p, (uint64_t) status);
    *p++ = ' ';
    p = veil_fmt_str(p, reason);
    p = veil_fmt_str(p, VEIL_STR("\r\n"));
    while (headers != NULL && (h = veil_http_headers_next(headers, h)) != NULL)
    {
        p = veil_h1_format_field(p, h->name, h->value);
    }
    p = veil_fmt_str(p, VEIL_STR("\r\n"));

    if (veil_conn_is_writing(&hc->c)) {
        hc->h1.interim = veil_str_n(text, (size_t) (p - text));
        return;
    }
    out = veil_slice_mem(text, (size_t) (p - text));
    veil_conn_write_timeout(&hc->c, veil_http_core_loc(r)->send_timeout);
    veil_conn_write(&hc->c, &out, 1);
}

static void
h1_interim_sent(veil_http_conn_t *hc, ssize_t res)
{
    veil_http_request_t *r = hc->h1.r;
    veil_slice_t out;

    VEIL_ASSERT(r != NULL);
    if (res < 0) {
        hc->h1.interim = VEIL_STR_NULL;
        if (hc->h1.deferred) {
            hc->h1.deferred = false;
            r->responding = false;
        }
        veil_http_client_gone(r, (int) res);
        return;
    }
    r->bytes_sent += (uint64_t) res;
    if (hc->h1.interim.len != 0) {
        out = veil_slice_mem(hc->h1.interim.data, hc->h1.interim.len);
        hc->h1.interim = VEIL_STR_NULL;
        veil_conn_write(&hc->c, &out, 1);
    } else if (hc->h1.deferred) {
        hc->h1.deferred = false;
        if (r->tunnelled) {
            veil_h1_write_tunnel(r, r->out.body);
        } else {
            veil_h1_respond(r);
        }
    }
}

/* --- the connection's events ------------------------------------------------
 */

void
veil_h1_on_sent(veil_conn_t *c, ssize_t res)
{
    veil_http_conn_t *hc = veil_container_of(c, veil_http_conn_t, c);
    veil_h1_writer_t *w = hc->h1.writer;
    veil_http_request_t *r;
    size_t bytes, missing;

    if (w == NULL) {
        h1_interim_sent(hc, res);
        return;
    }
    r = w->r;

    if (res < 0) {
        veil_http_client_gone(r, (int) res);
        return;
    }
    r->bytes_sent += (uint64_t) res;
    if ((size_t) res < w->asked && !c->closing) {
        /* Only a file range can end early; it is the last that is written. */
        missing = w->asked - (size_t) res;
        r->body_bytes_sent +=
            w->in_write - veil_min_size(w->in_write, missing);
        h1_write_truncated(w, "the file was truncated while it was sent");
        return;
    }
    r->body_bytes_sent += w->in_write;
    bytes = w->in_write;
    w->in_write = 0;
    if (bytes != 0 && w->body != NULL) {
        veil_http_body_consume(w->body, bytes);
    }

    if (r->aborted) {
        veil_http_request_end(r);
    } else if (w->last) {
        h1_write_end(w);
    } else if (!w->waiting) {
        h1_write_more(w);
    } else if (w->ready_late) {
        w->ready_late = false;
        w->waiting = false;
        h1_write_more(w);
    }
}

void
veil_h1_on_write_timeout(veil_conn_t *c)
{
    veil_http_conn_t *hc = veil_container_of(c, veil_http_conn_t, c);
    veil_http_request_t *r = hc->h1.r;

    hc->h1.timed_out = true;
    if (r == NULL) {
        veil_h1_close(hc);
        return;
    }
    veil_log(&r->log, VEIL_LOG_INFO, ETIMEDOUT,
             "client timed out while the response was sent");
    /* A handler may be at work, if it was an interim response: it is told. */
    veil_http_abort(r, NULL);
}

/* --- the beginning ----------------------------------------------------------
 */

/* All in memory and small: the body goes behind the head. */
static bool
h1_write_fits(const veil_h1_writer_t *w, size_t *total)
{
    size_t n = 0;
    unsigned i;

    if (w->chunked) {
        return false;
    }
    for (i = 0; i < w->n; i++) {
        if (w->v[i].data == NULL) {
            return false;
        }
        n += w->v[i].len;
    }
    *total = n;
    return n <= H1_COPY_MAX;
}

static void
h1_write_joined(veil_h1_writer_t *w, size_t total)
{
    veil_str_t head = veil_h1_format_head(w->r, false, total);
    char *p = (char *) (uintptr_t) head.data + head.len;
    veil_slice_t out;
    unsigned i;

    for (i = 0; i < w->n; i++) {
        memcpy(p, w->v[i].data, w->v[i].len);
        p += w->v[i].len;
    }
    w->i = 0;
    w->n = 0;
    w->in_write = total;
    w->last = w->ended;
    out = veil_slice_mem(head.data, head.len + total);
    h1_write_start(w, &out, 1);
}

static veil_h1_writer_t *
h1_writer_create(veil_http_conn_t *hc, veil_http_request_t *r)
{
    veil_h1_writer_t *w = veil_pool_alloc(r->pool, sizeof(*w));

    memset(w, 0, offsetof(veil_h1_writer_t, v));
    memset(&w->i, 0, sizeof(*w) - offsetof(veil_h1_writer_t, i));
    w->hc = hc;
    w->r = r;
    veil_timer_init(&w->delay, h1_write_resumed);
    hc->h1.writer = w;
    return w;
}

/* How the end of the body will be told (RFC 9112, 6.3). */
static void
h1_write_framing(veil_h1_writer_t *w)
{
    veil_http_request_t *r = w->r;

    if (r->header_only || w->body == NULL || r->out.content_length >= 0) {
        return;
    }
    if (r->in.version >= 11
        && veil_http_core_loc(r)->chunked_transfer_encoding) {
        w->chunked = true;
        return;
    }
    r->keepalive = false; /* the end of the connection is the body's */
}

void
veil_h1_write_tunnel(veil_http_request_t *r, veil_http_body_t *body)
{
    veil_http_conn_t *hc = r->stream;
    veil_h1_writer_t *w;

    if (veil_conn_is_writing(&hc->c)) {
        hc->h1.deferred = true; /* an interim response is on its way */
        r->out.body = body;
        return;
    }
    w = h1_writer_create(hc, r);
    veil_conn_write_timeout(&hc->c, veil_http_core_loc(r)->send_timeout);
    w->body = body;
    veil_http_body_set_reader(body, h1_write_ready, w);
    r->headers_sent = true;
    w->head = veil_h1_format_head(r, false, 0);
    w->waiting = true; /* the body is pulled when the head has gone */
    w->ready_late = true;
    h1_write_slices(w);
}

void
veil_h1_respond(veil_http_request_t *r)
{
    veil_http_conn_t *hc = r->stream;
    veil_h1_writer_t *w;
    size_t total;
    bool some;

    VEIL_CHECK(hc, VEIL_HTTP_CONN);
    if (veil_conn_is_writing(&hc->c)) {
        hc->h1.deferred = true; /* an interim response is on its way */
        return;
    }
    w = h1_writer_create(hc, r);

    if (r->keepalive && !veil_h1_may_keepalive(hc, r)) {
        r->keepalive = false;
    }
    if (hc->h1.body != NULL && hc->h1.state == &veil_h1_hold && !r->body_taken
        && !veil_h1_body_drop(hc) && !hc->h1.body->complete)
    {
        r->keepalive = false; /* a body that may come or not */
    }
    veil_conn_write_timeout(&hc->c, veil_http_core_loc(r)->send_timeout);

    if (r->out.body != NULL && !hc->c.transport->can_sendfile) {
        r->out.body =
            veil_http_body_to_memory(r->pool, r->loop, r->out.body, 0);
    }
    w->body = r->out.body;
    h1_write_framing(w);

    if (r->header_only || w->body == NULL) {
        if (w->body != NULL) {
            veil_http_body_abort(w->body);
            w->body = NULL;
        }
        w->ended = true;
        r->headers_sent = true;
        w->head = veil_h1_format_head(r, w->chunked, 0);
        h1_write_slices(w);
        return;
    }

    veil_http_body_set_reader(w->body, h1_write_ready, w);
    some = h1_write_pull(w);
    if (hc->h1.writer != w) {
        return; /* it failed before it began */
    }
    r->headers_sent = true;

    if (some && h1_write_fits(w, &total)) {
        h1_write_joined(w, total);
        return;
    }
    w->head = veil_h1_format_head(r, w->chunked, 0);
    h1_write_slices(w);
}
