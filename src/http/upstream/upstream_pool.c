/*
 * upstream_pool.c -- connections to peers: opened, used, kept, closed.
 *
 * Each connection has a pool of its own and belongs to one exchange or to the
 * idle ones of its group, of which there are at most "keepalive"; the one
 * that was idle for the longest time goes first.  An idle connection keeps
 * receiving: its end, and bytes nobody asked for, are noticed at once, so
 * that hardly a request is sent into a connection that is dead.
 *
 * A connection whose wire can have several exchanges is shared while it has
 * any, and already while it is being made: who comes then waits for it.  If
 * the peer does not speak that protocol after all (ALPN), those who waited
 * make connections of their own.
 *
 * The read timer is the same in both lives and is only ever pushed further,
 * which costs nothing: setting and cancelling it for each request would.
 */

#include "http/upstream/upstream_impl.h"

#include "core/module.h"

#define CONN_POOL_SIZE 896
/* Exchanges that wait for one connection to be there. */
#define CONN_MAX_JOINED 99

static veil_list_t upstream_conn_all = { .next = NULL };
static unsigned upstream_conn_idle;

const veil_upstream_wire_t *
veil_upstream_wire_find(veil_str_t name)
{
    const veil_http_module_t *m;
    unsigned i;

    for (i = 0; veil_modules[i] != NULL; i++) {
        m = veil_modules[i]->http;
        if (m != NULL && m->wire != NULL && veil_str_eq_z(name, m->wire->name))
        {
            return m->wire;
        }
    }
    return NULL;
}

unsigned
veil_upstream_idle(void)
{
    return upstream_conn_idle;
}

/* --- idle ---------------------------------------------------------------- */

static void
upstream_conn_unlink_idle(veil_upstream_conn_t *uc)
{
    if (veil_list_is_linked(&uc->group_link)) {
        veil_list_remove(&uc->group_link);
        veil_list_remove(&uc->peer_link);
        uc->group->nidle--;
        upstream_conn_idle--;
    }
}

void
veil_upstream_conn_unshare(veil_upstream_conn_t *uc)
{
    if (veil_list_is_linked(&uc->shared)) {
        veil_list_remove(&uc->shared);
    }
}

void
veil_upstream_conn_close(veil_upstream_conn_t *uc)
{
    upstream_conn_unlink_idle(uc);
    veil_upstream_conn_unshare(uc);
    uc->x = NULL;
    uc->group = NULL;
    veil_conn_close(&uc->c);
}

void
veil_upstream_conn_retire(veil_upstream_conn_t *uc)
{
    if (uc->wire->retire == NULL || uc->c.closing || uc->c.eof) {
        veil_upstream_conn_close(uc);
        return;
    }
    upstream_conn_unlink_idle(uc);
    veil_upstream_conn_unshare(uc);
    uc->group = NULL;
    uc->wire->retire(uc);
}

/*
 * Where to connect from: proxy_bind's address; of no family when it says
 * "off", or nothing, or has no meaning for this peer.
 */
static veil_addr_t
upstream_conn_local_addr(const veil_exchange_t *x)
{
    veil_addr_t none = { .family = 0 }, addr = none;
    uint16_t family = (uint16_t) x->priv->peer->addr.family;
    veil_hostport_t hp;
    veil_str_t text;

    if (x->conf->bind == NULL || x->conf->bind_off || x->request == NULL
        || family == AF_UNIX)
    {
        return none;
    }
    text = veil_http_eval(x->request, x->conf->bind);
    if (text.len == 0) {
        return none;
    }
    if (!veil_hostport_parse(&hp, text) || hp.is_unix
        || !veil_addr_parse_ip(&addr, hp.host))
    {
        veil_log(x->log, VEIL_LOG_ERR, 0, "invalid local address \"%.*s\"",
                 VEIL_STR_ARG(text));
        return none;
    }
    addr.port = hp.port;
    return addr.family == family ? addr : none;
}

/* Kept ones differ when proxy_bind does. */
static bool
upstream_conn_is_from(const veil_upstream_conn_t *uc, const veil_addr_t *local)
{
    return uc->local.family == local->family
           && (local->family == 0 || veil_addr_eq(&uc->local, local));
}

/* NULL: HTTP/1. */
static const veil_upstream_wire_t *
upstream_conn_wanted(const veil_exchange_t *x)
{
    return x->priv->plain ? NULL : x->conf->wire;
}

static bool
upstream_conn_suits(const veil_upstream_conn_t *uc, const veil_exchange_t *x,
                    const veil_addr_t *local)
{
    return uc->asked == upstream_conn_wanted(x)
           && upstream_conn_is_from(uc, local)
           && veil_upstream_tls_fits(uc, x);
}

/* One that others use, or make. */
static veil_upstream_conn_t *
upstream_conn_find_shared(const veil_exchange_t *x, const veil_addr_t *local,
                          bool connecting)
{
    veil_upstream_conn_t *uc;
    veil_list_t *l;

    veil_list_foreach (l, &x->priv->peer->shared) {
        uc = veil_list_entry(l, veil_upstream_conn_t, shared);
        if (uc->connecting == connecting && upstream_conn_suits(uc, x, local)
            && (connecting ? uc->njoined < CONN_MAX_JOINED
                           : uc->wire->room(uc) != 0))
        {
            return uc;
        }
    }
    return NULL;
}

static veil_upstream_conn_t *
upstream_conn_find_idle(const veil_exchange_t *x, const veil_addr_t *local)
{
    veil_upstream_conn_t *uc;
    veil_list_t *l;

    veil_list_foreach (l, &x->priv->peer->idle) {
        uc = veil_list_entry(l, veil_upstream_conn_t, peer_link);
        if (upstream_conn_suits(uc, x, local)
            && (uc->wire->room == NULL || uc->wire->room(uc) != 0))
        {
            return uc;
        }
    }
    return NULL;
}

veil_upstream_conn_t *
veil_upstream_conn_take(veil_exchange_t *x)
{
    veil_upstream_peer_t *p = x->priv->peer;
    veil_upstream_conn_t *uc;
    veil_addr_t local;

    if (veil_list_is_empty(&p->idle) && veil_list_is_empty(&p->shared)) {
        return NULL;
    }
    local = upstream_conn_local_addr(x);
    uc = upstream_conn_find_shared(x, &local, false);
    if (uc == NULL) {
        uc = upstream_conn_find_idle(x, &local);
        if (uc == NULL) {
            return NULL;
        }
        upstream_conn_unlink_idle(uc);
        if (uc->wire->room != NULL) {
            veil_list_push(&p->shared, &uc->shared);
        }
    }
    uc->group = x->group;
    uc->nrequests++;
    x->priv->uc = uc;
    if (uc->wire->room != NULL) {
        return uc;
    }
    uc->x = x;
    uc->c.bytes_in = 0;
    uc->c.bytes_out = 0;
    if (uc->tls != NULL) {
        veil_upstream_tls_attach(uc);
    }
    return uc;
}

int64_t
veil_upstream_keeps(const veil_upstream_group_t *g,
                    const veil_upstream_conf_t *conf)
{
    return g->defined ? g->keepalive : conf->keepalive;
}

static bool
upstream_conn_may_keep(const veil_upstream_conn_t *uc)
{
    const veil_upstream_group_t *g = uc->group;

    return !uc->peer->gone && uc->peer->admin == VEIL_UPSTREAM_READY
           && !uc->c.closing && !uc->c.eof && g->started
           && uc->nrequests < g->keepalive_requests
           && veil_now_ms() - uc->start_ms < g->keepalive_time;
}

/* The exchange that makes it goes, and others wait: one of them does. */
static void
upstream_conn_hand_over(veil_upstream_conn_t *uc)
{
    veil_exchange_private_t *next =
        veil_list_first(&uc->joined, veil_exchange_private_t, join);

    veil_list_remove(&next->join);
    uc->njoined--;
    uc->x = next->x;
    if (uc->tls != NULL) {
        veil_upstream_tls_attach(uc);
    }
}

void
veil_upstream_conn_release(veil_exchange_t *x, bool keep)
{
    veil_exchange_private_t *p = x->priv;
    veil_upstream_conn_t *uc = p->uc;

    if (uc == NULL) {
        return;
    }
    if (veil_list_is_linked(&p->join)) {
        veil_list_remove(&p->join);
        uc->njoined--;
        p->uc = NULL;
        if (uc->njoined == 0 && uc->wire->unwanted != NULL) {
            uc->wire->unwanted(uc);
        }
    } else if (uc->connecting && uc->x == x && uc->njoined != 0) {
        p->uc = NULL;
        upstream_conn_hand_over(uc);
    } else {
        uc->wire->leave(x, keep);
    }
}

void
veil_upstream_conn_keep(veil_upstream_conn_t *uc,
                        const veil_upstream_conf_t *conf, bool keep)
{
    veil_upstream_group_t *g = uc->group;
    int64_t room = veil_upstream_keeps(g, conf);
    veil_upstream_conn_t *oldest;

    if (!keep || room == 0 || !upstream_conn_may_keep(uc)) {
        veil_upstream_conn_retire(uc);
        return;
    }
    if (g->nidle >= room) {
        oldest =
            veil_container_of(g->idle.prev, veil_upstream_conn_t, group_link);
        veil_upstream_conn_retire(oldest);
    }
    veil_list_push(&g->idle, &uc->group_link);
    veil_list_push(&uc->peer->idle, &uc->peer_link);
    g->nidle++;
    upstream_conn_idle++;
    veil_conn_pace(&uc->c, false);
    veil_conn_read(&uc->c);
    veil_conn_read_timeout(&uc->c, g->defined ? g->keepalive_timeout
                                              : conf->keepalive_timeout);
}

void
veil_upstream_group_close_idle(veil_upstream_group_t *g)
{
    while (!veil_list_is_empty(&g->idle)) {
        veil_upstream_conn_retire(
            veil_list_first(&g->idle, veil_upstream_conn_t, group_link));
    }
}

void
veil_upstream_peer_close_idle(veil_upstream_peer_t *p)
{
    while (!veil_list_is_empty(&p->idle)) {
        veil_upstream_conn_retire(
            veil_list_first(&p->idle, veil_upstream_conn_t, peer_link));
    }
}

void
veil_upstream_conns_close_all(void)
{
    veil_upstream_conn_t *uc;
    veil_list_t *l, *tmp;

    if (upstream_conn_all.next == NULL) {
        return;
    }
    veil_list_foreach_safe (l, tmp, &upstream_conn_all) {
        uc = veil_list_entry(l, veil_upstream_conn_t, link);
        if (veil_list_is_linked(&uc->group_link)) {
            veil_upstream_conn_retire(uc);
        }
    }
}

/* --- opening ------------------------------------------------------------- */

/* One of those that wait for it, who waits no more; NULL: none is left. */
static veil_exchange_t *
upstream_conn_next_joined(veil_upstream_conn_t *uc)
{
    veil_exchange_private_t *p;

    if (uc->njoined == 0) {
        return NULL;
    }
    p = veil_list_first(&uc->joined, veil_exchange_private_t, join);
    veil_list_remove(&p->join);
    uc->njoined--;
    p->uc = NULL;
    return p->x;
}

void
veil_upstream_conn_failed(veil_upstream_conn_t *uc,
                          void (*tell)(veil_exchange_t *x, int err), int err)
{
    veil_exchange_t *x = uc->x, *other;

    uc->connecting = false;
    veil_upstream_conn_unshare(uc);
    while ((other = upstream_conn_next_joined(uc)) != NULL) {
        tell(other, err);
    }
    tell(x, err);
}

void
veil_upstream_conn_fail_joined(veil_upstream_conn_t *uc, int err)
{
    veil_exchange_t *x;

    uc->connecting = false;
    veil_upstream_conn_unshare(uc);
    while ((x = upstream_conn_next_joined(uc)) != NULL) {
        veil_exchange_connected(x, err);
    }
}

/* Whether it speaks what was asked for; without TLS the peer is known to. */
static bool
upstream_conn_agreed(const veil_upstream_conn_t *uc)
{
    return uc->asked != NULL
           && (uc->tls == NULL
               || veil_str_eq_z(veil_tls_alpn(veil_tls_of(&uc->c)),
                                uc->asked->name));
}

void
veil_upstream_conn_serve(veil_upstream_conn_t *uc)
{
    bool shared = uc->wire->room != NULL;
    veil_exchange_t *x;

    uc->connecting = false;
    while ((x = upstream_conn_next_joined(uc)) != NULL) {
        if (shared && uc->wire->room(uc) != 0) {
            uc->nrequests++;
            x->priv->uc = uc;
            veil_exchange_connected(x, 0);
        } else {
            x->priv->alone = !shared; /* it could not share that one either */
            veil_exchange_connect(x);
        }
    }
}

void
veil_upstream_conn_ready(veil_upstream_conn_t *uc)
{
    veil_exchange_t *x = uc->x;
    bool shared = upstream_conn_agreed(uc);

    if (shared) {
        uc->x = NULL; /* but the others wait until it knows its limits */
        uc->wire = uc->asked;
        uc->c.ops = uc->wire->conn;
        if (uc->tls != NULL) {
            veil_upstream_tls_detach(uc);
        }
        uc->wire->begin(uc);
        veil_exchange_connected(x, 0);
    } else if (x->conf->wire_needed) {
        x->log->action = "while SSL handshaking to upstream";
        veil_log(x->log, VEIL_LOG_ERR, 0,
                 "upstream did not choose \"%s\" by ALPN, which is needed",
                 x->conf->wire->name);
        x->log->action = NULL;
        veil_upstream_conn_failed(uc, veil_exchange_not_secured, -EPROTO);
    } else {
        veil_upstream_conn_unshare(uc);
        veil_exchange_connected(x, 0);
        veil_upstream_conn_serve(uc);
    }
}

static void
upstream_conn_connected(veil_conn_t *c, int err)
{
    veil_upstream_conn_t *uc = veil_upstream_conn_of(c);

    if (uc->x == NULL) {
        return;
    }
    if (err < 0) {
        veil_upstream_conn_failed(uc, veil_exchange_connected, err);
    } else if (uc->tls != NULL) {
        veil_upstream_tls_start(uc);
    } else {
        veil_upstream_conn_ready(uc);
    }
}

/* Waits for a connection that another exchange makes, if it can be shared. */
static bool
upstream_conn_join(veil_exchange_t *x)
{
    veil_exchange_private_t *p = x->priv;
    veil_upstream_conn_t *uc;
    veil_addr_t local;

    if (upstream_conn_wanted(x) == NULL || p->alone
        || veil_list_is_empty(&p->peer->shared))
    {
        return false;
    }
    local = upstream_conn_local_addr(x);
    uc = upstream_conn_find_shared(x, &local, true);
    if (uc == NULL) {
        return false;
    }
    p->uc = uc;
    uc->njoined++;
    veil_list_append(&uc->joined, &p->join);
    return true;
}

static void
upstream_conn_link(veil_upstream_conn_t *uc)
{
    veil_list_init(&uc->group_link);
    veil_list_init(&uc->peer_link);
    veil_list_init(&uc->shared);
    veil_list_init(&uc->joined);
    if (upstream_conn_all.next == NULL) {
        veil_list_init(&upstream_conn_all);
    }
    veil_list_append(&upstream_conn_all, &uc->link);
    if (uc->asked != NULL) {
        veil_list_push(&uc->peer->shared, &uc->shared);
    }
}

int
veil_upstream_conn_open(veil_exchange_t *x)
{
    veil_upstream_peer_t *p = x->priv->peer;
    veil_connect_options_t o = { .timeout_ms = x->conf->connect_timeout };
    veil_upstream_conn_t *uc;
    veil_pool_t *pool;
    int rc;

    if (upstream_conn_join(x)) {
        return 0;
    }
    pool = veil_pool_create("upstream", CONN_POOL_SIZE);
    uc = VEIL_POOL_NEW(pool, veil_upstream_conn_t);
    uc->pool = pool;
    veil_upstream_tls_prepare(uc, x);
    o.addr = p->addr;
    o.rcvbuf = (int) x->conf->rcvbuf;
    o.sndbuf = (int) x->conf->sndbuf;
    o.keepalive = x->conf->socket_keepalive;
    uc->local = upstream_conn_local_addr(x);
    if (uc->local.family != 0) {
        o.bind = &uc->local;
    }
    rc = veil_conn_connect(&uc->c, x->loop, pool, &o, upstream_conn_connected,
                           veil_upstream_h1.conn, &veil_cycle->log);
    if (rc < 0) {
        veil_upstream_tls_forget(uc);
        veil_pool_destroy(&pool);
        return rc;
    }
    uc->magic = VEIL_UPSTREAM_CONN_MAGIC;
    uc->number = uc->c.log.connection;
    uc->wire = &veil_upstream_h1;
    uc->x = x;
    uc->group = x->group;
    uc->peer = p;
    p->refs++;
    uc->nrequests = 1;
    uc->start_ms = veil_now_ms();
    uc->asked = upstream_conn_wanted(x);
    uc->connecting = true;
    upstream_conn_link(uc);
    x->priv->uc = uc;
    return 0;
}

/* --- the end --------------------------------------------------------------
 */

void
veil_upstream_conn_unpin(veil_upstream_conn_t *uc)
{
    if (uc->sending != NULL) {
        veil_block_put(uc->sending);
        uc->sending = NULL;
    }
    if (uc->pin.pool != NULL) {
        veil_pool_unpin(&uc->pin);
    }
}

void
veil_upstream_conn_on_closed(veil_conn_t *c)
{
    veil_upstream_conn_t *uc = veil_upstream_conn_of(c);
    veil_pool_t *pool = uc->pool;

    VEIL_ASSERT(uc->x == NULL && uc->njoined == 0);

    veil_upstream_conn_unpin(uc);
    veil_list_remove(&uc->link);
    veil_upstream_peer_put(uc->peer);
    veil_upstream_tls_forget(uc);
    uc->magic = VEIL_MAGIC_DEAD;
    veil_pool_retire(&pool);
}
