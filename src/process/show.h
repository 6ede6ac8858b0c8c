/*
 * show.h -- the server's processes on the board (core/board.h).
 */

#ifndef VEIL_PROCESS_SHOW_H
#define VEIL_PROCESS_SHOW_H

#include "core/board.h"
#include "process/hold.h"

/*
 * Opens the board, which the hold keeps for all generations, and takes a
 * block for this process.  Once, in the master or the single process, before
 * anything is forked.  A server without a board serves; why is logged.
 */
void veil_show_open(veil_hold_t *hold, veil_board_role_t role,
                    const veil_log_t *log);

/* The board's memory, which stays the hold's, and its key; -1: none. */
int veil_show_zone(veil_hold_zone_t *key);

/* What the processes count; each in its own block. */
typedef enum {
    VEIL_SHOW_WORKERS_STARTED,
    VEIL_SHOW_WORKERS_EXITED,  /* by themselves, as they were told to */
    VEIL_SHOW_WORKERS_CRASHED, /* by a signal, or with an error */
    VEIL_SHOW_WORKERS_KILLED,  /* by the keeper: they did not end */
    VEIL_SHOW_WORKERS_STUCK,   /* by the watchdog */
    VEIL_SHOW_RELOADS_OK,
    VEIL_SHOW_RELOADS_FAILED,
    VEIL_SHOW_GENERATION,  /* the number of the one that serves */
    VEIL_SHOW_GENERATIONS, /* that have processes */
    VEIL_SHOW_METRICS
} veil_show_metric_t;

/* What workers have counted, for those who ask how many there are. */
typedef struct {
    uint64_t connections; /* of clients, that are open */
    uint64_t accepted;    /* in all */
    uint64_t requests;    /* in all */
} veil_show_counts_t;

/* Adds those of one process; of all, also of those that have ended. */
void veil_show_counts_add(veil_show_counts_t *to, const veil_board_block_t *b);
void veil_show_counts_all(veil_show_counts_t *to);

void veil_show_count(veil_show_metric_t what);
void veil_show_set(veil_show_metric_t what, uint64_t value);

#endif
