/*
 * bed.h -- a loop to test on, the same for every back end.
 *
 * CONTRACT(name) { ... } defines a test that runs on io_uring, epoll and sim;
 * MISTAKE(name) one that must end in an assertion.  In the body, b is the bed.
 */

#ifndef VEIL_T_UNIT_BED_H
#define VEIL_T_UNIT_BED_H

#include "core/platform.h"

#include <arpa/inet.h>
#include <criterion/criterion.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <time.h>

#include "core/pool.h"
#include "core/time.h"
#include "event/backend.h"
#include "event/guard.h"
#include "event/sim.h"
#include "event/uring_buf.h"

typedef struct {
    veil_loop_t *loop;
    veil_pool_t *pool;
    bool is_sim;
} bed_t;

/*
 * True until so much time has gone by since the first call that only a fault
 * explains it: a busy machine does not.  The real clock, as a test may set
 * the loop's.  *end is 0 before the first call.
 */
static inline bool
bed_in_time(time_t *end)
{
    struct timespec now;

    (void) clock_gettime(CLOCK_MONOTONIC, &now);
    if (*end == 0) {
        *end = now.tv_sec + 30;
    }
    return now.tv_sec < *end;
}

static inline void
bed_open(bed_t *b, const char *backend, size_t size, unsigned buffers)
{
    veil_loop_options_t options = { .backend = backend,
                                    .connections = 64,
                                    .buffer_size = size,
                                    .buffers = buffers };

    veil_log_stderr.level = VEIL_LOG_WARN;
    memset(b, 0, sizeof(*b));
    b->loop = veil_loop_create(&options);
    if (b->loop == NULL && strcmp(backend, "io_uring") == 0) {
        cr_skip_test("io_uring is not to be had here");
    }
    cr_assert_not_null(b->loop);
    b->is_sim = b->loop->backend == &veil_backend_sim;
    b->pool = veil_pool_create("bed", 4096);
}

static inline void
bed_close(bed_t *b)
{
    time_t end = 0;

    while ((b->loop->nops > 0 || b->loop->nhandles > 0) && bed_in_time(&end)) {
        veil_loop_turn(b->loop, 10);
    }
    cr_assert_eq(b->loop->nops, 0);
    cr_assert_eq(b->loop->nhandles, 0);
    if (b->pool != NULL) {
        veil_pool_destroy(&b->pool);
    }
    veil_loop_destroy(&b->loop);
    cr_assert_eq(veil_pool_count(NULL, NULL), 0);
    cr_assert_eq(veil_block_count(), 0);
    veil_pool_trim();
}

typedef void bed_fn(bed_t *b);

static inline void
bed_run(bed_fn *body, const char *backend, size_t size, unsigned buffers)
{
    bed_t b;

    bed_open(&b, backend, size, buffers);
    body(&b);
    bed_close(&b);
}

#define CONTRACT_SIZED(name, size, n)                                         \
    static void name##_body(bed_t *b);                                        \
    Test(uring, name)                                                         \
    {                                                                         \
        bed_run(name##_body, "io_uring", size, n);                            \
    }                                                                         \
    Test(epoll, name)                                                         \
    {                                                                         \
        bed_run(name##_body, "epoll", size, n);                               \
    }                                                                         \
    Test(sim, name)                                                           \
    {                                                                         \
        bed_run(name##_body, "sim", size, n);                                 \
    }                                                                         \
    static void name##_body(bed_t *b)

#define CONTRACT(name) CONTRACT_SIZED(name, 4096, 16)

#define MISTAKE(name)                                                         \
    static void name##_body(bed_t *b);                                        \
    Test(uring, name, .signal = SIGABRT)                                      \
    {                                                                         \
        bed_run(name##_body, "io_uring", 4096, 16);                           \
    }                                                                         \
    Test(epoll, name, .signal = SIGABRT)                                      \
    {                                                                         \
        bed_run(name##_body, "epoll", 4096, 16);                              \
    }                                                                         \
    Test(sim, name, .signal = SIGABRT)                                        \
    {                                                                         \
        bed_run(name##_body, "sim", 4096, 16);                                \
    }                                                                         \
    static void name##_body(bed_t *b)

/* Turns the loop until cond holds; fails if it does not in time. */
#define UNTIL(b, cond)                                                        \
    do {                                                                      \
        time_t until_end = 0;                                                 \
        while (!(cond) && bed_in_time(&until_end)) {                          \
            veil_loop_turn((b)->loop, 1);                                     \
        }                                                                     \
        cr_assert(cond, "did not happen: " #cond);                            \
    } while (0)

/* One end of a stream under test: what its ops brought. */
typedef struct {
    veil_handle_t handle;
    veil_op_t in;
    veil_op_t out;
    char data[65536];
    size_t len;
    int in_done; /* final completions */
    int in_res;
    int shots; /* completions with more */
    int out_done;
    int out_res;
    int closed;
    bool keep; /* the blocks */
    veil_chain_t kept;
} end_t;

static inline void
end_in(veil_op_t *op)
{
    end_t *e = veil_container_of(op, end_t, in);
    size_t n;

    if (op->more) {
        e->shots++;
        cr_assert_gt(op->res, 0);
        n = veil_buf_len(&op->u.buf);
        cr_assert_eq(n, (size_t) op->res);
        cr_assert_leq(e->len + n, sizeof(e->data));
        memcpy(e->data + e->len, op->u.buf.pos, n);
        e->len += n;
        if (e->keep) {
            veil_chain_append(&e->kept, &op->u.buf);
        }
        veil_block_put(op->u.buf.block);
        return;
    }
    e->in_done++;
    e->in_res = op->res;
}

static inline void
end_out(veil_op_t *op)
{
    end_t *e = veil_container_of(op, end_t, out);

    cr_assert_not(op->more);
    e->out_done++;
    e->out_res = op->res;
}

static inline void
end_closed(veil_handle_t *h)
{
    end_t *e = veil_container_of(h, end_t, handle);

    e->closed++;
    veil_chain_done(&e->kept);
}

static inline end_t *
end_of_fd(bed_t *b, int fd)
{
    end_t *e = veil_pool_zalloc(b->pool, sizeof(*e));

    veil_handle_init(&e->handle, b->loop, b->pool, fd);
    veil_op_init(&e->in, &e->handle, end_in);
    veil_op_init(&e->out, &e->handle, end_out);
    return e;
}

/* A connected pair: one end for the loop, the other for plain calls. */
static inline end_t *
end_open(bed_t *b, int *peer)
{
    int fds[2];

    cr_assert_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds), 0);
    cr_assert_eq(fcntl(fds[0], F_SETFL, O_NONBLOCK), 0);
    *peer = fds[1];
    return end_of_fd(b, fds[0]);
}

/*
 * What crosses the loopback device may come later than its sender goes on:
 * a busy kernel leaves it to a thread.
 */
static inline void
bed_wait(int fd, short events)
{
    struct pollfd p = { .fd = fd, .events = events };

    cr_assert_eq(poll(&p, 1, 30000), 1);
}

/* A port that is ours, and refuses as long as nobody listens. */
static inline int
bed_bind(struct sockaddr_in *addr)
{
    socklen_t len = sizeof(*addr);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

    memset(addr, 0, sizeof(*addr));
    addr->sin_family = AF_INET;
    addr->sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    cr_assert_eq(bind(fd, (struct sockaddr *) addr, sizeof(*addr)), 0);
    cr_assert_eq(getsockname(fd, (struct sockaddr *) addr, &len), 0);
    return fd;
}

/* The same over TCP, which can reset. */
static inline int
bed_listen(struct sockaddr_in *addr)
{
    int fd = bed_bind(addr);

    cr_assert_eq(listen(fd, 512), 0);
    return fd;
}

static inline int
bed_connect(const struct sockaddr_in *addr)
{
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

    cr_assert_eq(connect(fd, (const struct sockaddr *) addr, sizeof(*addr)),
                 0);
    return fd;
}

static inline end_t *
end_open_tcp(bed_t *b, int *peer)
{
    struct sockaddr_in addr;
    int listener = bed_listen(&addr), fd, size = 65536;

    *peer = bed_connect(&addr);
    bed_wait(listener, POLLIN);
    fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
    cr_assert_geq(fd, 0);
    (void) close(listener);
    /* The kernel would let the buffers grow beyond what tests send. */
    (void) setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &size, sizeof(size));
    (void) setsockopt(*peer, SOL_SOCKET, SO_RCVBUF, &size, sizeof(size));
    return end_of_fd(b, fd);
}

static inline void
end_close(bed_t *b, end_t *e)
{
    veil_handle_close(&e->handle, end_closed);
    UNTIL(b, e->closed == 1);
}

/* The peer of fd is reset rather than closed. */
static inline void
bed_reset(int fd)
{
    struct linger l = { .l_onoff = 1, .l_linger = 0 };

    cr_assert_eq(setsockopt(fd, SOL_SOCKET, SO_LINGER, &l, sizeof(l)), 0);
    (void) close(fd);
}

#endif
