/*
 * control_server.c -- the control socket and its clients, in the master.
 *
 * One JSON object a line, each way, so that socat and twenty lines of any
 * language are a client.  The master has no loop but poll(); all descriptors
 * here are non-blocking, and what a client may make it hold is bounded: the
 * line being read, the queue it does not read, how many clients there are.
 *
 * The socket's file has its mode from birth, by the umask: there is no moment
 * in which somebody else could connect.  A lock file beside it, held for the
 * master's life, tells a second server from a file that a crash has left: one
 * never takes the other's socket away.
 */

#include "core/platform.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

#include "core/pool.h"
#include "core/time.h"
#include "process/control/control_server.h"
#include "process/master_state.h"

#define SERVER_READ 16384

static struct {
    int fd;   /* -1: none */
    int lock; /* of path.lock */
    veil_control_settings_t settings;
    veil_list_t clients;
    unsigned nclients;
    bool is_init;
    bool deaf;    /* another master accepts */
    pid_t master; /* that one, for clients that are moved */
} control_server;

static void
control_server_init(void)
{
    if (!control_server.is_init) {
        control_server.is_init = true;
        control_server.fd = -1;
        control_server.lock = -1;
        veil_list_init(&control_server.clients);
    }
}

/* --- the socket ---------------------------------------------------------- */

static void
control_server_lock_path(char *buf, size_t n, const char *path)
{
    (void) veil_snprintf(buf, n, "%s.lock", path);
}

/*
 * The lock beside the path.  Whoever ends removes the file while it has the
 * lock, so the file that was locked may not be the one that is there.
 */
static int
control_server_take_lock(const char *path)
{
    char name[VEIL_CONTROL_PATH_MAX + 8];
    struct stat mine, there;
    int fd, err;

    control_server_lock_path(name, sizeof(name), path);
    for (;;) {
        fd = open(name, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
        if (fd < 0) {
            return -errno;
        }
        if (flock(fd, LOCK_EX | LOCK_NB) != 0) {
            err = errno == EWOULDBLOCK ? EADDRINUSE : errno;
            close(fd);
            return -err;
        }
        if (fstat(fd, &mine) == 0 && stat(name, &there) == 0
            && mine.st_ino == there.st_ino && mine.st_dev == there.st_dev)
        {
            return fd;
        }
        close(fd);
    }
}

static void
control_server_drop_lock(int fd, const char *path)
{
    char name[VEIL_CONTROL_PATH_MAX + 8];

    control_server_lock_path(name, sizeof(name), path);
    (void) unlink(name);
    close(fd);
}

/* Group and mode, which may widen what the umask left. */
static int
control_server_give(const veil_control_settings_t *s)
{
    if (s->has_group && chown(s->path, (uid_t) -1, s->group) != 0) {
        return -errno;
    }
    return chmod(s->path, (mode_t) s->mode) == 0 ? 0 : -errno;
}

/*
 * Takes away what a crash has left.  With the lock it is no other control
 * socket; but it may be a listener of this very configuration.
 */
static int
control_server_clear(const struct sockaddr_un *sun)
{
    struct stat st;
    int fd, err;

    if (lstat(sun->sun_path, &st) != 0 || !S_ISSOCK(st.st_mode)) {
        return 0; /* if it is something else, bind() says so */
    }
    fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0) {
        return -errno;
    }
    err =
        connect(fd, (const struct sockaddr *) (const void *) sun, sizeof(*sun))
                == 0
            ? 0
            : errno;
    close(fd);
    if (err == ECONNREFUSED) {
        (void) unlink(sun->sun_path);
        return 0;
    }
    return err == ENOENT ? 0 : -EADDRINUSE;
}

static int
control_server_bind(const veil_control_settings_t *s)
{
    struct sockaddr_un sun = { .sun_family = AF_UNIX };
    mode_t mask;
    int fd, rc;

    fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0) {
        return -errno;
    }
    memcpy(sun.sun_path, s->path, sizeof(sun.sun_path));
    rc = control_server_clear(&sun);
    if (rc < 0) {
        close(fd);
        return rc;
    }
    mask = umask(0177);
    rc = bind(fd, (const struct sockaddr *) (const void *) &sun, sizeof(sun));
    rc = rc == 0 ? 0 : -errno;
    umask(mask);
    if (rc < 0) {
        close(fd);
        return rc;
    }
    rc = control_server_give(s);
    if (rc == 0 && listen(fd, VEIL_CONTROL_CLIENTS) != 0) {
        rc = -errno;
    }
    if (rc < 0) {
        (void) unlink(s->path);
        close(fd);
        return rc;
    }
    return fd;
}

static void
control_server_close_socket(bool unlink_path)
{
    if (control_server.fd < 0) {
        return;
    }
    if (unlink_path) {
        (void) unlink(control_server.settings.path);
        control_server_drop_lock(control_server.lock,
                                 control_server.settings.path);
    } else {
        close(control_server.lock);
    }
    close(control_server.fd);
    control_server.fd = -1;
    control_server.lock = -1;
}

const char *
veil_control_server_obstacle(const char *path)
{
    struct stat st;

    if (lstat(path, &st) != 0 || S_ISSOCK(st.st_mode)) {
        return NULL;
    }
    return S_ISDIR(st.st_mode) ? "it is a directory"
                               : "there is a file that is no socket";
}

static int
control_server_failed(const veil_control_settings_t *s, int err,
                      const veil_log_t *log)
{
    const char *why = veil_control_server_obstacle(s->path);

    if (why == NULL && err == -EADDRINUSE) {
        why = "it is in use";
    }
    /* Where nobody asked for it, it is no reason not to serve. */
    veil_log(log, s->asked ? VEIL_LOG_EMERG : VEIL_LOG_WARN,
             why == NULL ? -err : 0,
             "the control socket \"%s\" could not be opened%s%s", s->path,
             why == NULL ? "" : ": ", why == NULL ? "" : why);
    if (s->asked) {
        return err;
    }
    control_server_close_socket(true);
    control_server.settings = *s;
    return 0;
}

int
veil_control_server_open(const veil_control_settings_t *s,
                         const veil_log_t *log)
{
    bool same;
    int lock, fd;

    control_server_init();
    same = control_server.fd >= 0
           && strcmp(control_server.settings.path, s->path) == 0;
    if (!s->on) {
        control_server_close_socket(true);
        control_server.settings = *s;
        return 0;
    }
    if (same) {
        fd = control_server_give(s);
        if (fd < 0) {
            return control_server_failed(s, fd, log);
        }
        control_server.settings = *s;
        return 0;
    }
    lock = control_server_take_lock(s->path);
    if (lock < 0) {
        return control_server_failed(s, lock, log);
    }
    fd = control_server_bind(s);
    if (fd < 0) {
        control_server_drop_lock(lock, s->path);
        return control_server_failed(s, fd, log);
    }
    control_server_close_socket(true);
    control_server.settings = *s;
    control_server.fd = fd;
    control_server.lock = lock;
    return 0;
}

void
veil_control_server_fds(int *fd, int *lock, const char **path)
{
    control_server_init();
    *fd = control_server.fd;
    *lock = control_server.lock;
    *path = control_server.settings.path;
}

void
veil_control_server_adopt(const char *path, int fd, int lock)
{
    control_server_init();
    (void) veil_str_copy_z(control_server.settings.path,
                           sizeof(control_server.settings.path),
                           veil_str_z(path));
    control_server.fd = fd;
    control_server.lock = lock;
}

const char *
veil_control_server_path(void)
{
    return control_server.settings.path;
}

void
veil_control_server_listen(bool on)
{
    control_server.deaf = !on;
}

/* --- clients ------------------------------------------------------------- */

/* Writes what the socket takes; false: it is broken. */
static bool
control_server_flush(veil_control_client_t *c)
{
    ssize_t n;

    while (c->out_off < c->out_len) {
        n = send(c->fd, c->out + c->out_off, c->out_len - c->out_off,
                 MSG_NOSIGNAL | MSG_DONTWAIT);
        if (n < 0 && errno == EINTR) {
            continue;
        }
        if (n < 0) {
            return errno == EAGAIN;
        }
        c->out_off += (size_t) n;
    }
    c->out_off = 0;
    c->out_len = 0;
    return true;
}

static void
control_server_free_client(veil_control_client_t *c)
{
    veil_control_client_gone(c);
    veil_list_remove(&c->link);
    control_server.nclients--;
    close(c->fd);
    veil_free(c->in);
    veil_free(c->out);
    veil_free(c);
}

static void
control_server_refuse(int fd, const veil_log_t *log)
{
    veil_control_asked_t asked = { .elapsed_ms = -1 };
    veil_control_session_t session;
    static const char text[] =
        "{\"ok\":false,\"err\":{\"code\":\"E_BUSY\",\"msg\":\"too many "
        "clients\"}}\n";

    veil_control_session_begin(&session, fd, log);
    veil_control_audit_refused(&session, &asked, "E_BUSY", "too many clients");
    (void) !send(fd, text, sizeof(text) - 1, MSG_NOSIGNAL | MSG_DONTWAIT);
    close(fd);
}

static void
control_server_accept(const veil_log_t *log)
{
    veil_control_client_t *c;
    int fd;

    while ((fd = accept4(control_server.fd, NULL, NULL,
                         SOCK_NONBLOCK | SOCK_CLOEXEC))
           >= 0)
    {
        if (control_server.nclients == VEIL_CONTROL_CLIENTS) {
            control_server_refuse(fd, log);
            continue;
        }
        c = veil_zalloc(sizeof(*c));
        c->fd = fd;
        c->active_ms = veil_now_ms();
        veil_control_session_begin(&c->session, fd, log);
        control_server.nclients++;
        veil_list_append(&control_server.clients, &c->link);
    }
}

/* It does not read its answers: they end here, in the middle. */
static void
control_server_cut_off(veil_control_client_t *c, size_t held)
{
    if (!c->closing) {
        veil_log(&veil_master.log, VEIL_LOG_WARN, 0,
                 "process %d of user %u is disconnected from the control "
                 "socket: it has not read %zu bytes of answers",
                 (int) c->session.peer.pid, (unsigned) c->session.peer.uid,
                 held);
    }
    c->closing = true;
    c->out_len = c->out_off;
}

bool
veil_control_client_send(veil_control_client_t *c, const json_t *line)
{
    char *text = json_dumps(line, JSON_COMPACT);
    size_t len = strlen(text);
    size_t held = c->out_len - c->out_off;

    bool is_long = len > VEIL_CONTROL_QUEUE_MAX;

    /* One line may be longer than that by itself, and others follow it. */
    if (held == 0) {
        c->out_long = 0;
    }
    if ((is_long && c->out_long != 0)
        || held > VEIL_CONTROL_QUEUE_MAX + c->out_long)
    {
        veil_free(text);
        control_server_cut_off(c, held);
        return false;
    }
    if (c->out_off != 0) {
        memmove(c->out, c->out + c->out_off, held);
        c->out_off = 0;
        c->out_len = held;
    }
    if (c->out_len + len + 1 > c->out_size) {
        c->out_size = c->out_len + len + 1;
        c->out = veil_realloc(c->out, c->out_size);
    }
    memcpy(c->out + c->out_len, text, len);
    c->out[c->out_len + len] = '\n';
    c->out_len += len + 1;
    if (is_long) {
        c->out_long = len;
    }
    c->active_ms = veil_now_ms();
    veil_free(text);
    return true;
}

void
veil_control_server_move(pid_t master)
{
    veil_control_client_t *c;
    veil_list_t *l;

    control_server_init();
    control_server.master = master;
    veil_list_foreach (l, &control_server.clients) {
        c = veil_list_entry(l, veil_control_client_t, link);
        c->moved = true;
        veil_control_client_moved(c);
    }
}

/* Its last line, behind the last answer. */
static void
control_server_say_moved(veil_control_client_t *c)
{
    json_t *o;

    if (!c->moved || c->tasks != 0 || c->closing) {
        return;
    }
    o = json_pack("{s:s, s:i}", "event", "moved", "pid",
                  (int) control_server.master);
    (void) veil_control_client_send(c, o);
    json_decref(o);
    c->closing = true;
}

void
veil_control_server_close(bool unlink_path)
{
    veil_control_client_t *c;

    control_server_init();
    while (!veil_list_is_empty(&control_server.clients)) {
        c = veil_list_first(&control_server.clients, veil_control_client_t,
                            link);
        control_server_say_moved(c);
        /* The last answers: who does not read them now never will. */
        (void) control_server_flush(c);
        control_server_free_client(c);
    }
    control_server_close_socket(unlink_path);
}

static void
control_server_line_too_long(veil_control_client_t *c)
{
    static const char what[] = "a request is longer than 1 MiB";
    veil_control_asked_t asked = { .elapsed_ms = -1 };
    json_t *o = json_pack("{s:b, s:{s:s, s:s}}", "ok", 0, "err", "code",
                          "E_SYNTAX", "msg", what);

    veil_control_audit_refused(&c->session, &asked, "E_SYNTAX", what);
    (void) veil_control_client_send(c, o);
    json_decref(o);
    c->closing = true;
}

/* Takes complete lines out of what was read. */
static void
control_server_take_lines(veil_control_client_t *c)
{
    size_t from = 0;
    char *end;

    while (!c->closing && !c->moved
           && (end = memchr(c->in + from, '\n', c->in_len - from)) != NULL)
    {
        size_t len = (size_t) (end - (c->in + from));

        if (len > VEIL_CONTROL_LINE_MAX) {
            control_server_line_too_long(c);
            return;
        }
        veil_control_request(c, c->in + from, len);
        from += len + 1;
    }
    memmove(c->in, c->in + from, c->in_len - from);
    c->in_len -= from;
    if (!c->closing && c->in_len > VEIL_CONTROL_LINE_MAX) {
        control_server_line_too_long(c);
    }
}

/* False: the connection is broken. */
static bool
control_server_read(veil_control_client_t *c)
{
    ssize_t n;

    if (c->in_len + SERVER_READ > c->in_size) {
        c->in_size = c->in_len + SERVER_READ;
        c->in = veil_realloc(c->in, c->in_size);
    }
    n = recv(c->fd, c->in + c->in_len, SERVER_READ, MSG_DONTWAIT);
    if (n < 0) {
        return errno == EAGAIN || errno == EINTR;
    }
    if (n == 0) {
        /* A last line may lack its end. */
        if (c->in_len != 0) {
            c->in[c->in_len++] = '\n';
            control_server_take_lines(c);
        }
        c->eof = true;
        return true;
    }
    c->in_len += (size_t) n;
    c->active_ms = veil_now_ms();
    control_server_take_lines(c);
    return true;
}

/* --- the master's turn --------------------------------------------------- */

unsigned
veil_control_server_poll(struct pollfd *fds)
{
    const veil_control_client_t *c;
    veil_list_t *l;
    unsigned n = 0;

    control_server_init();
    if (control_server.fd >= 0 && !control_server.deaf) {
        fds[n++] =
            (struct pollfd){ .fd = control_server.fd, .events = POLLIN };
    }
    veil_list_foreach (l, &control_server.clients) {
        c = veil_list_entry(l, veil_control_client_t, link);
        fds[n].fd = c->fd;
        fds[n].revents = 0;
        fds[n].events = c->eof || c->moved || c->closing ? 0 : POLLIN;
        if (c->out_off < c->out_len) {
            fds[n].events |= POLLOUT;
        }
        n++;
    }
    return n;
}

/* Nothing is left to do for it. */
static bool
control_server_is_over(const veil_control_client_t *c)
{
    return c->out_off == c->out_len
           && (c->closing || (c->eof && c->tasks == 0));
}

static void
control_server_on_client(veil_control_client_t *c, short revents)
{
    bool ok = (revents & (POLLHUP | POLLERR | POLLNVAL)) == 0
              || (revents & POLLIN) != 0;

    if (ok && (revents & POLLIN) != 0) {
        ok = control_server_read(c);
    }
    if (ok) {
        ok = control_server_flush(c);
    }
    if (!ok || control_server_is_over(c)
        || ((revents & (POLLHUP | POLLERR)) != 0 && c->eof))
    {
        control_server_free_client(c);
    }
}

static veil_control_client_t *
control_server_client_of(int fd)
{
    veil_control_client_t *c;
    veil_list_t *l;

    veil_list_foreach (l, &control_server.clients) {
        c = veil_list_entry(l, veil_control_client_t, link);
        if (c->fd == fd) {
            return c;
        }
    }
    return NULL;
}

void
veil_control_server_polled(const struct pollfd *fds, unsigned n,
                           const veil_log_t *log)
{
    veil_control_client_t *c;
    unsigned i;

    for (i = 0; i < n; i++) {
        if (fds[i].revents == 0) {
            continue;
        }
        if (fds[i].fd == control_server.fd) {
            control_server_accept(log);
            continue;
        }
        c = control_server_client_of(fds[i].fd);
        if (c != NULL) {
            control_server_on_client(c, fds[i].revents);
        }
    }
}

int
veil_control_server_timeout(uint64_t now_ms)
{
    /* Silent clients go within a minute of their time. */
    int due = veil_list_is_empty(&control_server.clients) ? -1 : 60000;
    int tasks = veil_control_tasks_timeout(now_ms);

    return due < 0 || (tasks >= 0 && tasks < due) ? tasks : due;
}

/* Answers that came meanwhile are written; silent clients go. */
void
veil_control_server_run_due(uint64_t now_ms)
{
    veil_control_client_t *c;
    veil_list_t *l;
    veil_list_t *tmp;

    control_server_init();
    veil_control_tasks_run_due(now_ms);
    veil_list_foreach_safe (l, tmp, &control_server.clients) {
        c = veil_list_entry(l, veil_control_client_t, link);
        control_server_say_moved(c);
        if (!control_server_flush(c) || control_server_is_over(c)
            || (c->tasks == 0 && now_ms - c->active_ms > VEIL_CONTROL_IDLE_MS))
        {
            control_server_free_client(c);
        }
    }
}
