/*
 * ssl_put_in.h -- certificates that are put in while the server runs.
 *
 * In this process: the keeper and each worker do the same.
 */

#ifndef VEIL_MODULES_SSL_SSL_PUT_IN_H
#define VEIL_MODULES_SSL_SSL_PUT_IN_H

#include "event/tls_cert.h"
#include "modules/ssl/ssl.h"

/* A name that has a certificate of its own. */
typedef struct {
    veil_list_t link;     /* in the conf's list */
    veil_tls_ctx_t *ctx;  /* of the name's server, with this certificate */
    veil_tls_ctx_t *base; /* what that was made of */
    char name[];          /* lower case */
} veil_ssl_added_t;

/* A server that answers for the name, on whichever port. */
typedef void veil_ssl_each_fn(veil_http_server_t *s, void *data);

/* What a change does; the certificate is owned. */
typedef struct {
    veil_str_t name;
    veil_tls_cert_t cert;
    bool add;
    bool dry;       /* nothing is put in, only n and before are found */
    unsigned n;     /* servers that were changed */
    json_t *before; /* of the first; NULL: there was none */
} veil_ssl_change_t;

/* A server that answers for a name, on whichever port. */
typedef void veil_ssl_each_fn(veil_http_server_t *s, void *data);

/*
 * Calls fn for the server of the name on each port with TLS; for one that
 * answers only as the default server does, with "defaults" alone.  A server
 * may be met several times.
 */
void veil_ssl_each(veil_str_t name, bool defaults, veil_ssl_each_fn *fn,
                   void *data);

/* Gives the name's servers the certificate; c->cert stays the caller's. */
void veil_ssl_put_in(veil_ssl_change_t *c);

/* What the conf's servers have now, but for names of their own. */
veil_tls_ctx_t *veil_ssl_current(const veil_ssl_conf_t *conf);
/* The name's own; NULL: it has none. */
veil_ssl_added_t *veil_ssl_find_added(const veil_ssl_conf_t *conf,
                                      veil_str_t name);
/* The name has none any more; veil_ssl_use_list() must follow. */
void veil_ssl_free_added(veil_ssl_added_t *a);
/* Has the conf's servers look at the list of names, or not. */
void veil_ssl_use_list(const veil_ssl_conf_t *conf);

/* Lets go of all that was put in: servers have what is configured. */
void veil_ssl_put_in_clear(veil_cycle_t *cycle);

/* --- ssl_control.c */

/* Both files, or "data:" of each; false after failing the call. */
bool veil_ssl_control_load(veil_control_call_t *call, const char *cert,
                           const char *key, veil_tls_cert_t *to);
/* Whether servers of the name can be changed; false after failing the call. */
bool veil_ssl_control_survey(veil_control_call_t *call, veil_str_t name,
                             bool add);

/* --- ssl_state.c: in the keeper, what was put in, to be saved and loaded. */

/* After veil_ssl_put_in(); the paths are those of its files. */
void veil_ssl_state_note(const veil_ssl_change_t *c, const char *cert,
                         const char *key);
/* The name has no certificate of its own any more. */
void veil_ssl_state_deleted(veil_str_t name);
void veil_ssl_state_init(void);

#endif
