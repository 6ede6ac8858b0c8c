/*
 * drain.c -- the end of connections whose worker is to end.
 *
 * An idle connection is not closed at once.  A client that has just sent a
 * request on it would find it reset, and may not repeat the request, as it
 * cannot know whether it was acted upon (RFC 9110, 9.2.2).  So each is given
 * a grace, in which a request is still answered, with "Connection: close",
 * and only then the connection is closed, sending side first.
 *
 * Whoever is closed comes back to a worker that has just begun.  For this
 * not to be all clients in one instant, a random part of "close_spread" is
 * added to the grace of each.
 *
 * A tunnel has no end that could be waited for, so it is let alone until the
 * worker's time is nearly up.  Its last part, as long as close_spread, is for
 * them: at each tick as large a share of those that are left is closed, by
 * lot, as the tick is of the time that is left.  That needs no memory in the
 * connections, which have none to spare.
 */

#include "core/platform.h"

#include "http/drain.h"

#include "core/rand.h"
#include "core/time.h"
#include "http/http.h"

/* Of the time that is left, at most so large a part is for closing. */
#define DRAIN_PART 4
#define DRAIN_TICK_MS 50

static struct {
    bool on;
    bool timer_ready;
    uint64_t end_ms; /* the worker's time is up then */
    veil_timer_t timer;
} drain;

bool
veil_http_is_draining(void)
{
    return drain.on;
}

bool
veil_http_conn_is_draining(const veil_http_conn_t *hc)
{
    return drain.on || veil_http_port_is_draining(hc->port);
}

uint64_t
veil_http_drain_grace_ms(const veil_http_conn_t *hc)
{
    const veil_http_core_server_t *conf = veil_http_conn_server(hc);

    return conf->keepalive_drain_grace
           + veil_rand_below(conf->close_spread + 1);
}

/* --- tunnels ------------------------------------------------------------ */

/* http {} has one for all servers. */
static uint64_t
drain_spread(void)
{
    const veil_http_main_t *main = veil_cycle->http;
    const veil_http_core_server_t *conf =
        main->scope->conf[VEIL_CONF_OF_SERVER][veil_http_core_module.index];

    return conf->close_spread;
}

/* left_ms: how long there is for it, this tick included. */
static void
drain_part_request(veil_http_request_t *r, void *data)
{
    const uint64_t *left_ms = data;

    if (r->tunnelled && !r->aborted
        && veil_rand_below(*left_ms) < DRAIN_TICK_MS) {
        veil_log(&r->log, VEIL_LOG_INFO, 0,
                 "the worker ends, closing the tunnel");
        veil_http_abort(r, NULL);
    }
}

static void
drain_part_conn(veil_http_conn_t *hc, void *data)
{
    if (hc->proto != NULL) {
        hc->proto->requests(hc, drain_part_request, data);
    }
}

static void
drain_tick(veil_timer_t *t)
{
    uint64_t now = veil_now_ms();
    uint64_t left = drain.end_ms > now ? drain.end_ms - now : 0;

    if (left <= DRAIN_TICK_MS) {
        left = DRAIN_TICK_MS; /* all that are left */
    }
    veil_http_conns_each(drain_part_conn, &left);
    if (left > DRAIN_TICK_MS) {
        veil_timer_set(veil_cycle->loop, t, DRAIN_TICK_MS);
    }
}

static void
drain_plan_tunnels(uint64_t left_ms)
{
    uint64_t spread = veil_min_size(drain_spread(), left_ms / DRAIN_PART);

    if (!drain.timer_ready) {
        veil_timer_init(&drain.timer, drain_tick);
        drain.timer_ready = true;
    }
    veil_timer_cancel(&drain.timer);
    if (spread > 2 * DRAIN_TICK_MS) {
        /* The last tick is before the end, where everything is closed. */
        drain.end_ms = veil_now_ms() + left_ms - DRAIN_TICK_MS;
        veil_timer_set(veil_cycle->loop, &drain.timer, left_ms - spread);
    }
}

/* --- all of them -------------------------------------------------------- */

static void
drain_conn(veil_http_conn_t *hc, void *data)
{
    (void) data;
    if (hc->proto != NULL) {
        hc->proto->drain(hc);
    }
}

static void
drain_close(veil_http_conn_t *hc, void *data)
{
    (void) data;
    if (hc->proto != NULL) {
        hc->proto->close(hc);
    } else {
        veil_conn_close(&hc->c);
    }
}

void
veil_http_drain(uint64_t left_ms)
{
    if (veil_cycle->http == NULL) {
        return;
    }
    if (!drain.on) {
        drain.on = true;
        veil_http_conns_each(drain_conn, NULL);
    }
    if (left_ms == 0) {
        veil_http_drain_exit();
        veil_http_conns_each(drain_close, NULL);
    } else {
        drain_plan_tunnels(left_ms);
    }
}

/* HTTP/1 can say it with its next response only. */
static void
drain_tell_conn(veil_http_conn_t *hc, void *data)
{
    (void) data;
    if (hc->proto != NULL && hc->proto->frames
        && veil_http_port_is_draining(hc->port))
    {
        hc->proto->drain(hc);
    }
}

void
veil_http_drain_tell(void)
{
    veil_http_conns_each(drain_tell_conn, NULL);
}

void
veil_http_drain_exit(void)
{
    if (drain.timer_ready) {
        veil_timer_cancel(&drain.timer);
    }
}
