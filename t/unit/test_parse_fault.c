/*
 * test_parse_fault.c -- where a head is wrong.
 */

#include "core/platform.h"

#include <criterion/criterion.h>

#include "http/parse/parse.h"

static const struct {
    const char *text; /* "@" stands before the fault and is taken out */
    veil_http_parse_t e;
} fault_lines[] = {
    { "G@(T / HTTP/1.1\r\n", VEIL_PARSE_METHOD },
    { "GET /a@\001b HTTP/1.1\r\n", VEIL_PARSE_TARGET },
    { "GET / HTTP/1.1@\n", VEIL_PARSE_BARE_LF },
    { "GET /@\r HTTP/1.1\r\n", VEIL_PARSE_BARE_CR },
    { "GET /@\r\n", VEIL_PARSE_NO_VERSION },
    { "GET / @HTTPS/1.1\r\n", VEIL_PARSE_VERSION },
    { "GET / @HTTP/3.0\r\n", VEIL_PARSE_VERSION_MAJOR },
};

static const struct {
    const char *text;
    veil_http_parse_t e;
} fault_fields[] = {
    { "A: b\r\nnothing@\r\n\r\n", VEIL_PARSE_NO_COLON },
    { "A: b\r\nna@ me: x\r\n\r\n", VEIL_PARSE_NAME_BLANK },
    { "A: b\r\nna@\002me: x\r\n\r\n", VEIL_PARSE_NAME },
    { "A: b\r\nB: x@\003y\r\n\r\n", VEIL_PARSE_VALUE },
    { "A: b\r\n@ folded\r\n\r\n", VEIL_PARSE_FOLD },
    { "A: b\r\n@: x\r\n\r\n", VEIL_PARSE_NAME_EMPTY },
    { "A: b\r\nB: c@\nC: d\r\n\r\n", VEIL_PARSE_BARE_LF },
    { "A: b\r\nB: c@\rC: d\r\n\r\n", VEIL_PARSE_BARE_CR },
};

/* The text without its mark; where that was. */
static size_t
fault_unmark(const char *text, char *to)
{
    const char *at = strchr(text, '@');
    size_t n = (size_t) (at - text);

    memcpy(to, text, n);
    memcpy(to + n, at + 1, strlen(at + 1) + 1);
    return n;
}

Test(parse_fault, request_lines)
{
    veil_http_request_line_t line;
    char text[128];
    size_t at, i;

    for (i = 0; i < veil_countof(fault_lines); i++) {
        at = fault_unmark(fault_lines[i].text, text);
        cr_expect_eq(veil_http_request_line_parse(text, strlen(text), &line),
                     fault_lines[i].e, "%s", fault_lines[i].text);
        cr_expect_eq(veil_http_parse_fault(fault_lines[i].e, text, line.len),
                     text + at, "%s", fault_lines[i].text);
    }
}

Test(parse_fault, fields)
{
    veil_http_fields_t it;
    veil_http_field_t f;
    veil_http_parse_t e;
    char text[128];
    size_t at, i;

    for (i = 0; i < veil_countof(fault_fields); i++) {
        at = fault_unmark(fault_fields[i].text, text);
        veil_http_fields_init(&it, text, strlen(text), 0);
        while ((e = veil_http_fields_next(&it, &f)) == VEIL_PARSE_OK) {
        }
        cr_expect_eq(e, fault_fields[i].e, "%s", fault_fields[i].text);
        cr_expect_eq(veil_http_parse_fault(e, it.p, (size_t) (it.end - it.p)),
                     text + at, "%s", fault_fields[i].text);
    }
}

Test(parse_fault, ends)
{
    static const char text[] = "A: b\0c\r\n";

    cr_expect_eq(veil_http_parse_fault(VEIL_PARSE_NUL, text, 8), text + 4);
    cr_expect_eq(veil_http_parse_fault(VEIL_PARSE_CUT, text, 8), text + 8);
    cr_expect_eq(veil_http_parse_fault(VEIL_PARSE_HOST, text, 8), text);
    cr_expect_eq(veil_http_parse_fault(VEIL_PARSE_METHOD, text, 0), text);
}
