/*
 * time.c -- the cached clocks, and dates to and from text.
 *
 * A turn of the loop reads two clocks; the four texts are made when the
 * second changes.  They stand in one static buffer each: code that keeps one
 * over a turn copies it.
 *
 * Conversions between seconds and civil dates are done here, by counting days
 * from the first of March of year 0 in the proleptic Gregorian calendar
 * (leap days then come last in a year), because the C library's are slow,
 * take a lock or do not exist for UTC.  Only the local offset comes from it,
 * once a second.
 */

#include "core/platform.h"

#include "core/assert.h"
#include "core/time.h"

#define TIME_DAY 86400

/* Days from 0000-03-01 to 1970-01-01. */
#define TIME_EPOCH_DAYS 719468
#define TIME_ERA_DAYS 146097 /* of 400 years */

/* 9999-12-31 23:59:59: what has four digits of year. */
#define TIME_MAX_SEC 253402300799

typedef struct {
    int year;
    int month; /* 1 to 12 */
    int day;   /* 1 to 31 */
    int hour;
    int min;
    int sec;
    int wday; /* 0: Sunday */
} time_civil_t;

static const char time_days[][4] = { "Sun", "Mon", "Tue", "Wed",
                                     "Thu", "Fri", "Sat" };
static const char time_long_days[][10] = { "Sunday",    "Monday",   "Tuesday",
                                           "Wednesday", "Thursday", "Friday",
                                           "Saturday" };
static const char time_months[][4] = { "Jan", "Feb", "Mar", "Apr",
                                       "May", "Jun", "Jul", "Aug",
                                       "Sep", "Oct", "Nov", "Dec" };

veil_clock_t veil_clock;

static bool time_frozen;
static char time_http[VEIL_HTTP_DATE_LEN];
static char time_log[sizeof("1994/11/06 08:49:37")];
static char time_clf[sizeof("06/Nov/1994:08:49:37 +0000")];
static char time_iso[sizeof("1994-11-06T08:49:37+00:00")];

static void
time_to_civil(int64_t sec, time_civil_t *c)
{
    int64_t days, era;
    int rest, day, year, month;

    if (sec < 0 || sec > TIME_MAX_SEC) {
        sec = sec < 0 ? 0 : TIME_MAX_SEC;
    }
    days = sec / TIME_DAY;
    rest = (int) (sec % TIME_DAY);
    c->hour = rest / 3600;
    c->min = rest / 60 % 60;
    c->sec = rest % 60;
    c->wday = (int) ((days + 4) % 7); /* 1970-01-01 was a Thursday */

    days += TIME_EPOCH_DAYS;
    era = days / TIME_ERA_DAYS;
    day = (int) (days % TIME_ERA_DAYS);
    year = (day - day / 1460 + day / 36524 - day / 146096) / 365;
    day -= 365 * year + year / 4 - year / 100;
    month = (5 * day + 2) / 153; /* 0: March */
    c->day = day - (153 * month + 2) / 5 + 1;
    c->month = month < 10 ? month + 3 : month - 9;
    c->year = (int) (era * 400) + year + (c->month <= 2);
}

static int64_t
time_from_civil(const time_civil_t *c)
{
    int year = c->year - (c->month <= 2);
    int month = c->month > 2 ? c->month - 3 : c->month + 9;
    int in_era = year % 400;
    int64_t days;

    days = (int64_t) (year / 400) * TIME_ERA_DAYS + in_era * 365 + in_era / 4
           - in_era / 100 + (153 * month + 2) / 5 + c->day - 1
           - TIME_EPOCH_DAYS;
    return days * TIME_DAY + c->hour * 3600 + c->min * 60 + c->sec;
}

static char *
time_put2(char *p, int n)
{
    *p++ = (char) ('0' + n / 10);
    *p++ = (char) ('0' + n % 10);
    return p;
}

static char *
time_put4(char *p, int n)
{
    return time_put2(time_put2(p, n / 100), n % 100);
}

static char *
time_put_text(char *p, const char *text, size_t n)
{
    memcpy(p, text, n);
    return p + n;
}

static char *
time_put_hms(char *p, const time_civil_t *c)
{
    p = time_put2(p, c->hour);
    *p++ = ':';
    p = time_put2(p, c->min);
    *p++ = ':';
    return time_put2(p, c->sec);
}

static void
time_format_http(char *p, int64_t sec, char between)
{
    time_civil_t c;

    time_to_civil(sec, &c);
    p = time_put_text(p, time_days[c.wday], 3);
    *p++ = ',';
    *p++ = ' ';
    p = time_put2(p, c.day);
    *p++ = between;
    p = time_put_text(p, time_months[c.month - 1], 3);
    *p++ = between;
    p = time_put4(p, c.year);
    *p++ = ' ';
    p = time_put_hms(p, &c);
    (void) time_put_text(p, " GMT", 4);
}

void
veil_http_date_format(char *dst, int64_t sec)
{
    time_format_http(dst, sec, ' ');
}

void
veil_cookie_date_format(char *dst, int64_t sec)
{
    time_format_http(dst, sec, '-');
}

/* "1994/11/06 08:49:37", with other separators for ISO 8601. */
static char *
time_put_stamp(char *p, const time_civil_t *c, char date, char middle)
{
    p = time_put4(p, c->year);
    *p++ = date;
    p = time_put2(p, c->month);
    *p++ = date;
    p = time_put2(p, c->day);
    *p++ = middle;
    return time_put_hms(p, c);
}

static void
time_make_texts(int64_t sec, int gmtoff_min)
{
    int off = gmtoff_min < 0 ? -gmtoff_min : gmtoff_min;
    char sign = gmtoff_min < 0 ? '-' : '+';
    time_civil_t c;
    char *p;

    veil_http_date_format(time_http, sec);
    veil_clock.http = veil_str_n(time_http, VEIL_HTTP_DATE_LEN);

    time_to_civil(sec + gmtoff_min * 60, &c);
    (void) time_put_stamp(time_log, &c, '/', ' ');
    veil_clock.log = veil_str_n(time_log, sizeof(time_log) - 1);

    p = time_put2(time_clf, c.day);
    *p++ = '/';
    p = time_put_text(p, time_months[c.month - 1], 3);
    *p++ = '/';
    p = time_put4(p, c.year);
    *p++ = ':';
    p = time_put_hms(p, &c);
    *p++ = ' ';
    *p++ = sign;
    (void) time_put2(time_put2(p, off / 60), off % 60);
    veil_clock.clf = veil_str_n(time_clf, sizeof(time_clf) - 1);

    p = time_put_stamp(time_iso, &c, '-', 'T');
    *p++ = sign;
    p = time_put2(p, off / 60);
    *p++ = ':';
    (void) time_put2(p, off % 60);
    veil_clock.iso = veil_str_n(time_iso, sizeof(time_iso) - 1);
}

static void
time_apply(uint64_t now_ms, int64_t sec, unsigned msec)
{
    struct tm tm;
    time_t t = (time_t) sec;

    veil_clock.now_ms = now_ms;
    veil_clock.msec = msec;
    if (sec == veil_clock.sec && veil_clock.http.len != 0) {
        return;
    }
    veil_clock.sec = sec;
    veil_clock.gmtoff_min =
        localtime_r(&t, &tm) == NULL ? 0 : (int) (tm.tm_gmtoff / 60);
    time_make_texts(sec, veil_clock.gmtoff_min);
}

void
veil_time_update(void)
{
    struct timespec mono, wall;

    if (veil_unlikely(time_frozen)) {
        return;
    }
    /* Both are exact clocks: the coarse ones lag by a tick of 1 to 10 ms. */
    VEIL_ASSERT(clock_gettime(CLOCK_MONOTONIC, &mono) == 0);
    VEIL_ASSERT(clock_gettime(CLOCK_REALTIME, &wall) == 0);
    time_apply((uint64_t) mono.tv_sec * 1000
                   + (uint64_t) mono.tv_nsec / 1000000,
               (int64_t) wall.tv_sec, (unsigned) (wall.tv_nsec / 1000000));
}

uint64_t
veil_time_read_ms(void)
{
    struct timespec mono;

    if (veil_unlikely(time_frozen)) {
        return veil_now_ms();
    }
    VEIL_ASSERT(clock_gettime(CLOCK_MONOTONIC, &mono) == 0);
    return (uint64_t) mono.tv_sec * 1000 + (uint64_t) mono.tv_nsec / 1000000;
}

void
veil_time_set(uint64_t now_ms, int64_t sec, unsigned msec)
{
    time_frozen = true;
    time_apply(now_ms, sec, msec);
}

/* A cursor over the text of a date; takes fail by setting bad. */
typedef struct {
    veil_str_t s;
    bool bad;
} time_scan_t;

static int
time_take_int(time_scan_t *t, size_t digits)
{
    int64_t n = -1;

    if (t->s.len >= digits) {
        n = veil_str_to_int(veil_str_n(t->s.data, digits));
        t->s = veil_str_from(t->s, digits);
    }
    t->bad = t->bad || n < 0;
    return (int) n;
}

static void
time_take(time_scan_t *t, veil_str_t text)
{
    if (!veil_str_starts(t->s, text)) {
        t->bad = true;
        return;
    }
    t->s = veil_str_from(t->s, text.len);
}

static int
time_take_month(time_scan_t *t)
{
    int i;

    for (i = 0; i < (int) veil_countof(time_months); i++) {
        if (veil_str_starts(t->s, veil_str_n(time_months[i], 3))) {
            t->s = veil_str_from(t->s, 3);
            return i + 1;
        }
    }
    t->bad = true;
    return 0;
}

static void
time_take_hms(time_scan_t *t, time_civil_t *c)
{
    c->hour = time_take_int(t, 2);
    time_take(t, VEIL_STR(":"));
    c->min = time_take_int(t, 2);
    time_take(t, VEIL_STR(":"));
    c->sec = time_take_int(t, 2);
}

/* "06 Nov 1994 08:49:37 GMT" */
static void
time_take_imf(time_scan_t *t, time_civil_t *c)
{
    c->day = time_take_int(t, 2);
    time_take(t, VEIL_STR(" "));
    c->month = time_take_month(t);
    time_take(t, VEIL_STR(" "));
    c->year = time_take_int(t, 4);
    time_take(t, VEIL_STR(" "));
    time_take_hms(t, c);
    time_take(t, VEIL_STR(" GMT"));
}

/* "06-Nov-94 08:49:37 GMT" */
static void
time_take_rfc850(time_scan_t *t, time_civil_t *c)
{
    time_civil_t now;

    c->day = time_take_int(t, 2);
    time_take(t, VEIL_STR("-"));
    c->month = time_take_month(t);
    time_take(t, VEIL_STR("-"));
    c->year = time_take_int(t, 2);
    time_take(t, VEIL_STR(" "));
    time_take_hms(t, c);
    time_take(t, VEIL_STR(" GMT"));

    /* More than 50 years ahead means the past (RFC 9110, 5.6.7). */
    time_to_civil(veil_clock.sec, &now);
    c->year += now.year / 100 * 100;
    if (c->year > now.year + 50) {
        c->year -= 100;
    }
}

/* "Nov  6 08:49:37 1994" */
static void
time_take_asctime(time_scan_t *t, time_civil_t *c)
{
    c->month = time_take_month(t);
    time_take(t, VEIL_STR(" "));
    if (t->s.len != 0 && t->s.data[0] == ' ') {
        t->s = veil_str_from(t->s, 1);
        c->day = time_take_int(t, 1);
    } else {
        c->day = time_take_int(t, 2);
    }
    time_take(t, VEIL_STR(" "));
    time_take_hms(t, c);
    time_take(t, VEIL_STR(" "));
    c->year = time_take_int(t, 4);
}

static bool
time_is_date(const time_civil_t *c)
{
    static const signed char days[] = { 31, 28, 31, 30, 31, 30,
                                        31, 31, 30, 31, 30, 31 };
    bool leap = (c->year % 4 == 0 && c->year % 100 != 0) || c->year % 400 == 0;
    int max;

    if (c->year < 1970 || c->month < 1 || c->month > 12) {
        return false;
    }
    max = days[c->month - 1] + (c->month == 2 && leap);
    /* Second 60 is a leap second (RFC 9110, 5.6.7). */
    return c->day >= 1 && c->day <= max && c->hour <= 23 && c->min <= 59
           && c->sec <= 60;
}

int64_t
veil_http_date_parse(veil_str_t s)
{
    time_scan_t t = { .s = s };
    time_civil_t c;
    veil_str_t name;
    size_t i;

    memset(&c, 0, sizeof(c));
    for (i = 0; i < veil_countof(time_days); i++) {
        name = veil_str_z(time_long_days[i]);
        if (veil_str_starts(s, name)) {
            t.s = veil_str_from(s, name.len);
            time_take(&t, VEIL_STR(", "));
            time_take_rfc850(&t, &c);
            break;
        }
        if (veil_str_starts(s, veil_str_n(time_days[i], 3))) {
            t.s = veil_str_from(s, 3);
            if (veil_str_starts(t.s, VEIL_STR(", "))) {
                time_take(&t, VEIL_STR(", "));
                time_take_imf(&t, &c);
            } else {
                time_take(&t, VEIL_STR(" "));
                time_take_asctime(&t, &c);
            }
            break;
        }
    }
    if (i == veil_countof(time_days) || t.bad || t.s.len != 0
        || !time_is_date(&c)) {
        return -1;
    }
    return time_from_civil(&c);
}
