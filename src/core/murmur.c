/*
 * murmur.c -- MurmurHash2 (Austin Appleby, public domain) and CRC-32.
 *
 * Both read bytes in little-endian order whatever the machine's is.  CRC-32
 * goes through a table of 16 entries, half a byte a step: it is used on names
 * of peers and keys, where 64 bytes of table beat 1 KiB that is never warm.
 */

#include "core/platform.h"

#include <endian.h>

#include "core/murmur.h"

#define MURMUR_M 0x5bd1e995u
#define MURMUR_R 24

uint32_t
veil_murmur2(const void *data, size_t n)
{
    const unsigned char *p = data;
    uint32_t k, h = (uint32_t) n; /* the seed, 0, and the length */

    for (; n >= 4; p += 4, n -= 4) {
        memcpy(&k, p, sizeof(k));
        k = le32toh(k) * MURMUR_M;
        k = (k ^ k >> MURMUR_R) * MURMUR_M;
        h = (h * MURMUR_M) ^ k;
    }
    if (n != 0) {
        k = 0;
        while (n-- != 0) {
            k = k << 8 | p[n];
        }
        h = (h ^ k) * MURMUR_M;
    }
    h = (h ^ h >> 13) * MURMUR_M;
    return h ^ h >> 15;
}

uint32_t
veil_crc32(uint32_t crc, const void *data, size_t n)
{
    /* Entry i is the remainder of i << 28, bits reversed. */
    static const uint32_t table[16] = {
        0x00000000, 0x1db71064, 0x3b6e20c8, 0x26d930ac, 0x76dc4190, 0x6b6b51f4,
        0x4db26158, 0x5005713c, 0xedb88320, 0xf00f9344, 0xd6d6a3e8, 0xcb61b38c,
        0x9b64c2b0, 0x86d3d2d4, 0xa00ae278, 0xbdbdf21c,
    };
    const unsigned char *p = data;

    crc = ~crc;
    for (; n != 0; p++, n--) {
        crc = table[(crc ^ *p) & 15] ^ crc >> 4;
        crc = table[(crc ^ *p >> 4) & 15] ^ crc >> 4;
    }
    return ~crc;
}
