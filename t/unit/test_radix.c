/* test_radix.c -- longest prefixes. */

#include <arpa/inet.h>
#include <criterion/criterion.h>
#include <signal.h>

#include "core/platform.h"

#include "core/pool.h"
#include "core/radix.h"
#include "core/rand.h"

static const unsigned char *
addr(const char *text)
{
    static unsigned char buf[4][16];
    static unsigned next;
    unsigned char *a = buf[next++ % 4];

    cr_assert_eq(inet_pton(strchr(text, ':') ? AF_INET6 : AF_INET, text, a),
                 1);
    return a;
}

static char a, b, c, d;

Test(radix, longest_wins)
{
    veil_pool_t *p = veil_pool_create("test", 4096);
    veil_radix_t t;

    veil_radix_init(&t, p, 32);
    cr_assert_eq(veil_radix_find(&t, addr("10.0.0.1")), NULL);
    cr_assert_eq(veil_radix_set(&t, addr("10.1.0.0"), 16, &b), NULL);
    cr_assert_eq(veil_radix_set(&t, addr("10.0.0.0"), 8, &a), NULL);
    cr_assert_eq(veil_radix_set(&t, addr("10.1.2.3"), 32, &c), NULL);
    cr_assert_eq(t.n, 3);
    cr_assert_eq(veil_radix_find(&t, addr("10.9.9.9")), &a);
    cr_assert_eq(veil_radix_find(&t, addr("10.1.9.9")), &b);
    cr_assert_eq(veil_radix_find(&t, addr("10.1.2.3")), &c);
    cr_assert_eq(veil_radix_find(&t, addr("10.1.2.2")), &b);
    cr_assert_eq(veil_radix_find(&t, addr("11.1.2.3")), NULL);
    cr_assert_eq(veil_radix_set(&t, addr("0.0.0.0"), 0, &d), NULL);
    cr_assert_eq(veil_radix_find(&t, addr("11.1.2.3")), &d);

    cr_assert_eq(veil_radix_get(&t, addr("10.1.0.0"), 16), &b);
    cr_assert_eq(veil_radix_get(&t, addr("10.1.0.0"), 17), NULL);
    cr_assert_eq(veil_radix_get(&t, addr("10.1.0.0"), 15), NULL);
    cr_assert_eq(veil_radix_remove(&t, addr("10.1.0.0"), 16), &b);
    cr_assert_eq(veil_radix_remove(&t, addr("10.1.0.0"), 16), NULL);
    cr_assert_eq(veil_radix_find(&t, addr("10.1.2.2")), &a);
    cr_assert_eq(veil_radix_find(&t, addr("10.1.2.3")), &c);
    cr_assert_eq(t.n, 3);
    veil_pool_destroy(&p);
}

Test(radix, bits_behind_the_prefix_are_ignored)
{
    veil_pool_t *p = veil_pool_create("test", 4096);
    veil_radix_t t;

    veil_radix_init(&t, p, 32);
    (void) veil_radix_set(&t, addr("192.168.77.99"), 20, &a);
    cr_assert_eq(veil_radix_set(&t, addr("192.168.64.0"), 20, &b), &a);
    cr_assert_eq(veil_radix_find(&t, addr("192.168.79.255")), &b);
    cr_assert_eq(veil_radix_find(&t, addr("192.168.80.0")), NULL);
    cr_assert_eq(t.n, 1);
    veil_pool_destroy(&p);
}

Test(radix, ipv6)
{
    veil_pool_t *p = veil_pool_create("test", 4096);
    veil_radix_t t;

    veil_radix_init(&t, p, 128);
    (void) veil_radix_set(&t, addr("2001:db8::"), 32, &a);
    (void) veil_radix_set(&t, addr("2001:db8::1"), 128, &b);
    (void) veil_radix_set(&t, addr("::"), 0, &c);
    (void) veil_radix_set(&t, addr("2001:db8:8000::"), 33, &d);
    cr_assert_eq(veil_radix_find(&t, addr("2001:db8::1")), &b);
    cr_assert_eq(veil_radix_find(&t, addr("2001:db8::2")), &a);
    cr_assert_eq(veil_radix_find(&t, addr("2001:db8:ffff::2")), &d);
    cr_assert_eq(veil_radix_find(&t, addr("fe80::1")), &c);
    cr_assert_eq(veil_radix_get(&t, addr("2001:db8::1"), 128), &b);
    veil_pool_destroy(&p);
}

/* Random prefixes of clustered addresses against a list. */
Test(radix, as_a_list_would)
{
    static struct {
        uint32_t net;
        unsigned bits;
        char value;
        bool set;
    } nets[300];
    veil_pool_t *p = veil_pool_create("test", 4096);
    unsigned i, j, best;
    uint32_t host, net;
    veil_radix_t t;

    veil_rand_seed(3);
    veil_radix_init(&t, p, 32);
    for (i = 0; i < 300; i++) {
        nets[i].bits = (unsigned) veil_rand_below(33);
        host = 0x0a000000 | (uint32_t) veil_rand_below(4096) << 4;
        nets[i].net =
            nets[i].bits == 0 ? 0 : host & UINT32_MAX << (32 - nets[i].bits);
        net = htonl(nets[i].net);
        for (j = 0; j < i; j++) {
            if (nets[j].net == nets[i].net && nets[j].bits == nets[i].bits) {
                nets[j].set = false;
            }
        }
        nets[i].set = true;
        (void) veil_radix_set(&t, &net, nets[i].bits, &nets[i].value);
        if (i % 5 == 4) {
            j = (unsigned) veil_rand_below(i);
            net = htonl(nets[j].net);
            if (nets[j].set) {
                cr_assert_eq(veil_radix_remove(&t, &net, nets[j].bits),
                             &nets[j].value);
                nets[j].set = false;
            }
        }
    }
    for (i = 0; i < 20000; i++) {
        host = 0x0a000000 | (uint32_t) veil_rand_below(1 << 17);
        best = 300;
        for (j = 0; j < 300; j++) {
            if (nets[j].set
                && (nets[j].bits == 0
                    || (host ^ nets[j].net) >> (32 - nets[j].bits) == 0)
                && (best == 300 || nets[j].bits > nets[best].bits))
            {
                best = j;
            }
        }
        net = htonl(host);
        cr_assert_eq(veil_radix_find(&t, &net),
                     best == 300 ? NULL : &nets[best].value);
    }
    veil_pool_destroy(&p);
}

Test(radix, too_many_bits_abort, .signal = SIGABRT)
{
    veil_pool_t *p = veil_pool_create("test", 4096);
    veil_radix_t t;

    veil_radix_init(&t, p, 32);
    (void) veil_radix_set(&t, addr("::"), 33, &a);
}
