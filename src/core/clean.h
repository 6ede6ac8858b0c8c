/*
 * clean.h -- text from outside, made safe to look at.
 *
 * What a client sent, a file's name, the title of a process: any of them may
 * hold bytes that move a cursor, begin a line, or turn the order of what is
 * shown.  Here they become question marks.
 */

#ifndef VEIL_CORE_CLEAN_H
#define VEIL_CORE_CLEAN_H

#include "core/str.h"

/*
 * Copies src, replacing by "?" each character that does not show: controls
 * of ASCII and C1, the byte order mark, line and paragraph separators, marks
 * and overrides of direction, invisible tags; and each byte that is not
 * UTF-8 (RFC 3629).  dst needs src.len bytes and may be src itself; returns
 * the length.
 */
size_t veil_clean(char *dst, veil_str_t src);

/* Nothing would be replaced. */
bool veil_is_clean(veil_str_t s);

/* The longest beginning of max bytes at most that does not cut a character. */
veil_str_t veil_str_cut_utf8(veil_str_t s, size_t max);

#endif
