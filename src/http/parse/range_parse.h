/*
 * range_parse.h -- the Range header against the size of what it asks for.
 */

#ifndef VEIL_HTTP_RANGE_PARSE_H
#define VEIL_HTTP_RANGE_PARSE_H

#include "core/str.h"

typedef struct {
    uint64_t start;
    uint64_t end; /* the first byte behind it */
} veil_http_range_t;

typedef enum {
    VEIL_RANGE_IGNORE,       /* answer with the whole: 200 */
    VEIL_RANGE_SATISFIABLE,  /* 206 */
    VEIL_RANGE_UNSATISFIABLE /* 416 */
} veil_http_range_rc_t;

/*
 * Reads "bytes=0-99, 200-, -50" (RFC 9110, 14.1.2) for a representation of
 * size bytes.  ranges has room for max; *n is how many are satisfiable, in
 * the order asked for and not merged.
 *
 * As nginx: other units, more than max ranges that can be satisfied, ranges
 * that add up to more than the whole, and any range of nothing (size 0) are
 * ignored; what is no list of ranges is unsatisfiable, as is a list of which
 * nothing lies within the size.  Unlike nginx, a number of any length is a
 * number: one that does not fit 64 bits is larger than any size.  max == 0
 * ignores everything (max_ranges 0).
 */
veil_http_range_rc_t veil_http_range_parse(veil_str_t value, uint64_t size,
                                           veil_http_range_t *ranges,
                                           unsigned max, unsigned *n);

#endif
