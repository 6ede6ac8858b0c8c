/*
 * upgrade_exec.c -- starting another program with our arguments.
 *
 * The program is found as the shell found this one: by the word it was called
 * with.  So a link that was turned to a newer version, or a file that a
 * package replaced, is what is started, which /proc/self/exe would not.
 *
 * Every descriptor of a master closes on exec.  Those of the state, and no
 * others, are opened for it in the child, between fork and exec: a failure
 * there leaves nothing behind in the master.
 */

#include "core/platform.h"

#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include "core/fault.h"
#include "core/pool.h"
#include "process/spawn.h"
#include "process/upgrade/link.h"
#include "process/upgrade/upgrade_exec.h"
#include "process/upgrade/upgrade_preflight.h"

static char **upgrade_exec_argv;
static char upgrade_exec_path[PATH_MAX];

/* --- which program ------------------------------------------------------ */

static bool
upgrade_exec_is_program(const char *path)
{
    struct stat st;

    return stat(path, &st) == 0 && S_ISREG(st.st_mode)
           && access(path, X_OK) == 0;
}

/* Looks in PATH, as a shell does. */
static bool
upgrade_exec_search(const char *word)
{
    const char *dirs = getenv("PATH");
    veil_str_t rest = veil_str_z(dirs == NULL ? "" : dirs);
    veil_str_t dir;

    while (rest.len != 0) {
        dir = veil_str_cut(&rest, ':');
        veil_snprintf(upgrade_exec_path, sizeof(upgrade_exec_path), "%.*s/%s",
                      VEIL_STR_ARG(dir), word);
        if (dir.len != 0 && dir.data[0] == '/'
            && upgrade_exec_is_program(upgrade_exec_path))
        {
            return true;
        }
    }
    return false;
}

void
veil_upgrade_remember(char **argv)
{
    char cwd[PATH_MAX];
    ssize_t n;

    upgrade_exec_argv = argv;
    if (argv[0][0] == '/') {
        veil_str_copy_z(upgrade_exec_path, sizeof(upgrade_exec_path),
                        veil_str_z(argv[0]));
        return;
    }
    if (strchr(argv[0], '/') != NULL) {
        if (getcwd(cwd, sizeof(cwd)) != NULL) {
            veil_snprintf(upgrade_exec_path, sizeof(upgrade_exec_path),
                          "%s/%s", cwd, argv[0]);
            return;
        }
    } else if (upgrade_exec_search(argv[0])) {
        return;
    }
    n = readlink("/proc/self/exe", upgrade_exec_path,
                 sizeof(upgrade_exec_path) - 1);
    upgrade_exec_path[n < 0 ? 0 : n] = '\0';
}

const char *
veil_upgrade_program(void)
{
    return upgrade_exec_path;
}

const char *
veil_upgrade_refuses(const char *program, char *buf, size_t n)
{
    struct stat st;
    int err = 0;

    if (stat(program, &st) != 0 || access(program, X_OK) != 0) {
        err = errno;
    } else if (!S_ISREG(st.st_mode)) {
        err = EACCES;
    }
    if (err == 0) {
        return NULL;
    }
    veil_snprintf(buf, n, "\"%s\" cannot be executed (%d: %s)", program, err,
                  strerror(err));
    return buf;
}

/* --- the state ---------------------------------------------------------- */

static int
upgrade_exec_write(int fd, const char *data, size_t len)
{
    size_t done = 0;
    ssize_t n;

    while (done < len) {
        n = write(fd, data + done, len - done);
        if (n < 0 && errno == EINTR) {
            continue;
        }
        if (n <= 0) {
            return n < 0 ? -errno : -ENOSPC;
        }
        done += (size_t) n;
    }
    if (fcntl(fd, F_ADD_SEALS,
              F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE | F_SEAL_SEAL)
        != 0)
    {
        return -errno;
    }
    return 0;
}

int
veil_upgrade_seal(const veil_handover_t *h)
{
    size_t len;
    char *data;
    int fd = memfd_create("veil state", MFD_CLOEXEC | MFD_ALLOW_SEALING);
    int rc;

    if (fd < 0) {
        return -errno;
    }
    data = veil_handover_encode(h, &len);
    rc = upgrade_exec_write(fd, data, len);
    veil_free(data);
    if (rc < 0) {
        close(fd);
        return rc;
    }
    return fd;
}

/* --- the child ---------------------------------------------------------- */

/* The descriptor stays open over exec. */
static void
upgrade_exec_keep(int fd)
{
    if (fd >= 0) {
        (void) fcntl(fd, F_SETFD, 0);
    }
}

static void
upgrade_exec_keep_all(const veil_handover_t *h)
{
    const veil_handover_listen_t *l;
    const veil_list_t *n;
    unsigned i;

    for (n = h->listens.next; n != &h->listens; n = n->next) {
        l = (const void *) n;
        for (i = 0; i < l->n; i++) {
            upgrade_exec_keep(l->fds[i]);
        }
    }
    for (n = h->zones.next; n != &h->zones; n = n->next) {
        upgrade_exec_keep(
            ((const veil_handover_zone_t *) (const void *) n)->fd);
    }
    for (n = h->extras.next; n != &h->extras; n = n->next) {
        upgrade_exec_keep(
            ((const veil_handover_extra_t *) (const void *) n)->fd);
    }
}

static char *
upgrade_exec_copy(const char *text)
{
    size_t size = strlen(text) + 1;

    return memcpy(veil_alloc(size), text, size);
}

/* Our arguments, with the program's name for ours. */
static char **
upgrade_exec_arguments(const veil_upgrade_exec_t *x)
{
    static char preflight[] = VEIL_PREFLIGHT_OPTION;
    static char conf[] = "-c";
    unsigned n = 0;
    unsigned used = 0;
    unsigned i;
    char **argv;

    while (upgrade_exec_argv[n] != NULL) {
        n++;
    }
    argv = veil_zalloc((n + 4) * sizeof(*argv));
    argv[used++] = upgrade_exec_copy(x->program);
    if (x->preflight) {
        argv[used++] = preflight;
    }
    for (i = 1; i < n; i++) {
        argv[used++] = upgrade_exec_argv[i];
    }
    if (x->conf_path != NULL) {
        argv[used++] = conf; /* the last one counts */
        argv[used++] = upgrade_exec_copy(x->conf_path);
    }
    return argv;
}

static void
upgrade_exec_child(const veil_upgrade_exec_t *x)
{
    char value[64];
    sigset_t none;
    int err;

    if (x->output >= 0) {
        (void) dup2(x->output, STDOUT_FILENO);
        (void) dup2(x->output, STDERR_FILENO);
    }
    if (x->preflight) {
        /* A new master goes on with ours: no signal finds it without. */
        sigemptyset(&none);
        (void) sigprocmask(SIG_SETMASK, &none, NULL);
    }
    upgrade_exec_keep(x->state_fd);
    upgrade_exec_keep(x->link);
    if (x->h != NULL) {
        upgrade_exec_keep_all(x->h);
    }
    veil_snprintf(value, sizeof(value), "%d,%d", x->state_fd, x->link);
    (void) setenv(VEIL_UPGRADE_ENV, value, 1);

    if (!x->preflight) {
        VEIL_FAULT("upgrade.exec");
    }
    (void) execv(x->program, upgrade_exec_arguments(x));
    err = errno;
    if (x->link >= 0) {
        (void) veil_link_send(x->link, -1, "FAIL why=execve() failed (%d: %s)",
                              err, strerror(err));
    } else {
        fprintf(stderr, "execve() failed (%d: %s)\n", err, strerror(err));
        (void) fflush(stderr);
    }
    _exit(127);
}

pid_t
veil_upgrade_spawn(const veil_upgrade_exec_t *x)
{
    pid_t pid = veil_spawn();

    if (pid == 0) {
        upgrade_exec_child(x);
    }
    return pid;
}
