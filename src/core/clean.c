/*
 * clean.c -- text from outside, made safe to look at.
 *
 * Logs are read in terminals and editors, and split by programs.  Three
 * kinds of characters harm there: controls (ECMA-48; C1 is U+0080 to U+009F,
 * NEL and CSI among them), separators some programs take for a new line, and
 * those that change the order in which the rest is shown ("Trojan Source",
 * CVE-2021-42574).  The lists are of Unicode's categories Cc, Zl and Zp, and
 * of those in Cf that have no place in a name.
 *
 * What this does not do: look for letters that resemble others.
 */

#include "core/platform.h"

#include "core/clean.h"

/*
 * The character at the beginning of s, which is not empty, and how many bytes
 * it has; -1: the first byte begins none (RFC 3629, 4).
 */
static int32_t
clean_decode(veil_str_t s, size_t *len)
{
    const unsigned char *p = (const unsigned char *) s.data;
    static const int32_t least[] = { 0, 0, 0x80, 0x800, 0x10000 };
    size_t n, i;
    int32_t c;

    *len = 1;
    if (p[0] < 0x80) {
        return p[0];
    }
    n = p[0] >= 0xf0 ? 4 : p[0] >= 0xe0 ? 3 : 2;
    if (p[0] < 0xc2 || p[0] > 0xf4 || n > s.len) {
        return -1;
    }
    c = p[0] & (0xff >> (n + 1));
    for (i = 1; i < n; i++) {
        if ((p[i] & 0xc0) != 0x80) {
            return -1;
        }
        c = c << 6 | (p[i] & 0x3f);
    }
    if (c < least[n] || c > 0x10ffff || (c >= 0xd800 && c <= 0xdfff)) {
        return -1;
    }
    *len = n;
    return c;
}

static bool
clean_is_hidden(int32_t c)
{
    static const struct {
        int32_t first;
        int32_t last;
    } table[] = {
        { 0x00, 0x1f },       /* C0 */
        { 0x7f, 0x9f },       /* DEL, C1 */
        { 0x61c, 0x61c },     /* Arabic letter mark */
        { 0x200b, 0x200b },   /* a space without width */
        { 0x200e, 0x200f },   /* marks of direction */
        { 0x2028, 0x2029 },   /* line and paragraph separator */
        { 0x202a, 0x202e },   /* embeddings and overrides */
        { 0x2060, 0x2069 },   /* invisible operators, isolates */
        { 0xfeff, 0xfeff },   /* byte order mark */
        { 0xfff9, 0xfffb },   /* interlinear annotations */
        { 0xe0000, 0xe007f }, /* tags */
    };
    size_t i;

    for (i = 0; i < veil_countof(table) && c >= table[i].first; i++) {
        if (c <= table[i].last) {
            return true;
        }
    }
    return false;
}

size_t
veil_clean(char *dst, veil_str_t src)
{
    size_t len, n = 0;
    int32_t c;

    while (src.len != 0) {
        c = clean_decode(src, &len);
        if (c < 0 || clean_is_hidden(c)) {
            dst[n++] = '?';
        } else {
            memmove(dst + n, src.data, len);
            n += len;
        }
        src = veil_str_from(src, len);
    }
    return n;
}

bool
veil_is_clean(veil_str_t s)
{
    size_t len;
    int32_t c;

    while (s.len != 0) {
        c = clean_decode(s, &len);
        if (c < 0 || clean_is_hidden(c)) {
            return false;
        }
        s = veil_str_from(s, len);
    }
    return true;
}

veil_str_t
veil_str_cut_utf8(veil_str_t s, size_t max)
{
    if (s.len <= max) {
        return s;
    }
    /* Back to where a character begins, unless that is no UTF-8 at all. */
    for (s.len = max; s.len > 0 && max - s.len < 4; s.len--) {
        if (((unsigned char) s.data[s.len] & 0xc0) != 0x80) {
            return s;
        }
    }
    s.len = max;
    return s;
}
