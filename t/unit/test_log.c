/* test_log.c -- lines, levels, sinks, reopening. */

#include <criterion/criterion.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/stat.h>

#include "core/platform.h"

#include "core/log.h"
#include "core/time.h"

static char line[4096];
static unsigned nlines;

static void
keep(const veil_log_sink_t *sink, veil_log_level_t level, const char *text,
     size_t len)
{
    (void) sink;
    (void) level;
    cr_assert_lt(len, sizeof(line));
    memcpy(line, text, len);
    line[len] = '\0';
    nlines++;
}

static veil_log_sink_t sink = { .level = VEIL_LOG_DEBUG, .write = keep };
static veil_log_t logger = { .level = VEIL_LOG_DEBUG, .sinks = &sink };

static void
setup(void)
{
    (void) setenv("TZ", "UTC0", 1);
    tzset();
    veil_time_set(1, 784111777, 0);
    veil_log_set_pid();
}

static const char *
expected(const char *level, const char *rest)
{
    static char buf[4096];

    (void) snprintf(buf, sizeof(buf), "1994/11/06 08:49:37 [%s] %d#%d: %s\n",
                    level, (int) getpid(), (int) getpid(), rest);
    return buf;
}

static size_t
context(const veil_log_t *log, char *buf, size_t n)
{
    (void) log;
    return veil_snprintf(buf, n, ", client: %s", "127.0.0.1");
}

Test(log, format_is_nginx_s, .init = setup)
{
    veil_log(&logger, VEIL_LOG_ERR, 0, "text %d", 7);
    cr_assert_str_eq(line, expected("error", "text 7"));
    veil_log(&logger, VEIL_LOG_CRIT, ENOENT, "open() \"%s\" failed", "/x");
    cr_assert_str_eq(
        line, expected("crit",
                       "open() \"/x\" failed (2: No such file or directory)"));

    logger.connection = 7;
    logger.print = context;
    logger.action = "while reading response header";
    veil_log(&logger, VEIL_LOG_ALERT, EPIPE, "text");
    cr_assert_str_eq(line, expected("alert",
                                    "*7 text (32: Broken pipe) while reading "
                                    "response header, client: 127.0.0.1"));
}

Test(log, levels, .init = setup)
{
    sink.level = logger.level = VEIL_LOG_WARN;
    veil_log(&logger, VEIL_LOG_NOTICE, 0, "no");
    cr_assert_eq(nlines, 0);
    veil_log(&logger, VEIL_LOG_WARN, 0, "yes");
    cr_assert_eq(nlines, 1);
}

Test(log, each_sink_has_its_level, .init = setup)
{
    veil_log_sink_t more = { .level = VEIL_LOG_ALERT, .write = keep };

    sink.level = VEIL_LOG_INFO;
    sink.next = &more;
    logger.level = VEIL_LOG_INFO;
    veil_log(&logger, VEIL_LOG_INFO, 0, "x");
    cr_assert_eq(nlines, 1);
    veil_log(&logger, VEIL_LOG_EMERG, 0, "x");
    cr_assert_eq(nlines, 3);
}

Test(log, level_names)
{
    int i;

    for (i = VEIL_LOG_EMERG; i <= VEIL_LOG_TRACE; i++) {
        cr_assert_eq(veil_log_level_parse(veil_str_z(
                         veil_log_level_name((veil_log_level_t) i))),
                     i);
    }
    cr_assert_str_eq(veil_log_level_name(VEIL_LOG_ERR), "error");
    cr_assert_eq(veil_log_level_parse(VEIL_STR("warning")), VEIL_LOG_WARN);
    cr_assert_eq(veil_log_level_parse(VEIL_STR("err")), -1);
    cr_assert_eq(veil_log_level_parse(VEIL_STR("")), -1);
    cr_assert_eq(veil_log_level_parse(VEIL_STR("off")), -1);
}

Test(log, control_bytes_are_escaped, .init = setup)
{
    veil_log(&logger, VEIL_LOG_ERR, 0, "a\nb\x1b\x7f\xc3\xa9%c", '\t');
    cr_assert_str_eq(line,
                     expected("error", "a\\x0Ab\\x1B\\x7F\xc3\xa9\\x09"));
}

/* Lines of every length about the limit, plain and escaped. */
Test(log, long_lines_are_cut, .init = setup)
{
    size_t head = strlen(expected("error", "")) - 1, n, len;
    char text[2100];

    for (n = 1900; n < sizeof(text); n++) {
        memset(text, 'x', n);
        text[n - 1] = '\0';
        veil_log(&logger, VEIL_LOG_ERR, 0, "%s", text);
        len = strlen(line);
        cr_assert_eq(len, veil_min_size(head + n - 1 + 1, 2048));
        cr_assert_eq(line[len - 1], '\n');

        text[n / 2] = '\n';
        logger.print = context;
        veil_log(&logger, VEIL_LOG_ERR, ENOENT, "%s", text);
        logger.print = NULL;
        len = strlen(line);
        cr_assert_leq(len, 2048);
        cr_assert_eq(strchr(line, '\n'), line + len - 1, "one line feed");
    }
}

Test(log, full_of_control_bytes, .init = setup)
{
    char text[1500];
    size_t len;

    memset(text, '\n', sizeof(text));
    text[sizeof(text) - 1] = '\0';
    veil_log(&logger, VEIL_LOG_ERR, 0, "%s", text);
    len = strlen(line);
    cr_assert_gt(len, 2040);
    cr_assert_leq(len, 2048);
    cr_assert_eq(strchr(line, '\n'), line + len - 1);
    cr_assert_eq(memcmp(line + len - 5, "\\x0A", 4), 0, "none is cut apart");
}

static size_t
read_all(const char *path, char *buf, size_t n)
{
    int fd = open(path, O_RDONLY);
    ssize_t len;

    cr_assert_geq(fd, 0);
    len = read(fd, buf, n - 1);
    cr_assert_geq(len, 0);
    buf[len] = '\0';
    (void) close(fd);
    return (size_t) len;
}

static unsigned nflushes;

static void
count_flush(veil_log_file_t *file)
{
    cr_assert_geq(file->fd, 0);
    nflushes++;
}

Test(log, file_and_reopen, .init = setup)
{
    char dir[] = "/tmp/veil-test-log-XXXXXX", path[64], moved[64], buf[512];
    veil_log_file_t file = { .fd = -1, .flush = count_flush };
    veil_log_sink_t to = { .level = VEIL_LOG_INFO, .file = &file };
    veil_log_t log = { .level = VEIL_LOG_INFO, .sinks = &to };
    int old;

    cr_assert_neq(mkdtemp(dir), NULL);
    (void) snprintf(path, sizeof(path), "%s/log", dir);
    (void) snprintf(moved, sizeof(moved), "%s/log.1", dir);
    file.path = veil_str_z(path);

    veil_log(&log, VEIL_LOG_INFO, 0, "nowhere"); /* not open yet: skipped */
    cr_assert_geq(veil_log_file_open(&file), 0);
    cr_assert(fcntl(file.fd, F_GETFD) & FD_CLOEXEC);
    cr_assert(fcntl(file.fd, F_GETFL) & O_APPEND);
    veil_log(&log, VEIL_LOG_INFO, 0, "one");
    cr_assert_eq(rename(path, moved), 0);
    veil_log(&log, VEIL_LOG_INFO, 0, "two");
    cr_assert_geq(veil_log_file_reopen(&file), 0);
    cr_assert_eq(nflushes, 1);
    veil_log(&log, VEIL_LOG_INFO, 0, "three");
    (void) read_all(moved, buf, sizeof(buf));
    cr_assert_neq(strstr(buf, ": one\n"), NULL);
    cr_assert_neq(strstr(buf, ": two\n"), NULL);
    cr_assert_eq(strstr(buf, "nowhere"), NULL);
    (void) read_all(path, buf, sizeof(buf));
    cr_assert_str_eq(buf, expected("info", "three"));

    /* A reopen that fails changes nothing. */
    (void) unlink(path);
    cr_assert_eq(mkdir(path, 0700), 0);
    old = file.fd;
    cr_assert_eq(veil_log_file_reopen(&file), -EISDIR);
    cr_assert_eq(file.fd, old);
    cr_assert_eq(veil_log_file_open(&file), -EISDIR);
    (void) close(old);
    (void) rmdir(path);
    (void) unlink(moved);
    (void) rmdir(dir);
}

Test(log, standard_error)
{
    veil_log_file_t file = { .fd = -1 };

    cr_assert_eq(veil_log_file_open(&file), STDERR_FILENO);
    cr_assert_eq(veil_log_file_reopen(&file), STDERR_FILENO);
    cr_assert_eq(veil_log_stderr.level, VEIL_LOG_NOTICE);
}

Test(log, no_such_level_aborts, .signal = SIGABRT, .init = setup)
{
    veil_log_write(&logger, VEIL_LOG_OFF, 0, "x");
}
