/*
 * conf_defaults.c -- which defaults that are not nginx's a configuration
 * relies on.
 *
 * Who brings a file from nginx gets veil's defaults for whatever the file
 * does not say.  "veil -t" therefore names those that differ and are not set
 * anywhere: a directive's table entry has nginx's value beside veil's.
 */

#include "core/platform.h"

#include "core/cycle.h"

static bool
conf_defaults_is_set(const veil_conf_node_t *block, const char *name)
{
    const veil_conf_node_t *node;
    const veil_list_t *n;

    veil_list_foreach (n, &block->children) {
        node = veil_list_entry((veil_list_t *) (uintptr_t) n, veil_conf_node_t,
                               link);
        if (veil_str_eq_z(node->args[0].str, name)
            || (node->is_block && conf_defaults_is_set(node, name)))
        {
            return true;
        }
    }
    return false;
}

/* A default of http {} or upstream {} matters where there is such a block. */
static bool
conf_defaults_matters(const veil_conf_node_t *tree, const veil_command_t *cmd)
{
    if (cmd->where == VEIL_CONF_UPSTREAM) {
        return conf_defaults_is_set(tree, "upstream");
    }
    return (cmd->where & (VEIL_CONF_MAIN | VEIL_CONF_EVENTS)) != 0
           || conf_defaults_is_set(tree, "http");
}

void
veil_conf_print_deviations(const veil_cycle_t *cycle, FILE *out)
{
    const veil_module_command_t *commands;
    const veil_command_t *cmd;
    unsigned i, n, found = 0;

    if (cycle->tree == NULL) {
        return;
    }
    commands = veil_module_commands(&n);
    for (i = 0; i < n; i++) {
        cmd = commands[i].cmd;
        if (cmd->nginx == NULL || conf_defaults_is_set(cycle->tree, cmd->name)
            || !conf_defaults_matters(cycle->tree, cmd))
        {
            continue;
        }
        (void) fprintf(out, "%s%s %s (nginx: %s)",
                       found++ == 0 ? "veil: defaults that differ from "
                                      "nginx's, and are not set here: "
                                    : ", ",
                       cmd->name, cmd->def, cmd->nginx);
    }
    if (found != 0) {
        (void) fprintf(out, "\n");
    }
}
