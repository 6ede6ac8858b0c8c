/*
 * upstream_state.c -- the servers of a saved state.
 *
 *     { "upstream": "backend", "server": "10.0.0.1:8080",
 *       "changed": { "state": { "to": "drain", "was": "ready" } } }
 *
 * A row is what was changed of a server, or, with "address", of one of its
 * addresses; "added" and "deleted" have the parameters of the line.  Loading
 * makes all of it so and takes back what no row has.
 *
 * check() keeps the subjects it made for load(), which only writes.
 */

#include "core/state.h"
#include "http/upstream/upstream_change.h"
#include "http/upstream/upstream_control.h"

static struct {
    veil_upstream_subject_t **wanted; /* of the last check */
    unsigned n;
} upstream_state;

/* --- saving --------------------------------------------------------------
 */

static json_t *
upstream_state_changed(const veil_upstream_change_t *c)
{
    json_t *o = json_object();
    char to[32], was[32];
    uint32_t bit;

    for (bit = 1; bit <= VEIL_UPSTREAM_HAS_BACKUP; bit <<= 1) {
        if (c->set & bit) {
            veil_upstream_param_print(&c->value, bit, to, sizeof(to));
            veil_upstream_param_print(&c->base, bit, was, sizeof(was));
            json_object_set_new(o, veil_upstream_param_name(bit),
                                json_pack("{s:s, s:s}", "to", to, "was", was));
        }
    }
    return o;
}

static json_t *
upstream_state_row(const veil_upstream_group_t *g, veil_str_t server)
{
    return json_pack("{s:s%, s:s%}", "upstream", g->name.data, g->name.len,
                     "server", server.data, server.len);
}

static void
upstream_state_save_server(json_t *rows, const veil_upstream_group_t *g,
                           const veil_upstream_slot_t *e)
{
    const veil_upstream_params_t *conf = &e->u.server.conf;
    veil_str_t name, sni, addr;
    json_t *row, *added;

    veil_upstream_entry_texts(e, &name, &sni, &addr);
    row = upstream_state_row(g, name);
    if (row == NULL) {
        return; /* not UTF-8: no name that could be looked up */
    }
    json_object_set_new(row, "changed", upstream_state_changed(&e->change));
    if (e->change.set & VEIL_UPSTREAM_HAS_ADDR) {
        json_object_set_new(row, "addr", json_stringn(addr.data, addr.len));
    }
    if (e->flags & VEIL_UPSTREAM_IS_ADDED) {
        added = veil_upstream_params_json(conf);
        json_object_set_new(added, "sni", json_stringn(sni.data, sni.len));
        json_object_set_new(added, "scheme", json_integer(e->u.server.scheme));
        json_object_set_new(row, "added", added);
    }
    if (e->flags & VEIL_UPSTREAM_IS_DELETED) {
        json_object_set_new(row, "deleted", veil_upstream_params_json(conf));
    }
    json_array_append_new(rows, row);
}

/* The names of an address' key, "group/server/address". */
static bool
upstream_state_split(const veil_upstream_group_t *g,
                     const veil_upstream_slot_t *e, veil_str_t *server,
                     veil_str_t *addr)
{
    veil_str_t key = veil_str_z(e->key);
    ptrdiff_t slash = veil_str_rchr(key, '/');

    if (slash <= (ptrdiff_t) g->name.len || !veil_str_starts(key, g->name)) {
        return false; /* it was cut */
    }
    *addr = veil_str_from(key, (size_t) slash + 1);
    *server = veil_str_n(key.data + g->name.len + 1,
                         (size_t) slash - g->name.len - 1);
    return true;
}

static void
upstream_state_save_address(json_t *rows, const veil_upstream_group_t *g,
                            const veil_upstream_slot_t *e)
{
    veil_str_t server, addr;
    json_t *row;

    if (!upstream_state_split(g, e, &server, &addr)) {
        return;
    }
    row = upstream_state_row(g, server);
    if (row != NULL) {
        json_object_set_new(row, "address", json_stringn(addr.data, addr.len));
        json_object_set_new(row, "changed",
                            upstream_state_changed(&e->change));
        json_array_append_new(rows, row);
    }
}

static bool
upstream_state_is_changed(const veil_upstream_slot_t *e)
{
    return e->change.set != 0 || e->flags != 0;
}

static json_t *
upstream_state_save(json_t *left_out VEIL_UNUSED)
{
    const veil_http_main_t *m = veil_cycle->http;
    veil_upstream_group_t *g;
    veil_upstream_slot_t *e;
    json_t *rows = json_array();
    unsigned i;

    for (i = 0; m != NULL && i < m->upstreams.n; i++) {
        g = *veil_array_at(&m->upstreams, veil_upstream_group_t *, i);
        e = NULL;
        veil_upstream_zone_lock(g);
        while ((e = veil_upstream_entry_next(g, e)) != NULL) {
            if (!upstream_state_is_changed(e)) {
                continue;
            }
            if (e->kind == VEIL_UPSTREAM_SERVER) {
                upstream_state_save_server(rows, g, e);
            } else {
                upstream_state_save_address(rows, g, e);
            }
        }
        veil_upstream_zone_unlock(g);
    }
    return rows;
}

/* --- checking ------------------------------------------------------------
 */

static bool
upstream_state_bad(veil_control_call_t *call, const json_t *row,
                   const char *why)
{
    const char *g = json_string_value(json_object_get(row, "upstream"));
    const char *s = json_string_value(json_object_get(row, "server"));

    (void) veil_control_fail(call, VEIL_E_INVALID,
                             "the saved server \"%s/%s\": %s",
                             g == NULL ? "?" : g, s == NULL ? "?" : s, why);
    return false;
}

/* Parameters as veil_upstream_params_json() has written them. */
static bool
upstream_state_params(const json_t *from, veil_upstream_params_t *to,
                      char *why, size_t size)
{
    veil_upstream_edit_t edit;
    const char *name, *value;
    char text[32];
    const json_t *v;
    uint32_t bit;

    memset(&edit, 0, sizeof(edit));
    for (bit = 1; bit <= VEIL_UPSTREAM_HAS_BACKUP; bit <<= 1) {
        name = veil_upstream_param_name(bit);
        v = json_object_get(from, name);
        value = json_string_value(v);
        if (json_is_boolean(v)) {
            value = json_is_true(v) ? "on" : "off";
        } else if (json_is_integer(v)) {
            (void) veil_snprintf(text, sizeof(text), "%lld",
                                 (long long) json_integer_value(v));
            value = text;
        }
        if (value == NULL) {
            (void) veil_snprintf(why, size, "it has no \"%s\"", name);
            return false;
        }
        if (!veil_upstream_edit_set(&edit, name, value, why, size)) {
            return false;
        }
    }
    *to = edit.value;
    return true;
}

/* "changed" of a row. */
static bool
upstream_state_change(const json_t *row, veil_upstream_change_t *c, char *why,
                      size_t size)
{
    json_t *changed = json_object_get(row, "changed");
    veil_upstream_edit_t to, was;
    const char *name, *to_text, *was_text;
    json_t *v;

    memset(c, 0, sizeof(*c));
    json_object_foreach(changed, name, v)
    {
        memset(&to, 0, sizeof(to));
        memset(&was, 0, sizeof(was));
        to_text = json_string_value(json_object_get(v, "to"));
        was_text = json_string_value(json_object_get(v, "was"));
        if (to_text == NULL || was_text == NULL || strcmp(name, "addr") == 0) {
            (void) veil_snprintf(why, size, "\"%s\" is malformed", name);
            return false;
        }
        if (!veil_upstream_edit_set(&to, name, to_text, why, size)
            || !veil_upstream_edit_set(&was, name, was_text, why, size))
        {
            return false;
        }
        c->set |= to.set;
        veil_upstream_params_copy(&c->value, &to.value, to.set);
        veil_upstream_params_copy(&c->base, &was.value, to.set);
    }
    return true;
}

static bool
upstream_state_added(const json_t *added, veil_upstream_subject_t *s,
                     veil_str_t *sni, char *why, size_t size)
{
    json_int_t scheme = json_integer_value(json_object_get(added, "scheme"));
    const char *text = json_string_value(json_object_get(added, "sni"));
    veil_hostport_t hp;

    if (!s->group->defined
        || !veil_upstream_server_name_is_valid(s->server, &hp) || scheme < 0
        || scheme > VEIL_SCHEME_HTTPS)
    {
        (void) veil_snprintf(why, size, "it cannot be added");
        return false;
    }
    if (!veil_upstream_group_has_scheme(s->group,
                                        (veil_upstream_scheme_t) scheme)) {
        (void) veil_snprintf(why, size, "no configured server has its scheme");
        return false;
    }
    *sni = veil_str_z(text == NULL ? "" : text);
    s->entry.u.server.scheme = (uint8_t) scheme;
    s->entry.flags |= VEIL_UPSTREAM_IS_ADDED;
    return upstream_state_params(added, &s->entry.u.server.conf, why, size);
}

/* What a row says of a server as a whole. */
static bool
upstream_state_server(const json_t *row, veil_upstream_subject_t *s, char *why,
                      size_t size)
{
    const json_t *added = json_object_get(row, "added");
    const json_t *deleted = json_object_get(row, "deleted");
    const char *addr = json_string_value(json_object_get(row, "addr"));
    veil_str_t sni = s->conf == NULL ? VEIL_STR_NULL : s->conf->sni;
    veil_upstream_edit_t edit;

    if (!upstream_state_change(row, &s->entry.change, why, size)) {
        return false;
    }
    if (added != NULL && s->conf == NULL
        && !upstream_state_added(added, s, &sni, why, size))
    {
        return false;
    }
    if (s->conf == NULL && added == NULL) {
        (void) veil_snprintf(why, size, "there is no such server");
        return false;
    }
    if (deleted != NULL && s->conf != NULL) {
        s->entry.flags |= VEIL_UPSTREAM_IS_DELETED;
        if (!upstream_state_params(deleted, &s->entry.u.server.conf, why,
                                   size)) {
            return false;
        }
    }
    memset(&edit, 0, sizeof(edit));
    if (addr != NULL) {
        if (!veil_upstream_edit_set(&edit, "addr", addr, why, size)) {
            return false;
        }
        s->entry.change.set |= VEIL_UPSTREAM_HAS_ADDR;
    }
    if (!veil_upstream_subject_texts(s, sni, veil_str_z(edit.addr))) {
        (void) veil_snprintf(why, size, "its names are too long");
        return false;
    }
    return true;
}

/* The subject of a row, as it is to be; false after failing the call. */
static bool
upstream_state_parse(veil_control_call_t *call, const json_t *row,
                     veil_upstream_subject_t *s)
{
    const char *g = json_string_value(json_object_get(row, "upstream"));
    const char *server = json_string_value(json_object_get(row, "server"));
    const char *addr = json_string_value(json_object_get(row, "address"));
    char why[256] = "its names are missing";
    bool ok;

    if (g == NULL || server == NULL || server[0] == '\0') {
        return upstream_state_bad(call, row, why);
    }
    s->group = veil_upstream_group_named(call, g);
    if (s->group == NULL) {
        return false;
    }
    if (veil_upstream_zone_version(s->group) == NULL
        || !veil_upstream_subject_name(s, veil_str_z(server),
                                       veil_str_z(addr == NULL ? "" : addr)))
    {
        return upstream_state_bad(call, row, "its names are too long");
    }
    s->conf = veil_upstream_server_line(s->group, s->server);
    if (addr != NULL) {
        ok = upstream_state_change(row, &s->peer.change, why, sizeof(why));
    } else {
        ok = upstream_state_server(row, s, why, sizeof(why));
    }
    if (!ok) {
        return upstream_state_bad(call, row, why);
    }
    return veil_upstream_subject_reserve(s)
           || upstream_state_bad(call, row, "its zone has no room for it");
}

static void
upstream_state_forget(void)
{
    unsigned i;

    for (i = 0; i < upstream_state.n; i++) {
        veil_free(upstream_state.wanted[i]);
    }
    veil_free(upstream_state.wanted);
    memset(&upstream_state, 0, sizeof(upstream_state));
}

static bool
upstream_state_is_wanted(const veil_upstream_subject_t *s)
{
    const veil_upstream_subject_t *w;
    unsigned i;

    for (i = 0; i < upstream_state.n; i++) {
        w = upstream_state.wanted[i];
        if (w->group == s->group && veil_str_eq(w->server, s->server)
            && veil_str_eq(w->addr, s->addr))
        {
            return true;
        }
    }
    return false;
}

static veil_upstream_subject_t *
upstream_state_add(void)
{
    veil_upstream_subject_t *s = veil_zalloc(sizeof(*s));

    upstream_state.wanted =
        veil_realloc(upstream_state.wanted,
                     (upstream_state.n + 1) * sizeof(*upstream_state.wanted));
    upstream_state.wanted[upstream_state.n++] = s;
    return s;
}

/* What is changed now, and in no row: it will be as configured. */
static void
upstream_state_add_others(veil_upstream_group_t *g)
{
    veil_upstream_subject_t *s;
    veil_upstream_slot_t *e = NULL;
    veil_str_t server, addr, sni;

    while ((e = veil_upstream_entry_next(g, e)) != NULL) {
        if (!upstream_state_is_changed(e)) {
            continue;
        }
        s = upstream_state_add();
        s->group = g;
        if (e->kind == VEIL_UPSTREAM_SERVER) {
            veil_upstream_entry_texts(e, &server, &sni, &addr);
            addr = VEIL_STR_NULL;
        } else if (!upstream_state_split(g, e, &server, &addr)) {
            server = VEIL_STR_NULL;
        }
        (void) veil_upstream_subject_name(s, server, addr);
        s->conf = veil_upstream_server_line(g, s->server);
        upstream_state.n--; /* compared with the others, not with itself */
        if (server.len == 0 || upstream_state_is_wanted(s)) {
            veil_free(s);
        } else {
            upstream_state.n++;
        }
    }
}

/* One line of what would change; nothing when nothing would. */
static void
upstream_state_diff(const veil_upstream_subject_t *s, json_t *changes)
{
    veil_upstream_subject_t now;
    json_t *before = json_null(), *after = json_null();
    char name[640];

    (void) veil_snprintf(name, sizeof(name), "%.*s/%.*s%s%.*s",
                         VEIL_STR_ARG(s->group->name), VEIL_STR_ARG(s->server),
                         s->addr.len != 0 ? "/" : "", VEIL_STR_ARG(s->addr));
    if (veil_upstream_subject_find(NULL, name, &now)) {
        before = veil_upstream_subject_json(&now);
    }
    if (s->conf != NULL || (s->entry.flags & VEIL_UPSTREAM_IS_ADDED)
        || s->addr.len != 0)
    {
        after = veil_upstream_subject_json(s);
    }
    if (json_equal(before, after)) {
        json_decref(before);
        json_decref(after);
        return;
    }
    json_array_append_new(changes,
                          json_pack("{s:s, s:o, s:o}", "server", name,
                                    "before", before, "after", after));
}

static bool
upstream_state_check(veil_control_call_t *call, const json_t *saved,
                     json_t *changes)
{
    const veil_http_main_t *m = veil_cycle->http;
    const json_t *row;
    unsigned k;
    size_t i;

    upstream_state_forget();
    json_array_foreach(saved, i, row)
    {
        if (!upstream_state_parse(call, row, upstream_state_add())) {
            upstream_state_forget();
            return false;
        }
    }
    for (k = 0; m != NULL && k < m->upstreams.n; k++) {
        upstream_state_add_others(
            *veil_array_at(&m->upstreams, veil_upstream_group_t *, k));
    }
    for (k = 0; k < upstream_state.n; k++) {
        upstream_state_diff(upstream_state.wanted[k], changes);
    }
    return true;
}

/* Workers see it, as it is in shared memory. */
static json_t *
upstream_state_load(void)
{
    unsigned i;

    for (i = 0; i < upstream_state.n; i++) {
        veil_upstream_subject_write(upstream_state.wanted[i], 0);
    }
    return NULL;
}

/* --- the overlay ----------------------------------------------------------
 */

/* Whether the server is as the line says: "3 was 1" says 3. */
static bool
upstream_state_holds(const veil_overlay_line_t *line,
                     const veil_upstream_subject_t *s)
{
    const veil_upstream_change_t *c =
        s->addr.len != 0 ? &s->peer.change : &s->entry.change;
    const char *was = strstr(line->value, " was ");
    veil_upstream_params_t now, conf;
    veil_upstream_edit_t edit;
    char value[256], why[256];
    veil_str_t name, sni, addr;

    (void) veil_str_copy_z(
        value, sizeof(value),
        was == NULL ? veil_str_z(line->value)
                    : veil_str_n(line->value, (size_t) (was - line->value)));
    memset(&edit, 0, sizeof(edit));
    if (!veil_upstream_edit_set(&edit, line->key, value, why, sizeof(why))) {
        return false;
    }
    if (edit.set & VEIL_UPSTREAM_HAS_ADDR) {
        veil_upstream_entry_texts(&s->entry, &name, &sni, &addr);
        return (c->set & VEIL_UPSTREAM_HAS_ADDR)
               && veil_str_eq_z(addr, edit.addr);
    }
    veil_upstream_subject_params(s, &now, &conf);
    return veil_upstream_params_same(&edit.value, &now, edit.set);
}

static veil_state_force_t
upstream_state_in_force(const veil_overlay_line_t *line)
{
    const char *server = veil_overlay_section_is(line->section, "server");
    const char *add = veil_overlay_section_is(line->section, "add");
    const char *del = veil_overlay_section_is(line->section, "del");
    const char *name = server != NULL ? server : add != NULL ? add : del;
    veil_upstream_subject_t s;
    bool holds = false;

    if (name == NULL) {
        return VEIL_STATE_NOT_MINE;
    }
    if (!veil_upstream_subject_find(NULL, name, &s)) {
        return VEIL_STATE_NOT_IN_FORCE;
    }
    if (del != NULL) {
        holds = veil_upstream_subject_is_deleted(&s);
    } else if (!veil_upstream_subject_is_deleted(&s)) {
        holds = strcmp(line->key, "scheme") == 0
                || strcmp(line->key, "sni") == 0
                || upstream_state_holds(line, &s);
    }
    return holds ? VEIL_STATE_IN_FORCE : VEIL_STATE_NOT_IN_FORCE;
}

void
veil_upstream_state_init(void)
{
    static veil_state_part_t part = {
        .name = "servers",
        .save = upstream_state_save,
        .check = upstream_state_check,
        .load = upstream_state_load,
        .forget = upstream_state_forget,
        .in_force = upstream_state_in_force,
    };

    veil_state_add(&part);
}
