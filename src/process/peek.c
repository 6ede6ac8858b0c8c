/*
 * peek.c -- a look at the configuration without applying it.
 *
 * Three things are asked before a keeper reads the configuration: who shall
 * be the master ("daemon", "master_process"), and where the pid file of a
 * running one is.  All three stand in the main context, so the tree has them;
 * nothing is resolved, opened or checked.  That is also why "veil -s stop"
 * works while the new configuration on disk names a host that is down.
 *
 * Two pid files, one on the command line and one in the file, are an error: a
 * signal must not go to another server than the one that is meant.
 *
 * A value that is neither "on" nor "off" counts as the default: the keeper
 * reports it a moment later, with everything else that is wrong.
 */

#include "core/platform.h"

#include "core/conf.h"
#include "process/peek.h"

static void
peek_pid(veil_conf_t *cf, const veil_conf_node_t *node, veil_peek_t *peek)
{
    if (peek->pid_path.data != NULL) {
        (void) veil_conf_error_node(cf, node, 0,
                                    "\"pid\" directive is duplicate");
        return;
    }
    peek->pid_path = veil_conf_full_path(cf, node->args[1].str, false);
}

static void
peek_nodes(veil_conf_t *cf, const veil_conf_node_t *root, veil_peek_t *peek)
{
    const veil_conf_node_t *node;
    const veil_list_t *n;
    veil_str_t value;
    veil_str_t name;

    veil_list_foreach (n, &root->children) {
        node = (const veil_conf_node_t *) (const void *) n;
        if (node->nargs != 2) {
            continue;
        }
        name = node->args[0].str;
        value = node->args[1].str;
        if (veil_str_eq_z(name, "daemon")) {
            peek->daemon = !veil_str_eq_z(value, "off");
        } else if (veil_str_eq_z(name, "master_process")) {
            peek->master_process = !veil_str_eq_z(value, "off");
        } else if (veil_str_eq_z(name, "pid")) {
            peek_pid(cf, node, peek);
        }
    }
}

_Static_assert(offsetof(veil_conf_node_t, link) == 0,
               "a node's link is its beginning");

veil_rc_t
veil_peek(veil_cycle_t *cycle, veil_peek_t *peek)
{
    veil_conf_t cf = {
        .cycle = cycle,
        .pool = cycle->pool,
        .temp_pool = cycle->pool,
        .log = &cycle->log,
    };
    const veil_conf_node_t *globals;
    const veil_conf_node_t *root;

    peek->daemon = true;
    peek->master_process = true;
    peek->pid_path = VEIL_STR_NULL;

    if (cycle->globals.len != 0) {
        globals =
            veil_conf_parse(&cf, VEIL_STR("command line"), cycle->globals);
        if (globals == NULL) {
            return VEIL_ERROR;
        }
        peek_nodes(&cf, globals, peek);
    }
    root = veil_conf_read(&cf, cycle->conf_path);
    if (root == NULL || cf.errors != 0) {
        return VEIL_ERROR;
    }
    peek_nodes(&cf, root, peek);
    if (peek->pid_path.data == NULL) {
        peek->pid_path =
            veil_conf_full_path(&cf, veil_str_z(VEIL_PID_PATH), false);
    }
    return cf.errors == 0 ? VEIL_OK : VEIL_ERROR;
}
