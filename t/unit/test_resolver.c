/*
 * test_resolver.c -- resolving by scripted servers on loopback, and by the
 * system.
 */

#include "../../src/event/resolver.c"

#include "bed.h"
#include "dns_message.h"

/* A server for UDP and TCP on one port, served between turns. */
typedef struct {
    int udp;
    int listener;
    int tcp; /* -1: no client */
    veil_addr_t addr;
    unsigned asked[2]; /* A, AAAA */
    unsigned asked_tcp;
    unsigned drop;  /* so many queries are lost */
    bool is_broken; /* SERVFAIL to all */
    uint16_t last_port;
    unsigned ports; /* changes of the client's port */
} server_t;

static server_t servers[3];
static unsigned nservers;
static veil_array_t *addrs;
static uint64_t now_ms;

static void
server_open(bed_t *b, server_t *s)
{
    struct sockaddr_in sin = { .sin_family = AF_INET };
    socklen_t len = sizeof(sin);

    memset(s, 0, sizeof(*s));
    sin.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    /* A port of TCP's that is free for UDP as well. */
    for (;;) {
        sin.sin_port = 0;
        s->listener =
            socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
        s->udp = socket(AF_INET, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
        cr_assert_eq(bind(s->listener, (struct sockaddr *) &sin, len), 0);
        cr_assert_eq(getsockname(s->listener, (struct sockaddr *) &sin, &len),
                     0);
        if (bind(s->udp, (struct sockaddr *) &sin, len) == 0) {
            break;
        }
        cr_assert_eq(errno, EADDRINUSE);
        close(s->listener);
        close(s->udp);
    }
    cr_assert_eq(listen(s->listener, 5), 0);
    s->tcp = -1;
    veil_addr_from_sockaddr(&s->addr, (struct sockaddr *) &sin, len);
    if (addrs == NULL) {
        addrs = veil_array_create(b->pool, sizeof(veil_addr_t), 2);
    }
    *(veil_addr_t *) veil_array_push(addrs) = s->addr;
}

/* What the names of this little world mean. */
static void
server_answer(message_t *m, const char *name, unsigned type, unsigned id,
              bool is_tcp)
{
    bool a = type == VEIL_DNS_A;
    unsigned i;

    if (strcmp(name, "both.test") == 0) {
        put_head(m, id, 0x8180, a ? 2 : 1, 0);
        put_question(m, name, type);
        if (a) {
            put_a(m, "@12", 100, 1);
            put_a(m, "@12", 50, 2);
        } else {
            put_aaaa(m, "@12", 70, 1);
        }
    } else if (strcmp(name, "v4.test") == 0 || strcmp(name, "slow6.test") == 0
               || strcmp(name, "zero.test") == 0)
    {
        put_head(m, id, 0x8180, a, !a);
        put_question(m, name, type);
        if (a) {
            put_a(m, "@12", name[0] == 'z' ? 0 : 100, 4);
        } else {
            put_soa(m, "test", 60, 60);
        }
    } else if (strcmp(name, "alias.test") == 0) {
        put_head(m, id, 0x8180, 1, 0);
        put_question(m, name, type);
        put_cname(m, "@12", 100, "v4.test");
    } else if (strcmp(name, "loop.test") == 0) {
        put_head(m, id, 0x8180, 1, 0);
        put_question(m, name, type);
        put_cname(m, "@12", 100, "pool.test");
    } else if (strcmp(name, "pool.test") == 0) {
        put_head(m, id, 0x8180, 1, 0);
        put_question(m, name, type);
        put_cname(m, "@12", 100, "loop.test");
    } else if (strcmp(name, "big.test") == 0 && !is_tcp) {
        put_head(m, id, 0x8380, 0, 0);
        put_question(m, name, type);
    } else if (strcmp(name, "big.test") == 0) {
        put_head(m, id, 0x8180, 60, 0);
        put_question(m, name, type);
        for (i = 0; i < 60; i++) {
            if (a) {
                put_a(m, "@12", 100, i);
            } else {
                put_aaaa(m, "@12", 100, i);
            }
        }
    } else if (strcmp(name, "empty.test") == 0) {
        put_head(m, id, 0x8180, 0, 1);
        put_question(m, name, type);
        put_soa(m, "test", 600, 20);
    } else if (strcmp(name, "refused.test") == 0) {
        put_head(m, id, 0x8185, 0, 0);
        put_question(m, name, type);
    } else if (strcmp(name, "garbage.test") == 0) {
        put_head(m, id, 0x8180, 5, 0);
        put_question(m, name, type);
        put_name(m, "@300");
    } else {
        put_head(m, id, 0x8183, 0, 1);
        put_question(m, name, type);
        put_soa(m, "test", 30, 30);
    }
}

/* Reads a query; false when it is none.  name is as in text. */
static bool
server_parse(const unsigned char *q, size_t n, char *name, unsigned *type)
{
    size_t at = 12, out = 0;

    while (at < n && q[at] != 0) {
        if (out > 0) {
            name[out++] = '.';
        }
        memcpy(name + out, q + at + 1, q[at]);
        out += q[at];
        at += q[at] + 1u;
    }
    name[out] = '\0';
    cr_assert_eq(n, at + 5);
    *type = q[at + 2];
    return true;
}

static void
server_udp(server_t *s)
{
    unsigned char q[512];
    struct sockaddr_in from;
    socklen_t len = sizeof(from);
    ssize_t n =
        recvfrom(s->udp, q, sizeof(q), 0, (struct sockaddr *) &from, &len);
    unsigned type, id;
    char name[256];
    message_t m;

    if (n < 0 || !server_parse(q, (size_t) n, name, &type)) {
        return;
    }
    s->asked[type == VEIL_DNS_AAAA]++;
    s->ports += from.sin_port != s->last_port;
    s->last_port = from.sin_port;
    if (s->drop > 0) {
        s->drop--;
        return;
    }
    if (strcmp(name, "slow6.test") == 0 && type == VEIL_DNS_AAAA) {
        return;
    }
    id = (unsigned) q[0] << 8 | q[1];
    if (strcmp(name, "liar.test") == 0) {
        /* Somebody guesses first. */
        server_answer(&m, "both.test", type, id, false);
        sendto(s->udp, m.data, m.len, 0, (struct sockaddr *) &from, len);
        put_head(&m, id ^ 1, 0x8180, 1, 0);
        put_question(&m, name, type);
        put_a(&m, "@12", 100, 66);
        sendto(s->udp, m.data, m.len, 0, (struct sockaddr *) &from, len);
    }
    if (s->is_broken) {
        put_head(&m, id, 0x8182, 0, 0);
        put_question(&m, name, type);
    } else {
        server_answer(&m, name, type, id, false);
    }
    sendto(s->udp, m.data, m.len, 0, (struct sockaddr *) &from, len);
}

static void
server_tcp(server_t *s)
{
    unsigned char q[512], out[4096 + 2];
    unsigned type;
    char name[256];
    message_t m;
    ssize_t n;

    if (s->tcp < 0) {
        s->tcp = accept4(s->listener, NULL, NULL, SOCK_NONBLOCK);
    }
    if (s->tcp < 0) {
        return;
    }
    n = recv(s->tcp, q, sizeof(q), 0);
    if (n > 2) {
        s->asked_tcp++;
        server_parse(q + 2, (size_t) n - 2, name, &type);
        server_answer(&m, name, type, (unsigned) q[2] << 8 | q[3], true);
        out[0] = (unsigned char) (m.len >> 8);
        out[1] = (unsigned char) m.len;
        memcpy(out + 2, m.data, m.len);
        cr_assert_eq(send(s->tcp, out, m.len + 2, 0), (ssize_t) m.len + 2);
    } else if (n == 0 || errno != EAGAIN) {
        close(s->tcp);
        s->tcp = -1;
    }
}

static bool
serve(void)
{
    unsigned i;

    for (i = 0; i < nservers; i++) {
        server_udp(&servers[i]);
        server_tcp(&servers[i]);
    }
    return true;
}

static void
pass(bed_t *b, uint64_t ms)
{
    int i;

    now_ms += ms;
    veil_time_set(now_ms, 1000000, 0);
    for (i = 0; i < 5; i++) {
        veil_loop_turn(b->loop, 0);
        serve();
    }
}

/* --- queries --------------------------------------------------------------
 */

typedef struct {
    veil_resolve_t q;
    unsigned dones;
    int err;
    unsigned n;
    uint64_t ttl_ms;
    char text[8][VEIL_ADDR_TEXT_MAX];
    veil_resolve_t *cancels; /* in done() */
} query_t;

static void
query_done(veil_resolve_t *q)
{
    query_t *t = veil_container_of(q, query_t, q);
    unsigned i;
    size_t n;

    t->dones++;
    t->err = q->err;
    t->n = q->naddrs;
    t->ttl_ms = q->ttl_ms;
    for (i = 0; i < q->naddrs && i < 8; i++) {
        n = veil_addr_print_ip(&q->addrs[i], t->text[i],
                               sizeof(t->text[i]) - 1);
        t->text[i][n] = '\0';
        cr_assert_eq(q->addrs[i].port, 0);
    }
    if (t->cancels != NULL) {
        veil_resolve_cancel(t->cancels);
    }
}

static veil_resolver_t *
resolver_of(bed_t *b, bool ipv4, bool ipv6, uint64_t valid_ms)
{
    veil_resolver_options_t o = { .servers = addrs,
                                  .valid_ms = valid_ms,
                                  .timeout_ms = 10000,
                                  .ipv4 = ipv4,
                                  .ipv6 = ipv6 };
    veil_resolver_t *r = veil_resolver_get(b->loop, &o);

    cr_assert_eq(veil_resolver_get(b->loop, &o), r);
    return r;
}

static void
ask(bed_t *b, veil_resolver_t *r, query_t *t, const char *name)
{
    memset(t, 0, sizeof(*t));
    t->q.name = veil_str_z(name);
    t->q.pool = b->pool;
    t->q.log = &veil_log_stderr;
    t->q.done = query_done;
    veil_resolve(r, &t->q);
    cr_assert_eq(t->dones, 0);
}

/* Asks and waits; the answer is in t. */
static void
resolve(bed_t *b, veil_resolver_t *r, query_t *t, const char *name)
{
    ask(b, r, t, name);
    UNTIL(b, serve() && t->dones == 1);
    cr_assert_null(t->q.entry);
    cr_assert_not(veil_pool_is_pinned(b->pool));
}

static void
begin(bed_t *b, unsigned n)
{
    unsigned i;

    now_ms = veil_now_ms() + 1000;
    veil_time_set(now_ms, 1000000, 0);
    addrs = NULL;
    nservers = n;
    for (i = 0; i < n; i++) {
        server_open(b, &servers[i]);
    }
}

static void
end(bed_t *b)
{
    unsigned i;

    veil_resolvers_stop(b->loop);
    cr_assert_not(veil_pool_is_pinned(b->pool));
    for (i = 0; i < nservers; i++) {
        close(servers[i].udp);
        close(servers[i].listener);
        if (servers[i].tcp >= 0) {
            close(servers[i].tcp);
        }
    }
}

/* "0: 30 s" is the same resolver each time, and that of 30 s. */
CONTRACT(default_timeout_is_shared)
{
    veil_resolver_options_t o = { .ipv4 = true, .ipv6 = true };
    veil_resolver_t *r;

    begin(b, 0);
    r = veil_resolver_get(b->loop, &o);
    cr_assert_eq(veil_resolver_get(b->loop, &o), r);
    o.timeout_ms = 30000;
    cr_assert_eq(veil_resolver_get(b->loop, &o), r);
    end(b);
}

CONTRACT(both_families)
{
    veil_resolver_t *r;
    query_t t;

    begin(b, 1);
    r = resolver_of(b, true, true, 0);
    resolve(b, r, &t, "both.test");
    cr_assert_eq(t.err, 0);
    cr_assert_eq(t.n, 3);
    cr_assert_str_eq(t.text[0], "192.0.2.1");
    cr_assert_str_eq(t.text[1], "192.0.2.2");
    cr_assert_str_eq(t.text[2], "2001:db8::1");
    cr_assert_eq(t.ttl_ms, 50000);
    cr_assert_eq(servers[0].asked[0], 1);
    cr_assert_eq(servers[0].asked[1], 1);
    cr_assert_eq(servers[0].ports, 2); /* a socket a question */

    /* Kept for as long as its TTL says, whatever the case. */
    pass(b, 20000);
    resolve(b, r, &t, "BOTH.test");
    cr_assert_eq(t.n, 3);
    cr_assert_eq(t.ttl_ms, 30000);
    cr_assert_eq(servers[0].asked[0], 1);
    pass(b, 30000);
    resolve(b, r, &t, "both.test");
    cr_assert_eq(t.n, 3);
    cr_assert_eq(servers[0].asked[0], 2);

    resolve(b, resolver_of(b, true, false, 0), &t, "both.test");
    cr_assert_eq(t.n, 2);
    resolve(b, resolver_of(b, false, true, 0), &t, "both.test");
    cr_assert_eq(t.n, 1);
    cr_assert_str_eq(t.text[0], "2001:db8::1");
    resolve(b, resolver_of(b, false, false, 0), &t, "both.test");
    cr_assert_eq(t.err, VEIL_RESOLVE_NODATA);
    end(b);
}

CONTRACT(no_question_needed)
{
    veil_resolver_t *r;
    query_t t;

    begin(b, 1);
    r = resolver_of(b, true, true, 0);
    resolve(b, r, &t, "192.0.2.7");
    cr_assert_eq(t.n, 1);
    cr_assert_str_eq(t.text[0], "192.0.2.7");
    resolve(b, r, &t, "[2001:db8::7]");
    cr_assert_str_eq(t.text[0], "2001:db8::7");
    resolve(b, r, &t, "not..a.name");
    cr_assert_eq(t.err, VEIL_RESOLVE_NXDOMAIN);
    resolve(b, r, &t, "");
    cr_assert_eq(t.err, VEIL_RESOLVE_NXDOMAIN);
    cr_assert_eq(servers[0].asked[0] + servers[0].asked[1], 0);
    end(b);
}

CONTRACT(negative_answers)
{
    veil_resolver_t *r;
    query_t t;

    begin(b, 1);
    r = resolver_of(b, true, true, 0);
    resolve(b, r, &t, "missing.test");
    cr_assert_eq(t.err, VEIL_RESOLVE_NXDOMAIN);
    cr_assert_eq(t.n, 0);
    cr_assert_eq(t.ttl_ms, 30000);
    pass(b, 29000);
    resolve(b, r, &t, "missing.test");
    cr_assert_eq(t.err, VEIL_RESOLVE_NXDOMAIN);
    cr_assert_eq(servers[0].asked[0], 1);
    pass(b, 1000);
    resolve(b, r, &t, "missing.test");
    cr_assert_eq(servers[0].asked[0], 2);

    resolve(b, r, &t, "empty.test");
    cr_assert_eq(t.err, VEIL_RESOLVE_NODATA);
    cr_assert_eq(t.ttl_ms, 20000);
    resolve(b, r, &t, "v4.test");
    cr_assert_eq(t.err, 0);
    cr_assert_eq(t.n, 1);
    cr_assert_eq(t.ttl_ms, 100000);

    resolve(b, r, &t, "garbage.test");
    cr_assert_eq(t.err, VEIL_RESOLVE_FAILED);
    resolve(b, r, &t, "refused.test");
    cr_assert_eq(t.err, VEIL_RESOLVE_FAILED);
    cr_assert_str_eq(veil_resolve_strerror(t.err), "server failure");
    end(b);
}

CONTRACT(valid_overrides)
{
    veil_resolver_t *r;
    query_t t;

    begin(b, 1);
    r = resolver_of(b, true, false, 5000);
    resolve(b, r, &t, "both.test");
    cr_assert_eq(t.ttl_ms, 5000);
    resolve(b, r, &t, "missing.test");
    cr_assert_eq(t.ttl_ms, 5000);
    r = resolver_of(b, true, false, 900000);
    resolve(b, r, &t, "both.test");
    cr_assert_eq(t.ttl_ms, 900000);
    resolve(b, r, &t, "missing.test");
    cr_assert_eq(t.ttl_ms, 30000);
    r = resolver_of(b, true, false, 0);
    resolve(b, r, &t, "zero.test");
    cr_assert_eq(t.ttl_ms, 1000);
    end(b);
}

CONTRACT(aliases)
{
    veil_resolver_t *r;
    query_t t;

    begin(b, 1);
    r = resolver_of(b, true, true, 0);
    resolve(b, r, &t, "alias.test");
    cr_assert_eq(t.err, 0);
    cr_assert_eq(t.n, 1);
    cr_assert_str_eq(t.text[0], "192.0.2.4");
    resolve(b, r, &t, "loop.test");
    cr_assert_eq(t.err, VEIL_RESOLVE_NODATA);
    cr_assert_leq(servers[0].asked[0], 3 + RESOLVER_ALIASES);
    end(b);
}

CONTRACT(truncated_goes_over_tcp)
{
    veil_resolver_t *r;
    query_t t;

    begin(b, 1);
    r = resolver_of(b, true, true, 0);
    resolve(b, r, &t, "big.test");
    cr_assert_eq(t.err, 0);
    cr_assert_eq(t.n, 120);
    cr_assert_eq(servers[0].asked_tcp, 2);
    end(b);
}

CONTRACT(lost_queries_are_repeated)
{
    veil_resolver_t *r;
    query_t t;

    begin(b, 2);
    servers[0].drop = 100;
    servers[1].drop = 1;
    r = resolver_of(b, true, false, 0);
    ask(b, r, &t, "both.test");
    UNTIL(b, serve() && servers[0].asked[0] == 1);
    pass(b, RESOLVER_TRY_MS); /* the second server, which loses it too */
    UNTIL(b, serve() && servers[1].asked[0] == 1);
    cr_assert_eq(servers[0].asked[0], 1);
    pass(b, RESOLVER_TRY_MS);
    UNTIL(b, serve() && servers[0].asked[0] == 2);
    cr_assert_eq(t.dones, 0);
    pass(b, RESOLVER_TRY_MS); /* the second round has more patience */
    pass(b, 10);
    cr_assert_eq(servers[1].asked[0], 1);
    pass(b, RESOLVER_TRY_MS);
    UNTIL(b, serve() && t.dones == 1);
    cr_assert_eq(t.err, 0);
    cr_assert_eq(t.n, 2);
    end(b);
}

CONTRACT(broken_server_is_passed_over)
{
    veil_resolver_t *r;
    query_t t;

    begin(b, 2);
    servers[0].is_broken = true;
    r = resolver_of(b, true, true, 0);
    resolve(b, r, &t, "both.test");
    cr_assert_eq(t.n, 3);
    resolve(b, r, &t, "v4.test");
    cr_assert_eq(t.n, 1);
    servers[1].is_broken = true;
    resolve(b, r, &t, "alias.test");
    cr_assert_eq(t.err, VEIL_RESOLVE_FAILED);
    end(b);
}

CONTRACT(dead_server_is_passed_over)
{
    struct sockaddr_storage other;
    veil_resolver_t *r;
    query_t t;

    begin(b, 2);
    /* Its port stays ours, and takes nothing but from one that is silent. */
    veil_addr_to_sockaddr(&servers[1].addr, &other);
    cr_assert_eq(connect(servers[0].udp, (struct sockaddr *) &other,
                         sizeof(struct sockaddr_in)),
                 0);
    r = resolver_of(b, true, true, 0);
    ask(b, r, &t, "both.test");
    UNTIL(b, (server_udp(&servers[1]), t.dones == 1));
    cr_assert_eq(t.n, 3);
    end(b);
}

CONTRACT(timeout)
{
    veil_resolver_t *r;
    query_t t;
    int i;

    begin(b, 1);
    servers[0].drop = 1000;
    r = resolver_of(b, true, true, 0);
    ask(b, r, &t, "both.test");
    for (i = 0; i < 99; i++) {
        pass(b, 100);
    }
    cr_assert_eq(t.dones, 0);
    pass(b, 100);
    cr_assert_eq(t.dones, 1);
    cr_assert_eq(t.err, VEIL_RESOLVE_TIMEOUT);
    cr_assert_geq(servers[0].asked[0], 3);
    end(b);
}

/* One family answers; the other, which never does, may not delay it long. */
CONTRACT(half_an_answer)
{
    const resolver_entry_t *e;
    veil_resolver_t *r;
    query_t t;

    begin(b, 1);
    r = resolver_of(b, true, true, 0);
    ask(b, r, &t, "slow6.test");
    e = t.q.entry;
    UNTIL(b, serve() && e->deadline.deadline_ms <= now_ms + RESOLVER_OTHER_MS);
    pass(b, RESOLVER_OTHER_MS - 100);
    cr_assert_eq(t.dones, 0);
    pass(b, 200);
    UNTIL(b, serve() && t.dones == 1);
    cr_assert_eq(t.err, 0);
    cr_assert_eq(t.n, 1);
    end(b);
}

CONTRACT(forged_answers)
{
    veil_resolver_t *r;
    query_t t;

    begin(b, 1);
    r = resolver_of(b, true, false, 0);
    resolve(b, r, &t, "liar.test");
    cr_assert_eq(t.err, VEIL_RESOLVE_NXDOMAIN);
    end(b);
}

CONTRACT(queries_are_joined)
{
    veil_resolver_t *r;
    query_t t[5];
    int i;

    begin(b, 1);
    r = resolver_of(b, true, false, 0);
    for (i = 0; i < 5; i++) {
        ask(b, r, &t[i], i % 2 ? "BOTH.test" : "both.test");
    }
    veil_resolve_cancel(&t[1].q);
    veil_resolve_cancel(&t[1].q);
    t[2].cancels = &t[3].q;
    UNTIL(b, serve() && t[4].dones == 1);
    cr_assert_eq(t[0].dones, 1);
    cr_assert_eq(t[1].dones, 0);
    cr_assert_eq(t[2].dones, 1);
    cr_assert_eq(t[3].dones, 0);
    cr_assert_eq(servers[0].asked[0], 1);
    cr_assert_not(veil_pool_is_pinned(b->pool));
    end(b);
}

CONTRACT(cache_is_bounded)
{
    veil_resolver_t *r;
    char name[32];
    query_t t;
    int i;

    begin(b, 1);
    r = resolver_of(b, true, false, 0);
    for (i = 0; i < RESOLVER_ENTRIES + 100; i++) {
        veil_snprintf(name, sizeof(name), "192.0.%d.%d", i / 250, i % 250);
        ask(b, r, &t, name);
        veil_loop_turn(b->loop, 0);
        cr_assert_eq(t.dones, 1);
        cr_assert_leq(r->n, RESOLVER_ENTRIES);
    }
    end(b);
}

CONTRACT(stop_with_everything_under_way)
{
    veil_resolver_t *r;
    query_t t[4];
    int turns;

    for (turns = 0; turns < 6; turns++) {
        begin(b, 1);
        r = resolver_of(b, true, true, 0);
        ask(b, r, &t[0], "both.test");
        ask(b, r, &t[1], "big.test");
        ask(b, r, &t[2], "slow6.test");
        pass(b, (uint64_t) turns);
        ask(b, r, &t[3], "192.0.2.1");
        for (int i = 0; i < turns; i++) {
            pass(b, 1);
        }
        veil_resolve_cancel(&t[2].q);
        end(b);
        UNTIL(b, b->loop->nhandles == 0);
    }
}

/* --- the system ------------------------------------------------------------
 */

/* Some chroots and containers have no /etc/hosts. */
static bool
system_knows_localhost(void)
{
    struct addrinfo *list;

    if (getaddrinfo("localhost", NULL, NULL, &list) != 0) {
        return false;
    }
    freeaddrinfo(list);
    return true;
}

CONTRACT(system_resolver)
{
    veil_resolver_t *r;
    query_t t, u;

    if (!system_knows_localhost()) {
        cr_skip_test("this system does not know localhost");
    }
    begin(b, 0);
    r = resolver_of(b, true, true, 0);
    ask(b, r, &u, "localhost");
    resolve(b, r, &t, "localhost");
    cr_assert_eq(u.dones, 1);
    cr_assert_eq(t.err, 0);
    cr_assert_geq(t.n, 1);
    cr_assert_str_eq(t.text[0], "127.0.0.1");
    cr_assert_eq(t.ttl_ms, RESOLVER_SYSTEM_MS);
    veil_offload_stop(b->loop);
    resolve(b, r, &t, "localhost"); /* kept: no thread */
    cr_assert_eq(veil_offload_busy(), 0);
    cr_assert_eq(b->loop->nhandles, 0);

    /* Stopped while a thread is at it. */
    pass(b, RESOLVER_SYSTEM_MS);
    ask(b, r, &t, "localhost");
    end(b);
    veil_offload_stop(b->loop);
    cr_assert_eq(t.dones, 0);
}
