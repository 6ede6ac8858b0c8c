/*
 * h1_head.c -- formats the head of an HTTP/1 response.
 *
 * One buffer, sized beforehand, written front to back; the order of the
 * fields is nginx's.  Everything that came from outside was checked when it
 * was parsed, so no byte here can end a line early; values made by
 * configuration and variables are checked here, because they may contain
 * anything.
 */

#include "core/platform.h"

#include "core/time.h"
#include "core/version.h"
#include "http/h1/h1_impl.h"

/* "HTTP/1.1 200 OK" and all fixed fields with their longest values. */
#define H1_HEAD_FIXED 512

#define H1_SERVER "Server: veil/" VEIL_VERSION "\r\n"
#define H1_SERVER_BARE "Server: veil\r\n"

static char *
h1_head_lit(char *p, const char *text, size_t len)
{
    memcpy(p, text, len);
    return p + len;
}

#define H1_LIT(p, lit) h1_head_lit(p, lit, sizeof(lit) - 1)

/* A field's value; control bytes would split the head and become spaces. */
static char *
h1_head_value(char *p, veil_str_t s)
{
    size_t i;

    for (i = 0; i < s.len; i++) {
        unsigned char c = (unsigned char) s.data[i];

        *p++ = (c == '\r' || c == '\n' || c == '\0') ? ' ' : (char) c;
    }
    return p;
}

char *
veil_h1_format_field(char *p, veil_str_t name, veil_str_t value)
{
    p = veil_fmt_str(p, name);
    *p++ = ':';
    *p++ = ' ';
    p = h1_head_value(p, value);
    *p++ = '\r';
    *p++ = '\n';
    return p;
}

static char *
h1_head_status(char *p, const veil_http_request_t *r)
{
    veil_str_t reason = r->out.reason;

    if (r->out.status == 200 && reason.len == 0) {
        return H1_LIT(p, "HTTP/1.1 200 OK\r\n");
    }
    p = H1_LIT(p, "HTTP/1.1 ");
    p = veil_fmt_uint(p, (uint64_t) r->out.status);
    *p++ = ' ';
    if (reason.len == 0) {
        reason = veil_http_status_reason(r->out.status);
    }
    p = h1_head_value(p, reason);
    *p++ = '\r';
    *p++ = '\n';
    return p;
}

static char *
h1_head_server(char *p, const veil_http_request_t *r)
{
    const veil_http_core_loc_t *conf = veil_http_core_loc(r);

    if (r->out.server_given) {
        return p;
    }
    if (conf->server_tokens_text.len != 0) {
        return veil_h1_format_field(p, VEIL_STR("Server"),
                                    conf->server_tokens_text);
    }
    if (conf->server_tokens == VEIL_TOKENS_OFF) {
        return H1_LIT(p, H1_SERVER_BARE);
    }
    return H1_LIT(p, H1_SERVER);
}

static char *
h1_head_type(char *p, const veil_http_request_t *r)
{
    if (r->out.content_type.len == 0) {
        return p;
    }
    p = H1_LIT(p, "Content-Type: ");
    p = h1_head_value(p, r->out.content_type);
    if (r->out.charset.len != 0) {
        p = H1_LIT(p, "; charset=");
        p = h1_head_value(p, r->out.charset);
    }
    *p++ = '\r';
    *p++ = '\n';
    return p;
}

/* RFC 9110, 8.6: none with 1xx and 204; 304 may keep what it stands for. */
static char *
h1_head_length(char *p, const veil_http_request_t *r, bool chunked)
{
    int status = r->out.status;

    if (status == 204 || status == 304 || status < 200) {
        return p;
    }
    if (chunked) {
        return H1_LIT(p, "Transfer-Encoding: chunked\r\n");
    }
    if (r->out.content_length >= 0) {
        p = H1_LIT(p, "Content-Length: ");
        p = veil_fmt_uint(p, (uint64_t) r->out.content_length);
        *p++ = '\r';
        *p++ = '\n';
    }
    return p;
}

static char *
h1_head_connection(char *p, const veil_http_request_t *r)
{
    const veil_http_core_loc_t *conf = veil_http_core_loc(r);

    if (r->out.status == 101) {
        return H1_LIT(p, "Connection: upgrade\r\n");
    }
    if (r->tunnelled) {
        return p; /* of a CONNECT: there is no more HTTP */
    }
    if (!r->keepalive) {
        return H1_LIT(p, "Connection: close\r\n");
    }
    p = H1_LIT(p, "Connection: keep-alive\r\n");
    if (conf->keepalive_header != 0) {
        p = H1_LIT(p, "Keep-Alive: timeout=");
        p = veil_fmt_uint(p, conf->keepalive_header);
        *p++ = '\r';
        *p++ = '\n';
    }
    return p;
}

static char *
h1_head_dates(char *p, const veil_http_request_t *r)
{
    if (r->out.last_modified >= 0) {
        p = H1_LIT(p, "Last-Modified: ");
        veil_http_date_format(p, r->out.last_modified);
        p = H1_LIT(p + VEIL_HTTP_DATE_LEN, "\r\n");
    }
    return p;
}

static size_t
h1_head_measure(const veil_http_request_t *r)
{
    const veil_http_header_t *h = NULL;
    size_t n = H1_HEAD_FIXED;

    n += r->out.reason.len + r->out.content_type.len + r->out.charset.len
         + r->out.etag.len + r->out.location.len
         + veil_http_core_loc(r)->server_tokens_text.len;
    while ((h = veil_http_headers_next(&r->out.headers, h)) != NULL) {
        n += h->name.len + h->value.len + 4;
    }
    return n;
}

veil_str_t
veil_h1_format_head(veil_http_request_t *r, bool chunked, size_t room)
{
    char *text = veil_pool_chars(r->pool, h1_head_measure(r) + room);
    const veil_http_header_t *h = NULL;
    char *p = text;

    p = h1_head_status(p, r);
    p = h1_head_server(p, r);
    if (!r->out.date_given) {
        p = H1_LIT(p, "Date: ");
        p = veil_fmt_str(p, veil_clock.http);
        p = H1_LIT(p, "\r\n");
    }
    p = h1_head_type(p, r);
    p = h1_head_length(p, r, chunked);
    p = h1_head_dates(p, r);
    if (r->out.location.len != 0) {
        p = veil_h1_format_field(p, VEIL_STR("Location"), r->out.location);
    }
    p = h1_head_connection(p, r);
    if (r->out.etag.len != 0) {
        p = veil_h1_format_field(p, VEIL_STR("ETag"), r->out.etag);
    }
    if (r->out.allow_ranges && r->out.status < 400 && r->out.status != 206) {
        p = H1_LIT(p, "Accept-Ranges: bytes\r\n");
    }
    while ((h = veil_http_headers_next(&r->out.headers, h)) != NULL) {
        p = veil_h1_format_field(p, h->name, h->value);
    }
    p = H1_LIT(p, "\r\n");
    return veil_str_n(text, (size_t) (p - text));
}
