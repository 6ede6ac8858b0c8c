/*
 * char_class.h -- what a byte may be part of, as one table.
 *
 * For the parsers of this directory: one load and one AND decide a byte,
 * whichever of the grammar's classes is asked for.
 */

#ifndef VEIL_HTTP_CHAR_CLASS_H
#define VEIL_HTTP_CHAR_CLASS_H

#include "core/types.h"

enum {
    /* RFC 9110, 5.6.2: token */
    VEIL_CC_TOKEN = 0x01,
    /* letters, digits, "-": what nginx calls a valid header name */
    VEIL_CC_NAME = 0x02,
    /* may stand in a request target: all but blanks and controls */
    VEIL_CC_TARGET = 0x04,
    /* may stand in a field value: tab, and all but controls */
    VEIL_CC_VALUE = 0x08,
    /* RFC 3986, 3.2.2: unreserved and sub-delims (reg-name without "%") */
    VEIL_CC_HOST = 0x10,
    /* of a path, and without a meaning there: not one of / % ? # . */
    VEIL_CC_PLAIN = 0x20,
    /* RFC 9110, 8.8.3: etagc */
    VEIL_CC_ETAG = 0x40,
    /* may stand in a path that is sent on: needs no escape */
    VEIL_CC_PATH = 0x80
};

extern const uint8_t veil_char_class[256];

static inline bool
veil_char_is(char c, unsigned class)
{
    return (veil_char_class[(unsigned char) c] & class) != 0;
}

/* The value of a hexadecimal digit, or -1. */
static inline int
veil_char_hex(char c)
{
    unsigned char u = (unsigned char) c;

    if (u >= '0' && u <= '9') {
        return u - '0';
    }
    u |= 0x20;
    return u >= 'a' && u <= 'f' ? u - 'a' + 10 : -1;
}

#endif
