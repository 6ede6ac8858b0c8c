/*
 * test_lock.c -- locks in shared memory: exclusion, holders that die, readers
 * and writers.
 */

#include "core/platform.h"

#include <criterion/criterion.h>
#include <sys/mman.h>
#include <sys/wait.h>

#include "core/lock.c"

typedef struct {
    veil_lock_t lock;
    veil_rwlock_t rw;
    unsigned long count;
    unsigned long other;
    unsigned started;
} shared_t;

static shared_t *sh;

static void
setup(void)
{
    sh = mmap(NULL, sizeof(*sh), PROT_READ | PROT_WRITE,
              MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    cr_assert_neq(sh, MAP_FAILED);
}

static void
teardown(void)
{
    munmap(sh, sizeof(*sh));
}

TestSuite(lock, .init = setup, .fini = teardown, .timeout = 240);

typedef void work_fn(void);

static pid_t
start(work_fn *fn)
{
    pid_t pid = fork();

    cr_assert_geq(pid, 0);
    if (pid == 0) {
        fn();
        _exit(0);
    }
    return pid;
}

static void
reap(pid_t pid)
{
    int status;

    cr_assert_eq(waitpid(pid, &status, 0), pid);
    cr_assert_eq(status, 0);
}

/* Waits until the process is a zombie, and leaves it one. */
static void
until_dead(pid_t pid)
{
    siginfo_t info;

    cr_assert_eq(waitid(P_PID, (id_t) pid, &info, WEXITED | WNOWAIT), 0);
}

static void
count_up(void)
{
    unsigned i;

    for (i = 0; i < 20000; i++) {
        if (!veil_lock(&sh->lock)) {
            _exit(1);
        }
        sh->count++;
        veil_unlock(&sh->lock);
    }
}

Test(lock, excludes)
{
    pid_t a = start(count_up), b = start(count_up), c = start(count_up);

    reap(a);
    reap(b);
    reap(c);
    cr_assert_eq(sh->count, 60000);
    cr_assert_eq(sh->lock.breaks, 0);
}

static void
take_and_die(void)
{
    if (!veil_lock(&sh->lock)) {
        _exit(1);
    }
}

Test(lock, a_waiter_takes_it_from_a_dead_process)
{
    pid_t pid = start(take_and_die);

    until_dead(pid);
    cr_assert_not(veil_lock(&sh->lock), "from a zombie");
    cr_assert(veil_lock_is_mine(&sh->lock));
    veil_unlock(&sh->lock);
    cr_assert_not(veil_lock(&sh->lock), "still not mended");
    veil_lock_mend(&sh->lock);
    veil_unlock(&sh->lock);
    reap(pid);

    reap(start(take_and_die));
    cr_assert_not(veil_lock(&sh->lock), "from one that is gone");
    veil_lock_mend(&sh->lock);
    veil_unlock(&sh->lock);
    cr_assert(veil_lock(&sh->lock));
    veil_unlock(&sh->lock);
    cr_assert_eq(sh->lock.breaks, 2);
}

Test(lock, the_keeper_breaks_it_at_once)
{
    bool whole;
    pid_t pid = start(take_and_die);

    reap(pid);
    cr_assert_not(veil_trylock(&sh->lock, &whole));
    cr_assert_not(veil_lock_break(&sh->lock, pid + 1));
    cr_assert(veil_lock_break(&sh->lock, pid));
    cr_assert_not(veil_lock_break(&sh->lock, pid));
    cr_assert(veil_trylock(&sh->lock, &whole));
    cr_assert_not(whole);
    veil_unlock(&sh->lock);
}

Test(lock, a_number_that_is_used_again_is_another_process)
{
    /* This process' number, with another time of birth. */
    sh->lock.holder = lock_me() ^ (uint64_t) 1 << 32;
    cr_assert_not(veil_lock(&sh->lock));
    veil_unlock(&sh->lock);
}

static void
take_and_wait(void)
{
    if (!veil_lock(&sh->lock)) {
        _exit(1);
    }
    __atomic_store_n(&sh->started, 1, __ATOMIC_RELEASE);
    usleep(50000);
    sh->count = 1;
    veil_unlock(&sh->lock);
}

Test(lock, a_living_holder_is_waited_for)
{
    pid_t pid = start(take_and_wait);

    while (__atomic_load_n(&sh->started, __ATOMIC_ACQUIRE) == 0) {
        usleep(1000);
    }
    cr_assert(veil_lock(&sh->lock));
    cr_assert_eq(sh->count, 1);
    veil_unlock(&sh->lock);
    reap(pid);
}

Test(lock, taking_it_twice_is_a_panic, .signal = SIGABRT)
{
    cr_assert(veil_lock(&sh->lock));
    cr_assert(veil_lock(&sh->lock));
}

static void
write_pairs(void)
{
    unsigned i;

    for (i = 0; i < 3000; i++) {
        if (!veil_rwlock_write(&sh->rw)) {
            _exit(1);
        }
        sh->count++;
        sh->other++;
        veil_rwlock_write_end(&sh->rw);
    }
}

static void
read_pairs(void)
{
    unsigned i;

    for (i = 0; i < 3000; i++) {
        if (!veil_rwlock_read(&sh->rw)) {
            _exit(1);
        }
        if (sh->count != sh->other) {
            _exit(2);
        }
        veil_rwlock_read_end(&sh->rw);
    }
}

Test(lock, readers_never_see_half_a_change)
{
    pid_t a = start(write_pairs), b = start(read_pairs), c = start(read_pairs),
          d = start(write_pairs);

    reap(a);
    reap(b);
    reap(c);
    reap(d);
    cr_assert_eq(sh->count, 6000);
    cr_assert_eq(sh->other, 6000);
}

static void
read_and_die(void)
{
    if (!veil_rwlock_read(&sh->rw)) {
        _exit(1);
    }
}

static void
write_and_die(void)
{
    if (!veil_rwlock_write(&sh->rw)) {
        _exit(1);
    }
}

Test(lock, dead_readers_and_writers)
{
    pid_t pid;

    reap(start(read_and_die));
    cr_assert(veil_rwlock_write(&sh->rw), "a dead reader changed nothing");
    veil_rwlock_write_end(&sh->rw);

    reap(start(write_and_die));
    cr_assert_not(veil_rwlock_read(&sh->rw));
    veil_rwlock_read_end(&sh->rw);
    cr_assert_not(veil_rwlock_write(&sh->rw));
    veil_lock_mend(&sh->rw.writer);
    veil_rwlock_write_end(&sh->rw);

    pid = start(read_and_die);
    reap(pid);
    cr_assert_not(veil_rwlock_break(&sh->rw, pid));
    pid = start(write_and_die);
    reap(pid);
    cr_assert(veil_rwlock_break(&sh->rw, pid));
    cr_assert_not(veil_rwlock_read(&sh->rw));
    veil_rwlock_read_end(&sh->rw);
}
