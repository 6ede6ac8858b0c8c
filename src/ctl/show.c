/*
 * show.c -- answers of verbs that deserve better than render.c's tables.
 *
 * A table says which function shows the answer of which verb.  The functions
 * take what they know of the answer and leave the rest to render.c: an older
 * or newer server says less or more, and both must be readable.
 */

#include "core/platform.h"

#include "ctl/hint.h"
#include "ctl/show_impl.h"
#include "ctl/units.h"

veil_str_t
veil_ctl_show_str(const json_t *object, const char *name)
{
    const json_t *v = json_object_get(object, name);

    return json_is_string(v)
               ? veil_str_n(json_string_value(v), json_string_length(v))
               : VEIL_STR_NULL;
}

/* --- tables ---------------------------------------------------------------*/

static bool
show_has_column(const json_t *rows, const char *name)
{
    const json_t *v;
    size_t i;

    for (i = 0; i < json_array_size(rows); i++) {
        v = json_object_get(json_array_get(rows, i), name);
        if (v != NULL && !json_is_null(v)) {
            return true;
        }
    }
    return false;
}

#define SHOW_COLUMNS 24

void
veil_ctl_show_rows(veil_ctl_text_t *out, const json_t *rows,
                   const veil_ctl_column_t *columns)
{
    veil_pool_t *pool = veil_pool_create("rows", 4096);
    const char *names[SHOW_COLUMNS];
    const veil_ctl_column_t *c;
    veil_ctl_table_t t;
    size_t i;
    unsigned k;

    veil_ctl_table_init(&t, pool);
    for (c = columns; c->name != NULL; c++) {
        if (show_has_column(rows, c->name)) {
            VEIL_ASSERT(t.heads.n < SHOW_COLUMNS);
            names[t.heads.n] = c->name;
            veil_ctl_table_head(&t, c->head);
        }
    }
    for (i = 0; i < json_array_size(rows); i++) {
        for (k = 0; k < t.heads.n; k++) {
            veil_ctl_render_cell(
                &t, names[k],
                json_object_get(json_array_get(rows, i), names[k]));
        }
    }
    if (t.heads.n != 0) {
        veil_ctl_table_print(&t, out, 0);
    } else {
        veil_ctl_text_z(out, "none\n");
    }
    veil_pool_destroy(&pool);
}

/* --- errors ---------------------------------------------------------------*/

static bool
show_worker_failed(const json_t *worker)
{
    return !json_is_true(json_object_get(worker, "ok"));
}

static bool
show_member_equal(const json_t *a, const json_t *b, const char *name)
{
    a = json_object_get(a, name);
    b = json_object_get(b, name);
    return a == b || json_equal(a, b);
}

/* Whether two errors say the same. */
static bool
show_error_equal(const json_t *a, const json_t *b)
{
    return show_member_equal(a, b, "code") && show_member_equal(a, b, "msg");
}

/* Whether each worker failed, and with this error, so that all is said. */
static bool
show_all_failed_so(const json_t *workers, const json_t *err)
{
    const json_t *w;
    size_t i;

    for (i = 0; i < json_array_size(workers); i++) {
        w = json_array_get(workers, i);
        if (!json_is_string(json_object_get(err, "msg"))
            || !show_worker_failed(w)
            || !show_error_equal(json_object_get(w, "err"), err))
        {
            return false;
        }
    }
    return true;
}

/* The workers from this one on that failed with its error, and the error. */
static void
show_failed_workers(veil_ctl_text_t *out, const json_t *workers, size_t first)
{
    const json_t *worker = json_array_get(workers, first), *w;
    const json_t *err = json_object_get(worker, "err");
    const json_t *gen = json_object_get(worker, "generation");
    veil_ctl_text_t numbers = { 0 };
    unsigned n = 0;
    size_t i;

    for (i = first; i < json_array_size(workers); i++) {
        w = json_array_get(workers, i);
        if (show_worker_failed(w)
            && show_error_equal(json_object_get(w, "err"), err)
            && show_member_equal(w, worker, "generation"))
        {
            veil_ctl_text_printf(
                &numbers, "%s%lld", n++ == 0 ? "" : ", ",
                (long long) json_integer_value(json_object_get(w, "worker")));
        }
    }
    veil_ctl_text_z(out, n == 1 ? "  worker " : "  workers ");
    veil_ctl_text_add(out, veil_ctl_text_str(&numbers));
    veil_ctl_text_done(&numbers);
    if (json_is_integer(gen)) {
        veil_ctl_text_printf(out, " of generation %lld",
                             (long long) json_integer_value(gen));
    }
    veil_ctl_text_z(out, ": ");
    veil_ctl_text_safe(out, veil_ctl_show_str(err, "msg"), false);
    veil_ctl_text_z(out, " (");
    veil_ctl_text_safe(out, veil_ctl_show_str(err, "code"), false);
    veil_ctl_text_z(out, ")\n");
}

/* Whether an earlier worker's line has it. */
static bool
show_worker_is_told(const json_t *workers, size_t at)
{
    const json_t *worker = json_array_get(workers, at), *w;
    size_t i;

    for (i = 0; i < at; i++) {
        w = json_array_get(workers, i);
        if (show_worker_failed(w)
            && show_error_equal(json_object_get(w, "err"),
                                json_object_get(worker, "err"))
            && show_member_equal(w, worker, "generation"))
        {
            return true;
        }
    }
    return false;
}

/* Those that failed, each error once. */
static void
show_workers_failed(veil_ctl_text_t *out, const json_t *workers)
{
    size_t i;

    for (i = 0; i < json_array_size(workers); i++) {
        if (show_worker_failed(json_array_get(workers, i))
            && !show_worker_is_told(workers, i))
        {
            show_failed_workers(out, workers, i);
        }
    }
}

static void
show_hint(veil_ctl_text_t *out, const veil_control_verb_t *verb,
          veil_str_t hint)
{
    veil_ctl_text_t typed = { 0 };

    veil_ctl_hint(&typed, verb, hint);
    veil_ctl_text_z(out, "veilctl: ");
    veil_ctl_text_safe(out, veil_ctl_text_str(&typed), false);
    veil_ctl_text_z(out, "\n");
    veil_ctl_text_done(&typed);
}

void
veil_ctl_show_error(veil_ctl_text_t *out, const veil_control_verb_t *verb,
                    const json_t *err, const json_t *workers)
{
    veil_str_t msg = veil_ctl_show_str(err, "msg"),
               hint = veil_ctl_show_str(err, "hint");
    veil_str_t code = veil_ctl_show_str(err, "code"), line;

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
    veil_ctl_show_diagnostics(
        out, json_object_get(json_object_get(err, "details"), "diagnostics"));
    if (hint.len != 0) {
        show_hint(out, verb, hint);
    }
    if (!show_all_failed_so(workers, err)) {
        show_workers_failed(out, workers);
    }
}

/* --- by verb --------------------------------------------------------------*/

static const struct {
    const char *verb;
    veil_ctl_show_fn *show;
} show_table[] = {
    { "audit", veil_ctl_show_audits },
    { "cert.list", veil_ctl_show_certs },
    { "config.check", veil_ctl_show_config_check },
    { "config.explain", veil_ctl_show_config_explain },
    { "config.diff", veil_ctl_show_reload },
    { "config.diff", veil_ctl_show_diff },
    { "config.dump", veil_ctl_show_dump },
    { "conn.list", veil_ctl_show_conn_list },
    { "errors", veil_ctl_show_errors },
    { "listener.list", veil_ctl_show_listeners },
    { "listener.set", veil_ctl_show_change },
    { "log.level", veil_ctl_show_change },
    { "reload", veil_ctl_show_reload },
    { "server.set", veil_ctl_show_change },
    { "state.diff", veil_ctl_show_changes },
    { "state.load", veil_ctl_show_changes },
    { "status", veil_ctl_show_status },
    { "upgrade", veil_ctl_show_upgrade },
    { "upstream.show", veil_ctl_show_upstreams },
    { "verbs", veil_ctl_show_verbs },
    { "worker.list", veil_ctl_show_workers },
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
veil_ctl_show_line(veil_ctl_text_t *out, const veil_control_verb_t *verb,
                   const json_t *line)
{
    size_t begin = out->len;
    bool shown = strcmp(verb->name, "events") == 0
                     ? veil_ctl_show_event(out, NULL, line)
                 : strcmp(verb->name, "audit") == 0
                     ? veil_ctl_show_audit(out, NULL, line)
                 : strcmp(verb->name, "stop") == 0
                     ? veil_ctl_show_stopping(out, NULL, line)
                     : false;

    if (!shown) {
        out->len = begin;
        veil_ctl_render_line(out, line);
    }
    veil_ctl_text_z(out, "\n");
}

void
veil_ctl_show_prepare(const veil_control_verb_t *verb, json_t *args)
{
    /* The server knows its metrics' kinds: its table is the better one. */
    if (strcmp(verb->name, "metrics") == 0
        && json_object_get(args, "format") == NULL)
    {
        json_object_set_new(args, "format", json_string("table"));
    }
}
