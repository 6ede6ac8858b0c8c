/* test_peer_id.c -- who is at the other end of a unix socket. */

#include <criterion/criterion.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>

#include "../../src/process/control/peer_id.c"

static char passwd_path[] = "/tmp/veil-passwd-XXXXXX";

static void
put(const char *text)
{
    FILE *f = fopen(passwd_path, "w");

    cr_assert_not_null(f);
    fputs(text, f);
    fclose(f);
}

static void
setup(void)
{
    int fd = mkstemp(passwd_path);

    cr_assert_geq(fd, 0);
    close(fd);
    peer_cache.path = passwd_path;
}

static void
teardown(void)
{
    (void) unlink(passwd_path);
}

TestSuite(peer_id, .init = setup, .fini = teardown);

Test(peer_id, names_come_from_the_file)
{
    put("root:x:0:0:root:/root:/bin/sh\n"
        "www:x:33:33:www:/var/www:/usr/sbin/nologin\n");
    cr_assert_str_eq(veil_peer_user(0), "root");
    cr_assert_str_eq(veil_peer_user(33), "www");
    cr_assert_null(veil_peer_user(3));
    cr_assert_null(veil_peer_user((uid_t) -1));
}

Test(peer_id, odd_lines_are_no_users)
{
    put("\n:x:1:1::/:\nshort\nshort:x\nnonum:x:abc:1\nneg:x:-1:1\n"
        "tail:x:7");
    cr_assert_null(veil_peer_user(1));
    cr_assert_str_eq(veil_peer_user(7), "tail");
    cr_assert_null(veil_peer_user((uid_t) -1));
}

Test(peer_id, a_long_line_does_not_make_another)
{
    FILE *f = fopen(passwd_path, "w");
    unsigned i;

    for (i = 0; i < PEER_LINE - 1; i++) {
        fputc('a', f);
    }
    /* Would be a line of its own if the long one were cut there. */
    fputs("evil:x:9:9::/:\ngood:x:8:8::/:\n", f);
    fclose(f);
    cr_assert_null(veil_peer_user(9));
    cr_assert_str_eq(veil_peer_user(8), "good");
}

Test(peer_id, a_long_name_is_cut)
{
    put("abcdefghijabcdefghijabcdefghijabcdefghij:x:5:5::/:\n");
    cr_assert_str_eq(veil_peer_user(5), "abcdefghijabcdefghijabcdefghijab");
}

Test(peer_id, a_changed_file_is_read_again)
{
    put("old:x:5:5::/:\n");
    cr_assert_str_eq(veil_peer_user(5), "old");
    cr_assert_null(veil_peer_user(6));
    put("newer:x:5:5::/:\nsix:x:6:6::/:\n");
    cr_assert_str_eq(veil_peer_user(5), "newer");
    cr_assert_str_eq(veil_peer_user(6), "six");
    (void) unlink(passwd_path);
    cr_assert_null(veil_peer_user(5));
}

Test(peer_id, the_cache_is_bounded)
{
    char name[16];
    FILE *f = fopen(passwd_path, "w");
    unsigned i, round;

    for (i = 0; i < 40; i++) {
        fprintf(f, "u%u:x:%u:1::/:\n", i, i);
    }
    fclose(f);
    for (round = 0; round < 3; round++) {
        for (i = 0; i < 40; i++) {
            snprintf(name, sizeof(name), "u%u", i);
            cr_assert_str_eq(veil_peer_user(i), name);
        }
    }
    cr_assert_eq(peer_cache.n, PEER_USERS);
}

/* A child with that name, which lives until it is killed. */
static pid_t
child(const char *comm)
{
    int sync[2];
    pid_t pid;
    char c;

    cr_assert_eq(pipe(sync), 0);
    pid = fork();
    if (pid == 0) {
        prctl(PR_SET_NAME, comm);
        if (write(sync[1], "x", 1) != 1) {
            _exit(1);
        }
        for (;;) {
            pause();
        }
    }
    close(sync[1]);
    cr_assert_eq(read(sync[0], &c, 1), 1);
    close(sync[0]);
    return pid;
}

Test(peer_id, this_process)
{
    veil_peer_id_t id;
    int ends[2];

    put("me:x:0:0::/:\n");
    prctl(PR_SET_NAME, "it (is) me");
    cr_assert_eq(socketpair(AF_UNIX, SOCK_STREAM, 0, ends), 0);
    veil_peer_id_read(ends[0], &id, &veil_log_stderr);
    cr_assert(id.known);
    cr_assert_eq(id.uid, getuid());
    cr_assert_eq(id.gid, getgid());
    cr_assert_eq(id.pid, getpid());
    cr_assert_str_eq(id.comm, "it (is) me");
    if (getuid() == 0) {
        cr_assert_str_eq(id.user, "me");
    } else {
        cr_assert_str_eq(id.user, VEIL_PEER_UNKNOWN);
    }
}

Test(peer_id, groups)
{
    gid_t groups[VEIL_PEER_GROUPS];
    veil_peer_id_t id;
    int ends[2], n, i;

    cr_assert_eq(socketpair(AF_UNIX, SOCK_STREAM, 0, ends), 0);
    veil_peer_id_read(ends[0], &id, &veil_log_stderr);
    n = getgroups(VEIL_PEER_GROUPS, groups);
    cr_assert_eq((int) id.ngroups, n);
    for (i = 0; i < n; i++) {
        cr_assert(veil_peer_is_in_group(&id, groups[i]));
    }
    cr_assert(veil_peer_is_in_group(&id, getgid()));
    cr_assert_not(veil_peer_is_in_group(&id, 4000000000u));
    id.known = false;
    cr_assert_not(veil_peer_is_in_group(&id, getgid()));
}

Test(peer_id, no_socket_is_unknown)
{
    veil_log_t quiet = { .level = VEIL_LOG_OFF };
    veil_peer_id_t id;
    int fd = open("/dev/null", O_RDONLY);

    veil_peer_id_read(fd, &id, &quiet);
    cr_assert_not(id.known);
    cr_assert_eq(id.uid, (uid_t) -1);
    cr_assert_eq(id.pid, 0);
    cr_assert_str_eq(id.user, VEIL_PEER_UNKNOWN);
    cr_assert_str_eq(id.comm, VEIL_PEER_UNKNOWN);
}

Test(peer_id, time_of_start)
{
    int64_t mine;
    int status;
    pid_t pid;

    prctl(PR_SET_NAME, "a) R 1 (b");
    mine = peer_start_time(getpid());
    cr_assert_gt(mine, 0);
    cr_assert_eq(peer_start_time(getpid()), mine);
    pid = child("kid");
    cr_assert_geq(peer_start_time(pid), mine);
    kill(pid, SIGKILL);
    cr_assert_eq(waitpid(pid, &status, 0), pid);
    cr_assert_eq(peer_start_time(pid), 0, "it is gone");
}

Test(peer_id, the_command_by_time)
{
    char comm[17];
    int status;
    pid_t pid;

    pid = child("some command xyz");
    cr_assert(peer_comm_by_time(pid, comm));
    cr_assert_str_eq(comm, "some command xy");
    kill(pid, SIGKILL);
    cr_assert_eq(waitpid(pid, &status, 0), pid);
    cr_assert_not(peer_comm_by_time(pid, comm));
}

/* A client that connects, leaves its socket to us, and ends. */
Test(peer_id, of_a_process_that_has_ended)
{
    struct sockaddr sa = { .sa_family = AF_UNIX };
    struct sockaddr_storage bound;
    socklen_t len = sizeof(bound);
    veil_peer_id_t id;
    int s, fd, status;
    pid_t pid;

    /* Linux chooses an abstract address. */
    s = socket(AF_UNIX, SOCK_STREAM, 0);
    cr_assert_eq(bind(s, &sa, sizeof(sa.sa_family)), 0);
    cr_assert_eq(listen(s, 1), 0);
    cr_assert_eq(getsockname(s, (struct sockaddr *) &bound, &len), 0);
    pid = fork();
    if (pid == 0) {
        fd = socket(AF_UNIX, SOCK_STREAM, 0);
        _exit(connect(fd, (struct sockaddr *) &bound, len) == 0 ? 0 : 1);
    }
    cr_assert_eq(waitpid(pid, &status, 0), pid);
    cr_assert_eq(status, 0);
    fd = accept(s, NULL, NULL);
    cr_assert_geq(fd, 0);
    veil_peer_id_read(fd, &id, &veil_log_stderr);
    cr_assert(id.known);
    cr_assert_eq(id.uid, getuid());
    cr_assert_eq(id.pid, pid);
    cr_assert_str_eq(id.comm, VEIL_PEER_UNKNOWN);
}
