/*
 * http_feed.h -- feeds text to the HTTP/1 parsers as a connection would.
 *
 * http_feed() reads one message in steps of a given size, each time from a
 * fresh allocation of exactly the bytes that have arrived, so that the
 * address sanitizer sees a parser look beyond them.  What came out is written
 * down as text: two ways of cutting the input must give the same one.  For
 * unit tests and for fuzz targets.
 */

#ifndef VEIL_T_UNIT_HTTP_FEED_H
#define VEIL_T_UNIT_HTTP_FEED_H

#include "core/platform.h"

#include "core/assert.h"
#include "http/parse/parse.h"

typedef struct {
    veil_http_parse_t result;
    size_t used;     /* bytes of the input that belong to the message */
    bool incomplete; /* the input ended first */
    char text[8192]; /* everything that was seen */
    size_t len;
} http_feed_t;

VEIL_PRINTF(2, 3)
static inline void
http_feed_note(http_feed_t *out, const char *fmt, ...)
{
    va_list ap;
    int n;

    va_start(ap, fmt);
    n = vsnprintf(out->text + out->len, sizeof(out->text) - out->len, fmt, ap);
    va_end(ap);
    if (n > 0) {
        out->len = veil_min_size(out->len + (size_t) n, sizeof(out->text) - 1);
    }
}

/* Bytes of a body, with something visible for NUL, which ends a string. */
static inline void
http_feed_bytes(http_feed_t *out, const unsigned char *p, size_t n)
{
    size_t i;

    for (i = 0; i < n && out->len < sizeof(out->text) - 1; i++) {
        out->text[out->len++] = p[i] == '\0' ? '\x7f' : (char) p[i];
    }
}

/* A copy without a spare byte; to be freed. */
static inline char *
http_feed_copy(const char *p, size_t n)
{
    char *copy = malloc(n);

    if (n != 0) {
        memcpy(copy, p, n);
    }
    return copy;
}

static inline veil_http_parse_t
http_feed_fields(http_feed_t *out, const char *p, size_t n, unsigned flags,
                 veil_http_framing_t *framing)
{
    veil_http_fields_t it;
    veil_http_field_t f;
    veil_http_parse_t e;

    veil_http_fields_init(&it, p, n, flags);
    while ((e = veil_http_fields_next(&it, &f)) == VEIL_PARSE_OK) {
        http_feed_note(out, "[%.*s|%.*s|%d|%d]", VEIL_STR_ARG(f.name),
                       VEIL_STR_ARG(f.value), f.id, f.flags);
        e = framing == NULL ? VEIL_PARSE_OK
                            : veil_http_framing_add(framing, &f);
        if (e != VEIL_PARSE_OK) {
            return e;
        }
    }
    if (e != VEIL_PARSE_END) {
        return e;
    }
    VEIL_ASSERT(it.p == it.end);
    return VEIL_PARSE_OK;
}

/* The head of a request, complete; says what follows it. */
static inline veil_http_parse_t
http_feed_request(http_feed_t *out, const char *p, size_t n,
                  veil_http_framing_t *framing)
{
    veil_http_request_line_t line;
    veil_http_parse_t e;

    e = veil_http_request_line_parse(p, n, &line);
    http_feed_note(out, "{%.*s}(%.*s|%.*s|%u)", VEIL_STR_ARG(line.line),
                   VEIL_STR_ARG(line.method_name), VEIL_STR_ARG(line.uri),
                   line.version);
    if (e == VEIL_PARSE_OK) {
        e = http_feed_fields(out, p + line.len, n - line.len, 0, framing);
    }
    if (e == VEIL_PARSE_OK) {
        e = veil_http_framing_request(framing, line.version);
    }
    return e;
}

static inline veil_http_parse_t
http_feed_response(http_feed_t *out, const char *p, size_t n, unsigned method,
                   veil_http_framing_t *framing)
{
    veil_http_status_line_t line;
    veil_http_parse_t e;

    e = veil_http_status_line_parse(p, n, VEIL_HTTP_ALLOW_LF, &line);
    http_feed_note(out, "{%.*s}(%d|%.*s|%u)", VEIL_STR_ARG(line.line),
                   line.status, VEIL_STR_ARG(line.reason), line.version);
    if (e == VEIL_PARSE_OK) {
        e = http_feed_fields(out, p + line.len, n - line.len,
                             VEIL_HTTP_ALLOW_LF, framing);
    }
    if (e == VEIL_PARSE_OK) {
        e = veil_http_framing_response(framing, line.version, line.status,
                                       method);
    }
    return e;
}

/*
 * A chunked body in input[at, len), of which step bytes come at a time.
 * Returns the reason, or OK with *used set or out->incomplete.
 */
static inline veil_http_parse_t
http_feed_chunked(http_feed_t *out, const char *input, size_t at, size_t len,
                  size_t step)
{
    veil_pool_t *pool = veil_pool_create("test", 1024);
    veil_http_chunked_rc_t rc = VEIL_CHUNKED_MORE;
    const unsigned char *p, *end, *data;
    veil_http_chunked_t d;
    veil_http_parse_t e;
    veil_str_t trailer;
    uint64_t seen = 0;
    size_t n, size;
    char *copy;

    veil_http_chunked_init(&d, pool, 128);
    while (at < len && rc == VEIL_CHUNKED_MORE) {
        n = veil_min_size(step, len - at);
        copy = http_feed_copy(input + at, n);
        p = (const unsigned char *) copy;
        end = p + n;
        do {
            rc = veil_http_chunked_next(&d, &p, end, &data, &size);
            if (rc == VEIL_CHUNKED_DATA) {
                VEIL_ASSERT(size != 0 && data >= (unsigned char *) copy
                            && data + size <= end);
                http_feed_bytes(out, data, size);
                seen += size;
            }
        } while (rc == VEIL_CHUNKED_DATA);
        VEIL_ASSERT(rc != VEIL_CHUNKED_MORE || p == end);
        at += (size_t) (p - (const unsigned char *) copy);
        free(copy);
    }
    VEIL_ASSERT(d.bytes == seen);
    e = d.error;
    out->incomplete = rc == VEIL_CHUNKED_MORE;
    out->used = at;
    if (rc == VEIL_CHUNKED_END) {
        trailer = veil_http_chunked_trailer(&d);
        if (trailer.len != 0) {
            e = http_feed_fields(out, trailer.data, trailer.len, 0, NULL);
        }
    }
    VEIL_ASSERT((rc == VEIL_CHUNKED_BAD) == (e != VEIL_PARSE_OK));
    veil_pool_destroy(&pool);
    return e;
}

/*
 * One message, of which step bytes come at a time.  method is that of the
 * request a response belongs to; 0: the message is a request.
 */
static inline void
http_feed(http_feed_t *out, const char *input, size_t len, size_t step,
          unsigned method)
{
    veil_http_framing_t framing;
    size_t have = 0, scanned = 0, head = 0;
    char *copy;

    memset(out, 0, sizeof(*out));
    while (head == 0 && have < len) {
        have += veil_min_size(step, len - have);
        copy = http_feed_copy(input, have);
        head = veil_http_head_find_end(copy, have, &scanned);
        VEIL_ASSERT(head <= have && scanned <= have);
        free(copy);
    }
    out->used = have;
    if (head == 0) {
        out->incomplete = true;
        return;
    }
    out->used = head;
    copy = http_feed_copy(input, head);
    veil_http_framing_init(&framing);
    out->result = method == 0
                      ? http_feed_request(out, copy, head, &framing)
                      : http_feed_response(out, copy, head, method, &framing);
    free(copy);
    if (out->result != VEIL_PARSE_OK) {
        return;
    }
    http_feed_note(out, "<%d|%lld|%d>", framing.kind,
                   (long long) framing.length, framing.close);
    if (framing.kind == VEIL_FRAMING_LENGTH) {
        out->incomplete = (uint64_t) framing.length > len - head;
        out->used = out->incomplete ? len : head + (size_t) framing.length;
    } else if (framing.kind == VEIL_FRAMING_CHUNKED) {
        out->result = http_feed_chunked(out, input, head, len, step);
    } else if (framing.kind == VEIL_FRAMING_CLOSE) {
        out->used = len;
    }
}

#endif
