/*
 * fuzz_request_head.c -- requests: line, fields, framing, chunked body.
 *
 * What comes out may not depend on how the input is cut.  The last byte says
 * how large the pieces are.
 */

#include "../unit/http_feed.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static http_feed_t whole, cut;
    const char *p = (const char *) data;
    size_t step;

    if (size == 0 || size > 2048) {
        return 0;
    }
    step = data[--size] % 32 + 1u;
    http_feed(&whole, p, size, size, 0);
    http_feed(&cut, p, size, step, 0);
    VEIL_ASSERT(whole.result == cut.result);
    VEIL_ASSERT(whole.incomplete == cut.incomplete);
    VEIL_ASSERT(strcmp(whole.text, cut.text) == 0);
    if (whole.result == VEIL_PARSE_OK) {
        VEIL_ASSERT(whole.used == cut.used);
    }
    VEIL_ASSERT(veil_http_head_check_begin(p, size) == VEIL_PARSE_OK
                || whole.result != VEIL_PARSE_OK || whole.incomplete);
    return 0;
}
