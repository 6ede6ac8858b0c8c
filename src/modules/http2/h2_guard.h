/*
 * h2_guard.h -- limits on what a client may make us do over HTTP/2.
 */

#ifndef VEIL_MODULES_HTTP2_H2_GUARD_H
#define VEIL_MODULES_HTTP2_H2_GUARD_H

#include <nghttp2/nghttp2.h>

#include "core/buf.h"
#include "event/timer.h"

struct veil_h2_s;
struct veil_h2_stream_s;

/* What is guarded against. */
typedef enum {
    /* Counted against a directive each, see h2_guards[] in h2_guard.c. */
    H2_GUARD_RESETS,       /* RST_STREAM, in a second */
    H2_GUARD_EARLY_RESETS, /* of streams without a response, in a second */
    H2_GUARD_REFUSED,      /* heads refused, in a second */
    H2_GUARD_PINGS,
    H2_GUARD_SETTINGS,
    H2_GUARD_PRIORITY,    /* PRIORITY and PRIORITY_UPDATE */
    H2_GUARD_WINDOW,      /* WINDOW_UPDATE */
    H2_GUARD_EMPTY,       /* DATA with nothing in it, not the last of a body */
    H2_GUARD_TINY,        /* DATA with next to nothing in it */
    H2_GUARD_UNKNOWN,     /* frames of unknown types, and GOAWAY */
    H2_GUARD_RESETS_EVER, /* in the life of the connection */
    H2_GUARD_ERRORS_EVER, /* resets that the client's errors made us send */
    H2_GUARD_COUNTED,
    /* Measured. */
    H2_GUARD_CONTINUATION = H2_GUARD_COUNTED,
    H2_GUARD_HEAD,      /* a head goes on far beyond its limit */
    H2_GUARD_SLOW_HEAD, /* a head is not complete in its time */
    H2_GUARD_STALL,     /* all windows are shut, responses wait */
    H2_GUARD_QUEUE,     /* acknowledgements and resets that are not read */
    H2_GUARD_UNSETTLED, /* our SETTINGS are not acknowledged */
    H2_GUARDS
} h2_guard_kind_t;

/* Those before this one begin anew with each second. */
#define H2_GUARD_RATES H2_GUARD_RESETS_EVER

/* A frame's head, 9 bytes (RFC 9113, 4.1), and the last one of a GOAWAY. */
#define H2_HEAD_LEN 9
#define H2_GOAWAY_LEN (H2_HEAD_LEN + 8)

/* Of what arrives: where in a frame it stands (h2_scan.c). */
typedef struct {
    uint8_t n;                     /* bytes in head */
    uint8_t head[H2_HEAD_LEN + 1]; /* and how long its padding is */
    uint32_t left;                 /* bytes to skip: a payload, the preface */
} h2_scan_t;

/* Of a connection. */
typedef struct {
    uint8_t breach;         /* h2_guard_kind_t + 1; 0: none, all is well */
    bool lost;              /* its requests were told */
    bool said;              /* GOAWAY is being written or was */
    bool finished;          /* our side is shut */
    bool settled;           /* our SETTINGS are acknowledged */
    unsigned continuations; /* of the head under way */
    uint64_t second;        /* that n[] of rates are of */
    unsigned n[H2_GUARD_COUNTED]; /* things seen */
    unsigned answered;            /* responses sent in that second */
    unsigned data;                /* DATA frames sent in that second */
    unsigned data_before;         /* in the latest before it */
    uint64_t start_ms;
    uint64_t period_ms;
    veil_timer_t timer; /* looks for what does not move */
    h2_scan_t scan;
    unsigned char goaway[H2_GOAWAY_LEN];
} h2_guard_t;

/*
 * Connections of this worker that were ended, by what they did wrong, and
 * streams that were reset as their client did not let them go on.  For
 * whoever makes metrics.
 */
typedef struct {
    uint64_t breaches[H2_GUARDS];
    uint64_t stalled_streams;
} veil_h2_guard_counts_t;

extern veil_h2_guard_counts_t veil_h2_guard_counts;
/* A word or two, "resets"; static. */
const char *veil_h2_guard_name(h2_guard_kind_t kind);

/* The defaults of the directives, in the order of h2_guard_kind_t. */
void veil_h2_guard_default(int64_t limits[H2_GUARD_COUNTED]);
/* The library's own limits, for the session that is made next. */
void veil_h2_guard_options(const struct veil_h2_s *h2, nghttp2_option *option);
void veil_h2_guard_start(struct veil_h2_s *h2);
void veil_h2_guard_stop(struct veil_h2_s *h2);
/* A frame begins to arrive; for the library's callback, results as below. */
int veil_h2_guard_on_frame(struct veil_h2_s *h2, const nghttp2_frame_hd *hd);
/* A frame was sent. */
void veil_h2_guard_on_sent(struct veil_h2_s *h2, const nghttp2_frame *frame);
/* A request begins; the connection is looked after from now on. */
void veil_h2_guard_on_request(struct veil_h2_s *h2);
/*
 * What is about to be given to the library, results as below: looks at the
 * heads of frames that the library skips without a word (h2_scan.c).
 */
int veil_h2_scan(struct veil_h2_s *h2, const unsigned char *p, size_t len);
void veil_h2_scan_start(struct veil_h2_s *h2);
/* The client has acknowledged our SETTINGS. */
void veil_h2_guard_settled(struct veil_h2_s *h2);
/*
 * One more of these; 0, or NGHTTP2_ERR_CALLBACK_FAILURE when that was one too
 * many.  Then the session is used no more, and all that is left to do is
 * veil_h2_guard_goaway().
 */
int veil_h2_guard_count(struct veil_h2_s *h2, h2_guard_kind_t kind);
/* So many more. */
int veil_h2_guard_add(struct veil_h2_s *h2, h2_guard_kind_t kind, unsigned n);
/* A head has this size so far, and may have that; results as above. */
int veil_h2_guard_head(struct veil_h2_s *h2, size_t size, size_t limit);
/* After bytes were received; n is what the library said. */
void veil_h2_guard_received(struct veil_h2_s *h2, ssize_t n);
/*
 * The connection's last frame: GOAWAY with what fits, ENHANCE_YOUR_CALM most
 * often, to be written when no write is under way; false when it has been.
 * The bytes are h2's.
 */
bool veil_h2_guard_goaway(struct veil_h2_s *h2, veil_slice_t *out);
/* Logs what this worker saw, if anything. */
void veil_h2_guard_report(const veil_log_t *log);

static inline bool
veil_h2_guard_is_broken(const h2_guard_t *g)
{
    return g->breach != 0;
}

#endif
