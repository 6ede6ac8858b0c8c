/*
 * where.c -- which socket the server has.
 *
 * Whoever calls veilctl without -s means the server of this machine, and its
 * configuration says where that one's socket is.  So the tree of the
 * configuration is read, as "veil -s" does for the pid file: nothing is
 * applied.  Of the installation's file, which need not be there, nothing is
 * said if it cannot be read: the default is tried then.  With -c that would be
 * another server than the one that was meant, so it is an error.
 */

#include "core/platform.h"

#include <fcntl.h>

#include "core/cycle.h"
#include "ctl/where.h"

typedef struct {
    veil_str_t pid;
    veil_str_t socket; /* empty: not named */
    bool off;
} where_found_t;

static void
where_node(veil_conf_t *cf, const veil_conf_node_t *node, where_found_t *found)
{
    veil_str_t name = node->args[0].str, value = node->args[1].str;

    if (veil_str_eq_z(name, "pid")) {
        found->pid = veil_conf_full_path(cf, value, false);
    } else if (veil_str_eq_z(name, "control_socket")) {
        if (veil_str_starts(value, VEIL_STR("unix:"))) {
            value = veil_str_from(value, 5);
        }
        found->off = veil_str_eq_z(node->args[node->nargs - 1].str, "off");
        found->socket = veil_conf_full_path(cf, value, false);
    }
}

/* False: the file cannot be read. */
static bool
where_look(veil_cycle_t *cycle, where_found_t *found)
{
    veil_conf_t cf = { .cycle = cycle,
                       .pool = cycle->pool,
                       .temp_pool = cycle->pool,
                       .log = &cycle->log };
    veil_conf_node_t *root, *node;
    veil_list_t *n;

    found->pid = veil_conf_full_path(&cf, veil_str_z(VEIL_PID_PATH), false);
    root = veil_conf_read(&cf, cycle->conf_path);
    if (root == NULL) {
        return false;
    }
    veil_list_foreach (n, &root->children) {
        node = veil_list_entry(n, veil_conf_node_t, link);
        if (node->nargs >= 2) {
            where_node(&cf, node, found);
        }
    }
    return true;
}

/* Why the file of -c says nothing. */
static const char *
where_unread(veil_pool_t *pool, const veil_cycle_t *cycle)
{
    int fd = open(cycle->conf_path.data, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    int err = fd < 0 ? errno : 0;

    if (fd >= 0) {
        (void) close(fd);
        return veil_pool_printf(pool,
                                "the configuration \"%.*s\" does not say "
                                "which server is meant: there are mistakes in "
                                "it, which \"veilctl config check %.*s\" "
                                "shows",
                                VEIL_STR_ARG(cycle->conf_path),
                                VEIL_STR_ARG(cycle->conf_path))
            .data;
    }
    return veil_pool_printf(pool,
                            "the configuration \"%.*s\" cannot be read (%d: "
                            "%s)",
                            VEIL_STR_ARG(cycle->conf_path), err, strerror(err))
        .data;
}

static const char *
where_configured(veil_pool_t *pool, const veil_ctl_command_t *c,
                 const char **why)
{
    veil_cycle_t *cycle =
        veil_cycle_create(veil_str_z(c->prefix), veil_str_z(c->conf),
                          VEIL_STR_NULL, VEIL_STR_NULL);
    where_found_t found = { .off = false };
    const char *path = NULL;

    cycle->log.level = VEIL_LOG_OFF;
    if (!where_look(cycle, &found) && c->conf != NULL) {
        *why = where_unread(pool, cycle);
    } else if (found.off) {
        *why = veil_pool_printf(pool,
                                "\"control_socket\" is off in \"%.*s\": the "
                                "server has no control socket",
                                VEIL_STR_ARG(cycle->conf_path))
                   .data;
    } else if (found.socket.len != 0) {
        path = veil_pool_strz(pool, found.socket);
    } else {
        /* It stands beside the pid file: "veil.pid", "veil.sock". */
        if (veil_str_ends(found.pid, VEIL_STR(".pid"))) {
            found.pid.len -= 4;
        }
        path =
            veil_pool_printf(pool, "%.*s.sock", VEIL_STR_ARG(found.pid)).data;
    }
    veil_cycle_destroy(&cycle);
    return path;
}

const char *
veil_ctl_where(veil_pool_t *pool, const veil_ctl_command_t *c,
               const char **why)
{
    const char *path = c->socket;

    if (path == NULL && c->conf == NULL) {
        path = getenv(VEIL_CTL_ENV);
        path = path != NULL && *path == '\0' ? NULL : path;
    }
    if (path == NULL) {
        return where_configured(pool, c, why);
    }
    return strncmp(path, "unix:", 5) == 0 ? path + 5 : path;
}
