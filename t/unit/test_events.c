/* test_events.c -- the ring of events and those who read it. */

#include <criterion/criterion.h>
#include <criterion/parameterized.h>

#include "../../src/process/control/events.c"

static const veil_event_source_t here = { .generation = 3,
                                          .worker = 2,
                                          .pid = 99 };

static void
setup(void)
{
    veil_time_set(1000, 1763735318, 42);
}

TestSuite(events, .init = setup);

static void
add(const char *kind, unsigned n)
{
    while (n-- > 0) {
        veil_events_add(&here, kind, NULL);
    }
}

/* The number of the next line; -N: N are lost; 0: there is none. */
static long
next(veil_event_reader_t *r)
{
    json_t *line = veil_event_reader_next(r);
    const json_t *lost = json_object_get(line, "lost");
    long n;

    if (line == NULL) {
        return 0;
    }
    n = lost != NULL ? -(long) json_integer_value(lost)
                     : (long) json_integer_value(json_object_get(line, "seq"));
    json_decref(line);
    return n;
}

/* --- kinds --------------------------------------------------------------- */

typedef struct {
    char kinds[40];
    char kind[24];
    bool match;
} kinds_case_t;

ParameterizedTestParameters(events, kinds)
{
    static kinds_case_t cases[] = {
        { "", "anything", true },
        { "a", "a", true },
        { "a", "ab", false },
        { "ab", "a", false },
        { "*", "anything", true },
        { "*", "", true },
        { "a*", "a", true },
        { "a*", "abc", true },
        { "a*", "ba", false },
        { "*c", "abc", true },
        { "*c", "abcd", false },
        { "a*c", "ac", true },
        { "a*c", "abbc", true },
        { "a*c", "abcb", false },
        { "*b*", "abc", true },
        { "*ab*ab*", "aabab", true },
        { "*ab*ab*", "aabb", false },
        { "**", "x", true },
        { "server.*", "server.down", true },
        { "server.*", "server", false },
        { "server.*", "serverxdown", false },
        { "a,b", "b", true },
        { "a,b", "c", false },
        { "a, b*", "bc", true },
        { " a ,b", "a", true },
        { ",", "a", false },
        { "a,*", "z", true },
        { "?", "a", false },
        { "[a]", "a", false },
    };

    return cr_make_param_array(kinds_case_t, cases,
                               sizeof(cases) / sizeof(cases[0]));
}

ParameterizedTest(kinds_case_t *c, events, kinds)
{
    cr_assert_eq(events_match(c->kinds, c->kind), c->match,
                 "\"%s\" and \"%s\"", c->kinds, c->kind);
}

Test(events, a_glob_takes_no_long_time)
{
    char kind[VEIL_CONTROL_VERB_MAX];

    memset(kind, 'a', sizeof(kind));
    kind[sizeof(kind) - 1] = '\0';
    cr_assert_not(events_match("a*a*a*a*a*a*a*a*a*a*a*a*a*a*a*a*a*a*b", kind));
}

/* --- the line ------------------------------------------------------------ */

Test(events, the_line)
{
    veil_event_reader_t r;
    json_t *line;
    char *text;

    cr_assert(veil_event_reader_init(&r, NULL));
    veil_events_add(&here, "server.down", json_pack("{s:s}", "a", "b"));
    line = veil_event_reader_next(&r);
    text = json_dumps(line, JSON_COMPACT);
    cr_assert_str_eq(text, "{\"seq\":1,\"ts\":\"2025-11-21T14:28:38.042Z\","
                           "\"kind\":\"server.down\",\"generation\":3,"
                           "\"worker\":1,\"pid\":99,\"data\":{\"a\":\"b\"}}");
    free(text);
    json_decref(line);
}

Test(events, of_the_master)
{
    veil_event_reader_t r;
    json_t *line;

    cr_assert(veil_event_reader_init(&r, NULL));
    veil_events_begin();
    veil_control_event("x", NULL);
    line = veil_event_reader_next(&r);
    cr_assert(json_is_null(json_object_get(line, "generation")));
    cr_assert(json_is_null(json_object_get(line, "worker")));
    cr_assert_eq(json_integer_value(json_object_get(line, "pid")), getpid());
    cr_assert(json_is_object(json_object_get(line, "data")));
    json_decref(line);
}

Test(events, that_came_up)
{
    veil_event_message_t m = {
        .generation = 4, .worker = 0, .pid = 5, .lost = 7, .kind = "k"
    };
    veil_event_reader_t r;
    json_t *line;

    cr_assert(veil_event_reader_init(&r, NULL));
    veil_events_take(&m, json_pack("{s:i}", "a", 1));
    line = veil_event_reader_next(&r);
    cr_assert_str_eq(json_string_value(json_object_get(line, "kind")),
                     "events.lost");
    cr_assert_eq(json_integer_value(
                     json_object_get(json_object_get(line, "data"), "lost")),
                 7);
    json_decref(line);
    line = veil_event_reader_next(&r);
    cr_assert_str_eq(json_string_value(json_object_get(line, "kind")), "k");
    cr_assert_eq(json_integer_value(json_object_get(line, "worker")), 0);
    json_decref(line);
    m.lost = 0;
    m.worker = VEIL_ANSWER_NO_WORKER;
    veil_events_take(&m, json_null());
    line = veil_event_reader_next(&r);
    cr_assert(json_is_null(json_object_get(line, "worker")));
    json_decref(line);
    cr_assert_eq(veil_events_last(), 3);
}

/* --- readers ------------------------------------------------------------- */

Test(events, a_reader_begins_with_what_comes)
{
    veil_event_reader_t r;

    add("a", 3);
    cr_assert(veil_event_reader_init(&r, ""));
    cr_assert_eq(next(&r), 0);
    add("a", 2);
    cr_assert_eq(next(&r), 4);
    cr_assert_eq(next(&r), 5);
    cr_assert_eq(next(&r), 0);
}

Test(events, a_reader_sees_its_kinds)
{
    veil_event_reader_t r;

    cr_assert(veil_event_reader_init(&r, "b*"));
    add("a", 5);
    add("bc", 1);
    add("a", 5);
    add("b", 1);
    cr_assert_eq(next(&r), 6);
    cr_assert_eq(next(&r), 12);
    cr_assert_eq(next(&r), 0);
}

Test(events, since_a_number)
{
    veil_event_reader_t r;

    add("a", 10);
    cr_assert(veil_event_reader_init(&r, ""));
    veil_event_reader_since(&r, 0);
    cr_assert_eq(next(&r), 1);
    veil_event_reader_since(&r, 8);
    cr_assert_eq(next(&r), 9);
    veil_event_reader_since(&r, 10);
    cr_assert_eq(next(&r), 0);
    veil_event_reader_since(&r, UINT64_MAX);
    cr_assert_eq(next(&r), 0);
    add("a", 1);
    cr_assert_eq(next(&r), 11, "what comes then is seen");
}

Test(events, the_last_of_a_kind)
{
    veil_event_reader_t r;

    add("a", 3);
    add("b", 1);
    add("a", 3);
    cr_assert(veil_event_reader_init(&r, "a"));
    veil_event_reader_back(&r, 4);
    cr_assert_eq(next(&r), 3);
    cr_assert_eq(next(&r), 5);
    veil_event_reader_back(&r, 100);
    cr_assert_eq(next(&r), 1);
    cr_assert(veil_event_reader_init(&r, "c"));
    veil_event_reader_back(&r, 1);
    cr_assert_eq(next(&r), 0);
    cr_assert(veil_event_reader_init(&r, "a"));
    veil_event_reader_back(&r, 0);
    cr_assert_eq(next(&r), 0);
}

Test(events, who_does_not_read_is_overtaken)
{
    veil_event_reader_t r;

    cr_assert(veil_event_reader_init(&r, ""));
    add("a", VEIL_EVENTS_KEPT);
    cr_assert_eq(next(&r), 1, "all are there");
    add("a", 1);
    cr_assert_eq(next(&r), 2);
    add("a", 9);
    cr_assert_eq(next(&r), -8);
    cr_assert_eq(next(&r), 11);
    cr_assert_eq(next(&r), 12);
    veil_event_reader_since(&r, 0);
    cr_assert_eq(next(&r), -10);
    cr_assert_eq(next(&r), 11);
    add("a", 3 * VEIL_EVENTS_KEPT);
    cr_assert_lt(next(&r), -2000);
    cr_assert_eq(next(&r), 3 * VEIL_EVENTS_KEPT + 11);
    veil_event_reader_back(&r, UINT64_MAX);
    cr_assert_eq(next(&r), 3 * VEIL_EVENTS_KEPT + 11, "no further than that");
}

Test(events, long_names)
{
    veil_event_reader_t r;
    char kind[100], kinds[VEIL_EVENTS_KINDS + 1];
    json_t *line;

    memset(kind, 'k', sizeof(kind));
    kind[99] = '\0';
    cr_assert(veil_event_reader_init(&r, "k*"));
    add(kind, 1);
    line = veil_event_reader_next(&r);
    cr_assert_eq(json_string_length(json_object_get(line, "kind")),
                 VEIL_CONTROL_VERB_MAX - 1);
    json_decref(line);
    memset(kinds, 'k', sizeof(kinds));
    kinds[VEIL_EVENTS_KINDS] = '\0';
    cr_assert_not(veil_event_reader_init(&r, kinds));
    kinds[VEIL_EVENTS_KINDS - 1] = '\0';
    cr_assert(veil_event_reader_init(&r, kinds));
}
