/* test_log_rules.c -- other levels than the configured ones, for a while. */

#include <criterion/criterion.h>

#include "core/platform.h"

#include "core/log.h"
#include "core/time.h"

static unsigned wrote[2]; /* lines, by sink */

static void
note(const veil_log_sink_t *sink, veil_log_level_t level, const char *line,
     size_t len)
{
    (void) level;
    (void) line;
    (void) len;
    (*(unsigned *) sink->data)++;
}

static const veil_log_sink_t quiet = { .level = VEIL_LOG_CRIT,
                                       .write = note,
                                       .data = &wrote[1] };
static veil_log_sink_t loud = { .level = VEIL_LOG_ERR,
                                .write = note,
                                .data = &wrote[0] };
static veil_log_t log_of_two = { .level = VEIL_LOG_ERR, .sinks = &loud };

static void
setup(void)
{
    memcpy(&loud.next, &(const veil_log_sink_t *){ &quiet },
           sizeof(loud.next));
    veil_time_set(1000, 1763735318, 0);
}

TestSuite(log_rules, .init = setup);

static veil_log_rules_t rules;

static void
add(const char *part, veil_log_level_t level, uint64_t until_ms)
{
    veil_log_rule_t *r = &rules.rules[rules.n++];

    (void) veil_str_copy_z(r->part, sizeof(r->part), veil_str_z(part));
    r->level = (int) level;
    r->until_ms = until_ms;
    veil_log_set_rules(&rules);
}

static void
wrote_is(unsigned first, unsigned second)
{
    cr_assert_eq(wrote[0], first, "%u", wrote[0]);
    cr_assert_eq(wrote[1], second, "%u", wrote[1]);
    memset(wrote, 0, sizeof(wrote));
}

Test(log_rules, without_rules)
{
    veil_log(&log_of_two, VEIL_LOG_WARN, 0, "no");
    wrote_is(0, 0);
    veil_log(&log_of_two, VEIL_LOG_ERR, 0, "yes");
    wrote_is(1, 0);
    veil_log(&log_of_two, VEIL_LOG_CRIT, 0, "both");
    wrote_is(1, 1);
}

Test(log_rules, more_goes_to_the_most_verbose_sink)
{
    add("", VEIL_LOG_DEBUG, 0);
    veil_log(&log_of_two, VEIL_LOG_DEBUG, 0, "yes");
    wrote_is(1, 0);
    veil_log(&log_of_two, VEIL_LOG_TRACE, 0, "no");
    wrote_is(0, 0);
    veil_log(&log_of_two, VEIL_LOG_CRIT, 0, "both");
    wrote_is(1, 1);
}

Test(log_rules, less_holds_for_all_sinks)
{
    add("", VEIL_LOG_EMERG, 0);
    veil_log(&log_of_two, VEIL_LOG_CRIT, 0, "no");
    wrote_is(0, 0);
    veil_log(&log_of_two, VEIL_LOG_EMERG, 0, "both");
    wrote_is(1, 1);
}

Test(log_rules, what_debug_connection_chose_stays)
{
    veil_log_t all = log_of_two;

    all.all = true;
    all.level = VEIL_LOG_DEBUG;
    add("", VEIL_LOG_EMERG, 0);
    veil_log(&all, VEIL_LOG_DEBUG, 0, "both");
    wrote_is(1, 1);
}

Test(log_rules, a_rule_ends_by_itself)
{
    veil_log_rules_t left;

    add("", VEIL_LOG_DEBUG, 1500);
    veil_log(&log_of_two, VEIL_LOG_DEBUG, 0, "yes");
    wrote_is(1, 0);
    veil_time_set(1499, 1763735318, 0);
    veil_log(&log_of_two, VEIL_LOG_DEBUG, 0, "yes");
    wrote_is(1, 0);
    veil_log_get_rules(&left);
    cr_assert_eq(left.n, 1);
    veil_time_set(1500, 1763735318, 0);
    veil_log(&log_of_two, VEIL_LOG_DEBUG, 0, "no");
    wrote_is(0, 0);
    cr_assert_eq(veil_log_rules_max, 0, "looked at no more");
    veil_log_get_rules(&left);
    cr_assert_eq(left.n, 0);
}

Test(log_rules, the_end_of_one_of_two)
{
    add("", VEIL_LOG_DEBUG, 1500);
    add("core", VEIL_LOG_INFO, 0);
    veil_time_set(1500, 1763735318, 0);
    cr_assert_eq(veil_log_rule_level("src/event/conn.c"), -1);
    cr_assert_eq(veil_log_rule_level("src/core/log.c"), VEIL_LOG_INFO);
    veil_log(&log_of_two, VEIL_LOG_WARN, 0, "no");
    wrote_is(0, 0);
    /* Set again, what has ended is left out. */
    veil_log_set_rules(&rules);
    cr_assert_eq(veil_log_rules_max, VEIL_LOG_INFO);
}

Test(log_rules, taken_back)
{
    add("", VEIL_LOG_DEBUG, 0);
    rules.n = 0;
    veil_log_set_rules(&rules);
    veil_log(&log_of_two, VEIL_LOG_WARN, 0, "no");
    wrote_is(0, 0);
    cr_assert_eq(veil_log_rules_max, 0);
}

Test(log_rules, the_more_exact_rule_wins)
{
    add("http", VEIL_LOG_WARN, 0);
    add("", VEIL_LOG_DEBUG, 0);
    add("upstream", VEIL_LOG_INFO, 0);
    add("upstream_pool", VEIL_LOG_ALERT, 0);
    cr_assert_eq(veil_log_rule_level("src/core/log.c"), VEIL_LOG_DEBUG);
    cr_assert_eq(veil_log_rule_level("src/http/request.c"), VEIL_LOG_WARN);
    cr_assert_eq(veil_log_rule_level("src/http/upstream/upstream.c"),
                 VEIL_LOG_INFO);
    cr_assert_eq(veil_log_rule_level("src/http/upstream/upstream_pool.c"),
                 VEIL_LOG_ALERT);
    cr_assert_eq(veil_log_rule_level("/build/src/http/upstream/x.c"),
                 VEIL_LOG_INFO, "built elsewhere");
    cr_assert_eq(veil_log_rule_level("/http/src/core/x.c"), VEIL_LOG_DEBUG,
                 "what lies before src is no part");
    cr_assert_eq(veil_log_rule_level("src/httpd/x.c"), VEIL_LOG_DEBUG);
}

Test(log_rules, a_rule_for_this_file)
{
    add("test_log_rules", VEIL_LOG_DEBUG, 0);
    veil_log(&log_of_two, VEIL_LOG_DEBUG, 0, "yes");
    wrote_is(1, 0);
    rules.n = 0;
    add("log", VEIL_LOG_DEBUG, 0);
    veil_log(&log_of_two, VEIL_LOG_DEBUG, 0, "no");
    wrote_is(0, 0);
    veil_log(&log_of_two, VEIL_LOG_ERR, 0, "as configured");
    wrote_is(1, 0);
}

Test(log_rules, parts)
{
    cr_assert(veil_log_is_part(VEIL_STR("core")));
    cr_assert(veil_log_is_part(VEIL_STR("log")));
    cr_assert(veil_log_is_part(VEIL_STR("test_log_rules")));
    cr_assert_not(veil_log_is_part(VEIL_STR("")));
    cr_assert_not(veil_log_is_part(VEIL_STR("cor")));
    cr_assert_not(veil_log_is_part(VEIL_STR("core/log")));
    cr_assert_not(veil_log_is_part(VEIL_STR("src")));
}

Test(log_rules, there_are_so_many)
{
    veil_log_rules_t left;
    unsigned i;

    for (i = 0; i < VEIL_LOG_RULES; i++) {
        add("core", VEIL_LOG_INFO, 0);
    }
    rules.n = VEIL_LOG_RULES + 3;
    veil_log_set_rules(&rules);
    veil_log_get_rules(&left);
    cr_assert_eq(left.n, VEIL_LOG_RULES);
}
