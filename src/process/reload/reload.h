/*
 * reload.h -- what became of a load: the master's memory of the last ones.
 *
 * A load is a start, a reload by signal or by verb, or a restart from the
 * kept text.  All of them end here, are logged in the same line and told to
 * those who wait.
 */

#ifndef VEIL_PROCESS_RELOAD_H
#define VEIL_PROCESS_RELOAD_H

#include <jansson.h>

#include "core/list.h"
#include "core/log.h"

/* Results that are kept. */
#define VEIL_RELOAD_KEPT 8
/* Of one load, texts together; what is more is counted. */
#define VEIL_RELOAD_DIAGNOSTICS (64 * 1024)

typedef enum {
    VEIL_RELOAD_START,
    VEIL_RELOAD_SIGNAL,
    VEIL_RELOAD_VERB,
    VEIL_RELOAD_RESTART /* the keeper died: from the kept text */
} veil_reload_cause_t;

typedef struct {
    uint64_t generation; /* that it was to be; 0: no result */
    uint64_t previous;   /* which served when it began; 0: none */
    veil_reload_cause_t cause;
    bool over;
    bool ok;
    const char *code; /* of core/control.h, when it is not ok */
    char reason[512]; /* the first error, or what happened */
    json_t *diagnostics;
    size_t diagnostics_len; /* of their texts */
    unsigned dropped;       /* diagnostics that were too many */
    unsigned errors;
    unsigned warnings;
    json_t *diff;   /* as of diff.h; NULL: none */
    int64_t at_sec; /* when it began, by the clock on the wall */
    uint64_t started_ms;
    uint64_t elapsed_ms;
} veil_reload_result_t;

/* A result in place of the oldest; valid for VEIL_RELOAD_KEPT loads. */
veil_reload_result_t *veil_reload_begin(uint64_t generation, uint64_t previous,
                                        veil_reload_cause_t cause);

/* A line of the log that belongs to the load; r may be NULL. */
void veil_reload_note(veil_reload_result_t *r, veil_log_level_t level,
                      veil_str_t text);

/*
 * A log like another, whose lines at "warn" or worse are noted too.  All
 * three must outlive its use.
 */
typedef struct {
    veil_log_t log;
    veil_log_sink_t sink;
} veil_reload_log_t;
void veil_reload_log(veil_reload_log_t *to, veil_reload_result_t *r,
                     const veil_log_t *log);

/* Takes over the diff. */
void veil_reload_set_diff(veil_reload_result_t *r, json_t *diff);

/*
 * The load is over: logs the line, says the event, and calls those who wait.
 * code NULL: it serves.  Otherwise reason is for when no error was noted.
 */
void veil_reload_end(veil_reload_result_t *r, const char *code,
                     const char *reason, const veil_log_t *log);

/* The last that is over, or with i = 1 the one before ...; NULL: none. */
const veil_reload_result_t *veil_reload_last(unsigned i);

/* A new object; with details: diagnostics, and each change of the diff. */
json_t *veil_reload_json(const veil_reload_result_t *r, bool details);

/* Somebody who waits for the end of a load. */
typedef struct veil_reload_waiter_s veil_reload_waiter_t;
struct veil_reload_waiter_s {
    veil_list_t link;
    uint64_t generation;
    void (*ended)(veil_reload_waiter_t *w, const veil_reload_result_t *r);
};
/* Calls ended, once, and forgets the waiter before. */
void veil_reload_wait(veil_reload_waiter_t *w, uint64_t generation);
void veil_reload_wait_no_more(veil_reload_waiter_t *w);

#endif
