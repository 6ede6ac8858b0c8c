/*
 * ssl_stapling.h -- OCSP stapling: a server shows, with its certificate, a
 * recent statement of the issuer that it was not revoked (RFC 6066, 8).
 *
 * For each certificate of a server with "ssl_stapling on" there is a staple.
 * It has a slot in shared memory, in a zone of its own whose name is a hash
 * of the certificate, the responder and how strictly it is checked: whoever
 * wants to know the same shares the slot, all workers, servers and
 * generations, and a reload asks nobody again.
 *
 * Each worker has a timer for each staple, and no other means to be told:
 *
 *   - the slot has a newer response: it is handed to the context;
 *   - what was handed over has expired: it is taken back;
 *   - it is time to ask: the first who comes notes in the slot until when he
 *     is busy with it, and asks; the others look again in half a second.
 *
 * One that dies while he asks is thereby forgotten after a while.  A response
 * replaces the last one only if it verifies (core/ocsp.h) and says "good".
 * It is asked for when the half of its time is over, at the latest after an
 * hour, and after a failure in a second, two, four ... five minutes.
 *
 * Certificates that are loaded at run time (variables in ssl_certificate)
 * get no staple, as in nginx.
 */

#ifndef VEIL_MODULES_SSL_STAPLING_H
#define VEIL_MODULES_SSL_STAPLING_H

#include "core/lock.h"
#include "core/shm.h"
#include "event/tls.h"
#include "modules/ssl_ocsp/ssl_ocsp.h"

#define SSL_SLOT_MAGIC 0x53545031u
#define SSL_SLOT_SIZE (16 * 1024)

extern veil_module_t veil_http_ssl_stapling_module;

/* Of a server. */
typedef struct {
    bool enable;
    bool verify;
    veil_str_t file; /* empty: asked for */
    veil_str_t responder;
    const veil_conf_node_t *node; /* ssl_stapling */
    const veil_conf_node_t *file_node;
    const veil_conf_node_t *responder_node;
} ssl_stapling_conf_t;

/* Of http {}. */
typedef struct {
    veil_array_t *staples; /* of ssl_staple_t *; NULL: none */
} ssl_stapling_main_t;

/* In shared memory.  Times are the wall clock's, in seconds. */
typedef struct {
    uint32_t magic;
    uint32_t version; /* another one: der is new */
    veil_lock_t lock;
    int64_t valid;      /* der is, until then */
    int64_t refresh;    /* when to ask */
    int64_t busy_until; /* somebody asks */
    uint32_t failures;  /* since the last success */
    uint32_t len;       /* of der; 0: there is none */
    unsigned char der[VEIL_SSL_OCSP_MAX];
} ssl_slot_t;

_Static_assert(sizeof(ssl_slot_t) <= SSL_SLOT_SIZE, "the slot is too large");

typedef struct {
    veil_tls_ctx_t *ctx;
    unsigned index; /* of the certificate in ctx */
    struct x509_st *cert;
    struct x509_st *issuer;
    veil_str_t name; /* of the certificate, for messages */
    bool verify;
    veil_shm_zone_t *zone;
    veil_upstream_group_t *group;
    veil_ssl_ocsp_target_t target;

    /* Of this worker. */
    veil_loop_t *loop;
    veil_timer_t timer;
    veil_log_t log;
    uint32_t version; /* of what ctx has */
    int64_t valid;    /* of it */
    bool sent;        /* ctx has one */
    veil_ssl_ocsp_fetch_t *fetch;
} ssl_staple_t;

/* --- ssl_staple.c: what workers do */

veil_rc_t veil_ssl_stapling_init_worker(veil_cycle_t *cycle);
void veil_ssl_stapling_exit_worker(veil_cycle_t *cycle);

#endif
