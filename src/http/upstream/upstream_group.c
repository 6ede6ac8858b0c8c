/*
 * upstream_group.c -- groups of servers: those of the configuration, and
 * those a proxy_pass with variables names at run time.
 *
 * A group that a proxy_pass mentions and no upstream {} defines stands for
 * the addresses of that host; upstream {} is applied in the first pass of
 * http {}, so who comes first does not matter.
 *
 * Names are looked up while the configuration is read, as by nginx, so that
 * the first request finds addresses.  Unlike nginx's start, ours goes on
 * without them: a server that cannot resolve one of its backends can still
 * serve everything else.
 *
 * Groups made at run time are kept in a table by name, since their idle
 * connections are what makes them fast; the one that was not used for the
 * longest time goes when there are too many.
 */

#include "http/upstream/upstream_impl.h"

#include <netdb.h>

#define GROUP_DYNAMIC_MAX 1024
#define GROUP_UNIX_MAX 107 /* of sockaddr_un */

/* Of this worker, the last used first. */
static veil_list_t upstream_group_dynamic;
static unsigned upstream_group_ndynamic;

/* http://host and https://host are different ones. */
static bool
upstream_group_is(const veil_upstream_group_t *g, veil_str_t name,
                  uint16_t default_port)
{
    return (g->default_port == 0 || g->default_port == default_port)
           && veil_str_caseeq(g->name, name);
}

veil_upstream_group_t *
veil_upstream_group_by_name(const veil_http_main_t *m, veil_str_t name,
                            uint16_t default_port)
{
    veil_upstream_group_t *g;
    unsigned i;

    for (i = 0; i < m->upstreams.n; i++) {
        g = *veil_array_at(&m->upstreams, veil_upstream_group_t *, i);
        if (upstream_group_is(g, name, default_port)) {
            return g;
        }
    }
    return NULL;
}

static void
upstream_group_init(veil_upstream_group_t *g, veil_pool_t *pool,
                    veil_str_t name)
{
    g->pool = pool;
    g->name = veil_pool_str(pool, name);
    g->keepalive = 8;
    g->keepalive_requests = 1000;
    g->keepalive_timeout = 30000;
    g->keepalive_time = 3600000;
    veil_array_init(&g->servers, pool, sizeof(veil_upstream_server_t *), 2);
    veil_list_init(&g->idle);
    veil_list_init(&g->waiting);
    veil_list_init(&g->link);
}

void
veil_upstream_params_default(veil_upstream_params_t *params)
{
    memset(params, 0, sizeof(*params));
    params->weight = 1;
    params->max_fails = 1;
    params->fail_timeout = 10000;
}

static veil_upstream_server_t *
upstream_group_new_server(veil_upstream_group_t *g, veil_pool_t *pool,
                          veil_str_t text)
{
    veil_upstream_server_t *s = VEIL_POOL_NEW(pool, veil_upstream_server_t);

    s->group = g;
    s->pool = pool;
    s->refs = 1;
    s->order = g->norder++;
    s->name = veil_pool_str(pool, text);
    veil_upstream_params_default(&s->conf);
    *(veil_upstream_server_t **) veil_array_push(&g->servers) = s;
    return s;
}

static void
upstream_group_add_addr(veil_upstream_server_t *s, const veil_addr_t *a)
{
    unsigned i;

    if (s->addrs == NULL) {
        s->addrs = veil_array_create(s->pool, sizeof(veil_addr_t), 2);
    }
    for (i = 0; i < s->addrs->n; i++) {
        if (veil_addr_eq(veil_array_at(s->addrs, veil_addr_t, i), a)) {
            return;
        }
    }
    *(veil_addr_t *) veil_array_push(s->addrs) = *a;
}

/* What can be known without asking anybody; false: malformed. */
static bool
upstream_group_parse_server(veil_upstream_server_t *s, uint16_t default_port)
{
    veil_addr_t a = { .family = 0 };
    veil_hostport_t hp;

    /* A wildcard can be listened on, not connected to. */
    if (!veil_upstream_server_name_is_valid(s->name, &hp)) {
        return false;
    }
    s->is_unix = hp.is_unix;
    if (hp.is_unix) {
        a.family = AF_UNIX;
        a.u.path = veil_pool_strz(s->pool, hp.path);
        upstream_group_add_addr(s, &a);
        return true;
    }
    s->port = hp.has_port ? hp.port : default_port;
    if (!s->added) {
        s->group->default_port =
            hp.has_port || s->group->defined ? 0 : default_port;
    }
    s->host = hp.host;
    if (veil_addr_parse_ip(&a, s->host)) {
        a.port = s->port;
        upstream_group_add_addr(s, &a);
        return true;
    }
    s->is_name = true;
    return true;
}

/* Blocks: for the time when the configuration is read only. */
static int
upstream_group_look_up(veil_upstream_server_t *s)
{
    struct addrinfo hints = { .ai_socktype = SOCK_STREAM,
                              .ai_flags = AI_ADDRCONFIG };
    struct addrinfo *list, *ai;
    char *host = veil_pool_strz(s->pool, s->host);
    static const int families[] = { AF_INET, AF_INET6 };
    veil_addr_t a;
    unsigned i;
    int rc;

    rc = getaddrinfo(host, NULL, &hints, &list);
    if (rc != 0) {
        return rc;
    }
    for (i = 0; i < veil_countof(families); i++) {
        for (ai = list; ai != NULL; ai = ai->ai_next) {
            if (ai->ai_family != families[i]) {
                continue;
            }
            veil_addr_from_sockaddr(&a, ai->ai_addr, ai->ai_addrlen);
            a.port = s->port;
            upstream_group_add_addr(s, &a);
        }
    }
    freeaddrinfo(list);
    return s->addrs == NULL ? EAI_NONAME : 0;
}

veil_upstream_server_t *
veil_upstream_server_add(veil_conf_t *cf, veil_upstream_group_t *g,
                         veil_str_t text, uint16_t default_port)
{
    veil_upstream_server_t *s = upstream_group_new_server(g, g->pool, text);
    int rc;

    s->node = cf->node;
    if (!upstream_group_parse_server(s, default_port)) {
        (void) veil_conf_error(cf, "invalid host in upstream \"%.*s\"",
                               VEIL_STR_ARG(text));
        return NULL;
    }
    if (!s->is_name) {
        return s;
    }
    rc = upstream_group_look_up(s);
    if (rc != 0) {
        veil_conf_warn(cf,
                       "host not found in upstream \"%.*s\" (%s); it will "
                       "be looked up again",
                       VEIL_STR_ARG(text), gai_strerror(rc));
    }
    return s;
}

veil_upstream_server_t *
veil_upstream_server_new(veil_upstream_group_t *g, veil_str_t text,
                         uint16_t default_port)
{
    veil_pool_t *pool = veil_pool_create("upstream server", 512);
    veil_upstream_server_t *s = upstream_group_new_server(g, pool, text);

    s->added = true;
    if (!upstream_group_parse_server(s, default_port)) {
        g->servers.n--;
        veil_pool_destroy(&pool);
        return NULL;
    }
    return s;
}

bool
veil_upstream_server_name_is_valid(veil_str_t text, veil_hostport_t *hp)
{
    return veil_hostport_parse(hp, text)
           && (hp->is_unix ? hp->path.len <= GROUP_UNIX_MAX
                           : hp->host.len != 0);
}

veil_upstream_group_t *
veil_upstream_group_define(veil_conf_t *cf, veil_str_t name)
{
    veil_http_main_t *m = cf->cycle->http;
    veil_upstream_group_t *g = veil_upstream_group_by_name(m, name, 0);

    if (g != NULL) {
        (void) veil_conf_error(cf, "duplicate upstream \"%.*s\"",
                               VEIL_STR_ARG(name));
        return NULL;
    }
    g = VEIL_POOL_NEW(cf->pool, veil_upstream_group_t);
    upstream_group_init(g, cf->pool, name);
    g->node = cf->node;
    g->defined = true;
    *(veil_upstream_group_t **) veil_array_push(&m->upstreams) = g;
    return g;
}

veil_upstream_group_t *
veil_upstream_group_find(veil_conf_t *cf, veil_str_t name,
                         uint16_t default_port)
{
    veil_http_main_t *m = cf->cycle->http;
    veil_upstream_group_t *g =
        veil_upstream_group_by_name(m, name, default_port);
    veil_hostport_t hp;

    if (g != NULL) {
        return g;
    }
    if (veil_hostport_parse(&hp, name) && hp.has_port) {
        g = veil_upstream_group_by_name(m, hp.host, default_port);
        if (g != NULL && g->defined) {
            (void) veil_conf_error(cf,
                                   "upstream \"%.*s\" may not have port "
                                   "%u",
                                   VEIL_STR_ARG(g->name), hp.port);
            return NULL;
        }
    }
    g = VEIL_POOL_NEW(cf->pool, veil_upstream_group_t);
    upstream_group_init(g, cf->pool, name);
    g->node = cf->node;
    *(veil_upstream_group_t **) veil_array_push(&m->upstreams) = g;
    return veil_upstream_server_add(cf, g, name, default_port) == NULL ? NULL
                                                                       : g;
}

veil_rc_t
veil_upstream_check(veil_conf_t *cf)
{
    veil_http_main_t *m = cf->cycle->http;
    veil_upstream_group_t *g;
    veil_rc_t rc = VEIL_OK;
    unsigned i;

    for (i = 0; i < m->upstreams.n; i++) {
        g = *veil_array_at(&m->upstreams, veil_upstream_group_t *, i);
        if (g->zone == NULL && veil_upstream_zone_default(cf, g) != VEIL_OK) {
            rc = VEIL_ERROR;
        }
    }
    return rc;
}

veil_upstream_group_t *
veil_upstream_group_of(const veil_conf_t *cf)
{
    VEIL_ASSERT(cf->scope->where == VEIL_CONF_UPSTREAM);
    return cf->scope->object;
}

veil_rc_t
veil_upstream_set_balancer(veil_conf_t *cf, const veil_upstream_balancer_t *b,
                           void *conf)
{
    veil_upstream_group_t *g = veil_upstream_group_of(cf);

    if (g->balancer != NULL) {
        veil_conf_warn(cf, "load balancing method redefined");
    }
    g->balancer = b;
    g->balancer_conf = conf;
    return VEIL_OK;
}

/* --- at run time --------------------------------------------------------- */

static void
upstream_group_free_dynamic(veil_upstream_group_t *g)
{
    veil_pool_t *pool = g->pool;

    VEIL_ASSERT(g->users == 0);
    veil_upstream_group_stop(g);
    veil_list_remove(&g->link);
    upstream_group_ndynamic--;
    /* Connections that are closing no longer know the group. */
    veil_pool_retire(&pool);
}

static void
upstream_group_make_room(void)
{
    veil_upstream_group_t *g;
    veil_list_t *l;

    for (l = upstream_group_dynamic.prev; l != &upstream_group_dynamic;
         l = l->prev)
    {
        g = veil_list_entry(l, veil_upstream_group_t, link);
        if (g->users == 0) {
            upstream_group_free_dynamic(g);
            return;
        }
    }
}

static veil_upstream_group_t *
upstream_group_create_dynamic(veil_http_request_t *r, veil_str_t name,
                              uint16_t default_port)
{
    veil_pool_t *pool = veil_pool_create("upstream group", 1024);
    veil_upstream_group_t *g = VEIL_POOL_NEW(pool, veil_upstream_group_t);
    veil_upstream_server_t *s;

    upstream_group_init(g, pool, name);
    g->dynamic = true;
    g->resolver = veil_http_core_loc(r)->resolver;
    g->resolver_timeout = veil_http_core_loc(r)->resolver_timeout;
    s = upstream_group_new_server(g, pool, name);
    if (!upstream_group_parse_server(s, default_port)) {
        veil_pool_destroy(&pool);
        return NULL;
    }
    if (upstream_group_ndynamic >= GROUP_DYNAMIC_MAX) {
        upstream_group_make_room();
    }
    upstream_group_ndynamic++;
    veil_list_push(&upstream_group_dynamic, &g->link);
    return g;
}

veil_upstream_group_t *
veil_upstream_group_dynamic(veil_http_request_t *r, veil_str_t name,
                            uint16_t default_port)
{
    veil_upstream_group_t *g =
        veil_upstream_group_by_name(r->server->main, name, default_port);
    veil_list_t *l;

    if (g != NULL) {
        return g;
    }
    if (upstream_group_dynamic.next == NULL) {
        veil_list_init(&upstream_group_dynamic);
    }
    veil_list_foreach (l, &upstream_group_dynamic) {
        g = veil_list_entry(l, veil_upstream_group_t, link);
        if (upstream_group_is(g, name, default_port)
            && g->resolver == veil_http_core_loc(r)->resolver
            && g->resolver_timeout == veil_http_core_loc(r)->resolver_timeout)
        {
            veil_list_remove(&g->link);
            veil_list_push(&upstream_group_dynamic, &g->link);
            return g;
        }
    }
    return upstream_group_create_dynamic(r, name, default_port);
}

/* --- the worker ---------------------------------------------------------- */

veil_rc_t
veil_upstream_init_worker(veil_cycle_t *cycle)
{
    veil_http_main_t *m = cycle->http;
    unsigned i;

    for (i = 0; m != NULL && i < m->upstreams.n; i++) {
        veil_upstream_group_start(
            *veil_array_at(&m->upstreams, veil_upstream_group_t *, i),
            cycle->loop);
    }
    if (m != NULL && m->upstreams.n != 0) {
        veil_upstream_sync_begin(cycle->loop);
    }
    return VEIL_OK;
}

void
veil_upstream_exit_worker(veil_cycle_t *cycle)
{
    veil_http_main_t *m = cycle->http;
    unsigned i;

    veil_upstream_sync_end();
    for (i = 0; m != NULL && i < m->upstreams.n; i++) {
        veil_upstream_group_stop(
            *veil_array_at(&m->upstreams, veil_upstream_group_t *, i));
    }
    while (upstream_group_ndynamic != 0) {
        upstream_group_free_dynamic(veil_list_first(
            &upstream_group_dynamic, veil_upstream_group_t, link));
    }
    veil_upstream_conns_close_all();
    veil_upstream_tls_exit_worker();
}
