/*
 * ssl_ocsp.c -- asking the responders of clients' certificates.
 *
 * A certificate that a client showed has been verified by the library when a
 * request comes; now the issuers are asked whether they have revoked it, or,
 * with "on", one of the certificates between it and the root.  The first
 * request of a connection waits for that, and what comes out is kept with the
 * session for those that follow.  Those that come meanwhile, as over HTTP/2,
 * wait for the first one and hear what it hears; when its client gives it up,
 * the next of them asks.  Whoever is not known to be good is refused: an
 * attacker with a revoked certificate may well be able to keep us from hearing
 * of it.
 *
 * It is a request that waits, not the handshake: so the client learns what is
 * wrong (495, as with other certificates that do not verify), and upstreams
 * with names that are resolved at run time are at hand.
 */

#include "core/platform.h"

#include <openssl/err.h>
#include <openssl/mem.h>
#include <openssl/ssl.h>
#include <openssl/x509.h>

#include "core/hash.h"
#include "event/tls.h"
#include "http/conn.h"
#include "modules/ssl_ocsp/ssl_ocsp.h"

extern veil_module_t veil_http_ssl_ocsp_module;

enum { SSL_OCSP_OFF, SSL_OCSP_ON, SSL_OCSP_LEAF };

typedef struct {
    int mode;
    veil_str_t responder;         /* empty: the certificate's */
    veil_upstream_group_t *group; /* of responder */
    veil_shm_zone_t *cache;       /* NULL: none */
    const veil_conf_node_t *node;
} ssl_ocsp_conf_t;

/* A chain that is being asked about; the request's. */
typedef struct {
    veil_http_request_t *r;
    const ssl_ocsp_conf_t *conf;
    veil_tls_t *session;
    bool leads;             /* it asks, for all requests of the session */
    veil_list_t followers;  /* that wait for it */
    veil_list_t link;       /* of a follower */
    STACK_OF(X509) * chain; /* from the client's to a root */
    size_t n;               /* to be asked about */
    size_t i;               /* the one it is about now */
    const char *why;        /* the result, of static memory; NULL: not yet */
    veil_ssl_ocsp_fetch_t *fetch;
    veil_str_t host;
    char name[128]; /* of the certificate, for the log */
    veil_log_t log;
} ssl_ocsp_check_t;

static const char ssl_ocsp_request_failed[] =
    "certificate status request failed";

/* Those that lead, by their sessions: the bytes of the pointer. */
static veil_hash_t ssl_ocsp_leaders;

static size_t
ssl_ocsp_print(const veil_log_t *log, char *buf, size_t n)
{
    const ssl_ocsp_check_t *check =
        veil_container_of((void *) (uintptr_t) log, ssl_ocsp_check_t, log);
    const veil_log_t *request = &check->r->log;
    size_t len = request->print(request, buf, n);

    return len
           + veil_ssl_ocsp_print(check->fetch, check->host,
                                 veil_str_z(check->name), buf + len, n - len);
}

/* --- one certificate after the other --------------------------------------
 */

static const char *
ssl_ocsp_why(veil_ocsp_status_t status)
{
    switch (status) {
    case VEIL_OCSP_GOOD:
        return NULL;
    case VEIL_OCSP_REVOKED:
        return "certificate revoked";
    default:
        return "certificate status unknown";
    }
}

/* The status of the present certificate: the next, or the end. */
static void
ssl_ocsp_take(ssl_ocsp_check_t *check, veil_ocsp_status_t status)
{
    check->why = ssl_ocsp_why(status);
    check->i++;
}

static void
ssl_ocsp_done(veil_ssl_ocsp_fetch_t *f, veil_rc_t rc)
{
    ssl_ocsp_check_t *check = f->owner;
    veil_ssl_ocsp_key_t key;

    if (rc != VEIL_OK) {
        check->why = ssl_ocsp_request_failed;
    } else {
        if (check->conf->cache != NULL) {
            key = veil_ssl_ocsp_key(f->query.cert, f->query.issuer);
            veil_ssl_ocsp_cache_put(check->conf->cache, &key, f->result.status,
                                    f->result.next_update);
        }
        ssl_ocsp_take(check, f->result.status);
    }
    veil_ssl_ocsp_fetch_end(&check->fetch);
    veil_http_resume(check->r);
}

/* Whom to ask, for f; why not, or NULL. */
static const char *
ssl_ocsp_find(ssl_ocsp_check_t *check, veil_ssl_ocsp_fetch_t *f)
{
    veil_str_t url = check->conf->responder;
    const char *why;

    if (url.len == 0) {
        url = veil_ocsp_responder_url(f->pool, f->query.cert);
    }
    if (url.len == 0) {
        return "no OCSP responder URL in the certificate";
    }
    why = veil_ssl_ocsp_target(f->pool, url, f->query.cert, f->query.issuer,
                               &f->target);
    if (why != NULL) {
        return why;
    }
    check->host = veil_pool_str(check->r->pool, f->target.host);
    f->group = check->conf->group;
    if (f->group == NULL) {
        f->group = veil_upstream_group_dynamic(check->r, f->target.host, 80);
    }
    return f->group == NULL ? "invalid host in OCSP responder" : NULL;
}

/* True: ssl_ocsp_done() follows. */
static bool
ssl_ocsp_ask(ssl_ocsp_check_t *check, X509 *cert, X509 *issuer)
{
    veil_ssl_ocsp_fetch_t *f = veil_ssl_ocsp_fetch_create();
    const char *why;

    check->fetch = f;
    check->host = VEIL_STR_NULL;
    (void) X509_NAME_oneline(X509_get_subject_name(cert), check->name,
                             sizeof(check->name));
    f->loop = veil_cycle->loop;
    f->log = &check->log;
    f->query.cert = cert;
    f->query.issuer = issuer;
    f->query.verify = true;
    f->done = ssl_ocsp_done;
    f->owner = check;
    why = ssl_ocsp_find(check, f);
    if (why != NULL) {
        veil_log(&check->log, VEIL_LOG_ERR, 0, "%s", why);
        veil_ssl_ocsp_fetch_end(&check->fetch);
        check->why = ssl_ocsp_request_failed;
        return false;
    }
    veil_ssl_ocsp_fetch_start(f);
    return true;
}

/* True: it waits; false: check->why is the result. */
static bool
ssl_ocsp_step(ssl_ocsp_check_t *check)
{
    const ssl_ocsp_conf_t *conf = check->conf;
    veil_ocsp_status_t status;
    veil_ssl_ocsp_key_t key;
    X509 *cert, *issuer;

    while (check->why == NULL && check->i < check->n) {
        cert = sk_X509_value(check->chain, check->i);
        issuer = sk_X509_value(check->chain, check->i + 1);
        if (conf->cache != NULL) {
            key = veil_ssl_ocsp_key(cert, issuer);
            if (veil_ssl_ocsp_cache_get(conf->cache, &key, &status)) {
                ssl_ocsp_take(check, status);
                continue;
            }
        }
        if (ssl_ocsp_ask(check, cert, issuer)) {
            return true;
        }
    }
    if (check->why == NULL) {
        check->why = "";
    }
    return false;
}

/* --- the chain ------------------------------------------------------------
 */

/* The chain that the library verified, which it does not keep. */
static STACK_OF(X509) * ssl_ocsp_chain(SSL *ssl, X509 *leaf)
{
    STACK_OF(X509) *sent = SSL_get_peer_full_cert_chain(ssl), *chain = NULL;
    X509_STORE_CTX *x = X509_STORE_CTX_new();

    VEIL_ASSERT(x != NULL);
    if (X509_STORE_CTX_init(x, SSL_CTX_get_cert_store(SSL_get_SSL_CTX(ssl)),
                            leaf, sent)
        && X509_verify_cert(x) == 1)
    {
        chain = X509_STORE_CTX_get1_chain(x);
    }
    X509_STORE_CTX_free(x);
    return chain;
}

/* Prepares for asking about the certificate that the client showed. */
static void
ssl_ocsp_begin(ssl_ocsp_check_t *check)
{
    SSL *ssl = veil_tls_ssl(check->session);
    X509 *leaf = SSL_get_peer_certificate(ssl);

    check->log = check->r->log;
    check->log.print = ssl_ocsp_print;
    check->chain = ssl_ocsp_chain(ssl, leaf);
    X509_free(leaf);
    ERR_clear_error();
    if (check->chain == NULL) {
        veil_log(&check->log, VEIL_LOG_ERR, 0,
                 "no chain of the client's certificate can be built");
        check->why = ssl_ocsp_request_failed;
        return;
    }
    check->n = sk_X509_num(check->chain) - 1;
    if (check->conf->mode == SSL_OCSP_LEAF && check->n > 1) {
        check->n = 1;
    }
}

/* --- several requests at once ---------------------------------------------
 */

static veil_str_t
ssl_ocsp_session_key(const ssl_ocsp_check_t *check)
{
    return veil_str_n((const char *) &check->session, sizeof(check->session));
}

/* False: another request of the session does, and this one is woken by it. */
static bool
ssl_ocsp_lead(ssl_ocsp_check_t *check)
{
    veil_str_t key = ssl_ocsp_session_key(check);
    ssl_ocsp_check_t *other = veil_hash_find(&ssl_ocsp_leaders, key);

    if (other != NULL) {
        veil_list_append(&other->followers, &check->link);
        return false;
    }
    (void) veil_hash_add(&ssl_ocsp_leaders, key, check);
    check->leads = true;
    ssl_ocsp_begin(check);
    return true;
}

/* It asks no more: those who wait look at the result, or ask themselves. */
static void
ssl_ocsp_leave(ssl_ocsp_check_t *check)
{
    veil_list_t *n;

    if (check->leads) {
        check->leads = false;
        (void) veil_hash_remove(&ssl_ocsp_leaders,
                                ssl_ocsp_session_key(check));
    }
    while ((n = veil_list_pop(&check->followers)) != NULL) {
        veil_http_resume(veil_list_entry(n, ssl_ocsp_check_t, link)->r);
    }
}

static void
ssl_ocsp_check_end(void *data)
{
    ssl_ocsp_check_t *check = data;

    if (check->fetch != NULL) {
        veil_ssl_ocsp_fetch_end(&check->fetch);
    }
    veil_list_remove(&check->link);
    ssl_ocsp_leave(check);
    sk_X509_pop_free(check->chain, X509_free);
    check->chain = NULL;
}

static ssl_ocsp_check_t *
ssl_ocsp_create(veil_http_request_t *r, const ssl_ocsp_conf_t *conf,
                veil_tls_t *session)
{
    ssl_ocsp_check_t *check = VEIL_POOL_NEW(r->pool, ssl_ocsp_check_t);

    check->r = r;
    check->conf = conf;
    check->session = session;
    veil_list_init(&check->followers);
    veil_list_init(&check->link);
    veil_pool_on_destroy(r->pool, ssl_ocsp_check_end, check);
    veil_http_set_ctx(r, &veil_http_ssl_ocsp_module, check);
    return check;
}

/* --- requests -------------------------------------------------------------
 */

static void
ssl_ocsp_cancel(veil_http_request_t *r)
{
    ssl_ocsp_check_t *check = veil_http_ctx(r, &veil_http_ssl_ocsp_module);

    if (check->fetch != NULL) {
        veil_ssl_ocsp_fetch_end(&check->fetch);
        check->why = ssl_ocsp_request_failed;
        ssl_ocsp_leave(check);
        veil_http_resume(r);
    } else if (veil_list_is_linked(&check->link)) {
        veil_list_remove(&check->link);
        veil_http_resume(r);
    }
}

static veil_http_rc_t
ssl_ocsp_judge(veil_http_request_t *r, const char *status)
{
    if (status[0] == '\0') {
        return VEIL_HTTP_NEXT;
    }
    veil_log(&r->log, VEIL_LOG_INFO, 0,
             "client SSL certificate verify error: %s", status);
    r->keepalive = false;
    return veil_http_fail(r, 495);
}

static veil_http_rc_t
ssl_ocsp_handler(veil_http_request_t *r)
{
    const ssl_ocsp_conf_t *conf =
        veil_http_server_conf(r, &veil_http_ssl_ocsp_module);
    ssl_ocsp_check_t *check;
    veil_tls_t *t;

    if (conf->mode == SSL_OCSP_OFF || r->conn == NULL) {
        return VEIL_HTTP_NEXT;
    }
    t = veil_tls_of(&r->conn->c);
    check = veil_http_ctx(r, &veil_http_ssl_ocsp_module);
    if (check == NULL) {
        if (t == NULL || veil_tls_cert_status(t) != NULL
            || veil_tls_verify_result(t) != X509_V_OK
            || SSL_get0_peer_certificates(veil_tls_ssl(t)) == NULL)
        {
            /* What is bad was refused by the module "ssl", before. */
            return VEIL_HTTP_NEXT;
        }
        check = ssl_ocsp_create(r, conf, t);
    }
    if (veil_tls_cert_status(t) == NULL) {
        if (!(check->leads || ssl_ocsp_lead(check)) || ssl_ocsp_step(check)) {
            return veil_http_wait(r, ssl_ocsp_cancel);
        }
        veil_tls_set_cert_status(t, check->why);
        ssl_ocsp_leave(check);
    }
    return ssl_ocsp_judge(r, veil_tls_cert_status(t));
}

/* --- the configuration ----------------------------------------------------
 */

static veil_rc_t
ssl_ocsp_check(veil_conf_t *cf)
{
    const veil_http_main_t *m = cf->cycle->http;
    const veil_http_server_t *s;
    const ssl_ocsp_conf_t *conf;
    unsigned i;

    for (i = 0; i < m->servers.n; i++) {
        s = *veil_array_at(&m->servers, veil_http_server_t *, i);
        conf = s->server_conf[veil_http_ssl_ocsp_module.index];
        if (conf->mode != SSL_OCSP_OFF && s->tls != NULL
            && veil_tls_ctx_options(s->tls)->verify
                   == VEIL_TLS_VERIFY_OPTIONAL_NO_CA)
        {
            return veil_conf_error_node(
                cf, conf->node, 0,
                "\"ssl_ocsp\" is incompatible with \"ssl_verify_client "
                "optional_no_ca\"");
        }
    }
    return VEIL_OK;
}

static veil_rc_t
ssl_ocsp_set_mode(veil_conf_t *cf, const veil_command_t *cmd, void *data)
{
    ssl_ocsp_conf_t *conf = data;

    conf->node = cf->node;
    return veil_conf_set_enum(cf, cmd, data);
}

static veil_rc_t
ssl_ocsp_set_responder(veil_conf_t *cf, const veil_command_t *cmd VEIL_UNUSED,
                       void *data)
{
    ssl_ocsp_conf_t *conf = data;
    veil_str_t host;
    const char *why;

    conf->responder = veil_conf_arg(cf, 1);
    why = veil_ssl_ocsp_host(conf->responder, &host);
    if (why != NULL) {
        return veil_conf_error_at(cf, 1, "%s in OCSP responder \"%.*s\"", why,
                                  VEIL_STR_ARG(conf->responder));
    }
    conf->group = veil_upstream_group_find(cf, host, 80);
    return conf->group == NULL ? VEIL_ERROR : VEIL_OK;
}

static veil_rc_t
ssl_ocsp_set_cache(veil_conf_t *cf, const veil_command_t *cmd VEIL_UNUSED,
                   void *data)
{
    static const char *const words[] = { "off", "shared:", NULL };
    ssl_ocsp_conf_t *conf = data;

    if (veil_str_eq(veil_conf_arg(cf, 1), VEIL_STR("off"))) {
        conf->cache = NULL;
        return VEIL_OK;
    }
    if (!veil_str_starts(veil_conf_arg(cf, 1), VEIL_STR("shared:"))) {
        return veil_conf_error_word(cf, 1, words);
    }
    conf->cache = veil_ssl_ocsp_cache_add(cf);
    return conf->cache == NULL ? VEIL_ERROR : VEIL_OK;
}

static const veil_conf_enum_t ssl_ocsp_modes[] = {
    { "off", SSL_OCSP_OFF },
    { "on", SSL_OCSP_ON },
    { "leaf", SSL_OCSP_LEAF },
    { NULL, 0 },
};

static const veil_command_t ssl_ocsp_commands[] = {
    { .name = "ssl_ocsp",
      .where = VEIL_CONF_HTTP | VEIL_CONF_SERVER,
      .kind = VEIL_CONF_OF_SERVER,
      .args = VEIL_ARGS_1,
      .set = ssl_ocsp_set_mode,
      .offset = offsetof(ssl_ocsp_conf_t, mode),
      .data = ssl_ocsp_modes,
      .syntax = "on | off | leaf",
      .def = "off",
      .help = "Asks whether a client's certificate was revoked: all of its "
              "chain, or itself only." },

    { .name = "ssl_ocsp_responder",
      .where = VEIL_CONF_HTTP | VEIL_CONF_SERVER,
      .kind = VEIL_CONF_OF_SERVER,
      .args = VEIL_ARGS_1,
      .set = ssl_ocsp_set_responder,
      .syntax = "url",
      .help = "The OCSP responder to ask about clients' certificates instead "
              "of the one that a certificate names." },

    { .name = "ssl_ocsp_cache",
      .where = VEIL_CONF_HTTP | VEIL_CONF_SERVER,
      .kind = VEIL_CONF_OF_SERVER,
      .args = VEIL_ARGS_1,
      .set = ssl_ocsp_set_cache,
      .syntax = "off | shared:name:size",
      .def = "off",
      .help = "Keeps what was said about clients' certificates, for all "
              "workers." },

    { .name = NULL },
};

static void
ssl_ocsp_exit_worker(veil_cycle_t *cycle VEIL_UNUSED)
{
    veil_hash_done(&ssl_ocsp_leaders);
}

static const veil_http_module_t ssl_ocsp_hooks = {
    .server_conf_size = sizeof(ssl_ocsp_conf_t),
    .check = ssl_ocsp_check,
    .exit_worker = ssl_ocsp_exit_worker,
    .handler = { VEIL_PHASE_POST_READ, ssl_ocsp_handler },
};

veil_module_t veil_http_ssl_ocsp_module = {
    .abi = VEIL_MODULE_ABI,
    .name = "ssl_ocsp",
    .commands = ssl_ocsp_commands,
    .http = &ssl_ocsp_hooks,
};
