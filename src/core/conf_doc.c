/*
 * conf_doc.c -- the reference of directives, from the modules' tables.
 *
 * Markdown, module by module in the order of registration, each directive
 * with syntax, default, contexts and its help: what nginx's documentation
 * has above the prose.  So the reference of a build has its modules, added
 * ones included, and cannot be out of date.
 */

#include "core/platform.h"

#include "core/conf.h"
#include "core/module.h"

/* "|" would end a cell of a table, and "<" begin a tag. */
static void
conf_doc_text(FILE *out, const char *text)
{
    for (; *text != '\0'; text++) {
        if (*text == '|' || *text == '<' || *text == '*' || *text == '_') {
            fputc('\\', out);
        }
        fputc(*text, out);
    }
}

static void
conf_doc_directive(FILE *out, const veil_command_t *cmd)
{
    bool args = cmd->syntax != NULL && cmd->syntax[0] != '\0';
    char where[256];

    veil_conf_where_text(cmd->where, where, sizeof(where));
    fprintf(out, "\n### %s\n\n", cmd->name);
    fprintf(out, "    Syntax:   %s%s%s%s\n", cmd->name, args ? " " : "",
            args ? cmd->syntax : "",
            cmd->flags & VEIL_CONF_BLOCK ? " { ... }" : ";");
    fprintf(out, "    Default:  %s\n", cmd->def == NULL ? "none" : cmd->def);
    fprintf(out, "    Context:  %s\n", where);
    if (cmd->help != NULL) {
        fputc('\n', out);
        conf_doc_text(out, cmd->help);
        fputc('\n', out);
    }
    if ((cmd->flags & VEIL_CONF_NOOP) && cmd->data != NULL) {
        fputs("\nAccepted without effect: ", out);
        conf_doc_text(out, cmd->data);
        fputs(".\n", out);
    }
}

void
veil_conf_doc(FILE *out)
{
    const veil_command_t *cmd;
    unsigned i;

    fputs("# Directives\n\nWritten from the modules' tables by this build; "
          "not for editing.\n",
          out);
    for (i = 0; veil_modules[i] != NULL; i++) {
        cmd = veil_modules[i]->commands;
        if (cmd == NULL || cmd->name == NULL) {
            continue;
        }
        fprintf(out, "\n## %s: %s\n", veil_module_layer(veil_modules[i]),
                veil_modules[i]->name);
        for (; cmd->name != NULL; cmd++) {
            conf_doc_directive(out, cmd);
        }
    }
}
