/*
 * conns_list.c -- conn.list, conn.show, conn.kill: the connections of a
 * worker, those that are asked for.
 *
 * A list is in the order in which they came, so that a limit leaves the
 * oldest, which is what one looks for.  Each worker sends as many as may be
 * needed if the others have none.
 */

#include "core/platform.h"

#include "modules/conns/conns.h"

#include <unistd.h>

#include "event/tls.h"
#include "http/conn_info.h"
#include "http/http.h"

#define CONNS_LIMIT 100
#define CONNS_LIMIT_MAX 1000
#define CONNS_REQUEST_TEXT 256

/* What was asked for. */
typedef struct {
    veil_control_call_t *call;
    int pid; /* of the id; 0: none was given */
    uint64_t number;
    int64_t older_ms; /* -1: any age */
    bool has_client;
    veil_cidr_t client;
    const char *upstream; /* NULL: any */
    const char *state;
    const char *listener;
    /* What comes of it. */
    json_t *rows;
    size_t limit;
    uint64_t total;
    uint64_t matched;
} conns_query_t;

/* --- the question ---------------------------------------------------------
 */

static bool
conns_parse_id(conns_query_t *q, const char *id)
{
    unsigned long long number;
    char rest;
    int pid;

    if (id == NULL) {
        return true;
    }
    if (sscanf(id, "%d-%llu%c", &pid, &number, &rest) != 2 || pid <= 0
        || number == 0)
    {
        (void) veil_control_fail(q->call, VEIL_E_ARGUMENT,
                                 "\"%s\" is no connection", id);
        veil_control_hint(q->call, "\"conn list\" has them, as 1234-56");
        return false;
    }
    q->pid = pid;
    q->number = number;
    return true;
}

static bool
conns_query(conns_query_t *q, veil_control_call_t *call)
{
    const char *client = veil_control_text(call, "client");

    memset(q, 0, sizeof(*q));
    q->call = call;
    q->older_ms = veil_control_number(call, "older", -1);
    q->upstream = veil_control_text(call, "upstream");
    q->state = veil_control_text(call, "state");
    q->listener = veil_control_text(call, "listener");
    q->limit = veil_min_size(
        (uint64_t) veil_control_number(call, "limit", CONNS_LIMIT),
        CONNS_LIMIT_MAX);
    if (client != NULL) {
        if (!veil_cidr_parse(&q->client, veil_str_z(client))) {
            (void) veil_control_fail(call, VEIL_E_ARGUMENT,
                                     "\"%s\" is no address or network",
                                     client);
            return false;
        }
        q->has_client = true;
    }
    return conns_parse_id(q, veil_control_text(call, "id"))
           && veil_conns_check_listener(call);
}

/* One of its requests is at the upstream. */
typedef struct {
    veil_str_t name;
    bool found;
} conns_upstream_t;

static void
conns_find_upstream(veil_http_request_t *r, void *data)
{
    conns_upstream_t *u = data;

    u->found = u->found || veil_str_eq(veil_http_request_group(r), u->name)
               || veil_str_eq(veil_http_request_peer(r), u->name);
}

static bool
conns_is_at(veil_http_conn_t *hc, const char *name)
{
    conns_upstream_t u = { .name = veil_str_z(name), .found = false };

    if (hc->proto != NULL) {
        hc->proto->requests(hc, conns_find_upstream, &u);
    }
    return u.found;
}

static bool
conns_match(const conns_query_t *q, veil_http_conn_t *hc,
            const veil_http_conn_info_t *info)
{
    if (q->pid != 0 && (q->pid != getpid() || q->number != info->id)) {
        return false;
    }
    if (q->older_ms >= 0 && info->age_ms < (uint64_t) q->older_ms) {
        return false;
    }
    if (q->has_client && !veil_cidr_match(&q->client, &hc->c.peer)) {
        return false;
    }
    if (q->state != NULL
        && strcmp(q->state, veil_http_stage_name(info->stage)) != 0)
    {
        return false;
    }
    if (q->listener != NULL
        && !veil_http_port_is(hc->port, veil_str_z(q->listener)))
    {
        return false;
    }
    return q->upstream == NULL || conns_is_at(hc, q->upstream);
}

/* --- rows -----------------------------------------------------------------
 */

static void
conns_set(json_t *row, const char *name, uint64_t n)
{
    json_object_set_new(row, name, json_integer((json_int_t) n));
}

/* What is there of a request, in the row of its connection or its own. */
static void
conns_set_request(json_t *row, const veil_http_request_t *r)
{
    veil_str_t group = veil_http_request_group(r);
    veil_str_t peer = veil_http_request_peer(r);

    json_object_set_new(
        row, "request",
        veil_conns_text(r->in.request_line, CONNS_REQUEST_TEXT));
    if (r->server != NULL) {
        json_object_set_new(row, "server",
                            veil_conns_text(r->server->name, 255));
    }
    if (group.len != 0) {
        json_object_set_new(row, "upstream", veil_conns_text(group, 255));
    }
    if (peer.len != 0) {
        json_object_set_new(row, "peer", veil_conns_text(peer, 255));
    }
}

static json_t *
conns_row(const veil_http_conn_t *hc, const veil_http_conn_info_t *info)
{
    json_t *row = json_object();
    char text[VEIL_ADDR_TEXT_MAX];

    json_object_set_new(row, "id", veil_conns_id(info->id));
    conns_set(row, "worker", veil_cycle->worker);
    conns_set(row, "generation", veil_cycle->generation);
    json_object_set_new(row, "client", veil_conns_addr(&hc->c.peer));
    json_object_set_new(row, "listener",
                        json_stringn(text, veil_http_port_print(
                                               hc->port, text, sizeof(text))));
    json_object_set_new(row, "server", veil_conns_text(hc->server->name, 255));
    json_object_set_new(row, "protocol",
                        info->protocol == NULL ? json_null()
                                               : json_string(info->protocol));
    json_object_set_new(
        row, "tls", info->tls == NULL ? json_null() : json_string(info->tls));
    json_object_set_new(row, "state",
                        json_string(veil_http_stage_name(info->stage)));
    conns_set(row, "age_ms", info->age_ms);
    conns_set(row, "idle_ms", info->idle_ms);
    conns_set(row, "requests", info->requests);
    conns_set(row, "streams", info->streams);
    conns_set(row, "bytes_in", info->bytes_in);
    conns_set(row, "bytes_out", info->bytes_out);
    if (info->r != NULL) {
        conns_set(row, "request_ms", info->request_ms);
        conns_set_request(row, info->r);
    }
    return row;
}

/* --- conn.list ------------------------------------------------------------
 */

static void
conns_list_one(veil_http_conn_t *hc, void *data)
{
    conns_query_t *q = data;
    veil_http_conn_info_t info;

    q->total++;
    veil_http_conn_info(hc, &info);
    if (!conns_match(q, hc, &info)) {
        return;
    }
    q->matched++;
    if (json_array_size(q->rows) < q->limit) {
        json_array_append_new(q->rows, conns_row(hc, &info));
    }
}

veil_control_rc_t
veil_conns_list(veil_control_call_t *call)
{
    conns_query_t q;

    if (!conns_query(&q, call)) {
        return VEIL_CONTROL_FAILED;
    }
    q.rows = json_array();
    veil_http_conns_each(conns_list_one, &q);
    call->data = json_object();
    conns_set(call->data, "total", q.total);
    conns_set(call->data, "matched", q.matched);
    json_object_set_new(call->data, "connections", q.rows);
    return VEIL_CONTROL_DONE;
}

json_t *
veil_conns_gather_list(const json_t *args, const json_t *answers)
{
    const json_t *limit = json_object_get(args, "limit");
    size_t max =
        limit == NULL ? CONNS_LIMIT : (size_t) json_integer_value(limit);
    json_t *data = json_object();

    conns_set(data, "total", (uint64_t) veil_conns_sum(answers, "total"));
    conns_set(data, "matched", (uint64_t) veil_conns_sum(answers, "matched"));
    json_object_set_new(data, "connections",
                        veil_conns_merge(answers, "connections", "age_ms",
                                         veil_min_size(max, CONNS_LIMIT_MAX)));
    return data;
}

/* --- conn.show ------------------------------------------------------------
 */

static void
conns_show_request(veil_http_request_t *r, void *data)
{
    json_t *rows = data, *row = json_object();

    json_object_set_new(
        row, "state",
        json_string(veil_http_stage_name(veil_http_request_stage(r))));
    conns_set_request(row, r);
    json_object_set_new(row, "host", veil_conns_text(r->in.host, 255));
    conns_set(row, "age_ms", veil_now_ms() - r->start_ms);
    conns_set(row, "status", (uint64_t) r->out.status);
    conns_set(row, "bytes_in", r->bytes_received);
    conns_set(row, "bytes_out", r->bytes_sent);
    json_object_set_new(row, "aborted", json_boolean(r->aborted));
    if (r->location != NULL) {
        json_object_set_new(row, "location",
                            veil_conns_text(r->location->name, 255));
    }
    json_array_append_new(rows, row);
}

static void
conns_show_one(veil_http_conn_t *hc, void *data)
{
    conns_query_t *q = data;
    veil_http_conn_info_t info;
    veil_addr_t local;
    json_t *row;

    veil_http_conn_info(hc, &info);
    if (!conns_match(q, hc, &info)) {
        return;
    }
    row = conns_row(hc, &info);
    veil_conn_local_addr(&hc->c, &local);
    if (local.family != 0) {
        json_object_set_new(row, "local", veil_conns_addr(&local));
    }
    if (info.tls != NULL) {
        json_object_set_new(row, "cipher",
                            json_string(veil_tls_cipher(veil_tls_of(&hc->c))));
    }
    q->rows = json_array();
    if (hc->proto != NULL) {
        hc->proto->requests(hc, conns_show_request, q->rows);
    }
    json_object_set_new(row, "under_way", q->rows);
    q->call->data = row;
}

veil_control_rc_t
veil_conns_show(veil_control_call_t *call)
{
    conns_query_t q;

    if (!conns_query(&q, call)) {
        return VEIL_CONTROL_FAILED;
    }
    if (q.pid == getpid()) {
        veil_http_conns_each(conns_show_one, &q);
    }
    if (call->data == NULL) {
        return veil_control_fail(call, VEIL_E_NOT_FOUND,
                                 "there is no connection %s, or no more",
                                 veil_control_text(call, "id"));
    }
    return VEIL_CONTROL_DONE;
}

/* --- conn.kill ------------------------------------------------------------
 */

static void
conns_kill_one(veil_http_conn_t *hc, void *data)
{
    conns_query_t *q = data;
    veil_http_conn_info_t info;

    veil_http_conn_info(hc, &info);
    if (hc->c.closing || !conns_match(q, hc, &info)) {
        return;
    }
    q->matched++;
    if (q->call->dry_run) {
        return;
    }
    veil_log(&hc->c.log, VEIL_LOG_NOTICE, 0,
             "closing the connection, as it was asked for");
    if (hc->proto != NULL) {
        hc->proto->close(hc);
    } else {
        veil_conn_close(&hc->c);
    }
}

veil_control_rc_t
veil_conns_kill(veil_control_call_t *call)
{
    conns_query_t q;

    if (!conns_query(&q, call)) {
        return VEIL_CONTROL_FAILED;
    }
    if (q.pid == 0 && q.older_ms < 0 && !q.has_client && q.upstream == NULL
        && q.state == NULL && q.listener == NULL
        && !veil_control_flag(call, "all"))
    {
        veil_control_hint(call, "\"all\" means each of them");
        return veil_control_fail(call, VEIL_E_ARGUMENT,
                                 "nothing says which connections");
    }
    veil_http_conns_each(conns_kill_one, &q);
    call->data = json_object();
    conns_set(call->data, "connections", q.matched);
    return VEIL_CONTROL_DONE;
}

json_t *
veil_conns_gather_kill(const json_t *args, const json_t *answers)
{
    json_t *data = json_object();

    (void) args;
    conns_set(data, "connections",
              (uint64_t) veil_conns_sum(answers, "connections"));
    return data;
}
