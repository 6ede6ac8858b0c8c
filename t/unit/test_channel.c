/* test_channel.c -- messages between processes, with descriptors. */

#include <criterion/criterion.h>

#include "../../src/process/channel.c"

#include <fcntl.h>
#include <signal.h>

static int channel_ends[2];
static veil_message_t channel_got;

static void
setup(void)
{
    signal(SIGPIPE, SIG_DFL);
    cr_assert_eq(veil_channel_pair(channel_ends), 0);
}

static void
teardown(void)
{
    close(channel_ends[0]);
    close(channel_ends[1]);
}

static int
is_open(int fd)
{
    return fcntl(fd, F_GETFD) >= 0;
}

TestSuite(channel, .init = setup, .fini = teardown);

Test(channel, messages_keep_their_borders)
{
    char big[VEIL_MESSAGE_MAX];
    int e = channel_ends[0];

    memset(big, 'x', sizeof(big));
    cr_assert_eq(veil_channel_send(e, VEIL_MSG_READY, NULL, 0, NULL, 0), 0);
    cr_assert_eq(veil_channel_send(e, VEIL_MSG_DRAIN, "abc", 3, NULL, 0), 0);
    cr_assert_eq(
        veil_channel_send(e, VEIL_MSG_SETTINGS, big, sizeof(big), NULL, 0), 0);

    cr_assert_eq(veil_channel_recv(channel_ends[1], &channel_got), 1);
    cr_assert_eq(channel_got.type, VEIL_MSG_READY);
    cr_assert_eq(channel_got.len, 0);
    cr_assert_eq(veil_channel_recv(channel_ends[1], &channel_got), 1);
    cr_assert_eq(channel_got.type, VEIL_MSG_DRAIN);
    cr_assert_eq(channel_got.len, 3);
    cr_assert_arr_eq(channel_got.data, "abc", 3);
    cr_assert_eq(veil_channel_recv(channel_ends[1], &channel_got), 1);
    cr_assert_eq(channel_got.len, sizeof(big));
    cr_assert_arr_eq(channel_got.data, big, sizeof(big));
    cr_assert_eq(veil_channel_recv(channel_ends[1], &channel_got), -EAGAIN);
}

Test(channel, both_ways)
{
    cr_assert_eq(
        veil_channel_send(channel_ends[1], VEIL_MSG_READY, NULL, 0, NULL, 0),
        0);
    cr_assert_eq(veil_channel_recv_wait(channel_ends[0], &channel_got), 1);
    cr_assert_eq(channel_got.type, VEIL_MSG_READY);
}

Test(channel, too_much_is_refused)
{
    static char data[VEIL_MESSAGE_MAX + 1];
    int fds[VEIL_MESSAGE_FDS + 1] = { 0 };

    cr_assert_eq(veil_channel_send(channel_ends[0], VEIL_MSG_READY, data,
                                   sizeof(data), NULL, 0),
                 -EMSGSIZE);
    cr_assert_eq(veil_channel_send(channel_ends[0], VEIL_MSG_READY, NULL, 0,
                                   fds, veil_countof(fds)),
                 -EMSGSIZE);
    cr_assert_eq(veil_channel_recv(channel_ends[1], &channel_got), -EAGAIN);
}

Test(channel, descriptors_arrive_as_others)
{
    int fds[VEIL_MESSAGE_FDS];
    unsigned i;
    int p[2];
    char c;

    cr_assert_eq(pipe2(p, O_CLOEXEC), 0);
    for (i = 0; i < VEIL_MESSAGE_FDS; i++) {
        fds[i] = p[1];
    }
    cr_assert_eq(veil_channel_send(channel_ends[0], VEIL_MSG_SOCKETS, "x", 1,
                                   fds, VEIL_MESSAGE_FDS),
                 0);
    cr_assert_eq(veil_channel_recv(channel_ends[1], &channel_got), 1);
    cr_assert_eq(channel_got.nfds, VEIL_MESSAGE_FDS);
    cr_assert_eq(write(channel_got.fds[VEIL_MESSAGE_FDS - 1], "y", 1), 1);
    cr_assert_eq(read(p[0], &c, 1), 1);
    cr_assert_eq(c, 'y');
    cr_assert(fcntl(channel_got.fds[0], F_GETFD) & FD_CLOEXEC);

    /* What was taken stays open, the rest is closed. */
    i = (unsigned) channel_got.fds[0];
    channel_got.fds[0] = -1;
    p[0] = channel_got.fds[1];
    veil_message_close_fds(&channel_got);
    cr_assert(is_open((int) i));
    cr_assert_not(is_open(p[0]));
    cr_assert(is_open(p[1]));
}

Test(channel, the_end)
{
    cr_assert_eq(
        veil_channel_send(channel_ends[0], VEIL_MSG_READY, NULL, 0, NULL, 0),
        0);
    close(channel_ends[0]);
    /* What was sent before is read before. */
    cr_assert_eq(veil_channel_recv(channel_ends[1], &channel_got), 1);
    cr_assert_eq(veil_channel_recv(channel_ends[1], &channel_got), 0);
    cr_assert_eq(veil_channel_recv_wait(channel_ends[1], &channel_got), 0);
    /* And no SIGPIPE, whose default is set here. */
    cr_assert_eq(
        veil_channel_send(channel_ends[1], VEIL_MSG_READY, NULL, 0, NULL, 0),
        -EPIPE);
    channel_ends[0] = dup(channel_ends[1]);
}

Test(channel, broken_messages)
{
    static char huge[VEIL_MESSAGE_MAX + 64];
    uint32_t type = VEIL_MSG_KINDS;

    cr_assert_eq(send(channel_ends[0], "ab", 2, 0), 2);
    cr_assert_eq(veil_channel_recv(channel_ends[1], &channel_got), -EBADMSG);
    cr_assert_eq(send(channel_ends[0], &type, sizeof(type), 0), 4);
    cr_assert_eq(veil_channel_recv(channel_ends[1], &channel_got), -EBADMSG);
    type = VEIL_MSG_NONE;
    cr_assert_eq(send(channel_ends[0], &type, sizeof(type), 0), 4);
    cr_assert_eq(veil_channel_recv(channel_ends[1], &channel_got), -EBADMSG);
    huge[0] = VEIL_MSG_READY;
    cr_assert_eq(send(channel_ends[0], huge, sizeof(huge), 0), sizeof(huge));
    cr_assert_eq(veil_channel_recv(channel_ends[1], &channel_got), -EMSGSIZE);
}

Test(channel, a_reader_that_stopped_is_not_waited_for_long)
{
    static char data[VEIL_MESSAGE_MAX];
    int rc, n = 0;

    do {
        rc = veil_channel_send(channel_ends[0], VEIL_MSG_READY, data,
                               sizeof(data), NULL, 0);
    } while (rc == 0 && ++n < 100000);
    cr_assert_eq(rc, -EAGAIN);
    cr_assert_gt(n, 8);
}

Test(channel, names)
{
    unsigned i;

    for (i = 0; i < VEIL_MSG_KINDS; i++) {
        cr_assert_not_null(veil_message_name(i));
    }
    cr_assert_str_eq(veil_message_name(VEIL_MSG_START), "START");
    cr_assert_str_eq(veil_message_name(VEIL_MSG_KINDS), "?");
}
