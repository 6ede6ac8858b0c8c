/*
 * url.c -- URLs of the command line.
 *
 * Scheme, authority, the rest: cut apart here, while what is a host and a
 * port is http's to say (parse.h).  Nothing is repaired: a byte that must be
 * escaped is refused, since the server would see something else than what was
 * typed.  Names and passwords in a URL are refused, too: they would end up in
 * logs.
 */

#include "core/platform.h"

#include "core/inet.h"
#include "fetch/url.h"
#include "http/parse/char_class.h"
#include "http/parse/parse.h"

/* The scheme, cut off *rest. */
static const char *
url_scheme(veil_str_t *rest, bool *tls)
{
    ptrdiff_t end = veil_str_find(*rest, VEIL_STR("://"));
    veil_str_t scheme;

    *tls = false;
    if (end < 0) {
        return NULL;
    }
    scheme = veil_str_n(rest->data, (size_t) end);
    *rest = veil_str_from(*rest, (size_t) end + 3);
    if (veil_str_caseeq(scheme, VEIL_STR("https"))) {
        *tls = true;
        return NULL;
    }
    return veil_str_caseeq(scheme, VEIL_STR("http"))
               ? NULL
               : "has a scheme other than http and https";
}

static size_t
url_authority_len(veil_str_t s)
{
    size_t i = 0;

    while (i < s.len && s.data[i] != '/' && s.data[i] != '?'
           && s.data[i] != '#') {
        i++;
    }
    return i;
}

static const char *
url_authority(veil_pool_t *pool, veil_str_t s, veil_fetch_url_t *url)
{
    veil_http_host_t h;
    veil_str_t host;
    veil_addr_t addr;
    char *name;

    if (s.len == 0) {
        return "has no host";
    }
    if (veil_str_chr(s, '@') >= 0) {
        return "has a user name: send an Authorization field instead";
    }
    if (veil_http_host_parse(s, &h) != VEIL_PARSE_OK) {
        return "has an invalid host or port";
    }
    host = h.name;
    if (host.data[0] == '[') {
        host = veil_str_n(host.data + 1, host.len - 2);
    }
    name = veil_pool_strz(pool, host);
    veil_str_lower(name, name, host.len);
    url->host = veil_str_n(name, host.len);
    url->is_address = veil_addr_parse_ip(&addr, url->host);
    url->port = h.port != 0 ? h.port : url->tls ? 443 : 80;
    url->authority = s;
    if (h.port == 0 && s.data[s.len - 1] == ':') {
        url->authority.len--;
    }
    return NULL;
}

static const char *
url_target(veil_pool_t *pool, veil_str_t s, veil_fetch_url_t *url)
{
    ptrdiff_t fragment = veil_str_chr(s, '#');
    size_t i;

    if (fragment >= 0) {
        s.len = (size_t) fragment;
    }
    for (i = 0; i < s.len; i++) {
        if (!veil_char_is(s.data[i], VEIL_CC_TARGET)
            || (unsigned char) s.data[i] >= 0x80)
        {
            return "has a character that must be escaped, as in \"%20\"";
        }
    }
    if (s.len == 0 || s.data[0] != '/') {
        s = veil_pool_printf(pool, "/%.*s", VEIL_STR_ARG(s));
    }
    url->target = s;
    return NULL;
}

const char *
veil_fetch_url_parse(veil_pool_t *pool, veil_str_t text, veil_fetch_url_t *url)
{
    veil_str_t rest = text;
    const char *error;
    size_t n;

    memset(url, 0, sizeof(*url));
    url->text = text;
    error = url_scheme(&rest, &url->tls);
    if (error != NULL) {
        return error;
    }
    n = url_authority_len(rest);
    error = url_authority(pool, veil_str_n(rest.data, n), url);
    if (error != NULL) {
        return error;
    }
    return url_target(pool, veil_str_from(rest, n), url);
}

bool
veil_fetch_url_same_server(const veil_fetch_url_t *a,
                           const veil_fetch_url_t *b)
{
    return a->tls == b->tls && a->port == b->port
           && veil_str_eq(a->host, b->host);
}
