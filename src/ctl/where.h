/*
 * where.h -- which socket the server has.
 */

#ifndef VEIL_CTL_WHERE_H
#define VEIL_CTL_WHERE_H

#include "core/pool.h"
#include "ctl/command.h"

/* Of the environment: a path. */
#define VEIL_CTL_ENV "VEIL_CONTROL"

/*
 * The path of the socket: -s, the environment, what the configuration names,
 * configure's default.  The pool's, or of the command.  NULL when the
 * configuration says that there is none: then *why is a sentence.
 */
const char *veil_ctl_where(veil_pool_t *pool, const veil_ctl_command_t *c,
                           const char **why);

#endif
