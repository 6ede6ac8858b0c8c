/*
 * test_slice_read.c -- file ranges as memory: what is cached and what is not,
 * small buffers, memory in between, readers with memory of their own, files
 * that are shorter than they were, and giving up in the middle.
 */

#include "bed.h"

/* Sometimes the page cache has nothing. */
static bool cold;
static bool changing; /* it has what it had not the last time */

static ssize_t
test_preadv2(int fd, const struct iovec *iov, int n, off_t offset, int flags)
{
    if (changing) {
        cold = !cold;
    }
    if (cold) {
        errno = EAGAIN;
        return -1;
    }
    return preadv2(fd, iov, n, offset, flags);
}

#define preadv2 test_preadv2
#include "../../src/http/slice_read.c"
#undef preadv2

#include "core/rand.h"

#define FILE_SIZE 100000

static unsigned char content[FILE_SIZE];

static int
file_open(void)
{
    char path[] = "/tmp/veil-slice-XXXXXX";
    int fd = mkstemp(path);
    size_t i;

    cr_assert_geq(fd, 0);
    cr_assert_eq(unlink(path), 0);
    for (i = 0; i < FILE_SIZE; i++) {
        content[i] = (unsigned char) (i * 7 + i / 251);
    }
    cr_assert_eq(write(fd, content, FILE_SIZE), FILE_SIZE);
    return fd;
}

typedef struct {
    veil_http_body_t *body;
    unsigned char out[FILE_SIZE + 4096];
    size_t len;  /* consumed */
    size_t held; /* pulled, not consumed */
    size_t lag;  /* so much is held back before it is consumed */
    veil_slice_t slices[64];
    unsigned nslices;
    size_t max;
    bool ended, failed, waiting;
    bool takes; /* to its own memory */
    int readies;
} reader_t;

static void
reader_consume(reader_t *rd)
{
    unsigned i;
    size_t n = 0;

    for (i = 0; i < rd->nslices; i++) {
        /* Bytes are looked at as late as may be: they must still be there. */
        memcpy(rd->out + rd->len, rd->slices[i].data, rd->slices[i].len);
        rd->len += rd->slices[i].len;
        n += rd->slices[i].len;
    }
    rd->nslices = 0;
    rd->held = 0;
    veil_http_body_consume(rd->body, n);
}

static void
reader_take(reader_t *rd)
{
    unsigned char *to = rd->out + rd->len;
    veil_body_rc_t rc;
    size_t len;

    while (!rd->ended && !rd->failed && !rd->waiting) {
        len = veil_min_size(rd->max, sizeof(rd->out) - rd->len);
        rc = veil_http_body_take(rd->body, to, &len);
        rd->ended = rc == VEIL_BODY_END;
        rd->failed = rc == VEIL_BODY_FAILED;
        rd->waiting = rc == VEIL_BODY_LATER;
        cr_assert((rc == VEIL_BODY_DATA) <= (len != 0));
        cr_assert(len == 0 || rc == VEIL_BODY_DATA || rc == VEIL_BODY_END);
        cr_assert_leq(len, rd->max);
        rd->len += len;
        to += len;
    }
}

static void
reader_pull(reader_t *rd)
{
    veil_body_rc_t rc;
    unsigned n, i;

    if (rd->takes) {
        reader_take(rd);
        return;
    }
    while (!rd->ended && !rd->failed && !rd->waiting) {
        n = veil_countof(rd->slices) - rd->nslices;
        n = n > 3 ? 3 : n;
        rc = veil_http_body_pull(rd->body, rd->slices + rd->nslices, &n,
                                 rd->max);
        for (i = 0; i < n; i++) {
            cr_assert_not_null(rd->slices[rd->nslices + i].data);
            cr_assert_gt(rd->slices[rd->nslices + i].len, 0);
            rd->held += rd->slices[rd->nslices + i].len;
        }
        rd->nslices += n;
        rd->ended = rc == VEIL_BODY_END;
        rd->failed = rc == VEIL_BODY_FAILED;
        rd->waiting = rc == VEIL_BODY_LATER;
        cr_assert(rc != VEIL_BODY_DATA || n != 0);
        if (rd->held != 0
            && (rd->held > rd->lag || rd->nslices > 60
                || rc != VEIL_BODY_DATA))
        {
            reader_consume(rd);
        }
    }
}

static void
reader_ready(void *data)
{
    reader_t *rd = data;

    cr_assert(rd->waiting); /* not without having been told LATER */
    rd->waiting = false;
    rd->readies++;
    reader_pull(rd);
}

static void
reader_init(reader_t *rd, bed_t *b, veil_http_body_t *body, size_t buffer,
            size_t max, size_t lag)
{
    memset(rd, 0, sizeof(*rd));
    rd->max = max;
    rd->lag = lag;
    rd->body = veil_http_body_to_memory(b->pool, b->loop, body, buffer);
    cr_assert(rd->body->in_memory);
    cr_assert_eq(rd->body->length, body->length);
    veil_http_body_set_reader(rd->body, reader_ready, rd);
}

/* Memory, a range, memory, a range, as four slices. */
static void
mixed(bed_t *b, size_t buffer, size_t max, size_t lag, bool takes)
{
    static reader_t rd;
    int fd = file_open();
    veil_slice_t v[4] = { veil_slice_mem("begin ", 6),
                          veil_slice_file(fd, 10, 50000),
                          veil_slice_mem(" middle ", 8),
                          veil_slice_file(fd, 99000, 1000) };

    reader_init(&rd, b, veil_http_body_slices(b->pool, v, 4), buffer, max,
                lag);
    rd.takes = takes;
    reader_pull(&rd);
    UNTIL(b, rd.ended || rd.failed);
    cr_assert(rd.ended);
    cr_assert_eq(rd.len, 51014);
    cr_assert_eq(memcmp(rd.out, "begin ", 6), 0);
    cr_assert_eq(memcmp(rd.out + 6, content + 10, 50000), 0);
    cr_assert_eq(memcmp(rd.out + 50006, " middle ", 8), 0);
    cr_assert_eq(memcmp(rd.out + 50014, content + 99000, 1000), 0);
    cr_assert(cold || changing || (!takes && buffer < 50000)
              || rd.readies == 0);
    if (takes && !cold && !changing) {
        cr_assert_null(veil_container_of(rd.body, slice_read_t, body)->buf);
    }
    veil_http_body_abort(rd.body);
    close(fd);
}

CONTRACT(all_of_it)
{
    size_t sizes[] = { 1 << 20, 4096, 100 };
    unsigned i, j, k;

    for (i = 0; i < 3; i++) {
        for (j = 0; j < 2; j++) {
            for (k = 0; k < 2; k++) {
                cold = j == 1;
                mixed(b, sizes[i], k == 0 ? SIZE_MAX : 777, k == 0 ? 0 : 3000,
                      false);
            }
        }
    }
    cold = false;
}

CONTRACT(all_of_it_taken)
{
    size_t sizes[] = { 1 << 20, 4096, 100 };
    unsigned i, j, k;

    for (i = 0; i < 3; i++) {
        for (j = 0; j < 3; j++) {
            for (k = 0; k < 2; k++) {
                cold = j == 1;
                changing = j == 2;
                mixed(b, sizes[i], k == 0 ? SIZE_MAX : 777, 0, true);
            }
        }
    }
    cold = false;
    changing = false;
}

CONTRACT(memory_is_taken)
{
    unsigned char got[20];
    veil_http_body_t *text =
        veil_http_body_text(b->pool, VEIL_STR("as it is"));
    size_t len = 5;

    cr_assert_eq(veil_http_body_take(text, got, &len), VEIL_BODY_DATA);
    cr_assert_eq(len, 5);
    len = sizeof(got) - 5;
    cr_assert_eq(veil_http_body_take(text, got + 5, &len), VEIL_BODY_END);
    cr_assert_eq(len, 3);
    cr_assert_eq(memcmp(got, "as it is", 8), 0);
}

CONTRACT(memory_needs_nothing)
{
    veil_http_body_t *text =
        veil_http_body_text(b->pool, VEIL_STR("as it is"));

    cr_assert_eq(veil_http_body_to_memory(b->pool, b->loop, text, 100), text);
}

CONTRACT(a_file_that_shrank)
{
    static reader_t rd;
    int i;

    for (i = 0; i < 4; i++) {
        int fd = file_open();

        cold = i % 2 == 1;
        reader_init(&rd, b, veil_http_body_file(b->pool, fd, 0, FILE_SIZE),
                    5000, SIZE_MAX, 0);
        rd.takes = i >= 2;
        cr_assert_eq(ftruncate(fd, 7000), 0);
        reader_pull(&rd);
        UNTIL(b, rd.ended || rd.failed);
        cr_assert(rd.failed);
        cr_assert_eq(rd.len, 7000);
        veil_http_body_abort(rd.body);
        close(fd);
    }
    cold = false;
}

CONTRACT(given_up_while_reading)
{
    static reader_t rd;
    int fd = file_open();
    veil_pool_t *pool = veil_pool_create("given up", 1024);
    veil_slice_t v[2];
    unsigned n = 2;

    cold = true;
    memset(&rd, 0, sizeof(rd));
    rd.body = veil_http_body_to_memory(
        pool, b->loop, veil_http_body_file(pool, fd, 0, FILE_SIZE), 5000);
    veil_http_body_set_reader(rd.body, reader_ready, &rd);
    cr_assert_eq(veil_http_body_pull(rd.body, v, &n, SIZE_MAX),
                 VEIL_BODY_LATER);
    veil_http_body_abort(rd.body);
    veil_http_body_abort(rd.body);
    veil_pool_retire(&pool); /* pinned until the read has ended */
    UNTIL(b, b->loop->nops == 0 && b->loop->nhandles == 0);
    cr_assert_eq(rd.readies, 0);
    cold = false;
    close(fd);
}
