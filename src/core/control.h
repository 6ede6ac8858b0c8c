/*
 * control.h -- verbs of the control socket, as modules declare them.
 *
 * A module's table (veil_module_t.control) says of each verb who may use it,
 * in which process it is carried out, and what arguments it has.  The process
 * layer does the rest: it reads the line of JSON, checks the caller's role
 * and the arguments by the table, carries the call to the processes, keeps
 * the deadline, gathers the answers and writes the audit record.  The same
 * table makes veilctl's command line, its help, its completion and its man
 * page.
 *
 *     client --line--> master --CONTROL--> keeper --CONTROL--> workers
 *                        |       run()        |      run() or worker()
 *                        <-------------- ANSWER <-------------- ANSWER
 *
 * A call lives in the process that runs it, from run() to its answer.  A
 * function that cannot answer at once returns VEIL_CONTROL_LATER and says
 * veil_control_done() when it can; until then the call is valid.  Master and
 * keeper have no loop: what they do later is core/due.h's.  Nobody
 * waits beyond the deadline: the caller is answered E_TIMEOUT by the master,
 * whatever the processes do.
 */

#ifndef VEIL_CORE_CONTROL_H
#define VEIL_CORE_CONTROL_H

#include <jansson.h>

#include "core/list.h"
#include "core/module.h"

/* Who may: each role may what those before it may. */
typedef enum {
    VEIL_CONTROL_READ,    /* looks */
    VEIL_CONTROL_OPERATE, /* states, drains, logs, workers */
    VEIL_CONTROL_ADMIN    /* configuration, certificates, upgrade, stop */
} veil_control_role_t;

/* Where run() is called. */
typedef enum {
    VEIL_CONTROL_IN_MASTER,
    VEIL_CONTROL_IN_KEEPER,      /* of the generation that serves */
    VEIL_CONTROL_IN_WORKERS,     /* all of that generation */
    VEIL_CONTROL_IN_ALL_WORKERS, /* and of those that drain */
    VEIL_CONTROL_IN_ONE_WORKER,  /* the first that answers */
    VEIL_CONTROL_IN_ANY_WORKER   /* the same of those that drain, too */
} veil_control_place_t;

typedef enum {
    VEIL_CONTROL_STRING,
    VEIL_CONTROL_NUMBER, /* a whole one, not negative */
    VEIL_CONTROL_FLAG,   /* true or false; veilctl: --name */
    VEIL_CONTROL_TIME,   /* number of seconds, or "1h 30s"; run() gets ms */
    VEIL_CONTROL_WORD    /* one of .words */
} veil_control_type_t;

/* Flags of an argument. */
#define VEIL_CONTROL_REQUIRED 0x01u
#define VEIL_CONTROL_POSITION 0x02u /* veilctl takes it without its name */
#define VEIL_CONTROL_FILE 0x04u     /* a path: veilctl makes it absolute */
#define VEIL_CONTROL_SECRET 0x08u   /* its value is in no log */

typedef struct {
    const char *name; /* NULL ends the table; "max_conns" */
    veil_control_type_t type;
    unsigned flags;
    const char *words; /* "ready|drain|down" */
    const char *help;
} veil_control_arg_t;

/* Flags of a verb. */
#define VEIL_CONTROL_CHANGES 0x01u  /* takes dry_run and if_gen, is audited */
#define VEIL_CONTROL_PERSISTS 0x02u /* takes persist */
#define VEIL_CONTROL_STREAMS 0x04u  /* goes on until the client ends it */
#define VEIL_CONTROL_SLOW 0x08u /* without a deadline unless one is asked */

/* What run() returns. */
typedef enum {
    VEIL_CONTROL_DONE,   /* call->data is the answer (NULL: an empty object) */
    VEIL_CONTROL_FAILED, /* after veil_control_fail() */
    VEIL_CONTROL_LATER,  /* veil_control_done() will be called */
    /*
     * In a keeper: go on in the workers, with verb->worker and what
     * veil_control_forward() was given.
     */
    VEIL_CONTROL_FORWARD
} veil_control_rc_t;

typedef struct veil_control_call_s veil_control_call_t;
typedef struct veil_control_verb_s veil_control_verb_t;

typedef veil_control_rc_t veil_control_run_fn(veil_control_call_t *call);

struct veil_control_verb_s {
    const char *name; /* NULL ends the table; "server.set" */
    veil_control_role_t role;
    veil_control_place_t place;
    /*
     * For a verb of the master or the keeper: which of the two it is with
     * these arguments, which are checked.  NULL: .place, always.
     */
    veil_control_place_t (*place_for)(const json_t *args);
    unsigned flags;
    const veil_control_arg_t *args; /* NULL: none */
    /*
     * In the master, before others are asked (not of a verb of the master).
     * What it sends to them they get before the call.
     */
    void (*before)(const json_t *args, bool dry_run);
    veil_control_run_fn *run;
    veil_control_run_fn *worker; /* after VEIL_CONTROL_FORWARD */
    /*
     * In the master: what workers said as one answer, a new reference.
     * answers is an array of {"worker", "generation", "pid", "data"}, those
     * that succeeded; args is the call's.  NULL: the array itself.
     */
    json_t *(*gather)(const json_t *args, const json_t *answers);
    /*
     * In the master, for the audit record: what was changed, a new reference
     * to {"before": {...}, "after": {...}}, values by name; either may be
     * absent or null.  data is the answer's.  NULL: it is of this form.
     */
    json_t *(*changed)(const json_t *args, const json_t *data);
    const char *help; /* one sentence */
};

/* A call, in the process that carries it out. */
struct veil_control_call_s {
    veil_list_t link; /* of those under way */
    const veil_control_verb_t *verb;
    json_t *args;         /* checked; an object */
    bool dry_run;         /* check everything, change nothing */
    bool persist;         /* VEIL_CONTROL_PERSISTS */
    uint64_t deadline_ms; /* of veil_now_ms(); 0: none */
    /* The answer, or the details of a failure; run()'s to set. */
    json_t *data;
    json_t *forward;  /* for the workers */
    const char *code; /* "E_NOT_FOUND": set by veil_control_fail() */
    char msg[512];
    char hint[256];
    bool is_volatile; /* lost at a restart, or sooner: it is told */
    /* While it is LATER. */
    void *ctx;     /* the verb's own */
    bool owns_ctx; /* of veil_alloc(): freed with the call */
    /* The caller is gone or the time is up: stop, and do not say done. */
    void (*cancel)(veil_control_call_t *call);
    /*
     * In the master, when another one serves, before cancel(): arguments, a
     * new reference, with which the verb goes on there.  NULL: as it began.
     */
    json_t *(*moved)(const veil_control_call_t *call);
    /* The process layer's. */
    uint64_t id;
    void (*finish)(veil_control_call_t *call, veil_control_rc_t rc);
    void (*say)(veil_control_call_t *call, json_t *line);
    bool (*is_behind)(const veil_control_call_t *call);
    void *owner;
};

/*
 * Codes that are not a verb's own.  Scripts rely on them: they are never
 * renamed.  A verb may have others, of the form E_WORDS.
 */
#define VEIL_E_ARGUMENT "E_ARGUMENT"   /* wrong, missing, unknown */
#define VEIL_E_NOT_FOUND "E_NOT_FOUND" /* what the arguments name */
#define VEIL_E_CONFLICT "E_CONFLICT"   /* if_gen; something under way */
#define VEIL_E_INVALID "E_INVALID"     /* a file, a state, a configuration */
#define VEIL_E_IO "E_IO"
#define VEIL_E_TIMEOUT "E_TIMEOUT"
#define VEIL_E_FAILED "E_FAILED" /* it was tried and did not work */
#define VEIL_E_MOVED "E_MOVED"   /* another master serves: ask that one */

/* Notes why; returns VEIL_CONTROL_FAILED. */
veil_control_rc_t veil_control_fail(veil_control_call_t *call,
                                    const char *code, const char *fmt, ...)
    VEIL_PRINTF(3, 4);
/* What the caller could do about it. */
void veil_control_hint(veil_control_call_t *call, const char *fmt, ...)
    VEIL_PRINTF(2, 3);
/*
 * Takes over args, for verb->worker; returns VEIL_CONTROL_FORWARD.  A number
 * in args by the name of VEIL_CONTROL_ONLY_PID: to that worker alone.
 */
#define VEIL_CONTROL_ONLY_PID "only_pid"
veil_control_rc_t veil_control_forward(veil_control_call_t *call,
                                       json_t *args);
/* Ends a call that was LATER; it is freed. */
void veil_control_done(veil_control_call_t *call, veil_control_rc_t rc);
/*
 * The client does not keep up: what goes on for ever should leave lines out
 * rather than say more.  Known in the master only.
 */
bool veil_control_is_behind(const veil_control_call_t *call);
/* Takes over line: one of many that a streaming or slow call sends. */
void veil_control_say(veil_control_call_t *call, json_t *line);

/*
 * Arguments by name, as the table has typed them.  Absent ones: NULL, or the
 * value given.  Texts live as long as call->args.
 */
const char *veil_control_text(const veil_control_call_t *call,
                              const char *name);
int64_t veil_control_number(const veil_control_call_t *call, const char *name,
                            int64_t absent);
bool veil_control_flag(const veil_control_call_t *call, const char *name);
bool veil_control_has(const veil_control_call_t *call, const char *name);

/*
 * A text from outside as JSON, which is UTF-8: of what is none, bytes beyond
 * ASCII become "?".
 */
json_t *veil_control_string(veil_str_t s);

/* Where the verb is carried out with these arguments. */
static inline veil_control_place_t
veil_control_place(const veil_control_verb_t *verb, const json_t *args)
{
    return verb->place_for != NULL ? verb->place_for(args) : verb->place;
}

/*
 * For verb->gather, when all workers say the same: the first one's data, and
 * "workers", how many there were.  A new reference.
 */
json_t *veil_control_gather_first(const json_t *args, const json_t *answers);

/* The verb of this name in all modules; NULL: there is none. */
const veil_control_verb_t *veil_control_verb(veil_str_t name);
/* All of them, in the order of modules: the first is i = 0; NULL: the end. */
const veil_control_verb_t *veil_control_verb_at(unsigned i);

/*
 * Checks args against the verb's table and replaces times by milliseconds in
 * place.  False after noting the reason in call.
 */
bool veil_control_check_args(veil_control_call_t *call);

/*
 * Something happened that those who watch want to know: "server.down",
 * "generation.serving".  Takes over data (may be NULL).  In a worker or
 * keeper it travels to the master, which numbers it; never blocks, and may
 * be lost when nobody reads (the loss is counted and told).
 */
void veil_control_event(const char *kind, json_t *data);
/*
 * The process layer's, for "wait gen-drained": 1 when the generation and all
 * before it are gone, 0 when not, -1 when there never was one.
 */
extern int (*veil_control_gen_drained)(uint64_t generation);
/* The process layer's: where events go. */
extern void (*veil_control_event_sink)(const char *kind, json_t *data);

#endif
