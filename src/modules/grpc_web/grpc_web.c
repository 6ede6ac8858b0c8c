/*
 * grpc_web.c -- gRPC-Web: calls of browsers become calls of gRPC.
 *
 *     location /helloworld.Greeter/ {
 *         grpc_pass       127.0.0.1:50051;
 *         grpc_web        on;
 *         grpc_web_origin https://app.example.com;
 *     }
 *
 * A page can neither speak HTTP/2 frame by frame nor read trailers, so its
 * library sends what gRPC would, over any version of HTTP, with a type of its
 * own, and expects the trailers as the last frame of the body (PROTOCOL-WEB.md
 * of gRPC).  This module stands between: before the content phase it makes
 * the request one of gRPC, and a header filter makes the response one of
 * gRPC-Web.  Whoever gets the request in between, grpc_pass or proxy_pass,
 * does not know; and a request that is not gRPC-Web passes as it is.
 *
 * A response that is not gRPC's, most of all an error of veil's own, becomes
 * one without messages: 200, and a status of gRPC in the head, as a backend
 * would say it that has nothing but a status.  What a backend redirects to,
 * and what is gRPC-Web already, pass.
 *
 * A call is a call wherever it is routed: its state outlives error_page.
 */

#include "core/platform.h"

#include "http/parse/token.h"
#include "modules/grpc_web/grpc_web.h"

/* After add_header and add_trailer, before what encodes. */
#define GRPC_WEB_FILTER_ORDER (VEIL_FILTER_HEADERS + 50)

/* --- what a call is --------------------------------------------------------
 */

/* "+proto", or nothing; it is repeated in the response. */
static bool
grpc_web_is_suffix(veil_str_t s)
{
    unsigned char c;
    size_t i;

    if (s.len != 0 && (s.data[0] != '+' || s.len == 1)) {
        return false;
    }
    for (i = 1; i < s.len; i++) {
        c = veil_lower((unsigned char) s.data[i]);
        if ((c < 'a' || c > 'z') && (c < '0' || c > '9') && c != '.'
            && c != '-' && c != '_' && c != '+')
        {
            return false;
        }
    }
    return true;
}

/* "application/grpc-web[-text][+proto]", parameters apart. */
static bool
grpc_web_is_type(veil_str_t type, bool *text, veil_str_t *suffix)
{
    static const veil_str_t web = VEIL_STR_INIT("application/grpc-web");
    veil_str_t rest;

    type = veil_str_trim(veil_str_cut(&type, ';'));
    if (type.len < web.len
        || !veil_str_caseeq(veil_str_n(type.data, web.len), web))
    {
        return false;
    }
    rest = veil_str_from(type, web.len);
    *text = rest.len >= 5
            && veil_str_caseeq(veil_str_n(rest.data, 5), VEIL_STR("-text"));
    if (*text) {
        rest = veil_str_from(rest, 5);
    }
    *suffix = rest;
    return grpc_web_is_suffix(rest);
}

/* The first type of gRPC-Web that Accept names, else that of the request. */
static bool
grpc_web_wants_text(veil_http_request_t *r, bool text)
{
    veil_str_t rest =
        veil_http_headers_join(&r->in.headers, VEIL_HEADER_ACCEPT, r->pool);
    veil_str_t type, suffix;
    bool accepted;

    while (veil_http_list_next(&rest, &type)) {
        if (grpc_web_is_type(type, &accepted, &suffix)) {
            return accepted;
        }
    }
    return text;
}

/*
 * The request's call; NULL: it is none.  An error may come before the
 * handler, and error_page makes a GET of it then.
 */
static grpc_web_call_t *
grpc_web_call(veil_http_request_t *r)
{
    grpc_web_call_t *call = veil_http_ctx(r, &veil_http_grpc_web_module);
    const grpc_web_conf_t *conf =
        veil_http_loc_conf(r, &veil_http_grpc_web_module);
    veil_str_t type, suffix;
    bool text;

    if (call != NULL || !conf->on
        || (r->in.method != VEIL_POST && r->error_status == 0))
    {
        return call;
    }
    type = veil_http_headers_value(&r->in.headers, VEIL_HEADER_CONTENT_TYPE);
    if (!grpc_web_is_type(type, &text, &suffix)) {
        return NULL;
    }
    call = VEIL_POOL_NEW(r->pool, grpc_web_call_t);
    call->conf = conf;
    call->suffix = suffix;
    call->text = text;
    call->text_back = grpc_web_wants_text(r, text);
    veil_http_set_ctx(r, &veil_http_grpc_web_module, call);
    return call;
}

/* --- requests --------------------------------------------------------------
 */

/* As a client of gRPC would have sent it (PROTOCOL-HTTP2.md). */
static void
grpc_web_translate(veil_http_request_t *r, const grpc_web_call_t *call)
{
    veil_http_headers_t *hs = &r->in.headers;

    veil_http_headers_set(hs, VEIL_STR("Content-Type"),
                          veil_pool_printf(r->pool, "application/grpc%.*s",
                                           VEIL_STR_ARG(call->suffix)));
    veil_http_headers_set(hs, VEIL_STR("TE"), VEIL_STR("trailers"));
    veil_http_headers_remove_id(hs, VEIL_HEADER_ACCEPT);
    veil_http_headers_remove(hs, VEIL_STR("X-Grpc-Web"));
    if (call->text) {
        veil_http_headers_remove_id(hs, VEIL_HEADER_CONTENT_LENGTH);
        if (veil_http_request_has_body(r)) {
            veil_http_request_wrap_body(r, veil_grpc_web_decode_body);
        }
    }
}

static veil_http_rc_t
grpc_web_handler(veil_http_request_t *r)
{
    const grpc_web_conf_t *conf =
        veil_http_loc_conf(r, &veil_http_grpc_web_module);
    grpc_web_call_t *call;

    if (!conf->on) {
        return VEIL_HTTP_NEXT;
    }
    if (veil_grpc_web_is_preflight(r, conf)) {
        return veil_grpc_web_preflight(r, conf);
    }
    call = grpc_web_call(r);
    if (call != NULL && !call->translated) {
        call->translated = true;
        grpc_web_translate(r, call);
    }
    return VEIL_HTTP_NEXT;
}

/* --- responses -------------------------------------------------------------
 */

static void
grpc_web_set_type(veil_http_request_t *r, const grpc_web_call_t *call,
                  veil_str_t suffix)
{
    r->out.content_type =
        veil_pool_printf(r->pool, "application/grpc-web%s%.*s",
                         call->text_back ? "-text" : "", VEIL_STR_ARG(suffix));
    r->out.charset = VEIL_STR_NULL;
}

static bool
grpc_web_has_status(const veil_http_request_t *r)
{
    return veil_http_headers_find(&r->out.headers, VEIL_STR("grpc-status"),
                                  NULL)
           != NULL;
}

static void
grpc_web_set_status(veil_http_request_t *r, veil_grpc_status_t status,
                    veil_str_t message)
{
    veil_http_header_set(r, VEIL_STR("grpc-status"),
                         veil_pool_printf(r->pool, "%d", (int) status));
    veil_http_header_set(r, VEIL_STR("grpc-message"),
                         veil_grpc_message(r->pool, message));
}

/* A status and no messages: all of it is in the head. */
static void
grpc_web_only_status(veil_http_request_t *r, const grpc_web_call_t *call)
{
    if (r->out.body != NULL) {
        veil_http_body_abort(r->out.body);
        r->out.body = NULL;
    }
    if (!grpc_web_has_status(r)) {
        grpc_web_set_status(r, veil_grpc_status_of(r->out.status),
                            veil_http_status_reason(r->out.status));
    }
    grpc_web_set_type(r, call, call->suffix);
    veil_http_headers_remove_id(&r->out.headers, VEIL_HEADER_CONTENT_ENCODING);
    veil_http_headers_remove_id(&r->out.headers, VEIL_HEADER_CONTENT_RANGE);
    r->out.status = 200;
    r->out.reason = VEIL_STR_NULL;
    r->out.etag = VEIL_STR_NULL;
    r->out.last_modified = -1;
    r->out.allow_ranges = false;
    r->out.own_error = false; /* but a response */
    r->out.content_length = 0;
    r->header_only = r->in.method == VEIL_HEAD;
}

static void
grpc_web_respond(veil_http_request_t *r, grpc_web_call_t *call)
{
    veil_str_t suffix = VEIL_STR_NULL;
    bool text;

    if (grpc_web_is_type(r->out.content_type, &text, &suffix)
        || (r->out.status >= 300 && r->out.status < 400))
    {
        return;
    }
    if (r->out.status != 200
        || !veil_grpc_is_type(r->out.content_type, &suffix)) {
        grpc_web_only_status(r, call);
        return;
    }
    grpc_web_set_type(r, call, suffix.len != 0 ? suffix : call->suffix);
    call->told = grpc_web_has_status(r);
    if (r->out.body != NULL) {
        r->out.body = veil_grpc_web_encode_body(r, call, r->out.body);
        r->out.content_length = -1;
    } else if (!call->told) {
        grpc_web_set_status(r, VEIL_GRPC_UNKNOWN, VEIL_GRPC_WEB_LOST);
    }
}

static veil_rc_t
grpc_web_filter(veil_http_request_t *r, const veil_http_filter_t *next)
{
    grpc_web_call_t *call = grpc_web_call(r);

    if (call != NULL) {
        grpc_web_respond(r, call);
        veil_grpc_web_cors(r, call->conf);
    }
    return veil_http_next_header(r, next);
}

/* --- the module ------------------------------------------------------------
 */

static void
grpc_web_conf_default(void *data)
{
    grpc_web_conf_t *conf = data;

    conf->max_age = 3600 * 1000;
}

static veil_rc_t
grpc_web_conf_finish(veil_conf_t *cf, void *conf, const void *parent)
{
    (void) parent;
    return veil_grpc_web_cors_finish(cf, conf);
}

static const veil_command_t grpc_web_commands[] = {
    { .name = "grpc_web",
      .where = VEIL_CONF_HTTP_ANY,
      .args = VEIL_ARGS_1,
      .set = veil_conf_set_flag,
      .offset = offsetof(grpc_web_conf_t, on),
      .syntax = "on | off",
      .def = "off",
      .help = "Translates calls of gRPC-Web into such of gRPC, and back." },

    { .name = "grpc_web_origin",
      .where = VEIL_CONF_HTTP_ANY,
      .args = VEIL_ARGS_1MORE,
      .set = veil_grpc_web_set_origin,
      .syntax = "off | * | origin ...",
      .def = "off",
      .help = "Lets pages of these origins make calls: answers preflights "
              "and adds the fields of CORS." },

    { .name = "grpc_web_allow_headers",
      .where = VEIL_CONF_HTTP_ANY,
      .args = VEIL_ARGS_1MORE,
      .set = veil_grpc_web_set_headers,
      .syntax = "* | name ...",
      .help = "Fields that calls of pages may have beside those that "
              "gRPC-Web needs." },

    { .name = "grpc_web_allow_credentials",
      .where = VEIL_CONF_HTTP_ANY,
      .args = VEIL_ARGS_1,
      .set = veil_conf_set_flag,
      .offset = offsetof(grpc_web_conf_t, credentials),
      .syntax = "on | off",
      .def = "off",
      .help = "Whether calls of pages may have cookies." },

    { .name = "grpc_web_max_age",
      .where = VEIL_CONF_HTTP_ANY,
      .args = VEIL_ARGS_1,
      .set = veil_conf_set_msec,
      .offset = offsetof(grpc_web_conf_t, max_age),
      .syntax = "time",
      .def = "1h",
      .help = "How long browsers may remember what a preflight has told." },

    { .name = NULL },
};

static const veil_http_module_t grpc_web_http = {
    .loc_conf_size = sizeof(grpc_web_conf_t),
    .loc_conf_default = grpc_web_conf_default,
    .loc_conf_finish = grpc_web_conf_finish,
    .handler = { VEIL_PHASE_PREACCESS, grpc_web_handler },
    .filter = { .order = GRPC_WEB_FILTER_ORDER, .header = grpc_web_filter },
    .keeps_ctx = true,
};

veil_module_t veil_http_grpc_web_module = {
    .abi = VEIL_MODULE_ABI,
    .name = "grpc_web",
    .commands = grpc_web_commands,
    .http = &grpc_web_http,
};
