/*
 * parse_fault.c -- where in a head it is that it was refused.
 *
 * The parsers say why, and which line; they do not say which byte, because
 * that would cost every good head something.  So whoever wants to tell looks
 * for it afterwards, knowing the reason.
 */

#include "core/platform.h"

#include "http/parse/char_class.h"
#include "http/parse/parse.h"

typedef bool parse_fault_fn(const char *p, const char *begin, const char *end);

static bool
parse_is_bare_lf(const char *p, const char *begin, const char *end)
{
    (void) end;
    return *p == '\n' && (p == begin || p[-1] != '\r');
}

static bool
parse_is_bare_cr(const char *p, const char *begin, const char *end)
{
    (void) begin;
    return *p == '\r' && (p + 1 == end || p[1] != '\n');
}

static bool
parse_is_nul(const char *p, const char *begin, const char *end)
{
    (void) begin;
    (void) end;
    return *p == '\0';
}

/* But those that may stand in a line, or end it. */
static bool
parse_is_control(const char *p, const char *begin, const char *end)
{
    unsigned char c = (unsigned char) *p;

    (void) begin;
    (void) end;
    return (c < 0x20 && c != '\t' && c != '\r' && c != '\n') || c == 0x7f;
}

static bool
parse_is_no_token(const char *p, const char *begin, const char *end)
{
    (void) begin;
    (void) end;
    return !veil_char_is(*p, VEIL_CC_TOKEN);
}

static bool
parse_is_blank(const char *p, const char *begin, const char *end)
{
    (void) begin;
    (void) end;
    return *p == ' ' || *p == '\t';
}

static bool
parse_is_any_control(const char *p, const char *begin, const char *end)
{
    unsigned char c = (unsigned char) *p;

    (void) begin;
    (void) end;
    return c < 0x20 || c == 0x7f;
}

static bool
parse_is_line_end(const char *p, const char *begin, const char *end)
{
    (void) begin;
    (void) end;
    return *p == '\r' || *p == '\n';
}

/* Behind the last blank of a line. */
static const char *
parse_last_word(const char *p, const char *end)
{
    while (end > p && end[-1] != ' ') {
        end--;
    }
    return end;
}

static parse_fault_fn *
parse_fault_find(veil_http_parse_t e)
{
    switch (e) {
    case VEIL_PARSE_BARE_LF:
        return parse_is_bare_lf;
    case VEIL_PARSE_BARE_CR:
        return parse_is_bare_cr;
    case VEIL_PARSE_NUL:
        return parse_is_nul;
    case VEIL_PARSE_NAME:
    case VEIL_PARSE_VALUE:
        return parse_is_control;
    case VEIL_PARSE_METHOD:
        return parse_is_no_token;
    case VEIL_PARSE_NAME_BLANK:
        return parse_is_blank;
    case VEIL_PARSE_TARGET:
        return parse_is_any_control;
    case VEIL_PARSE_NO_COLON:
    case VEIL_PARSE_NO_VERSION:
        return parse_is_line_end;
    default:
        return NULL;
    }
}

const char *
veil_http_parse_fault(veil_http_parse_t e, const char *p, size_t n)
{
    parse_fault_fn *is_fault = parse_fault_find(e);
    const char *end = p + n, *q;

    if (e == VEIL_PARSE_CUT) {
        return end;
    }
    if (e == VEIL_PARSE_VERSION || e == VEIL_PARSE_VERSION_MAJOR) {
        return parse_last_word(p, end);
    }
    for (q = p; is_fault != NULL && q < end; q++) {
        if (is_fault(q, p, end)) {
            return q;
        }
    }
    return p;
}
