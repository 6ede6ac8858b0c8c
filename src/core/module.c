/*
 * module.c -- the registry: numbers of modules, index of directives.
 *
 * configure writes veil_modules[]; what is made of it here is computed once
 * and never changes: each module's number, and an index of all directives
 * sorted by name, so that looking one up in a configuration of a million
 * lines costs a binary search.  A directive's position in the index is its
 * number, which conf_apply.c uses for the bitmap of what a block has had.
 *
 * The tables are checked here, at every start, because a mistake in a table
 * (no setter, an empty context) would otherwise show only when an operator
 * uses the directive.
 */

#include "core/platform.h"

#include "core/assert.h"
#include "core/log.h"
#include "core/module.h"
#include "core/pool.h"

static unsigned module_count;
static veil_module_command_t *module_index; /* for the life of the process */
static unsigned module_index_n;

static int
module_compare(const void *a, const void *b)
{
    const veil_module_command_t *x = a;
    const veil_module_command_t *y = b;
    int rc = strcmp(x->cmd->name, y->cmd->name);

    if (rc != 0) {
        return rc;
    }
    /* Those of one name stay in the order of registration. */
    return x->module->index < y->module->index ? -1 : 1;
}

static bool
module_command_is_sane(const veil_module_t *m, const veil_command_t *cmd)
{
    const char *what = NULL;

    if (cmd->where == 0) {
        what = "no context";
    } else if (cmd->set == NULL && !(cmd->flags & VEIL_CONF_NOOP)) {
        what = "no setter";
    } else if (VEIL_ARGS_MIN(cmd->args) > VEIL_ARGS_MAX(cmd->args)) {
        what = "more arguments needed than allowed";
    } else if (cmd->kind >= VEIL_CONF_KINDS) {
        what = "no such kind of conf";
    }
    if (what != NULL) {
        veil_log(&veil_log_stderr, VEIL_LOG_EMERG, 0,
                 "module \"%s\": directive \"%s\" has %s", m->name, cmd->name,
                 what);
    }
    return what == NULL;
}

static veil_rc_t
module_number(void)
{
    unsigned i;
    veil_module_t *m;

    for (i = 0; (m = veil_modules[i]) != NULL; i++) {
        m->index = i;
        if (m->abi != VEIL_MODULE_ABI) {
            veil_log(&veil_log_stderr, VEIL_LOG_EMERG, 0,
                     "module \"%s\" was written for module ABI %u, "
                     "this is %u",
                     m->name == NULL ? "?" : m->name, m->abi, VEIL_MODULE_ABI);
            return VEIL_ERROR;
        }
        VEIL_ASSERT(m->name != NULL);
    }
    module_count = i;
    return VEIL_OK;
}

static veil_rc_t
module_make_index(void)
{
    const veil_command_t *cmd;
    unsigned i, n = 0;

    for (i = 0; i < module_count; i++) {
        for (cmd = veil_modules[i]->commands; cmd != NULL && cmd->name != NULL;
             cmd++) {
            if (!module_command_is_sane(veil_modules[i], cmd)) {
                return VEIL_ERROR;
            }
            n++;
        }
    }

    module_index = veil_alloc((n + 1) * sizeof(*module_index));
    module_index_n = 0;
    for (i = 0; i < module_count; i++) {
        for (cmd = veil_modules[i]->commands; cmd != NULL && cmd->name != NULL;
             cmd++) {
            module_index[module_index_n++] = (veil_module_command_t){
                .cmd = cmd,
                .module = veil_modules[i],
            };
        }
    }
    qsort(module_index, n, sizeof(*module_index), module_compare);
    for (i = 0; i < n; i++) {
        module_index[i].id = i;
    }
    return VEIL_OK;
}

veil_rc_t
veil_modules_init(void)
{
    if (module_index != NULL) {
        return VEIL_OK;
    }
    if (module_number() != VEIL_OK) {
        return VEIL_ERROR;
    }
    return module_make_index();
}

unsigned
veil_modules_count(void)
{
    VEIL_ASSERT(module_index != NULL);
    return module_count;
}

veil_module_t *
veil_module_find(veil_str_t name)
{
    unsigned i;

    for (i = 0; veil_modules[i] != NULL; i++) {
        if (veil_str_eq_z(name, veil_modules[i]->name)) {
            return veil_modules[i];
        }
    }
    return NULL;
}

const char *
veil_module_layer(const veil_module_t *m)
{
    if (m->http != NULL) {
        return "http";
    }
    return m->stream != NULL ? "stream" : "core";
}

const veil_module_command_t *
veil_module_commands(unsigned *n)
{
    VEIL_ASSERT(module_index != NULL);
    *n = module_index_n;
    return module_index;
}

const veil_module_command_t *
veil_module_command_find(veil_str_t name)
{
    unsigned low = 0, high = module_index_n, mid;

    VEIL_ASSERT(module_index != NULL);
    while (low < high) {
        mid = low + (high - low) / 2;
        if (veil_str_cmp(veil_str_z(module_index[mid].cmd->name), name) < 0) {
            low = mid + 1;
        } else {
            high = mid;
        }
    }
    if (low < module_index_n
        && veil_str_eq_z(name, module_index[low].cmd->name)) {
        return &module_index[low];
    }
    return NULL;
}
