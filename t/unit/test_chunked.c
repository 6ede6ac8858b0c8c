/*
 * test_chunked.c -- the chunked coding: windows, accounts, limits, encoding.
 *
 * What is refused is in test_parse_head.c, among the smuggled requests.
 */

#include "core/platform.h"

#include <criterion/criterion.h>

#include "http/parse/parse.h"

typedef struct {
    veil_pool_t *pool;
    veil_http_chunked_t d;
    const unsigned char *p, *end, *data;
    size_t len;
} chunked_test_t;

static void
chunked_begin(chunked_test_t *t, const char *text, size_t len,
              size_t max_trailer)
{
    t->pool = veil_pool_create("test", 1024);
    veil_http_chunked_init(&t->d, t->pool, max_trailer);
    t->p = (const unsigned char *) text;
    t->end = t->p + len;
}

static veil_http_chunked_rc_t
chunked_next(chunked_test_t *t)
{
    return veil_http_chunked_next(&t->d, &t->p, t->end, &t->data, &t->len);
}

/* Data stays in place, one window a chunk; everything is accounted for. */
Test(chunked, windows)
{
    static const char text[] = "5\r\nhello\r\nA;x\r\n0123456789\r\n0\r\n\r\nX";
    chunked_test_t t;

    chunked_begin(&t, text, sizeof(text) - 1, 100);
    cr_expect_eq(chunked_next(&t), VEIL_CHUNKED_DATA);
    cr_expect_eq(t.data, (const unsigned char *) text + 3);
    cr_expect_eq(t.len, 5);
    cr_expect_eq(t.d.consumed, 8);
    cr_expect_eq(chunked_next(&t), VEIL_CHUNKED_DATA);
    cr_expect_eq(t.len, 10);
    cr_expect_eq(chunked_next(&t), VEIL_CHUNKED_END);
    cr_expect_eq(*t.p, 'X');
    cr_expect_eq(t.d.bytes, 15);
    cr_expect_eq(t.d.consumed, sizeof(text) - 2);
    cr_expect_eq(veil_http_chunked_trailer(&t.d).len, 0);
    /* The end stays the end. */
    cr_expect_eq(chunked_next(&t), VEIL_CHUNKED_END);
    cr_expect_eq(*t.p, 'X');
    veil_pool_destroy(&t.pool);
}

Test(chunked, trailer)
{
    static const char text[] = "0\r\nA: b\r\nC: d\r\n\r\n";
    chunked_test_t t;
    veil_str_t s;

    chunked_begin(&t, text, sizeof(text) - 1, sizeof(text) - 4);
    cr_expect_eq(chunked_next(&t), VEIL_CHUNKED_END);
    s = veil_http_chunked_trailer(&t.d);
    cr_expect(veil_str_eq_z(s, "A: b\r\nC: d\r\n\r\n"));
    veil_pool_destroy(&t.pool);

    chunked_begin(&t, text, sizeof(text) - 1, sizeof(text) - 5);
    cr_expect_eq(chunked_next(&t), VEIL_CHUNKED_BAD);
    cr_expect_eq(t.d.error, VEIL_PARSE_TRAILER_LONG);
    cr_expect_eq(chunked_next(&t), VEIL_CHUNKED_BAD);
    veil_pool_destroy(&t.pool);
}

/* A trailer that never ends stops at its limit, whatever it looks like. */
Test(chunked, endless_trailer)
{
    static const char begin[] = "0\r\n";
    chunked_test_t t;
    veil_http_chunked_rc_t rc;
    unsigned n = 0;

    chunked_begin(&t, begin, sizeof(begin) - 1, 1000);
    rc = chunked_next(&t);
    while (rc == VEIL_CHUNKED_MORE && n < 2000) {
        n++;
        t.p = (const unsigned char *) "a";
        t.end = t.p + 1;
        rc = chunked_next(&t);
    }
    cr_expect_eq(n, 1001);
    cr_expect_eq(t.d.error, VEIL_PARSE_TRAILER_LONG);
    veil_pool_destroy(&t.pool);
}

Test(chunked, extension_limit)
{
    char text[VEIL_HTTP_MAX_CHUNK_EXT + 16];
    chunked_test_t t;
    size_t n;

    memset(text, 'x', sizeof(text));
    memcpy(text, "1;", 2);
    n = 1 + VEIL_HTTP_MAX_CHUNK_EXT;
    chunked_begin(&t, text, n, 0);
    cr_expect_eq(chunked_next(&t), VEIL_CHUNKED_MORE);
    t.end++;
    cr_expect_eq(chunked_next(&t), VEIL_CHUNKED_BAD);
    cr_expect_eq(t.d.error, VEIL_PARSE_CHUNK_EXT_LONG);
    veil_pool_destroy(&t.pool);

    memset(text + 1, ' ', sizeof(text) - 1);
    chunked_begin(&t, text, n + 1, 0);
    cr_expect_eq(chunked_next(&t), VEIL_CHUNKED_BAD);
    cr_expect_eq(t.d.error, VEIL_PARSE_CHUNK_EXT_LONG);
    veil_pool_destroy(&t.pool);
}

/* The largest chunk there can be is waited for, not misread. */
Test(chunked, largest)
{
    static const char text[] = "fffffffffffffff\r\nx";
    chunked_test_t t;

    chunked_begin(&t, text, sizeof(text) - 1, 0);
    cr_expect_eq(chunked_next(&t), VEIL_CHUNKED_DATA);
    cr_expect_eq(t.len, 1);
    cr_expect_eq(t.d.left, (UINT64_C(1) << 60) - 2);
    veil_pool_destroy(&t.pool);
}

Test(chunked, heads)
{
    static const struct {
        uint64_t n;
        const char *head;
    } cases[] = {
        { 1, "1\r\n" },
        { 10, "a\r\n" },
        { 4096, "1000\r\n" },
        { UINT64_MAX, "ffffffffffffffff\r\n" },
    };
    char out[VEIL_HTTP_CHUNK_HEAD_MAX];
    size_t i, len;

    for (i = 0; i < veil_countof(cases); i++) {
        len = veil_http_chunk_head(out, cases[i].n);
        cr_expect(veil_str_eq_z(veil_str_n(out, len), cases[i].head));
    }
}

/* What is encoded decodes to itself. */
Test(chunked, round_trip)
{
    char text[2048], head[VEIL_HTTP_CHUNK_HEAD_MAX];
    chunked_test_t t;
    size_t n, len, total = 0;
    char *p = text;

    for (n = 1; n < 40; n++) {
        len = veil_http_chunk_head(head, n);
        p = veil_fmt_str(p, veil_str_n(head, len));
        memset(p, (int) n, n);
        p = veil_fmt_str(p + n, VEIL_HTTP_CHUNK_TAIL);
    }
    p = veil_fmt_str(p, VEIL_HTTP_CHUNK_LAST);
    chunked_begin(&t, text, (size_t) (p - text), 0);
    for (n = 1; n < 40; n++) {
        cr_assert_eq(chunked_next(&t), VEIL_CHUNKED_DATA);
        cr_assert_eq(t.len, n);
        cr_assert_eq(t.data[n - 1], n);
        total += n;
    }
    cr_expect_eq(chunked_next(&t), VEIL_CHUNKED_END);
    cr_expect_eq(t.d.bytes, total);
    cr_expect_eq(t.p, t.end);
    veil_pool_destroy(&t.pool);
}
