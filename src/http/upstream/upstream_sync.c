/*
 * upstream_sync.c -- what was changed at run time becomes this worker's
 * servers and peers.
 *
 * An operator's change is written to the zone by the keeper, which raises
 * the zone's version.  Workers of all generations look at the version
 * whenever they choose a peer, and once a second, for what must happen
 * without a request: idle connections are closed, names are looked up.  One
 * that finds another version than it has seen takes a copy of the entries
 * under the lock and compares them with what it has; that costs as much as
 * the change of a name's addresses, and as seldom happens.
 *
 * A server that was added is a server like others, but that it lives in a
 * pool of its own until nobody has one of its peers.
 */

#include "http/upstream/upstream_impl.h"

/* Changes without a request are noticed within this time. */
#define SYNC_TICK_MS 1000

static veil_timer_t upstream_sync_timer;
static uint32_t upstream_sync_none; /* the version of what has no zone */

typedef struct {
    veil_upstream_slot_t *entries; /* copies */
    unsigned n;
    uint32_t version;
} upstream_sync_entries_t;

static void
upstream_sync_copy(veil_upstream_group_t *g, upstream_sync_entries_t *to)
{
    veil_upstream_slot_t *e = NULL;
    unsigned cap = 0;

    memset(to, 0, sizeof(*to));
    veil_upstream_zone_lock(g);
    to->version = __atomic_load_n(g->version, __ATOMIC_ACQUIRE);
    while ((e = veil_upstream_entry_next(g, e)) != NULL) {
        if (e->kind != VEIL_UPSTREAM_SERVER) {
            continue;
        }
        if (to->n == cap) {
            cap = cap == 0 ? 8 : 2 * cap;
            to->entries =
                veil_realloc(to->entries, cap * sizeof(*to->entries));
        }
        to->entries[to->n++] = *e;
    }
    veil_upstream_zone_unlock(g);
}

static veil_upstream_server_t *
upstream_sync_server(const veil_upstream_group_t *g, unsigned i)
{
    return *veil_array_at(&g->servers, veil_upstream_server_t *, i);
}

/* The texts of an entry, one behind the other. */
void
veil_upstream_entry_texts(const veil_upstream_slot_t *e, veil_str_t *name,
                          veil_str_t *sni, veil_str_t *addr)
{
    const char *p = e->u.server.text;
    const char *end = p + sizeof(e->u.server.text) - 1;
    veil_str_t *texts[] = { name, sni, addr };
    unsigned i;

    for (i = 0; i < veil_countof(texts); i++) {
        *texts[i] = veil_str_n(p, strnlen(p, (size_t) (end - p)));
        p += texts[i]->len;
        p += p < end ? 1 : 0;
    }
}

/* The server is as its entry says; conf: its own parameters are others. */
static void
upstream_sync_apply(veil_upstream_server_t *s, const veil_upstream_slot_t *e,
                    bool conf)
{
    static const veil_upstream_change_t none;
    const veil_upstream_change_t *change = e == NULL ? &none : &e->change;
    veil_addr_t moved = { .family = 0 };
    veil_str_t name, sni, addr;
    bool deleted = false, was_off = s->deleted || s->moved.family != 0;
    veil_hostport_t hp;

    if (e != NULL) {
        veil_upstream_entry_texts(e, &name, &sni, &addr);
        deleted = (e->flags & VEIL_UPSTREAM_IS_DELETED) != 0
                  && veil_upstream_params_eq(&e->u.server.conf, &s->conf);
        if ((e->change.set & VEIL_UPSTREAM_HAS_ADDR)
            && veil_hostport_parse(&hp, addr) && !hp.is_unix
            && veil_addr_parse_ip(&moved, hp.host))
        {
            moved.port = hp.port;
        }
    }
    conf |= memcmp(&s->change, change, sizeof(*change)) != 0;
    s->change = *change;
    if (deleted == s->deleted && moved.family == s->moved.family
        && (moved.family == 0 || veil_addr_eq(&moved, &s->moved)))
    {
        if (conf) {
            veil_upstream_server_changed(s);
        }
        return;
    }
    s->deleted = deleted;
    s->moved = moved;
    if (deleted || moved.family != 0) {
        veil_upstream_resolve_stop(s);
        veil_upstream_set_addrs(s, NULL, 0);
    } else if (was_off) {
        veil_upstream_set_addrs(s, s->addrs == NULL ? NULL : s->addrs->elts,
                                s->addrs == NULL ? 0 : s->addrs->n);
        veil_upstream_resolve_start(s, veil_cycle->loop);
    }
}

static const veil_upstream_slot_t *
upstream_sync_find(const upstream_sync_entries_t *entries,
                   const veil_upstream_server_t *s)
{
    uint64_t hash = veil_upstream_entry_hash(s->group, s->name);
    unsigned i;

    for (i = 0; i < entries->n; i++) {
        if (entries->entries[i].hash == hash) {
            return &entries->entries[i];
        }
    }
    return NULL;
}

/* Takes an added server out; its peers end with their connections. */
static void
upstream_sync_remove(veil_upstream_group_t *g, unsigned at)
{
    veil_upstream_server_t *s = upstream_sync_server(g, at);
    veil_upstream_server_t **all = g->servers.elts;

    s->deleted = true;
    veil_upstream_resolve_stop(s);
    veil_upstream_set_addrs(s, NULL, 0);
    memmove(all + at, all + at + 1, (g->servers.n - at - 1) * sizeof(*all));
    g->servers.n--;
    veil_upstream_server_put(s);
}

static void
upstream_sync_add(veil_upstream_group_t *g, const veil_upstream_slot_t *e)
{
    veil_upstream_scheme_t scheme =
        (veil_upstream_scheme_t) e->u.server.scheme;
    veil_upstream_server_t *s;
    veil_str_t name, sni, addr;

    veil_upstream_entry_texts(e, &name, &sni, &addr);
    s = veil_upstream_server_new(g, name,
                                 scheme == VEIL_SCHEME_HTTPS ? 443 : 80);
    if (s == NULL) {
        return; /* it was checked before it was written */
    }
    s->scheme = scheme;
    s->sni = veil_pool_str(s->pool, sni);
    s->conf = e->u.server.conf;
    if (s->addrs != NULL) {
        veil_upstream_set_addrs(s, s->addrs->elts, s->addrs->n);
    }
    veil_upstream_resolve_start(s, veil_cycle->loop);
}

static bool
upstream_sync_is_here(const veil_upstream_group_t *g,
                      const veil_upstream_slot_t *e)
{
    unsigned i;

    for (i = 0; i < g->servers.n; i++) {
        if (veil_upstream_entry_hash(g, upstream_sync_server(g, i)->name)
            == e->hash) {
            return true;
        }
    }
    return false;
}

/* Whether the entry is of another server of this name than the worker's. */
static bool
upstream_sync_is_other(const veil_upstream_server_t *s,
                       const veil_upstream_slot_t *e)
{
    veil_str_t name, sni, addr;

    veil_upstream_entry_texts(e, &name, &sni, &addr);
    return s->scheme != (veil_upstream_scheme_t) e->u.server.scheme
           || !veil_str_eq(s->sni, sni);
}

static void
upstream_sync_servers(veil_upstream_group_t *g,
                      const upstream_sync_entries_t *entries)
{
    const veil_upstream_slot_t *e;
    veil_upstream_server_t *s;
    unsigned i;
    bool conf;

    for (i = 0; i < g->servers.n;) {
        s = upstream_sync_server(g, i);
        e = upstream_sync_find(entries, s);
        if (s->added
            && (e == NULL || (e->flags & VEIL_UPSTREAM_IS_ADDED) == 0
                || upstream_sync_is_other(s, e)))
        {
            upstream_sync_remove(g, i);
            continue;
        }
        i++;
    }
    for (i = 0; i < entries->n; i++) {
        e = &entries->entries[i];
        if ((e->flags & VEIL_UPSTREAM_IS_ADDED)
            && !upstream_sync_is_here(g, e)) {
            upstream_sync_add(g, e);
        }
    }
    for (i = 0; i < g->servers.n; i++) {
        s = upstream_sync_server(g, i);
        e = upstream_sync_find(entries, s);
        conf =
            s->added && !veil_upstream_params_eq(&s->conf, &e->u.server.conf);
        if (conf) {
            s->conf = e->u.server.conf;
        }
        upstream_sync_apply(s, e, conf);
    }
}

void
veil_upstream_sync_now(veil_upstream_group_t *g)
{
    upstream_sync_entries_t entries;

    upstream_sync_copy(g, &entries);
    g->seen = entries.version;
    upstream_sync_servers(g, &entries);
    veil_upstream_peers_refresh(g);
    veil_free(entries.entries);
}

void
veil_upstream_sync_start(veil_upstream_group_t *g)
{
    g->version = veil_upstream_zone_version(g);
    if (g->version == NULL) {
        g->version = &upstream_sync_none;
    }
    g->seen = 0;
    veil_upstream_sync(g);
}

void
veil_upstream_sync_stop(veil_upstream_group_t *g)
{
    unsigned i = g->servers.n;

    while (i-- > 0 && upstream_sync_server(g, i)->added) {
        upstream_sync_remove(g, i);
    }
    g->version = NULL;
}

/* --- once a second -------------------------------------------------------
 */

/* Ticks between two times that a worker says which peers it has. */
#define SYNC_SAY_TICKS 10

static void
upstream_sync_say(veil_upstream_group_t *g)
{
    unsigned i, k;

    for (k = 0; k < 2; k++) {
        for (i = 0; i < g->sets[k].n; i++) {
            g->sets[k].peers[i]->slot->used_sec = veil_clock.sec;
        }
    }
}

static void
upstream_sync_tick(veil_timer_t *t)
{
    const veil_http_main_t *m = veil_cycle->http;
    static unsigned ticks;
    veil_upstream_group_t *g;
    unsigned i;

    ticks++;
    for (i = 0; i < m->upstreams.n; i++) {
        g = *veil_array_at(&m->upstreams, veil_upstream_group_t *, i);
        veil_upstream_sync(g);
        if (ticks % SYNC_SAY_TICKS == 0) {
            upstream_sync_say(g);
        }
    }
    veil_timer_set(veil_cycle->loop, t, SYNC_TICK_MS);
}

void
veil_upstream_sync_begin(veil_loop_t *loop)
{
    veil_timer_init(&upstream_sync_timer, upstream_sync_tick);
    veil_timer_set(loop, &upstream_sync_timer, SYNC_TICK_MS);
}

void
veil_upstream_sync_end(void)
{
    if (upstream_sync_timer.fired != NULL) {
        veil_timer_cancel(&upstream_sync_timer);
    }
}
