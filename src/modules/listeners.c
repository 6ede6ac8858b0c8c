/*
 * listeners.c -- addresses that are listened on, and settings that are changed
 * while they are: listener.list, listener.set.
 *
 * A setting is a directive of a server or of its locations. Servers share
 * confs with others that say the same, so one that is changed gets a copy of
 * its own; requests and connections under way keep what they began with,
 * which makes "from when on" simple to say: settings of a server hold for new
 * connections, those of locations for new requests. A location that sets a
 * value of its own keeps it, as it would if the configuration were changed.
 *
 * The keeper does the same in its memory, for workers that are forked later.
 */

#include "core/platform.h"

#include "core/control.h"
#include "core/overlay.h"
#include "http/config.h"
#include "http/core_module.h"
#include "http/drain.h"
#include "http/http.h"
#include "http/server.h"

extern veil_module_t veil_http_listeners_module;

/* What listener.set takes, beside the listener. */
#define LISTENERS_SETTING(text)                                               \
    {                                                                         \
        .name = text, .type = VEIL_CONTROL_STRING,                            \
        .help = "see the directive"                                           \
    }

static const veil_control_arg_t listeners_set_args[] = {
    { .name = "listener",
      .type = VEIL_CONTROL_STRING,
      .flags = VEIL_CONTROL_REQUIRED | VEIL_CONTROL_POSITION,
      .help = "an address as listener.list shows it, or its port" },

    LISTENERS_SETTING("client_header_timeout"),
    LISTENERS_SETTING("client_body_timeout"),
    LISTENERS_SETTING("send_timeout"),
    LISTENERS_SETTING("keepalive_timeout"),
    LISTENERS_SETTING("keepalive_requests"),
    LISTENERS_SETTING("keepalive_time"),
    LISTENERS_SETTING("client_max_header_size"),
    LISTENERS_SETTING("max_headers"),
    LISTENERS_SETTING("client_max_body_size"),
    LISTENERS_SETTING("client_max_chunked_body_size"),
    LISTENERS_SETTING("http2_reset_rate"),
    LISTENERS_SETTING("http2_early_reset_rate"),
    LISTENERS_SETTING("http2_max_resets"),
    LISTENERS_SETTING("http2_max_stream_errors"),
    LISTENERS_SETTING("http2_refused_rate"),
    LISTENERS_SETTING("http2_ping_rate"),
    LISTENERS_SETTING("http2_settings_rate"),
    LISTENERS_SETTING("http2_priority_rate"),
    LISTENERS_SETTING("http2_window_update_rate"),
    LISTENERS_SETTING("http2_empty_data_rate"),
    LISTENERS_SETTING("http2_tiny_data_rate"),
    LISTENERS_SETTING("http2_unknown_frame_rate"),
    { .name = NULL },
};

#define LISTENERS_FIRST 1 /* of these that is a setting */

typedef enum {
    LISTENERS_MSEC,
    LISTENERS_SIZE,
    LISTENERS_NUM
} listeners_type_t;

/* A setting with its value, found to be right. */
typedef struct {
    const veil_module_command_t *found;
    listeners_type_t type;
    size_t offset;
    int64_t value;
} listeners_setting_t;

/* --- which listener ------------------------------------------------------ */

static size_t
listeners_name(const veil_http_port_t *port, char *buf, size_t n)
{
    return veil_addr_print(&port->addr, buf, n);
}

/* "127.0.0.1:80", "*:80", "80", "unix:/path". */
static bool
listeners_is(const veil_http_port_t *port, const char *what)
{
    char name[VEIL_ADDR_TEXT_MAX];
    char number[16];

    (void) listeners_name(port, name, sizeof(name));
    (void) veil_snprintf(number, sizeof(number), "%u", port->addr.port);
    return strcmp(name, what) == 0
           || (port->addr.family != AF_UNIX && strcmp(number, what) == 0)
           || (what[0] == '*' && what[1] == ':'
               && veil_addr_is_wildcard(&port->addr)
               && strcmp(number, what + 2) == 0);
}

/* --- which setting ------------------------------------------------------- */

static bool
listeners_type_of(const veil_command_t *cmd, listeners_type_t *type,
                  size_t *offset)
{
    *offset = cmd->offset;
    if (cmd->set == veil_http_core_set_keepalive_timeout) {
        /* Its second argument, which is announced, stays as it is. */
        *offset = offsetof(veil_http_core_loc_t, keepalive_timeout);
        *type = LISTENERS_MSEC;
    } else if (cmd->set == veil_conf_set_msec) {
        *type = LISTENERS_MSEC;
    } else if (cmd->set == veil_conf_set_size) {
        *type = LISTENERS_SIZE;
    } else if (cmd->set == veil_conf_set_num) {
        *type = LISTENERS_NUM;
    } else {
        return false;
    }
    return true;
}

static bool
listeners_parse(veil_control_call_t *call, const char *name, const char *text,
                listeners_setting_t *s)
{
    static const char *const what[] = { "a time", "a size", "a number" };
    const veil_conf_limits_t *limits;
    veil_str_t value = veil_str_z(text);

    s->found = veil_module_command_find(veil_str_z(name));
    if (s->found == NULL
        || !listeners_type_of(s->found->cmd, &s->type, &s->offset))
    {
        (void) veil_control_fail(call, VEIL_E_NOT_FOUND,
                                 "this build has no \"%s\"", name);
        return false;
    }
    s->value = s->type == LISTENERS_MSEC   ? veil_str_to_msec(value)
               : s->type == LISTENERS_SIZE ? veil_str_to_size(value)
                                           : veil_str_to_int(value);
    if (s->value < 0) {
        (void) veil_control_fail(call, VEIL_E_ARGUMENT,
                                 "\"%s\" must be %s, and \"%s\" is none", name,
                                 what[s->type], text);
        return false;
    }
    limits = s->found->cmd->data;
    if (limits != NULL && (s->value < limits->min || s->value > limits->max)) {
        (void) veil_control_fail(
            call, VEIL_E_ARGUMENT, "\"%s\" must be between %lld and %lld",
            name, (long long) limits->min, (long long) limits->max);
        return false;
    }
    return true;
}

/* --- changing ------------------------------------------------------------ */

/* Times and numbers are 64 bits wide alike. */
static int64_t
listeners_get(const void *conf, const listeners_setting_t *s)
{
    int64_t value;

    memcpy(&value, (const char *) conf + s->offset, sizeof(value));
    return value;
}

/* Confs that were copied in this change: what was shared still is. */
typedef struct {
    void *old;
    void *new;
} listeners_copy_t;

typedef struct {
    const listeners_setting_t *s;
    veil_array_t copies; /* of listeners_copy_t */
    int64_t before;      /* of the server: who has another keeps it */
} listeners_change_t;

static void
listeners_change(listeners_change_t *c, void **slot)
{
    const veil_module_t *m = c->s->found->module;
    veil_conf_kind_t kind = c->s->found->cmd->kind;
    listeners_copy_t *copy;
    size_t size;
    unsigned i;

    for (i = 0; i < c->copies.n; i++) {
        copy = veil_array_at(&c->copies, listeners_copy_t, i);
        if (copy->new == *slot) {
            return;
        }
        if (copy->old == *slot) {
            *slot = copy->new;
            return;
        }
    }
    if (listeners_get(*slot, c->s) != c->before) {
        return;
    }
    size = veil_http_layer.type(m, kind).size;
    copy = veil_array_push(&c->copies);
    copy->old = *slot;
    copy->new = veil_pool_alloc(veil_cycle->pool, size);
    memcpy(copy->new, *slot, size);
    memcpy((char *) copy->new + c->s->offset, &c->s->value,
           sizeof(c->s->value));
    *slot = copy->new;
}

static void
listeners_change_location(listeners_change_t *c, veil_http_location_t *l)
{
    unsigned index = c->s->found->module->index;
    unsigned i;

    listeners_change(c, &l->loc_conf[index]);
    if (l->limit_except != NULL) {
        listeners_change(c, &l->limit_except[index]);
    }
    for (i = 0; l->children != NULL && i < l->children->n; i++) {
        listeners_change_location(
            c, *veil_array_at(l->children, veil_http_location_t *, i));
    }
}

static int64_t
listeners_value(const veil_http_server_t *s, const listeners_setting_t *set)
{
    unsigned index = set->found->module->index;

    return listeners_get(set->found->cmd->kind == VEIL_CONF_OF_SERVER
                             ? s->server_conf[index]
                             : s->loc_conf[index],
                         set);
}

static void
listeners_change_server(veil_http_server_t *s, const listeners_setting_t *set)
{
    unsigned index = set->found->module->index;
    listeners_change_t c = { .s = set };

    veil_array_init(&c.copies, veil_cycle->pool, sizeof(listeners_copy_t), 8);
    c.before = listeners_value(s, set);
    if (set->found->cmd->kind == VEIL_CONF_OF_SERVER) {
        listeners_change(&c, &s->server_conf[index]);
        return;
    }
    listeners_change(&c, &s->loc_conf[index]);
    listeners_change_location(&c, s->root);
}

/* On every port that is meant; the number of servers. */
static unsigned
listeners_apply(const char *listener, const listeners_setting_t *set)
{
    const veil_http_main_t *main = veil_cycle->http;
    const veil_http_port_t *port;
    unsigned n = 0;
    unsigned i, k;

    for (i = 0; main != NULL && i < main->ports.n; i++) {
        port = *veil_array_at(&main->ports, veil_http_port_t *, i);
        if (!listeners_is(port, listener)) {
            continue;
        }
        for (k = 0; k < port->servers.n; k++) {
            listeners_change_server(
                *veil_array_at(&port->servers, veil_http_server_t *, k), set);
            n++;
        }
    }
    return n;
}

static const veil_http_port_t *
listeners_find(const char *listener)
{
    const veil_http_main_t *main = veil_cycle->http;
    const veil_http_port_t *port;
    unsigned i;

    for (i = 0; main != NULL && i < main->ports.n; i++) {
        port = *veil_array_at(&main->ports, veil_http_port_t *, i);
        if (listeners_is(port, listener)) {
            return port;
        }
    }
    return NULL;
}

/* --- listener.set -------------------------------------------------------- */

static json_t *
listeners_answer(const veil_http_port_t *port, const listeners_setting_t *s)
{
    static const char *const units[] = { "ms", "bytes", NULL };
    bool server = s->found->cmd->kind == VEIL_CONF_OF_SERVER;
    json_t *o = json_pack(
        "{s:s, s:I, s:I, s:s}", "name", s->found->cmd->name, "before",
        (json_int_t) listeners_value(port->default_server, s), "after",
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
    const veil_http_port_t *port = listeners_find(listener);
    listeners_setting_t all[veil_countof(listeners_set_args)];
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
    for (a = &listeners_set_args[LISTENERS_FIRST]; a->name != NULL; a++) {
        if (veil_control_has(call, a->name)
            && !listeners_parse(call, a->name,
                                veil_control_text(call, a->name), &all[n++]))
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
            (void) listeners_apply(listener, &all[i]);
        }
    }
    return changes;
}

static bool
listeners_persist(veil_control_call_t *call)
{
    veil_overlay_edit_t edits[veil_countof(listeners_set_args)];
    char section[VEIL_ADDR_TEXT_MAX + 16];
    const veil_control_arg_t *a;
    char why[256];
    unsigned n = 0;

    (void) veil_snprintf(section, sizeof(section), "listener %s",
                         veil_control_text(call, "listener"));
    for (a = &listeners_set_args[LISTENERS_FIRST]; a->name != NULL; a++) {
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
    listeners_setting_t s;

    for (a = &listeners_set_args[LISTENERS_FIRST]; a->name != NULL; a++) {
        s.found = veil_module_command_find(veil_str_z(a->name));
        if (s.found != NULL
            && listeners_type_of(s.found->cmd, &s.type, &s.offset)) {
            json_object_set_new(
                o, a->name,
                json_integer(listeners_value(port->default_server, &s)));
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

    (void) listeners_name(port, name, sizeof(name));
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

static bool
listeners_is_setting(const char *name)
{
    const veil_control_arg_t *a;

    for (a = &listeners_set_args[LISTENERS_FIRST]; a->name != NULL; a++) {
        if (strcmp(a->name, name) == 0) {
            return true;
        }
    }
    return false;
}

static veil_rc_t
listeners_restore(veil_cycle_t *cycle VEIL_UNUSED)
{
    veil_control_call_t call; /* to hear what is wrong */
    veil_overlay_line_t *line;
    listeners_setting_t s;
    const char *listener;
    veil_list_t *l;

    veil_list_foreach (l, veil_overlay_lines()) {
        line = veil_list_entry(l, veil_overlay_line_t, link);
        listener = veil_overlay_section_is(line->section, "listener");
        if (listener == NULL) {
            continue;
        }
        memset(&call, 0, sizeof(call));
        if (!listeners_is_setting(line->key)) {
            veil_overlay_bad(line, "\"%s\" is no setting of listeners",
                             line->key);
        } else if (!listeners_parse(&call, line->key, line->value, &s)) {
            veil_overlay_bad(line, "%s", call.msg);
        } else if (listeners_apply(listener, &s) == 0) {
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
      .args = listeners_set_args,
      .run = listeners_set,
      .worker = listeners_set_worker,
      .gather = veil_control_gather_first,
      .changed = listeners_changed,
      .help = "Changes limits and timeouts of the servers at an address." },

    { .name = NULL },
};

static const veil_core_module_t listeners_core = {
    .init_keeper = listeners_restore,
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
