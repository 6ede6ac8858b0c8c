/*
 * test_offload.c -- jobs on threads: results, pins, many at once, the end.
 */

#include <pthread.h>

#include "bed.h"

#include "event/offload.h"

typedef struct {
    veil_job_t job;
    int input;
    unsigned *dones;
    unsigned again; /* times to start it anew from done() */
    bool is_heap;
    pthread_t ran_on;
} task_t;

static void
task_run(veil_job_t *job)
{
    task_t *t = veil_container_of(job, task_t, job);

    t->ran_on = pthread_self();
    job->res = t->input * 2;
}

static void
task_done(veil_job_t *job)
{
    task_t *t = veil_container_of(job, task_t, job);

    cr_assert_eq(job->res, t->input * 2);
    cr_assert_not(pthread_equal(t->ran_on, pthread_self()));
    cr_assert_not(job->busy);
    (*t->dones)++;
    if (t->again > 0) {
        t->again--;
        t->input++;
        veil_offload(job->loop, NULL, job);
    } else if (t->is_heap) {
        veil_free(t);
    }
}

static task_t
task(int input, unsigned *dones)
{
    return (task_t){ .job = { .run = task_run, .done = task_done },
                     .input = input,
                     .dones = dones };
}

CONTRACT(job_runs)
{
    unsigned dones = 0;
    task_t t = task(21, &dones);

    veil_offload(b->loop, b->pool, &t.job);
    cr_assert_eq(dones, 0);
    cr_assert_eq(veil_offload_busy(), 1);
    cr_assert(veil_pool_is_pinned(b->pool));
    UNTIL(b, dones == 1);
    cr_assert_eq(veil_offload_busy(), 0);
    cr_assert_not(veil_pool_is_pinned(b->pool));
    UNTIL(b, b->loop->nops == 0); /* nothing polls when nobody works */

    t.again = 50;
    veil_offload(b->loop, NULL, &t.job);
    UNTIL(b, dones == 52);
    veil_offload_stop(b->loop);
    cr_assert_eq(b->loop->nhandles, 0);
}

CONTRACT(many_jobs)
{
    unsigned dones = 0;
    task_t *t;
    int i;

    for (i = 0; i < 500; i++) {
        t = veil_alloc(sizeof(*t));
        *t = task(i, &dones);
        t->is_heap = true;
        veil_offload(b->loop, NULL, &t->job);
        if (i % 100 == 0) {
            veil_loop_turn(b->loop, 0);
        }
    }
    UNTIL(b, dones == 500);
    veil_offload_stop(b->loop);
}

/* Stopping waits for what there is, and threads start anew afterwards. */
CONTRACT(stop_delivers)
{
    unsigned dones = 0;
    task_t t[20];
    int i;

    for (i = 0; i < 20; i++) {
        t[i] = task(i, &dones);
        veil_offload(b->loop, b->pool, &t[i].job);
    }
    veil_offload_stop(b->loop);
    cr_assert_eq(dones, 20);
    cr_assert_eq(b->loop->nhandles, 0);
    veil_offload_stop(b->loop);

    veil_offload(b->loop, b->pool, &t[0].job);
    UNTIL(b, dones == 21);
    veil_offload_stop(b->loop);
}

/* The pool is retired meanwhile, and lives until the job is done. */
CONTRACT(pool_is_kept)
{
    veil_pool_t *pool = veil_pool_create("job", 1024);
    task_t *t = veil_pool_alloc(pool, sizeof(*t));
    unsigned dones = 0;

    *t = task(1, &dones);
    veil_offload(b->loop, pool, &t->job);
    veil_pool_retire(&pool);
    veil_loop_turn(b->loop, 0);
    UNTIL(b, dones == 1);
    veil_offload_stop(b->loop);
}
