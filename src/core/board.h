/*
 * board.h -- the shared zone in which each process shows how it is.
 *
 * The board is memory that the master makes before its first child, so all
 * processes of the server, of all generations, have it mapped.  It has a
 * block for each process: who it is, when its loop last turned, its metrics
 * (core/metric.h).  Only the process writes to its block, with plain stores,
 * and anyone may read all of them without asking anybody.
 *
 * Blocks are given out and taken back by parents, under a lock; workers never
 * take that.  What a dead process has counted is folded into totals that stay
 * on the board, its gauges are dropped.  So no counter
 * ever goes back, whether a process left, crashed or was killed.
 *
 * The totals are kept by the metrics' keys, and each block says which order
 * its cells have: programs with different metrics share one board across an
 * upgrade.
 */

#ifndef VEIL_CORE_BOARD_H
#define VEIL_CORE_BOARD_H

#include <sys/types.h>

#include "core/types.h"

#define VEIL_BOARD_NAME "board"

typedef enum {
    VEIL_BOARD_MASTER = 1,
    VEIL_BOARD_KEEPER,
    VEIL_BOARD_WORKER
} veil_board_role_t;

/* What a worker is about. */
typedef enum {
    VEIL_BOARD_STARTING,
    VEIL_BOARD_WAITING, /* ready, not accepting */
    VEIL_BOARD_SERVING,
    VEIL_BOARD_DRAINING,
    VEIL_BOARD_CLOSING, /* the time for draining is up */
    VEIL_BOARD_LEAVING
} veil_board_state_t;

#define VEIL_BOARD_CELLS 1000

/* A process.  Its owner writes what is below "the process's own". */
typedef struct {
    uint64_t holder; /* as veil_process_id(); 0: just given out */
    uint64_t giver;
    uint32_t used;   /* 0: free */
    uint32_t serial; /* of this use */
    uint32_t role;
    uint32_t slot;
    uint64_t generation;
    uint32_t schema; /* number of the order of its cells, from 1 on */
    uint32_t reserved;
    int64_t started_sec; /* wall clock */
    /* the process's own */
    _Alignas(64) uint64_t heartbeat_ms; /* veil_now_ms() of its last turn */
    uint32_t state;                     /* veil_board_state_t */
    uint32_t drained; /* of a keeper: listeners that an operator drains */
    uint32_t reserved_too[12];
    uint64_t cells[VEIL_BOARD_CELLS];
} veil_board_block_t;

/* This process's; a spare one before it has one. */
extern veil_board_block_t *veil_board_mine;

static inline void
veil_board_beat(uint64_t now_ms)
{
    __atomic_store_n(&veil_board_mine->heartbeat_ms, now_ms, __ATOMIC_RELAXED);
}

static inline void
veil_board_state(veil_board_state_t state)
{
    __atomic_store_n(&veil_board_mine->state, state, __ATOMIC_RELAXED);
}

static inline void
veil_board_drained(uint32_t listeners)
{
    __atomic_store_n(&veil_board_mine->drained, listeners, __ATOMIC_RELAXED);
}

size_t veil_board_size(void);
/*
 * The memory is the board: made if it is new or of another layout.  Once,
 * in the process from which all others come.
 */
void veil_board_open(void *mem, size_t size);
bool veil_board_is_open(void);

/*
 * A block for a process that is about to be forked, or for this one; -1 when
 * there is none.  By the parent.  The number is not that of
 * veil_board_block().
 */
int veil_board_give(veil_board_role_t role, unsigned slot,
                    uint64_t generation);
/*
 * This process counts in that block from now on; -1: nowhere.  In a child
 * right after fork, in any case: else it would write to its parent's.
 */
void veil_board_take(int block);
/*
 * The process of a block given out here has ended, or was never made: what
 * it counted is kept, and the block is free.
 */
void veil_board_retire(int block);
/* The same for all whose process is dead and whose parent cannot say so. */
void veil_board_sweep(void);

/* When the process of a block given out here last turned its loop. */
uint64_t veil_board_heartbeat(int block);

/* The same for what it last said by veil_board_drained(). */
uint32_t veil_board_drained_of(int block);

/* The i-th block, NULL if it is not in use; i below this. */
#define VEIL_BOARD_BLOCKS 2048u
const veil_board_block_t *veil_board_block(unsigned i);
/* Its process. */
static inline pid_t
veil_board_pid(const veil_board_block_t *b)
{
    return (pid_t) (uint32_t) b->holder;
}

/*
 * Numbers by cell, veil_metrics_count() of them, for the reader to free:
 * those of all processes, living and dead; of one; of the dead.
 */
uint64_t *veil_board_read(void);
uint64_t *veil_board_read_block(const veil_board_block_t *b);
uint64_t *veil_board_read_dead(void);

#endif
