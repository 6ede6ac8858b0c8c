/*
 * test_inet.c -- addresses: parse, print, compare, ranges.
 */

#include "core/platform.h"

#include <criterion/criterion.h>
#include <netinet/in.h>
#include <sys/un.h>

#include "core/inet.h"

static void
roundtrip(const char *text, uint16_t port, const char *ip, const char *full)
{
    struct sockaddr_storage ss;
    veil_addr_t a, b;
    char buf[VEIL_ADDR_TEXT_MAX];
    socklen_t len;

    cr_assert(veil_addr_parse_ip(&a, veil_str_z(text)), "%s", text);
    cr_assert_eq(a.port, 0);
    a.port = port;
    cr_assert_eq(veil_addr_print_ip(&a, buf, sizeof(buf)), strlen(ip));
    cr_assert_str_eq(buf, ip);
    cr_assert_eq(veil_addr_print(&a, buf, sizeof(buf)), strlen(full));
    cr_assert_str_eq(buf, full);
    len = veil_addr_to_sockaddr(&a, &ss);
    cr_assert_gt(len, 0);
    veil_addr_from_sockaddr(&b, (struct sockaddr *) &ss, len);
    cr_assert(veil_addr_eq(&a, &b));
    b.port++;
    cr_assert_not(veil_addr_eq(&a, &b));
}

Test(inet, ip)
{
    cr_assert_eq(sizeof(veil_addr_t), 24);
    roundtrip("127.0.0.1", 80, "127.0.0.1", "127.0.0.1:80");
    roundtrip("255.255.255.255", 65535, "255.255.255.255",
              "255.255.255.255:65535");
    roundtrip("::1", 80, "::1", "[::1]:80");
    roundtrip("[::1]", 80, "::1", "[::1]:80");
    roundtrip("2001:DB8:0:0::0:1", 1, "2001:db8::1", "[2001:db8::1]:1");
    roundtrip("::ffff:1.2.3.4", 1, "::ffff:1.2.3.4", "[::ffff:1.2.3.4]:1");
    roundtrip("fe80::1%1", 1, "fe80::1", "[fe80::1%1]:1");
    roundtrip("fe80::1%lo", 1, "fe80::1", "[fe80::1%1]:1");
}

Test(inet, not_an_ip)
{
    static const char *const bad[] = {
        "",
        "1.2.3",
        "1.2.3.4.5",
        "1.2.3.256",
        "01.2.3.4",
        "1.2.3.4 ",
        " 1.2.3.4",
        "localhost",
        ":",
        "1::2::3",
        "[1.2.3.4]",
        "[::1",
        "::1]",
        "[]",
        "::1%",
        "::1%none0",
        "1.2.3.4%1",
        "::1%999999999999",
        "1111:1111:1111:1111:1111:1111:1111:1111:1111:1111:1111:1111"
    };
    veil_addr_t a;
    size_t i;

    for (i = 0; i < veil_countof(bad); i++) {
        cr_assert_not(veil_addr_parse_ip(&a, veil_str_z(bad[i])), "%s",
                      bad[i]);
    }
    cr_assert_not(veil_addr_parse_ip(&a, VEIL_STR("1.2.3.4\0x")));
}

Test(inet, unix_sockets)
{
    veil_addr_t a = { .family = AF_UNIX, .u.path = "/run/x" };
    veil_addr_t b = { .family = AF_UNIX };
    struct sockaddr_storage ss;
    char buf[VEIL_ADDR_TEXT_MAX], same[] = "/run/x";
    socklen_t len;

    cr_assert_eq(veil_addr_print(&a, buf, sizeof(buf)), 11);
    cr_assert_str_eq(buf, "unix:/run/x");
    veil_addr_print_ip(&a, buf, sizeof(buf));
    cr_assert_str_eq(buf, "unix:");
    len = veil_addr_to_sockaddr(&a, &ss);
    cr_assert_eq(len, offsetof(struct sockaddr_un, sun_path) + 7);
    cr_assert_str_eq(((struct sockaddr_un *) &ss)->sun_path, "/run/x");
    cr_assert_not(veil_addr_eq(&a, &b));
    b.u.path = same;
    cr_assert(veil_addr_eq(&a, &b));
    veil_addr_from_sockaddr(&b, (struct sockaddr *) &ss, len);
    cr_assert_eq(b.u.path, NULL);
    cr_assert_eq(veil_addr_to_sockaddr(&b, &ss), sizeof(sa_family_t));
    cr_assert_not(veil_addr_is_wildcard(&a));
}

Test(inet, short_addresses_from_the_kernel)
{
    struct sockaddr_storage ss = { .ss_family = AF_INET };
    veil_addr_t a;
    char buf[8] = "x";

    veil_addr_from_sockaddr(&a, (struct sockaddr *) &ss, 0);
    cr_assert_eq(a.family, 0);
    veil_addr_from_sockaddr(&a, (struct sockaddr *) &ss, 8);
    cr_assert_eq(a.family, 0);
    cr_assert_eq(veil_addr_print(&a, buf, sizeof(buf)), 0);
    cr_assert_str_eq(buf, "");
    cr_assert_eq(veil_addr_to_sockaddr(&a, &ss), 0);
}

Test(inet, wildcards)
{
    veil_addr_t a;

    veil_addr_parse_ip(&a, VEIL_STR("0.0.0.0"));
    cr_assert(veil_addr_is_wildcard(&a));
    veil_addr_parse_ip(&a, VEIL_STR("::"));
    cr_assert(veil_addr_is_wildcard(&a));
    veil_addr_parse_ip(&a, VEIL_STR("0.0.0.1"));
    cr_assert_not(veil_addr_is_wildcard(&a));
}

static void
hostport(const char *text, const char *host, int port)
{
    veil_hostport_t hp;

    cr_assert(veil_hostport_parse(&hp, veil_str_z(text)), "%s", text);
    cr_assert_not(hp.is_unix);
    cr_assert(veil_str_eq_z(hp.host, host), "%s", text);
    cr_assert_eq(hp.has_port, port >= 0);
    cr_assert_eq(hp.port, port >= 0 ? port : 0);
}

Test(inet, host_and_port)
{
    static const char *const bad[] = {
        "",     ":80",   "a:",      "a:0",    "a:65536", "a:x",   "0",
        "[::1", "[]:80", "[::1]80", "[::1]:", "unix:",   "99999", "::1"
    };
    veil_hostport_t hp;
    size_t i;

    hostport("a.example:80", "a.example", 80);
    hostport("a.example", "a.example", -1);
    hostport("127.0.0.1", "127.0.0.1", -1);
    hostport("[::1]:8080", "::1", 8080);
    hostport("[::1]", "::1", -1);
    hostport("*:80", "", 80);
    hostport("*", "", -1);
    hostport("80", "", 80);
    hostport("65535", "", 65535);
    cr_assert(veil_hostport_parse(&hp, VEIL_STR("unix:/a:b")));
    cr_assert(hp.is_unix);
    cr_assert(veil_str_eq_z(hp.path, "/a:b"));
    for (i = 0; i < veil_countof(bad); i++) {
        cr_assert_not(veil_hostport_parse(&hp, veil_str_z(bad[i])), "%s",
                      bad[i]);
    }
}

static bool
in(const char *range, const char *ip)
{
    veil_cidr_t c;
    veil_addr_t a;

    cr_assert(veil_cidr_parse(&c, veil_str_z(range)), "%s", range);
    cr_assert(veil_addr_parse_ip(&a, veil_str_z(ip)), "%s", ip);
    return veil_cidr_match(&c, &a);
}

Test(inet, ranges)
{
    static const char *const bad[] = {
        "",        "/8",        "1.2.3.4/33", "::/129",      "1.2.3.4/",
        "1.2.3/8", "1.2.3.4/x", "1.2.3.4/-1", "fe80::1%1/64"
    };
    veil_cidr_t c;
    veil_addr_t u = { .family = AF_UNIX };
    size_t i;

    cr_assert(in("10.0.0.0/8", "10.255.0.1"));
    cr_assert_not(in("10.0.0.0/8", "11.0.0.1"));
    cr_assert(in("10.1.2.3/8", "10.0.0.1"));
    cr_assert(in("192.168.1.128/25", "192.168.1.200"));
    cr_assert_not(in("192.168.1.128/25", "192.168.1.127"));
    cr_assert(in("1.2.3.4", "1.2.3.4"));
    cr_assert_not(in("1.2.3.4", "1.2.3.5"));
    cr_assert(in("0.0.0.0/0", "9.9.9.9"));
    cr_assert_not(in("0.0.0.0/0", "::1"));
    cr_assert(in("10.0.0.0/8", "::ffff:10.1.1.1"));
    cr_assert_not(in("10.0.0.0/8", "::ffff:11.1.1.1"));
    cr_assert(in("2001:db8::/33", "2001:db8:7fff::1"));
    cr_assert_not(in("2001:db8::/33", "2001:db8:8000::1"));
    cr_assert(in("::/0", "::1"));
    cr_assert_not(in("::/0", "1.2.3.4"));
    cr_assert(in("::1", "::1"));
    for (i = 0; i < veil_countof(bad); i++) {
        cr_assert_not(veil_cidr_parse(&c, veil_str_z(bad[i])), "%s", bad[i]);
    }
    cr_assert(veil_cidr_parse(&c, VEIL_STR("10.0.0.0/8")));
    cr_assert_not(veil_cidr_match(&c, &u));
}
