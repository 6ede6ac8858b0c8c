/*
 * lock.c -- locks in shared memory that survive the death of their holder.
 *
 * The fast path is one compare-and-swap.  A waiter spins for a while, as
 * critical sections are short; then it yields, and from the first
 * millisecond on it looks every few milliseconds whether the holder is
 * alive.  Robust futexes would do this in the kernel, but they are bound to
 * the C library's mutexes, whose layout differs between two builds of veil
 * that share a zone across an upgrade.
 *
 * Taking a lock from a dead process is a compare-and-swap from its word to
 * one's own, so that only one of several waiters does it.
 */

#include "core/platform.h"

#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <time.h>

#include "core/assert.h"
#include "core/fault.h"
#include "core/lock.h"
#include "core/str.h"

#define LOCK_SPINS 256
#define LOCK_YIELDS 64
#define LOCK_NAP_NS 200000
/* Naps between two looks at the holder. */
#define LOCK_NAPS 10

static uint64_t lock_self; /* 0: to be found out (again, after fork) */

typedef enum { LOCK_ALIVE, LOCK_DEAD } lock_life_t;

/*
 * State and start time (in ticks since boot, cut to 32 bits) of a process
 * from /proc/PID/stat: "pid (comm) state ... starttime", the comm may hold
 * anything.  False when it cannot be read.
 */
static bool
lock_read_stat(pid_t pid, char *state, uint32_t *start)
{
    char path[64], text[1024], *p;
    unsigned long long ticks;
    ssize_t n;
    int fd, field;

    veil_snprintf(path, sizeof(path), "/proc/%d/stat", (int) pid);
    fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0) {
        return false;
    }
    n = read(fd, text, sizeof(text) - 1);
    close(fd);
    if (n <= 0) {
        return false;
    }
    text[n] = '\0';
    p = strrchr(text, ')');
    if (p == NULL || p[1] != ' ') {
        return false;
    }
    *state = p[2];
    /* The state is field 3, the start time 22. */
    for (field = 2; field < 22 && p != NULL; field++) {
        p = strchr(p + 1, ' ');
    }
    if (p == NULL) {
        return false;
    }
    ticks = strtoull(p + 1, NULL, 10);
    *start = (uint32_t) ticks;
    return true;
}

static void
lock_forget_self(void)
{
    lock_self = 0;
}

static uint64_t
lock_me(void)
{
    static bool registered;
    uint32_t start = 0;
    char state;

    if (veil_likely(lock_self != 0)) {
        return lock_self;
    }
    if (!registered) {
        registered = pthread_atfork(NULL, NULL, lock_forget_self) == 0;
    }
    (void) lock_read_stat(getpid(), &state, &start);
    lock_self = (uint64_t) start << 32 | (uint32_t) getpid();
    return lock_self;
}

static lock_life_t
lock_look(uint64_t holder)
{
    pid_t pid = (pid_t) (uint32_t) holder;
    uint32_t start = 0, known = (uint32_t) (holder >> 32);
    char state = '?';

    if (kill(pid, 0) != 0 && errno == ESRCH) {
        return LOCK_DEAD;
    }
    if (!lock_read_stat(pid, &state, &start)) {
        return LOCK_ALIVE;
    }
    if (state == 'Z' || state == 'X') {
        return LOCK_DEAD;
    }
    /* Another process with the number of the holder. */
    return known != 0 && start != 0 && start != known ? LOCK_DEAD : LOCK_ALIVE;
}

uint64_t
veil_process_id(void)
{
    return lock_me();
}

bool
veil_process_is_dead(uint64_t id)
{
    return lock_look(id) == LOCK_DEAD;
}

/* One step of waiting; true when it is time to look at the holder. */
static bool
lock_wait(unsigned *step)
{
    static const struct timespec nap = { .tv_nsec = LOCK_NAP_NS };
    unsigned n = (*step)++;

    if (n < LOCK_SPINS) {
#if defined(__x86_64__) || defined(__i386__)
        __builtin_ia32_pause();
#endif
        return false;
    }
    if (n < LOCK_SPINS + LOCK_YIELDS) {
        (void) sched_yield();
        return false;
    }
    (void) nanosleep(&nap, NULL);
    return (n - LOCK_SPINS - LOCK_YIELDS) % LOCK_NAPS == LOCK_NAPS - 1;
}

static bool
lock_swap(uint64_t *word, uint64_t from, uint64_t to)
{
    return __atomic_compare_exchange_n(word, &from, to, false,
                                       __ATOMIC_ACQUIRE, __ATOMIC_RELAXED);
}

static uint64_t
lock_get(const uint64_t *word)
{
    return __atomic_load_n(word, __ATOMIC_RELAXED);
}

static void
lock_note_break(veil_lock_t *l)
{
    __atomic_store_n(&l->broken, 1, __ATOMIC_RELAXED);
    __atomic_fetch_add(&l->breaks, 1, __ATOMIC_RELAXED);
}

/* Takes the lock from its holder if that is dead. */
static bool
lock_take_over(veil_lock_t *l, uint64_t me)
{
    uint64_t holder = lock_get(&l->holder);

    if (holder == 0 || lock_look(holder) == LOCK_ALIVE
        || !lock_swap(&l->holder, holder, me))
    {
        return false;
    }
    VEIL_FAULT("lock.stolen");
    lock_note_break(l);
    return true;
}

bool
veil_lock(veil_lock_t *l)
{
    uint64_t me = lock_me();
    unsigned step = 0;

    while (!lock_swap(&l->holder, 0, me)) {
        if (lock_get(&l->holder) == me) {
            veil_panic("a lock is taken twice by one process");
        }
        if (lock_wait(&step) && lock_take_over(l, me)) {
            break;
        }
    }
    VEIL_FAULT("lock.taken");
    return l->broken == 0;
}

bool
veil_trylock(veil_lock_t *l, bool *whole)
{
    if (!lock_swap(&l->holder, 0, lock_me())) {
        return false;
    }
    *whole = l->broken == 0;
    return true;
}

void
veil_unlock(veil_lock_t *l)
{
    VEIL_ASSERT(l->holder == lock_me());
    VEIL_FAULT("lock.release");
    __atomic_store_n(&l->holder, 0, __ATOMIC_RELEASE);
    VEIL_FAULT("lock.released");
}

void
veil_lock_mend(veil_lock_t *l)
{
    VEIL_ASSERT(l->holder == lock_me());
    l->broken = 0;
}

bool
veil_lock_is_mine(const veil_lock_t *l)
{
    return lock_get(&l->holder) == lock_me();
}

bool
veil_lock_break(veil_lock_t *l, pid_t dead)
{
    uint64_t me = lock_me(), holder = lock_get(&l->holder);

    if ((pid_t) (uint32_t) holder != dead || holder == 0
        || !lock_swap(&l->holder, holder, me))
    {
        return false;
    }
    lock_note_break(l);
    veil_unlock(l);
    return true;
}

/* --- readers and a writer -------------------------------------------------
 */

static uint64_t *
lock_claim_slot(veil_rwlock_t *l, uint64_t me)
{
    unsigned i, n, first = (unsigned) (uint32_t) me % VEIL_RWLOCK_READERS;

    for (n = 0; n < VEIL_RWLOCK_READERS; n++) {
        i = (first + n) % VEIL_RWLOCK_READERS;
        if (__atomic_load_n(&l->readers[i], __ATOMIC_RELAXED) == 0) {
            uint64_t free_word = 0;

            /* Sequential: a writer looks at slots after taking its word. */
            if (__atomic_compare_exchange_n(&l->readers[i], &free_word, me,
                                            false, __ATOMIC_SEQ_CST,
                                            __ATOMIC_RELAXED))
            {
                return &l->readers[i];
            }
        }
    }
    return NULL;
}

static void
lock_drop_dead_readers(veil_rwlock_t *l)
{
    uint64_t reader;
    unsigned i;

    for (i = 0; i < VEIL_RWLOCK_READERS; i++) {
        reader = lock_get(&l->readers[i]);
        if (reader != 0 && lock_look(reader) == LOCK_DEAD) {
            (void) lock_swap(&l->readers[i], reader, 0);
        }
    }
}

bool
veil_rwlock_read(veil_rwlock_t *l)
{
    uint64_t me = lock_me(), writer;
    uint64_t *slot;
    unsigned step = 0;

    for (;;) {
        slot = lock_claim_slot(l, me);
        if (slot != NULL) {
            if (__atomic_load_n(&l->writer.holder, __ATOMIC_SEQ_CST) == 0) {
                return __atomic_load_n(&l->writer.broken, __ATOMIC_RELAXED)
                       == 0;
            }
            __atomic_store_n(slot, 0, __ATOMIC_RELEASE);
        }
        if (!lock_wait(&step)) {
            continue;
        }
        writer = lock_get(&l->writer.holder);
        if (writer != 0 && lock_take_over(&l->writer, me)) {
            veil_unlock(&l->writer);
        }
        lock_drop_dead_readers(l);
    }
}

void
veil_rwlock_read_end(veil_rwlock_t *l)
{
    uint64_t me = lock_me();
    unsigned i, n, first = (unsigned) (uint32_t) me % VEIL_RWLOCK_READERS;

    for (n = 0; n < VEIL_RWLOCK_READERS; n++) {
        i = (first + n) % VEIL_RWLOCK_READERS;
        if (lock_get(&l->readers[i]) == me) {
            __atomic_store_n(&l->readers[i], 0, __ATOMIC_RELEASE);
            return;
        }
    }
    veil_panic("a lock for reading is given back by a process without it");
}

bool
veil_rwlock_write(veil_rwlock_t *l)
{
    bool whole = veil_lock(&l->writer);
    unsigned i, step = 0;

    for (i = 0; i < VEIL_RWLOCK_READERS; i++) {
        while (__atomic_load_n(&l->readers[i], __ATOMIC_SEQ_CST) != 0) {
            if (lock_wait(&step)) {
                lock_drop_dead_readers(l);
            }
        }
    }
    return whole;
}

void
veil_rwlock_write_end(veil_rwlock_t *l)
{
    veil_unlock(&l->writer);
}

bool
veil_rwlock_break(veil_rwlock_t *l, pid_t dead)
{
    uint64_t reader;
    unsigned i;

    for (i = 0; i < VEIL_RWLOCK_READERS; i++) {
        reader = lock_get(&l->readers[i]);
        if (reader != 0 && (pid_t) (uint32_t) reader == dead) {
            (void) lock_swap(&l->readers[i], reader, 0);
        }
    }
    return veil_lock_break(&l->writer, dead);
}
