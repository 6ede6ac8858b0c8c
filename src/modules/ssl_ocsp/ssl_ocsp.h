/*
 * ssl_ocsp.h -- asking an OCSP responder, for whoever wants to know: stapling
 * about a server's own certificates, ssl_ocsp about those of clients.
 *
 * A question is an exchange (http/upstream/upstream.h) without a request, in a
 * pool of its own.  It ends in a response that core/ocsp.h has checked, or in
 * a line of the log.
 */

#ifndef VEIL_MODULES_SSL_OCSP_H
#define VEIL_MODULES_SSL_OCSP_H

#include "core/ocsp.h"
#include "core/shm.h"
#include "http/http.h"
#include "http/upstream/upstream.h"

/* Of a response; with a certificate of the responder one has 2 KiB. */
#define VEIL_SSL_OCSP_MAX (16 * 1024 - 128)

/* An answer takes no longer than this, or is none. */
#define VEIL_SSL_OCSP_TIMEOUT_SEC 60

/* Whom to ask, and how; strings live as long as the pool. */
typedef struct {
    veil_str_t host;    /* with its port, if it has one */
    veil_str_t path;    /* of the request */
    veil_str_t request; /* DER, for a POST; empty: the path has it */
} veil_ssl_ocsp_target_t;

typedef struct veil_ssl_ocsp_fetch_s veil_ssl_ocsp_fetch_t;

struct veil_ssl_ocsp_fetch_s {
    /* Filled in by the caller. */
    veil_loop_t *loop;
    veil_log_t *log; /* its action is set until the end */
    veil_upstream_group_t *group;
    veil_ssl_ocsp_target_t target;
    veil_ocsp_query_t query; /* but now, which is that of the answer */
    /*
     * Once, from the loop.  VEIL_OK: result and der are there, and the status
     * is whatever it is.  VEIL_ERROR: why was logged.  The owner then ends
     * it.
     */
    void (*done)(veil_ssl_ocsp_fetch_t *f, veil_rc_t rc);
    void *owner;

    veil_ocsp_result_t result;
    size_t len;
    char der[VEIL_SSL_OCSP_MAX];

    veil_pool_t *pool;
    veil_timer_t timer;
    veil_exchange_t x;
};

/*
 * Why a URL cannot be asked, in nginx's words, or NULL: then *host is the part
 * of it that names host and port.
 */
const char *veil_ssl_ocsp_host(veil_str_t url, veil_str_t *host);
/* The same, and the request about cert is made, in pool. */
const char *veil_ssl_ocsp_target(veil_pool_t *pool, veil_str_t url,
                                 struct x509_st *cert, struct x509_st *issuer,
                                 veil_ssl_ocsp_target_t *target);

/* In a new pool, f->pool; to be filled in. */
veil_ssl_ocsp_fetch_t *veil_ssl_ocsp_fetch_create(void);
void veil_ssl_ocsp_fetch_start(veil_ssl_ocsp_fetch_t *f);
/* At any time, in done() too; sets *f to NULL. */
void veil_ssl_ocsp_fetch_end(veil_ssl_ocsp_fetch_t **f);
/* ", responder: ..., peer: ..., certificate: ..." of the owner's log. */
size_t veil_ssl_ocsp_print(const veil_ssl_ocsp_fetch_t *f, veil_str_t host,
                           veil_str_t certificate, char *buf, size_t n);

/* --- ssl_ocsp_cache.c: what was said about clients' certificates */

/* "shared:NAME:SIZE" of argument 1; NULL after reporting. */
veil_shm_zone_t *veil_ssl_ocsp_cache_add(veil_conf_t *cf);

typedef struct {
    unsigned char bytes[16];
} veil_ssl_ocsp_key_t;

veil_ssl_ocsp_key_t veil_ssl_ocsp_key(struct x509_st *cert,
                                      struct x509_st *issuer);
/* False: nothing that still holds is known. */
bool veil_ssl_ocsp_cache_get(veil_shm_zone_t *zone,
                             const veil_ssl_ocsp_key_t *key,
                             veil_ocsp_status_t *status);
void veil_ssl_ocsp_cache_put(veil_shm_zone_t *zone,
                             const veil_ssl_ocsp_key_t *key,
                             veil_ocsp_status_t status, int64_t valid);

#endif
