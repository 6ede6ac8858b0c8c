/*
 * pidfile.c -- the file with the master's process id.
 *
 * It is there while the server serves: written when the first generation is
 * ready, removed at the end.  Two servers that share a path by mistake harm
 * each other as little as possible: a file with another's id is not removed.
 *
 * A path that exists and is no regular file (/dev/null, to have none) is
 * written to and left alone; renaming over it would replace it.
 */

#include "core/platform.h"

#include <fcntl.h>
#include <limits.h>
#include <sys/stat.h>

#include "core/str.h"
#include "process/pidfile.h"

static int
pidfile_put(const char *path, int flags)
{
    char text[32];
    size_t len = veil_snprintf(text, sizeof(text), "%d\n", (int) getpid());
    ssize_t n;
    int err = 0;
    int fd = open(path, O_WRONLY | O_CLOEXEC | flags, 0644);

    if (fd < 0) {
        return -errno;
    }
    n = write(fd, text, len);
    if (n < 0) {
        err = -errno;
    } else if ((size_t) n != len) {
        err = -ENOSPC;
    }
    if (close(fd) != 0 && err == 0) {
        err = -errno;
    }
    return err;
}

static bool
pidfile_is_special(const char *path)
{
    struct stat st;

    return stat(path, &st) == 0 && !S_ISREG(st.st_mode);
}

int
veil_pidfile_write(const char *path)
{
    char temp[PATH_MAX];
    int rc;

    if (pidfile_is_special(path)) {
        return pidfile_put(path, 0);
    }
    if (strlen(path) + sizeof(".new") > sizeof(temp)) {
        return -ENAMETOOLONG;
    }
    veil_snprintf(temp, sizeof(temp), "%s.new", path);
    rc = pidfile_put(temp, O_CREAT | O_TRUNC | O_NOFOLLOW);
    if (rc < 0) {
        return rc;
    }
    if (rename(temp, path) != 0) {
        rc = -errno;
        (void) unlink(temp);
    }
    return rc;
}

void
veil_pidfile_remove(const char *path)
{
    if (!pidfile_is_special(path) && veil_pidfile_read(path) == getpid()) {
        (void) unlink(path);
    }
}

pid_t
veil_pidfile_read(const char *path)
{
    char text[32];
    int64_t pid;
    ssize_t n;
    int fd = open(path, O_RDONLY | O_CLOEXEC);

    if (fd < 0) {
        return -errno;
    }
    n = read(fd, text, sizeof(text));
    if (n < 0) {
        n = -errno;
        close(fd);
        return (pid_t) n;
    }
    close(fd);
    while (n > 0 && (text[n - 1] == '\n' || text[n - 1] == ' ')) {
        n--;
    }
    pid = veil_str_to_int(veil_str_n(text, (size_t) n));
    return pid < 1 || pid > INT_MAX ? -EINVAL : (pid_t) pid;
}
