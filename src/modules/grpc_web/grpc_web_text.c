/*
 * grpc_web_text.c -- the base64 of application/grpc-web-text, as it comes.
 *
 * Both directions keep less than one group of four characters between calls,
 * so what is cut where makes no difference to what comes out.  The decoder
 * takes one reading of a text or none: browsers write canonical base64, and
 * what another server on the way could read differently is refused.
 */

#include "modules/grpc_web/grpc_web_text.h"

#include "core/str.h"

#define TEXT_PADDING 64
#define TEXT_WRONG 65

/* The value of a character (RFC 4648, table 1). */
static unsigned
grpc_web_text_value(unsigned char c)
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
    switch (c) {
    case '+':
        return 62;
    case '/':
        return 63;
    case '=':
        return TEXT_PADDING;
    default:
        return TEXT_WRONG;
    }
}

/* Adds a character to the group; false: it may not stand there. */
static bool
grpc_web_text_add(veil_grpc_web_decoder_t *d, unsigned char c)
{
    unsigned value = grpc_web_text_value(c);

    if (value == TEXT_PADDING) {
        if (d->n < 2) {
            return false;
        }
        d->padded++;
        value = 0;
    } else if (value == TEXT_WRONG || d->padded != 0) {
        return false;
    }
    d->bits = d->bits << 6 | value;
    d->n++;
    return true;
}

/* The bytes of a complete group; 0: there are bits behind the last one. */
static unsigned
grpc_web_text_flush(veil_grpc_web_decoder_t *d, unsigned char *out)
{
    unsigned i, n = 3u - d->padded;
    uint32_t left = d->bits & ((UINT32_C(1) << (8 * d->padded)) - 1);

    if (left != 0) {
        return 0;
    }
    for (i = 0; i < n; i++) {
        out[i] = (unsigned char) (d->bits >> (16 - 8 * i));
    }
    d->bits = 0;
    d->n = 0;
    d->padded = 0;
    return n;
}

ptrdiff_t
veil_grpc_web_decode(veil_grpc_web_decoder_t *d, const unsigned char *in,
                     size_t len, unsigned char *out)
{
    unsigned char *p = out;
    unsigned n;
    size_t i;

    if (d->bad) {
        return -1;
    }
    for (i = 0; i < len; i++) {
        if (!grpc_web_text_add(d, in[i])) {
            d->bad = true;
            return -1;
        }
        if (d->n == 4) {
            n = grpc_web_text_flush(d, p);
            if (n == 0) {
                d->bad = true;
                return -1;
            }
            p += n;
        }
    }
    return p - out;
}

bool
veil_grpc_web_decoder_may_end(const veil_grpc_web_decoder_t *d)
{
    return !d->bad && d->n == 0;
}

size_t
veil_grpc_web_encode(veil_grpc_web_encoder_t *e, const unsigned char *in,
                     size_t len, char *out)
{
    char group[3], *p = out;
    size_t whole, taken;

    if (e->n + len < 3) {
        if (len != 0) {
            memcpy(e->held + e->n, in, len);
        }
        e->n = (uint8_t) (e->n + len);
        return 0;
    }
    if (e->n != 0) {
        taken = 3u - e->n;
        memcpy(group, e->held, e->n);
        memcpy(group + e->n, in, taken);
        p += veil_base64_encode(p, veil_str_n(group, 3));
        in += taken;
        len -= taken;
    }
    whole = len / 3 * 3;
    p += veil_base64_encode(p, veil_str_n((const char *) in, whole));
    e->n = (uint8_t) (len - whole);
    if (e->n != 0) {
        memcpy(e->held, in + whole, e->n);
    }
    return (size_t) (p - out);
}

size_t
veil_grpc_web_encode_end(veil_grpc_web_encoder_t *e, char *out)
{
    size_t n = e->n;

    e->n = 0;
    return n == 0 ? 0
                  : veil_base64_encode(out,
                                       veil_str_n((const char *) e->held, n));
}
