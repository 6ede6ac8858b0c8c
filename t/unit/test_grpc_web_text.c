/*
 * test_grpc_web_text.c -- base64 in pieces: whole, byte by byte, with every
 * byte changed; and back.
 */

#include "core/platform.h"

#include <criterion/criterion.h>

#include "../../src/modules/grpc_web/grpc_web_text.c"

/* Decodes in steps; -1: malformed, or it must not end there. */
static ptrdiff_t
decode(const char *text, size_t len, size_t step, unsigned char *out)
{
    veil_grpc_web_decoder_t d = { .n = 0 };
    unsigned char *copy;
    ptrdiff_t n, all = 0;
    size_t i, piece;

    for (i = 0; i < len; i += piece) {
        piece = veil_min_size(step, len - i);
        copy = malloc(piece); /* so that a sanitizer sees the edge */
        memcpy(copy, text + i, piece);
        n = veil_grpc_web_decode(&d, copy, piece, out + all);
        free(copy);
        if (n < 0) {
            cr_assert_eq(
                veil_grpc_web_decode(&d, (const unsigned char *) "A", 1, out),
                -1); /* once and for all */
            cr_assert(!veil_grpc_web_decoder_may_end(&d));
            return -1;
        }
        cr_assert_leq((size_t) n, (piece + 3) / 4 * 3 + 3);
        all += n;
    }
    return veil_grpc_web_decoder_may_end(&d) ? all : -1;
}

static const struct {
    const char *text;
    const char *data; /* NULL: malformed */
} table[] = {
    { "", "" },
    { "QQ==", "A" },
    { "QUI=", "AB" },
    { "QUJD", "ABC" },
    { "QUJDRA==", "ABCD" },
    { "QQ==QQ==", "AA" },
    { "QQ==QUI=QUJDQUI=", "AABABCAB" },
    { "+/+/", "\xfb\xff\xbf" },
    { "Q", NULL },
    { "QQ", NULL },
    { "QQ=", NULL },
    { "QUJ", NULL },
    { "=", NULL },
    { "Q=", NULL },
    { "Q===", NULL },
    { "====", NULL },
    { "QQ=A", NULL },
    { "QQ==Q", NULL },
    { "QQ===", NULL },
    { "QR==", NULL }, /* bits are left over */
    { "QUJ=", NULL },
    { "QUJD\n", NULL },
    { "QU JD", NULL },
    { "-_-_", NULL },
    { "QUJ\x80", NULL },
};

Test(grpc_web_text, decoding)
{
    unsigned char out[64];
    size_t i, step, len;
    ptrdiff_t n;

    for (i = 0; i < veil_countof(table); i++) {
        len = strlen(table[i].text);
        for (step = 1; step <= 16; step++) {
            n = decode(table[i].text, len, step, out);
            if (table[i].data == NULL) {
                cr_assert_eq(n, -1, "\"%s\" by %zu", table[i].text, step);
                continue;
            }
            cr_assert_eq(n, (ptrdiff_t) strlen(table[i].data), "\"%s\" by %zu",
                         table[i].text, step);
            cr_assert_eq(memcmp(out, table[i].data, (size_t) n), 0);
        }
    }
}

/* Every byte changed to every other: never more than there can be. */
Test(grpc_web_text, changed)
{
    static const char text[] = "QUJDRA==QUI=QUJDREVG";
    unsigned char out[64], again[64];
    char copy[sizeof(text)];
    ptrdiff_t a, b;
    size_t i, len = sizeof(text) - 1;
    int c;

    for (i = 0; i < len; i++) {
        for (c = 0; c < 256; c++) {
            memcpy(copy, text, sizeof(text));
            copy[i] = (char) c;
            a = decode(copy, len, len, out);
            b = decode(copy, len, 1, again);
            cr_assert_eq(a, b);
            cr_assert(a <= (ptrdiff_t) len / 4 * 3);
            cr_assert(a < 0 || memcmp(out, again, (size_t) a) == 0);
        }
    }
}

/* Whatever is encoded however it is cut and padded decodes to itself. */
Test(grpc_web_text, there_and_back)
{
    unsigned char data[256], out[600];
    char text[1200];
    veil_grpc_web_encoder_t e;
    size_t i, len, n, step, piece;

    for (i = 0; i < sizeof(data); i++) {
        data[i] = (unsigned char) (i * 5 + 3);
    }
    for (len = 0; len <= sizeof(data); len++) {
        for (step = 1; step < 9; step++) {
            memset(&e, 0, sizeof(e));
            for (i = 0, n = 0; i < len; i += piece) {
                piece = veil_min_size(step, len - i);
                n += veil_grpc_web_encode(&e, data + i, piece, text + n);
                if (i % 5 == 0) { /* nothing more for the moment */
                    n += veil_grpc_web_encode_end(&e, text + n);
                }
            }
            n += veil_grpc_web_encode_end(&e, text + n);
            cr_assert_eq(veil_grpc_web_encode_end(&e, text + n), 0);
            cr_assert_eq(n % 4, 0);
            cr_assert_eq(decode(text, n, 7, out), (ptrdiff_t) len);
            cr_assert_eq(memcmp(out, data, len), 0);
        }
    }
}

/* Without a pause there is padding at the end only. */
Test(grpc_web_text, canonical)
{
    veil_grpc_web_encoder_t e = { .n = 0 };
    char text[16];
    size_t n;

    n = veil_grpc_web_encode(&e, (const unsigned char *) "A", 1, text);
    cr_assert_eq(n, 0);
    n += veil_grpc_web_encode(&e, (const unsigned char *) "", 0, text + n);
    n += veil_grpc_web_encode(&e, (const unsigned char *) "BCD", 3, text + n);
    n += veil_grpc_web_encode_end(&e, text + n);
    cr_assert_eq(n, 8);
    cr_assert_eq(memcmp(text, "QUJDRA==", 8), 0);
}
