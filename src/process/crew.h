/*
 * crew.h -- the workers of one generation, as their keeper sees them.
 */

#ifndef VEIL_PROCESS_CREW_H
#define VEIL_PROCESS_CREW_H

#include <poll.h>

#include "core/cycle.h"
#include "process/control/control.h"

typedef struct {
    unsigned workers;
    int up;               /* channel to the master: workers close it */
    int signals;          /* likewise */
    bool detach;          /* as of veil_worker_options_t */
    uint64_t drain_ms;    /* of a worker that is replaced */
    uint64_t watchdog_ms; /* worker_watchdog; 0: off */
    const veil_log_t *log;
} veil_crew_options_t;

/* Once in a process. */
void veil_crew_init(const veil_crew_options_t *options);

/* Forks all workers; VEIL_ERROR after logging. */
veil_rc_t veil_crew_fork_all(void);
/* All of them are prepared (and wait for START, or serve). */
bool veil_crew_is_ready(void);
/* From here on: workers accept, and one that ends is replaced. */
void veil_crew_start(void);
/*
 * Workers finish within that time and are not replaced; later calls may
 * shorten it.  Those that do not end even then are killed.
 */
void veil_crew_drain(uint64_t timeout_ms);
/*
 * Makes another worker for the slot; when that serves, the one before
 * drains.  Then fn is told 0 and both pids (was: 0 if there was none), or
 * -ECHILD, the new one having ended before it was ready, or -ECANCELED, as
 * the generation ends; it may restart another slot.  Returns 0 or -errno,
 * fn is not called then: -ENOENT, there is no such slot; -EBUSY, it is being
 * started or restarted, or the generation does not serve.
 */
typedef void veil_crew_restarted_fn(void *data, int rc, pid_t was, pid_t is);
int veil_crew_restart(unsigned slot, veil_crew_restarted_fn *fn, void *data);
/* Stays with the one there is, if it is not too late; fn is not called. */
void veil_crew_restart_cancel(unsigned slot);
/* The process that has the slot; 0: none now. */
pid_t veil_crew_pid(unsigned slot);
unsigned veil_crew_slots(void);
/* Sends a message to all that are there. */
void veil_crew_tell(veil_message_type_t type, const void *data, size_t len);
/* Opens the logs anew and hands the descriptors to all. */
void veil_crew_reopen_logs(veil_cycle_t *cycle);
/* [[slot, pid], ...] of those that can be asked; a new reference. */
json_t *veil_crew_pids(void);
/* Hands a call to one of them; 0 or -errno, never waits. */
int veil_crew_control(pid_t pid, const veil_control_message_t *m,
                      const json_t *args);
/* Hands a message CANCEL to all. */
void veil_crew_cancel(const veil_message_t *m);
/* None accepts connections: after veil_crew_drain(). */
bool veil_crew_is_quiet(void);
/* Processes that have not ended. */
unsigned veil_crew_alive(void);

/*
 * A child of this process has ended.  False: it was a worker that had not
 * got ready in a generation that has not started; that cannot go on.
 */
bool veil_crew_reap(pid_t pid, int status);

/* What to poll: at most one entry for each worker; returns how many. */
unsigned veil_crew_poll(struct pollfd *fds);
/* The entries as poll(2) left them. */
void veil_crew_polled(const struct pollfd *fds, unsigned n);

/*
 * The listening sockets, as far as they are to be polled now, beside the
 * above; never more than max.
 */
unsigned veil_crew_lookout_max(void);
unsigned veil_crew_lookout_poll(struct pollfd *fds);
void veil_crew_lookout_polled(const struct pollfd *fds, unsigned n);

/* Milliseconds until something is due; -1: nothing is. */
int veil_crew_timeout(uint64_t now_ms);
void veil_crew_run_due(uint64_t now_ms);

#endif
