/*
 * peer_id.c -- who is at the other end of a unix socket.
 *
 * SO_PEERCRED is a snapshot of connect(2): the process may be gone when it is
 * read, and its number may be another's.  So the name of the command is read
 * first and believed after the process was seen to be alive, by the
 * descriptor that the kernel has for it since Linux 6.5.  Before that its
 * time of start is compared, before and after: that catches a number that
 * changed hands while it was read, not one that did before.
 *
 * Names of users come from /etc/passwd alone.  getpwuid(3) may ask a
 * directory server, and the process that calls this is the master.  A few
 * names are kept, those that do not exist as well, until the file changes.
 */

#include "core/platform.h"

#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/stat.h>

#include "core/str.h"
#include "process/control/peer_id.h"

/* Linux 6.5; most architectures have the generic number. */
#if !defined(SO_PEERPIDFD) && !defined(__sparc__) && !defined(__hppa__)
#define SO_PEERPIDFD 77
#endif

#define PEER_USERS 16
/* Lines of /etc/passwd are shorter; longer ones are not looked at. */
#define PEER_LINE 1024

typedef struct {
    uid_t uid;
    bool exists;
    char name[33];
} peer_user_t;

static struct {
    const char *path;
    peer_user_t users[PEER_USERS];
    unsigned n;
    unsigned next; /* to be replaced when all are taken */
    struct stat seen;
} peer_cache = { .path = "/etc/passwd" };

/* --- users --------------------------------------------------------------- */

static bool
peer_is_same_file(const struct stat *a, const struct stat *b)
{
    return a->st_ino == b->st_ino && a->st_dev == b->st_dev
           && a->st_size == b->st_size
           && a->st_mtim.tv_sec == b->st_mtim.tv_sec
           && a->st_mtim.tv_nsec == b->st_mtim.tv_nsec;
}

/* Names read from a file that has changed since are forgotten. */
static void
peer_check_cache(void)
{
    struct stat st;

    if (stat(peer_cache.path, &st) != 0) {
        memset(&st, 0, sizeof(st));
    }
    if (!peer_is_same_file(&st, &peer_cache.seen)) {
        peer_cache.seen = st;
        peer_cache.n = 0;
        peer_cache.next = 0;
    }
}

/* "name:x:uid:..." of this uid; the name is cut to what fits. */
static bool
peer_match_line(const char *line, uid_t uid, peer_user_t *user)
{
    veil_str_t rest = veil_str_z(line);
    veil_str_t name = veil_str_cut(&rest, ':');

    (void) veil_str_cut(&rest, ':'); /* the password's place */
    if (name.len == 0 || rest.data == NULL
        || veil_str_to_int(veil_str_cut(&rest, ':')) != (int64_t) uid)
    {
        return false;
    }
    (void) veil_str_copy_z(user->name, sizeof(user->name), name);
    return true;
}

static void
peer_find_user(uid_t uid, peer_user_t *user)
{
    char line[PEER_LINE];
    bool whole = true;
    FILE *f = fopen(peer_cache.path, "re");

    user->uid = uid;
    user->exists = false;
    if (f == NULL) {
        return;
    }
    while (!user->exists && fgets(line, sizeof(line), f) != NULL) {
        /* The rest of a line that was too long is no line. */
        if (whole) {
            user->exists = peer_match_line(line, uid, user);
        }
        whole = strchr(line, '\n') != NULL;
    }
    (void) fclose(f);
}

const char *
veil_peer_user(uid_t uid)
{
    peer_user_t *user;
    unsigned i;

    peer_check_cache();
    for (i = 0; i < peer_cache.n; i++) {
        user = &peer_cache.users[i];
        if (user->uid == uid) {
            return user->exists ? user->name : NULL;
        }
    }
    if (peer_cache.n < PEER_USERS) {
        user = &peer_cache.users[peer_cache.n++];
    } else {
        user = &peer_cache.users[peer_cache.next];
        peer_cache.next = (peer_cache.next + 1) % PEER_USERS;
    }
    peer_find_user(uid, user);
    return user->exists ? user->name : NULL;
}

/* --- the command --------------------------------------------------------- */

/* A file of /proc, zero-terminated; the length, or -1. */
static ssize_t
peer_read_proc(pid_t pid, const char *name, char *buf, size_t n)
{
    char path[64];
    ssize_t got;
    int fd;

    (void) veil_snprintf(path, sizeof(path), "/proc/%d/%s", (int) pid, name);
    fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0) {
        return -1;
    }
    got = read(fd, buf, n - 1);
    close(fd);
    if (got >= 0) {
        buf[got] = '\0';
    }
    return got;
}

/*
 * When the process was started, in ticks since the boot: field 22 of
 * /proc/PID/stat (proc(5)); 0 when there is none.  The second field is the
 * command in parentheses and may hold anything, parentheses too.
 */
static int64_t
peer_start_time(pid_t pid)
{
    veil_str_t rest;
    char text[1024];
    const char *p;
    unsigned i;

    if (peer_read_proc(pid, "stat", text, sizeof(text)) <= 0) {
        return 0;
    }
    p = strrchr(text, ')');
    if (p == NULL || p[1] != ' ') {
        return 0;
    }
    rest = veil_str_z(p + 2);
    for (i = 3; i < 22 && rest.data != NULL; i++) {
        (void) veil_str_cut(&rest, ' ');
    }
    return rest.data == NULL ? 0 : veil_str_to_int(veil_str_cut(&rest, ' '));
}

static bool
peer_read_comm(pid_t pid, char comm[17])
{
    ssize_t n = peer_read_proc(pid, "comm", comm, 17);

    if (n <= 0) {
        return false;
    }
    if (comm[n - 1] == '\n') {
        comm[n - 1] = '\0';
    }
    return comm[0] != '\0';
}

/* The process has not ended: its number is still its own. */
static bool
peer_is_alive(int pidfd)
{
    struct pollfd p = { .fd = pidfd, .events = POLLIN };

    return poll(&p, 1, 0) == 0;
}

/* A descriptor of the peer's process; -errno: -ENOPROTOOPT before 6.5. */
static int
peer_pidfd(int fd)
{
#ifdef SO_PEERPIDFD
    int pidfd = -1;
    socklen_t len = sizeof(pidfd);

    if (getsockopt(fd, SOL_SOCKET, SO_PEERPIDFD, &pidfd, &len) == 0) {
        return pidfd;
    }
    return -errno;
#else
    (void) fd;
    return -ENOPROTOOPT;
#endif
}

static bool
peer_comm_by_time(pid_t pid, char comm[17])
{
    int64_t before = peer_start_time(pid);

    return before > 0 && peer_read_comm(pid, comm)
           && peer_start_time(pid) == before;
}

static bool
peer_comm(int fd, pid_t pid, char comm[17])
{
    int pidfd;
    bool good;

    if (pid <= 0) {
        return false;
    }
    pidfd = peer_pidfd(fd);
    if (pidfd < 0) {
        /* Anything else says that the process has ended. */
        return pidfd == -ENOPROTOOPT && peer_comm_by_time(pid, comm);
    }
    good = peer_read_comm(pid, comm) && peer_is_alive(pidfd);
    close(pidfd);
    return good;
}

/* --- groups -------------------------------------------------------------- */

/* Linux 4.13; ERANGE when there are more than fit. */
static void
peer_read_groups(int fd, veil_peer_id_t *id)
{
    socklen_t len = sizeof(id->groups);

    if (getsockopt(fd, SOL_SOCKET, SO_PEERGROUPS, id->groups, &len) == 0) {
        id->ngroups = (unsigned) (len / sizeof(id->groups[0]));
    }
}

bool
veil_peer_is_in_group(const veil_peer_id_t *id, gid_t gid)
{
    unsigned i;

    if (!id->known) {
        return false;
    }
    for (i = 0; i < id->ngroups; i++) {
        if (id->groups[i] == gid) {
            return true;
        }
    }
    return id->gid == gid;
}

/* --- all of it ----------------------------------------------------------- */

static void
peer_set(char *dst, size_t n, const char *text)
{
    (void) veil_str_copy_z(dst, n, veil_str_z(text));
}

void
veil_peer_id_read(int fd, veil_peer_id_t *id, const veil_log_t *log)
{
    struct ucred cred;
    socklen_t len = sizeof(cred);
    const char *name;

    memset(id, 0, sizeof(*id));
    id->uid = (uid_t) -1;
    id->gid = (gid_t) -1;
    peer_set(id->user, sizeof(id->user), VEIL_PEER_UNKNOWN);
    peer_set(id->comm, sizeof(id->comm), VEIL_PEER_UNKNOWN);

    /* A socket without credentials answers with uid -1 and pid 0. */
    if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &cred, &len) != 0
        || len != sizeof(cred) || cred.uid == (uid_t) -1)
    {
        veil_log(log, VEIL_LOG_WARN, 0,
                 "who connected to the control socket is not to be found out");
        return;
    }
    id->known = true;
    id->uid = cred.uid;
    id->gid = cred.gid;
    id->pid = cred.pid;
    peer_read_groups(fd, id);
    name = veil_peer_user(cred.uid);
    if (name != NULL) {
        peer_set(id->user, sizeof(id->user), name);
    }
    if (!peer_comm(fd, cred.pid, id->comm)) {
        peer_set(id->comm, sizeof(id->comm), VEIL_PEER_UNKNOWN);
    }
}
