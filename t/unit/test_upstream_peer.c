/*
 * test_upstream_peer.c -- who is picked: weights, failures, limits, backups,
 * addresses that come and go.
 */

#include <criterion/criterion.h>

#include "../../src/http/upstream/upstream_peer.c"

static veil_pool_t *pool;
static veil_upstream_group_t group;
static veil_exchange_t exchange;
static veil_exchange_private_t priv;
static veil_log_t log_off = { .level = VEIL_LOG_OFF };

static void
setup(void)
{
    veil_time_set(1000000, 1700000000, 0);
    pool = veil_pool_create("test", 4096);
    memset(&group, 0, sizeof(group));
    group.pool = pool;
    group.name = VEIL_STR("group");
    veil_array_init(&group.servers, pool, sizeof(veil_upstream_server_t *), 4);
    veil_list_init(&group.idle);
    veil_list_init(&group.waiting);
    group.started = true;
    memset(&exchange, 0, sizeof(exchange));
    exchange.log = &log_off;
    exchange.group = &group;
    exchange.priv = &priv;
    memset(&priv, 0, sizeof(priv));
}

static void
teardown(void)
{
    veil_upstream_group_stop(&group);
    veil_pool_destroy(&pool);
}

static veil_addr_t
addr_of(unsigned char last)
{
    veil_addr_t a = { .family = AF_INET, .port = 80 };

    a.u.ip[0] = 10;
    a.u.ip[3] = last;
    return a;
}

static veil_upstream_server_t *
add(unsigned char last, int64_t weight)
{
    veil_upstream_server_t *s = VEIL_POOL_NEW(pool, veil_upstream_server_t);
    veil_addr_t a = addr_of(last);

    s->group = &group;
    s->name = veil_pool_printf(pool, "s%u", last);
    s->pool = pool;
    s->refs = 1;
    s->order = group.norder++;
    veil_upstream_params_default(&s->conf);
    s->conf.weight = (int32_t) weight;
    *(veil_upstream_server_t **) veil_array_push(&group.servers) = s;
    veil_upstream_set_addrs(s, &a, 1);
    return s;
}

/* A server's peers belong among the backups: before it has any. */
static void
add_backup(unsigned char last)
{
    veil_upstream_server_t *s = add(last, 1);
    veil_addr_t a = addr_of(last);

    veil_upstream_set_addrs(s, NULL, 0);
    s->conf.backup = 1;
    veil_upstream_set_addrs(s, &a, 1);
}

/* The last byte of the picked address; 0: nobody. */
static unsigned
pick(void)
{
    return veil_upstream_pick(&exchange) == NULL ? 0 : priv.peer->addr.u.ip[3];
}

/* A whole exchange. */
static unsigned
once(bool failed)
{
    unsigned who;

    memset(priv.tried, 0, sizeof(priv.tried));
    who = pick();
    veil_upstream_peer_done(&exchange, failed);
    return who;
}

TestSuite(upstream_peer, .init = setup, .fini = teardown);

Test(upstream_peer, weights_are_smooth)
{
    static const unsigned expected[] = { 1, 1, 2, 1, 3, 1, 1 };
    unsigned i;

    add(1, 5);
    add(2, 1);
    add(3, 1);
    for (i = 0; i < 21; i++) {
        cr_assert_eq(once(false), expected[i % 7], "turn %u", i);
    }
}

Test(upstream_peer, each_is_tried_once)
{
    add(1, 1);
    add(2, 1);
    cr_assert_eq(pick(), 1);
    veil_upstream_peer_done(&exchange, false);
    cr_assert_eq(pick(), 2);
    veil_upstream_peer_done(&exchange, false);
    cr_assert_eq(pick(), 0);
}

Test(upstream_peer, a_failed_one_rests)
{
    unsigned i;

    add(1, 1);
    add(2, 1);
    cr_assert_eq(once(true), 1);
    for (i = 0; i < 4; i++) {
        cr_assert_eq(once(false), 2);
    }
    /* When the time is over it is tried again, with growing weight. */
    veil_time_set(1000000 + 10001, 1700000010, 0);
    for (i = 0; i < 4 && once(false) != 1; i++) {
        cr_assert_lt(i, 3);
    }
    cr_assert_eq(group.sets[0].peers[0]->slot->fails, 0);
}

Test(upstream_peer, max_fails)
{
    veil_upstream_server_t *s = add(1, 1);

    add(2, 1);
    s->conf.max_fails = 0;
    veil_upstream_server_changed(s);
    (void) once(true);
    (void) once(true);
    veil_time_set(1000000 + 10001, 1700000010, 0);
    cr_assert(veil_upstream_peer_can(&exchange, &group.sets[0],
                                     group.sets[0].peers[0])
              || priv.tried[0][0] != 0);
    memset(priv.tried, 0, sizeof(priv.tried));
    cr_assert(veil_upstream_peer_can(&exchange, &group.sets[0],
                                     group.sets[0].peers[0]));
}

Test(upstream_peer, a_single_one_is_always_alive)
{
    add(1, 1);
    cr_assert_eq(once(true), 1);
    cr_assert_eq(once(true), 1);
    cr_assert_eq(once(true), 1);
}

Test(upstream_peer, limits_and_backups)
{
    veil_upstream_server_t *s = add(1, 1);
    veil_upstream_peer_t *first;

    s->conf.max_conns = 1;
    veil_upstream_server_changed(s);
    add_backup(9);
    cr_assert_eq(pick(), 1);
    first = priv.peer;
    memset(priv.tried, 0, sizeof(priv.tried));
    cr_assert_eq(pick(), 9);
    veil_upstream_peer_done(&exchange, false);
    priv.peer = first;
    veil_upstream_peer_done(&exchange, false);
    cr_assert_eq(once(false), 1);
    s->conf.admin = VEIL_UPSTREAM_DOWN;
    veil_upstream_server_changed(s);
    cr_assert_eq(once(false), 9);
}

Test(upstream_peer, addresses_come_and_go)
{
    veil_upstream_server_t *s = add(1, 1);
    veil_addr_t both[2] = { addr_of(2), addr_of(1) };
    veil_upstream_peer_t *kept = group.sets[0].peers[0];

    veil_upstream_set_addrs(s, both, 2);
    cr_assert_eq(group.sets[0].n, 2);
    cr_assert_eq(group.sets[0].peers[1], kept); /* it is the same peer */
    cr_assert_eq(kept->index, 1);
    veil_upstream_set_addrs(s, both, 1);
    cr_assert_eq(group.sets[0].n, 1);
    cr_assert_eq(once(false), 2);
    veil_upstream_set_addrs(s, NULL, 0);
    cr_assert_eq(once(false), 0);
}

Test(upstream_peer, a_peer_in_use_outlives_its_address)
{
    veil_upstream_server_t *s = add(1, 1);
    veil_addr_t other = addr_of(2);

    cr_assert_eq(pick(), 1);
    veil_upstream_set_addrs(s, &other, 1);
    cr_assert(priv.peer->gone);
    veil_upstream_peer_done(&exchange, true); /* frees it (ASAN) */
}
