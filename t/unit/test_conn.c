/*
 * test_conn.c -- connections on all back ends: data kept and handed over
 * again, holding, ends and resets, writes, timeouts, closing in the middle of
 * everything, connecting.
 */

#include "side.h"

#include "core/rand.h"
#include "event/transport.h"

Test(size, idle_connection)
{
    /* The budget of an idle keep-alive connection is 952 bytes in all. */
    size_t debug = VEIL_DEBUG ? sizeof(uint64_t) : 0;

    cr_assert_leq(sizeof(veil_conn_t), 384 + debug);
}

/* --- reading ------------------------------------------------------------ */

CONTRACT(data_arrives)
{
    bool closed;
    int peer;
    side_t *s;

    s = side_open_pair(b, &peer, &closed);
    side_send(peer, "early");
    side_turn(b, 5);
    cr_assert_eq(s->len, 0); /* nobody asked */
    veil_conn_read(&s->conn);
    UNTIL(b, side_has(s, "early"));
    side_send(peer, " late");
    UNTIL(b, side_has(s, "early late"));
    cr_assert_eq(s->conn.bytes_in, 10);
    cr_assert(s->conn.reading);
    close(peer);
    UNTIL(b, s->eofs == 1);
    cr_assert_eq(s->eof_err, 0);
    side_turn(b, 5);
    cr_assert_eq(s->eofs, 1);
    side_close(b, s);
}

CONTRACT(left_data_comes_again)
{
    bool closed;
    int peer;
    side_t *s;

    s = side_open_pair(b, &peer, &closed);
    s->take = 2;
    veil_conn_read(&s->conn);
    side_send(peer, "abcdef");
    UNTIL(b, s->calls == 1);
    cr_assert(side_has(s, "ab"));
    cr_assert_not(s->conn.reading);
    side_send(peer, "ghi");
    side_turn(b, 10);
    cr_assert_eq(s->calls, 1); /* until it is asked for */

    veil_conn_read(&s->conn);
    cr_assert_eq(s->calls, 1); /* never from inside the call */
    UNTIL(b, s->calls == 2);
    cr_assert(side_has(s, "abcd"));

    /* Asking in on_data() itself goes on by turns. */
    s->reread = true;
    veil_conn_read(&s->conn);
    UNTIL(b, side_has(s, "abcdefghi"));
    s->take = 0;
    side_send(peer, "jk");
    UNTIL(b, side_has(s, "abcdefghijk"));
    cr_assert_null(s->conn.kept);
    close(peer);
    UNTIL(b, s->eofs == 1);
    side_close(b, s);
}

CONTRACT(held_data_is_kept)
{
    bool closed;
    int peer;
    side_t *s;
    int i;

    s = side_open_pair(b, &peer, &closed);
    s->hold = true;
    veil_conn_read(&s->conn);
    side_send(peer, "1");
    UNTIL(b, s->calls == 1);
    for (i = 0; i < 3; i++) {
        side_send(peer, "x");
        side_turn(b, 5);
    }
    cr_assert_eq(s->calls, 1);
    s->hold = false;
    veil_conn_read(&s->conn);
    UNTIL(b, side_has(s, "1xxx"));
    side_close(b, s);
    close(peer);
}

/* Sends up to max bytes of the pattern from *sent on, without blocking. */
static void
feed(int fd, size_t *sent, size_t max)
{
    char buf[5000];
    ssize_t n;
    size_t i, len = veil_min_size(max, sizeof(buf));

    for (i = 0; i < len; i++) {
        buf[i] = side_pattern(*sent + i);
    }
    n = len == 0 ? 0 : send(fd, buf, len, MSG_NOSIGNAL);
    if (n > 0) {
        *sent += (size_t) n;
    } else {
        cr_assert(len == 0 || errno == EAGAIN);
    }
}

CONTRACT(slow_consumer)
{
    size_t total = 400000, sent = 0;
    bool closed;
    int peer;
    side_t *s;
    int i;
    time_t end = 0;

    s = side_open_pair(b, &peer, &closed);
    s->hold = true;
    for (i = 0; s->len < total && bed_in_time(&end); i++) {
        feed(peer, &sent, total - sent);
        s->take = i % 3 == 0 ? 1234 : 0;
        if (i % 4 == 0) {
            veil_conn_read(&s->conn);
        }
        veil_loop_turn(b->loop, 0);
        if (s->conn.kept != NULL) {
            /* What is on its way when it is stopped comes on top. */
            cr_assert_lt(s->conn.bytes_in - s->len, 16 * 4096);
        }
    }
    cr_assert_eq(s->len, total);
    cr_assert(side_has_pattern(s, s->len));
    side_close(b, s);
    close(peer);
}

CONTRACT(receiving_stops_when_held)
{
    size_t total = 2000000, sent = 0, before = 0;
    bool closed;
    int peer;
    side_t *s;
    int i;
    time_t end = 0;

    s = side_open_pair(b, &peer, &closed);
    s->hold = true;
    veil_conn_read(&s->conn);
    for (i = 0; i < 500; i++) {
        feed(peer, &sent, total - sent);
        veil_loop_turn(b->loop, 0);
        if (i == 250) {
            before = s->conn.bytes_in;
        }
    }
    cr_assert(s->conn.stopped);
    cr_assert_eq(s->conn.bytes_in, before);
    cr_assert_lt(s->conn.bytes_in, 100000);

    s->hold = false;
    veil_conn_read(&s->conn);
    for (i = 0; s->len < total && bed_in_time(&end); i++) {
        feed(peer, &sent, total - sent);
        veil_loop_turn(b->loop, 0);
    }
    cr_assert_eq(s->len, total);
    cr_assert(side_has_pattern(s, s->len));
    side_close(b, s);
    close(peer);
}

/*
 * The block that stops it comes in the turn that hands over all of them: it
 * is started again while its cancel is still under way.
 */
CONTRACT(receiving_restarts_at_once)
{
    unsigned restarts = 0;
    bool closed;
    int peer;
    side_t *s;
    int i, j;

    s = side_open_pair(b, &peer, &closed);
    veil_conn_read(&s->conn);
    side_turn(b, 2);
    for (i = 0; i < 10; i++) {
        veil_conn_hold(&s->conn);
        for (j = 1; j < VEIL_CONN_KEPT; j++) {
            side_send(peer, "x");
            UNTIL(b, (int) (s->conn.bytes_in % 10) == j);
        }
        side_send(peer, "x");
        veil_conn_read(&s->conn);
        veil_loop_turn(b->loop, 0);
        restarts += !s->conn.stopped && s->conn.recv.cancel
                    && !veil_op_is_idle(&s->conn.recv);
        UNTIL(b, s->conn.bytes_in % 10 == 4 && s->conn.kept == NULL);
        side_send(peer, "abcdef");
        UNTIL(b, s->len == (size_t) (i + 1) * 10);
    }
    cr_assert(b->loop->backend != &veil_backend_uring || restarts > 0);
    side_close(b, s);
    close(peer);
}

/* Others must not starve because one does not take its blocks. */
CONTRACT_SIZED(kept_data_leaves_the_ring, 1024, 8)
{
    bool closed[6], closed_last;
    side_t *held[6], *last;
    int fds[6][2], last_fds[2];
    int i, j;

    for (i = 0; i < 6; i++) {
        side_pair(fds[i]);
        held[i] = side_open(b, fds[i][0], &closed[i]);
        held[i]->hold = true;
        veil_conn_read(&held[i]->conn);
    }
    for (j = 0; j < 4; j++) {
        for (i = 0; i < 6; i++) {
            side_send(fds[i][1], "held");
        }
        side_turn(b, 5);
    }
    side_pair(last_fds);
    last = side_open(b, last_fds[0], &closed_last);
    veil_conn_read(&last->conn);
    side_send(last_fds[1], "served");
    UNTIL(b, side_has(last, "served"));

    for (i = 0; i < 6; i++) {
        held[i]->hold = false;
        veil_conn_read(&held[i]->conn);
        UNTIL(b, side_has(held[i], "heldheldheldheld"));
        side_close(b, held[i]);
        close(fds[i][1]);
    }
    side_close(b, last);
    close(last_fds[1]);
}

/* --- the end of the stream ---------------------------------------------- */

CONTRACT(eof_while_held)
{
    bool closed;
    int peer;
    side_t *s;

    s = side_open_pair(b, &peer, &closed);
    s->hold = true;
    veil_conn_read(&s->conn);
    side_send(peer, "request");
    UNTIL(b, s->calls == 1);
    /* Nothing is kept, so the end is told although nobody asked. */
    cr_assert_not(s->conn.reading);
    cr_assert(veil_conn_is_alive(&s->conn));
    close(peer);
    cr_assert_not(veil_conn_is_alive(&s->conn));
    UNTIL(b, s->eofs == 1);
    cr_assert_eq(s->eof_err, 0);
    veil_conn_read(&s->conn);
    side_turn(b, 5);
    cr_assert_eq(s->eofs, 1);
    side_close(b, s);
}

CONTRACT(eof_waits_for_data)
{
    bool closed;
    int peer;
    side_t *s;

    s = side_open_pair(b, &peer, &closed);
    s->take = 1;
    veil_conn_read(&s->conn);
    side_send(peer, "abc");
    UNTIL(b, s->calls == 1);
    close(peer);
    UNTIL(b, s->conn.eof);
    cr_assert_eq(s->eofs, 0);
    veil_conn_read(&s->conn);
    UNTIL(b, s->calls == 2);
    side_turn(b, 5);
    cr_assert_eq(s->eofs, 0);
    s->take = 0;
    veil_conn_read(&s->conn);
    UNTIL(b, s->eofs == 1);
    cr_assert(side_has(s, "abc"));
    side_close(b, s);
}

CONTRACT(reset_is_an_error)
{
    bool closed;
    int fds[2];
    side_t *s;

    side_tcp_pair(fds);
    s = side_open(b, fds[0], &closed);
    veil_conn_read(&s->conn);
    side_turn(b, 3);
    bed_reset(fds[1]);
    UNTIL(b, s->eofs == 1);
    cr_assert_eq(s->eof_err, -ECONNRESET);
    cr_assert_not(veil_conn_is_alive(&s->conn));
    side_write(s, "anybody there?");
    UNTIL(b, s->sents == 1);
    cr_assert_lt(s->sent, 0);
    side_close(b, s);
}

CONTRACT(abort_resets)
{
    bool closed;
    int fds[2];
    side_t *s;
    char buf[4];

    side_tcp_pair(fds);
    s = side_open(b, fds[0], &closed);
    veil_conn_read(&s->conn);
    veil_conn_abort(&s->conn);
    UNTIL(b, closed);
    bed_wait(fds[1], POLLIN);
    cr_assert_eq(recv(fds[1], buf, sizeof(buf), 0), -1);
    cr_assert_eq(errno, ECONNRESET);
    close(fds[1]);
}

CONTRACT(shutdown_ends_one_side)
{
    bool closed;
    int fds[2];
    side_t *s;
    char buf[8];

    side_tcp_pair(fds);
    s = side_open(b, fds[0], &closed);
    veil_conn_read(&s->conn);
    side_write(s, "bye");
    UNTIL(b, s->sents == 1);
    veil_conn_shutdown(&s->conn);
    UNTIL(b, recv(fds[1], buf, 3, MSG_PEEK) == 3);
    cr_assert_eq(recv(fds[1], buf, sizeof(buf), 0), 3);
    UNTIL(b, recv(fds[1], buf, sizeof(buf), 0) == 0);
    side_send(fds[1], "still here");
    UNTIL(b, side_has(s, "still here"));
    side_close(b, s);
    close(fds[1]);
}

/* --- writing ------------------------------------------------------------ */

/* Reads what there is from fd and appends it. */
static void
drain(int fd, char *buf, size_t *len, size_t max)
{
    ssize_t n = *len == max ? 0 : recv(fd, buf + *len, max - *len, 0);

    if (n > 0) {
        *len += (size_t) n;
    }
}

CONTRACT(write_memory)
{
    char buf[64];
    size_t len = 0;
    veil_slice_t v[VEIL_CONN_SLICES];
    bool closed;
    int peer;
    side_t *s;
    int i;

    s = side_open_pair(b, &peer, &closed);
    side_write(s, "one");
    cr_assert(veil_conn_is_writing(&s->conn));
    cr_assert_eq(s->sents, 0);
    UNTIL(b, s->sents == 1);
    cr_assert_eq(s->sent, 3);
    cr_assert_not(veil_conn_is_writing(&s->conn));

    for (i = 0; i < VEIL_CONN_SLICES; i++) {
        v[i] = veil_slice_mem("0123456789abcdef" + i, i % 5 == 4 ? 0 : 1);
    }
    veil_conn_write(&s->conn, v, VEIL_CONN_SLICES);
    memset(v, 0, sizeof(v)); /* it was copied */
    UNTIL(b, s->sents == 2);
    cr_assert_eq(s->sent, 13);
    UNTIL(b, (drain(peer, buf, &len, sizeof(buf)), len == 16));
    cr_assert_eq(memcmp(buf, "one0123567 8abcdf", 10), 0);
    cr_assert_eq(memcmp(buf, "one01235678abcdf", 16), 0);
    cr_assert_eq(s->conn.bytes_out, 16);
    side_close(b, s);
    close(peer);
}

CONTRACT(write_memory_and_file)
{
    size_t size = 300000, len = 0, i;
    char *file = veil_alloc(size), *buf = veil_alloc(size + 100);
    veil_slice_t v[3];
    bool closed;
    int fds[2], fd;
    side_t *s;

    for (i = 0; i < size; i++) {
        file[i] = side_pattern(i);
    }
    fd = side_file(file, size);
    side_pair(fds);
    s = side_open(b, fds[0], &closed);
    v[0] = veil_slice_mem("he", 2);
    v[1] = veil_slice_mem("ad", 2);
    v[2] = veil_slice_file(fd, 100, size - 100);
    veil_conn_write(&s->conn, v, 3);
    UNTIL(b, (drain(fds[1], buf, &len, size), s->sents == 1));
    while (len < size - 96) {
        drain(fds[1], buf, &len, size);
    }
    cr_assert_eq(s->sent, (ssize_t) size - 96);
    cr_assert_eq(s->conn.bytes_out, size - 96);
    cr_assert_eq(memcmp(buf, "head", 4), 0);
    cr_assert_eq(memcmp(buf + 4, file + 100, size - 100), 0);

    /* A file alone, and one that is shorter than it was. */
    len = 0;
    v[0] = veil_slice_file(fd, 10, 5);
    veil_conn_write(&s->conn, v, 1);
    UNTIL(b, s->sents == 2);
    cr_assert_eq(s->sent, 5);
    cr_assert_eq(ftruncate(fd, 1000), 0);
    v[0] = veil_slice_mem("abc", 3);
    v[1] = veil_slice_file(fd, 900, 5000);
    veil_conn_write(&s->conn, v, 2);
    UNTIL(b, (drain(fds[1], buf, &len, size), s->sents == 3));
    cr_assert_eq(s->sent, 103);
    side_close(b, s);
    close(fds[1]);
    close(fd);
    veil_free(file);
    veil_free(buf);
}

CONTRACT(write_to_slow_peer)
{
    size_t size = 3000000, len = 0, i;
    char *data = veil_alloc(size), *buf = veil_alloc(size);
    veil_slice_t v[2];
    bool closed;
    int fds[2];
    side_t *s;
    time_t end = 0;

    for (i = 0; i < size; i++) {
        data[i] = side_pattern(i);
    }
    side_tcp_pair(fds);
    s = side_open(b, fds[0], &closed);
    v[0] = veil_slice_mem(data, size / 3);
    v[1] = veil_slice_mem(data + size / 3, size - size / 3);
    veil_conn_write(&s->conn, v, 2);
    for (i = 0; len < size && bed_in_time(&end); i++) {
        drain(fds[1], buf, &len, veil_min_size(size, len + 10000));
        veil_loop_turn(b->loop, 0);
    }
    cr_assert_eq(len, size);
    UNTIL(b, s->sents == 1);
    cr_assert_eq(s->sent, (ssize_t) size);
    cr_assert_eq(memcmp(buf, data, size), 0);
    side_close(b, s);
    close(fds[1]);
    veil_free(data);
    veil_free(buf);
}

/* --- timeouts, on a clock of our own ------------------------------------- */

static void
clock_to(bed_t *b, uint64_t ms)
{
    veil_time_set(ms, 1000000, 0);
    side_turn(b, 3);
}

CONTRACT(write_timeout)
{
    size_t size = 8000000, len = 0;
    char *data = veil_zalloc(size), *buf = veil_alloc(size);
    veil_slice_t v = veil_slice_mem(data, size);
    uint64_t now = veil_now_ms() + 1000;
    bool closed;
    int peer;
    side_t *s;
    int i;

    clock_to(b, now);
    s = side_open_pair(b, &peer, &closed);
    veil_conn_write_timeout(&s->conn, 1000);
    veil_conn_write(&s->conn, &v, 1);
    side_turn(b, 20);

    /* As long as bytes move, it takes as long as it takes. */
    for (i = 0; i < 5; i++) {
        now += 600;
        clock_to(b, now);
        len = 0;
        UNTIL(b, (drain(peer, buf, &len, 400000), len == 400000));
        side_turn(b, 20);
    }
    cr_assert_eq(s->write_timeouts, 0);
    clock_to(b, now + 999);
    cr_assert_eq(s->write_timeouts, 0);
    clock_to(b, now + 1000);
    UNTIL(b, s->write_timeouts == 1);
    cr_assert_eq(s->sents, 0);
    clock_to(b, now + 5000);
    cr_assert_eq(s->write_timeouts, 1); /* once a write */
    side_close(b, s);
    cr_assert_eq(veil_now_ms(), now + 5000);
    close(peer);
    veil_free(data);
    veil_free(buf);
}

CONTRACT(write_timeout_closes)
{
    size_t size = 4000000;
    char *data = veil_zalloc(size);
    veil_slice_t v = veil_slice_mem(data, size);
    uint64_t now = veil_now_ms() + 1000;
    bool closed;
    int peer;
    side_t *s;

    clock_to(b, now);
    s = side_open_pair(b, &peer, &closed);
    s->close_at_timeout = true;
    veil_conn_read(&s->conn);
    veil_conn_write_timeout(&s->conn, 1000);
    veil_conn_write(&s->conn, &v, 1);
    side_turn(b, 20);
    clock_to(b, now + 2000);
    UNTIL(b, closed);
    close(peer);
    veil_free(data);
}

CONTRACT(read_timeout)
{
    uint64_t now = veil_now_ms() + 1000;
    bool closed;
    int peer;
    side_t *s;

    clock_to(b, now);
    s = side_open_pair(b, &peer, &closed);
    veil_conn_read(&s->conn);
    veil_conn_read_timeout(&s->conn, 500);
    clock_to(b, now + 499);
    cr_assert_eq(s->read_timeouts, 0);
    veil_conn_read_timeout(&s->conn, 500);
    clock_to(b, now + 998);
    cr_assert_eq(s->read_timeouts, 0);
    clock_to(b, now + 1000);
    cr_assert_eq(s->read_timeouts, 1);
    veil_conn_read_timeout(&s->conn, 500);
    veil_conn_read_timeout(&s->conn, 0);
    clock_to(b, now + 2000);
    cr_assert_eq(s->read_timeouts, 1);
    s->close_at_timeout = true;
    veil_conn_read_timeout(&s->conn, 10);
    clock_to(b, now + 3000);
    UNTIL(b, closed);
    close(peer);
}

/* --- closing ------------------------------------------------------------ */

CONTRACT(close_in_on_data)
{
    bool closed;
    int peer;
    side_t *s;

    s = side_open_pair(b, &peer, &closed);
    s->close = true;
    s->take = 1;
    veil_conn_read(&s->conn);
    side_send(peer, "abc");
    UNTIL(b, closed);
    close(peer);
}

CONTRACT(close_in_delivery_of_kept_data)
{
    bool closed;
    int peer;
    side_t *s;

    s = side_open_pair(b, &peer, &closed);
    s->take = 1;
    veil_conn_read(&s->conn);
    side_send(peer, "abc");
    UNTIL(b, s->calls == 1);
    s->close = true;
    veil_conn_read(&s->conn);
    UNTIL(b, closed);
    close(peer);
}

CONTRACT(close_in_on_eof)
{
    bool closed;
    int peer;
    side_t *s;

    s = side_open_pair(b, &peer, &closed);
    s->close_at_eof = true;
    veil_conn_read(&s->conn);
    close(peer);
    UNTIL(b, closed);
}

CONTRACT(close_in_on_sent)
{
    bool closed;
    int peer;
    side_t *s;

    s = side_open_pair(b, &peer, &closed);
    s->close_at_sent = true;
    side_write(s, "last words");
    UNTIL(b, closed);
    close(peer);
}

CONTRACT(close_with_everything_under_way)
{
    size_t size = 4000000;
    char *data = veil_zalloc(size);
    veil_slice_t v = veil_slice_mem(data, size);
    bool closed;
    int fds[2];
    side_t *s;
    int i;

    for (i = 0; i < 12; i++) {
        side_tcp_pair(fds);
        s = side_open(b, fds[0], &closed);
        s->hold = true;
        veil_conn_read(&s->conn);
        veil_conn_read_timeout(&s->conn, 1000);
        veil_conn_write_timeout(&s->conn, 1000);
        veil_conn_write(&s->conn, &v, 1);
        side_send(fds[1], "a");
        side_turn(b, i);
        side_send(fds[1], "b");
        side_turn(b, i);
        veil_conn_read(&s->conn); /* posts */
        if (i % 3 == 0) {
            veil_conn_abort(&s->conn);
        }
        veil_conn_close(&s->conn);
        veil_conn_close(&s->conn);
        /* Ignored from now on. */
        veil_conn_read(&s->conn);
        veil_conn_hold(&s->conn);
        veil_conn_read_timeout(&s->conn, 5);
        cr_assert_not(veil_conn_is_alive(&s->conn));
        cr_assert_not(closed);
        UNTIL(b, closed);
        close(fds[1]);
    }
    veil_free(data);
}

CONTRACT(close_at_once)
{
    bool closed;
    int peer;
    side_t *s;

    s = side_open_pair(b, &peer, &closed);
    veil_conn_close(&s->conn);
    side_write(s, "ignored");
    UNTIL(b, closed);
    close(peer);
}

/* --- connecting --------------------------------------------------------- */

static unsigned all_connects;

static void
connected(veil_conn_t *c, int err)
{
    side_t *s = side_of(c);

    all_connects++;
    s->connects++;
    s->connect_err = err;
}

static side_t *
side_connect(bed_t *b, const veil_connect_options_t *o, bool *closed)
{
    side_t *s = side_alloc(closed);

    cr_assert_eq(veil_conn_connect(&s->conn, b->loop, s->pool, o, connected,
                                   &side_ops, &veil_log_stderr),
                 0);
    return s;
}

CONTRACT(connect_tcp)
{
    veil_connect_options_t o = { .timeout_ms = 60000, .keepalive = true };
    veil_addr_t source, local;
    struct sockaddr_in sin;
    bool closed;
    side_t *s;
    int listener = side_listener(&sin, 5), fd, value = 0;
    socklen_t len = sizeof(value);

    veil_addr_from_sockaddr(&o.addr, (struct sockaddr *) &sin, sizeof(sin));
    cr_assert(veil_addr_parse_ip(&source, VEIL_STR("127.0.0.9")));
    o.bind = &source;
    s = side_connect(b, &o, &closed);
    cr_assert_eq(s->connects, 0);
    UNTIL(b, s->connects == 1);
    cr_assert_eq(s->connect_err, 0);
    veil_conn_local_addr(&s->conn, &local);
    cr_assert_neq(local.port, 0);
    local.port = 0;
    cr_assert(veil_addr_eq(&local, &source));
    cr_assert(veil_addr_eq(&s->conn.peer, &o.addr));
    cr_assert_eq(
        getsockopt(s->conn.handle.fd, IPPROTO_TCP, TCP_NODELAY, &value, &len),
        0);
    cr_assert_neq(value, 0);

    fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK);
    cr_assert_geq(fd, 0);
    veil_conn_read(&s->conn);
    side_send(fd, "welcome");
    UNTIL(b, side_has(s, "welcome"));
    side_close(b, s);
    close(fd);
    close(listener);
}

CONTRACT(connect_refused)
{
    veil_connect_options_t o = { .timeout_ms = 60000 };
    struct sockaddr_in sin;
    int nobody = bed_bind(&sin);
    bool closed;
    side_t *s;

    veil_addr_from_sockaddr(&o.addr, (struct sockaddr *) &sin, sizeof(sin));
    s = side_connect(b, &o, &closed);
    UNTIL(b, s->connects == 1);
    cr_assert_eq(s->connect_err, -ECONNREFUSED);
    side_close(b, s);
    close(nobody);
}

CONTRACT(connect_unix)
{
    veil_connect_options_t o = { .timeout_ms = 0 };
    struct sockaddr_un sun = { .sun_family = AF_UNIX };
    char path[64];
    bool closed;
    side_t *s;
    int listener = socket(AF_UNIX, SOCK_STREAM, 0), fd;

    veil_snprintf(path, sizeof(path), "/tmp/veil-unit-%d.sock",
                  (int) getpid());
    memcpy(sun.sun_path, path, strlen(path) + 1);
    unlink(path);
    cr_assert_eq(bind(listener, (struct sockaddr *) &sun, sizeof(sun)), 0);
    cr_assert_eq(listen(listener, 5), 0);
    o.addr.family = AF_UNIX;
    o.addr.u.path = path;
    s = side_connect(b, &o, &closed);
    memset(path, 'x', 4); /* it was copied */
    UNTIL(b, s->connects == 1);
    cr_assert_eq(s->connect_err, 0);
    fd = accept(listener, NULL, NULL);
    veil_conn_read(&s->conn);
    side_send(fd, "hi");
    UNTIL(b, side_has(s, "hi"));
    side_close(b, s);
    close(fd);
    close(listener);
    unlink(sun.sun_path);

    o.addr.u.path = sun.sun_path;
    s = side_connect(b, &o, &closed);
    UNTIL(b, s->connects == 1);
    cr_assert_eq(s->connect_err, -ENOENT);
    side_close(b, s);
}

/* A listener whose queue is full lets further clients hang. */
static int
full_listener(struct sockaddr_in *sin, int *fds, unsigned n)
{
    int fd = side_listener(sin, 0);
    unsigned i;

    for (i = 0; i < n; i++) {
        fds[i] = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
        (void) connect(fds[i], (struct sockaddr *) sin, sizeof(*sin));
    }
    bed_wait(fd, POLLIN); /* one that nobody takes */
    return fd;
}

CONTRACT(connect_times_out)
{
    veil_connect_options_t o = { .timeout_ms = 3000 };
    uint64_t now = veil_now_ms() + 1000;
    struct sockaddr_in sin;
    int fds[4], listener = full_listener(&sin, fds, 4), i;
    bool closed, closed2;
    side_t *s, *s2;

    clock_to(b, now);
    veil_addr_from_sockaddr(&o.addr, (struct sockaddr *) &sin, sizeof(sin));
    s = side_connect(b, &o, &closed);
    s2 = side_connect(b, &o, &closed2);
    side_turn(b, 5);
    clock_to(b, now + 2999);
    cr_assert_eq(s->connects, 0);
    /* One is given up meanwhile, and hears no more of it. */
    side_close(b, s2);
    clock_to(b, now + 3001);
    UNTIL(b, s->connects == 1);
    cr_assert_eq(s->connect_err, -ETIMEDOUT);
    cr_assert_eq(all_connects, 1);
    side_close(b, s);
    for (i = 0; i < 4; i++) {
        close(fds[i]);
    }
    close(listener);
}

Test(connect, impossible_address)
{
    veil_connect_options_t o = { .timeout_ms = 0 };
    bed_t bed, *b = &bed;
    veil_addr_t source;
    veil_conn_t c;

    bed_open(b, "epoll", 4096, 16);
    o.addr.family = AF_INET;
    o.addr.port = 80;
    memcpy(o.addr.u.ip, "\x7f\0\0\1", 4);
    cr_assert(veil_addr_parse_ip(&source, VEIL_STR("192.0.2.1")));
    o.bind = &source; /* not ours */
    cr_assert_eq(veil_conn_connect(&c, b->loop, b->pool, &o, connected,
                                   &side_ops, &veil_log_stderr),
                 -EADDRNOTAVAIL);
    bed_close(b);
}

/* --- all at once -------------------------------------------------------- */

/* Two connections that talk; both sides hold, read and close at random. */
static void
chaos_round(bed_t *b, unsigned seed)
{
    static char data[20000];
    veil_slice_t v;
    bool closed[2];
    side_t *s[2];
    int fds[2];
    unsigned i, k;

    veil_rand_seed(seed);
    side_pair(fds);
    for (i = 0; i < 2; i++) {
        s[i] = side_open(b, fds[i], &closed[i]);
        veil_conn_read(&s[i]->conn);
    }
    for (i = 0; i < 60; i++) {
        k = (unsigned) veil_rand_below(2);
        if (closed[k] || s[k]->conn.closing) {
            continue;
        }
        s[k]->take = veil_rand_below(3) == 0 ? 777 : 0;
        s[k]->hold = veil_rand_below(2) == 0;
        switch (veil_rand_below(5)) {
        case 0:
            veil_conn_hold(&s[k]->conn);
            break;
        case 1:
            if (!veil_conn_is_writing(&s[k]->conn)) {
                v = veil_slice_mem(data, 1 + veil_rand_below(sizeof(data)));
                veil_conn_write(&s[k]->conn, &v, 1);
            }
            break;
        default:
            veil_conn_read(&s[k]->conn);
            break;
        }
        if (veil_rand_below(40) == 0) {
            veil_conn_close(&s[k]->conn);
        }
        veil_loop_turn(b->loop, 0);
    }
    for (i = 0; i < 2; i++) {
        if (!closed[i]) {
            veil_conn_close(&s[i]->conn);
        }
    }
    UNTIL(b, closed[0] && closed[1]);
}

CONTRACT_SIZED(chaos, 2048, 8)
{
    static const veil_sim_script_t script = { .seed = 11,
                                              .piece = 20,
                                              .late = 30,
                                              .starve = 20,
                                              .late_cancel = 30,
                                              .shuffle = true };
    unsigned seed;

    if (b->is_sim) {
        veil_sim_script(b->loop, &script);
    }
    for (seed = 1; seed <= 60; seed++) {
        chaos_round(b, seed);
    }
    veil_conn_trim();
}
