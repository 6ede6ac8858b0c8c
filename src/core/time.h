/*
 * time.h -- the cached clocks and the texts made from them.
 *
 * The loop calls veil_time_update() once a turn; all code in between sees one
 * time.  Timeouts count on the monotonic clock; dates come from the wall
 * clock.  Tests set the clock with veil_time_set().
 */

#ifndef VEIL_CORE_TIME_H
#define VEIL_CORE_TIME_H

#include <time.h>

#include "core/str.h"

typedef struct {
    uint64_t now_ms; /* monotonic */
    int64_t sec;     /* wall clock */
    unsigned msec;   /* its milliseconds */
    int gmtoff_min;  /* minutes east of Greenwich */
    veil_str_t http; /* "Sun, 06 Nov 1994 08:49:37 GMT" */
    veil_str_t log;  /* "1994/11/06 08:49:37" */
    veil_str_t clf;  /* "06/Nov/1994:08:49:37 +0000" */
    veil_str_t iso;  /* "1994-11-06T08:49:37+00:00" */
} veil_clock_t;

extern veil_clock_t veil_clock;

/* Reads the clocks; the texts are made anew only when the second changed. */
void veil_time_update(void);
/*
 * The monotonic clock as it is now, not as the turn began: for who must not
 * take a moment that has passed since for one to come.
 */
uint64_t veil_time_read_ms(void);
/*
 * Freezes the clock at these values (tests); veil_time_update is then idle.
 */
void veil_time_set(uint64_t now_ms, int64_t sec, unsigned msec);

static inline uint64_t
veil_now_ms(void)
{
    return veil_clock.now_ms;
}

#define VEIL_HTTP_DATE_LEN 29

/* Writes 29 bytes, not terminated (RFC 9110, 5.6.7). */
void veil_http_date_format(char *dst, int64_t sec);
/* All three formats of RFC 9110, 5.6.7; -1 when it is no date. */
int64_t veil_http_date_parse(veil_str_t s);
/* For cookies: "Sun, 06-Nov-1994 08:49:37 GMT". */
void veil_cookie_date_format(char *dst, int64_t sec);

#endif
