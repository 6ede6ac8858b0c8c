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
#include "process/control/audit_log.h"
#include "process/control/audit_module.h"
#include "process/control/events.h"

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
audit_watch_create(veil_control_call_t *call, bool (*say)(audit_watch_t *w),
                   json_t *(*moved)(const veil_control_call_t *call))
{
    audit_watch_t *w = veil_zalloc(sizeof(*w));

    w->call = call;
    w->say = say;
    veil_due_init(&w->due, audit_look);
    call->ctx = w;
    call->owns_ctx = true;
    call->cancel = audit_cancel;
    call->moved = moved;
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

/* As it was asked, but after what was said. */
static json_t *
audit_args_since(const veil_control_call_t *call, uint64_t seq)
{
    json_t *args = json_copy(call->args);

    (void) json_object_del(args, "n");
    json_object_set_new(args, "since", json_integer((json_int_t) seq));
    return args;
}

static json_t *
audit_moved_events(const veil_control_call_t *call)
{
    const audit_watch_t *w = call->ctx;
    json_t *args = audit_args_since(call, w->events.next - 1);

    if (w->left != UINT64_MAX) {
        json_object_set_new(args, "count", json_integer((json_int_t) w->left));
    }
    return args;
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
    w = audit_watch_create(call, audit_say_events, audit_moved_events);
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
    uint64_t first, last;
    json_t *record;

    veil_audit_range(&first, &last);
    if (w->next < first && !veil_control_is_behind(w->call)) {
        veil_control_say(w->call, json_pack("{s:I}", "lost",
                                            (json_int_t) (first - w->next)));
        w->next = first;
    }
    while (w->next <= last && !veil_control_is_behind(w->call)) {
        record = veil_audit_kept(w->next);
        if (record == NULL) {
            return true; /* the other master has just driven it out */
        }
        veil_control_say(w->call, record);
        w->next++;
    }
    return true;
}

/* The number of the last record before this one. */
static uint64_t
audit_seq_before(uint64_t n)
{
    uint64_t first, last;

    veil_audit_range(&first, &last);
    if (n > last) {
        return last < first ? 0 : veil_audit_seq(last);
    }
    return n <= first ? 0 : veil_audit_seq(n - 1);
}

static json_t *
audit_moved_records(const veil_control_call_t *call)
{
    const audit_watch_t *w = call->ctx;

    return audit_args_since(call, audit_seq_before(w->next));
}

/* The first to be shown. */
static uint64_t
audit_begin(const veil_control_call_t *call, uint64_t first, uint64_t last)
{
    uint64_t n = (uint64_t) veil_control_number(call, "n", AUDIT_SHOWN);
    uint64_t seq;

    if (!veil_control_has(call, "since")) {
        return last + 1 - first < n ? first : last + 1 - n;
    }
    seq = (uint64_t) veil_control_number(call, "since", 0);
    while (first <= last && veil_audit_seq(first) <= seq) {
        first++;
    }
    return first;
}

veil_control_rc_t
veil_audit_verb_audit(veil_control_call_t *call)
{
    uint64_t first, last, n;
    audit_watch_t *w;
    json_t *records;
    json_t *record;

    veil_audit_range(&first, &last);
    n = audit_begin(call, first, last);
    if (veil_control_flag(call, "follow")) {
        w = audit_watch_create(call, audit_say_records, audit_moved_records);
        w->next = n;
        return audit_watch_start(w);
    }
    records = json_array();
    for (; n <= last; n++) {
        record = veil_audit_kept(n);
        if (record != NULL) {
            json_array_append_new(records, record);
        }
    }
    call->data = json_pack("{s:o}", "records", records);
    return VEIL_CONTROL_DONE;
}
