/*
 * ssl_put_in.c -- certificates that are put in while the server runs.
 *
 * Servers that share their directives share a context. Replacing a
 * certificate makes another context of it, with the same options, which all
 * of these servers have from then on; handshakes that have begun keep the one
 * they know, as contexts are counted. A name with a certificate of its own is
 * in a list of the context's owner, which is looked at only while there is
 * such a name.
 *
 * The same is done in the keeper, so that workers it forks later know.
 */

#include "core/platform.h"

#include "core/cycle.h"
#include "http/conn.h"
#include "modules/ssl/ssl_put_in.h"

/* --- which servers ------------------------------------------------------- */

/* Whether the server has the name, and not only answers for want of better. */
static bool
ssl_put_in_has_name(const veil_http_server_t *s, const veil_http_port_t *port,
                    veil_str_t name)
{
    const veil_http_server_name_t *n;
    unsigned i;

    if (s != port->default_server) {
        return true;
    }
    for (i = 0; i < s->names.n; i++) {
        n = veil_array_at(&s->names, veil_http_server_name_t, i);
        if (n->regex == NULL && veil_str_eq(n->name, name)) {
            return true;
        }
        if (veil_str_starts(n->name, VEIL_STR("*."))
            && veil_str_ends(name, veil_str_from(n->name, 1)))
        {
            return true;
        }
        if (veil_str_starts(n->name, VEIL_STR("."))
            && (veil_str_ends(name, n->name)
                || veil_str_eq(name, veil_str_from(n->name, 1))))
        {
            return true;
        }
    }
    return false;
}

/* Calls fn for each port's server; a default one only with "defaults". */
void
veil_ssl_each(veil_str_t name, bool defaults, veil_ssl_each_fn *fn, void *data)
{
    const veil_http_main_t *main = veil_cycle->http;
    const veil_http_port_t *port;
    veil_http_server_t *s;
    unsigned i;

    for (i = 0; main != NULL && i < main->ports.n; i++) {
        port = *veil_array_at(&main->ports, veil_http_port_t *, i);
        if (!port->ssl) {
            continue;
        }
        s = veil_http_server_find(port, name, NULL);
        if (defaults || ssl_put_in_has_name(s, port, name)) {
            fn(s->tls != NULL ? s : port->default_server, data);
        }
    }
}

/* --- putting one in ------------------------------------------------------ */

veil_tls_ctx_t *
veil_ssl_current(const veil_ssl_conf_t *conf)
{
    return conf->put_in != NULL ? conf->put_in : conf->ctx;
}

/* Of the servers that share the conf, the one at *i or behind; NULL: none. */
static veil_http_server_t *
ssl_put_in_server(const veil_ssl_conf_t *conf, unsigned *i)
{
    const veil_http_main_t *main = veil_cycle->http;
    veil_http_server_t *s;

    while (*i < main->servers.n) {
        s = *veil_array_at(&main->servers, veil_http_server_t *, *i);
        ++*i;
        if (veil_ssl_conf_of(s) == conf) {
            return s;
        }
    }
    return NULL;
}

/* The servers that share the conf have the context from now on. */
static void
ssl_put_in_use(const veil_ssl_conf_t *conf, veil_tls_ctx_t *ctx)
{
    veil_http_server_t *s;
    unsigned i = 0;

    while ((s = ssl_put_in_server(conf, &i)) != NULL) {
        s->tls = ctx;
    }
}

static void
ssl_put_in_replace(veil_http_server_t *s, veil_ssl_change_t *c)
{
    veil_ssl_conf_t *conf = veil_ssl_conf_of(s);
    veil_tls_ctx_t *old = veil_ssl_current(conf), *new;
    veil_tls_cert_t cert;
    unsigned i;

    veil_tls_cert_copy(&cert, &c->cert);
    new = veil_tls_ctx_replace(old, &cert, &i);
    if (c->before == NULL && i < veil_tls_ctx_certs(old)) {
        c->before = veil_ssl_describe(veil_tls_ctx_cert(old, i));
    }
    if (c->dry) {
        veil_tls_ctx_put(new);
        return;
    }
    conf->put_in = new;
    ssl_put_in_use(conf, conf->put_in);
    if (old != conf->ctx) {
        veil_tls_ctx_put(old);
    }
}

veil_ssl_added_t *
veil_ssl_find_added(const veil_ssl_conf_t *conf, veil_str_t name)
{
    veil_ssl_added_t *a;
    veil_list_t *l;

    veil_list_foreach (l, &conf->added) {
        a = veil_list_entry(l, veil_ssl_added_t, link);
        if (veil_str_eq_z(name, a->name)) {
            return a;
        }
    }
    return NULL;
}

void
veil_ssl_free_added(veil_ssl_added_t *a)
{
    veil_list_remove(&a->link);
    veil_tls_ctx_put(a->ctx);
    veil_free(a);
}

/* In the place of the server's own, for names that have one. */
static veil_tls_ctx_t *
ssl_put_in_select(veil_http_conn_t *hc)
{
    const veil_http_server_t *s =
        hc->server->tls != NULL ? hc->server : hc->port->default_server;
    const veil_ssl_conf_t *conf = veil_ssl_conf_of(s);
    const veil_ssl_added_t *a =
        veil_ssl_find_added(conf, veil_tls_server_name(veil_tls_of(&hc->c)));

    if (a != NULL) {
        return a->ctx;
    }
    return conf->loader != NULL ? veil_ssl_load(hc) : s->tls;
}

/* Servers look into the list of names only while there is one. */
void
veil_ssl_use_list(const veil_ssl_conf_t *conf)
{
    veil_http_server_t *s;
    unsigned i = 0;

    while ((s = ssl_put_in_server(conf, &i)) != NULL) {
        s->tls_select = !veil_list_is_empty(&conf->added) ? ssl_put_in_select
                        : conf->loader != NULL            ? veil_ssl_load
                                                          : NULL;
    }
}

static void
ssl_put_in_add(veil_http_server_t *s, veil_ssl_change_t *c)
{
    veil_ssl_conf_t *conf = veil_ssl_conf_of(s);
    veil_ssl_added_t *a = veil_ssl_find_added(conf, c->name);
    veil_tls_ctx_t *base = a != NULL ? a->ctx : conf->ctx;
    veil_tls_cert_t cert;
    veil_ssl_added_t *new;
    unsigned i;

    veil_tls_cert_copy(&cert, &c->cert);
    new = veil_zalloc(sizeof(*new) + c->name.len + 1);
    memcpy(new->name, c->name.data, c->name.len);
    if (a != NULL) {
        /* A second one of another kind of key stands beside the first. */
        new->ctx = veil_tls_ctx_replace(base, &cert, &i);
        if (c->before == NULL && i < veil_tls_ctx_certs(base)) {
            c->before = veil_ssl_describe(veil_tls_ctx_cert(base, i));
        }
    } else {
        new->ctx = veil_tls_ctx_with(base, &cert, 1);
    }
    if (c->dry) {
        veil_tls_ctx_put(new->ctx);
        veil_free(new);
        return;
    }
    if (a != NULL) {
        veil_ssl_free_added(a);
    }
    veil_list_append(&conf->added, &new->link);
    veil_ssl_use_list(conf);
}

/* A server may be met on several ports: its conf is changed once. */
typedef struct {
    veil_ssl_change_t *change;
    const veil_ssl_conf_t *done[64];
    unsigned n;
} ssl_apply_t;

static void
ssl_put_in_apply_one(veil_http_server_t *s, void *data)
{
    ssl_apply_t *a = data;
    const veil_ssl_conf_t *conf = veil_ssl_conf_of(s);
    unsigned i;

    for (i = 0; i < a->n; i++) {
        if (a->done[i] == conf) {
            return;
        }
    }
    if (a->n == veil_countof(a->done)) {
        return;
    }
    a->done[a->n++] = conf;
    a->change->n++;
    if (a->change->add) {
        ssl_put_in_add(s, a->change);
    } else {
        ssl_put_in_replace(s, a->change);
    }
}

void
veil_ssl_put_in(veil_ssl_change_t *c)
{
    ssl_apply_t a = { .change = c };

    veil_ssl_each(c->name, c->add, ssl_put_in_apply_one, &a);
}

/* --- the end ------------------------------------------------------------- */

void
veil_ssl_put_in_clear(veil_cycle_t *cycle)
{
    const veil_http_main_t *main = cycle->http;
    veil_ssl_conf_t *conf;
    unsigned i;

    for (i = 0; main != NULL && i < main->servers.n; i++) {
        conf = veil_ssl_conf_of(
            *veil_array_at(&main->servers, veil_http_server_t *, i));
        while (!veil_list_is_empty(&conf->added)) {
            veil_ssl_free_added(
                veil_list_first(&conf->added, veil_ssl_added_t, link));
            veil_ssl_use_list(conf);
        }
        if (conf->put_in != NULL) {
            ssl_put_in_use(conf, conf->ctx);
            veil_tls_ctx_put(conf->put_in);
            conf->put_in = NULL;
        }
    }
}
