/*
 * test_backend.c -- the choice of a back end, and what is one's own.
 *
 * io_uring's set-up is replaced by one that can refuse.
 */

#include "bed.h"

#include <dlfcn.h>
#include <liburing.h>
#include <sys/epoll.h>

#include "event/offload.h"

static int refusal;

int
io_uring_queue_init_params(unsigned entries, struct io_uring *ring,
                           struct io_uring_params *p)
{
    int (*real)(unsigned, struct io_uring *, struct io_uring_params *);

    if (refusal != 0) {
        return refusal;
    }
    *(void **) &real = dlsym(RTLD_NEXT, "io_uring_queue_init_params");
    return real(entries, ring, p);
}

/* So is epoll's wait, by one that a signal interrupts. */
static bool interrupted;

int
epoll_wait(int fd, struct epoll_event *events, int n, int msec)
{
    int (*real)(int, struct epoll_event *, int, int);

    if (interrupted) {
        interrupted = false;
        errno = EINTR;
        return -1;
    }
    *(void **) &real = dlsym(RTLD_NEXT, "epoll_wait");
    return real(fd, events, n, msec);
}

static char lines[4096];

static void
keep_line(const veil_log_sink_t *sink, veil_log_level_t level,
          const char *line, size_t len)
{
    size_t used = strlen(lines);

    (void) sink;
    (void) level;
    (void) snprintf(lines + used, sizeof(lines) - used, "%.*s\n", (int) len,
                    line);
}

static veil_loop_t *
create(const char *backend)
{
    static veil_log_sink_t sink = { .level = VEIL_LOG_NOTICE,
                                    .write = keep_line };
    static veil_log_t log = { .level = VEIL_LOG_NOTICE, .sinks = &sink };
    veil_loop_options_t options = { .backend = backend,
                                    .connections = 16,
                                    .log = &log };

    lines[0] = '\0';
    return veil_loop_create(&options);
}

static bool
said(const char *text)
{
    return strstr(lines, text) != NULL;
}

Test(backend, auto_falls_to_epoll_and_says_why)
{
    veil_loop_t *loop;

    refusal = -EPERM;
    loop = create("auto");
    cr_assert_not_null(loop);
    cr_assert_eq(loop->backend, &veil_backend_epoll);
    cr_assert(said("the \"io_uring\" back end cannot be used: "), "%s", lines);
    cr_assert(said("forbids it"), "%s", lines);
    cr_assert(said("using the \"epoll\" back end"), "%s", lines);
    veil_loop_destroy(&loop);
    refusal = -ENOSYS;
    loop = create("auto");
    cr_assert(said("a seccomp filter hides it"), "%s", lines);
    veil_loop_destroy(&loop);
}

Test(backend, one_asked_for_by_name_must_be_had)
{
    refusal = -EPERM;
    cr_assert_null(create("io_uring"));
    cr_assert(said("[emerg]"), "%s", lines);
    cr_assert_null(create("kqueue"));
    cr_assert(said("there is no back end \"kqueue\""), "%s", lines);
}

Test(backend, auto_takes_io_uring)
{
    veil_loop_t *loop = create("auto");

    cr_assert_not_null(loop);
    if (loop->backend != &veil_backend_uring) {
        veil_loop_destroy(&loop);
        cr_skip_test("io_uring is not to be had here");
    }
    cr_assert(said("using the \"io_uring\" back end"), "%s", lines);
    veil_loop_destroy(&loop);
}

static end_t *watched;
static size_t had;

static void
note_what_came(veil_timer_t *t)
{
    (void) t;
    had = watched->len;
}

/* A process was stopped: data came in time, and the timer is due as well. */
Test(backend, what_came_is_before_timers_after_an_interruption)
{
    struct timespec pause = { 0, 5000000 };
    veil_timer_t timer;
    int peer;
    bed_t b;

    bed_open(&b, "epoll", 4096, 16);
    watched = end_open(&b, &peer);
    veil_op_recv(&watched->in);
    veil_loop_turn(b.loop, 0);
    veil_timer_init(&timer, note_what_came);
    veil_timer_set(b.loop, &timer, 1);
    cr_assert_eq(write(peer, "x", 1), 1);
    (void) nanosleep(&pause, NULL);
    interrupted = true;
    veil_loop_turn(b.loop, 0);
    cr_assert_not(veil_timer_is_set(&timer));
    cr_assert_eq(had, 1);
    (void) close(peer);
    end_close(&b, watched);
    bed_close(&b);
}

/* More ops than the submission queue has room for, started in one go. */
Test(backend, a_full_submission_queue)
{
    enum { N = 2000 };
    static end_t *ends[N];
    static int peers[N];
    bed_t b;
    int i;

    bed_open(&b, "io_uring", 512, 64);
    for (i = 0; i < N; i++) {
        ends[i] = end_open(&b, &peers[i]);
        veil_op_recv(&ends[i]->in);
        veil_op_send(&ends[i]->out, "x", 1);
        cr_assert_eq(write(peers[i], "y", 1), 1);
    }
    for (i = 0; i < N; i++) {
        UNTIL(&b, ends[i]->len == 1 && ends[i]->out_done == 1);
    }
    for (i = 0; i < N; i++) {
        veil_handle_close(&ends[i]->handle, end_closed);
    }
    for (i = 0; i < N; i++) {
        UNTIL(&b, ends[i]->closed == 1);
        cr_assert_eq(ends[i]->in_res, -ECANCELED);
        (void) close(peers[i]);
    }
    bed_close(&b);
}

/* -- file ops on threads */

static void
file_ops(const char *backend)
{
    char name[] = "/tmp/veil-test-XXXXXX", data[8];
    int fd = mkstemp(name), i;
    struct statx stx;
    bed_t b;
    end_t *e;

    cr_assert_eq(write(fd, "0123456789", 10), 10);
    bed_open(&b, backend, 4096, 16);
    veil_offload_ops(b.loop);
    e = end_of_fd(&b, fd);
    for (i = 0; i < 20; i++) {
        e->out_done = 0;
        veil_op_read(&e->out, data, sizeof(data), 4);
        UNTIL(&b, e->out_done == 1);
        cr_assert_eq(e->out_res, 6);
        cr_assert_eq(memcmp(data, "456789", 6), 0);
        veil_op_write(&e->out, "456789", 6, 4);
        UNTIL(&b, e->out_done == 2);
        cr_assert_eq(e->out_res, 6);
        veil_op_openat(&e->out, AT_FDCWD, name, O_RDONLY | O_CLOEXEC, 0);
        UNTIL(&b, e->out_done == 3);
        cr_assert_geq(e->out_res, 0);
        (void) close(e->out_res);
        veil_op_statx(&e->out, AT_FDCWD, name, 0, STATX_SIZE, &stx);
        veil_op_cancel(&e->out);
        UNTIL(&b, e->out_done == 4);
        cr_assert(e->out_res == 0 || e->out_res == -ECANCELED);
        veil_op_statx(&e->out, AT_FDCWD, name, 0, STATX_SIZE, &stx);
        UNTIL(&b, e->out_done == 5);
        cr_assert_eq(e->out_res, 0);
        cr_assert_eq(stx.stx_size, 10);
        veil_op_openat(&e->out, AT_FDCWD, "/tmp/veil-test-nothing", O_RDONLY,
                       0);
        UNTIL(&b, e->out_done == 6);
        cr_assert_eq(e->out_res, -ENOENT);
    }
    /* Closed while a thread is at it. */
    veil_op_statx(&e->out, AT_FDCWD, name, 0, STATX_SIZE, &stx);
    veil_loop_turn(b.loop, 0);
    end_close(&b, e);
    cr_assert_eq(e->out_done, 7);
    (void) unlink(name);
    veil_offload_stop(b.loop);
    bed_close(&b);
}

Test(file_ops, uring)
{
    file_ops("io_uring");
}

Test(file_ops, epoll)
{
    file_ops("epoll");
}

Test(file_ops, sim)
{
    file_ops("sim");
}

/* -- sim: what the script orders happens */

Test(sim_script, pieces_delays_and_starving_lose_nothing)
{
    veil_sim_script_t script = { .piece = 90,
                                 .late = 30,
                                 .starve = 30,
                                 .late_cancel = 50,
                                 .shuffle = true };
    char data[3000], got[3000];
    size_t n, i;
    int peer;
    end_t *e;
    bed_t b;

    bed_open(&b, "sim", 512, 4);
    for (i = 0; i < sizeof(data); i++) {
        data[i] = (char) (i * 11);
    }
    for (script.seed = 1; script.seed < 30; script.seed++) {
        veil_sim_script(b.loop, &script);
        e = end_open(&b, &peer);
        veil_op_recv(&e->in);
        veil_op_send(&e->out, data, sizeof(data));
        cr_assert_eq(write(peer, data, sizeof(data)), (int) sizeof(data));
        UNTIL(&b, e->len == sizeof(data) && e->out_done == 1);
        cr_assert_gt(e->shots, 10);
        cr_assert_eq(memcmp(e->data, data, sizeof(data)), 0);
        n = (size_t) read(peer, got, sizeof(got));
        cr_assert_eq(n, sizeof(data));
        cr_assert_eq(memcmp(got, data, sizeof(data)), 0);
        (void) close(peer);
        end_close(&b, e);
    }
    bed_close(&b);
}

Test(sim_script, a_cancel_may_come_too_late)
{
    veil_sim_script_t script = { .late_cancel = 100 };
    int peer;
    end_t *e;
    bed_t b;

    bed_open(&b, "sim", 512, 4);
    veil_sim_script(b.loop, &script);
    e = end_open(&b, &peer);
    veil_op_recv(&e->in);
    veil_op_send(&e->out, "x", 1);
    cr_assert_eq(write(peer, "y", 1), 1);
    veil_op_cancel(&e->in);
    veil_op_cancel(&e->out);
    UNTIL(&b, e->in_done == 1 && e->out_done == 1);
    cr_assert_eq(e->len, 1);
    cr_assert_eq(e->in_res, -ECANCELED);
    cr_assert_eq(e->out_res, 1);
    (void) close(peer);
    end_close(&b, e);
    bed_close(&b);
}

Test(sim_script, errors_by_count)
{
    int peer;
    end_t *e;
    bed_t b;

    bed_open(&b, "sim", 512, 4);
    veil_sim_fail(b.loop, VEIL_OP_SEND, 2, ENOMEM);
    e = end_open(&b, &peer);
    veil_op_send(&e->out, "x", 1);
    UNTIL(&b, e->out_done == 1);
    cr_assert_eq(e->out_res, 1);
    veil_op_send(&e->out, "x", 1);
    UNTIL(&b, e->out_done == 2);
    cr_assert_eq(e->out_res, -ENOMEM);
    veil_op_send(&e->out, "x", 1);
    UNTIL(&b, e->out_done == 3);
    cr_assert_eq(e->out_res, 1);
    (void) close(peer);
    end_close(&b, e);
    bed_close(&b);
}
