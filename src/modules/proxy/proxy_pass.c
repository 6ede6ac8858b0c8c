/*
 * proxy_pass.c -- proxy_pass and the like: where a request goes, and with
 * which URI.
 *
 * nginx's rules for the URI:
 *
 *   - without a URI in the directive the request's own goes on, byte by byte
 *     as the client sent it, unless a rewrite has changed it;
 *   - with one, it replaces the location's prefix; what follows is escaped
 *     again;
 *   - with variables, a URI in the result is the whole URI, query included;
 *   - a rewrite inside the location makes the directive's URI void.
 *
 * Inside of a route the prefix is always taken off, and what is left joined
 * to the target's path with exactly one slash.
 *
 * Nothing that could end a line early gets into the request line: bytes that
 * may not stand in a URI are escaped, wherever they come from.
 */

#include "http/parse/uri.h"
#include "http/server.h"
#include "http/upstream/upstream_peer.h"
#include "modules/proxy/proxy.h"

/* --- the target -----------------------------------------------------------
 */

static bool
proxy_is_secure(const proxy_kind_t *kind, veil_str_t url)
{
    return veil_str_casestarts(url, kind->secure);
}

/* Cuts what follows "http://"; a message's end, or NULL. */
static const char *
proxy_cut_url(veil_pool_t *pool, veil_str_t rest, proxy_target_t *t)
{
    veil_hostport_t hp;
    ptrdiff_t end;
    size_t i;

    if (veil_str_starts(rest, VEIL_STR("unix:"))) {
        end = veil_str_chr(veil_str_from(rest, 5), ':');
        t->name = end < 0 ? rest : veil_str_n(rest.data, (size_t) end + 5);
        t->uri =
            end < 0 ? VEIL_STR_NULL : veil_str_from(rest, (size_t) end + 6);
        t->host_header = VEIL_STR("localhost");
        t->host = t->host_header;
        t->port = VEIL_STR_NULL;
        return t->name.len > 5 ? NULL : "no path in the unix domain socket";
    }
    for (i = 0; i < rest.len; i++) {
        if (rest.data[i] == '/' || rest.data[i] == '?') {
            break;
        }
    }
    t->name = veil_str_n(rest.data, i);
    t->uri = veil_str_from(rest, i);
    if (!veil_hostport_parse(&hp, t->name) || hp.host.len == 0) {
        return "invalid host";
    }
    t->host_header = t->name;
    t->host = hp.host;
    if (!hp.has_port) {
        t->port = t->https ? VEIL_STR("443") : VEIL_STR("80");
    } else {
        t->port = veil_pool_printf(pool, "%u", hp.port);
        if (hp.port == t->default_port) {
            t->host_header.len -= t->port.len + 1;
        }
    }
    return NULL;
}

static const char *
proxy_parse_url(veil_pool_t *pool, const proxy_kind_t *kind, veil_str_t url,
                proxy_target_t *t)
{
    veil_str_t scheme = kind->plain;

    t->url = url;
    t->https = proxy_is_secure(kind, url);
    if (t->https) {
        scheme = kind->secure;
    } else if (!veil_str_casestarts(url, kind->plain)) {
        if (!kind->bare || veil_str_find(url, VEIL_STR("://")) >= 0) {
            return "invalid URL prefix";
        }
        scheme.len = 0;
    }
    if (t->https && !veil_tls_is_built()) {
        return kind->no_tls;
    }
    t->default_port = t->https ? 443 : 80;
    return proxy_cut_url(pool, veil_str_from(url, scheme.len), t);
}

/* Whether a URI may be replaced here: not where there is no prefix. */
static const char *
proxy_why_no_uri(const veil_conf_t *cf)
{
    const veil_http_location_t *l = cf->scope->object;

    if (cf->scope->where != VEIL_CONF_LOCATION) {
        return "inside \"if\" statement, or inside \"limit_except\" block";
    }
    if (l->regex) {
        return "in location given by regular expression";
    }
    return l->named ? "inside named location" : NULL;
}

/* In a route it is named, as a site has many of them. */
static veil_rc_t
proxy_bad_url(veil_conf_t *cf, veil_str_t url, const char *why)
{
    const veil_http_location_t *l = cf->scope->object;
    const veil_array_t *names;
    veil_str_t name = VEIL_STR("");

    if (cf->scope->where == VEIL_CONF_LOCATION && l->is_route) {
        names = &l->server->names;
        if (names->n != 0) {
            name = veil_array_at(names, veil_http_server_name_t, 0)->name;
        }
        return veil_conf_error_at(
            cf, 1, "Invalid proxy URL for route '%.*s:%.*s': %.*s (%s)",
            VEIL_STR_ARG(name), VEIL_STR_ARG(l->node->args[1].str),
            VEIL_STR_ARG(url), why);
    }
    return veil_conf_error_at(cf, 1, "%s in \"%.*s\"", why, VEIL_STR_ARG(url));
}

/* Nobody who writes https:// expects a request to go out in the clear. */
static veil_rc_t
proxy_check_schemes(veil_conf_t *cf, const proxy_kind_t *kind,
                    const veil_upstream_group_t *g)
{
    const veil_upstream_server_t *s;
    unsigned i;

    for (i = 0; i < g->servers.n; i++) {
        s = *veil_array_at(&g->servers, veil_upstream_server_t *, i);
        if (s->scheme == VEIL_SCHEME_HTTP) {
            return veil_conf_error_at(
                cf, 1,
                "the URL says %.*s, and the server \"%.*s\" of upstream "
                "\"%.*s\" is http://",
                VEIL_STR_ARG(kind->secure), VEIL_STR_ARG(s->name),
                VEIL_STR_ARG(g->name));
        }
    }
    return VEIL_OK;
}

veil_rc_t
veil_proxy_set_pass(veil_conf_t *cf, const veil_command_t *cmd VEIL_UNUSED,
                    void *data)
{
    proxy_conf_t *conf = data;
    proxy_target_t *t = VEIL_POOL_NEW(cf->pool, proxy_target_t);
    veil_str_t url = veil_conf_arg(cf, 1);
    veil_http_location_t *l;
    const char *why;

    conf->target = t;
    t->node = cf->node;
    if (cf->scope->where == VEIL_CONF_LOCATION) {
        l = cf->scope->object;
        if (l->name.len != 0 && l->name.data[l->name.len - 1] == '/'
            && !l->is_route && !l->regex)
        {
            l->auto_redirect = true;
        }
    }
    if (veil_str_chr(url, '$') >= 0) {
        if (proxy_is_secure(conf->kind, url) && !veil_tls_is_built()) {
            return proxy_bad_url(cf, url, conf->kind->no_tls);
        }
        t->url = url;
        t->https = proxy_is_secure(conf->kind, url);
        t->value = veil_http_value_compile(cf, url);
        return t->value == NULL ? VEIL_ERROR : VEIL_OK;
    }
    why = proxy_parse_url(cf->pool, conf->kind, url, t);
    if (why != NULL) {
        return proxy_bad_url(cf, url, why);
    }
    if (t->uri.len != 0 && conf->kind->no_uri) {
        return veil_conf_error_at(
            cf, 1,
            "\"%s\" takes no URI, as the request's own is passed on; did "
            "you mean \"%.*s\"?",
            conf->kind->pass,
            VEIL_STR_ARG(veil_str_n(
                url.data, (size_t) (t->name.data - url.data) + t->name.len)));
    }
    why = t->uri.len != 0 ? proxy_why_no_uri(cf) : NULL;
    if (why != NULL) {
        return veil_conf_error_at(cf, 1, "\"%s\" cannot have URI part %s",
                                  conf->kind->pass, why);
    }
    t->group = veil_upstream_group_find(cf, t->name, t->default_port);
    if (t->group == NULL) {
        return VEIL_ERROR;
    }
    return t->https ? proxy_check_schemes(cf, conf->kind, t->group) : VEIL_OK;
}

veil_upstream_tls_need_t
veil_proxy_tls_need(const veil_http_main_t *m, const proxy_conf_t *conf)
{
    const proxy_target_t *t = conf->target;

    if (t == NULL) {
        return VEIL_UPSTREAM_TLS_NEVER;
    }
    if (t->value != NULL && !t->https
        && !veil_str_casestarts(t->url, conf->kind->plain))
    {
        return VEIL_UPSTREAM_TLS_MAYBE; /* "$scheme://..." */
    }
    return veil_upstream_tls_need(m, t->group, t->https);
}

bool
veil_proxy_resolve_target(veil_http_request_t *r, const proxy_conf_t *conf,
                          proxy_target_t *t)
{
    const char *why;
    veil_str_t url;

    *t = *conf->target;
    if (t->value == NULL) {
        return true;
    }
    url = veil_http_eval(r, t->value);
    why = proxy_parse_url(r->pool, conf->kind, url, t);
    if (why == NULL && t->uri.len != 0 && conf->kind->no_uri) {
        why = "a URI, which is the request's,";
    }
    if (why != NULL) {
        veil_log(&r->log, VEIL_LOG_ERR, 0, "%s in \"%.*s\"", why,
                 VEIL_STR_ARG(url));
        return false;
    }
    t->group = veil_upstream_group_dynamic(r, t->name, t->default_port);
    if (t->group == NULL) {
        veil_log(&r->log, VEIL_LOG_ERR, 0, "invalid host in \"%.*s\"",
                 VEIL_STR_ARG(url));
        return false;
    }
    return true;
}

/* --- the URI --------------------------------------------------------------
 */

static bool
proxy_is_clean(veil_str_t s)
{
    size_t i;

    for (i = 0; i < s.len; i++) {
        if ((unsigned char) s.data[i] <= ' ' || s.data[i] == 0x7f) {
            return false;
        }
    }
    return true;
}

/* Blanks and controls as escapes: the request line stays one line. */
static veil_str_t
proxy_clean(veil_http_request_t *r, veil_str_t s)
{
    static const char hex[] = "0123456789ABCDEF";
    unsigned char c;
    char *text, *p;
    size_t i;

    if (proxy_is_clean(s)) {
        return s;
    }
    text = veil_pool_chars(r->pool, 3 * s.len);
    p = text;
    for (i = 0; i < s.len; i++) {
        c = (unsigned char) s.data[i];
        if (c <= ' ' || c == 0x7f) {
            *p++ = '%';
            *p++ = hex[c >> 4];
            *p++ = hex[c & 15];
        } else {
            *p++ = (char) c;
        }
    }
    return veil_str_n(text, (size_t) (p - text));
}

/* base, path and "?args", of which each may be empty. */
static veil_str_t
proxy_join(veil_http_request_t *r, veil_str_t base, veil_str_t path,
           veil_str_t args)
{
    char *text, *p;

    text = veil_pool_chars(r->pool, base.len + path.len + args.len + 2);
    p = text;
    if (base.len == 0 && path.len == 0) {
        *p++ = '/';
    }
    p = veil_fmt_str(p, base);
    p = veil_fmt_str(p, path);
    if (args.len != 0) {
        *p++ = '?';
        p = veil_fmt_str(p, args);
    }
    return veil_str_n(text, (size_t) (p - text));
}

static bool
proxy_same(veil_str_t a, veil_str_t b)
{
    return a.data == b.data && a.len == b.len;
}

/* The URI as the client sent it. */
static veil_str_t
proxy_unparsed(veil_http_request_t *r)
{
    veil_str_t s = r->in.target;

    if (s.len == 0 || s.data[0] == '?') {
        return proxy_join(r, VEIL_STR("/"), s, VEIL_STR_NULL);
    }
    return s;
}

static veil_str_t
proxy_escape(veil_http_request_t *r, veil_str_t path)
{
    return veil_http_uri_escape(r->pool, path);
}

veil_str_t
veil_proxy_uri(veil_http_request_t *r, const proxy_kind_t *kind,
               const proxy_target_t *t)
{
    const veil_http_location_t *l = r->location;
    bool changed = !proxy_same(r->uri, r->in.path) || r->internal;
    bool located = proxy_same(r->uri, r->matched_uri);
    veil_str_t rest;
    size_t skip;

    if (t->value != NULL && t->uri.len != 0) {
        return t->uri.data[0] == '/'
                   ? proxy_clean(r, t->uri)
                   : proxy_join(r, VEIL_STR("/"), proxy_clean(r, t->uri),
                                VEIL_STR_NULL);
    }
    if (l != NULL && l->is_route && located && !kind->no_uri) {
        rest = veil_http_path_join(
            r->pool, t->uri.len != 0 ? t->uri : VEIL_STR("/"),
            proxy_escape(r, veil_http_path_rest(r->uri, l->name)));
        return proxy_join(r, rest, VEIL_STR_NULL, proxy_clean(r, r->args));
    }
    if (t->uri.len == 0 && !changed) {
        return proxy_unparsed(r);
    }

    skip = t->uri.len != 0 && located && l != NULL
               ? veil_min_size(l->name.len, r->uri.len)
               : 0;
    rest = proxy_escape(r, veil_str_from(r->uri, skip));
    return proxy_join(r, located ? t->uri : VEIL_STR_NULL, rest,
                      proxy_clean(r, r->args));
}
