/*
 * upstream_change.c -- servers changed at run time: who is meant, what is
 * wanted, and writing it.
 *
 * Only the keeper that serves writes here, and it does one thing at a time,
 * so what it has read holds until it writes.  Workers write to the counters
 * of the same entries; those are never copied back.
 */

#include "http/upstream/upstream_change.h"

#include "core/fault.h"

/* --- groups and servers --------------------------------------------------
 */

static const veil_upstream_server_t *
upstream_change_line_at(const veil_upstream_group_t *g, unsigned i)
{
    const veil_upstream_server_t *s =
        *veil_array_at(&g->servers, veil_upstream_server_t *, i);

    return s->added ? NULL : s; /* a single process is a worker, too */
}

/* "host:port" where the line says "host". */
static bool
upstream_change_is_server(const veil_upstream_server_t *s, veil_str_t name)
{
    veil_hostport_t hp;

    if (veil_str_caseeq(s->name, name)) {
        return true;
    }
    return !s->is_unix && veil_hostport_parse(&hp, name) && !hp.is_unix
           && hp.has_port && hp.port == s->port
           && veil_str_caseeq(hp.host, s->host);
}

const veil_upstream_server_t *
veil_upstream_server_line(const veil_upstream_group_t *g, veil_str_t name)
{
    const veil_upstream_server_t *s;
    unsigned i;

    for (i = 0; i < g->servers.n; i++) {
        s = upstream_change_line_at(g, i);
        if (s != NULL && upstream_change_is_server(s, name)) {
            return s;
        }
    }
    return NULL;
}

veil_upstream_group_t *
veil_upstream_group_in(const char *text, veil_str_t *rest)
{
    const veil_http_main_t *m = veil_cycle->http;
    veil_upstream_group_t *g, *best = NULL;
    veil_str_t all = veil_str_z(text);
    unsigned i;

    for (i = 0; m != NULL && i < m->upstreams.n; i++) {
        g = *veil_array_at(&m->upstreams, veil_upstream_group_t *, i);
        if (veil_str_starts(all, g->name) && all.len > g->name.len
            && all.data[g->name.len] == '/'
            && (best == NULL || g->name.len > best->name.len))
        {
            best = g;
        }
    }
    if (best != NULL) {
        *rest = veil_str_from(all, best->name.len + 1);
    }
    return best;
}

static void
upstream_change_suggest(veil_control_call_t *call, const char *best)
{
    if (best != NULL) {
        veil_control_hint(call, "did you mean \"%s\"?", best);
    }
}

veil_upstream_group_t *
veil_upstream_group_named(veil_control_call_t *call, const char *name)
{
    const veil_http_main_t *m = veil_cycle->http;
    veil_upstream_group_t *g;
    const char *best = NULL;
    unsigned i, distance = 0;

    for (i = 0; m != NULL && i < m->upstreams.n; i++) {
        g = *veil_array_at(&m->upstreams, veil_upstream_group_t *, i);
        if (veil_str_eq_z(g->name, name)) {
            return g;
        }
        veil_conf_nearest(veil_str_z(name), g->name.data, &best, &distance);
    }
    if (call != NULL) {
        (void) veil_control_fail(call, VEIL_E_NOT_FOUND,
                                 "there is no upstream \"%s\"", name);
        upstream_change_suggest(call, best);
    }
    return NULL;
}

/* --- subjects ------------------------------------------------------------
 */

static void
upstream_change_copy(veil_upstream_subject_t *s)
{
    veil_upstream_slot_t *e;

    veil_upstream_zone_lock(s->group);
    e = veil_upstream_entry(s->group, s->server, VEIL_STR_NULL, false);
    if (e != NULL) {
        s->entry = *e;
    }
    if (s->addr.len != 0) {
        e = veil_upstream_entry(s->group, s->server, s->addr, false);
        if (e != NULL) {
            s->peer = *e;
        }
    }
    veil_upstream_zone_unlock(s->group);
}

bool
veil_upstream_subject_name(veil_upstream_subject_t *s, veil_str_t server,
                           veil_str_t addr)
{
    char *p = s->name;

    if (server.len + addr.len + 2 > sizeof(s->name)) {
        return false;
    }
    s->server = veil_str_n(p, server.len);
    p = veil_fmt_str(p, server);
    *p++ = '\0';
    s->addr = veil_str_n(p, addr.len);
    p = veil_fmt_str(p, addr);
    *p = '\0';
    return true;
}

/* A server of this name, of the configuration or added; false: none. */
static bool
upstream_change_find_server(veil_upstream_subject_t *s, veil_str_t name)
{
    veil_upstream_slot_t *e;
    bool found;

    s->conf = veil_upstream_server_line(s->group, name);
    if (s->conf != NULL) {
        return veil_upstream_subject_name(s, s->conf->name, VEIL_STR_NULL);
    }
    veil_upstream_zone_lock(s->group);
    e = veil_upstream_entry(s->group, name, VEIL_STR_NULL, false);
    found = e != NULL && (e->flags & VEIL_UPSTREAM_IS_ADDED) != 0;
    veil_upstream_zone_unlock(s->group);
    return found && veil_upstream_subject_name(s, name, VEIL_STR_NULL);
}

/* An address that some server of the group has, by the zone's entries. */
static bool
upstream_change_find_addr(veil_upstream_subject_t *s, veil_str_t addr)
{
    const veil_upstream_server_t *line;
    veil_upstream_slot_t *e, *peer = NULL;
    veil_str_t name, sni, moved;
    bool found = false;
    unsigned i;

    veil_upstream_zone_lock(s->group);
    for (i = 0; !found && i < s->group->servers.n; i++) {
        line = upstream_change_line_at(s->group, i);
        if (line != NULL
            && veil_upstream_entry(s->group, line->name, addr, false) != NULL)
        {
            s->conf = line;
            found = veil_upstream_subject_name(s, line->name, addr);
        }
    }
    while (!found && (peer = veil_upstream_entry_next(s->group, peer)) != NULL)
    {
        if (peer->kind != VEIL_UPSTREAM_SERVER) {
            continue;
        }
        veil_upstream_entry_texts(peer, &name, &sni, &moved);
        e = veil_upstream_entry(s->group, name, addr, false);
        if ((peer->flags & VEIL_UPSTREAM_IS_ADDED) && e != NULL) {
            found = veil_upstream_subject_name(s, name, addr);
        }
    }
    veil_upstream_zone_unlock(s->group);
    return found;
}

/* "S/ADDRESS", whether or not a worker has that address now. */
static bool
upstream_change_find_both(veil_upstream_subject_t *s, veil_str_t text)
{
    ptrdiff_t slash = veil_str_rchr(text, '/');
    veil_str_t addr;
    veil_hostport_t hp;
    veil_addr_t a;

    if (slash <= 0) {
        return false;
    }
    addr = veil_str_from(text, (size_t) slash + 1);
    text.len = (size_t) slash;
    return veil_hostport_parse(&hp, addr) && hp.has_port
           && veil_addr_parse_ip(&a, hp.host)
           && upstream_change_find_server(s, text)
           && veil_upstream_subject_name(
               s, veil_pool_str(s->group->pool, s->server), addr);
}

static void
upstream_change_no_server(veil_control_call_t *call, veil_upstream_group_t *g,
                          veil_str_t name)
{
    const veil_upstream_server_t *line;
    veil_upstream_slot_t *e = NULL;
    veil_str_t text, sni, addr;
    const char *best = NULL;
    unsigned i, distance = 0;

    (void) veil_control_fail(call, VEIL_E_NOT_FOUND,
                             "the upstream \"%.*s\" has no server \"%.*s\"",
                             VEIL_STR_ARG(g->name), VEIL_STR_ARG(name));
    for (i = 0; i < g->servers.n; i++) {
        line = upstream_change_line_at(g, i);
        if (line != NULL) {
            veil_conf_nearest(name, line->name.data, &best, &distance);
        }
    }
    while ((e = veil_upstream_entry_next(g, e)) != NULL) {
        if (e->kind == VEIL_UPSTREAM_SERVER
            && (e->flags & VEIL_UPSTREAM_IS_ADDED)) {
            veil_upstream_entry_texts(e, &text, &sni, &addr);
            veil_conf_nearest(name, text.data, &best, &distance);
        }
    }
    if (best != NULL) {
        veil_control_hint(call, "did you mean \"%.*s/%s\"?",
                          VEIL_STR_ARG(g->name), best);
    }
}

/* Nothing begins with an upstream's name: which one could it be? */
static void
upstream_change_no_group(veil_control_call_t *call, const char *text)
{
    veil_str_t rest = veil_str_z(text);
    ptrdiff_t slash = veil_str_chr(rest, '/');
    char name[256];

    if (slash < 0) {
        (void) veil_control_fail(call, VEIL_E_ARGUMENT,
                                 "a server is named as UPSTREAM/SERVER, not "
                                 "\"%s\"",
                                 text);
        return;
    }
    rest.len = (size_t) slash;
    (void) veil_str_copy_z(name, sizeof(name), rest);
    (void) veil_upstream_group_named(call, name);
}

bool
veil_upstream_subject_find(veil_control_call_t *call, const char *text,
                           veil_upstream_subject_t *to)
{
    veil_str_t rest;

    memset(to, 0, sizeof(*to));
    to->group = veil_upstream_group_in(text, &rest);
    if (to->group == NULL) {
        if (call != NULL) {
            upstream_change_no_group(call, text);
        }
        return false;
    }
    if (!upstream_change_find_server(to, rest)
        && !upstream_change_find_addr(to, rest)
        && !upstream_change_find_both(to, rest))
    {
        if (call != NULL) {
            upstream_change_no_server(call, to->group, rest);
        }
        return false;
    }
    upstream_change_copy(to);
    return true;
}

void
veil_upstream_subject_params(const veil_upstream_subject_t *s,
                             veil_upstream_params_t *now,
                             veil_upstream_params_t *conf)
{
    *conf = s->conf != NULL ? s->conf->conf : s->entry.u.server.conf;
    *now = *conf;
    veil_upstream_params_apply(now, conf, &s->entry.change);
    if (s->addr.len != 0) {
        veil_upstream_params_apply(now, conf, &s->peer.change);
    }
}

bool
veil_upstream_subject_is_deleted(const veil_upstream_subject_t *s)
{
    return s->conf != NULL && (s->entry.flags & VEIL_UPSTREAM_IS_DELETED)
           && veil_upstream_params_eq(&s->entry.u.server.conf, &s->conf->conf);
}

uint32_t
veil_upstream_subject_conns(const veil_upstream_subject_t *s)
{
    uint64_t hash = veil_upstream_entry_hash(s->group, s->server);
    veil_upstream_slot_t *e = NULL;
    uint32_t n = 0;

    veil_upstream_zone_lock(s->group);
    if (s->addr.len != 0) {
        e = veil_upstream_entry(s->group, s->server, s->addr, false);
        n = e == NULL ? 0 : veil_upstream_slot_conns(e);
    } else {
        while ((e = veil_upstream_entry_next(s->group, e)) != NULL) {
            if (e->kind == VEIL_UPSTREAM_PEER && e->server == hash) {
                n += veil_upstream_slot_conns(e);
            }
        }
    }
    veil_upstream_zone_unlock(s->group);
    return n;
}

unsigned
veil_upstream_group_others(const veil_upstream_subject_t *s)
{
    veil_upstream_subject_t other;
    veil_upstream_params_t now, conf;
    veil_upstream_slot_t *e = NULL, copy;
    const veil_upstream_server_t *line;
    veil_str_t name, sni, addr;
    unsigned i, n = 0;

    for (i = 0; i < s->group->servers.n; i++) {
        line = upstream_change_line_at(s->group, i);
        if (line == NULL || line == s->conf) {
            continue;
        }
        memset(&other, 0, sizeof(other));
        other.group = s->group;
        other.conf = line;
        other.server = line->name;
        upstream_change_copy(&other);
        veil_upstream_subject_params(&other, &now, &conf);
        n += !now.backup && !veil_upstream_subject_is_deleted(&other);
    }
    while ((e = veil_upstream_entry_next(s->group, e)) != NULL) {
        copy = *e;
        if (copy.kind != VEIL_UPSTREAM_SERVER
            || (copy.flags & VEIL_UPSTREAM_IS_ADDED) == 0)
        {
            continue;
        }
        veil_upstream_entry_texts(&copy, &name, &sni, &addr);
        now = copy.u.server.conf;
        veil_upstream_params_apply(&now, &copy.u.server.conf, &copy.change);
        n += !veil_str_eq(name, s->server) && !now.backup
             && veil_upstream_server_line(s->group, name) == NULL;
    }
    return n;
}

/* --- editing the copies --------------------------------------------------
 */

bool
veil_upstream_subject_texts(veil_upstream_subject_t *s, veil_str_t sni,
                            veil_str_t addr)
{
    char text[VEIL_UPSTREAM_TEXT_MAX], *p = text;

    if (s->server.len + sni.len + addr.len + 3 > sizeof(text)) {
        return false;
    }
    memset(text, 0, sizeof(text));
    p = veil_fmt_str(p, s->server) + 1;
    p = veil_fmt_str(p, sni) + 1;
    (void) veil_fmt_str(p, addr);
    memcpy(s->entry.u.server.text, text, sizeof(text));
    return true;
}

static bool
upstream_change_texts(veil_upstream_subject_t *s, const char *addr)
{
    char kept[VEIL_UPSTREAM_TEXT_MAX];
    veil_str_t name, sni, moved;

    if (s->entry.u.server.text[0] == '\0') {
        sni = s->conf == NULL ? VEIL_STR_NULL : s->conf->sni;
        return veil_upstream_subject_texts(s, sni, veil_str_z(addr));
    }
    veil_upstream_entry_texts(&s->entry, &name, &sni, &moved);
    (void) veil_str_copy_z(kept, sizeof(kept), sni);
    return veil_upstream_subject_texts(s, veil_str_z(kept), veil_str_z(addr));
}

static bool
upstream_change_addr(veil_upstream_subject_t *s, const char *addr, char *why,
                     size_t size)
{
    if (!upstream_change_texts(s, addr)) {
        (void) veil_snprintf(why, size, "the names are too long together");
        return false;
    }
    s->entry.change.set &= ~VEIL_UPSTREAM_HAS_ADDR;
    if (addr[0] != '\0') {
        s->entry.change.set |= VEIL_UPSTREAM_HAS_ADDR;
    }
    return true;
}

bool
veil_upstream_subject_edit(veil_upstream_subject_t *s,
                           const veil_upstream_edit_t *edit, char *why,
                           size_t size)
{
    bool whole = s->addr.len == 0;
    veil_upstream_change_t *c = whole ? &s->entry.change : &s->peer.change;
    veil_upstream_params_t now, conf;
    uint32_t bit;

    if (!whole
        && (edit->set & (VEIL_UPSTREAM_HAS_ADDR | VEIL_UPSTREAM_HAS_BACKUP)))
    {
        (void) veil_snprintf(why, size,
                             "\"addr\" and \"backup\" are of a server as a "
                             "whole, not of one of its addresses");
        return false;
    }
    if (edit->reset) {
        c->set = 0;
    }
    veil_upstream_subject_params(s, &now, &conf);
    if (!whole) {
        /* What the address would be without its own. */
        now = conf;
        veil_upstream_params_apply(&now, &conf, &s->entry.change);
    }
    for (bit = 1; bit <= VEIL_UPSTREAM_HAS_BACKUP; bit <<= 1) {
        if ((edit->set & bit) == 0) {
            continue;
        }
        c->set &= ~bit;
        if (!veil_upstream_params_same(&edit->value, whole ? &conf : &now,
                                       bit)) {
            c->set |= bit;
            veil_upstream_params_copy(&c->value, &edit->value, bit);
            veil_upstream_params_copy(&c->base, &conf, bit);
        }
    }
    if (whole && s->entry.u.server.text[0] == '\0'
        && !upstream_change_texts(s, ""))
    {
        (void) veil_snprintf(why, size, "the server's name is too long");
        return false;
    }
    if (edit->set & VEIL_UPSTREAM_HAS_ADDR) {
        return upstream_change_addr(s, edit->addr, why, size);
    }
    return true;
}

/* --- the zone ------------------------------------------------------------
 */

static bool
upstream_change_is_something(const veil_upstream_subject_t *s)
{
    return s->entry.change.set != 0 || s->entry.flags != 0;
}

bool
veil_upstream_subject_reserve(const veil_upstream_subject_t *s)
{
    bool ok = true;

    veil_upstream_zone_lock(s->group);
    if (s->addr.len != 0) {
        ok = veil_upstream_entry(s->group, s->server, s->addr, true) != NULL;
    } else if (upstream_change_is_something(s)) {
        ok = veil_upstream_entry(s->group, s->server, VEIL_STR_NULL, true)
             != NULL;
    }
    veil_upstream_zone_unlock(s->group);
    return ok;
}

static void
upstream_change_write_server(const veil_upstream_subject_t *s)
{
    bool wanted = upstream_change_is_something(s);
    veil_upstream_slot_t *e =
        veil_upstream_entry(s->group, s->server, VEIL_STR_NULL, wanted);

    if (e == NULL) {
        VEIL_ASSERT(!wanted); /* it was reserved */
        return;
    }
    if (!wanted) {
        veil_upstream_entry_free(e);
        return;
    }
    e->u.server = s->entry.u.server;
    e->change = s->entry.change;
    __atomic_thread_fence(__ATOMIC_RELEASE);
    e->flags = s->entry.flags;
}

void
veil_upstream_subject_write(const veil_upstream_subject_t *s, uint32_t cleared)
{
    uint64_t hash = veil_upstream_entry_hash(s->group, s->server);
    uint32_t *version = veil_upstream_zone_version(s->group);
    veil_upstream_slot_t *e = NULL;

    veil_upstream_zone_lock(s->group);
    if (s->addr.len != 0) {
        e = veil_upstream_entry(s->group, s->server, s->addr, true);
        VEIL_ASSERT(e != NULL); /* it was reserved */
        e->change = s->peer.change;
    } else {
        upstream_change_write_server(s);
        while ((e = veil_upstream_entry_next(s->group, e)) != NULL) {
            if (e->kind == VEIL_UPSTREAM_PEER && e->server == hash) {
                e->change.set &= ~cleared;
            }
        }
    }
    VEIL_FAULT("upstream_zone.changed");
    __atomic_add_fetch(version, 1, __ATOMIC_RELEASE);
    veil_upstream_zone_unlock(s->group);
}
