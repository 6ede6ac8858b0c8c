/*
 * lb_least_conn.c -- the peer with the fewest exchanges under way, weights
 * considered; among equals, round robin.
 *
 * The counts are those of all workers.  Ties are broken by the weights of
 * round robin, which is what makes a group without load take turns.
 */

#include "http/http.h"
#include "http/upstream/upstream_peer.h"

/* Whether a is less busy for its weight than b: 0 equal. */
static int64_t
lb_least_conn_cmp(const veil_upstream_peer_t *a, const veil_upstream_peer_t *b)
{
    return (int64_t) veil_upstream_slot_conns(a->slot) * b->weight
           - (int64_t) veil_upstream_slot_conns(b->slot) * a->weight;
}

static veil_upstream_peer_t *
lb_least_conn_pick(veil_exchange_t *x, const veil_upstream_set_t *set)
{
    veil_upstream_peer_t *equal[64], *p, *best = NULL;
    veil_upstream_set_t ties = { .peers = equal };
    int64_t diff;
    unsigned i;

    for (i = 0; i < set->n; i++) {
        p = set->peers[i];
        if (!veil_upstream_peer_can(x, set, p)) {
            continue;
        }
        diff = best == NULL ? -1 : lb_least_conn_cmp(p, best);
        if (diff < 0) {
            best = p;
            ties.n = 0;
        }
        if (diff <= 0 && ties.n < veil_countof(equal)) {
            equal[ties.n++] = p;
        }
    }
    /* All of them can, so this is the plain turn among them. */
    return ties.n > 1 ? veil_upstream_round_robin(x, &ties) : best;
}

static const veil_upstream_balancer_t lb_least_conn = {
    .name = "least_conn",
    .pick = lb_least_conn_pick,
};

static veil_rc_t
lb_least_conn_set(veil_conf_t *cf, const veil_command_t *cmd VEIL_UNUSED,
                  void *conf VEIL_UNUSED)
{
    return veil_upstream_set_balancer(cf, &lb_least_conn, NULL);
}

static const veil_command_t lb_least_conn_commands[] = {
    { .name = "least_conn",
      .where = VEIL_CONF_UPSTREAM,
      .args = VEIL_ARGS_0,
      .kind = VEIL_CONF_OF_UPSTREAM,
      .set = lb_least_conn_set,
      .help = "The server with the fewest requests under way." },

    { .name = NULL },
};

static const veil_http_module_t lb_least_conn_http = {
    .upstream_conf_size = sizeof(int),
};

veil_module_t veil_http_lb_least_conn_module = {
    .abi = VEIL_MODULE_ABI,
    .name = "lb_least_conn",
    .commands = lb_least_conn_commands,
    .http = &lb_least_conn_http,
};
