/*
 * grpc_status.h -- gRPC's own status, as far as the HTTP layer has to know:
 * what becomes of an HTTP error for a client that speaks gRPC.
 */

#ifndef VEIL_HTTP_GRPC_STATUS_H
#define VEIL_HTTP_GRPC_STATUS_H

#include "core/pool.h"
#include "core/str.h"

/* Of gRPC's "Status codes and their use", those that are used here. */
typedef enum {
    VEIL_GRPC_OK = 0,
    VEIL_GRPC_CANCELLED = 1,
    VEIL_GRPC_UNKNOWN = 2,
    VEIL_GRPC_DEADLINE_EXCEEDED = 4,
    VEIL_GRPC_PERMISSION_DENIED = 7,
    VEIL_GRPC_RESOURCE_EXHAUSTED = 8,
    VEIL_GRPC_UNIMPLEMENTED = 12,
    VEIL_GRPC_INTERNAL = 13,
    VEIL_GRPC_UNAVAILABLE = 14,
    VEIL_GRPC_UNAUTHENTICATED = 16
} veil_grpc_status_t;

/*
 * What an HTTP status without a status of gRPC means, as gRPC's "HTTP to gRPC
 * Status Code Mapping" has it: clients would make the same of it.
 */
veil_grpc_status_t veil_grpc_status_of(int http_status);

/* What a reset of a stream means, by its code (RFC 9113, 7). */
veil_grpc_status_t veil_grpc_status_of_reset(unsigned code);

/* A value for "grpc-message": percent-encoded where it has to be. */
veil_str_t veil_grpc_message(veil_pool_t *pool, veil_str_t text);

/*
 * Whether a media type is "application/grpc", "application/grpc+proto" or the
 * like, parameters apart; *suffix (may be NULL) is then "+proto", or empty.
 * Those of gRPC-Web are not.
 */
bool veil_grpc_is_type(veil_str_t type, veil_str_t *suffix);

#endif
