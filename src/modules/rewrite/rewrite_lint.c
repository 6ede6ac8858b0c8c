/*
 * rewrite_lint.c -- lints of return, rewrite, set and if.
 *
 * What "if" is infamous for comes from its being a block: while it holds, the
 * request has the block's directives instead of the location's.  With two
 * that hold it has those of the second only.
 */

#include "core/platform.h"

#include "http/lint.h"
#include "modules/rewrite/rewrite.h"

static const veil_lint_rule_t rewrite_if_note = { "L301", "if-is-a-block",
                                                  VEIL_LINT_NOTE };
static const veil_lint_rule_t rewrite_if_twice = { "L302", "if-replaces-if",
                                                   VEIL_LINT_WARNING };
static const veil_lint_rule_t rewrite_dead = { "L303", "unreachable-directive",
                                               VEIL_LINT_WARNING };
static const veil_lint_rule_t rewrite_decoded = { "L304",
                                                  "decoded-uri-in-redirect",
                                                  VEIL_LINT_WARNING };

static bool
rewrite_is_own(const veil_conf_node_t *node)
{
    static const char *const names[] = { "return",
                                         "rewrite",
                                         "set",
                                         "break",
                                         "if",
                                         "rewrite_log",
                                         "uninitialized_variable_warn",
                                         NULL };
    unsigned i;

    for (i = 0; names[i] != NULL; i++) {
        if (veil_lint_is(node, names[i])) {
            return true;
        }
    }
    return false;
}

/* --- if --------------------------------------------------------------------
 */

/*
 * The directives of an "if" that hold instead of the location's, as
 * "\"root\", \"expires\""; how many.
 */
static unsigned
rewrite_if_directives(const veil_conf_node_t *block, char *buf, size_t n)
{
    const veil_conf_node_t *node = NULL;
    unsigned count = 0;
    size_t len = 0;

    buf[0] = '\0';
    while ((node = veil_lint_next(block, node)) != NULL) {
        if (!rewrite_is_own(node)) {
            len += veil_snprintf(buf + len, n - len, "%s\"%.*s\"",
                                 count++ == 0 ? "" : ", ",
                                 VEIL_STR_ARG(node->args[0].str));
        }
    }
    return count;
}

/* The "if" before this one that holds beside it, and has directives too. */
static const veil_conf_node_t *
rewrite_if_before(const veil_conf_node_t *block, const veil_conf_node_t *node)
{
    const veil_conf_node_t *other = NULL, *found = NULL;
    char buf[256];

    while ((other = veil_lint_child(block, "if", other)) != node) {
        if (veil_lint_child(other, "return", NULL) == NULL
            && rewrite_if_directives(other, buf, sizeof(buf)) != 0)
        {
            found = other;
        }
    }
    return found;
}

static void
rewrite_lint_if(veil_lint_t *lint, const veil_conf_scope_t *block)
{
    const veil_conf_node_t *node = block->node, *before;
    char here[256], there[256];

    if (veil_lint_child(node, "return", NULL) != NULL) {
        return; /* it answers by itself, with what stands beside */
    }
    before = rewrite_if_before(node->parent, node);
    if (before != NULL) {
        (void) rewrite_if_directives(before, there, sizeof(there));
        veil_lint_add(lint, &rewrite_if_twice, node, 0,
                      "where this \"if\" and the one of line %u both hold, "
                      "%s of that one does not: a request is in one block "
                      "only, the last",
                      before->args[0].line, there);
        veil_lint_advise(lint, "make the value a variable with \"map\", and "
                               "use it in the location itself");
        return;
    }
    if (rewrite_if_directives(node, here, sizeof(here)) != 0) {
        veil_lint_add(lint, &rewrite_if_note, node, 0,
                      "while the condition holds the request is in a block "
                      "of its own, where %s holds instead of the location's",
                      here);
        veil_lint_advise(lint, "safe in an \"if\" are return, rewrite, set "
                               "and break; for the others use \"map\"");
    }
}

/* --- what never runs -------------------------------------------------------
 */

static void
rewrite_lint_order(veil_lint_t *lint, const veil_conf_node_t *block)
{
    const veil_conf_node_t *node = NULL, *end = NULL;

    while ((node = veil_lint_next(block, node)) != NULL) {
        if (end != NULL
            && (veil_lint_is(node, "return") || veil_lint_is(node, "rewrite")
                || veil_lint_is(node, "set") || veil_lint_is(node, "if")))
        {
            veil_lint_add(lint, &rewrite_dead, node, 0,
                          "this is never done: \"%.*s\" in line %u ends the "
                          "operations of the block",
                          VEIL_STR_ARG(end->args[0].str), end->args[0].line);
            veil_lint_advise(lint, "put it before, or take it out");
        }
        if (end == NULL
            && (veil_lint_is(node, "return") || veil_lint_is(node, "break")))
        {
            end = node;
        }
    }
}

/* --- redirects -------------------------------------------------------------
 */

static bool
rewrite_uses_decoded(veil_str_t text)
{
    return veil_lint_uses(text, "uri") || veil_lint_uses(text, "document_uri");
}

/* The argument that is sent as a Location; 0: there is none. */
static unsigned
rewrite_location_arg(const veil_conf_node_t *node)
{
    veil_str_t code = veil_lint_arg(node, 1), flag = veil_lint_arg(node, 3);
    veil_str_t to = veil_lint_arg(node, 2);

    if (veil_lint_is(node, "return")) {
        if (node->nargs == 2) {
            return 1;
        }
        return veil_str_starts(code, VEIL_STR("30")) ? 2 : 0;
    }
    if (veil_lint_is(node, "redirect")) {
        return 1;
    }
    if (veil_lint_is(node, "rewrite")
        && (veil_str_casestarts(to, VEIL_STR("http://"))
            || veil_str_casestarts(to, VEIL_STR("https://"))
            || (veil_str_starts(to, VEIL_STR("$scheme"))
                && (veil_str_eq_z(flag, "redirect")
                    || veil_str_eq_z(flag, "permanent")))))
    {
        return 2;
    }
    return 0;
}

static void
rewrite_lint_decoded(veil_lint_t *lint, const veil_conf_node_t *block)
{
    const veil_conf_node_t *node = NULL;
    unsigned arg;

    while ((node = veil_lint_next(block, node)) != NULL) {
        arg = rewrite_location_arg(node);
        if (arg != 0 && rewrite_uses_decoded(veil_lint_arg(node, arg))) {
            veil_lint_add(lint, &rewrite_decoded, node, arg,
                          "$uri is decoded: \"%%3F\" of a path becomes the "
                          "beginning of a query in the Location, and "
                          "\"%%0D%%0A\" is an end of line that nginx would "
                          "send");
            veil_lint_advise(lint, "use $request_uri, or \"redirect ... "
                                   "preserve_path\"");
        }
    }
}

void
veil_rewrite_lint(veil_lint_t *lint, const veil_conf_scope_t *block)
{
    if (block->where == VEIL_CONF_IF_LOCATION) {
        rewrite_lint_if(lint, block);
    }
    if (block->where & REWRITE_WHERE) {
        rewrite_lint_order(lint, block->node);
        rewrite_lint_decoded(lint, block->node);
    }
}
