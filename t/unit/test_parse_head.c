/*
 * test_parse_head.c -- whole requests and responses, good and smuggling.
 */

#include "http_feed.h"

#include <criterion/criterion.h>

typedef struct {
    const char *text;
    size_t len;
    veil_http_parse_t expected;
} head_case_t;

#define CASE(expected, text)                                                  \
    {                                                                         \
        text, sizeof(text) - 1, VEIL_PARSE_##expected                         \
    }
#define HOST "Host: example.com\r\n"
#define POST "POST / HTTP/1.1\r\n" HOST
#define CHUNKED POST "Transfer-Encoding: chunked\r\n\r\n"
#define ANSWER "HTTP/1.1 200 OK\r\n"

static const head_case_t head_requests[] = {
    /* as they should be */
    CASE(OK, "GET / HTTP/1.1\r\n" HOST "\r\n"),
    CASE(OK, "GET /a/b?c=d HTTP/1.0\r\n\r\n"),
    CASE(OK, "\r\n\r\nGET / HTTP/1.1\r\n" HOST "\r\n"),
    CASE(OK, "GET / HTTP/1.1\r\n" HOST "\r\nGET /2 HTTP/1.1\r\n\r\n"),
    CASE(OK, POST "Content-Length: 5\r\n\r\nhello"),
    CASE(OK, POST "content-length:   5\t \r\n\r\nhello"),
    CASE(OK, POST "Content-Length: 0\r\n\r\n"),
    CASE(OK, POST "Content-Length: 0005\r\n\r\nhello"),
    CASE(OK, CHUNKED "5\r\nhello\r\n0\r\n\r\n"),
    CASE(OK, POST "transfer-ENCODING:\tChunked \r\n\r\n0\r\n\r\n"),
    CASE(OK, CHUNKED "5;a=\"b\"\r\nhello\r\n00\r\nX-Sum: 1\r\n\r\n"),
    CASE(OK, CHUNKED "1 \r\nh\r\n1 ; x\r\ni\r\n0;y\r\n\r\n"),
    CASE(OK, POST "X-Empty:\r\nX-High: \xc3\xa9\r\nX_Under: 1\r\n\r\n"),
    CASE(OK, POST "X(odd): kept for the caller to judge\r\n\r\n"),
    CASE(OK, "OPTIONS * HTTP/1.1\r\n" HOST "\r\n"),
    CASE(OK, "CONNECT example.com:443 HTTP/1.1\r\n" HOST "\r\n"),
    CASE(OK, "GET http://example.com HTTP/1.1\r\n" HOST "\r\n"),
    CASE(OK, "BREW /pot HTTP/1.1\r\n" HOST "\r\n"),

    /* lines */
    CASE(EMPTY_LINES, "\r\n\r\n\r\n\r\n\r\nGET / HTTP/1.1\r\n\r\n"),
    CASE(BARE_LF, "GET / HTTP/1.1\n" HOST "\r\n"),
    CASE(BARE_LF, "GET / HTTP/1.1\n\n"),
    CASE(BARE_LF, "\nGET / HTTP/1.1\r\n\r\n"),
    CASE(BARE_LF, "GET / HTTP/1.1\r\nHost: a\nX: b\r\n\r\n"),
    CASE(BARE_LF, "GET / HTTP/1.1\r\nHost: a\r\n\n"),
    CASE(BARE_CR, "GET / HTTP/1.1\r\nHost: a\rX: b\r\n\r\n"),
    CASE(BARE_CR, "GET / HTTP/1.1\r\nHost: a\r\r\n\r\n"),
    CASE(BARE_CR, "GET / HTTP/1.1\r\n\rHost: a\r\n\r\n"),
    CASE(BARE_CR, "GET /\r HTTP/1.1\r\n\r\n"),
    CASE(METHOD, " GET / HTTP/1.1\r\n\r\n"),
    CASE(METHOD, "GE(T / HTTP/1.1\r\n\r\n"),
    CASE(METHOD, "GET\t/ HTTP/1.1\r\n\r\n"),
    CASE(METHOD_LONG, "ABCDEFGHIJKLMNOPQRSTUVWXYZABCDEFG / HTTP/1.1\r\n\r\n"),
    CASE(LINE_BLANKS, "GET  / HTTP/1.1\r\n\r\n"),
    CASE(LINE_BLANKS, "GET /  HTTP/1.1\r\n\r\n"),
    CASE(LINE_BLANKS, "GET / HTTP/1.1 \r\n\r\n"),
    CASE(VERSION, "GET /a b HTTP/1.1\r\n\r\n"),
    CASE(TARGET, "GET /\t HTTP/1.1\r\n\r\n"),
    CASE(TARGET, "GET /\x7f HTTP/1.1\r\n\r\n"),
    CASE(NUL, "GET /\0 HTTP/1.1\r\n\r\n"),
    CASE(TARGET_FORM, "GET * HTTP/1.1\r\n\r\n"),
    CASE(TARGET_FORM, "GET example.com HTTP/1.1\r\n\r\n"),
    CASE(TARGET_FORM, "GET example.com:80 HTTP/1.1\r\n\r\n"),
    CASE(TARGET_FORM, "GET ?x HTTP/1.1\r\n\r\n"),
    CASE(AUTHORITY, "CONNECT / HTTP/1.1\r\n\r\n"),
    CASE(AUTHORITY, "CONNECT example.com HTTP/1.1\r\n\r\n"),
    CASE(AUTHORITY, "CONNECT example.com: HTTP/1.1\r\n\r\n"),
    CASE(AUTHORITY, "GET http://me@example.com/ HTTP/1.1\r\n\r\n"),
    CASE(AUTHORITY, "GET http:///x HTTP/1.1\r\n\r\n"),
    CASE(NO_VERSION, "GET /\r\n\r\n"),
    CASE(NO_VERSION, "GET\r\n\r\n"),
    CASE(VERSION, "GET / http/1.1\r\n\r\n"),
    CASE(VERSION, "GET / HTTP/0.9\r\n\r\n"),
    CASE(VERSION, "GET / HTTP/1.10\r\n\r\n"),
    CASE(VERSION, "GET / HTTP/1\r\n\r\n"),
    CASE(VERSION_MAJOR, "GET / HTTP/3.0\r\n\r\n"),
    CASE(VERSION_MAJOR, "PRI * HTTP/2.0\r\n\r\n"),

    /* fields */
    CASE(FOLD, "GET / HTTP/1.1\r\nHost: a\r\n b\r\n\r\n"),
    CASE(FOLD, "GET / HTTP/1.1\r\n Host: a\r\n\r\n"),
    CASE(CODING, POST "Transfer-Encoding:\r\n\tchunked\r\n\r\n"),
    CASE(NAME_BLANK, POST "Content-Length : 5\r\n\r\nhello"),
    CASE(NAME_BLANK, POST "Transfer-Encoding\t: chunked\r\n\r\n"),
    CASE(NAME, POST "Content\x0b-Length: 5\r\n\r\nhello"),
    CASE(NAME_EMPTY, POST ": chunked\r\n\r\n"),
    CASE(NO_COLON, POST "Content-Length\r\n\r\n"),
    CASE(NUL, POST "X\0Y: 1\r\n\r\n"),
    CASE(NUL, POST "X: 1\0\r\n\r\n"),
    CASE(VALUE, POST "X: \x1b[0m\r\n\r\n"),
    CASE(VALUE, POST "Transfer-Encoding: \x0b"
                     "chunked\r\n\r\n"),
    CASE(VALUE, POST "Transfer-Encoding: chunked\x0c\r\n\r\n"),
    CASE(VALUE, POST "X: \x7f\r\n\r\n"),

    /* CL.TE, TE.CL and what they are disguised as */
    CASE(CODING_LENGTH, POST "Content-Length: 6\r\n"
                             "Transfer-Encoding: chunked\r\n\r\n0\r\n\r\nG"),
    CASE(CODING_LENGTH, POST "Transfer-Encoding: chunked\r\n"
                             "Content-Length: 4\r\n\r\n5c\r\n"),
    CASE(CODING_LENGTH, POST "Transfer-Encoding: chunked\r\n"
                             "Content-Length: 0\r\n\r\n0\r\n\r\n"),
    CASE(CODING_OLD, "POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n"),
    CASE(CODING, POST "Transfer-Encoding: chunked, identity\r\n\r\n"),
    CASE(CODING, POST "Transfer-Encoding: chunked, chunked\r\n\r\n"),
    CASE(CODING, POST "Transfer-Encoding: chunked\r\n"
                      "Transfer-Encoding: chunked\r\n\r\n"),
    CASE(CODING, POST "Transfer-Encoding: chunked\r\n"
                      "Transfer-Encoding: identity\r\n\r\n"),
    CASE(CODING_UNKNOWN, POST "Transfer-Encoding: identity\r\n"
                              "Transfer-Encoding: chunked\r\n\r\n"),
    CASE(CODING, POST "Transfer-Encoding:\r\n\r\n"),
    CASE(CODING, POST "Transfer-Encoding: ,chunked\r\n\r\n"),
    CASE(CODING, POST "Transfer-Encoding: chunked,\r\n\r\n"),
    CASE(CODING_UNKNOWN, POST "Transfer-Encoding: xchunked\r\n\r\n"),
    CASE(CODING_UNKNOWN, POST "Transfer-Encoding: identity\r\n\r\n"),
    CASE(CODING_UNKNOWN, POST "Transfer-Encoding: gzip, chunked\r\n\r\n"),
    CASE(CODING_UNKNOWN, POST "Transfer-Encoding: \"chunked\"\r\n\r\n"),
    CASE(CODING_UNKNOWN, POST "Transfer-Encoding: chunked;q=1\r\n\r\n"),
    CASE(CODING_UNKNOWN, POST "Transfer-Encoding: chunked x\r\n\r\n"),

    /* lengths */
    CASE(LENGTH_TWICE, POST "Content-Length: 5\r\nContent-Length: 6\r\n\r\n"),
    CASE(LENGTH_TWICE, POST "Content-Length: 5\r\nContent-Length: 5\r\n\r\n"),
    CASE(LENGTH, POST "Content-Length: 5, 5\r\n\r\nhello"),
    CASE(LENGTH, POST "Content-Length: +5\r\n\r\nhello"),
    CASE(LENGTH, POST "Content-Length: -5\r\n\r\nhello"),
    CASE(LENGTH, POST "Content-Length: 0x5\r\n\r\nhello"),
    CASE(LENGTH, POST "Content-Length: 5 5\r\n\r\nhello"),
    CASE(LENGTH, POST "Content-Length: 5.0\r\n\r\nhello"),
    CASE(LENGTH, POST "Content-Length: \"5\"\r\n\r\nhello"),
    CASE(LENGTH, POST "Content-Length: \xb2\r\n\r\nhello"),
    CASE(LENGTH, POST "Content-Length:\r\n\r\nhello"),
    CASE(LENGTH, POST "Content-Length: 9223372036854775808\r\n\r\n"),
    CASE(LENGTH, POST "Content-Length: 18446744073709551621\r\n\r\n"),

    /* chunks */
    CASE(CHUNK_SIZE, CHUNKED "0x5\r\nhello\r\n"),
    CASE(CHUNK_SIZE, CHUNKED "\r\nhello\r\n"),
    CASE(CHUNK_SIZE, CHUNKED "+5\r\nhello\r\n"),
    CASE(CHUNK_SIZE, CHUNKED "-1\r\nhello\r\n"),
    CASE(CHUNK_SIZE, CHUNKED " 5\r\nhello\r\n"),
    CASE(CHUNK_SIZE, CHUNKED "5 5\r\nhello\r\n"),
    CASE(CHUNK_SIZE, CHUNKED "5_\r\nhello\r\n"),
    CASE(CHUNK_SIZE, CHUNKED "g\r\n"),
    CASE(CHUNK_HUGE, CHUNKED "fffffffffffffffff\r\n"),
    CASE(CHUNK_HUGE, CHUNKED "10000000000000005\r\nhello\r\n"),
    CASE(CHUNK_HUGE, CHUNKED "0000000000000005\r\nhello\r\n"),
    CASE(BARE_LF, CHUNKED "5\nhello\r\n0\r\n\r\n"),
    CASE(BARE_LF, CHUNKED "5;a\nb\r\nhello\r\n0\r\n\r\n"),
    CASE(BARE_CR, CHUNKED "5\rhello\r\n0\r\n\r\n"),
    CASE(BARE_CR, CHUNKED "5;a\rb\r\nhello\r\n0\r\n\r\n"),
    CASE(BARE_CR, CHUNKED "5\r\nhello\r0\r\n\r\n"),
    CASE(BARE_CR, CHUNKED "0\r\n\rX"),
    CASE(CHUNK_EXT, CHUNKED "5;a\0b\r\nhello\r\n0\r\n\r\n"),
    CASE(CHUNK_END, CHUNKED "5\r\nhello0\r\n\r\n"),
    CASE(CHUNK_END, CHUNKED "5\r\nhello\n0\r\n\r\n"),
    CASE(CHUNK_END, CHUNKED "4\r\nhello\r\n0\r\n\r\n"),
    CASE(CHUNK_SIZE, CHUNKED "5\r\nhello\r\n\r\n0\r\n\r\n"),
    CASE(FOLD, CHUNKED "0\r\nX: 1\r\n y\r\n\r\n"),
    CASE(NAME_BLANK, CHUNKED "0\r\nGET / HTTP/1.1\r\n\r\n"),
    CASE(BARE_LF, CHUNKED "0\r\n\n\r\n"),
    CASE(BARE_LF, CHUNKED "0\r\nX: 1\n\r\n"),
};

static const head_case_t head_responses[] = {
    CASE(OK, ANSWER "Content-Length: 2\r\n\r\nhi"),
    CASE(OK, ANSWER "Transfer-Encoding: chunked\r\n\r\n1\r\nx\r\n0\r\n\r\n"),
    CASE(OK, ANSWER "\r\nup to the end"),
    CASE(OK, "HTTP/1.0 200\r\n\r\nx"),
    CASE(OK, "HTTP/1.1 200 \r\n\r\nx"),
    CASE(OK, "HTTP/1.1 299 \xc3\x9c"
             "ber\tgut\r\n\r\n"),
    CASE(OK, "HTTP/1.1 204 No Content\nServer: old\n\n"),
    CASE(OK, "HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"),
    CASE(OK, "HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\n\r\n"),
    CASE(STATUS_LINE, "HTTP/1.1 20 OK\r\n\r\n"),
    CASE(STATUS_LINE, "HTTP/1.1 2000 OK\r\n\r\n"),
    CASE(STATUS_LINE, "HTTP/1.1 099 OK\r\n\r\n"),
    CASE(STATUS_LINE, "HTTP/2.0 200 OK\r\n\r\n"),
    CASE(STATUS_LINE, "HTTP/1.1  200 OK\r\n\r\n"),
    CASE(STATUS_LINE, "HTTP/1.1 +20 OK\r\n\r\n"),
    CASE(STATUS_LINE, "http/1.1 200 OK\r\n\r\n"),
    CASE(STATUS_LINE, "HTTP/1.1 200\tOK\r\n\r\n"),
    CASE(STATUS_LINE, "HTTP/1.1 200 O\x01K\r\n\r\n"),
    CASE(STATUS_LINE, "ICY 200 OK\r\n\r\n"),
    CASE(BARE_CR, "HTTP/1.1 200 O\rK\r\n\r\n"),
    CASE(NUL, "HTTP/1.1 200 O\0K\r\n\r\n"),
    CASE(STATUS_LINE, "\r\nHTTP/1.1 200 OK\r\n\r\n"),
    CASE(CODING_LENGTH, ANSWER "Content-Length: 2\r\n"
                               "Transfer-Encoding: chunked\r\n\r\n"),
    CASE(LENGTH_TWICE, ANSWER "Content-Length: 2\r\n"
                              "Content-Length: 3\r\n\r\nhi"),
    CASE(LENGTH, ANSWER "Content-Length: 2, 2\r\n\r\nhi"),
    CASE(CODING_UNKNOWN, ANSWER "Transfer-Encoding: gzip\r\n\r\n"),
    CASE(FOLD, ANSWER "X: 1\r\n 2\r\n\r\n"),
};

/* Bytes may fall either side of a cut; what is seen may not change. */
static void
head_expect_same(const char *input, size_t len, unsigned method,
                 const http_feed_t *whole)
{
    static const size_t steps[] = { 1, 2, 3, 7, 16 };
    http_feed_t cut;
    unsigned i;

    for (i = 0; i < veil_countof(steps); i++) {
        http_feed(&cut, input, len, steps[i], method);
        cr_expect_eq(cut.result, whole->result, "in steps of %zu: %s, not %s",
                     steps[i], veil_http_parse_reason(cut.result),
                     veil_http_parse_reason(whole->result));
        cr_expect_eq(cut.incomplete, whole->incomplete);
        if (whole->result == VEIL_PARSE_OK) {
            cr_expect_eq(cut.used, whole->used);
        }
        cr_expect_str_eq(cut.text, whole->text);
    }
}

/*
 * Whole, in pieces, and with each byte changed in several ways: the first
 * must give expected, the second the same, the third no crash, and again the
 * same whole and in single bytes.
 */
static void
head_check(const char *input, size_t len, unsigned method,
           veil_http_parse_t expected)
{
    static const unsigned char flips[] = { 0x01, 0x20, 0x80, 0xff };
    http_feed_t whole, cut;
    size_t i, j;
    char *bent;

    http_feed(&whole, input, len, len, method);
    cr_expect_eq(whole.result, expected, "%.*s: %s, not %s", (int) len, input,
                 veil_http_parse_reason(whole.result),
                 veil_http_parse_reason(expected));
    cr_expect(expected != VEIL_PARSE_OK || !whole.incomplete,
              "%.*s: is not complete", (int) len, input);
    head_expect_same(input, len, method, &whole);

    bent = http_feed_copy(input, len);
    for (i = 0; i < len; i++) {
        for (j = 0; j < veil_countof(flips); j++) {
            bent[i] = (char) (input[i] ^ flips[j]);
            http_feed(&whole, bent, len, len, method);
            http_feed(&cut, bent, len, 1, method);
            cr_assert_eq(whole.result, cut.result, "byte %zu ^ %d", i,
                         flips[j]);
            cr_assert_eq(whole.incomplete, cut.incomplete);
        }
        bent[i] = input[i];
    }
    free(bent);
}

Test(parse_head, requests)
{
    size_t i;

    for (i = 0; i < veil_countof(head_requests); i++) {
        head_check(head_requests[i].text, head_requests[i].len, 0,
                   head_requests[i].expected);
    }
}

Test(parse_head, responses)
{
    size_t i;

    for (i = 0; i < veil_countof(head_responses); i++) {
        head_check(head_responses[i].text, head_responses[i].len, VEIL_GET,
                   head_responses[i].expected);
    }
}

/* The second of two pipelined messages begins where the first one ends. */
Test(parse_head, next_message)
{
    static const char body[] = CHUNKED "3\r\nabc\r\n0\r\nA: b\r\n\r\nGET /";
    static const char none[] = "GET / HTTP/1.1\r\n\r\nGET /";
    static const char length[] = POST "Content-Length: 3\r\n\r\nabcGET /";
    http_feed_t out;
    size_t step;

    for (step = 1; step < sizeof(body); step++) {
        http_feed(&out, body, sizeof(body) - 1, step, 0);
        cr_expect_eq(out.used, sizeof(body) - 1 - 5);
        http_feed(&out, none, sizeof(none) - 1, step, 0);
        cr_expect_eq(out.used, sizeof(none) - 1 - 5);
        http_feed(&out, length, sizeof(length) - 1, step, 0);
        cr_expect_eq(out.used, sizeof(length) - 1 - 5);
    }
}

/* No head that is cut off passes for a complete one. */
Test(parse_head, incomplete)
{
    static const char input[] = "\r\n" CHUNKED "3\r\nabc\r\n0\r\nA: b\r\n\r\n";
    http_feed_t out;
    size_t n;

    for (n = 1; n < sizeof(input) - 1; n++) {
        http_feed(&out, input, n, n, 0);
        cr_expect_eq(out.result, VEIL_PARSE_OK);
        cr_expect(out.incomplete, "%zu bytes", n);
    }
}
