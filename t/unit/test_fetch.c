/*
 * test_fetch.c -- veil-fetch without I/O: URLs, options, requests, responses.
 */

#include "core/platform.h"

#include <criterion/criterion.h>

#include "fetch/exchange.c"
#include "fetch/options.c"
#include "fetch/output.c"
#include "fetch/url.c"

#define Z(lit) VEIL_STR(lit)

static void
expect_str(veil_str_t s, const char *z)
{
    cr_expect(veil_str_eq_z(s, z), "\"%.*s\" is not \"%s\"", VEIL_STR_ARG(s),
              z);
}

/* --- URLs -----------------------------------------------------------------*/

Test(fetch, urls)
{
    veil_pool_t *pool = veil_pool_create("test", 1024);
    veil_fetch_url_t u, v;

    cr_assert_null(
        veil_fetch_url_parse(pool, Z("https://Example.com/a?b#c"), &u));
    cr_expect(u.tls);
    expect_str(u.host, "example.com");
    expect_str(u.authority, "Example.com");
    expect_str(u.target, "/a?b");
    cr_expect_eq(u.port, 443);
    cr_assert_null(veil_fetch_url_parse(pool, Z("127.0.0.1:81?x"), &v));
    cr_expect(!v.tls);
    cr_expect(v.is_address);
    cr_expect_eq(v.port, 81);
    expect_str(v.target, "/?x");
    cr_expect(!veil_fetch_url_same_server(&u, &v));
    cr_assert_null(veil_fetch_url_parse(pool, Z("http://[::1]:8080"), &v));
    expect_str(v.host, "::1");
    expect_str(v.authority, "[::1]:8080");
    expect_str(v.target, "/");
    cr_expect(v.is_address);
    cr_assert_null(
        veil_fetch_url_parse(pool, Z("HTTPS://example.com:443/z"), &v));
    cr_expect(veil_fetch_url_same_server(&u, &v));
    cr_assert_null(veil_fetch_url_parse(pool, Z("http://a#x/y"), &v));
    expect_str(v.target, "/");
    veil_pool_destroy(&pool);
}

Test(fetch, bad_urls)
{
    static const char *const bad[] = {
        "",           "http://",       "ftp://a/",     "http://a b/",
        "http://u@a", "http://a:x/",   "http://a/ b",  "http://a:99999/",
        "http:///x",  "http://a/\xc3", "http://a/\x7f"
    };
    veil_pool_t *pool = veil_pool_create("test", 1024);
    veil_fetch_url_t u;
    size_t i;

    for (i = 0; i < veil_countof(bad); i++) {
        cr_expect_not_null(veil_fetch_url_parse(pool, veil_str_z(bad[i]), &u),
                           "%s", bad[i]);
    }
    veil_pool_destroy(&pool);
}

/* --- options --------------------------------------------------------------*/

static bool
options_of(veil_pool_t *pool, veil_fetch_options_t *o, const char *a,
           const char *b, const char *c, const char *d)
{
    const char *argv[] = { "veil-fetch", a, b, c, d, NULL };

    /* Nobody writes to the words; argv has never been const. */
    return veil_fetch_options_parse(pool, (char **) (uintptr_t) argv, o);
}

Test(fetch, options)
{
    veil_pool_t *pool = veil_pool_create("test", 1024);
    veil_fetch_options_t o;

    cr_assert(options_of(pool, &o, "-XPUT", "-fsd@x", "--timeout=2s", "a"));
    expect_str(o.method, "PUT");
    cr_expect(o.fail);
    cr_expect(o.summary);
    cr_expect(!o.verbose);
    cr_expect_eq(o.data_kind, VEIL_FETCH_PATH);
    expect_str(o.data, "x");
    cr_expect_eq(o.timeout_ms, 2000);
    cr_expect_eq(o.urls.n, 1);

    cr_assert(options_of(pool, &o, "-H", "A:  b ", "--", "-a"));
    expect_str(veil_array_at(&o.fields, veil_fetch_field_t, 0)->value, "b");
    expect_str(o.method, "GET");
    expect_str(veil_array_at(&o.urls, veil_fetch_url_t, 0)->host, "-a");

    cr_assert(options_of(pool, &o, "--alpn", "h2, http/1.1", "a", NULL));
    cr_expect_eq(o.alpn.n, 2);
    cr_assert(options_of(pool, &o, "--alpn=", "a", "-d", "x"));
    cr_expect_eq(o.alpn.n, 0);
    expect_str(o.method, "POST");

    cr_expect(!options_of(pool, &o, "a", "-X", "G T", NULL));
    cr_expect(!options_of(pool, &o, "a", "-X", "CONNECT", NULL));
    cr_expect(!options_of(pool, &o, "a", "-H", "no colon", NULL));
    cr_expect(!options_of(pool, &o, "a", "-H", "a: b\nc: d", NULL));
    cr_expect(!options_of(pool, &o, "a", "-H", ": b", NULL));
    cr_expect(!options_of(pool, &o, "a", "-H", "Content-Length: 3", NULL));
    cr_expect(!options_of(pool, &o, "a", "-dab", "-HContent-Length: 3", NULL));
    cr_expect(!options_of(pool, &o, "a", "-da", "-db", NULL));
    cr_expect(!options_of(pool, &o, "a", "b", "-d", "@-"));
    cr_expect(!options_of(pool, &o, "a", "--key", "k", NULL));
    cr_expect(!options_of(pool, &o, "a", "--timeout", "soon", NULL));
    cr_expect(!options_of(pool, &o, "a", "--tls", "1.1", NULL));
    cr_expect(!options_of(pool, &o, "a", "--quiet=1", NULL, NULL));
    cr_expect(!options_of(pool, &o, "a", "--output", NULL, NULL));
    cr_expect(!options_of(pool, &o, "a", "-Z", NULL, NULL));
    cr_expect(!options_of(pool, &o, "a", "--connect", "host", NULL));
    cr_expect(!options_of(pool, &o, NULL, NULL, NULL, NULL));
    veil_pool_destroy(&pool);
}

/* --- requests -------------------------------------------------------------*/

Test(fetch, request_heads)
{
    static const veil_fetch_field_t fields[] = {
        { VEIL_STR_INIT("host"), VEIL_STR_INIT("other") },
        { VEIL_STR_INIT("User-Agent"), VEIL_STR_INIT("") },
        { VEIL_STR_INIT("X"), VEIL_STR_INIT("1") },
    };
    veil_pool_t *pool = veil_pool_create("test", 1024);
    veil_fetch_request_t rq = { .method = Z("POST"),
                                .target = Z("/a"),
                                .authority = Z("h"),
                                .fields = fields,
                                .nfields = 3,
                                .keep_alive = true };

    expect_str(veil_fetch_request_head(pool, &rq),
               "POST /a HTTP/1.1\r\nAccept: */*\r\nContent-Length: 0\r\n"
               "host: other\r\nX: 1\r\n\r\n");
    rq.has_body = true;
    rq.length = 12;
    rq.nfields = 0;
    expect_str(veil_fetch_request_head(pool, &rq),
               "POST /a HTTP/1.1\r\nHost: h\r\nUser-Agent: "
               "veil-fetch/" VEIL_VERSION "\r\nAccept: */*\r\n"
               "Content-Type: application/octet-stream\r\n"
               "Content-Length: 12\r\n\r\n");
    rq.length = -1;
    rq.is_text = true;
    rq.keep_alive = false;
    rq.fields = fields + 1;
    rq.nfields = 1;
    expect_str(veil_fetch_request_head(pool, &rq),
               "POST /a HTTP/1.1\r\nHost: h\r\nAccept: */*\r\n"
               "Connection: close\r\n"
               "Content-Type: application/x-www-form-urlencoded\r\n"
               "Transfer-Encoding: chunked\r\n\r\n");
    rq.method = Z("GET");
    rq.has_body = false;
    rq.nfields = 0;
    cr_expect_eq(
        veil_str_find(veil_fetch_request_head(pool, &rq), Z("Content-Length")),
        -1);
    veil_pool_destroy(&pool);
}

/* --- responses ------------------------------------------------------------*/

typedef struct {
    veil_pool_t *pool;
    veil_fetch_response_t r;
    veil_fetch_rc_t rc; /* the last one */
    char body[256];
    size_t len;
    unsigned interim;
    unsigned heads;
    size_t rest; /* not used */
} response_test_t;

/* Feeds the text in pieces of this size; true: it said END. */
static bool
response_feed(response_test_t *t, const char *method, const char *text,
              size_t size)
{
    const unsigned char *p = (const unsigned char *) text, *end, *data;
    size_t left = strlen(text), len, n;

    memset(t, 0, sizeof(*t));
    t->pool = veil_pool_create("test", 1024);
    veil_fetch_response_init(&t->r, t->pool, veil_str_z(method));
    while (left > 0 && t->rc != VEIL_FETCH_END && t->rc != VEIL_FETCH_BAD) {
        n = veil_min_size(left, size);
        end = p + n;
        left -= n;
        do {
            t->rc = veil_fetch_response_next(&t->r, &p, end, &data, &len);
            t->interim += t->rc == VEIL_FETCH_INTERIM;
            t->heads += t->rc == VEIL_FETCH_HEAD;
            if (t->rc == VEIL_FETCH_DATA) {
                cr_assert(t->len + len < sizeof(t->body));
                memcpy(t->body + t->len, data, len);
                t->len += len;
            }
        } while (t->rc == VEIL_FETCH_INTERIM || t->rc == VEIL_FETCH_HEAD
                 || t->rc == VEIL_FETCH_DATA);
        cr_expect(t->rc != VEIL_FETCH_MORE || p == end);
        left += (size_t) (end - p);
    }
    t->rest = left;
    return t->rc == VEIL_FETCH_END;
}

static void
response_done(response_test_t *t)
{
    veil_pool_destroy(&t->pool);
}

/* However the input is cut, the same comes out. */
static void
expect_response(const char *method, const char *text, const char *body,
                size_t rest)
{
    response_test_t t;
    size_t size;

    for (size = 1; size <= strlen(text); size++) {
        cr_expect(response_feed(&t, method, text, size), "%s: pieces of %zu",
                  text, size);
        cr_expect_eq(t.heads, 1);
        cr_expect_eq(t.len, strlen(body));
        cr_expect_eq(t.r.bytes, t.len);
        cr_expect_eq(memcmp(t.body, body, t.len), 0);
        cr_expect_eq(t.rest, rest, "%s: %zu", text, t.rest);
        response_done(&t);
    }
}

Test(fetch, responses)
{
    expect_response("GET",
                    "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhelloX",
                    "hello", 1);
    expect_response("GET", "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", "",
                    0);
    expect_response("GET",
                    "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 x\r\nA: b\r\n"
                    "\r\nHTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
                    "3\r\nabc\r\n2\r\nde\r\n0\r\nT: x\r\n\r\nHTTP",
                    "abcde", 4);
    expect_response("HEAD", "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n", "",
                    0);
    expect_response("GET", "HTTP/1.1 204 No\r\nA: b\r\n\r\nHTTP", "", 4);
    expect_response("GET", "HTTP/1.1 304 No\r\nContent-Length: 9\r\n\r\n", "",
                    0);
}

/* When the connection may be used again. */
Test(fetch, keep_alive)
{
    static const struct {
        const char *head;
        bool keep;
    } cases[] = {
        { "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n", true },
        { "HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: x, Close\r\n",
          false },
        { "HTTP/1.0 200 OK\r\nContent-Length: 0\r\n", false },
        { "HTTP/1.0 200 OK\r\nContent-Length: 0\r\nConnection: Keep-Alive\r\n",
          true },
        { "HTTP/1.0 200 OK\r\nConnection: keep-alive\r\n", false },
    };
    response_test_t t;
    char text[256];
    size_t i;

    for (i = 0; i < veil_countof(cases); i++) {
        (void) veil_snprintf(text, sizeof(text), "%s\r\n", cases[i].head);
        (void) response_feed(&t, "GET", text, 1000);
        cr_expect_eq(t.heads, 1);
        cr_expect_eq(t.r.keep_alive, cases[i].keep, "%s", cases[i].head);
        response_done(&t);
    }
}

Test(fetch, refused_responses)
{
    static const char *const bad[] = {
        "SSH-2.0-x\r\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: x\r\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 1\r\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nTransfer-Encoding: chunked"
        "\r\n\r\n",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\n",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nxyz",
        "HTTP/1.1 200 OK\r\n folded\r\n\r\n",
        "HTTP/1.1 101 Switching Protocols\r\n\r\n",
    };
    response_test_t t;
    size_t i;

    for (i = 0; i < veil_countof(bad); i++) {
        cr_expect(!response_feed(&t, "GET", bad[i], 1000), "%s", bad[i]);
        cr_expect_eq(t.rc, VEIL_FETCH_BAD, "%s", bad[i]);
        cr_expect_eq(veil_str_find(t.r.error, VEIL_STR("the server sent ")),
                     0);
        cr_expect_eq(veil_fetch_response_eof(&t.r, true), VEIL_FETCH_BAD);
        response_done(&t);
    }
}

Test(fetch, limits)
{
    static char text[2 * VEIL_FETCH_MAX_HEAD];
    response_test_t t;
    size_t n, i;

    n = veil_snprintf(text, sizeof(text), "HTTP/1.1 200 OK\r\nA: ");
    memset(text + n, 'x', VEIL_FETCH_MAX_HEAD);
    cr_expect(!response_feed(&t, "GET", text, 5000));
    cr_expect_eq(t.rc, VEIL_FETCH_BAD);
    response_done(&t);

    n = 0;
    for (i = 0; i <= VEIL_FETCH_MAX_INTERIM; i++) {
        n += veil_snprintf(text + n, sizeof(text) - n,
                           "HTTP/1.1 102 Processing\r\n\r\n");
    }
    cr_expect(!response_feed(&t, "GET", text, 1000));
    cr_expect_eq(t.interim, VEIL_FETCH_MAX_INTERIM);
    cr_expect_eq(t.rc, VEIL_FETCH_BAD);
    response_done(&t);
}

/*
 * The end of the connection: only a body without an end of its own needs a
 * proper one, and nothing that is incomplete is ever called complete.
 */
Test(fetch, ends)
{
    static const struct {
        const char *text;
        veil_fetch_rc_t proper;
        veil_fetch_rc_t improper;
    } cases[] = {
        { "", VEIL_FETCH_CUT, VEIL_FETCH_CUT },
        { "HTTP/1.1 200 OK\r\n", VEIL_FETCH_CUT, VEIL_FETCH_CUT },
        { "HTTP/1.1 100 C\r\n\r\n", VEIL_FETCH_CUT, VEIL_FETCH_CUT },
        { "HTTP/1.1 200 OK\r\n\r\nabc", VEIL_FETCH_END, VEIL_FETCH_CUT },
        { "HTTP/1.1 200 OK\r\n\r\n", VEIL_FETCH_END, VEIL_FETCH_CUT },
        { "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nabc", VEIL_FETCH_CUT,
          VEIL_FETCH_CUT },
        { "HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nabc", VEIL_FETCH_END,
          VEIL_FETCH_END },
        { "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n",
          VEIL_FETCH_CUT, VEIL_FETCH_CUT },
        { "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
          VEIL_FETCH_END, VEIL_FETCH_END },
    };
    response_test_t t;
    size_t i, k;

    for (i = 0; i < veil_countof(cases); i++) {
        for (k = 0; k < 2; k++) {
            (void) response_feed(&t, "GET", cases[i].text, 1000);
            cr_expect_eq(veil_fetch_response_eof(&t.r, k == 0),
                         k == 0 ? cases[i].proper : cases[i].improper,
                         "%s (%zu)", cases[i].text, k);
            cr_expect(!t.r.keep_alive);
            response_done(&t);
        }
    }
}

Test(fetch, log_lines)
{
    static const struct {
        const char *line;
        const char *text;
    } cases[] = {
        { "2026/01/02 03:04:05 [error] 12#12: *7 text: more\n", "text: more" },
        { "2026/01/02 03:04:05 [notice] 12#12: text\n", "text" },
        { "text", "text" },
        { "", "" },
    };
    size_t i;

    for (i = 0; i < veil_countof(cases); i++) {
        expect_str(veil_fetch_log_text(cases[i].line, strlen(cases[i].line)),
                   cases[i].text);
    }
}

Test(fetch, trailer)
{
    response_test_t t;

    cr_expect(response_feed(&t, "GET",
                            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked"
                            "\r\n\r\n0\r\nA: b\r\n\r\n",
                            1000));
    expect_str(veil_fetch_response_trailer(&t.r), "A: b\r\n\r\n");
    response_done(&t);
}
