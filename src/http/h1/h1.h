/*
 * h1.h -- HTTP/1 on a client's connection.
 *
 * Two directions, each with a state that is a constant table entry: what to
 * do with data, with the end of the stream and with a timeout.  Early
 * responses, 100-continue and tunnels read and write at once, which is why
 * there is no single state.
 *
 *   reading   idle -> head -> hold <-> body
 *                              hold -> discard -> hold -> idle
 *                              hold -> linger -> closed
 *   writing   work -> send -> work
 *
 * h1_conn.c has the states and transitions, h1_read.c turns bytes into a
 * request, h1_body.c is the request's body, h1_write.c and h1_head.c send
 * responses.
 */

#ifndef VEIL_HTTP_H1_H
#define VEIL_HTTP_H1_H

#include "core/buf.h"
#include "core/str.h"
#include "core/types.h"
#include "event/timer.h"

typedef struct veil_h1_s veil_h1_t;
typedef struct veil_h1_state_s veil_h1_state_t;
typedef struct veil_h1_body_s veil_h1_body_t;
typedef struct veil_h1_writer_s veil_h1_writer_t;
struct veil_http_conn_s;
struct veil_http_request_s;
struct veil_http_proto_s;

/* State of a connection that survives its requests. */
struct veil_h1_s {
    const veil_h1_state_t *state;  /* of the reading direction */
    struct veil_http_request_s *r; /* the current one; NULL between two */
    veil_h1_body_t *body;          /* of r; NULL: none */
    veil_h1_writer_t *writer;      /* of r; NULL: nothing to send yet */
    char *head; /* an incomplete head; NULL while there is none */
    uint32_t head_len;
    uint32_t head_cap;
    uint32_t scanned; /* of head: known not to end it */
    union {
        uint64_t linger_until_ms; /* while it discards or lingers */
        uint64_t idle_since_ms;   /* while it is idle */
    };
    uint32_t linger_ms;        /* between two pieces of it */
    uint32_t keepalive_ms;     /* of the idle state after this request */
    uint32_t keepalive_min_ms; /* a drain lets it live so long */
    bool gone;                 /* the client has ended its side */
    bool closed;        /* on_closed() has come; a request may be left */
    bool timed_out;     /* a timeout is why */
    bool ending;        /* answered; the rest of its body is awaited */
    bool pipelined;     /* the next request was there before its turn */
    bool deferred;      /* the response waits for an interim one to be sent */
    veil_str_t interim; /* interim responses that wait for each other */
};

extern const struct veil_http_proto_s veil_h1_proto;

/* The connection speaks HTTP/1 from its first byte on. */
void veil_h1_start(struct veil_http_conn_s *hc);

#endif
