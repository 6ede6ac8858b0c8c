/*
 * log.h -- the error log.
 *
 * A veil_log_t says where lines go, how verbose, and what context every line
 * of its owner carries.  Connections and requests embed a copy of the log of
 * their configuration with their own print function, so that a line reads as
 * nginx's does:
 *
 *   2026/01/02 03:04:05 [error] 12#12: *7 text (2: No such file or
 *   directory), client: 127.0.0.1, server: a, request: "GET / HTTP/1.1"
 *
 * Writing never allocates and never fails: a line that does not fit 2 KiB is
 * cut, control bytes are written as \xNN, a sink that refuses is skipped.
 */

#ifndef VEIL_CORE_LOG_H
#define VEIL_CORE_LOG_H

#include "core/list.h"
#include "core/platform.h"
#include "core/str.h"

/* The order is the verbosity; 0 logs nothing. */
typedef enum {
    VEIL_LOG_OFF,
    VEIL_LOG_EMERG,
    VEIL_LOG_ALERT,
    VEIL_LOG_CRIT,
    VEIL_LOG_ERR,
    VEIL_LOG_WARN,
    VEIL_LOG_NOTICE,
    VEIL_LOG_INFO,
    VEIL_LOG_DEBUG,
    VEIL_LOG_TRACE
} veil_log_level_t;

/* A file that is written to and reopened on USR1; owned by the cycle. */
struct veil_log_file_s {
    veil_list_t link; /* in cycle->log_files */
    int fd;
    veil_str_t path; /* empty: standard error; zero-terminated */
    /* Called before a reopen or exit to write out what is buffered. */
    void (*flush)(veil_log_file_t *file);
    void *data;
};

/* One place lines go to.  Sinks of a log form a list. */
typedef struct veil_log_sink_s veil_log_sink_t;
struct veil_log_sink_s {
    veil_log_level_t level;
    veil_log_file_t *file; /* NULL when write is set */
    void (*write)(const veil_log_sink_t *sink, veil_log_level_t level,
                  const char *line, size_t len); /* syslog, memory */
    void *data;
    veil_log_sink_t *next;
};

/* Appends context (", client: ...") to buf; returns the bytes written < n. */
typedef size_t veil_log_print_fn(const veil_log_t *log, char *buf, size_t n);

struct veil_log_s {
    veil_log_level_t level; /* of the most verbose sink */
    bool all; /* every sink takes every level: debug_connection */
    const veil_log_sink_t *sinks;
    veil_log_print_fn *print; /* NULL: no context */
    uint64_t connection;      /* "*N"; 0: none */
    const char *action;       /* "while reading response header", or NULL;
                                 stands between the text and the context */
};

/*
 * Writes a line when the level asks for it; err is an errno value or 0.  A
 * rule (below) may ask for more: that is one more comparison for lines that
 * are not written.
 */
#define veil_log(log, lv, err, ...)                                           \
    do {                                                                      \
        if ((log)->level >= (lv)                                              \
            || veil_unlikely(                                                 \
                __atomic_load_n(&veil_log_rules_max, __ATOMIC_RELAXED)        \
                >= (int) (lv)))                                               \
        {                                                                     \
            veil_log_write_at(log, lv, err, __FILE__, __VA_ARGS__);           \
        }                                                                     \
    } while (0)

/* Debug lines exist in --with-debug builds only. */
#if VEIL_DEBUG
#define veil_debug(log, ...) veil_log(log, VEIL_LOG_DEBUG, 0, __VA_ARGS__)
#else
#define veil_debug(log, ...) ((void) sizeof(log))
#endif

/* Of a line in this source file, which rules may be about. */
void veil_log_write_at(const veil_log_t *log, veil_log_level_t level, int err,
                       const char *file, const char *fmt, ...)
    VEIL_PRINTF(5, 6);
/* Without looking at rules. */
void veil_log_write(const veil_log_t *log, veil_log_level_t level, int err,
                    const char *fmt, ...) VEIL_PRINTF(4, 5);
void veil_log_vwrite(const veil_log_t *log, veil_log_level_t level, int err,
                     const char *fmt, va_list ap);

/*
 * Rules: other levels than the configured ones, for a while.
 *
 * Copies of logs are everywhere, so a rule is the process's.  With one for a
 * part of the source, or for all of it, the most verbose sink of a log takes
 * that level, and the others are made no more verbose than it.  What
 * debug_connection chose is not touched.
 */
#define VEIL_LOG_RULES 16
#define VEIL_LOG_PART 32
typedef struct {
    char part[VEIL_LOG_PART]; /* a directory or file of the source; "": all */
    int level;                /* veil_log_level_t */
    uint64_t until_ms;        /* of veil_now_ms(); 0: no end */
} veil_log_rule_t;

typedef struct {
    unsigned n;
    veil_log_rule_t rules[VEIL_LOG_RULES];
} veil_log_rules_t;

/* The most verbose of the rules; 0: there are none. */
extern int veil_log_rules_max;

/* These take the place of those before, in this process and its children. */
void veil_log_set_rules(const veil_log_rules_t *rules);
/* Those that hold now. */
void veil_log_get_rules(veil_log_rules_t *rules);
/* Whether the program has such a part: "proxy", "upstream", "event" ... */
bool veil_log_is_part(veil_str_t part);
/* The level of a rule for "file"; -1: none holds. */
int veil_log_rule_level(const char *file);

/* Each file that may log is known by its name: see veil_log_is_part(). */
static const char *const veil_log_file_name
    __attribute__((section("veil_log_files"), used)) = __BASE_FILE__;

/* "error" for VEIL_LOG_ERR, and back ("warning" too); -1 when unknown. */
const char *veil_log_level_name(veil_log_level_t level);
int veil_log_level_parse(veil_str_t name);

/* The log of last resort: notice and above to standard error. */
extern veil_log_t veil_log_stderr;

/* Opens for appending, creates with 0644; >= 0 or -errno. */
int veil_log_file_open(veil_log_file_t *file);
/*
 * Opens again and, only when that worked, puts the new file in the place of
 * the old, under the same number: >= 0 or -errno.
 */
int veil_log_file_reopen(veil_log_file_t *file);

/* The pid in lines, cached: call after fork. */
void veil_log_set_pid(void);

#endif
