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

#include "core/fault.h"

#define PEER_NONE ((unsigned) -1)

unsigned
veil_upstream_peers(const veil_upstream_group_t *g)
{
    return g->sets[0].n + g->sets[1].n;
}

/* --- life ---------------------------------------------------------------- */

static veil_upstream_peer_t *
upstream_peer_create(veil_upstream_server_t *s, const veil_addr_t *addr)
{
    char text[VEIL_ADDR_TEXT_MAX];
    char key[VEIL_ADDR_TEXT_MAX + 512];
    size_t n = veil_addr_print(addr, text, sizeof(text));
    veil_upstream_peer_t *p = veil_zalloc(sizeof(*p) + n + 1);
    char *name = (char *) (p + 1);

    memcpy(name, text, n);
    p->magic = VEIL_UPSTREAM_PEER_MAGIC;
    p->refs = 1;
    p->server = s;
    p->addr = *addr;
    p->name = veil_str_n(name, n);
    p->weight = s->weight;
    veil_list_init(&p->idle);
    veil_list_init(&p->shared);

    n = veil_snprintf(key, sizeof(key), "%.*s/%.*s/%.*s",
                      VEIL_STR_ARG(s->group->name), VEIL_STR_ARG(s->name),
                      VEIL_STR_ARG(p->name));
    p->slot = veil_upstream_slot(s->group, veil_str_n(key, n));
    if (p->slot->effective_weight == 0) {
        p->slot->effective_weight = (int32_t) s->weight;
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

void
veil_upstream_set_addrs(veil_upstream_server_t *s, const veil_addr_t *addrs,
                        unsigned n)
{
    veil_upstream_group_t *g = s->group;
    veil_upstream_set_t *set = &g->sets[s->backup ? 1 : 0];
    veil_upstream_peer_t **old, *p;
    unsigned i, nold;

    old = veil_alloc((set->n + 1) * sizeof(*old));
    nold = upstream_peer_take_out(set, s, old);
    set->peers =
        veil_realloc(set->peers, (set->n + n + 1) * sizeof(*set->peers));
    for (i = 0; i < n; i++) {
        p = upstream_peer_reuse(old, nold, &addrs[i]);
        set->peers[set->n++] =
            p != NULL ? p : upstream_peer_create(s, &addrs[i]);
    }
    for (i = 0; i < nold; i++) {
        if (old[i] != NULL) {
            old[i]->gone = true;
            veil_upstream_peer_close_idle(old[i]);
            veil_upstream_peer_put(old[i]);
        }
    }
    veil_free(old);
    upstream_peer_changed(g, set);
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
    veil_upstream_resolve_start(g, loop);
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
    veil_upstream_resolve_stop(g);
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

bool
veil_upstream_peer_can(const veil_exchange_t *x,
                       const veil_upstream_set_t *set,
                       const veil_upstream_peer_t *p)
{
    const veil_upstream_server_t *s = p->server;
    const veil_upstream_slot_t *slot = p->slot;

    if (s->down || upstream_peer_was_tried(x, set, p)
        || (s->max_conns != 0 && slot->conns >= s->max_conns))
    {
        return false;
    }
    return s->max_fails == 0 || slot->fails < s->max_fails
           || veil_now_ms() - slot->checked_ms > s->fail_timeout
           || veil_upstream_peers(x->group) == 1;
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
    veil_upstream_peer_t *p = upstream_peer_pick_from(x, set, false);
    veil_upstream_slot_t *slot;

    if (p == NULL) {
        set = &g->sets[1];
        p = upstream_peer_pick_from(x, set, true);
        if (p == NULL) {
            return NULL;
        }
    }
    upstream_peer_mark_tried(x, set, p);
    slot = p->slot;
    __atomic_add_fetch(&slot->conns, 1, __ATOMIC_RELAXED);
    slot->requests++;
    if (slot->fails != 0
        && veil_now_ms() - slot->checked_ms > p->server->fail_timeout)
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
upstream_peer_note_failure(veil_exchange_t *x, veil_upstream_peer_t *p)
{
    veil_upstream_slot_t *slot = p->slot;
    const veil_upstream_server_t *s = p->server;
    uint32_t fails;

    fails = __atomic_add_fetch(&slot->fails, 1, __ATOMIC_RELAXED);
    slot->failed_ms = veil_now_ms();
    slot->checked_ms = slot->failed_ms;
    if (s->max_fails == 0) {
        return;
    }
    veil_upstream_zone_lock(x->group);
    slot->effective_weight -= (int32_t) (p->weight / s->max_fails);
    if (slot->effective_weight < 0) {
        slot->effective_weight = 0;
    }
    veil_upstream_zone_unlock(x->group);
    if (fails == s->max_fails && veil_upstream_peers(x->group) > 1) {
        veil_log(x->log, VEIL_LOG_WARN, 0,
                 "upstream server temporarily disabled");
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
    if (failed) {
        upstream_peer_note_failure(x, p);
    } else if (p->slot->fails != 0 && p->slot->failed_ms < p->slot->checked_ms)
    {
        p->slot->fails = 0;
    }
    veil_upstream_peer_put(p);
}
