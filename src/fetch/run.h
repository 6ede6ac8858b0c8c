/*
 * run.h -- all URLs of a command line, one after the other.
 */

#ifndef VEIL_FETCH_RUN_H
#define VEIL_FETCH_RUN_H

#include "event/tls.h"
#include "fetch/options.h"
#include "fetch/output.h"

/*
 * Turns the loop until all is fetched, or one failed.  Connections may still
 * be closing afterwards.
 */
veil_fetch_code_t veil_fetch_run(veil_loop_t *loop,
                                 const veil_fetch_options_t *o,
                                 veil_tls_ctx_t *ctx,
                                 veil_fetch_output_t *out);

#endif
