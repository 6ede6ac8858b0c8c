/*
 * master_state.h -- what the files of the master share; nobody else looks.
 */

#ifndef VEIL_PROCESS_MASTER_STATE_H
#define VEIL_PROCESS_MASTER_STATE_H

#include "process/generation.h"
#include "process/master.h"

/*
 * Beyond the time for draining, after which keepers kill (see crew.c): when
 * the keeper has not turned its loop since it was told, and in any case.
 */
#define VEIL_MASTER_STUCK_MS 1000
#define VEIL_MASTER_GRACE_MS 10000

typedef struct {
    const veil_master_options_t *o;
    veil_launch_t launch; /* o's, or with the file of the last "reload" */
    char *conf_path;      /* that file, as its owner; NULL: there was none */
    veil_log_t log;
    veil_generation_log_t *log_files; /* behind log; NULL: standard error */
    int signals;
    int ready_fd;
    veil_hold_t hold;
    veil_list_t generations; /* of veil_generation_t, oldest first */
    veil_generation_t *loading;
    veil_generation_t *serving;
    uint64_t last_number;
    int text_fd;  /* of the last that served; -1 */
    int facts_fd; /* of the same, as of facts.h; -1 */
    bool first;   /* nothing has served yet */
    bool reload_wanted;
    bool stopping;
    uint64_t stopped_ms; /* since then */
    bool detached;       /* standard error is the log */
    uint64_t stop_ms;    /* shutdown_timeout of the last that served */
    unsigned deaths;     /* of keepers, in a row */
    uint64_t restart_ms; /* when to start from the kept text; 0: not */
    uint64_t began_ms;
    uint64_t began_number; /* of the first generation this master loads */
    char *pid_path;        /* NULL: not written */
    int status;            /* to exit with */
} veil_master_t;

extern veil_master_t veil_master;

/* --- master.c ------------------------------------------------------------ */

/* All generations end within that time; a later call may shorten it. */
void veil_master_stop(uint64_t timeout_ms);
/* The log becomes that of the generation. */
void veil_master_take_log(veil_generation_t *g);
/* Opens its logs anew and tells all others to; what is given is added to. */
typedef struct {
    unsigned files;
    unsigned failed; /* of these; each is logged */
} veil_master_reopened_t;
void veil_master_reopen_logs(veil_master_reopened_t *r);
/* With "daemon on" standard error becomes the log. */
void veil_master_detach_stderr(void);
/* Writes the pid file, and removes one of another name; VEIL_ERROR logged. */
veil_rc_t veil_master_write_pid_file(const char *path, const veil_log_t *log);
/* Forgets the pid file, which is another's now or is to be written anew. */
void veil_master_forget_pid_file(void);
/*
 * A reload as SIGHUP asks for it: now, or when what is being loaded serves or
 * has failed.
 */
void veil_master_reload(void);

/* --- master_load.c ------------------------------------------------------- */

/* What to load. */
typedef struct {
    veil_reload_cause_t cause;
    bool from_text;        /* the kept one, not the files */
    const char *conf_path; /* the main file from now on, if it is taken; or
                              NULL: the one before */
} veil_master_load_t;

/*
 * Starts a generation; nothing may be loading.  Its number, or 0 when that
 * failed, which is logged and planned for.
 */
uint64_t veil_master_load(const veil_master_load_t *what);
/* All workers of the generation are ready: it serves. */
void veil_master_switch(veil_generation_t *g);
/* It ended before it served; status as of waitpid(2). */
void veil_master_load_failed(veil_generation_t *g, int status);
/* It ends within that time, or sooner if it was told so before. */
void veil_master_drain(veil_generation_t *g, uint64_t timeout_ms);
void veil_master_kill(veil_generation_t *g);
/* Nothing serves: the text that did is started again, after a while. */
void veil_master_plan_restart(void);

/* --- generation_memory.c ------------------------------------------------- */

/*
 * A generation drains: from now on, and until none does, it is looked at now
 * and then how much memory they have.  More than the one that serves allows
 * is told in the log, once for as long as it is so and no other drains.
 */
void veil_generation_memory_watch(void);

/* --- master_children.c --------------------------------------------------- */

/* Takes note of all children that have ended. */
void veil_master_reap(void);
/* The last process of the generation has ended. */
void veil_master_forget(veil_generation_t *g);

#endif
