/*
 * tls_client.c -- TLS towards upstreams: whom to trust, whom to expect, and
 * sessions to begin with.
 *
 * Trust.  A store is made of the certificates of one file and the CRL, while
 * the configuration is read.  Contexts with the same files share it: the
 * system's bundle takes a megabyte.
 *
 * Verification is the library's, in the handshake, name included, so that a
 * server that is not the right one gets an alert, and no certificate of ours.
 * What exactly was wrong is told in nginx's words.
 *
 * Sessions are this worker's: a table by the context's number and the
 * caller's key, which says for whom the certificate was verified, as a
 * resumed session is not verified again.  A ticket of TLS 1.3 is used once
 * (RFC 8446, appendix C.4); servers send two, so several are kept.  The key
 * that was not used for the longest time goes when there are too many.
 *
 * What it does not do: 0-RTT, whose requests a server might see twice.
 */

#include "event/tls_impl.h"

#include <unistd.h>

#include "core/hash.h"
#include "core/inet.h"
#include "event/offload.h"

#define TLS_CLIENT_KEYS 512
#define TLS_CLIENT_SESSIONS 4 /* of a key */

/* Certificates and a CRL, read; of a configuration. */
typedef struct {
    veil_list_t link;
    veil_pool_t *pool;
    const char *trusted;
    veil_str_t crl;
    X509_STORE *store;
} tls_client_store_t;

/* The sessions of a key, the newest last. */
typedef struct {
    veil_list_t link; /* the last used first */
    unsigned n;
    SSL_SESSION *sessions[TLS_CLIENT_SESSIONS];
    veil_str_t key; /* behind this struct */
} tls_client_entry_t;

static veil_list_t tls_client_stores = { .next = NULL };

static veil_hash_t tls_client_table;
static veil_list_t tls_client_used = { .next = NULL };

/* --- trust ----------------------------------------------------------------
 */

const char *
veil_tls_system_bundle(void)
{
    static const char *const paths[] = {
        "/etc/ssl/certs/ca-certificates.crt", /* Debian, Arch, Gentoo */
        "/etc/pki/tls/certs/ca-bundle.crt",   /* Fedora and its family */
        "/etc/ssl/ca-bundle.pem",             /* SUSE */
        "/etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem",
        "/etc/ssl/cert.pem", /* Alpine */
    };
    const char *path = getenv("SSL_CERT_FILE");
    unsigned i;

    if (path != NULL && path[0] != '\0') {
        return path; /* said explicitly: if it is wrong, that is an error */
    }
    for (i = 0; i < veil_countof(paths); i++) {
        if (access(paths[i], R_OK) == 0) {
            return paths[i];
        }
    }
    return NULL;
}

static void
tls_client_store_free(void *data)
{
    tls_client_store_t *s = data;

    veil_list_remove(&s->link);
    X509_STORE_free(s->store);
}

/* Reads the files into the store that the context has from its birth. */
static veil_rc_t
tls_client_load(veil_conf_t *cf, veil_tls_ctx_t *ctx, const char *trusted)
{
    const veil_tls_options_t *o = &ctx->o;

    if (veil_tls_trust_file(cf, veil_tls_at(o, o->at.trusted), ctx->ssl,
                            veil_str_z(trusted), NULL)
        != VEIL_OK)
    {
        return VEIL_ERROR;
    }
    if (o->crl.len == 0) {
        return VEIL_OK;
    }
    return veil_tls_trust_crl(cf, veil_tls_at(o, o->at.crl), ctx->ssl, o->crl);
}

static void
tls_client_keep_store(veil_conf_t *cf, veil_tls_ctx_t *ctx,
                      const char *trusted)
{
    tls_client_store_t *s = VEIL_POOL_NEW(cf->pool, tls_client_store_t);

    s->pool = cf->pool;
    s->trusted = veil_pool_strz(cf->pool, veil_str_z(trusted));
    s->crl = ctx->o.crl;
    s->store = SSL_CTX_get_cert_store(ctx->ssl);
    (void) X509_STORE_up_ref(s->store);
    veil_list_push(&tls_client_stores, &s->link);
    veil_pool_on_destroy(cf->pool, tls_client_store_free, s);
}

static veil_rc_t
tls_client_trust(veil_conf_t *cf, veil_tls_ctx_t *ctx)
{
    const veil_tls_options_t *o = &ctx->o;
    const char *trusted =
        o->trusted.len != 0 ? o->trusted.data : veil_tls_system_bundle();
    tls_client_store_t *s;
    veil_list_t *l;

    if (trusted == NULL) {
        return veil_conf_error_node(cf, o->node, 0,
                                    "there are no trusted certificates to "
                                    "verify servers with");
    }
    if (tls_client_stores.next == NULL) {
        veil_list_init(&tls_client_stores);
    }
    veil_list_foreach (l, &tls_client_stores) {
        s = veil_list_entry(l, tls_client_store_t, link);
        if (s->pool == cf->pool && strcmp(s->trusted, trusted) == 0
            && veil_str_eq(s->crl, o->crl))
        {
            (void) X509_STORE_up_ref(s->store);
            SSL_CTX_set_cert_store(ctx->ssl, s->store);
            return VEIL_OK;
        }
    }
    if (tls_client_load(cf, ctx, trusted) != VEIL_OK) {
        return VEIL_ERROR;
    }
    tls_client_keep_store(cf, ctx, trusted);
    return VEIL_OK;
}

/* --- sessions -------------------------------------------------------------
 */

static void
tls_client_entry_free(tls_client_entry_t *e)
{
    unsigned i;

    (void) veil_hash_remove(&tls_client_table, e->key);
    veil_list_remove(&e->link);
    for (i = 0; i < e->n; i++) {
        SSL_SESSION_free(e->sessions[i]);
    }
    veil_free(e);
}

static tls_client_entry_t *
tls_client_entry_create(veil_str_t key)
{
    tls_client_entry_t *e = veil_zalloc(sizeof(*e) + key.len);
    char *text = (char *) (e + 1);

    if (tls_client_used.next == NULL) {
        veil_list_init(&tls_client_used);
        veil_hash_init(&tls_client_table, NULL, VEIL_HASH_CASE, 0);
    }
    if (tls_client_table.n >= TLS_CLIENT_KEYS) {
        tls_client_entry_free(
            veil_list_entry(tls_client_used.prev, tls_client_entry_t, link));
    }
    memcpy(text, key.data, key.len);
    e->key = veil_str_n(text, key.len);
    veil_list_push(&tls_client_used, &e->link);
    (void) veil_hash_add(&tls_client_table, e->key, e);
    return e;
}

static tls_client_entry_t *
tls_client_entry_find(veil_str_t key)
{
    tls_client_entry_t *e = veil_hash_find(&tls_client_table, key);

    if (e != NULL) {
        veil_list_remove(&e->link);
        veil_list_push(&tls_client_used, &e->link);
    }
    return e;
}

static void
tls_client_forget_oldest(tls_client_entry_t *e)
{
    SSL_SESSION_free(e->sessions[0]);
    e->n--;
    memmove(&e->sessions[0], &e->sessions[1], e->n * sizeof(e->sessions[0]));
}

/* Of the library: 1 takes the session over. */
static int
tls_client_on_session(SSL *ssl, SSL_SESSION *session)
{
    const veil_tls_t *t = veil_tls_of_ssl(ssl);
    unsigned keep =
        SSL_SESSION_should_be_single_use(session) ? TLS_CLIENT_SESSIONS : 1;
    tls_client_entry_t *e;

    if (t->session_key == NULL || !SSL_SESSION_is_resumable(session)) {
        return 0;
    }
    e = tls_client_entry_find(veil_str_z(t->session_key));
    if (e == NULL) {
        e = tls_client_entry_create(veil_str_z(t->session_key));
    }
    while (e->n >= keep) {
        tls_client_forget_oldest(e);
    }
    e->sessions[e->n++] = session;
    return 1;
}

static void
tls_client_resume(veil_tls_t *t)
{
    tls_client_entry_t *e = tls_client_entry_find(veil_str_z(t->session_key));
    SSL_SESSION *session;

    if (e == NULL || e->n == 0) {
        return;
    }
    session = e->sessions[e->n - 1];
    (void) SSL_set_session(t->ssl, session);
    if (SSL_SESSION_should_be_single_use(session)) {
        e->n--;
        SSL_SESSION_free(session);
    }
}

void
veil_tls_client_trim(void)
{
    if (tls_client_used.next == NULL) {
        return;
    }
    while (!veil_list_is_empty(&tls_client_used)) {
        tls_client_entry_free(
            veil_list_first(&tls_client_used, tls_client_entry_t, link));
    }
    veil_hash_done(&tls_client_table);
}

/* --- contexts -------------------------------------------------------------
 */

static void
tls_client_number(veil_tls_ctx_t *ctx)
{
    static uint64_t last;

    ctx->number = ++last;
}

/* What is offered, as the library wants it: a length before each name. */
static void
tls_client_offer(veil_tls_ctx_t *ctx)
{
    const veil_array_t *names = ctx->o.alpn;
    uint8_t list[1024];
    size_t len = 0;
    veil_str_t name;
    unsigned i;

    for (i = 0; names != NULL && i < names->n; i++) {
        name = *veil_array_at(names, veil_str_t, i);
        VEIL_ASSERT(name.len != 0 && name.len <= 255);
        if (name.len + 1 > sizeof(list) - len) {
            break; /* of so many the first ones are enough */
        }
        list[len++] = (uint8_t) name.len;
        memcpy(list + len, name.data, name.len);
        len += name.len;
    }
    if (len != 0) {
        VEIL_ASSERT(SSL_CTX_set_alpn_protos(ctx->ssl, list, (unsigned) len)
                    == 0);
    }
}

veil_rc_t
veil_tls_client_fill(veil_conf_t *cf, veil_tls_ctx_t *ctx)
{
    SSL_CTX *ssl = ctx->ssl;

    tls_client_number(ctx);
    SSL_CTX_set_session_cache_mode(ssl, SSL_SESS_CACHE_CLIENT
                                            | SSL_SESS_CACHE_NO_INTERNAL);
    SSL_CTX_sess_set_new_cb(ssl, tls_client_on_session);
    tls_client_offer(ctx);
    if (ctx->o.verify == VEIL_TLS_VERIFY_OFF) {
        SSL_CTX_set_verify(ssl, SSL_VERIFY_NONE, NULL);
        return VEIL_OK;
    }
    SSL_CTX_set_verify(ssl, SSL_VERIFY_PEER, NULL);
    if (ctx->o.trusted.len != 0) {
        /*
         * What was named is trusted, be it a root or not: OpenSSL takes a
         * server's own certificate without this, if it signed itself.
         */
        (void) X509_VERIFY_PARAM_set_flags(SSL_CTX_get0_param(ssl),
                                           X509_V_FLAG_PARTIAL_CHAIN);
    }
    /* OpenSSL counts intermediates only, this library the root as well. */
    SSL_CTX_set_verify_depth(ssl, (int) ctx->o.verify_depth + 1);
    return tls_client_trust(cf, ctx);
}

/* --- certificates of the run time -----------------------------------------
 */

struct veil_tls_load_s {
    veil_job_t job;
    veil_tls_ctx_t *base; /* counted */
    veil_tls_cert_files_t files;
    veil_tls_cert_t cert;
    bool loaded;
    veil_tls_loaded_fn *done; /* NULL: cancelled */
    void *owner;
    char text[512];
};

/* On the thread.  The last word is the one that counts. */
static void
tls_client_tell(void *data, bool warning VEIL_UNUSED, bool of_key VEIL_UNUSED,
                const char *text)
{
    veil_tls_load_t *load = data;

    (void) veil_str_copy_z(load->text, sizeof(load->text), veil_str_z(text));
}

static void
tls_client_load_run(veil_job_t *job)
{
    veil_tls_load_t *load = veil_container_of(job, veil_tls_load_t, job);

    load->loaded =
        veil_tls_cert_load(&load->cert, &load->files, load->base->o.passwords,
                           tls_client_tell, load);
    ERR_clear_error();
}

static void
tls_client_load_done(veil_job_t *job)
{
    veil_tls_load_t *load = veil_container_of(job, veil_tls_load_t, job);
    veil_tls_ctx_t *ctx = NULL;

    if (load->loaded) {
        ctx = veil_tls_ctx_with(load->base, &load->cert, 1);
        tls_client_number(ctx);
    }
    if (load->done != NULL && !veil_offload_is_stopping()) {
        load->done(load->owner, ctx, load->text);
    } else if (ctx != NULL) {
        veil_tls_ctx_put(ctx);
    }
    veil_tls_ctx_put(load->base);
    veil_free(load);
}

veil_tls_load_t *
veil_tls_client_load(veil_loop_t *loop, veil_tls_ctx_t *base,
                     const veil_tls_cert_files_t *files,
                     veil_tls_loaded_fn *done, void *owner)
{
    veil_tls_load_t *load =
        veil_zalloc(sizeof(*load) + files->cert.len + files->key.len + 2);
    char *p = (char *) (load + 1);

    load->base = veil_tls_ctx_get(base);
    load->files.cert = veil_str_n(p, files->cert.len);
    p = veil_fmt_str(p, files->cert) + 1; /* the zero is there */
    load->files.key = veil_str_n(p, files->key.len);
    (void) veil_fmt_str(p, files->key);
    load->done = done;
    load->owner = owner;
    load->job.run = tls_client_load_run;
    load->job.done = tls_client_load_done;
    veil_offload(loop, NULL, &load->job);
    return load;
}

void
veil_tls_load_cancel(veil_tls_load_t *load)
{
    load->done = NULL;
}

/* --- one session ----------------------------------------------------------
 */

static char *
tls_client_text(veil_str_t s)
{
    char *text = veil_alloc(s.len + 1);

    (void) veil_str_copy_z(text, s.len + 1, s);
    return text;
}

/* What cannot be set makes the verification fail. */
static void
tls_client_expect(veil_tls_t *t, const char *name)
{
    X509_VERIFY_PARAM *param = SSL_get0_param(t->ssl);
    veil_addr_t a;
    int ok;

    if (veil_addr_parse_ip(&a, veil_str_z(name))) {
        ok = X509_VERIFY_PARAM_set1_ip(param, a.u.ip,
                                       a.family == AF_INET ? 4 : 16);
    } else {
        ok = X509_VERIFY_PARAM_set1_host(param, name, strlen(name));
    }
    if (ok != 1) {
        ERR_clear_error();
    }
}

void
veil_tls_client_prepare(veil_tls_t *t, const veil_tls_target_t *target)
{
    const veil_tls_cert_t *cert = t->ctx->certs;
    char number[24];
    size_t len;

    if (t->ctx->derived) {
        /* It was checked when it was loaded. */
        VEIL_ASSERT(SSL_set_chain_and_key(t->ssl, cert->chain, cert->nchain,
                                          cert->key, NULL));
    }
    if (target->sni.len != 0) {
        t->name = tls_client_text(target->sni);
        if (SSL_set_tlsext_host_name(t->ssl, t->name) != 1) {
            ERR_clear_error(); /* too long for a name: then it is not said */
        }
    }
    if (target->verify.len != 0) {
        t->expected = tls_client_text(target->verify);
        tls_client_expect(t, t->expected);
    }
    if (target->session.len != 0 && t->ctx->o.session_reuse) {
        len = veil_snprintf(number, sizeof(number), "%llu ",
                            (unsigned long long) t->ctx->number);
        t->session_key = veil_alloc(len + target->session.len + 1);
        memcpy(t->session_key, number, len);
        (void) veil_str_copy_z(t->session_key + len, target->session.len + 1,
                               target->session);
        tls_client_resume(t);
    }
    if (target->no_alpn) {
        (void) SSL_set_alpn_protos(t->ssl, NULL, 0);
    }
    veil_tls_sign_use(t);
}

bool
veil_tls_client_explain(veil_tls_t *t, char *buf, size_t n)
{
    uint32_t e = ERR_peek_error();
    long result = SSL_get_verify_result(t->ssl);

    if (ERR_GET_LIB(e) != ERR_LIB_SSL
        || ERR_GET_REASON(e) != SSL_R_CERTIFICATE_VERIFY_FAILED)
    {
        return false;
    }
    ERR_clear_error();
    if (result == X509_V_ERR_HOSTNAME_MISMATCH
        || result == X509_V_ERR_IP_ADDRESS_MISMATCH)
    {
        (void) veil_snprintf(buf, n,
                             "upstream SSL certificate does not match \"%s\"",
                             t->expected);
    } else {
        (void) veil_snprintf(buf, n,
                             "upstream SSL certificate verify error: (%ld:%s)",
                             result, X509_verify_cert_error_string(result));
    }
    return true;
}
