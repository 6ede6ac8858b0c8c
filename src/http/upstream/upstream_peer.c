/*
 * upstream_peer.c -- the peers of this worker: made of addresses, chosen
 * among, counted.
 *
 * A peer lives as long as its address is one of its server's, or a
 * connection to it is open.  When a name's answer changes, peers that stay
 * keep their idle connections and their place in balancers' state; new ones
 * begin with a slot of the zone that may know them from other workers.
 *
 * The rules are nginx's: fail_timeout is both the time in which max_fails
 * failures count and the time a failed peer is left alone, after which one
 * request tries it; a group of a single peer is never without a live one.
 */

#include "http/upstream/upstream_impl.h"

#include "core/control.h"
#include "core/fault.h"

unsigned
veil_upstream_peers(const veil_upstream_group_t *g)
{
    return g->sets[0].n + g->sets[1].n;
}

/* --- parameters ----------------------------------------------------------
 */

/* The peer's own copy, for those who choose; true: its weight is another. */
static bool
upstream_peer_apply(veil_upstream_peer_t *p)
{
    const veil_upstream_server_t *s = p->server;
    veil_upstream_params_t now = s->now;
    int64_t before = p->weight;

    if (p->slot->change.set != 0) {
        veil_upstream_params_apply(&now, &s->conf, &p->slot->change);
    }
    p->weight = now.weight;
    p->max_conns = now.max_conns;
    p->max_fails = now.max_fails;
    p->fail_timeout = now.fail_timeout;
    p->admin = now.admin;
    if (before != 0 && p->weight != before) {
        p->slot->effective_weight = (int32_t) p->weight;
    }
    return p->weight != before;
}

/* --- life ---------------------------------------------------------------- */

void
veil_upstream_server_put(veil_upstream_server_t *s)
{
    veil_pool_t *pool = s->pool;

    VEIL_ASSERT(s->refs != 0);
    if (--s->refs == 0) {
        veil_pool_destroy(&pool);
    }
}

static veil_upstream_peer_t *
upstream_peer_create(veil_upstream_server_t *s, const veil_addr_t *addr)
{
    char text[VEIL_ADDR_TEXT_MAX];
    size_t n = veil_addr_print(addr, text, sizeof(text));
    veil_upstream_peer_t *p = veil_zalloc(sizeof(*p) + n + 1);
    char *name = (char *) (p + 1);

    memcpy(name, text, n);
    p->magic = VEIL_UPSTREAM_PEER_MAGIC;
    p->refs = 1;
    p->server = s;
    p->addr = *addr;
    p->name = veil_str_n(name, n);
    s->refs++;
    veil_list_init(&p->idle);
    veil_list_init(&p->shared);

    p->slot = veil_upstream_slot(s->group, s->name, p->name);
    p->mine = veil_upstream_ledger(s->group, p->slot);
    (void) upstream_peer_apply(p);
    if (p->slot->effective_weight == 0) {
        p->slot->effective_weight = (int32_t) p->weight;
    }
    return p;
}

void
veil_upstream_peer_put(veil_upstream_peer_t *p)
{
    VEIL_CHECK(p, VEIL_UPSTREAM_PEER);
    VEIL_ASSERT(p->refs != 0);

    if (--p->refs == 0) {
        VEIL_ASSERT(veil_list_is_empty(&p->idle));
        veil_upstream_server_put(p->server);
        p->magic = VEIL_MAGIC_DEAD;
        veil_free(p);
    }
}

/* The set without the server's peers, which go to old. */
static unsigned
upstream_peer_take_out(veil_upstream_set_t *set,
                       const veil_upstream_server_t *s,
                       veil_upstream_peer_t **old)
{
    unsigned i, kept = 0, nold = 0;

    for (i = 0; i < set->n; i++) {
        if (set->peers[i]->server == s) {
            old[nold++] = set->peers[i];
        } else {
            set->peers[kept++] = set->peers[i];
        }
    }
    set->n = kept;
    return nold;
}

static veil_upstream_peer_t *
upstream_peer_reuse(veil_upstream_peer_t **old, unsigned n,
                    const veil_addr_t *addr)
{
    veil_upstream_peer_t *p;
    unsigned i;

    for (i = 0; i < n; i++) {
        p = old[i];
        if (p != NULL && veil_addr_eq(&p->addr, addr)) {
            old[i] = NULL;
            return p;
        }
    }
    return NULL;
}

static void
upstream_peer_changed(veil_upstream_group_t *g, veil_upstream_set_t *set)
{
    unsigned i;

    set->weighted = false;
    for (i = 0; i < set->n; i++) {
        set->peers[i]->index = i;
        set->weighted |= set->peers[i]->weight != set->peers[0]->weight;
    }
    if (g->balancer != NULL && g->balancer->update != NULL) {
        g->balancer->update(g, set);
    }
}

static void
upstream_peer_set_addrs(veil_upstream_server_t *s, veil_upstream_set_t *set,
                        const veil_addr_t *addrs, unsigned n)
{
    veil_upstream_peer_t **old, *p;
    unsigned i, nold, at = 0;

    old = veil_alloc((set->n + 1) * sizeof(*old));
    nold = upstream_peer_take_out(set, s, old);
    set->peers =
        veil_realloc(set->peers, (set->n + n + 1) * sizeof(*set->peers));
    /* In the order of servers, or keys would go to others with each change. */
    while (at < set->n && set->peers[at]->server->order < s->order) {
        at++;
    }
    memmove(set->peers + at + n, set->peers + at,
            (set->n - at) * sizeof(*set->peers));
    set->n += n;
    for (i = 0; i < n; i++) {
        p = upstream_peer_reuse(old, nold, &addrs[i]);
        if (p == NULL) {
            p = upstream_peer_create(s, &addrs[i]);
        } else {
            (void) upstream_peer_apply(p);
        }
        set->peers[at + i] = p;
    }
    for (i = 0; i < nold; i++) {
        if (old[i] != NULL) {
            old[i]->gone = true;
            old[i]->slot->used_sec = 0; /* unless another still has it */
            veil_upstream_peer_close_idle(old[i]);
            veil_upstream_peer_put(old[i]);
        }
    }
    veil_free(old);
    upstream_peer_changed(s->group, set);
}

void
veil_upstream_set_addrs(veil_upstream_server_t *s, const veil_addr_t *addrs,
                        unsigned n)
{
    if (s->deleted) {
        n = 0;
    } else if (s->moved.family != 0) {
        addrs = &s->moved;
        n = 1;
    }
    s->now = s->conf;
    veil_upstream_params_apply(&s->now, &s->conf, &s->change);
    upstream_peer_set_addrs(s, &s->group->sets[s->now.backup != 0], addrs, n);
}

void
veil_upstream_server_changed(veil_upstream_server_t *s)
{
    veil_upstream_set_t *set = &s->group->sets[s->now.backup != 0];
    veil_upstream_params_t now = s->conf;
    veil_addr_t addrs[64];
    unsigned i, n = 0;

    for (i = 0; i < set->n && n < veil_countof(addrs); i++) {
        if (set->peers[i]->server == s) {
            addrs[n++] = set->peers[i]->addr;
        }
    }
    veil_upstream_params_apply(&now, &s->conf, &s->change);
    if (now.backup != s->now.backup) {
        upstream_peer_set_addrs(s, set, NULL, 0);
    }
    veil_upstream_set_addrs(s, addrs, n);
}

void
veil_upstream_peers_refresh(veil_upstream_group_t *g)
{
    veil_upstream_peer_t *p;
    veil_upstream_set_t *set;
    unsigned i, k;
    bool weights;

    for (k = 0; k < 2; k++) {
        set = &g->sets[k];
        weights = false;
        for (i = 0; i < set->n; i++) {
            p = set->peers[i];
            weights |= upstream_peer_apply(p);
            if (p->admin != VEIL_UPSTREAM_READY) {
                veil_upstream_peer_close_idle(p);
            }
            p->slot->used_sec = veil_clock.sec;
        }
        if (weights) {
            upstream_peer_changed(g, set);
        }
    }
}

void
veil_upstream_group_start(veil_upstream_group_t *g, veil_loop_t *loop)
{
    veil_upstream_server_t *s;
    unsigned i;

    if (g->started) {
        return;
    }
    g->started = true;
    for (i = 0; i < g->servers.n; i++) {
        s = *veil_array_at(&g->servers, veil_upstream_server_t *, i);
        if (s->addrs != NULL) {
            veil_upstream_set_addrs(s, s->addrs->elts, s->addrs->n);
        }
    }
    for (i = 0; i < g->servers.n; i++) {
        veil_upstream_resolve_start(
            *veil_array_at(&g->servers, veil_upstream_server_t *, i), loop);
    }
    veil_upstream_sync_start(g);
}

void
veil_upstream_group_stop(veil_upstream_group_t *g)
{
    veil_upstream_set_t *set;
    unsigned i, k;

    if (!g->started) {
        return;
    }
    g->started = false;
    for (i = 0; i < g->servers.n; i++) {
        veil_upstream_resolve_stop(
            *veil_array_at(&g->servers, veil_upstream_server_t *, i));
    }
    veil_upstream_group_close_idle(g);
    for (k = 0; k < 2; k++) {
        set = &g->sets[k];
        for (i = 0; i < set->n; i++) {
            veil_upstream_peer_put(set->peers[i]);
        }
        set->n = 0;
        if (g->balancer != NULL && g->balancer->update != NULL) {
            g->balancer->update(g, set);
        }
        veil_free(set->peers);
        set->peers = NULL;
    }
    veil_upstream_sync_stop(g);
}

/* --- choosing ------------------------------------------------------------ */

static bool
upstream_peer_was_tried(const veil_exchange_t *x,
                        const veil_upstream_set_t *set,
                        const veil_upstream_peer_t *p)
{
    unsigned k = set == &x->group->sets[1] ? 1 : 0;

    return p->index < 64 * VEIL_UPSTREAM_TRIED_WORDS
           && (x->priv->tried[k][p->index / 64] >> (p->index % 64) & 1);
}

static void
upstream_peer_mark_tried(const veil_exchange_t *x,
                         const veil_upstream_set_t *set,
                         const veil_upstream_peer_t *p)
{
    unsigned k = set == &x->group->sets[1] ? 1 : 0;

    if (p->index < 64 * VEIL_UPSTREAM_TRIED_WORDS) {
        x->priv->tried[k][p->index / 64] |= UINT64_C(1) << (p->index % 64);
    }
}

static inline bool
upstream_peer_is_usable(const veil_exchange_t *x,
                        const veil_upstream_set_t *set,
                        const veil_upstream_peer_t *p)
{
    const veil_upstream_slot_t *slot = p->slot;

    if (upstream_peer_was_tried(x, set, p)
        || (p->max_conns != 0 && (int32_t) slot->conns >= p->max_conns))
    {
        return false;
    }
    return p->max_fails == 0 || slot->fails < p->max_fails
           || veil_now_ms() - slot->checked_ms > p->fail_timeout
           || veil_upstream_peers(x->group) == 1;
}

bool
veil_upstream_peer_can(const veil_exchange_t *x,
                       const veil_upstream_set_t *set,
                       const veil_upstream_peer_t *p)
{
    return p->admin == VEIL_UPSTREAM_READY
           && upstream_peer_is_usable(x, set, p);
}

bool
veil_upstream_peer_keeps(const veil_exchange_t *x,
                         const veil_upstream_set_t *set,
                         const veil_upstream_peer_t *p)
{
    return p->admin == VEIL_UPSTREAM_DRAIN
           && upstream_peer_is_usable(x, set, p);
}

veil_upstream_peer_t *
veil_upstream_round_robin(veil_exchange_t *x, const veil_upstream_set_t *set)
{
    veil_upstream_peer_t *p, *best = NULL;
    veil_upstream_slot_t *slot;
    int32_t total = 0;
    unsigned i;

    if (set->n == 1) {
        p = set->peers[0];
        return veil_upstream_peer_can(x, set, p) ? p : NULL;
    }

    veil_upstream_zone_lock(x->group);
    for (i = 0; i < set->n; i++) {
        p = set->peers[i];
        if (!veil_upstream_peer_can(x, set, p)) {
            continue;
        }
        slot = p->slot;
        slot->current_weight += slot->effective_weight;
        total += slot->effective_weight;
        if (slot->effective_weight < p->weight) {
            slot->effective_weight++;
        } else if (slot->effective_weight > p->weight) {
            slot->effective_weight = (int32_t) p->weight; /* reconfigured */
        }
        if (best == NULL || slot->current_weight > best->slot->current_weight)
        {
            best = p;
        }
    }
    if (best != NULL) {
        VEIL_FAULT("upstream_zone.weights");
        best->slot->current_weight -= total;
    }
    veil_upstream_zone_unlock(x->group);
    return best;
}

static veil_upstream_peer_t *
upstream_peer_pick_from(veil_exchange_t *x, veil_upstream_set_t *set,
                        bool backup)
{
    const veil_upstream_balancer_t *b = x->group->balancer;

    if (set->n == 0) {
        return NULL;
    }
    /* Balancers know the primary peers only, as in nginx. */
    if (b == NULL || backup) {
        return veil_upstream_round_robin(x, set);
    }
    return b->pick(x, set);
}

veil_upstream_peer_t *
veil_upstream_pick(veil_exchange_t *x)
{
    veil_upstream_group_t *g = x->group;
    veil_upstream_set_t *set = &g->sets[0];
    veil_upstream_peer_t *p;
    veil_upstream_slot_t *slot;

    veil_upstream_sync(g);
    p = upstream_peer_pick_from(x, set, false);
    if (p == NULL) {
        set = &g->sets[1];
        p = upstream_peer_pick_from(x, set, true);
        if (p == NULL) {
            return NULL;
        }
    }
    upstream_peer_mark_tried(x, set, p);
    slot = p->slot;
    /* In this order: see upstream_ledger.c. */
    ++*p->mine;
    __atomic_signal_fence(__ATOMIC_SEQ_CST);
    __atomic_add_fetch(&slot->conns, 1, __ATOMIC_RELAXED);
    VEIL_FAULT("upstream_peer.counted");
    slot->requests++;
    if (slot->fails != 0 && veil_now_ms() - slot->checked_ms > p->fail_timeout)
    {
        slot->checked_ms = veil_now_ms();
    }
    p->refs++;
    x->priv->peer = p;
    x->priv->set = set;
    return p;
}

/* --- what became of it --------------------------------------------------- */

static void
upstream_peer_event(const char *kind, const veil_upstream_peer_t *p)
{
    const veil_upstream_server_t *s = p->server;

    veil_control_event(
        kind, json_pack("{s:s%, s:s%, s:s%, s:s, s:I}", "upstream",
                        s->group->name.data, s->group->name.len, "server",
                        s->name.data, s->name.len, "address", p->name.data,
                        p->name.len, "error", p->slot->u.peer.error, "fails",
                        (json_int_t) p->slot->fails));
}

static void
upstream_peer_note_failure(veil_exchange_t *x, veil_upstream_peer_t *p)
{
    veil_upstream_slot_t *slot = p->slot;
    uint32_t fails;

    fails = __atomic_add_fetch(&slot->fails, 1, __ATOMIC_RELAXED);
    __atomic_add_fetch(&slot->failures, 1, __ATOMIC_RELAXED);
    slot->failed_ms = veil_now_ms();
    slot->checked_ms = slot->failed_ms;
    if (p->max_fails == 0) {
        return;
    }
    veil_upstream_zone_lock(x->group);
    slot->effective_weight -= (int32_t) (p->weight / p->max_fails);
    if (slot->effective_weight < 0) {
        slot->effective_weight = 0;
    }
    veil_upstream_zone_unlock(x->group);
    if (fails == p->max_fails && veil_upstream_peers(x->group) > 1) {
        veil_log(x->log, VEIL_LOG_WARN, 0,
                 "upstream server temporarily disabled");
        upstream_peer_event("server.failed", p);
    }
}

static void
upstream_peer_note_success(veil_exchange_t *x, veil_upstream_peer_t *p)
{
    uint32_t fails = __atomic_exchange_n(&p->slot->fails, 0, __ATOMIC_RELAXED);

    if (p->max_fails != 0 && fails >= p->max_fails
        && veil_upstream_peers(x->group) > 1)
    {
        upstream_peer_event("server.up", p);
    }
}

void
veil_upstream_peer_done(veil_exchange_t *x, bool failed)
{
    veil_upstream_peer_t *p = x->priv->peer;

    if (p == NULL) {
        return;
    }
    x->priv->peer = NULL;
    __atomic_sub_fetch(&p->slot->conns, 1, __ATOMIC_RELAXED);
    __atomic_signal_fence(__ATOMIC_SEQ_CST);
    --*p->mine;
    if (failed) {
        upstream_peer_note_failure(x, p);
    } else if (p->slot->fails != 0 && p->slot->failed_ms < p->slot->checked_ms)
    {
        upstream_peer_note_success(x, p);
    }
    veil_upstream_peer_put(p);
}

/* So many of the last heads make the average. */
#define PEER_AVERAGE 8

void
veil_upstream_peer_answered(const veil_exchange_t *x, int64_t ms, int status)
{
    veil_upstream_slot_t *slot = x->priv->peer->slot;
    /* Cut at an hour: it is kept in 32 bits. */
    uint32_t now = (uint32_t) (ms > 3600000 ? 3600000 : ms) * 256;

    /* Workers may overwrite each other's: it is an average. */
    slot->head_avg =
        slot->head_avg - slot->head_avg / PEER_AVERAGE + now / PEER_AVERAGE;
    slot->status = (uint16_t) status;
}

void
veil_upstream_peer_error(const veil_exchange_t *x, const char *text, int err,
                         const char *action)
{
    veil_upstream_slot_t *slot = x->priv->peer->slot;

    veil_upstream_zone_lock(x->group);
    slot->u.peer.error_sec = veil_clock.sec;
    if (err != 0) {
        (void) veil_snprintf(slot->u.peer.error, sizeof(slot->u.peer.error),
                             "%s (%d: %s) %s", text, err, strerror(err),
                             action);
    } else {
        (void) veil_snprintf(slot->u.peer.error, sizeof(slot->u.peer.error),
                             "%s %s", text, action);
    }
    veil_upstream_zone_unlock(x->group);
}
