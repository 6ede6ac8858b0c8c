/* test_ulid.c -- names that are unique, and sort by the time. */

#include <criterion/criterion.h>

#include "core/platform.h"

#include "core/ulid.h"

Test(ulid, has_the_time_in_front)
{
    char u[VEIL_ULID_LEN + 1];

    /* The example of the specification. */
    veil_ulid_make(u, 1469918176385ULL);
    cr_assert_eq(memcmp(u, "01ARYZ6S41", 10), 0, "%s", u);
    cr_assert_eq(strlen(u), VEIL_ULID_LEN);
    veil_ulid_make(u, 0);
    cr_assert_eq(memcmp(u, "0000000000", 10), 0, "%s", u);
    veil_ulid_make(u, 0xffffffffffffULL);
    cr_assert_eq(memcmp(u, "7ZZZZZZZZZ", 10), 0, "%s", u);
}

Test(ulid, uses_crockfords_digits)
{
    char u[VEIL_ULID_LEN + 1];
    unsigned i;

    for (i = 0; i < 1000; i++) {
        veil_ulid_make(u, i * 1000003ULL);
        cr_assert_eq(strspn(u, "0123456789ABCDEFGHJKMNPQRSTVWXYZ"),
                     VEIL_ULID_LEN, "%s", u);
    }
}

Test(ulid, sorts_by_time)
{
    char a[VEIL_ULID_LEN + 1], b[VEIL_ULID_LEN + 1];
    unsigned i;

    veil_ulid_make(a, 1700000000000ULL);
    for (i = 1; i < 1000; i++) {
        veil_ulid_make(b, 1700000000000ULL + i);
        cr_assert_lt(strcmp(a, b), 0, "%s %s", a, b);
        memcpy(a, b, sizeof(a));
    }
}

Test(ulid, is_another_in_the_same_millisecond)
{
    char a[VEIL_ULID_LEN + 1], b[VEIL_ULID_LEN + 1];

    veil_ulid_make(a, 5);
    veil_ulid_make(b, 5);
    cr_assert_eq(memcmp(a, b, 10), 0);
    cr_assert_neq(strcmp(a, b), 0);
    /* All 80 bits vary: each character changes sooner or later. */
    for (unsigned at = 10; at < VEIL_ULID_LEN; at++) {
        unsigned tries = 0;

        do {
            veil_ulid_make(b, 5);
        } while (b[at] == a[at] && ++tries < 100);
        cr_assert_lt(tries, 100, "character %u is always %c", at, a[at]);
    }
}
