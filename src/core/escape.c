/*
 * escape.c -- percent, HTML and JSON escapes, and base64.
 *
 * Which bytes a URI escape changes is a table of four words, one bit for each
 * ASCII byte; bytes from 0x80 on are always escaped.  The sets are nginx's:
 * besides what RFC 3986 does not allow they hold the delimiters that would
 * end the part of the URI in question.
 *
 * Nothing here checks UTF-8: bytes from 0x80 on pass through HTML and JSON
 * escapes as they are.
 */

#include "core/platform.h"

#include "core/str.h"

/* Bits for the bytes 0x20-0x3f, 0x40-0x5f and 0x60-0x7f. */
#define ESCAPE_BIT(c) (1u << ((c) &31))

/* blank " # % < > ? and, in the other words, \ ^ ` { | } DEL */
#define ESCAPE_PATH_LOW                                                       \
    (ESCAPE_BIT(' ') | ESCAPE_BIT('"') | ESCAPE_BIT('#') | ESCAPE_BIT('%')    \
     | ESCAPE_BIT('<') | ESCAPE_BIT('>') | ESCAPE_BIT('?'))
#define ESCAPE_PATH_MID (ESCAPE_BIT('\\') | ESCAPE_BIT('^'))
#define ESCAPE_PATH_HIGH                                                      \
    (ESCAPE_BIT('`') | ESCAPE_BIT('{') | ESCAPE_BIT('|') | ESCAPE_BIT('}')    \
     | ESCAPE_BIT(0x7f))

/* Ten digits, "-", "." and letters, "_", "~" are unreserved. */
#define ESCAPE_UNRESERVED_LOW                                                 \
    (0x3ffu << 16 | ESCAPE_BIT('-') | ESCAPE_BIT('.'))
#define ESCAPE_UNRESERVED_MID (0x7fffffeu | ESCAPE_BIT('_'))
#define ESCAPE_UNRESERVED_HIGH (0x7fffffeu | ESCAPE_BIT('~'))

static const uint32_t escape_sets[][4] = {
    [VEIL_ESCAPE_URI] = { 0xffffffff, ESCAPE_PATH_LOW, ESCAPE_PATH_MID,
                          ESCAPE_PATH_HIGH },
    [VEIL_ESCAPE_ARGS] = { 0xffffffff,
                           ESCAPE_PATH_LOW | ESCAPE_BIT('&') | ESCAPE_BIT('+')
                               | ESCAPE_BIT(';'),
                           ESCAPE_PATH_MID, ESCAPE_PATH_HIGH },
    [VEIL_ESCAPE_COMPONENT] = { 0xffffffff, ~ESCAPE_UNRESERVED_LOW,
                                ~ESCAPE_UNRESERVED_MID,
                                ~ESCAPE_UNRESERVED_HIGH },
    [VEIL_ESCAPE_HTML_SAFE] = { 0xffffffff, ESCAPE_PATH_LOW | ESCAPE_BIT('\''),
                                ESCAPE_PATH_MID, ESCAPE_PATH_HIGH },
};

static int
escape_hex(char c)
{
    unsigned char l = veil_lower((unsigned char) c);

    if (l >= '0' && l <= '9') {
        return l - '0';
    }
    return l >= 'a' && l <= 'f' ? l - 'a' + 10 : -1;
}

size_t
veil_str_unescape(char *dst, veil_str_t src)
{
    char *start = dst;
    int high, low;
    size_t i;

    for (i = 0; i < src.len; i++) {
        if (src.data[i] == '%' && src.len - i >= 3) {
            high = escape_hex(src.data[i + 1]);
            low = escape_hex(src.data[i + 2]);
            if (high >= 0 && low >= 0) {
                *dst++ = (char) (high << 4 | low);
                i += 2;
                continue;
            }
        }
        *dst++ = src.data[i];
    }
    return (size_t) (dst - start);
}

size_t
veil_str_escape(char *dst, veil_str_t src, veil_escape_t set)
{
    const uint32_t *bits = escape_sets[set];
    char *start = dst;
    unsigned char c;
    size_t i;

    for (i = 0; i < src.len; i++) {
        c = (unsigned char) src.data[i];
        if (c < 0x80 && (bits[c >> 5] & ESCAPE_BIT(c)) == 0) {
            *dst++ = (char) c;
            continue;
        }
        *dst++ = '%';
        *dst++ = "0123456789ABCDEF"[c >> 4];
        *dst++ = "0123456789ABCDEF"[c & 15];
    }
    return (size_t) (dst - start);
}

/* The text for c, or the byte itself in tmp. */
static veil_str_t
escape_html_char(char c, char *tmp)
{
    switch (c) {
    case '&':
        return VEIL_STR("&amp;");
    case '<':
        return VEIL_STR("&lt;");
    case '>':
        return VEIL_STR("&gt;");
    case '"':
        return VEIL_STR("&quot;");
    default:
        *tmp = c;
        return veil_str_n(tmp, 1);
    }
}

static veil_str_t
escape_json_char(char c, char *tmp)
{
    switch (c) {
    case '"':
        return VEIL_STR("\\\"");
    case '\\':
        return VEIL_STR("\\\\");
    case '\n':
        return VEIL_STR("\\n");
    case '\r':
        return VEIL_STR("\\r");
    case '\t':
        return VEIL_STR("\\t");
    case '\b':
        return VEIL_STR("\\b");
    case '\f':
        return VEIL_STR("\\f");
    default:
        break;
    }
    if ((unsigned char) c >= 0x20) {
        *tmp = c;
        return veil_str_n(tmp, 1);
    }
    memcpy(tmp, "\\u00", 4);
    tmp[4] = (char) ('0' + (c >> 4));
    tmp[5] = "0123456789abcdef"[c & 15];
    return veil_str_n(tmp, 6);
}

size_t
veil_str_escape_html(char *dst, veil_str_t src)
{
    veil_str_t text;
    size_t i, n = 0;
    char tmp;

    for (i = 0; i < src.len; i++) {
        text = escape_html_char(src.data[i], &tmp);
        if (dst != NULL) {
            (void) veil_fmt_str(dst + n, text);
        }
        n += text.len;
    }
    return n;
}

size_t
veil_str_escape_json(char *dst, veil_str_t src)
{
    veil_str_t text;
    size_t i, n = 0;
    char tmp[6];

    for (i = 0; i < src.len; i++) {
        text = escape_json_char(src.data[i], tmp);
        if (dst != NULL) {
            (void) veil_fmt_str(dst + n, text);
        }
        n += text.len;
    }
    return n;
}

static const char escape_base64[] =
    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
static const char escape_base64url[] =
    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

static size_t
escape_base64_encode(char *dst, veil_str_t src, const char *digits, bool pad)
{
    const unsigned char *p = (const unsigned char *) src.data;
    char *start = dst;
    uint32_t v;

    for (; src.len >= 3; p += 3, src.len -= 3) {
        v = (uint32_t) p[0] << 16 | (uint32_t) p[1] << 8 | p[2];
        *dst++ = digits[v >> 18];
        *dst++ = digits[v >> 12 & 63];
        *dst++ = digits[v >> 6 & 63];
        *dst++ = digits[v & 63];
    }
    if (src.len != 0) {
        v = (uint32_t) p[0] << 16 | (src.len == 2 ? (uint32_t) p[1] << 8 : 0);
        *dst++ = digits[v >> 18];
        *dst++ = digits[v >> 12 & 63];
        if (src.len == 2) {
            *dst++ = digits[v >> 6 & 63];
        } else if (pad) {
            *dst++ = '=';
        }
        if (pad) {
            *dst++ = '=';
        }
    }
    return (size_t) (dst - start);
}

static int
escape_base64_digit(char c, const char *digits)
{
    if (c >= 'A' && c <= 'Z') {
        return c - 'A';
    }
    if (c >= 'a' && c <= 'z') {
        return c - 'a' + 26;
    }
    if (c >= '0' && c <= '9') {
        return c - '0' + 52;
    }
    if (c == digits[62]) {
        return 62;
    }
    return c == digits[63] ? 63 : -1;
}

static ptrdiff_t
escape_base64_decode(char *dst, veil_str_t src, const char *digits)
{
    size_t i, n = src.len;
    char *start = dst;
    unsigned bits = 0;
    uint32_t v = 0;
    int digit;

    /* Padding may be left out, but what is there must fill the quantum. */
    if (n != 0 && n % 4 == 0 && src.data[n - 1] == '=') {
        n -= src.data[n - 2] == '=' ? 2 : 1;
    }
    if (n % 4 == 1) {
        return -1;
    }
    for (i = 0; i < n; i++) {
        digit = escape_base64_digit(src.data[i], digits);
        if (digit < 0) {
            return -1;
        }
        v = v << 6 | (uint32_t) digit;
        bits += 6;
        if (bits >= 8) {
            bits -= 8;
            *dst++ = (char) (v >> bits & 0xff);
        }
    }
    return dst - start;
}

size_t
veil_base64_encode(char *dst, veil_str_t src)
{
    return escape_base64_encode(dst, src, escape_base64, true);
}

ptrdiff_t
veil_base64_decode(char *dst, veil_str_t src)
{
    return escape_base64_decode(dst, src, escape_base64);
}

size_t
veil_base64url_encode(char *dst, veil_str_t src)
{
    return escape_base64_encode(dst, src, escape_base64url, false);
}

ptrdiff_t
veil_base64url_decode(char *dst, veil_str_t src)
{
    return escape_base64_decode(dst, src, escape_base64url);
}
