/*
 * request.c -- variables about a request and its response.
 *
 * nginx's names and meanings.  Each is a function that makes a string from
 * the request; most are one field.  What changes while a request is worked on
 * is marked VOLATILE, so that it is computed anew.
 */

#include "core/platform.h"

#include "core/rand.h"
#include "core/time.h"
#include "http/http.h"
#include "http/location.h"
#include "http/parse/token.h"
#include "http/parse/uri.h"
#include "http/spool.h"

#define V VEIL_HTTP_VAR_VOLATILE

/* --- helpers
 * ----------------------------------------------------------------- */

static bool
request_text(veil_str_t s, veil_str_t *out)
{
    *out = s;
    return s.data != NULL;
}

/* All fields of that name, joined. */
static bool
request_field(veil_http_request_t *r, const veil_http_headers_t *hs,
              veil_str_t variable, veil_str_t *out)
{
    bool is_cookie = veil_str_eq(variable, VEIL_STR("cookie"));

    return veil_http_var_field(r, hs, variable, is_cookie ? "; " : ", ", false,
                               out);
}

/* --- the request line and head
 * -------------------------------------------------- */

#define GET(name)                                                             \
    static bool request_get_##name(veil_http_request_t *r,                    \
                                   const veil_http_variable_t *v VEIL_UNUSED, \
                                   veil_str_t *out)

/* "/?" has none, as in nginx. */
GET(args)
{
    *out = r->args;
    return out->len != 0;
}

GET(is_args)
{
    *out = r->args.len == 0 ? VEIL_STR("") : VEIL_STR("?");
    return true;
}

GET(uri)
{
    return request_text(r->uri, out);
}

GET(request_uri)
{
    return request_text(r->in.unparsed_uri, out);
}

GET(request)
{
    return request_text(r->in.request_line, out);
}

GET(request_method)
{
    return request_text(r->in.method_name, out);
}

/* Of a body that was read ahead, and fits the buffer. */
GET(request_body)
{
    (void) v;
    *out = r->body_spool != NULL ? veil_http_spool_text(r->body_spool)
                                 : VEIL_STR_NULL;
    return out->data != NULL;
}

GET(request_body_file)
{
    (void) v;
    *out = r->body_spool != NULL ? veil_http_spool_path(r->body_spool)
                                 : VEIL_STR_NULL;
    return out->len != 0;
}

GET(scheme)
{
    return request_text(r->in.scheme, out);
}

GET(https)
{
    *out =
        veil_str_eq_z(r->in.scheme, "https") ? VEIL_STR("on") : VEIL_STR("");
    return true;
}

GET(server_protocol)
{
    switch (r->in.version) {
    case 10:
        *out = VEIL_STR("HTTP/1.0");
        return true;
    case 11:
        *out = VEIL_STR("HTTP/1.1");
        return true;
    case 20:
        *out = VEIL_STR("HTTP/2.0");
        return true;
    case 30:
        *out = VEIL_STR("HTTP/3.0");
        return true;
    default:
        return false;
    }
}

GET(host)
{
    *out = r->in.host.len != 0 ? r->in.host : r->server->name;
    return true;
}

GET(request_port)
{
    return r->in.host_port != 0
           && veil_http_var_number(r, r->in.host_port, out);
}

GET(is_request_port)
{
    *out = r->in.host_port != 0 ? VEIL_STR(":") : VEIL_STR("");
    return true;
}

GET(server_name)
{
    return request_text(r->server->name, out);
}

GET(header)
{
    return request_field(r, &r->in.headers, v->suffix, out);
}

GET(content_type)
{
    *out = veil_http_headers_value(&r->in.headers, VEIL_HEADER_CONTENT_TYPE);
    return out->data != NULL;
}

GET(content_length)
{
    return r->in.content_length >= 0
           && veil_http_var_number(r, (uint64_t) r->in.content_length, out);
}

GET(cookie)
{
    const veil_http_header_t *h = NULL;

    while ((h = veil_http_headers_get(&r->in.headers, VEIL_HEADER_COOKIE, h))
           != NULL)
    {
        if (veil_http_cookie_find(h->value, v->suffix, out)) {
            return true;
        }
    }
    return false;
}

/* The first argument of that name; names are compared in any case. */
GET(arg)
{
    veil_str_t rest = r->args, pair, name;

    while (rest.len != 0) {
        pair = veil_str_cut(&rest, '&');
        name = veil_str_cut(&pair, '=');
        if (name.len == v->suffix.len && veil_str_caseeq(name, v->suffix)
            && pair.data != NULL)
        {
            *out = pair;
            return true;
        }
    }
    return false;
}

GET(remote_user)
{
    veil_str_t auth =
        veil_http_headers_value(&r->in.headers, VEIL_HEADER_AUTHORIZATION);
    ptrdiff_t n;
    char *text;

    if (!veil_str_casestarts(auth, VEIL_STR("basic "))) {
        return false;
    }
    auth = veil_str_trim(veil_str_from(auth, 6));
    text = veil_pool_chars(r->pool, auth.len + 1);
    n = veil_base64_decode(text, auth);
    if (n <= 0) {
        return false;
    }
    *out = veil_str_n(text, (size_t) n);
    n = veil_str_chr(*out, ':');
    if (n <= 0) {
        return false; /* nobody's name */
    }
    out->len = (size_t) n;
    return true;
}

GET(request_length)
{
    return veil_http_var_number(r, r->bytes_received, out);
}

GET(request_time)
{
    return veil_http_var_seconds(r, veil_now_ms() - r->start_ms, out);
}

GET(request_id)
{
    unsigned char bytes[16];
    char *text = veil_pool_chars(r->pool, 32);
    unsigned i;

    veil_rand_bytes(bytes, sizeof(bytes));
    for (i = 0; i < sizeof(bytes); i++) {
        text[2 * i] = "0123456789abcdef"[bytes[i] >> 4];
        text[2 * i + 1] = "0123456789abcdef"[bytes[i] & 15];
    }
    *out = veil_str_n(text, 32);
    return true;
}

/* --- where it leads
 * --------------------------------------------------------------- */

GET(document_root)
{
    const veil_http_core_loc_t *conf = veil_http_core_loc(r);

    *out = veil_http_eval(r, conf->alias != NULL ? conf->alias : conf->root);
    return true;
}

GET(realpath_root)
{
    const veil_http_core_loc_t *conf = veil_http_core_loc(r);
    veil_str_t root =
        veil_http_eval_z(r, conf->alias != NULL ? conf->alias : conf->root);
    char *real = realpath(root.data, NULL);

    if (real == NULL) {
        return false;
    }
    *out = veil_pool_str(r->pool, veil_str_z(real));
    free(real); /* malloc'd by libc */
    return true;
}

GET(request_filename)
{
    size_t root_len;

    *out = veil_http_map_uri(r, r->uri, &root_len);
    return true;
}

/* Of a route: what follows its prefix, without the slash. */
GET(path)
{
    /* Escaped, since it is made for URLs: a decoded CR LF would be two lines
     * of the response. */
    *out = veil_http_uri_escape(r->pool, veil_http_location_rest(r));
    return true;
}

/* --- the response
 * ------------------------------------------------------------------ */

GET(status)
{
    int status = r->out.status != 0 ? r->out.status : r->status;

    *out = veil_pool_printf(r->pool, "%03d", status);
    return true;
}

GET(bytes_sent)
{
    return veil_http_var_number(r, r->bytes_sent, out);
}

GET(body_bytes_sent)
{
    return veil_http_var_number(r, r->body_bytes_sent, out);
}

GET(request_completion)
{
    bool complete =
        r->headers_sent && !r->aborted
        && (r->out.content_length < 0 || r->header_only
            || r->body_bytes_sent >= (uint64_t) r->out.content_length);

    *out = complete ? VEIL_STR("OK") : VEIL_STR("");
    return true;
}

GET(limit_rate)
{
    return veil_http_var_number(r, r->limit_rate, out);
}

static void
request_set_limit_rate(veil_http_request_t *r,
                       const veil_http_variable_t *v VEIL_UNUSED,
                       veil_str_t value)
{
    int64_t n = veil_str_to_size(value);

    r->limit_rate = n > 0 ? (uint64_t) n : 0;
}

static void
request_set_args(veil_http_request_t *r,
                 const veil_http_variable_t *v VEIL_UNUSED, veil_str_t value)
{
    r->args = value;
    r->uri_changed = true;
}

GET(sent_header)
{
    return request_field(r, &r->out.headers, v->suffix, out);
}

GET(sent_content_type)
{
    if (r->out.content_type.len == 0) {
        return false;
    }
    *out = r->out.content_type;
    if (r->out.charset.len != 0) {
        *out =
            veil_pool_printf(r->pool, "%.*s; charset=%.*s", VEIL_STR_ARG(*out),
                             VEIL_STR_ARG(r->out.charset));
    }
    return true;
}

GET(sent_content_length)
{
    /* Of these two none is sent. */
    if (r->out.status == 204 || r->out.status == 304) {
        return false;
    }
    return r->out.content_length >= 0
           && veil_http_var_number(r, (uint64_t) r->out.content_length, out);
}

GET(sent_location)
{
    *out = r->out.location;
    return out->len != 0;
}

GET(sent_last_modified)
{
    char *text;

    if (r->out.last_modified < 0) {
        return false;
    }
    text = veil_pool_chars(r->pool, VEIL_HTTP_DATE_LEN);
    veil_http_date_format(text, r->out.last_modified);
    *out = veil_str_n(text, VEIL_HTTP_DATE_LEN);
    return true;
}

GET(sent_etag)
{
    *out = r->out.etag;
    return out->len != 0;
}

GET(sent_connection)
{
    *out = r->out.status == 101 ? VEIL_STR("upgrade")
           : r->keepalive       ? VEIL_STR("keep-alive")
                                : VEIL_STR("close");
    return true;
}

GET(sent_keep_alive)
{
    const veil_http_core_loc_t *conf = veil_http_core_loc(r);

    if (!r->keepalive || conf->keepalive_header == 0) {
        return false;
    }
    *out = veil_pool_printf(r->pool, "timeout=%llu",
                            (unsigned long long) conf->keepalive_header);
    return true;
}

GET(sent_transfer_encoding)
{
    *out = VEIL_STR("chunked");
    return r->headers_sent && r->out.content_length < 0 && r->in.version == 11;
}

GET(trailer)
{
    return r->body_in != NULL && r->body_in->trailers != NULL
           && request_field(r, r->body_in->trailers, v->suffix, out);
}

GET(sent_trailer)
{
    return r->out.body != NULL && r->out.body->trailers != NULL
           && request_field(r, r->out.body->trailers, v->suffix, out);
}

/* clang-format off */
static const veil_http_var_def_t request_variables[] = {
    { "args", request_get_args, request_set_args, NULL, V | VEIL_HTTP_VAR_CHANGEABLE },
    { "query_string", request_get_args, NULL, NULL, V },
    { "is_args", request_get_is_args, NULL, NULL, V },
    { "uri", request_get_uri, NULL, NULL, V },
    { "document_uri", request_get_uri, NULL, NULL, V },
    { "request_uri", request_get_request_uri, NULL, NULL, 0 },
    { "request", request_get_request, NULL, NULL, 0 },
    { "request_method", request_get_request_method, NULL, NULL, V },
    { "request_body", request_get_request_body, NULL, NULL, V },
    { "request_body_file", request_get_request_body_file, NULL, NULL, V },
    { "scheme", request_get_scheme, NULL, NULL, 0 },
    { "https", request_get_https, NULL, NULL, 0 },
    { "server_protocol", request_get_server_protocol, NULL, NULL, 0 },
    { "host", request_get_host, NULL, NULL, 0 },
    { "request_port", request_get_request_port, NULL, NULL, 0 },
    { "is_request_port", request_get_is_request_port, NULL, NULL, 0 },
    { "server_name", request_get_server_name, NULL, NULL, V },
    { "content_type", request_get_content_type, NULL, NULL, 0 },
    { "content_length", request_get_content_length, NULL, NULL, 0 },
    { "remote_user", request_get_remote_user, NULL, NULL, 0 },
    { "request_length", request_get_request_length, NULL, NULL, V },
    { "bytes_received", request_get_request_length, NULL, NULL, V },
    { "request_time", request_get_request_time, NULL, NULL, V },
    { "request_id", request_get_request_id, NULL, NULL, VEIL_HTTP_VAR_CHANGEABLE },
    { "document_root", request_get_document_root, NULL, NULL, V },
    { "realpath_root", request_get_realpath_root, NULL, NULL, V },
    { "request_filename", request_get_request_filename, NULL, NULL, V },
    { "path", request_get_path, NULL, NULL, V | VEIL_HTTP_VAR_CHANGEABLE },
    { "status", request_get_status, NULL, NULL, V },
    { "bytes_sent", request_get_bytes_sent, NULL, NULL, V },
    { "body_bytes_sent", request_get_body_bytes_sent, NULL, NULL, V },
    { "request_completion", request_get_request_completion, NULL, NULL, V },
    { "limit_rate", request_get_limit_rate, request_set_limit_rate, NULL, V | VEIL_HTTP_VAR_CHANGEABLE },
    { "sent_http_content_type", request_get_sent_content_type, NULL, NULL, V },
    { "sent_http_content_length", request_get_sent_content_length, NULL, NULL, V },
    { "sent_http_location", request_get_sent_location, NULL, NULL, V },
    { "sent_http_last_modified", request_get_sent_last_modified, NULL, NULL, V },
    { "sent_http_etag", request_get_sent_etag, NULL, NULL, V },
    { "sent_http_connection", request_get_sent_connection, NULL, NULL, V },
    { "sent_http_keep_alive", request_get_sent_keep_alive, NULL, NULL, V },
    { "sent_http_transfer_encoding", request_get_sent_transfer_encoding, NULL, NULL, V },
    { "http_", request_get_header, NULL, NULL, VEIL_HTTP_VAR_PREFIX },
    { "sent_http_", request_get_sent_header, NULL, NULL, V | VEIL_HTTP_VAR_PREFIX },
    { "sent_trailer_", request_get_sent_trailer, NULL, NULL, V | VEIL_HTTP_VAR_PREFIX },
    { "trailer_", request_get_trailer, NULL, NULL, V | VEIL_HTTP_VAR_PREFIX },
    { "cookie_", request_get_cookie, NULL, NULL, VEIL_HTTP_VAR_PREFIX },
    { "arg_", request_get_arg, NULL, NULL, V | VEIL_HTTP_VAR_PREFIX },
    { NULL, NULL, NULL, NULL, 0 },
};
/* clang-format on */

static const veil_http_module_t request_http = {
    .variables = request_variables,
};

veil_module_t veil_http_variables_module = {
    .abi = VEIL_MODULE_ABI,
    .name = "variables",
    .http = &request_http,
};
