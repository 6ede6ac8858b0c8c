/*
 * diff.h -- what tells one configuration from another, for people.
 */

#ifndef VEIL_PROCESS_DIFF_H
#define VEIL_PROCESS_DIFF_H

#include <jansson.h>

#include "core/conf.h"

/* Entries of any list in a diff at most; what is more is counted. */
#define VEIL_DIFF_LIST 200
/* Bytes of a directive that are shown. */
#define VEIL_DIFF_TEXT 160

typedef struct {
    const veil_conf_node_t *tree;
    const json_t *facts; /* as of facts.h; NULL: not known, not compared */
} veil_diff_side_t;

/*
 * The difference, a new reference:
 *
 *   "same"         nothing differs
 *   "summary"      one line
 *   "directives"   {"added", "removed", "changed"}: how many
 *   "changes"      [{"op", "path", "from", "to", "file", "line"}]: "added",
 *                  "removed", "changed" or "reordered", and the blocks around
 *                  as "http > server a.example"
 *   "more"         changes that are not in the list
 *   "upstreams"    {"added", "removed"}: [{"upstream", "server"}]
 *   "listeners"    {"added", "removed"}: addresses, and "changed":
 *                  [{"address", "from", "to"}], numbers of sockets
 *   "zones"        {"added", "removed", "renewed"}: names; renewed ones begin
 *                  empty, as their size is another
 *   "certificates" paths of files whose content is another
 *   "workers"      [from, to]
 */
json_t *veil_diff_make(const veil_diff_side_t *from,
                       const veil_diff_side_t *to);

/* diff_tree.c's part of it. */
typedef struct {
    json_t *changes;
    unsigned added;
    unsigned removed;
    unsigned changed;
    unsigned more; /* that are not in the list */
} veil_diff_tree_t;
void veil_diff_tree(const veil_conf_node_t *from, const veil_conf_node_t *to,
                    veil_diff_tree_t *out);

#endif
