/*
 * upstream_peer.h -- groups, servers and peers, for balancers.
 *
 * A group is what "upstream {}" or the host of a proxy_pass names.  Its
 * servers are the lines of the configuration, its peers the addresses they
 * stand for at the moment: one for an address, any number for a name, which
 * is looked up again when its answer has aged.
 *
 * What all workers must agree on is a peer's slot in the group's zone.  A
 * slot belongs to (group, server, address), not to a position, so a reload
 * that moves lines keeps failures and counts.
 *
 * A balancer is a module's table (veil_upstream_set_balancer()) with one
 * function that names a peer.
 */

#ifndef VEIL_HTTP_UPSTREAM_PEER_H
#define VEIL_HTTP_UPSTREAM_PEER_H

#include "core/list.h"
#include "core/lock.h"
#include "core/shm.h"
#include "event/resolver.h"
#include "http/upstream/upstream.h"

/* The name of a slot: "group/server/address", cut if longer. */
#define VEIL_UPSTREAM_KEY_MAX 104

/* The state of a peer that all workers share; plain atomics but for weights.
 */
typedef struct {
    uint64_t hash;       /* of key; 0: free */
    int64_t used_sec;    /* when a worker last looked it up: for reuse */
    uint64_t checked_ms; /* the last try after it had failed too often */
    uint64_t failed_ms;  /* the last failure */
    uint32_t fails;
    uint32_t conns;           /* exchanges under way */
    int32_t effective_weight; /* under the zone's lock */
    int32_t current_weight;
    uint64_t requests;
    char key[VEIL_UPSTREAM_KEY_MAX];
} veil_upstream_slot_t;

/* "http://" or "https://" of a "server" line. */
typedef enum {
    VEIL_SCHEME_OF_URL, /* none: that of proxy_pass */
    VEIL_SCHEME_HTTP,
    VEIL_SCHEME_HTTPS
} veil_upstream_scheme_t;

/* One "server" line of upstream {}, or the host of a proxy_pass. */
struct veil_upstream_server_s {
    veil_upstream_group_t *group;
    veil_str_t name; /* as written */
    veil_str_t host;
    uint16_t port;
    bool is_unix;
    bool is_name; /* looked up again when its answer has aged */
    int64_t weight;
    int64_t max_conns;     /* 0: any number */
    int64_t max_fails;     /* 0: never taken for failed */
    uint64_t fail_timeout; /* ms */
    bool backup;
    bool down;
    veil_upstream_scheme_t scheme;
    veil_str_t sni;      /* name to ask for and to verify; empty: another's */
    veil_array_t *addrs; /* of veil_addr_t: known when read; NULL: none */
    const veil_conf_node_t *node;
    /* The worker's. */
    veil_resolve_t query;
    veil_timer_t timer; /* of the next look-up */
    uint64_t retry_ms;  /* between attempts while there is no answer */
    int resolve_err;    /* of the last look-up */
};

/* An address of a server, in this worker. */
struct veil_upstream_peer_s {
    uint32_t magic;
    uint32_t refs;  /* the group's, and one of each connection */
    unsigned index; /* in its set, for the marks of what was tried */
    veil_upstream_server_t *server;
    veil_upstream_slot_t *slot;
    veil_addr_t addr;
    veil_str_t name; /* "127.0.0.1:80" */
    int64_t weight;
    veil_list_t idle; /* of veil_upstream_conn_t by peer_link, newest first */
    veil_list_t shared; /* the same, by shared */
    bool gone;          /* the name has lost this address */
};

#define VEIL_UPSTREAM_PEER_MAGIC 0x50454552u

/* Peers that are chosen among: the primary ones, or the backups. */
typedef struct {
    veil_upstream_peer_t **peers;
    unsigned n;
    bool weighted; /* not all weights are equal */
    void *data;    /* the balancer's, made by its update() */
} veil_upstream_set_t;

struct veil_upstream_group_s {
    veil_str_t name; /* "backend", "127.0.0.1:8080" */
    const veil_conf_node_t *node;
    veil_array_t servers;                     /* of veil_upstream_server_t * */
    const veil_upstream_balancer_t *balancer; /* NULL: round robin */
    void *balancer_conf;
    veil_shm_zone_t *zone;
    const veil_resolver_options_t *resolver; /* NULL: the system's */
    uint64_t resolver_timeout; /* ms; 0, while reading: that of http {} */
    int64_t keepalive;         /* idle connections; of a defined group only */
    int64_t keepalive_requests;
    uint64_t keepalive_timeout;
    uint64_t keepalive_time;
    uint16_t default_port; /* of an URL without a port; 0: it has one */
    bool defined;          /* by upstream {} */
    bool dynamic;          /* made at run time */
    /* The worker's. */
    veil_upstream_set_t sets[2]; /* primary, backup */
    bool started;
    veil_list_t idle; /* of veil_upstream_conn_t by group_link, newest first */
    unsigned nidle;
    veil_list_t waiting; /* exchanges that wait for a first answer */
    unsigned users;      /* exchanges: a dynamic group in use is kept */
    uint64_t used_ms;
    veil_pool_t *pool; /* the configuration's; of a dynamic one its own */
    veil_list_t link;  /* of all dynamic ones */
};

struct veil_upstream_balancer_s {
    const char *name; /* the directive's */
    /*
     * The set's peers have changed, or are there for the first time: make
     * set->data anew (heap; free the former one).  May be NULL.
     */
    void (*update)(veil_upstream_group_t *g, veil_upstream_set_t *set);
    /*
     * A peer of the set for which veil_upstream_peer_can() holds; NULL: none.
     * The caller counts it.
     */
    veil_upstream_peer_t *(*pick)(veil_exchange_t *x,
                                  const veil_upstream_set_t *set);
};

/*
 * Whether this exchange may use the peer now: not down, not tried yet, not
 * failed too often lately, not at its limit of connections.
 */
bool veil_upstream_peer_can(const veil_exchange_t *x,
                            const veil_upstream_set_t *set,
                            const veil_upstream_peer_t *p);
/* Smooth weighted round robin, the default and everyone's fall-back. */
veil_upstream_peer_t *
veil_upstream_round_robin(veil_exchange_t *x, const veil_upstream_set_t *set);

/* For directives of upstream {}: the group being read. */
veil_upstream_group_t *veil_upstream_group_of(const veil_conf_t *cf);

/* --- for the module that has the directives -------------------------------*/

/* A group that upstream {} defines; NULL after reporting a duplicate. */
veil_upstream_group_t *veil_upstream_group_define(veil_conf_t *cf,
                                                  veil_str_t name);
/*
 * A server of the group, with nginx's defaults; "host", "host:port",
 * "unix:/path".  A name is looked up now; if that fails there is a warning,
 * and the worker tries again.  NULL after reporting.
 */
veil_upstream_server_t *veil_upstream_server_add(veil_conf_t *cf,
                                                 veil_upstream_group_t *g,
                                                 veil_str_t text,
                                                 uint16_t default_port);
/* The group being read is balanced by this; one only. */
veil_rc_t veil_upstream_set_balancer(veil_conf_t *cf,
                                     const veil_upstream_balancer_t *b,
                                     void *conf);
/* "zone NAME SIZE" of the group. */
veil_rc_t veil_upstream_zone_add(veil_conf_t *cf, veil_upstream_group_t *g,
                                 veil_str_t name, size_t size);
/* $upstream_... */
extern const veil_http_var_def_t veil_upstream_variables[];
/* When everything is read: zones for groups without one; cross-checks. */
veil_rc_t veil_upstream_check(veil_conf_t *cf);
/* Worker: names are looked up from here on; all that is idle is closed. */
veil_rc_t veil_upstream_init_worker(veil_cycle_t *cycle);
void veil_upstream_exit_worker(veil_cycle_t *cycle);

#endif
