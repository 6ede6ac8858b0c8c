/*
 * conn_info.c -- what can be said of a connection from outside.
 *
 * Nothing is kept for it: all of it is worked out from what connections and
 * requests know anyway, when somebody asks.
 */

#include "core/platform.h"

#include "http/conn_info.h"

#include "core/time.h"
#include "event/tls.h"
#include "http/http.h"
#include "http/upstream/upstream_peer.h"

const char *
veil_http_stage_name(veil_http_stage_t stage)
{
    static const char *const names[] = {
        [VEIL_HTTP_STAGE_HANDSHAKE] = "handshake",
        [VEIL_HTTP_STAGE_IDLE] = "idle",
        [VEIL_HTTP_STAGE_HEAD] = "head",
        [VEIL_HTTP_STAGE_BODY] = "body",
        [VEIL_HTTP_STAGE_UPSTREAM] = "upstream",
        [VEIL_HTTP_STAGE_WORKING] = "working",
        [VEIL_HTTP_STAGE_SENDING] = "sending",
        [VEIL_HTTP_STAGE_TUNNEL] = "tunnel",
        [VEIL_HTTP_STAGE_CLOSING] = "closing",
    };

    return names[stage];
}

veil_http_stage_t
veil_http_request_stage(const veil_http_request_t *r)
{
    veil_http_stage_t stage = r->proto->stage(r->conn, r, NULL);

    if (r->tunnelled) {
        return VEIL_HTTP_STAGE_TUNNEL;
    }
    if (r->headers_sent) {
        return VEIL_HTTP_STAGE_SENDING;
    }
    if (stage != VEIL_HTTP_STAGE_WORKING) {
        return stage;
    }
    return r->exchange != NULL && veil_exchange_is_waiting(r->exchange)
               ? VEIL_HTTP_STAGE_UPSTREAM
               : VEIL_HTTP_STAGE_WORKING;
}

veil_str_t
veil_http_request_group(const veil_http_request_t *r)
{
    return r->exchange == NULL ? VEIL_STR_NULL : r->exchange->group->name;
}

veil_str_t
veil_http_request_peer(const veil_http_request_t *r)
{
    return r->exchange == NULL ? VEIL_STR_NULL
                               : veil_exchange_peer(r->exchange);
}

static void
conn_info_request(veil_http_request_t *r, void *data)
{
    veil_http_conn_info_t *info = data;

    info->streams++;
    if (info->r == NULL || r->start_ms < info->r->start_ms) {
        info->r = r;
    }
}

void
veil_http_conn_info(veil_http_conn_t *hc, veil_http_conn_info_t *info)
{
    uint64_t now = veil_now_ms();
    uint64_t since = 0;

    VEIL_CHECK(hc, VEIL_HTTP_CONN);
    memset(info, 0, sizeof(*info));
    info->id = hc->c.log.connection;
    info->age_ms = now - hc->start_ms;
    info->requests = hc->nrequests;
    info->bytes_in = hc->c.bytes_in;
    info->bytes_out = hc->c.bytes_out;
    if (hc->secure && veil_tls_of(&hc->c) != NULL) {
        info->tls = veil_tls_version(veil_tls_of(&hc->c));
    }
    if (hc->proto == NULL) {
        info->stage = VEIL_HTTP_STAGE_HANDSHAKE;
        return;
    }
    info->protocol = hc->proto->name;
    hc->proto->requests(hc, conn_info_request, info);
    if (info->r != NULL) {
        info->stage = veil_http_request_stage(info->r);
        info->request_ms = now - info->r->start_ms;
        return;
    }
    info->stage = hc->proto->stage(hc, NULL, &since);
    if (info->stage == VEIL_HTTP_STAGE_IDLE) {
        info->idle_ms = now - since;
    }
}

/* --- listeners ------------------------------------------------------------
 */

size_t
veil_http_port_print(const veil_http_port_t *port, char *buf, size_t n)
{
    return veil_addr_print(&port->addr, buf, n);
}

bool
veil_http_port_is(const veil_http_port_t *port, veil_str_t name)
{
    char text[VEIL_ADDR_TEXT_MAX];
    size_t n = veil_http_port_print(port, text, sizeof(text));
    veil_hostport_t hp;

    if (veil_str_eq(name, veil_str_n(text, n))) {
        return true;
    }
    if (port->addr.family == AF_UNIX || !veil_hostport_parse(&hp, name)
        || hp.is_unix || !hp.has_port || hp.port != port->addr.port
        || hp.host.len != 0)
    {
        return false;
    }
    return veil_str_chr(name, ':') < 0 || veil_addr_is_wildcard(&port->addr);
}

bool
veil_http_port_exists(veil_str_t name)
{
    const veil_http_main_t *main = veil_cycle->http;
    unsigned i;

    for (i = 0; main != NULL && i < main->ports.n; i++) {
        if (veil_http_port_is(
                *veil_array_at(&main->ports, veil_http_port_t *, i), name))
        {
            return true;
        }
    }
    return false;
}
