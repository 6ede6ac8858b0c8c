/*
 * slab.h -- allocation inside a shared zone.
 *
 * The zone begins with a head and a table of pages; the rest are pages of
 * 4 KiB, cut into slots of one size class each, or handed out in runs.
 * Everything is found by offsets, as each process maps the zone elsewhere:
 * keep veil_slab_offset(p) in the zone, never p.
 *
 * Allocation may fail: a zone has the size the operator gave it.
 *
 * The zone's lock protects the allocator and, if a module likes, what the
 * module keeps in the zone.  A process may die with the lock.  The allocator
 * keeps its truth (what each page is, which slots are in use) such that it is
 * right after every single store; free lists are made from it anew when the
 * lock was broken.  What such a death can cost is the slots or pages being
 * allocated or freed just then.  The module's own structures are the module's
 * to check: veil_slab_lock() tells.
 */

#ifndef VEIL_CORE_SLAB_H
#define VEIL_CORE_SLAB_H

#include <sys/types.h>

#include "core/types.h"

#define VEIL_SLAB_PAGE 4096u

/*
 * Makes an allocator of zeroed memory.  NULL when it is too small for one
 * page, or larger than 16 TiB.  mem must be aligned to 64 bytes.  Touches
 * little of it.
 */
veil_slab_t *veil_slab_init(void *mem, size_t size);
/*
 * The allocator that another process or generation made in this memory; NULL
 * when there is none, or one of another layout or size.
 */
veil_slab_t *veil_slab_attach(void *mem, size_t size);

/*
 * False when an earlier holder died with the lock: the allocator has been put
 * right, and the module has to check what it keeps here (or veil_slab_reset)
 * and say veil_slab_mend(); until then every holder is told.
 */
bool veil_slab_lock(veil_slab_t *s) VEIL_WUR;
void veil_slab_unlock(veil_slab_t *s);
void veil_slab_mend(veil_slab_t *s);
/*
 * The process is dead (reaped): if it held the lock, breaks it and puts the
 * allocator right.  True in this case, which deserves an alert.
 */
bool veil_slab_recover(veil_slab_t *s, pid_t dead);

/*
 * At least size bytes, aligned to 16; NULL when there is no room.  The plain
 * ones take the lock themselves, ..._locked are for its holder.  The memory is
 * zeroed.
 */
void *veil_slab_alloc(veil_slab_t *s, size_t size) VEIL_WUR;
void *veil_slab_alloc_locked(veil_slab_t *s, size_t size) VEIL_WUR;
/* p was returned by this allocator and is in use, or a panic follows. */
void veil_slab_free(veil_slab_t *s, void *p);
void veil_slab_free_locked(veil_slab_t *s, void *p);
/* Frees everything, the root included; by the holder of the lock. */
void veil_slab_reset(veil_slab_t *s);

/* Between pointers and what may be kept in the zone; 0 is NULL. */
uint64_t veil_slab_offset(const veil_slab_t *s, const void *p);
void *veil_slab_pointer(veil_slab_t *s, uint64_t offset);

/* Where a module's data begins: an offset it has set, 0 at first. */
uint64_t veil_slab_root(const veil_slab_t *s);
void veil_slab_set_root(veil_slab_t *s, uint64_t offset);

typedef struct {
    uint32_t pages; /* in all */
    uint32_t pages_free;
    uint64_t used;     /* bytes in slots and runs that are in use */
    uint64_t failed;   /* allocations that found no room */
    uint32_t rebuilds; /* times the lists were made anew */
} veil_slab_stats_t;
/* Takes the lock. */
void veil_slab_stats(veil_slab_t *s, veil_slab_stats_t *stats);

#endif
