/*
 * server.c -- virtual hosts: names of servers and the look-up by Host.
 *
 * nginx's order: the exact name; the longest wildcard at the start ("*.x");
 * the longest wildcard at the end ("x.*"); the first regex of the file; the
 * default server.  Names of the first three kinds are in one hash each, so a
 * look-up costs as many probes as the host has labels.
 */

#include "core/platform.h"

#include "http/server.h"

#include "core/hash.h"
#include "http/http.h"

struct veil_http_names_s {
    veil_hash_t exact;
    veil_hash_t heads;  /* "*.example.com" as ".example.com" */
    veil_hash_t tails;  /* "www.*" as "www." */
    veil_array_t regex; /* of veil_http_server_name_t * */
};

/* --- server_name
 * ----------------------------------------------------------------- */

static bool
server_name_is_valid(veil_str_t name)
{
    ptrdiff_t star = veil_str_chr(name, '*');

    if (name.len == 0 || veil_str_chr(name, '/') >= 0) {
        return name.len == 0;
    }
    if (star < 0) {
        return true;
    }
    if (veil_str_rchr(name, '*') != star || name.len < 3) {
        return false;
    }
    return (star == 0 && name.data[1] == '.')
           || ((size_t) star == name.len - 1 && name.data[star - 1] == '.');
}

static veil_rc_t
server_add_name(veil_conf_t *cf, veil_http_server_t *s, unsigned i)
{
    veil_str_t name = veil_conf_arg(cf, i);
    veil_http_server_name_t *to;
    veil_http_regex_t *re = NULL;
    char *lower;

    if (name.len != 0 && name.data[0] == '~') {
        if (name.len == 1) {
            return veil_conf_error_at(cf, i,
                                      "empty regex in server name \"~\"");
        }
        re = veil_http_regex_compile(cf, i, 1, true);
        if (re == NULL) {
            return VEIL_ERROR;
        }
    } else if (!server_name_is_valid(name)) {
        return veil_conf_error_at(cf, i,
                                  "invalid server name or wildcard \"%.*s\"",
                                  VEIL_STR_ARG(name));
    }

    lower = veil_pool_chars(cf->pool, name.len + 1);
    if (re != NULL) {
        memcpy(lower, name.data, name.len);
    } else {
        veil_str_lower(lower, name.data, name.len);
    }
    lower[name.len] = '\0';
    to = veil_array_push(&s->names);
    to->name = veil_str_n(lower, name.len);
    to->regex = re;
    to->server = s;
    to->node = cf->node;
    return VEIL_OK;
}

veil_rc_t
veil_http_set_server_name(veil_conf_t *cf,
                          const veil_command_t *cmd VEIL_UNUSED,
                          void *conf VEIL_UNUSED)
{
    veil_http_server_t *s = cf->scope->object;
    unsigned i;

    for (i = 1; i < veil_conf_nargs(cf); i++) {
        if (veil_str_eq(veil_conf_arg(cf, i), VEIL_STR("$hostname"))) {
            char host[256];
            veil_http_server_name_t *to = veil_array_push(&s->names);

            if (gethostname(host, sizeof(host)) != 0) {
                host[0] = '\0';
            }
            host[sizeof(host) - 1] = '\0';
            to->name = veil_pool_str(cf->pool, veil_str_z(host));
            to->server = s;
            to->node = cf->node;
            continue;
        }
        if (server_add_name(cf, s, i) != VEIL_OK) {
            return VEIL_ERROR;
        }
    }
    return VEIL_OK;
}

/* --- building
 * ---------------------------------------------------------------------- */

static void
server_hash(veil_conf_t *cf, veil_hash_t *hash, veil_str_t key,
            const veil_http_server_name_t *name)
{
    veil_http_server_t *there = veil_hash_find(hash, key);

    if (there == NULL) {
        (void) veil_hash_add(hash, key, name->server);
    } else if (there != name->server) {
        veil_conf_warn_node(cf, name->node,
                            "conflicting server name \"%.*s\", ignored",
                            VEIL_STR_ARG(name->name));
    }
}

static void
server_enter_name(veil_conf_t *cf, veil_http_names_t *names,
                  veil_http_server_name_t *name)
{
    veil_str_t s = name->name;

    if (name->regex != NULL) {
        *(veil_http_server_name_t **) veil_array_push(&names->regex) = name;
    } else if (s.len > 1 && s.data[0] == '*') {
        server_hash(cf, &names->heads, veil_str_from(s, 1), name);
    } else if (s.len > 1 && s.data[0] == '.') {
        server_hash(cf, &names->heads, s, name);
        server_hash(cf, &names->exact, veil_str_from(s, 1), name);
    } else if (s.len > 1 && s.data[s.len - 1] == '*') {
        server_hash(cf, &names->tails, veil_str_n(s.data, s.len - 1), name);
    } else {
        server_hash(cf, &names->exact, s, name);
    }
}

static bool
server_has_regex(const veil_http_server_t *s)
{
    unsigned i;

    for (i = 0; i < s->names.n; i++) {
        if (veil_array_at(&s->names, veil_http_server_name_t, i)->regex
            != NULL) {
            return true;
        }
    }
    return false;
}

veil_rc_t
veil_http_names_build(veil_conf_t *cf, veil_http_port_t *port)
{
    veil_http_names_t *names;
    veil_http_server_t *s;
    unsigned i, k;

    s = *veil_array_at(&port->servers, veil_http_server_t *, 0);
    if (port->servers.n == 1 && !server_has_regex(s)) {
        return VEIL_OK; /* whatever the name, it is this one */
    }
    names = VEIL_POOL_NEW(cf->pool, veil_http_names_t);
    veil_hash_init(&names->exact, cf->pool, VEIL_HASH_CASE, port->servers.n);
    veil_hash_init(&names->heads, cf->pool, VEIL_HASH_CASE, 0);
    veil_hash_init(&names->tails, cf->pool, VEIL_HASH_CASE, 0);
    veil_array_init(&names->regex, cf->pool, sizeof(veil_http_server_name_t *),
                    1);

    for (i = 0; i < port->servers.n; i++) {
        s = *veil_array_at(&port->servers, veil_http_server_t *, i);
        for (k = 0; k < s->names.n; k++) {
            server_enter_name(
                cf, names,
                veil_array_at(&s->names, veil_http_server_name_t, k));
        }
    }
    port->names = names;
    return VEIL_OK;
}

/* --- finding
 * ------------------------------------------------------------------------ */

static veil_http_server_t *
server_find_wildcard(const veil_http_names_t *names, veil_str_t host)
{
    veil_http_server_t *s;
    size_t i;

    for (i = 0; names->heads.n != 0 && i < host.len; i++) {
        if (host.data[i] == '.') {
            s = veil_hash_find(&names->heads, veil_str_from(host, i));
            if (s != NULL) {
                return s;
            }
        }
    }
    for (i = host.len; names->tails.n != 0 && i-- > 0;) {
        if (host.data[i] == '.') {
            s = veil_hash_find(&names->tails, veil_str_n(host.data, i + 1));
            if (s != NULL) {
                return s;
            }
        }
    }
    return NULL;
}

veil_http_server_t *
veil_http_server_find(const veil_http_port_t *port, veil_str_t host,
                      veil_http_request_t *r)
{
    const veil_http_names_t *names = port->names;
    const veil_http_server_name_t *name;
    veil_http_server_t *s;
    unsigned i;

    if (names == NULL) {
        return port->default_server;
    }
    s = veil_hash_find(&names->exact, host);
    if (s == NULL && host.len != 0) {
        s = server_find_wildcard(names, host);
    }
    for (i = 0; s == NULL && host.len != 0 && i < names->regex.n; i++) {
        name = *veil_array_at(&names->regex, veil_http_server_name_t *, i);
        if (r != NULL) {
            r->server = name->server; /* variables need a configuration */
        }
        if (veil_http_regex_match(r, name->regex, host)) {
            s = name->server;
        }
    }
    return s == NULL ? port->default_server : s;
}
