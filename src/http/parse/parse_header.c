/*
 * parse_header.c -- field lines, one at a time.
 *
 * An iterator over a complete section: the caller copies nothing and decides
 * about each field as it comes.  A name is read byte by byte through the
 * table of classes; a value, which is most of a head, eight bytes at a time:
 * the only bytes of interest are controls, and whether one is among eight is
 * a few operations on a word.
 *
 * nginx calls a name valid that consists of letters, digits and hyphens, and
 * drops fields with other names unless told not to.  Here such a field is
 * reported with a flag, so that the two directives for it can decide; names
 * with blanks or controls, and lines without a colon, are refused always.
 */

#include "core/platform.h"

#include <endian.h>

#include "http/parse/char_class.h"
#include "http/parse/parse.h"

#define PARSE_BYTES (~UINT64_C(0) / 255) /* 0x01 in each byte */

/*
 * The first byte from p on that is a control (tab included) or DEL, or end.
 *
 * In a word, the subtraction sets the top bit of each byte that was below
 * 0x20, or zero after the exclusive or; a borrow can set it in a byte above
 * such a one, never below, so the lowest one set is right.
 */
static const char *
parse_find_control(const char *p, const char *end)
{
    uint64_t w, x, found;
    unsigned char c;

    while (end - p >= 8) {
        memcpy(&w, p, 8);
        w = le64toh(w);
        x = w ^ (PARSE_BYTES * 0x7f);
        found = (((w - PARSE_BYTES * 0x20) & ~w) | ((x - PARSE_BYTES) & ~x))
                & (PARSE_BYTES * 0x80);
        if (found != 0) {
            return p + (__builtin_ctzll(found) >> 3);
        }
        p += 8;
    }
    while (p < end) {
        c = (unsigned char) *p;
        if (c < 0x20 || c == 0x7f) {
            break;
        }
        p++;
    }
    return p;
}

void
veil_http_fields_init(veil_http_fields_t *it, const char *p, size_t n,
                      unsigned flags)
{
    it->p = p;
    it->end = p + n;
    it->flags = flags;
}

/*
 * The rest of a name that has other bytes than letters, digits and hyphens.
 * *p moves to the colon.
 */
static veil_http_parse_t
parse_name_rest(const char **p, const char *end, veil_http_field_t *f)
{
    unsigned char c;

    for (; *p < end; ++*p) {
        c = (unsigned char) **p;
        if (c == ':') {
            return VEIL_PARSE_OK;
        }
        if (veil_char_class[c] & VEIL_CC_NAME) {
            continue;
        }
        if (c == '_') {
            f->flags |= VEIL_FIELD_UNDERSCORE;
        } else if (veil_char_class[c] & VEIL_CC_TOKEN) {
            f->flags |= VEIL_FIELD_INVALID;
        } else if (c == '\r' || c == '\n') {
            return VEIL_PARSE_NO_COLON;
        } else if (c == ' ' || c == '\t') {
            return VEIL_PARSE_NAME_BLANK;
        } else if (c == '\0') {
            return VEIL_PARSE_NUL;
        } else if (c < 0x20 || c == 0x7f) {
            return VEIL_PARSE_NAME;
        } else {
            f->flags |= VEIL_FIELD_INVALID | VEIL_FIELD_NOT_TOKEN;
        }
    }
    return VEIL_PARSE_CUT;
}

/*
 * The value from p on, to the end of the line; the iterator moves to the next
 * line.
 */
static veil_http_parse_t
parse_value(veil_http_fields_t *it, const char *p, veil_str_t *value)
{
    const char *begin, *eol, *end = it->end;

    while (p < end && (*p == ' ' || *p == '\t')) {
        p++;
    }
    begin = p;
    while ((p = parse_find_control(p, end)) < end && *p == '\t') {
        p++;
    }
    if (p == end) {
        return VEIL_PARSE_CUT;
    }
    eol = p;
    if (*p == '\r') {
        p++;
        if (p == end) {
            return VEIL_PARSE_CUT;
        }
        if (*p != '\n') {
            return VEIL_PARSE_BARE_CR;
        }
    } else if (*p != '\n') {
        return *p == '\0' ? VEIL_PARSE_NUL : VEIL_PARSE_VALUE;
    } else if ((it->flags & VEIL_HTTP_ALLOW_LF) == 0) {
        return VEIL_PARSE_BARE_LF;
    }
    it->p = p + 1;
    while (eol > begin && (eol[-1] == ' ' || eol[-1] == '\t')) {
        eol--;
    }
    *value = veil_str_n(begin, (size_t) (eol - begin));
    return VEIL_PARSE_OK;
}

/* A line that begins with none of a name's usual bytes. */
static veil_http_parse_t
parse_odd_line(veil_http_fields_t *it)
{
    const char *p = it->p;

    if (p == it->end) {
        return VEIL_PARSE_CUT;
    }
    switch (*p) {
    case '\r':
        if (it->end - p < 2) {
            return VEIL_PARSE_CUT;
        }
        if (p[1] != '\n') {
            return VEIL_PARSE_BARE_CR;
        }
        it->p = p + 2;
        return VEIL_PARSE_END;
    case '\n':
        if ((it->flags & VEIL_HTTP_ALLOW_LF) == 0) {
            return VEIL_PARSE_BARE_LF;
        }
        it->p = p + 1;
        return VEIL_PARSE_END;
    case ' ':
    case '\t':
        return VEIL_PARSE_FOLD;
    case ':':
        return VEIL_PARSE_NAME_EMPTY;
    default:
        return VEIL_PARSE_OK;
    }
}

/* Whether four bytes are all of a valid name. */
static inline bool
parse_are_name(const char *p)
{
    const unsigned char *u = (const unsigned char *) p;

    return (veil_char_class[u[0]] & veil_char_class[u[1]]
            & veil_char_class[u[2]] & veil_char_class[u[3]] & VEIL_CC_NAME)
           != 0;
}

veil_http_parse_t
veil_http_fields_next(veil_http_fields_t *it, veil_http_field_t *f)
{
    const char *p = it->p, *begin = it->p, *end = it->end;
    veil_http_parse_t e;

    while (end - p >= 4 && parse_are_name(p)) {
        p += 4;
    }
    while (p < end && veil_char_is(*p, VEIL_CC_NAME)) {
        p++;
    }
    f->flags = 0;
    if (p == begin) {
        e = parse_odd_line(it);
        if (e != VEIL_PARSE_OK) {
            return e;
        }
    }
    if (p == end || *p != ':') {
        e = parse_name_rest(&p, end, f);
        if (e != VEIL_PARSE_OK) {
            return e;
        }
    }
    f->name = veil_str_n(begin, (size_t) (p - begin));
    f->id = (uint16_t) veil_http_header_lookup(begin, f->name.len);
    return parse_value(it, p + 1, &f->value);
}
