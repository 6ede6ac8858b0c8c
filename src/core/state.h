/*
 * state.h -- the state of the run time in a file: state.save, state.load,
 * state.diff.
 *
 * The file is JSON:
 *
 *     { "veil_state": 1, "by": "veil/0.4.0", "saved": 1700000000,
 *       "sha256": "...", "state": { "servers": [ ... ] } }
 *
 * with the SHA-256 of the member "state", written compactly with its keys
 * sorted.  Each part of it is a module's, which adds itself in the keeper.
 * Loading checks all parts before it changes any; then nothing can fail.
 */

#ifndef VEIL_CORE_STATE_H
#define VEIL_CORE_STATE_H

#include "core/control.h"

typedef struct veil_state_part_s veil_state_part_t;
struct veil_state_part_s {
    const char *name; /* "servers" */
    /* All of it: an array, a new reference. */
    json_t *(*save)(void);
    /*
     * Whether saved, an array, could be loaded; false after failing the
     * call.  What would change is appended to changes.
     */
    bool (*check)(veil_control_call_t *call, const json_t *saved,
                  json_t *changes);
    /* Loads what check() was called with just before. */
    void (*load)(void);
    veil_state_part_t *next;
};

/* All parts, as they would be saved; a new reference. */
json_t *veil_state_now(void);
/* In a keeper, once for each part. */
void veil_state_add(veil_state_part_t *part);

#endif
