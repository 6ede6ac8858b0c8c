/*
 * upstream_control.c -- server.set, server.add and server.del.
 *
 * They run in the keeper of the generation that serves, which writes to the
 * zone; workers follow by themselves (upstream_sync.c), those that drain as
 * well.  What is to stay is written to the overlay first: when that fails
 * nothing has changed.
 *
 * To delete is to drain, to wait, and to take away; what is under way when
 * the patience is over decides by "force".
 */

#include "http/upstream/upstream_control.h"

#include "core/due.h"
#include "http/upstream/upstream_change.h"

/* Between two looks at what is under way. */
#define CONTROL_POLL_MS 50

static void
upstream_control_event(const char *kind, const veil_upstream_subject_t *s,
                       const char *before)
{
    json_t *now = veil_upstream_subject_json(s);
    const char *state = json_string_value(json_object_get(now, "state"));
    json_t *data =
        json_pack("{s:s%, s:s%, s:s, s:s}", "upstream", s->group->name.data,
                  s->group->name.len, "server", s->server.data, s->server.len,
                  "before", before, "state", state);

    if (s->addr.len != 0) {
        json_object_set_new(data, "address",
                            json_stringn(s->addr.data, s->addr.len));
    }
    json_decref(now);
    veil_control_event(kind, data);
}

static void
upstream_control_set_id(json_t *o, const veil_upstream_subject_t *s)
{
    json_object_set_new(
        o, "server",
        json_sprintf("%.*s/%.*s", VEIL_STR_ARG(s->group->name),
                     VEIL_STR_ARG(s->addr.len != 0 ? s->addr : s->server)));
}

static veil_control_rc_t
upstream_control_full(veil_control_call_t *call,
                      const veil_upstream_subject_t *s)
{
    veil_control_hint(call, "give the upstream a larger \"zone\"");
    return veil_control_fail(
        call, VEIL_E_FAILED,
        "there is no room for this in the zone of the upstream \"%.*s\"",
        VEIL_STR_ARG(s->group->name));
}

static bool
upstream_control_has_zone(veil_control_call_t *call,
                          const veil_upstream_group_t *g)
{
    if (veil_upstream_zone_version(g) != NULL) {
        return true;
    }
    (void) veil_control_fail(call, VEIL_E_INVALID,
                             "the upstream \"%.*s\" has no zone",
                             VEIL_STR_ARG(g->name));
    return false;
}

/* The server that an argument names, which is not deleted. */
static bool
upstream_control_find(veil_control_call_t *call, veil_upstream_subject_t *s)
{
    if (!veil_upstream_subject_find(call, veil_control_text(call, "server"), s)
        || !upstream_control_has_zone(call, s->group))
    {
        return false;
    }
    if (veil_upstream_subject_is_deleted(s)) {
        (void) veil_control_fail(
            call, VEIL_E_NOT_FOUND,
            "the server \"%.*s\" was deleted from \"%.*s\"",
            VEIL_STR_ARG(s->server), VEIL_STR_ARG(s->group->name));
        veil_control_hint(call, "server.add brings it back");
        return false;
    }
    return true;
}

/* --- server.set ----------------------------------------------------------
 */

static bool
upstream_control_keep(veil_control_call_t *call,
                      const veil_upstream_subject_t *s,
                      const veil_upstream_edit_t *edit)
{
    if (!call->persist) {
        return true;
    }
    if (edit->reset && !veil_upstream_overlay_forget(call, s)) {
        return false;
    }
    return edit->set == 0 || veil_upstream_overlay_note(call, s, edit->set);
}

/* Whether the group would be left without a primary server. */
static bool
upstream_control_leaves_one(veil_control_call_t *call,
                            const veil_upstream_subject_t *s)
{
    veil_upstream_params_t now, conf;

    veil_upstream_subject_params(s, &now, &conf);
    if (!now.backup || veil_upstream_group_others(s) != 0) {
        return true;
    }
    (void) veil_control_fail(
        call, VEIL_E_INVALID,
        "the upstream \"%.*s\" would have no servers but backups",
        VEIL_STR_ARG(s->group->name));
    return false;
}

veil_control_rc_t
veil_upstream_control_set(veil_control_call_t *call)
{
    veil_upstream_subject_t s;
    veil_upstream_edit_t edit;
    json_t *before, *after;
    char why[256];

    if (!upstream_control_find(call, &s)
        || !veil_upstream_edit_of(call, &edit)) {
        return VEIL_CONTROL_FAILED;
    }
    if (edit.set == 0 && !edit.reset) {
        return veil_control_fail(call, VEIL_E_ARGUMENT,
                                 "nothing is said that should change");
    }
    before = veil_upstream_subject_json(&s);
    if (!veil_upstream_subject_edit(&s, &edit, why, sizeof(why))) {
        json_decref(before);
        return veil_control_fail(call, VEIL_E_ARGUMENT, "%s", why);
    }
    if (!upstream_control_leaves_one(call, &s)) {
        json_decref(before);
        return VEIL_CONTROL_FAILED;
    }
    after = veil_upstream_subject_json(&s);
    call->data = json_pack("{s:o, s:o}", "before", before, "after", after);
    upstream_control_set_id(call->data, &s);
    if (call->dry_run) {
        return VEIL_CONTROL_DONE;
    }
    if (!veil_upstream_subject_reserve(&s)) {
        return upstream_control_full(call, &s);
    }
    if (!upstream_control_keep(call, &s, &edit)) {
        return VEIL_CONTROL_FAILED;
    }
    call->is_volatile = !call->persist;
    veil_upstream_subject_write(&s, edit.reset ? ~0u : edit.set);
    upstream_control_event(
        "server.changed", &s,
        json_string_value(json_object_get(before, "state")));
    return VEIL_CONTROL_DONE;
}

/* --- server.add ----------------------------------------------------------
 */

/* "https://10.0.0.9" without what is before the name. */
static veil_str_t
upstream_control_scheme(veil_str_t text, veil_upstream_scheme_t *scheme)
{
    *scheme = VEIL_SCHEME_OF_URL;
    if (veil_str_casestarts(text, VEIL_STR("https://"))) {
        *scheme = VEIL_SCHEME_HTTPS;
        return veil_str_from(text, 8);
    }
    if (veil_str_casestarts(text, VEIL_STR("http://"))) {
        *scheme = VEIL_SCHEME_HTTP;
        return veil_str_from(text, 7);
    }
    return text;
}

/*
 * TLS is prepared, or ruled out, for what the configuration has: an added
 * server speaks as one of its servers does.
 */
static bool
upstream_control_inherit_scheme(veil_control_call_t *call,
                                const veil_upstream_group_t *g, bool given,
                                veil_upstream_scheme_t *scheme)
{
    static const char *const words[] = {
        [VEIL_SCHEME_OF_URL] = "no scheme",
        [VEIL_SCHEME_HTTP] = "http://",
        [VEIL_SCHEME_HTTPS] = "https://",
    };
    veil_upstream_scheme_t has = VEIL_SCHEME_OF_URL;
    unsigned i, n = 0;

    for (i = 0; i < veil_countof(words); i++) {
        if (veil_upstream_group_has_scheme(g, (veil_upstream_scheme_t) i)) {
            has = (veil_upstream_scheme_t) i;
            n++;
        }
    }
    if (n == 1 && !given) {
        *scheme = has;
    }
    if (veil_upstream_group_has_scheme(g, *scheme)) {
        return true;
    }
    (void) veil_control_fail(
        call, VEIL_E_INVALID,
        "no server of the upstream \"%.*s\" is configured with %s, so how "
        "to speak to this one is not known",
        VEIL_STR_ARG(g->name), words[*scheme]);
    return false;
}

void
veil_upstream_subject_new(veil_upstream_subject_t *s, veil_str_t name)
{
    veil_upstream_group_t *g = s->group;
    veil_str_t sni;
    char *p = s->name;

    memset(&s->entry, 0, sizeof(s->entry));
    s->conf = NULL;
    name.len = veil_min_size(name.len, VEIL_UPSTREAM_TEXT_MAX - 1);
    s->server = veil_str_n(p, name.len);
    p = veil_fmt_str(p, name);
    *p = '\0';
    s->addr = VEIL_STR_NULL;
    s->entry.flags = VEIL_UPSTREAM_IS_ADDED;
    veil_upstream_group_defaults(g, VEIL_SCHEME_OF_URL,
                                 &s->entry.u.server.conf, &sni);
    (void) veil_upstream_subject_texts(s, VEIL_STR_NULL, VEIL_STR_NULL);
}

/* Its parameters are its own; only a state that is not "ready" is a change,
 * which outlives its becoming a line of the configuration. */
static void
upstream_control_params(veil_upstream_subject_t *s,
                        const veil_upstream_edit_t *edit)
{
    veil_upstream_params_t *conf = &s->entry.u.server.conf;
    veil_upstream_change_t *c = &s->entry.change;
    uint32_t bit;

    for (bit = 1; bit <= VEIL_UPSTREAM_HAS_BACKUP; bit <<= 1) {
        if (edit->set & bit) {
            veil_upstream_params_copy(conf, &edit->value, bit);
        }
    }
    if (conf->admin != VEIL_UPSTREAM_READY) {
        c->value.admin = conf->admin;
        conf->admin = VEIL_UPSTREAM_READY;
        c->base.admin = VEIL_UPSTREAM_READY;
        c->set = VEIL_UPSTREAM_HAS_ADMIN;
    }
}

/* The subject of server.add; false after failing the call. */
static bool
upstream_control_new(veil_control_call_t *call, veil_upstream_subject_t *s,
                     veil_upstream_group_t *g)
{
    veil_upstream_scheme_t scheme;
    const char *text = veil_control_text(call, "address");
    const char *given_sni = veil_control_text(call, "sni");
    veil_str_t name = upstream_control_scheme(veil_str_z(text), &scheme), sni;
    bool given = scheme != VEIL_SCHEME_OF_URL;
    veil_upstream_params_t params;
    veil_hostport_t hp;

    if (!veil_upstream_server_name_is_valid(name, &hp)
        || memchr(name.data, ' ', name.len) != NULL)
    {
        (void) veil_control_fail(call, VEIL_E_ARGUMENT,
                                 "\"%s\" is no server: wanted is an "
                                 "address or a name, with a port from 1 to "
                                 "65535 if any, or unix:PATH",
                                 text);
        return false;
    }
    if (!upstream_control_inherit_scheme(call, g, given, &scheme)) {
        return false;
    }
    memset(s, 0, sizeof(*s));
    s->group = g;
    veil_upstream_subject_new(s, name);
    veil_upstream_group_defaults(g, scheme, &params, &sni);
    s->entry.u.server.conf = params;
    s->entry.u.server.scheme = (uint8_t) scheme;
    if (given_sni != NULL
        && (scheme == VEIL_SCHEME_HTTP || !veil_tls_is_built())) {
        (void) veil_control_fail(call, VEIL_E_ARGUMENT,
                                 "\"sni\" has no meaning without TLS");
        return false;
    }
    if (!veil_upstream_subject_texts(
            s, given_sni != NULL ? veil_str_z(given_sni) : sni, VEIL_STR_NULL))
    {
        (void) veil_control_fail(call, VEIL_E_ARGUMENT,
                                 "the name is too long");
        return false;
    }
    return true;
}

/* A deleted line of the configuration comes back, with these parameters. */
static bool
upstream_control_revive(veil_control_call_t *call, veil_upstream_subject_t *s,
                        const veil_upstream_edit_t *edit)
{
    char why[256];

    if (!veil_upstream_subject_is_deleted(s)) {
        (void) veil_control_fail(call, VEIL_E_CONFLICT,
                                 "the upstream \"%.*s\" has a server \"%.*s\"",
                                 VEIL_STR_ARG(s->group->name),
                                 VEIL_STR_ARG(s->server));
        veil_control_hint(call, "server.set changes it");
        return false;
    }
    s->entry.flags = 0;
    s->entry.change.set = 0;
    if (!veil_upstream_subject_edit(s, edit, why, sizeof(why))) {
        (void) veil_control_fail(call, VEIL_E_ARGUMENT, "%s", why);
        return false;
    }
    return true;
}

static bool
upstream_control_keep_added(veil_control_call_t *call,
                            const veil_upstream_subject_t *s,
                            const veil_upstream_edit_t *edit)
{
    if (!call->persist) {
        return true;
    }
    if (s->conf == NULL) {
        return veil_upstream_overlay_note_added(call, s);
    }
    return veil_upstream_overlay_note_deleted(call, s)
           && (edit->set == 0
               || veil_upstream_overlay_note(call, s, edit->set));
}

veil_control_rc_t
veil_upstream_control_add(veil_control_call_t *call)
{
    veil_upstream_group_t *g =
        veil_upstream_group_named(call, veil_control_text(call, "upstream"));
    veil_upstream_subject_t s, old;
    veil_upstream_edit_t edit;
    char text[640];

    if (g == NULL || !upstream_control_has_zone(call, g)
        || !veil_upstream_edit_of(call, &edit))
    {
        return VEIL_CONTROL_FAILED;
    }
    if (!g->defined) {
        return veil_control_fail(call, VEIL_E_INVALID,
                                 "\"%.*s\" is no upstream {} of the "
                                 "configuration, servers cannot be added",
                                 VEIL_STR_ARG(g->name));
    }
    if (!upstream_control_new(call, &s, g)) {
        return VEIL_CONTROL_FAILED;
    }
    (void) veil_snprintf(text, sizeof(text), "%.*s/%.*s",
                         VEIL_STR_ARG(g->name), VEIL_STR_ARG(s.server));
    if (veil_upstream_subject_find(NULL, text, &old) && old.addr.len == 0) {
        /* Not a copy: the names are views into the subject. */
        (void) veil_upstream_subject_find(NULL, text, &s);
        if (!upstream_control_revive(call, &s, &edit)) {
            return VEIL_CONTROL_FAILED;
        }
    } else {
        upstream_control_params(&s, &edit);
    }
    call->data = veil_upstream_subject_json(&s);
    json_object_set_new(call->data, "id", json_string(text));
    if (call->dry_run) {
        return VEIL_CONTROL_DONE;
    }
    if (!veil_upstream_subject_reserve(&s)) {
        return upstream_control_full(call, &s);
    }
    if (!upstream_control_keep_added(call, &s, &edit)) {
        return VEIL_CONTROL_FAILED;
    }
    call->is_volatile = !call->persist;
    veil_upstream_subject_write(&s, ~0u);
    upstream_control_event("server.added", &s, "none");
    return VEIL_CONTROL_DONE;
}

json_t *
veil_upstream_control_added(const json_t *args VEIL_UNUSED, const json_t *data)
{
    json_t *after = json_copy((json_t *) (uintptr_t) data);

    (void) json_object_del(after, "id");
    return json_pack("{s:o}", "after", after);
}

/* --- server.del ----------------------------------------------------------
 */

typedef struct {
    veil_control_call_t *call;
    veil_upstream_subject_t s;
    veil_due_t due;
    uint64_t until_ms;
    json_t *before; /* it was so when it began */
    bool force;
} upstream_control_del_t;

void
veil_upstream_subject_delete(veil_upstream_subject_t *s)
{
    s->entry.change.set = 0;
    s->entry.flags = 0;
    if (s->conf != NULL) {
        s->entry.flags = VEIL_UPSTREAM_IS_DELETED;
        s->entry.u.server.conf = s->conf->conf;
        (void) veil_upstream_subject_texts(s, s->conf->sni, VEIL_STR_NULL);
    }
}

/* What was, or would be, deleted. */
static json_t *
upstream_control_deleted(const veil_upstream_subject_t *s, json_t *before)
{
    json_t *o = json_pack("{s:I, s:o}", "in_flight",
                          (json_int_t) veil_upstream_subject_conns(s),
                          "before", before);

    upstream_control_set_id(o, s);
    return o;
}

static veil_control_rc_t
upstream_control_take(upstream_control_del_t *del)
{
    veil_control_call_t *call = del->call;
    json_t *deleted =
        upstream_control_deleted(&del->s, json_incref(del->before));

    veil_upstream_subject_delete(&del->s);
    if (!veil_upstream_subject_reserve(&del->s)) {
        json_decref(deleted);
        return upstream_control_full(call, &del->s);
    }
    if (call->persist && !veil_upstream_overlay_note_deleted(call, &del->s)) {
        json_decref(deleted);
        return VEIL_CONTROL_FAILED;
    }
    call->data = deleted;
    call->is_volatile = !call->persist;
    veil_upstream_subject_write(&del->s, ~0u);
    veil_control_event("server.deleted",
                       json_pack("{s:s%, s:s%}", "upstream",
                                 del->s.group->name.data,
                                 del->s.group->name.len, "server",
                                 del->s.server.data, del->s.server.len));
    return VEIL_CONTROL_DONE;
}

static veil_control_rc_t
upstream_control_is_busy(upstream_control_del_t *del, uint32_t n)
{
    veil_control_hint(
        del->call, "it takes nothing new: try again, with a longer \"wait\" "
                   "or \"force\", or set it ready");
    return veil_control_fail(
        del->call, VEIL_E_CONFLICT,
        "%u exchanges are under way with the server \"%.*s\" of \"%.*s\"", n,
        VEIL_STR_ARG(del->s.server), VEIL_STR_ARG(del->s.group->name));
}

static void
upstream_control_del_free(upstream_control_del_t *del)
{
    json_decref(del->before);
    veil_free(del);
}

static void
upstream_control_del_end(upstream_control_del_t *del, veil_control_rc_t rc)
{
    veil_control_call_t *call = del->call;

    veil_due_cancel(&del->due);
    call->ctx = NULL;
    upstream_control_del_free(del);
    veil_control_done(call, rc);
}

static void
upstream_control_del_look(veil_due_t *due)
{
    upstream_control_del_t *del =
        veil_container_of(due, upstream_control_del_t, due);
    uint32_t n = veil_upstream_subject_conns(&del->s);

    if (n == 0 || (veil_now_ms() >= del->until_ms && del->force)) {
        upstream_control_del_end(del, upstream_control_take(del));
    } else if (veil_now_ms() >= del->until_ms) {
        upstream_control_del_end(del, upstream_control_is_busy(del, n));
    } else {
        veil_due_set(due, CONTROL_POLL_MS);
    }
}

static void
upstream_control_del_cancel(veil_control_call_t *call)
{
    upstream_control_del_t *del = call->ctx;

    veil_due_cancel(&del->due);
    upstream_control_del_free(del);
}

/* It takes nothing new from here on. */
static bool
upstream_control_drain(veil_control_call_t *call, veil_upstream_subject_t *s)
{
    veil_upstream_edit_t edit = { .set = VEIL_UPSTREAM_HAS_ADMIN };
    char why[256];

    edit.value.admin = VEIL_UPSTREAM_DRAIN;
    if (!veil_upstream_subject_edit(s, &edit, why, sizeof(why))) {
        (void) veil_control_fail(call, VEIL_E_INVALID, "%s", why);
        return false;
    }
    if (!veil_upstream_subject_reserve(s)) {
        (void) upstream_control_full(call, s);
        return false;
    }
    veil_upstream_subject_write(s, edit.set);
    upstream_control_event("server.changed", s, "ready");
    return true;
}

static bool
upstream_control_may_delete(veil_control_call_t *call,
                            veil_upstream_subject_t *s, bool force)
{
    if (s->addr.len != 0) {
        (void) veil_control_fail(
            call, VEIL_E_ARGUMENT,
            "\"%.*s\" is an address of the server \"%.*s\", which is deleted "
            "as a whole",
            VEIL_STR_ARG(s->addr), VEIL_STR_ARG(s->server));
        return false;
    }
    if (!s->group->defined) {
        (void) veil_control_fail(call, VEIL_E_INVALID,
                                 "\"%.*s\" is no upstream {} of the "
                                 "configuration, its server stays",
                                 VEIL_STR_ARG(s->group->name));
        return false;
    }
    if (!force && veil_upstream_group_others(s) == 0) {
        (void) veil_control_fail(call, VEIL_E_CONFLICT,
                                 "\"%.*s\" is the last server of the upstream "
                                 "\"%.*s\", but for backups",
                                 VEIL_STR_ARG(s->server),
                                 VEIL_STR_ARG(s->group->name));
        veil_control_hint(call, "\"force\" deletes it all the same");
        return false;
    }
    return true;
}

veil_control_rc_t
veil_upstream_control_del(veil_control_call_t *call)
{
    uint64_t wait_ms = (uint64_t) veil_control_number(call, "wait", 0);
    bool force = veil_control_flag(call, "force");
    upstream_control_del_t *del;
    veil_upstream_subject_t s;
    json_t *before;

    if (!upstream_control_find(call, &s)
        || !upstream_control_may_delete(call, &s, force))
    {
        return VEIL_CONTROL_FAILED;
    }
    before = veil_upstream_subject_json(&s);
    if (call->dry_run) {
        call->data = upstream_control_deleted(&s, before);
        return VEIL_CONTROL_DONE;
    }
    if (!upstream_control_drain(call, &s)) {
        json_decref(before);
        return VEIL_CONTROL_FAILED;
    }
    del = veil_zalloc(sizeof(*del));
    del->call = call;
    del->before = before;
    del->force = force;
    del->until_ms = veil_now_ms() + wait_ms;
    (void) veil_upstream_subject_find(NULL, veil_control_text(call, "server"),
                                      &del->s);
    call->ctx = del;
    /* Also without patience: what was being picked has been, then. */
    veil_due_init(&del->due, upstream_control_del_look);
    veil_due_set(&del->due, CONTROL_POLL_MS);
    call->cancel = upstream_control_del_cancel;
    return VEIL_CONTROL_LATER;
}
