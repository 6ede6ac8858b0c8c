/*
 * file.c -- what is at a path: open, stat, small contents; file objects.
 *
 * Path look-ups block when a directory or an inode has to be fetched from a
 * disk.  That is rare, as the kernel caches names, also of files that do not
 * exist: so the loop tries first with RESOLVE_CACHED (openat2(2), Linux 5.12),
 * which costs about 2 us and fails with EAGAIN instead of blocking, and a
 * thread does the rest.  Contents likewise: preadv2 with RWF_NOWAIT.  Where
 * openat2 is missing or forbidden all look-ups go to the threads.
 *
 * Symbolic links.  "Deny" is RESOLVE_NO_SYMLINKS inline.  On a thread, and
 * for "if not owner" always, the path is walked: each component is opened
 * with O_PATH | O_NOFOLLOW and looked at before the next, so that nothing
 * can be exchanged between the check and the use.  A link's own target is
 * resolved by the kernel and may consist of links again; what counts is who
 * owns its end, as in nginx.  "Beneath" is RESOLVE_BENEATH inline, which is
 * stricter than it should be: it refuses absolute links that lead back inside
 * as well.  So on a thread the file is opened, and what is compared is where
 * the kernel says that the open file is.
 *
 * Only regular files are handed out as descriptors; opening uses O_NONBLOCK,
 * so that a FIFO does not hang the thread.
 */

#include "core/platform.h"

#include <fcntl.h>
#include <limits.h>
#include <linux/openat2.h>
#include <sys/syscall.h>
#include <sys/uio.h>

#include "core/assert.h"
#include "core/pool.h"
#include "event/file.h"

#define FILE_OPEN_FLAGS (O_RDONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC)
#define FILE_STAT_FLAGS (O_PATH | O_CLOEXEC)

static unsigned file_count;

/* --- objects ------------------------------------------------------------ */

veil_file_t *
veil_file_create(const veil_file_probe_t *p)
{
    veil_file_t *f = veil_zalloc(sizeof(*f));

    f->refs = 1;
    f->fd = p->fd;
    f->err = p->err;
    f->failed = p->failed;
    f->content = p->content;
    if (p->err == 0) {
        f->is_dir = S_ISDIR(p->st.st_mode);
        f->is_file = S_ISREG(p->st.st_mode);
        f->is_exec = (p->st.st_mode & S_IXUSR) != 0;
        f->size = p->st.st_size;
        f->mtime = p->st.st_mtim.tv_sec;
        f->mtime_nsec = (uint64_t) p->st.st_mtim.tv_nsec;
        f->inode = p->st.st_ino;
        f->device = p->st.st_dev;
    }
    file_count++;
    return f;
}

veil_file_t *
veil_file_get(veil_file_t *f)
{
    VEIL_ASSERT(f->refs > 0);
    f->refs++;
    return f;
}

void
veil_file_put(veil_file_t *f)
{
    VEIL_ASSERT(f->refs > 0);
    if (--f->refs > 0) {
        return;
    }
    if (f->fd >= 0) {
        (void) close(f->fd);
    }
    if (f->content != NULL) {
        veil_block_put(f->content);
    }
    file_count--;
    veil_free(f);
}

unsigned
veil_file_count(void)
{
    return file_count;
}

/* --- opening ------------------------------------------------------------ */

/* A descriptor or -errno. */
static int
file_openat2(int dir, const char *path, int flags, unsigned resolve)
{
    struct open_how how = { .flags = (uint64_t) flags,
                            .resolve = resolve | RESOLVE_CACHED };
    long fd = syscall(SYS_openat2, dir, path, &how, sizeof(how));

    if (fd >= 0) {
        return (int) fd;
    }
    switch (errno) {
    case ENOSYS: /* Linux < 5.6 */
    case EINVAL: /* Linux < 5.12, RESOLVE_CACHED is unknown */
    case EPERM:  /* a filter's way to say so */
        return -EAGAIN;
    default:
        return -errno;
    }
}

/*
 * Where the untrusted part of the path begins: 0 the whole is checked,
 * path_len nothing is.
 */
static size_t
file_trusted(const veil_file_probe_t *p)
{
    size_t from = p->symlinks_from;

    if (p->symlinks == VEIL_SYMLINKS_ALLOW || from >= p->path_len) {
        return p->path_len;
    }
    /* Half a name is no directory. */
    if (from > 0 && p->path[from] != '/' && p->path[from - 1] != '/') {
        return 0;
    }
    return from;
}

/* The directory that the trusted part names, or the one to start from. */
static int
file_open_base(const veil_file_probe_t *p, size_t from, bool is_inline)
{
    char path[PATH_MAX];
    int fd;

    if (from == 0) {
        veil_str_copy_z(path, sizeof(path),
                        p->path[0] == '/' ? VEIL_STR("/") : VEIL_STR("."));
    } else {
        if (from >= sizeof(path)) {
            return -ENAMETOOLONG;
        }
        memcpy(path, p->path, from);
        path[from] = '\0';
    }
    if (is_inline) {
        return file_openat2(AT_FDCWD, path, FILE_STAT_FLAGS | O_DIRECTORY, 0);
    }
    fd = open(path, FILE_STAT_FLAGS | O_DIRECTORY);
    return fd < 0 ? -errno : fd;
}

/* One component, with its policy; a descriptor or -errno. */
static int
file_open_step(const veil_file_probe_t *p, int dir, const char *name,
               int flags)
{
    struct stat link, target;
    int fd, err;

    fd = openat(dir, name, FILE_STAT_FLAGS | O_NOFOLLOW);
    if (fd < 0) {
        return -errno;
    }
    if (fstat(fd, &link) < 0) {
        err = -errno;
        (void) close(fd);
        return err;
    }
    if (!S_ISLNK(link.st_mode)) {
        if ((flags & O_PATH) != 0 && (flags & O_DIRECTORY) == 0) {
            return fd;
        }
        (void) close(fd);
        fd = openat(dir, name, flags | O_NOFOLLOW);
        return fd < 0 ? -errno : fd;
    }
    (void) close(fd);
    if (p->symlinks == VEIL_SYMLINKS_DENY) {
        return -ELOOP;
    }

    fd = openat(dir, name, flags);
    if (fd < 0) {
        return -errno;
    }
    if (fstat(fd, &target) < 0) {
        err = -errno;
    } else {
        err = target.st_uid == link.st_uid ? 0 : -ELOOP;
    }
    if (err < 0) {
        (void) close(fd);
        return err;
    }
    return fd;
}

/* Component by component from the trusted part on; blocks. */
static int
file_open_walk(const veil_file_probe_t *p, size_t from, int flags)
{
    const char *end = p->path + p->path_len;
    const char *name = p->path + from;
    const char *next;
    char buf[NAME_MAX + 1];
    int dir, fd;
    size_t n;

    dir = file_open_base(p, from, false);
    while (dir >= 0) {
        while (name < end && *name == '/') {
            name++;
        }
        next = memchr(name, '/', (size_t) (end - name));
        n = (size_t) ((next == NULL ? end : next) - name);
        if (n > NAME_MAX) {
            (void) close(dir);
            return -ENAMETOOLONG;
        }
        memcpy(buf, name, n);
        buf[n] = '\0';
        while (next != NULL && next < end && *next == '/') {
            next++;
        }
        if (n == 0 || next == NULL || next == end) {
            /* A slash at the end, or nothing at all, wants a directory. */
            fd = file_open_step(p, dir, n == 0 ? "." : buf,
                                next == NULL && n != 0 ? flags
                                                       : flags | O_DIRECTORY);
            (void) close(dir);
            return fd;
        }
        fd = file_open_step(p, dir, buf, FILE_STAT_FLAGS);
        (void) close(dir);
        dir = fd;
        name = next;
    }
    return dir;
}

/* The name the kernel has for what is open; its length or -errno. */
static ssize_t
file_where(int fd, char *buf, size_t size)
{
    char link[32];
    ssize_t n;

    (void) veil_snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
    n = readlink(link, buf, size);
    return n < 0 ? -errno : n;
}

/* Whether an open file is below an open directory, or is that. */
static bool
file_is_beneath(int dir, int fd)
{
    char base[PATH_MAX], name[PATH_MAX];
    ssize_t nbase = file_where(dir, base, sizeof(base));
    ssize_t n = file_where(fd, name, sizeof(name));

    if (nbase <= 0 || n < nbase) {
        return false;
    }
    if (nbase == 1) {
        return base[0] == '/';
    }
    return memcmp(name, base, (size_t) nbase) == 0
           && (n == nbase || name[nbase] == '/');
}

/* Opens the path if that ends below its trusted part; blocks. */
static int
file_open_beneath(const veil_file_probe_t *p, size_t from, int flags)
{
    int dir = file_open_base(p, from, false);
    int fd;

    if (dir < 0) {
        return dir;
    }
    fd = open(p->path, flags);
    if (fd < 0) {
        fd = -errno;
    } else if (!file_is_beneath(dir, fd)) {
        (void) close(fd);
        fd = -ELOOP;
    }
    (void) close(dir);
    return fd;
}

/* From memory or not at all (-EAGAIN). */
static int
file_open_inline(const veil_file_probe_t *p, size_t from, int flags)
{
    const char *rest = p->path + from;
    int dir, fd;

    if (from == p->path_len) {
        return file_openat2(AT_FDCWD, p->path, flags, 0);
    }
    if (p->symlinks == VEIL_SYMLINKS_IF_NOT_OWNER) {
        return -EAGAIN;
    }
    if (from == 0) {
        return p->symlinks == VEIL_SYMLINKS_BENEATH
                   ? -EAGAIN
                   : file_openat2(AT_FDCWD, p->path, flags,
                                  RESOLVE_NO_SYMLINKS);
    }
    while (*rest == '/') {
        rest++;
    }
    dir = file_open_base(p, from, true);
    if (dir < 0) {
        return dir;
    }
    fd = file_openat2(dir, *rest == '\0' ? "." : rest, flags,
                      p->symlinks == VEIL_SYMLINKS_BENEATH
                          ? RESOLVE_BENEATH
                          : RESOLVE_NO_SYMLINKS);
    (void) close(dir);
    return fd == -EXDEV ? -EAGAIN : fd;
}

static int
file_open(const veil_file_probe_t *p, int flags, bool is_inline)
{
    size_t from = file_trusted(p);
    int fd;

    if (is_inline) {
        return file_open_inline(p, from, flags);
    }
    if (from < p->path_len && p->symlinks == VEIL_SYMLINKS_BENEATH) {
        return file_open_beneath(p, from, flags);
    }
    if (from < p->path_len) {
        return file_open_walk(p, from, flags);
    }
    fd = open(p->path, flags);
    return fd < 0 ? -errno : fd;
}

/* --- contents ----------------------------------------------------------- */

static void
file_content_free(veil_block_t *b)
{
    veil_free(b);
}

/*
 * The whole file in a block; NULL when it changed meanwhile (it is sent from
 * the descriptor then) or, inline, when it is not all in memory.
 */
static veil_block_t *
file_read_content(int fd, const struct stat *st, bool is_inline)
{
    size_t size = (size_t) st->st_size;
    veil_block_t *b = veil_alloc(sizeof(*b) + size + 1);
    struct iovec iov;
    size_t n = 0;
    ssize_t got;

    b->magic = VEIL_BLOCK_MAGIC;
    b->refs = 1;
    b->data = (unsigned char *) (b + 1);
    b->size = size;
    b->free = file_content_free;
    b->owner = NULL;

    /* One byte more than there should be: a file that grew is noticed. */
    while (n <= size) {
        iov.iov_base = b->data + n;
        iov.iov_len = size + 1 - n;
        got = preadv2(fd, &iov, 1, (off_t) n, is_inline ? RWF_NOWAIT : 0);
        if (got < 0 && errno == EINTR) {
            continue;
        }
        if (got <= 0) {
            break;
        }
        n += (size_t) got;
        if (n == size) {
            break;
        }
    }
    if (n != size) {
        veil_free(b);
        return NULL;
    }
    return b;
}

/* --- probing ------------------------------------------------------------ */

static bool
file_is_known(const veil_file_t *f, const struct stat *st)
{
    return f->err == 0 && f->inode == st->st_ino && f->device == st->st_dev
           && f->size == st->st_size && f->mtime == st->st_mtim.tv_sec
           && f->mtime_nsec == (uint64_t) st->st_mtim.tv_nsec
           && f->is_exec == ((st->st_mode & S_IXUSR) != 0);
}

/* Opens and looks; false: EAGAIN inline. */
static bool
file_look(veil_file_probe_t *p, int flags, bool is_inline)
{
    int fd = file_open(p, flags, is_inline);

    p->fd = -1;
    p->err = 0;
    if (fd < 0) {
        if (is_inline && fd == -EAGAIN) {
            return false;
        }
        p->err = -fd;
        p->failed = (flags & O_PATH) != 0 ? "stat()" : "open()";
        return true;
    }
    if (fstat(fd, &p->st) < 0) {
        p->err = errno;
        p->failed = "fstat()";
        (void) close(fd);
        return true;
    }
    if ((flags & O_PATH) != 0 || !S_ISREG(p->st.st_mode)) {
        (void) close(fd);
    } else {
        p->fd = fd;
    }
    return true;
}

bool
veil_file_probe(veil_file_probe_t *p, bool is_inline)
{
    p->is_same = false;
    p->content = NULL;
    p->failed = NULL;

    if (p->known != NULL) {
        if (!file_look(p, FILE_STAT_FLAGS, is_inline)) {
            return false;
        }
        if (p->err == 0 && file_is_known(p->known, &p->st)) {
            p->is_same = true;
            return true;
        }
    }

    if (!file_look(p, p->want_fd ? FILE_OPEN_FLAGS : FILE_STAT_FLAGS,
                   is_inline)) {
        return false;
    }
    if (p->fd >= 0 && p->content_max > 0
        && (uint64_t) p->st.st_size <= p->content_max)
    {
        p->content = file_read_content(p->fd, &p->st, is_inline);
        if (p->content == NULL && is_inline) {
            (void) close(p->fd);
            p->fd = -1;
            return false;
        }
        if (p->content != NULL) {
            (void) close(p->fd);
            p->fd = -1;
        }
    }
    return true;
}
