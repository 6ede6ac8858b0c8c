/*
 * grpc_web_cors.c -- calls from pages of other origins (the Fetch standard,
 * 3.2: CORS).
 *
 * A call of gRPC-Web is never "simple", as its Content-Type is none of the
 * three that forms have.  So a browser asks first, with a preflight, and
 * that is where an origin is refused: 403, and a line in the log.  The call
 * itself is not refused by its Origin: browsers send one to the page's own
 * server, too, and others than browsers make up what they like.  It only
 * lacks the fields without which a page of another origin sees nothing.
 *
 * Preflights carry neither cookies nor an Authorization, so they are answered
 * before the access phase.  The answer lists all fields that a call may have,
 * not only those that were asked for: browsers remember each of them.
 */

#include "core/platform.h"

#include "http/conn.h"
#include "http/parse/token.h"
#include "modules/grpc_web/grpc_web.h"

typedef struct {
    veil_str_t text;   /* all of it, or "https://" of one with "*." */
    veil_str_t suffix; /* ".example.com:8443"; empty: no "*." */
} grpc_web_origin_t;

/* What clients of gRPC-Web send by themselves. */
#define CORS_HEADERS                                                          \
    "content-type, x-grpc-web, x-user-agent, grpc-timeout, authorization, "   \
    "grpc-accept-encoding, grpc-encoding"

/* --- directives ------------------------------------------------------------
 */

static bool
grpc_web_cors_is_host_char(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-'
           || c == '.' || c == '_';
}

static bool
grpc_web_cors_is_scheme(veil_str_t s)
{
    size_t i;

    for (i = 0; i < s.len; i++) {
        if (!((s.data[i] >= 'a' && s.data[i] <= 'z')
              || (i != 0
                  && ((s.data[i] >= '0' && s.data[i] <= '9')
                      || s.data[i] == '+' || s.data[i] == '-'
                      || s.data[i] == '.'))))
        {
            return false;
        }
    }
    return s.len != 0;
}

/* The length of a host's name or address; 0: it is neither. */
static size_t
grpc_web_cors_host_len(veil_str_t s)
{
    ptrdiff_t end;
    veil_addr_t addr;
    size_t i;

    if (s.len != 0 && s.data[0] == '[') {
        end = veil_str_chr(s, ']');
        return end > 1
                       && veil_addr_parse_ip(
                           &addr, veil_str_n(s.data + 1, (size_t) end - 1))
                   ? (size_t) end + 1
                   : 0;
    }
    for (i = 0; i < s.len && grpc_web_cors_is_host_char(s.data[i]); i++) {
    }
    return i != 0 && s.data[0] != '.' ? i : 0;
}

/* ":8443"; what the scheme implies a browser does not say. */
static bool
grpc_web_cors_port(veil_str_t scheme, veil_str_t *port)
{
    int64_t n;

    if (port->len == 0) {
        return true;
    }
    if (port->data[0] != ':' || port->len == 1 || port->data[1] == '0') {
        return false;
    }
    n = veil_str_to_int(veil_str_from(*port, 1));
    if (n < 1 || n > 65535) {
        return false;
    }
    if ((n == 443 && veil_str_eq(scheme, VEIL_STR("https")))
        || (n == 80 && veil_str_eq(scheme, VEIL_STR("http"))))
    {
        *port = VEIL_STR_NULL;
    }
    return true;
}

/* As browsers write it: "https://app.example.com", no default port. */
static bool
grpc_web_cors_parse(veil_conf_t *cf, veil_str_t text, grpc_web_origin_t *o)
{
    char *lower = veil_pool_chars(cf->pool, text.len);
    veil_str_t scheme, rest, port;
    ptrdiff_t colon;
    bool below;
    size_t n;

    veil_str_lower(lower, text.data, text.len);
    text = veil_str_n(lower, text.len);
    o->suffix = VEIL_STR_NULL;
    o->text = text;
    if (veil_str_eq(text, VEIL_STR("null"))) {
        return true;
    }
    colon = veil_str_chr(text, ':');
    if (colon < 0) {
        return false;
    }
    scheme = veil_str_n(text.data, (size_t) colon);
    rest = veil_str_from(text, (size_t) colon);
    if (!grpc_web_cors_is_scheme(scheme)
        || !veil_str_starts(rest, VEIL_STR("://")))
    {
        return false;
    }
    rest = veil_str_from(rest, 3);
    below = veil_str_starts(rest, VEIL_STR("*."));
    if (below) {
        rest = veil_str_from(rest, 2);
    }
    n = grpc_web_cors_host_len(rest);
    port = veil_str_from(rest, n);
    if (n == 0 || !grpc_web_cors_port(scheme, &port)) {
        return false;
    }
    rest.len = n + port.len;
    if (below) {
        o->text = veil_str_n(text.data, scheme.len + 3);
        o->suffix = veil_str_n(rest.data - 1, rest.len + 1);
    } else {
        o->text = veil_str_n(text.data, scheme.len + 3 + rest.len);
    }
    return true;
}

veil_rc_t
veil_grpc_web_set_origin(veil_conf_t *cf, const veil_command_t *cmd,
                         void *data)
{
    grpc_web_conf_t *conf = data;
    unsigned i, n = veil_conf_nargs(cf);
    veil_str_t text = veil_conf_arg(cf, 1);
    grpc_web_origin_t o;

    (void) cmd;
    conf->origin_node = cf->node;
    conf->any_origin = false;
    conf->origins = NULL;
    if (n == 2 && veil_str_eq(text, VEIL_STR("off"))) {
        return VEIL_OK;
    }
    if (n == 2 && veil_str_eq(text, VEIL_STR("*"))) {
        conf->any_origin = true;
        return VEIL_OK;
    }
    conf->origins = veil_array_create(cf->pool, sizeof(o), n - 1);
    for (i = 1; i < n; i++) {
        text = veil_conf_arg(cf, i);
        if (veil_str_eq(text, VEIL_STR("*"))
            || veil_str_eq(text, VEIL_STR("off"))) {
            return veil_conf_error_at(
                cf, i, "\"%.*s\" stands alone, without other origins",
                VEIL_STR_ARG(text));
        }
        if (!grpc_web_cors_parse(cf, text, &o)) {
            return veil_conf_error_at(
                cf, i,
                "invalid origin \"%.*s\": wanted is a scheme, a host and "
                "perhaps a port, as https://example.com or "
                "https://*.example.com:8443",
                VEIL_STR_ARG(text));
        }
        *(grpc_web_origin_t *) veil_array_push(conf->origins) = o;
    }
    return VEIL_OK;
}

static bool
grpc_web_cors_is_name(veil_str_t s)
{
    static const char others[] = "!#$%&'*+-.^_`|~";
    size_t i;
    char c;

    for (i = 0; i < s.len; i++) {
        c = s.data[i];
        if (!((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z')
              || (c >= '0' && c <= '9') || memchr(others, c, 15) != NULL))
        {
            return false;
        }
    }
    return s.len != 0;
}

veil_rc_t
veil_grpc_web_set_headers(veil_conf_t *cf, const veil_command_t *cmd,
                          void *data)
{
    grpc_web_conf_t *conf = data;
    unsigned i, n = veil_conf_nargs(cf);
    veil_str_t name = veil_conf_arg(cf, 1);
    char *lower;

    (void) cmd;
    conf->any_header = false;
    conf->headers = NULL;
    if (n == 2 && veil_str_eq(name, VEIL_STR("*"))) {
        conf->any_header = true;
        return VEIL_OK;
    }
    conf->headers = veil_array_create(cf->pool, sizeof(name), n - 1);
    for (i = 1; i < n; i++) {
        name = veil_conf_arg(cf, i);
        if (veil_str_eq(name, VEIL_STR("*"))) {
            return veil_conf_error_at(
                cf, i, "\"*\" stands alone, without names of fields");
        }
        if (!grpc_web_cors_is_name(name)) {
            return veil_conf_error_at(
                cf, i, "\"%.*s\" is not the name of a header field",
                VEIL_STR_ARG(name));
        }
        lower = veil_pool_chars(cf->pool, name.len);
        veil_str_lower(lower, name.data, name.len);
        *(veil_str_t *) veil_array_push(conf->headers) =
            veil_str_n(lower, name.len);
    }
    return VEIL_OK;
}

veil_rc_t
veil_grpc_web_cors_finish(veil_conf_t *cf, grpc_web_conf_t *conf)
{
    veil_str_t name;
    unsigned i;

    conf->headers_text = VEIL_STR(CORS_HEADERS);
    for (i = 0; conf->headers != NULL && i < conf->headers->n; i++) {
        name = *veil_array_at(conf->headers, veil_str_t, i);
        conf->headers_text = veil_pool_printf(cf->pool, "%.*s, %.*s",
                                              VEIL_STR_ARG(conf->headers_text),
                                              VEIL_STR_ARG(name));
    }
    if (conf->on && conf->any_origin && conf->credentials) {
        return veil_conf_error_node(
            cf, conf->origin_node, 1,
            "with \"grpc_web_allow_credentials on\" origins must be named: "
            "\"*\" would let every site call in the name of its visitors");
    }
    return VEIL_OK;
}

/* --- which origin ----------------------------------------------------------
 */

static bool
grpc_web_cors_matches(const grpc_web_origin_t *o, veil_str_t origin)
{
    size_t i;

    if (o->suffix.len == 0) {
        return veil_str_eq(o->text, origin);
    }
    if (origin.len <= o->text.len + o->suffix.len
        || !veil_str_starts(origin, o->text)
        || !veil_str_ends(origin, o->suffix))
    {
        return false;
    }
    for (i = o->text.len; i < origin.len - o->suffix.len; i++) {
        if (!grpc_web_cors_is_host_char(origin.data[i])) {
            return false;
        }
    }
    return true;
}

static bool
grpc_web_cors_allows(const grpc_web_conf_t *conf, veil_str_t origin)
{
    unsigned i;

    if (conf->any_origin) {
        return true;
    }
    for (i = 0; conf->origins != NULL && i < conf->origins->n; i++) {
        if (grpc_web_cors_matches(
                veil_array_at(conf->origins, grpc_web_origin_t, i), origin))
        {
            return true;
        }
    }
    return false;
}

static bool
grpc_web_cors_is_on(const grpc_web_conf_t *conf)
{
    return conf->any_origin || conf->origins != NULL;
}

/* Fields of both answers; false: the origin may not. */
static bool
grpc_web_cors_origin(veil_http_request_t *r, const grpc_web_conf_t *conf)
{
    veil_str_t origin =
        veil_http_headers_value(&r->in.headers, VEIL_HEADER_ORIGIN);
    veil_str_t vary;

    if (!conf->any_origin) {
        vary =
            veil_http_headers_join(&r->out.headers, VEIL_HEADER_VARY, r->pool);
        if (!veil_http_list_has(vary, VEIL_STR("origin"))) {
            veil_http_header_add(r, VEIL_STR("Vary"), VEIL_STR("Origin"));
        }
    }
    if (origin.len == 0 || !grpc_web_cors_allows(conf, origin)) {
        return false;
    }
    veil_http_header_set(r, VEIL_STR("Access-Control-Allow-Origin"),
                         conf->any_origin ? VEIL_STR("*") : origin);
    if (conf->credentials) {
        veil_http_header_set(r, VEIL_STR("Access-Control-Allow-Credentials"),
                             VEIL_STR("true"));
    }
    return true;
}

/* --- preflights ------------------------------------------------------------
 */

static veil_str_t
grpc_web_cors_in(const veil_http_request_t *r, const char *name)
{
    const veil_http_header_t *h =
        veil_http_headers_find(&r->in.headers, veil_str_z(name), NULL);

    return h == NULL ? VEIL_STR_NULL : h->value;
}

bool
veil_grpc_web_is_preflight(const veil_http_request_t *r,
                           const grpc_web_conf_t *conf)
{
    return conf->on && r->in.method == VEIL_OPTIONS
           && grpc_web_cors_is_on(conf)
           && veil_http_headers_may_have(&r->in.headers, VEIL_HEADER_ORIGIN)
           && grpc_web_cors_in(r, "Access-Control-Request-Method").len != 0;
}

/*
 * "*" of Access-Control-Allow-Headers does not cover Authorization, and means
 * itself with credentials: so what was asked for is named.
 */
static veil_str_t
grpc_web_cors_headers(veil_http_request_t *r, const grpc_web_conf_t *conf)
{
    veil_str_t list = conf->headers_text, asked, name;
    char *p, *text;

    if (!conf->any_header) {
        return list;
    }
    asked = grpc_web_cors_in(r, "Access-Control-Request-Headers");
    text = veil_pool_chars(r->pool, list.len + 2 * asked.len + 2);
    p = veil_fmt_str(text, list);
    while (veil_http_list_next(&asked, &name)) {
        if (grpc_web_cors_is_name(name) && !veil_http_list_has(list, name)) {
            p = veil_fmt_str(p, VEIL_STR(", "));
            p = veil_fmt_str(p, name);
        }
    }
    return veil_str_n(text, (size_t) (p - text));
}

veil_http_rc_t
veil_grpc_web_preflight(veil_http_request_t *r, const grpc_web_conf_t *conf)
{
    veil_str_t origin =
        veil_http_headers_value(&r->in.headers, VEIL_HEADER_ORIGIN);

    if (!grpc_web_cors_origin(r, conf)) {
        veil_log(&r->log, VEIL_LOG_ERR, 0,
                 "calls from origin \"%.*s\" are forbidden by "
                 "\"grpc_web_origin\"",
                 VEIL_STR_ARG(origin));
        return veil_http_fail(r, 403);
    }
    veil_http_header_set(r, VEIL_STR("Access-Control-Allow-Methods"),
                         VEIL_STR("POST"));
    veil_http_header_set(r, VEIL_STR("Access-Control-Allow-Headers"),
                         grpc_web_cors_headers(r, conf));
    veil_http_header_set(
        r, VEIL_STR("Access-Control-Max-Age"),
        veil_pool_printf(r->pool, "%llu",
                         (unsigned long long) conf->max_age / 1000));
    r->out.status = 204;
    return VEIL_HTTP_REPLY;
}

/* --- responses -------------------------------------------------------------
 */

/* What pages may read anyway, or never, or have no use for. */
static bool
grpc_web_cors_needs_exposing(const veil_http_header_t *h)
{
    switch (h->id) {
    case VEIL_HEADER_CACHE_CONTROL:
    case VEIL_HEADER_CONTENT_LANGUAGE:
    case VEIL_HEADER_EXPIRES:
    case VEIL_HEADER_LAST_MODIFIED:
    case VEIL_HEADER_PRAGMA:
    case VEIL_HEADER_SET_COOKIE:
    case VEIL_HEADER_VARY:
        return false;
    default:
        break;
    }
    return !veil_str_starts(h->name, VEIL_STR("Access-Control-"))
           && !veil_str_starts(h->name, VEIL_STR("access-control-"));
}

static veil_str_t
grpc_web_cors_exposed(veil_http_request_t *r)
{
    static const veil_str_t always =
        VEIL_STR_INIT("grpc-status, grpc-message, grpc-status-details-bin");
    const veil_http_header_t *h = NULL;
    size_t size = always.len;
    char *text, *p;

    while ((h = veil_http_headers_next(&r->out.headers, h)) != NULL) {
        size += h->name.len + 2;
    }
    text = veil_pool_chars(r->pool, size);
    p = veil_fmt_str(text, always);
    while ((h = veil_http_headers_next(&r->out.headers, h)) != NULL) {
        if (grpc_web_cors_needs_exposing(h)
            && !veil_http_list_has(veil_str_n(text, (size_t) (p - text)),
                                   h->name))
        {
            p = veil_fmt_str(p, VEIL_STR(", "));
            p = veil_fmt_str(p, h->name);
        }
    }
    return veil_str_n(text, (size_t) (p - text));
}

void
veil_grpc_web_cors(veil_http_request_t *r, const grpc_web_conf_t *conf)
{
    if (grpc_web_cors_is_on(conf) && grpc_web_cors_origin(r, conf)) {
        veil_http_header_set(r, VEIL_STR("Access-Control-Expose-Headers"),
                             grpc_web_cors_exposed(r));
    }
}
