/* test_time.c -- clocks, and dates in and out. */

#include <criterion/criterion.h>

#include "core/platform.h"

#include "core/time.h"

static int64_t
parse(const char *z)
{
    return veil_http_date_parse(veil_str_z(z));
}

static void
zone(const char *tz, int64_t now)
{
    (void) setenv("TZ", tz, 1);
    tzset();
    veil_time_set(1000, now, 250);
}

Test(time, texts_of_the_clock)
{
    zone("UTC0", 784111777);
    cr_assert(veil_str_eq_z(veil_clock.http, "Sun, 06 Nov 1994 08:49:37 GMT"));
    cr_assert(veil_str_eq_z(veil_clock.log, "1994/11/06 08:49:37"));
    cr_assert(veil_str_eq_z(veil_clock.clf, "06/Nov/1994:08:49:37 +0000"));
    cr_assert(veil_str_eq_z(veil_clock.iso, "1994-11-06T08:49:37+00:00"));
    cr_assert_eq(veil_now_ms(), 1000);
    cr_assert_eq(veil_clock.msec, 250);
    veil_time_update();
    cr_assert_eq(veil_clock.sec, 784111777, "a set clock stands still");
}

Test(time, zones_east_and_west)
{
    zone("XXX-5:30", 784111777);
    cr_assert_eq(veil_clock.gmtoff_min, 330);
    cr_assert(veil_str_eq_z(veil_clock.http, "Sun, 06 Nov 1994 08:49:37 GMT"));
    cr_assert(veil_str_eq_z(veil_clock.log, "1994/11/06 14:19:37"));
    cr_assert(veil_str_eq_z(veil_clock.iso, "1994-11-06T14:19:37+05:30"));
    zone("XXX9", 784111778);
    cr_assert(veil_str_eq_z(veil_clock.clf, "05/Nov/1994:23:49:38 -0900"));
    cr_assert(veil_str_eq_z(veil_clock.iso, "1994-11-05T23:49:38-09:00"));
}

Test(time, update_reads_the_clocks)
{
    uint64_t before;
    time_t now = time(NULL);

    veil_time_update();
    before = veil_now_ms();
    cr_assert_geq(veil_clock.sec, now);
    cr_assert_leq(veil_clock.sec, now + 60);
    cr_assert_lt(veil_clock.msec, 1000);
    cr_assert_eq(veil_clock.http.len, VEIL_HTTP_DATE_LEN);
    veil_time_update();
    cr_assert_geq(veil_now_ms(), before);
}

Test(time, read_is_of_now_and_changes_nothing)
{
    struct timespec pause = { .tv_nsec = 5000000 };
    uint64_t turn;

    veil_time_update();
    turn = veil_now_ms();
    (void) nanosleep(&pause, NULL);
    cr_assert_geq(veil_time_read_ms(), turn + 4);
    cr_assert_eq(veil_now_ms(), turn);
    veil_time_set(1000, 1767225600, 0);
    cr_assert_eq(veil_time_read_ms(), 1000, "a set clock stands still");
}

Test(time, three_formats)
{
    veil_time_set(1, 1767225600, 0); /* 2026 */
    cr_assert_eq(parse("Sun, 06 Nov 1994 08:49:37 GMT"), 784111777);
    cr_assert_eq(parse("Sunday, 06-Nov-94 08:49:37 GMT"), 784111777);
    cr_assert_eq(parse("Sun Nov  6 08:49:37 1994"), 784111777);
    cr_assert_eq(parse("Wed Nov 16 08:49:37 1994"), 784975777);
    cr_assert_eq(parse("Thu, 01 Jan 1970 00:00:00 GMT"), 0);
}

/* Two digits of a year: at most 50 years ahead, else the past. */
Test(time, short_years)
{
    veil_time_set(1, 1767225600, 0); /* 2026 */
    cr_assert_eq(parse("Thursday, 01-Jan-26 00:00:00 GMT"), 1767225600);
    cr_assert_eq(parse("Wednesday, 01-Jan-76 00:00:00 GMT"), 3345062400);
    cr_assert_eq(parse("Saturday, 01-Jan-77 00:00:00 GMT"), 220924800);
    cr_assert_eq(parse("Saturday, 01-Jan-00 00:00:00 GMT"), 946684800);
}

Test(time, leap_years_and_far_ones)
{
    cr_assert_eq(parse("Tue, 29 Feb 2000 00:00:00 GMT"), 951782400);
    cr_assert_eq(parse("Thu, 29 Feb 2024 23:59:59 GMT"), 1709251199);
    cr_assert_eq(parse("Wed, 29 Feb 2023 00:00:00 GMT"), -1);
    cr_assert_eq(parse("Mon, 29 Feb 2100 00:00:00 GMT"), -1);
    cr_assert_eq(parse("Sun, 28 Feb 2100 00:00:00 GMT"), 4107456000);
    cr_assert_eq(parse("Tue, 29 Feb 2400 00:00:00 GMT"), 13574563200);
    cr_assert_eq(parse("Fri, 31 Dec 9999 23:59:59 GMT"), 253402300799);
    cr_assert_eq(parse("Tue, 19 Jan 2038 03:14:08 GMT"), 2147483648);
    /* A leap second is the second after. */
    cr_assert_eq(parse("Sat, 31 Dec 2016 23:59:60 GMT"), 1483228800);
}

Test(time, no_dates)
{
    static const char *const bad[] = {
        "",
        "S",
        "Sun",
        "Sun,",
        "Sunday",
        "0",
        "Sun, 06 Nov 1994 08:49:37",
        "Sun, 06 Nov 1994 08:49:37 GM",
        "Sun, 06 Nov 1994 08:49:37 GMT ",
        " Sun, 06 Nov 1994 08:49:37 GMT",
        "Sun, 06 Nov 1994 08:49:37 UTC",
        "Sun, 06 Nov 1994 8:49:37 GMT",
        "Sun, 6 Nov 1994 08:49:37 GMT",
        "Sun, 06 nov 1994 08:49:37 GMT",
        "Sun, 06 Nov 94 08:49:37 GMT",
        "Sun, 06-Nov-1994 08:49:37 GMT",
        "Sun, 00 Nov 1994 08:49:37 GMT",
        "Sun, 31 Nov 1994 08:49:37 GMT",
        "Sun, 32 Dec 1994 08:49:37 GMT",
        "Sun, 06 Nov 1994 24:00:00 GMT",
        "Sun, 06 Nov 1994 08:60:37 GMT",
        "Sun, 06 Nov 1994 08:49:61 GMT",
        "Sun, 06 Nov 1969 08:49:37 GMT",
        "Sun, -6 Nov 1994 08:49:37 GMT",
        "Xyz, 06 Nov 1994 08:49:37 GMT",
        "Sunday, 06 Nov 1994 08:49:37 GMT",
        "Sun Nov 6 08:49:37 1994",
        "Sun Nov  6 08:49:37 94",
        "Sun Nov  6 08:49:37 1994 ",
    };
    size_t i;

    veil_time_set(1, 1767225600, 0);
    for (i = 0; i < veil_countof(bad); i++) {
        cr_assert_eq(parse(bad[i]), -1, "\"%s\" is taken", bad[i]);
    }
}

/* Every prefix of a date, and a date with any byte changed, is harmless. */
Test(time, cut_and_changed_dates)
{
    static const char *const good[] = { "Sun, 06 Nov 1994 08:49:37 GMT",
                                        "Sunday, 06-Nov-94 08:49:37 GMT",
                                        "Sun Nov  6 08:49:37 1994" };
    char buf[32];
    size_t i, j, n;
    int c;

    for (i = 0; i < veil_countof(good); i++) {
        n = strlen(good[i]);
        for (j = 0; j < n; j++) {
            char *copy = malloc(j); /* exact, so that ASAN sees a read past */

            cr_assert_neq(copy, NULL);
            memcpy(copy, good[i], j);
            cr_assert_eq(veil_http_date_parse(veil_str_n(copy, j)), -1);
            free(copy);
            memcpy(buf, good[i], n);
            for (c = 0; c < 256; c++) {
                buf[j] = (char) c;
                cr_assert_geq(veil_http_date_parse(veil_str_n(buf, n)), -1);
            }
        }
    }
}

/* Against the C library, through days of every kind. */
Test(time, formats_as_the_c_library)
{
    char buf[VEIL_HTTP_DATE_LEN + 1] = "", want[64];
    int64_t sec;
    struct tm tm;
    time_t t;

    for (sec = 0; sec < 253402300799; sec += 86400 * 9 + 12345) {
        t = (time_t) sec;
        (void) gmtime_r(&t, &tm);
        (void) strftime(want, sizeof(want), "%a, %d %b %Y %H:%M:%S GMT", &tm);
        veil_http_date_format(buf, sec);
        cr_assert_str_eq(buf, want);
        cr_assert_eq(parse(buf), sec);
    }
}

Test(time, out_of_range_is_clamped)
{
    char buf[VEIL_HTTP_DATE_LEN + 1] = "";

    veil_http_date_format(buf, -5);
    cr_assert_str_eq(buf, "Thu, 01 Jan 1970 00:00:00 GMT");
    veil_http_date_format(buf, INT64_MAX);
    cr_assert_str_eq(buf, "Fri, 31 Dec 9999 23:59:59 GMT");
}

Test(time, cookies)
{
    char buf[VEIL_HTTP_DATE_LEN + 1] = "";

    veil_cookie_date_format(buf, 784111777);
    cr_assert_str_eq(buf, "Sun, 06-Nov-1994 08:49:37 GMT");
}
