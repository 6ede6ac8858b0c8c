/*
 * rand.c -- the kernel's randomness, and a fast generator seeded by it.
 *
 * The generator is xoshiro256** (Blackman and Vigna): four words of state, a
 * few shifts, and passes the usual test batteries.  A child of fork(2) must
 * not repeat its parent's numbers, so a fork handler drops the seed.
 *
 * One generator a process, without a lock: offload threads use
 * veil_rand_bytes().
 */

#include "core/platform.h"

#include <pthread.h>
#include <sys/random.h>

#include "core/assert.h"
#include "core/rand.h"

static uint64_t rand_state[4];
static bool rand_seeded;
static bool rand_has_handler;

void
veil_rand_bytes(void *dst, size_t n)
{
    unsigned char *p = dst;
    ssize_t got;

    while (n != 0) {
        got = getrandom(p, n, 0);
        if (got < 0) {
            VEIL_ASSERT(errno == EINTR);
            continue;
        }
        p += got;
        n -= (size_t) got;
    }
}

static void
rand_forget(void)
{
    rand_seeded = false;
}

static void
rand_handle_fork(void)
{
    if (!rand_has_handler) {
        VEIL_ASSERT(pthread_atfork(NULL, NULL, rand_forget) == 0);
        rand_has_handler = true;
    }
}

/* SplitMix64: spreads one word over the state, which must not be all zero. */
void
veil_rand_seed(uint64_t seed)
{
    uint64_t z;
    size_t i;

    rand_handle_fork();
    for (i = 0; i < veil_countof(rand_state); i++) {
        seed += 0x9e3779b97f4a7c15u;
        z = seed;
        z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u;
        z = (z ^ z >> 27) * 0x94d049bb133111ebu;
        rand_state[i] = z ^ z >> 31;
    }
    rand_seeded = true;
}

static uint64_t
rand_rotate(uint64_t v, unsigned n)
{
    return v << n | v >> (64 - n);
}

uint64_t
veil_rand_u64(void)
{
    uint64_t *s = rand_state;
    uint64_t result, shifted;

    if (veil_unlikely(!rand_seeded)) {
        rand_handle_fork();
        veil_rand_bytes(rand_state, sizeof(rand_state));
        rand_state[0] |= 1;
        rand_seeded = true;
    }
    result = rand_rotate(s[1] * 5, 7) * 9;
    shifted = s[1] << 17;
    s[2] ^= s[0];
    s[3] ^= s[1];
    s[1] ^= s[2];
    s[0] ^= s[3];
    s[2] ^= shifted;
    s[3] = rand_rotate(s[3], 45);
    return result;
}

uint64_t
veil_rand_below(uint64_t n)
{
    uint64_t v, uneven;

    VEIL_ASSERT(n != 0);
    /* 2^64 mod n values at the bottom would make some results likelier. */
    uneven = -n % n;
    do {
        v = veil_rand_u64();
    } while (v < uneven);
    return v % n;
}
