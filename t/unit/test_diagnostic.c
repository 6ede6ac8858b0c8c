/* test_diagnostic.c -- lines of the log on their way to the master. */

#include <criterion/criterion.h>

#include "../../src/process/reload/diagnostic.c"

static int ends[2];
static char sink_lines[4096];
static size_t sink_len;

static void
keep(const veil_log_sink_t *sink VEIL_UNUSED,
     veil_log_level_t level VEIL_UNUSED, const char *line, size_t len)
{
    memcpy(sink_lines + sink_len, line, len);
    sink_len += len;
    sink_lines[sink_len] = '\0';
}

static veil_log_sink_t sink = { .level = VEIL_LOG_ERR, .write = keep };
static veil_log_t log_used;

static void
setup(void)
{
    cr_assert_eq(veil_channel_pair(ends), 0);
    log_used = (veil_log_t){ .level = VEIL_LOG_ERR, .sinks = &sink };
    veil_diagnostic_use(ends[0]);
}

static void
teardown(void)
{
    close(ends[0]);
    close(ends[1]);
}

TestSuite(diagnostic, .init = setup, .fini = teardown);

/* The next line that was sent; NULL: none was. */
static const char *
sent(veil_log_level_t *level)
{
    static veil_message_t m;
    static char text[VEIL_DIAGNOSTIC_TEXT + 1];
    veil_str_t line;

    if (veil_channel_recv(ends[1], &m) != 1) {
        return NULL;
    }
    cr_assert_eq(m.type, VEIL_MSG_DIAGNOSTIC);
    line = veil_diagnostic_line(&m, level);
    veil_str_copy_z(text, sizeof(text), line);
    return text;
}

Test(diagnostic, lines_at_warn_or_worse_are_sent)
{
    veil_log_level_t level;

    veil_diagnostic_tell(&log_used, true);
    veil_log(&log_used, VEIL_LOG_NOTICE, 0, "a notice");
    veil_log(&log_used, VEIL_LOG_WARN, 0, "a warning");
    veil_log(&log_used, VEIL_LOG_EMERG, ENOENT, "open() failed");
    cr_assert_str_eq(sent(&level), "a warning");
    cr_assert_eq(level, VEIL_LOG_WARN);
    cr_assert_str_eq(sent(&level),
                     "open() failed (2: No such file or directory)");
    cr_assert_eq(level, VEIL_LOG_EMERG);
    cr_assert_null(sent(&level));

    /* The log has what it would have had without. */
    cr_assert_null(strstr(sink_lines, "a warning"));
    cr_assert_not_null(strstr(sink_lines, "open() failed"));
}

Test(diagnostic, off_means_off)
{
    veil_log_level_t level;

    veil_diagnostic_tell(&log_used, true);
    veil_diagnostic_tell(&log_used, false);
    cr_assert_eq(log_used.sinks, &sink);
    cr_assert_eq(log_used.level, VEIL_LOG_ERR);
    veil_log(&log_used, VEIL_LOG_ERR, 0, "later");
    cr_assert_null(sent(&level));
}

Test(diagnostic, without_a_channel_nothing_is_sent)
{
    veil_log_level_t level;

    veil_diagnostic_tell(&log_used, true);
    veil_diagnostic_use(-1);
    veil_log(&log_used, VEIL_LOG_ERR, 0, "nobody listens");
    cr_assert_null(sent(&level));
}

Test(diagnostic, a_broken_message_has_no_line)
{
    static veil_message_t m;
    veil_log_level_t level;

    m.len = 2;
    cr_assert_eq(veil_diagnostic_line(&m, &level).len, 0);
    m.len = 8;
    m.data[0] = 200;
    cr_assert_eq(veil_diagnostic_line(&m, &level).len, 0);
}

Test(diagnostic, the_head_of_a_line_is_cut)
{
    static const char line[] =
        "2026/01/02 03:04:05 [emerg] 12#34: *7 text: more\n";
    veil_str_t s = veil_diagnostic_text(line, strlen(line));

    cr_assert(veil_str_eq_z(s, "*7 text: more"));
    cr_assert(veil_str_eq_z(veil_diagnostic_text("odd\n", 4), "odd"));
}

/* --- places -------------------------------------------------------------- */

static void
place_is(const char *line, const char *text, const char *file, unsigned row,
         unsigned column, const char *hint)
{
    veil_diagnostic_place_t p = veil_diagnostic_place(veil_str_z(line));

    cr_assert(veil_str_eq_z(p.text, text), "text of %s is %.*s", line,
              VEIL_STR_ARG(p.text));
    cr_assert(veil_str_eq_z(p.file, file), "file of %s is %.*s", line,
              VEIL_STR_ARG(p.file));
    cr_assert_eq(p.line, row);
    cr_assert_eq(p.column, column);
    cr_assert(veil_str_eq_z(p.hint, hint), "hint of %s is %.*s", line,
              VEIL_STR_ARG(p.hint));
}

Test(diagnostic, places)
{
    place_is("no place here", "no place here", "", 0, 0, "");
    place_is("bad \"x\" in /etc/veil.conf:3:5", "bad \"x\"", "/etc/veil.conf",
             3, 5, "");
    place_is("bad in /etc/veil.conf:3:5 (did you mean \"y\"?)", "bad",
             "/etc/veil.conf", 3, 5, "did you mean \"y\"?");
    place_is("end in a:1:2 (the block \"a (b)\" is open)", "end", "a", 1, 2,
             "the block \"a (b)\" is open");
    place_is("bind() failed (98: Address already in use) in veil.conf:12",
             "bind() failed (98: Address already in use)", "veil.conf", 12, 0,
             "");
    place_is("a word in \"the\" directive in command line:1:9",
             "a word in \"the\" directive", "command line", 1, 9, "");
    place_is("open() failed (2: No such file or directory)",
             "open() failed (2: No such file or directory)", "", 0, 0, "");
    place_is("it ends in 5 ms", "it ends in 5 ms", "", 0, 0, "");
    place_is("what is in :5", "what is in :5", "", 0, 0, "");
}
