/*
 * responder.c -- the least a server on veil's loop can do: the floor.
 *
 * Answers every request head on 127.0.0.1 with the same 1 KB, keep-alive,
 * with one timeout a connection, and prints at its end what a request cost.
 * What a real server takes above this is its own; what this takes above a
 * responder without any loop is the loop's.
 *
 *     make -f objs/Makefile bench-responder
 *     taskset -c 0 objs/bench/responder io_uring &    (prints its port)
 *     taskset -c 1 wrk -t1 -c64 -d5 http://127.0.0.1:PORT/; kill %1
 *
 * A head is taken to end in the block that brings its last byte, which holds
 * for clients that measure and for nobody else.
 */

#include "core/platform.h"

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <sys/resource.h>

#include "core/pool.h"
#include "event/backend.h"

#define BODY_LEN 1024
#define IDLE_MS 60000

typedef struct {
    veil_handle_t handle;
    veil_op_t in;
    veil_op_t out;
    veil_timer_t timer;
    veil_pool_t *pool;
    unsigned pending; /* requests not yet answered */
} conn_t;

static veil_loop_t *loop;
static unsigned long requests;
static char answer[BODY_LEN + 128];
static size_t answer_len;

static void
conn_closed(veil_handle_t *h)
{
    conn_t *c = veil_container_of(h, conn_t, handle);
    veil_pool_t *pool = c->pool;

    veil_timer_cancel(&c->timer);
    veil_pool_retire(&pool);
}

static void
conn_close(conn_t *c)
{
    if (!veil_handle_is_closing(&c->handle)) {
        veil_handle_close(&c->handle, conn_closed);
    }
}

static void
conn_answer(conn_t *c)
{
    if (c->pending > 0 && veil_op_is_idle(&c->out)
        && !veil_handle_is_closing(&c->handle))
    {
        c->pending--;
        requests++;
        veil_op_send(&c->out, answer, answer_len);
    }
}

static void
conn_received(veil_op_t *op)
{
    conn_t *c = veil_container_of(op, conn_t, in);

    if (!op->more) {
        conn_close(c);
        return;
    }
    if (memmem(op->u.buf.pos, veil_buf_len(&op->u.buf), "\r\n\r\n", 4)) {
        c->pending++;
    }
    veil_block_put(op->u.buf.block);
    veil_timer_set(loop, &c->timer, IDLE_MS);
    conn_answer(c);
}

static void
conn_sent(veil_op_t *op)
{
    conn_t *c = veil_container_of(op, conn_t, out);

    if (op->res < 0) {
        conn_close(c);
        return;
    }
    conn_answer(c);
}

static void
conn_expired(veil_timer_t *t)
{
    conn_close(veil_container_of(t, conn_t, timer));
}

static void
accepted(veil_op_t *op)
{
    veil_pool_t *pool;
    conn_t *c;
    int one = 1;

    if (!op->more) {
        return;
    }
    (void) setsockopt(op->res, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
    pool = veil_pool_create("connection", 1024);
    c = veil_pool_zalloc(pool, sizeof(*c));
    c->pool = pool;
    veil_handle_init(&c->handle, loop, pool, op->res);
    veil_op_init(&c->in, &c->handle, conn_received);
    veil_op_init(&c->out, &c->handle, conn_sent);
    veil_timer_init(&c->timer, conn_expired);
    veil_timer_set(loop, &c->timer, IDLE_MS);
    veil_op_recv(&c->in);
}

static void
stop(int signo)
{
    (void) signo;
    veil_loop_stop(loop); /* only sets a flag */
}

/* A listener on a free port of the loopback, which is printed. */
static int
listen_somewhere(void)
{
    struct sockaddr_in addr = { .sin_family = AF_INET };
    socklen_t len = sizeof(addr);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

    addr.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    if (fd == -1 || bind(fd, (struct sockaddr *) &addr, sizeof(addr)) == -1
        || listen(fd, 4096) == -1
        || getsockname(fd, (struct sockaddr *) &addr, &len) == -1)
    {
        perror("responder");
        exit(1);
    }
    printf("%d\n", ntohs(addr.sin_port));
    (void) fflush(stdout);
    return fd;
}

static void
report(void)
{
    struct rusage r;
    double user, system;

    (void) getrusage(RUSAGE_SELF, &r); /* these arguments cannot fail */
    user = (double) r.ru_utime.tv_sec * 1e6 + (double) r.ru_utime.tv_usec;
    system = (double) r.ru_stime.tv_sec * 1e6 + (double) r.ru_stime.tv_usec;
    if (requests > 0) {
        printf("%s: %lu requests, CPU us per request: %.2f, of it in user "
               "mode: %.2f; turns per request: %.2f\n",
               loop->backend->name, requests,
               (user + system) / (double) requests, user / (double) requests,
               (double) loop->turns / (double) requests);
    }
}

int
main(int argc, char **argv)
{
    static veil_handle_t listener;
    static veil_op_t accept_op;
    veil_loop_options_t options = { .backend = "auto",
                                    .connections = 1024,
                                    .buffer_size = 4096 };
    int n;

    if (argc > 1) {
        options.backend = argv[1];
    }
    n = snprintf(answer, sizeof(answer),
                 "HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n", BODY_LEN);
    answer_len = (size_t) n + BODY_LEN;
    memset(answer + n, 'x', BODY_LEN);
    loop = veil_loop_create(&options);
    if (loop == NULL) {
        return 1;
    }
    (void) signal(SIGTERM, stop); /* fails for unknown signals only */
    veil_handle_init(&listener, loop, NULL, listen_somewhere());
    veil_op_init(&accept_op, &listener, accepted);
    veil_op_accept(&accept_op);
    veil_loop_run(loop);
    report();
    return 0;
}
