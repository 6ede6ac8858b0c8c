/*
 * conditional.c -- answers to If-Match, If-None-Match and the dates: 304, 412.
 *
 * A header filter, before all others: it looks at the validators of a 200
 * that was made here (an upstream has answered the conditions itself) and
 * follows RFC 9110, 13.2.2.  An entity tag wins over a date, whichever
 * direction they ask in; a date that is none, or has nothing to be compared
 * with, is as if it had not been sent.
 *
 * A 304 keeps the fields that a cache needs (13.2, 15.4.5): ETag,
 * Last-Modified and what add_header and expires put there later.
 */

#include "core/platform.h"

#include "core/module.h"
#include "core/time.h"
#include "http/http.h"
#include "http/parse/token.h"

static veil_http_header_filter_fn conditional_filter;

static const veil_http_module_t conditional_http = {
    .filter = { .order = VEIL_FILTER_CONDITIONAL,
                .header = conditional_filter },
};

veil_module_t veil_http_conditional_module = {
    .abi = VEIL_MODULE_ABI,
    .name = "conditional",
    .http = &conditional_http,
};

typedef enum {
    CONDITION_NONE, /* not sent, or void */
    CONDITION_TRUE,
    CONDITION_FALSE
} condition_t;

/* If-Match with strong comparison, If-None-Match with weak. */
static condition_t
conditional_tags(const veil_http_request_t *r, unsigned id)
{
    const veil_http_header_t *h = NULL;
    bool weak = id == VEIL_HEADER_IF_NONE_MATCH;
    condition_t found = CONDITION_NONE;

    while ((h = veil_http_headers_get(&r->in.headers, id, h)) != NULL) {
        if (veil_http_etag_list_has(h->value, r->out.etag, weak)) {
            return CONDITION_TRUE;
        }
        found = CONDITION_FALSE;
    }
    return found;
}

static condition_t
conditional_unmodified_since(const veil_http_request_t *r)
{
    int64_t date = veil_http_date_parse(veil_http_headers_value(
        &r->in.headers, VEIL_HEADER_IF_UNMODIFIED_SINCE));

    if (date < 0 || r->out.last_modified < 0) {
        return CONDITION_NONE;
    }
    return r->out.last_modified <= date ? CONDITION_TRUE : CONDITION_FALSE;
}

/* Whether If-Modified-Since asks for a 304, by if_modified_since. */
static bool
conditional_not_modified_since(const veil_http_request_t *r)
{
    int how = veil_http_core_loc(r)->if_modified_since;
    int64_t date;

    if (how == VEIL_IMS_OFF || r->out.last_modified < 0) {
        return false;
    }
    date = veil_http_date_parse(veil_http_headers_value(
        &r->in.headers, VEIL_HEADER_IF_MODIFIED_SINCE));
    if (date < 0) {
        return false;
    }
    return how == VEIL_IMS_BEFORE ? r->out.last_modified <= date
                                  : r->out.last_modified == date;
}

/* 0: go on; else 304 or 412. */
static int
conditional_evaluate(const veil_http_request_t *r)
{
    bool is_get = veil_http_method_in(r, VEIL_GET | VEIL_HEAD);
    condition_t c;

    c = conditional_tags(r, VEIL_HEADER_IF_MATCH);
    if (c == CONDITION_NONE) {
        c = conditional_unmodified_since(r);
    }
    if (c == CONDITION_FALSE) {
        return 412;
    }

    switch (conditional_tags(r, VEIL_HEADER_IF_NONE_MATCH)) {
    case CONDITION_TRUE:
        return is_get ? 304 : 412;
    case CONDITION_FALSE:
        return 0;
    case CONDITION_NONE:
        break;
    }
    return is_get && conditional_not_modified_since(r) ? 304 : 0;
}

static bool
conditional_was_asked(const veil_http_request_t *r)
{
    const veil_http_headers_t *hs = &r->in.headers;

    return veil_http_headers_may_have(hs, VEIL_HEADER_IF_MATCH)
           || veil_http_headers_may_have(hs, VEIL_HEADER_IF_NONE_MATCH)
           || veil_http_headers_may_have(hs, VEIL_HEADER_IF_MODIFIED_SINCE)
           || veil_http_headers_may_have(hs, VEIL_HEADER_IF_UNMODIFIED_SINCE);
}

/* Whether there is something of ours to hold the conditions against. */
static bool
conditional_applies(const veil_http_request_t *r)
{
    return r->out.status == 200 && r->upstream_states == NULL
           && (r->out.last_modified >= 0 || r->out.etag.len != 0);
}

static void
conditional_send_304(veil_http_request_t *r)
{
    if (r->out.body != NULL) {
        veil_http_body_abort(r->out.body);
        r->out.body = NULL;
    }
    r->out.status = 304;
    r->out.reason = VEIL_STR_NULL;
    r->out.content_type = VEIL_STR_NULL;
    r->out.charset = VEIL_STR_NULL;
    r->out.content_length = -1;
    r->out.allow_ranges = false;
    veil_http_headers_remove_id(&r->out.headers, VEIL_HEADER_CONTENT_ENCODING);
    r->header_only = true;
}

static veil_rc_t
conditional_filter(veil_http_request_t *r, const veil_http_filter_t *next)
{
    int status;

    if (!conditional_was_asked(r) || !conditional_applies(r)) {
        return veil_http_next_header(r, next);
    }
    status = conditional_evaluate(r);
    if (status == 412) {
        r->status = 412;
        veil_http_send_error(r);
        return VEIL_ERROR;
    }
    if (status == 304) {
        conditional_send_304(r);
    }
    return veil_http_next_header(r, next);
}
