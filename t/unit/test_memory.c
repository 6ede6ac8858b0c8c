/* test_memory.c -- what a machine and its control groups have. */

#include "core/platform.h"

#include <criterion/criterion.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/memory.c"

static char root[64];

static void
put(const char *path, const char *text)
{
    char full[512], *p;
    FILE *to;

    (void) veil_snprintf(full, sizeof(full), "%s%s", root, path);
    for (p = full + strlen(root) + 1; (p = strchr(p, '/')) != NULL; p++) {
        *p = '\0';
        (void) mkdir(full, 0700);
        *p = '/';
    }
    to = fopen(full, "w");
    cr_assert_neq(to, NULL, "%s", full);
    (void) fputs(text, to);
    (void) fclose(to);
}

static void
setup(void)
{
    (void) veil_snprintf(root, sizeof(root), "/tmp/veil-memory-XXXXXX");
    cr_assert_neq(mkdtemp(root), NULL);
    memory_root = root;
    put("/proc/meminfo", "MemTotal:        8192 kB\nMemFree: 1 kB\n"
                         "SwapTotal:       2048 kB\nSwapFree:  1 kB\n");
}

static void
teardown(void)
{
    char command[128];

    (void) veil_snprintf(command, sizeof(command), "rm -r '%s'", root);
    cr_assert_eq(system(command), 0);
}

TestSuite(memory, .init = setup, .fini = teardown);

static void
is(uint64_t want, bool want_grouped)
{
    bool grouped = !want_grouped;

    cr_expect_eq(veil_memory_limit(&grouped), want, "%llu, not %llu",
                 (unsigned long long) veil_memory_limit(&grouped),
                 (unsigned long long) want);
    cr_expect_eq(grouped, want_grouped);
}

#define KB(n) ((uint64_t) (n) *1024)

Test(memory, of_the_machine)
{
    is(KB(8192 + 2048), false);
    put("/proc/self/cgroup", "nonsense\n0:\n0::/none\n7:memory:/none\n");
    is(KB(8192 + 2048), false);
    put("/proc/meminfo", "");
    is(UINT64_MAX, false);
}

Test(memory, of_a_group_and_those_it_is_in)
{
    put("/proc/self/cgroup", "1:name=systemd:/x\n0::/a/b\n");
    put("/sys/fs/cgroup/a/b/memory.max", "max\n");
    is(KB(8192 + 2048), false);
    put("/sys/fs/cgroup/a/b/memory.max", "6291456\n");
    is(KB(6144 + 2048), true);
    put("/sys/fs/cgroup/a/b/memory.swap.max", "0\n");
    is(KB(6144), true);
    put("/sys/fs/cgroup/a/memory.max", "2097152\n");
    is(KB(2048 + 2048), true);
    put("/sys/fs/cgroup/memory.max", "1048576\n");
    put("/sys/fs/cgroup/memory.swap.max", "0\n");
    is(KB(1024), true);
}

Test(memory, of_a_group_of_the_older_kind)
{
    put("/proc/self/cgroup", "4:cpu,memory:/a\n2:pids:/b\n");
    put("/sys/fs/cgroup/memory/memory.limit_in_bytes",
        "9223372036854771712\n");
    is(KB(8192 + 2048), false);
    put("/sys/fs/cgroup/memory/a/memory.limit_in_bytes", "4194304\n");
    is(KB(4096 + 2048), true);
    put("/sys/fs/cgroup/memory/a/memory.memsw.limit_in_bytes", "4194304\n");
    is(KB(4096), true);
}
