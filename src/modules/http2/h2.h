/*
 * h2.h -- what the files of HTTP/2 share.
 *
 *   h2.c         the module: directives, when a connection speaks HTTP/2
 *   h2_conn.c    a connection: bytes to frames and back, its end
 *   h2_head.c    fields of a head to a request
 *   h2_body.c    a request's body, pulled; flow control
 *   h2_write.c   a response: its head, its body as the window allows
 *   h2_out.c     the bytes of the next write
 *   h2_priority.c  PRIORITY_UPDATE, and responses with a priority
 *   h2_guard.c   limits on what a client may make us do
 *   h2_scan.c    frames that the library lets pass
 *   h2_linger.c  an upload that goes on after its answer
 *
 * The library (nghttp2) knows frames, streams and windows and does no I/O.
 * Its callbacks only note what happened; requests are started and ended when
 * it has returned.
 */

#ifndef VEIL_MODULES_HTTP2_H2_H
#define VEIL_MODULES_HTTP2_H2_H

#include "core/platform.h"

#include <nghttp2/nghttp2.h>

#include "core/time.h"
#include "http/conn.h"
#include "http/http.h"
#include "http/rejects.h"
#include "modules/http2/h2_guard.h"

#define VEIL_H2_MAGIC 0x48325f43u
#define VEIL_H2_STREAM_MAGIC 0x48325f53u

#define H2_FRAME_HEAD 9 /* RFC 9113, 4.1 */

typedef struct veil_h2_s veil_h2_t;
typedef struct veil_h2_stream_s veil_h2_stream_t;
typedef struct veil_h2_priority_s veil_h2_priority_t;

/* Of a server. */
typedef struct {
    bool enabled;
    int64_t header_table_size;
    int64_t max_streams;
    int64_t window;      /* of a stream */
    int64_t conn_window; /* of a connection */
    int64_t max_frame_size;
    int64_t max_list_size;               /* of header fields, advertised */
    int64_t guard[H2_GUARD_COUNTED];     /* limits; 0: none */
    veil_http_alternative_t alternative; /* how it is recognised */
} h2_conf_t;

typedef enum {
    H2_STREAM_HEAD,    /* its head is coming */
    H2_STREAM_REQUEST, /* the request is worked on */
    H2_STREAM_SENDING, /* the library has the response */
    H2_STREAM_SENT,    /* all of it was handed to a write, or reset */
    H2_STREAM_ENDED    /* the request is no more */
} h2_stream_state_t;

/* The request's body, an origin. */
typedef struct {
    veil_http_body_t body;
    veil_chain_t chain; /* received, not consumed */
    size_t outstanding; /* of it: handed out */
    int64_t received;
    veil_http_headers_t trailers;
    bool complete;
    bool dropped; /* nobody wants it */
    bool waiting; /* the reader was told LATER */
    bool tunnel;  /* no limits, no timeouts */
    int error;    /* an HTTP status */
} h2_body_t;

/* Lives in its request's pool. */
struct veil_h2_stream_s {
    uint32_t magic;
    int32_t id;
    uint8_t state;     /* h2_stream_state_t */
    bool started;      /* the pipeline has it: it will be logged */
    bool closed;       /* the library has forgotten it */
    bool read_waiting; /* the response's body said LATER */
    bool answered;     /* END_STREAM was sent */
    bool reset;        /* RST_STREAM was asked for */
    int broken;        /* its head is refused with this status; 0: not */
    veil_h2_t *h2;
    veil_http_request_t *r;
    veil_list_t link;  /* of all of the connection */
    veil_list_t todo;  /* in h2->ready or h2->over */
    veil_list_t woken; /* in h2->woken */
    h2_body_t in;
    veil_timer_t timer; /* of a body that does not come */
    size_t head_size;   /* RFC 9113, 6.5.2 */
    unsigned nfields;
    veil_str_t authority, path, method;
    veil_str_t protocol;   /* of an extended CONNECT (RFC 8441) */
    veil_http_body_t *out; /* the response's body; NULL: none */
    uint64_t sent;         /* of it */
    uint64_t moved_ms;     /* when enough of it went last */
    uint64_t moved;        /* how much had been sent then */
    veil_timer_t delay;    /* limit_rate */
    unsigned urgency;      /* for h2_priority.c */
    bool incremental;
    bool reprioritized;  /* by PRIORITY_UPDATE: these two are known */
    bool priority_given; /* by the response, which is the last word */
};

struct veil_h2_s {
    uint32_t magic;
    bool closed;        /* on_closed() has come */
    bool draining;      /* GOAWAY was said, the last one too */
    bool lingering;     /* all is said; the client's end is waited for */
    bool in_recv;       /* the library is at work */
    bool has_reset;     /* we did, a stream */
    bool windows_set;   /* SETTINGS have changed windows just now */
    int32_t invalid_id; /* the latest stream with a frame that is refused */
    int invalid;        /* why; the library's error */
    bool has_skipped;   /* the client did, a stream's number */
    int32_t last_id;    /* the latest stream of the client */
    bool idle;          /* the read timer runs, for the next request */
    uint64_t idle_since_ms;
    veil_http_conn_t *hc;
    nghttp2_session *session;
    const h2_conf_t *conf;
    veil_list_t streams;
    veil_list_t ready; /* heads that are complete */
    veil_list_t over;  /* sent or reset: their requests are to end */
    veil_list_t woken; /* something came for who reads their bodies */
    uint64_t linger_until_ms;
    veil_list_t lingers; /* of h2_linger_t */
    unsigned nstreams;   /* requests alive */
    veil_post_t post;
    veil_timer_t timer;      /* of the second GOAWAY */
    const veil_buf_t *input; /* under way */
    size_t head_bytes;       /* of the head that comes, compressed */
    unsigned char *out;      /* being written; heap */
    size_t out_len;
    size_t out_cap;
    size_t out_max;  /* of one write; 0: the least */
    uint64_t out_ms; /* when it was made */
    size_t buffered; /* of all bodies: received and not consumed */
    size_t unpaid;   /* of the connection's window: not given back */
    veil_h2_priority_t *priority; /* NULL: no PRIORITY_UPDATE has come */
    h2_guard_t guard;
};

extern const veil_http_proto_t veil_h2_proto;
extern veil_module_t veil_http_v2_module;

static inline veil_h2_stream_t *
h2_stream_of(const veil_http_request_t *r)
{
    return r->stream;
}

/* --- h2_conn.c */

/* The connection speaks HTTP/2 from here on; see http/server.h. */
void veil_h2_start(veil_http_conn_t *hc);
/* Something is to be sent: in this turn of the loop. */
void veil_h2_wake(veil_h2_t *h2);
/* The stream's request is to end, by the loop. */
void veil_h2_over(veil_h2_stream_t *s);
/* The same after RST_STREAM, unless all was sent already. */
void veil_h2_reset(veil_h2_stream_t *s, uint32_t error);
/* GOAWAY, the first: requests on their way are served yet. */
void veil_h2_drain(veil_h2_t *h2);

/* --- h2_scan.c: rules that the library does not keep */

/* A frame begins; one that must not be here ends the connection. */
void veil_h2_check_frame(veil_h2_t *h2, const nghttp2_frame_hd *hd);
/* One that is neither HEADERS nor DATA has come. */
void veil_h2_check_control(veil_h2_t *h2, const nghttp2_frame *frame);
/* One was sent. */
void veil_h2_check_sent(veil_h2_t *h2, const nghttp2_frame *frame);
/* The library's callback for what it refuses. */
int veil_h2_on_invalid_frame(nghttp2_session *session,
                             const nghttp2_frame *frame, int error,
                             void *data);

/* --- h2_head.c: the library's callbacks for heads */

int veil_h2_on_begin_headers(nghttp2_session *session,
                             const nghttp2_frame *frame, void *data);
int veil_h2_on_header(nghttp2_session *session, const nghttp2_frame *frame,
                      const uint8_t *name, size_t namelen,
                      const uint8_t *value, size_t valuelen, uint8_t flags,
                      void *data);
/* Bytes that a head may have, each field with 32 more. */
size_t veil_h2_head_limit(const veil_h2_t *h2);
/* The head is complete: what it says, as a request; then it is started. */
void veil_h2_head_done(veil_h2_stream_t *s);

/* --- h2_body.c */

veil_http_body_t *veil_h2_request_body(veil_http_request_t *r);
int veil_h2_on_data(nghttp2_session *session, uint8_t flags, int32_t id,
                    const uint8_t *data, size_t len, void *user);
/* The head says that there is one. */
void veil_h2_body_begin(veil_h2_stream_t *s);
/* Tells the reader; from the loop. */
void veil_h2_body_woken(veil_h2_stream_t *s);
veil_timer_fn veil_h2_body_timed_out;
/* END_STREAM came. */
void veil_h2_body_complete(veil_h2_stream_t *s);
/* It will not come; 499 and the like. */
void veil_h2_body_fail(veil_h2_stream_t *s, int status);
void veil_h2_body_done(veil_h2_stream_t *s);

/* --- h2_linger.c */

/*
 * The stream's request ends, its client still sends: what comes is dropped
 * for lingering_timeout, then the stream is reset.  False: not at all.
 */
bool veil_h2_linger(veil_h2_stream_t *s);
/* Something came on a stream without a request. */
void veil_h2_linger_data(veil_h2_t *h2, int32_t id);
/* Such a stream is closed. */
void veil_h2_linger_over(veil_h2_t *h2, int32_t id);
void veil_h2_linger_free(veil_h2_t *h2);

/* --- h2_out.c */

/* A session whose frames are made in memory that all of them share. */
nghttp2_session *
veil_h2_out_session(veil_h2_t *h2, const nghttp2_session_callbacks *callbacks,
                    const nghttp2_option *option);
/*
 * Frames that the library has to send, as far as one write takes them: h2->out
 * and h2->out_len.  False: the session is beyond help.
 */
bool veil_h2_out_fill(veil_h2_t *h2);
/*
 * Where the next bytes of it go, with room for len; NULL: it is full.  Only
 * for who is called by the library meanwhile.
 */
unsigned char *veil_h2_out_room(veil_h2_t *h2, size_t len);
/* The library's callback for a DATA frame, whose bytes are there already. */
int veil_h2_out_data(nghttp2_session *session, nghttp2_frame *frame,
                     const uint8_t *head, size_t len,
                     nghttp2_data_source *source, void *data);
/* The write is over. */
void veil_h2_out_written(veil_h2_t *h2);
/* Gives the memory back; nothing is being written. */
void veil_h2_out_free(veil_h2_t *h2);

/* --- h2_priority.c */

/* The library's callbacks for frames of PRIORITY_UPDATE: a piece, the end. */
int veil_h2_priority_chunk(nghttp2_session *session,
                           const nghttp2_frame_hd *hd, const uint8_t *data,
                           size_t len, void *user);
int veil_h2_priority_unpack(nghttp2_session *session, void **payload,
                            const nghttp2_frame_hd *hd, void *user);
/* The library has the stream's head: what was said before it holds. */
void veil_h2_priority_opened(veil_h2_stream_t *s);
/* The response's head is final: its field "priority" holds from now on. */
void veil_h2_priority_respond(veil_h2_stream_t *s);

/* --- h2_write.c */

void veil_h2_stream_timers(veil_h2_stream_t *s);
void veil_h2_respond(veil_http_request_t *r);
veil_http_body_t *veil_h2_tunnel(veil_http_request_t *r,
                                 veil_http_body_t *to_client);
void veil_h2_inform(veil_http_request_t *r, int status,
                    const veil_http_headers_t *headers);

#endif
