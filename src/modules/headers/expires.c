/*
 * expires.c -- "expires": Expires and Cache-Control from a time.
 *
 *     expires 30d;            counted from now
 *     expires modified +1h;   from Last-Modified, where there is one
 *     expires @15h30m;        at that time of the day, local time
 *     expires -1;             stale already: no-cache
 *     expires epoch | max | off | $variable;
 *
 * The results are nginx's, to the second.
 */

#include "core/platform.h"

#include <time.h>

#include "core/time.h"
#include "modules/headers/expires.h"

typedef enum {
    EXPIRES_OFF,
    EXPIRES_EPOCH,
    EXPIRES_MAX,
    EXPIRES_ACCESS,
    EXPIRES_MODIFIED,
    EXPIRES_DAILY
} expires_kind_t;

typedef struct {
    expires_kind_t kind;
    int64_t seconds;
} expires_time_t;

struct veil_http_expires_s {
    const veil_http_value_t *value; /* NULL: time is fixed */
    bool modified;
    expires_time_t time;
};

/* NULL, or what is wrong with the text. */
static const char *
expires_parse(veil_str_t s, bool modified, expires_time_t *t)
{
    bool minus = false;
    int64_t ms;

    t->kind = modified ? EXPIRES_MODIFIED : EXPIRES_ACCESS;
    if (!modified) {
        if (veil_str_eq(s, VEIL_STR("epoch"))) {
            t->kind = EXPIRES_EPOCH;
            return NULL;
        }
        if (veil_str_eq(s, VEIL_STR("max"))) {
            t->kind = EXPIRES_MAX;
            return NULL;
        }
        if (veil_str_eq(s, VEIL_STR("off"))) {
            t->kind = EXPIRES_OFF;
            return NULL;
        }
    }
    if (s.len != 0 && s.data[0] == '@') {
        if (modified) {
            return "a time of the day cannot be used with \"modified\"";
        }
        t->kind = EXPIRES_DAILY;
        s = veil_str_from(s, 1);
    } else if (s.len != 0 && (s.data[0] == '-' || s.data[0] == '+')) {
        minus = s.data[0] == '-';
        s = veil_str_from(s, 1);
    }
    ms = veil_str_to_msec(s);
    if (ms < 0) {
        return "invalid time";
    }
    t->seconds = ms / 1000;
    if (t->kind == EXPIRES_DAILY && t->seconds > 24 * 60 * 60) {
        return "a time of the day must be less than 24 hours";
    }
    if (minus) {
        t->seconds = -t->seconds;
    }
    return NULL;
}

veil_http_expires_t *
veil_http_expires_compile(veil_conf_t *cf)
{
    veil_http_expires_t *e = VEIL_POOL_NEW(cf->pool, veil_http_expires_t);
    unsigned arg = veil_conf_nargs(cf) - 1;
    veil_str_t s = veil_conf_arg(cf, arg);
    static const char *const words[] = { "modified", NULL };
    const char *wrong;

    if (arg == 2) {
        if (!veil_str_eq(veil_conf_arg(cf, 1), VEIL_STR("modified"))) {
            (void) veil_conf_error_word(cf, 1, words);
            return NULL;
        }
        e->modified = true;
    }
    e->value = veil_http_value_compile(cf, s);
    if (e->value == NULL) {
        return NULL;
    }
    if (!veil_http_value_is_constant(e->value)) {
        return e;
    }
    e->value = NULL;
    wrong = expires_parse(s, e->modified, &e->time);
    if (wrong != NULL) {
        (void) veil_conf_error_at(cf, arg, "%s: \"%.*s\"", wrong,
                                  VEIL_STR_ARG(s));
        return NULL;
    }
    return e;
}

/* The next time that the local clock shows so many seconds since midnight. */
static int64_t
expires_next(int64_t now, int64_t seconds)
{
    time_t t = (time_t) now;
    struct tm tm;
    int64_t next;

    (void) localtime_r(&t, &tm);
    tm.tm_hour = (int) (seconds / 3600);
    tm.tm_min = (int) (seconds / 60 % 60);
    tm.tm_sec = (int) (seconds % 60);
    tm.tm_isdst = -1;
    next = mktime(&tm);
    if (next > now) {
        return next;
    }
    tm.tm_mday++;
    tm.tm_isdst = -1;
    return mktime(&tm);
}

static void
expires_put(veil_http_request_t *r, veil_str_t date, veil_str_t control)
{
    veil_http_header_set(r, VEIL_STR("Expires"), date);
    veil_http_header_set(r, VEIL_STR("Cache-Control"), control);
}

static void
expires_put_time(veil_http_request_t *r, const expires_time_t *t)
{
    int64_t now = veil_clock.sec, at, age;
    char *date = veil_pool_chars(r->pool, VEIL_HTTP_DATE_LEN);
    veil_str_t control = VEIL_STR("no-cache");

    if (t->kind == EXPIRES_DAILY) {
        at = expires_next(now, t->seconds);
    } else if (t->kind == EXPIRES_MODIFIED && t->seconds != 0
               && r->out.last_modified >= 0)
    {
        at = r->out.last_modified + t->seconds;
    } else {
        at = now + t->seconds;
    }
    age = at - now;
    if (age >= 0 && (t->kind == EXPIRES_DAILY || t->seconds >= 0)) {
        control = veil_pool_printf(r->pool, "max-age=%lld", (long long) age);
    }
    veil_http_date_format(date, at);
    expires_put(r, veil_str_n(date, VEIL_HTTP_DATE_LEN), control);
}

void
veil_http_expires_add(veil_http_request_t *r, const veil_http_expires_t *e)
{
    expires_time_t t = e->time;

    if (e->value != NULL
        && expires_parse(veil_http_eval(r, e->value), e->modified, &t) != NULL)
    {
        return;
    }
    switch (t.kind) {
    case EXPIRES_OFF:
        break;
    case EXPIRES_EPOCH:
        expires_put(r, VEIL_STR("Thu, 01 Jan 1970 00:00:01 GMT"),
                    VEIL_STR("no-cache"));
        break;
    case EXPIRES_MAX:
        expires_put(r, VEIL_STR("Thu, 31 Dec 2037 23:55:55 GMT"),
                    VEIL_STR("max-age=315360000"));
        break;
    case EXPIRES_ACCESS:
    case EXPIRES_MODIFIED:
    case EXPIRES_DAILY:
        expires_put_time(r, &t);
        break;
    }
}
