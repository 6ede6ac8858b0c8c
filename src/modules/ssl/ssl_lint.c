/*
 * ssl_lint.c -- lints of TLS towards clients: certificates that do not fit
 * their servers, end soon or have ended, keys that others can read.
 *
 * Certificates are those the load has read; one with variables in its name is
 * not looked at, as nobody knows which file it is.
 */

#include "core/platform.h"

#include <openssl/x509v3.h>
#include <sys/stat.h>
#include <time.h>

#include "http/lint.h"
#include "modules/ssl/ssl.h"

static const veil_lint_rule_t ssl_none = { "L601",
                                           "server-without-certificate",
                                           VEIL_LINT_WARNING };
static const veil_lint_rule_t ssl_uncovered = { "L602", "name-not-covered",
                                                VEIL_LINT_WARNING };
static const veil_lint_rule_t ssl_expired = { "L603", "certificate-expired",
                                              VEIL_LINT_ERROR };
static const veil_lint_rule_t ssl_expires = { "L604", "certificate-expires",
                                              VEIL_LINT_WARNING };
static const veil_lint_rule_t ssl_future = { "L605",
                                             "certificate-not-yet-valid",
                                             VEIL_LINT_ERROR };
static const veil_lint_rule_t ssl_key_open = { "L606", "key-readable",
                                               VEIL_LINT_WARNING };
static const veil_lint_rule_t ssl_old = { "L607", "old-protocol",
                                          VEIL_LINT_WARNING };

/* --- one certificate -------------------------------------------------------
 */

/* Days from now, rounded down; negative in the past. */
static bool
ssl_lint_days(const ASN1_TIME *t, int64_t *seconds)
{
    int days, secs;

    if (ASN1_TIME_diff(&days, &secs, NULL, t) != 1) {
        return false;
    }
    *seconds = (int64_t) days * 86400 + secs;
    return true;
}

static void
ssl_lint_dates(veil_lint_t *lint, const veil_conf_node_t *node,
               const X509 *cert)
{
    int64_t from, to;

    if (!ssl_lint_days(X509_get0_notBefore(cert), &from)
        || !ssl_lint_days(X509_get0_notAfter(cert), &to))
    {
        return;
    }
    if (to < 0) {
        veil_lint_add(lint, &ssl_expired, node, 1,
                      "the certificate ended %lld day%s ago: clients refuse "
                      "it",
                      (long long) (-to / 86400), -to / 86400 == 1 ? "" : "s");
        veil_lint_advise(lint, "renew it and reload");
    } else if (from > 0) {
        veil_lint_add(lint, &ssl_future, node, 1,
                      "the certificate begins in %lld day%s: clients refuse "
                      "it until then",
                      (long long) (from / 86400),
                      from / 86400 == 1 ? "" : "s");
        veil_lint_advise(lint, "check the clock of this machine and of the "
                               "one that made it");
    } else if ((uint64_t) to * 1000 < lint->expires_in_ms) {
        veil_lint_add(lint, &ssl_expires, node, 1,
                      "the certificate ends in %lld day%s",
                      (long long) (to / 86400), to / 86400 == 1 ? "" : "s");
        veil_lint_advise(lint, "renew it");
    }
}

static void
ssl_lint_key(veil_lint_t *lint, const veil_tls_cert_files_t *files)
{
    struct stat st;

    if (veil_str_starts(files->key, VEIL_STR("data:"))
        || stat(veil_pool_strz(lint->pool, files->key), &st) != 0
        || (st.st_mode & (S_IROTH | S_IWOTH | S_IWGRP)) == 0)
    {
        return;
    }
    veil_lint_add(lint, &ssl_key_open, files->key_node, 1,
                  "the private key is open to %s (mode %04o)",
                  (st.st_mode & (S_IROTH | S_IWOTH)) != 0
                      ? "every user of this machine"
                      : "changes by a group",
                  (unsigned) st.st_mode & 07777u);
    veil_lint_advise(lint, "chmod 600 %.*s", VEIL_STR_ARG(files->key));
}

/* --- names -----------------------------------------------------------------
 */

/* A name that certificates can have, of what a server_name says; else empty.
 */
static veil_str_t
ssl_lint_host(veil_lint_t *lint, const veil_http_server_name_t *name)
{
    veil_str_t s = name->name;

    if (name->regex != NULL || veil_str_chr(s, '.') < 0
        || veil_str_ends(s, VEIL_STR("*")) || veil_str_chr(s, ':') >= 0)
    {
        return VEIL_STR_NULL;
    }
    if (veil_str_starts(s, VEIL_STR("*."))) {
        return veil_pool_printf(lint->pool, "lint%.*s",
                                VEIL_STR_ARG(veil_str_from(s, 1)));
    }
    return s.data[0] == '.' ? veil_str_from(s, 1) : s;
}

static bool
ssl_lint_covers(const veil_tls_ctx_t *ctx, veil_str_t host)
{
    veil_addr_t addr;
    X509 *cert;
    unsigned i;

    for (i = 0; i < veil_tls_ctx_certs(ctx); i++) {
        cert = veil_tls_ctx_cert(ctx, i);
        if (veil_addr_parse_ip(&addr, host)
                ? X509_check_ip(cert, addr.u.ip,
                                addr.family == AF_INET ? 4 : 16, 0)
                      == 1
                : X509_check_host(cert, host.data, host.len, 0, NULL) == 1)
        {
            return true;
        }
    }
    return false;
}

static unsigned
ssl_lint_name_arg(const veil_http_server_name_t *name)
{
    unsigned i;

    for (i = 1; i < name->node->nargs; i++) {
        if (veil_str_caseeq(veil_lint_arg(name->node, i), name->name)) {
            return i;
        }
    }
    return 0;
}

static void
ssl_lint_names(veil_lint_t *lint, const veil_http_server_t *s,
               const veil_tls_ctx_t *ctx)
{
    const veil_http_server_name_t *name;
    veil_str_t host;
    unsigned i;

    for (i = 0; i < s->names.n; i++) {
        name = veil_array_at(&s->names, veil_http_server_name_t, i);
        host = ssl_lint_host(lint, name);
        if (host.len == 0 || ssl_lint_covers(ctx, host)) {
            continue;
        }
        veil_lint_add(lint, &ssl_uncovered, name->node,
                      ssl_lint_name_arg(name),
                      "no certificate of this server is for \"%.*s\": clients "
                      "refuse the connection",
                      VEIL_STR_ARG(name->name));
        veil_lint_advise(lint, "get a certificate with this name, or give the "
                               "name a server of its own");
    }
}

/* --- servers ---------------------------------------------------------------
 */

/* The "listen" with TLS; NULL: there is none. */
static const veil_http_listen_t *
ssl_lint_listen(const veil_http_server_t *s)
{
    const veil_http_listen_t *l;
    unsigned i;

    for (i = 0; i < s->listens.n; i++) {
        l = veil_array_at(&s->listens, veil_http_listen_t, i);
        if (l->ssl) {
            return l;
        }
    }
    return NULL;
}

static void
ssl_lint_certs(veil_lint_t *lint, const veil_http_server_t *s,
               const veil_ssl_conf_t *conf)
{
    const veil_tls_cert_files_t *files;
    unsigned i;

    for (i = 0; i < veil_tls_ctx_certs(conf->ctx); i++) {
        files = veil_array_at(conf->o.certs, veil_tls_cert_files_t, i);
        ssl_lint_dates(lint, files->cert_node,
                       veil_tls_ctx_cert(conf->ctx, i));
        ssl_lint_key(lint, files);
    }
    if (ssl_lint_listen(s) != NULL && veil_tls_ctx_certs(conf->ctx) != 0) {
        ssl_lint_names(lint, s, conf->ctx);
    }
}

void
veil_ssl_lint(veil_lint_t *lint, const veil_conf_scope_t *block)
{
    const veil_conf_node_t *node;
    const veil_http_server_t *s;
    const veil_ssl_conf_t *conf;
    unsigned i;

    node = veil_lint_child(block->node, "ssl_protocols", NULL);
    for (i = 1; node != NULL && i < node->nargs; i++) {
        if (veil_str_eq_z(node->args[i].str, "TLSv1")
            || veil_str_eq_z(node->args[i].str, "TLSv1.1"))
        {
            veil_lint_add(lint, &ssl_old, node, i,
                          "%.*s is deprecated (RFC 8996), and no browser "
                          "speaks it any more",
                          VEIL_STR_ARG(node->args[i].str));
            veil_lint_advise(lint, "leave it out");
        }
    }
    if (block->where != VEIL_CONF_SERVER) {
        return;
    }
    s = block->object;
    conf = veil_ssl_conf_of(s);
    if (conf->ctx != NULL && !conf->o.certs_later) {
        ssl_lint_certs(lint, s, conf);
    } else if (conf->ctx == NULL && ssl_lint_listen(s) != NULL) {
        veil_lint_add(lint, &ssl_none, ssl_lint_listen(s)->node, 0,
                      "this server has no certificate: its clients get that "
                      "of the default server of this address");
        veil_lint_advise(lint, "add \"ssl_certificate\" and "
                               "\"ssl_certificate_key\"");
    }
}
