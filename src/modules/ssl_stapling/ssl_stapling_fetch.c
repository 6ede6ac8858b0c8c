/*
 * ssl_stapling_fetch.c -- what a worker does for staples: look into the slot,
 * ask the responder, hand on what came.  When, says ssl_stapling.h.
 *
 * A question is an exchange (http/upstream.h) without a request, in a pool of
 * its own.  What went wrong is logged in one line, after the exchange's, and
 * nothing else comes of it but another question later: what is being sent
 * goes on until it expires.
 */

#include "modules/ssl_stapling/ssl_stapling.h"

#include "core/cycle.h"
#include "core/ocsp.h"
#include "http/conn.h"

/* An hour: as nginx, even if the response is good for a week. */
#define SSL_STAPLE_REFRESH_MAX 3600
/* A response that hardly lives is not asked for without a pause. */
#define SSL_STAPLE_REFRESH_MIN 5
#define SSL_STAPLE_RETRY_MAX 300
/* An answer takes no longer than this, or is none; seconds. */
#define SSL_STAPLE_TIMEOUT 60
#define SSL_STAPLE_POLL_MS 500

/* A question under way; in a pool of its own. */
struct ssl_fetch_s {
    veil_pool_t *pool;
    ssl_staple_t *staple;
    int64_t deadline;
    veil_exchange_t x;
    size_t len;
    char der[SSL_STAPLE_MAX];
};

static void ssl_staple_turn(ssl_staple_t *s);

/* --- asking ---------------------------------------------------------------
 */

static const veil_upstream_conf_t ssl_staple_upstream = {
    .connect_timeout = 10000,
    .send_timeout = 10000,
    .read_timeout = 30000,
    .next = VEIL_NEXT_ERROR | VEIL_NEXT_TIMEOUT | VEIL_NEXT_INVALID_HEADER,
    .header_buffer_size = 8192,
    .buffers_n = 4,
    .buffer_size = 8192,
};

static size_t
ssl_staple_print(const veil_log_t *log, char *buf, size_t n)
{
    const ssl_staple_t *s =
        veil_container_of((void *) (uintptr_t) log, ssl_staple_t, log);
    const veil_upstream_state_t *state =
        s->fetch == NULL ? NULL : s->fetch->x.state;
    size_t len;

    len = veil_snprintf(buf, n, ", responder: %.*s", VEIL_STR_ARG(s->host));
    if (state != NULL) {
        len += veil_snprintf(buf + len, n - len, ", peer: %.*s",
                             VEIL_STR_ARG(state->peer));
    }
    return len
           + veil_snprintf(buf + len, n - len, ", certificate: \"%.*s\"",
                           VEIL_STR_ARG(s->name));
}

/* What a dead holder of the lock left is not trusted. */
static ssl_slot_t *
ssl_slot_lock(ssl_staple_t *s)
{
    ssl_slot_t *slot = s->zone->addr;

    if (!veil_lock(&slot->lock)) {
        slot->len = 0;
        slot->valid = 0;
        slot->refresh = 0;
        slot->busy_until = 0;
        slot->failures = 0;
        slot->version++;
        veil_lock_mend(&slot->lock);
    }
    return slot;
}

static void
ssl_fetch_end(ssl_staple_t *s)
{
    veil_pool_t *pool = s->fetch->pool;

    veil_exchange_abort(&s->fetch->x);
    s->fetch = NULL;
    s->log.action = NULL;
    veil_pool_retire(&pool);
}

/* The reason has been logged. */
static void
ssl_fetch_failed(ssl_staple_t *s)
{
    ssl_slot_t *slot;
    int64_t pause;

    ssl_fetch_end(s);
    slot = ssl_slot_lock(s);
    pause = slot->failures < 9 ? 1 << slot->failures : SSL_STAPLE_RETRY_MAX;
    slot->failures++;
    slot->refresh = veil_clock.sec + pause;
    slot->busy_until = 0;
    veil_unlock(&slot->lock);
    ssl_staple_turn(s);
}

static void
ssl_fetch_good(ssl_staple_t *s, int64_t valid)
{
    int64_t now = veil_clock.sec, pause = (valid - now) / 2;
    const ssl_fetch_t *f = s->fetch;
    ssl_slot_t *slot;

    if (pause > SSL_STAPLE_REFRESH_MAX) {
        pause = SSL_STAPLE_REFRESH_MAX;
    } else if (pause < SSL_STAPLE_REFRESH_MIN) {
        pause = SSL_STAPLE_REFRESH_MIN;
    }
    veil_log(&s->log, VEIL_LOG_INFO, 0,
             "OCSP response received, %zu bytes, next in %d s", f->len,
             (int) pause);
    slot = ssl_slot_lock(s);
    memcpy(slot->der, f->der, f->len);
    slot->len = (uint32_t) f->len;
    slot->valid = valid;
    slot->refresh = now + pause;
    slot->busy_until = 0;
    slot->failures = 0;
    slot->version++;
    veil_unlock(&slot->lock);
    ssl_fetch_end(s);
    ssl_staple_turn(s);
}

/* All of the response is there. */
static void
ssl_fetch_check(ssl_staple_t *s)
{
    veil_ocsp_query_t query = { .cert = s->cert,
                                .issuer = s->issuer,
                                .now = veil_clock.sec,
                                .verify = s->verify };
    veil_ocsp_result_t result;

    if (veil_ocsp_check(veil_str_n(s->fetch->der, s->fetch->len), &query,
                        &result)
        != VEIL_OK)
    {
        veil_log(&s->log, VEIL_LOG_ERR, 0, "%s", result.error);
    } else if (result.status != VEIL_OCSP_GOOD) {
        veil_log(&s->log, VEIL_LOG_ERR, 0,
                 "certificate status \"%s\" in the OCSP response",
                 veil_ocsp_status_name(result.status));
    } else if (result.next_update <= veil_clock.sec) {
        /* Clocks may differ, but a client would refuse it. */
        veil_log(&s->log, VEIL_LOG_ERR, 0, "the OCSP response has expired");
    } else {
        ssl_fetch_good(s, result.next_update);
        return;
    }
    ssl_fetch_failed(s);
}

/* Copies the slices; false: there are too many of them. */
static bool
ssl_fetch_copy(ssl_fetch_t *f, const veil_slice_t *v, unsigned n)
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
ssl_fetch_read(void *data)
{
    ssl_fetch_t *f = data;
    veil_body_rc_t rc = VEIL_BODY_END;
    veil_slice_t v[8];
    unsigned n;

    while (f->x.response != NULL) {
        n = veil_countof(v);
        rc = veil_http_body_pull(f->x.response, v, &n, sizeof(f->der) + 1);
        if (rc == VEIL_BODY_LATER) {
            return;
        }
        if (rc == VEIL_BODY_FAILED) {
            veil_log(&f->staple->log, VEIL_LOG_ERR, 0,
                     "OCSP responder prematurely closed connection");
            ssl_fetch_failed(f->staple);
            return;
        }
        if (!ssl_fetch_copy(f, v, n)) {
            veil_log(&f->staple->log, VEIL_LOG_ERR, 0,
                     "OCSP responder sent a response of more than %d bytes",
                     SSL_STAPLE_MAX);
            ssl_fetch_failed(f->staple);
            return;
        }
        if (rc == VEIL_BODY_END) {
            break;
        }
    }
    ssl_fetch_check(f->staple);
}

static void
ssl_fetch_on_head(veil_exchange_t *x, int err)
{
    ssl_fetch_t *f = x->owner;
    const veil_log_t *log = &f->staple->log;
    veil_str_t type;

    if (err == 0 && x->status == 200) {
        type = veil_http_headers_value(&x->headers, VEIL_HEADER_CONTENT_TYPE);
        if (veil_str_caseeq(type, VEIL_STR("application/ocsp-response"))) {
            if (x->response != NULL) {
                veil_http_body_set_reader(x->response, ssl_fetch_read, f);
            }
            ssl_fetch_read(f);
            return;
        }
        veil_log(log, VEIL_LOG_ERR, 0,
                 "OCSP responder sent invalid \"Content-Type\" header: "
                 "\"%.*s\"",
                 VEIL_STR_ARG(type));
    } else if (err == 0) {
        veil_log(log, VEIL_LOG_ERR, 0, "OCSP responder answered with %d",
                 x->status);
    } else if (err == 504) {
        veil_log(log, VEIL_LOG_ERR, 0, "OCSP responder timed out");
    } else {
        /* Why was logged by the exchange. */
        veil_log(log, VEIL_LOG_ERR, 0, "OCSP responder could not be asked");
    }
    ssl_fetch_failed(f->staple);
}

static void
ssl_staple_ask(ssl_staple_t *s)
{
    veil_pool_t *pool = veil_pool_create("ocsp", 2048);
    ssl_fetch_t *f = VEIL_POOL_NEW(pool, ssl_fetch_t);
    veil_exchange_t *x = &f->x;

    s->fetch = f;
    s->log.action = "while requesting certificate status";
    f->pool = pool;
    f->staple = s;
    f->deadline = veil_clock.sec + SSL_STAPLE_TIMEOUT;
    x->pool = pool;
    x->loop = s->loop;
    x->log = &s->log;
    x->conf = &ssl_staple_upstream;
    x->group = s->group;
    x->uri = s->path;
    x->idempotent = true;
    x->on_head = ssl_fetch_on_head;
    x->owner = f;
    if (s->request.len == 0) {
        x->head =
            veil_pool_printf(pool,
                             "GET %.*s HTTP/1.1\r\n"
                             "Host: %.*s\r\n"
                             "Connection: close\r\n\r\n",
                             VEIL_STR_ARG(s->path), VEIL_STR_ARG(s->host));
    } else {
        x->head = veil_pool_printf(pool,
                                   "POST %.*s HTTP/1.1\r\n"
                                   "Host: %.*s\r\n"
                                   "Connection: close\r\n"
                                   "Content-Type: application/ocsp-request\r\n"
                                   "Content-Length: %zu\r\n\r\n",
                                   VEIL_STR_ARG(s->path),
                                   VEIL_STR_ARG(s->host), s->request.len);
        x->body = veil_http_body_text(pool, s->request);
    }
    veil_exchange_start(x);
}

/* --- the timer ------------------------------------------------------------
 */

static void
ssl_staple_set(ssl_staple_t *s, const void *der, size_t len)
{
    veil_tls_ctx_set_staple(s->ctx, s->index, der, len);
    s->sent = len != 0;
}

static void
ssl_staple_expire(ssl_staple_t *s)
{
    if (s->sent && s->valid <= veil_clock.sec) {
        veil_log(&s->log, VEIL_LOG_WARN, 0,
                 "the OCSP response has expired: none is sent");
        ssl_staple_set(s, NULL, 0);
    }
}

/* When, in ms, there is something to do at t or when what is sent expires. */
static uint64_t
ssl_staple_pause(const ssl_staple_t *s, int64_t t)
{
    int64_t ms;

    if (s->sent && s->valid < t) {
        t = s->valid;
    }
    ms = (t - veil_clock.sec) * 1000 - veil_clock.msec;
    return ms < 10 ? 10 : (uint64_t) ms;
}

/* What there is to do, and when to look again. */
static void
ssl_staple_turn(ssl_staple_t *s)
{
    ssl_slot_t *slot = ssl_slot_lock(s);
    int64_t now = veil_clock.sec;
    uint64_t pause = SSL_STAPLE_POLL_MS;
    bool ask = false;

    if (slot->version != s->version) {
        s->version = slot->version;
        s->valid = slot->valid;
        ssl_staple_set(s, slot->der, slot->valid > now ? slot->len : 0);
    }
    /* A time that is too far away is that of a clock that was set back. */
    if (slot->refresh > now
        && slot->refresh <= now + 2 * SSL_STAPLE_REFRESH_MAX) {
        pause = ssl_staple_pause(s, slot->refresh);
    } else if (slot->busy_until <= now
               || slot->busy_until > now + 2 * SSL_STAPLE_TIMEOUT)
    {
        ask = true;
        /* Longer than it can take. */
        slot->busy_until = now + SSL_STAPLE_TIMEOUT + 5;
    }
    veil_unlock(&slot->lock);

    ssl_staple_expire(s);
    if (ask) {
        ssl_staple_ask(s);
        pause = ssl_staple_pause(s, s->fetch->deadline);
    }
    veil_timer_set(s->loop, &s->timer, pause);
}

static void
ssl_staple_fired(veil_timer_t *t)
{
    ssl_staple_t *s = veil_container_of(t, ssl_staple_t, timer);

    if (s->fetch == NULL) {
        /* New connections go to others by now. */
        if (!veil_http_is_draining()) {
            ssl_staple_turn(s);
        }
        return;
    }
    if (s->fetch->deadline <= veil_clock.sec) {
        veil_log(&s->log, VEIL_LOG_ERR, 0, "OCSP responder timed out");
        ssl_fetch_failed(s);
        return;
    }
    ssl_staple_expire(s);
    veil_timer_set(s->loop, &s->timer,
                   ssl_staple_pause(s, s->fetch->deadline));
}

/* NULL: there is none. */
static ssl_staple_t *
ssl_staple_at(const veil_cycle_t *cycle, unsigned i)
{
    const veil_http_main_t *m = cycle->http;
    const ssl_stapling_main_t *main = veil_conf_read_of(
        m->scope, &veil_http_ssl_stapling_module, VEIL_CONF_OF_MAIN);

    if (main->staples == NULL || i >= main->staples->n) {
        return NULL;
    }
    return *veil_array_at(main->staples, ssl_staple_t *, i);
}

veil_rc_t
veil_ssl_stapling_init_worker(veil_cycle_t *cycle)
{
    ssl_staple_t *s;
    unsigned i;

    for (i = 0; (s = ssl_staple_at(cycle, i)) != NULL; i++) {
        s->loop = cycle->loop;
        s->log = cycle->log;
        s->log.print = ssl_staple_print;
        veil_timer_init(&s->timer, ssl_staple_fired);
        /* Hundreds of certificates are not asked about all at once. */
        veil_timer_set(s->loop, &s->timer, (uint64_t) 10 * i);
    }
    return VEIL_OK;
}

void
veil_ssl_stapling_exit_worker(veil_cycle_t *cycle)
{
    ssl_slot_t *slot;
    ssl_staple_t *s;
    unsigned i;

    for (i = 0; (s = ssl_staple_at(cycle, i)) != NULL; i++) {
        veil_timer_cancel(&s->timer);
        if (s->fetch != NULL) {
            ssl_fetch_end(s);
            slot = ssl_slot_lock(s);
            slot->busy_until = 0;
            veil_unlock(&slot->lock);
        }
    }
}
