/*
 * signal.h -- signals as descriptors.
 *
 * All processes block the signals that mean something and read them from a
 * signalfd: master and keeper with ppoll, a worker through its loop.  So a
 * signal is handled between two steps and never inside one.
 */

#ifndef VEIL_PROCESS_SIGNAL_H
#define VEIL_PROCESS_SIGNAL_H

#include <sys/signalfd.h>

#include "core/types.h"

/*
 * Blocks the signals the server knows, ignores SIGPIPE, restores the default
 * of those the starter may have ignored, and returns a descriptor to read
 * them from (non-blocking, close-on-exec), or -errno.  Once in each process:
 * a signalfd inherited by fork reads the reader's signals, but its poll
 * wakes up for those of the process that made it only.
 */
int veil_signals_open(void);

/* The next signal: 1, or 0 when there is none now. */
int veil_signals_read(int fd, struct signalfd_siginfo *info);

/* "SIGTERM" without the "SIG"; a number's text for what has no name. */
const char *veil_signal_name(int signo);

/*
 * "stop", "quit", "reload", "reopen" of "veil -s"; 0 when it is none.
 */
int veil_signal_of_word(const char *word);

#endif
