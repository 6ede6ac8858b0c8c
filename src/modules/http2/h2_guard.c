/*
 * h2_guard.c -- what an HTTP/2 client may make us do, and how much of it.
 *
 * Nearly every frame of HTTP/2 costs its sender less than us: a reset throws
 * away work that was begun (CVE-2023-44487), an error in a stream makes us
 * reset it ourselves (CVE-2025-8671), a PING or SETTINGS wants an answer, a
 * head can be a million CONTINUATIONs or unpack to a thousand times its size,
 * a window that stays shut holds what waits behind it.  Each of these has a
 * counter for the connection and a limit.  One that is passed ends the
 * connection, with GOAWAY, ENHANCE_YOUR_CALM, and a line in the log.
 *
 * Most limits are of a second, as floods are fast and a life may be long.
 * Seconds are those of the clock, not a sliding window: twice the limit may
 * pass around a tick, which harms nobody.  An honest client resets, opens
 * windows and pings more when more is going on, so responses and DATA frames
 * that were sent in the same second raise those limits.
 *
 * When a limit is passed the callback fails, so that the library stops in the
 * middle of what it had; a session that failed so neither reads nor sends
 * again, and the GOAWAY is written by hand.  What was queued goes with it.
 *
 * The library's own limits are set beyond ours where both count the same, as
 * its do not know what is going on; they remain where it sees more than we.
 *
 * What does not move is looked for by a timer, a few times within the timeout
 * it is about, and only while there are requests.
 *
 * Frames are counted as the library begins them, when what came before is
 * dealt with; those that it skips without a word are seen by h2_scan.c.
 */

#include <arpa/inet.h>

#include "core/metric.h"
#include "modules/http2/h2.h"

/* SETTINGS in one frame; there are seven that mean anything. */
#define GUARD_SETTINGS_ENTRIES 32
/* Of the library: acknowledgements that wait for a client that reads none. */
#define GUARD_ACKS 1000
/* Frames that wait, and how many more for each stream a client may have. */
#define GUARD_QUEUE 1000
#define GUARD_QUEUE_STREAM 4
/* Beyond those that a head within its limit fills. */
#define GUARD_CONTINUATIONS 8
#define GUARD_FRAME 16384
/* A head that is so many times too large ends the connection. */
#define GUARD_HEAD_TIMES 4
/* Looks of the timer: within a timeout; not more often, not less. */
#define GUARD_LOOKS 4
#define GUARD_PERIOD_MIN_MS 100
#define GUARD_PERIOD_MAX_MS 5000
/* What a client has to read its end; then it is cut off. */
#define GUARD_GOODBYE_MS 2000

/* What raises a limit. */
enum { GUARD_FIXED, GUARD_BY_ANSWERS, GUARD_BY_DATA, GUARD_BY_REQUESTS };

static const struct {
    const char *name;
    const char *text; /* "client sent N ..." */
    const char *directive;
    unsigned def;
    uint8_t raised;
} h2_guards[H2_GUARDS] = {
    [H2_GUARD_RESETS] = { "resets", "resets within a second",
                          "http2_reset_rate", 500, GUARD_BY_ANSWERS },
    [H2_GUARD_EARLY_RESETS] = { "early resets",
                                "resets within a second of requests that had "
                                "no response yet",
                                "http2_early_reset_rate", 300,
                                GUARD_BY_ANSWERS },
    [H2_GUARD_REFUSED] = { "refused heads",
                           "requests within a second that were refused",
                           "http2_refused_rate", 500, GUARD_FIXED },
    [H2_GUARD_PINGS] = { "pings", "PINGs within a second", "http2_ping_rate",
                         100, GUARD_BY_DATA },
    [H2_GUARD_SETTINGS] = { "settings", "SETTINGS within a second",
                            "http2_settings_rate", 20, GUARD_FIXED },
    [H2_GUARD_PRIORITY] = { "priorities",
                            "PRIORITYs and PRIORITY_UPDATEs within a second",
                            "http2_priority_rate", 1000, GUARD_FIXED },
    [H2_GUARD_WINDOW] = { "window updates", "WINDOW_UPDATEs within a second",
                          "http2_window_update_rate", 2000, GUARD_BY_DATA },
    [H2_GUARD_EMPTY] = { "empty data", "empty DATA frames within a second",
                         "http2_empty_data_rate", 200, GUARD_FIXED },
    [H2_GUARD_TINY] = { "tiny data",
                        "DATA frames within a second of fewer than 5 bytes",
                        "http2_tiny_data_rate", 1000, GUARD_FIXED },
    [H2_GUARD_UNKNOWN] = { "unknown frames",
                           "frames of unknown types or GOAWAY, or KBs of "
                           "them, within a second",
                           "http2_unknown_frame_rate", 1000, GUARD_FIXED },
    [H2_GUARD_RESETS_EVER] = { "resets in all",
                               "resets since it has connected",
                               "http2_max_resets", 2000, GUARD_BY_REQUESTS },
    [H2_GUARD_ERRORS_EVER] = { "stream errors",
                               "frames since it has connected that made us "
                               "reset a stream",
                               "http2_max_stream_errors", 200, GUARD_FIXED },
    [H2_GUARD_CONTINUATION] = { .name = "continuations" },
    [H2_GUARD_HEAD] = { .name = "large heads" },
    [H2_GUARD_SLOW_HEAD] = { .name = "slow heads" },
    [H2_GUARD_STALL] = { .name = "stalls" },
    [H2_GUARD_QUEUE] = { .name = "unread answers" },
    [H2_GUARD_UNSETTLED] = { .name = "unacknowledged settings" },
};

veil_h2_guard_counts_t veil_h2_guard_counts;

#define GUARD_METRIC "veil_http2_guard_closed_total"
#define GUARD_METRIC_KIND(reason)                                             \
    VEIL_COUNTER(GUARD_METRIC, "reason=\"" reason "\"",                       \
                 "HTTP/2 connections that were ended for what the client "    \
                 "did.")

static veil_metric_t h2_guard_metrics[] = {
    [H2_GUARD_RESETS] = GUARD_METRIC_KIND("resets"),
    [H2_GUARD_EARLY_RESETS] = GUARD_METRIC_KIND("early_resets"),
    [H2_GUARD_REFUSED] = GUARD_METRIC_KIND("refused_heads"),
    [H2_GUARD_PINGS] = GUARD_METRIC_KIND("pings"),
    [H2_GUARD_SETTINGS] = GUARD_METRIC_KIND("settings"),
    [H2_GUARD_PRIORITY] = GUARD_METRIC_KIND("priorities"),
    [H2_GUARD_WINDOW] = GUARD_METRIC_KIND("window_updates"),
    [H2_GUARD_EMPTY] = GUARD_METRIC_KIND("empty_data"),
    [H2_GUARD_TINY] = GUARD_METRIC_KIND("tiny_data"),
    [H2_GUARD_UNKNOWN] = GUARD_METRIC_KIND("unknown_frames"),
    [H2_GUARD_RESETS_EVER] = GUARD_METRIC_KIND("resets_in_all"),
    [H2_GUARD_ERRORS_EVER] = GUARD_METRIC_KIND("stream_errors"),
    [H2_GUARD_CONTINUATION] = GUARD_METRIC_KIND("continuations"),
    [H2_GUARD_HEAD] = GUARD_METRIC_KIND("large_heads"),
    [H2_GUARD_SLOW_HEAD] = GUARD_METRIC_KIND("slow_heads"),
    [H2_GUARD_STALL] = GUARD_METRIC_KIND("stalls"),
    [H2_GUARD_QUEUE] = GUARD_METRIC_KIND("unread_answers"),
    [H2_GUARD_UNSETTLED] = GUARD_METRIC_KIND("unacknowledged_settings"),
    [H2_GUARDS] = VEIL_COUNTER(
        "veil_http2_guard_stalled_streams_total", NULL,
        "HTTP/2 streams that were reset as their windows stayed shut."),
};
VEIL_METRICS(h2_guard_metrics);

static veil_timer_fn h2_guard_look;

const char *
veil_h2_guard_name(h2_guard_kind_t kind)
{
    return h2_guards[kind].name;
}

void
veil_h2_guard_default(int64_t limits[H2_GUARD_COUNTED])
{
    unsigned i;

    for (i = 0; i < H2_GUARD_COUNTED; i++) {
        limits[i] = h2_guards[i].def;
    }
}

void
veil_h2_guard_report(const veil_log_t *log)
{
    unsigned i;

    for (i = 0; i < H2_GUARDS; i++) {
        if (veil_h2_guard_counts.breaches[i] != 0) {
            veil_log(log, VEIL_LOG_INFO, 0,
                     "http2: connections that were ended for %s: %llu",
                     h2_guards[i].name,
                     (unsigned long long) veil_h2_guard_counts.breaches[i]);
        }
    }
    if (veil_h2_guard_counts.stalled_streams != 0) {
        veil_log(
            log, VEIL_LOG_INFO, 0,
            "http2: streams that were reset as their windows were shut: %llu",
            (unsigned long long) veil_h2_guard_counts.stalled_streams);
    }
}

/* --- limits ----------------------------------------------------------------
 */

/* The caller has logged why. */
static int
h2_guard_break(veil_h2_t *h2, h2_guard_kind_t kind)
{
    char why[64];

    h2->guard.breach = (uint8_t) (kind + 1);
    veil_h2_guard_counts.breaches[kind]++;
    (void) veil_snprintf(why, sizeof(why), "HTTP/2 beyond a limit: %s",
                         h2_guards[kind].name);
    veil_http_reject(h2->hc, 0, why, VEIL_STR_NULL, NULL);
    veil_metric_inc(&h2_guard_metrics[kind]);
    veil_conn_read_timeout(&h2->hc->c, GUARD_GOODBYE_MS);
    veil_h2_wake(h2);
    return NGHTTP2_ERR_CALLBACK_FAILURE;
}

static uint64_t
h2_guard_limit(const veil_h2_t *h2, h2_guard_kind_t kind)
{
    const h2_guard_t *g = &h2->guard;
    uint64_t limit = (uint64_t) h2->conf->guard[kind];

    switch (h2_guards[kind].raised) {
    case GUARD_BY_ANSWERS:
        return limit + g->answered / 4;
    case GUARD_BY_DATA:
        /* Some clients answer each frame, for its stream and for all, and
           perhaps when another second has begun. */
        return limit + 2 * ((uint64_t) g->data + g->data_before);
    case GUARD_BY_REQUESTS:
        return limit + h2->hc->nrequests / 4;
    default:
        return limit;
    }
}

static void
h2_guard_tick(h2_guard_t *g)
{
    uint64_t second = veil_now_ms() / 1000;

    if (g->second != second) {
        /* Of the latest second in which anything was counted: a client that
           was stopped answers when it goes on. */
        g->data_before = g->data;
        g->second = second;
        g->answered = 0;
        g->data = 0;
        memset(g->n, 0, H2_GUARD_RATES * sizeof(g->n[0]));
    }
}

int
veil_h2_guard_count(veil_h2_t *h2, h2_guard_kind_t kind)
{
    return veil_h2_guard_add(h2, kind, 1);
}

int
veil_h2_guard_add(veil_h2_t *h2, h2_guard_kind_t kind, unsigned n)
{
    h2_guard_t *g = &h2->guard;
    uint64_t limit;

    if (g->breach != 0) {
        return NGHTTP2_ERR_CALLBACK_FAILURE;
    }
    h2_guard_tick(g);
    g->n[kind] += n;
    limit = h2_guard_limit(h2, kind);
    if (h2->conf->guard[kind] == 0 || g->n[kind] <= limit) {
        return 0;
    }
    veil_log(&h2->hc->c.log, VEIL_LOG_INFO, 0,
             "client sent %u %s, more than the %llu that \"%s\" allows: the "
             "connection is ended",
             g->n[kind], h2_guards[kind].text, (unsigned long long) limit,
             h2_guards[kind].directive);
    return h2_guard_break(h2, kind);
}

int
veil_h2_guard_head(veil_h2_t *h2, size_t size, size_t limit)
{
    if (h2->guard.breach != 0) {
        return NGHTTP2_ERR_CALLBACK_FAILURE;
    }
    if (size <= limit * GUARD_HEAD_TIMES) {
        return 0;
    }
    veil_log(&h2->hc->c.log, VEIL_LOG_INFO, 0,
             "client sent a head of %zu bytes and more, %d times the limit of "
             "%zu: the connection is ended",
             size, GUARD_HEAD_TIMES, limit);
    return h2_guard_break(h2, H2_GUARD_HEAD);
}

static int
h2_guard_continuation(veil_h2_t *h2)
{
    size_t limit = veil_h2_head_limit(h2) * GUARD_HEAD_TIMES / GUARD_FRAME
                   + GUARD_CONTINUATIONS;

    if (++h2->guard.continuations <= limit) {
        return 0;
    }
    veil_log(&h2->hc->c.log, VEIL_LOG_INFO, 0,
             "client sent a head in more than %zu CONTINUATIONs: the "
             "connection is ended",
             limit);
    return h2_guard_break(h2, H2_GUARD_CONTINUATION);
}

static int
h2_guard_queue(veil_h2_t *h2)
{
    size_t n = nghttp2_session_get_outbound_queue_size(h2->session);
    size_t limit =
        GUARD_QUEUE + GUARD_QUEUE_STREAM * (size_t) h2->conf->max_streams;

    if (n <= limit) {
        return 0;
    }
    veil_log(&h2->hc->c.log, VEIL_LOG_INFO, 0,
             "client does not read the %zu frames that answer its own, the "
             "limit is %zu: the connection is ended",
             n, limit);
    return h2_guard_break(h2, H2_GUARD_QUEUE);
}

/* --- frames ----------------------------------------------------------------
 */

static int
h2_guard_reset(veil_h2_t *h2, int32_t id)
{
    const veil_h2_stream_t *s =
        nghttp2_session_get_stream_user_data(h2->session, id);
    int rc = 0;

    if (s != NULL && s->state < H2_STREAM_SENDING) {
        rc = veil_h2_guard_count(h2, H2_GUARD_EARLY_RESETS);
    }
    if (rc == 0) {
        rc = veil_h2_guard_count(h2, H2_GUARD_RESETS);
    }
    return rc != 0 ? rc : veil_h2_guard_count(h2, H2_GUARD_RESETS_EVER);
}

int
veil_h2_guard_on_frame(veil_h2_t *h2, const nghttp2_frame_hd *hd)
{
    int rc;

    if (h2->guard.breach != 0) {
        return NGHTTP2_ERR_CALLBACK_FAILURE;
    }
    switch (hd->type) {
    case NGHTTP2_HEADERS:
        h2->guard.continuations = 0;
        return 0;
    case NGHTTP2_CONTINUATION:
        return h2_guard_continuation(h2);
    case NGHTTP2_RST_STREAM:
        rc = h2_guard_reset(h2, hd->stream_id);
        break;
    case NGHTTP2_PING:
        rc = veil_h2_guard_count(h2, H2_GUARD_PINGS);
        break;
    case NGHTTP2_SETTINGS:
        rc = veil_h2_guard_count(h2, H2_GUARD_SETTINGS);
        break;
    case NGHTTP2_PRIORITY:
    case NGHTTP2_PRIORITY_UPDATE:
        rc = veil_h2_guard_count(h2, H2_GUARD_PRIORITY);
        break;
    case NGHTTP2_WINDOW_UPDATE:
        rc = veil_h2_guard_count(h2, H2_GUARD_WINDOW);
        break;
    default:
        return 0;
    }
    return rc != 0 ? rc : h2_guard_queue(h2);
}

/* We reset a stream.  For what the client did? */
static void
h2_guard_on_reset_sent(veil_h2_t *h2, const nghttp2_frame *frame)
{
    uint32_t error = frame->rst_stream.error_code;
    bool refused = error == NGHTTP2_REFUSED_STREAM;
    const char *why = NULL;

    if (error == NGHTTP2_NO_ERROR || error == NGHTTP2_CANCEL
        || error == NGHTTP2_INTERNAL_ERROR)
    {
        return; /* these are ours */
    }
    if (h2->invalid_id == frame->hd.stream_id) {
        why = nghttp2_strerror(h2->invalid);
    }
    veil_log(&h2->hc->c.log, VEIL_LOG_INFO, 0,
             "client %s, stream %d is reset: %s%s%s",
             refused ? "has more streams than it may" : "broke the rules",
             (int) frame->hd.stream_id, nghttp2_http2_strerror(error),
             why != NULL ? ", " : "", why != NULL ? why : "");
    (void) veil_h2_guard_count(h2, refused ? H2_GUARD_REFUSED
                                           : H2_GUARD_ERRORS_EVER);
}

/* The library ends the connection.  Why is in its own GOAWAY. */
static void
h2_guard_on_goaway_sent(const veil_h2_t *h2, const nghttp2_goaway *frame)
{
    if (frame->error_code != NGHTTP2_NO_ERROR) {
        veil_log(&h2->hc->c.log, VEIL_LOG_INFO, 0,
                 "client broke the rules, the connection is ended: %s%s%.*s",
                 nghttp2_http2_strerror(frame->error_code),
                 frame->opaque_data_len != 0 ? ", " : "",
                 (int) frame->opaque_data_len,
                 (const char *) frame->opaque_data);
    }
}

void
veil_h2_guard_on_sent(veil_h2_t *h2, const nghttp2_frame *frame)
{
    h2_guard_t *g = &h2->guard;

    switch (frame->hd.type) {
    case NGHTTP2_DATA:
        h2_guard_tick(g);
        g->data++;
        g->answered += (frame->hd.flags & NGHTTP2_FLAG_END_STREAM) != 0;
        return;
    case NGHTTP2_HEADERS:
        h2_guard_tick(g);
        g->answered += (frame->hd.flags & NGHTTP2_FLAG_END_STREAM) != 0;
        return;
    case NGHTTP2_RST_STREAM:
        h2_guard_on_reset_sent(h2, frame);
        return;
    case NGHTTP2_GOAWAY:
        h2_guard_on_goaway_sent(h2, &frame->goaway);
        return;
    default:
        return;
    }
}

void
veil_h2_guard_received(veil_h2_t *h2, ssize_t n)
{
    if (h2->guard.breach != 0) {
        return;
    }
    if (n == NGHTTP2_ERR_FLOODED) {
        veil_log(&h2->hc->c.log, VEIL_LOG_INFO, 0,
                 "client does not read the more than %d frames that answer "
                 "its own: the connection is ended",
                 GUARD_ACKS);
        (void) h2_guard_break(h2, H2_GUARD_QUEUE);
    } else if (n == NGHTTP2_ERR_TOO_MANY_CONTINUATIONS) {
        veil_log(&h2->hc->c.log, VEIL_LOG_INFO, 0,
                 "client sent too many CONTINUATIONs of a head that was "
                 "refused: the connection is ended");
        (void) h2_guard_break(h2, H2_GUARD_CONTINUATION);
    } else if (n >= 0) {
        (void) h2_guard_queue(h2);
    }
}

bool
veil_h2_guard_goaway(veil_h2_t *h2, veil_slice_t *out)
{
    /* 8 bytes, type 7, stream 0: the last stream, the error (RFC 9113, 6.8).
       Streams beyond the last one may be asked for again elsewhere. */
    static const unsigned char head[H2_HEAD_LEN] = { 0, 0, 8, 7 };
    h2_guard_t *g = &h2->guard;
    bool unsettled = g->breach == H2_GUARD_UNSETTLED + 1;
    uint32_t last = htonl((uint32_t) h2->last_id);
    uint32_t error = htonl(unsettled ? NGHTTP2_SETTINGS_TIMEOUT
                                     : NGHTTP2_ENHANCE_YOUR_CALM);

    if (g->said) {
        return false;
    }
    g->said = true;
    memcpy(g->goaway, head, H2_HEAD_LEN);
    memcpy(g->goaway + H2_HEAD_LEN, &last, sizeof(last));
    memcpy(g->goaway + H2_HEAD_LEN + sizeof(last), &error, sizeof(error));
    veil_conn_write_timeout(&h2->hc->c, GUARD_GOODBYE_MS);
    *out = veil_slice_mem(g->goaway, H2_GOAWAY_LEN);
    return true;
}

/* --- what does not move ----------------------------------------------------
 */

static uint64_t
h2_guard_send_timeout(const veil_h2_t *h2)
{
    const veil_http_core_loc_t *loc =
        h2->hc->server->loc_conf[veil_http_core_module.index];

    return loc->send_timeout;
}

/* There is something to send, and the client does not let it go. */
static bool
h2_guard_is_shut(const veil_h2_stream_t *s)
{
    return s->state == H2_STREAM_SENDING && s->out != NULL && !s->read_waiting
           && !s->closed && !veil_timer_is_set(&s->delay)
           && (nghttp2_session_get_remote_window_size(s->h2->session) <= 0
               || nghttp2_session_get_stream_remote_window_size(s->h2->session,
                                                                s->id)
                      <= 0);
}

/* RFC 9113, 6.5.3.  One without requests is ended as an idle one is. */
static bool
h2_guard_look_at_settings(veil_h2_t *h2)
{
    uint64_t limit = veil_http_conn_server(h2->hc)->client_header_timeout;
    uint64_t waited = veil_now_ms() - h2->guard.start_ms;

    if (h2->guard.settled || limit == 0 || waited <= limit) {
        return true;
    }
    veil_log(&h2->hc->c.log, VEIL_LOG_INFO, ETIMEDOUT,
             "client has not acknowledged our SETTINGS for %llu ms, "
             "\"client_header_timeout\" is %llu: the connection is ended",
             (unsigned long long) waited, (unsigned long long) limit);
    (void) h2_guard_break(h2, H2_GUARD_UNSETTLED);
    return false;
}

static bool
h2_guard_look_at_heads(veil_h2_t *h2)
{
    uint64_t limit = veil_http_conn_server(h2->hc)->client_header_timeout;
    const veil_h2_stream_t *s;
    veil_list_t *l;

    veil_list_foreach (l, &h2->streams) {
        s = veil_list_entry(l, veil_h2_stream_t, link);
        if (s->state == H2_STREAM_HEAD && !veil_list_is_linked(&s->todo)
            && limit != 0 && veil_now_ms() - s->r->start_ms > limit)
        {
            veil_log(&h2->hc->c.log, VEIL_LOG_INFO, ETIMEDOUT,
                     "client timed out while sending a request's head: the "
                     "connection is ended");
            (void) h2_guard_break(h2, H2_GUARD_SLOW_HEAD);
            return false;
        }
    }
    return true;
}

static void
h2_guard_look_at_windows(veil_h2_t *h2)
{
    uint64_t limit = h2_guard_send_timeout(h2), now = veil_now_ms();
    unsigned shut = 0, others = 0;
    veil_h2_stream_t *s;
    veil_list_t *l;

    if (limit == 0) {
        return;
    }
    veil_list_foreach (l, &h2->streams) {
        s = veil_list_entry(l, veil_h2_stream_t, link);
        if (h2_guard_is_shut(s) && now - s->moved_ms > limit) {
            shut++;
        } else {
            others++;
        }
    }
    if (shut != 0 && others == 0) {
        veil_log(
            &h2->hc->c.log, VEIL_LOG_INFO, ETIMEDOUT,
            "client has let none of %u responses go on for \"send_timeout\""
            ", %llu ms: the connection is ended",
            shut, (unsigned long long) limit);
        (void) h2_guard_break(h2, H2_GUARD_STALL);
        return;
    }
    if (shut == 0) {
        return;
    }
    veil_list_foreach (l, &h2->streams) {
        s = veil_list_entry(l, veil_h2_stream_t, link);
        if (h2_guard_is_shut(s) && now - s->moved_ms > limit) {
            veil_log(&s->r->log, VEIL_LOG_INFO, ETIMEDOUT,
                     "client has not let the response go on for "
                     "\"send_timeout\", %llu ms: the stream is reset",
                     (unsigned long long) limit);
            veil_h2_guard_counts.stalled_streams++;
            veil_metric_inc(&h2_guard_metrics[H2_GUARDS]);
            (void) nghttp2_submit_rst_stream(h2->session, NGHTTP2_FLAG_NONE,
                                             s->id, NGHTTP2_CANCEL);
            veil_h2_wake(h2);
        }
    }
}

static void
h2_guard_look(veil_timer_t *t)
{
    h2_guard_t *g = veil_container_of(t, h2_guard_t, timer);
    veil_h2_t *h2 = veil_container_of(g, veil_h2_t, guard);

    if (g->breach != 0 || h2->closed || !h2_guard_look_at_settings(h2)
        || (h2->nstreams == 0 && g->settled))
    {
        return;
    }
    if (h2_guard_look_at_heads(h2)) {
        h2_guard_look_at_windows(h2);
    }
    if (g->breach == 0) {
        veil_timer_set(h2->hc->c.handle.loop, t, g->period_ms);
    }
}

void
veil_h2_guard_settled(veil_h2_t *h2)
{
    h2->guard.settled = true;
}

void
veil_h2_guard_on_request(veil_h2_t *h2)
{
    h2_guard_t *g = &h2->guard;

    if (!veil_timer_is_set(&g->timer)) {
        veil_timer_set(h2->hc->c.handle.loop, &g->timer, g->period_ms);
    }
}

/* --- the beginning and the end ---------------------------------------------
 */

void
veil_h2_guard_options(const veil_h2_t *h2, nghttp2_option *option)
{
    nghttp2_option_set_max_settings(option, GUARD_SETTINGS_ENTRIES);
    nghttp2_option_set_max_outbound_ack(option, GUARD_ACKS);
    nghttp2_option_set_stream_reset_rate_limit(option, UINT32_MAX, UINT32_MAX);
    nghttp2_option_set_max_continuations(
        option, veil_h2_head_limit(h2) * GUARD_HEAD_TIMES / GUARD_FRAME
                    + GUARD_CONTINUATIONS + 1);
}

void
veil_h2_guard_start(veil_h2_t *h2)
{
    uint64_t send = h2_guard_send_timeout(h2);
    uint64_t head = veil_http_conn_server(h2->hc)->client_header_timeout;
    uint64_t ms = GUARD_PERIOD_MAX_MS * GUARD_LOOKS;

    ms = send != 0 && send < ms ? send : ms;
    ms = (head != 0 && head < ms ? head : ms) / GUARD_LOOKS;
    h2->guard.period_ms = ms > GUARD_PERIOD_MIN_MS ? ms : GUARD_PERIOD_MIN_MS;
    h2->guard.start_ms = veil_now_ms();
    veil_timer_init(&h2->guard.timer, h2_guard_look);
    veil_h2_scan_start(h2);
}

void
veil_h2_guard_stop(veil_h2_t *h2)
{
    veil_timer_cancel(&h2->guard.timer);
}
