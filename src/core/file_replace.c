/*
 * file_replace.c -- a whole file in the place of another, or nothing.
 *
 * The new file is complete on the disk before it gets the name, and its
 * directory is synced after that: whoever reads the name, after a crash as
 * well, finds the old text or the new one, never half of one.
 */

#include "core/platform.h"

#include <fcntl.h>
#include <limits.h>

#include "core/file_replace.h"
#include "core/str.h"

static int
file_replace_sync_dir(const char *path)
{
    char dir[PATH_MAX];
    ptrdiff_t slash = veil_str_rchr(veil_str_z(path), '/');
    int fd, rc;

    (void) veil_str_copy_z(dir, sizeof(dir),
                           slash < 0    ? VEIL_STR(".")
                           : slash == 0 ? VEIL_STR("/")
                                        : veil_str_n(path, (size_t) slash));
    fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0) {
        return -errno;
    }
    rc = fsync(fd) == 0 ? 0 : -errno;
    close(fd);
    return rc;
}

static int
file_replace_write_all(int fd, const char *data, size_t n)
{
    ssize_t done;

    while (n != 0) {
        done = write(fd, data, n);
        if (done < 0 && errno == EINTR) {
            continue;
        }
        if (done < 0) {
            return -errno;
        }
        data += done;
        n -= (size_t) done;
    }
    return fsync(fd) == 0 ? 0 : -errno;
}

int
veil_file_replace(const char *path, const char *data, size_t n)
{
    char tmp[PATH_MAX];
    int fd, rc;

    if (veil_snprintf(tmp, sizeof(tmp), "%s.%d.tmp", path, (int) getpid())
        == sizeof(tmp) - 1)
    {
        return -ENAMETOOLONG;
    }
    (void) unlink(tmp); /* of a process with our number that died */
    fd = open(tmp, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
    if (fd < 0) {
        return -errno;
    }
    rc = file_replace_write_all(fd, data, n);
    close(fd);
    if (rc == 0 && rename(tmp, path) != 0) {
        rc = -errno;
    }
    if (rc < 0) {
        (void) unlink(tmp);
        return rc;
    }
    return file_replace_sync_dir(path);
}
