/*
 * variable.c -- variables: names to indexes while the configuration is read,
 * values when a request asks for them.
 *
 * A definition is looked for at the end of the load, so the order of
 * directives does not matter: first what a directive defined (set, map), then
 * the modules' tables, then prefixes ("http_", "arg_").
 *
 * A request has one slot for each variable that the configuration mentions,
 * made when the first is asked for: a request that needs none pays nothing.
 */

#include "core/platform.h"

#include "http/vars.h"

typedef enum { SLOT_EMPTY, SLOT_FOUND, SLOT_MISSING, SLOT_BUSY } slot_state_t;

struct veil_http_var_slot_s {
    veil_str_t value;
    uint8_t state;
};

typedef struct veil_http_var_slot_s variable_slot_t;

/* --- while the configuration is read
 * ------------------------------------------ */

void
veil_http_vars_init(veil_conf_t *cf, veil_http_main_t *main)
{
    const veil_http_var_def_t *def;
    unsigned i;

    main->vars = VEIL_POOL_NEW(cf->pool, struct veil_http_vars_s);
    veil_array_init(&main->vars->list, cf->pool,
                    sizeof(veil_http_variable_t *), 32);
    veil_array_init(&main->vars->nodes, cf->pool, sizeof(veil_conf_node_t *),
                    32);
    veil_array_init(&main->vars->prefixes, cf->pool, sizeof(def), 16);
    veil_array_init(&main->vars->defs, cf->pool, sizeof(def), 128);

    for (i = 0; veil_modules[i] != NULL; i++) {
        if (veil_modules[i]->http == NULL
            || veil_modules[i]->http->variables == NULL) {
            continue;
        }
        for (def = veil_modules[i]->http->variables; def->name != NULL; def++)
        {
            const veil_http_var_def_t **to =
                veil_array_push((def->flags & VEIL_HTTP_VAR_PREFIX) != 0
                                    ? &main->vars->prefixes
                                    : &main->vars->defs);
            *to = def;
        }
    }
}

static struct veil_http_vars_s *
variable_all(const veil_conf_t *cf)
{
    const veil_http_main_t *main = cf->cycle->http;

    return main->vars;
}

static veil_http_variable_t *
variable_find(const struct veil_http_vars_s *vars, veil_str_t name)
{
    veil_http_variable_t *v;
    unsigned i;

    for (i = 0; i < vars->list.n; i++) {
        v = *veil_array_at(&vars->list, veil_http_variable_t *, i);
        if (veil_str_caseeq(v->name, name)) {
            return v;
        }
    }
    return NULL;
}

static veil_http_variable_t *
variable_mention(veil_conf_t *cf, veil_str_t name)
{
    struct veil_http_vars_s *vars = variable_all(cf);
    veil_http_variable_t *v = variable_find(vars, name);
    char *lower;

    if (v != NULL) {
        return v;
    }
    v = VEIL_POOL_NEW(cf->pool, veil_http_variable_t);
    lower = veil_pool_chars(cf->pool, name.len + 1);
    veil_str_lower(lower, name.data, name.len);
    v->name = veil_str_n(lower, name.len);
    v->index = vars->list.n;
    *(veil_http_variable_t **) veil_array_push(&vars->list) = v;
    *(const veil_conf_node_t **) veil_array_push(&vars->nodes) = cf->node;
    return v;
}

unsigned
veil_http_var_index(veil_conf_t *cf, veil_str_t name)
{
    return variable_mention(cf, name)->index;
}

bool
veil_http_var_is_mentioned(const veil_conf_t *cf, veil_str_t name)
{
    return variable_find(variable_all(cf), name) != NULL;
}

static const veil_http_var_def_t *
variable_find_def(const struct veil_http_vars_s *vars, veil_str_t name)
{
    const veil_http_var_def_t *def, *best = NULL;
    unsigned i;

    for (i = 0; i < vars->defs.n; i++) {
        def = *veil_array_at(&vars->defs, const veil_http_var_def_t *, i);
        if (veil_str_eq_z(name, def->name)) {
            return def;
        }
    }
    for (i = 0; i < vars->prefixes.n; i++) {
        def = *veil_array_at(&vars->prefixes, const veil_http_var_def_t *, i);
        if (name.len > strlen(def->name)
            && veil_str_starts(name, veil_str_z(def->name))
            && (best == NULL || strlen(def->name) > strlen(best->name)))
        {
            best = def;
        }
    }
    return best;
}

veil_http_variable_t *
veil_http_var_define(veil_conf_t *cf, veil_str_t name, unsigned flags)
{
    veil_http_variable_t *v = variable_mention(cf, name);
    const veil_http_var_def_t *def;

    if ((v->flags & VEIL_HTTP_VAR_DEFINED) != 0) {
        if ((v->flags & flags & VEIL_HTTP_VAR_CHANGEABLE) == 0) {
            (void) veil_conf_error(cf, "the duplicate \"%.*s\" variable",
                                   VEIL_STR_ARG(v->name));
            return NULL;
        }
        return v;
    }
    def = variable_find_def(variable_all(cf), v->name);
    if (def != NULL && (def->flags & VEIL_HTTP_VAR_CHANGEABLE) == 0
        && (def->flags & VEIL_HTTP_VAR_PREFIX) == 0)
    {
        (void) veil_conf_error(
            cf, "the duplicate \"%.*s\" variable: it is built in",
            VEIL_STR_ARG(v->name));
        return NULL;
    }
    v->flags |= flags | VEIL_HTTP_VAR_DEFINED;
    return v;
}

static void
variable_take_def(veil_http_variable_t *v, const veil_http_var_def_t *def)
{
    if (v->get == NULL) {
        v->get = def->get;
        v->data = def->data;
    }
    if (v->set == NULL) {
        v->set = def->set;
    }
    v->flags |= def->flags;
    if ((def->flags & VEIL_HTTP_VAR_PREFIX) != 0) {
        v->suffix = veil_str_from(v->name, strlen(def->name));
    }
}

/* Tells the nearest that there is, be it built in or of a directive. */
static veil_rc_t
variable_unknown(veil_conf_t *cf, const struct veil_http_vars_s *vars,
                 const veil_http_variable_t *v, const veil_conf_node_t *node)
{
    const veil_http_variable_t *other;
    const char *best = NULL;
    unsigned i, distance = 0;

    if (veil_conf_nginx_has_variable(v->name)) {
        return veil_conf_error_node(
            cf, node, 0, "unknown \"%.*s\" variable, " VEIL_CONF_NGINX_HAS,
            VEIL_STR_ARG(v->name));
    }
    for (i = 0; i < vars->defs.n; i++) {
        veil_conf_nearest(
            v->name,
            (*veil_array_at(&vars->defs, const veil_http_var_def_t *, i))
                ->name,
            &best, &distance);
    }
    for (i = 0; i < vars->list.n; i++) {
        other = *veil_array_at(&vars->list, veil_http_variable_t *, i);
        if ((other->flags & VEIL_HTTP_VAR_DEFINED) != 0) {
            veil_conf_nearest(v->name,
                              veil_pool_strz(cf->temp_pool, other->name),
                              &best, &distance);
        }
    }
    if (best == NULL) {
        return veil_conf_error_node(cf, node, 0, "unknown \"%.*s\" variable",
                                    VEIL_STR_ARG(v->name));
    }
    return veil_conf_error_node(
        cf, node, 0, "unknown \"%.*s\" variable, did you mean \"%s\"?",
        VEIL_STR_ARG(v->name), best);
}

veil_rc_t
veil_http_vars_check(veil_conf_t *cf)
{
    struct veil_http_vars_s *vars = variable_all(cf);
    const veil_http_var_def_t *def;
    veil_http_variable_t *v;
    veil_rc_t rc = VEIL_OK;
    unsigned i;

    for (i = 0; i < vars->list.n; i++) {
        v = *veil_array_at(&vars->list, veil_http_variable_t *, i);
        def = variable_find_def(vars, v->name);
        if (def != NULL
            && ((v->flags & VEIL_HTTP_VAR_DEFINED) == 0
                || (def->flags & VEIL_HTTP_VAR_PREFIX) == 0))
        {
            variable_take_def(v, def);
        } else if ((v->flags & VEIL_HTTP_VAR_DEFINED) == 0) {
            rc = variable_unknown(
                cf, vars, v,
                *veil_array_at(&vars->nodes, veil_conf_node_t *, i));
        }
    }
    return rc;
}

/* --- at run time
 * ---------------------------------------------------------------- */

static variable_slot_t *
variable_slot(veil_http_request_t *r, unsigned index)
{
    const struct veil_http_vars_s *vars = r->server->main->vars;

    VEIL_ASSERT(index < vars->list.n);
    if (r->vars == NULL) {
        r->vars = veil_pool_zalloc(r->pool, vars->list.n * sizeof(*r->vars));
    }
    return &r->vars[index];
}

static bool
variable_compute(veil_http_request_t *r, const veil_http_variable_t *v,
                 variable_slot_t *slot, veil_str_t *out)
{
    bool found;

    if (slot->state == SLOT_BUSY) {
        veil_log(&r->log, VEIL_LOG_ERR, 0,
                 "cycle while evaluating variable \"%.*s\"",
                 VEIL_STR_ARG(v->name));
        return false;
    }
    slot->state = SLOT_BUSY;
    *out = VEIL_STR_NULL;
    found = v->get(r, v, out);
    slot->value = *out;
    slot->state = found ? SLOT_FOUND : SLOT_MISSING;
    if ((v->flags & VEIL_HTTP_VAR_VOLATILE) != 0) {
        slot->state = SLOT_EMPTY;
    }
    return found;
}

bool
veil_http_var(veil_http_request_t *r, unsigned index, veil_str_t *out)
{
    const struct veil_http_vars_s *vars = r->server->main->vars;
    const veil_http_variable_t *v;
    variable_slot_t *slot = variable_slot(r, index);

    *out = VEIL_STR_NULL;
    switch (slot->state) {
    case SLOT_FOUND:
        *out = slot->value;
        return true;
    case SLOT_MISSING:
        return false;
    default:
        break;
    }
    v = *veil_array_at(&vars->list, veil_http_variable_t *, index);
    if (v->get != NULL) {
        return variable_compute(r, v, slot, out);
    }
    if (!veil_http_core_loc(r)->quiet_uninitialized) {
        veil_log(&r->log, VEIL_LOG_WARN, 0,
                 "using uninitialized \"%.*s\" variable",
                 VEIL_STR_ARG(v->name));
    }
    return true; /* defined by "set", but not on this request's way */
}

void
veil_http_var_store(veil_http_request_t *r, unsigned index, veil_str_t value)
{
    variable_slot_t *slot = variable_slot(r, index);

    slot->value = value;
    slot->state = SLOT_FOUND;
}

bool
veil_http_var_assign(veil_http_request_t *r, unsigned index, veil_str_t value)
{
    const struct veil_http_vars_s *vars = r->server->main->vars;
    const veil_http_variable_t *v =
        *veil_array_at(&vars->list, veil_http_variable_t *, index);

    if (v->set == NULL) {
        return false;
    }
    v->set(r, v, value);
    variable_slot(r, index)->state = SLOT_EMPTY;
    return true;
}

void
veil_http_var_flush(veil_http_request_t *r)
{
    const struct veil_http_vars_s *vars = r->server->main->vars;
    const veil_http_variable_t *v;
    unsigned i;

    for (i = 0; r->vars != NULL && i < vars->list.n; i++) {
        v = *veil_array_at(&vars->list, veil_http_variable_t *, i);
        if (v->get != NULL && (v->flags & VEIL_HTTP_VAR_DEFINED) == 0) {
            r->vars[i].state = SLOT_EMPTY;
        }
    }
}

/* --- what getters have in common
 * ------------------------------------------------ */

bool
veil_http_var_number(veil_http_request_t *r, uint64_t n, veil_str_t *out)
{
    char *p = veil_pool_chars(r->pool, 20);

    out->data = p;
    out->len = (size_t) (veil_fmt_uint(p, n) - p);
    return true;
}

bool
veil_http_var_seconds(veil_http_request_t *r, uint64_t ms, veil_str_t *out)
{
    *out = veil_pool_printf(r->pool, "%llu.%03u",
                            (unsigned long long) (ms / 1000),
                            (unsigned) (ms % 1000));
    return true;
}

bool
veil_http_var_ip(veil_http_request_t *r, const veil_addr_t *addr,
                 veil_str_t *out)
{
    char *p = veil_pool_chars(r->pool, VEIL_ADDR_TEXT_MAX);

    out->data = p;
    out->len = veil_addr_print_ip(addr, p, VEIL_ADDR_TEXT_MAX);
    return true;
}

/* Whether a field's name is the variable's, in which "_" is "-", too. */
static bool
variable_is_field(veil_str_t field, veil_str_t name)
{
    size_t i;

    if (field.len != name.len) {
        return false;
    }
    for (i = 0; i < field.len; i++) {
        char c = (char) veil_lower((unsigned char) field.data[i]);

        if (c != name.data[i] && !(c == '-' && name.data[i] == '_')) {
            return false;
        }
    }
    return true;
}

bool
veil_http_var_field(veil_http_request_t *r, const veil_http_headers_t *hs,
                    veil_str_t name, const char *glue, bool hidden,
                    veil_str_t *out)
{
    const veil_http_header_t *h;
    bool found = false;
    unsigned i;

    for (i = 0; i < hs->n; i++) {
        h = &hs->list[i];
        if ((h->removed && !hidden) || !variable_is_field(h->name, name)) {
            continue;
        }
        *out =
            found ? veil_pool_printf(r->pool, "%.*s%s%.*s", VEIL_STR_ARG(*out),
                                     glue, VEIL_STR_ARG(h->value))
                  : h->value;
        found = true;
    }
    return found;
}
