/*
 * test_upstream_sync.c -- what the zone says becomes servers and peers, and
 * the configuration's last word.
 */

#include <criterion/criterion.h>

#include "../../src/http/upstream/upstream_zone.c"

static veil_cycle_t cycle;
static veil_shm_zone_t shm;
static veil_upstream_group_t group;
static veil_exchange_t exchange;
static veil_exchange_private_t priv;
static veil_log_t log_off = { .level = VEIL_LOG_OFF };
static _Alignas(64) char memory[64 * 1024];

static veil_upstream_server_t *
add(const char *name, unsigned char last)
{
    veil_upstream_server_t *s =
        VEIL_POOL_NEW(cycle.pool, veil_upstream_server_t);
    veil_addr_t a = { .family = AF_INET, .port = 80 };

    a.u.ip[0] = 10;
    a.u.ip[3] = last;
    s->group = &group;
    s->pool = cycle.pool;
    s->refs = 1;
    s->order = group.norder++;
    s->name = veil_str_z(name);
    veil_upstream_params_default(&s->conf);
    s->addrs = veil_array_create(cycle.pool, sizeof(a), 1);
    *(veil_addr_t *) veil_array_push(s->addrs) = a;
    *(veil_upstream_server_t **) veil_array_push(&group.servers) = s;
    return s;
}

static void
setup(void)
{
    veil_time_set(1000000, 1700000000, 0);
    memset(memory, 0, sizeof(memory));
    cycle.pool = veil_pool_create("test", 4096);
    cycle.log = log_off;
    veil_cycle = &cycle;
    shm.addr = memory;
    shm.size = sizeof(memory);
    shm.name = VEIL_STR("zone");
    cr_assert_eq(upstream_zone_init(&shm, true), VEIL_OK);
    group.pool = cycle.pool;
    group.name = VEIL_STR("group");
    group.zone = &shm;
    group.defined = true;
    veil_array_init(&group.servers, cycle.pool,
                    sizeof(veil_upstream_server_t *), 4);
    veil_list_init(&group.idle);
    veil_list_init(&group.waiting);
    exchange.log = &log_off;
    exchange.group = &group;
    exchange.priv = &priv;
}

static void
teardown(void)
{
    veil_upstream_group_stop(&group);
    veil_pool_destroy(&cycle.pool);
}

/* The last byte of the address that is picked; 0: nobody. */
static unsigned
once(void)
{
    unsigned who;

    memset(priv.tried, 0, sizeof(priv.tried));
    if (veil_upstream_pick(&exchange) == NULL) {
        return 0;
    }
    who = priv.peer->addr.u.ip[3];
    veil_upstream_peer_done(&exchange, false);
    return who;
}

static void
changed(void)
{
    __atomic_add_fetch(veil_upstream_zone_version(&group), 1,
                       __ATOMIC_RELEASE);
}

static veil_upstream_slot_t *
entry(const char *server, bool make)
{
    return veil_upstream_entry(&group, veil_str_z(server), VEIL_STR_NULL,
                               make);
}

TestSuite(upstream_sync, .init = setup, .fini = teardown);

Test(upstream_sync, a_zone_fills_up_and_takes_back)
{
    char name[16];
    unsigned i, n = 0;

    for (i = 0; i < 1000; i++) {
        (void) snprintf(name, sizeof(name), "s%u", i);
        n += entry(name, true) != NULL;
    }
    cr_assert_eq(n, (sizeof(memory) - 64) / 512);
    cr_assert_null(entry("s999", false));
    veil_upstream_entry_free(entry("s3", false));
    cr_assert_null(entry("s3", false));
    cr_assert_not_null(entry("s999", true), "a freed one is taken");
    cr_assert_not_null(entry("s4", false), "and those behind it are found");
}

Test(upstream_sync, a_change_holds_until_the_configuration_changes)
{
    veil_upstream_server_t *first = add("a", 1);
    veil_upstream_slot_t *e;

    (void) add("b", 2);
    veil_upstream_group_start(&group, NULL);
    e = entry("a", true);
    e->change.set = VEIL_UPSTREAM_HAS_ADMIN | VEIL_UPSTREAM_HAS_WEIGHT;
    e->change.value = first->conf;
    e->change.base = first->conf;
    e->change.value.admin = VEIL_UPSTREAM_DRAIN;
    e->change.value.weight = 5;
    changed();
    cr_assert_eq(once(), 2);
    cr_assert_eq(once(), 2);
    cr_assert_eq(group.sets[0].peers[0]->weight, 5);
    /* Another generation, whose line says "weight=2". */
    first->conf.weight = 2;
    veil_upstream_server_changed(first);
    cr_assert_eq(group.sets[0].peers[0]->weight, 2);
    cr_assert_eq(group.sets[0].peers[0]->admin, VEIL_UPSTREAM_DRAIN);
    veil_upstream_entry_free(e);
    changed();
    (void) once();
    cr_assert_eq(group.sets[0].peers[0]->admin, VEIL_UPSTREAM_READY);
}

Test(upstream_sync, added_servers_come_and_go_under_a_request)
{
    veil_upstream_slot_t *e;
    veil_upstream_peer_t *p;

    (void) add("10.0.0.1:80", 1);
    veil_upstream_group_start(&group, NULL);
    e = entry("10.0.0.9:80", true);
    veil_upstream_params_default(&e->u.server.conf);
    e->u.server.conf.weight = 9;
    memcpy(e->u.server.text, "10.0.0.9:80\0\0", 14);
    e->flags = VEIL_UPSTREAM_IS_ADDED;
    changed();
    cr_assert_eq(once(), 9);
    cr_assert_eq(group.servers.n, 2);
    /* One request is under way when it goes. */
    memset(priv.tried, 0, sizeof(priv.tried));
    p = veil_upstream_pick(&exchange);
    cr_assert_eq(p->addr.u.ip[3], 9);
    veil_upstream_entry_free(e);
    changed();
    veil_upstream_sync(&group);
    cr_assert_eq(group.servers.n, 1);
    cr_assert(p->gone);
    cr_assert(veil_str_eq_z(p->server->name, "10.0.0.9:80"));
    veil_upstream_peer_done(&exchange, false); /* frees both (ASAN) */
    cr_assert_eq(once(), 1);
}

Test(upstream_sync, a_deleted_line_comes_back_when_it_changes)
{
    veil_upstream_server_t *first = add("a", 1);
    veil_upstream_slot_t *e;

    (void) add("b", 2);
    veil_upstream_group_start(&group, NULL);
    e = entry("a", true);
    e->u.server.conf = first->conf;
    e->flags = VEIL_UPSTREAM_IS_DELETED;
    changed();
    cr_assert_eq(once(), 2);
    cr_assert_eq(group.sets[0].n, 1);
    first->conf.max_fails = 7;
    changed();
    (void) once();
    cr_assert_eq(group.sets[0].n, 2);
    cr_assert_eq(group.sets[0].peers[0]->server, first, "in its old place");
}
