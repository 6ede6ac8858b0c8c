/*
 * test_slab.c -- allocation in a zone: classes, runs, exhaustion, and a
 * process that dies at every place of the allocator where it could matter.
 */

#include "core/platform.h"

#include <criterion/criterion.h>
#include <sys/mman.h>
#include <sys/wait.h>

/* The process ends at the n-th point it comes to; 0: never. */
static unsigned die_at;

static void
point(void)
{
    if (die_at != 0 && --die_at == 0) {
        _exit(77);
    }
}

#define SLAB_POINT(what) point()
#include "core/slab.c"

#define SIZE ((size_t) 64 * 4096)

static void *mem;
static veil_slab_t *slab;

static void
setup(void)
{
    mem = mmap(NULL, SIZE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS,
               -1, 0);
    cr_assert_neq(mem, MAP_FAILED);
    slab = veil_slab_init(mem, SIZE);
    cr_assert_neq(slab, NULL);
}

static void
teardown(void)
{
    munmap(mem, SIZE);
}

TestSuite(slab, .init = setup, .fini = teardown, .timeout = 240);

/* Lists and counters say what kinds and bitmaps say; returns pages in use. */
static uint32_t
verify(void)
{
    uint32_t page, n, i, listed = 0, free_pages = 0, used = 0, prev;
    unsigned class;

    for (page = 0; page < slab->npages; page += n) {
        const slab_page_t *p = &slab->table[page];

        n = 1;
        if (p->kind == SLAB_RUN) {
            n = p->run;
            for (i = 1; i < n; i++) {
                cr_assert_eq(slab->table[page + i].kind, SLAB_TAIL);
            }
            used += n;
        } else if (p->kind == SLAB_FREE) {
            free_pages++;
        } else {
            uint32_t bits = 0;

            cr_assert_geq(p->kind, SLAB_SLOTS);
            for (i = 0; i < 4; i++) {
                bits += (uint32_t) __builtin_popcountll(p->bits[i]);
            }
            cr_assert_eq(bits, p->used);
            used++;
        }
    }
    cr_assert_eq(free_pages, slab->pages_free);

    prev = 0;
    for (page = slab->free_runs; page != 0; page = slab->table[page - 1].next)
    {
        const slab_page_t *p = &slab->table[page - 1];

        cr_assert_eq(p->prev, prev);
        for (i = 0; i < p->run; i++) {
            cr_assert_eq(slab->table[page - 1 + i].kind, SLAB_FREE);
        }
        cr_assert_eq(slab->table[page - 1 + p->run - 1].run, p->run);
        /* Neighbours are joined. */
        cr_assert(page - 1 + p->run == slab->npages
                  || slab->table[page - 1 + p->run].kind != SLAB_FREE);
        listed += p->run;
        prev = page;
    }
    cr_assert_eq(listed, free_pages);

    listed = 0;
    for (class = 0; class < SLAB_CLASSES; class ++) {
        prev = 0;
        for (page = slab->partial[class]; page != 0;
             page = slab->table[page - 1].next) {
            const slab_page_t *p = &slab->table[page - 1];

            cr_assert_eq(p->prev, prev);
            cr_assert_eq(p->kind, SLAB_SLOTS + class);
            cr_assert_lt(p->used, slab_class_slots(class));
            cr_assert_gt(p->used, 0);
            listed++;
            prev = page;
        }
    }
    for (page = 0; page < slab->npages; page++) {
        const slab_page_t *p = &slab->table[page];

        if (p->kind >= SLAB_SLOTS
            && p->used < slab_class_slots(p->kind - SLAB_SLOTS)) {
            listed--;
        }
    }
    cr_assert_eq(listed, 0);
    return used;
}

/* A series of allocations and frees, the same for the same seed. */
static void
churn(unsigned seed, unsigned steps)
{
    static const size_t sizes[] = { 1,    16,   40,   100,  500,  1000,
                                    2000, 2049, 4096, 9000, 20000 };
    void *have[64] = { NULL };
    unsigned i, slot;
    size_t size;

    for (i = 0; i < steps; i++) {
        seed = seed * 1103515245u + 12345u;
        slot = seed >> 16 & 63;
        if (have[slot] != NULL) {
            veil_slab_free(slab, have[slot]);
            have[slot] = NULL;
            continue;
        }
        size = sizes[(seed >> 8) % veil_countof(sizes)];
        have[slot] = veil_slab_alloc(slab, size);
        if (have[slot] != NULL) {
            memset(have[slot], (int) slot, size);
        }
    }
    for (slot = 0; slot < 64; slot++) {
        if (have[slot] != NULL) {
            veil_slab_free(slab, have[slot]);
        }
    }
}

Test(slab, memory_is_zeroed_aligned_and_apart)
{
    unsigned char *p[200];
    unsigned i, j;

    for (i = 0; i < 200; i++) {
        p[i] = veil_slab_alloc(slab, i + 1);
        cr_assert_neq(p[i], NULL);
        cr_assert_eq((uintptr_t) p[i] % 16, 0);
        for (j = 0; j <= i; j++) {
            cr_assert_eq(p[i][j], 0);
        }
        memset(p[i], (int) i, i + 1);
    }
    for (i = 0; i < 200; i++) {
        for (j = 0; j <= i; j++) {
            cr_assert_eq(p[i][j], i);
        }
        veil_slab_free(slab, p[i]);
    }
    cr_assert_eq(verify(), 0);
}

Test(slab, whole_zone_in_one_run_and_in_pages)
{
    uint32_t i, n = slab->npages;
    void *p;

    cr_assert_geq(n, 61);
    p = veil_slab_alloc(slab, (size_t) n * 4096);
    cr_assert_neq(p, NULL);
    cr_assert_leq((char *) p + (size_t) n * 4096, (char *) mem + SIZE);
    memset(p, 1, (size_t) n * 4096);
    cr_assert_eq(veil_slab_alloc(slab, 1), NULL);
    veil_slab_free(slab, p);
    cr_assert_eq(veil_slab_alloc(slab, (size_t) n * 4096 + 1), NULL);
    cr_assert_eq(veil_slab_alloc(slab, SIZE_MAX), NULL);
    for (i = 0; i < n; i++) {
        cr_assert_neq(veil_slab_alloc(slab, 4096), NULL);
    }
    cr_assert_eq(veil_slab_alloc(slab, 4096), NULL);
    cr_assert_eq(verify(), n);
}

Test(slab, random_series_leave_nothing_behind)
{
    veil_slab_stats_t stats;
    unsigned seed;

    for (seed = 1; seed < 50; seed++) {
        churn(seed, 500);
        cr_assert_eq(verify(), 0);
    }
    veil_slab_stats(slab, &stats);
    cr_assert_eq(stats.used, 0);
    cr_assert_eq(stats.pages_free, stats.pages);
    cr_assert_eq(stats.rebuilds, 0);
    cr_assert_eq(slab->table[0].run, slab->npages, "one run again");
}

Test(slab, stats_root_and_reset)
{
    veil_slab_stats_t stats;
    char *p = veil_slab_alloc(slab, 20);

    cr_assert_neq(veil_slab_alloc(slab, 5000), NULL);
    cr_assert_eq(veil_slab_alloc(slab, SIZE), NULL);
    veil_slab_set_root(slab, veil_slab_offset(slab, p));
    cr_assert_eq(veil_slab_pointer(slab, veil_slab_root(slab)), p);
    cr_assert_eq(veil_slab_pointer(slab, 0), NULL);
    cr_assert_eq(veil_slab_offset(slab, NULL), 0);
    veil_slab_stats(slab, &stats);
    cr_assert_eq(stats.used, 32 + 8192);
    cr_assert_eq(stats.failed, 1);
    cr_assert_eq(stats.pages_free, stats.pages - 3);
    cr_assert(veil_slab_lock(slab));
    veil_slab_reset(slab);
    veil_slab_unlock(slab);
    cr_assert_eq(verify(), 0);
    cr_assert_eq(veil_slab_root(slab), 0);
}

Test(slab, attach)
{
    cr_assert_eq(veil_slab_attach(mem, SIZE), slab);
    cr_assert_eq(veil_slab_attach(mem, SIZE / 2), NULL);
    slab->version++;
    cr_assert_eq(veil_slab_attach(mem, SIZE), NULL);
    cr_assert_eq(veil_slab_init(mem, 4096), NULL);
    cr_assert_neq(veil_slab_init(mem, 4096 * 2), NULL);
    cr_assert_eq(slab->npages, 1);
}

/* The child works on the zone and may die at a point; its exit status. */
static int
child(unsigned seed, unsigned point_number, pid_t *pid)
{
    int status;

    *pid = fork();
    cr_assert_geq(*pid, 0);
    if (*pid == 0) {
        die_at = point_number;
        churn(seed, 60);
        _exit(0);
    }
    cr_assert_eq(waitpid(*pid, &status, 0), *pid);
    cr_assert(WIFEXITED(status), "status %x", status);
    return WEXITSTATUS(status);
}

Test(slab, a_death_at_any_point_is_put_right)
{
    unsigned n, deaths = 0;
    int status = 77;
    pid_t pid;

    for (n = 1; status == 77; n++) {
        status = child(n % 7, n, &pid);
        if (status == 77) {
            deaths++;
            cr_assert(veil_slab_recover(slab, pid), "point %u", n);
            cr_assert_not(veil_slab_lock(slab), "point %u", n);
            verify();
            veil_slab_reset(slab);
            veil_slab_mend(slab);
            veil_slab_unlock(slab);
        } else {
            cr_assert_not(veil_slab_recover(slab, pid));
        }
        cr_assert_eq(verify(), 0);
        cr_assert_leq(n, 2000);
    }
    cr_assert_gt(deaths, 200);
    cr_assert_eq(slab->rebuilds, deaths);
    cr_assert(veil_slab_lock(slab));
    veil_slab_unlock(slab);
}

Test(slab, a_death_while_making_the_lists_anew)
{
    unsigned n;
    pid_t pid;
    int status;

    cr_assert_eq(child(1, 150, &pid), 77);
    for (n = 1; n < 20; n++) {
        pid_t second = fork();

        if (second == 0) {
            die_at = n;
            veil_slab_recover(slab, pid);
            _exit(0);
        }
        cr_assert_eq(waitpid(second, &status, 0), second);
        if (WEXITSTATUS(status) == 0) {
            break;
        }
        pid = second;
    }
    cr_assert_gt(n, 2);
    cr_assert_lt(n, 20);
    verify();
}

Test(slab, what_survives_a_death_is_intact)
{
    unsigned i, n;
    unsigned char *p[40];
    pid_t pid;

    for (i = 0; i < 40; i++) {
        p[i] = veil_slab_alloc(slab, 100 + i * 60);
        memset(p[i], (int) i, 100 + i * 60);
    }
    for (n = 5; n < 300; n += 13) {
        if (child(n, n, &pid) == 77) {
            cr_assert(veil_slab_recover(slab, pid));
        }
        verify();
    }
    for (i = 0; i < 40; i++) {
        for (n = 0; n < 100 + i * 60; n++) {
            cr_assert_eq(p[i][n], i);
        }
        veil_slab_free(slab, p[i]);
    }
    verify();
}
