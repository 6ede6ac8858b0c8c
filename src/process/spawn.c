/*
 * spawn.c -- making processes and what they may do.
 *
 * The title is written over the memory of the arguments and the environment,
 * which lie one behind the other; the environment is copied away first.
 * There is no call for it that an ordinary user may make.
 *
 * A worker settles in nginx's order: priority and limits while it still is
 * root, then group, supplementary groups and user, then what needs no
 * privilege.  Whoever was not root stays who he is.
 */

#include "core/platform.h"

#include <fcntl.h>
#include <grp.h>
#include <sched.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>

#include "core/pool.h"
#include "process/spawn.h"

extern char **environ;

#define SPAWN_TITLE_PREFIX "veil: "

static char *spawn_title;         /* where the title is written */
static size_t spawn_title_size;   /* room for it */
static char *spawn_title_command; /* the command line */

pid_t
veil_spawn(void)
{
    pid_t pid;

    /* What is buffered would be written twice. */
    (void) fflush(NULL);

    pid = fork();
    if (pid < 0) {
        return -errno;
    }
    if (pid == 0) {
        veil_log_set_pid();
    }
    return pid;
}

pid_t
veil_spawn_reap(int *status)
{
    pid_t pid;

    do {
        pid = waitpid(-1, status, WNOHANG);
    } while (pid < 0 && errno == EINTR);
    return pid > 0 ? pid : 0;
}

static int
spawn_compare(const void *a, const void *b)
{
    int x, y;

    memcpy(&x, a, sizeof(x));
    memcpy(&y, b, sizeof(y));
    return x < y ? -1 : x > y;
}

void
veil_spawn_close_others(int *keep, unsigned n)
{
    unsigned from = 3;
    unsigned i;

    qsort(keep, n, sizeof(*keep), spawn_compare);
    for (i = 0; i < n; i++) {
        if (keep[i] < (int) from) {
            continue;
        }
        if (keep[i] > (int) from) {
            (void) close_range(from, (unsigned) keep[i] - 1, 0);
        }
        from = (unsigned) keep[i] + 1;
    }
    (void) close_range(from, ~0u, 0);
}

uint64_t
veil_backoff_ms(unsigned deaths)
{
    uint64_t ms;

    if (deaths <= 1) {
        return 0;
    }
    if (deaths > 10) {
        return VEIL_BACKOFF_MAX_MS;
    }
    ms = (uint64_t) 100 << (deaths - 2);
    return ms < VEIL_BACKOFF_MAX_MS ? ms : VEIL_BACKOFF_MAX_MS;
}

/* --- title -------------------------------------------------------------- */

static void
spawn_title_keep_command(int argc, char **argv)
{
    size_t size = 1;
    char *p;
    int i;

    for (i = 0; i < argc; i++) {
        size += strlen(argv[i]) + 1;
    }
    spawn_title_command = veil_alloc(size);
    p = spawn_title_command;
    for (i = 0; i < argc; i++) {
        if (i > 0) {
            *p++ = ' ';
        }
        p = veil_fmt_str(p, veil_str_z(argv[i]));
    }
    *p = '\0';
}

void
veil_title_init(int argc, char **argv)
{
    char *end = argv[0];
    size_t len;
    int i;

    spawn_title_keep_command(argc, argv);

    for (i = 0; i < argc; i++) {
        if (argv[i] == end) {
            end = argv[i] + strlen(argv[i]) + 1;
        }
    }
    for (i = 0; environ != NULL && environ[i] != NULL; i++) {
        if (environ[i] == end) {
            len = strlen(environ[i]) + 1;
            end = environ[i] + len;
            /* Lives as long as the process. */
            environ[i] = memcpy(veil_alloc(len), environ[i], len);
        }
    }
    /* The words are read after this: give argv copies. */
    for (i = 0; i < argc; i++) {
        len = strlen(argv[i]) + 1;
        if (i == 0) {
            spawn_title = argv[0];
            spawn_title_size = (size_t) (end - argv[0]);
        }
        argv[i] = memcpy(veil_alloc(len), argv[i], len);
    }
}

const char *
veil_title_command(void)
{
    return spawn_title_command == NULL ? "" : spawn_title_command;
}

void
veil_title_set(const char *fmt, ...)
{
    char text[512] = SPAWN_TITLE_PREFIX;
    size_t n = sizeof(SPAWN_TITLE_PREFIX) - 1;
    va_list ap;

    va_start(ap, fmt);
    n += veil_vsnprintf(text + n, sizeof(text) - n, fmt, ap);
    va_end(ap);

    if (spawn_title == NULL) {
        return;
    }
    if (n >= spawn_title_size) {
        n = spawn_title_size - 1;
    }
    memcpy(spawn_title, text, n);
    memset(spawn_title + n, 0, spawn_title_size - n);
}

/* --- descriptors 0 to 2 ------------------------------------------------- */

void
veil_open_standard_fds(void)
{
    int fd;

    /* open() takes the lowest number that is free. */
    do {
        fd = open("/dev/null", O_RDWR);
    } while (fd >= 0 && fd <= 2);

    if (fd > 2) {
        close(fd);
    }
}

void
veil_detach_standard_fds(void)
{
    int fd = open("/dev/null", O_RDWR | O_CLOEXEC);

    if (fd < 0) {
        return; /* no /dev/null: then they stay as they are */
    }
    (void) dup2(fd, STDIN_FILENO);
    (void) dup2(fd, STDOUT_FILENO);
    close(fd);
}

/* --- limits, processor, user -------------------------------------------- */

static void
spawn_limit(int which, const char *name, rlim_t value, const veil_log_t *log)
{
    struct rlimit limit = { .rlim_cur = value, .rlim_max = value };

    if (setrlimit(which, &limit) != 0) {
        veil_log(log, VEIL_LOG_ALERT, errno, "setrlimit(%s, %llu) failed",
                 name, (unsigned long long) value);
    }
}

static void
spawn_limits(const veil_main_conf_t *conf, const veil_log_t *log)
{
    struct rlimit limit;

    if (conf->priority != 0
        && setpriority(PRIO_PROCESS, 0, conf->priority) != 0) {
        veil_log(log, VEIL_LOG_ALERT, errno, "setpriority(%d) failed",
                 conf->priority);
    }
    if (conf->rlimit_nofile >= 0) {
        spawn_limit(RLIMIT_NOFILE, "RLIMIT_NOFILE",
                    (rlim_t) conf->rlimit_nofile, log);
    } else if (getrlimit(RLIMIT_NOFILE, &limit) == 0
               && limit.rlim_cur < limit.rlim_max)
    {
        spawn_limit(RLIMIT_NOFILE, "RLIMIT_NOFILE", limit.rlim_max, log);
    }
    if (conf->rlimit_core >= 0) {
        spawn_limit(RLIMIT_CORE, "RLIMIT_CORE", (rlim_t) conf->rlimit_core,
                    log);
    }
}

/* The n-th processor of the set, beginning again at its end. */
static int
spawn_nth_cpu(const cpu_set_t *set, unsigned n)
{
    int count = CPU_COUNT(set);
    int left = (int) (n % (unsigned) count);
    int i;

    for (i = 0; i < CPU_SETSIZE; i++) {
        if (CPU_ISSET(i, set) && left-- == 0) {
            return i;
        }
    }
    return 0;
}

static void
spawn_affinity(const veil_main_conf_t *conf, unsigned slot,
               const veil_log_t *log)
{
    cpu_set_t allowed;
    cpu_set_t set;

    if (conf->cpus != NULL && conf->cpus->n != 0) {
        /* The last mask is for all further workers, as in nginx. */
        set = *veil_array_at(conf->cpus, cpu_set_t,
                             slot < conf->cpus->n ? slot : conf->cpus->n - 1);
    } else if (conf->affinity_auto) {
        CPU_ZERO(&allowed);
        if (sched_getaffinity(0, sizeof(allowed), &allowed) != 0) {
            return;
        }
        if (conf->affinity_default
            && conf->workers != (unsigned) CPU_COUNT(&allowed)) {
            return;
        }
        if (conf->has_cpu_limit) {
            allowed = conf->cpu_limit;
        }
        if (CPU_COUNT(&allowed) == 0) {
            return;
        }
        CPU_ZERO(&set);
        CPU_SET(spawn_nth_cpu(&allowed, slot), &set);
    } else {
        return;
    }
    if (sched_setaffinity(0, sizeof(set), &set) != 0) {
        veil_log(log, VEIL_LOG_ALERT, errno,
                 "binding worker %u to its processor failed", slot);
    }
}

/* Root becomes the configured user, for good. */
static veil_rc_t
spawn_user(const veil_main_conf_t *conf, const veil_log_t *log)
{
    if (geteuid() != 0 || conf->user.len == 0) {
        return VEIL_OK;
    }
    if (setgid(conf->gid) != 0) {
        veil_log(log, VEIL_LOG_EMERG, errno, "setgid(%u) failed",
                 (unsigned) conf->gid);
        return VEIL_ERROR;
    }
    /* Root's groups are replaced by those of the user. */
    if (initgroups(conf->user.data, conf->gid) != 0) {
        veil_log(log, VEIL_LOG_EMERG, errno, "initgroups(%.*s, %u) failed",
                 VEIL_STR_ARG(conf->user), (unsigned) conf->gid);
        return VEIL_ERROR;
    }
    if (setuid(conf->uid) != 0) {
        veil_log(log, VEIL_LOG_EMERG, errno, "setuid(%u) failed",
                 (unsigned) conf->uid);
        return VEIL_ERROR;
    }
    return VEIL_OK;
}

veil_rc_t
veil_spawn_settle(const veil_main_conf_t *conf, unsigned slot,
                  const veil_log_t *log)
{
    spawn_limits(conf, log);

    if (spawn_user(conf, log) != VEIL_OK) {
        return VEIL_ERROR;
    }
    spawn_affinity(conf, slot, log);

    /* A change of the user forbids core dumps until told otherwise. */
    if (prctl(PR_SET_DUMPABLE, 1, 0, 0, 0) != 0) {
        veil_log(log, VEIL_LOG_ALERT, errno, "prctl(PR_SET_DUMPABLE) failed");
    }
    if (conf->working_directory.len != 0
        && chdir(conf->working_directory.data) != 0)
    {
        veil_log(log, VEIL_LOG_ALERT, errno, "chdir(\"%.*s\") failed",
                 VEIL_STR_ARG(conf->working_directory));
        return VEIL_ERROR;
    }
    return VEIL_OK;
}

void
veil_spawn_environment(const veil_main_conf_t *conf)
{
    unsigned n = conf->env == NULL ? 0 : conf->env->n;
    char **kept = veil_zalloc((n + 1) * sizeof(*kept));
    unsigned used = 0;
    const char *value;
    veil_str_t s;
    size_t size;
    unsigned i;

    for (i = 0; i <= n; i++) {
        s = i < n ? *veil_array_at(conf->env, veil_str_t, i) : VEIL_STR("TZ");
        if (veil_str_chr(s, '=') > 0) {
            kept[used] = veil_alloc(s.len + 1);
            veil_str_copy_z(kept[used++], s.len + 1, s);
            continue;
        }
        value = getenv(s.data);
        if (value != NULL) {
            size = s.len + strlen(value) + 2;
            kept[used] = veil_alloc(size);
            veil_snprintf(kept[used++], size, "%.*s=%s", VEIL_STR_ARG(s),
                          value);
        }
    }
    (void) clearenv();
    for (i = 0; i < used; i++) {
        /* The text becomes part of the environment and stays. */
        (void) putenv(kept[i]);
    }
    veil_free(kept);
}
