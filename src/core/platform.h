/*
 * platform.h -- configure's results and the functions nobody may call.
 *
 * The only header that looks at what configure found.  Included first by
 * every .c file.
 */

#ifndef VEIL_CORE_PLATFORM_H
#define VEIL_CORE_PLATFORM_H

#ifndef _GNU_SOURCE
#define _GNU_SOURCE 1
#endif

#include "veil_auto_config.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/types.h>
#include <unistd.h>

#include "core/types.h"

#if defined(__SANITIZE_ADDRESS__)
#define VEIL_ASAN 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define VEIL_ASAN 1
#endif
#endif
#ifndef VEIL_ASAN
#define VEIL_ASAN 0
#endif

/* Debug builds (--with-debug) define VEIL_DEBUG as 1; it is 0 otherwise. */
#ifndef VEIL_DEBUG
#define VEIL_DEBUG 0
#endif

/*
 * Unbounded, or silent about truncation: veil has str.h for these.  gcc alone
 * watches over it: under clang, _FORTIFY_SOURCE makes macros of some of them,
 * and a macro cannot be poisoned.  gets is not among them: C11 has none, and
 * BoringSSL's headers name a parameter so.
 */
#ifndef __clang__
#pragma GCC poison strcpy strcat sprintf vsprintf strncat strtok
#endif

#endif
