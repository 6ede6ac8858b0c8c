/*
 * str.c -- comparing, searching and cutting strings; numbers and sizes.
 *
 * Escapes live in escape.c.  Nothing here depends on the locale.
 */

#include "core/platform.h"

#include "core/str.h"

#define STR_DISTANCE_MAX 64

static int
str_compare_len(size_t a, size_t b)
{
    return (a > b) - (a < b);
}

static bool
str_case_n(const char *a, const char *b, size_t n)
{
    size_t i;

    for (i = 0; i < n; i++) {
        if (veil_lower((unsigned char) a[i])
            != veil_lower((unsigned char) b[i])) {
            return false;
        }
    }
    return true;
}

bool
veil_str_caseeq(veil_str_t a, veil_str_t b)
{
    return a.len == b.len && str_case_n(a.data, b.data, a.len);
}

bool
veil_str_casestarts(veil_str_t s, veil_str_t prefix)
{
    return s.len >= prefix.len && str_case_n(s.data, prefix.data, prefix.len);
}

int
veil_str_cmp(veil_str_t a, veil_str_t b)
{
    size_t n = veil_min_size(a.len, b.len);
    int rc = n == 0 ? 0 : memcmp(a.data, b.data, n);

    return rc != 0 ? rc : str_compare_len(a.len, b.len);
}

int
veil_str_casecmp(veil_str_t a, veil_str_t b)
{
    size_t i, n = veil_min_size(a.len, b.len);
    int x, y;

    for (i = 0; i < n; i++) {
        x = veil_lower((unsigned char) a.data[i]);
        y = veil_lower((unsigned char) b.data[i]);
        if (x != y) {
            return x - y;
        }
    }
    return str_compare_len(a.len, b.len);
}

ptrdiff_t
veil_str_chr(veil_str_t s, char c)
{
    const char *p = s.len == 0 ? NULL : memchr(s.data, c, s.len);

    return p == NULL ? -1 : p - s.data;
}

ptrdiff_t
veil_str_rchr(veil_str_t s, char c)
{
    const char *p = s.len == 0 ? NULL : memrchr(s.data, c, s.len);

    return p == NULL ? -1 : p - s.data;
}

ptrdiff_t
veil_str_find(veil_str_t s, veil_str_t needle)
{
    const char *p;

    if (needle.len == 0) {
        return 0;
    }
    if (needle.len > s.len) {
        return -1;
    }
    p = memmem(s.data, s.len, needle.data, needle.len);
    return p == NULL ? -1 : p - s.data;
}

ptrdiff_t
veil_str_casefind(veil_str_t s, veil_str_t needle)
{
    size_t i;

    for (i = 0; i + needle.len <= s.len; i++) {
        if (str_case_n(s.data + i, needle.data, needle.len)) {
            return (ptrdiff_t) i;
        }
    }
    return -1;
}

static bool
str_is_blank(char c)
{
    return c == ' ' || c == '\t';
}

veil_str_t
veil_str_trim(veil_str_t s)
{
    while (s.len != 0 && str_is_blank(s.data[0])) {
        s.data++;
        s.len--;
    }
    while (s.len != 0 && str_is_blank(s.data[s.len - 1])) {
        s.len--;
    }
    return s;
}

veil_str_t
veil_str_cut(veil_str_t *rest, char c)
{
    ptrdiff_t at = veil_str_chr(*rest, c);
    veil_str_t head = *rest;

    if (at < 0) {
        *rest = VEIL_STR_NULL;
        return head;
    }
    head.len = (size_t) at;
    *rest = veil_str_from(*rest, (size_t) at + 1);
    return head;
}

void
veil_str_lower(char *dst, const char *src, size_t n)
{
    size_t i;

    for (i = 0; i < n; i++) {
        dst[i] = (char) veil_lower((unsigned char) src[i]);
    }
}

int64_t
veil_str_to_int(veil_str_t s)
{
    int64_t n = 0;
    size_t i;

    if (s.len == 0) {
        return -1;
    }
    for (i = 0; i < s.len; i++) {
        if (s.data[i] < '0' || s.data[i] > '9'
            || __builtin_mul_overflow(n, 10, &n)
            || __builtin_add_overflow(n, s.data[i] - '0', &n))
        {
            return -1;
        }
    }
    return n;
}

static int
str_hex_digit(char c)
{
    unsigned char l = veil_lower((unsigned char) c);

    if (l >= '0' && l <= '9') {
        return l - '0';
    }
    return l >= 'a' && l <= 'f' ? l - 'a' + 10 : -1;
}

int64_t
veil_str_to_hex(veil_str_t s)
{
    int64_t n = 0;
    size_t i;
    int digit;

    if (s.len == 0) {
        return -1;
    }
    for (i = 0; i < s.len; i++) {
        digit = str_hex_digit(s.data[i]);
        if (digit < 0 || n > INT64_MAX >> 4) {
            return -1;
        }
        n = n << 4 | digit;
    }
    return n;
}

int64_t
veil_str_to_size(veil_str_t s)
{
    unsigned shift = 0;
    int64_t n;

    if (s.len != 0) {
        switch (veil_lower((unsigned char) s.data[s.len - 1])) {
        case 'k':
            shift = 10;
            break;
        case 'm':
            shift = 20;
            break;
        case 'g':
            shift = 30;
            break;
        default:
            break;
        }
        s.len -= shift != 0;
    }
    n = veil_str_to_int(s);
    return n < 0 || n > INT64_MAX >> shift ? -1 : n << shift;
}

/* Units from large to small: each may follow only larger ones. */
static const struct {
    char letter;
    int64_t ms;
} str_units[] = {
    { 'y', 365LL * 24 * 3600 * 1000 },
    { 'M', 30LL * 24 * 3600 * 1000 },
    { 'w', 7LL * 24 * 3600 * 1000 },
    { 'd', 24LL * 3600 * 1000 },
    { 'h', 3600LL * 1000 },
    { 'm', 60LL * 1000 },
    { 's', 1000 },
};

/*
 * Takes "<number><unit>" off the front of *s.  Returns milliseconds or -1.
 * *step is the place in the order of units: only what stands behind it may
 * come; a number without a unit ends the text.
 */
static int64_t
str_take_time(veil_str_t *s, size_t *step)
{
    int64_t n, scale = 0;
    size_t i = 0, digits;

    while (i < s->len && s->data[i] >= '0' && s->data[i] <= '9') {
        i++;
    }
    digits = i;
    n = veil_str_to_int(veil_str_n(s->data, digits));

    if (i == s->len || s->data[i] == ' ') {
        scale = 1000;
        *step = veil_countof(str_units) + 1;
    } else if (s->len - i >= 2 && s->data[i] == 'm' && s->data[i + 1] == 's') {
        scale = 1;
        *step = veil_countof(str_units) + 1;
        i += 2;
    } else {
        while (*step < veil_countof(str_units) && scale == 0) {
            scale = str_units[*step].letter == s->data[i] ? str_units[*step].ms
                                                          : 0;
            (*step)++;
        }
        i++;
    }
    if (n < 0 || scale == 0 || __builtin_mul_overflow(n, scale, &n)) {
        return -1;
    }
    *s = veil_str_from(*s, i);
    return n;
}

int64_t
veil_str_to_msec(veil_str_t s)
{
    int64_t part, total = 0;
    size_t step = 0;

    if (s.len == 0) {
        return -1;
    }
    while (s.len != 0) {
        if (step > veil_countof(str_units)) {
            return -1; /* something after the last possible unit */
        }
        part = str_take_time(&s, &step);
        if (part < 0 || __builtin_add_overflow(total, part, &total)) {
            return -1;
        }
        while (s.len != 0 && s.data[0] == ' ') {
            s = veil_str_from(s, 1);
        }
    }
    return total;
}

char *
veil_fmt_uint(char *dst, uint64_t n)
{
    char buf[20];
    char *p = buf + sizeof(buf);
    size_t len;

    do {
        *--p = (char) ('0' + n % 10);
        n /= 10;
    } while (n != 0);
    len = (size_t) (buf + sizeof(buf) - p);
    memcpy(dst, p, len);
    return dst + len;
}

char *
veil_fmt_hex(char *dst, uint64_t n)
{
    char buf[16];
    char *p = buf + sizeof(buf);
    size_t len;

    do {
        *--p = "0123456789abcdef"[n & 15];
        n >>= 4;
    } while (n != 0);
    len = (size_t) (buf + sizeof(buf) - p);
    memcpy(dst, p, len);
    return dst + len;
}

char *
veil_fmt_hex_bytes(char *dst, const void *bytes, size_t n)
{
    const uint8_t *p = bytes;

    for (; n > 0; n--, p++) {
        *dst++ = "0123456789abcdef"[*p >> 4];
        *dst++ = "0123456789abcdef"[*p & 15];
    }
    return dst;
}

size_t
veil_vsnprintf(char *buf, size_t n, const char *fmt, va_list ap)
{
    int len;

    if (n == 0) {
        return 0;
    }
    len = vsnprintf(buf, n, fmt, ap);
    if (len < 0) {
        buf[0] = '\0';
        return 0;
    }
    return veil_min_size((size_t) len, n - 1);
}

size_t
veil_snprintf(char *buf, size_t n, const char *fmt, ...)
{
    va_list ap;
    size_t len;

    va_start(ap, fmt);
    len = veil_vsnprintf(buf, n, fmt, ap);
    va_end(ap);
    return len;
}

size_t
veil_str_copy_z(char *dst, size_t n, veil_str_t s)
{
    if (n == 0) {
        return 0;
    }
    s.len = veil_min_size(s.len, n - 1);
    *veil_fmt_str(dst, s) = '\0';
    return s.len;
}

static unsigned
str_min3(unsigned a, unsigned b, unsigned c)
{
    unsigned m = a < b ? a : b;

    return m < c ? m : c;
}

unsigned
veil_str_distance(veil_str_t a, veil_str_t b, unsigned max)
{
    unsigned row[STR_DISTANCE_MAX + 1];
    unsigned diagonal, above, best;
    size_t i, j;

    if (a.len > STR_DISTANCE_MAX || b.len > STR_DISTANCE_MAX) {
        return max + 1;
    }
    for (j = 0; j <= b.len; j++) {
        row[j] = (unsigned) j;
    }
    for (i = 1; i <= a.len; i++) {
        diagonal = row[0];
        best = row[0] = (unsigned) i;
        for (j = 1; j <= b.len; j++) {
            above = row[j];
            row[j] = str_min3(above + 1, row[j - 1] + 1,
                              diagonal + (a.data[i - 1] != b.data[j - 1]));
            diagonal = above;
            best = row[j] < best ? row[j] : best;
        }
        if (best > max) {
            return max + 1; /* no later row can be smaller */
        }
    }
    return row[b.len] > max ? max + 1 : row[b.len];
}
