/*
 * upstream_pool.c -- connections to peers: opened, used, kept, closed.
 *
 * Each connection has a pool of its own and belongs to one exchange or to the
 * idle ones of its group, of which there are at most "keepalive"; the one
 * that was idle for the longest time goes first.  An idle connection keeps
 * receiving: its end, and bytes nobody asked for, are noticed at once, so
 * that hardly a request is sent into a connection that is dead.
 *
 * The read timer is the same in both lives and is only ever pushed further,
 * which costs nothing: setting and cancelling it for each request would.
 */

#include "http/upstream_impl.h"

#define CONN_POOL_SIZE 768

static veil_list_t upstream_conn_all = { .next = NULL };
static unsigned upstream_conn_idle;

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
veil_upstream_conn_close(veil_upstream_conn_t *uc)
{
    upstream_conn_unlink_idle(uc);
    uc->x = NULL;
    uc->group = NULL;
    veil_conn_close(&uc->c);
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

veil_upstream_conn_t *
veil_upstream_conn_take(veil_exchange_t *x)
{
    veil_upstream_peer_t *p = x->priv->peer;
    veil_upstream_conn_t *uc = NULL;
    veil_addr_t local;
    veil_list_t *l;

    if (veil_list_is_empty(&p->idle)) {
        return NULL;
    }
    local = upstream_conn_local_addr(x);
    veil_list_foreach (l, &p->idle) {
        uc = veil_list_entry(l, veil_upstream_conn_t, peer_link);
        if (upstream_conn_is_from(uc, &local) && veil_upstream_tls_fits(uc, x))
        {
            break;
        }
        uc = NULL;
    }
    if (uc == NULL) {
        return NULL;
    }
    upstream_conn_unlink_idle(uc);
    uc->x = x;
    uc->group = x->group;
    uc->nrequests++;
    uc->c.bytes_in = 0;
    uc->c.bytes_out = 0;
    x->priv->uc = uc;
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
upstream_conn_may_keep(const veil_exchange_t *x,
                       const veil_upstream_conn_t *uc)
{
    const veil_upstream_group_t *g = x->group;

    return !uc->peer->gone && !uc->c.closing && !uc->c.eof
           && uc->c.kept == NULL && !veil_conn_is_writing(&uc->c) && g->started
           && uc->nrequests < g->keepalive_requests
           && veil_now_ms() - uc->start_ms < g->keepalive_time;
}

void
veil_upstream_conn_release(veil_exchange_t *x, bool keep)
{
    if (x->priv->uc != NULL) {
        x->priv->uc->wire->leave(x, keep);
    }
}

void
veil_upstream_conn_keep(veil_exchange_t *x, veil_upstream_conn_t *uc,
                        bool keep)
{
    veil_upstream_group_t *g = x->group;
    int64_t room = veil_upstream_keeps(g, x->conf);
    veil_upstream_conn_t *oldest;

    if (!keep || room == 0 || !upstream_conn_may_keep(x, uc)) {
        veil_upstream_conn_close(uc);
        return;
    }
    if (g->nidle >= room) {
        oldest =
            veil_container_of(g->idle.prev, veil_upstream_conn_t, group_link);
        veil_upstream_conn_close(oldest);
    }
    veil_list_push(&g->idle, &uc->group_link);
    veil_list_push(&uc->peer->idle, &uc->peer_link);
    g->nidle++;
    upstream_conn_idle++;
    veil_conn_pace(&uc->c, false);
    veil_conn_read(&uc->c);
    veil_conn_read_timeout(&uc->c, g->defined ? g->keepalive_timeout
                                              : x->conf->keepalive_timeout);
}

void
veil_upstream_group_close_idle(veil_upstream_group_t *g)
{
    while (!veil_list_is_empty(&g->idle)) {
        veil_upstream_conn_close(
            veil_list_first(&g->idle, veil_upstream_conn_t, group_link));
    }
}

void
veil_upstream_peer_close_idle(veil_upstream_peer_t *p)
{
    while (!veil_list_is_empty(&p->idle)) {
        veil_upstream_conn_close(
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
        if (uc->x == NULL) {
            veil_upstream_conn_close(uc);
        }
    }
}

/* --- opening ------------------------------------------------------------- */

static void
upstream_conn_connected(veil_conn_t *c, int err)
{
    veil_upstream_conn_t *uc = veil_upstream_conn_of(c);

    if (uc->x == NULL) {
        return;
    }
    if (err == 0 && uc->tls != NULL) {
        veil_upstream_tls_start(uc);
        return;
    }
    veil_exchange_connected(uc->x, err);
}

int
veil_upstream_conn_open(veil_exchange_t *x)
{
    veil_pool_t *pool = veil_pool_create("upstream", CONN_POOL_SIZE);
    veil_upstream_conn_t *uc = VEIL_POOL_NEW(pool, veil_upstream_conn_t);
    veil_upstream_peer_t *p = x->priv->peer;
    veil_connect_options_t o = { .timeout_ms = x->conf->connect_timeout };
    int rc;

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
    veil_list_init(&uc->group_link);
    veil_list_init(&uc->peer_link);
    if (upstream_conn_all.next == NULL) {
        veil_list_init(&upstream_conn_all);
    }
    veil_list_append(&upstream_conn_all, &uc->link);
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

    VEIL_ASSERT(uc->x == NULL);

    veil_upstream_conn_unpin(uc);
    veil_list_remove(&uc->link);
    veil_upstream_peer_put(uc->peer);
    veil_upstream_tls_forget(uc);
    uc->magic = VEIL_MAGIC_DEAD;
    veil_pool_retire(&pool);
}
