/*
 * proxy_ssl.c -- setters of proxy_ssl_..., grpc_ssl_...: how TLS is spoken to
 * upstreams.
 *
 * They only fill in veil_upstream_tls_t; files are read, and what does not
 * fit together is found, when a block that needs TLS is complete
 * (http/upstream/upstream_tls.c).  A location that proxies to http:// may so
 * inherit options that would be wrong.
 */

#include "modules/proxy/proxy_commands.h"

const veil_conf_enum_t veil_proxy_protocol_words[] = {
    { "TLSv1", VEIL_TLS_1_0 },
    { "TLSv1.1", VEIL_TLS_1_1 },
    { "TLSv1.2", VEIL_TLS_1_2 },
    { "TLSv1.3", VEIL_TLS_1_3 },
    { NULL, 0 },
};

/* --- the certificate of the client ----------------------------------------
 */

static veil_rc_t
proxy_ssl_set_file(veil_conf_t *cf, const veil_http_value_t **value,
                   const veil_conf_node_t **node)
{
    veil_str_t arg = veil_conf_arg(cf, 1);

    if (veil_str_starts(arg, VEIL_STR("engine:"))
        || veil_str_starts(arg, VEIL_STR("store:")))
    {
        return veil_conf_error_at(cf, 1,
                                  "BoringSSL has neither engines nor stores; "
                                  "give the path of a file");
    }
    *node = cf->node;
    *value = veil_http_value_compile(cf, arg);
    return *value == NULL ? VEIL_ERROR : VEIL_OK;
}

veil_rc_t
veil_proxy_set_ssl_certificate(veil_conf_t *cf,
                               const veil_command_t *cmd VEIL_UNUSED,
                               void *data)
{
    proxy_conf_t *conf = data;

    return proxy_ssl_set_file(cf, &conf->up.tls.cert, &conf->up.tls.cert_node);
}

veil_rc_t
veil_proxy_set_ssl_key(veil_conf_t *cf, const veil_command_t *cmd VEIL_UNUSED,
                       void *data)
{
    proxy_conf_t *conf = data;

    return proxy_ssl_set_file(cf, &conf->up.tls.key, &conf->up.tls.key_node);
}

veil_rc_t
veil_proxy_set_ssl_cache(veil_conf_t *cf,
                         const veil_command_t *cmd VEIL_UNUSED, void *data)
{
    proxy_conf_t *conf = data;

    return veil_upstream_tls_set_cache(cf, &conf->up.tls);
}

/* --- the others -----------------------------------------------------------
 */

/* Relative to the configuration's directory, as all files of TLS. */
static veil_str_t
proxy_ssl_path(veil_conf_t *cf)
{
    veil_str_t arg = veil_conf_arg(cf, 1);

    return arg.len == 0 ? arg : veil_conf_full_path(cf, arg, true);
}

veil_rc_t
veil_proxy_set_ssl_passwords(veil_conf_t *cf,
                             const veil_command_t *cmd VEIL_UNUSED, void *data)
{
    proxy_conf_t *conf = data;

    return veil_tls_passwords_read(cf, proxy_ssl_path(cf),
                                   &conf->up.tls.options.passwords);
}

veil_rc_t
veil_proxy_set_ssl_trusted(veil_conf_t *cf,
                           const veil_command_t *cmd VEIL_UNUSED, void *data)
{
    proxy_conf_t *conf = data;

    conf->up.tls.options.trusted = proxy_ssl_path(cf);
    conf->up.tls.options.at.trusted = cf->node;
    return VEIL_OK;
}

veil_rc_t
veil_proxy_set_ssl_crl(veil_conf_t *cf, const veil_command_t *cmd VEIL_UNUSED,
                       void *data)
{
    proxy_conf_t *conf = data;

    conf->up.tls.options.crl = proxy_ssl_path(cf);
    conf->up.tls.options.at.crl = cf->node;
    return VEIL_OK;
}

veil_rc_t
veil_proxy_set_ssl_ciphers(veil_conf_t *cf,
                           const veil_command_t *cmd VEIL_UNUSED, void *data)
{
    proxy_conf_t *conf = data;

    conf->up.tls.options.ciphers = veil_conf_arg(cf, 1);
    conf->up.tls.options.at.ciphers = cf->node;
    return VEIL_OK;
}

veil_rc_t
veil_proxy_set_ssl_protocols(veil_conf_t *cf, const veil_command_t *cmd,
                             void *data)
{
    proxy_conf_t *conf = data;
    unsigned i;

    conf->up.tls.options.at.protocols = cf->node;
    for (i = 1; i < veil_conf_nargs(cf); i++) {
        if (veil_str_casestarts(veil_conf_arg(cf, i), VEIL_STR("SSLv"))) {
            return veil_conf_error_at(cf, i,
                                      "BoringSSL has nothing older than "
                                      "TLSv1");
        }
    }
    return veil_conf_set_bitmask(cf, cmd, data);
}

veil_rc_t
veil_proxy_set_ssl_conf_command(veil_conf_t *cf,
                                const veil_command_t *cmd VEIL_UNUSED,
                                void *data VEIL_UNUSED)
{
    return veil_conf_error(cf, "BoringSSL has no configuration commands; what "
                               "they set has directives of its own, or cannot "
                               "be set");
}
