/*
 * offload.h -- threads for calls that block: path look-ups, getaddrinfo, the
 * signing of large keys.
 *
 * A job is embedded in its owner, as an op is: run() is called on a thread,
 * done() afterwards by the loop.  The job's pool is pinned in between.
 * Threads are started on first use and are few (VEIL_OFFLOAD_THREADS).
 */

#ifndef VEIL_EVENT_OFFLOAD_H
#define VEIL_EVENT_OFFLOAD_H

#include "event/loop.h"

#define VEIL_OFFLOAD_THREADS 4

typedef struct veil_job_s veil_job_t;

struct veil_job_s {
    veil_list_t link;
    void (*run)(veil_job_t *job);  /* on a thread: no pools, no logs */
    void (*done)(veil_job_t *job); /* by the loop; may free the job */
    veil_loop_t *loop;
    veil_pin_t pin;
    int res; /* run()'s to set, done()'s to read */
    bool busy;
};

/*
 * The job is zeroed before its first use, run and done set; it may be used
 * again once done() was called.  pool may be NULL: then the job lives until
 * done() by other means.  Cannot fail.
 */
void veil_offload(veil_loop_t *loop, veil_pool_t *pool, veil_job_t *job);
/*
 * Waits for the jobs there are, calls their done(), ends the threads and
 * turns the loop until nothing of them is left: at a worker's exit, not from
 * a callback.  done() may start no new job.  The next veil_offload() starts
 * threads anew.
 */
void veil_offload_stop(veil_loop_t *loop);
/* Whether done() is called by veil_offload_stop(). */
bool veil_offload_is_stopping(void);
/*
 * From now on the loop's OPENAT, STATX, READ and WRITE do not block it: where
 * the back end cannot wait for files (epoll, sim) they are done on threads.
 * To be called once, after the loop was created; no effect with io_uring.
 */
void veil_offload_ops(veil_loop_t *loop);
/* Jobs queued or running. */
unsigned veil_offload_busy(void);

#endif
