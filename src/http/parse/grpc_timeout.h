/*
 * grpc_timeout.h -- the field "grpc-timeout", as gRPC's PROTOCOL-HTTP2.md has
 * it.
 */

#ifndef VEIL_HTTP_PARSE_GRPC_TIMEOUT_H
#define VEIL_HTTP_PARSE_GRPC_TIMEOUT_H

#include "core/pool.h"
#include "core/str.h"

/*
 * A value (1 to 8 digits and a unit of H M S m u n) in milliseconds, rounded
 * up; false: it is not one.
 */
bool veil_grpc_timeout_parse(veil_str_t value, uint64_t *ms);
/*
 * The same to a text, in the pool; never shorter than ms, as far as eight
 * digits go.
 */
veil_str_t veil_grpc_timeout_print(veil_pool_t *pool, uint64_t ms);

#endif
