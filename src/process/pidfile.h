/*
 * pidfile.h -- the file with the master's process id.
 */

#ifndef VEIL_PROCESS_PIDFILE_H
#define VEIL_PROCESS_PIDFILE_H

#include <sys/types.h>

/*
 * Writes this process's id.  A reader never sees half a file: it is made
 * beside the path and renamed.  0 or -errno.
 */
int veil_pidfile_write(const char *path);

/* Removes the file if it still holds this process's id. */
void veil_pidfile_remove(const char *path);

/*
 * The id in the file; -errno when it cannot be read, -EINVAL when it holds
 * no process id.
 */
pid_t veil_pidfile_read(const char *path);

#endif
