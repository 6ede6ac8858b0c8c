/*
 * grpc_status.c -- gRPC's own status.
 *
 * Two modules make errors of veil's into something that a client of gRPC
 * understands, grpc for itself and grpc_web for browsers; what they must
 * agree on is here.
 */

#include "core/platform.h"

#include "http/grpc_status.h"

veil_grpc_status_t
veil_grpc_status_of(int http_status)
{
    switch (http_status) {
    case 400:
        return VEIL_GRPC_INTERNAL;
    case 401:
        return VEIL_GRPC_UNAUTHENTICATED;
    case 403:
        return VEIL_GRPC_PERMISSION_DENIED;
    case 404:
        return VEIL_GRPC_UNIMPLEMENTED;
    case 429:
    case 502:
    case 503:
    case 504:
        return VEIL_GRPC_UNAVAILABLE;
    default:
        return VEIL_GRPC_UNKNOWN;
    }
}

/* PROTOCOL-HTTP2.md, "Errors"; the numbers are those of RFC 9113, 7. */
veil_grpc_status_t
veil_grpc_status_of_reset(unsigned code)
{
    switch (code) {
    case 0x7: /* REFUSED_STREAM */
        return VEIL_GRPC_UNAVAILABLE;
    case 0x8: /* CANCEL */
        return VEIL_GRPC_CANCELLED;
    case 0xb: /* ENHANCE_YOUR_CALM */
        return VEIL_GRPC_RESOURCE_EXHAUSTED;
    case 0xc: /* INADEQUATE_SECURITY */
        return VEIL_GRPC_PERMISSION_DENIED;
    default:
        return VEIL_GRPC_INTERNAL;
    }
}

veil_str_t
veil_grpc_message(veil_pool_t *pool, veil_str_t text)
{
    static const char hex[] = "0123456789ABCDEF";
    char *start = veil_pool_chars(pool, 3 * text.len), *p = start;
    unsigned char c;
    size_t i;

    for (i = 0; i < text.len; i++) {
        c = (unsigned char) text.data[i];
        if (c >= 0x20 && c <= 0x7e && c != '%') {
            *p++ = (char) c;
        } else {
            *p++ = '%';
            *p++ = hex[c >> 4];
            *p++ = hex[c & 15];
        }
    }
    return veil_str_n(start, (size_t) (p - start));
}

bool
veil_grpc_is_type(veil_str_t type, veil_str_t *suffix)
{
    static const veil_str_t grpc = VEIL_STR_INIT("application/grpc");
    veil_str_t rest;

    type = veil_str_trim(veil_str_cut(&type, ';'));
    if (type.len < grpc.len
        || !veil_str_caseeq(veil_str_n(type.data, grpc.len), grpc))
    {
        return false;
    }
    rest = veil_str_from(type, grpc.len);
    if (rest.len != 0 && (rest.data[0] != '+' || rest.len == 1)) {
        return false;
    }
    if (suffix != NULL) {
        *suffix = rest;
    }
    return true;
}
