/*
 * connection.c -- variables about a connection, the server and the time.
 */

#include "core/platform.h"

#include <netinet/in.h>
#include <netinet/tcp.h>

#include "core/time.h"
#include "core/version.h"
#include "http/conn.h"
#include "http/http.h"

#define V VEIL_HTTP_VAR_VOLATILE

#define GET(name)                                                             \
    static bool connection_get_##name(                                        \
        veil_http_request_t *r, const veil_http_variable_t *v VEIL_UNUSED,    \
        veil_str_t *out)

GET(remote_addr)
{
    return r->conn != NULL && veil_http_var_ip(r, &r->conn->c.peer, out);
}

GET(binary_remote_addr)
{
    const veil_addr_t *a;

    if (r->conn == NULL) {
        return false;
    }
    a = &r->conn->c.peer;
    *out = veil_str_n((const char *) a->u.ip, a->family == AF_INET    ? 4
                                              : a->family == AF_INET6 ? 16
                                                                      : 0);
    return true;
}

GET(remote_port)
{
    return r->conn != NULL
           && veil_http_var_number(r, r->conn->c.peer.port, out);
}

/*
 * A request of HTTP/2 may outlive its connection, if only to be logged; then
 * it is the address that was listened on.
 */
static void
connection_local(const veil_http_request_t *r, veil_addr_t *local)
{
    veil_conn_local_addr(&r->conn->c, local);
    if (local->family == 0) {
        *local = r->conn->port->addr;
    }
}

GET(server_addr)
{
    veil_addr_t local;

    if (r->conn == NULL) {
        return false;
    }
    connection_local(r, &local);
    if (local.family == AF_UNIX && r->conn->port->addr.u.path != NULL) {
        *out =
            veil_pool_printf(r->pool, "unix:%s", r->conn->port->addr.u.path);
        return true;
    }
    return veil_http_var_ip(r, &local, out);
}

GET(server_port)
{
    veil_addr_t local;

    if (r->conn == NULL) {
        return false;
    }
    connection_local(r, &local);
    return veil_http_var_number(r, local.port, out);
}

GET(connection)
{
    return r->conn != NULL
           && veil_http_var_number(r, r->conn->c.log.connection, out);
}

GET(connection_requests)
{
    return r->conn != NULL && veil_http_var_number(r, r->conn->nrequests, out);
}

GET(connection_time)
{
    return r->conn != NULL
           && veil_http_var_seconds(r, veil_now_ms() - r->conn->start_ms, out);
}

GET(pipe)
{
    *out = r->pipelined ? VEIL_STR("p") : VEIL_STR(".");
    return true;
}

/* Veil does not know PROXY protocol headers yet, so there are none. */
GET(nothing)
{
    (void) r;
    (void) out;
    return false;
}

GET(tcpinfo)
{
    struct tcp_info info;
    socklen_t len = sizeof(info);
    uint32_t n = 0;

    if (r->conn == NULL
        || getsockopt(r->conn->c.handle.fd, IPPROTO_TCP, TCP_INFO, &info, &len)
               != 0)
    {
        return false;
    }
    switch ((int) (intptr_t) v->data) {
    case 0:
        n = info.tcpi_rtt;
        break;
    case 1:
        n = info.tcpi_rttvar;
        break;
    case 2:
        n = info.tcpi_snd_cwnd;
        break;
    default:
        n = info.tcpi_rcv_space;
        break;
    }
    return veil_http_var_number(r, n, out);
}

/* --- the server and the time
 * ------------------------------------------------- */

GET(hostname)
{
    char name[256];

    if (gethostname(name, sizeof(name)) != 0) {
        return false;
    }
    name[sizeof(name) - 1] = '\0';
    *out = veil_pool_str(r->pool, veil_str_z(name));
    return true;
}

GET(pid)
{
    return veil_http_var_number(r, (uint64_t) getpid(), out);
}

GET(version)
{
    (void) r;
    *out = VEIL_STR(VEIL_VERSION);
    return true;
}

GET(msec)
{
    *out = veil_pool_printf(r->pool, "%lld.%03u", (long long) veil_clock.sec,
                            veil_clock.msec);
    return true;
}

GET(time_local)
{
    *out = veil_pool_str(r->pool, veil_clock.clf);
    return true;
}

GET(time_iso8601)
{
    *out = veil_pool_str(r->pool, veil_clock.iso);
    return true;
}

/* clang-format off */
static const veil_http_var_def_t connection_variables[] = {
    { "remote_addr", connection_get_remote_addr, NULL, NULL, 0 },
    { "client_ip", connection_get_remote_addr, NULL, NULL, 0 },
    { "binary_remote_addr", connection_get_binary_remote_addr, NULL, NULL, 0 },
    { "remote_port", connection_get_remote_port, NULL, NULL, 0 },
    { "server_addr", connection_get_server_addr, NULL, NULL, 0 },
    { "server_port", connection_get_server_port, NULL, NULL, 0 },
    { "connection", connection_get_connection, NULL, NULL, 0 },
    { "connection_requests", connection_get_connection_requests, NULL, NULL, 0 },
    { "connection_time", connection_get_connection_time, NULL, NULL, V },
    { "pipe", connection_get_pipe, NULL, NULL, V },
    { "proxy_protocol_addr", connection_get_nothing, NULL, NULL, 0 },
    { "proxy_protocol_port", connection_get_nothing, NULL, NULL, 0 },
    { "proxy_protocol_server_addr", connection_get_nothing, NULL, NULL, 0 },
    { "proxy_protocol_server_port", connection_get_nothing, NULL, NULL, 0 },
    { "tcpinfo_rtt", connection_get_tcpinfo, NULL, (const void *) (intptr_t) 0, V },
    { "tcpinfo_rttvar", connection_get_tcpinfo, NULL, (const void *) (intptr_t) 1, V },
    { "tcpinfo_snd_cwnd", connection_get_tcpinfo, NULL, (const void *) (intptr_t) 2, V },
    { "tcpinfo_rcv_space", connection_get_tcpinfo, NULL, (const void *) (intptr_t) 3, V },
    { "hostname", connection_get_hostname, NULL, NULL, 0 },
    { "pid", connection_get_pid, NULL, NULL, 0 },
    { "nginx_version", connection_get_version, NULL, NULL, 0 },
    { "veil_version", connection_get_version, NULL, NULL, 0 },
    { "msec", connection_get_msec, NULL, NULL, V },
    { "time_local", connection_get_time_local, NULL, NULL, V },
    { "time_iso8601", connection_get_time_iso8601, NULL, NULL, V },
    { NULL, NULL, NULL, NULL, 0 },
};
/* clang-format on */

static const veil_http_module_t connection_http = {
    .variables = connection_variables,
};

veil_module_t veil_http_connection_variables_module = {
    .abi = VEIL_MODULE_ABI,
    .name = "connection_variables",
    .http = &connection_http,
};
