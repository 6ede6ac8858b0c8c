/*
 * test_listen.c -- binding (IPv4, IPv6, unix, stale sockets, reuseport,
 * steering) and accepting (storms, limits, errors, the end).
 */

#include "../../src/event/listen.c"

#include "side.h"
#include <linux/sockios.h>
#include <sched.h>
#include <sys/ioctl.h>
#include <sys/resource.h>

static unsigned accepted;
static veil_addr_t accepted_peer;
static int accepted_fds[512];

static void
on_accept(veil_acceptor_t *a, int fd, const veil_addr_t *peer)
{
    cr_assert_not_null(a->listen);
    cr_assert_geq(fd, 0);
    cr_assert_neq(fcntl(fd, F_GETFL) & O_NONBLOCK, 0);
    cr_assert_lt(accepted, veil_countof(accepted_fds));
    accepted_fds[accepted++] = fd;
    accepted_peer = *peer;
}

static void
close_accepted(void)
{
    while (accepted > 0) {
        close(accepted_fds[--accepted]);
    }
}

static veil_listen_t
listen_on(const char *ip)
{
    veil_listen_t l = { .type = SOCK_STREAM,
                        .backlog = 511,
                        .ipv6only = -1,
                        .keepalive = -1,
                        .nslots = 1,
                        .accept = on_accept };

    cr_assert(veil_addr_parse_ip(&l.addr, veil_str_z(ip)));
    return l;
}

/* Binds, and notes the port that the kernel chose. */
static int
bind_any(veil_listen_t *l)
{
    struct sockaddr_storage ss;
    socklen_t len = sizeof(ss);
    int fd = veil_listen_bind(l, &veil_log_stderr);
    veil_addr_t addr;

    if (fd >= 0) {
        cr_assert_eq(getsockname(fd, (struct sockaddr *) &ss, &len), 0);
        veil_addr_from_sockaddr(&addr, (struct sockaddr *) &ss, len);
        l->addr.port = addr.port;
    }
    return fd;
}

/* Connected; the listener may not know yet. */
static int
client(const veil_addr_t *addr)
{
    struct sockaddr_storage ss;
    socklen_t len = veil_addr_to_sockaddr(addr, &ss);
    int fd = socket(addr->family, SOCK_STREAM | SOCK_CLOEXEC, 0);

    cr_assert_geq(fd, 0);
    cr_assert_eq(connect(fd, (struct sockaddr *) &ss, len), 0);
    return fd;
}

/* Connected, and for the listener to accept: it has acknowledged a byte. */
static int
queued_client(const veil_addr_t *addr)
{
    int fd = client(addr), unsent = 1;
    time_t end = 0;

    cr_assert_eq(send(fd, "x", 1, 0), 1);
    while (unsent != 0 && bed_in_time(&end)) {
        cr_assert_eq(ioctl(fd, SIOCOUTQ, &unsent), 0);
    }
    cr_assert_eq(unsent, 0);
    return fd;
}

/* Ends the acceptors of the test and what they accepted. */
static void
finish(bed_t *b)
{
    veil_acceptors_stop_all();
    side_turn(b, 10);
    close_accepted();
}

/* --- binding ------------------------------------------------------------ */

Test(bind, options)
{
    veil_listen_t l = listen_on("127.0.0.1");
    int fd, value;
    socklen_t len = sizeof(value);

    l.keepalive = 1;
    l.keepidle = 77;
    l.rcvbuf = 100000;
    l.deferred = true;
    fd = bind_any(&l);
    cr_assert_geq(fd, 0);
    cr_assert_neq(fcntl(fd, F_GETFL) & O_NONBLOCK, 0);
    cr_assert_neq(fcntl(fd, F_GETFD) & FD_CLOEXEC, 0);
    cr_assert_eq(getsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &value, &len), 0);
    cr_assert_neq(value, 0);
    cr_assert_eq(getsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &value, &len), 0);
    cr_assert_neq(value, 0);
    cr_assert_eq(getsockopt(fd, IPPROTO_TCP, TCP_KEEPIDLE, &value, &len), 0);
    cr_assert_eq(value, 77);
    cr_assert_eq(getsockopt(fd, SOL_SOCKET, SO_RCVBUF, &value, &len), 0);
    cr_assert_eq(value, 200000);
    cr_assert_eq(getsockopt(fd, IPPROTO_TCP, TCP_DEFER_ACCEPT, &value, &len),
                 0);
    cr_assert_gt(value, 0);

    /* A reload takes it away. */
    l.deferred = false;
    l.keepalive = 0;
    veil_listen_configure(&l, fd, &veil_log_stderr);
    cr_assert_eq(getsockopt(fd, IPPROTO_TCP, TCP_DEFER_ACCEPT, &value, &len),
                 0);
    cr_assert_eq(value, 0);
    cr_assert_eq(getsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &value, &len), 0);
    cr_assert_eq(value, 0);
    close(fd);
}

Test(bind, in_use)
{
    veil_listen_t l = listen_on("127.0.0.1");
    veil_listen_t other;
    int fd = bind_any(&l);

    cr_assert_geq(fd, 0);
    other = l;
    cr_assert(veil_listen_is_same(&l, &other));
    veil_log_stderr.level = VEIL_LOG_OFF;
    cr_assert_eq(veil_listen_bind(&other, &veil_log_stderr), -EADDRINUSE);
    other.addr.port++;
    cr_assert_not(veil_listen_is_same(&l, &other));
    close(fd);
}

/* Somebody lets go of the port while we try. */
Test(bind, retries)
{
    veil_listen_t l = listen_on("127.0.0.1");
    int fd = bind_any(&l);
    struct timespec pause = { 0, 50000000 };
    pid_t pid;

    cr_assert_geq(fd, 0);
    pid = fork();
    if (pid == 0) {
        nanosleep(&pause, NULL);
        _exit(0);
    }
    close(fd); /* the child has it still */
    fd = veil_listen_bind(&l, &veil_log_stderr);
    cr_assert_geq(fd, 0);
    close(fd);
}

Test(bind, no_such_address)
{
    veil_listen_t l = listen_on("192.0.2.1");

    veil_log_stderr.level = VEIL_LOG_OFF;
    cr_assert_eq(veil_listen_bind(&l, &veil_log_stderr), -EADDRNOTAVAIL);
}

Test(bind, reuseport)
{
    veil_listen_t l = listen_on("127.0.0.1");
    int fds[3], i;

    l.reuseport = true;
    fds[0] = bind_any(&l);
    for (i = 1; i < 3; i++) {
        fds[i] = veil_listen_bind(&l, &veil_log_stderr);
    }
    for (i = 0; i < 3; i++) {
        cr_assert_geq(fds[i], 0);
    }
    for (i = 0; i < 3; i++) {
        close(fds[i]);
    }
}

Test(bind, unix_sockets)
{
    veil_listen_t l = { .type = SOCK_STREAM, .backlog = 5 };
    char path[64];
    struct stat st;
    int fd, second;

    veil_snprintf(path, sizeof(path), "/tmp/veil-listen-%d.sock",
                  (int) getpid());
    l.addr.family = AF_UNIX;
    l.addr.u.path = path;
    fd = veil_listen_bind(&l, &veil_log_stderr);
    cr_assert_geq(fd, 0);
    cr_assert_eq(stat(path, &st), 0);
    cr_assert_eq(st.st_mode & 0777, 0666);

    /* Alive: it stays. */
    veil_log_stderr.level = VEIL_LOG_OFF;
    cr_assert_eq(veil_listen_bind(&l, &veil_log_stderr), -EADDRINUSE);
    close(client(&l.addr));

    /* Left behind: it goes. */
    close(fd);
    cr_assert_eq(stat(path, &st), 0);
    fd = veil_listen_bind(&l, &veil_log_stderr);
    cr_assert_geq(fd, 0);
    close(client(&l.addr));
    close(fd);

    /* What is no socket is not ours to remove. */
    unlink(path);
    second = open(path, O_CREAT | O_WRONLY, 0600);
    cr_assert_eq(veil_listen_bind(&l, &veil_log_stderr), -EADDRINUSE);
    cr_assert_eq(stat(path, &st), 0);
    close(second);
    unlink(path);
}

/* Which of n sockets of a group got the connection from this address. */
static int
steered_to(const veil_addr_t *to, const veil_addr_t *from, const int *fds,
           int n)
{
    struct sockaddr_storage ss;
    socklen_t len = veil_addr_to_sockaddr(from, &ss);
    int c = socket(from->family, SOCK_STREAM, 0), i, fd, found = -1;
    struct pollfd p[4];

    cr_assert_eq(bind(c, (struct sockaddr *) &ss, len), 0);
    len = veil_addr_to_sockaddr(to, &ss);
    cr_assert_eq(connect(c, (struct sockaddr *) &ss, len), 0);
    for (i = 0; i < n; i++) {
        p[i] = (struct pollfd){ .fd = fds[i], .events = POLLIN };
    }
    cr_assert_eq(poll(p, (nfds_t) n, 30000), 1);
    for (i = 0; i < n; i++) {
        fd = accept4(fds[i], NULL, NULL, SOCK_NONBLOCK);
        if (fd >= 0) {
            cr_assert_eq(found, -1);
            found = i;
            close(fd);
        }
    }
    cr_assert_neq(found, -1);
    close(c);
    return found;
}

Test(bind, steering)
{
    veil_listen_t l = listen_on("127.0.0.1");
    int fds[4], counts[4] = { 0 }, i, to;
    veil_addr_t from = l.addr;

    l.reuseport = true;
    fds[0] = bind_any(&l);
    for (i = 1; i < 4; i++) {
        fds[i] = veil_listen_bind(&l, &veil_log_stderr);
    }
    cr_assert_eq(veil_listen_steer(fds[0], 4), 0);
    for (i = 0; i < 40; i++) {
        /* 256 apart, which a plain modulo sends to one socket. */
        from.u.ip[2] = (unsigned char) i;
        to = steered_to(&l.addr, &from, fds, 4);
        counts[to]++;
        cr_assert_eq(steered_to(&l.addr, &from, fds, 4), to);
    }
    for (i = 0; i < 4; i++) {
        cr_assert_geq(counts[i], 4);
        close(fds[i]);
    }
}

Test(bind, steering_ipv6)
{
    veil_listen_t l = listen_on("::1");
    int fds[2], i, to;

    l.reuseport = true;
    fds[0] = bind_any(&l);
    if (fds[0] == -EADDRNOTAVAIL || fds[0] == -EAFNOSUPPORT) {
        cr_skip_test("no IPv6 here");
    }
    fds[1] = veil_listen_bind(&l, &veil_log_stderr);
    cr_assert_eq(veil_listen_steer(fds[1], 2), 0);
    veil_addr_t from = l.addr;
    from.port = 0;
    to = steered_to(&l.addr, &from, fds, 2);
    for (i = 0; i < 10; i++) {
        cr_assert_eq(steered_to(&l.addr, &from, fds, 2), to);
    }
    close(fds[0]);
    close(fds[1]);
}

/* --- accepting ---------------------------------------------------------- */

static veil_acceptor_t *
open_on(bed_t *b, veil_listen_t *l, int *fd)
{
    veil_acceptor_t *a;

    *fd = bind_any(l);
    cr_assert_geq(*fd, 0);
    l->fds = fd;
    a = veil_acceptor_open(b->loop, l, 0, &veil_log_stderr);
    cr_assert_not_null(a);
    return a;
}

CONTRACT(accept_storm)
{
    veil_listen_t l = listen_on("127.0.0.1");
    int fd, clients[200], i;

    open_on(b, &l, &fd);
    for (i = 0; i < 200; i++) {
        clients[i] = client(&l.addr);
        if (i % 17 == 0) {
            side_turn(b, 1);
        }
    }
    UNTIL(b, accepted == 200);
    cr_assert_eq(accepted_peer.family, AF_INET);
    cr_assert_eq(memcmp(accepted_peer.u.ip, "\x7f\0\0\1", 4), 0);
    cr_assert_neq(accepted_peer.port, 0);
    for (i = 0; i < 200; i++) {
        close(clients[i]);
    }
    finish(b);
    close(fd);
}

CONTRACT(accept_ipv6)
{
    veil_listen_t l = listen_on("::1"), v4 = listen_on("127.0.0.1");
    int fd = bind_any(&l), c;

    if (fd < 0) {
        cr_skip_test("no IPv6 here");
    }
    close(fd);
    /* Both families on one socket, when that is asked for. */
    l = listen_on("::");
    l.ipv6only = 0;
    open_on(b, &l, &fd);
    v4.addr.port = l.addr.port;
    c = client(&v4.addr);
    UNTIL(b, accepted == 1);
    close(c);
    finish(b);
    close(fd);
}

CONTRACT(accept_unix)
{
    veil_listen_t l = { .type = SOCK_STREAM,
                        .nslots = 1,
                        .accept = on_accept };
    char path[64];
    int fd, c;

    veil_snprintf(path, sizeof(path), "/tmp/veil-accept-%d.sock",
                  (int) getpid());
    unlink(path);
    l.addr.family = AF_UNIX;
    l.addr.u.path = path;
    fd = veil_listen_bind(&l, &veil_log_stderr);
    l.fds = &fd;
    cr_assert_not_null(veil_acceptor_open(b->loop, &l, 0, &veil_log_stderr));
    c = client(&l.addr);
    UNTIL(b, accepted == 1);
    cr_assert_eq(accepted_peer.family, AF_UNIX);
    close(c);
    finish(b);
    close(fd);
    unlink(path);
}

CONTRACT(accept_pauses)
{
    veil_listen_t l = listen_on("127.0.0.1");
    veil_acceptor_t *a;
    int fd, c[3];

    a = open_on(b, &l, &fd);
    side_turn(b, 3);
    veil_acceptor_pause(a);
    UNTIL(b, veil_op_is_idle(&a->accept));
    c[0] = client(&l.addr);
    side_turn(b, 10);
    cr_assert_eq(accepted, 0);
    veil_acceptor_resume(a);
    UNTIL(b, accepted == 1);

    /* Resumed before the cancel is through: it goes on all the same. */
    veil_acceptor_pause(a);
    veil_acceptor_resume(a);
    c[1] = client(&l.addr);
    UNTIL(b, accepted == 2);
    side_turn(b, 5);
    veil_acceptor_pause(a);
    veil_acceptor_resume(a);
    side_turn(b, 5);
    c[2] = client(&l.addr);
    UNTIL(b, accepted == 3);
    close(c[0]);
    close(c[1]);
    close(c[2]);
    finish(b);
    close(fd);
}

CONTRACT(accept_limit)
{
    veil_listen_t l = listen_on("127.0.0.1");
    veil_acceptor_t *a;
    int fd, c;

    veil_log_stderr.level = VEIL_LOG_OFF;
    veil_acceptors_limit(64);
    a = open_on(b, &l, &fd);
    veil_acceptors_count(55);
    cr_assert_not(a->paused);
    veil_acceptors_count(1); /* 7/8 */
    cr_assert(a->paused);
    UNTIL(b, veil_op_is_idle(&a->accept));
    c = client(&l.addr);
    side_turn(b, 10);
    cr_assert_eq(accepted, 0);
    veil_acceptors_count(-1);
    cr_assert(a->paused); /* not yet */
    veil_acceptors_count(-1);
    cr_assert_not(a->paused);
    UNTIL(b, accepted == 1);
    veil_acceptors_count(-54);
    cr_assert_eq(veil_acceptors_connections(), 0);
    veil_acceptors_limit(0);
    close(c);
    finish(b);
    close(fd);
}

CONTRACT(accept_without_descriptors)
{
    veil_listen_t l = listen_on("127.0.0.1");
    uint64_t now = veil_now_ms() + 1000;
    struct rlimit limit, old;
    veil_acceptor_t *a;
    int fd, c;

    veil_time_set(now, 1000000, 0);
    a = open_on(b, &l, &fd);
    side_turn(b, 3);
    /* io_uring looks at the limit when the accept is submitted. */
    veil_acceptor_pause(a);
    UNTIL(b, veil_op_is_idle(&a->accept));
    c = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    cr_assert_eq(getrlimit(RLIMIT_NOFILE, &old), 0);
    limit = old;
    limit.rlim_cur = (rlim_t) c + 1;
    cr_assert_eq(setrlimit(RLIMIT_NOFILE, &limit), 0);
    veil_acceptor_resume(a);
    side_turn(b, 3);

    veil_log_stderr.level = VEIL_LOG_OFF;
    {
        struct sockaddr_storage ss;
        socklen_t len = veil_addr_to_sockaddr(&l.addr, &ss);

        cr_assert_eq(connect(c, (struct sockaddr *) &ss, len), 0);
    }
    UNTIL(b, veil_timer_is_set(&a->retry));
    cr_assert_eq(accepted, 0);
    cr_assert_eq(setrlimit(RLIMIT_NOFILE, &old), 0);
    side_turn(b, 10);
    cr_assert_eq(accepted, 0);
    veil_time_set(now + LISTEN_RETRY_MS, 1000000, 0);
    UNTIL(b, accepted == 1);
    close(c);
    finish(b);
    close(fd);
}

/* Clients that come while it stops are served, and the queue survives. */
CONTRACT(accept_stops)
{
    veil_listen_t l = listen_on("127.0.0.1");
    veil_acceptor_t *a, *heir;
    int fd, clients[30], i;

    for (i = 0; i < 30; i++) {
        if (i == 0) {
            a = open_on(b, &l, &fd);
        }
        clients[i] = client(&l.addr);
        if (i == 15) {
            veil_acceptor_stop(a);
            veil_acceptor_stop(a);
        }
        if (i % 4 == 0) {
            side_turn(b, 1);
        }
    }
    UNTIL(b, b->loop->nhandles == 0);
    /* Another slot's owner adopts the socket. */
    heir = veil_acceptor_open(b->loop, &l, 0, &veil_log_stderr);
    cr_assert_not_null(heir);
    UNTIL(b, accepted == 30);
    for (i = 0; i < 30; i++) {
        close(clients[i]);
    }
    finish(b);
    close(fd);
}

/*
 * The kernel wakes one of those that wait for a client.  When it is about to
 * stop, it has to take the client, as nobody wakes the others.
 */
CONTRACT(accept_stops_when_woken)
{
    veil_listen_t l = listen_on("127.0.0.1");
    veil_acceptor_t *a, *sibling;
    int fd, c;

    a = open_on(b, &l, &fd);
    side_turn(b, 2);
    sibling = veil_acceptor_open(b->loop, &l, 0, &veil_log_stderr);
    cr_assert_not_null(sibling);
    side_turn(b, 2);
    c = queued_client(&l.addr);
    veil_acceptor_stop(a);
    UNTIL(b, accepted == 1);
    close(c);
    c = queued_client(&l.addr);
    veil_acceptor_pause(sibling);
    UNTIL(b, accepted == 2);
    cr_assert(veil_op_is_idle(&sibling->accept));
    close(c);
    finish(b);
    close(fd);
}

/* Whoever was woken does not run: the others look for themselves. */
CONTRACT(accept_looks)
{
    veil_listen_t l = listen_on("127.0.0.1");
    int fd = bind_any(&l);
    int c, i;

    l.fds = &fd;
    c = queued_client(&l.addr);
    for (i = 0; i < 2; i++) {
        cr_assert_not_null(
            veil_acceptor_open(b->loop, &l, 0, &veil_log_stderr));
    }
    /* Their operations are not submitted yet. */
    veil_acceptors_look();
    cr_assert_eq(accepted, 1);
    veil_acceptors_look();
    cr_assert_eq(accepted, 1);
    close(c);
    finish(b);
    close(fd);
}

CONTRACT(accept_stops_while_paused)
{
    veil_listen_t l = listen_on("127.0.0.1");
    veil_acceptor_t *a;
    int fd;

    a = open_on(b, &l, &fd);
    side_turn(b, 2);
    veil_acceptor_pause(a);
    UNTIL(b, veil_op_is_idle(&a->accept));
    veil_acceptor_stop(a);
    finish(b);
    close(fd);
}

/* A client that went away again must not end anything. */
CONTRACT(accept_reset_client)
{
    veil_listen_t l = listen_on("127.0.0.1");
    struct linger linger = { .l_onoff = 1 };
    int fd, c;

    open_on(b, &l, &fd);
    c = client(&l.addr);
    setsockopt(c, SOL_SOCKET, SO_LINGER, &linger, sizeof(linger));
    close(c);
    side_turn(b, 5);
    c = client(&l.addr);
    UNTIL(b, accepted >= 1);
    cr_assert_leq(accepted, 2);
    close(c);
    finish(b);
    close(fd);
}
