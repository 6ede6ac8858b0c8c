/*
 * facts.h -- what a configuration comes to, beyond its directives.
 */

#ifndef VEIL_PROCESS_FACTS_H
#define VEIL_PROCESS_FACTS_H

#include <jansson.h>

#include "core/cycle.h"

/*
 * Of a configuration that was loaded, a new reference:
 *
 *   "workers"     how many
 *   "listeners"   {ADDRESS: sockets}
 *   "zones"       {NAME: {"size", "owner"}}
 *   "files"       {PATH: fingerprint} of certificates and keys
 *
 * Fingerprints are those of what is on the disk now.
 */
json_t *veil_facts_make(const veil_cycle_t *cycle);

/* A new memfd with the value as text; or -errno. */
int veil_facts_keep(const json_t *value);
/* The value in such a descriptor, a new reference; NULL: there is none. */
json_t *veil_facts_read(int fd);

/*
 * The difference between what runs, as texts kept by the master, and the
 * cycle's configuration; running_facts may be empty: not known.  A new
 * reference; NULL when there is nothing to compare with.
 */
json_t *veil_facts_diff(const veil_cycle_t *cycle, veil_str_t running,
                        veil_str_t running_facts, const json_t *facts);

#endif
