/*
 * diagnostic.h -- what a load logs, on its way to whoever asked for it.
 */

#ifndef VEIL_PROCESS_DIAGNOSTIC_H
#define VEIL_PROCESS_DIAGNOSTIC_H

#include "core/log.h"
#include "process/channel.h"

/* DIAGNOSTIC: one line; only its length is sent. */
#define VEIL_DIAGNOSTIC_TEXT 2048
typedef struct {
    int level;
    char text[VEIL_DIAGNOSTIC_TEXT]; /* not terminated */
} veil_diagnostic_message_t;

/*
 * While on, lines of the log at "warn" or worse also go through the channel
 * that veil_diagnostic_use() was told.  Of one log at a time; turned off by
 * the log it was turned on for.  Sinks put before it must be gone by then.
 */
void veil_diagnostic_tell(veil_log_t *log, bool on);
/* The channel of this process: keeper to master, worker to keeper; -1: none */
void veil_diagnostic_use(int channel);

/* Of a message as received: its line; an empty one when it is broken. */
veil_str_t veil_diagnostic_line(const veil_message_t *m,
                                veil_log_level_t *level);

/* Of a line as a sink gets it: what follows time, level and process. */
veil_str_t veil_diagnostic_text(const char *line, size_t len);

/* The end of a message about the configuration, taken apart. */
typedef struct {
    veil_str_t text; /* what stands before the place */
    veil_str_t file; /* empty: it names no place */
    unsigned line;   /* 0: none */
    unsigned column; /* 0: none */
    veil_str_t hint; /* without its parentheses; empty: none */
} veil_diagnostic_place_t;

/* "TEXT in FILE:LINE[:COLUMN][ (HINT)]"; all of them lie in line. */
veil_diagnostic_place_t veil_diagnostic_place(veil_str_t line);

#endif
