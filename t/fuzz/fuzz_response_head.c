/*
 * fuzz_response_head.c -- responses, with lines that may end with LF alone.
 *
 * The last byte says how large the pieces are and what the request was.
 */

#include "../unit/http_feed.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const unsigned methods[] = { VEIL_GET, VEIL_HEAD, VEIL_CONNECT,
                                        VEIL_POST };
    static http_feed_t whole, cut;
    const char *p = (const char *) data;
    unsigned method;
    size_t step;

    if (size == 0 || size > 2048) {
        return 0;
    }
    size--;
    step = data[size] % 32 + 1u;
    method = methods[data[size] >> 6];
    http_feed(&whole, p, size, size, method);
    http_feed(&cut, p, size, step, method);
    VEIL_ASSERT(whole.result == cut.result);
    VEIL_ASSERT(whole.incomplete == cut.incomplete);
    VEIL_ASSERT(strcmp(whole.text, cut.text) == 0);
    return 0;
}
