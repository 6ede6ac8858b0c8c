/*
 * proxy_rewrite.c -- proxy_redirect and proxy_cookie_...: addresses in the
 * upstream's response, in the client's terms.
 *
 * Each directive is a list of pairs; the first that matches is applied.
 * "default" of proxy_redirect is the directive's own pair, made of proxy_pass
 * and the location, and stands where it was written.
 */

#include "modules/proxy/proxy.h"

/* The text with [from, to) replaced. */
static veil_str_t
proxy_rewrite_replace(veil_http_request_t *r, veil_str_t text, size_t from,
                      size_t to, veil_str_t by)
{
    size_t len = from + by.len + (text.len - to);
    char *dst = veil_pool_chars(r->pool, len + 1);
    char *p;

    p = veil_fmt_str(dst, veil_str_n(text.data, from));
    p = veil_fmt_str(p, by);
    (void) veil_fmt_str(p, veil_str_from(text, to));
    return veil_str_n(dst, len);
}

/* --- proxy_redirect -------------------------------------------------------
 */

static bool
proxy_rewrite_redirect_pair(veil_http_request_t *r, const proxy_pair_t *pair,
                            veil_str_t *value, size_t skip)
{
    veil_str_t url = veil_str_from(*value, skip), from;

    if (pair->regex != NULL) {
        if (!veil_http_regex_match(r, pair->regex, url)) {
            return false;
        }
        *value = proxy_rewrite_replace(r, *value, skip, value->len,
                                       veil_http_eval(r, pair->to));
        return true;
    }
    from = veil_http_eval(r, pair->from);
    if (!veil_str_starts(url, from)) {
        return false;
    }
    *value = proxy_rewrite_replace(r, *value, skip, skip + from.len,
                                   veil_http_eval(r, pair->to));
    return true;
}

bool
veil_proxy_rewrite_location(veil_http_request_t *r, const proxy_conf_t *conf,
                            veil_str_t *value, size_t skip)
{
    const proxy_pair_t *pair;
    unsigned i;

    if (conf->redirect_off) {
        return false;
    }
    for (i = 0; conf->redirects != NULL && i < conf->redirects->n; i++) {
        pair = veil_array_at(conf->redirects, proxy_pair_t, i);
        if (pair->to == NULL) {
            pair = &conf->redirect_own; /* "default" */
        }
        if (pair->to != NULL
            && proxy_rewrite_redirect_pair(r, pair, value, skip)) {
            return true;
        }
    }
    return conf->redirects == NULL && conf->redirect_own.to != NULL
           && proxy_rewrite_redirect_pair(r, &conf->redirect_own, value, skip);
}

static const veil_http_value_t *
proxy_rewrite_constant(veil_conf_t *cf, veil_str_t text)
{
    return veil_http_value_compile(cf, text);
}

veil_rc_t
veil_proxy_redirect_finish(veil_conf_t *cf, proxy_conf_t *conf)
{
    const proxy_target_t *t = conf->target;
    const veil_http_location_t *l = cf->scope->object;
    veil_str_t to = VEIL_STR("/"), from;

    if (t == NULL || t->value != NULL || conf->redirect_off) {
        return VEIL_OK;
    }
    from = t->url;
    if (cf->scope->where == VEIL_CONF_LOCATION && l != NULL
        && (t->uri.len != 0 || l->is_route))
    {
        to = l->name;
        if (l->is_route && to.len != 0 && to.data[to.len - 1] != '/') {
            to = veil_pool_printf(cf->pool, "%.*s/", VEIL_STR_ARG(to));
        }
    }
    if (t->uri.len == 0
        || (l != NULL && cf->scope->where == VEIL_CONF_LOCATION && l->is_route
            && from.data[from.len - 1] != '/'))
    {
        from = veil_pool_printf(cf->pool, "%.*s/", VEIL_STR_ARG(from));
    }
    conf->redirect_own.from = proxy_rewrite_constant(cf, from);
    conf->redirect_own.to = proxy_rewrite_constant(cf, to);
    return conf->redirect_own.from == NULL || conf->redirect_own.to == NULL
               ? VEIL_ERROR
               : VEIL_OK;
}

/* --- cookies --------------------------------------------------------------
 */

/* One attribute of a cookie, "name=value", as a range of its text. */
typedef struct {
    size_t start; /* of the name */
    size_t end;   /* behind the value */
    veil_str_t name;
    veil_str_t value;
} proxy_cookie_attr_t;

/* The attribute from *at on; false: no more. */
static bool
proxy_cookie_next(veil_str_t cookie, size_t *at, proxy_cookie_attr_t *a)
{
    veil_str_t rest, part;
    ptrdiff_t semicolon, equals;

    if (*at >= cookie.len) {
        return false;
    }
    rest = veil_str_from(cookie, *at);
    semicolon = veil_str_chr(rest, ';');
    part = semicolon < 0 ? rest : veil_str_n(rest.data, (size_t) semicolon);
    *at = semicolon < 0 ? cookie.len : *at + (size_t) semicolon + 1;

    part = veil_str_trim(part);
    a->start = (size_t) (part.data - cookie.data);
    a->end = a->start + part.len;
    equals = veil_str_chr(part, '=');
    a->name = equals < 0 ? part : veil_str_n(part.data, (size_t) equals);
    a->value =
        equals < 0 ? VEIL_STR_NULL : veil_str_from(part, (size_t) equals + 1);
    return true;
}

/* The last of that name counts (RFC 6265, 5.3). */
static bool
proxy_cookie_find(veil_str_t cookie, veil_str_t name,
                  proxy_cookie_attr_t *found)
{
    proxy_cookie_attr_t a;
    size_t at = 0;
    bool any = false;

    (void) proxy_cookie_next(cookie, &at, &a); /* the cookie itself */
    while (proxy_cookie_next(cookie, &at, &a)) {
        if (veil_str_caseeq(a.name, name)) {
            *found = a;
            any = true;
        }
    }
    return any;
}

/* Domains match as a whole, paths by prefix. */
static bool
proxy_cookie_pair(veil_http_request_t *r, const proxy_pair_t *pair,
                  bool domain, veil_str_t *value)
{
    veil_str_t from, to, rest = *value;

    if (pair->regex != NULL) {
        if (!veil_http_regex_match(r, pair->regex, *value)) {
            return false;
        }
        *value = veil_http_eval(r, pair->to);
        return true;
    }
    from = veil_http_eval(r, pair->from);
    to = veil_http_eval(r, pair->to);
    if (domain) {
        if (rest.len != 0 && rest.data[0] == '.') {
            rest = veil_str_from(rest, 1);
        }
        if (from.len != 0 && from.data[0] == '.') {
            from = veil_str_from(from, 1);
        }
        if (!veil_str_caseeq(rest, from)) {
            return false;
        }
        if (to.len != 0 && to.data[0] == '.') {
            to = veil_str_from(to, 1);
        }
        /* A dot in front of the cookie's own stays. */
        *value = proxy_rewrite_replace(r, *value, value->len - rest.len,
                                       value->len, to);
        return true;
    }
    if (!veil_str_starts(*value, from)) {
        return false;
    }
    *value = proxy_rewrite_replace(r, *value, 0, from.len, to);
    return true;
}

static void
proxy_cookie_rewrite_attr(veil_http_request_t *r, const veil_array_t *pairs,
                          veil_str_t name, veil_str_t *cookie)
{
    bool domain = veil_str_eq_z(name, "domain");
    proxy_cookie_attr_t a;
    veil_str_t value;
    size_t start;
    unsigned i;

    if (pairs == NULL || !proxy_cookie_find(*cookie, name, &a)) {
        return;
    }
    value = a.value;
    for (i = 0; i < pairs->n; i++) {
        if (proxy_cookie_pair(r, veil_array_at(pairs, proxy_pair_t, i), domain,
                              &value))
        {
            start = a.value.data == NULL
                        ? a.end
                        : (size_t) (a.value.data - cookie->data);
            *cookie = proxy_rewrite_replace(r, *cookie, start, a.end, value);
            return;
        }
    }
}

/* Without the attribute and the semicolon before it. */
static void
proxy_cookie_drop(veil_http_request_t *r, veil_str_t name, veil_str_t *cookie)
{
    proxy_cookie_attr_t a;
    size_t start;

    while (proxy_cookie_find(*cookie, name, &a)) {
        start = a.start;
        while (start > 0 && cookie->data[start - 1] != ';') {
            start--;
        }
        *cookie =
            proxy_rewrite_replace(r, *cookie, start - 1, a.end, VEIL_STR_NULL);
    }
}

static void
proxy_cookie_flag(veil_http_request_t *r, int wanted, veil_str_t name,
                  veil_str_t *cookie)
{
    proxy_cookie_attr_t a;

    if (wanted < 0) {
        proxy_cookie_drop(r, name, cookie);
    } else if (wanted > 0 && !proxy_cookie_find(*cookie, name, &a)) {
        *cookie = veil_pool_printf(r->pool, "%.*s; %.*s",
                                   VEIL_STR_ARG(*cookie), VEIL_STR_ARG(name));
    }
}

static void
proxy_cookie_set_flags(veil_http_request_t *r, const veil_array_t *list,
                       veil_str_t *cookie)
{
    const proxy_cookie_flags_t *f;
    proxy_cookie_attr_t a;
    size_t at = 0;
    unsigned i;

    if (list == NULL || !proxy_cookie_next(*cookie, &at, &a)) {
        return;
    }
    for (i = 0; i < list->n; i++) {
        f = veil_array_at(list, proxy_cookie_flags_t, i);
        if (f->regex != NULL
                ? !veil_http_regex_match(r, f->regex, a.name)
                : !veil_str_caseeq(veil_http_eval(r, f->name), a.name))
        {
            continue;
        }
        proxy_cookie_flag(r, f->secure, VEIL_STR("Secure"), cookie);
        proxy_cookie_flag(r, f->httponly, VEIL_STR("HttpOnly"), cookie);
        if (f->nosamesite || f->samesite.len != 0) {
            proxy_cookie_drop(r, VEIL_STR("SameSite"), cookie);
        }
        if (f->samesite.len != 0) {
            *cookie = veil_pool_printf(r->pool, "%.*s; SameSite=%.*s",
                                       VEIL_STR_ARG(*cookie),
                                       VEIL_STR_ARG(f->samesite));
        }
        return;
    }
}

void
veil_proxy_rewrite_cookie(veil_http_request_t *r, const proxy_conf_t *conf,
                          veil_str_t *value)
{
    proxy_cookie_rewrite_attr(r, conf->cookie_domains, VEIL_STR("domain"),
                              value);
    proxy_cookie_rewrite_attr(r, conf->cookie_paths, VEIL_STR("path"), value);
    proxy_cookie_set_flags(r, conf->cookie_flags, value);
}
