/*
 * show_config.c -- answers about configurations: loads, differences.
 *
 * A difference looks like that of diff(1), as everybody reads those: the
 * blocks around it first, then what was there behind a minus, and what is
 * there behind a plus.  What is wrong stands as a compiler would say it, with
 * the line and a caret below it.
 */

#include "core/platform.h"

#include "ctl/show_impl.h"
#include "ctl/units.h"

/* --- what is wrong --------------------------------------------------------*/

static void
show_config_diagnostic(veil_ctl_text_t *out, const json_t *d)
{
    veil_str_t file = veil_ctl_show_str(d, "file");
    veil_str_t level = veil_ctl_show_str(d, "level");
    veil_str_t hint = veil_ctl_show_str(d, "hint");
    const json_t *column = json_object_get(d, "column");
    const json_t *excerpt = json_object_get(d, "excerpt");
    bool warning = veil_str_eq_z(level, "warn")
                   || veil_str_eq_z(level, "notice")
                   || veil_str_eq_z(level, "warning");
    size_t i;

    if (file.len != 0) {
        veil_ctl_text_style(out, VEIL_CTL_BOLD);
        veil_ctl_text_safe(out, file, false);
        veil_ctl_text_printf(
            out, ":%lld",
            (long long) json_integer_value(json_object_get(d, "line")));
        if (json_is_integer(column)) {
            veil_ctl_text_printf(out, ":%lld",
                                 (long long) json_integer_value(column));
        }
        veil_ctl_text_z(out, ": ");
        veil_ctl_text_style(out, VEIL_CTL_PLAIN);
    }
    veil_ctl_text_styled(out, warning ? VEIL_CTL_YELLOW : VEIL_CTL_RED,
                         warning ? "warning: " : "error: ");
    veil_ctl_text_safe(out, veil_ctl_show_str(d, "message"), false);
    if (hint.len != 0) {
        veil_ctl_text_z(out, " (");
        veil_ctl_text_safe(out, hint, false);
        veil_ctl_text_z(out, ")");
    }
    veil_ctl_text_z(out, "\n");
    for (i = 0; i < json_array_size(excerpt); i++) {
        const json_t *line = json_array_get(excerpt, i);

        veil_ctl_text_z(out, "    ");
        veil_ctl_text_safe(
            out, veil_str_n(json_string_value(line), json_string_length(line)),
            false);
        veil_ctl_text_z(out, "\n");
    }
}

void
veil_ctl_show_diagnostics(veil_ctl_text_t *out, const json_t *list)
{
    size_t i;

    for (i = 0; i < json_array_size(list); i++) {
        show_config_diagnostic(out, json_array_get(list, i));
    }
}

/* --- differences ----------------------------------------------------------*/

/* A line with its sign, in its colour. */
static void
show_config_signed(veil_ctl_text_t *out, char sign, veil_str_t s)
{
    char first[] = { sign, ' ', '\0' };

    if (s.data == NULL) {
        return;
    }
    veil_ctl_text_style(out, sign == '+'   ? VEIL_CTL_GREEN
                             : sign == '-' ? VEIL_CTL_RED
                                           : VEIL_CTL_YELLOW);
    veil_ctl_text_z(out, first);
    veil_ctl_text_safe(out, s, false);
    veil_ctl_text_style(out, VEIL_CTL_PLAIN);
    veil_ctl_text_z(out, "\n");
}

static void
show_config_changes(veil_ctl_text_t *out, const json_t *changes)
{
    veil_str_t path = VEIL_STR_NULL, at;
    const json_t *c;
    size_t i;

    for (i = 0; i < json_array_size(changes); i++) {
        c = json_array_get(changes, i);
        at = veil_ctl_show_str(c, "path");
        if (i == 0 || !veil_str_eq(at, path)) {
            veil_ctl_text_style(out, VEIL_CTL_CYAN);
            veil_ctl_text_z(out, "@ ");
            veil_ctl_text_safe(out, at.len == 0 ? VEIL_STR("main") : at,
                               false);
            veil_ctl_text_style(out, VEIL_CTL_PLAIN);
            veil_ctl_text_z(out, "\n");
            path = at;
        }
        if (veil_str_eq_z(veil_ctl_show_str(c, "op"), "reordered")) {
            at = veil_ctl_show_str(c, "to");
            show_config_signed(
                out, '~', at.data == NULL ? VEIL_STR("in another order") : at);
            continue;
        }
        show_config_signed(out, '-', veil_ctl_show_str(c, "from"));
        show_config_signed(out, '+', veil_ctl_show_str(c, "to"));
    }
}

/* "+ upstream server", "- listener", and such, each on a line. */
static void
show_config_list(veil_ctl_text_t *out, const char *what, const json_t *o,
                 const char *member, char sign)
{
    const json_t *list = json_object_get(o, member), *v;
    veil_ctl_text_t line = { 0 };
    size_t i;

    for (i = 0; i < json_array_size(list); i++) {
        v = json_array_get(list, i);
        line.len = 0;
        veil_ctl_text_printf(&line, "%s ", what);
        if (json_is_string(v)) {
            veil_ctl_text_add(&line, veil_str_n(json_string_value(v),
                                                json_string_length(v)));
        } else if (json_object_get(v, "server") != NULL) {
            veil_ctl_text_add(&line, veil_ctl_show_str(v, "upstream"));
            veil_ctl_text_z(&line, "/");
            veil_ctl_text_add(&line, veil_ctl_show_str(v, "server"));
        } else if (json_object_get(v, "address") != NULL) {
            veil_ctl_text_add(&line, veil_ctl_show_str(v, "address"));
            veil_ctl_text_printf(
                &line, ": %lld sockets, %lld before",
                (long long) json_integer_value(json_object_get(v, "to")),
                (long long) json_integer_value(json_object_get(v, "from")));
        }
        show_config_signed(out, sign, veil_ctl_text_str(&line));
    }
    veil_ctl_text_done(&line);
}

static void
show_config_facts(veil_ctl_text_t *out, const json_t *diff)
{
    const json_t *o = json_object_get(diff, "upstreams");
    const json_t *workers = json_object_get(diff, "workers");

    show_config_list(out, "server", o, "removed", '-');
    show_config_list(out, "server", o, "added", '+');
    o = json_object_get(diff, "listeners");
    show_config_list(out, "listener", o, "removed", '-');
    show_config_list(out, "listener", o, "added", '+');
    show_config_list(out, "listener", o, "changed", '~');
    o = json_object_get(diff, "zones");
    show_config_list(out, "zone", o, "removed", '-');
    show_config_list(out, "zone", o, "added", '+');
    show_config_list(out, "zone (empty now)", o, "renewed", '~');
    show_config_list(out, "certificate", diff, "certificates", '~');
    if (json_array_size(workers) == 2
        && !json_equal(json_array_get(workers, 0), json_array_get(workers, 1)))
    {
        veil_ctl_text_printf(
            out, "~ %lld workers, %lld before\n",
            (long long) json_integer_value(json_array_get(workers, 1)),
            (long long) json_integer_value(json_array_get(workers, 0)));
    }
}

bool
veil_ctl_show_diff(veil_ctl_text_t *out, const json_t *args VEIL_UNUSED,
                   const json_t *data)
{
    const json_t *more = json_object_get(data, "more");

    if (!json_is_object(data) || json_object_get(data, "summary") == NULL) {
        return false;
    }
    veil_ctl_show_diagnostics(out, json_object_get(data, "diagnostics"));
    show_config_changes(out, json_object_get(data, "changes"));
    if (json_integer_value(more) > 0) {
        veil_ctl_text_printf(out, "and %lld more\n",
                             (long long) json_integer_value(more));
    }
    show_config_facts(out, data);
    veil_ctl_text_safe(out, veil_ctl_show_str(data, "summary"), false);
    veil_ctl_text_z(out, "\n");
    return true;
}

/* --- loads ----------------------------------------------------------------*/

bool
veil_ctl_show_reload(veil_ctl_text_t *out, const json_t *args,
                     const json_t *data)
{
    const json_t *generation = json_object_get(data, "generation");
    const json_t *elapsed = json_object_get(data, "elapsed_ms");
    char buf[VEIL_CTL_UNIT];

    if (!json_is_boolean(json_object_get(data, "ok"))) {
        return false;
    }
    veil_ctl_show_diagnostics(out, json_object_get(data, "diagnostics"));
    (void) veil_ctl_show_diff(out, args, json_object_get(data, "diff"));
    if (json_is_false(json_object_get(data, "ok"))) {
        veil_ctl_text_styled(out, VEIL_CTL_RED, "refused: ");
        veil_ctl_text_safe(out, veil_ctl_show_str(data, "reason"), false);
        veil_ctl_text_z(out, "\n");
        return true;
    }
    if (!json_is_integer(generation)) {
        return true; /* a dry run */
    }
    veil_ctl_text_printf(out, "generation %lld",
                         (long long) json_integer_value(generation));
    if (json_is_number(elapsed)) {
        veil_ctl_text_printf(
            out, " after %s",
            veil_ctl_unit_duration(buf, json_number_value(elapsed) / 1000));
    }
    veil_ctl_text_z(out, "\n");
    return true;
}

/* The text of files, as it is. */
bool
veil_ctl_show_dump(veil_ctl_text_t *out, const json_t *args VEIL_UNUSED,
                   const json_t *data)
{
    const json_t *text = json_object_get(data, "text");

    if (!json_is_string(text)) {
        return false;
    }
    veil_ctl_text_safe(out, veil_ctl_show_str(data, "text"), true);
    return true;
}
