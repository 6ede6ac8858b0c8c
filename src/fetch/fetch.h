/*
 * fetch.h -- what all of veil-fetch's files know: how a run may end.
 */

#ifndef VEIL_FETCH_FETCH_H
#define VEIL_FETCH_FETCH_H

#include "core/str.h"

/* Exit codes; docs/fetch.md has the same list. */
typedef enum {
    VEIL_FETCH_OK = 0,
    VEIL_FETCH_USAGE = 1,     /* the command line */
    VEIL_FETCH_CONNECT = 2,   /* no address, or no connection to it */
    VEIL_FETCH_TLS = 3,       /* the handshake, or a certificate */
    VEIL_FETCH_PROTOCOL = 4,  /* the answer is no HTTP/1 */
    VEIL_FETCH_TRUNCATED = 5, /* the answer ended early, or may have */
    VEIL_FETCH_TIMEOUT = 6,
    VEIL_FETCH_FILE = 7,   /* what is sent or received, in a local file */
    VEIL_FETCH_STATUS = 22 /* --fail, and the status is 400 or more */
} veil_fetch_code_t;

/* A field of a request, as given with -H. */
typedef struct {
    veil_str_t name;
    veil_str_t value;
} veil_fetch_field_t;

#endif
