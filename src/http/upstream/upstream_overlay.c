/*
 * upstream_overlay.c -- servers in the file of changes that stay.
 *
 *     [server backend/10.0.0.1:8080]
 *     state = drain was ready
 *     [add backend/10.0.0.9:8080]
 *     weight = 3
 *     [del backend/10.0.0.2:8080]
 *     line = state=ready weight=1 ...
 *
 * "was" is what the configuration said then: as in the zone, a change is
 * dropped when the configuration has been changed since.  A hand may leave
 * it away.
 *
 * The file is applied to groups whose zone is new, which is the start of the
 * server: afterwards the zone knows better, as it has the changes that do not
 * stay as well.
 */

#include "http/upstream/upstream_change.h"
#include "http/upstream/upstream_control.h"

#define OVERLAY_EDITS 16

/* --- writing -------------------------------------------------------------
 */

typedef struct {
    veil_overlay_edit_t edits[OVERLAY_EDITS];
    char values[OVERLAY_EDITS][VEIL_UPSTREAM_TEXT_MAX];
    char section[640];
    unsigned n;
} upstream_overlay_t;

static void
upstream_overlay_begin(upstream_overlay_t *o, const char *word,
                       const veil_upstream_subject_t *s)
{
    o->n = 0;
    (void) veil_snprintf(o->section, sizeof(o->section), "%s %.*s/%.*s%s%.*s",
                         word, VEIL_STR_ARG(s->group->name),
                         VEIL_STR_ARG(s->server), s->addr.len != 0 ? "/" : "",
                         VEIL_STR_ARG(s->addr));
}

/* value NULL: it goes; key NULL: the section does. */
static char *
upstream_overlay_add(upstream_overlay_t *o, const char *key, const char *value)
{
    veil_overlay_edit_t *e = &o->edits[o->n];
    char *text = o->values[o->n++];

    e->section = o->section;
    e->key = key;
    e->value = NULL;
    if (value != NULL) {
        (void) veil_str_copy_z(text, sizeof(o->values[0]), veil_str_z(value));
        e->value = text;
    }
    return text;
}

static bool
upstream_overlay_write(veil_control_call_t *call, const upstream_overlay_t *o)
{
    char why[512];

    if (veil_overlay_change(o->edits, o->n, why, sizeof(why)) == 0) {
        return true;
    }
    (void) veil_control_fail(
        call, veil_overlay_is_on() ? VEIL_E_IO : VEIL_E_INVALID, "%s", why);
    return false;
}

bool
veil_upstream_overlay_note(veil_control_call_t *call,
                           const veil_upstream_subject_t *s, uint32_t bits)
{
    const veil_upstream_change_t *c =
        s->addr.len != 0 ? &s->peer.change : &s->entry.change;
    char value[64], was[32];
    veil_str_t name, sni, addr;
    upstream_overlay_t o;
    uint32_t bit;

    upstream_overlay_begin(&o, "server", s);
    for (bit = 1; bit <= VEIL_UPSTREAM_HAS_BACKUP; bit <<= 1) {
        if ((bits & bit) == 0) {
            continue;
        }
        if ((c->set & bit) == 0) {
            (void) upstream_overlay_add(&o, veil_upstream_param_name(bit),
                                        NULL);
            continue;
        }
        veil_upstream_param_print(&c->value, bit, value, 32);
        veil_upstream_param_print(&c->base, bit, was, sizeof(was));
        (void) veil_snprintf(value + strlen(value),
                             sizeof(value) - strlen(value), " was %s", was);
        (void) upstream_overlay_add(&o, veil_upstream_param_name(bit), value);
    }
    if (bits & VEIL_UPSTREAM_HAS_ADDR) {
        veil_upstream_entry_texts(&s->entry, &name, &sni, &addr);
        (void) upstream_overlay_add(
            &o, "addr", (c->set & VEIL_UPSTREAM_HAS_ADDR) ? addr.data : NULL);
    }
    return upstream_overlay_write(call, &o);
}

bool
veil_upstream_overlay_forget(veil_control_call_t *call,
                             const veil_upstream_subject_t *s)
{
    upstream_overlay_t o;

    upstream_overlay_begin(&o, "server", s);
    (void) upstream_overlay_add(&o, NULL, NULL);
    return upstream_overlay_write(call, &o);
}

bool
veil_upstream_overlay_note_added(veil_control_call_t *call,
                                 const veil_upstream_subject_t *s)
{
    static const char *const schemes[] = {
        [VEIL_SCHEME_OF_URL] = NULL,
        [VEIL_SCHEME_HTTP] = "http",
        [VEIL_SCHEME_HTTPS] = "https",
    };
    veil_upstream_params_t params = s->entry.u.server.conf;
    veil_str_t name, sni, addr;
    upstream_overlay_t o;
    char value[32];
    uint32_t bit;

    veil_upstream_params_apply(&params, &s->entry.u.server.conf,
                               &s->entry.change);
    veil_upstream_entry_texts(&s->entry, &name, &sni, &addr);
    upstream_overlay_begin(&o, "add", s);
    (void) upstream_overlay_add(&o, NULL, NULL);
    for (bit = 1; bit <= VEIL_UPSTREAM_HAS_BACKUP; bit <<= 1) {
        veil_upstream_param_print(&params, bit, value, sizeof(value));
        (void) upstream_overlay_add(&o, veil_upstream_param_name(bit), value);
    }
    if (schemes[s->entry.u.server.scheme] != NULL) {
        (void) upstream_overlay_add(&o, "scheme",
                                    schemes[s->entry.u.server.scheme]);
    }
    if (sni.len != 0) {
        (void) upstream_overlay_add(&o, "sni", sni.data);
    }
    return upstream_overlay_write(call, &o);
}

bool
veil_upstream_overlay_note_deleted(veil_control_call_t *call,
                                   const veil_upstream_subject_t *s)
{
    static const char *const words[] = { "server", "add", "del" };
    upstream_overlay_t o[veil_countof(words)];
    veil_overlay_edit_t edits[veil_countof(words) + 1];
    char line[VEIL_UPSTREAM_TEXT_MAX], why[512];
    unsigned i, n = 0;

    for (i = 0; i < veil_countof(words); i++) {
        upstream_overlay_begin(&o[i], words[i], s);
        (void) upstream_overlay_add(&o[i], NULL, NULL);
        edits[n++] = o[i].edits[0];
    }
    if (veil_upstream_subject_is_deleted(s)) {
        veil_upstream_params_print(&s->conf->conf, line, sizeof(line));
        edits[n].section = o[2].section;
        edits[n].key = "line";
        edits[n++].value = line;
    }
    if (veil_overlay_change(edits, n, why, sizeof(why)) == 0) {
        return true;
    }
    (void) veil_control_fail(
        call, veil_overlay_is_on() ? VEIL_E_IO : VEIL_E_INVALID, "%s", why);
    return false;
}

/* --- reading -------------------------------------------------------------
 */

/* "3 was 1": the parts; false: the configuration has changed it since. */
static bool
upstream_overlay_value(const veil_overlay_line_t *line, char *value,
                       size_t size, const veil_upstream_params_t *conf)
{
    const char *was = strstr(line->value, " was ");
    veil_upstream_edit_t then;
    char why[256];

    if (was == NULL) {
        (void) veil_str_copy_z(value, size, veil_str_z(line->value));
        return true;
    }
    (void) veil_str_copy_z(
        value, size, veil_str_n(line->value, (size_t) (was - line->value)));
    memset(&then, 0, sizeof(then));
    return !veil_upstream_edit_set(&then, line->key, was + strlen(" was "),
                                   why, sizeof(why))
           || veil_upstream_params_same(&then.value, conf, then.set);
}

static bool
upstream_overlay_is_fresh(const veil_upstream_group_t *g)
{
    const veil_upstream_zone_data_t *data =
        g->zone == NULL ? NULL : g->zone->data;

    return data != NULL && data->fresh;
}

/* One parameter of a server, or of an added one. */
static void
upstream_overlay_set(veil_overlay_line_t *line, veil_upstream_subject_t *s)
{
    veil_upstream_params_t now, conf;
    veil_upstream_edit_t edit;
    char value[256], why[256];

    memset(&edit, 0, sizeof(edit));
    veil_upstream_subject_params(s, &now, &conf);
    if (!upstream_overlay_value(line, value, sizeof(value), &conf)) {
        veil_overlay_bad(line,
                         "\"%s\" was changed in the configuration since then",
                         line->key);
    } else if (!veil_upstream_edit_set(&edit, line->key, value, why,
                                       sizeof(why))
               || !veil_upstream_subject_edit(s, &edit, why, sizeof(why)))
    {
        veil_overlay_bad(line, "%s", why);
    } else if (!veil_upstream_subject_reserve(s)) {
        veil_overlay_bad(line, "the zone of the upstream \"%.*s\" is full",
                         VEIL_STR_ARG(s->group->name));
    } else {
        veil_upstream_subject_write(s, edit.set);
    }
}

static void
upstream_overlay_server(veil_overlay_line_t *line, const char *name)
{
    veil_upstream_subject_t s;

    if (!veil_upstream_subject_find(NULL, name, &s)) {
        veil_overlay_bad(line, "there is no server \"%s\" any more", name);
    } else if (upstream_overlay_is_fresh(s.group)) {
        upstream_overlay_set(line, &s);
    }
}

static bool
upstream_overlay_scheme(const char *value, veil_upstream_slot_t *e)
{
    if (strcmp(value, "http") == 0) {
        e->u.server.scheme = VEIL_SCHEME_HTTP;
    } else if (strcmp(value, "https") == 0) {
        e->u.server.scheme = VEIL_SCHEME_HTTPS;
    } else {
        return false;
    }
    return true;
}

/* The first line of its section makes the server. */
static void
upstream_overlay_added(veil_overlay_line_t *line, const char *name)
{
    veil_upstream_subject_t s;
    veil_str_t rest, sni;
    veil_hostport_t hp;
    bool bad = false;

    if (!veil_upstream_subject_find(NULL, name, &s)) {
        s.group = veil_upstream_group_in(name, &rest);
        if (s.group == NULL || !s.group->defined
            || !veil_upstream_server_name_is_valid(rest, &hp))
        {
            veil_overlay_bad(line, "no server \"%s\" can be added", name);
            return;
        }
        veil_upstream_subject_new(&s, rest);
    }
    if (!upstream_overlay_is_fresh(s.group)) {
        return;
    }
    if (s.conf != NULL) {
        veil_overlay_bad(
            line, "the server \"%s\" is in the configuration by now", name);
        return;
    }
    if (strcmp(line->key, "scheme") == 0) {
        bad = !upstream_overlay_scheme(line->value, &s.entry);
    } else if (strcmp(line->key, "sni") == 0) {
        sni = veil_str_z(line->value);
        bad = !veil_upstream_subject_texts(&s, sni, VEIL_STR_NULL);
    } else {
        upstream_overlay_set(line, &s);
        return;
    }
    if (bad || !veil_upstream_subject_reserve(&s)) {
        veil_overlay_bad(line, "no server can be added so");
        return;
    }
    veil_upstream_subject_write(&s, 0);
}

static void
upstream_overlay_deleted(veil_overlay_line_t *line, const char *name)
{
    veil_upstream_subject_t s;
    char now[VEIL_UPSTREAM_TEXT_MAX];

    if (!veil_upstream_subject_find(NULL, name, &s) || s.conf == NULL) {
        veil_overlay_bad(line, "there is no server \"%s\" any more", name);
        return;
    }
    if (!upstream_overlay_is_fresh(s.group)) {
        return;
    }
    veil_upstream_params_print(&s.conf->conf, now, sizeof(now));
    if (strcmp(line->key, "line") != 0 || strcmp(line->value, now) != 0) {
        veil_overlay_bad(line,
                         "the server \"%s\" was changed in the configuration "
                         "since then",
                         name);
        return;
    }
    veil_upstream_subject_delete(&s);
    if (!veil_upstream_subject_texts(&s, s.conf->sni, VEIL_STR_NULL)
        || !veil_upstream_subject_reserve(&s))
    {
        veil_overlay_bad(line, "the zone of the upstream \"%.*s\" is full",
                         VEIL_STR_ARG(s.group->name));
        return;
    }
    veil_upstream_subject_write(&s, 0);
}

veil_rc_t
veil_upstream_init_keeper(veil_cycle_t *cycle)
{
    veil_overlay_line_t *line;
    const char *name;
    veil_list_t *l;

    veil_upstream_state_init();
    veil_list_foreach (l, veil_overlay_lines()) {
        line = veil_list_entry(l, veil_overlay_line_t, link);
        if ((name = veil_overlay_section_is(line->section, "server")) != NULL)
        {
            upstream_overlay_server(line, name);
        } else if ((name = veil_overlay_section_is(line->section, "add"))
                   != NULL) {
            upstream_overlay_added(line, name);
        } else if ((name = veil_overlay_section_is(line->section, "del"))
                   != NULL) {
            upstream_overlay_deleted(line, name);
        }
    }
    return veil_upstream_ledger_open(cycle);
}

/* --- a generation serves -------------------------------------------------
 */

/* What an entry has that means nothing to this configuration. */
static bool
upstream_overlay_adopt_entry(veil_upstream_group_t *g, veil_upstream_slot_t *e)
{
    const veil_upstream_server_t *line = NULL;
    uint32_t stale;
    bool changed;
    unsigned i;

    for (i = 0; line == NULL && i < g->servers.n; i++) {
        line = *veil_array_at(&g->servers, veil_upstream_server_t *, i);
        if (line->added
            || veil_upstream_entry_hash(g, line->name)
                   != (e->kind == VEIL_UPSTREAM_SERVER ? e->hash : e->server))
        {
            line = NULL;
        }
    }
    if (line == NULL) {
        if (e->kind == VEIL_UPSTREAM_SERVER
            && (e->flags & VEIL_UPSTREAM_IS_ADDED) == 0)
        {
            veil_upstream_entry_free(e); /* its line is gone */
            return true;
        }
        return false;
    }
    stale = veil_upstream_change_stale(&e->change, &line->conf);
    e->change.set &= ~stale;
    changed = stale != 0;
    if (e->kind == VEIL_UPSTREAM_SERVER) {
        if (e->flags & VEIL_UPSTREAM_IS_ADDED) {
            changed = true; /* it is the configuration's from here on */
            e->flags &= (uint8_t) ~VEIL_UPSTREAM_IS_ADDED;
        }
        if ((e->flags & VEIL_UPSTREAM_IS_DELETED)
            && !veil_upstream_params_eq(&e->u.server.conf, &line->conf))
        {
            changed = true;
            e->flags &= (uint8_t) ~VEIL_UPSTREAM_IS_DELETED;
        }
        if (e->flags == 0 && e->change.set == 0) {
            veil_upstream_entry_free(e);
        }
    }
    return changed;
}

void
veil_upstream_start_keeper(veil_cycle_t *cycle)
{
    const veil_http_main_t *m = cycle->http;
    veil_upstream_group_t *g;
    veil_upstream_slot_t *e;
    bool changed;
    unsigned i;

    for (i = 0; m != NULL && i < m->upstreams.n; i++) {
        g = *veil_array_at(&m->upstreams, veil_upstream_group_t *, i);
        if (g->zone == NULL || g->zone->addr == NULL) {
            continue;
        }
        changed = false;
        e = NULL;
        veil_upstream_zone_lock(g);
        while ((e = veil_upstream_entry_next(g, e)) != NULL) {
            if (e->kind == VEIL_UPSTREAM_SERVER || e->change.set != 0) {
                changed |= upstream_overlay_adopt_entry(g, e);
            }
        }
        if (changed) {
            __atomic_add_fetch(veil_upstream_zone_version(g), 1,
                               __ATOMIC_RELEASE);
        }
        veil_upstream_zone_unlock(g);
    }
}
