/*
 * ssl.c -- TLS towards clients: its directives, and the contexts of servers.
 */

#include "event/tls.h"
#include "http/http.h"
#include "http/server.h"

typedef struct {
    veil_tls_options_t o;
    uint64_t handshake_timeout;
    veil_tls_ctx_t *ctx;
} ssl_conf_t;

extern veil_module_t veil_http_ssl_module;

static void
ssl_conf_default(void *data)
{
    ssl_conf_t *conf = data;

    veil_tls_options_default(&conf->o, true);
    conf->handshake_timeout = 30000;
}

static veil_rc_t
ssl_set_cert(veil_conf_t *cf, const veil_command_t *cmd, void *data)
{
    ssl_conf_t *conf = data;
    veil_tls_cert_files_t *f;
    veil_str_t path = veil_conf_full_path(cf, veil_conf_arg(cf, 1), true);

    if (conf->o.certs == NULL || conf->o.certs->n == 0) {
        f = veil_conf_array_push(cf, &conf->o.certs, sizeof(*f));
    } else {
        f = veil_array_at(conf->o.certs, veil_tls_cert_files_t, 0);
    }
    if (cmd->data != NULL) {
        f->key = path;
        f->key_node = cf->node;
    } else {
        f->cert = path;
        f->cert_node = cf->node;
        conf->o.node = cf->node;
    }
    return VEIL_OK;
}

static veil_rc_t
ssl_check(veil_conf_t *cf)
{
    static veil_str_t http11 = { "http/1.1", 8 };
    veil_http_main_t *main = cf->cycle->http;
    veil_http_server_t *s;
    ssl_conf_t *conf;
    unsigned i;

    for (i = 0; i < main->servers.n; i++) {
        s = *veil_array_at(&main->servers, veil_http_server_t *, i);
        conf = s->server_conf[veil_http_ssl_module.index];
        if (conf->o.certs == NULL) {
            continue;
        }
        if (conf->ctx == NULL) {
            veil_array_t *alpn =
                veil_array_create(cf->pool, sizeof(veil_str_t), 1);

            *(veil_str_t *) veil_array_push(alpn) = http11;
            conf->o.alpn = alpn;
            conf->ctx = veil_tls_ctx_create(cf, &conf->o);
            if (conf->ctx == NULL) {
                return VEIL_ERROR;
            }
        }
        s->tls = conf->ctx;
        s->tls_handshake_timeout = conf->handshake_timeout;
    }
    return VEIL_OK;
}

static const veil_command_t ssl_commands[] = {
    { .name = "ssl_certificate",
      .where = VEIL_CONF_HTTP | VEIL_CONF_SERVER,
      .kind = VEIL_CONF_OF_SERVER,
      .args = VEIL_ARGS_1,
      .flags = VEIL_CONF_MULTI,
      .set = ssl_set_cert,
      .syntax = "file",
      .help = "A server's certificate, in PEM, followed by its chain." },

    { .name = "ssl_certificate_key",
      .where = VEIL_CONF_HTTP | VEIL_CONF_SERVER,
      .kind = VEIL_CONF_OF_SERVER,
      .args = VEIL_ARGS_1,
      .flags = VEIL_CONF_MULTI,
      .set = ssl_set_cert,
      .data = "key",
      .syntax = "file",
      .help = "The certificate's key, in PEM." },

    { .name = NULL },
};

static const veil_http_module_t ssl_hooks = {
    .server_conf_size = sizeof(ssl_conf_t),
    .server_conf_default = ssl_conf_default,
    .check = ssl_check,
};

veil_module_t veil_http_ssl_module = {
    .abi = VEIL_MODULE_ABI,
    .name = "ssl",
    .commands = ssl_commands,
    .http = &ssl_hooks,
};
