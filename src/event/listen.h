/*
 * listen.h -- listening sockets.
 *
 * The configuration declares what to listen on (veil_listen_t in
 * cycle->listens, one for each address, merged over server blocks by the
 * layer above).  Sockets are bound once by whoever holds them (the master, or
 * the single process), in fixed slots: with reuseport one for each worker,
 * else one shared by all.  A worker opens an acceptor on its slot.
 */

#ifndef VEIL_EVENT_LISTEN_H
#define VEIL_EVENT_LISTEN_H

#include "core/cycle.h"
#include "core/inet.h"
#include "event/loop.h"

typedef struct veil_listen_s veil_listen_t;
typedef struct veil_acceptor_s veil_acceptor_t;

/* A new connection: the descriptor belongs to the callee. */
typedef void veil_accept_fn(veil_acceptor_t *a, int fd,
                            const veil_addr_t *peer);

struct veil_listen_s {
    veil_list_t link; /* in cycle->listens */
    veil_addr_t addr;
    int type; /* SOCK_STREAM, SOCK_DGRAM */
    int backlog;
    int rcvbuf; /* 0: the system's; the same for those below */
    int sndbuf;
    int fastopen;
    int ipv6only;                     /* -1: the default (on) */
    int keepalive;                    /* -1 default, 0 off, 1 on */
    int keepidle, keepintvl, keepcnt; /* seconds; 0: the system's */
    bool deferred;
    bool reuseport;
    bool cbpf; /* steer by the client's address */
    unsigned nslots;
    int *fds;               /* by slot; -1 before binding; cycle's pool */
    veil_accept_fn *accept; /* the layer's */
    void *data;
    const veil_conf_node_t *node; /* for messages */
};

/* Address and type equal, so the same sockets serve both. */
bool veil_listen_is_same(const veil_listen_t *a, const veil_listen_t *b);

/*
 * Binds and listens on slot i.  Retries EADDRINUSE for at most 500 ms.
 * Returns the descriptor or -errno; a stale unix socket that nobody answers
 * on is removed first.
 */
int veil_listen_bind(const veil_listen_t *l, const veil_log_t *log);
/*
 * Whether that would work: nobody listens meanwhile, and no file is made or
 * removed.  0, or -errno after logging it in the same words.
 */
int veil_listen_try(const veil_listen_t *l, const veil_log_t *log);
/* Applies what may change on a socket that is already bound. */
void veil_listen_configure(const veil_listen_t *l, int fd,
                           const veil_log_t *log);
/* Attaches the steering program for n sockets; 0 or -errno. */
int veil_listen_steer(int fd, unsigned n);
/* The kernel's own choice again, for the group of fd; 0 or -errno. */
int veil_listen_unsteer(int fd);

/* A worker's end of one slot. */
struct veil_acceptor_s {
    veil_handle_t handle;
    veil_op_t accept;
    veil_listen_t *listen;
    veil_timer_t retry; /* after EMFILE and the like */
    bool paused;        /* too many connections */
    bool stopped;
    veil_list_t link; /* in the worker's list */
    const veil_log_t *log;
};

/* Starts accepting on the descriptor of the slot (duplicated). */
veil_acceptor_t *veil_acceptor_open(veil_loop_t *loop, veil_listen_t *l,
                                    unsigned slot, const veil_log_t *log);
void veil_acceptor_pause(veil_acceptor_t *a);
void veil_acceptor_resume(veil_acceptor_t *a);
/* For good: connections that still arrive are served. */
void veil_acceptor_stop(veil_acceptor_t *a);

/*
 * Counts connections of the worker against worker_connections: acceptors
 * pause at 7/8 and go on below.
 */
void veil_acceptors_limit(unsigned worker_connections);
void veil_acceptors_count(int delta);
unsigned veil_acceptors_connections(void);
/*
 * Acceptors that may still deliver a client: those that were opened and not
 * stopped, and those whose last completion is on its way.
 */
unsigned veil_acceptors_open(void);
void veil_acceptors_stop_all(void);
/*
 * Takes the clients that wait on the sockets of all acceptors that are
 * neither paused nor stopped: whoever was woken for them may not come.
 */
void veil_acceptors_look(void);

#endif
