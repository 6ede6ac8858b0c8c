/*
 * events.h -- what happens, for those who watch.
 *
 * Anything in any process says veil_control_event(); the master numbers what
 * arrives and keeps the last of it in a ring.  Who watches has a place in
 * that ring, and no queue of his own: one who does not read is overtaken and
 * told how much he has missed.
 */

#ifndef VEIL_PROCESS_EVENTS_H
#define VEIL_PROCESS_EVENTS_H

#include "process/control/control.h"

/* Events that are kept. */
#define VEIL_EVENTS_KEPT 1024
/* Bytes at most of what a watcher asks for. */
#define VEIL_EVENTS_KINDS 256

/* Where it happened; all 0: in the master. */
typedef struct {
    uint64_t generation;
    unsigned worker; /* its number + 1; 0: not in a worker */
    pid_t pid;
} veil_event_source_t;

/* Numbers and keeps an event; takes over data, which may be NULL. */
void veil_events_add(const veil_event_source_t *source, const char *kind,
                     json_t *data);
/* In the master, once: from here on its own events are kept. */
void veil_events_begin(void);
/* One that came up; takes over data. */
void veil_events_take(const veil_event_message_t *m, json_t *data);

/* The number of the last event; 0: there was none. */
uint64_t veil_events_last(void);

/* Somebody who watches. */
typedef struct {
    uint64_t next;                 /* the event to look at */
    char kinds[VEIL_EVENTS_KINDS]; /* empty: all */
} veil_event_reader_t;

/*
 * kinds: a list with commas, in which "*" stands for anything: "server.*".
 * False: it is too long.  It begins with the next event.
 */
bool veil_event_reader_init(veil_event_reader_t *reader, const char *kinds);
/* It begins after the event of this number, or with the oldest there is. */
void veil_event_reader_since(veil_event_reader_t *reader, uint64_t seq);
/* It begins with the last n that it would be shown. */
void veil_event_reader_back(veil_event_reader_t *reader, uint64_t n);
/*
 * The next line for it, a new reference; NULL: there is nothing new.  Events
 * that were dropped before it came to them are one line {"lost": N}, whatever
 * their kind was.
 */
json_t *veil_event_reader_next(veil_event_reader_t *reader);

#endif
