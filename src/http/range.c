/*
 * range.c -- parts of a representation: 206 and 416.
 *
 * A header filter behind the conditional one (RFC 9110, 13.2.2: Range is
 * looked at last).  It cuts bodies whose length is known and whose handler
 * says that they are its own to cut (r->out.allow_ranges).
 *
 * A body made of slices (body.h) is cut by making another list of slices, in
 * any order and with the heads of multipart/byteranges in between: nothing
 * is read that is not sent.  From any other body one range is taken by
 * dropping what stands before it; several are not, and the whole is sent,
 * which a client has to expect anyway (14.2).
 *
 * Only GET has ranges (14.2), so a HEAD describes the whole.
 */

#include "core/platform.h"

#include "core/module.h"
#include "core/rand.h"
#include "core/time.h"
#include "http/http.h"
#include "http/parse/range_parse.h"
#include "http/parse/token.h"

static veil_http_header_filter_fn range_filter;

static const veil_http_module_t range_http = {
    .filter = { .order = VEIL_FILTER_RANGE, .header = range_filter },
};

veil_module_t veil_http_range_module = {
    .abi = VEIL_MODULE_ABI,
    .name = "range",
    .http = &range_http,
};

/* --- a part of any body ----------------------------------------------------
 */

typedef struct {
    veil_http_body_t body;
    uint64_t skip; /* before the range */
    uint64_t left; /* of it */
} range_body_t;

/* Drops what stands before the range; what is left of the slices. */
static unsigned
range_body_skip(range_body_t *b, veil_slice_t *v, unsigned n)
{
    unsigned i, kept = 0;
    size_t drop;

    for (i = 0; i < n; i++) {
        drop = b->skip < v[i].len ? (size_t) b->skip : v[i].len;
        b->skip -= drop;
        if (drop != 0) {
            veil_http_body_consume(b->body.below, drop);
        }
        if (drop == v[i].len) {
            continue;
        }
        v[kept] = v[i];
        v[kept].len -= drop;
        if (v[kept].data != NULL) {
            v[kept].data += drop;
        } else {
            v[kept].offset += drop;
        }
        b->left -= v[kept].len;
        kept++;
    }
    return kept;
}

static veil_body_rc_t
range_body_pull(veil_http_body_t *body, veil_slice_t *v, unsigned *n,
                size_t max)
{
    range_body_t *b = veil_container_of(body, range_body_t, body);
    unsigned room = *n;
    uint64_t want;
    veil_body_rc_t rc;

    do {
        /* The last slice never reaches beyond the range. */
        want = b->skip != 0 ? b->skip : b->left;
        *n = room;
        rc = veil_http_body_pull(body->below, v, n,
                                 want < max ? (size_t) want : max);
        *n = range_body_skip(b, v, *n);
    } while (rc == VEIL_BODY_DATA && *n == 0);

    if (b->left == 0) {
        return VEIL_BODY_END;
    }
    if (rc == VEIL_BODY_LATER) {
        body->flush = body->below->flush;
    } else if (rc == VEIL_BODY_FAILED) {
        body->error = body->below->error;
    }
    return rc;
}

static void
range_body_consume(veil_http_body_t *body, size_t bytes)
{
    veil_http_body_consume(body->below, bytes);
}

static void
range_body_abort(veil_http_body_t *body)
{
    veil_http_body_abort(body->below);
}

static void
range_body_ready(void *reader)
{
    range_body_t *b = reader;

    veil_http_body_is_ready(&b->body);
}

static const veil_http_body_ops_t range_body_ops = {
    .name = "range",
    .pull = range_body_pull,
    .consume = range_body_consume,
    .abort = range_body_abort,
};

static veil_http_body_t *
range_body_create(veil_pool_t *pool, veil_http_body_t *below,
                  const veil_http_range_t *range)
{
    range_body_t *b = VEIL_POOL_NEW(pool, range_body_t);

    b->body.ops = &range_body_ops;
    b->body.below = below;
    b->body.window = below->window;
    b->body.in_memory = below->in_memory;
    b->skip = range->start;
    b->left = range->end - range->start;
    b->body.length = (int64_t) b->left;
    veil_http_body_set_reader(below, range_body_ready, b);
    return &b->body;
}

/* --- parts of a list of slices ----------------------------------------------
 */

/* Copies the slices of a range to out; returns how many. */
static unsigned
range_slices_cut(const veil_slice_t *v, unsigned n,
                 const veil_http_range_t *range, veil_slice_t *out)
{
    uint64_t at = 0, from, to;
    unsigned i, used = 0;

    for (i = 0; i < n; i++) {
        from = range->start > at ? range->start - at : 0;
        to = range->end > at ? range->end - at : 0;
        to = to < v[i].len ? to : v[i].len;
        at += v[i].len;
        if (from >= to) {
            continue;
        }
        out[used] = v[i];
        out[used].len = (size_t) (to - from);
        if (out[used].data != NULL) {
            out[used].data += from;
        } else {
            out[used].offset += from;
        }
        used++;
    }
    return used;
}

/* --- one range -------------------------------------------------------------
 */

static void
range_send_one(veil_http_request_t *r, const veil_http_range_t *range)
{
    int64_t size = r->out.content_length;
    const veil_slice_t *v;
    veil_slice_t *cut;
    unsigned n;

    veil_http_header_add(r, VEIL_STR("Content-Range"),
                         veil_pool_printf(r->pool, "bytes %llu-%llu/%lld",
                                          (unsigned long long) range->start,
                                          (unsigned long long) range->end - 1,
                                          (long long) size));
    v = veil_http_body_as_slices(r->out.body, &n);
    if (v != NULL) {
        cut = veil_pool_alloc(r->pool, n * sizeof(*cut));
        n = range_slices_cut(v, n, range, cut);
        r->out.body = veil_http_body_reslice(r->pool, r->out.body, cut, n);
    } else {
        r->out.body = range_body_create(r->pool, r->out.body, range);
    }
    r->out.content_length = (int64_t) (range->end - range->start);
}

/* --- several: multipart/byteranges (RFC 9110, 14.6) -------------------------
 */

static veil_str_t
range_part_head(veil_http_request_t *r, uint64_t boundary,
                const veil_http_range_t *range, int64_t size)
{
    veil_str_t charset = r->out.charset;

    if (r->out.content_type.len == 0) {
        return veil_pool_printf(
            r->pool,
            "\r\n--%020llu\r\nContent-Range: bytes %llu-%llu/%lld\r\n\r\n",
            (unsigned long long) boundary, (unsigned long long) range->start,
            (unsigned long long) range->end - 1, (long long) size);
    }
    return veil_pool_printf(
        r->pool,
        "\r\n--%020llu\r\nContent-Type: %.*s%s%.*s\r\n"
        "Content-Range: bytes %llu-%llu/%lld\r\n\r\n",
        (unsigned long long) boundary, VEIL_STR_ARG(r->out.content_type),
        charset.len != 0 ? "; charset=" : "", VEIL_STR_ARG(charset),
        (unsigned long long) range->start, (unsigned long long) range->end - 1,
        (long long) size);
}

static void
range_send_parts(veil_http_request_t *r, const veil_http_range_t *ranges,
                 unsigned nranges)
{
    uint64_t boundary = veil_rand_u64();
    int64_t size = r->out.content_length;
    const veil_slice_t *v;
    veil_slice_t *parts;
    unsigned i, n, used = 0;
    veil_str_t text;

    v = veil_http_body_as_slices(r->out.body, &n);
    VEIL_ASSERT(v != NULL);
    parts = veil_pool_alloc(r->pool, (nranges * (n + 1) + 1) * sizeof(*parts));

    for (i = 0; i < nranges; i++) {
        text = range_part_head(r, boundary, &ranges[i], size);
        parts[used++] = veil_slice_mem(text.data, text.len);
        used += range_slices_cut(v, n, &ranges[i], parts + used);
    }
    text = veil_pool_printf(r->pool, "\r\n--%020llu--\r\n",
                            (unsigned long long) boundary);
    parts[used++] = veil_slice_mem(text.data, text.len);

    r->out.body = veil_http_body_reslice(r->pool, r->out.body, parts, used);
    r->out.content_length = r->out.body->length;
    r->out.content_type =
        veil_pool_printf(r->pool, "multipart/byteranges; boundary=%020llu",
                         (unsigned long long) boundary);
    r->out.charset = VEIL_STR_NULL;
}

/* --- the filter ------------------------------------------------------------
 */

/* If-Range: an entity tag or a date, either of which must be the very one. */
static bool
range_is_still_wanted(const veil_http_request_t *r)
{
    veil_str_t v =
        veil_http_headers_value(&r->in.headers, VEIL_HEADER_IF_RANGE);

    if (v.len == 0) {
        return true;
    }
    if (v.data[v.len - 1] == '"') {
        return r->out.etag.len != 0
               && veil_http_etag_eq(v, r->out.etag, false);
    }
    return r->out.last_modified >= 0
           && veil_http_date_parse(v) == r->out.last_modified;
}

static bool
range_applies(const veil_http_request_t *r)
{
    return veil_http_headers_may_have(&r->in.headers, VEIL_HEADER_RANGE)
           && r->in.method == VEIL_GET && r->out.status == 200
           && r->out.allow_ranges && r->out.content_length >= 0
           && veil_http_core_loc(r)->max_ranges != 0
           && range_is_still_wanted(r);
}

/* The ranges asked for, as many as the header can name. */
static veil_http_range_rc_t
range_read(veil_http_request_t *r, veil_http_range_t **ranges, unsigned *n)
{
    veil_str_t value =
        veil_http_headers_value(&r->in.headers, VEIL_HEADER_RANGE);
    int64_t limit = veil_http_core_loc(r)->max_ranges;
    unsigned max = 1;
    size_t i;

    for (i = 0; i < value.len; i++) {
        max += value.data[i] == ',';
    }
    if (limit > 0 && limit < max) {
        max = (unsigned) limit;
    }
    *ranges = veil_pool_alloc(r->pool, max * sizeof(**ranges));
    return veil_http_range_parse(value, (uint64_t) r->out.content_length,
                                 *ranges, max, n);
}

static veil_rc_t
range_refuse(veil_http_request_t *r)
{
    int64_t size = r->out.content_length;

    veil_http_headers_remove_id(&r->out.headers, VEIL_HEADER_CONTENT_RANGE);
    veil_http_header_add(
        r, VEIL_STR("Content-Range"),
        veil_pool_printf(r->pool, "bytes */%lld", (long long) size));
    r->status = 416;
    veil_http_send_error(r);
    return VEIL_ERROR;
}

static veil_rc_t
range_filter(veil_http_request_t *r, const veil_http_filter_t *next)
{
    veil_http_range_t *ranges;
    unsigned n, nslices;

    if (!range_applies(r)) {
        return veil_http_next_header(r, next);
    }
    switch (range_read(r, &ranges, &n)) {
    case VEIL_RANGE_IGNORE:
        return veil_http_next_header(r, next);
    case VEIL_RANGE_UNSATISFIABLE:
        return range_refuse(r);
    case VEIL_RANGE_SATISFIABLE:
        break;
    }

    if (n == 1) {
        range_send_one(r, &ranges[0]);
    } else if (veil_http_body_as_slices(r->out.body, &nslices) != NULL) {
        range_send_parts(r, ranges, n);
    } else {
        return veil_http_next_header(r, next);
    }
    r->out.status = 206;
    r->out.reason = VEIL_STR_NULL;
    r->out.allow_ranges = false;
    return veil_http_next_header(r, next);
}
