/*
 * audit_verbs.c -- the verbs that show what has happened: audit and events.
 *
 * Both show what is kept, and may go on with what comes.  Whoever watches is
 * asked about ten times a second whether there is something new for him, and
 * is left alone while he does not read: then the ring goes on without him.
 */

#include "core/platform.h"

#include "core/due.h"
#include "core/pool.h"
#include "process/audit_log.h"
#include "process/audit_module.h"
#include "process/events.h"

#define AUDIT_SHOWN 20 /* by default */
#define AUDIT_LOOK_MS 100

/* Somebody who watches; the call's ctx. */
typedef struct audit_watch_s audit_watch_t;
struct audit_watch_s {
    veil_due_t due;
    veil_control_call_t *call;
    /* Says what is new; false: that was all. */
    bool (*say)(audit_watch_t *w);
    veil_event_reader_t events;
    uint64_t next; /* audit record */
    uint64_t left; /* events; UINT64_MAX: no end */
};

static void
audit_look(veil_due_t *due)
{
    audit_watch_t *w = veil_container_of(due, audit_watch_t, due);

    if (w->say(w)) {
        veil_due_set(due, AUDIT_LOOK_MS);
    } else {
        veil_control_done(w->call, VEIL_CONTROL_DONE);
    }
}

static void
audit_cancel(veil_control_call_t *call)
{
    audit_watch_t *w = call->ctx;

    veil_due_cancel(&w->due);
}

static audit_watch_t *
audit_watch_create(veil_control_call_t *call, bool (*say)(audit_watch_t *w))
{
    audit_watch_t *w = veil_zalloc(sizeof(*w));

    w->call = call;
    w->say = say;
    veil_due_init(&w->due, audit_look);
    call->ctx = w;
    call->owns_ctx = true;
    call->cancel = audit_cancel;
    return w;
}

static veil_control_rc_t
audit_watch_start(audit_watch_t *w)
{
    veil_due_set(&w->due, 0);
    return VEIL_CONTROL_LATER;
}

/* --- events -------------------------------------------------------------- */

static bool
audit_say_events(audit_watch_t *w)
{
    json_t *line;

    while (w->left != 0 && !veil_control_is_behind(w->call)
           && (line = veil_event_reader_next(&w->events)) != NULL)
    {
        /* A gap is none. */
        if (w->left != UINT64_MAX && json_object_get(line, "lost") == NULL) {
            w->left--;
        }
        veil_control_say(w->call, line);
    }
    return w->left != 0;
}

veil_control_rc_t
veil_audit_verb_events(veil_control_call_t *call)
{
    int64_t n = veil_control_number(call, "n", 0);
    int64_t count = veil_control_number(call, "count", -1);
    audit_watch_t *w;

    if (count == 0) {
        return veil_control_fail(call, VEIL_E_ARGUMENT,
                                 "\"count\" must be more than 0");
    }
    w = audit_watch_create(call, audit_say_events);
    w->left = count < 0 ? UINT64_MAX : (uint64_t) count;
    if (!veil_event_reader_init(&w->events, veil_control_text(call, "kinds")))
    {
        return veil_control_fail(call, VEIL_E_ARGUMENT,
                                 "\"kinds\" has %d bytes at most",
                                 VEIL_EVENTS_KINDS - 1);
    }
    if (veil_control_has(call, "since")) {
        veil_event_reader_since(
            &w->events, (uint64_t) veil_control_number(call, "since", 0));
    } else if (n > 0) {
        veil_event_reader_back(&w->events, (uint64_t) n);
    }
    return audit_watch_start(w);
}

/* --- audit --------------------------------------------------------------- */

static bool
audit_say_records(audit_watch_t *w)
{
    uint64_t last = veil_audit_last();
    uint64_t first = last < VEIL_AUDIT_KEPT ? 1 : last - VEIL_AUDIT_KEPT + 1;

    if (w->next < first && !veil_control_is_behind(w->call)) {
        veil_control_say(w->call, json_pack("{s:I}", "lost",
                                            (json_int_t) (first - w->next)));
        w->next = first;
    }
    while (w->next <= last && !veil_control_is_behind(w->call)) {
        veil_control_say(w->call, veil_audit_kept(w->next));
        w->next++;
    }
    return true;
}

veil_control_rc_t
veil_audit_verb_audit(veil_control_call_t *call)
{
    uint64_t n = (uint64_t) veil_control_number(call, "n", AUDIT_SHOWN);
    uint64_t last = veil_audit_last();
    audit_watch_t *w;
    json_t *records;
    uint64_t i;

    n = n > VEIL_AUDIT_KEPT ? VEIL_AUDIT_KEPT : n;
    n = n > last ? last : n;
    if (veil_control_flag(call, "follow")) {
        w = audit_watch_create(call, audit_say_records);
        w->next = last - n + 1;
        return audit_watch_start(w);
    }
    records = json_array();
    for (i = last - n + 1; i <= last; i++) {
        json_array_append_new(records, veil_audit_kept(i));
    }
    call->data = json_pack("{s:o}", "records", records);
    return VEIL_CONTROL_DONE;
}
