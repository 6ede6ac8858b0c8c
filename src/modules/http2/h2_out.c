/*
 * h2_out.c -- the bytes of a connection's next write.
 *
 * One buffer takes what the library has to send until it is full, goes to the
 * connection, and is filled again when that is over.  The library's frames are
 * copied there.  DATA frames are made in place: h2_write.c takes a body to
 * where its bytes belong, and the head is put before them.  The alternative,
 * to write heads and bodies from where they lie, would save that copy as well,
 * but one of 16 KiB into memory that was just sent costs little beside the
 * kernel's, and bodies need not last until a write is over.
 *
 * The buffer is small at first and grows with a client that takes it at once:
 * fewer and larger writes make 1 MB a sixth cheaper.  One that a client was
 * slow to take is given back, so that a slow client holds little.  An idle
 * connection has none.
 *
 * The library makes frames in a buffer of 16 KiB that each session allocates
 * first thing and keeps.  What is in it matters only until the frame is
 * fetched, inside of veil_h2_out_fill(), so all sessions of a worker get the
 * same one: that is a third of what an idle connection costs.  Frames of
 * several pieces get further ones, which are the session's own.  A debug build
 * spoils the buffer each time, so that tests see if that ever changes.
 */

#include "modules/http2/h2.h"

/* Frames of the size that the library makes: at first, and at most. */
#define H2_OUT_FRAME (16384 + H2_FRAME_HEAD)
#define H2_OUT_MIN (2 * H2_OUT_FRAME)
#define H2_OUT_MAX (8 * H2_OUT_FRAME)
/* How long a write takes that was taken at once, and one that was not. */
#define H2_OUT_FAST_MS 50
#define H2_OUT_SLOW_MS 500

/* What a session's first buffer may have; larger ones are its own. */
#define H2_OUT_SHARED (16384 + 256)
#define H2_OUT_SHARED_LEAST 16384

static unsigned char h2_out_shared[H2_OUT_SHARED];
static bool h2_out_starting; /* a session is being made */

/* Bytes of one write. */
static size_t
h2_out_max(const veil_h2_t *h2)
{
    return veil_max_size(h2->out_max, H2_OUT_MIN);
}

/* Room for len more bytes; what is there may go beyond h2_out_max(). */
static unsigned char *
h2_out_reserve(veil_h2_t *h2, size_t len)
{
    if (h2->out_len + len > h2->out_cap) {
        h2->out_cap = veil_max_size(h2->out_len + len, h2_out_max(h2));
        h2->out = veil_realloc(h2->out, h2->out_cap);
    }
    return h2->out + h2->out_len;
}

unsigned char *
veil_h2_out_room(veil_h2_t *h2, size_t len)
{
    if (h2->out_len != 0 && h2->out_len + len > h2_out_max(h2)) {
        return NULL;
    }
    return h2_out_reserve(h2, len);
}

int
veil_h2_out_data(nghttp2_session *session, nghttp2_frame *frame,
                 const uint8_t *head, size_t len, nghttp2_data_source *source,
                 void *data)
{
    veil_h2_t *h2 = data;

    (void) session;
    (void) source;
    VEIL_ASSERT(frame->data.padlen == 0);
    VEIL_ASSERT(h2->out_len + H2_FRAME_HEAD + len <= h2->out_cap);
    memcpy(h2->out + h2->out_len, head, H2_FRAME_HEAD);
    h2->out_len += H2_FRAME_HEAD + len;
    return 0;
}

/* --- the library's memory --------------------------------------------------
 */

static void *
h2_out_malloc(size_t size, void *user)
{
    (void) user;
    return veil_alloc(size);
}

static void *
h2_out_calloc(size_t n, size_t size, void *user)
{
    (void) user;
    VEIL_ASSERT(size == 0 || n <= SIZE_MAX / size);
    return veil_zalloc(n * size);
}

static void *
h2_out_realloc(void *old, size_t size, void *user)
{
    void *p;

    (void) user;
    if (old == NULL && h2_out_starting && size >= H2_OUT_SHARED_LEAST
        && size <= H2_OUT_SHARED)
    {
        h2_out_starting = false;
        return h2_out_shared;
    }
    if (old != h2_out_shared) {
        return veil_realloc(old, size);
    }
    p = veil_alloc(size);
    memcpy(p, old, veil_min_size(size, H2_OUT_SHARED));
    return p;
}

static void
h2_out_free(void *p, void *user)
{
    (void) user;
    if (p != h2_out_shared) {
        veil_free(p);
    }
}

nghttp2_session *
veil_h2_out_session(veil_h2_t *h2, const nghttp2_session_callbacks *callbacks,
                    const nghttp2_option *option)
{
    nghttp2_mem mem = { .malloc = h2_out_malloc,
                        .free = h2_out_free,
                        .calloc = h2_out_calloc,
                        .realloc = h2_out_realloc };
    nghttp2_session *session;

    h2_out_starting = true;
    if (nghttp2_session_server_new3(&session, callbacks, h2, option, &mem)
        != 0) {
        veil_panic("out of memory");
    }
    h2_out_starting = false;
    return session;
}

/* --- a write ---------------------------------------------------------------
 */

static bool
h2_out_fill(veil_h2_t *h2)
{
    const uint8_t *data;
    ssize_t n;

    h2->out_ms = veil_now_ms();
    while (h2->out_len < h2_out_max(h2)) {
        n = nghttp2_session_mem_send(h2->session, &data);
        if (veil_h2_guard_is_broken(&h2->guard)) {
            return true;
        }
        if (n < 0) {
            veil_log(&h2->hc->c.log, VEIL_LOG_ERR, 0,
                     "nghttp2_session_mem_send() failed: %s",
                     nghttp2_strerror((int) n));
            return false;
        }
        if (n == 0) {
            /* Nothing more, or no more room for a body. */
            h2->windows_set = false;
            break;
        }
        memcpy(h2_out_reserve(h2, (size_t) n), data, (size_t) n);
        h2->out_len += (size_t) n;
    }
    return true;
}

bool
veil_h2_out_fill(veil_h2_t *h2)
{
    bool well = h2_out_fill(h2);

#if VEIL_DEBUG
    memset(h2_out_shared, 0xdb, sizeof(h2_out_shared));
#endif
    return well;
}

void
veil_h2_out_written(veil_h2_t *h2)
{
    uint64_t took = veil_now_ms() - h2->out_ms;

    if (took >= H2_OUT_SLOW_MS) {
        veil_h2_out_free(h2);
        h2->out_max = H2_OUT_MIN;
    } else if (took <= H2_OUT_FAST_MS
               && h2->out_len + H2_OUT_FRAME > h2_out_max(h2))
    {
        h2->out_max = veil_min_size(2 * h2_out_max(h2), H2_OUT_MAX);
    }
    h2->out_len = 0;
}

void
veil_h2_out_free(veil_h2_t *h2)
{
    veil_free(h2->out);
    h2->out = NULL;
    h2->out_cap = 0;
}
