/*
 * conf_apply.c -- the tree of directives becomes the modules' confs.
 *
 * A scope is a block being applied.  For each kind of conf (location, server,
 * main, upstream) it has an array of pointers by module number.  A kind that
 * the block "owns" has an array of its own, whose pointers are at first the
 * parent's; a conf is copied when the first directive of its module comes
 * (copy on write).  A kind that it does not own is the parent's array itself:
 * writing goes through to the nearest block that owns it.
 *
 * A block's directives are looked up once, then applied in the three passes
 * that conf.h describes.  Before the third, in which child blocks take over
 * the pointers, every conf that a directive of the third pass will write is
 * copied: so a "set" behind a "location" changes nothing that the location
 * has not seen.
 *
 * All that is wrong is reported, not the first thing only: an unknown or
 * misplaced directive is left out and the rest applied.  finish() functions
 * run only while there is no error, as what they check may be missing.
 */

#include "core/platform.h"

#include "core/assert.h"
#include "core/conf.h"
#include "core/cycle.h"
#include "core/module.h"

struct veil_conf_begun_s {
    const void *object;
    veil_conf_begun_t *next;
};

/* A layer's default confs, for what a location does not inherit. */
typedef struct conf_defaults_s conf_defaults_t;
struct conf_defaults_s {
    const veil_conf_layer_t *layer;
    void **conf[VEIL_CONF_KINDS];
    conf_defaults_t *next;
};

struct veil_conf_state_s {
    conf_defaults_t *defaults;
    veil_conf_begun_t *said;
};

/* A directive of a block with what it turned out to be; NULL: left out. */
typedef struct {
    const veil_conf_node_t *node;
    const veil_module_command_t *entry;
} conf_item_t;

static const struct {
    unsigned where;
    const char *name;
} conf_contexts[] = {
    { VEIL_CONF_MAIN, "main" },
    { VEIL_CONF_EVENTS, "events" },
    { VEIL_CONF_HTTP, "http" },
    { VEIL_CONF_SERVER, "server" },
    { VEIL_CONF_LOCATION, "location" },
    { VEIL_CONF_IF_SERVER, "if in server" },
    { VEIL_CONF_IF_LOCATION, "if in location" },
    { VEIL_CONF_LIMIT_EXCEPT, "limit_except" },
    { VEIL_CONF_UPSTREAM, "upstream" },
    { VEIL_CONF_STREAM, "stream" },
    { VEIL_CONF_STREAM_SERVER, "server in stream" },
    { VEIL_CONF_STREAM_UPSTREAM, "upstream in stream" },
};

size_t
veil_conf_where_text(unsigned where, char *buf, size_t n)
{
    size_t i, len = 0;

    if (where == VEIL_CONF_ANYWHERE) {
        return veil_snprintf(buf, n, "any");
    }
    buf[0] = '\0';
    for (i = 0; i < veil_countof(conf_contexts); i++) {
        if (where & conf_contexts[i].where) {
            len += veil_snprintf(buf + len, n - len, "%s%s",
                                 len == 0 ? "" : ", ", conf_contexts[i].name);
        }
    }
    return len;
}

/* --- scopes ---------------------------------------------------------------
 */

static void *
conf_new(veil_conf_t *cf, const veil_conf_type_t *type)
{
    void *conf = veil_pool_zalloc(cf->pool, type->size);

    if (type->init != NULL) {
        type->init(conf);
    }
    return conf;
}

/* Default confs of all the layer's modules; NULL where there is none. */
static void **
conf_new_array(veil_conf_t *cf, const veil_conf_layer_t *layer,
               veil_conf_kind_t kind)
{
    unsigned i, n = veil_modules_count();
    void **array = veil_pool_zalloc(cf->pool, (n + 1) * sizeof(void *));
    veil_conf_type_t type;

    for (i = 0; i < n; i++) {
        type = layer->type(veil_modules[i], kind);
        if (type.size != 0) {
            array[i] = conf_new(cf, &type);
        }
    }
    return array;
}

/* Tests of what needs no cycle have none. */
static void
conf_remember_scope(veil_cycle_t *cycle, veil_conf_scope_t *scope)
{
    if (cycle == NULL) {
        return;
    }
    if (cycle->last_scope == NULL) {
        cycle->scopes = scope;
    } else {
        cycle->last_scope->next = scope;
    }
    cycle->last_scope = scope;
}

veil_conf_scope_t *
veil_conf_scope_create(veil_conf_t *cf, const veil_conf_layer_t *layer,
                       veil_conf_scope_t *parent, unsigned where,
                       unsigned owns)
{
    veil_conf_scope_t *scope = VEIL_POOL_NEW(cf->pool, veil_conf_scope_t);
    unsigned kind, n = veil_modules_count();

    VEIL_ASSERT(parent == NULL || parent->layer == layer);
    scope->layer = layer;
    scope->where = where;
    scope->parent = parent;
    scope->node = cf->node;
    scope->owns = parent == NULL ? (1u << VEIL_CONF_KINDS) - 1 : owns;
    conf_remember_scope(cf->cycle, scope);

    for (kind = 0; kind < VEIL_CONF_KINDS; kind++) {
        if (!(scope->owns & (1u << kind))) {
            scope->conf[kind] = parent->conf[kind];
            continue;
        }
        scope->own[kind] = veil_pool_zalloc(cf->pool, n + 1);
        if (parent == NULL) {
            scope->conf[kind] = conf_new_array(cf, layer, kind);
            memset(scope->own[kind], true, n);
        } else {
            scope->conf[kind] =
                veil_pool_alloc(cf->pool, (n + 1) * sizeof(void *));
            memcpy(scope->conf[kind], parent->conf[kind],
                   (n + 1) * sizeof(void *));
        }
    }
    return scope;
}

const void *
veil_conf_read_of(const veil_conf_scope_t *scope, const veil_module_t *m,
                  veil_conf_kind_t kind)
{
    return scope->conf[kind][m->index];
}

static veil_conf_scope_t *
conf_owner(veil_conf_scope_t *scope, veil_conf_kind_t kind)
{
    while (!(scope->owns & (1u << kind))) {
        scope = scope->parent;
    }
    return scope;
}

void *
veil_conf_write_of(veil_conf_t *cf, veil_conf_scope_t *scope,
                   const veil_module_t *m, veil_conf_kind_t kind)
{
    veil_conf_scope_t *owner = conf_owner(scope, kind);
    void **slot = &owner->conf[kind][m->index];
    size_t size;
    void *copy;

    if (!owner->own[kind][m->index] && *slot != NULL) {
        size = owner->layer->type(m, kind).size;
        copy = veil_pool_alloc(cf->pool, size);
        memcpy(copy, *slot, size);
        *slot = copy;
        owner->own[kind][m->index] = true;
    }
    return *slot;
}

/* --- what a location does not inherit --------------------------------------
 */

static veil_conf_state_t *
conf_state(veil_conf_t *cf)
{
    if (cf->state == NULL) {
        cf->state = VEIL_POOL_NEW(cf->pool, veil_conf_state_t);
    }
    return cf->state;
}

bool
veil_conf_mark_said(veil_conf_t *cf, const void *what)
{
    veil_conf_state_t *state = conf_state(cf);
    veil_conf_begun_t *b;

    for (b = state->said; b != NULL; b = b->next) {
        if (b->object == what) {
            return true;
        }
    }
    b = VEIL_POOL_NEW(cf->pool, veil_conf_begun_t);
    b->object = what;
    b->next = state->said;
    state->said = b;
    return false;
}

static void **
conf_defaults_of(veil_conf_t *cf, const veil_conf_layer_t *layer,
                 veil_conf_kind_t kind)
{
    veil_conf_state_t *state = conf_state(cf);
    conf_defaults_t *d;

    for (d = state->defaults; d != NULL; d = d->next) {
        if (d->layer == layer) {
            break;
        }
    }
    if (d == NULL) {
        d = VEIL_POOL_NEW(cf->pool, conf_defaults_t);
        d->layer = layer;
        d->next = state->defaults;
        state->defaults = d;
    }
    if (d->conf[kind] == NULL) {
        d->conf[kind] = conf_new_array(cf, layer, kind);
    }
    return d->conf[kind];
}

static void
conf_reset(veil_conf_t *cf, veil_conf_scope_t *scope, const veil_module_t *m,
           const veil_command_t *cmd)
{
    size_t size = cmd->size != 0 ? cmd->size : sizeof(void *);
    const char *now = scope->conf[cmd->kind][m->index];
    const char *def = conf_defaults_of(cf, scope->layer, cmd->kind)[m->index];
    char *conf;

    if (memcmp(now + cmd->offset, def + cmd->offset, size) != 0) {
        conf = veil_conf_write_of(cf, scope, m, cmd->kind);
        memcpy(conf + cmd->offset, def + cmd->offset, size);
    }
}

void
veil_conf_scope_reset_own(veil_conf_t *cf, veil_conf_scope_t *scope)
{
    const veil_module_command_t *index;
    const veil_command_t *cmd;
    const veil_module_t *m;
    unsigned i, n;

    index = veil_module_commands(&n);
    for (i = 0; i < n; i++) {
        cmd = index[i].cmd;
        m = index[i].module;
        if ((cmd->flags & VEIL_CONF_OWN) && (scope->owns & (1u << cmd->kind))
            && scope->conf[cmd->kind][m->index] != NULL)
        {
            conf_reset(cf, scope, m, cmd);
        }
    }
}

/* --- lists ----------------------------------------------------------------
 */

bool
veil_conf_is_begun(const veil_conf_t *cf, const void *object)
{
    const veil_conf_begun_t *b;

    for (b = cf->owner->begun; b != NULL; b = b->next) {
        if (b->object == object) {
            return object != NULL;
        }
    }
    return false;
}

void
veil_conf_begin(veil_conf_t *cf, const void *object)
{
    veil_conf_begun_t *b = VEIL_POOL_NEW(cf->pool, veil_conf_begun_t);

    b->object = object;
    b->next = cf->owner->begun;
    cf->owner->begun = b;
}

void *
veil_conf_array_push(veil_conf_t *cf, veil_array_t **a, size_t size)
{
    if (!veil_conf_is_begun(cf, *a)) {
        *a = veil_array_create(cf->pool, size, 4);
        veil_conf_begin(cf, *a);
    }
    VEIL_ASSERT((*a)->size == size);
    return veil_array_push(*a);
}

/* --- looking a directive up ------------------------------------------------
 */

/*
 * The argument that looks like a directive of its own, on a line of its own:
 * the ";" before it was forgotten.  0: there is none.
 */
static unsigned
conf_swallowed(const veil_conf_node_t *node)
{
    unsigned i;

    for (i = 1; i < node->nargs; i++) {
        if (node->args[i].line > node->args[i - 1].end_line
            && !node->args[i].quoted
            && veil_module_command_find(node->args[i].str) != NULL)
        {
            return i;
        }
    }
    return 0;
}

/* Behind word i - 1, where the ";" is missing; or at the directive. */
static void
conf_not_terminated(veil_conf_t *cf, const veil_conf_node_t *node, unsigned i)
{
    const veil_conf_word_t *w = &node->args[i == 0 ? 0 : i - 1];

    veil_conf_error_place(cf, node->file, i == 0 ? w->line : w->end_line,
                          i == 0 ? w->column : w->end_column, NULL,
                          "directive \"%.*s\" is not terminated by \";\"",
                          VEIL_STR_ARG(node->args[0].str));
}

/* The directive of these contexts with the name nearest to the word. */
static const veil_command_t *
conf_nearest_command(veil_str_t word, unsigned where)
{
    const veil_command_t *best = NULL;
    const veil_module_command_t *index;
    const char *name = NULL, *before;
    unsigned i, n, distance = 0;

    index = veil_module_commands(&n);
    for (i = 0; i < n; i++) {
        if (index[i].cmd->where & where) {
            before = name;
            veil_conf_nearest(word, index[i].cmd->name, &name, &distance);
            if (name != before) {
                best = index[i].cmd;
            }
        }
    }
    return best;
}

static void
conf_unknown(veil_conf_t *cf, const veil_conf_scope_t *scope,
             const veil_conf_node_t *node)
{
    const veil_conf_word_t *w = &node->args[0];
    const veil_command_t *best;
    char contexts[256], hint[400];

    if (veil_conf_nginx_has_directive(w->str)) {
        veil_conf_error_place(
            cf, node->file, w->line, w->column, VEIL_CONF_NGINX_HAS,
            "unknown directive \"%.*s\"", VEIL_STR_ARG(w->str));
        return;
    }
    best = conf_nearest_command(w->str, scope->where);
    if (best != NULL) {
        veil_snprintf(hint, sizeof(hint), "did you mean \"%s\"?", best->name);
    } else if ((best = conf_nearest_command(w->str, ~0u)) != NULL) {
        veil_conf_where_text(best->where, contexts, sizeof(contexts));
        veil_snprintf(hint, sizeof(hint),
                      "did you mean \"%s\"? it is allowed in: %s", best->name,
                      contexts);
    }
    veil_conf_error_place(cf, node->file, w->line, w->column,
                          best == NULL ? NULL : hint,
                          "unknown directive \"%.*s\"", VEIL_STR_ARG(w->str));
}

static void
conf_misplaced(veil_conf_t *cf, const veil_conf_node_t *node,
               const veil_module_command_t *entry)
{
    const veil_conf_word_t *w = &node->args[0];
    const veil_module_command_t *index;
    unsigned i, n, where = 0;
    char contexts[256], hint[300];

    index = veil_module_commands(&n);
    for (i = entry->id; i < n && veil_str_eq_z(w->str, index[i].cmd->name);
         i++) {
        where |= index[i].cmd->where;
    }
    veil_conf_where_text(where, contexts, sizeof(contexts));
    veil_snprintf(hint, sizeof(hint), "it is allowed in: %s", contexts);
    veil_conf_error_place(cf, node->file, w->line, w->column, hint,
                          "\"%.*s\" directive is not allowed here",
                          VEIL_STR_ARG(w->str));
}

static void
conf_wrong_number(veil_conf_t *cf, const veil_conf_node_t *node,
                  const veil_command_t *cmd)
{
    const veil_conf_word_t *w = &node->args[0];
    const char *end = cmd->flags & VEIL_CONF_BLOCK ? " { ... }" : ";";
    char hint[300];

    veil_snprintf(hint, sizeof(hint), "syntax: %s%s%s%s", cmd->name,
                  cmd->syntax == NULL || cmd->syntax[0] == '\0' ? "" : " ",
                  cmd->syntax == NULL ? "" : cmd->syntax, end);
    veil_conf_error_place(
        cf, node->file, w->line, w->column,
        cmd->syntax == NULL && VEIL_ARGS_MAX(cmd->args) != 0 ? NULL : hint,
        "invalid number of arguments in \"%s\" directive", cmd->name);
}

/* Whether the directive has the form that its command asks for. */
static bool
conf_check_form(veil_conf_t *cf, const veil_conf_node_t *node,
                const veil_command_t *cmd)
{
    bool is_block = (cmd->flags & VEIL_CONF_BLOCK) != 0;
    unsigned nargs = node->nargs - 1;
    unsigned swallowed = conf_swallowed(node);
    bool number_ok = nargs >= VEIL_ARGS_MIN(cmd->args)
                     && (nargs <= VEIL_ARGS_MAX(cmd->args)
                         || VEIL_ARGS_MAX(cmd->args) == 255);

    if (!is_block && (node->is_block || (!number_ok && swallowed))) {
        conf_not_terminated(cf, node, swallowed);
        return false;
    }
    if (is_block && !node->is_block) {
        veil_conf_error_node(
            cf, node, 0, "directive \"%s\" has no opening \"{\"", cmd->name);
        return false;
    }
    if (!number_ok) {
        conf_wrong_number(cf, node, cmd);
        return false;
    }
    if (swallowed) {
        veil_conf_warn_node(cf, node,
                            "\"%.*s\" in line %u is an argument of \"%s\": "
                            "is a \";\" missing before it?",
                            VEIL_STR_ARG(node->args[swallowed].str),
                            node->args[swallowed].line, cmd->name);
    }
    return true;
}

/* NULL after reporting. */
static const veil_module_command_t *
conf_resolve(veil_conf_t *cf, const veil_conf_scope_t *scope,
             const veil_conf_node_t *node)
{
    const veil_module_command_t *index, *entry;
    unsigned i, n;

    entry = veil_module_command_find(node->args[0].str);
    if (entry == NULL) {
        conf_unknown(cf, scope, node);
        return NULL;
    }
    index = veil_module_commands(&n);
    for (i = entry->id;
         i < n && strcmp(index[i].cmd->name, entry->cmd->name) == 0; i++)
    {
        if (index[i].cmd->where & scope->where) {
            return conf_check_form(cf, node, index[i].cmd) ? &index[i] : NULL;
        }
    }
    conf_misplaced(cf, node, entry);
    return NULL;
}

/* --- applying --------------------------------------------------------------
 */

static unsigned
conf_pass_of(const veil_command_t *cmd)
{
    if (cmd->flags & VEIL_CONF_DEFINITION) {
        return 1;
    }
    return cmd->flags & (VEIL_CONF_ORDERED | VEIL_CONF_BLOCK) ? 3 : 2;
}

/* The conf that the directive writes, and whose it is. */
static void *
conf_target(veil_conf_t *cf, veil_conf_scope_t *scope,
            const veil_module_command_t *entry)
{
    cf->owner = conf_owner(scope, entry->cmd->kind);
    return veil_conf_write_of(cf, scope, entry->module, entry->cmd->kind);
}

static void
conf_run(veil_conf_t *cf, veil_conf_scope_t *scope, const conf_item_t *item)
{
    const veil_command_t *cmd = item->entry->cmd;
    const veil_conf_t saved = *cf;
    veil_conf_set_fn *set = cmd->set;
    void *conf;

    if (set == NULL || (cmd->flags & VEIL_CONF_NOOP)) {
        set = veil_conf_set_noop;
    }
    cf->node = item->node;
    cf->scope = scope;
    cf->module = item->entry->module;
    cf->cmd = cmd;
    conf = conf_target(cf, scope, item->entry);
    /* One that gives up because of an error elsewhere adds nothing. */
    if (set(cf, cmd, conf) != VEIL_OK && cf->errors == 0) {
        veil_conf_error(cf, "\"%s\" directive failed", cmd->name);
    }
    cf->node = saved.node;
    cf->scope = saved.scope;
    cf->module = saved.module;
    cf->cmd = saved.cmd;
    cf->owner = saved.owner;
}

static void
conf_run_pass(veil_conf_t *cf, veil_conf_scope_t *scope,
              const conf_item_t *items, unsigned n, unsigned pass)
{
    unsigned i;

    for (i = 0; i < n && cf->errors <= VEIL_CONF_MAX_ERRORS; i++) {
        if (items[i].entry != NULL
            && conf_pass_of(items[i].entry->cmd) == pass) {
            conf_run(cf, scope, &items[i]);
        }
    }
}

/* Looks all directives of the block up; duplicates are errors here. */
static conf_item_t *
conf_items(veil_conf_t *cf, const veil_conf_scope_t *scope, unsigned *count)
{
    const unsigned many =
        VEIL_CONF_MULTI | VEIL_CONF_DEFINITION | VEIL_CONF_ORDERED;
    veil_list_t *l;
    const veil_conf_node_t *node;
    conf_item_t *items;
    unsigned char *seen;
    unsigned n = 0, id, ncommands;

    (void) veil_module_commands(&ncommands);
    seen = veil_pool_zalloc(cf->temp_pool, ncommands / 8 + 1);
    veil_list_foreach (l, &cf->node->children) {
        n++;
    }
    items = veil_pool_zalloc(cf->temp_pool, (n + 1) * sizeof(*items));
    n = 0;
    veil_list_foreach (l, &cf->node->children) {
        node = veil_list_entry(l, veil_conf_node_t, link);
        items[n].node = node;
        items[n].entry = conf_resolve(cf, scope, node);
        if (items[n].entry != NULL) {
            id = items[n].entry->id;
            if (!(items[n].entry->cmd->flags & many)
                && (seen[id / 8] & (1u << id % 8))) {
                veil_conf_error_node(cf, node, 0,
                                     "\"%s\" directive is duplicate",
                                     items[n].entry->cmd->name);
                items[n].entry = NULL;
            }
            seen[id / 8] |= (unsigned char) (1u << id % 8);
        }
        n++;
        if (cf->errors > VEIL_CONF_MAX_ERRORS) {
            break;
        }
    }
    *count = n;
    return items;
}

static void
conf_finish(veil_conf_t *cf, veil_conf_scope_t *scope)
{
    veil_module_t *module = cf->module;
    veil_conf_type_t type;
    unsigned kind, i, n = veil_modules_count();

    cf->owner = scope;
    for (kind = 0; kind < VEIL_CONF_KINDS; kind++) {
        if (!(scope->owns & (1u << kind))) {
            continue;
        }
        for (i = 0; i < n; i++) {
            if (!scope->own[kind][i] || scope->conf[kind][i] == NULL) {
                continue;
            }
            type = scope->layer->type(veil_modules[i], kind);
            if (type.finish == NULL) {
                continue;
            }
            cf->module = veil_modules[i];
            if (type.finish(cf, scope->conf[kind][i],
                            scope->parent == NULL
                                ? NULL
                                : scope->parent->conf[kind][i])
                    != VEIL_OK
                && cf->errors == 0)
            {
                veil_conf_error(cf, "module \"%s\" refuses this block",
                                veil_modules[i]->name);
            }
        }
    }
    cf->module = module;
}

veil_rc_t
veil_conf_apply(veil_conf_t *cf, veil_conf_scope_t *scope)
{
    veil_conf_scope_t *scope_before = cf->scope;
    veil_conf_scope_t *owner = cf->owner;
    unsigned errors = cf->errors;
    unsigned i, n;
    conf_item_t *items;

    cf->scope = scope;
    items = conf_items(cf, scope, &n);
    conf_run_pass(cf, scope, items, n, 1);
    conf_run_pass(cf, scope, items, n, 2);
    for (i = 0; i < n; i++) {
        if (items[i].entry != NULL && conf_pass_of(items[i].entry->cmd) == 3) {
            (void) conf_target(cf, scope, items[i].entry);
        }
    }
    conf_run_pass(cf, scope, items, n, 3);
    if (cf->errors == 0) {
        conf_finish(cf, scope);
    }
    cf->scope = scope_before;
    cf->owner = owner;
    return cf->errors == errors ? VEIL_OK : VEIL_ERROR;
}

veil_rc_t
veil_conf_each(veil_conf_t *cf, veil_conf_set_fn *fn, void *conf)
{
    const veil_conf_node_t *block = cf->node;
    veil_list_t *l;
    unsigned before, errors = cf->errors;

    veil_list_foreach (l, &block->children) {
        cf->node = veil_list_entry(l, veil_conf_node_t, link);
        before = cf->errors;
        if (before > VEIL_CONF_MAX_ERRORS) {
            break;
        }
        if (cf->node->is_block) {
            veil_conf_error(cf, "unexpected \"{\"");
        } else if (fn(cf, cf->cmd, conf) != VEIL_OK && cf->errors == before) {
            veil_conf_error(cf, "invalid parameter \"%.*s\"",
                            VEIL_STR_ARG(cf->node->args[0].str));
        }
    }
    cf->node = block;
    return cf->errors == errors ? VEIL_OK : VEIL_ERROR;
}
