/*
 * spawn.h -- making processes and what they may do.
 */

#ifndef VEIL_PROCESS_SPAWN_H
#define VEIL_PROCESS_SPAWN_H

#include <sys/types.h>

#include "core/log.h"
#include "core/main_conf.h"

/*
 * fork() with standard output flushed before; in the child the pid in log
 * lines is the child's.  -errno on failure.
 */
pid_t veil_spawn(void);
/* The next child that has ended, without waiting; 0: none has. */
pid_t veil_spawn_reap(int *status);

/*
 * Closes all descriptors above 2 except these, for a child that must not have
 * its parent's.  Sorts keep; negative ones are none.
 */
void veil_spawn_close_others(int *keep, unsigned n);

/*
 * How long to wait before replacing what has died `deaths` times in a row:
 * 0, 100, 200, 400 ... 10000 ms.  What lived for half a minute is sound: its
 * end is the first of a new row.
 */
#define VEIL_BACKOFF_MAX_MS 10000
#define VEIL_BACKOFF_SOUND_MS 30000
uint64_t veil_backoff_ms(unsigned deaths);

/*
 * Remembers where the arguments lie, so that the title can be written over
 * them; first thing in main.  environ moves.
 */
void veil_title_init(int argc, char **argv);
/* What ps shows: "veil: " and the text. */
void veil_title_set(const char *fmt, ...) VEIL_PRINTF(1, 2);
/* The command line as it was, words separated by blanks. */
const char *veil_title_command(void);

/* /dev/null on whichever of the descriptors 0, 1, 2 is closed. */
void veil_open_standard_fds(void);
/* Standard input and output become /dev/null. */
void veil_detach_standard_fds(void);

/*
 * Makes the calling process a worker as configured: priority, limits,
 * processor, user, directory.  VEIL_ERROR after logging.
 */
veil_rc_t veil_spawn_settle(const veil_main_conf_t *conf, unsigned slot,
                            const veil_log_t *log);

/*
 * Makes the environment what "env" asks for: TZ and what is listed, nothing
 * else.
 */
void veil_spawn_environment(const veil_main_conf_t *conf);

#endif
