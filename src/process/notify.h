/*
 * notify.h -- telling the service manager how it goes.
 */

#ifndef VEIL_PROCESS_NOTIFY_H
#define VEIL_PROCESS_NOTIFY_H

#include "core/str.h"

/*
 * Sends lines of "NAME=value" to the socket that NOTIFY_SOCKET names, as
 * sd_notify(3) does.  Nothing happens when there is none.  0 or -errno.
 */
int veil_notify(const char *fmt, ...) VEIL_PRINTF(1, 2);

/* RELOADING=1 with the time that has to go with it. */
void veil_notify_reloading(void);

#endif
