/*
 * events.c -- what happens, for those who watch.
 *
 *     worker --EVENT--> keeper --EVENT--> master: ring --> watchers
 *
 * Sending is control_call.c's: an event never waits, and what is lost on the
 * way is told with the next that gets through.  It becomes an event of its
 * own here, "events.lost", so that its place in the sequence is seen.
 *
 * The ring (journal.h) keeps events as text; they are made values again for
 * each who reads them, which are few.  It is there for the master of an
 * upgrade as well, so a reader has a place in it whichever it asks.
 */

#include "core/platform.h"

#include "core/pool.h"
#include "core/time.h"
#include "process/control/audit.h"
#include "process/control/events.h"
#include "process/control/journal.h"

/* --- the ring ------------------------------------------------------------ */

static uint64_t
events_first(void)
{
    uint64_t first, last;

    veil_journal_range(VEIL_JOURNAL_EVENTS, &first, &last);
    return first;
}

uint64_t
veil_events_last(void)
{
    uint64_t first, last;

    veil_journal_range(VEIL_JOURNAL_EVENTS, &first, &last);
    return last;
}

static json_t *
events_number(uint64_t n)
{
    return n == 0 ? json_null() : json_integer((json_int_t) n);
}

/* Without data; the caller's to free. */
static json_t *
events_head(const veil_event_source_t *s, uint64_t seq, const char *kind)
{
    char ts[VEIL_AUDIT_TIME];
    json_t *o = json_object();

    veil_audit_time(ts, veil_clock.sec, veil_clock.msec);
    json_object_set_new(o, "seq", json_integer((json_int_t) seq));
    json_object_set_new(o, "ts", json_string(ts));
    json_object_set_new(o, "kind", json_string(kind));
    json_object_set_new(o, "generation", events_number(s->generation));
    json_object_set_new(o, "worker",
                        s->worker == 0
                            ? json_null()
                            : json_integer((json_int_t) s->worker - 1));
    json_object_set_new(o, "pid", json_integer(s->pid));
    return o;
}

void
veil_events_add(const veil_event_source_t *source, const char *kind,
                json_t *data)
{
    char name[VEIL_CONTROL_VERB_MAX];
    json_t *o;
    size_t len;
    char *text;

    (void) veil_str_copy_z(name, sizeof(name), veil_str_z(kind));
    o = events_head(source, veil_journal_begin(VEIL_JOURNAL_EVENTS), name);
    json_object_set_new(o, "data", data == NULL ? json_object() : data);
    len = json_dumpb(o, NULL, 0, JSON_COMPACT);
    if (len > VEIL_JOURNAL_TEXT) {
        json_object_set_new(o, "data",
                            json_pack("{s:I}", "too_long", (json_int_t) len));
        len = json_dumpb(o, NULL, 0, JSON_COMPACT);
    }
    text = veil_alloc(len);
    (void) json_dumpb(o, text, len, JSON_COMPACT);
    veil_journal_end(VEIL_JOURNAL_EVENTS, name, text, len);
    veil_free(text);
    json_decref(o);
}

static void
events_of_master(const char *kind, json_t *data)
{
    veil_event_source_t source = { .pid = getpid() };

    veil_events_add(&source, kind, data);
}

void
veil_events_begin(void)
{
    veil_control_event_sink = events_of_master;
}

void
veil_events_take(const veil_event_message_t *m, json_t *data)
{
    veil_event_source_t source = { .generation = m->generation,
                                   .pid = m->pid };

    if (m->worker != VEIL_ANSWER_NO_WORKER) {
        source.worker = m->worker + 1;
    }
    if (m->lost != 0) {
        veil_events_add(&source, "events.lost",
                        json_pack("{s:I}", "lost", (json_int_t) m->lost));
    }
    veil_events_add(&source, m->kind, data);
}

/* --- readers ------------------------------------------------------------- */

/* "*" stands for any text, also none. */
static bool
events_match_glob(veil_str_t glob, veil_str_t s)
{
    size_t g = 0, i = 0, star = SIZE_MAX, from = 0;

    while (i < s.len) {
        if (g < glob.len && glob.data[g] == '*') {
            star = g++;
            from = i;
        } else if (g < glob.len && glob.data[g] == s.data[i]) {
            g++;
            i++;
        } else if (star != SIZE_MAX) {
            /* The last star takes one more. */
            g = star + 1;
            i = ++from;
        } else {
            return false;
        }
    }
    while (g < glob.len && glob.data[g] == '*') {
        g++;
    }
    return g == glob.len;
}

static bool
events_match(const char *kinds, const char *kind)
{
    veil_str_t rest = veil_str_z(kinds);

    if (rest.len == 0) {
        return true;
    }
    while (rest.data != NULL) {
        if (events_match_glob(veil_str_trim(veil_str_cut(&rest, ',')),
                              veil_str_z(kind)))
        {
            return true;
        }
    }
    return false;
}

bool
veil_event_reader_init(veil_event_reader_t *reader, const char *kinds)
{
    veil_str_t s = veil_str_z(kinds);

    if (s.len >= sizeof(reader->kinds)) {
        return false;
    }
    (void) veil_str_copy_z(reader->kinds, sizeof(reader->kinds), s);
    reader->next = veil_events_last() + 1;
    return true;
}

void
veil_event_reader_since(veil_event_reader_t *reader, uint64_t seq)
{
    uint64_t last = veil_events_last();

    reader->next = seq >= last ? last + 1 : seq + 1;
}

void
veil_event_reader_back(veil_event_reader_t *reader, uint64_t n)
{
    uint64_t seq = veil_events_last() + 1;
    veil_journal_record_t e;

    while (n != 0 && veil_journal_look(VEIL_JOURNAL_EVENTS, --seq, &e)) {
        if (events_match(reader->kinds, e.kind)) {
            n--;
            reader->next = seq;
        }
    }
}

json_t *
veil_event_reader_next(veil_event_reader_t *reader)
{
    uint64_t last = veil_events_last();
    veil_journal_record_t e;
    json_t *line;

    while (reader->next <= last) {
        uint64_t first = events_first();

        if (reader->next < first) {
            json_int_t lost = (json_int_t) (first - reader->next);

            reader->next = first;
            return json_pack("{s:I}", "lost", lost);
        }
        if (!veil_journal_look(VEIL_JOURNAL_EVENTS, reader->next, &e)) {
            continue; /* the other master has just driven it out */
        }
        line = events_match(reader->kinds, e.kind)
                   ? veil_journal_read(VEIL_JOURNAL_EVENTS, reader->next)
                   : NULL;
        reader->next++;
        if (line != NULL) {
            return line;
        }
    }
    return NULL;
}
