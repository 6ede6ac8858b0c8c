/*
 * exchange.h -- a request as bytes and a response from bytes, without I/O.
 *
 * Heads, fields, framing and chunks are read by http's parsers (parse.h); here
 * is the order of things: interim responses, the head, the body, the end, and
 * what the end of the connection means at each of these places.
 */

#ifndef VEIL_FETCH_EXCHANGE_H
#define VEIL_FETCH_EXCHANGE_H

#include "fetch/fetch.h"
#include "http/parse/parse.h"

/* --- requests -------------------------------------------------------------*/

typedef struct {
    veil_str_t method;
    veil_str_t target;
    veil_str_t authority;             /* for Host */
    const veil_fetch_field_t *fields; /* -H; one without a value takes a field
                                         of ours away */
    unsigned nfields;
    bool has_body;
    int64_t length;  /* of the body; -1: unknown, it is sent in chunks */
    bool is_text;    /* the body is of the command line: for Content-Type */
    bool keep_alive; /* the connection will be used again */
} veil_fetch_request_t;

/* The head, with its empty line; in the pool. */
veil_str_t veil_fetch_request_head(veil_pool_t *pool,
                                   const veil_fetch_request_t *rq);
/* The first field of this name among n; NULL: there is none. */
const veil_fetch_field_t *
veil_fetch_field_find(const veil_fetch_field_t *fields, unsigned n,
                      veil_str_t name);

/* --- responses ------------------------------------------------------------*/

/* A longer head is refused, and so are more interim ones. */
#define VEIL_FETCH_MAX_HEAD 65536
#define VEIL_FETCH_MAX_INTERIM 32

typedef enum {
    VEIL_FETCH_MORE,    /* all input is used up */
    VEIL_FETCH_INTERIM, /* an interim head, until the next call */
    VEIL_FETCH_HEAD,    /* the head */
    VEIL_FETCH_DATA,    /* *data and *len are a part of the body */
    VEIL_FETCH_END,     /* the response is complete */
    VEIL_FETCH_BAD,     /* error says why; so it stays */
    VEIL_FETCH_CUT      /* the connection ended before the response did */
} veil_fetch_rc_t;

typedef struct {
    veil_pool_t *pool;
    unsigned method; /* veil_http_method_t, of the request */
    /* Of the head that was read last. */
    unsigned version;
    int status;
    veil_str_t line;   /* the status line, without its end */
    veil_str_t fields; /* for veil_http_fields_init(), with ALLOW_LF */
    /* The connection may be used again once END was reached. */
    bool keep_alive;
    bool begun;       /* a byte has come */
    uint64_t bytes;   /* of the body, so far */
    veil_str_t error; /* after BAD and CUT; a sentence without its dot */
    /* private to exchange.c */
    uint8_t state;
    veil_http_framing_t framing;
    veil_http_chunked_t chunked;
    unsigned ninterim;
    char *head;
    size_t head_len;
    size_t scanned;
} veil_fetch_response_t;

/* In place; what is kept lives in the pool. */
void veil_fetch_response_init(veil_fetch_response_t *r, veil_pool_t *pool,
                              veil_str_t method);
/*
 * Goes on over [*p, end), which may be cut anywhere, and moves *p over what
 * is used; to be called until it says MORE, END or BAD.
 */
veil_fetch_rc_t veil_fetch_response_next(veil_fetch_response_t *r,
                                         const unsigned char **p,
                                         const unsigned char *end,
                                         const unsigned char **data,
                                         size_t *len);
/*
 * The connection has ended, after all input.  proper: the peer said so in a
 * way that nobody else could have (a close_notify; on a plain connection the
 * end itself, as there is nothing better).  END or CUT.
 */
veil_fetch_rc_t veil_fetch_response_eof(veil_fetch_response_t *r, bool proper);
/* Fields behind a chunked body, as fields above; empty: none. */
veil_str_t veil_fetch_response_trailer(const veil_fetch_response_t *r);

#endif
