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

/* The name of an entry: "group/server/address", cut if longer. */
#define VEIL_UPSTREAM_KEY_MAX 104
/* Why a peer failed last. */
#define VEIL_UPSTREAM_ERROR_MAX 120
/* Texts of a server that was changed: name, sni= and addr= together. */
#define VEIL_UPSTREAM_TEXT_MAX 215

/* What an operator wants of a server. */
typedef enum {
    VEIL_UPSTREAM_READY,
    /* No new sessions; see veil_upstream_peer_keeps(). */
    VEIL_UPSTREAM_DRAIN,
    VEIL_UPSTREAM_DOWN /* asked nothing */
} veil_upstream_admin_t;

/* Parameters of a "server" line. */
typedef struct {
    int64_t max_conns;     /* 0: any number */
    int64_t max_fails;     /* 0: never taken for failed */
    uint64_t fail_timeout; /* ms */
    int32_t weight;
    uint16_t admin; /* veil_upstream_admin_t; "down" */
    uint16_t backup;
} veil_upstream_params_t;

#define VEIL_UPSTREAM_WEIGHT_MAX 65535

#define VEIL_UPSTREAM_HAS_ADMIN 0x01u
#define VEIL_UPSTREAM_HAS_WEIGHT 0x02u
#define VEIL_UPSTREAM_HAS_MAX_CONNS 0x04u
#define VEIL_UPSTREAM_HAS_MAX_FAILS 0x08u
#define VEIL_UPSTREAM_HAS_FAIL_TIMEOUT 0x10u
#define VEIL_UPSTREAM_HAS_BACKUP 0x20u
/* Of a server only, and not in the params. */
#define VEIL_UPSTREAM_HAS_ADDR 0x40u

/*
 * Parameters that were changed at run time.  One holds as long as the
 * configuration says for it what it said then: so a reload of the same text
 * undoes nothing, and whoever edits the line has the last word.
 */
typedef struct {
    uint32_t set; /* VEIL_UPSTREAM_HAS_... */
    veil_upstream_params_t value;
    veil_upstream_params_t base; /* the configuration's, then */
} veil_upstream_change_t;

typedef enum {
    VEIL_UPSTREAM_FREE,
    VEIL_UPSTREAM_PEER,  /* an address of a server */
    VEIL_UPSTREAM_SERVER /* a server that was changed at run time */
} veil_upstream_kind_t;

/*
 * An entry of a zone: the state of a peer that all workers share, or what
 * was changed of a server.  Plain atomics but for what is said to be under
 * the zone's lock.  What each request touches is in the first 64 bytes.
 */
typedef struct {
    uint64_t hash;       /* of the whole key */
    uint64_t checked_ms; /* the last try after it had failed too often */
    uint64_t failed_ms;  /* the last failure */
    uint32_t fails;
    uint32_t conns;           /* exchanges under way */
    int32_t effective_weight; /* under the zone's lock */
    int32_t current_weight;
    uint64_t requests;
    uint64_t server;   /* the hash of its server's key */
    uint32_t head_avg; /* average time to a response's head; ms * 256 */
    uint16_t status;   /* of the last response; 0: none */
    uint8_t kind;      /* veil_upstream_kind_t, under the lock */
    uint8_t flags;     /* VEIL_UPSTREAM_IS_..., of a server, likewise */
    /* From here on under the lock, but for counts. */
    int64_t used_sec; /* when a worker last said it has it: for reuse */
    uint64_t group;   /* the hash of its group's key */
    uint64_t failures;
    veil_upstream_change_t change;
    char key[VEIL_UPSTREAM_KEY_MAX];
    union {
        struct {
            int64_t error_sec; /* 0: never */
            char error[VEIL_UPSTREAM_ERROR_MAX];
        } peer;
        struct {
            veil_upstream_params_t conf; /* an added one's; a deleted one's */
            uint8_t scheme;              /* veil_upstream_scheme_t */
            char text[VEIL_UPSTREAM_TEXT_MAX]; /* name \0 sni \0 addr \0 */
        } server;
    } u;
} veil_upstream_slot_t;

static inline uint32_t
veil_upstream_slot_conns(const veil_upstream_slot_t *slot)
{
    int32_t n = (int32_t) __atomic_load_n(&slot->conns, __ATOMIC_RELAXED);

    /* A worker that was killed may have been counted once too often. */
    return n < 0 ? 0 : (uint32_t) n;
}

#define VEIL_UPSTREAM_IS_ADDED 0x01u
#define VEIL_UPSTREAM_IS_DELETED 0x02u

/* "http://" or "https://" of a "server" line. */
typedef enum {
    VEIL_SCHEME_OF_URL, /* none: that of proxy_pass */
    VEIL_SCHEME_HTTP,
    VEIL_SCHEME_HTTPS
} veil_upstream_scheme_t;

/* One "server" line of upstream {}, or the host of a proxy_pass. */
struct veil_upstream_server_s {
    veil_upstream_group_t *group;
    veil_pool_t *pool; /* the group's; of an added one its own */
    unsigned order;    /* in the group; added ones come last */
    veil_str_t name;   /* as written */
    veil_str_t host;
    uint16_t port;
    bool is_unix;
    bool is_name;                /* looked up again when its answer has aged */
    veil_upstream_params_t conf; /* of its line, or as it was added */
    veil_upstream_scheme_t scheme;
    veil_str_t sni;      /* name to ask for and to verify; empty: another's */
    veil_array_t *addrs; /* of veil_addr_t: known when read; NULL: none */
    const veil_conf_node_t *node;
    /* The worker's. */
    veil_upstream_params_t now;    /* conf with what was changed */
    veil_upstream_change_t change; /* what the zone says of it */
    veil_addr_t moved;             /* addr=; family 0: where it says itself */
    bool deleted;
    bool added;           /* at run time, in this worker */
    uint32_t refs;        /* the group's, and one of each peer */
    uint64_t resolved_ms; /* the last answer; 0: none yet */
    uint64_t ttl_ms;      /* of that answer */
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
    uint32_t *mine; /* exchanges of this worker */
    veil_addr_t addr;
    veil_str_t name; /* "127.0.0.1:80" */
    /* Of the server and of this address, with what was changed. */
    int64_t weight;
    int64_t max_conns;
    int64_t max_fails;
    uint64_t fail_timeout;
    uint16_t admin;
    veil_list_t idle; /* of veil_upstream_conn_t by peer_link, newest first */
    veil_list_t shared; /* the same, by shared */
    bool gone;          /* the name has lost this address */
};

#define VEIL_UPSTREAM_PEER_MAGIC 0x50454552u

/* The same in all workers and generations, and never 0. */
static inline uint64_t
veil_upstream_peer_id(const veil_upstream_peer_t *p)
{
    return p->slot->hash;
}

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
    unsigned norder;                          /* servers there ever were */
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
    const uint32_t *version;     /* goes up when the zone says other things */
    uint32_t seen;               /* its version when peers were made so */
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
 * Whether this exchange may use the peer now: ready, not tried yet, not
 * failed too often lately, not at its limit of connections.
 */
bool veil_upstream_peer_can(const veil_exchange_t *x,
                            const veil_upstream_set_t *set,
                            const veil_upstream_peer_t *p);
/*
 * The same for a peer that is drained: methods that keep a client with its
 * server go on with those whose connection it has served before.
 */
bool veil_upstream_peer_keeps(const veil_exchange_t *x,
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
/* nginx's. */
void veil_upstream_params_default(veil_upstream_params_t *params);
/*
 * A server that was added at run time, in a worker; it is not looked up yet.
 * NULL: malformed.
 */
veil_upstream_server_t *veil_upstream_server_new(veil_upstream_group_t *g,
                                                 veil_str_t text,
                                                 uint16_t default_port);
/* "host", "host:port", "unix:/path", of lengths that can be connected to. */
bool veil_upstream_server_name_is_valid(veil_str_t text, veil_hostport_t *hp);
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
