/* test_rand.c -- random numbers. */

#include <criterion/criterion.h>
#include <signal.h>
#include <sys/wait.h>

#include "core/platform.h"

#include "core/rand.c"

Test(rand, bytes)
{
    unsigned char a[1000] = { 0 }, b[1000] = { 0 };
    unsigned ones = 0;
    size_t i;

    veil_rand_bytes(a, sizeof(a));
    veil_rand_bytes(b, sizeof(b));
    cr_assert_neq(memcmp(a, b, sizeof(a)), 0);
    for (i = 0; i < sizeof(a); i++) {
        ones += (unsigned) __builtin_popcount(a[i]);
    }
    cr_assert(ones > 3700 && ones < 4300, "%u of 8000 bits", ones);
    veil_rand_bytes(a, 0);
}

Test(rand, seeded_repeats)
{
    uint64_t first, second;

    veil_rand_seed(1);
    first = veil_rand_u64();
    second = veil_rand_u64();
    cr_assert_neq(first, second);
    veil_rand_seed(1);
    cr_assert_eq(veil_rand_u64(), first);
    cr_assert_eq(veil_rand_u64(), second);
    veil_rand_seed(2);
    cr_assert_neq(veil_rand_u64(), first);
}

/* What the definition gives for the state 1 2 3 4. */
Test(rand, generator_is_the_published_one)
{
    static const uint64_t want[] = { 11520, 0, 1509978240,
                                     1215971899390074240 };
    size_t i;

    veil_rand_seed(0);
    for (i = 0; i < 4; i++) {
        rand_state[i] = i + 1;
    }
    for (i = 0; i < 4; i++) {
        cr_assert_eq(veil_rand_u64(), want[i]);
    }
}

Test(rand, below_is_even)
{
    unsigned counts[6] = { 0 }, i;

    veil_rand_seed(5);
    for (i = 0; i < 60000; i++) {
        counts[veil_rand_below(6)]++;
    }
    for (i = 0; i < 6; i++) {
        cr_assert(counts[i] > 9500 && counts[i] < 10500, "%u", counts[i]);
    }
    cr_assert_eq(veil_rand_below(1), 0);
    for (i = 0; i < 100; i++) {
        cr_assert_leq(veil_rand_below(UINT64_MAX), UINT64_MAX - 1);
    }
}

Test(rand, below_zero_aborts, .signal = SIGABRT)
{
    (void) veil_rand_below(0);
}

Test(rand, a_child_does_not_repeat_its_parent)
{
    uint64_t mine, its;
    int fds[2];
    pid_t pid;

    (void) veil_rand_u64();
    cr_assert_eq(pipe(fds), 0);
    pid = fork();
    if (pid == 0) {
        its = veil_rand_u64();
        _exit(write(fds[1], &its, sizeof(its)) != sizeof(its));
    }
    mine = veil_rand_u64();
    cr_assert_eq(read(fds[0], &its, sizeof(its)), sizeof(its));
    cr_assert_eq(waitpid(pid, NULL, 0), pid);
    cr_assert_neq(mine, its);
}
