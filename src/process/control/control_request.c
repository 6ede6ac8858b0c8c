/*
 * control_request.c -- a line of the control socket: what it says, and whether
 * whoever says it may.
 *
 * Everything is checked before anything is begun: the JSON, the verb, the
 * role, the flags, the generation the caller has seen, the arguments by the
 * verb's table.  What is refused is answered here, with a code that programs
 * can rely on, and noted; what is not becomes a task.
 */

#include "core/platform.h"

#include "core/time.h"
#include "process/control/control_task.h"
#include "process/master_state.h"

#define REQUEST_TIMEOUT_MAX_S 86400
#define REQUEST_CLIENT_MAX 16 /* of one client at a time */
#define REQUEST_ID_MAX 64

static veil_control_settings_t control_request_settings; /* for the rules */

/* --- replies ------------------------------------------------------------- */

json_t *
veil_control_err(const char *code, const char *msg, const char *hint)
{
    json_t *err = json_pack("{s:s}", "code", code);

    json_object_set_new(err, "msg", json_string_nocheck(msg));
    if (hint != NULL && hint[0] != '\0') {
        json_object_set_new(err, "hint", json_string_nocheck(hint));
    }
    return err;
}

json_t *
veil_control_reply(json_t *id, bool ok)
{
    const veil_generation_t *g = veil_master.serving;
    json_t *o = json_object();

    if (id != NULL) {
        json_object_set(o, "id", id);
    }
    json_object_set_new(o, "ok", json_boolean(ok));
    if (g != NULL) {
        json_object_set_new(o, "gen", json_integer((json_int_t) g->number));
    }
    return o;
}

/* --- refusing ------------------------------------------------------------ */

static void
control_request_refuse(veil_control_client_t *c,
                       const veil_control_request_t *r, const char *code,
                       const char *msg, const char *hint)
{
    json_t *o = veil_control_reply(r->id, false);
    veil_control_asked_t asked = { .id = r->id,
                                   .verb = r->verb,
                                   .args = r->args,
                                   .dry_run = r->dry_run,
                                   .elapsed_ms = -1 };

    if (r->verb != NULL) {
        asked.table = veil_control_verb(veil_str_z(r->verb));
    }

    json_object_set_new(o, "err", veil_control_err(code, msg, hint));
    veil_control_audit_refused(&c->session, &asked, code, msg);
    (void) veil_control_client_send(c, o);
    json_decref(o);
}

/* --- who may ------------------------------------------------------------- */

int
veil_control_role(const veil_peer_id_t *peer)
{
    const veil_control_rule_t *rule;
    int role = -1;
    unsigned i;

    if (!peer->known) {
        return -1;
    }
    if (peer->uid == 0 || peer->uid == geteuid()) {
        return VEIL_CONTROL_ADMIN;
    }
    for (i = 0; i < control_request_settings.nrules; i++) {
        rule = &control_request_settings.rules[i];
        if (rule->role > role
            && (rule->group ? veil_peer_is_in_group(peer, rule->id)
                            : peer->uid == rule->id))
        {
            role = rule->role;
        }
    }
    return role;
}

const char *
veil_control_role_name(int role)
{
    static const char *const names[] = { "none", "read", "operate", "admin" };

    return names[role + 1];
}

void
veil_control_master_settings(const veil_control_settings_t *settings)
{
    control_request_settings = *settings;
}

/* --- requests ------------------------------------------------------------ */

/* The members of a request; an error's text, or NULL. */
static const char *
control_request_read_member(veil_control_request_t *r, const char *name,
                            json_t *v)
{
    if (strcmp(name, "v") == 0) {
        return json_integer_value(v) == 1 ? NULL : "\"v\" must be 1";
    }
    if (strcmp(name, "id") == 0) {
        if (!json_is_integer(v)
            && !(json_is_string(v) && json_string_length(v) <= REQUEST_ID_MAX))
        {
            return "\"id\" must be a whole number or a short string";
        }
        r->id = json_incref(v);
    } else if (strcmp(name, "verb") == 0) {
        r->verb = json_string_value(v);
        return r->verb == NULL ? "\"verb\" must be a string" : NULL;
    } else if (strcmp(name, "args") == 0) {
        if (!json_is_object(v)) {
            return "\"args\" must be an object";
        }
        json_decref(r->args);
        r->args = json_incref(v);
    } else if (strcmp(name, "dry_run") == 0) {
        r->dry_run = json_is_true(v);
        return json_is_boolean(v) ? NULL : "\"dry_run\" must be a boolean";
    } else if (strcmp(name, "persist") == 0) {
        r->persist = json_is_true(v);
        return json_is_boolean(v) ? NULL : "\"persist\" must be a boolean";
    } else if (strcmp(name, "if_gen") == 0) {
        r->if_gen = json_integer_value(v);
        return json_is_integer(v) && r->if_gen >= 0
                   ? NULL
                   : "\"if_gen\" must be the number of a generation";
    } else if (strcmp(name, "timeout") == 0) {
        double s = json_number_value(v);

        if (!json_is_number(v) || !(s > 0) || s > REQUEST_TIMEOUT_MAX_S) {
            return "\"timeout\" must be seconds, up to a day";
        }
        r->timeout_ms = (uint64_t) (s * 1000) + 1;
    } else {
        return "a request has no other members than v, id, verb, args, "
               "dry_run, persist, if_gen and timeout";
    }
    return NULL;
}

/* NULL after refusing. */
static const veil_control_verb_t *
control_request_check_verb(veil_control_client_t *c,
                           const veil_control_request_t *r)
{
    const veil_control_verb_t *verb, *v;
    const char *best = NULL;
    char hint[128] = "\"verbs\" lists what there is";
    unsigned distance = 0;
    unsigned i;

    if (r->verb == NULL) {
        control_request_refuse(c, r, "E_SYNTAX", "a request needs a \"verb\"",
                               NULL);
        return NULL;
    }
    verb = veil_control_verb(veil_str_z(r->verb));
    if (verb != NULL) {
        return verb;
    }
    for (i = 0; (v = veil_control_verb_at(i)) != NULL; i++) {
        veil_conf_nearest(veil_str_z(r->verb), v->name, &best, &distance);
    }
    if (best != NULL) {
        (void) veil_snprintf(hint, sizeof(hint), "did you mean \"%s\"?", best);
    }
    control_request_refuse(c, r, "E_VERB", "there is no such verb", hint);
    return NULL;
}

static bool
control_request_check_role(veil_control_client_t *c,
                           const veil_control_request_t *r,
                           const veil_control_verb_t *verb)
{
    int role = veil_control_role(&c->session.peer);
    char msg[160];

    if (role >= (int) verb->role) {
        return true;
    }
    (void) veil_snprintf(msg, sizeof(msg),
                         "\"%s\" needs the role %s, and yours is %s",
                         verb->name, veil_control_role_name((int) verb->role),
                         veil_control_role_name(role));
    control_request_refuse(c, r, "E_ROLE", msg,
                           "control_allow in the configuration gives roles");
    return false;
}

/* Whether there is a keeper that could be asked. */
static bool
control_request_has_keeper(const veil_control_verb_t *verb)
{
    const veil_generation_t *g;
    veil_list_t *n;

    if (veil_master.serving != NULL) {
        return true;
    }
    veil_list_foreach (n, &veil_master.generations) {
        g = veil_list_entry(n, veil_generation_t, link);
        if (g->state == VEIL_GENERATION_DRAINING && g->keeper != 0
            && veil_control_asks_draining(verb))
        {
            return true;
        }
    }
    return false;
}

/* Flags that the verb takes, and the generation that was seen. */
static bool
control_request_check_flags(veil_control_client_t *c,
                            const veil_control_request_t *r,
                            const veil_control_verb_t *verb)
{
    const veil_generation_t *g = veil_master.serving;
    char msg[160];

    if ((r->dry_run || r->if_gen >= 0)
        && (verb->flags & VEIL_CONTROL_CHANGES) == 0)
    {
        control_request_refuse(
            c, r, VEIL_E_ARGUMENT,
            "\"dry_run\" and \"if_gen\" are for verbs that change "
            "something",
            NULL);
        return false;
    }
    if (r->persist && (verb->flags & VEIL_CONTROL_PERSISTS) == 0) {
        control_request_refuse(c, r, VEIL_E_ARGUMENT,
                               "what this verb does cannot be made to persist",
                               NULL);
        return false;
    }
    if (veil_control_place(verb, r->args) != VEIL_CONTROL_IN_MASTER
        && !control_request_has_keeper(verb))
    {
        if (veil_master.stopping) {
            control_request_refuse(c, r, "E_STOPPING",
                                   "the server is being stopped, nothing "
                                   "serves any more",
                                   NULL);
        } else {
            control_request_refuse(c, r, "E_STARTING",
                                   "nothing serves at the moment", NULL);
        }
        return false;
    }
    if (r->if_gen >= 0 && (g == NULL || g->number != (uint64_t) r->if_gen)) {
        (void) veil_snprintf(msg, sizeof(msg),
                             "generation %llu serves, not %lld",
                             g == NULL ? 0ULL : (unsigned long long) g->number,
                             (long long) r->if_gen);
        control_request_refuse(c, r, VEIL_E_CONFLICT, msg, NULL);
        return false;
    }
    return true;
}

static bool
control_request_check_args(veil_control_client_t *c,
                           const veil_control_request_t *r,
                           const veil_control_verb_t *verb)
{
    veil_control_call_t call;

    memset(&call, 0, sizeof(call));
    call.verb = verb;
    call.args = r->args;
    if (veil_control_check_args(&call)) {
        return true;
    }
    control_request_refuse(c, r, call.code, call.msg, call.hint);
    return false;
}

static void
control_request_handle(veil_control_client_t *c, veil_control_request_t *r)
{
    const veil_control_verb_t *verb = control_request_check_verb(c, r);

    if (verb == NULL || !control_request_check_role(c, r, verb)
        || !control_request_check_flags(c, r, verb)
        || !control_request_check_args(c, r, verb))
    {
        return;
    }
    if (c->tasks >= REQUEST_CLIENT_MAX) {
        control_request_refuse(
            c, r, "E_BUSY", "too many requests of this client are under way",
            NULL);
        return;
    }
    veil_control_task_start(c, r, verb);
}

void
veil_control_request(veil_control_client_t *c, const char *line, size_t len)
{
    veil_control_request_t r = { .if_gen = -1 };
    json_error_t error;
    const char *name;
    const char *wrong = NULL;
    char msg[256];
    json_t *json;
    json_t *v;

    if (len == 0 || (len == 1 && line[0] == '\r')) {
        return;
    }
    r.args = json_object();
    json = json_loadb(line, len, JSON_REJECT_DUPLICATES, &error);
    if (json == NULL) {
        (void) veil_snprintf(msg, sizeof(msg),
                             "no JSON at byte %d of the line: %s",
                             error.position, error.text);
        wrong = msg;
    } else if (!json_is_object(json)) {
        wrong = "a request is a JSON object";
    } else {
        json_object_foreach(json, name, v)
        {
            const char *text = control_request_read_member(&r, name, v);

            wrong = wrong == NULL ? text : wrong;
        }
    }
    if (wrong != NULL) {
        control_request_refuse(c, &r, "E_SYNTAX", wrong, NULL);
    } else {
        control_request_handle(c, &r);
    }
    json_decref(r.id);
    json_decref(r.args);
    json_decref(json);
}
