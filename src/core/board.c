/*
 * board.c -- the shared zone in which each process shows how it is.
 *
 * The zone is large and hardly used: 2048 blocks of two pages, of which
 * only those exist that were ever written to.  So there is one size for every
 * configuration, and a reload with more workers finds the same board.
 *
 * Folding must be all or nothing, as the process that does it may be killed
 * like any other.  There are two tables of totals, one of which counts.  The
 * other one becomes a copy of it with the dead one's counts added and its
 * block's name noted; then one store makes it the one that counts.  Whoever
 * finds the lock broken looks whether the block noted last is still in use,
 * and frees it: that was what its predecessor had left to do.
 *
 * Tables are hashed by the metrics' keys.  A metric that no program counts
 * any more keeps its place, for the program that may come back.
 *
 * What this does not do: know any metric, or show one (metric_text.c).
 */

#include "core/platform.h"

#include "core/assert.h"
#include "core/board.h"
#include "core/fault.h"
#include "core/lock.h"
#include "core/metric.h"
#include "core/pool.h"
#include "core/time.h"

#define BOARD_MAGIC 0x424f5244u
#define BOARD_VERSION 1u
/* Programs whose processes live at a time: two during an upgrade. */
#define BOARD_SCHEMAS 8
#define BOARD_TOTALS 4096 /* a power of two */

/* How the cells of one program lie. */
typedef struct {
    uint64_t hash; /* 0: free */
    uint32_t n;
    uint32_t reserved;
    uint64_t keys[VEIL_BOARD_CELLS]; /* 0: a gauge */
} board_schema_t;

typedef struct {
    uint64_t key;
    uint64_t value;
} board_total_t;

typedef struct {
    uint32_t block; /* the last that was folded, and its use */
    uint32_t serial;
    uint32_t n;
    uint32_t reserved;
    board_total_t totals[BOARD_TOTALS];
} board_table_t;

typedef struct {
    uint32_t magic;
    uint32_t version;
    uint64_t size;
    veil_lock_t lock;
    uint32_t serial;
    uint32_t counts; /* which table */
    board_schema_t schemas[BOARD_SCHEMAS];
    board_table_t tables[2];
    _Alignas(4096) veil_board_block_t blocks[VEIL_BOARD_BLOCKS];
} board_zone_t;

_Static_assert(sizeof(veil_board_block_t) % 64 == 0, "blocks share no line");
_Static_assert(sizeof(veil_board_block_t) <= 2 * 4096, "two pages");

static veil_board_block_t board_spare;
veil_board_block_t *veil_board_mine = &board_spare;

static board_zone_t *board;

static uint64_t
board_get(const uint64_t *word)
{
    return __atomic_load_n(word, __ATOMIC_RELAXED);
}

/*
 * What a parent holds: the block's number and, as blocks are used again, the
 * end of this use's.
 */
#define BOARD_HANDLE_SERIAL 0xfffffu

static int
board_handle(const veil_board_block_t *b)
{
    return (int) ((b->serial & BOARD_HANDLE_SERIAL) * VEIL_BOARD_BLOCKS
                  + (uint32_t) (b - board->blocks));
}

static veil_board_block_t *
board_of_handle(int handle)
{
    return &board->blocks[(uint32_t) handle % VEIL_BOARD_BLOCKS];
}

/* --- the lock -------------------------------------------------------------
 */

static void
board_lock(void)
{
    const board_table_t *t;
    veil_board_block_t *b;

    if (veil_lock(&board->lock)) {
        return;
    }
    t = &board->tables[board->counts];
    b = &board->blocks[t->block];
    if (b->used != 0 && b->serial == t->serial) {
        __atomic_store_n(&b->used, 0, __ATOMIC_RELEASE);
    }
    veil_lock_mend(&board->lock);
}

static void
board_unlock(void)
{
    veil_unlock(&board->lock);
}

/* --- the zone -------------------------------------------------------------
 */

size_t
veil_board_size(void)
{
    return sizeof(board_zone_t);
}

void
veil_board_open(void *mem, size_t size)
{
    board_zone_t *z = mem;

    VEIL_ASSERT(size == sizeof(*z) && (uintptr_t) mem % 4096 == 0);
    board = z;
    if (__atomic_load_n(&z->magic, __ATOMIC_ACQUIRE) == BOARD_MAGIC
        && z->version == BOARD_VERSION && z->size == size)
    {
        return;
    }
    /* Not the blocks: that would make all their pages. */
    memset(z, 0, offsetof(board_zone_t, blocks));
    z->version = BOARD_VERSION;
    z->size = size;
    __atomic_store_n(&z->magic, BOARD_MAGIC, __ATOMIC_RELEASE);
}

bool
veil_board_is_open(void)
{
    return board != NULL;
}

static bool
board_schema_is_used(unsigned schema)
{
    unsigned i;

    for (i = 0; i < VEIL_BOARD_BLOCKS; i++) {
        if (board->blocks[i].used != 0 && board->blocks[i].schema == schema) {
            return true;
        }
    }
    return false;
}

/* The number of this program's; 0 when there are too many programs. */
static unsigned
board_schema(void)
{
    uint64_t hash = veil_metrics_schema();
    unsigned n = veil_metrics_count();
    board_schema_t *s;
    unsigned i, k;
    bool kept;

    if (n > VEIL_BOARD_CELLS) {
        return 0;
    }
    for (i = 0; i < BOARD_SCHEMAS; i++) {
        if (board->schemas[i].hash == hash) {
            return i + 1;
        }
    }
    for (i = 0; i < BOARD_SCHEMAS; i++) {
        s = &board->schemas[i];
        if (s->hash == 0 || !board_schema_is_used(i + 1)) {
            s->hash = 0;
            for (k = 0; k < n; k++) {
                s->keys[k] = veil_metric_key(k, &kept);
                s->keys[k] = kept ? s->keys[k] : 0;
            }
            s->n = n;
            VEIL_FAULT("board.schema");
            __atomic_store_n(&s->hash, hash, __ATOMIC_RELEASE);
            return i + 1;
        }
    }
    return 0;
}

/* --- blocks ---------------------------------------------------------------
 */

static veil_board_block_t *
board_free_block(void)
{
    unsigned i;

    for (i = 0; i < VEIL_BOARD_BLOCKS; i++) {
        if (board->blocks[i].used == 0) {
            return &board->blocks[i];
        }
    }
    return NULL;
}

/* Only what was used: a page that is never touched need not be. */
static void
board_clear(veil_board_block_t *b)
{
    unsigned i;

    for (i = 0; i < VEIL_BOARD_CELLS; i++) {
        if (b->cells[i] != 0) {
            b->cells[i] = 0;
        }
    }
}

int
veil_board_give(veil_board_role_t role, unsigned slot, uint64_t generation)
{
    veil_board_block_t *b = NULL;
    unsigned schema;

    if (board == NULL) {
        return -1;
    }
    board_lock();
    schema = board_schema();
    if (schema != 0) {
        b = board_free_block();
    }
    if (b != NULL) {
        board_clear(b);
        b->holder = 0;
        b->giver = veil_process_id();
        b->role = role;
        b->slot = slot;
        b->generation = generation;
        b->schema = schema;
        b->started_sec = veil_clock.sec;
        b->heartbeat_ms = veil_now_ms();
        b->state = VEIL_BOARD_STARTING;
        b->drained = 0;
        b->serial = ++board->serial;
        VEIL_FAULT("board.given");
        __atomic_store_n(&b->used, 1, __ATOMIC_RELEASE);
    }
    board_unlock();
    return b == NULL ? -1 : board_handle(b);
}

void
veil_board_take(int block)
{
    if (block < 0) {
        veil_board_mine = &board_spare;
        veil_metrics_attach(NULL);
        return;
    }
    veil_board_mine = board_of_handle(block);
    __atomic_store_n(&veil_board_mine->holder, veil_process_id(),
                     __ATOMIC_RELEASE);
    veil_metrics_attach(veil_board_mine->cells);
}

uint64_t
veil_board_heartbeat(int block)
{
    return board_get(&board_of_handle(block)->heartbeat_ms);
}

uint32_t
veil_board_drained_of(int block)
{
    return __atomic_load_n(&board_of_handle(block)->drained, __ATOMIC_RELAXED);
}

const veil_board_block_t *
veil_board_block(unsigned i)
{
    const veil_board_block_t *b;

    if (board == NULL || i >= VEIL_BOARD_BLOCKS) {
        return NULL;
    }
    b = &board->blocks[i];
    return __atomic_load_n(&b->used, __ATOMIC_ACQUIRE) != 0 ? b : NULL;
}

/* --- what the dead have counted -------------------------------------------
 */

/* Where the key's total is or would be; NULL: there is no room. */
static board_total_t *
board_total(board_table_t *t, uint64_t key)
{
    uint32_t i = (uint32_t) (key ^ key >> 32), n;

    for (n = 0; n < BOARD_TOTALS; n++) {
        i %= BOARD_TOTALS;
        if (t->totals[i].key == key || t->totals[i].key == 0) {
            return &t->totals[i];
        }
        i++;
    }
    return NULL;
}

/* By the holder of the lock. */
static void
board_fold(veil_board_block_t *b)
{
    const board_schema_t *s = &board->schemas[b->schema - 1];
    board_table_t *t = &board->tables[1 - board->counts];
    board_total_t *total;
    unsigned i;

    *t = board->tables[board->counts];
    t->block = (uint32_t) (b - board->blocks);
    t->serial = b->serial;
    for (i = 0; i < s->n; i++) {
        if (s->keys[i] == 0 || b->cells[i] == 0) {
            continue;
        }
        total = board_total(t, s->keys[i]);
        if (total != NULL) {
            t->n += total->key == 0;
            total->key = s->keys[i];
            total->value += b->cells[i];
        }
    }
    VEIL_FAULT("board.fold");
    __atomic_store_n(&board->counts, 1 - board->counts, __ATOMIC_RELEASE);
    VEIL_FAULT("board.folded");
    __atomic_store_n(&b->used, 0, __ATOMIC_RELEASE);
}

void
veil_board_retire(int block)
{
    veil_board_block_t *b;

    if (block < 0) {
        return;
    }
    b = board_of_handle(block);
    board_lock();
    /* Somebody may have swept it, and given it out again. */
    if (b->used != 0 && board_handle(b) == block) {
        board_fold(b);
    }
    board_unlock();
}

void
veil_board_sweep(void)
{
    veil_board_block_t *b;
    unsigned i;

    if (board == NULL) {
        return;
    }
    board_lock();
    for (i = 0; i < VEIL_BOARD_BLOCKS; i++) {
        b = &board->blocks[i];
        if (b->used != 0
            && veil_process_is_dead(b->holder != 0 ? b->holder : b->giver))
        {
            board_fold(b);
        }
    }
    board_unlock();
}

/* --- reading --------------------------------------------------------------
 */

static uint64_t *
board_cells(void)
{
    return veil_zalloc((veil_metrics_count() + 1) * sizeof(uint64_t));
}

/* Adds the numbers of another program, as far as this one knows them. */
static void
board_add_foreign(uint64_t *cells, const veil_board_block_t *b)
{
    const board_schema_t *s = &board->schemas[b->schema - 1];
    unsigned i;
    int cell;

    for (i = 0; i < s->n; i++) {
        cell = s->keys[i] == 0 ? -1 : veil_metric_find(s->keys[i]);
        if (cell >= 0) {
            cells[cell] += board_get(&b->cells[i]);
        }
    }
}

static void
board_add_block(uint64_t *cells, const veil_board_block_t *b)
{
    unsigned i, n = veil_metrics_count();

    if (board->schemas[b->schema - 1].hash != veil_metrics_schema()) {
        board_add_foreign(cells, b);
        return;
    }
    for (i = 0; i < n; i++) {
        cells[i] += board_get(&b->cells[i]);
    }
}

static void
board_add_dead(uint64_t *cells)
{
    board_table_t *t = &board->tables[board->counts];
    const board_total_t *total;
    unsigned i, n = veil_metrics_count();
    bool kept;

    for (i = 0; i < n; i++) {
        total = board_total(t, veil_metric_key(i, &kept));
        if (kept && total != NULL && total->key != 0) {
            cells[i] += total->value;
        }
    }
}

uint64_t *
veil_board_read(void)
{
    uint64_t *cells = board_cells();
    unsigned i;

    if (board == NULL) {
        return cells;
    }
    board_lock();
    board_add_dead(cells);
    for (i = 0; i < VEIL_BOARD_BLOCKS; i++) {
        if (board->blocks[i].used != 0) {
            board_add_block(cells, &board->blocks[i]);
        }
    }
    board_unlock();
    return cells;
}

uint64_t *
veil_board_read_block(const veil_board_block_t *b)
{
    uint64_t *cells = board_cells();

    board_add_block(cells, b);
    return cells;
}

uint64_t *
veil_board_read_dead(void)
{
    uint64_t *cells = board_cells();

    if (board != NULL) {
        board_lock();
        board_add_dead(cells);
        board_unlock();
    }
    return cells;
}
