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

/*
 * Maps the content of such a descriptor for reading; children do not inherit
 * it.  0, or -errno, and then (or when it is empty) *text is empty.
 */
int veil_text_map(int fd, veil_str_t *text);
/* Harmless for an empty text, which it is afterwards. */
void veil_text_unmap(veil_str_t *text);

#endif
