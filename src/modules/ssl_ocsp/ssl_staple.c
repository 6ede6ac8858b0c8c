/*
 * ssl_staple.c -- what a worker does for staples: look into the slot, ask the
 * responder, hand on what came.  When, says ssl_stapling.h.
 *
 * Nothing comes of a failure but another question later: what is being sent
 * goes on until it expires.
 */

#include "modules/ssl_ocsp/ssl_stapling.h"

#include "core/cycle.h"
#include "http/drain.h"

/* An hour: as nginx, even if the response is good for a week. */
#define SSL_STAPLE_REFRESH_MAX 3600
/* A response that hardly lives is not asked for without a pause. */
#define SSL_STAPLE_REFRESH_MIN 5
#define SSL_STAPLE_RETRY_MAX 300
/* Longer than a question can take. */
#define SSL_STAPLE_BUSY (VEIL_SSL_OCSP_TIMEOUT_SEC + 5)
#define SSL_STAPLE_POLL_MS 500

static void ssl_staple_turn(ssl_staple_t *s);

static size_t
ssl_staple_print(const veil_log_t *log, char *buf, size_t n)
{
    const ssl_staple_t *s =
        veil_container_of((void *) (uintptr_t) log, ssl_staple_t, log);

    return veil_ssl_ocsp_print(s->fetch, s->target.host, s->name, buf, n);
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

/* --- asking ---------------------------------------------------------------
 */

static void
ssl_staple_failed(ssl_slot_t *slot)
{
    int64_t pause = SSL_STAPLE_RETRY_MAX;

    if (slot->failures < 9) {
        pause = 1 << slot->failures;
    }
    slot->failures++;
    slot->refresh = veil_clock.sec + pause;
}

static void
ssl_staple_good(ssl_slot_t *slot, const veil_ssl_ocsp_fetch_t *f)
{
    int64_t pause = (f->result.next_update - veil_clock.sec) / 2;

    if (pause > SSL_STAPLE_REFRESH_MAX) {
        pause = SSL_STAPLE_REFRESH_MAX;
    } else if (pause < SSL_STAPLE_REFRESH_MIN) {
        pause = SSL_STAPLE_REFRESH_MIN;
    }
    memcpy(slot->der, f->der, f->len);
    slot->len = (uint32_t) f->len;
    slot->valid = f->result.next_update;
    slot->refresh = veil_clock.sec + pause;
    slot->failures = 0;
    slot->version++;
}

static void
ssl_staple_done(veil_ssl_ocsp_fetch_t *f, veil_rc_t rc)
{
    ssl_staple_t *s = f->owner;
    ssl_slot_t *slot;

    if (rc == VEIL_OK && f->result.status != VEIL_OCSP_GOOD) {
        veil_log(&s->log, VEIL_LOG_ERR, 0,
                 "certificate status \"%s\" in the OCSP response",
                 veil_ocsp_status_name(f->result.status));
        rc = VEIL_ERROR;
    }
    if (rc == VEIL_OK) {
        veil_log(&s->log, VEIL_LOG_INFO, 0, "OCSP response received");
    }
    slot = ssl_slot_lock(s);
    slot->busy_until = 0;
    if (rc == VEIL_OK) {
        ssl_staple_good(slot, f);
    } else {
        ssl_staple_failed(slot);
    }
    veil_unlock(&slot->lock);
    veil_ssl_ocsp_fetch_end(&s->fetch);
    ssl_staple_turn(s);
}

static void
ssl_staple_ask(ssl_staple_t *s)
{
    veil_ssl_ocsp_fetch_t *f = veil_ssl_ocsp_fetch_create();

    s->fetch = f;
    f->loop = s->loop;
    f->log = &s->log;
    f->group = s->group;
    f->target = s->target;
    f->query.cert = s->cert;
    f->query.issuer = s->issuer;
    f->query.verify = s->verify;
    f->done = ssl_staple_done;
    f->owner = s;
    veil_ssl_ocsp_fetch_start(f);
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

/* What the slot has by now. */
static void
ssl_staple_take(ssl_staple_t *s, const ssl_slot_t *slot)
{
    if (slot->version != s->version) {
        s->version = slot->version;
        s->valid = slot->valid;
        ssl_staple_set(s, slot->der,
                       slot->valid > veil_clock.sec ? slot->len : 0);
    }
}

/* What there is to do, and when to look again. */
static void
ssl_staple_turn(ssl_staple_t *s)
{
    ssl_slot_t *slot = ssl_slot_lock(s);
    int64_t now = veil_clock.sec;
    uint64_t pause = SSL_STAPLE_POLL_MS;
    bool ask = false;

    ssl_staple_take(s, slot);
    /* A time that is too far away is that of a clock that was set back. */
    if (slot->refresh > now
        && slot->refresh <= now + 2 * SSL_STAPLE_REFRESH_MAX) {
        pause = ssl_staple_pause(s, slot->refresh);
    } else if (slot->busy_until <= now
               || slot->busy_until > now + 2 * SSL_STAPLE_BUSY)
    {
        ask = true;
        slot->busy_until = now + SSL_STAPLE_BUSY;
        pause = ssl_staple_pause(s, slot->busy_until);
    }
    veil_unlock(&slot->lock);

    ssl_staple_expire(s);
    veil_timer_set(s->loop, &s->timer, pause);
    if (ask) {
        ssl_staple_ask(s);
    }
}

static void
ssl_staple_fired(veil_timer_t *t)
{
    ssl_staple_t *s = veil_container_of(t, ssl_staple_t, timer);

    if (s->fetch != NULL) {
        /* What follows is for its end. */
        ssl_staple_expire(s);
    } else if (!veil_http_is_draining()) {
        ssl_staple_turn(s);
    }
    /* While draining, new connections go to others. */
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
    ssl_slot_t *slot;
    ssl_staple_t *s;
    unsigned i;

    for (i = 0; (s = ssl_staple_at(cycle, i)) != NULL; i++) {
        s->loop = cycle->loop;
        s->log = cycle->log;
        s->log.print = ssl_staple_print;
        /* The first client gets what the generation before had. */
        slot = ssl_slot_lock(s);
        ssl_staple_take(s, slot);
        veil_unlock(&slot->lock);
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
            veil_ssl_ocsp_fetch_end(&s->fetch);
            slot = ssl_slot_lock(s);
            slot->busy_until = 0;
            veil_unlock(&slot->lock);
        }
    }
}
