/*
 * pool.c -- arenas with pins and cleanups, and the process's allocator.
 *
 * A pool's head stands at the start of its first block; allocating moves a
 * pointer (inline in pool.h).  When a block is full, another of the same size
 * is linked in; what is larger than a quarter of a block gets a block of its
 * own, so that at most a quarter of a block is lost at its end.
 *
 * Servers create and destroy pools of few sizes all the time, so blocks go to
 * a free list by exact size, and come from there: neither costs a malloc.
 * The lists are bounded, each by number and bytes and all together, so that a
 * burst does not keep its memory for ever.  Sizes of pools are not rounded to
 * powers of two, because the block of an idle connection is counted in bytes.
 * Those of large allocations are rounded from 1 KiB on, so that an answer
 * that is a little longer than the last one finds its block: requests make
 * such allocations as well, and cost no malloc in the long run.
 *
 * Retired pools wait in one of two lists: "retired" is looked at by the next
 * reap, "waiting" holds those that a reap found pinned; unpinning moves them
 * back.  So a turn of the loop costs nothing for what the kernel still holds.
 *
 * Not thread-safe, apart from veil_alloc and its relatives.
 */

#include "core/platform.h"

#include "core/assert.h"
#include "core/pool.h"
#include "core/pool_debug.h"

/*
 * Exact multiples of 16 up to 4 KiB, then 8, 16, 32 and 64 KiB; of large
 * allocations also these and 4 KiB with the head of a block.
 */
#define POOL_STEP 16
#define POOL_STEPS 256
#define POOL_POWERS 5
#define POOL_CLASSES (POOL_STEPS + 1 + 2 * POOL_POWERS)

/* Large allocations are multiples of this between 1 and 4 KiB. */
#define POOL_LARGE_EXACT 1024
#define POOL_LARGE_STEP 256

/* What free lists may hold: by list in blocks and bytes, and in all. */
#define POOL_KEEP_BLOCKS 1024
#define POOL_KEEP_BYTES (4u << 20)
#define POOL_KEEP_TOTAL (32u << 20)

#define POOL_MAX_BLOCK ((size_t) 1 << 29)

#define POOL_FREED 0xdb

typedef struct veil_pool_block_s pool_block_t;
typedef struct veil_pool_cleanup_s pool_cleanup_t;

typedef enum { POOL_LIVE, POOL_RETIRED, POOL_DYING } pool_state_t;

/* In front of every block but the first. */
struct veil_pool_block_s {
    pool_block_t *next;
    size_t size; /* this head included */
};

struct veil_pool_cleanup_s {
    pool_cleanup_t *next;
    veil_pool_cleanup_fn *fn;
    void *data;
};

typedef struct {
    pool_block_t *first;
    unsigned n;
} pool_class_t;

/* A guarded pool: the head and what it allocated. */
typedef struct {
    veil_pool_t pool;
    veil_pool_guard_t guard;
} pool_guarded_t;

_Static_assert(sizeof(veil_pool_t) <= 96, "the head of a pool is too large");

static pool_class_t pool_classes[POOL_CLASSES];
static veil_pool_stats_t pool_stat;

static veil_list_t pool_live = { &pool_live, &pool_live };
static veil_list_t pool_retired = { &pool_retired, &pool_retired };
static veil_list_t pool_waiting = { &pool_waiting, &pool_waiting };

/* VEIL_POOL, read when the first pool or allocation is made. */
static struct {
    bool known;
    bool fill;
    bool guard;
    uint64_t fail_at; /* 0: never */
    uint64_t allocs;  /* counted only when fail_at is set */
} pool_mode = { .fill = VEIL_DEBUG, .guard = VEIL_ASAN };

static void
pool_mode_read(void)
{
    veil_str_t word, rest = veil_str_z(getenv("VEIL_POOL"));
    int64_t n;

    pool_mode.known = true;
    while (rest.len != 0) {
        word = veil_str_cut(&rest, ',');
        if (veil_str_eq(word, VEIL_STR("fill"))) {
            pool_mode.fill = true;
        } else if (veil_str_eq(word, VEIL_STR("guard"))) {
            pool_mode.guard = true;
        } else if (veil_str_starts(word, VEIL_STR("fail:"))
                   && (n = veil_str_to_int(veil_str_from(word, 5))) > 0)
        {
            pool_mode.fail_at = (uint64_t) n;
        } else {
            veil_panic("VEIL_POOL: \"%.*s\" is not \"fill\", \"guard\" or "
                       "\"fail:N\"",
                       VEIL_STR_ARG(word));
        }
    }
}

static inline void
pool_mode_init(void)
{
    if (veil_unlikely(!pool_mode.known)) {
        pool_mode_read();
    }
}

static bool
pool_must_fail(void)
{
    pool_mode_init();
    return pool_mode.fail_at != 0
           && __atomic_add_fetch(&pool_mode.allocs, 1, __ATOMIC_RELAXED)
                  == pool_mode.fail_at;
}

static void pool_no_memory(size_t size) VEIL_NORETURN;

static void
pool_no_memory(size_t size)
{
    veil_panic("out of memory: %zu bytes were asked for", size);
}

void *
veil_alloc(size_t size)
{
    void *p = veil_try_alloc(size);

    if (veil_unlikely(p == NULL)) {
        pool_no_memory(size);
    }
    return p;
}

void *
veil_try_alloc(size_t size)
{
    if (veil_unlikely(pool_must_fail())) {
        return NULL;
    }
    return malloc(size == 0 ? 1 : size);
}

void *
veil_alloc_aligned(size_t align, size_t size)
{
    void *p = NULL;

    VEIL_ASSERT(align >= sizeof(void *) && (align & (align - 1)) == 0);

    if (!pool_must_fail() && posix_memalign(&p, align, size) != 0) {
        p = NULL;
    }
    if (p == NULL) {
        pool_no_memory(size);
    }
    return p;
}

void *
veil_zalloc(size_t size)
{
    void *p = pool_must_fail() ? NULL : calloc(1, size == 0 ? 1 : size);

    if (veil_unlikely(p == NULL)) {
        pool_no_memory(size);
    }
    return p;
}

void *
veil_realloc(void *old, size_t size)
{
    void *p = pool_must_fail() ? NULL : realloc(old, size == 0 ? 1 : size);

    if (veil_unlikely(p == NULL)) {
        pool_no_memory(size);
    }
    return p;
}

void
veil_free(void *p)
{
    free(p);
}

/* The free list for blocks of this size; NULL when there is none. */
static pool_class_t *
pool_class(size_t size)
{
    size_t i, power = POOL_STEP * POOL_STEPS;

    if (size <= POOL_STEP * POOL_STEPS) {
        return &pool_classes[size / POOL_STEP];
    }
    for (i = 0; i < POOL_POWERS; i++, power *= 2) {
        if (size == power || size == power + sizeof(pool_block_t)) {
            return &pool_classes[POOL_STEPS + 1 + 2 * i + (size != power)];
        }
    }
    return NULL;
}

/* The block for a large allocation: a size that has a free list, if any. */
static size_t
pool_large_size(size_t size)
{
    size_t power = POOL_STEP * POOL_STEPS;
    size_t i;

    if (size <= POOL_LARGE_EXACT) {
        return veil_align(size, POOL_STEP) + sizeof(pool_block_t);
    }
    size += sizeof(pool_block_t);
    if (size <= POOL_STEP * POOL_STEPS) {
        return veil_align(size, POOL_LARGE_STEP);
    }
    for (i = 0; i < POOL_POWERS; i++, power *= 2) {
        if (size <= power + sizeof(pool_block_t)) {
            return power + sizeof(pool_block_t);
        }
    }
    return veil_align(size, POOL_STEP);
}

static void *
pool_block_get(size_t size)
{
    pool_class_t *class = pool_class(size);
    pool_block_t *b;

    pool_stat.live_bytes += size;
    if (veil_likely(class != NULL && class->first != NULL)) {
        b = class->first;
        class->first = b->next;
        class->n--;
        pool_stat.kept_bytes -= size;
        pool_stat.recycled++;
        return b;
    }
    pool_stat.mallocs++;
    return veil_alloc(size);
}

/* Blocks of sizes without a list are not kept: they are too large. */
static void
pool_block_put(void *block, size_t size)
{
    pool_class_t *class = pool_class(size);
    pool_block_t *b = block;

    pool_stat.live_bytes -= size;
    if (veil_unlikely(pool_mode.fill)) {
        memset(block, POOL_FREED, size);
    }
    if (veil_unlikely(class == NULL || class->n >= POOL_KEEP_BLOCKS
                      || class->n * size >= POOL_KEEP_BYTES
                      || pool_stat.kept_bytes >= POOL_KEEP_TOTAL))
    {
        veil_free(block);
        return;
    }
    b->next = class->first;
    class->first = b;
    class->n++;
    pool_stat.kept_bytes += size;
}

static veil_pool_guard_t *
pool_guard(veil_pool_t *pool)
{
    return &((pool_guarded_t *) pool)->guard;
}

veil_pool_t *
veil_pool_create(const char *name, size_t block_size)
{
    size_t size = veil_align(block_size, POOL_STEP);
    veil_pool_t *pool;

    VEIL_ASSERT(block_size <= POOL_MAX_BLOCK);

    pool_mode_init();
    if (size < VEIL_POOL_MIN_SIZE) {
        size = VEIL_POOL_MIN_SIZE;
    }
    if (veil_unlikely(pool_mode.guard)) {
        pool = veil_zalloc(sizeof(pool_guarded_t));
        pool->pos = pool->end = (char *) pool + sizeof(pool_guarded_t);
    } else {
        pool = pool_block_get(size);
        pool->pos = (char *) (pool + 1);
        pool->end = (char *) pool + size;
    }

    pool->magic = VEIL_POOL_MAGIC;
    pool->block_size = (uint32_t) size & 0x3fffffff;
    pool->state = POOL_LIVE;
    pool->blocks = NULL;
    pool->cleanups = NULL;
    pool->name = name;
    veil_list_init(&pool->pins);
    veil_list_append(&pool_live, &pool->link);
    pool_stat.created++;
    pool_stat.live++;
    return pool;
}

static char *
pool_block_add(veil_pool_t *pool, size_t size)
{
    pool_block_t *b = pool_block_get(size);

    b->size = size;
    b->next = pool->blocks;
    pool->blocks = b;
    return (char *) (b + 1);
}

void *
veil_pool_alloc_slow(veil_pool_t *pool, size_t size, size_t align)
{
    size_t pad;
    char *p;

    VEIL_CHECK(pool, VEIL_POOL);
    VEIL_ASSERT(size <= SIZE_MAX / 2);

    if (pool_mode.guard) {
        return veil_pool_guard_alloc(pool_guard(pool), size);
    }

    /* An empty object still has an address of its own. */
    size = size == 0 ? 1 : size;
    pad = -(uintptr_t) pool->pos & (align - 1);
    if (pad + size <= (size_t) (pool->end - pool->pos)) {
        p = pool->pos + pad;
        pool->pos = p + size;
        return p;
    }

    if (size > pool->block_size / 4) {
        return pool_block_add(pool, pool_large_size(size));
    }
    p = pool_block_add(pool, pool->block_size);
    pool->pos = p + size;
    pool->end = p - sizeof(pool_block_t) + pool->block_size;
    return p;
}

static void
pool_panic_pinned(const veil_pool_t *pool)
{
    veil_list_t *n;
    char buf[512];
    size_t len = 0;

    veil_list_foreach (n, &pool->pins) {
        len += veil_snprintf(buf + len, sizeof(buf) - len, "%s\"%s\"",
                             len == 0 ? "" : ", ",
                             veil_list_entry(n, veil_pin_t, link)->name);
    }
    veil_panic("pool \"%s\" is destroyed while pinned by %.*s", pool->name,
               (int) len, buf);
}

static void
pool_end(veil_pool_t *pool)
{
    pool_cleanup_t *c;
    pool_block_t *b, *next;

    VEIL_ASSERT(pool->state != POOL_DYING);
    if (veil_unlikely(!veil_list_is_empty(&pool->pins))) {
        pool_panic_pinned(pool);
    }

    pool->state = POOL_DYING;
    while ((c = pool->cleanups) != NULL) {
        pool->cleanups = c->next;
        c->fn(c->data);
    }
    if (veil_unlikely(!veil_list_is_empty(&pool->pins))) {
        pool_panic_pinned(pool);
    }

    veil_list_remove(&pool->link);
    pool_stat.live--;
    pool->magic = VEIL_MAGIC_DEAD;
    for (b = pool->blocks; b != NULL; b = next) {
        next = b->next;
        pool_block_put(b, b->size);
    }
    if (veil_unlikely(pool_mode.guard)) {
        veil_pool_guard_free(pool_guard(pool), pool->name);
        veil_free(pool);
    } else {
        pool_block_put(pool, pool->block_size);
    }
}

void
veil_pool_destroy(veil_pool_t **pool)
{
    veil_pool_t *p = *pool;

    VEIL_CHECK(p, VEIL_POOL);
    VEIL_ASSERT(p->state != POOL_RETIRED);
    *pool = NULL;
    pool_end(p);
}

void
veil_pool_retire(veil_pool_t **pool)
{
    veil_pool_t *p = *pool;

    VEIL_CHECK(p, VEIL_POOL);
    VEIL_ASSERT(p->state == POOL_LIVE);
    *pool = NULL;
    p->state = POOL_RETIRED;
    veil_list_remove(&p->link);
    veil_list_append(&pool_retired, &p->link);
    pool_stat.retired++;
}

void
veil_pool_reap(void)
{
    veil_list_t *n;
    veil_pool_t *pool;

    /* A cleanup may retire further pools: they are taken in this round. */
    while (!veil_list_is_empty(&pool_retired)) {
        n = veil_list_pop(&pool_retired);
        pool = veil_list_entry(n, veil_pool_t, link);
        VEIL_CHECK(pool, VEIL_POOL);
        if (veil_list_is_empty(&pool->pins)) {
            pool_stat.retired--;
            pool_end(pool);
        } else {
            veil_list_append(&pool_waiting, n);
        }
    }
}

veil_str_t
veil_pool_str(veil_pool_t *pool, veil_str_t s)
{
    return veil_str_n(veil_pool_strz(pool, s), s.len);
}

char *
veil_pool_strz(veil_pool_t *pool, veil_str_t s)
{
    char *p = veil_pool_chars(pool, s.len + 1);

    *veil_fmt_str(p, s) = '\0';
    return p;
}

veil_str_t
veil_pool_printf(veil_pool_t *pool, const char *fmt, ...)
{
    va_list ap;
    char *p;
    int n;

    va_start(ap, fmt);
    n = vsnprintf(NULL, 0, fmt, ap);
    va_end(ap);
    VEIL_ASSERT(n >= 0);

    p = veil_pool_chars(pool, (size_t) n + 1);
    va_start(ap, fmt);
    (void) veil_vsnprintf(p, (size_t) n + 1, fmt, ap);
    va_end(ap);
    return veil_str_n(p, (size_t) n);
}

void
veil_pool_on_destroy(veil_pool_t *pool, veil_pool_cleanup_fn *fn, void *data)
{
    pool_cleanup_t *c;

    VEIL_CHECK(pool, VEIL_POOL);
    VEIL_ASSERT(pool->state != POOL_DYING);
    c = veil_pool_alloc(pool, sizeof(*c));
    c->fn = fn;
    c->data = data;
    c->next = pool->cleanups;
    pool->cleanups = c;
}

bool
veil_pool_off_destroy(veil_pool_t *pool, veil_pool_cleanup_fn *fn, void *data)
{
    pool_cleanup_t **link;

    VEIL_CHECK(pool, VEIL_POOL);
    for (link = &pool->cleanups; *link != NULL; link = &(*link)->next) {
        if ((*link)->fn == fn && (*link)->data == data) {
            *link = (*link)->next;
            return true;
        }
    }
    return false;
}

void
veil_pool_pin(veil_pool_t *pool, veil_pin_t *pin, const char *name)
{
    VEIL_CHECK(pool, VEIL_POOL);
    VEIL_ASSERT(pin->pool == NULL);
    pin->pool = pool;
    pin->name = name;
    veil_list_append(&pool->pins, &pin->link);
}

void
veil_pool_unpin(veil_pin_t *pin)
{
    veil_pool_t *pool = pin->pool;

    VEIL_CHECK(pool, VEIL_POOL);
    veil_list_remove(&pin->link);
    pin->pool = NULL;
    if (veil_unlikely(pool->state == POOL_RETIRED)
        && veil_list_is_empty(&pool->pins))
    {
        veil_list_remove(&pool->link);
        veil_list_append(&pool_retired, &pool->link);
    }
}

bool
veil_pool_is_pinned(const veil_pool_t *pool)
{
    VEIL_CHECK(pool, VEIL_POOL);
    return !veil_list_is_empty(&pool->pins);
}

const char *
veil_pool_name(const veil_pool_t *pool)
{
    VEIL_CHECK(pool, VEIL_POOL);
    return pool->name;
}

size_t
veil_pool_size(const veil_pool_t *pool)
{
    const pool_block_t *b;
    size_t size;

    VEIL_CHECK(pool, VEIL_POOL);
    if (pool_mode.guard) {
        return sizeof(pool_guarded_t)
               + ((const pool_guarded_t *) pool)->guard.bytes;
    }
    size = pool->block_size;
    for (b = pool->blocks; b != NULL; b = b->next) {
        size += b->size;
    }
    return size;
}

static void
pool_report(const veil_pool_t *pool, veil_pool_report_fn *print, void *data)
{
    veil_list_t *n;
    char buf[512];
    size_t len;

    len = veil_snprintf(buf, sizeof(buf), "pool \"%s\", %zu bytes%s",
                        pool->name, veil_pool_size(pool),
                        pool->state == POOL_LIVE ? "" : ", retired");
    veil_list_foreach (n, &pool->pins) {
        len += veil_snprintf(buf + len, sizeof(buf) - len, ", pinned by %s",
                             veil_list_entry(n, veil_pin_t, link)->name);
    }
    print(data, buf);
}

unsigned
veil_pool_count(veil_pool_report_fn *print, void *data)
{
    veil_list_t *const lists[] = { &pool_live, &pool_retired, &pool_waiting };
    veil_list_t *n;
    size_t i;

    for (i = 0; print != NULL && i < veil_countof(lists); i++) {
        veil_list_foreach (n, lists[i]) {
            pool_report(veil_list_entry(n, veil_pool_t, link), print, data);
        }
    }
    return pool_stat.live;
}

void
veil_pool_stats(veil_pool_stats_t *stats)
{
    *stats = pool_stat;
}

void
veil_pool_trim(void)
{
    pool_block_t *b;
    size_t i;

    for (i = 0; i < POOL_CLASSES; i++) {
        while ((b = pool_classes[i].first) != NULL) {
            pool_classes[i].first = b->next;
            veil_free(b);
        }
        pool_classes[i].n = 0;
    }
    pool_stat.kept_bytes = 0;
}
