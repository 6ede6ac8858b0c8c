/* test_hold.c -- sockets and zones over generations. */

#include <criterion/criterion.h>

#include "../../src/process/hold.c"

#include <fcntl.h>
#include <netinet/in.h>

static veil_hold_t hold;
static veil_hold_listen_t want;
static const int *fds;
static unsigned nfds;

static int
is_open(int fd)
{
    return fcntl(fd, F_GETFD) >= 0;
}

/* A port that was free a moment ago. */
static uint16_t
free_port(void)
{
    struct sockaddr_in sa = { .sin_family = AF_INET };
    socklen_t len = sizeof(sa);
    int fd = socket(AF_INET, SOCK_STREAM, 0);

    sa.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    cr_assert_eq(bind(fd, (struct sockaddr *) &sa, sizeof(sa)), 0);
    cr_assert_eq(getsockname(fd, (struct sockaddr *) &sa, &len), 0);
    close(fd);
    return ntohs(sa.sin_port);
}

static void
setup(void)
{
    veil_listen_t l;

    veil_hold_init(&hold);
    memset(&l, 0, sizeof(l));
    l.type = SOCK_STREAM;
    l.addr.family = AF_INET;
    l.addr.port = free_port();
    l.addr.u.ip[0] = 127;
    l.addr.u.ip[3] = 1;
    l.ipv6only = -1;
    l.keepalive = -1;
    l.nslots = 1;
    veil_hold_listen_pack(&want, &l);
}

static void
teardown(void)
{
    veil_hold_done(&hold, true);
}

static int
ask(uint64_t generation, unsigned slots)
{
    want.nslots = slots;
    want.reuseport = slots > 1;
    return veil_hold_listen(&hold, &want, generation, &fds, &nfds,
                            &veil_log_stderr);
}

TestSuite(hold, .init = setup, .fini = teardown);

Test(hold, a_listener_survives_being_packed)
{
    veil_listen_t l, back;
    veil_hold_listen_t packed;

    memset(&l, 0, sizeof(l));
    l.type = SOCK_STREAM;
    l.addr.family = AF_UNIX;
    l.addr.u.path = "/tmp/some.sock";
    l.backlog = 5;
    l.deferred = true;
    veil_hold_listen_pack(&packed, &l);
    veil_hold_listen_unpack(&back, &packed);
    cr_assert_str_eq(back.addr.u.path, "/tmp/some.sock");
    cr_assert_eq(back.backlog, 5);
    cr_assert(back.deferred);
    cr_assert(veil_listen_is_same(&l, &back));
}

Test(hold, the_next_generation_gets_the_same)
{
    int fd;

    cr_assert_eq(ask(1, 1), 0);
    cr_assert_eq(nfds, 1);
    fd = fds[0];
    veil_hold_commit(&hold, 1);
    cr_assert_eq(ask(2, 1), 0);
    cr_assert_eq(fds[0], fd);
    veil_hold_commit(&hold, 2);
    cr_assert(is_open(fd));
    veil_hold_commit(&hold, 3);
    cr_assert_not(is_open(fd), "nobody named it");
}

Test(hold, what_was_made_for_a_failure_goes)
{
    int fd;

    cr_assert_eq(ask(1, 1), 0);
    fd = fds[0];
    veil_hold_abort(&hold, 1);
    cr_assert_not(is_open(fd));
}

Test(hold, what_was_there_before_a_failure_stays)
{
    int fd;

    cr_assert_eq(ask(1, 2), 0);
    fd = fds[0];
    veil_hold_commit(&hold, 1);
    cr_assert_eq(ask(2, 4), 0);
    cr_assert_eq(nfds, 4);
    veil_hold_abort(&hold, 2);
    cr_assert_eq(ask(3, 2), 0);
    cr_assert_eq(nfds, 2, "the slots it added are gone");
    cr_assert_eq(fds[0], fd);
}

Test(hold, slots_are_added_and_never_taken)
{
    int fd;

    cr_assert_eq(ask(1, 1), 0);
    fd = fds[0];
    veil_hold_commit(&hold, 1);
    cr_assert_eq(ask(2, 3), 0, "beside a socket that was alone");
    cr_assert_eq(nfds, 3);
    cr_assert_eq(fds[0], fd);
    veil_hold_commit(&hold, 2);
    cr_assert_eq(ask(3, 2), 0);
    cr_assert_eq(nfds, 3);
    veil_hold_commit(&hold, 3);
}

Test(hold, an_address_that_is_taken)
{
    veil_hold_t other;

    cr_assert_eq(ask(1, 1), 0);
    veil_hold_init(&other);
    cr_assert_eq(
        veil_hold_listen(&other, &want, 1, &fds, &nfds, &veil_log_stderr),
        -EADDRINUSE);
    cr_assert(veil_list_is_empty(&other.listens));
}

Test(hold, the_file_of_a_unix_socket)
{
    veil_listen_t l;
    char path[64];

    snprintf(path, sizeof(path), "/tmp/veil-hold-%d.sock", (int) getpid());
    memset(&l, 0, sizeof(l));
    l.type = SOCK_STREAM;
    l.addr.family = AF_UNIX;
    l.addr.u.path = path;
    l.nslots = 1;
    veil_hold_listen_pack(&want, &l);
    cr_assert_eq(ask(1, 1), 0);
    cr_assert_eq(access(path, F_OK), 0);
    veil_hold_done(&hold, true);
    cr_assert_neq(access(path, F_OK), 0);
}

Test(hold, zones_are_known_by_name_size_and_owner)
{
    veil_hold_zone_t z;
    bool fresh;
    int one, fd;

    memset(&z, 0, sizeof(z));
    strncpy(z.name, "one", sizeof(z.name) - 1);
    strncpy(z.tag, "limit", sizeof(z.tag) - 1);
    z.size = 65536;
    one = veil_hold_zone(&hold, &z, 1, &fresh);
    cr_assert_geq(one, 0);
    cr_assert(fresh);
    veil_hold_commit(&hold, 1);

    fd = veil_hold_zone(&hold, &z, 2, &fresh);
    cr_assert_eq(fd, one);
    cr_assert_not(fresh);

    z.size = 131072;
    fd = veil_hold_zone(&hold, &z, 2, &fresh);
    cr_assert_neq(fd, one);
    cr_assert(fresh);
    veil_hold_abort(&hold, 2);
    cr_assert_not(is_open(fd));
    cr_assert(is_open(one));
}

Test(hold, a_zone_never_changes_its_owner_or_its_key)
{
    veil_hold_zone_t z;
    bool fresh;

    memset(&z, 0, sizeof(z));
    strncpy(z.name, "one", sizeof(z.name) - 1);
    strncpy(z.tag, "limit", sizeof(z.tag) - 1);
    strncpy(z.key, "$uri", sizeof(z.key) - 1);
    z.size = 65536;
    cr_assert_geq(veil_hold_zone(&hold, &z, 1, &fresh), 0);
    veil_hold_commit(&hold, 1);

    strncpy(z.tag, "cache", sizeof(z.tag) - 1);
    cr_assert_eq(veil_hold_zone(&hold, &z, 2, &fresh), -EEXIST);
    cr_assert_str_eq(veil_hold_zone_find(&hold, "one")->tag, "limit");
    z.size = 131072;
    cr_assert_eq(veil_hold_zone(&hold, &z, 2, &fresh), -EEXIST,
                 "another size is no excuse");
    strncpy(z.tag, "limit", sizeof(z.tag) - 1);
    cr_assert_geq(veil_hold_zone(&hold, &z, 2, &fresh), 0);
    veil_hold_abort(&hold, 2);

    strncpy(z.key, "$host", sizeof(z.key) - 1);
    cr_assert_eq(veil_hold_zone(&hold, &z, 3, &fresh), -EEXIST);
    cr_assert_str_eq(veil_hold_zone_find(&hold, "one")->key, "$uri");
    cr_assert_null(veil_hold_zone_find(&hold, "two"));

    /* When it was gone for a generation, the name is free. */
    veil_hold_commit(&hold, 4);
    cr_assert_geq(veil_hold_zone(&hold, &z, 5, &fresh), 0);
}

Test(hold, a_zone_of_a_failure_is_not_used_again)
{
    veil_hold_zone_t z;
    bool fresh;

    memset(&z, 0, sizeof(z));
    strncpy(z.name, "one", sizeof(z.name) - 1);
    z.size = 4096;
    cr_assert_geq(veil_hold_zone(&hold, &z, 1, &fresh), 0);
    /* Asked for twice by one generation: still nobody has used it. */
    cr_assert_geq(veil_hold_zone(&hold, &z, 1, &fresh), 0);
    cr_assert(fresh);
    veil_hold_abort(&hold, 1);
    cr_assert(veil_list_is_empty(&hold.zones));
}

/* As the other master does it, which has joined the group. */
static int
another_socket(void)
{
    veil_listen_t l;

    veil_hold_listen_unpack(&l, &want);
    l.nslots = 2;
    return veil_listen_bind(&l, &veil_log_stderr);
}

Test(hold, a_slot_of_another_master)
{
    int more, pair[2];

    cr_assert_eq(ask(1, 2), 0);
    veil_hold_commit(&hold, 1);
    cr_assert_not(veil_hold_has_added(&hold));

    cr_assert_not(veil_hold_add_slot(&hold, another_socket(), 1),
                  "there is one already");
    cr_assert_not(veil_hold_add_slot(&hold, another_socket(), 3), "a gap");
    cr_assert_eq(socketpair(AF_UNIX, SOCK_STREAM, 0, pair), 0);
    cr_assert_not(veil_hold_add_slot(&hold, pair[0], 2), "no address of ours");
    cr_assert_eq(fcntl(pair[0], F_GETFD), -1, "it is closed");
    close(pair[1]);
    cr_assert_not(veil_hold_has_added(&hold));

    more = another_socket();
    cr_assert(veil_hold_add_slot(&hold, more, 2));
    cr_assert(veil_hold_has_added(&hold));
    cr_assert_eq(ask(2, 2), 0);
    cr_assert_eq(nfds, 3, "more than are wanted are shared out");
    cr_assert_eq(fds[2], more);
    cr_assert_not(veil_hold_has_added(&hold));
    veil_hold_abort(&hold, 2);
    cr_assert_eq(ask(3, 2), 0);
    cr_assert_eq(nfds, 3, "a load that fails closes none of them");
}
