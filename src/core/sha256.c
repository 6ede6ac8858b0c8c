/*
 * sha256.c -- SHA-256, as FIPS 180-4 has it.
 *
 * Plain and short: it is used for files of a few kilobytes.
 */

#include "core/platform.h"

#include "core/sha256.h"
#include "core/str.h"

/* FIPS 180-4, 4.2.2: of the cube roots of the first 64 primes. */
static const uint32_t sha256_k[64] = {
    0x428a2f98, 0x71374491, 0xb5c0fbcf, 0xe9b5dba5, 0x3956c25b, 0x59f111f1,
    0x923f82a4, 0xab1c5ed5, 0xd807aa98, 0x12835b01, 0x243185be, 0x550c7dc3,
    0x72be5d74, 0x80deb1fe, 0x9bdc06a7, 0xc19bf174, 0xe49b69c1, 0xefbe4786,
    0x0fc19dc6, 0x240ca1cc, 0x2de92c6f, 0x4a7484aa, 0x5cb0a9dc, 0x76f988da,
    0x983e5152, 0xa831c66d, 0xb00327c8, 0xbf597fc7, 0xc6e00bf3, 0xd5a79147,
    0x06ca6351, 0x14292967, 0x27b70a85, 0x2e1b2138, 0x4d2c6dfc, 0x53380d13,
    0x650a7354, 0x766a0abb, 0x81c2c92e, 0x92722c85, 0xa2bfe8a1, 0xa81a664b,
    0xc24b8b70, 0xc76c51a3, 0xd192e819, 0xd6990624, 0xf40e3585, 0x106aa070,
    0x19a4c116, 0x1e376c08, 0x2748774c, 0x34b0bcb5, 0x391c0cb3, 0x4ed8aa4a,
    0x5b9cca4f, 0x682e6ff3, 0x748f82ee, 0x78a5636f, 0x84c87814, 0x8cc70208,
    0x90befffa, 0xa4506ceb, 0xbef9a3f7, 0xc67178f2
};

static inline uint32_t
sha256_rotate(uint32_t x, unsigned n)
{
    return x >> n | x << (32 - n);
}

static void
sha256_schedule(uint32_t w[64], const unsigned char *p)
{
    uint32_t s0, s1;
    unsigned i;

    for (i = 0; i < 16; i++, p += 4) {
        w[i] = (uint32_t) p[0] << 24 | (uint32_t) p[1] << 16
               | (uint32_t) p[2] << 8 | p[3];
    }
    for (; i < 64; i++) {
        s0 = sha256_rotate(w[i - 15], 7) ^ sha256_rotate(w[i - 15], 18)
             ^ w[i - 15] >> 3;
        s1 = sha256_rotate(w[i - 2], 17) ^ sha256_rotate(w[i - 2], 19)
             ^ w[i - 2] >> 10;
        w[i] = w[i - 16] + s0 + w[i - 7] + s1;
    }
}

static void
sha256_block(veil_sha256_t *s, const unsigned char *p)
{
    uint32_t w[64], v[8], t1, t2;
    unsigned i;

    sha256_schedule(w, p);
    memcpy(v, s->h, sizeof(v));
    for (i = 0; i < 64; i++) {
        t1 = v[7]
             + (sha256_rotate(v[4], 6) ^ sha256_rotate(v[4], 11)
                ^ sha256_rotate(v[4], 25))
             + ((v[4] & v[5]) ^ (~v[4] & v[6])) + sha256_k[i] + w[i];
        t2 = (sha256_rotate(v[0], 2) ^ sha256_rotate(v[0], 13)
              ^ sha256_rotate(v[0], 22))
             + ((v[0] & v[1]) ^ (v[0] & v[2]) ^ (v[1] & v[2]));
        memmove(v + 1, v, 7 * sizeof(*v));
        v[4] += t1;
        v[0] = t1 + t2;
    }
    for (i = 0; i < 8; i++) {
        s->h[i] += v[i];
    }
}

void
veil_sha256_init(veil_sha256_t *s)
{
    /* FIPS 180-4, 5.3.3: of the square roots of the first 8 primes. */
    static const uint32_t first[8] = { 0x6a09e667, 0xbb67ae85, 0x3c6ef372,
                                       0xa54ff53a, 0x510e527f, 0x9b05688c,
                                       0x1f83d9ab, 0x5be0cd19 };

    memset(s, 0, sizeof(*s));
    memcpy(s->h, first, sizeof(first));
}

void
veil_sha256_update(veil_sha256_t *s, const void *data, size_t n)
{
    const unsigned char *p = data;
    size_t at = s->n % 64, part;

    s->n += n;
    while (n != 0) {
        part = n < 64 - at ? n : 64 - at;
        memcpy(s->block + at, p, part);
        p += part;
        n -= part;
        at = (at + part) % 64;
        if (at == 0) {
            sha256_block(s, s->block);
        }
    }
}

void
veil_sha256_final(veil_sha256_t *s, unsigned char out[VEIL_SHA256_SIZE])
{
    static const unsigned char end = 0x80, zero = 0;
    uint64_t bits = s->n * 8;
    unsigned char length[8];
    unsigned i;

    veil_sha256_update(s, &end, 1);
    while (s->n % 64 != 56) {
        veil_sha256_update(s, &zero, 1);
    }
    for (i = 0; i < 8; i++) {
        length[i] = (unsigned char) (bits >> (56 - 8 * i));
    }
    veil_sha256_update(s, length, sizeof(length));
    for (i = 0; i < VEIL_SHA256_SIZE; i++) {
        out[i] = (unsigned char) (s->h[i / 4] >> (24 - 8 * (i % 4)));
    }
}

void
veil_sha256_hex(char out[2 * VEIL_SHA256_SIZE + 1], const void *data, size_t n)
{
    unsigned char sum[VEIL_SHA256_SIZE];
    veil_sha256_t s;

    veil_sha256_init(&s);
    veil_sha256_update(&s, data, n);
    veil_sha256_final(&s, sum);
    *veil_fmt_hex_bytes(out, sum, sizeof(sum)) = '\0';
}
