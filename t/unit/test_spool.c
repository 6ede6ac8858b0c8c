/*
 * test_spool.c -- a body that pulls its source by itself: memory, then a
 * file, then back-pressure; readers, replay, failures.
 */

#include <criterion/criterion.h>

#include <signal.h>
#include <sys/resource.h>
#include <time.h>

#include "../../src/http/spool.c"

#include "core/time.h"
#include "event/loop.h"

/* A source that hands out numbered bytes, as many at once as it may. */
typedef struct {
    veil_http_body_t body;
    uint64_t size;
    uint64_t pulled;
    uint64_t consumed;
    uint64_t allowed; /* bytes that are there already */
    bool fails;
    bool aborted;
    bool waiting;
    unsigned char buf[8192];
} source_t;

static unsigned char
byte_at(uint64_t i)
{
    return (unsigned char) (i * 7 + i / 251);
}

static veil_body_rc_t
source_pull(veil_http_body_t *b, veil_slice_t *v, unsigned *n, size_t max)
{
    source_t *s = veil_container_of(b, source_t, body);
    uint64_t left = s->allowed - s->pulled;
    size_t len = veil_min_size(veil_min_size(max, sizeof(s->buf)), left);
    size_t i;

    *n = 0;
    if (s->pulled == s->size) {
        b->error = 502;
        return s->fails ? VEIL_BODY_FAILED : VEIL_BODY_END;
    }
    if (len == 0) {
        s->waiting = true;
        return VEIL_BODY_LATER;
    }
    cr_assert_eq(s->consumed, s->pulled); /* one slice at a time */
    for (i = 0; i < len; i++) {
        s->buf[i] = byte_at(s->pulled + i);
    }
    v[0] = veil_slice_mem(s->buf, len);
    *n = 1;
    s->pulled += len;
    return s->pulled == s->size && !s->fails ? VEIL_BODY_END : VEIL_BODY_DATA;
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
    .name = "numbers",
    .pull = source_pull,
    .consume = source_consume,
    .abort = source_abort,
};

static veil_loop_t *loop;
static veil_pool_t *pool;
static source_t source;
static unsigned completed;
static unsigned readied;
static char temp[] = "/tmp/veil-spool-XXXXXX";

static void
on_complete(void *owner)
{
    (void) owner;
    completed++;
}

static void
on_ready(void *reader)
{
    (void) reader;
    readied++;
}

static void
setup(void)
{
    veil_loop_options_t o = { .backend = "epoll",
                              .connections = 8,
                              .buffer_size = 4096,
                              .log = &veil_log_stderr };

    veil_log_stderr.level = VEIL_LOG_OFF;
    veil_time_update();
    loop = veil_loop_create(&o);
    cr_assert_not_null(loop);
    pool = veil_pool_create("test", 4096);
    cr_assert_not_null(mkdtemp(temp));
}

static void
turn(unsigned n)
{
    while (n-- > 0) {
        veil_loop_turn(loop, 5);
    }
}

/* True until so much time has gone by that only a fault explains it. */
static bool
in_time(time_t *end)
{
    struct timespec now;

    (void) clock_gettime(CLOCK_MONOTONIC, &now);
    if (*end == 0) {
        *end = now.tv_sec + 30;
    }
    return now.tv_sec < *end;
}

#define UNTIL(cond)                                                           \
    do {                                                                      \
        time_t until_end = 0;                                                 \
        while (!(cond) && in_time(&until_end)) {                              \
            turn(1);                                                          \
        }                                                                     \
        cr_assert(cond, "did not happen: " #cond);                            \
    } while (0)

static void
teardown(void)
{
    veil_pool_destroy(&pool);
    UNTIL((veil_pool_reap(), loop->nhandles == 0 && veil_block_count() == 0));
    cr_assert_eq(veil_block_count(), 0);
    cr_assert_eq(loop->nhandles, 0);
    veil_loop_destroy(&loop);
    cr_assert_eq(rmdir(temp), 0); /* nothing has a name there */
}

static veil_http_spool_t *
make(uint64_t size, uint64_t allowed, size_t memory, int64_t file, bool replay)
{
    veil_http_spool_options_t o = { .memory = memory,
                                    .block = 1024,
                                    .max_file = file,
                                    .replay = replay,
                                    .temp_path = veil_str_z(temp),
                                    .log = &veil_log_stderr,
                                    .complete = on_complete };

    memset(&source, 0, sizeof(source));
    source.body.ops = &source_ops;
    source.body.in_memory = true;
    source.body.length = -1;
    source.size = size;
    source.allowed = allowed;
    completed = 0;
    readied = 0;
    return veil_http_spool_create(pool, loop, &source.body, &o);
}

static void
allow(uint64_t bytes)
{
    source.allowed = bytes;
    if (source.waiting) {
        source.waiting = false;
        veil_http_body_is_ready(&source.body);
    }
}

/* Checks the bytes, memory or file, against what they must be. */
static void
check(const veil_slice_t *v, uint64_t at)
{
    unsigned char *copy = veil_alloc(v->len);
    size_t i;

    if (v->data != NULL) {
        memcpy(copy, v->data, v->len);
    } else {
        cr_assert_eq(pread(v->fd, copy, v->len, (off_t) v->offset),
                     (ssize_t) v->len);
    }
    for (i = 0; i < v->len; i++) {
        cr_assert_eq(copy[i], byte_at(at + i), "byte %llu",
                     (unsigned long long) (at + i));
    }
    veil_free(copy);
}

/* Reads to the end, turning the loop when there is nothing. */
static uint64_t
read_all(veil_http_body_t *b, uint64_t at)
{
    veil_slice_t v[4];
    veil_body_rc_t rc;
    time_t end = 0;
    unsigned i, n;

    veil_http_body_set_reader(b, on_ready, NULL);
    for (;;) {
        n = 4;
        rc = veil_http_body_pull(b, v, &n, 5000);
        cr_assert_neq(rc, VEIL_BODY_FAILED);
        for (i = 0; i < n; i++) {
            check(&v[i], at);
            at += v[i].len;
            veil_http_body_consume(b, v[i].len);
        }
        if (rc == VEIL_BODY_END) {
            return at;
        }
        if (rc == VEIL_BODY_LATER) {
            cr_assert(in_time(&end), "it ends at byte %llu",
                      (unsigned long long) at);
            turn(1);
        }
    }
}

TestSuite(spool, .init = setup, .fini = teardown);

Test(spool, small_is_complete_at_once)
{
    veil_http_spool_t *s = make(1000, 1000, 4096, 0, true);

    cr_assert(veil_http_spool_is_complete(s));
    cr_assert_eq(completed, 0); /* not from inside create */
    cr_assert_eq(veil_http_spool_size(s), 1000);
    cr_assert_eq(veil_http_spool_text(s).len, 1000);
    cr_assert_eq(source.consumed, 1000);
}

Test(spool, empty)
{
    veil_http_spool_t *s = make(0, 0, 4096, 0, true);
    veil_http_body_t *b = veil_http_spool_reader(s);

    cr_assert(veil_http_spool_is_complete(s));
    cr_assert_eq(read_all(b, 0), 0);
    cr_assert_eq(b->length, 0);
}

Test(spool, completion_is_told_once)
{
    veil_http_spool_t *s = make(3000, 1000, 4096, 0, true);

    cr_assert_not(veil_http_spool_is_complete(s));
    allow(3000);
    cr_assert(veil_http_spool_is_complete(s));
    cr_assert_eq(completed, 1);
    turn(3);
    cr_assert_eq(completed, 1);
}

Test(spool, memory_without_a_file_holds_the_source)
{
    veil_http_spool_t *s = make(100000, 100000, 8000, 0, false);
    veil_http_body_t *b = veil_http_spool_reader(s);

    cr_assert_leq(source.pulled, 8000);
    cr_assert_null(s->file);
    cr_assert_eq(read_all(b, 0), 100000);
    cr_assert_leq(s->in_memory, 8000);
    veil_http_body_abort(b);
}

Test(spool, what_memory_does_not_hold_goes_to_a_file)
{
    veil_http_spool_t *s = make(500000, 500000, 8000, 1 << 20, false);
    veil_http_body_t *b = veil_http_spool_reader(s);

    UNTIL(veil_http_spool_is_complete(s));
    cr_assert_eq(veil_http_spool_size(s), 500000);
    cr_assert_geq(veil_http_spool_file_size(s), 490000);
    cr_assert_null(veil_http_spool_text(s).data);
    cr_assert_eq(read_all(b, 0), 500000);
    veil_http_body_abort(b);
}

Test(spool, the_file_has_a_limit)
{
    veil_http_spool_t *s = make(500000, 500000, 8000, 100000, false);
    veil_http_body_t *b = veil_http_spool_reader(s);

    turn(20);
    cr_assert_not(veil_http_spool_is_complete(s));
    cr_assert_leq(source.pulled, 108000);
    cr_assert_eq(read_all(b, 0), 500000);
    veil_http_body_abort(b);
}

Test(spool, reading_while_it_is_written)
{
    veil_http_spool_t *s = make(300000, 20000, 8000, 1 << 20, false);
    veil_http_body_t *b = veil_http_spool_reader(s);
    veil_slice_t v[4];
    uint64_t at = 0;
    unsigned i, n, rounds;
    time_t end = 0;
    veil_body_rc_t rc = VEIL_BODY_DATA;

    veil_http_body_set_reader(b, on_ready, NULL);
    for (rounds = 0; rc != VEIL_BODY_END; rounds++) {
        cr_assert(in_time(&end));
        n = 4;
        rc = veil_http_body_pull(b, v, &n, 3000);
        for (i = 0; i < n; i++) {
            check(&v[i], at);
            at += v[i].len;
            veil_http_body_consume(b, v[i].len);
        }
        if (rounds % 3 == 0) {
            allow(veil_min_size(source.allowed + 7000, 300000));
        }
        turn(1);
    }
    cr_assert_eq(at, 300000);
    veil_http_body_abort(b);
}

Test(spool, replay)
{
    veil_http_spool_t *s = make(100000, 100000, 8000, 1 << 20, true);
    veil_http_body_t *one, *two;

    UNTIL(veil_http_spool_is_complete(s));
    one = veil_http_spool_reader(s);
    cr_assert_eq(one->length, 100000);
    cr_assert_eq(read_all(one, 0), 100000);
    veil_http_body_abort(one);
    two = veil_http_spool_reader(s);
    cr_assert_eq(read_all(two, 0), 100000);
    veil_http_spool_release(s);
    cr_assert_eq(s->in_memory, 0);
    veil_http_body_abort(two);
}

Test(spool, a_source_that_fails)
{
    veil_http_spool_t *s;
    veil_http_body_t *b;
    veil_slice_t v[4];
    unsigned n = 4;

    s = make(1000, 500, 4096, 0, false);
    source.fails = true;
    b = veil_http_spool_reader(s);
    veil_http_body_set_reader(b, on_ready, NULL);
    cr_assert_eq(veil_http_body_pull(b, v, &n, 5000), VEIL_BODY_DATA);
    veil_http_body_consume(b, v[0].len);
    n = 4;
    cr_assert_eq(veil_http_body_pull(b, v, &n, 5000), VEIL_BODY_LATER);
    allow(1000);
    cr_assert_eq(readied, 1);
    cr_assert_eq(completed, 1);
    cr_assert_eq(veil_http_spool_error(s), 502);
    /* What came before the failure is still there. */
    n = 4;
    cr_assert_eq(veil_http_body_pull(b, v, &n, 5000), VEIL_BODY_DATA);
    n = 4;
    cr_assert_eq(veil_http_body_pull(b, v, &n, 5000), VEIL_BODY_FAILED);
    cr_assert_eq(b->error, 502);
    veil_http_body_abort(b);
}

Test(spool, aborting_ends_the_source)
{
    veil_http_spool_t *s = make(100000, 1000, 8000, 1 << 20, false);
    veil_http_body_t *b = veil_http_spool_reader(s);

    veil_http_body_abort(b);
    cr_assert(source.aborted);
    cr_assert_neq(veil_http_spool_error(s), 0);
    veil_http_spool_abort(s); /* harmless */
}

/* --- a full disk -----------------------------------------------------------
 */

static void
limit_file_size(rlim_t size)
{
    struct rlimit r;

    (void) signal(SIGXFSZ, SIG_IGN);
    cr_assert_eq(getrlimit(RLIMIT_FSIZE, &r), 0);
    r.rlim_cur = size;
    cr_assert_eq(setrlimit(RLIMIT_FSIZE, &r), 0);
}

Test(spool, a_full_disk_leaves_memory_to_stream_through)
{
    veil_http_spool_t *s;
    veil_http_body_t *b;

    limit_file_size(100000);
    s = make(500000, 500000, 8000, 1 << 20, false);
    b = veil_http_spool_reader(s);
    UNTIL(s->file_failed);
    turn(5);
    cr_assert_not(veil_http_spool_is_complete(s));
    cr_assert_eq(read_all(b, 0), 500000);
    veil_http_body_abort(b);
}

Test(spool, a_full_disk_fails_what_must_be_kept)
{
    veil_http_spool_t *s;

    limit_file_size(100000);
    s = make(500000, 500000, 8000, 1 << 20, true);
    UNTIL(veil_http_spool_error(s) != 0);
    cr_assert_eq(veil_http_spool_error(s), 500);
    cr_assert_eq(completed, 1);
    cr_assert_not(veil_http_spool_is_complete(s));
}

Test(spool, no_directory_is_no_file)
{
    veil_http_spool_options_t o = { .memory = 1024,
                                    .block = 1024,
                                    .max_file = 100000,
                                    .temp_path = VEIL_STR("/proc/none"),
                                    .log = &veil_log_stderr };
    veil_http_spool_t *s;
    veil_http_body_t *b;

    (void) make(10, 10, 100, 0, true);
    source.size = 20000;
    source.allowed = 20000;
    source.pulled = source.consumed = 0;
    s = veil_http_spool_create(pool, loop, &source.body, &o);
    b = veil_http_spool_reader(s);
    cr_assert_eq(read_all(b, 0), 20000);
    veil_http_body_abort(b);
}

Test(spool, trailers_follow_the_end)
{
    veil_http_headers_t trailers;
    veil_http_spool_t *s;
    veil_http_body_t *b;

    veil_http_headers_init(&trailers, pool, 1);
    (void) veil_http_headers_add(&trailers, VEIL_STR("X-Sum"), VEIL_STR("42"));
    s = make(3000, 1000, 8192, 0, false);
    b = veil_http_spool_reader(s);
    source.body.trailers = &trailers;
    cr_assert_null(b->trailers);
    allow(3000);
    cr_assert_eq(read_all(b, 0), 3000);
    cr_assert_eq(b->trailers, &trailers);
    veil_http_body_abort(b);
}
