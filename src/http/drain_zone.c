/*
 * drain_zone.c -- listeners that an operator drains: responses say that they
 * are the last ones, and $draining tells whoever asks for readiness.
 *
 * What he said has to survive a reload and reach workers that are forked
 * later, so it lies in a zone.  One process writes, the keeper of the
 * generation that serves, all workers read.  A counter, odd while somebody
 * writes, tells a reader that there is something new and whether it has read
 * it in one piece; a lock would let a reader that is stopped keep an operator
 * waiting.  Readers look at the counter for each response, and at the rest
 * only when it has changed.
 *
 * A listener is kept by the name that the operator has given it, so it is
 * found again when a reload has changed the others.
 */

#include "core/platform.h"

#include "core/shm.h"
#include "http/conn_info.h"
#include "http/drain.h"

#define DRAIN_MAGIC 0x44524149u
#define DRAIN_NAMES 32
#define DRAIN_ZONE_SIZE 8192
/* A writer that died in between leaves the counter odd: then what there is
 * counts. */
#define DRAIN_TRIES 100

typedef struct {
    uint32_t magic;
    uint32_t count; /* odd: being written */
    uint32_t all;
    uint32_t n;
    char names[DRAIN_NAMES][VEIL_ADDR_TEXT_MAX];
} drain_zone_t;

_Static_assert(sizeof(drain_zone_t) <= DRAIN_ZONE_SIZE, "the zone is small");

static const char drain_zone_tag[] = "drain";
static veil_shm_zone_t *drain_zone;
static uint32_t drain_zone_seen;

static veil_rc_t
drain_zone_init(veil_shm_zone_t *zone, bool fresh)
{
    drain_zone_t *z = zone->addr;

    if (fresh || z->magic != DRAIN_MAGIC) {
        memset(z, 0, sizeof(*z));
        z->magic = DRAIN_MAGIC;
    }
    return VEIL_OK;
}

veil_rc_t
veil_http_drain_declare(veil_conf_t *cf)
{
    drain_zone = veil_shm_zone_add(cf, VEIL_STR("drained listeners"),
                                   DRAIN_ZONE_SIZE, drain_zone_tag);
    if (drain_zone == NULL) {
        return VEIL_ERROR;
    }
    drain_zone->init = drain_zone_init;
    /* The first look is one: 0 is never seen. */
    drain_zone_seen = UINT32_MAX;
    return VEIL_OK;
}

/* --- reading ------------------------------------------------------------ */

static bool
drain_zone_has(const drain_zone_t *z, const veil_http_port_t *port)
{
    unsigned i;

    if (z->all != 0) {
        return true;
    }
    for (i = 0; i < z->n && i < DRAIN_NAMES; i++) {
        if (veil_http_port_is(
                port, veil_str_n(z->names[i],
                                 strnlen(z->names[i], sizeof(z->names[i])))))
        {
            return true;
        }
    }
    return false;
}

static void
drain_zone_mark(const drain_zone_t *z, veil_array_t *ports)
{
    veil_http_port_t *port;
    unsigned i;

    for (i = 0; i < ports->n; i++) {
        port = *veil_array_at(ports, veil_http_port_t *, i);
        port->draining = drain_zone_has(z, port);
    }
}

/* All of it as it was at one moment. */
static uint32_t
drain_zone_copy(drain_zone_t *copy)
{
    const drain_zone_t *z = drain_zone->addr;
    uint32_t before, after;
    unsigned i = 0;

    do {
        before = __atomic_load_n(&z->count, __ATOMIC_ACQUIRE);
        memcpy(copy, z, sizeof(*copy));
        __atomic_thread_fence(__ATOMIC_ACQUIRE);
        after = __atomic_load_n(&z->count, __ATOMIC_RELAXED);
    } while ((before != after || (before & 1) != 0) && ++i < DRAIN_TRIES);
    return before;
}

static void
drain_zone_look(void)
{
    veil_http_main_t *main = veil_cycle->http;
    const drain_zone_t *z;
    drain_zone_t copy;

    if (drain_zone == NULL || drain_zone->addr == NULL) {
        return;
    }
    z = drain_zone->addr;
    if (__atomic_load_n(&z->count, __ATOMIC_ACQUIRE) != drain_zone_seen) {
        drain_zone_seen = drain_zone_copy(&copy);
        drain_zone_mark(&copy, &main->ports);
    }
}

bool
veil_http_port_is_draining(const veil_http_port_t *port)
{
    drain_zone_look();
    return port->draining;
}

/* --- writing ------------------------------------------------------------ */

static bool
drain_zone_name_is(const drain_zone_t *z, unsigned i, veil_str_t name)
{
    return name.len < sizeof(z->names[i])
           && strncmp(z->names[i], name.data, name.len) == 0
           && z->names[i][name.len] == '\0';
}

static int
drain_zone_set(drain_zone_t *z, veil_str_t name, bool on)
{
    unsigned i = 0;

    if (name.len == 0) {
        z->all = on;
        z->n = 0;
        return 0;
    }
    while (i < z->n && !drain_zone_name_is(z, i, name)) {
        i++;
    }
    if (!on) {
        if (i < z->n) {
            z->n--;
            memmove(z->names[i], z->names[z->n], sizeof(z->names[i]));
        }
        return 0;
    }
    if (i < z->n) {
        return 0;
    }
    if (i == DRAIN_NAMES || name.len >= sizeof(z->names[i])) {
        return -ENOSPC;
    }
    memcpy(z->names[i], name.data, name.len);
    z->names[i][name.len] = '\0';
    z->n++;
    return 0;
}

int
veil_http_drain_listener(veil_str_t name, bool on)
{
    drain_zone_t *z;
    uint32_t count;
    int rc;

    if (drain_zone == NULL || drain_zone->addr == NULL) {
        return -ENOENT;
    }
    z = drain_zone->addr;
    count = z->count | 1; /* left odd by one that died: it is again now */
    __atomic_store_n(&z->count, count, __ATOMIC_RELAXED);
    __atomic_thread_fence(__ATOMIC_RELEASE);
    rc = drain_zone_set(z, name, on);
    __atomic_store_n(&z->count, count + 1, __ATOMIC_RELEASE);
    return rc;
}

bool
veil_http_drains_all(void)
{
    const drain_zone_t *z = drain_zone == NULL ? NULL : drain_zone->addr;

    return z != NULL && z->all != 0;
}
