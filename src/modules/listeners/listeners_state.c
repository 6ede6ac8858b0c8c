/*
 * listeners_state.c -- settings of listeners in a saved state.
 *
 *     { "listener": "127.0.0.1:80", "setting": "send_timeout", "to": "10s",
 *       "was": 60000 }
 *
 * "was" is what the configuration said then: one that has been changed since
 * has the last word, and the row is passed over. Loading puts all back to
 * what is configured and sets the rows anew, in their order, as a server may
 * be had by several addresses.
 */

#include "core/platform.h"

#include "core/overlay.h"
#include "core/state.h"
#include "http/drain.h"
#include "http/http.h"
#include "modules/listeners/listeners.h"

/* What the rows of the last check want. */
static struct {
    veil_listeners_change_t **wanted;
    unsigned n;
} listeners_state;

static json_t *
listeners_state_row(const veil_listeners_change_t *c)
{
    return json_pack("{s:s, s:s, s:s}", "listener", c->listener, "setting",
                     c->setting.found->cmd->name, "to", c->text);
}

/* It is for as long as the server runs, and no setting. */
static void
listeners_state_drained(json_t *left_out)
{
    const veil_http_main_t *main = veil_cycle->http;
    const veil_http_port_t *port;
    char name[VEIL_ADDR_TEXT_MAX];
    unsigned i;

    for (i = 0; main != NULL && i < main->ports.n; i++) {
        port = *veil_array_at(&main->ports, veil_http_port_t *, i);
        if (veil_http_port_is_draining(port)) {
            (void) veil_listeners_name(port, name, sizeof(name));
            json_array_append_new(
                left_out,
                json_pack("{s:o, s:b, s:s}", "listener",
                          veil_control_string(veil_str_z(name)), "draining",
                          true, "reason", "what is drained is not saved"));
        }
    }
}

static json_t *
listeners_state_save(json_t *left_out)
{
    const veil_listeners_change_t *c;
    const veil_http_port_t *port;
    json_t *rows = json_array(), *row;
    veil_list_t *l;

    listeners_state_drained(left_out);
    veil_list_foreach (l, veil_listeners_changes()) {
        c = veil_list_entry(l, veil_listeners_change_t, link);
        port = veil_listeners_find(c->listener);
        row = listeners_state_row(c);
        if (row == NULL) {
            /* A socket's path may have any bytes. */
            json_array_append_new(
                left_out,
                json_pack("{s:o, s:s}", "listener",
                          veil_control_string(veil_str_z(c->listener)),
                          "reason", "its name is not UTF-8"));
            continue;
        }
        json_object_set_new(
            row, "was",
            json_integer((json_int_t) veil_listeners_configured(
                port->default_server, &c->setting)));
        json_array_append_new(rows, row);
    }
    return rows;
}

/* --- checking ------------------------------------------------------------ */

static void
listeners_state_forget(void)
{
    unsigned i;

    for (i = 0; i < listeners_state.n; i++) {
        veil_free(listeners_state.wanted[i]);
    }
    veil_free(listeners_state.wanted);
    memset(&listeners_state, 0, sizeof(listeners_state));
}

static const veil_listeners_change_t *
listeners_state_wanted(const char *listener, const char *name)
{
    const veil_listeners_change_t *c;
    unsigned i;

    for (i = 0; i < listeners_state.n; i++) {
        c = listeners_state.wanted[i];
        if (strcmp(c->listener, listener) == 0
            && strcmp(c->setting.found->cmd->name, name) == 0)
        {
            return c;
        }
    }
    return NULL;
}

static void
listeners_state_want(const char *listener, const veil_listeners_setting_t *s,
                     const char *text)
{
    veil_listeners_change_t *c = veil_zalloc(sizeof(*c) + strlen(text) + 1);

    (void) veil_str_copy_z(c->listener, sizeof(c->listener),
                           veil_str_z(listener));
    c->setting = *s;
    memcpy(c->text, text, strlen(text) + 1);
    listeners_state.wanted = veil_realloc(
        listeners_state.wanted,
        (listeners_state.n + 1) * sizeof(*listeners_state.wanted));
    listeners_state.wanted[listeners_state.n++] = c;
}

/* The row is right, and wanted unless the configuration has it otherwise. */
static bool
listeners_state_parse(const json_t *row, veil_control_call_t *why)
{
    const char *name = json_string_value(json_object_get(row, "listener"));
    const char *set = json_string_value(json_object_get(row, "setting"));
    const char *to = json_string_value(json_object_get(row, "to"));
    const json_t *was = json_object_get(row, "was");
    const veil_http_port_t *port;
    veil_listeners_setting_t s;
    char listener[VEIL_ADDR_TEXT_MAX];

    if (name == NULL || set == NULL || to == NULL || !json_is_integer(was)) {
        (void) veil_control_fail(why, VEIL_E_INVALID, "it is malformed");
        return false;
    }
    port = veil_listeners_find(name);
    if (port == NULL) {
        (void) veil_control_fail(why, VEIL_E_INVALID,
                                 "there is no such listener");
        return false;
    }
    (void) veil_listeners_name(port, listener, sizeof(listener));
    if (!veil_listeners_is_setting(set) || strcmp(listener, name) != 0) {
        (void) veil_control_fail(why, VEIL_E_INVALID, "it is malformed");
        return false;
    }
    if (!veil_listeners_setting_parse(why, set, to, &s)) {
        return false;
    }
    if (listeners_state_wanted(listener, set) != NULL) {
        (void) veil_control_fail(why, VEIL_E_INVALID,
                                 "\"%s\" is set a second time", set);
        return false;
    }
    if (veil_listeners_configured(port->default_server, &s)
        == json_integer_value(was))
    {
        listeners_state_want(listener, &s, to);
    }
    return true;
}

/* One row for each port, with the settings that would change. */
static void
listeners_state_diff(const veil_http_port_t *port, json_t *changes)
{
    json_t *before = json_object(), *after = json_object();
    const veil_listeners_change_t *want;
    const veil_control_arg_t *a;
    char name[VEIL_ADDR_TEXT_MAX];
    veil_listeners_setting_t s;
    int64_t now, then;

    (void) veil_listeners_name(port, name, sizeof(name));
    for (a = &veil_listeners_args[VEIL_LISTENERS_FIRST]; a->name != NULL; a++)
    {
        want = listeners_state_wanted(name, a->name);
        if ((want == NULL && veil_listeners_changed(name, a->name) == NULL)
            || !veil_listeners_setting_find(a->name, &s))
        {
            continue;
        }
        now = veil_listeners_value(port->default_server, &s);
        then = want != NULL
                   ? want->setting.value
                   : veil_listeners_configured(port->default_server, &s);
        if (now != then) {
            json_object_set_new(before, a->name,
                                json_integer((json_int_t) now));
            json_object_set_new(after, a->name,
                                json_integer((json_int_t) then));
        }
    }
    if (json_object_size(before) == 0) {
        json_decref(before);
        json_decref(after);
        return;
    }
    json_array_append_new(changes,
                          json_pack("{s:o, s:o, s:o}", "listener",
                                    veil_control_string(veil_str_z(name)),
                                    "before", before, "after", after));
}

static bool
listeners_state_check(veil_control_call_t *call, const json_t *saved,
                      json_t *changes)
{
    const veil_http_main_t *main = veil_cycle->http;
    veil_control_call_t why; /* to hear what is wrong */
    const char *name;
    const json_t *row;
    unsigned k;
    size_t i;

    listeners_state_forget();
    json_array_foreach(saved, i, row)
    {
        memset(&why, 0, sizeof(why));
        if (!listeners_state_parse(row, &why)) {
            name = json_string_value(json_object_get(row, "listener"));
            (void) veil_control_fail(call, VEIL_E_INVALID,
                                     "the saved listener \"%s\": %s",
                                     name == NULL ? "?" : name, why.msg);
            return false;
        }
    }
    for (k = 0; main != NULL && k < main->ports.n; k++) {
        listeners_state_diff(
            *veil_array_at(&main->ports, veil_http_port_t *, k), changes);
    }
    return true;
}

/* --- loading ------------------------------------------------------------- */

static json_t *
listeners_state_load(void)
{
    bool any = listeners_state.n != 0
               || !veil_list_is_empty(veil_listeners_changes());
    const veil_listeners_change_t *c;
    json_t *rows = json_array();
    unsigned i;

    veil_listeners_reset();
    for (i = 0; i < listeners_state.n; i++) {
        c = listeners_state.wanted[i];
        (void) veil_listeners_set(c->listener, &c->setting, c->text);
        json_array_append_new(rows, listeners_state_row(c));
    }
    if (!any) {
        json_decref(rows);
        return NULL;
    }
    return rows;
}

/* The keeper has checked it all. */
static bool
listeners_state_load_worker(veil_control_call_t *call, const json_t *rows)
{
    veil_listeners_setting_t s;
    const char *to;
    const json_t *row;
    size_t i;

    veil_listeners_reset();
    json_array_foreach(rows, i, row)
    {
        to = json_string_value(json_object_get(row, "to"));
        if (!veil_listeners_setting_parse(
                call, json_string_value(json_object_get(row, "setting")), to,
                &s))
        {
            return false;
        }
        (void) veil_listeners_set(
            json_string_value(json_object_get(row, "listener")), &s, to);
    }
    return true;
}

/* --- the overlay --------------------------------------------------------- */

static veil_state_force_t
listeners_state_in_force(const veil_overlay_line_t *line)
{
    const char *what = veil_overlay_section_is(line->section, "listener");
    const veil_http_main_t *main = veil_cycle->http;
    const veil_listeners_change_t *c;
    const veil_http_port_t *port;
    char name[VEIL_ADDR_TEXT_MAX];
    unsigned i;

    if (what == NULL) {
        return VEIL_STATE_NOT_MINE;
    }
    for (i = 0; main != NULL && i < main->ports.n; i++) {
        port = *veil_array_at(&main->ports, veil_http_port_t *, i);
        if (!veil_listeners_is(port, what)) {
            continue;
        }
        (void) veil_listeners_name(port, name, sizeof(name));
        c = veil_listeners_changed(name, line->key);
        if (c == NULL || strcmp(c->text, line->value) != 0) {
            return VEIL_STATE_NOT_IN_FORCE;
        }
    }
    return VEIL_STATE_IN_FORCE;
}

void
veil_listeners_state_init(void)
{
    static veil_state_part_t part = {
        .name = "listeners",
        .save = listeners_state_save,
        .check = listeners_state_check,
        .load = listeners_state_load,
        .load_worker = listeners_state_load_worker,
        .forget = listeners_state_forget,
        .in_force = listeners_state_in_force,
    };

    veil_state_add(&part);
}
