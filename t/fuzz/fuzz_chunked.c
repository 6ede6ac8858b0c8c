/*
 * fuzz_chunked.c -- the decoder of chunks, against an encoder and cuts.
 *
 * The last byte says how large the pieces are.  Input that decodes is encoded
 * again in one chunk, which must decode to the same.
 */

#include "../unit/http_feed.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* The decoded text as one chunk and the end; returns what it decodes to. */
static void
chunked_again(const http_feed_t *first, http_feed_t *again)
{
    static char encoded[sizeof(first->text) + 64];
    veil_http_parse_t e;
    char *p = encoded;

    if (first->len != 0) {
        p += veil_http_chunk_head(p, first->len);
        p = veil_fmt_str(p, veil_str_n(first->text, first->len));
        p = veil_fmt_str(p, VEIL_HTTP_CHUNK_TAIL);
    }
    p = veil_fmt_str(p, VEIL_HTTP_CHUNK_LAST);
    memset(again, 0, sizeof(*again));
    e = http_feed_chunked(again, encoded, 0, (size_t) (p - encoded), 16);
    VEIL_ASSERT(e == VEIL_PARSE_OK && !again->incomplete);
    VEIL_ASSERT(again->used == (size_t) (p - encoded));
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static http_feed_t whole, cut, again;
    const char *p = (const char *) data;
    veil_http_parse_t e;
    size_t step;

    if (size == 0 || size > 2048) {
        return 0;
    }
    step = data[--size] % 32 + 1u;
    memset(&whole, 0, sizeof(whole));
    memset(&cut, 0, sizeof(cut));
    e = http_feed_chunked(&whole, p, 0, size, size + 1);
    VEIL_ASSERT(http_feed_chunked(&cut, p, 0, size, step) == e);
    VEIL_ASSERT(whole.incomplete == cut.incomplete);
    VEIL_ASSERT(strcmp(whole.text, cut.text) == 0);
    if (e == VEIL_PARSE_OK && !whole.incomplete) {
        VEIL_ASSERT(whole.used == cut.used);
        chunked_again(&whole, &again);
        VEIL_ASSERT(strcmp(whole.text, again.text) == 0);
    }
    return 0;
}
