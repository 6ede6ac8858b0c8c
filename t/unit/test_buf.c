/* test_buf.c -- chains of views. */

#include <criterion/criterion.h>
#include <signal.h>

#include "core/platform.h"

#include "core/buf.h"

/* The bytes of the chain from skip on, through slices of at most n. */
static size_t
flatten(const veil_chain_t *c, size_t skip, unsigned n, size_t max, char *out)
{
    veil_slice_t v[16];
    unsigned i, k = veil_chain_slices(c, skip, v, n, max);
    size_t len = 0;

    for (i = 0; i < k; i++) {
        cr_assert_neq(v[i].data, NULL);
        cr_assert_gt(v[i].len, 0);
        cr_assert_eq(v[i].fd, -1);
        memcpy(out + len, v[i].data, v[i].len);
        len += v[i].len;
    }
    return len;
}

Test(buf, append_takes_a_reference)
{
    veil_chain_t c = { .n = 0 };
    veil_block_t *block = veil_block_create(10);
    veil_buf_t b = { block->data + 2, block->data + 6, block };

    veil_chain_append(&c, &b);
    cr_assert_eq(block->refs, 2);
    veil_block_put(block);
    cr_assert_eq(c.bytes, 4);
    cr_assert_eq(veil_chain_first(&c)->pos, block->data + 2);
    veil_chain_consume(&c, 3);
    cr_assert_eq(veil_block_count(), 1);
    cr_assert_eq(veil_chain_first(&c)->pos, block->data + 5);
    veil_chain_consume(&c, 1);
    cr_assert_eq(veil_block_count(), 0);
    cr_assert_eq(veil_chain_first(&c), NULL);
    veil_chain_done(&c);
}

Test(buf, empty_views_are_not_kept)
{
    veil_chain_t c = { .n = 0 };
    veil_block_t *block = veil_block_create(10);
    veil_buf_t b = { block->data, block->data, block };

    veil_chain_append(&c, &b);
    veil_chain_append_copy(&c, NULL, 0);
    cr_assert_eq(c.n, 0);
    cr_assert_eq(block->refs, 1);
    veil_block_put(block);
    veil_chain_consume(&c, 0);
    veil_chain_done(&c);
}

Test(buf, memory_without_a_block)
{
    veil_chain_t c = { .n = 0 };
    veil_buf_t b = { (const unsigned char *) "abc", NULL, NULL };
    char out[8];

    b.end = b.pos + 3;
    veil_chain_append(&c, &b);
    cr_assert_eq(flatten(&c, 1, 4, 100, out), 2);
    cr_assert_eq(memcmp(out, "bc", 2), 0);
    veil_chain_done(&c);
    cr_assert_eq(c.bytes, 0);
}

/* A ring that wraps and grows while it wraps: checked against a copy. */
Test(buf, stream_through_a_ring)
{
    static char sent[100000], got[16];
    veil_chain_t c = { .n = 0 };
    size_t written = 0, read = 0, n, k, i;

    for (i = 0; i < sizeof(sent); i++) {
        sent[i] = (char) (i * 7 + i / 256);
    }
    for (i = 0; written < sizeof(sent); i++) {
        n = veil_min_size(i % 23, sizeof(sent) - written);
        veil_chain_append_copy(&c, sent + written, n);
        written += n;
        k = veil_min_size(i % 19, c.bytes);
        k = veil_min_size(k, sizeof(got));
        cr_assert_eq(flatten(&c, 0, 16, k, got), k);
        cr_assert_eq(memcmp(got, sent + read, k), 0);
        veil_chain_consume(&c, k);
        read += k;
        cr_assert_eq(c.bytes, written - read);
        cr_assert_eq(veil_block_count(), c.n);
    }
    cr_assert_gt(c.cap, 16);
    veil_chain_done(&c);
    cr_assert_eq(veil_block_count(), 0);
    cr_assert_eq(c.bufs, NULL);
}

Test(buf, slices_at_every_offset)
{
    veil_chain_t c = { .n = 0 };
    size_t skip, max, len;
    unsigned n;
    char out[16];

    veil_chain_append_copy(&c, "ab", 2);
    veil_chain_append_copy(&c, "c", 1);
    veil_chain_append_copy(&c, "defg", 4);
    for (skip = 0; skip <= 7; skip++) {
        for (max = 0; max <= 8; max++) {
            len = flatten(&c, skip, 16, max, out);
            cr_assert_eq(len, veil_min_size(7 - skip, max));
            cr_assert_eq(memcmp(out, "abcdefg" + skip, len), 0);
        }
    }
    for (n = 0; n <= 3; n++) {
        veil_slice_t v[3];

        cr_assert_eq(veil_chain_slices(&c, 0, v, n, 100), n);
    }
    cr_assert_eq(veil_buf_len(veil_chain_at(&c, 2)), 4);
    veil_chain_consume(&c, 3);
    cr_assert_eq(c.n, 1);
    veil_chain_done(&c);
}

Test(buf, small_pieces_share_a_block)
{
    veil_chain_t c = { .n = 0 };
    unsigned char sent[20000], got[20000];
    veil_slice_t v[16];
    size_t i, len = 0;
    unsigned n;

    veil_chain_append_copy(&c, "ab", 2);
    veil_chain_append_small(&c, NULL, 0);
    cr_assert_eq(c.n, 1);
    for (i = 0; i < sizeof(sent); i++) {
        sent[i] = (unsigned char) (i * 7);
        veil_chain_append_small(&c, &sent[i], 1);
    }
    cr_assert_eq(c.bytes, 2 + sizeof(sent));
    cr_assert_lt(c.n, 8, "%u entries", c.n);
    cr_assert_eq(veil_block_count(), c.n);
    /* Not with one that others have made. */
    n = c.n;
    veil_chain_append_copy(&c, "cd", 2);
    veil_chain_append_small(&c, "e", 1);
    cr_assert_eq(c.n, n + 2);
    n = veil_chain_slices(&c, 2, v, 16, sizeof(sent));
    for (i = 0; i < n; i++) {
        memcpy(got + len, v[i].data, v[i].len);
        len += v[i].len;
    }
    cr_assert_eq(len, sizeof(sent));
    cr_assert_eq(memcmp(sent, got, len), 0);
    veil_chain_done(&c);
    cr_assert_eq(veil_block_count(), 0);
}

/* What was handed out stays as it is while more is written behind it. */
Test(buf, small_pieces_beside_a_reader)
{
    veil_chain_t c = { .n = 0 };
    veil_slice_t v[2];
    unsigned n;

    veil_chain_append_small(&c, "abc", 3);
    n = veil_chain_slices(&c, 0, v, 2, 100);
    cr_assert_eq(n, 1);
    veil_chain_append_small(&c, "de", 2);
    cr_assert_eq(v[0].len, 3);
    cr_assert_eq(memcmp(v[0].data, "abcde", 5), 0);
    veil_chain_consume(&c, 3);
    n = veil_chain_slices(&c, 0, v, 2, 100);
    cr_assert_eq(n, 1);
    cr_assert_eq(v[0].len, 2);
    cr_assert_eq(memcmp(v[0].data, "de", 2), 0);
    veil_chain_consume(&c, 2);
    cr_assert_eq(veil_block_count(), 0);
    veil_chain_append_small(&c, "f", 1);
    cr_assert_eq(c.n, 1);
    veil_chain_done(&c);
}

Test(buf, consuming_too_much_aborts, .signal = SIGABRT)
{
    veil_chain_t c = { .n = 0 };

    veil_chain_append_copy(&c, "ab", 2);
    veil_chain_consume(&c, 3);
}

Test(buf, entry_out_of_range_aborts, .signal = SIGABRT)
{
    veil_chain_t c = { .n = 0 };

    (void) veil_chain_at(&c, 0);
}

Test(buf, slice_of_a_file)
{
    veil_slice_t s = veil_slice_file(7, 100, 50);

    cr_assert_eq(s.data, NULL);
    cr_assert_eq(s.fd, 7);
    cr_assert_eq(s.offset, 100);
    cr_assert_eq(s.len, 50);
}

Test(buf, a_first_ring_is_used_again)
{
    veil_chain_t a = { .n = 0 };
    veil_chain_t b = { .n = 0 };
    const veil_buf_t *ring;

    veil_chain_append_copy(&a, "a", 1);
    ring = a.bufs;
    veil_chain_done(&a);
    if (VEIL_ASAN) {
        return; /* there it is freed, and nothing can be told */
    }
    veil_chain_append_copy(&a, "a", 1);
    veil_chain_append_copy(&b, "b", 1);
    cr_assert_eq(a.bufs, ring);
    cr_assert_neq(b.bufs, ring);
    veil_chain_done(&a);
    veil_chain_done(&b);
}
