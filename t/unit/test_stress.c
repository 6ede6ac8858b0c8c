/*
 * test_stress.c -- connections opened, closed, cancelled and starved at
 * random.
 *
 * A child process plays the clients with plain calls: data in single bytes or
 * at once, half-closes, resets, peers that do not read.  The loop echoes from
 * the blocks it received, with too few blocks for all, cancels receives and
 * sends at random, and closes with everything in flight.  Each byte of a
 * stream follows from its first, so both sides see at once when data is lost,
 * doubled or overwritten.
 *
 * 3,000 connections by default; 100,000 when TEST_VEIL_LONG is set, and
 * VEIL_STRESS sets any number.  Both print what they did.
 */

#include "bed.h"

#include <netinet/tcp.h>
#include <sys/un.h>
#include <sys/wait.h>

#define CLIENTS 64
#define PATH_LEN 100

typedef struct {
    uint64_t dice;
} dice_t;

static unsigned
roll(dice_t *d, unsigned n)
{
    uint64_t x = d->dice += 0x9e3779b97f4a7c15u;

    x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9u;
    x = (x ^ (x >> 27)) * 0x94d049bb133111ebu;
    return (unsigned) ((x ^ (x >> 31)) % n);
}

static unsigned char
byte_at(unsigned char seed, size_t i)
{
    return i == 0 ? seed : (unsigned char) (seed * 31u + i * 7u + (i >> 8));
}

/* -- the clients: a process of their own */

typedef struct {
    int fd;
    unsigned char seed;
    bool dribbles; /* one byte a segment */
    bool deaf;     /* does not read */
    size_t want;
    size_t sent;
    size_t got;
    int visits;
    bool half_closed;
} client_t;

typedef struct {
    dice_t dice;
    client_t c[CLIENTS];
    struct sockaddr_in tcp;
    struct sockaddr_un local;
    unsigned left;
} clients_t;

static void
client_open(clients_t *all, client_t *c)
{
    int one = 1, r;

    memset(c, 0, sizeof(*c));
    c->deaf = roll(&all->dice, 8) == 0;
    if (roll(&all->dice, 2) == 0) {
        c->fd = socket(AF_INET, SOCK_STREAM, 0);
        if (c->deaf) {
            /* The least there is: the server's send has to wait. */
            (void) setsockopt(c->fd, SOL_SOCKET, SO_RCVBUF, &one, sizeof(one));
        }
        r = connect(c->fd, (struct sockaddr *) &all->tcp, sizeof(all->tcp));
        (void) setsockopt(c->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
    } else {
        c->fd = socket(AF_UNIX, SOCK_STREAM, 0);
        r = connect(c->fd, (struct sockaddr *) &all->local,
                    sizeof(all->local));
    }
    if (r == -1) {
        perror("stress: connect");
        _exit(3);
    }
    (void) fcntl(c->fd, F_SETFL, O_NONBLOCK);
    c->seed = (unsigned char) roll(&all->dice, 256);
    c->dribbles = roll(&all->dice, 3) == 0;
    c->want = roll(&all->dice, 10) == 0 ? 0 : 1 + roll(&all->dice, 9000);
    if (c->dribbles) {
        c->want %= 40;
    } else if (c->deaf || roll(&all->dice, 40) == 0) {
        c->want = 500000;
    }
    all->left--;
}

static void
client_close(clients_t *all, client_t *c)
{
    struct linger l = { .l_onoff = 1, .l_linger = 0 };

    if (roll(&all->dice, 4) == 0) {
        (void) setsockopt(c->fd, SOL_SOCKET, SO_LINGER, &l, sizeof(l));
    }
    (void) close(c->fd);
    c->fd = -1;
}

static void
client_send(clients_t *all, client_t *c)
{
    unsigned char data[16384];
    size_t n = veil_min_size(c->want - c->sent, sizeof(data)), i;
    ssize_t sent;

    if (c->dribbles) {
        n = veil_min_size(n, 1);
    } else if (n > 0 && roll(&all->dice, 2) == 0) {
        n = 1 + roll(&all->dice, (unsigned) n);
    }
    for (i = 0; i < n; i++) {
        data[i] = byte_at(c->seed, c->sent + i);
    }
    sent = n == 0 ? 0 : send(c->fd, data, n, MSG_NOSIGNAL);
    if (sent > 0) {
        c->sent += (size_t) sent;
    }
    if (c->sent == c->want && !c->half_closed && roll(&all->dice, 2) == 0) {
        c->half_closed = true;
        (void) shutdown(c->fd, SHUT_WR);
    }
}

/* False when the connection is over. */
static bool
client_recv(client_t *c)
{
    unsigned char data[16384];
    ssize_t n = recv(c->fd, data, sizeof(data), 0), i;

    if (n == -1) {
        return errno == EAGAIN;
    }
    for (i = 0; i < n; i++) {
        if (data[i] != byte_at(c->seed, c->got++)) {
            (void) fprintf(stderr, "stress: wrong echo at %zu\n", c->got - 1);
            _exit(4);
        }
    }
    if (c->got > c->sent) {
        (void) fprintf(stderr, "stress: more echo than was sent\n");
        _exit(5);
    }
    return n > 0;
}

static void
client_visit(clients_t *all, client_t *c)
{
    c->visits++;
    client_send(all, c);
    if ((!c->deaf && roll(&all->dice, 3) > 0 && !client_recv(c))
        || (c->sent == c->want && c->got == c->want)
        || roll(&all->dice, c->deaf ? 20 : 400) == 0 || c->visits > 2000)
    {
        client_close(all, c);
    }
}

static void
clients_main(clients_t *all)
{
    unsigned i, open;
    int fd;

    /* What the parent has open is none of ours. */
    for (fd = 3; fd < 1024; fd++) {
        (void) close(fd);
    }
    for (i = 0; i < CLIENTS; i++) {
        all->c[i].fd = -1;
    }
    do {
        open = 0;
        for (i = 0; i < CLIENTS; i++) {
            if (all->c[i].fd == -1 && all->left > 0) {
                client_open(all, &all->c[i]);
            }
            if (all->c[i].fd != -1) {
                open++;
                if (roll(&all->dice, 3) > 0) {
                    client_visit(all, &all->c[i]);
                }
            }
        }
    } while (open > 0 || all->left > 0);
    _exit(0);
}

/* -- the server: the loop under test */

typedef struct listener_s listener_t;

typedef struct {
    bed_t *b;
    dice_t dice;
    listener_t *listeners;
    veil_timer_t again; /* accepts again */
    unsigned accepted;
    unsigned closed;
    uint64_t completions;
    uint64_t cancelled;
    uint64_t timed_out;
    uint64_t starved_turns;
    uint64_t bytes_in;
    uint64_t bytes_out;
    unsigned errors;
    unsigned most;
    size_t limit; /* of what a connection keeps */
} server_t;

struct listener_s {
    veil_handle_t handle;
    veil_op_t op;
    server_t *server;
    int closed;
};

typedef struct {
    veil_handle_t handle;
    veil_op_t in;
    veil_op_t out;
    veil_timer_t timer;
    veil_pool_t *pool;
    server_t *server;
    veil_chain_t chain; /* to be echoed */
    struct iovec iov[4];
    size_t received;
    unsigned char seed;
    bool ended;
    int ticks;
} conn_t;

static void
conn_closed(veil_handle_t *h)
{
    conn_t *c = veil_container_of(h, conn_t, handle);
    veil_pool_t *pool = c->pool;

    cr_assert(veil_op_is_idle(&c->in) && veil_op_is_idle(&c->out));
    veil_timer_cancel(&c->timer);
    veil_chain_done(&c->chain);
    c->server->closed++;
    veil_pool_destroy(&pool);
}

static void
conn_close(conn_t *c)
{
    if (!veil_handle_is_closing(&c->handle)) {
        veil_handle_close(&c->handle, conn_closed);
    }
}

/* Starts what may be started. */
static void
conn_go(conn_t *c)
{
    server_t *s = c->server;
    veil_slice_t v[4];
    unsigned n, i;

    if (veil_handle_is_closing(&c->handle)) {
        return;
    }
    if (!c->ended && veil_op_is_idle(&c->in) && c->chain.bytes < s->limit) {
        veil_op_recv(&c->in);
        if (roll(&s->dice, 20) == 0) {
            veil_op_cancel(&c->in);
        }
    }
    if (veil_op_is_idle(&c->out) && c->chain.n > 0) {
        if (roll(&s->dice, 6) == 0) {
            /* A slow consumer: the blocks stay with us for a while. */
            return;
        }
        n = veil_chain_slices(&c->chain, 0, v, 4, SIZE_MAX);
        if (n == 1 || roll(&s->dice, 3) == 0) {
            veil_op_send(&c->out, v[0].data, v[0].len);
        } else {
            for (i = 0; i < n; i++) {
                c->iov[i].iov_base = (void *) (uintptr_t) v[i].data;
                c->iov[i].iov_len = v[i].len;
            }
            veil_op_sendv(&c->out, c->iov, n);
        }
        if (roll(&s->dice, 50) == 0) {
            veil_op_time_out(&c->out);
        }
    }
    if (c->ended && c->chain.n == 0 && veil_op_is_idle(&c->out)) {
        conn_close(c);
    }
}

static void
conn_tick(veil_timer_t *t)
{
    conn_t *c = veil_container_of(t, conn_t, timer);
    server_t *s = c->server;

    if (veil_handle_is_closing(&c->handle)) {
        return;
    }
    switch (roll(&s->dice, 12)) {
    case 0:
        veil_op_time_out(&c->out);
        break;
    case 1:
        veil_op_cancel(&c->in);
        break;
    case 2:
        conn_close(c);
        return;
    default:
        break;
    }
    if (++c->ticks > 40) {
        conn_close(c);
        return;
    }
    veil_timer_set(c->handle.loop, t, roll(&s->dice, 8));
    conn_go(c);
}

static void
conn_in(veil_op_t *op)
{
    conn_t *c = veil_container_of(op, conn_t, in);
    server_t *s = c->server;
    const unsigned char *p;

    s->completions++;
    if (!op->more) {
        cr_assert_leq(op->res, 0);
        cr_assert_null(op->u.buf.block);
        if (op->res == -ECANCELED) {
            s->cancelled++;
        } else {
            c->ended = true;
            s->errors += op->res < 0 && op->res != -ECONNRESET;
        }
        if (c->ended && op->res < 0) {
            conn_close(c);
        }
        conn_go(c);
        return;
    }
    if (c->received == 0) {
        c->seed = op->u.buf.pos[0];
    }
    for (p = op->u.buf.pos; p < op->u.buf.end; p++) {
        cr_assert(*p == byte_at(c->seed, c->received++));
    }
    s->bytes_in += (size_t) op->res;
    veil_chain_append(&c->chain, &op->u.buf);
    veil_block_put(op->u.buf.block);
    if (c->chain.bytes > s->limit || roll(&s->dice, 40) == 0) {
        veil_op_cancel(op);
    }
    if (roll(&s->dice, 300) == 0) {
        conn_close(c);
    }
    conn_go(c);
}

static void
conn_out(veil_op_t *op)
{
    conn_t *c = veil_container_of(op, conn_t, out);
    size_t n = op->kind == VEIL_OP_SENDV ? op->u.vec.nbytes : op->u.mem.nbytes;
    server_t *s = c->server;

    s->completions++;
    cr_assert_not(op->more);
    cr_assert(op->res < 0 || (size_t) op->res == n);
    s->bytes_out += n;
    veil_chain_consume(&c->chain, n);
    if (op->res == -ETIMEDOUT || op->res == -ECANCELED) {
        s->timed_out++;
    } else if (op->res < 0) {
        s->errors += op->res != -EPIPE && op->res != -ECONNRESET;
        conn_close(c);
        return;
    }
    conn_go(c);
}

static void
conn_open(server_t *s, int fd)
{
    veil_pool_t *pool = veil_pool_create("connection", 1024);
    conn_t *c = veil_pool_zalloc(pool, sizeof(*c));
    int one = 1;

    if (roll(&s->dice, 3) == 0) {
        (void) setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &one, sizeof(one));
    }
    c->pool = pool;
    c->server = s;
    veil_handle_init(&c->handle, s->b->loop, pool, fd);
    veil_op_init(&c->in, &c->handle, conn_in);
    veil_op_init(&c->out, &c->handle, conn_out);
    veil_timer_init(&c->timer, conn_tick);
    veil_timer_set(s->b->loop, &c->timer, roll(&s->dice, 8));
    s->accepted++;
    if (s->accepted - s->closed > s->most) {
        s->most = s->accepted - s->closed;
    }
    conn_go(c);
    if (roll(&s->dice, 30) == 0) {
        conn_close(c);
    }
}

static void
listener_done(veil_op_t *op)
{
    listener_t *l = veil_container_of(op, listener_t, op);
    server_t *s = l->server;

    s->completions++;
    if (op->more) {
        conn_open(s, op->res);
        if (roll(&s->dice, 50) == 0) {
            veil_op_cancel(op);
        }
        return;
    }
    cr_assert_eq(op->res, -ECANCELED);
    s->cancelled++;
    veil_timer_set(s->b->loop, &s->again, 1);
}

static void
server_accept(veil_timer_t *t)
{
    server_t *s = veil_container_of(t, server_t, again);
    int i;

    for (i = 0; i < 2; i++) {
        if (veil_op_is_idle(&s->listeners[i].op)
            && !veil_handle_is_closing(&s->listeners[i].handle))
        {
            veil_op_accept(&s->listeners[i].op);
        }
    }
}

static void
listener_closed(veil_handle_t *h)
{
    veil_container_of(h, listener_t, handle)->closed++;
}

static int
listen_local(struct sockaddr_un *addr)
{
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

    memset(addr, 0, sizeof(*addr));
    addr->sun_family = AF_UNIX;
    /* In the abstract namespace, which cleans up by itself. */
    (void) snprintf(addr->sun_path + 1, PATH_LEN, "veil-stress-%d", getpid());
    cr_assert_eq(bind(fd, (struct sockaddr *) addr, sizeof(*addr)), 0);
    cr_assert_eq(listen(fd, 4096), 0);
    return fd;
}

/* How many connections; true when it was asked for. */
static bool
stress_number(unsigned *n)
{
    const char *env = getenv("VEIL_STRESS");

    if (env != NULL) {
        *n = (unsigned) atoi(env);
        return true;
    }
    *n = getenv("TEST_VEIL_LONG") == NULL ? 3000 : 100000;
    return *n == 100000;
}

static void
stress(const char *backend, unsigned blocks)
{
    static clients_t clients;
    static server_t server;
    static listener_t listeners[2];
    unsigned n;
    bool talks;
    int fds[2], status, i;
    uint64_t start;
    bed_t b;
    pid_t pid;

    talks = stress_number(&n);
    fds[0] = bed_listen(&clients.tcp);
    cr_assert_eq(listen(fds[0], 4096), 0);
    fds[1] = listen_local(&clients.local);
    clients.left = n;
    clients.dice.dice = 1;
    server.dice.dice = 2;
    pid = fork();
    if (pid == 0) {
        clients_main(&clients);
    }
    /* The ring only now: it belongs to one process. */
    bed_open(&b, backend, 1024, blocks);
    start = veil_now_ms();
    server.b = &b;
    server.listeners = listeners;
    server.limit = blocks > 100 ? 30000 : 3000;
    for (i = 0; i < 2; i++) {
        listeners[i].server = &server;
        veil_handle_init(&listeners[i].handle, b.loop, NULL, fds[i]);
        veil_op_init(&listeners[i].op, &listeners[i].handle, listener_done);
    }
    veil_timer_init(&server.again, server_accept);
    server_accept(&server.again);
    while (server.closed < n) {
        veil_loop_turn(b.loop, 1000);
        server.starved_turns += veil_rxpool_has_starved(b.loop->rx);
        if (waitpid(pid, &status, WNOHANG) == pid) {
            cr_assert_eq(status, 0, "a client saw something wrong");
            pid = -1;
        }
        cr_assert_lt(veil_now_ms() - start, 60000 + n * 10);
    }
    cr_assert_eq(server.accepted, n);
    cr_assert_eq(server.errors, 0);
    if (pid > 0) {
        cr_assert_eq(waitpid(pid, &status, 0), pid);
        cr_assert_eq(status, 0, "a client saw something wrong");
    }
    for (i = 0; i < 2; i++) {
        veil_handle_close(&listeners[i].handle, listener_closed);
    }
    veil_timer_cancel(&server.again);
    UNTIL(&b, listeners[0].closed && listeners[1].closed);
    veil_timer_cancel(&server.again);
    cr_assert_eq(veil_rxpool_free(b.loop->rx), veil_rxpool_total(b.loop->rx));
    if (talks) {
        (void) fprintf(
            stderr,
            "%s, %u blocks: %u connections, at most %u at a time, "
            "%llu completions, %llu receives and accepts cancelled, %llu "
            "sends cancelled, starved in %llu of %llu turns, %.1f MB in, "
            "%.1f MB out, %.1f s\n",
            backend, blocks, n, server.most,
            (unsigned long long) server.completions,
            (unsigned long long) server.cancelled,
            (unsigned long long) server.timed_out,
            (unsigned long long) server.starved_turns,
            (unsigned long long) b.loop->turns, (double) server.bytes_in / 1e6,
            (double) server.bytes_out / 1e6,
            (double) (veil_now_ms() - start) / 1e3);
    }
    bed_close(&b);
}

Test(stress, uring)
{
    stress("io_uring", 256);
}

Test(stress, uring_starved)
{
    stress("io_uring", 8);
}

Test(stress, epoll)
{
    stress("epoll", 256);
}

Test(stress, epoll_starved)
{
    stress("epoll", 8);
}
