/*
 * text.c -- fuzzes the parsers of core/str.h and core/time.h.
 *
 * Each gets the input as a copy of exactly its size, so that the sanitizer
 * sees a read past it, and must keep its promises: what is parsed can be
 * written and parsed again, what is escaped can be taken back, and measuring
 * agrees with writing.
 */

#include "core/platform.h"

#include "core/assert.h"
#include "core/pool.h"
#include "core/str.h"
#include "core/time.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void
text_dates(veil_str_t in)
{
    char buf[VEIL_HTTP_DATE_LEN];
    int64_t sec = veil_http_date_parse(in);

    VEIL_ASSERT(sec >= -1);
    if (sec >= 0 && sec < 253402300800) {
        veil_http_date_format(buf, sec);
        VEIL_ASSERT(veil_http_date_parse(veil_str_n(buf, sizeof(buf))) == sec);
    }
}

static void
text_numbers(veil_str_t in)
{
    char buf[20];
    int64_t n = veil_str_to_int(in);

    if (n >= 0) {
        VEIL_ASSERT(veil_str_to_size(in) == n);
        in =
            veil_str_n(buf, (size_t) (veil_fmt_uint(buf, (uint64_t) n) - buf));
        VEIL_ASSERT(veil_str_to_int(in) == n);
    }
    n = veil_str_to_hex(in);
    if (n >= 0) {
        in = veil_str_n(buf, (size_t) (veil_fmt_hex(buf, (uint64_t) n) - buf));
        VEIL_ASSERT(veil_str_to_hex(in) == n);
    }
    VEIL_ASSERT(veil_str_to_msec(in) >= -1);
}

static void
text_escapes(veil_str_t in)
{
    char *enc = veil_alloc(6 * in.len);
    char *dec = veil_alloc(6 * in.len);
    size_t n, m;
    int set;

    n = veil_str_unescape(dec, in);
    VEIL_ASSERT(n <= in.len);
    for (set = VEIL_ESCAPE_URI; set <= VEIL_ESCAPE_HTML_SAFE; set++) {
        n = veil_str_escape(enc, in, (veil_escape_t) set);
        VEIL_ASSERT(n <= 3 * in.len);
        m = veil_str_unescape(dec, veil_str_n(enc, n));
        VEIL_ASSERT(veil_str_eq(veil_str_n(dec, m), in));
    }
    n = veil_str_escape_html(NULL, in);
    VEIL_ASSERT(n <= 6 * in.len && veil_str_escape_html(enc, in) == n);
    n = veil_str_escape_json(NULL, in);
    VEIL_ASSERT(n <= 6 * in.len && veil_str_escape_json(enc, in) == n);
    veil_free(enc);
    veil_free(dec);
}

static void
text_base64(veil_str_t in)
{
    char *enc = veil_alloc(4 * ((in.len + 2) / 3));
    char *dec = veil_alloc(in.len);
    ptrdiff_t got;
    size_t n;

    n = veil_base64_encode(enc, in);
    VEIL_ASSERT(n == 4 * ((in.len + 2) / 3));
    got = veil_base64_decode(enc, veil_str_n(enc, n));
    VEIL_ASSERT(veil_str_eq(veil_str_n(enc, (size_t) got), in));
    got = veil_base64_decode(dec, in);
    VEIL_ASSERT(got >= -1 && got <= (ptrdiff_t) (3 * in.len / 4));
    got = veil_base64url_decode(dec, in);
    VEIL_ASSERT(got >= -1 && got <= (ptrdiff_t) (3 * in.len / 4));
    veil_free(enc);
    veil_free(dec);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char *copy = veil_alloc(size);
    veil_str_t in = veil_str_n(copy, size);

    if (size != 0) {
        memcpy(copy, data, size);
    }
    veil_time_set(1, 1767225600, 0);
    text_dates(in);
    text_numbers(in);
    text_escapes(in);
    text_base64(in);
    veil_free(copy);
    return 0;
}
