/*
 * test_ctl_link.c -- veilctl waits for a server: a signal is never lost.
 */

#include "core/platform.h"

#include <criterion/criterion.h>
#include <poll.h>
#include <sys/socket.h>

static int test_poll(struct pollfd *p, nfds_t n, int ms);

#define poll test_poll
#include "ctl/lines.c"
#include "ctl/link.c"
#undef poll

static int wake[2];
static bool strikes;

/* The signal comes just before the process would sleep. */
static int
test_poll(struct pollfd *p, nfds_t n, int ms)
{
    if (strikes) {
        strikes = false;
        veil_ctl_interrupted = 1;
        cr_assert_eq(write(wake[1], "", 1), 1);
    }
    return poll(p, n, ms);
}

Test(ctl_link, a_signal_before_the_sleep_ends_it, .timeout = 60)
{
    int fds[2];

    cr_assert_eq(pipe(wake), 0);
    cr_assert_eq(socketpair(AF_UNIX, SOCK_STREAM, 0, fds), 0);
    veil_ctl_wake = wake[0];
    strikes = true;
    cr_assert_eq(link_wait(fds[0], POLLIN, -1), -1);
}

Test(ctl_link, what_comes_is_told_and_so_is_its_absence)
{
    int fds[2];

    cr_assert_eq(socketpair(AF_UNIX, SOCK_STREAM, 0, fds), 0);
    cr_assert_eq(link_wait(fds[0], POLLIN, veil_ctl_link_now() + 10), 0);
    cr_assert_eq(write(fds[1], "x", 1), 1);
    cr_assert_eq(link_wait(fds[0], POLLIN, -1), 1);
}
