/*
 * test_tls_conn.c -- the transport of TLS on all back ends: handshakes, data
 * in all sizes, ends with and without a goodbye, a client that speaks no TLS,
 * waiting for a context, closing in the middle of everything.
 */

#include "tls_side.h"

#include "core/rand.h"

typedef tls_ends_t pair_t;

static void
pair_open(bed_t *b, pair_t *p, bool tcp)
{
    int fds[2];

    memset(p, 0, sizeof(*p));
    tls_bed_begin(&p->tb);
    p->tb.server_options.alpn =
        veil_array_create(p->tb.cf.pool, sizeof(veil_str_t), 1);
    *(veil_str_t *) veil_array_push(
        (veil_array_t *) (uintptr_t) p->tb.server_options.alpn) =
        VEIL_STR("http/1.1");
    tls_bed_make(&p->tb);
    if (tcp) {
        side_tcp_pair(fds);
    } else {
        side_pair(fds);
    }
    tls_ends_open(b, p, fds);
}

static void
pair_shake(bed_t *b, pair_t *p)
{
    pair_open(b, p, false);
    tls_ends_shake(b, p);
}

static void
pair_close(bed_t *b, pair_t *p)
{
    tls_ends_close(b, p);
    tls_bed_done(&p->tb);
}

CONTRACT(handshake_and_data)
{
    pair_t p;

    pair_shake(b, &p);
    cr_assert_str_eq(p.server->name, "localhost");
    cr_assert_eq(p.server->selects, 1);
    cr_assert_str_eq(veil_tls_version(veil_tls_of(&p.client->s.conn)),
                     "TLSv1.3");
    cr_assert_not(veil_tls_is_resumed(veil_tls_of(&p.client->s.conn)));

    side_write(&p.client->s, "question");
    UNTIL(b, side_has(&p.server->s, "question"));
    side_write(&p.server->s, "answer");
    UNTIL(b, side_has(&p.client->s, "answer"));
    UNTIL(b, p.server->s.sents == 1 && p.client->s.sents == 1);
    cr_assert_eq(p.server->s.sent, 6);
    cr_assert_eq(p.server->s.conn.bytes_in, 8); /* plaintext */
    cr_assert_eq(p.server->s.conn.bytes_out, 6);

    veil_conn_close(&p.server->s.conn);
    UNTIL(b, p.client->s.eofs == 1);
    cr_assert_eq(p.client->s.eof_err, 0);
    cr_assert(veil_tls_was_closed(veil_tls_of(&p.client->s.conn)));
    pair_close(b, &p);
}

/* Slices of every size around records and buffers, one stream. */
CONTRACT(data_of_all_sizes)
{
    static const size_t sizes[] = { 1,     2,     100,   4095,  4096,
                                    16383, 16384, 16385, 32768, 33000,
                                    40000, 65537, 150000 };
    static char data[600000];
    veil_slice_t v[VEIL_CONN_SLICES];
    size_t i, sent = 0, total;
    unsigned n;
    pair_t p;

    for (i = 0; i < sizeof(data); i++) {
        data[i] = side_pattern(i);
    }
    pair_shake(b, &p);
    for (i = 0; i < 13; i++) {
        v[0] = veil_slice_mem(data + sent, sizes[i]);
        veil_conn_write(&p.client->s.conn, v, 1);
        sent += sizes[i];
        UNTIL(b, p.client->s.sents == i + 1);
        cr_assert_eq(p.client->s.sent, (ssize_t) sizes[i]);
    }
    for (total = 0, n = 0; n < VEIL_CONN_SLICES; n++) {
        v[n] = veil_slice_mem(data + sent + total, n == 3 ? 0 : n * n * 97);
        total += v[n].len;
    }
    veil_conn_write(&p.client->s.conn, v, n);
    sent += total;
    UNTIL(b, p.client->s.sents == 14);
    cr_assert_eq(p.client->s.sent, (ssize_t) total);
    UNTIL(b, p.server->s.len == sent);
    cr_assert(side_has_pattern(&p.server->s, sent));
    pair_close(b, &p);
}

/* A reader that does not read holds the writer, not the memory. */
CONTRACT(writer_waits_for_reader)
{
    static char data[4000000];
    veil_slice_t v = veil_slice_mem(data, sizeof(data));
    size_t i;
    pair_t p;

    for (i = 0; i < sizeof(data); i++) {
        data[i] = side_pattern(i);
    }
    pair_shake(b, &p);
    veil_conn_hold(&p.client->s.conn);
    veil_conn_write(&p.server->s.conn, &v, 1);
    side_turn(b, 300);
    cr_assert_eq(p.server->s.sents, 0);
    cr_assert_leq(veil_tls_of(&p.server->s.conn)->out_len, VEIL_TLS_OUT_MAX);
    veil_conn_read(&p.client->s.conn);
    UNTIL(b, p.server->s.sents == 1);
    cr_assert_eq(p.server->s.sent, (ssize_t) sizeof(data));
    UNTIL(b, p.client->s.len == sizeof(data));
    cr_assert(side_has_pattern(&p.client->s, sizeof(data)));
    pair_close(b, &p);
}

/* One side ends; the other goes on. */
CONTRACT(shutdown_ends_one_side)
{
    pair_t p;

    pair_shake(b, &p);
    side_write(&p.client->s, "last");
    UNTIL(b, p.client->s.sents == 1);
    veil_conn_shutdown(&p.client->s.conn);
    UNTIL(b, p.server->s.eofs == 1);
    cr_assert(side_has(&p.server->s, "last"));
    cr_assert_eq(p.server->s.eof_err, 0);
    side_write(&p.server->s, "still here");
    UNTIL(b, side_has(&p.client->s, "still here"));
    pair_close(b, &p);
}

/* The peer's socket ends without a word: an end, but not a goodbye. */
CONTRACT(truncation_is_noticed)
{
    pair_t p;

    pair_shake(b, &p);
    cr_assert_eq(shutdown(p.server->s.conn.handle.fd, SHUT_WR), 0);
    UNTIL(b, p.client->s.eofs == 1);
    cr_assert_eq(p.client->s.eof_err, 0);
    cr_assert_not(veil_tls_was_closed(veil_tls_of(&p.client->s.conn)));
    pair_close(b, &p);
}

CONTRACT(garbage_is_an_error)
{
    pair_t p;

    pair_shake(b, &p);
    cr_assert_eq(send(p.client->s.conn.handle.fd, "not a record", 12, 0), 12);
    UNTIL(b, p.server->s.eofs == 1);
    cr_assert_eq(p.server->s.eof_err, -EPROTO);
    side_write(&p.server->s, "x"); /* fails, and says so */
    UNTIL(b, p.server->s.sents == 1);
    cr_assert_lt(p.server->s.sent, 0);
    pair_close(b, &p);
}

CONTRACT(plain_client_is_noticed)
{
    bool gone;
    int fds[2];
    tls_bed_t tb;
    tls_side_t *e;

    tls_bed_begin(&tb);
    tls_bed_make(&tb);
    side_pair(fds);
    e = tls_side_accept(b, &tb, fds[0], &gone);
    side_send(fds[1], "GET / HTTP/1.1\r\n");
    UNTIL(b, e->dones == 1);
    cr_assert_eq(e->rc, VEIL_TLS_PLAIN);
    UNTIL(b, side_has(&e->s, "GET / HTTP/1.1\r\n"));
    side_send(fds[1], "\r\n");
    UNTIL(b, side_has(&e->s, "GET / HTTP/1.1\r\n\r\n"));
    cr_assert_null(veil_tls_of(&e->s.conn));
    side_write(&e->s, "400");
    UNTIL(b, e->s.sents == 1);
    close(fds[1]);
    UNTIL(b, e->s.eofs == 1);
    side_close(b, &e->s);
    tls_bed_done(&tb);
}

/* A handshake that ends early: each prefix of the client's first flight. */
CONTRACT(handshake_cut_at_every_byte)
{
    static unsigned char hello[2048];
    ssize_t len = 0, cut;
    bool gone, client_gone;
    int fds[2];
    tls_bed_t tb;
    tls_side_t *e, *client;

    tls_bed_begin(&tb);
    tls_bed_make(&tb);
    side_pair(fds);
    client = tls_side_connect(b, &tb, fds[0], "localhost", &client_gone);
    UNTIL(b, recv(fds[1], hello, 1, MSG_DONTWAIT | MSG_PEEK) > 0);
    len = recv(fds[1], hello, sizeof(hello), MSG_DONTWAIT);
    close(fds[1]);
    UNTIL(b, client->dones == 1);
    cr_assert_lt(client->rc, 0);
    side_close(b, &client->s);

    for (cut = 0; cut < len; cut += cut < 16 ? 1 : 37) {
        side_pair(fds);
        e = tls_side_accept(b, &tb, fds[0], &gone);
        if (cut > 0) {
            cr_assert_eq(send(fds[1], hello, (size_t) cut, 0), cut);
        }
        side_turn(b, 2);
        close(fds[1]);
        UNTIL(b, e->dones == 1);
        cr_assert_lt(e->rc, 0);
        cr_assert_eq(e->s.eofs, 0);
        side_close(b, &e->s);
    }
    tls_bed_done(&tb);
}

CONTRACT(refused_name)
{
    pair_t p;

    pair_open(b, &p, false);
    p.server->give = NULL;
    UNTIL(b, p.server->dones == 1);
    cr_assert_eq(p.server->rc, -EPROTO);
    veil_conn_close(&p.server->s.conn); /* the alert goes first */
    UNTIL(b, p.client->dones == 1);
    cr_assert_eq(p.client->rc, -EPROTO);
    pair_close(b, &p);
}

CONTRACT(context_comes_later)
{
    pair_t p;

    pair_open(b, &p, false);
    p.server->give = VEIL_TLS_LATER;
    UNTIL(b, p.server->selects == 1);
    side_turn(b, 5);
    cr_assert_eq(p.server->dones, 0);
    /* More than a handshake has while it waits is kept, and not lost. */
    veil_tls_select(&p.server->s.conn, p.tb.server);
    UNTIL(b, p.server->dones == 1 && p.client->dones == 1);
    cr_assert_eq(p.server->rc, 0);
    cr_assert_eq(p.server->selects, 1);
    side_write(&p.client->s, "late");
    UNTIL(b, side_has(&p.server->s, "late"));
    pair_close(b, &p);
}

CONTRACT(later_is_never)
{
    pair_t p;

    pair_open(b, &p, false);
    p.server->give = VEIL_TLS_LATER;
    UNTIL(b, p.server->selects == 1);
    veil_tls_select(&p.server->s.conn, NULL);
    UNTIL(b, p.server->dones == 1);
    cr_assert_eq(p.server->rc, -EPROTO);
    pair_close(b, &p);
}

CONTRACT(close_in_callbacks)
{
    unsigned i;
    pair_t p;

    for (i = 0; i < 4; i++) {
        pair_open(b, &p, false);
        p.server->close_in_select = i == 0;
        p.server->close_when_done = i == 1;
        p.client->close_when_done = i == 2;
        p.server->s.close = i == 3;
        if (i == 3) {
            UNTIL(b, p.client->dones == 1);
            side_write(&p.client->s, "x");
        }
        UNTIL(b, i == 2 ? p.client_gone : p.server_gone);
        pair_close(b, &p);
    }
}

CONTRACT(abort_resets)
{
    pair_t p;

    pair_open(b, &p, true);
    UNTIL(b, p.client->dones == 1 && p.server->dones == 1);
    veil_conn_abort(&p.server->s.conn);
    UNTIL(b, p.client->s.eofs == 1);
    cr_assert_eq(p.client->s.eof_err, -ECONNRESET);
    pair_close(b, &p);
}

/*
 * Closing at a random turn of a connection that shakes hands and then sends
 * and receives at once, each time elsewhere.
 */
CONTRACT(close_at_any_time)
{
    static unsigned char data[100000];
    veil_slice_t v = veil_slice_mem(data, sizeof(data));
    unsigned i, k, turns;
    pair_t p;

    for (i = 0; i < 60; i++) {
        pair_open(b, &p, i % 2 == 0);
        turns = veil_rand_below(30);
        for (k = 0; k < turns; k++) {
            veil_loop_turn(b->loop, 0);
            if (p.server->dones == 1 && p.server->rc == 0
                && !veil_conn_is_writing(&p.server->s.conn)
                && !p.server->s.conn.closing)
            {
                veil_conn_write(&p.server->s.conn, &v, 1);
            }
            if (p.client->dones == 1 && p.client->rc == 0
                && !veil_conn_is_writing(&p.client->s.conn))
            {
                veil_conn_write(&p.client->s.conn, &v, 1);
            }
        }
        if (i % 3 == 0) {
            veil_conn_abort(&p.server->s.conn);
        } else {
            veil_conn_close(&p.server->s.conn);
        }
        side_turn(b, (int) veil_rand_below(4));
        pair_close(b, &p);
    }
}
