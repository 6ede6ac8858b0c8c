/*
 * audit_log.c -- where audit records go: files, the error log, a ring.
 *
 * A change must not wait for its record, nor fail for want of one: the disk
 * that is full is often the reason for the change.  So files are opened
 * without waiting, each record is one write(2), and what fails is counted and
 * told in the error log.  A line that was cut short by a full disk is ended
 * by the next one, so that one record is damaged and not two.
 *
 * The ring (journal.h) keeps records as JSON in text, which is a third of what
 * the values take.
 *
 * What this does not do: rotate, and sync to the disk.
 */

#include "core/platform.h"

#include <fcntl.h>
#include <sys/stat.h>

#include "core/pool.h"
#include "core/time.h"
#include "process/control/audit_log.h"
#include "process/control/journal.h"

#define AUDIT_MODE 0640
/* Between two reports of one failing sink. */
#define AUDIT_REPORT_MS 60000
/* The error log cuts lines at 2048 bytes, its own head included. */
#define AUDIT_ERROR_LOG_LINE 1900

static struct {
    veil_audit_sinks_t *sinks;
} audit_log;

/* --- files --------------------------------------------------------------- */

/* Others may not read who does what here. */
static void
audit_log_narrow(int fd, const char *path, const veil_log_t *log)
{
    struct stat st;

    if (fstat(fd, &st) != 0 || !S_ISREG(st.st_mode)
        || (st.st_mode & 07777 & ~AUDIT_MODE) == 0)
    {
        return;
    }
    if (fchmod(fd, st.st_mode & AUDIT_MODE) != 0) {
        veil_log(log, VEIL_LOG_WARN, errno,
                 "the audit log \"%s\" has the mode %04o, which could not be "
                 "narrowed",
                 path, (unsigned) st.st_mode & 07777);
        return;
    }
    veil_log(log, VEIL_LOG_WARN, 0,
             "the audit log \"%s\" had the mode %04o, it is %04o now", path,
             (unsigned) st.st_mode & 07777,
             (unsigned) st.st_mode & AUDIT_MODE);
}

int
veil_audit_open(const char *path, const veil_log_t *log)
{
    int fd =
        open(path,
             O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC | O_NOCTTY | O_NONBLOCK,
             AUDIT_MODE);

    if (fd < 0) {
        return -errno;
    }
    audit_log_narrow(fd, path, log);
    return fd;
}

bool
veil_audit_sinks_add(veil_audit_sinks_t *sinks, const veil_audit_message_t *m,
                     int fd)
{
    veil_audit_sink_t *s;

    if (sinks->n == VEIL_AUDIT_SINKS) {
        return false;
    }
    s = &sinks->sinks[sinks->n++];
    memset(s, 0, sizeof(*s));
    s->json = m->json;
    s->reads = m->reads;
    s->fd = fd;
    if (m->syslog) {
        s->syslog = veil_syslog_unpack(&m->server);
    }
    memcpy(s->path, m->path, sizeof(s->path));
    s->path[sizeof(s->path) - 1] = '\0';
    return true;
}

void
veil_audit_sinks_free(veil_audit_sinks_t **sinks)
{
    unsigned i;

    if (*sinks == NULL) {
        return;
    }
    for (i = 0; i < (*sinks)->n; i++) {
        if ((*sinks)->sinks[i].fd >= 0) {
            close((*sinks)->sinks[i].fd);
        }
        veil_syslog_free(&(*sinks)->sinks[i].syslog);
    }
    veil_free(*sinks);
    *sinks = NULL;
}

void
veil_audit_use(veil_audit_sinks_t *sinks)
{
    veil_audit_sinks_free(&audit_log.sinks);
    audit_log.sinks = sinks;
}

unsigned
veil_audit_files(void)
{
    unsigned n = 0;
    unsigned i;

    for (i = 0; audit_log.sinks != NULL && i < audit_log.sinks->n; i++) {
        n += audit_log.sinks->sinks[i].syslog == NULL;
    }
    return n;
}

unsigned
veil_audit_reopen(const veil_log_t *log)
{
    veil_audit_sinks_t *sinks = audit_log.sinks;
    unsigned failed = 0;
    unsigned i;
    int fd;

    for (i = 0; sinks != NULL && i < sinks->n; i++) {
        if (sinks->sinks[i].syslog != NULL) {
            continue;
        }
        fd = veil_audit_open(sinks->sinks[i].path, log);
        if (fd < 0) {
            veil_log(log, VEIL_LOG_EMERG, -fd,
                     "open() \"%s\" failed, writing on to the old file",
                     sinks->sinks[i].path);
            failed++;
            continue;
        }
        close(sinks->sinks[i].fd);
        sinks->sinks[i].fd = fd;
        sinks->sinks[i].torn = false;
    }
    return failed;
}

/* --- writing ------------------------------------------------------------- */

static void
audit_log_failed(veil_audit_sink_t *s, int err, const veil_log_t *log)
{
    s->lost++;
    if (s->told_ms != 0 && veil_now_ms() - s->told_ms < AUDIT_REPORT_MS) {
        return;
    }
    s->told_ms = veil_now_ms() == 0 ? 1 : veil_now_ms();
    veil_log(log, VEIL_LOG_ALERT, err,
             "writing to the audit log \"%s\" failed, %llu records are lost",
             s->path, (unsigned long long) s->lost);
}

static void
audit_log_works(veil_audit_sink_t *s, const veil_log_t *log)
{
    if (s->told_ms != 0) {
        veil_log(log, VEIL_LOG_NOTICE, 0,
                 "the audit log \"%s\" is written to again, %llu records are "
                 "lost",
                 s->path, (unsigned long long) s->lost);
        s->told_ms = 0;
        s->lost = 0;
    }
}

/* line[-1] is free for a line feed; line[len - 1] is one. */
static void
audit_log_write(veil_audit_sink_t *s, const char *line, size_t len,
                const veil_log_t *log)
{
    size_t before = s->torn ? 1 : 0;
    ssize_t n = write(s->fd, line - before, len + before);

    if (n == (ssize_t) (len + before)) {
        s->torn = false;
        audit_log_works(s, log);
        return;
    }
    if (n < 0) {
        audit_log_failed(s, errno, log);
        return;
    }
    s->torn = n > (ssize_t) before || (s->torn && n == 0);
    audit_log_failed(s, ENOSPC, log);
}

/* Somebody looked, or begins to, and was let. */
static bool
audit_log_is_read(const veil_audit_record_t *r)
{
    return (r->result == VEIL_AUDIT_OK || r->result == VEIL_AUDIT_ACCEPTED)
           && r->table != NULL
           && (r->table->flags & VEIL_CONTROL_CHANGES) == 0;
}

static veil_log_level_t
audit_log_level(const veil_audit_record_t *r)
{
    if (r->result != VEIL_AUDIT_OK && r->result != VEIL_AUDIT_ACCEPTED) {
        return VEIL_LOG_WARN;
    }
    return audit_log_is_read(r) ? VEIL_LOG_INFO : VEIL_LOG_NOTICE;
}

static void
audit_log_as_error(const veil_audit_record_t *r, const veil_log_t *log)
{
    veil_log_level_t level = audit_log_level(r);
    char line[AUDIT_ERROR_LOG_LINE];

    if (log->level >= level) {
        (void) veil_audit_text(r, line, sizeof(line));
        /* No rule of log.level hides it. */
        veil_log_write(log, level, 0, "%s", line);
    }
}

/* Datagrams have a length at which they are cut. */
static void
audit_log_to_syslog(const veil_audit_record_t *r, veil_syslog_t *server)
{
    char line[AUDIT_ERROR_LOG_LINE];
    size_t len = veil_audit_text(r, line, sizeof(line));

    veil_syslog_send(server, audit_log_level(r), line, len);
}

/* The record as a line of JSON; returns its length. */
static size_t
audit_log_json(const veil_audit_record_t *r, char **line)
{
    json_t *o = veil_audit_json(r);
    size_t len = json_dumpb(o, NULL, 0, JSON_COMPACT);

    /* Room for a line feed on either side. */
    *line = veil_alloc(len + 2);
    (*line)[0] = '\n';
    (void) json_dumpb(o, *line + 1, len, JSON_COMPACT);
    (*line)[len + 1] = '\n';
    json_decref(o);
    return len;
}

static void
audit_log_to_files(const veil_audit_record_t *r, const char *json,
                   size_t json_len, const veil_log_t *log)
{
    char text[VEIL_AUDIT_LINE + 2];
    bool is_read = audit_log_is_read(r);
    veil_audit_sink_t *s;
    size_t text_len;
    unsigned i;

    text[0] = '\n';
    text_len = veil_audit_text(r, text + 1, VEIL_AUDIT_LINE);
    text[text_len + 1] = '\n';
    for (i = 0; i < audit_log.sinks->n; i++) {
        s = &audit_log.sinks->sinks[i];
        if (is_read && !s->reads) {
            continue;
        }
        if (s->syslog != NULL) {
            audit_log_to_syslog(r, s->syslog);
        } else {
            audit_log_write(s, (s->json ? json : text) + 1,
                            (s->json ? json_len : text_len) + 1, log);
        }
    }
}

void
veil_audit_log(veil_audit_record_t *r, const veil_log_t *log)
{
    size_t len;
    char *json;

    r->seq = veil_journal_begin(VEIL_JOURNAL_AUDIT);
    r->sec = veil_clock.sec;
    r->msec = veil_clock.msec;
    r->mono_ms = veil_now_ms();
    len = audit_log_json(r, &json);
    veil_journal_end(VEIL_JOURNAL_AUDIT, "audit",
                     audit_log_is_read(r) ? NULL : json + 1, len);
    if (audit_log.sinks == NULL || audit_log.sinks->n == 0) {
        audit_log_as_error(r, log);
    } else {
        audit_log_to_files(r, json, len, log);
    }
    veil_free(json);
}

/* --- what is kept -------------------------------------------------------- */

void
veil_audit_range(uint64_t *first, uint64_t *last)
{
    veil_journal_range(VEIL_JOURNAL_AUDIT, first, last);
}

uint64_t
veil_audit_seq(uint64_t n)
{
    veil_journal_record_t record;

    return veil_journal_look(VEIL_JOURNAL_AUDIT, n, &record) ? record.seq : 0;
}

json_t *
veil_audit_kept(uint64_t n)
{
    return veil_journal_read(VEIL_JOURNAL_AUDIT, n);
}
