/*
 * sha256.h -- SHA-256 (FIPS 180-4), for checksums of our own files.
 *
 * What TLS needs is the TLS library's, which a build may not have.
 */

#ifndef VEIL_CORE_SHA256_H
#define VEIL_CORE_SHA256_H

#include "core/types.h"

#define VEIL_SHA256_SIZE 32

typedef struct {
    uint32_t h[8];
    uint64_t n; /* bytes so far */
    unsigned char block[64];
} veil_sha256_t;

void veil_sha256_init(veil_sha256_t *s);
void veil_sha256_update(veil_sha256_t *s, const void *data, size_t n);
void veil_sha256_final(veil_sha256_t *s, unsigned char out[VEIL_SHA256_SIZE]);

/* Of n bytes, as 64 hexadecimal digits and a zero. */
void veil_sha256_hex(char out[2 * VEIL_SHA256_SIZE + 1], const void *data,
                     size_t n);

#endif
