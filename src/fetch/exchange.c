/*
 * exchange.c -- one request and its response, without I/O.
 *
 * The head of a request is written as a browser would: Host first, what was
 * given with -H last, and of what we add by ourselves only that which was not
 * given.  A field without a value takes ours away.
 *
 * A response is a small machine over input that may be cut anywhere.  Heads
 * are collected, as the parsers want them whole; bodies are not, they are
 * windows of the input.
 *
 * The end of the connection is the delicate part.  A body with a length, or in
 * chunks, says itself where it ends, so it does not matter how the connection
 * does.  One that lasts until the connection ends is complete only when the
 * peer has said so in a way that nobody on the way could have: without a
 * close_notify it is reported as cut off (RFC 8446, 6.1; RFC 9112, 9.8).
 */

#include "core/platform.h"

#include "core/version.h"
#include "fetch/exchange.h"

enum { EXCHANGE_HEAD, EXCHANGE_BODY, EXCHANGE_END, EXCHANGE_BAD };

/* --- requests -------------------------------------------------------------*/

const veil_fetch_field_t *
veil_fetch_field_find(const veil_fetch_field_t *fields, unsigned n,
                      veil_str_t name)
{
    unsigned i;

    for (i = 0; i < n; i++) {
        if (veil_str_caseeq(fields[i].name, name)) {
            return &fields[i];
        }
    }
    return NULL;
}

static void
exchange_put(char *text, size_t *len, veil_str_t s)
{
    if (text != NULL && s.len != 0) {
        memcpy(text + *len, s.data, s.len);
    }
    *len += s.len;
}

static void
exchange_put_field(char *text, size_t *len, veil_str_t name, veil_str_t value)
{
    exchange_put(text, len, name);
    exchange_put(text, len, VEIL_STR(": "));
    exchange_put(text, len, value);
    exchange_put(text, len, VEIL_STR("\r\n"));
}

/* One of ours, unless it was given. */
static void
exchange_put_ours(char *text, size_t *len, const veil_fetch_request_t *rq,
                  veil_str_t name, veil_str_t value)
{
    if (veil_fetch_field_find(rq->fields, rq->nfields, name) == NULL) {
        exchange_put_field(text, len, name, value);
    }
}

/* Methods whose body means something, so that its absence is to be said. */
static bool
exchange_expects_body(veil_str_t method)
{
    switch (veil_http_method_find(method.data, method.len)) {
    case VEIL_POST:
    case VEIL_PUT:
    case VEIL_PATCH:
        return true;
    default:
        return false;
    }
}

static void
exchange_put_framing(char *text, size_t *len, const veil_fetch_request_t *rq)
{
    char number[24];
    size_t n;

    if (!rq->has_body) {
        if (exchange_expects_body(rq->method)) {
            exchange_put_ours(text, len, rq, VEIL_STR("Content-Length"),
                              VEIL_STR("0"));
        }
        return;
    }
    exchange_put_ours(text, len, rq, VEIL_STR("Content-Type"),
                      rq->is_text
                          ? VEIL_STR("application/x-www-form-urlencoded")
                          : VEIL_STR("application/octet-stream"));
    if (rq->length < 0) {
        exchange_put_ours(text, len, rq, VEIL_STR("Transfer-Encoding"),
                          VEIL_STR("chunked"));
        return;
    }
    n = (size_t) (veil_fmt_uint(number, (uint64_t) rq->length) - number);
    exchange_put_ours(text, len, rq, VEIL_STR("Content-Length"),
                      veil_str_n(number, n));
}

/* Writes the head, or measures it; twice the same. */
static size_t
exchange_format(char *text, const veil_fetch_request_t *rq)
{
    size_t len = 0;
    unsigned i;

    exchange_put(text, &len, rq->method);
    exchange_put(text, &len, VEIL_STR(" "));
    exchange_put(text, &len, rq->target);
    exchange_put(text, &len, VEIL_STR(" HTTP/1.1\r\n"));
    exchange_put_ours(text, &len, rq, VEIL_STR("Host"), rq->authority);
    exchange_put_ours(text, &len, rq, VEIL_STR("User-Agent"),
                      VEIL_STR("veil-fetch/" VEIL_VERSION));
    exchange_put_ours(text, &len, rq, VEIL_STR("Accept"), VEIL_STR("*/*"));
    if (!rq->keep_alive) {
        exchange_put_ours(text, &len, rq, VEIL_STR("Connection"),
                          VEIL_STR("close"));
    }
    exchange_put_framing(text, &len, rq);
    for (i = 0; i < rq->nfields; i++) {
        if (rq->fields[i].value.len != 0) {
            exchange_put_field(text, &len, rq->fields[i].name,
                               rq->fields[i].value);
        }
    }
    exchange_put(text, &len, VEIL_STR("\r\n"));
    return len;
}

veil_str_t
veil_fetch_request_head(veil_pool_t *pool, const veil_fetch_request_t *rq)
{
    size_t len = exchange_format(NULL, rq);
    char *text = veil_pool_chars(pool, len);

    (void) exchange_format(text, rq);
    return veil_str_n(text, len);
}

/* --- heads ----------------------------------------------------------------*/

void
veil_fetch_response_init(veil_fetch_response_t *r, veil_pool_t *pool,
                         veil_str_t method)
{
    memset(r, 0, sizeof(*r));
    r->pool = pool;
    r->method = veil_http_method_find(method.data, method.len);
}

static veil_fetch_rc_t
exchange_fail(veil_fetch_response_t *r, const char *text)
{
    r->state = EXCHANGE_BAD;
    r->keep_alive = false;
    r->error = veil_pool_printf(r->pool, "the server sent %s", text);
    return VEIL_FETCH_BAD;
}

/* Connection: the options that concern us. */
static void
exchange_connection(veil_str_t value, bool *close, bool *keep)
{
    veil_str_t token;

    while (value.len != 0) {
        token = veil_str_trim(veil_str_cut(&value, ','));
        *close |= veil_str_caseeq(token, VEIL_STR("close"));
        *keep |= veil_str_caseeq(token, VEIL_STR("keep-alive"));
    }
}

static veil_http_parse_t
exchange_fields(veil_fetch_response_t *r)
{
    bool close = false, keep = false;
    veil_http_fields_t it;
    veil_http_field_t f;
    veil_http_parse_t e;

    veil_http_framing_init(&r->framing);
    veil_http_fields_init(&it, r->fields.data, r->fields.len,
                          VEIL_HTTP_ALLOW_LF);
    while ((e = veil_http_fields_next(&it, &f)) == VEIL_PARSE_OK) {
        e = veil_http_framing_add(&r->framing, &f);
        if (e != VEIL_PARSE_OK) {
            return e;
        }
        if (f.id == VEIL_HEADER_CONNECTION) {
            exchange_connection(f.value, &close, &keep);
        }
    }
    if (e != VEIL_PARSE_END) {
        return e;
    }
    r->keep_alive = r->version >= 11 ? !close : keep && !close;
    return veil_http_framing_response(&r->framing, r->version, r->status,
                                      r->method);
}

/* A whole head, of n bytes. */
static veil_fetch_rc_t
exchange_head(veil_fetch_response_t *r, size_t n)
{
    veil_http_status_line_t line;
    veil_http_parse_t e;

    e = veil_http_status_line_parse(r->head, n, VEIL_HTTP_ALLOW_LF, &line);
    if (e != VEIL_PARSE_OK) {
        return exchange_fail(r, veil_http_parse_reason(e));
    }
    r->version = line.version;
    r->status = line.status;
    r->line = line.line;
    r->fields = veil_str_n(r->head + line.len, n - line.len);
    e = exchange_fields(r);
    if (e != VEIL_PARSE_OK) {
        return exchange_fail(r, veil_http_parse_reason(e));
    }
    if (r->framing.kind == VEIL_FRAMING_TUNNEL) {
        return exchange_fail(r, "a 101 response that nobody asked for");
    }
    if (r->status < 200) {
        if (++r->ninterim > VEIL_FETCH_MAX_INTERIM) {
            return exchange_fail(r, "too many interim responses");
        }
        return VEIL_FETCH_INTERIM;
    }
    r->keep_alive = r->keep_alive && !r->framing.close;
    r->state = EXCHANGE_BODY;
    if (r->framing.kind == VEIL_FRAMING_CHUNKED) {
        veil_http_chunked_init(&r->chunked, r->pool, VEIL_FETCH_MAX_HEAD);
    }
    return VEIL_FETCH_HEAD;
}

/* Adds to the head what may be of it; what is not goes back. */
static veil_fetch_rc_t
exchange_collect(veil_fetch_response_t *r, const unsigned char **p,
                 const unsigned char *end)
{
    size_t have =
        veil_min_size((size_t) (end - *p), VEIL_FETCH_MAX_HEAD - r->head_len);
    size_t n;

    if (r->head == NULL) {
        r->head = veil_pool_chars(r->pool, VEIL_FETCH_MAX_HEAD);
    }
    if (have == 0) {
        return VEIL_FETCH_MORE;
    }
    r->begun = true;
    memcpy(r->head + r->head_len, *p, have);
    r->head_len += have;
    *p += have;
    n = veil_http_head_find_end(r->head, r->head_len, &r->scanned);
    if (n == 0) {
        return r->head_len < VEIL_FETCH_MAX_HEAD
                   ? VEIL_FETCH_MORE
                   : exchange_fail(r, "a head that is too large");
    }
    *p -= r->head_len - n;
    r->head_len = 0;
    r->scanned = 0;
    return exchange_head(r, n);
}

/* --- bodies ---------------------------------------------------------------*/

static veil_fetch_rc_t
exchange_chunk(veil_fetch_response_t *r, const unsigned char **p,
               const unsigned char *end, const unsigned char **data,
               size_t *len)
{
    switch (veil_http_chunked_next(&r->chunked, p, end, data, len)) {
    case VEIL_CHUNKED_DATA:
        r->bytes += *len;
        return VEIL_FETCH_DATA;
    case VEIL_CHUNKED_MORE:
        return VEIL_FETCH_MORE;
    case VEIL_CHUNKED_END:
        r->state = EXCHANGE_END;
        return VEIL_FETCH_END;
    case VEIL_CHUNKED_BAD:
        break;
    }
    return exchange_fail(r, veil_http_parse_reason(r->chunked.error));
}

static veil_fetch_rc_t
exchange_body(veil_fetch_response_t *r, const unsigned char **p,
              const unsigned char *end, const unsigned char **data,
              size_t *len)
{
    uint64_t left = UINT64_MAX;

    switch (r->framing.kind) {
    case VEIL_FRAMING_CHUNKED:
        return exchange_chunk(r, p, end, data, len);
    case VEIL_FRAMING_LENGTH:
        left = (uint64_t) r->framing.length - r->bytes;
        break;
    case VEIL_FRAMING_CLOSE:
        break;
    default:
        left = 0;
        break;
    }
    if (left == 0) {
        r->state = EXCHANGE_END;
        return VEIL_FETCH_END;
    }
    *data = *p;
    *len = (size_t) (end - *p);
    if (*len > left) {
        *len = (size_t) left;
    }
    *p += *len;
    r->bytes += *len;
    return *len != 0 ? VEIL_FETCH_DATA : VEIL_FETCH_MORE;
}

veil_fetch_rc_t
veil_fetch_response_next(veil_fetch_response_t *r, const unsigned char **p,
                         const unsigned char *end, const unsigned char **data,
                         size_t *len)
{
    switch (r->state) {
    case EXCHANGE_HEAD:
        return exchange_collect(r, p, end);
    case EXCHANGE_BODY:
        return exchange_body(r, p, end, data, len);
    case EXCHANGE_END:
        return VEIL_FETCH_END;
    default:
        return VEIL_FETCH_BAD;
    }
}

/* --- the end --------------------------------------------------------------*/

veil_fetch_rc_t
veil_fetch_response_eof(veil_fetch_response_t *r, bool proper)
{
    r->keep_alive = false;
    if (r->state == EXCHANGE_END) {
        return VEIL_FETCH_END;
    }
    if (r->state == EXCHANGE_BAD) {
        return VEIL_FETCH_BAD;
    }
    if (r->state == EXCHANGE_HEAD) {
        r->error = r->begun
                       ? VEIL_STR("the connection ended before the head of "
                                  "the response was complete")
                       : VEIL_STR("the connection ended without a response");
    } else if (r->framing.kind == VEIL_FRAMING_LENGTH) {
        r->error = veil_pool_printf(
            r->pool,
            "the connection ended after %llu of the %lld bytes of the body",
            (unsigned long long) r->bytes, (long long) r->framing.length);
    } else if (r->framing.kind == VEIL_FRAMING_CHUNKED) {
        r->error = VEIL_STR("the connection ended before the last chunk of "
                            "the body");
    } else if (!proper) {
        r->error = VEIL_STR("the connection ended without a close_notify: the "
                            "body may have been cut off");
    } else {
        r->state = EXCHANGE_END;
        return VEIL_FETCH_END;
    }
    r->state = EXCHANGE_BAD;
    return VEIL_FETCH_CUT;
}

veil_str_t
veil_fetch_response_trailer(const veil_fetch_response_t *r)
{
    return r->state == EXCHANGE_END && r->framing.kind == VEIL_FRAMING_CHUNKED
               ? veil_http_chunked_trailer(&r->chunked)
               : VEIL_STR_NULL;
}
