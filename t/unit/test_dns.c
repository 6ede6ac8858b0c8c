/*
 * test_dns.c -- the DNS codec: good messages, bad ones, and all that are one
 * byte away from a good one.
 */

#include "dns_message.h"

#include "core/inet.h"

#define ID 0x1234

static veil_dns_answer_t answer;

static veil_dns_rc_t
parse_n(const message_t *m, size_t n, const char *name, unsigned type)
{
    /* A copy of the exact size, so that a sanitizer sees a byte too far. */
    unsigned char *copy = malloc(n == 0 ? 1 : n);
    veil_dns_name_t asked;
    veil_dns_rc_t rc;

    memcpy(copy, m->data, n);
    cr_assert(veil_dns_name_parse(&asked, veil_str_z(name)));
    rc = veil_dns_parse(copy, n, ID, &asked, type, &answer);
    free(copy);
    return rc;
}

static veil_dns_rc_t
parse(const message_t *m, const char *name, unsigned type)
{
    return parse_n(m, m->len, name, type);
}

static void
is_addr(unsigned i, const char *text)
{
    char buf[VEIL_ADDR_TEXT_MAX];
    size_t n = veil_addr_print_ip(&answer.addrs[i], buf, sizeof(buf));

    cr_assert_eq(n, strlen(text));
    cr_assert_eq(memcmp(buf, text, n), 0);
}

/* An answer with everything in it: two aliases, two addresses, a stranger. */
static void
put_rich(message_t *m)
{
    put_head(m, ID, 0x8180, 6, 0);
    put_question(m, "www.example.com", VEIL_DNS_A);
    put_a(m, "end.example.net", 90, 1); /* before its alias */
    put_cname(m, "@12", 300, "cdn.@16");
    put_a(m, "other.example.com", 1, 99);
    put_cname(m, "cdn.example.com", 200, "end.example.net");
    put_aaaa(m, "end.example.net", 2, 7);
    put_a(m, "END.Example.NET", 80, 2);
}

Test(dns, names)
{
    veil_dns_name_t a, b;
    char text[300];

    cr_assert(veil_dns_name_parse(&a, VEIL_STR("www.example.com")));
    cr_assert_eq(a.len, 17);
    cr_assert_eq(memcmp(a.data, "\3www\7example\3com", 17), 0);
    cr_assert(veil_dns_name_parse(&b, VEIL_STR("WWW.Example.COM.")));
    cr_assert(veil_dns_name_eq(&a, &b));
    cr_assert(veil_dns_name_parse(&b, VEIL_STR("_srv._tcp-x")));
    cr_assert_not(veil_dns_name_eq(&a, &b));
    cr_assert_not(veil_dns_name_parse(&b, VEIL_STR("")));
    cr_assert_not(veil_dns_name_parse(&b, VEIL_STR(".")));
    cr_assert_not(veil_dns_name_parse(&b, VEIL_STR("a..b")));
    cr_assert_not(veil_dns_name_parse(&b, VEIL_STR(".a")));
    cr_assert_not(veil_dns_name_parse(&b, VEIL_STR("a..")));

    memset(text, 'x', sizeof(text));
    cr_assert(veil_dns_name_parse(&b, veil_str_n(text, 63)));
    cr_assert_not(veil_dns_name_parse(&b, veil_str_n(text, 64)));
    text[63] = text[127] = text[191] = '.';
    cr_assert(veil_dns_name_parse(&b, veil_str_n(text, 253)));
    cr_assert_eq(b.len, 255);
    cr_assert_not(veil_dns_name_parse(&b, veil_str_n(text, 254)));
}

Test(dns, query)
{
    unsigned char buf[VEIL_DNS_QUERY_MAX];
    static const unsigned char expected[] =
        "\x12\x34\x01\0\0\1\0\0\0\0\0\0\3www\4test\0\0\x1c\0\1";
    veil_dns_name_t name;
    char text[253];

    cr_assert(veil_dns_name_parse(&name, VEIL_STR("www.test")));
    cr_assert_eq(veil_dns_query(buf, ID, &name, VEIL_DNS_AAAA),
                 sizeof(expected) - 1);
    cr_assert_eq(memcmp(buf, expected, sizeof(expected) - 1), 0);

    memset(text, 'x', sizeof(text));
    text[63] = text[127] = text[191] = '.';
    cr_assert(veil_dns_name_parse(&name, veil_str_n(text, sizeof(text))));
    cr_assert_eq(veil_dns_query(buf, ID, &name, VEIL_DNS_A), sizeof(buf));
}

Test(dns, addresses)
{
    message_t m;

    put_head(&m, ID, 0x8180, 2, 0);
    put_question(&m, "example.com", VEIL_DNS_A);
    put_a(&m, "@12", 300, 1);
    put_a(&m, "example.com", 60, 2);
    cr_assert_eq(parse(&m, "Example.Com", VEIL_DNS_A), VEIL_DNS_READ);
    cr_assert_eq(answer.rcode, VEIL_DNS_OK);
    cr_assert_eq(answer.naddrs, 2);
    cr_assert_not(answer.is_alias);
    cr_assert_eq(answer.ttl, 60);
    is_addr(0, "192.0.2.1");
    is_addr(1, "192.0.2.2");

    put_head(&m, ID, 0x8180, 1, 0);
    put_question(&m, "example.com", VEIL_DNS_AAAA);
    put_aaaa(&m, "@12", 0x80000001, 9);
    cr_assert_eq(parse(&m, "example.com", VEIL_DNS_AAAA), VEIL_DNS_READ);
    cr_assert_eq(answer.naddrs, 1);
    cr_assert_eq(answer.ttl, 0); /* RFC 2181, 8 */
    is_addr(0, "2001:db8::9");
}

Test(dns, aliases)
{
    message_t m;

    put_rich(&m);
    cr_assert_eq(parse(&m, "www.example.com", VEIL_DNS_A), VEIL_DNS_READ);
    cr_assert_eq(answer.naddrs, 2);
    cr_assert(answer.is_alias);
    cr_assert_eq(answer.ttl, 80);
    is_addr(0, "192.0.2.1");
    is_addr(1, "192.0.2.2");

    /* The server left the rest to us. */
    put_head(&m, ID, 0x8180, 1, 0);
    put_question(&m, "a.test", VEIL_DNS_A);
    put_cname(&m, "@12", 5, "b.test");
    cr_assert_eq(parse(&m, "a.test", VEIL_DNS_A), VEIL_DNS_READ);
    cr_assert_eq(answer.naddrs, 0);
    cr_assert(answer.is_alias);
    cr_assert_eq(memcmp(answer.name.data, "\1b\4test", 8), 0);
}

Test(dns, alias_loops)
{
    char a[16], b[16];
    message_t m;
    unsigned i;

    put_head(&m, ID, 0x8180, 2, 0);
    put_question(&m, "a.test", VEIL_DNS_A);
    put_cname(&m, "a.test", 5, "b.test");
    put_cname(&m, "b.test", 5, "a.test");
    cr_assert_eq(parse(&m, "a.test", VEIL_DNS_A), VEIL_DNS_MALFORMED);

    put_head(&m, ID, 0x8180, 30, 0);
    put_question(&m, "c0", VEIL_DNS_A);
    for (i = 0; i < 30; i++) {
        veil_snprintf(a, sizeof(a), "c%u", i);
        veil_snprintf(b, sizeof(b), "c%u", i + 1);
        put_cname(&m, a, 5, b);
    }
    cr_assert_eq(parse(&m, "c0", VEIL_DNS_A), VEIL_DNS_MALFORMED);
}

Test(dns, nothing_there)
{
    message_t m;

    put_head(&m, ID, 0x8183, 0, 1);
    put_question(&m, "no.test", VEIL_DNS_A);
    put_soa(&m, "test", 100, 30);
    cr_assert_eq(parse(&m, "no.test", VEIL_DNS_A), VEIL_DNS_READ);
    cr_assert_eq(answer.rcode, VEIL_DNS_NXDOMAIN);
    cr_assert(answer.has_soa);
    cr_assert_eq(answer.ttl, 30);

    put_head(&m, ID, 0x8180, 0, 1);
    put_question(&m, "no.test", VEIL_DNS_A);
    put_soa(&m, "test", 10, 30);
    cr_assert_eq(parse(&m, "no.test", VEIL_DNS_A), VEIL_DNS_READ);
    cr_assert_eq(answer.rcode, VEIL_DNS_OK);
    cr_assert_eq(answer.naddrs, 0);
    cr_assert_eq(answer.ttl, 10);

    put_head(&m, ID, 0x8182, 0, 0);
    put_question(&m, "no.test", VEIL_DNS_A);
    cr_assert_eq(parse(&m, "no.test", VEIL_DNS_A), VEIL_DNS_READ);
    cr_assert_eq(answer.rcode, VEIL_DNS_SERVFAIL);
    cr_assert_not(answer.has_ttl);

    /* Refused without repeating the question. */
    put_head(&m, ID, 0x8185, 0, 0);
    m.data[5] = 0;
    cr_assert_eq(parse(&m, "no.test", VEIL_DNS_A), VEIL_DNS_READ);
    cr_assert_eq(answer.rcode, VEIL_DNS_REFUSED);
}

Test(dns, truncated)
{
    message_t m;

    put_head(&m, ID, 0x8380, 20, 0);
    put_question(&m, "big.test", VEIL_DNS_A);
    cr_assert_eq(parse(&m, "big.test", VEIL_DNS_A), VEIL_DNS_READ);
    cr_assert(answer.is_truncated);
}

Test(dns, not_ours)
{
    message_t m;

    put_rich(&m);
    cr_assert_eq(parse(&m, "www.example.org", VEIL_DNS_A), VEIL_DNS_NOT_OURS);
    cr_assert_eq(parse(&m, "www.example.com", VEIL_DNS_AAAA),
                 VEIL_DNS_NOT_OURS);
    m.data[1] ^= 1; /* the id */
    cr_assert_eq(parse(&m, "www.example.com", VEIL_DNS_A), VEIL_DNS_NOT_OURS);
    m.data[1] ^= 1;
    m.data[2] &= 0x7f; /* a query */
    cr_assert_eq(parse(&m, "www.example.com", VEIL_DNS_A), VEIL_DNS_NOT_OURS);
    m.data[2] |= 0x88; /* another operation */
    cr_assert_eq(parse(&m, "www.example.com", VEIL_DNS_A), VEIL_DNS_NOT_OURS);
    put_rich(&m);
    m.data[5] = 2;
    cr_assert_eq(parse(&m, "www.example.com", VEIL_DNS_A), VEIL_DNS_NOT_OURS);
}

Test(dns, pointers)
{
    message_t m;
    size_t at;

    /* To itself, forwards, and around in a circle. */
    put_head(&m, ID, 0x8180, 1, 0);
    put_question(&m, "a.test", VEIL_DNS_A);
    at = m.len;
    put_a(&m, "@12", 5, 1);
    m.data[at + 1] = (unsigned char) at;
    cr_assert_eq(parse(&m, "a.test", VEIL_DNS_A), VEIL_DNS_MALFORMED);
    m.data[at + 1] = (unsigned char) (at + 2);
    cr_assert_eq(parse(&m, "a.test", VEIL_DNS_A), VEIL_DNS_MALFORMED);
    m.data[at] = 0xff;
    m.data[at + 1] = 0xff;
    cr_assert_eq(parse(&m, "a.test", VEIL_DNS_A), VEIL_DNS_MALFORMED);
    /* Into the head: a name of whatever stands there, not of ours. */
    m.data[at] = 0xc0;
    m.data[at + 1] = 4;
    cr_assert_neq(parse(&m, "a.test", VEIL_DNS_A), VEIL_DNS_NOT_OURS);
    cr_assert_eq(answer.naddrs, 0);
    /* Reserved kinds of labels. */
    m.data[at] = 0x80;
    cr_assert_eq(parse(&m, "a.test", VEIL_DNS_A), VEIL_DNS_MALFORMED);
    m.data[at] = 0x40;
    cr_assert_eq(parse(&m, "a.test", VEIL_DNS_A), VEIL_DNS_MALFORMED);

    put_head(&m, ID, 0x8180, 1, 0);
    put_question(&m, "a.test", VEIL_DNS_A);
    at = m.len;
    put_a(&m, "x.y.@12", 5, 1);
    m.data[at + 5] = (unsigned char) (at + 2); /* y -> y */
    cr_assert_eq(parse(&m, "a.test", VEIL_DNS_A), VEIL_DNS_MALFORMED);
}

/* A name that grows beyond 255 bytes by pointers to a long one. */
Test(dns, long_by_pointer)
{
    char text[256];
    message_t m;

    memset(text, 'x', sizeof(text));
    text[63] = text[127] = text[191] = '.';
    text[250] = '\0';
    put_head(&m, ID, 0x8180, 1, 0);
    put_question(&m, text, VEIL_DNS_A);
    put_a(&m, "long.@12", 5, 1);
    cr_assert_eq(parse(&m, text, VEIL_DNS_A), VEIL_DNS_MALFORMED);
}

Test(dns, wrong_lengths)
{
    message_t m;

    put_head(&m, ID, 0x8180, 1, 0);
    put_question(&m, "a.test", VEIL_DNS_A);
    put_record(&m, "@12", VEIL_DNS_A, 5, 3);
    put_u8(&m, 1);
    put_u16(&m, 1);
    cr_assert_eq(parse(&m, "a.test", VEIL_DNS_A), VEIL_DNS_MALFORMED);

    put_head(&m, ID, 0x8180, 1, 0);
    put_question(&m, "a.test", VEIL_DNS_A);
    put_cname(&m, "@12", 5, "b.test");
    m.data[m.len - 9]++; /* longer than its name */
    put_u8(&m, 0);
    cr_assert_eq(parse(&m, "a.test", VEIL_DNS_A), VEIL_DNS_MALFORMED);
}

Test(dns, too_many_addresses)
{
    message_t m;
    unsigned i;

    put_head(&m, ID, 0x8180, 200, 0);
    put_question(&m, "a.test", VEIL_DNS_A);
    for (i = 0; i < 200; i++) {
        put_a(&m, "@12", 5, i);
    }
    cr_assert_eq(parse(&m, "a.test", VEIL_DNS_A), VEIL_DNS_READ);
    cr_assert_eq(answer.naddrs, VEIL_DNS_ADDRS);
}

Test(dns, cut_anywhere)
{
    message_t m;
    size_t n;

    put_rich(&m);
    for (n = 0; n < m.len; n++) {
        cr_assert_neq(parse_n(&m, n, "www.example.com", VEIL_DNS_A),
                      VEIL_DNS_READ);
    }
    put_head(&m, ID, 0x8183, 0, 1);
    put_question(&m, "no.test", VEIL_DNS_A);
    put_soa(&m, "test", 100, 30);
    for (n = 0; n < m.len; n++) {
        if (parse_n(&m, n, "no.test", VEIL_DNS_A) == VEIL_DNS_READ) {
            cr_assert_not(answer.has_soa);
        }
    }
}

Test(dns, each_byte_changed)
{
    message_t m;
    size_t i;
    unsigned v, reads = 0;

    put_rich(&m);
    for (i = 0; i < m.len; i++) {
        for (v = 0; v < 256; v++) {
            put_rich(&m);
            m.data[i] = (unsigned char) v;
            if (parse(&m, "www.example.com", VEIL_DNS_A) == VEIL_DNS_READ) {
                cr_assert_leq(answer.naddrs, 7);
                cr_assert_leq(answer.name.len, sizeof(answer.name.data));
                reads++;
            }
        }
    }
    cr_assert_gt(reads, m.len); /* at least those that change nothing */
}
