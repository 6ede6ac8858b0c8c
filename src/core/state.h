/*
 * state.h -- the state of the run time in a file: state.save, state.load,
 * state.diff.
 *
 * The file is JSON:
 *
 *     { "veil_state": 1, "by": "veil/0.4.0", "saved": 1700000000,
 *       "sha256": "...", "state": { "servers": [ ... ], ... } }
 *
 * with the SHA-256 of the member "state", written compactly with its keys
 * sorted.  Each part of it is a module's, which adds itself in the keeper.
 * Loading checks all parts before it changes any; then nothing can fail.  What
 * workers keep for themselves they are sent, and load as the keeper did.
 */

#ifndef VEIL_CORE_STATE_H
#define VEIL_CORE_STATE_H

#include "core/control.h"
#include "core/overlay.h"

/* What a line of the overlay is to a part. */
typedef enum {
    VEIL_STATE_NOT_MINE,
    VEIL_STATE_IN_FORCE,
    VEIL_STATE_NOT_IN_FORCE /* it was changed, and that was not to stay */
} veil_state_force_t;

typedef struct veil_state_part_s veil_state_part_t;
struct veil_state_part_s {
    const char *name; /* "servers" */
    /*
     * All of it: an array, a new reference.  What cannot be in a file is
     * appended to left_out, an object that names it and has a "reason".
     */
    json_t *(*save)(json_t *left_out);
    /*
     * Whether saved, an array, could be loaded; false after failing the
     * call.  What would change is appended to changes.
     */
    bool (*check)(veil_control_call_t *call, const json_t *saved,
                  json_t *changes);
    /*
     * Loads what check() was called with just before.  What workers have to
     * load, a new reference; NULL: nothing.
     */
    json_t *(*load)(void);
    /* In a worker, what load() has returned; false after failing the call. */
    bool (*load_worker)(veil_control_call_t *call, const json_t *loaded);
    /* Lets go of what check() has kept; also when it said false. */
    void (*forget)(void);
    veil_state_force_t (*in_force)(const veil_overlay_line_t *line);
    veil_state_part_t *next;
};

/*
 * All parts, as they would be saved; a new reference.  What was changed and
 * would not be saved is appended to left_out.
 */
json_t *veil_state_now(json_t *left_out);
/* Whether what the line says holds now; also of a line that nobody knows. */
bool veil_state_in_force(const veil_overlay_line_t *line);
/* In a keeper before its first worker, once for each part. */
void veil_state_add(veil_state_part_t *part);

#endif
