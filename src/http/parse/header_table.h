/*
 * header_table.h -- the header fields that have a name in the code.
 *
 * One line a field: its enum constant, its canonical name, the same in lower
 * case, three letters of that for the hash (first, last but one, last), and
 * what is special about it:
 *
 *     H  hop-by-hop: means this connection only, never passed on
 *     U  may occur once in a request; a second one is refused, as by nginx
 *     T  is not taken from a trailer section (RFC 9110, 6.5.1)
 *
 * A new field is one line here; t/unit/test_header_table.c checks the
 * letters, and the compiler refuses two fields with the same hash.
 */

#ifndef VEIL_HTTP_HEADER_TABLE_H
#define VEIL_HTTP_HEADER_TABLE_H

#include "core/str.h"

/* clang-format off */
#define VEIL_HTTP_HEADER_TABLE(X, H, U, T)                                    \
    X(ACCEPT, "Accept", "accept", 'a', 'p', 't', 0)                           \
    X(ACCEPT_CHARSET, "Accept-Charset", "accept-charset", 'a', 'e', 't', 0)   \
    X(ACCEPT_ENCODING, "Accept-Encoding", "accept-encoding",                  \
      'a', 'n', 'g', 0)                                                       \
    X(ACCEPT_LANGUAGE, "Accept-Language", "accept-language",                  \
      'a', 'g', 'e', 0)                                                       \
    X(ACCEPT_RANGES, "Accept-Ranges", "accept-ranges", 'a', 'e', 's', 0)      \
    X(ACCESS_CONTROL_ALLOW_ORIGIN, "Access-Control-Allow-Origin",             \
      "access-control-allow-origin", 'a', 'i', 'n', 0)                        \
    X(AGE, "Age", "age", 'a', 'g', 'e', T)                                    \
    X(ALLOW, "Allow", "allow", 'a', 'o', 'w', 0)                              \
    X(ALT_SVC, "Alt-Svc", "alt-svc", 'a', 'v', 'c', 0)                        \
    X(ALT_USED, "Alt-Used", "alt-used", 'a', 'e', 'd', 0)                     \
    X(AUTHORIZATION, "Authorization", "authorization", 'a', 'o', 'n', U | T)  \
    X(CACHE_CONTROL, "Cache-Control", "cache-control", 'c', 'o', 'l', T)      \
    X(CACHE_STATUS, "Cache-Status", "cache-status", 'c', 'u', 's', 0)         \
    X(CDN_CACHE_CONTROL, "CDN-Cache-Control", "cdn-cache-control",            \
      'c', 'o', 'l', 0)                                                       \
    X(CONNECTION, "Connection", "connection", 'c', 'o', 'n', H | T)           \
    X(CONTENT_DISPOSITION, "Content-Disposition", "content-disposition",      \
      'c', 'o', 'n', 0)                                                       \
    X(CONTENT_ENCODING, "Content-Encoding", "content-encoding",               \
      'c', 'n', 'g', T)                                                       \
    X(CONTENT_LANGUAGE, "Content-Language", "content-language",               \
      'c', 'g', 'e', 0)                                                       \
    X(CONTENT_LENGTH, "Content-Length", "content-length",                     \
      'c', 't', 'h', U | T)                                                   \
    X(CONTENT_LOCATION, "Content-Location", "content-location",               \
      'c', 'o', 'n', 0)                                                       \
    X(CONTENT_MD5, "Content-MD5", "content-md5", 'c', 'd', '5', 0)            \
    X(CONTENT_RANGE, "Content-Range", "content-range", 'c', 'g', 'e', U | T)  \
    X(CONTENT_SECURITY_POLICY, "Content-Security-Policy",                     \
      "content-security-policy", 'c', 'c', 'y', 0)                            \
    X(CONTENT_TYPE, "Content-Type", "content-type", 'c', 'p', 'e', T)         \
    X(COOKIE, "Cookie", "cookie", 'c', 'i', 'e', T)                           \
    X(DATE, "Date", "date", 'd', 't', 'e', T)                                 \
    X(DEPTH, "Depth", "depth", 'd', 't', 'h', 0)                              \
    X(DESTINATION, "Destination", "destination", 'd', 'o', 'n', 0)            \
    X(DNT, "DNT", "dnt", 'd', 'n', 't', 0)                                    \
    X(EARLY_DATA, "Early-Data", "early-data", 'e', 't', 'a', T)               \
    X(ETAG, "ETag", "etag", 'e', 'a', 'g', 0)                                 \
    X(EXPECT, "Expect", "expect", 'e', 'c', 't', U | T)                       \
    X(EXPIRES, "Expires", "expires", 'e', 'e', 's', T)                        \
    X(FORWARDED, "Forwarded", "forwarded", 'f', 'e', 'd', T)                  \
    X(FROM, "From", "from", 'f', 'o', 'm', 0)                                 \
    X(HOST, "Host", "host", 'h', 's', 't', U | T)                             \
    X(HTTP2_SETTINGS, "HTTP2-Settings", "http2-settings",                     \
      'h', 'g', 's', H | T)                                                   \
    X(IF, "If", "if", 'i', 'i', 'f', 0)                                       \
    X(IF_MATCH, "If-Match", "if-match", 'i', 'c', 'h', U | T)                 \
    X(IF_MODIFIED_SINCE, "If-Modified-Since", "if-modified-since",            \
      'i', 'c', 'e', U | T)                                                   \
    X(IF_NONE_MATCH, "If-None-Match", "if-none-match", 'i', 'c', 'h', U | T)  \
    X(IF_RANGE, "If-Range", "if-range", 'i', 'g', 'e', U | T)                 \
    X(IF_UNMODIFIED_SINCE, "If-Unmodified-Since", "if-unmodified-since",      \
      'i', 'c', 'e', U | T)                                                   \
    X(KEEP_ALIVE, "Keep-Alive", "keep-alive", 'k', 'v', 'e', H | T)           \
    X(LAST_MODIFIED, "Last-Modified", "last-modified", 'l', 'e', 'd', 0)      \
    X(LINK, "Link", "link", 'l', 'n', 'k', 0)                                 \
    X(LOCATION, "Location", "location", 'l', 'o', 'n', T)                     \
    X(LOCK_TOKEN, "Lock-Token", "lock-token", 'l', 'e', 'n', 0)               \
    X(MAX_FORWARDS, "Max-Forwards", "max-forwards", 'm', 'd', 's', T)         \
    X(ORIGIN, "Origin", "origin", 'o', 'i', 'n', 0)                           \
    X(OVERWRITE, "Overwrite", "overwrite", 'o', 't', 'e', 0)                  \
    X(PRAGMA, "Pragma", "pragma", 'p', 'm', 'a', T)                           \
    X(PRIORITY, "Priority", "priority", 'p', 't', 'y', 0)                     \
    X(PROXY_AUTHENTICATE, "Proxy-Authenticate", "proxy-authenticate",         \
      'p', 't', 'e', H | T)                                                   \
    X(PROXY_AUTHENTICATION_INFO, "Proxy-Authentication-Info",                 \
      "proxy-authentication-info", 'p', 'f', 'o', 0)                          \
    X(PROXY_AUTHORIZATION, "Proxy-Authorization", "proxy-authorization",      \
      'p', 'o', 'n', H | T)                                                   \
    X(PROXY_CONNECTION, "Proxy-Connection", "proxy-connection",               \
      'p', 'o', 'n', H | T)                                                   \
    X(PROXY_STATUS, "Proxy-Status", "proxy-status", 'p', 'u', 's', 0)         \
    X(RANGE, "Range", "range", 'r', 'g', 'e', T)                              \
    X(REFERER, "Referer", "referer", 'r', 'e', 'r', 0)                        \
    X(REFRESH, "Refresh", "refresh", 'r', 's', 'h', 0)                        \
    X(RETRY_AFTER, "Retry-After", "retry-after", 'r', 'e', 'r', T)            \
    X(SEC_FETCH_DEST, "Sec-Fetch-Dest", "sec-fetch-dest", 's', 's', 't', 0)   \
    X(SEC_FETCH_MODE, "Sec-Fetch-Mode", "sec-fetch-mode", 's', 'd', 'e', 0)   \
    X(SEC_FETCH_SITE, "Sec-Fetch-Site", "sec-fetch-site", 's', 't', 'e', 0)   \
    X(SEC_FETCH_USER, "Sec-Fetch-User", "sec-fetch-user", 's', 'e', 'r', 0)   \
    X(SEC_WEBSOCKET_ACCEPT, "Sec-WebSocket-Accept", "sec-websocket-accept",   \
      's', 'p', 't', 0)                                                       \
    X(SEC_WEBSOCKET_EXTENSIONS, "Sec-WebSocket-Extensions",                   \
      "sec-websocket-extensions", 's', 'n', 's', 0)                           \
    X(SEC_WEBSOCKET_KEY, "Sec-WebSocket-Key", "sec-websocket-key",            \
      's', 'e', 'y', 0)                                                       \
    X(SEC_WEBSOCKET_PROTOCOL, "Sec-WebSocket-Protocol",                       \
      "sec-websocket-protocol", 's', 'o', 'l', 0)                             \
    X(SEC_WEBSOCKET_VERSION, "Sec-WebSocket-Version",                         \
      "sec-websocket-version", 's', 'o', 'n', 0)                              \
    X(SERVER, "Server", "server", 's', 'e', 'r', 0)                           \
    X(SET_COOKIE, "Set-Cookie", "set-cookie", 's', 'i', 'e', T)               \
    X(SOAPACTION, "SOAPAction", "soapaction", 's', 'o', 'n', 0)               \
    X(STATUS, "Status", "status", 's', 'u', 's', T)                           \
    X(STRICT_TRANSPORT_SECURITY, "Strict-Transport-Security",                 \
      "strict-transport-security", 's', 't', 'y', 0)                          \
    X(TE, "TE", "te", 't', 't', 'e', H | T)                                   \
    X(TIMEOUT, "Timeout", "timeout", 't', 'u', 't', 0)                        \
    X(TRACEPARENT, "Traceparent", "traceparent", 't', 'n', 't', 0)            \
    X(TRACESTATE, "Tracestate", "tracestate", 't', 't', 'e', 0)               \
    X(TRAILER, "Trailer", "trailer", 't', 'e', 'r', H | T)                    \
    X(TRANSFER_ENCODING, "Transfer-Encoding", "transfer-encoding",            \
      't', 'n', 'g', H | U | T)                                               \
    X(UPGRADE, "Upgrade", "upgrade", 'u', 'd', 'e', H | T)                    \
    X(UPGRADE_INSECURE_REQUESTS, "Upgrade-Insecure-Requests",                 \
      "upgrade-insecure-requests", 'u', 't', 's', 0)                          \
    X(USER_AGENT, "User-Agent", "user-agent", 'u', 'n', 't', 0)               \
    X(VARY, "Vary", "vary", 'v', 'r', 'y', T)                                 \
    X(VIA, "Via", "via", 'v', 'i', 'a', 0)                                    \
    X(WARNING, "Warning", "warning", 'w', 'n', 'g', T)                        \
    X(WWW_AUTHENTICATE, "WWW-Authenticate", "www-authenticate",               \
      'w', 't', 'e', T)                                                       \
    X(X_ACCEL_BUFFERING, "X-Accel-Buffering", "x-accel-buffering",            \
      'x', 'n', 'g', T)                                                       \
    X(X_ACCEL_CHARSET, "X-Accel-Charset", "x-accel-charset",                  \
      'x', 'e', 't', T)                                                       \
    X(X_ACCEL_EXPIRES, "X-Accel-Expires", "x-accel-expires",                  \
      'x', 'e', 's', T)                                                       \
    X(X_ACCEL_LIMIT_RATE, "X-Accel-Limit-Rate", "x-accel-limit-rate",         \
      'x', 't', 'e', T)                                                       \
    X(X_ACCEL_REDIRECT, "X-Accel-Redirect", "x-accel-redirect",               \
      'x', 'c', 't', T)                                                       \
    X(X_CONTENT_TYPE_OPTIONS, "X-Content-Type-Options",                       \
      "x-content-type-options", 'x', 'n', 's', 0)                             \
    X(X_FORWARDED_FOR, "X-Forwarded-For", "x-forwarded-for",                  \
      'x', 'o', 'r', T)                                                       \
    X(X_FORWARDED_HOST, "X-Forwarded-Host", "x-forwarded-host",               \
      'x', 's', 't', T)                                                       \
    X(X_FORWARDED_PORT, "X-Forwarded-Port", "x-forwarded-port",               \
      'x', 'r', 't', T)                                                       \
    X(X_FORWARDED_PROTO, "X-Forwarded-Proto", "x-forwarded-proto",            \
      'x', 't', 'o', T)                                                       \
    X(X_FORWARDED_SERVER, "X-Forwarded-Server", "x-forwarded-server",         \
      'x', 'e', 'r', T)                                                       \
    X(X_FRAME_OPTIONS, "X-Frame-Options", "x-frame-options",                  \
      'x', 'n', 's', 0)                                                       \
    X(X_POWERED_BY, "X-Powered-By", "x-powered-by", 'x', 'b', 'y', 0)         \
    X(X_REAL_IP, "X-Real-IP", "x-real-ip", 'x', 'i', 'p', T)                  \
    X(X_REQUEST_ID, "X-Request-ID", "x-request-id", 'x', 'i', 'd', 0)         \
    X(X_REQUESTED_WITH, "X-Requested-With", "x-requested-with",               \
      'x', 't', 'h', 0)                                                       \
    X(X_SENDFILE, "X-Sendfile", "x-sendfile", 'x', 'l', 'e', 0)               \
    X(X_XSS_PROTECTION, "X-XSS-Protection", "x-xss-protection",               \
      'x', 'o', 'n', 0)
/* clang-format on */

typedef enum veil_http_header_id {
    VEIL_HEADER_NONE, /* not one of the table */
#define X(id, name, lower, a, b, c, flags) VEIL_HEADER_##id,
    VEIL_HTTP_HEADER_TABLE(X, 0, 0, 0)
#undef X
        VEIL_HEADER_COUNT
} veil_http_header_id_t;

/* Sets of ids are kept in two words (headers.h). */
_Static_assert(VEIL_HEADER_COUNT <= 128, "too many known headers");

enum {
    VEIL_HEADER_IS_HOP = 1,
    VEIL_HEADER_IS_UNIQUE = 2,
    VEIL_HEADER_NO_TRAILER = 4
};

typedef struct {
    veil_str_t name;  /* canonical: "Content-Length" */
    veil_str_t lower; /* "content-length", as HTTP/2 and 3 want it */
    uint8_t flags;
} veil_http_header_info_t;

/* By id; [VEIL_HEADER_NONE] has empty names. */
extern const veil_http_header_info_t veil_http_header_info[VEIL_HEADER_COUNT];

/* The id of a field name, in any case; VEIL_HEADER_NONE: not of the table. */
veil_http_header_id_t veil_http_header_lookup(const char *name, size_t len);

static inline bool
veil_http_header_is_hop(unsigned id)
{
    return (veil_http_header_info[id].flags & VEIL_HEADER_IS_HOP) != 0;
}

static inline bool
veil_http_header_is_unique(unsigned id)
{
    return (veil_http_header_info[id].flags & VEIL_HEADER_IS_UNIQUE) != 0;
}

/* Whether a trailer section may carry it (RFC 9110, 6.5.1). */
static inline bool
veil_http_header_in_trailer(unsigned id)
{
    return (veil_http_header_info[id].flags & VEIL_HEADER_NO_TRAILER) == 0;
}

#endif
