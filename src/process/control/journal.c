/*
 * journal.c -- what a server remembers of itself from master to master.
 *
 * The memory is one of the zones that the hold keeps, as the board is: it
 * goes along in an upgrade, and a keeper has its descriptor for the master
 * that it starts when its own was killed.  Only masters map it.  A worker, in
 * which somebody else's requests are, has neither the memory nor the
 * descriptor: what is remembered of a break-in should not be the burglar's to
 * write.
 *
 * During an upgrade there are two masters, and both have something to tell:
 * the one its workers that start, the other its workers that end.  A lock
 * that survives its holder orders them.  Whatever is changed is changed in an
 * order in which a holder may be killed: room is made before it is written
 * to, and a record counts when its number is stored, which is the last thing.
 *
 * A program with another layout of this memory begins with empty rings.  The
 * numbers are kept a second time for that, in memory whose layout does not
 * change: so they go on there, and on the way back.
 */

#include "core/platform.h"

#include <pthread.h>
#include <sys/mman.h>

#include "core/assert.h"
#include "core/lock.h"
#include "core/pool.h"
#include "process/control/audit_log.h"
#include "process/control/events.h"
#include "process/control/journal.h"

typedef struct {
    uint64_t at;  /* of its first byte, of all that were ever written */
    uint64_t seq; /* its number */
    uint32_t len;
    uint32_t reserved;
    char kind[VEIL_CONTROL_VERB_MAX];
} journal_slot_t;

typedef struct {
    uint64_t seq;   /* the last that was given */
    uint64_t first; /* that is kept, less 1 */
    uint64_t last;
    uint64_t end;                             /* bytes ever written */
    journal_slot_t slots[VEIL_JOURNAL_SLOTS]; /* n is at (n - 1) modulo */
    char text[VEIL_JOURNAL_BYTES];
} journal_ring_t;

/* Zeroed memory is an empty one. */
typedef struct {
    veil_lock_t lock;
    uint64_t begun; /* the number of the record that is made */
    uint64_t clients;
    veil_log_rules_t rules;
    journal_ring_t rings[VEIL_JOURNAL_RINGS];
} journal_t;

_Static_assert(VEIL_EVENTS_KEPT <= VEIL_JOURNAL_SLOTS
                   && VEIL_AUDIT_KEPT <= VEIL_JOURNAL_SLOTS,
               "there are slots for all");

static const unsigned journal_kept[VEIL_JOURNAL_RINGS] = {
    [VEIL_JOURNAL_EVENTS] = VEIL_EVENTS_KEPT,
    [VEIL_JOURNAL_AUDIT] = VEIL_AUDIT_KEPT,
};

/* This one has the same layout for ever. */
typedef struct {
    uint64_t seq[VEIL_JOURNAL_RINGS]; /* the last that were given */
    uint64_t clients;
} journal_numbers_t;

/* Blanks keep the names apart from those of a configuration. */
enum { JOURNAL_RECORDS, JOURNAL_NUMBERS };
static struct {
    char name[24];
    uint64_t layout;
    size_t size;
    int fd;
} journal_zones[VEIL_JOURNAL_ZONES] = {
    [JOURNAL_RECORDS] = { "veil journal", 1, sizeof(journal_t), -1 },
    [JOURNAL_NUMBERS] = { "veil numbers", 1, sizeof(journal_numbers_t), -1 },
};

static journal_t *journal;
static journal_numbers_t *journal_numbers; /* NULL: none */

/* --- the memory ---------------------------------------------------------- */

int
veil_journal_zone(unsigned i, veil_hold_zone_t *key)
{
    memset(key, 0, sizeof(*key));
    memcpy(key->name, journal_zones[i].name, sizeof(journal_zones[i].name));
    memcpy(key->tag, journal_zones[i].name, sizeof(journal_zones[i].name));
    key->size = journal_zones[i].size;
    key->layout = journal_zones[i].layout;
    return journal_zones[i].fd;
}

/* The mappings are not the child's. */
static void
journal_forget(void)
{
    journal = NULL;
    journal_numbers = NULL;
}

static void *
journal_map(int fd, size_t size)
{
    void *mem = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);

    if (mem != MAP_FAILED && madvise(mem, size, MADV_DONTFORK) != 0) {
        (void) munmap(mem, size);
        return MAP_FAILED;
    }
    return mem;
}

/* NULL after logging. */
static void *
journal_open_zone(unsigned i, veil_hold_t *hold, const veil_log_t *log)
{
    veil_hold_zone_t want;
    void *mem = MAP_FAILED;
    bool fresh;
    int fd;

    (void) veil_journal_zone(i, &want);
    /* Of no generation: named by one that always comes. */
    fd = veil_hold_zone(hold, &want, UINT64_MAX, &fresh);
    if (fd >= 0) {
        mem = journal_map(fd, want.size);
    }
    if (mem == MAP_FAILED) {
        veil_log(log, VEIL_LOG_ALERT, fd < 0 ? -fd : errno,
                 "no memory for events that another master can go on with");
        return NULL;
    }
    journal_zones[i].fd = fd;
    return mem;
}

void
veil_journal_open(veil_hold_t *hold, const veil_log_t *log)
{
    veil_log_rules_t rules;
    void *numbers;
    void *mem;

    if (pthread_atfork(NULL, NULL, journal_forget) != 0) {
        return; /* no memory */
    }
    numbers = journal_open_zone(JOURNAL_NUMBERS, hold, log);
    mem = journal_open_zone(JOURNAL_RECORDS, hold, log);
    journal_numbers = numbers;
    if (mem == NULL) {
        return;
    }
    veil_free(journal); /* of before */
    journal = mem;
    veil_journal_rules(&rules);
    if (rules.n != 0) {
        veil_log_set_rules(&rules);
    }
}

void
veil_journal_close(void)
{
    unsigned i;

    for (i = 0; i < VEIL_JOURNAL_ZONES; i++) {
        if (journal_zones[i].fd >= 0) {
            close(journal_zones[i].fd);
            journal_zones[i].fd = -1;
        }
    }
}

static void
journal_lock(void)
{
    if (journal == NULL) {
        journal = veil_zalloc(sizeof(*journal));
    }
    if (!veil_lock(&journal->lock)) {
        /* Whoever died with it left everything in order. */
        veil_lock_mend(&journal->lock);
    }
}

static void
journal_unlock(void)
{
    veil_unlock(&journal->lock);
}

/* --- rings --------------------------------------------------------------- */

static journal_slot_t *
journal_slot(journal_ring_t *r, uint64_t n)
{
    return &r->slots[(n - 1) % VEIL_JOURNAL_SLOTS];
}

/* The oldest go, until there is room for one more of that length. */
static void
journal_make_room(journal_ring_t *r, size_t len, unsigned kept)
{
    uint64_t end = r->end + len;

    while (
        r->first < r->last
        && (r->last - r->first >= kept
            || end - journal_slot(r, r->first + 1)->at > VEIL_JOURNAL_BYTES))
    {
        r->first++;
    }
    r->end = end;
    /* If this process is killed now, what it writes over is not there. */
    __atomic_thread_fence(__ATOMIC_RELEASE);
}

/* The ring's bytes go round: how many of these there are before its end. */
static size_t
journal_head(uint64_t at, size_t len)
{
    size_t head = VEIL_JOURNAL_BYTES - (size_t) (at % VEIL_JOURNAL_BYTES);

    return head < len ? head : len;
}

static void
journal_put(journal_ring_t *r, uint64_t at, const char *text, size_t len)
{
    size_t head = journal_head(at, len);

    memcpy(r->text + at % VEIL_JOURNAL_BYTES, text, head);
    memcpy(r->text, text + head, len - head);
}

static void
journal_get(const journal_ring_t *r, uint64_t at, char *text, size_t len)
{
    size_t head = journal_head(at, len);

    memcpy(text, r->text + at % VEIL_JOURNAL_BYTES, head);
    memcpy(text + head, r->text, len - head);
}

/* A number that is not given any more; the other master may do the same. */
static void
journal_note(uint64_t *given, uint64_t seq)
{
    uint64_t last = __atomic_load_n(given, __ATOMIC_RELAXED);

    while (last < seq
           && !__atomic_compare_exchange_n(given, &last, seq, false,
                                           __ATOMIC_RELAXED, __ATOMIC_RELAXED))
    {
    }
}

/*
 * The number that follows, here and with a master that has another ring.  Of
 * events all are kept, and counted by that: a ring in which some are missing
 * begins anew.
 */
static uint64_t
journal_next(veil_journal_ring_t ring)
{
    journal_ring_t *r = &journal->rings[ring];
    uint64_t last = ring == VEIL_JOURNAL_EVENTS ? r->last : r->seq;
    uint64_t given =
        journal_numbers == NULL
            ? 0
            : __atomic_load_n(&journal_numbers->seq[ring], __ATOMIC_RELAXED);

    if (given > last && ring == VEIL_JOURNAL_EVENTS) {
        r->first = given;
        r->last = given;
    }
    return (given > last ? given : last) + 1;
}

uint64_t
veil_journal_begin(veil_journal_ring_t ring)
{
    journal_lock();
    journal->begun = journal_next(ring);
    return journal->begun;
}

void
veil_journal_end(veil_journal_ring_t ring, const char *kind, const char *text,
                 size_t len)
{
    journal_ring_t *r = &journal->rings[ring];
    journal_slot_t *s;
    uint64_t at = r->end;

    VEIL_ASSERT(veil_lock_is_mine(&journal->lock));
    r->seq = journal->begun;
    if (text != NULL && len <= VEIL_JOURNAL_TEXT) {
        journal_make_room(r, len, journal_kept[ring]);
        journal_put(r, at, text, len);
        s = journal_slot(r, r->last + 1);
        s->at = at;
        s->seq = r->seq;
        s->len = (uint32_t) len;
        (void) veil_str_copy_z(s->kind, sizeof(s->kind), veil_str_z(kind));
        __atomic_store_n(&r->last, r->last + 1, __ATOMIC_RELEASE);
    }
    if (journal_numbers != NULL) {
        journal_note(&journal_numbers->seq[ring], r->seq);
    }
    journal_unlock();
}

void
veil_journal_range(veil_journal_ring_t ring, uint64_t *first, uint64_t *last)
{
    journal_lock();
    *first = journal->rings[ring].first + 1;
    *last = journal->rings[ring].last;
    journal_unlock();
}

/* NULL: it is not there.  With the lock. */
static const journal_slot_t *
journal_find(journal_ring_t *r, uint64_t n)
{
    return n > r->first && n <= r->last ? journal_slot(r, n) : NULL;
}

bool
veil_journal_look(veil_journal_ring_t ring, uint64_t n,
                  veil_journal_record_t *record)
{
    const journal_slot_t *s;

    journal_lock();
    s = journal_find(&journal->rings[ring], n);
    if (s != NULL) {
        record->seq = s->seq;
        memcpy(record->kind, s->kind, sizeof(record->kind));
        record->kind[sizeof(record->kind) - 1] = '\0';
    }
    journal_unlock();
    return s != NULL;
}

json_t *
veil_journal_read(veil_journal_ring_t ring, uint64_t n)
{
    const journal_slot_t *s;
    json_t *json = NULL;
    char *text = NULL;
    size_t len = 0;

    journal_lock();
    s = journal_find(&journal->rings[ring], n);
    if (s != NULL && s->len <= VEIL_JOURNAL_TEXT) {
        len = s->len;
        text = veil_alloc(len + 1);
        journal_get(&journal->rings[ring], s->at, text, len);
    }
    journal_unlock();
    if (text != NULL) {
        json = json_loadb(text, len, 0, NULL);
        veil_free(text);
    }
    return json;
}

/* --- the rest ------------------------------------------------------------ */

uint64_t
veil_journal_client(void)
{
    uint64_t n;

    journal_lock();
    n = journal->clients;
    if (journal_numbers != NULL && journal_numbers->clients > n) {
        n = journal_numbers->clients;
    }
    journal->clients = ++n;
    if (journal_numbers != NULL) {
        journal_note(&journal_numbers->clients, n);
    }
    journal_unlock();
    return n;
}

void
veil_journal_keep_rules(const veil_log_rules_t *rules)
{
    journal_lock();
    journal->rules = *rules;
    journal_unlock();
}

void
veil_journal_rules(veil_log_rules_t *rules)
{
    journal_lock();
    *rules = journal->rules;
    journal_unlock();
    if (rules->n > VEIL_LOG_RULES) {
        rules->n = 0;
    }
}
