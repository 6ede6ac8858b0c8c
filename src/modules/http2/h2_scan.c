/*
 * h2_scan.c -- frames that the library lets pass.
 *
 * It takes some frames and says nothing: of types that it does not
 * know, DATA and heads of streams that are no more.  They cost it little, but
 * a client that sends nothing else should not be listened to for ever; and
 * DATA counts here by what it holds beyond its padding, which the library
 * tells only for some.
 *
 * So the heads of all frames are read here too, 9 bytes each, their payload
 * is skipped.  Whatever breaks the framing itself is the library's to find;
 * nothing here depends on it.
 *
 * A block of bytes is read before the library has any of it: what is known of
 * streams is what was there before.  A stream that began or ended within the
 * same block is left alone.
 *
 * The other half are frames that it does report, and should have refused.
 */

#include "modules/http2/h2.h"

/*
 * DATA of fewer bytes than this does no work worth its frame.  An empty
 * message of gRPC has 5 bytes, one of a WebSocket's client 6.
 */
#define SCAN_TINY 5
/* So much of an unknown frame counts as one more. */
#define SCAN_UNKNOWN_BYTES 1024
#define SCAN_PREFACE 24

typedef struct {
    uint32_t len;
    uint8_t type;
    uint8_t flags;
    int32_t id;
    uint32_t padding; /* of DATA, its length byte included */
} h2_scan_frame_t;

void
veil_h2_scan_start(veil_h2_t *h2)
{
    h2->guard.scan.left = SCAN_PREFACE;
}

/* It was there, both sides have ended it, and the library has forgotten. */
static bool
h2_scan_is_closed(const veil_h2_t *h2, int32_t id)
{
    return (id & 1) != 0 && id <= h2->last_id
           && nghttp2_session_find_stream(h2->session, id) == NULL;
}

/*
 * A stream that its client has ended gets no more (RFC 9113, 5.1).  One that
 * we have reset may, as the client does not know yet.
 */
static void
h2_scan_closed(veil_h2_t *h2)
{
    if (!h2->has_reset) {
        (void) nghttp2_session_terminate_session(h2->session,
                                                 NGHTTP2_STREAM_CLOSED);
    }
}

static int
h2_scan_data(veil_h2_t *h2, const h2_scan_frame_t *f)
{
    uint32_t size = f->len > f->padding ? f->len - f->padding : 0;

    if (h2_scan_is_closed(h2, f->id)) {
        h2_scan_closed(h2);
    }
    if ((f->flags & NGHTTP2_FLAG_END_STREAM) != 0 || size >= SCAN_TINY) {
        return 0;
    }
    return veil_h2_guard_count(h2, size == 0 ? H2_GUARD_EMPTY : H2_GUARD_TINY);
}

static int
h2_scan_frame(veil_h2_t *h2, const h2_scan_frame_t *f)
{
    switch (f->type) {
    case NGHTTP2_DATA:
        return h2_scan_data(h2, f);
    case NGHTTP2_HEADERS:
        /* Decoded and thrown away. */
        return h2_scan_is_closed(h2, f->id)
                   ? veil_h2_guard_count(h2, H2_GUARD_REFUSED)
                   : 0;
    case NGHTTP2_CONTINUATION:
        /* The library looks at the size of all others (RFC 9113, 4.2). */
        if (f->len > (uint64_t) h2->conf->max_frame_size) {
            (void) nghttp2_session_terminate_session(h2->session,
                                                     NGHTTP2_FRAME_SIZE_ERROR);
        }
        return 0;
    case NGHTTP2_PRIORITY:
    case NGHTTP2_RST_STREAM:
    case NGHTTP2_SETTINGS:
    case NGHTTP2_PUSH_PROMISE:
    case NGHTTP2_PING:
    case NGHTTP2_WINDOW_UPDATE:
    case NGHTTP2_PRIORITY_UPDATE:
        return 0;
    default:
        return veil_h2_guard_add(h2, H2_GUARD_UNKNOWN,
                                 1 + f->len / SCAN_UNKNOWN_BYTES);
    }
}

/* The head is there, and the byte that says how much padding follows. */
static int
h2_scan_head(veil_h2_t *h2)
{
    h2_scan_t *scan = &h2->guard.scan;
    const uint8_t *p = scan->head;
    h2_scan_frame_t f = {
        .len = (uint32_t) p[0] << 16 | (uint32_t) p[1] << 8 | p[2],
        .type = p[3],
        .flags = p[4],
        .id = (int32_t) ((p[5] & 0x7fu) << 24 | (uint32_t) p[6] << 16
                         | (uint32_t) p[7] << 8 | p[8]),
    };

    if (scan->n == H2_HEAD_LEN && f.type == NGHTTP2_DATA && f.len != 0
        && (f.flags & NGHTTP2_FLAG_PADDED) != 0)
    {
        return 0; /* one more byte */
    }
    scan->left = f.len;
    if (scan->n > H2_HEAD_LEN) {
        f.padding = 1u + p[H2_HEAD_LEN];
        scan->left--;
    }
    scan->n = 0;
    return h2_scan_frame(h2, &f);
}

int
veil_h2_scan(veil_h2_t *h2, const unsigned char *p, size_t len)
{
    h2_scan_t *scan = &h2->guard.scan;
    const unsigned char *end = p + len;
    size_t n;
    int rc = 0;

    while (p < end && rc == 0) {
        if (scan->left != 0) {
            n = veil_min_size(scan->left, (size_t) (end - p));
            scan->left -= (uint32_t) n;
            p += n;
            continue;
        }
        n = scan->n < H2_HEAD_LEN ? (size_t) H2_HEAD_LEN - scan->n : 1;
        n = veil_min_size(n, (size_t) (end - p));
        memcpy(scan->head + scan->n, p, n);
        scan->n += (uint8_t) n;
        p += n;
        if (scan->n >= H2_HEAD_LEN) {
            rc = h2_scan_head(h2);
        }
    }
    return rc;
}

/* --- as the library comes to them -------------------------------------------
 */

/*
 * What the library lets pass: PRIORITY of stream 0 (RFC 9113, 6.3), as it
 * does not look at these any more, and a stream that is older than others,
 * which may be one that we have reset, whose client does not know it yet.
 * Where there was none of those it is an error: the stream is closed (5.1),
 * or was skipped (5.1.1), which cannot be told apart when some were.
 */
void
veil_h2_check_frame(veil_h2_t *h2, const nghttp2_frame_hd *hd)
{
    uint32_t error = NGHTTP2_NO_ERROR;

    if (hd->type == NGHTTP2_PRIORITY && hd->stream_id == 0) {
        error = NGHTTP2_PROTOCOL_ERROR;
    }
    if (hd->type == NGHTTP2_HEADERS && !h2->has_reset
        && hd->stream_id <= h2->last_id
        && nghttp2_session_find_stream(h2->session, hd->stream_id) == NULL)
    {
        error = (hd->stream_id & 1) != 0 && !h2->has_skipped
                    ? NGHTTP2_STREAM_CLOSED
                    : NGHTTP2_PROTOCOL_ERROR;
    }
    if (error != NGHTTP2_NO_ERROR) {
        (void) nghttp2_session_terminate_session(h2->session, error);
    }
}

/* The error ends a stream, or the connection. */
static VEIL_PRINTF(2, 3) void h2_scan_reject(const veil_h2_t *h2,
                                             const char *fmt, ...)
{
    char why[128] = "HTTP/2: ";
    size_t n = strlen(why);
    va_list ap;

    va_start(ap, fmt);
    (void) vsnprintf(why + n, sizeof(why) - n, fmt, ap);
    va_end(ap);
    veil_http_reject(h2->hc, 0, why, VEIL_STR_NULL, NULL);
}

/* It may have been reset for that, or will be. */
int
veil_h2_on_invalid_frame(nghttp2_session *session, const nghttp2_frame *frame,
                         int error, void *data)
{
    veil_h2_t *h2 = data;

    (void) session;
    h2_scan_reject(h2, "%s", nghttp2_strerror(error));
    h2->has_reset = true;
    h2->invalid_id = frame->hd.stream_id;
    h2->invalid = error;
    return 0;
}

static bool
h2_scan_has_window(const nghttp2_settings *settings)
{
    size_t i;

    for (i = 0; i < settings->niv; i++) {
        if (settings->iv[i].settings_id
            == NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE) {
            return true;
        }
    }
    return false;
}

void
veil_h2_check_control(veil_h2_t *h2, const nghttp2_frame *frame)
{
    if (frame->hd.type == NGHTTP2_SETTINGS) {
        if ((frame->hd.flags & NGHTTP2_FLAG_ACK) != 0) {
            veil_h2_guard_settled(h2);
        } else if (h2_scan_has_window(&frame->settings)) {
            h2->windows_set = true;
        }
    }
}

void
veil_h2_check_sent(veil_h2_t *h2, const nghttp2_frame *frame)
{
    if (frame->hd.type == NGHTTP2_GOAWAY
        && frame->goaway.error_code != NGHTTP2_NO_ERROR && h2->invalid == 0)
    {
        h2_scan_reject(h2, "%s %.*s",
                       nghttp2_http2_strerror(frame->goaway.error_code),
                       (int) veil_min_size(frame->goaway.opaque_data_len, 80),
                       (const char *) frame->goaway.opaque_data);
    }
    if (frame->hd.type != NGHTTP2_RST_STREAM) {
        return;
    }
    h2->has_reset = true;
    /* A window that SETTINGS make overflow: the library resets its stream,
       it is to end the connection (RFC 9113, 6.9.2). */
    if (h2->windows_set
        && frame->rst_stream.error_code == NGHTTP2_FLOW_CONTROL_ERROR)
    {
        (void) nghttp2_session_terminate_session(h2->session,
                                                 NGHTTP2_FLOW_CONTROL_ERROR);
    }
}
