/*
 * ktls_none.c -- what stands for ktls.c in a build without BoringSSL.
 */

#include "core/platform.h"

#include "event/ktls.h"

void
veil_ktls_log_state(const veil_log_t *log)
{
    (void) log; /* no directive could want it */
}

void
veil_ktls_log_stats(const veil_log_t *log)
{
    (void) log; /* there were no sessions */
}
