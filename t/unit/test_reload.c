/* test_reload.c -- what is remembered of loads. */

#include <criterion/criterion.h>

#include "../../src/process/reload/reload.c"

static char lines[8192];
static size_t lines_len;

static void
keep(const veil_log_sink_t *sink VEIL_UNUSED,
     veil_log_level_t level VEIL_UNUSED, const char *line, size_t len)
{
    memcpy(lines + lines_len, line, len);
    lines_len += len;
    lines[lines_len] = '\0';
}

static veil_log_sink_t sink = { .level = VEIL_LOG_NOTICE, .write = keep };
static const veil_log_t used = { .level = VEIL_LOG_NOTICE, .sinks = &sink };
static char events[256];

static void
event(const char *kind, json_t *data)
{
    veil_snprintf(
        events + strlen(events), sizeof(events) - strlen(events), "%s %lld;",
        kind,
        (long long) json_integer_value(json_object_get(data, "generation")));
    json_decref(data);
}

static void
setup(void)
{
    veil_control_event_sink = event;
    veil_time_set(5000, 1000000, 0);
}

static void
teardown(void)
{
    unsigned i;

    for (i = 0; i < VEIL_RELOAD_KEPT; i++) {
        json_decref(reload_results[i].diagnostics);
        json_decref(reload_results[i].diff);
    }
}

TestSuite(reload, .init = setup, .fini = teardown);

static void
note(veil_reload_result_t *r, veil_log_level_t level, const char *text)
{
    veil_reload_note(r, level, veil_str_z(text));
}

static const char *
str_of(const json_t *o, const char *name)
{
    return json_string_value(json_object_get(o, name));
}

static long long
int_of(const json_t *o, const char *name)
{
    return json_integer_value(json_object_get(o, name));
}

Test(reload, one_that_works)
{
    veil_reload_result_t *r = veil_reload_begin(3, 2, VEIL_RELOAD_SIGNAL);
    json_t *o;

    cr_assert_null(veil_reload_last(0), "it is not over");
    note(r, VEIL_LOG_WARN, "odd in a.conf:3:1");
    veil_reload_set_diff(r, json_pack("{s:s, s:[s]}", "summary", "1 changed",
                                      "changes", "secret"));
    veil_time_set(5040, 1000000, 40);
    veil_reload_end(r, NULL, NULL, &used);

    cr_assert_not_null(strstr(lines, "[notice] "), "it is said at notice: %s",
                       lines);
    cr_assert_not_null(
        strstr(lines, "reloaded: generation 3 follows 2 after 40 ms, 1 "
                      "warning; 1 changed\n"),
        "%s", lines);
    cr_assert_str_eq(events, "reload.ok 3;");
    cr_assert_eq(veil_reload_last(0), r);
    o = veil_reload_json(r, true);
    cr_assert(json_is_true(json_object_get(o, "ok")));
    cr_assert_eq(int_of(o, "elapsed_ms"), 40);
    cr_assert_eq(int_of(o, "warnings"), 1);
    cr_assert_str_eq(str_of(o, "cause"), "signal");
    cr_assert_not_null(json_object_get(json_object_get(o, "diff"), "changes"));
    json_decref(o);

    o = veil_reload_json(r, false);
    cr_assert_null(json_object_get(json_object_get(o, "diff"), "changes"),
                   "the texts of directives are not for everybody");
    cr_assert_null(json_object_get(o, "diagnostics"));
    json_decref(o);
    cr_assert_not_null(json_object_get(r->diff, "changes"), "still there");
}

Test(reload, one_that_fails_says_all_that_was_wrong)
{
    veil_reload_result_t *r = veil_reload_begin(4, 3, VEIL_RELOAD_VERB);
    const json_t *d;
    json_t *o;

    note(r, VEIL_LOG_EMERG,
         "unknown directive \"lisen\" in a.conf:3:5 (did you mean "
         "\"listen\"?)");
    note(r, VEIL_LOG_EMERG, "    lisen 80;");
    note(r, VEIL_LOG_EMERG, "    ^");
    note(r, VEIL_LOG_EMERG, "and a second");
    note(r, VEIL_LOG_EMERG, "    with blanks, of no place");
    veil_reload_end(r, VEIL_E_INVALID, "unused", &used);
    note(r, VEIL_LOG_EMERG, "too late");

    cr_assert_not_null(
        strstr(lines, "the new configuration was not taken (E_INVALID), "
                      "generation 3 goes on serving: unknown directive "
                      "\"lisen\" in a.conf:3:5 (did"),
        "%s", lines);
    cr_assert_str_eq(events, "reload.failed 4;");
    o = veil_reload_json(r, true);
    cr_assert_str_eq(str_of(o, "code"), "E_INVALID");
    cr_assert_eq(int_of(o, "errors"), 3);
    cr_assert_eq(json_array_size(json_object_get(o, "diagnostics")), 3);
    d = json_array_get(json_object_get(o, "diagnostics"), 0);
    cr_assert_str_eq(str_of(d, "level"), "emerg");
    cr_assert_str_eq(str_of(d, "message"), "unknown directive \"lisen\"");
    cr_assert_str_eq(str_of(d, "file"), "a.conf");
    cr_assert_eq(int_of(d, "line"), 3);
    cr_assert_eq(int_of(d, "column"), 5);
    cr_assert_str_eq(str_of(d, "hint"), "did you mean \"listen\"?");
    d = json_object_get(d, "excerpt");
    cr_assert_str_eq(json_string_value(json_array_get(d, 0)), "lisen 80;");
    cr_assert_str_eq(json_string_value(json_array_get(d, 1)), "^");
    json_decref(o);
}

Test(reload, a_reason_when_nothing_was_said)
{
    veil_reload_result_t *r = veil_reload_begin(4, 3, VEIL_RELOAD_VERB);

    note(r, VEIL_LOG_WARN, "only a warning");
    veil_reload_end(r, VEIL_E_TIMEOUT, "it was not ready in time", &used);
    cr_assert_str_eq(r->reason, "it was not ready in time");
}

Test(reload, diagnostics_are_bounded)
{
    veil_reload_result_t *r = veil_reload_begin(2, 1, VEIL_RELOAD_VERB);
    char text[1025];
    unsigned i;

    memset(text, 'x', sizeof(text) - 1);
    text[sizeof(text) - 1] = '\0';
    for (i = 0; i < 100; i++) {
        note(r, VEIL_LOG_WARN, text);
    }
    cr_assert_eq(json_array_size(r->diagnostics), 64);
    cr_assert_eq(r->dropped, 36);
    cr_assert_eq(r->warnings, 100, "they are counted all the same");
    veil_reload_end(r, NULL, NULL, &used);
}

Test(reload, what_is_no_text_becomes_one)
{
    veil_reload_result_t *r = veil_reload_begin(2, 1, VEIL_RELOAD_VERB);
    const json_t *d;

    note(r, VEIL_LOG_EMERG, "a \xff b");
    d = json_array_get(r->diagnostics, 0);
    cr_assert_str_eq(str_of(d, "message"), "a ? b");
    veil_reload_end(r, VEIL_E_INVALID, "", &used);
}

Test(reload, the_last_ones_are_kept)
{
    unsigned i;

    for (i = 1; i <= 20; i++) {
        veil_reload_end(veil_reload_begin(i, i - 1, VEIL_RELOAD_SIGNAL), NULL,
                        NULL, &used);
    }
    cr_assert_eq(veil_reload_last(0)->generation, 20);
    cr_assert_eq(veil_reload_last(7)->generation, 13);
    cr_assert_null(veil_reload_last(8));
    (void) veil_reload_begin(21, 20, VEIL_RELOAD_SIGNAL);
    cr_assert_eq(veil_reload_last(0)->generation, 20);
    cr_assert_eq(veil_reload_last(6)->generation, 14);
    cr_assert_null(veil_reload_last(7));
}

static unsigned called;

static void
ended(veil_reload_waiter_t *w, const veil_reload_result_t *r)
{
    called++;
    cr_assert_eq(w->generation, r->generation);
}

Test(reload, those_who_wait_are_called_once)
{
    veil_reload_result_t *r = veil_reload_begin(2, 1, VEIL_RELOAD_VERB);
    veil_reload_waiter_t one = { .ended = ended };
    veil_reload_waiter_t gone = { .ended = ended };
    veil_reload_waiter_t other = { .ended = ended };

    veil_reload_wait(&one, 2);
    veil_reload_wait(&gone, 2);
    veil_reload_wait(&other, 3);
    veil_reload_wait_no_more(&gone);
    veil_reload_end(r, NULL, NULL, &used);
    cr_assert_eq(called, 1);
    veil_reload_end(r, NULL, NULL, &used);
    cr_assert_eq(called, 1);
    veil_reload_wait_no_more(&other);
}

Test(reload, a_log_that_is_noted)
{
    veil_reload_result_t *r = veil_reload_begin(2, 1, VEIL_RELOAD_VERB);
    veil_log_t quiet = { .level = VEIL_LOG_OFF };
    veil_reload_log_t noted;

    veil_reload_log(&noted, r, &used);
    veil_log(&noted.log, VEIL_LOG_EMERG, EADDRINUSE, "bind() failed");
    cr_assert_str_eq(r->reason, "bind() failed (98: Address already in use)");
    cr_assert_not_null(strstr(lines, "bind() failed (98"));
    veil_reload_log(&noted, r, &quiet);
    veil_log(&noted.log, VEIL_LOG_WARN, 0, "noted, and nowhere else");
    cr_assert_eq(r->warnings, 1);
    cr_assert_null(strstr(lines, "nowhere else"));
    veil_reload_log(&noted, NULL, &used);
    veil_log(&noted.log, VEIL_LOG_WARN, 0, "of no load");
    cr_assert_not_null(strstr(lines, "of no load"));
    veil_reload_end(r, VEIL_E_FAILED, "", &used);
}
