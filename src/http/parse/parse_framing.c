/*
 * parse_framing.c -- where a message's body ends (RFC 9112, 6.3).
 *
 * The two fields that decide are noted as they come and judged when all are
 * there.  Whatever two servers in a row could read differently is refused,
 * not repaired: a second length even if it is the same, a list, a sign, a
 * coding besides chunked, chunked twice, both fields together.  nginx does
 * the same.
 */

#include "core/platform.h"

#include "http/parse/parse.h"

void
veil_http_framing_init(veil_http_framing_t *f)
{
    *f = (veil_http_framing_t){ .kind = VEIL_FRAMING_NONE, .length = -1 };
}

/* Digits and nothing else, below 2^63; -1 otherwise. */
static int64_t
parse_length(veil_str_t s)
{
    int64_t n = 0;
    size_t i;

    if (s.len == 0) {
        return -1;
    }
    for (i = 0; i < s.len; i++) {
        if (s.data[i] < '0' || s.data[i] > '9'
            || __builtin_mul_overflow(n, (int64_t) 10, &n)
            || __builtin_add_overflow(n, (int64_t) (s.data[i] - '0'), &n))
        {
            return -1;
        }
    }
    return n;
}

static bool
parse_is_chunked(veil_str_t s)
{
    static const char chunked[] = "chunked";
    size_t i;

    if (s.len != sizeof(chunked) - 1) {
        return false;
    }
    for (i = 0; i < s.len; i++) {
        if (veil_lower((unsigned char) s.data[i])
            != (unsigned char) chunked[i]) {
            return false;
        }
    }
    return true;
}

/*
 * Why a value other than "chunked" is refused.  Chunked anywhere but at the
 * end, or twice, is an error whatever else is there (6.1); else the sender
 * means a coding we do not have.
 */
static veil_http_parse_t
parse_coding(veil_str_t value)
{
    veil_str_t coding;
    bool chunked = false;
    size_t i, begin = 0;

    for (i = 0; i <= value.len; i++) {
        if (i < value.len && value.data[i] != ',') {
            continue;
        }
        coding = veil_str_n(value.data + begin, i - begin);
        while (coding.len != 0
               && (coding.data[0] == ' ' || coding.data[0] == '\t')) {
            coding = veil_str_from(coding, 1);
        }
        while (coding.len != 0
               && (coding.data[coding.len - 1] == ' '
                   || coding.data[coding.len - 1] == '\t'))
        {
            coding.len--;
        }
        if (coding.len == 0 || chunked) {
            return VEIL_PARSE_CODING;
        }
        chunked = parse_is_chunked(coding);
        begin = i + 1;
    }
    return VEIL_PARSE_CODING_UNKNOWN;
}

veil_http_parse_t
veil_http_framing_add(veil_http_framing_t *f, const veil_http_field_t *field)
{
    if (field->id == VEIL_HEADER_CONTENT_LENGTH) {
        if (f->length >= 0) {
            return VEIL_PARSE_LENGTH_TWICE;
        }
        f->length = parse_length(field->value);
        return f->length < 0 ? VEIL_PARSE_LENGTH : VEIL_PARSE_OK;
    }
    if (field->id == VEIL_HEADER_TRANSFER_ENCODING) {
        if (f->chunked) {
            return VEIL_PARSE_CODING;
        }
        if (!parse_is_chunked(field->value)) {
            return parse_coding(field->value);
        }
        f->chunked = true;
    }
    return VEIL_PARSE_OK;
}

veil_http_parse_t
veil_http_framing_request(veil_http_framing_t *f, unsigned version)
{
    if (f->chunked) {
        if (f->length >= 0) {
            return VEIL_PARSE_CODING_LENGTH;
        }
        if (version < 11) {
            return VEIL_PARSE_CODING_OLD;
        }
        f->kind = VEIL_FRAMING_CHUNKED;
    } else {
        f->kind = f->length > 0 ? VEIL_FRAMING_LENGTH : VEIL_FRAMING_NONE;
    }
    return VEIL_PARSE_OK;
}

veil_http_parse_t
veil_http_framing_response(veil_http_framing_t *f, unsigned version,
                           int status, unsigned method)
{
    if (f->chunked && f->length >= 0) {
        return VEIL_PARSE_CODING_LENGTH;
    }
    if (status == 101
        || (method == VEIL_CONNECT && status >= 200 && status < 300)) {
        f->kind = VEIL_FRAMING_TUNNEL;
        f->close = true;
    } else if (method == VEIL_HEAD || status < 200 || status == 204
               || status == 304)
    {
        f->kind = VEIL_FRAMING_NONE;
    } else if (f->chunked) {
        f->kind = VEIL_FRAMING_CHUNKED;
        /* Faulty in HTTP/1.0: usable once (RFC 9112, 6.1). */
        f->close = version < 11;
    } else if (f->length >= 0) {
        f->kind = f->length > 0 ? VEIL_FRAMING_LENGTH : VEIL_FRAMING_NONE;
    } else {
        f->kind = VEIL_FRAMING_CLOSE;
        f->close = true;
    }
    return VEIL_PARSE_OK;
}
