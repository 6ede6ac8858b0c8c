/*
 * siphash.c -- SipHash-2-4, after the paper by Aumasson and Bernstein (2012).
 *
 * Two rounds for each word of the message and four at the end.  Words are
 * little-endian.
 */

#include "core/platform.h"

#include <endian.h>

#include "core/siphash.h"

typedef struct {
    uint64_t v0, v1, v2, v3;
} siphash_state_t;

static uint64_t
siphash_rotate(uint64_t v, unsigned n)
{
    return v << n | v >> (64 - n);
}

static uint64_t
siphash_word(const unsigned char *p)
{
    uint64_t v;

    memcpy(&v, p, sizeof(v));
    return le64toh(v);
}

static void
siphash_rounds(siphash_state_t *s, unsigned n)
{
    while (n-- != 0) {
        s->v0 += s->v1;
        s->v1 = siphash_rotate(s->v1, 13) ^ s->v0;
        s->v0 = siphash_rotate(s->v0, 32);
        s->v2 += s->v3;
        s->v3 = siphash_rotate(s->v3, 16) ^ s->v2;
        s->v0 += s->v3;
        s->v3 = siphash_rotate(s->v3, 21) ^ s->v0;
        s->v2 += s->v1;
        s->v1 = siphash_rotate(s->v1, 17) ^ s->v2;
        s->v2 = siphash_rotate(s->v2, 32);
    }
}

static void
siphash_add(siphash_state_t *s, uint64_t word)
{
    s->v3 ^= word;
    siphash_rounds(s, 2);
    s->v0 ^= word;
}

uint64_t
veil_siphash(const unsigned char key[VEIL_SIPHASH_KEY_LEN], const void *data,
             size_t n)
{
    const unsigned char *p = data;
    uint64_t k0 = siphash_word(key), k1 = siphash_word(key + 8);
    uint64_t last = (uint64_t) n << 56;
    siphash_state_t s;
    size_t i;

    s.v0 = k0 ^ 0x736f6d6570736575u;
    s.v1 = k1 ^ 0x646f72616e646f6du;
    s.v2 = k0 ^ 0x6c7967656e657261u;
    s.v3 = k1 ^ 0x7465646279746573u;
    for (; n >= 8; p += 8, n -= 8) {
        siphash_add(&s, siphash_word(p));
    }
    for (i = 0; i < n; i++) {
        last |= (uint64_t) p[i] << (8 * i);
    }
    siphash_add(&s, last);
    s.v2 ^= 0xff;
    siphash_rounds(&s, 4);
    return s.v0 ^ s.v1 ^ s.v2 ^ s.v3;
}
