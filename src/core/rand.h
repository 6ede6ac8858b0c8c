/*
 * rand.h -- random numbers.
 *
 * veil_rand_bytes() is for secrets: keys, tokens, connection ids.  The others
 * come from a fast generator seeded by the kernel, for jitter, weights and
 * hash seeds; who sees enough of them can predict the next.
 */

#ifndef VEIL_CORE_RAND_H
#define VEIL_CORE_RAND_H

#include "core/types.h"

/* From the kernel (getrandom(2)), of any length; aborts when it cannot. */
void veil_rand_bytes(void *dst, size_t n);

/* From the generator; a forked child continues with a seed of its own. */
uint64_t veil_rand_u64(void);
/* Even over [0, n); n must not be 0. */
uint64_t veil_rand_below(uint64_t n);

/* Makes the generator repeatable (tests); until the next fork. */
void veil_rand_seed(uint64_t seed);

#endif
