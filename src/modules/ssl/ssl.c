/*
 * ssl.c -- TLS towards clients: contexts of servers, and what requests owe
 * to the handshake.
 *
 * When the configuration is complete, each distinct set of directives that
 * has a certificate becomes a context (event/tls_ctx.c), which reads all
 * files.  http/tls.c takes it from the server.
 *
 * A handshake succeeds whatever certificate the client showed or did not
 * show; the first handler of a request then says what a person can read: 495
 * or 496, for a request that belongs to a server with other rules 421, and
 * 425 for what must not be done on the word of early data, which anybody may
 * have sent a second time (RFC 8470).
 */

#include "core/platform.h"

#include <openssl/ssl.h>
#include <openssl/x509.h>

#include "http/conn.h"
#include "modules/ssl/ssl_put_in.h"

veil_tls_t *
veil_ssl_session(const veil_http_request_t *r)
{
    return r->conn == NULL ? NULL : veil_tls_of(&r->conn->c);
}

/* --- contexts --------------------------------------------------------------
 */

static void
ssl_conf_default(void *data)
{
    veil_ssl_conf_t *conf = data;

    veil_tls_options_default(&conf->o, true);
}

static veil_rc_t
ssl_no_key(veil_conf_t *cf, const veil_ssl_file_t *cert)
{
    return veil_conf_error_node(
        cf, cert->node, 1,
        "no \"ssl_certificate_key\" is defined for certificate \"%.*s\"",
        VEIL_STR_ARG(cert->text));
}

/* The n-th key belongs to the n-th certificate. */
static veil_rc_t
ssl_pair(veil_conf_t *cf, veil_ssl_conf_t *conf)
{
    unsigned ncerts = conf->certs == NULL ? 0 : conf->certs->n;
    unsigned nkeys = conf->keys == NULL ? 0 : conf->keys->n, i;
    const veil_ssl_file_t *cert, *key;
    veil_tls_cert_files_t *files;

    conf->o.certs =
        veil_array_create(cf->pool, sizeof(*files), ncerts == 0 ? 1 : ncerts);
    for (i = 0; i < ncerts; i++) {
        cert = veil_array_at(conf->certs, veil_ssl_file_t, i);
        if (i >= nkeys) {
            return ssl_no_key(cf, cert);
        }
        key = veil_array_at(conf->keys, veil_ssl_file_t, i);
        files = veil_array_push(conf->o.certs);
        files->cert = cert->text;
        files->key = key->text;
        files->cert_node = cert->node;
        files->key_node = key->node;
        conf->o.certs_later |= cert->value != NULL || key->value != NULL;
    }
    return VEIL_OK;
}

/* nginx's three, of which HTTP/0.9 is not spoken here. */
static const veil_array_t *
ssl_alpn(veil_conf_t *cf)
{
    veil_array_t *list = veil_array_create(cf->pool, sizeof(veil_str_t), 2);

    *(veil_str_t *) veil_array_push(list) = VEIL_STR("http/1.1");
    *(veil_str_t *) veil_array_push(list) = VEIL_STR("http/1.0");
    return list;
}

static veil_rc_t
ssl_build(veil_conf_t *cf, veil_ssl_conf_t *conf, const veil_http_server_t *s)
{
    conf->built = true;
    veil_list_init(&conf->added);
    if (conf->certs == NULL && !conf->o.reject) {
        return VEIL_OK;
    }
    if (conf->o.node == NULL) {
        conf->o.node = s->node;
    }
    if (ssl_pair(cf, conf) != VEIL_OK) {
        return VEIL_ERROR;
    }
    if ((conf->o.verify == VEIL_TLS_VERIFY_ON
         || conf->o.verify == VEIL_TLS_VERIFY_OPTIONAL)
        && conf->o.client_ca.len == 0 && conf->o.trusted.len == 0)
    {
        return veil_conf_error_node(
            cf, conf->o.node, 0,
            "no ssl_client_certificate or ssl_trusted_certificate for "
            "ssl_verify_client");
    }
    if (conf->o.alpn == NULL) {
        conf->o.alpn = ssl_alpn(cf);
    }
    if (conf->o.tickets && conf->o.ticket_keys == NULL) {
        conf->o.keys = veil_tls_keys_zone(cf, conf->o.session_timeout);
        if (conf->o.keys == NULL) {
            return VEIL_ERROR;
        }
    }
    conf->ctx = veil_tls_ctx_create(cf, &conf->o);
    if (conf->ctx == NULL) {
        return VEIL_ERROR;
    }
    if (conf->o.certs_later) {
        conf->loader = veil_ssl_loader_create(cf, conf);
    }
    return VEIL_OK;
}

static veil_rc_t
ssl_build_server(veil_conf_t *cf, veil_http_server_t *s)
{
    veil_ssl_conf_t *conf = veil_ssl_conf_of(s);
    const veil_http_core_server_t *core =
        s->server_conf[veil_http_core_module.index];

    if (!conf->built && ssl_build(cf, conf, s) != VEIL_OK) {
        return VEIL_ERROR;
    }
    s->tls = conf->ctx;
    s->tls_select = conf->loader != NULL ? veil_ssl_load : NULL;
    s->tls_handshake_timeout = conf->handshake_timeout != 0
                                   ? conf->handshake_timeout
                                   : core->client_header_timeout;
    return VEIL_OK;
}

/* --- ports without certificates --------------------------------------------
 */

static veil_rc_t
ssl_missing(veil_conf_t *cf, const veil_http_port_t *port,
            const veil_http_server_t *s)
{
    const veil_conf_node_t *node = s->node;
    const veil_http_listen_t *l;
    unsigned i;

    for (i = 0; i < s->listens.n; i++) {
        l = veil_array_at(&s->listens, veil_http_listen_t, i);
        if (veil_addr_eq(&l->options.addr, &port->addr)) {
            node = l->node;
        }
    }
    return veil_conf_error_node(
        cf, node, 0,
        "no \"ssl_certificate\" is defined for the \"listen ... ssl\" "
        "directive");
}

static bool
ssl_verifies_as(const veil_tls_options_t *a, const veil_tls_options_t *b)
{
    return a->verify == b->verify && a->verify_depth == b->verify_depth
           && veil_str_eq(a->client_ca, b->client_ca)
           && veil_str_eq(a->trusted, b->trusted)
           && veil_str_eq(a->crl, b->crl);
}

/*
 * Its clients shake hands with the default server, which would let in whom
 * this one does not trust.
 */
static veil_rc_t
ssl_check_verify(veil_conf_t *cf, const veil_http_port_t *port,
                 const veil_http_server_t *s)
{
    const veil_tls_options_t *o = &veil_ssl_conf_of(s)->o;

    if (o->verify == VEIL_TLS_VERIFY_OFF
        || ssl_verifies_as(o, &veil_ssl_conf_of(port->default_server)->o))
    {
        return VEIL_OK;
    }
    return veil_conf_error_node(
        cf, s->node, 0,
        "a server without \"ssl_certificate\" verifies its clients as the "
        "default server of its port does, and here \"ssl_verify_client\" "
        "asks for something else");
}

/*
 * Servers without one are served with the default server's; so only where
 * that has none do the others need their own.
 */
static veil_rc_t
ssl_check_port(veil_conf_t *cf, const veil_http_port_t *port)
{
    const veil_ssl_conf_t *conf = veil_ssl_conf_of(port->default_server);
    bool has_one = conf->certs != NULL;
    const veil_http_server_t *s;
    unsigned i;

    if (!port->ssl) {
        return VEIL_OK;
    }
    if (!has_one && !conf->o.reject) {
        return ssl_missing(cf, port, port->default_server);
    }
    for (i = 0; i < port->servers.n; i++) {
        s = *veil_array_at(&port->servers, veil_http_server_t *, i);
        conf = veil_ssl_conf_of(s);
        if (conf->certs != NULL || conf->o.reject) {
            continue;
        }
        if (!has_one) {
            return ssl_missing(cf, port, s);
        }
        if (ssl_check_verify(cf, port, s) != VEIL_OK) {
            return VEIL_ERROR;
        }
    }
    return VEIL_OK;
}

/* Whether a variable is used that costs something. */
static bool
ssl_wants_hello(const veil_conf_t *cf)
{
    static const veil_str_t names[] = {
        VEIL_STR_INIT("ssl_ciphers"),
        VEIL_STR_INIT("ssl_curves"),
        VEIL_STR_INIT("ssl_sigalgs"),
        VEIL_STR_INIT("ssl_sigalg"),
        VEIL_STR_INIT("ssl_ech_status"),
        VEIL_STR_INIT("ssl_ech_outer_server_name"),
    };
    unsigned i;

    for (i = 0; i < veil_countof(names); i++) {
        if (veil_http_var_is_mentioned(cf, names[i])) {
            return true;
        }
    }
    return false;
}

static veil_rc_t
ssl_check(veil_conf_t *cf)
{
    veil_http_main_t *main = cf->cycle->http;
    veil_rc_t rc = VEIL_OK;
    unsigned i;

    veil_tls_keep_hello(ssl_wants_hello(cf));
    for (i = 0; i < main->servers.n; i++) {
        if (ssl_build_server(
                cf, *veil_array_at(&main->servers, veil_http_server_t *, i))
            != VEIL_OK)
        {
            rc = VEIL_ERROR;
        }
    }
    for (i = 0; i < main->ports.n; i++) {
        if (ssl_check_port(cf,
                           *veil_array_at(&main->ports, veil_http_port_t *, i))
            != VEIL_OK)
        {
            rc = VEIL_ERROR;
        }
    }
    return rc;
}

static void
ssl_exit_worker(veil_cycle_t *cycle)
{
    veil_http_main_t *main = cycle->http;
    veil_ssl_conf_t *conf;
    unsigned i;

    for (i = 0; i < main->servers.n; i++) {
        conf = veil_ssl_conf_of(
            *veil_array_at(&main->servers, veil_http_server_t *, i));
        if (conf->loader != NULL) {
            veil_ssl_loader_clear(conf->loader);
        }
    }
    veil_ssl_put_in_clear(cycle);
}

/* --- requests --------------------------------------------------------------
 */

/*
 * nginx: a request for another name than that of the handshake is misdirected
 * if the name's server verifies clients.  A handshake without a name was the
 * default server's, whose rules may be others.
 */
static bool
ssl_is_misdirected(const veil_http_request_t *r, const veil_tls_t *t)
{
    const veil_http_server_t *s = r->conn->server;
    veil_str_t name = veil_tls_server_name(t);

    if (name.len == 0) {
        return veil_ssl_conf_of(s) != veil_ssl_conf_of(r->server);
    }
    return !veil_str_eq(name, r->in.host)
           && (r->server != s || s != r->conn->port->default_server);
}

/* What "optional_no_ca" leaves to whoever reads the certificate. */
static bool
ssl_is_optional_error(long rc)
{
    switch (rc) {
    case X509_V_ERR_DEPTH_ZERO_SELF_SIGNED_CERT:
    case X509_V_ERR_SELF_SIGNED_CERT_IN_CHAIN:
    case X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT_LOCALLY:
    case X509_V_ERR_UNABLE_TO_VERIFY_LEAF_SIGNATURE:
        return true;
    default:
        return false;
    }
}

static veil_http_rc_t
ssl_verify(veil_http_request_t *r, const veil_tls_t *t, veil_tls_verify_t how)
{
    long rc = veil_tls_verify_result(t);

    if (rc != X509_V_OK
        && (how != VEIL_TLS_VERIFY_OPTIONAL_NO_CA
            || !ssl_is_optional_error(rc)))
    {
        veil_log(&r->log, VEIL_LOG_INFO, 0,
                 "client SSL certificate verify error: (%ld:%s)", rc,
                 veil_tls_verify_error(t));
        r->keepalive = false;
        r->reason = veil_tls_verify_error(t);
        return veil_http_fail(r, 495);
    }
    if (how == VEIL_TLS_VERIFY_ON
        && SSL_get0_peer_certificates(veil_tls_ssl(t)) == NULL)
    {
        r->keepalive = false;
        return veil_http_fail_why(r, 496,
                                  "client sent no required SSL certificate");
    }
    return VEIL_HTTP_NEXT;
}

static veil_http_rc_t
ssl_handler(veil_http_request_t *r)
{
    const veil_ssl_conf_t *conf;
    const veil_tls_t *t = veil_ssl_session(r);

    if (t == NULL) {
        return VEIL_HTTP_NEXT;
    }
    conf = veil_http_server_conf(r, &veil_http_ssl_module);
    if (conf->o.verify != VEIL_TLS_VERIFY_OFF) {
        if (ssl_is_misdirected(r, t)) {
            return veil_http_fail_why(
                r, 421,
                "client attempted to request the server name different from "
                "the one that was negotiated");
        }
        if (ssl_verify(r, t, (veil_tls_verify_t) conf->o.verify)
            == VEIL_HTTP_FAIL) {
            return VEIL_HTTP_FAIL;
        }
    }
    if (r->in.early
        && !veil_http_method_in(r, VEIL_GET | VEIL_HEAD | VEIL_OPTIONS
                                       | VEIL_TRACE))
    {
        return veil_http_fail_why(r, 425, "an unsafe method in early data");
    }
    return VEIL_HTTP_NEXT;
}

/* --- the module ------------------------------------------------------------
 */

static const veil_http_module_t ssl_http = {
    .server_conf_size = sizeof(veil_ssl_conf_t),
    .server_conf_default = ssl_conf_default,
    .check = ssl_check,
    .exit_worker = ssl_exit_worker,
    .handler = { VEIL_PHASE_POST_READ, ssl_handler },
    .variables = veil_ssl_variables,
    .lint = veil_ssl_lint,
};

static const char *const ssl_overlay[] = { "certificate", NULL };

static const veil_core_module_t ssl_core = {
    .init_keeper = veil_ssl_control_restore,
    .overlay = ssl_overlay,
};

veil_module_t veil_http_ssl_module = {
    .abi = VEIL_MODULE_ABI,
    .name = "ssl",
    .commands = veil_ssl_commands,
    .core = &ssl_core,
    .http = &ssl_http,
    .control = veil_ssl_control,
};
