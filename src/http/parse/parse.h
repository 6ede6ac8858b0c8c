/*
 * parse.h -- HTTP/1 syntax: heads, fields, framing, chunks; without I/O.
 *
 * Pure functions over memory.  Nothing here allocates (but the decoder of
 * chunks, for trailers), logs, or knows a request.  Results are views into
 * the text that was given; nothing is written there.
 *
 * The way of a head:
 *
 *     n = veil_http_head_find_end(p, have, &scanned);     0: read more
 *     veil_http_request_line_parse(p, n, &line);
 *     veil_http_fields_init(&it, p + line.len, n - line.len, 0);
 *     veil_http_framing_init(&framing);
 *     while ((e = veil_http_fields_next(&it, &field)) == VEIL_PARSE_OK) {
 *         e = veil_http_framing_add(&framing, &field);
 *         ...
 *     }
 *     e == VEIL_PARSE_END, or the reason to refuse
 *     veil_http_framing_request(&framing, line.version);
 *
 * Strict where laxness is how requests are smuggled: a line ends with CRLF,
 * blanks stand only where RFC 9112 puts them, a length is digits, chunked is
 * the only transfer coding and comes alone.
 */

#ifndef VEIL_HTTP_PARSE_H
#define VEIL_HTTP_PARSE_H

#include "core/pool.h"
#include "core/str.h"
#include "http/parse/header_table.h"

/* --- reasons --------------------------------------------------------------*/

/*
 * Why something is refused: constant, status to answer with, and a text that
 * goes on from "client sent " or "upstream sent ".
 */
/* clang-format off */
#define VEIL_HTTP_PARSE_REASONS(X)                                            \
    X(EMPTY_LINES, 400, "too many empty lines before the request line")       \
    X(TLS_RECORD, 400, "a TLS handshake to a port that is not for TLS")       \
    X(BARE_LF, 400, "a line feed without a carriage return")                  \
    X(BARE_CR, 400, "a carriage return without a line feed")                  \
    X(CUT, 400, "a head that ends early")                                     \
    X(METHOD, 400, "an invalid method")                                       \
    X(METHOD_LONG, 501, "a method of more than 32 characters")                \
    X(TARGET, 400, "an invalid character in the request target")              \
    X(TARGET_FORM, 400, "a request target that does not suit the method")     \
    X(AUTHORITY, 400, "an invalid host in the request target")                \
    X(LINE_BLANKS, 400, "superfluous blanks in the request line")             \
    X(NO_VERSION, 400, "a request line without a protocol version")           \
    X(VERSION, 400, "an invalid protocol version")                            \
    X(VERSION_MAJOR, 505, "a protocol version that is not supported")         \
    X(LINE_LONG, 414, "a request line that is too long")                      \
    X(HEAD_LONG, 431, "a header section that is too large")                   \
    X(STATUS_LINE, 502, "an invalid status line")                             \
    X(FOLD, 400, "a folded header line")                                      \
    X(NO_COLON, 400, "a header line without a colon")                         \
    X(NAME_EMPTY, 400, "a header line without a name")                        \
    X(NAME_BLANK, 400, "a blank in a header name")                            \
    X(NAME, 400, "a control character in a header name")                      \
    X(VALUE, 400, "a control character in a header value")                    \
    X(NUL, 400, "a NUL byte in the head")                                     \
    X(HOST, 400, "an invalid Host header")                                    \
    X(LENGTH, 400, "an invalid Content-Length header")                        \
    X(LENGTH_TWICE, 400, "more than one Content-Length header")               \
    X(CODING_UNKNOWN, 501, "an unknown transfer coding")                      \
    X(CODING, 400, "an invalid Transfer-Encoding header")                     \
    X(CODING_LENGTH, 400,                                                     \
      "both Transfer-Encoding and Content-Length headers")                    \
    X(CODING_OLD, 400, "a Transfer-Encoding header with HTTP/1.0")            \
    X(CHUNK_SIZE, 400, "an invalid chunk size")                               \
    X(CHUNK_HUGE, 400, "a chunk size that is too large")                      \
    X(CHUNK_EXT, 400, "an invalid chunk extension")                           \
    X(CHUNK_EXT_LONG, 400, "chunk extensions that are too long")              \
    X(CHUNK_END, 400, "a chunk that is longer than its size")                 \
    X(TRAILER_LONG, 431, "a trailer section that is too large")               \
    X(URI_ESCAPE, 400, "an invalid escape in the URI")                        \
    X(URI_NUL, 400, "a NUL byte in the URI")                                  \
    X(URI_ROOT, 400, "a URI that leads above the root")
/* clang-format on */

typedef enum {
    VEIL_PARSE_OK,
    VEIL_PARSE_END, /* no more of them: no error */
#define X(id, status, text) VEIL_PARSE_##id,
    VEIL_HTTP_PARSE_REASONS(X)
#undef X
        VEIL_PARSE_COUNT
} veil_http_parse_t;

/* "an invalid method", after "client sent "; never NULL. */
const char *veil_http_parse_reason(veil_http_parse_t e);
/*
 * The status for a client; 0 for OK and END.  The same reasons, when they
 * come from an upstream, are a 502.
 */
int veil_http_parse_status(veil_http_parse_t e);

/* --- the head as a whole (parse_line.c) -----------------------------------*/

/* Empty lines skipped before a request line (RFC 9112, 2.2). */
#define VEIL_HTTP_MAX_EMPTY_LINES 4

/*
 * Looks for the empty line that ends a head.  Returns the length of the head,
 * that line and empty lines before the head included, or 0: it is not there
 * yet.  *scanned is 0 at first and belongs to this function; calling it again
 * with more bytes at the same or another address goes on where it stopped.
 *
 * A bare line feed counts as the end of a line here, so that it is found and
 * refused at once instead of waited out.
 */
size_t veil_http_head_find_end(const char *p, size_t n, size_t *scanned);

/*
 * Whether the first bytes of an incomplete head can begin a request line:
 * VEIL_PARSE_OK, or the reason why they never will.  It spares a client that
 * speaks something else the wait for a timeout.
 */
veil_http_parse_t veil_http_head_check_begin(const char *p, size_t n);

/* The reason for a head that grew to its limit without an end. */
veil_http_parse_t veil_http_head_too_long(const char *p, size_t n);

/* --- request line (parse_line.c) ------------------------------------------*/

/* Bits, to be used as a mask. */
typedef enum {
    VEIL_GET = 1 << 0,
    VEIL_HEAD = 1 << 1,
    VEIL_POST = 1 << 2,
    VEIL_PUT = 1 << 3,
    VEIL_DELETE = 1 << 4,
    VEIL_CONNECT = 1 << 5,
    VEIL_OPTIONS = 1 << 6,
    VEIL_TRACE = 1 << 7,
    VEIL_PATCH = 1 << 8,
    VEIL_MKCOL = 1 << 9,
    VEIL_COPY = 1 << 10,
    VEIL_MOVE = 1 << 11,
    VEIL_PROPFIND = 1 << 12,
    VEIL_PROPPATCH = 1 << 13,
    VEIL_LOCK = 1 << 14,
    VEIL_UNLOCK = 1 << 15,
    VEIL_METHOD_OTHER = 1 << 16 /* a token, but none of these */
} veil_http_method_t;

/* By name, which is case-sensitive; OTHER for all else, tokens or not. */
veil_http_method_t veil_http_method_find(const char *name, size_t len);
/* Of exactly one bit; empty for OTHER. */
veil_str_t veil_http_method_name(veil_http_method_t method);

/* Host and port, of a Host header, an absolute URI or a CONNECT. */
typedef struct {
    veil_str_t name; /* without port or final dot; IPv6 in its brackets */
    uint16_t port;   /* 0: none given */
    bool lower;      /* has no upper-case letters */
} veil_http_host_t;

/*
 * uri-host [ ":" port ] (RFC 9110, 7.2).  HOST when it is none, or empty.
 * The name is a view: veil_str_lower() it where !lower.
 */
veil_http_parse_t veil_http_host_parse(veil_str_t value, veil_http_host_t *h);

/* RFC 9112, 3.2 */
typedef enum {
    VEIL_TARGET_ORIGIN,    /* "/path?query" */
    VEIL_TARGET_ABSOLUTE,  /* "http://host/path?query" */
    VEIL_TARGET_AUTHORITY, /* "host:port", of CONNECT */
    VEIL_TARGET_ASTERISK   /* "*", of OPTIONS */
} veil_http_target_form_t;

typedef struct {
    size_t len;      /* of the line, its CRLF and empty lines before it */
    veil_str_t line; /* as received, without them: also after an error */
    veil_str_t method_name; /* empty if it did not get so far */
    veil_http_method_t method;
    unsigned version; /* 10 or 11, as which 1.2 to 1.9 count */
    veil_http_target_form_t form;
    veil_str_t target;     /* as received */
    veil_str_t scheme;     /* absolute form, as received */
    veil_http_host_t host; /* absolute and authority form */
    /*
     * For veil_http_uri_parse(): from the path on, "?..." when there is a
     * query but no path; empty: there is neither; "*" in asterisk form.
     */
    veil_str_t uri;
} veil_http_request_line_t;

/*
 * Parses the first line of a complete head, p[n - 1] being its line feed.
 * After an error line and len are good, and so is what stands before the
 * fault.
 */
veil_http_parse_t veil_http_request_line_parse(const char *p, size_t n,
                                               veil_http_request_line_t *line);

/* --- status line (parse_line.c) -------------------------------------------*/

/* A lone line feed ends a line, too: for the responses of old servers. */
#define VEIL_HTTP_ALLOW_LF 1u

typedef struct {
    size_t len; /* of the line and its CRLF */
    veil_str_t line;
    unsigned version;  /* 10 or 11 */
    int status;        /* 100 to 999 */
    veil_str_t reason; /* may be empty */
} veil_http_status_line_t;

/* STATUS_LINE, or what is wrong with the end of the line. */
veil_http_parse_t veil_http_status_line_parse(const char *p, size_t n,
                                              unsigned flags,
                                              veil_http_status_line_t *line);

/* --- fields (parse_header.c) ----------------------------------------------*/

typedef struct {
    const char *p;
    const char *end;
    unsigned flags;
} veil_http_fields_t;

enum {
    /* an underscore in the name: underscores_in_headers decides */
    VEIL_FIELD_UNDERSCORE = 1,
    /* something else than letters, digits, hyphens: ignore_invalid_headers */
    VEIL_FIELD_INVALID = 2,
    /* not even a token: must not be passed on, whatever is configured */
    VEIL_FIELD_NOT_TOKEN = 4
};

typedef struct {
    veil_str_t name;  /* as received; never empty */
    veil_str_t value; /* without blanks around it; may be empty */
    uint16_t id;      /* veil_http_header_id_t; 0: not a known one */
    uint16_t flags;   /* VEIL_FIELD_... */
} veil_http_field_t;

/*
 * The field lines of [p, p + n), up to and with the empty line at its end.
 * flags: 0 or VEIL_HTTP_ALLOW_LF.
 */
void veil_http_fields_init(veil_http_fields_t *it, const char *p, size_t n,
                           unsigned flags);
/*
 * OK: *f is the next one.  END: that was the empty line, and it->p stands
 * behind it.  Anything else: refuse the message, do not call again.
 */
veil_http_parse_t veil_http_fields_next(veil_http_fields_t *it,
                                        veil_http_field_t *f);

/* --- faults (parse_fault.c) -----------------------------------------------*/

/*
 * The byte that made these be refused for that reason: a request line, or the
 * fields from the one on that was.  p where no byte can be blamed, p + n when
 * more should have come.
 */
const char *veil_http_parse_fault(veil_http_parse_t e, const char *p,
                                  size_t n);

/* --- framing (parse_framing.c) --------------------------------------------*/

typedef enum {
    VEIL_FRAMING_NONE,   /* no body */
    VEIL_FRAMING_LENGTH, /* that many bytes; never 0 */
    VEIL_FRAMING_CHUNKED,
    VEIL_FRAMING_CLOSE, /* response: until the connection ends */
    VEIL_FRAMING_TUNNEL /* response: 101, or 2xx to a CONNECT */
} veil_http_framing_kind_t;

typedef struct {
    veil_http_framing_kind_t kind; /* after _request or _response */
    int64_t length; /* declared; -1: not.  Kept for HEAD and 304, too */
    bool chunked;   /* Transfer-Encoding: chunked was there */
    bool close;     /* do not use the connection again */
} veil_http_framing_t;

void veil_http_framing_init(veil_http_framing_t *f);
/*
 * Takes note of a Content-Length or Transfer-Encoding field; any other is
 * OK and ignored.  To be called for each field of the head.
 */
veil_http_parse_t veil_http_framing_add(veil_http_framing_t *f,
                                        const veil_http_field_t *field);
/* After the last field of a request (RFC 9112, 6.3). */
veil_http_parse_t veil_http_framing_request(veil_http_framing_t *f,
                                            unsigned version);
/* The same of a response with this status to a request of that method. */
veil_http_parse_t veil_http_framing_response(veil_http_framing_t *f,
                                             unsigned version, int status,
                                             unsigned method);

/* --- chunks (parse_chunked.c) ---------------------------------------------*/

/* Bytes of extensions and blanks behind one chunk's size: nobody uses them. */
#define VEIL_HTTP_MAX_CHUNK_EXT 512

typedef struct {
    veil_pool_t *pool;
    uint64_t left;     /* of the current chunk's data */
    uint64_t bytes;    /* of data so far, without the framing */
    uint64_t consumed; /* with the framing */
    size_t max_trailer;
    unsigned ext; /* bytes of the current chunk's extensions */
    veil_http_parse_t error;
    /* private to parse_chunked.c */
    uint8_t state;
    uint8_t digits;
    char *trailer;
    size_t trailer_len;
    size_t trailer_cap;
} veil_http_chunked_t;

typedef enum {
    VEIL_CHUNKED_DATA, /* there is a window of data */
    VEIL_CHUNKED_MORE, /* all input is used up */
    VEIL_CHUNKED_END,  /* the body is complete; the rest is not its */
    VEIL_CHUNKED_BAD   /* d->error says why; so it stays */
} veil_http_chunked_rc_t;

/*
 * A decoder at the start of a body.  Trailers are kept in the pool, which
 * allocates nothing as long as there are none; max_trailer bounds them.
 */
void veil_http_chunked_init(veil_http_chunked_t *d, veil_pool_t *pool,
                            size_t max_trailer);
/*
 * Goes on over [*p, end), which may be cut anywhere, and moves *p over what
 * is used.  DATA: *data and *len are a window of the input, counted as used;
 * call again for the rest.  Whoever wants less data at once gives less input.
 */
veil_http_chunked_rc_t veil_http_chunked_next(veil_http_chunked_t *d,
                                              const unsigned char **p,
                                              const unsigned char *end,
                                              const unsigned char **data,
                                              size_t *len);
/*
 * After END: the trailer section with its empty line, for
 * veil_http_fields_init(), syntactically correct; empty: none came.  Lives in
 * the pool.  Look at veil_http_header_in_trailer() before using a field.
 */
veil_str_t veil_http_chunked_trailer(const veil_http_chunked_t *d);

#define VEIL_HTTP_CHUNK_HEAD_MAX 18
/* Writes the line before n bytes of data; returns its length.  n != 0. */
size_t veil_http_chunk_head(char *dst, uint64_t n);
/* What follows the data, and what ends a body without trailers. */
#define VEIL_HTTP_CHUNK_TAIL VEIL_STR("\r\n")
#define VEIL_HTTP_CHUNK_LAST VEIL_STR("0\r\n\r\n")

#endif
