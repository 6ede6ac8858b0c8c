/*
 * crew_state.h -- what the files of the crew share; nobody else looks.
 */

#ifndef VEIL_PROCESS_CREW_STATE_H
#define VEIL_PROCESS_CREW_STATE_H

#include "core/list.h"
#include "process/crew.h"

/*
 * Beyond the time for draining it is killed: when its loop has not turned
 * since, for that long, and in any case.
 */
#define VEIL_CREW_STUCK_MS 1000
#define VEIL_CREW_GRACE_MS 5000

typedef enum {
    CREW_STARTING,
    CREW_READY,
    CREW_SERVING,
    CREW_DRAINING /* another one has its slot, or the generation ends */
} crew_state_t;

/* A worker process. */
typedef struct {
    veil_list_t link; /* of all, the oldest first */
    unsigned slot;
    unsigned place; /* no other has it */
    crew_state_t state;
    pid_t pid;
    int channel; /* -1 when it closed it */
    int block;   /* of the board; -1: none */
    uint64_t started_ms;
    uint64_t kill_ms;    /* it is to have done its part by then; 0: no limit */
    uint64_t end_ms;     /* when its time for draining is up */
    uint64_t look_ms;    /* then whether it is stuck; 0: not, or it was not */
    uint64_t excused_ms; /* was seen with a debugger then; 0: never */
    uint64_t told_ms;    /* to look for clients; 0: never */
    bool killed;         /* by the keeper */
    bool stuck;          /* because its loop did not turn */
    bool quiet;          /* accepts no more */
} crew_process_t;

/* A worker's number, and its share of the sockets. */
typedef struct {
    crew_process_t *now;  /* that serves or will; NULL: absent */
    crew_process_t *next; /* is to take over when it is ready; NULL */
    unsigned deaths;
    uint64_t respawn_ms; /* when to fork again; 0: not */
    int adopter;         /* the slot whose worker has this one's; -1 */
    veil_crew_restarted_fn *restarted; /* NULL: nobody asked */
    void *restarted_data;
    pid_t replaced; /* by next; 0: nobody was there */
} crew_slot_t;

typedef struct {
    veil_crew_options_t o;
    crew_slot_t *slots;
    veil_list_t processes; /* of crew_process_t */
    bool started;
    bool draining;
} veil_crew_t;

extern veil_crew_t veil_crew;

/* --- crew.c */

void veil_crew_send(const crew_process_t *p, veil_message_type_t type,
                    const void *data, size_t len, const int *fds,
                    unsigned nfds);
/* It is prepared. */
void veil_crew_on_ready(crew_process_t *p);
void veil_crew_kill(crew_process_t *p);
/* Another worker takes the slot's sockets until its own is back. */
void veil_crew_adopt(unsigned slot);

static inline crew_process_t *
veil_crew_process(veil_list_t *link)
{
    return veil_list_entry(link, crew_process_t, link);
}

/* --- crew_lookout.c */

/* When the sockets are to be looked at; 0: when a client comes. */
uint64_t veil_crew_lookout_due(void);
void veil_crew_lookout(uint64_t now_ms);

/* --- crew_watch.c */

/* When a process may have to be killed; 0: none will. */
uint64_t veil_crew_watch_due(void);
void veil_crew_watch(uint64_t now_ms);
/* It has been reaped. */
void veil_crew_watch_ended(const crew_process_t *p);

#endif
