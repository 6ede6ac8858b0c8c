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
 * server.  Later the zone knows better, as it has the changes that do not stay
 * as well: then only those lines count that a hand has changed since, and of
 * these only what nobody has changed at run time meanwhile.  They are looked
 * at before the generation may serve, and carried out when it does, as others
 * use the zone until then.
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

/* One parameter of a server, or of an added one; or only whether it is right.
 */
static void
upstream_overlay_set(veil_overlay_line_t *line, veil_upstream_subject_t *s,
                     bool apply)
{
    veil_upstream_params_t now, conf;
    veil_upstream_edit_t edit;
    char value[256], why[256];

    memset(&edit, 0, sizeof(edit));
    veil_upstream_subject_params(s, &now, &conf);
    if (!upstream_overlay_value(line, value, sizeof(value), &conf)) {
        veil_overlay_stale(
            line, "\"%s\" was changed in the configuration since then",
            line->key);
    } else if (!veil_upstream_edit_set(&edit, line->key, value, why,
                                       sizeof(why))
               || !veil_upstream_subject_edit(s, &edit, why, sizeof(why)))
    {
        veil_overlay_bad(line, "%s", why);
    } else if (!apply) {
        return;
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
        veil_overlay_stale(line, "there is no server \"%s\" any more", name);
    } else {
        upstream_overlay_set(line, &s, upstream_overlay_is_fresh(s.group));
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

/* The added server, or as it will be; false after saying why there is none. */
static bool
upstream_overlay_find_added(veil_overlay_line_t *line, const char *name,
                            veil_upstream_subject_t *s)
{
    veil_hostport_t hp;
    veil_str_t rest;

    if (veil_upstream_subject_find(NULL, name, s)) {
        if (s->conf != NULL) {
            veil_overlay_stale(
                line, "the server \"%s\" is in the configuration by now",
                name);
        }
        return s->conf == NULL;
    }
    s->group = veil_upstream_group_in(name, &rest);
    if (s->group == NULL || !s->group->defined) {
        veil_overlay_stale(line, "no server \"%s\" can be added", name);
        return false;
    }
    if (!veil_upstream_server_name_is_valid(rest, &hp)) {
        veil_overlay_bad(line, "\"%s\" is no address of a server", name);
        return false;
    }
    veil_upstream_subject_new(s, rest);
    return true;
}

/* The first line of its section makes the server. */
static void
upstream_overlay_add_line(veil_overlay_line_t *line, const char *name,
                          bool apply)
{
    veil_upstream_subject_t s;
    bool bad = false;

    if (!upstream_overlay_find_added(line, name, &s)) {
        return;
    }
    apply = apply || upstream_overlay_is_fresh(s.group);
    if (strcmp(line->key, "scheme") == 0) {
        bad = !upstream_overlay_scheme(line->value, &s.entry);
    } else if (strcmp(line->key, "sni") == 0) {
        bad = !veil_upstream_subject_texts(&s, veil_str_z(line->value),
                                           VEIL_STR_NULL);
    } else {
        upstream_overlay_set(line, &s, apply);
        return;
    }
    if (bad || (apply && !veil_upstream_subject_reserve(&s))) {
        veil_overlay_bad(line, "no server can be added so");
        return;
    }
    if (apply) {
        veil_upstream_subject_write(&s, 0);
    }
}

static void
upstream_overlay_del_line(veil_overlay_line_t *line, const char *name,
                          bool apply)
{
    veil_upstream_subject_t s;
    char now[VEIL_UPSTREAM_TEXT_MAX];

    if (!veil_upstream_subject_find(NULL, name, &s) || s.conf == NULL) {
        veil_overlay_stale(line, "there is no server \"%s\" any more", name);
        return;
    }
    veil_upstream_params_print(&s.conf->conf, now, sizeof(now));
    if (strcmp(line->key, "line") != 0 || strcmp(line->value, now) != 0) {
        veil_overlay_stale(line,
                           "the server \"%s\" was changed in the "
                           "configuration since then",
                           name);
        return;
    }
    if (!apply && !upstream_overlay_is_fresh(s.group)) {
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
            upstream_overlay_add_line(line, name, false);
        } else if ((name = veil_overlay_section_is(line->section, "del"))
                   != NULL) {
            upstream_overlay_del_line(line, name, false);
        }
    }
    return veil_upstream_ledger_open(cycle);
}

/* --- what a hand has changed since ----------------------------------------
 */

/* The value of a line, without what it was; its bit in *edit. */
static bool
upstream_overlay_edit(const char *key, const char *text,
                      veil_upstream_edit_t *edit)
{
    const char *was = strstr(text, " was ");
    char value[256], why[256];

    memset(edit, 0, sizeof(*edit));
    (void) veil_str_copy_z(value, sizeof(value),
                           was == NULL
                               ? veil_str_z(text)
                               : veil_str_n(text, (size_t) (was - text)));
    return veil_upstream_edit_set(edit, key, value, why, sizeof(why));
}

/*
 * Whether the parameter is what somebody made it at run time, without
 * "persist": neither as configured nor what the line was.
 */
static bool
upstream_overlay_is_volatile(const veil_upstream_subject_t *s, const char *key,
                             const char *was)
{
    const veil_upstream_change_t *c =
        s->addr.len != 0 ? &s->peer.change : &s->entry.change;
    veil_upstream_params_t now, conf;
    veil_upstream_edit_t edit;
    veil_str_t name, sni, addr;

    if (!upstream_overlay_edit(key, was, &edit)) {
        return false;
    }
    if (edit.set & VEIL_UPSTREAM_HAS_ADDR) {
        veil_upstream_entry_texts(&s->entry, &name, &sni, &addr);
        return (c->set & VEIL_UPSTREAM_HAS_ADDR)
               && !veil_str_eq_z(addr, edit.addr);
    }
    veil_upstream_subject_params(s, &now, &conf);
    if (s->conf != NULL && (c->set & edit.set) == 0) {
        return false;
    }
    return !veil_upstream_params_same(&edit.value, &now, edit.set);
}

/* The same where there was no line. */
static bool
upstream_overlay_is_set(const veil_upstream_subject_t *s,
                        const veil_overlay_line_t *line)
{
    const veil_upstream_change_t *c =
        s->addr.len != 0 ? &s->peer.change : &s->entry.change;
    veil_upstream_edit_t edit;

    return upstream_overlay_edit(line->key, line->value, &edit)
           && (c->set & edit.set) != 0;
}

/* Whether it is what the line wants. */
static bool
upstream_overlay_holds(const veil_upstream_subject_t *s,
                       const veil_overlay_line_t *line)
{
    veil_upstream_params_t now, conf;
    veil_upstream_edit_t edit;

    veil_upstream_subject_params(s, &now, &conf);
    return upstream_overlay_edit(line->key, line->value, &edit)
           && (edit.set & VEIL_UPSTREAM_HAS_ADDR) == 0
           && veil_upstream_params_same(&edit.value, &now, edit.set);
}

static void
upstream_overlay_keep(veil_overlay_line_t *line, const char *name)
{
    veil_overlay_stale(line,
                       "\"%s\" of \"%s\" was changed at run time, which "
                       "holds until a restart",
                       line->key, name);
}

/* Of this name's group all has been applied already, or nothing can be. */
static bool
upstream_overlay_is_done(const char *name)
{
    veil_str_t rest;
    const veil_upstream_group_t *g = veil_upstream_group_in(name, &rest);

    return g == NULL || g->zone == NULL || g->zone->addr == NULL
           || upstream_overlay_is_fresh(g);
}

/* A line that is new, or another than it was. */
static void
upstream_overlay_renew(veil_overlay_line_t *line, const char *was)
{
    static const char *made; /* the section that adds a server now */
    const char *server = veil_overlay_section_is(line->section, "server");
    const char *add = veil_overlay_section_is(line->section, "add");
    const char *del = veil_overlay_section_is(line->section, "del");
    const char *name = server != NULL ? server : add != NULL ? add : del;
    veil_upstream_subject_t s;
    bool found;

    if (name == NULL || upstream_overlay_is_done(name)) {
        return;
    }
    if (del != NULL) {
        upstream_overlay_del_line(line, name, true);
        return;
    }
    found = veil_upstream_subject_find(NULL, name, &s);
    if (found && upstream_overlay_holds(&s, line)) {
        return;
    }
    if (add != NULL) {
        if (made == NULL || strcmp(made, line->section) != 0) {
            made = found ? NULL : line->section;
        }
        if (made == NULL && found && s.conf == NULL
            && (was != NULL
                    ? upstream_overlay_is_volatile(&s, line->key, was)
                    : !veil_overlay_has(veil_overlay_known(), line->section)))
        {
            upstream_overlay_keep(line, name);
        } else {
            upstream_overlay_add_line(line, name, true);
        }
    } else if (!found) {
        veil_overlay_stale(line, "there is no server \"%s\" any more", name);
    } else if (was != NULL ? upstream_overlay_is_volatile(&s, line->key, was)
                           : upstream_overlay_is_set(&s, line))
    {
        upstream_overlay_keep(line, name);
    } else {
        upstream_overlay_set(line, &s, true);
    }
}

/* The parameter is as configured again. */
static void
upstream_overlay_unset(const veil_overlay_line_t *line,
                       veil_upstream_subject_t *s)
{
    veil_upstream_params_t now, conf;
    veil_upstream_edit_t edit;
    char why[256];

    if (upstream_overlay_is_volatile(s, line->key, line->value)
        || !upstream_overlay_edit(line->key, line->value, &edit))
    {
        return;
    }
    veil_upstream_subject_params(s, &now, &conf);
    if (s->addr.len != 0) {
        veil_upstream_params_apply(&conf, &conf, &s->entry.change);
    }
    edit.value = conf;
    edit.addr[0] = '\0';
    if (veil_upstream_subject_edit(s, &edit, why, sizeof(why))
        && veil_upstream_subject_reserve(s))
    {
        veil_upstream_subject_write(s, 0);
    }
}

/* A line that was taken out. */
static void
upstream_overlay_take_back(const veil_overlay_line_t *line)
{
    const char *server = veil_overlay_section_is(line->section, "server");
    const char *add = veil_overlay_section_is(line->section, "add");
    const char *del = veil_overlay_section_is(line->section, "del");
    const char *name = server != NULL ? server : add != NULL ? add : del;
    veil_upstream_subject_t s;

    if (name == NULL || upstream_overlay_is_done(name)
        || !veil_upstream_subject_find(NULL, name, &s))
    {
        return;
    }
    if (server != NULL) {
        upstream_overlay_unset(line, &s);
        return;
    }
    if (add != NULL && s.conf == NULL
        && !veil_overlay_has(veil_overlay_lines(), line->section))
    {
        veil_upstream_subject_delete(&s);
    } else if (del != NULL && veil_upstream_subject_is_deleted(&s)
               && !veil_overlay_has(veil_overlay_lines(), line->section))
    {
        s.entry.flags = 0;
        s.entry.change.set = 0;
    } else {
        return;
    }
    veil_upstream_subject_write(&s, ~0u);
}

static void
upstream_overlay_compare(void)
{
    veil_overlay_line_t *line;
    const char *was;
    veil_list_t *l;

    veil_list_foreach (l, veil_overlay_known()) {
        line = veil_list_entry(l, veil_overlay_line_t, link);
        if (veil_overlay_get(line->section, line->key) == NULL) {
            upstream_overlay_take_back(line);
        }
    }
    veil_list_foreach (l, veil_overlay_lines()) {
        line = veil_list_entry(l, veil_overlay_line_t, link);
        was = veil_overlay_was(line->section, line->key);
        if (was == NULL || strcmp(was, line->value) != 0) {
            upstream_overlay_renew(line, was);
        }
    }
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
    upstream_overlay_compare();
}
