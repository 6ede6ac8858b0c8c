/*
 * ocsp.h -- asking whether a certificate was revoked, and reading the answer
 * (OCSP: RFC 6960, in the lightweight profile of RFC 5019).
 *
 * No I/O: these functions make a request and judge a response; who carries
 * them is somebody else.  Certificates are BoringSSL's X509, named by their
 * struct so that this header compiles without the library's; the functions
 * are there only in builds that have it.
 *
 * Nothing here suspends or reports; times are seconds since 1970.
 */

#ifndef VEIL_CORE_OCSP_H
#define VEIL_CORE_OCSP_H

#include "core/pool.h"
#include "core/str.h"

struct x509_st;

/*
 * The longest response that is looked at: one with a chain of RSA-4096
 * certificates has less than a tenth of it.
 */
#define VEIL_OCSP_RESPONSE_MAX 65536

/* How far clocks may differ, in seconds (nginx's figure). */
#define VEIL_OCSP_SKEW_SEC 300

/* The time of what is valid without end. */
#define VEIL_OCSP_FOREVER INT64_MAX

typedef enum {
    VEIL_OCSP_GOOD,
    VEIL_OCSP_REVOKED,
    VEIL_OCSP_UNKNOWN
} veil_ocsp_status_t;

/* What to hold a response against; all of it is the caller's. */
typedef struct {
    struct x509_st *cert;   /* whose status is wanted */
    struct x509_st *issuer; /* the one that signed it */
    int64_t now;
    /*
     * A responder other than the issuer must be authorized by it (RFC 6960,
     * 4.2.2.2), and signatures may not rest on SHA-1.  Without, the key of
     * the certificate that came with the response will do, as in nginx
     * without ssl_stapling_verify; the signature is checked in any case.
     */
    bool verify;
} veil_ocsp_query_t;

typedef struct {
    veil_ocsp_status_t status;
    int64_t produced_at;
    int64_t this_update;
    int64_t next_update; /* VEIL_OCSP_FOREVER when none is named */
    int64_t revoked_at;  /* of VEIL_OCSP_REVOKED */
    bool not_found;      /* after VEIL_ERROR: it tells about others only */
    char error[160];     /* after VEIL_ERROR why; terminated */
} veil_ocsp_result_t;

/* "good", "revoked" or "unknown". */
const char *veil_ocsp_status_name(veil_ocsp_status_t status);

/*
 * The request for one certificate, DER in pool: hashes are SHA-1, which is
 * what responders index by, and there is no nonce (RFC 5019, 2.1.1).  Empty
 * when a certificate lacks what belongs there.
 */
veil_str_t veil_ocsp_request(veil_pool_t *pool, struct x509_st *cert,
                             struct x509_st *issuer);

/*
 * The URL, in pool, at which a GET asks the responder at url (RFC 6960, A.1).
 * Empty when a POST of the request to url itself has to do: the result would
 * have more than 255 bytes (RFC 5019, 5), or url has a query.
 */
veil_str_t veil_ocsp_get_url(veil_pool_t *pool, veil_str_t url,
                             veil_str_t request);

/*
 * The first URL of a responder that the certificate names in its authority
 * information access (RFC 5280, 4.2.2.1), copied to pool; empty when there is
 * none.  Its scheme is not looked at.
 */
veil_str_t veil_ocsp_responder_url(veil_pool_t *pool, struct x509_st *cert);

/*
 * Reads a response, DER, and finds in it the status of cert by serial number
 * and issuer's name.  Neither signature nor time is looked at: this is for
 * what an operator vouches for.  result is filled in completely.  VEIL_ERROR,
 * with result->error set and the rest undefined, when it is no successful
 * response, is malformed, or does not tell about cert.
 */
veil_rc_t veil_ocsp_read(veil_str_t response, struct x509_st *cert,
                         veil_ocsp_result_t *result);

/*
 * The same, and more: the issuer's key matches as well, the signature holds,
 * who signed it may do so, and now lies between thisUpdate and nextUpdate.
 * VEIL_OK alone does not mean that the certificate is good: see status.
 */
veil_rc_t veil_ocsp_check(veil_str_t response, const veil_ocsp_query_t *query,
                          veil_ocsp_result_t *result);

#endif
