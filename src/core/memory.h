/*
 * memory.h -- how much memory there is to be had.
 */

#ifndef VEIL_CORE_MEMORY_H
#define VEIL_CORE_MEMORY_H

#include "core/types.h"

/*
 * Bytes that this process could have at most, swapped ones included: of the
 * machine, or of the control groups it is in where those have less, which
 * *grouped tells.  UINT64_MAX: not known.  Reads files, and may block for
 * that.
 */
uint64_t veil_memory_limit(bool *grouped);

#endif
