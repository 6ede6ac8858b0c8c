/*
 * filter.c -- runs the header filters in the order of their numbers.
 *
 * The pipeline holds them as an array that ends with an entry without a
 * function, so "the next filter" is the next element: a filter can neither
 * forget whom to call nor call the wrong one.
 */

#include "core/platform.h"

#include "http/filter.h"

#include "http/pipeline.h"

veil_rc_t
veil_http_next_header(veil_http_request_t *r, const veil_http_filter_t *next)
{
    if (next->header == NULL) {
        return VEIL_OK;
    }
    return next->header(r, next + 1);
}
