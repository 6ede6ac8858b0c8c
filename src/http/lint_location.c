/*
 * lint_location.c -- lints of locations: which no request reaches, and which
 * others than meant.
 *
 * The order is location.c's: exact ones, the longest prefix and what is
 * nested in it, then, unless that said "^~" or is a route, the first regex
 * that matches.  A rule tells only what follows from the text alone.
 */

#include "core/platform.h"

#include "http/lint.h"
#include "http/regex.h"

static const veil_lint_rule_t lint_repeated = { "L401",
                                                "location-regex-repeated",
                                                VEIL_LINT_WARNING };
static const veil_lint_rule_t lint_after_all = { "L402",
                                                 "location-regex-unreachable",
                                                 VEIL_LINT_WARNING };
static const veil_lint_rule_t lint_under_all = { "L403",
                                                 "location-prefix-unreachable",
                                                 VEIL_LINT_WARNING };
static const veil_lint_rule_t lint_under_stop = { "L404",
                                                  "location-regex-stopped",
                                                  VEIL_LINT_WARNING };
static const veil_lint_rule_t lint_no_slash = { "L405",
                                                "location-without-slash",
                                                VEIL_LINT_WARNING };
static const veil_lint_rule_t lint_not_normal = { "L406",
                                                  "location-not-normalised",
                                                  VEIL_LINT_WARNING };
static const veil_lint_rule_t lint_query = { "L407", "location-sees-no-query",
                                             VEIL_LINT_WARNING };
static const veil_lint_rule_t lint_dot = { "L408", "location-bare-dot",
                                           VEIL_LINT_NOTE };

static const veil_http_location_t *
lint_child(const veil_http_location_t *parent, unsigned i)
{
    return *veil_array_at(parent->children, veil_http_location_t *, i);
}

static bool
lint_is_caseless(const veil_http_location_t *l)
{
    return veil_str_starts(veil_lint_arg(l->node, 1), VEIL_STR("~*"));
}

static veil_str_t
lint_pattern(const veil_http_location_t *l)
{
    return veil_http_regex_pattern(l->re);
}

static bool
lint_is_prefix(const veil_http_location_t *l)
{
    return !l->exact && !l->named && !l->regex;
}

/* The argument that has the name. */
static unsigned
lint_name_arg(const veil_http_location_t *l)
{
    return l->node->nargs == 3 ? 2 : 1;
}

/* --- one by itself ---------------------------------------------------------
 */

static bool
lint_has_escape(veil_str_t s)
{
    size_t i;

    for (i = 0; i + 2 < s.len; i++) {
        if (s.data[i] == '%'
            && veil_str_to_hex(veil_str_n(s.data + i + 1, 2)) >= 0) {
            return true;
        }
    }
    return false;
}

static const char *
lint_why_not_normal(const veil_http_location_t *l)
{
    const veil_http_core_server_t *conf =
        l->server->server_conf[veil_http_core_module.index];
    veil_str_t name = l->name;

    if (conf->merge_slashes && veil_str_find(name, VEIL_STR("//")) >= 0) {
        return "several slashes of a URI are one before locations are looked "
               "at";
    }
    if (veil_str_find(name, VEIL_STR("/./")) >= 0
        || veil_str_find(name, VEIL_STR("/../")) >= 0
        || veil_str_ends(name, VEIL_STR("/.."))
        || veil_str_ends(name, VEIL_STR("/.")))
    {
        return "dots of a URI are resolved before locations are looked at";
    }
    if (lint_has_escape(name)) {
        return "a URI is decoded before locations are looked at";
    }
    if (veil_str_chr(name, '?') >= 0) {
        return "locations do not see the query";
    }
    return NULL;
}

static void
lint_name(veil_lint_t *lint, const veil_http_location_t *l)
{
    const char *why = lint_why_not_normal(l);
    unsigned arg = lint_name_arg(l);

    if ((l->name.len != 0 || l->exact)
        && (l->name.len == 0 || l->name.data[0] != '/'))
    {
        veil_lint_add(lint, &lint_no_slash, l->node, arg,
                      "no request comes to location \"%.*s\": paths begin "
                      "with \"/\"",
                      VEIL_STR_ARG(l->name));
        veil_lint_advise(lint,
                         "write \"/%.*s\", or \"~ %.*s\" if it is a regular "
                         "expression",
                         VEIL_STR_ARG(l->name), VEIL_STR_ARG(l->name));
        return;
    }
    if (why != NULL) {
        veil_lint_add(lint, &lint_not_normal, l->node, arg,
                      "no request comes to location \"%.*s\": %s",
                      VEIL_STR_ARG(l->name), why);
        veil_lint_advise(lint, "write the path as it is once it is decoded "
                               "and normalised; test queries with \"if "
                               "($args ...)\" or a map");
    }
}

/* "\?" and a name: somebody looks for a query. */
static bool
lint_looks_for_query(veil_str_t s)
{
    ptrdiff_t at = veil_str_find(s, VEIL_STR("\\?"));

    if (at < 0) {
        return false;
    }
    s = veil_str_from(s, (size_t) at);
    return veil_str_chr(s, '=') >= 0;
}

static void
lint_regex(veil_lint_t *lint, const veil_http_location_t *l)
{
    veil_str_t pattern = lint_pattern(l), literal;

    if (lint_looks_for_query(pattern)) {
        veil_lint_add(lint, &lint_query, l->node, lint_name_arg(l),
                      "locations match the path alone: a query after \"?\" "
                      "is not there");
        veil_lint_advise(lint, "match the path here and the query with a map "
                               "or \"if ($args ...)\"");
    } else if (veil_http_lint_literal(lint->pool, pattern, &literal)
               && literal.len != 0 && literal.data[0] != '/')
    {
        veil_lint_add(lint, &lint_no_slash, l->node, lint_name_arg(l),
                      "no path matches \"%.*s\": paths begin with \"/\"",
                      VEIL_STR_ARG(pattern));
        veil_lint_advise(lint, "write \"^/%.*s\"",
                         VEIL_STR_ARG(veil_str_from(pattern, 1)));
    }
    if (veil_http_lint_bare_dot(pattern)) {
        veil_lint_add(lint, &lint_dot, l->node, lint_name_arg(l),
                      "a \".\" in \"%.*s\" matches any character",
                      VEIL_STR_ARG(pattern));
        veil_lint_advise(lint, "write \"\\.\" for a dot");
    }
}

/* --- with those before it --------------------------------------------------
 */

/* Regex i of the level and an earlier one. */
static bool
lint_is_hidden_by(veil_lint_t *lint, const veil_http_location_t *l,
                  const veil_http_location_t *before)
{
    if (veil_http_lint_matches_all(lint_pattern(before))) {
        veil_lint_add(lint, &lint_after_all, l->node, lint_name_arg(l),
                      "no request comes here: \"%.*s\" in line %u matches "
                      "every path and comes first",
                      VEIL_STR_ARG(lint_pattern(before)),
                      before->node->args[0].line);
        veil_lint_advise(lint, "put this location before that one, or make "
                               "that one a prefix: \"location /\"");
        return true;
    }
    if (veil_str_eq(lint_pattern(before), lint_pattern(l))
        && (lint_is_caseless(before) || !lint_is_caseless(l)))
    {
        veil_lint_add(lint, &lint_repeated, l->node, lint_name_arg(l),
                      "no request comes here: the same pattern in line %u "
                      "comes first",
                      before->node->args[0].line);
        veil_lint_advise(lint, "put both into one location");
        return true;
    }
    return false;
}

/* Whether the location's name covers a path that begins so. */
static bool
lint_covers(const veil_http_location_t *l, veil_str_t literal)
{
    veil_str_t name = l->name;

    if (!l->is_route) {
        return veil_str_starts(literal, name);
    }
    if (veil_str_ends(name, VEIL_STR("/"))) {
        name.len--;
    }
    return veil_str_starts(literal, name) && literal.len > name.len
           && literal.data[name.len] == '/';
}

/*
 * A prefix that ends the search covers all that the regex could match, and no
 * longer one lets regexes in again.
 */
static void
lint_stopped(veil_lint_t *lint, const veil_http_location_t *parent,
             const veil_http_location_t *l)
{
    const veil_http_location_t *p, *stop = NULL;
    veil_str_t literal;
    unsigned i;

    if (lint_is_caseless(l)
        || !veil_http_lint_literal(lint->pool, lint_pattern(l), &literal))
    {
        return;
    }
    for (i = 0; i < parent->children->n; i++) {
        p = lint_child(parent, i);
        if (lint_is_prefix(p) && (p->no_regex || p->is_route)
            && lint_covers(p, literal)
            && (stop == NULL || p->name.len > stop->name.len))
        {
            stop = p;
        }
    }
    for (i = 0; stop != NULL && i < parent->children->n; i++) {
        p = lint_child(parent, i);
        if (lint_is_prefix(p) && !p->no_regex && !p->is_route
            && p->name.len >= stop->name.len
            && veil_str_starts(p->name, stop->name))
        {
            return;
        }
    }
    if (stop != NULL) {
        veil_lint_add(lint, &lint_under_stop, l->node, lint_name_arg(l),
                      "no request comes here: \"%s%.*s\" in line %u has all "
                      "of these paths and asks no regular expression",
                      stop->is_route ? "route " : "^~ ",
                      VEIL_STR_ARG(stop->name), stop->node->args[0].line);
        veil_lint_advise(lint, "put this location inside of that one%s",
                         stop->is_route ? "" : ", or leave \"^~\" out there");
    }
}

/* Those before number i; the first that hides it is enough. */
static void
lint_regex_order(veil_lint_t *lint, const veil_http_location_t *parent,
                 unsigned i)
{
    const veil_http_location_t *l = lint_child(parent, i), *before;
    unsigned k;

    for (k = 0; k < i; k++) {
        before = lint_child(parent, k);
        if (before->regex && lint_is_hidden_by(lint, l, before)) {
            return;
        }
    }
    lint_stopped(lint, parent, l);
}

/* Plain prefixes of a level that has a regex for everything. */
static void
lint_prefix_order(veil_lint_t *lint, const veil_http_location_t *parent,
                  const veil_http_location_t *all)
{
    const veil_http_location_t *l;
    unsigned i;

    for (i = 0; i < parent->children->n; i++) {
        l = lint_child(parent, i);
        if (!lint_is_prefix(l) || l->no_regex || l->is_route
            || l->children != NULL) {
            continue;
        }
        veil_lint_add(lint, &lint_under_all, l->node, lint_name_arg(l),
                      "no request comes here: \"~ %.*s\" in line %u matches "
                      "every path, and regular expressions win over prefixes",
                      VEIL_STR_ARG(lint_pattern(all)),
                      all->node->args[0].line);
        veil_lint_advise(lint, "write \"^~\" here, or \"location /\" there");
    }
}

void
veil_http_lint_locations(veil_lint_t *lint, const veil_http_location_t *parent)
{
    const veil_http_location_t *l, *all = NULL;
    unsigned i, n = parent->children == NULL ? 0 : parent->children->n;

    for (i = 0; i < n; i++) {
        l = lint_child(parent, i);
        if (l->regex) {
            lint_regex(lint, l);
            lint_regex_order(lint, parent, i);
            if (all == NULL && veil_http_lint_matches_all(lint_pattern(l))) {
                all = l;
            }
        } else if (!l->named) {
            lint_name(lint, l);
        }
        veil_http_lint_locations(lint, l);
    }
    if (all != NULL) {
        lint_prefix_order(lint, parent, all);
    }
}
