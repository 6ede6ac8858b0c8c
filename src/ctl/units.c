/*
 * units.c -- numbers as people read them.
 *
 * The server tells plain numbers, with the unit in the name, as scripts want
 * them.  Here the name says what to make of one: three digits are enough to
 * read, and a unit that fits.
 */

#include "core/platform.h"

#include <time.h>

#include "ctl/units.h"

static double
units_abs(double n)
{
    return n < 0 ? -n : n;
}

static bool
units_is_whole(double n)
{
    return units_abs(n) < 1e15 && (double) (int64_t) n == n;
}

/* Three digits and a letter, in steps of 1,000 or 1,024. */
static const char *
units_letter(char *buf, double n, double step)
{
    static const char letters[] = "KMGTPE";
    size_t i = 0;

    n /= step;
    while (units_abs(n) >= step - 0.5 && i + 1 < sizeof(letters) - 1) {
        n /= step;
        i++;
    }
    (void) veil_snprintf(buf, VEIL_CTL_UNIT,
                         units_abs(n) < 99.95 ? "%.1f%c" : "%.0f%c", n,
                         letters[i]);
    return buf;
}

const char *
veil_ctl_unit_count(char *buf, double n)
{
    if (units_abs(n) < 100000) {
        (void) veil_snprintf(buf, VEIL_CTL_UNIT,
                             units_is_whole(n)   ? "%.0f"
                             : units_abs(n) < 10 ? "%.2f"
                                                 : "%.1f",
                             n);
        return buf;
    }
    return units_letter(buf, n, 1000);
}

const char *
veil_ctl_unit_bytes(char *buf, double n)
{
    if (units_abs(n) < 1024) {
        (void) veil_snprintf(buf, VEIL_CTL_UNIT, "%.0f", n);
        return buf;
    }
    return units_letter(buf, n, 1024);
}

const char *
veil_ctl_unit_duration(char *buf, double s)
{
    uint64_t n = s < 0 || s > 1e15 ? 0 : (uint64_t) (s + 0.5);

    if (s < 0 || s > 1e15) {
        (void) veil_snprintf(buf, VEIL_CTL_UNIT, "%gs", s);
    } else if (s < 0.9995) {
        (void) veil_snprintf(buf, VEIL_CTL_UNIT,
                             s >= 0.0095    ? "%.0fms"
                             : s >= 0.00095 ? "%.1fms"
                             : s > 0        ? "%.3fms"
                                            : "0s",
                             s * 1000);
    } else if (s < 59.95) {
        (void) veil_snprintf(
            buf, VEIL_CTL_UNIT,
            s < 9.95 && !units_is_whole(s) ? "%.1fs" : "%.0fs", s);
    } else if (n < 3600) {
        (void) veil_snprintf(buf, VEIL_CTL_UNIT, "%um%02us",
                             (unsigned) (n / 60), (unsigned) (n % 60));
    } else if (n < 86400) {
        (void) veil_snprintf(buf, VEIL_CTL_UNIT, "%uh%02um",
                             (unsigned) (n / 3600),
                             (unsigned) (n % 3600 / 60));
    } else {
        (void) veil_snprintf(buf, VEIL_CTL_UNIT, "%llud%02uh",
                             (unsigned long long) (n / 86400),
                             (unsigned) (n % 86400 / 3600));
    }
    return buf;
}

const char *
veil_ctl_unit_date(char *buf, double seconds)
{
    time_t t = (time_t) seconds;
    struct tm tm;

    if (!(seconds > -6e10 && seconds < 2.5e11) || localtime_r(&t, &tm) == NULL
        || strftime(buf, VEIL_CTL_UNIT, "%Y-%m-%d %H:%M:%S", &tm) == 0)
    {
        (void) veil_snprintf(buf, VEIL_CTL_UNIT, "%g", seconds);
    }
    return buf;
}

/* --- by name --------------------------------------------------------------*/

static bool
units_ends(const char *name, const char *end)
{
    size_t n = strlen(name), m = strlen(end);

    return n >= m && strcmp(name + n - m, end) == 0;
}

static bool
units_is(const char *name, const char *const *list)
{
    for (; *list != NULL; list++) {
        if (strcmp(name, *list) == 0) {
            return true;
        }
    }
    return false;
}

const char *
veil_ctl_unit_number(char *buf, const char *name, const json_t *v)
{
    static const char *const whole[] = {
        "id",   "pid",    "gen",     "generation", "worker", "port",   "slot",
        "line", "column", "version", "seq",        "fd",     "uid",    "gid",
        "cpu",  "status", "serial",  "offset",     "number", "keeper", NULL
    };
    static const char *const bytes[] = { "bytes", "memory", "rss", NULL };
    static const char *const seconds[] = { "uptime", "age", NULL };
    static const char *const times[] = { "at",         "time",      "since",
                                         "not_before", "not_after", "expires",
                                         "started",    NULL };
    double n = json_number_value(v);

    if (name == NULL || units_is(name, whole) || units_ends(name, "_pid")
        || units_ends(name, "_id") || units_ends(name, "_gen"))
    {
        (void) veil_snprintf(buf, VEIL_CTL_UNIT,
                             units_is_whole(n) ? "%.0f" : "%g", n);
        return buf;
    }
    if (units_ends(name, "_ms") && n > 1e12) {
        return veil_ctl_unit_date(buf, n / 1000); /* since 1970 */
    }
    if (units_ends(name, "_ms")) {
        return veil_ctl_unit_duration(buf, n / 1000);
    }
    if (units_ends(name, "_us")) {
        return veil_ctl_unit_duration(buf, n / 1e6);
    }
    if (units_ends(name, "_seconds") || units_is(name, seconds)
        || units_ends(name, "_s"))
    {
        return veil_ctl_unit_duration(buf, n);
    }
    if (units_ends(name, "_bytes") || strncmp(name, "bytes_", 6) == 0
        || units_is(name, bytes))
    {
        return veil_ctl_unit_bytes(buf, n);
    }
    if ((units_ends(name, "_at") || units_is(name, times)) && n > 1e9) {
        /* Milliseconds, if as seconds it were in a far future. */
        return veil_ctl_unit_date(buf, n > 1e11 ? n / 1000 : n);
    }
    return veil_ctl_unit_count(buf, n);
}
