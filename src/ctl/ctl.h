/*
 * ctl.h -- what all of veilctl's files know: how a run may end.
 */

#ifndef VEIL_CTL_CTL_H
#define VEIL_CTL_CTL_H

#include <jansson.h>

#include "core/control.h"
#include "core/str.h"

/* Exit codes; docs/veilctl.md has the same list. */
typedef enum {
    VEIL_CTL_OK = 0,
    VEIL_CTL_FAILED = 1,  /* refused, failed, or there is no server */
    VEIL_CTL_USAGE = 2,   /* the command line; nothing was sent */
    VEIL_CTL_PARTIAL = 3, /* some workers did it, some did not */
    VEIL_CTL_TIMEOUT = 4
} veil_ctl_code_t;

/* Codes of errors that the client finds by itself. */
#define VEIL_CTL_E_CONNECT "E_CONNECT" /* no socket, no server, no right */
#define VEIL_CTL_E_ANSWER "E_ANSWER"   /* none, or no answer of veil's */

#endif
