/*
 * grpc_web_text.h -- the base64 of application/grpc-web-text, as it comes.
 *
 * Text is groups of four characters.  Whoever writes it may end what he has
 * with padding wherever he likes and go on with a new group, so padding means
 * the end of a piece and not of the text (PROTOCOL-WEB.md of gRPC).
 */

#ifndef VEIL_MODULES_GRPC_WEB_TEXT_H
#define VEIL_MODULES_GRPC_WEB_TEXT_H

#include "core/platform.h"

/* Decoding; zeroed is the beginning. */
typedef struct {
    uint32_t bits;  /* of the group so far */
    uint8_t n;      /* characters of it, 0 to 3 */
    uint8_t padded; /* of these, "=" */
    bool bad;       /* nothing more is taken */
} veil_grpc_web_decoder_t;

/*
 * Decodes len characters into out, which has room for 3 bytes for each 4 of
 * them and 3 more.  Returns the bytes written, or -1: that was not base64 of
 * the standard alphabet (RFC 4648, 4), and never will be.  Padding in the
 * wrong place and bits that padding leaves over are mistakes as well.
 */
ptrdiff_t veil_grpc_web_decode(veil_grpc_web_decoder_t *d,
                               const unsigned char *in, size_t len,
                               unsigned char *out);

/* Whether the text may end here: no group is begun, and nothing was wrong. */
bool veil_grpc_web_decoder_may_end(const veil_grpc_web_decoder_t *d);

/* Encoding; zeroed is the beginning. */
typedef struct {
    unsigned char held[2]; /* bytes that do not make a group yet */
    uint8_t n;
} veil_grpc_web_encoder_t;

/*
 * Encodes len bytes, with what was held before, into out, which has room for
 * VEIL_GRPC_WEB_ENCODED(len); up to two bytes are held.  Returns the
 * characters written.
 */
#define VEIL_GRPC_WEB_ENCODED(len) (((len) + 2) / 3 * 4)
size_t veil_grpc_web_encode(veil_grpc_web_encoder_t *e,
                            const unsigned char *in, size_t len, char *out);

/* Writes what is held, padded: 0 or 4 characters. */
size_t veil_grpc_web_encode_end(veil_grpc_web_encoder_t *e, char *out);

#endif
