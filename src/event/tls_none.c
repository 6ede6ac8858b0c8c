/*
 * tls_none.c -- what stands for TLS in a build without BoringSSL.
 *
 * A context cannot be made, which is reported where it is asked for; so there
 * are no sessions, and what asks about one is never called.
 */

#include "core/platform.h"

#include "core/assert.h"
#include "event/tls.h"

static const char tls_none_text[] =
    "this build of veil has no TLS: configure it with BoringSSL";

bool
veil_tls_is_built(void)
{
    return false;
}

const char *
veil_tls_library(void)
{
    return NULL;
}

void
veil_tls_options_default(veil_tls_options_t *o, bool server)
{
    memset(o, 0, sizeof(*o));
    o->server = server;
}

veil_rc_t
veil_tls_passwords_read(veil_conf_t *cf, veil_str_t path,
                        veil_array_t **passwords)
{
    (void) path;
    (void) passwords;
    return veil_conf_error(cf, "%s", tls_none_text);
}

veil_tls_ctx_t *
veil_tls_ctx_create(veil_conf_t *cf, const veil_tls_options_t *o)
{
    (void) veil_conf_error_node(cf, o->node, 0, "%s", tls_none_text);
    return NULL;
}

veil_tls_load_t *
veil_tls_client_load(veil_loop_t *loop, veil_tls_ctx_t *base,
                     const veil_tls_cert_files_t *files,
                     veil_tls_loaded_fn *done, void *owner)
{
    (void) loop;
    (void) base;
    (void) files;
    (void) done;
    (void) owner;
    VEIL_ASSERT(!"no TLS");
    return NULL;
}

void
veil_tls_load_cancel(veil_tls_load_t *load)
{
    (void) load;
    VEIL_ASSERT(!"no TLS");
}

veil_tls_ctx_t *
veil_tls_ctx_get(veil_tls_ctx_t *ctx)
{
    VEIL_ASSERT(!"no TLS");
    return ctx;
}

void
veil_tls_ctx_put(veil_tls_ctx_t *ctx)
{
    (void) ctx;
    VEIL_ASSERT(!"no TLS");
}

const veil_tls_options_t *
veil_tls_ctx_options(const veil_tls_ctx_t *ctx)
{
    (void) ctx;
    VEIL_ASSERT(!"no TLS");
    return NULL;
}

const char *
veil_tls_system_bundle(void)
{
    return NULL;
}

void
veil_tls_accept(veil_conn_t *c, veil_tls_ctx_t *ctx,
                const veil_tls_accept_ops_t *accept)
{
    (void) c;
    (void) ctx;
    (void) accept;
    VEIL_ASSERT(!"no TLS");
}

void
veil_tls_connect(veil_conn_t *c, veil_tls_ctx_t *ctx,
                 const veil_tls_target_t *target, veil_tls_done_fn *done)
{
    (void) c;
    (void) ctx;
    (void) target;
    (void) done;
    VEIL_ASSERT(!"no TLS");
}

bool
veil_tls_is_early(const veil_tls_t *t)
{
    (void) t;
    return false;
}

bool
veil_tls_was_closed(const veil_tls_t *t)
{
    (void) t;
    return true;
}

/* --- questions about a session, of which there is none ---------------------
 */

veil_str_t
veil_tls_alpn(const veil_tls_t *t)
{
    (void) t;
    return VEIL_STR_NULL;
}

bool
veil_tls_suits_http2(const veil_tls_t *t)
{
    (void) t;
    return false;
}

bool
veil_tls_is_resumed(const veil_tls_t *t)
{
    (void) t;
    return false;
}

const char *
veil_tls_version(const veil_tls_t *t)
{
    (void) t;
    return "none";
}

const char *
veil_tls_cipher(const veil_tls_t *t)
{
    (void) t;
    return "none";
}

bool
veil_tls_is_ktls_tx(const veil_tls_t *t)
{
    (void) t;
    return false;
}

bool
veil_tls_is_ktls_rx(const veil_tls_t *t)
{
    (void) t;
    return false;
}

const char *
veil_tls_ktls_why_not(const veil_tls_t *t, bool tx)
{
    (void) t;
    (void) tx;
    return NULL;
}

veil_str_t
veil_tls_server_name(const veil_tls_t *t)
{
    (void) t;
    return VEIL_STR_NULL;
}

const char *
veil_tls_last_error(void)
{
    return "";
}

const char *
veil_tls_last_kind(void)
{
    return NULL;
}

void
veil_tls_trim(void)
{
}
