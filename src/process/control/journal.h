/*
 * journal.h -- what a server remembers of itself from master to master.
 *
 * Two rings of texts, of events and of audit records, with their numbers; the
 * numbers of clients; the rules of log.level.  All of it lies in memory that
 * goes along in an upgrade, and is there for both masters: whichever of them
 * writes, numbers go on, and neither gives one twice.
 *
 * Without veil_journal_open() a process has one of its own.
 */

#ifndef VEIL_PROCESS_JOURNAL_H
#define VEIL_PROCESS_JOURNAL_H

#include <jansson.h>

#include "process/control/control.h"
#include "process/hold.h"

/* Texts in a ring at most, and bytes of all of them. */
#define VEIL_JOURNAL_SLOTS 1024
#define VEIL_JOURNAL_BYTES ((size_t) 1 << 20)
/* Bytes of one. */
#define VEIL_JOURNAL_TEXT ((size_t) 64 << 10)

typedef enum {
    VEIL_JOURNAL_EVENTS,
    VEIL_JOURNAL_AUDIT,
    VEIL_JOURNAL_RINGS
} veil_journal_ring_t;

/*
 * Once, in the master, before anything is forked: what the hold has of a
 * master before goes on, and its log rules hold here.  Children have none of
 * it.  A failure is logged, and costs no more than what is remembered.
 */
void veil_journal_open(veil_hold_t *hold, const veil_log_t *log);
/* Its zones: the i-th's memory, which stays the hold's, and key; -1: none. */
#define VEIL_JOURNAL_ZONES 2
int veil_journal_zone(unsigned i, veil_hold_zone_t *key);
/* In a child that has no use for the memory: closes it. */
void veil_journal_close(void);

/*
 * Begins a record: its number.  Until its end, which must follow at once, the
 * other master waits.
 */
uint64_t veil_journal_begin(veil_journal_ring_t ring);
/*
 * Ends it, and keeps its text; one that is NULL or longer than
 * VEIL_JOURNAL_TEXT, which no event may be, is not kept.
 */
void veil_journal_end(veil_journal_ring_t ring, const char *kind,
                      const char *text, size_t len);

/*
 * Those that are kept are counted from 1 on: the oldest there is and the
 * last.  None: first is last + 1.
 */
void veil_journal_range(veil_journal_ring_t ring, uint64_t *first,
                        uint64_t *last);
/* One of them; false: it is not there, or no more. */
typedef struct {
    uint64_t seq; /* as veil_journal_begin() said */
    char kind[VEIL_CONTROL_VERB_MAX];
} veil_journal_record_t;
bool veil_journal_look(veil_journal_ring_t ring, uint64_t n,
                       veil_journal_record_t *record);
/* Its text as JSON, a new reference, or NULL. */
json_t *veil_journal_read(veil_journal_ring_t ring, uint64_t n);

/* The number of a client of the control socket. */
uint64_t veil_journal_client(void);

/* The rules that hold are remembered, or hold again. */
void veil_journal_keep_rules(const veil_log_rules_t *rules);
void veil_journal_rules(veil_log_rules_t *rules);

#endif
