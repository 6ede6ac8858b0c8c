/*
 * notify.c -- telling the service manager how it goes.
 *
 * The protocol is a datagram of lines "NAME=value" to a unix socket, whose
 * path is in the environment; one that begins with "@" is abstract.  systemd
 * documents it as stable for other implementations, so there is no library
 * for it here.
 *
 * The socket is made for each message: there are few, and one that was kept
 * would have to be kept from every keeper.  A manager that does not read
 * costs nothing: the datagram is lost rather than waited for.
 *
 * What this does not do: no watchdog.  The master turns its loop whether or
 * not anything serves, so its heartbeat would tell nothing.
 */

#include "core/platform.h"

#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>

#include "process/notify.h"

/* The address that the environment names; its length, or -errno. */
static int
notify_address(struct sockaddr_un *sa)
{
    const char *path = getenv("NOTIFY_SOCKET");
    size_t len;

    if (path == NULL || path[0] == '\0') {
        return -ENOENT;
    }
    len = strlen(path);
    if ((path[0] != '/' && path[0] != '@') || len >= sizeof(sa->sun_path)) {
        return -EINVAL;
    }
    memset(sa, 0, sizeof(*sa));
    sa->sun_family = AF_UNIX;
    memcpy(sa->sun_path, path, len);
    if (path[0] == '@') {
        sa->sun_path[0] = '\0';
        return (int) (offsetof(struct sockaddr_un, sun_path) + len);
    }
    return (int) sizeof(*sa);
}

int
veil_notify(const char *fmt, ...)
{
    struct sockaddr_un sa;
    char text[1024];
    int size = notify_address(&sa);
    size_t len;
    va_list ap;
    int rc = 0;
    int fd;

    if (size < 0) {
        return size == -ENOENT ? 0 : size;
    }
    va_start(ap, fmt);
    len = veil_vsnprintf(text, sizeof(text), fmt, ap);
    va_end(ap);

    fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0) {
        return -errno;
    }
    if (sendto(fd, text, len, MSG_NOSIGNAL, (const struct sockaddr *) &sa,
               (socklen_t) size)
        < 0)
    {
        rc = -errno;
    }
    close(fd);
    return rc;
}

void
veil_notify_reloading(void)
{
    struct timespec now;

    (void) clock_gettime(CLOCK_MONOTONIC, &now);
    /* Nobody could do anything about a manager that does not hear. */
    (void) veil_notify("RELOADING=1\nMONOTONIC_USEC=%llu\n"
                       "STATUS=Reading the configuration",
                       (unsigned long long) now.tv_sec * 1000000
                           + (unsigned long long) now.tv_nsec / 1000);
}
