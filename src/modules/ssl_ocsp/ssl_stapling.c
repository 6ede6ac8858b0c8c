/*
 * ssl_stapling.c -- the directives of stapling, and what is made of them.
 *
 * All that can be known about a certificate's responder is settled while the
 * configuration is read: its address, the request, the slot.  What is missing
 * for that is a warning, as in nginx: the server works without.
 *
 * A response from a file is the operator's own affair.  It has to be one, and
 * what looks wrong about it is told, but neither signature nor time keeps it
 * from being sent.
 */

#include "modules/ssl_ocsp/ssl_stapling.h"

#include <openssl/digest.h>
#include <openssl/mem.h>
#include <openssl/sha.h>
#include <openssl/x509.h>

#include "core/cycle.h"
#include "event/tls_cert.h"

static veil_rc_t
ssl_slot_init(veil_shm_zone_t *zone, bool fresh)
{
    ssl_slot_t *slot = zone->addr;

    if (fresh || slot->magic != SSL_SLOT_MAGIC
        || slot->len > sizeof(slot->der)) {
        memset(slot, 0, zone->size);
        slot->magic = SSL_SLOT_MAGIC;
    }
    return VEIL_OK;
}

static bool
ssl_staple_add_zone(veil_conf_t *cf, ssl_staple_t *s, veil_str_t url)
{
    uint8_t hash[SHA256_DIGEST_LENGTH], cert[EVP_MAX_MD_SIZE];
    uint8_t issuer[EVP_MAX_MD_SIZE], strict = s->verify;
    unsigned cert_len, issuer_len;
    char hex[sizeof(hash)]; /* of the first half */
    SHA256_CTX sha;

    if (!X509_digest(s->cert, EVP_sha256(), cert, &cert_len)
        || !X509_digest(s->issuer, EVP_sha256(), issuer, &issuer_len))
    {
        return false;
    }
    SHA256_Init(&sha);
    SHA256_Update(&sha, cert, cert_len);
    SHA256_Update(&sha, issuer, issuer_len);
    SHA256_Update(&sha, &strict, 1);
    SHA256_Update(&sha, url.data, url.len);
    SHA256_Final(hash, &sha);
    (void) veil_fmt_hex_bytes(hex, hash, sizeof(hash) / 2);
    s->zone = veil_shm_zone_add(
        cf, veil_pool_printf(cf->pool, "ocsp %.*s", (int) sizeof(hex), hex),
        SSL_SLOT_SIZE, &veil_http_ssl_stapling_module);
    if (s->zone == NULL) {
        return false;
    }
    s->zone->init = ssl_slot_init;
    return true;
}

static veil_rc_t
ssl_staple_prepare(veil_conf_t *cf, const ssl_stapling_conf_t *conf,
                   ssl_staple_t *s)
{
    veil_str_t url = conf->responder;
    const char *why;

    if (s->issuer == NULL) {
        veil_conf_warn(cf,
                       "\"ssl_stapling\" ignored, issuer certificate not "
                       "found for certificate \"%.*s\"",
                       VEIL_STR_ARG(s->name));
        return VEIL_OK;
    }
    if (url.len == 0) {
        url = veil_ocsp_responder_url(cf->pool, s->cert);
    } else {
        cf->node = conf->responder_node;
    }
    if (url.len == 0) {
        veil_conf_warn(cf,
                       "\"ssl_stapling\" ignored, no OCSP responder URL in "
                       "the certificate \"%.*s\"",
                       VEIL_STR_ARG(s->name));
        return VEIL_OK;
    }
    why = veil_ssl_ocsp_target(cf->pool, url, s->cert, s->issuer, &s->target);
    if (why != NULL) {
        veil_conf_warn(cf,
                       "\"ssl_stapling\" ignored, %s in OCSP responder "
                       "\"%.*s\" in the certificate \"%.*s\"",
                       why, VEIL_STR_ARG(url), VEIL_STR_ARG(s->name));
        return VEIL_OK;
    }
    s->group = veil_upstream_group_find(cf, s->target.host, 80);
    return s->group != NULL && ssl_staple_add_zone(cf, s, url) ? VEIL_OK
                                                               : VEIL_ERROR;
}

/* An operator's own response: he may know better, and is told what we see. */
static veil_rc_t
ssl_stapling_use(veil_conf_t *cf, const ssl_stapling_conf_t *conf,
                 const ssl_staple_t *s, veil_str_t der)
{
    veil_ocsp_result_t result;

    if (veil_ocsp_read(der, s->cert, &result) != VEIL_OK) {
        if (result.not_found) {
            veil_conf_warn(cf,
                           "\"ssl_stapling_file\" ignored, \"%.*s\" does not "
                           "tell about the certificate \"%.*s\"",
                           VEIL_STR_ARG(conf->file), VEIL_STR_ARG(s->name));
            return VEIL_OK;
        }
        return veil_conf_error_at(cf, 1, "%s, in \"%.*s\"", result.error,
                                  VEIL_STR_ARG(conf->file));
    }
    if (result.status != VEIL_OCSP_GOOD) {
        veil_conf_warn(cf,
                       "certificate status \"%s\" in the OCSP response "
                       "\"%.*s\"",
                       veil_ocsp_status_name(result.status),
                       VEIL_STR_ARG(conf->file));
    }
    veil_time_update();
    if (result.next_update < veil_clock.sec) {
        veil_conf_warn(cf, "the OCSP response \"%.*s\" has expired",
                       VEIL_STR_ARG(conf->file));
    }
    veil_tls_ctx_set_staple(s->ctx, s->index, der.data, der.len);
    return VEIL_OK;
}

static veil_rc_t
ssl_stapling_use_file(veil_conf_t *cf, const ssl_stapling_conf_t *conf,
                      const ssl_staple_t *s)
{
    veil_rc_t rc;
    size_t len;
    char *der = veil_tls_read_file(conf->file, &len, NULL);

    cf->node = conf->file_node;
    if (der == NULL) {
        return veil_conf_error_at(cf, 1, "cannot read \"%.*s\" (%d: %s)",
                                  VEIL_STR_ARG(conf->file), errno,
                                  strerror(errno));
    }
    rc = ssl_stapling_use(cf, conf, s, veil_str_n(der, len));
    OPENSSL_free(der);
    return rc;
}

/* The staple of certificate i. */
static veil_rc_t
ssl_stapling_add(veil_conf_t *cf, ssl_stapling_main_t *main,
                 const ssl_stapling_conf_t *conf, veil_tls_ctx_t *ctx,
                 unsigned i)
{
    const veil_array_t *files = veil_tls_ctx_options(ctx)->certs;
    ssl_staple_t *s = VEIL_POOL_NEW(cf->pool, ssl_staple_t);

    s->ctx = ctx;
    s->index = i;
    s->cert = veil_tls_ctx_cert(ctx, i);
    s->issuer = veil_tls_ctx_issuer(ctx, i);
    s->name = veil_array_at(files, veil_tls_cert_files_t, i)->cert;
    if (veil_str_starts(s->name, VEIL_STR("data:"))) {
        s->name = VEIL_STR("data");
    }
    s->verify = conf->verify;
    if (conf->file.len != 0) {
        return ssl_stapling_use_file(cf, conf, s);
    }
    cf->node = conf->node;
    if (ssl_staple_prepare(cf, conf, s) != VEIL_OK) {
        return VEIL_ERROR;
    }
    if (s->group != NULL) {
        if (main->staples == NULL) {
            main->staples = veil_array_create(cf->pool, sizeof(s), 4);
        }
        *(ssl_staple_t **) veil_array_push(main->staples) = s;
    }
    return VEIL_OK;
}

/* Whether a server before has the same context: its staples are there. */
static bool
ssl_stapling_is_done(const veil_http_main_t *m, unsigned i)
{
    const veil_http_server_t *s =
        *veil_array_at(&m->servers, veil_http_server_t *, i);

    while (i-- != 0) {
        if ((*veil_array_at(&m->servers, veil_http_server_t *, i))->tls
            == s->tls) {
            return true;
        }
    }
    return false;
}

static veil_rc_t
ssl_stapling_check(veil_conf_t *cf)
{
    const veil_http_main_t *m = cf->cycle->http;
    ssl_stapling_main_t *main = veil_conf_write_of(
        cf, m->scope, &veil_http_ssl_stapling_module, VEIL_CONF_OF_MAIN);
    const veil_conf_node_t *before = cf->node;
    const ssl_stapling_conf_t *conf;
    const veil_http_server_t *s;
    veil_rc_t rc = VEIL_OK;
    unsigned i, k;

    for (i = 0; i < m->servers.n; i++) {
        s = *veil_array_at(&m->servers, veil_http_server_t *, i);
        conf = s->server_conf[veil_http_ssl_stapling_module.index];
        if (!conf->enable || s->tls == NULL || ssl_stapling_is_done(m, i)) {
            continue;
        }
        for (k = 0; k < veil_tls_ctx_certs(s->tls); k++) {
            if (ssl_stapling_add(cf, main, conf, s->tls, k) != VEIL_OK) {
                rc = VEIL_ERROR;
            }
        }
    }
    cf->node = before;
    return rc;
}

/*
 * A context has one staple for each certificate, and belongs to a block's
 * conf of the module "ssl": a block with an opinion about stapling gets one
 * of its own, even if it inherits its certificates.
 */
static void
ssl_stapling_own_context(veil_conf_t *cf)
{
    const veil_module_t *ssl = veil_module_find(VEIL_STR("ssl"));

    if (ssl != NULL) {
        (void) veil_conf_write_of(cf, cf->scope, ssl, VEIL_CONF_OF_SERVER);
    }
}

static veil_rc_t
ssl_stapling_set(veil_conf_t *cf, const veil_command_t *cmd, void *data)
{
    ssl_stapling_conf_t *conf = data;
    veil_conf_set_fn *set = veil_conf_set_flag;

    if (cmd->offset == offsetof(ssl_stapling_conf_t, enable)) {
        conf->node = cf->node;
    } else if (cmd->offset == offsetof(ssl_stapling_conf_t, file)) {
        conf->file_node = cf->node;
        set = veil_conf_set_path;
    } else if (cmd->offset == offsetof(ssl_stapling_conf_t, responder)) {
        conf->responder_node = cf->node;
        set = veil_conf_set_str;
    }
    ssl_stapling_own_context(cf);
    return set(cf, cmd, conf);
}

static const veil_command_t ssl_stapling_commands[] = {
    { .name = "ssl_stapling",
      .where = VEIL_CONF_HTTP | VEIL_CONF_SERVER,
      .kind = VEIL_CONF_OF_SERVER,
      .args = VEIL_ARGS_1,
      .set = ssl_stapling_set,
      .offset = offsetof(ssl_stapling_conf_t, enable),
      .syntax = "on | off",
      .def = "off",
      .help = "Sends the issuer's statement about the certificate, which is "
              "fetched and kept fresh." },

    { .name = "ssl_stapling_file",
      .where = VEIL_CONF_HTTP | VEIL_CONF_SERVER,
      .kind = VEIL_CONF_OF_SERVER,
      .args = VEIL_ARGS_1,
      .set = ssl_stapling_set,
      .offset = offsetof(ssl_stapling_conf_t, file),
      .syntax = "file",
      .help = "An OCSP response, in DER, to send instead of asking the "
              "responder." },

    { .name = "ssl_stapling_responder",
      .where = VEIL_CONF_HTTP | VEIL_CONF_SERVER,
      .kind = VEIL_CONF_OF_SERVER,
      .args = VEIL_ARGS_1,
      .set = ssl_stapling_set,
      .offset = offsetof(ssl_stapling_conf_t, responder),
      .syntax = "url",
      .help = "The OCSP responder to ask instead of the one that the "
              "certificate names." },

    { .name = "ssl_stapling_verify",
      .where = VEIL_CONF_HTTP | VEIL_CONF_SERVER,
      .kind = VEIL_CONF_OF_SERVER,
      .args = VEIL_ARGS_1,
      .set = ssl_stapling_set,
      .offset = offsetof(ssl_stapling_conf_t, verify),
      .syntax = "on | off",
      .def = "off",
      .help = "Takes only responses whose signer the issuer has authorized, "
              "and none that rests on SHA-1." },

    { .name = NULL },
};

static const veil_http_module_t ssl_stapling_hooks = {
    .main_conf_size = sizeof(ssl_stapling_main_t),
    .server_conf_size = sizeof(ssl_stapling_conf_t),
    .check = ssl_stapling_check,
    .init_worker = veil_ssl_stapling_init_worker,
    .exit_worker = veil_ssl_stapling_exit_worker,
};

veil_module_t veil_http_ssl_stapling_module = {
    .abi = VEIL_MODULE_ABI,
    .name = "ssl_stapling",
    .commands = ssl_stapling_commands,
    .http = &ssl_stapling_hooks,
};
