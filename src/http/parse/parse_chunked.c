/*
 * parse_chunked.c -- the chunked transfer coding, both ways.
 *
 * The decoder is the one parser here that keeps its state: a body is not
 * collected, its bytes are handed on as they come.  It walks the framing byte
 * by byte, which is little, and jumps over data, which stays where it is: the
 * caller gets windows of his own input.
 *
 * Strict: digits, an optional extension, CRLF; data, CRLF.  A line feed alone
 * ends nothing, in extensions either, as parsers that disagree on it can be
 * made to see different requests.  Blanks behind the size are let pass, since
 * some servers pad with them and no parser reads them differently.
 *
 * Trailers are collected until their empty line and then read once by the
 * parser of fields, so that they obey the same rules.
 */

#include "core/platform.h"

#include "core/assert.h"
#include "http/parse/char_class.h"
#include "http/parse/parse.h"

enum {
    CHUNKED_SIZE,      /* the first digit must come */
    CHUNKED_SIZE_MORE, /* digits, blanks, ";" or CR */
    CHUNKED_PAD,       /* blanks, ";" or CR */
    CHUNKED_EXT,       /* to CR */
    CHUNKED_SIZE_LF,   /* LF behind the size */
    CHUNKED_DATA,      /* left bytes of data */
    CHUNKED_DATA_CR,   /* CR behind the data */
    CHUNKED_DATA_LF,   /* LF behind the data */
    CHUNKED_LINE,      /* trailers: at the start of a line */
    CHUNKED_LINE_MORE, /* trailers: within one */
    CHUNKED_LAST_LF,   /* LF of the empty line */
    CHUNKED_END,
    CHUNKED_BAD
};

/* Of 15 digits none overflows; more are not needed, zeros are no excuse. */
#define CHUNKED_MAX_DIGITS 15

void
veil_http_chunked_init(veil_http_chunked_t *d, veil_pool_t *pool,
                       size_t max_trailer)
{
    *d = (veil_http_chunked_t){ .pool = pool, .max_trailer = max_trailer };
}

static int
parse_chunked_fail(veil_http_chunked_t *d, veil_http_parse_t e)
{
    d->error = e;
    return CHUNKED_BAD;
}

/* Keeps bytes of the trailer section; false: there are too many. */
static bool
parse_chunked_keep(veil_http_chunked_t *d, const void *p, size_t n)
{
    size_t need = d->trailer_len + n;
    size_t cap;
    char *grown;

    if (need > d->max_trailer) {
        return false;
    }
    if (need > d->trailer_cap) {
        cap = veil_min_size(
            d->max_trailer,
            veil_max_size(need, veil_max_size(256, 2 * d->trailer_cap)));
        grown = veil_pool_chars(d->pool, cap);
        if (d->trailer_len != 0) {
            memcpy(grown, d->trailer, d->trailer_len);
        }
        d->trailer = grown;
        d->trailer_cap = cap;
    }
    memcpy(d->trailer + d->trailer_len, p, n);
    d->trailer_len = need;
    return true;
}

/* The empty line came: what was collected must be fields. */
static int
parse_chunked_finish(veil_http_chunked_t *d)
{
    veil_http_fields_t it;
    veil_http_field_t f;
    veil_http_parse_t e;

    if (d->trailer_len == 0) {
        return CHUNKED_END;
    }
    if (!parse_chunked_keep(d, "\r\n", 2)) {
        return parse_chunked_fail(d, VEIL_PARSE_TRAILER_LONG);
    }
    veil_http_fields_init(&it, d->trailer, d->trailer_len, 0);
    do {
        e = veil_http_fields_next(&it, &f);
    } while (e == VEIL_PARSE_OK);
    return e == VEIL_PARSE_END ? CHUNKED_END : parse_chunked_fail(d, e);
}

/* A line of trailers, or what there is of it. */
static int
parse_chunked_trailer(veil_http_chunked_t *d, const unsigned char **p,
                      const unsigned char *end)
{
    const unsigned char *begin = *p, *lf;
    int next = CHUNKED_LINE_MORE;

    lf = memchr(begin, '\n', (size_t) (end - begin));
    if (lf != NULL) {
        end = lf + 1;
        next = CHUNKED_LINE;
    }
    if (!parse_chunked_keep(d, begin, (size_t) (end - begin))) {
        return parse_chunked_fail(d, VEIL_PARSE_TRAILER_LONG);
    }
    *p = end;
    return next;
}

static int
parse_chunked_bad_size(veil_http_chunked_t *d, unsigned char c)
{
    return parse_chunked_fail(d, c == '\n' ? VEIL_PARSE_BARE_LF
                                           : VEIL_PARSE_CHUNK_SIZE);
}

/* Behind the size. */
static int
parse_chunked_pad(veil_http_chunked_t *d, unsigned char c)
{
    if (c == '\r') {
        return CHUNKED_SIZE_LF;
    }
    if (c != ';' && c != ' ' && c != '\t') {
        return parse_chunked_bad_size(d, c);
    }
    if (++d->ext > VEIL_HTTP_MAX_CHUNK_EXT) {
        return parse_chunked_fail(d, VEIL_PARSE_CHUNK_EXT_LONG);
    }
    return c == ';' ? CHUNKED_EXT : CHUNKED_PAD;
}

static int
parse_chunked_digit(veil_http_chunked_t *d, unsigned char c)
{
    int digit = veil_char_hex((char) c);

    if (digit >= 0) {
        if (++d->digits > CHUNKED_MAX_DIGITS) {
            return parse_chunked_fail(d, VEIL_PARSE_CHUNK_HUGE);
        }
        d->left = d->left << 4 | (unsigned) digit;
        return CHUNKED_SIZE_MORE;
    }
    return d->state == CHUNKED_SIZE_MORE ? parse_chunked_pad(d, c)
                                         : parse_chunked_bad_size(d, c);
}

static int
parse_chunked_ext(veil_http_chunked_t *d, unsigned char c)
{
    if (c == '\r') {
        return CHUNKED_SIZE_LF;
    }
    if (c == '\n') {
        return parse_chunked_fail(d, VEIL_PARSE_BARE_LF);
    }
    if ((veil_char_class[c] & VEIL_CC_VALUE) == 0) {
        return parse_chunked_fail(d, VEIL_PARSE_CHUNK_EXT);
    }
    if (++d->ext > VEIL_HTTP_MAX_CHUNK_EXT) {
        return parse_chunked_fail(d, VEIL_PARSE_CHUNK_EXT_LONG);
    }
    return CHUNKED_EXT;
}

/* One byte of framing; the next state. */
static int
parse_chunked_byte(veil_http_chunked_t *d, unsigned char c)
{
    switch (d->state) {
    case CHUNKED_SIZE:
    case CHUNKED_SIZE_MORE:
        return parse_chunked_digit(d, c);
    case CHUNKED_PAD:
        return parse_chunked_pad(d, c);
    case CHUNKED_EXT:
        return parse_chunked_ext(d, c);
    case CHUNKED_SIZE_LF:
        if (c != '\n') {
            return parse_chunked_fail(d, VEIL_PARSE_BARE_CR);
        }
        d->digits = 0;
        d->ext = 0;
        return d->left == 0 ? CHUNKED_LINE : CHUNKED_DATA;
    case CHUNKED_DATA_CR:
        return c == '\r' ? CHUNKED_DATA_LF
                         : parse_chunked_fail(d, VEIL_PARSE_CHUNK_END);
    case CHUNKED_DATA_LF:
        return c == '\n' ? CHUNKED_SIZE
                         : parse_chunked_fail(d, VEIL_PARSE_BARE_CR);
    case CHUNKED_LAST_LF:
        return c == '\n' ? parse_chunked_finish(d)
                         : parse_chunked_fail(d, VEIL_PARSE_BARE_CR);
    default:
        veil_panic("no byte is due in state %d of a chunked body", d->state);
    }
}

veil_http_chunked_rc_t
veil_http_chunked_next(veil_http_chunked_t *d, const unsigned char **p,
                       const unsigned char *end, const unsigned char **data,
                       size_t *len)
{
    const unsigned char *begin = *p;
    veil_http_chunked_rc_t rc = VEIL_CHUNKED_MORE;

    while (*p < end && d->state < CHUNKED_END) {
        if (d->state == CHUNKED_DATA) {
            *data = *p;
            *len = (size_t) (end - *p);
            if (*len > d->left) {
                *len = (size_t) d->left;
            }
            *p += *len;
            d->left -= *len;
            d->bytes += *len;
            if (d->left == 0) {
                d->state = CHUNKED_DATA_CR;
            }
            rc = VEIL_CHUNKED_DATA;
            break;
        }
        if (d->state == CHUNKED_LINE && **p == '\r') {
            d->state = CHUNKED_LAST_LF;
            ++*p;
        } else if (d->state == CHUNKED_LINE || d->state == CHUNKED_LINE_MORE) {
            d->state = (uint8_t) parse_chunked_trailer(d, p, end);
        } else {
            d->state = (uint8_t) parse_chunked_byte(d, *(*p)++);
        }
    }
    d->consumed += (uint64_t) (*p - begin);
    if (d->state == CHUNKED_BAD) {
        return VEIL_CHUNKED_BAD;
    }
    return d->state == CHUNKED_END ? VEIL_CHUNKED_END : rc;
}

veil_str_t
veil_http_chunked_trailer(const veil_http_chunked_t *d)
{
    return veil_str_n(d->trailer, d->trailer_len);
}

size_t
veil_http_chunk_head(char *dst, uint64_t n)
{
    char *p;

    VEIL_ASSERT(n != 0); /* it would end the body */
    p = veil_fmt_hex(dst, n);
    *p++ = '\r';
    *p++ = '\n';
    return (size_t) (p - dst);
}
