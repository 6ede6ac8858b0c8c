/*
 * ssl_ocsp_fetch.c -- one question to an OCSP responder.
 *
 * What went wrong is logged in one line, after the exchange's own.  A response
 * is read whole, which a limit allows, and then checked: there is nothing to
 * be done with a part of it.
 */

#include "modules/ssl_ocsp/ssl_ocsp.h"

static const veil_upstream_conf_t ssl_ocsp_upstream = {
    .connect_timeout = 10000,
    .send_timeout = 10000,
    .read_timeout = 30000,
    .next = VEIL_NEXT_ERROR | VEIL_NEXT_TIMEOUT | VEIL_NEXT_INVALID_HEADER,
    .header_buffer_size = 8192,
    .buffers_n = 4,
    .buffer_size = 8192,
};

/* --- whom to ask ----------------------------------------------------------
 */

/* What is written into a request must not be able to end it. */
static bool
ssl_ocsp_is_url(veil_str_t url)
{
    size_t i;

    for (i = 0; i < url.len; i++) {
        if ((unsigned char) url.data[i] <= ' ' || url.data[i] == 0x7f) {
            return false;
        }
    }
    return veil_str_casestarts(url, VEIL_STR("http://"));
}

const char *
veil_ssl_ocsp_host(veil_str_t url, veil_str_t *host)
{
    veil_hostport_t hp;
    size_t n;

    if (!ssl_ocsp_is_url(url)) {
        return "invalid URL prefix";
    }
    *host = veil_str_from(url, sizeof("http://") - 1);
    for (n = 0; n < host->len; n++) {
        if (host->data[n] == '/' || host->data[n] == '?') {
            break;
        }
    }
    host->len = n;
    if (!veil_hostport_parse(&hp, *host) || hp.is_unix || hp.host.len == 0) {
        return "invalid host";
    }
    return NULL;
}

const char *
veil_ssl_ocsp_target(veil_pool_t *pool, veil_str_t url, struct x509_st *cert,
                     struct x509_st *issuer, veil_ssl_ocsp_target_t *target)
{
    veil_str_t request = veil_ocsp_request(pool, cert, issuer);
    veil_str_t full = veil_ocsp_get_url(pool, url, request);
    const char *why;

    target->request = full.len == 0 ? request : VEIL_STR_NULL;
    if (full.len == 0) {
        full = veil_pool_str(pool, url);
    }
    why = veil_ssl_ocsp_host(full, &target->host);
    if (why != NULL) {
        return why;
    }
    target->path = veil_str_from(full, sizeof("http://") - 1);
    target->path = veil_str_from(target->path, target->host.len);
    if (target->path.len == 0 || target->path.data[0] != '/') {
        target->path =
            veil_pool_printf(pool, "/%.*s", VEIL_STR_ARG(target->path));
    }
    return NULL;
}

/* --- the answer -----------------------------------------------------------
 */

static void
ssl_ocsp_fail(veil_ssl_ocsp_fetch_t *f, const char *why)
{
    veil_log(f->log, VEIL_LOG_ERR, 0, "%s", why);
    f->done(f, VEIL_ERROR);
}

/* All of the response is there. */
static void
ssl_ocsp_check(veil_ssl_ocsp_fetch_t *f)
{
    f->query.now = veil_clock.sec;
    if (veil_ocsp_check(veil_str_n(f->der, f->len), &f->query, &f->result)
        != VEIL_OK)
    {
        ssl_ocsp_fail(f, f->result.error);
        return;
    }
    if (f->result.next_update <= veil_clock.sec) {
        /* Clocks may differ, but nobody has any use for it. */
        ssl_ocsp_fail(f, "the OCSP response has expired");
        return;
    }
    f->done(f, VEIL_OK);
}

/* Copies the slices; false: there are too many of them. */
static bool
ssl_ocsp_copy(veil_ssl_ocsp_fetch_t *f, const veil_slice_t *v, unsigned n)
{
    size_t len = 0;
    unsigned i;

    for (i = 0; i < n; i++) {
        if (v[i].len > sizeof(f->der) - f->len) {
            return false;
        }
        memcpy(f->der + f->len, v[i].data, v[i].len);
        f->len += v[i].len;
        len += v[i].len;
    }
    if (len != 0) {
        veil_http_body_consume(f->x.response, len);
    }
    return true;
}

static void
ssl_ocsp_read(void *data)
{
    veil_ssl_ocsp_fetch_t *f = data;
    veil_body_rc_t rc = VEIL_BODY_DATA;
    veil_slice_t v[8];
    unsigned n;

    while (f->x.response != NULL && rc != VEIL_BODY_END) {
        n = veil_countof(v);
        rc = veil_http_body_pull(f->x.response, v, &n, sizeof(f->der) + 1);
        if (rc == VEIL_BODY_LATER) {
            return;
        }
        if (rc == VEIL_BODY_FAILED) {
            ssl_ocsp_fail(f, "OCSP responder prematurely closed connection");
            return;
        }
        if (!ssl_ocsp_copy(f, v, n)) {
            ssl_ocsp_fail(f, "OCSP responder sent too long a response");
            return;
        }
    }
    ssl_ocsp_check(f);
}

static void
ssl_ocsp_on_head(veil_exchange_t *x, int err)
{
    veil_ssl_ocsp_fetch_t *f = x->owner;
    char why[256];
    veil_str_t type;

    if (err != 0) {
        /* Why was logged by the exchange. */
        ssl_ocsp_fail(f, err == 504 ? "OCSP responder timed out"
                                    : "OCSP responder could not be asked");
        return;
    }
    if (x->status != 200) {
        (void) veil_snprintf(why, sizeof(why),
                             "OCSP responder answered with %d", x->status);
        ssl_ocsp_fail(f, why);
        return;
    }
    type = veil_http_headers_value(&x->headers, VEIL_HEADER_CONTENT_TYPE);
    if (!veil_str_caseeq(type, VEIL_STR("application/ocsp-response"))) {
        (void) veil_snprintf(why, sizeof(why),
                             "OCSP responder sent invalid \"Content-Type\" "
                             "header: \"%.*s\"",
                             VEIL_STR_ARG(type));
        ssl_ocsp_fail(f, why);
        return;
    }
    if (x->response != NULL) {
        veil_http_body_set_reader(x->response, ssl_ocsp_read, f);
    }
    ssl_ocsp_read(f);
}

static void
ssl_ocsp_on_timeout(veil_timer_t *t)
{
    veil_ssl_ocsp_fetch_t *f =
        veil_container_of(t, veil_ssl_ocsp_fetch_t, timer);

    ssl_ocsp_fail(f, "OCSP responder timed out");
}

/* --- the life of a question -----------------------------------------------
 */

veil_ssl_ocsp_fetch_t *
veil_ssl_ocsp_fetch_create(void)
{
    veil_pool_t *pool = veil_pool_create("ocsp", 2048);
    veil_ssl_ocsp_fetch_t *f = VEIL_POOL_NEW(pool, veil_ssl_ocsp_fetch_t);

    f->pool = pool;
    veil_timer_init(&f->timer, ssl_ocsp_on_timeout);
    return f;
}

void
veil_ssl_ocsp_fetch_start(veil_ssl_ocsp_fetch_t *f)
{
    const veil_ssl_ocsp_target_t *target = &f->target;
    veil_exchange_t *x = &f->x;
    veil_str_t more = VEIL_STR("\r\n");

    if (target->request.len != 0) {
        more = veil_pool_printf(f->pool,
                                "Content-Type: application/ocsp-request\r\n"
                                "Content-Length: %zu\r\n\r\n",
                                target->request.len);
        x->body = veil_http_body_text(f->pool, target->request);
    }
    x->head = veil_pool_printf(f->pool,
                               "%s %.*s HTTP/1.1\r\n"
                               "Host: %.*s\r\n"
                               "Connection: close\r\n"
                               "%.*s",
                               x->body == NULL ? "GET" : "POST",
                               VEIL_STR_ARG(target->path),
                               VEIL_STR_ARG(target->host), VEIL_STR_ARG(more));
    x->pool = f->pool;
    x->loop = f->loop;
    x->log = f->log;
    x->conf = &ssl_ocsp_upstream;
    x->group = f->group;
    x->uri = target->path;
    x->idempotent = true;
    x->on_head = ssl_ocsp_on_head;
    x->owner = f;
    f->log->action = "while requesting certificate status";
    veil_timer_set(f->loop, &f->timer, VEIL_SSL_OCSP_TIMEOUT_SEC * 1000);
    veil_exchange_start(x);
}

void
veil_ssl_ocsp_fetch_end(veil_ssl_ocsp_fetch_t **fetch)
{
    veil_ssl_ocsp_fetch_t *f = *fetch;
    veil_pool_t *pool = f->pool;

    *fetch = NULL;
    f->log->action = NULL;
    veil_timer_cancel(&f->timer);
    if (f->x.magic != 0) {
        veil_exchange_abort(&f->x);
    }
    veil_pool_retire(&pool);
}

size_t
veil_ssl_ocsp_print(const veil_ssl_ocsp_fetch_t *f, veil_str_t host,
                    veil_str_t certificate, char *buf, size_t n)
{
    size_t len = 0;

    if (host.len != 0) {
        len = veil_snprintf(buf, n, ", responder: %.*s", VEIL_STR_ARG(host));
    }
    if (f != NULL && f->x.state != NULL) {
        len += veil_snprintf(buf + len, n - len, ", peer: %.*s",
                             VEIL_STR_ARG(f->x.state->peer));
    }
    return len
           + veil_snprintf(buf + len, n - len, ", certificate: \"%.*s\"",
                           VEIL_STR_ARG(certificate));
}
