/*
 * response.c -- helpers that describe responses, and the way out.
 *
 * A handler fills in r->out (or has one of these helpers do it) and returns
 * VEIL_HTTP_REPLY; the pipeline then calls veil_http_send_response(), which
 * runs the header filters and hands the request to its protocol.
 */

#include "core/platform.h"

#include "http/response.h"

#include "core/time.h"
#include "http/conn.h"
#include "http/explain.h"
#include "http/http.h"
#include "http/mime.h"
#include "http/parse/uri.h"

/* limit_rate: so much time's worth is sent at once. */
#define RESPONSE_RATE_STEP_MS 100

/* clang-format off */
static const struct {
    int status;
    veil_str_t reason;
} response_reasons[] = {
    { 100, VEIL_STR_INIT("Continue") },
    { 101, VEIL_STR_INIT("Switching Protocols") },
    { 103, VEIL_STR_INIT("Early Hints") },
    { 200, VEIL_STR_INIT("OK") },
    { 201, VEIL_STR_INIT("Created") },
    { 202, VEIL_STR_INIT("Accepted") },
    { 203, VEIL_STR_INIT("Non-Authoritative Information") },
    { 204, VEIL_STR_INIT("No Content") },
    { 205, VEIL_STR_INIT("Reset Content") },
    { 206, VEIL_STR_INIT("Partial Content") },
    { 207, VEIL_STR_INIT("Multi-Status") },
    { 300, VEIL_STR_INIT("Multiple Choices") },
    { 301, VEIL_STR_INIT("Moved Permanently") },
    { 302, VEIL_STR_INIT("Moved Temporarily") },
    { 303, VEIL_STR_INIT("See Other") },
    { 304, VEIL_STR_INIT("Not Modified") },
    { 305, VEIL_STR_INIT("Use Proxy") },
    { 307, VEIL_STR_INIT("Temporary Redirect") },
    { 308, VEIL_STR_INIT("Permanent Redirect") },
    { 400, VEIL_STR_INIT("Bad Request") },
    { 401, VEIL_STR_INIT("Unauthorized") },
    { 402, VEIL_STR_INIT("Payment Required") },
    { 403, VEIL_STR_INIT("Forbidden") },
    { 404, VEIL_STR_INIT("Not Found") },
    { 405, VEIL_STR_INIT("Not Allowed") },
    { 406, VEIL_STR_INIT("Not Acceptable") },
    { 407, VEIL_STR_INIT("Proxy Authentication Required") },
    { 408, VEIL_STR_INIT("Request Time-out") },
    { 409, VEIL_STR_INIT("Conflict") },
    { 410, VEIL_STR_INIT("Gone") },
    { 411, VEIL_STR_INIT("Length Required") },
    { 412, VEIL_STR_INIT("Precondition Failed") },
    { 413, VEIL_STR_INIT("Request Entity Too Large") },
    { 414, VEIL_STR_INIT("Request-URI Too Large") },
    { 415, VEIL_STR_INIT("Unsupported Media Type") },
    { 416, VEIL_STR_INIT("Requested Range Not Satisfiable") },
    { 417, VEIL_STR_INIT("Expectation Failed") },
    { 421, VEIL_STR_INIT("Misdirected Request") },
    { 422, VEIL_STR_INIT("Unprocessable Content") },
    { 425, VEIL_STR_INIT("Too Early") },
    { 426, VEIL_STR_INIT("Upgrade Required") },
    { 428, VEIL_STR_INIT("Precondition Required") },
    { 429, VEIL_STR_INIT("Too Many Requests") },
    { 431, VEIL_STR_INIT("Request Header Fields Too Large") },
    { 451, VEIL_STR_INIT("Unavailable For Legal Reasons") },
    { 500, VEIL_STR_INIT("Internal Server Error") },
    { 501, VEIL_STR_INIT("Not Implemented") },
    { 502, VEIL_STR_INIT("Bad Gateway") },
    { 503, VEIL_STR_INIT("Service Temporarily Unavailable") },
    { 504, VEIL_STR_INIT("Gateway Time-out") },
    { 505, VEIL_STR_INIT("HTTP Version Not Supported") },
    { 507, VEIL_STR_INIT("Insufficient Storage") },
};
/* clang-format on */

veil_str_t
veil_http_status_reason(int status)
{
    unsigned i;

    for (i = 0; i < veil_countof(response_reasons); i++) {
        if (response_reasons[i].status == status) {
            return response_reasons[i].reason;
        }
    }
    return VEIL_STR_NULL;
}

void
veil_http_header_add(veil_http_request_t *r, veil_str_t name, veil_str_t value)
{
    (void) veil_http_headers_add(&r->out.headers, name, value);
}

void
veil_http_header_set(veil_http_request_t *r, veil_str_t name, veil_str_t value)
{
    veil_http_headers_set(&r->out.headers, name, value);
}

/* --- whole responses --------------------------------------------------------
 */

veil_http_rc_t
veil_http_reply(veil_http_request_t *r, int status, veil_str_t content_type,
                veil_str_t text)
{
    r->out.status = status;
    r->out.content_type = content_type;
    r->out.content_length = (int64_t) text.len;
    r->out.body = text.len == 0 ? NULL : veil_http_body_text(r->pool, text);
    return VEIL_HTTP_REPLY;
}

veil_http_rc_t
veil_http_redirect(veil_http_request_t *r, int status, veil_str_t location)
{
    r->out.location = location;
    return veil_http_fail(r, status);
}

/*
 * Location: a path becomes an absolute URL when absolute_redirect asks for
 * it, with the name and port as configured.
 */
static void
response_absolute_location(veil_http_request_t *r)
{
    const veil_http_core_loc_t *conf = veil_http_core_loc(r);
    veil_str_t host = r->in.host;
    veil_addr_t local;
    unsigned port, usual = veil_str_eq_z(r->in.scheme, "https") ? 443 : 80;
    char text[VEIL_ADDR_TEXT_MAX];

    if (r->out.location.len == 0 || r->out.location.data[0] != '/'
        || !conf->absolute_redirect || r->conn == NULL)
    {
        return;
    }
    veil_conn_local_addr(&r->conn->c, &local);
    if (conf->server_name_in_redirect) {
        host = r->server->name;
    } else if (host.len == 0) {
        host =
            veil_str_n(text, veil_addr_print_ip(&local, text, sizeof(text)));
    }
    port = conf->port_in_redirect && local.family != AF_UNIX ? local.port : 0;

    if (port == 0 || port == usual) {
        r->out.location = veil_pool_printf(
            r->pool, "%.*s://%.*s%.*s", VEIL_STR_ARG(r->in.scheme),
            VEIL_STR_ARG(host), VEIL_STR_ARG(r->out.location));
    } else {
        r->out.location = veil_pool_printf(
            r->pool, "%.*s://%.*s:%u%.*s", VEIL_STR_ARG(r->in.scheme),
            VEIL_STR_ARG(host), port, VEIL_STR_ARG(r->out.location));
    }
}

/* limit_rate: what was set for this request wins over the configuration. */
static void
response_limit_rate(veil_http_request_t *r)
{
    const veil_http_core_loc_t *conf = veil_http_core_loc(r);
    int64_t n;

    if (conf->limit_rate != NULL && r->limit_rate == 0) {
        n = veil_str_to_size(veil_http_eval(r, conf->limit_rate));
        r->limit_rate = n > 0 ? (uint64_t) n : 0;
    }
    if (conf->limit_rate_after != NULL && r->limit_rate_after == 0) {
        n = veil_str_to_size(veil_http_eval(r, conf->limit_rate_after));
        r->limit_rate_after = n > 0 ? (uint64_t) n : 0;
    }
}

/* No product of a rate and a time overflows that has a meaning. */
static uint64_t
response_rate_for(uint64_t rate, uint64_t ms)
{
    return rate / 1000 * ms + rate % 1000 * ms / 1000;
}

size_t
veil_http_rate_left(const veil_http_request_t *r, uint64_t sent, size_t max,
                    veil_timer_t *later)
{
    uint64_t rate = r->limit_rate, quota, step, used;

    if (rate == 0) {
        return max;
    }
    quota = r->limit_rate_after
            + response_rate_for(rate, veil_now_ms() - r->start_ms
                                          + RESPONSE_RATE_STEP_MS);
    step = response_rate_for(rate, RESPONSE_RATE_STEP_MS);
    used = sent + (step != 0 ? step : 1);
    if (used > quota) {
        veil_timer_set(r->loop, later, (used - quota) * 1000 / rate + 1);
        return 0;
    }
    return quota - sent < max ? (size_t) (quota - sent) : max;
}

bool
veil_http_takes_trailers(const veil_http_request_t *r)
{
    return r->proto->frames
           || (r->in.version == 11
               && veil_http_core_loc(r)->chunked_transfer_encoding);
}

void
veil_http_send_response(veil_http_request_t *r)
{
    VEIL_CHECK(r, VEIL_HTTP_REQUEST);
    VEIL_ASSERT(!r->responding);

    if (r->override_status != 0) {
        r->out.status = r->override_status;
        r->out.reason = VEIL_STR_NULL;
        if (r->out.status != 200 && r->out.status != 206) {
            r->out.last_modified = -1; /* an error is as old as itself */
        }
    }
    if (veil_http_core_loc(r)->max_ranges == 0) {
        r->out.allow_ranges = false;
    }
    if (r->in.method == VEIL_HEAD || r->out.status == 204
        || r->out.status == 304) {
        r->header_only = true;
    }
    if (r->out.body == NULL && r->out.content_length < 0) {
        r->out.content_length = 0;
    }
    response_absolute_location(r);
    response_limit_rate(r);

    if (veil_http_next_header(r, r->server->main->pipeline->filters)
        != VEIL_OK) {
        return; /* a filter made another response of it */
    }
    if (veil_http_is_explained()) {
        veil_http_explain_response(r);
    }
    r->status = r->out.status;
    r->responding = true;
    r->proto->respond(r);
}

/* --- what modules need to describe a file
 * ------------------------------------ */

void
veil_http_set_content_type(veil_http_request_t *r)
{
    const veil_http_core_loc_t *conf = veil_http_core_loc(r);
    veil_str_t type = VEIL_STR_NULL;

    if (r->out.content_type.len != 0) {
        return;
    }
    if (r->exten.len != 0 && conf->types != NULL) {
        type = veil_mime_table_find(conf->types, r->exten);
    }
    r->out.content_type = type.len != 0 ? type : conf->default_type;
}

void
veil_http_set_etag(veil_http_request_t *r, int64_t mtime, int64_t size)
{
    char *p, *text;

    if (!veil_http_core_loc(r)->etag) {
        return;
    }
    text = veil_pool_chars(r->pool, 36);
    p = text;
    *p++ = '"';
    p = veil_fmt_hex(p, (uint64_t) mtime);
    *p++ = '-';
    p = veil_fmt_hex(p, (uint64_t) size);
    *p++ = '"';
    r->out.etag = veil_str_n(text, (size_t) (p - text));
}

veil_str_t
veil_http_map_uri(veil_http_request_t *r, veil_str_t uri, size_t *root_len)
{
    const veil_http_core_loc_t *conf = veil_http_core_loc(r);
    veil_str_t root, rest = uri;
    char *text, *p;

    if (conf->alias != NULL) {
        root = veil_http_eval(r, conf->alias);
        /* A regex location's alias replaces the whole URI. */
        if (conf->alias_prefix <= uri.len) {
            rest = veil_str_from(uri, conf->alias_prefix);
        } else if (!r->add_uri_to_alias) {
            rest = VEIL_STR_NULL;
        }
    } else {
        root = veil_http_eval(r, conf->root);
    }

    text = veil_pool_chars(r->pool, root.len + rest.len + 1);
    p = veil_fmt_str(text, root);
    p = veil_fmt_str(p, rest);
    *p = '\0';
    *root_len = root.len;
    return veil_str_n(text, (size_t) (p - text));
}
