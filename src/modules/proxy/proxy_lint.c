/*
 * proxy_lint.c -- lints of proxy_pass and the like: which path goes out, who
 * chooses where to, and which fields of the request are lost.
 *
 * The rules of the URI are proxy_pass.c's; examples in messages are made by
 * the same replacement, of the location's prefix by the directive's URI.
 */

#include "http/lint.h"
#include "http/server.h"
#include "modules/proxy/proxy.h"

static const veil_lint_rule_t proxy_hides = { "L102", "set-header-hides",
                                              VEIL_LINT_WARNING };
static const veil_lint_rule_t proxy_slash = { "L701", "proxy-uri-slash",
                                              VEIL_LINT_WARNING };
static const veil_lint_rule_t proxy_replaced = { "L702", "proxy-uri-replaced",
                                                 VEIL_LINT_NOTE };
static const veil_lint_rule_t proxy_fixed = { "L703", "proxy-uri-fixed",
                                              VEIL_LINT_WARNING };
static const veil_lint_rule_t proxy_decoded = { "L704", "proxy-uri-decoded",
                                                VEIL_LINT_WARNING };
static const veil_lint_rule_t proxy_chosen = { "L705",
                                               "proxy-target-from-client",
                                               VEIL_LINT_WARNING };
static const veil_lint_rule_t proxy_unused = { "L706", "proxy-uri-unused",
                                               VEIL_LINT_WARNING };

/* --- a URI in the directive ------------------------------------------------
 */

/* What becomes of the location's prefix and "rest". */
static veil_str_t
proxy_lint_example(veil_lint_t *lint, veil_str_t uri, const char *rest)
{
    return veil_pool_printf(lint->pool, "%.*s%s", VEIL_STR_ARG(uri), rest);
}

static void
proxy_lint_slash(veil_lint_t *lint, const proxy_target_t *t,
                 const veil_http_location_t *l)
{
    bool name_slash = veil_str_ends(l->name, VEIL_STR("/"));
    bool uri_slash = veil_str_ends(t->uri, VEIL_STR("/"));
    const char *rest = name_slash ? "b" : "/b";
    veil_str_t from = proxy_lint_example(lint, l->name, rest);
    veil_str_t to = proxy_lint_example(lint, t->uri, rest);

    if (veil_str_eq(from, to)) {
        return;
    }
    if (name_slash == uri_slash || veil_str_chr(t->uri, '?') >= 0) {
        veil_lint_add(lint, &proxy_replaced, t->node, 1,
                      "the prefix is replaced: \"%.*s\" goes out as \"%.*s\"",
                      VEIL_STR_ARG(from), VEIL_STR_ARG(to));
        veil_lint_advise(lint, "without a URI behind the host the path goes "
                               "out as it came");
        return;
    }
    veil_lint_add(lint, &proxy_slash, t->node, 1,
                  "\"%.*s\" goes out as \"%.*s\": the prefix \"%.*s\" is "
                  "replaced by \"%.*s\", and only one of them ends with a "
                  "slash",
                  VEIL_STR_ARG(from), VEIL_STR_ARG(to), VEIL_STR_ARG(l->name),
                  VEIL_STR_ARG(t->uri));
    if (name_slash) {
        veil_lint_advise(lint, "end the URI with \"/\"");
    } else {
        veil_lint_advise(lint,
                         "write \"location %.*s/\", or leave the last \"/\" "
                         "of the URI out",
                         VEIL_STR_ARG(l->name));
    }
}

/* "rewrite ... break" beside it. */
static const veil_conf_node_t *
proxy_lint_rewrite(const veil_conf_node_t *block)
{
    const veil_conf_node_t *node = NULL;

    while ((node = veil_lint_child(block, "rewrite", node)) != NULL) {
        if (veil_str_eq_z(veil_lint_arg(node, 3), "break")) {
            return node;
        }
    }
    return NULL;
}

static void
proxy_lint_uri(veil_lint_t *lint, const veil_conf_scope_t *block,
               const proxy_target_t *t)
{
    const veil_http_location_t *l = veil_http_lint_location(block);
    const veil_conf_node_t *rewrite;

    if (l == NULL || t->uri.len == 0 || l->is_route) {
        return;
    }
    rewrite = proxy_lint_rewrite(block->node);
    if (rewrite != NULL) {
        veil_lint_add(lint, &proxy_unused, t->node, 1,
                      "where the \"rewrite\" of line %u matches, \"%.*s\" of "
                      "this URL is not used: the rewritten path goes out as "
                      "it is",
                      rewrite->args[0].line, VEIL_STR_ARG(t->uri));
        veil_lint_advise(lint, "leave it out here, or the rewrite");
    } else if (!l->exact) {
        proxy_lint_slash(lint, t, l);
    }
}

/* --- variables in the directive --------------------------------------------
 */

/* A variable whose name begins so: "$arg_x". */
static bool
proxy_lint_has(veil_str_t text, const char *prefix)
{
    size_t n = strlen(prefix);
    ptrdiff_t at;

    while ((at = veil_str_chr(text, '$')) >= 0) {
        text = veil_str_from(text, (size_t) at + 1);
        if (text.len != 0 && text.data[0] == '{') {
            text = veil_str_from(text, 1);
        }
        if (text.len >= n && memcmp(text.data, prefix, n) == 0) {
            return true;
        }
    }
    return false;
}

static bool
proxy_lint_is_default(const veil_http_server_t *s)
{
    const veil_http_port_t *port;
    unsigned i;

    for (i = 0; s != NULL && i < s->main->ports.n; i++) {
        port = *veil_array_at(&s->main->ports, veil_http_port_t *, i);
        if (port->default_server == s) {
            return true;
        }
    }
    return false;
}

/*
 * Where the authority ends: at a slash, or at a variable that begins with
 * one.
 */
static size_t
proxy_lint_authority(veil_str_t rest)
{
    static const char *const paths[] = { "/",
                                         "$uri",
                                         "$request_uri",
                                         "$document_uri",
                                         "${uri}",
                                         "${request_uri}",
                                         NULL };
    size_t end = rest.len;
    ptrdiff_t at;
    unsigned i;

    for (i = 0; paths[i] != NULL; i++) {
        at = veil_str_find(rest, veil_str_z(paths[i]));
        if (at > 0 && (size_t) at < end) {
            end = (size_t) at;
        }
    }
    return end;
}

/* A name that the client chose; of a server with names, Host is one of them.
 */
static bool
proxy_lint_from_client(veil_str_t authority, const veil_http_server_t *s)
{
    static const char *const prefixes[] = { "arg_", "cookie_", "request_uri",
                                            "uri",  "args",    "query_string",
                                            NULL };
    bool host = veil_lint_uses(authority, "host")
                || veil_lint_uses(authority, "http_host");
    unsigned i;

    for (i = 0; prefixes[i] != NULL; i++) {
        if (proxy_lint_has(authority, prefixes[i])) {
            return true;
        }
    }
    if (host) {
        return proxy_lint_is_default(s);
    }
    return proxy_lint_has(authority, "http_");
}

static void
proxy_lint_variables(veil_lint_t *lint, const veil_conf_scope_t *block,
                     const proxy_target_t *t)
{
    const veil_http_core_loc_t *core =
        veil_http_lint_conf(block, &veil_http_core_module);
    ptrdiff_t at = veil_str_find(t->url, VEIL_STR("://"));
    veil_str_t rest, authority, uri;

    rest = at < 0 ? t->url : veil_str_from(t->url, (size_t) at + 3);
    authority = veil_str_n(rest.data, proxy_lint_authority(rest));
    uri = veil_str_from(rest, authority.len);

    if (!core->internal && !veil_str_starts(authority, VEIL_STR("unix:"))
        && proxy_lint_from_client(authority, veil_http_lint_server(block)))
    {
        veil_lint_add(lint, &proxy_chosen, t->node, 1,
                      "clients choose where this goes: \"%.*s\" is what they "
                      "send, so they reach whatever this machine reaches",
                      VEIL_STR_ARG(authority));
        veil_lint_advise(lint, "choose among known names with \"map\"");
    } else if (veil_lint_uses(t->url, "uri")
               || veil_lint_uses(t->url, "document_uri"))
    {
        veil_lint_add(lint, &proxy_decoded, t->node, 1,
                      "$uri is decoded and has no query: \"%%3F\" of a path "
                      "would begin one");
        veil_lint_advise(lint, "use $request_uri, or no URI at all: then the "
                               "request's own goes out");
    } else if (uri.len != 0 && veil_str_chr(uri, '$') < 0) {
        veil_lint_add(lint, &proxy_fixed, t->node, 1,
                      "with variables in the URL the URI is the whole one: "
                      "every request goes out as \"%.*s\", without its own "
                      "path and query",
                      VEIL_STR_ARG(uri));
        veil_lint_advise(lint,
                         "leave \"%.*s\" out, or write "
                         "\"%.*s$request_uri\"",
                         VEIL_STR_ARG(uri), VEIL_STR_ARG(authority));
    }
}

/* --- all of it -------------------------------------------------------------
 */

void
veil_proxy_lint(veil_lint_t *lint, const veil_conf_scope_t *block,
                const proxy_kind_t *kind, const char *set_header)
{
    const proxy_conf_t *conf = veil_http_lint_conf(block, kind->module);
    const proxy_target_t *t = conf->target;
    const veil_conf_node_t *outer;
    char hidden[256];

    if (veil_http_lint_hidden(block, set_header, hidden, sizeof(hidden),
                              &outer)
        != 0)
    {
        veil_lint_add(lint, &proxy_hides,
                      veil_lint_child(block->node, set_header, NULL), 0,
                      "requests from here go out without %s of line %u: a "
                      "block with one \"%s\" gets none of the blocks around",
                      hidden, outer->args[0].line, set_header);
        veil_lint_advise(lint, "repeat them here");
    }
    if (t == NULL || t->node != veil_lint_child(block->node, kind->pass, NULL))
    {
        return; /* told where it stands */
    }
    if (t->value != NULL) {
        proxy_lint_variables(lint, block, t);
    } else {
        proxy_lint_uri(lint, block, t);
    }
}
