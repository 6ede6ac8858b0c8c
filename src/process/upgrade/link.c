/*
 * link.c -- the line between an old and a new master.
 *
 * channel.h is for processes of one program, which share structs.  Here both
 * ends may be of different versions, so there are words and numbers as text,
 * which is also what a trace of the system calls shows.
 *
 * The socket is a SOCK_SEQPACKET of veil_channel_pair(): it keeps the borders
 * of packets and reports the death of the other end.
 */

#include "core/platform.h"

#include <sys/socket.h>
#include <sys/uio.h>

#include "process/upgrade/link.h"

int
veil_link_send(int link, int fd, const char *fmt, ...)
{
    _Alignas(struct cmsghdr) char control[CMSG_SPACE(sizeof(int))];
    char text[sizeof(((veil_link_message_t *) 0)->text)];
    struct iovec iov = { .iov_base = text };
    struct msghdr msg = { .msg_iov = &iov, .msg_iovlen = 1 };
    struct cmsghdr *c;
    va_list ap;

    va_start(ap, fmt);
    iov.iov_len = veil_vsnprintf(text, sizeof(text), fmt, ap);
    va_end(ap);

    if (fd >= 0) {
        memset(control, 0, sizeof(control));
        msg.msg_control = control;
        msg.msg_controllen = sizeof(control);
        c = CMSG_FIRSTHDR(&msg);
        c->cmsg_level = SOL_SOCKET;
        c->cmsg_type = SCM_RIGHTS;
        c->cmsg_len = CMSG_LEN(sizeof(int));
        memcpy(CMSG_DATA(c), &fd, sizeof(fd));
    }
    return sendmsg(link, &msg, MSG_NOSIGNAL | MSG_DONTWAIT) < 0 ? -errno : 0;
}

int
veil_link_recv(int link, veil_link_message_t *m)
{
    _Alignas(struct cmsghdr) char control[CMSG_SPACE(sizeof(int))];
    struct iovec iov = { .iov_base = m->text, .iov_len = sizeof(m->text) - 1 };
    struct msghdr msg = { .msg_iov = &iov,
                          .msg_iovlen = 1,
                          .msg_control = control,
                          .msg_controllen = sizeof(control) };
    struct cmsghdr *c;
    ssize_t n;

    m->fd = -1;
    do {
        n = recvmsg(link, &msg, MSG_CMSG_CLOEXEC | MSG_DONTWAIT);
    } while (n < 0 && errno == EINTR);

    if (n < 0) {
        return errno == ECONNRESET ? 0 : -errno;
    }
    m->text[n] = '\0';
    for (c = CMSG_FIRSTHDR(&msg); c != NULL; c = CMSG_NXTHDR(&msg, c)) {
        if (c->cmsg_level == SOL_SOCKET && c->cmsg_type == SCM_RIGHTS) {
            memcpy(&m->fd, CMSG_DATA(c), sizeof(m->fd));
        }
    }
    return n > 0;
}

bool
veil_link_is(const veil_link_message_t *m, const char *word)
{
    veil_str_t rest = veil_str_z(m->text);

    return veil_str_eq_z(veil_str_cut(&rest, ' '), word);
}

veil_str_t
veil_link_value(const veil_link_message_t *m, const char *name)
{
    veil_str_t want = veil_str_z(name);
    veil_str_t rest = veil_str_z(m->text);
    veil_str_t field;

    (void) veil_str_cut(&rest, ' ');
    while (rest.len != 0) {
        if (veil_str_starts(rest, VEIL_STR("why="))
            && veil_str_eq_z(want, "why")) {
            return veil_str_from(rest, 4);
        }
        field = veil_str_cut(&rest, ' ');
        if (field.len > want.len && veil_str_starts(field, want)
            && field.data[want.len] == '=')
        {
            return veil_str_from(field, want.len + 1);
        }
    }
    return VEIL_STR("");
}

uint64_t
veil_link_number(const veil_link_message_t *m, const char *name)
{
    int64_t n = veil_str_to_int(veil_link_value(m, name));

    return n < 0 ? 0 : (uint64_t) n;
}
