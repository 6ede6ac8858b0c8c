/*
 * test_records.c -- receiving TLS records by type, and sending on sockets
 * whose TLS is in the kernel, on all three back ends.
 *
 * What needs such a kernel is skipped elsewhere; t/ktls/vm.t runs this
 * program in one.
 */

#include "ktls_pair.h"

/* What came: "<type>:<bytes>;", types that follow each other joined. */
typedef struct {
    end_t *end;
    char text[8192];
    size_t len;
    uint8_t type;
    int hold; /* pause after so many blocks */
} log_t;

static log_t records;

static void
on_record(veil_op_t *op)
{
    size_t n;

    if (!op->more) {
        records.end->in_done++;
        records.end->in_res = op->res;
        cr_assert_null(op->u.buf.block);
        return;
    }
    n = veil_buf_len(&op->u.buf);
    cr_assert_gt(op->res, 0);
    cr_assert_eq(n, (size_t) op->res);
    records.end->shots++;
    if (records.type != op->u.record.type) {
        records.type = op->u.record.type;
        records.len += (size_t) snprintf(
            records.text + records.len, sizeof(records.text) - records.len,
            "%s%u:", records.len > 0 ? ";" : "", records.type);
    }
    cr_assert_lt(records.len + n, sizeof(records.text));
    memcpy(records.text + records.len, op->u.buf.pos, n);
    records.len += n;
    records.text[records.len] = '\0';
    if (records.end->keep) {
        veil_chain_append(&records.end->kept, &op->u.buf);
    }
    veil_block_put(op->u.buf.block);
    if (records.hold > 0 && --records.hold == 0) {
        veil_op_cancel(op);
    }
}

static end_t *
receiver(end_t *e)
{
    memset(&records, 0, sizeof(records));
    records.end = e;
    veil_op_init(&e->in, &e->handle, on_record);
    return e;
}

CONTRACT(records_of_an_ordinary_socket_are_data)
{
    int peer, i;
    end_t *e;

    for (i = 0; i < 2; i++) {
        e = receiver(i == 0 ? end_open(b, &peer) : end_open_tcp(b, &peer));
        veil_op_recv_records(&e->in);
        veil_loop_turn(b->loop, 0);
        cr_assert_eq(e->shots, 0);
        cr_assert_eq(write(peer, "hello", 5), 5);
        UNTIL(b, records.len == 8);
        cr_assert_eq(write(peer, ", world", 7), 7);
        UNTIL(b, records.len == 15);
        cr_assert_str_eq(records.text, "23:hello, world");
        cr_assert_not(veil_op_is_idle(&e->in));
        (void) close(peer);
        UNTIL(b, e->in_done == 1);
        cr_assert_eq(e->in_res, 0);
        end_close(b, e);
    }
}

CONTRACT(records_and_end_that_arrive_together)
{
    int peer, i;
    end_t *e;

    for (i = 0; i < 8; i++) {
        e = receiver(end_open_tcp(b, &peer));
        e->in.paced = i % 2;
        if (i < 4) {
            veil_op_recv_records(&e->in);
            veil_loop_turn(b->loop, 0);
        }
        cr_assert_eq(write(peer, "last", 4), 4);
        (void) close(peer);
        if (i >= 4) {
            veil_op_recv_records(&e->in);
        }
        UNTIL(b, e->in_done == 1);
        cr_assert_eq(e->in_res, 0);
        cr_assert_str_eq(records.text, "23:last");
        end_close(b, e);
    }
}

CONTRACT(records_of_a_reset)
{
    int peer;
    end_t *e = receiver(end_open_tcp(b, &peer));

    veil_op_recv_records(&e->in);
    veil_loop_turn(b->loop, 0);
    bed_reset(peer);
    UNTIL(b, e->in_done == 1);
    cr_assert_eq(e->in_res, -ECONNRESET);
    end_close(b, e);
}

static void
fill_pattern(char *data, size_t len)
{
    size_t i;

    for (i = 0; i < len; i++) {
        data[i] = (char) ('a' + (i * 7 + i / 251) % 26);
    }
}

/* One block, of which a header takes its share. */
CONTRACT_SIZED(records_of_more_than_all_blocks, 128, 1)
{
    char data[4000];
    int peer;
    end_t *e = receiver(end_open(b, &peer));

    fill_pattern(data, sizeof(data));
    cr_assert_eq(write(peer, data, sizeof(data)), (ssize_t) sizeof(data));
    veil_op_recv_records(&e->in);
    UNTIL(b, records.len == 3 + sizeof(data));
    cr_assert_eq(memcmp(records.text + 3, data, sizeof(data)), 0);
    (void) close(peer);
    end_close(b, e);
}

CONTRACT_SIZED(records_starve_like_other_receives, 128, 1)
{
    int peers[2];
    end_t *hold = end_open(b, &peers[0]);
    end_t *e = receiver(end_open(b, &peers[1]));

    hold->keep = true;
    veil_op_recv(&hold->in);
    cr_assert_eq(write(peers[0], "hold", 4), 4);
    UNTIL(b, hold->len == 4);
    veil_op_recv_records(&e->in);
    cr_assert_eq(write(peers[1], "data", 4), 4);
    veil_loop_turn(b->loop, 0);
    veil_loop_turn(b->loop, 0);
    cr_assert_eq(records.len, 0);
    cr_assert_eq(e->in_done, 0, "a shortage is not an end");
    veil_chain_done(&hold->kept);
    UNTIL(b, records.len == 7);
    cr_assert_str_eq(records.text, "23:data");

    /* And one that starves can be cancelled. */
    cr_assert_eq(write(peers[0], "hold", 4), 4);
    UNTIL(b, hold->len == 8);
    cr_assert_eq(write(peers[1], "more", 4), 4);
    veil_loop_turn(b->loop, 0);
    veil_loop_turn(b->loop, 0);
    veil_op_cancel(&e->in);
    UNTIL(b, e->in_done == 1);
    cr_assert_eq(e->in_res, -ECANCELED);
    cr_assert_eq(records.len, 7);
    veil_chain_done(&hold->kept);
    veil_op_recv_records(&e->in);
    UNTIL(b, records.len == 11);
    (void) close(peers[0]);
    (void) close(peers[1]);
    end_close(b, e);
    end_close(b, hold);
}

/* Eight blocks' worth is there; the owner stops after each. */
CONTRACT_SIZED(paced_records_come_one_block_at_a_time, 128, 16)
{
    char data[1024];
    int peer, rounds;
    size_t len;
    end_t *e = receiver(end_open(b, &peer));

    fill_pattern(data, sizeof(data));
    cr_assert_eq(write(peer, data, sizeof(data)), (ssize_t) sizeof(data));
    e->in.paced = true;
    for (rounds = 1; records.len < 3 + sizeof(data); rounds++) {
        len = records.len;
        records.hold = 1;
        veil_op_recv_records(&e->in);
        UNTIL(b, e->in_done == rounds);
        cr_assert_eq(e->in_res, -ECANCELED);
        /* epoll may have had a second one at hand: no more than that. */
        cr_assert_leq(records.len - len, 2 * 128 + 3);
        cr_assert_lt(rounds, 64);
    }
    cr_assert_eq(memcmp(records.text + 3, data, sizeof(data)), 0);

    /* The pace changes while it is in flight, there and back. */
    records.hold = 0;
    veil_op_recv_records(&e->in);
    veil_loop_turn(b->loop, 0);
    e->in.paced = false;
    cr_assert_eq(write(peer, "one", 3), 3);
    UNTIL(b, records.len == 3 + sizeof(data) + 3);
    cr_assert_eq(write(peer, "two", 3), 3);
    UNTIL(b, records.len == 3 + sizeof(data) + 6);
    e->in.paced = true;
    cr_assert_eq(write(peer, "three", 5), 5);
    UNTIL(b, records.len == 3 + sizeof(data) + 11);
    cr_assert_str_eq(records.text + 3 + sizeof(data), "onetwothree");
    (void) close(peer);
    end_close(b, e);
}

/* The type of record is not for an ordinary socket: it is not sent. */
CONTRACT(a_message_with_control_data)
{
    union {
        struct cmsghdr c;
        char bytes[CMSG_SPACE(1)];
    } control = { 0 };
    struct iovec iov = { (char[]){ "plain" }, 5 };
    struct msghdr msg = { .msg_iov = &iov,
                          .msg_iovlen = 1,
                          .msg_control = &control,
                          .msg_controllen = sizeof(control.bytes) };
    char data[8];
    int peer;
    end_t *e = end_open_tcp(b, &peer);

    control.c.cmsg_level = SOL_TLS;
    control.c.cmsg_type = TLS_SET_RECORD_TYPE;
    control.c.cmsg_len = CMSG_LEN(1);
    *CMSG_DATA(&control.c) = VEIL_RECORD_ALERT;
    veil_op_sendmsg(&e->out, &msg, 0);
    UNTIL(b, e->out_done == 1);
    cr_assert_eq(e->out_res, 5);
    cr_assert_eq(read(peer, data, sizeof(data)), 5);
    (void) close(peer);
    end_close(b, e);
}

/* -- with TLS in the kernel */

CONTRACT(ktls_records_have_their_types)
{
    int peer, i;
    end_t *e;

    for (i = 0; i < 4; i++) {
        e = receiver(ktls_open(b, &peer));
        e->in.paced = i % 2;
        if (i < 2) {
            veil_op_recv_records(&e->in);
            veil_loop_turn(b->loop, 0);
        }
        cr_assert_eq(write(peer, "hello", 5), 5);
        cr_assert_eq(ktls_send_record(peer, 22, "ticket", 6), 6);
        cr_assert_eq(write(peer, "world", 5), 5);
        cr_assert_eq(ktls_send_record(peer, 21, "\1Z", 2), 2);
        if (i >= 2) {
            veil_op_recv_records(&e->in);
        }
        UNTIL(b, records.len >= 32);
        cr_assert_str_eq(records.text, "23:hello;22:ticket;23:world;21:\1Z");
        cr_assert_eq(e->in_done, 0, "an alert does not end the operation");
        (void) close(peer);
        UNTIL(b, e->in_done == 1);
        cr_assert_eq(e->in_res, 0);
        end_close(b, e);
    }
}

/* Records are larger than blocks, and come in one piece with others. */
CONTRACT_SIZED(ktls_records_of_more_than_a_block, 256, 4)
{
    char data[6000];
    int peer;
    end_t *e = receiver(ktls_open(b, &peer));

    fill_pattern(data, sizeof(data));
    veil_op_recv_records(&e->in);
    cr_assert_eq(write(peer, data, 5000), 5000);
    cr_assert_eq(ktls_send_record(peer, 22, data, 500), 500);
    cr_assert_eq(write(peer, data + 5000, 1000), 1000);
    UNTIL(b, records.len == 3 + 5000 + 4 + 500 + 4 + 1000);
    cr_assert_eq(memcmp(records.text + 3, data, 5000), 0);
    cr_assert_eq(memcmp(records.text + 5003, ";22:", 4), 0);
    cr_assert_eq(memcmp(records.text + 5007, data, 500), 0);
    cr_assert_eq(memcmp(records.text + 5507, ";23:", 4), 0);
    cr_assert_eq(memcmp(records.text + 5511, data + 5000, 1000), 0);
    (void) close(peer);
    end_close(b, e);
}

CONTRACT(ktls_record_with_a_wrong_tag)
{
    int peer;
    end_t *e = end_open_tcp(b, &peer);
    static const char record[] = "\x17\x03\x03\x00\x18"
                                 "not encrypted at all ...";

    if (ktls_on(e->handle.fd, 1, 1) != 0) {
        (void) close(peer);
        end_close(b, e);
        bed_close(b);
        cr_skip_test("this kernel has no TLS");
    }
    (void) receiver(e);
    veil_op_recv_records(&e->in);
    veil_loop_turn(b->loop, 0);
    cr_assert_eq(write(peer, record, sizeof(record) - 1), 29);
    UNTIL(b, e->in_done == 1);
    cr_assert_eq(e->in_res, -EBADMSG);
    (void) close(peer);
    end_close(b, e);
}

static size_t
drain(int fd, char *data, size_t size)
{
    size_t sum = 0;
    ssize_t n;

    while ((n = recv(fd, data + sum, size - sum, MSG_DONTWAIT)) > 0) {
        sum += (size_t) n;
    }
    return sum;
}

/* Much more than the socket takes, from memory, a vector, and a file. */
static void
send_all(bed_t *b, end_t *e, int peer, const char *data, size_t len)
{
    char *got = malloc(len);
    size_t sum = 0;
    time_t end = 0;

    while (e->out_done == 0 || sum < len) {
        veil_loop_turn(b->loop, 1);
        sum += drain(peer, got + sum, len - sum);
        cr_assert(bed_in_time(&end), "%zu of %zu came", sum, len);
    }
    cr_assert_eq(e->out_res, (int) len);
    cr_assert_eq(memcmp(got, data, len), 0);
    e->out_done = 0;
    free(got);
}

CONTRACT(ktls_sends)
{
    size_t len = 1 << 20, i;
    char *data = malloc(len);
    struct iovec iov[8];
    FILE *f = tmpfile();
    int peer;
    end_t *e = ktls_open(b, &peer);

    fill_pattern(data, len);
    veil_op_send(&e->out, data, len);
    send_all(b, e, peer, data, len);
    for (i = 0; i < 8; i++) {
        iov[i].iov_base = data + i * len / 8;
        iov[i].iov_len = len / 8;
    }
    veil_op_sendv(&e->out, iov, 8);
    send_all(b, e, peer, data, len);
    cr_assert_eq(fwrite(data, 1, len, f), len);
    cr_assert_eq(fflush(f), 0);
    veil_op_sendfile(&e->out, fileno(f), 0, len);
    send_all(b, e, peer, data, len);
    (void) fclose(f);
    (void) close(peer);
    free(data);
    end_close(b, e);
}

/* Plaintext goes from one connection to a pipe and on to another. */
CONTRACT(ktls_splices)
{
    char data[5000], got[5000];
    int in, out, fds[2];
    end_t *from = ktls_open(b, &in), *to = ktls_open(b, &out), *pipe_end;

    fill_pattern(data, sizeof(data));
    cr_assert_eq(pipe2(fds, O_NONBLOCK | O_CLOEXEC), 0);
    pipe_end = end_of_fd(b, fds[0]);
    veil_op_splice(&from->out, fds[1], 65536, 0);
    veil_loop_turn(b->loop, 0);
    cr_assert_eq(from->out_done, 0);
    cr_assert_eq(write(in, data, sizeof(data)), (ssize_t) sizeof(data));
    UNTIL(b, from->out_done == 1);
    cr_assert_eq(from->out_res, (int) sizeof(data));
    veil_op_splice(&pipe_end->out, to->handle.fd, sizeof(data), 0);
    UNTIL(b, pipe_end->out_done == 1);
    cr_assert_eq(pipe_end->out_res, (int) sizeof(data));
    cr_assert_eq(recv(out, got, sizeof(got), MSG_WAITALL),
                 (ssize_t) sizeof(got));
    cr_assert_eq(memcmp(got, data, sizeof(data)), 0);

    /* What is not data stays for a receive by records. */
    cr_assert_eq(ktls_send_record(in, VEIL_RECORD_ALERT, "\1", 2), 2);
    veil_op_splice(&from->out, fds[1], 65536, 0);
    UNTIL(b, from->out_done == 2);
    cr_assert_eq(from->out_res, -EINVAL);
    (void) receiver(from);
    veil_op_recv_records(&from->in);
    UNTIL(b, from->shots == 1);
    cr_assert_eq(records.type, VEIL_RECORD_ALERT);
    (void) close(fds[1]);
    (void) close(in);
    (void) close(out);
    end_close(b, pipe_end);
    end_close(b, from);
    end_close(b, to);
}

/* A goodbye waits for room; with it, what was sent before arrives whole. */
CONTRACT(ktls_goodbye_on_a_full_socket)
{
    size_t len = 4 << 20, sum = 0, n;
    char *data = malloc(len), *got = malloc(len);
    union {
        struct cmsghdr c;
        char bytes[CMSG_SPACE(1)];
    } control = { 0 };
    struct iovec iov = { (char[]){ 1, 0 }, 2 };
    struct msghdr msg = { .msg_iov = &iov,
                          .msg_iovlen = 1,
                          .msg_control = &control,
                          .msg_controllen = sizeof(control.bytes) };
    int peer;
    end_t *e = ktls_open(b, &peer);
    ssize_t put, all = 0;
    time_t end = 0;

    fill_pattern(data, len);
    while ((put = send(e->handle.fd, data + all, len - (size_t) all, 0)) > 0) {
        all += put;
    }
    cr_assert_lt((size_t) all, len);
    control.c.cmsg_level = SOL_TLS;
    control.c.cmsg_type = TLS_SET_RECORD_TYPE;
    control.c.cmsg_len = CMSG_LEN(1);
    *CMSG_DATA(&control.c) = VEIL_RECORD_ALERT;
    veil_op_sendmsg(&e->out, &msg, 0);
    veil_loop_turn(b->loop, 1);
    cr_assert_eq(e->out_done, 0, "there was no room");
    while (e->out_done == 0 && bed_in_time(&end)) {
        n = drain(peer, got + sum, veil_min_size(len - sum, 10000));
        sum += n;
        veil_loop_turn(b->loop, 1);
    }
    cr_assert_eq(e->out_res, 2);
    end_close(b, e);
    while (sum < (size_t) all && bed_in_time(&end)) {
        sum += drain(peer, got + sum, len - sum);
    }
    cr_assert_eq(sum, (size_t) all);
    cr_assert_eq(memcmp(got, data, sum), 0);
    (void) close(peer);
    free(data);
    free(got);
}
