/*
 * grpc_web_body.c -- the bodies of a call.
 *
 * A request's is what gRPC has, or that in base64, which is decoded as it is
 * pulled.  A response's is the messages, which pass as they come, and one
 * more frame that holds the trailers, as pages cannot read those of HTTP.
 *
 * Messages in binary are the backend's own slices.  In text they are encoded
 * into a queue; whenever the backend has no more for the moment the text is
 * padded, so that what was sent can be decoded up to its last byte: a stream
 * of messages arrives message by message.  Where more is there at once it
 * goes on without padding.
 *
 * A response that ends without a status is none: gRPC needs one, and lost it
 * may have been on its way (HTTP/1.0, "proxy_pass_trailers off").  The client
 * is told so in the frame, the operator in the log.
 *
 * A frame can follow a message and nothing else, so messages are counted.  A
 * response that breaks off between two ends with a status that says so; one
 * that does in the middle of a message has to look broken.
 */

#include "core/platform.h"

#include "modules/grpc_web/grpc_web.h"
#include "modules/grpc_web/grpc_web_text.h"

#define BODY_SLICES 8
/* Pulled from below in one step, and about as much is queued at a time. */
#define BODY_STEP 12288
/* On the stack, between the bytes and the queue; a multiple of 3 and of 4. */
#define BODY_PIECE 3072

/* Of the frame that holds trailers (PROTOCOL-WEB.md). */
#define BODY_TRAILER_FLAG 0x80
#define BODY_FRAME_HEAD 5

/* --- bodies that are made of others' ---------------------------------------
 */

/* What is made of the bytes below waits in a queue. */
typedef struct {
    veil_http_body_t body;
    veil_chain_t queue;
    size_t outstanding; /* of it: pulled, not consumed */
    bool ended;
    bool aborted;
} grpc_web_made_t;

static grpc_web_made_t *
grpc_web_made(veil_http_body_t *b)
{
    return veil_container_of(b, grpc_web_made_t, body);
}

/* Nothing is left to be pulled. */
static bool
grpc_web_made_is_empty(const grpc_web_made_t *b)
{
    return b->queue.bytes == b->outstanding;
}

/* Slices of the queue that were not pulled yet. */
static unsigned
grpc_web_made_pull(grpc_web_made_t *b, veil_slice_t *v, unsigned room,
                   size_t max)
{
    unsigned i, n = veil_chain_slices(&b->queue, b->outstanding, v, room, max);

    for (i = 0; i < n; i++) {
        b->outstanding += v[i].len;
    }
    return n;
}

static void
grpc_web_made_consume(veil_http_body_t *body, size_t bytes)
{
    grpc_web_made_t *b = grpc_web_made(body);

    if (b->aborted) {
        return;
    }
    VEIL_ASSERT(bytes <= b->outstanding);
    b->outstanding -= bytes;
    veil_chain_consume(&b->queue, bytes);
}

static void
grpc_web_made_free(void *data)
{
    grpc_web_made_t *b = data;

    b->outstanding = 0;
    veil_chain_done(&b->queue);
}

static void
grpc_web_made_abort(veil_http_body_t *body)
{
    grpc_web_made_t *b = grpc_web_made(body);

    b->aborted = true;
    b->ended = true;
    grpc_web_made_free(b);
    veil_http_body_abort(body->below);
}

static void
grpc_web_made_ready(void *reader)
{
    grpc_web_made_t *b = reader;

    veil_http_body_is_ready(&b->body);
}

static void
grpc_web_made_init(grpc_web_made_t *b, veil_pool_t *pool,
                   const veil_http_body_ops_t *ops, veil_http_body_t *below)
{
    b->body.ops = ops;
    b->body.below = below;
    b->body.length = -1;
    b->body.in_memory = true;
    veil_http_body_set_reader(below, grpc_web_made_ready, b);
    veil_pool_on_destroy(pool, grpc_web_made_free, b);
}

/* --- of requests -----------------------------------------------------------
 */

typedef struct {
    grpc_web_made_t made;
    veil_http_request_t *r;
    veil_grpc_web_decoder_t decoder;
} grpc_web_decoding_t;

static grpc_web_decoding_t *
grpc_web_decoding(veil_http_body_t *b)
{
    return veil_container_of(b, grpc_web_decoding_t, made.body);
}

static veil_body_rc_t
grpc_web_body_malformed(grpc_web_decoding_t *b)
{
    b->decoder.bad = true;
    b->made.body.error = 400;
    veil_log(&b->r->log, VEIL_LOG_INFO, 0,
             "client sent a gRPC-Web call whose base64 is malformed");
    return VEIL_BODY_FAILED;
}

static bool
grpc_web_body_decode(grpc_web_decoding_t *b, const veil_slice_t *v)
{
    unsigned char piece[BODY_PIECE + 3];
    const unsigned char *p = v->data;
    size_t len, left = v->len;
    ptrdiff_t n;

    VEIL_ASSERT(v->data != NULL);
    while (left != 0) {
        len = veil_min_size(left, BODY_PIECE / 3 * 4);
        n = veil_grpc_web_decode(&b->decoder, p, len, piece);
        if (n < 0) {
            return false;
        }
        if (n > 0) {
            veil_chain_append_copy(&b->made.queue, piece, (size_t) n);
        }
        p += len;
        left -= len;
    }
    return true;
}

/* Pulls from below until there is something, or nothing for now. */
static veil_body_rc_t
grpc_web_body_fill_decoded(grpc_web_decoding_t *b, size_t max)
{
    veil_slice_t v[BODY_SLICES];
    veil_body_rc_t rc;
    size_t bytes;
    unsigned i, n;
    bool good;

    do {
        n = BODY_SLICES;
        rc = veil_http_body_pull(b->made.body.below, v, &n,
                                 veil_min_size(max, BODY_STEP));
        if (rc == VEIL_BODY_LATER) {
            return rc;
        }
        if (rc == VEIL_BODY_FAILED) {
            b->made.body.error = b->made.body.below->error;
            return rc;
        }
        good = true;
        for (i = 0, bytes = 0; i < n; i++) {
            good = good && grpc_web_body_decode(b, &v[i]);
            bytes += v[i].len;
        }
        if (bytes != 0) {
            veil_http_body_consume(b->made.body.below, bytes);
        }
        if (!good
            || (rc == VEIL_BODY_END
                && !veil_grpc_web_decoder_may_end(&b->decoder)))
        {
            return grpc_web_body_malformed(b);
        }
        b->made.ended = rc == VEIL_BODY_END;
    } while (!b->made.ended && grpc_web_made_is_empty(&b->made));
    return rc;
}

static veil_body_rc_t
grpc_web_decoding_pull(veil_http_body_t *body, veil_slice_t *v, unsigned *n,
                       size_t max)
{
    grpc_web_decoding_t *b = grpc_web_decoding(body);
    veil_body_rc_t rc;
    unsigned room = *n;

    *n = 0;
    if (b->decoder.bad) {
        return VEIL_BODY_FAILED;
    }
    if (!b->made.ended && grpc_web_made_is_empty(&b->made)) {
        rc = grpc_web_body_fill_decoded(b, max);
        if (rc == VEIL_BODY_LATER || rc == VEIL_BODY_FAILED) {
            return rc;
        }
    }
    *n = grpc_web_made_pull(&b->made, v, room, max);
    return b->made.ended && grpc_web_made_is_empty(&b->made) ? VEIL_BODY_END
                                                             : VEIL_BODY_DATA;
}

static const veil_http_body_ops_t grpc_web_decoding_ops = {
    .name = "grpc-web-text request",
    .pull = grpc_web_decoding_pull,
    .consume = grpc_web_made_consume,
    .abort = grpc_web_made_abort,
};

veil_http_body_t *
veil_grpc_web_decode_body(veil_http_request_t *r, veil_http_body_t *below)
{
    grpc_web_decoding_t *b = VEIL_POOL_NEW(r->pool, grpc_web_decoding_t);

    grpc_web_made_init(&b->made, r->pool, &grpc_web_decoding_ops, below);
    b->r = r;
    return &b->made.body;
}

/* --- the frame of trailers -------------------------------------------------
 */

/* Lower case; what cannot stand in a line of ASCII is percent-encoded. */
static char *
grpc_web_body_line(char *p, veil_str_t name, veil_str_t value)
{
    static const char hex[] = "0123456789ABCDEF";
    unsigned char c;
    size_t i;

    veil_str_lower(p, name.data, name.len);
    p = veil_fmt_str(p + name.len, VEIL_STR(": "));
    for (i = 0; i < value.len; i++) {
        c = (unsigned char) value.data[i];
        if (c >= 0x20 && c <= 0x7e) {
            *p++ = (char) c;
        } else {
            *p++ = '%';
            *p++ = hex[c >> 4];
            *p++ = hex[c & 15];
        }
    }
    return veil_fmt_str(p, VEIL_STR("\r\n"));
}

static bool
grpc_web_body_has_status(const veil_http_headers_t *hs)
{
    return hs != NULL
           && veil_http_headers_find(hs, VEIL_STR("grpc-status"), NULL)
                  != NULL;
}

static veil_str_t
grpc_web_body_frame(veil_pool_t *pool, const veil_http_headers_t *trailers)
{
    const veil_http_header_t *h = NULL;
    size_t size = BODY_FRAME_HEAD;
    char *text, *p;
    uint32_t len;

    while ((h = veil_http_headers_next(trailers, h)) != NULL) {
        size += h->name.len + 3 * h->value.len + 4;
    }
    text = veil_pool_chars(pool, size);
    p = text + BODY_FRAME_HEAD;
    while ((h = veil_http_headers_next(trailers, h)) != NULL) {
        p = grpc_web_body_line(p, h->name, h->value);
    }
    len = (uint32_t) (p - text) - BODY_FRAME_HEAD;
    text[0] = (char) BODY_TRAILER_FLAG;
    text[1] = (char) (len >> 24);
    text[2] = (char) (len >> 16);
    text[3] = (char) (len >> 8);
    text[4] = (char) len;
    return veil_str_n(text, (size_t) (p - text));
}

/* --- of responses, in binary -----------------------------------------------
 */

typedef struct {
    veil_http_body_t body;
    veil_http_request_t *r;
    const grpc_web_call_t *call;
    veil_str_t frame;  /* what was not pulled of it */
    size_t passed;     /* bytes of below that were pulled, not consumed */
    uint32_t left;     /* of the message that is passing */
    unsigned head_len; /* bytes seen of the next one's head */
    bool ended;        /* below has, and there is a frame */
} grpc_web_framing_t;

static grpc_web_framing_t *
grpc_web_framing(veil_http_body_t *b)
{
    return veil_container_of(b, grpc_web_framing_t, body);
}

/* Counts messages: a byte of flags, four of length, and that many. */
static void
grpc_web_framing_count(grpc_web_framing_t *b, const veil_slice_t *v)
{
    const unsigned char *p = v->data, *end = p + v->len;
    size_t n;

    VEIL_ASSERT(p != NULL);
    while (p < end) {
        if (b->head_len == 0 && b->left != 0) {
            n = veil_min_size(b->left, (size_t) (end - p));
            b->left -= (uint32_t) n;
            p += n;
            continue;
        }
        b->left = b->head_len == 0 ? 0 : b->left << 8 | *p;
        b->head_len = (b->head_len + 1) % BODY_FRAME_HEAD;
        p++;
    }
}

static bool
grpc_web_framing_between(const grpc_web_framing_t *b)
{
    return b->left == 0 && b->head_len == 0;
}

/* A status of ours, in the place of the backend's. */
static void
grpc_web_framing_add(grpc_web_framing_t *b, veil_grpc_status_t status,
                     veil_str_t message)
{
    veil_http_body_t *below = b->body.below;

    if (below->trailers == NULL) {
        below->trailers = VEIL_POOL_NEW(b->r->pool, veil_http_headers_t);
        veil_http_headers_init(below->trailers, b->r->pool, 2);
    }
    veil_http_headers_set(below->trailers, VEIL_STR("grpc-status"),
                          veil_pool_printf(b->r->pool, "%d", (int) status));
    veil_http_headers_set(below->trailers, VEIL_STR("grpc-message"), message);
}

/* The last message has passed, or should have: what follows it. */
static veil_body_rc_t
grpc_web_framing_end(grpc_web_framing_t *b, veil_body_rc_t rc)
{
    veil_http_body_t *below = b->body.below;

    b->body.error = rc == VEIL_BODY_FAILED ? below->error : 502;
    if (!grpc_web_framing_between(b)) {
        veil_log(&b->r->log, VEIL_LOG_ERR, 0,
                 "the response to a gRPC-Web call ended in the middle of a "
                 "message");
        return VEIL_BODY_FAILED;
    }
    if (rc == VEIL_BODY_FAILED) {
        grpc_web_framing_add(
            b, veil_grpc_status_of(below->error != 0 ? below->error : 502),
            VEIL_STR("the response broke off"));
    } else if (!b->call->told && !grpc_web_body_has_status(below->trailers)) {
        veil_log(&b->r->log, VEIL_LOG_ERR, 0,
                 "the response to a gRPC-Web call ended without a "
                 "\"grpc-status\"");
        grpc_web_framing_add(b, VEIL_GRPC_UNKNOWN, VEIL_GRPC_WEB_LOST);
    }
    b->ended = true;
    if (below->trailers != NULL) {
        b->frame = grpc_web_body_frame(b->r->pool, below->trailers);
    }
    return VEIL_BODY_END;
}

/* Messages as they are; at their end the frame is made. */
static veil_body_rc_t
grpc_web_framing_pass(grpc_web_framing_t *b, veil_slice_t *v, unsigned *n,
                      size_t *max)
{
    veil_http_body_t *below = b->body.below;
    veil_body_rc_t rc = veil_http_body_pull(below, v, n, *max);
    unsigned i;

    if (rc == VEIL_BODY_FAILED) {
        *n = 0;
    }
    for (i = 0; i < *n; i++) {
        grpc_web_framing_count(b, &v[i]);
        b->passed += v[i].len;
        *max -= v[i].len;
    }
    if (rc == VEIL_BODY_LATER) {
        b->body.flush = below->flush;
    } else if (rc != VEIL_BODY_DATA) {
        rc = grpc_web_framing_end(b, rc);
    }
    return rc;
}

static veil_body_rc_t
grpc_web_framing_pull(veil_http_body_t *body, veil_slice_t *v, unsigned *n,
                      size_t max)
{
    grpc_web_framing_t *b = grpc_web_framing(body);
    unsigned room = *n;
    veil_body_rc_t rc;
    size_t len;

    *n = 0;
    if (!b->ended) {
        *n = room;
        rc = grpc_web_framing_pass(b, v, n, &max);
        if (rc != VEIL_BODY_END) {
            return rc;
        }
    }
    len = veil_min_size(b->frame.len, max);
    if (len != 0 && *n < room) {
        v[(*n)++] = veil_slice_mem(b->frame.data, len);
        b->frame = veil_str_from(b->frame, len);
    }
    return b->frame.len == 0 ? VEIL_BODY_END : VEIL_BODY_DATA;
}

static void
grpc_web_framing_consume(veil_http_body_t *body, size_t bytes)
{
    grpc_web_framing_t *b = grpc_web_framing(body);
    size_t n = veil_min_size(bytes, b->passed);

    if (n != 0) {
        b->passed -= n;
        veil_http_body_consume(body->below, n);
    }
}

static void
grpc_web_framing_abort(veil_http_body_t *body)
{
    veil_http_body_abort(body->below);
}

static const veil_http_body_ops_t grpc_web_framing_ops = {
    .name = "grpc-web response",
    .pull = grpc_web_framing_pull,
    .consume = grpc_web_framing_consume,
    .abort = grpc_web_framing_abort,
};

static void
grpc_web_framing_ready(void *reader)
{
    grpc_web_framing_t *b = reader;

    veil_http_body_is_ready(&b->body);
}

static veil_http_body_t *
grpc_web_framing_create(veil_http_request_t *r, const grpc_web_call_t *call,
                        veil_http_body_t *below)
{
    grpc_web_framing_t *b = VEIL_POOL_NEW(r->pool, grpc_web_framing_t);

    b->body.ops = &grpc_web_framing_ops;
    b->body.below = below;
    b->body.length = -1;
    b->body.window = below->window;
    b->body.flush = below->flush;
    b->body.in_memory = true;
    b->r = r;
    b->call = call;
    veil_http_body_set_reader(below, grpc_web_framing_ready, b);
    return &b->body;
}

/* --- of responses, in text -------------------------------------------------
 */

typedef struct {
    grpc_web_made_t made; /* of a binary one */
    veil_grpc_web_encoder_t encoder;
    bool failed;
} grpc_web_encoding_t;

static grpc_web_encoding_t *
grpc_web_encoding(veil_http_body_t *b)
{
    return veil_container_of(b, grpc_web_encoding_t, made.body);
}

static void
grpc_web_body_encode(grpc_web_encoding_t *b, const veil_slice_t *v)
{
    char piece[VEIL_GRPC_WEB_ENCODED(BODY_PIECE)];
    const unsigned char *p = v->data;
    size_t len, n, left = v->len;

    VEIL_ASSERT(v->data != NULL);
    while (left != 0) {
        len = veil_min_size(left, BODY_PIECE);
        n = veil_grpc_web_encode(&b->encoder, p, len, piece);
        if (n != 0) {
            veil_chain_append_copy(&b->made.queue, piece, n);
        }
        p += len;
        left -= len;
    }
}

static void
grpc_web_body_pad(grpc_web_encoding_t *b)
{
    char piece[4];
    size_t n = veil_grpc_web_encode_end(&b->encoder, piece);

    if (n != 0) {
        veil_chain_append_copy(&b->made.queue, piece, n);
    }
}

/* Queues what is there, and pads it when that is all for the moment. */
static veil_body_rc_t
grpc_web_body_fill_encoded(grpc_web_encoding_t *b)
{
    veil_slice_t v[BODY_SLICES];
    veil_body_rc_t rc;
    size_t bytes;
    unsigned i, n;

    do {
        n = BODY_SLICES;
        rc = veil_http_body_pull(b->made.body.below, v, &n, BODY_STEP);
        for (i = 0, bytes = 0; i < n; i++) {
            grpc_web_body_encode(b, &v[i]);
            bytes += v[i].len;
        }
        if (bytes != 0) {
            veil_http_body_consume(b->made.body.below, bytes);
        }
    } while (rc == VEIL_BODY_DATA
             && b->made.queue.bytes - b->made.outstanding < BODY_STEP);

    if (rc != VEIL_BODY_DATA) {
        grpc_web_body_pad(b);
    }
    b->made.ended = rc == VEIL_BODY_END;
    if (rc == VEIL_BODY_FAILED) {
        b->failed = true;
        b->made.body.error = b->made.body.below->error;
    }
    return rc;
}

static veil_body_rc_t
grpc_web_encoding_pull(veil_http_body_t *body, veil_slice_t *v, unsigned *n,
                       size_t max)
{
    grpc_web_encoding_t *b = grpc_web_encoding(body);
    veil_body_rc_t rc = VEIL_BODY_FAILED;

    if (!b->made.ended && !b->failed && grpc_web_made_is_empty(&b->made)) {
        rc = grpc_web_body_fill_encoded(b);
    }
    *n = grpc_web_made_pull(&b->made, v, *n, max);
    if (b->made.ended && grpc_web_made_is_empty(&b->made)) {
        return VEIL_BODY_END;
    }
    /* A backend that says LATER or FAILED behind its bytes is asked again. */
    return *n != 0 ? VEIL_BODY_DATA : rc;
}

static const veil_http_body_ops_t grpc_web_encoding_ops = {
    .name = "grpc-web-text response",
    .pull = grpc_web_encoding_pull,
    .consume = grpc_web_made_consume,
    .abort = grpc_web_made_abort,
};

veil_http_body_t *
veil_grpc_web_encode_body(veil_http_request_t *r, const grpc_web_call_t *call,
                          veil_http_body_t *below)
{
    veil_http_body_t *framed;
    grpc_web_encoding_t *b;

    /* What a buffer has put into a file must be looked at, too. */
    below = veil_http_body_to_memory(r->pool, r->loop, below, 0);
    framed = grpc_web_framing_create(r, call, below);
    if (!call->text_back) {
        return framed;
    }
    b = VEIL_POOL_NEW(r->pool, grpc_web_encoding_t);
    grpc_web_made_init(&b->made, r->pool, &grpc_web_encoding_ops, framed);
    return &b->made.body;
}
