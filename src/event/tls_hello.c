/*
 * tls_hello.c -- what a server makes of a ClientHello.
 *
 * The library shows it before it does anything with it.  The name that is
 * asked for chooses the context (select() of the owner, who may take his
 * time), and among the context's certificates one is taken that this client
 * can verify.  Moving a session to another context takes the certificates
 * along and what the library looks up there (ciphers, authorities, ALPN); the
 * rest was copied when the session began and is copied again here.  What stays
 * is that of the context it began in, as with nginx: how long sessions last,
 * and the functions for them, but ours look at where it is by then
 * (tls_ticket.c, tls_cache.c).
 *
 * Several certificates side by side are our doing: BoringSSL has one for a
 * context.  Which of them fits is read from the signature algorithms, and
 * for TLS 1.2 from ciphers and groups, as OpenSSL does.
 */

#include "event/tls_impl.h"

#include <openssl/bytestring.h>
#include <openssl/nid.h>

/* $ssl_ciphers and the like are wanted. */
static bool tls_hello_keep;

/* --- the name --------------------------------------------------------------
 */

/*
 * Names may be used for those of files: what no host has in its name is no
 * name, as with nginx.
 */
static bool
tls_hello_is_host(const CBS *name)
{
    const uint8_t *p = CBS_data(name);
    size_t i;

    for (i = 0; i < CBS_len(name); i++) {
        if (p[i] <= ' ' || p[i] == 0x7f || p[i] == '/' || p[i] == '\\') {
            return false;
        }
    }
    return p[0] != '.';
}

/* The name of the first host_name entry (RFC 6066, 3); false: malformed. */
static bool
tls_hello_parse_name(const SSL_CLIENT_HELLO *hello, CBS *name)
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
tls_hello_keep_name(veil_tls_t *t, const CBS *name)
{
    size_t len = CBS_len(name);

    if (len == 0 || t->name != NULL || !tls_hello_is_host(name)) {
        return;
    }
    t->name = veil_alloc(len + 1);
    veil_str_lower(t->name, (const char *) CBS_data(name), len);
    if (len > 1 && t->name[len - 1] == '.') {
        len--;
    }
    t->name[len] = '\0';
}

/* --- what is kept of it ----------------------------------------------------
 */

void
veil_tls_keep_hello(bool keep)
{
    tls_hello_keep = keep;
}

/*
 * The list of two-byte numbers that an extension is; false: there is none, or
 * it is malformed, which the library will say.
 */
static bool
tls_hello_list(const SSL_CLIENT_HELLO *hello, uint16_t type, CBS *list)
{
    const uint8_t *data;
    size_t len;
    CBS cbs;

    if (!SSL_early_callback_ctx_extension_get(hello, type, &data, &len)) {
        return false;
    }
    CBS_init(&cbs, data, len);
    return CBS_get_u16_length_prefixed(&cbs, list) && CBS_len(list) % 2 == 0;
}

static veil_str_t
tls_hello_list_text(const SSL_CLIENT_HELLO *hello, uint16_t type)
{
    CBS list;

    if (!tls_hello_list(hello, type, &list)) {
        return VEIL_STR_NULL;
    }
    return veil_str_n((const char *) CBS_data(&list), CBS_len(&list));
}

static veil_str_t
tls_hello_copy(char **p, veil_str_t s)
{
    veil_str_t copy = veil_str_n(*p, s.len);

    *p = veil_fmt_str(*p, s);
    return copy;
}

static void
tls_hello_keep_fields(veil_tls_t *t, const SSL_CLIENT_HELLO *hello)
{
    veil_str_t ciphers = veil_str_n((const char *) hello->cipher_suites,
                                    hello->cipher_suites_len);
    veil_str_t curves =
        tls_hello_list_text(hello, TLSEXT_TYPE_supported_groups);
    veil_str_t sigalgs =
        tls_hello_list_text(hello, TLSEXT_TYPE_signature_algorithms);
    veil_tls_hello_t *outer = t->hello, *all;
    veil_str_t name = outer != NULL ? outer->outer_name : VEIL_STR_NULL;
    char *p;

    all = veil_zalloc(sizeof(*all) + ciphers.len + curves.len + sigalgs.len
                      + name.len);
    p = (char *) (all + 1);
    all->ciphers = tls_hello_copy(&p, ciphers);
    all->curves = tls_hello_copy(&p, curves);
    all->sigalgs = tls_hello_copy(&p, sigalgs);
    all->outer_name = tls_hello_copy(&p, name);
    all->ech = outer != NULL && outer->ech;
    t->hello = all;
    veil_free(outer);
}

/* --- what is around it -----------------------------------------------------
 */

/* The server_name and the ECH extension of a ClientHello as it was sent. */
static bool
tls_hello_parse_outer(CBS msg, CBS *name, bool *ech)
{
    CBS skipped, exts, ext, list;
    uint16_t type;
    uint8_t kind;

    CBS_init(name, NULL, 0);
    *ech = false;
    /* RFC 8446, 4.1.2: version and random; session, ciphers, compression */
    if (!CBS_skip(&msg, 2 + 32) || !CBS_get_u8_length_prefixed(&msg, &skipped)
        || !CBS_get_u16_length_prefixed(&msg, &skipped)
        || !CBS_get_u8_length_prefixed(&msg, &skipped)
        || !CBS_get_u16_length_prefixed(&msg, &exts))
    {
        return false;
    }
    while (CBS_len(&exts) > 0) {
        if (!CBS_get_u16(&exts, &type)
            || !CBS_get_u16_length_prefixed(&exts, &ext)) {
            return false;
        }
        if (type == TLSEXT_TYPE_encrypted_client_hello) {
            *ech = true;
        } else if (type == TLSEXT_TYPE_server_name
                   && !(CBS_get_u16_length_prefixed(&ext, &list)
                        && CBS_get_u8(&list, &kind)
                        && CBS_get_u16_length_prefixed(&list, name)))
        {
            return false;
        }
    }
    return true;
}

/*
 * Each message as it came, before the library opens it.  The first is the
 * outer ClientHello.
 */
static void
tls_hello_on_message(int is_write, int version VEIL_UNUSED, int type,
                     const void *data, size_t len, SSL *ssl,
                     void *arg VEIL_UNUSED)
{
    veil_tls_t *t = veil_tls_of_ssl(ssl);
    uint8_t kind;
    CBS msg, name;
    bool ech;
    char *p;

    CBS_init(&msg, data, len);
    if (is_write || type != SSL3_RT_HANDSHAKE || t->hello != NULL
        || !CBS_get_u8(&msg, &kind) || kind != SSL3_MT_CLIENT_HELLO
        || !CBS_skip(&msg, 3) || !tls_hello_parse_outer(msg, &name, &ech))
    {
        return;
    }
    t->hello = veil_zalloc(sizeof(*t->hello) + CBS_len(&name));
    p = (char *) (t->hello + 1);
    t->hello->outer_name = tls_hello_copy(
        &p, veil_str_n((const char *) CBS_data(&name), CBS_len(&name)));
    t->hello->ech = ech;
}

/* --- the choice ------------------------------------------------------------
 */

/* What a ClientHello says that matters here. */
typedef struct {
    bool tls13;       /* that will be spoken */
    bool rsa, ecdsa;  /* TLS 1.2: ciphers that need such a key */
    bool has_sigalgs; /* else those of old: SHA-1 */
    CBS sigalgs;      /* of two bytes each */
    bool has_groups;
    CBS groups;
} tls_hello_facts_t;

static bool
tls_hello_in(CBS list, unsigned value)
{
    uint16_t v;

    while (CBS_get_u16(&list, &v)) {
        if (v == value) {
            return true;
        }
    }
    return false;
}

static bool
tls_hello_offers_tls13(const SSL_CLIENT_HELLO *hello)
{
    const uint8_t *data;
    size_t len;
    CBS cbs, list;

    if (!SSL_early_callback_ctx_extension_get(
            hello, TLSEXT_TYPE_supported_versions, &data, &len))
    {
        return false;
    }
    CBS_init(&cbs, data, len);
    return CBS_get_u8_length_prefixed(&cbs, &list)
           && tls_hello_in(list, TLS1_3_VERSION);
}

/* Of the ciphers that both sides have, which keys could be used. */
static void
tls_hello_kinds_of_ciphers(tls_hello_facts_t *h, const SSL_CLIENT_HELLO *hello,
                           const STACK_OF(SSL_CIPHER) * ciphers)
{
    const SSL_CIPHER *cipher;
    CBS list;
    size_t i;
    int auth;

    CBS_init(&list, hello->cipher_suites, hello->cipher_suites_len);
    for (i = 0; i < sk_SSL_CIPHER_num(ciphers); i++) {
        cipher = sk_SSL_CIPHER_value(ciphers, i);
        auth = SSL_CIPHER_get_auth_nid(cipher);
        if ((auth == NID_auth_rsa && !h->rsa)
            || (auth == NID_auth_ecdsa && !h->ecdsa)) {
            if (tls_hello_in(list, SSL_CIPHER_get_protocol_id(cipher))) {
                h->rsa |= auth == NID_auth_rsa;
                h->ecdsa |= auth == NID_auth_ecdsa;
            }
        }
    }
}

static bool
tls_hello_any_sigalg(const tls_hello_facts_t *h, const uint16_t *algs)
{
    for (; *algs != 0; algs++) {
        if (tls_hello_in(h->sigalgs, *algs)) {
            return true;
        }
    }
    return false;
}

static bool
tls_hello_fits_tls13(const tls_hello_facts_t *h, veil_tls_key_kind_t kind)
{
    static const uint16_t algs[][4] = {
        [VEIL_TLS_KEY_RSA] = { SSL_SIGN_RSA_PSS_RSAE_SHA256,
                               SSL_SIGN_RSA_PSS_RSAE_SHA384,
                               SSL_SIGN_RSA_PSS_RSAE_SHA512, 0 },
        [VEIL_TLS_KEY_P256] = { SSL_SIGN_ECDSA_SECP256R1_SHA256, 0 },
        [VEIL_TLS_KEY_P384] = { SSL_SIGN_ECDSA_SECP384R1_SHA384, 0 },
        [VEIL_TLS_KEY_P521] = { SSL_SIGN_ECDSA_SECP521R1_SHA512, 0 },
        [VEIL_TLS_KEY_ED25519] = { SSL_SIGN_ED25519, 0 },
    };

    return tls_hello_any_sigalg(h, algs[kind]);
}

/*
 * TLS 1.2: the cipher names the kind of key, the signature algorithm does
 * not name the curve, but the groups do (RFC 8422, 5.1).
 */
static bool
tls_hello_fits_tls12(const tls_hello_facts_t *h, veil_tls_key_kind_t kind)
{
    static const uint16_t rsa[] = {
        SSL_SIGN_RSA_PKCS1_SHA256,    SSL_SIGN_RSA_PKCS1_SHA384,
        SSL_SIGN_RSA_PKCS1_SHA512,    SSL_SIGN_RSA_PSS_RSAE_SHA256,
        SSL_SIGN_RSA_PSS_RSAE_SHA384, SSL_SIGN_RSA_PSS_RSAE_SHA512,
        SSL_SIGN_RSA_PKCS1_SHA1,      0
    };
    static const uint16_t ecdsa[] = { SSL_SIGN_ECDSA_SECP256R1_SHA256,
                                      SSL_SIGN_ECDSA_SECP384R1_SHA384,
                                      SSL_SIGN_ECDSA_SECP521R1_SHA512,
                                      SSL_SIGN_ECDSA_SHA1, 0 };
    static const uint16_t ed25519[] = { SSL_SIGN_ED25519, 0 };
    static const uint16_t curves[] = {
        [VEIL_TLS_KEY_P256] = SSL_CURVE_SECP256R1,
        [VEIL_TLS_KEY_P384] = SSL_CURVE_SECP384R1,
        [VEIL_TLS_KEY_P521] = SSL_CURVE_SECP521R1,
    };

    if (kind == VEIL_TLS_KEY_RSA) {
        return h->rsa && (!h->has_sigalgs || tls_hello_any_sigalg(h, rsa));
    }
    if (!h->ecdsa) {
        return false;
    }
    if (kind == VEIL_TLS_KEY_ED25519) {
        return h->has_sigalgs && tls_hello_any_sigalg(h, ed25519);
    }
    return (!h->has_sigalgs || tls_hello_any_sigalg(h, ecdsa))
           && (!h->has_groups || tls_hello_in(h->groups, curves[kind]));
}

static unsigned
tls_hello_find_cert(const veil_tls_cert_t *certs, unsigned n,
                    const SSL_CLIENT_HELLO *hello,
                    const STACK_OF(SSL_CIPHER) * ciphers, bool tls13)
{
    tls_hello_facts_t h;
    unsigned i, found = n;

    if (n < 2) {
        return 0;
    }
    memset(&h, 0, sizeof(h));
    h.tls13 = tls13 && tls_hello_offers_tls13(hello);
    h.has_sigalgs =
        tls_hello_list(hello, TLSEXT_TYPE_signature_algorithms, &h.sigalgs);
    h.has_groups =
        tls_hello_list(hello, TLSEXT_TYPE_supported_groups, &h.groups);
    if (!h.tls13) {
        tls_hello_kinds_of_ciphers(&h, hello, ciphers);
    }
    /* Of two that are alike the last counts, as with OpenSSL. */
    for (i = n; i-- > 0;) {
        if (!(h.tls13 ? tls_hello_fits_tls13(&h, certs[i].kind)
                      : tls_hello_fits_tls12(&h, certs[i].kind)))
        {
            continue;
        }
        if (certs[i].kind != VEIL_TLS_KEY_RSA) {
            return i;
        }
        if (found == n) {
            found = i;
        }
    }
    return found == n ? 0 : found;
}

/* --- contexts --------------------------------------------------------------
 */

/* What directives may set, in tls_ctx.c and tls_ticket.c. */
#define TLS_HELLO_OPTIONS                                                     \
    (SSL_OP_NO_TLSv1 | SSL_OP_NO_TLSv1_1 | SSL_OP_NO_TLSv1_2                  \
     | SSL_OP_NO_TLSv1_3 | SSL_OP_CIPHER_SERVER_PREFERENCE                    \
     | SSL_OP_NO_TICKET)

bool
veil_tls_ctx_enter(veil_tls_ctx_t *ctx, veil_tls_t *t)
{
    SSL *ssl = t->ssl;

    if (ctx == t->ctx) {
        return true;
    }
    if (SSL_set_SSL_CTX(ssl, ctx->ssl) == NULL
        || (ctx->derived
            && !SSL_set_session_id_context(ssl, ctx->sid, sizeof(ctx->sid))))
    {
        return false;
    }
    SSL_set_verify(ssl, SSL_CTX_get_verify_mode(ctx->ssl),
                   SSL_CTX_get_verify_callback(ctx->ssl));
    SSL_set_verify_depth(ssl, SSL_CTX_get_verify_depth(ctx->ssl));
    SSL_clear_options(ssl, TLS_HELLO_OPTIONS);
    SSL_set_options(ssl, SSL_CTX_get_options(ctx->ssl) & TLS_HELLO_OPTIONS);
    SSL_set_early_data_enabled(ssl, ctx->o.early_data);
    if (strcmp(t->ctx->curves, ctx->curves) != 0
        && !SSL_set1_curves_list(ssl, ctx->curves))
    {
        return false;
    }
    veil_tls_ctx_put(t->ctx);
    t->ctx = veil_tls_ctx_get(ctx);
    return true;
}

/* The certificate for this client, and what is stapled to it. */
static bool
tls_hello_use_cert(veil_tls_t *t, const SSL_CLIENT_HELLO *hello)
{
    const veil_tls_ctx_t *ctx = t->ctx;
    const veil_tls_cert_t *cert;
    const uint8_t *data;
    size_t len;
    unsigned i;

    if (ctx->ncerts == 0) {
        return true;
    }
    i = tls_hello_find_cert(ctx->certs, ctx->ncerts, hello,
                            SSL_get_ciphers(t->ssl),
                            (ctx->o.protocols & VEIL_TLS_1_3) != 0);
    cert = &ctx->certs[i];
    if ((i != 0 || ctx->derived)
        && !SSL_set_chain_and_key(t->ssl, cert->chain, cert->nchain, cert->key,
                                  NULL))
    {
        return false;
    }
    veil_tls_sign_use(t);
    if (cert->staple != NULL
        && SSL_early_callback_ctx_extension_get(
            hello, TLSEXT_TYPE_status_request, &data, &len))
    {
        return SSL_set_ocsp_response(t->ssl, CRYPTO_BUFFER_data(cert->staple),
                                     CRYPTO_BUFFER_len(cert->staple));
    }
    return true;
}

static enum ssl_select_cert_result_t
tls_hello_received(const SSL_CLIENT_HELLO *hello)
{
    veil_tls_t *t = veil_tls_of_ssl(hello->ssl);
    veil_tls_ctx_t *ctx;
    CBS name;

    if (!t->selected) {
        if (!tls_hello_parse_name(hello, &name)) {
            return ssl_select_cert_error;
        }
        t->selected = true;
        tls_hello_keep_name(t, &name);
        if (tls_hello_keep) {
            tls_hello_keep_fields(t, hello);
        }
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
    if (!t->refused && !tls_hello_use_cert(t, hello)) {
        return ssl_select_cert_error;
    }
    return ssl_select_cert_success;
}

/* Only here can the alert be chosen. */
static int
tls_hello_server_name(SSL *ssl, int *alert, void *arg VEIL_UNUSED)
{
    if (veil_tls_of_ssl(ssl)->refused) {
        *alert = SSL_AD_UNRECOGNIZED_NAME;
        return SSL_TLSEXT_ERR_ALERT_FATAL;
    }
    return SSL_TLSEXT_ERR_OK;
}

/* Whether the client's list has this protocol. */
static bool
tls_hello_offers(CBS list, veil_str_t want, const uint8_t **out,
                 uint8_t *out_len)
{
    CBS one;

    while (CBS_get_u8_length_prefixed(&list, &one)) {
        if (CBS_mem_equal(&one, (const uint8_t *) want.data, want.len)) {
            *out = CBS_data(&one);
            *out_len = (uint8_t) CBS_len(&one);
            return true;
        }
    }
    return false;
}

/* The first of ours that the client has. */
static int
tls_hello_alpn(SSL *ssl, const uint8_t **out, uint8_t *out_len,
               const uint8_t *in, unsigned in_len, void *arg VEIL_UNUSED)
{
    const veil_tls_t *t = veil_tls_of_ssl(ssl);
    const veil_array_t *ours = t->ctx->o.alpn;
    veil_str_t first = VEIL_STR_NULL;
    unsigned i;
    CBS list;

    CBS_init(&list, in, in_len);
    if (t->accept->alpn != NULL) {
        first = t->accept->alpn(t->conn);
    }
    if (first.len != 0 && tls_hello_offers(list, first, out, out_len)) {
        return SSL_TLSEXT_ERR_OK;
    }
    for (i = 0; ours != NULL && i < ours->n; i++) {
        if (tls_hello_offers(list, *veil_array_at(ours, veil_str_t, i), out,
                             out_len)) {
            return SSL_TLSEXT_ERR_OK;
        }
    }
    return SSL_TLSEXT_ERR_ALERT_FATAL;
}

void
veil_tls_hello_fill(veil_tls_ctx_t *ctx)
{
    SSL_CTX_set_select_certificate_cb(ctx->ssl, tls_hello_received);
    SSL_CTX_set_tlsext_servername_callback(ctx->ssl, tls_hello_server_name);
    SSL_CTX_set_alpn_select_cb(ctx->ssl, tls_hello_alpn, NULL);
    if (tls_hello_keep) {
        SSL_CTX_set_msg_callback(ctx->ssl, tls_hello_on_message);
    }
}
