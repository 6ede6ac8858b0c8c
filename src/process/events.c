/*
 * events.c -- what happens, for those who watch.
 *
 *     worker --EVENT--> keeper --EVENT--> master: ring --> watchers
 *
 * Sending is control_call.c's: an event never waits, and what is lost on the
 * way is told with the next that gets through.  It becomes an event of its
 * own here, "events.lost", so that its place in the sequence is seen.
 *
 * The ring keeps events as text; they are made values again for each who
 * reads them, which are few.
 */

#include "core/platform.h"

#include "core/assert.h"
#include "core/pool.h"
#include "core/time.h"
#include "process/audit.h"
#include "process/events.h"

typedef struct {
    char kind[VEIL_CONTROL_VERB_MAX];
    char *text; /* the line */
} event_t;

static struct {
    uint64_t last;
    event_t ring[VEIL_EVENTS_KEPT]; /* event seq is at (seq - 1) modulo */
} events;

/* --- the ring ------------------------------------------------------------ */

static uint64_t
events_first(void)
{
    return events.last <= VEIL_EVENTS_KEPT
               ? 1
               : events.last - VEIL_EVENTS_KEPT + 1;
}

static const event_t *
events_at(uint64_t seq)
{
    VEIL_ASSERT(seq >= events_first() && seq <= events.last);
    return &events.ring[(seq - 1) % VEIL_EVENTS_KEPT];
}

uint64_t
veil_events_last(void)
{
    return events.last;
}

static json_t *
events_number(uint64_t n)
{
    return n == 0 ? json_null() : json_integer((json_int_t) n);
}

/* Takes over data. */
static char *
events_line(const veil_event_source_t *s, uint64_t seq, const char *kind,
            json_t *data)
{
    char ts[VEIL_AUDIT_TIME];
    json_t *o = json_object();
    size_t len;
    char *text;

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
    json_object_set_new(o, "data", data == NULL ? json_object() : data);
    len = json_dumpb(o, NULL, 0, JSON_COMPACT);
    text = veil_alloc(len + 1);
    (void) json_dumpb(o, text, len, JSON_COMPACT);
    text[len] = '\0';
    json_decref(o);
    return text;
}

void
veil_events_add(const veil_event_source_t *source, const char *kind,
                json_t *data)
{
    event_t *e = &events.ring[events.last % VEIL_EVENTS_KEPT];

    veil_free(e->text);
    events.last++;
    (void) veil_str_copy_z(e->kind, sizeof(e->kind), veil_str_z(kind));
    e->text = events_line(source, events.last, e->kind, data);
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
    reader->next = events.last + 1;
    return true;
}

void
veil_event_reader_since(veil_event_reader_t *reader, uint64_t seq)
{
    reader->next = seq >= events.last ? events.last + 1 : seq + 1;
}

void
veil_event_reader_back(veil_event_reader_t *reader, uint64_t n)
{
    uint64_t seq = events.last + 1;

    while (n != 0 && seq > events_first()) {
        seq--;
        if (events_match(reader->kinds, events_at(seq)->kind)) {
            n--;
            reader->next = seq;
        }
    }
}

json_t *
veil_event_reader_next(veil_event_reader_t *reader)
{
    uint64_t first = events_first();
    const event_t *e;

    if (reader->next < first) {
        json_int_t lost = (json_int_t) (first - reader->next);

        reader->next = first;
        return json_pack("{s:I}", "lost", lost);
    }
    while (reader->next <= events.last) {
        e = events_at(reader->next++);
        if (events_match(reader->kinds, e->kind)) {
            return json_loads(e->text, 0, NULL);
        }
    }
    return NULL;
}
