/*
 * preflight.c -- what a configuration needs of the machine.
 *
 * What makes a configuration unusable refuses it where it is met: files that
 * cannot be read, addresses that are taken, keys of another certificate.
 * Here is what would show under load only, when it is too late: a limit of
 * open files below worker_connections, and zones that are larger than the
 * memory that is free, as their pages are asked for when they are written to.
 * Both are warnings; a machine may never get there.
 */

#include "core/platform.h"

#include <sys/resource.h>

#include "core/main_conf.h"
#include "process/reload/preflight.h"

/* What a worker will be allowed: see spawn.c; 0: not known. */
static uint64_t
preflight_files(const veil_main_conf_t *conf)
{
    struct rlimit limit;

    if (conf->rlimit_nofile >= 0) {
        return (uint64_t) conf->rlimit_nofile;
    }
    if (getrlimit(RLIMIT_NOFILE, &limit) != 0) {
        return 0;
    }
    return conf->rlimit_nofile == VEIL_RLIMIT_AUTO ? limit.rlim_max
                                                   : limit.rlim_cur;
}

static void
preflight_check_files(const veil_cycle_t *cycle)
{
    const veil_main_conf_t *conf = veil_main_conf(cycle);
    uint64_t connections = (uint64_t) conf->events.worker_connections;
    uint64_t files = preflight_files(conf);

    if (files != 0 && files < connections) {
        veil_log(&cycle->log, VEIL_LOG_WARN, 0,
                 "%llu worker_connections exceed the limit of %llu open "
                 "files, which worker_rlimit_nofile sets",
                 (unsigned long long) connections, (unsigned long long) files);
    }
}

/* Bytes that could be had without swapping (Linux 3.14); 0: not known. */
static uint64_t
preflight_memory(void)
{
    unsigned long long kb = 0;
    FILE *in = fopen("/proc/meminfo", "re");
    char line[128];

    if (in == NULL) {
        return 0;
    }
    while (kb == 0 && fgets(line, sizeof(line), in) != NULL) {
        (void) sscanf(line, "MemAvailable: %llu kB", &kb);
    }
    (void) fclose(in);
    return (uint64_t) kb * 1024;
}

void
veil_preflight(const veil_cycle_t *cycle, uint64_t new_zones)
{
    uint64_t memory = preflight_memory();

    preflight_check_files(cycle);
    if (memory != 0 && new_zones > memory) {
        veil_log(&cycle->log, VEIL_LOG_WARN, 0,
                 "new zones have %llu MB, of memory %llu MB are available",
                 (unsigned long long) (new_zones >> 20),
                 (unsigned long long) (memory >> 20));
    }
}
