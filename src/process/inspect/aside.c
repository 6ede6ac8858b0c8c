/*
 * aside.c -- carries out verbs in a child of the keeper.
 *
 * The child has none of the keeper's descriptors, so that it hides nobody's
 * end, and dies with the keeper.  A keeper waits with poll(2) and has a list
 * of things that are due: each of these calls looks there whether its child
 * has written something, 50 times a second as long as it lasts.
 */

#include "core/platform.h"

#include <fcntl.h>
#include <linux/close_range.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include "core/cycle.h"
#include "core/due.h"
#include "core/pool.h"
#include "process/inspect/aside.h"
#include "process/spawn.h"

#define ASIDE_LOOK_MS 20
#define ASIDE_MAX (16u << 20) /* bytes of an answer */

typedef struct {
    veil_due_t due;
    veil_control_call_t *call;
    int pidfd; /* a number of a process may be another's by now */
    int fd;
    char *text;
    size_t len;
    size_t cap;
} veil_aside_t;

/* --- the child -------------------------------------------------------------
 */

static int
aside_write(const char *data, size_t len, void *to)
{
    int fd = *(const int *) to;
    ssize_t n;

    while (len != 0) {
        n = write(fd, data, len);
        if (n < 0 && errno == EINTR) {
            continue;
        }
        if (n <= 0) {
            return -1;
        }
        data += n;
        len -= (size_t) n;
    }
    return 0;
}

static void
aside_child(veil_aside_fn *fn, const json_t *args, int fd)
{
    json_t *answer;
    int to = 3;

    (void) prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (dup2(fd, to) != to || close_range(4, ~0u, 0) != 0) {
        _exit(1);
    }
    answer = fn(args);
    if (answer == NULL
        || json_dump_callback(answer, aside_write, &to, JSON_COMPACT) != 0)
    {
        _exit(1);
    }
    _exit(0);
}

/* --- the keeper ------------------------------------------------------------
 */

static void
aside_free(veil_aside_t *a)
{
    siginfo_t info;

    veil_due_cancel(&a->due);
    close(a->fd);
    /* The keeper's own look at its children may have been first. */
    (void) syscall(SYS_pidfd_send_signal, a->pidfd, SIGKILL, NULL, 0);
    (void) waitid(P_PIDFD, (id_t) a->pidfd, &info, WEXITED);
    close(a->pidfd);
    veil_free(a->text);
    veil_free(a);
}

static void
aside_cancel(veil_control_call_t *call)
{
    veil_aside_t *a = call->ctx;

    call->ctx = NULL;
    aside_free(a);
}

static void
aside_end(veil_aside_t *a)
{
    veil_control_call_t *call = a->call;
    veil_control_rc_t rc = VEIL_CONTROL_DONE;

    call->data = json_loadb(a->text, a->len, JSON_DECODE_ANY, NULL);
    if (call->data == NULL) {
        rc = veil_control_fail(call, VEIL_E_FAILED,
                               "the process that was to look at the "
                               "configuration ended without an answer");
    }
    call->ctx = NULL;
    call->cancel = NULL;
    aside_free(a);
    veil_control_done(call, rc);
}

static void
aside_look(veil_due_t *due)
{
    veil_aside_t *a = veil_container_of(due, veil_aside_t, due);
    ssize_t n;

    for (;;) {
        if (a->len == a->cap && a->cap < ASIDE_MAX) {
            a->cap = a->cap == 0 ? 65536 : 2 * a->cap;
            a->text = veil_realloc(a->text, a->cap);
        }
        n = a->len == a->cap ? 0
                             : read(a->fd, a->text + a->len, a->cap - a->len);
        if (n < 0 && errno == EINTR) {
            continue;
        }
        if (n < 0 && errno == EAGAIN) {
            veil_due_set(&a->due, ASIDE_LOOK_MS);
            return;
        }
        if (n <= 0) {
            aside_end(a);
            return;
        }
        a->len += (size_t) n;
    }
}

veil_control_rc_t
veil_aside_run(veil_control_call_t *call, veil_aside_fn *fn)
{
    veil_aside_t *a;
    int ends[2];
    pid_t pid;

    if (veil_cycle->loop != NULL) {
        veil_control_hint(call, "veil --lint and veil --explain look at the "
                                "file");
        return veil_control_fail(call, VEIL_E_FAILED,
                                 "with \"master_process off\" there is no "
                                 "process to look at what runs");
    }
    if (pipe2(ends, O_CLOEXEC) != 0) {
        return veil_control_fail(call, VEIL_E_FAILED, "pipe() failed: %s",
                                 strerror(errno));
    }
    pid = veil_spawn();
    if (pid == 0) {
        aside_child(fn, call->args, ends[1]);
    }
    close(ends[1]);
    if (pid < 0) {
        close(ends[0]);
        return veil_control_fail(call, VEIL_E_FAILED, "fork() failed: %s",
                                 strerror(-pid));
    }
    (void) fcntl(ends[0], F_SETFL, O_NONBLOCK); /* cannot fail for a pipe */
    a = veil_zalloc(sizeof(*a));
    a->call = call;
    a->pidfd = (int) syscall(SYS_pidfd_open, pid, 0);
    a->fd = ends[0];
    call->ctx = a;
    call->cancel = aside_cancel;
    veil_due_init(&a->due, aside_look);
    veil_due_set(&a->due, ASIDE_LOOK_MS);
    return VEIL_CONTROL_LATER;
}
