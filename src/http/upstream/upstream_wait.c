/*
 * upstream_wait.c -- the verb "wait": until a condition holds.
 *
 *     server-idle U/S     no exchange is under way with the server
 *     healthy U>=k        so many addresses of the upstream can be asked
 *     gen-drained N       the generation N and those before it are gone
 *
 * The first two are in the zone, which the keeper looks at ten times a
 * second.  Of the last the master knows, where it is carried out.
 */

#include "http/upstream/upstream_control.h"

#include "core/due.h"
#include "http/upstream/upstream_change.h"

/* Workers say more often than this that they have an address. */
#define WAIT_FRESH_SEC 30
/* Between two looks. */
#define WAIT_POLL_MS 100

typedef struct upstream_wait_s upstream_wait_t;
struct upstream_wait_s {
    bool (*holds)(upstream_wait_t *w);
    veil_upstream_subject_t s;
    veil_upstream_group_t *group;
    uint64_t n; /* a number of addresses, or a generation */
    uint64_t now;
    veil_control_call_t *call;
    veil_due_t due;
};

/* --- conditions ----------------------------------------------------------
 */

static bool
upstream_wait_is_idle(upstream_wait_t *w)
{
    w->now = veil_upstream_subject_conns(&w->s);
    return w->now == 0;
}

/* Whether requests go to this address now. */
static bool
upstream_wait_is_healthy(veil_upstream_group_t *g,
                         const veil_upstream_slot_t *peer)
{
    const veil_upstream_server_t *line = NULL;
    veil_upstream_params_t conf, now;
    veil_upstream_slot_t *e = NULL;
    bool deleted = false, known = false;
    unsigned i;

    for (i = 0; line == NULL && i < g->servers.n; i++) {
        line = *veil_array_at(&g->servers, veil_upstream_server_t *, i);
        if (line->added
            || veil_upstream_entry_hash(g, line->name) != peer->server) {
            line = NULL;
        }
    }
    if (line != NULL) {
        conf = line->conf;
        known = true;
    }
    while ((e = veil_upstream_entry_next(g, e)) != NULL) {
        if (e->kind == VEIL_UPSTREAM_SERVER && e->hash == peer->server) {
            break;
        }
    }
    if (e != NULL && line == NULL) {
        conf = e->u.server.conf;
        known = (e->flags & VEIL_UPSTREAM_IS_ADDED) != 0;
    }
    if (!known) {
        return false;
    }
    now = conf;
    if (e != NULL) {
        veil_upstream_params_apply(&now, &conf, &e->change);
        deleted = line != NULL && (e->flags & VEIL_UPSTREAM_IS_DELETED);
    }
    veil_upstream_params_apply(&now, &conf, &peer->change);
    return !deleted && now.admin == VEIL_UPSTREAM_READY
           && (now.max_fails == 0 || peer->fails < now.max_fails);
}

static bool
upstream_wait_are_healthy(upstream_wait_t *w)
{
    veil_upstream_slot_t *e = NULL;

    w->now = 0;
    veil_upstream_zone_lock(w->group);
    while ((e = veil_upstream_entry_next(w->group, e)) != NULL) {
        if (e->kind == VEIL_UPSTREAM_PEER
            && veil_clock.sec - e->used_sec <= WAIT_FRESH_SEC)
        {
            w->now += upstream_wait_is_healthy(w->group, e);
        }
    }
    veil_upstream_zone_unlock(w->group);
    return w->now >= w->n;
}

static bool
upstream_wait_is_drained(upstream_wait_t *w)
{
    return veil_control_gen_drained(w->n) == 1;
}

/* --- the verb ------------------------------------------------------------
 */

static bool
upstream_wait_parse_healthy(veil_control_call_t *call, upstream_wait_t *w,
                            const char *what)
{
    const char *ge = strstr(what, ">=");
    char name[256];
    int64_t n = -1;

    if (ge != NULL) {
        n = veil_str_to_int(veil_str_trim(veil_str_z(ge + 2)));
    }
    if (n < 0) {
        (void) veil_control_fail(call, VEIL_E_ARGUMENT,
                                 "\"healthy\" needs UPSTREAM>=NUMBER, not "
                                 "\"%s\"",
                                 what);
        return false;
    }
    (void) veil_str_copy_z(
        name, sizeof(name),
        veil_str_trim(veil_str_n(what, (size_t) (ge - what))));
    w->n = (uint64_t) n;
    w->holds = upstream_wait_are_healthy;
    w->group = veil_upstream_group_named(call, name);
    return w->group != NULL;
}

static bool
upstream_wait_parse_drained(veil_control_call_t *call, upstream_wait_t *w,
                            const char *what)
{
    int64_t n = veil_str_to_int(veil_str_z(what));

    if (n < 0) {
        (void) veil_control_fail(call, VEIL_E_ARGUMENT,
                                 "\"gen-drained\" needs a number, not \"%s\"",
                                 what);
        return false;
    }
    w->n = (uint64_t) n;
    w->holds = upstream_wait_is_drained;
    if (veil_control_gen_drained == NULL || veil_control_gen_drained(w->n) < 0)
    {
        (void) veil_control_fail(call, VEIL_E_NOT_FOUND,
                                 "nothing is known of the generation %s",
                                 what);
        return false;
    }
    return true;
}

static bool
upstream_wait_parse(veil_control_call_t *call, upstream_wait_t *w)
{
    const char *cond = veil_control_text(call, "cond");
    const char *what = veil_control_text(call, "what");

    if (strcmp(cond, "healthy") == 0) {
        return upstream_wait_parse_healthy(call, w, what);
    }
    if (strcmp(cond, "gen-drained") == 0) {
        return upstream_wait_parse_drained(call, w, what);
    }
    w->holds = upstream_wait_is_idle;
    return veil_upstream_subject_find(call, what, &w->s);
}

static void
upstream_wait_answer(veil_control_call_t *call, const upstream_wait_t *w)
{
    call->data = json_pack("{s:b}", "reached", 1);
    if (w->holds != upstream_wait_is_drained) {
        json_object_set_new(call->data, "now",
                            json_integer((json_int_t) w->now));
    }
}

static void
upstream_wait_look(veil_due_t *due)
{
    upstream_wait_t *w = veil_container_of(due, upstream_wait_t, due);
    veil_control_call_t *call = w->call;

    if (!w->holds(w)) {
        veil_due_set(due, WAIT_POLL_MS);
        return;
    }
    upstream_wait_answer(call, w);
    veil_free(w);
    veil_control_done(call, VEIL_CONTROL_DONE);
}

static void
upstream_wait_cancel(veil_control_call_t *call)
{
    upstream_wait_t *w = call->ctx;

    veil_due_cancel(&w->due);
    veil_free(w);
}

veil_control_place_t
veil_upstream_control_wait_place(const json_t *args)
{
    const char *cond = json_string_value(json_object_get(args, "cond"));

    return cond != NULL && strcmp(cond, "gen-drained") == 0
               ? VEIL_CONTROL_IN_MASTER
               : VEIL_CONTROL_IN_KEEPER;
}

veil_control_rc_t
veil_upstream_control_wait(veil_control_call_t *call)
{
    upstream_wait_t *w = veil_zalloc(sizeof(*w));

    if (!upstream_wait_parse(call, w)) {
        veil_free(w);
        return VEIL_CONTROL_FAILED;
    }
    if (w->holds(w)) {
        upstream_wait_answer(call, w);
        veil_free(w);
        return VEIL_CONTROL_DONE;
    }
    call->ctx = w;
    w->call = call;
    veil_due_init(&w->due, upstream_wait_look);
    veil_due_set(&w->due, WAIT_POLL_MS);
    call->cancel = upstream_wait_cancel;
    return VEIL_CONTROL_LATER;
}
