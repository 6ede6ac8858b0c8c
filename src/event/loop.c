/*
 * loop.c -- the loop: its back end, one turn of it, posted work.
 *
 * Timers are run when the kernel was asked after they were due.  A process
 * that did not run for a while, as others did or it was stopped, would else
 * take what has arrived meanwhile for late.
 *
 * Posted work runs after completions and timers.  What it posts itself runs
 * in the same turn for a few rounds, then in the next, so that nobody can
 * keep the loop from the kernel.
 */

#include "core/platform.h"

#include <signal.h>

#include "core/assert.h"
#include "core/board.h"
#include "core/metric.h"
#include "core/pool.h"
#include "core/time.h"
#include "event/backend.h"
#include "event/loop.h"
#include "event/uring_buf.h"

enum { LOOP_TURNS, LOOP_OPS, LOOP_HANDLES, LOOP_BUFFERS, LOOP_POOLS };

static veil_metric_t loop_metrics[] = {
    [LOOP_TURNS] = VEIL_COUNTER("veil_loop_turns_total", NULL,
                                "Turns of the workers' loops."),
    [LOOP_OPS] =
        VEIL_GAUGE("veil_ops_in_flight", NULL, "Operations under way."),
    [LOOP_HANDLES] =
        VEIL_GAUGE("veil_handles_open", NULL,
                   "Descriptors that the workers' loops look after."),
    [LOOP_BUFFERS] = VEIL_GAUGE("veil_io_buffers_in_use", NULL,
                                "Receive buffers that are in use."),
    [LOOP_POOLS] = VEIL_GAUGE("veil_pools_in_use", NULL,
                              "Pools of memory that are in use."),
};
VEIL_METRICS(loop_metrics);

#define LOOP_POST_ROUNDS 8

static bool
loop_try(veil_loop_t *loop, const veil_backend_t *backend,
         const veil_loop_options_t *options, bool is_last)
{
    int r;

    loop->backend = backend;
    r = backend->init(loop, options);
    if (r >= 0) {
        return true;
    }
    loop->backend = NULL;
    if (is_last) {
        veil_log(loop->log, VEIL_LOG_EMERG, -r,
                 "the \"%s\" back end cannot be used: %s", backend->name,
                 backend->explain(r));
    } else {
        veil_log(loop->log, VEIL_LOG_NOTICE, -r,
                 "the \"%s\" back end cannot be used: %s", backend->name,
                 backend->explain(r));
    }
    return false;
}

/* Sets loop->backend, ready for use; false after logging. */
static bool
loop_choose(veil_loop_t *loop, const veil_loop_options_t *options)
{
    static const veil_backend_t *const all[] = { &veil_backend_uring,
                                                 &veil_backend_epoll,
                                                 &veil_backend_sim };
    size_t i;

    if (options->backend == NULL || strcmp(options->backend, "auto") == 0) {
        return loop_try(loop, &veil_backend_uring, options, false)
               || loop_try(loop, &veil_backend_epoll, options, true);
    }
    for (i = 0; i < veil_countof(all); i++) {
        if (strcmp(options->backend, all[i]->name) == 0) {
            return loop_try(loop, all[i], options, true);
        }
    }
    veil_log(loop->log, VEIL_LOG_EMERG, 0, "there is no back end \"%s\"",
             options->backend);
    return false;
}

/* A block for a quarter of the connections; few have data at one time. */
static unsigned
loop_buffers(const veil_loop_options_t *options)
{
    unsigned n = options->buffers;

    if (n == 0) {
        n = options->connections / 4;
        n = n < 64 ? 64 : n > 4096 ? 4096 : n;
    }
    return n;
}

veil_loop_t *
veil_loop_create(const veil_loop_options_t *options)
{
    static bool registered;
    veil_loop_t *loop = veil_zalloc(sizeof(*loop));

    if (!registered) {
        registered = true;
        veil_panic_register("current operation", veil_op_panic_print);
    }
    (void) signal(SIGPIPE, SIG_IGN); /* fails for unknown signals only */
    veil_time_update();

    loop->magic = VEIL_LOOP_MAGIC;
    loop->log = options->log == NULL ? &veil_log_stderr : options->log;
    veil_list_init(&loop->posted);
    veil_list_init(&loop->handles);
    veil_list_init(&loop->closing);
    veil_list_init(&loop->finished);
    loop->wheel = veil_wheel_create(veil_now_ms());
    loop->rx = veil_rxpool_create(
        options->buffer_size == 0 ? 16384 : options->buffer_size,
        loop_buffers(options));
    if (!loop_choose(loop, options)) {
        veil_rxpool_destroy(&loop->rx);
        veil_wheel_destroy(&loop->wheel);
        veil_free(loop);
        return NULL;
    }
    veil_log(loop->log, VEIL_LOG_NOTICE, 0, "using the \"%s\" back end",
             loop->backend->name);
    return loop;
}

void
veil_loop_destroy(veil_loop_t **loopp)
{
    veil_loop_t *loop = *loopp;

    *loopp = NULL;
    VEIL_CHECK(loop, VEIL_LOOP);
    VEIL_ASSERT(!loop->dispatching);
    VEIL_ASSERT(loop->nops == 0);
    VEIL_ASSERT(loop->nhandles == 0);
    loop->backend->done(loop);
    veil_rxpool_destroy(&loop->rx);
    veil_wheel_destroy(&loop->wheel);
    loop->magic = VEIL_MAGIC_DEAD;
    veil_free(loop);
}

static void
loop_flush_finished(veil_loop_t *loop)
{
    veil_list_t list;
    veil_list_t *n;
    veil_op_t *op;

    veil_list_init(&list);
    veil_list_splice(&list, &loop->finished);
    while ((n = veil_list_pop(&list)) != NULL) {
        op = veil_list_entry(n, veil_op_t, wait);
        op->state = VEIL_OP_INFLIGHT;
        veil_op_complete(op, op->res, false);
    }
}

static void
loop_run_posted(veil_loop_t *loop)
{
    veil_list_t list;
    veil_list_t *n;
    veil_post_t *post;
    int round;

    veil_list_init(&list);
    for (round = 0; round < LOOP_POST_ROUNDS; round++) {
        if (veil_list_is_empty(&loop->posted)) {
            return;
        }
        veil_list_splice(&list, &loop->posted);
        while ((n = veil_list_pop(&list)) != NULL) {
            post = veil_list_entry(n, veil_post_t, link);
            post->run(post);
        }
    }
}

static void
loop_close_handles(veil_loop_t *loop)
{
    veil_handle_t *h;
    int fd;

    while (!veil_list_is_empty(&loop->closing)) {
        h = veil_list_first(&loop->closing, veil_handle_t, link);
        VEIL_CHECK(h, VEIL_HANDLE);
        fd = veil_handle_detach(h);
        if (fd >= 0 && close(fd) == -1 && errno == EBADF) {
            /* Someone closed what was not his, or will close another's. */
            veil_panic("descriptor %d of a handle was not open", fd);
        }
        if (h->pool != NULL) {
            veil_pool_unpin(&h->pin);
        }
        h->closed(h);
    }
}

int
veil_loop_timeout(const veil_loop_t *loop, int max_ms)
{
    int ms;

    if (loop->stop || !veil_list_is_empty(&loop->posted)
        || !veil_list_is_empty(&loop->closing)
        || !veil_list_is_empty(&loop->finished)
        || (veil_rxpool_has_starved(loop->rx)
            && veil_rxpool_free(loop->rx) > 0))
    {
        return 0;
    }
    ms = veil_wheel_next(loop->wheel, veil_now_ms());
    return max_ms >= 0 && (ms < 0 || ms > max_ms) ? max_ms : ms;
}

/* How it is, for all to see: a few stores beside a system call. */
static void
loop_show(const veil_loop_t *loop)
{
    veil_pool_stats_t pools;

    veil_board_beat(veil_now_ms());
    veil_metric_inc(&loop_metrics[LOOP_TURNS]);
    veil_metric_set(&loop_metrics[LOOP_OPS], loop->nops);
    veil_metric_set(&loop_metrics[LOOP_HANDLES], loop->nhandles);
    if (loop->rx != NULL) {
        veil_metric_set(&loop_metrics[LOOP_BUFFERS],
                        veil_rxpool_total(loop->rx)
                            - veil_rxpool_free(loop->rx));
    }
    veil_pool_stats(&pools);
    veil_metric_set(&loop_metrics[LOOP_POOLS], pools.live);
}

/* Completes what there is; the time until which timers may be run then. */
static uint64_t
loop_wait(veil_loop_t *loop, int max_ms)
{
    uint64_t asked = veil_now_ms(), now;
    int next;

    loop->backend->wait(loop, max_ms);
    next = veil_wheel_next(loop->wheel, asked);
    if (next == 0) {
        return asked; /* the next turn asks for the others */
    }
    now = veil_now_ms();
    if (next > 0 && (uint64_t) next <= now - asked) {
        loop->backend->wait(loop, 0);
    }
    return now;
}

void
veil_loop_turn(veil_loop_t *loop, int max_ms)
{
    uint64_t now;

    VEIL_CHECK(loop, VEIL_LOOP);
    VEIL_ASSERT(!loop->dispatching); /* a turn within a turn */
    loop->turns++;
    loop->dispatching = true;
    loop_flush_finished(loop);
    now = loop_wait(loop, max_ms);
    loop->dispatching = false;
    veil_wheel_run(loop->wheel, now);
    loop_run_posted(loop);
    loop_close_handles(loop);
    veil_pool_reap();
    loop_show(loop);
}

void
veil_loop_run(veil_loop_t *loop)
{
    loop->stop = false;
    while (!loop->stop) {
        veil_loop_turn(loop, -1);
    }
}

void
veil_loop_stop(veil_loop_t *loop)
{
    loop->stop = true;
}

void
veil_post_init(veil_post_t *post, veil_post_fn *run)
{
    veil_list_init(&post->link);
    post->run = run;
}

void
veil_post(veil_loop_t *loop, veil_post_t *post)
{
    if (!veil_list_is_linked(&post->link)) {
        veil_list_append(&loop->posted, &post->link);
    }
}

void
veil_post_cancel(veil_post_t *post)
{
    veil_list_remove(&post->link);
}

bool
veil_loop_is_short_of_buffers(const veil_loop_t *loop)
{
    return veil_rxpool_free(loop->rx) < veil_rxpool_total(loop->rx) / 4;
}
