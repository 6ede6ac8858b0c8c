/*
 * link.c -- a connection to the control socket: requests and answers.
 *
 * One request at a time, one JSON object a line.  Everything waits in poll()
 * with a deadline, as the server may be stopped or stuck: connecting too,
 * since a full queue of a unix socket answers EAGAIN for ever.
 *
 * The answer is not trusted.  A line is limited, must be an object with the
 * id that was asked with, and what it has is looked at by type.
 */

#include "core/platform.h"

#include <fcntl.h>
#include <poll.h>
#include <pwd.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <time.h>

#include "core/pool.h"
#include "ctl/link.h"

/* Between two tries to get into a full queue. */
#define LINK_RETRY_MS 20
/* For a server that takes no request. */
#define LINK_SEND_MS 10000

volatile sig_atomic_t veil_ctl_interrupted;
int veil_ctl_wake = -1;

int64_t
veil_ctl_link_now(void)
{
    struct timespec ts;

    (void) clock_gettime(CLOCK_MONOTONIC, &ts);
    return (int64_t) ts.tv_sec * 1000 + ts.tv_nsec / 1000000;
}

static bool VEIL_PRINTF(3, 4)
    link_fail(veil_ctl_link_t *l, const char *code, const char *fmt, ...)
{
    va_list ap;

    l->code = code;
    l->hint[0] = '\0';
    va_start(ap, fmt);
    (void) veil_vsnprintf(l->msg, sizeof(l->msg), fmt, ap);
    va_end(ap);
    return false;
}

static bool VEIL_PRINTF(2, 3)
    link_hint(veil_ctl_link_t *l, const char *fmt, ...)
{
    va_list ap;

    va_start(ap, fmt);
    (void) veil_vsnprintf(l->hint, sizeof(l->hint), fmt, ap);
    va_end(ap);
    return false;
}

/* Until the descriptor is ready: 1; 0 when the time is up; -1 interrupted. */
static int
link_wait(int fd, short events, int64_t until_ms)
{
    /* A signal may come behind the look at the flag: hence the other one. */
    struct pollfd p[2] = { { .fd = fd, .events = events },
                           { .fd = veil_ctl_wake, .events = POLLIN } };
    int64_t left = -1;
    int n;

    for (;;) {
        if (veil_ctl_interrupted) {
            return -1;
        }
        if (until_ms >= 0) {
            left = until_ms - veil_ctl_link_now();
            left = left < 0 ? 0 : left > 3600000 ? 3600000 : left;
        }
        n = poll(p, 2, (int) left);
        if (n > 0 && p[0].revents != 0) {
            return 1;
        }
        if (n == 0 && until_ms >= 0 && veil_ctl_link_now() >= until_ms) {
            return 0;
        }
    }
}

/* --- connecting -----------------------------------------------------------*/

static const char *
link_owner(uid_t uid)
{
    const struct passwd *pw = getpwuid(uid);

    return pw == NULL ? "another user" : pw->pw_name;
}

/* Says why there is no connection, and what to do about it. */
static bool
link_explain(veil_ctl_link_t *l, int err)
{
    struct stat st;

    if (err == ENOENT || err == ENOTDIR) {
        (void) link_fail(l, VEIL_CTL_E_CONNECT, "there is no socket \"%s\"",
                         l->path);
        return link_hint(l, "the server is not running, or its configuration "
                            "says \"control_socket off\" or another path");
    }
    if (err == EACCES || err == EPERM) {
        if (stat(l->path, &st) == 0) {
            (void) link_fail(
                l, VEIL_CTL_E_CONNECT,
                "the socket \"%s\" belongs to %s (mode %04o): you may not "
                "use it",
                l->path, link_owner(st.st_uid), (unsigned) st.st_mode & 07777);
        } else {
            (void) link_fail(l, VEIL_CTL_E_CONNECT,
                             "you may not look into the directory of the "
                             "socket \"%s\"",
                             l->path);
        }
        return link_hint(l, "run veilctl as its owner, or with sudo");
    }
    if (err == ECONNREFUSED) {
        if (stat(l->path, &st) == 0 && !S_ISSOCK(st.st_mode)) {
            return link_fail(l, VEIL_CTL_E_CONNECT, "\"%s\" is no socket",
                             l->path);
        }
        (void) link_fail(l, VEIL_CTL_E_CONNECT,
                         "nobody listens at the socket \"%s\"", l->path);
        return link_hint(l, "the server is not running; it was killed, and "
                            "the socket is left over");
    }
    return link_fail(l, VEIL_CTL_E_CONNECT,
                     "connecting to the socket \"%s\" failed (%d: %s)",
                     l->path, err, strerror(err));
}

bool
veil_ctl_link_open(veil_ctl_link_t *l, const char *path, int64_t timeout_ms)
{
    struct sockaddr_un addr = { .sun_family = AF_UNIX };
    int64_t until = veil_ctl_link_now() + timeout_ms;
    int err;

    l->path = path;
    l->fd = -1;
    if (strlen(path) >= sizeof(addr.sun_path)) {
        return link_fail(l, VEIL_CTL_E_CONNECT,
                         "the path of a socket has at most %zu bytes, \"%s\" "
                         "has more",
                         sizeof(addr.sun_path) - 1, path);
    }
    (void) veil_str_copy_z(addr.sun_path, sizeof(addr.sun_path),
                           veil_str_z(path));
    l->fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (l->fd < 0) {
        return link_fail(l, VEIL_CTL_E_CONNECT, "socket() failed (%s)",
                         strerror(errno));
    }
    while (connect(l->fd, (struct sockaddr *) &addr, sizeof(addr)) != 0) {
        err = errno;
        if (err == EISCONN) {
            break;
        }
        if (err != EAGAIN && err != EINTR) {
            veil_ctl_link_close(l);
            return link_explain(l, err);
        }
        if (veil_ctl_link_now() >= until || veil_ctl_interrupted) {
            veil_ctl_link_close(l);
            return link_fail(l, VEIL_E_TIMEOUT,
                             "the server at \"%s\" takes no connection", path);
        }
        (void) poll(NULL, 0, LINK_RETRY_MS);
    }
    return true;
}

void
veil_ctl_link_close(veil_ctl_link_t *l)
{
    if (l->fd >= 0) {
        (void) close(l->fd);
    }
    l->fd = -1;
    veil_ctl_lines_done(&l->lines);
    json_decref(l->again);
    l->again = NULL;
}

/* --- sending --------------------------------------------------------------*/

static char *
link_request(veil_ctl_link_t *l, const veil_ctl_request_t *r)
{
    json_t *o = json_object();
    char *z;

    json_object_set_new(o, "v", json_integer(1));
    json_object_set_new(o, "id", json_integer(++l->id));
    json_object_set_new(o, "verb", json_string(r->verb));
    if (r->args != NULL) {
        json_object_set(o, "args", r->args);
    }
    if (r->dry_run) {
        json_object_set_new(o, "dry_run", json_true());
    }
    if (r->persist) {
        json_object_set_new(o, "persist", json_true());
    }
    if (r->if_gen >= 0) {
        json_object_set_new(o, "if_gen", json_integer(r->if_gen));
    }
    if (r->timeout_ms >= 0) {
        json_object_set_new(o, "timeout",
                            json_real((double) r->timeout_ms / 1000));
    }
    z = json_dumps(o, JSON_COMPACT);
    json_decref(o);
    return z;
}

static bool
link_write(veil_ctl_link_t *l, const char *p, size_t len)
{
    int64_t until = veil_ctl_link_now() + LINK_SEND_MS;
    ssize_t n;
    int err;

    while (len != 0) {
        n = send(l->fd, p, len, MSG_NOSIGNAL);
        if (n >= 0) {
            p += n;
            len -= (size_t) n;
            continue;
        }
        err = errno;
        if (err == EPIPE || err == ECONNRESET) {
            /* It may have said why before it hung up. */
            return true;
        }
        if (err != EAGAIN && err != EINTR) {
            return link_fail(l, VEIL_CTL_E_ANSWER,
                             "sending to the server failed (%d: %s)", err,
                             strerror(err));
        }
        if (link_wait(l->fd, POLLOUT, until) <= 0) {
            return link_fail(l, VEIL_E_TIMEOUT,
                             "the server does not read what is sent to it");
        }
    }
    return true;
}

bool
veil_ctl_link_send(veil_ctl_link_t *l, const veil_ctl_request_t *r)
{
    char *z = link_request(l, r);
    bool sent;

    if (l->again != r->args) {
        json_decref(l->again); /* of another request */
        l->again = NULL;
    }
    sent = link_write(l, z, strlen(z)) && link_write(l, "\n", 1);

    veil_free(z);
    return sent;
}

/* --- receiving ------------------------------------------------------------*/

/* Another master serves; the arguments to ask it with, if it says any. */
static veil_ctl_got_t
link_moved(veil_ctl_link_t *l, const json_t *err)
{
    json_t *args = json_object_get(json_object_get(err, "details"), "args");

    if (json_is_object(args)) {
        json_decref(l->again);
        l->again = json_incref(args);
    }
    (void) link_fail(l, VEIL_E_MOVED, "another master serves now");
    return VEIL_CTL_GOT_MOVED;
}

/* What a line is; anything that is not veil's is a failure. */
static veil_ctl_got_t
link_judge(veil_ctl_link_t *l, veil_str_t line, json_t **v)
{
    json_error_t error;
    json_t *o = json_loadb(line.data, line.len, 0, &error);
    const json_t *id;
    const json_t *err;
    const char *code, *event;
    veil_ctl_got_t got = VEIL_CTL_GOT_FAILURE;

    *v = NULL;
    if (o == NULL) {
        (void) link_fail(l, VEIL_CTL_E_ANSWER,
                         "the server's answer is no JSON (byte %d: %s)",
                         error.position, error.text);
        return VEIL_CTL_GOT_FAILURE;
    }
    id = json_object_get(o, "id");
    if (json_is_integer(id) && json_integer_value(id) != l->id) {
        json_decref(o);
        return VEIL_CTL_GOT_TIMEOUT; /* of an earlier request: go on */
    }
    err = json_object_get(o, "err");
    code = json_string_value(json_object_get(err, "code"));
    event = json_string_value(json_object_get(o, "event"));
    if ((event != NULL && strcmp(event, "moved") == 0)
        || (code != NULL && strcmp(code, VEIL_E_MOVED) == 0))
    {
        got = link_moved(l, err);
    } else if (json_is_boolean(json_object_get(o, "ok"))) {
        *v = json_incref(o);
        got = VEIL_CTL_GOT_ANSWER;
    } else if (json_object_get(o, "progress") != NULL) {
        *v = json_incref(json_object_get(o, "progress"));
        got = VEIL_CTL_GOT_PROGRESS;
    } else if (json_object_get(o, "line") != NULL) {
        *v = json_incref(json_object_get(o, "line"));
        got = VEIL_CTL_GOT_LINE;
    } else {
        (void) link_fail(l, VEIL_CTL_E_ANSWER,
                         "the server's answer is JSON, but no answer of "
                         "veil's");
    }
    json_decref(o);
    return got;
}

/* Bytes of the server's; 1: there are some, else as link_wait(), -2 failed. */
static int
link_read(veil_ctl_link_t *l, int64_t until_ms)
{
    size_t room;
    char *p = veil_ctl_lines_room(&l->lines, &room);
    ssize_t n;
    int rc, err;

    if (p == NULL) {
        (void) link_fail(l, VEIL_CTL_E_ANSWER,
                         "the server's answer is longer than %zu bytes",
                         VEIL_CTL_LINE_MAX);
        return -2;
    }
    rc = link_wait(l->fd, POLLIN, until_ms);
    if (rc <= 0) {
        return rc;
    }
    n = read(l->fd, p, room);
    err = n < 0 ? errno : 0;
    if (err == EAGAIN || err == EINTR) {
        return 1;
    }
    if (n > 0) {
        veil_ctl_lines_fed(&l->lines, (size_t) n);
        return 1;
    }
    if (n == 0 || err == ECONNRESET) {
        (void) link_fail(l, VEIL_CTL_E_ANSWER,
                         veil_ctl_lines_is_midline(&l->lines)
                             ? "the server hung up in the middle of its "
                               "answer"
                             : "the server hung up without an answer");
    } else {
        (void) link_fail(l, VEIL_CTL_E_ANSWER,
                         "reading the server's answer failed (%d: %s)", err,
                         strerror(err));
    }
    return -2;
}

veil_ctl_got_t
veil_ctl_link_next(veil_ctl_link_t *l, int64_t until_ms, json_t **v)
{
    veil_ctl_got_t got;
    veil_str_t line;
    int rc;

    *v = NULL;
    for (;;) {
        while (veil_ctl_lines_next(&l->lines, &line)) {
            got = link_judge(l, line, v);
            if (got != VEIL_CTL_GOT_TIMEOUT) {
                return got;
            }
        }
        rc = link_read(l, until_ms);
        if (rc == 0) {
            (void) link_fail(l, VEIL_E_TIMEOUT,
                             "the server did not answer in time");
            return VEIL_CTL_GOT_TIMEOUT;
        }
        if (rc < 0) {
            return rc == -1 ? VEIL_CTL_GOT_INTERRUPT : VEIL_CTL_GOT_FAILURE;
        }
    }
}

bool
veil_ctl_link_again(veil_ctl_link_t *l, veil_ctl_request_t *r)
{
    json_t *args = json_incref(l->again == NULL ? r->args : l->again);

    veil_ctl_link_close(l);
    if (!veil_ctl_link_open(l, l->path, LINK_SEND_MS)) {
        json_decref(args);
        return false;
    }
    l->again = args;
    r->args = args;
    return veil_ctl_link_send(l, r);
}

veil_ctl_got_t
veil_ctl_link_call(veil_ctl_link_t *l, const veil_ctl_request_t *r,
                   int64_t until_ms, json_t **v)
{
    veil_ctl_request_t request = *r;
    veil_ctl_got_t got;

    *v = NULL;
    if (!veil_ctl_link_send(l, r)) {
        return VEIL_CTL_GOT_FAILURE;
    }
    do {
        json_decref(*v);
        got = veil_ctl_link_next(l, until_ms, v);
        if (got == VEIL_CTL_GOT_MOVED && !veil_ctl_link_again(l, &request)) {
            return VEIL_CTL_GOT_FAILURE;
        }
    } while (got == VEIL_CTL_GOT_PROGRESS || got == VEIL_CTL_GOT_LINE
             || got == VEIL_CTL_GOT_MOVED);
    return got;
}
