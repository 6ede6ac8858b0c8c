/*
 * listeners_change.c -- settings of listeners, changed and put back.
 *
 * A setting is a directive of a server or of its locations. Servers share
 * confs with others that say the same, so one that is changed gets a copy of
 * its own; requests and connections under way keep what they began with. A
 * location that sets a value of its own keeps it, as it would if the
 * configuration were changed.
 *
 * Each pointer to a conf that is replaced is noted with what it was: put back
 * one after the other, the last first, all is as configured. What was set is
 * remembered by port, so that it can be told, saved, and set again.
 *
 * The keeper and each worker do the same. Copies stay until the process ends,
 * as requests may have them.
 */

#include "core/platform.h"

#include "http/core_module.h"
#include "http/http.h"
#include "modules/listeners/listeners.h"

/* What listener.set takes, beside the listener. */
#define LISTENERS_SETTING(text)                                               \
    {                                                                         \
        .name = text, .type = VEIL_CONTROL_STRING,                            \
        .help = "see the directive"                                           \
    }

const veil_control_arg_t veil_listeners_args[] = {
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

_Static_assert(veil_countof(veil_listeners_args)
                   == VEIL_LISTENERS_SETTINGS + 2,
               "as many settings as there are");

/* --- which listener ------------------------------------------------------ */

size_t
veil_listeners_name(const veil_http_port_t *port, char *buf, size_t n)
{
    return veil_addr_print(&port->addr, buf, n);
}

bool
veil_listeners_is(const veil_http_port_t *port, const char *what)
{
    char name[VEIL_ADDR_TEXT_MAX];
    char number[16];

    (void) veil_listeners_name(port, name, sizeof(name));
    (void) veil_snprintf(number, sizeof(number), "%u", port->addr.port);
    return strcmp(name, what) == 0
           || (port->addr.family != AF_UNIX && strcmp(number, what) == 0)
           || (what[0] == '*' && what[1] == ':'
               && veil_addr_is_wildcard(&port->addr)
               && strcmp(number, what + 2) == 0);
}

/* --- which setting ------------------------------------------------------- */

static bool
listeners_type_of(const veil_command_t *cmd, veil_listeners_type_t *type,
                  size_t *offset)
{
    *offset = cmd->offset;
    if (cmd->set == veil_http_core_set_keepalive_timeout) {
        /* Its second argument, which is announced, stays as it is. */
        *offset = offsetof(veil_http_core_loc_t, keepalive_timeout);
        *type = VEIL_LISTENERS_MSEC;
    } else if (cmd->set == veil_conf_set_msec) {
        *type = VEIL_LISTENERS_MSEC;
    } else if (cmd->set == veil_conf_set_size) {
        *type = VEIL_LISTENERS_SIZE;
    } else if (cmd->set == veil_conf_set_num) {
        *type = VEIL_LISTENERS_NUM;
    } else {
        return false;
    }
    return true;
}

bool
veil_listeners_is_setting(const char *name)
{
    const veil_control_arg_t *a;

    for (a = &veil_listeners_args[VEIL_LISTENERS_FIRST]; a->name != NULL; a++)
    {
        if (strcmp(a->name, name) == 0) {
            return true;
        }
    }
    return false;
}

bool
veil_listeners_setting_find(const char *name, veil_listeners_setting_t *s)
{
    s->found = veil_module_command_find(veil_str_z(name));
    s->value = 0;
    return s->found != NULL
           && listeners_type_of(s->found->cmd, &s->type, &s->offset);
}

bool
veil_listeners_setting_parse(veil_control_call_t *call, const char *name,
                             const char *text, veil_listeners_setting_t *s)
{
    static const char *const what[] = { "a time", "a size", "a number" };
    const veil_conf_limits_t *limits;
    veil_str_t value = veil_str_z(text);

    if (!veil_listeners_setting_find(name, s)) {
        (void) veil_control_fail(call, VEIL_E_NOT_FOUND,
                                 "this build has no \"%s\"", name);
        return false;
    }
    s->value = s->type == VEIL_LISTENERS_MSEC   ? veil_str_to_msec(value)
               : s->type == VEIL_LISTENERS_SIZE ? veil_str_to_size(value)
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
listeners_get(const void *conf, const veil_listeners_setting_t *s)
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
    const veil_listeners_setting_t *s;
    veil_array_t copies; /* of listeners_copy_t */
    int64_t before;      /* of the server: who has another keeps it */
} listeners_change_t;

/* A pointer to a conf that was changed, and what it was before that. */
typedef struct {
    void **slot;
    void *was;
} listeners_undo_t;

static struct {
    listeners_undo_t *undo; /* the oldest first */
    size_t n;
    size_t room;
    veil_list_t changes; /* of veil_listeners_change_t */
} listeners;

static void
listeners_put(void **slot, void *conf)
{
    if (listeners.n == listeners.room) {
        listeners.room = listeners.room == 0 ? 64 : 2 * listeners.room;
        listeners.undo = veil_realloc(
            listeners.undo, listeners.room * sizeof(*listeners.undo));
    }
    listeners.undo[listeners.n].slot = slot;
    listeners.undo[listeners.n++].was = *slot;
    *slot = conf;
}

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
            listeners_put(slot, copy->new);
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
    listeners_put(slot, copy->new);
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

static void **
listeners_slot(veil_http_server_t *s, const veil_listeners_setting_t *set)
{
    unsigned index = set->found->module->index;

    return set->found->cmd->kind == VEIL_CONF_OF_SERVER
               ? &s->server_conf[index]
               : &s->loc_conf[index];
}

int64_t
veil_listeners_value(veil_http_server_t *s,
                     const veil_listeners_setting_t *set)
{
    return listeners_get(*listeners_slot(s, set), set);
}

int64_t
veil_listeners_configured(veil_http_server_t *s,
                          const veil_listeners_setting_t *set)
{
    void **slot = listeners_slot(s, set);
    size_t i;

    for (i = 0; i < listeners.n; i++) {
        if (listeners.undo[i].slot == slot) {
            return listeners_get(listeners.undo[i].was, set);
        }
    }
    return listeners_get(*slot, set);
}

static void
listeners_change_server(veil_http_server_t *s,
                        const veil_listeners_setting_t *set)
{
    unsigned index = set->found->module->index;
    listeners_change_t c = { .s = set };

    veil_array_init(&c.copies, veil_cycle->pool, sizeof(listeners_copy_t), 8);
    c.before = veil_listeners_value(s, set);
    if (set->found->cmd->kind == VEIL_CONF_OF_SERVER) {
        listeners_change(&c, &s->server_conf[index]);
        return;
    }
    listeners_change(&c, &s->loc_conf[index]);
    listeners_change_location(&c, s->root);
}

/* --- what was changed ---------------------------------------------------- */

veil_list_t *
veil_listeners_changes(void)
{
    if (listeners.changes.next == NULL) {
        veil_list_init(&listeners.changes);
    }
    return &listeners.changes;
}

const veil_listeners_change_t *
veil_listeners_changed(const char *listener, const char *name)
{
    const veil_listeners_change_t *c;
    veil_list_t *l;

    veil_list_foreach (l, veil_listeners_changes()) {
        c = veil_list_entry(l, veil_listeners_change_t, link);
        if (strcmp(c->listener, listener) == 0
            && strcmp(c->setting.found->cmd->name, name) == 0)
        {
            return c;
        }
    }
    return NULL;
}

static void
listeners_forget(const veil_listeners_change_t *change)
{
    veil_listeners_change_t *c =
        (veil_listeners_change_t *) (uintptr_t) change;

    if (c != NULL) {
        veil_list_remove(&c->link);
        veil_free(c);
    }
}

/* The last change of it; the order tells which of two ports was later. */
static void
listeners_note(const veil_http_port_t *port,
               const veil_listeners_setting_t *set, const char *text)
{
    veil_listeners_change_t *c = veil_zalloc(sizeof(*c) + strlen(text) + 1);

    (void) veil_listeners_name(port, c->listener, sizeof(c->listener));
    listeners_forget(
        veil_listeners_changed(c->listener, set->found->cmd->name));
    c->setting = *set;
    memcpy(c->text, text, strlen(text) + 1);
    veil_list_append(veil_listeners_changes(), &c->link);
}

unsigned
veil_listeners_set(const char *what, const veil_listeners_setting_t *set,
                   const char *text)
{
    const veil_http_main_t *main = veil_cycle->http;
    const veil_http_port_t *port;
    unsigned n = 0;
    unsigned i, k;

    for (i = 0; main != NULL && i < main->ports.n; i++) {
        port = *veil_array_at(&main->ports, veil_http_port_t *, i);
        if (!veil_listeners_is(port, what)) {
            continue;
        }
        listeners_note(port, set, text);
        for (k = 0; k < port->servers.n; k++) {
            listeners_change_server(
                *veil_array_at(&port->servers, veil_http_server_t *, k), set);
            n++;
        }
    }
    return n;
}

void
veil_listeners_reset(void)
{
    veil_list_t *l, *tmp;

    while (listeners.n != 0) {
        listeners.n--;
        *listeners.undo[listeners.n].slot = listeners.undo[listeners.n].was;
    }
    veil_list_foreach_safe (l, tmp, veil_listeners_changes()) {
        listeners_forget(veil_list_entry(l, veil_listeners_change_t, link));
    }
}

const veil_http_port_t *
veil_listeners_find(const char *what)
{
    const veil_http_main_t *main = veil_cycle->http;
    const veil_http_port_t *port;
    unsigned i;

    for (i = 0; main != NULL && i < main->ports.n; i++) {
        port = *veil_array_at(&main->ports, veil_http_port_t *, i);
        if (veil_listeners_is(port, what)) {
            return port;
        }
    }
    return NULL;
}
