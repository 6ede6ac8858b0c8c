/*
 * show.h -- answers of verbs that deserve better than render.h's tables.
 */

#ifndef VEIL_CTL_SHOW_H
#define VEIL_CTL_SHOW_H

#include "ctl/render.h"

/*
 * The data of an answer of this verb, with args as it was called.  Data of
 * another shape than expected is shown as any other.
 */
void veil_ctl_show(veil_ctl_text_t *out, const veil_control_verb_t *verb,
                   const json_t *args, const json_t *data);
/* Adds to the arguments what makes the answer one for people. */
void veil_ctl_show_prepare(const veil_control_verb_t *verb, json_t *args);
/* One line of those that a verb streams; and its line feed. */
void veil_ctl_show_line(veil_ctl_text_t *out, const veil_control_verb_t *verb,
                        const json_t *line);
/* An error: "veilctl: msg", the hint, the workers that failed. */
void veil_ctl_show_error(veil_ctl_text_t *out, const veil_control_verb_t *verb,
                         const json_t *err, const json_t *workers);

/*
 * The state of a worker, a new reference: what the kernel says of a process
 * that is stopped counts more than what it said itself.
 */
json_t *veil_ctl_show_worker_state(const json_t *worker);

#endif
