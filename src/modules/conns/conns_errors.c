/*
 * conns_errors.c -- errors: the last requests and handshakes that were
 * refused, as http/rejects.c has kept them.
 */

#include "core/platform.h"

#include "modules/conns/conns.h"

#include "http/conn_info.h"
#include "http/rejects.h"

#define CONNS_ERRORS 20
#define CONNS_ERRORS_MAX 1000

static size_t
conns_errors_max(const json_t *args)
{
    const json_t *n = json_object_get(args, "n");

    return n == NULL ? CONNS_ERRORS
                     : veil_min_size((uint64_t) json_integer_value(n),
                                     CONNS_ERRORS_MAX);
}

static json_t *
conns_error_row(const veil_http_reject_t *e)
{
    json_t *row = json_object();
    char text[VEIL_ADDR_TEXT_MAX];

    json_object_set_new(row, "time_ms", json_integer(e->when_ms));
    json_object_set_new(row, "connection", veil_conns_id(e->conn));
    json_object_set_new(row, "client", veil_conns_addr(&e->client));
    json_object_set_new(
        row, "listener",
        json_stringn(text, veil_http_port_print(e->port, text, sizeof(text))));
    json_object_set_new(row, "server", veil_conns_text(e->server, 255));
    json_object_set_new(row, "protocol",
                        e->protocol == NULL ? json_null()
                                            : json_string(e->protocol));
    json_object_set_new(
        row, "status", e->status == 0 ? json_null() : json_integer(e->status));
    json_object_set_new(row, "reason",
                        veil_conns_text(veil_str_z(e->reason), 255));
    json_object_set_new(row, "offset",
                        e->offset < 0 ? json_null() : json_integer(e->offset));
    if (e->kind != NULL) {
        json_object_set_new(row, "kind", json_string(e->kind));
    }
    if (e->name[0] != '\0') {
        json_object_set_new(row, "sni",
                            veil_conns_text(veil_str_z(e->name), 255));
    }
    if (e->nbytes != 0) {
        json_object_set_new(row, "first", json_integer((json_int_t) e->first));
        json_object_set_new(
            row, "excerpt",
            veil_conns_text(veil_str_n(e->bytes, e->nbytes), e->nbytes));
    }
    return row;
}

veil_control_rc_t
veil_conns_errors(veil_control_call_t *call)
{
    const char *listener = veil_control_text(call, "listener");
    size_t max = conns_errors_max(call->args);
    const veil_http_reject_t *e;
    json_t *rows;
    unsigned i;

    if (!veil_conns_check_listener(call)) {
        return VEIL_CONTROL_FAILED;
    }
    rows = json_array();
    for (i = 0; (e = veil_http_rejected(i)) != NULL; i++) {
        if (json_array_size(rows) >= max) {
            break;
        }
        if (listener == NULL
            || veil_http_port_is(e->port, veil_str_z(listener))) {
            json_array_append_new(rows, conns_error_row(e));
        }
    }
    call->data = json_pack("{s:o}", "errors", rows);
    return VEIL_CONTROL_DONE;
}

json_t *
veil_conns_gather_errors(const json_t *args, const json_t *answers)
{
    return json_pack("{s:o}", "errors",
                     veil_conns_merge(answers, "errors", "time_ms",
                                      conns_errors_max(args)));
}
