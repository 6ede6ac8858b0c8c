/*
 * reload.c -- what became of a load: the master's memory of the last ones.
 *
 * A result begins with the load and is filled while it goes on: by what the
 * keeper and its workers log (diagnostic.c), by what the master itself logs
 * while it answers them, and by the keeper's comparison with what runs
 * (diff.c).  It is kept as JSON, which is what is asked for.  Diagnostics are
 * one object a message: the excerpt below a message about the configuration,
 * which the log has in lines of their own, becomes a part of it.
 *
 * Only the last few are kept, in a ring.  Whoever waits for the end of a load
 * is in a list; nothing is allocated for that.
 */

#include "core/platform.h"

#include "core/control.h"
#include "core/time.h"
#include "process/reload/diagnostic.h"
#include "process/reload/reload.h"
#include "process/show.h"

static veil_reload_result_t reload_results[VEIL_RELOAD_KEPT];
static unsigned reload_count; /* loads so far */

static veil_list_t reload_waiters = { &reload_waiters, &reload_waiters };

veil_reload_result_t *
veil_reload_begin(uint64_t generation, uint64_t previous,
                  veil_reload_cause_t cause)
{
    veil_reload_result_t *r =
        &reload_results[reload_count++ % VEIL_RELOAD_KEPT];

    json_decref(r->diagnostics);
    json_decref(r->diff);
    memset(r, 0, sizeof(*r));
    r->generation = generation;
    r->previous = previous;
    r->cause = cause;
    r->diagnostics = json_array();
    r->at_sec = veil_clock.sec;
    r->started_ms = veil_now_ms();
    return r;
}

/* --- diagnostics --------------------------------------------------------- */

/* The line of the file, or the caret below it. */
static bool
reload_is_excerpt(const veil_reload_result_t *r, const char *level,
                  veil_str_t text)
{
    size_t n = json_array_size(r->diagnostics);
    const json_t *last;

    if (n == 0 || !veil_str_starts(text, VEIL_STR("    "))) {
        return false;
    }
    last = json_array_get(r->diagnostics, n - 1);
    return json_object_get(last, "line") != NULL
           && strcmp(json_string_value(json_object_get(last, "level")), level)
                  == 0;
}

static void
reload_add_excerpt(veil_reload_result_t *r, veil_str_t text)
{
    json_t *last =
        json_array_get(r->diagnostics, json_array_size(r->diagnostics) - 1);
    json_t *excerpt = json_object_get(last, "excerpt");

    if (excerpt == NULL) {
        excerpt = json_array();
        json_object_set_new(last, "excerpt", excerpt);
    }
    json_array_append_new(excerpt,
                          veil_control_string(veil_str_from(text, 4)));
}

static void
reload_add(veil_reload_result_t *r, const char *level, veil_str_t text)
{
    veil_diagnostic_place_t place = veil_diagnostic_place(text);
    json_t *d = json_object();

    json_object_set_new(d, "level", json_string(level));
    json_object_set_new(d, "message", veil_control_string(place.text));
    if (place.file.len != 0) {
        json_object_set_new(d, "file", veil_control_string(place.file));
        json_object_set_new(d, "line", json_integer(place.line));
    }
    if (place.column != 0) {
        json_object_set_new(d, "column", json_integer(place.column));
    }
    if (place.hint.len != 0) {
        json_object_set_new(d, "hint", veil_control_string(place.hint));
    }
    json_array_append_new(r->diagnostics, d);
}

void
veil_reload_note(veil_reload_result_t *r, veil_log_level_t level,
                 veil_str_t text)
{
    const char *name;
    bool more;

    if (r == NULL || r->over || text.len == 0) {
        return;
    }
    name = veil_log_level_name(level);
    more = reload_is_excerpt(r, name, text);
    if (!more) {
        r->warnings += level == VEIL_LOG_WARN;
        r->errors += level < VEIL_LOG_WARN;
        if (level < VEIL_LOG_WARN && r->reason[0] == '\0') {
            veil_str_copy_z(r->reason, sizeof(r->reason), text);
        }
    }
    if (r->diagnostics_len + text.len > VEIL_RELOAD_DIAGNOSTICS) {
        r->dropped += !more;
        return;
    }
    r->diagnostics_len += text.len;
    if (more) {
        reload_add_excerpt(r, text);
    } else {
        reload_add(r, name, text);
    }
}

static void
reload_log_write(const veil_log_sink_t *sink, veil_log_level_t level,
                 const char *line, size_t len)
{
    veil_reload_note(sink->data, level, veil_diagnostic_text(line, len));
}

void
veil_reload_log(veil_reload_log_t *to, veil_reload_result_t *r,
                const veil_log_t *log)
{
    memset(&to->sink, 0, sizeof(to->sink));
    to->sink.level = VEIL_LOG_WARN;
    to->sink.write = reload_log_write;
    to->sink.data = r;
    /* The list is walked, never written to; its links have no const. */
    memcpy(&to->sink.next, &log->sinks, sizeof(log->sinks));
    to->log = *log;
    to->log.sinks = &to->sink;
    if (to->log.level < VEIL_LOG_WARN) {
        to->log.level = VEIL_LOG_WARN;
    }
}

void
veil_reload_set_diff(veil_reload_result_t *r, json_t *diff)
{
    if (r == NULL || r->over) {
        json_decref(diff);
        return;
    }
    json_decref(r->diff);
    r->diff = diff;
}

/* --- the end ------------------------------------------------------------- */

static const char *
reload_summary(const veil_reload_result_t *r)
{
    const char *text = json_string_value(json_object_get(r->diff, "summary"));

    return text == NULL ? "" : text;
}

static void
reload_log_end(const veil_reload_result_t *r, const veil_log_t *log)
{
    const char *summary = reload_summary(r);

    if (!r->ok) {
        if (r->cause == VEIL_RELOAD_START) {
            return; /* the process ends, after its reasons */
        }
        if (r->previous == 0) {
            veil_log(log, VEIL_LOG_ERR, 0, "generation %llu failed (%s): %s",
                     (unsigned long long) r->generation, r->code, r->reason);
            return;
        }
        if (strcmp(r->code, VEIL_E_CONFLICT) == 0) {
            /* The server ends: nothing goes on, and nothing was wrong. */
            veil_log(log, VEIL_LOG_NOTICE, 0,
                     "the new configuration was not taken (%s): %s", r->code,
                     r->reason);
            return;
        }
        veil_log(log, VEIL_LOG_ERR, 0,
                 "the new configuration was not taken (%s), generation %llu "
                 "goes on serving: %s",
                 r->code, (unsigned long long) r->previous, r->reason);
        return;
    }
    if (r->previous == 0) {
        return; /* what there is to say was said */
    }
    veil_log(
        log, VEIL_LOG_NOTICE, 0,
        "reloaded: generation %llu follows %llu after %llu ms, %u "
        "warning%s%s%s",
        (unsigned long long) r->generation, (unsigned long long) r->previous,
        (unsigned long long) r->elapsed_ms, r->warnings,
        r->warnings == 1 ? "" : "s", *summary == '\0' ? "" : "; ", summary);
}

void
veil_reload_end(veil_reload_result_t *r, const char *code, const char *reason,
                const veil_log_t *log)
{
    veil_reload_waiter_t *w;
    veil_list_t *n;
    veil_list_t *tmp;

    if (r == NULL || r->over) {
        return;
    }
    r->over = true;
    r->ok = code == NULL;
    r->code = code;
    r->elapsed_ms = veil_now_ms() - r->started_ms;
    if (r->ok) {
        r->reason[0] = '\0';
    } else if (r->reason[0] == '\0') {
        veil_str_copy_z(r->reason, sizeof(r->reason), veil_str_z(reason));
    }
    reload_log_end(r, log);
    if (r->cause != VEIL_RELOAD_START) {
        veil_show_count(r->ok ? VEIL_SHOW_RELOADS_OK
                              : VEIL_SHOW_RELOADS_FAILED);
    }
    veil_control_event(r->ok ? "reload.ok" : "reload.failed",
                       veil_reload_json(r, false));

    veil_list_foreach_safe (n, tmp, &reload_waiters) {
        w = veil_list_entry(n, veil_reload_waiter_t, link);
        if (w->generation == r->generation) {
            veil_list_remove(&w->link);
            w->ended(w, r);
        }
    }
}

void
veil_reload_wait(veil_reload_waiter_t *w, uint64_t generation)
{
    w->generation = generation;
    veil_list_append(&reload_waiters, &w->link);
}

void
veil_reload_wait_no_more(veil_reload_waiter_t *w)
{
    veil_list_remove(&w->link);
}

/* --- telling ------------------------------------------------------------- */

const veil_reload_result_t *
veil_reload_last(unsigned i)
{
    const veil_reload_result_t *r;
    unsigned at;

    for (at = reload_count; at > 0 && reload_count - at < VEIL_RELOAD_KEPT;
         at--) {
        r = &reload_results[(at - 1) % VEIL_RELOAD_KEPT];
        if (r->over && i-- == 0) {
            return r;
        }
    }
    return NULL;
}

/* What anybody may know of a diff: numbers, not the texts of directives. */
static json_t *
reload_diff_json(const json_t *diff, bool details)
{
    json_t *copy = json_copy((json_t *) (uintptr_t) diff);

    if (!details) {
        json_object_del(copy, "changes");
    }
    return copy;
}

json_t *
veil_reload_json(const veil_reload_result_t *r, bool details)
{
    static const char *const causes[] = {
        [VEIL_RELOAD_START] = "start",
        [VEIL_RELOAD_SIGNAL] = "signal",
        [VEIL_RELOAD_VERB] = "verb",
        [VEIL_RELOAD_RESTART] = "restart",
    };
    json_t *o = json_object();

    json_object_set_new(o, "ok", json_boolean(r->ok));
    json_object_set_new(o, "generation",
                        json_integer((json_int_t) r->generation));
    json_object_set_new(o, "previous", json_integer((json_int_t) r->previous));
    json_object_set_new(o, "cause", json_string(causes[r->cause]));
    json_object_set_new(o, "at", json_integer(r->at_sec));
    json_object_set_new(o, "elapsed_ms",
                        json_integer((json_int_t) r->elapsed_ms));
    json_object_set_new(o, "errors", json_integer(r->errors));
    json_object_set_new(o, "warnings", json_integer(r->warnings));
    if (!r->ok) {
        json_object_set_new(o, "code", json_string(r->code));
        json_object_set_new(o, "reason",
                            veil_control_string(veil_str_z(r->reason)));
    }
    if (r->diff != NULL) {
        json_object_set_new(o, "diff", reload_diff_json(r->diff, details));
    }
    if (details) {
        json_object_set(o, "diagnostics", r->diagnostics);
        json_object_set_new(o, "dropped", json_integer(r->dropped));
    }
    return o;
}
