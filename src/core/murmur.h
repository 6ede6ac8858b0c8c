/*
 * murmur.h -- MurmurHash2 and CRC-32: hashes whose values are a promise.
 *
 * split_clients and "hash ... consistent" distribute by them as nginx does,
 * so that a mixed fleet sends a client to the same place.
 */

#ifndef VEIL_CORE_MURMUR_H
#define VEIL_CORE_MURMUR_H

#include "core/types.h"

/* MurmurHash2, 32 bits, with seed 0 as nginx's. */
uint32_t veil_murmur2(const void *data, size_t n);

/*
 * CRC-32 of IEEE 802.3, as zlib's: begin with 0, and hand the result in again
 * to continue with further bytes.
 */
uint32_t veil_crc32(uint32_t crc, const void *data, size_t n);

#endif
