/*
 * upstream_resolve.c -- the names of servers, looked up again and again.
 *
 * A name's answer has an age (its TTL, or "valid" of the resolver); when it
 * is over the name is asked for again, in the background, while requests use
 * what is known.  A failure changes nothing about addresses that work: they
 * are kept, and the question is repeated after a while.  Without any address
 * the pauses begin short and grow, so that a backend whose name appears is
 * found soon and a name that never will costs nothing.
 *
 * A group made at run time has nothing at first: its exchanges wait for the
 * first answer.
 */

#include "http/upstream/upstream_impl.h"

#define RESOLVE_FIRST_RETRY_MS 500
#define RESOLVE_MAX_RETRY_MS 30000
/* An answer is not taken to be older or younger than this. */
#define RESOLVE_MIN_TTL_MS 1000
#define RESOLVE_MAX_TTL_MS (24 * 3600 * 1000)

static void upstream_resolve_ask(veil_upstream_server_t *s, veil_loop_t *loop);

static void
upstream_resolve_timer(veil_timer_t *t)
{
    upstream_resolve_ask(veil_container_of(t, veil_upstream_server_t, timer),
                         veil_cycle->loop);
}

static const veil_log_t *
upstream_resolve_log(void)
{
    return &veil_cycle->log;
}

/* Exchanges that waited for the first answer: there is one. */
static void
upstream_resolve_wake(veil_upstream_group_t *g)
{
    veil_list_t *l;

    while ((l = veil_list_pop(&g->waiting)) != NULL) {
        veil_exchange_private_t *p =
            veil_list_entry(l, veil_exchange_private_t, waiting);

        veil_exchange_attempt(p->x);
    }
}

static void
upstream_resolve_failed(veil_upstream_server_t *s)
{
    if (s->retry_ms == 0) {
        veil_log(upstream_resolve_log(), VEIL_LOG_ERR, 0,
                 "%.*s could not be resolved (%s) in upstream \"%.*s\"",
                 VEIL_STR_ARG(s->host), veil_resolve_strerror(s->resolve_err),
                 VEIL_STR_ARG(s->group->name));
        s->retry_ms = RESOLVE_FIRST_RETRY_MS;
    } else if (s->retry_ms < RESOLVE_MAX_RETRY_MS) {
        s->retry_ms *= 2;
    }
}

void
veil_upstream_resolve_take(veil_upstream_server_t *s, const veil_resolve_t *q)
{
    veil_addr_t addrs[64];
    uint64_t again;
    unsigned i, n;

    s->resolve_err = q->err;
    if (q->err != 0) {
        upstream_resolve_failed(s);
        again = s->retry_ms;
        if (q->err == VEIL_RESOLVE_NXDOMAIN) {
            /* The name is gone for certain, unlike after a timeout. */
            veil_upstream_set_addrs(s, NULL, 0);
        }
    } else {
        s->retry_ms = 0;
        s->resolved_ms = veil_now_ms();
        s->ttl_ms = q->ttl_ms;
        n = (unsigned) veil_min_size(q->naddrs, veil_countof(addrs));
        for (i = 0; i < n; i++) {
            addrs[i] = q->addrs[i];
            addrs[i].port = s->port;
        }
        veil_upstream_set_addrs(s, addrs, n);
        again = q->ttl_ms < RESOLVE_MIN_TTL_MS   ? RESOLVE_MIN_TTL_MS
                : q->ttl_ms > RESOLVE_MAX_TTL_MS ? RESOLVE_MAX_TTL_MS
                                                 : q->ttl_ms;
    }
    veil_timer_set(veil_cycle->loop, &s->timer, again);
    upstream_resolve_wake(s->group);
}

static void
upstream_resolve_done(veil_resolve_t *q)
{
    veil_upstream_resolve_take(
        veil_container_of(q, veil_upstream_server_t, query), q);
}

static void
upstream_resolve_ask(veil_upstream_server_t *s, veil_loop_t *loop)
{
    const veil_upstream_group_t *g = s->group;
    veil_resolver_options_t o = { .ipv4 = true, .ipv6 = true };

    if (g->resolver != NULL) {
        o = *g->resolver;
    }
    o.timeout_ms = g->resolver_timeout;
    memset(&s->query, 0, sizeof(s->query));
    s->query.name = s->host;
    s->query.log = upstream_resolve_log();
    s->query.done = upstream_resolve_done;
    veil_resolve(veil_resolver_get(loop, &o), &s->query);
}

void
veil_upstream_resolve_start(veil_upstream_server_t *s, veil_loop_t *loop)
{
    if (!s->is_name) {
        return;
    }
    veil_timer_init(&s->timer, upstream_resolve_timer);
    if (s->deleted || s->moved.family != 0) {
        return;
    }
    if (s->addrs != NULL && s->group->resolver == NULL) {
        /* Just looked up, by the same source. */
        veil_timer_set(loop, &s->timer, RESOLVE_MAX_RETRY_MS);
    } else {
        upstream_resolve_ask(s, loop);
    }
}

void
veil_upstream_resolve_stop(veil_upstream_server_t *s)
{
    if (s->is_name) {
        veil_timer_cancel(&s->timer);
        veil_resolve_cancel(&s->query);
    }
}
