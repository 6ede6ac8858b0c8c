/*
 * render.c -- JSON as people read it, whatever it is about.
 *
 * Most verbs need no more: the keys are the heads and the labels, in the
 * order in which the server wrote them.  Underscores become blanks in labels,
 * units.c reads them for what the numbers are.  show.c does better where it
 * is worth it.
 */

#include "core/platform.h"

#include "ctl/render.h"
#include "ctl/units.h"

/* Nesting beyond this is shown as JSON. */
#define RENDER_DEPTH 4
/* Members of an object that become columns of a table's row. */
#define RENDER_FLAT 6

static veil_str_t
render_str(const json_t *v)
{
    return veil_str_n(json_string_value(v), json_string_length(v));
}

void
veil_ctl_render_json(veil_ctl_text_t *out, const json_t *data)
{
    /* Escaped: what is no ASCII, and so all that a terminal might obey. */
    char *z =
        json_dumps(data, JSON_COMPACT | JSON_ENCODE_ANY | JSON_ENSURE_ASCII
                             | JSON_REAL_PRECISION(15));
    veil_str_t rest = veil_str_z(z), part;

    while (rest.data != NULL) {
        part = veil_str_cut(&rest, 0x7f);
        veil_ctl_text_add(out, part);
        veil_ctl_text_z(out, rest.data != NULL ? "\\u007f" : "");
    }
    veil_free(z);
}

veil_ctl_style_t
veil_ctl_render_state(veil_str_t word)
{
    static const struct {
        const char *word;
        veil_ctl_style_t style;
    } words[] = {
        { "up", VEIL_CTL_GREEN },        { "ready", VEIL_CTL_GREEN },
        { "serving", VEIL_CTL_GREEN },   { "running", VEIL_CTL_GREEN },
        { "ok", VEIL_CTL_GREEN },        { "valid", VEIL_CTL_GREEN },
        { "drain", VEIL_CTL_YELLOW },    { "draining", VEIL_CTL_YELLOW },
        { "drained", VEIL_CTL_YELLOW },  { "starting", VEIL_CTL_YELLOW },
        { "stopping", VEIL_CTL_YELLOW }, { "stuck", VEIL_CTL_RED },
        { "warning", VEIL_CTL_YELLOW },  { "down", VEIL_CTL_RED },
        { "failed", VEIL_CTL_RED },      { "unavail", VEIL_CTL_RED },
        { "error", VEIL_CTL_RED },       { "expired", VEIL_CTL_RED },
        { "refused", VEIL_CTL_RED },     { "stopped", VEIL_CTL_RED },
    };
    size_t i;

    for (i = 0; i < veil_countof(words); i++) {
        if (veil_str_eq_z(word, words[i].word)) {
            return words[i].style;
        }
    }
    return VEIL_CTL_PLAIN;
}

/* --- values in a line -----------------------------------------------------*/

static bool
render_is_scalar(const json_t *v)
{
    return !json_is_object(v) && !json_is_array(v);
}

/* An array of scalars, or nothing. */
static bool
render_is_list(const json_t *v)
{
    size_t i;

    for (i = 0; i < json_array_size(v); i++) {
        if (!render_is_scalar(json_array_get(v, i))) {
            return false;
        }
    }
    return json_is_array(v);
}

/* Without making it safe: that is the caller's to do, as a whole. */
static void
render_plain(veil_ctl_text_t *out, const char *name, const json_t *v)
{
    char buf[VEIL_CTL_UNIT];
    size_t i;

    if (json_is_string(v)) {
        veil_ctl_text_add(out, render_str(v));
    } else if (json_is_number(v)) {
        veil_ctl_text_z(out, veil_ctl_unit_number(buf, name, v));
    } else if (json_is_boolean(v)) {
        veil_ctl_text_z(out, json_is_true(v) ? "yes" : "no");
    } else if (json_is_null(v)) {
        veil_ctl_text_z(out, "-");
    } else if (render_is_list(v) && json_array_size(v) != 0) {
        for (i = 0; i < json_array_size(v); i++) {
            veil_ctl_text_z(out, i == 0 ? "" : ", ");
            render_plain(out, name, json_array_get(v, i));
        }
    } else if (json_is_array(v)) {
        veil_ctl_text_z(out, render_is_list(v) ? "-" : "");
        if (!render_is_list(v)) {
            veil_ctl_render_json(out, v);
        }
    } else {
        veil_ctl_render_json(out, v);
    }
}

void
veil_ctl_render_cell(veil_ctl_table_t *t, const char *name, const json_t *v)
{
    veil_ctl_text_t text = { 0 };
    char buf[VEIL_CTL_UNIT];

    if (v == NULL || json_is_null(v)
        || (json_is_string(v) && json_string_length(v) == 0)
        || (json_is_array(v) && json_array_size(v) == 0))
    {
        veil_ctl_table_none(t);
    } else if (json_is_number(v)) {
        veil_ctl_table_number(t, veil_ctl_unit_number(buf, name, v));
    } else if (json_is_string(v)) {
        veil_ctl_table_cell(t, render_str(v),
                            veil_ctl_render_state(render_str(v)));
    } else {
        if (json_is_array(v) && !render_is_list(v)) {
            veil_ctl_text_printf(&text, "[%zu]", json_array_size(v));
        } else if (json_is_object(v)) {
            veil_ctl_text_printf(&text, "{%zu}", json_object_size(v));
        } else {
            render_plain(&text, name, v);
        }
        veil_ctl_table_cell(t, veil_ctl_text_str(&text), VEIL_CTL_PLAIN);
        veil_ctl_text_done(&text);
    }
}

void
veil_ctl_render_line(veil_ctl_text_t *out, const json_t *data)
{
    veil_ctl_text_t text = { 0 };
    const char *name;
    json_t *v;
    bool first = true;
    void *tmp;

    if (!json_is_object(data)) {
        render_plain(&text, NULL, data);
        veil_ctl_text_safe(out, veil_ctl_text_str(&text), false);
        veil_ctl_text_done(&text);
        return;
    }
    json_object_foreach_safe((json_t *) (uintptr_t) data, tmp, name, v)
    {
        text.len = 0;
        render_plain(&text, name, v);
        veil_ctl_text_z(out, first ? "" : " ");
        veil_ctl_text_safe(out, veil_str_z(name), false);
        veil_ctl_text_z(out, "=");
        veil_ctl_text_safe(out, veil_ctl_text_str(&text), false);
        first = false;
    }
    veil_ctl_text_done(&text);
}

/* --- tables ---------------------------------------------------------------*/

static bool
render_is_rows(const json_t *v)
{
    size_t i;

    for (i = 0; i < json_array_size(v); i++) {
        if (!json_is_object(json_array_get(v, i))) {
            return false;
        }
    }
    return json_array_size(v) != 0;
}

/*
 * A name without its unit, if it ends in one: the values have theirs.  The
 * name alone stays as it is.
 */
static veil_str_t
render_name(const char *z)
{
    static const char *const units[] = { "_ms", "_us", "_s", "_seconds",
                                         "_bytes" };
    veil_str_t name = veil_str_z(z);
    size_t i;

    for (i = 0; i < veil_countof(units); i++) {
        if (name.len > strlen(units[i])
            && veil_str_ends(name, veil_str_z(units[i]))) {
            name.len -= strlen(units[i]);
            break;
        }
    }
    return name;
}

/* "max_conns" as "MAX CONNS"; the pool's. */
static const char *
render_head(veil_pool_t *pool, const char *name)
{
    veil_ctl_text_t text = { 0 };
    veil_str_t s;
    char *p;

    veil_ctl_text_safe(&text, render_name(name), false);
    s = veil_pool_str(pool, veil_ctl_text_str(&text));
    veil_ctl_text_done(&text);
    for (p = (char *) (uintptr_t) s.data; *p != '\0'; p++) {
        *p = (char) (*p == '_'                ? ' '
                     : *p >= 'a' && *p <= 'z' ? *p - ('a' - 'A')
                                              : *p);
    }
    return s.data;
}

/* The keys of all rows, in the order in which they come first. */
static json_t *
render_columns(const json_t *rows)
{
    json_t *keys = json_object(), *row, *v;
    const char *name;
    size_t i;

    json_array_foreach((json_t *) (uintptr_t) rows, i, row)
    {
        json_object_foreach(row, name, v)
        {
            if (json_object_get(keys, name) == NULL) {
                json_object_set_new(keys, name, json_true());
            }
        }
    }
    return keys;
}

/* Members of an object in a row, if each fits a cell. */
static bool
render_is_flat(const json_t *v)
{
    const char *name;
    json_t *member;
    void *tmp;

    json_object_foreach_safe((json_t *) (uintptr_t) v, tmp, name, member)
    {
        if (!render_is_scalar(member) && !render_is_list(member)) {
            return false;
        }
    }
    return json_object_size(v) != 0 && json_object_size(v) <= RENDER_FLAT;
}

/*
 * Rows with the members of objects in them as their own: "tls_version" of
 * {"tls": {"version": ...}}.  What a worker said is not called "data_...".
 */
static json_t *
render_flatten(const json_t *rows)
{
    json_t *all = json_array(), *row, *flat, *v, *member;
    const char *name, *inner;
    char both[128];
    size_t i;

    json_array_foreach((json_t *) (uintptr_t) rows, i, row)
    {
        flat = json_object();
        json_object_foreach(row, name, v)
        {
            if (!render_is_flat(v)) {
                json_object_set(flat, name, v);
                continue;
            }
            json_object_foreach(v, inner, member)
            {
                (void) veil_snprintf(both, sizeof(both), "%s%s%s",
                                     strcmp(name, "data") == 0 ? "" : name,
                                     strcmp(name, "data") == 0 ? "" : "_",
                                     inner);
                json_object_set(flat, both, member);
            }
        }
        json_array_append_new(all, flat);
    }
    return all;
}

static void
render_table(veil_ctl_text_t *out, const json_t *told, unsigned indent)
{
    veil_pool_t *pool = veil_pool_create("table", 4096);
    json_t *rows = render_flatten(told);
    json_t *keys = render_columns(rows), *row, *v;
    veil_ctl_table_t t;
    const char *name;
    size_t i;

    veil_ctl_table_init(&t, pool);
    json_object_foreach(keys, name, v)
    {
        veil_ctl_table_head(&t, render_head(pool, name));
    }
    json_array_foreach(rows, i, row)
    {
        json_object_foreach(keys, name, v)
        {
            veil_ctl_render_cell(&t, name, json_object_get(row, name));
        }
    }
    if (t.heads.n != 0) {
        veil_ctl_table_print(&t, out, indent);
    }
    json_decref(keys);
    json_decref(rows);
    veil_pool_destroy(&pool);
}

/* --- objects --------------------------------------------------------------*/

static void
render_label(veil_ctl_text_t *out, const char *name)
{
    veil_ctl_text_t text = { 0 };
    size_t i;

    veil_ctl_text_safe(&text, render_name(name), false);
    for (i = 0; i < text.len; i++) {
        if (text.data[i] == '_') {
            text.data[i] = ' ';
        }
    }
    veil_ctl_text_style(out, VEIL_CTL_BOLD);
    veil_ctl_text_add(out, veil_ctl_text_str(&text));
    veil_ctl_text_z(out, ":");
    veil_ctl_text_style(out, VEIL_CTL_PLAIN);
    veil_ctl_text_done(&text);
}

static bool
render_is_inline(const json_t *v)
{
    return (render_is_scalar(v)
            && !(json_is_string(v)
                 && strchr(json_string_value(v), '\n') != NULL))
           || render_is_list(v)
           || (json_is_object(v) && json_object_size(v) == 0);
}

static size_t
render_label_width(const json_t *object)
{
    veil_ctl_text_t text = { 0 };
    size_t width = 0, w;
    const char *name;
    json_t *v;
    void *tmp;

    json_object_foreach_safe((json_t *) (uintptr_t) object, tmp, name, v)
    {
        text.len = 0;
        veil_ctl_text_safe(&text, render_name(name), false);
        w = veil_ctl_text_width(veil_ctl_text_str(&text));
        width = render_is_inline(v) && w > width ? w : width;
    }
    veil_ctl_text_done(&text);
    return width;
}

static void
render_inline(veil_ctl_text_t *out, const char *name, const json_t *v)
{
    veil_ctl_style_t style = json_is_string(v)
                                 ? veil_ctl_render_state(render_str(v))
                                 : VEIL_CTL_PLAIN;
    veil_ctl_text_t text = { 0 };

    if (json_is_array(v) && json_array_size(v) == 0) {
        veil_ctl_text_z(&text, "none");
    } else {
        render_plain(&text, name, v);
    }
    if (style != VEIL_CTL_PLAIN) {
        veil_ctl_text_style(out, style);
    }
    veil_ctl_text_safe(out, veil_ctl_text_str(&text), false);
    if (style != VEIL_CTL_PLAIN) {
        veil_ctl_text_style(out, VEIL_CTL_PLAIN);
    }
    veil_ctl_text_z(out, "\n");
    veil_ctl_text_done(&text);
}

static void
render_object(veil_ctl_text_t *out, const json_t *object, unsigned indent)
{
    size_t width = render_label_width(object), begin;
    const char *name;
    json_t *v;
    void *tmp;

    json_object_foreach_safe((json_t *) (uintptr_t) object, tmp, name, v)
    {
        veil_ctl_text_fill(out, ' ', indent);
        begin = out->len;
        render_label(out, name);
        if (render_is_inline(v)) {
            veil_ctl_text_fill(out, ' ',
                               width + 1
                                   - veil_ctl_text_width(veil_str_n(
                                       out->data + begin, out->len - begin)));
            veil_ctl_text_z(out, " ");
            render_inline(out, name, v);
        } else {
            veil_ctl_text_z(out, "\n");
            veil_ctl_render_at(out, v, indent + 2);
        }
    }
}

/* Whether all of a row can be seen in a table. */
static bool
render_is_wholly_flat(const json_t *row)
{
    const char *name;
    json_t *v;
    void *tmp;

    json_object_foreach_safe((json_t *) (uintptr_t) row, tmp, name, v)
    {
        if (!render_is_scalar(v) && !render_is_list(v) && !render_is_flat(v)) {
            return false;
        }
    }
    return true;
}

/* --- anything -------------------------------------------------------------*/

/* The lines of a text, each behind the blanks. */
static void
render_lines(veil_ctl_text_t *out, veil_str_t s, unsigned indent)
{
    veil_str_t line;

    while (s.data != NULL && s.len != 0) {
        line = veil_str_cut(&s, '\n');
        veil_ctl_text_fill(out, ' ', indent);
        veil_ctl_text_safe(out, line, true);
        veil_ctl_text_z(out, "\n");
    }
}

void
veil_ctl_render_at(veil_ctl_text_t *out, const json_t *data, unsigned indent)
{
    veil_ctl_text_t text = { 0 };
    size_t i;

    if (indent > 2 * RENDER_DEPTH) {
        veil_ctl_text_fill(out, ' ', indent);
        veil_ctl_render_json(out, data);
        veil_ctl_text_z(out, "\n");
    } else if (json_is_object(data)) {
        render_object(out, data, indent);
    } else if (json_is_array(data) && render_is_rows(data)
               && (json_array_size(data) != 1
                   || render_is_wholly_flat(json_array_get(data, 0))))
    {
        render_table(out, data, indent);
    } else if (json_is_array(data)) {
        for (i = 0; i < json_array_size(data); i++) {
            veil_ctl_render_at(out, json_array_get(data, i), indent);
        }
    } else {
        render_plain(&text, NULL, data);
        render_lines(out, veil_ctl_text_str(&text), indent);
        veil_ctl_text_done(&text);
    }
}

/*
 * The only list of rows of an object that has otherwise what fits a line, as
 * {"total": 3, "connections": [{...}, ...]}; NULL: it is no such object.
 */
static const json_t *
render_only_rows(const json_t *data)
{
    const json_t *rows = NULL;
    const char *name;
    json_t *v;
    void *tmp;

    json_object_foreach_safe((json_t *) (uintptr_t) data, tmp, name, v)
    {
        if (json_is_array(v)
            && (render_is_rows(v) || !render_is_list(v)
                || json_array_size(v) == 0))
        {
            if (rows != NULL) {
                return NULL;
            }
            rows = v;
        } else if (!render_is_inline(v)) {
            return NULL;
        }
    }
    return rows;
}

void
veil_ctl_render(veil_ctl_text_t *out, const json_t *data)
{
    const json_t *rows = json_is_object(data) ? render_only_rows(data) : NULL;
    bool any = rows != NULL && json_array_size(rows) != 0;
    json_t *rest = any ? json_object() : NULL;
    const char *name;
    json_t *v;
    void *tmp;

    if (!any) { /* of what there are none, the label says */
        veil_ctl_render_at(out, data, 0);
        return;
    }
    json_object_foreach_safe((json_t *) (uintptr_t) data, tmp, name, v)
    {
        if (v != rows) {
            json_object_set(rest, name, v);
        }
    }
    render_object(out, rest, 0);
    veil_ctl_text_z(out, json_object_size(rest) != 0 ? "\n" : "");
    veil_ctl_render_at(out, rows, 0);
    json_decref(rest);
}
