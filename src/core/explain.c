/*
 * explain.c -- asks the layer that knows requests, and prints its report.
 *
 * The report is data, so that a program reads the same as a person; printing
 * knows its form, and nothing about requests.
 */

#include "core/platform.h"

#include "core/explain.h"

static veil_str_t
explain_arg(const json_t *args, const char *name)
{
    return veil_str_z(json_string_value(json_object_get(args, name)));
}

veil_explain_options_t
veil_explain_options(const json_t *args,
                     veil_str_t fields[VEIL_EXPLAIN_FIELDS])
{
    veil_str_t rest = explain_arg(args, "header");
    veil_explain_options_t o = {
        .request = explain_arg(args, "request"),
        .client = explain_arg(args, "client"),
        .listen = explain_arg(args, "listen"),
        .fields = fields,
    };

    while (rest.len != 0 && o.nfields < VEIL_EXPLAIN_FIELDS) {
        fields[o.nfields++] = veil_str_trim(veil_str_cut(&rest, '\n'));
    }
    return o;
}

json_t *
veil_explain(veil_cycle_t *cycle, const veil_explain_options_t *o)
{
    unsigned i;

    for (i = 0; veil_modules[i] != NULL; i++) {
        if (veil_modules[i]->core != NULL
            && veil_modules[i]->core->explain != NULL) {
            return veil_modules[i]->core->explain(cycle, o);
        }
    }
    return json_pack("{s:s}", "error", "nothing here knows requests");
}

/* --- for people ------------------------------------------------------------
 */

static const char *
explain_text(const json_t *o, const char *name)
{
    const char *text = json_string_value(json_object_get(o, name));

    return text == NULL ? "" : text;
}

/* "  (FILE:LINE)" */
static void
explain_print_place(const json_t *o, FILE *out)
{
    const char *file = explain_text(o, "file");

    if (*file != '\0') {
        fprintf(out, "  (%s:%lld)", file,
                (long long) json_integer_value(json_object_get(o, "line")));
    }
    fputc('\n', out);
}

static void
explain_print_step(const json_t *step, FILE *out)
{
    const json_t *note, *notes = json_object_get(step, "notes");
    size_t i;

    fprintf(out, "  %-14s %-12s %s\n", explain_text(step, "phase"),
            explain_text(step, "module"), explain_text(step, "result"));
    json_array_foreach(notes, i, note)
    {
        fprintf(out, "      %s: %s", explain_text(note, "about"),
                explain_text(note, "text"));
        explain_print_place(note, out);
    }
}

/* Handlers in a row that had nothing to do with it are one line. */
static bool
explain_is_idle(const json_t *step)
{
    return strcmp(explain_text(step, "result"), "next") == 0
           && json_array_size(json_object_get(step, "notes")) == 0;
}

static void
explain_print_steps(const json_t *steps, FILE *out)
{
    const json_t *step;
    bool idle, before = false;
    size_t i;

    json_array_foreach(steps, i, step)
    {
        idle = explain_is_idle(step);
        if (idle) {
            fprintf(out, "%s%s", before ? ", " : "  not concerned: ",
                    explain_text(step, "module"));
        } else {
            fputs(before ? "\n" : "", out);
            explain_print_step(step, out);
        }
        before = idle;
    }
    fputs(before ? "\n" : "", out);
}

/* One line for each value; what has several lines begins on its own. */
static void
explain_print_values(const json_t *o, FILE *out)
{
    const json_t *value;
    const char *name, *text;

    json_object_foreach((json_t *) (uintptr_t) o, name, value)
    {
        if (strcmp(name, "file") == 0 || strcmp(name, "line") == 0) {
            continue;
        }
        fprintf(out, "  %s: ", name);
        if (json_is_integer(value)) {
            fprintf(out, "%lld\n", (long long) json_integer_value(value));
            continue;
        }
        text = json_is_string(value) ? json_string_value(value)
                                     : (json_is_true(value) ? "yes" : "no");
        if (strchr(text, '\n') != NULL) {
            fputs("\n    ", out);
        }
        for (; *text != '\0'; text++) {
            fputs(*text == '\n' ? "\n    " : (char[]){ *text, '\0' }, out);
        }
        fputc('\n', out);
    }
}

static void
explain_print_list(const char *title, const json_t *list, FILE *out)
{
    const json_t *line;
    size_t i;

    if (json_array_size(list) == 0) {
        return;
    }
    fprintf(out, "%s\n", title);
    json_array_foreach(list, i, line)
    {
        fprintf(out, "  %s\n", json_string_value(line));
    }
}

static void
explain_print_filters(const json_t *list, FILE *out)
{
    const json_t *name;
    size_t i;

    fputs("header filters:", out);
    json_array_foreach(list, i, name)
    {
        fprintf(out, "%s %s", i == 0 ? "" : ",", json_string_value(name));
    }
    fputc('\n', out);
}

static void
explain_print_response(const json_t *response, FILE *out)
{
    const json_t *field;
    size_t i;

    if (json_is_null(response)) {
        fputs("response: none, the connection is closed\n", out);
        return;
    }
    fprintf(
        out, "response %lld\n",
        (long long) json_integer_value(json_object_get(response, "status")));
    json_array_foreach(json_object_get(response, "fields"), i, field)
    {
        fprintf(out, "  %s: %s\n", json_string_value(json_array_get(field, 0)),
                json_string_value(json_array_get(field, 1)));
    }
}

static void
explain_print_location(const json_t *l, FILE *out)
{
    fputs("location ", out);
    if (!json_is_object(l)) {
        fputs("none: the server's own directives hold\n", out);
        return;
    }
    fprintf(out, "%s, %s", explain_text(l, "name"), explain_text(l, "kind"));
    explain_print_place(l, out);
}

static void
explain_print(const json_t *report, FILE *out)
{
    const json_t *o;

    if (json_object_get(report, "error") != NULL) {
        fprintf(out, "%s\n", explain_text(report, "error"));
        return;
    }
    o = json_object_get(report, "request");
    fprintf(out, "%s %s from %s\n", explain_text(o, "method"),
            explain_text(o, "url"), explain_text(o, "client"));
    if (json_is_string(json_object_get(report, "configuration"))) {
        fprintf(out, "configuration %s\n",
                explain_text(report, "configuration"));
    }
    o = json_object_get(report, "listener");
    fprintf(out, "listener %s%s", explain_text(o, "address"),
            json_is_true(json_object_get(o, "tls")) ? ", TLS" : "");
    explain_print_place(o, out);
    o = json_object_get(report, "server");
    fprintf(out, "server %s: %s", explain_text(o, "name"),
            explain_text(o, "why"));
    explain_print_place(o, out);
    fputs("steps\n", out);
    explain_print_steps(json_object_get(report, "steps"), out);
    explain_print_location(json_object_get(report, "location"), out);
    fputs("target\n", out);
    explain_print_values(json_object_get(report, "target"), out);
    fputs("limits\n", out);
    explain_print_values(json_object_get(report, "limits"), out);
    explain_print_filters(json_object_get(report, "filters"), out);
    explain_print_response(json_object_get(report, "response"), out);
    explain_print_list("error log", json_object_get(report, "log"), out);
    explain_print_list("not known beforehand",
                       json_object_get(report, "unknown"), out);
}

/* Values of variables may have any bytes: none of them is the terminal's. */
void
veil_explain_print(const json_t *report, FILE *out)
{
    char *text = NULL;
    size_t n = 0, i;
    FILE *memory = open_memstream(&text, &n);

    if (memory == NULL) {
        return;
    }
    explain_print(report, memory);
    (void) fclose(memory); /* memory cannot be short: it would have aborted */
    for (i = 0; i < n; i++) {
        fputc(((unsigned char) text[i] < 0x20 && text[i] != '\n')
                      || text[i] == 0x7f
                  ? '?'
                  : text[i],
              out);
    }
    free(text); /* of libc */
}
