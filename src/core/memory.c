/*
 * memory.c -- how much memory there is to be had.
 *
 * What a machine has stands in /proc/meminfo, what a control group may have
 * in its directory, and in that of each group it is in: memory.max and
 * memory.swap.max in the unified hierarchy, in the older one
 * memory.limit_in_bytes, and memory.memsw.limit_in_bytes for both together
 * (Documentation/admin-guide/cgroup-v2.rst and cgroup-v1/memory.rst of the
 * kernel).  Whatever cannot be read limits nothing: this keeps slips of a
 * finger from taking all memory there is, it does not account for it.
 */

#include "core/platform.h"

#include <limits.h>

#include "core/memory.h"
#include "core/str.h"

#define MEMORY_GROUPS "/sys/fs/cgroup"
#define MEMORY_GROUPS_V1 "/sys/fs/cgroup/memory"

/* Before all paths, for tests. */
static const char *memory_root = "";

static FILE *
memory_open(const char *path)
{
    char full[PATH_MAX];

    (void) veil_snprintf(full, sizeof(full), "%s%s", memory_root, path);
    return fopen(full, "re");
}

static uint64_t
memory_min(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}

static uint64_t
memory_add(uint64_t a, uint64_t b)
{
    return a > UINT64_MAX - b ? UINT64_MAX : a + b;
}

/* The number in a file of one line; "max", or no such file: UINT64_MAX. */
static uint64_t
memory_number(const char *group, const char *name)
{
    char path[PATH_MAX];
    unsigned long long n;
    FILE *in;
    bool ok;

    (void) veil_snprintf(path, sizeof(path), "%s/%s", group, name);
    in = memory_open(path);
    if (in == NULL) {
        return UINT64_MAX;
    }
    ok = fscanf(in, "%llu", &n) == 1;
    (void) fclose(in);
    return ok ? n : UINT64_MAX;
}

/* RAM and swap, both in bytes; false: not known. */
static bool
memory_of_machine(uint64_t *ram, uint64_t *swap)
{
    FILE *in = memory_open("/proc/meminfo");
    unsigned long long kb;
    char line[128];

    *ram = *swap = 0;
    while (in != NULL && fgets(line, sizeof(line), in) != NULL) {
        if (sscanf(line, "MemTotal: %llu kB", &kb) == 1) {
            *ram = (uint64_t) kb * 1024;
        } else if (sscanf(line, "SwapTotal: %llu kB", &kb) == 1) {
            *swap = (uint64_t) kb * 1024;
        }
    }
    if (in != NULL) {
        (void) fclose(in);
    }
    return *ram != 0;
}

/* What one group may have. */
static uint64_t
memory_of_group(const char *group, bool v1, uint64_t swap)
{
    uint64_t ram, both;

    if (v1) {
        ram = memory_number(group, "memory.limit_in_bytes");
        both = memory_number(group, "memory.memsw.limit_in_bytes");
        return memory_min(memory_add(ram, swap), both);
    }
    ram = memory_number(group, "memory.max");
    return memory_add(
        ram, memory_min(swap, memory_number(group, "memory.swap.max")));
}

/*
 * The least of a group and those it is in.  In a container the path may be
 * one that is seen from outside only; then the directories are not there.
 */
static uint64_t
memory_of_groups(const char *base, const char *group, bool v1, uint64_t swap)
{
    char path[PATH_MAX];
    uint64_t least = UINT64_MAX;
    size_t n = strlen(base);
    char *slash;

    (void) veil_snprintf(path, sizeof(path), "%s%s", base, group);
    for (;;) {
        least = memory_min(least, memory_of_group(path, v1, swap));
        slash = strrchr(path, '/');
        if (slash == NULL || (size_t) (slash - path) < n) {
            return least;
        }
        *slash = '\0';
    }
}

/* "0::/a/b", or of the older hierarchy "4:cpu,memory:/a/b". */
static uint64_t
memory_of_line(char *line, uint64_t swap)
{
    char *kinds = strchr(line, ':'), *path;
    veil_str_t rest, kind;

    path = kinds == NULL ? NULL : strchr(kinds + 1, ':');
    if (path == NULL) {
        return UINT64_MAX;
    }
    *path++ = '\0';
    path[strcspn(path, "\n")] = '\0';
    if (kinds[1] == '\0') {
        return memory_of_groups(MEMORY_GROUPS, path, false, swap);
    }
    for (rest = veil_str_z(kinds + 1); rest.len != 0;) {
        kind = veil_str_cut(&rest, ',');
        if (veil_str_eq(kind, VEIL_STR("memory"))) {
            return memory_of_groups(MEMORY_GROUPS_V1, path, true, swap);
        }
    }
    return UINT64_MAX;
}

uint64_t
veil_memory_limit(bool *grouped)
{
    char line[PATH_MAX + 64];
    uint64_t ram, swap, machine, group = UINT64_MAX;
    FILE *in;

    machine =
        memory_of_machine(&ram, &swap) ? memory_add(ram, swap) : UINT64_MAX;
    in = memory_open("/proc/self/cgroup");
    while (in != NULL && fgets(line, sizeof(line), in) != NULL) {
        group = memory_min(group, memory_of_line(line, swap));
    }
    if (in != NULL) {
        (void) fclose(in);
    }
    *grouped = group < machine;
    return memory_min(group, machine);
}
