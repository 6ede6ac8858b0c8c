/*
 * loop.h -- one turn of the loop, posted work, the life of ops and handles.
 *
 * A worker has one loop.  A turn is: wait for completions (or the next
 * timer), update the clock, call done() for each completion, run due timers,
 * run posted work, close what may be closed, reap retired pools.
 */

#ifndef VEIL_EVENT_LOOP_H
#define VEIL_EVENT_LOOP_H

#include "core/log.h"
#include "event/op.h"
#include "event/timer.h"

typedef struct veil_backend_s veil_backend_t;
typedef struct veil_rxpool_s veil_rxpool_t;
typedef struct veil_post_s veil_post_t;
typedef void veil_post_fn(veil_post_t *post);

/* Work to be done by the loop soon: later in this turn or in the next. */
struct veil_post_s {
    veil_list_t link;
    veil_post_fn *run;
};

typedef struct {
    const char *backend;  /* "auto", "io_uring", "epoll", "sim" */
    unsigned connections; /* expected at most: sizes rings and tables */
    size_t buffer_size;   /* of one receive block; a power of two is best */
    unsigned buffers;     /* number of receive blocks; 0: from connections */
    const veil_log_t *log;
} veil_loop_options_t;

struct veil_loop_s {
    uint32_t magic;
    const veil_backend_t *backend;
    void *backend_data;
    const veil_log_t *log;
    veil_wheel_t *wheel;
    veil_list_t posted;
    veil_list_t handles;  /* open, or closing with an op in flight */
    veil_list_t closing;  /* handles that are to be closed this turn */
    veil_list_t finished; /* ops by wait; their result is known */
    unsigned nops;        /* not idle */
    unsigned nhandles;    /* initialised and not closed */
    bool dispatching;     /* completions are being delivered */
    bool in_done;         /* a done() is running */
    bool stop;
    uint64_t turns;
    veil_rxpool_t *rx; /* receive blocks, see uring_buf.h */
    /*
     * NULL, or who makes blocking calls on files in threads: asked from
     * within a turn by back ends that cannot wait for files themselves, for
     * OPENAT, STATX, and READ and WRITE with an offset.  True when it took
     * the op; it then ends it by veil_op_finish(), cancelled or not.
     */
    bool (*offload)(veil_loop_t *loop, veil_op_t *op);
    void *offload_data;
};

#define VEIL_LOOP_MAGIC 0x4c4f4f50u

/*
 * Creates the loop of this process.  With "auto" io_uring is tried first
 * (kernel 6.1 or newer, not forbidden) and epoll taken otherwise; why is
 * logged at notice.  NULL after logging when the back end asked for cannot
 * be had.  Ignores SIGPIPE in this process, as not every call has a flag
 * against it.  Call after fork: a ring belongs to the process that made it.
 */
veil_loop_t *veil_loop_create(const veil_loop_options_t *options);
/* No handle may be left, and no received block be held. */
void veil_loop_destroy(veil_loop_t **loop);

/* One turn; waits at most max_ms (-1: until something happens). */
void veil_loop_turn(veil_loop_t *loop, int max_ms);
/* Turns until veil_loop_stop(), which ends the turn it is called in. */
void veil_loop_run(veil_loop_t *loop);
void veil_loop_stop(veil_loop_t *loop);

/* Initialises; posting a posted one is harmless. */
void veil_post_init(veil_post_t *post, veil_post_fn *run);
void veil_post(veil_loop_t *loop, veil_post_t *post);
void veil_post_cancel(veil_post_t *post);
static inline bool
veil_post_is_posted(const veil_post_t *post)
{
    return veil_list_is_linked(&post->link);
}

/* Whether fewer than a quarter of the receive blocks are free: copy then. */
bool veil_loop_is_short_of_buffers(const veil_loop_t *loop);

/* Writes one line for each op in flight through print (report at exit). */
unsigned veil_loop_report(const veil_loop_t *loop, veil_pool_report_fn *print,
                          void *data);

/*
 * Private to back ends and offload: from here on, what follows.
 *
 * The only way an op completes; called from within wait() only, and never
 * from a done().
 */
void veil_op_complete(veil_op_t *op, int res, bool more);
/*
 * The op, which no kernel and no list of the back end knows any longer, is
 * to complete with res: at the beginning of the next turn.
 */
void veil_op_finish(veil_op_t *op, int res);
/*
 * Notes that n more bytes of a SEND, SENDV, SENDFILE or RECV_EXACT moved;
 * true when that was the rest.
 */
bool veil_op_advance(veil_op_t *op, size_t n);
/*
 * How long a back end may sleep now, in ms: at most max_ms, not beyond the
 * next timer, and not at all when the loop has something to do; -1: for ever.
 * To be asked right before, as every done() may change it.
 */
int veil_loop_timeout(const veil_loop_t *loop, int max_ms);
/*
 * Takes an idle handle off its back end and the loop; returns the descriptor.
 * Its pool stays pinned if it is.
 */
int veil_handle_detach(veil_handle_t *h);
/* Prints the op whose done() is running, for the panic report. */
size_t veil_op_panic_print(char *buf, size_t n);

#endif
