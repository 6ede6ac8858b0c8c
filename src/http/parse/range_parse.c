/*
 * range_parse.c -- byte ranges.
 *
 * One pass over the list.  The sum of all ranges is bounded by the size of
 * the whole, so that overlapping ones cannot be used to multiply the traffic
 * (the attack of "many small overlapping ranges", RFC 9110, 17.15).
 */

#include "core/platform.h"

#include "http/parse/range_parse.h"

static const char *
range_skip_blanks(const char *p, const char *end)
{
    while (p < end && (*p == ' ' || *p == '\t')) {
        p++;
    }
    return p;
}

/*
 * A number, which may be too large for any size: it is then UINT64_MAX.
 * NULL: there is none.
 */
static const char *
range_number(const char *p, const char *end, uint64_t *n)
{
    const char *begin = p;

    *n = 0;
    while (p < end && *p >= '0' && *p <= '9') {
        if (__builtin_mul_overflow(*n, (uint64_t) 10, n)
            || __builtin_add_overflow(*n, (uint64_t) (*p - '0'), n))
        {
            *n = UINT64_MAX;
            while (p < end && *p >= '0' && *p <= '9') {
                p++;
            }
            return p;
        }
        p++;
    }
    return p == begin ? NULL : p;
}

/* "1-2", "1-" or "-2"; what comes out may be empty.  NULL: it is none. */
static const char *
range_spec(const char *p, const char *end, uint64_t size, veil_http_range_t *r)
{
    uint64_t last;

    r->start = r->end = 0;
    if (p < end && *p == '-') {
        p = range_number(p + 1, end, &last);
        r->end = size;
        r->start = last < size ? size - last : 0;
        return p;
    }
    p = range_number(p, end, &r->start);
    if (p == NULL) {
        return NULL;
    }
    p = range_skip_blanks(p, end);
    if (p == end || *p != '-') {
        return NULL;
    }
    p = range_skip_blanks(p + 1, end);
    if (p == end || *p == ',') {
        r->end = size;
        return p;
    }
    p = range_number(p, end, &last);
    r->end = last < size ? last + 1 : size;
    return p;
}

veil_http_range_rc_t
veil_http_range_parse(veil_str_t value, uint64_t size,
                      veil_http_range_t *ranges, unsigned max, unsigned *n)
{
    const char *p = value.data, *end = value.data + value.len;
    veil_http_range_t r;
    uint64_t sum = 0;
    bool more;

    *n = 0;
    if (max == 0 || value.len < sizeof("bytes=0") - 1
        || !veil_str_casestarts(value, VEIL_STR("bytes=")))
    {
        return VEIL_RANGE_IGNORE;
    }
    p += sizeof("bytes=") - 1;
    do {
        p = range_spec(range_skip_blanks(p, end), end, size, &r);
        if (p == NULL) {
            return VEIL_RANGE_UNSATISFIABLE;
        }
        p = range_skip_blanks(p, end);
        more = p < end && *p == ',';
        if (p < end && !more) {
            return VEIL_RANGE_UNSATISFIABLE;
        }
        p += more;
        if (r.start >= r.end) {
            if (size == 0) {
                return VEIL_RANGE_IGNORE;
            }
            continue;
        }
        if (*n == max || __builtin_add_overflow(sum, r.end - r.start, &sum)
            || sum > size)
        {
            return VEIL_RANGE_IGNORE;
        }
        ranges[(*n)++] = r;
    } while (more);
    return *n == 0 ? VEIL_RANGE_UNSATISFIABLE : VEIL_RANGE_SATISFIABLE;
}
