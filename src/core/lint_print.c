/*
 * lint_print.c -- findings for people and for programs.
 *
 *     /etc/veil.conf:12:9: warning: ... [L101 add-header-hides]
 *         add_header X-A 1;
 *         ^
 *       repeat them here, or ...
 *
 * as compilers do it, so that editors find the place.  Errors of a load have
 * the same form, without a code: they are no matter of opinion.
 */

#include "core/platform.h"

#include "core/control.h"
#include "core/lint.h"

const char *
veil_lint_severity_name(veil_lint_severity_t severity)
{
    switch (severity) {
    case VEIL_LINT_NOTE:
        return "note";
    case VEIL_LINT_WARNING:
        return "warning";
    case VEIL_LINT_ERROR:
        return "error";
    }
    return "";
}

/*
 * Findings come in the order of the files, so the next line is looked for
 * from the last one on.
 */
typedef struct {
    const veil_conf_file_t *file;
    unsigned line;         /* where the rest begins */
    veil_conf_file_t rest; /* of the file */
} lint_cursor_t;

static bool
lint_excerpt(lint_cursor_t *at, const veil_lint_finding_t *f,
             veil_conf_excerpt_t *e)
{
    ptrdiff_t end;

    if (at->file != f->file || at->line > f->line) {
        at->file = f->file;
        at->line = 1;
        at->rest = *f->file;
    }
    for (; at->line < f->line; at->line++) {
        end = veil_str_chr(at->rest.text, '\n');
        if (end < 0) {
            return false;
        }
        at->rest.text = veil_str_from(at->rest.text, (size_t) end + 1);
    }
    return veil_conf_excerpt(e, &at->rest, 1, f->column);
}

static void
lint_print_one(lint_cursor_t *at, const veil_lint_finding_t *f, FILE *out)
{
    veil_conf_excerpt_t e;

    if (f->file != NULL) {
        fprintf(out, "%.*s:%u:%u: ", VEIL_STR_ARG(f->file->name), f->line,
                f->column);
    }
    fprintf(out, "%s: %.*s [%s %s]\n", veil_lint_severity_name(f->severity),
            VEIL_STR_ARG(f->what), f->rule->code, f->rule->name);
    if (f->file != NULL && lint_excerpt(at, f, &e)) {
        fprintf(out, "    %s\n    %s\n", e.line, e.caret);
    }
    if (f->advice.len != 0) {
        fprintf(out, "  %.*s\n", VEIL_STR_ARG(f->advice));
    }
}

static void
lint_print_count(unsigned n, const char *what, const char *sep, FILE *out)
{
    fprintf(out, "%s%u %s%s", sep, n, what, n == 1 ? "" : "s");
}

void
veil_lint_print(const veil_lint_t *lint, bool notes, FILE *out)
{
    lint_cursor_t at = { .file = NULL };
    const veil_lint_finding_t *f;
    unsigned i;

    for (i = 0; i < lint->findings.n; i++) {
        f = veil_array_at(&lint->findings, veil_lint_finding_t, i);
        if (notes || f->severity != VEIL_LINT_NOTE) {
            lint_print_one(&at, f, out);
        }
    }
    lint_print_count(veil_lint_count(lint, VEIL_LINT_ERROR), "error", "", out);
    lint_print_count(veil_lint_count(lint, VEIL_LINT_WARNING), "warning", ", ",
                     out);
    lint_print_count(veil_lint_count(lint, VEIL_LINT_NOTE), "note", ", ", out);
    fprintf(out, " in %.*s\n", VEIL_STR_ARG(lint->cycle->conf_path));
}

static json_t *
lint_json_one(lint_cursor_t *at, const veil_lint_finding_t *f)
{
    json_t *o = json_object();
    veil_conf_excerpt_t e;

    (void) json_object_set_new(o, "code", json_string(f->rule->code));
    (void) json_object_set_new(o, "name", json_string(f->rule->name));
    (void) json_object_set_new(
        o, "severity", json_string(veil_lint_severity_name(f->severity)));
    (void) json_object_set_new(o, "message", veil_control_string(f->what));
    if (f->advice.len != 0) {
        (void) json_object_set_new(o, "advice",
                                   veil_control_string(f->advice));
    }
    if (f->file == NULL) {
        return o;
    }
    (void) json_object_set_new(o, "file", veil_control_string(f->file->name));
    (void) json_object_set_new(o, "line", json_integer(f->line));
    (void) json_object_set_new(o, "column", json_integer(f->column));
    if (lint_excerpt(at, f, &e)) {
        (void) json_object_set_new(o, "excerpt",
                                   veil_control_string(veil_str_z(e.line)));
        (void) json_object_set_new(o, "caret",
                                   veil_control_string(veil_str_z(e.caret)));
    }
    return o;
}

json_t *
veil_lint_json(const veil_lint_t *lint, bool notes)
{
    json_t *o = json_object(), *list = json_array();
    lint_cursor_t at = { .file = NULL };
    const veil_lint_finding_t *f;
    unsigned i;

    for (i = 0; i < lint->findings.n; i++) {
        f = veil_array_at(&lint->findings, veil_lint_finding_t, i);
        if (notes || f->severity != VEIL_LINT_NOTE) {
            (void) json_array_append_new(list, lint_json_one(&at, f));
        }
    }
    (void) json_object_set_new(o, "findings", list);
    (void) json_object_set_new(
        o, "errors", json_integer(veil_lint_count(lint, VEIL_LINT_ERROR)));
    (void) json_object_set_new(
        o, "warnings", json_integer(veil_lint_count(lint, VEIL_LINT_WARNING)));
    (void) json_object_set_new(
        o, "notes", json_integer(veil_lint_count(lint, VEIL_LINT_NOTE)));
    (void) json_object_set_new(o, "file",
                               veil_control_string(lint->cycle->conf_path));
    return o;
}
