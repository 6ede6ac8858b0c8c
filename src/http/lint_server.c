/*
 * lint_server.c -- lints of servers: which no request reaches, whose names
 * no Host can have, and where requests go that no server wants.
 *
 * Whether a name leads to a server is asked of the table that requests are
 * looked up in, so the answer is the one they would get.
 */

#include "core/platform.h"

#include "http/lint.h"
#include "http/server.h"

static const veil_lint_rule_t lint_unreachable = { "L501",
                                                   "server-unreachable",
                                                   VEIL_LINT_WARNING };
static const veil_lint_rule_t lint_nameless = { "L502", "server-without-name",
                                                VEIL_LINT_WARNING };
static const veil_lint_rule_t lint_default = { "L503",
                                               "default-server-implied",
                                               VEIL_LINT_NOTE };
static const veil_lint_rule_t lint_weak = { "L504", "server-name-regex-open",
                                            VEIL_LINT_WARNING };
static const veil_lint_rule_t lint_never = { "L505", "server-name-impossible",
                                             VEIL_LINT_WARNING };
static const veil_lint_rule_t lint_mixed = { "L506", "listen-ssl-mixed",
                                             VEIL_LINT_WARNING };

static const veil_http_server_name_t *
lint_name(const veil_http_server_t *s, unsigned i)
{
    return veil_array_at(&s->names, veil_http_server_name_t, i);
}

/* The argument of the directive that is this name. */
static unsigned
lint_name_arg(const veil_http_server_name_t *name)
{
    unsigned i;

    for (i = 1; i < name->node->nargs; i++) {
        if (veil_str_caseeq(veil_lint_arg(name->node, i), name->name)) {
            return i;
        }
    }
    return 0;
}

static bool
lint_has_names(const veil_http_server_t *s)
{
    return !(s->names.n == 1 && lint_name(s, 0)->name.len == 0
             && lint_name(s, 0)->node == s->node);
}

/* --- names -----------------------------------------------------------------
 */

static void
lint_regex_name(veil_lint_t *lint, const veil_http_server_name_t *name)
{
    veil_str_t s = veil_str_from(name->name, 1);
    bool begins = veil_str_starts(s, VEIL_STR("^"));
    bool ends = veil_str_ends(s, VEIL_STR("$"));

    if (!begins || !ends) {
        veil_lint_add(lint, &lint_weak, name->node, lint_name_arg(name),
                      "the pattern is not bound at its %s: names such as "
                      "\"%s\" match it, too",
                      begins ? "end" : (ends ? "beginning" : "ends"),
                      ends ? "not-your.name" : "your.name.evil.example");
        veil_lint_advise(lint, "begin it with \"^\" and end it with \"$\"");
    } else if (veil_http_lint_bare_dot(s)) {
        veil_lint_add(lint, &lint_weak, name->node, lint_name_arg(name),
                      "a \".\" in the pattern matches any character, so other "
                      "names match it, too");
        veil_lint_advise(lint, "write \"\\.\" for a dot");
    }
}

static void
lint_plain_name(veil_lint_t *lint, const veil_http_server_name_t *name)
{
    const char *why = NULL;

    if (veil_str_chr(name->name, ':') >= 0 && name->name.data[0] != '[') {
        why = "a port is not part of the name that is looked up";
    } else if (veil_str_chr(name->name, '$') >= 0) {
        why = "variables have no value here";
    } else if (veil_str_chr(name->name, ',') >= 0) {
        why = "names are separated by blanks";
    } else if (name->name.len > 1
               && name->name.data[name->name.len - 1] == '.') {
        why = "a final dot is taken off before a name is looked up";
    }
    if (why != NULL) {
        veil_lint_add(lint, &lint_never, name->node, lint_name_arg(name),
                      "no request has the name \"%.*s\": %s",
                      VEIL_STR_ARG(name->name), why);
        veil_lint_advise(lint, "write the host's name alone");
    }
}

static void
lint_names(veil_lint_t *lint, const veil_http_server_t *s)
{
    unsigned i;

    for (i = 0; i < s->names.n; i++) {
        if (lint_name(s, i)->regex != NULL) {
            lint_regex_name(lint, lint_name(s, i));
        } else if (lint_name(s, i)->name.len != 0) {
            lint_plain_name(lint, lint_name(s, i));
        }
    }
}

/* --- who is reached --------------------------------------------------------
 */

static const veil_http_port_t *
lint_port(const veil_http_main_t *m, const veil_http_listen_t *l)
{
    const veil_http_port_t *port;
    unsigned i;

    for (i = 0; i < m->ports.n; i++) {
        port = *veil_array_at(&m->ports, veil_http_port_t *, i);
        if (veil_addr_eq(&port->addr, &l->options.addr)) {
            return port;
        }
    }
    return NULL;
}

/* Whether a host that this name is for comes to the server of the name. */
static bool
lint_name_leads(const veil_http_port_t *port,
                const veil_http_server_name_t *name, veil_pool_t *pool,
                const veil_http_server_t **instead)
{
    veil_str_t host = name->name;

    if (name->regex != NULL) {
        return true; /* some name may match */
    }
    if (veil_str_starts(host, VEIL_STR("*."))) {
        host = veil_pool_printf(pool, "lint%.*s",
                                VEIL_STR_ARG(veil_str_from(host, 1)));
    } else if (host.len > 1 && host.data[0] == '.') {
        host = veil_pool_printf(pool, "lint%.*s", VEIL_STR_ARG(host));
    } else if (veil_str_ends(host, VEIL_STR(".*"))) {
        host.len--;
        host = veil_pool_printf(pool, "%.*slint", VEIL_STR_ARG(host));
    }
    *instead = veil_http_server_find(port, host, NULL);
    return *instead == name->server;
}

static bool
lint_is_reached(veil_lint_t *lint, const veil_http_main_t *m,
                const veil_http_server_t *s,
                const veil_http_server_t **instead)
{
    const veil_http_port_t *port;
    unsigned i, k;

    for (i = 0; i < s->listens.n; i++) {
        port = lint_port(m, veil_array_at(&s->listens, veil_http_listen_t, i));
        if (port == NULL || port->default_server == s) {
            return true;
        }
        for (k = 0; k < s->names.n; k++) {
            if (lint_name_leads(port, lint_name(s, k), lint->pool, instead)) {
                return true;
            }
        }
    }
    return false;
}

static bool
lint_is_default(const veil_http_main_t *m, const veil_http_server_t *s)
{
    const veil_http_port_t *port;
    unsigned i;

    for (i = 0; i < s->listens.n; i++) {
        port = lint_port(m, veil_array_at(&s->listens, veil_http_listen_t, i));
        if (port == NULL || port->default_server == s) {
            return true;
        }
    }
    return false;
}

static void
lint_reach(veil_lint_t *lint, const veil_http_main_t *m,
           const veil_http_server_t *s)
{
    const veil_http_server_t *instead = s;

    if (!lint_is_reached(lint, m, s, &instead)) {
        veil_lint_add(lint, &lint_unreachable, s->node, 0,
                      "no request comes to this server: on its addresses the "
                      "server in line %u of \"%.*s\" has all of its names",
                      instead->node->args[0].line,
                      VEIL_STR_ARG(instead->node->file->name));
        veil_lint_advise(lint, "take one of the two out, or give them "
                               "different names or addresses");
    } else if (!lint_has_names(s) && !lint_is_default(m, s)) {
        veil_lint_add(lint, &lint_nameless, s->node, 0,
                      "only requests without a Host come to this server: it "
                      "has no \"server_name\" and is nobody's default");
        veil_lint_advise(lint, "add a \"server_name\", or \"default_server\" "
                               "to its \"listen\"");
    }
}

/* --- ports -----------------------------------------------------------------
 */

static const veil_http_listen_t *
lint_listen_of(const veil_http_server_t *s, const veil_http_port_t *port)
{
    const veil_http_listen_t *l;
    unsigned i;

    for (i = 0; i < s->listens.n; i++) {
        l = veil_array_at(&s->listens, veil_http_listen_t, i);
        if (veil_addr_eq(&l->options.addr, &port->addr)) {
            return l;
        }
    }
    return NULL;
}

/* "ssl" belongs to the address: one who says it says it for all. */
static void
lint_port_ssl(veil_lint_t *lint, const veil_http_port_t *port)
{
    const veil_http_listen_t *l;
    const veil_http_server_t *s;
    unsigned i;

    for (i = 0; port->ssl && i < port->servers.n; i++) {
        s = *veil_array_at(&port->servers, veil_http_server_t *, i);
        l = lint_listen_of(s, port);
        if (l != NULL && !l->ssl) {
            veil_lint_add(lint, &lint_mixed, l->node, 0,
                          "this server speaks TLS here all the same: another "
                          "one says \"ssl\" for the same address");
            veil_lint_advise(lint, "say \"ssl\" in all of them, or listen on "
                                   "another port without it");
        }
    }
}

static void
lint_port_default(veil_lint_t *lint, const veil_http_port_t *port)
{
    const veil_http_server_t *s = port->default_server;
    const veil_http_listen_t *l = lint_listen_of(s, port);

    if (port->explicit_default || port->servers.n < 2 || !lint_has_names(s)
        || veil_str_eq_z(s->name, "_") || l == NULL)
    {
        return;
    }
    veil_lint_add(lint, &lint_default, l->node, 0,
                  "requests for names that no server of this address has come "
                  "to \"%.*s\", because it is the first",
                  VEIL_STR_ARG(s->name));
    veil_lint_advise(lint, "say \"default_server\" where they are to go");
}

void
veil_http_lint_servers(veil_lint_t *lint, const veil_http_main_t *m)
{
    const veil_http_server_t *s;
    unsigned i;

    for (i = 0; i < m->servers.n; i++) {
        s = *veil_array_at(&m->servers, veil_http_server_t *, i);
        lint_names(lint, s);
        lint_reach(lint, m, s);
    }
    for (i = 0; i < m->ports.n; i++) {
        lint_port_ssl(lint, *veil_array_at(&m->ports, veil_http_port_t *, i));
        lint_port_default(lint,
                          *veil_array_at(&m->ports, veil_http_port_t *, i));
    }
}
