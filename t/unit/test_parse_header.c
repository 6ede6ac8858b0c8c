/*
 * test_parse_header.c -- field lines, framing of responses.
 */

#include "core/platform.h"

#include <criterion/criterion.h>

#include "http/parse/char_class.h"
#include "http/parse/parse.h"

/*
 * Every byte at every place of a value, so that both the loop over words and
 * the one over bytes meet each, with every neighbour of interest.
 */
Test(parse_header, values)
{
    static const char others[] = { 'v', '\x80', '\xff', ' ', '\x7e', '\t' };
    veil_http_parse_t e, expected;
    veil_http_fields_t it;
    veil_http_field_t f;
    size_t at, k, n = 2 + 25 + 4;
    char *p = malloc(n);
    int c;

    for (k = 0; k < veil_countof(others); k++) {
        for (at = 0; at < 25; at++) {
            for (c = 0; c < 256; c++) {
                memcpy(p, "a:", 2);
                memset(p + 2, others[k], 25);
                memcpy(p + 27, "\r\n\r\n", 4);
                p[2 + at] = (char) c;
                veil_http_fields_init(&it, p, n, 0);
                e = veil_http_fields_next(&it, &f);
                expected = VEIL_PARSE_OK;
                if (c == '\n') {
                    expected = VEIL_PARSE_BARE_LF;
                } else if (c == '\r') {
                    expected = VEIL_PARSE_BARE_CR;
                } else if (c == '\0') {
                    expected = VEIL_PARSE_NUL;
                } else if (!veil_char_is((char) c, VEIL_CC_VALUE)) {
                    expected = VEIL_PARSE_VALUE;
                }
                cr_assert_eq(e, expected, "%d at %zu", c, at);
                if (e == VEIL_PARSE_OK) {
                    cr_assert_eq(veil_http_fields_next(&it, &f),
                                 VEIL_PARSE_END);
                }
            }
        }
    }
    free(p);
}

Test(parse_header, trimmed)
{
    static const char text[] = "A: \t b c\t \r\nHOST:d\r\ne:\t\r\n\r\nrest";
    veil_http_fields_t it;
    veil_http_field_t f;

    veil_http_fields_init(&it, text, sizeof(text) - 1, 0);
    cr_assert_eq(veil_http_fields_next(&it, &f), VEIL_PARSE_OK);
    cr_expect(veil_str_eq_z(f.name, "A"));
    cr_expect(veil_str_eq_z(f.value, "b c"));
    cr_expect_eq(f.id, VEIL_HEADER_NONE);
    cr_assert_eq(veil_http_fields_next(&it, &f), VEIL_PARSE_OK);
    cr_expect_eq(f.id, VEIL_HEADER_HOST);
    cr_expect(veil_str_eq_z(f.value, "d"));
    cr_assert_eq(veil_http_fields_next(&it, &f), VEIL_PARSE_OK);
    cr_expect_eq(f.value.len, 0);
    cr_assert_eq(veil_http_fields_next(&it, &f), VEIL_PARSE_END);
    cr_expect(veil_str_eq_z(veil_str_n(it.p, 4), "rest"));
}

Test(parse_header, name_flags)
{
    static const struct {
        const char *line;
        unsigned flags;
    } cases[] = {
        { "A-b9: x\r\n\r\n", 0 },
        { "a_b: x\r\n\r\n", VEIL_FIELD_UNDERSCORE },
        { "_: x\r\n\r\n", VEIL_FIELD_UNDERSCORE },
        { "a.b: x\r\n\r\n", VEIL_FIELD_INVALID },
        { "!a_: x\r\n\r\n", VEIL_FIELD_INVALID | VEIL_FIELD_UNDERSCORE },
        { "a(b: x\r\n\r\n", VEIL_FIELD_INVALID | VEIL_FIELD_NOT_TOKEN },
        { "\xc3: x\r\n\r\n", VEIL_FIELD_INVALID | VEIL_FIELD_NOT_TOKEN },
    };
    veil_http_fields_t it;
    veil_http_field_t f;
    size_t i;

    for (i = 0; i < veil_countof(cases); i++) {
        veil_http_fields_init(&it, cases[i].line, strlen(cases[i].line), 0);
        cr_assert_eq(veil_http_fields_next(&it, &f), VEIL_PARSE_OK);
        cr_expect_eq(f.flags, cases[i].flags, "%s", cases[i].line);
    }
}

/* A section that is cut off anywhere is an error, never an end. */
Test(parse_header, cut)
{
    static const char text[] = "Host: a\r\nB_: c\r\n\r\n";
    veil_http_parse_t e;
    veil_http_fields_t it;
    veil_http_field_t f;
    char *copy;
    size_t n;

    for (n = 0; n < sizeof(text) - 1; n++) {
        copy = malloc(n);
        if (n != 0) {
            memcpy(copy, text, n);
        }
        veil_http_fields_init(&it, copy, n, VEIL_HTTP_ALLOW_LF);
        do {
            e = veil_http_fields_next(&it, &f);
        } while (e == VEIL_PARSE_OK);
        cr_expect_eq(e, VEIL_PARSE_CUT, "%zu: %s", n,
                     veil_http_parse_reason(e));
        free(copy);
    }
}

Test(parse_header, responses_framing)
{
    static const struct {
        const char *coding, *length; /* NULL: the field is not there */
        int status;
        unsigned method, version;
        veil_http_framing_kind_t kind;
        bool close;
    } cases[] = {
        { NULL, "5", 200, VEIL_GET, 11, VEIL_FRAMING_LENGTH, false },
        { NULL, "0", 200, VEIL_GET, 11, VEIL_FRAMING_NONE, false },
        { "chunked", NULL, 200, VEIL_GET, 11, VEIL_FRAMING_CHUNKED, false },
        { "chunked", NULL, 200, VEIL_GET, 10, VEIL_FRAMING_CHUNKED, true },
        { NULL, NULL, 200, VEIL_GET, 11, VEIL_FRAMING_CLOSE, true },
        { NULL, "5", 200, VEIL_HEAD, 11, VEIL_FRAMING_NONE, false },
        { NULL, NULL, 200, VEIL_HEAD, 11, VEIL_FRAMING_NONE, false },
        { "chunked", NULL, 200, VEIL_HEAD, 11, VEIL_FRAMING_NONE, false },
        { NULL, "5", 204, VEIL_GET, 11, VEIL_FRAMING_NONE, false },
        { NULL, "5", 304, VEIL_GET, 11, VEIL_FRAMING_NONE, false },
        { NULL, NULL, 100, VEIL_GET, 11, VEIL_FRAMING_NONE, false },
        { NULL, NULL, 103, VEIL_GET, 11, VEIL_FRAMING_NONE, false },
        { NULL, NULL, 101, VEIL_GET, 11, VEIL_FRAMING_TUNNEL, true },
        { NULL, NULL, 200, VEIL_CONNECT, 11, VEIL_FRAMING_TUNNEL, true },
        { NULL, "5", 403, VEIL_CONNECT, 11, VEIL_FRAMING_LENGTH, false },
    };
    veil_http_framing_t f;
    veil_http_field_t field;
    size_t i;

    for (i = 0; i < veil_countof(cases); i++) {
        veil_http_framing_init(&f);
        if (cases[i].coding != NULL) {
            field.id = VEIL_HEADER_TRANSFER_ENCODING;
            field.value = veil_str_z(cases[i].coding);
            cr_assert_eq(veil_http_framing_add(&f, &field), VEIL_PARSE_OK);
        }
        if (cases[i].length != NULL) {
            field.id = VEIL_HEADER_CONTENT_LENGTH;
            field.value = veil_str_z(cases[i].length);
            cr_assert_eq(veil_http_framing_add(&f, &field), VEIL_PARSE_OK);
        }
        cr_assert_eq(veil_http_framing_response(&f, cases[i].version,
                                                cases[i].status,
                                                cases[i].method),
                     VEIL_PARSE_OK);
        cr_expect_eq(f.kind, cases[i].kind, "case %zu", i);
        cr_expect_eq(f.close, cases[i].close, "case %zu", i);
        cr_expect_eq(f.length,
                     cases[i].length == NULL ? -1 : cases[i].length[0] - '0');
    }
}
