/*
 * hint.h -- what the server advises, in the words of the command line.
 */

#ifndef VEIL_CTL_HINT_H
#define VEIL_CTL_HINT_H

#include "ctl/verbs.h"

/*
 * Adds the text with what a request names written as it is typed: the verb
 * "server.set" as "veilctl server set", the argument "keep_old" as --keep-old.
 * verb: whose answer or help it is; NULL: of none.
 */
void veil_ctl_hint(veil_ctl_text_t *t, const veil_control_verb_t *verb,
                   veil_str_t text);

#endif
