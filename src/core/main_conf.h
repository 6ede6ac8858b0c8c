/*
 * main_conf.h -- directives of the main context and of events {}, as data.
 *
 * What they say concerns processes and the loop; core only reads them, so
 * that both layers find one struct.  Relative paths are made absolute.
 */

#ifndef VEIL_CORE_MAIN_CONF_H
#define VEIL_CORE_MAIN_CONF_H

#include <sched.h>

#include "core/cycle.h"

extern veil_module_t veil_core_main_module;

typedef enum {
    VEIL_USE_AUTO, /* io_uring where the kernel has what is needed */
    VEIL_USE_IO_URING,
    VEIL_USE_EPOLL
} veil_use_t;

typedef enum {
    VEIL_REUSEPORT_KERNEL, /* by a hash over both addresses and ports */
    VEIL_REUSEPORT_CBPF    /* by the client's address alone */
} veil_reuseport_t;

/* events {}; the defaults hold without the block. */
typedef struct {
    int64_t worker_connections; /* of one worker, all kinds together */
    int use;                    /* veil_use_t */
    int64_t io_buffer_size;     /* of a receive buffer */
    int64_t io_buffers;         /* how many each worker has; a power of 2 */
    veil_array_t *debug;        /* of veil_cidr_t; NULL: none */
} veil_events_conf_t;

#define VEIL_RLIMIT_AUTO (-1)
#define VEIL_RLIMIT_UNSET (-2)

typedef struct {
    bool daemon;
    bool master_process;
    unsigned workers; /* worker_processes; "auto" is resolved */

    bool affinity_auto;    /* worker i on the i-th usable CPU, in turn */
    bool affinity_default; /* only if there are as many workers as CPUs */
    veil_array_t *cpus;    /* of cpu_set_t, one a worker; NULL: not bound */
    cpu_set_t cpu_limit;   /* "auto MASK": choose among these */
    bool has_cpu_limit;

    int64_t rlimit_nofile;               /* AUTO: soft up to hard */
    int64_t rlimit_core;                 /* bytes, or UNSET */
    int priority;                        /* nice value */
    uint64_t worker_shutdown_timeout_ms; /* of a replaced generation */
    uint64_t shutdown_timeout_ms;        /* of the whole server */
    int64_t draining_memory; /* bytes to warn from; 0: by the machine's */

    int reuseport_balancing; /* veil_reuseport_t */

    veil_str_t working_directory; /* empty: stay */
    veil_str_t pid;
    veil_str_t overlay; /* of changes that stay; empty: they do not */

    veil_str_t user; /* empty: stay who we are (not root) */
    uid_t uid;
    gid_t gid;

    veil_array_t *env; /* of veil_str_t: "NAME" or "NAME=value" */

    veil_log_sink_t *error_log;

    veil_events_conf_t events;
} veil_main_conf_t;

static inline const veil_main_conf_t *
veil_main_conf(const veil_cycle_t *cycle)
{
    return veil_core_conf(cycle, &veil_core_main_module);
}

#endif
