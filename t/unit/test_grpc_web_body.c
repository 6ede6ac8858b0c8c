/*
 * test_grpc_web_body.c -- the bodies of a call, whatever is pulled at once:
 * what comes out must not depend on how it is cut, nor on when nothing is
 * there for a while.
 */

#include "core/platform.h"

#include <criterion/criterion.h>

#include "../../src/modules/grpc_web/grpc_web_body.c"

#include "core/time.h"

static veil_pool_t *pool;
static veil_http_request_t *r;
static grpc_web_call_t call;

/* A source of pieces of these sizes, over and over, each followed by LATER. */
typedef struct {
    veil_http_body_t body;
    const char *data;
    size_t len;
    size_t pulled;
    size_t consumed;
    size_t step;
    bool pauses;
    bool paused;
    bool fails;
    bool aborted;
} source_t;

static source_t source;

static veil_body_rc_t
source_pull(veil_http_body_t *b, veil_slice_t *v, unsigned *n, size_t max)
{
    source_t *s = veil_container_of(b, source_t, body);
    size_t len =
        veil_min_size(veil_min_size(s->step, max), s->len - s->pulled);

    *n = 0;
    if (s->pauses && !s->paused) {
        s->paused = true;
        return VEIL_BODY_LATER;
    }
    s->paused = false;
    if (s->pulled == s->len) {
        b->error = 504;
        return s->fails ? VEIL_BODY_FAILED : VEIL_BODY_END;
    }
    v[0] = veil_slice_mem(s->data + s->pulled, len);
    *n = 1;
    s->pulled += len;
    return s->pulled == s->len && !s->fails && !s->pauses ? VEIL_BODY_END
                                                          : VEIL_BODY_DATA;
}

static void
source_consume(veil_http_body_t *b, size_t bytes)
{
    veil_container_of(b, source_t, body)->consumed += bytes;
}

static void
source_abort(veil_http_body_t *b)
{
    veil_container_of(b, source_t, body)->aborted = true;
}

static const veil_http_body_ops_t source_ops = {
    .name = "pieces",
    .pull = source_pull,
    .consume = source_consume,
    .abort = source_abort,
};

static void
setup(void)
{
    veil_log_stderr.level = VEIL_LOG_OFF;
    veil_time_update();
    pool = veil_pool_create("test", 4096);
    r = VEIL_POOL_NEW(pool, veil_http_request_t);
    r->pool = pool;
    r->log = veil_log_stderr;
    memset(&call, 0, sizeof(call));
}

static void
teardown(void)
{
    veil_pool_destroy(&pool);
    veil_pool_trim();
    cr_assert_eq(veil_block_count(), 0);
}

TestSuite(grpc_web_body, .init = setup, .fini = teardown);

static veil_http_body_t *
make(const char *data, size_t len, size_t step, bool pauses, bool fails)
{
    memset(&source, 0, sizeof(source));
    source.body.ops = &source_ops;
    source.body.in_memory = true;
    source.body.length = -1;
    source.data = data;
    source.len = len;
    source.step = step;
    source.pauses = pauses;
    source.fails = fails;
    return &source.body;
}

/* Everything, in so many slices of so many bytes; consumed late, or never. */
static veil_body_rc_t
drain(veil_http_body_t *b, unsigned room, size_t max, bool late, char *out,
      size_t *len)
{
    veil_slice_t v[8];
    veil_body_rc_t rc;
    size_t held = 0, got;
    unsigned i, n, later = 0;

    *len = 0;
    do {
        n = room;
        rc = veil_http_body_pull(b, v, &n, max);
        cr_assert_leq(n, room);
        cr_assert(rc != VEIL_BODY_DATA || n != 0);
        cr_assert(rc == VEIL_BODY_DATA || rc == VEIL_BODY_END || n == 0);
        for (i = 0, got = 0; i < n; i++) {
            cr_assert_gt(v[i].len, 0);
            memcpy(out + *len, v[i].data, v[i].len);
            *len += v[i].len;
            got += v[i].len;
        }
        cr_assert_leq(got, max);
        held += got;
        if (!late || held > 40) {
            veil_http_body_consume(b, held);
            held = 0;
        }
        /* A group of text may come in four pieces. */
        later = rc == VEIL_BODY_LATER ? later + 1 : 0;
        cr_assert_lt(later, 8);
    } while (rc == VEIL_BODY_DATA || rc == VEIL_BODY_LATER);
    if (held != 0) {
        veil_http_body_consume(b, held);
    }
    return rc;
}

static size_t
decode_pieces(const char *text, size_t len, char *out)
{
    veil_grpc_web_decoder_t d = { .n = 0 };
    ptrdiff_t n = veil_grpc_web_decode(&d, (const unsigned char *) text, len,
                                       (unsigned char *) out);

    cr_assert_geq(n, 0);
    cr_assert(veil_grpc_web_decoder_may_end(&d));
    return (size_t) n;
}

static const char messages[] = "\0\0\0\0\5hello\1\0\0\0\0\0\0\0\0\3abc";
#define MESSAGES (sizeof(messages) - 1)

/* The same for all ways to cut it; want: what follows the first len bytes. */
static void
responses(size_t len, bool fails, const char *want, size_t want_len)
{
    char out[512], text[1024];
    veil_http_body_t *b;
    size_t step, max, got;
    unsigned i;

    for (i = 0; i < 16; i++) {
        call.text_back = (i & 1) != 0;
        for (step = 1; step < 26; step += 3) {
            for (max = 1; max < 40; max += 2) {
                b = veil_grpc_web_encode_body(
                    r, &call, make(messages, len, step, (i & 2) != 0, fails));
                cr_assert_eq(drain(b, (i & 4) != 0 ? 1 : 8, max, (i & 8) != 0,
                                   text, &got),
                             VEIL_BODY_END);
                memcpy(out, text, got);
                if (call.text_back) {
                    cr_assert_eq(got % 4, 0);
                    got = decode_pieces(text, got, out);
                }
                cr_assert_eq(got, len + want_len);
                cr_assert_eq(memcmp(out, messages, len), 0);
                cr_assert_eq(memcmp(out + len, want, want_len), 0);
                cr_assert_eq(source.consumed, len);
                veil_http_body_abort(b);
                cr_assert(source.aborted);
            }
        }
    }
}

Test(grpc_web_body, lost_status)
{
    static const char want[] =
        "\x80\0\0\0\x43grpc-status: 2\r\n"
        "grpc-message: the response ended without a status\r\n";

    cr_assert_eq(sizeof(want) - 6, 0x43);
    responses(MESSAGES, false, want, sizeof(want) - 1);
    responses(0, false, want, sizeof(want) - 1);
}

Test(grpc_web_body, told_in_the_head)
{
    call.told = true;
    responses(MESSAGES, false, "", 0);
    responses(0, false, "", 0);
}

Test(grpc_web_body, broken_between_messages)
{
    static const char want[] = "\x80\0\0\0\x37grpc-status: 14\r\n"
                               "grpc-message: the response broke off\r\n";

    cr_assert_eq(sizeof(want) - 6, 0x37);
    responses(10, true, want, sizeof(want) - 1);
    responses(15, true, want, sizeof(want) - 1);
    responses(MESSAGES, true, want, sizeof(want) - 1);
}

Test(grpc_web_body, broken_in_a_message)
{
    char text[512];
    veil_http_body_t *b;
    size_t len, got;
    unsigned i;

    for (len = 1; len < MESSAGES; len++) {
        if (len == 10 || len == 15) {
            continue;
        }
        for (i = 0; i < 4; i++) {
            call.text_back = (i & 1) != 0;
            b = veil_grpc_web_encode_body(
                r, &call, make(messages, len, 7, true, (i & 2) != 0));
            cr_assert_eq(drain(b, 8, 100, false, text, &got),
                         VEIL_BODY_FAILED);
            cr_assert_eq(b->error, (i & 2) != 0 ? 504 : 502);
            veil_http_body_abort(b);
        }
    }
}

Test(grpc_web_body, trailers)
{
    static const char want[] = "\x80\0\0\0\x32grpc-status: 0\r\n"
                               "x-odd: a%0Ab%C3%A4%7F c\r\n"
                               "empty: \r\n";
    veil_http_headers_t hs;
    veil_http_body_t *b;
    char text[512];
    size_t got;

    cr_assert_eq(sizeof(want) - 6, 0x32);
    veil_http_headers_init(&hs, pool, 3);
    (void) veil_http_headers_add(&hs, VEIL_STR("Grpc-Status"), VEIL_STR("0"));
    (void) veil_http_headers_add(&hs, VEIL_STR("X-Odd"),
                                 VEIL_STR("a\nb\xc3\xa4\x7f c"));
    (void) veil_http_headers_add(&hs, VEIL_STR("empty"), VEIL_STR(""));
    make(messages, MESSAGES, 100, false, false)->trailers = &hs;
    b = veil_grpc_web_encode_body(r, &call, &source.body);
    cr_assert_eq(drain(b, 8, 1000, false, text, &got), VEIL_BODY_END);
    cr_assert_eq(got, MESSAGES + sizeof(want) - 1);
    cr_assert_eq(memcmp(text + MESSAGES, want, sizeof(want) - 1), 0);
    cr_assert_null(b->trailers);
    veil_http_body_abort(b);
}

/* Where there is a pause, all that came before it can be read. */
Test(grpc_web_body, text_is_complete_at_a_pause)
{
    char text[64], out[64];
    veil_http_body_t *b;
    veil_slice_t v[8];
    size_t len = 0;
    unsigned i, n;

    call.text_back = true;
    b = veil_grpc_web_encode_body(r, &call,
                                  make(messages, MESSAGES, 10, true, false));
    do {
        n = 8;
    } while (veil_http_body_pull(b, v, &n, 1000) == VEIL_BODY_LATER);
    for (i = 0; i < n; i++) {
        memcpy(text + len, v[i].data, v[i].len);
        len += v[i].len;
    }
    cr_assert_eq(decode_pieces(text, len, out), 10);
    cr_assert_eq(memcmp(out, messages, 10), 0);
    veil_http_body_abort(b); /* with bytes that were not consumed */
    cr_assert(source.aborted);
}

Test(grpc_web_body, requests)
{
    static const char text[] = "AAAAAAVoZWxsbw==AQ==AAAAAAAAAAAD"
                               "YWJj";
    char out[256];
    veil_http_body_t *b;
    size_t step, max, got;
    unsigned i;

    for (i = 0; i < 8; i++) {
        for (step = 1; step < 48; step++) {
            for (max = 1; max < 50; max += 3) {
                b = veil_grpc_web_decode_body(
                    r,
                    make(text, sizeof(text) - 1, step, (i & 1) != 0, false));
                cr_assert_eq(b->length, -1);
                cr_assert_eq(drain(b, (i & 2) != 0 ? 1 : 8, max, (i & 4) != 0,
                                   out, &got),
                             VEIL_BODY_END);
                cr_assert_eq(got, MESSAGES);
                cr_assert_eq(memcmp(out, messages, got), 0);
                cr_assert_eq(source.consumed, sizeof(text) - 1);
                veil_http_body_abort(b);
                cr_assert(source.aborted);
            }
        }
    }
}

Test(grpc_web_body, malformed_requests)
{
    static const char *const texts[] = { "AAAA*", "AAA", "AAAAQQ=", "=" };
    char out[256];
    veil_http_body_t *b;
    size_t i, step, got;

    for (i = 0; i < veil_countof(texts); i++) {
        for (step = 1; step < 8; step++) {
            b = veil_grpc_web_decode_body(
                r, make(texts[i], strlen(texts[i]), step, true, false));
            cr_assert_eq(drain(b, 8, 100, false, out, &got), VEIL_BODY_FAILED);
            cr_assert_eq(b->error, 400);
            veil_http_body_abort(b);
        }
    }
    b = veil_grpc_web_decode_body(r, make("AAAA", 4, 4, false, true));
    cr_assert_eq(drain(b, 8, 100, false, out, &got), VEIL_BODY_FAILED);
    cr_assert_eq(b->error, 504);
    veil_http_body_abort(b);
}
