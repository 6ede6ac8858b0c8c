/*
 * regex.h -- regular expressions (PCRE2), when built with them.
 *
 * An expression is compiled while the configuration is read, with JIT where
 * the machine has one, and is then only matched.  Captures are written to
 * the caller's array as pairs of offsets; names are known to the expression.
 *
 * One match is under way at a time in a process, so the library's match data
 * is shared by all expressions.
 */

#ifndef VEIL_CORE_REGEX_H
#define VEIL_CORE_REGEX_H

#include "core/pool.h"
#include "core/str.h"

/* Why an expression was refused: "text" at the byte "offset". */
typedef struct {
    char text[160];
    size_t offset;
} veil_regex_error_t;

/* A named group; several groups may have one name. */
typedef struct {
    veil_str_t name;
    unsigned group; /* from 1 */
} veil_regex_name_t;

/*
 * Compiles the pattern; it ends with the pool.  NULL with *error filled in
 * when it is malformed, or when veil was built without PCRE2.  Callers report
 * nginx's text: pcre2_compile() failed: TEXT in "PATTERN" at "REST".
 */
veil_regex_t *veil_regex_compile(veil_pool_t *pool, veil_str_t pattern,
                                 bool caseless, veil_regex_error_t *error);

/* Whether expressions can be compiled at all. */
bool veil_regex_available(void);

/* Number of groups, the whole match not counted. */
unsigned veil_regex_groups(const veil_regex_t *re);
/* The named groups, sorted by name; *n of them. */
const veil_regex_name_t *veil_regex_names(const veil_regex_t *re, unsigned *n);
/* The pattern as compiled. */
veil_str_t veil_regex_pattern(const veil_regex_t *re);

#define VEIL_REGEX_NONE 0
/*
 * Limits of the library were exceeded (its code negated is below this), or
 * another failure: to be logged with veil_regex_strerror and taken for "does
 * not match".
 */
#define VEIL_REGEX_FAILED (-1)

/*
 * Searches the subject.  When it matches, writes at most npairs pairs of
 * offsets [begin, end) to captures, the whole match first; a group that took
 * no part is -1, -1.  captures may be NULL with npairs 0.  Returns the number
 * of pairs the expression has (its groups + 1), VEIL_REGEX_NONE, or a value
 * <= VEIL_REGEX_FAILED.
 */
int veil_regex_match(const veil_regex_t *re, veil_str_t subject, int *captures,
                     unsigned npairs);

/* A text for veil_regex_match's failure; returns its length. */
size_t veil_regex_strerror(int failure, char *buf, size_t n);

/* Gives the shared match data back (at exit, for leak checkers). */
void veil_regex_trim(void);

#endif
