/*
 * test_tls_ticket.c -- session ticket keys: shared, rotated, from files, and
 * a process that dies while it renews them.
 */

#include "tls_pair.h"

#include <fcntl.h>
#include <stdlib.h>
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

#define TICKET_POINT(what) point()
#include "event/tls_ticket.c"

#define LIFETIME 300000
#define T0 1000000

static veil_conf_t cf;
static EVP_PKEY *key;
static X509 *cert;
static SSL_CTX *client;
static time_t wall;

/* The wall clock stands still: sessions must not expire by themselves. */
static void
at(uint64_t ms)
{
    veil_time_set(T0 + ms, wall, 0);
}

static void
setup(void)
{
    wall = time(NULL);
    at(0);
    cf = fixture_conf("/nowhere");
    key = pair_ec_key(NID_X9_62_prime256v1);
    cert = pair_cert(key, "a");
    client = pair_client_ctx(0);
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

TestSuite(tls_ticket, .init = setup, .fini = teardown, .timeout = 240);

static veil_tls_options_t
options(veil_tls_keys_t *keys)
{
    return (veil_tls_options_t){ .server = true,
                                 .tickets = true,
                                 .session_timeout = 86400000,
                                 .keys = keys };
}

/* The zone is mapped, as the keeper would. */
static veil_tls_keys_t *
zone(void)
{
    veil_tls_keys_t *k = veil_tls_keys_zone(&cf, LIFETIME);

    cr_assert_neq(k, NULL);
    cr_assert_eq(veil_shm_zone_map(k->zone, -1), 0);
    cr_assert_eq(k->zone->init(k->zone, true), VEIL_OK);
    return k;
}

static SSL_CTX *
server(const veil_tls_options_t *o)
{
    SSL_CTX *ctx = pair_server_ctx(key, cert);

    cr_assert_eq(veil_tls_ticket_apply(&cf, ctx, o), VEIL_OK);
    return ctx;
}

static SSL_CTX *
server_of(veil_tls_keys_t *keys)
{
    veil_tls_options_t o = options(keys);

    return server(&o);
}

/* --- keys of the zone ------------------------------------------------------
 */

static void
resume_elsewhere(uint16_t version)
{
    veil_tls_keys_t *keys = zone();
    SSL_CTX *one = server_of(keys), *other = server_of(keys);
    SSL_CTX *c = pair_client_ctx(version);

    cr_assert_not(pair_is_resumed(one, c, false));
    cr_assert(pair_is_resumed(other, c, true));
    cr_assert(pair_is_resumed(one, c, true));
    SSL_CTX_free(one);
    SSL_CTX_free(other);
    SSL_CTX_free(c);
}

Test(tls_ticket, every_worker_understands_tls_1_2)
{
    resume_elsewhere(TLS1_2_VERSION);
}

Test(tls_ticket, every_worker_understands_tls_1_3)
{
    resume_elsewhere(TLS1_3_VERSION);
}

/* The next generation maps the memory that is there. */
Test(tls_ticket, a_reload_keeps_the_keys)
{
    veil_tls_keys_t *keys = zone();
    veil_shm_zone_t next = *keys->zone;
    veil_tls_keys_t again = *keys;
    SSL_CTX *before = server_of(keys), *after = server_of(&again);

    next.addr = NULL;
    cr_assert_eq(veil_shm_zone_map(&next, keys->zone->fd), 0);
    cr_assert_neq(next.addr, keys->zone->addr);
    cr_assert_eq(next.init(&next, false), VEIL_OK);
    again.zone = &next;
    cr_assert_not(pair_is_resumed(before, client, false));
    cr_assert(pair_is_resumed(after, client, true));
    munmap(next.addr, next.size);
    SSL_CTX_free(before);
    SSL_CTX_free(after);
}

Test(tls_ticket, another_layout_is_made_anew)
{
    veil_tls_keys_t *keys = zone();
    ticket_zone_t *z = keys->zone->addr;
    SSL_CTX *s = server_of(keys);

    cr_assert_not(pair_is_resumed(s, client, false));
    z->version++;
    cr_assert_eq(keys->zone->init(keys->zone, false), VEIL_OK);
    cr_assert_not(pair_is_resumed(s, client, true));
    cr_assert(pair_is_resumed(s, client, true));
    SSL_CTX_free(s);
}

Test(tls_ticket, the_longest_lifetime_wins)
{
    veil_tls_keys_t *a = veil_tls_keys_zone(&cf, LIFETIME);

    cr_assert_eq(veil_tls_keys_zone(&cf, LIFETIME * 2), a);
    cr_assert_eq(veil_tls_keys_zone(&cf, 1), a);
    cr_assert_eq(a->lifetime_ms, LIFETIME * 2);
}

/* --- rotation --------------------------------------------------------------
 */

static bool
has_secret(const ticket_zone_t *z, const ticket_key_t *k)
{
    return memmem(z, TICKET_ZONE_SIZE, k->aes, sizeof(k->aes)) != NULL
           || memmem(z, TICKET_ZONE_SIZE, k->hmac, sizeof(k->hmac)) != NULL;
}

Test(tls_ticket, a_key_is_used_then_understood_then_gone)
{
    veil_tls_keys_t *keys = zone();
    const ticket_zone_t *z = keys->zone->addr;
    ticket_key_t first = z->current;
    SSL_CTX *s = server_of(keys), *c12 = pair_client_ctx(TLS1_2_VERSION);
    SSL_SESSION *old;

    cr_assert_not(pair_is_resumed(s, c12, false));
    at(LIFETIME - 1);
    old = pair_session;
    cr_assert(pair_is_resumed(s, c12, true));
    cr_assert_eq(pair_session, old, "renewed without need");
    cr_assert_eq(z->made, 1);

    at(LIFETIME);
    SSL_SESSION_up_ref(old);
    cr_assert(pair_is_resumed(s, c12, true));
    cr_assert_neq(pair_session, old, "not renewed");
    cr_assert_eq(z->made, 2);
    cr_assert(has_secret(z, &first));

    /* The renewed one outlives the old one. */
    at(2 * LIFETIME);
    cr_assert(pair_is_resumed(s, c12, true));
    cr_assert_eq(z->made, 3);
    cr_assert_not(has_secret(z, &first));
    SSL_SESSION_free(pair_session);
    pair_session = old;
    cr_assert_not(pair_is_resumed(s, c12, true));
    SSL_CTX_free(s);
    SSL_CTX_free(c12);
}

/* Nobody came for so long that the key has no second life to begin. */
Test(tls_ticket, an_old_key_is_not_understood_for_having_been_idle)
{
    veil_tls_keys_t *keys = zone();
    const ticket_zone_t *z = keys->zone->addr;
    ticket_key_t first = z->current;
    SSL_CTX *s = server_of(keys);

    cr_assert_not(pair_is_resumed(s, client, false));
    at(2 * LIFETIME);
    cr_assert_not(pair_is_resumed(s, client, true));
    cr_assert_not(has_secret(z, &first));
    cr_assert_eq(z->previous.len, 0);
    SSL_CTX_free(s);
}

/* A previous key that nobody replaced yet is too old at its time. */
Test(tls_ticket, the_previous_key_ends_in_time)
{
    veil_tls_keys_t *keys = zone();
    SSL_CTX *s = server_of(keys);
    SSL_SESSION *old;

    cr_assert_not(pair_is_resumed(s, client, false));
    old = pair_session;
    SSL_SESSION_up_ref(old);
    at(LIFETIME * 3 / 2);
    cr_assert(pair_is_resumed(s, client, true));
    at(2 * LIFETIME);
    SSL_SESSION_free(pair_session);
    pair_session = old;
    cr_assert_not(pair_is_resumed(s, client, true));
    SSL_CTX_free(s);
}

/* A worker whose clock is a turn behind that of the one who renewed. */
Test(tls_ticket, clocks_need_not_agree)
{
    veil_tls_keys_t *keys = zone();
    const ticket_zone_t *z = keys->zone->addr;
    SSL_CTX *s = server_of(keys);

    at(LIFETIME);
    cr_assert_not(pair_is_resumed(s, client, false));
    cr_assert_eq(z->made, 2);
    at(LIFETIME - 500);
    cr_assert(pair_is_resumed(s, client, true));
    cr_assert_eq(z->made, 2);
    SSL_CTX_free(s);
}

/* Dies at each of the points in turn; the next one makes the keys anew. */
Test(tls_ticket, a_worker_dies_while_it_renews_them)
{
    veil_tls_keys_t *keys = zone();
    ticket_zone_t *z = keys->zone->addr;
    SSL_CTX *s = server_of(keys);
    unsigned n, died = 0;
    ticket_key_t k;
    int status;
    pid_t pid;

    for (n = 1; n < 10; n++) {
        at((uint64_t) n * 10 * LIFETIME);
        pid = fork();
        cr_assert_geq(pid, 0);
        if (pid == 0) {
            die_at = n;
            tls_ticket_current(keys, &k);
            _exit(0);
        }
        cr_assert_eq(waitpid(pid, &status, 0), pid);
        if (WEXITSTATUS(status) == 0) {
            break;
        }
        cr_assert_eq(WEXITSTATUS(status), 77);
        died++;
        fixture_len = 0;
        cr_assert_not(pair_is_resumed(s, client, false));
        cr_assert(pair_is_resumed(s, client, true));
        cr_assert_neq(strstr(fixture_lines,
                             "warn: a process died while it renewed the TLS "
                             "session ticket keys"),
                      NULL, "%s", fixture_lines);
        cr_assert_eq(z->previous.len, 0);
        cr_assert_eq(z->lock.holder, 0);
        cr_assert_eq(z->lock.broken, 0);
    }
    cr_assert_eq(died, 5);
    SSL_CTX_free(s);
}

/* --- tickets off -----------------------------------------------------------
 */

Test(tls_ticket, a_server_without_tickets_makes_none)
{
    veil_tls_keys_t *keys = zone();
    veil_tls_options_t o = options(keys);
    SSL_CTX *on = server(&o), *off;

    o.tickets = false;
    off = server(&o);
    cr_assert_not(pair_is_resumed(off, client, false));
    cr_assert_eq(pair_session, NULL);
    /* Nor does it take those of others. */
    cr_assert_not(pair_is_resumed(on, client, false));
    cr_assert_neq(pair_session, NULL);
    cr_assert_not(pair_is_resumed(off, client, true));
    SSL_CTX_free(on);
    SSL_CTX_free(off);
}

/* --- whose sessions --------------------------------------------------------
 */

static bool
is_accepted(const veil_tls_options_t *a, const veil_tls_options_t *b,
            X509 *ca_a, X509 *ca_b)
{
    SSL_CTX *one = pair_server_ctx(key, cert);
    SSL_CTX *other = pair_server_ctx(key, cert);
    bool resumed;

    if (ca_a != NULL) {
        X509_STORE_add_cert(SSL_CTX_get_cert_store(one), ca_a);
        SSL_CTX_add_client_CA(one, ca_a);
    }
    if (ca_b != NULL) {
        X509_STORE_add_cert(SSL_CTX_get_cert_store(other), ca_b);
        SSL_CTX_add_client_CA(other, ca_b);
    }
    cr_assert_eq(veil_tls_ticket_apply(&cf, one, a), VEIL_OK);
    cr_assert_eq(veil_tls_ticket_apply(&cf, other, b), VEIL_OK);
    cr_assert_not(pair_is_resumed(one, client, false));
    resumed = pair_is_resumed(other, client, true);
    SSL_CTX_free(one);
    SSL_CTX_free(other);
    return resumed;
}

static char dir[] = "/tmp/veil-ticket-XXXXXX";

/* A file below a directory of its own; the path is static. */
static veil_str_t
file(const char *name, const void *data, size_t n, mode_t mode)
{
    static char paths[8][64];
    static unsigned used;
    char *path = paths[used++ % 8];
    int fd;

    if (strcmp(dir + sizeof(dir) - 7, "XXXXXX") == 0) {
        cr_assert_neq(mkdtemp(dir), NULL);
    }
    veil_snprintf(path, sizeof(paths[0]), "%s/%s", dir, name);
    fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    cr_assert_geq(fd, 0);
    cr_assert_eq(write(fd, data, n), (ssize_t) n);
    cr_assert_eq(fchmod(fd, mode), 0);
    close(fd);
    return veil_str_z(path);
}

static void
file_remove(veil_str_t path)
{
    unlink(path.data);
    (void) rmdir(dir);
}

Test(tls_ticket, a_session_is_for_one_way_of_verifying)
{
    veil_tls_keys_t *keys = zone();
    EVP_PKEY *key_a = pair_ec_key(NID_X9_62_prime256v1);
    EVP_PKEY *key_b = pair_ec_key(NID_X9_62_prime256v1);
    X509 *ca_a = pair_cert(key_a, "ca"), *ca_b = pair_cert(key_b, "ca");
    veil_tls_options_t off = options(keys), on = off, deep;

    on.verify = VEIL_TLS_VERIFY_OPTIONAL;
    on.verify_depth = 1;
    deep = on;
    deep.verify_depth = 2;
    cr_assert(is_accepted(&off, &off, NULL, NULL));
    cr_assert(is_accepted(&off, &off, ca_a, NULL));
    cr_assert(is_accepted(&on, &on, ca_a, ca_a));
    cr_assert_not(is_accepted(&off, &on, NULL, ca_a));
    cr_assert_not(is_accepted(&on, &deep, ca_a, ca_a));
    /* Two authorities of one name. */
    cr_assert_not(is_accepted(&on, &on, ca_a, ca_b));
    X509_free(ca_a);
    X509_free(ca_b);
    EVP_PKEY_free(key_a);
    EVP_PKEY_free(key_b);
}

Test(tls_ticket, a_new_revocation_list_ends_old_sessions)
{
    veil_tls_keys_t *keys = zone();
    veil_tls_options_t o = options(keys), other;

    o.verify = VEIL_TLS_VERIFY_ON;
    other = o;
    o.crl = file("a.crl", "one", 3, 0644);
    other.crl = file("b.crl", "one", 3, 0644);
    o.verify = other.verify = VEIL_TLS_VERIFY_OPTIONAL;
    cr_assert(is_accepted(&o, &other, NULL, NULL), "contents, not names");
    file_remove(other.crl);
    other.crl = file("b.crl", "two", 3, 0644);
    cr_assert_not(is_accepted(&o, &other, NULL, NULL));
    file_remove(o.crl);
    file_remove(other.crl);
}

Test(tls_ticket, a_session_is_for_one_certificate)
{
    veil_tls_keys_t *keys = zone();
    veil_tls_options_t o = options(keys);
    X509 *mine = cert;
    SSL_CTX *one = server(&o), *other;

    cert = pair_cert(key, "b");
    other = server(&o);
    cr_assert_not(pair_is_resumed(one, client, false));
    cr_assert_not(pair_is_resumed(other, client, true));
    X509_free(cert);
    cert = mine;
    SSL_CTX_free(one);
    SSL_CTX_free(other);
}

/* --- keys from files -------------------------------------------------------
 */

static uint8_t bytes_a[80], bytes_b[80];

static void
fill(void)
{
    unsigned i;

    for (i = 0; i < 80; i++) {
        bytes_a[i] = (uint8_t) (i * 7 + 1);
        bytes_b[i] = (uint8_t) (i * 5 + 3);
    }
}

static veil_tls_options_t
file_options(veil_str_t first, veil_str_t second)
{
    veil_tls_options_t o = options(NULL);

    o.ticket_keys = veil_array_create(cf.pool, sizeof(veil_str_t), 2);
    *(veil_str_t *) veil_array_push(o.ticket_keys) = first;
    if (second.len != 0) {
        *(veil_str_t *) veil_array_push(o.ticket_keys) = second;
    }
    return o;
}

Test(tls_ticket, the_first_file_encrypts_and_all_are_understood)
{
    veil_str_t a, b;
    veil_tls_options_t only_a, b_then_a, only_b;
    SSL_CTX *sa, *sba, *sb;

    fill();
    a = file("a", bytes_a, 48, 0600);
    b = file("b", bytes_b, 80, 0640);
    only_a = file_options(a, VEIL_STR_NULL);
    only_b = file_options(b, VEIL_STR_NULL);
    b_then_a = file_options(b, a);
    sa = server(&only_a);
    sb = server(&only_b);
    sba = server(&b_then_a);
    file_remove(a);
    file_remove(b);
    cr_assert_str_eq(fixture_lines, "");

    cr_assert_not(pair_is_resumed(sa, client, false));
    cr_assert_not(pair_is_resumed(sb, client, true));
    cr_assert_not(pair_is_resumed(sa, client, false));
    cr_assert(pair_is_resumed(sba, client, true));
    cr_assert(pair_is_resumed(sb, client, true));
    cr_assert_not(pair_is_resumed(sa, client, true));
    SSL_CTX_free(sa);
    SSL_CTX_free(sb);
    SSL_CTX_free(sba);
}

Test(tls_ticket, wrong_files_are_refused)
{
    static const size_t sizes[] = { 0, 47, 49, 79, 81 };
    char long_bytes[200] = "";
    veil_tls_options_t o;
    SSL_CTX *ctx = pair_server_ctx(key, cert);
    veil_str_t path;
    unsigned i;

    for (i = 0; i < veil_countof(sizes); i++) {
        path = file("k", long_bytes, sizes[i], 0600);
        o = file_options(path, VEIL_STR_NULL);
        fixture_len = 0;
        cr_assert_eq(veil_tls_ticket_apply(&cf, ctx, &o), VEIL_ERROR);
        cr_assert_neq(strstr(fixture_lines, "must have 48 or 80 bytes"), NULL,
                      "%s", fixture_lines);
    }
    file_remove(path);
    fixture_len = 0;
    cr_assert_eq(veil_tls_ticket_apply(&cf, ctx, &o), VEIL_ERROR);
    cr_assert_neq(strstr(fixture_lines, "No such file"), NULL, "%s",
                  fixture_lines);
    o = file_options(VEIL_STR("/tmp"), VEIL_STR_NULL);
    fixture_len = 0;
    cr_assert_eq(veil_tls_ticket_apply(&cf, ctx, &o), VEIL_ERROR);
    cr_assert_neq(strstr(fixture_lines, "Is a directory"), NULL, "%s",
                  fixture_lines);
    SSL_CTX_free(ctx);
}

Test(tls_ticket, a_key_that_everybody_can_read_is_told)
{
    veil_tls_options_t o;
    veil_str_t path;

    fill();
    path = file("k", bytes_a, 48, 0644);
    o = file_options(path, VEIL_STR_NULL);
    SSL_CTX_free(server(&o));
    file_remove(path);
    cr_assert_neq(strstr(fixture_lines, "open to every user of this machine"),
                  NULL, "%s", fixture_lines);
}

/* As RFC 5077 has it and nginx: name, IV, AES-CBC, HMAC of all that. */
static void
check_format(size_t size, const EVP_CIPHER *cipher, size_t hmac_at,
             size_t aes_at, size_t secret)
{
    uint8_t plain[2048], mac[32];
    SSL_CTX *s, *c12 = pair_client_ctx(TLS1_2_VERSION);
    veil_tls_options_t o;
    const uint8_t *ticket;
    size_t n, body;
    EVP_CIPHER_CTX ctx;
    veil_str_t path;
    unsigned len;
    int out, more;

    fill();
    path = file("k", bytes_a, size, 0600);
    o = file_options(path, VEIL_STR_NULL);
    s = server(&o);
    file_remove(path);
    cr_assert_not(pair_is_resumed(s, c12, false));

    SSL_SESSION_get0_ticket(pair_session, &ticket, &n);
    cr_assert_gt(n, 16 + 16 + 32);
    cr_assert_eq(memcmp(ticket, bytes_a, 16), 0);
    body = n - 32;
    HMAC(EVP_sha256(), bytes_a + hmac_at, secret, ticket, body, mac, &len);
    cr_assert_eq(memcmp(mac, ticket + body, 32), 0);
    EVP_CIPHER_CTX_init(&ctx);
    cr_assert(
        EVP_DecryptInit_ex(&ctx, cipher, NULL, bytes_a + aes_at, ticket + 16)
        == 1);
    cr_assert_lt(n, sizeof(plain));
    cr_assert(
        EVP_DecryptUpdate(&ctx, plain, &out, ticket + 32, (int) body - 32)
        == 1);
    cr_assert(EVP_DecryptFinal_ex(&ctx, plain + out, &more) == 1);
    cr_assert_eq(plain[0], 0x30, "a session is a SEQUENCE");
    EVP_CIPHER_CTX_cleanup(&ctx);
    SSL_CTX_free(s);
    SSL_CTX_free(c12);
}

Test(tls_ticket, format_of_48_bytes)
{
    check_format(48, EVP_aes_128_cbc(), 32, 16, 16);
}

Test(tls_ticket, format_of_80_bytes)
{
    check_format(80, EVP_aes_256_cbc(), 16, 48, 32);
}
