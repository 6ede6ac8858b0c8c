/*
 * lock.h -- locks in shared memory that survive the death of their holder.
 *
 * A lock's word names its holder: the process number and, as numbers are
 * used again, the time the process was started.  Who waits too long looks
 * whether the holder still lives, and breaks the lock if not; the keeper does
 * the same at once for a worker that died (veil_lock_break).  Whoever gets a
 * broken lock is told, for what it protects may be in mid-change.
 *
 * Zeroed memory is an unlocked lock.  Locks are held for moments, never
 * across anything that waits; waiting spins, then yields, then sleeps.  They
 * do not nest in themselves: taking one twice is a panic.
 *
 * A process is the holder, not a thread: only one thread of each may use them.
 * All processes that use a lock must see each other's numbers (one PID
 * namespace).  Where /proc is out of reach a holder counts as dead only when
 * its number is not in use at all.
 */

#ifndef VEIL_CORE_LOCK_H
#define VEIL_CORE_LOCK_H

#include <sys/types.h>

#include "core/types.h"

typedef struct {
    uint64_t holder; /* start time << 32 | pid; 0: free */
    uint32_t broken; /* was taken from a dead one; cleared by unlock */
    uint32_t breaks; /* how often, for reports */
} veil_lock_t;

/*
 * Returns true when what the lock protects is whole, false when an earlier
 * holder died with it and nobody has called veil_lock_mend() since.
 */
bool veil_lock(veil_lock_t *l) VEIL_WUR;
/* Does not wait: false when another holds it.  *whole as veil_lock's. */
bool veil_trylock(veil_lock_t *l, bool *whole) VEIL_WUR;
void veil_unlock(veil_lock_t *l);
/* What the lock protects is in order again; by its holder. */
void veil_lock_mend(veil_lock_t *l);
/*
 * The process is known to be dead (it was reaped): takes from it what it
 * holds.  True when it held the lock.
 */
bool veil_lock_break(veil_lock_t *l, pid_t dead);
bool veil_lock_is_mine(const veil_lock_t *l);

/*
 * A process as locks know it, start time and number, for other things in
 * shared memory that belong to one.
 */
uint64_t veil_process_id(void);
/* One that was waited for, or only waits for that, is dead. */
bool veil_process_is_dead(uint64_t id);

/*
 * Many readers or one writer.  Each reader has a slot, so that a dead one is
 * found; when all slots are taken, further readers wait.
 */
#define VEIL_RWLOCK_READERS 31
typedef struct {
    veil_lock_t writer;
    uint64_t readers[VEIL_RWLOCK_READERS];
} veil_rwlock_t;

/* Returns whether what it protects is whole, as veil_lock. */
bool veil_rwlock_read(veil_rwlock_t *l) VEIL_WUR;
void veil_rwlock_read_end(veil_rwlock_t *l);
bool veil_rwlock_write(veil_rwlock_t *l) VEIL_WUR;
void veil_rwlock_write_end(veil_rwlock_t *l);
/* As veil_lock_break, and forgets the dead one's reading. */
bool veil_rwlock_break(veil_rwlock_t *l, pid_t dead);

#endif
