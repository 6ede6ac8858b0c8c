/*
 * ssl_variables.c -- variables about a session: $ssl_protocol and the like.
 *
 * Those of the client's certificate are ssl_client.c's.  Values are printed
 * as nginx on OpenSSL prints them.
 */

#include "core/platform.h"

#include <openssl/ssl.h>

#include "http/conn.h"
#include "modules/ssl/ssl.h"

/* For a get function: the session, or "not found". */
#define GET(name)                                                             \
    static bool ssl_variables_##name(                                         \
        veil_http_request_t *r, const veil_http_variable_t *v VEIL_UNUSED,    \
        veil_str_t *out)

GET(protocol)
{
    const veil_tls_t *t = veil_ssl_session(r);

    if (t == NULL) {
        return false;
    }
    *out = veil_str_z(veil_tls_version(t));
    return true;
}

GET(cipher)
{
    const veil_tls_t *t = veil_ssl_session(r);
    const SSL_CIPHER *cipher =
        t == NULL ? NULL : SSL_get_current_cipher(veil_tls_ssl(t));

    if (cipher == NULL) {
        return false;
    }
    *out = veil_str_z(SSL_CIPHER_get_name(cipher));
    return true;
}

GET(curve)
{
    const veil_tls_t *t = veil_ssl_session(r);
    const char *name;
    uint16_t id;

    if (t == NULL) {
        return false;
    }
    id = SSL_get_curve_id(veil_tls_ssl(t));
    if (id == 0) {
        return false;
    }
    name = veil_ssl_group_name(id);
    *out = name != NULL ? veil_str_z(name)
                        : veil_pool_printf(r->pool, "0x%04x", id);
    return true;
}

/* Numbers of two bytes each, by name or in hexadecimal, with ":" between. */
static bool
ssl_variables_list(veil_http_request_t *r, veil_str_t list,
                   const char *(*name_of)(uint16_t id), veil_str_t *out)
{
    size_t size = 0, i;
    const char *name;
    char *p, *start;
    uint16_t id;

    if (list.len < 2) {
        return false;
    }
    for (i = 0; i + 1 < list.len; i += 2) {
        id = (uint16_t) ((unsigned char) list.data[i] << 8
                         | (unsigned char) list.data[i + 1]);
        name = name_of(id);
        size += (name != NULL ? strlen(name) : 6) + 1;
    }
    start = p = veil_pool_chars(r->pool, size + 1);
    for (i = 0; i + 1 < list.len; i += 2) {
        id = (uint16_t) ((unsigned char) list.data[i] << 8
                         | (unsigned char) list.data[i + 1]);
        name = name_of(id);
        if (p != start) {
            *p++ = ':';
        }
        if (name != NULL) {
            p = veil_fmt_str(p, veil_str_z(name));
        } else {
            p += veil_snprintf(p, 7, "0x%04x", id);
        }
    }
    *out = veil_str_n(start, (size_t) (p - start));
    return true;
}

static const veil_tls_hello_t *
ssl_variables_hello(const veil_http_request_t *r)
{
    const veil_tls_t *t = veil_ssl_session(r);

    return t == NULL ? NULL : veil_tls_hello(t);
}

GET(ciphers)
{
    const veil_tls_hello_t *hello = ssl_variables_hello(r);

    return hello != NULL
           && ssl_variables_list(r, hello->ciphers, veil_ssl_cipher_name, out);
}

GET(curves)
{
    const veil_tls_hello_t *hello = ssl_variables_hello(r);

    return hello != NULL
           && ssl_variables_list(r, hello->curves, veil_ssl_group_name, out);
}

GET(sigalgs)
{
    const veil_tls_hello_t *hello = ssl_variables_hello(r);

    return hello != NULL
           && ssl_variables_list(r, hello->sigalgs, veil_ssl_sigalg_name, out);
}

GET(session_id)
{
    const veil_tls_t *t = veil_ssl_session(r);
    const SSL_SESSION *session =
        t == NULL ? NULL : SSL_get_session(veil_tls_ssl(t));
    const uint8_t *id;
    unsigned len;
    char *p;

    if (session == NULL) {
        return false;
    }
    id = SSL_SESSION_get_id(session, &len);
    p = veil_pool_chars(r->pool, 2 * (size_t) len);
    (void) veil_fmt_hex_bytes(p, id, len);
    *out = veil_str_n(p, 2 * (size_t) len);
    return true;
}

GET(session_reused)
{
    const veil_tls_t *t = veil_ssl_session(r);

    if (t == NULL) {
        return false;
    }
    *out = veil_tls_is_resumed(t) ? VEIL_STR("r") : VEIL_STR(".");
    return true;
}

GET(early_data)
{
    if (!r->in.early) {
        return false;
    }
    *out = VEIL_STR("1");
    return true;
}

/* As the client sent it, not as names are compared. */
GET(server_name)
{
    const veil_tls_t *t = veil_ssl_session(r);
    const char *name;

    if (t == NULL) {
        return false;
    }
    name = SSL_get_servername(veil_tls_ssl(t), TLSEXT_NAMETYPE_host_name);
    /* A certificate's own name is asked for before the library has read it. */
    *out = name != NULL ? veil_str_z(name) : veil_tls_server_name(t);
    return out->len != 0;
}

GET(alpn_protocol)
{
    const veil_tls_t *t = veil_ssl_session(r);

    if (t == NULL) {
        return false;
    }
    *out = veil_tls_alpn(t);
    return out->len != 0;
}

/* With what the server signed; nothing is signed when a session resumes. */
GET(sigalg)
{
    const veil_tls_hello_t *hello = ssl_variables_hello(r);
    const char *name;

    if (hello == NULL || hello->sigalg == 0) {
        return false;
    }
    name = veil_ssl_sigalg_name(hello->sigalg);
    *out = name != NULL ? veil_str_z(name)
                        : veil_pool_printf(r->pool, "0x%04x", hello->sigalg);
    return true;
}

/*
 * An extension that could not be opened is taken for a made-up one, which
 * browsers send to servers that they have no key of (RFC 9849, 6.2).
 */
GET(ech_status)
{
    const veil_tls_t *t = veil_ssl_session(r);
    const veil_tls_hello_t *hello = ssl_variables_hello(r);

    if (t == NULL) {
        return false;
    }
    if (SSL_ech_accepted(veil_tls_ssl(t))) {
        *out = VEIL_STR("SUCCESS");
    } else if (hello != NULL && hello->ech) {
        *out = VEIL_STR("GREASE");
    } else {
        *out = VEIL_STR("NOT_TRIED");
    }
    return true;
}

GET(ech_outer_server_name)
{
    const veil_tls_t *t = veil_ssl_session(r);
    const veil_tls_hello_t *hello = ssl_variables_hello(r);

    if (t == NULL || hello == NULL || !SSL_ech_accepted(veil_tls_ssl(t))) {
        return false;
    }
    *out = hello->outer_name;
    return out->len != 0;
}

/* clang-format off */
#define CLIENT(name, which)                                                   \
    { "ssl_client_" name, veil_ssl_get_client, NULL,                          \
      (const void *) (intptr_t) VEIL_SSL_CLIENT_##which, 0 }

const veil_http_var_def_t veil_ssl_variables[] = {
    { "ssl_protocol", ssl_variables_protocol, NULL, NULL, 0 },
    { "ssl_cipher", ssl_variables_cipher, NULL, NULL, 0 },
    { "ssl_ciphers", ssl_variables_ciphers, NULL, NULL, 0 },
    { "ssl_curve", ssl_variables_curve, NULL, NULL, 0 },
    { "ssl_curves", ssl_variables_curves, NULL, NULL, 0 },
    { "ssl_sigalgs", ssl_variables_sigalgs, NULL, NULL, 0 },
    { "ssl_session_id", ssl_variables_session_id, NULL, NULL, 0 },
    { "ssl_session_reused", ssl_variables_session_reused, NULL, NULL, 0 },
    { "ssl_early_data", ssl_variables_early_data, NULL, NULL,
      VEIL_HTTP_VAR_VOLATILE },
    { "ssl_server_name", ssl_variables_server_name, NULL, NULL, 0 },
    { "ssl_alpn_protocol", ssl_variables_alpn_protocol, NULL, NULL, 0 },
    { "ssl_sigalg", ssl_variables_sigalg, NULL, NULL, 0 },
    { "ssl_ech_status", ssl_variables_ech_status, NULL, NULL, 0 },
    { "ssl_ech_outer_server_name", ssl_variables_ech_outer_server_name, NULL,
      NULL, 0 },
    CLIENT("cert", CERT),
    CLIENT("raw_cert", RAW_CERT),
    CLIENT("escaped_cert", ESCAPED_CERT),
    CLIENT("s_dn", S_DN),
    CLIENT("i_dn", I_DN),
    CLIENT("s_dn_legacy", S_DN_LEGACY),
    CLIENT("i_dn_legacy", I_DN_LEGACY),
    CLIENT("serial", SERIAL),
    CLIENT("fingerprint", FINGERPRINT),
    CLIENT("verify", VERIFY),
    CLIENT("v_start", V_START),
    CLIENT("v_end", V_END),
    CLIENT("v_remain", V_REMAIN),
    CLIENT("sigalg", SIGALG),
    { NULL, NULL, NULL, NULL, 0 },
};
/* clang-format on */
