/*
 * tls_ctx.c -- contexts: what directives say, as an SSL_CTX.
 *
 * A context is made while the configuration is read, so that every mistake in
 * it is one of "veil -t".  The library's own errors say what was wrong with a
 * file; they are put into one line, in nginx's form.
 *
 * What holds for servers only is tls_hello.c's, for clients tls_client.c's.
 *
 * A context is counted: the configuration holds one reference, each session
 * another.  One that is made at run time has other certificates and shares
 * the rest, the SSL_CTX included, with the one it was made of.
 */

#include "event/tls_impl.h"

#include <openssl/bytestring.h>

#include "core/cycle.h"

/* --- errors ----------------------------------------------------------------
 */

/* The queue as "error:...:...", which it empties; the length. */
static int tls_ctx_reason; /* the first of the library's; 0: none */

static size_t
tls_ctx_print_errors(char *buf, size_t n)
{
    char text[256];
    size_t len = 0;
    uint32_t e = ERR_peek_error();

    tls_ctx_reason = ERR_GET_LIB(e) == ERR_LIB_SSL ? ERR_GET_REASON(e) : 0;
    buf[0] = '\0';
    while ((e = ERR_get_error()) != 0) {
        ERR_error_string_n(e, text, sizeof(text));
        len += veil_snprintf(buf + len, n - len, "%s%s", len == 0 ? "" : " ",
                             text);
    }
    return len;
}

static char tls_ctx_error[512];

void
veil_tls_log(const veil_log_t *log, veil_log_level_t level, const char *text)
{
    char errors[512];

    if (tls_ctx_print_errors(errors, sizeof(errors)) == 0) {
        veil_log(log, level, 0, "%s", text);
        (void) veil_snprintf(tls_ctx_error, sizeof(tls_ctx_error), "%s", text);
    } else {
        veil_log(log, level, 0, "%s (SSL: %s)", text, errors);
        (void) veil_snprintf(tls_ctx_error, sizeof(tls_ctx_error), "%s",
                             errors);
    }
}

const char *
veil_tls_last_error(void)
{
    return tls_ctx_error;
}

const char *
veil_tls_last_kind(void)
{
    static const struct {
        int reason;
        const char *kind;
    } kinds[] = {
        { SSL_R_HTTP_REQUEST, "what came is HTTP without TLS" },
        { SSL_R_HTTPS_PROXY_REQUEST, "what came is HTTP without TLS" },
        { SSL_R_WRONG_VERSION_NUMBER, "what came is no TLS" },
        { SSL_R_UNEXPECTED_RECORD, "what came is no handshake" },
        { SSL_R_UNSUPPORTED_PROTOCOL, "no version of TLS in common" },
        { SSL_R_UNKNOWN_PROTOCOL, "no version of TLS in common" },
        { SSL_R_NO_SHARED_CIPHER, "no cipher in common" },
        { SSL_R_NO_SHARED_GROUP, "no group of keys in common" },
        { SSL_R_NO_COMMON_SIGNATURE_ALGORITHMS, "no signature in common" },
        { SSL_R_NO_APPLICATION_PROTOCOL, "no protocol in common (ALPN)" },
        { SSL_R_PEER_DID_NOT_RETURN_A_CERTIFICATE, "no certificate came" },
        { SSL_R_CERTIFICATE_VERIFY_FAILED,
          "a certificate nobody vouches for" },
        { SSL_R_CLIENTHELLO_PARSE_FAILED, "a broken ClientHello" },
        { SSL_R_CLIENTHELLO_TLSEXT, "a broken ClientHello" },
        { SSL_R_PARSE_TLSEXT, "a broken ClientHello" },
        { SSL_R_DECODE_ERROR, "a message that cannot be read" },
        { SSL_R_UNEXPECTED_MESSAGE, "a message out of order" },
        { SSL_R_EXCESSIVE_MESSAGE_SIZE, "a message that is too long" },
        { SSL_R_DECRYPTION_FAILED_OR_BAD_RECORD_MAC,
          "a record that cannot be decrypted" },
    };
    unsigned i;

    if (tls_ctx_reason >= SSL_AD_REASON_OFFSET) {
        return "the peer gave up, and said why";
    }
    for (i = 0; i < veil_countof(kinds); i++) {
        if (kinds[i].reason == tls_ctx_reason) {
            return kinds[i].kind;
        }
    }
    return NULL;
}

bool
veil_tls_is_built(void)
{
    return true;
}

const char *
veil_tls_library(void)
{
    static char text[48];

    if (text[0] == '\0') {
        (void) veil_snprintf(text, sizeof(text), "BoringSSL (API version %d)",
                             BORINGSSL_API_VERSION);
    }
    return text;
}

void
veil_tls_options_default(veil_tls_options_t *o, bool server)
{
    memset(o, 0, sizeof(*o));
    o->server = server;
    o->protocols = VEIL_TLS_1_2 | VEIL_TLS_1_3;
    o->ciphers = server ? VEIL_STR("HIGH:!aNULL:!MD5") : VEIL_STR("DEFAULT");
    o->curves = VEIL_STR("auto");
    o->verify = server ? VEIL_TLS_VERIFY_OFF : VEIL_TLS_VERIFY_ON;
    o->verify_depth = 1;
    o->session_timeout = 5 * 60 * 1000;
    o->tickets = true;
    o->session_reuse = true;
    o->buffer_size = VEIL_TLS_RECORD;
    o->ktls_fallback = true;
}

/* --- protocols, ciphers, curves --------------------------------------------
 */

static const struct {
    unsigned bit;
    uint32_t off;
    const char *name;
} tls_ctx_versions[] = { { VEIL_TLS_1_0, SSL_OP_NO_TLSv1, "TLSv1" },
                         { VEIL_TLS_1_1, SSL_OP_NO_TLSv1_1, "TLSv1.1" },
                         { VEIL_TLS_1_2, SSL_OP_NO_TLSv1_2, "TLSv1.2" },
                         { VEIL_TLS_1_3, SSL_OP_NO_TLSv1_3, "TLSv1.3" } };

/* The library negotiates a range: it would cut one with a hole short. */
static veil_rc_t
tls_ctx_set_protocols(veil_conf_t *cf, veil_tls_ctx_t *ctx)
{
    unsigned mask = ctx->o.protocols, i;
    int hole = -1;
    bool begun = false;

    (void) SSL_CTX_set_min_proto_version(ctx->ssl, TLS1_VERSION);
    (void) SSL_CTX_set_max_proto_version(ctx->ssl, TLS1_3_VERSION);
    for (i = 0; i < veil_countof(tls_ctx_versions); i++) {
        if ((mask & tls_ctx_versions[i].bit) == 0) {
            SSL_CTX_set_options(ctx->ssl, tls_ctx_versions[i].off);
            hole = begun && hole < 0 ? (int) i : hole;
            continue;
        }
        begun = true;
        if (hole >= 0) {
            return veil_conf_error_node(
                cf, veil_tls_at(&ctx->o, ctx->o.at.protocols), 0,
                "BoringSSL cannot leave out %s between other protocols",
                tls_ctx_versions[hole].name);
        }
    }
    return VEIL_OK;
}

static veil_rc_t
tls_ctx_set_ciphers(veil_conf_t *cf, veil_tls_ctx_t *ctx)
{
    const veil_tls_options_t *o = &ctx->o;
    char why[256];

    if (o->server && o->prefer_server_ciphers) {
        SSL_CTX_set_options(ctx->ssl, SSL_OP_CIPHER_SERVER_PREFERENCE);
    }
    if (SSL_CTX_set_cipher_list(ctx->ssl, o->ciphers.data) == 1) {
        return VEIL_OK;
    }
    return veil_conf_error_node(
        cf, veil_tls_at(o, o->at.ciphers), 1,
        "BoringSSL has none of the ciphers \"%.*s\" (%s); those of TLS 1.3 "
        "cannot be chosen",
        VEIL_STR_ARG(o->ciphers), veil_tls_error_text(why, sizeof(why)));
}

/* Names as OpenSSL and nginx have them, and the library's. */
static const struct {
    const char *name;
    const char *curve;
} tls_ctx_curves[] = {
    { "X25519", "X25519" },
    { "prime256v1", "P-256" },
    { "secp256r1", "P-256" },
    { "P-256", "P-256" },
    { "secp384r1", "P-384" },
    { "P-384", "P-384" },
    { "secp521r1", "P-521" },
    { "P-521", "P-521" },
#ifdef SSL_CURVE_X25519KYBER768
    { "X25519KYBER", "X25519KYBER" },
#endif
#ifdef SSL_CURVE_P256KYBER768
    { "P256KYBER", "P256KYBER" },
#endif
#ifdef SSL_GROUP_X25519_MLKEM768
    { "X25519MLKEM768", "X25519MLKEM768" },
#endif
};

/* What "auto" is: the library's own choice, said aloud. */
#define TLS_CTX_CURVES_AUTO "X25519:P-256:P-384"

static const char *
tls_ctx_curve(veil_str_t name)
{
    unsigned i;

    for (i = 0; i < veil_countof(tls_ctx_curves); i++) {
        if (veil_str_caseeq(name, veil_str_z(tls_ctx_curves[i].name))) {
            return tls_ctx_curves[i].curve;
        }
    }
    return NULL;
}

static veil_rc_t
tls_ctx_unknown_curve(veil_conf_t *cf, const veil_tls_options_t *o,
                      veil_str_t name)
{
    char list[256];
    size_t len = 0;
    unsigned i;

    for (i = 0; i < veil_countof(tls_ctx_curves); i++) {
        len += veil_snprintf(list + len, sizeof(list) - len, "%s%s",
                             i == 0 ? "" : ", ", tls_ctx_curves[i].name);
    }
    return veil_conf_error_node(cf, veil_tls_at(o, o->at.curves), 1,
                                "BoringSSL has no curve \"%.*s\", only %s",
                                VEIL_STR_ARG(name), list);
}

static veil_rc_t
tls_ctx_set_curves(veil_conf_t *cf, veil_tls_ctx_t *ctx)
{
    veil_str_t rest = ctx->o.curves, name;
    char list[256], why[256];
    size_t len = 0;
    const char *curve;

    ctx->curves = TLS_CTX_CURVES_AUTO;
    if (!veil_str_eq(rest, VEIL_STR("auto"))) {
        do {
            name = veil_str_cut(&rest, ':');
            curve = tls_ctx_curve(name);
            if (curve == NULL) {
                return tls_ctx_unknown_curve(cf, &ctx->o, name);
            }
            len += veil_snprintf(list + len, sizeof(list) - len, "%s%s",
                                 len == 0 ? "" : ":", curve);
        } while (rest.len != 0);
        ctx->curves = veil_pool_strz(cf->pool, veil_str_n(list, len));
    }
    if (SSL_CTX_set1_curves_list(ctx->ssl, ctx->curves)) {
        return VEIL_OK;
    }
    return veil_conf_error_node(
        cf, veil_tls_at(&ctx->o, ctx->o.at.curves), 1,
        "BoringSSL does not take the curves \"%.*s\": %s",
        VEIL_STR_ARG(ctx->o.curves), veil_tls_error_text(why, sizeof(why)));
}

/* --- certificates ----------------------------------------------------------
 */

typedef struct {
    veil_conf_t *cf;
    const veil_tls_cert_files_t *files;
} tls_ctx_report_t;

static void
tls_ctx_tell(void *data, bool warning, bool of_key, const char *text)
{
    const tls_ctx_report_t *to = data;
    const veil_conf_node_t *node =
        of_key ? to->files->key_node : to->files->cert_node;

    if (warning) {
        veil_conf_warn_node(to->cf, node, "%s", text);
    } else {
        (void) veil_conf_error_node(to->cf, node, 1, "%s", text);
    }
}

/* Each is tried, so that what the library dislikes is known now. */
static veil_rc_t
tls_ctx_try_cert(veil_conf_t *cf, veil_tls_ctx_t *ctx,
                 const veil_tls_cert_t *cert,
                 const veil_tls_cert_files_t *files)
{
    char why[256];

    if (SSL_CTX_set_chain_and_key(ctx->ssl, cert->chain, cert->nchain,
                                  cert->key, NULL))
    {
        return VEIL_OK;
    }
    return veil_conf_error_node(cf, files->cert_node, 1,
                                "BoringSSL does not take the certificate: %s",
                                veil_tls_error_text(why, sizeof(why)));
}

/* Nobody would ever be shown the first of two that are alike. */
static void
tls_ctx_warn_alike(veil_conf_t *cf, const veil_tls_ctx_t *ctx, unsigned i)
{
    const veil_tls_cert_files_t *files = ctx->o.certs->elts;
    unsigned k;

    for (k = 0; k < i; k++) {
        if (ctx->certs[k].kind == ctx->certs[i].kind) {
            veil_conf_warn_node(cf, files[k].cert_node,
                                "this certificate is not served: \"%.*s\", "
                                "which follows, is of the same kind",
                                VEIL_STR_ARG(files[i].cert));
        }
    }
}

static veil_rc_t
tls_ctx_load_certs(veil_conf_t *cf, veil_tls_ctx_t *ctx)
{
    const veil_array_t *files = ctx->o.certs;
    tls_ctx_report_t to = { .cf = cf };
    unsigned i;

    if (files == NULL || files->n == 0 || ctx->o.certs_later) {
        return VEIL_OK;
    }
    ctx->certs = veil_zalloc(files->n * sizeof(*ctx->certs));
    for (i = 0; i < files->n; i++) {
        to.files = veil_array_at(files, veil_tls_cert_files_t, i);
        if (!veil_tls_cert_load(&ctx->certs[i], to.files, ctx->o.passwords,
                                tls_ctx_tell, &to))
        {
            return VEIL_ERROR;
        }
        tls_ctx_warn_alike(cf, ctx, i);
        ctx->ncerts++;
    }
    /* The first at last: it stays. */
    for (i = ctx->ncerts; i > 0; i--) {
        to.files = veil_array_at(files, veil_tls_cert_files_t, i - 1);
        if (tls_ctx_try_cert(cf, ctx, &ctx->certs[i - 1], to.files) != VEIL_OK)
        {
            return VEIL_ERROR;
        }
    }
    return VEIL_OK;
}

/* --- verification ----------------------------------------------------------
 */

/*
 * A client is let in whatever it shows: the request is answered with an
 * error that a person can read, as nginx does.
 */
static int
tls_ctx_let_in(int ok VEIL_UNUSED, X509_STORE_CTX *x VEIL_UNUSED)
{
    return 1;
}

static veil_rc_t
tls_ctx_set_client_names(veil_conf_t *cf, veil_tls_ctx_t *ctx)
{
    const veil_tls_options_t *o = &ctx->o;
    STACK_OF(X509_NAME) *names = sk_X509_NAME_new_null();

    VEIL_ASSERT(names != NULL);
    if (veil_tls_trust_file(cf, veil_tls_at(o, o->at.client_ca), ctx->ssl,
                            o->client_ca, names)
        != VEIL_OK)
    {
        sk_X509_NAME_pop_free(names, X509_NAME_free);
        return VEIL_ERROR;
    }
    SSL_CTX_set_client_CA_list(ctx->ssl, names);
    return VEIL_OK;
}

/*
 * Of the peer's certificate.  All contexts have the same: a session keeps
 * those of its first.
 */
static void
tls_ctx_set_algorithms(SSL_CTX *ssl)
{
    /* The library's list, and Ed25519 and P-521, which OpenSSL takes. */
    static const uint16_t algs[] = {
        SSL_SIGN_ECDSA_SECP256R1_SHA256, SSL_SIGN_RSA_PSS_RSAE_SHA256,
        SSL_SIGN_RSA_PKCS1_SHA256,       SSL_SIGN_ED25519,
        SSL_SIGN_ECDSA_SECP384R1_SHA384, SSL_SIGN_RSA_PSS_RSAE_SHA384,
        SSL_SIGN_RSA_PKCS1_SHA384,       SSL_SIGN_ECDSA_SECP521R1_SHA512,
        SSL_SIGN_RSA_PSS_RSAE_SHA512,    SSL_SIGN_RSA_PKCS1_SHA512,
    };

    VEIL_ASSERT(
        SSL_CTX_set_verify_algorithm_prefs(ssl, algs, veil_countof(algs)));
}

static veil_rc_t
tls_ctx_set_verify(veil_conf_t *cf, veil_tls_ctx_t *ctx)
{
    const veil_tls_options_t *o = &ctx->o;

    /* OpenSSL counts intermediates only, this library the root as well. */
    SSL_CTX_set_verify_depth(ctx->ssl, (int) o->verify_depth + 1);
    if (o->verify != VEIL_TLS_VERIFY_OFF) {
        SSL_CTX_set_verify(ctx->ssl, SSL_VERIFY_PEER, tls_ctx_let_in);
    }
    if (o->client_ca.len != 0 && tls_ctx_set_client_names(cf, ctx) != VEIL_OK)
    {
        return VEIL_ERROR;
    }
    if (o->trusted.len != 0
        && veil_tls_trust_file(cf, veil_tls_at(o, o->at.trusted), ctx->ssl,
                               o->trusted, NULL)
               != VEIL_OK)
    {
        return VEIL_ERROR;
    }
    if (o->crl.len != 0) {
        return veil_tls_trust_crl(cf, veil_tls_at(o, o->at.crl), ctx->ssl,
                                  o->crl);
    }
    return VEIL_OK;
}

/* --- making one ------------------------------------------------------------
 */

static veil_rc_t
tls_ctx_fill_server(veil_conf_t *cf, veil_tls_ctx_t *ctx)
{
    const veil_tls_options_t *o = &ctx->o;

    veil_tls_hello_fill(ctx);
    SSL_CTX_set_early_data_enabled(ctx->ssl, o->early_data);
    if ((o->ech_files != NULL && veil_tls_ech_fill(cf, ctx) != VEIL_OK)
        || (o->compress && veil_tls_compress_fill(cf, ctx) != VEIL_OK))
    {
        return VEIL_ERROR;
    }
    if (tls_ctx_set_verify(cf, ctx) != VEIL_OK) {
        return VEIL_ERROR;
    }
    if (veil_tls_ticket_apply(cf, ctx->ssl, o) != VEIL_OK) {
        return VEIL_ERROR;
    }
    return veil_tls_cache_apply(ctx->ssl, o);
}

static veil_rc_t
tls_ctx_fill(veil_conf_t *cf, veil_tls_ctx_t *ctx)
{
    SSL_CTX_set_mode(ctx->ssl, SSL_MODE_NO_AUTO_CHAIN);
    if (ctx->o.ktls) {
        veil_ktls_want(cf, ctx);
    }
    tls_ctx_set_algorithms(ctx->ssl);
    if (tls_ctx_set_protocols(cf, ctx) != VEIL_OK
        || tls_ctx_set_ciphers(cf, ctx) != VEIL_OK
        || tls_ctx_set_curves(cf, ctx) != VEIL_OK
        || tls_ctx_load_certs(cf, ctx) != VEIL_OK)
    {
        return VEIL_ERROR;
    }
    return ctx->o.server ? tls_ctx_fill_server(cf, ctx)
                         : veil_tls_client_fill(cf, ctx);
}

static void
tls_ctx_drop(void *data)
{
    veil_tls_ctx_put(data);
}

veil_tls_ctx_t *
veil_tls_ctx_create(veil_conf_t *cf, const veil_tls_options_t *o)
{
    veil_tls_ctx_t *ctx = veil_zalloc(sizeof(*ctx));

    ctx->magic = VEIL_TLS_CTX_MAGIC;
    ctx->refs = 1;
    ctx->o = *o;
    ctx->ssl = SSL_CTX_new(TLS_method());
    VEIL_ASSERT(ctx->ssl != NULL);
    veil_pool_on_destroy(cf->pool, tls_ctx_drop, ctx);
    return tls_ctx_fill(cf, ctx) == VEIL_OK ? ctx : NULL;
}

/* Sessions of other certificates are others: the base's digest and theirs. */
static void
tls_ctx_derive_sid(veil_tls_ctx_t *ctx)
{
    const CRYPTO_BUFFER *leaf;
    SHA256_CTX sha;
    size_t len;
    const uint8_t *base;
    unsigned i;
    SSL *ssl = SSL_new(ctx->ssl);

    VEIL_ASSERT(ssl != NULL);
    base = SSL_get0_session_id_context(ssl, &len);
    SHA256_Init(&sha);
    SHA256_Update(&sha, base, len);
    for (i = 0; i < ctx->ncerts; i++) {
        leaf = ctx->certs[i].chain[0];
        SHA256_Update(&sha, CRYPTO_BUFFER_data(leaf), CRYPTO_BUFFER_len(leaf));
    }
    SHA256_Final(ctx->sid, &sha);
    SSL_free(ssl);
}

veil_tls_ctx_t *
veil_tls_ctx_with(veil_tls_ctx_t *base, const veil_tls_cert_t *certs,
                  unsigned n)
{
    veil_tls_ctx_t *ctx = veil_zalloc(sizeof(*ctx));

    VEIL_CHECK(base, VEIL_TLS_CTX);
    ctx->magic = VEIL_TLS_CTX_MAGIC;
    ctx->refs = 1;
    ctx->o = base->o;
    ctx->ssl = base->ssl;
    SSL_CTX_up_ref(ctx->ssl);
    ctx->curves = base->curves;
    ctx->derived = true;
    ctx->ncerts = n;
    ctx->certs = veil_alloc(n * sizeof(*certs));
    memcpy(ctx->certs, certs, n * sizeof(*certs));
    tls_ctx_derive_sid(ctx);
    return ctx;
}

veil_tls_ctx_t *
veil_tls_ctx_replace(veil_tls_ctx_t *base, const veil_tls_cert_t *cert,
                     unsigned *i)
{
    veil_tls_cert_t *certs = veil_alloc((base->ncerts + 1) * sizeof(*certs));
    veil_tls_ctx_t *ctx;
    unsigned n;

    *i = base->ncerts;
    for (n = 0; n < base->ncerts; n++) {
        if (base->certs[n].kind == cert->kind && *i == base->ncerts) {
            *i = n;
        } else {
            veil_tls_cert_copy(&certs[n], &base->certs[n]);
        }
    }
    certs[*i] = *cert;
    ctx = veil_tls_ctx_with(base, certs, n > *i ? n : *i + 1);
    veil_free(certs);
    return ctx;
}

/* --- using one -------------------------------------------------------------
 */

veil_tls_ctx_t *
veil_tls_ctx_get(veil_tls_ctx_t *ctx)
{
    VEIL_CHECK(ctx, VEIL_TLS_CTX);
    ctx->refs++;
    return ctx;
}

void
veil_tls_ctx_put(veil_tls_ctx_t *ctx)
{
    unsigned i;

    VEIL_CHECK(ctx, VEIL_TLS_CTX);
    VEIL_ASSERT(ctx->refs > 0);
    if (--ctx->refs > 0) {
        return;
    }
    for (i = 0; i < ctx->ncerts; i++) {
        veil_tls_cert_free(&ctx->certs[i]);
    }
    veil_free(ctx->certs);
    veil_free(ctx->compressed);
    SSL_CTX_free(ctx->ssl);
    ctx->magic = VEIL_MAGIC_DEAD;
    veil_free(ctx);
}

const veil_tls_options_t *
veil_tls_ctx_options(const veil_tls_ctx_t *ctx)
{
    return &ctx->o;
}

unsigned
veil_tls_ctx_certs(const veil_tls_ctx_t *ctx)
{
    return ctx->ncerts;
}

X509 *
veil_tls_ctx_cert(const veil_tls_ctx_t *ctx, unsigned i)
{
    VEIL_ASSERT(i < ctx->ncerts);
    return ctx->certs[i].leaf;
}

/* From the chain that is sent, else among those trusted. */
X509 *
veil_tls_ctx_issuer(const veil_tls_ctx_t *ctx, unsigned i)
{
    veil_tls_cert_t *cert;
    X509_STORE_CTX *x;

    VEIL_ASSERT(i < ctx->ncerts);
    cert = &ctx->certs[i];
    if (cert->issuer == NULL) {
        x = X509_STORE_CTX_new();
        VEIL_ASSERT(x != NULL);
        if (!X509_STORE_CTX_init(x, SSL_CTX_get_cert_store(ctx->ssl), NULL,
                                 NULL)
            || X509_STORE_CTX_get1_issuer(&cert->issuer, x, cert->leaf) != 1)
        {
            cert->issuer = NULL;
        }
        X509_STORE_CTX_free(x);
        ERR_clear_error();
    }
    return cert->issuer;
}

void
veil_tls_ctx_set_staple(veil_tls_ctx_t *ctx, unsigned i, const void *der,
                        size_t len)
{
    VEIL_ASSERT(i < ctx->ncerts);
    CRYPTO_BUFFER_free(ctx->certs[i].staple);
    ctx->certs[i].staple = NULL;
    if (len != 0) {
        ctx->certs[i].staple = CRYPTO_BUFFER_new(der, len, NULL);
        VEIL_ASSERT(ctx->certs[i].staple != NULL);
    }
}
