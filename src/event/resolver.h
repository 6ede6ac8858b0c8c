/*
 * resolver.h -- names to addresses without blocking the loop.
 *
 * Two sources behind one call: "resolver ADDR ... [valid=T] [ipv4=off]
 * [ipv6=off]" asks those servers over UDP (TCP when truncated) and honours
 * TTLs; without the directive getaddrinfo() runs on an offload thread and
 * answers are kept for a fixed time.  dns.c is the message codec, sans I/O.
 * Queries for one name are joined; answers, also negative ones, are cached.
 */

#ifndef VEIL_EVENT_RESOLVER_H
#define VEIL_EVENT_RESOLVER_H

#include "core/array.h"
#include "core/inet.h"
#include "event/loop.h"

typedef struct veil_resolver_s veil_resolver_t;
typedef struct veil_resolve_s veil_resolve_t;

/* As configured; plain data in the configuration's pool. */
typedef struct {
    veil_array_t *servers; /* of veil_addr_t; NULL: the system's resolver */
    uint64_t valid_ms;     /* 0: the answer's TTL */
    uint64_t timeout_ms;   /* of a whole look-up; 0: 30 s */
    bool ipv4;
    bool ipv6;
} veil_resolver_options_t;

/*
 * The one of this loop for these options (made on first use); equal options
 * share one.  What they point to must outlive the loop.
 */
veil_resolver_t *veil_resolver_get(veil_loop_t *loop,
                                   const veil_resolver_options_t *o);

typedef void veil_resolve_fn(veil_resolve_t *q);

struct veil_resolve_s {
    /* Filled in by the caller, the rest zeroed; the name is copied. */
    veil_str_t name;
    veil_pool_t *pool; /* the query lives here; pinned meanwhile.  Or NULL */
    const veil_log_t *log; /* stays valid until the answer */
    veil_resolve_fn *done;
    /* The answer: 0 or one of VEIL_RESOLVE_...; port is 0 in addrs. */
    int err;
    const veil_addr_t *addrs; /* valid during done() only */
    unsigned naddrs;
    uint64_t ttl_ms;
    /* private to resolver.c */
    veil_list_t link;
    veil_pin_t pin;
    void *entry; /* NULL: not under way */
};

#define VEIL_RESOLVE_NXDOMAIN 1
#define VEIL_RESOLVE_TIMEOUT 2
#define VEIL_RESOLVE_FAILED 3 /* refused, server failure, malformed */
#define VEIL_RESOLVE_NODATA 4

const char *veil_resolve_strerror(int err);

/*
 * done() comes from the loop, also when the answer is cached or the name is
 * an address; IPv4 comes first.
 */
void veil_resolve(veil_resolver_t *r, veil_resolve_t *q);
/* What is known of the name is too old: the next one asks. */
void veil_resolver_forget(veil_resolver_t *r, veil_str_t name);
/* done() will not be called any more.  Harmless when it was. */
void veil_resolve_cancel(veil_resolve_t *q);

/*
 * Ends what is under way without calling done(), frees resolvers and caches:
 * worker exit.  Sockets are closed by the loop's next turn.
 */
void veil_resolvers_stop(veil_loop_t *loop);

#endif
