/*
 * show_inspect.c -- what a server says to config.check and config.explain, as
 * "veil --lint" and "veil --explain" say it of a file.
 */

#include "core/platform.h"

#include "core/explain.h"
#include "ctl/show_impl.h"

static void
show_inspect_text(veil_ctl_text_t *out, const json_t *o, const char *name)
{
    veil_ctl_text_safe(
        out, veil_str_z(json_string_value(json_object_get(o, name))), false);
}

/* A line of its own, if there is such a member. */
static void
show_inspect_line(veil_ctl_text_t *out, const json_t *o, const char *name,
                  const char *indent)
{
    if (json_object_get(o, name) != NULL) {
        veil_ctl_text_z(out, indent);
        show_inspect_text(out, o, name);
        veil_ctl_text_z(out, "\n");
    }
}

static long long
show_inspect_number(const json_t *o, const char *name)
{
    return (long long) json_integer_value(json_object_get(o, name));
}

/* "1 warning", "2 warnings". */
static void
show_inspect_count(veil_ctl_text_t *out, const json_t *data, const char *name,
                   const char *what, const char *sep)
{
    long long n = show_inspect_number(data, name);

    veil_ctl_text_printf(out, "%s%lld %s%s", sep, n, what, n == 1 ? "" : "s");
}

static void
show_inspect_finding(veil_ctl_text_t *out, const json_t *f)
{
    if (json_object_get(f, "file") != NULL) {
        show_inspect_text(out, f, "file");
        veil_ctl_text_printf(out,
                             ":%lld:%lld: ", show_inspect_number(f, "line"),
                             show_inspect_number(f, "column"));
    }
    show_inspect_text(out, f, "severity");
    veil_ctl_text_z(out, ": ");
    show_inspect_text(out, f, "message");
    veil_ctl_text_z(out, " [");
    show_inspect_text(out, f, "code");
    veil_ctl_text_z(out, " ");
    show_inspect_text(out, f, "name");
    veil_ctl_text_z(out, "]\n");
    show_inspect_line(out, f, "excerpt", "    ");
    show_inspect_line(out, f, "caret", "    ");
    show_inspect_line(out, f, "advice", "  ");
}

bool
veil_ctl_show_config_check(veil_ctl_text_t *out,
                           const json_t *args VEIL_UNUSED, const json_t *data)
{
    const json_t *f, *list = json_object_get(data, "findings");
    size_t i;

    if (!json_is_array(list)) {
        return false;
    }
    json_array_foreach(list, i, f)
    {
        show_inspect_finding(out, f);
    }
    show_inspect_count(out, data, "errors", "error", "");
    show_inspect_count(out, data, "warnings", "warning", ", ");
    show_inspect_count(out, data, "notes", "note", ", ");
    if (json_is_string(json_object_get(data, "file"))) {
        veil_ctl_text_z(out, " in what runs of ");
        show_inspect_text(out, data, "file");
    }
    veil_ctl_text_z(out, "\n");
    return true;
}

bool
veil_ctl_show_config_explain(veil_ctl_text_t *out,
                             const json_t *args VEIL_UNUSED,
                             const json_t *data)
{
    char *text = NULL;
    size_t n = 0;
    FILE *memory;

    if (!json_is_array(json_object_get(data, "steps"))
        && json_object_get(data, "error") == NULL)
    {
        return false;
    }
    memory = open_memstream(&text, &n);
    if (memory == NULL) {
        return false;
    }
    veil_explain_print(data, memory);
    (void) fclose(memory); /* memory cannot be short: it would have aborted */
    veil_ctl_text_safe(out, veil_str_n(text, n), true);
    free(text); /* of libc */
    return true;
}
