/*
 * dns.h -- DNS messages (RFC 1035, RFC 3596), and asking one server.
 *
 * The codec works on bytes only: it makes a question and reads the answer to
 * it.  It trusts nothing: names are expanded with compression pointers that
 * may only point backwards, and every length is checked.
 */

#ifndef VEIL_EVENT_DNS_H
#define VEIL_EVENT_DNS_H

#include "core/inet.h"
#include "event/loop.h"

#define VEIL_DNS_A 1
#define VEIL_DNS_CNAME 5
#define VEIL_DNS_SOA 6
#define VEIL_DNS_AAAA 28

/* Response codes (RFC 1035, 4.1.1). */
#define VEIL_DNS_OK 0
#define VEIL_DNS_FORMERR 1
#define VEIL_DNS_SERVFAIL 2
#define VEIL_DNS_NXDOMAIN 3
#define VEIL_DNS_NOTIMP 4
#define VEIL_DNS_REFUSED 5

/* Addresses of one answer that are used; others are passed over. */
#define VEIL_DNS_ADDRS 64
/* A question: head, name, type, class. */
#define VEIL_DNS_QUERY_MAX (12 + 255 + 4)
/* Links of a chain of CNAMEs that are followed. */
#define VEIL_DNS_CNAMES 16

/* A name as in a message: labels with their lengths, the root's 0 at the end.
 */
typedef struct {
    unsigned char data[255];
    unsigned len;
} veil_dns_name_t;

typedef struct {
    unsigned rcode;
    bool is_truncated;    /* ask over TCP; nothing else is filled in */
    bool has_ttl;         /* ttl is from a record: an address's, or the SOA */
    uint32_t ttl;         /* seconds; the smallest of the records used */
    veil_dns_name_t name; /* the end of the chain of CNAMEs */
    bool is_alias;        /* there was a chain */
    bool has_soa;         /* the server says there is no more to it */
    veil_addr_t addrs[VEIL_DNS_ADDRS];
    unsigned naddrs;
} veil_dns_answer_t;

/* "www.example.com", with or without a dot at the end; false: no name. */
bool veil_dns_name_parse(veil_dns_name_t *name, veil_str_t text);
/* Case does not matter. */
bool veil_dns_name_eq(const veil_dns_name_t *a, const veil_dns_name_t *b);

/* Writes at most VEIL_DNS_QUERY_MAX bytes; returns how many. */
size_t veil_dns_query(unsigned char *buf, uint16_t id,
                      const veil_dns_name_t *name, unsigned type);

typedef enum {
    VEIL_DNS_READ,      /* the answer is filled in */
    VEIL_DNS_MALFORMED, /* an answer to this question, but broken */
    VEIL_DNS_NOT_OURS   /* not an answer to this question: wait on */
} veil_dns_rc_t;

veil_dns_rc_t veil_dns_parse(const unsigned char *msg, size_t n, uint16_t id,
                             const veil_dns_name_t *name, unsigned type,
                             veil_dns_answer_t *answer);

/*
 * One question to one server: over UDP from a port of its own, over TCP when
 * the answer is truncated.  done() is called once, by the loop, and frees
 * the ask afterwards: err 0 and the answer, valid during the call, or
 * -errno, -ETIMEDOUT after timeout_ms, -EBADMSG for a malformed one.
 */
typedef struct veil_dns_ask_s veil_dns_ask_t;
typedef void veil_dns_ask_fn(void *data, int err,
                             const veil_dns_answer_t *answer);
veil_dns_ask_t *veil_dns_ask(veil_loop_t *loop, const veil_addr_t *server,
                             const veil_dns_name_t *name, unsigned type,
                             uint64_t timeout_ms, veil_dns_ask_fn *done,
                             void *data);
/* done() will not be called. */
void veil_dns_ask_cancel(veil_dns_ask_t *ask);

#endif
