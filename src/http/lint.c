/*
 * lint.c -- lints of http {}: calls the modules' rules for each block, and
 * what those rules have in common.
 *
 * Blocks are the scopes of the load, which know their directives and confs;
 * nothing is read a second time.
 */

#include "core/platform.h"

#include "http/config.h"
#include "http/lint.h"

static void
lint_block(veil_lint_t *lint, const veil_conf_scope_t *block)
{
    unsigned i;

    for (i = 0; veil_modules[i] != NULL; i++) {
        if (veil_modules[i]->http != NULL
            && veil_modules[i]->http->lint != NULL) {
            veil_modules[i]->http->lint(lint, block);
        }
    }
}

void
veil_http_lint(veil_lint_t *lint)
{
    const veil_http_main_t *m = lint->cycle->http;
    const veil_conf_scope_t *block;
    const veil_http_server_t *s;
    unsigned i;

    if (m == NULL) {
        return;
    }
    for (block = lint->cycle->scopes; block != NULL; block = block->next) {
        if (block->layer == &veil_http_layer) {
            lint_block(lint, block);
        }
    }
    for (i = 0; i < m->servers.n; i++) {
        s = *veil_array_at(&m->servers, veil_http_server_t *, i);
        veil_http_lint_locations(lint, s->root);
    }
    veil_http_lint_servers(lint, m);
}

const veil_http_location_t *
veil_http_lint_location(const veil_conf_scope_t *block)
{
    const veil_http_server_t *s;

    switch (block->where) {
    case VEIL_CONF_LOCATION:
    case VEIL_CONF_IF_LOCATION:
        return block->object;
    case VEIL_CONF_LIMIT_EXCEPT:
        s = veil_http_lint_server(block);
        return block->object == s->root ? NULL : block->object;
    default:
        return NULL;
    }
}

const veil_http_server_t *
veil_http_lint_server(const veil_conf_scope_t *block)
{
    while (block != NULL && block->where != VEIL_CONF_SERVER) {
        block = block->parent;
    }
    return block == NULL ? NULL : block->object;
}

/* --- inheritance -----------------------------------------------------------
 */

const veil_conf_node_t *
veil_http_lint_inherited(const veil_conf_scope_t *block, const char *name)
{
    const veil_conf_node_t *node = NULL;

    while (block != NULL && node == NULL) {
        node = veil_lint_child(block->node, name, NULL);
        block = block->parent;
    }
    return node;
}

static bool
lint_repeats(const veil_conf_node_t *block, const char *name, veil_str_t what)
{
    const veil_conf_node_t *node = NULL;

    while ((node = veil_lint_child(block, name, node)) != NULL) {
        if (veil_str_caseeq(veil_lint_arg(node, 1), what)) {
            return true;
        }
    }
    return false;
}

#define LINT_NAMED 4 /* so many are named, the others are counted */

/* "A, B and C", "A, B, C, D and 2 more" */
static size_t
lint_list(char *buf, size_t n, size_t len, veil_str_t name, unsigned i,
          unsigned count)
{
    const char *sep = i + 1 == count ? " and " : ", ";

    if (i < LINT_NAMED) {
        return len
               + veil_snprintf(buf + len, n - len, "%s\"%.*s\"",
                               i == 0 ? "" : sep, VEIL_STR_ARG(name));
    }
    return i > LINT_NAMED ? len
                          : len
                                + veil_snprintf(buf + len, n - len,
                                                " and %u more", count - i);
}

unsigned
veil_http_lint_hidden(const veil_conf_scope_t *block, const char *name,
                      char *buf, size_t n, const veil_conf_node_t **outer)
{
    const veil_conf_scope_t *around = block->parent;
    const veil_conf_node_t *node = NULL;
    unsigned count = 0, i = 0;
    size_t len = 0;

    *outer = NULL;
    buf[0] = '\0';
    if (veil_lint_child(block->node, name, NULL) == NULL) {
        return 0;
    }
    while (around != NULL && veil_lint_child(around->node, name, NULL) == NULL)
    {
        around = around->parent;
    }
    if (around == NULL) {
        return 0;
    }
    while ((node = veil_lint_child(around->node, name, node)) != NULL) {
        if (!lint_repeats(block->node, name, veil_lint_arg(node, 1))) {
            *outer = count++ == 0 ? node : *outer;
        }
    }
    while ((node = veil_lint_child(around->node, name, node)) != NULL) {
        if (!lint_repeats(block->node, name, veil_lint_arg(node, 1))) {
            len = lint_list(buf, n, len, veil_lint_arg(node, 1), i++, count);
        }
    }
    return count;
}
