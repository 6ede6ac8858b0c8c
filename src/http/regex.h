/*
 * regex.h -- regular expressions with what a request does with a match:
 * $1 to $9 and named groups as variables.
 */

#ifndef VEIL_HTTP_REGEX_H
#define VEIL_HTTP_REGEX_H

#include "core/conf.h"
#include "core/regex.h"
#include "http/variable.h"

typedef struct veil_http_regex_s veil_http_regex_t;

/*
 * Compiles argument arg of the current directive from its byte skip on.
 * Named groups define variables.  NULL after reporting.
 */
veil_http_regex_t *veil_http_regex_compile(veil_conf_t *cf, unsigned arg,
                                           size_t skip, bool caseless);
/*
 * Whether it matches; then captures and named variables of the request are
 * set (with r == NULL nothing is).  The subject must live as long as r.
 */
bool veil_http_regex_match(veil_http_request_t *r, const veil_http_regex_t *re,
                           veil_str_t subject);
veil_str_t veil_http_regex_pattern(const veil_http_regex_t *re);
/* Number of groups, the whole match not counted. */
unsigned veil_http_regex_groups(const veil_http_regex_t *re);

#endif
