/*
 * ulid.h -- names that are unique, and sort by the time they were made.
 *
 * A ULID is 48 bits of milliseconds since 1970 and 80 of randomness, written
 * in 26 characters (github.com/ulid/spec): short enough for a line of a log,
 * and nobody can guess the next.
 */

#ifndef VEIL_CORE_ULID_H
#define VEIL_CORE_ULID_H

#include "core/types.h"

#define VEIL_ULID_LEN 26

/* Writes VEIL_ULID_LEN characters and a zero byte; ms of the wall clock. */
void veil_ulid_make(char dst[VEIL_ULID_LEN + 1], uint64_t ms);

#endif
