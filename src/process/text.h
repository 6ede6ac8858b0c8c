/*
 * text.h -- a configuration as one text, to be kept.
 */

#ifndef VEIL_PROCESS_TEXT_H
#define VEIL_PROCESS_TEXT_H

#include "core/conf.h"
#include "core/str.h"

/*
 * Writes the tree, includes resolved, into a new memfd: read again, it makes
 * the same tree.  Returns the descriptor or -errno.
 */
int veil_text_keep(const veil_conf_node_t *tree);

/*
 * The content of such a descriptor, zero-terminated, to be freed with
 * veil_free.  0 or -errno.
 */
int veil_text_read(int fd, char **text);

#endif
