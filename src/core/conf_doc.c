/*
 * conf_doc.c -- the reference of directives, from the modules' tables.
 *
 * Markdown: the modules in the order of registration, each with its
 * directives by name, and for each directive syntax, default, contexts and
 * its help: what nginx's documentation has above the prose.  An index of all
 * names is at the top.  So the reference of a build has its modules, added
 * ones included, and cannot be out of date.
 *
 * A name may stand in several tables ("server" in http and in upstream), so
 * the target of a link has the module's name in it.
 */

#include "core/platform.h"

#include "core/conf.h"
#include "core/module.h"
#include "core/pool.h"

/* The commands of one module, by name. */
typedef struct {
    const veil_module_t *module;
    const veil_command_t **cmds;
    size_t n;
} conf_doc_list_t;

static int
conf_doc_compare(const void *a, const void *b)
{
    const veil_command_t *const *x = a;
    const veil_command_t *const *y = b;
    int rc = strcmp((*x)->name, (*y)->name);

    /* Of one name: in the order of the table. */
    return rc != 0 ? rc : (*x < *y ? -1 : *x > *y);
}

static conf_doc_list_t
conf_doc_list(veil_pool_t *pool, const veil_module_t *m)
{
    conf_doc_list_t list = { .module = m };
    const veil_command_t *cmd;

    for (cmd = m->commands; cmd != NULL && cmd->name != NULL; cmd++) {
        list.n++;
    }
    list.cmds = veil_pool_alloc(pool, (list.n + 1) * sizeof(*list.cmds));
    list.n = 0;
    for (cmd = m->commands; cmd != NULL && cmd->name != NULL; cmd++) {
        list.cmds[list.n++] = cmd;
    }
    qsort(list.cmds, list.n, sizeof(*list.cmds), conf_doc_compare);
    return list;
}

/* Markdown would take these for a cell's end, a tag, or emphasis. */
static void
conf_doc_text(FILE *out, const char *text)
{
    for (; *text != '\0'; text++) {
        if (strchr("|<*_", *text) != NULL) {
            fputc('\\', out);
        }
        fputc(*text, out);
    }
}

static void
conf_doc_notes(FILE *out, const veil_command_t *cmd)
{
    const unsigned many =
        VEIL_CONF_MULTI | VEIL_CONF_DEFINITION | VEIL_CONF_ORDERED;

    if (cmd->flags & many) {
        fputs("    Repeated: yes\n", out);
    }
    if (cmd->flags & VEIL_CONF_OWN) {
        fputs("    Inherited: not by a location\n", out);
    }
}

static void
conf_doc_directive(FILE *out, const char *module, const veil_command_t *cmd)
{
    const char *args = cmd->syntax;
    bool block = (cmd->flags & VEIL_CONF_BLOCK) != 0;
    char where[256];

    veil_conf_where_text(cmd->where, where, sizeof(where));
    fprintf(out, "\n<a id=\"%s.%s\"></a>\n### %s\n\n", module, cmd->name,
            cmd->name);
    if (args == NULL) {
        args = VEIL_ARGS_MAX(cmd->args) == 0 ? "" : "...";
    }
    fprintf(out, "    Syntax:   %s%s%s%s\n", cmd->name,
            args[0] == '\0' ? "" : " ", args, block ? " { ... }" : ";");
    if (cmd->def != NULL) {
        fprintf(out, "    Default:  %s\n", cmd->def);
    }
    fprintf(out, "    Context:  %s\n", where);
    conf_doc_notes(out, cmd);
    fputc('\n', out);
    if ((cmd->flags & VEIL_CONF_NOOP) && cmd->data != NULL) {
        fputs("Accepted without effect: ", out);
        conf_doc_text(out, cmd->data);
        fputs(".\n", out);
    } else if (cmd->help != NULL) {
        conf_doc_text(out, cmd->help);
        fputc('\n', out);
    }
}

/* The names of a module as links, one line. */
static void
conf_doc_index(FILE *out, const conf_doc_list_t *list)
{
    size_t i;

    fprintf(out, "\n**%s: %s**\n", veil_module_layer(list->module),
            list->module->name);
    for (i = 0; i < list->n; i++) {
        if (i > 0 && strcmp(list->cmds[i]->name, list->cmds[i - 1]->name) == 0)
        {
            continue;
        }
        fprintf(out, "[%s](#%s.%s)\n", list->cmds[i]->name, list->module->name,
                list->cmds[i]->name);
    }
}

void
veil_conf_doc(FILE *out)
{
    veil_pool_t *pool = veil_pool_create("conf doc", 4096);
    conf_doc_list_t *lists;
    unsigned i, n = veil_modules_count();
    size_t k;

    fputs("# Directives\n\n"
          "Written by `veil --doc` from the modules of a build; not for "
          "editing.  A\ndirective without a default has none, or its help "
          "says what holds without it.\n\"Repeated\" ones may stand more than "
          "once in a block.\n",
          out);
    lists = veil_pool_alloc(pool, (n + 1) * sizeof(*lists));
    for (i = 0; i < n; i++) {
        lists[i] = conf_doc_list(pool, veil_modules[i]);
        if (lists[i].n != 0) {
            conf_doc_index(out, &lists[i]);
        }
    }
    for (i = 0; i < n; i++) {
        if (lists[i].n != 0) {
            fprintf(out, "\n## %s: %s\n", veil_module_layer(veil_modules[i]),
                    veil_modules[i]->name);
        }
        for (k = 0; k < lists[i].n; k++) {
            conf_doc_directive(out, veil_modules[i]->name, lists[i].cmds[k]);
        }
    }
    veil_pool_destroy(&pool);
}
