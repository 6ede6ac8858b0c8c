/*
 * hold.h -- what outlives a generation: sockets and shared memory.
 *
 * The master owns one of these.  A keeper names what its configuration
 * needs; what is there already is handed out again, what is new is made.
 * When the generation is in charge, what only its predecessors named is let
 * go; when it fails, what was made for it is.
 *
 * Sockets of one address are slots: one shared by all workers, or (reuseport)
 * one for each worker.  Slots are never taken away while the address is in
 * use: closing one of them would reset what is queued in it.  The workers
 * share out those that are too many.
 */

#ifndef VEIL_PROCESS_HOLD_H
#define VEIL_PROCESS_HOLD_H

#include "core/list.h"
#include "core/log.h"
#include "event/listen.h"

/* Slots of one address at most. */
#define VEIL_HOLD_SLOTS 1024

/* A listener without pointers: what a keeper asks for. */
typedef struct {
    int type;
    uint16_t family;
    uint16_t port;
    uint32_t scope_id;
    unsigned char ip[16];
    char path[108]; /* unix; zero-terminated */
    int backlog;
    int rcvbuf;
    int sndbuf;
    int fastopen;
    int ipv6only;
    int keepalive;
    int keepidle, keepintvl, keepcnt;
    bool deferred;
    bool reuseport;
    bool cbpf;
    unsigned nslots; /* wanted */
} veil_hold_listen_t;

#define VEIL_HOLD_NAME 128
#define VEIL_HOLD_KEY 512

/* A zone without pointers. */
typedef struct {
    char name[VEIL_HOLD_NAME]; /* zero-terminated */
    char tag[VEIL_HOLD_NAME];  /* the owner's name */
    char key[VEIL_HOLD_KEY];   /* of veil_shm_zone_t; longer ones are cut */
    uint64_t size;
    uint64_t layout; /* core's of its contents, then the owner's */
} veil_hold_zone_t;

typedef struct {
    veil_list_t listens; /* private to hold.c */
    veil_list_t zones;   /* private to hold.c */
} veil_hold_t;

void veil_hold_init(veil_hold_t *hold);

/*
 * The sockets of the address for this generation: made now if they are new,
 * more if there are too few.  *fds and *n are valid until the next call.
 * Returns 0 or -errno; then nothing has changed.
 */
int veil_hold_listen(veil_hold_t *hold, const veil_hold_listen_t *want,
                     uint64_t generation, const int **fds, unsigned *n,
                     const veil_log_t *log);

/*
 * The memory of the zone; fresh: it was never in use.  A zone of this name
 * with another size or layout is another zone.  Returns the descriptor, which
 * stays the hold's, or -errno: -EEXIST when there is one of this name with
 * another owner or key, which veil_hold_zone_find() shows.
 */
int veil_hold_zone(veil_hold_t *hold, const veil_hold_zone_t *want,
                   uint64_t generation, bool *fresh);
/*
 * Whether these would be had, without making anything: 0 or -errno, as of
 * veil_hold_listen() and veil_hold_zone().  Of a zone fresh is set, too.
 */
int veil_hold_try_listen(const veil_hold_t *hold,
                         const veil_hold_listen_t *want,
                         const veil_log_t *log);
int veil_hold_try_zone(const veil_hold_t *hold, const veil_hold_zone_t *want,
                       bool *fresh);
/* The zone in use of this name; NULL: there is none. */
const veil_hold_zone_t *veil_hold_zone_find(const veil_hold_t *hold,
                                            const char *name);

/* The generation is in charge: lets go what it did not name. */
void veil_hold_commit(veil_hold_t *hold, uint64_t generation);
/* The generation failed: lets go what was made for it. */
void veil_hold_abort(veil_hold_t *hold, uint64_t generation);
/*
 * Closes everything and forgets it.  With unlink_paths the files of unix
 * sockets are removed: nobody listens any more.
 */
void veil_hold_done(veil_hold_t *hold, bool unlink_paths);

/* --- two masters with the same ------------------------------------------- */

/* An entry, to look at: everything stays the hold's. */
typedef struct {
    const veil_hold_listen_t *key;
    const int *fds;
    unsigned n;
    unsigned steered; /* as veil_hold_adopt_listen() has it */
} veil_hold_listen_view_t;

typedef struct {
    const veil_hold_zone_t *key;
    int fd;
} veil_hold_zone_view_t;

/* Calls them for each entry. */
typedef void veil_hold_listen_fn(const veil_hold_listen_view_t *v, void *data);
typedef void veil_hold_zone_fn(const veil_hold_zone_view_t *v, void *data);
void veil_hold_each(const veil_hold_t *hold, veil_hold_listen_fn *listen,
                    veil_hold_zone_fn *zone, void *data);

/*
 * Takes over sockets or memory that another master had, which may go on
 * having them.  The first generation that does not name them lets them go.
 * steered: among how many sockets clients are shared out by address; 0: they
 * are not.
 */
void veil_hold_adopt_listen(veil_hold_t *hold, const veil_hold_listen_t *key,
                            const int *fds, unsigned n, unsigned steered);
void veil_hold_adopt_zone(veil_hold_t *hold, const veil_hold_zone_t *key,
                          int fd);

/* Whether both are the same address. */
bool veil_hold_listen_is_same(const veil_hold_listen_t *a,
                              const veil_hold_listen_t *b);
/*
 * Takes over fd, a socket that another master has bound, as slot `at` of its
 * address.  False, and closed: it is not the next one of an address here.
 */
bool veil_hold_add_slot(veil_hold_t *hold, int fd, unsigned at);
/* Whether there are such, which no generation has named since. */
bool veil_hold_has_added(const veil_hold_t *hold);

/*
 * Another master has these addresses too: while that is so, their files are
 * not removed.  Entries that are adopted begin like that.
 */
void veil_hold_share(veil_hold_t *hold, const veil_hold_listen_t *key);
/* Whether this address is shared. */
bool veil_hold_is_shared(const veil_hold_t *hold,
                         const veil_hold_listen_t *key);
/* Closes what is not shared: nobody accepts from it any more. */
void veil_hold_close_unshared(veil_hold_t *hold);
/* The other master is gone. */
void veil_hold_unshare(veil_hold_t *hold);
/* Another master may have changed how clients are steered: as it was. */
void veil_hold_resteer(veil_hold_t *hold, const veil_log_t *log);

/* Between veil_listen_t and its form without pointers. */
void veil_hold_listen_pack(veil_hold_listen_t *to, const veil_listen_t *from);
/* A unix path stays in from, which must outlive to. */
void veil_hold_listen_unpack(veil_listen_t *to,
                             const veil_hold_listen_t *from);

#endif
