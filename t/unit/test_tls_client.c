/*
 * test_tls_client.c -- sessions that are kept for upstreams: how many, for
 * whom, and which goes first.
 */

#include "tls_pair.h"

#include "event/tls_client.c"

static SSL_CTX *lib;
static veil_tls_ctx_t ctx;

static void
setup(void)
{
    lib = SSL_CTX_new(TLS_client_method());
    SSL_CTX_set_session_cache_mode(lib, SSL_SESS_CACHE_CLIENT
                                            | SSL_SESS_CACHE_NO_INTERNAL);
    SSL_CTX_sess_set_new_cb(lib, tls_client_on_session);
    ctx.magic = VEIL_TLS_CTX_MAGIC;
    ctx.refs = 1;
    ctx.ssl = lib;
    ctx.number = 7;
    ctx.o.session_reuse = true;
}

static void
teardown(void)
{
    veil_tls_client_trim();
    SSL_CTX_free(lib);
}

/* A session of its own for the key, as the transport makes it. */
static veil_tls_t
open_for(const char *key)
{
    veil_tls_target_t target = { .session = veil_str_z(key) };
    veil_tls_t t = { .magic = VEIL_TLS_MAGIC, .ctx = &ctx };

    t.ssl = SSL_new(lib);
    veil_tls_client_prepare(&t, &target);
    return t;
}

static void
done(veil_tls_t *t)
{
    SSL_free(t->ssl);
    veil_free(t->session_key);
    veil_free(t->name);
    veil_free(t->expected);
}

static SSL_SESSION *
session_of(uint16_t version, unsigned char id)
{
    SSL_SESSION *s = SSL_SESSION_new(lib);
    uint8_t ticket[4] = { id, 1, 2, 3 };

    cr_assert(SSL_SESSION_set_protocol_version(s, version) == 1);
    cr_assert(SSL_SESSION_set_ticket(s, ticket, sizeof(ticket)) == 1);
    cr_assert(SSL_SESSION_set1_id(s, ticket, sizeof(ticket)) == 1);
    return s;
}

/* A full handshake would end here. */
static void
got(veil_tls_t *t, SSL_SESSION *s)
{
    SSL_set_app_data(t->ssl, t);
    cr_assert_eq(tls_client_on_session(t->ssl, s), 1);
}

/* The first byte of the ticket that is offered; 0: none. */
static unsigned
offered(const char *key)
{
    veil_tls_t t = open_for(key);
    SSL_SESSION *s = SSL_get_session(t.ssl);
    const uint8_t *ticket;
    size_t len;
    unsigned id = 0;

    if (s != NULL) {
        SSL_SESSION_get0_ticket(s, &ticket, &len);
        cr_assert_gt(len, 0);
        id = ticket[0];
    }
    done(&t);
    return id;
}

Test(tls_client, tickets_of_tls13_are_used_once, .init = setup,
     .fini = teardown)
{
    veil_tls_t t = open_for("a");
    unsigned char i;

    for (i = 1; i <= 6; i++) {
        got(&t, session_of(TLS1_3_VERSION, i));
    }
    done(&t);
    cr_expect_eq(offered("b"), 0);
    cr_expect_eq(offered("a"), 6);
    cr_expect_eq(offered("a"), 5);
    cr_expect_eq(offered("a"), 4);
    cr_expect_eq(offered("a"), 3);
    cr_expect_eq(offered("a"), 0);
}

Test(tls_client, sessions_of_tls12_are_used_again, .init = setup,
     .fini = teardown)
{
    veil_tls_t t = open_for("a");

    got(&t, session_of(TLS1_2_VERSION, 1));
    got(&t, session_of(TLS1_2_VERSION, 2));
    done(&t);
    cr_expect_eq(offered("a"), 2);
    cr_expect_eq(offered("a"), 2);
}

Test(tls_client, another_context_has_its_own, .init = setup, .fini = teardown)
{
    veil_tls_t t = open_for("a");

    got(&t, session_of(TLS1_2_VERSION, 1));
    done(&t);
    ctx.number = 8;
    cr_expect_eq(offered("a"), 0);
    ctx.number = 7;
    cr_expect_eq(offered("a"), 1);
    ctx.o.session_reuse = false;
    cr_expect_eq(offered("a"), 0);
}

Test(tls_client, the_key_that_is_not_used_goes, .init = setup,
     .fini = teardown)
{
    char key[16];
    veil_tls_t t;
    unsigned i;

    for (i = 0; i < TLS_CLIENT_KEYS + 10; i++) {
        (void) snprintf(key, sizeof(key), "k%u", i);
        t = open_for(key);
        got(&t, session_of(TLS1_2_VERSION, 1));
        done(&t);
        cr_assert_eq(offered("k0"), 1); /* one that is */
    }
    cr_expect_eq(tls_client_table.n, TLS_CLIENT_KEYS);
    cr_expect_eq(offered("k1"), 0);
    cr_expect_eq(offered("k10"), 0);
    cr_expect_eq(offered("k11"), 1);
    cr_expect_eq(offered(key), 1);
}

Test(tls_client, sessions_without_a_key_are_not_kept, .init = setup,
     .fini = teardown)
{
    veil_tls_t t = open_for("");
    SSL_SESSION *s = session_of(TLS1_2_VERSION, 1);

    SSL_set_app_data(t.ssl, &t);
    cr_expect_eq(tls_client_on_session(t.ssl, s), 0);
    SSL_SESSION_free(s);
    done(&t);
    cr_expect_eq(tls_client_table.n, 0);
}

Test(tls_client, the_bundle_can_be_named)
{
    setenv("SSL_CERT_FILE", "/somewhere/else", 1);
    cr_expect_str_eq(veil_tls_system_bundle(), "/somewhere/else");
    setenv("SSL_CERT_FILE", "", 1);
    cr_expect(veil_tls_system_bundle() == NULL
              || veil_tls_system_bundle()[0] == '/');
}
