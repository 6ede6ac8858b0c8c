/*
 * explain_run.c -- runs a request for which there is no client.
 *
 * The request is bytes in one end of a socket pair; the connection at the
 * other end is like any other, and so is all that follows: parser, server,
 * pipeline, filters, the response's head.  Three things are pretended: the
 * client's address, the address that it connected to, and that a handshake
 * took place.  Files are looked for as ever, on a loop of its own.  What is
 * logged goes to memory, access logs are not written.
 *
 * There is one such request in the life of a process, and nobody else's.
 */

#include "core/platform.h"

#include <sys/mman.h>
#include <sys/socket.h>

#include "http/explain.h"

#include "core/control.h"
#include "core/main_conf.h"
#include "core/time.h"
#include "event/offload.h"
#include "http/conn.h"
#include "http/files.h"
#include "http/server.h"

#define EXPLAIN_MS 5000      /* a handler that waits longer is given up */
#define EXPLAIN_ANSWER 65536 /* of the response's head */

/* What was asked for, cut apart; views of the options. */
typedef struct {
    veil_str_t method;
    veil_str_t url;
    bool secure;
    veil_hostport_t host; /* of the URL; empty: it has none */
    veil_str_t authority;
    veil_str_t target; /* from the path on */
} explain_url_t;

static json_t *explain_error(const char *fmt, ...) VEIL_PRINTF(1, 2);

static json_t *
explain_error(const char *fmt, ...)
{
    char text[1024];
    va_list ap;
    size_t n;

    va_start(ap, fmt);
    n = veil_vsnprintf(text, sizeof(text), fmt, ap);
    va_end(ap);
    return json_pack("{s:o}", "error",
                     veil_control_string(veil_str_n(text, n)));
}

/* --- what was asked --------------------------------------------------------
 */

/* "[METHOD] URL" or "[METHOD] /path"; NULL, or why not. */
static json_t *
explain_parse(veil_str_t text, explain_url_t *u)
{
    veil_str_t rest = veil_str_trim(text);
    ptrdiff_t at = veil_str_chr(rest, ' ');
    size_t i;

    memset(u, 0, sizeof(*u));
    u->method = at < 0 ? VEIL_STR("GET") : veil_str_n(rest.data, (size_t) at);
    rest = at < 0 ? rest : veil_str_trim(veil_str_from(rest, (size_t) at));
    u->url = rest;
    if (veil_str_eq_z(u->method, "CONNECT")) {
        return explain_error("CONNECT is not explained: it has no path");
    }
    if (veil_str_starts(rest, VEIL_STR("/"))) {
        u->target = rest;
        return NULL;
    }
    u->secure = veil_str_casestarts(rest, VEIL_STR("https://"));
    if (!u->secure && !veil_str_casestarts(rest, VEIL_STR("http://"))) {
        return explain_error("\"%.*s\" is no URL: wanted is \"GET "
                             "https://host/path\"",
                             VEIL_STR_ARG(rest));
    }
    rest = veil_str_from(rest, u->secure ? 8 : 7);
    for (i = 0; i < rest.len && strchr("/?#", rest.data[i]) == NULL; i++) {
        /* to the authority's end */
    }
    u->authority = veil_str_n(rest.data, i);
    u->target = veil_str_from(rest, i);
    at = veil_str_chr(u->target, '#');
    if (at >= 0) {
        u->target.len = (size_t) at; /* is never sent */
    }
    if (!veil_hostport_parse(&u->host, u->authority) || u->host.host.len == 0)
    {
        return explain_error("\"%.*s\" has no host", VEIL_STR_ARG(u->url));
    }
    if (!u->host.has_port) {
        u->host.port = u->secure ? 443 : 80;
    }
    return NULL;
}

/* --- the listener ----------------------------------------------------------
 */

static const veil_http_port_t *
explain_port_at(const veil_http_main_t *m, unsigned i)
{
    return *veil_array_at(&m->ports, veil_http_port_t *, i);
}

static json_t *
explain_no_listener(const veil_http_main_t *m, const char *what)
{
    char addr[VEIL_ADDR_TEXT_MAX], text[700];
    size_t len = 0;
    unsigned i;

    text[0] = '\0';
    for (i = 0; i < m->ports.n && i < 10; i++) {
        (void) veil_addr_print(&explain_port_at(m, i)->addr, addr,
                               sizeof(addr));
        len += veil_snprintf(text + len, sizeof(text) - len, "%s%s%s",
                             i == 0 ? "" : ", ", addr,
                             explain_port_at(m, i)->ssl ? " (TLS)" : "");
    }
    return explain_error("no listener is for %s; there are: %s", what, text);
}

/* The listener whose address is given by hand. */
static const veil_http_port_t *
explain_port_named(const veil_http_main_t *m, veil_str_t text)
{
    veil_hostport_t hp;
    veil_addr_t addr;
    unsigned i;

    memset(&addr, 0, sizeof(addr));
    if (!veil_hostport_parse(&hp, text)) {
        return NULL;
    }
    for (i = 0; i < m->ports.n; i++) {
        const veil_addr_t *a = &explain_port_at(m, i)->addr;

        if (hp.is_unix) {
            if (a->family == AF_UNIX && veil_str_eq_z(hp.path, a->u.path)) {
                return explain_port_at(m, i);
            }
            continue;
        }
        if (hp.host.len == 0
                ? veil_addr_is_wildcard(a)
                : veil_addr_parse_ip(&addr, hp.host)
                      && (addr.port = hp.port, veil_addr_eq(a, &addr)))
        {
            if (a->port == hp.port) {
                return explain_port_at(m, i);
            }
        }
    }
    return NULL;
}

/*
 * Where a client of the URL would come: the port decides, then the address
 * in the URL, then a wildcard, then the first.
 */
static const veil_http_port_t *
explain_port_for(const veil_http_main_t *m, const explain_url_t *u)
{
    const veil_http_port_t *p, *best = NULL;
    veil_addr_t addr;
    bool is_ip =
        u->host.host.len != 0 && veil_addr_parse_ip(&addr, u->host.host);
    unsigned i;

    for (i = 0; i < m->ports.n; i++) {
        p = explain_port_at(m, i);
        if (u->authority.len == 0) {
            return p;
        }
        if (p->addr.family == AF_UNIX || p->addr.port != u->host.port) {
            continue;
        }
        addr.port = p->addr.port;
        if (is_ip && veil_addr_eq(&addr, &p->addr)) {
            return p;
        }
        if (best == NULL
            || (veil_addr_is_wildcard(&p->addr)
                && !veil_addr_is_wildcard(&best->addr)))
        {
            best = p;
        }
    }
    return best;
}

/* What the connection's own end is. */
static void
explain_local(const veil_http_port_t *port, const explain_url_t *u,
              veil_addr_t *local)
{
    *local = port->addr;
    if (!veil_addr_is_wildcard(&port->addr)) {
        return;
    }
    if (u->host.host.len == 0 || !veil_addr_parse_ip(local, u->host.host)
        || local->family != port->addr.family)
    {
        (void) veil_addr_parse_ip(local, port->addr.family == AF_INET6
                                             ? VEIL_STR("::1")
                                             : VEIL_STR("127.0.0.1"));
    }
    local->port = port->addr.port;
}

/* --- the request -----------------------------------------------------------
 */

static bool
explain_has_field(const veil_explain_options_t *o, const char *name)
{
    size_t n = strlen(name);
    unsigned i;

    for (i = 0; i < o->nfields; i++) {
        if (veil_str_casestarts(o->fields[i], veil_str_z(name))
            && o->fields[i].len > n && o->fields[i].data[n] == ':')
        {
            return true;
        }
    }
    return false;
}

static veil_str_t
explain_head(veil_pool_t *pool, const veil_explain_options_t *o,
             const explain_url_t *u)
{
    const char *slash =
        u->target.len == 0 || u->target.data[0] == '?' ? "/" : "";
    veil_str_t head, host = u->authority;
    unsigned i;

    if (host.len == 0) {
        host = VEIL_STR("localhost");
    }
    head = veil_pool_printf(pool, "%.*s %s%.*s HTTP/1.1\r\n",
                            VEIL_STR_ARG(u->method), slash,
                            VEIL_STR_ARG(u->target));
    if (!explain_has_field(o, "Host")) {
        head = veil_pool_printf(pool, "%.*sHost: %.*s\r\n", VEIL_STR_ARG(head),
                                VEIL_STR_ARG(host));
    }
    for (i = 0; i < o->nfields; i++) {
        head = veil_pool_printf(pool, "%.*s%.*s\r\n", VEIL_STR_ARG(head),
                                VEIL_STR_ARG(o->fields[i]));
    }
    return veil_pool_printf(pool, "%.*s\r\n", VEIL_STR_ARG(head));
}

/* --- the log ---------------------------------------------------------------
 */

static void
explain_write_log(const veil_log_sink_t *sink VEIL_UNUSED,
                  veil_log_level_t level VEIL_UNUSED, const char *line,
                  size_t len)
{
    /* A line that is lost is missing in the report, no more. */
    if (write(veil_http_explainer->log_fd, line, len) < 0) {
        return;
    }
}

/* All logs are one piece of memory from here on. */
static void
explain_take_logs(veil_cycle_t *cycle)
{
    static veil_log_sink_t sink = { .level = VEIL_LOG_ERR,
                                    .write = explain_write_log };
    const veil_main_conf_t *main = veil_main_conf(cycle);
    int fd = memfd_create("veil explain", MFD_CLOEXEC);
    veil_list_t *l;

    veil_http_explainer->log_fd = fd;
    veil_list_foreach (l, &cycle->log_files) {
        veil_list_entry(l, veil_log_file_t, link)->fd = fd;
    }
    veil_log_use_sinks(&cycle->log,
                       main->error_log != NULL ? main->error_log : &sink);
}

/* What a loop says of itself when it begins is not about the request. */
static void
explain_forget_log(void)
{
    int fd = veil_http_explainer->log_fd;

    (void) lseek(fd, 0, SEEK_SET); /* of memory: it cannot fail */
    (void) !ftruncate(fd, 0);
}

static json_t *
explain_log_lines(void)
{
    int fd = veil_http_explainer->log_fd;
    json_t *lines = json_array();
    off_t size = fd < 0 ? 0 : lseek(fd, 0, SEEK_END);
    char *text = veil_alloc((size_t) size + 1);
    veil_str_t rest, line;
    ssize_t n = fd < 0 ? 0 : pread(fd, text, (size_t) size, 0);

    rest = veil_str_n(text, n < 0 ? 0 : (size_t) n);
    while (rest.len != 0) {
        line = veil_str_cut(&rest, '\n');
        if (line.len != 0) {
            (void) json_array_append_new(lines, veil_control_string(line));
        }
    }
    veil_free(text);
    return lines;
}

/* --- the response ----------------------------------------------------------
 */

static json_t *
explain_fields(veil_str_t head, int *status)
{
    veil_str_t line = veil_str_cut(&head, '\n'), name;
    json_t *fields = json_array();

    *status = line.len < 12
                  ? 0
                  : (int) veil_str_to_int(veil_str_n(line.data + 9, 3));
    while (head.len != 0) {
        line = veil_str_cut(&head, '\n');
        if (veil_str_ends(line, VEIL_STR("\r"))) {
            line.len--;
        }
        if (line.len == 0) {
            break;
        }
        name = veil_str_cut(&line, ':');
        (void) json_array_append_new(
            fields, json_pack("[o, o]", veil_control_string(name),
                              veil_control_string(veil_str_trim(line))));
    }
    return fields;
}

/* The final head among those that were sent. */
static json_t *
explain_response(veil_str_t bytes)
{
    json_t *fields;
    ptrdiff_t end;
    int status;

    while ((end = veil_str_find(bytes, VEIL_STR("\r\n\r\n"))) >= 0) {
        fields =
            explain_fields(veil_str_n(bytes.data, (size_t) end + 4), &status);
        if (status >= 200 || status == 101) {
            return json_pack("{s:i, s:o}", "status", status, "fields", fields);
        }
        json_decref(fields);
        bytes = veil_str_from(bytes, (size_t) end + 4);
    }
    return json_null();
}

/* --- running ---------------------------------------------------------------
 */

static veil_loop_t *
explain_loop(veil_cycle_t *cycle)
{
    veil_loop_options_t options = {
        .backend = "epoll",
        .connections = 64,
        .buffer_size = 16384,
        .log = &cycle->log,
    };
    veil_loop_t *loop = veil_loop_create(&options);

    if (loop != NULL) {
        veil_offload_ops(loop);
        cycle->loop = loop;
        veil_acceptors_limit(64);
    }
    return loop;
}

/* A request whose body does not come ends late; its response is there. */
static bool
explain_is_over(int fd)
{
    char c;

    return veil_http_explainer->ended
           || (veil_http_explainer->answered
               && recv(fd, &c, 1, MSG_PEEK | MSG_DONTWAIT) > 0);
}

static void
explain_turn(veil_loop_t *loop, int fd)
{
    uint64_t end = veil_now_ms() + EXPLAIN_MS;

    while (!explain_is_over(fd) && veil_now_ms() < end) {
        veil_loop_turn(loop, 50);
    }
}

static void
explain_close(veil_http_conn_t *hc, void *data VEIL_UNUSED)
{
    if (hc->proto != NULL) {
        hc->proto->close(hc);
    } else {
        veil_conn_close(&hc->c);
    }
}

static void
explain_leave(veil_cycle_t *cycle, veil_loop_t *loop)
{
    unsigned turns;

    veil_http_conns_each(explain_close, NULL);
    for (turns = 0; veil_http_conns() != 0 && turns < 100; turns++) {
        veil_loop_turn(loop, 10);
    }
    veil_http_files_done();
    veil_offload_stop(loop);
    veil_loop_turn(loop, 0);
    veil_loop_destroy(&loop);
    cycle->loop = NULL;
}

/* The bytes of the answer; fds[0] is the client's end. */
static veil_str_t
explain_exchange(veil_pool_t *pool, const veil_http_port_t *port,
                 const explain_url_t *u, const veil_addr_t *peer,
                 veil_str_t head, const int *fds)
{
    char *answer = veil_pool_chars(pool, EXPLAIN_ANSWER);
    veil_http_conn_t *hc;
    ssize_t n;

    hc = veil_http_conn_open(port, fds[1], peer, &veil_cycle->log);
    if (u->secure) {
        hc->secure = 1;
        hc->server = veil_http_server_find(hc->port, u->host.host, NULL);
        veil_http_conn_log_of_server(hc);
    }
    n = send(fds[0], head.data, head.len, MSG_NOSIGNAL);
    if (n < 0 || (size_t) n != head.len) {
        return VEIL_STR_NULL;
    }
    veil_h1_start(hc);
    explain_turn(veil_cycle->loop, fds[0]);
    n = recv(fds[0], answer, EXPLAIN_ANSWER, MSG_DONTWAIT);
    return veil_str_n(answer, n < 0 ? 0 : (size_t) n);
}

static json_t *
explain_report(veil_http_explainer_t *x, const explain_url_t *u,
               const veil_http_port_t *port, const veil_addr_t *peer,
               veil_str_t answer)
{
    char client[VEIL_ADDR_TEXT_MAX], address[VEIL_ADDR_TEXT_MAX];
    json_t *report = json_object(), *listener = json_object();

    (void) veil_addr_print_ip(peer, client, sizeof(client));
    (void) veil_addr_print(&port->addr, address, sizeof(address));
    (void) json_object_set_new(
        report, "request",
        json_pack("{s:o, s:o, s:s}", "method", veil_control_string(u->method),
                  "url", veil_control_string(u->url), "client", client));
    (void) json_object_set_new(listener, "address", json_string(address));
    (void) json_object_set_new(listener, "tls", json_boolean(u->secure));
    veil_http_explain_place(listener, port->from->node);
    (void) json_object_set_new(report, "listener", listener);
    (void) json_object_set_new(report, "server",
                               x->server == NULL ? json_null() : x->server);
    (void) json_object_set_new(report, "steps", x->steps);
    (void) json_object_set_new(
        report, "location", x->location == NULL ? json_null() : x->location);
    (void) json_object_set_new(report, "target", x->target);
    (void) json_object_set_new(report, "limits",
                               x->limits == NULL ? json_object() : x->limits);
    (void) json_object_set_new(report, "filters", x->filters);
    (void) json_object_set_new(report, "response", explain_response(answer));
    (void) json_object_set_new(report, "log", explain_log_lines());
    (void) json_object_set_new(report, "unknown", x->unknown);
    return report;
}

static json_t *
explain_begin(veil_cycle_t *cycle, const veil_explain_options_t *o,
              const explain_url_t *u, const veil_http_port_t *port)
{
    static veil_http_explainer_t x;
    veil_pool_t *pool = veil_pool_create("explain", 16384);
    veil_addr_t peer, local;
    veil_loop_t *loop;
    json_t *report;
    veil_str_t answer;
    int fds[2];

    if (!veil_addr_parse_ip(&peer, o->client.len != 0 ? o->client
                                                      : VEIL_STR("127.0.0.1")))
    {
        veil_pool_destroy(&pool);
        return explain_error("\"%.*s\" is no address",
                             VEIL_STR_ARG(o->client));
    }
    x.steps = json_array();
    x.target = json_object();
    x.unknown = json_array();
    x.filters = json_array();
    veil_http_explainer = &x;
    explain_take_logs(cycle);
    loop = explain_loop(cycle);
    if (loop == NULL
        || socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0,
                      fds)
               != 0)
    {
        veil_pool_destroy(&pool);
        return explain_error("no loop, or no sockets, can be made here");
    }
    explain_forget_log();
    explain_local(port, u, &local);
    veil_conn_pretend_local(&local);
    answer =
        explain_exchange(pool, port, u, &peer, explain_head(pool, o, u), fds);
    if (!x.ended && !x.answered) {
        veil_http_explain_unknown("a handler waits for something that did "
                                  "not come within %u seconds",
                                  EXPLAIN_MS / 1000);
    }
    report = explain_report(&x, u, port, &peer, answer);
    close(fds[0]);
    explain_leave(cycle, loop);
    veil_conn_pretend_local(NULL);
    veil_http_explainer = NULL;
    close(x.log_fd);
    veil_pool_destroy(&pool);
    return report;
}

json_t *
veil_http_explain_run(veil_cycle_t *cycle, const veil_explain_options_t *o)
{
    const veil_http_main_t *m = cycle->http;
    const veil_http_port_t *port;
    explain_url_t u;
    json_t *error;

    if (m == NULL || m->ports.n == 0) {
        return explain_error("the configuration has no server");
    }
    error = explain_parse(o->request, &u);
    if (error != NULL) {
        return error;
    }
    if (o->listen.len != 0) {
        port = explain_port_named(m, o->listen);
    } else {
        port = explain_port_for(m, &u);
    }
    if (port == NULL) {
        return explain_no_listener(m, o->listen.len != 0 ? "that address"
                                                         : "the URL's port");
    }
    if (u.authority.len == 0) {
        u.secure = port->ssl;
    }
    if (u.secure && !port->ssl) {
        return explain_no_listener(m, "TLS there");
    }
    return explain_begin(cycle, o, &u, port);
}
