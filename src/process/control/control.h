/*
 * control.h -- calls of control verbs, as they travel between processes.
 *
 *     client --> control_server.c   sockets, lines, limits      master
 *            --> control_request.c  what it says, who may        master
 *            --> control_task.c     asks, keeps deadlines       master
 *            --> control_call.c     runs a verb                 any process
 *            --> control_keeper.c   hands calls to workers      keeper
 *
 * A call has an id that the master gives.  Whoever carries it out answers
 * with that id; answers that nobody waits for any more are dropped.
 */

#ifndef VEIL_PROCESS_CONTROL_H
#define VEIL_PROCESS_CONTROL_H

#include <sys/types.h>

#include "core/control.h"
#include "process/channel.h"

/* "listener.set": longest name of a verb, with its end. */
#define VEIL_CONTROL_VERB_MAX 48
#define VEIL_CONTROL_CODE_MAX 32

/* CONTROL: the head; the arguments follow as JSON. */
typedef struct {
    uint64_t id;
    uint64_t deadline_ms; /* of veil_now_ms(), one clock for all; 0: none */
    bool dry_run;
    bool persist;
    bool second; /* verb->worker, not verb->run */
    char verb[VEIL_CONTROL_VERB_MAX];
} veil_control_message_t;

typedef enum {
    VEIL_ANSWER_DONE,   /* JSON: the data */
    VEIL_ANSWER_FAILED, /* JSON: {"msg", "hint"} */
    VEIL_ANSWER_LINE,   /* JSON: a line; more follows */
    VEIL_ANSWER_EXPECT  /* JSON: [[slot, pid], ...]: who will answer */
} veil_answer_kind_t;

/* Who answers that is no worker. */
#define VEIL_ANSWER_NO_WORKER ((unsigned) -1)

/* ANSWER: the head; JSON follows. */
typedef struct {
    uint64_t id;
    uint64_t generation;
    unsigned worker; /* slot, or VEIL_ANSWER_NO_WORKER */
    pid_t pid;
    veil_answer_kind_t kind;
    bool is_volatile;
    char code[VEIL_CONTROL_CODE_MAX]; /* of FAILED */
} veil_answer_message_t;

/* CANCEL */
typedef struct {
    uint64_t id;
} veil_cancel_message_t;

/* EVENT: the head; JSON follows. */
typedef struct {
    uint64_t generation;
    uint64_t lost;   /* events before this one */
    unsigned worker; /* slot, or VEIL_ANSWER_NO_WORKER */
    pid_t pid;
    char kind[VEIL_CONTROL_VERB_MAX];
} veil_event_message_t;

/*
 * Sends a head with JSON behind it (NULL: none); what is too large for a
 * message travels in a memfd.  Never waits: 0 or -errno, -EAGAIN when the
 * other end does not read.
 */
int veil_control_send(int fd, veil_message_type_t type, const void *head,
                      size_t head_len, const json_t *json);
/*
 * The JSON behind a head of that length, a new reference; json_null() when
 * there is none, NULL when it is broken.
 */
json_t *veil_control_take(const veil_message_t *m, size_t head_len);

/* --- in any process: control_call.c -------------------------------------- */

/* Where answers go; json stays the caller's. */
typedef void veil_control_answer_fn(const veil_answer_message_t *head,
                                    const json_t *json);

typedef struct {
    veil_control_answer_fn *answer;
    /*
     * The call goes on in the workers with args (a keeper); NULL: there are
     * none below.
     */
    void (*forward)(const veil_control_message_t *m, json_t *args);
    /* The client of this call does not keep up with its lines; NULL: ask
     * nobody. */
    bool (*is_behind)(uint64_t id);
    uint64_t generation;
    unsigned worker;
} veil_control_calls_t;

/* Once in a process, after its fork; calls of the parent are forgotten. */
void veil_control_calls_init(const veil_control_calls_t *options);
/* Runs the verb, unless its time is up; takes over args. */
void veil_control_calls_run(const veil_control_message_t *m, json_t *args);
/* The same for a message received. */
void veil_control_calls_message(const veil_message_t *m);
void veil_control_calls_cancel(uint64_t id);
/* How the call goes on with another master: arguments, or NULL: as it began.
 */
json_t *veil_control_calls_moved(uint64_t id);
/* Cancels all. */
void veil_control_calls_stop(void);

/*
 * Sends events of this process through the channel; -1: no more.  An event is
 * lost rather than sent while so many bytes are on their way: answers must
 * not wait behind events.
 */
#define VEIL_CONTROL_EVENTS_QUEUED ((size_t) 65536)
void veil_control_events_to(int channel, uint64_t generation, unsigned worker);

/* --- in a keeper: control_keeper.c --------------------------------------- */

/* Once, before workers are forked. */
void veil_control_keeper_init(int up, uint64_t generation,
                              const veil_log_t *log);
/* CONTROL and CANCEL from the master. */
void veil_control_keeper_message(veil_message_t *m);

/* --- in the master: control_task.c ------------------------------------- */

typedef struct veil_generation_s veil_generation_t;

/* ANSWER and EVENT of a generation. */
void veil_control_answer(veil_generation_t *g, const veil_message_t *m);
void veil_control_event_message(const veil_message_t *m);
/* The process has ended: it will not answer what it was asked. */
void veil_control_process_ended(pid_t pid);
/* The keeper has ended. */
void veil_control_generation_ended(uint64_t generation);

#endif
