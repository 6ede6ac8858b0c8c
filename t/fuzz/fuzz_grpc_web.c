/*
 * fuzz_grpc_web.c -- the base64 of gRPC-Web: pieces of any size give what the
 * whole gives, and what was decoded decodes to itself when it is encoded.
 *
 * The first byte is the size of the pieces.
 */

#include "core/platform.h"

#include "core/assert.h"
#include "modules/grpc_web/grpc_web_text.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Into a buffer of exactly the size that is asked for; -1: malformed. */
static ptrdiff_t
grpc_web_decode(const uint8_t *data, size_t size, size_t step, uint8_t *out)
{
    veil_grpc_web_decoder_t d = { .n = 0 };
    size_t i, n;
    ptrdiff_t got, all = 0;
    uint8_t *piece;

    for (i = 0; i < size; i += n) {
        n = veil_min_size(step, size - i);
        piece = malloc(n / 4 * 3 + 3);
        got = veil_grpc_web_decode(&d, data + i, n, piece);
        if (got < 0) {
            free(piece);
            return -1;
        }
        if (got != 0) {
            memcpy(out + all, piece, (size_t) got);
        }
        free(piece);
        all += got;
    }
    return veil_grpc_web_decoder_may_end(&d) ? all : -1;
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    veil_grpc_web_encoder_t e = { .n = 0 };
    uint8_t *a, *b;
    ptrdiff_t n, m;
    size_t step, len;
    char *text;

    if (size < 2) {
        return 0;
    }
    step = (size_t) data[0] + 1;
    data++;
    size--;
    a = malloc(size);
    b = malloc(size);
    n = grpc_web_decode(data, size, size, a);
    m = grpc_web_decode(data, size, step, b);
    VEIL_ASSERT(n == m && n <= (ptrdiff_t) size);
    if (n > 0) {
        VEIL_ASSERT(memcmp(a, b, (size_t) n) == 0);
        text = malloc(VEIL_GRPC_WEB_ENCODED((size_t) n) + 4);
        len = veil_grpc_web_encode(&e, a, (size_t) n, text);
        VEIL_ASSERT(len <= VEIL_GRPC_WEB_ENCODED((size_t) n));
        len += veil_grpc_web_encode_end(&e, text + len);
        VEIL_ASSERT(len <= size);
        m = grpc_web_decode((const uint8_t *) text, len, step, b);
        VEIL_ASSERT(m == n && memcmp(a, b, (size_t) n) == 0);
        free(text);
    }
    free(a);
    free(b);
    return 0;
}
