/*
 * access.c -- who may come, by the client's address.
 *
 *     allow 10.0.0.0/8;          deny all;               first match wins
 *     allowed_ips 10.0.0.0/8;    denied_ips 10.0.0.7;    denied_ips win
 *
 * The first pair is nginx's: one list in the order of the file, the first
 * rule that matches decides, and no match allows.  In the second pair order
 * says nothing: who is denied is denied, and with allowed_ips whoever is not
 * named there is denied as well.  Where both pairs stand, both must agree.
 *
 * With "satisfy any" it counts as consent if a rule allows, but not if no
 * rule matched.  The client is the connection's peer, or who realip says.
 *
 * Lists are searched in order: they are short, and a search of a hundred
 * rules costs less than a line of the access log.
 */

#include "core/platform.h"

#include "http/conn.h"
#include "http/explain.h"
#include "http/http.h"
#include "http/lint.h"

typedef enum { ACCESS_CIDR, ACCESS_UNIX, ACCESS_ALL } access_kind_t;

typedef struct {
    access_kind_t kind;
    bool deny;
    veil_cidr_t cidr;
    const veil_conf_node_t *node;
} access_rule_t;

typedef struct {
    veil_array_t *rules;       /* of access_rule_t: allow, deny */
    veil_array_t *allowed_ips; /* of access_rule_t */
    veil_array_t *denied_ips;
} access_conf_t;

extern veil_module_t veil_http_access_module;

/* --- directives ------------------------------------------------------------
 */

/* Whether the text of a range has bits set behind its mask. */
static bool
access_has_low_bits(veil_str_t text, const veil_cidr_t *cidr)
{
    ptrdiff_t slash = veil_str_chr(text, '/');
    veil_addr_t addr;
    size_t n = cidr->family == AF_INET ? 4 : 16;

    if (slash >= 0) {
        text.len = (size_t) slash;
    }
    return veil_addr_parse_ip(&addr, text) && addr.family == cidr->family
           && memcmp(addr.u.ip, cidr->addr, n) != 0;
}

static veil_rc_t
access_parse(veil_conf_t *cf, unsigned arg, access_rule_t *rule)
{
    veil_str_t text = veil_conf_arg(cf, arg);

    rule->node = cf->node;
    if (veil_str_eq(text, VEIL_STR("all"))) {
        rule->kind = ACCESS_ALL;
        return VEIL_OK;
    }
    if (veil_str_eq(text, VEIL_STR("unix:"))) {
        rule->kind = ACCESS_UNIX;
        return VEIL_OK;
    }
    rule->kind = ACCESS_CIDR;
    if (!veil_cidr_parse(&rule->cidr, text)) {
        return veil_conf_error_at(cf, arg,
                                  "invalid address \"%.*s\": wanted is an IP "
                                  "address, a range as 10.0.0.0/8, \"unix:\" "
                                  "or \"all\"",
                                  VEIL_STR_ARG(text));
    }
    if (access_has_low_bits(text, &rule->cidr)) {
        veil_conf_warn(cf, "low address bits of \"%.*s\" are meaningless",
                       VEIL_STR_ARG(text));
    }
    return VEIL_OK;
}

static veil_rc_t
access_set_rule(veil_conf_t *cf, const veil_command_t *cmd, void *conf)
{
    access_conf_t *acf = conf;
    access_rule_t rule = { .deny = strcmp(cmd->name, "deny") == 0 };

    if (access_parse(cf, 1, &rule) != VEIL_OK) {
        return VEIL_ERROR;
    }
    *(access_rule_t *) veil_conf_array_push(cf, &acf->rules, sizeof(rule)) =
        rule;
    return VEIL_OK;
}

static veil_rc_t
access_set_ips(veil_conf_t *cf, const veil_command_t *cmd, void *conf)
{
    veil_array_t **list =
        (veil_array_t **) (void *) ((char *) conf + cmd->offset);
    access_rule_t rule;
    unsigned i;

    for (i = 1; i < veil_conf_nargs(cf); i++) {
        memset(&rule, 0, sizeof(rule));
        if (access_parse(cf, i, &rule) != VEIL_OK) {
            return VEIL_ERROR;
        }
        *(access_rule_t *) veil_conf_array_push(cf, list, sizeof(rule)) = rule;
    }
    return VEIL_OK;
}

/* --- the handler -----------------------------------------------------------
 */

static const access_rule_t *
access_find(const veil_array_t *rules, const veil_addr_t *addr)
{
    const access_rule_t *rule;
    unsigned i;

    for (i = 0; rules != NULL && i < rules->n; i++) {
        rule = veil_array_at(rules, access_rule_t, i);
        switch (rule->kind) {
        case ACCESS_ALL:
            return rule;
        case ACCESS_UNIX:
            if (addr->family == AF_UNIX) {
                return rule;
            }
            break;
        case ACCESS_CIDR:
            if (veil_cidr_match(&rule->cidr, addr)) {
                return rule;
            }
            break;
        }
    }
    return NULL;
}

static const access_rule_t *
access_match(const veil_array_t *rules, const veil_addr_t *addr)
{
    const access_rule_t *rule = access_find(rules, addr);

    if (rule != NULL) {
        veil_http_explain("access", rule->node,
                          "\"%.*s %.*s\" is the first rule for the client",
                          VEIL_STR_ARG(rule->node->args[0].str),
                          VEIL_STR_ARG(rule->node->args[1].str));
    } else if (rules != NULL) {
        veil_http_explain("access", NULL, "no rule is for the client");
    }
    return rule;
}

static veil_http_rc_t
access_denied(veil_http_request_t *r)
{
    /* With "satisfy any" somebody else may still let the client in. */
    if (veil_http_core_loc(r)->satisfy == VEIL_SATISFY_ALL) {
        veil_log(&r->log, VEIL_LOG_ERR, 0, "access forbidden by rule");
    }
    return veil_http_fail(r, 403);
}

static veil_http_rc_t
access_handler(veil_http_request_t *r)
{
    const access_conf_t *acf = veil_http_loc_conf(r, &veil_http_access_module);
    const access_rule_t *rule;
    const veil_addr_t *addr;
    bool allowed = false;

    if (r->conn == NULL
        || (acf->rules == NULL && acf->allowed_ips == NULL
            && acf->denied_ips == NULL))
    {
        return VEIL_HTTP_NEXT;
    }
    addr = &r->conn->c.peer;

    if (access_match(acf->denied_ips, addr) != NULL) {
        return access_denied(r);
    }
    if (acf->allowed_ips != NULL) {
        if (access_match(acf->allowed_ips, addr) == NULL) {
            return access_denied(r);
        }
        allowed = true;
    }
    rule = access_match(acf->rules, addr);
    if (rule != NULL) {
        if (rule->deny) {
            return access_denied(r);
        }
        allowed = true;
    }
    return allowed ? VEIL_HTTP_SKIP : VEIL_HTTP_NEXT;
}

/* --- lint ------------------------------------------------------------------
 */

static const veil_lint_rule_t access_after_all = { "L801", "access-after-all",
                                                   VEIL_LINT_WARNING };
static const veil_lint_rule_t access_no_deny = { "L802", "allow-without-deny",
                                                 VEIL_LINT_WARNING };
static const veil_lint_rule_t access_return = { "L803", "return-before-access",
                                                VEIL_LINT_WARNING };

static bool
access_is_rule(const veil_conf_node_t *node)
{
    return veil_lint_is(node, "allow") || veil_lint_is(node, "deny");
}

/* The first rule of the block; all: the first of them that is for all. */
static const veil_conf_node_t *
access_lint_rules(veil_lint_t *lint, const veil_conf_node_t *block,
                  const veil_conf_node_t **all, bool *denies)
{
    const veil_conf_node_t *node = NULL, *first = NULL;

    *all = NULL;
    *denies = false;
    while ((node = veil_lint_next(block, node)) != NULL) {
        if (!access_is_rule(node)) {
            continue;
        }
        if (*all != NULL) {
            veil_lint_add(lint, &access_after_all, node, 0,
                          "this rule is never asked: \"%.*s all\" in line %u "
                          "decides for everybody before it",
                          VEIL_STR_ARG((*all)->args[0].str),
                          (*all)->args[0].line);
            veil_lint_advise(lint, "the first rule that matches decides: put "
                                   "this one before it");
        } else if (veil_str_eq_z(veil_lint_arg(node, 1), "all")) {
            *all = node;
        }
        *denies |= veil_lint_is(node, "deny");
        first = first == NULL ? node : first;
    }
    return first;
}

/* "satisfy any" is another matter: there an "allow" lets in by itself. */
static void
access_lint(veil_lint_t *lint, const veil_conf_scope_t *block)
{
    const veil_http_core_loc_t *core =
        veil_http_lint_conf(block, &veil_http_core_module);
    const veil_conf_node_t *first, *all, *back;
    bool denies;

    first = access_lint_rules(lint, block->node, &all, &denies);
    if (first == NULL) {
        return;
    }
    if (!denies && all == NULL && core->satisfy == VEIL_SATISFY_ALL) {
        veil_lint_add(lint, &access_no_deny, first, 0,
                      "this \"allow\" keeps nobody out: whom no rule matches "
                      "is let in");
        veil_lint_advise(lint, "end the list with \"deny all\", or use "
                               "\"allowed_ips\"");
    }
    /* "deny all; return 404;" is a belt and braces. */
    back = veil_lint_child(block->node, "return", NULL);
    if (denies && back != NULL
        && veil_str_to_int(veil_lint_arg(back, 1)) < 400) {
        veil_lint_add(lint, &access_return, back, 0,
                      "everybody gets this answer: \"return\" comes before "
                      "the rules of line %u are asked",
                      first->args[0].line);
        veil_lint_advise(lint, "use \"redirect\", or \"try_files\" with a "
                               "status, which come after them");
    }
}

/* --- the module ------------------------------------------------------------
 */

#define ACCESS_WHERE (VEIL_CONF_HTTP_ANY | VEIL_CONF_LIMIT_EXCEPT)

static const veil_command_t access_commands[] = {
    { .name = "allow",
      .where = ACCESS_WHERE,
      .args = VEIL_ARGS_1,
      .flags = VEIL_CONF_MULTI,
      .set = access_set_rule,
      .syntax = "address | range | unix: | all",
      .help = "Lets these clients in; of allow and deny the first that "
              "matches decides." },

    { .name = "deny",
      .where = ACCESS_WHERE,
      .args = VEIL_ARGS_1,
      .flags = VEIL_CONF_MULTI,
      .set = access_set_rule,
      .syntax = "address | range | unix: | all",
      .help = "Answers 403 to these clients." },

    { .name = "allowed_ips",
      .where = ACCESS_WHERE,
      .args = VEIL_ARGS_1MORE,
      .flags = VEIL_CONF_MULTI,
      .set = access_set_ips,
      .offset = offsetof(access_conf_t, allowed_ips),
      .syntax = "address | range ...",
      .def = "all",
      .help = "Nobody but these clients may come." },

    { .name = "denied_ips",
      .where = ACCESS_WHERE,
      .args = VEIL_ARGS_1MORE,
      .flags = VEIL_CONF_MULTI,
      .set = access_set_ips,
      .offset = offsetof(access_conf_t, denied_ips),
      .syntax = "address | range ...",
      .def = "none",
      .help = "These clients may not come, whatever else allows them." },

    { .name = NULL },
};

static const veil_http_module_t access_http = {
    .loc_conf_size = sizeof(access_conf_t),
    .handler = { VEIL_PHASE_ACCESS, access_handler },
    .lint = access_lint,
};

veil_module_t veil_http_access_module = {
    .abi = VEIL_MODULE_ABI,
    .name = "access",
    .commands = access_commands,
    .http = &access_http,
};
