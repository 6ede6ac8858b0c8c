/*
 * request.h -- one request and its response, whatever the protocol.
 *
 * A request lives in its own pool.  It begins when its head is parsed and
 * ends in veil_http_request_end(), the only place that frees it.  While it
 * lives, exactly one party works on it: the pipeline, or whoever it waits
 * for (r->waiting), or the protocol that sends the response.
 *
 * Modules include http/http.h, which explains the life of a request as a
 * list.  Fields below "private" belong to the files named there.
 */

#ifndef VEIL_HTTP_REQUEST_H
#define VEIL_HTTP_REQUEST_H

#include "core/assert.h"
#include "core/inet.h"
#include "core/log.h"
#include "core/pool.h"
#include "event/conn.h"
#include "http/body.h"
#include "http/core_conf.h"
#include "http/headers.h"
#include "http/parse/header_table.h"
#include "http/parse/parse.h"
#include "http/variable.h"

#define VEIL_HTTP_REQUEST_MAGIC 0x52455155u

typedef struct veil_http_conn_s veil_http_conn_t;
typedef struct veil_http_proto_s veil_http_proto_t;
typedef struct veil_http_filter_s veil_http_filter_t;
typedef struct veil_http_tunnel_s veil_http_tunnel_t;

/* The result of every handler, with one meaning each in every phase. */
typedef enum {
    VEIL_HTTP_NEXT,    /* not mine: the next handler, please */
    VEIL_HTTP_SKIP,    /* settled: go on with the next phase */
    VEIL_HTTP_WAIT,    /* I call veil_http_resume(), exactly once */
    VEIL_HTTP_REROUTE, /* the URI changed: start again at routing */
    VEIL_HTTP_REPLY,   /* the response is described: send it */
    VEIL_HTTP_FAIL     /* r->status says how: make the error response */
} veil_http_rc_t;

typedef veil_http_rc_t veil_http_handler_fn(veil_http_request_t *r);
typedef void veil_http_cancel_fn(veil_http_request_t *r);

/* What a connection or one of its requests is at (conn_info.h). */
typedef enum {
    VEIL_HTTP_STAGE_HANDSHAKE, /* of TLS */
    VEIL_HTTP_STAGE_IDLE,
    VEIL_HTTP_STAGE_HEAD,     /* reading it */
    VEIL_HTTP_STAGE_BODY,     /* waiting for more of the client's */
    VEIL_HTTP_STAGE_UPSTREAM, /* waiting for an upstream's head */
    VEIL_HTTP_STAGE_WORKING,  /* in a handler */
    VEIL_HTTP_STAGE_SENDING,  /* the response */
    VEIL_HTTP_STAGE_TUNNEL,
    VEIL_HTTP_STAGE_CLOSING /* all is said; the client's end is awaited */
} veil_http_stage_t;

/* What a request came in as. */
typedef struct {
    unsigned method;  /* one bit: VEIL_GET ... VEIL_METHOD_OTHER */
    unsigned version; /* 10, 11, 20, 30 */
    veil_str_t method_name;
    veil_str_t request_line; /* HTTP/1's, or made up to look like it */
    veil_str_t unparsed_uri; /* as received, with the query */
    veil_str_t target;       /* of it, what veil_http_uri_parse() takes */
    veil_str_t path;         /* what became of it: r->uri before a rewrite */
    veil_http_target_form_t form;
    veil_str_t host;       /* validated, lower case, without port */
    bool host_is_lower;    /* before the start: no lowering needed */
    bool host_from_target; /* an absolute URI wins over the Host field */
    veil_str_t scheme;     /* "http", "https" */
    uint16_t host_port;    /* 0: none in the Host header */
    veil_http_headers_t headers;
    int64_t content_length; /* -1: none or unknown */
    bool chunked;           /* length unknown until the end */
    bool has_body;
    bool expect_continue; /* 100 not sent yet */
    bool upgrade;         /* Connection: upgrade with an Upgrade header */
    bool keepalive;       /* the client wants it */
    bool early; /* it began before the handshake was complete (RFC 8470) */
} veil_http_in_t;

/* What the response will be; described before VEIL_HTTP_REPLY. */
typedef struct {
    int status;
    veil_str_t reason;           /* empty: the standard one */
    veil_http_headers_t headers; /* Content-Length, Content-Type, Date,
                                    Server, Connection, Last-Modified,
                                    ETag ... are fields below, not here */
    veil_str_t content_type;     /* empty: none is sent */
    veil_str_t charset;
    veil_str_t etag;        /* with quotes; empty: none */
    veil_str_t location;    /* for redirects; made absolute when sent */
    int64_t content_length; /* -1: unknown */
    int64_t last_modified;  /* seconds; -1: none */
    veil_http_body_t *body; /* NULL: empty */
    bool allow_ranges;      /* the body is ours to cut (range.c) */
    bool from_file;         /* static decides how the file is sent */
    bool own_error;         /* our page for an error that has no error_page */
    bool date_given;        /* upstream sent Date / Server: pass it */
    bool server_given;
} veil_http_out_t;

/*
 * What a protocol (HTTP/1, 2, 3, an internal sink) does for a request, and,
 * last, for a connection.  None
 * of these calls back from inside, except where said.
 */
struct veil_http_proto_s {
    const char *name;
    /*
     * Messages have frames: a body needs neither a length nor chunks, and
     * trailers may follow any, or a head alone.
     */
    bool frames;
    /*
     * The head is final and filtered: send it and then the body.  Ends in
     * veil_http_request_end(), from the loop.
     */
    void (*respond)(veil_http_request_t *r);
    /*
     * An interim response (103, 100) with these headers, now; not to a client
     * whose version has none.
     */
    void (*inform)(veil_http_request_t *r, int status,
                   const veil_http_headers_t *headers);
    /* The request's body as an origin; called at most once. */
    veil_http_body_t *(*body)(veil_http_request_t *r);
    /*
     * Answers with status and r->out.headers, then becomes a tunnel: two
     * unframed bodies.  to_client is pulled by the protocol.  Returns what
     * the client sends, whose reader lets it go with veil_http_body_abort()
     * when all of it has gone where it should, or cannot.  The request ends,
     * from the loop, when both are over so or one failed.
     */
    veil_http_body_t *(*tunnel)(veil_http_request_t *r,
                                veil_http_body_t *to_client);
    /* No response any more: drop the connection or reset the stream. */
    void (*drop)(veil_http_request_t *r);
    /* Called last by veil_http_request_end(), before the pool is retired. */
    void (*ended)(veil_http_request_t *r);
    /* Of a connection: calls fn for each request; fn may abort it. */
    void (*requests)(veil_http_conn_t *hc,
                     void (*fn)(veil_http_request_t *r, void *data),
                     void *data);
    /*
     * What the protocol knows of a request's stage: HEAD, BODY, or WORKING,
     * which is any other.  r NULL: of a connection without one: IDLE, with
     * the time since when, HEAD or CLOSING.
     */
    veil_http_stage_t (*stage)(const veil_http_conn_t *hc,
                               const veil_http_request_t *r,
                               uint64_t *since_ms);
    /*
     * Of a connection: the worker ends.  Close it after its requests and,
     * when it is idle, after a grace (drain.h).
     */
    void (*drain)(veil_http_conn_t *hc);
    /* Of a connection: close it now; requests under way are aborted. */
    void (*close)(veil_http_conn_t *hc);
};

struct veil_http_request_s {
    uint32_t magic;
    veil_pool_t *pool;
    veil_http_conn_t *conn; /* NULL: internal */
    const veil_http_proto_t *proto;
    void *stream; /* the protocol's own: h1 connection, h2 stream, sink */
    veil_loop_t *loop;
    veil_log_t log;

    veil_http_in_t in;
    veil_http_out_t out;

    /* The URI as routing sees it; rewrite changes these. */
    veil_str_t uri; /* decoded, normalised */
    veil_str_t args;
    veil_str_t exten;      /* after the last dot; a view of uri */
    bool uri_changed;      /* not what was received: escapes, dots, rewrites */
    bool add_uri_to_alias; /* try_files found it below a regex alias */
    bool internal;         /* reached by error_page, index, try_files, @name */

    /* Where it was routed. */
    const veil_http_server_t *server;
    const veil_http_location_t *location; /* NULL before routing */
    veil_str_t matched_uri;               /* r->uri when it was entered */
    void *const *main_conf;               /* by module index */
    void *const *server_conf;
    void *const *loc_conf;
    void **ctx; /* by module index; a module's state of this request */

    /* Captures of the last regex that matched: pairs of offsets. */
    veil_str_t captured; /* the subject */
    int *captures;
    unsigned ncaptures; /* pairs */

    int status;          /* of FAIL, and what is logged */
    int error_status;    /* the first error, kept over error_page */
    int override_status; /* of the response, by error_page; 0: none */
    const char *reason;  /* why it failed, for the log; may be NULL */
    uint64_t start_ms;   /* monotonic, when the head began */
    int64_t start_sec;
    unsigned start_msec;
    uint64_t bytes_sent; /* head and body */
    uint64_t body_bytes_sent;
    uint64_t bytes_received;
    uint64_t limit_rate; /* bytes a second; 0: none */
    uint64_t limit_rate_after;
    bool keepalive;   /* the connection goes on afterwards */
    bool pipelined;   /* it was there before the one before had ended */
    bool header_only; /* HEAD, 204, 304 */
    bool headers_sent;
    bool responding; /* the protocol has the response */
    bool aborted;    /* the client is gone */
    bool tunnelled;
    bool rejected;     /* it is noted in rejects.h */
    bool abort_on_eof; /* a client that ends its side is taken for gone */
    veil_array_t *upstream_states; /* of veil_upstream_state_t (upstream.h) */
    struct veil_exchange_s *exchange;     /* the latest, for log lines */
    struct veil_http_spool_s *body_spool; /* the body, if it was buffered */
    veil_http_request_t *parent;          /* of an internal request */

    /* private to pipeline.c */
    unsigned step;
    unsigned route_to; /* where REROUTE goes; 0: to routing */
    int access_denied; /* satisfy any: what a handler said, 0: nothing */
    unsigned reroutes;
    bool waiting;
    bool resumed;
    veil_http_cancel_fn *cancel;
    veil_post_t post;

    /* private to variable.c */
    struct veil_http_var_slot_s *vars;

    /* The body as it came, once it was asked for; has its trailers. */
    veil_http_body_t *body_in;

    /* private to request.c */
    struct veil_http_body_wrap_s *body_wraps;
    bool body_taken;
    bool ending;
};

/* --- ends: only these, by whoever owns the request at the moment --------- */

/*
 * Asks for an error response: return veil_http_fail(r, 403).  A status below
 * 300 is not one; 444 drops the connection without a word.
 */
veil_http_rc_t veil_http_fail(veil_http_request_t *r, int status);
/* The same and says why in the log, at the level fit for the status. */
veil_http_rc_t veil_http_fail_why(veil_http_request_t *r, int status,
                                  const char *why);

/*
 * Suspends: return veil_http_wait(r, cancel).  Whoever owes the resume calls
 * veil_http_resume() exactly once; the same handler is then called again.
 * cancel (may be NULL) is called if the client goes away meanwhile: stop what
 * is under way and resume as ever.
 */
veil_http_rc_t veil_http_wait(veil_http_request_t *r,
                              veil_http_cancel_fn *cancel);
/* Posts the run; never runs anything from inside. */
void veil_http_resume(veil_http_request_t *r);

/*
 * The client is gone, or its connection must go: wherever the request is, it
 * ends soon.  Safe at any time, also twice.
 */
void veil_http_abort(veil_http_request_t *r, const char *reason);

/* --- request.c, for protocols -------------------------------------------- */

/*
 * A request in a new pool, with its log, clock, empty headers; conn may be
 * NULL.  The protocol fills in r->in, then starts it.
 */
veil_http_request_t *veil_http_request_create(veil_http_conn_t *conn,
                                              const veil_http_proto_t *proto,
                                              void *stream);
/*
 * A request that only serves to evaluate texts with variables before there
 * is one, for the connection and its server; discarded by who made it.
 */
veil_http_request_t *veil_http_request_bare(veil_http_conn_t *conn);
/* A bare one, or one that was created and never started nor refused. */
void veil_http_request_discard(veil_http_request_t *r);
/*
 * The head is complete and r->in filled in: splits the URI, finds the server
 * by name and runs the pipeline.  A URI or Host that is not acceptable gets
 * its error response.
 */
void veil_http_request_start(veil_http_request_t *r);
/* A head that could not be parsed: error response with what is known. */
void veil_http_request_refuse(veil_http_request_t *r, int status,
                              const char *why);
/*
 * The response is sent (or there will be none): log phase, cleanups,
 * proto->ended(), and the pool is retired.  Called by the protocol.
 */
void veil_http_request_end(veil_http_request_t *r);

/*
 * The client's side broke or ended (err 0) while the request is under way:
 * logs 499 and aborts.
 */
void veil_http_client_gone(veil_http_request_t *r, int err);

/* Once in a worker: the panic report tells of requests. */
void veil_http_requests_init(void);
/* Requests alive in this worker. */
unsigned veil_http_requests(void);

/* --- bodies of requests (request.c) ---------------------------------------
 */

/*
 * The request's body for the one who wants it; NULL when there is none.  At
 * most once.  It enforces client_max_chunked_body_size (FAILED with error 413;
 * a declared length was checked with the location) and sends 100 Continue at
 * the first pull.
 */
veil_http_body_t *veil_http_request_body(veil_http_request_t *r);
/*
 * A filter of the request's body: returns a body of the request's pool that
 * reads the one below it, which is in memory, and whose reader it becomes.
 * r->in.content_length stays what the client said; the length that counts is
 * that of the body which is returned.
 */
typedef veil_http_body_t *veil_http_body_wrap_fn(veil_http_request_t *r,
                                                 veil_http_body_t *below);
/*
 * From here on veil_http_request_body() gives a body wrapped so, around those
 * that were asked for before; r->body_in stays what the client sends.  Only
 * while veil_http_request_has_body().
 */
void veil_http_request_wrap_body(veil_http_request_t *r,
                                 veil_http_body_wrap_fn *wrap);
/* Whether a body is there and nobody took it. */
bool veil_http_request_has_body(const veil_http_request_t *r);

#endif
