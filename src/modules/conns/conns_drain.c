/*
 * conns_drain.c -- drain and undrain: whether clients are asked to go
 * elsewhere.
 *
 * The keeper notes it in a zone, where workers that are forked later find it
 * too; then the workers that are there tell those connections that can be
 * told at once, and count all that it concerns.
 */

#include "core/platform.h"

#include "modules/conns/conns.h"

#include "core/board.h"
#include "http/conn_info.h"
#include "http/drain.h"
#include "http/http.h"

/* Whether it drains; of a dry run, whether it would. */
static bool
conns_drain_is_set(const veil_control_call_t *dry_run,
                   const veil_http_port_t *port)
{
    const char *listener;

    if (dry_run != NULL) {
        listener = veil_control_text(dry_run, "listener");
        if (listener == NULL || veil_http_port_is(port, veil_str_z(listener)))
        {
            return strcmp(dry_run->verb->name, "drain") == 0;
        }
    }
    return veil_http_port_is_draining(port);
}

/* Those that drain; those that would, after a dry run (else NULL). */
static json_t *
conns_drain_listeners(const veil_control_call_t *dry_run)
{
    const veil_http_main_t *main = veil_cycle->http;
    const veil_http_port_t *port;
    char text[VEIL_ADDR_TEXT_MAX];
    json_t *names = json_array();
    unsigned i;

    for (i = 0; main != NULL && i < main->ports.n; i++) {
        port = *veil_array_at(&main->ports, veil_http_port_t *, i);
        if (conns_drain_is_set(dry_run, port)) {
            json_array_append_new(
                names, json_stringn(text, veil_http_port_print(port, text,
                                                               sizeof(text))));
        }
    }
    return names;
}

void
veil_conns_drain_show(veil_cycle_t *cycle VEIL_UNUSED)
{
    json_t *names = conns_drain_listeners(NULL);

    veil_board_drained((uint32_t) json_array_size(names));
    json_decref(names);
}

static veil_control_rc_t
conns_drain_set(veil_control_call_t *call, bool on)
{
    const char *listener = veil_control_text(call, "listener");
    veil_str_t name = listener == NULL ? VEIL_STR("") : veil_str_z(listener);
    json_t *args = json_object();
    int rc;

    /* What a reload took away may still be let go of. */
    if (on && !veil_conns_check_listener(call)) {
        json_decref(args);
        return VEIL_CONTROL_FAILED;
    }
    json_object_set_new(args, "were_draining", conns_drain_listeners(NULL));
    if (!on && listener != NULL && veil_http_drains_all()) {
        json_decref(args);
        veil_control_hint(call, "\"undrain\" without a listener ends that");
        return veil_control_fail(call, VEIL_E_CONFLICT,
                                 "all listeners are drained");
    }
    if (!call->dry_run) {
        rc = veil_http_drain_listener(name, on);
        if (rc < 0) {
            json_decref(args);
            return veil_control_fail(
                call, VEIL_E_FAILED,
                rc == -ENOSPC ? "too many listeners are drained one by one"
                              : "there is no http {} here");
        }
        veil_conns_drain_show(veil_cycle);
        veil_log(&veil_cycle->log, VEIL_LOG_NOTICE, 0, "%s %s",
                 on ? "draining" : "no longer draining",
                 listener == NULL ? "all listeners" : listener);
    }
    if (!call->dry_run) {
        veil_control_event(on ? "drain" : "undrain",
                           json_pack("{s:s?}", "listener", listener));
    }
    if (listener != NULL) {
        json_object_set_new(args, "listener", json_string(listener));
    }
    return veil_control_forward(call, args);
}

veil_control_rc_t
veil_conns_drain(veil_control_call_t *call)
{
    return conns_drain_set(call, true);
}

veil_control_rc_t
veil_conns_undrain(veil_control_call_t *call)
{
    return conns_drain_set(call, false);
}

/* --- in the workers -------------------------------------------------------
 */

typedef struct {
    const char *listener; /* NULL: all */
    uint64_t connections;
} conns_drain_t;

static void
conns_drain_count(veil_http_conn_t *hc, void *data)
{
    conns_drain_t *d = data;

    if (d->listener == NULL
        || veil_http_port_is(hc->port, veil_str_z(d->listener)))
    {
        d->connections++;
    }
}

veil_control_rc_t
veil_conns_drain_worker(veil_control_call_t *call)
{
    conns_drain_t d = { .listener = veil_control_text(call, "listener"),
                        .connections = 0 };

    veil_http_conns_each(conns_drain_count, &d);
    if (!call->dry_run) {
        veil_http_drain_tell();
    }
    /* It outlives a reload, but not the server. */
    call->is_volatile = strcmp(call->verb->name, "drain") == 0;
    call->data = json_object();
    json_object_set_new(call->data, "connections",
                        json_integer((json_int_t) d.connections));
    json_object_set_new(call->data, "draining",
                        conns_drain_listeners(call->dry_run ? call : NULL));
    json_object_set(call->data, "were_draining",
                    json_object_get(call->args, "were_draining"));
    return VEIL_CONTROL_DONE;
}

json_t *
veil_conns_gather_drain(const json_t *args, const json_t *answers)
{
    json_t *data = json_object();
    const json_t *first = json_object_get(json_array_get(answers, 0), "data");
    static const char *const lists[] = { "draining", "were_draining" };
    unsigned i;

    (void) args;
    json_object_set_new(data, "connections",
                        json_integer(veil_conns_sum(answers, "connections")));
    for (i = 0; i < veil_countof(lists); i++) {
        json_object_set(data, lists[i], json_object_get(first, lists[i]));
    }
    return data;
}

json_t *
veil_conns_drain_changed(const json_t *args, const json_t *data)
{
    (void) args;
    return json_pack("{s:{s:O?}, s:{s:O?}}", "before", "draining",
                     json_object_get(data, "were_draining"), "after",
                     "draining", json_object_get(data, "draining"));
}
