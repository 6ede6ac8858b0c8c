/*
 * test_loop.c -- the contract of ops and handles, on all three back ends.
 */

#include "bed.h"

#include <sys/resource.h>

/* -- receiving */

CONTRACT(recv_delivers_data_then_the_end)
{
    int peer;
    end_t *e = end_open(b, &peer);

    veil_op_recv(&e->in);
    veil_loop_turn(b->loop, 0);
    cr_assert_eq(e->shots, 0);
    cr_assert_eq(write(peer, "hello", 5), 5);
    UNTIL(b, e->len == 5);
    cr_assert(veil_op_is_idle(&e->in) == false);
    cr_assert_eq(write(peer, ", world", 7), 7);
    UNTIL(b, e->len == 12);
    cr_assert_eq(memcmp(e->data, "hello, world", 12), 0);
    (void) close(peer);
    UNTIL(b, e->in_done == 1);
    cr_assert_eq(e->in_res, 0);
    cr_assert(veil_op_is_idle(&e->in));
    end_close(b, e);
}

CONTRACT(data_and_end_that_arrive_together)
{
    int peer, i;
    end_t *e;

    for (i = 0; i < 20; i++) {
        e = i % 2 == 0 ? end_open(b, &peer) : end_open_tcp(b, &peer);
        if (i % 4 < 2) {
            veil_op_recv(&e->in);
            veil_loop_turn(b->loop, 0);
        }
        cr_assert_eq(write(peer, "last", 4), 4);
        (void) close(peer);
        if (veil_op_is_idle(&e->in)) {
            veil_op_recv(&e->in);
        }
        UNTIL(b, e->in_done == 1);
        cr_assert_eq(e->in_res, 0);
        cr_assert_eq(e->len, 4);
        end_close(b, e);
    }
}

CONTRACT(recv_of_more_than_all_blocks)
{
    static char junk[60000];
    int peer, size = 200000;
    end_t *e = end_open(b, &peer);
    size_t i;

    for (i = 0; i < sizeof(junk); i++) {
        junk[i] = (char) (i * 7 + i / 251);
    }
    (void) setsockopt(peer, SOL_SOCKET, SO_SNDBUF, &size, sizeof(size));
    cr_assert_eq(write(peer, junk, sizeof(junk)), (ssize_t) sizeof(junk));
    veil_op_recv(&e->in);
    UNTIL(b, e->len == sizeof(junk));
    cr_assert_eq(memcmp(e->data, junk, sizeof(junk)), 0);
    (void) close(peer);
    end_close(b, e);
}

/* A process that is not run for a while just when its loop has looked. */
static struct {
    const veil_backend_t *real;
    int peer; /* who writes meanwhile; -1: it is over */
    veil_timer_t timer;
    bool fired;
} stall;

static void
stall_wait(veil_loop_t *loop, int max_ms)
{
    struct timespec pause = { .tv_nsec = 30 * 1000000 };

    stall.real->wait(loop, stall.peer == -1 ? max_ms : 0);
    if (stall.peer != -1) {
        cr_assert_eq(write(stall.peer, "x", 1), 1);
        stall.peer = -1;
        (void) nanosleep(&pause, NULL);
        veil_time_update();
    }
}

static void
stall_fired(veil_timer_t *t VEIL_UNUSED)
{
    stall.fired = true;
}

CONTRACT(what_has_arrived_is_not_late)
{
    int peer;
    end_t *e = end_open(b, &peer);
    veil_backend_t backend = *b->loop->backend;

    stall.real = b->loop->backend;
    backend.wait = stall_wait;
    stall.peer = -1;
    veil_op_recv(&e->in);
    veil_loop_turn(b->loop, 0);
    veil_timer_init(&stall.timer, stall_fired);
    veil_timer_set(b->loop, &stall.timer, 10);
    stall.peer = peer;
    b->loop->backend = &backend;
    while (!stall.fired && e->len == 0) {
        veil_loop_turn(b->loop, 1);
    }
    cr_assert_eq(e->len, 1, "its timer was first");
    UNTIL(b, stall.fired);
    b->loop->backend = stall.real;
    (void) close(peer);
    end_close(b, e);
}

CONTRACT(recv_of_a_reset)
{
    int peer;
    end_t *e = end_open_tcp(b, &peer);

    veil_op_recv(&e->in);
    veil_loop_turn(b->loop, 0);
    bed_reset(peer);
    UNTIL(b, e->in_done == 1);
    cr_assert_eq(e->in_res, -ECONNRESET);
    end_close(b, e);
}

CONTRACT(cancelled_recv_ends_once)
{
    int peer;
    end_t *e = end_open(b, &peer);

    veil_op_recv(&e->in);
    veil_loop_turn(b->loop, 0);
    veil_op_cancel(&e->in);
    veil_op_cancel(&e->in);
    cr_assert_eq(e->in_done, 0, "done() from within cancel()");
    UNTIL(b, e->in_done == 1);
    cr_assert_eq(e->in_res, -ECANCELED);
    veil_op_cancel(&e->in); /* idle: nothing */

    /* The descriptor is unharmed. */
    veil_op_recv(&e->in);
    cr_assert_eq(write(peer, "x", 1), 1);
    UNTIL(b, e->len == 1);
    veil_op_time_out(&e->in);
    UNTIL(b, e->in_done == 2);
    cr_assert_eq(e->in_res, -ETIMEDOUT);
    (void) close(peer);
    end_close(b, e);
}

static void
cancel_the_other(veil_op_t *op)
{
    end_t *e = veil_container_of(op, end_t, out);

    e->out_done++;
    veil_op_cancel(&e->in);
}

/* The descriptor becomes ready when the op is over but not yet completed. */
CONTRACT(an_event_after_the_cancel)
{
    int peer;
    end_t *e = end_open(b, &peer);

    veil_op_recv(&e->in);
    veil_loop_turn(b->loop, 0);
    veil_loop_turn(b->loop, 0);
    cr_assert_eq(write(peer, "x", 1), 1);
    veil_op_init(&e->out, &e->handle, cancel_the_other);
    veil_op_send(&e->out, "y", 1);
    UNTIL(b, e->out_done == 1 && e->in_done == 1);
    cr_assert_eq(e->in_res, -ECANCELED);
    (void) close(peer);
    end_close(b, e);
}

CONTRACT(cancelled_before_it_began)
{
    int peer;
    end_t *e = end_open(b, &peer);

    veil_op_recv(&e->in);
    veil_op_cancel(&e->in);
    UNTIL(b, e->in_done == 1);
    cr_assert_eq(e->in_res, -ECANCELED);
    (void) close(peer);
    end_close(b, e);
}

/* Nothing is lost: what the cancelled op did not bring the next one does. */
CONTRACT(data_around_a_cancel)
{
    int peer, i;
    char c;
    end_t *e = end_open(b, &peer);

    for (i = 0; i < 200; i++) {
        c = (char) i;
        veil_op_recv(&e->in);
        if (i % 3 == 0) {
            veil_loop_turn(b->loop, 0);
        }
        cr_assert_eq(write(peer, &c, 1), 1);
        if (i % 3 == 1) {
            veil_loop_turn(b->loop, 0);
        }
        veil_op_cancel(&e->in);
        UNTIL(b, e->in_done == i + 1);
        cr_assert_eq(e->in_res, -ECANCELED);
    }
    veil_op_recv(&e->in);
    UNTIL(b, e->len == 200);
    for (i = 0; i < 200; i++) {
        cr_assert_eq(e->data[i], (char) i);
    }
    (void) close(peer);
    end_close(b, e);
}

CONTRACT(recv_exact_waits_for_all)
{
    char data[10];
    int peer;
    end_t *e = end_open(b, &peer);

    veil_op_init(&e->in, &e->handle, end_out);
    veil_op_init(&e->out, &e->handle, end_out);
    veil_op_recv_exact(&e->out, data, sizeof(data));
    cr_assert_eq(write(peer, "0123", 4), 4);
    veil_loop_turn(b->loop, 5);
    veil_loop_turn(b->loop, 5);
    cr_assert_eq(e->out_done, 0);
    cr_assert_eq(write(peer, "456789abc", 9), 9);
    UNTIL(b, e->out_done == 1);
    cr_assert_eq(e->out_res, 10);
    cr_assert_eq(memcmp(data, "0123456789", 10), 0);

    veil_op_recv_exact(&e->out, data, sizeof(data));
    (void) close(peer);
    UNTIL(b, e->out_done == 2);
    cr_assert_eq(e->out_res, 3);
    cr_assert_eq(memcmp(data, "abc", 3), 0);
    end_close(b, e);
}

/* Two blocks for eight connections, all of which hold what they get. */
CONTRACT_SIZED(starved_receives_get_their_turn, 64, 2)
{
    int peers[8], i;
    end_t *ends[8];
    size_t sum = 0;
    unsigned rounds;

    for (i = 0; i < 8; i++) {
        ends[i] = end_open(b, &peers[i]);
        ends[i]->keep = true;
        veil_op_recv(&ends[i]->in);
        cr_assert_eq(write(peers[i], "data", 4), 4);
    }
    for (rounds = 0; rounds < 100 && sum < 32; rounds++) {
        UNTIL(b, veil_rxpool_free(b->loop->rx) == 0 || sum == 32);
        cr_assert(veil_loop_is_short_of_buffers(b->loop)
                  || veil_rxpool_total(b->loop->rx) < 4);
        sum = 0;
        for (i = 0; i < 8; i++) {
            veil_chain_done(&ends[i]->kept);
            sum += ends[i]->len;
        }
        if (sum < 32) {
            veil_loop_turn(b->loop, 1);
            for (sum = 0, i = 0; i < 8; i++) {
                sum += ends[i]->len;
            }
        }
    }
    cr_assert_eq(sum, 32);
    for (i = 0; i < 8; i++) {
        cr_assert_eq(ends[i]->in_done, 0, "a shortage is not an end");
        (void) close(peers[i]);
        end_close(b, ends[i]);
    }
}

/* More starved ops than blocks, of which only the last has data. */
CONTRACT_SIZED(a_block_reaches_who_can_use_it, 64, 1)
{
    int peers[9], i;
    end_t *ends[9];

    ends[0] = end_open(b, &peers[0]);
    ends[0]->keep = true;
    veil_op_recv(&ends[0]->in);
    cr_assert_eq(write(peers[0], "hold", 4), 4);
    UNTIL(b, ends[0]->len == 4);
    for (i = 1; i < 9; i++) {
        ends[i] = end_open(b, &peers[i]);
        veil_op_recv(&ends[i]->in);
        veil_loop_turn(b->loop, 0);
    }
    cr_assert_eq(write(peers[8], "data", 4), 4);
    veil_loop_turn(b->loop, 1);
    cr_assert_eq(ends[8]->len, 0);
    veil_chain_done(&ends[0]->kept);
    UNTIL(b, ends[8]->len == 4);
    for (i = 0; i < 9; i++) {
        (void) close(peers[i]);
        end_close(b, ends[i]);
    }
}

CONTRACT_SIZED(a_starved_receive_can_be_cancelled, 64, 1)
{
    int peers[2];
    end_t *hold = end_open(b, &peers[0]);
    end_t *e = end_open(b, &peers[1]);

    hold->keep = true;
    veil_op_recv(&hold->in);
    cr_assert_eq(write(peers[0], "hold", 4), 4);
    UNTIL(b, hold->len == 4);
    veil_op_recv(&e->in);
    cr_assert_eq(write(peers[1], "data", 4), 4);
    veil_loop_turn(b->loop, 0);
    veil_loop_turn(b->loop, 0);
    veil_op_cancel(&e->in);
    UNTIL(b, e->in_done == 1);
    cr_assert_eq(e->in_res, -ECANCELED);
    cr_assert_eq(e->len, 0);
    (void) close(peers[0]);
    (void) close(peers[1]);
    end_close(b, e);
    end_close(b, hold);
}

/* -- sending */

static size_t
drain(int fd, char *data, size_t size)
{
    ssize_t n = recv(fd, data, size, MSG_DONTWAIT);

    return n > 0 ? (size_t) n : 0;
}

/* What was sent came over whole; ends the end and frees both copies. */
static void
all_was_sent(bed_t *b, end_t *e, char *data, char *copy, size_t len)
{
    UNTIL(b, e->out_done == 1);
    cr_assert_eq(e->out_res, (int) len);
    cr_assert_eq(memcmp(data, copy, len), 0);
    free(data);
    free(copy);
    end_close(b, e);
}

CONTRACT(send_goes_on_until_all_is_sent)
{
    size_t len = 4 << 20, got = 0, i;
    char *data = malloc(len), *copy = malloc(len);
    int peer;
    end_t *e = end_open_tcp(b, &peer);
    time_t end = 0;

    for (i = 0; i < len; i++) {
        data[i] = (char) (i * 31 + i / 509);
    }
    veil_op_send(&e->out, data, len);
    for (i = 0; got < len && bed_in_time(&end); i++) {
        veil_loop_turn(b->loop, i < 20 ? 1 : 0);
        if (i == 20) {
            cr_assert_eq(e->out_done, 0, "nobody has read all that");
            cr_assert_gt(e->out.u.mem.nbytes, 0);
        }
        if (i > 20) {
            got += drain(peer, copy + got, len - got);
        }
    }
    cr_assert_eq(got, len);
    all_was_sent(b, e, data, copy, len);
    (void) close(peer);
}

CONTRACT(sendv_goes_on_in_the_middle_of_a_piece)
{
    size_t len = 3 << 20, got = 0, i;
    char *data = malloc(len), *copy = malloc(len);
    struct iovec iov[7];
    int peer;
    end_t *e = end_open_tcp(b, &peer);
    time_t end = 0;

    for (i = 0; i < len; i++) {
        data[i] = (char) (i * 17 + i / 1021);
    }
    iov[0] = (struct iovec){ data, 0 };
    iov[1] = (struct iovec){ data, 10 };
    iov[2] = (struct iovec){ data + 10, 1000000 };
    iov[3] = (struct iovec){ data + 1000010, 0 };
    iov[4] = (struct iovec){ data + 1000010, 1 };
    iov[5] = (struct iovec){ data + 1000011, len - 1000011 };
    iov[6] = (struct iovec){ data, 0 };
    veil_op_sendv(&e->out, iov, 7);
    for (i = 0; got < len && bed_in_time(&end); i++) {
        veil_loop_turn(b->loop, 0);
        if (i % 3 == 0) {
            got += drain(peer, copy + got, len - got);
        }
    }
    cr_assert_eq(got, len);
    all_was_sent(b, e, data, copy, len);
    (void) close(peer);
}

CONTRACT(send_to_a_closed_peer)
{
    int peer;
    end_t *e = end_open(b, &peer);

    (void) close(peer);
    veil_op_send(&e->out, "hello", 5);
    UNTIL(b, e->out_done == 1);
    cr_assert_eq(e->out_res, -EPIPE);
    end_close(b, e);
}

CONTRACT(send_that_the_peer_resets)
{
    size_t len = 8 << 20;
    char *data = calloc(1, len);
    int peer;
    end_t *e = end_open_tcp(b, &peer);

    veil_op_send(&e->out, data, len);
    veil_loop_turn(b->loop, 1);
    veil_loop_turn(b->loop, 1);
    cr_assert_eq(e->out_done, 0);
    bed_reset(peer);
    UNTIL(b, e->out_done == 1);
    cr_assert(e->out_res == -ECONNRESET || e->out_res == -EPIPE);
    free(data);
    end_close(b, e);
}

CONTRACT(cancelled_send_says_how_much_went)
{
    size_t len = 8 << 20;
    char *data = calloc(1, len);
    int peer;
    end_t *e = end_open_tcp(b, &peer);

    veil_op_send(&e->out, data, len);
    veil_loop_turn(b->loop, 1);
    veil_loop_turn(b->loop, 1);
    veil_op_time_out(&e->out);
    UNTIL(b, e->out_done == 1);
    cr_assert_eq(e->out_res, -ETIMEDOUT);
    cr_assert_gt(e->out.u.mem.nbytes, 0);
    cr_assert_lt(e->out.u.mem.nbytes, len);
    free(data);
    (void) close(peer);
    end_close(b, e);
}

static int
make_file(size_t len)
{
    char name[] = "/tmp/veil-test-XXXXXX";
    int fd = mkstemp(name);
    size_t i;
    char c[4096];

    cr_assert_geq(fd, 0);
    (void) unlink(name);
    for (i = 0; i < sizeof(c); i++) {
        c[i] = (char) (i % 251);
    }
    for (i = 0; i < len; i += sizeof(c)) {
        cr_assert_gt(write(fd, c, veil_min_size(sizeof(c), len - i)), 0);
    }
    return fd;
}

static void
sendfile_of(bed_t *b, size_t file_len, size_t len)
{
    int peer, file = make_file(file_len);
    end_t *e = end_open_tcp(b, &peer);
    size_t want = veil_min_size(file_len, len), got = 0, i;
    char *copy = malloc(want);
    time_t end = 0;

    veil_op_sendfile(&e->out, file, 0, len);
    for (i = 0; got < want && bed_in_time(&end); i++) {
        veil_loop_turn(b->loop, 0);
        if (i > 10) {
            got += drain(peer, copy + got, want - got);
        }
    }
    cr_assert_eq(got, want);
    UNTIL(b, e->out_done == 1);
    cr_assert_eq(e->out_res, (int) want);
    for (i = 0; i < want; i++) {
        cr_assert(copy[i] == (char) (i % 4096 % 251));
    }
    free(copy);
    (void) close(peer);
    (void) close(file);
    end_close(b, e);
}

CONTRACT(sendfile_goes_on_until_all_is_sent)
{
    sendfile_of(b, 6 << 20, 6 << 20);
}

CONTRACT(sendfile_of_a_truncated_file_is_short)
{
    sendfile_of(b, 1000, 5000);
    sendfile_of(b, 5 << 20, 6 << 20);
}

CONTRACT(sendfile_to_a_closed_peer)
{
    int peer, file = make_file(100000);
    end_t *e = end_open(b, &peer);

    (void) close(peer);
    veil_op_sendfile(&e->out, file, 0, 100000);
    UNTIL(b, e->out_done == 1);
    cr_assert_eq(e->out_res, -EPIPE);
    (void) close(file);
    end_close(b, e);
}

/* -- accepting and connecting */

typedef struct {
    veil_handle_t handle;
    veil_op_t op;
    int clients;
    int fds[64];
    int final;
    int res;
    int closed;
} listener_t;

static void
listener_done(veil_op_t *op)
{
    listener_t *l = veil_container_of(op, listener_t, op);

    if (op->more) {
        cr_assert_geq(op->res, 0);
        cr_assert_neq(fcntl(op->res, F_GETFL) & O_NONBLOCK, 0);
        cr_assert_neq(fcntl(op->res, F_GETFD) & FD_CLOEXEC, 0);
        l->fds[l->clients++] = op->res;
        return;
    }
    l->final++;
    l->res = op->res;
}

static void
listener_closed(veil_handle_t *h)
{
    veil_container_of(h, listener_t, handle)->closed++;
}

static listener_t *
listener_open(bed_t *b, struct sockaddr_in *addr)
{
    listener_t *l = veil_pool_zalloc(b->pool, sizeof(*l));

    veil_handle_init(&l->handle, b->loop, b->pool, bed_listen(addr));
    veil_op_init(&l->op, &l->handle, listener_done);
    return l;
}

static void
listener_close(bed_t *b, listener_t *l)
{
    veil_handle_close(&l->handle, listener_closed);
    UNTIL(b, l->closed == 1);
    while (l->clients > 0) {
        (void) close(l->fds[--l->clients]);
    }
}

CONTRACT(accept_is_multishot)
{
    struct sockaddr_in addr;
    listener_t *l = listener_open(b, &addr);
    int fds[40], i;

    veil_op_accept(&l->op);
    for (i = 0; i < 40; i++) {
        fds[i] = bed_connect(&addr);
    }
    UNTIL(b, l->clients == 40);
    for (i = 0; i < 40; i++) {
        (void) close(fds[i]);
    }
    listener_close(b, l);
    cr_assert_eq(l->final, 1);
    cr_assert_eq(l->res, -ECANCELED);
}

/* Whoever was accepted is delivered; whoever was not can be later. */
CONTRACT(cancelled_accept_loses_no_client)
{
    struct sockaddr_in addr;
    listener_t *l = listener_open(b, &addr);
    int fds[50], i;

    for (i = 0; i < 50; i++) {
        veil_op_accept(&l->op);
        if (i % 2 == 0) {
            veil_loop_turn(b->loop, 0);
        }
        fds[i] = bed_connect(&addr);
        if (i % 3 == 0) {
            veil_loop_turn(b->loop, 0);
        }
        veil_op_cancel(&l->op);
        UNTIL(b, l->final == i + 1);
        cr_assert_eq(l->res, -ECANCELED);
    }
    veil_op_accept(&l->op);
    UNTIL(b, l->clients == 50);
    for (i = 0; i < 50; i++) {
        (void) close(fds[i]);
    }
    listener_close(b, l);
}

/* A listener that goes away is done with when its op says so. */
CONTRACT(listener_closed_under_arriving_clients)
{
    struct sockaddr_in addr;
    listener_t *l;
    int fds[4], round, i;

    for (round = 0; round < 60; round++) {
        l = listener_open(b, &addr);
        veil_op_accept(&l->op);
        if (round % 3 == 0) {
            veil_loop_turn(b->loop, 0);
        }
        for (i = 0; i < 4; i++) {
            fds[i] = bed_connect(&addr);
            if ((round + i) % 5 == 0) {
                veil_loop_turn(b->loop, 0);
            }
        }
        listener_close(b, l);
        cr_assert_eq(l->final, 1);
        for (i = 0; i < 4; i++) {
            (void) close(fds[i]);
        }
    }
}

/* Out of descriptors ends it; the client waits in the kernel until later. */
CONTRACT(accept_without_descriptors_ends)
{
    struct sockaddr_in addr;
    listener_t *l = listener_open(b, &addr);
    int client = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
    struct rlimit old, none;

    cr_assert_eq(getrlimit(RLIMIT_NOFILE, &old), 0);
    none = old;
    none.rlim_cur = (rlim_t) client + 1;
    /* The gaps below would still be handed out. */
    while (dup(client) < client) {
        continue;
    }
    /* io_uring looks at the limit when it begins to accept. */
    cr_assert_eq(setrlimit(RLIMIT_NOFILE, &none), 0);
    veil_op_accept(&l->op);
    veil_loop_turn(b->loop, 0);
    (void) connect(client, (struct sockaddr *) &addr, sizeof(addr));
    UNTIL(b, l->final == 1);
    cr_assert_eq(setrlimit(RLIMIT_NOFILE, &old), 0);
    cr_assert_eq(l->res, -EMFILE);
    cr_assert_eq(l->clients, 0);
    veil_op_accept(&l->op);
    UNTIL(b, l->clients == 1);
    (void) close(client);
    listener_close(b, l);
}

CONTRACT(connect_succeeds_and_fails)
{
    struct sockaddr_in addr;
    int listener = bed_listen(&addr), nobody;
    end_t *e = end_of_fd(
        b, socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
    end_t *f = end_of_fd(
        b, socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));

    veil_op_connect(&e->out, (struct sockaddr *) &addr, sizeof(addr));
    UNTIL(b, e->out_done == 1);
    cr_assert_eq(e->out_res, 0);
    veil_op_send(&e->out, "hello", 5);
    UNTIL(b, e->out_done == 2);
    cr_assert_eq(e->out_res, 5);
    end_close(b, e);
    (void) close(listener);
    nobody = bed_bind(&addr);
    veil_op_connect(&f->out, (struct sockaddr *) &addr, sizeof(addr));
    UNTIL(b, f->out_done == 1);
    cr_assert_eq(f->out_res, -ECONNREFUSED);
    end_close(b, f);
    (void) close(nobody);
}

/* -- files, pipes, polling, messages */

CONTRACT(files)
{
    end_t *e = end_of_fd(b, -1), *f;
    struct statx stx = { 0 };
    char data[32];

    veil_op_statx(&e->out, AT_FDCWD, "/proc/self/nothing", 0, STATX_SIZE,
                  &stx);
    UNTIL(b, e->out_done == 1);
    cr_assert_eq(e->out_res, -ENOENT);
    veil_op_statx(&e->out, AT_FDCWD, "/dev/null", 0, STATX_TYPE, &stx);
    UNTIL(b, e->out_done == 2);
    cr_assert_eq(e->out_res, 0);
    cr_assert(S_ISCHR(stx.stx_mode));
    veil_op_openat(&e->out, AT_FDCWD, "/dev/null/x", O_RDONLY | O_CLOEXEC, 0);
    UNTIL(b, e->out_done == 3);
    cr_assert_eq(e->out_res, -ENOTDIR);
    veil_op_openat(&e->out, AT_FDCWD, "/dev/null", O_RDONLY | O_CLOEXEC, 0);
    UNTIL(b, e->out_done == 4);
    cr_assert_geq(e->out_res, 0);
    (void) close(e->out_res);
    end_close(b, e);

    f = end_of_fd(b, make_file(1000));
    veil_op_read(&f->out, data, sizeof(data), 990);
    UNTIL(b, f->out_done == 1);
    cr_assert_eq(f->out_res, 10);
    cr_assert_eq(data[0], (char) (990 % 251));
    veil_op_write(&f->out, "XYZ", 3, 990);
    UNTIL(b, f->out_done == 2);
    cr_assert_eq(f->out_res, 3);
    veil_op_read(&f->out, data, 4, 989);
    UNTIL(b, f->out_done == 3);
    cr_assert_eq(memcmp(data + 1, "XYZ", 3), 0);
    end_close(b, f);
}

static veil_op_t *taken;

static bool
take(veil_loop_t *loop, veil_op_t *op)
{
    (void) loop;
    if (op->kind != VEIL_OP_OPENAT) {
        return false;
    }
    cr_assert_null(taken);
    taken = op;
    return true;
}

/* Who has taken an op ends it, and a cancel in between is a wish. */
static void
offloaded(const char *backend)
{
    bed_t b;
    end_t *e;
    struct statx stx;

    bed_open(&b, backend, 4096, 16);
    b.loop->offload = take;
    e = end_of_fd(&b, -1);
    veil_op_statx(&e->out, AT_FDCWD, "/dev/null", 0, STATX_TYPE, &stx);
    UNTIL(&b, e->out_done == 1);
    cr_assert_eq(e->out_res, 0);
    veil_op_openat(&e->out, AT_FDCWD, "/dev/null", O_RDONLY, 0);
    UNTIL(&b, taken == &e->out);
    veil_op_cancel(&e->out);
    veil_loop_turn(b.loop, 1);
    veil_loop_turn(b.loop, 1);
    cr_assert_eq(e->out_done, 1);
    veil_op_finish(taken, 1234);
    cr_assert_eq(e->out_done, 1);
    UNTIL(&b, e->out_done == 2);
    cr_assert_eq(e->out_res, 1234);
    end_close(&b, e);
    bed_close(&b);
}

Test(epoll, offloaded_calls)
{
    offloaded("epoll");
}

Test(sim, offloaded_calls)
{
    offloaded("sim");
}

CONTRACT(pipes_wait)
{
    int fds[2];
    char data[16];
    end_t *r, *w;

    cr_assert_eq(pipe2(fds, O_NONBLOCK | O_CLOEXEC), 0);
    r = end_of_fd(b, fds[0]);
    w = end_of_fd(b, fds[1]);
    veil_op_read(&r->out, data, sizeof(data), UINT64_MAX);
    veil_loop_turn(b->loop, 2);
    veil_loop_turn(b->loop, 2);
    cr_assert_eq(r->out_done, 0);
    veil_op_write(&w->out, "ping", 4, UINT64_MAX);
    UNTIL(b, r->out_done == 1 && w->out_done == 1);
    cr_assert_eq(r->out_res, 4);
    cr_assert_eq(w->out_res, 4);
    veil_op_read(&r->out, data, sizeof(data), UINT64_MAX);
    veil_loop_turn(b->loop, 2);
    veil_op_cancel(&r->out);
    UNTIL(b, r->out_done == 2);
    cr_assert_eq(r->out_res, -ECANCELED);
    end_close(b, w);
    veil_op_read(&r->out, data, sizeof(data), UINT64_MAX);
    UNTIL(b, r->out_done == 3);
    cr_assert_eq(r->out_res, 0);
    end_close(b, r);
}

CONTRACT(poll_is_one_shot)
{
    int peer;
    char c;
    end_t *e = end_open(b, &peer);

    veil_op_init(&e->in, &e->handle, end_out);
    veil_op_poll(&e->out, POLLIN);
    veil_loop_turn(b->loop, 2);
    cr_assert_eq(e->out_done, 0);
    cr_assert_eq(write(peer, "x", 1), 1);
    UNTIL(b, e->out_done == 1);
    cr_assert(e->out_res & POLLIN);
    veil_op_poll(&e->out, POLLIN); /* still so */
    UNTIL(b, e->out_done == 2);
    cr_assert_eq(read(e->handle.fd, &c, 1), 1);
    veil_op_poll(&e->out, POLLIN);
    veil_loop_turn(b->loop, 2);
    cr_assert_eq(e->out_done, 2);
    veil_op_cancel(&e->out);
    UNTIL(b, e->out_done == 3);
    cr_assert_eq(e->out_res, -ECANCELED);
    (void) close(peer);
    end_close(b, e);
}

CONTRACT(splice_moves_and_waits)
{
    int peer, fds[2];
    char data[16];
    end_t *e = end_open_tcp(b, &peer);

    cr_assert_eq(pipe2(fds, O_NONBLOCK | O_CLOEXEC), 0);
    veil_op_splice(&e->out, fds[1], 65536, 0);
    veil_loop_turn(b->loop, 2);
    veil_loop_turn(b->loop, 2);
    cr_assert_eq(e->out_done, 0);
    cr_assert_eq(write(peer, "spliced", 7), 7);
    UNTIL(b, e->out_done == 1);
    cr_assert_geq(e->out_res, 1);
    cr_assert_eq(read(fds[0], data, sizeof(data)), e->out_res);
    if (e->out_res == 7) {
        (void) close(peer);
        veil_op_splice(&e->out, fds[1], 65536, 0);
        UNTIL(b, e->out_done == 2);
        cr_assert_eq(e->out_res, 0);
    }
    (void) close(fds[0]);
    (void) close(fds[1]);
    end_close(b, e);
}

CONTRACT(messages)
{
    int peer;
    char data[16];
    struct iovec iov = { data, sizeof(data) };
    struct iovec out = { (char[]){ "datagram" }, 8 };
    struct msghdr msg = { .msg_iov = &iov, .msg_iovlen = 1 };
    struct msghdr msg2 = { .msg_iov = &out, .msg_iovlen = 1 };
    end_t *e = end_open(b, &peer);

    veil_op_init(&e->in, &e->handle, end_out);
    veil_op_recvmsg(&e->out, &msg, 0);
    veil_loop_turn(b->loop, 2);
    cr_assert_eq(e->out_done, 0);
    cr_assert_eq(write(peer, "abc", 3), 3);
    UNTIL(b, e->out_done == 1);
    cr_assert_eq(e->out_res, 3);
    veil_op_sendmsg(&e->out, &msg2, 0);
    UNTIL(b, e->out_done == 2);
    cr_assert_eq(e->out_res, 8);
    cr_assert_eq(read(peer, data, sizeof(data)), 8);
    (void) close(peer);
    end_close(b, e);
}

/* -- closing */

CONTRACT(close_with_everything_in_flight)
{
    size_t len = 8 << 20;
    char *data = calloc(1, len);
    int peer;
    end_t *e = end_open_tcp(b, &peer);
    veil_op_t poll_op;

    veil_op_init(&poll_op, &e->handle, end_out);
    veil_op_recv(&e->in);
    veil_op_send(&e->out, data, len);
    veil_loop_turn(b->loop, 1);
    veil_loop_turn(b->loop, 1);
    cr_assert_eq(write(peer, "late", 4), 4);
    veil_handle_close(&e->handle, end_closed);
    cr_assert(veil_handle_is_closing(&e->handle));
    cr_assert_eq(e->closed, 0, "closed() from within close()");
    UNTIL(b, e->closed == 1);
    cr_assert_eq(e->in_done, 1);
    cr_assert_eq(e->out_done, 1);
    cr_assert_eq(e->out_res, -ECANCELED);
    cr_assert_eq(b->loop->nops, 0);
    free(data);
    (void) close(peer);
}

static void
count_line(void *data, const char *line)
{
    cr_assert_not_null(strstr(line, "recv on descriptor"));
    ++*(int *) data;
}

CONTRACT(report_lists_what_is_in_flight)
{
    int peer, lines = 0;
    end_t *e = end_open(b, &peer);

    cr_assert_eq(veil_loop_report(b->loop, count_line, &lines), 0);
    veil_op_recv(&e->in);
    veil_loop_turn(b->loop, 0);
    cr_assert_eq(veil_loop_report(b->loop, count_line, &lines), 1);
    cr_assert_eq(lines, 1);
    (void) close(peer);
    end_close(b, e);
}

CONTRACT(a_released_descriptor_stays_open)
{
    int peer, fd;
    char c;
    end_t *e = end_open(b, &peer);

    veil_op_recv(&e->in);
    cr_assert_eq(write(peer, "x", 1), 1);
    UNTIL(b, e->len == 1);
    veil_op_cancel(&e->in);
    UNTIL(b, e->in_done == 1);
    fd = veil_handle_release(&e->handle);
    cr_assert_eq(b->loop->nhandles, 0);
    cr_assert_eq(write(peer, "y", 1), 1);
    veil_loop_turn(b->loop, 2);
    cr_assert_eq(read(fd, &c, 1), 1);
    (void) close(fd);
    (void) close(peer);
}

/* -- mistakes end in an assertion */

MISTAKE(pool_destroyed_with_recv_in_flight)
{
    int peer;
    end_t *e = end_open(b, &peer);

    veil_op_recv(&e->in);
    veil_loop_turn(b->loop, 0);
    veil_pool_destroy(&b->pool);
}

MISTAKE(op_started_twice)
{
    int peer;
    end_t *e = end_open(b, &peer);

    veil_op_recv(&e->in);
    veil_op_recv(&e->in);
}

MISTAKE(two_sends_at_a_time)
{
    int peer;
    end_t *e = end_open(b, &peer);
    veil_op_t second;

    veil_op_init(&second, &e->handle, end_out);
    veil_op_send(&e->out, "a", 1);
    veil_op_send(&second, "b", 1);
}

MISTAKE(op_started_on_a_closing_handle)
{
    int peer;
    end_t *e = end_open(b, &peer);

    veil_handle_close(&e->handle, end_closed);
    veil_op_recv(&e->in);
}

MISTAKE(handle_closed_twice)
{
    int peer;
    end_t *e = end_open(b, &peer);

    veil_op_recv(&e->in);
    veil_handle_close(&e->handle, end_closed);
    veil_handle_close(&e->handle, end_closed);
}

MISTAKE(handle_released_with_an_op)
{
    int peer;
    end_t *e = end_open(b, &peer);

    veil_op_recv(&e->in);
    (void) veil_handle_release(&e->handle);
}

#if VEIL_DEBUG
MISTAKE(a_socket_that_blocks)
{
    int fds[2];

    cr_assert_eq(socketpair(AF_UNIX, SOCK_STREAM, 0, fds), 0);
    (void) end_of_fd(b, fds[0]);
}
#endif

static bed_t *nested;

static void
turn_in_done(veil_op_t *op)
{
    (void) op;
    veil_loop_turn(nested->loop, 0);
}

MISTAKE(a_turn_within_a_turn)
{
    int peer;
    end_t *e = end_open(b, &peer);

    nested = b;
    veil_op_init(&e->out, &e->handle, turn_in_done);
    veil_op_send(&e->out, "x", 1);
    UNTIL(b, false);
}

#if VEIL_DEBUG
MISTAKE(send_buffer_modified_in_flight)
{
    size_t len = 8 << 20;
    char *data = calloc(1, len);
    int peer;
    end_t *e = end_open_tcp(b, &peer);

    veil_op_send(&e->out, data, len);
    veil_loop_turn(b->loop, 1);
    data[len - 1] = 'x';
    veil_op_cancel(&e->out);
    UNTIL(b, e->out_done == 1);
}
#endif

#if VEIL_ASAN
CONTRACT(receive_memory_in_flight_is_poisoned)
{
    int peer;
    char *data = malloc(64);
    end_t *e = end_open(b, &peer);

    veil_op_init(&e->in, &e->handle, end_out);
    veil_op_recv_exact(&e->out, data, 64);
    cr_assert(__asan_address_is_poisoned(data));
    veil_loop_turn(b->loop, 0);
    cr_assert(__asan_address_is_poisoned(data + 63));
    veil_op_cancel(&e->out);
    UNTIL(b, e->out_done == 1);
    cr_assert_not(__asan_address_is_poisoned(data));
    free(data);
    (void) close(peer);
    end_close(b, e);
}
#endif

/* -- posted work and timers in the loop */

typedef struct {
    veil_post_t post;
    veil_loop_t *loop;
    int left;
    int runs;
} poster_t;

static void
poster_run(veil_post_t *post)
{
    poster_t *p = veil_container_of(post, poster_t, post);

    p->runs++;
    if (p->left-- > 0) {
        veil_post(p->loop, post);
    }
}

CONTRACT(work_posted_from_posted_work)
{
    poster_t p = { .loop = b->loop, .left = 20 }, q = { .loop = b->loop };
    uint64_t turns;

    veil_post_init(&p.post, poster_run);
    veil_post_init(&q.post, poster_run);
    veil_post(b->loop, &p.post);
    veil_post(b->loop, &p.post); /* harmless */
    cr_assert(veil_post_is_posted(&p.post));
    cr_assert_eq(p.runs, 0);
    turns = b->loop->turns;
    while (p.runs < 21) {
        veil_loop_turn(b->loop, 1000); /* does not sleep */
        cr_assert_lt(b->loop->turns - turns, 30);
    }
    veil_post(b->loop, &q.post);
    veil_post_cancel(&q.post);
    veil_loop_turn(b->loop, 0);
    cr_assert_eq(q.runs, 0);
}

typedef struct {
    veil_timer_t timer;
    veil_loop_t *loop;
    int fired;
} clock_t_;

static void
clock_fired(veil_timer_t *t)
{
    clock_t_ *c = veil_container_of(t, clock_t_, timer);

    c->fired++;
    veil_loop_stop(c->loop);
}

CONTRACT(a_timer_wakes_the_loop)
{
    clock_t_ c = { .loop = b->loop };
    uint64_t start = veil_now_ms();

    veil_timer_init(&c.timer, clock_fired);
    veil_timer_set(b->loop, &c.timer, 30);
    veil_loop_run(b->loop);
    cr_assert_eq(c.fired, 1);
    cr_assert_geq(veil_now_ms() - start, 30);
    cr_assert_lt(veil_now_ms() - start, 20000);
}

static void
arm_in_done(veil_op_t *op)
{
    end_t *e = veil_container_of(op, end_t, out);
    clock_t_ *c = (clock_t_ *) (void *) e->data;

    e->out_done++;
    veil_timer_set(op->handle->loop, &c->timer, 20);
}

/* The time to sleep is asked for after the last done(). */
CONTRACT(a_timer_set_by_a_completion_wakes_the_loop)
{
    int peer;
    end_t *e = end_open(b, &peer);
    clock_t_ *c = (clock_t_ *) (void *) e->data;

    c->loop = b->loop;
    veil_timer_init(&c->timer, clock_fired);
    veil_op_init(&e->out, &e->handle, arm_in_done);
    veil_op_send(&e->out, "x", 1);
    veil_loop_run(b->loop);
    cr_assert_eq(c->fired, 1);
    (void) close(peer);
    end_close(b, e);
}
