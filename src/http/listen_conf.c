/*
 * listen_conf.c -- the "listen" directive, and ports made of all of them.
 *
 * Each server has a list of what it listens on.  When all servers are known,
 * equal addresses become one port with several servers.  An address on a port
 * where a wildcard is bound too needs no socket of its own: the wildcard's
 * connections are told apart by their local address, as in nginx, unless
 * "bind" or a socket option asks for a socket.
 */

#include "core/platform.h"

#include "core/main_conf.h"
#include "event/tls.h"
#include "http/conn.h"
#include "http/http.h"
#include "http/server.h"

#define LISTEN_BACKLOG 511

/* --- parameters
 * ---------------------------------------------------------------- */

static veil_rc_t
listen_set_number(veil_conf_t *cf, unsigned i, veil_str_t value, int *to)
{
    int64_t n = veil_str_to_int(value);

    if (n < 0 || n > INT32_MAX) {
        return veil_conf_error_at(cf, i, "invalid number in \"%.*s\"",
                                  VEIL_STR_ARG(veil_conf_arg(cf, i)));
    }
    *to = (int) n;
    return VEIL_OK;
}

static veil_rc_t
listen_set_size(veil_conf_t *cf, unsigned i, veil_str_t value, int *to)
{
    int64_t n = veil_str_to_size(value);

    if (n < 0 || n > INT32_MAX) {
        return veil_conf_error_at(cf, i, "invalid size in \"%.*s\"",
                                  VEIL_STR_ARG(veil_conf_arg(cf, i)));
    }
    *to = (int) n;
    return VEIL_OK;
}

/* so_keepalive=on|off|[idle]:[interval]:[count] */
static veil_rc_t
listen_set_keepalive(veil_conf_t *cf, unsigned i, veil_str_t value,
                     veil_listen_t *o)
{
    int *to[2] = { &o->keepidle, &o->keepintvl };
    veil_str_t part;
    int64_t n;
    unsigned k;

    o->keepalive = 1;
    if (veil_str_eq(value, VEIL_STR("on"))) {
        return VEIL_OK;
    }
    if (veil_str_eq(value, VEIL_STR("off"))) {
        o->keepalive = 0;
        return VEIL_OK;
    }
    for (k = 0; k < 2; k++) {
        part = veil_str_cut(&value, ':');
        if (part.len == 0) {
            continue;
        }
        n = veil_str_to_msec(part);
        if (n < 1000) {
            goto bad;
        }
        *to[k] = (int) (n / 1000);
    }
    if (value.len != 0) {
        n = veil_str_to_int(value);
        if (n <= 0 || n > INT32_MAX) {
            goto bad;
        }
        o->keepcnt = (int) n;
    }
    return VEIL_OK;

bad:
    return veil_conf_error_at(cf, i, "invalid so_keepalive value: \"%.*s\"",
                              VEIL_STR_ARG(veil_conf_arg(cf, i)));
}

/* Parameters without a value; false: it is none of them. */
static bool
listen_set_flag(veil_http_listen_t *l, veil_str_t word)
{
    if (veil_str_eq(word, VEIL_STR("default_server"))
        || veil_str_eq(word, VEIL_STR("default")))
    {
        l->default_server = true;
    } else if (veil_str_eq(word, VEIL_STR("bind"))) {
        l->bind = true;
    } else if (veil_str_eq(word, VEIL_STR("reuseport"))) {
        l->options.reuseport = true;
        l->bind = true;
    } else if (veil_str_eq(word, VEIL_STR("deferred"))) {
        l->options.deferred = true;
        l->bind = true;
    } else {
        return false;
    }
    return true;
}

static veil_rc_t
listen_refuse(veil_conf_t *cf, unsigned i)
{
    static const char *const later[] = { "http2", "quic", "proxy_protocol",
                                         "spdy", NULL };
    static const char *const words[] = {
        "default_server", "bind",          "reuseport", "deferred",
        "backlog=",       "rcvbuf=",       "sndbuf=",   "fastopen=",
        "ipv6only=",      "so_keepalive=", "ssl",       NULL
    };
    unsigned k;

    for (k = 0; later[k] != NULL; k++) {
        if (veil_str_eq_z(veil_conf_arg(cf, i), later[k])) {
            return veil_conf_error_at(
                cf, i, "the \"%s\" parameter is not in this build of veil",
                later[k]);
        }
    }
    return veil_conf_error_word(cf, i, words);
}

/* As nginx's, which it has called deprecated since 1.25.1. */
static bool
listen_set_http2(veil_conf_t *cf, veil_http_listen_t *l, veil_str_t word)
{
    unsigned i;

    if (!veil_str_eq(word, VEIL_STR("http2"))) {
        return false;
    }
    for (i = 0; veil_modules[i] != NULL; i++) {
        if (strcmp(veil_modules[i]->name, "v2") == 0) {
            veil_conf_warn(cf, "the \"http2\" parameter of \"listen\" is "
                               "deprecated: \"http2 on\" is the same");
            l->http2 = true;
            return true;
        }
    }
    return false;
}

static veil_rc_t
listen_set_parameter(veil_conf_t *cf, unsigned i, veil_http_listen_t *l)
{
    veil_listen_t *o = &l->options;
    veil_str_t value;

    if (listen_set_flag(l, veil_conf_arg(cf, i))
        || listen_set_http2(cf, l, veil_conf_arg(cf, i)))
    {
        return VEIL_OK;
    }
    if (veil_str_eq(veil_conf_arg(cf, i), VEIL_STR("ssl"))) {
        l->ssl = true;
        return veil_tls_is_built() ? VEIL_OK
                                   : veil_conf_error_at(
                                       cf, i, "this build of veil has no TLS");
    }
    l->bind = true; /* all that follow concern the socket */
    if (veil_conf_arg_is(cf, i, "backlog", &value)) {
        return listen_set_number(cf, i, value, &o->backlog);
    }
    if (veil_conf_arg_is(cf, i, "fastopen", &value)) {
        return listen_set_number(cf, i, value, &o->fastopen);
    }
    if (veil_conf_arg_is(cf, i, "rcvbuf", &value)) {
        return listen_set_size(cf, i, value, &o->rcvbuf);
    }
    if (veil_conf_arg_is(cf, i, "sndbuf", &value)) {
        return listen_set_size(cf, i, value, &o->sndbuf);
    }
    if (veil_conf_arg_is(cf, i, "so_keepalive", &value)) {
        return listen_set_keepalive(cf, i, value, o);
    }
    if (veil_conf_arg_is(cf, i, "ipv6only", &value)) {
        if (o->addr.family != AF_INET6
            || (!veil_str_eq(value, VEIL_STR("on"))
                && !veil_str_eq(value, VEIL_STR("off"))))
        {
            return veil_conf_error_at(
                cf, i, "\"ipv6only\" is \"on\" or \"off\", and for IPv6 only");
        }
        o->ipv6only = veil_str_eq(value, VEIL_STR("on"));
        return VEIL_OK;
    }
    return listen_refuse(cf, i);
}

/* --- addresses
 * ------------------------------------------------------------------ */

static veil_rc_t
listen_address(veil_conf_t *cf, veil_str_t text, veil_addr_t *addr)
{
    veil_hostport_t hp;

    memset(addr, 0, sizeof(*addr));
    if (!veil_hostport_parse(&hp, text)) {
        return veil_conf_error_at(cf, 1, "invalid address \"%.*s\"",
                                  VEIL_STR_ARG(text));
    }
    if (hp.is_unix) {
        addr->family = AF_UNIX;
        addr->u.path = veil_pool_strz(cf->pool, hp.path);
        return VEIL_OK;
    }
    addr->port = hp.has_port ? hp.port : 80;
    if (hp.host.len == 0) {
        addr->family = AF_INET;
        return VEIL_OK;
    }
    if (veil_str_eq(hp.host, VEIL_STR("localhost"))) {
        hp.host = VEIL_STR("127.0.0.1");
    }
    if (!veil_addr_parse_ip(addr, hp.host)) {
        return veil_conf_error_at(
            cf, 1, "\"listen\" needs an address, not the name \"%.*s\"",
            VEIL_STR_ARG(hp.host));
    }
    addr->port = hp.has_port ? hp.port : 80;
    return VEIL_OK;
}

/* "8000-8010": the last port; 0: no range. */
static veil_rc_t
listen_range(veil_conf_t *cf, veil_str_t *text, uint16_t *last)
{
    ptrdiff_t dash = veil_str_rchr(*text, '-');
    int64_t n;

    *last = 0;
    if (dash < 0 || veil_str_starts(*text, VEIL_STR("unix:"))) {
        return VEIL_OK;
    }
    n = veil_str_to_int(veil_str_from(*text, (size_t) dash + 1));
    if (n < 1 || n > 65535) {
        return veil_conf_error_at(cf, 1, "invalid port range in \"%.*s\"",
                                  VEIL_STR_ARG(*text));
    }
    *last = (uint16_t) n;
    text->len = (size_t) dash;
    return VEIL_OK;
}

static veil_rc_t
listen_add(veil_conf_t *cf, veil_http_server_t *s, const veil_http_listen_t *l)
{
    veil_http_listen_t *to;
    unsigned i;

    for (i = 0; i < s->listens.n; i++) {
        to = veil_array_at(&s->listens, veil_http_listen_t, i);
        if (veil_addr_eq(&to->options.addr, &l->options.addr)) {
            return veil_conf_error_at(cf, 1, "a duplicate listen %.*s",
                                      VEIL_STR_ARG(veil_conf_arg(cf, 1)));
        }
    }
    to = veil_array_push(&s->listens);
    *to = *l;
    return VEIL_OK;
}

veil_rc_t
veil_http_set_listen(veil_conf_t *cf, const veil_command_t *cmd VEIL_UNUSED,
                     void *conf VEIL_UNUSED)
{
    veil_http_server_t *s = cf->scope->object;
    veil_str_t text = veil_conf_arg(cf, 1);
    veil_http_listen_t l;
    uint16_t last;
    unsigned i;

    memset(&l, 0, sizeof(l));
    l.node = cf->node;
    l.options.node = cf->node;
    l.options.type = SOCK_STREAM;
    l.options.backlog = LISTEN_BACKLOG;
    l.options.ipv6only = -1;
    l.options.keepalive = -1;

    if (listen_range(cf, &text, &last) != VEIL_OK
        || listen_address(cf, text, &l.options.addr) != VEIL_OK)
    {
        return VEIL_ERROR;
    }
    for (i = 2; i < veil_conf_nargs(cf); i++) {
        if (listen_set_parameter(cf, i, &l) != VEIL_OK) {
            return VEIL_ERROR;
        }
    }
    if (last != 0 && last < l.options.addr.port) {
        return veil_conf_error_at(cf, 1, "invalid port range in \"%.*s\"",
                                  VEIL_STR_ARG(veil_conf_arg(cf, 1)));
    }
    do {
        if (listen_add(cf, s, &l) != VEIL_OK) {
            return VEIL_ERROR;
        }
    } while (l.options.addr.port++ < last);
    return VEIL_OK;
}

/* --- ports
 * ----------------------------------------------------------------------- */

static veil_http_port_t *
listen_find_port(veil_http_main_t *main, const veil_addr_t *addr)
{
    veil_http_port_t *port;
    unsigned i;

    for (i = 0; i < main->ports.n; i++) {
        port = *veil_array_at(&main->ports, veil_http_port_t *, i);
        if (veil_addr_eq(&port->addr, addr)) {
            return port;
        }
    }
    return NULL;
}

static veil_rc_t
listen_add_server(veil_conf_t *cf, veil_http_main_t *main,
                  veil_http_server_t *s, const veil_http_listen_t *l)
{
    veil_http_port_t *port = listen_find_port(main, &l->options.addr);

    if (port == NULL) {
        port = VEIL_POOL_NEW(cf->pool, veil_http_port_t);
        port->addr = l->options.addr;
        port->from = l;
        port->default_server = s;
        veil_array_init(&port->servers, cf->pool, sizeof(s), 1);
        *(veil_http_port_t **) veil_array_push(&main->ports) = port;
    } else if (l->bind && port->from->bind) {
        return veil_conf_error_node(
            cf, l->node, 1,
            "duplicate listen options for \"%.*s\": give them once",
            VEIL_STR_ARG(l->node->args[1].str));
    } else if (l->bind) {
        port->from = l;
    }

    if (l->default_server) {
        if (port->explicit_default) {
            return veil_conf_error_node(
                cf, l->node, 1, "a duplicate default server for \"%.*s\"",
                VEIL_STR_ARG(l->node->args[1].str));
        }
        port->explicit_default = true;
        port->default_server = s;
    }
    port->ssl = port->ssl || l->ssl;
    *(veil_http_server_t **) veil_array_push(&port->servers) = s;
    return VEIL_OK;
}

/* The wildcard port whose socket also serves this one; NULL: none. */
static veil_http_port_t *
listen_wildcard_for(veil_http_main_t *main, const veil_http_port_t *port)
{
    veil_http_port_t *wild;
    unsigned i;

    if (port->addr.family == AF_UNIX || port->from->bind
        || veil_addr_is_wildcard(&port->addr))
    {
        return NULL;
    }
    for (i = 0; i < main->ports.n; i++) {
        wild = *veil_array_at(&main->ports, veil_http_port_t *, i);
        if (wild->addr.family == port->addr.family
            && wild->addr.port == port->addr.port
            && veil_addr_is_wildcard(&wild->addr))
        {
            return wild;
        }
    }
    return NULL;
}

static void
listen_open(veil_conf_t *cf, veil_http_port_t *port)
{
    veil_listen_t *l = VEIL_POOL_NEW(cf->pool, veil_listen_t);

    *l = port->from->options;
    veil_list_init(&l->link);
    l->nslots = l->reuseport ? veil_main_conf(cf->cycle)->workers : 1;
    if (l->nslots == 0) {
        l->nslots = 1;
    }
    l->accept = veil_http_conn_accept;
    l->data = port;
    port->listen = l;
    veil_list_append(&cf->cycle->listens, &l->link);
}

veil_rc_t
veil_http_ports_build(veil_conf_t *cf, veil_http_main_t *main)
{
    veil_http_port_t *port, *wild;
    veil_http_server_t *s;
    unsigned i, k;

    for (i = 0; i < main->servers.n; i++) {
        s = *veil_array_at(&main->servers, veil_http_server_t *, i);
        for (k = 0; k < s->listens.n; k++) {
            if (listen_add_server(
                    cf, main, s,
                    veil_array_at(&s->listens, veil_http_listen_t, k))
                != VEIL_OK)
            {
                return VEIL_ERROR;
            }
        }
    }
    for (i = 0; i < main->ports.n; i++) {
        port = *veil_array_at(&main->ports, veil_http_port_t *, i);
        if (veil_http_names_build(cf, port) != VEIL_OK) {
            return VEIL_ERROR;
        }
        wild = listen_wildcard_for(main, port);
        if (wild == NULL) {
            listen_open(cf, port);
            continue;
        }
        if (wild->addrs == NULL) {
            wild->addrs = veil_array_create(cf->pool, sizeof(port), 2);
        }
        *(veil_http_port_t **) veil_array_push(wild->addrs) = port;
    }
    return VEIL_OK;
}

const veil_http_port_t *
veil_http_port_for(const veil_http_port_t *port, const veil_addr_t *local)
{
    const veil_http_port_t *p;
    unsigned i;

    for (i = 0; port->addrs != NULL && i < port->addrs->n; i++) {
        p = *veil_array_at(port->addrs, veil_http_port_t *, i);
        if (veil_addr_eq(&p->addr, local)) {
            return p;
        }
    }
    return port;
}
