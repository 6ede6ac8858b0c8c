/*
 * h1_impl.h -- what the h1_*.c files share; nobody else includes it.
 */

#ifndef VEIL_HTTP_H1_IMPL_H
#define VEIL_HTTP_H1_IMPL_H

#include "http/conn.h"
#include "http/h1/h1.h"
#include "http/http.h"
#include "http/parse/parse.h"

typedef void veil_h1_data_fn(veil_http_conn_t *hc, veil_buf_t *b);
typedef void veil_h1_eof_fn(veil_http_conn_t *hc, int err);
typedef void veil_h1_timeout_fn(veil_http_conn_t *hc);

/* A state of the reading direction. */
struct veil_h1_state_s {
    const char *name;
    veil_h1_data_fn *on_data;
    veil_h1_eof_fn *on_eof;
    veil_h1_timeout_fn *on_timeout;
    bool wants_data; /* else the connection is held */
};

extern const veil_h1_state_t veil_h1_idle;
extern const veil_h1_state_t veil_h1_head;
extern const veil_h1_state_t veil_h1_read_body;
extern const veil_h1_state_t veil_h1_hold;
extern const veil_h1_state_t veil_h1_discard;
extern const veil_h1_state_t veil_h1_linger;

/* The only way a state changes; timeout_ms 0: none. */
void veil_h1_enter(veil_http_conn_t *hc, const veil_h1_state_t *state,
                   uint64_t timeout_ms);

/* --- h1_read.c: on_data of idle and head. */
veil_h1_data_fn veil_h1_on_head_data;
void veil_h1_free_head(veil_http_conn_t *hc);
/* Answers an incomplete head with an error; the connection ends. */
void veil_h1_refuse_head(veil_http_conn_t *hc, int status, const char *why);

/* --- h1_body.c: the request's body. */

struct veil_h1_body_s {
    veil_http_body_t body;
    veil_http_conn_t *hc;
    veil_http_request_t *r;
    veil_chain_t chain; /* received, decoded, not consumed */
    size_t outstanding; /* of chain: handed out */
    int64_t left;       /* of Content-Length; -1: chunked */
    veil_http_chunked_t chunked;
    int64_t received;
    veil_http_headers_t trailers;
    bool tunnel; /* no framing: until the client ends */
    bool drop;   /* what comes is thrown away */
    bool complete;
    bool let_go;      /* the reader wants no more of it */
    bool waiting;     /* the reader was told LATER */
    int error;        /* HTTP status */
    veil_post_t over; /* of a tunnel: the request is to end */
};

/*
 * Nobody wants the body: reads and drops it from here on, without a timeout.
 * False: it cannot be (it is complete, or broken, or may never come), or
 * needs not be.
 */
bool veil_h1_body_drop(veil_http_conn_t *hc);
veil_h1_data_fn veil_h1_on_discard_data;
/* Called when the head says that there is a body. */
void veil_h1_body_create(veil_http_conn_t *hc, veil_http_request_t *r);
veil_h1_data_fn veil_h1_on_body_data;
veil_h1_eof_fn veil_h1_on_body_eof;
veil_h1_timeout_fn veil_h1_on_body_timeout;
/* proto->body */
veil_http_body_t *veil_h1_request_body(veil_http_request_t *r);
/* What the client sends from here on is a tunnel's. */
veil_http_body_t *veil_h1_body_tunnel(veil_http_request_t *r);
/* Frees what is kept; the request ends. */
void veil_h1_body_done(veil_h1_body_t *b);

/* --- h1_write.c */

void veil_h1_respond(veil_http_request_t *r);
void veil_h1_inform(veil_http_request_t *r, int status,
                    const veil_http_headers_t *headers);
/* veil_conn_ops_t's on_sent and on_write_timeout. */
void veil_h1_on_sent(veil_conn_t *c, ssize_t res);
void veil_h1_on_write_timeout(veil_conn_t *c);
/* After the head of a 101: pulls the body without framing. */
void veil_h1_write_tunnel(veil_http_request_t *r, veil_http_body_t *body);
/* Whether the writing half of a tunnel has ended. */
bool veil_h1_write_is_over(const veil_h1_writer_t *w);
/* Stops timers and bodies of a writer whose request goes. */
void veil_h1_writer_done(veil_h1_writer_t *w);
/* A field line; bytes of the value that could end it become blanks. */
char *veil_h1_format_field(char *p, veil_str_t name, veil_str_t value);
/* The head of a response in r's pool (also for tests). */
veil_str_t veil_h1_format_head(veil_http_request_t *r, bool chunked,
                               size_t room);

/* --- h1_conn.c */

/* Closes the connection; a request under way is aborted first. */
void veil_h1_close(veil_http_conn_t *hc);

void veil_h1_ended(veil_http_request_t *r);
veil_http_body_t *veil_h1_tunnel(veil_http_request_t *r,
                                 veil_http_body_t *to_client);
/*
 * The response has been sent: ends the request, or does so when the rest of
 * its body has come.
 */
void veil_h1_answered(veil_http_request_t *r);
/*
 * More came of what is thrown away: sets the timer for the next piece; false:
 * the time for the whole is over.
 */
bool veil_h1_linger_on(veil_http_conn_t *hc);
/* Whether configuration and drain allow another request after this one. */
bool veil_h1_may_keepalive(veil_http_conn_t *hc, veil_http_request_t *r);
void veil_h1_drop(veil_http_request_t *r);

#endif
