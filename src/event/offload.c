/*
 * offload.c -- threads for calls that block.
 *
 * Jobs wait in one list under one lock; a few threads, made on first use,
 * take them in order.  A finished job goes to a second list, and an eventfd
 * tells the loop, which polls it only while there are jobs: an idle worker
 * has no operation in flight for it.  The eventfd is written only when the
 * second list was empty, so a burst of results costs one wake-up.
 *
 * There is one set of threads in a process, as there is one loop.  Threads
 * take no signals and touch nothing but their job.
 *
 * A thread cannot be interrupted: a job that hangs in the kernel delays the
 * worker's exit.  Callers bound what they ask for.
 */

#include "core/platform.h"

#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <sys/eventfd.h>

#include "core/assert.h"
#include "event/offload.h"

/* getaddrinfo's resolver takes some 70 KiB; the rest is margin. */
#define OFFLOAD_STACK_SIZE (256 * 1024)

typedef struct {
    veil_loop_t *loop; /* NULL: not started */
    veil_handle_t handle;
    veil_op_t poll;
    bool closed;
    unsigned nthreads;
    pthread_t threads[VEIL_OFFLOAD_THREADS];

    /* Shared with the threads, under the lock. */
    pthread_mutex_t lock;
    pthread_cond_t more;
    veil_list_t waiting;
    veil_list_t finished;
    unsigned nwaiting;
    unsigned idle; /* threads that wait */
    bool stop;
    int wake; /* the eventfd; the handle's */
} offload_t;

static offload_t offload = { .lock = PTHREAD_MUTEX_INITIALIZER,
                             .more = PTHREAD_COND_INITIALIZER };
static unsigned offload_busy; /* the loop's own count */

static void
offload_wake(void)
{
    uint64_t one = 1;
    ssize_t n;

    do {
        n = write(offload.wake, &one, sizeof(one));
    } while (n < 0 && errno == EINTR);
    /* EAGAIN would mean a full counter, which is as good as a wake-up. */
}

static void *
offload_thread(void *arg)
{
    veil_job_t *job;
    bool first;

    (void) pthread_mutex_lock(&offload.lock);
    for (;;) {
        while (veil_list_is_empty(&offload.waiting) && !offload.stop) {
            offload.idle++;
            (void) pthread_cond_wait(&offload.more, &offload.lock);
            offload.idle--;
        }
        if (veil_list_is_empty(&offload.waiting)) {
            break;
        }
        job =
            veil_list_entry(veil_list_pop(&offload.waiting), veil_job_t, link);
        offload.nwaiting--;
        (void) pthread_mutex_unlock(&offload.lock);
        job->run(job);
        (void) pthread_mutex_lock(&offload.lock);
        first = veil_list_is_empty(&offload.finished);
        veil_list_append(&offload.finished, &job->link);
        if (first) {
            offload_wake();
        }
    }
    (void) pthread_mutex_unlock(&offload.lock);
    return arg;
}

/* Calls done() of all that is finished; the lock is not held meanwhile. */
static void
offload_deliver(void)
{
    veil_list_t list;
    veil_list_t *n;
    veil_job_t *job;

    veil_list_init(&list);
    (void) pthread_mutex_lock(&offload.lock);
    veil_list_splice(&list, &offload.finished);
    (void) pthread_mutex_unlock(&offload.lock);

    while ((n = veil_list_pop(&list)) != NULL) {
        job = veil_list_entry(n, veil_job_t, link);
        job->busy = false;
        offload_busy--;
        if (job->pin.pool != NULL) {
            veil_pool_unpin(&job->pin);
        }
        /* The job may be gone afterwards. */
        job->done(job);
    }
}

static void
offload_woken(veil_op_t *op)
{
    uint64_t count;

    if (op->res < 0) {
        /* Cancelled by the end; nothing else can happen to an eventfd. */
        VEIL_ASSERT(op->res == -ECANCELED);
        return;
    }
    /* EAGAIN: a previous turn took it. */
    if (read(offload.wake, &count, sizeof(count)) < 0) {
        VEIL_ASSERT(errno == EAGAIN || errno == EINTR);
    }
    offload_deliver();
    if (offload_busy > 0 && veil_op_is_idle(&offload.poll)
        && !veil_handle_is_closing(&offload.handle))
    {
        veil_op_poll(&offload.poll, POLLIN);
    }
}

static void
offload_start(veil_loop_t *loop)
{
    int fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);

    if (fd < 0) {
        veil_panic("eventfd() failed: %s", strerror(errno));
    }
    offload.loop = loop;
    offload.wake = fd;
    offload.stop = false;
    offload.closed = false;
    offload.nthreads = 0;
    offload.idle = 0;
    offload.nwaiting = 0;
    veil_list_init(&offload.waiting);
    veil_list_init(&offload.finished);
    veil_handle_init(&offload.handle, loop, NULL, fd);
    veil_op_init(&offload.poll, &offload.handle, offload_woken);
}

/* One more thread, if possible; there must be one at least. */
static void
offload_add_thread(void)
{
    pthread_attr_t attr;
    sigset_t all, old;
    int err;

    (void) sigfillset(&all);
    (void) pthread_sigmask(SIG_SETMASK, &all, &old);
    (void) pthread_attr_init(&attr);
    (void) pthread_attr_setstacksize(&attr, OFFLOAD_STACK_SIZE);
    err = pthread_create(&offload.threads[offload.nthreads], &attr,
                         offload_thread, NULL);
    (void) pthread_attr_destroy(&attr);
    (void) pthread_sigmask(SIG_SETMASK, &old, NULL);

    if (err == 0) {
        offload.nthreads++;
    } else if (offload.nthreads == 0) {
        veil_panic("no thread for blocking calls: %s", strerror(err));
    }
}

void
veil_offload(veil_loop_t *loop, veil_pool_t *pool, veil_job_t *job)
{
    bool short_of_threads;

    VEIL_ASSERT(!job->busy);
    if (offload.loop == NULL) {
        offload_start(loop);
    }
    VEIL_ASSERT(offload.loop == loop);
    VEIL_ASSERT(!offload.stop);

    job->loop = loop;
    job->busy = true;
    memset(&job->pin, 0, sizeof(job->pin));
    if (pool != NULL) {
        veil_pool_pin(pool, &job->pin, "offload");
    }
    offload_busy++;

    (void) pthread_mutex_lock(&offload.lock);
    veil_list_append(&offload.waiting, &job->link);
    offload.nwaiting++;
    short_of_threads = offload.nwaiting > offload.idle;
    (void) pthread_cond_signal(&offload.more);
    (void) pthread_mutex_unlock(&offload.lock);

    if (short_of_threads && offload.nthreads < VEIL_OFFLOAD_THREADS) {
        offload_add_thread();
    }
    if (veil_op_is_idle(&offload.poll)) {
        veil_op_poll(&offload.poll, POLLIN);
    }
}

static void
offload_closed(veil_handle_t *h)
{
    (void) h;
    offload.closed = true;
}

void
veil_offload_stop(veil_loop_t *loop)
{
    unsigned i;

    if (offload.loop == NULL) {
        return;
    }
    VEIL_ASSERT(offload.loop == loop);
    VEIL_ASSERT(!loop->dispatching); /* turns the loop below */

    (void) pthread_mutex_lock(&offload.lock);
    offload.stop = true;
    (void) pthread_cond_broadcast(&offload.more);
    (void) pthread_mutex_unlock(&offload.lock);
    for (i = 0; i < offload.nthreads; i++) {
        (void) pthread_join(offload.threads[i], NULL);
    }

    offload_deliver();
    VEIL_ASSERT(offload_busy == 0);
    veil_handle_close(&offload.handle, offload_closed);
    while (!offload.closed) {
        veil_loop_turn(loop, 10);
    }
    offload.loop = NULL;
}

bool
veil_offload_is_stopping(void)
{
    /* Written by the loop's thread alone. */
    return offload.stop;
}

unsigned
veil_offload_busy(void)
{
    return offload_busy;
}
