/*
 * siphash.h -- SipHash-2-4: a keyed hash for data an attacker chooses.
 */

#ifndef VEIL_CORE_SIPHASH_H
#define VEIL_CORE_SIPHASH_H

#include "core/types.h"

#define VEIL_SIPHASH_KEY_LEN 16

/* The result is the same on every machine. */
uint64_t veil_siphash(const unsigned char key[VEIL_SIPHASH_KEY_LEN],
                      const void *data, size_t n);

#endif
