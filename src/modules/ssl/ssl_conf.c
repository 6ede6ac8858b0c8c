/*
 * ssl_conf.c -- setters of the ssl module.
 *
 * They keep what was said and where.  What files hold is looked at when a
 * server's context is made (ssl.c), with the directives at hand for messages.
 */

#include "core/platform.h"

#include "modules/ssl/ssl.h"

/* --- certificates ----------------------------------------------------------
 */

static veil_rc_t
ssl_conf_set_file(veil_conf_t *cf, veil_array_t **list)
{
    veil_str_t text = veil_conf_arg(cf, 1);
    const veil_http_value_t *value;
    veil_ssl_file_t *f;

    if (text.len == 0) {
        return veil_conf_error_at(cf, 1, "the name of a file is empty");
    }
    if (!veil_str_starts(text, VEIL_STR("data:")) && text.data[0] != '$') {
        text = veil_conf_full_path(cf, text, true);
    }
    value = veil_http_value_compile(cf, text);
    if (value == NULL) {
        return VEIL_ERROR;
    }
    f = veil_conf_array_push(cf, list, sizeof(*f));
    f->text = text;
    f->node = cf->node;
    if (!veil_http_value_is_constant(value)) {
        f->value = value;
    }
    return VEIL_OK;
}

veil_rc_t
veil_ssl_set_certificate(veil_conf_t *cf,
                         const veil_command_t *cmd VEIL_UNUSED, void *data)
{
    veil_ssl_conf_t *conf = data;

    conf->o.node = cf->node;
    return ssl_conf_set_file(cf, &conf->certs);
}

veil_rc_t
veil_ssl_set_certificate_key(veil_conf_t *cf,
                             const veil_command_t *cmd VEIL_UNUSED, void *data)
{
    veil_ssl_conf_t *conf = data;
    veil_str_t text = veil_conf_arg(cf, 1);

    if (veil_str_starts(text, VEIL_STR("engine:"))
        || veil_str_starts(text, VEIL_STR("store:")))
    {
        return veil_conf_error_at(
            cf, 1,
            "BoringSSL has no engines and no stores: a key is a file in PEM "
            "format, or \"data:\" and its content");
    }
    return ssl_conf_set_file(cf, &conf->keys);
}

/* ssl_certificate_cache off | max=N [inactive=T] [valid=T] */
veil_rc_t
veil_ssl_set_certificate_cache(veil_conf_t *cf,
                               const veil_command_t *cmd VEIL_UNUSED,
                               void *data)
{
    veil_ssl_conf_t *conf = data;

    conf->cache.inactive_ms = 10000;
    conf->cache.valid_ms = 60000;
    return veil_conf_arg_cache(cf, &conf->cache);
}

veil_rc_t
veil_ssl_set_password_file(veil_conf_t *cf,
                           const veil_command_t *cmd VEIL_UNUSED, void *data)
{
    veil_ssl_conf_t *conf = data;

    conf->password_file = veil_conf_full_path(cf, veil_conf_arg(cf, 1), true);
    return veil_tls_passwords_read(cf, conf->password_file,
                                   &conf->o.passwords);
}

/* --- protocols and the like ------------------------------------------------
 */

veil_rc_t
veil_ssl_set_protocols(veil_conf_t *cf, const veil_command_t *cmd, void *data)
{
    veil_ssl_conf_t *conf = data;
    veil_str_t word;
    unsigned i;

    for (i = 1; i < veil_conf_nargs(cf); i++) {
        word = veil_conf_arg(cf, i);
        if (veil_str_eq(word, VEIL_STR("SSLv2"))
            || veil_str_eq(word, VEIL_STR("SSLv3")))
        {
            return veil_conf_error_at(cf, i,
                                      "BoringSSL has no %.*s, which is broken",
                                      VEIL_STR_ARG(word));
        }
    }
    conf->o.at.protocols = cf->node;
    return veil_conf_set_bitmask(cf, cmd, conf);
}

/* Where the options have the directive of a string. */
static void
ssl_conf_keep_node(veil_ssl_conf_t *conf, const veil_command_t *cmd,
                   const veil_conf_node_t *node)
{
    switch (cmd->offset) {
    case offsetof(veil_ssl_conf_t, o.ciphers):
        conf->o.at.ciphers = node;
        break;
    case offsetof(veil_ssl_conf_t, o.curves):
        conf->o.at.curves = node;
        break;
    case offsetof(veil_ssl_conf_t, o.client_ca):
        conf->o.at.client_ca = node;
        break;
    case offsetof(veil_ssl_conf_t, o.trusted):
        conf->o.at.trusted = node;
        break;
    case offsetof(veil_ssl_conf_t, o.crl):
        conf->o.at.crl = node;
        break;
    case offsetof(veil_ssl_conf_t, o.ticket_keys):
        conf->o.at.ticket_keys = node;
        break;
    case offsetof(veil_ssl_conf_t, o.ech_files):
        conf->o.at.ech = node;
        break;
    default:
        break;
    }
}

veil_rc_t
veil_ssl_set_text(veil_conf_t *cf, const veil_command_t *cmd, void *data)
{
    ssl_conf_keep_node(data, cmd, cf->node);
    return veil_conf_set_str(cf, cmd, data);
}

veil_rc_t
veil_ssl_set_file(veil_conf_t *cf, const veil_command_t *cmd, void *data)
{
    veil_str_t *to = (veil_str_t *) (void *) ((char *) data + cmd->offset);

    ssl_conf_keep_node(data, cmd, cf->node);
    *to = veil_conf_full_path(cf, veil_conf_arg(cf, 1), true);
    return VEIL_OK;
}

veil_rc_t
veil_ssl_set_files(veil_conf_t *cf, const veil_command_t *cmd, void *data)
{
    veil_array_t **list =
        (veil_array_t **) (void *) ((char *) data + cmd->offset);
    veil_str_t *to = veil_conf_array_push(cf, list, sizeof(*to));

    ssl_conf_keep_node(data, cmd, cf->node);
    *to = veil_conf_full_path(cf, veil_conf_arg(cf, 1), true);
    return VEIL_OK;
}

/* A record has at most 16k; a larger buffer would not make larger ones. */
veil_rc_t
veil_ssl_set_buffer_size(veil_conf_t *cf,
                         const veil_command_t *cmd VEIL_UNUSED, void *data)
{
    veil_ssl_conf_t *conf = data;
    int64_t n = veil_conf_arg_size(cf, 1);

    if (n < 0) {
        return VEIL_ERROR;
    }
    if (n == 0) {
        return veil_conf_error_at(cf, 1, "the size of a buffer is not 0");
    }
    conf->o.buffer_size = n < 16384 ? n : 16384;
    return VEIL_OK;
}

veil_rc_t
veil_ssl_set_alpn(veil_conf_t *cf, const veil_command_t *cmd VEIL_UNUSED,
                  void *data)
{
    static const char *const words[] = { "http/1.1", "http/1.0", NULL };
    veil_ssl_conf_t *conf = data;
    veil_array_t *list = veil_array_create(cf->pool, sizeof(veil_str_t), 2);
    veil_str_t name;
    unsigned i, k;

    for (i = 1; i < veil_conf_nargs(cf); i++) {
        name = veil_conf_arg(cf, i);
        for (k = 0; words[k] != NULL; k++) {
            if (veil_str_eq_z(name, words[k])) {
                break;
            }
        }
        if (words[k] == NULL) {
            return veil_conf_error_word(cf, i, words);
        }
        *(veil_str_t *) veil_array_push(list) = name;
    }
    conf->o.alpn = list;
    return VEIL_OK;
}

/* --- sessions --------------------------------------------------------------
 */

/* builtin[:SIZE], a number of sessions; OpenSSL's default is 20480. */
static veil_rc_t
ssl_conf_builtin(veil_conf_t *cf, unsigned i, veil_str_t rest,
                 veil_tls_cache_t **cache)
{
    int64_t n = rest.len == 0 ? 20480 : veil_str_to_int(rest);

    if (n <= 0 || n > INT32_MAX) {
        return veil_conf_error_at(cf, i, "invalid session cache \"%.*s\"",
                                  VEIL_STR_ARG(veil_conf_arg(cf, i)));
    }
    *cache = veil_tls_cache_local(cf, (unsigned) n);
    return *cache == NULL ? VEIL_ERROR : VEIL_OK;
}

/* shared:NAME:SIZE */
static veil_rc_t
ssl_conf_shared(veil_conf_t *cf, unsigned i, veil_str_t rest,
                veil_tls_cache_t **cache)
{
    veil_str_t name = veil_str_cut(&rest, ':');
    int64_t size = rest.len == 0 ? 0 : veil_str_to_size(rest);

    if (name.len == 0 || size < 0) {
        return veil_conf_error_at(cf, i, "invalid session cache \"%.*s\"",
                                  VEIL_STR_ARG(veil_conf_arg(cf, i)));
    }
    if (size != 0 && size < 8 * 4096) {
        return veil_conf_error_at(cf, i, "session cache \"%.*s\" is too small",
                                  VEIL_STR_ARG(veil_conf_arg(cf, i)));
    }
    *cache = veil_tls_cache_zone(cf, name, (size_t) size);
    return *cache == NULL ? VEIL_ERROR : VEIL_OK;
}

/*
 * ssl_session_cache off | none | [builtin[:SIZE]] [shared:NAME:SIZE]: where
 * both are given, the shared one has all that the other could have.
 */
veil_rc_t
veil_ssl_set_session_cache(veil_conf_t *cf,
                           const veil_command_t *cmd VEIL_UNUSED, void *data)
{
    static const char *const words[] = { "off",     "none",     "builtin",
                                         "shared:", "builtin:", NULL };
    veil_ssl_conf_t *conf = data;
    veil_tls_cache_t *local = NULL, *shared = NULL;
    veil_str_t word;
    veil_rc_t rc;
    unsigned i;

    for (i = 1; i < veil_conf_nargs(cf); i++) {
        word = veil_conf_arg(cf, i);
        rc = VEIL_OK;
        if (veil_str_eq(word, VEIL_STR("off"))) {
            local = veil_tls_cache_off();
            shared = NULL;
        } else if (veil_str_eq(word, VEIL_STR("none"))) {
            local = shared = NULL;
        } else if (veil_str_eq(word, VEIL_STR("builtin"))) {
            rc = ssl_conf_builtin(cf, i, VEIL_STR_NULL, &local);
        } else if (veil_str_starts(word, VEIL_STR("builtin:"))) {
            rc = ssl_conf_builtin(cf, i, veil_str_from(word, 8), &local);
        } else if (veil_str_starts(word, VEIL_STR("shared:"))) {
            rc = ssl_conf_shared(cf, i, veil_str_from(word, 7), &shared);
        } else {
            return veil_conf_error_word(cf, i, words);
        }
        if (rc != VEIL_OK) {
            return rc;
        }
    }
    conf->o.cache = shared != NULL ? shared : local;
    return VEIL_OK;
}

veil_rc_t
veil_ssl_set_session_timeout(veil_conf_t *cf,
                             const veil_command_t *cmd VEIL_UNUSED, void *data)
{
    veil_ssl_conf_t *conf = data;
    int64_t ms = veil_conf_arg_msec(cf, 1);

    if (ms < 0) {
        return VEIL_ERROR;
    }
    if (ms < 1000) {
        return veil_conf_error_at(cf, 1, "a session lasts a second at least");
    }
    conf->o.session_timeout = (uint64_t) ms;
    return VEIL_OK;
}

/* --- what cannot be honoured -----------------------------------------------
 */

veil_rc_t
veil_ssl_refuse(veil_conf_t *cf, const veil_command_t *cmd,
                void *data VEIL_UNUSED)
{
    return veil_conf_error(cf, "\"%s\" is not supported: %s", cmd->name,
                           (const char *) cmd->data);
}

veil_rc_t
veil_ssl_set_compression(veil_conf_t *cf, const veil_command_t *cmd,
                         void *data)
{
    veil_ssl_conf_t *conf = data;

    conf->o.at.compress = cf->node;
    return veil_conf_set_flag(cf, cmd, data);
}

/* The commands of SSL_CONF_cmd() that have a directive of their own. */
veil_rc_t
veil_ssl_refuse_conf(veil_conf_t *cf, const veil_command_t *cmd VEIL_UNUSED,
                     void *data VEIL_UNUSED)
{
    static const struct {
        const char *name;
        const char *value; /* NULL: any */
        const char *instead;
    } known[] = {
        { "Options", "KTLS", "use \"ssl_ktls on\"" },
        { "Options", "ServerPreference", "use \"ssl_prefer_server_ciphers\"" },
        { "Options", "-ServerPreference",
          "use \"ssl_prefer_server_ciphers\"" },
        { "Options", "SessionTicket", "use \"ssl_session_tickets\"" },
        { "Options", "-SessionTicket", "use \"ssl_session_tickets off\"" },
        { "Options", "PrioritizeChaCha",
          "BoringSSL does so for clients without AES in hardware" },
        { "Ciphersuites", NULL,
          "BoringSSL chooses among the ciphers of TLS 1.3 by itself" },
        { "CipherString", NULL, "use \"ssl_ciphers\"" },
        { "Curves", NULL, "use \"ssl_ecdh_curve\"" },
        { "Groups", NULL, "use \"ssl_ecdh_curve\"" },
        { "Protocol", NULL, "use \"ssl_protocols\"" },
        { "MinProtocol", NULL, "use \"ssl_protocols\"" },
        { "MaxProtocol", NULL, "use \"ssl_protocols\"" },
        { "VerifyMode", NULL, "use \"ssl_verify_client\"" },
        { "VerifyCAFile", NULL, "use \"ssl_trusted_certificate\"" },
        { "ClientCAFile", NULL, "use \"ssl_client_certificate\"" },
        { "Certificate", NULL, "use \"ssl_certificate\"" },
        { "PrivateKey", NULL, "use \"ssl_certificate_key\"" },
        { "DHParameters", NULL, "BoringSSL has no such key exchange" },
    };
    veil_str_t name = veil_conf_arg(cf, 1), value = veil_conf_arg(cf, 2);
    unsigned i;

    for (i = 0; i < veil_countof(known); i++) {
        if (veil_str_caseeq(name, veil_str_z(known[i].name))
            && (known[i].value == NULL
                || veil_str_caseeq(value, veil_str_z(known[i].value))))
        {
            return veil_conf_error(
                cf,
                "\"%s\" is not supported, as BoringSSL has no configuration "
                "commands: instead of \"%.*s\", %s",
                cf->cmd->name, VEIL_STR_ARG(name), known[i].instead);
        }
    }
    return veil_conf_error(cf,
                           "\"%s\" is not supported: BoringSSL has no "
                           "configuration commands",
                           cf->cmd->name);
}
