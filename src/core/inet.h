/*
 * inet.h -- addresses: parse, print, compare, CIDR.
 *
 * veil_addr_t is small (24 bytes) because every connection has two; the
 * kernel's form is made when a system call needs it.
 */

#ifndef VEIL_CORE_INET_H
#define VEIL_CORE_INET_H

#include <sys/socket.h>

#include "core/str.h"

struct veil_addr_s {
    uint16_t family;   /* AF_INET, AF_INET6, AF_UNIX, 0: none */
    uint16_t port;     /* host order */
    uint32_t scope_id; /* IPv6 */
    union {
        unsigned char ip[16]; /* network order; IPv4 in the first four */
        const char *path;     /* unix; NULL: unnamed; not owned */
    } u;
};

/* Longest text of an address: "unix:" and a path, or [v6%scope]:port. */
#define VEIL_ADDR_TEXT_MAX 120

/* Returns the length for the kernel. */
socklen_t veil_addr_to_sockaddr(const veil_addr_t *a,
                                struct sockaddr_storage *ss);
/* A unix path is not copied: the address becomes unnamed. */
void veil_addr_from_sockaddr(veil_addr_t *a, const struct sockaddr *sa,
                             socklen_t len);

/* "127.0.0.1", "::1", "unix:": without port; returns the length. */
size_t veil_addr_print_ip(const veil_addr_t *a, char *buf, size_t n);
/* "127.0.0.1:80", "[::1]:80", "unix:/path". */
size_t veil_addr_print(const veil_addr_t *a, char *buf, size_t n);

/* "1.2.3.4" or "::1" or "[::1]"; port is left 0.  False when it is none. */
bool veil_addr_parse_ip(veil_addr_t *a, veil_str_t s);
bool veil_addr_eq(const veil_addr_t *a, const veil_addr_t *b);
bool veil_addr_is_wildcard(const veil_addr_t *a);

/*
 * "host:port", "[v6]:port", "unix:/path", "*:80", "80" cut apart; nothing is
 * resolved.  port is 0 when absent.  False when the text is malformed.
 * Paths and hosts are views of s.
 */
typedef struct {
    veil_str_t host; /* without brackets; empty: wildcard */
    veil_str_t path; /* unix */
    uint16_t port;
    bool is_unix;
    bool has_port;
} veil_hostport_t;
bool veil_hostport_parse(veil_hostport_t *hp, veil_str_t s);

typedef struct {
    uint16_t family;
    unsigned char addr[16];
    unsigned char mask[16];
    unsigned bits;
} veil_cidr_t;
/* "10.0.0.0/8", "::1"; bits set below the mask are cleared. */
bool veil_cidr_parse(veil_cidr_t *c, veil_str_t s);
/* IPv4-mapped IPv6 addresses match IPv4 ranges. */
bool veil_cidr_match(const veil_cidr_t *c, const veil_addr_t *a);

#endif
