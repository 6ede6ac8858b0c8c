/*
 * test_tls_cache.c -- sessions by id: shared, bounded, expiring, and a
 * process that dies at every place where it changes them.
 */

#include "tls_pair.h"

#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "conf_fixture.h"

/* The process ends at the n-th point it comes to; 0: never. */
static unsigned die_at;

static void
point(void)
{
    if (die_at != 0 && --die_at == 0) {
        _exit(77);
    }
}

#define CACHE_POINT(what) point()
#include "event/tls_cache.c"

#define SIZE (64 * 1024)

static veil_conf_t cf;
static EVP_PKEY *key;
static X509 *cert;
static SSL_CTX *client;
static time_t wall;

static void
setup(void)
{
    wall = time(NULL);
    veil_time_set(1000000, wall, 0);
    cf = fixture_conf("/nowhere");
    key = pair_ec_key(NID_X9_62_prime256v1);
    cert = pair_cert(key, "a");
    client = pair_client_ctx(TLS1_2_VERSION);
    SSL_CTX_set_options(client, SSL_OP_NO_TICKET);
}

static void
teardown(void)
{
    veil_list_t *n;

    pair_forget();
    SSL_CTX_free(client);
    X509_free(cert);
    EVP_PKEY_free(key);
    veil_list_foreach (n, &fixture_cycle->zones) {
        veil_shm_zone_unmap(veil_list_entry(n, veil_shm_zone_t, link));
    }
    fixture_done(&cf);
}

TestSuite(tls_cache, .init = setup, .fini = teardown, .timeout = 240);

static veil_tls_cache_t *
zone_of(size_t size)
{
    veil_tls_cache_t *c = veil_tls_cache_zone(&cf, VEIL_STR("ssl"), size);

    cr_assert_neq(c, NULL);
    cr_assert_eq(veil_shm_zone_map(c->zone, -1), 0);
    cr_assert_eq(c->zone->init(c->zone, true), VEIL_OK);
    return c;
}

static SSL_CTX *
server(veil_tls_cache_t *cache)
{
    veil_tls_options_t o = { .server = true, .cache = cache };
    SSL_CTX *ctx = pair_server_ctx(key, cert);

    cr_assert_eq(SSL_CTX_set_session_id_context(ctx, (const uint8_t *) "a", 1),
                 1);
    (void) SSL_CTX_set_timeout(ctx, 300);
    cr_assert_eq(veil_tls_cache_apply(ctx, &o), VEIL_OK);
    return ctx;
}

/* What the lists say is what the table says; returns the sessions. */
static unsigned
verify(veil_tls_cache_t *c)
{
    tls_cache_root_t *r = tls_cache_root(c->slab);
    unsigned n = 0, back = 0, chained = 0;
    const tls_cache_node_t *node;
    tls_cache_link_t at, last = 0;
    uint32_t i;

    for (at = r->newest; at != 0; at = node->older) {
        node = tls_cache_at(c->slab, at);
        cr_assert_eq(node->newer, last);
        cr_assert_eq(*tls_cache_find(c->slab, r, node->id), at);
        last = at;
        n++;
    }
    cr_assert_eq(r->oldest, last);
    for (at = r->oldest; at != 0; at = node->newer) {
        node = tls_cache_at(c->slab, at);
        back++;
    }
    for (i = 0; i <= r->mask; i++) {
        for (at = r->buckets[i]; at != 0; at = node->chain) {
            node = tls_cache_at(c->slab, at);
            chained++;
        }
    }
    cr_assert_eq(n, back);
    cr_assert_eq(n, chained);
    cr_assert_eq(n, r->n);
    return n;
}

static bool
store(veil_tls_cache_t *c, unsigned number, size_t n, int64_t seconds)
{
    uint8_t id[TLS_CACHE_ID] = { 0 }, data[8192];

    memcpy(id + 4, &number, sizeof(number));
    id[0] = (uint8_t) number;
    memset(data, (int) number, n);
    return tls_cache_store(c, id, data, n, veil_clock.sec + seconds);
}

/* The length; its content is as it was stored. */
static size_t
load(veil_tls_cache_t *c, unsigned number)
{
    uint8_t id[TLS_CACHE_ID] = { 0 }, data[VEIL_SLAB_PAGE];
    size_t n, i;

    memcpy(id + 4, &number, sizeof(number));
    id[0] = (uint8_t) number;
    n = tls_cache_load(c, id, data);
    for (i = 0; i < n; i++) {
        cr_assert_eq(data[i], (uint8_t) number);
    }
    return n;
}

/* --- sessions --------------------------------------------------------------
 */

/* Two workers, and the next generation's, which maps it elsewhere. */
Test(tls_cache, every_worker_finds_it)
{
    veil_tls_cache_t *c = zone_of(SIZE), other = *c, after = *c;
    veil_shm_zone_t next = *c->zone;
    SSL_CTX *a = server(c), *b = server(&other), *d = server(&after);

    next.addr = NULL;
    cr_assert_eq(veil_shm_zone_map(&next, c->zone->fd), 0);
    cr_assert_eq(next.init(&next, false), VEIL_OK);
    after.zone = &next;
    cr_assert_not(pair_is_resumed(a, client, false));
    cr_assert_not(SSL_SESSION_has_ticket(pair_session));
    cr_assert(pair_is_resumed(b, client, true));
    cr_assert(pair_is_resumed(d, client, true));
    cr_assert(pair_is_resumed(a, client, true));
    cr_assert_eq(verify(c), 1);
    munmap(next.addr, next.size);
    SSL_CTX_free(a);
    SSL_CTX_free(b);
    SSL_CTX_free(d);
}

Test(tls_cache, builtin_is_of_one_worker)
{
    veil_tls_cache_t *c = veil_tls_cache_local(&cf, 3);
    SSL_CTX *a = server(c), *b = server(veil_tls_cache_local(&cf, 3));
    unsigned i;

    cr_assert_not(pair_is_resumed(a, client, false));
    cr_assert(pair_is_resumed(a, client, true));
    cr_assert_not(pair_is_resumed(b, client, true));
    for (i = 0; i < 10; i++) {
        cr_assert_not(pair_is_resumed(a, client, false));
    }
    cr_assert_eq(verify(c), 3);
    cr_assert(pair_is_resumed(a, client, true));
    SSL_CTX_free(a);
    SSL_CTX_free(b);
}

Test(tls_cache, none_gives_ids_that_nobody_knows)
{
    SSL_CTX *a = server(NULL);
    unsigned len;

    cr_assert_not(pair_is_resumed(a, client, false));
    (void) SSL_SESSION_get_id(pair_session, &len);
    cr_assert_eq(len, 32);
    cr_assert_not(pair_is_resumed(a, client, true));
    SSL_CTX_free(a);
}

Test(tls_cache, off_gives_none)
{
    SSL_CTX *a = server(veil_tls_cache_off());

    cr_assert_not(pair_is_resumed(a, client, false));
    cr_assert_eq(pair_session, NULL);
    SSL_CTX_free(a);
}

/* It is found, and the library refuses it: another server's session. */
Test(tls_cache, another_servers_session_is_refused)
{
    veil_tls_cache_t *c = zone_of(SIZE);
    SSL_CTX *a = server(c), *b = server(c);

    cr_assert_eq(SSL_CTX_set_session_id_context(b, (const uint8_t *) "b", 1),
                 1);
    cr_assert_not(pair_is_resumed(a, client, false));
    cr_assert_not(pair_is_resumed(b, client, true));
    SSL_CTX_free(a);
    SSL_CTX_free(b);
}

/*
 * Another version of the library has left it: a full handshake, which the
 * library's complaint does not end.
 */
Test(tls_cache, a_session_that_cannot_be_read)
{
    veil_tls_cache_t *c = zone_of(SIZE);
    SSL_CTX *a = server(c);
    tls_cache_node_t *node;

    cr_assert_not(pair_is_resumed(a, client, false));
    node = tls_cache_at(c->slab, tls_cache_root(c->slab)->newest);
    memset(node->data, 0xff, node->len);
    cr_assert_not(pair_is_resumed(a, client, true));
    SSL_CTX_free(a);
}

/* The server a client asks for may have another cache than the first. */
static int
move(SSL *ssl, int *alert VEIL_UNUSED, void *to)
{
    return SSL_set_SSL_CTX(ssl, to) == to ? SSL_TLSEXT_ERR_OK
                                          : SSL_TLSEXT_ERR_ALERT_FATAL;
}

Test(tls_cache, the_servers_own_cache_is_used)
{
    veil_tls_cache_t *c = zone_of(SIZE);
    SSL_CTX *first = server(NULL), *own = server(c);

    SSL_CTX_set_tlsext_servername_callback(first, move);
    SSL_CTX_set_tlsext_servername_arg(first, own);
    cr_assert_not(pair_is_resumed(first, client, false));
    cr_assert_eq(verify(c), 1);
    cr_assert(pair_is_resumed(own, client, true));
    SSL_CTX_free(first);
    SSL_CTX_free(own);
}

Test(tls_cache, a_session_ends_with_its_time)
{
    veil_tls_cache_t *c = zone_of(SIZE);
    SSL_CTX *a = server(c);

    cr_assert_not(pair_is_resumed(a, client, false));
    veil_time_set(1000000, wall + 200, 0);
    cr_assert(pair_is_resumed(a, client, true));
    veil_time_set(1000000, wall + 310, 0);
    cr_assert_not(pair_is_resumed(a, client, true));
    cr_assert_eq(verify(c), 1, "the new one only");
    SSL_CTX_free(a);
}

Test(tls_cache, tls_1_3_has_none)
{
    veil_tls_cache_t *c = zone_of(SIZE);
    SSL_CTX *a = server(c), *c13 = pair_client_ctx(TLS1_3_VERSION);
    bool lost;

    SSL_CTX_set_options(a, SSL_OP_NO_TICKET);
    cr_assert_not(pair_is_resumed(a, c13, false));
    cr_assert_eq(pair_session, NULL);
    (void) tls_cache_enter(c, &lost);
    cr_assert_eq(verify(c), 0);
    tls_cache_leave(c, lost);
    SSL_CTX_free(a);
    SSL_CTX_free(c13);
}

/* docs say 4,000 sessions a megabyte. */
Test(tls_cache, a_session_is_small)
{
    veil_tls_cache_t *c = zone_of(SIZE);
    const tls_cache_node_t *node;
    SSL_CTX *a = server(c);

    cr_assert_eq(
        SSL_CTX_set_session_id_context(
            a, (const uint8_t *) "0123456789abcdef0123456789abcdef", 32),
        1);
    cr_assert_not(pair_is_resumed(a, client, false));
    node = tls_cache_at(c->slab, tls_cache_root(c->slab)->newest);
    cr_assert_leq(sizeof(*node) + node->len, TLS_CACHE_TYPICAL, "%zu",
                  sizeof(*node) + node->len);
    SSL_CTX_free(a);
}

/* --- bounds ----------------------------------------------------------------
 */

Test(tls_cache, the_least_recently_used_goes)
{
    veil_tls_cache_t *c = zone_of(SIZE);
    unsigned i, n = 0;

    for (i = 1; i <= 1000; i++) {
        cr_assert(store(c, i, 180, 300));
        cr_assert_eq(load(c, 1), 180, "used all the time, %u", i);
        n = verify(c);
        cr_assert(n == i || load(c, i - n + 1) == 0);
    }
    cr_assert_gt(n, 150);
    cr_assert_lt(n, 256);
    cr_assert_eq(load(c, 1000), 180);
    cr_assert_eq(load(c, 500), 0);
}

/* Two at each insertion, from the end. */
Test(tls_cache, expired_ones_go_first)
{
    veil_tls_cache_t *c = zone_of(SIZE);
    unsigned i;

    for (i = 1; i <= 10; i++) {
        cr_assert(store(c, i, 100, i <= 5 ? 10 : 300));
    }
    cr_assert_eq(verify(c), 10);
    veil_time_set(1000000, wall + 10, 0);
    cr_assert(store(c, 11, 100, 300));
    cr_assert_eq(verify(c), 9);
    cr_assert(store(c, 12, 100, 300));
    cr_assert_eq(verify(c), 8);
    cr_assert(store(c, 13, 100, 300));
    cr_assert_eq(verify(c), 8);
    cr_assert(store(c, 14, 100, 300));
    cr_assert_eq(verify(c), 9);
}

Test(tls_cache, an_id_is_stored_once)
{
    veil_tls_cache_t *c = zone_of(SIZE);

    cr_assert(store(c, 7, 100, 300));
    cr_assert(store(c, 7, 200, 300));
    cr_assert_eq(verify(c), 1);
    cr_assert_eq(load(c, 7), 200);
}

Test(tls_cache, sessions_of_many_sizes)
{
    veil_tls_cache_t *c = zone_of(SIZE);
    unsigned i, stored = 0;
    size_t n;

    for (i = 1; i <= 3000; i++) {
        n = (i * 7919u) % TLS_CACHE_MAX + 1;
        if (store(c, i, n, 300)) {
            cr_assert_eq(load(c, i), n);
            stored++;
        }
        if (i % 100 == 0) {
            (void) verify(c);
        }
    }
    cr_assert_gt(stored, 2990);
}

/* A client's chain of certificates that is longer than a page. */
Test(tls_cache, a_large_session_is_not_kept)
{
    veil_tls_cache_t *c = zone_of(SIZE);
    SSL_CTX *a = server(c);
    X509 *big;
    EVP_PKEY *k = pair_ec_key(NID_X9_62_prime256v1);
    char name[60];
    unsigned i;

    big = pair_cert(k, "client");
    for (i = 0; i < 80; i++) {
        memset(name, 'a' + (int) (i % 26), sizeof(name));
        X509_NAME_add_entry_by_txt(X509_get_subject_name(big), "OU",
                                   MBSTRING_ASC, (unsigned char *) name,
                                   sizeof(name), -1, 0);
    }
    X509_set_issuer_name(big, X509_get_subject_name(big));
    cr_assert(X509_sign(big, k, EVP_sha256()) > 0);
    cr_assert(SSL_CTX_use_certificate(client, big) == 1);
    cr_assert(SSL_CTX_use_PrivateKey(client, k) == 1);
    X509_STORE_add_cert(SSL_CTX_get_cert_store(a), big);
    SSL_CTX_set_verify(a, SSL_VERIFY_PEER, NULL);
    cr_assert_not(pair_is_resumed(a, client, false));
    cr_assert_not(pair_is_resumed(a, client, true));
    cr_assert_neq(strstr(fixture_lines, "warn: no room for an SSL session"),
                  NULL, "%s", fixture_lines);
    X509_free(big);
    EVP_PKEY_free(k);
    SSL_CTX_free(a);
}

/* Master secrets do not outlive their session. */
Test(tls_cache, what_is_removed_is_overwritten)
{
    veil_tls_cache_t *c = zone_of(SIZE);
    uint8_t id[TLS_CACHE_ID] = "an id of thirty-two bytes, yes!";
    static const char secret[] = "a secret that is nowhere else";

    cr_assert(tls_cache_store(c, id, (const uint8_t *) secret, sizeof(secret),
                              veil_clock.sec + 1));
    cr_assert_neq(memmem(c->zone->addr, SIZE, secret, sizeof(secret)), NULL);
    veil_time_set(1000000, wall + 1, 0);
    cr_assert(store(c, 1, 10, 300));
    cr_assert_eq(memmem(c->zone->addr, SIZE, secret, sizeof(secret)), NULL);
}

Test(tls_cache, sizes_are_checked)
{
    cr_assert_eq(veil_tls_cache_zone(&cf, VEIL_STR("s"), 32767), NULL);
    cr_assert_str_eq(fixture_lines,
                     "emerg: session cache \"s\" is too small\n");
    cr_assert_neq(veil_tls_cache_zone(&cf, VEIL_STR("s"), 32768), NULL);
    cr_assert_eq(veil_tls_cache_zone(&cf, VEIL_STR("s"), 0),
                 veil_tls_cache_zone(&cf, VEIL_STR("s"), 32768));
    cr_assert_eq(veil_tls_cache_zone(&cf, VEIL_STR("s"), 65536), NULL);
}

/* --- who dies with the lock ------------------------------------------------
 */

/* A little of everything; the clock makes some expire. */
static void
work(veil_tls_cache_t *c)
{
    unsigned i;

    for (i = 1; i <= 6; i++) {
        (void) store(c, 100 + i, 1500, i <= 3 ? -1 : 300);
        (void) load(c, 100 + i);
        (void) load(c, 1);
    }
}

Test(tls_cache, a_worker_dies_while_it_changes_it)
{
    veil_tls_cache_t *c = zone_of(SIZE);
    unsigned n, i, died = 0;
    int status;
    pid_t pid;

    for (n = 1; n < 1000; n++) {
        for (i = 1; i <= 40; i++) {
            cr_assert(store(c, i, 1500, 300));
        }
        pid = fork();
        cr_assert_geq(pid, 0);
        if (pid == 0) {
            die_at = n;
            work(c);
            _exit(0);
        }
        cr_assert_eq(waitpid(pid, &status, 0), pid);
        if (WEXITSTATUS(status) == 0) {
            break;
        }
        cr_assert_eq(WEXITSTATUS(status), 77);
        died++;
        fixture_len = 0;
        cr_assert(store(c, 1000, 200, 300));
        cr_assert_neq(strstr(fixture_lines,
                             "alert: a process died while it changed the SSL "
                             "session cache \"ssl\""),
                      NULL, "%s", fixture_lines);
        cr_assert_eq(verify(c), 1);
        cr_assert_eq(load(c, 1000), 200);
        fixture_len = 0;
        cr_assert_eq(load(c, 1), 0);
        cr_assert_eq(fixture_len, 0);
    }
    cr_assert_gt(died, 30);
}

/* It died while it emptied the cache of one that had died. */
Test(tls_cache, and_another_dies_while_it_empties_it)
{
    veil_tls_cache_t *c = zone_of(SIZE);
    unsigned round;
    int status;
    pid_t pid;

    cr_assert(store(c, 1, 100, 300));
    for (round = 0; round < 3; round++) {
        pid = fork();
        cr_assert_geq(pid, 0);
        if (pid == 0) {
            die_at = 1;
            (void) store(c, 2, 100, 300);
            _exit(0);
        }
        cr_assert_eq(waitpid(pid, &status, 0), pid);
        cr_assert_eq(WEXITSTATUS(status), 77);
    }
    cr_assert(store(c, 3, 100, 300));
    cr_assert_eq(verify(c), 1);
    /* The same in a keeper. */
    pid = fork();
    cr_assert_geq(pid, 0);
    if (pid == 0) {
        die_at = 1;
        (void) store(c, 2, 100, 300);
        _exit(0);
    }
    cr_assert_eq(waitpid(pid, &status, 0), pid);
    cr_assert_eq(c->zone->init(c->zone, false), VEIL_OK);
    cr_assert_eq(verify(c), 0);
    cr_assert(store(c, 3, 100, 300));
    cr_assert_eq(verify(c), 1);
}

/* The size is a limit, not what is used: some gigabytes cost nothing. */
Test(tls_cache, a_large_zone_is_hardly_touched)
{
    veil_tls_cache_t *c = zone_of((size_t) 8 << 30);
    struct stat st;

    cr_assert_eq(fstat(c->zone->fd, &st), 0);
    cr_assert_leq(st.st_blocks * 512, 4 << 20, "%lld blocks",
                  (long long) st.st_blocks);
}

/* What another layout has left is no longer there. */
Test(tls_cache, a_zone_that_is_of_no_use_is_made_anew)
{
    veil_tls_cache_t *c = zone_of(SIZE);
    tls_cache_root_t *r;
    bool lost;

    memset(c->zone->addr, 'x', SIZE);
    cr_assert_eq(c->zone->init(c->zone, false), VEIL_OK);
    r = tls_cache_enter(c, &lost);
    cr_assert_eq(lost, false);
    cr_assert_eq(r->n, 0);
    cr_assert_eq(r->newest, 0);
    cr_assert_eq(r->buckets[r->mask], 0);
    tls_cache_leave(c, lost);
}
