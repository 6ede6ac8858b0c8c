/*
 * request.c -- creates, starts and ends requests.
 *
 * The end is here and nowhere else: veil_http_request_end() runs the log
 * phase, tells the protocol and retires the pool.  Everyone else asks: by a
 * handler's result, or with veil_http_abort(), which marks the request, stops
 * whoever it waits for, and lets the one path to the end be taken.
 */

#include "core/platform.h"

#include "http/request.h"

#include "core/metric.h"
#include "core/time.h"
#include "event/tls.h"
#include "http/conn.h"
#include "http/explain.h"
#include "http/http.h"
#include "http/location.h"
#include "http/parse/uri.h"
#include "http/upstream/upstream.h"

enum {
    REQUEST_1_0,
    REQUEST_1_1,
    REQUEST_2,
    REQUEST_OTHER,
    REQUEST_1XX,
    REQUEST_2XX,
    REQUEST_3XX,
    REQUEST_4XX,
    REQUEST_5XX,
    REQUEST_NO_STATUS,
    REQUEST_ACTIVE,
    REQUEST_REFUSED,
    REQUEST_TIME
};

static const uint64_t request_times_ms[] = { 1,    2,    5,     10,    20,
                                             50,   100,  200,   500,   1000,
                                             2000, 5000, 10000, 30000, 60000 };

static veil_metric_t request_metrics[] = {
    [REQUEST_1_0] =
        VEIL_COUNTER("veil_http_requests_total", "protocol=\"http/1.0\"",
                     "Requests that have ended."),
    [REQUEST_1_1] = VEIL_COUNTER("veil_http_requests_total",
                                 "protocol=\"http/1.1\"", NULL),
    [REQUEST_2] =
        VEIL_COUNTER("veil_http_requests_total", "protocol=\"http/2\"", NULL),
    /* A request line that says none, or none that there is. */
    [REQUEST_OTHER] =
        VEIL_COUNTER("veil_http_requests_total", "protocol=\"other\"", NULL),
    [REQUEST_1XX] =
        VEIL_COUNTER("veil_http_responses_total", "status=\"1xx\"",
                     "Requests that have ended, by the class of the "
                     "response's status."),
    [REQUEST_2XX] =
        VEIL_COUNTER("veil_http_responses_total", "status=\"2xx\"", NULL),
    [REQUEST_3XX] =
        VEIL_COUNTER("veil_http_responses_total", "status=\"3xx\"", NULL),
    [REQUEST_4XX] =
        VEIL_COUNTER("veil_http_responses_total", "status=\"4xx\"", NULL),
    [REQUEST_5XX] =
        VEIL_COUNTER("veil_http_responses_total", "status=\"5xx\"", NULL),
    [REQUEST_NO_STATUS] =
        VEIL_COUNTER("veil_http_responses_total", "status=\"none\"", NULL),
    [REQUEST_ACTIVE] = VEIL_GAUGE("veil_http_requests_active", NULL,
                                  "Requests that are worked on."),
    [REQUEST_REFUSED] = VEIL_COUNTER(
        "veil_http_requests_refused_total", NULL,
        "Requests that were refused before any location saw them."),
    [REQUEST_TIME] =
        VEIL_HISTOGRAM("veil_http_request_duration_seconds", NULL,
                       "From the beginning of a request to its end.",
                       request_times_ms, 0.001),
};
VEIL_METRICS(request_metrics);

static unsigned request_count;
static veil_http_request_t *request_current; /* for the panic report */

unsigned
veil_http_requests(void)
{
    return request_count;
}

/* --- log lines -------------------------------------------------------------
 */

static size_t
request_print(const veil_log_t *log, char *buf, size_t n)
{
    const veil_http_request_t *r =
        veil_container_of((void *) (uintptr_t) log, veil_http_request_t, log);
    char addr[VEIL_ADDR_TEXT_MAX];
    veil_str_t host;
    size_t len = 0;

    if (r->conn != NULL) {
        len = veil_addr_print_ip(&r->conn->c.peer, addr, sizeof(addr));
        len = veil_snprintf(buf, n, ", client: %.*s", (int) len, addr);
    }
    if (r->server != NULL) {
        len += veil_snprintf(buf + len, n - len, ", server: %.*s",
                             VEIL_STR_ARG(r->server->name));
    }
    if (r->in.request_line.len != 0) {
        len += veil_snprintf(buf + len, n - len, ", request: \"%.*s\"",
                             VEIL_STR_ARG(r->in.request_line));
    }
    if (r->exchange != NULL) {
        len += veil_exchange_print(r->exchange, buf + len, n - len);
    }
    host = veil_http_headers_value(&r->in.headers, VEIL_HEADER_HOST);
    if (host.len != 0) {
        len += veil_snprintf(buf + len, n - len, ", host: \"%.*s\"",
                             VEIL_STR_ARG(host));
    }
    return len;
}

static size_t
request_print_panic(char *buf, size_t n)
{
    const veil_http_request_t *r = request_current;

    if (r == NULL || r->magic != VEIL_HTTP_REQUEST_MAGIC) {
        return veil_snprintf(buf, n, "none");
    }
    return veil_snprintf(
        buf, n, "%p \"%.*s\" uri \"%.*s\" step %u status %d%s%s%s",
        (const void *) r, VEIL_STR_ARG(r->in.request_line),
        VEIL_STR_ARG(r->uri), r->step, r->status, r->waiting ? " waiting" : "",
        r->responding ? " responding" : "", r->aborted ? " aborted" : "");
}

void
veil_http_requests_init(void)
{
    veil_panic_register("request", request_print_panic);
}

/* --- the beginning ----------------------------------------------------------
 */

veil_http_request_t *
veil_http_request_create(veil_http_conn_t *conn,
                         const veil_http_proto_t *proto, void *stream)
{
    const veil_http_core_server_t *conf = veil_http_conn_server(conn);
    size_t ctx = conn->server->main->nmodules * sizeof(void *);
    veil_http_request_t *r;
    veil_pool_t *pool;

    pool = veil_pool_create("request", (size_t) conf->request_pool_size);
    r = veil_pool_zalloc(pool, sizeof(*r) + ctx);
    r->magic = VEIL_HTTP_REQUEST_MAGIC;
    r->pool = pool;
    r->conn = conn;
    r->proto = proto;
    r->stream = stream;
    r->loop = conn->c.handle.loop;
    r->ctx = (void **) (r + 1);
    r->log = conn->c.log;
    r->log.print = request_print;
    r->start_ms = veil_now_ms();
    r->start_sec = veil_clock.sec;
    r->start_msec = veil_clock.msec;
    r->in.scheme = conn->secure ? VEIL_STR("https") : VEIL_STR("http");
    /* Without a session there was no handshake: the request is explained. */
    r->in.early = conn->secure && veil_tls_of(&conn->c) != NULL
                  && veil_tls_is_early(veil_tls_of(&conn->c));
    r->in.content_length = -1;
    r->in.headers.pool = pool;
    r->out.content_length = -1;
    r->out.last_modified = -1;
    r->out.headers.pool = pool;
    request_count++;
    veil_metric_set(&request_metrics[REQUEST_ACTIVE], request_count);
    request_current = r;
    return r;
}

static void
request_enter_server(veil_http_request_t *r, veil_http_server_t *s)
{
    r->server = s;
    r->main_conf = s->main_conf;
    r->server_conf = s->server_conf;
    veil_http_location_enter(r, s->root);
    r->location = NULL;
}

/* It is neither started nor answered, so nothing here is ever called. */
static const veil_http_proto_t request_bare_proto = { .name = "none" };

veil_http_request_t *
veil_http_request_bare(veil_http_conn_t *conn)
{
    veil_http_request_t *r =
        veil_http_request_create(conn, &request_bare_proto, NULL);

    request_enter_server(r, conn->server);
    return r;
}

void
veil_http_request_discard(veil_http_request_t *r)
{
    veil_pool_t *pool = r->pool;

    VEIL_CHECK(r, VEIL_HTTP_REQUEST);
    VEIL_ASSERT(r->server == NULL || r->proto == &request_bare_proto);
    r->magic = VEIL_MAGIC_DEAD;
    request_current = NULL;
    request_count--;
    veil_metric_set(&request_metrics[REQUEST_ACTIVE], request_count);
    veil_pool_retire(&pool);
}

static void
request_lower_host(veil_http_request_t *r)
{
    char *p;

    if (r->in.host_is_lower || r->in.host.len == 0) {
        return;
    }
    p = veil_pool_chars(r->pool, r->in.host.len);
    veil_str_lower(p, r->in.host.data, r->in.host.len);
    r->in.host.data = p;
    r->in.host_is_lower = true;
}

static veil_http_parse_t
request_split_uri(veil_http_request_t *r)
{
    veil_http_uri_t uri;
    veil_http_parse_t e;

    e = veil_http_uri_parse(
        r->pool, r->in.target,
        veil_http_core_server(r)->merge_slashes ? VEIL_URI_MERGE_SLASHES : 0,
        &uri);
    if (e != VEIL_PARSE_OK) {
        return e;
    }
    r->uri = uri.path;
    r->in.path = uri.path;
    r->args = uri.args;
    r->exten = uri.ext;
    r->uri_changed = uri.changed;
    return VEIL_PARSE_OK;
}

/*
 * It has no path, and no body (RFC 9110, 9.3.6): what a length would be of is
 * what the tunnel carries.  Locations see it as "/".
 */
static void
request_connect(veil_http_request_t *r)
{
    r->keepalive = false;
    if (!r->server->main->connects) {
        veil_http_request_refuse(r, 405, "a CONNECT request");
        return;
    }
    if (r->in.host.len == 0 || r->in.host_port == 0) {
        veil_http_request_refuse(r, 400, "a CONNECT request without a port");
        return;
    }
    if (veil_http_headers_may_have(&r->in.headers, VEIL_HEADER_CONTENT_LENGTH)
        || veil_http_headers_may_have(&r->in.headers,
                                      VEIL_HEADER_TRANSFER_ENCODING))
    {
        veil_http_request_refuse(r, 400, "a CONNECT request with a body");
        return;
    }
    r->uri = VEIL_STR("/");
    r->in.path = r->uri;
    veil_http_run(r);
}

void
veil_http_request_start(veil_http_request_t *r)
{
    veil_http_parse_t e;

    VEIL_CHECK(r, VEIL_HTTP_REQUEST);
    request_current = r;

    request_lower_host(r);
    request_enter_server(r,
                         veil_http_server_find(r->conn->port, r->in.host, r));

    if (r->in.form == VEIL_TARGET_AUTHORITY || r->in.method == VEIL_CONNECT) {
        request_connect(r);
        return;
    }
    if (r->in.method == VEIL_TRACE) {
        r->keepalive = false;
        veil_http_request_refuse(r, 405, "a TRACE request");
        return;
    }
    e = request_split_uri(r);
    if (e != VEIL_PARSE_OK) {
        veil_http_request_refuse(r, veil_http_parse_status(e),
                                 veil_http_parse_reason(e));
        return;
    }
    if (r->conn->port->ssl && !r->conn->secure) {
        r->keepalive = false;
        veil_http_request_refuse(r, 497, "plain HTTP request to HTTPS port");
        return;
    }
    veil_http_run(r);
}

void
veil_http_request_refuse(veil_http_request_t *r, int status, const char *why)
{
    VEIL_CHECK(r, VEIL_HTTP_REQUEST);

    veil_metric_inc(&request_metrics[REQUEST_REFUSED]);
    if (r->server == NULL) {
        request_enter_server(r, r->conn->server);
    }
    r->reason = why;
    r->status = status;
    if (status == 408) {
        veil_log(&r->log, VEIL_LOG_INFO, ETIMEDOUT, "%s", why);
    } else {
        veil_log(&r->log, VEIL_LOG_INFO, 0, "client sent %s", why);
    }
    veil_http_send_error(r);
}

/* --- the end ----------------------------------------------------------------
 */

veil_http_rc_t
veil_http_fail(veil_http_request_t *r, int status)
{
    r->status = status;
    return VEIL_HTTP_FAIL;
}

veil_http_rc_t
veil_http_fail_why(veil_http_request_t *r, int status, const char *why)
{
    r->status = status;
    r->reason = why;
    veil_log(&r->log, status >= 500 ? VEIL_LOG_ERR : VEIL_LOG_INFO, 0, "%s",
             why);
    return VEIL_HTTP_FAIL;
}

void
veil_http_abort(veil_http_request_t *r, const char *reason)
{
    veil_http_cancel_fn *cancel = r->cancel;

    VEIL_CHECK(r, VEIL_HTTP_REQUEST);
    if (r->aborted) {
        return;
    }
    r->aborted = true;
    r->keepalive = false;
    if (reason != NULL) {
        r->reason = reason;
    }

    if (!r->waiting) {
        r->proto->drop(r);
        return;
    }
    if (!r->resumed && cancel != NULL) {
        r->cancel = NULL;
        cancel(r);
    }
}

void
veil_http_client_gone(veil_http_request_t *r, int err)
{
    if (r->aborted) {
        return;
    }
    veil_log(&r->log, VEIL_LOG_INFO, -err,
             "client prematurely closed connection");
    if (!r->headers_sent) {
        r->status = 499;
        r->out.status = 499;
    }
    veil_http_abort(r, NULL);
}

static void
request_count_it(const veil_http_request_t *r)
{
    unsigned protocol = r->in.version == 11   ? REQUEST_1_1
                        : r->in.version == 20 ? REQUEST_2
                        : r->in.version == 10 ? REQUEST_1_0
                                              : REQUEST_OTHER;
    unsigned class =
        (unsigned) (r->out.status != 0 ? r->out.status : r->status) / 100;

    veil_metric_inc(&request_metrics[protocol]);
    veil_metric_inc(
        &request_metrics[class >= 1 && class <= 5 ? REQUEST_1XX + class - 1
                                                  : REQUEST_NO_STATUS]);
    veil_metric_observe(&request_metrics[REQUEST_TIME],
                        veil_now_ms() - r->start_ms);
}

void
veil_http_request_end(veil_http_request_t *r)
{
    veil_pool_t *pool = r->pool;

    VEIL_CHECK(r, VEIL_HTTP_REQUEST);
    VEIL_ASSERT(!r->ending);
    VEIL_ASSERT(!r->waiting);
    r->ending = true;
    request_current = r;

    if (r->out.body != NULL && !r->responding) {
        veil_http_body_abort(r->out.body);
        r->out.body = NULL;
    }
    if (veil_http_is_explained()) {
        veil_http_explain_end(r);
    } else {
        veil_http_run_log(r);
        request_count_it(r);
    }
    r->proto->ended(r);

    r->magic = VEIL_MAGIC_DEAD;
    request_current = NULL;
    request_count--;
    veil_pool_retire(&pool);
}

/* --- the body
 * ---------------------------------------------------------------- */

bool
veil_http_request_has_body(const veil_http_request_t *r)
{
    return r->in.has_body && !r->body_taken;
}

/* One veil_http_request_wrap_body(); the innermost is the first. */
struct veil_http_body_wrap_s {
    veil_http_body_wrap_fn *fn;
    struct veil_http_body_wrap_s *next;
};

void
veil_http_request_wrap_body(veil_http_request_t *r,
                            veil_http_body_wrap_fn *wrap)
{
    struct veil_http_body_wrap_s *w, **last = &r->body_wraps;

    VEIL_ASSERT(veil_http_request_has_body(r));
    w = veil_pool_zalloc(r->pool, sizeof(*w));
    w->fn = wrap;
    while (*last != NULL) {
        last = &(*last)->next;
    }
    *last = w;
}

veil_http_body_t *
veil_http_request_body(veil_http_request_t *r)
{
    const struct veil_http_body_wrap_s *w;
    veil_http_body_t *body;

    if (!r->in.has_body) {
        return NULL;
    }
    VEIL_ASSERT(!r->body_taken);
    r->body_taken = true;
    r->body_in = r->proto->body(r);
    body = r->body_in;
    for (w = r->body_wraps; w != NULL; w = w->next) {
        body = w->fn(r, body);
    }
    return body;
}
