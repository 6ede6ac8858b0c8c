/*
 * test_range_parse.c -- the Range header.
 */

#include "core/platform.h"

#include <criterion/criterion.h>

#include "http/parse/range_parse.h"

#define MAX 4

static const struct {
    const char *value;
    uint64_t size;
    veil_http_range_rc_t rc;
    const char *ranges;
} range_cases[] = {
    { "bytes=0-0", 100, VEIL_RANGE_SATISFIABLE, "0-1 " },
    { "bytes=0-99", 100, VEIL_RANGE_SATISFIABLE, "0-100 " },
    { "bytes=10-", 100, VEIL_RANGE_SATISFIABLE, "10-100 " },
    { "BYTES=99-200", 100, VEIL_RANGE_SATISFIABLE, "99-100 " },
    { "bytes=-1", 100, VEIL_RANGE_SATISFIABLE, "99-100 " },
    { "bytes=-200", 100, VEIL_RANGE_SATISFIABLE, "0-100 " },
    { "bytes=0-1,5-6", 100, VEIL_RANGE_SATISFIABLE, "0-2 5-7 " },
    { "bytes= 0 - 1 ,\t5-6 , -1", 100, VEIL_RANGE_SATISFIABLE,
      "0-2 5-7 99-100 " },
    { "bytes=50-60,0-10", 100, VEIL_RANGE_SATISFIABLE, "50-61 0-11 " },
    { "bytes=0-1,100-,200-300", 100, VEIL_RANGE_SATISFIABLE, "0-2 " },
    { "bytes=0-18446744073709551615", 100, VEIL_RANGE_SATISFIABLE, "0-100 " },
    { "bytes=0-99999999999999999999999", 100, VEIL_RANGE_SATISFIABLE,
      "0-100 " },
    { "bytes=-99999999999999999999999", 100, VEIL_RANGE_SATISFIABLE,
      "0-100 " },
    { "bytes=9223372036854775807-", UINT64_MAX, VEIL_RANGE_SATISFIABLE,
      "9223372036854775807-18446744073709551615 " },
    { "bytes=100-", 100, VEIL_RANGE_UNSATISFIABLE, "" },
    { "bytes=100-200,300-", 100, VEIL_RANGE_UNSATISFIABLE, "" },
    { "bytes=-0", 100, VEIL_RANGE_UNSATISFIABLE, "" },
    { "bytes=5-3", 100, VEIL_RANGE_UNSATISFIABLE, "" },
    { "bytes=99999999999999999999999-", 100, VEIL_RANGE_UNSATISFIABLE, "" },
    { "bytes=a-b", 100, VEIL_RANGE_UNSATISFIABLE, "" },
    { "bytes=1", 100, VEIL_RANGE_UNSATISFIABLE, "" },
    { "bytes=--1", 100, VEIL_RANGE_UNSATISFIABLE, "" },
    { "bytes=1--2", 100, VEIL_RANGE_UNSATISFIABLE, "" },
    { "bytes=0-1;", 100, VEIL_RANGE_UNSATISFIABLE, "" },
    { "bytes=0-1,", 100, VEIL_RANGE_UNSATISFIABLE, "0-2 " },
    { "bytes=,0-1", 100, VEIL_RANGE_UNSATISFIABLE, "" },
    { "bytes=0x1-2", 100, VEIL_RANGE_UNSATISFIABLE, "" },
    { "bytes=+1-2", 100, VEIL_RANGE_UNSATISFIABLE, "" },
    { "bytes=", 100, VEIL_RANGE_IGNORE, "" },
    { "lines=0-1", 100, VEIL_RANGE_IGNORE, "" },
    { "bytes 0-1", 100, VEIL_RANGE_IGNORE, "" },
    { "", 100, VEIL_RANGE_IGNORE, "" },
    { "bytes=0-", 0, VEIL_RANGE_IGNORE, "" },
    { "bytes=-1", 0, VEIL_RANGE_IGNORE, "" },
    /* more than max, more than the whole */
    { "bytes=0-0,1-1,2-2,3-3,4-4", 100, VEIL_RANGE_IGNORE,
      "0-1 1-2 2-3 3-4 " },
    { "bytes=0-0,1-1,2-2,200-,3-3", 100, VEIL_RANGE_SATISFIABLE,
      "0-1 1-2 2-3 3-4 " },
    { "bytes=0-,0-", 100, VEIL_RANGE_IGNORE, "0-100 " },
    { "bytes=0-98,-2", 100, VEIL_RANGE_IGNORE, "0-99 " },
    { "bytes=0-98,-1", 100, VEIL_RANGE_SATISFIABLE, "0-99 99-100 " },
    { "bytes=0-,0-", UINT64_MAX, VEIL_RANGE_IGNORE,
      "0-18446744073709551615 " },
};

/* Parses a copy without a spare byte; writes down what comes out. */
static veil_http_range_rc_t
range_run(const char *text, size_t len, uint64_t size, unsigned max, char *out,
          size_t room)
{
    veil_http_range_t r[MAX];
    veil_http_range_rc_t rc;
    char *copy = malloc(len);
    size_t used = 0;
    unsigned i, n;

    if (len != 0) {
        memcpy(copy, text, len);
    }
    rc = veil_http_range_parse(veil_str_n(copy, len), size, r, max, &n);
    cr_assert_leq(n, max);
    out[0] = '\0';
    for (i = 0; i < n; i++) {
        cr_assert(r[i].start < r[i].end && r[i].end <= size);
        used += (size_t) snprintf(out + used, room - used, "%llu-%llu ",
                                  (unsigned long long) r[i].start,
                                  (unsigned long long) r[i].end);
    }
    free(copy);
    return rc;
}

Test(range_parse, cases)
{
    veil_http_range_rc_t rc;
    char out[256];
    size_t i;

    for (i = 0; i < veil_countof(range_cases); i++) {
        rc = range_run(range_cases[i].value, strlen(range_cases[i].value),
                       range_cases[i].size, MAX, out, sizeof(out));
        cr_expect_eq(rc, range_cases[i].rc, "%s: %d", range_cases[i].value,
                     rc);
        cr_expect_str_eq(out, range_cases[i].ranges, "%s",
                         range_cases[i].value);
    }
}

Test(range_parse, none_wanted)
{
    char out[256];

    cr_expect_eq(range_run("bytes=0-1", 9, 100, 0, out, sizeof(out)),
                 VEIL_RANGE_IGNORE);
}

/* The asserts in range_run() must hold for anything. */
Test(range_parse, flipped)
{
    static const unsigned char flips[] = { 0x01, 0x02, 0x04, 0x10, 0x80 };
    char out[256], bent[64];
    size_t i, j, k, len;

    for (i = 0; i < veil_countof(range_cases); i++) {
        len = strlen(range_cases[i].value);
        for (j = 0; j < len * veil_countof(flips); j++) {
            memcpy(bent, range_cases[i].value, len);
            k = j / veil_countof(flips);
            bent[k] = (char) (bent[k] ^ flips[j % veil_countof(flips)]);
            range_run(bent, len, range_cases[i].size, MAX, out, sizeof(out));
        }
        for (j = 0; j < len; j++) {
            range_run(range_cases[i].value, j, range_cases[i].size, MAX, out,
                      sizeof(out));
        }
    }
}
