/*
 * prepare.h -- from the files to a generation that could start: what a keeper
 * and a single process have in common.
 */

#ifndef VEIL_PROCESS_PREPARE_H
#define VEIL_PROCESS_PREPARE_H

#include "core/cycle.h"
#include "core/shm.h"
#include "process/message.h"

/* What the command line says of the configuration. */
typedef struct {
    veil_str_t prefix;
    veil_str_t conf_path;
    veil_str_t error_log_path;
    veil_str_t globals;
} veil_launch_t;

/*
 * Loads the configuration as veil_cycle.  text may be NULL: from the files.
 * log: where errors go while the configuration has no log of its own.
 * VEIL_ERROR after logging.
 */
veil_rc_t veil_prepare_load(const veil_launch_t *launch, uint64_t generation,
                            const veil_str_t *text, const veil_log_t *log);

/* Runs the modules' hooks for keepers. */
veil_rc_t veil_prepare_modules(void);

/* Tells the modules that the generation serves. */
void veil_prepare_started(void);
/* Tells the modules that a worker is dead. */
void veil_prepare_worker_ended(unsigned place, pid_t pid);

/* A listener as the hold knows it; decides how many sockets it has. */
void veil_prepare_listen(veil_listen_t *l, veil_listen_message_t *m);
/* Room for n sockets, all -1. */
void veil_prepare_slots(veil_listen_t *l, unsigned n);
/* Closes this process's descriptors of all listeners. */
void veil_prepare_close_listens(void);

/* How many sockets the listener shall have; before or after the above. */
unsigned veil_prepare_listen_slots(const veil_listen_t *l);

/* A zone as the hold knows it. */
void veil_prepare_zone(const veil_shm_zone_t *zone, veil_hold_zone_t *m);
/*
 * Why the zone cannot be had, when another has its name: to the log, with the
 * place.
 */
void veil_prepare_zone_refused(const veil_shm_zone_t *zone,
                               const veil_hold_zone_t *want,
                               const veil_memory_message_t *held);
/* Maps the zone and lets its owner prepare it. */
veil_rc_t veil_prepare_map_zone(veil_shm_zone_t *zone, int fd, bool fresh);

/*
 * While on, what is logged at "warn" or worse goes to standard error as
 * well: somebody is looking at it.
 */
void veil_prepare_tell_stderr(veil_log_t *log, bool on);
/* Standard error becomes the first file of the log, or /dev/null. */
void veil_prepare_detach_stderr(const veil_log_t *log);

/* The text of "FILE:LINE", for messages about a directive. */
void veil_prepare_where(const veil_conf_node_t *node, char *buf, size_t n);

/* A log whose lines end with " in FILE:LINE"; both must outlive it. */
typedef struct {
    veil_log_t log;
    const char *where;
} veil_prepare_place_t;
void veil_prepare_place(veil_prepare_place_t *place, const veil_log_t *log,
                        const char *where);

#endif
