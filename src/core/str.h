/*
 * str.h -- strings as pointer and length.
 *
 * A veil_str_t is a view: it owns nothing, is not terminated by a zero byte
 * unless a function says so, and is passed by value.  Case is ASCII's.
 */

#ifndef VEIL_CORE_STR_H
#define VEIL_CORE_STR_H

#include <stdarg.h>
#include <string.h>

#include "core/types.h"

struct veil_str_s {
    const char *data;
    size_t len;
};

/* For literals only: the length is taken from the array. */
#define VEIL_STR(lit) ((veil_str_t){ .data = "" lit, .len = sizeof(lit) - 1 })
#define VEIL_STR_INIT(lit)                                                    \
    {                                                                         \
        .data = "" lit, .len = sizeof(lit) - 1                                \
    }
#define VEIL_STR_NULL ((veil_str_t){ .data = NULL, .len = 0 })

/* printf("%.*s", VEIL_STR_ARG(s)) */
#define VEIL_STR_ARG(s) (int) (s).len, (s).data

static inline veil_str_t
veil_str_n(const char *data, size_t len)
{
    return (veil_str_t){ .data = data, .len = len };
}

/* A view of a zero-terminated string. */
static inline veil_str_t
veil_str_z(const char *z)
{
    return (veil_str_t){ .data = z, .len = z == NULL ? 0 : strlen(z) };
}

static inline bool
veil_str_eq(veil_str_t a, veil_str_t b)
{
    return a.len == b.len
           && (a.len == 0 || memcmp(a.data, b.data, a.len) == 0);
}

static inline bool
veil_str_eq_z(veil_str_t a, const char *z)
{
    return veil_str_eq(a, veil_str_z(z));
}

static inline bool
veil_str_starts(veil_str_t s, veil_str_t prefix)
{
    return s.len >= prefix.len
           && (prefix.len == 0
               || memcmp(s.data, prefix.data, prefix.len) == 0);
}

static inline bool
veil_str_ends(veil_str_t s, veil_str_t suffix)
{
    return s.len >= suffix.len
           && (suffix.len == 0
               || memcmp(s.data + s.len - suffix.len, suffix.data, suffix.len)
                      == 0);
}

/* The part from offset on; offset must not exceed the length. */
static inline veil_str_t
veil_str_from(veil_str_t s, size_t offset)
{
    return veil_str_n(s.data + offset, s.len - offset);
}

static inline unsigned char
veil_lower(unsigned char c)
{
    return (c >= 'A' && c <= 'Z') ? (unsigned char) (c | 0x20) : c;
}

bool veil_str_caseeq(veil_str_t a, veil_str_t b);
bool veil_str_casestarts(veil_str_t s, veil_str_t prefix);
/* Like memcmp, the shorter first when one is the other's prefix. */
int veil_str_cmp(veil_str_t a, veil_str_t b);
int veil_str_casecmp(veil_str_t a, veil_str_t b);

/* Offset of the first occurrence, or -1. */
ptrdiff_t veil_str_chr(veil_str_t s, char c);
ptrdiff_t veil_str_rchr(veil_str_t s, char c);
ptrdiff_t veil_str_find(veil_str_t s, veil_str_t needle);
ptrdiff_t veil_str_casefind(veil_str_t s, veil_str_t needle);

/* Without blanks and tabs at both ends. */
veil_str_t veil_str_trim(veil_str_t s);

/*
 * Cuts *rest at the first c: returns what stands before it and leaves in
 * *rest what follows.  Without a c the whole is returned and rest is NULL'd.
 */
veil_str_t veil_str_cut(veil_str_t *rest, char c);

/* Copies n bytes, in lower case. */
void veil_str_lower(char *dst, const char *src, size_t n);

/*
 * Numbers: the whole string must be one, without sign or blanks; -1 on
 * anything else and on overflow.
 */
int64_t veil_str_to_int(veil_str_t s);
int64_t veil_str_to_hex(veil_str_t s);

/* "8k", "10m", "1g" to bytes; -1 when it is none. */
int64_t veil_str_to_size(veil_str_t s);

/*
 * "30s", "1h 30m", "100ms", "1d", "1w", "1M", "1y" to milliseconds; a bare
 * number counts in seconds; -1 when it is none.  Units stand in falling
 * order, each once; a month has 30 days and a year 365.
 */
int64_t veil_str_to_msec(veil_str_t s);

/* Writes n in decimal at dst; returns the end.  At most 20 bytes. */
char *veil_fmt_uint(char *dst, uint64_t n);
/* In hexadecimal, lower case, no leading zeros; at most 16 bytes. */
char *veil_fmt_hex(char *dst, uint64_t n);
/* Bytes as two digits each, lower case; 2 * n bytes. */
char *veil_fmt_hex_bytes(char *dst, const void *bytes, size_t n);

/* memcpy that returns the end of what was written. */
static inline char *
veil_fmt_str(char *dst, veil_str_t s)
{
    if (s.len != 0) {
        memcpy(dst, s.data, s.len);
    }
    return dst + s.len;
}

/* snprintf that returns the number of bytes really written (< n). */
size_t veil_snprintf(char *buf, size_t n, const char *fmt, ...)
    VEIL_PRINTF(3, 4);
size_t veil_vsnprintf(char *buf, size_t n, const char *fmt, va_list ap);

/* Copies with truncation, always terminates; returns the bytes copied. */
size_t veil_str_copy_z(char *dst, size_t n, veil_str_t s);

/*
 * Percent-decoding and -encoding (RFC 3986, 2.1).  Decoding leaves a bad
 * sequence as it stands; dst needs src.len bytes and may be src itself.
 * Encoding: dst needs 3 * src.len; set says which bytes are escaped.
 */
typedef enum {
    VEIL_ESCAPE_URI,       /* what may not stand in a URI's path */
    VEIL_ESCAPE_ARGS,      /* the same, for the query */
    VEIL_ESCAPE_COMPONENT, /* all but unreserved characters */
    VEIL_ESCAPE_HTML_SAFE  /* path, and quotes as well */
} veil_escape_t;
size_t veil_str_unescape(char *dst, veil_str_t src);
size_t veil_str_escape(char *dst, veil_str_t src, veil_escape_t set);

/* & < > " as entities; returns the length; dst may be NULL to measure. */
size_t veil_str_escape_html(char *dst, veil_str_t src);
/* For a JSON string, without the quotes; dst may be NULL to measure. */
size_t veil_str_escape_json(char *dst, veil_str_t src);

/* Base64 (RFC 4648); dst needs 4 * ((n + 2) / 3).  Returns the length. */
size_t veil_base64_encode(char *dst, veil_str_t src);
/*
 * Returns the length, or -1 on a byte that does not belong there.  dst needs
 * 3 * n / 4 and may be src itself.  Padding may be missing, not be wrong.
 */
ptrdiff_t veil_base64_decode(char *dst, veil_str_t src);
/* The URL alphabet (RFC 4648, 5); encoding writes no padding. */
size_t veil_base64url_encode(char *dst, veil_str_t src);
ptrdiff_t veil_base64url_decode(char *dst, veil_str_t src);

/*
 * Levenshtein distance, cut off at max + 1: for "did you mean" only.
 */
unsigned veil_str_distance(veil_str_t a, veil_str_t b, unsigned max);

#endif
