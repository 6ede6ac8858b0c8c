/*
 * test_ktls_conn.c -- TLS in the kernel as a transport, on all back ends, and
 * what becomes of a connection where the kernel has none.
 *
 * Most of it needs a kernel that has it; t/ktls/vm.t runs it in two.
 */

#include "tls_side.h"

#include "event/ktls.h"

typedef tls_ends_t pair_t;

/* Before what is set in p->tb takes effect. */
static void
pair_begin(bed_t *b, pair_t *p, bool needs_kernel)
{
    memset(p, 0, sizeof(*p));
    veil_log_stderr.level = VEIL_LOG_EMERG;
    if (needs_kernel && veil_ktls_probe() != 0) {
        bed_close(b);
        cr_skip_test("this kernel has no TLS");
    }
    tls_bed_begin(&p->tb);
    p->tb.server_options.ktls = true;
}

static void
pair_connect(bed_t *b, pair_t *p)
{
    int fds[2];

    tls_bed_make(&p->tb);
    side_tcp_pair(fds);
    tls_ends_open(b, p, fds);
}

static void
pair_shake(bed_t *b, pair_t *p)
{
    pair_connect(b, p);
    tls_ends_shake(b, p);
}

/* The usual one: both directions of the server in the kernel. */
static void
pair_open(bed_t *b, pair_t *p)
{
    pair_begin(b, p, true);
    pair_shake(b, p);
    cr_assert(veil_tls_is_ktls_tx(veil_tls_of(&p->server->s.conn)));
    cr_assert(veil_tls_is_ktls_rx(veil_tls_of(&p->server->s.conn)));
}

static void
pair_close(bed_t *b, pair_t *p)
{
    tls_ends_close(b, p);
    tls_bed_done(&p->tb);
}

/* Question and answer. */
static void
converse(bed_t *b, pair_t *p)
{
    side_write(&p->client->s, "question");
    UNTIL(b, side_has(&p->server->s, "question"));
    UNTIL(b, p->client->s.sents == 1);
    side_write(&p->server->s, "answer");
    UNTIL(b, side_has(&p->client->s, "answer"));
    UNTIL(b, p->server->s.sents == 1);
    cr_assert_eq(p->server->s.sent, 6);
    cr_assert_eq(p->server->s.conn.bytes_in, 8);
    cr_assert_eq(p->server->s.conn.bytes_out, 6);
}

/* -- where the kernel has none, or another reason */

CONTRACT(a_kernel_without_it_changes_nothing)
{
    pair_t p;
    int probe = veil_ktls_probe();

    pair_begin(b, &p, false);
    pair_shake(b, &p);
    if (probe != 0) {
        cr_assert_not(veil_tls_is_ktls_tx(veil_tls_of(&p.server->s.conn)));
        cr_assert_eq(veil_ktls_stats.fallback[VEIL_KTLS_UNAVAILABLE], 1);
        cr_assert_eq(veil_ktls_stats.tx, 0);
    }
    converse(b, &p);
    veil_conn_close(&p.server->s.conn);
    UNTIL(b, p.client->s.eofs == 1);
    cr_assert(veil_tls_was_closed(veil_tls_of(&p.client->s.conn)));
    pair_close(b, &p);
}

/* A unix socket: no kernel can. */
static void
connect_unix(bed_t *b, pair_t *p)
{
    int fds[2];

    tls_bed_make(&p->tb);
    side_pair(fds);
    tls_ends_open(b, p, fds);
    UNTIL(b, p->server->dones == 1 && p->client->dones == 1);
}

CONTRACT(what_cannot_stays_in_user_space)
{
    pair_t p;

    pair_begin(b, &p, false);
    connect_unix(b, &p);
    cr_assert_eq(p.server->rc, 0);
    cr_assert_not(veil_tls_is_ktls_tx(veil_tls_of(&p.server->s.conn)));
    cr_assert_eq(veil_ktls_stats.fallback[VEIL_KTLS_UNAVAILABLE]
                     + veil_ktls_stats.fallback[VEIL_KTLS_ULP],
                 1);
    converse(b, &p);
    pair_close(b, &p);
}

CONTRACT(what_cannot_is_refused_when_required)
{
    pair_t p;

    pair_begin(b, &p, false);
    p.tb.server_options.ktls_fallback = false;
    p.tb.server_options.early_data = true;
    connect_unix(b, &p);
    cr_assert_eq(p.server->rc, -EPROTO);
    cr_assert_not(veil_tls_ctx_options(p.tb.server)->early_data);
    /* The client may have been done before it was told. */
    veil_conn_close(&p.server->s.conn);
    UNTIL(b, p.client->rc != 0 || p.client->s.eofs == 1);
    cr_assert(p.client->rc == -EPROTO || p.client->s.eof_err == -EPROTO,
              "an alert says so");
    pair_close(b, &p);
}

/* -- data */

static void
converse_with(bed_t *b, unsigned protocol, const char *ciphers)
{
    pair_t p;

    pair_begin(b, &p, true);
    p.tb.server_options.protocols = protocol;
    if (ciphers != NULL) {
        p.tb.server_options.ciphers = veil_str_z(ciphers);
    }
    pair_shake(b, &p);
    cr_assert(veil_tls_is_ktls_tx(veil_tls_of(&p.server->s.conn)));
    cr_assert(veil_tls_is_ktls_rx(veil_tls_of(&p.server->s.conn)));
    converse(b, &p);
    veil_conn_close(&p.client->s.conn);
    UNTIL(b, p.server->s.eofs == 1);
    cr_assert_eq(p.server->s.eof_err, 0);
    cr_assert(veil_tls_was_closed(veil_tls_of(&p.server->s.conn)));
    pair_close(b, &p);
}

CONTRACT(tls_1_3)
{
    converse_with(b, VEIL_TLS_1_3, NULL);
    cr_assert_eq(veil_ktls_stats.tx, 1);
    cr_assert_eq(veil_ktls_stats.rx, 1);
}

CONTRACT(tls_1_2)
{
    converse_with(b, VEIL_TLS_1_2, "ECDHE-ECDSA-AES128-GCM-SHA256");
    converse_with(b, VEIL_TLS_1_2, "ECDHE-ECDSA-AES256-GCM-SHA384");
    converse_with(b, VEIL_TLS_1_2, "ECDHE-ECDSA-CHACHA20-POLY1305");
}

CONTRACT(a_suite_without_aead_stays)
{
    pair_t p;

    pair_begin(b, &p, true);
    p.tb.server_options.protocols = VEIL_TLS_1_2;
    p.tb.server_options.ciphers = VEIL_STR("ECDHE-ECDSA-AES128-SHA");
    p.tb.client_options.ciphers = VEIL_STR("ECDHE-ECDSA-AES128-SHA");
    pair_shake(b, &p);
    cr_assert_not(veil_tls_is_ktls_tx(veil_tls_of(&p.server->s.conn)));
    cr_assert_eq(veil_ktls_stats.fallback[VEIL_KTLS_CIPHER], 1);
    converse(b, &p);
    pair_close(b, &p);
}

/* Both ends in the kernel. */
CONTRACT(the_client_as_well)
{
    pair_t p;

    pair_begin(b, &p, true);
    p.tb.client_options.ktls = true;
    pair_shake(b, &p);
    cr_assert(veil_tls_is_ktls_tx(veil_tls_of(&p.client->s.conn)));
    cr_assert(veil_tls_is_ktls_rx(veil_tls_of(&p.client->s.conn)));
    converse(b, &p);
    veil_conn_close(&p.server->s.conn);
    UNTIL(b, p.client->s.eofs == 1);
    cr_assert_eq(p.client->s.eof_err, 0);
    cr_assert(veil_tls_was_closed(veil_tls_of(&p.client->s.conn)));
    pair_close(b, &p);
}

/* A client that wants tickets: only what it sends. */
CONTRACT(one_direction)
{
    pair_t p;

    pair_begin(b, &p, true);
    p.tb.client_options.ktls = true;
    p.session = true;
    pair_shake(b, &p);
    cr_assert(veil_tls_is_ktls_tx(veil_tls_of(&p.client->s.conn)));
    cr_assert_not(veil_tls_is_ktls_rx(veil_tls_of(&p.client->s.conn)));
    converse(b, &p);
    veil_conn_close(&p.server->s.conn);
    UNTIL(b, p.client->s.eofs == 1);
    cr_assert_eq(p.client->s.eof_err, 0);
    cr_assert(veil_tls_was_closed(veil_tls_of(&p.client->s.conn)));
    pair_close(b, &p);
}

static char *
make_pattern(size_t len)
{
    char *data = malloc(len);
    size_t i;

    for (i = 0; i < len; i++) {
        data[i] = side_pattern(i);
    }
    return data;
}

/* Memory of all sizes, and a file behind it, both ways. */
CONTRACT(data_of_all_sizes)
{
    static const size_t sizes[] = { 1,     2,     100,   16383, 16384,
                                    16385, 32768, 40000, 150000 };
    size_t len = 800000, sent = 0, i;
    char *data = make_pattern(len);
    int fd = side_file(data, len);
    veil_slice_t v[3];
    pair_t p;

    pair_open(b, &p);
    for (i = 0; i < veil_countof(sizes); i++) {
        v[0] = veil_slice_mem(data + sent, sizes[i]);
        veil_conn_write(&p.client->s.conn, v, 1);
        v[0] = veil_slice_mem(data + sent, 1);
        v[1] = veil_slice_mem(data + sent + 1, sizes[i] - 1);
        veil_conn_write(&p.server->s.conn, v, 2);
        sent += sizes[i];
        UNTIL(b, p.client->s.sents == i + 1 && p.server->s.sents == i + 1);
        cr_assert_eq(p.server->s.sent, (ssize_t) sizes[i]);
    }
    v[0] = veil_slice_mem(data + sent, 100);
    v[1] = veil_slice_file(fd, sent + 100, len - sent - 100);
    veil_conn_write(&p.server->s.conn, v, 2);
    UNTIL(b, p.client->s.len == len);
    UNTIL(b, p.server->s.len == sent);
    cr_assert(side_has_pattern(&p.client->s, len));
    cr_assert(side_has_pattern(&p.server->s, sent));
    UNTIL(b, p.server->s.sents == i + 1);
    cr_assert_eq(p.server->s.sent, (ssize_t) (len - sent));
    (void) close(fd);
    free(data);
    pair_close(b, &p);
}

/* -- the beginning */

/* What follows the handshake at once is left to the kernel. */
CONTRACT(data_right_behind_the_handshake)
{
    pair_t p;
    int i;

    for (i = 0; i < 2; i++) {
        pair_begin(b, &p, true);
        p.tb.server_options.protocols = i == 0 ? VEIL_TLS_1_3 : VEIL_TLS_1_2;
        pair_connect(b, &p);
        UNTIL(b, p.client->dones == 1);
        side_write(&p.client->s, "question");
        UNTIL(b, side_has(&p.server->s, "question"));
        cr_assert(veil_tls_is_ktls_rx(veil_tls_of(&p.server->s.conn)));
        pair_close(b, &p);
    }
}

/* A client that has nothing more to say has half-closed by the switch. */
CONTRACT(half_closed_before_the_switch)
{
    pair_t p;

    pair_begin(b, &p, true);
    p.tb.server_options.protocols = VEIL_TLS_1_3;
    pair_connect(b, &p);
    while (p.client->dones == 0) {
        veil_loop_turn(b->loop, 0);
    }
    side_write(&p.client->s, "question");
    UNTIL(b, p.client->s.sents == 1);
    veil_conn_shutdown(&p.client->s.conn);
    UNTIL(b, side_has(&p.server->s, "question") && p.server->s.eofs == 1);
    cr_assert(veil_tls_is_ktls_tx(veil_tls_of(&p.server->s.conn)));
    cr_assert(veil_tls_was_closed(veil_tls_of(&p.server->s.conn)));
    side_write(&p.server->s, "answer");
    UNTIL(b, side_has(&p.client->s, "answer"));
    pair_close(b, &p);
}

/* A peer by plain calls. */
static int
raw_client(bed_t *b, pair_t *p)
{
    int fds[2];

    p->client_gone = true;
    tls_bed_make(&p->tb);
    side_tcp_pair(fds);
    p->server = tls_side_accept(b, &p->tb, fds[0], &p->server_gone);
    return fds[1];
}

CONTRACT(a_client_without_tls)
{
    pair_t p;
    int fd;

    pair_begin(b, &p, false);
    fd = raw_client(b, &p);
    side_send(fd, "GET ");
    side_turn(b, 3);
    side_send(fd, "/ HTTP/1.1\r\n");
    UNTIL(b, p.server->dones == 1);
    cr_assert_eq(p.server->rc, VEIL_TLS_PLAIN);
    UNTIL(b, side_has(&p.server->s, "GET / HTTP/1.1\r\n"));
    side_send(fd, "more");
    UNTIL(b, p.server->s.len == 20);
    side_write(&p.server->s, "plain answer");
    UNTIL(b, p.server->s.sents == 1);
    (void) close(fd);
    UNTIL(b, p.server->s.eofs == 1);
    pair_close(b, &p);
}

static void
broken_client(bed_t *b, const char *data, size_t len)
{
    pair_t p;
    int fd;

    pair_begin(b, &p, false);
    fd = raw_client(b, &p);
    cr_assert_eq(send(fd, data, len, MSG_NOSIGNAL), (ssize_t) len);
    (void) shutdown(fd, SHUT_WR);
    UNTIL(b, p.server->dones == 1);
    cr_assert_lt(p.server->rc, 0);
    pair_close(b, &p);
    (void) close(fd);
}

CONTRACT(broken_handshakes)
{
    broken_client(b, "", 0);
    broken_client(b, "\x16", 1);
    broken_client(b, "\x16\3\1\0", 4);
    broken_client(b, "\x16\3\1\0\0", 5);
    broken_client(b, "\x16\3\1\0\5", 5);
    broken_client(b, "\x16\3\1\0\5\1\0\0\1\0", 10);
    broken_client(b, "\x16\3\1\xff\xff...", 8);
    broken_client(b, "\x80\x2e\1\0\2\0\x15\0\0\0\x10\1\0\x80", 14);
}

CONTRACT(closed_in_the_middle)
{
    pair_t p;
    int turns;

    for (turns = 0; turns < 12; turns++) {
        pair_begin(b, &p, false);
        pair_connect(b, &p);
        side_turn(b, turns);
        veil_conn_close(&p.server->s.conn);
        UNTIL(b, p.server_gone);
        pair_close(b, &p);

        pair_begin(b, &p, false);
        pair_connect(b, &p);
        p.server->close_when_done = true;
        UNTIL(b, p.server_gone);
        pair_close(b, &p);
    }
}

/* -- what is not data */

CONTRACT(a_truncated_stream_is_told_from_an_end)
{
    pair_t p;

    pair_open(b, &p);
    cr_assert_eq(shutdown(p.client->s.conn.handle.fd, SHUT_WR), 0);
    UNTIL(b, p.server->s.eofs == 1);
    cr_assert_eq(p.server->s.eof_err, 0);
    cr_assert_not(veil_tls_was_closed(veil_tls_of(&p.server->s.conn)));
    pair_close(b, &p);
}

/* The client's library writes something by itself: send it. */
static void
client_flush(bed_t *b, pair_t *p)
{
    veil_tls_flush(veil_tls_of(&p->client->s.conn));
    side_turn(b, 2);
}

CONTRACT(a_fatal_alert)
{
    pair_t p;

    pair_open(b, &p);
    (void) SSL_send_fatal_alert(tls_side_ssl(p.client), SSL_AD_INTERNAL_ERROR);
    client_flush(b, &p);
    UNTIL(b, p.server->s.eofs == 1);
    cr_assert_eq(p.server->s.eof_err, -EPROTO);
    pair_close(b, &p);
}

CONTRACT(a_record_that_is_broken)
{
    static const char broken[] =
        "\x17\3\3\0\x20 thirty-two bytes of no meaning..";
    pair_t p;

    pair_open(b, &p);
    cr_assert_eq(send(p.client->s.conn.handle.fd, broken, 37, 0), 37);
    UNTIL(b, p.server->s.eofs == 1);
    cr_assert_eq(p.server->s.eof_err, -EPROTO);
    veil_conn_close(&p.server->s.conn);
    UNTIL(b, p.client->s.eofs == 1);
    cr_assert_eq(p.client->s.eof_err, -EPROTO, "by an alert");
    pair_close(b, &p);
}

CONTRACT(no_records_at_all)
{
    pair_t p;

    pair_open(b, &p);
    side_send(p.client->s.conn.handle.fd, "GET / HTTP/1.1\r\n\r\n");
    UNTIL(b, p.server->s.eofs == 1);
    cr_assert_eq(p.server->s.eof_err, -EPROTO);
    pair_close(b, &p);
}

/* The peer's new keys are the end of what it says, not of what we say. */
CONTRACT(new_keys_of_the_peer)
{
    pair_t p;

    pair_open(b, &p);
    cr_assert(
        SSL_key_update(tls_side_ssl(p.client), SSL_KEY_UPDATE_NOT_REQUESTED));
    side_write(&p.client->s, "with new keys");
    UNTIL(b, p.server->s.eofs == 1);
    cr_assert_eq(p.server->s.eof_err, 0);
    cr_assert_not(veil_tls_was_closed(veil_tls_of(&p.server->s.conn)));
    cr_assert_eq(p.server->s.len, 0);
    side_write(&p.server->s, "answer");
    UNTIL(b, side_has(&p.client->s, "answer"));
    UNTIL(b, p.server->s.sents == 1);
    /* Closing would reset: what the peer said last was not read. */
    veil_conn_shutdown(&p.server->s.conn);
    UNTIL(b, p.client->s.eofs == 1);
    cr_assert(veil_tls_was_closed(veil_tls_of(&p.client->s.conn)));
    pair_close(b, &p);
}

/* With the receiving side in user space only a demand for ours is. */
CONTRACT(new_keys_are_demanded)
{
    pair_t p;

    pair_begin(b, &p, true);
    p.tb.server_options.ktls = false;
    p.tb.client_options.ktls = true;
    p.session = true;
    pair_shake(b, &p);
    cr_assert(veil_tls_is_ktls_tx(veil_tls_of(&p.client->s.conn)));
    cr_assert_not(veil_tls_is_ktls_rx(veil_tls_of(&p.client->s.conn)));
    cr_assert(
        SSL_key_update(tls_side_ssl(p.server), SSL_KEY_UPDATE_NOT_REQUESTED));
    side_write(&p.server->s, "with new keys");
    UNTIL(b, side_has(&p.client->s, "with new keys"));
    UNTIL(b, p.server->s.sents == 1);
    cr_assert_eq(p.client->s.eofs, 0);
    cr_assert(
        SSL_key_update(tls_side_ssl(p.server), SSL_KEY_UPDATE_REQUESTED));
    side_write(&p.server->s, ", and again");
    UNTIL(b, p.client->s.eofs == 1);
    cr_assert_eq(p.client->s.eof_err, 0);
    cr_assert_not(veil_tls_was_closed(veil_tls_of(&p.client->s.conn)));
    veil_conn_close(&p.client->s.conn);
    UNTIL(b, p.server->s.eofs == 1);
    cr_assert(veil_tls_was_closed(veil_tls_of(&p.server->s.conn)),
              "the goodbye was made with the keys that the kernel has");
    pair_close(b, &p);
}

/* -- the end */

/* More than the sockets hold, and closed as soon as the kernel has it. */
static void
lossless(bed_t *b, size_t len, bool with_file, bool shut)
{
    char *data = make_pattern(len);
    int fd = side_file(data, len);
    int size = 65536;
    veil_slice_t v;
    pair_t p;

    pair_open(b, &p);
    (void) setsockopt(p.server->s.conn.handle.fd, SOL_SOCKET, SO_SNDBUF, &size,
                      sizeof(size));
    (void) setsockopt(p.client->s.conn.handle.fd, SOL_SOCKET, SO_RCVBUF, &size,
                      sizeof(size));
    v = with_file ? veil_slice_file(fd, 0, len) : veil_slice_mem(data, len);
    veil_conn_write(&p.server->s.conn, &v, 1);
    p.server->s.close_at_sent = !shut;
    if (shut) {
        UNTIL(b, p.server->s.sents == 1);
        veil_conn_shutdown(&p.server->s.conn);
    }
    UNTIL(b, p.client->s.eofs == 1);
    cr_assert(veil_tls_was_closed(veil_tls_of(&p.client->s.conn)));
    cr_assert(side_has_pattern(&p.client->s, len), "%zu of %zu bytes",
              p.client->s.len, len);
    (void) close(fd);
    free(data);
    pair_close(b, &p);
}

CONTRACT(nothing_is_lost_at_the_end)
{
    size_t i;

    for (i = 0; i < 4; i++) {
        lossless(b, 300000 + i * 77777, i & 1, i & 2);
    }
}

/* The peer reads no more: the goodbye waits, but not for ever. */
CONTRACT(a_goodbye_nobody_takes)
{
    size_t len = 8 << 20;
    char *data = make_pattern(len);
    veil_slice_t v = veil_slice_mem(data, len);
    pair_t p;
    ssize_t n;
    int fd;

    pair_open(b, &p);
    veil_conn_hold(&p.client->s.conn);
    p.client->s.hold = true;
    p.client->s.take = 1;
    /* Fill the socket to the brim, which no write that ends does. */
    fd = p.server->s.conn.handle.fd;
    do {
        side_turn(b, 1);
        n = send(fd, v.data, 65536, MSG_DONTWAIT);
    } while (n > 0);
    veil_conn_close(&p.server->s.conn);
    UNTIL(b, p.server_gone);
    free(data);
    pair_close(b, &p);
}

CONTRACT(a_write_that_is_cut_short)
{
    size_t len = 8 << 20;
    char *data = make_pattern(len);
    veil_slice_t v = veil_slice_mem(data, len);
    pair_t p;

    pair_open(b, &p);
    veil_conn_hold(&p.client->s.conn);
    veil_conn_write(&p.server->s.conn, &v, 1);
    side_turn(b, 3);
    veil_conn_close(&p.server->s.conn);
    UNTIL(b, p.server_gone);
    free(data);
    pair_close(b, &p);
}

CONTRACT(an_abort)
{
    pair_t p;

    pair_open(b, &p);
    veil_conn_abort(&p.server->s.conn);
    UNTIL(b, p.client->s.eofs == 1);
    cr_assert_eq(p.client->s.eof_err, -ECONNRESET);
    pair_close(b, &p);
}
