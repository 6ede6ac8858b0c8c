/*
 * generation.h -- a generation, as the master sees it.
 */

#ifndef VEIL_PROCESS_GENERATION_H
#define VEIL_PROCESS_GENERATION_H

#include "core/list.h"
#include "core/log.h"
#include "process/channel.h"
#include "process/control/audit_log.h"
#include "process/hold.h"
#include "process/message.h"
#include "process/prepare.h"
#include "process/reload/reload.h"

/* Files of one error log at most that the master writes to. */
#define VEIL_GENERATION_LOGS 8

typedef enum {
    VEIL_GENERATION_LOADING,  /* until READY */
    VEIL_GENERATION_SERVING,  /* there is one at most */
    VEIL_GENERATION_DRAINING, /* told to end */
    VEIL_GENERATION_ORPHANED  /* without a keeper; its workers end */
} veil_generation_state_t;

/* The master's error log: files of its own, received from a keeper. */
typedef struct {
    unsigned n;
    char *paths[VEIL_GENERATION_LOGS]; /* NULL: standard error */
    veil_log_file_t files[VEIL_GENERATION_LOGS];
    veil_log_sink_t sinks[VEIL_GENERATION_LOGS];
    veil_log_t log;
} veil_generation_log_t;

typedef struct veil_generation_s {
    veil_list_t link;
    veil_generation_state_t state;
    uint64_t number;
    pid_t keeper; /* 0 when it has ended */
    int channel;  /* -1 when it is closed */
    int text_fd;  /* the configuration; -1: not received */
    int facts_fd; /* as of facts.h; -1: not received */
    uint64_t started_ms;
    uint64_t end_ms;      /* when its time for draining is up; 0: none */
    uint64_t told_ms;     /* when it was told so */
    uint64_t look_ms;     /* then whether it is stuck; 0: not */
    uint64_t deadline_ms; /* then it is killed; 0: none */
    int block;            /* of its keeper, on the board; -1: none */
    bool first;           /* somebody looks at standard error */
    bool ready;           /* READY came */
    bool killed;          /* by the master */
    bool late;            /* its deadline has passed */
    bool served;
    bool quiet;      /* accepts no more connections */
    char *conf_path; /* as veil_master_load() was told; NULL: the usual */
    veil_reload_result_t *result; /* of its load; NULL when that is over */
    veil_settings_message_t settings;
    veil_generation_log_t *log; /* NULL when the master has taken it */
    veil_audit_sinks_t *audit;  /* NULL: none, or the master has them */
    pid_t *workers;             /* that have not ended */
    unsigned nworkers;
    unsigned max_workers; /* room */
} veil_generation_t;

typedef struct {
    const veil_launch_t *launch;
    uint64_t number;
    int text_fd; /* of the text to use; stays the caller's; -1: the files */
    /* Of what serves, to compare with; the caller's; -1: nothing. */
    int running_text_fd;
    int running_facts_fd;
    bool first;
    bool detach;
    const veil_log_t *log;
    veil_reload_result_t *result; /* where to note what is wrong */
} veil_generation_options_t;

/* Forks the keeper.  NULL after logging. */
veil_generation_t *veil_generation_start(const veil_generation_options_t *o);

/*
 * Reads and answers what the keeper has sent; READY is noted in g->ready.
 * Returns false when the channel has ended, which closes it.
 */
bool veil_generation_receive(veil_generation_t *g, veil_hold_t *hold,
                             const veil_log_t *log);

void veil_generation_send(veil_generation_t *g, veil_message_type_t type,
                          const void *data, size_t len, const veil_log_t *log);

/* Workers that are known to be alive. */
unsigned veil_generation_workers(const veil_generation_t *g);
/* The keeper is dead: forgets those that it has buried and not told of. */
void veil_generation_inherit(veil_generation_t *g);
/* A child of the master has ended: whether it was one of its workers. */
bool veil_generation_forget_worker(veil_generation_t *g, pid_t pid);
/* Sends the signal to the keeper and to all workers. */
void veil_generation_signal(const veil_generation_t *g, int signo);

/* Closes and frees everything; *g becomes NULL. */
void veil_generation_free(veil_generation_t **g);

void veil_generation_log_free(veil_generation_log_t **log);

#endif
