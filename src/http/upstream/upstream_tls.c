/*
 * upstream_tls.c -- TLS to upstreams: with whom, with what, and as whom.
 *
 * Whether an attempt speaks TLS is known when its peer has been picked: the
 * "server" line may say http:// or https://, and where it does not the URL
 * of proxy_pass does.  The name a certificate must be for, and that is asked
 * for (SNI), is "sni=" of the server, else proxy_ssl_name, else the host of
 * the server's own https://, else that of the URL, as in nginx.  Addresses
 * are verified too, and never asked for (RFC 6066, 3).
 *
 * A connection is known by its key: name, what of it is sent and verified,
 * and the files of the client's certificate.  Kept connections and sessions
 * are used again only where context and key are the same, so that what was
 * verified for one name never serves another.
 *
 * Contexts are made while the configuration is read.  Locations with equal
 * options share one: a bundle of trusted certificates takes a megabyte and
 * milliseconds.  Certificates with variables are loaded on a thread when a
 * connection needs them, and the attempt waits; proxy_ssl_certificate_cache
 * keeps them.
 *
 * The handshake itself is event/tls_conn.c's.  What that logs is logged as
 * the request's the connection is for.
 */

#include "http/upstream/upstream_impl.h"

#include "core/cycle.h"

/* Of SNI (RFC 6066) and of names in the DNS. */
#define TLS_NAME_MAX 255

/* A context of the run time, kept; of this worker. */
typedef struct {
    veil_list_t link; /* the last used first */
    const veil_conf_cache_t *certs;
    const veil_tls_ctx_t *base;
    veil_tls_ctx_t *ctx;
    uint64_t loaded_ms;
    uint64_t used_ms;
    veil_str_t cert; /* behind this struct */
    veil_str_t key;
} upstream_tls_kept_t;

/* What m->tls_clients has. */
typedef struct {
    const veil_tls_options_t *options;
    veil_tls_ctx_t *ctx;
} upstream_tls_shared_t;

static veil_list_t upstream_tls_kept;

/* --- the configuration ----------------------------------------------------
 */

void
veil_upstream_tls_default(veil_upstream_tls_t *tls)
{
    veil_tls_options_default(&tls->options, false);
    tls->verify = true;
    tls->server_name = true;
}

veil_upstream_tls_need_t
veil_upstream_tls_need(const veil_http_main_t *m,
                       const veil_upstream_group_t *g, bool https)
{
    unsigned i, k;

    if (https) {
        return VEIL_UPSTREAM_TLS_ALWAYS;
    }
    for (i = 0; i < m->upstreams.n; i++) {
        const veil_upstream_group_t *other =
            *veil_array_at(&m->upstreams, veil_upstream_group_t *, i);

        if (g != NULL && g != other) {
            continue;
        }
        for (k = 0; k < other->servers.n; k++) {
            if ((*veil_array_at(&other->servers, veil_upstream_server_t *, k))
                    ->scheme
                == VEIL_SCHEME_HTTPS)
            {
                return g != NULL ? VEIL_UPSTREAM_TLS_ALWAYS
                                 : VEIL_UPSTREAM_TLS_MAYBE;
            }
        }
    }
    return VEIL_UPSTREAM_TLS_NEVER;
}

static bool
upstream_tls_same_strs(const veil_array_t *a, const veil_array_t *b)
{
    unsigned i;

    if (a == b) {
        return true;
    }
    if (a == NULL || b == NULL || a->n != b->n) {
        return false;
    }
    for (i = 0; i < a->n; i++) {
        if (!veil_str_eq(*veil_array_at(a, veil_str_t, i),
                         *veil_array_at(b, veil_str_t, i)))
        {
            return false;
        }
    }
    return true;
}

static bool
upstream_tls_same_certs(const veil_array_t *a, const veil_array_t *b)
{
    const veil_tls_cert_files_t *f, *g;

    if (a == NULL || b == NULL) {
        return a == b;
    }
    f = a->elts; /* a client has one */
    g = b->elts;
    return veil_str_eq(f->cert, g->cert) && veil_str_eq(f->key, g->key);
}

/* What proxy_ssl_... can set; the rest is the default. */
static bool
upstream_tls_same_options(const veil_tls_options_t *a,
                          const veil_tls_options_t *b)
{
    return a->protocols == b->protocols && veil_str_eq(a->ciphers, b->ciphers)
           && veil_str_eq(a->trusted, b->trusted)
           && veil_str_eq(a->crl, b->crl) && a->verify == b->verify
           && a->verify_depth == b->verify_depth
           && a->session_reuse == b->session_reuse && a->ktls == b->ktls
           && a->ktls_fallback == b->ktls_fallback
           && upstream_tls_same_strs(a->alpn, b->alpn)
           && upstream_tls_same_certs(a->certs, b->certs)
           && upstream_tls_same_strs(a->passwords, b->passwords);
}

/* The client's certificate, when its files are known now. */
static veil_rc_t
upstream_tls_finish_cert(veil_conf_t *cf, veil_upstream_tls_t *tls)
{
    veil_tls_options_t *o = &tls->options;
    veil_tls_cert_files_t *f;
    veil_str_t cert, key;

    if (tls->cert == NULL) {
        return VEIL_OK;
    }
    if (tls->key == NULL) {
        return veil_conf_error_node(
            cf, tls->cert_node, 1,
            "no \"%.*s_key\" is defined for the certificate \"%.*s\"",
            VEIL_STR_ARG(tls->cert_node->args[0].str),
            VEIL_STR_ARG(tls->cert_node->args[1].str));
    }
    if (!veil_http_value_is_constant(tls->cert)
        || !veil_http_value_is_constant(tls->key))
    {
        return VEIL_OK;
    }
    cert = veil_http_value_text(tls->cert);
    key = veil_http_value_text(tls->key);
    if (cert.len == 0) {
        return VEIL_OK; /* as in nginx: there is none here */
    }
    o->certs = veil_array_create(cf->pool, sizeof(*f), 1);
    f = veil_array_push(o->certs);
    f->cert = veil_str_starts(cert, VEIL_STR("data:"))
                  ? cert
                  : veil_conf_full_path(cf, cert, true);
    f->key = veil_str_starts(key, VEIL_STR("data:"))
                 ? key
                 : veil_conf_full_path(cf, key, true);
    f->cert_node = tls->cert_node;
    f->key_node = tls->key_node;
    return VEIL_OK;
}

static veil_tls_ctx_t *
upstream_tls_share(veil_conf_t *cf, const veil_tls_options_t *o)
{
    veil_http_main_t *m = cf->cycle->http;
    upstream_tls_shared_t *s;
    veil_tls_ctx_t *ctx;
    unsigned i;

    for (i = 0; i < m->tls_clients.n; i++) {
        s = veil_array_at(&m->tls_clients, upstream_tls_shared_t, i);
        if (upstream_tls_same_options(s->options, o)) {
            return s->ctx;
        }
    }
    ctx = veil_tls_ctx_create(cf, o);
    if (ctx != NULL) {
        if (m->tls_clients.size == 0) {
            veil_array_init(&m->tls_clients, cf->pool, sizeof(*s), 2);
        }
        s = veil_array_push(&m->tls_clients);
        s->options = veil_tls_ctx_options(ctx);
        s->ctx = ctx;
    }
    return ctx;
}

/* Not usable: no certificates to verify with, but that may never matter. */
static veil_rc_t
upstream_tls_check_bundle(veil_conf_t *cf, const veil_upstream_tls_t *tls,
                          veil_upstream_tls_need_t need, bool *usable)
{
    static const char why[] =
        "no system's bundle of trusted certificates was found to verify "
        "upstreams with: install ca-certificates, name one in "
        "\"%.*s_ssl_trusted_certificate\" or the environment variable "
        "SSL_CERT_FILE, or say \"%.*s_ssl_verify off\"";
    /* "proxy" of "proxy_pass" */
    veil_str_t rest = tls->options.node->args[0].str;
    veil_str_t who = veil_str_cut(&rest, '_');

    *usable = true;
    if (!tls->verify || tls->options.trusted.len != 0
        || veil_tls_system_bundle() != NULL)
    {
        return VEIL_OK;
    }
    *usable = false;
    if (need == VEIL_UPSTREAM_TLS_ALWAYS) {
        return veil_conf_error_node(cf, tls->options.node, 0, why,
                                    VEIL_STR_ARG(who), VEIL_STR_ARG(who));
    }
    if (!veil_conf_mark_said(cf, why)) {
        veil_conf_warn_node(cf, tls->options.node, why, VEIL_STR_ARG(who),
                            VEIL_STR_ARG(who));
    }
    return VEIL_OK;
}

veil_rc_t
veil_upstream_tls_finish(veil_conf_t *cf, veil_upstream_tls_t *tls,
                         veil_upstream_tls_need_t need)
{
    veil_tls_options_t *o = &tls->options;
    bool usable;

    tls->ctx = NULL;
    if (need == VEIL_UPSTREAM_TLS_NEVER
        || (need == VEIL_UPSTREAM_TLS_MAYBE && !veil_tls_is_built()))
    {
        return VEIL_OK;
    }
    o->verify = tls->verify ? VEIL_TLS_VERIFY_ON : VEIL_TLS_VERIFY_OFF;
    if (upstream_tls_check_bundle(cf, tls, need, &usable) != VEIL_OK) {
        return VEIL_ERROR;
    }
    if (!usable) {
        return VEIL_OK;
    }
    if (upstream_tls_finish_cert(cf, tls) != VEIL_OK) {
        return VEIL_ERROR;
    }
    tls->ctx = upstream_tls_share(cf, o);
    return tls->ctx == NULL ? VEIL_ERROR : VEIL_OK;
}

veil_rc_t
veil_upstream_tls_set_cache(veil_conf_t *cf, veil_upstream_tls_t *tls)
{
    veil_conf_cache_t *certs = VEIL_POOL_NEW(cf->pool, veil_conf_cache_t);

    certs->inactive_ms = 10000;
    certs->valid_ms = 60000;
    if (veil_conf_arg_cache(cf, certs) != VEIL_OK) {
        return VEIL_ERROR;
    }
    tls->certs = certs->max != 0 ? certs : NULL;
    return VEIL_OK;
}

/* --- with whom ------------------------------------------------------------
 */

/* "host:port", "[v6]:port", "v6", a name: without the port. */
static veil_str_t
upstream_tls_without_port(veil_str_t s)
{
    veil_hostport_t hp;
    veil_addr_t a;

    if (veil_addr_parse_ip(&a, s)) {
        return s.data[0] == '[' ? veil_str_n(s.data + 1, s.len - 2) : s;
    }
    if (veil_hostport_parse(&hp, s) && !hp.is_unix && hp.host.len != 0) {
        return hp.host;
    }
    return s;
}

static veil_str_t
upstream_tls_name(const veil_exchange_t *x, const veil_upstream_server_t *s)
{
    const veil_upstream_tls_t *tls = &x->conf->tls;

    if (s->sni.len != 0) {
        return s->sni;
    }
    if (tls->name != NULL && x->request != NULL) {
        return upstream_tls_without_port(
            veil_http_eval(x->request, tls->name));
    }
    if (s->scheme == VEIL_SCHEME_HTTPS && !s->is_unix) {
        return s->host;
    }
    return upstream_tls_without_port(x->host);
}

/* Whether it could be one: without blanks and control characters. */
static bool
upstream_tls_is_name(veil_str_t name)
{
    size_t i;

    for (i = 0; i < name.len; i++) {
        if ((unsigned char) name.data[i] <= ' ' || name.data[i] == 0x7f) {
            return false;
        }
    }
    return name.len <= TLS_NAME_MAX;
}

/* Lower case, without the final dot; addresses as they are. */
static bool
upstream_tls_set_name(veil_exchange_t *x, veil_str_t name)
{
    veil_upstream_target_t *t = x->priv->target;
    veil_addr_t a;
    char *text;

    t->is_addr = veil_addr_parse_ip(&a, name);
    if (!t->is_addr && name.len > 1 && name.data[name.len - 1] == '.') {
        name.len--;
    }
    if (!upstream_tls_is_name(name) || (name.len == 0 && x->conf->tls.verify))
    {
        veil_log(x->log, VEIL_LOG_ERR, 0,
                 "\"%.*s\" is no name that upstream's SSL certificate could "
                 "be verified for",
                 VEIL_STR_ARG(name));
        return false;
    }
    text = veil_pool_chars(x->pool, name.len + 1);
    veil_str_lower(text, name.data, name.len);
    t->name = veil_str_n(text, name.len);
    return true;
}

static veil_str_t
upstream_tls_path(veil_exchange_t *x, const veil_http_value_t *value)
{
    veil_str_t s = veil_http_eval(x->request, value);

    if (s.len == 0 || s.data[0] == '/'
        || veil_str_starts(s, VEIL_STR("data:"))) {
        return veil_pool_str(x->pool, s); /* for the system: with a zero */
    }
    return veil_pool_printf(x->pool, "%.*s%.*s",
                            VEIL_STR_ARG(veil_cycle->conf_dir),
                            VEIL_STR_ARG(s));
}

/* Those with variables; the others are in the context. */
static void
upstream_tls_set_files(veil_exchange_t *x)
{
    const veil_upstream_tls_t *tls = &x->conf->tls;
    veil_upstream_target_t *t = x->priv->target;

    if (tls->cert == NULL || tls->options.certs != NULL || x->request == NULL)
    {
        return;
    }
    t->files.cert = upstream_tls_path(x, tls->cert);
    t->files.key = upstream_tls_path(x, tls->key);
}

bool
veil_upstream_tls_set_target(veil_exchange_t *x)
{
    const veil_upstream_server_t *s = x->priv->peer->server;
    const veil_upstream_tls_t *tls = &x->conf->tls;
    veil_upstream_target_t *t;

    if (s->scheme == VEIL_SCHEME_HTTP) {
        veil_log(x->log, VEIL_LOG_ERR, 0,
                 "the server \"%.*s\" of upstream \"%.*s\" is http://, and "
                 "the URL says https://",
                 VEIL_STR_ARG(s->name), VEIL_STR_ARG(x->group->name));
        return false;
    }
    if (tls->ctx == NULL) {
        veil_log(x->log, VEIL_LOG_ERR, 0, "https:// cannot be spoken: %s",
                 veil_tls_is_built()
                     ? "there are no trusted certificates to verify with"
                     : "this build has no TLS");
        return false;
    }
    t = VEIL_POOL_NEW(x->pool, veil_upstream_target_t);
    x->priv->target = t;
    if (!upstream_tls_set_name(x, upstream_tls_name(x, s))) {
        return false;
    }
    upstream_tls_set_files(x);
    t->tls = tls;
    t->key = veil_pool_printf(x->pool, "%c%c%.*s\n%.*s\n%.*s",
                              tls->server_name && !t->is_addr ? 's' : '-',
                              tls->verify ? 'v' : '-', VEIL_STR_ARG(t->name),
                              VEIL_STR_ARG(t->files.cert),
                              VEIL_STR_ARG(t->files.key));
    return true;
}

/* --- contexts of the run time ---------------------------------------------
 */

static void
upstream_tls_kept_free(upstream_tls_kept_t *k)
{
    veil_list_remove(&k->link);
    veil_tls_ctx_put(k->ctx);
    veil_free(k);
}

/* The entry of these files, if it may be used still; makes room otherwise. */
static veil_tls_ctx_t *
upstream_tls_kept_find(const veil_upstream_target_t *t)
{
    const veil_conf_cache_t *certs = t->tls->certs;
    uint64_t now = veil_now_ms();
    upstream_tls_kept_t *k;
    veil_list_t *l, *tmp;
    unsigned n = 0;

    veil_list_foreach_safe (l, tmp, &upstream_tls_kept) {
        k = veil_list_entry(l, upstream_tls_kept_t, link);
        if (k->certs != certs) {
            continue;
        }
        if (now - k->loaded_ms >= certs->valid_ms
            || now - k->used_ms >= certs->inactive_ms)
        {
            upstream_tls_kept_free(k);
            continue;
        }
        if (k->base == t->tls->ctx && veil_str_eq(k->cert, t->files.cert)
            && veil_str_eq(k->key, t->files.key))
        {
            k->used_ms = now;
            veil_list_remove(&k->link);
            veil_list_push(&upstream_tls_kept, &k->link);
            return veil_tls_ctx_get(k->ctx);
        }
        if (++n >= certs->max) {
            upstream_tls_kept_free(k);
        }
    }
    return NULL;
}

static void
upstream_tls_keep(const veil_upstream_target_t *t, veil_tls_ctx_t *ctx)
{
    upstream_tls_kept_t *k =
        veil_zalloc(sizeof(*k) + t->files.cert.len + t->files.key.len + 1);
    char *p = (char *) (k + 1);

    k->certs = t->tls->certs;
    k->base = t->tls->ctx;
    k->ctx = veil_tls_ctx_get(ctx);
    k->loaded_ms = veil_now_ms();
    k->used_ms = k->loaded_ms;
    k->cert = veil_str_n(p, t->files.cert.len);
    p = veil_fmt_str(p, t->files.cert);
    k->key = veil_str_n(p, t->files.key.len);
    (void) veil_fmt_str(p, t->files.key);
    veil_list_push(&upstream_tls_kept, &k->link);
}

static void
upstream_tls_loaded(void *owner, veil_tls_ctx_t *ctx, const char *text)
{
    veil_exchange_t *x = owner;
    veil_upstream_target_t *t = x->priv->target;

    t->load = NULL;
    if (text[0] != '\0') {
        veil_exchange_log(x, ctx == NULL ? VEIL_LOG_ERR : VEIL_LOG_WARN, 0,
                          text, "while connecting to upstream");
    }
    if (ctx == NULL) {
        veil_exchange_impossible(x);
        return;
    }
    if (t->tls->certs != NULL) {
        upstream_tls_keep(t, ctx);
    }
    t->ctx = ctx;
    veil_exchange_connect(x);
}

bool
veil_upstream_tls_is_ready(veil_exchange_t *x)
{
    veil_upstream_target_t *t = x->priv->target;

    if (t == NULL || t->ctx != NULL) {
        return true;
    }
    if (t->files.cert.len == 0) {
        t->ctx = veil_tls_ctx_get(t->tls->ctx);
        return true;
    }
    if (upstream_tls_kept.next == NULL) {
        veil_list_init(&upstream_tls_kept);
    }
    t->ctx = t->tls->certs != NULL ? upstream_tls_kept_find(t) : NULL;
    if (t->ctx == NULL) {
        t->load = veil_tls_client_load(x->loop, t->tls->ctx, &t->files,
                                       upstream_tls_loaded, x);
    }
    return t->ctx != NULL;
}

void
veil_upstream_tls_give_up(veil_exchange_t *x)
{
    veil_upstream_target_t *t = x->priv->target;

    if (t->load != NULL) {
        veil_tls_load_cancel(t->load);
        t->load = NULL;
    }
    if (t->ctx != NULL) {
        veil_tls_ctx_put(t->ctx);
        t->ctx = NULL;
    }
}

void
veil_upstream_tls_exit_worker(void)
{
    veil_list_t *l, *tmp;

    if (upstream_tls_kept.next == NULL) {
        return;
    }
    veil_list_foreach_safe (l, tmp, &upstream_tls_kept) {
        upstream_tls_kept_free(veil_list_entry(l, upstream_tls_kept_t, link));
    }
}

/* --- connections ----------------------------------------------------------
 */

bool
veil_upstream_tls_is_same(const veil_upstream_conn_t *uc,
                          const veil_upstream_target_t *t)
{
    return uc->tls_base == t->tls->ctx && veil_str_eq(uc->tls_key, t->key);
}

void
veil_upstream_tls_prepare(veil_upstream_conn_t *uc, veil_exchange_t *x)
{
    veil_upstream_target_t *t = x->priv->target;

    if (t != NULL) {
        uc->tls = t->ctx;
        t->ctx = NULL;
        uc->tls_base = t->tls->ctx;
        uc->tls_key = veil_pool_str(uc->pool, t->key);
    }
}

void
veil_upstream_tls_forget(veil_upstream_conn_t *uc)
{
    if (uc->tls != NULL) {
        veil_tls_ctx_put(uc->tls);
        uc->tls = NULL;
    }
}

/* As the request's, while it is for one. */
static size_t
upstream_tls_print(const veil_log_t *log, char *buf, size_t n)
{
    const veil_upstream_conn_t *uc = veil_container_of(
        (void *) (uintptr_t) log, veil_upstream_conn_t, c.log);

    if (uc->x == NULL || uc->x->log->print == NULL) {
        return 0;
    }
    return uc->x->log->print(uc->x->log, buf, n);
}

void
veil_upstream_tls_attach(veil_upstream_conn_t *uc)
{
    uc->c.log = *uc->x->log;
    uc->c.log.print = upstream_tls_print;
}

void
veil_upstream_tls_detach(veil_upstream_conn_t *uc)
{
    uc->c.log = veil_cycle->log;
    uc->c.log.connection = uc->number;
}

static void
upstream_tls_done(veil_conn_t *c, int rc)
{
    veil_upstream_conn_t *uc = veil_container_of(c, veil_upstream_conn_t, c);

    VEIL_CHECK(uc, VEIL_UPSTREAM_CONN);
    VEIL_ASSERT(uc->x != NULL);

    c->log.action = NULL;
    veil_conn_read_timeout(c, 0);
    if (rc < 0) {
        veil_upstream_conn_failed(uc, veil_exchange_not_secured, rc);
    } else {
        veil_upstream_conn_ready(uc);
    }
}

void
veil_upstream_tls_start(veil_upstream_conn_t *uc)
{
    veil_exchange_t *x = uc->x;
    const veil_upstream_target_t *t = x->priv->target;
    veil_tls_target_t target = { .sni = VEIL_STR_INIT("") };

    if (t->tls->server_name && !t->is_addr) {
        target.sni = t->name;
    }
    if (t->tls->verify) {
        target.verify = t->name;
    }
    if (t->tls->options.session_reuse) {
        target.session = veil_pool_printf(x->pool, "%.*s %.*s",
                                          VEIL_STR_ARG(uc->peer->name),
                                          VEIL_STR_ARG(t->key));
    }
    veil_upstream_tls_attach(uc);
    target.no_alpn = uc->asked == NULL;
    uc->c.log.action = "while SSL handshaking to upstream";
    veil_conn_read_timeout(&uc->c, x->conf->connect_timeout);
    veil_tls_connect(&uc->c, uc->tls, &target, upstream_tls_done);
}

bool
veil_upstream_tls_was_cut(const veil_upstream_conn_t *uc)
{
    return uc->tls != NULL && !veil_tls_was_closed(veil_tls_of(&uc->c));
}
