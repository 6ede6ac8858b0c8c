/*
 * upstream_ledger.c -- what each worker has counted in a zone, for the day it
 * is killed.
 *
 * Exchanges under way are counted in the peer's slot, by all workers of all
 * generations.  A worker that is killed takes none of its own back: with
 * max_conns the peer would be short of them for ever, and a server that is
 * deleted would never be idle.  So each worker keeps a second count of its
 * own, a number for each entry of each zone, in memory it shares with its
 * keeper; when it is dead the keeper takes them back.
 *
 * Between the two counts a worker can die.  The order is such that the slot
 * then counts one too few rather than one too many: a peer may get one more
 * request than max_conns, but no server waits for nobody.  Slots are read as
 * signed numbers for that reason.
 */

#include "http/upstream/upstream_impl.h"

#include <sys/mman.h>

#include "core/main_conf.h"
#include "http/upstream/upstream_control.h"

static struct {
    uint32_t *counts; /* of all workers, one behind the other; NULL: none */
    size_t n;         /* of each */
    unsigned places;
    uint32_t nobody; /* what private slots count in */
} upstream_ledger;

void
veil_upstream_ledger_add(veil_upstream_zone_data_t *data, uint32_t nslots)
{
    data->base = upstream_ledger.n;
    upstream_ledger.n += nslots;
}

veil_rc_t
veil_upstream_ledger_open(const veil_cycle_t *cycle)
{
    unsigned places = veil_main_conf(cycle)->workers * VEIL_CYCLE_PLACES;
    size_t size = upstream_ledger.n * places * sizeof(uint32_t);
    void *mem;

    if (size == 0) {
        return VEIL_OK;
    }
    /* Pages are there when they are counted in. */
    mem = mmap(NULL, size, PROT_READ | PROT_WRITE,
               MAP_SHARED | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (mem == MAP_FAILED) {
        veil_log(&cycle->log, VEIL_LOG_EMERG, errno,
                 "no memory for the counts of workers");
        return VEIL_ERROR;
    }
    upstream_ledger.counts = mem;
    upstream_ledger.places = places;
    return VEIL_OK;
}

uint32_t *
veil_upstream_ledger(const veil_upstream_group_t *g,
                     const veil_upstream_slot_t *slot)
{
    const veil_upstream_zone_data_t *data;
    unsigned place = veil_cycle == NULL ? 0 : veil_cycle->place;
    ptrdiff_t i = veil_upstream_zone_index(g, slot);

    if (upstream_ledger.counts == NULL || i < 0
        || place >= upstream_ledger.places) {
        return &upstream_ledger.nobody;
    }
    data = g->zone->data;
    return &upstream_ledger
                .counts[place * upstream_ledger.n + data->base + (size_t) i];
}

/* Takes back what the dead one had under way with this entry. */
static void
upstream_ledger_take_back(uint32_t *count, veil_upstream_slot_t *slot)
{
    if (*count != 0) {
        __atomic_sub_fetch(&slot->conns, *count, __ATOMIC_RELAXED);
        *count = 0;
    }
}

void
veil_upstream_worker_ended(veil_cycle_t *cycle, unsigned place, pid_t pid)
{
    const veil_http_main_t *m = cycle->http;
    const veil_upstream_zone_data_t *data;
    veil_upstream_group_t *g;
    veil_upstream_slot_t *slots;
    uint32_t nslots, k;
    uint32_t *counts;
    unsigned i;

    if (upstream_ledger.counts == NULL || place >= upstream_ledger.places) {
        return;
    }
    for (i = 0; m != NULL && i < m->upstreams.n; i++) {
        g = *veil_array_at(&m->upstreams, veil_upstream_group_t *, i);
        slots = veil_upstream_zone_slots(g, &nslots);
        if (slots == NULL) {
            continue;
        }
        veil_upstream_zone_dead(g, pid);
        data = g->zone->data;
        counts =
            &upstream_ledger.counts[place * upstream_ledger.n + data->base];
        /* Entries are filled from the front. */
        for (k = 0; k < nslots && slots[k].hash != 0; k++) {
            upstream_ledger_take_back(&counts[k], &slots[k]);
        }
    }
}
