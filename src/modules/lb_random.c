/*
 * lb_random.c -- a peer at random, by weight; or the less busy of two.
 *
 * Several proxies in front of one group, which know nothing of each other's
 * requests, all send to the same least busy server if they look at all of
 * them.  Looking at two only, picked at random, avoids that and is nearly as
 * even.
 */

#include "core/rand.h"
#include "http/http.h"
#include "http/upstream/upstream_peer.h"

#define LB_RANDOM_TRIES 20

typedef struct {
    bool two;
} lb_random_conf_t;

static veil_upstream_peer_t *
lb_random_one(const veil_upstream_set_t *set)
{
    uint64_t total = 0, at;
    unsigned i;

    for (i = 0; i < set->n; i++) {
        total += (uint64_t) set->peers[i]->weight;
    }
    at = veil_rand_below(total);
    for (i = 0; i + 1 < set->n && at >= (uint64_t) set->peers[i]->weight; i++)
    {
        at -= (uint64_t) set->peers[i]->weight;
    }
    return set->peers[i];
}

static bool
lb_random_is_busier(const veil_upstream_peer_t *a,
                    const veil_upstream_peer_t *b)
{
    return (int64_t) veil_upstream_slot_conns(a->slot) * b->weight
           > (int64_t) veil_upstream_slot_conns(b->slot) * a->weight;
}

static veil_upstream_peer_t *
lb_random_pick(veil_exchange_t *x, const veil_upstream_set_t *set)
{
    const lb_random_conf_t *conf = x->group->balancer_conf;
    veil_upstream_peer_t *p, *first = NULL;
    unsigned tries;

    for (tries = 0; tries < LB_RANDOM_TRIES; tries++) {
        p = lb_random_one(set);
        if (p == first || !veil_upstream_peer_can(x, set, p)) {
            continue;
        }
        if (!conf->two) {
            return p;
        }
        if (first != NULL) {
            return lb_random_is_busier(first, p) ? p : first;
        }
        first = p;
    }
    return first != NULL ? first : veil_upstream_round_robin(x, set);
}

static const veil_upstream_balancer_t lb_random = {
    .name = "random",
    .pick = lb_random_pick,
};

/* random [two [least_conn]] */
static veil_rc_t
lb_random_set(veil_conf_t *cf, const veil_command_t *cmd VEIL_UNUSED,
              void *data VEIL_UNUSED)
{
    static const char *const two[] = { "two", NULL };
    static const char *const least[] = { "least_conn", NULL };
    lb_random_conf_t *conf = VEIL_POOL_NEW(cf->pool, lb_random_conf_t);

    if (veil_conf_nargs(cf) > 1) {
        if (!veil_str_eq_z(veil_conf_arg(cf, 1), "two")) {
            return veil_conf_error_word(cf, 1, two);
        }
        conf->two = true;
    }
    if (veil_conf_nargs(cf) > 2
        && !veil_str_eq_z(veil_conf_arg(cf, 2), "least_conn"))
    {
        return veil_conf_error_word(cf, 2, least);
    }
    return veil_upstream_set_balancer(cf, &lb_random, conf);
}

static const veil_command_t lb_random_commands[] = {
    { .name = "random",
      .where = VEIL_CONF_UPSTREAM,
      .args = VEIL_ARGS(0, 2),
      .kind = VEIL_CONF_OF_UPSTREAM,
      .set = lb_random_set,
      .syntax = "[two [least_conn]]",
      .help = "A server at random, or the less busy of two." },

    { .name = NULL },
};

static const veil_http_module_t lb_random_http = {
    .upstream_conf_size = sizeof(int),
};

veil_module_t veil_http_lb_random_module = {
    .abi = VEIL_MODULE_ABI,
    .name = "lb_random",
    .commands = lb_random_commands,
    .http = &lb_random_http,
};
