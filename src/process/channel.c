/*
 * channel.c -- typed messages between processes, with descriptors.
 *
 * SOCK_SEQPACKET keeps the borders of messages and reports the end of the
 * other side, which is how a worker learns that its keeper is gone and a
 * keeper that the master is: no polling of parents, no signals.
 *
 * A packet is a 32 bit type followed by the payload.  A message that does not
 * fit, has an unknown type or more descriptors than were announced can only
 * be our own mistake (both ends are one program), so it is reported as a
 * value and its descriptors are closed; nobody tries to go on reading in the
 * middle of something.
 *
 * What this does not do: no queues.  A sender waits when the other end is
 * slow, for a bounded time, so that a stopped process cannot stop the master.
 */

#include "core/platform.h"

#include <linux/sockios.h>
#include <poll.h>
#include <sys/ioctl.h>

#include "process/channel.h"

#define CHANNEL_SEND_WAIT_MS 2000

static const char *const channel_names[VEIL_MSG_KINDS] = {
    [VEIL_MSG_NONE] = "NONE",
    [VEIL_MSG_SETTINGS] = "SETTINGS",
    [VEIL_MSG_LOG] = "LOG",
    [VEIL_MSG_LISTEN] = "LISTEN",
    [VEIL_MSG_ZONE] = "ZONE",
    [VEIL_MSG_TEXT] = "TEXT",
    [VEIL_MSG_WORKER] = "WORKER",
    [VEIL_MSG_READY] = "READY",
    [VEIL_MSG_SOCKETS] = "SOCKETS",
    [VEIL_MSG_MEMORY] = "MEMORY",
    [VEIL_MSG_START] = "START",
    [VEIL_MSG_DRAIN] = "DRAIN",
    [VEIL_MSG_REOPEN] = "REOPEN",
    [VEIL_MSG_ADOPT] = "ADOPT",
    [VEIL_MSG_RELEASE] = "RELEASE",
    [VEIL_MSG_LOOK] = "LOOK",

    [VEIL_MSG_DIAGNOSTIC] = "DIAGNOSTIC",
    [VEIL_MSG_FACTS] = "FACTS",
    [VEIL_MSG_QUIET] = "QUIET",
    [VEIL_MSG_AUDIT] = "AUDIT",
    [VEIL_MSG_ANSWER] = "ANSWER",
    [VEIL_MSG_EVENT] = "EVENT",
    [VEIL_MSG_CONTROL] = "CONTROL",
    [VEIL_MSG_CANCEL] = "CANCEL",
    [VEIL_MSG_RULES] = "RULES",
};

const char *
veil_message_name(unsigned type)
{
    return type < VEIL_MSG_KINDS ? channel_names[type] : "?";
}

int
veil_channel_pair(int ends[2])
{
    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0,
                   ends)
        != 0)
    {
        return -errno;
    }
    return 0;
}

/* Waits for room; 0 or -errno. */
static int
channel_wait(int fd, short events, int msec)
{
    struct pollfd p = { .fd = fd, .events = events };
    int n;

    do {
        n = poll(&p, 1, msec);
    } while (n < 0 && errno == EINTR);

    if (n < 0) {
        return -errno;
    }
    return n == 0 ? -EAGAIN : 0;
}

int
veil_channel_try_send(int fd, veil_message_type_t type, const void *data,
                      size_t len, const int *fds, unsigned nfds)
{
    uint32_t head = type;
    _Alignas(struct cmsghdr) char
        control[CMSG_SPACE(sizeof(int) * VEIL_MESSAGE_FDS)];
    struct iovec iov[2];
    struct msghdr msg;
    struct cmsghdr *c;
    ssize_t n;

    if (len > VEIL_MESSAGE_MAX || nfds > VEIL_MESSAGE_FDS) {
        return -EMSGSIZE;
    }
    iov[0].iov_base = &head;
    iov[0].iov_len = sizeof(head);
    /* sendmsg() does not write; its iovec has no const. */
    memcpy(&iov[1].iov_base, &data, sizeof(data));
    iov[1].iov_len = len;

    memset(&msg, 0, sizeof(msg));
    msg.msg_iov = iov;
    msg.msg_iovlen = len == 0 ? 1 : 2;

    if (nfds != 0) {
        memset(control, 0, sizeof(control));
        msg.msg_control = control;
        msg.msg_controllen = CMSG_SPACE(sizeof(int) * nfds);
        c = CMSG_FIRSTHDR(&msg);
        c->cmsg_level = SOL_SOCKET;
        c->cmsg_type = SCM_RIGHTS;
        c->cmsg_len = CMSG_LEN(sizeof(int) * nfds);
        memcpy(CMSG_DATA(c), fds, sizeof(int) * nfds);
    }

    do {
        n = sendmsg(fd, &msg, MSG_NOSIGNAL | MSG_DONTWAIT);
    } while (n < 0 && errno == EINTR);

    if (n >= 0) {
        return 0;
    }
    return errno == ECONNRESET ? -EPIPE : -errno;
}

int
veil_channel_send(int fd, veil_message_type_t type, const void *data,
                  size_t len, const int *fds, unsigned nfds)
{
    int rc;

    for (;;) {
        rc = veil_channel_try_send(fd, type, data, len, fds, nfds);
        if (rc != -EAGAIN) {
            return rc;
        }
        rc = channel_wait(fd, POLLOUT, CHANNEL_SEND_WAIT_MS);
        if (rc < 0) {
            return rc;
        }
    }
}

size_t
veil_channel_queued(int fd)
{
    int n = 0;

    return ioctl(fd, SIOCOUTQ, &n) == 0 && n > 0 ? (size_t) n : 0;
}

struct msghdr *
veil_message_prepare(veil_message_t *m)
{
    m->nfds = 0;
    m->len = 0;
    m->iov[0].iov_base = &m->type;
    m->iov[0].iov_len = sizeof(m->type);
    m->iov[1].iov_base = m->data;
    m->iov[1].iov_len = sizeof(m->data);

    memset(&m->msg, 0, sizeof(m->msg));
    m->msg.msg_iov = m->iov;
    m->msg.msg_iovlen = 2;
    m->msg.msg_control = m->control;
    m->msg.msg_controllen = sizeof(m->control);
    return &m->msg;
}

static void
channel_take_fds(veil_message_t *m)
{
    struct cmsghdr *c;
    unsigned n, i;
    int fd;

    for (c = CMSG_FIRSTHDR(&m->msg); c != NULL; c = CMSG_NXTHDR(&m->msg, c)) {
        if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS) {
            continue;
        }
        n = (unsigned) ((c->cmsg_len - CMSG_LEN(0)) / sizeof(int));
        for (i = 0; i < n; i++) {
            memcpy(&fd, CMSG_DATA(c) + i * sizeof(int), sizeof(fd));
            if (m->nfds < VEIL_MESSAGE_FDS) {
                m->fds[m->nfds++] = fd;
            } else {
                close(fd);
            }
        }
    }
}

int
veil_message_take(veil_message_t *m, int res)
{
    if (res < 0) {
        return res == -ECONNRESET ? 0 : res;
    }
    channel_take_fds(m);

    if (res == 0) {
        return 0;
    }
    if ((m->msg.msg_flags & (MSG_TRUNC | MSG_CTRUNC)) != 0) {
        veil_message_close_fds(m);
        return -EMSGSIZE;
    }
    if ((size_t) res < sizeof(m->type) || m->type == VEIL_MSG_NONE
        || m->type >= VEIL_MSG_KINDS)
    {
        veil_message_close_fds(m);
        return -EBADMSG;
    }
    m->len = (size_t) res - sizeof(m->type);
    return 1;
}

int
veil_channel_recv(int fd, veil_message_t *m)
{
    ssize_t n;

    do {
        n = recvmsg(fd, veil_message_prepare(m),
                    MSG_CMSG_CLOEXEC | MSG_DONTWAIT);
    } while (n < 0 && errno == EINTR);

    return veil_message_take(m, n < 0 ? -errno : (int) n);
}

int
veil_channel_recv_wait(int fd, veil_message_t *m)
{
    int rc;

    for (;;) {
        rc = veil_channel_recv(fd, m);
        if (rc != -EAGAIN) {
            return rc;
        }
        rc = channel_wait(fd, POLLIN, -1);
        if (rc < 0) {
            return rc;
        }
    }
}

void
veil_message_close_fds(veil_message_t *m)
{
    unsigned i;

    for (i = 0; i < m->nfds; i++) {
        if (m->fds[i] >= 0) {
            close(m->fds[i]);
            m->fds[i] = -1;
        }
    }
    m->nfds = 0;
}
