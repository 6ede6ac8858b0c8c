/*
 * slab.c -- allocation inside a shared zone.
 *
 * Truth and lists.  For each page the table says what it is (kind) and, for
 * a page of slots, which slots are in use (bitmap).  These two are the truth,
 * and they are changed so that they are right after every store:
 *
 *   - a page of slots gets its empty bitmap before its kind;
 *   - a run gets its length and its tail pages' kind before its head's kind,
 *     and loses its head's kind first; tails without a head are free pages;
 *   - a slot is one bit.
 *
 * Free runs and pages with free slots hang in doubly linked lists by page
 * number; these are only a way to find quickly what the truth says, and are
 * made anew (slab_rebuild) when somebody died with the lock.
 *
 * Free runs know their length at both ends (head and last page), so that a
 * run that becomes free joins its neighbours at once.  A search takes the
 * first run that is long enough; single pages, the usual case, come off the
 * end of the first run of the list.
 *
 * Zeroing happens at allocation, so that a module never sees what another
 * object left behind.
 */

#include "core/platform.h"

#include "core/assert.h"
#include "core/fault.h"
#include "core/lock.h"
#include "core/shm.h"
#include "core/slab.h"

/* A place where a test kills the process; t/unit/test_slab.c has its own. */
#ifndef SLAB_POINT
#define SLAB_POINT(what) VEIL_FAULT("slab." what)
#endif

#define VEIL_SLAB_MAGIC 0x534c4142u
#define SLAB_VERSION 1u

static const uint16_t slab_sizes[] = { 16,  32,  48,  64,  96,   128,  192,
                                       256, 384, 512, 768, 1024, 1344, 2048 };
#define SLAB_CLASSES 14

#define SLAB_FREE 0u
#define SLAB_TAIL 1u   /* of a run in use */
#define SLAB_RUN 2u    /* its head */
#define SLAB_SLOTS 16u /* + class */

/* Numbers of pages in lists are counted from 1; 0 is none. */
typedef struct {
    uint32_t kind;
    uint32_t run; /* length, in the head of a run; in the last page of a free
                     one as well */
    uint32_t next;
    uint32_t prev;
    uint32_t used; /* bits set; not truth */
    uint32_t reserved[3];
    uint64_t bits[4];
} slab_page_t;

struct veil_slab_s {
    uint32_t magic;
    uint32_t version;
    uint64_t size;
    veil_lock_t lock;
    uint64_t root;
    uint64_t failed;
    uint32_t rebuilds;
    uint32_t breaks; /* the lock's, when the lists were made last */
    uint32_t npages;
    uint32_t pages_free;
    uint32_t free_runs;             /* list */
    uint32_t partial[SLAB_CLASSES]; /* lists: pages with a free slot */
    uint64_t data;                  /* offset of page 0 */
    slab_page_t table[];
};

_Static_assert(sizeof(slab_sizes) / sizeof(slab_sizes[0]) == SLAB_CLASSES,
               "as many lists as classes");
_Static_assert(sizeof(slab_page_t) == 64, "one cache line each");

static void
slab_store(uint32_t *word, uint32_t value)
{
    /* The compiler must not move other stores across the truth. */
    __atomic_store_n(word, value, __ATOMIC_RELEASE);
}

static unsigned
slab_class_slots(unsigned class)
{
    return VEIL_SLAB_PAGE / slab_sizes[class];
}

static unsigned char *
slab_page_data(veil_slab_t *s, uint32_t page)
{
    return (unsigned char *) s + s->data + (size_t) page * VEIL_SLAB_PAGE;
}

/* --- lists ----------------------------------------------------------------
 */

static void
slab_list_push(veil_slab_t *s, uint32_t *head, uint32_t page)
{
    slab_page_t *p = &s->table[page];

    p->prev = 0;
    p->next = *head;
    if (*head != 0) {
        s->table[*head - 1].prev = page + 1;
    }
    SLAB_POINT("push");
    *head = page + 1;
}

static void
slab_list_remove(veil_slab_t *s, uint32_t *head, uint32_t page)
{
    slab_page_t *p = &s->table[page];

    if (p->prev != 0) {
        s->table[p->prev - 1].next = p->next;
    } else {
        *head = p->next;
    }
    SLAB_POINT("remove");
    if (p->next != 0) {
        s->table[p->next - 1].prev = p->prev;
    }
    p->next = 0;
    p->prev = 0;
}

/* --- runs of pages --------------------------------------------------------
 */

/* Pages [page, page + n), all of kind FREE, become a free run. */
static void
slab_run_add(veil_slab_t *s, uint32_t page, uint32_t n)
{
    s->table[page].run = n;
    s->table[page + n - 1].run = n;
    slab_list_push(s, &s->free_runs, page);
    s->pages_free += n;
}

static void
slab_run_remove(veil_slab_t *s, uint32_t page)
{
    s->pages_free -= s->table[page].run;
    slab_list_remove(s, &s->free_runs, page);
}

/* As slab_run_add, and joins the free runs on both sides. */
static void
slab_run_join(veil_slab_t *s, uint32_t page, uint32_t n)
{
    uint32_t other;

    if (page > 0 && s->table[page - 1].kind == SLAB_FREE) {
        other = page - s->table[page - 1].run;
        slab_run_remove(s, other);
        n += page - other;
        page = other;
    }
    SLAB_POINT("join");
    if (page + n < s->npages && s->table[page + n].kind == SLAB_FREE) {
        other = page + n;
        slab_run_remove(s, other);
        n += s->table[other].run;
    }
    slab_run_add(s, page, n);
}

/* Takes n pages out of the free ones; their kind is still FREE.  -1: none. */
static int64_t
slab_run_take(veil_slab_t *s, uint32_t n)
{
    uint32_t at, rest;

    for (at = s->free_runs; at != 0; at = s->table[at - 1].next) {
        if (s->table[at - 1].run >= n) {
            break;
        }
    }
    if (at == 0) {
        return -1;
    }
    at--;
    rest = s->table[at].run - n;
    slab_run_remove(s, at);
    SLAB_POINT("take");
    if (rest != 0) {
        slab_run_add(s, at, rest);
    }
    return (int64_t) at + rest;
}

static void *
slab_alloc_run(veil_slab_t *s, size_t size)
{
    size_t n = size / VEIL_SLAB_PAGE + (size % VEIL_SLAB_PAGE != 0);
    int64_t page;
    uint32_t i;

    if (n > s->pages_free) {
        return NULL;
    }
    page = slab_run_take(s, (uint32_t) n);
    if (page < 0) {
        return NULL;
    }
    for (i = 1; i < n; i++) {
        slab_store(&s->table[page + i].kind, SLAB_TAIL);
    }
    SLAB_POINT("run_tail");
    s->table[page].run = (uint32_t) n;
    slab_store(&s->table[page].kind, SLAB_RUN);
    SLAB_POINT("run_head");
    return slab_page_data(s, (uint32_t) page);
}

static void
slab_free_run(veil_slab_t *s, uint32_t page)
{
    uint32_t i, n = s->table[page].run;

    slab_store(&s->table[page].kind, SLAB_FREE);
    SLAB_POINT("free_head");
    for (i = 1; i < n; i++) {
        slab_store(&s->table[page + i].kind, SLAB_FREE);
    }
    SLAB_POINT("free_tail");
    slab_run_join(s, page, n);
}

/* --- slots ----------------------------------------------------------------
 */

/* A new page of the class, in its list; false when there is none. */
static bool
slab_add_page(veil_slab_t *s, unsigned class)
{
    int64_t page = slab_run_take(s, 1);
    slab_page_t *p;

    if (page < 0) {
        return false;
    }
    p = &s->table[page];
    memset(p->bits, 0, sizeof(p->bits));
    p->used = 0;
    SLAB_POINT("page_bits");
    slab_store(&p->kind, SLAB_SLOTS + class);
    SLAB_POINT("page_kind");
    slab_list_push(s, &s->partial[class], (uint32_t) page);
    return true;
}

static unsigned
slab_first_free_slot(const slab_page_t *p, unsigned nslots)
{
    unsigned word, slot;

    for (word = 0; word * 64 < nslots; word++) {
        if (~p->bits[word] != 0) {
            slot = word * 64 + (unsigned) __builtin_ctzll(~p->bits[word]);
            VEIL_ASSERT(slot < nslots);
            return slot;
        }
    }
    veil_panic("slab: a page in the list of its class has no free slot");
}

static void *
slab_alloc_slot(veil_slab_t *s, unsigned class)
{
    unsigned slot, nslots = slab_class_slots(class);
    slab_page_t *p;
    uint32_t page;

    if (s->partial[class] == 0 && !slab_add_page(s, class)) {
        return NULL;
    }
    page = s->partial[class] - 1;
    p = &s->table[page];
    slot = slab_first_free_slot(p, nslots);
    __atomic_fetch_or(&p->bits[slot / 64], (uint64_t) 1 << slot % 64,
                      __ATOMIC_RELEASE);
    SLAB_POINT("slot_set");
    if (++p->used == nslots) {
        slab_list_remove(s, &s->partial[class], page);
    }
    return slab_page_data(s, page) + (size_t) slot * slab_sizes[class];
}

static void
slab_free_slot(veil_slab_t *s, uint32_t page, size_t offset)
{
    slab_page_t *p = &s->table[page];
    unsigned class = p->kind - SLAB_SLOTS;
    unsigned nslots = slab_class_slots(class);
    unsigned slot = (unsigned) (offset / slab_sizes[class]);
    uint64_t bit = (uint64_t) 1 << slot % 64;

    VEIL_ASSERT(offset % slab_sizes[class] == 0 && slot < nslots);
    VEIL_ASSERT(p->bits[slot / 64] & bit);
    __atomic_fetch_and(&p->bits[slot / 64], ~bit, __ATOMIC_RELEASE);
    SLAB_POINT("slot_clear");
    if (p->used-- == nslots) {
        slab_list_push(s, &s->partial[class], page);
    }
    SLAB_POINT("slot_push");
    if (p->used == 0) {
        slab_list_remove(s, &s->partial[class], page);
        slab_store(&p->kind, SLAB_FREE);
        SLAB_POINT("page_free");
        slab_run_join(s, page, 1);
    }
}

/* --- making the lists from the truth ----------------------------------------
 */

static void
slab_rebuild_slots(veil_slab_t *s, uint32_t page)
{
    slab_page_t *p = &s->table[page];
    unsigned class = p->kind - SLAB_SLOTS;
    unsigned i;

    p->used = 0;
    for (i = 0; i < veil_countof(p->bits); i++) {
        p->used += (unsigned) __builtin_popcountll(p->bits[i]);
    }
    if (p->used == 0) {
        p->kind = SLAB_FREE;
    } else if (p->used < slab_class_slots(class)) {
        slab_list_push(s, &s->partial[class], page);
    }
}

static void
slab_rebuild(veil_slab_t *s)
{
    uint32_t page, end, n;

    s->free_runs = 0;
    s->pages_free = 0;
    memset(s->partial, 0, sizeof(s->partial));
    for (page = 0; page < s->npages; page = end) {
        slab_page_t *p = &s->table[page];

        end = page + 1;
        if (p->kind == SLAB_RUN && p->run != 0 && p->run <= s->npages - page) {
            end = page + p->run;
        } else if (p->kind >= SLAB_SLOTS
                   && p->kind < SLAB_SLOTS + SLAB_CLASSES) {
            slab_rebuild_slots(s, page);
        } else {
            p->kind = SLAB_FREE;
        }
    }
    /* What is free now, and was not joined, in runs as long as can be. */
    for (page = 0; page < s->npages; page += n) {
        slab_page_t *p = &s->table[page];

        n = p->kind == SLAB_RUN ? p->run : 1;
        if (p->kind != SLAB_FREE) {
            continue;
        }
        while (page + n < s->npages && s->table[page + n].kind == SLAB_FREE) {
            n++;
        }
        slab_run_add(s, page, n);
    }
}

/* --- the zone -------------------------------------------------------------
 */

veil_slab_t *
veil_slab_init(void *mem, size_t size)
{
    veil_slab_t *s = mem;
    size_t npages, data;

    VEIL_ASSERT((uintptr_t) mem % 64 == 0);
    if (size < sizeof(*s)) {
        return NULL;
    }
    npages = (size - sizeof(*s)) / (VEIL_SLAB_PAGE + sizeof(slab_page_t));
    /* The table may push the data to the next page's border. */
    for (;; npages--) {
        data = veil_align(sizeof(*s) + npages * sizeof(slab_page_t),
                          VEIL_SLAB_PAGE);
        if (npages == 0 || data + npages * VEIL_SLAB_PAGE <= size) {
            break;
        }
    }
    if (npages == 0 || npages >= UINT32_MAX) {
        return NULL;
    }
    /* The table is left as it is: writing to it would cost 1/64 of all. */
    memset(s, 0, sizeof(*s));
    s->version = SLAB_VERSION;
    s->size = size;
    s->npages = (uint32_t) npages;
    s->data = data;
    slab_run_add(s, 0, s->npages);
    /* Last: an attach in between finds nothing. */
    slab_store(&s->magic, VEIL_SLAB_MAGIC);
    return s;
}

veil_slab_t *
veil_slab_attach(void *mem, size_t size)
{
    veil_slab_t *s = mem;

    if (size < sizeof(*s)
        || __atomic_load_n(&s->magic, __ATOMIC_ACQUIRE) != VEIL_SLAB_MAGIC
        || s->version != SLAB_VERSION || s->size != size)
    {
        return NULL;
    }
    return s;
}

bool
veil_slab_lock(veil_slab_t *s)
{
    bool whole;

    VEIL_CHECK(s, VEIL_SLAB);
    whole = veil_lock(&s->lock);
    if (s->lock.breaks != s->breaks) {
        slab_rebuild(s);
        s->rebuilds++;
        /* Last: who dies in here leaves it to the next. */
        slab_store(&s->breaks, s->lock.breaks);
    }
    return whole;
}

/* For what concerns the allocator only, which is whole in any case. */
static void
slab_enter(veil_slab_t *s)
{
    bool whole = veil_slab_lock(s);

    (void) whole;
}

void
veil_slab_unlock(veil_slab_t *s)
{
    veil_unlock(&s->lock);
}

void
veil_slab_mend(veil_slab_t *s)
{
    veil_lock_mend(&s->lock);
}

bool
veil_slab_recover(veil_slab_t *s, pid_t dead)
{
    if (!veil_lock_break(&s->lock, dead)) {
        return false;
    }
    slab_enter(s);
    veil_slab_unlock(s);
    return true;
}

void *
veil_slab_alloc_locked(veil_slab_t *s, size_t size)
{
    unsigned class = 0;
    void *p;

    VEIL_DCHECK(veil_lock_is_mine(&s->lock));
    while (class < SLAB_CLASSES && slab_sizes[class] < size) {
        class ++;
    }
    p = class < SLAB_CLASSES ? slab_alloc_slot(s, class)
                             : slab_alloc_run(s, size);
    if (p == NULL) {
        s->failed++;
        return NULL;
    }
    veil_shm_zero(p, size);
    return p;
}

void *
veil_slab_alloc(veil_slab_t *s, size_t size)
{
    void *p;

    slab_enter(s);
    p = veil_slab_alloc_locked(s, size);
    veil_slab_unlock(s);
    return p;
}

void
veil_slab_free_locked(veil_slab_t *s, void *p)
{
    uint64_t offset = veil_slab_offset(s, p);
    uint32_t page;

    VEIL_DCHECK(veil_lock_is_mine(&s->lock));
    VEIL_ASSERT(offset >= s->data
                && offset < s->data + (uint64_t) s->npages * VEIL_SLAB_PAGE);
    offset -= s->data;
    page = (uint32_t) (offset / VEIL_SLAB_PAGE);
    if (s->table[page].kind >= SLAB_SLOTS) {
        slab_free_slot(s, page, offset % VEIL_SLAB_PAGE);
        return;
    }
    VEIL_ASSERT(s->table[page].kind == SLAB_RUN
                && offset % VEIL_SLAB_PAGE == 0);
    slab_free_run(s, page);
}

void
veil_slab_free(veil_slab_t *s, void *p)
{
    slab_enter(s);
    veil_slab_free_locked(s, p);
    veil_slab_unlock(s);
}

void
veil_slab_reset(veil_slab_t *s)
{
    uint32_t i;

    VEIL_ASSERT(veil_lock_is_mine(&s->lock));
    s->root = 0;
    for (i = 0; i < s->npages; i++) {
        slab_store(&s->table[i].kind, SLAB_FREE);
    }
    slab_rebuild(s);
}

uint64_t
veil_slab_offset(const veil_slab_t *s, const void *p)
{
    if (p == NULL) {
        return 0;
    }
    VEIL_DCHECK((const char *) p > (const char *) s
                && (const char *) p < (const char *) s + s->size);
    return (uint64_t) ((const char *) p - (const char *) s);
}

void *
veil_slab_pointer(veil_slab_t *s, uint64_t offset)
{
    if (offset == 0) {
        return NULL;
    }
    VEIL_ASSERT(offset < s->size);
    return (char *) s + offset;
}

uint64_t
veil_slab_root(const veil_slab_t *s)
{
    return s->root;
}

void
veil_slab_set_root(veil_slab_t *s, uint64_t offset)
{
    s->root = offset;
}

void
veil_slab_stats(veil_slab_t *s, veil_slab_stats_t *stats)
{
    const slab_page_t *p;
    uint32_t i;

    slab_enter(s);
    *stats = (veil_slab_stats_t){ .pages = s->npages,
                                  .pages_free = s->pages_free,
                                  .failed = s->failed,
                                  .rebuilds = s->rebuilds };
    for (i = 0; i < s->npages; i++) {
        p = &s->table[i];
        if (p->kind == SLAB_RUN) {
            stats->used += (uint64_t) p->run * VEIL_SLAB_PAGE;
        } else if (p->kind >= SLAB_SLOTS) {
            stats->used +=
                (uint64_t) p->used * slab_sizes[p->kind - SLAB_SLOTS];
        }
    }
    veil_slab_unlock(s);
}
