/*
 * show_server.c -- answers about the server: its state, what happened, and
 * what was changed.
 */

#include "core/platform.h"

#include "ctl/show_impl.h"
#include "ctl/units.h"

static long long
show_server_int(const json_t *o, const char *name)
{
    return (long long) json_integer_value(json_object_get(o, name));
}

/* A member behind a label; nothing if it is not there. */
static void
show_server_item(veil_ctl_text_t *out, const char *label, const json_t *o,
                 const char *name)
{
    const json_t *v = json_object_get(o, name);
    char buf[VEIL_CTL_UNIT];

    if (v == NULL || json_is_null(v)) {
        return;
    }
    veil_ctl_text_z(out, label);
    if (json_is_number(v)) {
        veil_ctl_text_z(out, veil_ctl_unit_number(buf, name, v));
    } else {
        veil_ctl_text_safe(out, veil_ctl_show_str(o, name), false);
    }
}

/* --- status ---------------------------------------------------------------*/

/* How much there is, and was, to do, in a line. */
static void
show_server_counts(veil_ctl_text_t *out, const json_t *data)
{
    if (json_is_integer(json_object_get(data, "accepted"))) {
        show_server_item(out, "\nconnections ", data, "connections");
        show_server_item(out, " of ", data, "accepted");
        show_server_item(out, " accepted, requests ", data, "requests");
    }
}

/* What somebody has begun and may have forgotten. */
static void
show_server_special(veil_ctl_text_t *out, const json_t *data)
{
    const json_t *old = json_object_get(data, "old_master");

    if (show_server_int(data, "drained_listeners") > 0) {
        veil_ctl_text_z(out, "\n");
        veil_ctl_text_styled(out, VEIL_CTL_YELLOW, "drained listeners: ");
        show_server_item(out, "", data, "drained_listeners");
    }
    if (old != NULL) {
        veil_ctl_text_z(out, "\n");
        veil_ctl_text_styled(out, VEIL_CTL_YELLOW, "old master: ");
        show_server_item(out, "process ", old, "pid");
        show_server_item(out, ", ", old, "state");
    }
}

/* The last load, in a line. */
static void
show_server_reload(veil_ctl_text_t *out, const json_t *reload)
{
    if (!json_is_object(reload)) {
        return;
    }
    veil_ctl_text_z(out, "\nlast load: ");
    if (json_is_true(json_object_get(reload, "ok"))) {
        veil_ctl_text_styled(out, VEIL_CTL_GREEN, "generation ");
        show_server_item(out, "", reload, "generation");
    } else {
        veil_ctl_text_styled(out, VEIL_CTL_RED, "refused: ");
        veil_ctl_text_safe(out, veil_ctl_show_str(reload, "reason"), false);
    }
    show_server_item(out, ", ", reload, "at");
    show_server_item(out, ", by ", reload, "cause");
    show_server_item(out, ", took ", reload, "elapsed_ms");
    veil_ctl_text_z(out, "\n");
}

/* Workers that are told one by one: rows of their own, and a number. */
static void
show_server_take_workers(json_t *generations, json_t *workers)
{
    json_t *g, *list, *worker;
    size_t i, k;

    json_array_foreach(generations, i, g)
    {
        list = json_incref(json_object_get(g, "workers"));
        if (json_is_array(list)) {
            json_object_set_new(
                g, "workers",
                json_integer((json_int_t) json_array_size(list)));
        }
        json_array_foreach(list, k, worker)
        {
            json_object_set(worker, "generation",
                            json_object_get(g, "generation"));
            (void) json_object_set_new(worker, "state",
                                       veil_ctl_show_worker_state(worker));
            json_array_append(workers, worker);
        }
        json_decref(list);
    }
}

bool
veil_ctl_show_status(veil_ctl_text_t *out, const json_t *args VEIL_UNUSED,
                     const json_t *data)
{
    static const veil_ctl_column_t columns[] = {
        { "generation", "GENERATION" }, { "state", "STATE" },
        { "workers", "WORKERS" },       { "connections", "CONNS" },
        { "uptime_ms", "AGE" },         { "left_ms", "LEFT" },
        { "keeper", "KEEPER" },         { NULL, NULL },
    };
    static const veil_ctl_column_t worker_columns[] = {
        { "worker", "WORKER" },
        { "generation", "GENERATION" },
        { "pid", "PID" },
        { "state", "STATE" },
        { "uptime_s", "UPTIME" },
        { "connections", "CONNS" },
        { "accepted", "ACCEPTED" },
        { "requests", "REQS" },
        { NULL, NULL },
    };
    veil_str_t state = veil_ctl_show_str(data, "state");
    json_t *generations = json_deep_copy(json_object_get(data, "generations"));
    json_t *workers = json_array();

    if (state.len == 0 || !json_is_array(generations)) {
        json_decref(generations);
        json_decref(workers);
        return false;
    }
    show_server_take_workers(generations, workers);
    veil_ctl_text_z(out, "veil");
    show_server_item(out, " ", data, "version");
    veil_ctl_text_z(out, ", ");
    veil_ctl_text_style(out, veil_ctl_render_state(state));
    veil_ctl_text_safe(out, state, false);
    veil_ctl_text_style(out, VEIL_CTL_PLAIN);
    show_server_item(out, " for ", data,
                     json_object_get(data, "stopping_ms") == NULL
                         ? "uptime_ms"
                         : "stopping_ms");
    show_server_item(out, ", process ", data, "pid");
    show_server_item(out, ", configuration ", data, "config");
    show_server_counts(out, data);
    show_server_special(out, data);
    veil_ctl_text_z(out, "\n\n");
    veil_ctl_show_rows(out, generations, columns);
    if (json_array_size(workers) != 0) {
        veil_ctl_text_z(out, "\n");
        veil_ctl_show_rows(out, workers, worker_columns);
    }
    json_decref(generations);
    json_decref(workers);
    show_server_reload(out, json_object_get(data, "reload"));
    return true;
}

/* --- lists ----------------------------------------------------------------*/

json_t *
veil_ctl_show_worker_state(const json_t *worker)
{
    return json_is_true(json_object_get(worker, "stopped"))
               ? json_string("stopped")
               : json_incref(json_object_get(worker, "state"));
}

bool
veil_ctl_show_workers(veil_ctl_text_t *out, const json_t *args VEIL_UNUSED,
                      const json_t *data)
{
    static const veil_ctl_column_t columns[] = {
        { "slot", "WORKER" },       { "generation", "GENERATION" },
        { "pid", "PID" },           { "state", "STATE" },
        { "uptime_s", "UPTIME" },   { "heartbeat_ms", "HEARTBEAT" },
        { "connections", "CONNS" }, { "accepted", "ACCEPTED" },
        { "requests", "REQS" },     { "cpu_s", "CPU" },
        { "rss_bytes", "MEMORY" },  { NULL, NULL },
    };
    json_t *rows, *row;
    size_t i;

    if (!json_is_array(data)) {
        return false;
    }
    rows = json_array();
    for (i = 0; i < json_array_size(data); i++) {
        row = json_copy(json_array_get(data, i));
        if (json_is_object(row)) {
            json_object_set_new(row, "state", veil_ctl_show_worker_state(row));
        }
        json_array_append_new(rows, row);
    }
    veil_ctl_show_rows(out, rows, columns);
    json_decref(rows);
    return true;
}

bool
veil_ctl_show_listeners(veil_ctl_text_t *out, const json_t *args VEIL_UNUSED,
                        const json_t *data)
{
    static const veil_ctl_column_t columns[] = {
        { "listener", "LISTENER" },
        { "ssl", "SSL" },
        { "http2", "HTTP2" },
        { "proxy_protocol", "PROXY" },
        { "draining", "DRAINING" },
        { "servers", "SERVERS" },
        { "sockets", "SOCKETS" },
        { "backlog", "BACKLOG" },
        { "reuseport", "REUSEPORT" },
        { "names", "NAMES" },
        { NULL, NULL },
    };

    /* One by itself is told with its settings. */
    if (!json_is_array(data) || json_array_size(data) < 2) {
        return false;
    }
    veil_ctl_show_rows(out, data, columns);
    return true;
}

/* What is over, or soon will be. */
static veil_ctl_style_t
show_server_days(const json_t *days)
{
    json_int_t n = json_integer_value(days);

    return !json_is_integer(days) ? VEIL_CTL_PLAIN
           : n < 0                ? VEIL_CTL_RED
           : n < 14               ? VEIL_CTL_YELLOW
                                  : VEIL_CTL_PLAIN;
}

bool
veil_ctl_show_certs(veil_ctl_text_t *out, const json_t *args VEIL_UNUSED,
                    const json_t *data)
{
    static const char *const names[] = { "names",  "key",  "not_after",
                                         "issuer", "from", "servers",
                                         "sha256" };
    static const char *const heads[] = { "DAYS LEFT", "NAMES",  "KEY",
                                         "NOT AFTER", "ISSUER", "FROM",
                                         "SERVERS",   "SHA-256" };
    veil_pool_t *pool;
    veil_ctl_table_t t;
    const json_t *row, *days;
    char buf[VEIL_CTL_UNIT];
    size_t i, k;

    if (!json_is_array(data) || json_array_size(data) == 0) {
        return false;
    }
    pool = veil_pool_create("certs", 4096);
    veil_ctl_table_init(&t, pool);
    for (k = 0; k < veil_countof(heads); k++) {
        veil_ctl_table_head(&t, heads[k]);
    }
    for (i = 0; i < json_array_size(data); i++) {
        row = json_array_get(data, i);
        days = json_object_get(row, "days_left");
        veil_ctl_table_cell(
            &t, veil_str_z(veil_ctl_unit_number(buf, "number", days)),
            show_server_days(days));
        for (k = 0; k < veil_countof(names); k++) {
            veil_ctl_render_cell(&t, names[k], json_object_get(row, names[k]));
        }
    }
    veil_ctl_table_print(&t, out, 0);
    veil_pool_destroy(&pool);
    return true;
}

/* --- changes --------------------------------------------------------------*/

/* A member that is another one now; NULL: it is not there.  False: it is not.
 */
static bool
show_server_changed(veil_ctl_text_t *out, const char *name, const json_t *was,
                    const json_t *is)
{
    const json_t *const both[] = { was, is };
    unsigned i;

    if (was == is || (was != NULL && is != NULL && json_equal(was, is))) {
        return false;
    }
    veil_ctl_text_style(out, VEIL_CTL_BOLD);
    veil_ctl_text_safe(out, veil_str_z(name), false);
    veil_ctl_text_style(out, VEIL_CTL_PLAIN);
    for (i = 0; i < veil_countof(both); i++) {
        veil_ctl_text_z(out, i == 0 ? ": " : " -> ");
        if (both[i] == NULL) {
            veil_ctl_text_z(out, "-");
        } else {
            veil_ctl_render_line(out, both[i]);
        }
    }
    veil_ctl_text_z(out, "\n");
    return true;
}

/*
 * {"before": {...}, "after": {...}} and what it is about: only what is
 * different.
 */
bool
veil_ctl_show_change(veil_ctl_text_t *out, const json_t *args VEIL_UNUSED,
                     const json_t *data)
{
    json_t *before = json_object_get(data, "before"), *v;
    json_t *after = json_object_get(data, "after"), *rest;
    const char *name;
    bool any = false;

    if (!json_is_object(before) && !json_is_object(after)) {
        return false;
    }
    rest = json_copy((json_t *) (uintptr_t) data);
    json_object_del(rest, "before");
    json_object_del(rest, "after");
    veil_ctl_render_at(out, rest, 0);
    json_decref(rest);
    json_object_foreach(after, name, v)
    {
        any = show_server_changed(out, name, json_object_get(before, name), v)
              || any;
    }
    json_object_foreach(before, name, v)
    {
        any = (json_object_get(after, name) == NULL
               && show_server_changed(out, name, v, NULL))
              || any;
    }
    if (!any) {
        veil_ctl_text_z(out, "nothing is different\n");
    }
    return true;
}

/* {"changes": [...]}, of which each is as above, and what else there is. */
bool
veil_ctl_show_changes(veil_ctl_text_t *out, const json_t *args,
                      const json_t *data)
{
    const json_t *changes = json_object_get(data, "changes"), *change;
    json_t *rest;
    size_t i;

    if (!json_is_array(changes)) {
        return false;
    }
    rest = json_copy((json_t *) (uintptr_t) data);
    json_object_del(rest, "changes");
    veil_ctl_render_at(out, rest, 0);
    json_decref(rest);
    for (i = 0; i < json_array_size(changes); i++) {
        change = json_array_get(changes, i);
        veil_ctl_text_z(out, "\n");
        if (!veil_ctl_show_change(out, args, change)) {
            veil_ctl_render_at(out, change, 0);
        }
    }
    veil_ctl_text_z(out, i == 0 ? "nothing is different\n" : "");
    return true;
}

/* While it stops: {"processes": 3}. */
bool
veil_ctl_show_stopping(veil_ctl_text_t *out, const json_t *args VEIL_UNUSED,
                       const json_t *line)
{
    long long n = show_server_int(line, "processes");

    if (!json_is_integer(json_object_get(line, "processes"))) {
        return false;
    }
    veil_ctl_text_printf(out, "%lld process%s left", n,
                         n == 1 ? " is" : "es are");
    return true;
}

/* --- verbs ----------------------------------------------------------------*/

bool
veil_ctl_show_verbs(veil_ctl_text_t *out, const json_t *args VEIL_UNUSED,
                    const json_t *data)
{
    static const veil_ctl_column_t columns[] = {
        { "verb", "VERB" },
        { "role", "ROLE" },
        { "args", "ARGUMENTS" },
        { NULL, NULL },
    };
    json_t *rows = json_deep_copy(data), *row, *list, *name;
    size_t i, k;

    if (!json_is_array(data)) {
        json_decref(rows);
        return false;
    }
    json_array_foreach(rows, i, row)
    {
        list = json_array();
        for (k = 0; k < json_array_size(json_object_get(row, "args")); k++) {
            name = json_object_get(
                json_array_get(json_object_get(row, "args"), k), "name");
            if (json_is_string(name)) {
                json_array_append(list, name);
            }
        }
        json_object_set_new(row, "args", list);
    }
    veil_ctl_show_rows(out, rows, columns);
    json_decref(rows);
    return true;
}

/* --- lines ----------------------------------------------------------------*/

/* "2026-11-21T14:30:05.123Z server.down generation 3 worker 1: a=b". */
bool
veil_ctl_show_event(veil_ctl_text_t *out, const json_t *args VEIL_UNUSED,
                    const json_t *line)
{
    const json_t *data = json_object_get(line, "data");

    if (json_object_get(line, "kind") == NULL) {
        if (json_object_get(line, "lost") == NULL) {
            return false;
        }
        veil_ctl_text_style(out, VEIL_CTL_YELLOW);
        veil_ctl_text_printf(out, "%lld events were lost",
                             show_server_int(line, "lost"));
        veil_ctl_text_style(out, VEIL_CTL_PLAIN);
        return true;
    }
    veil_ctl_text_safe(out, veil_ctl_show_str(line, "ts"), false);
    veil_ctl_text_z(out, " ");
    veil_ctl_text_style(out, VEIL_CTL_BOLD);
    veil_ctl_text_safe(out, veil_ctl_show_str(line, "kind"), false);
    veil_ctl_text_style(out, VEIL_CTL_PLAIN);
    show_server_item(out, " generation ", line, "generation");
    show_server_item(out, " worker ", line, "worker");
    if (json_object_size(data) != 0) {
        veil_ctl_text_z(out, ": ");
        veil_ctl_render_line(out, data);
    }
    return true;
}

static veil_ctl_style_t
show_server_result(veil_str_t result)
{
    return veil_str_eq_z(result, "ok")         ? VEIL_CTL_GREEN
           : veil_str_eq_z(result, "accepted") ? VEIL_CTL_PLAIN
           : veil_str_eq_z(result, "partial")  ? VEIL_CTL_YELLOW
                                               : VEIL_CTL_RED;
}

static void
show_server_value(veil_ctl_text_t *out, const json_t *v)
{
    if (v == NULL || json_is_null(v)) {
        veil_ctl_text_z(out, "nothing");
    } else {
        veil_ctl_render_json(out, v);
    }
}

/* "; weight 1 -> 5, state "up" -> "drain"". */
static void
show_server_record_changes(veil_ctl_text_t *out, const json_t *changes)
{
    const json_t *change;
    size_t i;

    for (i = 0; i < json_array_size(changes); i++) {
        change = json_array_get(changes, i);
        veil_ctl_text_z(out, i == 0 ? "; " : ", ");
        veil_ctl_text_safe(out, veil_ctl_show_str(change, "field"), false);
        veil_ctl_text_z(out, " ");
        show_server_value(out, json_object_get(change, "before"));
        veil_ctl_text_z(out, " -> ");
        show_server_value(out, json_object_get(change, "after"));
    }
}

/* "TIME RESULT VERB TARGET by USER uid UID pid PID: reason; changes". */
bool
veil_ctl_show_audit(veil_ctl_text_t *out, const json_t *args VEIL_UNUSED,
                    const json_t *line)
{
    veil_str_t result = veil_ctl_show_str(line, "result");

    if (json_object_get(line, "ts") == NULL || result.data == NULL) {
        return false;
    }
    veil_ctl_text_safe(out, veil_ctl_show_str(line, "ts"), false);
    veil_ctl_text_z(out, " ");
    veil_ctl_text_style(out, show_server_result(result));
    veil_ctl_text_safe(out, result, false);
    veil_ctl_text_style(out, VEIL_CTL_PLAIN);
    veil_ctl_text_z(out, " ");
    veil_ctl_text_style(out, VEIL_CTL_BOLD);
    veil_ctl_text_safe(out, veil_ctl_show_str(line, "verb"), false);
    veil_ctl_text_style(out, VEIL_CTL_PLAIN);
    if (json_is_true(json_object_get(line, "dry_run"))) {
        veil_ctl_text_z(out, " (dry run)");
    }
    show_server_item(out, " ", line, "target");
    show_server_item(out, " by ", line, "actor_user");
    show_server_item(out, " uid ", line, "actor_uid");
    show_server_item(out, " pid ", line, "actor_pid");
    show_server_item(out, " in ", line, "elapsed_ms");
    show_server_item(out, ": ", line, "error_code");
    show_server_item(out, ", ", line, "reason");
    show_server_record_changes(out, json_object_get(line, "changes"));
    return true;
}

bool
veil_ctl_show_audits(veil_ctl_text_t *out, const json_t *args,
                     const json_t *data)
{
    const json_t *records = json_object_get(data, "records");
    json_t *record;
    size_t i;

    if (json_array_size(records) == 0) {
        return false;
    }
    json_array_foreach(records, i, record)
    {
        if (!veil_ctl_show_audit(out, args, record)) {
            return false;
        }
        veil_ctl_text_z(out, "\n");
    }
    return true;
}
