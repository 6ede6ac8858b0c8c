/* test_audit_log.c -- where audit records go. */

#include <criterion/criterion.h>
#include <signal.h>
#include <sys/resource.h>

#include "../../src/process/control/audit_log.c"

static char dir[] = "/tmp/veil-audit-XXXXXX";
static char path[64];
static char other[64];

/* The error log of these tests: what was written there. */
static char logged[16384];
static veil_log_level_t logged_level;

static void
note(const veil_log_sink_t *sink, veil_log_level_t level, const char *line,
     size_t len)
{
    size_t used = strlen(logged);

    (void) sink;
    logged_level = level;
    if (used + len < sizeof(logged)) {
        memcpy(logged + used, line, len);
        logged[used + len] = '\0';
    }
}

static const veil_log_sink_t note_sink = { .level = VEIL_LOG_INFO,
                                           .write = note };
static const veil_log_t note_log = { .level = VEIL_LOG_INFO,
                                     .sinks = &note_sink };

static const veil_control_verb_t look = { .name = "status" };
static const veil_control_verb_t change = { .name = "stop",
                                            .flags = VEIL_CONTROL_CHANGES };

static void
setup(void)
{
    cr_assert_not_null(mkdtemp(dir));
    (void) snprintf(path, sizeof(path), "%s/audit.log", dir);
    (void) snprintf(other, sizeof(other), "%s/other.log", dir);
    (void) umask(0);
    veil_time_set(1000, 1763735318, 42);
    (void) signal(SIGPIPE, SIG_IGN);
    (void) signal(SIGXFSZ, SIG_IGN);
}

static void
teardown(void)
{
    veil_audit_use(NULL);
    (void) unlink(path);
    (void) unlink(other);
    (void) rmdir(dir);
}

TestSuite(audit_log, .init = setup, .fini = teardown);

/* Writes there from now on. */
static void
use_file(const char *name, bool json, bool reads, int fd)
{
    veil_audit_message_t m = { .json = json, .reads = reads };

    if (audit_log.sinks == NULL) {
        audit_log.sinks = veil_zalloc(sizeof(*audit_log.sinks));
    }
    (void) veil_str_copy_z(m.path, sizeof(m.path), veil_str_z(name));
    if (fd < 0) {
        fd = veil_audit_open(name, &note_log);
        cr_assert_geq(fd, 0);
    }
    cr_assert(veil_audit_sinks_add(audit_log.sinks, &m, fd));
}

static void
record(const veil_control_verb_t *verb, veil_audit_result_t result)
{
    veil_audit_record_t r;

    memset(&r, 0, sizeof(r));
    r.table = verb;
    r.verb = verb == NULL ? "nonsense" : verb->name;
    r.result = result;
    veil_audit_log(&r, &note_log);
}

static char *
content(const char *name)
{
    static char buf[65536];
    FILE *f = fopen(name, "r");
    size_t n;

    cr_assert_not_null(f, "%s", name);
    n = fread(buf, 1, sizeof(buf) - 1, f);
    buf[n] = '\0';
    fclose(f);
    return buf;
}

static unsigned
lines(const char *text)
{
    unsigned n = 0;

    for (; *text != '\0'; text++) {
        n += *text == '\n';
    }
    return n;
}

static mode_t
mode(const char *name)
{
    struct stat st;

    cr_assert_eq(stat(name, &st), 0);
    return st.st_mode & 07777;
}

/* --- files --------------------------------------------------------------- */

Test(audit_log, a_new_file_has_0640)
{
    int fd = veil_audit_open(path, &note_log);

    cr_assert_geq(fd, 0);
    cr_assert_eq(mode(path), 0640);
    cr_assert_str_eq(logged, "");
    cr_assert_eq(fcntl(fd, F_GETFD) & FD_CLOEXEC, FD_CLOEXEC);
    cr_assert_eq(fcntl(fd, F_GETFL) & O_APPEND, O_APPEND);
    close(fd);
}

Test(audit_log, a_wider_file_is_narrowed)
{
    int fd = open(path, O_WRONLY | O_CREAT, 0666);

    close(fd);
    close(veil_audit_open(path, &note_log));
    cr_assert_eq(mode(path), 0640);
    cr_assert_not_null(strstr(logged, "had the mode 0666, it is 0640 now"),
                       "%s", logged);
    cr_assert_eq(logged_level, VEIL_LOG_WARN);
}

Test(audit_log, a_narrower_file_stays)
{
    int fd = open(path, O_WRONLY | O_CREAT, 0600);

    close(fd);
    close(veil_audit_open(path, &note_log));
    cr_assert_eq(mode(path), 0600);
    cr_assert_str_eq(logged, "");
}

Test(audit_log, what_cannot_be_opened)
{
    cr_assert_eq(veil_audit_open("/nonexistent/audit.log", &note_log),
                 -ENOENT);
    cr_assert_eq(veil_audit_open(dir, &note_log), -EISDIR);
    /* A FIFO that nobody reads would hold the master up. */
    cr_assert_eq(mkfifo(path, 0600), 0);
    cr_assert_eq(veil_audit_open(path, &note_log), -ENXIO);
}

Test(audit_log, both_forms_at_once)
{
    json_t *o;

    use_file(path, false, true, -1);
    use_file(other, true, true, -1);
    record(&change, VEIL_AUDIT_OK);
    record(NULL, VEIL_AUDIT_REFUSED);
    cr_assert_eq(lines(content(path)), 2);
    cr_assert_not_null(
        strstr(content(path),
               "AUDIT seq=1 ts=2025-11-21T14:28:38.042Z mono_ms=1000 "),
        "%s", content(path));
    cr_assert_not_null(strstr(content(path), "\nAUDIT seq=2 "));
    cr_assert_eq(lines(content(other)), 2);
    o = json_loadb(content(other),
                   strchr(content(other), '\n') - content(other), 0, NULL);
    cr_assert_str_eq(json_string_value(json_object_get(o, "verb")), "stop");
    json_decref(o);
    cr_assert_str_eq(logged, "", "nothing in the error log");
}

Test(audit_log, there_are_so_many_sinks)
{
    veil_audit_message_t m = { .json = true };
    unsigned i;

    for (i = 0; i < VEIL_AUDIT_SINKS; i++) {
        use_file(path, false, true, -1);
    }
    cr_assert_not(veil_audit_sinks_add(audit_log.sinks, &m, -1));
}

Test(audit_log, those_who_only_look)
{
    use_file(path, false, true, -1);
    use_file(other, false, false, -1);
    record(&look, VEIL_AUDIT_OK);
    record(&look, VEIL_AUDIT_REFUSED);
    record(&look, VEIL_AUDIT_TIMEOUT);
    record(&change, VEIL_AUDIT_OK);
    cr_assert_eq(lines(content(path)), 4);
    cr_assert_eq(lines(content(other)), 3, "%s", content(other));
}

/* --- without files ------------------------------------------------------- */

Test(audit_log, the_error_log_has_them_otherwise)
{
    record(&change, VEIL_AUDIT_OK);
    cr_assert_not_null(strstr(logged, ": AUDIT seq=1 "), "%s", logged);
    cr_assert_eq(logged_level, VEIL_LOG_NOTICE);
    record(&change, VEIL_AUDIT_ACCEPTED);
    cr_assert_eq(logged_level, VEIL_LOG_NOTICE);
    record(&look, VEIL_AUDIT_OK);
    cr_assert_eq(logged_level, VEIL_LOG_INFO);
    record(&look, VEIL_AUDIT_REFUSED);
    cr_assert_eq(logged_level, VEIL_LOG_WARN);
    record(&change, VEIL_AUDIT_PARTIAL);
    cr_assert_eq(logged_level, VEIL_LOG_WARN);
    cr_assert_eq(lines(logged), 5);
}

/* --- reopening ----------------------------------------------------------- */

Test(audit_log, reopened)
{
    use_file(path, false, true, -1);
    record(&change, VEIL_AUDIT_OK);
    cr_assert_eq(rename(path, other), 0);
    record(&change, VEIL_AUDIT_OK);
    cr_assert_eq(lines(content(other)), 2);
    cr_assert_eq(veil_audit_reopen(&note_log), 0);
    cr_assert_eq(mode(path), 0640);
    record(&change, VEIL_AUDIT_OK);
    cr_assert_eq(lines(content(other)), 2);
    cr_assert_eq(lines(content(path)), 1);
}

Test(audit_log, what_cannot_be_reopened_is_written_on_to)
{
    use_file(path, false, true, -1);
    cr_assert_eq(rename(path, other), 0);
    cr_assert_eq(mkdir(path, 0700), 0);
    cr_assert_eq(veil_audit_reopen(&note_log), 1);
    cr_assert_not_null(strstr(logged, "writing on to the old file"), "%s",
                       logged);
    record(&change, VEIL_AUDIT_OK);
    cr_assert_eq(lines(content(other)), 1);
    cr_assert_eq(rmdir(path), 0);
}

/* --- what fails ---------------------------------------------------------- */

Test(audit_log, a_sink_that_fails)
{
    int ends[2];
    unsigned i;

    cr_assert_eq(pipe(ends), 0);
    close(ends[0]);
    use_file("the pipe", false, true, ends[1]);
    use_file(other, false, true, -1);
    for (i = 0; i < 10; i++) {
        record(&change, VEIL_AUDIT_OK);
    }
    cr_assert_eq(lines(content(other)), 10, "the other has them all");
    cr_assert_not_null(
        strstr(logged, "\"the pipe\" failed, 1 records are lost"), "%s",
        logged);
    cr_assert_eq(lines(logged), 1, "once: %s", logged);
    cr_assert_eq(logged_level, VEIL_LOG_ALERT);
    veil_time_set(1000 + 59999, 1763735318, 42);
    record(&change, VEIL_AUDIT_OK);
    cr_assert_eq(lines(logged), 1);
    veil_time_set(1000 + 60000, 1763735318, 42);
    record(&change, VEIL_AUDIT_OK);
    cr_assert_eq(lines(logged), 2);
    cr_assert_not_null(strstr(logged, "12 records are lost"), "%s", logged);
}

Test(audit_log, a_reader_that_does_not_read)
{
    char drop[4096];
    int ends[2];
    unsigned i;

    cr_assert_eq(pipe2(ends, O_NONBLOCK), 0);
    use_file("the pipe", false, true, ends[1]);
    for (i = 0; i < 1000; i++) {
        record(&change, VEIL_AUDIT_OK);
    }
    cr_assert_not_null(strstr(logged, "records are lost"), "%s", logged);
    while (read(ends[0], drop, sizeof(drop)) > 0) {
        /* all of it */
    }
    record(&change, VEIL_AUDIT_OK);
    cr_assert_not_null(strstr(logged, "is written to again"), "%s", logged);
    cr_assert_eq(logged_level, VEIL_LOG_NOTICE);
    close(ends[0]);
}

Test(audit_log, a_line_cut_by_a_full_disk_is_ended)
{
    struct rlimit limit, old;
    char *text;

    use_file(path, false, true, -1);
    record(&change, VEIL_AUDIT_OK);
    cr_assert_eq(getrlimit(RLIMIT_FSIZE, &old), 0);
    limit = old;
    limit.rlim_cur = strlen(content(path)) + 20;
    cr_assert_eq(setrlimit(RLIMIT_FSIZE, &limit), 0);
    record(&change, VEIL_AUDIT_OK);
    record(&change, VEIL_AUDIT_OK);
    cr_assert_eq(setrlimit(RLIMIT_FSIZE, &old), 0);
    cr_assert_eq(lines(logged), 1, "%s", logged);
    record(&change, VEIL_AUDIT_OK);
    text = content(path);
    cr_assert_eq(lines(text), 3, "%s", text);
    text = strchr(text, '\n') + 1;
    cr_assert_eq(strncmp(text, "AUDIT seq=2 ts=2025-\nAUDIT seq=4 ", 33), 0,
                 "%s", text);
    cr_assert_not_null(strstr(logged, "2 records are lost"), "%s", logged);
}

/* --- what is kept -------------------------------------------------------- */

static unsigned
kept_seq(uint64_t n)
{
    json_t *o = veil_audit_kept(n);
    unsigned seq;

    if (o == NULL) {
        return 0;
    }
    seq = (unsigned) json_integer_value(json_object_get(o, "seq"));
    json_decref(o);
    return seq;
}

static uint64_t
kept_last(void)
{
    uint64_t first, last;

    veil_audit_range(&first, &last);
    return last;
}

Test(audit_log, the_last_are_kept)
{
    unsigned i;

    cr_assert_eq(kept_last(), 0);
    cr_assert_eq(kept_seq(0), 0);
    cr_assert_eq(kept_seq(1), 0);
    record(&look, VEIL_AUDIT_OK);
    cr_assert_eq(kept_last(), 0, "it only looked");
    record(&change, VEIL_AUDIT_OK);
    record(&look, VEIL_AUDIT_REFUSED);
    cr_assert_eq(kept_last(), 2);
    cr_assert_eq(kept_seq(1), 2);
    cr_assert_eq(veil_audit_seq(1), 2);
    cr_assert_eq(veil_audit_seq(3), 0);
    cr_assert_eq(kept_seq(2), 3);
    for (i = 3; i <= VEIL_AUDIT_KEPT + 5; i++) {
        record(&change, VEIL_AUDIT_OK);
    }
    cr_assert_eq(kept_last(), VEIL_AUDIT_KEPT + 5);
    cr_assert_eq(kept_seq(5), 0, "driven out");
    cr_assert_eq(kept_seq(6), 7);
    cr_assert_eq(kept_seq(VEIL_AUDIT_KEPT + 5), VEIL_AUDIT_KEPT + 6);
    cr_assert_eq(kept_seq(VEIL_AUDIT_KEPT + 6), 0);
}
