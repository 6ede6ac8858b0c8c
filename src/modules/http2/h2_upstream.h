/*
 * h2_upstream.h -- what the files of HTTP/2 towards upstreams share.
 *
 *   h2_upstream.c         the module; a connection: bytes to frames and back
 *   h2_upstream_head.c    heads: of requests to fields, of responses from them
 *   h2_upstream_stream.c  an exchange on its stream: both bodies, the wire
 */

#ifndef VEIL_MODULES_HTTP2_H2_UPSTREAM_H
#define VEIL_MODULES_HTTP2_H2_UPSTREAM_H

#include "core/platform.h"

#include <nghttp2/nghttp2.h>

#include "http/upstream/upstream_impl.h"

#define VEIL_H2_UPSTREAM_MAGIC 0x48325550u

/* A connection; heap, as long as the connection it is of. */
typedef struct {
    uint32_t magic;
    bool dead;      /* nothing may begin here any more */
    bool ended;     /* it is being closed */
    bool leaving;   /* GOAWAY is to be said, when all else is */
    bool in_recv;   /* the library is at work */
    bool settings;  /* the peer's have come: its limits are known */
    bool broken;    /* the peer broke the rules, or floods; GOAWAY is queued */
    int send_error; /* nothing can be sent any more, only read; 0: it can */
    unsigned nstreams;
    unsigned nidle_frames; /* that were of no use, since one that was */
    unsigned ncontinued;   /* frames of the head that is coming */
    size_t head_size;      /* of it; RFC 9113, 6.5.2 */
    uint64_t idle_ms;      /* when some of them were forgotten last */
    veil_upstream_conn_t *uc;
    nghttp2_session *session;
    veil_list_t streams;
    veil_post_t post;
    const veil_upstream_conf_t *conf; /* of the last exchange */
    uint64_t heard_ms;                /* when something came last */
    const veil_buf_t *input;          /* under way */
    unsigned char *out;               /* being written; heap */
    size_t out_len;
    size_t out_cap;
} veil_h2_upstream_t;

/* An exchange's place there; heap, from send() to leave(). */
typedef struct {
    veil_exchange_t *x;
    veil_h2_upstream_t *h2;
    int32_t id;
    bool sent;      /* its head is on its way */
    bool has_head;  /* the last head has come; next are trailers */
    bool in_head;   /* fields of a head are coming */
    bool ended;     /* the peer has said END_STREAM */
    bool closed;    /* the library has forgotten it */
    bool was_reset; /* by the peer, not by the library */
    int invalid;    /* what the library found wrong; 0: it does not say */
    size_t nheader; /* bytes of all heads and trailers */
    int64_t length; /* that the head declares; -1: none */
    size_t unpaid;  /* of its window: not given back */
    uint64_t bytes_in;
    uint64_t bytes_out;
    uint64_t timeout; /* the timer's */
    veil_list_t link;
    veil_timer_t timer;
} veil_h2_upstream_stream_t;

extern const veil_upstream_wire_t veil_h2_upstream_wire;
extern veil_module_t veil_http_v2_upstream_module;

static inline veil_h2_upstream_stream_t *
h2_upstream_stream(const veil_exchange_t *x)
{
    return x->priv->stream;
}

/* --- h2_upstream.c */

/* The connection speaks HTTP/2 from here on. */
void veil_h2_upstream_begin(veil_upstream_conn_t *uc);
/* Streams that may begin now. */
unsigned veil_h2_upstream_room(const veil_upstream_conn_t *uc);
/* Something is to be sent: in this turn of the loop. */
void veil_h2_upstream_wake(veil_h2_upstream_t *h2);
/* The peer is left, with this reason: GOAWAY, ENHANCE_YOUR_CALM. */
void veil_h2_upstream_calm(veil_h2_upstream_t *h2, const char *why);
/* Nothing may begin there any more; what is under way goes on. */
void veil_h2_upstream_doom(veil_h2_upstream_t *h2);
/* Its last stream has gone: it waits for others, or ends. */
void veil_h2_upstream_rest(veil_h2_upstream_t *h2);
extern const veil_conn_ops_t veil_h2_upstream_conn_ops;

/* --- h2_upstream_head.c */

typedef struct {
    nghttp2_nv *nv;
    size_t n;
    size_t cap;
    veil_pool_t *pool;
} veil_h2_upstream_fields_t;

/* The request's head as fields, in its pool. */
void veil_h2_upstream_request(veil_exchange_t *x,
                              veil_h2_upstream_fields_t *f);
/* The same of its trailers. */
veil_h2_upstream_fields_t
veil_h2_upstream_trailers(veil_exchange_t *x, const veil_http_headers_t *hs);
int veil_h2_upstream_on_begin(nghttp2_session *session,
                              const nghttp2_frame *frame, void *data);
int veil_h2_upstream_on_field(nghttp2_session *session,
                              const nghttp2_frame *frame, const uint8_t *name,
                              size_t namelen, const uint8_t *value,
                              size_t valuelen, uint8_t flags, void *data);
/* A head is complete, or the trailers; ended: the response is, too. */
void veil_h2_upstream_head_done(veil_h2_upstream_stream_t *s, bool ended);

/* --- h2_upstream_stream.c */

void veil_h2_upstream_send(veil_exchange_t *x);
void veil_h2_upstream_read(veil_exchange_t *x);
void veil_h2_upstream_hold(veil_exchange_t *x);
void veil_h2_upstream_timeout(veil_exchange_t *x, uint64_t ms);
void veil_h2_upstream_count(const veil_exchange_t *x,
                            veil_upstream_state_t *s);
void veil_h2_upstream_leave(veil_exchange_t *x, bool keep);
int veil_h2_upstream_on_data(nghttp2_session *session, uint8_t flags,
                             int32_t id, const uint8_t *data, size_t len,
                             void *user);
/* The stream was closed with this error, by the peer or the library. */
void veil_h2_upstream_reset(veil_h2_upstream_stream_t *s, uint32_t error);
/* All streams lose their connection: 0, or -errno. */
void veil_h2_upstream_lose(veil_h2_upstream_t *h2, int err);

#endif
