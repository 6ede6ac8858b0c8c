/*
 * lb_hash.c -- the same peer for the same key: hash, ip_hash.
 *
 *     hash $request_uri;              a modulo over the weights
 *     hash $remote_addr consistent;   ketama: a change of servers moves few
 *     ip_hash;                        the first three bytes of an IPv4 address
 *
 * Numbers are nginx's, so that a server can be replaced by us without its
 * clients changing backends: CRC-32 over key and attempt for the plain hash,
 * 160 points for each weight on a ring for the consistent one, and ip_hash's
 * own sum.  A key whose peer cannot be used is hashed on; after 20 attempts
 * round robin decides.
 */

#include "http/conn.h"
#include "http/http.h"
#include "http/upstream/upstream_peer.h"

#define LB_HASH_TRIES 20
#define LB_HASH_POINTS 160

typedef struct {
    const veil_http_value_t *key; /* NULL: ip_hash */
    bool consistent;
} lb_hash_conf_t;

typedef struct {
    uint32_t hash;
    veil_upstream_peer_t *peer;
} lb_hash_point_t;

typedef struct {
    unsigned n;
    lb_hash_point_t points[];
} lb_hash_ring_t;

static const lb_hash_conf_t *
lb_hash_conf(const veil_upstream_group_t *g)
{
    return g->balancer_conf;
}

/* --- sessions --------------------------------------------------------------
 *
 * A client's connection is a session: one that a drained server has answered
 * goes on with it, and nobody else comes to it any more.
 */

static bool
lb_hash_can(const veil_exchange_t *x, const veil_upstream_set_t *set,
            const veil_upstream_peer_t *p)
{
    const veil_http_conn_t *hc = x->request->conn;

    return veil_upstream_peer_can(x, set, p)
           || (hc != NULL && hc->sticky == veil_upstream_peer_id(p)
               && veil_upstream_peer_keeps(x, set, p));
}

static veil_upstream_peer_t *
lb_hash_chosen(const veil_exchange_t *x, veil_upstream_peer_t *p)
{
    veil_http_conn_t *hc = x->request->conn;

    if (hc != NULL && p != NULL) {
        hc->sticky = veil_upstream_peer_id(p);
    }
    return p;
}

/* --- by weight ------------------------------------------------------------
 */

static veil_upstream_peer_t *
lb_hash_nth(const veil_upstream_set_t *set, uint32_t hash)
{
    uint64_t total = 0, at;
    unsigned i;

    for (i = 0; i < set->n; i++) {
        total += (uint64_t) set->peers[i]->weight;
    }
    at = hash % total;
    for (i = 0; i + 1 < set->n && at >= (uint64_t) set->peers[i]->weight; i++)
    {
        at -= (uint64_t) set->peers[i]->weight;
    }
    return set->peers[i];
}

static veil_upstream_peer_t *
lb_hash_plain(veil_exchange_t *x, const veil_upstream_set_t *set,
              veil_str_t key)
{
    veil_upstream_peer_t *p;
    uint32_t hash = 0, crc;
    unsigned tries;
    char digits[20];
    size_t n;

    for (tries = 0; tries < LB_HASH_TRIES; tries++) {
        /* "N" + key from the second attempt on, as nginx has it. */
        n = (size_t) (veil_fmt_uint(digits, tries) - digits);
        crc = tries == 0 ? 0 : veil_crc32(0, digits, n);
        crc = veil_crc32(crc, key.data, key.len);
        hash += (crc >> 16) & 0x7fff;
        p = lb_hash_nth(set, hash);
        if (lb_hash_can(x, set, p)) {
            return p;
        }
    }
    return veil_upstream_round_robin(x, set);
}

/* --- the ring -------------------------------------------------------------
 */

static int
lb_hash_cmp(const void *a, const void *b)
{
    const lb_hash_point_t *x = a;
    const lb_hash_point_t *y = b;

    return x->hash < y->hash ? -1 : x->hash > y->hash;
}

/* The points of a server: crc32(host \0 port prev_hash), chained. */
static void
lb_hash_add_points(lb_hash_ring_t *ring, veil_upstream_peer_t *p)
{
    veil_str_t host = p->server->name, port = VEIL_STR_NULL;
    uint32_t base, hash = 0;
    unsigned char bytes[4] = { 0, 0, 0, 0 };
    ptrdiff_t colon;
    int64_t i;

    if (!p->server->is_unix) {
        colon = veil_str_rchr(host, ':');
        if (colon >= 0) {
            port = veil_str_from(host, (size_t) colon + 1);
            host.len = (size_t) colon;
        }
    } else {
        host = veil_str_from(host, 5);
    }
    base = veil_crc32(0, host.data, host.len);
    base = veil_crc32(base, "", 1);
    if (port.len != 0) {
        base = veil_crc32(base, port.data, port.len);
    }
    for (i = 0; i < p->weight * LB_HASH_POINTS; i++) {
        hash = veil_crc32(base, bytes, 4);
        ring->points[ring->n].hash = hash;
        ring->points[ring->n++].peer = p;
        bytes[0] = (unsigned char) hash;
        bytes[1] = (unsigned char) (hash >> 8);
        bytes[2] = (unsigned char) (hash >> 16);
        bytes[3] = (unsigned char) (hash >> 24);
    }
}

static void
lb_hash_update(veil_upstream_group_t *g, veil_upstream_set_t *set)
{
    lb_hash_ring_t *ring;
    uint64_t n = 0;
    unsigned i;

    veil_free(set->data);
    set->data = NULL;
    if (!lb_hash_conf(g)->consistent || set->n == 0) {
        return;
    }
    for (i = 0; i < set->n; i++) {
        n += (uint64_t) set->peers[i]->weight * LB_HASH_POINTS;
    }
    ring = veil_alloc(sizeof(*ring) + n * sizeof(lb_hash_point_t));
    ring->n = 0;
    for (i = 0; i < set->n; i++) {
        lb_hash_add_points(ring, set->peers[i]);
    }
    qsort(ring->points, ring->n, sizeof(lb_hash_point_t), lb_hash_cmp);
    set->data = ring;
}

static veil_upstream_peer_t *
lb_hash_consistent(veil_exchange_t *x, const veil_upstream_set_t *set,
                   veil_str_t key)
{
    const lb_hash_ring_t *ring = set->data;
    uint32_t hash = veil_crc32(0, key.data, key.len);
    unsigned low = 0, high = ring->n, mid, i;
    veil_upstream_peer_t *p;

    while (low < high) {
        mid = low + (high - low) / 2;
        if (ring->points[mid].hash < hash) {
            low = mid + 1;
        } else {
            high = mid;
        }
    }
    for (i = 0; i < ring->n; i++) {
        p = ring->points[(low + i) % ring->n].peer;
        if (lb_hash_can(x, set, p)) {
            return p;
        }
    }
    return NULL;
}

/* --- ip_hash --------------------------------------------------------------
 */

static veil_upstream_peer_t *
lb_hash_ip(veil_exchange_t *x, const veil_upstream_set_t *set)
{
    static const unsigned char none[3];
    const veil_addr_t *a = &x->request->conn->c.peer;
    const unsigned char *bytes = none;
    unsigned i, n = 3, tries;
    veil_upstream_peer_t *p;
    uint32_t hash = 89;

    if (a->family == AF_INET || a->family == AF_INET6) {
        bytes = a->u.ip;
        n = a->family == AF_INET ? 3 : 16;
    }
    for (tries = 0; tries < LB_HASH_TRIES; tries++) {
        for (i = 0; i < n; i++) {
            hash = (hash * 113 + bytes[i]) % 6271;
        }
        p = lb_hash_nth(set, hash);
        if (lb_hash_can(x, set, p)) {
            return p;
        }
    }
    return veil_upstream_round_robin(x, set);
}

static veil_upstream_peer_t *
lb_hash_pick(veil_exchange_t *x, const veil_upstream_set_t *set)
{
    const lb_hash_conf_t *conf = lb_hash_conf(x->group);
    veil_str_t key;

    if (x->request == NULL || (conf->key == NULL && x->request->conn == NULL))
    {
        return veil_upstream_round_robin(x, set);
    }
    if (conf->key == NULL) {
        return lb_hash_chosen(x, lb_hash_ip(x, set));
    }
    key = veil_http_eval(x->request, conf->key);
    if (key.len == 0 && !conf->consistent) {
        return veil_upstream_round_robin(x, set);
    }
    return lb_hash_chosen(x, conf->consistent ? lb_hash_consistent(x, set, key)
                                              : lb_hash_plain(x, set, key));
}

/* --- directives -----------------------------------------------------------
 */

static const veil_upstream_balancer_t lb_hash = {
    .name = "hash",
    .update = lb_hash_update,
    .pick = lb_hash_pick,
};

static const veil_upstream_balancer_t lb_hash_of_ip = {
    .name = "ip_hash",
    .update = lb_hash_update,
    .pick = lb_hash_pick,
};

static veil_rc_t
lb_hash_set(veil_conf_t *cf, const veil_command_t *cmd VEIL_UNUSED,
            void *data VEIL_UNUSED)
{
    static const char *const words[] = { "consistent", NULL };
    lb_hash_conf_t *conf = VEIL_POOL_NEW(cf->pool, lb_hash_conf_t);

    conf->key = veil_http_value_compile(cf, veil_conf_arg(cf, 1));
    if (conf->key == NULL) {
        return VEIL_ERROR;
    }
    if (veil_conf_nargs(cf) == 3) {
        if (!veil_str_eq_z(veil_conf_arg(cf, 2), "consistent")) {
            return veil_conf_error_word(cf, 2, words);
        }
        conf->consistent = true;
    }
    return veil_upstream_set_balancer(cf, &lb_hash, conf);
}

static veil_rc_t
lb_hash_set_ip(veil_conf_t *cf, const veil_command_t *cmd VEIL_UNUSED,
               void *data VEIL_UNUSED)
{
    return veil_upstream_set_balancer(cf, &lb_hash_of_ip,
                                      VEIL_POOL_NEW(cf->pool, lb_hash_conf_t));
}

static const veil_command_t lb_hash_commands[] = {
    { .name = "hash",
      .where = VEIL_CONF_UPSTREAM,
      .args = VEIL_ARGS(1, 2),
      .kind = VEIL_CONF_OF_UPSTREAM,
      .set = lb_hash_set,
      .syntax = "key [consistent]",
      .help = "The same server for the same key." },

    { .name = "ip_hash",
      .where = VEIL_CONF_UPSTREAM,
      .args = VEIL_ARGS_0,
      .kind = VEIL_CONF_OF_UPSTREAM,
      .set = lb_hash_set_ip,
      .help = "The same server for the same client address." },

    { .name = NULL },
};

static const veil_http_module_t lb_hash_http = {
    .upstream_conf_size = sizeof(int),
};

veil_module_t veil_http_lb_hash_module = {
    .abi = VEIL_MODULE_ABI,
    .name = "lb_hash",
    .commands = lb_hash_commands,
    .http = &lb_hash_http,
};
