/*
 * inet.c -- addresses: parse, print, compare, CIDR.
 *
 * Numeric only: names are resolved elsewhere.  IPv4 is parsed strictly (four
 * decimal numbers, no leading zeros that could be octal), as inet_pton does.
 */

#include "core/platform.h"

#include <arpa/inet.h>
#include <net/if.h>
#include <netinet/in.h>
#include <sys/un.h>

#include "core/assert.h"
#include "core/inet.h"

socklen_t
veil_addr_to_sockaddr(const veil_addr_t *a, struct sockaddr_storage *ss)
{
    struct sockaddr_in *in = (void *) ss;
    struct sockaddr_in6 *in6 = (void *) ss;
    struct sockaddr_un *un = (void *) ss;
    size_t len;

    memset(ss, 0, sizeof(*ss));
    ss->ss_family = a->family;
    switch (a->family) {
    case AF_INET:
        in->sin_port = htons(a->port);
        memcpy(&in->sin_addr, a->u.ip, 4);
        return sizeof(*in);
    case AF_INET6:
        in6->sin6_port = htons(a->port);
        in6->sin6_scope_id = a->scope_id;
        memcpy(&in6->sin6_addr, a->u.ip, 16);
        return sizeof(*in6);
    case AF_UNIX:
        if (a->u.path == NULL) {
            return sizeof(sa_family_t);
        }
        /* A longer path is refused where it is configured. */
        len = strlen(a->u.path);
        VEIL_ASSERT(len < sizeof(un->sun_path));
        memcpy(un->sun_path, a->u.path, len + 1);
        return (socklen_t) (offsetof(struct sockaddr_un, sun_path) + len + 1);
    default:
        return 0;
    }
}

void
veil_addr_from_sockaddr(veil_addr_t *a, const struct sockaddr *sa,
                        socklen_t len)
{
    struct sockaddr_in in;
    struct sockaddr_in6 in6;

    *a = (veil_addr_t){ .family = 0 };
    if (len < sizeof(sa->sa_family)) {
        return;
    }
    /* Copied, as the caller's memory may not be aligned for it. */
    if (sa->sa_family == AF_INET && len >= sizeof(in)) {
        memcpy(&in, sa, sizeof(in));
        a->family = AF_INET;
        a->port = ntohs(in.sin_port);
        memcpy(a->u.ip, &in.sin_addr, 4);
    } else if (sa->sa_family == AF_INET6 && len >= sizeof(in6)) {
        memcpy(&in6, sa, sizeof(in6));
        a->family = AF_INET6;
        a->port = ntohs(in6.sin6_port);
        a->scope_id = in6.sin6_scope_id;
        memcpy(a->u.ip, &in6.sin6_addr, 16);
    } else if (sa->sa_family == AF_UNIX) {
        a->family = AF_UNIX;
    }
}

size_t
veil_addr_print_ip(const veil_addr_t *a, char *buf, size_t n)
{
    char text[INET6_ADDRSTRLEN];

    switch (a->family) {
    case AF_INET:
        return veil_snprintf(buf, n, "%u.%u.%u.%u", a->u.ip[0], a->u.ip[1],
                             a->u.ip[2], a->u.ip[3]);
    case AF_INET6:
        inet_ntop(AF_INET6, a->u.ip, text, sizeof(text));
        return veil_snprintf(buf, n, "%s", text);
    case AF_UNIX:
        return veil_snprintf(buf, n, "unix:");
    default:
        return veil_snprintf(buf, n, "%s", "");
    }
}

size_t
veil_addr_print(const veil_addr_t *a, char *buf, size_t n)
{
    char ip[64];
    size_t len;

    len = veil_addr_print_ip(a, ip, sizeof(ip));
    switch (a->family) {
    case AF_INET:
        return veil_snprintf(buf, n, "%.*s:%u", (int) len, ip, a->port);
    case AF_INET6:
        if (a->scope_id != 0) {
            return veil_snprintf(buf, n, "[%.*s%%%u]:%u", (int) len, ip,
                                 a->scope_id, a->port);
        }
        return veil_snprintf(buf, n, "[%.*s]:%u", (int) len, ip, a->port);
    case AF_UNIX:
        return veil_snprintf(buf, n, "unix:%s",
                             a->u.path == NULL ? "" : a->u.path);
    default:
        return veil_snprintf(buf, n, "%s", "");
    }
}

/* "%2" or "%eth0" behind an IPv6 address; 0: neither. */
static unsigned
inet_scope(veil_str_t s)
{
    char name[IF_NAMESIZE];
    int64_t n = veil_str_to_int(s);

    if (n > 0 && n <= UINT32_MAX) {
        return (unsigned) n;
    }
    if (n >= 0 || s.len == 0 || s.len >= sizeof(name)) {
        return 0;
    }
    veil_str_copy_z(name, sizeof(name), s);
    return if_nametoindex(name);
}

bool
veil_addr_parse_ip(veil_addr_t *a, veil_str_t s)
{
    char text[INET6_ADDRSTRLEN + 1];
    ptrdiff_t percent;

    *a = (veil_addr_t){ .family = 0 };
    if (s.len >= 2 && s.data[0] == '[' && s.data[s.len - 1] == ']') {
        s = veil_str_n(s.data + 1, s.len - 2);
        if (veil_str_chr(s, ':') < 0) {
            return false;
        }
    }
    percent = veil_str_chr(s, '%');
    if (percent >= 0) {
        a->scope_id = inet_scope(veil_str_from(s, (size_t) percent + 1));
        if (a->scope_id == 0) {
            return false;
        }
        s.len = (size_t) percent;
    }
    /* A zero byte inside would hide what follows it from inet_pton(). */
    if (s.len == 0 || s.len >= sizeof(text) || veil_str_chr(s, '\0') >= 0) {
        return false;
    }
    veil_str_copy_z(text, sizeof(text), s);
    if (percent < 0 && inet_pton(AF_INET, text, a->u.ip) == 1) {
        a->family = AF_INET;
        return true;
    }
    if (inet_pton(AF_INET6, text, a->u.ip) == 1) {
        a->family = AF_INET6;
        return true;
    }
    a->scope_id = 0;
    return false;
}

static size_t
inet_ip_len(const veil_addr_t *a)
{
    return a->family == AF_INET ? 4 : 16;
}

bool
veil_addr_eq(const veil_addr_t *a, const veil_addr_t *b)
{
    if (a->family != b->family) {
        return false;
    }
    switch (a->family) {
    case AF_INET:
    case AF_INET6:
        return a->port == b->port && a->scope_id == b->scope_id
               && memcmp(a->u.ip, b->u.ip, inet_ip_len(a)) == 0;
    case AF_UNIX:
        if (a->u.path == NULL || b->u.path == NULL) {
            return a->u.path == b->u.path;
        }
        return strcmp(a->u.path, b->u.path) == 0;
    default:
        return true;
    }
}

bool
veil_addr_is_wildcard(const veil_addr_t *a)
{
    static const unsigned char zeros[16];

    return (a->family == AF_INET || a->family == AF_INET6)
           && memcmp(a->u.ip, zeros, inet_ip_len(a)) == 0;
}

/* --- host:port ------------------------------------------------------------
 */

static bool
inet_port(veil_hostport_t *hp, veil_str_t s)
{
    int64_t n = veil_str_to_int(s);

    if (n < 1 || n > 65535) {
        return false;
    }
    hp->port = (uint16_t) n;
    hp->has_port = true;
    return true;
}

static bool
inet_all_digits(veil_str_t s)
{
    size_t i;

    for (i = 0; i < s.len; i++) {
        if (s.data[i] < '0' || s.data[i] > '9') {
            return false;
        }
    }
    return s.len != 0;
}

bool
veil_hostport_parse(veil_hostport_t *hp, veil_str_t s)
{
    ptrdiff_t end;

    *hp = (veil_hostport_t){ .port = 0 };
    if (veil_str_starts(s, VEIL_STR("unix:"))) {
        hp->is_unix = true;
        hp->path = veil_str_from(s, 5);
        return hp->path.len != 0;
    }
    if (s.len != 0 && s.data[0] == '[') {
        end = veil_str_chr(s, ']');
        if (end < 2) {
            return false;
        }
        hp->host = veil_str_n(s.data + 1, (size_t) end - 1);
        s = veil_str_from(s, (size_t) end + 1);
        if (s.len == 0) {
            return true;
        }
        return s.data[0] == ':' && inet_port(hp, veil_str_from(s, 1));
    }
    if (inet_all_digits(s)) {
        return inet_port(hp, s);
    }
    end = veil_str_chr(s, ':');
    if (end >= 0) {
        if (!inet_port(hp, veil_str_from(s, (size_t) end + 1))) {
            return false;
        }
        s.len = (size_t) end;
    }
    if (veil_str_eq(s, VEIL_STR("*"))) {
        s.len = 0;
        hp->host = s;
        return true;
    }
    hp->host = s;
    return s.len != 0;
}

/* --- CIDR -----------------------------------------------------------------
 */

bool
veil_cidr_parse(veil_cidr_t *c, veil_str_t s)
{
    ptrdiff_t slash = veil_str_chr(s, '/');
    veil_addr_t a;
    int64_t bits;
    unsigned i, max;

    *c = (veil_cidr_t){ .family = 0 };
    if (!veil_addr_parse_ip(&a,
                            slash < 0 ? s : veil_str_n(s.data, (size_t) slash))
        || a.scope_id != 0)
    {
        return false;
    }
    max = a.family == AF_INET ? 32 : 128;
    bits = slash < 0 ? max
                     : veil_str_to_int(veil_str_from(s, (size_t) slash + 1));
    if (bits < 0 || bits > max) {
        return false;
    }
    c->family = a.family;
    c->bits = (unsigned) bits;
    for (i = 0; i < max / 8; i++) {
        if (bits >= 8) {
            c->mask[i] = 0xff;
            bits -= 8;
        } else {
            c->mask[i] = (unsigned char) (0xff00u >> bits);
            bits = 0;
        }
        c->addr[i] = a.u.ip[i] & c->mask[i];
    }
    return true;
}

bool
veil_cidr_match(const veil_cidr_t *c, const veil_addr_t *a)
{
    static const unsigned char mapped[12] = { 0, 0, 0, 0, 0,    0,
                                              0, 0, 0, 0, 0xff, 0xff };
    const unsigned char *ip = a->u.ip;
    size_t i, n = c->family == AF_INET ? 4 : 16;

    if (c->family == AF_INET && a->family == AF_INET6
        && memcmp(ip, mapped, sizeof(mapped)) == 0)
    {
        ip += sizeof(mapped);
    } else if (c->family != a->family || c->family == 0) {
        return false;
    }
    for (i = 0; i < n; i++) {
        if ((ip[i] & c->mask[i]) != c->addr[i]) {
            return false;
        }
    }
    return true;
}
