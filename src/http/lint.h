/*
 * lint.h -- lints of http {}: what modules' rules have in common, and those
 * that are about servers and locations.
 *
 * A module's hook (veil_http_module_t.lint) is called for each block: http,
 * server, location, if, limit_except, upstream.  block->node has the
 * directives, block->where the kind, block->object the server or location,
 * block->conf what holds there, block->parent the block around.
 */

#ifndef VEIL_HTTP_LINT_H
#define VEIL_HTTP_LINT_H

#include "core/lint.h"
#include "http/http.h"

/* The core module's hook: all of it. */
veil_lint_fn veil_http_lint;

/* The location of a location, an "if" in one, a limit_except; else NULL. */
const veil_http_location_t *
veil_http_lint_location(const veil_conf_scope_t *block);
/* The server of a server, a location, or what is in them; else NULL. */
const veil_http_server_t *
veil_http_lint_server(const veil_conf_scope_t *block);
/* What the module has in the block, kind LOC. */
static inline const void *
veil_http_lint_conf(const veil_conf_scope_t *block, const veil_module_t *m)
{
    return veil_conf_read_of(block, m, VEIL_CONF_OF_LOC);
}

/*
 * For directives whose first in a block hides all of the blocks around, as
 * add_header: how many of those are hidden and not repeated here (argument 1,
 * in any case, tells them apart).  buf gets them as "A, B and 3 more", outer
 * the first of them.
 */
unsigned veil_http_lint_hidden(const veil_conf_scope_t *block,
                               const char *name, char *buf, size_t n,
                               const veil_conf_node_t **outer);
/*
 * The block's directive of this name, or that of the nearest block around;
 * NULL: there is none.
 */
const veil_conf_node_t *
veil_http_lint_inherited(const veil_conf_scope_t *block, const char *name);

/* lint_files.c: the core module's own directives. */
veil_http_lint_fn veil_http_lint_core;
bool veil_http_lint_has_named(const veil_http_server_t *s, veil_str_t name);
/* Tells if argument arg is "@name" of a location that is not there. */
void veil_http_lint_named(veil_lint_t *lint, const veil_conf_scope_t *block,
                          const veil_conf_node_t *node, unsigned arg);
/* lint_location.c: the locations of one level. */
void veil_http_lint_locations(veil_lint_t *lint,
                              const veil_http_location_t *parent);
/* lint_regex.c: what can be told of a pattern without running it. */
/* It matches every URI path. */
bool veil_http_lint_matches_all(veil_str_t pattern);
/*
 * The literal text that whatever matches begins with, after "^"; *end: how
 * much of the pattern that is.  False: it is not anchored, or cannot be told.
 */
bool veil_http_lint_literal(veil_pool_t *pool, veil_str_t pattern,
                            veil_str_t *literal);
/* A dot that stands before a letter and means any character. */
bool veil_http_lint_bare_dot(veil_str_t pattern);
/* lint_server.c: ports, names, what no request reaches. */
void veil_http_lint_servers(veil_lint_t *lint, const veil_http_main_t *m);

#endif
