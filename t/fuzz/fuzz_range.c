/*
 * fuzz_range.c -- the Range header, and the other lists of field values.
 *
 * The last two bytes are the size and the number of ranges allowed.
 */

#include "core/platform.h"

#include "core/assert.h"
#include "http/parse/range_parse.h"
#include "http/parse/token.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define RANGE_MAX 15

static void
range_check(veil_str_t value, uint64_t size, unsigned max)
{
    veil_http_range_t ranges[RANGE_MAX];
    veil_http_range_rc_t rc;
    uint64_t sum = 0;
    unsigned i, n;

    rc = veil_http_range_parse(value, size, ranges, max, &n);
    VEIL_ASSERT(n <= max);
    VEIL_ASSERT(rc != VEIL_RANGE_SATISFIABLE || n != 0);
    for (i = 0; i < n; i++) {
        VEIL_ASSERT(ranges[i].start < ranges[i].end);
        VEIL_ASSERT(ranges[i].end <= size);
        sum += ranges[i].end - ranges[i].start;
    }
    VEIL_ASSERT(sum <= size);
}

static void
range_lists(veil_str_t value)
{
    veil_str_t rest, a, b;
    size_t before;
    char *dst;

    for (rest = value; before = rest.len, veil_http_list_next(&rest, &a);) {
        VEIL_ASSERT(rest.len < before && a.len != 0);
    }
    for (rest = value; before = rest.len, veil_http_param_next(&rest, &a, &b);)
    {
        VEIL_ASSERT(rest.len < before && a.len + b.len <= before);
    }
    VEIL_ASSERT(veil_http_quality(value, VEIL_STR("gzip")) <= 1000);
    veil_http_directive_find(value, VEIL_STR("max-age"), &a);
    veil_http_cookie_find(value, VEIL_STR("a"), &a);
    veil_http_etag_list_has(value, VEIL_STR("W/\"a\""), true);
    VEIL_ASSERT(!veil_http_etag_is_valid(value)
                || veil_http_etag_list_has(value, value, true));
    dst = malloc(value.len);
    VEIL_ASSERT(veil_http_unquote(dst, value) <= value.len);
    free(dst);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char *copy;

    if (size < 2 || size > 2048) {
        return 0;
    }
    size -= 2;
    copy = malloc(size);
    if (size != 0) {
        memcpy(copy, data, size);
    }
    range_check(veil_str_n(copy, size), data[size],
                data[size + 1] % (RANGE_MAX + 1));
    range_check(veil_str_n(copy, size), UINT64_MAX - data[size],
                data[size + 1] % (RANGE_MAX + 1));
    range_lists(veil_str_n(copy, size));
    free(copy);
    return 0;
}
