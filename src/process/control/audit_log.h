/*
 * audit_log.h -- where audit records go: files, the error log, a ring.
 *
 * Of the master.  A keeper opens the files that its configuration names and
 * hands them over; the master writes to those of the generation that serves.
 */

#ifndef VEIL_PROCESS_AUDIT_LOG_H
#define VEIL_PROCESS_AUDIT_LOG_H

#include "process/control/audit.h"
#include "process/message.h"

/* Of one configuration. */
#define VEIL_AUDIT_SINKS 8
/* Records that are kept to be shown. */
#define VEIL_AUDIT_KEPT 512

typedef struct {
    bool json;
    bool reads;
    veil_syslog_t *syslog; /* NULL: a file */
    int fd;                /* -1: none */
    char path[VEIL_MESSAGE_PATH];
    bool torn;        /* the last line has no end */
    uint64_t lost;    /* records, since it failed */
    uint64_t told_ms; /* when that was last logged; 0: it works */
} veil_audit_sink_t;

typedef struct {
    unsigned n;
    veil_audit_sink_t sinks[VEIL_AUDIT_SINKS];
} veil_audit_sinks_t;

/*
 * Opens for appending, created with 0640; a file that more may read or write
 * is narrowed, with a warning in the log.  Never waits, not even for the
 * reader of a FIFO.  The descriptor, or -errno.
 */
int veil_audit_open(const char *path, const veil_log_t *log);

/* Adds a sink, which takes over fd (-1: it is a syslog server); false when
 * there are enough. */
bool veil_audit_sinks_add(veil_audit_sinks_t *sinks,
                          const veil_audit_message_t *m, int fd);
/* Closes and frees; *sinks becomes NULL, and may be. */
void veil_audit_sinks_free(veil_audit_sinks_t **sinks);

/*
 * From here on records go to these, which are taken over; NULL or none: as
 * text to the error log, "notice" for what succeeded ("info" if it only
 * looked) and "warn" for the rest.
 */
void veil_audit_use(veil_audit_sinks_t *sinks);

/* How many files there are. */
unsigned veil_audit_files(void);

/*
 * Opens the files again (USR1); one that cannot be opened is written on to,
 * after logging.  Returns how many those are.
 */
unsigned veil_audit_reopen(const veil_log_t *log);

/*
 * Numbers the record, sets its time, writes it everywhere and keeps it.
 * Never blocks and never fails: a sink that does is reported in the log, once
 * a minute at most, with the number of records it lost.
 */
void veil_audit_log(veil_audit_record_t *r, const veil_log_t *log);

/*
 * The last records are kept, without those that only looked and were let:
 * they would drive out the others.  They are counted from 1 on, also those of
 * the master before an upgrade; first is last + 1 when there are none.
 */
void veil_audit_range(uint64_t *first, uint64_t *last);
/* The n-th of those as JSON, a new reference; NULL: it is not kept. */
json_t *veil_audit_kept(uint64_t n);
/* Its "seq", which counts those that only looked, too; 0: it is not kept. */
uint64_t veil_audit_seq(uint64_t n);

#endif
