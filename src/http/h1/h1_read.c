/*
 * h1_read.c -- bytes to a request.
 *
 * A complete head is copied once, into the request's pool, straight from the
 * block it arrived in; an incomplete one is collected in a buffer of the
 * connection, which grows to the configured limit and exists only that long.
 * So no receive block is held while a client dawdles, and everything parsed
 * is a view of memory that lives as long as the request.
 *
 * The parser is strict (parse.h).  Whatever it refuses gets the status that
 * fits, one line in the log that says why, and the end of the connection:
 * after a framing error nobody knows where the next request would begin.
 */

#include "core/platform.h"

#include "core/time.h"
#include "http/h1/h1_impl.h"
#include "http/parse/token.h"
#include "http/rejects.h"

/* Fields for which room is made at once; a browser sends some fifteen. */
#define H1_HEADERS_RESERVE 20

void
veil_h1_free_head(veil_http_conn_t *hc)
{
    if (hc->h1.head != NULL) {
        veil_free(hc->h1.head);
        hc->h1.head = NULL;
        hc->h1.head_len = 0;
        hc->h1.head_cap = 0;
        hc->h1.scanned = 0;
    }
}

/* --- refusing --------------------------------------------------------------
 */

static veil_http_request_t *
h1_new_request(veil_http_conn_t *hc)
{
    veil_http_request_t *r;

    r = veil_http_request_create(hc, &veil_h1_proto, hc);
    hc->h1.r = r;
    hc->nrequests++;
    r->pipelined = hc->h1.pipelined;
    return r;
}

/* head: what came of it; fault: where in it, NULL: nowhere. */
static void
h1_refuse(veil_http_conn_t *hc, veil_http_request_t *r, int status,
          const char *why, veil_str_t head, const char *fault)
{
    r->keepalive = false;
    veil_http_reject_request(r, status, why, head, fault);
    veil_h1_enter(hc, &veil_h1_hold, 0);
    veil_http_request_refuse(r, status, why);
}

void
veil_h1_refuse_head(veil_http_conn_t *hc, int status, const char *why)
{
    veil_http_request_t *r = h1_new_request(hc);
    veil_str_t head = veil_str_n(hc->h1.head, hc->h1.head_len);
    veil_str_t text = head;
    ptrdiff_t eol = veil_str_chr(text, '\r');

    text.len = eol >= 0 ? (size_t) eol : veil_min_size(text.len, 256);
    r->in.request_line = veil_pool_str(r->pool, text);
    hc->h1.timed_out = status == 408;
    veil_http_reject_request(r, status, why, head, head.data + head.len);
    veil_h1_free_head(hc);
    h1_refuse(hc, r, status, why, VEIL_STR_NULL, NULL);
}

/* --- parsing ---------------------------------------------------------------
 */

/* Connection: the tokens that concern us. */
static void
h1_parse_connection(veil_http_request_t *r)
{
    const veil_http_header_t *h = NULL;
    bool upgrade = false;

    r->in.keepalive = r->in.version >= 11;
    while (
        (h = veil_http_headers_get(&r->in.headers, VEIL_HEADER_CONNECTION, h))
        != NULL)
    {
        if (veil_http_list_has(h->value, VEIL_STR("close"))) {
            r->in.keepalive = false;
        } else if (r->in.version == 10
                   && veil_http_list_has(h->value, VEIL_STR("keep-alive")))
        {
            r->in.keepalive = true;
        }
        if (veil_http_list_has(h->value, VEIL_STR("upgrade"))) {
            upgrade = true;
        }
    }
    r->in.upgrade =
        upgrade && r->in.version >= 11
        && veil_http_headers_get(&r->in.headers, VEIL_HEADER_UPGRADE, NULL)
               != NULL;
}

/* As nginx's $request_uri: what follows the host, with a path at least. */
static veil_str_t
h1_unparsed_uri(veil_http_request_t *r, const veil_http_request_line_t *line)
{
    if (line->form != VEIL_TARGET_ABSOLUTE) {
        return line->target;
    }
    if (line->uri.len != 0 && line->uri.data[0] == '/') {
        return line->uri;
    }
    return veil_pool_printf(r->pool, "/%.*s", VEIL_STR_ARG(line->uri));
}

static veil_http_parse_t
h1_parse_line(veil_http_request_t *r, const char *p, size_t n, size_t *len)
{
    veil_http_request_line_t line;
    veil_http_parse_t e;

    e = veil_http_request_line_parse(p, n, &line);
    r->in.request_line = line.line;
    *len = line.len;
    if (e != VEIL_PARSE_OK) {
        return e;
    }
    r->in.method = line.method;
    r->in.method_name = line.method_name;
    r->in.version = line.version;
    r->in.unparsed_uri = h1_unparsed_uri(r, &line);
    r->in.target = line.uri;
    r->in.form = line.form;
    if (line.form == VEIL_TARGET_ABSOLUTE
        || line.form == VEIL_TARGET_AUTHORITY) {
        r->in.host = line.host.name;
        r->in.host_port = line.host.port;
        r->in.host_is_lower = line.host.lower;
        r->in.host_from_target = true;
    }
    return VEIL_PARSE_OK;
}

/* A name nginx would call invalid: skipped, refused, or let through. */
static bool
h1_field_is_welcome(veil_http_conn_t *hc, veil_http_request_t *r,
                    const veil_http_field_t *f)
{
    const veil_http_core_server_t *conf = veil_http_conn_server(hc);

    if (f->flags == 0
        || (f->flags == VEIL_FIELD_UNDERSCORE && conf->underscores_in_headers)
        || (!conf->ignore_invalid_headers
            && (f->flags & VEIL_FIELD_NOT_TOKEN) == 0))
    {
        return true;
    }
    veil_log(&r->log, VEIL_LOG_INFO, 0,
             "client sent invalid header line: \"%.*s\": ignored",
             VEIL_STR_ARG(f->name));
    return false;
}

/* nginx's rule: a line fits in one of the large buffers. */
static size_t
h1_line_limit(veil_http_conn_t *hc)
{
    const veil_http_core_server_t *conf = veil_http_conn_server(hc);

    return (size_t) (conf->large_buffers_size > conf->client_header_buffer_size
                         ? conf->large_buffers_size
                         : conf->client_header_buffer_size);
}

static veil_http_parse_t
h1_parse_fields(veil_http_conn_t *hc, veil_http_request_t *r, const char *p,
                size_t n, const char **fault)
{
    int64_t max = veil_http_conn_server(hc)->max_headers;
    size_t longest = h1_line_limit(hc);
    veil_http_framing_t framing;
    veil_http_fields_t it;
    veil_http_field_t f;
    veil_http_parse_t e;

    veil_http_fields_init(&it, p, n, 0);
    veil_http_framing_init(&framing);

    while ((e = veil_http_fields_next(&it, &f)) == VEIL_PARSE_OK) {
        *fault = f.name.data;
        e = veil_http_framing_add(&framing, &f);
        if (e != VEIL_PARSE_OK) {
            *fault = f.value.data;
            return e;
        }
        if (f.name.len + f.value.len > longest) {
            return VEIL_PARSE_HEAD_LONG;
        }
        if (f.flags != 0 && !h1_field_is_welcome(hc, r, &f)) {
            continue;
        }
        if (max != 0 && r->in.headers.n >= (uint64_t) max) {
            return VEIL_PARSE_HEAD_LONG;
        }
        if (f.id != 0 && veil_http_header_is_unique(f.id)
            && veil_http_headers_may_have(&r->in.headers, f.id))
        {
            r->reason = "a duplicate header";
            return VEIL_PARSE_HOST;
        }
        veil_http_headers_add_id(&r->in.headers, f.id, f.name, f.value);
    }
    if (e != VEIL_PARSE_END) {
        *fault = veil_http_parse_fault(e, it.p, (size_t) (it.end - it.p));
        return e;
    }

    *fault = NULL;
    e = veil_http_framing_request(&framing, r->in.version);
    if (e != VEIL_PARSE_OK) {
        return e;
    }
    r->in.has_body = framing.kind != VEIL_FRAMING_NONE;
    r->in.chunked = framing.kind == VEIL_FRAMING_CHUNKED;
    r->in.content_length = framing.length;
    return VEIL_PARSE_OK;
}

/* Host against the target: RFC 9112, 3.2. */
static veil_http_parse_t
h1_parse_host(veil_http_request_t *r, const char **fault)
{
    const veil_http_header_t *h;
    veil_http_host_t host;
    veil_http_parse_t e;

    h = veil_http_headers_get(&r->in.headers, VEIL_HEADER_HOST, NULL);
    if (h == NULL) {
        if (r->in.version >= 11) {
            r->reason = "no Host header with HTTP/1.1";
            return VEIL_PARSE_HOST;
        }
        return VEIL_PARSE_OK;
    }
    if (h->value.len == 0) {
        return VEIL_PARSE_OK; /* allowed for targets without authority */
    }
    e = veil_http_host_parse(h->value, &host);
    *fault = h->value.data;
    if (e != VEIL_PARSE_OK || r->in.host_from_target) {
        return e;
    }
    r->in.host = host.name;
    r->in.host_port = host.port;
    r->in.host_is_lower = host.lower;
    return VEIL_PARSE_OK;
}

static veil_http_parse_t
h1_parse(veil_http_conn_t *hc, veil_http_request_t *r, const char *p, size_t n,
         const char **fault)
{
    veil_http_parse_t e;
    size_t len;

    e = h1_parse_line(r, p, n, &len);
    if (e == VEIL_PARSE_OK && len > h1_line_limit(hc)) {
        e = VEIL_PARSE_LINE_LONG;
    }
    if (e != VEIL_PARSE_OK) {
        *fault = veil_http_parse_fault(e, p, len);
        return e;
    }
    e = h1_parse_fields(hc, r, p + len, n - len, fault);
    if (e == VEIL_PARSE_OK) {
        e = h1_parse_host(r, fault);
    }
    if (e == VEIL_PARSE_OK && r->in.headers.n != 0) {
        h1_parse_connection(r);
    }
    return e;
}

/* --- one head --------------------------------------------------------------
 */

static void
h1_on_head(veil_http_conn_t *hc, const char *head, size_t n)
{
    veil_http_request_t *r = h1_new_request(hc);
    char *p = veil_pool_chars(r->pool, n);
    veil_http_parse_t e;
    const char *why, *fault = NULL;

    memcpy(p, head, n);
    veil_h1_free_head(hc);
    r->bytes_received = n;

    veil_http_headers_init(&r->in.headers, r->pool, H1_HEADERS_RESERVE);
    e = h1_parse(hc, r, p, n, &fault);
    if (e != VEIL_PARSE_OK) {
        why = r->reason != NULL ? r->reason : veil_http_parse_reason(e);
        h1_refuse(hc, r, veil_http_parse_status(e), why, veil_str_n(p, n),
                  fault);
        return;
    }

    r->keepalive = r->in.keepalive;
    if (r->in.has_body) {
        r->in.expect_continue =
            r->in.version >= 11
            && veil_str_caseeq(
                veil_http_headers_value(&r->in.headers, VEIL_HEADER_EXPECT),
                VEIL_STR("100-continue"));
        veil_h1_body_create(hc, r);
    }
    veil_h1_enter(hc, &veil_h1_hold, 0);
    veil_http_request_start(r);
}

/* --- collecting an incomplete one ------------------------------------------
 */

static size_t
h1_head_limit(const veil_http_core_server_t *conf)
{
    return conf->client_max_header_size != 0
               ? (size_t) conf->client_max_header_size
               : (size_t) (conf->large_buffers_n * conf->large_buffers_size);
}

/* Makes room for more; false: the limit is reached. */
static bool
h1_head_grow(veil_http_conn_t *hc)
{
    const veil_http_core_server_t *conf = veil_http_conn_server(hc);
    size_t limit = h1_head_limit(conf);
    size_t cap;

    if (hc->h1.head_len < hc->h1.head_cap) {
        return true;
    }
    if (hc->h1.head_cap >= limit) {
        return false;
    }
    cap = hc->h1.head_cap == 0 ? (size_t) conf->client_header_buffer_size
                               : (size_t) hc->h1.head_cap * 2;
    cap = veil_min_size(cap, limit);
    hc->h1.head = veil_realloc(hc->h1.head, cap);
    hc->h1.head_cap = (uint32_t) cap;
    return true;
}

/* A request line longer than one large buffer: nginx's rule for 414. */
static bool
h1_line_is_too_long(veil_http_conn_t *hc)
{
    size_t max = h1_line_limit(hc);

    return hc->h1.head_len > max && memchr(hc->h1.head, '\n', max) == NULL;
}

/* How far a first head is the beginning of something else's. */
typedef enum { H1_NO_PREFACE, H1_MAYBE_PREFACE, H1_PREFACE } h1_preface_t;

static h1_preface_t
h1_preface(const veil_http_conn_t *hc, const void *data, size_t len)
{
    const veil_http_alternative_t *other = hc->server->alternative;

    if (other == NULL || hc->nrequests != 0 || hc->secure
        || memcmp(data, other->preface.data,
                  veil_min_size(len, other->preface.len))
               != 0)
    {
        return H1_NO_PREFACE;
    }
    return len < other->preface.len ? H1_MAYBE_PREFACE : H1_PREFACE;
}

/* The connection is the other protocol's, with what was collected of it. */
static void
h1_become_other(veil_http_conn_t *hc, veil_buf_t *b)
{
    char *head = hc->h1.head;
    size_t len = hc->h1.head_len;
    veil_buf_t first = { .block = NULL };

    hc->server->alternative->start(hc);
    if (head != NULL) {
        first.pos = (unsigned char *) head;
        first.end = first.pos + len;
        hc->c.ops->on_data(&hc->c, &first);
        veil_free(head);
    }
    if (b->pos < b->end && !hc->c.closing) {
        hc->c.ops->on_data(&hc->c, b);
    }
}

static void
h1_collect(veil_http_conn_t *hc, veil_buf_t *b)
{
    h1_preface_t preface;
    veil_http_parse_t e;
    size_t n, end, scanned;

    while (b->pos < b->end) {
        if (!h1_head_grow(hc)) {
            e = veil_http_head_too_long(hc->h1.head, hc->h1.head_len);
            veil_h1_refuse_head(hc, veil_http_parse_status(e),
                                veil_http_parse_reason(e));
            return;
        }
        n = veil_min_size(veil_buf_len(b), hc->h1.head_cap - hc->h1.head_len);
        memcpy(hc->h1.head + hc->h1.head_len, b->pos, n);
        b->pos += n;
        hc->h1.head_len += (uint32_t) n;

        preface = h1_preface(hc, hc->h1.head, hc->h1.head_len);
        if (preface == H1_PREFACE) {
            h1_become_other(hc, b);
            return;
        }
        if (preface == H1_MAYBE_PREFACE) {
            continue;
        }
        scanned = hc->h1.scanned;
        end = veil_http_head_find_end(hc->h1.head, hc->h1.head_len, &scanned);
        hc->h1.scanned = (uint32_t) scanned;
        if (end != 0) {
            /* What follows the head came with this piece: it stays.  More
               than that was collected only where a preface had begun, and
               the head that is the start of one is refused: 505. */
            b->pos -= veil_min_size(hc->h1.head_len - end, n);
            h1_on_head(hc, hc->h1.head, end);
            return;
        }
        if (h1_line_is_too_long(hc)) {
            veil_h1_refuse_head(hc, 414,
                                veil_http_parse_reason(VEIL_PARSE_LINE_LONG));
            return;
        }
    }

    e = veil_http_head_check_begin(hc->h1.head, hc->h1.head_len);
    if (e != VEIL_PARSE_OK) {
        veil_h1_refuse_head(hc, veil_http_parse_status(e),
                            veil_http_parse_reason(e));
    } else if (hc->h1.state != &veil_h1_head) {
        veil_h1_enter(hc, &veil_h1_head,
                      veil_http_conn_server(hc)->client_header_timeout);
    }
}

void
veil_h1_on_head_data(veil_http_conn_t *hc, veil_buf_t *b)
{
    size_t n, scanned = 0;
    h1_preface_t preface;

    if (hc->h1.head == NULL) {
        preface = h1_preface(hc, b->pos, veil_buf_len(b));
        if (preface == H1_PREFACE) {
            h1_become_other(hc, b);
            return;
        }
        if (preface == H1_MAYBE_PREFACE) {
            /* Its first line and the empty one are a head, too. */
            h1_collect(hc, b);
            return;
        }
        n = veil_http_head_find_end((const char *) b->pos, veil_buf_len(b),
                                    &scanned);
        if (n != 0 && n <= h1_head_limit(veil_http_conn_server(hc))) {
            const char *head = (const char *) b->pos;

            b->pos += n;
            h1_on_head(hc, head, n);
            return;
        }
    }
    h1_collect(hc, b);
}
