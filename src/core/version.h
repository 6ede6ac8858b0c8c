/*
 * version.h -- the version of this source tree.
 *
 * The only place that states it: the program, the Server header and the
 * documentation take it from here.
 */

#ifndef VEIL_CORE_VERSION_H
#define VEIL_CORE_VERSION_H

#define VEIL_VERSION "0.4.0"

/* What "veil -v" and the Server header say. */
#define VEIL_SERVER_NAME "veil/" VEIL_VERSION

#endif
