/*
 * lint_files.c -- lints of the core's own directives: alias, root,
 * error_page.
 *
 * "location /img { alias /data/img/; }" is the best known of all traps: what
 * follows the prefix is put behind the path, so "/img../x" is a file outside.
 */

#include "core/platform.h"

#include "http/lint.h"

static const veil_lint_rule_t lint_traversal = { "L201", "alias-traversal",
                                                 VEIL_LINT_ERROR };
static const veil_lint_rule_t lint_joined = { "L202", "alias-without-slash",
                                              VEIL_LINT_WARNING };
static const veil_lint_rule_t lint_one_file = { "L203", "alias-ignores-path",
                                                VEIL_LINT_WARNING };
static const veil_lint_rule_t lint_root = { "L204", "root-in-location-only",
                                            VEIL_LINT_WARNING };
static const veil_lint_rule_t lint_page = { "L206", "named-location-missing",
                                            VEIL_LINT_ERROR };

/* --- alias -----------------------------------------------------------------
 */

static bool
lint_ends_slash(veil_str_t s)
{
    return veil_str_ends(s, VEIL_STR("/"));
}

static void
lint_prefix_alias(veil_lint_t *lint, const veil_conf_node_t *node,
                  const veil_http_location_t *l)
{
    veil_str_t path = veil_lint_arg(node, 1), name = l->name;

    if (!lint_ends_slash(name) && lint_ends_slash(path)) {
        veil_lint_add(lint, &lint_traversal, node, 1,
                      "\"%.*s../x\" is answered with \"%.*s../x\": whoever "
                      "asks gets files outside of \"%.*s\"",
                      VEIL_STR_ARG(name), VEIL_STR_ARG(path),
                      VEIL_STR_ARG(path));
        veil_lint_advise(lint, "write \"location %.*s/\"", VEIL_STR_ARG(name));
    } else if (lint_ends_slash(name) && !lint_ends_slash(path)
               && veil_str_chr(path, '$') < 0)
    {
        veil_lint_add(lint, &lint_joined, node, 1,
                      "\"%.*sa.txt\" is looked for as \"%.*sa.txt\": no slash "
                      "stands between",
                      VEIL_STR_ARG(name), VEIL_STR_ARG(path));
        veil_lint_advise(lint, "write \"alias %.*s/\"", VEIL_STR_ARG(path));
    }
}

static void
lint_alias(veil_lint_t *lint, const veil_conf_scope_t *block)
{
    const veil_conf_node_t *node = veil_lint_child(block->node, "alias", NULL);
    const veil_http_location_t *l = block->object;

    if (node == NULL || block->where != VEIL_CONF_LOCATION || l->exact
        || l->is_route)
    {
        return;
    }
    if (!l->regex) {
        lint_prefix_alias(lint, node, l);
    } else if (veil_str_chr(veil_lint_arg(node, 1), '$') < 0
               && lint_ends_slash(veil_lint_arg(node, 1)))
    {
        veil_lint_add(lint, &lint_one_file, node, 1,
                      "in a location with a regular expression \"alias\" is "
                      "the whole path, so whatever is asked for is \"%.*s\"",
                      VEIL_STR_ARG(veil_lint_arg(node, 1)));
        veil_lint_advise(lint,
                         "put the part of the path that counts into a "
                         "group and write it behind: \"alias %.*s$1\"",
                         VEIL_STR_ARG(veil_lint_arg(node, 1)));
    }
}

/* --- root ------------------------------------------------------------------
 */

static bool
lint_has_any(const veil_conf_node_t *block, const char *const *names)
{
    const veil_conf_node_t *node = NULL;
    unsigned i;

    while ((node = veil_lint_next(block, node)) != NULL) {
        for (i = 0; names[i] != NULL; i++) {
            if (veil_lint_is(node, names[i])) {
                return true;
            }
        }
    }
    return false;
}

/* Whether files are what the location answers with, as far as can be seen. */
static bool
lint_serves_files(const veil_conf_node_t *block)
{
    static const char *const others[] = {
        "root",        "alias",     "proxy_pass", "grpc_pass", "return",
        "rewrite",     "redirect",  "if",         "location",  "route",
        "tunnel_pass", "try_files", "internal",   NULL
    };
    const veil_module_command_t *known;
    const veil_conf_node_t *node = NULL;

    if (lint_has_any(block, others)) {
        return false;
    }
    /* A module that was added may answer by itself. */
    while ((node = veil_lint_next(block, node)) != NULL) {
        known = veil_module_command_find(node->args[0].str);
        if (known != NULL && known->cmd->flags & VEIL_CONF_OWN) {
            return false;
        }
    }
    return true;
}

static bool
lint_is_root_location(const veil_http_location_t *l)
{
    return !l->regex && !l->exact && !l->named && !l->is_route
           && veil_str_eq_z(l->name, "/");
}

/*
 * The server has no root but in "location /": another location that serves
 * files has the default, which nobody meant.
 */
static void
lint_server_root(veil_lint_t *lint, const veil_conf_scope_t *block)
{
    const veil_http_server_t *s = block->object;
    const veil_http_location_t *l, *slash = NULL;
    unsigned i, n = s->root->children == NULL ? 0 : s->root->children->n;

    if (veil_http_lint_inherited(block, "root") != NULL) {
        return;
    }
    for (i = 0; i < n; i++) {
        l = *veil_array_at(s->root->children, veil_http_location_t *, i);
        if (lint_is_root_location(l)
            && veil_lint_child(l->node, "root", NULL) != NULL) {
            slash = l;
        }
    }
    for (i = 0; slash != NULL && i < n; i++) {
        l = *veil_array_at(s->root->children, veil_http_location_t *, i);
        if (l->is_route || l->named || !lint_serves_files(l->node)) {
            continue;
        }
        veil_lint_add(
            lint, &lint_root, l->node, 0,
            "files are looked for in the default \"html\" here: "
            "\"root\" in line %u is inside of \"location /\", "
            "whose directives do not hold in other locations",
            veil_lint_child(slash->node, "root", NULL)->args[0].line);
        veil_lint_advise(lint, "move \"root\" into the server");
    }
}

/* --- named locations -------------------------------------------------------
 */

bool
veil_http_lint_has_named(const veil_http_server_t *s, veil_str_t name)
{
    const veil_http_location_t *l;
    unsigned i, n = s->root->children == NULL ? 0 : s->root->children->n;

    for (i = 0; i < n; i++) {
        l = *veil_array_at(s->root->children, veil_http_location_t *, i);
        if (l->named && veil_str_eq(l->name, name)) {
            return true;
        }
    }
    return false;
}

void
veil_http_lint_named(veil_lint_t *lint, const veil_conf_scope_t *block,
                     const veil_conf_node_t *node, unsigned arg)
{
    const veil_http_server_t *s = veil_http_lint_server(block);
    veil_str_t name = veil_lint_arg(node, arg);

    if (s == NULL || name.len == 0 || name.data[0] != '@'
        || veil_str_chr(name, '$') >= 0 || veil_http_lint_has_named(s, name))
    {
        return;
    }
    veil_lint_add(lint, &lint_page, node, arg,
                  "the server has no location \"%.*s\": who comes here gets "
                  "an error 500",
                  VEIL_STR_ARG(name));
    veil_lint_advise(lint, "add \"location %.*s { ... }\" to the server",
                     VEIL_STR_ARG(name));
}

void
veil_http_lint_core(veil_lint_t *lint, const veil_conf_scope_t *block)
{
    const veil_conf_node_t *node = NULL;

    lint_alias(lint, block);
    if (block->where == VEIL_CONF_SERVER) {
        lint_server_root(lint, block);
    }
    while ((node = veil_lint_child(block->node, "error_page", node)) != NULL) {
        veil_http_lint_named(lint, block, node, node->nargs - 1);
    }
}
