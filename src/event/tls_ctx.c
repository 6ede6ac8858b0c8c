/*
 * tls_ctx.c -- contexts: what directives say, as an SSL_CTX.
 *
 * A context is made while the configuration is read, so that every mistake in
 * it is one of "veil -t".  The library's own errors say what was wrong with a
 * file; they are put into one line, in nginx's form.
 *
 * A client's hello decides which server's context holds: the session begins
 * in the default server's and moves (veil_tls_ctx_enter()).  Tickets and
 * sessions stay with the first one, as with every server on this library.
 */

#include "event/tls_impl.h"

#include "core/cycle.h"

/* --- errors ----------------------------------------------------------------
 */

/* The queue as "error:...:...", which it empties; the length. */
static size_t
tls_ctx_print_errors(char *buf, size_t n)
{
    char text[256];
    size_t len = 0;
    uint32_t e;

    buf[0] = '\0';
    while ((e = ERR_get_error()) != 0) {
        ERR_error_string_n(e, text, sizeof(text));
        len += veil_snprintf(buf + len, n - len, "%s%s", len == 0 ? "" : " ",
                             text);
    }
    return len;
}

void
veil_tls_log(const veil_log_t *log, veil_log_level_t level, const char *text)
{
    char errors[512];

    if (tls_ctx_print_errors(errors, sizeof(errors)) == 0) {
        veil_log(log, level, 0, "%s", text);
    } else {
        veil_log(log, level, 0, "%s (SSL: %s)", text, errors);
    }
}

veil_rc_t
veil_tls_error(veil_conf_t *cf, const veil_conf_node_t *node, const char *text)
{
    char errors[512];

    if (tls_ctx_print_errors(errors, sizeof(errors)) == 0) {
        return veil_conf_error_node(cf, node, 1, "%s", text);
    }
    return veil_conf_error_node(cf, node, 1, "%s (SSL: %s)", text, errors);
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
    o->ciphers = VEIL_STR("HIGH:!aNULL:!MD5");
    o->curves = VEIL_STR("auto");
    o->verify = server ? VEIL_TLS_VERIFY_OFF : VEIL_TLS_VERIFY_ON;
    o->verify_depth = 1;
    o->session_timeout = 5 * 60 * 1000;
    o->tickets = true;
    o->session_reuse = true;
    o->buffer_size = VEIL_TLS_RECORD;
    o->ktls_fallback = true;
}

/* --- the hello -------------------------------------------------------------
 */

/* The name of the first host_name entry (RFC 6066, 3); false: malformed. */
static bool
tls_ctx_parse_name(const SSL_CLIENT_HELLO *hello, CBS *name)
{
    const uint8_t *data;
    size_t len;
    CBS ext, list;
    uint8_t type;

    CBS_init(name, NULL, 0);
    if (!SSL_early_callback_ctx_extension_get(hello, TLSEXT_TYPE_server_name,
                                              &data, &len))
    {
        return true;
    }
    CBS_init(&ext, data, len);
    return CBS_get_u16_length_prefixed(&ext, &list) && CBS_len(&ext) == 0
           && CBS_get_u8(&list, &type) && type == TLSEXT_NAMETYPE_host_name
           && CBS_get_u16_length_prefixed(&list, name) && CBS_len(&list) == 0
           && CBS_len(name) > 0 && CBS_len(name) <= TLSEXT_MAXLEN_host_name
           && !CBS_contains_zero_byte(name);
}

static void
tls_ctx_keep_name(veil_tls_t *t, const CBS *name)
{
    size_t len = CBS_len(name);

    if (len == 0 || t->name != NULL) {
        return;
    }
    t->name = veil_alloc(len + 1);
    veil_str_lower(t->name, (const char *) CBS_data(name), len);
    if (len > 1 && t->name[len - 1] == '.') {
        len--;
    }
    t->name[len] = '\0';
}

bool
veil_tls_ctx_enter(veil_tls_ctx_t *ctx, veil_tls_t *t)
{
    if (ctx != t->ctx) {
        if (SSL_set_SSL_CTX(t->ssl, ctx->ssl) == NULL) {
            return false;
        }
        veil_tls_ctx_put(t->ctx);
        t->ctx = veil_tls_ctx_get(ctx);
        SSL_set_verify(t->ssl, SSL_CTX_get_verify_mode(ctx->ssl),
                       SSL_CTX_get_verify_callback(ctx->ssl));
    }
    return true;
}

static enum ssl_select_cert_result_t
tls_ctx_on_hello(const SSL_CLIENT_HELLO *hello)
{
    veil_tls_t *t = veil_tls_of_ssl(hello->ssl);
    veil_tls_ctx_t *ctx;
    CBS name;

    if (!t->selected) {
        if (!tls_ctx_parse_name(hello, &name)) {
            return ssl_select_cert_error;
        }
        t->selected = true;
        tls_ctx_keep_name(t, &name);
        ctx = t->accept->select(t->conn, veil_tls_server_name(t));
        if (ctx == VEIL_TLS_LATER) {
            t->later = true;
        } else if (ctx == NULL || !veil_tls_ctx_enter(ctx, t)) {
            t->refused = true;
        }
    }
    if (t->later) {
        return ssl_select_cert_retry;
    }
    if (!t->refused && !veil_tls_cert_choose(t->ctx, t->ssl, hello)) {
        return ssl_select_cert_error;
    }
    return ssl_select_cert_success;
}

/* Only here can the alert be chosen. */
static int
tls_ctx_on_server_name(SSL *ssl, int *alert, void *arg VEIL_UNUSED)
{
    if (veil_tls_of_ssl(ssl)->refused) {
        *alert = SSL_AD_UNRECOGNIZED_NAME;
        return SSL_TLSEXT_ERR_ALERT_FATAL;
    }
    return SSL_TLSEXT_ERR_OK;
}

/* The first of ours that the client has. */
static int
tls_ctx_on_alpn(SSL *ssl, const uint8_t **out, uint8_t *out_len,
                const uint8_t *in, unsigned in_len, void *arg VEIL_UNUSED)
{
    const veil_array_t *ours = veil_tls_of_ssl(ssl)->ctx->o.alpn;
    veil_str_t want;
    CBS list, one;
    unsigned i;

    for (i = 0; ours != NULL && i < ours->n; i++) {
        want = *veil_array_at(ours, veil_str_t, i);
        CBS_init(&list, in, in_len);
        while (CBS_get_u8_length_prefixed(&list, &one)) {
            if (CBS_mem_equal(&one, (const uint8_t *) want.data, want.len)) {
                *out = CBS_data(&one);
                *out_len = (uint8_t) CBS_len(&one);
                return SSL_TLSEXT_ERR_OK;
            }
        }
    }
    return SSL_TLSEXT_ERR_ALERT_FATAL;
}

/* --- making one ------------------------------------------------------------
 */

static void
tls_ctx_set_protocols(SSL_CTX *ssl, unsigned mask)
{
    static const struct {
        unsigned bit;
        uint16_t version;
        uint32_t off;
    } all[] = { { VEIL_TLS_1_0, TLS1_VERSION, SSL_OP_NO_TLSv1 },
                { VEIL_TLS_1_1, TLS1_1_VERSION, SSL_OP_NO_TLSv1_1 },
                { VEIL_TLS_1_2, TLS1_2_VERSION, SSL_OP_NO_TLSv1_2 },
                { VEIL_TLS_1_3, TLS1_3_VERSION, SSL_OP_NO_TLSv1_3 } };
    unsigned i;

    (void) SSL_CTX_set_min_proto_version(ssl, TLS1_VERSION);
    (void) SSL_CTX_set_max_proto_version(ssl, TLS1_3_VERSION);
    for (i = 0; i < sizeof(all) / sizeof(all[0]); i++) {
        if ((mask & all[i].bit) == 0) {
            SSL_CTX_set_options(ssl, all[i].off);
        }
    }
}

static veil_rc_t
tls_ctx_load_cert(veil_conf_t *cf, veil_tls_ctx_t *ctx,
                  const veil_tls_cert_files_t *f)
{
    SSL_CTX *ssl = ctx->ssl;

    if (SSL_CTX_use_certificate_chain_file(ssl, f->cert.data) != 1) {
        return veil_tls_error(cf, f->cert_node, "cannot load certificate");
    }
    if (SSL_CTX_use_PrivateKey_file(ssl, f->key.data, SSL_FILETYPE_PEM) != 1) {
        return veil_tls_error(cf, f->key_node, "cannot load certificate key");
    }
    return VEIL_OK;
}

static veil_rc_t
tls_ctx_fill(veil_conf_t *cf, veil_tls_ctx_t *ctx)
{
    const veil_tls_options_t *o = &ctx->o;
    SSL_CTX *ssl = ctx->ssl;
    unsigned i;

    tls_ctx_set_protocols(ssl, o->protocols);
    SSL_CTX_set_mode(ssl, SSL_MODE_NO_AUTO_CHAIN);
    if (SSL_CTX_set_cipher_list(ssl, o->ciphers.data) != 1) {
        return veil_tls_error(cf, o->node, "cannot use these ciphers");
    }
    for (i = 0; o->certs != NULL && i < o->certs->n; i++) {
        if (tls_ctx_load_cert(
                cf, ctx, veil_array_at(o->certs, veil_tls_cert_files_t, i))
            != VEIL_OK)
        {
            return VEIL_ERROR;
        }
    }
    if (o->server) {
        SSL_CTX_set_select_certificate_cb(ssl, tls_ctx_on_hello);
        SSL_CTX_set_tlsext_servername_callback(ssl, tls_ctx_on_server_name);
        SSL_CTX_set_alpn_select_cb(ssl, tls_ctx_on_alpn, NULL);
        SSL_CTX_set_early_data_enabled(ssl, o->early_data);
        return VEIL_OK;
    }
    return veil_tls_client_fill(cf, ctx);
}

static void
tls_ctx_free(void *data)
{
    veil_tls_ctx_t *ctx = data;

    SSL_CTX_free(ctx->ssl);
    ctx->magic = VEIL_MAGIC_DEAD;
}

veil_tls_ctx_t *
veil_tls_ctx_create(veil_conf_t *cf, const veil_tls_options_t *o)
{
    veil_tls_ctx_t *ctx = VEIL_POOL_NEW(cf->pool, veil_tls_ctx_t);

    ctx->magic = VEIL_TLS_CTX_MAGIC;
    ctx->refs = 1;
    ctx->o = *o;
    ctx->ssl = SSL_CTX_new(TLS_method());
    VEIL_ASSERT(ctx->ssl != NULL);
    veil_pool_on_destroy(cf->pool, tls_ctx_free, ctx);
    return tls_ctx_fill(cf, ctx) == VEIL_OK ? ctx : NULL;
}

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
    VEIL_CHECK(ctx, VEIL_TLS_CTX);
    VEIL_ASSERT(ctx->refs > 0);
    ctx->refs--;
}

const veil_tls_options_t *
veil_tls_ctx_options(const veil_tls_ctx_t *ctx)
{
    return &ctx->o;
}
