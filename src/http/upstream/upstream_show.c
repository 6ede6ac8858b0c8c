/*
 * upstream_show.c -- upstream.list, upstream.show and resolve: what workers
 * have.
 *
 * A worker knows all of it: the parameters that hold, the zone's counters,
 * and what is its own, idle connections and the answers of look-ups.  Each
 * answers with all rows; the master takes those of the first and adds up the
 * others' idle connections.
 */

#include "http/upstream/upstream_control.h"

#include "http/upstream/upstream_change.h"

/* --- rows ----------------------------------------------------------------
 */

static json_t *
upstream_show_str(veil_str_t s)
{
    json_t *v = json_stringn(s.data, s.len);

    return v != NULL ? v : json_string("?"); /* not UTF-8 */
}

static unsigned
upstream_show_idle(const veil_upstream_peer_t *p)
{
    const veil_list_t *l;
    unsigned n = 0;

    for (l = p->idle.next; l != &p->idle; l = l->next) {
        n++;
    }
    return n;
}

static bool
upstream_show_is_healthy(const veil_upstream_group_t *g,
                         const veil_upstream_peer_t *p)
{
    return p->admin == VEIL_UPSTREAM_READY
           && (p->max_fails == 0 || p->slot->fails < p->max_fails
               || veil_upstream_peers(g) == 1);
}

static json_t *
upstream_show_error(const veil_upstream_slot_t *slot)
{
    if (slot->u.peer.error_sec == 0) {
        return json_null();
    }
    return json_pack("{s:s, s:I}", "text", slot->u.peer.error, "time",
                     (json_int_t) slot->u.peer.error_sec);
}

static json_t *
upstream_show_peer(const veil_upstream_group_t *g,
                   const veil_upstream_peer_t *p, bool backup)
{
    const veil_upstream_slot_t *slot = p->slot;
    veil_upstream_params_t params = p->server->now;
    json_t *o;

    params.admin = p->admin;
    params.weight = (int32_t) p->weight;
    params.max_conns = p->max_conns;
    params.max_fails = p->max_fails;
    params.fail_timeout = p->fail_timeout;
    params.backup = backup;
    o = veil_upstream_params_json(&params);
    json_object_set_new(o, "server", upstream_show_str(p->server->name));
    json_object_set_new(o, "address", upstream_show_str(p->name));
    json_object_set_new(o, "added", json_boolean(p->server->added));
    json_object_set_new(o, "healthy",
                        json_boolean(upstream_show_is_healthy(g, p)));
    json_object_set_new(o, "in_flight",
                        json_integer(veil_upstream_slot_conns(slot)));
    json_object_set_new(o, "idle", json_integer(upstream_show_idle(p)));
    json_object_set_new(o, "requests",
                        json_integer((json_int_t) slot->requests));
    json_object_set_new(o, "fails", json_integer(slot->fails));
    json_object_set_new(o, "failures",
                        json_integer((json_int_t) slot->failures));
    json_object_set_new(o, "response_ms",
                        json_real((double) slot->head_avg / 256));
    json_object_set_new(o, "last_status", json_integer(slot->status));
    json_object_set_new(o, "last_error", upstream_show_error(slot));
    return o;
}

static json_t *
upstream_show_peers(const veil_upstream_group_t *g)
{
    json_t *rows = json_array();
    unsigned i, k;

    for (k = 0; k < 2; k++) {
        for (i = 0; i < g->sets[k].n; i++) {
            json_array_append_new(
                rows, upstream_show_peer(g, g->sets[k].peers[i], k == 1));
        }
    }
    return rows;
}

/* How old an answer is, and how long it holds. */
static json_t *
upstream_show_resolve(const veil_upstream_server_t *s)
{
    json_t *o = json_object();
    uint64_t age = veil_now_ms() - s->resolved_ms;

    if (s->resolved_ms != 0) {
        json_object_set_new(o, "age_ms", json_integer((json_int_t) age));
        json_object_set_new(o, "ttl_ms", json_integer((json_int_t) s->ttl_ms));
    }
    if (s->resolve_err != 0) {
        json_object_set_new(
            o, "error", json_string(veil_resolve_strerror(s->resolve_err)));
    }
    return o;
}

static json_t *
upstream_show_servers(const veil_upstream_group_t *g)
{
    json_t *rows = json_array(), *o;
    const veil_upstream_server_t *s;
    unsigned i;

    for (i = 0; i < g->servers.n; i++) {
        s = *veil_array_at(&g->servers, veil_upstream_server_t *, i);
        o = veil_upstream_params_json(&s->now);
        json_object_set_new(o, "server", upstream_show_str(s->name));
        if (s->deleted) {
            json_object_set_new(o, "state", json_string("deleted"));
        }
        json_object_set_new(o, "added", json_boolean(s->added));
        if (s->is_name) {
            json_object_set_new(o, "resolve", upstream_show_resolve(s));
        }
        json_array_append_new(rows, o);
    }
    return rows;
}

static json_t *
upstream_show_row(const veil_upstream_group_t *g, bool whole)
{
    unsigned i, k, healthy = 0;
    uint64_t conns = 0, requests = 0;
    json_t *o;

    for (k = 0; k < 2; k++) {
        for (i = 0; i < g->sets[k].n; i++) {
            const veil_upstream_peer_t *p = g->sets[k].peers[i];

            healthy += upstream_show_is_healthy(g, p);
            conns += veil_upstream_slot_conns(p->slot);
            requests += p->slot->requests;
        }
    }
    o = json_pack(
        "{s:o, s:s, s:i, s:i, s:i, s:I, s:I, s:i, s:b}", "upstream",
        upstream_show_str(g->name), "method",
        g->balancer == NULL ? "round_robin" : g->balancer->name, "servers",
        (int) g->servers.n, "addresses", (int) veil_upstream_peers(g),
        "healthy", (int) healthy, "in_flight", (json_int_t) conns, "requests",
        (json_int_t) requests, "idle", (int) g->nidle, "defined", g->defined);
    if (g->zone != NULL) {
        json_object_set_new(o, "zone", upstream_show_str(g->zone->name));
    }
    if (whole) {
        json_object_set_new(o, "server_list", upstream_show_servers(g));
        json_object_set_new(o, "peers", upstream_show_peers(g));
    }
    return o;
}

static veil_control_rc_t
upstream_show_run(veil_control_call_t *call, bool whole)
{
    const veil_http_main_t *m = veil_cycle->http;
    const char *name = veil_control_text(call, "upstream");
    veil_upstream_group_t *g = NULL;
    unsigned i;

    if (name != NULL) {
        g = veil_upstream_group_named(call, name);
        if (g == NULL) {
            return VEIL_CONTROL_FAILED;
        }
    }
    call->data = json_array();
    for (i = 0; m != NULL && i < m->upstreams.n; i++) {
        veil_upstream_group_t *at =
            *veil_array_at(&m->upstreams, veil_upstream_group_t *, i);

        if (g == NULL || g == at) {
            veil_upstream_sync(at);
            json_array_append_new(call->data, upstream_show_row(at, whole));
        }
    }
    return VEIL_CONTROL_DONE;
}

veil_control_rc_t
veil_upstream_control_list(veil_control_call_t *call)
{
    return upstream_show_run(call, false);
}

veil_control_rc_t
veil_upstream_control_show(veil_control_call_t *call)
{
    return upstream_show_run(call, true);
}

/* --- in the master -------------------------------------------------------
 */

static void
upstream_show_add(json_t *to, const json_t *from, const char *key)
{
    json_int_t n = json_integer_value(json_object_get(to, key))
                   + json_integer_value(json_object_get(from, key));

    json_object_set_new(to, key, json_integer(n));
}

static bool
upstream_show_same(const json_t *a, const json_t *b, const char *key)
{
    return json_equal(json_object_get(a, key), json_object_get(b, key)) != 0;
}

/* The row of the same peer; workers mostly have them in the same order. */
static const json_t *
upstream_show_find(const json_t *rows, const json_t *row, size_t at)
{
    const json_t *other = json_array_get(rows, at);
    size_t i;

    if (other != NULL && upstream_show_same(other, row, "server")
        && upstream_show_same(other, row, "address"))
    {
        return other;
    }
    json_array_foreach(rows, i, other)
    {
        if (upstream_show_same(other, row, "server")
            && upstream_show_same(other, row, "address"))
        {
            return other;
        }
    }
    return NULL;
}

static void
upstream_show_add_peers(json_t *to, const json_t *from)
{
    const json_t *rows = json_object_get(from, "peers"), *other;
    json_t *row;
    size_t i;

    json_array_foreach(json_object_get(to, "peers"), i, row)
    {
        other = upstream_show_find(rows, row, i);
        if (other != NULL) {
            upstream_show_add(row, other, "idle");
        }
    }
}

static json_t *
upstream_show_gather(const json_t *answers)
{
    json_t *all, *row;
    const json_t *answer, *data;
    size_t i, k;

    all = json_deep_copy(json_object_get(json_array_get(answers, 0), "data"));
    if (all == NULL) {
        return json_array();
    }
    json_array_foreach(answers, i, answer)
    {
        data = json_object_get(answer, "data");
        if (i == 0) {
            continue;
        }
        json_array_foreach(all, k, row)
        {
            if (upstream_show_same(row, json_array_get(data, k), "upstream")) {
                upstream_show_add(row, json_array_get(data, k), "idle");
                upstream_show_add_peers(row, json_array_get(data, k));
            }
        }
    }
    return all;
}

json_t *
veil_upstream_control_gather_list(const json_t *args VEIL_UNUSED,
                                  const json_t *answers)
{
    return upstream_show_gather(answers);
}

json_t *
veil_upstream_control_gather_show(const json_t *args VEIL_UNUSED,
                                  const json_t *answers)
{
    return upstream_show_gather(answers);
}

/* --- resolve -------------------------------------------------------------
 */

typedef struct {
    veil_control_call_t *call;
    unsigned left;   /* answers that are missing, and one while asking */
    veil_list_t all; /* of upstream_show_query_t */
} upstream_show_resolve_t;

typedef struct {
    veil_list_t link;
    upstream_show_resolve_t *of;
    veil_resolve_t query;
    veil_upstream_server_t *server; /* counted; NULL: only asked for */
    char name[256];
} upstream_show_query_t;

static void
upstream_show_resolve_free(upstream_show_resolve_t *r)
{
    upstream_show_query_t *q;
    veil_list_t *l;

    while ((l = veil_list_pop(&r->all)) != NULL) {
        q = veil_list_entry(l, upstream_show_query_t, link);
        veil_resolve_cancel(&q->query);
        if (q->server != NULL) {
            veil_upstream_server_put(q->server);
        }
        veil_free(q);
    }
    veil_free(r);
}

static void
upstream_show_resolve_end(upstream_show_resolve_t *r)
{
    veil_control_call_t *call = r->call;

    if (--r->left == 0) {
        upstream_show_resolve_free(r);
        call->ctx = NULL;
        veil_control_done(call, VEIL_CONTROL_DONE);
    }
}

static void
upstream_show_resolved(veil_resolve_t *query)
{
    upstream_show_query_t *q =
        veil_container_of(query, upstream_show_query_t, query);
    char text[VEIL_ADDR_TEXT_MAX];
    json_t *row, *addrs = json_array();
    veil_addr_t a;
    unsigned i;

    for (i = 0; query->err == 0 && i < query->naddrs; i++) {
        a = query->addrs[i];
        (void) veil_addr_print_ip(&a, text, sizeof(text));
        json_array_append_new(addrs, json_string(text));
    }
    row = json_pack("{s:s, s:o, s:I}", "name", q->name, "addresses", addrs,
                    "ttl_ms", (json_int_t) query->ttl_ms);
    if (query->err != 0) {
        json_object_set_new(row, "error",
                            json_string(veil_resolve_strerror(query->err)));
    }
    if (q->server != NULL) {
        json_object_set_new(row, "upstream",
                            upstream_show_str(q->server->group->name));
        json_object_set_new(row, "server", upstream_show_str(q->server->name));
        if (!q->server->deleted) {
            veil_upstream_resolve_take(q->server, query);
        }
    }
    json_array_append_new(q->of->call->data, row);
    upstream_show_resolve_end(q->of);
}

static void
upstream_show_ask(upstream_show_resolve_t *r, veil_str_t name,
                  veil_upstream_server_t *server,
                  const veil_resolver_options_t *options, uint64_t timeout)
{
    veil_resolver_options_t o = { .ipv4 = true, .ipv6 = true };
    upstream_show_query_t *q = veil_zalloc(sizeof(*q));

    if (options != NULL) {
        o = *options;
    }
    o.timeout_ms = timeout;
    q->of = r;
    q->server = server;
    if (server != NULL) {
        server->refs++;
    }
    (void) veil_str_copy_z(q->name, sizeof(q->name), name);
    q->query.name = veil_str_z(q->name);
    q->query.log = &veil_cycle->log;
    q->query.done = upstream_show_resolved;
    r->left++;
    veil_list_append(&r->all, &q->link);
    veil_resolver_forget(veil_resolver_get(veil_cycle->loop, &o),
                         q->query.name);
    veil_resolve(veil_resolver_get(veil_cycle->loop, &o), &q->query);
}

static void
upstream_show_resolve_cancel(veil_control_call_t *call)
{
    upstream_show_resolve_free(call->ctx);
}

/* Whether the word means this server: its host, its upstream, itself. */
static bool
upstream_show_is_meant(const veil_upstream_server_t *s, const char *name)
{
    return name == NULL || veil_str_caseeq(s->host, veil_str_z(name))
           || veil_str_caseeq(s->name, veil_str_z(name))
           || veil_str_eq_z(s->group->name, name);
}

static unsigned
upstream_show_ask_servers(upstream_show_resolve_t *r, const char *name)
{
    const veil_http_main_t *m = veil_cycle->http;
    veil_upstream_server_t *s;
    veil_upstream_group_t *g;
    unsigned i, k, n = 0;

    for (i = 0; m != NULL && i < m->upstreams.n; i++) {
        g = *veil_array_at(&m->upstreams, veil_upstream_group_t *, i);
        veil_upstream_sync(g);
        for (k = 0; k < g->servers.n; k++) {
            s = *veil_array_at(&g->servers, veil_upstream_server_t *, k);
            if (s->is_name && !s->deleted && upstream_show_is_meant(s, name)) {
                upstream_show_ask(r, s->host, s, g->resolver,
                                  g->resolver_timeout);
                n++;
            }
        }
    }
    return n;
}

veil_control_rc_t
veil_upstream_control_resolve(veil_control_call_t *call)
{
    const char *name = veil_control_text(call, "name");
    upstream_show_resolve_t *r = veil_zalloc(sizeof(*r));
    veil_addr_t a;

    r->call = call;
    r->left = 1;
    veil_list_init(&r->all);
    call->ctx = r;
    call->cancel = upstream_show_resolve_cancel;
    call->data = json_array();
    if (upstream_show_ask_servers(r, name) == 0 && name != NULL) {
        if (strlen(name) > 253 || strpbrk(name, "/ :") != NULL
            || veil_addr_parse_ip(&a, veil_str_z(name)))
        {
            upstream_show_resolve_free(r);
            call->ctx = NULL;
            return veil_control_fail(call, VEIL_E_ARGUMENT,
                                     "\"%s\" is no name that can be looked up",
                                     name);
        }
        upstream_show_ask(r, veil_str_z(name), NULL, NULL, 0);
    }
    if (--r->left == 0) {
        upstream_show_resolve_free(r);
        call->ctx = NULL;
        return VEIL_CONTROL_DONE;
    }
    return VEIL_CONTROL_LATER;
}

json_t *
veil_upstream_control_gather_resolve(const json_t *args VEIL_UNUSED,
                                     const json_t *answers)
{
    json_t *all =
        json_deep_copy(json_object_get(json_array_get(answers, 0), "data"));

    return all != NULL ? all : json_array();
}
