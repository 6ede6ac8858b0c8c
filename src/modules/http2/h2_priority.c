/*
 * h2_priority.c -- priorities (RFC 9218) beyond the request's own field.
 *
 * The library reads the field "priority" of a request and orders DATA by it.
 * PRIORITY_UPDATE frames are read here: the library (1.52) keeps a stream that
 * such a frame has named before it began in a list it is never taken from,
 * and frees it twice.  What is said of streams that are to come is kept until
 * they do, of the latest ones; the request's field is older then, so the
 * frame wins.
 *
 * A field "priority" of a response, which its upstream or the configuration
 * gave, is stronger (8): what it says holds from then on, and what it leaves
 * out is the client's.
 */

#include "modules/http2/h2.h"

#include "http/parse/token.h"

#define H2_URGENCY_DEFAULT 3
/* A frame has so much to say; what is longer says nothing. */
#define H2_UPDATE_MAX 128
/* Streams to come that are remembered. */
#define H2_EARLY_MAX 32

typedef struct {
    int32_t id;
    unsigned urgency;
    bool incremental;
} h2_early_t;

struct veil_h2_priority_s {
    uint8_t text[H2_UPDATE_MAX]; /* of the frame that comes */
    size_t len;                  /* of all of it */
    unsigned n;
    h2_early_t early[H2_EARLY_MAX]; /* the oldest first */
};

/* --- what a client says in frames ------------------------------------------
 */

int
veil_h2_priority_chunk(nghttp2_session *session VEIL_UNUSED,
                       const nghttp2_frame_hd *hd VEIL_UNUSED,
                       const uint8_t *data, size_t len, void *user)
{
    veil_h2_t *h2 = user;
    veil_h2_priority_t *p = h2->priority;

    if (p == NULL) {
        p = veil_zalloc(sizeof(*p));
        h2->priority = p;
    }
    if (p->len < sizeof(p->text)) {
        memcpy(p->text + p->len, data,
               veil_min_size(len, sizeof(p->text) - p->len));
    }
    p->len += len;
    return 0;
}

static void
h2_priority_apply(veil_h2_stream_t *s, bool last)
{
    nghttp2_extpri pri = { .urgency = s->urgency, .inc = s->incremental };

    if (!s->closed) {
        (void) nghttp2_session_change_extpri_stream_priority(
            s->h2->session, s->id, &pri, last);
    }
}

static void
h2_priority_forget(veil_h2_priority_t *p, unsigned i)
{
    p->n--;
    memmove(&p->early[i], &p->early[i + 1], (p->n - i) * sizeof(p->early[0]));
}

static void
h2_priority_keep(veil_h2_priority_t *p, int32_t last_id, const h2_early_t *e)
{
    unsigned i = 0;

    while (i < p->n) {
        if (p->early[i].id == e->id || p->early[i].id <= last_id) {
            h2_priority_forget(p, i); /* said anew, or skipped */
        } else {
            i++;
        }
    }
    if (p->n == H2_EARLY_MAX) {
        h2_priority_forget(p, 0);
    }
    p->early[p->n++] = *e;
}

/* The client's latest word, which is not added to what it said before. */
static void
h2_priority_said(veil_h2_stream_t *s, const h2_early_t *e)
{
    s->reprioritized = true;
    if (!s->priority_given) {
        s->urgency = e->urgency;
        s->incremental = e->incremental;
        h2_priority_apply(s, false);
    }
}

static uint32_t
h2_priority_update(veil_h2_t *h2, const nghttp2_frame_hd *hd)
{
    veil_h2_priority_t *p = h2->priority;
    h2_early_t e = { .urgency = H2_URGENCY_DEFAULT };
    veil_h2_stream_t *s;

    if (hd->stream_id != 0) {
        return NGHTTP2_PROTOCOL_ERROR;
    }
    if (p == NULL || p->len < 4) {
        return NGHTTP2_FRAME_SIZE_ERROR;
    }
    e.id = (int32_t) ((p->text[0] & 0x7fu) << 24 | (uint32_t) p->text[1] << 16
                      | (uint32_t) p->text[2] << 8 | p->text[3]);
    if (e.id % 2 == 0) {
        return NGHTTP2_PROTOCOL_ERROR; /* 0, or pushed, which none is */
    }
    if (p->len <= sizeof(p->text)) {
        veil_http_priority_parse(
            veil_str_n((const char *) p->text + 4, p->len - 4), &e.urgency,
            &e.incremental);
    }
    s = nghttp2_session_get_stream_user_data(h2->session, e.id);
    if (s != NULL) {
        h2_priority_said(s, &e);
    } else if (e.id > h2->last_id) {
        h2_priority_keep(p, h2->last_id, &e);
    }
    return NGHTTP2_NO_ERROR;
}

int
veil_h2_priority_unpack(nghttp2_session *session, void **payload,
                        const nghttp2_frame_hd *hd, void *user)
{
    veil_h2_t *h2 = user;
    uint32_t error = h2_priority_update(h2, hd);

    *payload = NULL;
    if (h2->priority != NULL) {
        h2->priority->len = 0;
    }
    if (error != NGHTTP2_NO_ERROR) {
        (void) nghttp2_session_terminate_session(session, error);
    }
    return 0;
}

void
veil_h2_priority_opened(veil_h2_stream_t *s)
{
    veil_h2_priority_t *p = s->h2->priority;
    unsigned i;

    for (i = 0; p != NULL && i < p->n; i++) {
        if (p->early[i].id == s->id) {
            h2_priority_said(s, &p->early[i]);
            h2_priority_forget(p, i);
            return;
        }
    }
}

/* --- what a response says --------------------------------------------------
 */

static veil_str_t
h2_priority_field(const veil_http_headers_t *hs)
{
    const veil_http_header_t *h = NULL;

    while ((h = veil_http_headers_next(hs, h)) != NULL) {
        if (h->name.len == 8 && veil_str_caseeq(h->name, VEIL_STR("priority")))
        {
            return h->value;
        }
    }
    return VEIL_STR_NULL;
}

void
veil_h2_priority_respond(veil_h2_stream_t *s)
{
    veil_str_t field = h2_priority_field(&s->r->out.headers);

    if (field.len == 0) {
        return;
    }
    if (!s->reprioritized) {
        s->urgency = H2_URGENCY_DEFAULT;
        veil_http_priority_parse(h2_priority_field(&s->r->in.headers),
                                 &s->urgency, &s->incremental);
    }
    veil_http_priority_parse(field, &s->urgency, &s->incremental);
    s->priority_given = true;
    h2_priority_apply(s, true);
}
