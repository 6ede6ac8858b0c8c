/* test_hash.c -- hash maps. */

#include <criterion/criterion.h>
#include <signal.h>

#include "core/platform.h"

#include "core/hash.c"

static int values[4000];

/* Key number i; in odd rounds in upper case. */
static veil_str_t
key(int i, bool upper)
{
    static char texts[2][4000][40];
    char *t = texts[upper][i];

    (void) snprintf(t, sizeof(texts[0][0]), "%s%0*d",
                    upper ? "HOST.EXAMPLE-" : "host.example-", i % 25 + 1, i);
    return veil_str_z(t);
}

static void
fill_and_empty(veil_hash_kind_t kind, veil_pool_t *pool)
{
    const veil_hash_entry_t *e;
    veil_hash_t h;
    unsigned n, at;
    int i;

    veil_hash_init(&h, pool, kind, 0);
    cr_assert_eq(veil_hash_find(&h, key(1, false)), NULL);
    cr_assert_eq(veil_hash_remove(&h, key(1, false)), NULL);
    for (i = 0; i < 4000; i++) {
        cr_assert(veil_hash_add(&h, key(i, false), &values[i]));
        cr_assert_not(veil_hash_add(&h, key(i, false), &values[0]));
    }
    cr_assert_eq(h.n, 4000);
    for (i = 0; i < 4000; i++) {
        cr_assert_eq(veil_hash_find(&h, key(i, false)), &values[i]);
        cr_assert_eq(veil_hash_find(&h, key(i, true)),
                     kind == VEIL_HASH_NOCASE ? &values[i] : NULL);
    }
    n = at = 0;
    while ((e = veil_hash_next(&h, &at)) != NULL) {
        values[(int *) e->value - values]++;
        n++;
    }
    cr_assert_eq(n, 4000);
    for (i = 0; i < 4000; i++) {
        cr_assert_eq(values[i], 1);
    }

    /* What remains must be found whatever was taken out before it. */
    for (i = 0; i < 4000; i += 2) {
        cr_assert_eq(veil_hash_remove(&h, key(i, false)), &values[i]);
        cr_assert_eq(veil_hash_remove(&h, key(i, false)), NULL);
    }
    for (i = 0; i < 4000; i++) {
        cr_assert_eq(veil_hash_find(&h, key(i, false)),
                     i % 2 == 0 ? NULL : &values[i]);
    }
    for (i = 1; i < 4000; i += 2) {
        cr_assert_eq(veil_hash_remove(&h, key(i, false)), &values[i]);
    }
    cr_assert_eq(h.n, 0);
    at = 0;
    cr_assert_eq(veil_hash_next(&h, &at), NULL);
    veil_hash_done(&h);
}

Test(hash, in_a_pool)
{
    veil_pool_t *p = veil_pool_create("test", 4096);

    fill_and_empty(VEIL_HASH_CASE, p);
    veil_pool_destroy(&p);
}

Test(hash, on_the_heap)
{
    fill_and_empty(VEIL_HASH_NOCASE, NULL);
}

Test(hash, set_replaces)
{
    veil_hash_t h;

    veil_hash_init(&h, NULL, VEIL_HASH_NOCASE, 10);
    cr_assert_eq(veil_hash_set(&h, VEIL_STR("a"), &values[1]), NULL);
    cr_assert_eq(veil_hash_set(&h, VEIL_STR("A"), &values[2]), &values[1]);
    cr_assert_eq(veil_hash_find(&h, VEIL_STR("a")), &values[2]);
    cr_assert_eq(h.n, 1);
    veil_hash_done(&h);
}

Test(hash, reserved_room_does_not_grow)
{
    veil_hash_entry_t *first;
    veil_hash_t h;
    int i;

    veil_hash_init(&h, NULL, VEIL_HASH_CASE, 100);
    first = h.entries;
    for (i = 0; i < 96; i++) {
        (void) veil_hash_add(&h, key(i, false), &values[i]);
    }
    cr_assert_eq(h.entries, first);
    veil_hash_done(&h);
}

/* '@' and '`' share a hash without case, but are not the same. */
Test(hash, only_letters_have_case)
{
    veil_hash_t h;

    veil_hash_init(&h, NULL, VEIL_HASH_NOCASE, 0);
    cr_assert_eq(veil_hash_str(h.kind, VEIL_STR("@")),
                 veil_hash_str(h.kind, VEIL_STR("`")));
    cr_assert(veil_hash_add(&h, VEIL_STR("@"), &values[1]));
    cr_assert(veil_hash_add(&h, VEIL_STR("`"), &values[2]));
    cr_assert_eq(veil_hash_find(&h, VEIL_STR("@")), &values[1]);
    cr_assert_eq(veil_hash_find(&h, VEIL_STR("`")), &values[2]);
    veil_hash_done(&h);
}

/* Each byte of keys of each length counts, and the length does. */
Test(hash, every_byte_counts)
{
    char a[70], b[70];
    size_t n, i;

    memset(a, 'a', sizeof(a));
    for (n = 0; n < sizeof(a); n++) {
        cr_assert_neq(veil_hash_str(VEIL_HASH_CASE, veil_str_n(a, n)),
                      veil_hash_str(VEIL_HASH_CASE, veil_str_n(a, n + 1)));
        for (i = 0; i < n; i++) {
            memcpy(b, a, sizeof(b));
            b[i] = 'b';
            cr_assert_neq(veil_hash_str(VEIL_HASH_CASE, veil_str_n(a, n)),
                          veil_hash_str(VEIL_HASH_CASE, veil_str_n(b, n)));
            cr_assert_neq(veil_hash_str(VEIL_HASH_NOCASE, veil_str_n(a, n)),
                          veil_hash_str(VEIL_HASH_NOCASE, veil_str_n(b, n)));
            b[i] = 'A';
            cr_assert_eq(veil_hash_str(VEIL_HASH_NOCASE, veil_str_n(a, n)),
                         veil_hash_str(VEIL_HASH_NOCASE, veil_str_n(b, n)));
        }
    }
}

Test(hash, spreads_evenly)
{
    unsigned buckets[256] = { 0 }, i;
    char text[16];

    for (i = 0; i < 256 * 100; i++) {
        (void) snprintf(text, sizeof(text), "/img/%u.png", i);
        buckets[veil_hash_str(VEIL_HASH_CASE, veil_str_z(text)) & 255]++;
    }
    /* 100 each on average, deviation 10: outside of this is one in 10^9. */
    for (i = 0; i < 256; i++) {
        cr_assert(buckets[i] > 40 && buckets[i] < 165, "%u", buckets[i]);
    }
}

Test(hash, empty_key)
{
    veil_hash_t h;

    veil_hash_init(&h, NULL, VEIL_HASH_CASE, 0);
    cr_assert(veil_hash_add(&h, VEIL_STR_NULL, &values[0]));
    cr_assert_eq(veil_hash_find(&h, VEIL_STR("")), &values[0]);
    veil_hash_done(&h);
}

Test(hash, null_value_aborts, .signal = SIGABRT)
{
    veil_hash_t h;

    veil_hash_init(&h, NULL, VEIL_HASH_CASE, 0);
    (void) veil_hash_add(&h, VEIL_STR("a"), NULL);
}
