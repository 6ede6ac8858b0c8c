/*
 * master_state.h -- what the files of the master share; nobody else looks.
 */

#ifndef VEIL_PROCESS_MASTER_STATE_H
#define VEIL_PROCESS_MASTER_STATE_H

#include "process/generation.h"
#include "process/master.h"

/* Beyond the time for draining, after which keepers kill: see crew.c. */
#define VEIL_MASTER_GRACE_MS 10000

typedef struct {
    const veil_master_options_t *o;
    veil_log_t log;
    veil_generation_log_t *log_files; /* behind log; NULL: standard error */
    int signals;
    int ready_fd;
    veil_hold_t hold;
    veil_list_t generations; /* of veil_generation_t, oldest first */
    veil_generation_t *loading;
    veil_generation_t *serving;
    uint64_t last_number;
    int text_fd; /* of the last that served; -1 */
    bool first;  /* nothing has served yet */
    bool reload_wanted;
    bool stopping;
    bool detached;       /* standard error is the log */
    uint64_t stop_ms;    /* shutdown_timeout of the last that served */
    unsigned deaths;     /* of keepers, in a row */
    uint64_t restart_ms; /* when to start from the kept text; 0: not */
    char *pid_path;      /* NULL: not written */
    int status;          /* to exit with */
} veil_master_t;

extern veil_master_t veil_master;

/* --- master.c ------------------------------------------------------------ */

/* The log becomes that of the generation. */
void veil_master_take_log(veil_generation_t *g);
/* With "daemon on" standard error becomes the log. */
void veil_master_detach_stderr(void);
/* Writes the pid file, and removes one of another name; VEIL_ERROR logged. */
veil_rc_t veil_master_write_pid_file(const char *path);

/* --- master_load.c ------------------------------------------------------- */

/*
 * Starts a generation from the files, or (text_fd >= 0, the caller's) from
 * that text.  A failure is logged and planned for.
 */
void veil_master_load(int text_fd);
/* All workers of the generation are ready: it serves. */
void veil_master_switch(veil_generation_t *g);
/* It ended before it served. */
void veil_master_load_failed(veil_generation_t *g);
/* It ends within that time, or sooner if it was told so before. */
void veil_master_drain(veil_generation_t *g, uint64_t timeout_ms);
void veil_master_kill(veil_generation_t *g);
/* Nothing serves: the text that did is started again, after a while. */
void veil_master_plan_restart(void);

/* --- master_children.c --------------------------------------------------- */

/* Takes note of all children that have ended. */
void veil_master_reap(void);

#endif
