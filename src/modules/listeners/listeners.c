/*
 * listeners.c -- addresses that are listened on, and settings that are changed
 * while they are: listener.list, listener.set.
 *
 * Requests and connections under way keep what they began with, which makes
 * "from when on" simple to say: settings of a server hold for new connections,
 * those of locations for new requests.
 *
 * The keeper changes the same in its memory, for workers that are forked
 * later.
 */

#include "core/platform.h"

#include "core/overlay.h"
#include "http/drain.h"
#include "http/http.h"
#include "modules/listeners/listeners.h"

extern veil_module_t veil_http_listeners_module;

/* --- listener.set -------------------------------------------------------- */

static json_t *
listeners_answer(const veil_http_port_t *port,
                 const veil_listeners_setting_t *s)
{
    static const char *const units[] = { "ms", "bytes", NULL };
    bool server = s->found->cmd->kind == VEIL_CONF_OF_SERVER;
    json_t *o = json_pack(
        "{s:s, s:I, s:I, s:s}", "name", s->found->cmd->name, "before",
        (json_int_t) veil_listeners_value(port->default_server, s), "after",
        (json_int_t) s->value, "takes_effect",
        server ? "for new connections" : "for new requests");

    if (units[s->type] != NULL) {
        json_object_set_new(o, "unit", json_string(units[s->type]));
    }
    return o;
}

/*
 * Reads all settings, then (apply) changes them.  The answer, or NULL after
 * noting why.
 */
static json_t *
listeners_run(veil_control_call_t *call, bool apply)
{
    const char *listener = veil_control_text(call, "listener");
    const veil_http_port_t *port = veil_listeners_find(listener);
    veil_listeners_setting_t all[veil_countof(veil_listeners_args)];
    const veil_control_arg_t *a;
    json_t *changes;
    unsigned n = 0;
    unsigned i;

    if (port == NULL) {
        (void) veil_control_fail(call, VEIL_E_NOT_FOUND,
                                 "there is no listener \"%s\"", listener);
        veil_control_hint(call, "\"listener.list\" names them");
        return NULL;
    }
    for (a = &veil_listeners_args[VEIL_LISTENERS_FIRST]; a->name != NULL; a++)
    {
        if (veil_control_has(call, a->name)
            && !veil_listeners_setting_parse(
                call, a->name, veil_control_text(call, a->name), &all[n++]))
        {
            return NULL;
        }
    }
    if (n == 0) {
        (void) veil_control_fail(call, VEIL_E_ARGUMENT,
                                 "there is nothing to set");
        return NULL;
    }
    changes = json_array();
    for (i = 0; i < n; i++) {
        json_array_append_new(changes, listeners_answer(port, &all[i]));
        if (apply) {
            (void) veil_listeners_set(
                listener, &all[i],
                veil_control_text(call, all[i].found->cmd->name));
        }
    }
    return changes;
}

static bool
listeners_persist(veil_control_call_t *call)
{
    veil_overlay_edit_t edits[veil_countof(veil_listeners_args)];
    char section[VEIL_ADDR_TEXT_MAX + 16];
    const veil_control_arg_t *a;
    char why[256];
    unsigned n = 0;

    (void) veil_snprintf(section, sizeof(section), "listener %s",
                         veil_control_text(call, "listener"));
    for (a = &veil_listeners_args[VEIL_LISTENERS_FIRST]; a->name != NULL; a++)
    {
        if (veil_control_has(call, a->name)) {
            edits[n].section = section;
            edits[n].key = a->name;
            edits[n++].value = veil_control_text(call, a->name);
        }
    }
    if (veil_overlay_change(edits, n, why, sizeof(why)) == 0) {
        return true;
    }
    (void) veil_control_fail(call, VEIL_E_IO, "%s", why);
    return false;
}

static veil_control_rc_t
listeners_set(veil_control_call_t *call)
{
    json_t *changes = listeners_run(call, false);

    if (changes == NULL) {
        return VEIL_CONTROL_FAILED;
    }
    if (call->dry_run) {
        call->data = json_pack("{s:o}", "settings", changes);
        return VEIL_CONTROL_DONE;
    }
    json_decref(changes);
    if (call->persist && !listeners_persist(call)) {
        return VEIL_CONTROL_FAILED;
    }
    json_decref(listeners_run(call, true));
    return veil_control_forward(call, json_incref(call->args));
}

static veil_control_rc_t
listeners_set_worker(veil_control_call_t *call)
{
    json_t *changes = listeners_run(call, true);

    if (changes == NULL) {
        return VEIL_CONTROL_FAILED;
    }
    call->data = json_pack("{s:o}", "settings", changes);
    call->is_volatile = true;
    return VEIL_CONTROL_DONE;
}

/* For the audit record: by the settings' names. */
static json_t *
listeners_changed(const json_t *args VEIL_UNUSED, const json_t *data)
{
    json_t *before = json_object(), *after = json_object();
    const char *name;
    json_t *s;
    size_t i;

    json_array_foreach(json_object_get(data, "settings"), i, s)
    {
        name = json_string_value(json_object_get(s, "name"));
        json_object_set(before, name, json_object_get(s, "before"));
        json_object_set(after, name, json_object_get(s, "after"));
    }
    return json_pack("{s:o, s:o}", "before", before, "after", after);
}

/* --- listener.list ------------------------------------------------------- */

static json_t *
listeners_servers(const veil_http_port_t *port)
{
    json_t *names = json_array();
    const veil_http_server_t *s;
    unsigned i;

    /* Enough to know it by; thousands would be no help. */
    for (i = 0; i < port->servers.n && i < 16; i++) {
        s = *veil_array_at(&port->servers, veil_http_server_t *, i);
        json_array_append_new(names, json_stringn(s->name.data, s->name.len));
    }
    return names;
}

static json_t *
listeners_settings(const veil_http_port_t *port)
{
    json_t *o = json_object();
    const veil_control_arg_t *a;
    veil_listeners_setting_t s;

    for (a = &veil_listeners_args[VEIL_LISTENERS_FIRST]; a->name != NULL; a++)
    {
        if (veil_listeners_setting_find(a->name, &s)) {
            json_object_set_new(
                o, a->name,
                json_integer(veil_listeners_value(port->default_server, &s)));
        }
    }
    return o;
}

static json_t *
listeners_describe(const veil_http_port_t *port)
{
    char name[VEIL_ADDR_TEXT_MAX];
    const veil_listen_t *l = port->listen;
    json_t *o;

    (void) veil_listeners_name(port, name, sizeof(name));
    o = json_pack("{s:s, s:b, s:b, s:b, s:b, s:i, s:o, s:b, s:o}", "listener",
                  name, "ssl", port->ssl, "http2", port->http2,
                  "proxy_protocol", port->proxy_protocol, "draining",
                  veil_http_port_is_draining(port), "servers",
                  (int) port->servers.n, "names", listeners_servers(port),
                  "reuseport", l != NULL && l->reuseport, "settings",
                  listeners_settings(port));
    if (l != NULL) {
        json_object_set_new(o, "sockets", json_integer(l->nslots));
        json_object_set_new(o, "backlog", json_integer(l->backlog));
    }
    return o;
}

static veil_control_rc_t
listeners_list(veil_control_call_t *call)
{
    const veil_http_main_t *main = veil_cycle->http;
    unsigned i;

    call->data = json_array();
    for (i = 0; main != NULL && i < main->ports.n; i++) {
        json_array_append_new(call->data,
                              listeners_describe(*veil_array_at(
                                  &main->ports, veil_http_port_t *, i)));
    }
    return VEIL_CONTROL_DONE;
}

/* --- what was made to stay ----------------------------------------------- */

static veil_rc_t
listeners_restore(veil_cycle_t *cycle VEIL_UNUSED)
{
    veil_control_call_t call; /* to hear what is wrong */
    veil_overlay_line_t *line;
    veil_listeners_setting_t s;
    const char *listener;
    veil_list_t *l;

    veil_listeners_state_init();
    veil_list_foreach (l, veil_overlay_lines()) {
        line = veil_list_entry(l, veil_overlay_line_t, link);
        listener = veil_overlay_section_is(line->section, "listener");
        if (listener == NULL) {
            continue;
        }
        memset(&call, 0, sizeof(call));
        if (!veil_listeners_is_setting(line->key)) {
            veil_overlay_bad(line, "\"%s\" is no setting of listeners",
                             line->key);
        } else if (!veil_listeners_setting_parse(&call, line->key, line->value,
                                                 &s)) {
            veil_overlay_bad(line, "%s", call.msg);
        } else if (veil_listeners_set(listener, &s, line->value) == 0) {
            veil_overlay_stale(line, "there is no listener \"%s\"", listener);
        }
    }
    return VEIL_OK;
}

/* --- the module ---------------------------------------------------------- */

static const veil_control_verb_t listeners_verbs[] = {
    { .name = "listener.list",
      .role = VEIL_CONTROL_READ,
      .place = VEIL_CONTROL_IN_ONE_WORKER,
      .run = listeners_list,
      .help = "Lists the addresses that are listened on." },

    { .name = "listener.set",
      .role = VEIL_CONTROL_ADMIN,
      .place = VEIL_CONTROL_IN_KEEPER,
      .flags = VEIL_CONTROL_CHANGES | VEIL_CONTROL_PERSISTS,
      .args = veil_listeners_args,
      .run = listeners_set,
      .worker = listeners_set_worker,
      .gather = veil_control_gather_first,
      .changed = listeners_changed,
      .help = "Changes limits and timeouts of the servers at an address." },

    { .name = NULL },
};

static const char *const listeners_overlay[] = { "listener", NULL };

static const veil_core_module_t listeners_core = {
    .init_keeper = listeners_restore,
    .overlay = listeners_overlay,
};

/* It is a module of http, though it has no part in requests. */
static const veil_http_module_t listeners_http;

veil_module_t veil_http_listeners_module = {
    .abi = VEIL_MODULE_ABI,
    .name = "listeners",
    .core = &listeners_core,
    .http = &listeners_http,
    .control = listeners_verbs,
};
