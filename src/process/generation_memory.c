/*
 * generation_memory.c -- how much memory generations have that drain.
 *
 * A client that keeps a connection keeps its generation, and that may be all
 * that a large configuration and its workers have.  So there is a word when
 * they have much.  It is the kernel's count: of memory that several processes
 * have, each has its part (Pss, Documentation/filesystems/proc.rst).
 *
 * The kernel walks through all pages to count them, so this is not done often,
 * and first when those generations that nobody uses have ended.
 *
 * What this does not do: end anything.  worker_shutdown_timeout does.
 */

#include "core/platform.h"

#include "core/due.h"
#include "core/memory.h"
#include "process/master_state.h"

#define GENERATION_MEMORY_FIRST_MS 2000
#define GENERATION_MEMORY_AGAIN_MS 60000
/* Of what there is, when the configuration does not say. */
#define GENERATION_MEMORY_PART 8

static struct {
    bool made;
    veil_due_t due;
    uint64_t told; /* the newest of those it was told of; 0: it was not */
} generation_memory;

/* In KiB; 0 also of one that has ended, or that may not be looked at. */
static uint64_t
generation_memory_of(pid_t pid)
{
    unsigned long long kb = 0;
    char path[64], line[256];
    FILE *in;

    (void) veil_snprintf(path, sizeof(path), "/proc/%d/smaps_rollup",
                         (int) pid);
    in = fopen(path, "re");
    while (in != NULL && fgets(line, sizeof(line), in) != NULL) {
        if (sscanf(line, "Pss: %llu kB", &kb) == 1) {
            break;
        }
    }
    if (in != NULL) {
        (void) fclose(in);
    }
    return kb;
}

static uint64_t
generation_memory_sum(const veil_generation_t *g)
{
    uint64_t kb = g->keeper != 0 ? generation_memory_of(g->keeper) : 0;
    unsigned i;

    for (i = 0; i < g->nworkers; i++) {
        kb += generation_memory_of(g->workers[i]);
    }
    return kb;
}

static uint64_t
generation_memory_limit(void)
{
    const veil_generation_t *g = veil_master.serving;
    uint64_t limit = g == NULL ? 0 : g->settings.draining_memory;
    bool grouped;

    if (limit == 0) {
        limit = veil_memory_limit(&grouped) / GENERATION_MEMORY_PART;
    }
    return limit / 1024;
}

static void
generation_memory_tell(uint64_t kb, unsigned n, uint64_t oldest)
{
    veil_log(&veil_master.log, VEIL_LOG_WARN, 0,
             "%u replaced configuration%s still in use and %s %llu KiB of "
             "memory, the oldest is generation %llu: \"conn list\" shows who "
             "uses them, worker_shutdown_timeout limits how long",
             n, n == 1 ? " is" : "s are", n == 1 ? "has" : "have",
             (unsigned long long) kb, (unsigned long long) oldest);
}

static void
generation_memory_look(veil_due_t *due)
{
    const veil_generation_t *g;
    uint64_t kb = 0, oldest = 0, newest = 0;
    unsigned count = 0;
    veil_list_t *n;

    veil_list_foreach (n, &veil_master.generations) {
        g = veil_list_entry(n, veil_generation_t, link);
        if (g->state == VEIL_GENERATION_DRAINING
            || g->state == VEIL_GENERATION_ORPHANED)
        {
            kb += generation_memory_sum(g);
            oldest = count++ == 0 ? g->number : oldest;
            newest = g->number;
        }
    }
    if (count == 0 || veil_master.stopping) {
        generation_memory.told = 0;
        return;
    }
    if (kb <= generation_memory_limit()) {
        generation_memory.told = 0;
    } else if (newest > generation_memory.told) {
        generation_memory.told = newest;
        generation_memory_tell(kb, count, oldest);
    }
    veil_due_set(due, GENERATION_MEMORY_AGAIN_MS);
}

void
veil_generation_memory_watch(void)
{
    if (!generation_memory.made) {
        generation_memory.made = true;
        veil_due_init(&generation_memory.due, generation_memory_look);
    }
    veil_due_set(&generation_memory.due, GENERATION_MEMORY_FIRST_MS);
}
