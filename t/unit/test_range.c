/*
 * test_range.c -- cutting bodies: lists of slices, and any other body from
 * which a part is taken while it passes.
 */

#include "core/platform.h"

#include <criterion/criterion.h>

#include "../../src/http/range.c"

#include "core/buf.h"

static const char digits[] = "0123456789abcdefghijklmnopqrstuvwxyz";

static veil_pool_t *pool;

static void
setup(void)
{
    pool = veil_pool_create("range", 4096);
}

static void
teardown(void)
{
    veil_pool_destroy(&pool);
    veil_pool_trim();
}

TestSuite(range, .init = setup, .fini = teardown);

/* Pulls all in pieces of at most max bytes; what came, as text. */
static const char *
drain(veil_http_body_t *b, unsigned room, size_t max)
{
    static char out[256];
    veil_slice_t v[8];
    veil_body_rc_t rc;
    size_t len = 0, held;
    unsigned n, i;

    do {
        n = room;
        rc = veil_http_body_pull(b, v, &n, max);
        cr_assert(rc == VEIL_BODY_DATA || rc == VEIL_BODY_END);
        cr_assert(rc == VEIL_BODY_END || n != 0);
        for (i = 0, held = 0; i < n; i++) {
            cr_assert_gt(v[i].len, 0);
            cr_assert_lt(len + v[i].len, sizeof(out));
            if (v[i].data != NULL) {
                memcpy(out + len, v[i].data, v[i].len);
            } else {
                /* A file slice shows as its offsets' digits. */
                memcpy(out + len, digits + v[i].offset, v[i].len);
            }
            len += v[i].len;
            held += v[i].len;
        }
        cr_assert_leq(held, max);
        if (held != 0) {
            veil_http_body_consume(b, held);
        }
    } while (rc == VEIL_BODY_DATA);
    out[len] = '\0';
    return out;
}

static veil_http_body_t *
three(void)
{
    veil_slice_t v[3] = { veil_slice_mem(digits, 10),
                          veil_slice_file(7, 10, 10),
                          veil_slice_mem(digits + 20, 10) };

    return veil_http_body_slices(pool, v, 3);
}

Test(range, slices_are_cut)
{
    static const struct {
        unsigned start, end;
        const char *want;
        unsigned n;
    } cases[] = {
        { 0, 30, "0123456789abcdefghijklmnopqrst", 3 },
        { 0, 1, "0", 1 },
        { 9, 11, "9a", 2 },
        { 10, 20, "abcdefghij", 1 },
        { 12, 13, "c", 1 },
        { 19, 21, "jk", 2 },
        { 29, 30, "t", 1 },
    };
    unsigned i, n;

    for (i = 0; i < veil_countof(cases); i++) {
        veil_http_range_t range = { cases[i].start, cases[i].end };
        veil_http_body_t *b = three();
        const veil_slice_t *v = veil_http_body_as_slices(b, &n);
        veil_slice_t cut[3];

        cr_assert_not_null(v);
        cr_assert_eq(n, 3);
        n = range_slices_cut(v, n, &range, cut);
        cr_assert_eq(n, cases[i].n, "case %u", i);
        b = veil_http_body_reslice(pool, b, cut, n);
        cr_assert_eq(b->length, cases[i].end - cases[i].start);
        cr_assert_str_eq(drain(b, 2, 3), cases[i].want);
        veil_http_body_abort(b);
    }
}

Test(range, slices_that_were_pulled_are_not_offered)
{
    veil_http_body_t *b = three();
    veil_slice_t v[1];
    unsigned n = 1;

    cr_assert_eq(veil_http_body_pull(b, v, &n, 3), VEIL_BODY_DATA);
    cr_assert_null(veil_http_body_as_slices(b, &n));
    cr_assert_null(veil_http_body_as_slices(NULL, &n));
}

Test(range, part_of_a_passing_body)
{
    unsigned start, end, room;
    size_t max;

    for (start = 0; start < 30; start++) {
        for (end = start + 1; end <= 30; end++) {
            for (room = 1; room <= 3; room++) {
                for (max = 1; max <= 31; max += 5) {
                    veil_http_range_t range = { start, end };
                    veil_http_body_t *b =
                        range_body_create(pool, three(), &range);
                    unsigned n;

                    cr_assert_null(veil_http_body_as_slices(b, &n));
                    cr_assert_eq(b->length, end - start);
                    cr_assert_eq(strncmp(drain(b, room, max), digits + start,
                                         end - start),
                                 0);
                    veil_http_body_abort(b);
                }
            }
        }
    }
}

/* A body that has something only now and then. */
typedef struct {
    veil_http_body_t body;
    unsigned at;
    unsigned turn;
    size_t consumed;
    int aborted;
} shy_t;

static veil_body_rc_t
shy_pull(veil_http_body_t *b, veil_slice_t *v, unsigned *n, size_t max)
{
    shy_t *s = veil_container_of(b, shy_t, body);

    cr_assert_gt(max, 0);
    *n = 0;
    if (s->turn++ % 2 == 0) {
        return VEIL_BODY_LATER;
    }
    if (s->at == 21) {
        b->error = 504;
        return VEIL_BODY_FAILED;
    }
    *n = 1;
    v[0] = veil_slice_mem(digits + s->at, max < 2 ? 1 : 2);
    s->at += (unsigned) v[0].len;
    return VEIL_BODY_DATA;
}

static void
shy_consume(veil_http_body_t *b, size_t bytes)
{
    veil_container_of(b, shy_t, body)->consumed += bytes;
}

static void
shy_abort(veil_http_body_t *b)
{
    veil_container_of(b, shy_t, body)->aborted++;
}

static const veil_http_body_ops_t shy_ops = {
    .name = "shy",
    .pull = shy_pull,
    .consume = shy_consume,
    .abort = shy_abort,
};

static void
count_ready(void *reader)
{
    ++*(int *) reader;
}

Test(range, waits_and_failures_are_passed_on)
{
    shy_t shy = { .body = { .ops = &shy_ops, .length = 30 } };
    veil_http_range_t range = { 5, 25 };
    veil_http_body_t *b = range_body_create(pool, &shy.body, &range);
    veil_slice_t v[2];
    veil_body_rc_t rc;
    int readies = 0, later = 0;
    size_t got = 0;
    unsigned n;

    veil_http_body_set_reader(b, count_ready, &readies);
    veil_http_body_is_ready(&shy.body);
    cr_assert_eq(readies, 1);
    do {
        n = 2;
        rc = veil_http_body_pull(b, v, &n, SIZE_MAX);
        later += rc == VEIL_BODY_LATER;
        if (rc == VEIL_BODY_DATA) {
            cr_assert_eq(v[0].data[0], digits[5 + got]);
            got += v[0].len;
            veil_http_body_consume(b, v[0].len);
        }
    } while (rc == VEIL_BODY_DATA || rc == VEIL_BODY_LATER);
    cr_assert_eq(rc, VEIL_BODY_FAILED);
    cr_assert_eq(b->error, 504);
    cr_assert_eq(got, 16);
    cr_assert_eq(shy.consumed, 21);
    cr_assert_gt(later, 5);
    veil_http_body_abort(b);
    cr_assert_eq(shy.aborted, 1);
}
