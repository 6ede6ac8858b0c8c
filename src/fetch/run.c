/*
 * run.c -- fetching: URL by URL, on one connection where they share a server.
 *
 * An exchange is a request and its response.  Both directions work at once: a
 * server may answer before it has all of the body, and what it says then
 * counts.  The connection is used again when the response is complete, all of
 * the request was sent, and neither side has said that it was the last.
 *
 * A kept connection may be gone when it is used again, which is nobody's
 * fault: such a request is sent once more on a new one, if sending it twice
 * does no harm (RFC 9110, 9.2.2) and its body can be read again.
 *
 * What ends an exchange is noted in callbacks and done by a post, so nothing
 * is closed in the middle of a block of data.  The first failure ends the
 * run.
 */

#include "core/platform.h"

#include "core/time.h"
#include "fetch/link.h"
#include "fetch/run.h"
#include "fetch/send.h"

/* How long a server may think about "Expect: 100-continue". */
#define RUN_EXPECT_MS 1000

typedef struct {
    veil_loop_t *loop;
    const veil_fetch_options_t *o;
    veil_tls_ctx_t *ctx;
    veil_fetch_output_t *out;
    unsigned at; /* the URL */
    const veil_fetch_url_t *url;
    veil_fetch_link_t *link; /* NULL: none */
    veil_pool_t *pool;       /* of the exchange; NULL: there is none */
    veil_fetch_response_t response;
    veil_fetch_send_t *send; /* of the exchange */
    veil_post_t post;        /* goes on with it */
    veil_timer_t expect;
    veil_timer_t max_time;
    uint64_t began_ms;
    bool complete; /* the response is */
    bool again;    /* the request is to be sent once more */
    bool retried;  /* it was */
    bool over;
    veil_fetch_code_t code;
} run_t;

static run_t run;

static void run_next(void);

/* --- the end of things ----------------------------------------------------*/

static void
run_end_exchange(void)
{
    veil_timer_cancel(&run.expect);
    if (run.pool != NULL) {
        veil_fetch_send_stop(run.send);
        veil_pool_retire(&run.pool);
    }
}

static void
run_drop_link(void)
{
    if (run.link != NULL) {
        veil_fetch_link_close(run.link);
        run.link = NULL;
    }
}

static void
run_finish(veil_fetch_code_t code)
{
    if (run.over) {
        return;
    }
    run.over = true;
    run.code = code;
    veil_post_cancel(&run.post);
    veil_timer_cancel(&run.max_time);
    run_end_exchange();
    run_drop_link();
}

/* Ends the run from the loop, when nobody is in the middle of anything. */
static void
run_fail(veil_fetch_code_t code)
{
    if (run.code == VEIL_FETCH_OK) {
        run.code = code;
    }
    veil_post(run.loop, &run.post);
}

static void
run_timed_out(const char *what)
{
    veil_fetch_say("timed out while %s %.*s", what,
                   VEIL_STR_ARG(run.url->authority));
    run_fail(VEIL_FETCH_TIMEOUT);
}

static void
run_max_time_over(veil_timer_t *t VEIL_UNUSED)
{
    veil_fetch_say("the time given with --max-time is over");
    run_fail(VEIL_FETCH_TIMEOUT);
}

/* --- telling --------------------------------------------------------------*/

static int
run_tell_summary(void)
{
    const veil_fetch_response_t *r = &run.response;
    char how[256];

    (void) veil_fetch_link_describe(run.link, how, sizeof(how));
    return veil_fetch_output_line(
        run.out, "%d %.*s %.*s: %llu bytes, %llu ms, %s, %s connection",
        r->status, VEIL_STR_ARG(run.o->method), VEIL_STR_ARG(run.url->text),
        (unsigned long long) r->bytes,
        (unsigned long long) (veil_now_ms() - run.began_ms), how,
        run.link->uses > 1 ? "kept" : "new");
}

static void
run_note_response(void)
{
    veil_str_t trailer = veil_fetch_response_trailer(&run.response);

    if (trailer.len != 0) {
        veil_fetch_note_head("< ", trailer);
    }
    veil_fetch_note("the response is complete, %llu bytes",
                    (unsigned long long) run.response.bytes);
}

/* --- going on -------------------------------------------------------------*/

static void
run_completed(void)
{
    const veil_fetch_response_t *r = &run.response;
    bool keep =
        r->keep_alive && veil_fetch_send_is_over(run.send) && !run.link->ended;
    int status = r->status;

    run.complete = false;
    if (run.o->verbose) {
        run_note_response();
    }
    if (run.o->summary && run_tell_summary() < 0) {
        run_finish(VEIL_FETCH_FILE);
        return;
    }
    run_end_exchange();
    if (!keep) {
        run_drop_link();
    }
    if (run.o->fail && status >= 400) {
        veil_fetch_say("the status of \"%.*s\" is %d",
                       VEIL_STR_ARG(run.url->text), status);
        run_finish(VEIL_FETCH_STATUS);
        return;
    }
    run.at++;
    run.retried = false;
    run_next();
}

static void
run_posted(veil_post_t *post VEIL_UNUSED)
{
    if (run.code != VEIL_FETCH_OK) {
        run_finish(run.code);
    } else if (run.again) {
        run.again = false;
        run.retried = true;
        run_end_exchange();
        run_drop_link();
        run_next();
    } else if (run.complete) {
        run_completed();
    }
}

/* --- the response ---------------------------------------------------------*/

/* The answer is not what it ought to be. */
static void
run_refuse(veil_fetch_code_t code)
{
    veil_fetch_say("%.*s: %.*s", VEIL_STR_ARG(run.url->text),
                   VEIL_STR_ARG(run.response.error));
    run_fail(code);
}

static void
run_interim(void)
{
    if (run.o->verbose) {
        veil_fetch_note_head("< ", run.response.line);
        veil_fetch_note_head("< ", run.response.fields);
    }
    if (run.response.status == 100) {
        veil_timer_cancel(&run.expect);
        veil_fetch_send_go_on(run.send);
    }
}

static bool
run_head(void)
{
    if (run.o->verbose) {
        veil_fetch_note_head("< ", run.response.line);
        veil_fetch_note_head("< ", run.response.fields);
    }
    veil_timer_cancel(&run.expect);
    return run.o->summary
           || veil_fetch_output_head(run.out, &run.response) == 0;
}

/* One step over the input; false: this was the last one. */
static bool
run_step(const unsigned char **p, const unsigned char *end)
{
    const unsigned char *data;
    size_t len;

    switch (veil_fetch_response_next(&run.response, p, end, &data, &len)) {
    case VEIL_FETCH_MORE:
        return false;
    case VEIL_FETCH_INTERIM:
        run_interim();
        return true;
    case VEIL_FETCH_HEAD:
        if (run_head()) {
            return true;
        }
        run_fail(VEIL_FETCH_FILE);
        return false;
    case VEIL_FETCH_DATA:
        if (veil_fetch_output_body(run.out, data, len) == 0) {
            return true;
        }
        run_fail(VEIL_FETCH_FILE);
        return false;
    case VEIL_FETCH_END:
        run.complete = true;
        veil_post(run.loop, &run.post);
        return false;
    default:
        run_refuse(VEIL_FETCH_PROTOCOL);
        return false;
    }
}

/* The server is to say something now. */
static void
run_expect_data(veil_conn_t *c)
{
    if (veil_fetch_send_is_over(run.send) && !run.complete) {
        veil_conn_read_timeout(c, run.o->timeout_ms);
    } else {
        veil_conn_read_timeout(c, 0);
    }
}

static void
run_on_data(veil_conn_t *c, veil_buf_t *b)
{
    const unsigned char *p = b->pos;

    if (run.complete || run.code != VEIL_FETCH_OK) {
        /* Nobody asked for more: such a connection is not used again. */
        veil_fetch_link_of(c)->ended = true;
        b->pos = b->end;
        return;
    }
    while (run_step(&p, b->end)) {
        /* what is to be done is done there */
    }
    if (p < b->end) {
        veil_fetch_link_of(c)->ended = true;
    }
    b->pos = b->end;
    /* Writing may have taken its time, which the server is not to blame for.
     */
    veil_time_update();
    run_expect_data(c);
}

static bool
run_may_send_again(void)
{
    bool safe;

    switch (veil_http_method_find(run.o->method.data, run.o->method.len)) {
    case VEIL_GET:
    case VEIL_HEAD:
    case VEIL_PUT:
    case VEIL_DELETE:
    case VEIL_OPTIONS:
    case VEIL_TRACE:
        safe = true;
        break;
    default:
        safe = false;
        break;
    }
    return safe && !run.retried && run.link->uses > 1 && !run.response.begun
           && run.o->data_kind != VEIL_FETCH_STDIN;
}

/* The connection ended before the response did. */
static void
run_cut(int err)
{
    if (err == -EPROTO && run.url->tls) {
        veil_fetch_say("%.*s: TLS failed: %s", VEIL_STR_ARG(run.url->text),
                       veil_fetch_link_complaint());
        run_fail(VEIL_FETCH_TLS);
        return;
    }
    if (run_may_send_again()) {
        if (run.o->verbose) {
            veil_fetch_note("the kept connection is gone: once more");
        }
        run.again = true;
        veil_post(run.loop, &run.post);
        return;
    }
    if (err != 0) {
        veil_fetch_say("%.*s: the connection was lost: %s",
                       VEIL_STR_ARG(run.url->text), strerror(-err));
    }
    run_refuse(run.response.begun ? VEIL_FETCH_TRUNCATED
                                  : VEIL_FETCH_PROTOCOL);
}

static void
run_on_eof(veil_conn_t *c, int err)
{
    const veil_tls_t *t = veil_tls_of(c);
    bool proper = err == 0 && (t == NULL || veil_tls_was_closed(t));

    veil_fetch_link_of(c)->ended = true;
    if (run.complete || run.code != VEIL_FETCH_OK) {
        return;
    }
    veil_conn_read_timeout(c, 0);
    switch (veil_fetch_response_eof(&run.response, proper)) {
    case VEIL_FETCH_END:
        run.complete = true;
        veil_post(run.loop, &run.post);
        break;
    case VEIL_FETCH_CUT:
        run_cut(err);
        break;
    default:
        break; /* has been refused */
    }
}

static void
run_on_sent(veil_conn_t *c VEIL_UNUSED, ssize_t res)
{
    veil_fetch_send_moved(run.send, res);
}

static void
run_on_read_timeout(veil_conn_t *c VEIL_UNUSED)
{
    run_timed_out("waiting for data from");
}

static void
run_on_write_timeout(veil_conn_t *c VEIL_UNUSED)
{
    run_timed_out("sending to");
}

static const veil_conn_ops_t run_conn_ops = {
    .name = "fetch",
    .on_data = run_on_data,
    .on_eof = run_on_eof,
    .on_sent = run_on_sent,
    .on_read_timeout = run_on_read_timeout,
    .on_write_timeout = run_on_write_timeout,
};

/* --- the request ----------------------------------------------------------*/

static void
run_sent(veil_fetch_send_t *s VEIL_UNUSED, veil_fetch_sent_t how)
{
    if (how == VEIL_FETCH_UNREAD) {
        run_fail(VEIL_FETCH_FILE);
        return;
    }
    if (how == VEIL_FETCH_UNSENT) {
        /* The response may be there all the same. */
        run.link->ended = true;
    }
    run_expect_data(run.link->conn);
}

static void
run_expect_over(veil_timer_t *t VEIL_UNUSED)
{
    veil_fetch_send_go_on(run.send);
}

/* The length of the body, or -1 for chunks; false: it cannot be had. */
static bool
run_open_body(int64_t *length)
{
    const veil_fetch_options_t *o = run.o;
    veil_fetch_send_t *s = run.send;

    *length = -1;
    switch (o->data_kind) {
    case VEIL_FETCH_NO_DATA:
        break;
    case VEIL_FETCH_TEXT:
        s->text = o->data;
        *length = (int64_t) o->data.len;
        break;
    case VEIL_FETCH_PATH:
    case VEIL_FETCH_STDIN:
        s->name =
            o->data_kind == VEIL_FETCH_STDIN ? "standard input" : o->data.data;
        s->body = veil_fetch_body_open(run.loop, run.pool, o, length);
        if (s->body == NULL) {
            return false;
        }
        if (o->data_length >= 0) {
            *length = o->data_length;
        }
        break;
    }
    if (o->chunked) {
        *length = -1;
    }
    return true;
}

/* A text that is to be sent as one chunk. */
static void
run_chunk_text(veil_fetch_send_t *s)
{
    veil_str_t text = s->text, last = VEIL_HTTP_CHUNK_LAST;
    char line[VEIL_HTTP_CHUNK_HEAD_MAX];
    size_t n;
    char *p;

    if (text.len == 0) {
        s->text = last;
        return;
    }
    n = veil_http_chunk_head(line, text.len);
    p = veil_pool_chars(run.pool, n + text.len + 2 + last.len);
    s->text.data = p;
    p = veil_fmt_str(p, veil_str_n(line, n));
    p = veil_fmt_str(p, text);
    p = veil_fmt_str(p, VEIL_HTTP_CHUNK_TAIL);
    p = veil_fmt_str(p, last);
    s->text.len = (size_t) (p - s->text.data);
}

static void
run_begin_exchange(void)
{
    const veil_fetch_options_t *o = run.o;
    veil_fetch_send_t *s;
    veil_fetch_request_t rq = { .method = o->method,
                                .target = run.url->target,
                                .authority = run.url->authority,
                                .fields = o->fields.elts,
                                .nfields = o->fields.n };
    bool paused;

    run.pool = veil_pool_create("exchange", 4096);
    veil_fetch_link_hold(run.link, run.pool);
    s = VEIL_POOL_NEW(run.pool, veil_fetch_send_t);
    run.send = s;
    s->conn = run.link->conn;
    s->over = run_sent;
    if (!run_open_body(&rq.length)) {
        run_fail(VEIL_FETCH_FILE);
        return;
    }
    rq.has_body = o->data_kind != VEIL_FETCH_NO_DATA;
    rq.is_text = o->data_kind == VEIL_FETCH_TEXT;
    rq.keep_alive = run.at + 1 < o->urls.n && !o->reconnect;
    s->length = rq.length;
    if (rq.is_text && rq.length < 0) {
        run_chunk_text(s);
    }
    s->head = veil_fetch_request_head(run.pool, &rq);
    veil_fetch_response_init(&run.response, run.pool, o->method);
    if (o->verbose) {
        veil_fetch_note_head("> ", s->head);
    }
    run.link->uses++;
    paused = o->expect && rq.has_body;
    if (paused) {
        veil_timer_set(run.loop, &run.expect, RUN_EXPECT_MS);
    }
    veil_fetch_send_begin(s, paused);
    veil_conn_read(run.link->conn);
}

/* --- connections ----------------------------------------------------------*/

/* Which path the bytes take: the one thing that is always said. */
static void
run_tell_path(void)
{
    char text[256];

    if (!run.o->quiet) {
        (void) veil_fetch_link_path(run.link, text, sizeof(text));
        veil_fetch_say("Using %s", text);
    }
    if (run.o->verbose) {
        (void) veil_fetch_link_describe(run.link, text, sizeof(text));
        veil_fetch_note("the connection is %s", text);
    }
}

static void
run_ready(veil_fetch_link_t *link)
{
    const veil_tls_t *t = veil_tls_of(link->conn);
    veil_str_t alpn = t != NULL ? veil_tls_alpn(t) : VEIL_STR_NULL;

    run_tell_path();
    if (alpn.len != 0 && !veil_str_eq(alpn, VEIL_STR("http/1.1"))) {
        veil_fetch_say("%.*s chose the protocol \"%.*s\", which veil-fetch "
                       "does not speak",
                       VEIL_STR_ARG(run.url->authority), VEIL_STR_ARG(alpn));
        run_fail(VEIL_FETCH_PROTOCOL);
        return;
    }
    run_begin_exchange();
}

static void
run_failed(veil_fetch_link_t *link VEIL_UNUSED, veil_fetch_code_t code)
{
    run_fail(code);
}

static const veil_fetch_link_ops_t run_link_ops = { .ready = run_ready,
                                                    .failed = run_failed };

static bool
run_can_reuse(void)
{
    const veil_fetch_link_t *link = run.link;

    return link != NULL && !link->ended && !run.o->reconnect
           && veil_fetch_url_same_server(&link->url, run.url)
           && veil_conn_is_alive(link->conn);
}

/* The URL at hand, if there is one. */
static void
run_next(void)
{
    if (run.at == run.o->urls.n) {
        run_finish(VEIL_FETCH_OK);
        return;
    }
    run.url = veil_array_at(&run.o->urls, veil_fetch_url_t, run.at);
    run.began_ms = veil_now_ms();
    if (run_can_reuse()) {
        run_begin_exchange();
        return;
    }
    run_drop_link();
    run.link = veil_fetch_link_open(run.loop, run.o, run.ctx, run.url,
                                    &run_link_ops, &run_conn_ops, NULL);
}

veil_fetch_code_t
veil_fetch_run(veil_loop_t *loop, const veil_fetch_options_t *o,
               veil_tls_ctx_t *ctx, veil_fetch_output_t *out)
{
    memset(&run, 0, sizeof(run));
    run.loop = loop;
    run.o = o;
    run.ctx = ctx;
    run.out = out;
    veil_post_init(&run.post, run_posted);
    veil_timer_init(&run.expect, run_expect_over);
    veil_timer_init(&run.max_time, run_max_time_over);
    if (o->max_time_ms != 0) {
        veil_timer_set(loop, &run.max_time, o->max_time_ms);
    }
    run_next();
    while (!run.over) {
        veil_loop_turn(loop, -1);
    }
    return run.code;
}
