/*
 * shm.h -- shared zones: memory that all workers of all generations map.
 *
 * A zone is declared while the configuration is read, by name; the process
 * layer maps it (a memfd the master holds, so that it outlives generations)
 * and calls init() in the keeper.  Contents use offsets from the zone's
 * start, never pointers: each process may map it elsewhere.
 */

#ifndef VEIL_CORE_SHM_H
#define VEIL_CORE_SHM_H

#include "core/conf.h"
#include "core/list.h"

/* The same for what core puts into zones: slabs, locks. */
#define VEIL_SHM_LAYOUT 1

typedef veil_rc_t veil_shm_init_fn(veil_shm_zone_t *zone, bool fresh);

struct veil_shm_zone_s {
    veil_list_t link; /* in cycle->zones */
    veil_str_t name;
    size_t size;
    /*
     * The owner, a veil_module_t or a static text that names it: two cannot
     * share a name, neither in a configuration nor in one and the next.
     */
    const void *tag;
    /*
     * What the content is counted or kept by ("$binary_remote_addr"), empty:
     * nothing.  A reload that changes it is refused, as what is in the zone
     * would be found under other names.
     */
    veil_str_t key;
    /*
     * Of the contents: the owner counts it up when what it writes there
     * changes, and a program that has another number gets another zone.
     */
    uint32_t layout;
    veil_shm_init_fn *init;       /* fresh: the memory is new, all zero */
    void *data;                   /* the module's */
    void *addr;                   /* where it is mapped; NULL before */
    int fd;                       /* -1 before */
    const veil_conf_node_t *node; /* for messages */
};

/*
 * The zone of that name, declared now if it is new.  size 0: refers to a
 * zone that is defined elsewhere (checked at the end of the load).  NULL
 * after reporting a clash of sizes or tags.
 */
veil_shm_zone_t *veil_shm_zone_add(veil_conf_t *cf, veil_str_t name,
                                   size_t size, const void *tag);

/*
 * Maps the zone: fd < 0 makes a new memfd (fresh), else that of an earlier
 * generation.  0 or -errno.  Calls nothing.
 */
int veil_shm_zone_map(veil_shm_zone_t *zone, int fd);
void veil_shm_zone_unmap(veil_shm_zone_t *zone);

/*
 * Zeroes memory that may have been used.  What is large is not written to if
 * that can be avoided: its pages are given back, and had again with the next
 * access.  Others must not use it meanwhile.
 */
void veil_shm_zero(void *addr, size_t size);

#endif
