/*
 * log.c -- the error log.
 *
 * A line is put together in a buffer on the stack and leaves by one write(2)
 * for each sink, so that lines of several processes do not mix (the files are
 * opened for appending).  What comes from outside (a URI, a header) may hold
 * anything: bytes below 0x20 and 0x7f are written as \xNN, so a request can
 * neither forge a line nor talk to a terminal.
 *
 * Buffering, syslog and memory sinks are functions that others hang into a
 * sink; this file knows only descriptors.
 */

#include "core/platform.h"

#include <fcntl.h>

#include "core/assert.h"
#include "core/log.h"
#include "core/time.h"

#define LOG_LINE 2048 /* nginx's, the line feed included */
#define LOG_FILE_MODE 0644

static const veil_str_t log_levels[] = {
    [VEIL_LOG_OFF] = VEIL_STR_INIT("off"),
    [VEIL_LOG_EMERG] = VEIL_STR_INIT("emerg"),
    [VEIL_LOG_ALERT] = VEIL_STR_INIT("alert"),
    [VEIL_LOG_CRIT] = VEIL_STR_INIT("crit"),
    [VEIL_LOG_ERR] = VEIL_STR_INIT("error"),
    [VEIL_LOG_WARN] = VEIL_STR_INIT("warn"),
    [VEIL_LOG_NOTICE] = VEIL_STR_INIT("notice"),
    [VEIL_LOG_INFO] = VEIL_STR_INIT("info"),
    [VEIL_LOG_DEBUG] = VEIL_STR_INIT("debug"),
    [VEIL_LOG_TRACE] = VEIL_STR_INIT("trace"),
};

static veil_log_file_t log_stderr_file = {
    .link = { &log_stderr_file.link, &log_stderr_file.link },
    .fd = STDERR_FILENO,
};

static const veil_log_sink_t log_stderr_sink = {
    .level = VEIL_LOG_NOTICE,
    .file = &log_stderr_file,
};

veil_log_t veil_log_stderr = {
    .level = VEIL_LOG_NOTICE,
    .sinks = &log_stderr_sink,
};

static int log_pid;
static _Thread_local int log_tid;

void
veil_log_set_pid(void)
{
    log_pid = (int) getpid();
    log_tid = (int) gettid();
}

const char *
veil_log_level_name(veil_log_level_t level)
{
    VEIL_ASSERT((size_t) level < veil_countof(log_levels));
    return log_levels[level].data;
}

int
veil_log_level_parse(veil_str_t name)
{
    size_t i;

    /* "off" is no level in nginx: it names a file. */
    for (i = VEIL_LOG_EMERG; i < veil_countof(log_levels); i++) {
        if (veil_str_eq(name, log_levels[i])) {
            return (int) i;
        }
    }
    return veil_str_eq(name, VEIL_STR("warning")) ? VEIL_LOG_WARN : -1;
}

/* Line under construction; the last byte is kept for the line feed. */
typedef struct {
    char data[LOG_LINE];
    size_t len;
} log_line_t;

static size_t
log_room(const log_line_t *l)
{
    return sizeof(l->data) - 1 - l->len;
}

static void log_add(log_line_t *l, const char *fmt, ...) VEIL_PRINTF(2, 3);

static void
log_add(log_line_t *l, const char *fmt, ...)
{
    va_list ap;

    va_start(ap, fmt);
    l->len += veil_vsnprintf(l->data + l->len, log_room(l) + 1, fmt, ap);
    va_end(ap);
}

static bool
log_is_control(char c)
{
    return (unsigned char) c < 0x20 || c == 0x7f;
}

/* Rewrites control bytes from offset on; what no longer fits is cut. */
static void
log_escape(log_line_t *l, size_t from)
{
    char tmp[LOG_LINE];
    size_t i, len, n = 0, room = sizeof(l->data) - 1 - from;

    for (i = from; i < l->len && !log_is_control(l->data[i]); i++) {
        /* nothing to do for almost every line */
    }
    if (i == l->len) {
        return;
    }
    for (i = from; i < l->len; i++) {
        len = log_is_control(l->data[i]) ? 4 : 1;
        if (n + len > room) {
            break;
        }
        if (len == 1) {
            tmp[n++] = l->data[i];
            continue;
        }
        tmp[n++] = '\\';
        tmp[n++] = 'x';
        tmp[n++] = "0123456789ABCDEF"[(unsigned char) l->data[i] >> 4];
        tmp[n++] = "0123456789ABCDEF"[l->data[i] & 15];
    }
    memcpy(l->data + from, tmp, n);
    l->len = from + n;
}

static void
log_head(const veil_log_t *log, log_line_t *l, veil_log_level_t level)
{
    if (veil_unlikely(veil_clock.log.len == 0)) {
        veil_time_update();
    }
    if (veil_unlikely(log_pid == 0)) {
        veil_log_set_pid();
    }
    if (veil_unlikely(log_tid == 0)) {
        log_tid = (int) gettid();
    }
    log_add(l, "%.*s [%s] %d#%d: ", VEIL_STR_ARG(veil_clock.log),
            log_levels[level].data, log_pid, log_tid);
    if (log->connection != 0) {
        log_add(l, "*%llu ", (unsigned long long) log->connection);
    }
}

/* The level of a sink when a rule says "rule"; -1: none does. */
static int
log_sink_level(const veil_log_t *log, const veil_log_sink_t *sink, int rule)
{
    int level = (int) sink->level;

    if (rule < 0) {
        return level;
    }
    if (sink->level == log->level) {
        return rule;
    }
    return level < rule ? level : rule;
}

static void
log_send(const veil_log_t *log, veil_log_level_t level, int rule,
         const char *line, size_t len)
{
    const veil_log_sink_t *sink;
    ssize_t n;

    for (sink = log->sinks; sink != NULL; sink = sink->next) {
        if (log_sink_level(log, sink, rule) < (int) level && !log->all) {
            continue;
        }
        if (sink->write != NULL) {
            sink->write(sink, level, line, len);
            continue;
        }
        if (sink->file->fd >= 0) {
            /* There is nowhere to report a failure to. */
            n = write(sink->file->fd, line, len);
            (void) n;
        }
    }
}

static void
log_vwrite(const veil_log_t *log, veil_log_level_t level, int rule, int err,
           const char *fmt, va_list ap)
{
    char text[128];
    log_line_t l;
    size_t from;

    VEIL_ASSERT(level > VEIL_LOG_OFF && level <= VEIL_LOG_TRACE);
    l.len = 0;
    log_head(log, &l, level);
    from = l.len;
    l.len += veil_vsnprintf(l.data + from, log_room(&l) + 1, fmt, ap);
    if (err != 0) {
        log_add(&l, " (%d: %s)", err, strerror_r(err, text, sizeof(text)));
    }
    if (log->action != NULL) {
        log_add(&l, " %s", log->action);
    }
    if (log->print != NULL) {
        l.len += log->print(log, l.data + l.len, log_room(&l) + 1);
        VEIL_ASSERT(l.len < sizeof(l.data));
    }
    log_escape(&l, from);
    l.data[l.len++] = '\n';
    log_send(log, level, rule, l.data, l.len);
}

void
veil_log_vwrite(const veil_log_t *log, veil_log_level_t level, int err,
                const char *fmt, va_list ap)
{
    log_vwrite(log, level, -1, err, fmt, ap);
}

void
veil_log_write(const veil_log_t *log, veil_log_level_t level, int err,
               const char *fmt, ...)
{
    va_list ap;

    va_start(ap, fmt);
    veil_log_vwrite(log, level, err, fmt, ap);
    va_end(ap);
}

void
veil_log_write_at(const veil_log_t *log, veil_log_level_t level, int err,
                  const char *file, const char *fmt, ...)
{
    int rule = veil_log_rule_level(file);
    va_list ap;

    if (!log->all && (rule >= 0 ? rule < (int) level : log->level < level)) {
        return;
    }
    va_start(ap, fmt);
    log_vwrite(log, level, rule, err, fmt, ap);
    va_end(ap);
}

static int
log_open(const veil_log_file_t *file)
{
    int fd;

    fd = open(file->path.data, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC,
              LOG_FILE_MODE);
    return fd < 0 ? -errno : fd;
}

int
veil_log_file_open(veil_log_file_t *file)
{
    file->fd = file->path.len == 0 ? STDERR_FILENO : log_open(file);
    return file->fd;
}

int
veil_log_file_reopen(veil_log_file_t *file)
{
    int fd;

    if (file->path.len == 0) {
        return file->fd;
    }
    fd = log_open(file);
    if (fd < 0) {
        return fd;
    }
    if (file->flush != NULL) {
        file->flush(file);
    }
    if (file->fd >= 0) {
        /*
         * Under the same number, so that whoever has noted it (the panic
         * report, threads, a redirected standard error) writes to the new
         * file.
         */
        int rc = dup3(fd, file->fd, O_CLOEXEC) < 0 ? -errno : file->fd;

        (void) close(fd);
        return rc;
    }
    file->fd = fd;
    return fd;
}
