/*
 * test_tls_bio.c -- buffers of ciphertext: what is kept for reuse.
 */

#include <criterion/criterion.h>

#include "event/tls_bio.c"

#define MANY 2000

static unsigned
kept(const veil_tls_out_t *out)
{
    unsigned n = 0;

    for (; out != NULL; out = out->next) {
        n++;
    }
    return n;
}

/* As many as slow readers had at once. */
static void
use(size_t len)
{
    veil_tls_out_t *all = NULL, *out;
    unsigned i;

    for (i = 0; i < MANY; i++) {
        out = tls_bio_get(len);
        cr_assert_geq(out->cap, len);
        out->next = all;
        all = out;
    }
    while ((out = all) != NULL) {
        all = out->next;
        veil_tls_out_put(out);
    }
}

/* A storm of them does not keep its memory. */
Test(tls_bio, few_are_kept)
{
    use(100);
    use(VEIL_TLS_OUT_MAX);
    cr_assert_geq(kept(tls_bio_small.first), 1);
    cr_assert_leq(kept(tls_bio_small.first), 128);
    cr_assert_geq(kept(tls_bio_large.first), 1);
    cr_assert_leq(kept(tls_bio_large.first), 128);
    veil_tls_bio_trim();
    cr_assert_eq(kept(tls_bio_small.first), 0);
    cr_assert_eq(kept(tls_bio_large.first), 0);
}

/* The last one used is the next. */
Test(tls_bio, one_is_used_again)
{
    veil_tls_out_t *out = tls_bio_get(10);

    veil_tls_out_put(out);
    cr_assert_eq(tls_bio_get(4096), out);
    veil_tls_out_put(out);
    use(10);
    veil_tls_bio_trim();
    use(10);
    cr_assert_leq(kept(tls_bio_small.first), 128);
    veil_tls_bio_trim();
}
