/*
 * rejects.c -- the last requests and connections that were refused.
 *
 * Each record is complete in itself, as what it is about is gone a moment
 * later.  Of the bytes only those around the fault are kept; they may hold
 * anything that clients send, passwords too, so they are shown to whom the
 * control socket lets in, and written nowhere.
 *
 * Refusals that a configuration asks for ("deny", "return 403") are none: the
 * access log has them.
 */

#include "core/platform.h"

#include "http/rejects.h"

#include "core/time.h"
#include "http/http.h"

/* Bytes before the fault, when there are more than are kept. */
#define REJECT_BEFORE 160

static struct {
    veil_http_reject_t ring[VEIL_HTTP_REJECTS];
    uint64_t n; /* that there were */
} rejects;

static void
reject_excerpt(veil_http_reject_t *e, veil_str_t what, const char *fault)
{
    size_t at = fault == NULL ? 0 : (size_t) (fault - what.data);

    VEIL_ASSERT(at <= what.len);
    e->offset = fault == NULL ? -1 : (int64_t) at;
    if (what.len > sizeof(e->bytes) && at > REJECT_BEFORE) {
        e->first = at - REJECT_BEFORE;
        if (what.len - e->first < sizeof(e->bytes)) {
            e->first = what.len - sizeof(e->bytes);
        }
    }
    e->nbytes =
        (unsigned) veil_min_size(what.len - e->first, sizeof(e->bytes));
    if (e->nbytes != 0) {
        memcpy(e->bytes, what.data + e->first, e->nbytes);
    }
}

void
veil_http_reject(const veil_http_conn_t *hc, int status, const char *reason,
                 veil_str_t what, const char *fault)
{
    veil_http_reject_t *e = &rejects.ring[rejects.n++ % VEIL_HTTP_REJECTS];

    memset(e, 0, offsetof(veil_http_reject_t, bytes));
    e->when_ms = veil_clock.sec * 1000 + veil_clock.msec;
    e->conn = hc->c.log.connection;
    e->client = hc->c.peer;
    e->port = hc->port;
    e->server = hc->server->name;
    e->protocol = hc->proto == NULL ? NULL : hc->proto->name;
    e->status = status;
    (void) veil_snprintf(e->reason, sizeof(e->reason), "%s", reason);
    reject_excerpt(e, what, fault);
}

void
veil_http_reject_handshake(const veil_http_conn_t *hc, const char *reason,
                           const char *kind, veil_str_t name)
{
    veil_http_reject_t *e = &rejects.ring[rejects.n % VEIL_HTTP_REJECTS];

    veil_http_reject(hc, 0, reason, VEIL_STR_NULL, NULL);
    e->kind = kind;
    (void) veil_str_copy_z(e->name, sizeof(e->name), name);
}

void
veil_http_reject_request(veil_http_request_t *r, int status,
                         const char *reason, veil_str_t what,
                         const char *fault)
{
    if (r->rejected || r->conn == NULL) {
        return;
    }
    r->rejected = true;
    veil_http_reject(r->conn, status, reason, what, fault);
}

void
veil_http_reject_error(veil_http_request_t *r)
{
    switch (r->status) {
    case 400:
    case 405:
    case 408:
    case 411:
    case 413:
    case 414:
    case 417:
    case 421:
    case 425:
    case 431:
    case 494:
    case 495:
    case 496:
    case 497:
    case 501:
    case 505:
        if (r->reason != NULL) {
            veil_http_reject_request(r, r->status, r->reason,
                                     r->in.request_line, NULL);
        }
        return;
    default:
        return;
    }
}

const veil_http_reject_t *
veil_http_rejected(unsigned i)
{
    if (i >= rejects.n || i >= VEIL_HTTP_REJECTS) {
        return NULL;
    }
    return &rejects.ring[(rejects.n - 1 - i) % VEIL_HTTP_REJECTS];
}
