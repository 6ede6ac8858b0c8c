/*
 * backend.h -- what a back end implements.
 *
 * Completion is the model above; readiness stays inside epoll.c.  A back end
 * re-submits what a send left over, waits for buffers, retries EINTR and
 * EAGAIN, and reports each op's end exactly once, from wait() only.
 */

#ifndef VEIL_EVENT_BACKEND_H
#define VEIL_EVENT_BACKEND_H

#include "event/loop.h"

struct veil_backend_s {
    const char *name;
    /* 0 or -errno; then nothing is left behind. */
    int (*init)(veil_loop_t *loop, const veil_loop_options_t *options);
    /* What that error of init() means, in words. */
    const char *(*explain)(int error);
    void (*done)(veil_loop_t *loop);
    /* Cannot fail: what does not fit waits. */
    void (*start)(veil_loop_t *loop, veil_op_t *op);
    /* op->cancel is set; called once for an op. */
    void (*cancel)(veil_loop_t *loop, veil_op_t *op);
    /* No op is left; close(2) follows. */
    void (*forget)(veil_loop_t *loop, veil_handle_t *h);
    /*
     * Submits, waits as long as veil_loop_timeout(loop, max_ms) says,
     * updates the clock, completes.  A signal may end it early.
     */
    void (*wait)(veil_loop_t *loop, int max_ms);
};

extern const veil_backend_t veil_backend_uring;
extern const veil_backend_t veil_backend_epoll;
extern const veil_backend_t veil_backend_sim;

#endif
