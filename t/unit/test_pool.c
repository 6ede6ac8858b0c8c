/*
 * test_pool.c -- arenas, pins, cleanups, retiring, modes.
 *
 * Criterion runs each test in a process of its own, so a test may switch the
 * mode: the arena is tested in ASAN builds too.
 */

#include <criterion/criterion.h>
#include <criterion/new/assert.h>
#include <signal.h>

#include "core/pool.c"

static void
arena(void)
{
    pool_mode.known = true;
    pool_mode.guard = false;
}

static void
guards(void)
{
    pool_mode.known = true;
    pool_mode.guard = true;
}

Test(pool, alignment_and_room, .init = arena)
{
    veil_pool_t *p = veil_pool_create("test", 512);
    char *a, *b, *c;

    a = veil_pool_alloc(p, 1);
    b = veil_pool_alloc(p, 0);
    c = veil_pool_alloc(p, 17);
    cr_assert_eq((uintptr_t) a % 16, 0);
    cr_assert_eq((uintptr_t) c % 16, 0);
    cr_assert_neq(b, NULL);
    cr_assert_neq(b, a);
    cr_assert_neq(b, c);
    a = veil_pool_chars(p, 3);
    b = veil_pool_chars(p, 3);
    cr_assert_eq(b, a + 3, "text is not padded");
    cr_assert_eq(veil_pool_size(p), 512);
    veil_pool_destroy(&p);
    cr_assert_eq(p, NULL);
}

/* The memory of an idle connection is counted in bytes. */
Test(pool, takes_what_was_asked_for, .init = arena)
{
    veil_pool_t *p = veil_pool_create("test", 768);
    size_t room = 768 - sizeof(veil_pool_t);

    cr_assert_leq(sizeof(veil_pool_t), 96);
    memset(veil_pool_alloc(p, room), 1, room);
    cr_assert_eq(veil_pool_size(p), 768);
    (void) veil_pool_chars(p, 1);
    cr_assert_eq(veil_pool_size(p), 2 * 768);
    veil_pool_destroy(&p);
}

Test(pool, every_size_at_every_fill, .init = arena)
{
    size_t used, size, i;
    unsigned char *q;
    veil_pool_t *p;

    for (used = 0; used < 260; used++) {
        for (size = 0; size < 300; size += 7) {
            p = veil_pool_create("test", 256);
            memset(veil_pool_chars(p, used), 0x11, used);
            q = veil_pool_alloc(p, size);
            cr_assert_eq((uintptr_t) q % 16, 0);
            memset(q, 0x22, size);
            q = veil_pool_zalloc(p, 5);
            for (i = 0; i < 5; i++) {
                cr_assert_eq(q[i], 0);
            }
            veil_pool_destroy(&p);
        }
    }
}

Test(pool, tiny_block_size, .init = arena)
{
    veil_pool_t *p = veil_pool_create("test", 0);
    int i;

    for (i = 0; i < 100; i++) {
        memset(veil_pool_alloc(p, 100), i, 100);
    }
    cr_assert_geq(veil_pool_size(p), 100 * 100);
    veil_pool_destroy(&p);
}

Test(pool, large_gets_its_own_block, .init = arena)
{
    veil_pool_t *p = veil_pool_create("test", 1024);
    char *small = veil_pool_alloc(p, 16), *next;

    memset(veil_pool_alloc(p, 1 << 20), 1, 1 << 20);
    next = veil_pool_alloc(p, 16);
    cr_assert_eq(next, small + 16, "the current block is still used");
    veil_pool_destroy(&p);
}

/* Up to a quarter of a block is carved from it, more is not. */
Test(pool, a_quarter_is_large, .init = arena)
{
    veil_pool_t *p = veil_pool_create("test", 1024);

    (void) veil_pool_alloc(p, 900);
    (void) veil_pool_alloc(p, 257);
    cr_assert_lt(veil_pool_size(p), 2 * 1024);
    (void) veil_pool_alloc(p, 256);
    cr_assert_gt(veil_pool_size(p), 2 * 1024);
    veil_pool_destroy(&p);
}

Test(pool, blocks_are_recycled, .init = arena)
{
    veil_pool_t *p = veil_pool_create("test", 1024), *first = p;
    veil_pool_stats_t before, after;
    int i;

    veil_pool_destroy(&p);
    veil_pool_stats(&before);
    for (i = 0; i < 100; i++) {
        p = veil_pool_create("test", 1024);
        cr_assert_eq(p, first);
        veil_pool_destroy(&p);
    }
    veil_pool_stats(&after);
    cr_assert_eq(after.mallocs, before.mallocs);
    cr_assert_eq(after.recycled, before.recycled + 100);
    cr_assert_eq(after.created, before.created + 100);
    cr_assert_eq(after.live, 0);
    cr_assert_eq(after.live_bytes, 0);

    /* A pool of another size must not get it. */
    p = veil_pool_create("test", 1040);
    cr_assert_neq(p, first);
    veil_pool_destroy(&p);
}

Test(pool, free_lists_are_bounded, .init = arena)
{
    static veil_pool_t *pools[3000];
    static const size_t sizes[] = { 512, 4096, 8192, 65536, 5000 };
    veil_pool_stats_t stats;
    size_t i, j;

    for (i = 0; i < veil_countof(sizes); i++) {
        size_t n = sizes[i] > 8192 ? 200 : veil_countof(pools);

        for (j = 0; j < n; j++) {
            pools[j] = veil_pool_create("test", sizes[i]);
        }
        for (j = 0; j < n; j++) {
            veil_pool_destroy(&pools[j]);
        }
    }
    veil_pool_stats(&stats);
    cr_assert_eq(stats.live_bytes, 0);
    cr_assert_eq(stats.kept_bytes,
                 1024 * 512 + 1024 * 4096 + 512 * 8192 + 64 * 65536);
    cr_assert_eq(pool_class(512)->n, 1024);
    cr_assert_eq(pool_class(65536)->n, 64);
    cr_assert_eq(pool_class(5008), NULL);

    veil_pool_trim();
    veil_pool_stats(&stats);
    cr_assert_eq(stats.kept_bytes, 0);
    cr_assert_eq(pool_class(512)->n, 0);
}

Test(pool, huge_blocks_are_not_kept, .init = arena)
{
    veil_pool_t *p = veil_pool_create("test", 512);
    veil_pool_stats_t stats;

    (void) veil_pool_alloc(p, 70000);
    veil_pool_destroy(&p);
    veil_pool_stats(&stats);
    cr_assert_eq(stats.kept_bytes, 512);
}

/* Requests of all sizes, again and again, cost no malloc in the end. */
Test(pool, large_blocks_are_recycled, .init = arena)
{
    veil_pool_stats_t before = { 0 }, after;
    veil_pool_t *p;
    size_t n, round;
    char *mem;

    for (round = 0; round < 3; round++) {
        for (n = 200; n <= 65536; n += n / 7) {
            p = veil_pool_create("test", 512);
            mem = veil_pool_alloc(p, n);
            memset(mem, (int) round, n);
            cr_assert_eq((uintptr_t) mem % 16, 0);
            cr_assert_leq(veil_pool_size(p), 512 + 2 * n + 16);
            veil_pool_destroy(&p);
        }
        veil_pool_stats(round == 0 ? &before : &after);
    }
    cr_assert_eq(after.mallocs, before.mallocs);
    cr_assert_eq(after.live_bytes, 0);
}

/* A buffer of 4 or 8 KiB is not doubled by the head of its block. */
Test(pool, large_sizes)
{
    cr_assert_eq(pool_large_size(4096), 4096 + sizeof(pool_block_t));
    cr_assert_eq(pool_large_size(8192), 8192 + sizeof(pool_block_t));
    cr_assert_eq(pool_large_size(65536), 65536 + sizeof(pool_block_t));
    cr_assert_eq(pool_large_size(8193), 16384 + sizeof(pool_block_t));
    cr_assert_eq(pool_large_size(300), 304 + sizeof(pool_block_t));
    cr_assert_eq(pool_large_size(1200), 1280);
    cr_assert_eq(pool_large_size(70000), 70000 + sizeof(pool_block_t));
}

Test(pool, strings, .init = arena)
{
    veil_pool_t *p = veil_pool_create("test", 256);
    veil_str_t s = veil_pool_str(p, VEIL_STR("abc"));

    cr_assert_eq(s.len, 3);
    cr_assert_str_eq(s.data, "abc");
    cr_assert_str_eq(veil_pool_strz(p, VEIL_STR_NULL), "");
    s = veil_pool_printf(p, "%s-%d", "x", 7);
    cr_assert_eq(s.len, 3);
    cr_assert_str_eq(s.data, "x-7");
    s = veil_pool_printf(p, "%600d", 1);
    cr_assert_eq(s.len, 600);
    cr_assert_eq(s.data[599], '1');
    cr_assert_eq(s.data[600], '\0');
    veil_pool_destroy(&p);
}

static char order[16];
static size_t norder;

static void
note(void *data)
{
    order[norder++] = *(const char *) data;
}

Test(pool, cleanups_run_newest_first)
{
    static char a = 'a', b = 'b', c = 'c';
    veil_pool_t *p = veil_pool_create("test", 256);

    veil_pool_on_destroy(p, note, &a);
    veil_pool_on_destroy(p, note, &b);
    veil_pool_on_destroy(p, note, &c);
    veil_pool_on_destroy(p, note, &a);
    cr_assert(veil_pool_off_destroy(p, note, &a), "the newest of the two");
    cr_assert(veil_pool_off_destroy(p, note, &b));
    cr_assert_not(veil_pool_off_destroy(p, note, &b));
    veil_pool_destroy(&p);
    cr_assert_eq(norder, 2);
    cr_assert_eq(memcmp(order, "ca", 2), 0);
}

static veil_pool_t *victim;

static void
add_cleanup(void *data)
{
    (void) data;
    veil_pool_on_destroy(victim, note, NULL);
}

Test(pool, no_cleanup_from_a_cleanup, .signal = SIGABRT)
{
    veil_pool_t *p = victim = veil_pool_create("test", 256);

    veil_pool_on_destroy(p, add_cleanup, NULL);
    veil_pool_destroy(&p);
}

/* Runs fn in a child and returns what it wrote to standard error. */
static const char *
dying_words(void (*fn)(void))
{
    static char buf[16384];
    size_t len = 0;
    ssize_t n;
    int fds[2];
    pid_t pid;

    cr_assert_eq(pipe(fds), 0);
    pid = fork();
    if (pid == 0) {
        (void) dup2(fds[1], STDERR_FILENO);
        (void) close(fds[0]);
        (void) signal(SIGABRT, SIG_DFL);
        fn();
        _exit(0);
    }
    (void) close(fds[1]);
    while ((n = read(fds[0], buf + len, sizeof(buf) - 1 - len)) > 0) {
        len += (size_t) n;
    }
    buf[len] = '\0';
    return buf;
}

static void
destroy_pinned(void)
{
    veil_pool_t *p = veil_pool_create("request", 256);
    static veil_pin_t a, b;

    veil_pool_pin(p, &a, "upstream send");
    veil_pool_pin(p, &b, "timer");
    veil_pool_destroy(&p);
}

Test(pool, pinned_pool_names_its_pins)
{
    const char *words = dying_words(destroy_pinned);

    cr_assert_neq(strstr(words, "[alert]"), NULL, "%s", words);
    cr_assert_neq(strstr(words, "pool \"request\" is destroyed while pinned by"
                                " \"upstream send\", \"timer\"\n"),
                  NULL, "%s", words);
}

Test(pool, pinned_pool_aborts, .signal = SIGABRT)
{
    destroy_pinned();
}

Test(pool, pin_twice_aborts, .signal = SIGABRT)
{
    veil_pool_t *p = veil_pool_create("test", 256);
    static veil_pin_t pin;

    veil_pool_pin(p, &pin, "a");
    veil_pool_pin(p, &pin, "a");
}

Test(pool, unpin_unpinned_aborts, .signal = SIGABRT)
{
    veil_pin_t pin = { .pool = NULL };

    veil_pool_unpin(&pin);
}

Test(pool, retired_lives_until_reap)
{
    static char a = 'a';
    veil_pool_t *p = veil_pool_create("test", 256);
    char *text = veil_pool_strz(p, VEIL_STR("still here"));

    veil_pool_on_destroy(p, note, &a);
    veil_pool_retire(&p);
    cr_assert_eq(p, NULL);
    cr_assert_eq(norder, 0);
    cr_assert_str_eq(text, "still here");
    cr_assert_eq(veil_pool_count(NULL, NULL), 1);
    veil_pool_reap();
    cr_assert_eq(norder, 1);
    cr_assert_eq(veil_pool_count(NULL, NULL), 0);
    veil_pool_reap();
}

Test(pool, retired_and_pinned_lives_until_unpinned)
{
    static char a = 'a';
    veil_pool_t *p = veil_pool_create("test", 256);
    veil_pin_t one = { .pool = NULL }, two = { .pool = NULL };
    veil_pool_stats_t stats;

    veil_pool_on_destroy(p, note, &a);
    veil_pool_pin(p, &one, "one");
    veil_pool_pin(p, &two, "two");
    cr_assert(veil_pool_is_pinned(p));
    veil_pool_retire(&p);
    veil_pool_reap();
    veil_pool_unpin(&one);
    veil_pool_reap();
    veil_pool_unpin(&two);
    cr_assert_eq(norder, 0, "not inside of unpin");
    veil_pool_stats(&stats);
    cr_assert_eq(stats.retired, 1);
    veil_pool_reap();
    cr_assert_eq(norder, 1);
    veil_pool_stats(&stats);
    cr_assert_eq(stats.retired, 0);
}

/* Unpinned before the first reap, and pinned again after it was unpinned. */
Test(pool, pins_around_the_reap)
{
    veil_pool_t *p = veil_pool_create("test", 256), *kept = p;
    veil_pin_t pin = { .pool = NULL };

    veil_pool_pin(p, &pin, "one");
    veil_pool_retire(&p);
    veil_pool_unpin(&pin);
    veil_pool_pin(kept, &pin, "again");
    veil_pool_reap();
    cr_assert_eq(veil_pool_count(NULL, NULL), 1);
    veil_pool_unpin(&pin);
    veil_pool_reap();
    cr_assert_eq(veil_pool_count(NULL, NULL), 0);
}

static void
retire_victim(void *data)
{
    (void) data;
    veil_pool_retire(&victim);
}

Test(pool, a_cleanup_may_retire_another_pool)
{
    veil_pool_t *p = veil_pool_create("first", 256);

    victim = veil_pool_create("second", 256);
    veil_pool_on_destroy(p, retire_victim, NULL);
    veil_pool_retire(&p);
    veil_pool_reap();
    cr_assert_eq(veil_pool_count(NULL, NULL), 0);
}

Test(pool, retire_twice_aborts, .signal = SIGABRT)
{
    veil_pool_t *p = veil_pool_create("test", 256), *q = p;

    veil_pool_retire(&p);
    veil_pool_retire(&q);
}

Test(pool, destroy_retired_aborts, .signal = SIGABRT)
{
    veil_pool_t *p = veil_pool_create("test", 256), *q = p;

    veil_pool_retire(&p);
    veil_pool_destroy(&q);
}

static void
collect(void *data, const char *line)
{
    char *all = data;
    size_t len = strlen(all);

    (void) veil_snprintf(all + len, 1024 - len, "%s\n", line);
}

Test(pool, report_at_exit, .init = arena)
{
    veil_pool_t *a = veil_pool_create("conn", 512);
    veil_pool_t *b = veil_pool_create("request", 1024), *kept = b;
    veil_pin_t pin = { .pool = NULL };
    char all[1024] = "";

    veil_pool_pin(b, &pin, "file read");
    veil_pool_retire(&b);
    veil_pool_reap();
    cr_assert_eq(veil_pool_count(collect, all), 2);
    cr_assert_str_eq(all, "pool \"conn\", 512 bytes\n"
                          "pool \"request\", 1024 bytes, retired, "
                          "pinned by file read\n");
    cr_assert_str_eq(veil_pool_name(kept), "request");
    veil_pool_unpin(&pin);
    veil_pool_reap();
    veil_pool_destroy(&a);
    cr_assert_eq(veil_pool_count(NULL, NULL), 0);
}

Test(pool, freed_memory_is_filled, .init = arena)
{
    veil_pool_t *p = veil_pool_create("test", 512);
    unsigned char *q = veil_pool_zalloc(p, 8);

    pool_mode.fill = true;
    veil_pool_destroy(&p);
    cr_assert_eq(q[0], 0xdb); /* kept in the free list: still ours to read */
    cr_assert_eq(q[7], 0xdb);
}

Test(pool, guarded, .init = guards)
{
    veil_pool_t *p = veil_pool_create("test", 128);
    size_t i;

    for (i = 0; i < 1000; i++) {
        char *q = veil_pool_alloc(p, i);

        cr_assert_eq((uintptr_t) q % 16, 0);
        memset(q, 1, i);
        memset(veil_pool_chars(p, i), 2, i);
    }
    cr_assert_geq(veil_pool_size(p), 999000);
    veil_pool_destroy(&p);
    cr_assert_eq(veil_pool_count(NULL, NULL), 0);
}

static void
write_past_end(void)
{
    veil_pool_t *p;
    char *volatile q;

    guards();
    p = veil_pool_create("request", 512);
    (void) veil_pool_alloc(p, 10);
    q = veil_pool_alloc(p, 24);
    q[24] = 'x';
    veil_pool_destroy(&p);
}

static void
write_before_start(void)
{
    veil_pool_t *p;
    char *volatile q;

    guards();
    p = veil_pool_create("request", 512);
    q = veil_pool_alloc(p, 24);
    q[-1] = 'x';
    veil_pool_destroy(&p);
}

Test(pool, guards_see_what_was_written)
{
    if (VEIL_ASAN) {
        cr_skip_test("the sanitizer itself sees it");
    }
    cr_assert_neq(strstr(dying_words(write_past_end),
                         "pool \"request\": something wrote past allocation 1,"
                         " which has 24 bytes"),
                  NULL);
    cr_assert_neq(
        strstr(dying_words(write_before_start),
               "pool \"request\": something wrote before allocation 0"),
        NULL);
}

Test(pool, mode_from_the_environment)
{
    (void) setenv("VEIL_POOL", "fill,guard,fail:3", 1);
    pool_mode_read();
    cr_assert(pool_mode.fill);
    cr_assert(pool_mode.guard);
    cr_assert_eq(pool_mode.fail_at, 3);
}

Test(pool, bad_mode_aborts, .signal = SIGABRT)
{
    (void) setenv("VEIL_POOL", "fial:3", 1);
    pool_mode_read();
}

Test(pool, the_nth_allocation_fails)
{
    void *a, *b, *c;

    pool_mode.known = true;
    pool_mode.fail_at = 2;
    a = veil_try_alloc(1);
    b = veil_try_alloc(1);
    c = veil_try_alloc(1);
    cr_assert_neq(a, NULL);
    cr_assert_eq(b, NULL);
    cr_assert_neq(c, NULL);
    veil_free(a);
    veil_free(c);
}

Test(pool, out_of_memory_aborts, .signal = SIGABRT)
{
    pool_mode.known = true;
    pool_mode.fail_at = 1;
    veil_free(veil_alloc(1));
}

Test(pool, allocators)
{
    unsigned char *p = veil_zalloc(100);
    void *q;

    cr_assert_eq(p[99], 0);
    p = veil_realloc(p, 1000);
    veil_free(p);
    p = veil_alloc(0);
    cr_assert_neq(p, NULL);
    veil_free(p);
    q = veil_alloc_aligned(4096, 10);
    cr_assert_eq((uintptr_t) q % 4096, 0);
    veil_free(q);
}

Test(pool, dead_pool_is_noticed, .signal = SIGABRT, .init = arena)
{
    veil_pool_t *p = veil_pool_create("test", 512), *q = p;

    veil_pool_destroy(&p);
    (void) veil_pool_is_pinned(q);
}
