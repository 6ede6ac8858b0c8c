/*
 * hold.c -- what outlives a generation: sockets and shared memory.
 *
 * Each entry remembers the generation it was made for and the last one that
 * named it.  Commit and abort are then one comparison each, whatever
 * happened in between; a generation needs no list of its own.
 *
 * A socket that was bound alone can be joined by others later: SO_REUSEPORT
 * is set on it first, as the kernel asks both sides for it.  The other way
 * round, and with fewer workers than before, surplus sockets stay open; see
 * hold.h.
 *
 * Memory is a memfd: it lives as long as somebody maps it, so letting go of
 * a zone harms no worker that still uses it.
 */

#include "core/platform.h"

#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>

#include "core/pool.h"
#include "process/hold.h"

typedef struct {
    veil_list_t link;
    veil_hold_listen_t key;
    uint64_t made_for;
    uint64_t named_by;
    uint64_t grown_for; /* the generation that wanted more slots */
    unsigned n;
    unsigned before;  /* slots there were before it */
    unsigned added;   /* slots by another master, not named yet */
    unsigned steered; /* among how many by client address; 0: the kernel's */
    bool unsure;      /* of steered: another master may have changed it */
    bool shared;      /* with another master: its file stays */
    int *fds;
} hold_listen_t;

typedef struct {
    veil_list_t link;
    veil_hold_zone_t key;
    uint64_t made_for;
    uint64_t named_by;
    bool used; /* some generation that names it was in charge */
    int fd;
} hold_zone_t;

_Static_assert(offsetof(hold_zone_t, link) == 0,
               "a zone's link is its beginning");

void
veil_hold_init(veil_hold_t *hold)
{
    veil_list_init(&hold->listens);
    veil_list_init(&hold->zones);
}

/* What is the same in both forms of a listener. */
#define HOLD_LISTEN_FIELDS(X)                                                 \
    X(type)                                                                   \
    X(backlog)                                                                \
    X(rcvbuf)                                                                 \
    X(sndbuf)                                                                 \
    X(fastopen)                                                               \
    X(ipv6only)                                                               \
    X(keepalive)                                                              \
    X(keepidle)                                                               \
    X(keepintvl)                                                              \
    X(keepcnt)                                                                \
    X(deferred)                                                               \
    X(reuseport)                                                              \
    X(cbpf)                                                                   \
    X(nslots)
#define HOLD_COPY_FIELD(field) to->field = from->field;

void
veil_hold_listen_pack(veil_hold_listen_t *to, const veil_listen_t *from)
{
    memset(to, 0, sizeof(*to));
    to->family = from->addr.family;
    to->port = from->addr.port;
    to->scope_id = from->addr.scope_id;
    if (from->addr.family == AF_UNIX) {
        veil_str_copy_z(to->path, sizeof(to->path),
                        veil_str_z(from->addr.u.path));
    } else {
        memcpy(to->ip, from->addr.u.ip, sizeof(to->ip));
    }
    HOLD_LISTEN_FIELDS(HOLD_COPY_FIELD)
}

void
veil_hold_listen_unpack(veil_listen_t *to, const veil_hold_listen_t *from)
{
    memset(to, 0, sizeof(*to));
    veil_list_init(&to->link);
    to->addr.family = from->family;
    to->addr.port = from->port;
    to->addr.scope_id = from->scope_id;
    if (from->family == AF_UNIX) {
        to->addr.u.path = from->path;
    } else {
        memcpy(to->addr.u.ip, from->ip, sizeof(from->ip));
    }
    HOLD_LISTEN_FIELDS(HOLD_COPY_FIELD)
}

bool
veil_hold_listen_is_same(const veil_hold_listen_t *a,
                         const veil_hold_listen_t *b)
{
    veil_listen_t la;
    veil_listen_t lb;

    veil_hold_listen_unpack(&la, a);
    veil_hold_listen_unpack(&lb, b);
    return veil_listen_is_same(&la, &lb);
}

static void
hold_listen_close(hold_listen_t *held, bool unlink_path)
{
    unsigned i;

    for (i = 0; i < held->n; i++) {
        close(held->fds[i]);
    }
    if (unlink_path && !held->shared && held->key.family == AF_UNIX) {
        /* Whoever removed it before us did our work. */
        (void) unlink(held->key.path);
    }
    veil_list_remove(&held->link);
    veil_free(held->fds);
    veil_free(held);
}

static hold_listen_t *
hold_listen_find(const veil_hold_t *hold, const veil_hold_listen_t *want)
{
    hold_listen_t *held;
    veil_list_t *n;

    veil_list_foreach (n, &hold->listens) {
        held = veil_list_entry(n, hold_listen_t, link);
        if (veil_hold_listen_is_same(&held->key, want)) {
            return held;
        }
    }
    return NULL;
}

/* Binds until there are want->nslots; 0 or -errno, then as it was before. */
static int
hold_listen_grow(hold_listen_t *held, const veil_hold_listen_t *want,
                 uint64_t generation, const veil_log_t *log)
{
    unsigned before = held->n;
    veil_listen_t l;
    int on = 1;
    unsigned i;
    int fd;

    if (want->nslots <= held->n) {
        return 0;
    }
    veil_hold_listen_unpack(&l, want);
    held->fds = veil_realloc(held->fds, want->nslots * sizeof(int));

    if (want->nslots > 1) {
        for (i = 0; i < before; i++) {
            if (setsockopt(held->fds[i], SOL_SOCKET, SO_REUSEPORT, &on,
                           sizeof(on))
                != 0) {
                return -errno;
            }
        }
    }
    while (held->n < want->nslots) {
        fd = veil_listen_bind(&l, log);
        if (fd < 0) {
            while (held->n > before) {
                close(held->fds[--held->n]);
            }
            return fd;
        }
        held->fds[held->n++] = fd;
    }
    held->grown_for = generation;
    held->before = before;
    return 0;
}

/* Steers by client address among all slots, or no more. */
static void
hold_listen_steer(hold_listen_t *held, bool on, const veil_log_t *log)
{
    unsigned n = on ? held->n : 0;
    bool unsure = held->unsure;
    int rc;

    if (n == held->steered && !unsure) {
        return;
    }
    held->unsure = false;
    rc = n != 0 ? veil_listen_steer(held->fds[0], n)
                : veil_listen_unsteer(held->fds[0]);
    if (rc == 0 || (n == 0 && unsure)) {
        /* There was perhaps nothing to take away. */
        held->steered = n;
    } else if (log != NULL) {
        veil_log(log, VEIL_LOG_WARN, -rc,
                 n != 0 ? "steering connections by client address failed, "
                          "the kernel spreads them"
                        : "connections are still steered by client address");
    }
}

int
veil_hold_listen(veil_hold_t *hold, const veil_hold_listen_t *want,
                 uint64_t generation, const int **fds, unsigned *n,
                 const veil_log_t *log)
{
    hold_listen_t *held;
    int rc;

    if (want->nslots == 0 || want->nslots > VEIL_HOLD_SLOTS) {
        return -EINVAL;
    }
    held = hold_listen_find(hold, want);

    if (held == NULL) {
        held = veil_zalloc(sizeof(*held));
        held->key = *want;
        held->made_for = generation;
        veil_list_append(&hold->listens, &held->link);
    }
    rc = hold_listen_grow(held, want, generation, log);
    if (rc < 0) {
        if (held->n == 0) {
            hold_listen_close(held, false);
        }
        return rc;
    }
    hold_listen_steer(held, want->cbpf, log);
    held->named_by = generation;
    held->added = 0;
    *fds = held->fds;
    *n = held->n;
    return 0;
}

int
veil_hold_try_listen(const veil_hold_t *hold, const veil_hold_listen_t *want,
                     const veil_log_t *log)
{
    veil_listen_t l;

    /* More slots of an address that is served join those there are. */
    if (hold_listen_find(hold, want) != NULL) {
        return 0;
    }
    veil_hold_listen_unpack(&l, want);
    return veil_listen_try(&l, log);
}

static void
hold_zone_close(hold_zone_t *held)
{
    close(held->fd);
    veil_list_remove(&held->link);
    veil_free(held);
}

const veil_hold_zone_t *
veil_hold_zone_find(const veil_hold_t *hold, const char *name)
{
    const hold_zone_t *held;
    const veil_list_t *n;

    veil_list_foreach (n, &hold->zones) {
        held = (const hold_zone_t *) (const void *) n;
        if (strcmp(held->key.name, name) == 0) {
            return &held->key;
        }
    }
    return NULL;
}

/* The zone that this one is; NULL: none.  *rc: -EEXIST, or 0. */
static hold_zone_t *
hold_zone_same(const veil_hold_t *hold, const veil_hold_zone_t *want, int *rc)
{
    hold_zone_t *held;
    veil_list_t *n;

    *rc = 0;
    veil_list_foreach (n, &hold->zones) {
        held = veil_list_entry(n, hold_zone_t, link);
        if (strcmp(held->key.name, want->name) != 0) {
            continue;
        }
        if (strcmp(held->key.tag, want->tag) != 0
            || strcmp(held->key.key, want->key) != 0)
        {
            *rc = -EEXIST;
            return NULL;
        }
        if (held->key.size == want->size && held->key.layout == want->layout) {
            return held;
        }
    }
    return NULL;
}

int
veil_hold_try_zone(const veil_hold_t *hold, const veil_hold_zone_t *want,
                   bool *fresh)
{
    const hold_zone_t *held;
    int rc;

    held = hold_zone_same(hold, want, &rc);
    *fresh = held == NULL || !held->used;
    return rc;
}

int
veil_hold_zone(veil_hold_t *hold, const veil_hold_zone_t *want,
               uint64_t generation, bool *fresh)
{
    hold_zone_t *held;
    int fd;

    held = hold_zone_same(hold, want, &fd);
    if (fd < 0) {
        return fd;
    }
    if (held != NULL) {
        held->named_by = generation;
        *fresh = !held->used;
        return held->fd;
    }

    fd = memfd_create(want->name, MFD_CLOEXEC);
    if (fd < 0) {
        return -errno;
    }
    if (ftruncate(fd, (off_t) want->size) != 0) {
        int err = errno;

        close(fd);
        return -err;
    }
    held = veil_zalloc(sizeof(*held));
    held->key = *want;
    held->made_for = generation;
    held->named_by = generation;
    held->fd = fd;
    veil_list_append(&hold->zones, &held->link);
    *fresh = true;
    return fd;
}

void
veil_hold_commit(veil_hold_t *hold, uint64_t generation)
{
    hold_listen_t *listen;
    hold_zone_t *zone;
    veil_list_t *n;
    veil_list_t *tmp;

    veil_list_foreach_safe (n, tmp, &hold->listens) {
        listen = veil_list_entry(n, hold_listen_t, link);
        if (listen->named_by < generation) {
            hold_listen_close(listen, true);
        }
    }
    veil_list_foreach_safe (n, tmp, &hold->zones) {
        zone = veil_list_entry(n, hold_zone_t, link);
        if (zone->named_by < generation) {
            hold_zone_close(zone);
        } else {
            zone->used = true;
        }
    }
}

void
veil_hold_abort(veil_hold_t *hold, uint64_t generation)
{
    hold_listen_t *listen;
    hold_zone_t *zone;
    veil_list_t *n;
    veil_list_t *tmp;

    veil_list_foreach_safe (n, tmp, &hold->listens) {
        listen = veil_list_entry(n, hold_listen_t, link);
        if (listen->made_for == generation) {
            hold_listen_close(listen, true);
        } else if (listen->grown_for == generation) {
            /* The generation that goes on does not know of these. */
            while (listen->n > listen->before) {
                close(listen->fds[--listen->n]);
            }
            hold_listen_steer(listen, listen->steered != 0, NULL);
        }
    }
    veil_list_foreach_safe (n, tmp, &hold->zones) {
        zone = veil_list_entry(n, hold_zone_t, link);
        if (zone->made_for == generation) {
            hold_zone_close(zone);
        }
    }
}

void
veil_hold_done(veil_hold_t *hold, bool unlink_paths)
{
    veil_list_t *n;
    veil_list_t *tmp;

    veil_list_foreach_safe (n, tmp, &hold->listens) {
        hold_listen_close(veil_list_entry(n, hold_listen_t, link),
                          unlink_paths);
    }
    veil_list_foreach_safe (n, tmp, &hold->zones) {
        hold_zone_close(veil_list_entry(n, hold_zone_t, link));
    }
}

/* --- two masters with the same ------------------------------------------- */

void
veil_hold_each(const veil_hold_t *hold, veil_hold_listen_fn *listen,
               veil_hold_zone_fn *zone, void *data)
{
    const hold_listen_t *l;
    const hold_zone_t *z;
    const veil_list_t *n;

    for (n = hold->listens.next; n != &hold->listens; n = n->next) {
        l = (const hold_listen_t *) (const void *) n;
        listen(&(veil_hold_listen_view_t){ &l->key, l->fds, l->n, l->steered },
               data);
    }
    for (n = hold->zones.next; n != &hold->zones; n = n->next) {
        z = (const hold_zone_t *) (const void *) n;
        zone(&(veil_hold_zone_view_t){ &z->key, z->fd }, data);
    }
}

_Static_assert(offsetof(hold_listen_t, link) == 0
                   && offsetof(hold_zone_t, link) == 0,
               "an entry's link is its beginning");

void
veil_hold_adopt_listen(veil_hold_t *hold, const veil_hold_listen_t *key,
                       const int *fds, unsigned n, unsigned steered)
{
    hold_listen_t *held = veil_zalloc(sizeof(*held));

    held->key = *key;
    held->n = n;
    held->steered = steered;
    held->shared = true;
    held->fds = memcpy(veil_alloc(n * sizeof(int)), fds, n * sizeof(int));
    veil_list_append(&hold->listens, &held->link);
}

void
veil_hold_adopt_zone(veil_hold_t *hold, const veil_hold_zone_t *key, int fd)
{
    hold_zone_t *held = veil_zalloc(sizeof(*held));

    held->key = *key;
    held->used = true;
    held->fd = fd;
    veil_list_append(&hold->zones, &held->link);
}

/* The address that a socket is bound to; false: it is no such socket. */
static bool
hold_listen_of(int fd, veil_hold_listen_t *key)
{
    struct sockaddr_storage ss;
    socklen_t len = sizeof(ss);
    veil_listen_t l;
    int type;
    socklen_t type_len = sizeof(type);

    memset(&l, 0, sizeof(l));
    if (getsockname(fd, (struct sockaddr *) (void *) &ss, &len) != 0
        || getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &type_len) != 0
        || (ss.ss_family != AF_INET && ss.ss_family != AF_INET6))
    {
        return false; /* unix sockets have one slot */
    }
    l.type = type;
    veil_addr_from_sockaddr(&l.addr, (const struct sockaddr *) (void *) &ss,
                            len);
    veil_hold_listen_pack(key, &l);
    return true;
}

bool
veil_hold_add_slot(veil_hold_t *hold, int fd, unsigned at)
{
    hold_listen_t *held = NULL;
    veil_hold_listen_t key;

    if (hold_listen_of(fd, &key)) {
        held = hold_listen_find(hold, &key);
    }
    if (held == NULL || at != held->n || at >= VEIL_HOLD_SLOTS) {
        close(fd);
        return false;
    }
    held->fds = veil_realloc(held->fds, (held->n + 1) * sizeof(int));
    held->fds[held->n++] = fd;
    held->added++;
    return true;
}

bool
veil_hold_has_added(const veil_hold_t *hold)
{
    const veil_list_t *n;

    for (n = hold->listens.next; n != &hold->listens; n = n->next) {
        if (((const hold_listen_t *) (const void *) n)->added != 0) {
            return true;
        }
    }
    return false;
}

void
veil_hold_share(veil_hold_t *hold, const veil_hold_listen_t *key)
{
    hold_listen_t *held = hold_listen_find(hold, key);

    if (held != NULL) {
        held->shared = true;
    }
}

bool
veil_hold_is_shared(const veil_hold_t *hold, const veil_hold_listen_t *key)
{
    const hold_listen_t *held = hold_listen_find(hold, key);

    return held != NULL && held->shared;
}

void
veil_hold_close_unshared(veil_hold_t *hold)
{
    hold_listen_t *held;
    veil_list_t *n;
    veil_list_t *tmp;

    veil_list_foreach_safe (n, tmp, &hold->listens) {
        held = veil_list_entry(n, hold_listen_t, link);
        if (!held->shared) {
            hold_listen_close(held, true);
        }
    }
}

void
veil_hold_unshare(veil_hold_t *hold)
{
    veil_list_t *n;

    veil_list_foreach (n, &hold->listens) {
        veil_list_entry(n, hold_listen_t, link)->shared = false;
    }
}

void
veil_hold_resteer(veil_hold_t *hold, const veil_log_t *log)
{
    hold_listen_t *held;
    veil_list_t *n;

    veil_list_foreach (n, &hold->listens) {
        held = veil_list_entry(n, hold_listen_t, link);
        if (held->n > 1) {
            held->unsure = true;
            hold_listen_steer(held, held->steered != 0, log);
        }
    }
}
