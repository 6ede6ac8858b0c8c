/*
 * ulid.c -- names that are unique, and sort by the time they were made.
 *
 * Crockford's base 32: digits and letters without I, L, O and U, so that
 * nobody misreads one, in the order of their ASCII codes, so that texts sort
 * as the numbers do.  128 bits in 26 characters leave two bits over; the
 * first character is 7 at most.
 *
 * What this does not do: order within one millisecond.  Two names made in the
 * same one are different, and that is all that is asked of them.
 */

#include "core/platform.h"

#include "core/rand.h"
#include "core/ulid.h"

static const char ulid_digits[] = "0123456789ABCDEFGHJKMNPQRSTVWXYZ";

/* The lowest n characters of a number. */
static void
ulid_put(char *dst, unsigned n, uint64_t value)
{
    while (n-- > 0) {
        dst[n] = ulid_digits[value & 31];
        value >>= 5;
    }
}

void
veil_ulid_make(char dst[VEIL_ULID_LEN + 1], uint64_t ms)
{
    unsigned char random[10];
    uint64_t half;
    unsigned i, j;

    veil_rand_bytes(random, sizeof(random));
    ulid_put(dst, 10, ms & 0xffffffffffffULL);
    /* Five bytes are eight characters. */
    for (i = 0; i < 2; i++) {
        half = 0;
        for (j = 0; j < 5; j++) {
            half = half << 8 | random[i * 5 + j];
        }
        ulid_put(dst + 10 + i * 8, 8, half);
    }
    dst[VEIL_ULID_LEN] = '\0';
}
