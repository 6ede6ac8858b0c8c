/*
 * show.c -- answers of verbs that deserve better than render.c's tables.
 *
 * A table says which function shows the answer of which verb.  The functions
 * take what they know of the answer and leave the rest to render.c: an older
 * or newer server says less or more, and both must be readable.
 */

#include "core/platform.h"

#include "ctl/show.h"
#include "ctl/units.h"

static veil_str_t
show_str(const json_t *object, const char *name)
{
    const json_t *v = json_object_get(object, name);

    return json_is_string(v)
               ? veil_str_n(json_string_value(v), json_string_length(v))
               : VEIL_STR_NULL;
}

/* --- errors ---------------------------------------------------------------*/

static void
show_failed_worker(veil_ctl_text_t *out, const json_t *worker)
{
    const json_t *err = json_object_get(worker, "err");
    const json_t *number = json_object_get(worker, "worker");
    const json_t *gen = json_object_get(worker, "generation");

    veil_ctl_text_printf(out, "  worker %lld",
                         (long long) json_integer_value(number));
    if (json_is_integer(gen)) {
        veil_ctl_text_printf(out, " of generation %lld",
                             (long long) json_integer_value(gen));
    }
    veil_ctl_text_z(out, ": ");
    veil_ctl_text_safe(out, show_str(err, "msg"), false);
    veil_ctl_text_z(out, " (");
    veil_ctl_text_safe(out, show_str(err, "code"), false);
    veil_ctl_text_z(out, ")\n");
}

void
veil_ctl_show_error(veil_ctl_text_t *out, const json_t *err,
                    const json_t *workers)
{
    veil_str_t msg = show_str(err, "msg"), hint = show_str(err, "hint");
    veil_str_t code = show_str(err, "code"), line;
    size_t i;

    if (err != NULL) {
        veil_ctl_text_z(out, "veilctl: ");
        veil_ctl_text_style(out, VEIL_CTL_RED);
        line = veil_str_cut(&msg, '\n');
        veil_ctl_text_safe(
            out,
            line.len == 0 ? VEIL_STR("the server says no more than \"no\"")
                          : line,
            false);
        veil_ctl_text_style(out, VEIL_CTL_PLAIN);
        if (code.len != 0) {
            veil_ctl_text_z(out, " (");
            veil_ctl_text_safe(out, code, false);
            veil_ctl_text_z(out, ")");
        }
        veil_ctl_text_z(out, "\n");
    }
    while (msg.data != NULL) {
        line = veil_str_cut(&msg, '\n');
        veil_ctl_text_safe(out, line, true);
        veil_ctl_text_z(out, "\n");
    }
    if (hint.len != 0) {
        veil_ctl_text_z(out, "veilctl: ");
        veil_ctl_text_safe(out, hint, false);
        veil_ctl_text_z(out, "\n");
    }
    for (i = 0; i < json_array_size(workers); i++) {
        show_failed_worker(out, json_array_get(workers, i));
    }
}

/* --- by verb --------------------------------------------------------------*/

typedef bool show_fn(veil_ctl_text_t *out, const json_t *args,
                     const json_t *data);

static const struct {
    const char *verb;
    show_fn *show; /* false: it is not what was expected */
} show_table[] = {
    { NULL, NULL },
};

void
veil_ctl_show(veil_ctl_text_t *out, const veil_control_verb_t *verb,
              const json_t *args, const json_t *data)
{
    size_t i, begin = out->len;

    for (i = 0; show_table[i].verb != NULL; i++) {
        if (strcmp(show_table[i].verb, verb->name) == 0) {
            if (show_table[i].show(out, args, data)) {
                return;
            }
            out->len = begin;
        }
    }
    if (json_object_size(data) == 0 && json_array_size(data) == 0
        && (json_is_object(data) || json_is_null(data)))
    {
        veil_ctl_text_z(out, "ok\n");
    } else if (json_is_array(data) && json_array_size(data) == 0) {
        veil_ctl_text_z(out, "none\n");
    } else {
        veil_ctl_render(out, data);
    }
}

void
veil_ctl_show_line(veil_ctl_text_t *out,
                   const veil_control_verb_t *verb VEIL_UNUSED,
                   const json_t *line)
{
    veil_ctl_render_line(out, line);
    veil_ctl_text_z(out, "\n");
}
