/*
 * control_audit.c -- requests of the control socket, as audit records.
 *
 * One record for each attempt, and two for those that go to other processes
 * or last: when it is accepted and when it is over.  What failed because of
 * what was asked, not of what was done, counts as refused, wherever that was
 * found out.
 *
 * A request that would change something is an event as well, when it is over
 * or refused: "control.server.set".
 */

#include "core/platform.h"

#include "core/time.h"
#include "process/control/control_audit.h"
#include "process/control/control_server.h"
#include "process/control/journal.h"
#include "process/master_state.h"

void
veil_control_session_begin(veil_control_session_t *s, int fd,
                           const veil_log_t *log)
{
    memset(s, 0, sizeof(*s));
    s->client = veil_journal_client();
    s->connect_sec = veil_clock.sec;
    s->connect_msec = veil_clock.msec;
    veil_ulid_make(s->ulid,
                   (uint64_t) s->connect_sec * 1000 + s->connect_msec);
    veil_peer_id_read(fd, &s->peer, log);
}

static uint64_t
control_audit_generation(void)
{
    return veil_master.serving == NULL ? 0 : veil_master.serving->number;
}

/* What was changed as the verb tells it, or as its answer says. */
static json_t *
control_audit_changed(const veil_control_asked_t *asked)
{
    json_t *data = asked->data;

    if (asked->table != NULL && asked->table->changed != NULL && data != NULL)
    {
        return asked->table->changed(asked->args, data);
    }
    /* Of workers that answer each for itself, the first. */
    if (json_is_array(data)) {
        data = json_object_get(json_array_get(data, 0), "data");
    }
    return json_incref(data);
}

static json_t *
control_audit_values(const json_t *changed, const char *name)
{
    json_t *values = json_object_get(changed, name);

    return json_is_object(values) ? values : NULL;
}

static const char *
control_audit_id(const json_t *id, char *buf, size_t n)
{
    if (json_is_integer(id)) {
        (void) veil_snprintf(buf, n, "%lld",
                             (long long) json_integer_value(id));
        return buf;
    }
    return json_string_value(id);
}

static void
control_audit_event(const veil_audit_record_t *r)
{
    char kind[VEIL_CONTROL_VERB_MAX];
    json_t *data;

    if (r->result == VEIL_AUDIT_ACCEPTED || r->table == NULL
        || (r->table->flags & VEIL_CONTROL_CHANGES) == 0)
    {
        return;
    }
    (void) veil_snprintf(kind, sizeof(kind), "control.%s", r->table->name);
    data = veil_audit_json(r);
    /* The whole record is for those who may read the audit log. */
    veil_control_event(
        kind, json_pack("{s:O, s:O, s:O, s:O, s:O, s:O, s:O}", "result",
                        json_object_get(data, "result"), "error_code",
                        json_object_get(data, "error_code"), "target",
                        json_object_get(data, "target"), "dry_run",
                        json_object_get(data, "dry_run"), "user",
                        json_object_get(data, "actor_user"), "session",
                        json_object_get(data, "session"), "request",
                        json_object_get(data, "request")));
    json_decref(data);
}

static void
control_audit_write(const veil_control_session_t *s,
                    const veil_control_asked_t *asked,
                    veil_audit_result_t result, const char *code,
                    const char *reason)
{
    json_t *changed = control_audit_changed(asked);
    veil_audit_record_t r;
    char id[24];

    memset(&r, 0, sizeof(r));
    r.session = s->ulid;
    r.client = s->client;
    r.connect_sec = s->connect_sec;
    r.connect_msec = s->connect_msec;
    r.actor = &s->peer;
    r.socket = veil_control_server_path();
    r.role = veil_control_role_name(veil_control_role(&s->peer));
    r.needed = asked->table == NULL
                   ? NULL
                   : veil_control_role_name((int) asked->table->role);
    r.request = control_audit_id(asked->id, id, sizeof(id));
    r.verb = asked->verb;
    r.table = asked->table;
    r.args = asked->args;
    r.dry_run = asked->dry_run;
    r.result = result;
    r.code = code;
    r.reason = reason;
    r.elapsed_ms = asked->elapsed_ms;
    r.workers_ok = asked->workers_ok;
    r.workers_err = asked->workers_err;
    r.workers_expected = asked->workers_expected;
    r.generation_after = control_audit_generation();
    r.generation_before = asked->generation_before;
    r.generation_boot = veil_master.began_number;
    r.before = control_audit_values(changed, "before");
    r.after = control_audit_values(changed, "after");
    veil_control_count(asked->table, result);
    veil_audit_log(&r, &veil_master.log);
    control_audit_event(&r);
    json_decref(changed);
}

void
veil_control_audit_refused(const veil_control_session_t *s,
                           const veil_control_asked_t *asked, const char *code,
                           const char *reason)
{
    veil_control_asked_t now = *asked;

    now.generation_before = control_audit_generation();
    control_audit_write(s, &now, VEIL_AUDIT_REFUSED, code, reason);
}

void
veil_control_audit_accepted(const veil_control_session_t *s,
                            const veil_control_asked_t *asked)
{
    veil_control_asked_t now = *asked;

    now.elapsed_ms = -1;
    control_audit_write(s, &now, VEIL_AUDIT_ACCEPTED, NULL, NULL);
}

/*
 * What an error of a verb is called here: a caller who asks for what is not,
 * or may not be, is refused, wherever that was found out.
 */
static veil_audit_result_t
control_audit_result(const char *code)
{
    static const char *const refusals[] = {
        VEIL_E_ARGUMENT, VEIL_E_CONFLICT, VEIL_E_NOT_FOUND,
        VEIL_E_INVALID,  "E_NO_NAME",     "E_STARTING",
    };
    size_t i;

    if (code != NULL && strcmp(code, VEIL_E_TIMEOUT) == 0) {
        return VEIL_AUDIT_TIMEOUT;
    }
    for (i = 0; code != NULL && i < veil_countof(refusals); i++) {
        if (strcmp(code, refusals[i]) == 0) {
            return VEIL_AUDIT_REFUSED;
        }
    }
    return VEIL_AUDIT_FAILED;
}

void
veil_control_audit_done(const veil_control_session_t *s,
                        const veil_control_asked_t *asked, const json_t *reply)
{
    const json_t *err = json_object_get(reply, "err");
    const char *code = json_string_value(json_object_get(err, "code"));
    veil_audit_result_t result = VEIL_AUDIT_OK;

    if (code != NULL && strcmp(code, VEIL_E_MOVED) == 0
        && (asked->table->flags & VEIL_CONTROL_STREAMS) != 0)
    {
        code = NULL; /* that is how one ends, too */
        err = NULL;
    } else if (!json_is_true(json_object_get(reply, "ok"))) {
        result = control_audit_result(code);
    } else if (json_is_true(json_object_get(reply, "partial"))) {
        result = VEIL_AUDIT_PARTIAL;
        err = json_object_get(
            json_array_get(json_object_get(reply, "workers"), 0), "err");
        code = json_string_value(json_object_get(err, "code"));
    }
    control_audit_write(s, asked, result, code,
                        json_string_value(json_object_get(err, "msg")));
}

void
veil_control_audit_left(const veil_control_session_t *s,
                        const veil_control_asked_t *asked)
{
    bool streams = asked->table != NULL
                   && (asked->table->flags & VEIL_CONTROL_STREAMS) != 0;

    /* That is how a stream ends. */
    control_audit_write(s, asked, streams ? VEIL_AUDIT_OK : VEIL_AUDIT_FAILED,
                        streams ? NULL : "E_LEFT",
                        streams ? NULL : "the client left before the answer");
}
