/*
 * test_tls_sign.c -- signatures on threads: every kind of key, closing at
 * every state, failures, and a storm that others do not notice.
 */

#include "tls_pair.h"
#include "tls_side.h"

#include <pthread.h>

/* Threads wait at a gate before they sign. */
static struct {
    pthread_mutex_t lock;
    pthread_cond_t opened;
    bool shut;
    bool spoil;    /* what is signed next */
    unsigned came; /* threads, to the gate */
    unsigned went;
} gate = { .lock = PTHREAD_MUTEX_INITIALIZER,
           .opened = PTHREAD_COND_INITIALIZER };

#define SIGN_POINT(s) gate_pass(s)
static void gate_pass(veil_tls_signing_t *s);

#include "event/tls_sign.c"

static void
gate_pass(veil_tls_signing_t *s)
{
    (void) pthread_mutex_lock(&gate.lock);
    gate.came++;
    while (gate.shut) {
        (void) pthread_cond_wait(&gate.opened, &gate.lock);
    }
    gate.went++;
    if (gate.spoil) {
        s->out_len = 0; /* no room for any signature */
    }
    (void) pthread_mutex_unlock(&gate.lock);
}

static void
gate_set(bool shut)
{
    (void) pthread_mutex_lock(&gate.lock);
    gate.shut = shut;
    (void) pthread_cond_broadcast(&gate.opened);
    (void) pthread_mutex_unlock(&gate.lock);
}

static unsigned
gate_count(const unsigned *what)
{
    unsigned n;

    (void) pthread_mutex_lock(&gate.lock);
    n = *what;
    (void) pthread_mutex_unlock(&gate.lock);
    return n;
}

static unsigned
waiting(void)
{
    const veil_list_t *n;
    unsigned count = 0;

    veil_list_foreach (n, &tls_sign_waiting) {
        count++;
    }
    return count;
}

/* --- two ends, n times ----------------------------------------------------
 */

#define MANY 50

typedef struct {
    tls_side_t *server;
    tls_side_t *client;
    bool server_gone;
    bool client_gone;
} ends_t;

static tls_bed_t tb;
static ends_t all[MANY];

/* The key is the bed's from here on; NULL: P-256. */
static void
begin(EVP_PKEY *key, int how)
{
    memset(all, 0, sizeof(all));
    gate.came = gate.went = 0;
    gate.shut = gate.spoil = false;
    tls_sign_most = 2;
    tls_bed_begin(&tb);
    if (key != NULL) {
        tls_bed_write_pem_of(tb.path, key);
    }
    tb.server_options.sign = how;
}

static void
shake(bed_t *b, unsigned i)
{
    int fds[2];

    side_pair(fds);
    all[i].server = tls_side_accept(b, &tb, fds[0], &all[i].server_gone);
    all[i].client =
        tls_side_connect(b, &tb, fds[1], "localhost", &all[i].client_gone);
}

static void
is_through(bed_t *b, unsigned i)
{
    UNTIL(b, all[i].server->dones == 1 && all[i].client->dones == 1);
    cr_assert_eq(all[i].server->rc, 0);
    cr_assert_eq(all[i].client->rc, 0);
    side_write(&all[i].server->s, "hello");
    UNTIL(b, side_has(&all[i].client->s, "hello"));
}

/* All that is still open; nothing is left over. */
static void
end(bed_t *b)
{
    unsigned i;

    for (i = 0; i < MANY && all[i].server != NULL; i++) {
        if (!all[i].client_gone) {
            veil_conn_close(&all[i].client->s.conn);
        }
        if (!all[i].server_gone) {
            veil_conn_close(&all[i].server->s.conn);
        }
        UNTIL(b, all[i].client_gone && all[i].server_gone);
    }
    gate_set(false);
    UNTIL(b, veil_offload_busy() == 0);
    cr_assert_eq(tls_sign_running, 0);
    cr_assert_eq(waiting(), 0);
    veil_offload_stop(b->loop);
    side_turn(b, 3);
    tls_bed_done(&tb);
}

/* --- keys and protocols ---------------------------------------------------
 */

/* One handshake; how many signatures were made on threads. */
static void
check(bed_t *b, EVP_PKEY *key, int how, unsigned protocols,
      const char *ciphers, unsigned signatures)
{
    begin(key, how);
    tb.server_options.protocols = protocols;
    if (ciphers != NULL) {
        tb.server_options.ciphers = veil_str_z(ciphers);
    }
    tls_bed_make(&tb);
    shake(b, 0);
    is_through(b, 0);
    cr_assert_eq(gate.went, signatures);
    cr_assert_null(veil_tls_of(&all[0].server->s.conn)->sign);
    end(b);
}

CONTRACT(rsa)
{
    check(b, pair_rsa_key(2048), VEIL_TLS_SIGN_AUTO, VEIL_TLS_1_3, NULL, 1);
    check(b, pair_rsa_key(2048), VEIL_TLS_SIGN_AUTO, VEIL_TLS_1_2, NULL, 1);
    check(b, pair_rsa_key(2048), VEIL_TLS_SIGN_INLINE, VEIL_TLS_1_3, NULL, 0);
}

/* No signature: the client's secret is decrypted. */
CONTRACT(rsa_key_exchange)
{
    check(b, pair_rsa_key(2048), VEIL_TLS_SIGN_AUTO, VEIL_TLS_1_2,
          "AES128-GCM-SHA256", 1);
    check(b, pair_rsa_key(2048), VEIL_TLS_SIGN_INLINE, VEIL_TLS_1_2,
          "AES128-GCM-SHA256", 0);
}

CONTRACT(curves)
{
    check(b, NULL, VEIL_TLS_SIGN_AUTO, VEIL_TLS_1_3, NULL, 0);
    check(b, NULL, VEIL_TLS_SIGN_THREADS, VEIL_TLS_1_3, NULL, 1);
    check(b, NULL, VEIL_TLS_SIGN_THREADS, VEIL_TLS_1_2, NULL, 1);
    check(b, NULL, VEIL_TLS_SIGN_INLINE, VEIL_TLS_1_2, NULL, 0);
    check(b, pair_ec_key(NID_secp384r1), VEIL_TLS_SIGN_AUTO, VEIL_TLS_1_3,
          NULL, 1);
}

/* The client's own key, on a thread as well. */
CONTRACT(client_certificate)
{
    begin(NULL, VEIL_TLS_SIGN_INLINE);
    tb.server_options.verify = VEIL_TLS_VERIFY_ON;
    tb.server_options.client_ca = veil_str_z(tb.path);
    tb.client_options.certs = tb.server_options.certs;
    tb.client_options.sign = VEIL_TLS_SIGN_THREADS;
    tls_bed_make(&tb);
    shake(b, 0);
    is_through(b, 0);
    cr_assert_eq(gate.went, 1);
    cr_assert_eq(veil_tls_verify_result(veil_tls_of(&all[0].server->s.conn)),
                 0);
    end(b);
}

/* A key that is not the first, chosen for the client. */
CONTRACT(second_certificate)
{
    char path[64];
    veil_tls_cert_files_t *f;

    begin(NULL, VEIL_TLS_SIGN_AUTO);
    veil_snprintf(path, sizeof(path), "%s.rsa", tb.path);
    tls_bed_write_pem_of(path, pair_rsa_key(2048));
    f = veil_array_push(tb.server_options.certs);
    *f = *veil_array_at(tb.server_options.certs, veil_tls_cert_files_t, 0);
    f->cert = f->key = veil_str_z(path);
    tb.server_options.protocols = VEIL_TLS_1_2;
    tb.client_options.ciphers = VEIL_STR("ECDHE-RSA-AES128-GCM-SHA256");
    tb.client_options.trusted = veil_str_z(path);
    tls_bed_make(&tb);
    shake(b, 0);
    is_through(b, 0);
    cr_assert_eq(gate.went, 1);
    end(b);
    unlink(path);
}

CONTRACT(a_failure_ends_the_handshake)
{
    begin(NULL, VEIL_TLS_SIGN_THREADS);
    gate.spoil = true;
    tls_bed_make(&tb);
    veil_log_stderr.level = VEIL_LOG_OFF;
    shake(b, 0);
    UNTIL(b, all[0].server->dones == 1);
    cr_assert_eq(all[0].server->rc, -EPROTO);
    /* The library has no alert for this: the client sees the end. */
    veil_conn_close(&all[0].server->s.conn);
    UNTIL(b, all[0].client->dones == 1);
    cr_assert_lt(all[0].client->rc, 0);
    end(b);
}

/* --- closing at every state -----------------------------------------------
 */

/* Number 0 and 1 are at the gate, 2 and 3 wait. */
static void
hold_four(bed_t *b)
{
    unsigned i;

    begin(NULL, VEIL_TLS_SIGN_THREADS);
    tls_bed_make(&tb);
    gate_set(true);
    for (i = 0; i < 4; i++) {
        shake(b, i);
        UNTIL(b, tls_sign_running + waiting() == i + 1);
    }
    UNTIL(b, gate_count(&gate.came) == 2);
    cr_assert_eq(waiting(), 2);
}

CONTRACT(closed_while_it_waits)
{
    hold_four(b);
    veil_conn_close(&all[2].server->s.conn);
    cr_assert_eq(waiting(), 1);
    UNTIL(b, all[2].server_gone);
    gate_set(false);
    is_through(b, 0);
    is_through(b, 1);
    is_through(b, 3);
    cr_assert_eq(gate.went, 3, "nobody signs for who is gone");
    end(b);
}

/* Closing does not wait for the thread. */
CONTRACT(closed_while_a_thread_works)
{
    hold_four(b);
    veil_conn_close(&all[0].server->s.conn);
    veil_conn_abort(&all[1].server->s.conn);
    UNTIL(b, all[0].server_gone && all[1].server_gone);
    cr_assert_eq(gate_count(&gate.went), 0);
    cr_assert_eq(tls_sign_running, 2);
    cr_assert_eq(waiting(), 2);
    gate_set(false);
    is_through(b, 2);
    is_through(b, 3);
    /* The two that nobody waits for may take longer. */
    UNTIL(b, gate_count(&gate.went) == 4);
    end(b);
}

/* The thread is through, the loop has not heard of it. */
CONTRACT(closed_before_the_loop_knows)
{
    time_t until = 0;

    hold_four(b);
    gate_set(false);
    while (gate_count(&gate.went) < 2 && bed_in_time(&until)) {
        (void) sched_yield();
    }
    cr_assert_geq(tls_sign_running, 2);
    veil_conn_close(&all[0].server->s.conn);
    veil_conn_close(&all[1].server->s.conn);
    is_through(b, 2);
    is_through(b, 3);
    end(b);
}

CONTRACT(closed_as_it_is_done)
{
    unsigned i;

    hold_four(b);
    for (i = 0; i < 4; i++) {
        all[i].server->close_when_done = true;
        all[i].client->close_when_done = true;
    }
    gate_set(false);
    for (i = 0; i < 4; i++) {
        UNTIL(b, all[i].server_gone && all[i].client_gone);
    }
    end(b);
}

/* The client gives up; its server hears of it, not of the signature. */
CONTRACT(client_gives_up)
{
    unsigned i;

    hold_four(b);
    for (i = 0; i < 4; i++) {
        veil_conn_abort(&all[i].client->s.conn);
    }
    for (i = 0; i < 4; i++) {
        UNTIL(b, all[i].client_gone && all[i].server->dones == 1);
        cr_assert_lt(all[i].server->rc, 0);
    }
    gate_set(false);
    UNTIL(b, tls_sign_running + waiting() == 0);
    side_turn(b, 3);
    for (i = 0; i < 4; i++) {
        cr_assert_eq(all[i].server->dones, 1);
    }
    end(b);
}

/* A worker that leaves: its threads end, and nothing new begins. */
CONTRACT(the_worker_leaves)
{
    unsigned i;

    hold_four(b);
    gate_set(false);
    veil_offload_stop(b->loop);
    cr_assert_eq(gate.went, 2);
    cr_assert_eq(tls_sign_running, 0);
    cr_assert_eq(waiting(), 2);
    for (i = 0; i < 4; i++) {
        cr_assert_eq(all[i].server->dones, 0);
    }
    end(b);
}

/* --- what it is for -------------------------------------------------------
 */

/*
 * One worker, fifty handshakes with a large key: who asks for something else
 * meanwhile is answered while all of them still wait.
 */
CONTRACT(a_storm_does_not_stall_others)
{
    side_t *asker, *answerer;
    bool asker_gone, answerer_gone;
    unsigned i;
    int fds[2];

    begin(pair_rsa_key(4096), VEIL_TLS_SIGN_AUTO);
    tls_bed_make(&tb);
    gate_set(true);
    side_pair(fds);
    asker = side_open(b, fds[0], &asker_gone);
    answerer = side_open(b, fds[1], &answerer_gone);
    veil_conn_read(&asker->conn);
    veil_conn_read(&answerer->conn);
    for (i = 0; i < MANY; i++) {
        shake(b, i);
    }
    UNTIL(b, tls_sign_running + waiting() == MANY);
    side_write(asker, "?");
    UNTIL(b, side_has(answerer, "?"));
    side_write(answerer, "!");
    UNTIL(b, side_has(asker, "!"));
    cr_assert_eq(waiting(), MANY - 2);
    for (i = 0; i < MANY; i++) {
        cr_assert_eq(all[i].server->dones, 0);
    }
    gate_set(false);
    for (i = 0; i < MANY; i++) {
        is_through(b, i);
    }
    cr_assert_eq(gate.went, MANY);
    side_close(b, asker);
    side_close(b, answerer);
    end(b);
}
